//! Reads the counters of protocols.

use std::io;
use std::path::Path;

use netstat_model::counters::{
    Block, BlockSet, Cells, CounterGroup, LinuxSource, Pair, ProtocolStatistics, TcpFamilies,
};
use netstat_model::{Fact, Limit, Why, text::plain_error};

use super::{now, read_net, snmp, why};

/// The requested counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The requested blocks; the others stay [`Why::NotAsked`] as far as that saves work.
    pub blocks: BlockSet,
    /// Whether to include the counters beyond the classic ones.
    pub further: bool,
}

impl Default for Wanted {
    /// All blocks, with the classic counters only.
    fn default() -> Self {
        Wanted {
            blocks: BlockSet::ALL,
            further: false,
        }
    }
}

const IPV6_BLOCKS: [Block; 3] = [Block::Ipv6, Block::Icmpv6, Block::Udpv6];
const IPV4_BLOCKS: [Block; 4] = [Block::Ipv4, Block::Icmpv4, Block::Tcpv4, Block::Udpv4];

/// A file of counters and its content.
struct Source {
    /// Why its counters are unknown; `None` if they were read.
    missing: Option<Why>,
    groups: Vec<CounterGroup>,
}

impl Source {
    const NOT_ASKED: Source = Source {
        missing: Some(Why::NotAsked),
        groups: Vec::new(),
    };
}

/// Returns the protocol counters in the network namespace of the calling thread, read below `proc` (usually `/proc`).
///
/// Never fails as a whole: what cannot be read leaves its counters unknown, and a [`Limit`] says why. `Current
/// Connections` stay [`Why::NotAsked`]: the caller counts them from the sockets
/// ([`ProtocolStatistics::set_current_connections`]).
pub fn protocol_statistics(proc: &Path, wanted: Wanted) -> (ProtocolStatistics, Vec<Limit>) {
    let mut limits = Vec::new();
    let any = |blocks: &[Block]| blocks.iter().any(|&block| wanted.blocks.has(block));
    let ipv4 = if any(&IPV4_BLOCKS) || wanted.further && wanted.blocks.has(Block::Tcpv6) {
        read(
            proc,
            "snmp",
            "the statistics of IPv4, ICMP, TCP and UDP",
            snmp::pairs,
            &mut limits,
        )
    } else {
        Source::NOT_ASKED
    };
    let ipv6 = if any(&IPV6_BLOCKS) {
        read_ipv6(proc, &ipv4, &mut limits)
    } else {
        Source::NOT_ASKED
    };
    let further = if wanted.further && (wanted.blocks.has(Block::Ipv4) || any(&[Block::Tcpv4, Block::Tcpv6])) {
        read(
            proc,
            "netstat",
            "the further counters of IPv4 and TCP",
            snmp::pairs,
            &mut limits,
        )
    } else {
        Source::NOT_ASKED
    };
    let at = now();

    let find = |source: LinuxSource, block: Block| {
        let from = if IPV6_BLOCKS.contains(&block) { &ipv6 } else { &ipv4 };
        resolve(source, &from.groups, from.missing)
    };
    let mut statistics = ProtocolStatistics::new(at, TcpFamilies::Together, Vec::new(), |block, row| match row.cells {
        Cells::One(source) => Pair {
            received: find(source, block),
            sent: Fact::Unknown(Why::NotApplicable),
        },
        Cells::Two { received, sent } => Pair {
            received: find(received, block),
            sent: find(sent, block),
        },
    });
    statistics.groups = [ipv4.groups, further.groups, ipv6.groups].concat();
    (statistics, limits)
}

