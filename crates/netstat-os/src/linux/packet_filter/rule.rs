//! Decodes rules and set elements of nftables (linux/netfilter/nf_tables.h). Numbers of the netlink protocol are in
//! network byte order; values in registers have the byte order of the packet, or of the kernel.

use netstat_model::packet_filter::ChainFamily;
use netstat_model::packet_filter::rules::{Element, Operand, Operator, Rule, RuleVerdict, Set, Source, Step};

use super::chain::{big, family};
use crate::linux::netlink::attributes::{Attributes, Malformed, text};

/// `enum nft_rule_attributes`.
mod of_rule {
    pub(super) const TABLE: u16 = 1;
    pub(super) const CHAIN: u16 = 2;
    pub(super) const EXPRESSIONS: u16 = 4;
}
/// `enum nft_expr_attributes`.
mod expression {
    pub(super) const NAME: u16 = 1;
    pub(super) const DATA: u16 = 2;
}
/// `enum nft_set_attributes`, and flags of `enum nft_set_flags`.
mod set {
    pub(super) const TABLE: u16 = 1;
    pub(super) const NAME: u16 = 2;
    pub(super) const FLAGS: u16 = 3;
    pub(super) const INTERVAL: u32 = 4;
    pub(super) const CONCATENATED: u32 = 0x80;
}
/// `enum nft_set_elem_list_attributes`, `enum nft_set_elem_attributes` and its flags.
mod element {
    pub(super) const TABLE: u16 = 1;
    pub(super) const SET: u16 = 2;
    pub(super) const ELEMENTS: u16 = 3;
    pub(super) const KEY: u16 = 1;
    pub(super) const DATA: u16 = 2;
    pub(super) const FLAGS: u16 = 3;
    pub(super) const INTERVAL_END: u32 = 1;
    pub(super) const CATCHALL: u32 = 2;
}

/// A rule and the chain that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The family of its table: which packets it applies to.
    pub family: ChainFamily,
    /// The name of its table.
    pub table: Vec<u8>,
    /// The name of its chain.
    pub chain: Vec<u8>,
    /// The rule.
    pub rule: Rule,
}

/// Decodes an answer to `NFT_MSG_GETRULE` without its netlink header; `None` for a rule of another family.
///
/// # Errors
/// Returns an error if the data does not have the structure that the kernel's headers define.
pub fn parse_rule(answer: &[u8]) -> Result<Option<Placed>, Malformed> {
    let (Some(&number), Some(attributes)) = (answer.first(), answer.get(4..)) else {
        return Err(Malformed("a rule without its head"));
    };
    let Some(family) = family(number) else { return Ok(None) };
    let mut placed = Placed {
        family,
        table: Vec::new(),
        chain: Vec::new(),
        rule: Rule::new(),
    };
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        match attribute.kind {
            of_rule::TABLE => placed.table = text(attribute.value).to_vec(),
            of_rule::CHAIN => placed.chain = text(attribute.value).to_vec(),
            of_rule::EXPRESSIONS => {
                for one in Attributes(attribute.value) {
                    placed.rule.extend(parse_expression(one?.value)?);
                }
            }
            _ => {}
        }
    }
    Ok(Some(placed))
}

/// Decodes an answer to `NFT_MSG_GETSET` without its netlink header. The set has no elements yet. `None` for a set of
/// another family.
///
/// # Errors
/// Returns an error if the data does not have the structure that the kernel's headers define.
pub fn parse_set(answer: &[u8]) -> Result<Option<Set>, Malformed> {
    let (Some(&number), Some(attributes)) = (answer.first(), answer.get(4..)) else {
        return Err(Malformed("a set without its head"));
    };
    let Some(family) = family(number) else { return Ok(None) };
    let (mut table, mut name, mut flags) = (Vec::new(), Vec::new(), 0);
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        match attribute.kind {
            set::TABLE => table = text(attribute.value).to_vec(),
            set::NAME => name = text(attribute.value).to_vec(),
            set::FLAGS => flags = big(attribute.value)?,
            _ => {}
        }
    }
    Ok(Some(Set {
        family,
        table,
        name,
        intervals: flags & set::INTERVAL != 0,
        concatenated: flags & set::CONCATENATED != 0,
        elements: Vec::new(),
    }))
}

/// The attributes that identify a set in `NFT_MSG_GETSETELEM`.
pub(super) const ELEMENTS_OF: (u16, u16) = (element::TABLE, element::SET);

