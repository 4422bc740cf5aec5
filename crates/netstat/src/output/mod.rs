//! How answers are printed: the classic layouts, tables of rows, CSV, and JSON documents. Nothing here asks the system.

pub mod classic;
pub(crate) mod events;
pub mod json;
mod json_string;
pub(crate) mod report;
pub mod rows;
pub(crate) mod wrap;
