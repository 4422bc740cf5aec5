//! Interfaces, their addresses and routes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use crate::{Fact, Limit};

mod encapsulation;
mod outgoing;
pub mod rule;

pub use encapsulation::Encapsulation;
pub use outgoing::OutgoingAddresses;
pub use rule::{PolicyRule, RouteAnswer, RouteQuery, RouteWay, RuleAction};

/// The routing table that ordinary routes are kept in (`RT_TABLE_MAIN`, linux/rtnetlink.h).
pub const TABLE_MAIN: u32 = 254;
/// The table of the host's own addresses and broadcasts, kept by the kernel (`RT_TABLE_LOCAL`).
pub const TABLE_LOCAL: u32 = 255;
/// The table looked at after `main`, normally empty (`RT_TABLE_DEFAULT`).
pub const TABLE_DEFAULT: u32 = 253;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interface {
    /// The number the system knows it by.
    pub index: NonZeroU32,
    /// Its name. Chosen by others: escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// A text the administrator gave it (`IFLA_IFALIAS`). Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::option_text"))]
    pub alias: Option<Vec<u8>>,
    /// The driver module of a virtual interface, `veth` or `bridge` say (`IFLA_INFO_KIND`). Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::option_text"))]
    pub kind: Option<Vec<u8>>,
    /// The driver of a real device. Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub driver: Fact<Vec<u8>>,
    /// The product name that the device reports for itself (USB devices do). Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub product: Fact<Vec<u8>>,
    /// Hardware type (`ARPHRD_*`, linux/if_arp.h): 1 Ethernet, 32 InfiniBand, 772 loopback.
    pub hardware_type: u16,
    /// Link-layer address as the system reports it: 6 bytes for Ethernet, 20 for InfiniBand, empty where there is none. For
    /// tunnels it is an IP address; see [`Interface::hardware_address`].
    pub link_address: Vec<u8>,
    /// `IFF_*` flags (linux/if.h).
    pub flags: u32,
    /// Largest packet in bytes.
    pub mtu: Fact<u32>,
    /// The bridge, bond or VRF that it belongs to (`IFLA_MASTER`).
    #[cfg_attr(feature = "serde", serde(default))]
    pub master: Option<NonZeroU32>,
}

impl Interface {
    /// Whether it is switched on (`IFF_UP`).
    pub fn is_up(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// Whether it leads back to this host (`IFF_LOOPBACK`).
    pub fn is_loopback(&self) -> bool {
        self.flags & 0x8 != 0
    }

    /// Whether it is a virtual routing table for the interfaces that belong to it (VRF, ip-vrf(8)).
    pub fn is_vrf(&self) -> bool {
        self.kind.as_deref() == Some(b"vrf")
    }

    /// Whether it is a device: one with a driver, not made by software alone.
    pub fn is_physical(&self) -> bool {
        self.driver.as_ref().known().is_some() && self.kind.is_none()
    }

    /// The MAC address; `None` for the loopback, for links without one, and for IP tunnels, whose link-layer address is
    /// the IP address of their own end (`ARPHRD_TUNNEL` 768, `TUNNEL6` 769, `SIT` 776, `IPGRE` 778, `IP6GRE` 823).
    pub fn hardware_address(&self) -> Option<&[u8]> {
        let is_tunnel = matches!(self.hardware_type, 768 | 769 | 776 | 778 | 823);
        (!self.is_loopback() && !is_tunnel && !self.link_address.is_empty()).then_some(&self.link_address[..])
    }
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InterfaceAddress {
    /// Index of the interface.
    pub interface: u32,
    /// The host's own address.
    pub address: IpAddr,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// Bits of the network part, 0 to 32 or 128; counted on `peer` where there is one.
    pub prefix_length: u8,
    /// How far the address is valid.
    pub scope: Scope,
    /// `IFA_F_*` flags (linux/if_addr.h).
    pub flags: u32,
}

impl InterfaceAddress {
    /// An IPv4 address in the network of another one of the interface (`IFA_F_SECONDARY`); the same bit marks a temporary
    /// IPv6 address (RFC 8981). The system does not choose it as a source by itself.
    pub fn is_secondary(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// The network that is reached directly through this address.
    pub fn network(&self) -> Prefix {
        Prefix::covering(self.peer.unwrap_or(self.address), self.prefix_length)
    }
}

/// How far an address or route reaches (`RT_SCOPE_*`, linux/rtnetlink.h); smaller is farther.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scope(pub u8);

impl Scope {
    /// Everywhere.
    pub const UNIVERSE: Scope = Scope(0);
    /// This link only.
    pub const LINK: Scope = Scope(253);
    /// This host only.
    pub const HOST: Scope = Scope(254);
    /// A destination that does not exist.
    pub const NOWHERE: Scope = Scope(255);
}

/// A network: an address and how many leading bits of it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prefix {
    /// The network's first address.
    pub address: IpAddr,
    /// Bits that count: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub length: u8,
}

impl Prefix {
    /// The network of `length` bits that holds `address`; a length beyond the address's own is cut to that.
    pub fn covering(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let length = length.min(32);
                let network = Ipv4Addr::from_bits(v4.to_bits() & mask4(length));
                Prefix {
                    address: IpAddr::V4(network),
                    length,
                }
            }
            IpAddr::V6(v6) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Prefix {
                    address: IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask)),
                    length,
                }
            }
        }
    }

    /// Whether `address` is in it; an address of the other family never is.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Prefix::covering(address, self.length).address == self.address
    }

    /// The mask of an IPv4 network, `255.255.255.0` for 24 bits; `None` for IPv6, which has none.
    pub fn netmask(&self) -> Option<Ipv4Addr> {
        self.address
            .is_ipv4()
            .then(|| Ipv4Addr::from_bits(mask4(self.length.min(32))))
    }
}

