//! Counters of protocols and interfaces, as the system reports them.
//!
//! Two kinds of counters are kept. The *classic* ones are those that `netstat -s` and `-e` have always printed;
//! [`Block::rows`] and [`InterfaceMetric::ALL`] define their names, their order and where Linux keeps each of them. The
//! *further* ones are everything else that the system counts, as [`CounterGroup`]s under the system's own names, with a
//! [`meaning()`] if it is documented.
//!
//! Differences are computed only in [`diff`](mod@diff).

mod classic;
pub mod diff;
mod interface;
mod meaning;
mod protocol;

pub use classic::{Block, BlockSet, Cells, ClassicRow, Kind, LinuxSource};
pub use diff::{InterfaceRates, ProtocolRates};
pub use interface::{ErrorKind, InterfaceCounters, InterfaceMetric, InterfaceStatistics, Traffic};
pub use meaning::{is_gauge, meaning};
pub use protocol::{CounterGroup, Metric, NamedCounter, ProtocolStatistics, TcpFamilies, group_blocks};

use crate::Fact;

/// A value for each direction.
///
/// A row with a single value keeps it in `received`; its `sent` is unknown and not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pair<T> {
    /// The inbound value, or the only one.
    pub received: Fact<T>,
    /// The outbound value.
    pub sent: Fact<T>,
}

impl<T: Copy> Pair<T> {
    /// Creates a pair in which both directions are unknown for the same reason.
    pub const fn unknown(why: crate::Why) -> Self {
        Pair {
            received: Fact::Unknown(why),
            sent: Fact::Unknown(why),
        }
    }
}
