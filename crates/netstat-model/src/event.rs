//! Something that happened to a socket, and how it came to be known.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, SystemTime};

use crate::{Endpoint, Fact, Family, Protocol, ShortName, Socket, SocketFacts, State, Why};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was there when the watch began, or after events were lost.
    Present,
    /// A program began to connect, or used a UDP socket for the first time; an incoming connection was completed.
    Opened,
    /// A program took an incoming connection: its owner is known from now on.
    Accepted,
    /// A program began to listen.
    Listening,
    /// The state or, of a UDP socket, the peer changed.
    Changed,
    /// It ended.
    Closed,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 6] = [
        EventKind::Present,
        EventKind::Opened,
        EventKind::Accepted,
        EventKind::Listening,
        EventKind::Changed,
        EventKind::Closed,
    ];

    /// Its name in lower case, as in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::Present => "present",
            EventKind::Opened => "opened",
            EventKind::Accepted => "accepted",
            EventKind::Listening => "listening",
            EventKind::Changed => "changed",
            EventKind::Closed => "closed",
        }
    }
}

/// Which side began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Not known: it was there before, or is not a connection.
    Unknown = 0,
    /// This computer.
    Outgoing = 1,
    /// The foreign side.
    Incoming = 2,
    /// It waits for connections.
    Listening = 3,
}

impl Direction {
    /// Its name, as in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Unknown => "unknown",
            Direction::Outgoing => "out",
            Direction::Incoming => "in",
            Direction::Listening => "listen",
        }
    }

    /// The number by which records keep it: never changed, only added to.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The direction with this number.
    pub const fn from_number(number: u8) -> Option<Direction> {
        match number {
            0 => Some(Direction::Unknown),
            1 => Some(Direction::Outgoing),
            2 => Some(Direction::Incoming),
            3 => Some(Direction::Listening),
            _ => None,
        }
    }
}

/// How an event was learned; the weaker the way, the more can have slipped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventOrigin {
    /// From the kernel's own tracepoints (eBPF): nothing slips by.
    Trace = 0,
    /// From the kernel's message about a destroyed socket (netlink): the end and the bytes are exact, the beginning is not.
    Destroyed = 1,
    /// From comparing two snapshots: what opened and closed between them is missing.
    Poll = 2,
}

impl EventOrigin {
    /// Its name, as in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            EventOrigin::Trace => "trace",
            EventOrigin::Destroyed => "netlink",
            EventOrigin::Poll => "poll",
        }
    }

    /// The number by which records keep it: never changed, only added to.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The origin with this number.
    pub const fn from_number(number: u8) -> Option<EventOrigin> {
        match number {
            0 => Some(EventOrigin::Trace),
            1 => Some(EventOrigin::Destroyed),
            2 => Some(EventOrigin::Poll),
            _ => None,
        }
    }
}

/// When something happened, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time of day.
    pub wall: SystemTime,
    /// Nanoseconds since boot, time asleep included (`CLOCK_BOOTTIME`): never jumps.
    pub since_boot: u64,
}

impl Moment {
    /// How long before `self` the moment `earlier` (nanoseconds since boot) was.
    pub fn since(&self, earlier: u64) -> Duration {
        Duration::from_nanos(self.since_boot.saturating_sub(earlier))
    }
}

/// The process behind an event, as it was at that moment: it may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventOwner {
    /// Process id in the initial PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_ticks: Fact<u64>,
    /// The kernel's short name for it. Chosen by the process: escape before printing.
    pub name: ShortName,
}

