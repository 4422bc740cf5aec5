//! Interfaces, addresses and routes through rtnetlink.
//!
//! Everything is read in the caller's network namespace and requires no privileges.

mod addresses;
mod encapsulation;
mod entries;
mod links;
mod nexthops;
mod promiscuous;
mod rtnetlink;
mod rules;
mod socket_option;
mod tables;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

use netstat_model::reach::{LocalNetwork, VrfAccept};
use netstat_model::route::{
    Interface, InterfaceAddress, PolicyRule, Route, RouteAnswer, RouteKind, RouteListing, RouteQuery, RouteWay,
    TABLE_LOCAL, TABLE_MAIN, TableNames, TableSelection, sort_interfaces, sort_routes,
};
use netstat_model::{Fact, Limit, text::plain_error};

pub use crate::linux::netlink::attributes::{Malformed, Message, Messages};
pub use addresses::parse_address;
pub use entries::parse_route;
pub use links::{LinkMessage, parse_link};
pub use nexthops::{NextHopObject, Target, parse_next_hop};
pub use promiscuous::{Promiscuity, parse_promiscuity};
pub use rtnetlink::NetlinkError;
pub use rules::parse_rule;
pub use tables::{UnknownTable, parse_names, resolve_table, select_tables, table_names};

use crate::linux::netlink::attributes::{AF_INET, AF_INET6};
use links::with_device;
use nexthops::resolve;
use rtnetlink::{Dump, Dumper, Question, RouteSocket};

/// A list, with what is missing from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The rows that were read.
    pub rows: Vec<T>,
    /// Why the list may be incomplete: the table kept changing, or rows were malformed.
    pub limits: Vec<Limit>,
}

/// Returns every interface: physical ones first, the loopback interface last, each group ordered by index.
///
/// # Errors
/// Returns an error if netlink is refused or fails.
pub fn interfaces() -> Result<Listed<Interface>, NetlinkError> {
    links_of(&mut Dumper::open()?)
}

/// Returns the name of every interface in promiscuous mode because of a program, with the number of such requests.
///
/// # Errors
/// Returns an error if netlink is refused or fails.
pub fn promiscuous() -> Result<Listed<(Vec<u8>, u32)>, NetlinkError> {
    let dumper = &mut Dumper::open()?;
    let links = list(dumper, Question::Links, |payload| parse_promiscuity(payload).map(Some))?;
    Ok(Listed {
        rows: promiscuous::unexplained(links.rows),
        limits: links.limits,
    })
}

/// Returns all IPv4 and IPv6 addresses of the interfaces, in the kernel's order.
///
/// # Errors
/// Returns an error if netlink is refused or fails.
pub fn addresses() -> Result<Listed<InterfaceAddress>, NetlinkError> {
    addresses_of(&mut Dumper::open()?)
}

/// Returns the host's own addresses. Every address in 127.0.0.0/8 belongs to the host as well, but only those assigned
/// to an interface are in the set; also check [`IpAddr::is_loopback`].
///
/// # Errors
/// Returns an error if netlink is refused or fails.
pub fn own_addresses() -> Result<HashSet<IpAddr>, NetlinkError> {
    Ok(addresses()?.rows.into_iter().map(|address| address.address).collect())
}

/// Returns the IPv4 and IPv6 routes of the selected tables, each family in the order of a listing ([`Route::order`]).
/// Empty for a table that does not exist, and for a family that is disabled.
///
/// # Errors
/// Returns an error if netlink is refused or fails.
pub fn routes(selection: TableSelection) -> Result<[Listed<Route>; 2], NetlinkError> {
    let dumper = &mut Dumper::open()?;
    Ok([
        routes_of(dumper, AF_INET, selection)?,
        routes_of(dumper, AF_INET6, selection)?,
    ])
}

/// Returns everything that a listing of routes needs. Never fails: a part that could not be read is unknown, and a
/// [`Limit`] says why.
pub fn listing(selection: TableSelection) -> RouteListing {
    // The main table alone needs no table names.
    let tables = if selection == TableSelection::default() {
        TableNames::default()
    } else {
        table_names()
    };
    let mut dumper = match Dumper::open() {
        Ok(dumper) => dumper,
        Err(error) => {
            let why = error.why();
            return RouteListing {
                interfaces: Fact::Unknown(why),
                addresses: Fact::Unknown(why),
                ipv4: Fact::Unknown(why),
                ipv6: Fact::Unknown(why),
                rules: Fact::Unknown(why),
                tables,
                limits: vec![missing("interfaces and routes", &error)],
            };
        }
    };
    let mut limits = Vec::new();
    RouteListing {
        interfaces: part(links_of(&mut dumper), "interfaces", &mut limits),
        addresses: part(addresses_of(&mut dumper), "addresses of interfaces", &mut limits),
        ipv4: part(routes_of(&mut dumper, AF_INET, selection), "IPv4 routes", &mut limits),
        ipv6: part(routes_of(&mut dumper, AF_INET6, selection), "IPv6 routes", &mut limits),
        rules: part(rules_of(&mut dumper), "policy rules", &mut limits),
        tables,
        limits,
    }
}

