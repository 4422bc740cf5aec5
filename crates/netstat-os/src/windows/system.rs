//! The running Windows as a [`System`].

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use netstat_model::counters::{BlockSet, InterfaceStatistics, ProtocolStatistics};
use netstat_model::metrics::{Metrics, ProcessKey};
use netstat_model::process::{FileTime, ProcessFacts};
use netstat_model::route::{
    Route, RouteAnswer, RouteListing, RouteQuery, RouteWay, TABLE_MAIN, TableNames, TableSelection, sort_interfaces,
    sort_routes,
};
use netstat_model::windows_host::WindowsHost;
use netstat_model::{Fact, Family, Limit, Moment, Protocol, Socket, State, SystemKind, Why, text::plain_error};

use super::disks::Volume;
use super::facts::Worth;
use super::figures::{self, Figures};
use super::listing::{self, RowFacts};
use super::poll::PollWatch;
use super::source::{NetworkTrace, Offer, Source, is_not_supported};
use super::text::to_bytes;
use super::trace_watch::TraceWatch;
use super::{facts, interfaces, owners, processes, statistics};
use crate::{
    Caught, Control, EventSource, EventWay, Events, EventsAsk, FileSystemSpace, Firewall, Inspect, Integrity,
    MetricsAsk, NoProcess, NotDestroyed, OwnersAsk, OwnersFound, PortTries, ProcessAsk, Refused, RefusedKind, Signal,
    SocketAsk, SocketList, System,
};

/// Windows, asked through `S`.
#[derive(Debug)]
pub struct Windows<S> {
    source: S,
    facts: RowFacts,
    figures: Figures,
    interface_names: HashMap<u32, Vec<u8>>,
    /// What files of programs are worth, by path, size and times.
    worth: HashMap<(Vec<u8>, u64, FileTime, FileTime), Worth>,
    /// The zero of the clock of readings.
    started: Instant,
}

impl<S: Source + Default> Default for Windows<S> {
    fn default() -> Self {
        Windows::new(S::default())
    }
}

impl<S: Source + Default> Windows<S> {
    /// The same as the default: nothing here belongs to one thread alone.
    pub fn of_whole_process() -> Self {
        Windows::default()
    }
}

impl<S: Source> Windows<S> {
    /// A system that asks `source`.
    pub fn new(source: S) -> Self {
        Windows {
            source,
            facts: RowFacts::default(),
            figures: Figures::default(),
            interface_names: HashMap::new(),
            worth: HashMap::new(),
            started: Instant::now(),
        }
    }

    /// What the program of a process is worth; asked once for each file as it is.
    fn worth(&mut self, facts: &ProcessFacts) -> Worth {
        /// More programs than run on any computer; then it begins again.
        const MOST: usize = 4096;
        let program = match &facts.program {
            Fact::Known(program) => program,
            Fact::Unknown(why) => return Worth::unknown(*why),
        };
        let Fact::Known(file) = program.current else {
            return Worth::of(&mut self.source, &program.path);
        };
        let key = (program.path.clone(), file.size, file.modified, file.changed);
        if let Some(known) = self.worth.get(&key) {
            return known.clone();
        }
        let worth = Worth::of(&mut self.source, &program.path);
        if self.worth.len() >= MOST {
            self.worth.clear();
        }
        self.worth.insert(key, worth.clone());
        worth
    }

    fn process_list(&mut self) -> Result<Vec<processes::ProcessEntry>, Refused> {
        let buffer = self
            .source
            .processes()
            .map_err(|error| Refused::from_io("the list of processes", &error))?;
        processes::processes(&buffer).map_err(|error| Refused::failed(plain_error(&error)))
    }
}

/// Now, on both clocks.
fn moment(source: &impl Source) -> Moment {
    Moment {
        wall: SystemTime::now(),
        since_boot: u64::try_from(source.since_boot().as_nanos()).unwrap_or(u64::MAX),
    }
}

