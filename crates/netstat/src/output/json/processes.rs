//! `-c` in machine-readable formats.

use netstat_model::{Fact, Owners, Socket};
use serde_json::{Value, json};

use super::front::Front;
use super::text;
use crate::output::classic::processes::holdings;

/// Returns the member `processes`: the number of ports of each process, in descending order.
pub(crate) fn value(front: &mut Front, sockets: &[Socket], owners: &Owners) -> Value {
    let rows = holdings(sockets, owners).into_iter().map(|(pid, held)| {
        if pid.is_none() {
            front.unknown("the owners of some ports", "see the reasons of the connection list: -a --columns local,owner_reason");
        }
        let (program, deleted) = match held.process.map(|process| process.image.as_ref()) {
            Some(Fact::Known(image)) => (text(image.file_name()), image.deleted.into()),
            Some(Fact::Unknown(why)) => {
                front.unknown(format!("the program of process {}", pid.unwrap_or_default()), why.words());
                (Value::Null, Value::Null)
            }
            None => (Value::Null, Value::Null),
        };
        json!({"pid": pid, "program": program, "deleted": deleted, "tcp_ports": held.tcp.len(), "udp_ports": held.udp.len()})
    });
    rows.collect()
}

/// Returns the schema of the member `processes`.
pub(super) fn schema() -> Value {
    json!({
        "type": "array",
        "description": "-c: processes by the ports they hold, the one with the most first",
        "items": {
            "type": "object",
            "properties": {
                "pid": {"type": ["integer", "null"], "minimum": 0, "description": "null: the ports whose owner is not known, together"},
                "program": {"type": ["string", "null"], "description": "name of the program file"},
                "deleted": {"type": ["boolean", "null"], "description": "whether that file is gone or replaced"},
                "tcp_ports": {"type": "integer", "minimum": 0, "description": "TCP ports"},
                "udp_ports": {"type": "integer", "minimum": 0, "description": "UDP ports"},
            },
            "required": ["pid", "program", "deleted", "tcp_ports", "udp_ports"],
            "additionalProperties": false,
        },
    })
}
