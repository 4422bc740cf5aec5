//! The questions a program may ask of a system.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::counters::{BlockSet, InterfaceStatistics, ProtocolStatistics};
use netstat_model::metrics::Metrics;
use netstat_model::process::ProcessFacts;
use netstat_model::reach::LocalNetwork;
use netstat_model::route::{MulticastGroup, RouteAnswer, RouteListing, RouteQuery, TableSelection};
use netstat_model::windows_host::WindowsHost;
use netstat_model::{Extras, Limit, Moment, Owners, Socket, State, SystemKind, Transfer, Why};

use crate::{
    Checkup, Control, Events, Firewall, Inspect, Integrity, MetricsAsk, NoProcess, ProcessAsk, Refused, RefusedKind,
    SocketAsk, SocketList,
};

/// The states in which a connection has figures of its own.
pub(crate) const MOVING: [State; 7] = [
    State::Established,
    State::SynSent,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::LastAck,
    State::Closing,
];

/// How the owners of sockets are to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnerSource {
    /// The fastest way that is permitted and reports everything.
    #[default]
    Auto,
    /// By the kernel's iterator over descriptors (eBPF) only.
    Iterator,
    /// By the walk through every process's descriptors only.
    Walk,
}

/// What is wanted of the owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnersAsk {
    /// How to look.
    pub source: OwnerSource,
    /// The start time and short name of each process.
    pub start: bool,
    /// The program file of each process.
    pub image: bool,
    /// The short name of each process and how it was started.
    pub names: bool,
    /// What each process runs in: units and containers.
    pub components: bool,
    /// Whether the same will be asked again soon, so that it pays to remember findings.
    pub repeated: bool,
}

impl OwnersAsk {
    /// How a watch that polls looks for owners: again and again, and with the start, by which a process is known.
    pub(crate) fn of_watch() -> OwnersAsk {
        OwnersAsk {
            start: true,
            repeated: true,
            ..OwnersAsk::default()
        }
    }
}

/// The owners found.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnersFound {
    /// Who holds what.
    pub owners: Owners,
    /// What could not be seen.
    pub limits: Vec<Limit>,
    /// How it was done and why not otherwise, in plain words for `--verbose`.
    pub how: String,
}

/// Why a socket was not closed for its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDestroyed {
    /// The caller lacks the privilege: on Linux `CAP_NET_ADMIN` in the user namespace of the network.
    NotPermitted,
    /// The running kernel does not offer it: on Linux, built without `CONFIG_INET_DIAG_DESTROY`.
    NotSupported,
    /// It is gone already, or another socket is at its addresses now.
    Gone,
    /// Sockets of this kind cannot be closed from outside.
    Kind,
    /// It carries no cookie, so that it cannot be distinguished from a later one at the same addresses.
    NoCookie,
    /// Anything else, in the system's words.
    Failed(String),
}

impl NotDestroyed {
    /// The reason, with what helps on this system.
    pub fn reason(&self, system: SystemKind) -> &str {
        let windows = system == SystemKind::Windows;
        match self {
            NotDestroyed::NotPermitted if windows => {
                "not permitted: closing a connection needs the rights of an administrator (try an elevated prompt)"
            }
            NotDestroyed::NotPermitted => "not permitted: closing a connection needs CAP_NET_ADMIN (try sudo)",
            NotDestroyed::NotSupported if windows => "this version of Windows cannot close connections from outside",
            NotDestroyed::NotSupported => "the running kernel cannot close connections from outside",
            NotDestroyed::Gone => "it has ended already",
            NotDestroyed::Kind if windows => "Windows closes only TCP connections over IPv4 from outside",
            NotDestroyed::Kind => "only TCP, UDP and RAW sockets can be closed from outside",
            NotDestroyed::NoCookie => "the system told no cookie for it, so it might be another one by now",
            NotDestroyed::Failed(words) => words,
        }
    }
}

impl fmt::Display for NotDestroyed {
    /// The reason in the terms of the system that this program runs on; see [`NotDestroyed::reason`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason(crate::NATIVE_KIND))
    }
}

impl std::error::Error for NotDestroyed {}

/// A computer that can be asked: the questions that every system must answer. Implemented by the running system, and by
/// [`crate::Replay`] from memory. The supertraits hold what a system may lack, with "not supported" as the default.
///
/// Answers never fail as a whole where a part of them can be had: what is missing is unknown in the answer and reported as a
/// [`Limit`].
pub trait System: Inspect + Events + Firewall + Integrity + Checkup + Control {
    /// Another handle on the same computer, for a thread of its own. It shares nothing with this one but the clock.
    fn another(&self) -> Box<dyn System + Send>;

    /// Which operating system it is: hints are given in its terms.
    fn kind(&self) -> SystemKind;

    /// Now, on both clocks.
    fn now(&self) -> Moment;

    /// Waits for `time`. A replay moves its clock instead.
    fn wait(&mut self, time: Duration);

    /// The id of this boot: random, and the same until the next.
    ///
    /// # Errors
    /// When the system does not say.
    fn boot_id(&self) -> Result<String, Refused>;

    /// The computer's name as the system keeps it: not necessarily a proper host name.
    fn computer_name(&self) -> Vec<u8>;

    /// Whether the caller is the system's superuser, to whom `sudo` gives nothing more.
    fn is_superuser(&self) -> bool;

    /// The number that stands for every user and group that has none where the caller is: on Linux the overflow number of
    /// user_namespaces(7). `None` where all have one. Who owns a file of this number cannot be said.
    fn unmapped_user(&self) -> Option<u32> {
        None
    }

