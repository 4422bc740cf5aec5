//! The computer as a whole.

use std::time::Duration;

use crate::counters::InterfaceStatistics;
use crate::{Fact, Why};

/// One reading of the whole computer.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SystemMetrics {
    /// When it was read, on a clock that never goes back (its zero does not matter).
    pub at: Duration,
    /// What the processors did.
    pub cpu: Fact<CpuMetrics>,
    /// How the memory is used.
    pub memory: Memory,
    /// How long tasks waited for what there was too little of.
    pub pressure: Pressures,
    /// The block devices, in the system's order.
    pub disks: Fact<Vec<Disk>>,
    /// The network interfaces.
    pub interfaces: InterfaceStatistics,
    /// TCP connections in ESTABLISHED or CLOSE-WAIT (`tcpCurrEstab`, RFC 4022) of the reader's network namespace.
    pub tcp_connections: Fact<u64>,
    /// How long ago the system was started.
    pub uptime: Fact<Duration>,
}

/// Processor times since boot, together and each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CpuMetrics {
    /// The sum over all processors.
    pub total: CpuTimes,
    /// Each processor that is on line, with its number.
    pub cores: Vec<(u32, CpuTimes)>,
}

/// What a processor spent its time with since boot, in clock ticks ([`super::Metrics::ticks_per_second`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CpuTimes {
    /// Programs, niced ones and guests included.
    pub user: u64,
    /// The kernel, interrupts included.
    pub system: u64,
    /// Nothing to do.
    pub idle: u64,
    /// Nothing to do, while a task waited for a disk.
    pub waiting: u64,
    /// Taken away by the host of a virtual machine.
    pub stolen: u64,
}

impl CpuTimes {
    /// Time in which the processor was not free for others.
    pub fn busy(&self) -> u64 {
        self.user.saturating_add(self.system).saturating_add(self.stolen)
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.busy().saturating_add(self.idle).saturating_add(self.waiting)
    }
}

/// Sizes of memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Memory {
    /// All there is for the kernel to give out.
    pub total: Fact<u64>,
    /// Used for nothing.
    pub free: Fact<u64>,
    /// What programs can get without swapping, as the kernel estimates it.
    pub available: Fact<u64>,
    /// Contents of files, buffers of devices and reclaimable kernel memory: given back when programs want it. Shared memory, which the
    /// kernel counts among it, is left out: it cannot be given back.
    pub cached: Fact<u64>,
    /// Shared memory and files in `tmpfs`.
    pub shared: Fact<u64>,
    /// Waiting to be written to a disk.
    pub dirty: Fact<u64>,
    /// Swap space there is.
    pub swap_total: Fact<u64>,
    /// Swap space that is free.
    pub swap_free: Fact<u64>,
}

impl Memory {
    /// Nothing known, for one reason.
    pub const fn unknown(why: Why) -> Self {
        Memory {
            total: Fact::Unknown(why),
            free: Fact::Unknown(why),
            available: Fact::Unknown(why),
            cached: Fact::Unknown(why),
            shared: Fact::Unknown(why),
            dirty: Fact::Unknown(why),
            swap_total: Fact::Unknown(why),
            swap_free: Fact::Unknown(why),
        }
    }

    /// What programs and the kernel hold: neither free nor cached.
    pub fn in_use(&self) -> Fact<u64> {
        match (self.total, self.free, self.cached) {
            (Fact::Known(total), Fact::Known(free), Fact::Known(cached)) => {
                Fact::Known(total.saturating_sub(free).saturating_sub(cached))
            }
            (Fact::Unknown(why), ..) | (_, Fact::Unknown(why), _) | (.., Fact::Unknown(why)) => Fact::Unknown(why),
        }
    }

    /// Swap space in use.
    pub fn swap_used(&self) -> Fact<u64> {
        match (self.swap_total, self.swap_free) {
            (Fact::Known(total), Fact::Known(free)) => Fact::Known(total.saturating_sub(free)),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        }
    }
}

/// Pressure stall information (Linux: `/proc/pressure`, Documentation/accounting/psi.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pressures {
    /// For want of a processor.
    pub cpu: Fact<Pressure>,
    /// For want of memory.
    pub memory: Fact<Pressure>,
    /// For want of input and output.
    pub io: Fact<Pressure>,
}

/// How long tasks waited for one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stalled,
    /// All tasks that were not idle waited. Unknown for the processor on kernels before 5.13.
    pub full: Fact<Stalled>,
}

/// One line of pressure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stalled {
    /// The share of the last 10 seconds, in hundredths of a percent (0 to 10,000).
    pub ten_seconds: u16,
    /// Microseconds since boot.
    pub total: u64,
}

/// A block device's counters since it came up (Linux: `/proc/diskstats`, Documentation/admin-guide/iostats.rst).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Disk {
    /// Its number: major and minor.
    pub number: (u32, u32),
    /// Its name. Chosen by others in part (device mapper does not show here): escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Box<[u8]>,
    /// Whether it is a device of its own.
    pub kind: Fact<DiskKind>,
    /// Reads that were completed.
    pub reads: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Writes that were completed.
    pub writes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Requests that are on their way now.
    pub in_flight: u64,
    /// Milliseconds in which at least one request was on its way.
    pub active: u64,
    /// Milliseconds, summed over all requests: divided by the time it is the average length of the queue.
    pub weighted: u64,
}

impl Disk {
    /// Whether anything was ever read or written: idle devices (`loop0`) need no row.
    pub fn was_used(&self) -> bool {
        self.reads > 0 || self.writes > 0 || self.in_flight > 0
    }
}

/// What a row of the block devices is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DiskKind {
    /// A device that keeps data itself: its traffic counts in the sum.
    Whole,
    /// A part of another row.
    Partition,
    /// Lies on top of other rows (device mapper, RAID): its traffic is counted there.
    Stacked,
}
