//! Packet filters on the way in: what may keep a packet from a port although somebody listens there.

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

/// The filters of a network namespace, as far as they can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PacketFilter {
    /// Chains of nftables (also those that the newer `iptables` makes) that packets for this computer pass through.
    pub nftables: Fact<Vec<Chain>>,
    /// The rules of all its chains.
    pub rules: Fact<Ruleset>,
    /// Tables of the older iptables in use, by name: `filter`, `nat`. Their rules are not read.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub iptables: Fact<Vec<Vec<u8>>>,
}

/// A chain of rules on the way in. Names come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Chain {
    /// Which packets it is about.
    pub family: ChainFamily,
    /// Its table.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub table: Vec<u8>,
    /// Its name.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// What it is for: `filter`, `nat`, `route`.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub kind: Vec<u8>,
    /// Where packets meet it.
    pub hook: Hook,
    /// Chains of lower priority come first.
    pub priority: i32,
    /// Whether what no rule decides is dropped.
    pub drops: bool,
    /// How many rules it has.
    pub rules: u32,
}

/// The packets that a chain is about (nft(8), "Address families").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ChainFamily {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// All frames of one interface.
    Netdev,
    /// Frames through a bridge.
    Bridge,
}

impl ChainFamily {
    /// The keyword of `nft`.
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

/// Where a packet for this computer meets a chain, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Hook {
    /// As it comes from the interface.
    Ingress,
    /// Before it is known where it goes.
    Prerouting,
    /// When it is known to be for this computer.
    Input,
    /// When it is known to be for another one.
    Forward,
}

impl Hook {
    /// The keyword of `nft`.
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
    /// Whether it may keep packets away: it has rules, or drops what none decides. Chains of kind `nat` change addresses and drop
    /// nothing by themselves.
    pub fn may_drop(&self) -> bool {
        self.kind != b"nat" && (self.drops || self.rules > 0)
    }

    /// Whether it may keep packets away that are for this computer itself: see [`Chain::may_drop`].
    pub fn may_drop_input(&self) -> bool {
        self.hook != Hook::Forward && self.may_drop()
    }

    /// Whether it may give packets from outside another destination.
    pub fn may_translate(&self) -> bool {
        self.kind == b"nat" && self.hook == Hook::Prerouting && self.rules > 0
    }
}
