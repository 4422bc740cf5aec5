//! What `ip -json` says, in a form that ours can be compared with.

use std::collections::HashMap;

use netstat_model::Fact;
use netstat_model::route::{Interface, InterfaceAddress, Prefix, Route, RouteKind};
use serde_json::Value;

use crate::namespace::sh;

/// Interface names by index.
pub(crate) struct Names(HashMap<u32, String>);

impl Names {
    pub(crate) fn of(interfaces: &[Interface]) -> Self {
        let name = |interface: &Interface| String::from_utf8(interface.name.clone()).unwrap();
        Names(
            interfaces
                .iter()
                .map(|interface| (interface.index.get(), name(interface)))
                .collect(),
        )
    }

    /// Our routes as sorted lines.
    pub(crate) fn ours(&self, routes: &[Route]) -> Vec<String> {
        let mut lines: Vec<String> = routes.iter().map(|route| self.line(route)).collect();
        lines.sort();
        lines
    }

    fn line(&self, route: &Route) -> String {
        let hops: Vec<String> = route
            .next_hops
            .as_slice()
            .iter()
            .map(|hop| {
                let gateway = hop.gateway.map_or("-".to_owned(), |gateway| gateway.to_string());
                let device = hop.interface.map_or("-", |index| &self.0[&index.get()]);
                format!("[{gateway} {device} {}]", hop.weight)
            })
            .collect();
        format!(
            "{} type {} table {} proto {} scope {} metric {} src {} from {} tos {} nhid {} {}",
            prefix(&route.destination),
            number(route.kind),
            route.table,
            route.protocol.0,
            route.scope.0,
            route.metric,
            route
                .preferred_source
                .map_or("-".to_owned(), |source| source.to_string()),
            route.source.as_ref().map_or("-".to_owned(), |source| prefix(source)),
            route.tos,
            route.next_hop_object.map_or(0, |id| id.get()),
            hops.join(""),
        )
    }
}

/// As `ip` writes it: `default`, and no length for a single host.
fn prefix(prefix: &Prefix) -> String {
    match prefix.length {
        0 => "default".to_owned(),
        32 if prefix.address.is_ipv4() => prefix.address.to_string(),
        128 => prefix.address.to_string(),
        length => format!("{}/{length}", prefix.address),
    }
}

fn number(kind: RouteKind) -> u8 {
    match kind {
        RouteKind::Unicast => 1,
        RouteKind::Local => 2,
        RouteKind::Broadcast => 3,
        RouteKind::Anycast => 4,
        RouteKind::Multicast => 5,
        RouteKind::Blackhole => 6,
        RouteKind::Unreachable => 7,
        RouteKind::Prohibit => 8,
        RouteKind::Throw => 9,
        RouteKind::Nat => 10,
        RouteKind::Other(other) => other,
    }
}

fn json(command: &str) -> Vec<Value> {
    let text = sh(command);
    // `ip` prints nothing at all for an empty list.
    if text.trim().is_empty() {
        return Vec::new();
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command}: {error}: {text}"))
}

fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn count(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// The routes of `command` as sorted lines.
pub(crate) fn routes(command: &str) -> Vec<String> {
    let mut lines: Vec<String> = json(command).iter().map(route).collect();
    lines.sort();
    lines
}

fn route(value: &Value) -> String {
    let hop = |hop: &Value, weight: u64| {
        let via = hop.get("via").and_then(|via| word(via, "host"));
        format!(
            "[{} {} {weight}]",
            word(hop, "gateway").or(via).unwrap_or("-"),
            word(hop, "dev").unwrap_or("-")
        )
    };
    let hops: String = match value.get("nexthops").and_then(Value::as_array) {
        Some(hops) => hops.iter().map(|one| hop(one, count(one, "weight"))).collect(),
        None if value.get("dev").is_some() => hop(value, 1),
        None => String::new(),
    };
    let tos = word(value, "tos").map_or(0, |tos| u8::from_str_radix(tos.trim_start_matches("0x"), 16).unwrap());
    format!(
        "{} type {} table {} proto {} scope {} metric {} src {} from {} tos {tos} nhid {} {hops}",
        word(value, "dst").unwrap(),
        word(value, "type").unwrap(),
        word(value, "table").unwrap_or("254"),
        word(value, "protocol").unwrap(),
        word(value, "scope").unwrap(),
        count(value, "metric"),
        word(value, "prefsrc").unwrap_or("-"),
        word(value, "from").unwrap_or("-"),
        count(value, "nhid"),
    )
}

/// Index, name, MAC, size of the largest packet.
type Link = (u64, String, String, u64);

pub(crate) fn links() -> Vec<Link> {
    let mut links: Vec<Link> = json("ip -j link")
        .iter()
        .map(|link| {
            let text = |key| word(link, key).unwrap_or("").to_owned();
            (
                count(link, "ifindex"),
                text("ifname"),
                text("address"),
                count(link, "mtu"),
            )
        })
        .collect();
    links.sort();
    links
}

pub(crate) fn our_links(interfaces: &[Interface]) -> Vec<Link> {
    let mut links: Vec<Link> = interfaces
        .iter()
        .map(|interface| {
            let address: Vec<String> = interface
                .link_address
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let Fact::Known(mtu) = interface.mtu else {
                panic!("no mtu: {interface:?}")
            };
            let name = String::from_utf8(interface.name.clone()).unwrap();
            (
                u64::from(interface.index.get()),
                name,
                address.join(":"),
                u64::from(mtu),
            )
        })
        .collect();
    links.sort();
    links
}

/// Index, address, peer, prefix length, secondary or not.
type Address = (u64, String, Option<String>, u64, bool);

pub(crate) fn addresses() -> Vec<Address> {
    let mut all = Vec::new();
    for link in json("ip -j addr") {
        for address in link["addr_info"].as_array().unwrap() {
            let peer = word(address, "address").map(str::to_owned);
            let secondary = address.get("secondary").is_some() || address.get("temporary").is_some();
            let local = word(address, "local").unwrap().to_owned();
            all.push((
                count(&link, "ifindex"),
                local,
                peer,
                count(address, "prefixlen"),
                secondary,
            ));
        }
    }
    all.sort();
    all
}

pub(crate) fn our_address(address: &InterfaceAddress) -> Address {
    (
        u64::from(address.interface),
        address.address.to_string(),
        address.peer.map(|peer| peer.to_string()),
        u64::from(address.prefix_length),
        address.is_secondary(),
    )
}
