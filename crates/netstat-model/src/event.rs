//! Events: what happened to a socket, and how it was observed.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, SystemTime};

use crate::{Endpoint, Fact, Family, Protocol, ShortName, Socket, SocketFacts, State, Why};

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The socket existed when watching began, or after events were lost.
    Present,
    /// A program began to connect or used a UDP socket for the first time, or an incoming connection was completed.
    Opened,
    /// A program accepted an incoming connection, so that its owner is known from now on.
    Accepted,
    /// A program began to listen.
    Listening,
    /// The state changed, or the peer of a UDP socket.
    Changed,
    /// The socket was closed.
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

    /// Returns the lower-case name used in JSON and CSV.
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

/// The side that initiated a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Not known: the socket existed before, or it is not a connection.
    Unknown = 0,
    /// This computer.
    Outgoing = 1,
    /// The foreign side.
    Incoming = 2,
    /// None: the socket is a listener.
    Listening = 3,
}

impl Direction {
    /// Returns the name used in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Unknown => "unknown",
            Direction::Outgoing => "out",
            Direction::Incoming => "in",
            Direction::Listening => "listen",
        }
    }

    /// Returns the number used in records. Numbers are never changed, only added.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the direction with this number; `None` if there is none.
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

/// How an event was observed. The later sources in this list can miss more than the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventOrigin {
    /// The kernel's tracepoints (eBPF): nothing is missed.
    Trace = 0,
    /// The kernel's notification about a destroyed socket (netlink): the end and the byte counts are exact, the
    /// beginning is not.
    Destroyed = 1,
    /// The comparison of two snapshots: what opened and closed in between is missing.
    Poll = 2,
}

impl EventOrigin {
    /// Returns the name used in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            EventOrigin::Trace => "trace",
            EventOrigin::Destroyed => "netlink",
            EventOrigin::Poll => "poll",
        }
    }

    /// Returns the number used in records. Numbers are never changed, only added.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the origin with this number; `None` if there is none.
    pub const fn from_number(number: u8) -> Option<EventOrigin> {
        match number {
            0 => Some(EventOrigin::Trace),
            1 => Some(EventOrigin::Destroyed),
            2 => Some(EventOrigin::Poll),
            _ => None,
        }
    }
}

/// A point in time, on the wall clock and on the clock since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time of day.
    pub wall: SystemTime,
    /// Nanoseconds since boot, including time suspended (`CLOCK_BOOTTIME`). It never jumps.
    pub since_boot: u64,
}

impl Moment {
    /// Returns the time elapsed from `earlier` (nanoseconds since boot) to `self`; zero if `earlier` is later.
    pub fn since(&self, earlier: u64) -> Duration {
        Duration::from_nanos(self.since_boot.saturating_sub(earlier))
    }
}

/// The process behind an event, as it was at that moment. It may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventOwner {
    /// The process id in the initial PID namespace.
    pub pid: u32,
    /// The start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_ticks: Fact<u64>,
    /// The kernel's short name of the process (`comm`). The process chooses it: escape before printing.
    pub name: ShortName,
}

/// An event of one socket. It is small and allocates nothing, because there may be 100,000 per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The time of the event.
    pub at: Moment,
    /// How the event was observed.
    pub origin: EventOrigin,
    /// The socket's cookie, unique since boot and the same in every listing; `None` if the source has no cookies.
    pub cookie: Option<NonZeroU64>,
    /// The socket's inode; `None` if the event does not come from a listing.
    pub inode: Option<NonZeroU32>,
    /// The protocol.
    pub protocol: Protocol,
    /// The address family.
    pub family: Family,
    /// The local side. Port 0 means that none has been chosen yet.
    pub local: Endpoint,
    /// The foreign side; unspecified address and port 0 if the socket is not connected.
    pub foreign: Endpoint,
    /// The state after the event.
    pub state: State,
    /// The state before the event; `None` if it did not change.
    pub before: Option<State>,
    /// The side that initiated the connection.
    pub direction: Direction,
    /// The index of the interface the socket is bound to; 0 if it is not bound to one.
    pub interface: u32,
    /// The inode of the socket's network namespace.
    pub namespace: Fact<u32>,
    /// The process that uses the socket.
    pub owner: Fact<EventOwner>,
    /// The user id.
    pub user: Fact<u32>,
    /// The id of the process's control group (cgroup v2).
    pub cgroup: Fact<u64>,
    /// When the socket was opened, in nanoseconds since boot; unknown if that was not observed.
    pub opened: Fact<u64>,
    /// Payload bytes sent so far, without retransmissions.
    pub sent: Fact<u64>,
    /// Payload bytes received so far.
    pub received: Fact<u64>,
    /// Segments retransmitted so far.
    pub retransmits: Fact<u32>,
    /// The smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
}

impl Event {
    /// Creates an event about a listed `socket`; everything that the listing does not tell is unknown.
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

    /// Returns the socket as it is after the event, so that filters for sockets also apply to events.
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

    /// Returns the number that all events of this socket share; see [`socket_number`].
    pub fn number(&self) -> Option<NonZeroU64> {
        socket_number(self.cookie, self.inode)
    }

    /// Returns how long the socket has existed; unknown if its beginning is.
    pub fn duration(&self) -> Fact<Duration> {
        self.opened.map(|opened| self.at.since(opened))
    }
}

/// Returns the number that identifies a socket across events and listings: its cookie or, if the source has no cookies
/// (`/proc/net`), its inode with the top bit set, which no cookie has. Inodes are reused after a socket has ended.
/// `None` if neither is known.
pub fn socket_number(cookie: Option<NonZeroU64>, inode: Option<NonZeroU32>) -> Option<NonZeroU64> {
    cookie.or_else(|| inode.map(|inode| NonZeroU64::from(inode) | 1 << 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_kind_numbers_read_back_are_unchanged() {
        for number in 0..=u8::MAX {
            assert!(Direction::from_number(number).is_none_or(|kind| kind.number() == number));
            assert!(EventOrigin::from_number(number).is_none_or(|kind| kind.number() == number));
        }
        assert_eq!(Direction::from_number(3), Some(Direction::Listening));
        assert_eq!(EventOrigin::from_number(2), Some(EventOrigin::Poll));
    }

    #[test]
    fn moment_since_later_start_is_zero() {
        let moment = Moment {
            wall: SystemTime::UNIX_EPOCH,
            since_boot: 5,
        };
        assert_eq!(moment.since(2), Duration::from_nanos(3));
        assert_eq!(moment.since(9), Duration::ZERO);
    }
}
