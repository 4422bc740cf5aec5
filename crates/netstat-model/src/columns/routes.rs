//! The columns of routes.

use std::net::IpAddr;

use super::{Column, Needs, Table, Value, ValueKind};
use crate::Endpoint;
use crate::route::{NextHop, Prefix, Route, RouteKind, RouteListing, RouteProtocol, RouterPreference, Scope};

/// The table of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {}

/// A route with one of its next hops.
#[derive(Clone, Copy, Debug)]
pub struct RouteRow<'a> {
    /// The route.
    pub route: &'a Route,
    /// The next hop; `None` if the route has none.
    pub hop: Option<&'a NextHop>,
    /// The position of the next hop among those of the route, from 1.
    pub place: usize,
    /// The listing, which has the names of interfaces and tables.
    pub listing: &'a RouteListing,
}

impl<'a> RouteRow<'a> {
    /// Returns the rows of `listing`, IPv4 first: one for each next hop, and one for a route without any.
    pub fn all(listing: &'a RouteListing) -> Vec<RouteRow<'a>> {
        let mut rows = Vec::new();
        for family in [&listing.ipv4, &listing.ipv6] {
            for route in family.as_ref().known().into_iter().flatten() {
                let row = RouteRow {
                    route,
                    hop: None,
                    place: 1,
                    listing,
                };
                let hops = route.next_hops.as_slice();
                if hops.is_empty() {
                    rows.push(row);
                }
                rows.extend(hops.iter().enumerate().map(|(at, hop)| RouteRow {
                    hop: Some(hop),
                    place: at + 1,
                    ..row
                }));
            }
        }
        rows
    }
}

impl Table for Routes {
    type Row<'a> = RouteRow<'a>;

    const ROW: &'static str = "route";

    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

type Get = for<'r, 'a> fn(&'r RouteRow<'a>) -> Value<'r>;

const fn column(name: &'static str, kind: ValueKind, meaning: &'static str, get: Get) -> Column<Routes> {
    Column {
        name,
        heading: name,
        meaning,
        unit: "",
        kind,
        needs: Needs::NONE,
        get,
    }
}

fn address(address: IpAddr) -> Value<'static> {
    Value::Address(Endpoint {
        address,
        port: 0,
        scope: 0,
    })
}

fn address_or_nothing(found: Option<IpAddr>) -> Value<'static> {
    found.map_or(Value::Nothing, address)
}

fn prefix(prefix: Prefix) -> Value<'static> {
    Value::text(format!("{}/{}", prefix.address, prefix.length).into_bytes())
}

fn word_or_number(word: Option<&'static str>, number: u8) -> Value<'static> {
    match word {
        Some(word) => Value::Word(word),
        None => Value::text(number.to_string().into_bytes()),
    }
}

/// Returns the keyword of ip-route(8).
fn kind(kind: RouteKind) -> Value<'static> {
    let (word, number) = match kind {
        RouteKind::Unicast => (Some("unicast"), 0),
        RouteKind::Local => (Some("local"), 0),
        RouteKind::Broadcast => (Some("broadcast"), 0),
        RouteKind::Anycast => (Some("anycast"), 0),
        RouteKind::Multicast => (Some("multicast"), 0),
        RouteKind::Blackhole => (Some("blackhole"), 0),
        RouteKind::Unreachable => (Some("unreachable"), 0),
        RouteKind::Prohibit => (Some("prohibit"), 0),
        RouteKind::Throw => (Some("throw"), 0),
        RouteKind::Nat => (Some("nat"), 0),
        RouteKind::Other(number) => (None, number),
    };
    word_or_number(word, number)
}

/// Returns the name as in rt_protos, as far as the kernel fixes it (linux/rtnetlink.h).
fn protocol(protocol: RouteProtocol) -> Value<'static> {
    let word = match protocol {
        RouteProtocol::KERNEL => Some("kernel"),
        RouteProtocol::BOOT => Some("boot"),
        RouteProtocol::STATIC => Some("static"),
        // RTPROT_RA, RTPROT_DHCP.
        RouteProtocol(9) => Some("ra"),
        RouteProtocol(16) => Some("dhcp"),
        _ => None,
    };
    word_or_number(word, protocol.0)
}

fn scope(scope: Scope) -> Value<'static> {
    let word = match scope {
        Scope::UNIVERSE => Some("global"),
        Scope::LINK => Some("link"),
        Scope::HOST => Some("host"),
        Scope::NOWHERE => Some("nowhere"),
        _ => None,
    };
    word_or_number(word, scope.0)
}

fn interface_name<'r>(row: &'r RouteRow<'_>) -> Value<'r> {
    let Some(index) = row.hop.and_then(|hop| hop.interface) else {
        return Value::Nothing;
    };
    match &row.listing.interfaces {
        crate::Fact::Known(all) => all
            .iter()
            .find(|interface| interface.index == index)
            .map_or(Value::unknown(crate::Why::Gone), |interface| {
                Value::text(interface.name.as_slice())
            }),
        crate::Fact::Unknown(why) => Value::unknown(*why),
    }
}

