//! What the record has about the process of a card.

use std::collections::HashSet;

use netstat_model::Network;
use netstat_model::reach::is_loopback;
use netstat_model::{Protocol, Socket, State};
use netstat_record::{Millis, Novelty, ProgramHistory};

use netstat_model::reach::waits;

/// When a program was first seen, and first seen doing what it does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    /// When the record began; `None` if it is empty.
    pub(crate) begins: Option<Millis>,
    /// When the program was first seen on the network; `None` if it has not been seen.
    pub(crate) program: Option<Millis>,
    /// When a program with the same short name but an unknown path was first seen; it may have been this one.
    pub(crate) nameless: Option<Millis>,
    /// When it first contacted each foreign network to which it is connected, the latest first.
    pub(crate) networks: Vec<(Network, Millis)>,
    /// When it first contacted each foreign port to which it is connected, the latest first.
    pub(crate) foreign_ports: Vec<(u16, Millis)>,
    /// When it first listened on each port on which it listens now, the latest first.
    pub(crate) listening_ports: Vec<(u16, Millis)>,
}

impl Past {
    /// Extracts from `seen` what concerns a process that holds `sockets`. `begins` is when the record began.
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
        // A connection on a port on which the process listens is incoming, while the record keeps outgoing ones.
        // Connections within this computer are of little interest.
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
