//! What happens to sockets, by polling, and by ETW for the connections that begin and end between two polls.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use netstat_model::{
    Direction, Event, EventKind, EventOrigin, EventOwner, Fact, Limit, Moment, Protocol, ShortName, State, Why,
};

use super::connections::Row;
use super::etw::{self, Decoded, Happening, TcpEvent};
use super::poll::PollWatch;
use super::source::{NetworkTrace, Source};
use super::text::to_bytes;
use super::time;
use crate::{EventSource, Lost, Refused};

/// Events are taken over so often that most processes can still be asked for their names.
const SLICE: Duration = Duration::from_millis(100);
/// So many connections are kept in mind whose end has not come.
const MOST_OPEN: usize = 1 << 16;
/// So long a connection that polling has shown is remembered after its end, longer than an event may be under way.
const REMEMBERED: Duration = Duration::from_secs(30);

/// The two sides of a connection.
type Ends = ((IpAddr, u16), (IpAddr, u16));

/// A connection whose beginning ETW told.
#[derive(Clone, Copy, Debug)]
struct Begun {
    event: TcpEvent,
    owner: Fact<EventOwner>,
}

/// One that ended, too, at this FILETIME.
#[derive(Clone, Copy, Debug)]
struct Finished {
    begun: Begun,
    end: u64,
}

/// A watch by ETW beside polling.
#[derive(Debug)]
pub(super) struct TraceWatch<S> {
    poll: PollWatch<S>,
    source: S,
    trace: Box<dyn NetworkTrace>,
    limits: Vec<Limit>,
    /// By the two sides as the events name them.
    open: HashMap<Ends, Begun>,
    finished: VecDeque<Finished>,
    /// Connections that polling has shown, and until when: `None` for those that are there.
    polled: HashMap<Ends, Option<SystemTime>>,
    /// Ports on which somebody has listened.
    listening: HashSet<u16>,
    /// Events that could not be decoded or kept.
    unused: u64,
    /// What the session has lost: events and buffers.
    lost: (u64, u64),
}

impl<S: Source> TraceWatch<S> {
    pub(super) fn new(poll: PollWatch<S>, source: S, trace: Box<dyn NetworkTrace>) -> Self {
        TraceWatch {
            poll,
            source,
            trace,
            limits: vec![Limit {
                what: "UDP sockets shorter than a poll are not seen".to_owned(),
                why: "ETW reports each datagram rather than each socket".to_owned(),
                remedy: None,
            }],
            open: HashMap::new(),
            finished: VecDeque::new(),
            polled: HashMap::new(),
            listening: HashSet::new(),
            unused: 0,
            lost: (0, 0),
        }
    }

    /// Takes over what ETW has told since the last time.
    fn drain(&mut self) {
        for raw in self.trace.drain() {
            match etw::decode(&raw) {
                Decoded::Tcp(event) => self.take(event),
                Decoded::Other => {}
                Decoded::Unknown => self.unused += 1,
            }
        }
    }

    fn take(&mut self, event: TcpEvent) {
        let ends = (event.local, event.foreign);
        match event.what {
            Happening::Closed => {
                if let Some(begun) = self.open.remove(&ends) {
                    self.finished.push_back(Finished { begun, end: event.at });
                }
            }
            Happening::Connected | Happening::Accepted => {
                if self.open.len() >= MOST_OPEN {
                    self.unused += self.open.len() as u64;
                    self.open.clear();
                }
                let owner = self.owner(&event);
                self.open.insert(ends, Begun { event, owner });
            }
        }
    }

    /// The process of an event, unless it has ended and another has its id.
    fn owner(&mut self, event: &TcpEvent) -> Fact<EventOwner> {
        let (path, created) = match self.source.image(event.pid) {
            Ok(found) => found,
            Err(why) => return Fact::Unknown(why),
        };
        if created > event.at {
            return Fact::Unknown(Why::Gone);
        }
        let name = path.rsplit(|&unit| unit == u16::from(b'\\')).next().unwrap_or(&[]);
        Fact::Known(EventOwner {
            pid: event.pid,
            start_ticks: Fact::Known(created),
            name: ShortName::new(&to_bytes(name)),
        })
    }