impl<S: Source + Clone + Send + 'static> System for Windows<S> {
    fn another(&self) -> Box<dyn System + Send> {
        Box::new(Windows::new(self.source.clone()))
    }

    fn kind(&self) -> SystemKind {
        SystemKind::Windows
    }

    fn now(&self) -> Moment {
        moment(&self.source)
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn boot_id(&self) -> Result<String, Refused> {
        // Windows has no such id. The moment at which the oldest process started, to 100 ns, does not come twice, stays when the clock is
        // set, and that process (System, or the session manager) runs until the end.
        let buffer = self
            .source
            .clone()
            .processes()
            .map_err(|error| Refused::from_io("the list of processes", &error))?;
        let list = processes::processes(&buffer).map_err(|error| Refused::failed(plain_error(&error)))?;
        let oldest = list
            .iter()
            .map(|entry| entry.created)
            .filter(|&created| created != 0)
            .min();
        match oldest {
            Some(created) => Ok(format!("windows-{created:016x}")),
            None => Err(Refused::failed("no process tells when it started")),
        }
    }

    fn computer_name(&self) -> Vec<u8> {
        to_bytes(&self.source.computer_name())
    }

    fn is_superuser(&self) -> bool {
        self.source.is_elevated()
    }

    fn user_name(&mut self, _: u32) -> Option<Arc<str>> {
        None
    }

    fn group_name(&mut self, _: u32) -> Option<Arc<str>> {
        None
    }

    fn user_id(&mut self, _: &str) -> Option<u32> {
        None
    }

    fn interface_name(&mut self, namespace: u32, index: u32) -> Option<Vec<u8>> {
        if namespace != 0 {
            return None;
        }
        if self.interface_names.is_empty() {
            let table = self.source.interfaces().ok()?;
            let rows = interfaces::interfaces(&table).ok()?;
            self.interface_names = rows
                .into_iter()
                .map(|row| (row.interface.index.get(), row.counters.name.into_vec()))
                .collect();
        }
        self.interface_names.get(&index).cloned()
    }

    fn own_addresses(&mut self) -> Result<Vec<(IpAddr, u32)>, Refused> {
        let table = self
            .source
            .addresses()
            .map_err(|error| Refused::from_io("the computer's addresses", &error))?;
        let rows = interfaces::addresses(&table).map_err(|error| Refused::failed(plain_error(&error)))?;
        Ok(rows.iter().map(|own| (own.address, own.interface)).collect())
    }

    fn sockets(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        listing::read(&mut self.source, ask, list, &mut self.facts);
    }

    fn owners(&mut self, sockets: &[Socket], ask: &OwnersAsk) -> Result<OwnersFound, Refused> {
        owners::find(&mut self.source, sockets, ask, &mut self.facts)
    }

    fn processes(&mut self) -> Result<Vec<u32>, Refused> {
        let list = self.process_list()?;
        Ok(list.iter().map(|entry| entry.pid).filter(|&pid| pid != 0).collect())
    }

    fn process(&mut self, pid: u32, ask: &ProcessAsk) -> Result<ProcessFacts, NoProcess> {
        let list = self
            .process_list()
            .map_err(|refused| NoProcess::Failed(refused.message))?;
        let mut facts = facts::read(&mut self.source, &list, pid, ask)?;
        if ask.signature {
            self.worth(&facts).tell(&mut facts);
        }
        Ok(facts)
    }

    fn windows_host(&mut self) -> Option<WindowsHost> {
        Some(super::host::read(&mut self.source))
    }

    fn protocol_statistics(&mut self, _: BlockSet, _: bool) -> (ProtocolStatistics, Vec<Limit>) {
        let (tables, tcp6_differs) = self.source.statistics();
        let mut limits = Vec::new();
        if !tcp6_differs {
            limits.push(Limit {
                what: "the counters of TCP over IPv6 are missing".to_owned(),
                why: "this system answers with those of IPv4".to_owned(),
                remedy: None,
            });
        }
        (
            statistics::statistics(self.started.elapsed(), &tables, tcp6_differs),
            limits,
        )
    }

    fn interface_statistics(&mut self) -> (InterfaceStatistics, Vec<Limit>) {
        let mut limits = Vec::new();
        let statistics = figures::interface_statistics(&mut self.source, self.started, &mut limits);
        (statistics, limits)
    }

    fn metrics(&mut self, ask: &MetricsAsk) -> Metrics {
        self.figures.read(&mut self.source, ask, self.started)
    }

    fn table(&mut self, name: &str) -> Result<TableSelection, Refused> {
        match name {
            "main" | "all" | "254" => Ok(TableSelection::One(TABLE_MAIN)),
            _ => Err(Refused::new(
                RefusedKind::Invalid,
                format!("there is no routing table \"{name}\": Windows has one, main"),
            )),
        }
    }

    fn route_to(&mut self, query: &RouteQuery) -> Result<RouteAnswer, Refused> {
        let (row, source) = match self.source.best_route(query.to, query.from) {
            Ok(answer) => answer,
            // Wine has the function and not the answer: then the table is searched.
            Err(error) if is_not_supported(&error) => {
                let way = self.way_by_table(query);
                return Ok(way.map_or_else(|| RouteAnswer::None(plain_error(&error)), RouteAnswer::Way));
            }
            Err(error) => return Ok(RouteAnswer::None(plain_error(&error))),
        };
        let metrics = self.interface_metrics().unwrap_or_default();
        let metric = |interface| metric_of(&metrics, query.to.is_ipv4(), interface);
        let mut answer =
            interfaces::route(&row, &metric).ok_or_else(|| Refused::failed("the answer makes no sense"))?;
        answer.preferred_source = interfaces::source_address(&source);
        Ok(RouteAnswer::Way(Box::new(RouteWay {
            query: *query,
            matched: Some(answer.clone()),
            answer,
        })))
    }

    fn routes(&mut self, _: TableSelection) -> RouteListing {
        let mut limits = Vec::new();
        let interfaces = interface_list(&mut self.source, &mut limits);
        let addresses = told(
            self.source.addresses(),
            interfaces::addresses,
            "the addresses of interfaces are missing",
            &mut limits,
        );
        let metrics = self.interface_metrics().unwrap_or_default();
        let mut family = |family: Family, limits: &mut Vec<Limit>| {
            let is_v4 = family == Family::V4;
            let read = |table: &[u8]| interfaces::routes(table, |interface| metric_of(&metrics, is_v4, interface));
            let what = format!("the routes over {} are missing", family.name());
            told(self.source.routes(family), read, &what, limits)
        };
        let (mut ipv4, mut ipv6) = (family(Family::V4, &mut limits), family(Family::V6, &mut limits));
        if let Fact::Known(routes) = &mut ipv4 {
            add_persistent(&mut self.source, routes, &mut limits);
        }
        for routes in [&mut ipv4, &mut ipv6] {
            if let Fact::Known(routes) = routes {
                sort_routes(routes);
            }
        }
        RouteListing {
            interfaces,
            addresses,
            ipv4,
            ipv6,
            rules: Fact::Known(Vec::new()),
            tables: TableNames::default(),
            limits,
        }
    }
}

