//! What is asked of a watch over sockets, and what it reports.

use std::num::NonZeroU64;
use std::time::Duration;

use netstat_model::{Event, EventKind, EventOrigin, EventOwner, Fact, Limit, Owner, ShortName, State, Why};

use crate::{Refused, SocketAsk};

/// How sockets are to be watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventWay {
    /// The best way that is permitted.
    #[default]
    Auto,
    /// The kernel's tracepoints (eBPF) only.
    Trace,
    /// The kernel's messages about destroyed sockets, and polling for the rest.
    Netlink,
    /// Polling alone.
    Poll,
}

/// What is wanted of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsAsk {
    /// How to watch.
    pub way: EventWay,
    /// Whether every change of a TCP state is wanted, not only open, established and closed.
    pub changes: bool,
    /// Whether sockets of every network namespace are wanted, not only the caller's. Tracepoints only.
    pub all_namespaces: bool,
    /// The time between two polls where polling is needed; at least 10 ms.
    pub interval: Duration,
    /// How long an event may wait before it is reported; at least 1 ms. Longer waits cost less.
    pub latency: Duration,
}

impl Default for EventsAsk {
    fn default() -> Self {
        EventsAsk {
            way: EventWay::Auto,
            changes: false,
            all_namespaces: false,
            interval: Duration::from_secs(1),
            latency: Duration::from_millis(50),
        }
    }
}

/// What was missed since the watch began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Events for which there was no room, as far as they could be counted.
    pub events: u64,
    /// Times that the kernel dropped messages without saying how many.
    pub gaps: u64,
    /// Owners for which there was no room.
    pub owners: u64,
    /// Ends that no event reported and a list of sockets has shown.
    pub untold: u64,
}

impl Lost {
    /// Whether nothing was lost.
    pub fn is_nothing(self) -> bool {
        self == Lost::default()
    }
}

/// A running watch over sockets.
pub trait EventSource {
    /// How it learns of what happens.
    fn origin(&self) -> EventOrigin;

    /// How it is done and why not in a better way, in plain words for `--verbose`.
    fn how(&self) -> &str;

    /// What it cannot see.
    fn limits(&self) -> &[Limit];

    /// What was missed so far. It has been made up for by a fresh list: what is there now was reported as
    /// [`netstat_model::EventKind::Present`], what is gone as closed.
    fn lost(&self) -> Lost;

    /// Waits for events, at most `limit`, and shows them to `visit` in the order in which they happened. The first call shows
    /// the sockets that are there already.
    ///
    /// # Errors
    /// When the watch cannot go on.
    fn next(&mut self, limit: Duration, visit: &mut dyn FnMut(Event)) -> Result<(), Refused>;

    /// Bytes of payload that the UDP socket with this cookie has sent and received since its first use during this watch; 0 where it has
    /// not been used. Unknown where nothing counts them: the kernel itself keeps no such count, so only tracepoints can.
    fn udp_bytes(&self, _cookie: NonZeroU64) -> Fact<UdpBytes> {
        Fact::Unknown(Why::NotKept)
    }
}

/// DNS answers that reach this computer.
pub trait DnsAnswers: Send {
    /// Shows the messages that have come since the last call to `visit`, without their IP, UDP and TCP headers. They are untrusted:
    /// whoever can send packets to this computer can forge them.
    ///
    /// # Errors
    /// When the watch cannot go on.
    fn drain(&mut self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Refused>;
}

/// Bytes of payload of a UDP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpBytes {
    /// Sent.
    pub sent: u64,
    /// Received; what was only peeked at (`MSG_PEEK`) does not count.
    pub received: u64,
}

/// What a watch that polls lists: every TCP and UDP socket that a program holds or has just closed. TIME_WAIT and SYN_RECEIVED belong to
/// no process, and BOUND is no connection yet.
pub(crate) fn watched_sockets() -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        tcp_states: vec![
            State::Listening,
            State::Established,
            State::CloseWait,
            State::SynSent,
            State::FinWait1,
            State::FinWait2,
            State::LastAck,
            State::Closing,
            State::Closed,
        ],
        ..SocketAsk::default()
    }
}

/// The owner of an event, from the processes that hold its socket; unknown for the reason `unowned` where none does.
pub(crate) fn event_owner(owner: Owner<'_>, unowned: Why) -> Fact<EventOwner> {
    match owner {
        Owner::Held(holders) => {
            let first = holders.first();
            let name = first.comm.as_ref().known().map_or(&[][..], Vec::as_slice);
            Fact::Known(EventOwner {
                pid: first.pid,
                start_ticks: first.start_ticks,
                name: ShortName::new(name),
            })
        }
        Owner::None(_) => Fact::Unknown(unowned),
    }
}

/// The kind of event for a socket that a list shows for the first time; `present`: it may have been there before the watch began.
pub(crate) fn kind_of_new(present: bool, state: State) -> EventKind {
    match (present, state) {
        (true, _) => EventKind::Present,
        (false, State::Listening) => EventKind::Listening,
        (false, _) => EventKind::Opened,
    }
}
