//! One look at the computer, as plain data: what the collector hands on, what a recording holds, what a replay plays.
//!
//! Figures stand here as they were read; [`crate::model`] makes rates of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::figures::{Figures, ProcessKey};
use netstat_model::{Endpoint, Fact, Limit, NoOwner, Protocol, State};
use serde::{Deserialize, Serialize};

/// Everything of one look. Immutable once made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds since 1970-01-01 00:00 UTC; 0 when the clock stood before.
    pub wall: u64,
    /// The computer and its processes.
    pub figures: Figures,
    /// TCP and UDP sockets of the network namespace, by rising [`SocketRow::id`].
    pub sockets: Arc<Vec<SocketRow>>,
    /// When the sockets were read, on the clock of [`Figures::at`]. Older than the figures when there are so many that reading them
    /// each time would cost too much.
    pub sockets_at: Duration,
    /// The names of the users among the processes, by number.
    pub users: Arc<BTreeMap<u32, Arc<str>>>,
    /// What could not be seen of the sockets and their owners.
    pub limits: Vec<Limit>,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SocketRow {
    /// Names it for its whole life: the kernel's cookie, or where that is not told a number made from its addresses.
    pub id: u64,
    /// Whether [`SocketRow::id`] is the kernel's cookie, by which it can be closed.
    pub cookie: bool,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its state.
    pub state: State,
    /// The own side.
    pub local: Endpoint,
    /// The other side; unspecified when there is none.
    pub foreign: Endpoint,
    /// The user who made it.
    pub user: Fact<u32>,
    /// Who holds it.
    pub holder: Holder,
    /// How many other processes hold it too.
    pub others: u16,
    /// Bytes received that its program has not read yet; of a listener: connections that wait to be accepted.
    pub receive_queue: u32,
    /// Bytes sent that the peer has not acknowledged yet; of a listener: how many connections may wait.
    pub send_queue: Fact<u32>,
    /// Bytes that went through it. Linux counts none for UDP.
    pub bytes: Fact<Bytes>,
    /// The smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
    /// Segments with data that were sent, and those sent again.
    pub segments: Fact<Segments>,
}

/// Bytes of a connection since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Sent and acknowledged by the peer.
    pub sent: u64,
    /// Received in order.
    pub received: u64,
}

/// Segments of a connection since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segments {
    /// Sent with data, repetitions included.
    pub sent: u32,
    /// Sent again.
    pub again: u32,
}

/// Who holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// The process that has held it longest.
    Process(ProcessKey),
    /// None is known, for this reason.
    None(NoOwner),
    /// Not looked for yet: it has only just appeared.
    Pending,
}

impl SocketRow {
    /// Whether it takes connections or packets from anyone.
    pub fn listens(&self) -> bool {
        match self.protocol {
            Protocol::Udp => self.foreign.port == 0,
            _ => self.state == State::Listening,
        }
    }

    /// The process that holds it.
    pub fn process(&self) -> Option<ProcessKey> {
        match self.holder {
            Holder::Process(key) => Some(key),
            Holder::None(_) | Holder::Pending => None,
        }
    }
}

impl netstat_model::Subject for SocketRow {
    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn state(&self) -> State {
        self.state
    }

    fn local(&self) -> Endpoint {
        self.local
    }

    fn foreign(&self) -> Endpoint {
        self.foreign
    }

    fn user(&self) -> Option<u32> {
        self.user.known()
    }
}
