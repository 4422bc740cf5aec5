//! Decodes route messages (`RTM_NEWROUTE`): `rtmsg` and its attributes, linux/rtnetlink.h.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use netstat_model::route::{
    Encapsulation, NextHop, NextHops, Prefix, Route, RouteKind, RouteProtocol, RouterPreference, Scope,
};

use super::encapsulation;
use crate::linux::netlink::attributes::{
    AF_INET, AF_INET6, Attributes, Malformed, address, aligned, number, u16_at, u32_at,
};

/// Size of `rtmsg` in bytes.
const HEADER: usize = 12;
/// Size of `rtnexthop` in bytes.
const HOP_HEADER: usize = 8;
/// `RTM_F_CLONED`: a cached lookup result, not a route.
const CLONED: u32 = 0x200;

/// `RTA_*`.
mod kind {
    pub(super) const DST: u16 = 1;
    pub(super) const SRC: u16 = 2;
    pub(super) const OIF: u16 = 4;
    pub(super) const GATEWAY: u16 = 5;
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const PREFSRC: u16 = 7;
    pub(super) const MULTIPATH: u16 = 9;
    pub(super) const TABLE: u16 = 15;
    pub(super) const VIA: u16 = 18;
    pub(super) const PREF: u16 = 20;
    pub(super) const ENCAP_TYPE: u16 = 21;
    pub(super) const ENCAP: u16 = 22;
    pub(super) const NH_ID: u16 = 30;
}

/// Decodes the payload of a route message. `None` if it is not an IPv4 or IPv6 route of the unicast tables: cached
/// results, and the families of the multicast forwarding table. Attributes that the model does not need are ignored,
/// whatever they contain.
///
/// # Errors
/// Returns an error if a length or address is inconsistent with the header.
pub fn parse_route(payload: &[u8]) -> Result<Option<Route>, Malformed> {
    let flags = u32_at(payload, 8).ok_or(Malformed("route header cut off"))?;
    if flags & CLONED != 0 {
        return Ok(None);
    }
    parse_answer(payload)
}

/// Like [`parse_route`], but also accepts cached results: the kernel's answer for a single packet is one.
///
/// # Errors
/// Returns an error if a length or address is inconsistent with the header.
pub(super) fn parse_answer(payload: &[u8]) -> Result<Option<Route>, Malformed> {
    let Some(
        &[
            family,
            destination_length,
            source_length,
            tos,
            table,
            protocol,
            scope,
            route_type,
        ],
    ) = payload.first_chunk::<8>()
    else {
        return Err(Malformed("route header cut off"));
    };
    let flags = u32_at(payload, 8).ok_or(Malformed("route header cut off"))?;
    let (longest, unspecified) = match family {
        AF_INET => (32, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        AF_INET6 => (128, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => return Ok(None),
    };
    if destination_length > longest || source_length > longest {
        return Err(Malformed("prefix longer than its address"));
    }

    let mut route = Route {
        destination: Prefix {
            address: unspecified,
            length: destination_length,
        },
        source: (source_length > 0).then(|| {
            Box::new(Prefix {
                address: unspecified,
                length: source_length,
            })
        }),
        kind: route_kind(route_type),
        protocol: RouteProtocol(protocol),
        scope: Scope(scope),
        tos,
        preference: None,
        table: u32::from(table),
        metric: 0,
        preferred_source: None,
        next_hop_object: None,
        next_hops: NextHops::None,
    };
    // The flags of the next hop are in the low byte of the route's flags.
    let mut only = NextHop {
        gateway: None,
        interface: None,
        weight: 1,
        flags: (flags & 0xff) as u8,
        encapsulation: None,
    };
    let mut wrapped = Wrapped::default();
    let mut several = None;
    for attribute in Attributes(payload.get(HEADER..).unwrap_or(&[])) {
        let attribute = attribute?;
        let value = attribute.value;
        match attribute.kind {
            kind::ENCAP_TYPE => wrapped.kind = u16_at(value, 0),
            kind::ENCAP => wrapped.value = Some(value),
            kind::MULTIPATH => several = Some(multipath(family, value)?),
            kind::OIF | kind::GATEWAY | kind::VIA => hop_attribute(&mut only, family, attribute.kind, value)?,
            kind => route_attribute(&mut route, family, kind, value)?,
        }
    }
    only.encapsulation = wrapped.parse()?;
    route.next_hops = match several {
        Some(hops) => hops,
        None if only.interface.is_some() || only.gateway.is_some() => NextHops::One(only),
        None => NextHops::None,
    };
    Ok(Some(route))
}

/// The two attributes of an encapsulation, which may come in any order.
#[derive(Default)]
struct Wrapped<'a> {
    kind: Option<u16>,
    value: Option<&'a [u8]>,
}

impl Wrapped<'_> {
    fn parse(&self) -> Result<Option<Box<Encapsulation>>, Malformed> {
        match self.kind {
            Some(kind) => encapsulation::parse(kind, self.value.unwrap_or(&[])),
            None => Ok(None),
        }
    }
}

