//! Reads the facts about one process.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

use netstat_model::process::{
    Ancestor, Descriptor, Descriptors, Namespaces, OpenKinds, OpenPipe, Pipe, ProcessFacts, ProcessNamespace, Terminal,
};
use netstat_model::{Fact, Why, text::plain_error};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, openat, readlinkat_raw, statat};
use rustix::io::Errno;

use super::program::{self, trimmed};
use super::status::{Status, parse_status};
use super::texts::{
    parse_arguments, parse_cgroup_path, parse_environment, parse_executable_mappings, parse_memory, parse_namespace,
};
use super::{fact, failed, why_optional};
use crate::linux::owners::process::{ProcessDir, small_number, why};
use crate::linux::owners::table::BUFFER;
use crate::linux::owners::{Stat, components, parse_stat};
use crate::linux::{bounded, privilege};
use crate::{DescriptorsAsk, NoProcess, ProcessAsk};

/// `(uid_t)-1` in `/proc/PID/loginuid`: the process does not originate from a login (proc_pid_loginuid(5)).
const NO_LOGIN: u32 = u32::MAX;

/// The maximum number of ancestors, more than any real process has; protects against an endless chain.
const MOST_ANCESTORS: usize = 256;

/// The paths of the device that opens the master sides of pseudoterminals (pts(4)).
const MASTERS: [&[u8]; 2] = [b"/dev/ptmx", b"/dev/pts/ptmx"];

/// Returns the facts in `/proc/PID/stat`.
fn of_stat(pid: u32, stat: &Stat<'_>) -> ProcessFacts {
    let mut facts = ProcessFacts::bare(pid, stat.start_ticks, Why::NotAsked);
    facts.started = started(stat.start_ticks);
    facts.comm = stat.comm.to_vec();
    facts.state = stat.state;
    facts.parent = stat.parent;
    facts.group = stat.group;
    facts.session = stat.session;
    facts.terminal = Terminal::from_number(stat.terminal);
    facts.threads = stat.threads;
    facts.kernel_thread = stat.is_kernel_thread();
    facts
}

/// Returns the control group from the text of `/proc/PID/cgroup`, if it could be read.
fn cgroup(read: Fact<()>, text: &[u8]) -> Fact<Vec<u8>> {
    match read {
        Fact::Known(()) => match parse_cgroup_path(text) {
            Some(path) => Fact::Known(path.to_vec()),
            None => Fact::Unknown(Why::NotKept),
        },
        Fact::Unknown(why) => Fact::Unknown(why),
    }
}

/// The state of reading a process.
pub(super) struct Look<'a> {
    proc: BorrowedFd<'a>,
    /// The directory of the process.
    dir: &'a ProcessDir,
    ask: &'a ProcessAsk,
    text: Vec<u8>,
}

impl<'a> Look<'a> {
    pub(super) fn new(proc: BorrowedFd<'a>, dir: &'a ProcessDir, ask: &'a ProcessAsk) -> Self {
        Look {
            proc,
            dir,
            ask,
            text: Vec::new(),
        }
    }

    /// Whether the process has executed another program since `facts` were read.
    pub(super) fn changed(&mut self, facts: &ProcessFacts) -> bool {
        let Some(program) = facts.program.as_ref().known() else {
            return false;
        };
        match self.dir.exe(&mut self.text) {
            Ok(reported) => reported != program.reported,
            // The process or its main thread has ended: what was read is consistent.
            Err(_) => false,
        }
    }

