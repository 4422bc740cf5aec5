//! Derives the verdict on a process from the findings about it.

use super::finding::{Finding, Severity};

/// The overall judgement of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// Nothing unusual was found, and its origin is known.
    Expected,
    /// Something is unusual; there may be a good reason.
    Unusual,
    /// Investigate it now.
    Suspicious,
    /// Too little could be examined, or nothing vouches for the program.
    CannotTell,
}

impl Judgement {
    /// All judgements.
    pub const ALL: [Judgement; 4] = [
        Judgement::Expected,
        Judgement::Unusual,
        Judgement::Suspicious,
        Judgement::CannotTell,
    ];

    /// Returns the name of the judgement.
    pub const fn word(self) -> &'static str {
        match self {
            Judgement::Expected => "expected",
            Judgement::Unusual => "unusual",
            Judgement::Suspicious => "suspicious",
            Judgement::CannotTell => "cannot tell",
        }
    }
}

/// A judgement with its reasons. Every text is a single line and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The judgement.
    pub judgement: Judgement,
    /// The highest severity of any finding; `None` without findings.
    pub severity: Option<Severity>,
    /// The reasons, most important first.
    pub reasons: Vec<String>,
    /// What would change the judgement.
    pub would_change: Vec<String>,
}

/// What vouches for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A package owns it; `compared` is whether its content was found to match the package.
    Packaged { name: String, compared: bool },
    /// A package owns the program, but not the code that it was given to run.
    Runs { name: String, what: String },
    /// The package databases of another root list it; `counts` is whether only the superuser can have created that
    /// root.
    Foreign { name: String, root: String, counts: bool },
    /// It has a valid signature (Windows); `runs` describes the foreign code that it runs, phrased to follow "it ".
    Signed { signer: String, runs: Option<&'static str> },
    /// It has no valid signature (Windows); `rooted` is whether only administrators can have put it there.
    Unsigned { rooted: bool },
    /// Whether it is signed could not be determined, for this reason.
    SignatureUnread(String),
    /// No package owns it, but its location tells what installed it.
    Placed(String),
    /// No package owns it, and its location says nothing.
    Unknown,
    /// Whether a package owns it could not be determined, for this reason.
    Unread(String),
}

/// Returns the verdict on a process. `findings` are sorted, most severe first.
pub(super) fn verdict(findings: &[Finding], standing: &Standing, unexamined: &[String]) -> Verdict {
    let gravest = findings.iter().map(|finding| finding.severity).max();
    let severity = gravest;
    let judgement = match severity {
        Some(Severity::High | Severity::Critical) => Judgement::Suspicious,
        Some(Severity::Medium) => Judgement::Unusual,
        _ => match standing {
            Standing::Packaged { .. } | Standing::Placed(_) | Standing::Signed { runs: None, .. } => {
                Judgement::Expected
            }
            Standing::Signed { .. } | Standing::Unsigned { .. } | Standing::SignatureUnread(_) => Judgement::CannotTell,
            Standing::Unknown | Standing::Unread(_) | Standing::Runs { .. } | Standing::Foreign { .. } => {
                Judgement::CannotTell
            }
        },
    };
    let mut reasons: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity >= Severity::Low)
        .map(|finding| format!("it {} ({})", finding.headline, finding.severity))
        .collect();
    reasons.push(match standing {
        Standing::Packaged { name, compared: true } => {
            format!("package {name} owns its program, which is as the package recorded it")
        }
        Standing::Packaged { name, compared: false } => {
            format!("package {name} owns its program, which was not compared with the package")
        }
        Standing::Runs { name, what } => format!("package {name} owns its program, but it {what}"),
        Standing::Foreign { name, root, counts: true } => {
            format!("the package database of {root} says that package {name} owns its program; that is the word of that root alone")
        }
        Standing::Foreign { root, counts: false, .. } => {
            format!("only the package database of {root} lists its program, and an ordinary user can have made that root: it counts for nothing")
        }
        Standing::Signed { signer, runs: None } => format!("its program is signed by {signer}"),
        Standing::Signed { signer, runs: Some(what) } => format!("its program is signed by {signer}, but it {what}"),
        Standing::Unsigned { rooted: true } => {
            "its program is not signed; only administrators can have put it there".to_owned()
        }
        Standing::Unsigned { rooted: false } => {
            "its program is not signed, and others than administrators can have put it there".to_owned()
        }
        Standing::SignatureUnread(why) => format!("whether its program is signed could not be found out: {why}"),
        Standing::Placed(place) => format!("its program lies in the place of {place}; nothing vouches for its content"),
        Standing::Unknown => "no package owns its program, and its place says nothing".to_owned(),
        Standing::Unread(why) => format!("what its program is could not be found out: {why}"),
    });
    let mut would_change: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity >= Severity::Low)
        .map(|finding| finding.would_change.clone())
        .collect();
    if judgement == Judgement::CannotTell {
        would_change.push(match standing {
            Standing::SignatureUnread(_) => {
                "a look from an elevated prompt, or at its signature with Get-AuthenticodeSignature".to_owned()
            }
            Standing::Unread(_) => "a look with more rights (sudo), or a package database that can be read".to_owned(),
            _ => "you know who put the program there, or its maker knows its digest".to_owned(),
        });
    }
    if !unexamined.is_empty() {
        would_change.push(format!("what could not be looked at: {}", unexamined.join("; ")));
    }
    would_change.dedup();
    Verdict {
        judgement,
        severity,
        reasons,
        would_change,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Note;
    use crate::rules;

    fn finding(rule: &str, severity: Severity) -> Finding {
        let note = Note {
            severity,
            headline: "is odd".into(),
            evidence: vec!["e".into()],
            verify: "v".into(),
            would_change: "w".into(),
            pid: None,
            program: None,
        };
        Finding::of(rules::find(rule).unwrap(), note, Some(1), None)
    }

    fn packaged() -> Standing {
        Standing::Packaged {
            name: "x".into(),
            compared: true,
        }
    }

    #[test]
    fn verdict_follows_gravest_finding() {
        let of = |findings: &[Finding]| verdict(findings, &packaged(), &[]);
        assert_eq!(of(&[]).judgement, Judgement::Expected);
        assert_eq!(of(&[finding("traced", Severity::Low)]).judgement, Judgement::Expected);
        assert_eq!(of(&[finding("traced", Severity::Medium)]).judgement, Judgement::Unusual);
        assert_eq!(
            of(&[finding("traced", Severity::High)]).judgement,
            Judgement::Suspicious
        );
    }

    #[test]
    fn verdict_for_unknown_origin_cannot_tell() {
        let of = |standing| verdict(&[], &standing, &[]).judgement;
        assert_eq!(of(Standing::Unknown), Judgement::CannotTell);
        assert_eq!(of(Standing::Unread("not permitted".into())), Judgement::CannotTell);
        assert_eq!(of(Standing::Placed("cargo install".into())), Judgement::Expected);
        let unread = verdict(&[], &packaged(), &["its environment: not permitted".into()]);
        assert!(unread.would_change.iter().any(|line| line.contains("its environment")));
    }
}
