//! Resource usage of the computer and its processes: counters and sizes as the system reports them, each with the time
//! of reading.
//!
//! Differences are computed only in [`rates`], which turns two readings into rates per second.

mod process;
pub mod rates;
mod system;

use std::time::Duration;

pub use process::{ProcessIdentity, ProcessKey, ProcessMetrics, ProcessState};
pub use system::{CpuMetrics, CpuTimes, Disk, DiskKind, Memory, Pressure, Pressures, Stalled, SystemMetrics};

use crate::counters::InterfaceStatistics;
use crate::{Fact, Limit, Why};

/// One reading of all metrics.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Metrics {
    /// The computer as a whole.
    pub system: SystemMetrics,
    /// Every visible process, ordered by id and including kernel threads. Unknown if there is no process list, or it
    /// was not requested.
    pub processes: Fact<Vec<ProcessMetrics>>,
    /// Clock ticks per second (Linux: `sysconf(_SC_CLK_TCK)`, nearly always 100), the unit of processor times.
    pub ticks_per_second: u64,
    /// The time at which the reading ended, on a monotonic clock with an arbitrary origin.
    pub at: Duration,
    /// What could not be read.
    pub limits: Vec<Limit>,
}

impl Metrics {
    /// Creates a reading in which everything is unknown for the same reason.
    pub fn unknown(why: Why) -> Self {
        Metrics {
            system: SystemMetrics {
                at: Duration::ZERO,
                cpu: Fact::Unknown(why),
                memory: Memory::unknown(why),
                pressure: Pressures {
                    cpu: Fact::Unknown(why),
                    memory: Fact::Unknown(why),
                    io: Fact::Unknown(why),
                },
                disks: Fact::Unknown(why),
                interfaces: InterfaceStatistics {
                    at: Duration::ZERO,
                    interfaces: Fact::Unknown(why),
                },
                tcp_connections: Fact::Unknown(why),
                uptime: Fact::Unknown(why),
            },
            processes: Fact::Unknown(why),
            ticks_per_second: 0,
            at: Duration::ZERO,
            limits: Vec::new(),
        }
    }
}