/// The IPv4 mask of `length` bits (0 to 32).
fn mask4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

/// What happens to a packet that matches a route (`RTN_*`, linux/rtnetlink.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RouteKind {
    /// Forwarded, or delivered on the link.
    Unicast,
    /// Taken in: an address of this host.
    Local,
    /// Taken in and sent as broadcast.
    Broadcast,
    /// Taken in as broadcast, sent as unicast.
    Anycast,
    /// Multicast.
    Multicast,
    /// Dropped silently.
    Blackhole,
    /// Refused: host unreachable.
    Unreachable,
    /// Refused: administratively prohibited.
    Prohibit,
    /// Looked up in the next table instead.
    Throw,
    /// Translated (no longer made by Linux).
    Nat,
    /// A type unknown here, with its number.
    Other(u8),
}

impl RouteKind {
    /// The keyword for a route that leads nowhere, as the Gateway column shows it; `None` for one that leads somewhere.
    pub const fn refusal(self) -> Option<&'static str> {
        match self {
            RouteKind::Blackhole => Some("Blackhole"),
            RouteKind::Unreachable => Some("Unreachable"),
            RouteKind::Prohibit => Some("Prohibit"),
            RouteKind::Throw => Some("Throw"),
            _ => None,
        }
    }
}

/// Who put a route in (`RTPROT_*`, linux/rtnetlink.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RouteProtocol(pub u8);

impl RouteProtocol {
    /// The kernel itself, with an address.
    pub const KERNEL: RouteProtocol = RouteProtocol(2);
    /// By hand or while starting up, not meant to stay.
    pub const BOOT: RouteProtocol = RouteProtocol(3);
    /// The administrator's, to stay.
    pub const STATIC: RouteProtocol = RouteProtocol(4);
}

/// How much a router wants to be used as the default (RFC 4191, 2.1), from router advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RouterPreference {
    /// Before others.
    High,
    /// As usual.
    Medium,
    /// When no other is left.
    Low,
}

/// Where a packet goes next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NextHop {
    /// The router; `None` when the destination is on the link. May be IPv6 on an IPv4 route (RFC 5549).
    pub gateway: Option<IpAddr>,
    /// Index of the interface it leaves by.
    pub interface: Option<NonZeroU32>,
    /// Share among the next hops of the route, 1 to 65536.
    pub weight: u32,
    /// `RTNH_F_*` flags (linux/rtnetlink.h).
    pub flags: u8,
    /// What the packet is wrapped into on this way.
    pub encapsulation: Option<Box<Encapsulation>>,
}

