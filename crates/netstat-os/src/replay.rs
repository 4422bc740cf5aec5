//! A system in memory, which answers from recorded or made-up facts: for tests of whole commands and for bug reports.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use netstat_model::counters::{Block, BlockSet, InterfaceStatistics, Pair, ProtocolStatistics, TcpFamilies};
use netstat_model::metrics::{Metrics, ProcessKey};
use netstat_model::packet_filter::PacketFilter;
use netstat_model::process::{Namespaces, ProcessFacts};
use netstat_model::route::{RouteListing, TableNames, TableSelection};
use netstat_model::windows_host::WindowsHost;
use netstat_model::{Event, EventOrigin, Fact, Limit, Moment, Owners, Protocol, Socket, SystemKind, Why};

use crate::{
    Check, CheckArea, CheckStatus, Checkup, Control, DescriptorsAsk, EventSource, Events, EventsAsk, Firewall, Inspect,
    Integrity, Lost, MetricsAsk, NoProcess, NotDestroyed, OwnersAsk, OwnersFound, PortTries, ProcessAsk, ProcessText,
    Refused, RefusedKind, Signal, SocketAsk, SocketList, System,
};

/// Where the clocks of a replay start if no time was recorded.
const BEGINNING: Duration = Duration::from_secs(1_000_000);

/// The longest real wait of a watch that has no events left, so that a thread that polls it does not spin.
const PAUSE: Duration = Duration::from_millis(5);

/// The clock of a [`Replay`], which advances only when somebody waits. Clones share the same clock.
#[derive(Clone, Debug)]
pub struct ReplayClock {
    start: Moment,
    passed: Arc<AtomicU64>,
}

impl ReplayClock {
    /// Creates a clock that shows `start`.
    pub fn at(start: Moment) -> Self {
        ReplayClock {
            start,
            passed: Arc::default(),
        }
    }

    /// Returns the time that the clock shows.
    pub fn now(&self) -> Moment {
        let passed = self.passed.load(Ordering::Relaxed);
        let wall = self.start.wall.checked_add(Duration::from_nanos(passed));
        Moment {
            wall: wall.unwrap_or(self.start.wall),
            since_boot: self.start.since_boot.saturating_add(passed),
        }
    }

