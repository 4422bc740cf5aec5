//! Where programs and services come from: package databases, file digests, block lists, socket activation and
//! containers.
//!
//! [`packages`] finds the package that owns a program, [`digest`] tells whether a file still has the content that its
//! package recorded, [`blocklist`] finds addresses with a bad reputation, [`activation`] finds the systemd unit that
//! starts a service on demand, and [`containers`] finds the names and addresses of containers. Everything works
//! offline.
#![forbid(unsafe_code)]

pub mod activation;
pub mod blocklist;
pub mod containers;
pub mod digest;
pub mod packages;

pub(crate) use netstat_os::files::why;
