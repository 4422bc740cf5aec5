//! Live changes: the stream behind the web page and `/api/v1/changes`.
//!
//! Rows are compared with those of the previous sample, so that a stream carries the changes instead of the whole
//! table. A client that was too slow to receive a change gets the whole table again.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use netstat_model::columns::Location;
use netstat_model::{Fact, Protocol};
use netstat_monitor::model::{Model, Presence, ProcessRow, Throughput};
use netstat_monitor::sample::{Holder, SocketRow};
use serde_json::{Map, Value, json};

use crate::provider::Provider;

/// The columns of a socket row, in order.
pub(crate) const COLUMNS: &[&str] = &[
    "id",
    "protocol",
    "local_address",
    "local_port",
    "foreign_address",
    "foreign_port",
    "state",
    "pid",
    "process_start",
    "program",
    "user",
    "unit",
    "owner_reason",
    "sent_rate",
    "received_rate",
    "bytes_sent",
    "bytes_received",
    "rtt_us",
    "loss",
    "recv_q",
    "send_q",
    "country",
    "as",
];

/// The number of rows that are sent at a time.
pub(crate) const PIECE: usize = 2000;
/// The maximum number of processes that are reported, most active first.
const MOST_PROCESSES: usize = 400;

/// The changes from one sample to the next.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The number of the sample, as counted by the modeler.
    pub(crate) number: u64,
    /// The number of the sample that the changes refer to; 0 if there was none.
    pub(crate) after: u64,
    /// The rows that are new or have changed.
    pub(crate) rows: Vec<Change>,
    /// The ids of the rows that are gone, each with its last contents.
    pub(crate) gone: Vec<(u64, Row)>,
    /// The figures of the computer as a whole, its processes, and the limits of the sample.
    pub(crate) overview: Value,
}

/// A changed row.
#[derive(Debug)]
pub(crate) struct Change {
    /// Whether the row is new.
    pub(crate) opened: bool,
    /// Whether anything other than the amount of traffic has changed.
    pub(crate) state: bool,
    /// The row.
    pub(crate) row: Row,
}

/// The values of a row as a JSON array. It is serialised directly, since a tree of values takes ten times the memory.
pub(crate) type Row = Box<[u8]>;

/// Computes changes, once for all clients.
pub(crate) struct Live {
    /// Returns the locations of addresses.
    provider: Arc<dyn Provider>,
    state: Mutex<State>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

/// Hashes of each row by its id: of its state, and of its traffic.
type Marks = HashMap<u64, (u64, u64)>;

#[derive(Debug, Default)]
struct State {
    number: u64,
    marks: Marks,
    before: Option<Arc<Model>>,
    last: Option<Arc<Changes>>,
}

impl Live {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Live {
        Live {
            provider,
            state: Mutex::default(),
        }
    }

    /// Creates an independent instance that compares samples by itself.
    pub(crate) fn beside(&self) -> Live {
        Live::new(Arc::clone(&self.provider))
    }

    /// Returns the changes that `model` brings. The time is proportional to the number of sockets; do not call this
    /// where others wait.
    pub(crate) fn changes(&self, model: &Arc<Model>) -> Arc<Changes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &state.last
            && state.before.as_ref().is_some_and(|before| Arc::ptr_eq(before, model))
        {
            return Arc::clone(last);
        }
        // The modeler starts over after a pause.
        if model.number <= state.number {
            *state = State::default();
        }
        let changes = Arc::new(state.compare(model, &*self.provider));
        state.last = Some(Arc::clone(&changes));
        changes
    }

