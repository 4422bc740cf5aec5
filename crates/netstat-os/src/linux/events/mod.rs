//! What happens to sockets, as it happens.
//!
//! Three sources, the best that is permitted first; every event says which one it comes from:
//! * [`trace`]: the kernel's tracepoints. Nothing is missed, and owners are taken in the context of the process (`bpf/events.bpf.c`).
//!   UDP sockets are seen from their first use on, their end through [`destroyed`];
//! * [`destroyed`]: the kernel's messages about destroyed sockets, for the caller's namespace. Ends and bytes are exact; beginnings
//!   and owners come from polling and, for root, from [`owner_hints`];
//! * polling: two dumps compared. What lives and dies between them is not seen.
//!
//! Each starts with a list of all sockets, which is read and compared again after events were lost, and now and then to see whether any
//! were: on Linux 6.18, about one connection in 20,000 between busy processes was seen to leave FIN_WAIT_1 without any tracepoint.

mod destroyed;
mod live;
mod owner_hints;
mod record;
mod sources;
mod state_changes;
mod trace;

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use netstat_model::{
    Event, EventKind, EventOrigin, Fact, Limit, Moment, Protocol, Socket, State, Why, text::plain_error,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use super::owner_source::OwnerFinder;
use super::owners::{ProcessDir, parse_stat};
use super::sockets::SocketReader;
use crate::events::{event_owner, kind_of_new, watched_sockets};
use crate::{EventSource, EventsAsk, Lost, OwnersAsk, Refused, SocketAsk, SocketList, UdpBytes};
use destroyed::Destroyed;
use live::{Live, LiveTable, MOST, MOST_TRACED, ends, key};
use owner_hints::{Living, OwnerHints, SETTLES_AFTER};
use sources::Sources;
use trace::{Dropped, Tracer};

/// Sockets whose owners are looked for at once: what is found takes memory.
const OWNERS_AT_ONCE: usize = 20_000;

/// How often the kernel is asked what it had no room for, and missing owners are looked for.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// The longest time between two comparisons of tracepoint events with the list of sockets: no source is trusted to report everything.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
/// Comparisons take at most one part in so many of the time.
const COMPARE_SHARE: u32 = 100;
/// A socket known from events that a list does not show may be on its way into the kernel's tables, or out of them with its end still to
/// be reported, or skipped by a list that changes while it is read. So its end is reported only after so many lists in a row without it ...
const SURE: u8 = 3;
/// ... for so long.
const SURE_AFTER: Duration = Duration::from_secs(2);
/// The time between those lists, unless they are read more often anyway.
const AGAIN: Duration = Duration::from_secs(1);

/// A watch over the sockets of the calling thread's network namespace, or of all.
#[derive(Debug)]
pub(super) struct Watch {
    ask: EventsAsk,
    tracer: Option<Tracer>,
    destroyed: Option<Destroyed>,
    /// Where tracepoints report no events, but owners.
    hints: Option<OwnerHints>,
    /// Messages about destroyed sockets that wait for hints, with the time they were read at.
    ended: VecDeque<(u64, Event)>,
    origin: EventOrigin,
    how: String,
    limits: Vec<Limit>,
    lost: Lost,
    dropped: Dropped,
    proc: PathBuf,
    reader: SocketReader,
    owners: OwnerFinder,
    list: SocketList,
    live: LiveTable,
    /// Connections begun whose local port is not chosen yet.
    begun: HashMap<u64, Event>,
    /// Sockets known from events that the last lists did not show: how many did not, and since when.
    suspects: HashMap<u64, (u8, Instant)>,
    /// The own namespace's inode; 0 where it is unknown.
    own: u32,
    next_comparison: Instant,
    next_check: Instant,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the way that is insisted on cannot be used.
    pub(super) fn open(proc: &Path, ask: &EventsAsk) -> Result<Watch, Refused> {
        let own = own_namespace().unwrap_or(0);
        let sources = Sources::open(proc, ask, own)?;
        let origin = sources.origin;
        let now = Instant::now();
        Ok(Watch {
            ask: *ask,
            limits: sources.limits,
            tracer: sources.tracer,
            destroyed: sources.destroyed,
            hints: sources.hints,
            ended: VecDeque::new(),
            origin,
            how: sources.how,
            lost: Lost::default(),
            dropped: Dropped::default(),
            proc: proc.to_owned(),
            reader: SocketReader::new(proc),
            owners: OwnerFinder::new(proc),
            list: SocketList::default(),
            live: LiveTable::new(match origin {
                EventOrigin::Trace => MOST_TRACED,
                _ => MOST,
            }),
            begun: HashMap::new(),
            suspects: HashMap::new(),
            own,
            next_comparison: now,
            next_check: now + CHECK_EVERY,
        })
    }

    /// Reads what the kernel has written so far.
    fn drain(&mut self, visit: &mut dyn FnMut(Event)) -> Result<(), Refused> {
        let now = Instant::now();
        let Watch {
            tracer,
            destroyed,
            hints,
            ended,
            live,
            begun,
            lost,
            proc,
            ..
        } = self;
        if let Some(tracer) = tracer {
            tracer.drain(&mut |event| report(event, live, begun, now, visit));
        }
        if let Some(destroyed) = destroyed {
            let at = moment();
            let before = ended.len();
            let gaps = destroyed.drain(at, &mut |event| ended.push_back((0, event)));
            let now_boot = trace::boot_and_awake();
            ended.range_mut(before..).for_each(|(read, _)| *read = now_boot.0);
            if let Some(hints) = hints {
                let lost_before = hints.lost();
                hints.drain(now_boot, trace::clock().tick, |pid| living(proc, pid));
                lost.owners += hints.lost() - lost_before;
            }
            // A socket changes its state before it is destroyed: the message waits as long as the hint.
            let settles = if hints.is_some() { SETTLES_AFTER } else { 0 };
            let has_settled = |(read, _): &(u64, Event)| read.saturating_add(settles) <= now_boot.0;
            while let Some((_, mut event)) = ended.front().copied().filter(has_settled) {
                ended.pop_front();
                // A UDP socket that never sent or received anything was never reported.
                if tracer.is_some() && !live.contains(key(&event.socket())) {
                    continue;
                }
                if event.protocol == Protocol::Udp
                    && let Some(cookie) = event.cookie
                    && let Some(bytes) = tracer.as_ref().and_then(|tracer| tracer.take_udp(cookie.get()))
                {
                    event.sent = Fact::Known(bytes.sent);
                    event.received = Fact::Known(bytes.received);
                    event.origin = EventOrigin::Trace;
                }
                let fin = hints.as_mut().is_some_and(|hints| hints.complete(&mut event));
                if event.protocol == Protocol::Tcp && (fin || live.peer_has_closed(&event.socket())) {
                    // The kernel counts the peer's FIN as a byte.
                    event.received = event.received.map(|bytes| bytes.saturating_sub(1));
                }
                report(event, live, begun, now, visit);
            }
            let gaps = gaps.map_err(|error| Refused::failed(format!("netlink: {}", plain_error(&error))))?;
            if gaps > 0 {
                lost.gaps += gaps;
                self.next_comparison = now;
            }
        }
        Ok(())
    }

    /// Lists the sockets, and reports what differs from the events so far.
    fn compare(&mut self, visit: &mut dyn FnMut(Event)) {
        let first = self.live.round == 0;
        self.live.round += 1;
        let (altered, mut fresh) = self.list(first);
        // The list still has what ended while it was read; events read now report the end.
        let (mut ended, mut ended_ends) = (HashSet::new(), HashSet::new());
        let mut later = Vec::new();
        let drained = self.drain(&mut |event| {
            if event.kind == EventKind::Closed {
                let socket = event.socket();
                ended.insert(key(&socket));
                ended_ends.insert(ends(&socket));
            }
            later.push(event);
        });
        if drained.is_err() {
            self.next_comparison = Instant::now() + self.ask.interval;
        }
        for event in later {
            visit(event);
        }
        let at = moment();
        for socket in altered {
            self.report_altered(&socket, at, visit);
        }
        let mut by_cookie = None;
        fresh.retain(|socket| {
            let without_cookie = socket.cookie().is_none();
            let known = without_cookie
                && (ended_ends.contains(&ends(socket)) || self.live.is_known_by_cookie(socket, &mut by_cookie));
            !known && !ended.contains(&key(socket))
        });
        for some in fresh.chunks(OWNERS_AT_ONCE) {
            self.report_fresh(some, first, at, visit);
        }
        if !self.list.failed {
            self.report_missing(at, visit);
        }
    }

    /// Lists the sockets: those that events have shown otherwise, and those that they have not shown.
    fn list(&mut self, first: bool) -> (Vec<Socket>, Vec<Socket>) {
        let round = self.live.round;
        let traced = self.tracer.is_some();
        let (mut altered, mut fresh) = (Vec::new(), Vec::new());
        let mut by_cookie = None;
        let Watch { reader, list, live, .. } = self;
        reader.each(&watched_sockets(), list, &mut |socket| {
            let key = key(&socket);
            // In FIN_WAIT_2 without a user: the kernel waits for the foreign side, the socket is gone.
            let waits = socket.state() == State::FinWait2 && socket.user().why().is_some();
            if key == 0 || waits {
                return;
            }
            if let Some(live) = live.get_mut(key) {
                live.round = round;
                // With tracepoints the list is older than the events.
                if !traced && !same(live, &socket) {
                    altered.push(socket);
                }
            } else if !live.contains(key)
                && (first || live.has_room())
                && (socket.cookie().is_some() || !live.is_known_by_cookie(&socket, &mut by_cookie))
            {
                fresh.push(socket);
            }
        });
        (altered, fresh)
    }

    fn report_altered(&mut self, socket: &Socket, at: Moment, visit: &mut dyn FnMut(Event)) {
        let Some(live) = self.live.get_mut(key(socket)) else {
            return;
        };
        if same(live, socket) {
            return;
        }
        let before = live.socket.state();
        let mut event = live.event(EventKind::Changed, at, EventOrigin::Poll);
        event.state = socket.state();
        (event.local, event.foreign) = (socket.local(), socket.foreign());
        event.before = (before != event.state).then_some(before);
        self.live.note(&mut event, Instant::now());
        visit(event);
    }

    /// Reports sockets that no event has shown, with their owners.
    fn report_fresh(&mut self, sockets: &[Socket], first: bool, at: Moment, visit: &mut dyn FnMut(Event)) {
        let found = self.find(sockets);
        let now = Instant::now();
        let present = first || self.tracer.is_some();
        for socket in sockets {
            // Reported by an event that was read after the list, or twice in it.
            if self.live.contains(key(socket)) {
                continue;
            }
            let kind = kind_of_new(present, socket.state());
            let mut event = Event::of_socket(kind, at, EventOrigin::Poll, socket);
            if let Some(found) = &found {
                event.owner = event_owner(found.owners.of(socket), Why::NotYet);
            }
            if self.own != 0 {
                event.namespace = Fact::Known(self.own);
            }
            if let Some(hints) = &mut self.hints {
                hints.complete(&mut event);
            }
            self.live.note(&mut event, now);
            let round = self.live.round;
            if let Some(live) = self.live.get_mut(key(socket)) {
                // With its inode, which an event does not carry.
                live.socket = socket.clone();
                live.round = round;
            }
            visit(event);
        }
    }

    /// Reports the end of sockets that the list does not show any more.
    fn report_missing(&mut self, at: Moment, visit: &mut dyn FnMut(Event)) {
        let now = Instant::now();
        let mut missing = self.live.missing(self.own);
        if self.origin != EventOrigin::Poll {
            self.suspect(&mut missing, now);
            self.lost.untold += missing.len() as u64;
        }
        for gone in missing {
            let mut event = gone.event(EventKind::Closed, at, EventOrigin::Poll);
            event.before = Some(event.state);
            event.state = State::Closed;
            self.live.note(&mut event, now);
            visit(event);
        }
    }

    /// Leaves only those in `missing` that are certainly gone, although no event has reported it.
    fn suspect(&mut self, missing: &mut Vec<Live>, now: Instant) {
        let before = std::mem::take(&mut self.suspects);
        missing.retain(|gone| {
            let key = key(&gone.socket);
            let (times, since) = before
                .get(&key)
                .map_or((1, now), |(times, since)| (times.saturating_add(1), *since));
            let sure = times >= SURE && now.saturating_duration_since(since) >= SURE_AFTER;
            if !sure {
                self.suspects.insert(key, (times, since));
            }
            sure
        });
    }

    fn find(&mut self, sockets: &[Socket]) -> Option<crate::OwnersFound> {
        self.owners.find(sockets, &OwnersAsk::of_watch(), &mut self.reader).ok()
    }

    /// Looks for owners that no event had.
    fn find_owners(&mut self, visit: &mut dyn FnMut(Event)) {
        let now = Instant::now();
        let due: Vec<u64> = self.live.due(now).iter().map(key).collect();
        if due.is_empty() {
            return;
        }
        // Events carry no inodes, by which holders are found: the list does.
        self.reader.read(&watched_sockets(), &mut self.list);
        let due: HashSet<u64> = due.into_iter().collect();
        let mut sockets = std::mem::take(&mut self.list.sockets);
        sockets.retain(|socket| due.contains(&key(socket)));
        let Some(found) = self.find(&sockets) else { return };
        let at = moment();
        for socket in &sockets {
            let owner = event_owner(found.owners.of(socket), Why::NotYet);
            if owner.why().is_none()
                && let Some(live) = self.live.get_mut(key(socket))
            {
                let mut event = live.event(EventKind::Accepted, at, EventOrigin::Poll);
                event.owner = owner;
                self.live.note(&mut event, now);
                visit(event);
            }
        }
    }

    /// Reports connections whose port no event has had for a while: the list of connections being opened has it.
    ///
    /// # Errors
    /// When events cannot be read.
    fn report_begun(&mut self, visit: &mut dyn FnMut(Event)) -> Result<(), Refused> {
        let mut ports = HashMap::new();
        let ask = SocketAsk {
            tcp4: true,
            tcp6: true,
            tcp_states: vec![State::SynSent],
            ..SocketAsk::default()
        };
        self.reader.read(&ask, &mut self.list);
        for socket in &self.list.sockets {
            ports.insert(key(socket), socket.local());
        }
        // What the list does not show any more has been established, or has failed, and that was reported before.
        self.drain(visit)?;
        let now = Instant::now();
        let mut begun: Vec<(u64, Event)> = self.begun.drain().collect();
        begun.sort_unstable_by_key(|(_, event)| event.at.since_boot);
        for (key, mut event) in begun {
            if let Some(local) = ports.get(&key) {
                event.local = *local;
            }
            self.live.note(&mut event, now);
            visit(event);
        }
        Ok(())
    }

    /// Waits for anything to read, at most `limit`.
    fn wait(&self, limit: Duration) -> Result<(), Refused> {
        let failed = |error: std::io::Error| Refused::from_io("waiting failed", &error);
        match (&self.tracer, &self.destroyed) {
            // The programs do not wake the reader for each event: it comes by itself.
            (Some(tracer), _) => tracer.wait(limit.min(self.ask.latency)).map_err(failed),
            (None, Some(destroyed)) => {
                // What the program of the hints writes wakes nobody, and its buffers are small.
                let limit = if self.hints.is_some() {
                    limit.min(self.ask.latency)
                } else {
                    limit
                };
                let limit = Timespec::try_from(limit).map_err(|error| failed(std::io::Error::other(error)))?;
                let mut descriptors = [PollFd::from_borrowed_fd(destroyed.descriptor().as_fd(), PollFlags::IN)];
                match poll(&mut descriptors, Some(&limit)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
                    Err(error) => Err(failed(error.into())),
                }
            }
            (None, None) => {
                std::thread::sleep(limit);
                Ok(())
            }
        }
    }
}

/// Whether nothing about `live` has changed that a list shows.
fn same(live: &Live, socket: &Socket) -> bool {
    live.socket.state() == socket.state() && live.socket.foreign() == socket.foreign()
}

/// Reports one event from the kernel: completed by what is known, the beginning of a connection only once its port is known.
fn report(
    mut event: Event,
    live: &mut LiveTable,
    begun: &mut HashMap<u64, Event>,
    now: Instant,
    visit: &mut dyn FnMut(Event),
) {
    let key = key(&event.socket());
    if event.kind == EventKind::Opened && event.state == State::SynSent && event.local.port == 0 {
        begun.insert(key, event);
        return;
    }
    if let Some(mut opened) = begun.remove(&key) {
        if event.local.port != 0 {
            opened.local = event.local;
        }
        live.note(&mut opened, now);
        visit(opened);
    }
    live.note(&mut event, now);
    visit(event);
}

/// What `/proc` has about the process `pid`; `None` when there is none.
fn living(proc: &Path, pid: u32) -> Option<Living> {
    let proc = rustix::fs::open(proc, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = Vec::new();
    let process = ProcessDir::open(proc.as_fd(), pid).ok()?;
    process.text(c"stat", &mut text).ok()?;
    let stat = parse_stat(&text).ok()?;
    Some(Living {
        start_ticks: stat.start_ticks,
        name: netstat_model::ShortName::new(stat.comm),
        is_kernel_thread: stat.is_kernel_thread(),
    })
}

impl EventSource for Watch {
    fn origin(&self) -> EventOrigin {
        self.origin
    }

    fn how(&self) -> &str {
        &self.how
    }

    fn limits(&self) -> &[Limit] {
        &self.limits
    }

    fn lost(&self) -> Lost {
        self.lost
    }

    fn udp_bytes(&self, cookie: NonZeroU64) -> Fact<UdpBytes> {
        match &self.tracer {
            Some(tracer) => tracer.udp(cookie.get()),
            None => Fact::Unknown(Why::NotKept),
        }
    }

    fn next(&mut self, limit: Duration, visit: &mut dyn FnMut(Event)) -> Result<(), Refused> {
        let _raised = crate::linux::privilege::raised();
        let start = Instant::now();
        let polls = self.tracer.is_none() || !self.tracer.as_ref().is_some_and(|tracer| tracer.sight().uses);
        if self.live.round > 0 {
            let mut wait = limit;
            if polls {
                wait = wait.min(self.next_comparison.saturating_duration_since(start));
            }
            self.wait(wait)?;
        }
        self.drain(visit)?;
        let now = Instant::now();
        if self.live.round == 0 || now >= self.next_comparison {
            self.compare(visit);
            let after = Instant::now();
            self.next_comparison = after
                + if polls {
                    self.ask.interval.max(Duration::from_millis(10))
                } else if !self.suspects.is_empty() {
                    AGAIN
                } else {
                    COMPARE_EVERY.max((after - now) * COMPARE_SHARE)
                };
        }
        let oldest = self.begun.values().map(|event| event.at.since_boot).min();
        if oldest.is_some_and(|oldest| trace::since_boot().saturating_sub(oldest) > self.ask.latency.as_nanos() as u64)
        {
            self.report_begun(visit)?;
        }
        if now >= self.next_check {
            self.next_check = now + CHECK_EVERY;
            if let Some(tracer) = &mut self.tracer {
                let dropped = tracer
                    .dropped()
                    .map_err(|error| Refused::failed(format!("bpf: {}", plain_error(&error))))?;
                if dropped != self.dropped {
                    self.lost.events += dropped.events - self.dropped.events;
                    self.lost.owners += dropped.owners - self.dropped.owners;
                    self.dropped = dropped;
                    self.next_comparison = now;
                }
            }
            if self.live.is_due(now) {
                self.find_owners(visit);
            }
        }
        Ok(())
    }
}

/// The inode of the calling thread's network namespace.
fn own_namespace() -> Option<u32> {
    let status = rustix::fs::stat("/proc/thread-self/ns/net").ok()?;
    u32::try_from(status.st_ino).ok()
}

/// Now, on both clocks.
pub fn moment() -> Moment {
    trace::clock().moment(trace::since_boot())
}

/// For the fuzz targets.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use std::time::SystemTime;

    use super::record::{Clock, event};
    use netstat_model::Event;

    /// Reads a record of the BPF programs.
    pub fn record(bytes: &[u8]) -> Option<Event> {
        let clock = Clock {
            boot: SystemTime::UNIX_EPOCH,
            tick: 10_000_000,
        };
        event(bytes, &clock)
    }

    /// Reads netlink messages about closed sockets.
    pub fn closed(bytes: &[u8], visit: &mut dyn FnMut(Event)) {
        let clock = Clock {
            boot: SystemTime::UNIX_EPOCH,
            tick: 10_000_000,
        };
        super::destroyed::events(bytes, clock.moment(1), visit);
    }
}
