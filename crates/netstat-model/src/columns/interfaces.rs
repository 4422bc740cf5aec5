//! The columns of interface counters.

use super::{Column, Needs, Table, Value, ValueKind};
use crate::counters::{InterfaceCounters, InterfaceMetric, Pair, Traffic};
use crate::{Fact, Why};

/// The table of interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interfaces {}

/// An interface and the rates of its counters.
#[derive(Clone, Copy, Debug)]
pub struct InterfaceRow<'a> {
    /// The counters of the interface.
    pub counters: &'a InterfaceCounters,
    /// The rates per second; `None` if they were not requested.
    pub rates: Option<&'a Traffic<f64>>,
}

impl Table for Interfaces {
    type Row<'a> = InterfaceRow<'a>;

    const ROW: &'static str = "interface";

    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

/// Returns the columns of an interface's counters without those that identify the interface. A sum of interfaces has
/// them as well.
pub fn traffic_columns() -> impl Iterator<Item = &'static Column<Interfaces>> {
    COLUMNS[IDENTITY..].iter().filter(|column| !is_rate(column))
}

/// Whether a column is a rate per second.
pub fn is_rate(column: &Column<Interfaces>) -> bool {
    column.name.ends_with("_per_second")
}

type Get = for<'r, 'a> fn(&'r InterfaceRow<'a>) -> Value<'r>;

