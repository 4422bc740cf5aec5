//! Asks the system, in a thread of its own, and makes samples. The screen never waits for it.
//!
//! It keeps itself cheap. Owners are looked for only for sockets that are new, whose process ended or that were taken over; all are
//! looked for again now and then, for a socket may change hands. Where so many sockets are open that reading them each time would
//! take more than its share of a processor, they are read less often; the sample says when.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netstat_model::figures::{Figures, ProcessKey};
use netstat_model::{Extras, Fact, NoOwner, Owner, Owners, Protocol, Socket, State, TcpFigure, Why};
use netstat_os::{FiguresAsk, OwnersAsk, SocketAsk, SocketList, System};

use crate::sample::{Bytes, Holder, Sample, Segments, SocketRow};

/// So often at most all owners are looked for anew.
const ALL_OWNERS_EVERY: Duration = Duration::from_secs(30);
/// Reading the sockets may take one part in so many of the time.
const SOCKET_SHARE: u32 = 5;
/// Looking for owners may take one part in so many of the time.
const OWNER_SHARE: u32 = 12;
/// Clock ticks start with the system, and the time since then is told in hundredths of a second.
const CLOCK_SLACK: f64 = 0.03;

/// Makes samples.
pub struct Collector {
    system: Box<dyn System + Send>,
    list: SocketList,
    rows: Arc<Vec<SocketRow>>,
    read_at: Duration,
    /// Who held what at the last look, by rising id of the socket.
    held: Vec<(u64, Held)>,
    next_sockets: Option<Instant>,
    next_owners: Option<Instant>,
    all_owners_due: Option<Instant>,
    users: Arc<BTreeMap<u32, Arc<str>>>,
    /// Users that were asked for, with a name or without.
    asked_users: HashSet<u32>,
    limits: Vec<netstat_model::Limit>,
}

