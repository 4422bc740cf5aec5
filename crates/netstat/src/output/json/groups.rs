//! `-g` in machine-readable formats.

use netstat_model::route::MulticastGroup;
use serde_json::{Value, json};

use super::text;

/// Returns the member `groups`.
pub(crate) fn value(groups: &[MulticastGroup]) -> Value {
    let one = |group: &MulticastGroup| {
        json!({
            "interface": text(&group.interface),
            "index": group.index,
            "group": group.group.to_string(),
            "users": group.users,
        })
    };
    groups.iter().map(one).collect()
}

/// Returns the schema of the member `groups`.
pub(super) fn schema() -> Value {
    json!({
        "type": ["array", "null"],
        "description": "multicast groups that interfaces have joined; null where they cannot be read",
        "items": {
            "type": "object",
            "properties": {
                "interface": {"type": "string", "description": "name of the interface"},
                "index": {"type": "integer", "minimum": 1, "description": "its number"},
                "group": {"type": "string", "description": "address of the group"},
                "users": {"type": "integer", "minimum": 0, "description": "how many sockets and parts of the kernel have joined it there"},
            },
            "required": ["interface", "index", "group", "users"],
            "additionalProperties": false,
        },
    })
}
