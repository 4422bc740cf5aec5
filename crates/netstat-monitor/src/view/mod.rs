//! The rows of a pane: filtered, sorted, and arranged in a tree.

mod groups;

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::{Fact, State};

use crate::model::{BriefRow, Item, Model, PaneRow, Presence, ProcessRow, reachable_from};
use crate::pane::{Column, Grouping, Pane, ShortConnections, Sort, Source, Tree};
use crate::places::Places;
use crate::selection::{Selection, is_connection};

pub(crate) use groups::Group;

/// A sort key.
#[derive(Clone, Debug)]
enum Key {
    Number(f64),
    Text(Arc<str>),
    Address(bool, u128, u32),
}

impl Key {
    fn compare(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
            (Key::Text(a), Key::Text(b)) => a
                .chars()
                .map(|c| c.to_ascii_lowercase())
                .cmp(b.chars().map(|c| c.to_ascii_lowercase())),
            (Key::Address(a6, a, ap), Key::Address(b6, b, bp)) => (a6, a, ap).cmp(&(b6, b, bp)),
            // Cannot happen: one column has keys of one kind.
            _ => Ordering::Equal,
        }
    }
}

/// How the rows of a pane are arranged.
pub(crate) struct Arrangement<'a> {
    /// The pane whose rows are arranged.
    pub(crate) pane: Pane,
    /// The sort order.
    pub(crate) sort: Sort,
    /// The hierarchy of processes.
    pub(crate) tree: Tree,
    /// Whether this is the first pane of the tab, in which marks do not hide other rows.
    pub(crate) first: bool,
    /// The grouping of sockets.
    pub(crate) grouping: Grouping,
    /// How short connections are shown.
    pub(crate) short: ShortConnections,
    /// The labels of the groups whose members are shown.
    pub(crate) open: &'a BTreeSet<Arc<str>>,
    /// The countries and autonomous systems of addresses.
    pub(crate) places: &'a Places,
}

/// The rows of a pane, and its groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// The rows in order.
    pub(crate) rows: Vec<PaneRow>,
    /// The groups to which rows refer.
    pub(crate) groups: Vec<Group>,
}

/// Arranges the rows of a pane.
pub(crate) fn table(model: &Model, selection: &Selection, how: &Arrangement<'_>) -> Table {
    let source = how.pane.spec().source;
    let items = items(model, selection, source, how);
    let items = sorted(model, items, how.sort, how.places);
    let flat = |items: Vec<Item>| items.into_iter().map(|item| PaneRow { item, depth: 0 }).collect();
    let rows = match how.tree {
        _ if source.is_sockets() && groups::applies(how.grouping, source) => {
            return groups::table(model, &items, how);
        }
        Tree::Parent if source == Source::Processes => by_parent(model, &items),
        Tree::Unit if source == Source::Processes => by_unit(model, &items, how),
        _ => flat(items),
    };
    Table {
        rows,
        groups: Vec::new(),
    }
}

fn items(model: &Model, selection: &Selection, source: Source, how: &Arrangement<'_>) -> Vec<Item> {
    match source {
        Source::Processes | Source::DiskUsers | Source::NetworkUsers => (0u32..)
            .zip(&model.processes)
            .filter(|(_, row)| match source {
                Source::DiskUsers => row.used_disk,
                Source::NetworkUsers => row.sockets > 0 || row.used_network,
                _ => true,
            })
            .filter(|(_, row)| selection.wants_process(row) && (how.first || selection.in_marks(Some(row.key))))
            .map(|(at, _)| Item::Process(at))
            .collect(),
        Source::ActiveSockets | Source::Connections | Source::Listeners => sockets(model, selection, source, how.short),
        Source::Units if selection.is_all() => (0u32..).zip(&model.units).map(|(at, _)| Item::Unit(at)).collect(),
        Source::Units => {
            let chosen = model
                .processes
                .iter()
                .filter(|row| selection.wants_process(row) && selection.in_marks(Some(row.key)));
            let names: std::collections::HashSet<&str> = chosen.map(crate::model::unit_of).collect();
            (0u32..)
                .zip(&model.units)
                .filter(|(_, unit)| names.contains(&*unit.name))
                .map(|(at, _)| Item::Unit(at))
                .collect()
        }
        Source::Disks => (0u32..).zip(&model.disks).map(|(at, _)| Item::Disk(at)).collect(),
    }
}

