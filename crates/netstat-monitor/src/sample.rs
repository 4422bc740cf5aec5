//! A sample of the computer as plain data: what the collector produces, a recording contains, and a replay plays.
//!
//! Metrics are stored as they were read; [`crate::model`] computes rates from them.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::metrics::{Metrics, ProcessKey};
use netstat_model::{Endpoint, Fact, Family, Limit, NoOwner, Protocol, Socket, SocketFacts, State, Why};
use serde::{Deserialize, Serialize};

/// A sample. It is never modified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds since the Unix epoch (UTC); 0 if the clock was set to an earlier time.
    pub wall: u64,
    /// The metrics of the computer and its processes.
    pub figures: Metrics,
    /// The TCP and UDP sockets of the network namespace, in ascending order of [`SocketRow::id`].
    pub sockets: Arc<Vec<SocketRow>>,
    /// When the sockets were read, on the clock of [`Metrics::at`]. This is earlier than the metrics if there are so
    /// many sockets that reading them each time would be too expensive.
    pub sockets_at: Duration,
    /// The names of the users of the processes, by id.
    pub users: Arc<BTreeMap<u32, Arc<str>>>,
    /// What could not be seen of the sockets and their owners.
    pub limits: Vec<Limit>,
    /// Events of connections since the previous reading of the sockets; empty if they were not read again.
    pub passing: Passing,
    /// The file systems on local disks.
    #[serde(default)]
    pub spaces: Vec<Space>,
}

/// A file system on a local disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The major and minor number of the block device.
    pub device: (u32, u32),
    /// Its size in bytes.
    pub total: u64,
    /// Bytes that are available to ordinary users.
    pub available: u64,
}

impl Sample {
    /// Returns the disks and partitions; empty if they are unknown.
    pub(crate) fn metrics_of_disks(&self) -> &[netstat_model::metrics::Disk] {
        self.figures
            .system
            .disks
            .as_ref()
            .known()
            .map_or(&[][..], Vec::as_slice)
    }
}

/// What two readings of the sockets do not show: connections that opened and closed between them, and the traffic of
/// those that closed after the earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passing {
    /// The number of TCP connections that opened. Unknown before the second reading.
    pub opened: Fact<u64>,
    /// The number of TCP connections that closed. Unknown before the second reading.
    pub closed: Fact<u64>,
    /// Whether short connections are observed; otherwise they are missing from the two numbers above.
    pub watched: bool,
    /// The ends that events reported: at most [`MOST_ENDS`] for connections that a reading has shown, and as many for
    /// others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
    /// The number of connections too short for any reading for which there was no room in `ended`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub untold: u64,
    /// The number of events that the system lost, as far as they could be counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Bytes of closed connections that no reading has counted, by process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<(ProcessKey, Bytes)>,
}

/// The maximum number of ends that are reported individually between two readings; the others are counted.
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

/// The end of a connection, as reported by an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The connection at its end, with its total bytes. Its state is the one before the end.
    pub row: SocketRow,
    /// Whether no reading has shown it.
    pub short: bool,
    /// The name of its process, if no process list has shown it. The process can choose it, so it must be escaped.
    pub name: Option<Arc<str>>,
    /// Its lifetime, in microseconds.
    pub lived: Fact<u64>,
    /// Whether the peer opened it; `None` if the event does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming: Option<bool>,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SocketRow {
    /// Identifies the socket for its lifetime: the kernel's cookie, or a number derived from its addresses if there is
    /// none.
    pub id: u64,
    /// Whether [`SocketRow::id`] is the kernel's cookie, by which the socket can be closed.
    pub cookie: bool,
    /// The protocol of the socket.
    pub protocol: Protocol,
    /// The state of the socket.
    pub state: State,
    /// The local endpoint.
    pub local: Endpoint,
    /// The foreign endpoint; unspecified if there is none.
    pub foreign: Endpoint,
    /// The user who created it.
    pub user: Fact<u32>,
    /// The process that holds it.
    pub holder: Holder,
    /// The number of other processes that also hold it.
    pub others: u16,
    /// Bytes received that its program has not read yet; for a listener, the number of connections that wait to be
    /// accepted.
    pub receive_queue: u32,
    /// Bytes sent that the peer has not acknowledged yet; for a listener, the maximum number of connections that may
    /// wait.
    pub send_queue: Fact<u32>,
    /// Bytes transferred. Linux does not count them for UDP.
    pub bytes: Fact<Bytes>,
    /// The smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
    /// Segments sent with data, and segments retransmitted.
    pub segments: Fact<Segments>,
    /// The key by which its holders are found: the inode of its descriptor, or the process id that the system reports;
    /// 0 if there is none. Not recorded.
    #[serde(skip)]
    pub inode: u32,
    /// Whether `inode` is a process id. Not recorded.
    #[serde(skip)]
    pub by_process: bool,
}

const _: () = assert!(
    size_of::<SocketRow>() <= 168,
    "hundreds of thousands must fit beside each other"
);

/// The bytes of a connection since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Bytes sent and acknowledged by the peer.
    pub sent: u64,
    /// Bytes received in order.
    pub received: u64,
}

/// The segments of a connection since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segments {
    /// Segments sent with data, including retransmissions.
    pub sent: u32,
    /// Segments retransmitted.
    pub again: u32,
}

/// Who holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// The process that has held it longest.
    Process(ProcessKey),
    /// No process is known, for this reason.
    None(NoOwner),
    /// The owner has not been looked for yet, because the socket has just appeared.
    Pending,
}

impl SocketRow {
    /// Whether the socket accepts connections or datagrams from anyone.
    pub fn listens(&self) -> bool {
        match self.protocol {
            Protocol::Udp => self.foreign.port == 0,
            _ => self.state == State::Listening,
        }
    }

    /// Whether this is a TCP connection of a program, as opposed to a listener, the kernel's remains of a closed
    /// connection, or a half-open connection.
    pub fn is_live_connection(&self) -> bool {
        let kept = self.inode == 0 && self.state == State::FinWait2;
        let none = matches!(
            self.state,
            State::Listening | State::Bound | State::Closed | State::TimeWait | State::SynReceived
        );
        self.protocol == Protocol::Tcp && !none && !kept
    }

    /// Returns the socket, with as much as is needed to identify it to the system.
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

    /// Returns the process that holds the socket.
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

/// Returns the row with this id among `rows`, which are in ascending order of id.
pub(crate) fn find_socket(rows: &[SocketRow], id: u64) -> Option<&SocketRow> {
    let place = rows.binary_search_by_key(&id, |row| row.id).ok()?;
    rows.get(place)
}
