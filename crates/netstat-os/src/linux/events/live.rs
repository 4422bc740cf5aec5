//! The sockets that exist according to the events so far, so that each event can contain everything that is known about
//! its socket.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use netstat_model::{
    Direction, Endpoint, Event, EventKind, EventOrigin, EventOwner, Fact, Moment, Protocol, Socket, State,
};

/// The maximum number of sockets that are kept if tracepoints report each end with all facts: about 6 MB. Only the keys
/// of further sockets are kept; they are watched as well, but lost events about them cannot be made up for.
pub(super) const MOST_TRACED: usize = 28_000;
/// The maximum number of sockets that are kept if facts about their end must come from here: about 25 MB. The ends of
/// further sockets are known only from the kernel's messages.
pub(super) const MOST: usize = 100_000;
/// The maximum number of keys of further sockets, which prevent listings from reporting them again: about 20 MB.
const MOST_KEYS: usize = 1_000_000;
/// How long after the opening of a socket its owner is searched for, if no event contained it. After the last attempt,
/// it stays unknown.
const RETRY_AFTER: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(3),
    Duration::from_secs(15),
];

/// What is kept about a socket.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) socket: Socket,
    pub(super) owner: Fact<EventOwner>,
    pub(super) user: Fact<u32>,
    pub(super) cgroup: Fact<u64>,
    pub(super) opened: Fact<u64>,
    pub(super) direction: Direction,
    namespace: Fact<u32>,
    /// The number of the last listing that contained it, or that preceded the last event about it.
    pub(super) round: u32,
}

impl Live {
    fn of(event: &Event) -> Live {
        Live {
            socket: event.socket(),
            owner: event.owner,
            user: event.user,
            cgroup: event.cgroup,
            opened: event.opened,
            direction: event.direction,
            namespace: event.namespace,
            round: 0,
        }
    }

    /// Creates an event about the socket.
    pub(super) fn event(&self, kind: EventKind, at: Moment, origin: EventOrigin) -> Event {
        Event {
            owner: self.owner,
            user: self.user,
            cgroup: self.cgroup,
            opened: self.opened,
            direction: self.direction,
            namespace: self.namespace,
            ..Event::of_socket(kind, at, origin, &self.socket)
        }
    }
}

/// Returns the number that identifies a socket; 0 if it has none.
pub(super) fn key(socket: &Socket) -> u64 {
    netstat_model::socket_number(socket.cookie(), socket.inode()).map_or(0, u64::from)
}

/// Both ends of a socket, which associate a list without cookies with events without inodes.
pub(super) type Ends = (Protocol, Endpoint, Endpoint);

/// The keys of the sockets with the same ends.
pub(super) type ByEnds = HashMap<Ends, Vec<u64>>;

pub(super) fn ends(socket: &Socket) -> Ends {
    (socket.protocol(), socket.local(), socket.foreign())
}

/// All live sockets.
#[derive(Debug)]
pub(super) struct LiveTable {
    most: usize,
    sockets: HashMap<u64, Live>,
    /// The keys of sockets for which there was no space.
    others: HashSet<u64>,
    /// The inodes of sockets from a list without cookies, by their ends, because the kernel's events identify sockets
    /// by cookies.
    without_cookie: HashMap<Ends, NonZeroU32>,
    /// The sockets without a known owner: when to search for it next, and how many times that was done.
    unowned: HashMap<u64, (Instant, usize)>,
    /// The number of the last listing.
    pub(super) round: u32,
}

fn known_or<T: Copy>(fact: Fact<T>, before: Fact<T>) -> Fact<T> {
    match (fact, before) {
        (Fact::Unknown(_), Fact::Known(_)) => before,
        _ => fact,
    }
}

impl LiveTable {
    /// Creates a table that keeps all facts about at most `most` sockets.
    pub(super) fn new(most: usize) -> LiveTable {
        LiveTable {
            most,
            sockets: HashMap::new(),
            others: HashSet::new(),
            without_cookie: HashMap::new(),
            unowned: HashMap::new(),
            round: 0,
        }
    }