/// Looks up a counter in the groups of its file; `missing` is why the file has none.
fn resolve(source: LinuxSource, groups: &[CounterGroup], missing: Option<Why>) -> Fact<u64> {
    let unknown = Fact::Unknown(missing.unwrap_or(Why::NotSupported));
    let group = |name: &str| groups.iter().find(|group| *group.name == *name);
    let value = |group: &CounterGroup, name: &str| match group.get(name) {
        Some(Fact::Known(figure)) => Fact::from_option(figure.counter(), Why::Failed),
        Some(Fact::Unknown(why)) => Fact::Unknown(why),
        None => unknown,
    };
    match source {
        LinuxSource::Named(name, counter) => group(name).map_or(unknown, |group| value(group, counter)),
        LinuxSource::Sum(name, counters) => group(name).map_or(unknown, |group| {
            counters
                .iter()
                .map(|counter| value(group, counter))
                .fold(Fact::Known(0), |sum, next| match (sum, next) {
                    (Fact::Known(sum), Fact::Known(next)) => {
                        Fact::from_option(u64::checked_add(sum, next), Why::Failed)
                    }
                    (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
                })
        }),
        LinuxSource::Rare {
            group: name,
            name: counter,
            beside,
        } => match group(beside) {
            // The file was read, so a counter that it omits is 0.
            Some(_) => match group(name) {
                Some(group) if group.get(counter).is_some() => value(group, counter),
                _ => Fact::Known(0),
            },
            None => unknown,
        },
        LinuxSource::Sockets => Fact::Unknown(Why::NotAsked),
        LinuxSource::NotKept => Fact::Unknown(Why::NotKept),
    }
}

fn read(proc: &Path, name: &str, what: &str, parse: fn(&[u8]) -> snmp::Parsed, limits: &mut Vec<Limit>) -> Source {
    match read_net(proc, name) {
        Ok(text) => parsed(&proc.join("net").join(name), &text, what, parse, limits),
        Err(error) => {
            limits.push(unreadable(proc, name, what, &error));
            Source {
                missing: Some(why(&error)),
                groups: Vec::new(),
            }
        }
    }
}

/// Reads the IPv6 counters. IPv6 may be disabled: the kernel then has no `snmp6`, although it has `snmp`.
fn read_ipv6(proc: &Path, ipv4: &Source, limits: &mut Vec<Limit>) -> Source {
    const WHAT: &str = "the statistics of IPv6, ICMPv6 and UDP over IPv6";
    match read_net(proc, "snmp6") {
        Ok(text) => parsed(&proc.join("net/snmp6"), &text, WHAT, snmp::snmp6, limits),
        Err(error) if error.kind() == io::ErrorKind::NotFound && ipv4_is_there(proc, ipv4) => {
            limits.push(Limit {
                what: format!("{WHAT} are missing"),
                why: "IPv6 is switched off or not built into the kernel".to_owned(),
                remedy: None,
            });
            Source {
                missing: Some(Why::NotSupported),
                groups: Vec::new(),
            }
        }
        Err(error) => {
            limits.push(unreadable(proc, "snmp6", WHAT, &error));
            Source {
                missing: Some(why(&error)),
                groups: Vec::new(),
            }
        }
    }
}

fn ipv4_is_there(proc: &Path, ipv4: &Source) -> bool {
    match ipv4.missing {
        Some(Why::NotAsked) => read_net(proc, "snmp").is_ok(),
        missing => missing.is_none(),
    }
}

fn parsed(path: &Path, text: &[u8], what: &str, parse: fn(&[u8]) -> snmp::Parsed, limits: &mut Vec<Limit>) -> Source {
    let snmp::Parsed { groups, trouble } = parse(text);
    if let Some(trouble) = trouble {
        let amount = if groups.is_empty() { "missing" } else { "incomplete" };
        limits.push(Limit {
            what: format!("{what} are {amount}"),
            why: format!("{} is not understood: {trouble}", path.display()),
            remedy: None,
        });
    }
    let missing = groups.is_empty().then_some(Why::Failed);
    Source { missing, groups }
}

fn unreadable(proc: &Path, name: &str, what: &str, error: &io::Error) -> Limit {
    let mounted = proc.join("self").exists();
    Limit {
        what: format!("{what} are missing"),
        why: format!("{}: {}", proc.join("net").join(name).display(), plain_error(&error)),
        remedy: (error.kind() == io::ErrorKind::NotFound && !mounted).then(|| super::super::mount_proc(proc)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives ForwDatagrams InDelivers OutRequests FragOKs
Ip: 1 64 1000 7 990 800 3
Icmp: InMsgs InErrors InEchos OutMsgs OutEchoReps
Icmp: 12 1 4 9 4
IcmpMsg: InType8 InType9 OutType10
IcmpMsg: 4 2 5
Tcp: MaxConn ActiveOpens CurrEstab InSegs
Tcp: -1 31 6 500
Udp: InDatagrams NoPorts InErrors OutDatagrams
Udp: 100 2 3 90
";
    const NETSTAT: &str = "TcpExt: ListenDrops TCPTimeouts\nTcpExt: 8 0\nIpExt: InOctets\nIpExt: 123456\n";
    const SNMP6: &str = "\
Ip6InReceives 20
Ip6OutForwDatagrams 1
Icmp6InMsgs 6
Icmp6InGroupMembResponses 2
Icmp6InMLDv2Reports 3
Icmp6InType138 4
Udp6NoPorts 11
";

    fn proc(files: &[(&str, &str)]) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("net")).unwrap();
        for (name, text) in files {
            fs::write(proc.path().join("net").join(name), text).unwrap();
        }
        proc
    }

    fn received(statistics: &ProtocolStatistics, block: Block, id: &str) -> Fact<u64> {
        statistics.get(block, id).unwrap().received
    }

    fn sent(statistics: &ProtocolStatistics, block: Block, id: &str) -> Fact<u64> {
        statistics.get(block, id).unwrap().sent
    }

    #[test]
    fn protocol_blocks_are_filled_from_their_files() {
        let proc = proc(&[("snmp", SNMP), ("netstat", NETSTAT), ("snmp6", SNMP6)]);
        let (s, limits) = protocol_statistics(
            proc.path(),
            Wanted {
                further: true,
                ..Wanted::default()
            },
        );
        assert_eq!(limits, []);
        assert_eq!(received(&s, Block::Ipv4, "packets_received"), Fact::Known(1000));
        assert_eq!(received(&s, Block::Ipv4, "datagrams_forwarded"), Fact::Known(7));
        assert_eq!(
            received(&s, Block::Ipv4, "routing_discards"),
            Fact::Unknown(Why::NotKept)
        );
        assert_eq!(received(&s, Block::Ipv6, "datagrams_forwarded"), Fact::Known(1));
        assert_eq!(received(&s, Block::Icmpv4, "messages"), Fact::Known(12));
        assert_eq!(sent(&s, Block::Icmpv4, "echo_replies"), Fact::Known(4));
        assert_eq!(received(&s, Block::Tcpv4, "active_opens"), Fact::Known(31));
        assert_eq!(
            received(&s, Block::Tcpv4, "current_connections"),
            Fact::Unknown(Why::NotAsked)
        );
        assert_eq!(received(&s, Block::Tcpv6, "active_opens"), Fact::Unknown(Why::NotKept));
        assert_eq!(received(&s, Block::Udpv4, "receive_errors"), Fact::Known(3));
        assert_eq!(received(&s, Block::Udpv6, "no_ports"), Fact::Known(11));
        // A counter that the kernel does not know is unknown.
        assert_eq!(
            received(&s, Block::Ipv4, "reassembly_required"),
            Fact::Unknown(Why::NotSupported)
        );
        assert_eq!(s.group("TcpExt").unwrap().counters.len(), 2);
        assert!(s.group("IpExt").is_some() && s.group("Ip6").is_some());
    }

    #[test]
    fn icmp_message_types_never_seen_are_zero() {
        let proc = proc(&[("snmp", SNMP), ("snmp6", SNMP6)]);
        let (s, _) = protocol_statistics(proc.path(), Wanted::default());
        assert_eq!(received(&s, Block::Icmpv4, "router_advertisements"), Fact::Known(2));
        assert_eq!(sent(&s, Block::Icmpv4, "router_advertisements"), Fact::Known(0));
        assert_eq!(sent(&s, Block::Icmpv4, "router_solicitations"), Fact::Known(5));
        assert_eq!(received(&s, Block::Icmpv6, "router_renumberings"), Fact::Known(4));
        assert_eq!(sent(&s, Block::Icmpv6, "router_renumberings"), Fact::Known(0));
    }

    #[test]
    fn mld_reports_of_both_versions_are_counted() {
        let proc = proc(&[("snmp", SNMP), ("snmp6", SNMP6)]);
        let (s, _) = protocol_statistics(proc.path(), Wanted::default());
        assert_eq!(received(&s, Block::Icmpv6, "mld_reports"), Fact::Known(5));
        assert_eq!(sent(&s, Block::Icmpv6, "mld_reports"), Fact::Unknown(Why::NotSupported));
    }

    #[test]
    fn protocols_without_ipv6_have_unknown_blocks_and_a_limit() {
        let proc = proc(&[("snmp", SNMP)]);
        let (s, limits) = protocol_statistics(proc.path(), Wanted::default());
        assert_eq!(limits.len(), 1, "{limits:?}");
        assert!(limits[0].why.contains("switched off"), "{limits:?}");
        assert_eq!(received(&s, Block::Udpv6, "no_ports"), Fact::Unknown(Why::NotSupported));
        assert_eq!(
            received(&s, Block::Icmpv6, "router_renumberings"),
            Fact::Unknown(Why::NotSupported)
        );
        assert_eq!(received(&s, Block::Udpv4, "no_ports"), Fact::Known(2));
    }

    #[test]
    fn protocols_without_proc_are_unknown_and_remedy_is_named() {
        let nowhere = tempfile::tempdir().unwrap();
        let (s, limits) = protocol_statistics(
            nowhere.path(),
            Wanted {
                further: true,
                ..Wanted::default()
            },
        );
        assert_eq!(limits.len(), 3, "{limits:?}");
        assert!(
            limits
                .iter()
                .all(|limit| limit.remedy.as_deref().is_some_and(|r| r.starts_with("mount ")))
        );
        for block in Block::ALL {
            assert!(
                s.rows(block).all(|(_, value)| value.received.why().is_some()),
                "{block:?}"
            );
        }
        assert_eq!(
            received(&s, Block::Ipv6, "packets_received"),
            Fact::Unknown(Why::Failed)
        );
    }

    #[test]
    fn protocols_with_damaged_file_lose_only_damaged_values() {
        let proc = proc(&[
            ("snmp", "Udp: InDatagrams NoPorts\nUdp: 5 ?\nTcp: InSegs\n"),
            ("snmp6", ""),
        ]);
        let (s, limits) = protocol_statistics(proc.path(), Wanted::default());
        assert_eq!(limits.len(), 2, "{limits:?}");
        assert_eq!(
            limits[0].what,
            "the statistics of IPv4, ICMP, TCP and UDP are incomplete"
        );
        assert_eq!(
            limits[1].what,
            "the statistics of IPv6, ICMPv6 and UDP over IPv6 are missing"
        );
        assert_eq!(received(&s, Block::Udpv4, "datagrams_received"), Fact::Known(5));
        assert_eq!(received(&s, Block::Udpv4, "no_ports"), Fact::Unknown(Why::Failed));
        assert_eq!(
            received(&s, Block::Ipv6, "packets_received"),
            Fact::Unknown(Why::Failed)
        );
    }

    #[test]
    fn protocol_blocks_not_asked_for_are_not_read() {
        // The other files do not exist, and no limit is reported.
        let proc = proc(&[("snmp6", SNMP6)]);
        let wanted = Wanted {
            blocks: Block::Icmpv6.into(),
            further: true,
        };
        let (s, limits) = protocol_statistics(proc.path(), wanted);
        assert_eq!(limits, []);
        assert_eq!(received(&s, Block::Icmpv6, "messages"), Fact::Known(6));
        assert_eq!(
            received(&s, Block::Ipv4, "packets_received"),
            Fact::Unknown(Why::NotAsked)
        );
    }
}
