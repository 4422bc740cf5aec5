//! One look at the computer, as plain data: what the collector hands on, what a recording holds, what a replay plays.
//!
//! Metrics stand here as they were read; [`crate::model`] makes rates of them.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::metrics::{Metrics, ProcessKey};
use netstat_model::{Endpoint, Fact, Family, Limit, NoOwner, Protocol, Socket, SocketFacts, State, Why};
use serde::{Deserialize, Serialize};

/// Everything of one look. Immutable once made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds since 1970-01-01 00:00 UTC; 0 when the clock stood before.
    pub wall: u64,
    /// The computer and its processes.
    pub figures: Metrics,
    /// TCP and UDP sockets of the network namespace, by rising [`SocketRow::id`].
    pub sockets: Arc<Vec<SocketRow>>,
    /// When the sockets were read, on the clock of [`Metrics::at`]. Older than the figures when there are so many that reading them
    /// each time would cost too much.
    pub sockets_at: Duration,
    /// The names of the users among the processes, by number.
    pub users: Arc<BTreeMap<u32, Arc<str>>>,
    /// What could not be seen of the sockets and their owners.
    pub limits: Vec<Limit>,
    /// What happened to connections since the reading of the sockets before this one; empty when they were not read anew.
    pub passing: Passing,
    /// The file systems on local disks.
    #[serde(default)]
    pub spaces: Vec<Space>,
}

/// A file system on a local disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The block device: major and minor number.
    pub device: (u32, u32),
    /// Its size in bytes.
    pub total: u64,
    /// Bytes that an ordinary user may still use.
    pub available: u64,
}

impl Sample {
    /// The disks and partitions; none where they are unknown.
    pub(crate) fn metrics_of_disks(&self) -> &[netstat_model::metrics::Disk] {
        self.figures
            .system
            .disks
            .as_ref()
            .known()
            .map_or(&[][..], Vec::as_slice)
    }
}

/// What two readings of the sockets do not show by themselves: connections that opened and ended between them, and what went through
/// those that ended after the earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passing {
    /// TCP connections that opened. Unknown before the second reading.
    pub opened: Fact<u64>,
    /// TCP connections that ended. Unknown before the second reading.
    pub closed: Fact<u64>,
    /// Whether short connections are seen; they are not in the two figures above where they are not.
    pub watched: bool,
    /// The ends that events reported: of connections that a reading has shown at most [`MOST_ENDS`], and as many of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
    /// Connections too short for a reading for which there was no room in `ended`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub untold: u64,
    /// Events that the system lost, as far as they could be counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Bytes of connections that ended, which no reading has counted, by process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<(ProcessKey, Bytes)>,
}

/// The most ends that are reported one by one between two readings; the others are counted.
pub const MOST_ENDS: usize = 1000;

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Default for Passing {
    fn default() -> Self {
        Passing {
            opened: Fact::Unknown(Why::NotYet),
            closed: Fact::Unknown(Why::NotYet),
            watched: false,
            ended: Vec::new(),
            untold: 0,
            lost: 0,
            traffic: Vec::new(),
        }
    }
}

/// The end of a connection, as an event reported it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The connection in the end, with all bytes that went through it. Its state is that before the end.
    pub row: SocketRow,
    /// Whether no reading has shown it.
    pub short: bool,
    /// The name of its process, for one that no list of processes has shown. Chosen by the process: to be escaped.
    pub name: Option<Arc<str>>,
    /// How long it lived, in microseconds.
    pub lived: Fact<u64>,
    /// Whether the peer opened it, where the event reports that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming: Option<bool>,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SocketRow {
    /// Names it for its whole life: the kernel's cookie, or where there is none a number made from its addresses.
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
    /// What its holders are found by: the inode of its descriptor, or the process that its row names; 0 when there is none. Not recorded.
    #[serde(skip)]
    pub inode: u32,
    /// Whether that is a process. Not recorded.
    #[serde(skip)]
    pub by_process: bool,
}

const _: () = assert!(
    size_of::<SocketRow>() <= 168,
    "hundreds of thousands must fit beside each other"
);

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

    /// Whether it is a TCP connection of a program: neither one that listens, nor what the kernel keeps of an ended one, nor one that
    /// is only half open.
    pub fn is_live_connection(&self) -> bool {
        let kept = self.inode == 0 && self.state == State::FinWait2;
        let none = matches!(
            self.state,
            State::Listening | State::Bound | State::Closed | State::TimeWait | State::SynReceived
        );
        self.protocol == Protocol::Tcp && !none && !kept
    }

    /// The socket, as far as it is needed to name it to the system.
    pub fn socket(&self) -> Socket {
        let socket = Socket::new(&SocketFacts {
            protocol: self.protocol,
            family: match self.local.address.is_ipv4() {
                true => Family::V4,
                false => Family::V6,
            },
            state: self.state,
            local: self.local.address,
            local_port: self.local.port,
            foreign: self.foreign.address,
            foreign_port: self.foreign.port,
            interface: self.local.scope.max(self.foreign.scope),
            inode: self.inode,
            user: self.user.known(),
            cookie: NonZeroU64::new(self.id).filter(|_| self.cookie),
            receive_queue: self.receive_queue,
            send_queue: self.send_queue.known(),
        });
        match self.by_process {
            true => socket.held_by_process(self.inode),
            false => socket,
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

/// The row with this id among `rows`, which rise by id.
pub(crate) fn find_socket(rows: &[SocketRow], id: u64) -> Option<&SocketRow> {
    let place = rows.binary_search_by_key(&id, |row| row.id).ok()?;
    rows.get(place)
}
