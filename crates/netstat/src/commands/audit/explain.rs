//! `--rules` and `--explain`.

use std::io::Write;

use netstat_audit::finding::Rule;
use netstat_audit::measured;
use netstat_audit::rules::{self, RULES};
use serde_json::{Value, json};

use super::text;
use crate::output::json;

/// Writes the output of `--rules`.
pub(super) fn list_rules(out: &mut dyn Write, as_json: bool) -> std::io::Result<()> {
    if as_json {
        let rules: Value = RULES
            .iter()
            .map(|rule| {
                let measured = measured::of_rule(rule);
                json!({
                    "name": rule.name, "title": rule.title, "explanation": rule.explanation, "harmless": rule.harmless,
                    "technique": rule.technique, "link": rule.link(), "systems": rules::systems(rule),
                    "scenes_found": measured.found, "false_alarms": measured.alarms,
                })
            })
            .collect();
        return out.write_all(json::to_text(&rules, true).as_bytes());
    }
    let widest = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for rule in RULES {
        writeln!(out, "{:widest$}  {:10}  {}", rule.name, rule.technique, rule.title)?;
    }
    Ok(())
}

/// Writes the output of `--explain`, wrapped to `width` columns.
pub(super) fn explain(out: &mut dyn Write, rule: &Rule, width: usize) -> std::io::Result<()> {
    let (of_rule, all) = (measured::of_rule(rule), measured::scenes());
    let link = rule.link();
    let technique = link.map(|link| format!("ATT&CK: {} ({link})", rule.technique));
    let parts = [
        Some(format!("{}: {}", rule.name, rule.title)),
        Some(rule.explanation.to_owned()),
        Some(format!("Harmless if: {}", rule.harmless)),
        technique,
        Some(format!(
            "Measured on the project's own scenes: severity high or above in {} of {} harmless re-enactments of intrusions, and in {} of {} scenes of everyday work \
             (docs/audit.md).",
            of_rule.found, all.found, of_rule.alarms, all.alarms
        )),
    ];
    for (place, part) in parts.into_iter().flatten().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        for line in text::wrapped(&part, width) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
