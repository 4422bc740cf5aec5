//! Names for services and hosts.
//!
//! [`Services`] names ports, [`ReverseDns`] names addresses, and [`Names`] combines both for the foreign address of a
//! row. Only views and commands look up names; collectors never do.
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
