//! Which process opened and closed connections, and when, for kernels whose tracepoints provide nothing else
//! ([`super::state_changes`]).
//!
//! This information does not result in events. It is added to those that result from the kernel's messages and from
//! polling, matched by both ends of the connection. The tracepoint covers all network namespaces without identifying
//! them; if two connections with the same ends are possible, nothing is reported about either.

use std::collections::HashMap;

use netstat_model::{Direction, Endpoint, Event, EventKind, EventOwner, Fact, ShortName, State};

use super::state_changes::{Change, Current, StateChanges};
use crate::linux::owners_ebpf::Unavailable;

/// The maximum number of connections that are stored: about 20 MB.
const MOST: usize = 100_000;
/// How long a change waits for earlier ones, in nanoseconds, because each CPU has a buffer of its own and these are
/// read one after the other.
pub(super) const SETTLES_AFTER: u64 = 20_000_000;
/// The age in nanoseconds at which an ended connection that no event asked for is assumed to belong to another network
/// namespace.
const KEPT_AFTER_END: u64 = 10_000_000_000;

/// Both ends of a connection, the local one first. Scopes are not reported and therefore ignored.
type Ends = ((std::net::IpAddr, u16), (std::net::IpAddr, u16));

fn ends(local: Endpoint, foreign: Endpoint) -> Ends {
    ((local.address, local.port), (foreign.address, foreign.port))
}

/// The process that made a system call on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    owner: EventOwner,
    uid: u32,
    cgroup: u64,
}

/// What is known about a connection.
#[derive(Clone, Copy, Debug)]
struct Hint {
    /// In nanoseconds since boot, including suspended time.
    opened: u64,
    direction: Direction,
    caller: Option<Caller>,
    ends: Option<Ends>,
    /// Same unit; 0 while it is open.
    closed: u64,
    /// Whether the peer's FIN has arrived: only that leads to the states CLOSE_WAIT and CLOSING.
    fin: bool,
}

/// What is known about a running process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Living {
    /// In clock ticks since boot.
    pub(super) start_ticks: u64,
    pub(super) name: ShortName,
    pub(super) is_kernel_thread: bool,
}

/// What is known about connections.
#[derive(Debug, Default)]
struct Hints {
    /// The open connections by the kernel address of the socket, which may be reused as soon as it has ended.
    open: HashMap<u64, Hint>,
    open_by_ends: HashMap<Ends, Vec<u64>>,
    /// The ended connections that no event has asked for yet.
    ended: HashMap<Ends, Vec<Hint>>,
    ended_count: usize,
}

impl Hints {
    /// Records a change. `at` is its time in nanoseconds since boot, including suspended time. `caller` returns the
    /// process that was running, if it is one that can own a socket.
    fn note(&mut self, change: &Change, at: u64, caller: impl FnOnce() -> Option<Caller>) {
        let fresh = match (change.before, change.state) {
            (_, State::SynSent) => Some(Direction::Outgoing),
            (State::SynReceived, State::Established) => Some(Direction::Incoming),
            _ => None,
        };
        if let Some(direction) = fresh {
            // The end of the previous connection was lost.
            self.take_open(change.socket);
            if self.open.len() + self.ended_count >= MOST {
                return;
            }
            let hint = Hint {
                opened: at,
                direction,
                // The kernel completes an incoming connection in the context of any process; connect(2) changes the
                // state itself.
                caller: (direction == Direction::Outgoing).then(caller).flatten(),
                ends: None,
                closed: 0,
                fin: false,
            };
            self.open.insert(change.socket, hint);
        } else if let Some(hint) = self.open.get_mut(&change.socket) {
            // Only close(2), shutdown(2) and the exit of the process start to close a connection; resets arrive in the
            // context of any process.
            let closes = matches!(
                (change.before, change.state),
                (State::Established, State::FinWait1) | (State::CloseWait, State::LastAck)
            );
            if closes && hint.caller.is_none() {
                hint.caller = caller();
            }
            hint.fin |= matches!(change.state, State::CloseWait | State::Closing);
        }
        self.note_ends(change);
        if change.state == State::Closed
            && let Some(hint) = self.take_open(change.socket)
            && let Some(ends) = hint.ends
        {
            self.ended_count += 1;
            self.ended.entry(ends).or_default().push(Hint { closed: at, ..hint });
        }
    }

