//! Finds interfaces in promiscuous mode: those that accept frames addressed to others because a program requested it.

use std::collections::HashSet;

use crate::linux::netlink::attributes::{Attributes, Malformed, number, text, u32_at};

/// Size of `ifinfomsg` in bytes.
const HEADER: usize = 16;

/// The parts of a link message that are related to promiscuous mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promiscuity {
    /// The index of the interface.
    pub index: u32,
    /// The name of the interface.
    pub name: Vec<u8>,
    /// How many programs and kernel subsystems requested promiscuous mode (`IFLA_PROMISCUITY`).
    pub count: u32,
    /// The index of the bridge, bond or similar that the interface is part of (`IFLA_MASTER`).
    pub master: Option<u32>,
    /// The index of the interface that it is stacked on (`IFLA_LINK`); for a virtual cable (veth), that of the other
    /// end.
    pub lower: Option<u32>,
    /// The type of a virtual interface as `ip link` names it (`IFLA_INFO_KIND`).
    pub kind: Option<Vec<u8>>,
}

/// Decodes the payload of a link message.
///
/// # Errors
/// Returns an error if the index or the name is missing, or a length is invalid.
pub fn parse_promiscuity(payload: &[u8]) -> Result<Promiscuity, Malformed> {
    /// `IFLA_*`, `IFLA_INFO_*` of linux/if_link.h.
    mod kind {
        pub(super) const IFNAME: u16 = 3;
        pub(super) const LINK: u16 = 5;
        pub(super) const MASTER: u16 = 10;
        pub(super) const LINKINFO: u16 = 18;
        pub(super) const INFO_KIND: u16 = 1;
        pub(super) const PROMISCUITY: u16 = 30;
    }
    let cut = Malformed("link header cut off");
    let mut link = Promiscuity {
        index: u32_at(payload, 4).ok_or(cut)?,
        ..Promiscuity::default()
    };
    for attribute in Attributes(payload.get(HEADER..).ok_or(cut)?) {
        let attribute = attribute?;
        match attribute.kind {
            kind::IFNAME => link.name = text(attribute.value).to_vec(),
            kind::LINK => link.lower = Some(number(attribute.value)?),
            kind::MASTER => link.master = Some(number(attribute.value)?),
            kind::PROMISCUITY => link.count = number(attribute.value)?,
            kind::LINKINFO => {
                for inner in Attributes(attribute.value) {
                    let inner = inner?;
                    if inner.kind == kind::INFO_KIND {
                        link.kind = Some(text(inner.value).to_vec());
                    }
                }
            }
            _ => {}
        }
    }
    if link.index == 0 || link.name.is_empty() {
        return Err(Malformed("link without an index or a name"));
    }
    Ok(link)
}

/// Returns the links of a namespace that are in promiscuous mode because a program requested it, each with the number
/// of such requests. Does not include requests that bridges or bonds make for their members and themselves, or that an
/// interface needs which shares the hardware of another one.
pub(super) fn unexplained(links: Vec<Promiscuity>) -> Vec<(Vec<u8>, u32)> {
    const SHARING: &[&[u8]] = &[b"macvlan", b"macvtap", b"ipvlan", b"ipvtap", b"vlan"];
    const SWITCHES: &[&[u8]] = &[b"bridge", b"bond", b"team", b"openvswitch"];
    let is = |link: &Promiscuity, kinds: &[&[u8]]| link.kind.as_deref().is_some_and(|kind| kinds.contains(&kind));
    let shared: HashSet<u32> = links
        .iter()
        .filter(|link| is(link, SHARING))
        .filter_map(|link| link.lower)
        .collect();
    links
        .into_iter()
        .filter(|link| link.count > 0 && link.master.is_none_or(|master| master == 0) && !shared.contains(&link.index))
        .filter(|link| !is(link, SHARING) && !is(link, SWITCHES))
        .map(|link| (link.name, link.count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::{attribute, body};
    use proptest::prelude::*;

    fn header(index: u32) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[4..8].copy_from_slice(&index.to_ne_bytes());
        bytes
    }

    #[test]
    fn link_message_is_read() {
        let info = attribute(1, b"veth\0");
        let attributes: [(u16, &[u8]); 5] = [
            (3, b"eth0\0"),
            (5, &9u32.to_ne_bytes()),
            (10, &4u32.to_ne_bytes()),
            (0x8000 | 18, &info),
            (30, &2u32.to_ne_bytes()),
        ];
        let link = parse_promiscuity(&body(&header(7), &attributes)).unwrap();
        let expected = Promiscuity {
            index: 7,
            name: b"eth0".to_vec(),
            count: 2,
            master: Some(4),
            lower: Some(9),
            kind: Some(b"veth".to_vec()),
        };
        assert_eq!(link, expected);
        assert!(parse_promiscuity(&header(7)).is_err() && parse_promiscuity(&header(7)[..15]).is_err());
        assert!(parse_promiscuity(&body(&header(0), &attributes)).is_err());
    }

    #[test]
    fn promiscuous_bridge_ports_and_shared_hardware_are_explained() {
        let link = |index, name: &str, count, master, lower, kind: &str| Promiscuity {
            index,
            name: name.into(),
            count,
            master,
            lower,
            kind: (!kind.is_empty()).then(|| kind.into()),
        };
        let links = vec![
            link(1, "lo", 0, None, None, ""),
            link(2, "eth0", 1, None, None, ""),
            link(3, "eth1", 1, Some(4), None, ""),
            link(4, "br0", 1, None, None, "bridge"),
            link(5, "eth2", 1, None, None, ""),
            link(6, "mac0", 1, None, Some(5), "macvlan"),
            // In a container: the other end is in another namespace, where the index belongs to another interface.
            link(7, "veth0", 3, Some(0), Some(2), "veth"),
        ];
        assert_eq!(unexplained(links), [(b"eth0".to_vec(), 1), (b"veth0".to_vec(), 3)]);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = parse_promiscuity(&bytes);
        }
    }
}
