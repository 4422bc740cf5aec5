//! The audit as a report: the summary, the details of everything in it, the digests of the code, and what was not
//! examined.

use netstat_audit::{contacts, next};

use super::overview::{self, Group, HEADINGS};
use super::{LIMITS, Shown};
use crate::output::report::Block;

/// Returns the parts of the report.
pub(super) fn blocks(shown: &Shown<'_>) -> Vec<Block> {
    let groups = overview::groups(shown.items, &shown.choice);
    let rows = overview::rows(&groups);
    let of_processes = groups
        .iter()
        .flat_map(|group| std::iter::repeat_n(group.severity(), group.processes()));
    let counts = overview::counts(of_processes);
    let examined = super::text::plural_of(shown.survey.judged.len(), "process", "processes");
    let what = if counts.is_empty() {
        "nothing was found"
    } else {
        &counts
    };
    let mut blocks = vec![Block::Paragraph(format!("{examined} with sockets examined: {what}."))];
    if shown.acknowledged() > 0 {
        blocks.push(Block::Paragraph(format!(
            "Acknowledged as harmless: {}.",
            super::text::plural_of(shown.acknowledged(), "finding", "findings")
        )));
    }
    if !rows.is_empty() {
        blocks.push(Block::Table {
            headings: HEADINGS.iter().map(|heading| (*heading).to_owned()).collect(),
            rows: rows
                .iter()
                .map(|row| row.cells().iter().map(|cell| (*cell).to_owned()).collect())
                .collect(),
        });
    }
    for group in &groups {
        details(&mut blocks, group, shown);
    }
    blocks.push(Block::heading(2, "Not examined"));
    blocks.push(Block::List(shown.missing()));
    blocks.push(Block::Paragraph(LIMITS.to_owned()));
    blocks
}

fn details(blocks: &mut Vec<Block>, group: &Group<'_>, shown: &Shown<'_>) {
    let headline = group.first().map_or("", |finding| finding.headline.as_str());
    let text = match group.judged {
        Some(judged) => format!("{} (PID {}) {headline}", judged.name(), judged.facts.pid),
        None => headline.to_owned(),
    };
    blocks.push(Block::Heading {
        level: 2,
        badge: Some(group.severity().name()),
        text,
    });
    if let Some(judged) = group.judged {
        let mut facts = vec![
            ("Verdict".to_owned(), vec![judged.verdict.judgement.word().to_owned()]),
            ("Program".to_owned(), vec![judged.shown()]),
        ];
        if let Some(script) = &judged.script {
            facts.push(("Script".to_owned(), vec![script.shown()]));
        }
        if let Some(sha256) = group.items.iter().find_map(|item| item.mark.sha256.clone()) {
            facts.push(("SHA-256".to_owned(), vec![sha256]));
        }
        let line = netstat_audit::case::command_line(&judged.facts.arguments);
        if !line.is_empty() {
            facts.push(("Command line".to_owned(), vec![line]));
        }
        if let Some(unit) = contacts::component(&judged.facts) {
            facts.push(("Unit".to_owned(), vec![unit]));
        }
        facts.push(("Network".to_owned(), judged.contacts.lines()));
        let starters = judged.starters.lines();
        if !starters.is_empty() {
            facts.push(("Started by".to_owned(), starters));
        }
        if !group.others.is_empty() {
            let pids: Vec<String> = group.others.iter().map(u32::to_string).collect();
            facts.push(("The same for PID".to_owned(), vec![pids.join(", ")]));
        }
        blocks.push(Block::Facts(facts));
    }
    for item in &group.items {
        let finding = item.finding;
        blocks.push(Block::Heading {
            level: 3,
            badge: Some(finding.severity.name()),
            text: format!("{} ({})", finding.headline, finding.rule.name),
        });
        let mut facts = vec![
            ("Seen".to_owned(), finding.evidence.clone()),
            ("Harmless if".to_owned(), vec![finding.harmless.to_owned()]),
        ];
        if !finding.technique.is_empty() {
            facts.push(("ATT&CK".to_owned(), vec![finding.technique.to_owned()]));
        }
        facts.push(("Id".to_owned(), vec![item.mark.id()]));
        if let Some(entry) = &item.standing.acknowledged {
            facts.push(("Acknowledged".to_owned(), vec![entry.why.clone()]));
        }
        blocks.push(Block::Facts(facts));
        blocks.push(Block::Commands(vec![("To verify".to_owned(), finding.verify.clone())]));
    }
    if let Some(judged) = group.judged {
        let steps = next::steps(judged, &shown.netstat, shown.superuser);
        blocks.push(Block::heading(3, "What to do next"));
        blocks.push(Block::Commands(
            steps
                .into_iter()
                .map(|step| (step.what.to_owned(), step.command))
                .collect(),
        ));
    }
}
