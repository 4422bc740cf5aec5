//! Derives a plan from the parsed switches: the rules for how switches combine.

use std::time::Duration;

use netstat_model::Protocol;
use netstat_os::SocketAsk;

use super::contradictions::{refuse_contradictions, refuse_mixtures};
use super::error::UsageError;
use super::plan::{
    DEFAULT_DNS_TIMEOUT, EthernetPlan, Families, FollowPlan, ListPlan, LocationPlan, Naming, PacketPlan, Plan,
    RouteTable, RoutesPlan, StatisticsPlan, Which,
};
use super::raw::{Grouping, RawArgs, Sorting};
use super::shape::{ColumnList, Format, Shape};
use super::values::ProtocolName;

/// Returns the plan that `raw` describes.
///
/// # Errors
/// Returns an error if two arguments exclude each other, or if one needs another that is missing.
pub(super) fn plan(raw: &RawArgs) -> Result<Plan, UsageError> {
    refuse_contradictions(raw)?;
    let protocols = Protocols::of(raw);
    let families = families(raw);
    refuse_families(raw, &protocols)?;
    let plan = Plan {
        ethernet: raw.ethernet.then_some(EthernetPlan {
            per_interface: raw.per_interface,
        }),
        statistics: raw.statistics.then(|| StatisticsPlan {
            blocks: protocols.blocks(families),
            verbose: raw.verbose,
            zeros: raw.zeros,
        }),
        routes: raw.routes.then(|| RoutesPlan {
            table: table(raw.table.as_deref()),
            to: raw.to.map(|to| PacketPlan {
                to,
                from: raw.from,
                mark: raw.mark.unwrap_or(0),
                uid: raw.uid,
            }),
        }),
        groups: raw.groups,
        processes: raw.processes,
        list: lists(raw, &protocols).then(|| list(raw, &protocols)),
        filter: raw.filter.filter(),
        format: format(raw)?,
        color: raw.color.unwrap_or_default(),
        follow: (raw.follow || raw.until.is_some()).then(|| FollowPlan {
            every: raw.follow,
            until: raw.until.clone(),
            timeout: raw.timeout,
        }),
        rates: raw.rates,
        scroll: raw.scroll,
        families,
        locations: LocationPlan {
            databases: raw.mmdb.clone(),
            systems: raw.systems.clone().unwrap_or_default().0,
            countries: raw.country.clone().unwrap_or_default().0,
        },
        interval: raw.interval.map(|seconds| Duration::from_secs(seconds.into())),
        count: raw.count,
        verbose: raw.verbose,
        dns_timeout: raw.dns_timeout.unwrap_or(DEFAULT_DNS_TIMEOUT),
        owners: raw.owners.unwrap_or_default(),
        replay: raw.replay.clone(),
    };
    refuse_mixtures(&plan)?;
    Ok(plan)
}

/// The protocols that the command line names with `-p`, `-t`, `-u` and similar switches; all of them add up.
struct Protocols {
    named: [bool; ProtocolName::ALL.len()],
}

impl Protocols {
    fn of(raw: &RawArgs) -> Protocols {
        use ProtocolName::*;
        let mut named = [false; ProtocolName::ALL.len()];
        let tcp: &[ProtocolName] = if raw.tcp { &[Tcp, TcpV6] } else { &[] };
        let udp: &[ProtocolName] = if raw.udp { &[Udp, UdpV6] } else { &[] };
        let ip: &[ProtocolName] = if raw.raw { &[Raw, Raw6] } else { &[] };
        let unix: &[ProtocolName] = if raw.unix { &[Unix] } else { &[] };
        for &protocol in raw.protocols.iter().chain(tcp).chain(udp).chain(ip).chain(unix) {
            // The variants are declared in the order of ALL; a test checks this.
            named[protocol as usize] = true;
        }
        Protocols { named }
    }

    fn has(&self, protocol: ProtocolName) -> bool {
        self.named[protocol as usize]
    }

    fn names_rows(&self) -> bool {
        ProtocolName::ALL
            .into_iter()
            .any(|protocol| protocol.has_rows() && self.has(protocol))
    }

