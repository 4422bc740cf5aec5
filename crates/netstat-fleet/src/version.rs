//! The version of the tables.

/// The version of the tables that this program creates and queries.
pub const VERSION: u32 = 2;