impl<S: Source> Windows<S> {
    /// The way to an address by the routing table: the longest prefix wins, then the smallest metric.
    fn way_by_table(&mut self, query: &RouteQuery) -> Option<Box<RouteWay>> {
        let is_v4 = query.to.is_ipv4();
        let metrics = self.interface_metrics().unwrap_or_default();
        let table = self.source.routes(if is_v4 { Family::V4 } else { Family::V6 }).ok()?;
        let routes = interfaces::routes(&table, |interface| metric_of(&metrics, is_v4, interface)).ok()?;
        let fitting = routes.into_iter().filter(|route| route.destination.holds(query.to));
        let mut answer = fitting.min_by_key(|route| (std::cmp::Reverse(route.destination.length), route.metric))?;
        let interface = answer.next_hops.as_slice().first().and_then(|hop| hop.interface)?.get();
        let addresses = self.source.addresses().ok()?;
        let own = interfaces::addresses(&addresses).ok()?;
        let of_interface = own
            .iter()
            .find(|own| own.interface == interface && own.address.is_ipv4() == is_v4);
        answer.preferred_source = of_interface.map(|own| own.address);
        Some(Box::new(RouteWay {
            query: *query,
            matched: Some(answer.clone()),
            answer,
        }))
    }

    fn interface_metrics(&mut self) -> Option<Vec<(bool, u32, u32)>> {
        let table = self.source.ip_interfaces().ok()?;
        interfaces::interface_metrics(&table).ok()
    }
}

