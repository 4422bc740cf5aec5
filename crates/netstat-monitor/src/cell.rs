//! The content of a cell: its text and tone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::metrics::ProcessKey;
use netstat_model::text::escape_str;
use netstat_model::{Endpoint, Fact, Protocol, digits};
use netstat_names::Services;

use crate::format::{self, UNKNOWN};
use crate::history::{History, Trend};
use crate::model::{BriefRow, Item, Model, PaneRow, reachable_from};
use crate::pane::Column;
use crate::places::Places;
use crate::sample::{Bytes, Holder};
use crate::view::Group;

/// How significant a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Normal.
    #[default]
    Plain,
    /// Zero, absent or unknown.
    Dim,
    /// Deserves attention.
    Warn,
    /// Bad.
    Bad,
}

/// A text with its tone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The text, safe to print.
    pub(crate) text: String,
    /// How significant the text is.
    pub(crate) tone: Tone,
}

impl Cell {
    fn plain(text: impl Into<String>) -> Self {
        Cell {
            text: text.into(),
            tone: Tone::Plain,
        }
    }

    fn dim(text: impl Into<String>) -> Self {
        Cell {
            text: text.into(),
            tone: Tone::Dim,
        }
    }

    /// Creates a cell with a value; zero and unknown values are dim.
    fn figure<T: PartialEq + Default>(fact: Fact<T>, write: impl FnOnce(T) -> String) -> Self {
        match fact {
            Fact::Known(value) if value == T::default() => Cell::dim(write(value)),
            Fact::Known(value) => Cell::plain(write(value)),
            Fact::Unknown(_) => Cell::dim(UNKNOWN),
        }
    }
}

/// The names of addresses and ports, as far as they are known and shown.
#[derive(Debug)]
pub(crate) struct NameBook {
    /// Host names by address.
    pub(crate) hosts: HashMap<IpAddr, Arc<str>>,
    /// Service names by port.
    pub(crate) services: Services,
    /// The countries and autonomous systems of addresses.
    pub(crate) places: Places,
    /// Whether names are shown.
    pub(crate) shown: bool,
}

impl NameBook {
    /// Returns the address of an endpoint, or its name.
    pub(crate) fn address(&self, end: &Endpoint) -> String {
        if self.shown
            && let Some(name) = self.hosts.get(&end.address.to_canonical())
        {
            return escape_str(name).into_owned();
        }
        address(end)
    }

    /// Returns a port, or the name of its service.
    pub(crate) fn port(&self, protocol: Protocol, port: u16) -> String {
        match self.services.name(protocol, port) {
            Some(name) if self.shown => escape_str(name).into_owned(),
            _ => port.to_string(),
        }
    }
}

/// Formats an address without brackets, which are not needed in a column of its own.
pub(crate) fn address(end: &Endpoint) -> String {
    let mut out = Vec::new();
    match end.address {
        IpAddr::V4(v4) => digits::push_ipv4(&mut out, v4),
        IpAddr::V6(v6) => digits::push_ipv6(&mut out, v6),
    }
    if end.scope != 0 {
        out.push(b'%');
        digits::push_decimal(&mut out, end.scope.into());
    }
    // Only digits, letters and punctuation.
    String::from_utf8_lossy(&out).into_owned()
}

/// The data from which the cells of a pane are made.
#[derive(Clone, Copy)]
pub(crate) struct Sheet<'a> {
    /// The model that is shown.
    pub(crate) model: &'a Model,
    /// Names of addresses and ports.
    pub(crate) names: &'a NameBook,
    /// The groups to which rows refer.
    pub(crate) groups: &'a [Group],
    /// The activity of processes in the last minute.
    pub(crate) history: &'a History,
    /// The metric of the small graphs.
    pub(crate) trend: Trend,
    /// Whether only ASCII is drawn.
    pub(crate) ascii: bool,
}

