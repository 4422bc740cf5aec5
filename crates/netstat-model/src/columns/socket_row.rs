//! A row of a listing of sockets: the socket, its owner, and where names come from.

use std::net::IpAddr;

use super::Value;
use crate::reach::Extent;
use crate::{Endpoint, Fact, Owner, Owners, Protocol, Socket, StateTime, TimeFrom, Why};

/// A socket, who holds it, and where names are looked up.
#[derive(Clone, Copy)]
pub struct SocketRow<'a> {
    /// The socket.
    pub socket: &'a Socket,
    /// Who holds it; `None` where that was not asked.
    pub owner: Option<Owner<'a>>,
    /// Who holds what; `None` where that was not asked.
    pub owners: Option<&'a Owners>,
    /// Names.
    pub books: &'a dyn Books,
}

/// Names for numbers, as far as they were asked for. What has none is `None`.
pub trait Books: Sync {
    /// The user's name.
    fn user(&self, _id: u32) -> Option<&[u8]> {
        None
    }
    /// The name of the host at the address of `side`, printable.
    fn host(&self, _side: &Endpoint) -> Option<&str> {
        None
    }
    /// Whether hosts were looked up at all.
    fn hosts_asked(&self) -> bool {
        false
    }
    /// The service at a port.
    fn service(&self, _protocol: Protocol, _port: u16) -> Option<&str> {
        None
    }
    /// The interface with this index in a namespace, counted as [`Socket::namespace`].
    fn interface(&self, _namespace: u32, _index: u32) -> Option<&[u8]> {
        None
    }
    /// The path of the control group with this id.
    fn cgroup(&self, _id: u64) -> Option<&[u8]> {
        None
    }
    /// How long the socket has been in its state, where that was learned otherwise than from the kernel.
    fn state_time(&self, _socket: &Socket) -> Option<StateTime> {
        None
    }
    /// From how far away a socket that waits can be reached.
    fn extent(&self, _socket: &Socket) -> Option<Extent> {
        None
    }

    /// The namespace and name of the pod with this UID: `default/web-0`.
    fn pod(&self, _uid: &[u8]) -> Option<&[u8]> {
        None
    }

    /// Bytes per second that the socket has sent and received since the look before.
    fn rates(&self, _socket: &Socket) -> Fact<Rates> {
        Fact::Unknown(Why::NotAsked)
    }
    /// The name for the foreign side of `socket` that a program on this computer asked for; printable.
    fn asked_name(&self, _socket: &Socket) -> Fact<Option<&str>> {
        Fact::Unknown(Why::NotAsked)
    }
    /// Where an address is registered.
    fn location(&self, _address: IpAddr) -> Fact<&Location> {
        Fact::Unknown(Why::NotAsked)
    }
    /// What the network namespace with this index into the listing's namespaces is known by.
    fn namespace(&self, _index: u32) -> Option<&[u8]> {
        None
    }
}

/// No names at all.
impl Books for () {}

/// Bytes per second of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Sent and acknowledged; of UDP: handed over by programs.
    pub sent: f64,
    /// Received.
    pub received: f64,
}

/// Where an address is registered, by a database that the user has. Text from outside: to be escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The country's code (ISO 3166-1 alpha-2): `DE`. `None` where the database has none.
    pub country: Option<String>,
    /// The number of the autonomous system.
    pub system: Option<u32>,
    /// Whose it is.
    pub organization: Option<String>,
}

impl<'a> SocketRow<'a> {
    /// How long the socket has been in its state: from the kernel, else from the books.
    pub fn time_in_state(&self) -> Fact<StateTime> {
        match (self.socket.time_in_state(), self.books.state_time(self.socket)) {
            (Fact::Known(millis), _) => Fact::Known(StateTime {
                millis,
                from: TimeFrom::Kernel,
            }),
            (_, Some(time)) => Fact::Known(time),
            (Fact::Unknown(why), None) => Fact::Unknown(why),
        }
    }

    pub(super) fn state_time<'r>(&self, show: impl FnOnce(StateTime) -> Value<'r>) -> Value<'r> {
        match self.time_in_state() {
            Fact::Known(time) => show(time),
            Fact::Unknown(why) => Value::unknown(why),
        }
    }

    /// A row; `owners` where they were asked for.
    pub fn new(socket: &'a Socket, owners: Option<&'a Owners>, books: &'a dyn Books) -> Self {
        SocketRow {
            socket,
            owner: owners.map(|owners| owners.of(socket)),
            owners,
            books,
        }
    }
}
