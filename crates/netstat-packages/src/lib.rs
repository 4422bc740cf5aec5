//! Where a file comes from: package databases, digests, block lists, and who starts or publishes a service.
//!
//! [`packages`] says which package owns a program, [`digest`] whether it still has the content that its package recorded,
//! [`blocklist`] which addresses have a bad reputation, [`activation`] which systemd unit starts a service on demand, and
//! [`containers`] which ports a container publishes. Everything is read offline.
#![forbid(unsafe_code)]

pub mod activation;
pub mod blocklist;
pub mod containers;
pub mod digest;
pub mod packages;

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
