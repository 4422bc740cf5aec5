//! What a record of the past has about the process of a card.

use std::collections::HashSet;

use netstat_model::Network;
use netstat_model::reach::is_loopback;
use netstat_model::{Protocol, Socket, State};
use netstat_record::{Millis, Novelty, ProgramHistory};

use netstat_model::reach::waits;

/// When its program was first seen, and first seen doing what it does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    /// When the record began; `None`: nothing is in it.
    pub(crate) begins: Option<Millis>,
    /// When the program was first seen on the network; `None`: not so far.
    pub(crate) program: Option<Millis>,
    /// When a program of the same short name was first seen whose path had not been learned: it may have been this one.
    pub(crate) nameless: Option<Millis>,
    /// When it first called the foreign networks that it is connected with, the latest first.
    pub(crate) networks: Vec<(Network, Millis)>,
    /// When it first called the ports there, the latest first.
    pub(crate) foreign_ports: Vec<(u16, Millis)>,
    /// When it first listened on the ports at which it waits now, the latest first.
    pub(crate) listening_ports: Vec<(u16, Millis)>,
}

impl Past {
    /// What `seen` says about a process that holds `sockets`; `begins`: when the record began.
    pub(super) fn of(seen: &ProgramHistory, begins: Option<Millis>, sockets: &[&Socket]) -> Past {
        let mut past = Past {
            begins,
            program: seen.of(Novelty::Program),
            nameless: seen.nameless.filter(|_| !seen.is_sure()),
            networks: Vec::new(),
            foreign_ports: Vec::new(),
            listening_ports: Vec::new(),
        };
        let listens: HashSet<(Protocol, u16)> = sockets
            .iter()
            .filter(|socket| waits(socket))
            .map(|socket| (socket.protocol(), socket.local().port))
            .collect();
        // What is connected at a port where it waits was called; the record keeps those whom it called. Within this computer that says
        // little.
        let called = sockets.iter().filter(|socket| {
            socket.is_connected()
                && socket.state() != State::TimeWait
                && !is_loopback(socket.foreign().address)
                && !listens.contains(&(socket.protocol(), socket.local().port))
        });
        let (mut addresses, mut ports) = (HashSet::new(), HashSet::new());
        for socket in called {
            addresses.insert(socket.foreign().address.to_canonical());
            ports.insert(socket.foreign().port);
        }
        for sighting in &seen.sightings {
            let first = sighting.first;
            match sighting.what {
                Novelty::Network(network) if addresses.iter().any(|address| network.contains(*address)) => {
                    past.networks.push((network, first));
                }
                Novelty::Port(port) if ports.contains(&port) => past.foreign_ports.push((port, first)),
                Novelty::Listens(port) if listens.iter().any(|(_, listens)| *listens == port) => {
                    past.listening_ports.push((port, first));
                }
                _ => {}
            }
        }
        // They come oldest first.
        past.networks.reverse();
        past.foreign_ports.reverse();
        past.listening_ports.reverse();
        past
    }
}
