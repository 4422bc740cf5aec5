//! Detects root processes that descend from an ordinary user without a program that may grant such privileges.

use netstat_model::text::escape;

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "gained-root",
    title: "a process of root stems from a process of an ordinary user, and nothing explains it",
    explanation: "An ordinary user becomes root through su, sudo, pkexec and other setuid programs that packages or the superuser installed. Looked at are processes of root on the network whose \
        nearest ancestor of another rank is an ordinary user's. High when that ancestor is a service which answers strangers, when the process is a shell, interpreter or relay, or when no package owns its program; else medium; \
        low at the terminal of a login. When su, sudo or another such program stands between them, or is the program itself, there is no finding.",
    harmless: "a tool that gives rights and then replaces itself, such as doas",
    technique: "T1068",
    family: Family::Identity,
    check: Check::Process(check),
};

/// Programs that grant privileges and remain as the parent of what they started.
const GIVERS: &[&[u8]] = &[
    b"su",
    b"sudo",
    b"sudo-rs",
    b"doas",
    b"pkexec",
    b"runuser",
    b"sg",
    b"newgrp",
    b"machinectl",
    b"polkit-agent-helper-1",
    b"run0",
    b"ksu",
    b"super",
    b"at",
    b"crontab",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    if !case.is_root() || case.exposure <= Exposure::Loopback || case.is_elsewhere() || case.facts.kernel_thread {
        return;
    }
    let Some(program) = case.program else { return };
    // The privileges of an installed setuid program are explained by the program itself.
    const SETUID: u32 = 0o4000;
    let is_setuid = program.file.known().is_some_and(|file| file.mode & SETUID != 0);
    if is_setuid && program.is_trusted() {
        return;
    }
    let is_giver = |name: &[u8], trusted: bool| trusted && GIVERS.contains(&name);
    if is_giver(program.name(), program.is_trusted()) {
        return;
    }
    // Find the nearest ancestor that does not run as root; the program that granted the privileges comes before it.
    let mut lower = None;
    for elder in case.elders {
        if is_giver(&elder.name, elder.rooted) || elder.setuid && elder.rooted {
            return;
        }
        match elder.user {
            Some(0) => {}
            Some(user) => {
                lower = Some((elder, user));
                break;
            }
            None => return,
        }
    }
    let Some((elder, user)) = lower else { return };
    let tool = case.is_shell() || known::is_interpreter(case.name()) || known::is_relay(case.name());
    let severity = match known::is_service(&elder.name) || tool || case.is_unowned() {
        _ if case.has_session() => Severity::Low,
        true => Severity::High,
        false => Severity::Medium,
    };
    let mut evidence = vec![format!(
        "it runs as root, and its ancestor {} (PID {}) as user {user}",
        escape(&elder.name),
        elder.pid
    )];
    if is_setuid {
        evidence.push("its program is setuid, and neither a package nor the superuser alone put it there".to_owned());
    }
    evidence.push(format!("command line: {}", case.command_line()));
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: "became root below an ordinary user's process".to_owned(),
        evidence,
        verify: format!(
            "ps -o pid,ppid,user,ruser,lstart,args -p {},{}",
            case.facts.pid, elder.pid
        ),
        would_change: "you know by which program it became root".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn root_process_below_user_without_sudo_is_found() {
        let shell = || {
            Made::program("/usr/bin/bash")
                .packaged("bash")
                .connected("203.0.113.7:443")
        };
        let agent = || {
            Made::program("/usr/bin/agent")
                .packaged("x")
                .connected("203.0.113.7:443")
        };
        assert_eq!(shell().elder("apache2", 33).check(&RULE), [Severity::High]);
        assert_eq!(agent().elder("agent", 1000).check(&RULE), [Severity::Medium]);
        assert_eq!(agent().elder("nginx", 33).check(&RULE), [Severity::High]);
        assert_eq!(
            shell()
                .elder("bash", 0)
                .elder("sudo", 0)
                .elder("bash", 1000)
                .check(&RULE),
            []
        );
        assert_eq!(shell().elder("bash", 0).elder("systemd", 0).check(&RULE), []);
        assert_eq!(shell().terminal().elder("bash", 1000).check(&RULE), [Severity::Low]);
        let user = shell().user(33).elder("apache2", 33);
        assert_eq!(user.check(&RULE), []);
        // Anyone can call a program sudo.
        assert_eq!(
            shell().below("sudo", false).elder("bash", 1000).check(&RULE),
            [Severity::High]
        );
    }
}
