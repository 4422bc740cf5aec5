//! What changes, as it changes: the stream behind the page and `/api/v1/changes`.
//!
//! Rows are compared with those of the sample before, so that a stream carries what has changed and not the whole table. A client that
//! was too slow for one change gets the whole table again.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use netstat_model::{Fact, NoOwner, Protocol};
use netstat_monitor::model::{Model, Presence, ProcessRow, Throughput};
use netstat_monitor::sample::{Holder, SocketRow};
use serde_json::{Map, Value, json};

/// What the values of a socket's row are, in their order.
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
];

/// Rows are sent in pieces of this many.
const PIECE: usize = 2000;
/// Processes that are told, those that do most first.
const MOST_PROCESSES: usize = 400;

/// What one sample changed.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Counts the samples of the modeler.
    pub(crate) number: u64,
    /// The sample before, from which rows have changed; 0 where there was none.
    pub(crate) after: u64,
    /// Rows that are new or have changed, with what happened.
    pub(crate) rows: Vec<Change>,
    /// Ids of rows that are gone, with their last row.
    pub(crate) gone: Vec<(u64, Value)>,
    /// The computer as a whole, its processes and limits.
    pub(crate) overview: Value,
}

/// One changed row.
#[derive(Debug)]
pub(crate) struct Change {
    /// Whether it was not there before.
    pub(crate) opened: bool,
    /// Whether more than what went through it has changed.
    pub(crate) state: bool,
    /// The row.
    pub(crate) row: Value,
}

/// Works out what has changed, once for all.
#[derive(Debug, Default)]
pub(crate) struct Live {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    number: u64,
    /// Marks of each row: of its state, and of what went through it.
    marks: HashMap<u64, (u64, u64)>,
    before: Option<Arc<Model>>,
    last: Option<Arc<Changes>>,
}

impl Live {
    /// What changed with `model`. Takes time in proportion to the sockets: not to be called where others wait.
    pub(crate) fn changes(&self, model: &Arc<Model>) -> Arc<Changes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &state.last
            && state.before.as_ref().is_some_and(|before| Arc::ptr_eq(before, model))
        {
            return Arc::clone(last);
        }
        // After a pause the modeler begins again.
        if model.number <= state.number {
            *state = State::default();
        }
        let changes = Arc::new(state.compare(model));
        state.last = Some(Arc::clone(&changes));
        changes
    }

    /// Forgets everything, when nobody watches any more.
    pub(crate) fn clear(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}

impl State {
    fn compare(&mut self, model: &Arc<Model>) -> Changes {
        let after = self.number;
        let known = std::mem::take(&mut self.marks);
        let mut marks = HashMap::with_capacity(model.sockets.open.len());
        let mut rows = Vec::new();
        let mut left = known.len();
        for (index, row) in model.sockets.open.iter().enumerate() {
            let mark = marks_of(model, index);
            let old = known.get(&row.id);
            left -= usize::from(old.is_some());
            if old != Some(&mark) {
                rows.push(Change {
                    opened: old.is_none(),
                    state: old.is_none_or(|old| old.0 != mark.0),
                    row: socket(model, index),
                });
            }
            marks.insert(row.id, mark);
        }
        let gone = self.gone(model, &known, &marks, left > 0);
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

    /// Rows of the sample before that are gone (where `some_left`), and connections that no sample has shown: those open and end between
    /// two of them.
    fn gone(
        &self,
        model: &Arc<Model>,
        known: &HashMap<u64, (u64, u64)>,
        open: &HashMap<u64, (u64, u64)>,
        some_left: bool,
    ) -> Vec<(u64, Value)> {
        let mut gone = Vec::new();
        let Some(before) = &self.before else { return gone };
        let first = model.sockets.open.len();
        let closed = || model.sockets.closed.iter().enumerate();
        if some_left {
            let places: HashMap<u64, usize> = closed().map(|(place, closed)| (closed.row.id, place)).collect();
            for (index, row) in before.sockets.open.iter().enumerate() {
                if !open.contains_key(&row.id) {
                    let last = match places.get(&row.id) {
                        Some(place) => socket(model, first + place),
                        None => socket(before, index),
                    };
                    gone.push((row.id, last));
                }
            }
        }
        let told: HashSet<u64> = before.sockets.closed.iter().map(|closed| closed.row.id).collect();
        for (place, closed) in closed() {
            if !known.contains_key(&closed.row.id) && !told.contains(&closed.row.id) {
                gone.push((closed.row.id, socket(model, first + place)));
            }
        }
        gone
    }
}

/// The whole table, in pieces.
pub(crate) fn table(model: &Model) -> impl Iterator<Item = Value> + '_ {
    let count = model.sockets.open.len();
    (0..count).step_by(PIECE).map(move |start| {
        let rows = start..(start + PIECE).min(count);
        Value::Array(rows.map(|index| socket(model, index)).collect())
    })
}

/// A row as an object, with the names of [`COLUMNS`].
pub(crate) fn object(row: &Value) -> Map<String, Value> {
    let values = row.as_array().into_iter().flatten().cloned();
    COLUMNS.iter().map(|name| (*name).to_owned()).zip(values).collect()
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

fn number(fact: Fact<f64>) -> Value {
    // One figure more than is shown.
    fact.known()
        .map_or(Value::Null, |value| json!((value * 10.0).round() / 10.0))
}

fn known<T: Into<Value>>(fact: Fact<T>) -> Value {
    fact.known().map_or(Value::Null, Into::into)
}

fn socket(model: &Model, index: usize) -> Value {
    let (row, flow) = (model.sockets.row(index), model.sockets.flow(index));
    let process = row.process().and_then(|key| model.process(key));
    let told = model.sockets.closed(index).and_then(|closed| closed.name.as_deref());
    let program = process.map(|process| &*process.text.name).or(told);
    let reason = match row.holder {
        Holder::Process(_) => None,
        Holder::None(why) => Some(reason(why)),
        Holder::Pending => Some("not looked for yet".to_owned()),
    };
    let connected = row.foreign.port != 0;
    let state = match row.protocol {
        Protocol::Udp => None,
        _ => Some(row.state.name()),
    };
    json!([
        // A number in a script holds 53 bits.
        format!("{:x}", row.id),
        row.protocol.name(),
        row.local.address.to_string(),
        row.local.port,
        connected.then(|| row.foreign.address.to_string()),
        connected.then_some(row.foreign.port),
        state,
        row.process().map(|key| key.pid),
        row.process().map(|key| key.start_ticks),
        program,
        user(model, row, process),
        process
            .map(|process| &*process.text.unit)
            .filter(|unit| !unit.is_empty()),
        reason,
        number(flow.sent.map(f64::from)),
        number(flow.received.map(f64::from)),
        known(row.bytes.map(|bytes| bytes.sent)),
        known(row.bytes.map(|bytes| bytes.received)),
        known(row.rtt),
        flow.loss
            .known()
            .map(|share| (f64::from(share) * 10_000.0).round() / 10_000.0),
        row.receive_queue,
        known(row.send_queue),
    ])
}

fn reason(why: NoOwner) -> String {
    why.words().to_owned()
}

fn user(model: &Model, row: &SocketRow, process: Option<&ProcessRow>) -> Option<String> {
    if let Some(process) = process {
        return Some(process.text.user.to_string());
    }
    let user = row.user.known()?;
    Some(match model.users.get(&user) {
        Some(name) => netstat_model::text::escape_str(name).into_owned(),
        None => user.to_string(),
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
        // A processor's worth of time weighs as much as 100 MB/s; sockets decide among those that do nothing.
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
