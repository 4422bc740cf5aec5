//! Policy routing: the rules that select a routing table, and the route that a given packet takes.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Prefix, RouteProtocol, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN, TableNames};
use crate::text::escape;

/// What a rule does with packets that match it (`FR_ACT_*`, linux/fib_rules.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RuleAction {
    /// Look up the destination in this table; if it has no route, continue with the next rule.
    Lookup(u32),
    /// Continue at the rule with this priority.
    Goto(u32),
    /// Continue with the next rule.
    Nop,
    /// Drop the packet silently.
    Blackhole,
    /// Reject the packet: network unreachable.
    Unreachable,
    /// Reject the packet: administratively prohibited.
    Prohibit,
    /// Another action, with its number.
    Other(u8),
}

/// A rule of the routing policy database (`ip rule`, ip-rule(8)).
///
/// A selector that is `None` matches every packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PolicyRule {
    /// Whether the rule is for IPv4; otherwise it is for IPv6.
    pub ipv4: bool,
    /// The priority. Rules are tried from the smallest number to the largest.
    pub priority: u32,
    /// Whether the rule matches the packets that its selectors do not match (`FIB_RULE_INVERT`).
    pub inverted: bool,
    /// The source network.
    pub from: Option<Prefix>,
    /// The destination network.
    pub to: Option<Prefix>,
    /// The type of service; 0 matches all.
    pub tos: u8,
    /// The packet mark and the mask of its bits that are compared.
    pub mark: Option<(u32, u32)>,
    /// The interface that the packet was received on; `lo` for packets sent by this computer. Others choose the name:
    /// escape before printing.
    pub input_interface: Option<Vec<u8>>,
    /// The interface that the sending socket is bound to. Escape before printing.
    pub output_interface: Option<Vec<u8>>,
    /// Whether the rule looks up the table of the VRF that the packet belongs to (`l3mdev`).
    pub l3mdev: bool,
    /// The inclusive range of ids of the users whose sockets send the packet.
    pub users: Option<(u32, u32)>,
    /// The IP protocol number.
    pub ip_protocol: Option<u8>,
    /// The inclusive range of source ports.
    pub source_ports: Option<(u16, u16)>,
    /// The inclusive range of destination ports.
    pub destination_ports: Option<(u16, u16)>,
    /// The key of the tunnel that the packet was received through.
    pub tunnel: Option<u64>,
    /// The action.
    pub action: RuleAction,
    /// The prefix length up to which routes found are ignored.
    pub suppress_prefix_length: Option<u32>,
    /// The interface group whose routes are ignored.
    pub suppress_interface_group: Option<u32>,
    /// The origin of the rule.
    pub protocol: RouteProtocol,
}

impl PolicyRule {
    /// Creates a rule that matches every packet of a family and looks up `table`.
    pub fn lookup(ipv4: bool, priority: u32, table: u32) -> PolicyRule {
        PolicyRule {
            ipv4,
            priority,
            inverted: false,
            from: None,
            to: None,
            tos: 0,
            mark: None,
            input_interface: None,
            output_interface: None,
            l3mdev: false,
            users: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            tunnel: None,
            action: RuleAction::Lookup(table),
            suppress_prefix_length: None,
            suppress_interface_group: None,
            protocol: RouteProtocol::KERNEL,
        }
    }

    /// Whether it is one of the rules that every Linux system starts with: `local` at 0, `main` at 32766 and, for IPv4,
    /// `default` at 32767 (fib_default_rules_init, net/ipv4/fib_rules.c; fib6_rules_net_init).
    pub fn is_usual(&self) -> bool {
        let usual = [(0, TABLE_LOCAL), (32_766, TABLE_MAIN), (32_767, TABLE_DEFAULT)];
        usual.iter().any(|&(priority, table)| {
            let plain = PolicyRule {
                protocol: self.protocol,
                ..PolicyRule::lookup(self.ipv4, priority, table)
            };
            *self == plain
        })
    }

