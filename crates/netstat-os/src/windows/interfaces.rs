//! Parses interfaces, their addresses and the routes (netioapi.h: `MIB_IF_TABLE2` and similar).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use netstat_model::Fact;
use netstat_model::Why;
use netstat_model::counters::{InterfaceCounters, InterfaceMetric, Traffic};
use netstat_model::route::{
    Interface, InterfaceAddress, NextHop, NextHops, Prefix, Route, RouteKind, RouteProtocol, Scope, TABLE_MAIN,
};

use super::bytes::{Malformed, array, rows, u16_at, u32_at, u64_at};
use super::text::to_bytes;

/// The size of `MIB_IF_ROW2` in bytes.
pub(super) const INTERFACE_ROW: usize = 1352;
/// The size of `MIB_UNICASTIPADDRESS_ROW` in bytes.
pub(super) const ADDRESS_ROW: usize = 80;
/// The size of `MIB_IPFORWARD_ROW2` in bytes.
pub(super) const ROUTE_ROW: usize = 104;
/// The size of `MIB_IPINTERFACE_ROW` in bytes.
pub(super) const IP_INTERFACE_ROW: usize = 168;
const FIRST: usize = 8;
/// `AF_INET` and `AF_INET6` (ws2def.h).
const INET: u16 = 2;
const INET6: u16 = 23;
/// `IF_TYPE_SOFTWARE_LOOPBACK` and `IF_TYPE_TUNNEL` (ipifcons.h), by the numbers of IANA's ifType.
const LOOPBACK: u32 = 24;
const TUNNEL: u32 = 131;

/// An interface with its counters.
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceRow {
    /// The interface, for `-r`.
    pub interface: Interface,
    /// The counters, for `-e`.
    pub counters: InterfaceCounters,
    /// Whether its operational status is up.
    pub up: bool,
}

/// Parses the interfaces in a `MIB_IF_TABLE2`. Those that represent a filter driver on top of another interface are
/// left out, because they would count its traffic again.
///
/// # Errors
/// Returns [`Malformed`] if the table is truncated.
pub fn interfaces(table: &[u8]) -> Result<Vec<InterfaceRow>, Malformed> {
    /// `HardwareInterface`, `FilterInterface`: the first bits of `InterfaceAndOperStatusFlags`.
    const HARDWARE: u8 = 1;
    const FILTER: u8 = 2;
    let mut found = Vec::new();
    for row in rows(table, FIRST, INTERFACE_ROW)? {
        let flags = row[1152];
        if flags & FILTER != 0 {
            continue;
        }
        found.extend(interface(row, flags & HARDWARE != 0));
    }
    Ok(found)
}

fn interface(row: &[u8], hardware: bool) -> Option<InterfaceRow> {
    let index = NonZeroU32::new(u32_at(row, 8)?)?;
    let kind = u32_at(row, 1128)?;
    let loopback = kind == LOOPBACK;
    let text = |at: usize| {
        let units = row[at..at + 514]
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        to_bytes(&units.take_while(|&unit| unit != 0).collect::<Vec<_>>())
    };
    let (alias, description) = (text(28), text(542));
    let length = (u32_at(row, 1056)? as usize).min(32);
    let address = row[1060..1060 + length].to_vec();
    // IfOperStatusUp (ifdef.h).
    let up = u32_at(row, 1156)? == 1;
    let name = if alias.is_empty() {
        description.clone()
    } else {
        alias.clone()
    };
    Some(InterfaceRow {
        counters: InterfaceCounters {
            index: Fact::Known(index.get()),
            name: name.into(),
            mac: Fact::from_option(address.as_slice().try_into().ok(), Why::NotApplicable),
            loopback: Fact::Known(loopback),
            traffic: traffic(row),
            kinds: Vec::new(),
        },
        interface: Interface {
            index,
            // `route print` shows the description.
            name: description,
            alias: None,
            kind: (!hardware && !loopback).then(|| b"virtual".to_vec()),
            driver: Fact::Unknown(Why::NotAsked),
            product: Fact::Unknown(Why::NotAsked),
            hardware_type: match kind {
                // ARPHRD_* numbers: loopback, tunnel, Ethernet.
                LOOPBACK => 772,
                TUNNEL => 768,
                _ => 1,
            },
            link_address: address,
            flags: u32::from(up) | u32::from(loopback) << 3,
            master: None,
            mtu: Fact::from_option(u32_at(row, 1124).filter(|&mtu| mtu != u32::MAX), Why::Unlimited),
        },
        up,
    })
}

