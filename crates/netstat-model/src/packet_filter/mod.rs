//! Inbound packet filters, which may keep packets from a port although there is a listener.

mod condition;
mod evaluator;
mod published;
mod registers;
pub mod rules;

#[cfg(test)]
mod tests;

pub use condition::{Condition, FilterPath, Translated};
pub use evaluator::{Arrival, FilterVerdict};
pub use published::{Published, PublishedPorts};

use crate::Fact;
use rules::Ruleset;

/// The packet filters of a network namespace, as far as they can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PacketFilter {
    /// The nftables chains that packets for this computer pass through, including those created by the newer
    /// `iptables`.
    pub nftables: Fact<Vec<Chain>>,
    /// The rules of all nftables chains.
    pub rules: Fact<Ruleset>,
    /// The names of the older iptables' tables in use: `filter`, `nat`. Their rules are not read.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub iptables: Fact<Vec<Vec<u8>>>,
}

/// An nftables chain with a hook that packets from outside pass. Names come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Chain {
    /// The address family of its table.
    pub family: ChainFamily,
    /// The name of its table.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub table: Vec<u8>,
    /// The name of the chain.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// The chain type: `filter`, `nat` or `route`.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub kind: Vec<u8>,
    /// The hook at which packets enter the chain.
    pub hook: Hook,
    /// The priority. Chains with a lower one are evaluated first.
    pub priority: i32,
    /// Whether the policy is to drop packets that no rule decides about.
    pub drops: bool,
    /// The number of rules.
    pub rules: u32,
}

/// The packets that a chain applies to (nft(8), "Address families").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ChainFamily {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both IPv4 and IPv6.
    Inet,
    /// All frames of an interface.
    Netdev,
    /// Frames that pass through a bridge.
    Bridge,
}

impl ChainFamily {
    /// Returns the keyword used by `nft`.
    pub const fn name(self) -> &'static str {
        match self {
            ChainFamily::Ip => "ip",
            ChainFamily::Ip6 => "ip6",
            ChainFamily::Inet => "inet",
            ChainFamily::Netdev => "netdev",
            ChainFamily::Bridge => "bridge",
        }
    }
}

/// The hook at which a packet enters a chain, in the order in which packets pass them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Hook {
    /// As the packet arrives on the interface.
    Ingress,
    /// Before the routing decision.
    Prerouting,
    /// After the routing decision, if the packet is for this computer.
    Input,
    /// After the routing decision, if the packet is forwarded to another computer.
    Forward,
}

impl Hook {
    /// Returns the keyword used by `nft`.
    pub const fn name(self) -> &'static str {
        match self {
            Hook::Ingress => "ingress",
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
        }
    }
}

impl Chain {
    /// Whether the chain may drop packets: it has rules, or drops what no rule decides about. Chains of type `nat`
    /// change addresses and do not drop anything themselves.
    pub fn may_drop(&self) -> bool {
        self.kind != b"nat" && (self.drops || self.rules > 0)
    }

    /// Whether the chain may drop packets that are for this computer itself; see [`Chain::may_drop`].
    pub fn may_drop_input(&self) -> bool {
        self.hook != Hook::Forward && self.may_drop()
    }

    /// Whether the chain may change the destination of inbound packets.
    pub fn may_translate(&self) -> bool {
        self.kind == b"nat" && self.hook == Hook::Prerouting && self.rules > 0
    }
}
