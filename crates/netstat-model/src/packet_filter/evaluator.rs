//! Evaluates the rules of nftables for a port: whether connections from outside get through.

use std::net::IpAddr;

use super::condition::{Condition, FilterPath, Translated};
use super::registers::{Content, Match, Side, bits, compare, get, head, is_in, map, put, sure, translated};
use super::rules::{Rule, RuleVerdict, Ruleset, Set, Source, Step};
use super::{Chain, ChainFamily, Hook, PacketFilter};
use crate::Fact;

/// The maximum depth of chains calling chains, the same as in the kernel (`NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 16;
/// The maximum number of rules evaluated for one query.
const MOST_RULES: usize = 100_000;
/// The maximum number of paths that are kept.
const MOST_WAYS: usize = 8;

/// The first packet of a connection from another computer to a port here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The IP protocol number: 6 for TCP, 17 for UDP (IANA "Assigned Internet Protocol Numbers").
    pub protocol: u8,
    /// The local port.
    pub port: u16,
    /// The local address; if unspecified, any address of this computer.
    pub address: IpAddr,
}

/// The verdict of the filters on an [`Arrival`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterVerdict {
    /// Everybody gets through.
    Everybody,
    /// Nobody gets through.
    Nobody,
    /// Only packets on these paths get through.
    Only(Vec<FilterPath>),
    /// Everybody gets through except on these paths.
    AllBut(Vec<FilterPath>),
    /// The verdict depends on these paths in a way that is not evaluated.
    Depends(Vec<FilterPath>),
    /// The verdict cannot be determined, for this reason in plain English.
    Unknown(&'static str),
}

/// What was found along a chain.
#[derive(Debug, Default)]
struct Found {
    /// The paths on which a rule decides, in order, and whether it accepts.
    ways: Vec<(FilterPath, bool)>,
    /// Whether a path was skipped that may end differently.
    unclear: bool,
    /// The new destinations, in order, with the conditions of each.
    translations: Vec<(FilterPath, Translated)>,
}

/// How a chain ends for packets that no conditional rule has decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// An unconditional rule accepts (`true`) or drops (`false`) them.
    Decided(bool),
    /// The end of the chain was reached.
    Through,
}

struct Evaluator<'a> {
    rules: &'a Ruleset,
    arrival: Arrival,
    /// Whether the destination of the packet was changed before, and it is forwarded to another computer.
    forwarded: bool,
    left: usize,
}

impl PacketFilter {
    /// Returns the verdict on the first packet of `arrival`, which comes from another computer over an interface other
    /// than the loopback. Rules that change addresses (`nat`) are not considered; see [`PacketFilter::published`].
    pub fn evaluate(&self, arrival: Arrival) -> FilterVerdict {
        self.judge(arrival, false)
    }

    /// Returns the verdict on a packet that is forwarded to the address and port of `arrival` behind this computer,
    /// after a rule has changed its destination to them.
    pub fn evaluate_forwarded(&self, arrival: Arrival) -> FilterVerdict {
        self.judge(arrival, true)
    }

    /// Returns the new destinations that rules give to `arrival`, in the order in which they are tried and with the
    /// conditions of each, and whether there may be others that are not evaluated.
    pub(super) fn translate(&self, arrival: Arrival) -> (Vec<(FilterPath, Translated)>, bool) {
        let (Fact::Known(chains), Fact::Known(rules)) = (&self.nftables, &self.rules) else {
            return (Vec::new(), false);
        };
        let mut judge = Evaluator {
            rules,
            arrival,
            forwarded: false,
            left: MOST_RULES,
        };
        let mut found = Found::default();
        for chain in chains
            .iter()
            .filter(|chain| chain.may_translate() && meets(chain.family, arrival.address))
        {
            let sure = |found: &Found| found.translations.iter().any(|(way, _)| way.is_empty());
            if sure(&found) {
                break;
            }
            judge.chain(chain.family, &chain.table, &chain.name, &Vec::new(), 0, &mut found);
        }
        (found.translations, found.unclear || judge.left == 0)
    }

    fn judge(&self, arrival: Arrival, forwarded: bool) -> FilterVerdict {
        let (chains, rules) = match (&self.nftables, &self.rules) {
            (Fact::Known(chains), Fact::Known(rules)) => (chains, rules),
            (Fact::Unknown(crate::Why::NotSupported), _) => (&Vec::new(), &Ruleset::default()),
            (Fact::Unknown(_), _) | (_, Fact::Unknown(_)) => return FilterVerdict::Unknown("the rules cannot be read"),
        };
        match &self.iptables {
            Fact::Known(tables) if tables.iter().all(|table| table == b"nat") => {}
            Fact::Known(_) => return FilterVerdict::Unknown("the rules of the older iptables are not read"),
            Fact::Unknown(_) => return FilterVerdict::Unknown("whether the older iptables is in use cannot be read"),
        }
        let mut judge = Evaluator {
            rules,
            arrival,
            forwarded,
            left: MOST_RULES,
        };
        let mut all = FilterVerdict::Everybody;
        let on_the_way = |chain: &&Chain| match chain.hook {
            Hook::Input => !forwarded,
            Hook::Forward => forwarded,
            // The destination was still another one at these hooks.
            Hook::Ingress | Hook::Prerouting => !forwarded,
        };
        for chain in chains.iter().filter(|chain| chain.may_drop()).filter(on_the_way) {
            if meets(chain.family, arrival.address) {
                all = all.and(judge.hooked(chain));
            }
        }
        all
    }
}

