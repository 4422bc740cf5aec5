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

pub(crate) use netstat_os::files::why;
