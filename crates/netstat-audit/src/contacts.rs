//! Who a process talks to, and who can reach it.

use std::collections::{HashMap, HashSet};

use netstat_model::text::escape;
use netstat_model::{Protocol, Socket};

use crate::case::{Exposure, describe, waits};

/// At most so many connections and listeners are kept: a summary names one or two, a report some.
const KEPT: usize = 8;

/// The network side of a process: its own connections, its clients, and the ports at which it can be reached.
#[derive(Clone, Debug)]
pub struct Contacts {
    /// The farthest network that it has opened a connection to; a tunnel counts as what lies behind it.
    pub reaches: Exposure,
    /// The farthest network from which one of its listening sockets can be reached, packet filters aside.
    pub reachable_from: Exposure,
    /// Connections that it opened, the farthest first, one for each remote address and port, at most eight.
    pub outgoing: Vec<Socket>,
    /// How many remote addresses and ports those connections have.
    pub outgoing_total: usize,
    /// Connections that came in at a listening port of this computer, likewise.
    pub incoming: Vec<Socket>,
    /// How many remote addresses those have.
    pub incoming_total: usize,
    /// Sockets that wait for others, the most exposed first, one for each address and port, at most eight.
    pub listeners: Vec<Socket>,
    /// How many addresses and ports those have.
    pub listeners_total: usize,
    /// Raw and packet sockets, in words.
    pub special: Vec<String>,
    /// The names that were asked for before connections that it opened, by the kernel's cookie; each safe to print. A hint, for answers can
    /// be forged.
    pub asked_names: HashMap<u64, String>,
}

impl Contacts {
    /// Those of a process that holds `sockets`. `is_listening` says whether something on this computer waits at a local port,
    /// `exposure` how far a socket reaches.
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

    /// Those of a process without sockets.
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

    /// The most telling contact in a few characters, for a table: `-> 203.0.113.7:443 +2`, or `0.0.0.0:8080`; empty without any.
    pub fn brief(&self) -> String {
        let more = |total: usize| match total {
            0 | 1 => String::new(),
            total => format!(" +{}", total - 1),
        };
        // A port open to all says more than a connection within this computer.
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

    /// Whom it reaches and who can reach it, a line for each.
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

    /// What stays the same of its network side from run to run, to recognise a finding by: the ports it listens on, or the one remote
    /// endpoint that it is connected to. `None` where there are several or none.
    pub fn stable_peer(&self) -> Option<String> {
        if let Some(first) = self.listeners.first() {
            return (self.listeners_total == 1).then(|| format!("listens on {}", local_end(first)));
        }
        let first = self.outgoing.first()?;
        (self.outgoing_total == 1).then(|| end(first.foreign()))
    }
}

/// What lies within this exposure, to follow "reaches".
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

/// An address and port: `203.0.113.7:443`, `[2001:db8::1]:443`.
pub fn end(end: netstat_model::Endpoint) -> String {
    match end.address {
        std::net::IpAddr::V4(address) => format!("{address}:{}", end.port),
        std::net::IpAddr::V6(address) => format!("[{address}]:{}", end.port),
    }
}

/// The name of the innermost unit or container of a process, for a table; `None` where it has neither or that is unknown.
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
    fn contacts_reaching_and_being_reached_are_apart() {
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
    fn brief_names_the_open_port_before_a_connection_within_the_computer() {
        let seen = of(&[
            socket("[::]:8080", None),
            socket("127.0.0.1:50002", Some("127.0.0.1:5432")),
        ]);
        assert_eq!(seen.brief(), "[::]:8080");
        let client = of(&[socket("192.0.2.1:8080", Some("198.51.100.4:40000"))]);
        assert_eq!(client.brief(), "<- 198.51.100.4:40000");
    }
}