    /// Discards all state, when no one watches any more.
    pub(crate) fn clear(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// Returns one piece of the whole table as a JSON array: [`PIECE`] rows from `start` on. Takes some milliseconds.
    pub(crate) fn piece(&self, model: &Model, start: usize) -> Vec<u8> {
        let end = (start + PIECE).min(model.sockets.open.len());
        let mut line = Line::default();
        for index in start..end {
            line.separate();
            socket(&mut line, model, index, &*self.provider);
        }
        line.array()
    }
}

impl State {
    fn compare(&mut self, model: &Arc<Model>, provider: &dyn Provider) -> Changes {
        let after = self.number;
        let known = std::mem::take(&mut self.marks);
        let mut marks = HashMap::with_capacity(model.sockets.open.len());
        let mut rows = Vec::new();
        let mut left = known.len();
        for (index, row) in model.sockets.open.iter().enumerate() {
            let mark = marks_of(model, index);
            let old = known.get(&row.id);
            left -= usize::from(old.is_some());
            // After the first sample, every client gets the whole table anyway.
            if old != Some(&mark) && after != 0 {
                rows.push(Change {
                    opened: old.is_none(),
                    state: old.is_none_or(|old| old.0 != mark.0),
                    row: written(model, index, provider),
                });
            }
            marks.insert(row.id, mark);
        }
        let gone = self.gone(model, (&known, &marks), left > 0, provider);
        self.number = model.number;
        self.marks = marks;
        self.before = Some(Arc::clone(model));
        Changes {
            number: model.number,
            after,
            rows,
            gone,
            overview: overview(model),
        }
    }

    /// Returns the rows of the previous sample that are gone (if `some_left`), and connections that appeared in no
    /// sample because they opened and closed between two of them.
    fn gone(
        &self,
        model: &Arc<Model>,
        (known, open): (&Marks, &Marks),
        some_left: bool,
        provider: &dyn Provider,
    ) -> Vec<(u64, Row)> {
        let mut gone = Vec::new();
        let Some(before) = &self.before else { return gone };
        let first = model.sockets.open.len();
        let closed = || model.sockets.closed.iter().enumerate();
        if some_left {
            let places: HashMap<u64, usize> = closed().map(|(place, closed)| (closed.row.id, place)).collect();
            for (index, row) in before.sockets.open.iter().enumerate() {
                if !open.contains_key(&row.id) {
                    let last = match places.get(&row.id) {
                        Some(place) => written(model, first + place, provider),
                        None => written(before, index, provider),
                    };
                    gone.push((row.id, last));
                }
            }
        }
        let told: HashSet<u64> = before.sockets.closed.iter().map(|closed| closed.row.id).collect();
        for (place, closed) in closed() {
            if !known.contains_key(&closed.row.id) && !told.contains(&closed.row.id) {
                gone.push((closed.row.id, written(model, first + place, provider)));
            }
        }
        gone
    }
}

/// Converts a row to an object with the names of [`COLUMNS`].
pub(crate) fn object(row: &[u8]) -> Map<String, Value> {
    let values: Vec<Value> = serde_json::from_slice(row).unwrap_or_default();
    COLUMNS.iter().map(|name| (*name).to_owned()).zip(values).collect()
}

/// Joins rows into a JSON array.
pub(crate) fn array<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<u8> {
    let mut line = Line::default();
    for row in rows {
        line.separate();
        line.0.extend_from_slice(row);
    }
    line.array()
}

/// JSON text under construction.
#[derive(Default)]
struct Line(Vec<u8>);

impl Line {
    /// Starts the array, or adds a comma before another element.
    fn separate(&mut self) {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
    }

    fn array(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'[');
        }
        self.0.push(b']');
        self.0
    }

    fn text(&mut self, text: Option<&str>) {
        self.0.push(b',');
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.0, &text);
    }

    /// Writes a string that contains nothing that JSON would escape.
    fn plain(&mut self, value: Option<impl Display>) {
        let _ = match value {
            Some(value) => write!(self.0, ",\"{value}\""),
            None => self.0.write_all(b",null"),
        };
    }

    fn number(&mut self, value: Option<impl Display>) {
        let _ = match value {
            Some(value) => write!(self.0, ",{value}"),
            None => self.0.write_all(b",null"),
        };
    }
}

