//! The reasons why a socket has no known owner.

use std::os::fd::BorrowedFd;

use netstat_model::NoOwner;

use super::process::read_text;

/// The inode of the initial PID namespace (`PROC_PID_INIT_INO` in the kernel's `include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: &[u8] = b"pid:[4026531836]";

/// The inode of the initial user namespace (`PROC_USER_INIT_INO`).
const INITIAL_USER_NAMESPACE: &[u8] = b"user:[4026531837]";

/// `CAP_SYS_PTRACE` in the kernel's `include/uapi/linux/capability.h`.
const CAP_SYS_PTRACE: u32 = 19;

/// What a search could see, as far as it explains what was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The number of processes whose descriptors may not be read.
    pub(crate) denied: u32,
    /// Whether `/proc` hides other users' processes from the caller (`hidepid`).
    pub(crate) hides: bool,
    /// Whether some processes could not be read for a reason other than missing privileges.
    pub(crate) failed: bool,
    /// Whether the caller is in the initial PID namespace and therefore sees all processes; `None` if that is unknown.
    pub(crate) initial_pid_namespace: Option<bool>,
}

impl Sight {
    /// Returns the reason for an existing socket for which no search found a holder. `kernel` is whether it is a socket
    /// of the kernel; `None` if that is unknown.
    ///
    /// [`NoOwner::Hidden`] raises an alarm, so it requires that all processes of the system are visible, that all of
    /// them were read, and that it is not a socket of the kernel.
    pub(crate) fn reason(&self, kernel: Option<bool>) -> NoOwner {
        if kernel == Some(true) {
            return NoOwner::Kernel;
        }
        if self.denied > 0 || self.hides {
            return NoOwner::NotPermitted { user: None };
        }
        if self.failed {
            return NoOwner::NoProcessList;
        }
        match (self.initial_pid_namespace, kernel) {
            (Some(false), Some(false)) => NoOwner::OtherNamespace,
            (Some(false), _) => NoOwner::UnheldHere,
            (Some(true), Some(false)) => NoOwner::Hidden,
            _ => NoOwner::Unheld,
        }
    }
}

/// Returns why root may not read every process.
pub(crate) fn refusal_to_root(proc: BorrowedFd<'_>) -> &'static str {
    let mut text = Vec::new();
    let has = read_text(proc, c"self/status", &mut text)
        .ok()
        .and_then(|()| effective_capabilities(&text))
        .map(|set| set & (1 << CAP_SYS_PTRACE) != 0);
    match has {
        Some(false) => "this root lacks CAP_SYS_PTRACE (for a container: --cap-add SYS_PTRACE)",
        _ => {
            "they have more capabilities than this root, or are in another user namespace, or a security module forbids it"
        }
    }
}

/// Whether the caller is in the initial PID namespace; `None` if `/proc` does not tell.
pub(crate) fn in_initial_pid_namespace(proc: BorrowedFd<'_>) -> Option<bool> {
    let mut target = [std::mem::MaybeUninit::uninit(); 40];
    let (target, _) = rustix::fs::readlinkat_raw(proc, c"self/ns/pid", &mut target).ok()?;
    Some(target == INITIAL_PID_NAMESPACE)
}

/// Whether `/proc` hides other users' processes from the caller: it is mounted with `hidepid` 2 or 4 (proc(5)), and the
/// caller may not trace every process and is not in the exempt group.
pub(crate) fn hides_processes(proc: BorrowedFd<'_>) -> bool {
    let mut text = Vec::new();
    if read_text(proc, c"self/mountinfo", &mut text).is_err() {
        // Without mountinfo, assume the default: the option is off.
        return false;
    }
    let hiding = hiding(&text, b"/proc");
    let exempt_group = match hiding {
        Hiding::Nothing => return false,
        Hiding::OtherUsers { exempt_group } => exempt_group,
        Hiding::Untraceable => None,
    };
    let in_group = exempt_group.is_some_and(|gid| {
        rustix::process::getegid().as_raw() == gid
            || rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
    });
    !in_group && !may_trace_all(proc)
}

/// Whether the caller has `CAP_SYS_PTRACE` over all processes: effective, and in the initial user namespace.
fn may_trace_all(proc: BorrowedFd<'_>) -> bool {
    let mut target = [std::mem::MaybeUninit::uninit(); 40];
    let initial = rustix::fs::readlinkat_raw(proc, c"self/ns/user", &mut target)
        .is_ok_and(|(target, _)| target == INITIAL_USER_NAMESPACE);
    let mut text = Vec::new();
    initial
        && read_text(proc, c"self/status", &mut text).is_ok()
        && effective_capabilities(&text).is_some_and(|set| set & (1 << CAP_SYS_PTRACE) != 0)
}

/// Parses the effective capabilities (`CapEff`, one bit each) in the text of `/proc/PID/status`.
fn effective_capabilities(status: &[u8]) -> Option<u64> {
    let value = status
        .split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(b"CapEff:"))?;
    u64::from_str_radix(std::str::from_utf8(value.trim_ascii()).ok()?, 16).ok()
}

