//! The program behind `netstat`: arguments -> plan -> run -> print.
//!
//! Everything is in this library so that a whole command can be tested with a recorded system; `main.rs` only starts it.
#![forbid(unsafe_code)]

pub mod args;
pub mod audit;
pub mod commands;
mod completions;
mod history;
mod inspect;
pub mod json;
mod man;
mod monitor;
mod passage;
mod past;
mod progress;
mod recall;
mod record;
pub mod render;
pub mod run;
mod script;
mod words;