/// Returns what determines who can reach the sockets in the calling thread's namespace. Parts that cannot be read are
/// unknown.
pub fn local_network(proc: &Path) -> LocalNetwork {
    let mut dumper = match Dumper::open() {
        Ok(dumper) => dumper,
        Err(error) => return LocalNetwork::unknown(error.why()),
    };
    let fact = |why: NetlinkError| why.why();
    let addresses = match addresses_of(&mut dumper) {
        Ok(listed) => Fact::Known(listed.rows),
        Err(error) => Fact::Unknown(fact(error)),
    };
    let own: Vec<IpAddr> = addresses
        .as_ref()
        .known()
        .map_or_else(Vec::new, |own| own.iter().map(|own| own.address).collect());
    let mut local_routes = Ok(Vec::new());
    for family in [AF_INET, AF_INET6] {
        let routes = routes_of(&mut dumper, family, TableSelection::One(TABLE_LOCAL));
        if let (Ok(found), Ok(listed)) = (&mut local_routes, &routes) {
            let local = listed.rows.iter().filter(|route| route.kind == RouteKind::Local);
            let further = local.map(|route| route.destination).filter(|destination| {
                let host = destination.length == if destination.address.is_ipv4() { 32 } else { 128 };
                !(destination.address.is_loopback() || host && own.contains(&destination.address))
            });
            found.extend(further);
        } else if let Err(error) = routes {
            local_routes = Err(fact(error));
        }
    }
    LocalNetwork {
        interfaces: match links_of(&mut dumper) {
            Ok(listed) => Fact::Known(listed.rows),
            Err(error) => Fact::Unknown(fact(error)),
        },
        addresses,
        local_routes: local_routes.map_or_else(Fact::Unknown, Fact::Known),
        rules: match rules_of(&mut dumper) {
            Ok(listed) => Fact::Known(listed.rows),
            Err(error) => Fact::Unknown(fact(error)),
        },
        vrf_accept: vrf_accept(proc),
    }
}

