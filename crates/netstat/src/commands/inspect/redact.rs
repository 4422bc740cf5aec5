//! `--redact`: what may hold secrets is taken out of the report before anything is made of it.

use netstat_model::process::{Descriptor, ProcessFacts};
use netstat_model::{Fact, Why};

use super::card::{Card, Opinion, Report, Subject};
use netstat_audit::Finding;

/// What stands in the place of a text that was left out.
pub(super) const LEFT_OUT: &str = "left out (--redact)";

/// The short name of a process is cut to so many bytes by the kernel (`TASK_COMM_LEN` without its zero byte, proc_pid_comm(5)).
const LONGEST_COMM: usize = 15;

/// Takes command lines, script names, environments and working directories out of `report`, and every text that may quote them:
/// what the rules of the audit say beyond their names, severities and fixed texts.
pub(super) fn redact(report: &mut Report) {
    for card in &mut report.cards {
        redact_card(card);
    }
}

fn redact_card(card: &mut Card) {
    let Ok(subject) = &mut card.owner else {
        return;
    };
    let names = script_names(subject);
    redact_facts(&mut subject.facts, &names);
    for (_, name) in &mut subject.sharers {
        hide(name, &names);
    }
    if let Some(script) = &mut subject.script {
        script.path = LEFT_OUT.as_bytes().to_vec();
    }
    if let Some(opinion) = &mut subject.opinion {
        redact_opinion(opinion);
    }
    // Commands name paths and units, which may be called after what they run.
    for step in &mut card.steps {
        if names.iter().any(|name| contains(step.command.as_bytes(), name)) {
            step.command = LEFT_OUT.to_owned();
        }
    }
}

/// The names of what an interpreter runs, in the lengths in which they occur elsewhere: a script that is started by its own path
/// gives the process its name.
fn script_names(subject: &Subject) -> Vec<Vec<u8>> {
    let mut paths: Vec<&[u8]> = subject.script.iter().map(|script| script.path.as_slice()).collect();
    let program = subject
        .facts
        .program
        .as_ref()
        .known()
        .map(|program| program.file_name().to_vec());
    // The process may be called after a script that is not found any more.
    let arguments = subject.facts.arguments.as_ref().known();
    let words = arguments.map_or(&[][..], Vec::as_slice);
    paths.extend(words.iter().skip(1).map(Vec::as_slice));
    let mut names = Vec::new();
    for path in paths {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if !name.is_empty() && program.as_deref() != Some(name) {
            names.push(name.to_vec());
        }
    }
    names
}

fn redact_facts(facts: &mut ProcessFacts, names: &[Vec<u8>]) {
    // Arguments are taken out of the document, where their absence is explained.
    facts.environment = Fact::Unknown(Why::NotAsked);
    facts.directory = Fact::Unknown(Why::NotAsked);
    hide(&mut facts.comm, names);
    if let Fact::Known(ancestors) = &mut facts.ancestors {
        for ancestor in ancestors {
            // A shell that runs a script is called after it; its words, which would tell, go with the name.
            let called = comm_of_path(ancestor.path.as_ref().known());
            if called.is_none_or(|called| called != ancestor.comm) {
                ancestor.comm = LEFT_OUT.as_bytes().to_vec();
            }
        }
    }
    if let Fact::Known(descriptors) = &mut facts.descriptors {
        for stream in &mut descriptors.standard {
            // Output goes into files whose names are chosen by whoever wrote the command line.
            if matches!(stream, Fact::Known(Some(Descriptor::Path { path, .. })) if !path.starts_with(b"/dev/")) {
                *stream = Fact::Unknown(Why::NotAsked);
            }
        }
    }
}

/// The short name that a program of this path begins with.
fn comm_of_path(path: Option<&Vec<u8>>) -> Option<Vec<u8>> {
    let name = path?.rsplit(|&byte| byte == b'/').next()?;
    Some(name[..name.len().min(LONGEST_COMM)].to_vec())
}

/// Replaces a short name that comes from one of `names`.
fn hide(comm: &mut Vec<u8>, names: &[Vec<u8>]) {
    if is_name_of(comm, names) {
        *comm = LEFT_OUT.as_bytes().to_vec();
    }
}

/// Whether a short name is one of `names`, cut as the kernel cuts it.
fn is_name_of(comm: &[u8], names: &[Vec<u8>]) -> bool {
    names.iter().any(|name| &name[..name.len().min(LONGEST_COMM)] == comm)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.len() > 2 && text.windows(part.len()).any(|window| window == part)
}

fn redact_opinion(opinion: &mut Opinion) {
    let left_out = || LEFT_OUT.to_owned();
    let some = |list: &[String]| if list.is_empty() { Vec::new() } else { vec![left_out()] };
    opinion.verdict.reasons = some(&opinion.verdict.reasons);
    opinion.verdict.would_change = some(&opinion.verdict.would_change);
    opinion.unexamined = some(&opinion.unexamined);
    for finding in &mut opinion.findings {
        redact_finding(finding);
    }
}

fn redact_finding(finding: &mut Finding) {
    finding.headline = finding.rule.title.to_owned();
    finding.evidence = vec![LEFT_OUT.to_owned()];
    finding.verify = LEFT_OUT.to_owned();
    finding.would_change = LEFT_OUT.to_owned();
}
