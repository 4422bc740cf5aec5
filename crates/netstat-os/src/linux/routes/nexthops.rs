//! Decodes next-hop objects (`ip nexthop`): `nhmsg` and its attributes, linux/nexthop.h. Routes refer to them by id;
//! with `net.ipv4.nexthop_compat_mode=0`, the kernel reports only the id in the route.

use std::collections::HashMap;
use std::num::NonZeroU32;

use netstat_model::route::{NextHop, NextHops, Route, RouteKind};

use crate::linux::netlink::attributes::{Attributes, Malformed, address, number, u16_at, u32_at};

/// Size of `nhmsg` in bytes.
const HEADER: usize = 8;
/// Size of `nexthop_grp` in bytes.
const MEMBER: usize = 8;

/// A next-hop object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHopObject {
    /// The id of the object.
    pub id: NonZeroU32,
    /// What the object refers to.
    pub target: Target,
}

/// What a next-hop object refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A single next hop.
    Hop(NextHop),
    /// A blackhole, which drops packets.
    Blackhole,
    /// A group of other objects: the id and weight (1 to 65536) of each.
    Group(Vec<(NonZeroU32, u32)>),
}

/// Decodes the payload of a next-hop message.
///
/// # Errors
/// Returns an error if the id is missing, or a length or address is invalid.
pub fn parse_next_hop(payload: &[u8]) -> Result<NextHopObject, Malformed> {
    /// `NHA_*`.
    mod kind {
        pub(super) const ID: u16 = 1;
        pub(super) const GROUP: u16 = 2;
        pub(super) const BLACKHOLE: u16 = 4;
        pub(super) const OIF: u16 = 5;
        pub(super) const GATEWAY: u16 = 6;
        pub(super) const ENCAP_TYPE: u16 = 7;
        pub(super) const ENCAP: u16 = 8;
    }
    let (Some(&family), Some(flags)) = (payload.first(), u32_at(payload, 4)) else {
        return Err(Malformed("next-hop header cut off"));
    };
    let mut id = None;
    let mut hop = NextHop {
        gateway: None,
        interface: None,
        weight: 1,
        flags: (flags & 0xff) as u8,
        encapsulation: None,
    };
    let mut special = None;
    let (mut encapsulation, mut wrapped): (Option<u16>, &[u8]) = (None, &[]);
    for attribute in Attributes(payload.get(HEADER..).unwrap_or(&[])) {
        let attribute = attribute?;
        let value = attribute.value;
        match attribute.kind {
            kind::ID => id = NonZeroU32::new(number(value)?),
            kind::OIF => hop.interface = NonZeroU32::new(number(value)?),
            kind::GATEWAY => hop.gateway = Some(address(family, value)?),
            kind::ENCAP_TYPE => encapsulation = u16_at(value, 0),
            kind::ENCAP => wrapped = value,
            kind::BLACKHOLE => special = Some(Target::Blackhole),
            kind::GROUP => special = Some(Target::Group(value.chunks_exact(MEMBER).filter_map(member).collect())),
            _ => {}
        }
    }
    if let Some(kind) = encapsulation {
        hop.encapsulation = super::encapsulation::parse(kind, wrapped)?;
    }
    let id = id.ok_or(Malformed("next hop without a number"))?;
    Ok(NextHopObject {
        id,
        target: special.unwrap_or(Target::Hop(hop)),
    })
}

/// Decodes `nexthop_grp`: id, weight minus one, and (since Linux 6.12) the upper byte of the weight.
fn member(bytes: &[u8]) -> Option<(NonZeroU32, u32)> {
    let id = NonZeroU32::new(u32_at(bytes, 0)?)?;
    let [low, high] = u16_at(bytes, 4)?.to_ne_bytes();
    Some((id, (u32::from(high) << 8) + u32::from(low) + 1))
}

/// Fills in the next hops of routes that contain only the id of a next-hop object.
pub(super) fn resolve(routes: &mut [Route], objects: &HashMap<NonZeroU32, Target>) {
    for route in routes.iter_mut().filter(|route| route.is_unresolved()) {
        let Some(target) = route.next_hop_object.and_then(|id| objects.get(&id)) else {
            continue;
        };
        let hop_of = |id: &NonZeroU32, weight| match objects.get(id) {
            Some(Target::Hop(hop)) => Some(NextHop { weight, ..hop.clone() }),
            _ => None,
        };
        match target {
            Target::Hop(hop) => route.next_hops = NextHops::One(hop.clone()),
            Target::Blackhole => route.kind = RouteKind::Blackhole,
            Target::Group(members) => {
                route.next_hops = members.iter().filter_map(|(id, weight)| hop_of(id, *weight)).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::body;
    use proptest::prelude::*;

    fn number_bytes(number: u32) -> [u8; 4] {
        number.to_ne_bytes()
    }

    #[test]
    fn next_hop_group_and_blackhole_objects_are_read() {
        let head = [2, 0, 4, 0, 0, 0, 0, 0];
        let hop = parse_next_hop(&body(
            &head,
            &[(1, &number_bytes(5)), (5, &number_bytes(2)), (6, &[192, 0, 2, 1])],
        ));
        let want = NextHop {
            gateway: Some([192, 0, 2, 1].into()),
            interface: NonZeroU32::new(2),
            weight: 1,
            flags: 0,
            encapsulation: None,
        };
        assert_eq!(hop.unwrap().target, Target::Hop(want));
        assert_eq!(
            parse_next_hop(&body(&head, &[(1, &number_bytes(6)), (4, &[])]))
                .unwrap()
                .target,
            Target::Blackhole
        );
        let mut members = number_bytes(5).to_vec();
        members.extend([1, 0, 0, 0]);
        members.extend(number_bytes(6));
        members.extend([0, 1, 0, 0]);
        let group = parse_next_hop(&body(&head, &[(1, &number_bytes(7)), (2, &members)])).unwrap();
        let id = |number| NonZeroU32::new(number).unwrap();
        assert_eq!(group.target, Target::Group(vec![(id(5), 2), (id(6), 257)]));
        assert!(parse_next_hop(&body(&head, &[(5, &number_bytes(2))])).is_err());
        assert!(parse_next_hop(&[0; 7]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = parse_next_hop(&bytes);
        }
    }
}
