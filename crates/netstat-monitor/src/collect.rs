//! Queries the system in a separate thread and produces samples. The screen never waits for it.
//!
//! The collector limits its own cost. Owners are only looked for if a socket is new, its process has ended, or it was
//! passed to another process; occasionally they are looked for again for all sockets, because a socket may change
//! hands. If so many sockets are open that reading them at each refresh would take more than a fixed share of a
//! processor, they are read less often; the sample says when.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netstat_model::metrics::{Metrics, ProcessKey};
use netstat_model::{Extras, Fact, NoOwner, Owner, Owners, Protocol, Socket, SocketFacts, State, TcpMetric, Why};
use netstat_os::{MetricsAsk, OwnersAsk, SocketAsk, SocketList, System};

use crate::sample::{Bytes, Holder, Passing, Sample, Segments, SocketRow, Space, find_socket};
use crate::watch::Watch;

/// The minimum interval between full owner scans.
const ALL_OWNERS_EVERY: Duration = Duration::from_secs(30);
/// The interval at which the free space of file systems is read.
const SPACES_EVERY: Duration = Duration::from_secs(10);
/// The duty cycle of reading the sockets: one part in this many of wall time.
const SOCKET_SHARE: u32 = 12;
/// The duty cycle of full owner scans: one part in this many of wall time.
const ALL_OWNERS_SHARE: u32 = 60;
/// The duty cycle of owner scans: one part in this many of wall time.
const OWNER_SHARE: u32 = 12;
/// The tolerance in seconds when comparing process start times, in clock ticks, with the uptime, in hundredths of a
/// second.
const CLOCK_SLACK: f64 = 0.03;

/// Produces samples.
pub struct Collector {
    system: Box<dyn System + Send>,
    list: SocketList,
    /// The sockets of the last reading with their holders, in ascending order of id.
    rows: Arc<Vec<SocketRow>>,
    read_at: Duration,
    next_sockets: Option<Instant>,
    next_owners: Option<Instant>,
    all_owners_due: Option<Instant>,
    users: Arc<BTreeMap<u32, Arc<str>>>,
    /// The users that have been looked up, with or without a result.
    asked_users: HashSet<u32>,
    limits: Vec<netstat_model::Limit>,
    watch: Option<Watch>,
    /// The limit that every sample reports after event watching has ended.
    no_watch: Option<netstat_model::Limit>,
    spaces: Vec<Space>,
    spaces_due: Option<Instant>,
    /// The number of TCP connections that opened and closed between the last two readings, as far as the readings show.
    turnover: Option<(u64, u64)>,
}

