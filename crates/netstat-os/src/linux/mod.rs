//! Linux: netlink and `/proc`.

pub mod counters;
pub mod owners;
pub mod routes;
pub mod sockets;
