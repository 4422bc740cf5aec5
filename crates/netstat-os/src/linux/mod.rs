//! Linux: netlink and `/proc`.

mod bpf;
mod cgroups;
pub mod counters;
mod events;
pub mod figures;
mod namespaces;
mod netlink;
mod owner_source;
pub mod owners;
pub mod owners_ebpf;
mod port_probe;
pub mod process;
pub mod routes;
pub mod sockets;
mod system;

pub use system::Linux;
