//! Whom the packet filters let through to a port: the query for a socket, and a description of the answer.

use std::net::{IpAddr, Ipv4Addr};

use netstat_model::packet_filter::{Arrival, Condition, FilterPath, FilterVerdict, PacketFilter};
use netstat_model::{Fact, Family, Protocol, Socket};

/// How the packet filters treat traffic from outside, for each address family that a socket accepts.
pub type Passages = Vec<(Family, FilterVerdict)>;

/// Returns the address families of the packets that `socket` receives. The unspecified IPv6 address accepts IPv4 as
/// well unless the socket has `IPV6_V6ONLY` set (ipv6(7)).
pub fn takes(socket: &Socket) -> Vec<Family> {
    let address = socket.local().address;
    let both = address.is_unspecified() && socket.fact(|extra| extra.v6_only) != Fact::Known(true);
    match address.to_canonical() {
        IpAddr::V4(_) => vec![Family::V4],
        IpAddr::V6(_) if both => vec![Family::V4, Family::V6],
        IpAddr::V6(_) => vec![Family::V6],
    }
}

/// Returns the IP protocol number of a protocol with ports (RFC 768, RFC 9293). MPTCP uses the ports of TCP.
pub const fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Udp => 17,
        _ => 6,
    }
}

/// Asks `filter` whom it lets through to this address and port, in each of the families `takes`.
pub fn ask(filter: &PacketFilter, protocol: Protocol, to: (IpAddr, u16), takes: &[Family]) -> Passages {
    let protocol = number(protocol);
    let passage = |&family: &Family| {
        let address = match (to.0.is_unspecified(), family) {
            (true, Family::V4) => Ipv4Addr::UNSPECIFIED.into(),
            _ => to.0,
        };
        let port = to.1;
        let arrival = Arrival {
            protocol,
            port,
            address,
        };
        (family, filter.evaluate(arrival))
    };
    takes.iter().map(passage).collect()
}

/// Describes whom the filters let through to a port: one line for each family, or a single one if they agree; empty if
/// no filter was asked. Safe to print.
pub fn words(passages: &[(Family, FilterVerdict)]) -> Vec<String> {
    match passages {
        [] => Vec::new(),
        [(_, first), rest @ ..] if rest.iter().all(|(_, passage)| passage == first) => vec![one(first)],
        differing => differing
            .iter()
            .map(|(family, passage)| format!("{}: {}", family.name(), one(passage)))
            .collect(),
    }
}

fn one(passage: &FilterVerdict) -> String {
    match passage {
        FilterVerdict::Everybody => "packet filters let everybody in".to_owned(),
        FilterVerdict::Nobody => "packet filters let nobody in".to_owned(),
        FilterVerdict::Only(ways) => format!("packet filters let in only what comes {}", self::ways(ways)),
        FilterVerdict::AllBut(ways) => format!("packet filters let everybody in but what comes {}", self::ways(ways)),
        FilterVerdict::Depends(ways) if ways.is_empty() => {
            "packet filters decide, by rules that are not worked out here".to_owned()
        }
        FilterVerdict::Depends(ways) => format!(
            "packet filters decide, by what comes {}; more is not worked out",
            self::ways(ways)
        ),
        FilterVerdict::Unknown(why) => format!("whether packet filters let anybody in cannot be told: {why}"),
    }
}

/// Describes ways through the filter: `from 10.0.0.0/8; over eth1 and from 192.168.0.0/16; by the sender's port`.
fn ways(ways: &[FilterPath]) -> String {
    let condition = |condition: &Condition| match condition {
        Condition::Other(_) => format!("by {condition}"),
        _ => condition.to_string(),
    };
    let way = |way: &FilterPath| way.iter().map(condition).collect::<Vec<_>>().join(" and ");
    ways.iter().map(way).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_filter_words_name_ip_versions_only_where_they_differ() {
        let from = |network: &str| Condition::Sender(network.parse().unwrap(), true);
        let ways = vec![
            vec![from("10.0.0.0/8")],
            vec![
                Condition::Interface(b"eth1".to_vec(), true),
                Condition::Other(b"how many come (limit)".to_vec()),
            ],
        ];
        let only = FilterVerdict::Only(ways);
        assert_eq!(
            words(&[(Family::V4, only.clone()), (Family::V6, FilterVerdict::Nobody)]),
            [
                "IPv4: packet filters let in only what comes from 10.0.0.0/8; over eth1 and by how many come (limit)",
                "IPv6: packet filters let nobody in",
            ]
        );
        assert_eq!(
            words(&[
                (Family::V4, FilterVerdict::Everybody),
                (Family::V6, FilterVerdict::Everybody)
            ]),
            ["packet filters let everybody in"]
        );
        assert!(words(&[]).is_empty());
    }
}
