//! What the rules of nftables come to for a port: whether those outside who begin a connection get through.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::rules::{Element, Operand, Operator, Rule, RuleVerdict, Ruleset, Set, Source, Step};
use super::{Chain, ChainFamily, Hook, PacketFilter};
use crate::{Fact, Network, text};

/// Chains asked by chains, at most: as many as the kernel follows (`NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 16;
/// Rules looked at for one question, at most.
const MOST_RULES: usize = 100_000;
/// Ways in that are kept, at most.
const MOST_WAYS: usize = 8;

/// The first packet of somebody on another computer who wants to reach a port here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The transport protocol's number: 6 TCP, 17 UDP (IANA "Assigned Internet Protocol Numbers").
    pub protocol: u8,
    /// The port here.
    pub port: u16,
    /// The address here; unspecified: any of the computer's.
    pub address: IpAddr,
}

/// Something about the packet that the question leaves open, and a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The sender is in this network, or not.
    Sender(Network, bool),
    /// It is sent to an address in this network, or not.
    Address(Network, bool),
    /// It came over this interface, or not. Escape before printing.
    Interface(Vec<u8>, bool),
    /// Anything else, in short: `the sender's port`, `limit`. Escape before printing.
    Other(Vec<u8>),
}

/// Where a packet goes whose destination a rule has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// Whether it stays on this computer.
    pub here: bool,
    /// The new address; `None` where it stays here, keeps its address, or cannot be worked out.
    pub address: Option<IpAddr>,
    /// The new port; `None`: the old one, or one that cannot be worked out.
    pub port: Option<u16>,
    /// Whether address and port are all that there is to know: else they come from somewhere that is not worked out.
    pub known: bool,
}

/// All conditions of one way through the rules hold together.
pub type FilterPath = Vec<Condition>;

/// What the filters make of an [`Arrival`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterVerdict {
    /// Everybody gets through.
    Everybody,
    /// Nobody does.
    Nobody,
    /// Only these ways lead through.
    Only(Vec<FilterPath>),
    /// Everybody gets through but on these ways.
    AllBut(Vec<FilterPath>),
    /// It depends on these, in a manner that is not worked out.
    Depends(Vec<FilterPath>),
    /// It cannot be decided: the reason, in plain English.
    Unknown(&'static str),
}

impl fmt::Display for Condition {
    /// Safe to print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |is: &bool| if *is { "" } else { "not " };
        match self {
            Condition::Sender(network, is) => write!(f, "{}from {network}", not(is)),
            Condition::Address(network, is) => write!(f, "{}to {network}", not(is)),
            Condition::Interface(name, is) => write!(f, "{}over {}", not(is), text::escape(name)),
            Condition::Other(what) => write!(f, "{}", text::escape(what)),
        }
    }
}

/// A register's content.
#[derive(Clone, Debug)]
enum Content {
    /// These bytes.
    Known(Vec<u8>),
    /// An address that the question leaves open, and the bits of it that are asked for.
    Open(Side, Vec<u8>),
    Interface,
    InterfaceName,
    /// Something that the question does not say, by name.
    Unknown(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sender,
    Here,
}

/// Whether a step matches.
enum Match {
    Yes,
    No,
    /// Under this condition.
    If(Condition),
}

/// What has been found out on the way through a chain.
#[derive(Debug, Default)]
struct Found {
    /// Ways on which a rule decides, in the order in which they are met, and whether it lets in.
    ways: Vec<(FilterPath, bool)>,
    /// A way was passed over that may end otherwise.
    unclear: bool,
    /// New destinations, in the order in which they are met, with the conditions of each.
    translations: Vec<(FilterPath, Translated)>,
}

/// How a chain ends for what no rule with conditions has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A rule without conditions lets it in, or keeps it out.
    Decided(bool),
    /// The chain's end was reached.
    Through,
}

struct Evaluator<'a> {
    rules: &'a Ruleset,
    arrival: Arrival,
    /// Whether the packet's destination has been changed already, and it goes on to another computer.
    forwarded: bool,
    left: usize,
}

