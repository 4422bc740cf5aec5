//! Decodes policy rules (`RTM_NEWRULE`): `fib_rule_hdr` and its attributes, linux/fib_rules.h.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netstat_model::route::{PolicyRule, Prefix, RouteProtocol, RuleAction};

use crate::linux::netlink::attributes::{AF_INET, AF_INET6, Attributes, Malformed, address, number, u16_at, u32_at};

/// Size of `fib_rule_hdr` in bytes.
const HEADER: usize = 12;
/// `FIB_RULE_INVERT`.
const INVERT: u32 = 0x2;

/// `FRA_*`.
mod kind {
    pub(super) const DST: u16 = 1;
    pub(super) const SRC: u16 = 2;
    pub(super) const IIFNAME: u16 = 3;
    pub(super) const GOTO: u16 = 4;
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const FWMARK: u16 = 10;
    pub(super) const TUN_ID: u16 = 12;
    pub(super) const SUPPRESS_IFGROUP: u16 = 13;
    pub(super) const SUPPRESS_PREFIXLEN: u16 = 14;
    pub(super) const TABLE: u16 = 15;
    pub(super) const FWMASK: u16 = 16;
    pub(super) const OIFNAME: u16 = 17;
    pub(super) const L3MDEV: u16 = 19;
    pub(super) const UID_RANGE: u16 = 20;
    pub(super) const PROTOCOL: u16 = 21;
    pub(super) const IP_PROTO: u16 = 22;
    pub(super) const SPORT_RANGE: u16 = 23;
    pub(super) const DPORT_RANGE: u16 = 24;
}

/// Decodes the payload of a rule message; `None` for rules of families other than IPv4 and IPv6.
///
/// # Errors
/// Returns an error if a length or address is inconsistent with the header.
pub fn parse_rule(payload: &[u8]) -> Result<Option<PolicyRule>, Malformed> {
    let cut = Malformed("rule header cut off");
    let Some(&[family, to_length, from_length, tos, table, _, _, action]) = payload.first_chunk::<8>() else {
        return Err(cut);
    };
    let flags = u32_at(payload, 8).ok_or(cut)?;
    let (longest, unspecified) = match family {
        AF_INET => (32, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        AF_INET6 => (128, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => return Ok(None),
    };
    if to_length > longest || from_length > longest {
        return Err(Malformed("prefix longer than its address"));
    }
    let network = |length: u8| {
        (length > 0).then_some(Prefix {
            address: unspecified,
            length,
        })
    };
    let mut rule = PolicyRule {
        inverted: flags & INVERT != 0,
        to: network(to_length),
        from: network(from_length),
        tos,
        protocol: RouteProtocol(0),
        ..PolicyRule::lookup(family == AF_INET, 0, table.into())
    };
    let (mut table, mut target) = (u32::from(table), 0);
    let (mut mark, mut mask) = (None, None);
    for attribute in Attributes(payload.get(HEADER..).unwrap_or(&[])) {
        let attribute = attribute?;
        let value = attribute.value;
        match attribute.kind {
            kind::DST => set(&mut rule.to, address(family, value)?),
            kind::SRC => set(&mut rule.from, address(family, value)?),
            kind::IIFNAME => rule.input_interface = Some(name(value)),
            kind::OIFNAME => rule.output_interface = Some(name(value)),
            kind::GOTO => target = number(value)?,
            kind::PRIORITY => rule.priority = number(value)?,
            kind::FWMARK => mark = Some(number(value)?),
            kind::FWMASK => mask = Some(number(value)?),
            kind::TUN_ID => {
                rule.tunnel = value
                    .first_chunk::<8>()
                    .map(|key| u64::from_be_bytes(*key))
                    .filter(|&key| key != 0)
            }
            kind::SUPPRESS_IFGROUP => rule.suppress_interface_group = suppressed(number(value)?),
            kind::SUPPRESS_PREFIXLEN => rule.suppress_prefix_length = suppressed(number(value)?),
            kind::TABLE => table = number(value)?,
            kind::L3MDEV => rule.l3mdev = value.first().is_some_and(|&flag| flag != 0),
            kind::UID_RANGE => rule.users = u32_at(value, 0).zip(u32_at(value, 4)),
            kind::PROTOCOL => rule.protocol = RouteProtocol(value.first().copied().unwrap_or(0)),
            kind::IP_PROTO => rule.ip_protocol = value.first().copied().filter(|&protocol| protocol != 0),
            kind::SPORT_RANGE => rule.source_ports = u16_at(value, 0).zip(u16_at(value, 2)),
            kind::DPORT_RANGE => rule.destination_ports = u16_at(value, 0).zip(u16_at(value, 2)),
            _ => {}
        }
    }
    // The kernel reports a mask of 0 for a rule without a mark.
    rule.mark = match (mark, mask) {
        (mark, Some(mask)) if mask != 0 => Some((mark.unwrap_or(0), mask)),
        (Some(mark), None) if mark != 0 => Some((mark, u32::MAX)),
        _ => None,
    };
    rule.action = match action {
        1 => RuleAction::Lookup(table),
        2 => RuleAction::Goto(target),
        3 => RuleAction::Nop,
        6 => RuleAction::Blackhole,
        7 => RuleAction::Unreachable,
        8 => RuleAction::Prohibit,
        other => RuleAction::Other(other),
    };
    Ok(Some(rule))
}

fn set(network: &mut Option<Prefix>, address: IpAddr) {
    if let Some(network) = network {
        network.address = address;
    }
}

/// Returns a name without its terminating zero.
fn name(value: &[u8]) -> Vec<u8> {
    value.strip_suffix(&[0]).unwrap_or(value).to_vec()
}

/// Converts a suppressor; the kernel reports -1 if there is none.
fn suppressed(value: u32) -> Option<u32> {
    (value != u32::MAX).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::attribute;

    #[test]
    fn rule_of_wg_quick_is_read() {
        let mut payload = vec![AF_INET, 0, 0, 0, 0, 0, 0, 1];
        payload.extend(INVERT.to_ne_bytes());
        for (kind, value) in [
            (kind::PRIORITY, 32_765u32),
            (kind::FWMARK, 51_820),
            (kind::FWMASK, u32::MAX),
            (kind::TABLE, 51_820),
            (kind::SUPPRESS_PREFIXLEN, u32::MAX),
        ] {
            payload.extend(attribute(kind, &value.to_ne_bytes()));
        }
        let rule = parse_rule(&payload).unwrap().unwrap();
        assert_eq!(rule.selectors(), "not from all fwmark 0xca6c");
        assert_eq!((rule.priority, rule.action), (32_765, RuleAction::Lookup(51_820)));
        assert_eq!(rule.suppress_prefix_length, None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(payload: Vec<u8>) {
            let _ = parse_rule(&payload);
        }
    }
}
