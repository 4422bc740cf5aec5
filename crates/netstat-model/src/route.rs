//! Interfaces, their addresses, routes and policy rules.

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

/// The number of the main routing table, which holds ordinary routes (`RT_TABLE_MAIN`, linux/rtnetlink.h).
pub const TABLE_MAIN: u32 = 254;
/// The number of the table of the host's own addresses and broadcasts, which the kernel maintains (`RT_TABLE_LOCAL`).
pub const TABLE_LOCAL: u32 = 255;
/// The number of the table consulted after `main`, normally empty (`RT_TABLE_DEFAULT`).
pub const TABLE_DEFAULT: u32 = 253;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interface {
    /// The interface index.
    pub index: NonZeroU32,
    /// The interface name. Others choose it: escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// A description set by the administrator (`IFLA_IFALIAS`); `None` if there is none. Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::option_text"))]
    pub alias: Option<Vec<u8>>,
    /// The driver module of a virtual interface, such as `veth` or `bridge` (`IFLA_INFO_KIND`); `None` for other
    /// interfaces. Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::option_text"))]
    pub kind: Option<Vec<u8>>,
    /// The driver of a physical device. Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub driver: Fact<Vec<u8>>,
    /// The product name that the device reports (USB devices do). Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub product: Fact<Vec<u8>>,
    /// The hardware type (`ARPHRD_*`, linux/if_arp.h): 1 Ethernet, 32 InfiniBand, 772 loopback.
    pub hardware_type: u16,
    /// The link-layer address as the system reports it: 6 bytes for Ethernet, 20 for InfiniBand, empty if there is
    /// none. For tunnels it is an IP address; see [`Interface::hardware_address`].
    pub link_address: Vec<u8>,
    /// The `IFF_*` flags (linux/if.h).
    pub flags: u32,
    /// The maximum transmission unit in bytes.
    pub mtu: Fact<u32>,
    /// The index of the bridge, bond or VRF that the interface belongs to (`IFLA_MASTER`); `None` if it belongs to
    /// none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub master: Option<NonZeroU32>,
}

impl Interface {
    /// Whether the interface is up (`IFF_UP`).
    pub fn is_up(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// Whether it is the loopback interface (`IFF_LOOPBACK`).
    pub fn is_loopback(&self) -> bool {
        self.flags & 0x8 != 0
    }

    /// Whether it is a VRF: a virtual routing table for the interfaces that belong to it (ip-vrf(8)).
    pub fn is_vrf(&self) -> bool {
        self.kind.as_deref() == Some(b"vrf")
    }

    /// Whether it is a physical device: one that has a driver and was not created by software alone.
    pub fn is_physical(&self) -> bool {
        self.driver.as_ref().known().is_some() && self.kind.is_none()
    }

    /// Returns the MAC address; `None` for the loopback interface, for links without one, and for IP tunnels, whose
    /// link-layer address is the IP address of their local end (`ARPHRD_TUNNEL` 768, `TUNNEL6` 769, `SIT` 776, `IPGRE`
    /// 778, `IP6GRE` 823).
    pub fn hardware_address(&self) -> Option<&[u8]> {
        let is_tunnel = matches!(self.hardware_type, 768 | 769 | 776 | 778 | 823);
        (!self.is_loopback() && !is_tunnel && !self.link_address.is_empty()).then_some(&self.link_address[..])
    }
}

/// An IP address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InterfaceAddress {
    /// The interface index.
    pub interface: u32,
    /// The host's own address.
    pub address: IpAddr,
    /// The address of the other end of a point-to-point link; `None` on other links.
    pub peer: Option<IpAddr>,
    /// The prefix length, 0 to 32 or 128. It applies to `peer` if there is one.
    pub prefix_length: u8,
    /// The scope in which the address is valid.
    pub scope: Scope,
    /// The `IFA_F_*` flags (linux/if_addr.h).
    pub flags: u32,
}

impl InterfaceAddress {
    /// Whether it is an IPv4 address in the network of another address of the interface (`IFA_F_SECONDARY`). The same
    /// bit marks a temporary IPv6 address (RFC 8981). The system does not select such an IPv4 address as a source by
    /// itself.
    pub fn is_secondary(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// Returns the network that is directly reachable through this address.
    pub fn network(&self) -> Prefix {
        Prefix::covering(self.peer.unwrap_or(self.address), self.prefix_length)
    }
}

/// The scope of an address or route (`RT_SCOPE_*`, linux/rtnetlink.h). Smaller numbers reach farther.
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

/// A network: an address and a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prefix {
    /// The network's first address.
    pub address: IpAddr,
    /// The prefix length: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub length: u8,
}