    /// Records `event`, and adds to it what is known from earlier ones.
    pub(super) fn note(&mut self, event: &mut Event, now: Instant) {
        let mut key = key(&event.socket());
        if key == 0 {
            return;
        }
        if !self.without_cookie.is_empty()
            && !self.contains(key)
            && event.cookie.is_some()
            && let Some(inode) = self.without_cookie.get(&ends(&event.socket()))
        {
            // The socket keeps the number under which it was first reported.
            (event.cookie, event.inode) = (None, Some(*inode));
            key = self::key(&event.socket());
        }
        if let Some(live) = self.sockets.get_mut(&key) {
            event.owner = known_or(event.owner, live.owner);
            event.user = known_or(event.user, live.user);
            event.cgroup = known_or(event.cgroup, live.cgroup);
            event.opened = known_or(event.opened, live.opened);
            event.namespace = known_or(event.namespace, live.namespace);
            if event.direction == Direction::Unknown {
                event.direction = live.direction;
            }
            // A connection that failed early no longer has its foreign address.
            if event.foreign.port == 0 {
                event.foreign = live.socket.foreign();
            }
            if event.local.port == 0 {
                event.local = live.socket.local();
            }
        }
        if event.kind == EventKind::Closed {
            if let Some(live) = self.sockets.remove(&key)
                && live.socket.cookie().is_none()
            {
                self.without_cookie.remove(&ends(&live.socket));
            }
            self.others.remove(&key);
            self.unowned.remove(&key);
            return;
        }
        // A program may read from a connection whose end was reported, which does not bring it back. (CLOSED is also
        // the state of every unconnected UDP socket.)
        if event.protocol == Protocol::Tcp && event.state == State::Closed && !self.contains(key) {
            return;
        }
        let room = self.sockets.len() < self.most || self.sockets.contains_key(&key);
        if !room {
            if self.others.len() < MOST_KEYS {
                self.others.insert(key);
            }
            return;
        }
        if event.owner.why().is_some() {
            self.unowned.entry(key).or_insert((now + RETRY_AFTER[0], 0));
        } else {
            self.unowned.remove(&key);
        }
        let mut live = Live::of(event);
        live.round = self.round;
        if let (None, Some(inode)) = (event.cookie, event.inode) {
            self.without_cookie.insert(ends(&live.socket), inode);
        }
        self.others.remove(&key);
        self.sockets.insert(key, live);
    }

    /// Whether the socket `key` is known, at least by its key.
    pub(super) fn contains(&self, key: u64) -> bool {
        self.sockets.contains_key(&key) || self.others.contains(&key)
    }

    /// Whether the peer's FIN is known to have arrived: the last list showed the connection in a state that implies it.
    pub(super) fn peer_has_closed(&self, socket: &Socket) -> bool {
        let without_cookie = || {
            let inode = self.without_cookie.get(&ends(socket))?;
            self.sockets
                .get(&netstat_model::socket_number(None, Some(*inode))?.get())
        };
        let live = self.sockets.get(&key(socket)).or_else(without_cookie);
        live.is_some_and(|live| {
            matches!(
                live.socket.state(),
                State::CloseWait | State::LastAck | State::Closing | State::TimeWait
            )
        })
    }

    /// Whether another socket can be stored.
    pub(super) fn has_room(&self) -> bool {
        self.sockets.len() < self.most || self.others.len() < MOST_KEYS
    }

    /// Returns what is known about the socket `key`.
    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Live> {
        self.sockets.get_mut(&key)
    }