    /// Returns the blocks that `-s` prints: the named ones, or all.
    fn blocks(&self, families: Families) -> Vec<ProtocolName> {
        let all = !ProtocolName::BLOCKS.into_iter().any(|protocol| self.has(protocol));
        ProtocolName::BLOCKS
            .into_iter()
            .filter(|protocol| all || self.has(*protocol))
            .filter(|protocol| is_of(*protocol, families))
            .collect()
    }
}

/// Whether rows or counters of `protocol` belong to one of `families`, or to no family.
fn is_of(protocol: ProtocolName, families: Families) -> bool {
    use ProtocolName::*;
    match protocol {
        Ip | Icmp | Tcp | Udp | Raw => families.v4,
        IpV6 | IcmpV6 | TcpV6 | UdpV6 | Raw6 => families.v6,
        _ => true,
    }
}

/// Returns the families of `-4` and `-6`: both switches together mean both families, as does neither.
fn families(raw: &RawArgs) -> Families {
    Families {
        v4: raw.ipv4 || !raw.ipv6,
        v6: raw.ipv6 || !raw.ipv4,
    }
}

/// Refuses a combination that selects nothing, such as `-p tcp -6`: it is easy to forget that `-p tcp` means IPv4 only.
fn refuse_families(raw: &RawArgs, protocols: &Protocols) -> Result<(), UsageError> {
    let families = families(raw);
    let named: Vec<ProtocolName> = ProtocolName::ALL
        .into_iter()
        .filter(|name| protocols.has(*name))
        .collect();
    match named.first() {
        Some(first) if !named.iter().any(|name| is_of(*name, families)) => {
            let (name, letter) = (first.name().to_ascii_lowercase(), if families.v4 { '4' } else { '6' });
            let (family, other) = if families.v4 {
                ("IPv6", "IPv4")
            } else {
                ("IPv4", "IPv6")
            };
            Err(UsageError::new(format!(
                "-p {name} means {family} only and -{letter} {other} only; for both families: -t, -u or -w"
            )))
        }
        _ => Ok(()),
    }
}

/// Whether the connection list is printed: always if nothing else is; beside another part, only if a switch asks for
/// it.
fn lists(raw: &RawArgs, protocols: &Protocols) -> bool {
    let other_part = raw.ethernet || raw.statistics || raw.routes || raw.groups || raw.processes;
    let which = raw.all || raw.bound || raw.listen || protocols.names_rows();
    let columns = raw.pids || raw.executables || raw.programs || raw.dscp || raw.time_in_state;
    let shape =
        raw.wide || raw.tree || raw.columns.is_some() || raw.sort.is_some() || raw.top.is_some() || raw.group.is_some();
    let located = raw.systems.is_some() || raw.country.is_some();
    let rows = raw.changes || raw.all_namespaces || located;
    // With -c, a filter applies to the sockets of the processes; -e, -s and -r have nothing to filter.
    let filters = !(raw.processes || raw.filter.filter().is_empty());
    !other_part || which || columns || shape || rows || filters
}

fn format(raw: &RawArgs) -> Result<Format, UsageError> {
    let formats = [
        (raw.json, "--json", Format::Json),
        (raw.ndjson, "--ndjson", Format::NdJson),
        (raw.csv.is_some(), "--csv", Format::Csv(raw.csv.unwrap_or_default())),
    ];
    let mut asked = formats.into_iter().filter(|(is, ..)| *is);
    match (asked.next(), asked.next()) {
        (Some((_, first, _)), Some((_, second, _))) => Err(UsageError::new(format!(
            "{first} and {second} do not go together: choose one format"
        ))),
        (Some((.., format)), None) => Ok(format),
        _ => Ok(Format::Text),
    }
}

/// Returns the further kinds of sockets that the command line names. If it names no protocol and asks for `everything`,
/// these are the transports beside TCP and UDP.
fn further(protocols: &Protocols, everything: bool) -> Vec<Protocol> {
    if !protocols.names_rows() {
        return match everything {
            true => SocketAsk::TRANSPORTS.to_vec(),
            false => Vec::new(),
        };
    }
    [
        (ProtocolName::UdpLite, Protocol::UdpLite),
        (ProtocolName::Sctp, Protocol::Sctp),
        (ProtocolName::Dccp, Protocol::Dccp),
        (ProtocolName::Vsock, Protocol::Vsock),
        (ProtocolName::Netlink, Protocol::Netlink),
        (ProtocolName::Xdp, Protocol::Xdp),
    ]
    .into_iter()
    .filter_map(|(name, protocol)| protocols.has(name).then_some(protocol))
    .collect()
}

