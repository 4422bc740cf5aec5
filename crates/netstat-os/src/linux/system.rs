//! The running Linux system.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use netstat_model::counters::{BlockSet, InterfaceStatistics, ProtocolStatistics};
use netstat_model::metrics::{Metrics, ProcessKey};
use netstat_model::packet_filter::PacketFilter;
use netstat_model::process::ProcessFacts;
use netstat_model::reach::LocalNetwork;
use netstat_model::route::{MulticastGroup, RouteAnswer, RouteListing, RouteQuery, TableSelection};
use netstat_model::{Component, Limit, Moment, Protocol, Socket, SystemKind, Transfer, Why, text::plain_error};

use super::dns_watch::DnsWatch;
use super::events::Watch;
use super::metrics::FigureReader;
use super::owner_source::OwnerFinder;
use super::process::ProcessReader;
use super::sockets::{SocketReader, lists_bound_ports};
use super::{cgroups, checks, counters, packet_filter, port_probe, privilege, routes, users};
use crate::accounts::Accounts;
use crate::{
    Caught, Check, Checkup, Confined, Confinement, Control, DnsAnswers, EventSource, Events, EventsAsk,
    FileSystemSpace, Firewall, Inspect, Integrity, MetricsAsk, NoProcess, NotDestroyed, OpenFile, OwnersAsk,
    OwnersFound, PortTries, ProcessAsk, ProcessText, Refused, RefusedKind, Signal, SocketAsk, SocketList, System,
};

/// Converts an error of netlink.
fn netlink_refused(error: routes::NetlinkError) -> Refused {
    let kind = match error.why() {
        Why::NotPermitted => RefusedKind::NotPermitted,
        Why::NotSupported => RefusedKind::NotSupported,
        _ => RefusedKind::Failed,
    };
    Refused::new(kind, plain_error(&error))
}

/// The network of the calling thread, and the processes in `/proc`.
#[derive(Debug)]
pub struct Linux {
    proc: PathBuf,
    sockets: SocketReader,
    owners: OwnerFinder,
    figures: FigureReader,
    accounts: Accounts,
    processes: ProcessReader,
    whole_process: bool,
}

impl Linux {
    /// Creates the system for a program that has its process to itself: only this one can be confined by
    /// [`Control::confine`].
    pub fn of_whole_process() -> Self {
        Linux {
            whole_process: true,
            ..Linux::default()
        }
    }
}

impl Default for Linux {
    fn default() -> Self {
        let proc = PathBuf::from("/proc");
        Linux {
            sockets: SocketReader::new(&proc),
            owners: OwnerFinder::new(&proc),
            figures: FigureReader::new(&proc),
            accounts: Accounts::default(),
            processes: ProcessReader::new(&proc),
            proc,
            whole_process: false,
        }
    }
}

impl System for Linux {
    fn another(&self) -> Box<dyn System + Send> {
        Box::new(Linux::default())
    }

    fn kind(&self) -> SystemKind {
        SystemKind::Linux
    }

