//! Linux: netlink and `/proc`.

mod bpf;
pub mod counters;
pub mod owners;
pub mod owners_ebpf;
pub mod routes;
pub mod sockets;
