//! Detects programs that no package owns in directories that packages fill.

use netstat_model::process::FileStatus;

use crate::case::{Case, Exposure};
use crate::files::Authority;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "among-packages",
    title: "the program lies in a directory that packages fill, and no package owns it",
    explanation: "Programs in /usr/bin, /usr/sbin, /usr/lib, /usr/libexec, /usr/share, /bin, /sbin and /lib come from packages; administrators use /usr/local and /opt. What lies there and \
        belongs to none wants to pass for a part of the system. High when it is on the network beyond this computer, else medium; low in a root of its own (a \
        container), where images are often filled by hand.",
    harmless: "a program that its maker's installer or an administrator copied there",
    technique: "T1036.005",
    family: Family::FileStatus,
    check: Check::Process(check),
};

const PLACES: &[&[u8]] = &[
    b"/usr/bin/",
    b"/usr/sbin/",
    b"/usr/lib/",
    b"/usr/lib32/",
    b"/usr/lib64/",
    b"/usr/libexec/",
    b"/usr/share/",
    b"/usr/games/",
    b"/usr/include/",
    b"/bin/",
    b"/sbin/",
    b"/lib/",
    b"/lib32/",
    b"/lib64/",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(program) = case.program else { return };
    let told = case.facts.program.as_ref().known();
    if !program.is_unowned() || program.origin().is_some() || told.is_none_or(|told| told.place == FileStatus::Memory) {
        return;
    }
    if !PLACES.iter().any(|place| program.path.starts_with(place)) {
        return;
    }
    let severity = match (&program.authority, case.exposure > Exposure::Loopback) {
        (Authority::Own, true) => Severity::High,
        (Authority::Own, false) => Severity::Medium,
        _ => Severity::Low,
    };
    let mut evidence = vec![format!("no package lists {}", program.shown())];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: "lies among the programs of packages and belongs to none".to_owned(),
        evidence,
        verify: format!("ls -l /proc/{0}/exe; sha256sum /proc/{0}/exe", case.facts.pid),
        would_change: "you know who put it there".to_owned(),
        pid: None,
        program: None,
    });
}
