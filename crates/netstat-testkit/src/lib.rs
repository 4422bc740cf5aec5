//! Network namespaces, TCP peers under full control and name servers for the tests of this workspace.
//!
//! A test that starts with [`own_namespace!`] runs in a network of its own, as root and as an ordinary user. There a
//! [`peer::Peer`] plays the far end of TCP connections segment by segment, so that [`states::AllStates`] can hold a
//! real kernel socket in every state of RFC 9293. [`actors`] are programs that hold sockets, [`oracle`] reads what
//! `ss`, `/proc/net` and `/proc/PID/fd` report, [`listing`] parses what `netstat` printed, [`trouble`] takes away what
//! a program relies on, and [`dns`] is a name server.
//!
//! The crate is for Linux only; it needs `unshare` and `setpriv` of util-linux.
#![forbid(unsafe_code)]

pub mod actors;
pub mod command;
pub mod dns;
pub mod fuse;
pub mod kinds;
pub mod listing;
pub mod mmdb;
pub mod namespace;
pub mod netlink;
pub mod oracle;
pub mod peer;
mod skip;
pub mod states;
pub mod trouble;

pub use command::{Netstat, Outcome, outcome};
pub use namespace::{Needs, eventually, have, kernel_has, patience, tool};
pub use skip::{pass_on_skips, skip};
