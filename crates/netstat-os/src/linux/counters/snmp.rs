//! The formats of `/proc/net/snmp`, `/proc/net/netstat` and `/proc/net/snmp6` (net/ipv4/proc.c, net/ipv6/proc.c).

use netstat_model::counters::{CounterGroup, NamedCounter};
use netstat_model::text::escape;
use netstat_model::{Fact, Why};

use super::{BadLine, lines, words};

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The groups, in the order of the file.
    pub groups: Vec<CounterGroup>,
    /// The first line that could not be parsed. The lines around it are still used.
    pub trouble: Option<BadLine>,
}

impl Parsed {
    fn trouble(&mut self, line: usize, what: &'static str) {
        self.trouble.get_or_insert(BadLine { line, what });
    }

    /// Returns the group `name`, which is created if necessary. A group may come in parts: the kernel writes `IcmpMsg`
    /// in pairs of lines with 16 types each.
    fn group(&mut self, name: &str) -> &mut CounterGroup {
        let place = match self.groups.iter().rposition(|group| *group.name == *name) {
            Some(place) => place,
            None => {
                self.groups.push(CounterGroup {
                    name: name.into(),
                    counters: Vec::new(),
                });
                self.groups.len() - 1
            }
        };
        &mut self.groups[place]
    }
}

/// Parses `/proc/net/snmp` or `/proc/net/netstat`: pairs of lines, in which the first line contains the names and the
/// second one the values, both prefixed with the group: `Udp: InDatagrams NoPorts` and `Udp: 113 0`.
///
/// Values are matched to names by their position; the set of names differs between kernels. A counter without a value,
/// or whose value is not a number, is unknown. Never fails; see `trouble`.
pub fn pairs(text: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let mut lines = lines(text).peekable();
    while let Some((number, line)) = lines.next() {
        let Some((group, names)) = split_group(line) else {
            parsed.trouble(number, "it does not begin with a group and a colon");
            continue;
        };
        let values = match lines.peek().and_then(|(_, next)| split_group(next)) {
            Some((same, values)) if same == group => values,
            _ => {
                parsed.trouble(number, "no line of values follows it");
                continue;
            }
        };
        lines.next();
        let group = escape(group);
        let mut values = words(values);
        let counters = &mut parsed.group(&group).counters;
        let mut missing = false;
        for name in words(names) {
            let name = escape(name);
            let value = match values.next() {
                Some(value) => figure(&group, &name, value),
                None => Fact::Unknown(Why::Failed),
            };
            missing |= value.why().is_some();
            counters.push(NamedCounter {
                name: name.into(),
                value,
            });
        }
        if missing || values.next().is_some() {
            parsed.trouble(number + 1, "its values do not fit the names of the line before");
        }
    }
    if parsed.groups.is_empty() && parsed.trouble.is_none() {
        parsed.trouble(1, "there are no counters in it");
    }
    parsed
}

/// The groups of `/proc/net/snmp6`, whose lines begin with the group and the name in one word. Longer names come first,
/// so that a group is not mistaken for a prefix of another one.
const GROUPS_6: [&str; 4] = ["UdpLite6", "Icmp6", "Udp6", "Ip6"];

/// Parses `/proc/net/snmp6`: one line for each counter, such as `Ip6InReceives    1`.
///
/// A value that is not a number is unknown. Names without a known group go into a group `Other6`. Never fails; see
/// `trouble`.
pub fn snmp6(text: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    for (number, line) in lines(text) {
        let mut line = words(line);
        let (Some(name), Some(value), None) = (line.next(), line.next(), line.next()) else {
            parsed.trouble(number, "it is not a name and a number");
            continue;
        };
        let name = escape(name);
        let (group, name) = GROUPS_6
            .into_iter()
            .find_map(|group| {
                name.strip_prefix(group)
                    .filter(|rest| !rest.is_empty())
                    .map(|rest| (group, rest))
            })
            .unwrap_or(("Other6", &name));
        let value = figure(group, name, value);
        if value.why().is_some() {
            parsed.trouble(number, "its value is not a number");
        }
        parsed.group(group).counters.push(NamedCounter {
            name: name.into(),
            value,
        });
    }
    if parsed.groups.is_empty() && parsed.trouble.is_none() {
        parsed.trouble(1, "there are no counters in it");
    }
    parsed
}

/// Splits `Udp: InDatagrams` into `Udp` and ` InDatagrams`.
fn split_group(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (group, rest) = line.split_at(colon);
    (!group.is_empty()).then_some((group, &rest[1..]))
}

