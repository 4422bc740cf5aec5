//! The schemas of the documents that the listings print.

use netstat_model::columns::{Sockets, Table};
use serde_json::{Value, json};

use super::schema::{document, line, row};
use crate::output::events::Events;

/// Returns the schema of a document with the requested parts, and the connection list if it is requested, too.
pub(crate) fn tables() -> Value {
    let rows = json!({"type": "array", "items": {"$ref": "#/$defs/row"}, "description": "the connection list"});
    let mut whole = document("tables", &[], json!({"row": row::<Sockets>(&listing_members(), false)}));
    let parts = [
        ("ethernet", super::ethernet::schema()),
        ("statistics", super::statistics::schema()),
        ("routes", super::routes::schema()),
        ("route_to", super::routes::way_schema()),
        ("groups", super::groups::schema()),
        ("processes", super::processes::schema()),
        ("published", super::published::schema()),
        ("rows", rows),
    ];
    if let Some(properties) = whole["properties"].as_object_mut() {
        properties.extend(parts.map(|(name, schema)| (name.to_owned(), schema)));
    }
    whole
}

pub(crate) fn sockets() -> Value {
    let rows = json!({"type": "array", "items": {"$ref": "#/$defs/row"}});
    let mut whole = document(
        "sockets",
        &[("rows", rows)],
        json!({"row": row::<Sockets>(&listing_members(), false)}),
    );
    whole["properties"]["published"] = super::published::schema();
    whole
}

pub(crate) fn sockets_line() -> Value {
    let about = "One row of the connection list, with the time of the look and, where a value is missing, why.";
    line("sockets-line", about, row::<Sockets>(&listing_members(), true))
}

pub(crate) fn events_line() -> Value {
    let about = "One event of a socket and, where a value is missing, why.";
    let mut row = row::<Events>(&[], true);
    let names: Vec<&str> = Events::columns().iter().map(|column| column.name).collect();
    row["required"] = names.into();
    line("events-line", about, row)
}

/// The members of a row besides the columns: the count of a group, and the kind of a change.
fn listing_members() -> Vec<(&'static str, Value)> {
    vec![
        (
            "count",
            json!({"type": "integer", "minimum": 1, "description": "with --group: how many rows"}),
        ),
        (
            "change",
            json!({"enum": ["opened", "closed", "changed"], "description": "with --changes: what happened"}),
        ),
        (
            "was",
            json!({"type": "string", "description": "with --changes: the state before, where that has changed"}),
        ),
        (
            "time",
            json!({"type": "string", "format": "date-time", "description": "when the row was read"}),
        ),
    ]
}