    fn note_ends(&mut self, change: &Change) {
        if change.local.port == 0 || change.foreign.port == 0 {
            return;
        }
        let Some(hint) = self.open.get_mut(&change.socket) else {
            return;
        };
        let ends = ends(change.local, change.foreign);
        if hint.ends.is_none() {
            hint.ends = Some(ends);
            self.open_by_ends.entry(ends).or_default().push(change.socket);
        }
    }

    /// Removes an open connection and returns it.
    fn take_open(&mut self, socket: u64) -> Option<Hint> {
        let hint = self.open.remove(&socket)?;
        if let Some(ends) = hint.ends
            && let Some(sockets) = self.open_by_ends.get_mut(&ends)
        {
            sockets.retain(|other| *other != socket);
            if sockets.is_empty() {
                self.open_by_ends.remove(&ends);
            }
        }
        Some(hint)
    }

    /// Adds what is known about its connection to `event`; about one that has ended, nothing is kept. Returns whether
    /// the peer's FIN is known to have arrived.
    fn complete(&mut self, event: &mut Event) -> bool {
        let ends = ends(event.local, event.foreign);
        let hint = match event.kind {
            EventKind::Closed => match self.ended.get(&ends).map(Vec::as_slice) {
                Some(&[hint]) => {
                    self.ended.remove(&ends);
                    self.ended_count -= 1;
                    Some(hint)
                }
                _ => None,
            },
            _ => match self.open_by_ends.get(&ends).map(Vec::as_slice) {
                Some([socket]) => self.open.get(socket).copied(),
                _ => None,
            },
        };
        let Some(hint) = hint else { return false };
        event.opened = Fact::Known(hint.opened);
        event.direction = hint.direction;
        if let Some(caller) = hint.caller
            && event.owner.why().is_some()
        {
            event.owner = Fact::Known(caller.owner);
            event.user = Fact::Known(caller.uid);
            event.cgroup = Fact::Known(caller.cgroup);
        }
        hint.fin
    }

    /// Removes connections that ended long ago.
    fn expire(&mut self, now: u64) {
        self.ended.retain(|_, hints| {
            hints.retain(|hint| hint.closed.saturating_add(KEPT_AFTER_END) >= now);
            !hints.is_empty()
        });
        self.ended_count = self.ended.values().map(Vec::len).sum();
    }
}

/// Returns the process that `current` identifies, with what `living` knows about the process that has its id now.
fn caller(current: &Current, at: u64, tick: u64, living: Option<Living>) -> Option<Caller> {
    if current.pid == 0 {
        return None;
    }
    // A process that started later merely has the same id. Start times are rounded down to a tick.
    let living = living.filter(|living| living.start_ticks.saturating_mul(tick) <= at);
    if living.is_some_and(|living| living.is_kernel_thread) {
        return None;
    }
    Some(Caller {
        owner: EventOwner {
            pid: current.pid,
            start_ticks: living.map_or(Fact::Unknown(netstat_model::Why::Gone), |living| {
                Fact::Known(living.start_ticks)
            }),
            name: living.map_or(current.comm, |living| living.name),
        },
        uid: current.uid,
        cgroup: current.cgroup,
    })
}

/// The watch for state changes, and what is known from it.
#[derive(Debug)]
pub(super) struct OwnerHints {
    changes: StateChanges,
    waiting: Vec<Change>,
    hints: Hints,
    lost: u64,
}

impl OwnerHints {
    /// Starts to watch.
    ///
    /// # Errors
    /// Returns the reason why it cannot.
    pub(super) fn open() -> Result<Self, Unavailable> {
        Ok(OwnerHints {
            changes: StateChanges::load()?,
            waiting: Vec::new(),
            hints: Hints::default(),
            lost: 0,
        })
    }