impl PacketFilter {
    /// What becomes of `arrival`: its first packet, from another computer, over an interface other than the loopback. Rules that
    /// change addresses (`nat`) are left out: see [`PacketFilter::published`].
    pub fn evaluate(&self, arrival: Arrival) -> FilterVerdict {
        self.judge(arrival, false)
    }

    /// The same for a packet that goes on to `arrival`'s address and port behind this computer, after a rule has changed its
    /// destination to that.
    pub fn evaluate_forwarded(&self, arrival: Arrival) -> FilterVerdict {
        self.judge(arrival, true)
    }

    /// The new destinations that rules give to `arrival`, in the order in which they are tried, with the conditions of each; and
    /// whether there may be others that are not worked out.
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
            // The destination was another one there.
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
        // Frames of one interface: another one may lead around it.
        ChainFamily::Netdev => true,
        ChainFamily::Bridge => false,
    }
}

/// Whether packets to this address are of IPv6: an IPv4-mapped one counts as IPv4.
fn v6(address: IpAddr) -> bool {
    address.to_canonical().is_ipv6()
}

impl FilterVerdict {
    /// One filter behind another.
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
    /// What a chain with a hook makes of the packet.
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
        // Ways that end as all others do need not be named, unless they come before one that ends otherwise.
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
        // A chain of one interface's frames keeps nothing out that comes over another.
        match passage {
            FilterVerdict::Nobody if chain.family == ChainFamily::Netdev || chain.hook == Hook::Ingress => {
                FilterVerdict::AllBut(vec![vec![Condition::Other(
                    b"the interface of an ingress chain".to_vec(),
                )]])
            }
            passage => passage,
        }
    }

    /// Follows a chain; `given` are the conditions under which it is asked.
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
                    // What went there does not come back here, and its end is the policy.
                    found.unclear = true;
                }
                // Packets that return early are no longer distinguished from the others.
                Some(RuleVerdict::Return | RuleVerdict::Other(_)) => {
                    found.unclear = true;
                }
            }
        }
        End::Through
    }

    /// The verdict of a rule if it may match, with the conditions added to `way`.
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

    /// A step that neither ends a rule nor needs a set.
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
            // The others are dealt with by `rule`.
            Step::Nothing | Step::Verdict(_) | Step::Translate { .. } | Step::Lookup { .. } | Step::Map { .. } => {
                Match::Yes
            }
        }
    }

    /// What the question says about the packet.
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
                // As wide as an address, whatever part of it is asked for.
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

fn sure(is: bool) -> Match {
    if is { Match::Yes } else { Match::No }
}

fn head(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

/// The verdict that a map of verdicts has for `content`, which ends the rule. Where the content is open any of them may be taken: all
/// are kept in `found` then.
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

/// Whether `content` is in a set, or with `inverted` is not.
fn is_in(set: Option<&Set>, content: &Content, inverted: bool) -> Match {
    match (set, content) {
        (Some(set), Content::Known(bytes)) if !set.concatenated => sure(set.find(bytes).is_some() != inverted),
        (Some(set), Content::Open(side, _)) if !set.concatenated => Match::If(match set.only_network() {
            Some(network) => side.condition(network, !inverted),
            None => content.name(),
        }),
        (_, content) => Match::If(content.name()),
    }
}

/// Loads the register `to` with what a map has for the content of another.
fn map(map: Option<&Set>, registers: &mut Vec<(u32, Content)>, from: u32, to: u32) -> Match {
    let data = match (map, get(registers, from)) {
        (Some(map), Content::Known(bytes)) if !map.concatenated => {
            Some(map.find(bytes).map(|element| element.data.clone()))
        }
        _ => None,
    };
    match data {
        Some(Some(data)) => put_pieces(registers, to, &data),
        Some(None) => return Match::No,
        None => put(registers, to, Content::Unknown(b"a map".to_vec())),
    }
    Match::Yes
}

/// The new destination in these operands.
fn translated(
    registers: &[(u32, Content)],
    here: bool,
    address: Option<&Operand>,
    port: Option<&Operand>,
) -> Translated {
    let bytes = |operand: &Operand| match operand {
        Operand::Constant(bytes) => Some(bytes.clone()),
        Operand::Register(register) => match get(registers, *register) {
            Content::Known(bytes) if !bytes.is_empty() => Some(bytes.clone()),
            _ => None,
        },
    };
    let read_address = |bytes: Vec<u8>| match bytes.len() {
        0..4 => None,
        // A map's value goes on with the port behind an address of IPv4.
        4..16 => Some(IpAddr::from(<[u8; 4]>::try_from(&bytes[..4]).ok()?)),
        _ => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..16]).ok()?))),
    };
    let read_port = |bytes: Vec<u8>| Some(u16::from_be_bytes(*bytes.first_chunk()?));
    let new_address = address.and_then(bytes).and_then(read_address);
    let new_port = port.and_then(bytes).and_then(read_port);
    Translated {
        here,
        address: new_address,
        port: new_port,
        known: new_address.is_some() == address.is_some() && new_port.is_some() == port.is_some(),
    }
}