    /// Advances the clock by `time`.
    pub fn advance(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.passed.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Default for ReplayClock {
    fn default() -> Self {
        ReplayClock::at(Moment {
            wall: SystemTime::UNIX_EPOCH + BEGINNING,
            since_boot: u64::try_from(BEGINNING.as_nanos()).unwrap_or(u64::MAX),
        })
    }
}

/// A recorded or made-up system: what it returns for each query.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The clock. [`System::wait`] and waiting for events advance it instead of blocking.
    pub clock: ReplayClock,
    /// The boot id, if it was recorded.
    pub boot_id: Option<String>,
    /// The name of the computer.
    pub computer_name: Vec<u8>,
    /// The operating system.
    pub kind: SystemKind,
    /// Whether the caller is treated as the superuser.
    pub superuser: bool,
    /// The id that stands for users and groups without an id in the caller's user namespace; see
    /// [`System::unmapped_user`].
    pub unmapped_user: Option<u32>,
    /// The names of users by id.
    pub users: BTreeMap<u32, Arc<str>>,
    /// The names of groups by id.
    pub groups: BTreeMap<u32, Arc<str>>,
    /// The computer's own addresses, each with the index of its interface.
    pub own_addresses: Vec<(IpAddr, u32)>,
    /// The sockets of successive listings; the last listing is repeated. A query returns only the sockets it selects.
    pub sockets: Vec<SocketList>,
    /// The owners of the sockets.
    pub owners: Owners,
    /// The TCP and UDP sockets of the second source ([`Integrity::sockets_as_text`]); `None` if there is none.
    pub sockets_as_text: Option<Vec<Socket>>,
    /// Whether ports that are bound without listening or connecting are listed.
    pub lists_bound_ports: bool,
    /// The ports that cannot be bound, regardless of the listed sockets: protocol, whether over IPv6, port.
    pub taken_ports: Vec<(Protocol, bool, u16)>,
    /// The interfaces in promiscuous mode, each with the number of programs that requested it.
    pub promiscuous: Vec<(Vec<u8>, u32)>,
    /// What could not be seen of the owners.
    pub owner_limits: Vec<Limit>,
    /// Everything that is known about each process; a query returns only what it requests.
    pub processes: Vec<ProcessFacts>,
    /// The protocol counters.
    pub protocols: ProtocolStatistics,
    /// What is missing from the protocol counters.
    pub protocol_limits: Vec<Limit>,
    /// The interface counters.
    pub interfaces: InterfaceStatistics,
    /// What is missing from the interface counters.
    pub interface_limits: Vec<Limit>,
    /// The packet filters.
    pub packet_filter: PacketFilter,
    /// What Windows is configured to start, to forward and to admit.
    pub windows_host: Option<WindowsHost>,
    /// The interfaces and routes.
    pub routes: RouteListing,
    /// The socket events in batches: each call of [`EventSource::next`] returns one batch.
    pub events: Vec<Vec<Event>>,
    /// The metrics of successive samples; the last one is repeated.
    pub figures: Vec<Metrics>,
    /// How many times the metrics were requested.
    pub figure_looks: usize,
    /// The sockets that were closed on behalf of their programs; they are no longer listed.
    pub destroyed: Vec<Socket>,
    /// How many times the sockets were listed.
    pub looks: usize,
}

impl Default for Replay {
    /// Creates a system that reports nothing.
    fn default() -> Self {
        let nothing = |_: Block, _| Pair {
            received: Fact::Unknown(Why::NotKept),
            sent: Fact::Unknown(Why::NotKept),
        };
        Replay {
            clock: ReplayClock::default(),
            boot_id: None,
            computer_name: Vec::new(),
            kind: SystemKind::default(),
            superuser: false,
            unmapped_user: None,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            own_addresses: Vec::new(),
            sockets: Vec::new(),
            owners: Owners::default(),
            sockets_as_text: None,
            lists_bound_ports: true,
            taken_ports: Vec::new(),
            promiscuous: Vec::new(),
            owner_limits: Vec::new(),
            processes: Vec::new(),
            protocols: ProtocolStatistics::new(Duration::ZERO, TcpFamilies::Together, Vec::new(), nothing),
            interfaces: InterfaceStatistics {
                at: Duration::ZERO,
                interfaces: Fact::Unknown(Why::NotKept),
            },
            protocol_limits: Vec::new(),
            interface_limits: Vec::new(),
            packet_filter: PacketFilter {
                rules: Fact::Known(netstat_model::packet_filter::rules::Ruleset::default()),
                nftables: Fact::Unknown(Why::NotKept),
                iptables: Fact::Unknown(Why::NotKept),
            },
            windows_host: None,
            routes: RouteListing {
                interfaces: Fact::Unknown(Why::NotKept),
                addresses: Fact::Unknown(Why::NotKept),
                ipv4: Fact::Unknown(Why::NotKept),
                ipv6: Fact::Unknown(Why::NotKept),
                rules: Fact::Unknown(Why::NotKept),
                tables: TableNames::default(),
                limits: Vec::new(),
            },
            events: Vec::new(),
            figures: Vec::new(),
            figure_looks: 0,
            destroyed: Vec::new(),
            looks: 0,
        }
    }
}

fn wanted(ask: &SocketAsk, socket: &Socket) -> bool {
    use netstat_model::Family::{V4, V6};
    let table = match (socket.protocol(), socket.family()) {
        (Protocol::Tcp, V4) => ask.tcp4,
        (Protocol::Tcp, V6) => ask.tcp6,
        (Protocol::Udp, V4) => ask.udp4,
        (Protocol::Udp, V6) => ask.udp6,
        (Protocol::Raw, V4) => ask.raw4,
        (Protocol::Raw, V6) => ask.raw6,
        (Protocol::Mptcp, V4) => ask.mptcp4,
        (Protocol::Mptcp, V6) => ask.mptcp6,
        (Protocol::Packet, _) => ask.packet,
        (Protocol::Unix, _) => ask.unix,
        (protocol, _) if SocketAsk::FURTHER.contains(&protocol) => ask.further.contains(&protocol),
        _ => false,
    };
    let state =
        !matches!(socket.protocol(), Protocol::Tcp | Protocol::Mptcp) || ask.tcp_states.contains(&socket.state());
    let side =
        |sides: &netstat_model::Sides, end| sides.is_empty() || (socket.protocol().is_ip() && sides.matches(&end));
    table
        && state
        && ask.ports.matches(socket)
        && side(&ask.local, socket.local())
        && side(&ask.foreign, socket.foreign())
}

/// Removes the facts that `ask` does not request.
fn cut(mut facts: ProcessFacts, ask: &ProcessAsk) -> ProcessFacts {
    fn unless<T>(asked: bool, fact: &mut Fact<T>) {
        if !asked {
            *fact = Fact::Unknown(Why::NotAsked);
        }
    }
    unless(ask.arguments, &mut facts.arguments);
    unless(ask.environment, &mut facts.environment);
    unless(ask.program, &mut facts.program);
    unless(ask.places, &mut facts.directory);
    unless(ask.places, &mut facts.root);
    if !ask.namespaces {
        facts.namespaces = Namespaces::unknown(Why::NotAsked);
    }
    unless(ask.standing, &mut facts.users);
    unless(ask.standing, &mut facts.groups);
    unless(ask.standing, &mut facts.other_groups);
    unless(ask.standing, &mut facts.login_user);
    unless(ask.standing, &mut facts.capabilities);
    unless(ask.standing, &mut facts.tracer);
    unless(ask.standing, &mut facts.no_new_privileges);
    unless(ask.standing, &mut facts.seccomp);
    unless(ask.standing, &mut facts.label);
    unless(ask.standing, &mut facts.inner_pids);
    unless(ask.components, &mut facts.cgroup);
    unless(ask.components, &mut facts.components);
    unless(ask.memory, &mut facts.memory);
    unless(ask.descriptors != DescriptorsAsk::Nothing, &mut facts.descriptors);
    unless(ask.executable, &mut facts.executable);
    unless(ask.ancestors, &mut facts.ancestors);
    if let Some(windows) = &mut facts.windows {
        unless(ask.standing, &mut windows.sid);
        unless(ask.standing, &mut windows.user);
        unless(ask.standing, &mut windows.elevated);
        unless(ask.standing, &mut windows.integrity);
        unless(ask.standing, &mut windows.app_container);
        unless(ask.standing, &mut windows.protection);
        unless(ask.signature, &mut windows.signature);
        unless(ask.signature, &mut windows.file_access);
        unless(ask.signature, &mut windows.directory_access);
    }
    facts
}

/// A watch that reports the recorded events, and nothing after them.
struct Replayed {
    clock: ReplayClock,
    batches: std::vec::IntoIter<Vec<Event>>,
}

impl EventSource for Replayed {
    fn origin(&self) -> EventOrigin {
        EventOrigin::Trace
    }