    /// Reads everything that was requested.
    ///
    /// # Errors
    /// See [`NoProcess`].
    pub(super) fn read(&mut self, pid: u32) -> Result<ProcessFacts, NoProcess> {
        let mut text = std::mem::take(&mut self.text);
        self.dir.text(c"stat", &mut text).map_err(failed)?;
        let stat = parse_stat(&text).map_err(|error| NoProcess::Failed(plain_error(&error)))?;
        let mut facts = of_stat(pid, &stat);
        // The main thread may have ended while others continue to run: its memory, program and descriptors are not
        // visible any more.
        let living = match stat.first_has_ended() {
            true => self.dir.living_thread(pid),
            false => None,
        };
        let dir = living.as_ref().unwrap_or(self.dir);

        self.dir.text(c"status", &mut text).map_err(failed)?;
        let status = parse_status(&text);
        if let Fact::Known(process) = status.process
            && process != pid
        {
            return Err(NoProcess::ThreadOf(process));
        }
        facts.kernel_thread = status.kernel_thread.known().unwrap_or(facts.kernel_thread);
        if self.ask.standing {
            self.credentials(status, &mut facts, &mut text);
        }
        if self.ask.arguments {
            facts.arguments = fact(dir.text(c"cmdline", &mut text)).map(|()| parse_arguments(&text));
        }
        if self.ask.environment {
            // The environment may contain secrets. Callers who may not read it themselves must not get it through
            // capabilities from the executable file.
            let _own = privilege::callers_own();
            facts.environment = fact(dir.text(c"environ", &mut text)).map(|()| parse_environment(&text));
        }
        if self.ask.program {
            facts.program = match facts.kernel_thread {
                true => Fact::Unknown(Why::NotApplicable),
                false => program::read(dir, self.ask.directories, &mut text),
            };
        }
        if self.ask.places {
            facts.directory = fact(dir.link(c"cwd", &mut text)).map(|()| text.clone());
            facts.root = fact(dir.link(c"root", &mut text)).map(|()| text.clone());
        }
        if self.ask.namespaces {
            facts.namespaces = self.namespaces(dir, &mut text);
        }
        if self.ask.components {
            let read = fact(self.dir.text(c"cgroup", &mut text));
            facts.components = read.map(|()| components(&text));
            facts.cgroup = cgroup(read, &text);
        }
        if self.ask.memory {
            facts.memory = match dir.text(c"smaps_rollup", &mut text) {
                Ok(()) => parse_memory(&text),
                // Kernel threads have no memory of their own.
                Err(Errno::SRCH) if facts.kernel_thread => Fact::Unknown(Why::NotApplicable),
                Err(error) => Fact::Unknown(why_optional(error)),
            };
        }
        if self.ask.descriptors != DescriptorsAsk::Nothing {
            facts.descriptors = fact(self.descriptors(dir));
        }
        if self.ask.executable {
            facts.executable = fact(dir.text(c"maps", &mut text)).map(|()| {
                let mut mappings = parse_executable_mappings(&text);
                program::name_mapped_files(dir, &mut mappings);
                mappings
            });
        }
        if self.ask.ancestors {
            facts.ancestors = self.ancestors(facts.parent, facts.start_ticks, &mut text);
        }
        self.text = text;
        Ok(facts)
    }

    /// Fills in the users and groups of the process, and what it may do.
    fn credentials(&self, status: Status, facts: &mut ProcessFacts, text: &mut Vec<u8>) {
        facts.users = status.users;
        facts.groups = status.groups;
        facts.other_groups = status.other_groups;
        facts.capabilities = status.capabilities;
        facts.tracer = status.tracer;
        facts.no_new_privileges = status.no_new_privileges;
        facts.seccomp = status.seccomp;
        facts.inner_pids = status.inner_pids;
        facts.login_user = self.login_user(text);
        facts.label = match self.dir.text(c"attr/current", text) {
            Ok(()) => Fact::Known(trimmed(text)),
            Err(error) => Fact::Unknown(why_optional(error)),
        };
    }

    fn login_user(&self, text: &mut Vec<u8>) -> Fact<Option<u32>> {
        match self.dir.text(c"loginuid", text) {
            Ok(()) => match small_number(text.trim_ascii()) {
                Some(user) => Fact::Known((user != NO_LOGIN).then_some(user)),
                None => Fact::Unknown(Why::Failed),
            },
            Err(error) => Fact::Unknown(why_optional(error)),
        }
    }

    fn namespaces(&self, dir: &ProcessDir, text: &mut Vec<u8>) -> Namespaces {
        let own = ProcessDir::named(self.proc, c"thread-self");
        let mut one = |name: &std::ffi::CStr| {
            let mut number = |dir: &ProcessDir| -> Result<Option<u64>, Errno> {
                dir.link(name, text)?;
                Ok(parse_namespace(text))
            };
            let theirs = match number(dir) {
                Ok(Some(inode)) => inode,
                Ok(None) => return Fact::Unknown(Why::Failed),
                Err(error) => return Fact::Unknown(why_optional(error)),
            };
            match own.as_ref().map(&mut number) {
                Ok(Ok(Some(own))) => Fact::Known(ProcessNamespace {
                    inode: theirs,
                    ours: own == theirs,
                }),
                _ => Fact::Unknown(Why::Failed),
            }
        };
        Namespaces {
            mount: one(c"ns/mnt"),
            network: one(c"ns/net"),
            pid: one(c"ns/pid"),
            user: one(c"ns/user"),
        }
    }