/// Stores attribute `kind` in `route` if it applies to the route as a whole.
fn route_attribute(route: &mut Route, family: u8, kind: u16, value: &[u8]) -> Result<(), Malformed> {
    match kind {
        kind::DST => route.destination.address = address(family, value)?,
        kind::SRC => {
            let address = address(family, value)?;
            if let Some(source) = &mut route.source {
                source.address = address;
            }
        }
        kind::PRIORITY => route.metric = number(value)?,
        kind::PREFSRC => route.preferred_source = Some(address(family, value)?),
        kind::TABLE => route.table = number(value)?,
        kind::NH_ID => route.next_hop_object = NonZeroU32::new(number(value)?),
        kind::PREF => route.preference = value.first().and_then(|&byte| preference(byte)),
        _ => {}
    }
    Ok(())
}

/// Stores attribute `kind` in `hop` if it describes the next hop.
fn hop_attribute(hop: &mut NextHop, family: u8, kind: u16, value: &[u8]) -> Result<(), Malformed> {
    match kind {
        kind::OIF => hop.interface = NonZeroU32::new(number(value)?),
        kind::GATEWAY => hop.gateway = Some(address(family, value)?),
        kind::VIA => hop.gateway = via(value)?,
        _ => {}
    }
    Ok(())
}

/// Decodes `rtvia`: a family (16 bits) and an address of that family. `None` for families other than IP.
fn via(value: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let family = u16_at(value, 0).ok_or(Malformed("gateway cut off"))?;
    match u8::try_from(family) {
        Ok(family @ (AF_INET | AF_INET6)) => address(family, value.get(2..).unwrap_or(&[])).map(Some),
        _ => Ok(None),
    }
}

/// Decodes a list of `rtnexthop` structures, each followed by its attributes.
fn multipath(family: u8, mut rest: &[u8]) -> Result<NextHops, Malformed> {
    let mut hops = Vec::new();
    while rest.len() >= HOP_HEADER {
        let length = usize::from(u16_at(rest, 0).unwrap_or(0));
        let attributes = rest.get(HOP_HEADER..length).ok_or(Malformed("next hop length"))?;
        let mut hop = NextHop {
            gateway: None,
            interface: u32_at(rest, 4).and_then(NonZeroU32::new),
            // rtnh_hops is the weight minus one.
            weight: u32::from(rest[3]) + 1,
            flags: rest[2],
            encapsulation: None,
        };
        let mut wrapped = Wrapped::default();
        for attribute in Attributes(attributes) {
            let attribute = attribute?;
            // The interface in the header takes precedence over an attribute.
            match attribute.kind {
                kind::OIF => {}
                kind::ENCAP_TYPE => wrapped.kind = u16_at(attribute.value, 0),
                kind::ENCAP => wrapped.value = Some(attribute.value),
                kind => hop_attribute(&mut hop, family, kind, attribute.value)?,
            }
        }
        hop.encapsulation = wrapped.parse()?;
        hops.push(hop);
        rest = rest.get(aligned(length)..).unwrap_or(&[]);
    }
    Ok(hops.into_iter().collect())
}

/// Decodes `RTN_*`.
fn route_kind(number: u8) -> RouteKind {
    match number {
        1 => RouteKind::Unicast,
        2 => RouteKind::Local,
        3 => RouteKind::Broadcast,
        4 => RouteKind::Anycast,
        5 => RouteKind::Multicast,
        6 => RouteKind::Blackhole,
        7 => RouteKind::Unreachable,
        8 => RouteKind::Prohibit,
        9 => RouteKind::Throw,
        10 => RouteKind::Nat,
        other => RouteKind::Other(other),
    }
}

