//! Detects programs that run from memory and never were a file.

use netstat_model::process::FileStatus;
use netstat_model::text::escape;

use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "memory-program",
    title: "the program runs from memory and never was a file",
    explanation: "A program can be written to a file in memory (memfd_create(2)) and started from there, so that no disk ever sees it. Loaders of \
        malware do so; of programs of good faith only container runtimes (runc) do, to protect themselves for a moment while a container starts, and \
        they have no connections then (high instead of critical by their name).",
    harmless: "runc and its like while they start a container; a few self-extracting programs",
    technique: "T1620",
    family: Family::FileStatus,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(program) = case.facts.program.as_ref().known() else {
        return;
    };
    if program.place != FileStatus::Memory {
        return;
    }
    let pid = case.facts.pid;
    let mut evidence = vec![format!("/proc/{pid}/exe: {}", escape(&program.reported))];
    evidence.extend(case.reach_evidence());
    // The program chooses this name itself, so that it lowers the severity but does not clear the program.
    let runtime = program.path.starts_with(b"runc_cloned");
    notes.found(Note {
        severity: if runtime { Severity::High } else { Severity::Critical },
        headline: "runs from memory only".to_owned(),
        evidence,
        verify: format!("ls -l /proc/{pid}/exe"),
        would_change: format!("the program can still be copied for a closer look: cp /proc/{pid}/exe COPY"),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn program_run_from_memory_is_found() {
        let from = |name: &str| {
            Made::program(name)
                .place(FileStatus::Memory)
                .connected("203.0.113.7:443")
                .check(&RULE)
        };
        assert_eq!(from("x"), [Severity::Critical]);
        assert_eq!(from("runc_cloned:/proc/self/exe"), [Severity::High]);
        assert_eq!(
            Made::program("/usr/bin/x").connected("203.0.113.7:443").check(&RULE),
            []
        );
    }
}
