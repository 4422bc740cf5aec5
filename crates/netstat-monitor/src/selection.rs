//! The selection: marked processes and a filter.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use netstat_model::metrics::ProcessKey;
use netstat_model::{
    Component, Fact, Filter, Globs, Holders, Pids, Protocol, State, Subject, Users, text::plain_error,
};

use crate::model::{BriefRow, ClosedRow, Model, ProcessRow, Throughput};
use crate::sample::SocketRow;

/// The marks and the filter.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The marked processes; the other panes and the graphs show only these.
    pub marks: BTreeMap<ProcessKey, Arc<str>>,
    /// The filter as typed, and its meaning.
    pub filter: Option<(String, Filter)>,
    /// The processes that hold a socket that the filter selects; updated for each model.
    holders: HashSet<ProcessKey>,
    /// Whether the filter has conditions on sockets.
    about_sockets: bool,
    /// The processes that marks and filter select.
    processes: HashSet<ProcessKey>,
    /// The totals of the selection; `None` if everything is shown.
    totals: Option<Totals>,
}

/// The totals of the selected processes and sockets.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// The number of processors in use.
    pub cpu: f64,
    /// Bytes read and written per second by processes whose I/O counters may be read.
    pub disk: Throughput,
    /// Bytes sent and received per second.
    pub network: Throughput,
    /// Bytes of resident memory.
    pub resident: u64,
    /// Page faults that required I/O, per second.
    pub faults: f64,
    /// The number of open TCP connections.
    pub connections: u32,
}

/// The options of the filter language, without their dashes; those that take a value come first.
const WORDS: [&str; 12] = [
    "state",
    "port",
    "local",
    "foreign",
    "pid",
    "program",
    "user",
    "unit",
    "listening",
    "established",
    "public",
    "exposed",
];

/// The number of [`WORDS`] that take a value.
const VALUED: usize = 8;

/// Parses a typed filter: the filter options of the list, with or without their dashes, or a part of a program name.
///
/// # Errors
/// Returns one line that names the wrong word and says what is allowed.
pub fn parse_filter(text: &str, users: &BTreeMap<u32, Arc<str>>) -> Result<Filter, String> {
    let typed: Vec<&str> = text.split_whitespace().collect();
    let first = typed.first().copied().unwrap_or_default();
    let mut filter: Filter = if first.starts_with("--") {
        text.parse()
            .map_err(|error: netstat_model::FilterError| error.to_string())?
    } else if is_option(first) {
        with_dashes(&typed)?
            .parse()
            .map_err(|error: netstat_model::FilterError| error.to_string())?
    } else if typed.len() > 1 {
        return Err(unknown_option(first));
    } else {
        let mut filter = Filter::default();
        let part = format!("*{first}*");
        filter
            .add("--program", Some(&part))
            .map_err(|error| plain_error(&error))?;
        filter
    };
    if let Some(host) = filter.hosts().first() {
        return Err(format!(
            "\"{host}\": write an address or a network; names of hosts are not looked up for a filter here"
        ));
    }
    if let Some(zone) = filter.zones().first() {
        return Err(format!("\"{zone}\": write the number of the interface behind the %"));
    }
    let names: Vec<String> = filter.users.names().map(str::to_owned).collect();
    for name in names {
        match users.iter().find(|(_, known)| ***known == *name) {
            Some((&id, _)) => filter.users.resolve(&name, id),
            None => {
                return Err(format!(
                    "no process here belongs to a user \"{name}\": write the number of the user"
                ));
            }
        }
    }
    Ok(filter)
}