fn list(raw: &RawArgs, protocols: &Protocols) -> ListPlan {
    // A filter for listeners covers UDP, too.
    let filter = raw.filter.filter();
    let everything = raw.all || raw.bound || raw.follow || raw.until.is_some() || filter.listening || filter.exposed;
    let families = families(raw);
    let kind = |protocol, unnamed| {
        let named = if protocols.names_rows() {
            protocols.has(protocol)
        } else {
            unnamed
        };
        named && is_of(protocol, families)
    };
    ListPlan {
        tcp4: kind(ProtocolName::Tcp, true),
        tcp6: kind(ProtocolName::TcpV6, true),
        udp4: kind(ProtocolName::Udp, everything),
        udp6: kind(ProtocolName::UdpV6, everything),
        raw4: kind(ProtocolName::Raw, false),
        raw6: kind(ProtocolName::Raw6, false),
        mptcp: kind(ProtocolName::Mptcp, false),
        families,
        packet: kind(ProtocolName::Packet, false),
        unix: kind(ProtocolName::Unix, false),
        further: further(
            protocols,
            everything && !(raw.follow || raw.until.is_some() || raw.changes),
        ),
        further_where_present: !protocols.names_rows() && everything,
        all_namespaces: raw.all_namespaces,
        // -a overrides -l, as in -plant, a common habit on Linux.
        states: match (raw.bound, raw.all, raw.listen) {
            (true, _, _) => Which::AllAndBound,
            (false, true, _) => Which::All,
            (false, false, true) => Which::ListeningOnly,
            (false, false, false) => Which::Connected,
        },
        // -n overrides -f, so that a command line with -n never sends a query.
        names: match (raw.numeric, raw.full_names) {
            (true, _) => Naming::Numeric,
            (false, true) => Naming::Full,
            (false, false) => Naming::FirstLabel,
        },
        pid: raw.pids,
        program_lines: raw.executables,
        dscp: raw.dscp,
        time_in_state: raw.time_in_state,
        pid_program_column: raw.programs,
        shape: match &raw.columns {
            Some(ColumnList::These(columns)) => Shape::Columns(columns.clone()),
            _ if raw.wide => Shape::Wide,
            _ => Shape::Classic,
        },
        sort: raw.sort.as_ref().map_or_else(Vec::new, |Sorting(keys)| keys.clone()),
        top: raw.top,
        group: raw
            .group
            .as_ref()
            .map_or_else(Vec::new, |Grouping(columns)| columns.clone()),
        changes: raw.changes,
        tree: raw.tree,
        rates: raw.rates && raw.wide,
    }
}

