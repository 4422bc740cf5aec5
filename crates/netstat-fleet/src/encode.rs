//! Encodes the rows of a record as blocks for the tables of the fleet.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};

use flate2::Compression;
use flate2::write::GzEncoder;
use netstat_model::{Direction, Fact, Family, Protocol};
use netstat_record::{FirstSeen, Flow, Gap, Novelty, Process, SegmentKind, SegmentRows};

use crate::identity::HostId;
use crate::native::Block;

/// How much detail about connections is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Every connection.
    #[default]
    Flows,
    /// Totals of the connections that ended in the same minute, by program, foreign network, port, direction and
    /// protocol.
    Sums,
}

/// The types of the columns, as declared in the tables.
const PROTOCOL: &str = "Enum8('TCP' = 6, 'UDP' = 17)";
const FAMILY: &str = "Enum8('IPv4' = 4, 'IPv6' = 6)";
const DIRECTION: &str = "Enum8('unknown' = 0, 'out' = 1, 'in' = 2, 'listen' = 3)";
const TIME: &str = "DateTime64(3, 'UTC')";

/// Encodes the bodies of segments.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The computer that the rows belong to.
    pub host_id: HostId,
    /// The name of the computer.
    pub host: Vec<u8>,
    /// How much detail about connections is sent.
    pub detail: Detail,
}

/// Returns an address in the form used in the tables: IPv4 addresses are mapped to IPv6.
pub(crate) fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Returns the network that an address is counted under: the /24 for IPv4 and the /48 for IPv6, as in the sightings of
/// the record.
pub(crate) fn network(address: IpAddr) -> Ipv6Addr {
    let mut octets = mapped(address.to_canonical()).octets();
    let kept = if address.to_canonical().is_ipv4() { 15 } else { 6 };
    octets[kept..].fill(0);
    Ipv6Addr::from(octets)
}

pub(crate) fn protocol(protocol: Protocol) -> u8 {
    if protocol == Protocol::Udp { 17 } else { 6 }
}

impl Encoder {
    /// Encodes the body of a segment: a block in the format Native, compressed with gzip. `None` if nothing in it is to
    /// be sent.
    pub fn encode(&self, rows: SegmentRows<'_>, number: u64) -> Option<(SegmentKind, Vec<u8>)> {
        let (kind, block) = match (rows, self.detail) {
            (SegmentRows::Flows(flows), Detail::Flows) => (SegmentKind::Flows, self.flows(flows, number)),
            (SegmentRows::Flows(flows), Detail::Sums) => (SegmentKind::Sums, self.sums(flows, number)?),
            (SegmentRows::Sightings(seen), _) => (SegmentKind::Sightings, self.sightings(seen)),
            (SegmentRows::Gaps(gaps), _) => (SegmentKind::Gaps, self.gaps(gaps)),
        };
        Some((kind, compressed(&block)))
    }

    fn start(&self, rows: usize) -> Block {
        let mut block = Block::new(rows);
        block.fixed("host_id", "UInt64", std::iter::repeat(self.host_id.to_le_bytes()));
        block.text("host", std::iter::repeat(self.host.as_slice()));
        block
    }

    fn flows(&self, flows: &[Flow], number: u64) -> Vec<u8> {
        let mut block = self.start(flows.len());
        let each = || flows.iter();
        let revision = u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        block.text("boot", each().map(|flow| flow.boot.boot_id.as_bytes()));
        block.fixed("flow", "UInt64", each().map(|flow| (flow.id as u64).to_le_bytes()));
        block.fixed("revision", "UInt32", std::iter::repeat(revision));
        block.fixed("first", TIME, each().map(|flow| flow.first.to_le_bytes()));
        block.fixed("span", "UInt64", each().map(|flow| flow.duration().to_le_bytes()));
        block.fixed("closed", "Bool", each().map(|flow| [u8::from(flow.closed)]));
        block.fixed("begun", "Bool", each().map(|flow| [u8::from(flow.begun)]));
        block.fixed("protocol", PROTOCOL, each().map(|flow| [protocol(flow.protocol)]));
        let family = |flow: &Flow| [if flow.family == Family::V6 { 6 } else { 4 }];
        block.fixed("family", FAMILY, each().map(family));
        block.fixed("direction", DIRECTION, each().map(|flow| [flow.direction.number()]));
        block.text("state", each().map(|flow| flow.state.name().as_bytes()));
        block.text("learned", each().map(|flow| flow.origin.name().as_bytes()));
        block.fixed(
            "local_address",
            "IPv6",
            each().map(|flow| mapped(flow.local.0).octets()),
        );
        block.fixed("local_port", "UInt16", each().map(|flow| flow.local.1.to_le_bytes()));
        block.fixed(
            "foreign_address",
            "IPv6",
            each().map(|flow| mapped(flow.foreign.0).octets()),
        );
        block.fixed(
            "foreign_port",
            "UInt16",
            each().map(|flow| flow.foreign.1.to_le_bytes()),
        );
        processes(&mut block, flows);
        block.nullable("user", "UInt32", each().map(|flow| number4(flow.user)));
        block.nullable("namespace", "UInt32", each().map(|flow| number4(flow.namespace)));
        block.nullable("sent", "UInt64", each().map(|flow| number8(flow.sent)));
        block.nullable("received", "UInt64", each().map(|flow| number8(flow.received)));
        block.nullable("retransmits", "UInt32", each().map(|flow| number4(flow.retransmits)));
        block.nullable("rtt", "UInt32", each().map(|flow| number4(flow.rtt)));
        block.text(
            "asked_name",
            each().map(|flow| flow.asked_name.as_deref().unwrap_or_default()),
        );
        block.finish()
    }

