//! Conditions on a packet that a query leaves open, and changed destinations.

use std::fmt;
use std::net::IpAddr;

use crate::{Network, text};

/// A property of the packet that a query leaves open and a rule depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The source address is in this network (`true`) or not (`false`).
    Sender(Network, bool),
    /// The destination address is in this network (`true`) or not (`false`).
    Address(Network, bool),
    /// The packet arrived on this interface (`true`) or not (`false`). Escape before printing.
    Interface(Vec<u8>, bool),
    /// Another condition, in short: `the sender's port`, `limit`. Escape before printing.
    Other(Vec<u8>),
}

/// The new destination of a packet that a rule has redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// Whether the packet stays on this computer.
    pub here: bool,
    /// The new address; `None` if the packet stays here, keeps its address, or the address cannot be determined.
    pub address: Option<IpAddr>,
    /// The new port; `None` if it is unchanged or cannot be determined.
    pub port: Option<u16>,
    /// Whether address and port are complete; `false` if a part of them comes from a source that is not evaluated.
    pub known: bool,
}

/// Conditions that all hold on one path through the rules.
pub type FilterPath = Vec<Condition>;

impl fmt::Display for Condition {
    /// Writes the condition as text that is safe to print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |is: &bool| if *is { "" } else { "not " };
        match self {
            Condition::Sender(network, is) => write!(f, "{}from {network}", not(is)),
            Condition::Address(network, is) => write!(f, "{}to {network}", not(is)),
            Condition::Interface(name, is) => write!(f, "{}over {}", not(is), text::escape(name)),
            Condition::Other(what) => write!(f, "{}", text::escape(what)),
        }
    }
}
