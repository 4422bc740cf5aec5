//! Finds running processes that `/proc` does not show: those whose directory is covered by a mount, and those that are
//! not listed although the kernel knows their id.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use netstat_model::Concealment;
use rustix::process::{Pid, test_kill_process};

use super::process::{ProcessDir, parse_stat, read_text, small_number};

/// Returns the ids of processes whose directory in `root` (usually `/proc`), or something below it, is covered by a
/// mount, in ascending order.
pub(crate) fn covered(proc: BorrowedFd<'_>, root: &Path) -> Vec<u32> {
    let mut text = Vec::new();
    match read_text(proc, c"self/mountinfo", &mut text) {
        Ok(()) => covered_in(&text, root.as_os_str().as_bytes()),
        // Without mountinfo, nothing indicates such a mount.
        Err(_) => Vec::new(),
    }
}

/// Implements [`covered`] on the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
fn covered_in(mountinfo: &[u8], root: &[u8]) -> Vec<u32> {
    let process = |line: &[u8]| {
        let point = line.split(|&byte| byte == b' ').nth(4)?;
        let below = point.strip_prefix(root)?.strip_prefix(b"/")?;
        small_number(below.split(|&byte| byte == b'/').next()?)
    };
    let mut pids: Vec<u32> = mountinfo.split(|&byte| byte == b'\n').filter_map(process).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Opens the `/proc` mounted at `root` without the mounts on top of parts of it: as a detached mount (open_tree(2),
/// Linux 5.2). `None` without CAP_SYS_ADMIN.
pub(crate) fn uncovered(root: &Path) -> Option<OwnedFd> {
    /// `OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC` (linux/mount.h); without `AT_RECURSIVE`, mounts below are not cloned.
    const CLONE_CLOEXEC: libc::c_uint = 1 | libc::O_CLOEXEC as libc::c_uint;
    let path = CString::new(root.as_os_str().as_bytes()).ok()?;
    // SAFETY: open_tree(2) reads the zero-terminated path and returns a new descriptor or -1.
    let result = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), CLONE_CLOEXEC) };
    let descriptor = i32::try_from(result).ok().filter(|&descriptor| descriptor >= 0)?;
    // SAFETY: the system call has just created this descriptor, and nothing else owns it.
    let clone = unsafe { OwnedFd::from_raw_fd(descriptor) };
    debug_assert!(clone.as_raw_fd() >= 0);
    Some(clone)
}

/// Returns how process `pid` is concealed if it runs although `/proc` does not show it: its directory is missing or
/// belongs to another process, but the kernel knows the id. `covered` contains the processes that are covered by a
/// mount.
pub(crate) fn concealment(proc: BorrowedFd<'_>, covered: &[u32], pid: u32) -> Option<Concealment> {
    if !runs(pid) {
        return None;
    }
    if covered.binary_search(&pid).is_ok() {
        return Some(Concealment::Mount);
    }
    let mut text = Vec::new();
    let told = ProcessDir::open(proc, pid).and_then(|dir| dir.text(c"stat", &mut text));
    let is_shown = told.is_ok() && parse_stat(&text).is_ok_and(|stat| stat.pid == pid);
    // It may have ended since the check.
    (!is_shown && runs(pid)).then_some(Concealment::NotListed)
}

/// Whether the kernel knows a process or thread with this id.
fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

/// Returns the ids of running processes that are not among `listed` (ascending). Tries every possible id, at about 0.2
/// µs each.
pub(crate) fn unlisted(proc: BorrowedFd<'_>, listed: &[u32]) -> Vec<u32> {
    /// `PID_MAX_LIMIT` of the kernel's include/linux/threads.h.
    const MOST: u32 = 4 << 20;
    let mut text = Vec::new();
    let last = match read_text(proc, c"sys/kernel/pid_max", &mut text) {
        Ok(()) => small_number(text.trim_ascii()).unwrap_or(MOST).min(MOST),
        Err(_) => MOST,
    };
    let is_process = |&pid: &u32| {
        // Threads have ids, too, and directories that are not listed.
        let mut text = Vec::new();
        match ProcessDir::open(proc, pid).and_then(|dir| dir.text(c"status", &mut text)) {
            Ok(()) => group(&text) == Some(pid),
            Err(_) => runs(pid),
        }
    };
    (1..=last)
        .filter(|pid| listed.binary_search(pid).is_err() && runs(*pid))
        .filter(is_process)
        .collect()
}

/// Parses the id of the process that a thread belongs to (`Tgid`) from the text of `/proc/PID/status`.
fn group(status: &[u8]) -> Option<u32> {
    let mut lines = status.split(|&byte| byte == b'\n');
    small_number(lines.find_map(|line| line.strip_prefix(b"Tgid:"))?.trim_ascii())
}

/// Opens `/proc` without the mounts on top of it if the directory of process `pid` is covered by one; `None` otherwise.
pub(crate) fn sight_of(proc: BorrowedFd<'_>, root: &Path, pid: u32) -> Option<OwnedFd> {
    match covered(proc, root).binary_search(&pid) {
        Ok(_) => uncovered(root),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    use rustix::fs::{CWD, Mode, OFlags, openat};

    fn proc() -> OwnedFd {
        openat(
            CWD,
            "/proc",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap()
    }

    #[test]
    fn mounts_over_process_directories_are_found() {
        let text = b"22 27 0:21 / /proc rw - proc proc rw\n\
            30 22 8:1 /tmp/empty /proc/8655 rw - ext4 /dev/root rw\n\
            31 22 0:40 / /proc/77/fd rw - tmpfs tmpfs rw\n\
            32 22 0:41 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n\
            33 22 0:41 / /procs/5 rw - tmpfs tmpfs rw\n";
        assert_eq!(covered_in(text, b"/proc"), [77, 8655]);
        assert_eq!(covered_in(b"", b"/proc"), [0u32; 0]);
    }

    #[test]
    fn process_missing_in_the_list_is_found_by_its_id() {
        let proc = proc();
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut listed = super::super::process_ids(proc.as_fd()).unwrap();
        listed.retain(|&pid| pid != child.id());
        let found = unlisted(proc.as_fd(), &listed);
        let shown = concealment(proc.as_fd(), &[], child.id());
        let under_a_mount = concealment(proc.as_fd(), &[child.id()], child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&child.id()) && !found.contains(&own), "{found:?}");
        assert_eq!((shown, under_a_mount), (None, Some(Concealment::Mount)));
        assert_eq!(concealment(proc.as_fd(), &[child.id()], child.id()), None);
    }
}