fn table(typed: Option<&str>) -> RouteTable {
    match typed {
        None => RouteTable::Default,
        Some(all) if all.eq_ignore_ascii_case("all") => RouteTable::All,
        Some(name) => RouteTable::Named(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{OwnerMethod, Parsed};
    use super::*;
    use ProtocolName::*;
    use std::num::NonZeroU64;

    fn plan(words: &str) -> Plan {
        match crate::registry::parse(words.split_whitespace().map(OsString::from)) {
            Ok(Parsed::Run(plan)) => *plan,
            other => panic!("{words}: {other:?}"),
        }
    }

    fn error(words: &str) -> String {
        crate::registry::parse(words.split_whitespace().map(OsString::from))
            .expect_err(words)
            .to_string()
    }

    /// Formats the protocols of the list as `t4 t6 u4 u6`, followed by the states; empty if there is no list.
    fn rows(words: &str) -> String {
        let Some(list) = plan(words).list else {
            return String::new();
        };
        let kinds = [
            (list.tcp4, "t4"),
            (list.tcp6, "t6"),
            (list.udp4, "u4"),
            (list.udp6, "u6"),
        ];
        let kinds: Vec<&str> = kinds.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        format!("{} {:?}", kinds.join(" "), list.states)
    }

    /// Formats the parts as letters, in print order.
    fn parts(words: &str) -> String {
        let plan = plan(words);
        let parts = [
            (plan.ethernet.is_some(), 'e'),
            (plan.statistics.is_some(), 's'),
            (plan.routes.is_some(), 'r'),
            (plan.processes, 'c'),
            (plan.list.is_some(), 'L'),
        ];
        parts
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, letter)| letter)
            .collect()
    }

    #[test]
    fn no_arguments_give_the_default_plan() {
        assert_eq!(plan(""), Plan::default());
        assert_eq!(plan("-s").statistics, Some(StatisticsPlan::default()));
        assert_eq!(plan("-e").ethernet, Some(EthernetPlan::default()));
        assert_eq!(plan("-r").routes, Some(RoutesPlan::default()));
    }

    #[test]
    fn switches_choose_protocols_and_states_of_rows() {
        for (words, expected) in [
            ("", "t4 t6 Connected"),
            ("-n", "t4 t6 Connected"),
            ("-o", "t4 t6 Connected"),
            ("-a", "t4 t6 u4 u6 All"),
            ("-q", "t4 t6 u4 u6 AllAndBound"),
            ("-aq", "t4 t6 u4 u6 AllAndBound"),
            ("-p tcp", "t4 Connected"),
            ("-p TCPv6", "t6 Connected"),
            ("-p udp", "u4 Connected"),
            ("-p UDPv6", "u6 Connected"),
            ("-p tcp -p udp", "t4 u4 Connected"),
            ("-p udp -p tcp -p udp", "t4 u4 Connected"),
            ("-p tcp -p tcpv6", "t4 t6 Connected"),
            ("-anp tcp", "t4 All"),
            ("-a -p udpv6", "u6 All"),
            ("-qp tcp", "t4 AllAndBound"),
            ("-t", "t4 t6 Connected"),
            ("-u", "u4 u6 Connected"),
            ("-tu", "t4 t6 u4 u6 Connected"),
            ("-ta", "t4 t6 All"),
            ("-ua", "u4 u6 All"),
            ("-t -p udp", "t4 t6 u4 Connected"),
            ("-l", "t4 t6 ListeningOnly"),
            ("-tl", "t4 t6 ListeningOnly"),
            ("-lp tcp", "t4 ListeningOnly"),
            ("-tulpn", "t4 t6 u4 u6 ListeningOnly"),
            ("-al", "t4 t6 u4 u6 All"),
            ("-ql", "t4 t6 u4 u6 AllAndBound"),
            ("-plant", "t4 t6 All"),
            ("-tuanp", "t4 t6 u4 u6 All"),
        ] {
            assert_eq!(rows(words), expected, "{words}");
        }
    }

    #[test]
    fn columns() {
        let list = |words| plan(words).list.unwrap();
        assert_eq!(
            list("-o"),
            ListPlan {
                pid: true,
                ..ListPlan::default()
            }
        );
        assert_eq!(
            list("-b"),
            ListPlan {
                program_lines: true,
                ..ListPlan::default()
            }
        );
        assert_eq!(
            list("-d"),
            ListPlan {
                dscp: true,
                ..ListPlan::default()
            }
        );
        assert_eq!(
            list("-i"),
            ListPlan {
                time_in_state: true,
                ..ListPlan::default()
            }
        );
        assert_eq!(
            list("--programs"),
            ListPlan {
                pid_program_column: true,
                ..ListPlan::default()
            }
        );
        assert_eq!(
            list("-tulpn"),
            ListPlan {
                udp4: true,
                udp6: true,
                states: Which::ListeningOnly,
                names: Naming::Numeric,
                pid_program_column: true,
                ..ListPlan::default()
            }
        );
        assert!(!list("-tuln").pid_program_column);
    }

    #[test]
    fn naming() {
        for (words, expected) in [
            ("", Naming::FirstLabel),
            ("-n", Naming::Numeric),
            ("-f", Naming::Full),
            ("-nf", Naming::Numeric),
            ("-fn", Naming::Numeric),
            ("-f -a -n", Naming::Numeric),
        ] {
            assert_eq!(plan(words).list.unwrap().names, expected, "{words}");
        }
    }

    #[test]
    fn switches_choose_the_parts_printed() {
        for (words, expected) in [
            ("", "L"),
            ("-n", "L"),
            ("-f", "L"),
            ("5", "L"),
            ("-e", "e"),
            ("-s", "s"),
            ("-r", "r"),
            ("-c", "c"),
            ("-es", "es"),
            ("-rse", "esr"),
            ("-rcse", "esrc"),
            // Switches that only modify do not ask for a list.
            ("-rn", "r"),
            ("-sn", "s"),
            ("-en 5", "e"),
            ("-cn 5", "c"),
            ("-rf", "r"),
            ("-s --verbose", "s"),
            ("-r --owners proc --dns-timeout 1", "r"),
            // Each of these switches asks for one.
            ("-ra", "rL"),
            ("-rb", "rL"),
            ("-rd", "rL"),
            ("-ri", "rL"),
            ("-ro", "rL"),
            ("-rq", "rL"),
            ("-rt", "rL"),
            ("-ru", "rL"),
            ("-rl", "rL"),
            ("-r --programs", "rL"),
            ("-r -p tcp", "rL"),
            ("-esra", "esrL"),
            ("-ca", "cL"),
            ("-r --port 443", "rL"),
            ("-es --state LISTENING", "esL"),
            // The filter applies to -c itself.
            ("-c --port 443", "c"),
            ("-sc --state BOUND", "sc"),
            ("-co --state BOUND", "cL"),
            // Naming a block also asks for the connections of its protocol, if it has any.
            ("-s -p tcp", "sL"),
            ("-s -p udpv6", "sL"),
            ("-s -p icmp", "s"),
            ("-s -p ipv6", "s"),
            ("-e -s -p ip", "es"),
        ] {
            assert_eq!(parts(words), expected, "{words}");
        }
    }

    #[test]
    fn filters() {
        for (words, filter) in [
            ("-an", ""),
            ("--state listening", "--state LISTENING"),
            (
                "--STATE=syn-sent,BOUND --state estab",
                "--state ESTABLISHED,SYN_SENT,BOUND",
            ),
            ("-c --port 8000-8010 --port=443,80 5", "--port 80,443,8000-8010"),
            ("-an --port 1 --state CLOSING", "--state CLOSING --port 1"),
        ] {
            assert_eq!(plan(words).filter.to_string(), filter, "{words}");
        }
        // The protocols depend on the other arguments.
        assert_eq!(rows("--state LISTENING"), "t4 t6 Connected");
        assert_eq!(rows("-a --port 53"), "t4 t6 u4 u6 All");
        assert_eq!(error("--state"), "--state needs a value: --state LIST (netstat --help)");
        assert_eq!(
            error("-n --port 5s"),
            "--port \"5s\" is no port and no range of ports; for example: --port 443,8000-8010"
        );
    }

    #[test]
    fn statistics_protocols_choose_the_blocks() {
        for (words, expected) in [
            ("-s", &ProtocolName::BLOCKS[..]),
            ("-s -a", &ProtocolName::BLOCKS[..]),
            ("-s -l", &ProtocolName::BLOCKS[..]),
            ("-s -p tcp", &[Tcp]),
            ("-s -p icmp", &[Icmp]),
            ("-s -p udpv6 -p ip -p udpv6", &[Ip, UdpV6]),
            ("-st", &[Tcp, TcpV6]),
            ("-su", &[Udp, UdpV6]),
            ("-su -p icmpv6", &[IcmpV6, Udp, UdpV6]),
        ] {
            assert_eq!(plan(words).statistics.unwrap().blocks, expected, "{words}");
        }
    }

    #[test]
    fn statistics_with_protocol_also_list_its_connections() {
        assert_eq!(rows("-s -p tcp"), "t4 Connected");
        assert_eq!(rows("-s -p udp"), "u4 Connected");
        assert_eq!(rows("-s -p tcp -p icmp"), "t4 Connected");
        assert_eq!(rows("-s -p icmp"), "");
        // A protocol without rows limits only the blocks.
        assert_eq!(rows("-s -p icmp -a"), "t4 t6 u4 u6 All");
    }

    #[test]
    fn protocols_without_rows_need_statistics() {
        for name in ["ip", "ipv6", "icmp", "icmpv6"] {
            for words in [
                format!("-p {name}"),
                format!("-anp {name}"),
                format!("-er -p {}", name.to_uppercase()),
            ] {
                assert_eq!(
                    error(&words),
                    format!("-p {name} needs -s: netstat -s -p {name}"),
                    "{words}"
                );
            }
        }
    }

    #[test]
    fn options_of_a_part_reach_its_plan() {
        assert_eq!(
            plan("-e --per-interface").ethernet,
            Some(EthernetPlan { per_interface: true })
        );
        let statistics = plan("-s --verbose").statistics.unwrap();
        assert!(statistics.verbose && !statistics.zeros);
        let statistics = plan("--zeros -s --verbose").statistics.unwrap();
        assert!(statistics.verbose && statistics.zeros);
        for (words, table) in [
            ("-r", RouteTable::Default),
            ("-r --table all", RouteTable::All),
            ("--table=ALL -r", RouteTable::All),
            ("-r --table main", RouteTable::Named("main".into())),
            ("-r --table 100", RouteTable::Named("100".into())),
            ("-r --table Vpn --table DMZ", RouteTable::Named("DMZ".into())),
        ] {
            assert_eq!(plan(words).routes.unwrap().table, table, "{words}");
        }
        for (words, owners) in [
            ("", OwnerMethod::Auto),
            ("--owners ebpf", OwnerMethod::Ebpf),
            ("-b --owners=proc", OwnerMethod::Proc),
        ] {
            assert_eq!(plan(words).owners, owners, "{words}");
        }
        assert_eq!(plan("--dns-timeout 0.25").dns_timeout, Duration::from_millis(250));
        assert!(plan("--verbose -an").verbose);
    }

    #[test]
    fn repeating() {
        let repeat = |words| {
            let plan = plan(words);
            (
                plan.interval.map(|interval| interval.as_secs()),
                plan.count.map(NonZeroU64::get),
                plan.rates,
            )
        };
        assert_eq!(repeat(""), (None, None, false));
        assert_eq!(repeat("5"), (Some(5), None, false));
        assert_eq!(repeat("-an 2 --count 10"), (Some(2), Some(10), false));
        assert_eq!(repeat("--count=1"), (None, Some(1), false));
        assert_eq!(repeat("-s --rates 5"), (Some(5), None, true));
        assert_eq!(repeat("3 -e --rates --count 2"), (Some(3), Some(2), true));
    }

    #[test]
    fn option_without_the_one_it_needs_names_it() {
        for (words, message) in [
            (
                "--per-interface",
                "--per-interface needs -e: netstat -e --per-interface",
            ),
            (
                "-s --per-interface",
                "--per-interface needs -e: netstat -e --per-interface",
            ),
            (
                "-s --zeros",
                "--zeros needs -s and --verbose: netstat -s --verbose --zeros",
            ),
            (
                "--verbose --zeros",
                "--zeros needs -s and --verbose: netstat -s --verbose --zeros",
            ),
            ("--table main", "--table needs -r: netstat -r --table all"),
            ("--rates 5", "--rates needs -s, -e or --wide: netstat -s --rates 5"),
            ("-r --rates 5", "--rates needs -s, -e or --wide: netstat -s --rates 5"),
            ("-s --rates", "--rates needs an interval: netstat -s --rates 5"),
            ("--count 3", "--count 3 needs an interval: netstat 5 --count 3"),
        ] {
            assert_eq!(error(words), message, "{words}");
        }
    }

    #[test]
    fn plan_wrong_value_of_option_names_the_option_alone() {
        let wrong = error("-an --csv=saef");
        assert!(wrong.starts_with("--csv \"saef\" is not one of "), "{wrong}");
    }

    #[test]
    fn repeated_switch_means_the_same_as_one() {
        for (twice, once) in [
            ("-aa -a", "-a"),
            ("--all -a", "-a"),
            ("-n --numeric --numeric", "-n"),
            ("-p tcp -p tcp", "-p tcp"),
            ("5 --count 2 --count 3", "5 --count 3"),
        ] {
            assert_eq!(plan(twice), plan(once), "{twice}");
        }
    }

    #[test]
    fn long_option_means_the_same_as_its_letter() {
        for option in super::super::command().get_arguments() {
            let (Some(letter), Some(long)) = (option.get_short(), option.get_long()) else {
                continue;
            };
            if !option.get_action().takes_values() && !matches!(letter, 'h' | 'V') {
                assert_eq!(plan(&format!("--{long}")), plan(&format!("-{letter}")), "{long}");
            }
        }
    }

    #[test]
    fn protocols_are_declared_in_print_order() {
        for (at, protocol) in ProtocolName::ALL.into_iter().enumerate() {
            assert_eq!(protocol as usize, at);
        }
    }
}