    fn now(&self) -> Moment {
        super::events::moment()
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn boot_id(&self) -> Result<String, Refused> {
        super::boot_id().map_err(|error| Refused::from_io("the id of this boot", &error))
    }

    fn computer_name(&self) -> Vec<u8> {
        rustix::system::uname().nodename().to_bytes().to_vec()
    }

    fn is_superuser(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn unmapped_user(&self) -> Option<u32> {
        users::unmapped(&self.proc)
    }

    fn user_name(&mut self, uid: u32) -> Option<Arc<str>> {
        self.accounts.user(uid)
    }

    fn group_name(&mut self, gid: u32) -> Option<Arc<str>> {
        self.accounts.group(gid)
    }

    fn user_id(&mut self, name: &str) -> Option<u32> {
        self.accounts.user_id(name)
    }

    fn interface_name(&mut self, namespace: u32, index: u32) -> Option<Vec<u8>> {
        let _raised = privilege::raised();
        self.sockets.interface_name(namespace, index)
    }

    fn own_addresses(&mut self) -> Result<Vec<(IpAddr, u32)>, Refused> {
        let _raised = privilege::raised();
        let addresses = routes::addresses().map_err(netlink_refused)?;
        Ok(addresses.rows.iter().map(|own| (own.address, own.interface)).collect())
    }

    fn sockets(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        let _raised = privilege::raised();
        self.sockets.read(ask, list);
    }

    fn each_socket(&mut self, ask: &SocketAsk, list: &mut SocketList, visit: &mut dyn FnMut(Socket)) {
        let _raised = privilege::raised();
        self.sockets.each(ask, list, visit);
    }

    fn progress(&mut self, cookies: &HashSet<u64>, all_namespaces: bool) -> Vec<Transfer> {
        let _raised = privilege::raised();
        self.sockets.progress(cookies, all_namespaces)
    }

    fn owners(&mut self, sockets: &[Socket], ask: &OwnersAsk) -> Result<OwnersFound, Refused> {
        let _raised = privilege::raised();
        self.owners.find(sockets, ask, &mut self.sockets)
    }

    fn processes(&mut self) -> Result<Vec<u32>, Refused> {
        let _raised = privilege::raised();
        self.processes.list()
    }

    fn process(&mut self, pid: u32, ask: &ProcessAsk) -> Result<ProcessFacts, NoProcess> {
        let _raised = privilege::raised();
        self.processes.read(pid, ask)
    }

    fn protocol_statistics(&mut self, blocks: BlockSet, further: bool) -> (ProtocolStatistics, Vec<Limit>) {
        let _raised = privilege::raised();
        counters::protocol_statistics(&self.proc, counters::Wanted { blocks, further })
    }

    fn interface_statistics(&mut self) -> (InterfaceStatistics, Vec<Limit>) {
        let _raised = privilege::raised();
        counters::interface_statistics(&self.proc)
    }

    fn metrics(&mut self, ask: &MetricsAsk) -> Metrics {
        let _raised = privilege::raised();
        self.figures.read(ask)
    }

    fn table(&mut self, name: &str) -> Result<TableSelection, Refused> {
        routes::select_tables(name).map_err(|unknown| Refused::new(RefusedKind::Invalid, unknown.to_string()))
    }

    fn route_to(&mut self, query: &RouteQuery) -> Result<RouteAnswer, Refused> {
        let _raised = privilege::raised();
        routes::way(query).map_err(netlink_refused)
    }

    fn multicast_groups(&mut self) -> Result<Vec<MulticastGroup>, Refused> {
        super::multicast::groups(&self.proc)
    }

    fn local_network(&mut self, namespace: u32) -> LocalNetwork {
        let proc = self.proc.clone();
        let read = self.sockets.within(namespace, || routes::local_network(&proc));
        read.unwrap_or_else(|error| LocalNetwork::unknown(counters::why(&error)))
    }

    fn routes(&mut self, tables: TableSelection) -> RouteListing {
        let _raised = privilege::raised();
        routes::listing(tables)
    }
}

impl Inspect for Linux {
    fn has_files(&self) -> bool {
        true
    }

    fn cgroup_paths(&mut self) -> HashMap<u64, Vec<u8>> {
        let _raised = privilege::raised();
        cgroups::paths(&self.proc)
    }

    fn program_file(&mut self, pid: u32, start_ticks: u64) -> Result<File, Why> {
        self.processes.program_file(pid, start_ticks)
    }

    fn file_in_view(&mut self, pid: u32, start_ticks: u64, path: &[u8]) -> Result<File, Why> {
        self.processes.file_in_view(pid, start_ticks, path)
    }

    fn process_text(&mut self, pid: u32, start_ticks: u64, which: ProcessText) -> Result<Vec<u8>, Why> {
        self.processes.text(pid, start_ticks, which)
    }

    fn open_files(&mut self, pid: u32, start_ticks: u64) -> Result<Vec<OpenFile>, Why> {
        let _raised = privilege::raised();
        self.processes.open_files(pid, start_ticks)
    }

    fn open_file(&mut self, pid: u32, start_ticks: u64, number: u32) -> Result<File, Why> {
        self.processes.open_file(pid, start_ticks, number)
    }

    fn file_systems(&mut self) -> Result<Vec<FileSystemSpace>, Why> {
        super::file_systems::read().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Why::NotPermitted,
            _ => Why::Failed,
        })
    }

    fn components_of(&self, path: &[u8]) -> Vec<Component> {
        super::components_of(path)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        super::is_locked(path)
    }
}

impl Events for Linux {
    fn events(&mut self, ask: &EventsAsk) -> Result<Box<dyn EventSource>, Refused> {
        let _raised = privilege::raised();
        Ok(Box::new(Watch::open(&self.proc, ask)?))
    }

    fn dns_answers(&mut self) -> Result<Box<dyn DnsAnswers>, Refused> {
        Ok(Box::new(DnsWatch::open()?))
    }
}

impl Firewall for Linux {
    fn packet_filter(&mut self) -> PacketFilter {
        let _raised = privilege::raised();
        packet_filter::packet_filter(&self.proc)
    }
}

impl Integrity for Linux {
    fn sockets_as_text(&mut self, ask: &SocketAsk, list: &mut SocketList) -> Result<(), Refused> {
        let _raised = privilege::raised();
        self.sockets.read_as_text(ask, list)
    }

    fn lists_bound_ports(&self) -> bool {
        lists_bound_ports()
    }

    fn try_ports(&mut self, protocol: Protocol, v6: bool, ports: &[u16]) -> PortTries {
        port_probe::try_ports(protocol, v6, ports)
    }

    fn promiscuous(&mut self) -> Result<Vec<(Vec<u8>, u32)>, Refused> {
        let _raised = privilege::raised();
        let found = routes::promiscuous().map_err(netlink_refused)?;
        Ok(found.rows)
    }
}

impl Checkup for Linux {
    fn checks(&mut self) -> Vec<Check> {
        let proc = self.proc.clone();
        checks::all(self, &proc)
    }
}

impl Control for Linux {
    fn destroy(&mut self, socket: &Socket) -> Result<(), NotDestroyed> {
        self.sockets.destroy(socket)
    }

    fn signal(&mut self, process: ProcessKey, signal: Signal) -> Result<(), Refused> {
        self.figures.signal(process, signal)
    }

    fn confine(&mut self, how: &Confinement) -> Option<Confined> {
        self.whole_process.then(|| crate::confine(how))
    }

    fn catch_signals(&mut self, notify: Box<dyn FnMut(Caught) + Send>) -> io::Result<()> {
        crate::catch_signals(notify)
    }
}
