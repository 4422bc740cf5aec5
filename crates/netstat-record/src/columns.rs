//! The columns of flows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::columns::{Column, Needs, Table, Value, ValueKind};
use netstat_model::{Endpoint, Fact, Protocol, Why};

use crate::flow::{Flow, Process};

/// The table of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {}

/// A flow with the names of users.
#[derive(Clone, Copy, Debug)]
pub struct FlowRow<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// The names of users by id, as this computer knows them now.
    pub users: &'a HashMap<u32, Arc<str>>,
}

impl Table for Flows {
    type Row<'a> = FlowRow<'a>;

    const ROW: &'static str = "flow";

    fn columns() -> &'static [Column<Flows>] {
        COLUMNS
    }
}

fn process<'r>(row: &'r FlowRow<'_>, of: impl FnOnce(&'r Process) -> Value<'r>) -> Value<'r> {
    match &row.flow.process {
        Some(process) => of(process),
        None => Value::unknown(Why::NotKept),
    }
}

fn endpoint((address, port): (IpAddr, u16)) -> Endpoint {
    Endpoint {
        address,
        port,
        scope: 0,
    }
}

fn side<'r>(side: (IpAddr, u16)) -> Value<'r> {
    match side {
        (address, 0) if address.is_unspecified() => Value::AnyEndpoint,
        side => Value::Endpoint(endpoint(side)),
    }
}

/// Returns a number of bytes; a lower bound as long as more may have been transferred than was read.
fn bytes<'r>(flow: &Flow, bytes: Fact<u64>) -> Value<'r> {
    match bytes {
        Fact::Known(bytes) if !flow.bytes_are_final() => Value::AtLeast(bytes),
        bytes => Value::number(bytes),
    }
}

fn text<'r>(text: Option<&'r [u8]>) -> Value<'r> {
    text.map_or(Value::Nothing, Value::text)
}

const fn column(
    name: &'static str,
    heading: &'static str,
    kind: ValueKind,
    unit: &'static str,
    meaning: &'static str,
    get: for<'r, 'a> fn(&'r FlowRow<'a>) -> Value<'r>,
) -> Column<Flows> {
    Column {
        name,
        heading,
        meaning,
        unit,
        kind,
        needs: Needs::NONE,
        get,
    }
}