    /// Reads what the kernel has written up to [`SETTLES_AFTER`] ago. `now` is the time before the call, in nanoseconds
    /// since boot with and without suspended time; `tick` is the length of a clock tick in nanoseconds; `living`
    /// returns what is known about the process that has an id now.
    pub(super) fn drain(&mut self, now: (u64, u64), tick: u64, mut living: impl FnMut(u32) -> Option<Living>) {
        let mut changes = std::mem::take(&mut self.waiting);
        self.lost += self.changes.drain(&mut changes);
        let asleep = now.0.saturating_sub(now.1);
        let mut seen: HashMap<u32, Option<Living>> = HashMap::new();
        let settled = changes.partition_point(|change| change.time.saturating_add(SETTLES_AFTER) <= now.1);
        for change in changes.drain(..settled) {
            let at = change.time.saturating_add(asleep);
            let current = change.current;
            self.hints.note(&change, at, || {
                let living = *seen.entry(current.pid).or_insert_with(|| living(current.pid));
                caller(&current, at, tick, living)
            });
        }
        self.waiting = changes;
        self.hints.expire(now.0);
    }

    /// Adds what is known about its connection to an event. Returns whether the peer's FIN is known to have arrived.
    pub(super) fn complete(&mut self, event: &mut Event) -> bool {
        self.hints.complete(event)
    }

    /// Returns the number of changes that were lost because a buffer was full, since the watch began.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{EventOrigin, Family, Moment, Protocol, Socket, SocketFacts, Why};
    use std::time::SystemTime;

    const TICK: u64 = 10_000_000;

    fn change(socket: u64, before: State, state: State, port: u16, pid: u32) -> Change {
        let end = |port| Endpoint {
            address: [127, 0, 0, 1].into(),
            port,
            scope: 0,
        };
        Change {
            time: 1_000,
            socket,
            before,
            state,
            local: end(port),
            foreign: end(80),
            current: Current {
                pid,
                uid: 7,
                cgroup: 5,
                comm: ShortName::new(b"thread"),
            },
        }
    }

    fn noted(changes: &[Change]) -> Hints {
        let mut hints = Hints::default();
        for change in changes {
            let current = change.current;
            hints.note(change, change.time, || caller(&current, change.time, TICK, None));
        }
        hints
    }