    /// Returns the selectors in the format of ip-rule(8): `not from 10.0.0.0/8 fwmark 0xca6c`. Safe to print.
    pub fn selectors(&self) -> String {
        let mut out = String::new();
        if self.inverted {
            out.push_str("not ");
        }
        out.push_str("from ");
        match self.from {
            Some(from) => put(&mut out, format_args!("{}/{}", from.address, from.length)),
            None => out.push_str("all"),
        }
        if let Some(to) = self.to {
            put(&mut out, format_args!(" to {}/{}", to.address, to.length));
        }
        if self.tos != 0 {
            put(&mut out, format_args!(" tos {:#04x}", self.tos));
        }
        match self.mark {
            Some((mark, u32::MAX)) => put(&mut out, format_args!(" fwmark {mark:#x}")),
            Some((mark, mask)) => put(&mut out, format_args!(" fwmark {mark:#x}/{mask:#x}")),
            None => {}
        }
        if let Some(name) = &self.input_interface {
            put(&mut out, format_args!(" iif {}", escape(name)));
        }
        if let Some(name) = &self.output_interface {
            put(&mut out, format_args!(" oif {}", escape(name)));
        }
        if let Some((first, last)) = self.users {
            put(&mut out, format_args!(" uidrange {first}-{last}"));
        }
        if let Some(protocol) = self.ip_protocol {
            match protocol {
                1 => out.push_str(" ipproto icmp"),
                6 => out.push_str(" ipproto tcp"),
                17 => out.push_str(" ipproto udp"),
                58 => out.push_str(" ipproto ipv6-icmp"),
                other => put(&mut out, format_args!(" ipproto {other}")),
            }
        }
        for (name, ports) in [("sport", self.source_ports), ("dport", self.destination_ports)] {
            match ports {
                Some((first, last)) if first == last => put(&mut out, format_args!(" {name} {first}")),
                Some((first, last)) => put(&mut out, format_args!(" {name} {first}-{last}")),
                None => {}
            }
        }
        if let Some(key) = self.tunnel {
            put(&mut out, format_args!(" tun_id {key}"));
        }
        out
    }

    /// Returns the action in the format of ip-rule(8): `lookup main suppress_prefixlength 0`. Safe to print.
    pub fn action_text(&self, tables: &TableNames) -> String {
        let mut out = match self.action {
            RuleAction::Lookup(_) if self.l3mdev => "lookup [l3mdev-table]".to_owned(),
            RuleAction::Lookup(table) => match tables.name(table) {
                Some(name) => format!("lookup {}", escape(name)),
                None => format!("lookup {table}"),
            },
            RuleAction::Goto(priority) => format!("goto {priority}"),
            RuleAction::Nop => "nop".to_owned(),
            RuleAction::Blackhole => "blackhole".to_owned(),
            RuleAction::Unreachable => "unreachable".to_owned(),
            RuleAction::Prohibit => "prohibit".to_owned(),
            RuleAction::Other(number) => format!("action {number}"),
        };
        if let Some(length) = self.suppress_prefix_length {
            put(&mut out, format_args!(" suppress_prefixlength {length}"));
        }
        if let Some(group) = self.suppress_interface_group {
            put(&mut out, format_args!(" suppress_ifgroup {group}"));
        }
        out
    }

    /// Whether the rule matches a packet that this computer sends, following `fib_rule_match` (net/core/fib_rules.c)
    /// and the conditions of each family: the packet's input interface is `lo`, its socket is not bound to an
    /// interface, and its protocol and ports are not specified.
    pub fn matches(&self, query: &RouteQuery) -> bool {
        if self.ipv4 != query.to.is_ipv4() {
            return false;
        }
        let selected = self.input_interface.as_deref().is_none_or(|name| name == b"lo")
            && self.output_interface.is_none()
            && self.mark.is_none_or(|(mark, mask)| query.mark & mask == mark & mask)
            && self.tunnel.is_none_or(|key| key == 0)
            && !self.l3mdev
            && self
                .users
                .is_none_or(|(first, last)| query.uid.is_some_and(|uid| (first..=last).contains(&uid)))
            && self.from.is_none_or(|from| match query.from {
                Some(address) => from.holds(address),
                // Without a source, IPv4 is looked up with 0.0.0.0, IPv6 without any.
                None => self.ipv4 && from.address.is_unspecified(),
            })
            && self.to.is_none_or(|to| to.holds(query.to))
            && self.tos == 0
            && self.ip_protocol.is_none()
            && self.source_ports.is_none()
            && self.destination_ports.is_none();
        selected != self.inverted
    }
}

/// A packet sent by this computer whose route is to be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteQuery {
    /// The destination address.
    pub to: IpAddr,
    /// The source address; `None` if the sender has not chosen one.
    pub from: Option<IpAddr>,
    /// The packet mark (`SO_MARK`); 0 for none.
    pub mark: u32,
    /// The id of the user who sends it; `None` for the caller.
    pub uid: Option<u32>,
}

/// The system's decision about the route of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteAnswer {
    /// The packet takes this route.
    Way(Box<RouteWay>),
    /// The packet is not sent, for the reason given by the system.
    None(String),
}

