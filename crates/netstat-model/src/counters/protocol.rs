//! The counters of all protocols at one point in time.

#[cfg(feature = "serde")]
use std::collections::BTreeMap;
use std::time::Duration;

use super::classic::{Block, BlockSet, ClassicRow, Kind, LinuxSource};
use super::{Cells, Pair, is_gauge};
use crate::{Fact, Why};

/// Whether the system counts TCP over IPv4 and over IPv6 separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TcpFamilies {
    /// One set for both families, kept in [`Block::Tcpv4`], as on Linux.
    Together,
    /// One set for each family.
    Separate,
}

/// A value under the name that the system gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Metric {
    /// A counter, which only grows.
    Counter(u64),
    /// A gauge, which rises and falls or is a setting. Some are negative (Linux `Tcp MaxConn` is -1 if there is no
    /// limit).
    Gauge(i64),
}

impl Metric {
    /// Whether the value is 0.
    pub const fn is_zero(self) -> bool {
        matches!(self, Metric::Counter(0) | Metric::Gauge(0))
    }

    /// Returns the count, or `None` for a gauge.
    pub const fn counter(self) -> Option<u64> {
        match self {
            Metric::Counter(count) => Some(count),
            Metric::Gauge(_) => None,
        }
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Metric::Counter(value) => f.pad(&value.to_string()),
            Metric::Gauge(value) => f.pad(&value.to_string()),
        }
    }
}

/// A counter in addition to the classic ones.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NamedCounter {
    /// The system's name within the group, such as `ListenDrops`. It comes from outside: escape before printing.
    pub name: Box<str>,
    /// The value; unknown if the text was not a number.
    pub value: Fact<Metric>,
}

/// The counters of one group, in the system's order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CounterGroup {
    /// The system's name, such as `TcpExt`. It comes from outside: escape before printing.
    pub name: Box<str>,
    /// The counters.
    pub counters: Vec<NamedCounter>,
}

impl CounterGroup {
    /// Returns the value with the name `name`; `None` if there is none.
    pub fn get(&self, name: &str) -> Option<Fact<Metric>> {
        self.counters
            .iter()
            .find(|counter| *counter.name == *name)
            .map(|counter| counter.value)
    }

    /// Parses the value of a counter in this group. Text that is not a number becomes unknown.
    ///
    /// The kernel sums signed parts and may print a negative gauge as a number above `i64::MAX`; this is undone.
    pub fn figure(group: &str, name: &str, text: &str) -> Fact<Metric> {
        let figure = if is_gauge(group, name) {
            text.parse::<i64>()
                .or_else(|_| text.parse::<u64>().map(u64::cast_signed))
                .map(Metric::Gauge)
        } else {
            text.parse::<u64>().map(Metric::Counter)
        };
        Fact::from_option(figure.ok(), Why::Failed)
    }
}

/// Returns the blocks that a Linux counter group belongs to. With `-p`, only groups of a selected block are shown. An
/// unknown group belongs to no block and is shown only if all blocks are.
pub fn group_blocks(group: &str) -> BlockSet {
    match group {
        "Ip" | "IpExt" => Block::Ipv4.into(),
        "Ip6" => Block::Ipv6.into(),
        "Icmp" | "IcmpMsg" => Block::Icmpv4.into(),
        "Icmp6" => Block::Icmpv6.into(),
        // Linux has one set of TCP counters for both families.
        "Tcp" | "TcpExt" | "MPTcpExt" => BlockSet::from(Block::Tcpv4).with(Block::Tcpv6),
        "Udp" | "UdpLite" => Block::Udpv4.into(),
        "Udp6" | "UdpLite6" => Block::Udpv6.into(),
        _ => BlockSet::NONE,
    }
}

/// The counters of all protocols at one point in time.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "WrittenStatistics", from = "WrittenStatistics"))]
pub struct ProtocolStatistics {
    /// The time of reading, on a monotonic clock with an arbitrary origin.
    pub at: Duration,
    /// Whether TCP is counted for each family separately.
    pub tcp_families: TcpFamilies,
    /// Every group that was read, under the system's own names and including the classic counters.
    pub groups: Vec<CounterGroup>,
    values: [Vec<Pair<u64>>; 8],
}

/// The serialized form of [`ProtocolStatistics`]: values are written by the ids of block and row, so that files stay
/// readable when rows are added or removed.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct WrittenStatistics {
    at: Duration,
    tcp_families: TcpFamilies,
    groups: Vec<CounterGroup>,
    values: BTreeMap<String, BTreeMap<String, Pair<u64>>>,
}

#[cfg(feature = "serde")]
impl From<ProtocolStatistics> for WrittenStatistics {
    fn from(statistics: ProtocolStatistics) -> Self {
        let rows = |block| {
            statistics
                .rows(block)
                .map(|(row, value)| (row.id.to_owned(), value))
                .collect()
        };
        let values = Block::ALL.map(|block| (block.id().to_owned(), rows(block))).into();
        WrittenStatistics {
            at: statistics.at,
            tcp_families: statistics.tcp_families,
            groups: statistics.groups,
            values,
        }
    }
}