/// Whether chains of this family see packets to `address`.
fn meets(family: ChainFamily, address: IpAddr) -> bool {
    match family {
        ChainFamily::Inet => true,
        ChainFamily::Ip => !v6(address),
        ChainFamily::Ip6 => v6(address),
        // These are the frames of one interface; packets may arrive on another one.
        ChainFamily::Netdev => true,
        ChainFamily::Bridge => false,
    }
}

/// Whether packets to this address are IPv6. An IPv4-mapped address counts as IPv4.
fn v6(address: IpAddr) -> bool {
    address.to_canonical().is_ipv6()
}

impl FilterVerdict {
    /// Returns the verdict of this filter followed by `next`.
    fn and(self, next: FilterVerdict) -> FilterVerdict {
        match (self, next) {
            (FilterVerdict::Nobody, _) | (_, FilterVerdict::Nobody) => FilterVerdict::Nobody,
            (FilterVerdict::Unknown(why), _) | (_, FilterVerdict::Unknown(why)) => FilterVerdict::Unknown(why),
            (FilterVerdict::Everybody, other) | (other, FilterVerdict::Everybody) => other,
            (FilterVerdict::AllBut(mut one), FilterVerdict::AllBut(two)) => {
                one.extend(two);
                one.truncate(MOST_WAYS);
                FilterVerdict::AllBut(one)
            }
            (one, two) => {
                let mut ways = one.into_ways();
                ways.extend(two.into_ways());
                ways.truncate(MOST_WAYS);
                FilterVerdict::Depends(ways)
            }
        }
    }

    fn into_ways(self) -> Vec<FilterPath> {
        match self {
            FilterVerdict::Only(ways) | FilterVerdict::AllBut(ways) | FilterVerdict::Depends(ways) => ways,
            FilterVerdict::Everybody | FilterVerdict::Nobody | FilterVerdict::Unknown(_) => Vec::new(),
        }
    }
}

impl<'a> Evaluator<'a> {
    /// Returns the verdict of a chain that has a hook.
    fn hooked(&mut self, chain: &Chain) -> FilterVerdict {
        let mut found = Found::default();
        let end = self.chain(chain.family, &chain.table, &chain.name, &Vec::new(), 0, &mut found);
        if self.left == 0 {
            return FilterVerdict::Unknown("there are too many rules to work them out");
        }
        let lets_others_in = match end {
            End::Decided(lets_in) => lets_in,
            End::Through => !chain.drops,
        };
        let mut ways = found.ways;
        // Paths that end like all others need not be listed, unless one that ends differently follows.
        while ways.last().is_some_and(|(_, lets_in)| *lets_in == lets_others_in) {
            ways.pop();
        }
        let mixed = ways.iter().any(|(_, lets_in)| *lets_in == lets_others_in);
        let ways: Vec<FilterPath> = ways.into_iter().map(|(way, _)| way).collect();
        let passage = match (lets_others_in, ways.is_empty()) {
            _ if found.unclear || mixed => FilterVerdict::Depends(ways),
            (true, true) => FilterVerdict::Everybody,
            (false, true) => FilterVerdict::Nobody,
            (true, false) => FilterVerdict::AllBut(ways),
            (false, false) => FilterVerdict::Only(ways),
        };
        // A chain for the frames of one interface does not block what arrives on another.
        match passage {
            FilterVerdict::Nobody if chain.family == ChainFamily::Netdev || chain.hook == Hook::Ingress => {
                FilterVerdict::AllBut(vec![vec![Condition::Other(
                    b"the interface of an ingress chain".to_vec(),
                )]])
            }
            passage => passage,
        }
    }

