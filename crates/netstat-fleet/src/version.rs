//! The version of the tables.

/// The version of the tables that this program makes and asks.
pub const VERSION: u32 = 2;