fn figure(group: &str, name: &str, value: &[u8]) -> Fact<netstat_model::counters::Metric> {
    match std::str::from_utf8(value) {
        Ok(value) => CounterGroup::figure(group, name, value),
        Err(_) => Fact::Unknown(Why::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::counters::Metric;
    use proptest::prelude::*;

    fn value(parsed: &Parsed, group: &str, name: &str) -> Option<Fact<Metric>> {
        parsed.groups.iter().find(|g| *g.name == *group)?.get(name)
    }

    const COUNTER: fn(u64) -> Option<Fact<Metric>> = |count| Some(Fact::Known(Metric::Counter(count)));

    #[test]
    fn pairs_take_values_by_names_above_them() {
        let parsed = pairs(b"Tcp: MaxConn InSegs OutSegs\nTcp: -1 41 17\nUdp: NoPorts\nUdp: 5\n");
        assert_eq!(parsed.trouble, None);
        assert_eq!(value(&parsed, "Tcp", "MaxConn"), Some(Fact::Known(Metric::Gauge(-1))));
        assert_eq!(value(&parsed, "Tcp", "OutSegs"), COUNTER(17));
        assert_eq!(value(&parsed, "Udp", "NoPorts"), COUNTER(5));
        assert_eq!(value(&parsed, "Udp", "OutSegs"), None);
    }

    #[test]
    fn pairs_of_same_group_are_merged() {
        let parsed = pairs(b"IcmpMsg: InType0 InType3\nIcmpMsg: 1 2\nIcmpMsg: OutType8\nIcmpMsg: 4\n");
        assert_eq!(parsed.groups.len(), 1);
        assert_eq!(value(&parsed, "IcmpMsg", "OutType8"), COUNTER(4));
        assert_eq!(value(&parsed, "IcmpMsg", "InType3"), COUNTER(2));
    }

    #[test]
    fn pairs_with_bad_lines_keep_the_rest() {
        let parsed = pairs(b"what\nTcp: InSegs\nUdp: NoPorts OutDatagrams\nUdp: 7\nIp: InReceives\nIp: x\n");
        assert_eq!(
            parsed.trouble,
            Some(BadLine {
                line: 1,
                what: "it does not begin with a group and a colon"
            })
        );
        assert_eq!(value(&parsed, "Tcp", "InSegs"), None);
        assert_eq!(value(&parsed, "Udp", "NoPorts"), COUNTER(7));
        assert_eq!(value(&parsed, "Udp", "OutDatagrams"), Some(Fact::Unknown(Why::Failed)));
        assert_eq!(value(&parsed, "Ip", "InReceives"), Some(Fact::Unknown(Why::Failed)));
        // If there are too many values, they may not belong to their names either.
        assert!(pairs(b"Ip: InReceives\nIp: 1 2\n").trouble.is_some());
        assert!(pairs(b"").trouble.is_some());
        assert!(pairs(b"Ip: InReceives").trouble.is_some());
    }

    #[test]
    fn snmp6_names_are_split_into_group_and_name() {
        let parsed = snmp6(b"Ip6InReceives  \t 3\nUdpLite6NoPorts 4\nUdp6NoPorts 5\nIcmp6InType1 6\nNew6Thing 7\n");
        assert_eq!(parsed.trouble, None);
        assert_eq!(value(&parsed, "Ip6", "InReceives"), COUNTER(3));
        assert_eq!(value(&parsed, "UdpLite6", "NoPorts"), COUNTER(4));
        assert_eq!(value(&parsed, "Udp6", "NoPorts"), COUNTER(5));
        assert_eq!(value(&parsed, "Icmp6", "InType1"), COUNTER(6));
        assert_eq!(value(&parsed, "Other6", "New6Thing"), COUNTER(7));
        let parsed = snmp6(b"Ip6InReceives\nIp6InDelivers nine\nIp6 5\n");
        assert_eq!(
            parsed.trouble,
            Some(BadLine {
                line: 1,
                what: "it is not a name and a number"
            })
        );
        assert_eq!(value(&parsed, "Ip6", "InDelivers"), Some(Fact::Unknown(Why::Failed)));
        assert_eq!(value(&parsed, "Other6", "Ip6"), COUNTER(5));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(text: Vec<u8>) {
            pairs(&text);
            snmp6(&text);
        }

        #[test]
        fn pairs_of_text_like_the_format_never_panic(text in "([TUI][cd]p:?( [A-Z0-9:-]{0,5}){0,4}\n?){0,8}") {
            pairs(text.as_bytes());
            snmp6(text.as_bytes());
        }

        /// Any table that the kernel could write is parsed completely.
        #[test]
        fn pairs_of_any_valid_table_are_read_completely(values in proptest::collection::vec(("[A-Z][a-z]{1,8}[0-9]{4}", any::<u64>()), 1..20)) {
            let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
            let numbers: Vec<_> = values.iter().map(|(_, value)| value.to_string()).collect();
            let parsed = pairs(format!("TcpExt: {}\nTcpExt: {}\n", names.join(" "), numbers.join(" ")).as_bytes());
            prop_assert_eq!(parsed.trouble, None);
            for (counter, (name, number)) in parsed.groups[0].counters.iter().zip(&values) {
                prop_assert_eq!(&*counter.name, name.as_str());
                prop_assert_eq!(counter.value, Fact::Known(Metric::Counter(*number)));
            }
        }
    }
}
