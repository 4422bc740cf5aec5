//! `-r` in machine-readable formats.

use netstat_model::Fact;
use netstat_model::columns::{RouteRow, Routes, Table};
use netstat_model::route::{
    Interface, InterfaceAddress, PolicyRule, Prefix, RouteAnswer, RouteListing, RouteQuery, RuleAction,
};
use serde_json::{Value, json};

use super::front::{self, Front};
use super::{schema, text};
use crate::output::rows::plain::PlainGrid;

/// Returns a grid with a row for each next hop of each route.
pub(crate) fn grid(listing: &RouteListing) -> PlainGrid<'_, Routes> {
    PlainGrid::new(Routes::columns(), RouteRow::all(listing))
}

/// Returns the member `routes`: interfaces with their addresses, and the rows of the tables.
pub(crate) fn value(front: &mut Front, listing: &RouteListing) -> Value {
    for (what, why) in [
        ("the interfaces", listing.interfaces.why()),
        ("the addresses of the interfaces", listing.addresses.why()),
        ("the IPv4 routes", listing.ipv4.why()),
        ("the IPv6 routes", listing.ipv6.why()),
        ("the policy rules", listing.rules.why()),
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
    let rules = listing.rules.as_ref().known();
    let rules = rules.map(|all| all.iter().map(|one| rule(one, listing)).collect::<Vec<_>>());
    json!({"interfaces": interfaces, "rules": rules, "rows": rows})
}

/// Returns the member `route_to`: the path that a packet takes.
pub(crate) fn way(query: &RouteQuery, answer: &RouteAnswer, listing: &RouteListing) -> Value {
    let mut value = json!({
        "to": query.to.to_string(),
        "from": query.from.map(|from| from.to_string()),
        "mark": query.mark,
        "uid": query.uid,
        "reason": null, "rule": null, "table": null, "table_name": null, "route": null, "gateway": null,
        "interface": null, "interface_index": null, "source": null, "encapsulation": null,
    });
    let way = match answer {
        RouteAnswer::Way(way) => way,
        RouteAnswer::None(reason) => {
            value["reason"] = reason.as_str().into();
            return value;
        }
    };
    let rules = listing.rules.as_ref().known().map_or(&[][..], Vec::as_slice);
    value["rule"] = way.rule(rules).map_or(Value::Null, |found| rule(found, listing));
    value["table"] = way.answer.table.into();
    value["table_name"] = listing.tables.name(way.answer.table).map_or(Value::Null, text);
    let row = way.matched.as_ref().map(|row| row.destination);
    value["route"] = row.map(|row| format!("{}/{}", row.address, row.length)).into();
    let source = way.answer.preferred_source.or(query.from);
    value["source"] = source.map(|address| address.to_string()).into();
    if let Some(hop) = way.answer.next_hops.as_slice().first() {
        value["gateway"] = hop.gateway.map(|gateway| gateway.to_string()).into();
        value["interface_index"] = hop.interface.map(|index| index.get()).into();
        value["encapsulation"] = hop.encapsulation.as_ref().map(ToString::to_string).into();
        let interfaces = listing.interfaces.as_ref().known().map_or(&[][..], Vec::as_slice);
        let name = hop
            .interface
            .and_then(|index| interfaces.iter().find(|one| one.index == index));
        value["interface"] = name.map_or(Value::Null, |one| text(&one.name));
    }
    value
}

fn rule(rule: &PolicyRule, listing: &RouteListing) -> Value {
    let prefix = |prefix: Option<Prefix>| prefix.map(|prefix| format!("{}/{}", prefix.address, prefix.length));
    let range = |range: Option<(u32, u32)>| range.map(|(first, last)| [first, last]);
    let ports = |ports: Option<(u16, u16)>| ports.map(|(first, last)| [first, last]);
    let (table, target) = match rule.action {
        RuleAction::Lookup(table) if !rule.l3mdev => (Some(table), None),
        RuleAction::Goto(priority) => (None, Some(priority)),
        _ => (None, None),
    };
    json!({
        "family": if rule.ipv4 { "IPv4" } else { "IPv6" },
        "priority": rule.priority,
        "selectors": rule.selectors(),
        "action": rule.action_text(&listing.tables),
        "inverted": rule.inverted,
        "from": prefix(rule.from),
        "to": prefix(rule.to),
        "tos": rule.tos,
        "mark": rule.mark.map(|(mark, _)| mark),
        "mark_mask": rule.mark.map(|(_, mask)| mask),
        "input_interface": rule.input_interface.as_deref().map(text),
        "output_interface": rule.output_interface.as_deref().map(text),
        "l3mdev": rule.l3mdev,
        "uid_range": range(rule.users),
        "ip_protocol": rule.ip_protocol,
        "source_ports": ports(rule.source_ports),
        "destination_ports": ports(rule.destination_ports),
        "tunnel_key": rule.tunnel,
        "table": table,
        "goto": target,
        "suppress_prefix_length": rule.suppress_prefix_length,
        "suppress_interface_group": rule.suppress_interface_group,
    })
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

/// Returns the schema of the member `routes`.
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
            "rules": {"type": ["array", "null"], "items": rule_schema(),
                "description": "the policy rules, each family in the order in which they are tried"},
            "rows": {"type": ["array", "null"], "items": schema::row::<Routes>(&[], false)},
        },
        "required": ["interfaces", "rows"],
        "additionalProperties": false,
    })
}

