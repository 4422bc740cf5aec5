//! Detects libraries that were upgraded after the program was started.

use netstat_model::process::Mapped;
use netstat_model::text::escape;

use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "outdated-libraries",
    title: "the program runs older libraries than their packages have installed",
    explanation: "An upgrade replaces libraries; programs that were started before keep the old ones, with their faults, until they are restarted. Info. The start of the first \
        process of the same program counts: its children have the libraries that it had.",
    harmless: "an upgrade whose services were not restarted",
    technique: "",
    family: Family::Memory,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(mappings) = case.facts.executable.as_ref().known() else {
        return;
    };
    let mut evidence: Vec<String> = Vec::new();
    for mapping in mappings {
        let Mapped::File { path, deleted: true } = &mapping.what else {
            continue;
        };
        let look = case.libraries.iter().find(|library| library.path == *path);
        if let Some(package) = look
            .filter(|look| case.was_upgraded(look))
            .and_then(|look| look.package())
        {
            let line = format!(
                "{} was replaced by an upgrade of package {}",
                escape(path),
                netstat_model::text::escape_str(&package.name)
            );
            if !evidence.contains(&line) {
                evidence.push(line);
            }
        }
    }
    if evidence.is_empty() {
        return;
    }
    evidence.truncate(5);
    notes.found(Note {
        severity: Severity::Info,
        headline: "runs older libraries than their packages have installed: restart it".to_owned(),
        evidence,
        verify: format!("grep -F ' (deleted)' /proc/{}/maps", case.facts.pid),
        would_change: "it is restarted".to_owned(),
        pid: None,
        program: None,
    });
}