#[cfg(feature = "serde")]
impl From<WrittenStatistics> for ProtocolStatistics {
    fn from(written: WrittenStatistics) -> Self {
        let WrittenStatistics {
            at,
            tcp_families,
            groups,
            values,
        } = written;
        ProtocolStatistics::new(at, tcp_families, groups, |block, row| {
            let value = values.get(block.id()).and_then(|rows| rows.get(row.id));
            value.copied().unwrap_or_else(|| Pair::unknown(Why::NotKept))
        })
    }
}

impl ProtocolStatistics {
    /// Creates the statistics; `value` is called for each classic row.
    pub fn new(
        at: Duration,
        tcp_families: TcpFamilies,
        groups: Vec<CounterGroup>,
        mut value: impl FnMut(Block, &'static ClassicRow) -> Pair<u64>,
    ) -> Self {
        let values = Block::ALL.map(|block| block.rows().iter().map(|row| value(block, row)).collect());
        ProtocolStatistics {
            at,
            tcp_families,
            groups,
            values,
        }
    }

    /// Returns an iterator over the classic rows of `block` and their values, in order.
    pub fn rows(&self, block: Block) -> impl Iterator<Item = (&'static ClassicRow, Pair<u64>)> {
        block.rows().iter().zip(self.values[block.index()].iter().copied())
    }

    /// Returns the value of a classic row by its id; `None` if the block has no such row.
    pub fn get(&self, block: Block, id: &str) -> Option<Pair<u64>> {
        self.rows(block).find(|(row, _)| row.id == id).map(|(_, value)| value)
    }

    /// Sets the number of connections that are currently ESTABLISHED or CLOSE_WAIT (RFC 4022 tcpCurrEstab), which the
    /// caller has counted from the sockets of each family.
    pub fn set_current_connections(&mut self, ipv4: Fact<u64>, ipv6: Fact<u64>) {
        for (block, count) in [(Block::Tcpv4, ipv4), (Block::Tcpv6, ipv6)] {
            for (row, value) in block.rows().iter().zip(&mut self.values[block.index()]) {
                if matches!(row.cells, Cells::One(LinuxSource::Sockets)) {
                    value.received = count;
                }
            }
        }
    }

    /// Returns the group with the name `name`; `None` if there is none.
    pub fn group(&self, name: &str) -> Option<&CounterGroup> {
        self.groups.iter().find(|group| *group.name == *name)
    }

    /// Whether a named counter alone is the value of a classic row, so that showing it again would add nothing.
    pub fn is_classic(group: &str, name: &str) -> bool {
        let is = |source| matches!(source, LinuxSource::Named(g, n) if g == group && n == name);
        group_blocks(group)
            .iter()
            .flat_map(Block::rows)
            .any(|row| match row.cells {
                Cells::One(source) => is(source),
                Cells::Two { received, sent } => is(received) || is(sent),
            })
    }

    pub(super) fn values(&self, block: Block) -> &[Pair<u64>] {
        &self.values[block.index()]
    }

    pub(super) fn is_counter(row: &ClassicRow) -> bool {
        row.kind == Kind::Counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_text_negative_is_read_for_gauges_only() {
        assert_eq!(
            CounterGroup::figure("Tcp", "MaxConn", "-1"),
            Fact::Known(Metric::Gauge(-1))
        );
        assert_eq!(
            CounterGroup::figure("MPTcpExt", "MPCurrEstab", "18446744073709551614"),
            Fact::Known(Metric::Gauge(-2))
        );
        assert_eq!(
            CounterGroup::figure("Tcp", "InSegs", "18446744073709551615"),
            Fact::Known(Metric::Counter(u64::MAX))
        );
        for text in ["-1", "", "1.5", "18446744073709551616", "x"] {
            assert_eq!(
                CounterGroup::figure("Tcp", "InSegs", text),
                Fact::Unknown(Why::Failed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn current_connections_are_kept_per_address_family() {
        let mut statistics = ProtocolStatistics::new(Duration::ZERO, TcpFamilies::Together, Vec::new(), |_, _| {
            Pair::unknown(Why::NotKept)
        });
        statistics.set_current_connections(Fact::Known(3), Fact::Known(5));
        let of = |block| statistics.get(block, "current_connections").map(|value| value.received);
        assert_eq!(of(Block::Tcpv4), Some(Fact::Known(3)));
        assert_eq!(of(Block::Tcpv6), Some(Fact::Known(5)));
        assert_eq!(
            statistics
                .get(Block::Tcpv6, "segments_sent")
                .map(|value| value.received),
            Some(Fact::Unknown(Why::NotKept))
        );
    }

    #[test]
    fn classic_counter_names_are_told_from_further_ones() {
        assert!(ProtocolStatistics::is_classic("Ip6", "OutForwDatagrams"));
        assert!(ProtocolStatistics::is_classic("Icmp", "OutEchos"));
        // These are only part of a classic value, or of none at all.
        assert!(!ProtocolStatistics::is_classic("Icmp6", "InMLDv2Reports"));
        assert!(!ProtocolStatistics::is_classic("Tcp", "CurrEstab"));
        assert!(!ProtocolStatistics::is_classic("TcpExt", "InSegs"));
    }
}
