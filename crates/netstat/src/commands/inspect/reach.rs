//! Who can reach a port, determined from its address, the interfaces and the namespace.

use std::net::IpAddr;

use netstat_model::packet_filter::{FilterVerdict, PacketFilter};
use netstat_model::process::ProcessFacts;
use netstat_model::reach::{Extent, LocalNetwork};
use netstat_model::windows_host::{Door, PortProxy, Profile, ProfileVerdict, WindowsHost};
use netstat_model::{Component, Fact, Family, Protocol, Socket};

use netstat_audit::passage;

/// A port on which a process listens, and who can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The protocol of the socket.
    pub(crate) protocol: Protocol,
    /// The address that it is bound to.
    pub(crate) address: IpAddr,
    /// The port on which the process listens.
    pub(crate) port: u16,
    /// How far it can be reached from.
    pub(crate) extent: Extent,
    /// The interface of a link-local address; safe to print.
    pub(crate) zone: Option<String>,
    /// The extent as a phrase, to follow "from"; safe to print.
    pub(crate) words: String,
    /// The families of packets that it accepts.
    pub(crate) takes: Vec<Family>,
    /// The ports of this computer by which NAT publishes it; each is safe to print.
    pub(crate) published: Vec<String>,
    /// Whether it is in another network namespace.
    pub(crate) elsewhere: bool,
    /// How packet filters treat packets from outside, for each family; empty if they were not consulted.
    pub(crate) passages: Vec<(Family, FilterVerdict)>,
    /// What Windows does with packets from outside; `None` on other systems and for a port of this computer alone.
    pub(crate) windows: Option<WindowsReach>,
}

/// How Windows treats packets from other computers to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WindowsReach {
    /// The verdict of Windows Firewall in each profile.
    pub(crate) firewall: Fact<Vec<(Profile, ProfileVerdict)>>,
    /// The port proxies that listen on this port.
    pub(crate) proxies: Vec<PortProxy>,
}

impl Reach {
    /// Determines who can reach `socket` in `network`. `elsewhere` is the name of its network namespace if that is not
    /// the caller's.
    pub(crate) fn of(socket: &Socket, network: &LocalNetwork, elsewhere: Option<&str>) -> Reach {
        let (extent, words) = network.extent(socket, elsewhere);
        Reach {
            protocol: socket.protocol(),
            address: socket.local().address,
            port: socket.local().port,
            extent,
            zone: (socket.local().scope != 0).then(|| network.name_of(socket.local().scope)),
            words,
            takes: passage::takes(socket),
            published: Vec::new(),
            elsewhere: elsewhere.is_some(),
            passages: Vec::new(),
            windows: None,
        }
    }

    /// Whether it can be reached from other computers, subject to the filters of the caller's namespace.
    pub(crate) fn is_beyond(&self) -> bool {
        !self.elsewhere && matches!(self.extent, Extent::Networks | Extent::Anywhere)
    }

    /// Whether it can be reached from other computers, or may be.
    pub(crate) fn may_be_beyond(&self) -> bool {
        !self.elsewhere && self.extent != Extent::Here
    }

    /// Consults Windows Firewall and the port proxies of `host` about this port of the process.
    pub(crate) fn ask_windows(&mut self, host: &WindowsHost, process: &ProcessFacts) {
        if !self.may_be_beyond() {
            return;
        }
        let service = |component: &Component| match component {
            Component::Service { name } => Some(name.clone()),
            _ => None,
        };
        let components = process.components.as_ref().known();
        let services: Option<Vec<Vec<u8>>> = components.map(|all| all.iter().filter_map(service).collect());
        let program = match process.kernel_thread {
            true => Some(&b"System"[..]),
            false => process.program.as_ref().known().map(|program| program.path.as_slice()),
        };
        let door = Door {
            protocol: passage::number(self.protocol),
            port: self.port,
            program,
            services: services.as_deref(),
        };
        let proxies = host.port_proxies.as_ref().known().into_iter().flatten();
        self.windows = Some(WindowsReach {
            firewall: host.firewall.as_ref().map(|firewall| firewall.verdicts(&door)),
            proxies: proxies
                .filter(|proxy| proxy.port() == Some(self.port))
                .cloned()
                .collect(),
        });
    }

    /// Consults `filter` about who is admitted.
    pub(crate) fn ask(&mut self, filter: &PacketFilter) {
        // Packets within this computer are rarely filtered, and another namespace has its own filters.
        if !self.is_beyond() {
            return;
        }
        self.passages = passage::ask(filter, self.protocol, (self.address, self.port), &self.takes);
    }
}
