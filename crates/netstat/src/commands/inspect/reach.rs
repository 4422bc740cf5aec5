//! Who can reach a port: by the address it is bound to, the interfaces there are, and the namespace it is in.

use std::net::IpAddr;

use netstat_model::packet_filter::{FilterVerdict, PacketFilter};
use netstat_model::reach::{Extent, LocalNetwork};
use netstat_model::{Family, Protocol, Socket};

use netstat_audit::passage;

/// A port at which a process waits, and who can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The protocol.
    pub(crate) protocol: Protocol,
    /// The address it is bound to.
    pub(crate) address: IpAddr,
    /// The port.
    pub(crate) port: u16,
    /// From how far.
    pub(crate) extent: Extent,
    /// The interface that completes a link-local address; safe to print.
    pub(crate) zone: Option<String>,
    /// The same in words, to follow "from"; safe to print.
    pub(crate) words: String,
    /// The families of packets that it takes.
    pub(crate) takes: Vec<Family>,
    /// The ports of this computer at which it is published by NAT; each safe to print.
    pub(crate) published: Vec<String>,
    /// Whether it is in another network namespace.
    pub(crate) elsewhere: bool,
    /// What packet filters make of those who come from outside, for each family; empty where they were not asked.
    pub(crate) passages: Vec<(Family, FilterVerdict)>,
}

impl Reach {
    /// Who can reach `socket` in `network`; `elsewhere` is the name of its network namespace when it is not the caller's.
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
        }
    }

    /// Whether somebody beyond this computer may reach it, in a network with the caller's filters.
    pub(crate) fn is_beyond(&self) -> bool {
        !self.elsewhere && matches!(self.extent, Extent::Networks | Extent::Anywhere)
    }

    /// The same, or not known.
    pub(crate) fn may_be_beyond(&self) -> bool {
        !self.elsewhere && self.extent != Extent::Here
    }

    /// Asks `filter` who gets through to it.
    pub(crate) fn ask(&mut self, filter: &PacketFilter) {
        // Packets within this computer are seldom filtered, and another namespace has filters of its own.
        if !self.is_beyond() {
            return;
        }
        self.passages = passage::ask(filter, self.protocol, (self.address, self.port), &self.takes);
    }
}
