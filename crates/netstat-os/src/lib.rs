//! Asks the operating system: the only crate with `unsafe` and with code for one system.
//!
//! [`System`] is the list of questions; its supertraits ([`Inspect`], [`Events`], [`Firewall`], [`Integrity`], [`Checkup`], [`Control`]) are those that a
//! system may lack. [`Native`] answers them from the running system (Linux: netlink, `/proc` and eBPF; Windows: its tables; other systems: "not supported
//! on this system yet"), [`Replay`] from memory, for tests. [`SocketAsk`] and similar types say what a question needs, so that nothing
//! else is read. Answers are the plain data of `netstat-model`. What could not be seen is never left out silently: it is unknown with
//! its reason, or reported as a [`Limit`](netstat_model::Limit).
//!
//! ```
//! use netstat_model::{Owner, State, sort_classic};
//! use netstat_os::{Native, OwnersAsk, SocketAsk, SocketList, System};
//!
//! # fn main() -> Result<(), netstat_os::Refused> {
//! let mut system = Native::default();
//! let mut list = SocketList::default();
//! let ask = SocketAsk { tcp4: true, tcp6: true, tcp_states: vec![State::Listening], ..SocketAsk::default() };
//! system.sockets(&ask, &mut list);
//! sort_classic(&mut list.sockets);
//! let found = system.owners(&list.sockets, &OwnersAsk::default())?;
//! for socket in &list.sockets {
//!     match found.owners.of(socket) {
//!         Owner::Held(holders) => println!("port {}: process {}", socket.local().port, holders.first().pid),
//!         Owner::None(reason) => println!("port {}: owner {}", socket.local().port, reason.words()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The examples `listening_programs` and `watch_changes` are whole programs: `cargo run -p netstat-os --example watch_changes`.

#[cfg(unix)]
mod accounts;
mod ask;
mod capabilities;
mod checks;
mod confine;
mod events;
pub mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod heap;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(feature = "tokio")]
pub mod local;
mod notify;
mod optional;
mod output;
mod privileges;
mod process_ask;
mod refused;
mod replay;
pub mod service;
mod service_definition;
mod signals;
#[cfg(feature = "snapshot")]
mod snapshot;
mod system;
#[cfg(any(test, not(any(target_os = "linux", windows))))]
#[cfg_attr(
    any(target_os = "linux", windows),
    expect(unreachable_pub, reason = "only its tests run here")
)]
mod unsupported;
pub mod windows;

pub use ask::{MetricsAsk, PortTries, SocketAsk, SocketList};
pub use capabilities::drop_capabilities;
pub use checks::{Check, CheckArea, CheckStatus};
pub use confine::{Confined, Confinement, ConfinementSupport, confine, confinement_support};
pub use events::{DnsAnswers, EventSource, EventWay, EventsAsk, Lost, UdpBytes};
pub use heap::return_memory_early;
#[cfg(target_os = "linux")]
pub use linux::Linux as Native;
pub use notify::{end_group, in_own_group, send_datagram};
pub use optional::{Checkup, Control, Events, FileSystemSpace, Firewall, Inspect, Integrity, OpenFile};
pub use output::{Console, create_private, prepare_console, replace_private, stdout, terminal_size, terminal_width};
pub use privileges::{give_up_lent_capabilities, lower_lent_capabilities};
pub use process_ask::{DescriptorsAsk, NoProcess, ProcessAsk, ProcessText};
pub use refused::{NOT_SUPPORTED, Refused, RefusedKind};
pub use replay::{Replay, ReplayClock};
pub use signals::{Caught, Signal, catch_signals, stop_self};
#[cfg(feature = "snapshot")]
pub use snapshot::{SNAPSHOT_SCHEMA, SNAPSHOT_SIZE_MAX, SNAPSHOT_VERSION, Snapshot};
pub use system::{NotDestroyed, OwnerSource, OwnersAsk, OwnersFound, System};
#[cfg(not(any(target_os = "linux", windows)))]
pub use unsupported::Unsupported as Native;

/// The operating system that this program was built for.
pub const NATIVE_KIND: netstat_model::SystemKind = if cfg!(windows) {
    netstat_model::SystemKind::Windows
} else if cfg!(target_os = "linux") {
    netstat_model::SystemKind::Linux
} else {
    netstat_model::SystemKind::Other
};

/// The id that Windows gave this computer when it was installed; `None` on other systems, which keep theirs in a file (machine-id(5)).
pub fn machine_guid() -> Option<String> {
    #[cfg(windows)]
    return windows::machine_guid(&mut windows::Calls);
    #[cfg(not(windows))]
    None
}

/// The running Windows.
#[cfg(windows)]
pub type Native = windows::Windows<windows::Calls>;

/// The example of the README runs with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
