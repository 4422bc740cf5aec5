//! `netstat monitor`: shows live what every process does with processor, disk, network and memory, and which
//! connections and listening ports it has.
#![forbid(unsafe_code)]

mod alerts;
mod app;
mod attention;
mod cell;
pub mod collect;
pub mod companion;
pub mod config;
mod format;
mod handles;
mod history;
mod keys;
pub mod model;
pub mod pane;
mod places;
pub mod recording;
mod run;
pub mod sample;
mod save;
mod screen;
pub mod selection;
mod terminal;
#[cfg(test)]
mod tests;
pub mod theme;
mod view;
mod watch;

pub use run::{End, Options, run};
