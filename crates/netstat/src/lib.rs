//! The program behind `netstat`: arguments -> plan -> run -> print.
//!
//! Everything is in this library so that a whole command can be tested with a recorded system; `main.rs` only starts it.
#![forbid(unsafe_code)]

pub mod args;
pub mod commands;
mod completions;
pub mod json;
mod man;
mod progress;
pub mod render;
pub mod run;
#[allow(dead_code, reason = "for the commands that follow")]
mod script;
#[allow(dead_code, reason = "for the commands that follow")]
mod words;