    fn descriptors(&self, dir: &ProcessDir) -> Result<Descriptors, Errno> {
        let all = self.ask.descriptors == DescriptorsAsk::All;
        let access = if all { OFlags::RDONLY } else { OFlags::PATH };
        let table = openat(
            dir.as_fd(),
            c"fd",
            access | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let standard = [c"0", c"1", c"2"].map(|name| {
            let mut target = [MaybeUninit::uninit(); 4096];
            match readlinkat_raw(&table, name, &mut target) {
                Ok((target, _)) => Fact::Known(Some(program::descriptor(dir, table.as_fd(), name, target))),
                Err(Errno::NOENT) => Fact::Known(None),
                Err(error) => Fact::Unknown(why(error)),
            }
        });
        if let [Fact::Unknown(Why::NotPermitted), ..] = standard {
            return Err(Errno::ACCESS);
        }
        let mut found = Descriptors {
            count: self.count(dir),
            standard,
            kinds: Fact::Unknown(Why::NotAsked),
            sockets: Fact::Unknown(Why::NotAsked),
            anonymous: Fact::Unknown(Why::NotAsked),
            pipes: Fact::Unknown(Why::NotAsked),
            masters: Fact::Unknown(Why::NotAsked),
        };
        if all {
            list(dir, &table, &mut found)?;
        }
        Ok(found)
    }

    /// Returns the number of descriptors, which is the size of the directory since Linux 6.2.
    fn count(&self, dir: &ProcessDir) -> Fact<u64> {
        let size = |dir: BorrowedFd<'_>| statat(dir, c"fd", AtFlags::empty()).map(|stat| stat.st_size as u64);
        match size(dir.as_fd()) {
            Ok(0) => {
                // An older kernel reports 0 for the caller as well, which always has some.
                let own = ProcessDir::named(self.proc, c"self").and_then(|own| size(own.as_fd()));
                match own {
                    Ok(1..) => Fact::Known(0),
                    _ => Fact::Unknown(Why::NotSupported),
                }
            }
            other => fact(other),
        }
    }

    fn ancestors(&self, parent: u32, start: u64, text: &mut Vec<u8>) -> Fact<Vec<Ancestor>> {
        let mut chain: Vec<Ancestor> = Vec::new();
        let (mut pid, mut younger) = (parent, start);
        while pid != 0 && chain.len() < MOST_ANCESTORS {
            let ancestor = match self.ancestor(pid, text) {
                // A parent that started later is another process: the real one has ended, and its id is in use again.
                Ok(ancestor) if ancestor.start_ticks > younger => return Fact::Unknown(Why::Gone),
                Ok(ancestor) => ancestor,
                Err(why) if chain.is_empty() => return Fact::Unknown(why),
                // The ancestors above are hidden from the caller; the last visible one contains the id of its parent.
                Err(_) => break,
            };
            (pid, younger) = (ancestor.parent, ancestor.start_ticks);
            chain.push(ancestor);
        }
        Fact::Known(chain)
    }

    fn ancestor(&self, pid: u32, text: &mut Vec<u8>) -> Result<Ancestor, Why> {
        let dir = ProcessDir::open(self.proc, pid).map_err(why)?;
        dir.text(c"stat", text).map_err(why)?;
        let stat = parse_stat(text).map_err(|_| Why::Failed)?;
        let mut ancestor = Ancestor {
            pid,
            start_ticks: stat.start_ticks,
            parent: stat.parent,
            comm: stat.comm.to_vec(),
            path: Fact::Unknown(Why::NotApplicable),
            arguments: Fact::Unknown(Why::NotApplicable),
        };
        if !stat.is_kernel_thread() {
            ancestor.path = fact(dir.link(c"exe", text)).map(|()| program::unmarked(text).to_vec());
            ancestor.arguments = fact(dir.text(c"cmdline", text)).map(|()| parse_arguments(text));
        }
        Ok(ancestor)
    }
}

/// Fills in the facts that require reading every descriptor.
fn list(dir: &ProcessDir, table: &impl std::os::fd::AsFd, found: &mut Descriptors) -> Result<(), Errno> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(table, buffer.spare_capacity_mut());
    let mut kinds = OpenKinds::default();
    let (mut sockets, mut anonymous) = (Vec::new(), Vec::new());
    let (mut pipes, mut masters) = (Vec::new(), Vec::new());
    let mut text = Vec::new();
    let mut count = 0;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if small_number(entry.file_name().to_bytes()).is_none() {
            continue;
        }
        let mut target = [MaybeUninit::uninit(); 4096];
        let descriptor = match readlinkat_raw(table, entry.file_name(), &mut target) {
            Ok((target, _)) => program::descriptor(dir, table.as_fd(), entry.file_name(), target),
            // Closed in the meantime.
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        count += 1;
        kinds.add(&descriptor);
        match descriptor {
            Descriptor::Socket(inode) => sockets.push(inode),
            Descriptor::Anonymous(name) => anonymous.push(name),
            Descriptor::Pipe(inode) => pipes.push(open_pipe(table, entry.file_name(), Pipe::Unnamed(inode))),
            Descriptor::Path { path, .. } if MASTERS.contains(&path.as_slice()) => {
                let name = [b"fdinfo/", entry.file_name().to_bytes(), b"\0"].concat();
                let read = std::ffi::CStr::from_bytes_with_nul(&name).map(|name| dir.text(name, &mut text));
                masters.extend(matches!(read, Ok(Ok(()))).then(|| terminal_index(&text)).flatten());
            }
            Descriptor::Path { path, .. } if !path.starts_with(b"/dev/") => {
                // This reads only attributes: it does not open a FIFO, and does not involve the file system's server.
                if let Ok(file) = bounded::remembered(table.as_fd(), entry.file_name())
                    && FileType::from_raw_mode(file.mode) == FileType::Fifo
                {
                    let (device, inode) = (file.device, file.inode);
                    pipes.push(open_pipe(table, entry.file_name(), Pipe::Named { device, inode, path }));
                }
            }
            _ => {}
        }
    }
    sockets.sort_unstable();
    sockets.dedup();
    anonymous.sort_unstable();
    anonymous.dedup();
    found.count = Fact::Known(count);
    found.kinds = Fact::Known(kinds);
    found.sockets = Fact::Known(sockets);
    found.anonymous = Fact::Known(anonymous);
    pipes.sort_unstable();
    pipes.dedup();
    masters.sort_unstable();
    masters.dedup();
    found.pipes = Fact::Known(pipes);
    found.masters = Fact::Known(masters);
    Ok(())
}

