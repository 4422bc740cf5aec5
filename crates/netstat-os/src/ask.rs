//! What a listing asks of the system, and what comes back.

use netstat_model::{Limit, Ports, Socket, State};

/// Which sockets a question needs. Pushed into the kernel where it can filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketAsk {
    /// TCP over IPv4.
    pub tcp4: bool,
    /// TCP over IPv6.
    pub tcp6: bool,
    /// UDP over IPv4.
    pub udp4: bool,
    /// UDP over IPv6.
    pub udp6: bool,
    /// The TCP states wanted. UDP sockets are always wanted whatever their state.
    pub tcp_states: Vec<State>,
    /// Only sockets with one of these ports on either side; empty: all.
    pub ports: Ports,
    /// Whether [`netstat_model::Extra`] is wanted.
    pub extra: bool,
}

/// Which figures a question needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FiguresAsk {
    /// Those of every process; those of the computer as a whole are always read.
    pub processes: bool,
}

/// The sockets found, and what could not be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SocketList {
    /// In no order.
    pub sockets: Vec<Socket>,
    /// What is missing or weaker than asked.
    pub limits: Vec<Limit>,
    /// Whether a whole group that was asked for could not be read in any way.
    pub failed: bool,
    /// Whether the slower source with fewer facts was used.
    pub fell_back: bool,
}

impl SocketList {
    /// Empties the list; the memory stays for the next read.
    pub fn clear(&mut self) {
        self.sockets.clear();
        self.limits.clear();
        self.failed = false;
        self.fell_back = false;
    }
}
