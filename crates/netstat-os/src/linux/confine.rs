//! The confinement of this process by seccomp(2) and Landlock (landlock(7)).

#[cfg(target_endian = "little")]
mod system_calls;

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use netstat_model::text::plain_error;

#[cfg(target_endian = "little")]
use self::system_calls::refuse_system_calls;
use crate::{Confined, Confinement, ConfinementSupport};

/// The newest version of Landlock's interface whose accesses are restricted, where the kernel knows them (Linux 6.12).
const LANDLOCK: ABI = ABI::V6;

/// Confines the calling process; what is already open stays so. Meant for the end of setting up: Landlock holds for threads that the calling one
/// starts from now on, the refusal of system calls for those that run already, too.
pub fn confine(how: &Confinement) -> Confined {
    // Landlock first: it is set up with system calls.
    let files = how.writable.as_deref().map(restrict_files);
    let system_calls = match how.programs {
        // What it starts would be bound, too, and set-user-ID programs would lose their rights.
        true => Err("other programs are to be started".to_owned()),
        false => refuse_system_calls(how),
    };
    Confined { system_calls, files }
}

/// What the running kernel offers.
pub fn confinement_support() -> ConfinementSupport {
    // prctl(2): EINVAL without CONFIG_SECCOMP_FILTER; with it, EFAULT for the missing filter.
    let tried = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    ConfinementSupport {
        system_calls: tried.is_ok_and(|actions| actions.contains("errno")),
        landlock: landlock_version(),
    }
}

/// LANDLOCK_CREATE_RULESET_VERSION (landlock_create_ruleset(2)).
fn landlock_version() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no attributes and returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

fn restrict_files(writable: &[PathBuf]) -> Result<(), String> {
    let restrict = || -> Result<RestrictionStatus, landlock::RulesetError> {
        let restricted = AccessFs::from_write(LANDLOCK) | AccessFs::Execute;
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(restricted)?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?
            // What is missing is left out: nothing can be written there.
            .add_rules(path_beneath_rules(writable, AccessFs::from_write(LANDLOCK)))?
            .restrict_self()
    };
    match restrict() {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => Err("the kernel has no Landlock".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("Landlock: {}", plain_error(&error))),
    }
}

/// The library that makes the filters knows no big-endian processors.
#[cfg(target_endian = "big")]
fn refuse_system_calls(_: &Confinement) -> Result<(), String> {
    Err("no seccomp filter for this processor is known".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What this process is not refused, of what it may not need. `victim` is another process.
    fn allowed(victim: rustix::process::Pid) -> Vec<&'static str> {
        let refused = |error: Option<i32>| error == Some(libc::EPERM);
        let number = victim.as_raw_nonzero().get();
        // SAFETY: calls without pointers, or with one to nothing.
        let call = |call: libc::c_long, arguments: [i64; 3]| unsafe {
            libc::syscall(call, arguments[0], arguments[1], arguments[2], 0, 0)
        };
        let call = |number: libc::c_long, arguments: [i64; 3]| {
            call(number, arguments) == -1 && refused(std::io::Error::last_os_error().raw_os_error())
        };
        let signal = rustix::process::kill_process(victim, rustix::process::Signal::CONT);
        let tries = [
            (
                "execve",
                refused(
                    std::process::Command::new("true")
                        .spawn()
                        .err()
                        .and_then(|error| error.raw_os_error()),
                ),
            ),
            (
                "socket",
                refused(
                    std::net::UdpSocket::bind("127.0.0.1:0")
                        .err()
                        .and_then(|error| error.raw_os_error()),
                ),
            ),
            ("kill", signal == Err(rustix::io::Errno::PERM)),
            ("tgkill", call(libc::SYS_tgkill, [number.into(), number.into(), 0])),
            ("tkill", call(libc::SYS_tkill, [number.into(), 0, 0])),
            ("pidfd_getfd", call(libc::SYS_pidfd_getfd, [-1, 0, 0])),
            ("pidfd_send_signal", call(libc::SYS_pidfd_send_signal, [-1, 0, 0])),
            ("ptrace", call(libc::SYS_ptrace, [0x4206, number.into(), 0])),
            (
                "process_vm_readv",
                call(libc::SYS_process_vm_readv, [number.into(), 0, 0]),
            ),
            (
                "setuid",
                call(libc::SYS_setuid, [rustix::process::getuid().as_raw().into(), 0, 0]),
            ),
            ("io_uring_setup", call(libc::SYS_io_uring_setup, [0, 0, 0])),
            ("umount2", call(libc::SYS_umount2, [0, 0, 0])),
        ];
        tries
            .iter()
            .filter(|(_, refused)| !refused)
            .map(|(name, _)| *name)
            .collect()
    }

    /// A process that ends with the namespace it is in.
    #[expect(
        clippy::zombie_processes,
        reason = "nothing is left of the namespace when the test ends"
    )]
    fn victim() -> rustix::process::Pid {
        let child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        rustix::process::Pid::from_child(&child)
    }

    #[test]
    fn confined_process_is_refused_what_it_does_not_need_in_every_thread() {
        netstat_testkit::own_namespace!(netstat_testkit::Needs::PROCESSES);
        if !confinement_support().system_calls {
            return netstat_testkit::skip(&netstat_testkit::namespace::current_test(), "no seccomp filters");
        }
        let victim = victim();
        let before = allowed(victim);
        for call in ["execve", "socket", "kill", "tgkill", "tkill", "setuid"] {
            assert!(before.contains(&call), "{call} is refused before: {before:?}");
        }
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let older = std::thread::spawn(move || wait.recv().map(|()| allowed(victim)));
        let confined = confine(&Confinement::default());
        assert_eq!(confined.system_calls, Ok(()));
        assert_eq!(allowed(victim), [""; 0]);
        go.send(()).unwrap();
        assert_eq!(older.join().unwrap().unwrap(), [""; 0], "a thread from before");
        // What it still needs.
        assert!(std::fs::read("/proc/self/stat").is_ok());
        assert_eq!(
            rustix::process::test_kill_process(victim),
            Ok(()),
            "whether a process is there"
        );
        assert!(
            crate::files::path_facts(std::path::Path::new("/proc/self/exe")).is_ok(),
            "files of others"
        );
    }

    #[test]
    fn confined_process_keeps_what_it_asks_for() {
        netstat_testkit::own_namespace!(netstat_testkit::Needs::PROCESSES);
        if !confinement_support().system_calls {
            return netstat_testkit::skip(&netstat_testkit::namespace::current_test(), "no seccomp filters");
        }
        let victim = victim();
        let how = Confinement {
            network: true,
            signals: true,
            foreign_sockets: true,
            ..Confinement::default()
        };
        assert_eq!(confine(&how).system_calls, Ok(()));
        let allowed = allowed(victim);
        for call in ["socket", "kill", "tgkill", "tkill", "pidfd_getfd", "pidfd_send_signal"] {
            assert!(allowed.contains(&call), "{call} is refused: {allowed:?}");
        }
        assert!(
            !allowed.contains(&"execve") && !allowed.contains(&"setuid"),
            "{allowed:?}"
        );
    }
}
