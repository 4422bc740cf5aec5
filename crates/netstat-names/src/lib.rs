//! Names for numbers, addresses and files: services, hosts, packages.
//!
//! [`Services`] names ports, [`ReverseDns`] addresses, [`Names`] puts both together the way the foreign side of a row
//! shows them; [`packages`] says which package owns a program, and [`digest`] whether the program still has the content that
//! its package recorded. Only views and commands ask for names; a collector never does.
#![forbid(unsafe_code)]

pub mod activation;
pub mod blocklist;
pub mod containers;
pub mod digest;
mod forward;
mod host;
mod names;
pub mod packages;
mod reverse;
mod services;
mod system;

pub use forward::{NotFound, addresses};
pub use host::HostName;
pub use names::{Foreign, HostStyle, Names};
pub use reverse::{Answers, Limits, Lookup, ReverseDns, Summary, askable};
pub use services::{NOTICE, Services};
pub use system::{Answer, Resolver, SystemResolver};

/// The reason in our words for an error of the system.
pub(crate) fn why(error: &std::io::Error) -> netstat_model::Why {
    use netstat_model::Why;
    use std::io::ErrorKind;

    match error.kind() {
        ErrorKind::PermissionDenied => Why::NotPermitted,
        ErrorKind::NotFound => Why::Gone,
        // ESRCH, from the root directory of a process that ended.
        _ if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Why::Gone,
        _ => Why::Failed,
    }
}