    /// Encodes totals. Each connection counts in the minute in which it ended; those that are still open count when
    /// they end.
    fn sums(&self, flows: &[Flow], number: u64) -> Option<Vec<u8>> {
        const MINUTE: i64 = 60_000;
        type Key<'a> = (i64, &'a [u8], Ipv6Addr, u16, u8, u8);
        let mut sums: BTreeMap<Key<'_>, [u64; 3]> = BTreeMap::new();
        for flow in flows.iter().filter(|flow| flow.closed) {
            let port = match flow.direction {
                Direction::Incoming | Direction::Listening => flow.local.1,
                _ => flow.foreign.1,
            };
            let key = (
                flow.last.div_euclid(MINUTE) * MINUTE,
                program(flow),
                network(flow.foreign.0),
                port,
                flow.direction.number(),
                protocol(flow.protocol),
            );
            let sum = sums.entry(key).or_default();
            sum[0] += 1;
            sum[1] = sum[1].saturating_add(flow.sent.known().unwrap_or(0));
            sum[2] = sum[2].saturating_add(flow.received.known().unwrap_or(0));
        }
        if sums.is_empty() {
            return None;
        }
        let mut block = self.start(sums.len());
        block.fixed("segment", "UInt64", std::iter::repeat(number.to_le_bytes()));
        block.fixed(
            "minute",
            "DateTime('UTC')",
            sums.keys().map(|key| seconds(key.0).to_le_bytes()),
        );
        block.text("program", sums.keys().map(|key| key.1));
        block.fixed("network", "IPv6", sums.keys().map(|key| key.2.octets()));
        block.fixed("port", "UInt16", sums.keys().map(|key| key.3.to_le_bytes()));
        block.fixed("direction", DIRECTION, sums.keys().map(|key| [key.4]));
        block.fixed("protocol", PROTOCOL, sums.keys().map(|key| [key.5]));
        for (at, name) in ["flows", "sent", "received"].iter().enumerate() {
            block.fixed(name, "UInt64", sums.values().map(|sum| sum[at].to_le_bytes()));
        }
        Some(block.finish())
    }

    fn sightings(&self, seen: &[FirstSeen]) -> Vec<u8> {
        let mut block = self.start(seen.len());
        let values: Vec<(u8, u16, Ipv6Addr)> = seen.iter().map(|one| novelty(one.what)).collect();
        block.text(
            "program",
            seen.iter().map(|one| one.program.path.as_deref().unwrap_or_default()),
        );
        block.text("program_name", seen.iter().map(|one| one.program.name.as_slice()));
        block.fixed("kind", KIND, values.iter().map(|value| [value.0]));
        block.fixed("port", "UInt16", values.iter().map(|value| value.1.to_le_bytes()));
        block.fixed("network", "IPv6", values.iter().map(|value| value.2.octets()));
        block.fixed("first", TIME, seen.iter().map(|one| one.first.to_le_bytes()));
        block.finish()
    }

    fn gaps(&self, gaps: &[Gap]) -> Vec<u8> {
        let mut block = self.start(gaps.len());
        block.fixed("since", TIME, gaps.iter().map(|gap| gap.since.to_le_bytes()));
        block.fixed("until", TIME, gaps.iter().map(|gap| gap.until.to_le_bytes()));
        block.text("reason", gaps.iter().map(|gap| gap.reason.as_bytes()));
        block.nullable("lost", "UInt64", gaps.iter().map(|gap| gap.lost.map(u64::to_le_bytes)));
        block.finish()
    }
}

/// The kinds of sightings, with the numbers that the record uses.
const KIND: &str = "Enum8('program' = 0, 'port' = 1, 'network' = 2, 'listens' = 3)";

fn novelty(what: Novelty) -> (u8, u16, Ipv6Addr) {
    match what {
        Novelty::Program => (0, 0, Ipv6Addr::UNSPECIFIED),
        Novelty::Port(port) => (1, port, Ipv6Addr::UNSPECIFIED),
        Novelty::Network(network) => (2, 0, mapped(network.address())),
        Novelty::Listens(port) => (3, port, Ipv6Addr::UNSPECIFIED),
    }
}