/// A value that is longer than a piece of four bytes stands in the registers behind, too.
fn put_pieces(registers: &mut Vec<(u32, Content)>, register: u32, value: &[u8]) {
    for (place, at) in (0..value.len()).step_by(4).enumerate() {
        // Values have at most 64 bytes (`NFT_REG_SIZE` times four).
        put(
            registers,
            register + 4 * place as u32,
            Content::Known(value[at..].to_vec()),
        );
    }
}

impl Found {
    /// Takes note of a new destination under the conditions of `way`, unless one without conditions came before.
    fn translate(&mut self, way: &FilterPath, translated: Translated) {
        let first = !self.translations.iter().any(|(known, _)| known.is_empty());
        if first && self.translations.len() < MOST_WAYS {
            self.translations.push((way.clone(), translated));
        } else if first {
            self.unclear = true;
        }
    }

    /// Takes note of a way with conditions; one without them is reported by the chain's end.
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

fn put(registers: &mut Vec<(u32, Content)>, register: u32, content: Content) {
    registers.retain(|(one, _)| *one != register);
    registers.push((register, content));
}

fn get(registers: &[(u32, Content)], register: u32) -> &Content {
    const NOTHING: &Content = &Content::Known(Vec::new());
    registers
        .iter()
        .find(|(one, _)| *one == register)
        .map_or(NOTHING, |(_, content)| content)
}

impl Content {
    /// The condition for a question about it that is not evaluated.
    fn name(&self) -> Condition {
        Condition::Other(match self {
            Content::Known(_) => b"the packet".to_vec(),
            Content::Open(Side::Sender, _) => b"the sender's address".to_vec(),
            Content::Open(Side::Here, _) => b"the address here".to_vec(),
            Content::Interface | Content::InterfaceName => b"the interface".to_vec(),
            Content::Unknown(name) => name.clone(),
        })
    }
}

impl Side {
    fn condition(self, network: Network, is: bool) -> Condition {
        match self {
            Side::Sender => Condition::Sender(network, is),
            Side::Here => Condition::Address(network, is),
        }
    }
}

fn bits(content: &Content, mask: &[u8], xor: &[u8]) -> Content {
    match content {
        Content::Known(bytes) => Content::Known(
            bytes
                .iter()
                .zip(mask)
                .enumerate()
                .map(|(at, (byte, mask))| byte & mask ^ xor.get(at).copied().unwrap_or(0))
                .collect(),
        ),
        Content::Open(side, asked) if xor.iter().all(|&byte| byte == 0) => Content::Open(
            *side,
            asked.iter().zip(mask).map(|(asked, mask)| asked & mask).collect(),
        ),
        other => Content::Unknown(match other.name() {
            Condition::Other(name) => name,
            _ => Vec::new(),
        }),
    }
}

fn compare(content: &Content, operator: Operator, value: &[u8]) -> Match {
    let is = match operator {
        Operator::Equal => true,
        Operator::NotEqual => false,
        _ => match content {
            Content::Known(_) => true,
            open => return Match::If(open.name()),
        },
    };
    match content {
        Content::Known(bytes) => {
            let key = head(bytes, value.len());
            sure(match operator {
                Operator::Equal => key == value,
                Operator::NotEqual => key != value,
                Operator::Less => key < value,
                Operator::LessOrEqual => key <= value,
                Operator::Greater => key > value,
                Operator::GreaterOrEqual => key >= value,
            })
        }
        Content::Open(side, asked) => match network(asked, value) {
            Some(network) => Match::If(side.condition(network, is)),
            None => Match::If(content.name()),
        },
        // The loopback is interface 1 of every network namespace (`LOOPBACK_IFINDEX`), and the question is not about it.
        Content::Interface if value == 1u32.to_ne_bytes() => sure(!is),
        Content::InterfaceName if cut(value) == b"lo" => sure(!is),
        Content::InterfaceName => Match::If(Condition::Interface(cut(value).to_vec(), is)),
        Content::Interface | Content::Unknown(_) => Match::If(content.name()),
    }
}

/// A name up to its first zero.
fn cut(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or(name)
}

/// The network of the addresses whose bits under `asked`, as wide as an address, are those of `value`; `None` when that is not a network.
fn network(asked: &[u8], value: &[u8]) -> Option<Network> {
    let (mut mask, mut address) = ([0u8; 16], [0u8; 16]);
    for (at, (asked, value)) in asked.iter().zip(value).enumerate() {
        mask[at] = *asked;
        address[at] = *value;
    }
    let bits = u128::from_be_bytes(mask);
    let prefix = bits.leading_ones();
    if bits.count_ones() != prefix {
        return None;
    }
    let address = match asked.len() {
        4 => IpAddr::from([address[0], address[1], address[2], address[3]]),
        16 => IpAddr::V6(Ipv6Addr::from(address)),
        _ => return None,
    };
    Network::new(address, u8::try_from(prefix).ok()?)
}

impl Set {
    /// The element that `key` belongs to.
    fn find(&self, key: &[u8]) -> Option<&Element> {
        let real = || self.elements.iter().filter(|element| !element.all_others);
        let found = if self.intervals {
            // The last beginning or end that is not above the key.
            let below = real().filter(|element| element.key.as_slice() <= head(key, element.key.len()));
            below
                .max_by(|one, two| one.key.cmp(&two.key).then(two.ends.cmp(&one.ends)))
                .filter(|element| !element.ends)
        } else {
            real().find(|element| element.key == head(key, element.key.len()))
        };
        found.or_else(|| self.elements.iter().find(|element| element.all_others))
    }

    /// The network that the set is, if it is one.
    fn only_network(&self) -> Option<Network> {
        let mut begins = self.elements.iter().filter(|element| !element.ends);
        let (one, more) = (begins.next()?, begins.next());
        if more.is_some() || one.all_others {
            return None;
        }
        if !self.intervals {
            return network(&vec![0xff; one.key.len()], &one.key);
        }
        let end = self
            .elements
            .iter()
            .find(|element| element.ends && element.key > one.key)?;
        if one.key.len() > 16 || end.key.len() > 16 {
            return None;
        }
        let number = |key: &[u8]| key.iter().fold(0u128, |number, &byte| number << 8 | u128::from(byte));
        let (low, behind) = (number(&one.key), number(&end.key));
        let size = behind.checked_sub(low)?;
        if !size.is_power_of_two() || low % size != 0 {
            return None;
        }
        let width = one.key.len() * 8;
        let prefix = width.checked_sub(size.trailing_zeros() as usize)?;
        let address = match one.key.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(one.key.as_slice()).ok()?),
            16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(one.key.as_slice()).ok()?)),
            _ => return None,
        };
        Network::new(address, u8::try_from(prefix).ok()?)
    }
}
