//! The flows of many computers in one ClickHouse: the way there, the tables, and questions about all of them.
//!
//! [`Sender`] sends the segments that a recorder keeps, [`FleetStore`] answers what [`netstat_record::Reader`] answers for one computer,
//! and [`ddl`] has the tables. Everything goes over HTTP, synchronously; see `docs/fleet.md`.
#![forbid(unsafe_code)]

mod address;
mod client;
mod config;
pub mod ddl;
mod encode;
mod error;
pub mod findings;
#[cfg(fuzzing)]
pub mod fuzzing;
mod identity;
mod native;
mod rows;
mod select;
mod sender;
pub mod status;
mod store;
mod version;

pub use address::Address;
pub use client::{Client, Insert};
pub use config::{BadConfig, FleetConfig, ShipConfig, default_path};
pub use encode::{Detail, Encoder};
pub use error::{EngineError, Retry};
pub use identity::{HostId, host_id};
pub use sender::{Report, Sender, Shipping};

pub use store::FleetStore;