fn metric_of(metrics: &[(bool, u32, u32)], is_v4: bool, interface: u32) -> u32 {
    let found = metrics.iter().find(|row| row.0 == is_v4 && row.1 == interface);
    found.map_or(0, |row| row.2)
}

fn told<T>(
    answer: io::Result<Vec<u8>>,
    read: impl Fn(&[u8]) -> Result<Vec<T>, super::bytes::Malformed>,
    what: &str,
    limits: &mut Vec<Limit>,
) -> Fact<Vec<T>> {
    let rows = answer.map_err(|error| plain_error(&error));
    match rows.and_then(|table| read(&table).map_err(|error| plain_error(&error))) {
        Ok(rows) => Fact::Known(rows),
        Err(why) => {
            limits.push(Limit {
                what: what.to_owned(),
                why,
                remedy: None,
            });
            Fact::Unknown(Why::Failed)
        }
    }
}

fn interface_list(source: &mut impl Source, limits: &mut Vec<Limit>) -> Fact<Vec<netstat_model::route::Interface>> {
    let rows = told(
        source.interfaces(),
        interfaces::interfaces,
        "the interfaces are missing",
        limits,
    );
    rows.map(|rows| {
        let mut list: Vec<_> = rows.into_iter().map(|row| row.interface).collect();
        sort_interfaces(&mut list);
        list
    })
}

/// Marks the routes that the registry makes again at each start as persistent. Those that are not in force are there, too, as
/// `route print` shows them.
fn add_persistent(source: &mut impl Source, routes: &mut Vec<Route>, limits: &mut Vec<Limit>) {
    let names = match source.persistent_routes() {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            return limits.push(Limit {
                what: "persistent routes are missing".to_owned(),
                why: plain_error(&error),
                remedy: None,
            });
        }
    };
    for route in names.iter().filter_map(|name| interfaces::persistent(name)) {
        let gateway = |route: &Route| route.next_hops.as_slice().first().and_then(|hop| hop.gateway);
        let active = routes
            .iter_mut()
            .find(|active| active.destination == route.destination && gateway(active) == gateway(&route));
        match active {
            Some(active) => active.protocol = route.protocol,
            None => routes.push(route),
        }
    }
}

impl<S: Source> Inspect for Windows<S> {
    fn has_files(&self) -> bool {
        true
    }

