//! What the record tells about present things: open sockets and running programs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::{Direction, Protocol, Socket, State};
use rusqlite::params;

use crate::flow::{Flow, Millis};
use crate::names::COLUMNS;
use crate::reader::{FirstSeen, Gap, Novelty, Reader};
use crate::store::StoreError;

/// One day, in milliseconds.
const DAY: Millis = 86_400_000;

/// The recorded facts about a socket that is open.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenFlow {
    /// When the socket was first seen.
    pub first: Millis,
    /// When the last event about it was recorded.
    pub last: Millis,
    /// Whether its beginning was observed at `first`; otherwise the socket is older.
    pub begun: bool,
    /// The side that initiated the connection.
    pub direction: Direction,
    /// The last state reported, which it had at `last` or some time before.
    pub state: State,
    /// The name that a program asked for before it connected; `None` if there was none. It is a hint, because answers
    /// can be forged. Escape before printing.
    pub asked_name: Option<Arc<[u8]>>,
    ends: (Protocol, (IpAddr, u16), (IpAddr, u16)),
}

/// How long a socket has been in its state, according to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateAge {
    /// The time in milliseconds.
    pub millis: u64,
    /// Whether the time is exact; otherwise it is a lower bound.
    pub exact: bool,
}

impl OpenFlow {
    fn of(flow: Flow) -> OpenFlow {
        OpenFlow {
            first: flow.first,
            last: flow.last,
            begun: flow.begun,
            direction: flow.direction,
            state: flow.state,
            asked_name: flow.asked_name,
            ends: (flow.protocol, flow.local, flow.foreign),
        }
    }

    /// Whether this is the record of `socket`. A cookie is unique since boot, but on old kernels only within its
    /// namespace.
    pub fn is_of(&self, socket: &Socket) -> bool {
        let same = |(address, port): (IpAddr, u16), end: netstat_model::Endpoint| {
            port == end.port && address.to_canonical() == end.address.to_canonical()
        };
        self.ends.0 == socket.protocol() && same(self.ends.1, socket.local()) && same(self.ends.2, socket.foreign())
    }

    /// Returns how long a TCP socket that is in `state` at `now` has been in it; `None` if the record does not tell.
    /// `watched` tells that a recorder has been running since the flow was written, so that nothing was missed.
    ///
    /// A TCP socket does not return to a state that it has left (RFC 9293, 3.3.2), so one that was in the state before
    /// has been in it since. The time is exact for when it began to listen and for when an incoming connection was
    /// completed, because those flows begin at these times. An outgoing one begins with its SYN, and when that was
    /// answered is not recorded.
    pub fn age_of(&self, state: State, now: Millis, watched: bool) -> Option<StateAge> {
        if self.ends.0 != Protocol::Tcp {
            return None;
        }
        let since = |then: Millis, exact: bool| {
            let millis = u64::try_from(now - then).ok()?;
            Some(StateAge { millis, exact })
        };
        match (self.direction, state) {
            // A listener has no other state until it is closed.
            (Direction::Listening, State::Listening) => since(self.first, self.begun && watched),
            (Direction::Incoming, State::Established) if self.begun => since(self.first, watched),
            _ if self.state == state => since(self.last, false),
            _ => None,
        }
    }
}

/// How far back the record reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// When anything was first seen; `None` if the record is empty.
    pub begins: Option<Millis>,
    /// When the first foreign network was recorded; `None` if none was. Event sources that do not tell which side
    /// initiated a connection record none.
    pub networks: Option<Millis>,
    /// When the first listening port was recorded; `None` if none was.
    pub listeners: Option<Millis>,
    /// On how many of the seven days before the last one connections were recorded.
    pub days: u32,
}

/// What a program did for the first time, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramHistory {
    /// Everything that programs at this path did for the first time, oldest first.
    pub sightings: Vec<FirstSeen>,
    /// When a program with the same short name but an unknown path was first seen, which may have been this one; `None`
    /// if there was none.
    pub nameless: Option<Millis>,
}

impl ProgramHistory {
    /// Returns when the program first did this; `None` if it never did.
    pub fn of(&self, what: Novelty) -> Option<Millis> {
        let same = |sighting: &&FirstSeen| sighting.what == what;
        self.sightings.iter().find(same).map(|sighting| sighting.first)
    }

    /// Returns when the program first connected to the network of `address` (/24 or /48); `None` if it never did.
    pub fn network_of(&self, address: IpAddr) -> Option<Millis> {
        let address = address.to_canonical();
        self.sightings.iter().find_map(|sighting| match sighting.what {
            Novelty::Network(network) => network.contains(address).then_some(sighting.first),
            _ => None,
        })
    }

    /// Whether the first sighting is certain, because no earlier program without a path may have been the same.
    pub fn is_sure(&self) -> bool {
        let first = self.of(Novelty::Program);
        self.nameless
            .is_none_or(|nameless| first.is_some_and(|first| first <= nameless))
    }
}