const fn column(
    name: &'static str,
    kind: ValueKind,
    unit: &'static str,
    meaning: &'static str,
    get: Get,
) -> Column<Interfaces> {
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

fn total(row: &InterfaceRow<'_>, figure: InterfaceMetric, side: fn(Pair<u64>) -> Fact<u64>) -> Value<'static> {
    Value::number(side(row.counters.traffic.get(figure)))
}

fn rate(row: &InterfaceRow<'_>, figure: InterfaceMetric, side: fn(Pair<f64>) -> Fact<f64>) -> Value<'static> {
    match row.rates.map(|rates| side(rates.get(figure))) {
        Some(Fact::Known(rate)) => Value::Decimal(rate),
        Some(Fact::Unknown(why)) => Value::unknown(why),
        None => Value::unknown(Why::NotAsked),
    }
}

fn mac(row: &InterfaceRow<'_>) -> Value<'static> {
    match row.counters.mac {
        Fact::Known([a, b, c, d, e, f]) => {
            Value::text(format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}").into_bytes())
        }
        // The interface has no Ethernet address.
        Fact::Unknown(Why::NotApplicable) => Value::Nothing,
        Fact::Unknown(why) => Value::unknown(why),
    }
}

/// Defines the column of a counter in one direction.
macro_rules! figure {
    ($figure:ident, $side:ident, $name:literal, $unit:literal, $what:literal) => {
        column($name, ValueKind::Number, $unit, $what, |row| {
            total(row, InterfaceMetric::$figure, |pair| pair.$side)
        })
    };
}

/// Defines the column of a counter's rate per second in one direction.
macro_rules! change {
    ($figure:ident, $side:ident, $name:literal, $unit:literal, $what:literal) => {
        column($name, ValueKind::Decimal, $unit, $what, |row| {
            rate(row, InterfaceMetric::$figure, |pair| pair.$side)
        })
    };
}

/// The number of columns that identify the interface.
const IDENTITY: usize = 4;

#[rustfmt::skip]
static COLUMNS: &[Column<Interfaces>] = &[
        column("name", ValueKind::Text, "", "name of the interface", |row| Value::text(&*row.counters.name)),
        column("index", ValueKind::Number, "", "the system's number for it", |row| Value::number(row.counters.index)),
        column("mac", ValueKind::Text, "", "its Ethernet address; empty where it has none", mac),
        column("loopback", ValueKind::Flag, "", "whether it only leads back to this computer", |row| match row.counters.loopback {
            Fact::Known(is) => Value::Flag(is),
            Fact::Unknown(why) => Value::unknown(why),
        }),
        figure!(Bytes, received, "bytes_received", "bytes", "received: bytes, link headers included"),
        figure!(Bytes, sent, "bytes_sent", "bytes", "sent: bytes, link headers included"),
        figure!(AllPackets, received, "packets_received", "packets", "received: packets of all kinds"),
        figure!(AllPackets, sent, "packets_sent", "packets", "sent: packets of all kinds"),
        figure!(Unicast, received, "unicast_packets_received", "packets", "received: packets addressed to one station"),
        figure!(Unicast, sent, "unicast_packets_sent", "packets", "sent: packets addressed to one station"),
        figure!(NonUnicast, received, "non_unicast_packets_received", "packets", "received: packets addressed to many: broadcast and multicast"),
        figure!(NonUnicast, sent, "non_unicast_packets_sent", "packets", "sent: packets addressed to many: broadcast and multicast"),
        figure!(Discards, received, "discards_received", "packets", "received: packets without a fault that were thrown away"),
        figure!(Discards, sent, "discards_sent", "packets", "sent: packets without a fault that were thrown away"),
        figure!(Errors, received, "errors_received", "packets", "received: packets that were faulty or could not be sent"),
        figure!(Errors, sent, "errors_sent", "packets", "sent: packets that were faulty or could not be sent"),
        figure!(UnknownProtocols, received, "unknown_protocols_received", "packets", "received: packets of a protocol that nobody handles"),
        change!(Bytes, received, "bytes_received_per_second", "bytes/s", "received: bytes, link headers included"),
        change!(Bytes, sent, "bytes_sent_per_second", "bytes/s", "sent: bytes, link headers included"),
        change!(AllPackets, received, "packets_received_per_second", "packets/s", "received: packets of all kinds"),
        change!(AllPackets, sent, "packets_sent_per_second", "packets/s", "sent: packets of all kinds"),
        change!(Unicast, received, "unicast_packets_received_per_second", "packets/s", "received: packets addressed to one station"),
        change!(Unicast, sent, "unicast_packets_sent_per_second", "packets/s", "sent: packets addressed to one station"),
        change!(NonUnicast, received, "non_unicast_packets_received_per_second", "packets/s", "received: packets addressed to many: broadcast and multicast"),
        change!(NonUnicast, sent, "non_unicast_packets_sent_per_second", "packets/s", "sent: packets addressed to many: broadcast and multicast"),
        change!(Discards, received, "discards_received_per_second", "packets/s", "received: packets without a fault that were thrown away"),
        change!(Discards, sent, "discards_sent_per_second", "packets/s", "sent: packets without a fault that were thrown away"),
        change!(Errors, received, "errors_received_per_second", "packets/s", "received: packets that were faulty or could not be sent"),
        change!(Errors, sent, "errors_sent_per_second", "packets/s", "sent: packets that were faulty or could not be sent"),
        change!(UnknownProtocols, received, "unknown_protocols_received_per_second", "packets/s", "received: packets of a protocol that nobody handles"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_columns_read_their_own_metric_and_direction() {
        let mut traffic = Traffic::unknown(Why::NotKept);
        let mut rates = Traffic::unknown(Why::NotKept);
        for (at, figure) in InterfaceMetric::ALL.into_iter().enumerate() {
            let at = at as u64;
            traffic = traffic.with(figure, Fact::Known(10 * at), Fact::Known(10 * at + 1));
            rates = rates.with(figure, Fact::Known((10 * at) as f64), Fact::Known((10 * at + 1) as f64));
        }
        let counters = InterfaceCounters {
            index: Fact::Known(7),
            name: (*b"eth0").into(),
            mac: Fact::Unknown(Why::NotApplicable),
            loopback: Fact::Known(false),
            traffic,
            kinds: Vec::new(),
        };
        let row = InterfaceRow {
            counters: &counters,
            rates: Some(&rates),
        };
        for column in &COLUMNS[IDENTITY..] {
            let bare = column.name.trim_end_matches("_per_second");
            let (name, sent) = match bare.strip_suffix("_sent") {
                Some(name) => (name, 1),
                None => (bare.strip_suffix("_received").expect("a direction"), 0),
            };
            let at = InterfaceMetric::ALL
                .iter()
                .position(|figure| figure.id() == name)
                .expect("a figure") as u64;
            match (column.get)(&row) {
                Value::Number(number) => assert_eq!(number, 10 * at + sent, "{column:?}"),
                Value::Decimal(number) => assert_eq!(number, (10 * at + sent) as f64, "{column:?}"),
                other => panic!("{column:?}: {other:?}"),
            }
        }
        assert_eq!(traffic_columns().count(), 13);
        assert!(matches!((COLUMNS[2].get)(&row), Value::Nothing));
    }
}
