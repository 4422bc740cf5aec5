//! Prints results: the classic layouts, tables, CSV and JSON documents. Nothing here queries the system.

pub mod classic;
pub(crate) mod events;
pub mod json;
mod json_string;
pub(crate) mod report;
pub mod rows;
pub(crate) mod wrap;
