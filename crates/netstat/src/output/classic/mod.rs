//! The classic text layouts, one file each. A view gets data and a writer; it opens nothing.

pub mod connections;
pub mod ethernet;
pub(crate) mod groups;
pub mod processes;
pub mod routes;
pub mod statistics;