    /// Whether `socket`, from a list without cookies, is one that events have identified by a cookie. It then counts as
    /// contained in the last listing. `by_cookie` is filled by the first call for a listing.
    pub(super) fn is_known_by_cookie(&mut self, socket: &Socket, by_cookie: &mut Option<ByEnds>) -> bool {
        let by_cookie = by_cookie.get_or_insert_with(|| {
            let mut keys = ByEnds::new();
            for (key, live) in self.sockets.iter().filter(|(_, live)| live.socket.cookie().is_some()) {
                keys.entry(ends(&live.socket)).or_default().push(*key);
            }
            keys
        });
        let Some(keys) = by_cookie.get(&ends(socket)) else {
            return false;
        };
        // Several listeners may share a port; one in the list stands for all of them.
        for key in keys {
            if let Some(live) = self.sockets.get_mut(key) {
                live.round = self.round;
            }
        }
        true
    }

    /// Returns every socket that neither the last listing nor an event since then contained, although a listing could:
    /// those in the namespace `own`.
    pub(super) fn missing(&self, own: u32) -> Vec<Live> {
        let foreign = |namespace: Fact<u32>| namespace.known().is_some_and(|inode| inode != own);
        let missing = |live: &&Live| live.round != self.round && !foreign(live.namespace);
        self.sockets.values().filter(missing).cloned().collect()
    }

