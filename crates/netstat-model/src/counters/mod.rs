//! Counters of protocols and interfaces, kept as read.
//!
//! Two kinds of figures are kept. The *classic* ones are those `netstat -s` and `-e` have always printed: one list
//! ([`Block::rows`], [`InterfaceMetric::ALL`]) names them, orders them and says where Linux keeps each. The *further*
//! ones are whatever else the system counts, as [`CounterGroup`]s under the system's own names, with a
//! [`meaning()`] where it is documented.
//!
//! Only [`diff`](mod@diff) subtracts.

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

/// A figure in both directions.
///
/// A row that has a single value keeps it in `received`; its `sent` is unknown and not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pair<T> {
    /// What came in, or the only value.
    pub received: Fact<T>,
    /// What went out.
    pub sent: Fact<T>,
}

impl<T: Copy> Pair<T> {
    /// Both directions unknown for the same reason.
    pub const fn unknown(why: crate::Why) -> Self {
        Pair {
            received: Fact::Unknown(why),
            sent: Fact::Unknown(why),
        }
    }
}