    fn event(kind: EventKind, port: u16) -> Event {
        let socket = Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state: if kind == EventKind::Closed {
                State::Closed
            } else {
                State::Established
            },
            local: [127, 0, 0, 1].into(),
            local_port: port,
            foreign: [127, 0, 0, 1].into(),
            foreign_port: 80,
            interface: 0,
            inode: 0,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        });
        let at = Moment {
            wall: SystemTime::UNIX_EPOCH,
            since_boot: 9_000,
        };
        Event::of_socket(kind, at, EventOrigin::Destroyed, &socket)
    }

    fn completed(hints: &mut Hints, kind: EventKind, port: u16) -> Event {
        let mut event = event(kind, port);
        hints.complete(&mut event);
        event
    }

    fn pid(event: &Event) -> Option<u32> {
        event.owner.known().map(|owner| owner.pid)
    }

    use State::{CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, SynReceived, SynSent};

    #[test]
    fn client_is_known_from_connecting_and_server_from_closing() {
        let mut hints = noted(&[
            change(1, Closed, SynSent, 0, 10),
            // Completed in the context of an unrelated process.
            change(1, SynSent, Established, 4_000, 99),
            change(2, SynReceived, Established, 4_001, 99),
            change(1, Established, FinWait1, 4_000, 10),
            change(2, Established, CloseWait, 4_001, 99),
            change(1, FinWait1, FinWait2, 4_000, 99),
            change(2, CloseWait, LastAck, 4_001, 20),
            change(1, FinWait2, Closed, 4_000, 99),
            change(2, LastAck, Closed, 4_001, 99),
        ]);
        let client = completed(&mut hints, EventKind::Closed, 4_000);
        assert_eq!((pid(&client), client.direction), (Some(10), Direction::Outgoing));
        assert_eq!((client.opened, client.user), (Fact::Known(1_000), Fact::Known(7)));
        let server = completed(&mut hints, EventKind::Closed, 4_001);
        assert_eq!((pid(&server), server.direction), (Some(20), Direction::Incoming));
        assert!(hints.open.is_empty() && hints.open_by_ends.is_empty() && hints.ended.is_empty());
    }

    #[test]
    fn fin_is_known_from_the_states_that_only_it_leads_to() {
        let ended = |changes: &[(State, State)]| {
            let mut hints = Hints::default();
            for (before, state) in [(Closed, SynSent), (SynSent, Established)].iter().chain(changes) {
                hints.note(&change(1, *before, *state, 4_000, 10), 1_000, || None);
            }
            hints.complete(&mut event(EventKind::Closed, 4_000))
        };
        assert!(ended(&[
            (Established, CloseWait),
            (CloseWait, LastAck),
            (LastAck, Closed)
        ]));
        assert!(
            ended(&[(Established, CloseWait), (CloseWait, Closed)]),
            "reset after its FIN"
        );
        assert!(ended(&[
            (Established, FinWait1),
            (FinWait1, State::Closing),
            (State::Closing, Closed)
        ]));
        // The kernel may have stopped waiting for it.
        assert!(!ended(&[
            (Established, FinWait1),
            (FinWait1, FinWait2),
            (FinWait2, Closed)
        ]));
        assert!(!ended(&[(Established, Closed)]), "reset");
    }

    #[test]
    fn next_socket_at_the_same_address_takes_nothing_away() {
        let mut hints = noted(&[
            change(1, Closed, SynSent, 4_000, 10),
            change(1, SynSent, Closed, 4_000, 10),
            change(1, Closed, SynSent, 4_002, 11),
        ]);
        assert_eq!(pid(&completed(&mut hints, EventKind::Closed, 4_000)), Some(10));
        assert_eq!(pid(&completed(&mut hints, EventKind::Opened, 4_002)), Some(11));
    }

    #[test]
    fn connection_that_the_peer_resets_has_no_owner_of_chance() {
        let mut hints = noted(&[
            change(2, SynReceived, Established, 4_001, 99),
            change(2, Established, Closed, 4_001, 99),
        ]);
        let server = completed(&mut hints, EventKind::Closed, 4_001);
        assert_eq!((pid(&server), server.direction), (None, Direction::Incoming));
    }

    #[test]
    fn same_ends_in_two_namespaces_say_nothing() {
        let one = |socket, pid| {
            [
                change(socket, Closed, SynSent, 4_000, pid),
                change(socket, SynSent, Closed, 4_000, pid),
            ]
        };
        let mut hints = noted(&[one(1, 10), one(2, 11)].concat());
        assert_eq!(pid(&completed(&mut hints, EventKind::Closed, 4_000)), None);
        hints.expire(KEPT_AFTER_END + 1_001);
        assert!(hints.open.is_empty() && hints.open_by_ends.is_empty() && hints.ended.is_empty());
    }

    #[test]
    fn open_connection_is_not_mistaken_for_an_ended_one() {
        let mut hints = noted(&[change(1, Closed, SynSent, 4_000, 10)]);
        assert_eq!(pid(&completed(&mut hints, EventKind::Closed, 4_000)), None);
        assert_eq!(pid(&completed(&mut hints, EventKind::Opened, 4_000)), Some(10));
        assert_eq!(pid(&completed(&mut hints, EventKind::Opened, 4_000)), Some(10));
        hints.note(&change(1, SynSent, Closed, 4_000, 0), 2_000, || None);
        assert_eq!(pid(&completed(&mut hints, EventKind::Opened, 4_000)), None);
        assert_eq!(pid(&completed(&mut hints, EventKind::Closed, 4_000)), Some(10));
    }

    #[test]
    fn caller_is_no_kernel_thread_and_no_later_process() {
        let current = change(1, Closed, SynSent, 0, 10).current;
        let living = |start_ticks, is_kernel_thread| {
            Some(Living {
                start_ticks,
                name: ShortName::new(b"program"),
                is_kernel_thread,
            })
        };
        let at = 50 * TICK;
        let owner = |living| caller(&current, at, TICK, living).map(|caller| caller.owner);
        let known = owner(living(50, false)).unwrap();
        assert_eq!(
            (known.start_ticks, known.name),
            (Fact::Known(50), ShortName::new(b"program"))
        );
        let reused = owner(living(51, false)).unwrap();
        assert_eq!(
            (reused.start_ticks, reused.name),
            (Fact::Unknown(Why::Gone), ShortName::new(b"thread"))
        );
        assert!(owner(living(3, true)).is_none());
        assert!(caller(&Current { pid: 0, ..current }, at, TICK, None).is_none());
    }
}
