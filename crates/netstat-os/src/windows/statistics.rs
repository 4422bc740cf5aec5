//! Parses the protocol counters (`GetIpStatisticsEx`, `GetIcmpStatisticsEx`, `GetTcpStatisticsEx2`,
//! `GetUdpStatisticsEx2`).

use std::collections::HashMap;
use std::time::Duration;

use netstat_model::counters::{Block, ClassicRow, Pair, ProtocolStatistics, TcpFamilies};
use netstat_model::{Fact, Why};

use super::bytes::{u32_at, u64_at};

/// The structures that the system filled for one address family; `None` if the call failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// `MIB_IPSTATS_LH`.
    pub ip: Option<Vec<u8>>,
    /// `MIB_ICMP_EX_XPSP1`.
    pub icmp: Option<Vec<u8>>,
    /// TCP.
    pub tcp: Option<Wide>,
    /// UDP.
    pub udp: Option<Wide>,
}

/// A structure that newer systems provide with wider counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wide {
    /// With 32-bit counters, which wrap around to 0 after 4,294,967,295 (`MIB_TCPSTATS_LH`, `MIB_UDPSTATS`).
    Narrow(Vec<u8>),
    /// With 64-bit counters where it matters (`MIB_TCPSTATS2`, `MIB_UDPSTATS2`; Windows 10 1709).
    Wide(Vec<u8>),
}

type Values = HashMap<&'static str, (Option<u64>, Option<u64>)>;

fn one(value: Option<u64>) -> (Option<u64>, Option<u64>) {
    (value, None)
}

fn word(bytes: &[u8], number: usize) -> Option<u64> {
    u32_at(bytes, number * 4).map(u64::from)
}

/// The counters in `MIB_IPSTATS_LH`, by the index of the 32-bit word.
fn ip(bytes: &[u8]) -> Values {
    [
        ("packets_received", 2),
        ("received_header_errors", 3),
        ("received_address_errors", 4),
        ("datagrams_forwarded", 5),
        ("unknown_protocols_received", 6),
        ("received_packets_discarded", 7),
        ("received_packets_delivered", 8),
        ("output_requests", 9),
        ("routing_discards", 10),
        ("discarded_output_packets", 11),
        ("output_packet_no_route", 12),
        ("reassembly_required", 14),
        ("reassembly_successful", 15),
        ("reassembly_failures", 16),
        ("datagrams_fragmented", 17),
        ("datagrams_failing_fragmentation", 18),
        ("fragments_created", 19),
    ]
    .into_iter()
    .map(|(id, number)| (id, one(word(bytes, number))))
    .collect()
}

/// The number of words for one direction: messages, errors, and the counts of the 256 types. First come those received,
/// then those sent.
const ICMP_HALF: usize = 258;