/// The owners that were found, and the sockets for which they were looked for.
type Found = (Owners, Vec<Socket>);

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("sockets", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl Collector {
    /// Creates a collector that queries `system`.
    pub fn new(system: Box<dyn System + Send>) -> Self {
        Collector {
            system,
            list: SocketList::default(),
            rows: Arc::default(),
            read_at: Duration::ZERO,
            next_sockets: None,
            next_owners: None,
            all_owners_due: None,
            users: Arc::default(),
            asked_users: HashSet::new(),
            limits: Vec::new(),
            watch: None,
            no_watch: None,
            spaces: Vec::new(),
            spaces_due: None,
            turnover: None,
        }
    }

    /// Returns the system that is queried.
    pub fn system(&mut self) -> &mut dyn System {
        &mut *self.system
    }

    /// Starts watching events between samples, if the system permits it; otherwise every sample reports why not. The
    /// watch belongs to the calling thread and its network namespace.
    pub fn watch(&mut self) {
        match Watch::begin(&mut *self.system) {
            Ok(watch) => (self.watch, self.no_watch) = (Some(watch), None),
            Err(why) => self.end_watch(why),
        }
    }

    fn end_watch(&mut self, why: String) {
        self.watch = None;
        self.no_watch = Some(netstat_model::Limit {
            what: "connections shorter than a refresh are not shown, and bytes of UDP sockets are unknown".to_owned(),
            why,
            remedy: None,
        });
    }

    /// Processes the events so far. Call this several times a second, because events that wait too long are lost.
    pub fn listen(&mut self) {
        if let Some(watch) = &mut self.watch
            && let Err(refused) = watch.listen(&self.rows)
        {
            self.end_watch(refused.to_string());
        }
    }

    /// Takes a sample.
    pub fn look(&mut self) -> Sample {
        self.listen();
        let begun = Instant::now();
        let due = self.next_sockets.is_none_or(|next| begun >= next);
        let mut fresh = None;
        if due {
            self.limits.clear();
            let (rows, found) = self.read();
            fresh = Some((rows, Instant::now(), found));
        }
        let before = Instant::now();
        let figures = self.system.metrics(&MetricsAsk { processes: true });
        let mut passing = Passing::default();
        if let Some((mut rows, read, found)) = fresh {
            settle(&mut rows, found, &figures, before.duration_since(read));
            self.compare(&rows);
            self.rows = Arc::new(rows);
            self.read_at = figures.system.at.saturating_sub(before.duration_since(read));
            let took = before.duration_since(begun);
            self.next_sockets = Some(begun + took * SOCKET_SHARE);
            passing = self.pass();
        } else {
            self.check_holders(&figures);
        }
        self.name_users(&figures);
        self.read_spaces(begun);
        let watch_limits = self.watch.as_ref().map_or(&[][..], |watch| watch.limits());
        Sample {
            users: Arc::clone(&self.users),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            limits: self
                .limits
                .iter()
                .chain(&figures.limits)
                .chain(watch_limits)
                .chain(&self.no_watch)
                .cloned()
                .collect(),
            figures,
            sockets: Arc::clone(&self.rows),
            sockets_at: self.read_at,
            passing,
            spaces: self.spaces.clone(),
        }
    }

    /// Free space changes slowly, so it is read less often.
    fn read_spaces(&mut self, now: Instant) {
        if self.spaces_due.is_none_or(|due| now >= due) {
            self.spaces_due = Some(now + SPACES_EVERY);
            // If it is unknown, the columns remain empty.
            let found = self.system.file_systems().unwrap_or_default();
            self.spaces = found
                .into_iter()
                .map(|space| Space {
                    device: space.device,
                    total: space.total,
                    available: space.available,
                })
                .collect();
        }
    }

    fn name_users(&mut self, figures: &Metrics) {
        let processes = figures.processes.as_ref().known().map_or(&[][..], Vec::as_slice);
        for user in processes.iter().filter_map(|process| process.identity.user.known()) {
            if self.asked_users.insert(user)
                && let Some(name) = self.system.user_name(user)
            {
                Arc::make_mut(&mut self.users).insert(user, name);
            }
        }
    }

    /// Reads the sockets, and looks for owners where needed and time permits. Only the rows are kept, and what the
    /// system needs to find the owners of some of the sockets.
    fn read(&mut self) -> (Vec<SocketRow>, Option<Found>) {
        let now = Instant::now();
        let may_ask = self.next_owners.is_none_or(|next| now >= next);
        let all = may_ask && self.all_owners_due.is_none_or(|due| now >= due);
        let known = Arc::clone(&self.rows);
        // Slightly more than the last time, so that the allocation does not double for a few more rows.
        let mut rows: Vec<SocketRow> = Vec::with_capacity(known.len() + known.len() / 32 + 64);
        let mut asking: Vec<Socket> = Vec::with_capacity(if all { known.len() + 64 } else { 0 });
        let nobody = Owners::default();
        let watch = self.watch.as_ref();
        self.system.each_socket(&everything(), &mut self.list, &mut |socket| {
            let mut row = row(&socket);
            if let (Protocol::Udp, true, Some(watch)) = (row.protocol, row.cookie, watch) {
                row.bytes = watch.udp_bytes(row.id);
            }
            if row.inode == 0 {
                if let Owner::None(why) = nobody.of(&socket) {
                    row.holder = Holder::None(why);
                }
            } else if let Some(before) = find_socket(&known, row.id).filter(|before| before.inode == row.inode) {
                (row.holder, row.others) = (before.holder, before.others);
            }
            if may_ask && row.inode != 0 && (all || row.holder == Holder::Pending) {
                asking.push(bare(&socket));
            }
            rows.push(row);
        });
        self.limits.append(&mut self.list.limits);
        drop(known);
        rows.sort_unstable_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        if asking.is_empty() {
            return (rows, None);
        }
        // A process that acquires a socket from now on is not found.
        let begun = Instant::now();
        let found = self.system.owners(&asking, &OwnersAsk::default());
        let ended = Instant::now();
        self.next_owners = Some(ended + (ended - begun) * OWNER_SHARE);
        if all {
            self.all_owners_due = Some(ended + ALL_OWNERS_EVERY.max((ended - begun) * ALL_OWNERS_SHARE));
        }
        match found {
            Ok(found) => {
                self.limits.extend(found.limits);
                (rows, Some((found.owners, asking)))
            }
            Err(refused) => {
                self.limits.push(netstat_model::Limit {
                    what: "owners are missing".to_owned(),
                    why: refused.to_string(),
                    remedy: None,
                });
                (rows, None)
            }
        }
    }

    /// Counts the sockets that appeared and vanished since the previous reading. The vanished ones are passed to the
    /// watch, because their end may be reported later.
    fn compare(&mut self, rows: &[SocketRow]) {
        if self.read_at.is_zero() {
            return;
        }
        let (mut opened, mut closed) = (0, 0);
        let mut vanished = Vec::new();
        let mut before = self.rows.iter().peekable();
        let mut vanish = |row: &SocketRow| {
            if row.is_live_connection() {
                closed += 1;
                vanished.push((row.id, row.bytes.known().unwrap_or_default(), row.process()));
            }
        };
        for row in rows {
            while let Some(gone) = before.next_if(|old| old.id < row.id) {
                vanish(gone);
            }
            if before.next_if(|old| old.id == row.id).is_none() && row.is_live_connection() {
                opened += 1;
            }
        }
        before.for_each(vanish);
        if let Some(watch) = &mut self.watch {
            watch.vanished(vanished);
        }
        self.turnover = Some((opened, closed));
    }

    /// Returns the events up to this reading.
    fn pass(&mut self) -> Passing {
        let mut passing = match &mut self.watch {
            Some(watch) => watch.take(),
            None => Passing::default(),
        };
        if let Some((opened, closed)) = self.turnover {
            let short = passing
                .ended
                .iter()
                .filter(|end| end.short && end.row.protocol == Protocol::Tcp)
                .count() as u64
                + passing.untold;
            passing.opened = Fact::Known(opened + short);
            passing.closed = Fact::Known(closed + short);
        }
        passing
    }

    /// Marks sockets whose process has ended since they were read.
    fn check_holders(&mut self, figures: &Metrics) {
        let starts = start_times(figures);
        if self.rows.iter().any(|row| has_ended(row, &starts)) {
            let rows = Arc::make_mut(&mut self.rows);
            for row in rows.iter_mut().filter(|row| has_ended(row, &starts)) {
                (row.holder, row.others) = (Holder::Pending, 0);
            }
        }
    }
}

/// Whether the process that held the socket has ended.
fn has_ended(row: &SocketRow, starts: &HashMap<u32, u64>) -> bool {
    row.process()
        .is_some_and(|key| starts.get(&key.pid) != Some(&key.start_ticks))
}

/// Stores the owners that were found in the rows. `ago` is how long before the metrics the sockets were read.
fn settle(rows: &mut [SocketRow], found: Option<Found>, figures: &Metrics, ago: Duration) {
    let starts = start_times(figures);
    // A process that started after the sockets were read cannot be their holder, even if its id was found.
    let uptime = figures
        .system
        .uptime
        .known()
        .map(|uptime| uptime.saturating_sub(ago).as_secs_f64());
    let ticks = figures.ticks_per_second.max(1) as f64;
    let too_young = |start: u64| uptime.is_none_or(|uptime| start as f64 / ticks > uptime - CLOCK_SLACK);
    if let Some((owners, asked)) = found {
        for socket in &asked {
            let Ok(place) = rows.binary_search_by_key(&id(socket).0, |row| row.id) else {
                continue;
            };
            let row = &mut rows[place];
            (row.holder, row.others) = match owners.of(socket) {
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
                    (holder, u16::try_from(list.iter().count() - 1).unwrap_or(u16::MAX))
                }
                Owner::None(why) => (Holder::None(why), 0),
            };
        }
    }
    // Another process may still hold the socket, so its owner is looked for again.
    for row in rows.iter_mut().filter(|row| has_ended(row, &starts)) {
        (row.holder, row.others) = (Holder::Pending, 0);
    }
}

