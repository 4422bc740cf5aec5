//! A process of Windows that something else started than always does.

use netstat_model::Fact;
use netstat_model::text::escape;

use super::{bare, parents, show_process, told};
use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// See the module.
pub(crate) static RULE: Rule = Rule {
    name: "odd-parent",
    title: "a process of Windows was started by another than always starts it",
    explanation: "services.exe starts svchost.exe and spoolsv.exe, wininit.exe starts services.exe and lsass.exe, svchost.exe starts taskhostw.exe. High when another process that still runs did; a parent that ended is no finding, \
        and an id that was used again is told apart by the time of start. svchost.exe without -k, which names the group of services, is high.",
    harmless: "none that is known; a debugger or a test",
    technique: "T1036",
    family: Family::Identity,
    check: Check::Process(check),
};

/// Processes, without `.exe`, and who starts them.
const PARENTS: &[(&str, &[&str])] = &[
    ("svchost", &["services", "msmpeng"]),
    ("spoolsv", &["services"]),
    ("services", &["wininit"]),
    ("lsass", &["wininit", "winlogon"]),
    ("lsaiso", &["wininit"]),
    ("taskhostw", &["svchost"]),
    ("smss", &["system", "smss"]),
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    if told(case).is_none() {
        return;
    }
    let own = bare(case.name());
    let Some((known, expected)) = PARENTS.iter().find(|(known, _)| known.as_bytes() == own) else {
        return;
    };
    let parent = parents(case).next();
    let odd = parent.filter(|(name, _)| !expected.iter().any(|expected| expected.as_bytes() == name.as_slice()));
    let ungrouped = own == b"svchost"
        && matches!(&case.facts.arguments, Fact::Known(words)
            if !words.is_empty() && !words.iter().any(|word| word.eq_ignore_ascii_case(b"-k") || word.eq_ignore_ascii_case(b"/k")));
    let (headline, line) = match (odd, ungrouped) {
        (Some((name, pid)), _) => (
            format!("was started by {}, not by {}.exe", escape(&name), expected[0]),
            format!(
                "parent: {} (PID {pid}); {known}.exe is started by {}.exe",
                escape(&name),
                expected[0]
            ),
        ),
        (None, true) => (
            "runs without a group of services".to_owned(),
            "svchost.exe is always given one with -k".to_owned(),
        ),
        (None, false) => return,
    };
    let mut evidence = vec![line, format!("command line: {}", case.command_line())];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity: Severity::High,
        headline,
        evidence,
        verify: show_process(case.facts),
        would_change: "you started it yourself".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn parents_are_compared_with_what_windows_does() {
        let made = |name: &str, parent: &str| {
            let path = format!(r"C:\Windows\System32\{name}.exe");
            Made::windows(&path).arguments("x -k netsvcs").parent(parent)
        };
        assert_eq!(made("svchost", "services.exe").check(&RULE), []);
        assert_eq!(made("svchost", "explorer.exe").check(&RULE), [Severity::High]);
        assert_eq!(made("lsass", "cmd.exe").check(&RULE), [Severity::High]);
        assert_eq!(made("notepad", "cmd.exe").check(&RULE), []);
        assert_eq!(
            made("svchost", "services.exe").arguments("svchost.exe").check(&RULE),
            [Severity::High]
        );
        // A parent that has ended proves nothing.
        let orphan = Made::windows(r"C:\Windows\System32\taskhostw.exe").arguments("taskhostw.exe");
        assert_eq!(orphan.check(&RULE), []);
    }
}