/// Decodes an answer to `NFT_MSG_GETSETELEM` without its netlink header, and appends the elements to `elements`.
///
/// # Errors
/// Returns an error if the data does not have the structure that the kernel's headers define.
pub fn parse_elements(answer: &[u8], elements: &mut Vec<Element>) -> Result<(), Malformed> {
    let attributes = answer.get(4..).ok_or(Malformed("elements without their head"))?;
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        if attribute.kind != element::ELEMENTS {
            continue;
        }
        for one in Attributes(attribute.value) {
            elements.push(parse_element(one?.value)?);
        }
    }
    Ok(())
}

fn parse_element(nested: &[u8]) -> Result<Element, Malformed> {
    let (mut key, mut verdict, mut flags, mut data) = (Vec::new(), None, 0, Vec::new());
    for attribute in Attributes(nested) {
        let attribute = attribute?;
        match attribute.kind {
            element::KEY => key = value(attribute.value)?,
            element::DATA => {
                verdict = parse_verdict(attribute.value)?;
                data = value(attribute.value)?;
            }
            element::FLAGS => flags = big(attribute.value)?,
            _ => {}
        }
    }
    Ok(Element {
        key,
        ends: flags & element::INTERVAL_END != 0,
        all_others: flags & element::CATCHALL != 0,
        verdict,
        data,
    })
}

/// Decodes the plain value in `enum nft_data_attributes`.
fn value(nested: &[u8]) -> Result<Vec<u8>, Malformed> {
    const VALUE: u16 = 1;
    for attribute in Attributes(nested) {
        let attribute = attribute?;
        if attribute.kind == VALUE {
            return Ok(attribute.value.to_vec());
        }
    }
    Ok(Vec::new())
}

/// Decodes the verdict in `enum nft_data_attributes` and `enum nft_verdict_attributes`; `None` if it is not a verdict.
fn parse_verdict(nested: &[u8]) -> Result<Option<RuleVerdict>, Malformed> {
    const VERDICT: u16 = 2;
    const CODE: u16 = 1;
    const CHAIN: u16 = 2;
    for attribute in Attributes(nested) {
        let attribute = attribute?;
        if attribute.kind != VERDICT {
            continue;
        }
        let (mut code, mut chain) = (None, Vec::new());
        for one in Attributes(attribute.value) {
            let one = one?;
            match one.kind {
                CODE => code = Some(big(one.value)?.cast_signed()),
                CHAIN => chain = text(one.value).to_vec(),
                _ => {}
            }
        }
        return Ok(Some(match code.ok_or(Malformed("a verdict without its code"))? {
            // `NF_DROP`, `NF_ACCEPT` (linux/netfilter.h), `enum nft_verdicts`.
            0 => RuleVerdict::Drop,
            1 => RuleVerdict::Accept,
            -1 => RuleVerdict::Continue,
            // NFT_BREAK: the rule does not match.
            -2 => RuleVerdict::Continue,
            -3 => RuleVerdict::Jump(chain),
            -4 => RuleVerdict::Goto(chain),
            -5 => RuleVerdict::Return,
            _ => RuleVerdict::Other(b"another program".to_vec()),
        }));
    }
    Ok(None)
}

/// The attributes of an expression by number; all numbers are below the array's length.
struct Fields<'a>([Option<&'a [u8]>; 12]);

impl<'a> Fields<'a> {
    fn of(nested: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = [None; 12];
        for attribute in Attributes(nested) {
            let attribute = attribute?;
            if let Some(field) = fields.get_mut(usize::from(attribute.kind)) {
                *field = Some(attribute.value);
            }
        }
        Ok(Fields(fields))
    }

    fn bytes(&self, number: usize) -> &'a [u8] {
        self.0.get(number).copied().flatten().unwrap_or(&[])
    }

    fn number(&self, number: usize) -> Result<u32, Malformed> {
        big(self.bytes(number))
    }

    /// Returns a number, or 0 if it is missing.
    fn number_or_0(&self, number: usize) -> Result<u32, Malformed> {
        self.0[number].map_or(Ok(0), big)
    }

    fn has(&self, number: usize) -> bool {
        self.0[number].is_some()
    }

    /// Decodes `enum nft_registers`: four registers of 16 bytes, or the same space in registers of 4 bytes. `None` is
    /// the verdict register.
    fn register(&self, number: usize) -> Result<Option<u32>, Malformed> {
        match self.number(number)? {
            0 => Ok(None),
            wide @ 1..=4 => Ok(Some((wide - 1) * 16)),
            narrow @ 8..=23 => Ok(Some((narrow - 8) * 4)),
            _ => Err(Malformed("a register that does not exist")),
        }
    }

    /// Returns a register that is optional.
    fn operand(&self, number: usize) -> Result<Option<Operand>, Malformed> {
        match self.has(number) {
            true => Ok(Some(Operand::Register(self.value_register(number)?))),
            false => Ok(None),
        }
    }

    fn value_register(&self, number: usize) -> Result<u32, Malformed> {
        self.register(number)?
            .ok_or(Malformed("a value in the verdict's register"))
    }
}