fn marks_of(model: &Model, index: usize) -> (u64, u64) {
    let (row, flow) = (model.sockets.row(index), model.sockets.flow(index));
    let mut state = DefaultHasher::new();
    (row.state, row.holder).hash_into(&mut state);
    let mut moved = DefaultHasher::new();
    (row.receive_queue, row.send_queue.known()).hash(&mut moved);
    row.bytes
        .known()
        .map(|bytes| (bytes.sent, bytes.received))
        .hash(&mut moved);
    for rate in [flow.sent, flow.received, flow.loss] {
        rate.known().map(f32::to_bits).hash(&mut moved);
    }
    (state.finish(), moved.finish())
}

trait HashInto {
    fn hash_into(self, hasher: &mut DefaultHasher);
}

impl HashInto for (netstat_model::State, Holder) {
    fn hash_into(self, hasher: &mut DefaultHasher) {
        self.0.hash(hasher);
        match self.1 {
            Holder::Process(key) => (key.pid, key.start_ticks).hash(hasher),
            Holder::None(_) => 1_u8.hash(hasher),
            Holder::Pending => 2_u8.hash(hasher),
        }
    }
}

fn rounded(fact: Fact<f64>, parts: f64) -> Option<f64> {
    let rounded = fact.known().map(|value| (value * parts).round() / parts);
    // JSON cannot represent infinities and NaN.
    rounded.filter(|value| value.is_finite())
}

fn number(fact: Fact<f64>) -> Value {
    // One more digit than is shown.
    rounded(fact, 10.0).map_or(Value::Null, Into::into)
}

fn known<T: Into<Value>>(fact: Fact<T>) -> Value {
    fact.known().map_or(Value::Null, Into::into)
}

fn written(model: &Model, index: usize, provider: &dyn Provider) -> Row {
    let mut line = Line::default();
    socket(&mut line, model, index, provider);
    line.0.into()
}

/// Writes the values of [`COLUMNS`] as an array.
fn socket(line: &mut Line, model: &Model, index: usize, provider: &dyn Provider) {
    let (row, flow) = (model.sockets.row(index), model.sockets.flow(index));
    let process = row.process().and_then(|key| model.process(key));
    let told = model.sockets.closed(index).and_then(|closed| closed.name.as_deref());
    let reason = match row.holder {
        Holder::Process(_) => None,
        Holder::None(why) => Some(why.words()),
        Holder::Pending => Some("not looked for yet"),
    };
    let connected = row.foreign.port != 0;
    let state = match row.protocol {
        Protocol::Udp => None,
        _ => Some(row.state.name()),
    };
    let location = match connected {
        true => provider.location(row.foreign.address),
        false => Location::default(),
    };
    // As a string, since JavaScript numbers hold only 53 bits.
    let _ = write!(line.0, "[\"{:x}\"", row.id);
    line.text(Some(row.protocol.name()));
    line.plain(Some(row.local.address));
    line.number(Some(row.local.port));
    line.plain(connected.then_some(row.foreign.address));
    line.number(connected.then_some(row.foreign.port));
    line.text(state);
    line.number(row.process().map(|key| key.pid));
    line.number(row.process().map(|key| key.start_ticks));
    line.text(process.map(|process| &*process.text.name).or(told));
    line.text(user(model, row, process).as_deref());
    let unit = process.map(|process| &*process.text.unit);
    line.text(unit.filter(|unit| !unit.is_empty()));
    line.text(reason);
    line.number(rounded(flow.sent.map(f64::from), 10.0));
    line.number(rounded(flow.received.map(f64::from), 10.0));
    line.number(row.bytes.known().map(|bytes| bytes.sent));
    line.number(row.bytes.known().map(|bytes| bytes.received));
    line.number(row.rtt.known());
    line.number(rounded(flow.loss.map(f64::from), 10_000.0));
    line.number(Some(row.receive_queue));
    line.number(row.send_queue.known());
    line.text(location.country.as_deref());
    line.text(autonomous_system(&location).as_deref());
    line.0.push(b']');
}

