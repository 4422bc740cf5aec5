//! Detects programs that only a package database under the control of an ordinary user lists.

use crate::case::{Case, Exposure};
use crate::files::Authority;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "made-up-root",
    title: "only a package database that an ordinary user can have made lists the program",
    explanation: "In a user namespace of one's own, anyone can mount another package database over the computer's and let it list any program. Such a database counts for nothing. High when the program is on the network beyond this computer and \
        no container is known to be its root; medium otherwise.",
    harmless: "a container without root (rootless podman or docker), a sandbox of a desktop",
    technique: "T1036",
    family: Family::Hiding,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(program) = case.program else { return };
    let (Authority::Nobody(root), Some(package)) = (&program.authority, program.package()) else {
        return;
    };
    let mut evidence = vec![
        format!(
            "the database of {root} says that package {} owns {}",
            netstat_model::text::escape_str(&package.name),
            program.shown()
        ),
        "an ordinary user can have made that database".to_owned(),
    ];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity: match case.exposure > Exposure::Loopback && !case.in_container() {
            true => Severity::High,
            false => Severity::Medium,
        },
        headline: "is listed by a package database that an ordinary user can have made".to_owned(),
        evidence,
        verify: format!(
            "cat /proc/{0}/uid_map /proc/{0}/mountinfo; ls -l /proc/{0}/root/var/lib/dpkg",
            case.facts.pid
        ),
        would_change: "you know the container or sandbox that it runs in".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn package_claim_of_root_without_authority_is_high() {
        let made = || {
            Made::program("/usr/bin/svc")
                .packaged("svc")
                .connected("203.0.113.7:443")
        };
        assert_eq!(made().check(&RULE), []);
        let of = |made: Made| {
            made.authority(Authority::Nobody("the mount namespace of PID 7".into()))
                .check(&RULE)
        };
        assert_eq!(of(made()), [Severity::High]);
        assert_eq!(
            made().authority(Authority::Other("container x".into())).check(&RULE),
            []
        );
    }
}
