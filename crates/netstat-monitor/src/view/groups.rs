//! Groups sockets by program, unit, container, or properties of the remote address.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use netstat_model::metrics::ProcessKey;
use netstat_model::text::escape;
use netstat_model::{Component, Endpoint, Fact, Why};

use super::{Arrangement, Key, Table};
use crate::model::{Item, Model, PaneRow, Presence, ProcessRow};
use crate::pane::{Column, Grouping, Source};
use crate::sample::{Holder, SocketRow};

/// A group of sockets.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The common property, safe to print.
    pub(crate) label: Arc<str>,
    /// The remote endpoint, if it is the common property.
    pub(crate) peer: Option<Endpoint>,
    /// The number of open sockets.
    pub(crate) sockets: u32,
    /// Short connections per second.
    pub(crate) brief: f64,
    /// Bytes sent per second; unknown if the traffic of no socket is counted.
    pub(crate) sent: Fact<f64>,
    /// Bytes received per second; unknown if the traffic of no socket is counted.
    pub(crate) received: Fact<f64>,
    /// The number of processes that hold the sockets.
    pub(crate) processes: u32,
    /// The process, if there is only one.
    pub(crate) process: Option<ProcessKey>,
    /// The number of remote addresses.
    pub(crate) peers: u32,
    /// Whether its members are shown.
    pub(crate) open: bool,
}

impl Group {
    /// Returns the sum of both directions.
    pub(crate) fn total(&self) -> Fact<f64> {
        super::sum(self.sent, self.received)
    }

    fn key(&self, column: Column) -> Key {
        match column {
            Column::Image => Key::Text(Arc::clone(&self.label)),
            Column::Pid => Key::Number(self.process.map_or(-1.0, |key| key.pid.into())),
            Column::Send => super::number(self.sent, |rate| rate),
            Column::Receive => super::number(self.received, |rate| rate),
            Column::NetworkTotal => super::number(self.total(), |rate| rate),
            _ => Key::Number(self.sockets.into()),
        }
    }
}

/// Whether sockets of `source` can be grouped this way; a listener has no remote address.
pub(super) fn applies(grouping: Grouping, source: Source) -> bool {
    match grouping {
        Grouping::None => false,
        Grouping::Program | Grouping::Unit | Grouping::Container => true,
        Grouping::Peer | Grouping::Network | Grouping::Country | Grouping::System => source != Source::Listeners,
    }
}

#[derive(Default)]
struct Members {
    items: Vec<Item>,
    processes: HashSet<ProcessKey>,
    peers: HashSet<IpAddr>,
    peer: Option<Endpoint>,
    sockets: u32,
    brief: f64,
    sent: Option<f64>,
    received: Option<f64>,
}

/// Returns the groups in order, each followed by its members if they are shown.
pub(super) fn table(model: &Model, items: &[Item], how: &Arrangement<'_>) -> Table {
    let mut found: HashMap<Arc<str>, Members> = HashMap::new();
    for &item in items.iter().filter(|item| item.presence(model) != Presence::Gone) {
        let (row, brief) = match item {
            Item::Socket(at) => (model.sockets.row(at as usize), None),
            Item::Brief(at) => {
                let brief = &model.sockets.brief[at as usize];
                (&brief.row, Some(brief))
            }
            _ => continue,
        };
        let name = brief.and_then(|brief| brief.name.clone());
        let members = found.entry(label(model, row, name, how)).or_default();
        members.items.push(item);
        members.processes.extend(row.process());
        members.peers.insert(row.foreign.address.to_canonical());
        members.peer = Some(row.foreign);
        let (sent, received) = match (item, brief) {
            (_, Some(brief)) => {
                members.brief += brief.per_second;
                (brief.sent, brief.received)
            }
            (Item::Socket(at), None) => {
                members.sockets += 1;
                let flow = model.sockets.flow(at as usize);
                (flow.sent.map(f64::from), flow.received.map(f64::from))
            }
            _ => continue,
        };
        for (sum, rate) in [(&mut members.sent, sent), (&mut members.received, received)] {
            if let Fact::Known(rate) = rate {
                *sum = Some(sum.unwrap_or(0.0) + rate);
            }
        }
    }
    let mut groups: Vec<(Group, Vec<Item>)> = found
        .into_iter()
        .map(|(label, members)| group(label, members, how))
        .collect();
    groups.sort_by(|(a, _), (b, _)| {
        let (x, y) = (a.key(how.sort.column), b.key(how.sort.column));
        let order = if how.sort.falling { y.compare(&x) } else { x.compare(&y) };
        order.then_with(|| a.label.cmp(&b.label))
    });
    let mut table = Table::default();
    for (group, items) in groups {
        let open = group.open;
        let at = u32::try_from(table.groups.len()).unwrap_or(u32::MAX);
        table.groups.push(group);
        table.rows.push(PaneRow {
            item: Item::Group(at),
            depth: 0,
        });
        if open {
            table
                .rows
                .extend(items.into_iter().map(|item| PaneRow { item, depth: 1 }));
        }
    }
    table
}

