//! The schemas of the output of `history`: one JSON document, or one row per line.

use netstat_record::Flows;
use serde_json::{Map, Value, json};

use super::headings::{BEACONS, GAP_HOST, GAPS, NEW, NamedColumn, RARE};
use crate::output::json::schema::{DRAFT, document, of_kind, row};

/// Returns the schema of `netstat.history`.
pub(crate) fn history() -> Value {
    let members = [
        (
            "gaps",
            json!({"type": "array", "items": {"$ref": "#/$defs/gap"}, "description": "what is missing in the record of the time asked for"}),
        ),
        ("rows", json!({"type": "array", "items": {"anyOf": kinds()}})),
    ];
    document("history", &members, definitions(false))
}

/// Returns the schema of a line of `history --ndjson`.
pub(crate) fn line() -> Value {
    json!({
        "$schema": DRAFT,
        "title": "netstat.history-line",
        "description": "One row of an answer about the past and, where a value is missing, why.",
        "anyOf": kinds(),
        "$defs": definitions(true),
    })
}

/// Returns the possible kinds of rows.
fn kinds() -> Value {
    ["flow", "new", "beacon", "gap", "rare"]
        .iter()
        .map(|name| json!({"$ref": format!("#/$defs/{name}")}))
        .collect()
}

fn definitions(limits: bool) -> Value {
    let count = json!({"type": "integer", "minimum": 1, "description": "with --group: how many connections; sent and received are then sums, first and last the outermost"});
    let mut flow = row::<Flows>(&[("count", count)], limits);
    flow["description"] = "a connection, or with --group those with the same values".into();
    let mut gap = object(
        &GAPS,
        limits,
        "with --gaps, and in each document: a time of which something is missing",
    );
    let (head, meaning) = GAP_HOST;
    gap["properties"][head.name] = of_kind(head.kind);
    gap["properties"][head.name]["description"] = meaning.into();
    json!({
        "flow": flow,
        "new": object(&NEW, limits, "with --new: what a program did for the first time"),
        "beacon": object(&BEACONS, limits, "with --beacons: a program that calls by the clock"),
        "gap": gap,
        "rare": object(&RARE, limits, "with --rare: what few computers of a fleet have"),
    })
}

fn object(columns: &[NamedColumn], limits: bool, about: &str) -> Value {
    let mut properties = Map::new();
    for (head, meaning) in columns {
        let mut schema = match head.name {
            "value" => json!({"type": ["string", "integer"]}),
            _ => of_kind(head.kind),
        };
        schema["description"] = (*meaning).into();
        properties.insert(head.name.to_owned(), schema);
    }
    if limits {
        properties.insert("limits".to_owned(), crate::output::json::schema::reasons());
    }
    let required: Vec<&str> = columns.iter().map(|(head, _)| head.name).collect();
    json!({
        "type": "object",
        "description": about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}
