//! Gives up, for the rest of the process's life, what it does not need: so that a fault in it is worth little to others.
//!
//! On Linux a seccomp filter refuses system calls, in all threads, and Landlock restricts files to be written. Linux lets a process under
//! Landlock read `/proc/PID/{exe,fd,root}` of no other process, root's neither: it is for those who read no processes.

use std::path::PathBuf;

/// What a process still needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Whether it uses internet sockets: looks up names, serves, sends. Else it gets no new ones. Without it, connections to sockets of the same computer
    /// are refused too, unless the account database (nsswitch.conf(5)) needs them.
    pub network: bool,
    /// Whether it starts other programs.
    pub programs: bool,
    /// Whether it sends signals to other processes.
    pub signals: bool,
    /// Whether it asks sockets of other processes which network namespace they belong to, through copies of their descriptors.
    pub foreign_sockets: bool,
    /// The files and directories below which it may write and make files, when it reads no other processes; `None` leaves files as they are.
    pub writable: Option<Vec<PathBuf>>,
}

/// What has become of a [`Confinement`]: each part is in force, or one sentence says why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confined {
    /// The refusal of system calls.
    pub system_calls: Result<(), String>,
    /// The restriction of files; `None` where it was not wanted.
    pub files: Option<Result<(), String>>,
}

/// What the running system offers to confine a process, for diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfinementSupport {
    /// Whether system calls can be refused (seccomp filters).
    pub system_calls: bool,
    /// The version of Landlock's interface; `None` without it.
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

/// What the running system offers.
#[cfg(not(target_os = "linux"))]
pub fn confinement_support() -> ConfinementSupport {
    ConfinementSupport {
        system_calls: false,
        landlock: None,
    }
}