fn parse_expression(nested: &[u8]) -> Result<Option<Step>, Malformed> {
    let (mut name, mut data): (&[u8], &[u8]) = (b"", b"");
    for attribute in Attributes(nested) {
        let attribute = attribute?;
        match attribute.kind {
            expression::NAME => name = text(attribute.value),
            expression::DATA => data = attribute.value,
            _ => {}
        }
    }
    let fields = Fields::of(data)?;
    Ok(Some(match name {
        b"counter" | b"log" | b"last" | b"notrack" => Step::Nothing,
        // `enum nft_objref_attributes`; `NFT_OBJECT_COUNTER`, `NFT_OBJECT_CT_HELPER`.
        b"objref" if matches!(fields.number_or_0(1)?, 1 | 3) => Step::Nothing,
        b"meta" | b"ct" | b"payload" | b"fib" => load(name, &fields)?,
        b"cmp" => compare(&fields)?,
        // `enum nft_range_attributes`, `enum nft_range_ops`.
        b"range" => Step::Range {
            register: fields.value_register(1)?,
            outside: fields.number(2)? == 1,
            low: value(fields.bytes(3))?,
            high: value(fields.bytes(4))?,
        },
        // `enum nft_bitwise_attributes`; operations other than mask and xor are shifts.
        b"bitwise" if fields.number_or_0(6)? == 0 => Step::Bits {
            from: fields.value_register(1)?,
            to: fields.value_register(2)?,
            mask: value(fields.bytes(4))?,
            xor: value(fields.bytes(5))?,
        },
        b"lookup" => lookup(&fields)?,
        // `enum nft_immediate_attributes`.
        b"immediate" => match fields.register(1)? {
            None => Step::Verdict(parse_verdict(fields.bytes(2))?.ok_or(Malformed("a rule without its verdict"))?),
            Some(register) => Step::Constant {
                register,
                value: value(fields.bytes(2))?,
            },
        },
        b"reject" => Step::Verdict(RuleVerdict::Drop),
        b"queue" => Step::Verdict(RuleVerdict::Other(b"another program (queue)".to_vec())),
        b"nat" | b"redir" | b"masq" => translation(name, &fields)?,
        b"limit" => Step::Other(b"how many come (limit)".to_vec()),
        b"connlimit" => Step::Other(b"how many are connected (connlimit)".to_vec()),
        b"quota" => Step::Other(b"how much has come (quota)".to_vec()),
        // `enum nft_match_attributes`, `enum nft_target_attributes` (linux/netfilter/nf_tables_compat.h).
        b"match" => compat_match(text(fields.bytes(1)), fields.number_or_0(2)?, fields.bytes(3)),
        b"target" => compat_target(&fields)?,
        other => Step::Other(other.to_vec()),
    }))
}

/// Decodes an expression that loads a register.
fn load(name: &[u8], fields: &Fields<'_>) -> Result<Step, Malformed> {
    // With a source register, the expression sets a value instead: this attribute in `enum nft_meta_attributes`,
    // `nft_ct_attributes` and `nft_payload_attributes`.
    let sets = match name {
        b"meta" => fields.has(3),
        b"ct" => fields.has(4),
        b"payload" => fields.has(5),
        _ => false,
    };
    if sets {
        return Ok(Step::Nothing);
    }
    let register = fields.value_register(1)?;
    let source = match name {
        b"meta" => meta(fields.number(2)?),
        b"ct" => match fields.number(2)? {
            // `enum nft_ct_keys`: state, direction, status. Addresses that were translated are not considered.
            0 => Source::ConnectionState,
            1 => Source::Nothing(1),
            2 => Source::ConnectionStatus,
            _ => Source::Other(b"what is kept of the connection (ct)".to_vec()),
        },
        b"payload" => {
            let (offset, length) = (fields.number(3)?, fields.number(4)?);
            // `enum nft_payload_bases`.
            match fields.number(2)? {
                1 => Source::Network { offset, length },
                2 => Source::Transport { offset, length },
                _ => Source::Other(b"the frame's header".to_vec()),
            }
        }
        // `enum nft_fib_attributes`, `NFT_FIB_RESULT_ADDRTYPE`, `NFTA_FIB_F_DADDR`.
        _ => match (fields.number_or_0(2)?, fields.number_or_0(3)?) {
            (3, 2) => Source::DestinationType,
            _ => Source::Other(b"where it would be routed (fib)".to_vec()),
        },
    };
    Ok(Step::Load { register, source })
}

