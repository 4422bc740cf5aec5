//! From events to flows: one row each, written in batches.

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

// With the pages that SQLite keeps, all of these together are less than 64 MB; `cargo xtask record-memory` proves it.

/// Open flows kept in memory after a flush at most: some 10 MB. Further ones are in the store only, and are found again there when
/// they end.
const MOST_OPEN: usize = 32_000;
/// New flows beyond those between two flushes at most.
const MOST_FRESH: usize = 16_000;
/// Ended flows that wait to be written at most. Only a store that takes nothing lets so many wait; then the oldest are lost, and
/// counted.
const MOST_WAITING: usize = 24_000;
/// Ended flows that wait for their owner at most.
const MOST_LATE: usize = 8_000;
/// Processes found again without being described anew at most.
const MOST_PROCESSES: usize = 10_000;
/// Descriptions of processes in memory after a flush at most, those that flows still need included: some 400 bytes each.
const MOST_DESCRIBED: usize = 12_000;
/// The same between two flushes.
const MOST_DESCRIBED_EVER: usize = 18_000;
/// Gaps that wait to be written at most; then those for the same reason are one.
const MOST_GAPS: usize = 100;
/// How long an incoming connection that ended without owner waits for the program that will still accept it.
const LATE: u64 = 5_000_000_000;
/// How often the rows of open flows are brought up to date unless something else is said.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// Rows brought up to date in one transaction at most, so that events do not wait long.
const ROUND: usize = 20_000;
/// How often it is looked whether the store still is where it was, in nanoseconds.
const IN_PLACE: u64 = 5_000_000_000;
/// What is said where there is no store to write to any more.
const NO_STORE: &str = "it could not be begun anew";
/// Time between two tries to write to a store that took nothing, in nanoseconds.
const RETRY: u64 = 2_000_000_000;

/// Tells what is known of a process while it lives.
pub trait ResolveProcess {
    /// The facts about the process behind an event; `cgroup` is its control group's id.
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
    /// Its number in the store, and in which run of unbroken batches it was given.
    number: Cell<Option<(u32, ProcessNumber)>>,
    /// One for each description in memory.
    _counted: Rc<()>,
}

#[derive(Clone, Debug)]
struct Open {
    flow: NewFlow,
    process: Option<Rc<ResolvedProcess>>,
    cookie: Option<u64>,
    /// When it was first seen, in nanoseconds since boot.
    since: u64,
    row: Option<i64>,
    /// When its row was last written, in nanoseconds since boot.
    written: u64,
    /// What the socket had sent and received before this flow: a UDP socket may have had another peer.
    before: (u64, u64),
}

/// What a flush has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Rows written or changed.
    pub rows: u64,
    /// Whether the store takes nothing at the moment.
    pub paused: bool,
    /// Whether it takes rows again for the first time after a pause; then how many flows were lost.
    pub resumed: Option<u64>,
    /// Whether the store was found deleted, moved or replaced, and begun anew.
    pub begun_anew: bool,
}

/// Turns events into rows. Nothing is written before [`Recorder::flush`].
#[derive(Debug)]
pub struct Recorder {
    /// `None` only where the store could not be begun anew.
    writer: Option<Writer>,
    open: HashMap<u64, Box<Open>>,
    /// Open flows without a row.
    fresh: Vec<u64>,
    late: HashMap<u64, Box<Open>>,
    done: VecDeque<Box<Open>>,
    processes: HashMap<(u32, Option<u64>, Vec<u8>), Rc<ResolvedProcess>>,
    /// Counts the descriptions in memory.
    described: Rc<()>,
    /// Counts the batches that were given up: numbers from before are void.
    run: u32,
    left_open: HashMap<u64, (i64, Millis)>,
    /// Whether the store may have open flows that are not in memory.
    spilled: bool,
    gaps: Vec<(Millis, Millis, String, Option<u64>)>,
    /// The store's own clock, from the first flush on.
    clock: Option<StoreClock>,
    /// When it was last looked whether the store is in its place, in nanoseconds since boot.
    looked: u64,
    paused: Option<(Millis, u64)>,
    lost_flows: u64,
    /// When the last flush was done.
    flushed: Option<Millis>,
    flows: u64,
    /// How often the rows of open flows are brought up to date, in nanoseconds.
    every: u64,
    /// When that began last, in nanoseconds since boot.
    heartbeat: u64,
    /// The open flows that are still to be brought up to date in this round, the last first.
    beat: Vec<u64>,
    /// When it was last written that this one is at work, in nanoseconds since boot.
    alive: Option<u64>,
}

