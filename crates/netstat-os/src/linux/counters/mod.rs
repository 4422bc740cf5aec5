//! Counters of protocols (`/proc/net/snmp`, `netstat`, `snmp6`) and of interfaces (rtnetlink, else `/proc/net/dev`).

mod interfaces;
pub mod links;
pub mod procdev;
mod protocols;
pub mod snmp;

use std::io;
use std::path::Path;
use std::time::Duration;

use netstat_model::Why;

pub use interfaces::interface_statistics;
pub use protocols::{Wanted, protocol_statistics};

/// The time since some fixed point, on a clock that never goes back (CLOCK_MONOTONIC).
pub(super) fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // CLOCK_MONOTONIC counts up from boot, so neither part is negative.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Reads `net/name` of the calling thread's network namespace.
///
/// `/proc/net` is `/proc/self/net`, the namespace of the process's first thread; only `/proc/thread-self/net` follows a
/// thread that has entered another one (proc_pid_net(5)).
pub(super) fn read_net(proc: &Path, name: &str) -> io::Result<Vec<u8>> {
    match std::fs::read(proc.join("thread-self/net").join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::read(proc.join("net").join(name)),
        read => read,
    }
}

/// Why a source that could not be read leaves its facts unknown.
pub(super) fn why(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Why::NotPermitted,
        _ => Why::Failed,
    }
}

/// `text` is a line of a table with white space between its columns.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The lines of a file with their numbers, from 1; empty ones left out.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.is_empty())
}

/// A line of a kernel file that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadLine {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}
