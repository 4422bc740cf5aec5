//! The core interface to a system.

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

/// The TCP states in which a connection has counters of its own.
pub(crate) const MOVING: [State; 7] = [
    State::Established,
    State::SynSent,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::LastAck,
    State::Closing,
];

/// How to find the owners of sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnerSource {
    /// The fastest method that is permitted and reports everything.
    #[default]
    Auto,
    /// The kernel's iterator over descriptors (eBPF) only.
    Iterator,
    /// The walk through the descriptors of every process only.
    Walk,
}

/// What to read about the owners of sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnersAsk {
    /// How to find them.
    pub source: OwnerSource,
    /// The start time and short name of each process.
    pub start: bool,
    /// The executable file of each process.
    pub image: bool,
    /// The short name of each process and how it was started.
    pub names: bool,
    /// The units and containers that each process runs in.
    pub components: bool,
    /// Whether the same query will follow soon, so that caching pays off.
    pub repeated: bool,
}

impl OwnersAsk {
    /// Returns the request that a polling watch makes: repeatedly, and with the start time, which identifies a process.
    pub(crate) fn of_watch() -> OwnersAsk {
        OwnersAsk {
            start: true,
            repeated: true,
            ..OwnersAsk::default()
        }
    }
}

/// The result of a search for owners.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnersFound {
    /// The owners of the sockets.
    pub owners: Owners,
    /// What could not be seen.
    pub limits: Vec<Limit>,
    /// Which method was used and why no other, in plain words for `--verbose`.
    pub how: String,
}

/// The reason why a socket was not closed on behalf of its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDestroyed {
    /// The caller lacks the privilege: on Linux `CAP_NET_ADMIN` in the user namespace that owns the network namespace.
    NotPermitted,
    /// The running system does not support it: on Linux, a kernel built without `CONFIG_INET_DIAG_DESTROY`.
    NotSupported,
    /// The socket no longer exists, or another one has its addresses now.
    Gone,
    /// Sockets of this kind cannot be closed from outside.
    Kind,
    /// The socket has no cookie, so it cannot be told apart from a later one with the same addresses.
    NoCookie,
    /// Any other error, as the system describes it.
    Failed(String),
}

impl NotDestroyed {
    /// Returns the reason, with a hint that fits the operating system `system`.
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
    /// Writes the reason in the terms of the system that this program was built for; see [`NotDestroyed::reason`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason(crate::NATIVE_KIND))
    }
}

impl std::error::Error for NotDestroyed {}

/// A computer that can be queried. It is implemented for the running system and, from memory, by [`crate::Replay`]. The
/// supertraits contain what a system may lack; their methods report "not supported" by default.
///
/// A query does not fail as a whole if part of the answer is available: what is missing is unknown in the answer and
/// reported as a [`Limit`].
pub trait System: Inspect + Events + Firewall + Integrity + Checkup + Control {
    /// Returns another handle to the same computer for use in another thread. The two share nothing but the clock.
    fn another(&self) -> Box<dyn System + Send>;

    /// Returns which operating system it is. Hints to the user are worded for it.
    fn kind(&self) -> SystemKind;

    /// Returns the current time of both clocks.
    fn now(&self) -> Moment;

    /// Waits for `time`. A replay advances its clock instead.
    fn wait(&mut self, time: Duration);

    /// Returns the boot id, which is random and does not change until the next boot.
    ///
    /// # Errors
    /// Returns an error if the system does not report it.
    fn boot_id(&self) -> Result<String, Refused>;

    /// Returns the name of the computer as the system keeps it, which is not necessarily a valid host name.
    fn computer_name(&self) -> Vec<u8>;

    /// Whether the caller is the superuser, to whom `sudo` would give no further privileges.
    fn is_superuser(&self) -> bool;

    /// Returns the id that stands for every user and group that is not mapped into the caller's user namespace: on
    /// Linux the overflow id of user_namespaces(7). The owner of a file with this id is unknown. `None` if all ids are
    /// mapped.
    fn unmapped_user(&self) -> Option<u32> {
        None
    }

    /// Returns the name of user `uid` in the account database of this computer, or `None` if there is none. The result
    /// is cached.
    fn user_name(&mut self, uid: u32) -> Option<Arc<str>>;

    /// Returns the name of group `gid`; see [`System::user_name`].
    fn group_name(&mut self, gid: u32) -> Option<Arc<str>>;

    /// Returns the id of the user called `name` in the account database of this computer, or `None` if there is none.
    fn user_id(&mut self, name: &str) -> Option<u32>;

