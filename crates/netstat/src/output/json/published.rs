//! The schema of the ports that the packet filter forwards, as a member of a JSON document.

use serde_json::{Map, Value, json};

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn optional(kind: &str, about: &str) -> Value {
    json!({"type": [kind, "null"], "description": about})
}

/// Returns the schema of the member `published`.
pub(crate) fn schema() -> Value {
    let properties = [
        ("protocol", text("TCP or UDP")),
        ("family", text("IPv4 or IPv6")),
        (
            "first_port",
            json!({"type": "integer", "minimum": 1, "maximum": 65535, "description": "the first published port"}),
        ),
        (
            "last_port",
            json!({"type": "integer", "minimum": 1, "maximum": 65535, "description": "the last one"}),
        ),
        (
            "address",
            optional(
                "string",
                "the address or network of this computer that it is for; null: all",
            ),
        ),
        (
            "to_address",
            optional(
                "string",
                "the address that packets go to; null: they stay on this computer, or it is not known",
            ),
        ),
        (
            "to_port",
            optional(
                "integer",
                "the port that packets go to; null: the same one, or it is not known",
            ),
        ),
        (
            "to_here",
            json!({"type": "boolean", "description": "whether packets are redirected to this computer itself"}),
        ),
        (
            "to_known",
            json!({"type": "boolean", "description": "whether the destination could be worked out"}),
        ),
        (
            "conditions",
            json!({"type": "array", "items": {"type": "string"}, "description": "what else must hold of a packet"}),
        ),
        (
            "filters",
            json!({"type": "array", "items": {"type": "string"}, "description": "what the packet filters make of it, unless they let everybody through"}),
        ),
        (
            "closed_by_filters",
            json!({"type": "boolean", "description": "whether the packet filters let nobody through"}),
        ),
        ("served_by", served_by()),
    ];
    let required: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let required = json!(required);
    let properties: Map<String, Value> = properties
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    json!({
        "type": "array",
        "description": "with --exposed: ports that the packet filter hands on (DNAT, REDIRECT), which no socket has",
        "items": {"type": "object", "properties": properties, "required": required, "additionalProperties": false},
    })
}

/// Returns the schema of the processes behind a published port.
fn served_by() -> Value {
    json!({
        "type": "array",
        "description": "the processes behind it, as far as they are on this computer",
        "items": {
            "type": "object",
            "properties": {
                "pid": optional("integer", "process id; null where the owner is not known"),
                "program": text("its program, or why that is not known"),
                "namespace": optional("string", "its network namespace, where it is not the caller's"),
            },
            "required": ["pid", "program", "namespace"],
            "additionalProperties": false,
        },
    })
}