fn sockets(model: &Model, selection: &Selection, source: Source, short: ShortConnections) -> Vec<Item> {
    let open = model.sockets.open_flows.len();
    let mut items: Vec<Item> = (0u32..)
        .zip(model.sockets.flows())
        .filter(|(at, flow)| {
            let index = *at as usize;
            let row = model.sockets.row(index);
            let shown = match source {
                // A closed connection that the kernel still keeps carries no data.
                Source::ActiveSockets => flow.was_used() && row.state != State::TimeWait,
                Source::Listeners => row.listens(),
                _ => is_connection(row),
            };
            let listed = index < open
                || short == ShortConnections::Listed
                || !model.sockets.closed(index).is_some_and(|closed| closed.short);
            shown && listed && selection.in_marks(row.process()) && selection.wants_socket(index, model)
        })
        .map(|(at, _)| Item::Socket(at))
        .collect();
    if short == ShortConnections::Folded && source != Source::Listeners {
        let shown = |brief: &BriefRow| source == Source::ActiveSockets || is_connection(&brief.row);
        let brief = (0u32..).zip(&model.sockets.brief).filter(|(_, brief)| shown(brief));
        let wanted = brief.filter(|(_, brief)| selection.wants_brief(brief, model));
        items.extend(wanted.map(|(at, _)| Item::Brief(at)));
    }
    items
}

/// Returns the order of kinds of rows, regardless of the sort column: open ones, the kernel's remains of closed
/// connections, rows that are gone.
fn rank(model: &Model, item: Item) -> u8 {
    match (item, item.presence(model)) {
        (_, Presence::Gone) => 2,
        (Item::Socket(at), _) => {
            let row = model.sockets.row(at as usize);
            u8::from(is_connection(row) && !row.is_live_connection())
        }
        _ => 0,
    }
}

fn sorted(model: &Model, items: Vec<Item>, sort: Sort, places: &Places) -> Vec<Item> {
    let Some(first) = items.first() else { return items };
    // Equal rows keep the order of the model, which is that of their identities. Numbers are handled separately,
    // because they are much faster to compare and take much less memory.
    if let Key::Number(_) = key(model, *first, sort.column, places) {
        let number = |item: &Item| match key(model, *item, sort.column, places) {
            Key::Number(number) if sort.falling => -number,
            Key::Number(number) => number,
            // Cannot happen: one column has keys of one kind.
            _ => 0.0,
        };
        let mut order: Vec<(f64, u32, u8)> = items
            .iter()
            .zip(0u32..)
            .map(|(item, at)| (number(item), at, rank(model, *item)))
            .collect();
        order.sort_unstable_by(|a, b| a.2.cmp(&b.2).then(a.0.total_cmp(&b.0)).then(a.1.cmp(&b.1)));
        return order.into_iter().map(|(_, at, _)| items[at as usize]).collect();
    }
    let mut keyed: Vec<(Key, Item)> = items
        .into_iter()
        .map(|item| (key(model, item, sort.column, places), item))
        .collect();
    keyed.sort_by(|(a, x), (b, y)| {
        let order = if sort.falling { b.compare(a) } else { a.compare(b) };
        rank(model, *x).cmp(&rank(model, *y)).then(order)
    });
    keyed.into_iter().map(|(_, item)| item).collect()
}

/// An unknown value sorts below every known one.
fn number<T>(fact: Fact<T>, value: impl FnOnce(T) -> f64) -> Key {
    Key::Number(fact.known().map_or(-1.0, value))
}

fn address(address: IpAddr, low: u32) -> Key {
    match address {
        IpAddr::V4(v4) => Key::Address(false, v4.to_bits().into(), low),
        IpAddr::V6(v6) => Key::Address(true, v6.to_bits(), low),
    }
}

