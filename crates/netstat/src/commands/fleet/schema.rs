//! The schemas of the output of `fleet`.

use serde_json::{Map, Value, json};

use super::answers::{FINDINGS, HOSTS};
use crate::output::json::schema::{document, of_kind};
use crate::output::rows::Head;

fn rows(name: &str, heads: &[Head], meanings: &[&str]) -> Value {
    let mut properties = Map::new();
    for (head, meaning) in heads.iter().zip(meanings) {
        let mut schema = of_kind(head.kind);
        schema["description"] = (*meaning).into();
        properties.insert(head.name.to_owned(), schema);
    }
    let required: Vec<&str> = heads.iter().map(|head| head.name).collect();
    let row = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let members = [
        (
            "store",
            json!({"type": "string", "description": "the address of the fleet's store"}),
        ),
        ("rows", json!({"type": "array", "items": {"$ref": "#/$defs/row"}})),
    ];
    document(name, &members, json!({"row": row}))
}

/// Returns the schema of `netstat.fleet-hosts`.
pub(crate) fn hosts() -> Value {
    let meanings = [
        "the computer's number in the fleet: a hash of its machine id, 16 hexadecimal digits",
        "its name",
        "when the engine last heard from it, by the engine's clock",
        "seconds since then",
        "the version of its recorder",
        "rows that waited to be sent then",
        "rows that it has given up",
        "by how many milliseconds its clock was ahead of the engine's, the way there included; a whole number",
    ];
    rows("fleet-hosts", &HOSTS, &meanings)
}

/// Returns the schema of `netstat.fleet-findings`.
pub(crate) fn findings() -> Value {
    let meanings = [
        "silent_host, sudden_address, regular_callers, rare_finding, rare_program, new_program, new_listener, new_port or new_address",
        "the program, address or computer",
        "what goes with it: a port, a rule, the time between calls",
        "on how many computers",
        "of how many",
        "since when",
        "until when; null where that is not known",
        "one of the computers",
    ];
    rows("fleet-findings", &FINDINGS, &meanings)
}

/// Returns the schema of `netstat.fleet-status`.
pub(crate) fn status() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let count = |about: &str| json!({"type": "integer", "minimum": 0, "description": about});
    let members = [
        ("store", text("the address of the fleet's store")),
        ("engine", text("the engine's version")),
        ("schema_version", count("the version of the tables")),
        ("hosts", count("computers that have ever sent")),
        (
            "late",
            count("those from which nothing was heard for longer than --late-after"),
        ),
        ("waiting_rows", count("rows that wait on all computers")),
        ("lost_rows", count("rows that all computers have given up")),
        (
            "flow_rows",
            count("rows of connections; revisions that are not merged yet count, too"),
        ),
        ("bytes", count("bytes of all tables on the engine's disk")),
        ("parts", count("parts of all tables")),
        (
            "free_bytes",
            json!({"type": ["integer", "null"], "minimum": 0, "description": "bytes free on the engine's disk with the least room; null where this user may not know"}),
        ),
        (
            "versions",
            json!({"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}, "description": "how many computers have each version of the recorder"}),
        ),
    ];
    document("fleet-status", &members, json!({}))
}