impl Prefix {
    /// Creates the network of `length` bits that contains `address`. A length that exceeds the address is limited to
    /// its number of bits.
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

    /// Whether the network contains `address`; an address of the other family is never contained.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Prefix::covering(address, self.length).address == self.address
    }

    /// Returns the mask of an IPv4 network, such as `255.255.255.0` for 24 bits; `None` for IPv6.
    pub fn netmask(&self) -> Option<Ipv4Addr> {
        self.address
            .is_ipv4()
            .then(|| Ipv4Addr::from_bits(mask4(self.length.min(32))))
    }
}

/// Returns the IPv4 mask of `length` bits (0 to 32).
fn mask4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

/// What happens to a packet that matches a route (`RTN_*`, linux/rtnetlink.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RouteKind {
    /// Forwarded or delivered on the link.
    Unicast,
    /// Delivered locally: an address of this host.
    Local,
    /// Delivered locally as a broadcast and sent as a broadcast.
    Broadcast,
    /// Delivered locally as a broadcast but sent as unicast.
    Anycast,
    /// Sent as multicast.
    Multicast,
    /// Dropped silently.
    Blackhole,
    /// Rejected: host unreachable.
    Unreachable,
    /// Rejected: administratively prohibited.
    Prohibit,
    /// The lookup continues in the next table.
    Throw,
    /// Translated (no longer created by Linux).
    Nat,
    /// Another type, with its number.
    Other(u8),
}

impl RouteKind {
    /// Returns the keyword for a route that leads nowhere, as shown in the Gateway column; `None` for other routes.
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

/// The origin of a route (`RTPROT_*`, linux/rtnetlink.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RouteProtocol(pub u8);

impl RouteProtocol {
    /// Added by the kernel, along with an address.
    pub const KERNEL: RouteProtocol = RouteProtocol(2);
    /// Added manually or during boot, not meant to be permanent.
    pub const BOOT: RouteProtocol = RouteProtocol(3);
    /// Added by the administrator, meant to be permanent.
    pub const STATIC: RouteProtocol = RouteProtocol(4);
}

/// The preference of a default router (RFC 4191, 2.1), from router advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RouterPreference {
    /// Preferred over others.
    High,
    /// The default.
    Medium,
    /// Used only if no other router is available.
    Low,
}

/// A next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NextHop {
    /// The router; `None` if the destination is on the link. It may be IPv6 on an IPv4 route (RFC 5549).
    pub gateway: Option<IpAddr>,
    /// The index of the outgoing interface.
    pub interface: Option<NonZeroU32>,
    /// The share of the traffic relative to the route's other next hops, 1 to 65536.
    pub weight: u32,
    /// The `RTNH_F_*` flags (linux/rtnetlink.h).
    pub flags: u8,
    /// The encapsulation of packets sent to this next hop; `None` if there is none.
    pub encapsulation: Option<Box<Encapsulation>>,
}

impl NextHop {
    /// Whether the next hop is currently not in use (`RTNH_F_DEAD`).
    pub fn is_dead(&self) -> bool {
        self.flags & 0x01 != 0
    }

    /// Whether the interface has no carrier (`RTNH_F_LINKDOWN`).
    pub fn is_link_down(&self) -> bool {
        self.flags & 0x10 != 0
    }
}

/// The next hops of a route. A single one, by far the most frequent case, needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NextHops {
    /// No next hop: the route leads nowhere, or its next-hop object could not be read.
    None,
    /// A single next hop.
    One(NextHop),
    /// Several next hops that share the traffic.
    Many(Box<[NextHop]>),
}

impl NextHops {
    /// Returns all next hops, in the system's order.
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

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Route {
    /// The destination network.
    pub destination: Prefix,
    /// The source network, if the route applies only to packets from there (IPv6 source-specific routes).
    pub source: Option<Box<Prefix>>,
    /// What happens to packets that match.
    pub kind: RouteKind,
    /// The origin of the route.
    pub protocol: RouteProtocol,
    /// The scope of the destination.
    pub scope: Scope,
    /// The type of service that packets must have; 0 matches all.
    pub tos: u8,
    /// The preference of the advertising router (IPv6); `None` if there is none.
    pub preference: Option<RouterPreference>,
    /// The number of the routing table.
    pub table: u32,
    /// The metric: among routes to the same destination, the smallest wins. Linux omits a metric of 0.
    pub metric: u32,
    /// The preferred source address for packets that this host sends; `None` if not set.
    pub preferred_source: Option<IpAddr>,
    /// The id of the next-hop object that the route refers to (`ip nexthop`); `None` if it has none.
    pub next_hop_object: Option<NonZeroU32>,
    /// The next hops.
    pub next_hops: NextHops,
}

impl Route {
    /// Whether the route is meant to be permanent (`proto static`).
    pub fn is_persistent(&self) -> bool {
        self.protocol == RouteProtocol::STATIC
    }