/// What a mount of procfs hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hiding {
    /// All processes are listed.
    Nothing,
    /// `hidepid=2` or `invisible`: other users' processes are hidden, except from members of a group.
    OtherUsers { exempt_group: Option<u32> },
    /// `hidepid=4` or `ptraceable`: only processes that the caller may trace are listed.
    Untraceable,
}

/// Returns what the procfs mounted at `mount_point` hides, from the text of `/proc/self/mountinfo`
/// (proc_pid_mountinfo(5)). The last of several mounts at the same place is on top.
fn hiding(mountinfo: &[u8], mount_point: &[u8]) -> Hiding {
    let mut result = Hiding::Nothing;
    for line in mountinfo.split(|&b| b == b'\n') {
        let mut fields = line.split(|&b| b == b' ');
        if fields.nth(4) != Some(mount_point) {
            continue;
        }
        // Optional fields end with a single `-`; then follow the type, the source and the options of the file system.
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        if rest.next() != Some(b"proc") {
            result = Hiding::Nothing;
            continue;
        }
        let options = rest.nth(1).unwrap_or_default();
        let mut exempt_group = None;
        let mut level: &[u8] = b"";
        for option in options.split(|&b| b == b',') {
            if let Some(value) = option.strip_prefix(b"hidepid=") {
                level = value;
            } else if let Some(gid) = option.strip_prefix(b"gid=") {
                exempt_group = super::process::small_number(gid);
            }
        }
        result = match level {
            b"2" | b"invisible" => Hiding::OtherUsers { exempt_group },
            b"4" | b"ptraceable" => Hiding::Untraceable,
            _ => Hiding::Nothing,
        };
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Sight = Sight {
        denied: 0,
        hides: false,
        failed: false,
        initial_pid_namespace: Some(true),
    };

    #[test]
    fn reason_without_owner_follows_from_evidence() {
        let denied = Sight { denied: 1, ..ALL };
        let hides = Sight { hides: true, ..ALL };
        let failed = Sight { failed: true, ..ALL };
        let inner = Sight {
            initial_pid_namespace: Some(false),
            ..ALL
        };
        let unsure = Sight {
            initial_pid_namespace: None,
            ..ALL
        };
        let not_permitted = NoOwner::NotPermitted { user: None };
        for (sight, kernel, expected) in [
            (ALL, Some(false), NoOwner::Hidden),
            (ALL, None, NoOwner::Unheld),
            (ALL, Some(true), NoOwner::Kernel),
            (denied, None, not_permitted),
            (denied, Some(false), not_permitted),
            (denied, Some(true), NoOwner::Kernel),
            (hides, Some(false), not_permitted),
            (failed, Some(false), NoOwner::NoProcessList),
            (inner, Some(false), NoOwner::OtherNamespace),
            (inner, None, NoOwner::UnheldHere),
            (unsure, Some(false), NoOwner::Unheld),
        ] {
            assert_eq!(sight.reason(kernel), expected, "{sight:?} {kernel:?}");
        }
    }

    #[test]
    fn hidepid_option_of_mount_decides_what_is_hidden() {
        let line = |options: &str| format!("22 27 0:21 / /proc rw,relatime shared:5 - proc proc {options}\n");
        let what = |text: &str| hiding(text.as_bytes(), b"/proc");
        assert_eq!(what(&line("rw")), Hiding::Nothing);
        assert_eq!(what(&line("rw,hidepid=1")), Hiding::Nothing);
        assert_eq!(what(&line("rw,hidepid=2")), Hiding::OtherUsers { exempt_group: None });
        assert_eq!(
            what(&line("rw,gid=44,hidepid=invisible")),
            Hiding::OtherUsers { exempt_group: Some(44) }
        );
        assert_eq!(what(&line("rw,gid=44,hidepid=ptraceable")), Hiding::Untraceable);
        assert_eq!(what(&(line("rw,hidepid=2") + &line("rw"))), Hiding::Nothing);
        assert_eq!(
            what("22 27 0:21 / /other rw - proc proc rw,hidepid=2\n"),
            Hiding::Nothing
        );
        assert_eq!(
            what("22 27 0:21 / /proc rw - tmpfs tmpfs rw,hidepid=2\n"),
            Hiding::Nothing
        );
        assert_eq!(what("22 27 0:21 / /proc rw\n"), Hiding::Nothing);
    }

    #[test]
    fn effective_capabilities_are_read_or_none() {
        assert_eq!(
            effective_capabilities(b"Name:\tx\nCapPrm:\t01\nCapEff:\t0000000000080000\n"),
            Some(1 << 19)
        );
        assert_eq!(effective_capabilities(b"CapEff:\tx\n"), None);
        assert_eq!(effective_capabilities(b""), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            hiding(&bytes, b"/proc");
            effective_capabilities(&bytes);
        }
    }
}