    /// Shows the connections that began and ended between two polls. `compared` is when the last poll was.
    fn show(&mut self, compared: Moment, visit: &mut dyn FnMut(Event)) {
        let last = time::filetime(compared.wall);
        while self.finished.front().is_some_and(|finished| finished.end < last) {
            let Some(finished) = self.finished.pop_front() else {
                return;
            };
            let event = self.oriented(finished.begun.event);
            let begin = time::wall(event.at);
            let shown = match self.polled.get(&(event.local, event.foreign)) {
                Some(None) => true,
                // An earlier connection of the same two ends may have ended before this one began.
                Some(Some(gone)) => begin.is_none_or(|begin| *gone >= begin),
                None => false,
            };
            if !shown {
                short(&event, &finished, compared).into_iter().for_each(&mut *visit);
            }
        }
        let now = compared.wall;
        self.polled
            .retain(|_, gone| gone.is_none_or(|gone| now.duration_since(gone).is_ok_and(|age| age < REMEMBERED)));
    }

    /// The event with the local side first: of an accepted connection that is the side of the listener.
    fn oriented(&self, event: TcpEvent) -> TcpEvent {
        let TcpEvent {
            what, local, foreign, ..
        } = event;
        let is_swapped =
            what == Happening::Accepted && !self.listening.contains(&local.1) && self.listening.contains(&foreign.1);
        match is_swapped {
            true => TcpEvent {
                local: foreign,
                foreign: local,
                ..event
            },
            false => event,
        }
    }
}

/// What polling has shown of connections, and what ETW adds to it.
struct Shown<'a> {
    open: &'a HashMap<Ends, Begun>,
    polled: &'a mut HashMap<Ends, Option<SystemTime>>,
    listening: &'a mut HashSet<u16>,
}

impl Shown<'_> {
    /// Remembers an event of polling, and adds what ETW knows of the connection.
    fn complete(&mut self, event: &mut Event) {
        if event.state == State::Listening {
            self.listening.insert(event.local.port);
        }
        if event.protocol != Protocol::Tcp || event.foreign.port == 0 {
            return;
        }
        let ends = (
            (event.local.address, event.local.port),
            (event.foreign.address, event.foreign.port),
        );
        let gone = (event.kind == EventKind::Closed).then_some(event.at.wall);
        self.polled.insert(ends, gone);
        if let (EventKind::Opened, Some(begun)) = (event.kind, self.open.get(&ends)) {
            event.direction = direction(begun.event.what);
            if event.owner.known().is_none() {
                event.owner = begun.owner;
            }
        }
    }
}

fn direction(what: Happening) -> Direction {
    match what {
        Happening::Connected => Direction::Outgoing,
        Happening::Accepted => Direction::Incoming,
        Happening::Closed => Direction::Unknown,
    }
}

/// The beginning and the end of the connection of `event`; `now` brings its times onto the clock since boot.
fn short(event: &TcpEvent, finished: &Finished, now: Moment) -> [Event; 2] {
    let Finished { begun, end } = finished;
    let TcpEvent {
        what,
        at,
        pid,
        family,
        local,
        foreign,
    } = *event;
    let moment = |filetime: u64| {
        let wall = time::wall(filetime).unwrap_or(now.wall);
        let age = now.wall.duration_since(wall).unwrap_or_default().as_nanos();
        Moment {
            wall,
            since_boot: now.since_boot.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX)),
        }
    };
    let row = Row {
        protocol: Protocol::Tcp,
        family,
        state: State::Established,
        local: local.0,
        local_port: local.1,
        foreign: foreign.0,
        foreign_port: foreign.1,
        scope: 0,
        pid,
        created: at,
        tag: 0,
    };
    let socket = row.socket(row.identity(0));
    let opened = moment(at);
    let first = Event {
        direction: direction(what),
        owner: begun.owner,
        opened: Fact::Known(opened.since_boot),
        ..Event::of_socket(EventKind::Opened, opened, EventOrigin::Trace, &socket)
    };
    let last = Event {
        kind: EventKind::Closed,
        at: moment(*end),
        before: Some(State::Established),
        state: State::Closed,
        ..first
    };
    [first, last]
}

