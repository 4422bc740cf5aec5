//! Plain data types that describe what a computer's network is doing: sockets, the processes behind them, counters and
//! routes.
//!
//! Nothing in this crate opens a file, makes a system call or depends on the operating system it runs on. The
//! collectors of `netstat-os` fill these types, and the program `netstat` prints them. A fact that could not be
//! obtained is [`Fact::Unknown`] with its reason, never 0 or blank. Names that come from outside, such as process
//! names, are kept as the bytes they are; pass them through [`text::escape`] before printing.
//!
//! ```
//! use netstat_model::{Fact, Family, Filter, Protocol, Socket, SocketFacts, State};
//!
//! let socket = Socket::new(&SocketFacts {
//!     protocol: Protocol::Tcp,
//!     family: Family::V4,
//!     state: State::Established,
//!     local: [192, 0, 2, 1].into(),
//!     local_port: 50_000,
//!     foreign: [198, 51, 100, 7].into(),
//!     foreign_port: 443,
//!     interface: 0,
//!     inode: 4711,
//!     user: None,
//!     cookie: None,
//!     receive_queue: 0,
//!     send_queue: Some(0),
//! });
//! assert!(matches!(socket.user(), Fact::Unknown(_)));
//!
//! // Command-line arguments parse into the same filter.
//! let filter: Filter = "--port 80,443 --established".parse()?;
//! assert!(filter.wants(&socket));
//! # Ok::<(), netstat_model::FilterError>(())
//! ```
#![forbid(unsafe_code)]

pub mod columns;
mod component;
mod component_name;
pub mod counters;
pub mod digits;
mod event;
mod fact;
mod filter;
pub mod human;
mod limit;
pub mod metrics;
mod namespace;
mod no_owner;
mod order;
mod owner;
mod owner_summary;
pub mod packet_filter;
pub mod process;
pub mod reach;
pub mod route;
mod socket;
mod system_kind;
pub mod text;
mod transfer;
pub mod windows_host;
#[cfg(feature = "serde")]
mod wire;

pub use component::{Component, ContainerRuntime, UnitManager};
pub use component_name::component_name;
pub use event::{Direction, Event, EventKind, EventOrigin, EventOwner, Moment, socket_number};
pub use fact::{FILE_LIMIT_SECONDS, Fact, Why};
pub use filter::{Filter, FilterError, Globs, Holders, Network, Pids, Ports, Side, Sides, States, Subject, Users};
pub use limit::Limit;
pub use namespace::{Namespace, NamespaceLabel};
pub use no_owner::NoOwner;
pub use order::{classic_order, remove_repeats, sort_classic};
pub use owner::{
    Concealment, FoundBy, ImageName, Invocation, KernelUser, Owner, OwnerList, Owners, OwnersBuilder, Process,
};
pub use owner_summary::OwnerSummary;
pub use socket::{
    CongestionControl, CongestionPhase, Detail, Endpoint, Extra, Extras, Family, Memory, Mptcp, PacketKind, Protocol,
    ShortName, Socket, SocketFacts, State, StateTime, TcpInfo, TcpMetric, TcpOptions, TcpUnit, TimeFrom, Timer,
    TimerKind, UnixKind, UnixName, UnixPeer, UpperLayer, VsockAddress, VsockKind, netlink_name,
};
pub use system_kind::SystemKind;
pub use transfer::Transfer;

/// Compiles and runs the README's example with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
