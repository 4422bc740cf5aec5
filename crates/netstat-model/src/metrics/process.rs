//! The resource usage and identity of one process.

use std::sync::Arc;
use std::time::Duration;

use crate::{Component, Fact, ImageName};

/// Identifies a process permanently: ids are reused, but not together with the start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessKey {
    /// The process id (Linux: thread group id) as seen from the reader's PID namespace.
    pub pid: u32,
    /// The start time in clock ticks since boot.
    pub start_ticks: u64,
}

/// The metrics of one process at one point in time.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessMetrics {
    /// The identity of the process.
    pub key: ProcessKey,
    /// The time of reading; see [`super::Metrics::at`].
    pub at: Duration,
    /// The id of the process that started it or adopted it; 0 if none is visible.
    pub parent: u32,
    /// The state of the process.
    pub state: ProcessState,
    /// The number of threads.
    pub threads: u32,
    /// Whether it is a kernel thread.
    pub kernel: bool,
    /// Processor time since the start, in clock ticks: in user space and in the kernel, all threads together.
    pub cpu_ticks: u64,
    /// Page faults that did not require reading from a disk.
    pub minor_faults: u64,
    /// Page faults that required reading from a disk.
    pub major_faults: u64,
    /// Bytes resident in memory; not known for a kernel thread, which has no memory of its own.
    pub resident: Fact<u64>,
    /// Part of [`ProcessMetrics::resident`] that belongs to files or shared memory and may thus be shared with others.
    pub shareable: Fact<u64>,
    /// Part of [`ProcessMetrics::resident`] that belongs to this process alone.
    pub private: Fact<u64>,
    /// Bytes swapped out.
    pub swapped: Fact<u64>,
    /// Bytes that it caused to be read from storage.
    pub read_bytes: Fact<u64>,
    /// Bytes that it caused to be written to storage.
    pub written_bytes: Fact<u64>,
    /// The facts that rarely change.
    pub identity: Arc<ProcessIdentity>,
}

/// Facts about a process that rarely change; shared between readings. Texts come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessIdentity {
    /// The kernel's short name (Linux `comm`, at most 15 bytes).
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub comm: Box<[u8]>,
    /// The program file.
    pub image: Fact<ImageName>,
    /// The arguments it was started with, each terminated by a zero byte as the system keeps them; at most the first
    /// 512 bytes.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub command: Fact<Box<[u8]>>,
    /// The units and containers it runs in, outermost first.
    pub components: Fact<Vec<Component>>,
    /// The id of the user whose rights it has (Linux: the effective user id).
    pub user: Fact<u32>,
}

impl ProcessIdentity {
    /// Returns the name to show: the file name of the program, or else the short name.
    pub fn name(&self) -> &[u8] {
        match &self.image {
            Fact::Known(image) => image.file_name(),
            Fact::Unknown(_) => &self.comm,
        }
    }
}

/// The state of a process, which is that of its main thread (Linux: field 3 of `/proc/PID/stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ProcessState {
    /// Running or waiting for a processor: `R`.
    Running,
    /// Waiting for something: `S`, and `I` for kernel threads.
    Sleeping,
    /// In uninterruptible sleep, usually waiting for a device: `D`.
    Blocked,
    /// Stopped by a signal: `T`.
    Stopped,
    /// Stopped by a debugger: `t`.
    Traced,
    /// Ended but not yet waited for by its parent: `Z`.
    Zombie,
    /// Another letter: a state of a newer system, or a transient one (`X`).
    Other(u8),
}

impl ProcessState {
    /// Returns the state for a letter of `/proc/PID/stat`.
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

    /// Returns the name in lower case.
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