/// Returns the sort key of a row: what its cell shows.
fn key(model: &Model, item: Item, column: Column, places: &Places) -> Key {
    match item {
        Item::Process(at) => process_key(&model.processes[at as usize], column),
        Item::Socket(at) => socket_key(model, at as usize, column, places),
        Item::Brief(at) => {
            let brief = &model.sockets.brief[at as usize];
            match column {
                Column::Country => Key::Text(places.of(brief.row.foreign.address).country),
                Column::System => Key::Text(places.of(brief.row.foreign.address).system),
                column => brief_key(brief, model, column),
            }
        }
        Item::Group(_) => Key::Number(0.0),
        Item::Unit(at) => {
            let row = &model.units[at as usize];
            match column {
                Column::UnitName | Column::Image => Key::Text(Arc::clone(&row.name)),
                Column::Processes => Key::Number(row.processes.into()),
                Column::Cpu => number(row.cpu, |value| value),
                Column::CpuAverage => number(row.cpu_average, |value| value),
                Column::Private => number(row.private, |bytes| bytes as f64),
                _ => Key::Number(0.0),
            }
        }
        Item::Disk(at) => {
            let row = &model.disks[at as usize];
            match column {
                Column::Disk => Key::Text(Arc::clone(&row.name)),
                Column::Active => number(row.rates.active, |value| value),
                Column::Queue => number(row.rates.queue, |value| value),
                Column::Response => number(row.rates.response, |value| value),
                Column::Free => number(row.free, |bytes| bytes as f64),
                Column::Size => number(row.size, |bytes| bytes as f64),
                Column::Read => number(row.rates.read, |value| value),
                Column::Write => number(row.rates.written, |value| value),
                _ => Key::Number(0.0),
            }
        }
    }
}

fn process_key(row: &ProcessRow, column: Column) -> Key {
    let rate = |fact: Fact<f64>| number(fact, |value| value);
    match column {
        Column::Image => Key::Text(Arc::clone(&row.text.name)),
        Column::Pid => Key::Number(row.key.pid.into()),
        Column::User => Key::Text(Arc::clone(&row.text.user)),
        Column::Unit => Key::Text(Arc::clone(&row.text.unit)),
        Column::Command => Key::Text(Arc::clone(&row.text.command)),
        Column::Status => Key::Text(row.state.name().into()),
        Column::Threads => Key::Number(row.threads.into()),
        Column::Cpu => rate(row.rates.cpu),
        Column::CpuAverage => number(row.cpu_average, |value| value),
        Column::Read => rate(row.rates.read),
        Column::Write => rate(row.rates.written),
        Column::DiskTotal => rate(sum(row.rates.read, row.rates.written)),
        Column::Send => rate(row.network.outbound),
        Column::Receive => rate(row.network.inbound),
        Column::NetworkTotal => rate(row.network.total()),
        Column::Faults => rate(row.rates.major_faults),
        Column::MinorFaults => number(row.rates.minor_faults, |value| value),
        Column::Resident => number(row.resident, |bytes| bytes as f64),
        Column::Shareable => number(row.shareable, |bytes| bytes as f64),
        Column::Private => number(row.private, |bytes| bytes as f64),
        Column::Swap => number(row.swapped, |bytes| bytes as f64),
        Column::Sockets => Key::Number(row.sockets.into()),
        _ => Key::Number(0.0),
    }
}

fn socket_key(model: &Model, at: usize, column: Column, places: &Places) -> Key {
    let row = model.sockets.row(at);
    let flow = model.sockets.flow(at);
    match column {
        Column::Image => {
            let process = row.process().and_then(|key| model.process(key));
            let closed = || model.sockets.closed(at)?.name.clone();
            let name = process.map(|process| Arc::clone(&process.text.name)).or_else(closed);
            Key::Text(name.unwrap_or_else(|| "".into()))
        }
        Column::Pid => Key::Number(row.process().map_or(-1.0, |key| key.pid.into())),
        Column::User => number(row.user, f64::from),
        Column::Address => address(row.foreign.address, row.foreign.port.into()),
        Column::Country => Key::Text(places.of(row.foreign.address).country),
        Column::System => Key::Text(places.of(row.foreign.address).system),
        Column::RemotePort => Key::Number(row.foreign.port.into()),
        Column::LocalAddress => address(row.local.address, row.local.port.into()),
        Column::LocalPort => Key::Number(row.local.port.into()),
        Column::State => Key::Text(row.state.name().into()),
        Column::Protocol => Key::Text(row.protocol.name().into()),
        Column::Reach => Key::Number(reachable_from(row).0.into()),
        Column::Loss => number(flow.loss, f64::from),
        Column::Latency => number(row.rtt, f64::from),
        Column::Send => number(flow.sent, f64::from),
        Column::Receive => number(flow.received, f64::from),
        Column::NetworkTotal => number(flow.total(), f64::from),
        Column::Sent => number(row.bytes, |bytes| bytes.sent as f64),
        Column::Received => number(row.bytes, |bytes| bytes.received as f64),
        Column::Lived => number(model.sockets.lifetime(at), |lived| lived as f64),
        Column::ReceiveQueue => Key::Number(row.receive_queue.into()),
        Column::SendQueue => number(row.send_queue, f64::from),
        _ => Key::Number(0.0),
    }
}