    /// Returns the sockets whose owner must be searched for now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Socket> {
        let mut due = Vec::new();
        let sockets = &self.sockets;
        self.unowned.retain(|key, (when, tries)| {
            if *when > now {
                return true;
            }
            let Some(live) = sockets.get(key) else { return false };
            due.push(live.socket.clone());
            *tries += 1;
            match RETRY_AFTER.get(*tries) {
                Some(after) => {
                    *when = now + *after;
                    true
                }
                None => false,
            }
        });
        due
    }

    /// Whether an owner must be searched for at `now`.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.unowned.values().any(|(when, _)| *when <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Family, SocketFacts, Why};
    use std::num::NonZeroU64;
    use std::time::SystemTime;

    const NOW: Moment = Moment {
        wall: SystemTime::UNIX_EPOCH,
        since_boot: 50,
    };

    fn event(kind: EventKind, cookie: u64, port: u16) -> Event {
        let socket = Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state: State::Established,
            local: [127, 0, 0, 1].into(),
            local_port: 1000,
            foreign: [127, 0, 0, 2].into(),
            foreign_port: port,
            interface: 0,
            inode: 5,
            user: None,
            cookie: NonZeroU64::new(cookie),
            receive_queue: 0,
            send_queue: None,
        });
        Event::of_socket(kind, NOW, EventOrigin::Trace, &socket)
    }

    fn owner() -> Fact<EventOwner> {
        Fact::Known(EventOwner {
            pid: 7,
            start_ticks: Fact::Known(3),
            name: netstat_model::ShortName::new(b"x"),
        })
    }

    #[test]
    fn note_later_event_gets_facts_of_earlier_ones() {
        let mut table = LiveTable::new(MOST);
        let mut opened = event(EventKind::Opened, 9, 80);
        opened.owner = owner();
        opened.opened = Fact::Known(40);
        opened.direction = Direction::Outgoing;
        table.note(&mut opened, Instant::now());
        let mut closed = event(EventKind::Closed, 9, 0);
        table.note(&mut closed, Instant::now());
        assert_eq!((closed.owner, closed.opened), (owner(), Fact::Known(40)));
        assert_eq!((closed.direction, closed.foreign.port), (Direction::Outgoing, 80));
        let mut again = event(EventKind::Closed, 9, 0);
        table.note(&mut again, Instant::now());
        assert!(again.owner.why().is_some(), "an ended socket is forgotten");
    }

    #[test]
    fn note_full_table_keeps_only_keys() {
        let mut table = LiveTable::new(1);
        let now = Instant::now();
        for cookie in [1, 2] {
            table.note(&mut event(EventKind::Opened, cookie, 80), now);
        }
        assert!(table.contains(1) && table.contains(2) && table.has_room());
        assert!(table.get_mut(1).is_some() && table.get_mut(2).is_none());
        table.note(&mut event(EventKind::Closed, 1, 80), now);
        table.note(&mut event(EventKind::Accepted, 2, 80), now);
        assert!(table.get_mut(2).is_some() && table.others.is_empty());
        table.note(&mut event(EventKind::Closed, 2, 80), now);
        assert!(!table.contains(2));
    }

    #[test]
    fn note_read_after_end_does_not_bring_socket_back() {
        let mut table = LiveTable::new(MOST);
        let now = Instant::now();
        table.note(&mut event(EventKind::Opened, 9, 80), now);
        table.note(&mut event(EventKind::Closed, 9, 80), now);
        let mut read = event(EventKind::Accepted, 9, 80);
        read.state = State::Closed;
        table.note(&mut read, now);
        assert!(!table.contains(9) && table.unowned.is_empty());
    }

    #[test]
    fn due_unowned_socket_is_retried_a_few_times() {
        let mut table = LiveTable::new(MOST);
        let start = Instant::now();
        table.note(&mut event(EventKind::Opened, 1, 80), start);
        let mut owned = event(EventKind::Opened, 2, 80);
        owned.owner = owner();
        table.note(&mut owned, start);
        assert!(!table.is_due(start) && table.due(start).is_empty());
        let mut tries = 0;
        for second in 1..120 {
            let now = start + Duration::from_secs(second);
            let due = table.is_due(now);
            assert_eq!(due, !table.due(now).is_empty());
            tries += usize::from(due);
        }
        assert_eq!(tries, RETRY_AFTER.len());
        assert!(table.unowned.is_empty());
    }

    #[test]
    fn missing_unlisted_sockets_of_own_namespace_only() {
        let mut table = LiveTable::new(MOST);
        for (cookie, namespace) in [
            (1, Fact::Known(10)),
            (2, Fact::Known(11)),
            (3, Fact::Unknown(Why::NotAsked)),
        ] {
            let mut one = event(EventKind::Opened, cookie, 80);
            one.namespace = namespace;
            table.note(&mut one, Instant::now());
        }
        table.round = 1;
        table.get_mut(3).unwrap().round = 1;
        table.note(&mut event(EventKind::Opened, 4, 80), Instant::now());
        let missing: Vec<u64> = table.missing(10).iter().map(|live| key(&live.socket)).collect();
        assert_eq!(missing, [1]);
    }

    #[test]
    fn unconnected_udp_socket_is_remembered() {
        let mut table = LiveTable::new(MOST);
        let mut udp = event(EventKind::Opened, 9, 0);
        (udp.protocol, udp.state) = (Protocol::Udp, State::Closed);
        table.note(&mut udp, Instant::now());
        assert!(table.contains(9));
    }

    #[test]
    fn socket_from_list_without_cookies_is_recognised_in_events() {
        let mut table = LiveTable::new(MOST);
        let now = Instant::now();
        let mut listed = event(EventKind::Present, 1, 80);
        (listed.cookie, listed.inode) = (None, NonZeroU32::new(77));
        listed.owner = owner();
        table.note(&mut listed, now);
        let mut closed = event(EventKind::Closed, 9, 80);
        table.note(&mut closed, now);
        assert_eq!((closed.number(), closed.owner), (listed.number(), owner()));
        assert!(table.sockets.is_empty() && table.without_cookie.is_empty());
        // The other way round: first in an event, then in the list.
        table.note(&mut event(EventKind::Opened, 10, 80), now);
        table.round = 1;
        let mut again = event(EventKind::Present, 1, 80);
        (again.cookie, again.inode) = (None, NonZeroU32::new(78));
        assert!(table.is_known_by_cookie(&again.socket(), &mut None));
        assert!(table.missing(0).is_empty());
        let mut other = again;
        other.foreign.port = 81;
        assert!(!table.is_known_by_cookie(&other.socket(), &mut None));
    }
}