/// Decodes `ICMPV6_ROUTER_PREF_*` (linux/icmpv6.h); 2 is invalid.
fn preference(number: u8) -> Option<RouterPreference> {
    match number {
        0 => Some(RouterPreference::Medium),
        1 => Some(RouterPreference::High),
        3 => Some(RouterPreference::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::body;
    use proptest::prelude::*;

    fn header(family: u8, length: u8, table: u8, route_type: u8, flags: u32) -> Vec<u8> {
        let mut bytes = vec![family, length, 0, 0, table, 4, 0, route_type];
        bytes.extend(flags.to_ne_bytes());
        bytes
    }

    fn hop(weight_less_one: u8, flags: u8, interface: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let tail = body(&[], attributes);
        let mut bytes = ((8 + tail.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend([flags, weight_less_one]);
        bytes.extend(interface.to_ne_bytes());
        bytes.extend(tail);
        bytes
    }

    #[test]
    fn route_with_one_hop_is_read() {
        let bytes = body(
            &header(2, 24, 252, 1, 0x10),
            &[
                (15, &1000u32.to_ne_bytes()),
                (1, &[198, 51, 100, 0]),
                (5, &[192, 0, 2, 1]),
                (4, &3u32.to_ne_bytes()),
                (6, &77u32.to_ne_bytes()),
                (7, &[192, 0, 2, 9]),
                (8, b"odd metrics that nobody asked for"),
            ],
        );
        let route = parse_route(&bytes).unwrap().unwrap();
        assert_eq!(
            route.destination,
            Prefix {
                address: [198, 51, 100, 0].into(),
                length: 24
            }
        );
        assert_eq!((route.table, route.metric, route.kind), (1000, 77, RouteKind::Unicast));
        assert_eq!(route.preferred_source, Some([192, 0, 2, 9].into()));
        assert!(route.is_persistent());
        let hop = &route.next_hops.as_slice()[0];
        assert_eq!(
            (hop.gateway, hop.interface),
            (Some([192, 0, 2, 1].into()), NonZeroU32::new(3))
        );
        assert!(hop.is_link_down() && !hop.is_dead());
    }

    #[test]
    fn route_with_several_hops_and_ipv6_gateway_is_read() {
        let v6: Ipv6Addr = "fe80::1".parse().unwrap();
        let via: Vec<u8> = 10u16.to_ne_bytes().into_iter().chain(v6.octets()).collect();
        let mut hops = hop(0, 0, 2, &[(5, &[192, 0, 2, 1])]);
        hops.extend(hop(255, 1, 3, &[(18, &via)]));
        let route = parse_route(&body(&header(2, 0, 254, 1, 0), &[(9, &hops)]))
            .unwrap()
            .unwrap();
        let hops = route.next_hops.as_slice();
        assert_eq!((hops.len(), hops[0].weight, hops[1].weight), (2, 1, 256));
        assert_eq!(hops[1].gateway, Some(v6.into()));
        assert!(hops[1].is_dead());
        assert_eq!(route.destination.address, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    }

    #[test]
    fn blackhole_route_has_no_hop_and_object_is_unresolved() {
        let route = parse_route(&body(&header(2, 8, 254, 6, 0), &[(1, &[10, 0, 0, 0])]))
            .unwrap()
            .unwrap();
        assert_eq!(
            (route.kind, route.next_hops.as_slice().len()),
            (RouteKind::Blackhole, 0)
        );
        let object = parse_route(&body(&header(2, 8, 254, 1, 0), &[(30, &9u32.to_ne_bytes())]))
            .unwrap()
            .unwrap();
        assert!(object.is_unresolved());
    }

    #[test]
    fn route_message_of_other_kind_is_skipped_and_wrong_one_refused() {
        assert_eq!(parse_route(&header(128, 0, 0, 5, 0)), Ok(None));
        assert_eq!(parse_route(&header(2, 0, 254, 1, CLONED)), Ok(None));
        assert!(parse_route(&header(2, 33, 254, 1, 0)).is_err());
        assert!(parse_route(&header(10, 129, 254, 1, 0)).is_err());
        assert!(parse_route(&[2; 11]).is_err());
        assert!(parse_route(&body(&header(2, 8, 254, 1, 0), &[(1, &[1, 2, 3])])).is_err());
        assert!(parse_route(&body(&header(2, 8, 254, 1, 0), &[(9, &[0; 8])])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = parse_route(&bytes);
        }

        /// Well-formed attributes reach more of the code than random bytes.
        #[test]
        fn route_of_any_attributes_keeps_its_family(v6: bool, rows in proptest::collection::vec((0u16..32, proptest::collection::vec(any::<u8>(), 0..40)), 0..8)) {
            let rows: Vec<(u16, &[u8])> = rows.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
            let family = if v6 { 10 } else { 2 };
            if let Ok(Some(route)) = parse_route(&body(&header(family, 24, 254, 1, 0), &rows)) {
                prop_assert_eq!(route.destination.address.is_ipv6(), v6);
            }
        }
    }
}
