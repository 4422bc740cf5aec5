//! The columns of an event in `--follow --ndjson`. Both the lines and their schema are generated from this list.

use std::time::SystemTime;

use netstat_model::columns::{Column, Needs, Table, Value, ValueKind};
use netstat_model::{Endpoint, Event, Fact, Protocol, State, Why};
use netstat_record::NewProcess;

use crate::output::rows::{Grid, Head};

/// The table whose rows are events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Events {}

/// An event with what is known about the process behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventRow<'a> {
    pub(crate) event: &'a Event,
    /// The process id, and what the process runs.
    pub(crate) who: Option<(u32, &'a NewProcess)>,
    /// The user's name.
    pub(crate) user: Option<&'a str>,
}

impl Table for Events {
    type Row<'a> = EventRow<'a>;

    const ROW: &'static str = "event";

    fn columns() -> &'static [Column<Events>] {
        COLUMNS
    }
}

const fn column(
    name: &'static str,
    kind: ValueKind,
    unit: &'static str,
    meaning: &'static str,
    get: for<'r, 'a> fn(&'r EventRow<'a>) -> Value<'r>,
) -> Column<Events> {
    Column {
        name,
        heading: name,
        meaning,
        unit,
        kind,
        needs: Needs::NONE,
        get,
    }
}

#[rustfmt::skip]
static COLUMNS: &[Column<Events>] = {
    use ValueKind::*;
    &[
        column("time", Time, "", "when it happened", |row| Value::Time(millis(row.event.at.wall))),
        column("event", Text, "", "what happened: opened, accepted, listening, changed, closed; present: it was there already", |row| Value::Word(row.event.kind.name())),
        column("protocol", Text, "", "TCP or UDP", |row| Value::Word(row.event.protocol.name())),
        column("direction", Text, "", "who began: out, in, listen, or unknown", |row| Value::Word(row.event.direction.name())),
        column("state", Text, "", "of TCP: the state from now on", |row| tcp(row, Some(row.event.state))),
        column("was", Text, "", "of TCP: the state before, where it changed", |row| tcp(row, row.event.before)),
        column("local_address", Address, "", "local address; empty: any", |row| address(row.event.local)),
        column("local_port", Number, "", "local port; unknown while none is chosen", |row| port(row.event.local)),
        column("foreign_address", Address, "", "foreign address; empty without one", |row| address(row.event.foreign)),
        column("foreign_port", Number, "", "foreign port; unknown without one", |row| port(row.event.foreign)),
        column("pid", Number, "", "process that uses the socket", |row| who(row, |pid, _| Value::Number(pid.into()))),
        column("program", Text, "", "name of its program file, or its short name where the file is not known", |row| who(row, |_, facts| Value::text(program(facts)))),
        column("path", Text, "", "path of its program file", |row| who(row, |_, facts| facts.path.as_deref().map_or(Value::unknown(Why::Gone), Value::text))),
        column("unit", Text, "", "systemd unit it runs in", |row| who(row, |_, facts| text(facts.unit.as_deref()))),
        column("container", Text, "", "container it runs in", |row| who(row, |_, facts| text(facts.container.as_deref()))),
        column("uid", Number, "", "id of its user", |row| Value::number(row.event.user)),
        column("user", Text, "", "name of its user", user),
        column("duration_ms", Number, "ms", "since the socket was opened", duration),
        column("sent", Number, "bytes", "payload sent so far", |row| Value::number(row.event.sent)),
        column("received", Number, "bytes", "payload received so far", |row| Value::number(row.event.received)),
        column("retransmits", Number, "segments", "sent again so far", |row| Value::number(row.event.retransmits)),
        column("rtt_us", Number, "µs", "round-trip time, smoothed", |row| Value::number(row.event.rtt)),
        column("cookie", Number, "", "the kernel's number for the socket, unique since boot", cookie),
        column("learned", Text, "", "how it was learned: trace (nothing slips by), netlink (exact at the end), poll", |row| Value::Word(row.event.origin.name())),
    ]
};

fn millis(time: SystemTime) -> i64 {
    netstat_record::millis(time)
}

fn tcp<'r>(row: &EventRow<'_>, state: Option<State>) -> Value<'r> {
    match (row.event.protocol, state) {
        (Protocol::Tcp, Some(state)) => Value::Word(state.name()),
        (Protocol::Tcp, None) => Value::Nothing,
        _ => Value::unknown(Why::NotApplicable),
    }
}

fn address<'r>(end: Endpoint) -> Value<'r> {
    match (end.address.is_unspecified(), end.port) {
        (true, 0) => Value::Nothing,
        _ => Value::Address(end),
    }
}

fn port<'r>(end: Endpoint) -> Value<'r> {
    match end.port {
        0 => Value::unknown(Why::NotApplicable),
        port => Value::Number(port.into()),
    }
}

fn who<'r>(row: &'r EventRow<'_>, show: impl FnOnce(u32, &'r NewProcess) -> Value<'r>) -> Value<'r> {
    match (row.who, row.event.owner) {
        (Some((pid, facts)), _) => show(pid, facts),
        (None, Fact::Unknown(why)) => Value::unknown(why),
        (None, Fact::Known(_)) => Value::unknown(Why::NotAsked),
    }
}

/// Returns the name of the program file, or the short name of the process if the file is unknown.
pub(crate) fn program(facts: &NewProcess) -> &[u8] {
    let path = facts.path.as_deref();
    let name = path.and_then(|path| path.rsplit(|&byte| byte == b'/').next());
    name.unwrap_or(&facts.name)
}

fn text<'r>(text: Option<&'r [u8]>) -> Value<'r> {
    text.map_or(Value::Nothing, Value::text)
}

fn user<'r>(row: &'r EventRow<'_>) -> Value<'r> {
    match (row.user, row.event.user) {
        (Some(name), _) => Value::text(name.as_bytes()),
        // A user without a name is shown by number, as in other programs.
        (None, Fact::Known(id)) => Value::text(id.to_string().into_bytes()),
        (None, Fact::Unknown(why)) => Value::unknown(why),
    }
}

fn duration<'r>(row: &EventRow<'_>) -> Value<'r> {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Value::number(row.event.duration().map(millis))
}

fn cookie<'r>(row: &EventRow<'_>) -> Value<'r> {
    match row.event.cookie {
        Some(cookie) => Value::Number(cookie.get()),
        None => Value::unknown(Why::NotSupported),
    }
}

/// A grid with a single event and all columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct One<'a>(pub(crate) EventRow<'a>);

impl Grid for One<'_> {
    fn heads(&self) -> Vec<Head> {
        COLUMNS.iter().map(Head::of).collect()
    }

    fn len(&self) -> usize {
        1
    }

    fn row(&self, _: usize, each: &mut dyn FnMut(Value<'_>)) {
        for column in COLUMNS {
            each((column.get)(&self.0));
        }
    }
}