/// Returns the content of `column` in `row`.
pub(crate) fn cell(sheet: &Sheet<'_>, row: &PaneRow, column: Column) -> Cell {
    let model = sheet.model;
    match row.item {
        Item::Process(at) if column == Column::Trend => trend(sheet, model.processes[at as usize].key),
        Item::Process(at) => process(model, at as usize, column),
        Item::Socket(at) => socket(model, sheet.names, at as usize, column),
        Item::Brief(at) => brief(sheet, &model.sockets.brief[at as usize], column),
        Item::Group(at) => group(sheet, &sheet.groups[at as usize], column),
        Item::Unit(at) => {
            let unit = &model.units[at as usize];
            match column {
                Column::UnitName | Column::Image => Cell::plain(&*unit.name),
                Column::Processes => Cell::plain(unit.processes.to_string()),
                Column::Cpu => Cell::figure(unit.cpu, format::percent),
                Column::CpuAverage => Cell::figure(unit.cpu_average, format::percent),
                Column::Private => Cell::figure(unit.private, format::size),
                _ => Cell::default(),
            }
        }
        Item::Disk(at) => {
            let disk = &model.disks[at as usize];
            match column {
                Column::Disk => Cell::plain(&*disk.name),
                Column::Active => Cell::figure(disk.rates.active, format::percent),
                Column::Queue => Cell::figure(disk.rates.queue, |queue| format!("{queue:.2}")),
                Column::Response => Cell::figure(disk.rates.response, |time| format!("{time:.2}")),
                Column::Free => Cell::figure(disk.free, format::size),
                Column::Size => Cell::figure(disk.size, format::size),
                Column::Read => Cell::figure(disk.rates.read, format::rate),
                Column::Write => Cell::figure(disk.rates.written, format::rate),
                _ => Cell::default(),
            }
        }
    }
}

/// Draws the last minute of a process as a small graph, scaled to its own maximum.
fn trend(sheet: &Sheet<'_>, process: ProcessKey) -> Cell {
    // The minimum of the scale; smaller values are noise.
    let least = match sheet.trend {
        Trend::Cpu => 0.05,
        Trend::Disk | Trend::Network => 1000.0,
    };
    let width = usize::from(Column::Trend.spec().width);
    let parts = if sheet.ascii { width } else { 2 * width };
    let values = sheet.history.trend(process, sheet.trend, parts);
    let most = values.iter().copied().fold(least, f32::max);
    Cell::dim(match sheet.ascii {
        true => format::ascii_graph(&values, most),
        false => format::braille_graph(&values, most),
    })
}

/// Returns a cell of a row of short connections.
fn brief(sheet: &Sheet<'_>, brief: &BriefRow, column: Column) -> Cell {
    let (model, names, row) = (sheet.model, sheet.names, &brief.row);
    let process = row.process().and_then(|key| model.process(key));
    let rate = |fact: Fact<f64>| Cell::figure(fact, format::rate);
    match column {
        Column::Image => match (&brief.name, process, row.holder) {
            (Some(name), ..) => Cell::plain(&**name),
            (None, Some(process), _) => Cell::plain(&*process.text.name),
            (None, None, Holder::None(why)) => Cell::dim(format!("({})", why.words())),
            (None, None, _) => Cell::dim("(ended)"),
        },
        Column::Pid => match process {
            Some(process) => Cell::plain(process.key.pid.to_string()),
            None => Cell::dim(UNKNOWN),
        },
        Column::Address if row.foreign.port == 0 => Cell::plain(format!("-> *  {}/s", format::rate(brief.per_second))),
        Column::Address => {
            let arrow = if brief.incoming { "<-" } else { "->" };
            let rate = format::rate(brief.per_second);
            Cell::plain(format!("{arrow} {}  {rate}/s", names.address(&row.foreign)))
        }
        Column::Country | Column::System => place(names, &row.foreign, column),
        Column::RemotePort if row.foreign.port == 0 => Cell::dim("*"),
        // On the side that opened them, each has a different port.
        Column::RemotePort if brief.incoming => Cell::dim("*"),
        Column::LocalPort if !brief.incoming => Cell::dim("*"),
        Column::RemotePort => Cell::plain(names.port(row.protocol, row.foreign.port)),
        Column::LocalPort => Cell::plain(row.local.port.to_string()),
        Column::LocalAddress => Cell::plain(address(&row.local)),
        Column::State if brief.failed > 0.0 => Cell {
            text: format!("{}/s failed", format::rate(brief.failed)),
            tone: Tone::Warn,
        },
        Column::State => Cell::dim("short"),
        Column::Send => rate(brief.sent),
        Column::Receive => rate(brief.received),
        Column::NetworkTotal => rate(brief.total()),
        Column::Latency => Cell::figure(row.rtt, format::milliseconds),
        Column::Lived => Cell::figure(brief.lived, format::span),
        Column::Protocol => Cell::plain(row.protocol.name()),
        _ => Cell::default(),
    }
}

