//! The names that the columns of one print need, collected before the rows are written.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::columns::{Books, Location, Needs, Rates};
use netstat_model::reach::{Extent, LocalNetwork};
use netstat_model::{Endpoint, Fact, Namespace, NamespaceLabel, Protocol, Socket, StateTime, SystemKind};
use netstat_names::{Names, Services};
use netstat_os::System;

use super::foreign_facts::KnownFacts;
use super::rates::RateTable;
use super::state_times::Times;
use crate::output::classic::connections::ForeignNames;

/// The names for one print.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    users: HashMap<u32, Arc<str>>,
    /// Interface names by namespace and interface index.
    interfaces: HashMap<(u32, u32), Vec<u8>>,
    cgroups: HashMap<u64, Vec<u8>>,
    namespaces: Vec<Vec<u8>>,
    /// The interfaces and addresses of the network namespaces, in the order in which sockets number them.
    networks: Vec<LocalNetwork>,
    /// Pod names by UID.
    pods: HashMap<String, String>,
}

impl Gathered {
    /// Queries `system` for the names that columns with these `needs` show for `sockets`.
    pub(super) fn of(system: &mut dyn System, needs: Needs, sockets: &[Socket], namespaces: &[Namespace]) -> Gathered {
        let mut gathered = Gathered {
            namespaces: match namespaces.is_empty() && system.kind() == SystemKind::Linux {
                // Only the caller's own namespace was asked for.
                true => vec![
                    Namespace {
                        inode: 0,
                        own: true,
                        label: NamespaceLabel::Own,
                    }
                    .shown(),
                ],
                false => namespaces.iter().map(Namespace::shown).collect(),
            },
            ..Gathered::default()
        };
        if needs.contains(Needs::USERS) {
            let mut seen = HashSet::new();
            for user in sockets.iter().filter_map(|socket| socket.user().known()) {
                if seen.insert(user)
                    && let Some(name) = system.user_name(user)
                {
                    gathered.users.insert(user, name);
                }
            }
        }
        // Packet and XDP sockets show their interface as part of their address. So do other sockets that are bound to a
        // device, except those with link-local addresses.
        if needs.contains(Needs::INTERFACES)
            || sockets.iter().any(|socket| {
                socket.interface().is_some() || matches!(socket.protocol(), Protocol::Packet | Protocol::Xdp)
            })
        {
            let mut seen = HashSet::new();
            // An interface index is valid only within its namespace.
            let place = |socket: &Socket| Some((socket.namespace(), socket.interface()?.get()));
            for (namespace, index) in sockets.iter().filter_map(place) {
                if seen.insert((namespace, index))
                    && let Some(name) = system.interface_name(namespace, index)
                {
                    gathered.interfaces.insert((namespace, index), name);
                }
            }
        }
        if needs.contains(Needs::NETWORKS) {
            let count = namespaces.len().max(1);
            // There are fewer than 2^32 namespaces, because each is an inode with a 32-bit number.
            gathered.networks = (0..count as u32)
                .map(|namespace| system.local_network(namespace))
                .collect();
        }
        // The pods in a snapshot are not those of this computer.
        if needs.contains(Needs::COMPONENTS) && system.has_files() {
            gathered.pods = netstat_packages::containers::pods("/").into_iter().collect();
        }
        let with_cgroup = |socket: &Socket| matches!(socket.fact(|extra| extra.cgroup), Fact::Known(_));
        if needs.contains(Needs::CGROUPS) && sockets.iter().any(with_cgroup) {
            gathered.cgroups = system.cgroup_paths();
        }
        gathered
    }
}

/// The names collected for one print, together with those that are kept for the whole run.
#[derive(Clone, Copy)]
pub(super) struct Shelf<'a> {
    pub(super) gathered: &'a Gathered,
    pub(super) names: Option<&'a dyn ForeignNames>,
    pub(super) services: Option<&'a Services>,
    pub(super) times: &'a Times,
    pub(super) rates: &'a RateTable,
    pub(super) facts: &'a KnownFacts,
}

impl Books for Shelf<'_> {
    fn user(&self, id: u32) -> Option<&[u8]> {
        self.gathered.users.get(&id).map(|name| name.as_bytes())
    }

    fn host(&self, side: &Endpoint) -> Option<&str> {
        self.names?.host(side)
    }

    fn hosts_asked(&self) -> bool {
        self.names.is_some()
    }

    fn service(&self, protocol: Protocol, port: u16) -> Option<&str> {
        match self.names {
            Some(names) => names.service(protocol, port),
            None => self.services?.name(protocol, port),
        }
    }

    fn interface(&self, namespace: u32, index: u32) -> Option<&[u8]> {
        self.gathered.interfaces.get(&(namespace, index)).map(Vec::as_slice)
    }

    fn cgroup(&self, id: u64) -> Option<&[u8]> {
        self.gathered.cgroups.get(&id).map(Vec::as_slice)
    }

    fn state_time(&self, socket: &Socket) -> Option<StateTime> {
        self.times.of(socket)
    }

    fn extent(&self, socket: &Socket) -> Option<Extent> {
        let network = self.gathered.networks.get(socket.namespace() as usize)?;
        Some(network.extent(socket, None).0)
    }

    fn pod(&self, uid: &[u8]) -> Option<&[u8]> {
        let name = self.gathered.pods.get(std::str::from_utf8(uid).ok()?)?;
        Some(name.as_bytes())
    }

    fn rates(&self, socket: &Socket) -> Fact<Rates> {
        self.rates.of(socket)
    }

    fn asked_name(&self, socket: &Socket) -> Fact<Option<&str>> {
        self.facts.asked_name(socket)
    }

    fn location(&self, address: IpAddr) -> Fact<&Location> {
        self.facts.location(address)
    }

    fn namespace(&self, index: u32) -> Option<&[u8]> {
        self.gathered.namespaces.get(index as usize).map(Vec::as_slice)
    }
}

/// The names of this run, in the form that rows need.
#[derive(Debug)]
pub(super) struct NameView {
    pub(super) names: Names,
}

impl ForeignNames for NameView {
    fn host(&self, side: &Endpoint) -> Option<&str> {
        self.names.host(side.address, side.scope)
    }

    fn service(&self, protocol: Protocol, port: u16) -> Option<&str> {
        self.names.services().name(protocol, port)
    }
}
