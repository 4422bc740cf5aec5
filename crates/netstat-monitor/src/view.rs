//! The rows of a pane: chosen, ordered, hung into a tree.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::{Fact, State};

use crate::model::{Item, Model, PaneRow, reachable_from};
use crate::pane::{Column, Pane, Sort, Source, Tree};
use crate::selection::{Selection, is_connection};

/// What is compared.
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
            // Never: one column gives keys of one kind.
            _ => Ordering::Equal,
        }
    }
}

/// The rows of `pane` in order. `first` says whether it is the pane where marks do not hide the other rows.
pub(crate) fn rows(model: &Model, choice: &Selection, pane: Pane, sort: Sort, tree: Tree, first: bool) -> Vec<PaneRow> {
    let source = pane.spec().source;
    let items = items(model, choice, source, first);
    let items = sorted(model, items, sort);
    match tree {
        Tree::Parent if source == Source::Processes => by_parent(model, &items),
        Tree::Unit if source == Source::Processes => by_unit(model, &items, sort),
        _ => items.into_iter().map(|item| PaneRow { item, depth: 0 }).collect(),
    }
}

fn items(model: &Model, choice: &Selection, source: Source, first: bool) -> Vec<Item> {
    match source {
        Source::Processes | Source::DiskUsers | Source::NetworkUsers => (0u32..)
            .zip(&model.processes)
            .filter(|(_, row)| match source {
                Source::DiskUsers => row.used_disk,
                Source::NetworkUsers => row.sockets > 0 || row.used_network,
                _ => true,
            })
            .filter(|(_, row)| choice.wants_process(row) && (first || choice.in_marks(Some(row.key))))
            .map(|(at, _)| Item::Process(at))
            .collect(),
        Source::ActiveSockets | Source::Connections | Source::Listeners => (0u32..)
            .zip(model.sockets.flows())
            .filter(|(at, flow)| {
                let row = model.sockets.row(*at as usize);
                let shown = match source {
                    // What the kernel keeps of an ended connection carries nothing.
                    Source::ActiveSockets => flow.was_used() && row.state != State::TimeWait,
                    Source::Listeners => row.listens(),
                    _ => is_connection(row),
                };
                shown && choice.in_marks(row.process()) && choice.wants_socket(*at as usize, model)
            })
            .map(|(at, _)| Item::Socket(at))
            .collect(),
        Source::Units if choice.is_all() => (0u32..).zip(&model.units).map(|(at, _)| Item::Unit(at)).collect(),
        Source::Units => {
            let chosen = model
                .processes
                .iter()
                .filter(|row| choice.wants_process(row) && choice.in_marks(Some(row.key)));
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

fn sorted(model: &Model, items: Vec<Item>, sort: Sort) -> Vec<Item> {
    let Some(first) = items.first() else { return items };
    // What is equal keeps the model's order, which is that of identities. Figures are compared much more quickly, and with much less
    // memory, without the rest.
    if let Key::Number(_) = key(model, *first, sort.column) {
        let number = |item: &Item| match key(model, *item, sort.column) {
            Key::Number(number) if sort.falling => -number,
            Key::Number(number) => number,
            // Never: one column gives keys of one kind.
            _ => 0.0,
        };
        let mut order: Vec<(f64, u32)> = items.iter().map(number).zip(0u32..).collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        return order.into_iter().map(|(_, at)| items[at as usize]).collect();
    }
    let mut keyed: Vec<(Key, Item)> = items
        .into_iter()
        .map(|item| (key(model, item, sort.column), item))
        .collect();
    keyed.sort_by(|(a, _), (b, _)| if sort.falling { b.compare(a) } else { a.compare(b) });
    keyed.into_iter().map(|(_, item)| item).collect()
}

/// An unknown figure stands below every known one.
fn number<T>(fact: Fact<T>, value: impl FnOnce(T) -> f64) -> Key {
    Key::Number(fact.known().map_or(-1.0, value))
}

fn address(address: IpAddr, low: u32) -> Key {
    match address {
        IpAddr::V4(v4) => Key::Address(false, v4.to_bits().into(), low),
        IpAddr::V6(v6) => Key::Address(true, v6.to_bits(), low),
    }
}

/// What a row is compared by. Rates go by their recent average, so that rows do not jump.
fn key(model: &Model, item: Item, column: Column) -> Key {
    match item {
        Item::Process(at) => {
            let row = &model.processes[at as usize];
            let recent = &row.recent;
            let average = |value: f32| Key::Number(f64::from(value));
            match column {
                Column::Image => Key::Text(Arc::clone(&row.text.name)),
                Column::Pid => Key::Number(row.key.pid.into()),
                Column::User => Key::Text(Arc::clone(&row.text.user)),
                Column::Unit => Key::Text(Arc::clone(&row.text.unit)),
                Column::Command => Key::Text(Arc::clone(&row.text.command)),
                Column::Status => Key::Text(row.state.name().into()),
                Column::Threads => Key::Number(row.threads.into()),
                Column::Cpu => average(recent.cpu),
                Column::CpuAverage => number(row.cpu_average, |value| value),
                Column::Read => average(recent.read),
                Column::Write => average(recent.written),
                Column::DiskTotal => average(recent.read + recent.written),
                Column::Send => average(recent.sent),
                Column::Receive => average(recent.received),
                Column::NetworkTotal => average(recent.sent + recent.received),
                Column::Faults => average(recent.faults),
                Column::MinorFaults => number(row.rates.minor_faults, |value| value),
                Column::Resident => number(row.resident, |bytes| bytes as f64),
                Column::Shareable => number(row.shareable, |bytes| bytes as f64),
                Column::Private => number(row.private, |bytes| bytes as f64),
                Column::Swap => number(row.swapped, |bytes| bytes as f64),
                Column::Sockets => Key::Number(row.sockets.into()),
                _ => Key::Number(0.0),
            }
        }
        Item::Socket(at) => {
            let row = model.sockets.row(at as usize);
            let flow = model.sockets.flow(at as usize);
            match column {
                Column::Image => {
                    let process = row.process().and_then(|key| model.process(key));
                    let closed = || model.sockets.closed(at as usize)?.name.clone();
                    let name = process.map(|process| Arc::clone(&process.text.name)).or_else(closed);
                    Key::Text(name.unwrap_or_else(|| "".into()))
                }
                Column::Pid => Key::Number(row.process().map_or(-1.0, |key| key.pid.into())),
                Column::User => number(row.user, f64::from),
                Column::Address => address(row.foreign.address, row.foreign.port.into()),
                Column::RemotePort => Key::Number(row.foreign.port.into()),
                Column::LocalAddress => address(row.local.address, row.local.port.into()),
                Column::LocalPort => Key::Number(row.local.port.into()),
                Column::State => Key::Text(row.state.name().into()),
                Column::Protocol => Key::Text(row.protocol.name().into()),
                Column::Reach => Key::Number(reachable_from(row).0.into()),
                Column::Loss => number(flow.loss, f64::from),
                Column::Latency => number(row.rtt, f64::from),
                // What has no rate, as what the kernel keeps of an ended connection, stands below what is silent.
                Column::Send | Column::Receive | Column::NetworkTotal if row.bytes.why().is_some() => Key::Number(-1.0),
                Column::Send => Key::Number(flow.recent[0].into()),
                Column::Receive => Key::Number(flow.recent[1].into()),
                Column::NetworkTotal => Key::Number(f64::from(flow.recent[0]) + f64::from(flow.recent[1])),
                Column::Sent => number(row.bytes, |bytes| bytes.sent as f64),
                Column::Received => number(row.bytes, |bytes| bytes.received as f64),
                Column::Lived => number(model.sockets.lifetime(at as usize), |lived| lived as f64),
                Column::ReceiveQueue => Key::Number(row.receive_queue.into()),
                Column::SendQueue => number(row.send_queue, f64::from),
                _ => Key::Number(0.0),
            }
        }
        Item::Unit(at) => {
            let row = &model.units[at as usize];
            match column {
                Column::UnitName | Column::Image => Key::Text(Arc::clone(&row.name)),
                Column::Processes => Key::Number(row.processes.into()),
                Column::Cpu => Key::Number(row.recent.into()),
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
                Column::Read => number(row.rates.read, |value| value),
                Column::Write => number(row.rates.written, |value| value),
                _ => Key::Number(0.0),
            }
        }
    }
}

/// Hangs each process below the one that started it. One whose parent is not among the rows stands at the top.
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
    // A ring of parents, as two readings that do not fit together could make, must not hide a row.
    rows.extend((0..items.len()).filter(|&at| !seen[at]).map(|at| PaneRow {
        item: items[at],
        depth: 0,
    }));
    rows
}

/// Hangs each process below its unit.
fn by_unit(model: &Model, items: &[Item], sort: Sort) -> Vec<PaneRow> {
    let mut of_unit: HashMap<&str, Vec<Item>> = HashMap::new();
    for &item in items {
        if let Item::Process(index) = item {
            let row = &model.processes[index as usize];
            of_unit.entry(crate::model::unit_of(row)).or_default().push(item);
        }
    }
    let units = (0u32..).zip(&model.units).map(|(at, _)| Item::Unit(at)).collect();
    let mut rows = Vec::with_capacity(items.len() + model.units.len());
    for unit in sorted(model, units, sort) {
        let Item::Unit(at) = unit else { continue };
        if let Some(processes) = of_unit.get(&*model.units[at as usize].name) {
            rows.push(PaneRow { item: unit, depth: 0 });
            rows.extend(processes.iter().map(|&item| PaneRow { item, depth: 1 }));
        }
    }
    rows
}