    fn how(&self) -> &str {
        "from memory"
    }

    fn limits(&self) -> &[Limit] {
        &[]
    }

    fn lost(&self) -> Lost {
        Lost::default()
    }

    fn next(&mut self, limit: Duration, visit: &mut dyn FnMut(Event)) -> Result<(), Refused> {
        match self.batches.next() {
            Some(batch) => batch.into_iter().for_each(visit),
            None => {
                self.clock.advance(limit);
                std::thread::sleep(limit.min(PAUSE));
            }
        }
        Ok(())
    }
}

impl System for Replay {
    fn another(&self) -> Box<dyn System + Send> {
        Box::new(self.clone())
    }

    fn kind(&self) -> SystemKind {
        self.kind
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn wait(&mut self, time: Duration) {
        self.clock.advance(time);
    }

    fn windows_host(&mut self) -> Option<WindowsHost> {
        self.windows_host.clone()
    }

    fn boot_id(&self) -> Result<String, Refused> {
        let none = || Refused::failed("this recording has no boot id");
        self.boot_id.clone().ok_or_else(none)
    }

    fn computer_name(&self) -> Vec<u8> {
        self.computer_name.clone()
    }

    fn is_superuser(&self) -> bool {
        self.superuser
    }

    fn unmapped_user(&self) -> Option<u32> {
        self.unmapped_user
    }

    fn user_name(&mut self, uid: u32) -> Option<Arc<str>> {
        self.users.get(&uid).cloned()
    }

    fn group_name(&mut self, gid: u32) -> Option<Arc<str>> {
        self.groups.get(&gid).cloned()
    }

    fn user_id(&mut self, name: &str) -> Option<u32> {
        let called = |entry: (&u32, &Arc<str>)| (**entry.1 == *name).then_some(*entry.0);
        self.users.iter().find_map(called)
    }

    fn interface_name(&mut self, namespace: u32, index: u32) -> Option<Vec<u8>> {
        if namespace != 0 {
            return None;
        }
        let known = self.interfaces.interfaces.as_ref().known()?;
        let interface = known.iter().find(|interface| interface.index.known() == Some(index))?;
        Some(interface.name.to_vec())
    }

    fn own_addresses(&mut self) -> Result<Vec<(IpAddr, u32)>, Refused> {
        Ok(self.own_addresses.clone())
    }

    fn sockets(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        list.clear();
        let last = self.sockets.len().saturating_sub(1);
        if let Some(recorded) = self.sockets.get(self.looks.min(last)) {
            list.clone_from(recorded);
            list.sockets.retain(|socket| wanted(ask, socket));
            let gone = |socket: &Socket| self.destroyed.iter().any(|gone| gone.cookie() == socket.cookie());
            list.sockets.retain(|socket| !gone(socket));
            if !ask.all_namespaces {
                list.sockets.retain(|socket| socket.namespace() == 0);
                list.namespaces.clear();
            }
        }
        self.looks += 1;
    }

    fn owners(&mut self, _: &[Socket], _: &OwnersAsk) -> Result<OwnersFound, Refused> {
        let limits = self.owner_limits.clone();
        Ok(OwnersFound {
            owners: self.owners.clone(),
            limits,
            how: "from memory".to_owned(),
        })
    }

    fn processes(&mut self) -> Result<Vec<u32>, Refused> {
        let mut pids: Vec<u32> = self.processes.iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        Ok(pids)
    }

    fn process(&mut self, pid: u32, ask: &ProcessAsk) -> Result<ProcessFacts, NoProcess> {
        let process = self.processes.iter().find(|process| process.pid == pid);
        Ok(cut(process.ok_or(NoProcess::None)?.clone(), ask))
    }

    fn protocol_statistics(&mut self, _: BlockSet, _: bool) -> (ProtocolStatistics, Vec<Limit>) {
        (self.protocols.clone(), self.protocol_limits.clone())
    }

    fn interface_statistics(&mut self) -> (InterfaceStatistics, Vec<Limit>) {
        (self.interfaces.clone(), self.interface_limits.clone())
    }

    fn metrics(&mut self, ask: &MetricsAsk) -> Metrics {
        let last = self.figures.len().saturating_sub(1);
        let recorded = self.figures.get(self.figure_looks.min(last)).cloned();
        self.figure_looks += 1;
        let mut figures = recorded.unwrap_or_else(|| Metrics::unknown(Why::NotKept));
        if !ask.processes {
            figures.processes = Fact::Unknown(Why::NotAsked);
        }
        figures
    }

    fn table(&mut self, name: &str) -> Result<TableSelection, Refused> {
        match name {
            "all" => Ok(TableSelection::All),
            other => {
                let number = other
                    .parse()
                    .ok()
                    .or_else(|| self.routes.tables.number(other.as_bytes()));
                number.map(TableSelection::One).ok_or_else(|| {
                    Refused::new(
                        RefusedKind::Invalid,
                        format!("unknown routing table \"{other}\": use all, main, or a number"),
                    )
                })
            }
        }
    }

    fn routes(&mut self, tables: TableSelection) -> RouteListing {
        let mut listing = self.routes.clone();
        for routes in [&mut listing.ipv4, &mut listing.ipv6] {
            if let Fact::Known(routes) = routes {
                routes.retain(|route| tables.holds(route.table));
            }
        }
        listing
    }
}

impl Inspect for Replay {
    fn cgroup_paths(&mut self) -> HashMap<u64, Vec<u8>> {
        HashMap::new()
    }

