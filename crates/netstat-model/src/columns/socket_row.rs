//! A row of a listing of sockets: the socket, its owner and a source of names.

use std::net::IpAddr;

use super::Value;
use crate::reach::Extent;
use crate::{Endpoint, Fact, Owner, Owners, Protocol, Socket, StateTime, TimeFrom, Why};

/// A socket with its owner and a source of names.
#[derive(Clone, Copy)]
pub struct SocketRow<'a> {
    /// The socket.
    pub socket: &'a Socket,
    /// The owner; `None` if owners were not requested.
    pub owner: Option<Owner<'a>>,
    /// All owners of the listing; `None` if owners were not requested.
    pub owners: Option<&'a Owners>,
    /// The source of names and further facts.
    pub books: &'a dyn Books,
}

/// A source of names and further facts about sockets, as far as they were requested. Methods return `None` for what has
/// no name.
pub trait Books: Sync {
    /// Returns the name of a user.
    fn user(&self, _id: u32) -> Option<&[u8]> {
        None
    }
    /// Returns the name of the host at the address of `side`, safe to print.
    fn host(&self, _side: &Endpoint) -> Option<&str> {
        None
    }
    /// Whether host names were looked up at all.
    fn hosts_asked(&self) -> bool {
        false
    }
    /// Returns the name of the service at a port.
    fn service(&self, _protocol: Protocol, _port: u16) -> Option<&str> {
        None
    }
    /// Returns the name of the interface with this index in a namespace, which is numbered as in [`Socket::namespace`].
    fn interface(&self, _namespace: u32, _index: u32) -> Option<&[u8]> {
        None
    }
    /// Returns the path of the control group with this id.
    fn cgroup(&self, _id: u64) -> Option<&[u8]> {
        None
    }
    /// Returns how long the socket has been in its state, if that is known from another source than the kernel.
    fn state_time(&self, _socket: &Socket) -> Option<StateTime> {
        None
    }
    /// Returns from where a socket that receives from anyone can be reached.
    fn extent(&self, _socket: &Socket) -> Option<Extent> {
        None
    }

    /// Returns the namespace and name of the pod with this UID, such as `default/web-0`.
    fn pod(&self, _uid: &[u8]) -> Option<&[u8]> {
        None
    }

    /// Returns the rates of the socket since the previous snapshot.
    fn rates(&self, _socket: &Socket) -> Fact<Rates> {
        Fact::Unknown(Why::NotAsked)
    }
    /// Returns the name by which a program on this computer asked for the foreign address of `socket`, safe to print.
    fn asked_name(&self, _socket: &Socket) -> Fact<Option<&str>> {
        Fact::Unknown(Why::NotAsked)
    }
    /// Returns where an address is registered.
    fn location(&self, _address: IpAddr) -> Fact<&Location> {
        Fact::Unknown(Why::NotAsked)
    }
    /// Returns the label of the network namespace with this index in the listing's namespaces.
    fn namespace(&self, _index: u32) -> Option<&[u8]> {
        None
    }
}

/// A source that knows no names.
impl Books for () {}

/// The data rates of a socket, in bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Sent and acknowledged; for UDP, sent by programs.
    pub sent: f64,
    /// Received.
    pub received: f64,
}

/// Where an address is registered, according to a database that the user provides. Texts come from outside: escape
/// before printing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The country code (ISO 3166-1 alpha-2), such as `DE`; `None` if the database has none.
    pub country: Option<String>,
    /// The number of the autonomous system; `None` if the database has none.
    pub system: Option<u32>,
    /// The organization that operates the autonomous system; `None` if the database has none.
    pub organization: Option<String>,
}

impl<'a> SocketRow<'a> {
    /// Returns how long the socket has been in its state, from the kernel or else from the books.
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

    /// Creates a row; `owners` is `None` if owners were not requested.
    pub fn new(socket: &'a Socket, owners: Option<&'a Owners>, books: &'a dyn Books) -> Self {
        SocketRow {
            socket,
            owner: owners.map(|owners| owners.of(socket)),
            owners,
            books,
        }
    }
}
