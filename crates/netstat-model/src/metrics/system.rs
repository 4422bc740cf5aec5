//! Metrics of the computer as a whole.

use std::time::Duration;

use crate::counters::InterfaceStatistics;
use crate::{Fact, Why};

/// One reading of the metrics of the computer as a whole.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SystemMetrics {
    /// The time of reading, on a monotonic clock with an arbitrary origin.
    pub at: Duration,
    /// Processor times.
    pub cpu: Fact<CpuMetrics>,
    /// Memory usage.
    pub memory: Memory,
    /// How long tasks waited for scarce resources.
    pub pressure: Pressures,
    /// The block devices, in the system's order.
    pub disks: Fact<Vec<Disk>>,
    /// The network interfaces.
    pub interfaces: InterfaceStatistics,
    /// TCP connections in ESTABLISHED or CLOSE_WAIT (`tcpCurrEstab`, RFC 4022) in the reader's network namespace.
    pub tcp_connections: Fact<u64>,
    /// The time since the system started.
    pub uptime: Fact<Duration>,
}

/// Processor times since boot, in total and by processor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CpuMetrics {
    /// The sum over all processors.
    pub total: CpuTimes,
    /// The times of each online processor, with its number.
    pub cores: Vec<(u32, CpuTimes)>,
}

/// How a processor spent its time since boot, in clock ticks ([`super::Metrics::ticks_per_second`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CpuTimes {
    /// In user space, including niced processes and guests.
    pub user: u64,
    /// In the kernel, including interrupts.
    pub system: u64,
    /// Idle.
    pub idle: u64,
    /// Idle while a task waited for a disk.
    pub waiting: u64,
    /// Stolen by the host of a virtual machine.
    pub stolen: u64,
}

impl CpuTimes {
    /// Returns the time during which the processor was not available to others.
    pub fn busy(&self) -> u64 {
        self.user.saturating_add(self.system).saturating_add(self.stolen)
    }

    /// Returns the total time.
    pub fn total(&self) -> u64 {
        self.busy().saturating_add(self.idle).saturating_add(self.waiting)
    }
}

/// Memory usage in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Memory {
    /// All memory that the kernel can allocate.
    pub total: Fact<u64>,
    /// Unused memory.
    pub free: Fact<u64>,
    /// Memory that programs can allocate without swapping, as estimated by the kernel.
    pub available: Fact<u64>,
    /// File contents, device buffers and reclaimable kernel memory, which are released when programs need memory.
    /// Shared memory, which the kernel includes here, is subtracted because it cannot be released.
    pub cached: Fact<u64>,
    /// Shared memory and files in `tmpfs`.
    pub shared: Fact<u64>,
    /// Data waiting to be written to a disk.
    pub dirty: Fact<u64>,
    /// The size of the swap space.
    pub swap_total: Fact<u64>,
    /// Unused swap space.
    pub swap_free: Fact<u64>,
}

impl Memory {
    /// Creates a value in which everything is unknown for the same reason.
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

    /// Returns the memory held by programs and the kernel, which is neither free nor cached.
    pub fn in_use(&self) -> Fact<u64> {
        match (self.total, self.free, self.cached) {
            (Fact::Known(total), Fact::Known(free), Fact::Known(cached)) => {
                Fact::Known(total.saturating_sub(free).saturating_sub(cached))
            }
            (Fact::Unknown(why), ..) | (_, Fact::Unknown(why), _) | (.., Fact::Unknown(why)) => Fact::Unknown(why),
        }
    }

    /// Returns the swap space in use.
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
    /// Waiting for a processor.
    pub cpu: Fact<Pressure>,
    /// Waiting for memory.
    pub memory: Fact<Pressure>,
    /// Waiting for I/O.
    pub io: Fact<Pressure>,
}

/// How long tasks waited for one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pressure {
    /// Time during which at least one task waited.
    pub some: Stalled,
    /// Time during which all non-idle tasks waited. Unknown for the processor on kernels before 5.13.
    pub full: Fact<Stalled>,
}

/// The values of one line of pressure information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stalled {
    /// The share of the last 10 seconds, in hundredths of a percent (0 to 10,000).
    pub ten_seconds: u16,
    /// The total since boot, in microseconds.
    pub total: u64,
}

/// The counters of a block device since it appeared (Linux: `/proc/diskstats`, Documentation/admin-guide/iostats.rst).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Disk {
    /// The major and minor device number.
    pub number: (u32, u32),
    /// The device name. Others choose it in part (device mapper names do not appear here): escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Box<[u8]>,
    /// Whether it is a device of its own, a partition or stacked.
    pub kind: Fact<DiskKind>,
    /// Completed reads.
    pub reads: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Completed writes.
    pub writes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Requests currently in progress.
    pub in_flight: u64,
    /// Milliseconds during which at least one request was in progress.
    pub active: u64,
    /// Milliseconds spent on requests, summed over all of them. Divided by the elapsed time, it is the average queue
    /// length.
    pub weighted: u64,
}

impl Disk {
    /// Whether anything was ever read or written. Unused devices (`loop0`) need no row.
    pub fn was_used(&self) -> bool {
        self.reads > 0 || self.writes > 0 || self.in_flight > 0
    }
}

/// The kind of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DiskKind {
    /// A device that stores data itself, so that its traffic counts in the sum.
    Whole,
    /// A partition of another device.
    Partition,
    /// A device on top of others (device mapper, RAID), whose traffic is counted there.
    Stacked,
}
