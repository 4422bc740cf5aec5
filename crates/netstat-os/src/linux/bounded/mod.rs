//! Access to files at paths that others control, with a limit on the time that the file system may take.
//!
//! A path that belongs to another process may lead to a file system whose server never answers (FUSE, NFS). A process
//! that waits for such a server blocks forever and cannot even be killed. Therefore, a file that may lie on such a file
//! system is accessed through a separate process, the [`reader`], which is abandoned if it does not answer within
//! [`LIMIT`]. The device then counts as unresponsive until that process gets its answer, so a thousand files on it cost
//! only one timeout.
//!
//! This program itself holds only an O_PATH descriptor of a file on such a file system, and the reader reopens it for
//! each read. The reason is that closing a descriptor that is open for reading also involves the server, even on
//! process exit.
//!
//! File systems that are implemented entirely in the kernel, on local disks or in memory, are accessed directly, and so
//! is the caller's own root file system. Which file system a file lies on can be found out without involving its
//! server: statx(2) with AT_STATX_DONT_SYNC answers from cached data, and openat2(2) with RESOLVE_NO_XDEV does not
//! leave the mount.

mod reader;
mod wire;

use std::collections::HashMap;
use std::ffi::CStr;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use netstat_model::process::FileFacts;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, SeekFrom, StatFs, StatxFlags, fstat, fstatfs, makedev, openat, openat2,
    readlinkat, seek, statx,
};
use rustix::io::{Errno, pread};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{WaitOptions, waitpid};

use self::reader::{ANCILLARY, Reader};
use self::wire::{ANSWER_MAX, Kind, Operation, Request, UNRESPONSIVE_MAX};
use super::privilege;
use super::stat_facts::stat_facts;

/// The time limit for an answer of a file system.
pub(crate) const LIMIT: Duration = Duration::from_secs(netstat_model::FILE_LIMIT_SECONDS);

/// STATX_MNT_ID_UNIQUE (statx(2), Linux 6.8): a mount id that is never reused.
const MOUNT_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The maximum number of mounts that are cached, because other users can create any number of them.
const MOST_KNOWN: usize = 4096;
/// The maximum size in bytes of the names in a directory that is read through the reader.
const MOST_NAMES: usize = 16 << 20;

/// The magic numbers (statfs(2), linux/magic.h) of file systems that need no server to answer: those on local disks, in
/// memory, and of the kernel itself. Network and user-space file systems are not included, nor are overlays, which may
/// be stacked on them.
const LOCAL: &[u64] = &[
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x2FC1_2FC1, // zfs
    0xF2F5_2010, // f2fs
    0xCA45_1A4E, // bcachefs
    0x3153_464A, // jfs
    0x5265_4973, // reiserfs
    0x4D44,      // vfat
    0x2011_BAB0, // exfat
    0x7366_746E, // ntfs3
    0x9660,      // iso9660
    0x1501_3346, // udf
    0x7371_7368, // squashfs
    0xE0F5_E1E2, // erofs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x9584_58F6, // hugetlbfs
    0x9FA0,      // proc
    0x6265_6572, // sysfs
    0x0027_E0EB, // cgroup
    0x6367_7270, // cgroup2
    0x1CD1,      // devpts
    0x6E73_6673, // nsfs
    0x5049_5045, // pipes
    0x534F_434B, // sockets
    0x0904_1934, // anonymous inodes
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0xCAFE_4A11, // bpf
    0x7363_6673, // securityfs
    0x1980_0202, // mqueue
];

/// The location of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// The device id, as in stat(2).
    device: u64,
    /// The mount id, if the kernel reports it (Linux 5.8).
    mount: Option<u64>,
    /// Whether that mount id is never reused.
    unique: bool,
}

/// Returns the location of an open file, without involving its file system's server.
fn place_of(file: BorrowedFd<'_>) -> Result<Place, Errno> {
    place_at(file, c"", AtFlags::EMPTY_PATH)
}