/// Whether a word is the name of an option, with or without `=VALUE`.
fn is_option(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or_default();
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Adds dashes to the options among `words`.
fn with_dashes(words: &[&str]) -> Result<String, String> {
    let mut dashed = Vec::with_capacity(words.len());
    let mut is_value = false;
    let mut quoted = false;
    for word in words {
        if quoted || std::mem::take(&mut is_value) {
            quoted ^= word.matches('"').count() % 2 == 1;
            dashed.push((*word).to_owned());
            continue;
        }
        let plain = word.trim_start_matches('-');
        if !is_option(plain) {
            return Err(unknown_option(plain));
        }
        let name = plain.split('=').next().unwrap_or_default().to_ascii_lowercase();
        let takes_value = WORDS
            .iter()
            .position(|known| *known == name)
            .is_some_and(|at| at < VALUED);
        is_value = takes_value && !plain.contains('=');
        quoted = plain.matches('"').count() % 2 == 1;
        dashed.push(format!("--{plain}"));
    }
    Ok(dashed.join(" "))
}

fn unknown_option(word: &str) -> String {
    match nearest_option(word) {
        Some(near) => format!("unknown filter \"{word}\"; did you mean \"{near}\"?"),
        None => format!("unknown filter \"{word}\": use one of {}", WORDS.join(", ")),
    }
}

/// Returns the option that a mistyped word most likely meant.
fn nearest_option(word: &str) -> Option<&'static str> {
    let word = word.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let distance = |known: &str| strsim::osa_distance(known, &word);
    let near = WORDS.into_iter().min_by_key(|known| distance(known))?;
    (distance(near) * 3 <= near.len().max(4)).then_some(near)
}

/// Returns the option that `text` most likely meant, if it is a single word that is not part of a program name in
/// `model`.
pub(crate) fn mistyped_option(text: &str, model: &Model) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let known = |name: &str| name.to_ascii_lowercase().contains(&lower);
    if text.contains(char::is_whitespace) || model.processes.iter().any(|row| known(&row.text.name)) {
        return None;
    }
    nearest_option(text)
}

impl Selection {
    /// Updates the selection for the processes of `model`.
    pub fn update(&mut self, model: &Model) {
        self.look_at(model);
        self.processes.clear();
        self.totals = None;
        if !self.is_all() {
            let wanted = model
                .processes
                .iter()
                .filter(|row| self.wants_process(row) && self.in_marks(Some(row.key)));
            self.processes = wanted.map(|row| row.key).collect();
            self.totals = Some(self.sum(model));
        }
    }

    /// Returns the processes that marks and filter select; empty if everything is shown.
    pub fn processes(&self) -> &HashSet<ProcessKey> {
        &self.processes
    }

    /// Whether the filter selects individual sockets of a process, so that the traffic of the whole process would be
    /// too much.
    pub fn chooses_sockets(&self) -> bool {
        self.filter.is_some() && self.about_sockets
    }

    /// Returns the totals of the selection; `None` if everything is shown.
    pub fn totals(&self) -> Option<&Totals> {
        self.totals.as_ref()
    }

    fn sum(&self, model: &Model) -> Totals {
        let rows = || self.processes.iter().filter_map(|key| model.process(*key));
        let add = |value: fn(&ProcessRow) -> Fact<f64>| rows().filter_map(|row| value(row).known()).sum::<f64>();
        let mut totals = Totals {
            cpu: add(|row| row.rates.cpu),
            disk: Throughput {
                outbound: Fact::Known(add(|row| row.rates.written)),
                inbound: Fact::Known(add(|row| row.rates.read)),
            },
            network: Throughput {
                outbound: Fact::Known(0.0),
                inbound: Fact::Known(0.0),
            },
            resident: rows().filter_map(|row| row.resident.known()).sum(),
            faults: add(|row| row.rates.major_faults),
            connections: 0,
        };
        let (mut sent, mut received) = (0.0, 0.0);
        let wanted =
            |index: usize| self.in_marks(model.sockets.row(index).process()) && self.wants_socket(index, model);
        for (index, (row, flow)) in model
            .sockets
            .open
            .iter()
            .zip(model.sockets.open_flows.iter())
            .enumerate()
        {
            if wanted(index) {
                totals.connections += u32::from(is_connection(row) && row.is_live_connection());
                sent += f64::from(flow.sent.known().unwrap_or(0.0));
                received += f64::from(flow.received.known().unwrap_or(0.0));
            }
        }
        for brief in model
            .sockets
            .brief
            .iter()
            .filter(|brief| self.wants_brief(brief, model))
        {
            sent += brief.sent.known().unwrap_or(0.0);
            received += brief.received.known().unwrap_or(0.0);
        }
        totals.network = Throughput {
            outbound: Fact::Known(sent),
            inbound: Fact::Known(received),
        };
        totals
    }