#[derive(Clone, Copy)]
struct Held {
    inode: u32,
    holder: Holder,
    others: u16,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("sockets", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl Collector {
    /// A collector that asks `system`.
    pub fn new(system: Box<dyn System + Send>) -> Self {
        Collector {
            system,
            list: SocketList::default(),
            rows: Arc::default(),
            read_at: Duration::ZERO,
            held: Vec::new(),
            next_sockets: None,
            next_owners: None,
            all_owners_due: None,
            users: Arc::default(),
            asked_users: HashSet::new(),
            limits: Vec::new(),
        }
    }

    /// The system it asks.
    pub fn system(&mut self) -> &mut dyn System {
        &mut *self.system
    }

    /// One look.
    pub fn look(&mut self) -> Sample {
        let begun = Instant::now();
        let due = self.next_sockets.is_none_or(|next| begun >= next);
        let mut fresh = None;
        if due {
            self.limits.clear();
            self.system.sockets(&everything(), &mut self.list);
            self.limits.append(&mut self.list.limits);
            let read = Instant::now();
            // The owners of a socket are those who hold it from here on.
            let found = self.find_owners();
            fresh = Some((read, found));
        }
        let before = Instant::now();
        let figures = self.system.figures(&FiguresAsk { processes: true });
        if let Some((read, found)) = fresh {
            self.remember(found, &figures, before.duration_since(read));
            self.make_rows();
            self.read_at = figures.system.at.saturating_sub(before.duration_since(read));
            let took = before.duration_since(begun);
            self.next_sockets = Some(begun + took * SOCKET_SHARE);
        } else {
            self.check_holders(&figures);
        }
        self.name_users(&figures);
        Sample {
            users: Arc::clone(&self.users),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            limits: self.limits.iter().chain(&figures.limits).cloned().collect(),
            figures,
            sockets: Arc::clone(&self.rows),
            sockets_at: self.read_at,
        }
    }

    fn name_users(&mut self, figures: &Figures) {
        let processes = figures.processes.as_ref().known().map_or(&[][..], Vec::as_slice);
        for user in processes.iter().filter_map(|process| process.identity.user.known()) {
            if self.asked_users.insert(user)
                && let Some(name) = self.system.user_name(user)
            {
                Arc::make_mut(&mut self.users).insert(user, name);
            }
        }
    }

    /// Looks for the owners of the sockets that need it, as far as there is time for it. `None`: for none.
    fn find_owners(&mut self) -> Option<(Owners, Asked)> {
        let now = Instant::now();
        if self.next_owners.is_some_and(|next| now < next) {
            return None;
        }
        let all = self.all_owners_due.is_none_or(|due| now >= due);
        let (asked, found) = if all {
            (
                Asked::All,
                self.system.owners(&self.list.sockets, &OwnersAsk::default()),
            )
        } else {
            let held = &self.held;
            let is_new = |socket: &&Socket| {
                let inode = inode(socket);
                let is_known = |held: &Held| held.inode == inode && held.holder != Holder::Pending;
                inode != 0 && !find(held, id(socket).0).is_some_and(is_known)
            };
            let new: Vec<Socket> = self.list.sockets.iter().filter(is_new).cloned().collect();
            if new.is_empty() {
                return None;
            }
            let found = self.system.owners(&new, &OwnersAsk::default());
            (Asked::Some(new.iter().map(|socket| id(socket).0).collect()), found)
        };
        let took = now.elapsed();
        self.next_owners = Some(now + took * OWNER_SHARE);
        if all {
            self.all_owners_due = Some(now + ALL_OWNERS_EVERY);
        }
        match found {
            Ok(found) => {
                self.limits.extend(found.limits);
                Some((found.owners, asked))
            }
            Err(refused) => {
                self.limits.push(netstat_model::Limit {
                    what: "owners are missing".to_owned(),
                    why: refused.to_string(),
                    remedy: None,
                });
                None
            }
        }
    }

    /// Keeps who holds what. `ago` is how long before the figures the sockets were read.
    fn remember(&mut self, found: Option<(Owners, Asked)>, figures: &Figures, ago: Duration) {
        let starts = start_times(figures);
        let mut held = Vec::with_capacity(self.list.sockets.len());
        // A process that began only after the sockets were read cannot be the one that was found under its id.
        let uptime = figures
            .system
            .uptime
            .known()
            .map(|uptime| uptime.saturating_sub(ago).as_secs_f64());
        let ticks = figures.ticks_per_second.max(1) as f64;
        let too_young = |start: u64| uptime.is_none_or(|uptime| start as f64 / ticks > uptime - CLOCK_SLACK);
        let nobody = Owners::default();
        for socket in &self.list.sockets {
            let (id, inode) = (id(socket).0, inode(socket));
            let answer = match &found {
                Some((owners, asked)) if asked.contains(id) => Some(owners),
                _ => None,
            };
            let entry = match answer {
                _ if inode == 0 => match nobody.of(socket) {
                    Owner::None(why) => Held::new(inode, Holder::None(why), 0),
                    Owner::Held(_) => continue,
                },
                Some(owners) => match owners.of(socket) {
                    Owner::Held(list) => {
                        let pid = list.first().pid;
                        let holder = match starts.get(&pid) {
                            Some(&start) if !too_young(start) => Holder::Process(ProcessKey {
                                pid,
                                start_ticks: start,
                            }),
                            Some(_) => Holder::Pending,
                            None => Holder::None(NoOwner::Ended),
                        };
                        let others = u16::try_from(list.iter().count() - 1).unwrap_or(u16::MAX);
                        Held::new(inode, holder, others)
                    }
                    Owner::None(why) => Held::new(inode, Holder::None(why), 0),
                },
                None => match find(&self.held, id) {
                    Some(known) if known.inode == inode => match known.holder {
                        // Another process may hold it still: to be looked for.
                        Holder::Process(key) if starts.get(&key.pid) != Some(&key.start_ticks) => {
                            Held::new(inode, Holder::Pending, 0)
                        }
                        _ => *known,
                    },
                    _ => Held::new(inode, Holder::Pending, 0),
                },
            };
            held.push((id, entry));
        }
        held.sort_unstable_by_key(|(id, _)| *id);
        self.held = held;
    }

    /// Between two readings of the sockets, processes may end.
    fn check_holders(&mut self, figures: &Figures) {
        let starts = start_times(figures);
        let ended = |row: &SocketRow| {
            row.process()
                .is_some_and(|key| starts.get(&key.pid) != Some(&key.start_ticks))
        };
        if self.rows.iter().any(ended) {
            for row in Arc::make_mut(&mut self.rows).iter_mut().filter(|row| ended(row)) {
                row.holder = Holder::Pending;
                row.others = 0;
            }
        }
    }

    fn make_rows(&mut self) {
        let mut rows = Vec::with_capacity(self.list.sockets.len());
        for socket in &self.list.sockets {
            let (id, cookie) = id(socket);
            let held = find(&self.held, id).copied();
            let held = held.unwrap_or(Held::new(0, Holder::Pending, 0));
            let (bytes, rtt, segments) = tcp_facts(socket);
            rows.push(SocketRow {
                id,
                cookie,
                protocol: socket.protocol(),
                state: socket.state(),
                local: socket.local(),
                foreign: socket.foreign(),
                user: socket.user(),
                holder: held.holder,
                others: held.others,
                receive_queue: socket.receive_queue(),
                send_queue: socket.send_queue(),
                bytes,
                rtt,
                segments,
            });
        }
        rows.sort_unstable_by_key(|row: &SocketRow| row.id);
        rows.dedup_by_key(|row| row.id);
        self.rows = Arc::new(rows);
        // The internals of many sockets take much memory; they are in the rows now.
        self.list.clear();
    }
}

impl Held {
    const fn new(inode: u32, holder: Holder, others: u16) -> Self {
        Held { inode, holder, others }
    }
}

/// Who held the socket with this id.
fn find(held: &[(u64, Held)], id: u64) -> Option<&Held> {
    let place = held.binary_search_by_key(&id, |(known, _)| *known).ok()?;
    held.get(place).map(|(_, held)| held)
}

/// Whose owners were looked for.
enum Asked {
    All,
    Some(HashSet<u64>),
}

impl Asked {
    fn contains(&self, id: u64) -> bool {
        match self {
            Asked::All => true,
            Asked::Some(ids) => ids.contains(&id),
        }
    }
}

/// TCP and UDP in every state, with the internals of TCP.
fn everything() -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        tcp_states: State::ALL.to_vec(),
        extra: Extras::TCP,
        ..SocketAsk::default()
    }
}

