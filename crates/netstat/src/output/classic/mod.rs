//! The classic text layouts, one file each. A view takes data and a writer, and does no other I/O.

pub mod connections;
pub mod ethernet;
pub(crate) mod groups;
pub mod processes;
pub mod routes;
pub mod statistics;