fn place_at(directory: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Place, Errno> {
    let flags = flags | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let found = statx(directory, path, flags, StatxFlags::MNT_ID | MOUNT_UNIQUE)?;
    let mask = StatxFlags::from_bits_retain(found.stx_mask);
    let unique = mask.contains(MOUNT_UNIQUE);
    Ok(Place {
        device: makedev(found.stx_dev_major, found.stx_dev_minor),
        mount: (unique || mask.contains(StatxFlags::MNT_ID)).then_some(found.stx_mnt_id),
        unique,
    })
}

/// Returns the cached attributes (device, inode and mode) of the file called `name` in `directory`. Symbolic links are
/// followed. This also works for a file system that does not respond.
pub(crate) fn remembered(directory: BorrowedFd<'_>, name: &CStr) -> Result<Remembered, Errno> {
    remembered_at(directory, name, AtFlags::empty())
}

fn remembered_at(directory: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<Remembered, Errno> {
    let flags = flags | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::INO | StatxFlags::NLINK;
    let found = statx(directory, name, flags, wanted)?;
    Ok(Remembered {
        device: makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        mode: found.stx_mode.into(),
        links: found.stx_nlink.into(),
    })
}

/// Returns the cached attributes of an open file.
pub(crate) fn remembered_of(file: BorrowedFd<'_>) -> Result<Remembered, Errno> {
    remembered_at(file, c"", AtFlags::EMPTY_PATH)
}

/// The cached attributes of a file; see [`remembered`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) mode: u32,
    pub(crate) links: u64,
}

/// The key under which a file system is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Mount(u64),
    Disk(u64),
}

fn key_of(place: Place) -> Option<Key> {
    match place.mount {
        Some(mount) if place.unique => Some(Key::Mount(mount)),
        // Device numbers with major 0 have no disk behind them and are reused for the next file system that is mounted.
        _ if rustix::fs::major(place.device) != 0 => Some(Key::Disk(place.device)),
        _ => None,
    }
}

static KNOWN: Mutex<Option<HashMap<Key, bool>>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The data is consistent after every single change, so a poisoned lock is harmless.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the file lies on a file system that may be accessed directly.
fn is_local(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    static ROOT: OnceLock<Option<Place>> = OnceLock::new();
    let place = place_of(file)?;
    let root = *ROOT.get_or_init(|| place_at(CWD, c"/", AtFlags::empty()).ok());
    if root.is_some_and(|root| root.device == place.device || root.mount.is_some() && root.mount == place.mount) {
        return Ok(true);
    }
    let Some(key) = key_of(place) else { return Ok(false) };
    if let Some(known) = lock(&KNOWN).as_ref().and_then(|known| known.get(&key).copied()) {
        return Ok(known);
    }
    let answer = ask(file, Operation::Type, [0; 3], b"")?.content;
    let magic = u64::from_ne_bytes(answer.try_into().map_err(|_| Errno::IO)?);
    let local = LOCAL.contains(&magic);
    let mut known = lock(&KNOWN);
    let known = known.get_or_insert_with(HashMap::new);
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(key, local);
    Ok(local)
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    reason = "the type differs from processor to processor"
)]
fn type_of(system: &StatFs) -> u64 {
    // The magic numbers have 32 bits, but the field is wider and sign-extended on some architectures.
    u64::from(system.f_type as u32)
}

/// fstat(2).
pub(crate) fn facts(file: BorrowedFd<'_>) -> Result<FileFacts, Errno> {
    if is_local(file)? {
        return fstat(file).map(|stat| stat_facts(&stat));
    }
    wire::facts_from_bytes(&ask(file, Operation::Facts, [0; 3], b"")?.content).ok_or(Errno::IO)
}

/// Returns the type of the file system that the file lies on, a magic number of statfs(2).
pub(crate) fn file_system(file: BorrowedFd<'_>) -> Result<u64, Errno> {
    if is_local(file)? {
        return fstatfs(file).map(|system| type_of(&system));
    }
    let answer = ask(file, Operation::Type, [0; 3], b"")?.content;
    Ok(u64::from_ne_bytes(answer.try_into().map_err(|_| Errno::IO)?))
}

/// Opens a magic link below `/proc/PID` with O_PATH.
pub(crate) fn open_link(directory: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    // A network file system revalidates the target of such a link; others do not. The reader does not have the
    // capabilities that the executable file gives to the caller.
    if network_file_systems() && !privilege::is_lent() {
        return opened(ask(
            directory,
            Operation::Open,
            [flags.bits().into(), 0, 0],
            name.to_bytes(),
        )?);
    }
    openat(directory, name, flags, Mode::empty())
}

