//! What is shown: rates, sums and joins of one sample and the one before it.
//!
//! Live views, replays, saved views and tests all read the same [`Model`]. It is made in the collector's thread and never changes, so
//! the screen only chooses, orders and draws.

mod brief;
mod exposure;
mod flows;
mod item;
mod loss;
mod modeler;
mod rows;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::counters::InterfaceMetric;
use netstat_model::metrics::rates::CpuShares;
use netstat_model::metrics::{Memory, ProcessKey};
use netstat_model::{Fact, Limit, Why};

use crate::sample::SocketRow;

pub use brief::BriefRow;
pub use exposure::reachable_from;
pub use item::{Item, PaneRow, RowId};
pub use modeler::{LabelOf, Modeler};
pub use rows::{DiskRow, Flow, InterfaceRow, Presence, ProcessRow, ProcessText, Recent, Throughput, UnitRow};
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
    /// Why there are none, where the system did not say.
    pub disks_unknown: Option<Why>,
    /// Network interfaces.
    pub interfaces: Vec<InterfaceRow>,
    /// What could not be seen.
    pub limits: Vec<Limit>,
    /// The names of users by number.
    pub users: Arc<BTreeMap<u32, Arc<str>>>,
    /// How old the sockets are: more than nothing when there are so many that they are read less often.
    pub sockets_age: Duration,
}

/// Metrics of the whole computer.
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
    pub disk: Throughput,
    /// The disk that was busiest, by its name, and the share of the time in which it was, 0 to 1.
    pub busiest: Fact<(Arc<str>, f64)>,
    /// Bytes sent and received per second over all interfaces but loopback.
    pub network: Throughput,
    /// TCP connections that are up.
    pub connections: Fact<u64>,
    /// Page faults that needed a disk, per second, of all processes in sight.
    pub major_faults: f64,
    /// How long the system runs.
    pub uptime: Fact<Duration>,
}

/// The sockets of a model.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// Open ones, by rising id.
    pub open: Arc<Vec<SocketRow>>,
    /// Those that were closed a moment ago.
    pub closed: Vec<Arc<ClosedRow>>,
    /// What flows through each open one.
    pub open_flows: Arc<Vec<Flow>>,
    /// What flowed through each closed one.
    pub closed_flows: Vec<Flow>,
    /// Connections shorter than a refresh, one row for each program and peer, by rising id.
    pub brief: Vec<BriefRow>,
    /// How many were closed a moment ago and are not listed one by one, because there are too many.
    pub untold: u64,
    /// TCP connections that opened and that ended, per second.
    pub turnover: [Fact<f64>; 2],
    /// Whether connections shorter than a refresh are seen.
    pub watched: bool,
    /// Events that the system lost a moment ago, as far as they could be counted.
    pub lost: u64,
}

/// A socket that was closed a moment ago.
#[derive(Clone, Debug)]
pub struct ClosedRow {
    /// As it was last seen, or as its end was reported.
    pub row: SocketRow,
    /// The name of its process where no list of processes shows that, safe for the terminal.
    pub name: Option<Arc<str>>,
    /// How long it lived, in microseconds.
    pub lived: Fact<u64>,
    /// Whether no reading has shown it while it was open.
    pub short: bool,
    /// Whether its end was reported: then its bytes are all that it transferred.
    pub told: bool,
}

impl Sockets {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.open_flows.len() + self.closed_flows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What flows through each: first of the open ones, then of the closed ones.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.open_flows.iter().chain(&self.closed_flows)
    }

    /// What flows through the row at `index`.
    pub fn flow(&self, index: usize) -> &Flow {
        match self.open_flows.get(index) {
            Some(flow) => flow,
            None => &self.closed_flows[index - self.open_flows.len()],
        }
    }

    /// The row at `index`.
    pub fn row(&self, index: usize) -> &SocketRow {
        match self.open.get(index) {
            Some(row) => row,
            None => &self.closed[index - self.open.len()].row,
        }
    }

    /// How long a closed connection lived, in microseconds. Unknown for an open one: nothing reports when it began.
    pub fn lifetime(&self, index: usize) -> Fact<u64> {
        self.closed(index)
            .map_or(Fact::Unknown(Why::NotYet), |closed| closed.lived)
    }

    /// What is known of the row at `index` beside that, when it is closed.
    pub fn closed(&self, index: usize) -> Option<&ClosedRow> {
        self.closed.get(index.checked_sub(self.open.len())?).map(|row| &**row)
    }
}

impl Default for Sockets {
    fn default() -> Self {
        Sockets {
            open: Arc::default(),
            closed: Vec::new(),
            open_flows: Arc::default(),
            closed_flows: Vec::new(),
            brief: Vec::new(),
            untold: 0,
            turnover: [Fact::Unknown(Why::NotYet); 2],
            watched: false,
            lost: 0,
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
pub(crate) const TRAFFIC: InterfaceMetric = InterfaceMetric::Bytes;
