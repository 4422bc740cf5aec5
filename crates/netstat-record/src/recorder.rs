//! Turns events into flows, one row each, and writes them in batches.

mod flush;

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netstat_model::{Direction, Event, EventKind, EventOrigin, EventOwner, Fact, Protocol, State, Transfer};

use crate::clock::StoreClock;
use crate::flow::{Millis, NewProcess, short_name};
use crate::retention::Retention;
use crate::store::{NewFlow, ProcessNumber, StoreError, Writer};

// Together with SQLite's page cache, these limits keep memory use below 64 MB; `cargo xtask record-memory` checks that.

/// The maximum number of open flows kept in memory after a flush, about 10 MB. Further ones exist only in the store,
/// where they are looked up when they end.
const MOST_OPEN: usize = 32_000;
/// The maximum number of new flows in addition to those, between two flushes.
const MOST_FRESH: usize = 16_000;
/// The maximum number of ended flows waiting to be written. So many wait only if the store cannot be written to; then
/// the oldest are lost, and counted.
const MOST_WAITING: usize = 24_000;
/// The maximum number of ended flows waiting for their owner.
const MOST_LATE: usize = 8_000;
/// The maximum number of processes that are recognized without being described again.
const MOST_PROCESSES: usize = 10_000;
/// The maximum number of process descriptions in memory after a flush, including those that flows still need; about 400
/// bytes each.
const MOST_DESCRIBED: usize = 12_000;
/// The maximum number of process descriptions in memory between two flushes.
const MOST_DESCRIBED_EVER: usize = 18_000;
/// The maximum number of gaps waiting to be written; beyond it, gaps with the same reason are merged.
const MOST_GAPS: usize = 100;
/// How long an incoming connection that ended without an owner waits for the program that may still accept it, in
/// nanoseconds.
const LATE: u64 = 5_000_000_000;
/// The default interval at which the rows of open flows are brought up to date.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// The maximum number of rows brought up to date in one transaction, so that events do not wait long.
const ROUND: usize = 20_000;
/// The interval at which the recorder checks that the store is still in its place, in nanoseconds.
const IN_PLACE: u64 = 5_000_000_000;
/// The error if there is no store to write to any more.
const NO_STORE: &str = "it could not be begun anew";
/// The time between two attempts to write to a store that could not be written to, in nanoseconds.
const RETRY: u64 = 2_000_000_000;

/// Describes processes while they are running.
pub trait ResolveProcess {
    /// Returns the facts about the process behind an event; `cgroup` is the id of its control group.
    fn describe(&mut self, owner: &EventOwner, cgroup: Fact<u64>) -> NewProcess;
}

impl<F: FnMut(&EventOwner, Fact<u64>) -> NewProcess> ResolveProcess for F {
    fn describe(&mut self, owner: &EventOwner, cgroup: Fact<u64>) -> NewProcess {
        self(owner, cgroup)
    }
}

/// A process that has been described.
#[derive(Debug)]
struct ResolvedProcess {
    pid: u32,
    start_ticks: Option<u64>,
    facts: NewProcess,
    /// The process's number in the store, and the run of batches in which it was assigned.
    number: Cell<Option<(u32, ProcessNumber)>>,
    /// A reference that counts the descriptions in memory.
    _counted: Rc<()>,
}

#[derive(Clone, Debug)]
struct Open {
    flow: NewFlow,
    process: Option<Rc<ResolvedProcess>>,
    cookie: Option<u64>,
    /// The time when the flow was first seen, in nanoseconds since boot.
    since: u64,
    row: Option<i64>,
    /// The time when its row was last written, in nanoseconds since boot.
    written: u64,
    /// The bytes that the socket had sent and received before this flow; a UDP socket may have had another peer.
    before: (u64, u64),
}

/// The result of a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// The number of rows inserted or updated.
    pub rows: u64,
    /// Whether the store currently cannot be written to.
    pub paused: bool,
    /// The number of flows lost, if the store can be written to for the first time after a pause; `None` otherwise.
    pub resumed: Option<u64>,
    /// Whether the store was found deleted, moved or replaced, and created anew.
    pub begun_anew: bool,
}

