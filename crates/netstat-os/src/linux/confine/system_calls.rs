//! The refusal of system calls by a filter (seccomp(2)).

use std::collections::BTreeMap;

use netstat_model::text::plain_error;
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use crate::Confinement;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// System calls that this program never needs once it runs, refused with EPERM: those that change what code is, who the process
/// is, what the file systems are and what the computer is, and those that change other processes. A process list that is mounted nowhere
/// (fsmount(2)) is needed, to look below mounts over parts of /proc; attaching mounts is not.
const NEVER: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_mknodat,
    libc::SYS_open_by_handle_at,
    libc::SYS_personality,
];

/// Further ones of some processors.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[libc::c_long] = &[
    libc::SYS_mknod,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[libc::c_long] = &[];

/// Refuses what `how` does not name, in every thread of this process.
pub(super) fn refuse_system_calls(how: &Confinement) -> Result<(), String> {
    let processor = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| "no seccomp filter for this processor is known".to_owned())?;
    let refused = rules(how).and_then(|rules| {
        let error = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, error, processor)
    });
    let program: seccompiler::BpfProgram = refused
        .and_then(TryInto::try_into)
        .map_err(|error| format!("seccomp: {}", plain_error(&error)))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| format!("seccomp: {}", plain_error(&error)))
}

fn rules(how: &Confinement) -> Result<Rules, seccompiler::BackendError> {
    use SeccompCmpArgLen::Dword;
    let condition = |argument, operator, value: u64| SeccompCondition::new(argument, Dword, operator, value);
    let mut rules = Rules::new();
    let mut refuse = |call: libc::c_long, rule: Option<SeccompRule>| {
        // It has 32 bits on some machines.
        #[allow(clippy::useless_conversion)]
        let call = i64::from(call);
        // On x86_64 the same kernel entry takes the calls of x32 with this bit (include/uapi/asm/unistd.h).
        let x32 = cfg!(target_arch = "x86_64").then_some(call | 0x4000_0000);
        for call in std::iter::once(call).chain(x32) {
            rules.entry(call).or_default().extend(rule.clone());
        }
    };
    for &call in NEVER.iter().chain(NEVER_HERE) {
        refuse(call, None);
    }
    refuse(libc::SYS_execve, None);
    refuse(libc::SYS_execveat, None);
    if !how.network {
        for family in [libc::AF_INET, libc::AF_INET6, libc::AF_PACKET] {
            let rule = SeccompRule::new(vec![condition(0, SeccompCmpOp::Eq, u64::from(family.unsigned_abs()))?])?;
            refuse(libc::SYS_socket, Some(rule));
        }
        if !accounts_need_sockets() {
            refuse(libc::SYS_connect, None);
        }
    }
    if !how.foreign_sockets {
        refuse(libc::SYS_pidfd_getfd, None);
    }
    if !how.signals {
        let own = u64::from(std::process::id());
        // Signal 0 only asks whether there is such a process.
        let foreign = || {
            SeccompRule::new(vec![
                condition(0, SeccompCmpOp::Ne, own)?,
                condition(1, SeccompCmpOp::Ne, 0)?,
            ])
        };
        refuse(libc::SYS_kill, Some(foreign()?));
        let foreign = || SeccompRule::new(vec![condition(0, SeccompCmpOp::Ne, own)?]);
        for call in [libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
            refuse(call, Some(foreign()?));
        }
        refuse(libc::SYS_tkill, None);
        refuse(libc::SYS_pidfd_send_signal, None);
    }
    Ok(rules)
}

/// Whether user and group names may come from a service that is asked over a socket (nsswitch.conf(5), nscd(8)).
fn accounts_need_sockets() -> bool {
    let nscd = std::path::Path::new("/run/nscd/socket").exists();
    nscd || std::fs::read_to_string("/etc/nsswitch.conf").is_ok_and(|text| asks_services(&text))
}

fn asks_services(text: &str) -> bool {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(""));
    lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(database, _)| ["passwd", "group"].contains(&database.trim()))
        .flat_map(|(_, services)| services.split_whitespace())
        .any(|service| !service.starts_with('[') && !["files", "compat"].contains(&service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_services_other_than_files_need_sockets() {
        assert!(!asks_services("passwd: files\ngroup:files # sss\nhosts: files dns\n"));
        assert!(!asks_services("passwd: compat [NOTFOUND=return] files"));
        assert!(asks_services("passwd:  files systemd\n"));
        assert!(asks_services("group: files sss"));
    }

    #[test]
    fn every_confinement_compiles_to_a_filter() {
        for bits in 0..4 {
            let how = Confinement {
                network: bits & 1 != 0,
                signals: bits & 2 != 0,
                ..Confinement::default()
            };
            let filter = SeccompFilter::new(
                rules(&how).unwrap(),
                SeccompAction::Allow,
                SeccompAction::Errno(1),
                TargetArch::x86_64,
            );
            let program: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
            assert!(program.len() > NEVER.len());
        }
    }
}