/// Formats an autonomous system: `AS64500 Example`.
fn autonomous_system(location: &Location) -> Option<String> {
    let organization = location.organization.as_deref().map(netstat_model::text::escape_str);
    Some(match (location.system, organization) {
        (Some(number), Some(name)) => format!("AS{number} {name}"),
        (Some(number), None) => format!("AS{number}"),
        (None, name) => name?.into_owned(),
    })
}

fn user<'a>(model: &'a Model, row: &SocketRow, process: Option<&'a ProcessRow>) -> Option<Cow<'a, str>> {
    if let Some(process) = process {
        return Some(Cow::Borrowed(&*process.text.user));
    }
    let user = row.user.known()?;
    Some(match model.users.get(&user) {
        Some(name) => netstat_model::text::escape_str(name),
        None => user.to_string().into(),
    })
}

fn throughput(rates: &Throughput) -> Value {
    json!([number(rates.outbound), number(rates.inbound)])
}

fn overview(model: &Model) -> Value {
    let whole = &model.whole;
    let percent = |fact: Fact<f64>| fact.map(|share| share * 100.0);
    let mut processes: Vec<&ProcessRow> = model
        .processes
        .iter()
        .filter(|row| row.presence != Presence::Gone && !row.kernel)
        .collect();
    let activity = |row: &ProcessRow| {
        let recent = &row.recent;
        let bytes = recent.read + recent.written + recent.sent + recent.received;
        // A fully used CPU weighs as much as 100 MB/s; the number of sockets decides between idle processes.
        f64::from(recent.cpu) + f64::from(bytes) / 1e8 + f64::from(row.sockets) / 1e9
    };
    processes.sort_by(|one, other| activity(other).total_cmp(&activity(one)).then(one.key.cmp(&other.key)));
    let count = processes.len();
    let processes: Vec<Value> = processes.into_iter().take(MOST_PROCESSES).map(process).collect();
    json!({
        "number": model.number,
        "time": model.wall,
        "sockets_age": model.sockets_age.as_secs_f64(),
        "cpu": number(whole.cpu.map(|shares| shares.busy * 100.0)),
        "cores": whole.cores.len(),
        "memory_total": known(whole.memory.total),
        "memory_available": known(whole.memory.available),
        "swap_total": known(whole.memory.swap_total),
        "swap_free": known(whole.memory.swap_free),
        "pressure": whole.pressure.map(percent).map(number),
        "disk": throughput(&whole.disk),
        "network": throughput(&whole.network),
        "connections": known(whole.connections),
        "turnover": model.sockets.turnover.map(number),
        "watched": model.sockets.watched,
        "uptime": known(whole.uptime.map(|uptime| uptime.as_secs())),
        "sockets": model.sockets.open.len(),
        "interfaces": model.interfaces.iter().map(|row| json!({
            "name": &*row.name, "loopback": row.loopback, "rate": throughput(&row.rate),
        })).collect::<Vec<_>>(),
        "process_count": count,
        "processes": processes,
        "limits": model.limits.iter().map(|limit| json!({
            "what": limit.what, "why": limit.why, "remedy": limit.remedy,
        })).collect::<Vec<_>>(),
    })
}

fn process(row: &ProcessRow) -> Value {
    json!({
        "pid": row.key.pid,
        "process_start": row.key.start_ticks,
        "parent": row.parent,
        "program": &*row.text.name,
        "command": &*row.text.command,
        "user": &*row.text.user,
        "unit": Some(&*row.text.unit).filter(|unit| !unit.is_empty()),
        "threads": row.threads,
        "cpu": number(row.rates.cpu.map(|cores| cores * 100.0)),
        "memory": known(match row.private { Fact::Known(_) => row.private, Fact::Unknown(_) => row.resident }),
        "disk": json!([number(row.rates.written), number(row.rates.read)]),
        "network": throughput(&row.network),
        "sockets": row.sockets,
    })
}
