//! How long sockets have been in their states, where the kernel does not report it: derived from the record, and from
//! earlier samples of this run.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use netstat_model::{Endpoint, Protocol, Socket, State, StateTime, SystemKind, TimeFrom};
use netstat_os::System;

use crate::context::Diagnostics;
use crate::recall::{self, NoRecord, OpenFlows, Recall};

/// What a sample saw of a socket.
#[derive(Clone, Copy, Debug)]
struct Seen {
    state: State,
    ends: (Endpoint, Endpoint),
    /// When the first of the consecutive samples that saw this ended.
    since: Instant,
}

/// The state kept from print to print, and the times for the current print.
#[derive(Debug, Default)]
pub(super) struct StateTimes {
    /// The sockets seen, by the kernel's cookie.
    seen: HashMap<u64, Seen>,
    record: Option<Result<Recall, NoRecord>>,
    times: Times,
}

/// How long sockets have been in their states, by the kernel's cookie.
#[derive(Debug, Default)]
pub(super) struct Times(HashMap<u64, StateTime>);

impl Times {
    /// Returns the time of `socket`; `None` if nothing is known.
    pub(super) fn of(&self, socket: &Socket) -> Option<StateTime> {
        self.0.get(&socket.cookie()?.get()).copied()
    }
}

impl StateTimes {
    /// Adds a sample of `sockets`, whose reading began at `began`. `again` says whether further samples will follow.
    ///
    /// A TCP socket does not return to a state that it has left (RFC 9293, 3.3.2), so a socket that two samples saw in
    /// the same state was in it all the time in between. A socket that a program disconnects and reconnects to the same
    /// address from the same port, between two samples, is taken for the same connection.
    pub(super) fn look(
        &mut self,
        sockets: &[Socket],
        began: Instant,
        wall: SystemTime,
        system: &dyn System,
        again: bool,
    ) {
        let ended = Instant::now();
        let wall = wall.checked_sub(ended.duration_since(began)).unwrap_or(wall);
        let record = self
            .record
            .get_or_insert_with(|| Recall::open(&recall::places(None, system.is_superuser()), system, wall));
        let flows = match record {
            Ok(record) => record.open_flows(sockets.iter(), wall),
            Err(_) => OpenFlows::default(),
        };
        let before = std::mem::take(&mut self.seen);
        self.times.0.clear();
        for socket in sockets {
            let Some(cookie) = socket.cookie().filter(|_| has_states(socket)) else {
                continue;
            };
            let now = Seen {
                state: socket.state(),
                ends: (socket.local(), socket.foreign()),
                since: ended,
            };
            let earlier = before
                .get(&cookie.get())
                .filter(|seen| seen.state == now.state && seen.ends == now.ends);
            let looks = earlier.map(|seen| StateTime {
                millis: u64::try_from(began.saturating_duration_since(seen.since).as_millis()).unwrap_or(u64::MAX),
                from: TimeFrom::Looks,
            });
            let recorded = flows.state_age(socket).map(|age| StateTime {
                millis: age.millis,
                from: match age.exact {
                    true => TimeFrom::RecordedChange,
                    false => TimeFrom::Record,
                },
            });
            // An exact time is preferred; of two lower bounds, the greater one is.
            let best = [recorded, looks]
                .into_iter()
                .flatten()
                .max_by_key(|time| (time.is_exact(), time.millis));
            if let Some(time) = best {
                self.times.0.insert(cookie.get(), time);
            }
            if again {
                self.seen.insert(cookie.get(), earlier.copied().unwrap_or(now));
            }
        }
    }

    /// The times at the last sample.
    pub(super) fn times(&self) -> &Times {
        &self.times
    }

    /// Reports where the times come from.
    pub(super) fn tell(&self, system: SystemKind, diagnostics: &mut Diagnostics) {
        let record = match &self.record {
            Some(Ok(_)) => "the record",
            _ => "netstat record",
        };
        let which = match system {
            SystemKind::Linux => "Linux tells the time in a state for TIME_WAIT only; other",
            SystemKind::Windows => "Windows does not tell the time in a state; the",
            SystemKind::Other => "this system does not tell the time in a state; the",
        };
        let mut line = format!(
            "{which} times are from {record} and from earlier samples of this run: \
             >= is at least that, - is unknown"
        );
        // A record here says nothing of a replayed computer of another kind.
        if let Some(Err(why)) = self.record.as_ref().filter(|_| system == netstat_os::NATIVE_KIND) {
            line.push_str(&format!("; {}", why.words()));
        }
        diagnostics.line(line);
    }
}

/// Whether the socket has the states of TCP.
fn has_states(socket: &Socket) -> bool {
    matches!(socket.protocol(), Protocol::Tcp | Protocol::Mptcp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Family, SocketFacts};
    use netstat_os::Replay;
    use std::num::NonZeroU64;
    use std::time::Duration;

    fn socket(cookie: u64, state: State, port: u16) -> Socket {
        Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state,
            local: [127, 0, 0, 1].into(),
            local_port: port,
            foreign: [127, 0, 0, 2].into(),
            foreign_port: 80,
            interface: 0,
            inode: 5,
            user: None,
            cookie: NonZeroU64::new(cookie),
            receive_queue: 0,
            send_queue: None,
        })
    }

    #[test]
    fn state_time_is_known_after_two_looks_at_the_same_state() {
        let mut times = StateTimes {
            record: Some(Err(NoRecord::Absent)),
            ..StateTimes::default()
        };
        let same = socket(1, State::Established, 1);
        let mut look = |sockets: &[Socket]| {
            times.look(sockets, Instant::now(), SystemTime::now(), &Replay::default(), true);
            let all: Vec<Option<StateTime>> = sockets.iter().map(|socket| times.times().of(socket)).collect();
            std::thread::sleep(Duration::from_millis(30));
            all
        };
        let first = look(&[
            same.clone(),
            socket(2, State::Established, 2),
            socket(3, State::Established, 3),
        ]);
        assert_eq!(first, [None; 3], "one look tells no time");
        let second = look(&[
            same.clone(),
            socket(2, State::CloseWait, 2),
            socket(3, State::Established, 4),
        ]);
        let age = second[0].unwrap();
        assert!(
            age.millis >= 30 && !age.is_exact() && age.from == TimeFrom::Looks,
            "{age:?}"
        );
        assert_eq!(second[1], None, "another state");
        assert_eq!(second[2], None, "other ends, so another connection");
        let third = look(&[same, socket(2, State::CloseWait, 2)]);
        assert!(third[0].unwrap().millis >= age.millis + 30);
        assert!(third[1].unwrap().millis >= 30);
    }
}
