//! The JSON Schemas (draft 2020-12) of the documents that this program prints, generated from the same definitions as
//! the documents.

use netstat_model::columns::{Table, ValueKind};
use serde_json::{Map, Value, json};

use super::VERSION;

/// Returns the schema of a line, with the head of a schema document.
pub(super) fn line(name: &str, about: &str, mut row: Value) -> Value {
    row["$schema"] = DRAFT.into();
    row["title"] = format!("netstat.{name}").into();
    row["$comment"] = TEXTS.into();
    row["description"] = about.into();
    row
}

/// Returns the schema of a line in which the name of the schema, the computer and the time precede the members of
/// `row`.
pub(crate) fn framed_line(name: &str, about: &str, mut row: Value) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<Value> = Vec::new();
    for (member, schema) in frame(name) {
        properties.insert(member.to_owned(), schema);
        required.push(member.into());
    }
    if let (Some(members), Some(needed)) = (row["properties"].as_object(), row["required"].as_array()) {
        properties.extend(members.clone());
        required.extend(needed.iter().cloned());
    }
    row["properties"] = properties.into();
    row["required"] = required.into();
    line(name, about, row)
}

/// The members that begin every document.
fn frame(name: &str) -> [(&'static str, Value); 4] {
    [
        ("schema", json!({"const": format!("netstat.{name}")})),
        ("version", json!({"const": VERSION})),
        ("host", json!({"type": "string", "description": "the computer's name"})),
        (
            "time",
            json!({"type": "string", "format": "date-time", "description": "when it was read (RFC 3339, UTC)"}),
        ),
    ]
}

/// The encoding of text from outside.
const TEXTS: &str = "Names, paths and arguments are UTF-8 as they are. A byte that is no UTF-8 stands as \\xNN, 80 to ff in lower case; so that nothing else \
    reads like that, a backslash in front of xNN of such a byte, or in front of x5c before it, stands as \\x5c.";

pub(crate) const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Returns the schema of a document with the usual frame and these members.
pub fn document(name: &str, members: &[(&str, Value)], definitions: Value) -> Value {
    let mut properties = Map::new();
    for (member, schema) in frame(name) {
        properties.insert(member.to_owned(), schema);
    }
    properties.insert(
        "limits".into(),
        json!({"type": "array", "items": {"$ref": "#/$defs/limit"}, "description": "what could not be seen"}),
    );
    let mut required: Vec<Value> = properties.keys().cloned().map(Value::String).collect();
    for (name, schema) in members {
        properties.insert((*name).to_owned(), schema.clone());
        required.push(Value::String((*name).to_owned()));
    }
    let mut definitions = definitions;
    if let Some(all) = definitions.as_object_mut() {
        all.insert("limit".into(), limit());
    }
    json!({
        "$schema": DRAFT,
        "title": format!("netstat.{name}"),
        "$comment": TEXTS,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn limit() -> Value {
    json!({
        "type": "object",
        "properties": {
            "what": {"type": "string", "description": "what is missing or weaker than usual"},
            "why": {"type": "string", "description": "the reason"},
            "remedy": {"type": ["string", "null"], "description": "what would help, if anything is known"},
            "column": {"type": "string", "description": "the column whose values are null"},
            "rows": {"type": "integer", "minimum": 1, "description": "in how many rows they are"},
        },
        "required": ["what", "why", "remedy"],
        "additionalProperties": false,
    })
}

/// Returns the schema of a row of `T` with further members; `limits` says whether a row itself reports why a value is
/// missing.
pub fn row<T: Table>(further: &[(&str, Value)], limits: bool) -> Value {
    let mut properties = Map::new();
    for column in T::columns() {
        let unit = if column.unit.is_empty() {
            String::new()
        } else {
            format!(" ({})", column.unit)
        };
        let mut schema = of_kind(column.kind);
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".into(), format!("{}{unit}", column.meaning).into());
        }
        properties.insert(column.name.into(), schema);
    }
    for (name, schema) in further {
        properties.insert((*name).to_owned(), schema.clone());
    }
    if limits {
        properties.insert("limits".into(), reasons());
    }
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// The reasons why values of a line are missing.
pub(crate) fn reasons() -> Value {
    json!({
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "why a value is null, by the name of its column",
    })
}

/// Returns the schema of the values of a column. Text that is known to be absent is empty.
pub(crate) fn of_kind(kind: ValueKind) -> Value {
    match kind {
        ValueKind::Text | ValueKind::Endpoint | ValueKind::Address => json!({"type": ["string", "null"]}),
        ValueKind::Number => json!({"type": ["integer", "null"], "minimum": 0}),
        ValueKind::Decimal => json!({"type": ["number", "null"]}),
        ValueKind::Flag => json!({"type": ["boolean", "null"]}),
        ValueKind::Time => json!({"type": ["string", "null"], "format": "date-time"}),
        ValueKind::Numbers => json!({"type": ["array", "null"], "items": {"type": "integer", "minimum": 0}}),
    }
}
