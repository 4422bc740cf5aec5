//! Detects processes that are hidden by a mount.

use netstat_model::text::escape;

use crate::case::Host;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "mounted-over",
    title: "something is mounted over the directory of a process in /proc",
    explanation: "Whoever mounts another directory over /proc/PID hides that process from every program that reads /proc. The table of mounts shows it. Critical: nothing else does so.",
    harmless: "none known",
    technique: "T1564.013",
    family: Family::Hiding,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    for place in &host.mounted_over {
        let pid = std::str::from_utf8(&place[b"/proc/".len()..]).unwrap_or_default();
        let pid = pid.split('/').next().unwrap_or_default();
        notes.found(Note {
            severity: Severity::Critical,
            headline: format!("something is mounted over {}: process {pid} is hidden", escape(place)),
            evidence: vec![format!("/proc/self/mountinfo has a mount at {}", escape(place))],
            verify: format!("grep ' /proc/{pid}' /proc/self/mountinfo; umount /proc/{pid} shows the process again"),
            would_change: "nothing: no program in good faith does this".to_owned(),
            pid: None,
            program: None,
        });
    }
}