    fn program_file(&mut self, _: u32, _: u64) -> Result<File, Why> {
        Err(Why::NotKept)
    }

    fn file_in_view(&mut self, _: u32, _: u64, _: &[u8]) -> Result<File, Why> {
        Err(Why::NotKept)
    }

    fn process_text(&mut self, _: u32, _: u64, _: ProcessText) -> Result<Vec<u8>, Why> {
        Err(Why::NotKept)
    }
}

impl Events for Replay {
    fn events(&mut self, _: &EventsAsk) -> Result<Box<dyn EventSource>, Refused> {
        let batches = self.events.clone().into_iter();
        let clock = self.clock.clone();
        Ok(Box::new(Replayed { clock, batches }))
    }
}

impl Firewall for Replay {
    fn packet_filter(&mut self) -> PacketFilter {
        self.packet_filter.clone()
    }
}

impl Integrity for Replay {
    fn sockets_as_text(&mut self, ask: &SocketAsk, list: &mut SocketList) -> Result<(), Refused> {
        list.clear();
        let Some(sockets) = &self.sockets_as_text else {
            return Err(Refused::new(
                RefusedKind::NotSupported,
                "this computer has no second view of its sockets",
            ));
        };
        let told = |socket: &&Socket| matches!(socket.protocol(), Protocol::Tcp | Protocol::Udp) && wanted(ask, socket);
        list.sockets.extend(sockets.iter().filter(told).cloned());
        Ok(())
    }