/// Whether file systems are mounted that revalidate the target of a magic link (`d_weak_revalidate` in the kernel: NFS,
/// 9p).
fn network_file_systems() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        mounts.split(|&byte| byte == b'\n').any(|line| {
            // proc_pid_mountinfo(5): the type is the field after the hyphen.
            let mut fields = line.split(|&byte| byte == b' ').skip_while(|field| *field != b"-");
            matches!(fields.nth(1), Some(b"nfs" | b"nfs4" | b"9p"))
        })
    })
}

/// Opens for reading the file that `place` refers to, whatever its name refers to by now. Opening a FIFO does not
/// block. If the file is not local, only functions of this module may read it.
pub(crate) fn open_place(place: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if is_local(place)? {
        return reader::reopen(place, flags);
    }
    ask(place, Operation::Try, [flags.bits().into(), 0, 0], b"")?;
    rustix::io::fcntl_dupfd_cloexec(place, 0)
}

/// The functions that [`crate::files`] uses.
pub(crate) mod files {
    use super::{BorrowedFd, Errno, OFlags, OwnedFd, ResolveFlags};
    pub(crate) use super::{facts, link_target, names, open_path, read_at, seek_content};

    /// The flags to open a file only in order to examine it.
    pub(crate) const PLACE: OFlags = OFlags::PATH;

    /// Returns the type of the file system; asks it directly.
    pub(crate) fn type_of(file: BorrowedFd<'_>) -> Option<u64> {
        super::fstatfs(file).ok().map(|system| super::type_of(&system))
    }

    pub(crate) fn open_below(directory: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        super::open_below(directory, name, flags, ResolveFlags::empty())
    }
}

