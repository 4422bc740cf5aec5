//! The rows of the panes.

use std::sync::Arc;
use std::time::Duration;

use netstat_model::metrics::rates::{DiskRates, ProcessRates};
use netstat_model::metrics::{DiskKind, ProcessIdentity, ProcessKey, ProcessState};
use netstat_model::{Fact, Why};

/// How long a new or closed row is shown as such.
pub(super) const MOMENT: Duration = Duration::from_secs(3);
/// So long something counts as used after it was.
pub(super) const SHORT_WHILE: Duration = Duration::from_secs(20);

/// Whether a row is new, here, or gone. New and closed rows are shown for a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It appeared a moment ago.
    New,
    /// It is here.
    #[default]
    Here,
    /// It ended a moment ago.
    Gone,
}

/// Bytes per second in two directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throughput {
    /// Sent, or written.
    pub outbound: Fact<f64>,
    /// Received, or read.
    pub inbound: Fact<f64>,
}

impl Throughput {
    /// Both unknown for one reason.
    pub const fn unknown(why: Why) -> Self {
        Throughput {
            outbound: Fact::Unknown(why),
            inbound: Fact::Unknown(why),
        }
    }

    /// Both together.
    pub fn total(&self) -> Fact<f64> {
        match (self.outbound, self.inbound) {
            (Fact::Known(out), Fact::Known(inbound)) => Fact::Known(out + inbound),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        }
    }
}

/// The recent averages by which rows are ordered, so that they do not jump: of some ten seconds, later ones counting more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Processors' worth of time.
    pub cpu: f32,
    /// Bytes read per second.
    pub read: f32,
    /// Bytes written per second.
    pub written: f32,
    /// Bytes sent per second.
    pub sent: f32,
    /// Bytes received per second.
    pub received: f32,
    /// Page faults with a disk per second.
    pub faults: f32,
}

/// Texts of a process, safe for the terminal; shared as long as they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessText {
    /// Its name.
    pub name: Arc<str>,
    /// The unit or container it runs in, innermost; empty when in none.
    pub unit: Arc<str>,
    /// Its command line, or why that is not known.
    pub command: Arc<str>,
    /// The name of its user, or the number.
    pub user: Arc<str>,
    /// Whether its program file was deleted or replaced.
    pub deleted: bool,
}

/// A process.
#[derive(Clone, Debug)]
pub struct ProcessRow {
    /// Which one.
    pub key: ProcessKey,
    /// Its texts.
    pub text: Arc<ProcessText>,
    /// What they were made of, as the system reported it.
    pub identity: Arc<ProcessIdentity>,
    /// The process that started it, by id.
    pub parent: u32,
    /// The number of its user.
    pub user: Fact<u32>,
    /// What it is doing.
    pub state: ProcessState,
    /// Number of threads.
    pub threads: u32,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
    /// Changes per second.
    pub rates: ProcessRates,
    /// Processors' worth of time over the last minute, or as long as it was seen.
    pub cpu_average: Fact<f64>,
    /// Bytes in memory: all, shareable, its own, and in swap space.
    pub resident: Fact<u64>,
    /// See [`ProcessRow::resident`].
    pub shareable: Fact<u64>,
    /// See [`ProcessRow::resident`].
    pub private: Fact<u64>,
    /// See [`ProcessRow::resident`].
    pub swapped: Fact<u64>,
    /// Bytes per second through its TCP connections. Unknown when it has sockets and none of them is counted.
    pub network: Throughput,
    /// How many sockets it holds, as the one that has held them longest.
    pub sockets: u32,
    /// Recent averages.
    pub recent: Recent,
    /// Whether it read or wrote storage a short while ago.
    pub used_disk: bool,
    /// Whether anything went through its connections a short while ago.
    pub used_network: bool,
    /// New, here or gone.
    pub presence: Presence,
}

/// What flows through a socket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Bytes per second.
    pub sent: Fact<f32>,
    /// Bytes per second.
    pub received: Fact<f32>,
    /// Recent averages of what was sent and received.
    pub recent: [f32; 2],
    /// For how long nothing went through it, in tenths of a second; the largest number where nothing ever did.
    pub quiet: u16,
    /// The share of its segments with data that had to be sent again, 0 to 1, of those sent in the last 60 to 80 seconds, or since it was
    /// first seen. Unknown when none was sent in that time.
    pub loss: Fact<f32>,
    /// New, here or gone.
    pub presence: Presence,
}

impl Flow {
    /// Whether anything went through it a short while ago.
    pub fn was_used(&self) -> bool {
        u64::from(self.quiet) * 100 < SHORT_WHILE.as_millis() as u64
    }

    /// Both directions together.
    pub fn total(&self) -> Fact<f32> {
        match (self.sent, self.received) {
            (Fact::Known(sent), Fact::Known(received)) => Fact::Known(sent + received),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        }
    }
}

/// A unit or container: its processes together.
#[derive(Clone, Debug)]
pub struct UnitRow {
    /// Its name, safe for the terminal.
    pub name: Arc<str>,
    /// Number of its processes.
    pub processes: u32,
    /// Processors' worth of time.
    pub cpu: Fact<f64>,
    /// The same over the last minute.
    pub cpu_average: Fact<f64>,
    /// Bytes of memory that are its processes' own.
    pub private: Fact<u64>,
    /// Recent average of the processor time.
    pub recent: f32,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct DiskRow {
    /// Its name, safe for the terminal.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Fact<DiskKind>,
    /// Changes per second.
    pub rates: DiskRates,
    /// Requests on their way at the reading.
    pub in_flight: u64,
    /// Bytes that ordinary users may still use in its file systems.
    pub free: Fact<u64>,
    /// Bytes that its file systems hold in all.
    pub size: Fact<u64>,
}

/// A network interface.
#[derive(Clone, Debug)]
pub struct InterfaceRow {
    /// Its name, safe for the terminal.
    pub name: Arc<str>,
    /// Whether it only leads back to this computer.
    pub loopback: Fact<bool>,
    /// Bytes per second.
    pub rate: Throughput,
}
