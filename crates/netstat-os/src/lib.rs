//! Asks the operating system: the only crate with `unsafe` and with code for one system.
//!
//! [`SocketAsk`] and its like say what a question needs, so that nothing else is read; `linux` answers from netlink and
//! `/proc`. A view never opens a file itself.

#[cfg(unix)]
mod accounts;
mod ask;
mod events;
#[cfg(target_os = "linux")]
pub mod linux;
mod output;
mod process_ask;
mod replay;
mod system;

pub use ask::{FiguresAsk, SocketAsk, SocketList};
pub use events::{EventSource, EventWay, EventsAsk, Lost};
#[cfg(target_os = "linux")]
pub use linux::Linux as Native;
#[cfg(target_os = "linux")]
pub use linux::process::file_facts;
pub use output::{stdout, terminal_width};
pub use process_ask::{DescriptorsAsk, NoProcess, ProcessAsk, ProcessText};
pub use replay::Replay;
pub use system::{NotDestroyed, OwnerSource, OwnersAsk, OwnersFound, Refused, System};