/// Returns the counters in a row.
fn traffic(row: &[u8]) -> Traffic {
    let both = |received: usize, sent: usize| {
        let value = |at| Fact::from_option(u64_at(row, at), Why::Failed);
        (value(received), value(sent))
    };
    let mut traffic = Traffic::unknown(Why::NotKept);
    for (metric, received, sent) in [
        (InterfaceMetric::Bytes, 1208, 1280),
        (InterfaceMetric::Unicast, 1216, 1288),
        (InterfaceMetric::NonUnicast, 1224, 1296),
        (InterfaceMetric::Discards, 1232, 1304),
        (InterfaceMetric::Errors, 1240, 1312),
    ] {
        let (received, sent) = both(received, sent);
        traffic = traffic.with(metric, received, sent);
    }
    let unknown = Fact::from_option(u64_at(row, 1248), Why::Failed);
    traffic = traffic.with(
        InterfaceMetric::UnknownProtocols,
        unknown,
        Fact::Unknown(Why::NotApplicable),
    );
    let sum = |unicast: Fact<u64>, others: Fact<u64>| match (unicast, others) {
        (Fact::Known(unicast), Fact::Known(others)) => Fact::Known(unicast.saturating_add(others)),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    };
    let (unicast, others) = (
        traffic.get(InterfaceMetric::Unicast),
        traffic.get(InterfaceMetric::NonUnicast),
    );
    let all = (sum(unicast.received, others.received), sum(unicast.sent, others.sent));
    traffic.with(InterfaceMetric::AllPackets, all.0, all.1)
}

/// Reads a `SOCKADDR_INET`; `None` for another family.
fn socket_address(bytes: &[u8], at: usize) -> Option<(IpAddr, u32)> {
    match u16_at(bytes, at)? {
        INET => Some((IpAddr::V4(Ipv4Addr::from(array::<4>(bytes, at + 4)?)), 0)),
        INET6 => Some((
            IpAddr::V6(Ipv6Addr::from(array::<16>(bytes, at + 8)?)),
            u32_at(bytes, at + 24)?,
        )),
        _ => None,
    }
}

/// Parses the computer's own addresses (`MIB_UNICASTIPADDRESS_TABLE`). Addresses that are not in use, because they are
/// duplicates or still being checked, are left out.
///
/// # Errors
/// Returns [`Malformed`] if the table is truncated.
pub fn addresses(table: &[u8]) -> Result<Vec<InterfaceAddress>, Malformed> {
    /// `IpDadStatePreferred` and `IpDadStateDeprecated` (nldef.h).
    const PREFERRED: u32 = 4;
    const DEPRECATED: u32 = 3;
    let mut found = Vec::new();
    for row in rows(table, FIRST, ADDRESS_ROW)? {
        let (Some((address, _)), Some(interface), Some(state)) =
            (socket_address(row, 0), u32_at(row, 40), u32_at(row, 64))
        else {
            continue;
        };
        if !matches!(state, PREFERRED | DEPRECATED) {
            continue;
        }
        let link = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        found.push(InterfaceAddress {
            interface,
            address,
            peer: None,
            prefix_length: row[60].min(if address.is_ipv4() { 32 } else { 128 }),
            scope: match (address.is_loopback(), link) {
                (true, _) => Scope::HOST,
                (_, true) => Scope::LINK,
                _ => Scope::UNIVERSE,
            },
            flags: 0,
        });
    }
    Ok(found)
}

/// Parses the metric of each interface by family (`MIB_IPINTERFACE_TABLE`): whether it is for IPv4, the index, the
/// metric.
///
/// # Errors
/// Returns [`Malformed`] if the table is truncated.
pub fn interface_metrics(table: &[u8]) -> Result<Vec<(bool, u32, u32)>, Malformed> {
    let read = |row: &[u8]| Some((u16_at(row, 0)? == INET, u32_at(row, 16)?, u32_at(row, 148)?));
    rows(table, FIRST, IP_INTERFACE_ROW)?
        .map(|row| read(row).ok_or(Malformed))
        .collect()
}

