//! Watching sockets: the request for a watch, and the interface through which it reports events.

use std::num::NonZeroU64;
use std::time::Duration;

use netstat_model::{Event, EventKind, EventOrigin, EventOwner, Fact, Limit, Owner, ShortName, State, Why};

use crate::{Refused, SocketAsk};

/// The mechanism by which sockets are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventWay {
    /// The best mechanism that the caller may use.
    #[default]
    Auto,
    /// The kernel's tracepoints (eBPF) only.
    Trace,
    /// The kernel's netlink messages about destroyed sockets, and polling for the rest.
    Netlink,
    /// Polling only.
    Poll,
}

/// The parameters of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsAsk {
    /// The mechanism.
    pub way: EventWay,
    /// Whether every change of a TCP state is reported, not only opened, established and closed.
    pub changes: bool,
    /// Whether sockets in all network namespaces are watched, not only in the caller's own. Supported with tracepoints
    /// only.
    pub all_namespaces: bool,
    /// The time between two polls, where polling is needed; at least 10 ms.
    pub interval: Duration,
    /// The longest time that an event may be delayed before it is reported; at least 1 ms. A longer time costs less.
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

/// What a watch has missed since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The number of events that were dropped because a buffer was full, as far as they could be counted.
    pub events: u64,
    /// How many times the kernel dropped an unknown number of messages.
    pub gaps: u64,
    /// The number of owners that were dropped because a buffer was full.
    pub owners: u64,
    /// The number of closed sockets that no event reported and that were noticed only in a list of sockets.
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
    /// Returns the mechanism by which it learns of events.
    fn origin(&self) -> EventOrigin;

    /// Describes the mechanism, and why no better one is used, for `--verbose`.
    fn how(&self) -> &str;

    /// Returns what the watch cannot see.
    fn limits(&self) -> &[Limit];

    /// Returns what was missed so far. A fresh list of sockets has made up for it: sockets that exist were reported as
    /// [`netstat_model::EventKind::Present`], and those that no longer exist as closed.
    fn lost(&self) -> Lost;

    /// Waits for events for at most `limit` and passes them to `visit` in the order in which they happened. The first
    /// call reports the sockets that already exist.
    ///
    /// # Errors
    /// Returns an error if the watch cannot continue.
    fn next(&mut self, limit: Duration, visit: &mut dyn FnMut(Event)) -> Result<(), Refused>;

    /// Returns the payload bytes that the UDP socket with this cookie has sent and received since its first use during
    /// this watch; 0 if it has not been used. Unknown where nothing counts them: the kernel keeps no such counter, so
    /// only the tracepoint mechanism can.
    fn udp_bytes(&self, _cookie: NonZeroU64) -> Fact<UdpBytes> {
        Fact::Unknown(Why::NotKept)
    }
}

/// A source of the DNS answers that reach this computer.
pub trait DnsAnswers: Send {
    /// Passes the DNS messages that arrived since the last call to `visit`, without their IP, UDP and TCP headers. They
    /// are untrusted: anybody who can send packets to this computer can forge them.
    ///
    /// # Errors
    /// Returns an error if the watch cannot continue.
    fn drain(&mut self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Refused>;
}

/// Payload bytes of a UDP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpBytes {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received; reads with `MSG_PEEK` do not count.
    pub received: u64,
}

/// Returns the request for the sockets that a polling watch lists: every TCP and UDP socket that a program holds or has
/// just closed. Sockets in TIME_WAIT and SYN_RECEIVED belong to no process, and a BOUND socket is not a connection yet.
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

/// Returns the owner of an event, taken from the processes that hold its socket; unknown for the reason `unowned` if no
/// process holds it.
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

/// Returns the kind of event for a socket that appears in a list for the first time. `present` means that it may have
/// existed before the watch began.
pub(crate) fn kind_of_new(present: bool, state: State) -> EventKind {
    match (present, state) {
        (true, _) => EventKind::Present,
        (false, State::Listening) => EventKind::Listening,
        (false, _) => EventKind::Opened,
    }
}
