//! Detects programs, scripts and libraries that differ from what their package installed.

use std::path::PathBuf;

use netstat_model::text::escape_str;
use netstat_packages::packages::Match;

use crate::case::{Case, FileLook};
use crate::files::Authority;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "differs",
    title: "the program differs from what its package recorded",
    explanation: "Package databases keep a digest of each file. The file that really runs (/proc/PID/exe) is read and compared, and the scripts of \
        interpreters and the libraries with it, where the package keeps a digest; configuration is left out. A difference is looked at twice, because an \
        upgrade may be going on. It is critical: hardly anything but a hand that replaced the file leaves it so. That a file matches means that it is as the \
        database says: whoever is root can write to the database, too.",
    harmless: "somebody replaced the file by hand, or built the package anew; prelink on old systems",
    technique: "T1554",
    family: Family::Identity,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let script = case.script.map(|script| &script.look);
    let files = [("program", case.program), ("script", script)];
    let libraries = case.libraries.iter().map(|library| ("library", Some(library)));
    for (what, look) in files.into_iter().chain(libraries) {
        let Some(look) = look else { continue };
        match look.verified {
            Some(Match::Differs { recorded, found, .. }) => {
                notes.found(note(
                    case,
                    what,
                    look,
                    &recorded.to_string(),
                    &found.to_string(),
                    recorded.algorithm().name(),
                ));
            }
            Some(Match::NotRead(reason)) => {
                notes.unexamined(format!("the content of {}: {}", look.shown(), reason.words()));
            }
            _ => {}
        }
    }
}

fn note(case: &Case<'_>, what: &str, look: &FileLook, recorded: &str, found: &str, algorithm: &str) -> Note {
    let package = look
        .package()
        .map_or_else(String::new, |package| escape_str(&package.name).into_owned());
    let mut evidence = vec![
        format!("{} of package {package}", look.shown()),
        format!("recorded {algorithm} {recorded}"),
        format!("found    {algorithm} {found}"),
    ];
    evidence.extend(case.reach_evidence());
    Note {
        severity: Severity::Critical,
        headline: match what {
            "program" => format!("differs from what package {package} installed"),
            _ => format!("runs a {what} that differs from what package {package} installed"),
        },
        evidence,
        verify: verify(case, look),
        would_change:
            "the digest is that of another release of the package; somebody replaced the file and can say why"
                .to_owned(),
        pid: None,
        program: None,
    }
}

/// Returns the command by which the package manager verifies the file, in the root that the package belongs to.
fn verify(case: &Case<'_>, look: &FileLook) -> String {
    let root = match look.authority {
        Authority::Own => None,
        _ => Some(PathBuf::from(format!("/proc/{}/root", case.facts.pid))),
    };
    look.package()
        .map_or_else(String::new, |package| package.verify_command(root.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn program_differing_from_package_record_is_critical() {
        let made = || {
            Made::program("/usr/sbin/sshd")
                .packaged("openssh-server")
                .listening("0.0.0.0:22")
        };
        assert_eq!(made().differing().check(&RULE), [Severity::Critical]);
        assert_eq!(made().check(&RULE), []);
    }
}