/// Adds the columns about the process. A `pid` of 0 means that it is unknown.
fn processes(block: &mut Block, flows: &[Flow]) {
    let each = || flows.iter().map(|flow| flow.process.as_deref());
    fn text(process: Option<&Process>, of: impl Fn(&Process) -> Option<&[u8]>) -> &[u8] {
        process.and_then(of).unwrap_or_default()
    }
    block.fixed(
        "pid",
        "UInt32",
        each().map(|process| process.map_or(0, |process| process.pid).to_le_bytes()),
    );
    let start = |process: Option<&Process>| process.and_then(|process| process.start_ticks).map(u64::to_le_bytes);
    block.nullable("process_start", "UInt64", each().map(start));
    block.text(
        "program",
        each().map(|process| text(process, |process| process.program.path.as_deref())),
    );
    block.text(
        "program_name",
        each().map(|process| text(process, |process| Some(&process.program.name))),
    );
    block.text(
        "script",
        each().map(|process| text(process, |process| process.script.as_deref())),
    );
    block.text(
        "unit",
        each().map(|process| text(process, |process| process.unit.as_deref())),
    );
    block.text(
        "container",
        each().map(|process| text(process, |process| process.container.as_deref())),
    );
    block.text(
        "container_name",
        each().map(|process| text(process, |process| process.container_name.as_deref())),
    );
    let command = |process: Option<&Process>| process.and_then(|process| process.command).map(u64::to_le_bytes);
    block.nullable("command", "UInt64", each().map(command));
}

/// Returns the path of a flow's program, or its short name if the path is unknown.
fn program(flow: &Flow) -> &[u8] {
    flow.process.as_ref().map_or(&[], |process| {
        process.program.path.as_deref().unwrap_or(&process.program.name)
    })
}

fn number4(fact: Fact<u32>) -> Option<[u8; 4]> {
    fact.known().map(u32::to_le_bytes)
}

fn number8(fact: Fact<u64>) -> Option<[u8; 8]> {
    fact.known().map(u64::to_le_bytes)
}

/// Returns seconds since 1970 in the range of ClickHouse's `DateTime`, which ends in 2106.
fn seconds(millis: i64) -> u32 {
    u32::try_from(millis / 1000).unwrap_or(if millis < 0 { 0 } else { u32::MAX })
}

/// Compresses `block` with gzip (level 4 results in 10% more data than level 6, in a third of the time).
pub(crate) fn compressed(block: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(block.len() / 4 + 64), Compression::new(4));
    // Writing into memory does not fail.
    let _ = encoder.write_all(block);
    encoder.finish().unwrap_or_default()
}

/// Encodes the row that describes the state of a computer's sender.
pub(crate) fn host_row(encoder: &Encoder, boot: &str, now: i64, spool: (u64, u64)) -> Vec<u8> {
    let mut block = encoder.start(1);
    block.text("version", std::iter::once(env!("CARGO_PKG_VERSION").as_bytes()));
    block.text("boot", std::iter::once(boot.as_bytes()));
    block.fixed("last_sent", TIME, std::iter::once(now.to_le_bytes()));
    block.fixed("spool_rows", "UInt64", std::iter::once(spool.0.to_le_bytes()));
    block.fixed("lost", "UInt64", std::iter::once(spool.1.to_le_bytes()));
    compressed(&block.finish())
}

/// A finding of an audit, as sent to the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingRow {
    /// The name of the rule.
    pub rule: String,
    /// The severity in lower case.
    pub severity: String,
    /// The path of the program; empty if the finding is about the computer.
    pub program: String,
    /// The hexadecimal SHA-256 of the executable file; empty if it is unknown.
    pub digest: String,
    /// The subject of the finding, if that is not a program.
    pub subject: String,
    /// All other fields, as JSON.
    pub document: String,
}

/// Encodes the findings of an audit that was made at `now`.
pub(crate) fn finding_rows(host_id: HostId, host: &[u8], now: i64, rows: &[FindingRow]) -> Vec<u8> {
    let encoder = Encoder {
        host_id,
        host: host.to_vec(),
        detail: Detail::Flows,
    };
    let mut block = encoder.start(rows.len());
    type Column = (&'static str, fn(&FindingRow) -> &str);
    let columns: [Column; 6] = [
        ("rule", |row| &row.rule),
        ("severity", |row| &row.severity),
        ("program", |row| &row.program),
        ("digest", |row| &row.digest),
        ("subject", |row| &row.subject),
        ("document", |row| &row.document),
    ];
    for (name, of) in columns {
        block.text(name, rows.iter().map(|row| of(row).as_bytes()));
    }
    block.fixed("seen", TIME, std::iter::repeat(now.to_le_bytes()));
    compressed(&block.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_of_addresses_keeps_24_or_48_bits() {
        for (address, expected) in [
            ("203.0.113.9", "::ffff:203.0.113.0"),
            ("::ffff:203.0.113.9", "::ffff:203.0.113.0"),
            ("2001:db8:1:2::3", "2001:db8:1::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(network(address), expected.parse::<Ipv6Addr>().unwrap(), "{address}");
        }
    }

    #[test]
    fn seconds_outside_of_the_type_stay_at_its_ends() {
        assert_eq!(seconds(-1), 0);
        assert_eq!(seconds(1_999), 1);
        assert_eq!(seconds(i64::MAX), u32::MAX);
    }
}