/// `enum nft_cmp_attributes`, `enum nft_cmp_ops`.
fn compare(fields: &Fields<'_>) -> Result<Step, Malformed> {
    Ok(Step::Compare {
        register: fields.value_register(1)?,
        operator: match fields.number(2)? {
            0 => Operator::Equal,
            1 => Operator::NotEqual,
            2 => Operator::Less,
            3 => Operator::LessOrEqual,
            4 => Operator::Greater,
            5 => Operator::GreaterOrEqual,
            _ => return Err(Malformed("a comparison that does not exist")),
        },
        value: value(fields.bytes(3))?,
    })
}

/// `enum nft_lookup_attributes`, `NFT_LOOKUP_F_INV`.
fn lookup(fields: &Fields<'_>) -> Result<Step, Malformed> {
    let (register, set) = (fields.value_register(2)?, text(fields.bytes(1)).to_vec());
    let maps = fields.has(3);
    let verdict = maps && fields.register(3)?.is_none();
    Ok(match maps && !verdict {
        true => Step::Map {
            register,
            set,
            to: fields.value_register(3)?,
        },
        false => Step::Lookup {
            register,
            set,
            inverted: fields.number_or_0(5)? & 1 != 0,
            verdict,
        },
    })
}

/// Decodes an expression that translates addresses. A translation of the source address alone lets the packet pass.
fn translation(name: &[u8], fields: &Fields<'_>) -> Result<Step, Malformed> {
    Ok(match name {
        // `enum nft_nat_attributes`, `NFT_NAT_DNAT`.
        b"nat" if fields.number_or_0(1)? == 1 => Step::Translate {
            here: false,
            address: fields.operand(3)?,
            port: fields.operand(5)?,
        },
        // `enum nft_redir_attributes`.
        b"redir" => Step::Translate {
            here: true,
            address: None,
            port: fields.operand(1)?,
        },
        _ => Step::Verdict(RuleVerdict::Accept),
    })
}

/// Decodes a target of legacy iptables.
fn compat_target(fields: &Fields<'_>) -> Result<Step, Malformed> {
    Ok(match text(fields.bytes(1)) {
        b"REJECT" | b"DROP" => Step::Verdict(RuleVerdict::Drop),
        name @ (b"DNAT" | b"REDIRECT") => compat_translation(name, fields.number_or_0(2)?, fields.bytes(3)),
        b"LOG" | b"NFLOG" | b"MARK" | b"CONNMARK" | b"CT" | b"TCPMSS" | b"SECMARK" | b"CONNSECMARK" => Step::Nothing,
        other => Step::Verdict(RuleVerdict::Other(other.to_vec())),
    })
}

/// `enum nft_meta_keys`.
fn meta(key: u32) -> Source {
    match key {
        1 => Source::EtherType,
        4 => Source::Interface,
        6 => Source::InterfaceName,
        15 => Source::NetworkProtocol,
        16 => Source::TransportProtocol,
        // `PACKET_HOST`: the frame is for this computer.
        19 => Source::Nothing(1),
        3 => Source::Other(b"the packet's mark".to_vec()),
        _ => Source::Other(b"the packet's circumstances (meta)".to_vec()),
    }
}