/// Returns a cell of a group of sockets.
fn group(sheet: &Sheet<'_>, group: &Group, column: Column) -> Cell {
    let rate = |fact: Fact<f64>| Cell::figure(fact, format::rate);
    match column {
        Column::Image => {
            let sign = match (sheet.ascii, group.open) {
                (true, true) => "-",
                (true, false) => "+",
                (false, true) => "▾",
                (false, false) => "▸",
            };
            let name = match &group.peer {
                Some(peer) => sheet.names.address(peer),
                None => group.label.to_string(),
            };
            Cell::plain(format!("{sign} {name} ({})", group.sockets))
        }
        Column::Pid => match (group.process, group.processes) {
            (Some(key), _) => Cell::plain(key.pid.to_string()),
            (None, 0) => Cell::dim(UNKNOWN),
            (None, count) => Cell::dim(format!("({count})")),
        },
        Column::Address if group.peer.is_none() => match group.peers {
            1 => Cell::dim("1 peer"),
            count => Cell::dim(format!("{count} peers")),
        },
        Column::State if group.brief > 0.0 => Cell::plain(format!("{}/s short", format::rate(group.brief))),
        Column::Send => rate(group.sent),
        Column::Receive => rate(group.received),
        Column::NetworkTotal => rate(group.total()),
        _ => Cell::default(),
    }
}

fn process(model: &Model, at: usize, column: Column) -> Cell {
    use netstat_model::metrics::ProcessState;
    let row = &model.processes[at];
    let rate = |fact: Fact<f64>| Cell::figure(fact, format::rate);
    let size = |fact: Fact<u64>| Cell::figure(fact, format::size);
    let together = |a: Fact<f64>, b: Fact<f64>| {
        crate::model::Throughput {
            outbound: a,
            inbound: b,
        }
        .total()
    };
    match column {
        Column::Image if row.text.deleted => Cell {
            text: format!("{} (deleted)", row.text.name),
            tone: Tone::Warn,
        },
        Column::Image => Cell::plain(&*row.text.name),
        Column::Pid => Cell::plain(row.key.pid.to_string()),
        Column::User => Cell::plain(&*row.text.user),
        Column::Unit if row.text.unit.is_empty() => Cell::dim(UNKNOWN),
        Column::Unit => Cell::plain(&*row.text.unit),
        Column::Command => Cell::plain(&*row.text.command),
        // The state is that of the first thread; at this much processor time, other threads must be running.
        Column::Status
            if row.threads > 1
                && row.state == ProcessState::Sleeping
                && row.rates.cpu.known().is_some_and(|cpu| cpu >= 0.1) =>
        {
            Cell::plain(ProcessState::Running.name())
        }
        Column::Status => Cell {
            text: row.state.name().to_owned(),
            tone: match row.state {
                ProcessState::Sleeping => Tone::Dim,
                ProcessState::Blocked | ProcessState::Zombie => Tone::Warn,
                _ => Tone::Plain,
            },
        },
        Column::Threads => Cell::plain(row.threads.to_string()),
        Column::Cpu => Cell::figure(row.rates.cpu, format::percent),
        Column::CpuAverage => Cell::figure(row.cpu_average, format::percent),
        Column::Read => rate(row.rates.read),
        Column::Write => rate(row.rates.written),
        Column::DiskTotal => rate(together(row.rates.written, row.rates.read)),
        Column::Send => rate(row.network.outbound),
        Column::Receive => rate(row.network.inbound),
        Column::NetworkTotal => rate(row.network.total()),
        Column::Faults => rate(row.rates.major_faults),
        Column::MinorFaults => rate(row.rates.minor_faults),
        Column::Resident => size(row.resident),
        Column::Shareable => size(row.shareable),
        Column::Private => size(row.private),
        Column::Swap => size(row.swapped),
        Column::Sockets => Cell::figure(Fact::Known(row.sockets), |count| count.to_string()),
        _ => Cell::default(),
    }
}

/// Returns the process that holds a socket, or why it is unknown.
fn holder(model: &Model, at: usize) -> Cell {
    let row = model.sockets.row(at);
    let closed = model.sockets.closed(at);
    match row.process().and_then(|key| model.process(key)) {
        Some(process) if row.others > 0 => Cell::plain(format!("{} +{}", process.text.name, row.others)),
        Some(process) => Cell::plain(&*process.text.name),
        None => match (row.holder, closed.and_then(|closed| closed.name.as_deref())) {
            (_, Some(name)) => Cell::plain(name),
            (holder, None) => match holder {
                Holder::None(why) => Cell::dim(format!("({})", why.words())),
                Holder::Pending => Cell::dim("(looking)"),
                Holder::Process(_) => Cell::dim("(ended)"),
            },
        },
    }
}