/// The route that a packet takes.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteWay {
    /// The packet, including the user who sends it.
    pub query: RouteQuery,
    /// The system's answer for this packet: kind, table, a single next hop, and the source address as
    /// `preferred_source`.
    pub answer: super::Route,
    /// The entry of the routing table that was selected; `None` if the system does not report it.
    pub matched: Option<super::Route>,
}

impl RouteWay {
    /// Returns the prefix length of the selected entry.
    fn prefix_length(&self) -> u32 {
        self.matched
            .as_ref()
            .map_or(self.answer.destination.length, |matched| matched.destination.length)
            .into()
    }

    /// Returns the rule that led to the table. The system does not report it, so the rules are evaluated here: it is
    /// the first one that matches the packet, looks up the table of the answer and does not suppress the entry. `None`
    /// if there is none, because rules have changed meanwhile or a selector is not supported here.
    pub fn rule<'r>(&self, rules: &'r [PolicyRule]) -> Option<&'r PolicyRule> {
        let mut from = 0;
        for rule in rules {
            if rule.priority < from || !rule.matches(&self.query) {
                continue;
            }
            match rule.action {
                RuleAction::Lookup(table) if table == self.answer.table => {
                    let suppressed = rule
                        .suppress_prefix_length
                        .is_some_and(|length| self.prefix_length() <= length);
                    if !suppressed {
                        return Some(rule);
                    }
                }
                RuleAction::Goto(priority) => from = priority,
                _ => {}
            }
        }
        None
    }
}

/// Whether there are rules worth showing, that is, others than the usual ones.
pub fn has_policy(rules: &[PolicyRule]) -> bool {
    rules.iter().any(|rule| !rule.is_usual())
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(to: &str) -> RouteQuery {
        RouteQuery {
            to: to.parse().unwrap(),
            from: None,
            mark: 0,
            uid: Some(1000),
        }
    }

    fn prefix(address: &str, length: u8) -> Option<Prefix> {
        Some(Prefix::covering(address.parse().unwrap(), length))
    }

    #[test]
    fn routing_rules_of_default_set_are_no_policy() {
        let usual = [(0, TABLE_LOCAL), (32_766, TABLE_MAIN), (32_767, TABLE_DEFAULT)];
        let mut rules: Vec<PolicyRule> = usual.map(|(at, table)| PolicyRule::lookup(true, at, table)).into();
        assert!(!has_policy(&rules));
        rules.push(PolicyRule::lookup(true, 100, TABLE_MAIN));
        assert!(has_policy(&rules));
    }

    #[test]
    fn routing_rule_text_follows_ip_rule() {
        let rule = PolicyRule {
            inverted: true,
            from: prefix("10.0.0.0", 8),
            mark: Some((51_820, u32::MAX)),
            input_interface: Some(b"e\n0".to_vec()),
            users: Some((0, 99)),
            destination_ports: Some((53, 53)),
            suppress_prefix_length: Some(0),
            ..PolicyRule::lookup(true, 5, TABLE_MAIN)
        };
        assert_eq!(
            rule.selectors(),
            "not from 10.0.0.0/8 fwmark 0xca6c iif e\\n0 uidrange 0-99 dport 53"
        );
        assert_eq!(
            rule.action_text(&TableNames::default()),
            "lookup main suppress_prefixlength 0"
        );
    }

    #[test]
    fn routing_rule_selectors_match_as_in_kernel() {
        let all = PolicyRule::lookup(true, 1, 7);
        assert!(all.matches(&query("192.0.2.1")) && !all.matches(&query("2001:db8::1")));
        let marked = PolicyRule {
            mark: Some((0x10, 0xf0)),
            ..all.clone()
        };
        assert!(!marked.matches(&query("192.0.2.1")));
        let mut with_mark = query("192.0.2.1");
        with_mark.mark = 0x1f;
        assert!(marked.matches(&with_mark));
        let not_marked = PolicyRule {
            inverted: true,
            ..marked
        };
        assert!(not_marked.matches(&query("192.0.2.1")) && !not_marked.matches(&with_mark));
        let from = PolicyRule {
            from: prefix("10.0.0.0", 8),
            ..all.clone()
        };
        assert!(!from.matches(&query("192.0.2.1")));
        let user = PolicyRule {
            users: Some((1000, 1000)),
            ..all.clone()
        };
        assert!(user.matches(&query("192.0.2.1")));
        let other = PolicyRule {
            input_interface: Some(b"eth0".to_vec()),
            ..all
        };
        assert!(!other.matches(&query("192.0.2.1")));
    }
}