/// Turns events into rows of the store. Nothing is written before [`Recorder::flush`].
#[derive(Debug)]
pub struct Recorder {
    /// `None` only if the store could not be created anew.
    writer: Option<Writer>,
    open: HashMap<u64, Box<Open>>,
    /// The keys of open flows that have no row yet.
    fresh: Vec<u64>,
    late: HashMap<u64, Box<Open>>,
    done: VecDeque<Box<Open>>,
    processes: HashMap<(u32, Option<u64>, Vec<u8>), Rc<ResolvedProcess>>,
    /// A reference that counts the descriptions in memory.
    described: Rc<()>,
    /// The number of batches that were rolled back; process numbers assigned in an earlier run are invalid.
    run: u32,
    left_open: HashMap<u64, (i64, Millis)>,
    /// Whether the store may have open flows that are not in memory.
    spilled: bool,
    gaps: Vec<(Millis, Millis, String, Option<u64>)>,
    /// The store's own clock, set at the first flush.
    clock: Option<StoreClock>,
    /// The time of the last check that the store is in its place, in nanoseconds since boot.
    looked: u64,
    paused: Option<(Millis, u64)>,
    lost_flows: u64,
    /// The time of the last flush.
    flushed: Option<Millis>,
    flows: u64,
    /// The interval at which the rows of open flows are brought up to date, in nanoseconds.
    every: u64,
    /// The time when that last began, in nanoseconds since boot.
    heartbeat: u64,
    /// The keys of the open flows still to be brought up to date in this round, in reverse order.
    beat: Vec<u64>,
    /// The time when it was last recorded that this recorder is running, in nanoseconds since boot.
    alive: Option<u64>,
}

/// Returns the milliseconds since 1970; 0 for an earlier time.
pub fn millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn socket_key(event: &Event) -> Option<u64> {
    event.number().map(u64::from)
}

fn set<T: Copy>(fact: &mut Fact<T>, news: Fact<T>) {
    if news.why().is_none() || fact.why().is_some() {
        *fact = news;
    }
}