static COLUMNS: &[Column<Flows>] = &[
    column("first", "First", ValueKind::Time, "", "when it was first seen", |row| {
        Value::Time(row.flow.first)
    }),
    column(
        "last",
        "Last",
        ValueKind::Time,
        "",
        "when it closed, or was last seen",
        |row| Value::Time(row.flow.last),
    ),
    column(
        "duration",
        "Duration",
        ValueKind::Number,
        "ms",
        "how long it lasted, or has been seen to last; at least this where begun is no",
        |row| Value::Number(row.flow.duration()),
    ),
    column(
        "closed",
        "Closed",
        ValueKind::Flag,
        "",
        "whether its end was seen",
        |row| Value::Flag(row.flow.closed),
    ),
    column(
        "begun",
        "Begun",
        ValueKind::Flag,
        "",
        "whether its beginning was seen",
        |row| Value::Flag(row.flow.begun),
    ),
    column("protocol", "Proto", ValueKind::Text, "", "TCP or UDP", |row| {
        Value::Word(row.flow.protocol.name())
    }),
    column("family", "Family", ValueKind::Text, "", "IPv4 or IPv6", |row| {
        Value::Word(match row.flow.family {
            netstat_model::Family::V6 => "IPv6",
            _ => "IPv4",
        })
    }),
    column(
        "direction",
        "Dir",
        ValueKind::Text,
        "",
        "who began: out, in, listen, or unknown",
        |row| Value::Word(row.flow.direction.name()),
    ),
    column(
        "local",
        "Local Address",
        ValueKind::Endpoint,
        "",
        "local address and port",
        |row| Value::Endpoint(endpoint(row.flow.local)),
    ),
    column(
        "local_address",
        "Local IP",
        ValueKind::Address,
        "",
        "local address",
        |row| Value::Address(endpoint(row.flow.local)),
    ),
    column("local_port", "Local Port", ValueKind::Number, "", "local port", |row| {
        Value::Number(row.flow.local.1.into())
    }),
    column(
        "foreign",
        "Foreign Address",
        ValueKind::Endpoint,
        "",
        "foreign address and port",
        |row| side(row.flow.foreign),
    ),
    column(
        "foreign_address",
        "Foreign IP",
        ValueKind::Address,
        "",
        "foreign address",
        |row| match side(row.flow.foreign) {
            Value::AnyEndpoint => Value::Nothing,
            _ => Value::Address(endpoint(row.flow.foreign)),
        },
    ),
    column(
        "foreign_port",
        "Foreign Port",
        ValueKind::Number,
        "",
        "foreign port",
        |row| match row.flow.foreign.1 {
            0 => Value::unknown(Why::NotApplicable),
            port => Value::Number(port.into()),
        },
    ),
    column(
        "state",
        "State",
        ValueKind::Text,
        "",
        "the last state before the end, or so far",
        |row| match row.flow.protocol {
            Protocol::Udp => Value::Nothing,
            _ => Value::Word(row.flow.state.name()),
        },
    ),
    column(
        "program",
        "Program",
        ValueKind::Text,
        "",
        "the file name of the program",
        |row| process(row, |process| Value::text(process.program.shown())),
    ),
    column(
        "path",
        "Path",
        ValueKind::Text,
        "",
        "the path of the program file",
        |row| {
            process(row, |process| match &process.program.path {
                Some(path) => Value::text(path.as_slice()),
                None => Value::unknown(Why::Gone),
            })
        },
    ),
    column(
        "comm",
        "Name",
        ValueKind::Text,
        "",
        "the kernel's short name for the process",
        |row| process(row, |process| Value::text(process.program.name.as_slice())),
    ),
    column("pid", "PID", ValueKind::Number, "", "process id", |row| {
        process(row, |process| Value::Number(process.pid.into()))
    }),
    column(
        "process_start",
        "Started",
        ValueKind::Number,
        "ticks",
        "start of the process in clock ticks after boot",
        |row| {
            process(row, |process| {
                Value::number(Fact::from_option(process.start_ticks, Why::NotKept))
            })
        },
    ),
    column(
        "command_hash",
        "Command",
        ValueKind::Number,
        "",
        "a hash of the command line: the same for the same words",
        |row| {
            process(row, |process| {
                Value::number(Fact::from_option(process.command, Why::Gone))
            })
        },
    ),
    column(
        "script",
        "Script",
        ValueKind::Text,
        "",
        "the script that an interpreter runs, by its command line: a path, or -m and a module",
        |row| process(row, |process| text(process.script.as_deref())),
    ),
    column("uid", "UID", ValueKind::Number, "", "user id", |row| {
        Value::number(row.flow.user)
    }),
    column(
        "asked_name",
        "Asked Name",
        ValueKind::Text,
        "",
        "the name that a program asked for, whose DNS answer had the foreign address; a hint, for answers can be forged",
        |row| match &row.flow.asked_name {
            Some(name) => Value::text(&name[..]),
            None => Value::unknown(Why::NotKept),
        },
    ),
    column(
        "user",
        "User",
        ValueKind::Text,
        "",
        "user name, or id where it has none",
        |row| match row.flow.user {
            Fact::Known(id) => match row.users.get(&id) {
                Some(name) => Value::text(name.as_bytes()),
                None => Value::text(id.to_string().into_bytes()),
            },
            Fact::Unknown(why) => Value::unknown(why),
        },
    ),
    column(
        "unit",
        "Unit",
        ValueKind::Text,
        "",
        "the systemd unit it ran in",
        |row| process(row, |process| text(process.unit.as_deref())),
    ),
    column(
        "container",
        "Container",
        ValueKind::Text,
        "",
        "the container it ran in",
        |row| process(row, |process| text(process.container.as_deref())),
    ),
    column(
        "container_name",
        "Container Name",
        ValueKind::Text,
        "",
        "the name of that container, as its manager had it",
        |row| {
            process(row, |process| match (&process.container, &process.container_name) {
                (_, Some(name)) => Value::text(&name[..]),
                (Some(_), None) => Value::unknown(Why::NotKept),
                (None, None) => Value::Nothing,
            })
        },
    ),
    column(
        "namespace",
        "Netns",
        ValueKind::Number,
        "",
        "inode of the network namespace",
        |row| Value::number(row.flow.namespace),
    ),
    column(
        "sent",
        "Sent",
        ValueKind::Number,
        "bytes",
        "payload bytes sent, without what was sent again; this or more for UDP as long as closed is no",
        |row| bytes(row.flow, row.flow.sent),
    ),
    column(
        "received",
        "Received",
        ValueKind::Number,
        "bytes",
        "payload bytes received; this or more for UDP as long as closed is no",
        |row| bytes(row.flow, row.flow.received),
    ),
    column(
        "bytes",
        "Bytes",
        ValueKind::Number,
        "bytes",
        "payload bytes both ways",
        |row| match (row.flow.sent, row.flow.received) {
            (Fact::Known(sent), Fact::Known(received)) => bytes(row.flow, Fact::Known(sent.saturating_add(received))),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Value::unknown(why),
        },
    ),
    column(
        "retransmits",
        "Retrans",
        ValueKind::Number,
        "segments",
        "segments sent again",
        |row| Value::number(row.flow.retransmits),
    ),
    column(
        "rtt",
        "RTT",
        ValueKind::Number,
        "µs",
        "smoothed round-trip time at the end",
        |row| Value::number(row.flow.rtt),
    ),
    column(
        "learned",
        "EventOrigin",
        ValueKind::Text,
        "",
        "how its last news was learned: trace, netlink or poll",
        |row| Value::Word(row.flow.origin.name()),
    ),
    column("host", "Host", ValueKind::Text, "", "the computer's name", |row| {
        Value::text(row.flow.boot.host.as_slice())
    }),
    column(
        "community_id",
        "Community ID",
        ValueKind::Text,
        "",
        "the name of the connection in Zeek, Suricata and Elastic (Community ID 1, seed 0)",
        |row| match row.flow.community_id() {
            Some(id) => Value::text(id.into_bytes()),
            None => Value::unknown(Why::NotApplicable),
        },
    ),
    column(
        "boot",
        "Boot",
        ValueKind::Text,
        "",
        "the kernel's id of the start of the computer",
        |row| Value::text(row.flow.boot.boot_id.as_bytes()),
    ),
];

/// The columns of a text table if none are named.
pub const DEFAULT_TEXT: &[&str] = &[
    "first",
    "duration",
    "program",
    "pid",
    "protocol",
    "direction",
    "local",
    "foreign",
    "sent",
    "received",
];