fn group(label: Arc<str>, members: Members, how: &Arrangement<'_>) -> (Group, Vec<Item>) {
    let rate = |sum: Option<f64>| Fact::from_option(sum, Why::NotKept);
    let group = Group {
        open: how.open.contains(&label),
        label,
        peer: members.peer.filter(|_| how.grouping == Grouping::Peer),
        sockets: members.sockets,
        brief: members.brief,
        sent: rate(members.sent),
        received: rate(members.received),
        processes: u32::try_from(members.processes.len()).unwrap_or(u32::MAX),
        process: match members.processes.len() {
            1 => members.processes.into_iter().next(),
            _ => None,
        },
        peers: u32::try_from(members.peers.len()).unwrap_or(u32::MAX),
    };
    (group, members.items)
}

fn label(model: &Model, row: &SocketRow, name: Option<Arc<str>>, how: &Arrangement<'_>) -> Arc<str> {
    let process = row.process().and_then(|key| model.process(key));
    let nobody = || -> Arc<str> {
        match row.holder {
            Holder::None(why) => format!("({})", why.words()).into(),
            Holder::Pending => "(unknown yet)".into(),
            Holder::Process(_) => "(ended)".into(),
        }
    };
    match how.grouping {
        Grouping::None | Grouping::Program => match (process, name) {
            (Some(process), _) => Arc::clone(&process.text.name),
            (None, Some(name)) => name,
            (None, None) => nobody(),
        },
        Grouping::Unit => process.map_or_else(nobody, |process| crate::model::unit_of(process).into()),
        Grouping::Container => process.map_or_else(nobody, container),
        Grouping::Peer => row.foreign.address.to_canonical().to_string().into(),
        Grouping::Network => network(row.foreign.address).into(),
        Grouping::Country => how.places.country_label(row.foreign.address),
        Grouping::System => how.places.system_label(row.foreign.address),
    }
}

fn container(process: &ProcessRow) -> Arc<str> {
    let components = process
        .identity
        .components
        .as_ref()
        .known()
        .map_or(&[][..], Vec::as_slice);
    let innermost = components.iter().rev().find_map(|component| match component {
        Component::Container { runtime, id } => Some(format!("{} {}", runtime.name(), escape(id))),
        Component::Unit { .. } | Component::Service { .. } | Component::Package { .. } => None,
    });
    innermost.map_or_else(|| "(no container)".into(), Into::into)
}

/// Returns the network of an address: /24 for IPv4, /64 for IPv6.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("{}/24", Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
        IpAddr::V6(v6) => format!("{}/64", Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_of_address_has_prefix_24_or_64() {
        assert_eq!(network([10, 8, 3, 200].into()), "10.8.3.0/24");
        assert_eq!(network("::ffff:10.8.3.200".parse().unwrap()), "10.8.3.0/24");
        assert_eq!(network("2001:db8:1:2:3::9".parse().unwrap()), "2001:db8:1:2::/64");
    }
}