/// Determines how a pipe is open from the permissions of the descriptor's link (proc_pid_fd(5)).
fn open_pipe(table: &impl std::os::fd::AsFd, name: &std::ffi::CStr, pipe: Pipe) -> OpenPipe {
    let mode = statat(table, name, AtFlags::SYMLINK_NOFOLLOW).map_or(0, |stat| stat.st_mode);
    OpenPipe {
        pipe,
        reads: mode & 0o400 != 0,
        writes: mode & 0o200 != 0,
    }
}

/// Parses the index of the terminal in the text of `/proc/PID/fdinfo/FD` of its master side (`tty-index:`, since Linux
/// 4.14).
fn terminal_index(text: &[u8]) -> Option<u32> {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.find_map(|line| small_number(line.strip_prefix(b"tty-index:")?.trim_ascii()))
}

/// Returns the time `ticks` after boot by the current clock, so that a clock that was set since then does not shift it.
fn started(ticks: u64) -> Fact<SystemTime> {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(clock.tv_sec), u32::try_from(clock.tv_nsec)) else {
        return Fact::Unknown(Why::Failed);
    };
    let boot = SystemTime::now().checked_sub(Duration::new(seconds, nanoseconds));
    let after = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    Fact::from_option(boot.and_then(|boot| boot.checked_add(after)), Why::Failed)
}
