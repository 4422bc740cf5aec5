//! Windows: each question is one call of the system that returns bytes (`calls`), and a parser of these bytes. Parsers, and everything
//! that is made of them, are compiled and tested on every system; only the calls are not.
//!
//! A function that not every Windows from 8.1 on has is looked up at run time.

mod arguments;
mod bytes;
#[cfg(windows)]
mod calls;
mod checks;
mod connections;
mod disks;
mod estats;
mod etw;
mod facts;
mod figures;
mod host;
mod interfaces;
mod listing;
mod owners;
mod paths;
mod poll;
mod processes;
mod security;
mod service;
mod services;
mod source;
mod statistics;
mod system;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod trace_watch;

pub use bytes::{Buffer, Malformed};
#[cfg(windows)]
pub use calls::{
    Calls, ConsoleState, RunningService, catch_signals, console_width, install_service, prepare_console,
    remove_service, service_arguments,
};
#[cfg(windows)]
pub(crate) use calls::{
    create_private_directory, create_private_file, file_identity, lock_exclusively, others, others_than_administrators,
    shared_directory,
};
pub use disks::{DiskAnswer, Volume};
#[cfg(windows)]
pub(crate) use host::machine_guid;
pub use source::{MemoryStatus, NetworkTrace, Offer, Region, RegistryValue, Signature, Source, TokenFacts};
pub use statistics::{Tables, Wide};
pub use system::Windows;

/// The parsers, for tests and fuzz targets.
pub mod parse {
    pub use super::arguments::{join as command_line, split as arguments};
    pub use super::connections::{Row, bound, tcp, udp, udp_peers};
    pub use super::disks::disk;
    pub use super::estats::{ConnectionBytes, connection_bytes, tcp_row};
    pub use super::etw::{Decoded, Happening, RawEvent, TcpEvent, decode as network_event};
    pub use super::interfaces::{
        InterfaceRow, addresses, interface_metrics, interfaces, persistent as persistent_route, route, routes,
    };
    pub use super::processes::{ProcessEntry, ProcessorTimes, processes, processors};
    pub use super::security::{access as file_access, others as other_users};
    pub use super::service::event_text;
    pub use super::services::{by_process as services, command_line as service_command_line};
    pub use super::statistics::statistics;
    pub use super::text::{to_bytes, to_units};
    pub use super::time::{TICKS_PER_SECOND, filetime, wall};
}
