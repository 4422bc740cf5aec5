//! What a rule can say.

use std::fmt;

use super::FirstSight;
use super::case::{Case, Host};

/// How suspicious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; no reason to worry.
    Info,
    /// Proves nothing alone; supports other findings.
    Low,
    /// Unusual: somebody should know the reason.
    Medium,
    /// Legitimate programs rarely do this: investigate now.
    High,
    /// Almost nothing but an intrusion or a penetration test does this: investigate first.
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Severity; 5] = [
        Severity::Info,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];

    /// The word for it, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// One step less; the least stays.
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

/// What kind of sign a rule looks for. Several signs of one kind say little more than one; signs of several kinds support each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Who the program is.
    Identity,
    /// Where its file lies and who may change it.
    FileStatus,
    /// Where its input and output go.
    Input,
    /// What is in its memory.
    Memory,
    /// What it hides.
    Hiding,
    /// What it does on the network.
    Network,
}

/// A rule: what it looks for, what that means, and how.
pub struct Rule {
    /// Its name, as in the output and for `--explain`.
    pub name: &'static str,
    /// What it looks for, in one line without a full stop.
    pub title: &'static str,
    /// How it judges, for `--explain`: sentences.
    pub explanation: &'static str,
    /// Which harmless reasons there are, for every finding.
    pub harmless: &'static str,
    /// The technique of MITRE ATT&CK for Enterprise that it is a sign of.
    pub technique: &'static str,
    /// The kind of sign.
    pub family: Family,
    /// The work.
    pub check: Check,
}

/// What a rule looks at.
#[derive(Clone, Copy)]
pub enum Check {
    /// One process.
    Process(fn(&Case<'_>, &mut Notes)),
    /// The computer.
    Host(fn(&Host, &mut Notes)),
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Rule {
    /// The page about the technique at MITRE ATT&CK; `None` where there is none.
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

/// What a rule found, before it is known whose it is. Every text is one line and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it is worth a look.
    pub severity: Severity,
    /// What was found, in a few words that follow the program's name: `runs from memory only`.
    pub headline: String,
    /// What was seen, with numbers; one or more lines.
    pub evidence: Vec<String>,
    /// A command that shows it, to be copied.
    pub verify: String,
    /// What would make it harmless or worse, to follow "would change it: ".
    pub would_change: String,
    /// The process that it is about, where a rule of the host knows one.
    pub pid: Option<u32>,
    /// The path of the program that it is about, where a rule of the host knows one.
    pub program: Option<String>,
}

/// Takes what a rule has to say.
#[derive(Debug, Default)]
pub struct Notes {
    /// What was found.
    pub found: Vec<Note>,
    /// What could not be looked at, each a line: never a finding.
    pub unexamined: Vec<String>,
}

impl Notes {
    /// Something was found.
    pub fn found(&mut self, note: Note) {
        self.found.push(note);
    }

    /// Something could not be looked at.
    pub fn unexamined(&mut self, what: impl Into<String>) {
        self.unexamined.push(what.into());
    }
}

/// A finding: a reason to look, with all that is needed to look. Every text is one line and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// How much it is worth a look.
    pub severity: Severity,
    /// The process, unless it is about the computer.
    pub pid: Option<u32>,
    /// The path of its program; where it may not be read, its short name in round brackets.
    pub program: Option<String>,
    /// What was found, in a few words.
    pub headline: String,
    /// What was seen.
    pub evidence: Vec<String>,
    /// A command that shows it.
    pub verify: String,
    /// Which harmless reasons there are.
    pub harmless: &'static str,
    /// The technique of MITRE ATT&CK.
    pub technique: &'static str,
    /// What would make it harmless or worse.
    pub would_change: String,
    /// When the program was first seen on the network, by a record of the past.
    pub first_seen: Option<FirstSight>,
}

impl Finding {
    /// A note of `rule` about process `pid`, whose program is `program`.
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
    fn severities_step_down() {
        for pair in Severity::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
            assert_eq!(pair[1].lower(), pair[0]);
        }
        assert_eq!(Severity::Info.lower(), Severity::Info);
    }
}