/// Parses the routes in a `MIB_IPFORWARD_TABLE2`. `metric` returns the metric of an interface, which is added to that
/// of the route, as in `route print`.
///
/// # Errors
/// Returns [`Malformed`] if the table is truncated.
pub fn routes(table: &[u8], metric: impl Fn(u32) -> u32) -> Result<Vec<Route>, Malformed> {
    let mut found = Vec::new();
    for row in rows(table, FIRST, ROUTE_ROW)? {
        found.extend(route(row, &metric));
    }
    Ok(found)
}

/// Parses one `MIB_IPFORWARD_ROW2`; see [`routes`].
pub fn route(row: &[u8], metric: &impl Fn(u32) -> u32) -> Option<Route> {
    let interface = u32_at(row, 8)?;
    let (destination, _) = socket_address(row, 12)?;
    let length = *row.get(40)?;
    let (gateway, _) = socket_address(row, 44)?;
    // MIB_IPPROTO_LOCAL, MIB_IPPROTO_NETMGMT (ipmib: set by a program or an administrator), MIB_IPPROTO_NT_STATIC.
    let protocol = match u32_at(row, 88)? {
        2 => RouteProtocol::KERNEL,
        _ => RouteProtocol::BOOT,
    };
    let is_loopback = *row.get(92)? != 0;
    Some(Route {
        destination: Prefix::covering(destination, length),
        source: None,
        kind: match destination {
            address if address.is_multicast() => RouteKind::Multicast,
            _ if is_loopback => RouteKind::Local,
            _ => RouteKind::Unicast,
        },
        protocol,
        scope: Scope::UNIVERSE,
        tos: 0,
        preference: None,
        table: TABLE_MAIN,
        metric: u32_at(row, 84)?.saturating_add(metric(interface)),
        preferred_source: None,
        next_hop_object: None,
        next_hops: NextHops::One(NextHop {
            gateway: (!gateway.is_unspecified()).then_some(gateway),
            interface: NonZeroU32::new(interface),
            weight: 1,
            flags: 0,
            encapsulation: None,
        }),
    })
}

/// Reads the source address for a route (`GetBestRoute2` returns it in addition to the row).
pub(super) fn source_address(bytes: &[u8]) -> Option<IpAddr> {
    socket_address(bytes, 0)
        .map(|(address, _)| address)
        .filter(|address| !address.is_unspecified())
}

/// Parses a persistent route in the format of the registry: `10.0.0.0,255.0.0.0,192.0.2.1,1` (destination, mask,
/// gateway, metric; `-1` stands for the metric of the interface).
pub fn persistent(text: &str) -> Option<Route> {
    let mut parts = text.split(',');
    let destination: Ipv4Addr = parts.next()?.parse().ok()?;
    let mask: Ipv4Addr = parts.next()?.parse().ok()?;
    let gateway: Ipv4Addr = parts.next()?.parse().ok()?;
    let metric: i64 = parts.next()?.trim().parse().ok()?;
    let length = mask.to_bits().leading_ones();
    // A non-contiguous mask is not a network.
    if length + mask.to_bits().trailing_zeros().min(32) != 32 {
        return None;
    }
    Some(Route {
        destination: Prefix::covering(IpAddr::V4(destination), length as u8),
        source: None,
        kind: RouteKind::Unicast,
        protocol: RouteProtocol::STATIC,
        scope: Scope::UNIVERSE,
        tos: 0,
        preference: None,
        table: TABLE_MAIN,
        metric: u32::try_from(metric).unwrap_or(0),
        preferred_source: None,
        next_hop_object: None,
        next_hops: NextHops::One(NextHop {
            gateway: (!gateway.is_unspecified()).then_some(IpAddr::V4(gateway)),
            interface: None,
            weight: 1,
            flags: 0,
            encapsulation: None,
        }),
    })
}
