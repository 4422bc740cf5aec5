//! Takes away what a program relies on: netlink, `/proc`, the visibility of other users' processes.

use std::process::Child;

use rustix::process::{Pid, Signal};

use crate::Netstat;
use crate::namespace;

/// The filters of system calls (seccomp(2)), for the calling thread and what it starts.
#[cfg(target_endian = "little")]
mod filters {
    use std::collections::BTreeMap;

    use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule};

    /// `AF_NETLINK` (`linux/socket.h`).
    const AF_NETLINK: u64 = 16;
    /// "Operation not permitted" (`asm-generic/errno-base.h`).
    const EPERM: u32 = 1;

    /// The system calls that read files, directories or the network of the machine, in the table of x86-64: open, stat,
    /// lstat, socket, connect, execve, getdents, readlink, getdents64, openat, newfstatat, readlinkat, statx, openat2.
    const LOOKING_X86_64: [i64; 14] = [2, 4, 6, 41, 42, 59, 78, 89, 217, 257, 262, 267, 332, 437];
    /// The same system calls in the generic table: openat, getdents64, readlinkat, newfstatat, socket, connect, execve,
    /// statx, openat2.
    const LOOKING_GENERIC: [i64; 9] = [56, 61, 78, 79, 198, 203, 221, 291, 437];

    /// Refuses netlink sockets with EPERM.
    pub(super) fn refuse_netlink() -> Result<(), String> {
        // `socket` in the system call tables of x86-64 and of all architectures with the generic table.
        let socket = if cfg!(target_arch = "x86_64") { 41 } else { 198 };
        let netlink = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, AF_NETLINK);
        let rule = netlink
            .and_then(|netlink| SeccompRule::new(vec![netlink]))
            .map_err(|error| error.to_string())?;
        apply(BTreeMap::from([(socket, vec![rule])]), SeccompAction::Errno(EPERM))
    }

    /// Ends the process at a system call that reads files, directories or the network of the machine.
    pub(super) fn end_at_looking() -> Result<(), String> {
        let calls = match cfg!(target_arch = "x86_64") {
            true => &LOOKING_X86_64[..],
            false => &LOOKING_GENERIC[..],
        };
        apply(
            calls.iter().map(|call| (*call, Vec::new())).collect(),
            SeccompAction::KillProcess,
        )
    }

    fn apply(rules: BTreeMap<i64, Vec<SeccompRule>>, action: SeccompAction) -> Result<(), String> {
        let processor = std::env::consts::ARCH
            .try_into()
            .map_err(|error| format!("{error:?}"))?;
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, processor);
        let program: seccompiler::BpfProgram = filter.and_then(TryInto::try_into).map_err(|error| error.to_string())?;
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())
    }
}

/// The library that makes the filters knows no big-endian processors.
#[cfg(target_endian = "big")]
mod filters {
    const WHY: &str = "no seccomp filter for this processor is known";

    pub(super) fn refuse_netlink() -> Result<(), String> {
        Err(WHY.to_owned())
    }

    pub(super) fn end_at_looking() -> Result<(), String> {
        Err(WHY.to_owned())
    }
}

/// Runs `body`, and every program that it starts, where netlink sockets are refused with EPERM, as in a sandbox. `None`
/// if the kernel has no seccomp, which is reported as a skip.
pub fn without_netlink<T: Send>(body: impl FnOnce() -> T + Send) -> Option<T> {
    let work = move || filters::refuse_netlink().map(|()| body());
    let result = std::thread::scope(|scope| scope.spawn(work).join());
    match result {
        Ok(Ok(value)) => Some(value),
        Ok(Err(reason)) => {
            crate::skip(&namespace::current_test(), &reason);
            None
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs `body` in a thread in which every system call that reads files or the network of the machine ends the whole
/// process with SIGSYS. This is meant for a child process, whose exit status tells what happened. `None` if the kernel
/// has no seccomp.
pub fn blind<T: Send>(body: impl FnOnce() -> T + Send) -> Option<T> {
    let work = move || filters::end_at_looking().map(|()| body());
    match std::thread::scope(|scope| scope.spawn(work).join()) {
        Ok(Ok(value)) => Some(value),
        Ok(Err(reason)) => {
            crate::skip(&namespace::current_test(), &reason);
            None
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Returns the program, run where `/proc` is an empty directory.
pub fn without_proc(netstat: &Netstat) -> Netstat {
    mounted(netstat, "mount -t tmpfs none /proc")
}

/// Returns the program, run where `/proc` shows each user only their own processes. Requires a PID namespace.
pub fn with_hidepid(netstat: &Netstat) -> Netstat {
    mounted(netstat, "mount -t proc -o hidepid=2 proc /proc")
}

/// Returns the program, run in a mount namespace of its own after this shell command.
fn mounted(netstat: &Netstat, command: &str) -> Netstat {
    let script = format!("{command} && exec \"$@\"");
    netstat.behind(["unshare", "-m", "sh", "-c", &script, "sh"])
}

/// Sends SIGINT, as a terminal does for Ctrl+C.
pub fn interrupt(child: &Child) {
    rustix::process::kill_process(Pid::from_child(child), Signal::INT).expect("the child is ours");
}

/// Makes the next process in this PID namespace get the id after `last`. Returns `false` if the kernel refuses, which
/// is reported as a skip.
pub fn set_last_pid(last: u32) -> bool {
    match std::fs::write("/proc/sys/kernel/ns_last_pid", last.to_string()) {
        Ok(()) => true,
        Err(error) => {
            crate::skip(
                &namespace::current_test(),
                &format!("process ids cannot be chosen: {error}"),
            );
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Needs, own_namespace};

    #[test]
    fn netlink_is_refused_to_programs_and_to_nobody_else() {
        own_namespace!();
        let name = || crate::netlink::index_of("lo").and_then(|lo| crate::netlink::link_up(lo, false));
        let Some(refused) = without_netlink(name) else { return };
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        name().unwrap();
        if namespace::have("ip") {
            let inside = without_netlink(|| namespace::tool("ip").arg("link").output().unwrap()).unwrap();
            assert!(!inside.status.success());
        }
    }

    #[test]
    fn proc_is_taken_away_from_the_program_only() {
        own_namespace!(Needs::PROCESSES);
        let list = Netstat::new("ls");
        assert_eq!(without_proc(&list).run(["/proc"]).success(), "");
        let own = std::process::id().to_string();
        let sees_own = |list: &Netstat| list.run(["/proc"]).success().lines().any(|name| name == own);
        assert!(sees_own(&list));
        let nobody = Netstat::new("/bin/ls").unprivileged();
        assert!(sees_own(&nobody));
        assert!(!sees_own(&with_hidepid(&nobody)));
    }

    #[test]
    fn process_ids_can_be_chosen() {
        own_namespace!(Needs::PROCESSES);
        if set_last_pid(500) {
            let mut child = std::process::Command::new("true").spawn().unwrap();
            assert_eq!(child.id(), 501);
            child.wait().unwrap();
        }
    }
}
