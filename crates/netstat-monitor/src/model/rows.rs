//! The rows of the panes.

use std::sync::Arc;
use std::time::Duration;

use netstat_model::metrics::rates::{DiskRates, ProcessRates};
use netstat_model::metrics::{DiskKind, ProcessIdentity, ProcessKey, ProcessState};
use netstat_model::{Fact, Why};

/// How long a new or closed row is highlighted.
pub(super) const MOMENT: Duration = Duration::from_secs(3);
/// How long something counts as used after its last use.
pub(super) const SHORT_WHILE: Duration = Duration::from_secs(20);

/// Whether a row is new, present or gone. New and closed rows are highlighted for a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It appeared recently.
    New,
    /// It is present.
    #[default]
    Here,
    /// It ended recently.
    Gone,
}

/// Bytes per second in two directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throughput {
    /// Bytes sent or written per second.
    pub outbound: Fact<f64>,
    /// Bytes received or read per second.
    pub inbound: Fact<f64>,
}

impl Throughput {
    /// Returns a throughput that is unknown in both directions, for the same reason.
    pub const fn unknown(why: Why) -> Self {
        Throughput {
            outbound: Fact::Unknown(why),
            inbound: Fact::Unknown(why),
        }
    }

    /// Returns the sum of both directions.
    pub fn total(&self) -> Fact<f64> {
        match (self.outbound, self.inbound) {
            (Fact::Known(out), Fact::Known(inbound)) => Fact::Known(out + inbound),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        }
    }
}

/// The recent averages by which rows are sorted, so that they do not jump: over about ten seconds, weighted towards
/// recent values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// The number of processors in use.
    pub cpu: f32,
    /// Bytes read per second.
    pub read: f32,
    /// Bytes written per second.
    pub written: f32,
    /// Bytes sent per second.
    pub sent: f32,
    /// Bytes received per second.
    pub received: f32,
    /// Page faults that required I/O, per second.
    pub faults: f32,
}

/// The texts of a process, safe to print; shared as long as they do not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessText {
    /// The name of the program, with the label that distinguishes its processes.
    pub name: Arc<str>,
    /// The innermost unit or container; empty if there is none.
    pub unit: Arc<str>,
    /// Its command line, or why it is unknown.
    pub command: Arc<str>,
    /// The name of its user, or the id if there is no name.
    pub user: Arc<str>,
    /// Whether its program file has been deleted or replaced.
    pub deleted: bool,
}

/// A process.
#[derive(Clone, Debug)]
pub struct ProcessRow {
    /// The key of the process.
    pub key: ProcessKey,
    /// The texts that are shown for the process.
    pub text: Arc<ProcessText>,
    /// The data from which the texts were made, as the system reported it.
    pub identity: Arc<ProcessIdentity>,
    /// The id of its parent process.
    pub parent: u32,
    /// The id of its user.
    pub user: Fact<u32>,
    /// What the process is doing.
    pub state: ProcessState,
    /// The number of threads.
    pub threads: u32,
    /// Whether it is a kernel thread.
    pub kernel: bool,
    /// Resource usage per second.
    pub rates: ProcessRates,
    /// The average number of processors in use over the last minute, or since the process was first seen.
    pub cpu_average: Fact<f64>,
    /// Bytes of memory: resident, shareable, private, and swapped.
    pub resident: Fact<u64>,
    /// See [`ProcessRow::resident`].
    pub shareable: Fact<u64>,
    /// See [`ProcessRow::resident`].
    pub private: Fact<u64>,
    /// See [`ProcessRow::resident`].
    pub swapped: Fact<u64>,
    /// Bytes per second over its TCP connections. Unknown if it has sockets and the traffic of none is counted.
    pub network: Throughput,
    /// The number of sockets that it holds, counted for the process that has held each one longest.
    pub sockets: u32,
    /// Recent averages.
    pub recent: Recent,
    /// Whether it recently read or wrote storage.
    pub used_disk: bool,
    /// Whether its connections were recently used.
    pub used_network: bool,
    /// Whether it is new, present or gone.
    pub presence: Presence,
}

/// The traffic of a socket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Bytes sent per second.
    pub sent: Fact<f32>,
    /// Bytes received per second.
    pub received: Fact<f32>,
    /// The recent averages of bytes sent and received per second.
    pub recent: [f32; 2],
    /// The time since it last transferred data, in tenths of a second; the maximum value if it never did.
    pub quiet: u16,
    /// The share of retransmitted segments among those sent with data, from 0 to 1, over the last 60 to 80 seconds, or
    /// since the socket was first seen. Unknown if none was sent in that time.
    pub loss: Fact<f32>,
    /// Whether it is new, present or gone.
    pub presence: Presence,
}

impl Flow {
    /// Whether it recently transferred data.
    pub fn was_used(&self) -> bool {
        u64::from(self.quiet) * 100 < SHORT_WHILE.as_millis() as u64
    }

    /// Returns the sum of both directions.
    pub fn total(&self) -> Fact<f32> {
        match (self.sent, self.received) {
            (Fact::Known(sent), Fact::Known(received)) => Fact::Known(sent + received),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        }
    }
}

/// A unit or container, with the totals of its processes.
#[derive(Clone, Debug)]
pub struct UnitRow {
    /// Its name, safe to print.
    pub name: Arc<str>,
    /// The number of its processes.
    pub processes: u32,
    /// The number of processors in use.
    pub cpu: Fact<f64>,
    /// The same, averaged over the last minute.
    pub cpu_average: Fact<f64>,
    /// Bytes of memory that are private to its processes.
    pub private: Fact<u64>,
    /// The recent average of the number of processors in use.
    pub recent: f32,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct DiskRow {
    /// Its name, safe to print.
    pub name: Arc<str>,
    /// The kind of device.
    pub kind: Fact<DiskKind>,
    /// Its activity per second.
    pub rates: DiskRates,
    /// The number of requests in flight at the time of the reading.
    pub in_flight: u64,
    /// Bytes that are available to ordinary users in its file systems.
    pub free: Fact<u64>,
    /// The total size of its file systems, in bytes.
    pub size: Fact<u64>,
}

/// A network interface.
#[derive(Clone, Debug)]
pub struct InterfaceRow {
    /// Its name, safe to print.
    pub name: Arc<str>,
    /// Whether it is a loopback interface.
    pub loopback: Fact<bool>,
    /// Bytes sent and received per second.
    pub rate: Throughput,
}
