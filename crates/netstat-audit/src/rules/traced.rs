//! Detects processes that are traced by another process.

use netstat_model::text::escape;

use crate::case::{Case, FileLook};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "traced",
    title: "another process traces it",
    explanation: "A tracer (ptrace(2)) reads and changes everything in a process: passwords, code, what it sends. Debuggers do that for their users. Medium; low when the \
        tracer is a packaged debugger with a terminal; high when no package owns the tracer, or when what is traced asks for passwords (sshd, login, su, sudo, \
        agents for keys).",
    harmless: "gdb, strace, rr, crash handlers, wine, some sandboxes",
    technique: "T1055.008",
    family: Family::Memory,
    check: Check::Process(check),
};

/// Programs that handle passwords and other secrets.
const SECRETS: &[&[u8]] = &[
    b"sshd",
    b"login",
    b"su",
    b"sudo",
    b"ssh",
    b"ssh-agent",
    b"gpg-agent",
    b"systemd-logind",
    b"gdm",
    b"polkitd",
    b"passwd",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(tracer) = case.tracer else { return };
    let unowned = tracer.program.as_ref().is_some_and(FileLook::is_unowned);
    let debugger = tracer
        .program
        .as_ref()
        .is_some_and(|program| known::is_debugger(program.name()) && program.package().is_some());
    let severity = match (unowned, SECRETS.contains(&case.name()), debugger && tracer.terminal) {
        (true, ..) | (_, true, _) => Severity::High,
        (false, false, true) => Severity::Low,
        _ => Severity::Medium,
    };
    let path = tracer
        .program
        .as_ref()
        .map_or_else(|| "unknown program".to_owned(), FileLook::shown);
    let mut evidence = vec![format!(
        "traced by {} (PID {}): {path}",
        escape(&tracer.comm),
        tracer.pid
    )];
    if unowned {
        evidence.push("no package owns the tracer".to_owned());
    }
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: format!("is traced by {}", escape(&tracer.comm)),
        evidence,
        verify: format!(
            "grep TracerPid /proc/{}/status; ls -l /proc/{}/exe",
            case.facts.pid, tracer.pid
        ),
        would_change: "you are debugging it".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Made};

    #[test]
    fn traced_program_severity_follows_tracer_and_program() {
        let seen = |path: &str, tracer: FileLook, terminal| {
            Made::program(path).packaged("x").traced(tracer, terminal).check(&RULE)
        };
        let gdb = || testing::packaged("/usr/bin/gdb", "gdb");
        assert_eq!(seen("/usr/sbin/nginx", gdb(), true), [Severity::Low]);
        assert_eq!(seen("/usr/sbin/nginx", gdb(), false), [Severity::Medium]);
        assert_eq!(
            seen("/usr/sbin/nginx", testing::unowned("/x/spy"), true),
            [Severity::High]
        );
        assert_eq!(seen("/usr/sbin/sshd", gdb(), true), [Severity::High]);
        assert_eq!(Made::program("/usr/sbin/nginx").check(&RULE), []);
    }
}
