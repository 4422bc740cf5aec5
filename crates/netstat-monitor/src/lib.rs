//! `netstat monitor`: live, what every process does with processor, disk, network and memory, and which connections and listening
//! ports it has.
#![forbid(unsafe_code)]

pub mod collect;
pub mod format;
pub mod model;
pub mod pane;
pub mod sample;