/// Opens a path below a directory; `resolve` has the meaning that it has for openat2(2).
pub(crate) fn open_below(
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    if is_local(directory)? {
        match openat2(directory, path, flags, Mode::empty(), resolve | ResolveFlags::NO_XDEV) {
            // The path leads to another mount, or the kernel does not support the call.
            Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
    }
    let place = opened(ask(
        directory,
        Operation::Open,
        [flags.bits().into(), resolve.bits(), 0],
        path,
    )?)?;
    match !flags.contains(OFlags::PATH) && is_local(place.as_fd())? {
        true => reader::reopen(place.as_fd(), flags - OFlags::NOFOLLOW),
        false => Ok(place),
    }
}

/// Opens a path in the caller's own view of the file systems. Symbolic links are followed, including those below
/// `/proc/PID`.
pub(crate) fn open_path(path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let here = openat(
        CWD,
        c".",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    open_below(here.as_fd(), path, flags, ResolveFlags::empty())
}

fn opened(answer: Answer) -> Result<OwnedFd, Errno> {
    answer.file.ok_or(Errno::IO)
}

/// Returns the target of the symbolic link at `path` below `directory`.
pub(crate) fn link_target(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<u8>, Errno> {
    if is_local(directory)? {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat2(directory, path, flags, Mode::empty(), ResolveFlags::NO_XDEV) {
            Ok(link) => return readlinkat(&link, c"", Vec::new()).map(std::ffi::CString::into_bytes),
            Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ask(directory, Operation::Link, [0; 3], path)?.content)
}

/// Returns the names in a directory that is open for reading, without `.` and `..`.
pub(crate) fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    if is_local(directory)? {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        return Ok(names);
    }
    let content = ask(directory, Operation::Names, [0; 3], b"")?.content;
    let names = content.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(<[u8]>::to_vec).collect())
}

/// Reads from the byte offset `offset`, like pread(2).
pub(crate) fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    if is_local(file)? {
        return pread(file, buffer, offset);
    }
    let answer = ask(file, Operation::Read, [offset, buffer.len() as u64, 0], b"")?;
    let read = answer.content.get(..buffer.len()).unwrap_or(&answer.content);
    buffer[..read.len()].copy_from_slice(read);
    Ok(read.len())
}

/// Seeks to the next data, or with `hole` to the next hole, at or after `offset`, like lseek(2).
pub(crate) fn seek_content(file: BorrowedFd<'_>, offset: u64, hole: bool) -> Result<u64, Errno> {
    if is_local(file)? {
        return seek(
            file,
            if hole {
                SeekFrom::Hole(offset)
            } else {
                SeekFrom::Data(offset)
            },
        );
    }
    let answer = ask(file, Operation::Seek, [offset, hole.into(), 0], b"")?.content;
    Ok(u64::from_ne_bytes(answer.try_into().map_err(|_| Errno::IO)?))
}

/// The answer of a reader.
#[derive(Debug, Default)]
struct Answer {
    content: Vec<u8>,
    file: Option<OwnedFd>,
}

/// The idle reader, and those that have not answered.
#[derive(Debug)]
struct Readers {
    idle: Option<Reader>,
    /// Each with the device that it waits for.
    waiting: Vec<(u64, rustix::process::Pid)>,
}

static READERS: Mutex<Readers> = Mutex::new(Readers {
    idle: None,
    waiting: Vec::new(),
});

/// Sends a request about `file` to a reader. Returns [`Errno::TIMEDOUT`] if the file system does not answer.
fn ask(file: BorrowedFd<'_>, operation: Operation, arguments: [u64; 3], path: &[u8]) -> Result<Answer, Errno> {
    let mut request = Request::new(operation, arguments, path);
    let device = place_of(file)?.device;
    let mut readers = lock(&READERS);
    readers.waiting.retain(|(_, process)| {
        // A process that is no longer our child has ended as well.
        matches!(waitpid(Some(*process), WaitOptions::NOHANG), Ok(None))
    });
    // Refuse to wait for a further unresponsive file system when the limit is reached.
    if readers.waiting.len() >= UNRESPONSIVE_MAX || readers.waiting.iter().any(|(one, _)| *one == device) {
        return Err(Errno::TIMEDOUT);
    }
    for (place, (device, _)) in request.unresponsive.iter_mut().zip(&readers.waiting) {
        *place = *device;
    }
    let packet = request.packet().ok_or(Errno::NAMETOOLONG)?;
    for attempt in 0..2 {
        let reader = match readers.idle.take() {
            Some(reader) => reader,
            None => reader::start().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?,
        };
        let mut at = device;
        match exchange(&reader, &packet, file, &mut at) {
            Err(Lost::Late) => {
                readers.waiting.push((at, reader.process));
                return Err(Errno::TIMEDOUT);
            }
            Err(Lost::Ended) if attempt == 0 => drop(waitpid(Some(reader.process), WaitOptions::NOHANG)),
            Err(Lost::Ended) => return Err(Errno::IO),
            Ok(answer) => {
                readers.idle = Some(reader);
                return answer;
            }
        }
    }
    Err(Errno::IO)
}

enum Lost {
    /// The reader did not answer in time.
    Late,
    /// The reader has ended.
    Ended,
}

/// Sends one request and receives its answer. `at` is set to the device of the last file that the reader was about to
/// access.
fn exchange(reader: &Reader, packet: &[u8], file: BorrowedFd<'_>, at: &mut u64) -> Result<Result<Answer, Errno>, Lost> {
    let socket = reader.socket.as_fd();
    let files = [file];
    let mut space = [MaybeUninit::uninit(); ANCILLARY];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    let sent = sendmsg(socket, &[IoSlice::new(packet)], &mut ancillary, SendFlags::NOSIGNAL);
    sent.map_err(|_| Lost::Ended)?;
    let mut answer = Answer::default();
    let mut buffer = vec![0; ANSWER_MAX];
    let mut end = Instant::now() + LIMIT;
    loop {
        wait(socket, end)?;
        let mut space = [MaybeUninit::uninit(); ANCILLARY];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg(
            socket,
            &mut parts,
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
        );
        let received = match received {
            Ok(received) => received.bytes,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => return Err(Lost::Ended),
        };
        let file = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        match wire::parse_answer(&buffer[..received]) {
            None => return Err(Lost::Ended),
            Some((Kind::At, _, device)) => *at = device.try_into().map_or(*at, u64::from_ne_bytes),
            Some((Kind::Part, _, content)) => {
                answer.content.extend_from_slice(content);
                if answer.content.len() > MOST_NAMES {
                    return Err(Lost::Late);
                }
                end = Instant::now() + LIMIT;
            }
            Some((Kind::End, 0, _)) => {
                answer.file = file;
                return Ok(Ok(answer));
            }
            Some((Kind::End, error, _)) => return Ok(Err(Errno::from_raw_os_error(error))),
        }
    }
}

/// Waits until data can be received, or the deadline `end` has passed.
fn wait(socket: BorrowedFd<'_>, end: Instant) -> Result<(), Lost> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Lost::Late)?;
        match poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(Lost::Late),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(_) => return Err(Lost::Ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use netstat_testkit::{fuse::FuseMount, own_namespace};

    use super::*;
    use crate::files;

    /// The number of running child processes of this process.
    fn children() -> usize {
        let read = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let lists = read.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
        lists.map(|list| list.split_whitespace().count()).sum()
    }

    #[test]
    fn files_of_others_are_read_through_a_process() {
        own_namespace!();
        let content: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
        let Some(mounted) = FuseMount::new(&[("one", content.clone()), ("two", b"2".to_vec())]) else {
            return;
        };
        let file = files::open_foreign(&mounted.file("one")).unwrap();
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut files::content(&file), &mut read).unwrap();
        assert_eq!(read, content);
        let metadata = std::fs::metadata(mounted.file("one")).unwrap();
        let facts = files::facts(&file).unwrap();
        assert_eq!(facts.size, 300_000);
        assert_eq!(facts.inode, std::os::unix::fs::MetadataExt::ino(&metadata));
        assert_eq!(facts.device, std::os::unix::fs::MetadataExt::dev(&metadata));
        let directory = files::Directory::open(mounted.path()).unwrap();
        assert_eq!(directory.names().unwrap(), [b"one", b"two"]);
        assert!(matches!(directory.file(b"two").unwrap(), files::Opened::Is(_)));
        assert_eq!(
            directory.file(b"three").unwrap_err().kind(),
            std::io::ErrorKind::NotFound
        );
        assert_eq!(children(), 1, "one process reads them all");
    }

    #[test]
    fn silent_file_system_costs_one_process_and_recovers() {
        own_namespace!();
        let Some(mounted) = FuseMount::new(&[("one", b"1".to_vec())]) else {
            return;
        };
        let open = files::open_foreign(&mounted.file("one")).unwrap();
        mounted.fall_silent();
        let late = |error: std::io::Error| assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        late(files::facts(&open).unwrap_err());
        assert_eq!(mounted.unanswered(), 1);
        for number in 0..1000 {
            late(files::path_facts(&mounted.file(&number.to_string())).unwrap_err());
            late(files::read_at(&open, &mut [0; 8], 0).unwrap_err());
        }
        assert_eq!(mounted.unanswered(), 1, "asked once");
        assert!(children() <= 2, "the process that waits, and one that works");
        // Other file systems are still readable.
        let other = FuseMount::new(&[("fine", b"fine".to_vec())]).unwrap();
        assert_eq!(files::path_facts(&other.file("fine")).unwrap().size, 4);
        drop(mounted);
        netstat_testkit::eventually(
            || files::facts(&open).is_err_and(|error| error.kind() != std::io::ErrorKind::TimedOut),
            || "the device still counts as unresponsive".to_owned(),
        );
    }

    #[test]
    fn path_through_a_silent_file_system_is_not_followed_twice() {
        own_namespace!();
        let Some(mounted) = FuseMount::new(&[("one", b"1".to_vec())]) else {
            return;
        };
        mounted.fall_silent();
        let name = mounted.path().file_name().unwrap().to_str().unwrap();
        let path = format!("/{name}/one");
        for _ in 0..50 {
            let error = files::status_in(mounted.path().parent().unwrap(), path.as_bytes());
            assert_eq!(error, Err(netstat_model::Why::NoAnswer));
        }
        assert_eq!(mounted.unanswered(), 1);
    }

    #[test]
    fn limit_is_the_one_in_words() {
        let words = netstat_model::Why::NoAnswer.words();
        assert!(words.contains(&format!("within {} s", LIMIT.as_secs())), "{words}");
    }
}