impl Reader {
    /// Returns the flows of sockets of the boot `boot_id` that are still open according to the record, by cookie. Only
    /// cookies that `wanted` accepts are included.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn open_flows(
        &mut self,
        boot_id: &str,
        wanted: &dyn Fn(u64) -> bool,
    ) -> Result<HashMap<u64, OpenFlow>, StoreError> {
        let live: Vec<(u64, i64)> = {
            let mut statement = self.connection().prepare_cached("SELECT cookie, flow FROM live")?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))?;
            let rows = rows.filter(|row| row.as_ref().map_or(true, |(cookie, _)| wanted(*cookie)));
            rows.collect::<Result<_, _>>()?
        };
        let mut open = HashMap::with_capacity(live.len());
        if live.is_empty() {
            return Ok(open);
        }
        let Reader {
            connection,
            names,
            watchdog,
            skipped,
            ..
        } = self;
        let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM flow WHERE id = ?1"))?;
        for (cookie, number) in live {
            let mut rows = statement.query([number])?;
            watchdog.feed();
            if let Some(row) = rows.next()? {
                let flow = match names.flow(connection, row) {
                    Ok(flow) => flow,
                    Err(error) if error.is_of_row() => {
                        *skipped += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                if flow.boot.boot_id == boot_id && !flow.closed {
                    open.insert(cookie, OpenFlow::of(flow));
                }
            }
        }
        Ok(open)
    }

    /// Returns how far the record reaches back from `now`.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn reach(&self, now: Millis) -> Result<Coverage, StoreError> {
        let mut reach = Coverage {
            begins: self.oldest()?,
            ..Coverage::default()
        };
        let mut statement = self
            .connection()
            .prepare_cached("SELECT kind, min(first) FROM sighting GROUP BY kind")?;
        let kinds = statement.query_map([], |row| Ok((row.get::<_, u8>(0)?, row.get::<_, Millis>(1)?)))?;
        for kind in kinds {
            match kind? {
                (0, first) => reach.begins = Some(reach.begins.map_or(first, |oldest| oldest.min(first))),
                (2, first) => reach.networks = Some(first),
                (3, first) => reach.listeners = Some(first),
                _ => {}
            }
        }
        let mut any = self
            .connection()
            .prepare_cached("SELECT EXISTS(SELECT 1 FROM flow WHERE first > ?1 AND first <= ?2)")?;
        for day in 1..=7 {
            let recorded: bool = any.query_row(params![now - (day + 1) * DAY, now - day * DAY], |row| row.get(0))?;
            reach.days += u32::from(recorded);
        }
        Ok(reach)
    }

    /// Returns what the program at `path`, whose processes have the short name `name`, did for the first time.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn first_seen_of(&mut self, path: &[u8], name: &[u8]) -> Result<ProgramHistory, StoreError> {
        let text = "SELECT min(s.first) FROM program p JOIN sighting s ON s.program = p.id AND s.kind = 0
                    WHERE p.name = ?1 AND p.path IS NULL";
        let nameless = self
            .connection()
            .prepare_cached(text)?
            .query_row([name], |row| row.get(0))?;
        Ok(ProgramHistory {
            sightings: self.first_seen(Some(path), name)?,
            nameless,
        })
    }
}

impl Gap {
    /// Whether the gap is a change of the clock, so that times before and after it are not comparable.
    pub fn is_clock(&self) -> bool {
        self.reason.starts_with(CLOCK_WAS_SET)
    }
}

