//! The connection list.