/// Returns the country or autonomous system of a remote address.
fn place(names: &NameBook, end: &Endpoint, column: Column) -> Cell {
    if end.port == 0 || names.places.is_empty() {
        return Cell::dim(UNKNOWN);
    }
    let place = names.places.of(end.address);
    let text = if column == Column::Country {
        place.country
    } else {
        place.system
    };
    match text.is_empty() {
        true => Cell::dim(UNKNOWN),
        false => Cell::plain(&*text),
    }
}

/// Returns the state of a socket, or how it ended.
fn state(model: &Model, at: usize) -> Cell {
    use netstat_model::State;
    let row = model.sockets.row(at);
    if model.sockets.closed(at).is_some_and(|closed| closed.told) {
        return Cell::plain(match (row.state, model.sockets.lifetime(at)) {
            (State::SynSent, _) => "failed".to_owned(),
            (_, Fact::Known(lived)) => format!("lived {}", format::span(lived)),
            (_, Fact::Unknown(_)) => "closed".to_owned(),
        });
    }
    Cell {
        text: row.state.name().to_owned(),
        tone: match row.state {
            State::TimeWait => Tone::Dim,
            State::CloseWait | State::SynSent => Tone::Warn,
            _ => Tone::Plain,
        },
    }
}

/// Returns the share of retransmitted segments.
fn loss(loss: Fact<f32>) -> Cell {
    match loss {
        Fact::Known(share) => Cell {
            text: format::percent(share.into()),
            tone: match share {
                0.0 => Tone::Dim,
                0.05.. => Tone::Bad,
                0.01.. => Tone::Warn,
                _ => Tone::Plain,
            },
        },
        Fact::Unknown(_) => Cell::dim(UNKNOWN),
    }
}

fn socket(model: &Model, names: &NameBook, at: usize, column: Column) -> Cell {
    let row = model.sockets.row(at);
    let flow = model.sockets.flow(at);
    let closed = model.sockets.closed(at);
    // A closed connection has no rate any more; its total is shown instead, with the unit.
    let rate = |fact: Fact<f32>, part: fn(&Bytes) -> u64| match closed {
        Some(closed) if closed.told => Cell::figure(row.bytes.as_ref().map(part), format::amount),
        _ => Cell::figure(fact, |value| format::rate(value.into())),
    };
    match column {
        Column::Image => holder(model, at),
        Column::Pid => match row.process() {
            Some(key) => Cell::plain(key.pid.to_string()),
            None => Cell::dim(UNKNOWN),
        },
        Column::User => match row.user {
            Fact::Known(user) => Cell::plain(match model.users.get(&user) {
                Some(name) => escape_str(name).into_owned(),
                None => user.to_string(),
            }),
            Fact::Unknown(_) => Cell::dim(UNKNOWN),
        },
        // A UDP socket without a peer exchanges datagrams with anyone.
        Column::Address | Column::RemotePort if row.foreign.port == 0 => Cell::dim("*"),
        Column::Address => Cell::plain(names.address(&row.foreign)),
        Column::Country | Column::System => place(names, &row.foreign, column),
        // A high remote port opposite a lower local one is ephemeral; a service registered for its number is not meant.
        Column::RemotePort if row.foreign.port >= 1024 && row.foreign.port > row.local.port => {
            Cell::plain(row.foreign.port.to_string())
        }
        Column::RemotePort => Cell::plain(names.port(row.protocol, row.foreign.port)),
        Column::LocalAddress => Cell::plain(address(&row.local)),
        Column::LocalPort => Cell::plain(row.local.port.to_string()),
        Column::State => state(model, at),
        Column::Protocol => Cell::plain(row.protocol.name()),
        Column::Reach => {
            let (far, words) = reachable_from(row);
            Cell {
                text: words.to_owned(),
                tone: if far == 0 { Tone::Dim } else { Tone::Plain },
            }
        }
        Column::Loss => loss(flow.loss),
        Column::Latency => Cell::figure(row.rtt, format::milliseconds),
        Column::Send => rate(flow.sent, |bytes| bytes.sent),
        Column::Receive => rate(flow.received, |bytes| bytes.received),
        Column::NetworkTotal => rate(flow.total(), |bytes| bytes.sent + bytes.received),
        Column::Sent => Cell::figure(row.bytes.map(|bytes| bytes.sent), format::size),
        Column::Received => Cell::figure(row.bytes.map(|bytes| bytes.received), format::size),
        Column::Lived => Cell::figure(model.sockets.lifetime(at), format::span),
        Column::ReceiveQueue => Cell::figure(Fact::Known(row.receive_queue), |bytes| format::size(bytes.into())),
        Column::SendQueue => Cell::figure(row.send_queue, |bytes| format::size(bytes.into())),
        _ => Cell::default(),
    }
}