impl NextHop {
    /// Not used for now (`RTNH_F_DEAD`).
    pub fn is_dead(&self) -> bool {
        self.flags & 0x01 != 0
    }

    /// The interface has no carrier (`RTNH_F_LINKDOWN`).
    pub fn is_link_down(&self) -> bool {
        self.flags & 0x10 != 0
    }
}

/// The next hops of a route. Nearly always one, which then costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NextHops {
    /// The route leads nowhere, or its next-hop object could not be read.
    None,
    /// One.
    One(NextHop),
    /// Several that share the traffic.
    Many(Box<[NextHop]>),
}

impl NextHops {
    /// All of them, in the system's order.
    pub fn as_slice(&self) -> &[NextHop] {
        match self {
            NextHops::None => &[],
            NextHops::One(hop) => std::slice::from_ref(hop),
            NextHops::Many(hops) => hops,
        }
    }
}

impl FromIterator<NextHop> for NextHops {
    fn from_iter<I: IntoIterator<Item = NextHop>>(hops: I) -> Self {
        let mut hops: Vec<NextHop> = hops.into_iter().collect();
        match (hops.pop(), hops.is_empty()) {
            (None, _) => NextHops::None,
            (Some(only), true) => NextHops::One(only),
            (Some(last), false) => {
                hops.push(last);
                NextHops::Many(hops.into_boxed_slice())
            }
        }
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Route {
    /// Which packets it is for.
    pub destination: Prefix,
    /// Only packets from here (IPv6 source-specific routes).
    pub source: Option<Box<Prefix>>,
    /// What happens to the packet.
    pub kind: RouteKind,
    /// Who put it in.
    pub protocol: RouteProtocol,
    /// How far the destination is away.
    pub scope: Scope,
    /// Only packets with this type of service; 0 for all.
    pub tos: u8,
    /// How much the advertising router wants to be used (IPv6).
    pub preference: Option<RouterPreference>,
    /// The table it belongs to.
    pub table: u32,
    /// Among routes to the same destination the smallest wins. Linux leaves out a metric of 0.
    pub metric: u32,
    /// The source address for packets of the host's own.
    pub preferred_source: Option<IpAddr>,
    /// The next-hop object it refers to (`ip nexthop`).
    pub next_hop_object: Option<NonZeroU32>,
    /// Where the packet goes.
    pub next_hops: NextHops,
}

impl Route {
    /// Meant to stay: put in as `proto static`.
    pub fn is_persistent(&self) -> bool {
        self.protocol == RouteProtocol::STATIC
    }

    /// The route refers to a next-hop object that could not be read, so where it leads is unknown.
    pub fn is_unresolved(&self) -> bool {
        self.next_hop_object.is_some() && self.next_hops == NextHops::None && self.kind.refusal().is_none()
    }

    /// The order of a listing: by table (`main`, `local`, `default`, then by number), and in a table by destination as a
    /// number, prefix length, metric; what follows only keeps the order the same from print to print.
    pub fn order(&self, other: &Route) -> Ordering {
        table_rank(self.table)
            .cmp(&table_rank(other.table))
            .then_with(|| self.destination.address.cmp(&other.destination.address))
            .then_with(|| self.destination.length.cmp(&other.destination.length))
            .then_with(|| self.metric.cmp(&other.metric))
            .then_with(|| self.tos.cmp(&other.tos))
            .then_with(|| self.kind.cmp(&other.kind))
            .then_with(|| self.hop_key().cmp(&other.hop_key()))
            .then_with(|| {
                let key = |route: &Route| route.source.as_ref().map(|source| (source.address, source.length));
                key(self).cmp(&key(other))
            })
    }

    fn hop_key(&self) -> Option<(Option<NonZeroU32>, Option<IpAddr>)> {
        self.next_hops
            .as_slice()
            .first()
            .map(|hop| (hop.interface, hop.gateway))
    }
}

/// Sorts in place by [`Route::order`].
pub fn sort_routes(routes: &mut [Route]) {
    routes.sort_unstable_by(Route::order);
}

fn table_rank(table: u32) -> (u8, u32) {
    match table {
        TABLE_MAIN => (0, 0),
        TABLE_LOCAL => (1, 0),
        TABLE_DEFAULT => (2, 0),
        number => (3, number),
    }
}

/// Which routing tables are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableSelection {
    /// The table of this number.
    One(u32),
    /// Every table.
    All,
}

impl TableSelection {
    /// Whether routes of `table` are asked for.
    pub fn holds(self, table: u32) -> bool {
        match self {
            TableSelection::One(one) => one == table,
            TableSelection::All => true,
        }
    }
}

impl Default for TableSelection {
    /// The main table: what `ip route` and the older tools show.
    fn default() -> Self {
        TableSelection::One(TABLE_MAIN)
    }
}

/// The names of routing tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TableNames(BTreeMap<u32, Vec<u8>>);

impl Default for TableNames {
    /// The names that every system has: `default`, `main`, `local`.
    fn default() -> Self {
        TableNames(BTreeMap::from([
            (TABLE_DEFAULT, b"default".to_vec()),
            (TABLE_MAIN, b"main".to_vec()),
            (TABLE_LOCAL, b"local".to_vec()),
        ]))
    }
}

impl TableNames {
    /// Names `table`; a later name replaces an earlier one.
    pub fn insert(&mut self, table: u32, name: Vec<u8>) {
        self.0.insert(table, name);
    }