    /// The name of the user with number `uid`, as the account database of this computer has it; `None` when it has none. Asked
    /// for once and remembered.
    fn user_name(&mut self, uid: u32) -> Option<Arc<str>>;

    /// The name of the group with number `gid`; see [`System::user_name`].
    fn group_name(&mut self, gid: u32) -> Option<Arc<str>>;

    /// The number of the user called `name` in the system's account database; `None` when there is none.
    fn user_id(&mut self, name: &str) -> Option<u32>;

    /// The name of the interface with this index in a network namespace: 0 is the caller's own, others are those of the last
    /// listing of all namespaces ([`Socket::namespace`]). `None` when there is none.
    fn interface_name(&mut self, namespace: u32, index: u32) -> Option<Vec<u8>>;

    /// The computer's own addresses, each with the index of its interface.
    ///
    /// # Errors
    /// When the system does not report it.
    fn own_addresses(&mut self) -> Result<Vec<(IpAddr, u32)>, Refused>;

    /// The sockets that `ask` wants, in no order; `list` is emptied first and keeps its memory.
    fn sockets(&mut self, ask: &SocketAsk, list: &mut SocketList);

    /// Shows every socket that `ask` wants to `visit` as soon as it is read, so that not all of them need to be in memory with all that
    /// was asked for. A socket may be shown twice, when reading had to begin again: the last time holds. `list` has the rest
    /// ([`SocketList::limits`] and so on); its sockets are empty in the end.
    fn each_socket(&mut self, ask: &SocketAsk, list: &mut SocketList, visit: &mut dyn FnMut(Socket)) {
        self.sockets(ask, list);
        list.sockets.drain(..).for_each(visit);
    }

    /// What the open TCP connections with these cookies have moved so far, in no order; with `all_namespaces` also in other network
    /// namespaces, as far as they may be entered. What is unknown is missing. Where it can, a system keeps no list of all sockets
    /// for it: there may be very many, and few are asked for.
    fn progress(&mut self, cookies: &HashSet<u64>, all_namespaces: bool) -> Vec<Transfer> {
        let ask = SocketAsk {
            tcp4: true,
            tcp6: true,
            tcp_states: MOVING.to_vec(),
            extra: Extras::TCP,
            all_namespaces,
            ..SocketAsk::default()
        };
        let mut list = SocketList::default();
        self.sockets(&ask, &mut list);
        let moved = list.sockets.iter().filter_map(Transfer::of_socket);
        moved.filter(|progress| cookies.contains(&progress.cookie)).collect()
    }

    /// The processes that hold `sockets`.
    ///
    /// # Errors
    /// When `ask` forces a source that cannot be used.
    fn owners(&mut self, sockets: &[Socket], ask: &OwnersAsk) -> Result<OwnersFound, Refused>;

    /// The ids of all processes in sight, ascending.
    ///
    /// # Errors
    /// When the system does not report it.
    fn processes(&mut self) -> Result<Vec<u32>, Refused>;

    /// What `ask` wants to know about process `pid`.
    ///
    /// # Errors
    /// When there is no such process, or nothing can be learned about it.
    fn process(&mut self, pid: u32, ask: &ProcessAsk) -> Result<ProcessFacts, NoProcess>;

    /// What Windows is configured to start, to pass on and to let in; `None` on another system.
    fn windows_host(&mut self) -> Option<WindowsHost> {
        None
    }

    /// The counters of the protocols in `blocks`, with `further` also those beyond the classic ones.
    fn protocol_statistics(&mut self, blocks: BlockSet, further: bool) -> (ProtocolStatistics, Vec<Limit>);

    /// The counters of the interfaces.
    fn interface_statistics(&mut self) -> (InterfaceStatistics, Vec<Limit>);

    /// What the computer, and each process if `ask` wants them, has used so far.
    fn metrics(&mut self, ask: &MetricsAsk) -> Metrics;

    /// The routing table called `name`, by name or number; `all` is every table.
    ///
    /// # Errors
    /// When there is no table of that name; the words say which there are.
    fn table(&mut self, name: &str) -> Result<TableSelection, Refused>;

    /// Which way a packet that this computer sends takes.
    ///
    /// # Errors
    /// When the system cannot be asked: always for a recorded one.
    fn route_to(&mut self, query: &RouteQuery) -> Result<RouteAnswer, Refused> {
        let _ = query;
        Err(Refused::new(
            RefusedKind::NotSupported,
            "a way can only be asked of the running system",
        ))
    }

    /// What decides who reaches the sockets of a network namespace: 0 is the caller's own, others are those of the last listing of
    /// all namespaces ([`Socket::namespace`]).
    fn local_network(&mut self, namespace: u32) -> LocalNetwork {
        if namespace != 0 {
            return LocalNetwork::unknown(Why::NotKept);
        }
        let routes = self.routes(TableSelection::default());
        LocalNetwork {
            interfaces: routes.interfaces,
            addresses: routes.addresses,
            rules: routes.rules,
            ..LocalNetwork::unknown(Why::NotKept)
        }
    }

    /// The multicast groups that interfaces have joined, IPv4 before IPv6.
    ///
    /// # Errors
    /// When the system does not report it.
    fn multicast_groups(&mut self) -> Result<Vec<MulticastGroup>, Refused> {
        Err(Refused::new(RefusedKind::NotSupported, crate::NOT_SUPPORTED))
    }

    /// Interfaces and routes.
    fn routes(&mut self, tables: TableSelection) -> RouteListing;
}
