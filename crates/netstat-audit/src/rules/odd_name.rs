//! Detects file names that are made to be overlooked or mistaken for others.

use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "odd-name",
    title: "the program's file name is made to be overlooked or taken for another",
    explanation: "A blank at the end, control characters, or letters of another alphabet among Latin ones make a name look like one that it is not. High when no package owns the \
        program, else low. A name wholly in another alphabet is none of this.",
    harmless: "a file that was renamed by accident",
    technique: "T1036.006",
    family: Family::Hiding,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    for (what, look) in [
        ("program", case.program),
        ("script", case.script.map(|script| &script.look)),
    ] {
        let Some(look) = look else { continue };
        let Some(why) = odd(look.name()) else { continue };
        let severity = if look.package().is_some() {
            Severity::Low
        } else {
            Severity::High
        };
        let mut evidence = vec![format!("the {what} is {}: {why}", look.shown())];
        evidence.extend(case.reach_evidence());
        notes.found(Note {
            severity,
            headline: format!("has a {what} whose name is made to be overlooked"),
            evidence,
            verify: format!(
                "ls -b /proc/{0}/exe; readlink /proc/{0}/exe | od -c | head",
                case.facts.pid
            ),
            would_change: "you know who named it so".to_owned(),
            pid: None,
            program: None,
        });
    }
}

fn odd(name: &[u8]) -> Option<&'static str> {
    if name.iter().any(u8::is_ascii_control) {
        return Some("it has control characters");
    }
    if name.ends_with(b" ") || name.starts_with(b" ") {
        return Some("it begins or ends with a blank");
    }
    let Ok(text) = std::str::from_utf8(name) else {
        return Some("it is no valid text");
    };
    let invisible = |letter: char| matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{a0}' | '\u{feff}');
    if text.chars().any(invisible) {
        return Some("it has letters that are not visible");
    }
    let latin = text.chars().any(|letter| letter.is_ascii_alphabetic());
    // These blocks contain letters that look like Latin ones: Greek, Cyrillic, Armenian, Cherokee, full-width forms and
    // IPA.
    let alike = |letter: char| matches!(letter, '\u{370}'..='\u{52f}' | '\u{531}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{ff01}'..='\u{ff5e}' | '\u{251}'..='\u{29f}');
    (latin && text.chars().any(alike)).then_some("it mixes letters of another alphabet with Latin ones")
}