/// Returns the row of a socket whose holder is not known yet.
fn row(socket: &Socket) -> SocketRow {
    let (id, cookie) = id(socket);
    let (bytes, rtt, segments) = tcp_facts(socket);
    SocketRow {
        id,
        cookie,
        protocol: socket.protocol(),
        state: socket.state(),
        local: socket.local(),
        foreign: socket.foreign(),
        user: socket.user(),
        holder: Holder::Pending,
        others: 0,
        receive_queue: socket.receive_queue(),
        send_queue: socket.send_queue(),
        bytes,
        rtt,
        segments,
        inode: inode(socket),
        by_process: socket.row_process().is_some(),
    }
}

/// Returns the socket without the details that only the row needs.
fn bare(socket: &Socket) -> Socket {
    let (local, foreign) = (socket.local(), socket.foreign());
    let bare = Socket::new(&SocketFacts {
        protocol: socket.protocol(),
        family: socket.family(),
        state: socket.state(),
        local: local.address,
        local_port: local.port,
        foreign: foreign.address,
        foreign_port: foreign.port,
        interface: socket.interface().map_or(0, u32::from),
        inode: inode(socket),
        user: socket.user().known(),
        cookie: socket.cookie(),
        receive_queue: socket.receive_queue(),
        send_queue: socket.send_queue().known(),
    });
    match socket.row_process() {
        Some(process) => bare.held_by_process(process),
        None => bare,
    }
}

