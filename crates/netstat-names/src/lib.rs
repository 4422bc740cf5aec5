//! Names for numbers and addresses: services and hosts.
//!
//! [`Services`] names ports, [`ReverseDns`] addresses, and [`Names`] combines both the way the remote address of a row
//! shows them. Only views and commands ask for names; a collector never does.
#![forbid(unsafe_code)]

mod asked;
mod forward;
mod host;
mod locations;
mod names;
mod reverse;
mod services;
mod system;

pub use asked::{AskedName, AskedNames, DnsAnswer, dns_answer};
pub use forward::{NotFound, addresses};
pub use host::HostName;
pub use locations::{Locations, NoDatabase};
pub use names::{Foreign, HostStyle, Names};
pub use reverse::{Answers, Limits, Lookup, ReverseDns, Summary, askable};
pub use services::{NOTICE, Services};
pub use system::{Answer, Resolver, SystemResolver};