    /// Whether marks and filter select a row of short connections.
    pub fn wants_brief(&self, brief: &BriefRow, model: &Model) -> bool {
        if !self.in_marks(brief.row.process()) {
            return false;
        }
        let Some((_, filter)) = &self.filter else { return true };
        filter.wants(&brief.row)
            && (!filter.needs_owners()
                || match brief.row.process().and_then(|key| model.process(key)) {
                    Some(process) => filter.wants_holders(process),
                    None => filter.wants_holders(brief),
                })
    }

    /// Determines what the filter means for the processes of `model`.
    fn look_at(&mut self, model: &Model) {
        self.holders.clear();
        self.about_sockets = false;
        if let Some((_, filter)) = &self.filter {
            let closed = model.sockets.closed.iter().map(|closed| &closed.row);
            let brief = model.sockets.brief.iter().map(|brief| &brief.row);
            let all = model.sockets.open.iter().chain(closed).chain(brief);
            let wanted = all.filter(|row| filter.wants(*row));
            self.holders = wanted.filter_map(SocketRow::process).collect();
            let mut rest = filter.clone();
            rest.pids = Pids::default();
            rest.programs = Globs::default();
            rest.units = Globs::default();
            rest.users = Users::default();
            self.about_sockets = !rest.is_empty();
        }
    }

    /// Whether everything is shown.
    pub fn is_all(&self) -> bool {
        self.marks.is_empty() && self.filter.is_none()
    }

    /// Whether the filter selects a process.
    pub fn wants_process(&self, row: &ProcessRow) -> bool {
        let Some((_, filter)) = &self.filter else { return true };
        if self.about_sockets {
            return self.holders.contains(&row.key) && filter.wants_holders(row);
        }
        let user = filter.users.is_empty() || row.user.known().is_some_and(|user| filter.users.contains(user));
        user && filter.wants_holders(row)
    }

    /// Whether a process is marked, or no process is.
    pub fn in_marks(&self, key: Option<ProcessKey>) -> bool {
        self.marks.is_empty() || key.is_some_and(|key| self.marks.contains_key(&key))
    }

    /// Whether the filter selects the socket at `index` of the model.
    pub fn wants_socket(&self, index: usize, model: &Model) -> bool {
        let Some((_, filter)) = &self.filter else { return true };
        let row = model.sockets.row(index);
        if !filter.wants(row) {
            return false;
        }
        if !filter.needs_owners() {
            return true;
        }
        match row.process().and_then(|key| model.process(key)) {
            Some(process) => filter.wants_holders(process),
            // A process that came and went between two samples.
            None => model
                .sockets
                .closed(index)
                .is_some_and(|closed| filter.wants_holders(closed)),
        }
    }
}

impl Holders for ClosedRow {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        self.row.process().is_some_and(|key| wanted(key.pid))
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        self.name.as_ref().is_some_and(|name| wanted(name.as_bytes()))
    }

    fn any_unit(&self, _: &dyn Fn(&[u8]) -> bool) -> bool {
        false
    }
}

impl Holders for BriefRow {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        self.row.process().is_some_and(|key| wanted(key.pid))
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        self.name.as_ref().is_some_and(|name| wanted(name.as_bytes()))
    }

    fn any_unit(&self, _: &dyn Fn(&[u8]) -> bool) -> bool {
        false
    }
}

impl Holders for ProcessRow {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        wanted(self.key.pid)
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        match &self.identity.image {
            netstat_model::Fact::Known(image) => wanted(&image.path),
            netstat_model::Fact::Unknown(_) => wanted(&self.identity.comm),
        }
    }

    fn any_unit(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        let components = self.identity.components.as_ref().known().map_or(&[][..], Vec::as_slice);
        components.iter().any(|component| match component {
            Component::Unit { name, .. } | Component::Service { name } | Component::Package { name } => wanted(name),
            Component::Container { runtime, id } => {
                wanted(id) || wanted(&[runtime.name().as_bytes(), b" ", id].concat())
            }
        })
    }
}

/// Whether the pane of connections shows a socket: a TCP socket that has, or had, a peer.
pub fn is_connection(row: &SocketRow) -> bool {
    let none = match row.state {
        State::Listening | State::Bound => true,
        // For some closed connections, only the end is known.
        State::Closed => row.foreign.port == 0,
        _ => false,
    };
    row.protocol() == Protocol::Tcp && !none
}
