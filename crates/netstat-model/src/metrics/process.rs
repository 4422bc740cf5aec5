//! What one process has used so far, and who it is.

use std::sync::Arc;
use std::time::Duration;

use crate::{Component, Fact, ImageName};

/// Names a process for ever: ids are used again, id and start time together are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessKey {
    /// Process id (Linux: thread group id) as seen from the reader's PID namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

/// One process at one moment.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessMetrics {
    /// Which one.
    pub key: ProcessKey,
    /// When it was read; see [`super::Metrics::at`].
    pub at: Duration,
    /// Id of the process that started it, or that took it over; 0: none in sight.
    pub parent: u32,
    /// What it is doing.
    pub state: ProcessState,
    /// Number of threads.
    pub threads: u32,
    /// Whether it is a thread of the kernel itself.
    pub kernel: bool,
    /// Processor time since it started, in clock ticks: in programs and in the kernel on their behalf, all threads.
    pub cpu_ticks: u64,
    /// Page faults that needed no reading from a disk.
    pub minor_faults: u64,
    /// Page faults that did.
    pub major_faults: u64,
    /// Bytes in memory. None of a kernel thread, which has no memory of its own.
    pub resident: Fact<u64>,
    /// Those of [`ProcessMetrics::resident`] that belong to files or shared memory, so that others may share them.
    pub shareable: Fact<u64>,
    /// Those that are its own.
    pub private: Fact<u64>,
    /// Bytes moved to swap space.
    pub swapped: Fact<u64>,
    /// Bytes it caused to be read from storage.
    pub read_bytes: Fact<u64>,
    /// Bytes it caused to be written to storage.
    pub written_bytes: Fact<u64>,
    /// What rarely changes.
    pub identity: Arc<ProcessIdentity>,
}

/// What rarely changes about a process; shared between readings. Texts come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessIdentity {
    /// The kernel's short name (Linux `comm`, at most 15 bytes).
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub comm: Box<[u8]>,
    /// The program file.
    pub image: Fact<ImageName>,
    /// The arguments it was started with, each ended by a zero byte as the system keeps them; at most the first 512 bytes.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub command: Fact<Box<[u8]>>,
    /// What it runs in, outermost first: units, containers.
    pub components: Fact<Vec<Component>>,
    /// The user whose rights it has (Linux: the effective user id).
    pub user: Fact<u32>,
}

impl ProcessIdentity {
    /// The name to call it by: the file name of the program, else the short name.
    pub fn name(&self) -> &[u8] {
        match &self.image {
            Fact::Known(image) => image.file_name(),
            Fact::Unknown(_) => &self.comm,
        }
    }
}

/// What a process is doing, by its first thread (Linux: field 3 of `/proc/PID/stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ProcessState {
    /// On a processor or waiting for one: `R`.
    Running,
    /// Waiting for something: `S`, and `I` of kernel threads.
    Sleeping,
    /// Waiting for a device; signals do not reach it: `D`.
    Blocked,
    /// Stopped by a signal: `T`.
    Stopped,
    /// Stopped by a debugger: `t`.
    Traced,
    /// Ended, and not yet waited for: `Z`.
    Zombie,
    /// Another letter of a newer system, or one of those that are gone in a moment (`X`).
    Other(u8),
}

impl ProcessState {
    /// The state of a letter.
    pub const fn from_letter(letter: u8) -> Self {
        match letter {
            b'R' => ProcessState::Running,
            b'S' | b'I' => ProcessState::Sleeping,
            b'D' => ProcessState::Blocked,
            b'T' => ProcessState::Stopped,
            b't' => ProcessState::Traced,
            b'Z' => ProcessState::Zombie,
            other => ProcessState::Other(other),
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            ProcessState::Running => "running",
            ProcessState::Sleeping => "sleeping",
            ProcessState::Blocked => "blocked",
            ProcessState::Stopped => "stopped",
            ProcessState::Traced => "traced",
            ProcessState::Zombie => "zombie",
            ProcessState::Other(_) => "other",
        }
    }
}