    /// The name of `table`, if it has one. Escape before printing.
    pub fn name(&self, table: u32) -> Option<&[u8]> {
        self.0.get(&table).map(Vec::as_slice)
    }

    /// The table called `name`; with no exact match, the one that differs in letter case only.
    pub fn number(&self, name: &[u8]) -> Option<u32> {
        let exact = self.0.iter().find(|(_, known)| known.as_slice() == name);
        let close = || self.0.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        exact.or_else(close).map(|(&table, _)| table)
    }

    /// Every number and name, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.0.iter().map(|(&table, name)| (table, name.as_slice()))
    }
}

/// All that `netstat -r` shows. A part that could not be read says why; the others are there nevertheless.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RouteListing {
    /// Every interface, physical ones first, the loopback last, each group by index.
    pub interfaces: Fact<Vec<Interface>>,
    /// Every address of an interface, in the system's order.
    pub addresses: Fact<Vec<InterfaceAddress>>,
    /// IPv4 routes in [`Route::order`].
    pub ipv4: Fact<Vec<Route>>,
    /// IPv6 routes in [`Route::order`].
    pub ipv6: Fact<Vec<Route>>,
    /// The rules that choose a table, IPv4 first, each family in the order in which they are tried.
    pub rules: Fact<Vec<PolicyRule>>,
    /// The names of routing tables.
    pub tables: TableNames,
    /// What could not be read, or changed while being read.
    pub limits: Vec<Limit>,
}

/// A multicast group that an interface has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MulticastGroup {
    /// The interface's index.
    pub index: u32,
    /// Its name. Chosen by others: escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub interface: Vec<u8>,
    /// The group's address.
    pub group: IpAddr,
    /// How many sockets, and parts of the kernel, have joined it there.
    pub users: u32,
}