fn icmp(bytes: &[u8], types: &[(&'static str, &[usize])]) -> Values {
    let both = |number: usize| (word(bytes, number), word(bytes, ICMP_HALF + number));
    let mut values: Values = HashMap::from([("messages", both(0)), ("errors", both(1))]);
    for &(id, kinds) in types {
        let sum = |half: usize| {
            kinds
                .iter()
                .try_fold(0u64, |sum, kind| Some(sum + word(bytes, half + 2 + kind)?))
        };
        values.insert(id, (sum(0), sum(ICMP_HALF)));
    }
    values
}

/// The types of ICMP (RFC 792, RFC 950, RFC 1256).
const ICMP4_TYPES: [(&str, &[usize]); 13] = [
    ("destination_unreachable", &[3]),
    ("time_exceeded", &[11]),
    ("parameter_problems", &[12]),
    ("source_quenches", &[4]),
    ("redirects", &[5]),
    ("echo_replies", &[0]),
    ("echos", &[8]),
    ("timestamps", &[13]),
    ("timestamp_replies", &[14]),
    ("address_masks", &[17]),
    ("address_mask_replies", &[18]),
    ("router_solicitations", &[10]),
    ("router_advertisements", &[9]),
];

/// The types of ICMPv6 (RFC 4443, RFC 4861, RFC 2710, RFC 3810, RFC 2894).
const ICMP6_TYPES: [(&str, &[usize]); 15] = [
    ("destination_unreachable", &[1]),
    ("packet_too_big", &[2]),
    ("time_exceeded", &[3]),
    ("parameter_problems", &[4]),
    ("echos", &[128]),
    ("echo_replies", &[129]),
    ("mld_queries", &[130]),
    ("mld_reports", &[131, 143]),
    ("mld_dones", &[132]),
    ("router_solicitations", &[133]),
    ("router_advertisements", &[134]),
    ("neighbor_solicitations", &[135]),
    ("neighbor_advertisements", &[136]),
    ("redirects", &[137]),
    ("router_renumberings", &[138]),
];

fn tcp(table: &Wide) -> Values {
    let (bytes, received, sent, again) = match table {
        Wide::Narrow(bytes) => (bytes, word(bytes, 9), word(bytes, 10), word(bytes, 11)),
        // Two 64-bit counters at offset 40.
        Wide::Wide(bytes) => (bytes, u64_at(bytes, 40), u64_at(bytes, 48), word(bytes, 14)),
    };
    HashMap::from([
        ("active_opens", one(word(bytes, 4))),
        ("passive_opens", one(word(bytes, 5))),
        ("failed_connection_attempts", one(word(bytes, 6))),
        ("reset_connections", one(word(bytes, 7))),
        ("current_connections", one(word(bytes, 8))),
        ("segments_received", one(received)),
        ("segments_sent", one(sent)),
        ("segments_retransmitted", one(again)),
    ])
}

fn udp(table: &Wide) -> Values {
    let [received, no_ports, errors, sent] = match table {
        Wide::Narrow(bytes) => [word(bytes, 0), word(bytes, 1), word(bytes, 2), word(bytes, 3)],
        Wide::Wide(bytes) => [u64_at(bytes, 0), word(bytes, 2), word(bytes, 3), u64_at(bytes, 16)],
    };
    HashMap::from([
        ("datagrams_received", one(received)),
        ("no_ports", one(no_ports)),
        ("receive_errors", one(errors)),
        ("datagrams_sent", one(sent)),
    ])
}

/// Returns the statistics of both families, IPv4 first. `tcp6_differs` is whether TCP over IPv6 is counted separately
/// (Wine returns the counters of IPv4).
pub fn statistics(at: Duration, families: &[Tables; 2], tcp6_differs: bool) -> ProtocolStatistics {
    let [v4, v6] = families;
    let mut values: HashMap<Block, Values> = HashMap::new();
    let mut put = |block, read: Option<Values>| {
        if let Some(read) = read {
            values.insert(block, read);
        }
    };
    put(Block::Ipv4, v4.ip.as_deref().map(ip));
    put(Block::Ipv6, v6.ip.as_deref().map(ip));
    put(Block::Icmpv4, v4.icmp.as_deref().map(|bytes| icmp(bytes, &ICMP4_TYPES)));
    put(Block::Icmpv6, v6.icmp.as_deref().map(|bytes| icmp(bytes, &ICMP6_TYPES)));
    put(Block::Tcpv4, v4.tcp.as_ref().map(tcp));
    if tcp6_differs {
        put(Block::Tcpv6, v6.tcp.as_ref().map(tcp));
    }
    put(Block::Udpv4, v4.udp.as_ref().map(udp));
    put(Block::Udpv6, v6.udp.as_ref().map(udp));
    let fact = |value: Option<u64>| Fact::from_option(value, Why::Failed);
    let value = |block: Block, row: &'static ClassicRow| match values.get(&block) {
        None => Pair::unknown(Why::NotSupported),
        Some(values) => match values.get(row.id) {
            None => Pair::unknown(Why::NotKept),
            Some(&(received, sent)) => Pair {
                received: fact(received),
                sent: match sent {
                    Some(_) => fact(sent),
                    None => Fact::Unknown(Why::NotApplicable),
                },
            },
        },
    };
    ProtocolStatistics::new(at, TcpFamilies::Separate, Vec::new(), value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(count: usize) -> Vec<u8> {
        (0..count as u32)
            .flat_map(|number| (1000 + number).to_le_bytes())
            .collect()
    }

    #[test]
    fn every_classic_row_has_its_figure() {
        let table = || Tables {
            ip: Some(words(23)),
            icmp: Some(words(2 * ICMP_HALF)),
            tcp: Some(Wide::Narrow(words(15))),
            udp: Some(Wide::Narrow(words(5))),
        };
        let found = statistics(Duration::ZERO, &[table(), table()], true);
        for block in Block::ALL {
            for (row, value) in found.rows(block) {
                assert!(value.received.known().is_some(), "{block:?} {}", row.id);
            }
        }
        let get = |block, id: &str| found.get(block, id).unwrap().received.known().unwrap();
        assert_eq!(get(Block::Ipv4, "fragments_created"), 1019);
        assert_eq!(get(Block::Tcpv6, "segments_retransmitted"), 1011);
        assert_eq!(get(Block::Udpv4, "datagrams_sent"), 1003);
        assert_eq!(get(Block::Icmpv4, "echos"), 1000 + 2 + 8);
        let mld = found.get(Block::Icmpv6, "mld_reports").unwrap();
        assert_eq!(mld.sent.known(), Some(2 * (1000 + 258 + 2) + 131 + 143));
    }

    #[test]
    fn wide_counters_are_taken_where_offered() {
        let mut bytes = words(18);
        bytes[40..48].copy_from_slice(&(1u64 << 40).to_le_bytes());
        let wide = Tables {
            tcp: Some(Wide::Wide(bytes)),
            ..Tables::default()
        };
        let found = statistics(Duration::ZERO, &[wide.clone(), wide], false);
        assert_eq!(
            found.get(Block::Tcpv4, "segments_received").unwrap().received,
            Fact::Known(1 << 40)
        );
        assert_eq!(
            found.get(Block::Tcpv4, "segments_retransmitted").unwrap().received,
            Fact::Known(1014)
        );
        // Must not be the counters of the other family under another name.
        let v6 = found.get(Block::Tcpv6, "segments_received").unwrap().received;
        assert_eq!(v6, Fact::Unknown(Why::NotSupported));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let tables = Tables {
                ip: Some(bytes.clone()),
                icmp: Some(bytes.clone()),
                tcp: Some(Wide::Wide(bytes.clone())),
                udp: Some(Wide::Wide(bytes)),
            };
            let _ = statistics(Duration::ZERO, &[tables.clone(), tables], true);
        }
    }
}
