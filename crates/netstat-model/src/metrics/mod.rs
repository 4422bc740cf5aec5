//! What the computer and each of its processes have used so far: counters and sizes as read, each with the moment of the reading.
//!
//! Nothing here subtracts but [`rates`], which turns two readings into changes per second.

mod process;
pub mod rates;
mod system;

use std::time::Duration;

pub use process::{ProcessIdentity, ProcessKey, ProcessMetrics, ProcessState};
pub use system::{CpuMetrics, CpuTimes, Disk, DiskKind, Memory, Pressure, Pressures, Stalled, SystemMetrics};

use crate::counters::InterfaceStatistics;
use crate::{Fact, Limit, Why};

/// One reading of everything.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Metrics {
    /// The computer as a whole.
    pub system: SystemMetrics,
    /// Every process in sight, by rising id; kernel threads included. Unknown when there is no process list, or it was not asked for.
    pub processes: Fact<Vec<ProcessMetrics>>,
    /// Clock ticks in a second (Linux: `sysconf(_SC_CLK_TCK)`, 100 nearly everywhere): the unit of processor times.
    pub ticks_per_second: u64,
    /// When the reading ended, on a clock that never goes back (its zero does not matter).
    pub at: Duration,
    /// What could not be seen.
    pub limits: Vec<Limit>,
}

impl Metrics {
    /// Nothing known, for one reason.
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