fn sum(a: Fact<f64>, b: Fact<f64>) -> Fact<f64> {
    match (a, b) {
        (Fact::Known(a), Fact::Known(b)) => Fact::Known(a + b),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    }
}

/// Returns the sort key of a row of short connections.
fn brief_key(brief: &BriefRow, model: &Model, column: Column) -> Key {
    let row = &brief.row;
    match column {
        Column::Image => Key::Text(brief.name.clone().unwrap_or_else(|| "".into())),
        Column::Pid => Key::Number(match row.process().filter(|key| model.process(*key).is_some()) {
            Some(key) => key.pid.into(),
            None => -1.0,
        }),
        Column::User => number(row.user, f64::from),
        Column::Address => address(row.foreign.address, row.foreign.port.into()),
        Column::RemotePort => Key::Number(row.foreign.port.into()),
        Column::LocalAddress => address(row.local.address, row.local.port.into()),
        Column::LocalPort => Key::Number(row.local.port.into()),
        Column::State => Key::Text("".into()),
        Column::Protocol => Key::Text(row.protocol.name().into()),
        Column::Latency => number(row.rtt, f64::from),
        Column::Send => number(brief.sent, |rate| rate),
        Column::Receive => number(brief.received, |rate| rate),
        Column::NetworkTotal => number(brief.total(), |rate| rate),
        Column::Lived => number(brief.lived, |lived| lived as f64),
        _ => Key::Number(-1.0),
    }
}

/// Places each process below its parent. A process whose parent is not among the rows is at the top level.
fn by_parent(model: &Model, items: &[Item]) -> Vec<PaneRow> {
    let mut place = HashMap::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        if let Item::Process(index) = item {
            place.insert(model.processes[*index as usize].key.pid, at);
        }
    }
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    let mut tops = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Item::Process(index) = item else { continue };
        let row = &model.processes[*index as usize];
        match place.get(&row.parent) {
            Some(&parent) if parent != at => children[parent].push(at),
            _ => tops.push(at),
        }
    }
    let mut rows = Vec::with_capacity(items.len());
    let mut seen = vec![false; items.len()];
    let mut stack: Vec<(usize, u16)> = tops.into_iter().rev().map(|at| (at, 0)).collect();
    while let Some((at, depth)) = stack.pop() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        rows.push(PaneRow { item: items[at], depth });
        stack.extend(children[at].iter().rev().map(|&child| (child, depth.saturating_add(1))));
    }
    // A cycle of parents, which two inconsistent readings could cause, must not hide a row.
    rows.extend((0..items.len()).filter(|&at| !seen[at]).map(|at| PaneRow {
        item: items[at],
        depth: 0,
    }));
    rows
}

/// Places each process below its unit.
fn by_unit(model: &Model, items: &[Item], how: &Arrangement<'_>) -> Vec<PaneRow> {
    let mut of_unit: HashMap<&str, Vec<Item>> = HashMap::new();
    for &item in items {
        if let Item::Process(index) = item {
            let row = &model.processes[index as usize];
            of_unit.entry(crate::model::unit_of(row)).or_default().push(item);
        }
    }
    let units = (0u32..).zip(&model.units).map(|(at, _)| Item::Unit(at)).collect();
    let mut rows = Vec::with_capacity(items.len() + model.units.len());
    for unit in sorted(model, units, how.sort, how.places) {
        let Item::Unit(at) = unit else { continue };
        if let Some(processes) = of_unit.get(&*model.units[at as usize].name) {
            rows.push(PaneRow { item: unit, depth: 0 });
            rows.extend(processes.iter().map(|&item| PaneRow { item, depth: 1 }));
        }
    }
    rows
}
