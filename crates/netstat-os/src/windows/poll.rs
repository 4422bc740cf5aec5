//! What happens to sockets, found by comparing the list with the one before.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use netstat_model::text::plain_error;
use netstat_model::{Event, EventKind, EventOrigin, EventOwner, Fact, Limit, Moment, Socket, State, Why};

use super::listing::{self, RowFacts};
use super::owners;
use super::source::Source;
use super::time;
use crate::events::{event_owner, kind_of_new, watched_sockets};
use crate::{EventSource, EventsAsk, Lost, OwnersAsk, Refused, SocketList};

#[derive(Debug)]
struct Live {
    socket: Socket,
    owner: Fact<EventOwner>,
    opened: Fact<u64>,
    round: u32,
}

/// A watch by polling.
#[derive(Debug)]
pub(super) struct PollWatch<S> {
    source: S,
    interval: Duration,
    list: SocketList,
    facts: RowFacts,
    live: HashMap<u64, Live>,
    round: u32,
    next_comparison: Instant,
    limits: Vec<Limit>,
    now: fn(&S) -> Moment,
}

impl<S: Source> PollWatch<S> {
    /// `refused` is why there is no better way, where one was tried.
    pub(super) fn new(source: S, ask: &EventsAsk, now: fn(&S) -> Moment, refused: Option<&io::Error>) -> Self {
        let limit = Limit {
            what: "connections shorter than a poll are not seen".to_owned(),
            why: match refused {
                Some(error) => format!("sockets are watched by polling; ETW: {}", plain_error(error)),
                None => "sockets are watched by polling".to_owned(),
            },
            remedy: (refused.is_some() && !source.is_elevated()).then(|| "an elevated prompt".to_owned()),
        };
        PollWatch {
            source,
            interval: ask.interval.max(Duration::from_millis(10)),
            list: SocketList::default(),
            facts: RowFacts::default(),
            live: HashMap::new(),
            round: 0,
            next_comparison: Instant::now(),
            limits: vec![limit],
            now,
        }
    }

    /// Waits for the next comparison, at most `limit`; returns when it was made.
    pub(super) fn step(&mut self, limit: Duration, visit: &mut dyn FnMut(Event)) -> Option<Moment> {
        let wait = self.next_comparison.saturating_duration_since(Instant::now());
        if wait > limit {
            std::thread::sleep(limit);
            return None;
        }
        std::thread::sleep(wait);
        let at = self.compare(visit);
        self.next_comparison = Instant::now() + self.interval;
        Some(at)
    }

    fn compare(&mut self, visit: &mut dyn FnMut(Event)) -> Moment {
        let first = self.round == 0;
        self.round = self.round.wrapping_add(1).max(1);
        listing::read(&mut self.source, &watched_sockets(), &mut self.list, &mut self.facts);
        let at = (self.now)(&self.source);
        let mut fresh = Vec::new();
        for socket in self.list.sockets.drain(..) {
            let Some(number) = socket.cookie().map(u64::from) else {
                continue;
            };
            let Some(live) = self.live.get_mut(&number) else {
                fresh.push(socket);
                continue;
            };
            live.round = self.round;
            let before = live.socket.state();
            if before != socket.state() || live.socket.foreign() != socket.foreign() {
                live.socket = socket;
                let mut event = event(live, EventKind::Changed, at);
                event.before = (before != event.state).then_some(before);
                visit(event);
            }
        }
        // Ends before beginnings: a port that is used again was free in between.
        if !self.list.failed {
            let round = self.round;
            let mut gone: Vec<Live> = self
                .live
                .extract_if(|_, live| live.round != round)
                .map(|(_, live)| live)
                .collect();
            gone.sort_by(|one, other| netstat_model::classic_order(&one.socket, &other.socket));
            for live in gone {
                let mut event = event(&live, EventKind::Closed, at);
                event.before = Some(event.state);
                event.state = State::Closed;
                visit(event);
            }
        }
        netstat_model::sort_classic(&mut fresh);
        self.report_new(fresh, first, at, visit);
        at
    }

    fn report_new(&mut self, fresh: Vec<Socket>, first: bool, at: Moment, visit: &mut dyn FnMut(Event)) {
        if fresh.is_empty() {
            return;
        }
        let found = owners::find(&mut self.source, &fresh, &OwnersAsk::of_watch(), &mut self.facts);
        let wall = time::filetime(at.wall);
        for socket in fresh {
            let kind = kind_of_new(first, socket.state());
            let owner = match &found {
                Ok(found) => event_owner(found.owners.of(&socket), Why::Gone),
                Err(_) => Fact::Unknown(Why::Failed),
            };
            let opened = match self.facts.of(&socket) {
                Some((created, _)) if created != 0 && created <= wall => {
                    let age = time::span(wall - created).as_nanos();
                    Fact::Known(at.since_boot.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX)))
                }
                _ => Fact::Unknown(Why::NotKept),
            };
            let live = Live {
                socket,
                owner,
                opened,
                round: self.round,
            };
            visit(event(&live, kind, at));
            if let Some(number) = live.socket.cookie() {
                self.live.insert(number.get(), live);
            }
        }
    }
}

fn event(live: &Live, kind: EventKind, at: Moment) -> Event {
    Event {
        owner: live.owner,
        opened: live.opened,
        ..Event::of_socket(kind, at, EventOrigin::Poll, &live.socket)
    }
}

impl<S: Source> EventSource for PollWatch<S> {
    fn origin(&self) -> EventOrigin {
        EventOrigin::Poll
    }

    fn how(&self) -> &str {
        "watched by polling"
    }

    fn limits(&self) -> &[Limit] {
        &self.limits
    }

    fn lost(&self) -> Lost {
        Lost::default()
    }

    fn next(&mut self, limit: Duration, visit: &mut dyn FnMut(Event)) -> Result<(), Refused> {
        self.step(limit, visit);
        Ok(())
    }
}