impl<S: Source> EventSource for TraceWatch<S> {
    fn origin(&self) -> EventOrigin {
        EventOrigin::Trace
    }

    fn how(&self) -> &str {
        "watched by ETW and polling"
    }

    fn limits(&self) -> &[Limit] {
        &self.limits
    }

    fn lost(&self) -> Lost {
        Lost {
            events: self.unused + self.lost.0,
            gaps: self.lost.1,
            ..Lost::default()
        }
    }

    fn next(&mut self, limit: Duration, visit: &mut dyn FnMut(Event)) -> Result<(), Refused> {
        let until = Instant::now() + limit;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            self.drain();
            let mut shown = Shown {
                open: &self.open,
                polled: &mut self.polled,
                listening: &mut self.listening,
            };
            let compared = self.poll.step(rest.min(SLICE), &mut |mut event| {
                shown.complete(&mut event);
                visit(event);
            });
            if let Some(compared) = compared {
                self.drain();
                self.show(compared, visit);
                self.lost = self.trace.lost();
                return Ok(());
            }
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::connections::tests::row;
    use super::super::etw::tests::written;
    use super::super::system::Windows;
    use super::super::tests::{Fake, computer};
    use super::*;
    use crate::windows::etw::RawEvent;
    use crate::{EventWay, Events, EventsAsk, RefusedKind};

    fn ask(way: EventWay) -> EventsAsk {
        EventsAsk {
            way,
            interval: Duration::from_millis(10),
            ..EventsAsk::default()
        }
    }

    fn traced() -> Fake {
        let fake = computer();
        {
            let mut made = fake.0.lock().unwrap();
            made.elevated = true;
            made.trace = Some(Vec::new());
        }
        fake
    }

    fn look(watch: &mut dyn EventSource) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..2 {
            watch
                .next(Duration::from_secs(20), &mut |event| events.push(event))
                .unwrap();
        }
        events
    }

    #[test]
    fn short_connection_is_shown_whole_with_its_program() {
        let fake = traced();
        let mut watch = Windows::new(fake.clone()).events(&ask(EventWay::Auto)).unwrap();
        assert_eq!(watch.origin(), EventOrigin::Trace);
        look(&mut *watch);
        let now = time::filetime(SystemTime::now()) - 10_000;
        fake.0.lock().unwrap().trace = Some(vec![
            written(12, now, 3000, "10.0.0.5:51000", "203.0.113.9:443"),
            written(13, now + 5_000, 3000, "10.0.0.5:51000", "203.0.113.9:443"),
        ]);
        let events = look(&mut *watch);
        let [opened, closed] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((opened.kind, closed.kind), (EventKind::Opened, EventKind::Closed));
        assert_eq!((opened.foreign.port, opened.local.port), (443, 51000));
        assert_eq!(opened.direction, Direction::Outgoing);
        let owner = opened.owner.known().unwrap();
        assert_eq!((owner.pid, owner.name.as_bytes()), (3000, &b"chrome.exe"[..]));
        assert_eq!(opened.cookie, closed.cookie);
        assert_eq!(
            closed.at.since_boot - opened.at.since_boot,
            500_000,
            "half a millisecond"
        );
    }