fn hop_flag(row: &RouteRow<'_>, is: fn(&NextHop) -> bool) -> Value<'static> {
    Value::Flag(row.hop.is_some_and(is))
}

#[rustfmt::skip]
static COLUMNS: &[Column<Routes>] = {
    use ValueKind::*;
    &[
        column("family", Text, "IPv4 or IPv6", |row| Value::Word(if row.route.destination.address.is_ipv4() { "IPv4" } else { "IPv6" })),
        column("destination", Text, "which packets it is for: network and length of its prefix", |row| prefix(row.route.destination)),
        column("kind", Text, "what happens to the packet: unicast, local, blackhole and so on", |row| kind(row.route.kind)),
        column("gateway", Address, "the next router; empty where the destination is on the link", |row| address_or_nothing(row.hop.and_then(|hop| hop.gateway))),
        column("interface", Text, "name of the interface it leaves by", interface_name),
        column("interface_index", Number, "number of that interface; 0 where there is none", |row| Value::Number(row.hop.and_then(|hop| hop.interface).map_or(0, |index| index.get().into()))),
        column("metric", Number, "of routes to the same destination the one with the smallest wins", |row| Value::Number(row.route.metric.into())),
        column("source", Text, "only packets from here; empty: from anywhere", |row| row.route.source.as_deref().map_or(Value::Nothing, |source| prefix(*source))),
        column("preferred_source", Address, "the source address of the computer's own packets, where one is set", |row| address_or_nothing(row.route.preferred_source)),
        column("table", Number, "number of the routing table", |row| Value::Number(row.route.table.into())),
        column("table_name", Text, "name of the routing table, if it has one", |row| row.listing.tables.name(row.route.table).map_or(Value::Nothing, Value::text)),
        column("protocol", Text, "who put it in: kernel, boot, static, dhcp, ra, or a number", |row| protocol(row.route.protocol)),
        column("scope", Text, "how far the destination is: global, link, host, nowhere, or a number", |row| scope(row.route.scope)),
        column("tos", Number, "only packets with this type of service; 0 for all", |row| Value::Number(row.route.tos.into())),
        column("preference", Text, "how much the advertising router wants to be used (RFC 4191)", |row| match row.route.preference {
            Some(RouterPreference::High) => Value::Word("high"),
            Some(RouterPreference::Medium) => Value::Word("medium"),
            Some(RouterPreference::Low) => Value::Word("low"),
            None => Value::Nothing,
        }),
        column("hop", Number, "which of the route's next hops this is, from 1", |row| Value::Number(row.place as u64)),
        column("hops", Number, "how many next hops the route has", |row| Value::Number(row.route.next_hops.as_slice().len() as u64)),
        column("weight", Number, "share of this next hop among them; 0 where there is none", |row| Value::Number(row.hop.map_or(0, |hop| hop.weight.into()))),
        column("next_hop_object", Number, "the next-hop object it refers to; 0: none", |row| Value::Number(row.route.next_hop_object.map_or(0, |id| id.get().into()))),
        column("unresolved", Flag, "whether that object could not be read, so that it is unknown where the route leads", |row| Value::Flag(row.route.is_unresolved())),
        column("dead", Flag, "whether the next hop is not used for now", |row| hop_flag(row, NextHop::is_dead)),
        column("link_down", Flag, "whether its interface has no carrier", |row| hop_flag(row, NextHop::is_link_down)),
        column("encapsulation", Text, "what the next hop wraps the packet into, as ip-route(8) writes it: mpls, seg6, ip, ip6 and so on; empty: nothing", |row| match row.hop.and_then(|hop| hop.encapsulation.as_ref()) {
            Some(encapsulation) => Value::text(encapsulation.to_string().into_bytes()),
            None => Value::Nothing,
        }),
    ]
};

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::route::{NextHops, TABLE_MAIN, TableNames};
    use crate::{Fact, Why};

    fn cell(row: &RouteRow<'_>, name: &str) -> String {
        let column = super::super::find::<Routes>(name).expect("a column");
        let mut out = Vec::new();
        (column.get)(row).push_cell(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn route_rows_are_one_for_each_next_hop() {
        let hop = |last, weight| NextHop {
            gateway: Some([192, 0, 2, last].into()),
            interface: NonZeroU32::new(2),
            weight,
            flags: 0x10,
            encapsulation: None,
        };
        let route = |kind, next_hops| Route {
            destination: Prefix::covering([10, 0, 0, 0].into(), 8),
            source: None,
            kind,
            protocol: RouteProtocol(16),
            scope: Scope::UNIVERSE,
            tos: 0,
            preference: None,
            table: TABLE_MAIN,
            metric: 100,
            preferred_source: None,
            next_hop_object: None,
            next_hops,
        };
        let listing = RouteListing {
            interfaces: Fact::Known(Vec::new()),
            addresses: Fact::Unknown(Why::NotPermitted),
            ipv4: Fact::Known(vec![
                route(RouteKind::Unicast, NextHops::Many([hop(1, 3), hop(2, 1)].into())),
                route(RouteKind::Blackhole, NextHops::None),
            ]),
            ipv6: Fact::Unknown(Why::Failed),
            rules: Fact::Known(Vec::new()),
            tables: TableNames::default(),
            limits: Vec::new(),
        };
        let rows = RouteRow::all(&listing);
        assert_eq!(rows.len(), 3);
        let cells = |row: &RouteRow<'_>| {
            [
                "destination",
                "kind",
                "gateway",
                "interface",
                "hop",
                "hops",
                "weight",
                "table_name",
                "protocol",
                "link_down",
            ]
            .map(|name| cell(row, name))
            .join(" ")
        };
        assert_eq!(cells(&rows[0]), "10.0.0.0/8 unicast 192.0.2.1 - 1 2 3 main dhcp yes");
        assert_eq!(cells(&rows[1]), "10.0.0.0/8 unicast 192.0.2.2 - 2 2 1 main dhcp yes");
        assert_eq!(cells(&rows[2]), "10.0.0.0/8 blackhole none none 1 0 0 main dhcp no");
    }
}