    /// Returns the name of the interface with this index in a network namespace, or `None` if there is none. Namespace
    /// 0 is the caller's own; other numbers are those of the last listing of all namespaces ([`Socket::namespace`]).
    fn interface_name(&mut self, namespace: u32, index: u32) -> Option<Vec<u8>>;

    /// Returns the computer's own addresses, each with the index of its interface.
    ///
    /// # Errors
    /// Returns an error if the system does not report them.
    fn own_addresses(&mut self) -> Result<Vec<(IpAddr, u32)>, Refused>;

    /// Lists the sockets that `ask` selects into `list`, in no particular order. `list` is cleared first, but keeps its
    /// allocations.
    fn sockets(&mut self, ask: &SocketAsk, list: &mut SocketList);

    /// Passes every socket that `ask` selects to `visit` as soon as it is read, so that the sockets and their details
    /// need not all be in memory at once. A socket may be passed more than once if reading had to start over; the last
    /// one counts. `list` receives the rest of the answer ([`SocketList::limits`] and so on), and contains no sockets
    /// afterwards.
    fn each_socket(&mut self, ask: &SocketAsk, list: &mut SocketList, visit: &mut dyn FnMut(Socket)) {
        self.sockets(ask, list);
        list.sockets.drain(..).for_each(visit);
    }

    /// Returns how many bytes the open TCP connections with these cookies have transferred so far, in no particular
    /// order; with `all_namespaces` also in other network namespaces, as far as the caller may enter them. Connections
    /// whose counters are unknown are left out. Where possible, an implementation does not build a list of all sockets
    /// for it, as there may be very many and few are requested.
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

    /// Finds the processes that hold `sockets`.
    ///
    /// # Errors
    /// Returns an error if `ask` forces a method that cannot be used.
    fn owners(&mut self, sockets: &[Socket], ask: &OwnersAsk) -> Result<OwnersFound, Refused>;

    /// Returns the ids of all processes that the caller can see, in ascending order.
    ///
    /// # Errors
    /// Returns an error if the system does not report them.
    fn processes(&mut self) -> Result<Vec<u32>, Refused>;

    /// Reads the facts about process `pid` that `ask` requests.
    ///
    /// # Errors
    /// Returns an error if there is no such process, or nothing can be read about it.
    fn process(&mut self, pid: u32, ask: &ProcessAsk) -> Result<ProcessFacts, NoProcess>;

    /// Returns what Windows is configured to start, to forward and to admit; `None` on other systems.
    fn windows_host(&mut self) -> Option<WindowsHost> {
        None
    }

    /// Reads the counters of the protocols in `blocks`; with `further` also those beyond the classic ones.
    fn protocol_statistics(&mut self, blocks: BlockSet, further: bool) -> (ProtocolStatistics, Vec<Limit>);

    /// Reads the counters of the interfaces.
    fn interface_statistics(&mut self) -> (InterfaceStatistics, Vec<Limit>);

    /// Reads the resource usage counters of the computer and, if `ask` requests them, of each process.
    fn metrics(&mut self, ask: &MetricsAsk) -> Metrics;

    /// Resolves a routing table by its name or number; `all` stands for every table.
    ///
    /// # Errors
    /// Returns an error if there is no such table; its text lists the existing ones.
    fn table(&mut self, name: &str) -> Result<TableSelection, Refused>;

    /// Returns the route that a packet sent by this computer takes.
    ///
    /// # Errors
    /// Returns an error if the system cannot be asked, which is always the case for a recorded one.
    fn route_to(&mut self, query: &RouteQuery) -> Result<RouteAnswer, Refused> {
        let _ = query;
        Err(Refused::new(
            RefusedKind::NotSupported,
            "a way can only be asked of the running system",
        ))
    }

    /// Returns what determines who can reach the sockets of a network namespace. Namespace 0 is the caller's own; other
    /// numbers are those of the last listing of all namespaces ([`Socket::namespace`]).
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

    /// Returns the multicast groups that interfaces have joined, IPv4 before IPv6.
    ///
    /// # Errors
    /// Returns an error if the system does not report them.
    fn multicast_groups(&mut self) -> Result<Vec<MulticastGroup>, Refused> {
        Err(Refused::new(RefusedKind::NotSupported, crate::NOT_SUPPORTED))
    }

    /// Returns the interfaces and routes.
    fn routes(&mut self, tables: TableSelection) -> RouteListing;
}
