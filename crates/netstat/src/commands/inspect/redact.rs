//! `--redact`: removes what may contain secrets from the report before any output is generated from it.

use netstat_model::process::{Descriptor, Mapped, ProcessFacts};
use netstat_model::{Fact, Why};

use super::card::{Answered, Card, Opinion, Report, Subject};
use netstat_audit::Finding;

/// The replacement for a text that was removed.
pub(super) const LEFT_OUT: &str = Why::LeftOut.words();

/// The length in bytes to which the kernel truncates the short name of a process (`TASK_COMM_LEN` without the NUL byte,
/// proc_pid_comm(5)).
const LONGEST_COMM: usize = 15;

/// Removes command lines, script names, environments and working directories from `report`, and all texts that may
/// quote them: everything that the rules of the audit report except names, severities and fixed texts.
pub(super) fn redact(report: &mut Report) {
    for card in &mut report.cards {
        redact_card(card, &mut report.targets);
    }
}

fn redact_card(card: &mut Card, answered: &mut [Answered]) {
    let Ok(subject) = &mut card.owner else {
        return;
    };
    let names = script_names(subject);
    let quotes = |text: &str| names.iter().any(|name| contains(text.as_bytes(), name));
    redact_facts(&mut subject.facts);
    for sharer in &mut subject.sharers {
        if !sharer.is_program {
            sharer.name = LEFT_OUT.as_bytes().to_vec();
        }
    }
    if let Some(script) = &mut subject.script {
        script.path = LEFT_OUT.as_bytes().to_vec();
    }
    if let Some(opinion) = &mut subject.opinion {
        redact_opinion(opinion);
    }
    // Commands contain paths, units and targets, whose names may be those of scripts.
    for step in &mut card.steps {
        if quotes(&step.command) {
            step.command = LEFT_OUT.to_owned();
        }
    }
    // A target may be the name of a script.
    let answers = answered.iter_mut().flat_map(|target| {
        let texts = [&mut target.word, &mut target.sought];
        texts.into_iter().chain(&mut target.remarks)
    });
    for text in answers.chain(&mut card.targets) {
        if quotes(text) {
            *text = LEFT_OUT.to_owned();
        }
    }
}

/// Returns the names of the scripts that an interpreter runs, in the lengths in which they occur elsewhere: a script
/// started by its own path gives the process its name.
fn script_names(subject: &Subject) -> Vec<Vec<u8>> {
    let mut paths: Vec<&[u8]> = subject.script.iter().map(|script| script.path.as_slice()).collect();
    let program = subject
        .facts
        .program
        .as_ref()
        .known()
        .map(|program| program.file_name().to_vec());
    // The process may be named after a script that cannot be found any more.
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

fn redact_facts(facts: &mut ProcessFacts) {
    if !facts.kernel_thread && !is_called_after_program(&facts.comm, facts) {
        facts.comm = LEFT_OUT.as_bytes().to_vec();
    }
    if let Fact::Known(mappings) = &mut facts.executable
        && let Fact::Known(directory) = &facts.directory
    {
        for mapping in mappings {
            if let Mapped::File { path, .. } = &mut mapping.what
                && is_below(path, directory)
            {
                *path = LEFT_OUT.as_bytes().to_vec();
            }
        }
    }
    leave_out(&mut facts.arguments);
    leave_out(&mut facts.environment);
    leave_out(&mut facts.directory);
    if let Fact::Known(ancestors) = &mut facts.ancestors {
        for ancestor in ancestors {
            // A shell that runs a script has its name.
            let called = comm_of_path(ancestor.path.as_ref().known());
            if called.is_none_or(|called| called != ancestor.comm) {
                ancestor.comm = LEFT_OUT.as_bytes().to_vec();
            }
            leave_out(&mut ancestor.arguments);
        }
    }
    if let Fact::Known(descriptors) = &mut facts.descriptors {
        for stream in &mut descriptors.standard {
            // Output may go to files whose names were chosen by the author of the command line.
            if matches!(stream, Fact::Known(Some(Descriptor::Path { path, .. })) if !path.starts_with(b"/dev/")) {
                *stream = Fact::Unknown(Why::LeftOut);
            }
        }
    }
}

/// Replaces a known fact; an unknown one keeps its reason.
fn leave_out<T>(fact: &mut Fact<T>) {
    if matches!(fact, Fact::Known(_)) {
        *fact = Fact::Unknown(Why::LeftOut);
    }
}

/// Whether the short name of a process is that of its program, rather than of a script or its own choice. If the
/// program may not be read, the name by which it was started decides.
fn is_called_after_program(comm: &[u8], facts: &ProcessFacts) -> bool {
    let program = facts.program.as_ref().known().map(|program| &program.path);
    let started_as = || facts.arguments.as_ref().known().and_then(|words| words.first());
    comm_of_path(program.or_else(started_as)).is_some_and(|called| called == comm)
}

/// Whether a path lies below a directory.
fn is_below(path: &[u8], directory: &[u8]) -> bool {
    directory != b"/" && path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Returns the initial short name of a process that runs the program at this path.
fn comm_of_path(path: Option<&Vec<u8>>) -> Option<Vec<u8>> {
    let name = path?.rsplit(|&byte| byte == b'/').next()?;
    Some(name[..name.len().min(LONGEST_COMM)].to_vec())
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
    opinion.starters.by = some(&opinion.starters.by);
    opinion.starters.named_in = some(&opinion.starters.named_in);
    for finding in &mut opinion.findings {
        redact_finding(finding);
    }
}

fn redact_finding(finding: &mut Finding) {
    // In parentheses it is the short name of a process whose program may not be read, which may be that of a script.
    if finding.program.as_ref().is_some_and(|program| program.starts_with('(')) {
        finding.program = Some(LEFT_OUT.to_owned());
    }
    finding.headline = finding.rule.title.to_owned();
    finding.evidence = vec![LEFT_OUT.to_owned()];
    finding.verify = LEFT_OUT.to_owned();
    finding.would_change = LEFT_OUT.to_owned();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_as_working_directory_hides_no_path() {
        assert!(!is_below(b"/usr/bin/sleep", b"/"));
    }
}