    /// Evaluates a chain; `given` are the conditions under which it is called.
    fn chain(
        &mut self,
        family: ChainFamily,
        table: &[u8],
        name: &[u8],
        given: &FilterPath,
        depth: usize,
        found: &mut Found,
    ) -> End {
        let rules = self.rules;
        let this =
            |chain: &&super::rules::RuleChain| chain.family == family && chain.table == table && chain.name == name;
        let Some(chain) = rules.chains.iter().find(this) else {
            return End::Through;
        };
        for rule in &chain.rules {
            if self.left == 0 || depth >= DEEPEST {
                found.unclear = true;
                return End::Through;
            }
            self.left -= 1;
            let mut way = given.clone();
            let verdict = self.rule(family, table, rule, &mut way, found);
            let sure = way.len() == given.len();
            match verdict {
                None | Some(RuleVerdict::Continue) => {}
                Some(verdict @ (RuleVerdict::Accept | RuleVerdict::Drop)) => {
                    let lets_in = verdict == RuleVerdict::Accept;
                    found.keep(way, lets_in);
                    if sure {
                        return End::Decided(lets_in);
                    }
                }
                Some(RuleVerdict::Return) if sure => return End::Through,
                Some(RuleVerdict::Jump(next)) => {
                    let end = self.chain(family, table, &next, &way, depth + 1, found);
                    if sure && end != End::Through {
                        return end;
                    }
                }
                Some(RuleVerdict::Goto(next)) => {
                    let end = self.chain(family, table, &next, &way, depth + 1, found);
                    if sure {
                        return end;
                    }
                    // Packets that went there do not return here, and the policy decides about them.
                    found.unclear = true;
                }
                // Packets that return early can no longer be told apart from the others.
                Some(RuleVerdict::Return | RuleVerdict::Other(_)) => {
                    found.unclear = true;
                }
            }
        }
        End::Through
    }

    /// Returns the verdict of a rule if it may match, and adds its conditions to `way`.
    fn rule(
        &self,
        family: ChainFamily,
        table: &[u8],
        rule: &Rule,
        way: &mut FilterPath,
        found: &mut Found,
    ) -> Option<RuleVerdict> {
        let mut registers: Vec<(u32, Content)> = Vec::new();
        let set = |name: &[u8]| {
            let mut sets = self.rules.sets.iter();
            sets.find(|set| set.family == family && set.table == table && set.name == name)
        };
        for step in rule {
            let matched = match step {
                Step::Verdict(verdict) => return Some(verdict.clone()),
                Step::Translate { here, address, port } => {
                    let translated = translated(&registers, *here, address.as_ref(), port.as_ref());
                    found.translate(way, translated);
                    return Some(RuleVerdict::Accept);
                }
                Step::Lookup {
                    register,
                    set: name,
                    inverted,
                    verdict,
                } => {
                    let content = get(&registers, *register);
                    if *verdict {
                        return mapped_verdict(set(name), content, way, found);
                    }
                    is_in(set(name), content, *inverted)
                }
                Step::Map {
                    register,
                    set: name,
                    to,
                } => map(set(name), &mut registers, *register, *to),
                other => self.step(other, &mut registers),
            };
            match matched {
                Match::Yes => {}
                Match::No => return None,
                Match::If(condition) => {
                    if !way.contains(&condition) {
                        way.push(condition);
                    }
                }
            }
        }
        None
    }

    /// Evaluates a step that neither ends a rule nor needs a set.
    fn step(&self, step: &Step, registers: &mut Vec<(u32, Content)>) -> Match {
        match step {
            Step::Load { register, source } => {
                put(registers, *register, self.load(source));
                Match::Yes
            }
            Step::Constant { register, value } => {
                put(registers, *register, Content::Known(value.clone()));
                Match::Yes
            }
            Step::Bits { from, to, mask, xor } => {
                let content = bits(get(registers, *from), mask, xor);
                put(registers, *to, content);
                Match::Yes
            }
            Step::Compare {
                register,
                operator,
                value,
            } => compare(get(registers, *register), *operator, value),
            Step::Range {
                register,
                low,
                high,
                outside,
            } => match get(registers, *register) {
                Content::Known(bytes) => {
                    let key = head(bytes, low.len());
                    sure((key >= &low[..] && key <= &high[..]) != *outside)
                }
                open => Match::If(open.name()),
            },
            Step::States { mask, inverted } => sure((mask & NEW != 0) != *inverted),
            Step::Port { low, high, inverted } => sure((*low..=*high).contains(&self.arrival.port) != *inverted),
            Step::Other(name) => Match::If(Condition::Other(name.clone())),
            Step::Never => Match::No,
            // The remaining steps are handled by `rule`.
            Step::Nothing | Step::Verdict(_) | Step::Translate { .. } | Step::Lookup { .. } | Step::Map { .. } => {
                Match::Yes
            }
        }
    }