    /// Whether the route refers to a next-hop object that could not be read, so that its next hops are unknown.
    pub fn is_unresolved(&self) -> bool {
        self.next_hop_object.is_some() && self.next_hops == NextHops::None && self.kind.refusal().is_none()
    }

    /// Compares routes in the order of a listing: by table (`main`, `local`, `default`, then by number), and within a
    /// table by destination as a number, prefix length and metric. The remaining criteria only keep the order stable
    /// from one listing to the next.
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

/// Sorts the routes in place by [`Route::order`].
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

/// The routing tables to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableSelection {
    /// The table with this number.
    One(u32),
    /// Every table.
    All,
}

impl TableSelection {
    /// Whether the selection includes routes of `table`.
    pub fn holds(self, table: u32) -> bool {
        match self {
            TableSelection::One(one) => one == table,
            TableSelection::All => true,
        }
    }
}

impl Default for TableSelection {
    /// Returns the main table, which `ip route` and older tools show.
    fn default() -> Self {
        TableSelection::One(TABLE_MAIN)
    }
}

/// The names of routing tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TableNames(BTreeMap<u32, Vec<u8>>);

impl Default for TableNames {
    /// Returns the names that every system has: `default`, `main` and `local`.
    fn default() -> Self {
        TableNames(BTreeMap::from([
            (TABLE_DEFAULT, b"default".to_vec()),
            (TABLE_MAIN, b"main".to_vec()),
            (TABLE_LOCAL, b"local".to_vec()),
        ]))
    }
}

impl TableNames {
    /// Sets the name of `table`, replacing an earlier one.
    pub fn insert(&mut self, table: u32, name: Vec<u8>) {
        self.0.insert(table, name);
    }

    /// Returns the name of `table`; `None` if it has none. Escape before printing.
    pub fn name(&self, table: u32) -> Option<&[u8]> {
        self.0.get(&table).map(Vec::as_slice)
    }

    /// Returns the number of the table with the name `name`. If there is no exact match, letter case is ignored.
    pub fn number(&self, name: &[u8]) -> Option<u32> {
        let exact = self.0.iter().find(|(_, known)| known.as_slice() == name);
        let close = || self.0.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        exact.or_else(close).map(|(&table, _)| table)
    }

    /// Returns an iterator over the numbers and names, ordered by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.0.iter().map(|(&table, name)| (table, name.as_slice()))
    }
}

/// Everything that `netstat -r` shows. A part that could not be read is unknown with its reason; the others are still
/// present.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RouteListing {
    /// Every interface: physical ones first, the loopback last, each group ordered by index.
    pub interfaces: Fact<Vec<Interface>>,
    /// The addresses of all interfaces, in the system's order.
    pub addresses: Fact<Vec<InterfaceAddress>>,
    /// The IPv4 routes, sorted by [`Route::order`].
    pub ipv4: Fact<Vec<Route>>,
    /// The IPv6 routes, sorted by [`Route::order`].
    pub ipv6: Fact<Vec<Route>>,
    /// The policy rules that select a table, IPv4 first, each family in the order in which they are tried.
    pub rules: Fact<Vec<PolicyRule>>,
    /// The names of routing tables.
    pub tables: TableNames,
    /// What could not be read or changed while it was read.
    pub limits: Vec<Limit>,
}

/// A multicast group that an interface has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MulticastGroup {
    /// The interface index.
    pub index: u32,
    /// The interface name. Others choose it: escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub interface: Vec<u8>,
    /// The group's address.
    pub group: IpAddr,
    /// The number of sockets and kernel subsystems that have joined the group on this interface.
    pub users: u32,
}

/// Sorts interfaces for a listing: physical ones first, then virtual ones, the loopback last, each group ordered by
/// index.
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
    fn route_size_in_memory_is_at_most_104_bytes() {
        // A full Internet routing table is kept in memory at once.
        assert!(size_of::<Route>() <= 104, "{} bytes", size_of::<Route>());
    }

    #[test]
    fn routes_are_sorted_by_table_address_prefix_and_metric() {
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
    fn netmask_of_shortest_and_longest_prefixes_is_exact() {
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
    fn next_hops_collected_keep_their_order() {
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
    fn hardware_address_of_tunnel_or_loopback_is_none() {
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
    fn route_table_is_found_by_name_and_number() {
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
