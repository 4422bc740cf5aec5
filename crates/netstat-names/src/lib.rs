//! Names for numbers: services and hosts.
//!
//! [`Services`] names ports, [`ReverseDns`] addresses, [`Names`] puts both together the way the foreign side of a row
//! shows them. Only views ask for names; a collector never does.
#![forbid(unsafe_code)]

mod host;
mod names;
mod reverse;
mod services;
mod system;

pub use host::HostName;
pub use names::{Foreign, HostStyle, Names};
pub use reverse::{Answers, Limits, Lookup, ReverseDns, Summary, askable};
pub use services::{NOTICE, Services};
pub use system::{Answer, Resolver, SystemResolver};
