//! The columns of a flow: what can be shown of the past, by which name, in which unit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::columns::{Column, Kind, Needs, Table, Value};
use netstat_model::{Endpoint, Fact, Protocol, Why};

use crate::flow::{Flow, Process};

/// The kind of rows that the record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {}

/// A flow to be shown, with the names of users.
#[derive(Clone, Copy, Debug)]
pub struct FlowRow<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// The names of users by their ids, as this computer knows them now.
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

fn text<'r>(text: Option<&'r [u8]>) -> Value<'r> {
    text.map_or(Value::Nothing, Value::text)
}

const fn column(
    name: &'static str,
    heading: &'static str,
    kind: Kind,
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
    column("first", "First", Kind::Time, "", "when it was first seen", |row| {
        Value::Time(row.flow.first)
    }),
    column(
        "last",
        "Last",
        Kind::Time,
        "",
        "when it closed, or was last seen",
        |row| Value::Time(row.flow.last),
    ),
    column(
        "duration",
        "Duration",
        Kind::Number,
        "ms",
        "how long it lasted, or has been seen to last; at least this where begun is no",
        |row| Value::Number(row.flow.duration()),
    ),
    column("closed", "Closed", Kind::Flag, "", "whether its end was seen", |row| {
        Value::Flag(row.flow.closed)
    }),
    column(
        "begun",
        "Begun",
        Kind::Flag,
        "",
        "whether its beginning was seen",
        |row| Value::Flag(row.flow.begun),
    ),
    column("protocol", "Proto", Kind::Text, "", "TCP or UDP", |row| {
        Value::Word(row.flow.protocol.name())
    }),
    column("family", "Family", Kind::Text, "", "IPv4 or IPv6", |row| {
        Value::Word(match row.flow.family {
            netstat_model::Family::V6 => "IPv6",
            _ => "IPv4",
        })
    }),
    column(
        "direction",
        "Dir",
        Kind::Text,
        "",
        "who began: out, in, listen, or unknown",
        |row| Value::Word(row.flow.direction.name()),
    ),
    column(
        "local",
        "Local Address",
        Kind::Endpoint,
        "",
        "local address and port",
        |row| Value::Endpoint(endpoint(row.flow.local)),
    ),
    column("local_address", "Local IP", Kind::Address, "", "local address", |row| {
        Value::Address(endpoint(row.flow.local))
    }),
    column("local_port", "Local Port", Kind::Number, "", "local port", |row| {
        Value::Number(row.flow.local.1.into())
    }),
    column(
        "foreign",
        "Foreign Address",
        Kind::Endpoint,
        "",
        "foreign address and port",
        |row| side(row.flow.foreign),
    ),
    column(
        "foreign_address",
        "Foreign IP",
        Kind::Address,
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
        Kind::Number,
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
        Kind::Text,
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
        Kind::Text,
        "",
        "the file name of the program",
        |row| process(row, |process| Value::text(process.program.shown())),
    ),
    column("path", "Path", Kind::Text, "", "the path of the program file", |row| {
        process(row, |process| match &process.program.path {
            Some(path) => Value::text(path.as_slice()),
            None => Value::unknown(Why::Gone),
        })
    }),
    column(
        "comm",
        "Name",
        Kind::Text,
        "",
        "the kernel's short name for the process",
        |row| process(row, |process| Value::text(process.program.name.as_slice())),
    ),
    column("pid", "PID", Kind::Number, "", "process id", |row| {
        process(row, |process| Value::Number(process.pid.into()))
    }),
    column(
        "process_start",
        "Started",
        Kind::Number,
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
        Kind::Number,
        "",
        "a hash of the command line: the same for the same words",
        |row| {
            process(row, |process| {
                Value::number(Fact::from_option(process.command, Why::Gone))
            })
        },
    ),
    column("uid", "UID", Kind::Number, "", "user id", |row| {
        Value::number(row.flow.user)
    }),
    column(
        "user",
        "User",
        Kind::Text,
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
    column("unit", "Unit", Kind::Text, "", "the systemd unit it ran in", |row| {
        process(row, |process| text(process.unit.as_deref()))
    }),
    column(
        "container",
        "Container",
        Kind::Text,
        "",
        "the container it ran in",
        |row| process(row, |process| text(process.container.as_deref())),
    ),
    column(
        "namespace",
        "Netns",
        Kind::Number,
        "",
        "inode of the network namespace",
        |row| Value::number(row.flow.namespace),
    ),
    column(
        "sent",
        "Sent",
        Kind::Number,
        "bytes",
        "payload bytes sent, without what was sent again",
        |row| Value::number(row.flow.sent),
    ),
    column(
        "received",
        "Received",
        Kind::Number,
        "bytes",
        "payload bytes received",
        |row| Value::number(row.flow.received),
    ),
    column(
        "bytes",
        "Bytes",
        Kind::Number,
        "bytes",
        "payload bytes both ways",
        |row| match (row.flow.sent, row.flow.received) {
            (Fact::Known(sent), Fact::Known(received)) => Value::Number(sent.saturating_add(received)),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Value::unknown(why),
        },
    ),
    column(
        "retransmits",
        "Retrans",
        Kind::Number,
        "segments",
        "segments sent again",
        |row| Value::number(row.flow.retransmits),
    ),
    column(
        "rtt",
        "RTT",
        Kind::Number,
        "µs",
        "smoothed round-trip time at the end",
        |row| Value::number(row.flow.rtt),
    ),
    column(
        "learned",
        "Learned",
        Kind::Text,
        "",
        "how its last news was learned: trace, netlink or poll",
        |row| Value::Word(row.flow.learned.name()),
    ),
    column("host", "Host", Kind::Text, "", "the computer's name", |row| {
        Value::text(row.flow.boot.host.as_slice())
    }),
    column(
        "boot",
        "Boot",
        Kind::Text,
        "",
        "the kernel's id of the start of the computer",
        |row| Value::text(row.flow.boot.boot_id.as_bytes()),
    ),
];

/// What a table for people has when nothing else is said.
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
