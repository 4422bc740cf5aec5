//! Permanently gives up what the process does not need, so that a compromise of it gains an attacker little.
//!
//! On Linux, a seccomp filter refuses system calls in all threads, and Landlock restricts which files can be written. A
//! process restricted by Landlock cannot read `/proc/PID/{exe,fd,root}` of any process outside of its domain, not even
//! as root, so the restriction of files is only for processes that do not inspect others.

use std::path::PathBuf;

/// What a process still needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Whether it uses internet sockets, to look up names, to serve or to send. If not, it cannot create new ones.
    /// Connections to Unix-domain sockets are then refused as well, unless the account database (nsswitch.conf(5))
    /// needs them.
    pub network: bool,
    /// Whether it starts other programs.
    pub programs: bool,
    /// Whether it sends signals to other processes.
    pub signals: bool,
    /// Whether it duplicates socket descriptors of other processes, to find out which network namespace they belong to.
    pub foreign_sockets: bool,
    /// The files and directories below which it may create and write files. It must not inspect other processes then.
    /// `None` leaves access to files unrestricted.
    pub writable: Option<Vec<PathBuf>>,
}

/// The outcome of a [`Confinement`]: for each part, whether it is in force, or one sentence about why it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confined {
    /// The restriction of system calls.
    pub system_calls: Result<(), String>,
    /// The restriction of files; `None` if it was not requested.
    pub files: Option<Result<(), String>>,
}

/// What the running system offers to confine a process, for diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfinementSupport {
    /// Whether system calls can be restricted (seccomp filters).
    pub system_calls: bool,
    /// The version of the Landlock ABI; `None` if Landlock is not available.
    pub landlock: Option<u32>,
}

#[cfg(target_os = "linux")]
pub use crate::linux::confine::{confine, confinement_support};

/// Confines the calling process.
#[cfg(not(target_os = "linux"))]
pub fn confine(how: &Confinement) -> Confined {
    let missing = || Err("not supported on this system".to_owned());
    Confined {
        system_calls: missing(),
        files: how.writable.as_ref().map(|_| missing()),
    }
}

/// Returns what the running system offers to confine a process.
#[cfg(not(target_os = "linux"))]
pub fn confinement_support() -> ConfinementSupport {
    ConfinementSupport {
        system_calls: false,
        landlock: None,
    }
}
