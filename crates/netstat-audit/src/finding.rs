//! Rules, severities and findings.

use std::fmt;

use super::FirstSight;
use super::case::{Case, Host};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; no reason for concern.
    Info,
    /// Proves nothing on its own; supports other findings.
    Low,
    /// Unusual: someone should know the reason.
    Medium,
    /// Legitimate programs rarely do this: investigate now.
    High,
    /// Hardly anything but an intrusion or a penetration test does this: investigate first.
    Critical,
}

impl Severity {
    /// All severities, least severe first.
    pub const ALL: [Severity; 5] = [
        Severity::Info,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];

    /// Returns the name of the severity, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// Returns the next lower severity; `Info` stays as it is.
    pub const fn lower(self) -> Severity {
        match self {
            Severity::Critical => Severity::High,
            Severity::High => Severity::Medium,
            Severity::Medium => Severity::Low,
            Severity::Low | Severity::Info => Severity::Info,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The kind of sign that a rule looks for. Several signs of one kind mean little more than a single one; signs of
/// different kinds support each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The identity of the program.
    Identity,
    /// The location of its file and who may change it.
    FileStatus,
    /// Where its standard input and output lead.
    Input,
    /// The contents of its memory.
    Memory,
    /// What it hides.
    Hiding,
    /// Its behaviour on the network.
    Network,
}

/// A rule: a single check, with its documentation.
pub struct Rule {
    /// The name, as shown in the output and accepted by `--explain`.
    pub name: &'static str,
    /// What the rule looks for, in one line without a full stop.
    pub title: &'static str,
    /// How the rule decides, in whole sentences; shown by `--explain`.
    pub explanation: &'static str,
    /// The harmless explanations that apply to every finding of the rule.
    pub harmless: &'static str,
    /// The id of the MITRE ATT&CK technique (Enterprise matrix) that the rule detects; empty if there is none.
    pub technique: &'static str,
    /// The kind of sign.
    pub family: Family,
    /// The function that implements the rule.
    pub check: Check,
}

/// What a rule examines.
#[derive(Clone, Copy)]
pub enum Check {
    /// A single process.
    Process(fn(&Case<'_>, &mut Notes)),
    /// The computer as a whole.
    Host(fn(&Host, &mut Notes)),
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Rule {
    /// Returns the URL of the technique at MITRE ATT&CK; `None` if the rule has no technique.
    pub fn link(&self) -> Option<String> {
        let path = self.technique.replace('.', "/");
        (!path.is_empty()).then(|| format!("https://attack.mitre.org/techniques/{path}/"))
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Rule {}

/// A finding of a rule, before it is attributed to a process. Every text is a single line and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The severity.
    pub severity: Severity,
    /// What was found, in a few words that follow the name of the program: `runs from memory only`.
    pub headline: String,
    /// The evidence, with numbers where there are any; at least one line.
    pub evidence: Vec<String>,
    /// A command that shows the evidence, ready to be copied.
    pub verify: String,
    /// What would make the finding harmless or worse, phrased to follow "would change it: ".
    pub would_change: String,
    /// The process that the finding is about, if a rule about the computer knows one.
    pub pid: Option<u32>,
    /// The path of the program that the finding is about, if a rule about the computer knows one.
    pub program: Option<String>,
}

/// Collects the results of a rule.
#[derive(Debug, Default)]
pub struct Notes {
    /// The findings.
    pub found: Vec<Note>,
    /// What could not be examined, one line each; never counted as a finding.
    pub unexamined: Vec<String>,
}

impl Notes {
    /// Adds a finding.
    pub fn found(&mut self, note: Note) {
        self.found.push(note);
    }

    /// Adds something that could not be examined.
    pub fn unexamined(&mut self, what: impl Into<String>) {
        self.unexamined.push(what.into());
    }
}

/// A finding: a reason to investigate, with everything needed to do so. Every text is a single line and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that produced the finding.
    pub rule: &'static Rule,
    /// The severity.
    pub severity: Severity,
    /// The process; `None` if the finding is about the computer.
    pub pid: Option<u32>,
    /// The path of the program, or its short name in parentheses if the path is not known.
    pub program: Option<String>,
    /// What was found, in a few words.
    pub headline: String,
    /// The evidence, one or more lines.
    pub evidence: Vec<String>,
    /// A command that shows the evidence.
    pub verify: String,
    /// The harmless explanations.
    pub harmless: &'static str,
    /// The id of the MITRE ATT&CK technique.
    pub technique: &'static str,
    /// What would make the finding harmless or worse.
    pub would_change: String,
    /// When the program was first seen on the network, according to the record.
    pub first_seen: Option<FirstSight>,
}

impl Finding {
    /// Creates a finding from a note of `rule` about process `pid`, which runs `program`. A process or program named in
    /// the note takes precedence.
    pub(super) fn of(rule: &'static Rule, note: Note, pid: Option<u32>, program: Option<String>) -> Finding {
        Finding {
            rule,
            severity: note.severity,
            pid: note.pid.or(pid),
            program: note.program.or(program),
            headline: note.headline,
            evidence: note.evidence,
            verify: note.verify,
            harmless: rule.harmless,
            technique: rule.technique,
            would_change: note.would_change,
            first_seen: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_lowered_is_next_below_or_info() {
        for pair in Severity::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
            assert_eq!(pair[1].lower(), pair[0]);
        }
        assert_eq!(Severity::Info.lower(), Severity::Info);
    }
}
