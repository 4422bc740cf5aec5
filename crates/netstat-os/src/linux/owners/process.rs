//! Facts about one process: start time, names, and what it runs in.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netstat_model::{Fact, ImageName, Invocation, Process, Why};
use rustix::fs::{Mode, OFlags, RawDir, ResolveFlags, openat, readlinkat_raw};
use rustix::io::{Errno, read};

use super::OwnerAsk;
use super::component::components;
use super::digits::number;
pub(crate) use super::digits::small_number;
use super::table::PathBuffer;
use crate::linux::bounded;

/// `PF_KTHREAD` in the kernel's `include/linux/sched.h`: a kernel thread.
const PF_KTHREAD: u32 = 0x0020_0000;

/// The text of `/proc/PID/stat`, parsed (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Field 1: the process id, in the PID namespace of the `/proc` mount.
    pub pid: u32,
    /// Field 2: the short name, without its parentheses. Untrusted: any bytes except NUL.
    pub comm: &'a [u8],
    /// Field 3: the state letter; `Z` is a zombie.
    pub state: u8,
    /// Field 4: the id of the parent; 0 if it has none in this PID namespace.
    pub parent: u32,
    /// Field 5: the process group.
    pub group: u32,
    /// Field 6: the session.
    pub session: u32,
    /// Field 7: the device number of the controlling terminal; 0 if there is none.
    pub terminal: i32,
    /// Field 9: the kernel's flags of the thread.
    pub flags: u32,
    /// Field 10: minor page faults of all threads, which needed no read from a disk.
    pub minor_faults: u64,
    /// Field 12: major page faults of all threads, which did.
    pub major_faults: u64,
    /// Field 14: the user time of all threads, in clock ticks.
    pub user_ticks: u64,
    /// Field 15: the system time of all threads, in clock ticks.
    pub system_ticks: u64,
    /// Field 20: the number of threads.
    pub threads: u32,
    /// Field 22: the start time in clock ticks after boot.
    pub start_ticks: u64,
    /// Field 23: the size of the address space in bytes.
    pub virtual_bytes: u64,
    /// Field 24: the number of resident pages. It may be slightly inaccurate (proc_pid_stat(5)).
    pub resident_pages: u64,
}

impl Stat<'_> {
    /// Whether the main thread has ended while others continue to run: its memory, program and descriptors are not
    /// visible any more.
    pub fn first_has_ended(&self) -> bool {
        self.state == b'Z' && self.threads > 1
    }

    /// Whether it is a kernel thread, which has no executable file.
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }
}

/// The reason why the text of a `stat` file is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no process status line: {0}")]
pub struct BadStat(&'static str);

/// Parses the text of `/proc/PID/stat`.
///
/// The short name is in parentheses and may itself contain parentheses, blanks and newlines. Only numbers follow it, so
/// it ends at the last closing parenthesis.
pub fn parse_stat(text: &[u8]) -> Result<Stat<'_>, BadStat> {
    let open = text.iter().position(|&b| b == b'(').ok_or(BadStat("no name"))?;
    let close = text
        .iter()
        .rposition(|&b| b == b')')
        .ok_or(BadStat("no end of the name"))?;
    if close < open {
        return Err(BadStat("the name ends before it begins"));
    }
    let pid = number(text[..open].trim_ascii()).ok_or(BadStat("no process id"))?;
    // The first field here is field 3.
    let mut fields = text[close + 1..]
        .split(|b| b.is_ascii_whitespace())
        .filter(|field| !field.is_empty());
    let state = match fields.next() {
        Some(&[letter]) => letter,
        _ => return Err(BadStat("no state letter")),
    };
    let mut next = |what| fields.next().ok_or(BadStat(what));
    let parent = next("no parent").map(small_number)?.ok_or(BadStat("no parent"))?;
    let group = next("no process group")
        .map(small_number)?
        .ok_or(BadStat("no process group"))?;
    let session = next("no session").map(small_number)?.ok_or(BadStat("no session"))?;
    let terminal = next("no terminal").map(signed_number)?.ok_or(BadStat("no terminal"))?;
    let mut field = |skipped: usize, what| fields.nth(skipped).and_then(number).ok_or(BadStat(what));
    let flags = field(1, "no flags")?;
    let minor_faults = field(0, "no page faults")?;
    let major_faults = field(1, "no page faults")?;
    let user_ticks = field(1, "no times")?;
    let system_ticks = field(0, "no times")?;
    let threads = field(4, "no number of threads")?;
    let start_ticks = field(1, "no start time")?;
    let virtual_bytes = field(0, "no size")?;
    // A negative count of pages means none.
    let resident_pages = fields.next().ok_or(BadStat("no size in memory"))?;
    let resident_pages = match resident_pages {
        [b'-', rest @ ..] => number(rest).map(|_| 0),
        digits => number(digits),
    };
    Ok(Stat {
        pid: u32::try_from(pid).map_err(|_| BadStat("the process id is too large"))?,
        comm: &text[open + 1..close],
        state,
        parent,
        group,
        session,
        terminal,
        flags: u32::try_from(flags).map_err(|_| BadStat("the flags are too large"))?,
        threads: u32::try_from(threads).map_err(|_| BadStat("the number of threads is too large"))?,
        start_ticks,
        minor_faults,
        major_faults,
        user_ticks,
        system_ticks,
        virtual_bytes,
        resident_pages: resident_pages.ok_or(BadStat("no size in memory"))?,
    })
}