/// The beginning of the reason of a gap that is a change of the clock.
pub(crate) const CLOCK_WAS_SET: &str = "the clock was set";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewFlow, NewProcess, Writer};
    use netstat_model::{EventOrigin, Fact, Family, Socket, SocketFacts, Why};
    use std::num::NonZeroU64;

    const BOOT: &str = "00000000-0000-0000-0000-000000000001";

    fn new_flow(first: Millis, direction: Direction) -> NewFlow {
        NewFlow {
            first,
            span: 10,
            closed: false,
            begun: true,
            protocol: Protocol::Tcp,
            family: Family::V4,
            local: ([192, 0, 2, 1].into(), 40_000),
            foreign: ([203, 0, 113, 7].into(), 443),
            direction,
            state: State::Established,
            origin: EventOrigin::Trace,
            process: None,
            user: Fact::Known(0),
            namespace: Fact::Unknown(Why::NotAsked),
            sent: Fact::Unknown(Why::NotAsked),
            received: Fact::Unknown(Why::NotAsked),
            retransmits: Fact::Unknown(Why::NotAsked),
            rtt: Fact::Unknown(Why::NotAsked),
            asked_name: None,
        }
    }

    fn named(path: Option<&[u8]>) -> NewProcess {
        NewProcess {
            path: path.map(<[u8]>::to_vec),
            name: b"x".to_vec(),
            unit: None,
            container: None,
            command: None,
            ..NewProcess::default()
        }
    }

    #[test]
    fn store_answers_open_flows_and_first_sightings() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.db");
        let mut writer = Writer::open(&path, b"mill", BOOT).unwrap();
        let mut batch = writer.batch().unwrap();
        let known = batch.process(7, Some(1), &named(Some(b"/usr/bin/x"))).unwrap();
        let unknown = batch.process(8, Some(2), &named(None)).unwrap();
        let day = |days: Millis| 100 * DAY - days * DAY;
        for days in (1..=9).rev() {
            let flow = NewFlow {
                process: Some(known),
                ..new_flow(day(days) - 1, Direction::Outgoing)
            };
            batch.insert(&flow, Some(days as u64)).unwrap();
        }
        let closed = NewFlow {
            closed: true,
            ..new_flow(day(1), Direction::Incoming)
        };
        batch.update(9, &closed, Some(1)).unwrap();
        let nameless = NewFlow {
            process: Some(unknown),
            ..new_flow(day(20), Direction::Incoming)
        };
        batch.insert(&nameless, None).unwrap();
        batch.commit().unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let open = reader.open_flows(BOOT, &|cookie| cookie != 3).unwrap();
        let mut cookies: Vec<u64> = open.keys().copied().collect();
        cookies.sort_unstable();
        // The first one has ended, and the third one was not requested.
        assert_eq!(cookies, [2, 4, 5, 6, 7, 8, 9]);
        assert_eq!(reader.open_flows("another boot", &|_| true).unwrap().len(), 0);
        let socket = |local: u16| {
            Socket::new(&SocketFacts {
                protocol: Protocol::Tcp,
                family: Family::V6,
                state: State::Established,
                // The same address, IPv4-mapped.
                local: "::ffff:192.0.2.1".parse().unwrap(),
                local_port: local,
                foreign: "::ffff:203.0.113.7".parse().unwrap(),
                foreign_port: 443,
                interface: 0,
                inode: 1,
                user: None,
                cookie: NonZeroU64::new(2),
                receive_queue: 0,
                send_queue: None,
            })
        };
        assert!(open[&2].is_of(&socket(40_000)) && !open[&2].is_of(&socket(40_001)));
        let reach = reader.reach(day(0)).unwrap();
        assert_eq!(
            (reach.begins, reach.networks, reach.listeners),
            (Some(day(20)), Some(day(9) - 1), None)
        );
        assert_eq!(reach.days, 7);
        let seen = reader.first_seen_of(b"/usr/bin/x", b"x").unwrap();
        assert_eq!(seen.of(Novelty::Program), Some(day(9) - 1));
        assert_eq!(seen.network_of([203, 0, 113, 200].into()), Some(day(9) - 1));
        assert_eq!(seen.network_of([203, 0, 114, 7].into()), None);
        // A program with this name but an unknown path was seen before.
        assert!(seen.nameless == Some(day(20)) && !seen.is_sure());
        assert!(reader.first_seen_of(b"/usr/bin/x", b"y").unwrap().is_sure());
    }

    fn flow(direction: Direction, begun: bool, state: State) -> OpenFlow {
        OpenFlow {
            first: 1_000,
            last: 4_000,
            begun,
            direction,
            state,
            asked_name: None,
            ends: (
                Protocol::Tcp,
                ([10, 0, 0, 1].into(), 80),
                ([10, 0, 0, 2].into(), 40_000),
            ),
        }
    }

    #[test]
    fn open_flow_age_in_state_is_given_only_if_recorded() {
        let age =
            |flow: &OpenFlow, state, watched| flow.age_of(state, 10_000, watched).map(|age| (age.millis, age.exact));
        let incoming = flow(Direction::Incoming, true, State::Established);
        assert_eq!(age(&incoming, State::Established, true), Some((9_000, true)));
        assert_eq!(age(&incoming, State::Established, false), Some((9_000, false)));
        // When it left ESTABLISHED was not reported.
        assert_eq!(age(&incoming, State::CloseWait, true), None);
        let outgoing = flow(Direction::Outgoing, true, State::Established);
        assert_eq!(age(&outgoing, State::Established, true), Some((6_000, false)));
        let syn = flow(Direction::Outgoing, true, State::SynSent);
        assert_eq!(age(&syn, State::Established, true), None);
        let unseen = flow(Direction::Unknown, false, State::Established);
        assert_eq!(age(&unseen, State::Established, true), Some((6_000, false)));
        let listener = flow(Direction::Listening, true, State::Listening);
        assert_eq!(age(&listener, State::Listening, true), Some((9_000, true)));
        let older = flow(Direction::Listening, false, State::Listening);
        assert_eq!(age(&older, State::Listening, true), Some((9_000, false)));
        // The clock was set back in the meantime.
        assert_eq!(listener.age_of(State::Listening, 500, true), None);
    }
}
