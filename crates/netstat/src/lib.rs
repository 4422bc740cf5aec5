//! The program behind `netstat`: arguments -> plan -> run -> print.
//!
//! Everything is in this library so that a whole command can be tested with a recorded system; `main.rs` only starts it.
#![forbid(unsafe_code)]

pub mod args;
mod commands;
pub mod context;
pub mod list;
pub mod output;
mod recall;
pub mod registry;