    fn file_systems(&mut self) -> Result<Vec<FileSystemSpace>, Why> {
        let space = |volume: &Volume| FileSystemSpace {
            device: (volume.disk, 0),
            mount_point: format!(r"{}:\", volume.letter).into_bytes(),
            total: volume.total,
            available: volume.available,
        };
        Ok(self.source.volumes().iter().map(space).collect())
    }

    fn program_file(&mut self, pid: u32, start_ticks: u64) -> Result<File, Why> {
        let (path, created) = self.source.image(pid)?;
        match created == start_ticks {
            true => open(&to_bytes(&path)),
            false => Err(Why::Gone),
        }
    }

    fn file_in_view(&mut self, pid: u32, start_ticks: u64, path: &[u8]) -> Result<File, Why> {
        let (_, created) = self.source.image(pid)?;
        match created == start_ticks {
            // A relative path begins at a directory that Windows does not tell.
            true if netstat_model::text::is_windows_path(path) => open(path),
            true => Err(Why::NotSupported),
            false => Err(Why::Gone),
        }
    }
}

/// The plain file at `path`.
fn open(path: &[u8]) -> Result<File, Why> {
    let file = File::open(crate::files::path_of(path.to_vec())).map_err(|error| crate::files::why(&error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(Why::NotApplicable),
        Err(error) => Err(crate::files::why(&error)),
    }
}

impl<S: Source + Clone + Send + 'static> Events for Windows<S> {
    fn events(&mut self, ask: &EventsAsk) -> Result<Box<dyn EventSource>, Refused> {
        let refused = match ask.way {
            EventWay::Poll => None,
            EventWay::Netlink => {
                let why = "Windows has no netlink: --events trace (ETW) or poll";
                return Err(Refused::new(RefusedKind::NotSupported, why));
            }
            EventWay::Auto | EventWay::Trace => match self.network_trace() {
                Ok(trace) => {
                    let poll = PollWatch::new(self.source.clone(), ask, moment, None);
                    return Ok(Box::new(TraceWatch::new(poll, self.source.clone(), trace)));
                }
                Err(error) if ask.way == EventWay::Trace => return Err(Refused::from_io("ETW", &error)),
                Err(error) => Some(error),
            },
        };
        Ok(Box::new(PollWatch::new(
            self.source.clone(),
            ask,
            moment,
            refused.as_ref(),
        )))
    }
}

impl<S: Source> Windows<S> {
    fn network_trace(&mut self) -> io::Result<Box<dyn NetworkTrace>> {
        match self.source.is_elevated() {
            true => self.source.network_trace(),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl<S: Source> Firewall for Windows<S> {}

impl<S: Source> crate::Checkup for Windows<S> {
    fn checks(&mut self) -> Vec<crate::Check> {
        super::checks::all(&mut self.source)
    }
}

impl<S: Source + Clone> Integrity for Windows<S> {
    fn lists_bound_ports(&self) -> bool {
        let mut source = self.source.clone();
        [Family::V4, Family::V6]
            .into_iter()
            .all(|family| matches!(source.bound_table(family), Ok(Offer::Has(_))))
    }

    fn try_ports(&mut self, protocol: Protocol, v6: bool, ports: &[u16]) -> PortTries {
        let mut tries = PortTries::default();
        for &port in ports {
            match self.source.bind_alone(protocol == Protocol::Udp, v6, port) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => tries.taken.push(port),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => tries.forbidden += 1,
                Err(_) => tries.failed += 1,
            }
        }
        tries
    }
}

impl<S: Source> Control for Windows<S> {
    fn destroy(&mut self, socket: &Socket) -> Result<(), NotDestroyed> {
        if socket.protocol() != Protocol::Tcp || socket.state() == State::Listening {
            return Err(NotDestroyed::Kind);
        }
        let (IpAddr::V4(local), IpAddr::V4(foreign)) = (socket.local().address, socket.foreign().address) else {
            return Err(NotDestroyed::Kind);
        };
        // MIB_TCPROW: state 12 (DELETE_TCB), then addresses and ports in network order.
        let mut row = [0; 20];
        row[..4].copy_from_slice(&12u32.to_le_bytes());
        row[4..8].copy_from_slice(&local.octets());
        row[8..10].copy_from_slice(&socket.local().port.to_be_bytes());
        row[12..16].copy_from_slice(&foreign.octets());
        row[16..18].copy_from_slice(&socket.foreign().port.to_be_bytes());
        self.source.close_connection(&row).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => NotDestroyed::NotPermitted,
            io::ErrorKind::NotFound => NotDestroyed::Gone,
            io::ErrorKind::Unsupported => NotDestroyed::NotSupported,
            _ => NotDestroyed::Failed(plain_error(&error)),
        })
    }

    fn signal(&mut self, process: ProcessKey, signal: Signal) -> Result<(), Refused> {
        let done = match signal {
            Signal::Stop => self.source.suspend_process(process.pid, process.start_ticks, true),
            Signal::Continue => self.source.suspend_process(process.pid, process.start_ticks, false),
            Signal::Kill => self.source.end_process(process.pid, process.start_ticks, true),
            Signal::Terminate | Signal::Interrupt | Signal::HangUp => {
                self.source.end_process(process.pid, process.start_ticks, false)
            }
        };
        done.map_err(|error| Refused::from_io(format!("process {}", process.pid), &error))
    }

    fn catch_signals(&mut self, notify: Box<dyn FnMut(Caught) + Send>) -> io::Result<()> {
        crate::catch_signals(notify)
    }
}
