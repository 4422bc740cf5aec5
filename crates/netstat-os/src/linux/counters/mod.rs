//! Counters of protocols (`/proc/net/snmp`, `netstat`, `snmp6`) and of interfaces (rtnetlink, with `/proc/net/dev` as
//! the fallback).

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

/// Returns the time on a clock that never goes back (CLOCK_MONOTONIC).
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
/// `/proc/net` is `/proc/self/net`, the namespace of the main thread of the process. Only `/proc/thread-self/net`
/// follows a thread that has entered another namespace (proc_pid_net(5)).
pub(super) fn read_net(proc: &Path, name: &str) -> io::Result<Vec<u8>> {
    match std::fs::read(proc.join("thread-self/net").join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::read(proc.join("net").join(name)),
        read => read,
    }
}

/// Returns the reason why facts are unknown, from the error of reading their source.
pub(super) fn why(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Why::NotPermitted,
        _ => Why::Failed,
    }
}

/// Splits the line of a table into its columns, which are separated by white space.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Splits a file into its lines with their numbers, starting at 1. Empty lines are left out.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.is_empty())
}

/// The error for a malformed line in a kernel file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadLine {
    /// The number of the line, starting at 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}
