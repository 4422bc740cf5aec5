//! The network side of a process: whom it is connected to, and who can reach it.

use std::collections::{HashMap, HashSet};

use netstat_model::text::escape;
use netstat_model::{Protocol, Socket};

use crate::case::{Exposure, describe, waits};

/// The maximum number of connections and of listeners that are kept. A summary names one or two, a report a few.
const KEPT: usize = 8;

/// The network side of a process: the connections that it opened, its clients, and the ports at which it can be
/// reached.
#[derive(Clone, Debug)]
pub struct Contacts {
    /// The farthest network that it has opened a connection to. A tunnel counts as what lies behind it.
    pub reaches: Exposure,
    /// The farthest network from which one of its listeners can be reached, regardless of packet filters.
    pub reachable_from: Exposure,
    /// The connections that it opened, farthest first, one per remote address and port; at most eight.
    pub outgoing: Vec<Socket>,
    /// The number of distinct remote endpoints of those connections, including those not kept.
    pub outgoing_total: usize,
    /// The connections that clients opened to a listening port of this computer, farthest first, one per remote
    /// address; at most eight.
    pub incoming: Vec<Socket>,
    /// The number of distinct remote addresses of those connections, including those not kept.
    pub incoming_total: usize,
    /// The listeners, most exposed first, one per address and port; at most eight.
    pub listeners: Vec<Socket>,
    /// The number of distinct local endpoints of the listeners, including those not kept.
    pub listeners_total: usize,
    /// Descriptions of raw and packet sockets.
    pub special: Vec<String>,
    /// The host names that were looked up before the outgoing connections were opened, by socket cookie; safe to print.
    /// These are hints only, since DNS answers can be forged.
    pub asked_names: HashMap<u64, String>,
}

impl Contacts {
    /// Summarizes `sockets`. `is_listening` returns whether this computer has a listener at a local port, `exposure`
    /// how far a socket reaches.
    pub(crate) fn of(
        sockets: &[&Socket],
        is_listening: impl Fn(Protocol, u16) -> bool,
        exposure: impl Fn(&Socket) -> Exposure,
    ) -> Contacts {
        let mut contacts = Contacts::none();
        let (mut remote, mut clients, mut local) = (HashSet::new(), HashSet::new(), HashSet::new());
        for socket in sockets {
            let (here, there) = (socket.local(), socket.foreign());
            if !socket.protocol().is_ip() || socket.protocol() == Protocol::Raw {
                let line = describe(socket);
                if !contacts.special.contains(&line) {
                    contacts.special.push(line);
                }
            } else if socket.is_connected() && is_listening(socket.protocol(), here.port) {
                if clients.insert(there.address) {
                    contacts.incoming.push((*socket).clone());
                }
            } else if socket.is_connected() {
                contacts.reaches = contacts.reaches.max(exposure(socket));
                if remote.insert((socket.protocol(), there)) {
                    contacts.outgoing.push((*socket).clone());
                }
            } else if waits(socket) {
                contacts.reachable_from = contacts.reachable_from.max(Exposure::of(socket));
                if local.insert((socket.protocol(), here)) {
                    contacts.listeners.push((*socket).clone());
                }
            }
        }
        contacts.outgoing_total = contacts.outgoing.len();
        contacts.incoming_total = contacts.incoming.len();
        contacts.listeners_total = contacts.listeners.len();
        for kept in [&mut contacts.outgoing, &mut contacts.incoming, &mut contacts.listeners] {
            kept.sort_by_key(|socket| {
                (
                    std::cmp::Reverse(exposure(socket)),
                    socket.foreign().address,
                    socket.foreign().port,
                    socket.local().port,
                )
            });
            kept.truncate(KEPT);
        }
        contacts
    }

    /// Returns the contacts of a process without sockets.
    pub fn none() -> Contacts {
        Contacts {
            reaches: Exposure::None,
            reachable_from: Exposure::None,
            outgoing: Vec::new(),
            outgoing_total: 0,
            incoming: Vec::new(),
            incoming_total: 0,
            listeners: Vec::new(),
            listeners_total: 0,
            special: Vec::new(),
            asked_names: HashMap::new(),
        }
    }

    /// Returns the most significant contact in a few characters, for a table: `-> 203.0.113.7:443 +2`, or
    /// `0.0.0.0:8080`; empty if there is none.
    pub fn brief(&self) -> String {
        let more = |total: usize| match total {
            0 | 1 => String::new(),
            total => format!(" +{}", total - 1),
        };
        // A port that is open to others says more than a connection within this computer.
        let outward = self.reaches > Exposure::Loopback || self.listeners.is_empty();
        if let Some(socket) = self.outgoing.first().filter(|_| outward) {
            return format!("-> {}{}", end(socket.foreign()), more(self.outgoing_total));
        }
        if let Some(socket) = self.listeners.first() {
            let kind = match socket.protocol() {
                Protocol::Tcp => String::new(),
                other => format!("{} ", other.name().to_ascii_lowercase()),
            };
            return format!("{kind}{}{}", end(socket.local()), more(self.listeners_total));
        }
        if let Some(socket) = self.incoming.first() {
            return format!("<- {}{}", end(socket.foreign()), more(self.incoming_total));
        }
        self.special.first().cloned().unwrap_or_default()
    }