/// One event of one socket. Small and without memory of its own: there may be 100,000 a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Moment,
    /// How it was learned.
    pub origin: EventOrigin,
    /// The kernel's number of the socket, unique since boot, the same in every list of sockets.
    pub cookie: Option<NonZeroU64>,
    /// The socket's inode, where a list of sockets had it.
    pub inode: Option<NonZeroU32>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Address family.
    pub family: Family,
    /// The local side. Port 0: not chosen yet.
    pub local: Endpoint,
    /// The foreign side; unspecified address and port 0 when not connected.
    pub foreign: Endpoint,
    /// The state from now on.
    pub state: State,
    /// The state before, where it changed.
    pub before: Option<State>,
    /// Who began.
    pub direction: Direction,
    /// Index of the interface the socket is bound to; 0 when it is bound to none.
    pub interface: u32,
    /// Inode number of the socket's network namespace.
    pub namespace: Fact<u32>,
    /// The process that uses the socket.
    pub owner: Fact<EventOwner>,
    /// User id.
    pub user: Fact<u32>,
    /// Id of the control group (version 2) of the process.
    pub cgroup: Fact<u64>,
    /// When it was opened, in nanoseconds since boot; unknown when nobody saw it.
    pub opened: Fact<u64>,
    /// Payload bytes sent so far, without what was sent again.
    pub sent: Fact<u64>,
    /// Payload bytes received so far.
    pub received: Fact<u64>,
    /// Segments sent again so far.
    pub retransmits: Fact<u32>,
    /// Smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
}

impl Event {
    /// An event about `socket` of which nothing more is known, for the ways that start from lists of sockets.
    pub fn of_socket(kind: EventKind, at: Moment, origin: EventOrigin, socket: &Socket) -> Event {
        Event {
            kind,
            at,
            origin,
            cookie: socket.cookie(),
            inode: socket.inode(),
            protocol: socket.protocol(),
            family: socket.family(),
            local: socket.local(),
            foreign: socket.foreign(),
            state: socket.state(),
            before: None,
            direction: match socket.state() {
                State::Listening => Direction::Listening,
                State::SynSent => Direction::Outgoing,
                State::SynReceived => Direction::Incoming,
                _ => Direction::Unknown,
            },
            interface: socket.interface().map_or(0, u32::from),
            namespace: Fact::Unknown(Why::NotAsked),
            owner: Fact::Unknown(Why::NotAsked),
            user: socket.user(),
            cgroup: Fact::Unknown(Why::NotAsked),
            opened: Fact::Unknown(Why::NotKept),
            sent: Fact::Unknown(Why::NotAsked),
            received: Fact::Unknown(Why::NotAsked),
            retransmits: Fact::Unknown(Why::NotAsked),
            rtt: Fact::Unknown(Why::NotAsked),
        }
    }

    /// The socket as it is after the event, so that whatever chooses sockets chooses events too.
    pub fn socket(&self) -> Socket {
        Socket::new(&SocketFacts {
            protocol: self.protocol,
            family: self.family,
            state: self.state,
            local: self.local.address,
            local_port: self.local.port,
            foreign: self.foreign.address,
            foreign_port: self.foreign.port,
            interface: self.interface,
            inode: self.inode.map_or(0, u32::from),
            user: self.user.known(),
            cookie: self.cookie,
            receive_queue: 0,
            send_queue: None,
        })
    }

    /// The number that all events of this socket share: see [`socket_number`].
    pub fn number(&self) -> Option<NonZeroU64> {
        socket_number(self.cookie, self.inode)
    }

    /// How long the socket has existed, as far as its beginning is known.
    pub fn duration(&self) -> Fact<Duration> {
        self.opened.map(|opened| self.at.since(opened))
    }
}

/// The number by which a socket is recognised from one event or list to the next: its cookie or, where the source has no cookies
/// (`/proc/net`), its inode with the top bit set, which no cookie has. An inode is used again after its socket has ended.
pub fn socket_number(cookie: Option<NonZeroU64>, inode: Option<NonZeroU32>) -> Option<NonZeroU64> {
    cookie.or_else(|| inode.map(|inode| NonZeroU64::from(inode) | 1 << 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_kinds_are_read_back() {
        for number in 0..=u8::MAX {
            assert!(Direction::from_number(number).is_none_or(|kind| kind.number() == number));
            assert!(EventOrigin::from_number(number).is_none_or(|kind| kind.number() == number));
        }
        assert_eq!(Direction::from_number(3), Some(Direction::Listening));
        assert_eq!(EventOrigin::from_number(2), Some(EventOrigin::Poll));
    }

    #[test]
    fn a_duration_never_runs_backwards() {
        let moment = Moment {
            wall: SystemTime::UNIX_EPOCH,
            since_boot: 5,
        };
        assert_eq!(moment.since(2), Duration::from_nanos(3));
        assert_eq!(moment.since(9), Duration::ZERO);
    }
}
