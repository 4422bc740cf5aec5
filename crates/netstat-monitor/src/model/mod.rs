//! What is shown: rates, totals and joins, computed from a sample and the previous one.
//!
//! Live views, replays, saved views and tests all use the same [`Model`]. It is created in the collector's thread and
//! is immutable, so the screen only selects, sorts and draws.

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

/// The data of one moment, ready to be shown.
#[derive(Clone, Debug)]
pub struct Model {
    /// The number of the sample, from 1.
    pub number: u64,
    /// When the metrics were read, on the collector's clock.
    pub at: Duration,
    /// Milliseconds since the Unix epoch (UTC).
    pub wall: u64,
    /// The computer as a whole.
    pub whole: Whole,
    /// The processes in ascending order of key, including those that ended recently.
    pub processes: Vec<ProcessRow>,
    /// The sockets: those of the sample, followed by those that closed recently.
    pub sockets: Sockets,
    /// The units and containers, by name.
    pub units: Vec<UnitRow>,
    /// The disks that have ever been used, whole and stacked ones.
    pub disks: Vec<DiskRow>,
    /// Why the disks are unknown; `None` if they are known.
    pub disks_unknown: Option<Why>,
    /// The network interfaces.
    pub interfaces: Vec<InterfaceRow>,
    /// What could not be seen.
    pub limits: Vec<Limit>,
    /// The names of users by number.
    pub users: Arc<BTreeMap<u32, Arc<str>>>,
    /// The age of the sockets: more than 0 if there are so many that they are read less often.
    pub sockets_age: Duration,
}

/// Metrics of the whole computer.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The shares of processor time.
    pub cpu: Fact<CpuShares>,
    /// The shares of each processor, with its number.
    pub cores: Vec<(u32, Fact<CpuShares>)>,
    /// Memory sizes.
    pub memory: Memory,
    /// The shares of the time, from 0 to 1, in which some task waited for a processor, for memory, and for I/O.
    pub pressure: [Fact<f64>; 3],
    /// Bytes read from and written to whole disks per second.
    pub disk: Throughput,
    /// The busiest disk, and the share of the time in which it was active, from 0 to 1.
    pub busiest: Fact<(Arc<str>, f64)>,
    /// Bytes sent and received per second on all interfaces except loopback.
    pub network: Throughput,
    /// The number of established TCP connections.
    pub connections: Fact<u64>,
    /// Page faults per second that required I/O, of all visible processes.
    pub major_faults: f64,
    /// The time since boot.
    pub uptime: Fact<Duration>,
}

/// The sockets of a model.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// The open sockets, in ascending order of id.
    pub open: Arc<Vec<SocketRow>>,
    /// The sockets that closed recently.
    pub closed: Vec<Arc<ClosedRow>>,
    /// The traffic of each open socket.
    pub open_flows: Arc<Vec<Flow>>,
    /// The traffic of each closed socket.
    pub closed_flows: Vec<Flow>,
    /// The connections shorter than a refresh, one row for each program and remote address, in ascending order of id.
    pub brief: Vec<BriefRow>,
    /// The number of recently closed sockets that are not listed, because there are too many.
    pub untold: u64,
    /// TCP connections that opened and that closed, per second.
    pub turnover: [Fact<f64>; 2],
    /// Whether connections shorter than a refresh are observed.
    pub watched: bool,
    /// The number of recently lost events, as far as they could be counted.
    pub lost: u64,
}

/// A socket that closed recently.
#[derive(Clone, Debug)]
pub struct ClosedRow {
    /// The socket as it was last seen, or as its end was reported.
    pub row: SocketRow,
    /// The name of its process if no process list shows it, safe to print.
    pub name: Option<Arc<str>>,
    /// Its lifetime, in microseconds.
    pub lived: Fact<u64>,
    /// Whether no reading had shown it while it was open.
    pub short: bool,
    /// Whether its end was reported, in which case its bytes are complete.
    pub told: bool,
}

impl Sockets {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.open_flows.len() + self.closed_flows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the traffic of each row: first of the open sockets, then of the closed ones.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.open_flows.iter().chain(&self.closed_flows)
    }

    /// Returns the traffic of the row at `index`.
    pub fn flow(&self, index: usize) -> &Flow {
        match self.open_flows.get(index) {
            Some(flow) => flow,
            None => &self.closed_flows[index - self.open_flows.len()],
        }
    }

    /// Returns the row at `index`.
    pub fn row(&self, index: usize) -> &SocketRow {
        match self.open.get(index) {
            Some(row) => row,
            None => &self.closed[index - self.open.len()].row,
        }
    }

    /// Returns the lifetime of a closed connection, in microseconds. It is unknown for an open one, because nothing
    /// reports when it began.
    pub fn lifetime(&self, index: usize) -> Fact<u64> {
        self.closed(index)
            .map_or(Fact::Unknown(Why::NotYet), |closed| closed.lived)
    }

    /// Returns further details of the row at `index`; `None` if the socket is open.
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
    /// Returns the process with this key.
    pub fn process(&self, key: ProcessKey) -> Option<&ProcessRow> {
        let place = self.processes.binary_search_by_key(&key, |row| row.key).ok()?;
        self.processes.get(place)
    }
}

/// The interface metric that counts as traffic.
pub(crate) const TRAFFIC: InterfaceMetric = InterfaceMetric::Bytes;