    #[test]
    fn connection_that_polling_shows_is_shown_once() {
        let fake = traced();
        let mut watch = Windows::new(fake.clone()).events(&ask(EventWay::Trace)).unwrap();
        look(&mut *watch);
        let now = time::filetime(SystemTime::now()) - 10_000;
        let ends = ("10.0.0.5:51000", "203.0.113.9:443");
        {
            let mut made = fake.0.lock().unwrap();
            made.trace = Some(vec![written(12, now, 3000, ends.0, ends.1)]);
            made.rows
                .push(row(Protocol::Tcp, ends.0, ends.1, State::Established, 3000));
        }
        let events = look(&mut *watch);
        let opened: Vec<&Event> = events.iter().filter(|event| event.kind == EventKind::Opened).collect();
        assert_eq!((opened.len(), opened[0].direction), (1, Direction::Outgoing));
        {
            let mut made = fake.0.lock().unwrap();
            made.rows.pop();
            made.trace = Some(vec![written(13, now + 5_000, 3000, ends.0, ends.1)]);
        }
        let kinds: Vec<EventKind> = look(&mut *watch).iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::Closed]);
    }

    #[test]
    fn accepted_connection_has_the_listener_on_the_local_side() {
        let fake = traced();
        let port = fake
            .0
            .lock()
            .unwrap()
            .rows
            .iter()
            .find(|row| row.state == State::Listening)
            .unwrap()
            .local_port;
        let mut watch = Windows::new(fake.clone()).events(&ask(EventWay::Auto)).unwrap();
        look(&mut *watch);
        let now = time::filetime(SystemTime::now()) - 10_000;
        let (here, there) = (format!("10.0.0.5:{port}"), "203.0.113.9:40001");
        for (local, foreign) in [(here.as_str(), there), (there, here.as_str())] {
            fake.0.lock().unwrap().trace = Some(vec![
                written(15, now, 3000, local, foreign),
                written(13, now + 1, 3000, local, foreign),
            ]);
            let events = look(&mut *watch);
            assert_eq!((events[0].local.port, events[0].foreign.port), (port, 40001));
            assert_eq!(events[0].direction, Direction::Incoming);
        }
    }

    #[test]
    fn process_that_started_later_is_not_the_owner() {
        let fake = traced();
        let mut watch = Windows::new(fake.clone()).events(&ask(EventWay::Auto)).unwrap();
        look(&mut *watch);
        // Long before any process of the made-up computer.
        fake.0.lock().unwrap().trace = Some(vec![
            written(28, 1, 3000, "[2001:db8::5]:51000", "[2001:db8::9]:443"),
            written(29, 2, 3000, "[2001:db8::5]:51000", "[2001:db8::9]:443"),
        ]);
        assert_eq!(look(&mut *watch)[0].owner, Fact::Unknown(Why::Gone));
    }

    #[test]
    fn lost_and_unknown_events_are_counted() {
        let fake = traced();
        let mut watch = Windows::new(fake.clone()).events(&ask(EventWay::Auto)).unwrap();
        look(&mut *watch);
        assert!(watch.lost().is_nothing());
        {
            let mut made = fake.0.lock().unwrap();
            made.lost = (3, 1);
            let newer = RawEvent {
                version: 9,
                ..written(12, 5, 3000, "10.0.0.5:1", "10.0.0.6:2")
            };
            made.trace = Some(vec![newer]);
        }
        assert!(look(&mut *watch).is_empty());
        let lost = watch.lost();
        assert_eq!((lost.events, lost.gaps), (4, 1));
    }

    #[test]
    fn check_says_whether_a_session_can_be_started() {
        let check = |fake: Fake| {
            let checks = crate::Checkup::checks(&mut Windows::new(fake));
            checks.into_iter().find(|check| check.id == "etw").unwrap().status
        };
        assert_eq!(check(traced()), crate::CheckStatus::Good);
        assert_eq!(check(computer()), crate::CheckStatus::Limited);
        let refused = computer();
        refused.0.lock().unwrap().elevated = true;
        assert_eq!(check(refused), crate::CheckStatus::Limited);
    }

    #[test]
    fn without_a_session_polling_says_why() {
        let fake = computer();
        let poll = Windows::new(fake.clone()).events(&ask(EventWay::Auto)).unwrap();
        assert_eq!(poll.origin(), EventOrigin::Poll);
        let limit = &poll.limits()[0];
        assert!(limit.why.contains("ETW: permission denied"), "{limit:?}");
        assert_eq!(limit.remedy.as_deref(), Some("an elevated prompt"));
        let refused = Windows::new(fake.clone()).events(&ask(EventWay::Trace)).err().unwrap();
        assert_eq!(refused.kind, RefusedKind::NotPermitted);
        assert!(Windows::new(fake.clone()).events(&ask(EventWay::Netlink)).is_err());
        // Asked for, polling needs no reason.
        let poll = Windows::new(fake).events(&ask(EventWay::Poll)).unwrap();
        assert_eq!(poll.limits()[0].why, "sockets are watched by polling");
    }
}
