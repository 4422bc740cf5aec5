//! Detects processes that pose as kernel threads.

use netstat_model::Fact;
use netstat_model::text::escape;

use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "kernel-thread",
    title: "poses as a kernel thread",
    explanation: "Lists show threads of the kernel in square brackets, and nobody wonders about [kworker/0:1]. A program can call itself so. The kernel's own \
        mark (PF_KTHREAD, and Kthread in /proc/PID/status) cannot be forged: what lacks it and bears the name of a kernel thread is critical. Any other name in \
        square brackets without a blank in it is high; with a blank in it medium, because a few programs title themselves like that.",
    harmless: "none known for the names of kernel threads; Celery titles itself [celeryd: ...]",
    technique: "T1036.004",
    family: Family::Hiding,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    if case.facts.kernel_thread {
        return;
    }
    let first: &[u8] = match &case.facts.arguments {
        Fact::Known(words) => words.first().map_or(&[], Vec::as_slice),
        Fact::Unknown(_) => &[],
    };
    let bracketed = first.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let comm = case.facts.comm.as_slice();
    let (severity, what) = match bracketed {
        Some(inner) if known::is_kernel_thread_name(inner) => (Severity::Critical, first),
        _ if known::is_kernel_thread_name(comm) => (Severity::Critical, comm),
        None if case.is_unowned() && known::resembles_kernel_thread(case.name()) => (Severity::Critical, case.name()),
        Some(inner) if !inner.contains(&b' ') && !inner.is_empty() => (Severity::High, first),
        Some(_) => (Severity::Medium, first),
        None => return,
    };
    let pid = case.facts.pid;
    let mut evidence = vec![format!("it calls itself {}", escape(what))];
    evidence.push("the kernel does not mark it as one of its threads".to_owned());
    if let Some(program) = case.program {
        evidence.push(format!("its program is {}", program.shown()));
    }
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: "poses as a kernel thread".to_owned(),
        evidence,
        verify: format!("grep -E '^(Name|PPid|Kthread)' /proc/{pid}/status; ls -l /proc/{pid}/exe"),
        would_change: "nothing: a thread of the kernel has no program file".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn program_named_like_kernel_thread_is_found() {
        let named = |line: &str| {
            Made::program("/usr/bin/x")
                .packaged("x")
                .arguments(line)
                .listening("0.0.0.0:80")
                .check(&RULE)
        };
        assert_eq!(named("[kworker/0:1-events]"), [Severity::Critical]);
        assert_eq!(named("[agent]"), [Severity::High]);
        assert_eq!(named("x [kworker/0:1]"), []);
        let comm = |comm: &str| {
            Made::program("/usr/bin/x")
                .comm(comm)
                .listening("0.0.0.0:80")
                .check(&RULE)
        };
        assert_eq!(comm("kswapd0"), [Severity::Critical]);
        assert_eq!(comm("nginx"), []);
        assert_eq!(
            Made::program("/usr/bin/x").comm("kswapd0").kernel_thread().check(&RULE),
            []
        );
    }

    #[test]
    fn bracketed_title_with_blanks_is_medium() {
        let mut made = Made::program("/usr/bin/python3.11").packaged("python");
        made.facts.arguments = Fact::Known(vec![b"[celeryd: worker@host:MainProcess]".to_vec()]);
        assert_eq!(made.check(&RULE), [Severity::Medium]);
    }
}
