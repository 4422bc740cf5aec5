//! `-r` for machines.

use netstat_model::Fact;
use netstat_model::columns::{RouteRow, Routes, Table};
use netstat_model::route::{Interface, InterfaceAddress, RouteListing};
use serde_json::{Value, json};

use super::front::{self, Front};
use super::{schema, text};
use crate::output::rows::plain::PlainGrid;

/// A row for each next hop of each route.
pub(crate) fn grid(listing: &RouteListing) -> PlainGrid<'_, Routes> {
    PlainGrid::new(Routes::columns(), RouteRow::all(listing))
}

/// The member `routes`: interfaces with their addresses, and the rows of the tables.
pub(crate) fn value(front: &mut Front, listing: &RouteListing) -> Value {
    for (what, why) in [
        ("the interfaces", listing.interfaces.why()),
        ("the addresses of the interfaces", listing.addresses.why()),
        ("the IPv4 routes", listing.ipv4.why()),
        ("the IPv6 routes", listing.ipv6.why()),
    ] {
        if let Some(why) = why {
            front.unknown(what, why.words());
        }
    }
    let interfaces = listing.interfaces.as_ref().known().map(|all| {
        all.iter()
            .map(|one| interface(one, &listing.addresses))
            .collect::<Vec<_>>()
    });
    let known = listing.ipv4.why().is_none() || listing.ipv6.why().is_none();
    let rows = known.then(|| front::rows(front, &grid(listing), "route", "routes"));
    json!({"interfaces": interfaces, "rows": rows})
}

fn interface(interface: &Interface, addresses: &Fact<Vec<InterfaceAddress>>) -> Value {
    let known = |fact: &Fact<Vec<u8>>| fact.as_ref().known().map(|bytes| text(bytes));
    let own = addresses.as_ref().known().map(|all| {
        all.iter()
            .filter(|address| address.interface == interface.index.get())
            .map(|address| {
                json!({
                    "address": address.address.to_string(),
                    "prefix_length": address.prefix_length,
                    "peer": address.peer.map(|peer| peer.to_string()),
                    "secondary": address.is_secondary(),
                })
            })
            .collect::<Vec<_>>()
    });
    let mac = interface.hardware_address().map(|bytes| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(":")
    });
    json!({
        "index": interface.index,
        "name": text(&interface.name),
        "alias": interface.alias.as_deref().map(text),
        "mac": mac,
        "kind": interface.kind.as_deref().map(text),
        "driver": known(&interface.driver),
        "product": known(&interface.product),
        "up": interface.is_up(),
        "loopback": interface.is_loopback(),
        "mtu": interface.mtu.known(),
        "addresses": own,
    })
}

/// The schema of that member.
pub(super) fn schema() -> Value {
    let text = |what: &str| json!({"type": ["string", "null"], "description": what});
    let address = json!({
        "type": "object",
        "properties": {
            "address": {"type": "string", "description": "the computer's own address"},
            "prefix_length": {"type": "integer", "minimum": 0, "maximum": 128},
            "peer": text("the other end of a point-to-point link; null: there is none"),
            "secondary": {"type": "boolean", "description": "whether it is not chosen as a source by itself"},
        },
        "required": ["address", "prefix_length", "peer", "secondary"],
        "additionalProperties": false,
    });
    let interface = json!({
        "type": "object",
        "properties": {
            "index": {"type": "integer", "minimum": 1, "description": "the system's number for it"},
            "name": {"type": "string"},
            "alias": text("what the administrator wrote about it; null: nothing"),
            "mac": text("hardware address; null: it has none"),
            "kind": text("the kind of a virtual interface: veth, bridge; null: it is no virtual one"),
            "driver": text("driver of a device; null: it has none, or it is not told"),
            "product": text("what a device calls itself; null: it does not tell"),
            "up": {"type": "boolean"},
            "loopback": {"type": "boolean"},
            "mtu": {"type": ["integer", "null"], "minimum": 0, "description": "largest packet (bytes)"},
            "addresses": {"type": ["array", "null"], "items": address},
        },
        "required": ["index", "name", "alias", "mac", "kind", "driver", "product", "up", "loopback", "mtu", "addresses"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "description": "-r: interfaces and routing tables, a row for each next hop",
        "properties": {
            "interfaces": {"type": ["array", "null"], "items": interface},
            "rows": {"type": ["array", "null"], "items": schema::row::<Routes>(&[], false)},
        },
        "required": ["interfaces", "rows"],
        "additionalProperties": false,
    })
}