/// Returns the schema of a policy rule.
fn rule_schema() -> Value {
    let number = |what: &str| json!({"type": ["integer", "null"], "minimum": 0, "description": what});
    let text = |what: &str| json!({"type": ["string", "null"], "description": what});
    let pair = |what: &str| json!({"type": ["array", "null"], "items": {"type": "integer", "minimum": 0}, "description": what});
    json!({
        "type": "object",
        "properties": {
            "family": {"type": "string", "enum": ["IPv4", "IPv6"]},
            "priority": {"type": "integer", "minimum": 0, "description": "rules are tried from the smallest to the largest"},
            "selectors": {"type": "string", "description": "which packets it matches, as ip-rule(8) writes it"},
            "action": {"type": "string", "description": "what it does, as ip-rule(8) writes it"},
            "inverted": {"type": "boolean", "description": "whether it matches the packets that its selectors do not match"},
            "from": text("source network; null: every source"),
            "to": text("destination network; null: every destination"),
            "tos": {"type": "integer", "minimum": 0, "maximum": 255, "description": "type of service; 0: every one"},
            "mark": number("packet mark; null: every one"),
            "mark_mask": number("the bits of the mark that count; null: no mark is asked for"),
            "input_interface": text("interface the packet came in by; lo: sent by this computer"),
            "output_interface": text("interface the sending socket is bound to"),
            "l3mdev": {"type": "boolean", "description": "whether it looks up the table of the packet's VRF"},
            "uid_range": pair("first and last number of the sending users"),
            "ip_protocol": number("IP protocol, by its IANA number"),
            "source_ports": pair("first and last source port"),
            "destination_ports": pair("first and last destination port"),
            "tunnel_key": number("key of the tunnel the packet came in by"),
            "table": number("number of the table that it looks up; null: it does something else"),
            "goto": number("priority of the rule that it goes on at"),
            "suppress_prefix_length": number("routes with a prefix of at most this many bits are ignored"),
            "suppress_interface_group": number("routes that leave by an interface of this group are ignored"),
        },
        "required": ["family", "priority", "selectors", "action"],
        "additionalProperties": false,
    })
}

/// Returns the schema of the member `route_to`.
pub(super) fn way_schema() -> Value {
    let number = |what: &str| json!({"type": ["integer", "null"], "minimum": 0, "description": what});
    let text = |what: &str| json!({"type": ["string", "null"], "description": what});
    json!({
        "type": "object",
        "description": "-r --to: the way that a packet of this computer takes",
        "properties": {
            "to": {"type": "string", "description": "the address that was asked for"},
            "from": text("the source address that was asked for"),
            "mark": number("the packet mark that was asked for; 0: none"),
            "uid": number("the user who sends the packet"),
            "reason": text("why no such packet is sent; null: it is sent"),
            "rule": {"anyOf": [rule_schema(), {"type": "null"}],
                "description": "the policy rule that led to the table; null: not known"},
            "table": number("number of the routing table that decided"),
            "table_name": text("its name, if it has one"),
            "route": text("the row of the table that decided; null: the system does not tell"),
            "gateway": text("the next router; null: the destination is on the link"),
            "interface": text("name of the interface it leaves by"),
            "interface_index": number("number of that interface"),
            "source": text("the source address that the packet gets"),
            "encapsulation": text("what the packet is wrapped into; null: nothing"),
        },
        "required": ["to", "reason", "rule", "table", "route", "gateway", "interface", "source"],
        "additionalProperties": false,
    })
}