    /// Describes whom the process reaches and who can reach it, one line each.
    pub fn lines(&self) -> Vec<String> {
        const NAMED: usize = 3;
        let list = |sockets: &[Socket], total: usize, name: &dyn Fn(&Socket) -> String| {
            let mut names: Vec<String> = sockets.iter().take(NAMED).map(name).collect();
            if total > names.len() {
                names.push(format!("{} more", total - names.len()));
            }
            names.join(", ")
        };
        let remote = |socket: &Socket| {
            let name = socket.cookie().and_then(|cookie| self.asked_names.get(&cookie.get()));
            let name = name.map_or_else(String::new, |name| format!(" (asked for as {name})"));
            format!("{}{name}", end(socket.foreign()))
        };
        let local = |socket: &Socket| format!("{} {}", socket.protocol().name(), end(socket.local()));
        let mut lines = Vec::new();
        if !self.outgoing.is_empty() {
            let where_to = list(&self.outgoing, self.outgoing_total, &remote);
            lines.push(format!("reaches {}: {where_to}", reached(self.reaches)));
        }
        if !self.listeners.is_empty() {
            let ports = list(&self.listeners, self.listeners_total, &local);
            lines.push(format!("can be reached from {}: {ports}", self.reachable_from.words()));
        }
        if !self.incoming.is_empty() {
            let clients = |socket: &Socket| socket.foreign().address.to_string();
            let from = list(&self.incoming, self.incoming_total, &clients);
            lines.push(format!("clients: {from}"));
        }
        if !self.special.is_empty() {
            lines.push(format!("takes packets: {}", self.special.join(", ")));
        }
        lines
    }

    /// Returns the part of the network side that stays the same from run to run, used to recognise a finding: the
    /// listening port, or the only remote endpoint that the process is connected to. `None` if there are several or
    /// none.
    pub fn stable_peer(&self) -> Option<String> {
        if let Some(first) = self.listeners.first() {
            return (self.listeners_total == 1).then(|| format!("listens on {}", local_end(first)));
        }
        let first = self.outgoing.first()?;
        (self.outgoing_total == 1).then(|| end(first.foreign()))
    }
}

/// Describes what lies within an exposure, to follow "reaches".
const fn reached(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::None => "nothing",
        Exposure::Loopback => "this computer only",
        Exposure::Local => "private networks",
        Exposure::World => "the Internet",
    }
}

fn local_end(socket: &Socket) -> String {
    format!("{} {}", socket.protocol().name(), end(socket.local()))
}

/// Formats an address and port: `203.0.113.7:443`, `[2001:db8::1]:443`.
pub fn end(end: netstat_model::Endpoint) -> String {
    match end.address {
        std::net::IpAddr::V4(address) => format!("{address}:{}", end.port),
        std::net::IpAddr::V6(address) => format!("[{address}]:{}", end.port),
    }
}

/// Returns the name of the innermost unit or container of a process, for a table; `None` if it has neither or that is
/// not known.
pub fn component(facts: &netstat_model::process::ProcessFacts) -> Option<String> {
    let components = facts.components.as_ref().known()?;
    let innermost = components.len().checked_sub(1)?;
    Some(escape(&netstat_model::component_name(components, innermost)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::socket;

    fn of(sockets: &[Socket]) -> Contacts {
        let all: Vec<&Socket> = sockets.iter().collect();
        Contacts::of(&all, |_, port| port == 8080, Exposure::of)
    }

    #[test]
    fn contacts_list_outgoing_listening_and_clients_apart() {
        let both = of(&[
            socket("0.0.0.0:8080", None),
            socket("192.0.2.1:8080", Some("198.51.100.4:40000")),
            socket("192.0.2.1:50000", Some("203.0.113.7:443")),
            socket("192.0.2.1:50001", Some("203.0.113.7:443")),
            socket("127.0.0.1:50002", Some("127.0.0.1:5432")),
        ]);
        assert_eq!(both.brief(), "-> 203.0.113.7:443 +1");
        assert_eq!(
            both.lines(),
            [
                "reaches the Internet: 203.0.113.7:443, 127.0.0.1:5432",
                "can be reached from every network: TCP 0.0.0.0:8080",
                "clients: 198.51.100.4",
            ]
        );
        assert_eq!(both.stable_peer().as_deref(), Some("listens on TCP 0.0.0.0:8080"));
        let only = of(&[socket("192.0.2.1:50000", Some("203.0.113.7:443"))]);
        assert_eq!(only.stable_peer().as_deref(), Some("203.0.113.7:443"));
        assert_eq!(of(&[]).brief(), "");
        assert_eq!(of(&[]).stable_peer(), None);
    }

    #[test]
    fn contacts_brief_names_open_port_before_local_connection() {
        let seen = of(&[
            socket("[::]:8080", None),
            socket("127.0.0.1:50002", Some("127.0.0.1:5432")),
        ]);
        assert_eq!(seen.brief(), "[::]:8080");
        let client = of(&[socket("192.0.2.1:8080", Some("198.51.100.4:40000"))]);
        assert_eq!(client.brief(), "<- 198.51.100.4:40000");
    }
}
