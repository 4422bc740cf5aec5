//! The library behind the `netstat` program: it parses the arguments into a plan, runs it, and prints the result.
//!
//! Everything is in this library so that tests can run whole commands against recorded systems; `main.rs` only starts
//! it.
#![forbid(unsafe_code)]

pub mod args;
mod commands;
pub mod context;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod list;
pub mod output;
mod recall;
pub mod registry;