/// Queries TCP and UDP sockets in all states, with the details of TCP.
fn everything() -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        tcp_states: State::ALL.to_vec(),
        extra: Extras::TCP,
        count_bytes: true,
        ..SocketAsk::default()
    }
}

/// Returns the key by which the holders of a socket are found: the inode, or the process if the system reports it.
fn inode(socket: &Socket) -> u32 {
    socket.holder_key().map_or(0, u32::from)
}

/// Returns an identifier that a socket keeps for its lifetime, and whether it is the kernel's cookie.
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

fn start_times(figures: &Metrics) -> HashMap<u32, u64> {
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
    let bytes = match (socket.tcp(TcpMetric::BytesAcked), socket.tcp(TcpMetric::BytesReceived)) {
        (Fact::Known(sent), Fact::Known(received)) => Fact::Known(Bytes { sent, received }),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    };
    let narrow = |figure| match socket.tcp(figure) {
        Fact::Known(value) => Fact::from_option(u32::try_from(value).ok(), Why::Failed),
        Fact::Unknown(why) => Fact::Unknown(why),
    };
    let segments = match (narrow(TcpMetric::DataSegmentsOut), narrow(TcpMetric::RetransmitsTotal)) {
        (Fact::Known(sent), Fact::Known(again)) => Fact::Known(Segments { sent, again }),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    };
    // 0 means that the round-trip time has not been measured yet.
    let rtt = match narrow(TcpMetric::Rtt) {
        Fact::Known(0) => Fact::Unknown(Why::NotApplicable),
        other => other,
    };
    (bytes, rtt, segments)
}