fn inode(socket: &Socket) -> u32 {
    socket.inode().map_or(0, u32::from)
}

/// What names a socket for its life, and whether it is the kernel's cookie.
fn id(socket: &Socket) -> (u64, bool) {
    match socket.cookie() {
        Some(cookie) => (cookie.get(), true),
        None => {
            let mut hasher = DefaultHasher::new();
            (socket.protocol(), socket.local(), socket.foreign(), inode(socket)).hash(&mut hasher);
            (hasher.finish(), false)
        }
    }
}

fn start_times(figures: &Figures) -> HashMap<u32, u64> {
    let processes = figures.processes.as_ref().known().map_or(&[][..], Vec::as_slice);
    processes
        .iter()
        .map(|process| (process.key.pid, process.key.start_ticks))
        .collect()
}

type TcpFacts = (Fact<Bytes>, Fact<u32>, Fact<Segments>);

fn tcp_facts(socket: &Socket) -> TcpFacts {
    let unknown = |why| (Fact::Unknown(why), Fact::Unknown(why), Fact::Unknown(why));
    if socket.protocol() != Protocol::Tcp {
        return unknown(Why::NotKept);
    }
    if matches!(socket.state(), State::Listening | State::Bound | State::TimeWait) {
        return unknown(Why::NotApplicable);
    }
    let bytes = match (socket.tcp(TcpFigure::BytesAcked), socket.tcp(TcpFigure::BytesReceived)) {
        (Fact::Known(sent), Fact::Known(received)) => Fact::Known(Bytes { sent, received }),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    };
    let narrow = |figure| match socket.tcp(figure) {
        Fact::Known(value) => Fact::from_option(u32::try_from(value).ok(), Why::Failed),
        Fact::Unknown(why) => Fact::Unknown(why),
    };
    let segments = match (narrow(TcpFigure::DataSegmentsOut), narrow(TcpFigure::RetransmitsTotal)) {
        (Fact::Known(sent), Fact::Known(again)) => Fact::Known(Segments { sent, again }),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    };
    // 0 stands for "not measured yet": no round trip takes no time.
    let rtt = match narrow(TcpFigure::Rtt) {
        Fact::Known(0) => Fact::Unknown(Why::NotApplicable),
        other => other,
    };
    (bytes, rtt, segments)
}