/// Reads the VRF settings in `/proc/sys`, which shows the calling thread's namespace. A kernel without VRFs has none.
fn vrf_accept(proc: &Path) -> VrfAccept {
    let read = |name: &str| match std::fs::read(proc.join("sys/net/ipv4").join(name)) {
        Ok(text) => Fact::Known(text.trim_ascii() != b"0"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Fact::Known(false),
        Err(error) => Fact::Unknown(crate::linux::counters::why(&error)),
    };
    VrfAccept {
        tcp: read("tcp_l3mdev_accept"),
        udp: read("udp_l3mdev_accept"),
        raw: read("raw_l3mdev_accept"),
    }
}

fn part<T>(read: Result<Listed<T>, NetlinkError>, what: &str, limits: &mut Vec<Limit>) -> Fact<Vec<T>> {
    match read {
        Ok(listed) => {
            limits.extend(listed.limits);
            Fact::Known(listed.rows)
        }
        Err(error) => {
            limits.push(missing(what, &error));
            Fact::Unknown(error.why())
        }
    }
}

fn missing(what: &str, error: &NetlinkError) -> Limit {
    Limit {
        what: format!("{what} are missing"),
        why: plain_error(&error),
        remedy: None,
    }
}

fn links_of(dumper: &mut Dumper<RouteSocket>) -> Result<Listed<Interface>, NetlinkError> {
    let listed = list(dumper, Question::Links, |payload| parse_link(payload).map(Some))?;
    let sysfs = Path::new("/sys");
    let mut rows: Vec<Interface> = listed.rows.into_iter().map(|link| with_device(link, sysfs)).collect();
    sort_interfaces(&mut rows);
    Ok(Listed {
        rows,
        limits: listed.limits,
    })
}

fn addresses_of(dumper: &mut Dumper<RouteSocket>) -> Result<Listed<InterfaceAddress>, NetlinkError> {
    list(dumper, Question::Addresses, parse_address)
}

fn routes_of(
    dumper: &mut Dumper<RouteSocket>,
    family: u8,
    selection: TableSelection,
) -> Result<Listed<Route>, NetlinkError> {
    let table = match selection {
        TableSelection::One(table) => Some(table),
        TableSelection::All => None,
    };
    // A kernel without IPv6 answers with every family it supports, and one that cannot filter with every table.
    let wanted =
        |route: &Route| route.destination.address.is_ipv4() == (family == AF_INET) && selection.holds(route.table);
    let listed = list(dumper, Question::Routes { family, table }, |payload| {
        Ok(parse_route(payload)?.filter(wanted))
    });
    let mut listed = match listed {
        Err(error) if error.is_absent() => {
            return Ok(Listed {
                rows: Vec::new(),
                limits: Vec::new(),
            });
        }
        other => other?,
    };
    if listed.rows.iter().any(Route::is_unresolved) {
        // Kernels before 5.3 have no next-hop objects, and therefore no routes that refer to one.
        let objects = list(dumper, Question::NextHops, |payload| parse_next_hop(payload).map(Some))?;
        listed.limits.extend(objects.limits);
        let objects: HashMap<_, _> = objects
            .rows
            .into_iter()
            .map(|object| (object.id, object.target))
            .collect();
        resolve(&mut listed.rows, &objects);
    }
    sort_routes(&mut listed.rows);
    Ok(listed)
}

fn rules_of(dumper: &mut Dumper<RouteSocket>) -> Result<Listed<PolicyRule>, NetlinkError> {
    let mut all = Listed {
        rows: Vec::new(),
        limits: Vec::new(),
    };
    for family in [AF_INET, AF_INET6] {
        let wanted = |rule: &PolicyRule| rule.ipv4 == (family == AF_INET);
        let read = list(dumper, Question::Rules { family }, |payload| {
            Ok(parse_rule(payload)?.filter(wanted))
        });
        match read {
            Ok(listed) => {
                all.rows.extend(listed.rows);
                all.limits.extend(listed.limits);
            }
            // Without policy routing, or without this family, the kernel has no rules.
            Err(error) if error.is_absent() || error.why() == netstat_model::Why::NotSupported => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Asks the kernel for the route of a packet.
///
/// # Errors
/// Returns an error if the kernel cannot be asked. Its refusal to send such a packet is not an error but an answer.
pub fn way(query: &RouteQuery) -> Result<RouteAnswer, NetlinkError> {
    let dumper = &mut Dumper::open()?;
    let query = RouteQuery {
        uid: query.uid.or_else(|| Some(rustix::process::getuid().as_raw())),
        ..*query
    };
    let mut ask = |matched| {
        let question = Question::Way { query, matched };
        list(dumper, question, entries::parse_answer).map(|listed| listed.rows.into_iter().next())
    };
    match ask(false) {
        Ok(Some(mut answer)) => Ok(RouteAnswer::Way(Box::new(RouteWay {
            query,
            answer: {
                // Until a rule is added, the kernel keeps the IPv4 tables `local` and `main` in one tree, which it
                // calls `main` (fib_trie_unmerge, net/ipv4/fib_trie.c). Routes of these types come from `local`.
                let own = matches!(answer.kind, RouteKind::Local | RouteKind::Broadcast);
                if own && answer.table == TABLE_MAIN {
                    answer.table = TABLE_LOCAL;
                }
                answer
            },
            // Older kernels do not support the flag; the matching route is then unknown.
            matched: ask(true).ok().flatten(),
        }))),
        Ok(None) => Ok(RouteAnswer::None("the kernel's answer could not be read".to_owned())),
        Err(error) => match error.refusal() {
            Some(reason) => Ok(RouteAnswer::None(reason.to_owned())),
            None => Err(error),
        },
    }
}

/// Dumps `question` and parses each message; messages for which the parser returns `None` are skipped. A malformed
/// message is left out, and a limit reports how many were malformed.
fn list<T>(
    dumper: &mut Dumper<RouteSocket>,
    question: Question,
    parse: impl Fn(&[u8]) -> Result<Option<T>, Malformed>,
) -> Result<Listed<T>, NetlinkError> {
    let start = || (Vec::new(), 0usize, None);
    let dump = dumper.dump(question, start, |(rows, bad, first), payload| match parse(payload) {
        Ok(row) => rows.extend(row),
        Err(error) => {
            *bad += 1;
            first.get_or_insert(error);
        }
    })?;
    let Dump {
        value: (rows, bad, first),
        changed,
    } = dump;
    let mut limits = Vec::new();
    let words = question.words();
    if let Some(error) = first {
        limits.push(Limit {
            what: format!("{words}: {bad} could not be read"),
            why: plain_error(&error),
            remedy: None,
        });
    }
    if changed {
        limits.push(Limit {
            what: format!("{words}: some may be missing or shown twice"),
            why: "they changed each time they were read (NLM_F_DUMP_INTR)".to_owned(),
            remedy: None,
        });
    }
    Ok(Listed { rows, limits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_this_host_include_loopback() {
        let interfaces = interfaces().unwrap();
        let loopback = interfaces.rows.last().unwrap();
        assert!(loopback.is_loopback() && loopback.name == b"lo", "{loopback:?}");
        assert_eq!(interfaces.limits, []);
    }

    #[test]
    fn routes_of_unused_table_are_empty() {
        // No sane setup uses this number.
        let [v4, v6] = routes(TableSelection::One(0xfffe_dcba)).unwrap();
        assert_eq!((v4.rows, v6.rows), (Vec::new(), Vec::new()));
    }

    #[test]
    fn part_with_refused_socket_is_not_permitted_with_limit() {
        let errno = rustix::io::Errno::PERM;
        let error = NetlinkError::opening(errno);
        let mut limits = Vec::new();
        let part = part::<Route>(Err(error), "IPv4 routes", &mut limits);
        assert_eq!(part, Fact::Unknown(netstat_model::Why::NotPermitted));
        assert_eq!(limits[0].what, "IPv4 routes are missing");
        assert_eq!(limits[0].why, "opening the netlink socket: Operation not permitted");
    }
}