    /// Returns what the query says about the packet.
    fn load(&self, source: &Source) -> Content {
        let v6 = v6(self.arrival.address);
        let arrival = &self.arrival;
        match source {
            Source::NetworkProtocol => Content::Known(vec![if v6 { 10 } else { 2 }]),
            Source::EtherType => Content::Known(if v6 { vec![0x86, 0xdd] } else { vec![0x08, 0x00] }),
            Source::TransportProtocol => Content::Known(vec![arrival.protocol]),
            Source::Interface => Content::Interface,
            Source::InterfaceName => Content::InterfaceName,
            Source::ConnectionState => Content::Known(NEW.to_ne_bytes().to_vec()),
            // `RTN_LOCAL`, `RTN_UNICAST`; `IPS_DST_NAT`.
            Source::DestinationType => Content::Known(if self.forwarded { 1u32 } else { 2u32 }.to_ne_bytes().to_vec()),
            Source::ConnectionStatus => {
                Content::Known(if self.forwarded { 1u32 << 5 } else { 0 }.to_ne_bytes().to_vec())
            }
            Source::Nothing(length) => Content::Known(vec![0; usize::from(*length)]),
            Source::Transport { offset: 2, length: 2 } => Content::Known(arrival.port.to_be_bytes().to_vec()),
            // The flags of the first segment: SYN (RFC 9293, 3.1).
            Source::Transport { offset: 13, length: 1 } if arrival.protocol == 6 => Content::Known(vec![2]),
            Source::Transport { offset: 0, .. } => Content::Unknown(b"the sender's port".to_vec()),
            // RFC 791, 3.1, and RFC 8200, 3.
            Source::Network { offset: 9, length: 1 } if !v6 => Content::Known(vec![arrival.protocol]),
            Source::Network { offset: 6, length: 1 } if v6 => Content::Known(vec![arrival.protocol]),
            Source::Network { offset, length } => {
                let (sender, here, size) = if v6 { (8, 24, 16) } else { (12, 16, 4) };
                // The mask is as wide as an address, whatever part of it is requested.
                let mut all = vec![0xff; (*length).min(size) as usize];
                all.resize(size as usize, 0);
                if *length > size {
                    Content::Unknown(b"the packet's header".to_vec())
                } else if *offset == sender {
                    Content::Open(Side::Sender, all)
                } else if *offset == here && arrival.address.is_unspecified() {
                    Content::Open(Side::Here, all)
                } else if *offset == here {
                    let bytes = match arrival.address.to_canonical() {
                        IpAddr::V4(v4) => v4.octets().to_vec(),
                        IpAddr::V6(v6) => v6.octets().to_vec(),
                    };
                    Content::Known(head(&bytes, *length as usize).to_vec())
                } else {
                    Content::Unknown(b"the packet's header".to_vec())
                }
            }
            Source::Transport { .. } => Content::Unknown(b"the packet's header".to_vec()),
            Source::Other(name) => Content::Unknown(name.clone()),
        }
    }
}

/// The state of a connection's first packet: `NF_CT_STATE_BIT(IP_CT_NEW)` (linux/netfilter/nf_conntrack_common.h).
const NEW: u32 = 1 << 3;

/// Returns the verdict that a map of verdicts has for `content`, which ends the rule. If the content is not known, any
/// of the verdicts may apply, and all are kept in `found`.
fn mapped_verdict(map: Option<&Set>, content: &Content, way: &FilterPath, found: &mut Found) -> Option<RuleVerdict> {
    if let (Some(map), Content::Known(bytes)) = (map, content)
        && !map.concatenated
    {
        return map.find(bytes).and_then(|element| element.verdict.clone());
    }
    let name = content.name();
    let elements = map.map_or(&[][..], |map| &map.elements);
    for element in elements.iter().filter(|element| !element.ends) {
        let mut way = way.clone();
        way.push(name.clone());
        match &element.verdict {
            Some(RuleVerdict::Accept) => found.keep(way, true),
            Some(RuleVerdict::Drop) => found.keep(way, false),
            Some(RuleVerdict::Continue) | None => {}
            _ => found.unclear = true,
        }
    }
    found.unclear |= map.is_none();
    None
}

impl Found {
    /// Records a new destination under the conditions of `way`, unless an unconditional one came before.
    fn translate(&mut self, way: &FilterPath, translated: Translated) {
        let first = !self.translations.iter().any(|(known, _)| known.is_empty());
        if first && self.translations.len() < MOST_WAYS {
            self.translations.push((way.clone(), translated));
        } else if first {
            self.unclear = true;
        }
    }

    /// Records a path with conditions; one without is reported by the end of the chain.
    fn keep(&mut self, way: FilterPath, lets_in: bool) {
        if way.is_empty() || self.ways.iter().any(|(one, _)| *one == way) {
            return;
        }
        if self.ways.len() < MOST_WAYS {
            self.ways.push((way, lets_in));
        } else if self.ways.len() == MOST_WAYS {
            self.ways
                .push((vec![Condition::Other(b"further rules".to_vec())], lets_in));
        } else if self.ways[MOST_WAYS].1 != lets_in {
            self.unclear = true;
        }
    }
}
