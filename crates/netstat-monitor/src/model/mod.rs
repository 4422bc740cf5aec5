//! What is shown: rates, sums and joins of one sample and the one before it.
//!
//! Live views, replays, saved views and tests all read the same [`Model`]. It is made in the collector's thread and never changes, so
//! the screen only chooses, orders and draws.

mod modeler;
mod rows;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::counters::InterfaceFigure;
use netstat_model::figures::rates::CpuShares;
use netstat_model::figures::{Memory, ProcessKey};
use netstat_model::{Fact, Limit};

use crate::sample::SocketRow;

pub use modeler::Modeler;
pub use rows::{DiskRow, Flow, InterfaceRow, Presence, ProcessRow, ProcessText, Rate2, Recent, UnitRow};
pub use units::unit_of;

/// One moment, ready to be shown.
#[derive(Clone, Debug)]
pub struct Model {
    /// Counts the samples from 1.
    pub number: u64,
    /// When the figures were read, on the collector's clock.
    pub at: Duration,
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub wall: u64,
    /// The computer as a whole.
    pub whole: Whole,
    /// Processes by rising key; those that ended a moment ago among them.
    pub processes: Vec<ProcessRow>,
    /// Sockets: those of the sample, then those that were closed a moment ago.
    pub sockets: Sockets,
    /// Units and containers, by name.
    pub units: Vec<UnitRow>,
    /// Disks that were ever used, whole ones and stacked ones.
    pub disks: Vec<DiskRow>,
    /// Network interfaces.
    pub interfaces: Vec<InterfaceRow>,
    /// What could not be seen.
    pub limits: Vec<Limit>,
    /// The names of users by number.
    pub users: Arc<BTreeMap<u32, Arc<str>>>,
    /// How old the sockets are: more than nothing when there are so many that they are read less often.
    pub sockets_age: Duration,
}

/// Figures of the whole computer.
#[derive(Clone, Debug)]
pub struct Whole {
    /// What the processors did.
    pub cpu: Fact<CpuShares>,
    /// Each of them with its number.
    pub cores: Vec<(u32, Fact<CpuShares>)>,
    /// Sizes of memory.
    pub memory: Memory,
    /// Shares of the time, 0 to 1, in which some task waited: for a processor, for memory, for input and output.
    pub pressure: [Fact<f64>; 3],
    /// Bytes read from and written to whole disks per second.
    pub disk: Rate2,
    /// The disk that was busiest, by its name, and the share of the time in which it was, 0 to 1.
    pub busiest: Fact<(Arc<str>, f64)>,
    /// Bytes sent and received per second over all interfaces but loopback.
    pub network: Rate2,
    /// TCP connections that are up.
    pub connections: Fact<u64>,
    /// Page faults that needed a disk, per second, of all processes in sight.
    pub major_faults: f64,
    /// How long the system runs.
    pub uptime: Fact<Duration>,
}

/// The sockets of a model.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    /// Open ones, by rising id.
    pub open: Arc<Vec<SocketRow>>,
    /// Those that were closed a moment ago.
    pub closed: Vec<Arc<SocketRow>>,
    /// What flows through each: first of the open ones, then of the closed ones.
    pub flows: Vec<Flow>,
}

impl Sockets {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// The row at `index`.
    pub fn row(&self, index: usize) -> &SocketRow {
        match self.open.get(index) {
            Some(row) => row,
            None => &self.closed[index - self.open.len()],
        }
    }
}

impl Model {
    /// The process with this key.
    pub fn process(&self, key: ProcessKey) -> Option<&ProcessRow> {
        let place = self.processes.binary_search_by_key(&key, |row| row.key).ok()?;
        self.processes.get(place)
    }
}

/// The figure of interfaces that counts as traffic.
pub(crate) const TRAFFIC: InterfaceFigure = InterfaceFigure::Bytes;
