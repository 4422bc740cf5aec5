//! Detects programs that no package owns.

use netstat_model::process::FileStatus;

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "unpackaged",
    title: "no package owns the program",
    explanation: "What a distribution's package installed has a known origin; other programs do not. Many are harmless: people install and write \
        programs themselves. Low where the place names another way of installing (cargo, npm, /usr/local, ...), info then on this computer only; low \
        without such a place on this computer only; medium where it is reachable or connected beyond it. Never higher alone. The package databases are \
        those that the process itself sees: a container is asked for its own; without a database there is no finding.",
    harmless: "your own program, or one that cargo, go, npm, pip, Homebrew, nix, snap, a vendor's installer or an administrator put there",
    technique: "T1204.002",
    family: Family::Identity,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(program) = case.program else { return };
    if case
        .facts
        .program
        .as_ref()
        .known()
        .is_none_or(|told| told.place == FileStatus::Memory)
        || !program.is_unowned()
    {
        return;
    }
    let far = case.exposure > Exposure::Loopback;
    let mut evidence = vec![format!("no package database lists {}", program.shown())];
    let severity = match program.origin() {
        Some(origin) => {
            let name = origin
                .name
                .as_deref()
                .map_or_else(String::new, |name| format!(" ({name})"));
            evidence.push(format!("its place is that of {}{name}", origin.manager.words()));
            if far { Severity::Low } else { Severity::Info }
        }
        None if far => Severity::Medium,
        None => Severity::Low,
    };
    if let Some(file) = program.file.known() {
        evidence.push(format!(
            "the file belongs to user {} and has {} bytes",
            file.user, file.size
        ));
    }
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: "belongs to no package".to_owned(),
        evidence,
        verify: format!("readlink /proc/{0}/exe; sha256sum /proc/{0}/exe", case.facts.pid),
        would_change: "you know who installed it; the digest is known to its maker".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn unpackaged_listener_severity_follows_directory_and_reach() {
        let seen = |path: &str, local: &str| Made::program(path).unowned().listening(local).check(&RULE);
        assert_eq!(seen("/srv/x/server", "0.0.0.0:8080"), [Severity::Medium]);
        assert_eq!(seen("/srv/x/server", "127.0.0.1:8080"), [Severity::Low]);
        assert_eq!(seen("/home/u/.cargo/bin/x", "0.0.0.0:8080"), [Severity::Low]);
        assert_eq!(seen("/home/u/.cargo/bin/x", "[::1]:8080"), [Severity::Info]);
        assert_eq!(
            Made::program("/usr/sbin/x")
                .packaged("x")
                .listening("0.0.0.0:80")
                .check(&RULE),
            []
        );
        // Without a package database, the rule does not apply.
        assert_eq!(Made::program("/srv/x/server").listening("0.0.0.0:80").check(&RULE), []);
    }
}