/// Parses a signed decimal number; `None` if it is malformed or out of range.
fn signed_number(digits: &[u8]) -> Option<i32> {
    let (sign, digits) = match digits.strip_prefix(b"-") {
        Some(rest) => (-1, rest),
        None => (1, digits),
    };
    i32::try_from(sign * i64::try_from(number(digits)?).ok()?).ok()
}

/// Returns the reason why a file of a process could not be read.
pub(crate) fn why(error: Errno) -> Why {
    match error {
        // Reading about a process that has ended results in ESRCH, and its removed directory in ENOENT.
        Errno::NOENT | Errno::SRCH => Why::Gone,
        Errno::ACCESS | Errno::PERM => Why::NotPermitted,
        Errno::TIMEDOUT => Why::NoAnswer,
        _ => Why::Failed,
    }
}

/// Parses the arguments in `/proc/PID/cmdline`, each terminated by a NUL (proc_pid_cmdline(5)). The last NUL may be missing
/// if the process has overwritten them.
fn arguments(text: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

/// A handle to one process. A descriptor of `/proc/PID` refers to the process that it was opened for, and every read
/// through it fails after that process has ended, even if its id is reused.
#[derive(Debug)]
pub(crate) struct ProcessDir(OwnedFd);

impl ProcessDir {
    /// Opens the process that currently has the id `pid`.
    ///
    /// # Errors
    /// Returns `ENOENT` if there is none, or another error of the system, such as too many open files.
    pub(crate) fn open(proc: BorrowedFd<'_>, pid: u32) -> Result<Self, Errno> {
        let mut path = PathBuffer::new();
        path.number(pid);
        openat(
            proc,
            path.as_bytes(),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map(ProcessDir)
    }

    /// Returns a thread of process `pid` (which this directory belongs to) other than the main thread that has not
    /// ended.
    pub(crate) fn living_thread(&self, pid: u32) -> Option<ProcessDir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(&self.0, c"task", flags, Mode::empty()).ok()?;
        let mut buffer = Vec::with_capacity(4096);
        let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
        let mut text = Vec::new();
        while let Some(Ok(entry)) = entries.next() {
            let Some(thread) = small_number(entry.file_name().to_bytes()).filter(|&thread| thread != pid) else {
                continue;
            };
            let mut path = PathBuffer::new();
            path.number(thread);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let Ok(thread) = openat(&dir, path.as_bytes(), flags, Mode::empty()) else {
                continue;
            };
            let thread = ProcessDir(thread);
            let lives = thread.text(c"stat", &mut text).is_ok()
                && parse_stat(&text).is_ok_and(|stat| !matches!(stat.state, b'Z' | b'X'));
            if lives {
                return Some(thread);
            }
        }
        None
    }

    /// Opens a file of the process, in order to read it repeatedly.
    pub(crate) fn file(&self, name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
        openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Opens the entry `name` in `proc`: `self` or `thread-self`.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub(crate) fn named(proc: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(proc, name, flags, Mode::empty()).map(ProcessDir)
    }

    /// Returns the directory.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Opens the process whose directory, or a directory `depth` levels below it, is open.
    ///
    /// # Errors
    /// Returns the error of the system, such as too many open files.
    pub(crate) fn above(below: BorrowedFd<'_>, depth: Depth) -> Result<Self, Errno> {
        let path = match depth {
            Depth::Descriptors => c"..",
            Depth::ThreadDescriptors => c"../../..",
        };
        openat(
            below,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map(ProcessDir)
    }

    /// Reads the requested facts about process `pid`, whose sockets `thread` holds.
    pub(crate) fn facts(&self, (pid, thread): (u32, u32), ask: &OwnerAsk, text: &mut Vec<u8>) -> Process {
        let mut process = bare(pid);
        if ask.start || ask.names {
            self.read_start(&mut process, text);
        }
        if ask.names {
            process.invocation = match self.text(c"cmdline", text) {
                Ok(()) => Fact::Known(Invocation {
                    arguments: arguments(text),
                    script: None,
                }),
                Err(error) => Fact::Unknown(why(error)),
            };
        }
        if ask.image {
            process.image = self.image(text);
            if process.image == Fact::Unknown(Why::Gone) && thread != pid {
                // The main thread has ended and no longer shows the program; the other threads continue to run.
                process.image = self.image_of_thread(thread, text);
            }
            if process.image.why().is_some() && process.comm.why().is_some() {
                self.read_start(&mut process, text);
            }
        }
        if ask.components {
            process.components = match self.text(c"cgroup", text) {
                Ok(()) => Fact::Known(components(text)),
                Err(error) => Fact::Unknown(why(error)),
            };
        }
        process
    }

    /// Reads the start time and short name from `/proc/PID/stat`.
    pub(crate) fn read_start(&self, process: &mut Process, text: &mut Vec<u8>) {
        let stat = self
            .text(c"stat", text)
            .map_err(why)
            .and_then(|()| parse_stat(text).map_err(|_| Why::Failed));
        match stat {
            Ok(stat) => {
                process.start_ticks = Fact::Known(stat.start_ticks);
                process.comm = Fact::Known(stat.comm.to_vec());
                if stat.is_kernel_thread() {
                    process.image = Fact::Unknown(Why::NotApplicable);
                }
            }
            Err(why) => {
                process.start_ticks = Fact::Unknown(why);
                process.comm = Fact::Unknown(why);
            }
        }
    }

    /// Reads the executable file from `/proc/PID/exe`.
    fn image(&self, text: &mut Vec<u8>) -> Fact<ImageName> {
        match self.link(c"exe", text) {
            Ok(()) => Fact::Known(image_name(text, || self.is_gone(text))),
            Err(error) => Fact::Unknown(why(error)),
        }
    }

    /// Whether the executable file no longer is at `target`, the path in `/proc/PID/exe`. The link count alone is not
    /// enough, because the file may have another name elsewhere.
    fn is_gone(&self, target: &[u8]) -> Result<bool, Errno> {
        // Follows the magic link to the file itself, wherever it is in the caller's view of the file systems.
        let file = bounded::remembered(self.0.as_fd(), c"exe")?;
        if file.links == 0 {
            return Ok(true);
        }
        // The path is relative to the root directory of the process.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(&self.0, c"root", flags, Mode::empty())?;
        let below = target.strip_prefix(b"/").unwrap_or(target);
        let there = bounded::open_below(root.as_fd(), below, OFlags::PATH, ResolveFlags::empty())
            .and_then(|there| bounded::remembered_of(there.as_fd()));
        match there {
            Ok(there) => Ok((there.device, there.inode) != (file.device, file.inode)),
            Err(Errno::NOENT) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Reads the executable file from `/proc/PID/task/TID/exe`.
    fn image_of_thread(&self, thread: u32, text: &mut Vec<u8>) -> Fact<ImageName> {
        let mut path = PathBuffer::new();
        path.text(b"task/");
        path.number(thread);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(&self.0, path.as_bytes(), flags, Mode::empty()) {
            Ok(dir) => ProcessDir(dir).image(text),
            Err(error) => Fact::Unknown(why(error)),
        }
    }

    /// Reads only the target of `/proc/PID/exe`, to find out whether the process has executed another program.
    pub(crate) fn exe<'a>(&self, text: &'a mut Vec<u8>) -> Result<&'a [u8], Errno> {
        self.link(c"exe", text)?;
        Ok(text)
    }

    /// Reads a file of the process completely.
    pub(crate) fn text(&self, name: &std::ffi::CStr, into: &mut Vec<u8>) -> Result<(), Errno> {
        read_text(self.0.as_fd(), name, into)
    }

    /// Reads the target of a link of the process.
    pub(crate) fn link(&self, name: &std::ffi::CStr, into: &mut Vec<u8>) -> Result<(), Errno> {
        into.clear();
        // The kernel returns no path longer than a page.
        into.reserve(4096);
        loop {
            let room = into.spare_capacity_mut();
            let whole = room.len();
            let length = readlinkat_raw(&self.0, name, room)?.0.len();
            if length < whole {
                // SAFETY: the system call has filled in the first `length` bytes of the spare capacity, and `into` is empty.
                unsafe { into.set_len(length) };
                return Ok(());
            }
            into.reserve(2 * whole);
        }
    }
}

impl From<OwnedFd> for ProcessDir {
    /// Wraps a descriptor of `/proc/PID` or `/proc/PID/task/TID`.
    fn from(dir: OwnedFd) -> Self {
        ProcessDir(dir)
    }
}

/// Creates a process of which only the id is known because nothing else was requested.
pub(crate) fn bare(pid: u32) -> Process {
    Process {
        pid,
        start_ticks: Fact::Unknown(Why::NotAsked),
        comm: Fact::Unknown(Why::NotAsked),
        image: Fact::Unknown(Why::NotAsked),
        invocation: Fact::Unknown(Why::NotAsked),
        components: Fact::Unknown(Why::NotAsked),
    }
}

/// The depth of a directory below `/proc/PID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// `/proc/PID/fd`.
    Descriptors,
    /// `/proc/PID/task/TID/fd`.
    ThreadDescriptors,
}

/// Reads the file `name` in `dir` completely.
pub(crate) fn read_text(dir: BorrowedFd<'_>, name: &std::ffi::CStr, into: &mut Vec<u8>) -> Result<(), Errno> {
    let file = openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    into.clear();
    loop {
        let mut piece = [MaybeUninit::<u8>::uninit(); 2048];
        match read(&file, &mut piece) {
            Ok((&mut [], _)) => return Ok(()),
            Ok((bytes, _)) => into.extend_from_slice(bytes),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the executable file from the target of `/proc/PID/exe`. `gone` says whether the file is no longer at that
/// path; it is called only if the target ends in the kernel's mark, because a file may really be called `x (deleted)`.
fn image_name(target: &[u8], gone: impl FnOnce() -> Result<bool, Errno>) -> ImageName {
    let marked = target.strip_suffix(b" (deleted)");
    match marked {
        // If the file cannot be examined, the mark is trusted, because it is almost always right.
        Some(path) if gone().unwrap_or(true) => ImageName {
            path: path.to_vec(),
            deleted: true,
        },
        _ => ImageName {
            path: target.to_vec(),
            deleted: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line with the fields the parser reads set apart from all others.
    const LINE: &str = "4321 (cat) S 77 4321 4320 -34816 -1 4194304 91 2 5 3 41 42 6 7 20 0 3 0 987654 2396160 218 18446744073709551615 0 0";

    #[test]
    fn parse_stat_reads_every_field() {
        let stat = parse_stat(LINE.as_bytes()).unwrap();
        assert_eq!((stat.pid, stat.comm, stat.state), (4321, &b"cat"[..], b'S'));
        assert_eq!(
            (stat.threads, stat.start_ticks, stat.is_kernel_thread()),
            (3, 987654, false)
        );
        assert_eq!((stat.parent, stat.minor_faults, stat.major_faults), (77, 91, 5));
        assert_eq!((stat.group, stat.session, stat.terminal), (4321, 4320, -34816));
        assert_eq!((stat.user_ticks, stat.system_ticks), (41, 42));
        assert_eq!((stat.virtual_bytes, stat.resident_pages), (2396160, 218));
        let below = LINE.replacen(" 218 ", " -3 ", 1);
        assert_eq!(parse_stat(below.as_bytes()).unwrap().resident_pages, 0);
    }

    #[test]
    fn parse_stat_name_with_any_characters_is_read() {
        for name in ["a) R 1 2 3", "(", ")", ") (", "two words", "new\nline", "", "((()))"] {
            let line = LINE.replacen("cat", name, 1);
            let stat = parse_stat(line.as_bytes()).unwrap();
            assert_eq!(stat.comm, name.as_bytes());
            assert_eq!(stat.start_ticks, 987654);
        }
    }

    #[test]
    fn parse_stat_malformed_line_is_refused() {
        for bad in [
            "",
            "12",
            "12 (a",
            ")( S",
            "x (a) S 1 1 1 0 -1 0 1 1 1 1 1 1 1 1 1 1 1 0 5",
            "1 (a) SS 1",
            "1 (a) S 1 1 1 0 -1 0 1",
            "1 (a) S 1 1 1 0 -1 0 1 1 1 1 1 1 1 1 1 1 1 0 99999999999999999999999",
        ] {
            assert!(parse_stat(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn parse_stat_kernel_thread_is_known_by_its_flag() {
        let line = LINE.replacen("4194304", "69238880", 1);
        assert!(parse_stat(line.as_bytes()).unwrap().is_kernel_thread());
    }

    #[test]
    fn deleted_mark_is_distinguished_from_a_name() {
        let image = image_name(b"/usr/bin/x (deleted)", || Ok(true));
        assert_eq!((image.file_name(), image.deleted), (&b"x"[..], true));
        let image = image_name(b"/usr/bin/x (deleted)", || Ok(false));
        assert_eq!((image.file_name(), image.deleted), (&b"x (deleted)"[..], false));
        let image = image_name(b"/usr/bin/x", || panic!("not asked for"));
        assert_eq!((image.file_name(), image.deleted), (&b"x"[..], false));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse_stat(&bytes);
        }

        #[test]
        fn number_agrees_with_parse_of_std(digits in "[0-9]{0,24}") {
            prop_assert_eq!(number(digits.as_bytes()), digits.parse().ok());
        }
    }
}