    fn lists_bound_ports(&self) -> bool {
        self.lists_bound_ports
    }

    fn try_ports(&mut self, protocol: Protocol, v6: bool, ports: &[u16]) -> PortTries {
        let taken = |port: &u16| self.taken_ports.contains(&(protocol, v6, *port));
        PortTries {
            taken: ports.iter().copied().filter(taken).collect(),
            ..PortTries::default()
        }
    }

    fn promiscuous(&mut self) -> Result<Vec<(Vec<u8>, u32)>, Refused> {
        Ok(self.promiscuous.clone())
    }
}

impl Checkup for Replay {
    fn checks(&mut self) -> Vec<Check> {
        let check = Check::new(
            CheckArea::Answers,
            "system",
            CheckStatus::Note,
            "a snapshot answers, not this computer",
        );
        vec![check.effect("what the computer of the snapshot allows is not known")]
    }
}

impl Control for Replay {
    fn destroy(&mut self, socket: &Socket) -> Result<(), NotDestroyed> {
        let Some(cookie) = socket.cookie() else {
            return Err(NotDestroyed::NoCookie);
        };
        let mut told = self.sockets.iter().flat_map(|list| &list.sockets);
        let exists = told.any(|told| told.cookie() == Some(cookie));
        if !exists || self.destroyed.iter().any(|gone| gone.cookie() == Some(cookie)) {
            return Err(NotDestroyed::Gone);
        }
        self.destroyed.push(socket.clone());
        Ok(())
    }

    fn signal(&mut self, _: ProcessKey, _: Signal) -> Result<(), Refused> {
        Err(Refused::new(
            RefusedKind::NotSupported,
            "this is a recording: its processes cannot be signalled",
        ))
    }
}