/// Decodes the new destination of an iptables target: `struct nf_nat_ipv4_multi_range_compat` (revision 0 for IPv4),
/// `struct nf_nat_range` and `struct nf_nat_range2` (linux/netfilter/nf_nat.h).
fn compat_translation(name: &[u8], revision: u32, info: &[u8]) -> Step {
    /// `NF_NAT_RANGE_MAP_IPS`, `NF_NAT_RANGE_PROTO_SPECIFIED`.
    const MAP_IPS: u32 = 1;
    const PROTO: u32 = 2;
    let number = |at: usize| {
        info.get(at..at + 4)
            .and_then(<[u8]>::first_chunk)
            .map(|four| u32::from_ne_bytes(*four))
    };
    let bytes = |at: usize, length: usize| info.get(at..at + length).map(|bytes| Operand::Constant(bytes.to_vec()));
    // The older structure has 20 bytes, rounded up to 24; the newer ones have 40 or more.
    let (flags, address, port) = match (revision, info.len()) {
        (0, 20..=24) => (number(4), bytes(8, 4), bytes(16, 2)),
        _ => {
            // An IPv4 address leaves the rest of its 16 bytes zero; nothing else distinguishes the families.
            let v6 = info.get(8..20).is_some_and(|rest| rest.iter().any(|&byte| byte != 0));
            (number(0), bytes(4, if v6 { 16 } else { 4 }), bytes(36, 2))
        }
    };
    match flags {
        Some(flags) => Step::Translate {
            here: name == b"REDIRECT",
            address: address.filter(|_| flags & MAP_IPS != 0 && name == b"DNAT"),
            port: port.filter(|_| flags & PROTO != 0),
        },
        None => Step::Other([b"a target of iptables: ", name].concat()),
    }
}

