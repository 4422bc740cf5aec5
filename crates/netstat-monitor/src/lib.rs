//! `netstat monitor`: live, what every process does with processor, disk, network and memory, and which connections and listening
//! ports it has.
#![forbid(unsafe_code)]

pub mod app;
pub mod cell;
pub mod collect;
pub mod companion;
pub mod config;
pub mod format;
pub mod history;
pub mod keys;
pub mod model;
pub mod pane;
pub mod recording;
mod run;
pub mod sample;
pub mod save;
pub mod screen;
pub mod selection;
mod terminal;
pub mod theme;
pub mod view;
mod watch;

pub use run::{End, Options, run};