/// Sorts interfaces for a listing: physical ones first, then virtual ones, the loopback last; each group by index.
pub fn sort_interfaces(interfaces: &mut [Interface]) {
    interfaces.sort_by_key(|interface| (interface.is_loopback(), !interface.is_physical(), interface.index));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Why;

    fn route(destination: &str, length: u8, metric: u32, table: u32) -> Route {
        Route {
            destination: Prefix::covering(destination.parse().unwrap(), length),
            source: None,
            kind: RouteKind::Unicast,
            protocol: RouteProtocol::BOOT,
            scope: Scope::UNIVERSE,
            tos: 0,
            preference: None,
            table,
            metric,
            preferred_source: None,
            next_hop_object: None,
            next_hops: NextHops::None,
        }
    }

    #[test]
    fn a_route_stays_small() {
        // A full Internet table is held in memory at once.
        assert!(size_of::<Route>() <= 104, "{} bytes", size_of::<Route>());
    }

    #[test]
    fn order_is_numeric_then_longer_prefix_then_metric() {
        let mut routes = vec![
            route("100.0.0.0", 8, 0, TABLE_MAIN),
            route("9.0.0.0", 8, 0, 7),
            route("20.0.0.0", 16, 0, TABLE_MAIN),
            route("20.0.0.0", 8, 5, TABLE_MAIN),
            route("20.0.0.0", 8, 0, TABLE_MAIN),
            route("1.0.0.0", 8, 0, TABLE_LOCAL),
            route("0.0.0.0", 0, 100, TABLE_MAIN),
        ];
        sort_routes(&mut routes);
        let got: Vec<_> = routes
            .iter()
            .map(|r| (r.destination.address.to_string(), r.destination.length, r.metric))
            .collect();
        let want = [
            ("0.0.0.0", 0, 100),
            ("20.0.0.0", 8, 0),
            ("20.0.0.0", 8, 5),
            ("20.0.0.0", 16, 0),
            ("100.0.0.0", 8, 0),
            ("1.0.0.0", 8, 0),
            ("9.0.0.0", 8, 0),
        ];
        let want: Vec<_> = want
            .iter()
            .map(|&(address, length, metric)| (address.to_string(), length, metric))
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn masks_at_the_edges() {
        let mask = |length| {
            Prefix::covering(Ipv4Addr::BROADCAST.into(), length)
                .netmask()
                .unwrap()
                .to_string()
        };
        assert_eq!(mask(0), "0.0.0.0");
        assert_eq!(mask(1), "128.0.0.0");
        assert_eq!(mask(25), "255.255.255.128");
        assert_eq!(mask(32), "255.255.255.255");
        assert_eq!(mask(200), "255.255.255.255");
        let v6 = Prefix::covering("2001:db8:ffff::1".parse().unwrap(), 33);
        assert_eq!(v6.address, "2001:db8:8000::".parse::<IpAddr>().unwrap());
        assert_eq!(v6.netmask(), None);
        assert_eq!(
            Prefix::covering("::1".parse().unwrap(), 0).address,
            "::".parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn next_hops_keep_their_order() {
        let hop = |weight| NextHop {
            gateway: None,
            interface: None,
            weight,
            flags: 0,
            encapsulation: None,
        };
        assert_eq!(NextHops::from_iter([]), NextHops::None);
        assert_eq!(NextHops::from_iter([hop(3)]), NextHops::One(hop(3)));
        let many = NextHops::from_iter([hop(1), hop(2), hop(3)]);
        assert_eq!(
            many.as_slice().iter().map(|hop| hop.weight).collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }

    #[test]
    fn tunnels_and_the_loopback_have_no_mac() {
        let mut link = Interface {
            index: NonZeroU32::MIN,
            name: b"x".to_vec(),
            alias: None,
            kind: None,
            driver: Fact::Unknown(Why::NotApplicable),
            product: Fact::Unknown(Why::NotApplicable),
            hardware_type: 1,
            link_address: vec![2, 0, 0, 0, 0, 1],
            flags: 1,
            mtu: Fact::Known(1500),
            master: None,
        };
        assert_eq!(link.hardware_address(), Some(&[2, 0, 0, 0, 0, 1][..]));
        link.hardware_type = 776;
        assert_eq!(link.hardware_address(), None);
        link.hardware_type = 772;
        link.flags = 9;
        assert_eq!(link.hardware_address(), None);
    }

    #[test]
    fn tables_by_name_and_number() {
        let mut names = TableNames::default();
        names.insert(100, b"Uplink".to_vec());
        assert_eq!(names.number(b"main"), Some(254));
        assert_eq!(names.number(b"LOCAL"), Some(255));
        assert_eq!(names.number(b"uplink"), Some(100));
        assert_eq!(names.number(b"nosuch"), None);
        assert_eq!(names.name(100), Some(&b"Uplink"[..]));
        assert_eq!(names.name(101), None);
    }
}
