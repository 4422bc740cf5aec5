//! What rules ask of a packet beyond the question, and where they send it.

use std::fmt;
use std::net::IpAddr;

use crate::{Network, text};

/// Something about the packet that the question leaves open, and a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The sender is in this network, or not.
    Sender(Network, bool),
    /// It is sent to an address in this network, or not.
    Address(Network, bool),
    /// It came over this interface, or not. Escape before printing.
    Interface(Vec<u8>, bool),
    /// Anything else, in short: `the sender's port`, `limit`. Escape before printing.
    Other(Vec<u8>),
}

/// Where a packet goes whose destination a rule has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// Whether it stays on this computer.
    pub here: bool,
    /// The new address; `None` where it stays here, keeps its address, or cannot be worked out.
    pub address: Option<IpAddr>,
    /// The new port; `None`: the old one, or one that cannot be worked out.
    pub port: Option<u16>,
    /// Whether address and port are all that there is to know: else they come from somewhere that is not worked out.
    pub known: bool,
}

/// All conditions of one way through the rules hold together.
pub type FilterPath = Vec<Condition>;

impl fmt::Display for Condition {
    /// Safe to print.
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
