//! Decodes a chain of nftables (linux/netfilter/nf_tables.h). Numbers are in network byte order.

use netstat_model::packet_filter::{Chain, ChainFamily, Hook};

use crate::linux::netlink::attributes::{Attributes, Malformed, text};

/// `enum nft_chain_attributes`.
const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const USE: u16 = 6;
const KIND: u16 = 7;

/// `enum nft_hook_attributes`.
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;

/// `enum nf_inet_hooks` and, for hooks of an interface, `enum nf_dev_hooks` (linux/netfilter.h).
const INET_PREROUTING: u32 = 0;
const INET_INPUT: u32 = 1;
const INET_FORWARD: u32 = 2;
const INET_INGRESS: u32 = 5;
const NETDEV_INGRESS: u32 = 0;

/// `NF_DROP`.
const DROP: u32 = 0;

/// Decodes an answer to `NFT_MSG_GETCHAIN` without its netlink header; `None` for a chain that incoming packets do not
/// traverse by itself.
///
/// # Errors
/// Returns an error if the data does not have the structure that the kernel's headers define.
pub fn parse_chain(answer: &[u8]) -> Result<Option<Chain>, Malformed> {
    // `struct nfgenmsg`: the family is its first byte.
    let (Some(&family), Some(attributes)) = (answer.first(), answer.get(4..)) else {
        return Err(Malformed("a chain without its head"));
    };
    let Some(family) = self::family(family) else {
        return Ok(None);
    };
    let (mut table, mut name, mut kind): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
    let (mut hook, mut policy, mut rules) = (None, None, 0);
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        match attribute.kind {
            TABLE => table = text(attribute.value),
            NAME => name = text(attribute.value),
            KIND => kind = text(attribute.value),
            HOOK => hook = Some(place(attribute.value)?),
            POLICY => policy = Some(big(attribute.value)?),
            USE => rules = big(attribute.value)?,
            _ => {}
        }
    }
    // Only base chains, which have a hook, see packets by themselves; others are called by rules.
    let Some((number, priority)) = hook else {
        return Ok(None);
    };
    let hook = match (family, number) {
        (ChainFamily::Netdev, NETDEV_INGRESS) | (ChainFamily::Inet, INET_INGRESS) => Hook::Ingress,
        (ChainFamily::Netdev, _) => return Ok(None),
        (_, INET_PREROUTING) => Hook::Prerouting,
        (_, INET_INPUT) => Hook::Input,
        (_, INET_FORWARD) => Hook::Forward,
        _ => return Ok(None),
    };
    Ok(Some(Chain {
        family,
        table: table.to_vec(),
        name: name.to_vec(),
        kind: kind.to_vec(),
        hook,
        priority: priority.cast_signed(),
        drops: policy == Some(DROP),
        rules,
    }))
}

/// `NFPROTO_*` (linux/netfilter.h).
pub(super) fn family(number: u8) -> Option<ChainFamily> {
    Some(match number {
        1 => ChainFamily::Inet,
        2 => ChainFamily::Ip,
        5 => ChainFamily::Netdev,
        7 => ChainFamily::Bridge,
        10 => ChainFamily::Ip6,
        _ => return None,
    })
}

/// Returns the number of a family, as used in requests.
pub(super) fn family_number(family: ChainFamily) -> u8 {
    match family {
        ChainFamily::Inet => 1,
        ChainFamily::Ip => 2,
        ChainFamily::Netdev => 5,
        ChainFamily::Bridge => 7,
        ChainFamily::Ip6 => 10,
    }
}

/// Decodes the number and priority of a hook.
fn place(nested: &[u8]) -> Result<(u32, u32), Malformed> {
    let (mut number, mut priority) = (None, 0);
    for attribute in Attributes(nested) {
        let attribute = attribute?;
        match attribute.kind {
            HOOK_NUMBER => number = Some(big(attribute.value)?),
            HOOK_PRIORITY => priority = big(attribute.value)?,
            _ => {}
        }
    }
    Ok((number.ok_or(Malformed("a hook without its number"))?, priority))
}

pub(super) fn big(value: &[u8]) -> Result<u32, Malformed> {
    let bytes = value.first_chunk().ok_or(Malformed("a short number of a chain"))?;
    Ok(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::{attribute, body};
    use proptest::prelude::*;

    fn chain(family: u8, number: u32, policy: u32) -> Vec<u8> {
        let hook = [
            attribute(HOOK_NUMBER, &number.to_be_bytes()),
            attribute(HOOK_PRIORITY, &(-150i32).to_be_bytes()),
        ]
        .concat();
        body(
            &[family, 0, 0, 0],
            &[
                (TABLE, b"filter\0"),
                (NAME, b"in\0"),
                (HOOK, &hook),
                (POLICY, &policy.to_be_bytes()),
                (USE, &3u32.to_be_bytes()),
                (KIND, b"filter\0"),
            ],
        )
    }

    #[test]
    fn parse_chain_on_way_in_is_read_with_its_hook() {
        let read = parse_chain(&chain(1, 1, 0)).unwrap().unwrap();
        let expected = Chain {
            family: ChainFamily::Inet,
            table: b"filter".to_vec(),
            name: b"in".to_vec(),
            kind: b"filter".to_vec(),
            hook: Hook::Input,
            priority: -150,
            drops: true,
            rules: 3,
        };
        assert_eq!(read, expected);
        for (family, number, hook) in [
            (2, 0, Some(Hook::Prerouting)),
            (10, 1, Some(Hook::Input)),
            (1, 5, Some(Hook::Ingress)),
            (5, 0, Some(Hook::Ingress)),
            (5, 1, None),
            (2, 4, None),
            (3, 1, None),
        ] {
            let read = parse_chain(&chain(family, number, 1)).unwrap();
            assert_eq!(read.as_ref().map(|chain| chain.hook), hook, "{family} {number}");
            assert!(read.is_none_or(|chain| !chain.drops));
        }
    }

    #[test]
    fn parse_chain_without_hook_is_none() {
        let bare = body(&[1, 0, 0, 0], &[(TABLE, b"t\0"), (NAME, b"helper\0")]);
        assert_eq!(parse_chain(&bare).unwrap(), None);
        assert!(parse_chain(&[1, 0]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse_chain(&bytes);
        }

        #[test]
        fn parse_chain_damaged_never_panics(at in 0usize..100, byte: u8) {
            let mut bytes = chain(1, 1, 0);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = parse_chain(&bytes);
        }
    }
}
