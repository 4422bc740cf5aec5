//! The overall judgement of a process: first the verdict, then the evidence.

use super::super::card::Opinion;
use super::lines::Lines;
use netstat_audit::{Finding, Judgement, Severity};

/// Writes the judgement and its main reasons in a row or two.
pub(super) fn write_summary(lines: &mut Lines, opinion: &Opinion) {
    /// The maximum number of reasons; the evidence follows below.
    const MOST: usize = 2;
    let verdict = &opinion.verdict;
    let word = match verdict.judgement {
        Judgement::Suspicious => "SUSPICIOUS",
        Judgement::Unusual => "UNUSUAL",
        other => other.word(),
    };
    let nothing = match opinion.findings.iter().any(|finding| finding.severity > Severity::Info) {
        true => "",
        false => "nothing unusual was found; ",
    };
    let mut reasons: Vec<&str> = verdict.reasons.iter().take(MOST).map(String::as_str).collect();
    let more = format!("{} more", verdict.reasons.len().saturating_sub(MOST));
    if verdict.reasons.len() > MOST {
        reasons.push(&more);
    }
    lines.row("verdict", &format!("{word}: {nothing}{}", reasons.join("; ")));
}

/// Writes each finding with its evidence and the command that shows it, and what would change the judgement.
pub(super) fn write_details(lines: &mut Lines, opinion: &Opinion) {
    for (place, finding) in opinion.findings.iter().enumerate() {
        let label = if place == 0 { "found" } else { "" };
        write_finding(lines, label, finding);
    }
    // What could not be examined is among the things that would change it, and is shown separately.
    let changes = opinion
        .verdict
        .would_change
        .iter()
        .filter(|line| opinion.unexamined.is_empty() || !line.starts_with("what could not be looked at"));
    for (place, line) in changes.enumerate() {
        lines.row(if place == 0 { "changes it" } else { "" }, line);
    }
    if !opinion.unexamined.is_empty() {
        lines.row("unchecked", &opinion.unexamined.join("; "));
    }
}

fn write_finding(lines: &mut Lines, label: &str, finding: &Finding) {
    let severity = match finding.severity {
        severity @ (Severity::High | Severity::Critical) => severity.name().to_uppercase(),
        other => other.name().to_owned(),
    };
    lines.row(
        label,
        &format!(
            "{severity}: {} (rule {}, ATT&CK {})",
            finding.headline, finding.rule.name, finding.technique
        ),
    );
    if finding.severity == Severity::Info {
        return;
    }
    for line in &finding.evidence {
        lines.row("", &format!("- {line}"));
    }
    lines.raw("", &format!("- see it: {}", finding.verify));
    lines.row("", &format!("- harmless if: {}", finding.harmless));
}