/// Decodes a match of legacy iptables that iptables-nft passes on unchanged; its structure is defined in the header of
/// the same name.
fn compat_match(name: &[u8], revision: u32, info: &[u8]) -> Step {
    let short = |at: usize| info.get(at..at + 2).map(|two| u16::from_ne_bytes([two[0], two[1]]));
    let unknown = || Step::Other([b"a match of iptables: ", name].concat());
    match (name, revision) {
        (b"comment", _) => Step::Nothing,
        // `struct xt_conntrack_mtinfo3` (linux/netfilter/xt_conntrack.h), from its match_flags on; `XT_CONNTRACK_STATE`.
        (b"conntrack", 3) => match (short(146), short(148), short(150)) {
            (Some(1), Some(invert), Some(mask)) => Step::States {
                mask: u32::from(mask),
                inverted: invert & 1 != 0,
            },
            _ => unknown(),
        },
        // `struct xt_state_info` (linux/netfilter/xt_state.h).
        (b"state", _) => match info.first_chunk() {
            Some(mask) => Step::States {
                mask: u32::from_ne_bytes(*mask),
                inverted: false,
            },
            None => unknown(),
        },
        // `struct xt_tcp`, `struct xt_udp` (linux/netfilter/xt_tcpudp.h): source ports, destination ports, ...
        (b"tcp" | b"udp", 0) => {
            let inverted_at = if name == b"tcp" { 11 } else { 8 };
            // Matches on TCP options and flags are not supported.
            let plain = name == b"udp" || info.get(8..11) == Some(&[0, 0, 0]);
            match (short(0), short(2), short(4), short(6), info.get(inverted_at)) {
                (Some(0), Some(u16::MAX), Some(low), Some(high), Some(invert)) if plain && invert & !2 == 0 => {
                    Step::Port {
                        low,
                        high,
                        inverted: invert & 2 != 0,
                    }
                }
                _ => unknown(),
            }
        }
        // `struct xt_addrtype_info_v1` (linux/netfilter/xt_addrtype.h): the destination is a local address
        // (`XT_ADDRTYPE_LOCAL`).
        (b"addrtype", 1) => match (short(0), short(2), info.get(4..8)) {
            (Some(0), Some(to), Some(&[0, 0, 0, 0])) if to & 1 << 2 != 0 => Step::Nothing,
            (Some(0), Some(_), Some(&[0, 0, 0, 0])) => Step::Never,
            _ => unknown(),
        },
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::{attribute, body};
    use proptest::prelude::*;

    fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        body(&[], attributes)
    }

    fn expression(name: &[u8], fields: &[(u16, &[u8])]) -> Vec<u8> {
        attribute(1, &nested(&[(1, name), (2, &nested(fields))]))
    }

    fn number(number: u32) -> [u8; 4] {
        number.to_be_bytes()
    }

    /// `tcp dport 22 accept` in chain `input` of table `filter`, as `nft` encodes it.
    fn ssh() -> Vec<u8> {
        let expressions = [
            expression(b"meta\0", &[(1, &number(1)), (2, &number(16))]),
            expression(
                b"cmp\0",
                &[(1, &number(1)), (2, &number(0)), (3, &nested(&[(1, &[6])]))],
            ),
            expression(
                b"payload\0",
                &[(1, &number(1)), (2, &number(2)), (3, &number(2)), (4, &number(2))],
            ),
            expression(
                b"cmp\0",
                &[(1, &number(1)), (2, &number(0)), (3, &nested(&[(1, &[0, 22])]))],
            ),
            expression(b"counter\0", &[]),
            expression(
                b"immediate\0",
                &[(1, &number(0)), (2, &nested(&[(2, &nested(&[(1, &number(1))]))]))],
            ),
        ]
        .concat();
        body(&[1, 0, 0, 0], &[(1, b"filter\0"), (2, b"input\0"), (4, &expressions)])
    }

    #[test]
    fn parse_rule_is_read_step_by_step() {
        let placed = parse_rule(&ssh()).unwrap().unwrap();
        assert_eq!((placed.family, &placed.table[..]), (ChainFamily::Inet, &b"filter"[..]));
        assert_eq!(placed.chain, b"input");
        let compare = |value: &[u8]| Step::Compare {
            register: 0,
            operator: Operator::Equal,
            value: value.to_vec(),
        };
        let load = |source| Step::Load { register: 0, source };
        let expected = [
            load(Source::TransportProtocol),
            compare(&[6]),
            load(Source::Transport { offset: 2, length: 2 }),
            compare(&[0, 22]),
            Step::Nothing,
            Step::Verdict(RuleVerdict::Accept),
        ];
        assert_eq!(placed.rule, expected);
    }

    #[test]
    fn parse_set_and_elements_are_read() {
        let set = body(&[2, 0, 0, 0], &[(1, b"t\0"), (2, b"s\0"), (3, &number(4 | 8))]);
        let set = parse_set(&set).unwrap().unwrap();
        assert_eq!(
            (set.family, set.intervals, set.concatenated),
            (ChainFamily::Ip, true, false)
        );
        let drop = nested(&[(2, &nested(&[(1, &number(0))]))]);
        let element = nested(&[(1, &nested(&[(1, &[10, 0, 0, 0])])), (2, &drop)]);
        let end = nested(&[(1, &nested(&[(1, &[11, 0, 0, 0])])), (3, &number(1))]);
        let list = [attribute(1, &element), attribute(1, &end)].concat();
        let mut elements = Vec::new();
        parse_elements(&body(&[2, 0, 0, 0], &[(3, &list)]), &mut elements).unwrap();
        assert_eq!(elements[0].verdict, Some(RuleVerdict::Drop));
        assert_eq!((&elements[0].key[..], elements[0].ends), (&[10, 0, 0, 0][..], false));
        assert!(elements[1].ends && elements[1].verdict.is_none());
    }

    #[test]
    fn compat_match_plain_is_read_and_other_is_kept_as_other() {
        let mut states = vec![0; 164];
        states[146] = 1;
        states[150] = 0b110;
        let expected = Step::States {
            mask: 0b110,
            inverted: false,
        };
        assert_eq!(compat_match(b"conntrack", 3, &states), expected);
        states[146] = 3;
        assert!(matches!(compat_match(b"conntrack", 3, &states), Step::Other(_)));
        // All source ports, 22 as the destination, no options, no flags.
        let tcp = [0, 0, 0xff, 0xff, 22, 0, 22, 0, 0, 0, 0, 0];
        let expected = Step::Port {
            low: 22,
            high: 22,
            inverted: false,
        };
        assert_eq!(compat_match(b"tcp", 0, &tcp), expected);
        assert!(matches!(compat_match(b"tcp", 0, &tcp[..7]), Step::Other(_)));
        assert!(matches!(compat_match(b"u32", 0, &[]), Step::Other(_)));
    }

    #[test]
    fn parse_rule_cut_is_error_or_shorter_rule() {
        let whole = ssh();
        for end in 0..whole.len() {
            if let Ok(Some(placed)) = parse_rule(&whole[..end]) {
                assert!(placed.rule.len() < 6, "{end} of {}", whole.len());
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, revision: u32) {
            let _ = parse_rule(&bytes);
            let _ = parse_set(&bytes);
            let _ = parse_elements(&bytes, &mut Vec::new());
            for name in [&b"tcp"[..], b"udp", b"conntrack", b"state", b"addrtype", b"x"] {
                let _ = compat_match(name, revision % 4, &bytes);
            }
        }

        #[test]
        fn parse_rule_damaged_never_panics(at in 0usize..400, byte: u8) {
            let mut bytes = ssh();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = parse_rule(&bytes);
        }
    }
}