/// Milliseconds since 1970; before that, 0.
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
    /// A recorder into `writer`.
    ///
    /// # Errors
    /// What SQLite says.
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

    /// The same recorder, which brings the rows of open flows up to date once in this time; 60 seconds if nothing is said. So much of
    /// a long flow's life may be missing after `kill -9`.
    pub fn with_heartbeat(mut self, every: Duration) -> Recorder {
        self.every = nanos(every);
        self
    }

    /// The store that this one writes to, for what is to be sent from it.
    ///
    /// # Errors
    /// When there is no store any more.
    pub fn store(&mut self) -> Result<&mut Writer, StoreError> {
        self.writer()
    }

    /// How many flows have begun since the start, those that were there included.
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// How many flows wait to be written.
    pub fn waiting(&self) -> usize {
        self.done.len() + self.fresh.len()
    }

    /// The cookies of the open TCP connections of which [`Recorder::refresh`] would like to hear at `since_boot`, because the next
    /// flush brings their rows up to date; none at other times.
    pub fn wants_progress(&self, since_boot: u64) -> HashSet<u64> {
        match self.paused.is_none() && self.beats(since_boot) {
            true => self.open_connections(),
            false => HashSet::new(),
        }
    }

    /// The cookies of all open TCP connections in memory.
    pub fn open_connections(&self) -> HashSet<u64> {
        let connection = |open: &Open| {
            open.flow.protocol == Protocol::Tcp && open.flow.direction != Direction::Listening && !open.flow.closed
        };
        let keys = self.open.iter().filter(|(_, open)| connection(open));
        keys.map(|(key, _)| *key).collect()
    }

    /// Takes in what open connections have moved so far.
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

    /// Gives connections that still have no row, or have just ended, the name that a program asked for before: `name_of` finds it by the
    /// foreign address and the moment of the beginning. To be called before [`Recorder::flush`]. Connections from outside have none.
    pub fn name_flows(&mut self, name_of: &mut dyn FnMut(IpAddr, Millis) -> Option<Arc<[u8]>>) {
        let Recorder {
            open,
            fresh,
            late,
            done,
            ..
        } = self;
        // Polling does not show who began: what has the port of a listener came from outside.
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

    /// Takes in what open UDP sockets have sent and received since a source of events began to count, as `bytes_of` finds them by the kernel's
    /// number. To be called before a flush that brings rows up to date, and before a stop.
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
            // Of a socket that is older than the count, nothing counted says nothing.
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

    /// The open flows whose rows were not written at `since_boot` or shortly before are to be brought up to date, in their order in
    /// the file.
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

    /// How many flows are open as far as is known in memory.
    pub fn open_flows(&self) -> usize {
        self.open.len()
    }

    /// Removes what may not be kept any more; see [`Writer::retain`]. Ages are measured by the store's own clock, which no wrong time of
    /// day moves by more than a day in an hour; before the first flush there is none, and nothing is removed.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retain(&mut self, retention: Retention) -> Result<u64, StoreError> {
        let (Some(clock), Some(writer)) = (self.clock, self.writer.as_mut()) else {
            return Ok(0);
        };
        let removed = writer.retain(retention, clock.reading().sense)?;
        if removed > 0 {
            // Processes may be gone too, so the numbers given so far are void.
            self.run += 1;
        }
        Ok(removed)
    }

    /// To be called after the first look at what is there: flows of an earlier recorder that are not there any more have ended
    /// unseen.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        let gone: Vec<u64> = std::mem::take(&mut self.left_open).into_keys().collect();
        let mut batch = self.writer()?.batch()?;
        for cookie in gone {
            batch.give_up(cookie)?;
        }
        batch.give_up_others()?;
        batch.commit()
    }

    /// Says that something was lost in this time.
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

    /// Takes an event in.
    pub fn observe(&mut self, event: &Event, describe: &mut dyn ResolveProcess) {
        if !matches!(event.protocol, Protocol::Tcp | Protocol::Udp) {
            return;
        }
        let Some(key) = socket_key(event) else {
            // Without any number it cannot be recognised again: its end is all that can be kept.
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
            // The last news of a socket that is at its end already.
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
                // One that was not there before may be one too many.
                let full = self.open.len() >= MOST_OPEN + MOST_FRESH || self.described() > MOST_DESCRIBED_EVER;
                if full && self.open.len() == known && open.row.is_none() {
                    self.lost_flows += 1;
                } else {
                    self.open.insert(key, open);
                }
            }
        }
    }

    /// A flow that begins with `event`.
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
                // The span counts from the first sight, which an earlier recorder had.
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

    /// Remembers that the open flow `key` has no row yet. Those that have ended meanwhile are forgotten, however long nothing can be
    /// written.
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

    /// After a flush: what is in the store need not all be in memory.
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

    /// The flow of an open socket that is in the store only.
    fn stored_flow(&self, cookie: u64) -> Option<(i64, Millis)> {
        self.writer.as_ref()?.open_flow(cookie).ok().flatten()
    }

    /// How many processes' descriptions are in memory.
    fn described(&self) -> usize {
        Rc::strong_count(&self.described) - 1
    }

    /// Adds what `event` says.
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

/// Whether `event` says that a UDP socket has another peer now.
fn moved(open: &Open, event: &Event) -> bool {
    event.protocol == Protocol::Udp
        && open.flow.foreign.1 != 0
        && event.foreign.port != 0
        && open.flow.foreign != (event.foreign.address, event.foreign.port)
}