impl Recorder {
    /// Creates a recorder that writes to `writer`.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn new(writer: Writer) -> Result<Recorder, StoreError> {
        let left_open = writer.left_open()?;
        Ok(Recorder {
            writer: Some(writer),
            open: HashMap::new(),
            fresh: Vec::new(),
            late: HashMap::new(),
            done: VecDeque::new(),
            processes: HashMap::new(),
            described: Rc::new(()),
            run: 0,
            left_open,
            spilled: false,
            gaps: Vec::new(),
            clock: None,
            looked: 0,
            paused: None,
            lost_flows: 0,
            flushed: None,
            flows: 0,
            every: nanos(HEARTBEAT),
            heartbeat: 0,
            beat: Vec::new(),
            alive: None,
        })
    }

    /// Sets the interval at which the rows of open flows are brought up to date; the default is 60 seconds. Up to that
    /// much of the end of a long flow may be missing after `kill -9`.
    pub fn with_heartbeat(mut self, every: Duration) -> Recorder {
        self.every = nanos(every);
        self
    }

    /// Returns the store that the recorder writes to, for sending data from it.
    ///
    /// # Errors
    /// Returns an error if there is no store any more.
    pub fn store(&mut self) -> Result<&mut Writer, StoreError> {
        self.writer()
    }

    /// Returns the number of flows that have begun since the start, including those that existed before.
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// Returns the number of flows waiting to be written.
    pub fn waiting(&self) -> usize {
        self.done.len() + self.fresh.len()
    }

    /// Returns the cookies of the open TCP connections for which [`Recorder::refresh`] should be called at
    /// `since_boot`, because the next flush brings their rows up to date; empty at other times.
    pub fn wants_progress(&self, since_boot: u64) -> HashSet<u64> {
        match self.paused.is_none() && self.beats(since_boot) {
            true => self.open_connections(),
            false => HashSet::new(),
        }
    }

    /// Returns the cookies of all open TCP connections in memory.
    pub fn open_connections(&self) -> HashSet<u64> {
        let connection = |open: &Open| {
            open.flow.protocol == Protocol::Tcp && open.flow.direction != Direction::Listening && !open.flow.closed
        };
        let keys = self.open.iter().filter(|(_, open)| connection(open));
        keys.map(|(key, _)| *key).collect()
    }

    /// Updates open connections with the amount of data they have transferred so far.
    pub fn refresh(&mut self, progress: &[Transfer]) {
        for news in progress {
            if let Some(open) = self.open.get_mut(&news.cookie) {
                let flow = &mut open.flow;
                flow.state = news.state;
                set(&mut flow.sent, news.sent);
                set(&mut flow.received, news.received);
                set(&mut flow.retransmits, news.retransmits);
                set(&mut flow.rtt, news.rtt);
            }
        }
    }

    /// Sets the name that a program asked for before connecting, for connections that have no row yet or have just
    /// ended. `name_of` returns it for a foreign address and the time when the connection began. Call this before
    /// [`Recorder::flush`]. Incoming connections have no such name.
    pub fn name_flows(&mut self, name_of: &mut dyn FnMut(IpAddr, Millis) -> Option<Arc<[u8]>>) {
        let Recorder {
            open,
            fresh,
            late,
            done,
            ..
        } = self;
        // Polling does not show which side initiated a connection: one to the port of a listener is incoming.
        let listening = open.values().map(|open| &open.flow);
        let listening: HashSet<u16> = listening
            .filter(|flow| flow.direction == Direction::Listening)
            .map(|flow| flow.local.1)
            .collect();
        let mut name = |flow: &mut NewFlow| {
            let outwards = match flow.direction {
                Direction::Outgoing => true,
                Direction::Unknown => !listening.contains(&flow.local.1),
                Direction::Incoming | Direction::Listening => false,
            };
            if outwards && flow.foreign.1 != 0 && flow.asked_name.is_none() {
                flow.asked_name = name_of(flow.foreign.0, flow.first);
            }
        };
        for key in fresh.iter() {
            if let Some(one) = open.get_mut(key) {
                name(&mut one.flow);
            }
        }
        for one in late.values_mut().chain(done.iter_mut()) {
            name(&mut one.flow);
        }
    }

    /// Whether the next flush brings the rows of open flows up to date.
    pub fn is_due(&self, since_boot: u64) -> bool {
        self.paused.is_none() && self.beats(since_boot)
    }

    /// Updates open UDP sockets with the bytes they have sent and received since an event source began to count;
    /// `bytes_of` returns them for a cookie. Call this before a flush that brings rows up to date, and before stopping.
    pub fn refresh_datagrams(&mut self, bytes_of: &dyn Fn(u64) -> Fact<(u64, u64)>) {
        let open = self
            .open
            .iter_mut()
            .filter(|(_, open)| open.flow.protocol == Protocol::Udp);
        for (key, open) in open {
            let Fact::Known((sent, received)) = bytes_of(*key) else {
                continue;
            };
            let (sent, received) = (
                sent.saturating_sub(open.before.0),
                received.saturating_sub(open.before.1),
            );
            // For a socket that is older than the count, a count of zero means nothing.
            if open.flow.begun || sent + received > 0 {
                set(&mut open.flow.sent, Fact::Known(sent));
                set(&mut open.flow.received, Fact::Known(received));
            }
        }
    }

    /// Whether it is time to bring the rows of open flows up to date.
    fn beats(&self, since_boot: u64) -> bool {
        !self.open.is_empty() && self.beat.is_empty() && since_boot.saturating_sub(self.heartbeat) >= self.every
    }

    /// Schedules the open flows whose rows were not written within `shortly` nanoseconds before `since_boot` to be
    /// brought up to date, in their order in the file.
    fn begin_beat(&mut self, since_boot: u64, shortly: u64) {
        let mut due: Vec<(i64, u64)> = self
            .open
            .iter()
            .filter(|(_, open)| since_boot.saturating_sub(open.written) >= shortly)
            .filter_map(|(key, open)| Some((open.row?, *key)))
            .collect();
        due.sort_unstable_by(|a, b| b.cmp(a));
        self.beat = due.into_iter().map(|(_, key)| key).collect();
        self.heartbeat = since_boot;
    }

    /// Returns the number of open flows in memory.
    pub fn open_flows(&self) -> usize {
        self.open.len()
    }

    /// Removes what may not be kept any longer; see [`Writer::retain`]. Ages are measured by the store's own clock,
    /// which a wrong time of day moves by at most a day per hour. Before the first flush there is no such clock, and
    /// nothing is removed.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn retain(&mut self, retention: Retention) -> Result<u64, StoreError> {
        let (Some(clock), Some(writer)) = (self.clock, self.writer.as_mut()) else {
            return Ok(0);
        };
        let removed = writer.retain(retention, clock.reading().sense)?;
        if removed > 0 {
            // Processes may have been removed too, so the numbers assigned so far are invalid.
            self.run += 1;
        }
        Ok(removed)
    }

    /// Ends the flows of an earlier recorder whose sockets no longer exist. Call this after the first snapshot has been
    /// observed.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        let gone: Vec<u64> = std::mem::take(&mut self.left_open).into_keys().collect();
        let mut batch = self.writer()?.batch()?;
        for cookie in gone {
            batch.give_up(cookie)?;
        }
        batch.give_up_others()?;
        batch.commit()
    }

    /// Records that something was lost during this time.
    pub fn lost(&mut self, since: Millis, until: Millis, reason: &str, count: Option<u64>) {
        if self.gaps.len() >= MOST_GAPS
            && let Some(gap) = self.gaps.iter_mut().rfind(|gap| gap.2 == reason)
        {
            (gap.0, gap.1) = (gap.0.min(since), gap.1.max(until));
            gap.3 = gap.3.zip(count).map(|(before, more)| before + more);
            return;
        }
        self.gaps.push((since, until, reason.to_owned(), count));
    }

    /// Processes an event.
    pub fn observe(&mut self, event: &Event, describe: &mut dyn ResolveProcess) {
        if !matches!(event.protocol, Protocol::Tcp | Protocol::Udp) {
            return;
        }
        let Some(key) = socket_key(event) else {
            // Without any number the socket cannot be recognized again, so only its end can be recorded.
            if event.kind == EventKind::Closed {
                let mut open = self.begin(event, None);
                self.end(&mut open, event, describe);
                self.finish(open);
            }
            return;
        };
        if let Some(mut open) = self.late.remove(&key) {
            self.own(&mut open, event, describe);
            self.finish(open);
            return;
        }
        match event.kind {
            EventKind::Closed => {
                let mut open = match self.open.remove(&key) {
                    Some(open) => open,
                    None => self.begin(event, event.cookie.map(u64::from)),
                };
                self.end(&mut open, event, describe);
                let accepted_later = open.process.is_none()
                    && open.flow.direction == Direction::Incoming
                    && event.origin == EventOrigin::Trace
                    && self.late.len() < MOST_LATE;
                if accepted_later {
                    self.late.insert(key, open);
                } else {
                    self.finish(open);
                }
            }
            // The last event of a socket that has ended already.
            EventKind::Accepted if event.state == State::Closed => {}
            _ => {
                let known = self.open.len();
                let mut open = match self.open.remove(&key) {
                    Some(open) if moved(&open, event) => {
                        let mut ended = open.clone();
                        ended.flow.closed = true;
                        ended.cookie = None;
                        self.finish(ended);
                        let mut next = self.begin(event, event.cookie.map(u64::from));
                        next.since = event.at.since_boot;
                        next.flow.first = millis(event.at.wall);
                        next.flow.begun = true;
                        next.process = open.process;
                        next.before = (
                            open.before.0 + open.flow.sent.known().unwrap_or(0),
                            open.before.1 + open.flow.received.known().unwrap_or(0),
                        );
                        self.note_fresh(key);
                        next
                    }
                    Some(open) => open,
                    None => {
                        self.note_fresh(key);
                        self.begin(event, event.cookie.map(u64::from))
                    }
                };
                self.news(&mut open, event, describe);
                // A socket that is new to memory may exceed the limits.
                let full = self.open.len() >= MOST_OPEN + MOST_FRESH || self.described() > MOST_DESCRIBED_EVER;
                if full && self.open.len() == known && open.row.is_none() {
                    self.lost_flows += 1;
                } else {
                    self.open.insert(key, open);
                }
            }
        }
    }

    /// Creates a flow that begins with `event`.
    fn begin(&mut self, event: &Event, cookie: Option<u64>) -> Box<Open> {
        self.flows += 1;
        let since = event.opened.known().unwrap_or(event.at.since_boot);
        let earlier = event.at.since(since);
        let mut first = millis(event.at.wall.checked_sub(earlier).unwrap_or(event.at.wall));
        let mut row = None;
        if let Some(cookie) = cookie {
            let found = match self.left_open.remove(&cookie) {
                None if self.spilled => self.stored_flow(cookie),
                found => found,
            };
            if let Some((number, began)) = found {
                row = Some(number);
                first = began.min(first);
            }
        }
        let age = millis(event.at.wall) - first;
        Box::new(Open {
            flow: NewFlow {
                first,
                span: 0,
                closed: false,
                begun: event.opened.why().is_none(),
                protocol: event.protocol,
                family: event.family,
                local: (event.local.address, event.local.port),
                foreign: (event.foreign.address, event.foreign.port),
                direction: event.direction,
                state: event.state,
                origin: event.origin,
                process: None,
                user: event.user,
                namespace: event.namespace,
                sent: event.sent,
                received: event.received,
                retransmits: event.retransmits,
                rtt: event.rtt,
                asked_name: None,
            },
            process: None,
            cookie,
            since: match row {
                // The span counts from when an earlier recorder first saw the flow.
                Some(_) => event
                    .at
                    .since_boot
                    .saturating_sub(u64::try_from(age).unwrap_or(0) * 1_000_000),
                None => since,
            },
            row,
            written: if row.is_some() { event.at.since_boot } else { 0 },
            before: (0, 0),
        })
    }

    /// Records that the open flow `key` has no row yet. Keys of flows that have ended meanwhile are removed, so that
    /// the list stays limited however long nothing can be written.
    fn note_fresh(&mut self, key: u64) {
        if self.fresh.len() >= 2 * (MOST_OPEN + MOST_FRESH) {
            let open = &self.open;
            self.fresh
                .retain(|key| open.get(key).is_some_and(|open| open.row.is_none()));
            self.fresh.sort_unstable();
            self.fresh.dedup();
        }
        self.fresh.push(key);
    }

    /// Removes flows and descriptions from memory after a flush, because the store has them.
    fn make_room(&mut self) {
        if self.described() > MOST_DESCRIBED {
            self.processes.clear();
        }
        let mut excess = self.open.len().saturating_sub(MOST_OPEN);
        if self.described() > MOST_DESCRIBED {
            excess = excess.max(self.open.len() / 4);
        }
        if excess > 0 {
            // A flow without a cookie cannot be found in the store again.
            let written = self
                .open
                .iter()
                .filter(|(_, open)| open.row.is_some() && open.cookie.is_some());
            let keys: Vec<u64> = written.map(|(key, _)| *key).take(excess).collect();
            self.spilled |= !keys.is_empty();
            for key in keys {
                self.open.remove(&key);
            }
        }
    }

    fn writer(&mut self) -> Result<&mut Writer, StoreError> {
        self.writer.as_mut().ok_or(StoreError::Damaged(NO_STORE))
    }

    /// Returns the row and beginning of an open socket's flow that exists only in the store.
    fn stored_flow(&self, cookie: u64) -> Option<(i64, Millis)> {
        self.writer.as_ref()?.open_flow(cookie).ok().flatten()
    }

    /// Returns the number of process descriptions in memory.
    fn described(&self) -> usize {
        Rc::strong_count(&self.described) - 1
    }

    /// Updates the flow with what `event` tells.
    fn news(&mut self, open: &mut Open, event: &Event, describe: &mut dyn ResolveProcess) {
        let flow = &mut open.flow;
        flow.span = event.at.since_boot.saturating_sub(open.since) / 1_000_000;
        if event.local.port != 0 {
            flow.local = (event.local.address, event.local.port);
        }
        if event.foreign.port != 0 {
            flow.foreign = (event.foreign.address, event.foreign.port);
        }
        if event.direction != Direction::Unknown {
            flow.direction = event.direction;
        }
        flow.state = event.state;
        flow.origin = event.origin;
        let less = |fact: Fact<u64>, before: u64| fact.map(|value| value.saturating_sub(before));
        set(&mut flow.sent, less(event.sent, open.before.0));
        set(&mut flow.received, less(event.received, open.before.1));
        set(&mut flow.retransmits, event.retransmits);
        set(&mut flow.rtt, event.rtt);
        set(&mut flow.namespace, event.namespace);
        self.own(open, event, describe);
    }

    fn own(&mut self, open: &mut Open, event: &Event, describe: &mut dyn ResolveProcess) {
        set(&mut open.flow.user, event.user);
        let Fact::Known(owner) = &event.owner else { return };
        if open.process.is_some() {
            return;
        }
        let start = owner.start_ticks.known();
        let key = (owner.pid, start, short_name(&owner.name));
        let described = match self.processes.get(&key) {
            Some(described) => Rc::clone(described),
            None => {
                if self.processes.len() >= MOST_PROCESSES {
                    self.processes.clear();
                }
                let described = Rc::new(ResolvedProcess {
                    pid: owner.pid,
                    start_ticks: start,
                    facts: describe.describe(owner, event.cgroup),
                    number: Cell::new(None),
                    _counted: Rc::clone(&self.described),
                });
                self.processes.insert(key, Rc::clone(&described));
                described
            }
        };
        open.process = Some(described);
    }

    fn end(&mut self, open: &mut Open, event: &Event, describe: &mut dyn ResolveProcess) {
        let last = match event.before {
            Some(before) => before,
            None => open.flow.state,
        };
        self.news(open, event, describe);
        open.flow.state = last;
        open.flow.closed = true;
    }

    fn finish(&mut self, open: Box<Open>) {
        while self.done.len() >= MOST_WAITING || self.described() > MOST_DESCRIBED_EVER {
            if self.done.pop_front().is_none() {
                break;
            }
            self.lost_flows += 1;
        }
        self.done.push_back(open);
    }
}

/// Whether `event` tells that a UDP socket has another peer now.
fn moved(open: &Open, event: &Event) -> bool {
    event.protocol == Protocol::Udp
        && open.flow.foreign.1 != 0
        && event.foreign.port != 0
        && open.flow.foreign != (event.foreign.address, event.foreign.port)
}
