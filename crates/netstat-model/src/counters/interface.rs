//! The counters of all interfaces at one moment.

use std::time::Duration;

use super::{Kind, Pair};
use crate::{Fact, Why};

/// One figure that `-e` shows of an interface. The order is the order of printing.
///
/// The meanings are those of RFC 2863. What Linux keeps for them (struct rtnl_link_stats64 in linux/if_link.h):
///
/// | figure | received | sent |
/// |---|---|---|
/// | bytes | `rx_bytes` | `tx_bytes` |
/// | unicast, non-unicast | not separated | not separated |
/// | discards | `rx_dropped` + `rx_missed_errors` | `tx_dropped` |
/// | errors | `rx_errors` | `tx_errors` |
/// | unknown protocols | within `rx_dropped` | |
/// | packets of all kinds | `rx_packets` | `tx_packets` |
///
/// Linux counts packets of all kinds together. Its `multicast` counter does not split them: broadcasts are in none, many
/// devices (veth, bridges) leave it at 0 although multicast arrives, on others the device counts more than reached the host,
/// and for sent packets there is none at all. So `rx_packets - multicast` would be no count of unicast packets, and the
/// two rows stay unknown rather than nearly right; the true sum is in [`InterfaceMetric::AllPackets`]. Packets of a
/// protocol that nobody handles are dropped into `rx_dropped` without a counter of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InterfaceMetric {
    /// Bytes, link headers included.
    Bytes,
    /// Packets addressed to one station.
    Unicast,
    /// Packets addressed to many: broadcast and multicast.
    NonUnicast,
    /// Packets without a fault that were thrown away, such as for lack of memory.
    Discards,
    /// Packets that were faulty or could not be sent.
    Errors,
    /// Received packets of a protocol that nobody handles.
    UnknownProtocols,
    /// Packets, whoever they were addressed to. Shown only where unicast and the rest are not separated.
    AllPackets,
}

impl InterfaceMetric {
    /// Every figure, in the order of printing.
    pub const ALL: [InterfaceMetric; 7] = [
        InterfaceMetric::Bytes,
        InterfaceMetric::Unicast,
        InterfaceMetric::NonUnicast,
        InterfaceMetric::Discards,
        InterfaceMetric::Errors,
        InterfaceMetric::UnknownProtocols,
        InterfaceMetric::AllPackets,
    ];

    /// The label in the classic text, at most 20 wide.
    pub const fn label(self) -> &'static str {
        match self {
            InterfaceMetric::Bytes => "Bytes",
            InterfaceMetric::Unicast => "Unicast packets",
            InterfaceMetric::NonUnicast => "Non-unicast packets",
            InterfaceMetric::Discards => "Discards",
            InterfaceMetric::Errors => "Errors",
            InterfaceMetric::UnknownProtocols => "Unknown protocols",
            InterfaceMetric::AllPackets => "Packets of all kinds",
        }
    }

    /// A stable id for machine formats.
    pub const fn id(self) -> &'static str {
        match self {
            InterfaceMetric::Bytes => "bytes",
            InterfaceMetric::Unicast => "unicast_packets",
            InterfaceMetric::NonUnicast => "non_unicast_packets",
            InterfaceMetric::Discards => "discards",
            InterfaceMetric::Errors => "errors",
            InterfaceMetric::UnknownProtocols => "unknown_protocols",
            InterfaceMetric::AllPackets => "packets",
        }
    }

    /// Whether it is counted in both directions.
    pub const fn both_ways(self) -> bool {
        !matches!(self, InterfaceMetric::UnknownProtocols)
    }

    /// All of them only grow.
    pub const fn kind(self) -> Kind {
        Kind::Counter
    }
}

/// The figures of one interface, or of several together: totals (`u64`), or changes per second (`f64`).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Traffic<T = u64>([Pair<T>; 7]);

impl<T: Copy> Traffic<T> {
    /// Nothing known, for one reason.
    pub const fn unknown(why: Why) -> Self {
        Traffic([Pair::unknown(why); 7])
    }

    /// Both directions of `figure`.
    pub const fn get(&self, figure: InterfaceMetric) -> Pair<T> {
        self.0[figure as usize]
    }

    /// Puts in both directions of `figure`.
    #[must_use]
    pub const fn with(mut self, figure: InterfaceMetric, received: Fact<T>, sent: Fact<T>) -> Self {
        self.0[figure as usize] = Pair { received, sent };
        self
    }

    /// Combines each figure with the same of `other`; what either does not know is unknown.
    pub(super) fn zip<U>(&self, other: &Self, mut join: impl FnMut(T, T) -> Fact<U>) -> Traffic<U> {
        let mut join = |a: Fact<T>, b: Fact<T>| match (a, b) {
            (Fact::Known(a), Fact::Known(b)) => join(a, b),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        };
        Traffic(std::array::from_fn(|i| Pair {
            received: join(self.0[i].received, other.0[i].received),
            sent: join(self.0[i].sent, other.0[i].sent),
        }))
    }
}

impl Traffic<u64> {
    /// No traffic at all: the sum over no interface.
    pub const NONE: Traffic = Traffic(
        [Pair {
            received: Fact::Known(0),
            sent: Fact::Known(0),
        }; 7],
    );
}

impl Traffic<f64> {
    /// No change at all: the rate of no interface.
    pub(super) const STILL: Traffic<f64> = Traffic(
        [Pair {
            received: Fact::Known(0.0),
            sent: Fact::Known(0.0),
        }; 7],
    );
}

/// What causes errors and discards, as far as the system distinguishes it.
///
/// On Linux these are fields of struct rtnl_link_stats64 (linux/if_link.h), whose documentation says that drivers may count some of them
/// together; those of received and of sent packets need not add up to [`InterfaceMetric::Errors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ErrorKind {
    /// Received, thrown away by the device for want of room (`rx_missed_errors`).
    Missed,
    /// Received with a wrong length (`rx_length_errors`).
    Length,
    /// Received while the device's buffer overflowed (`rx_over_errors`).
    Overflow,
    /// Received with a wrong checksum (`rx_crc_errors`).
    Checksum,
    /// Received with a broken frame (`rx_frame_errors`).
    Frame,
    /// Received while the device's queue overran (`rx_fifo_errors`).
    ReceiveQueue,
    /// Received for a protocol or on a port that nobody handles (`rx_nohandler`).
    NoHandler,
    /// Received and addressed to another station (`rx_otherhost_dropped`).
    OtherHost,
    /// Not sent: the device gave up (`tx_aborted_errors`).
    Aborted,
    /// Not sent: the carrier was lost (`tx_carrier_errors`).
    Carrier,
    /// Not sent: the device's queue ran empty (`tx_fifo_errors`).
    SendQueue,
    /// Not sent: no heartbeat (`tx_heartbeat_errors`).
    Heartbeat,
    /// Not sent: a collision came too late (`tx_window_errors`).
    Window,
    /// Collisions while sending (`collisions`).
    Collisions,
}

impl ErrorKind {
    /// All of them, those of received packets first.
    pub const ALL: [ErrorKind; 14] = [
        ErrorKind::Missed,
        ErrorKind::Length,
        ErrorKind::Overflow,
        ErrorKind::Checksum,
        ErrorKind::Frame,
        ErrorKind::ReceiveQueue,
        ErrorKind::NoHandler,
        ErrorKind::OtherHost,
        ErrorKind::Aborted,
        ErrorKind::Carrier,
        ErrorKind::SendQueue,
        ErrorKind::Heartbeat,
        ErrorKind::Window,
        ErrorKind::Collisions,
    ];

    /// A label of at most 18 letters.
    pub const fn label(self) -> &'static str {
        match self {
            ErrorKind::Missed => "missed, no room",
            ErrorKind::Length => "wrong length",
            ErrorKind::Overflow => "buffer overflow",
            ErrorKind::Checksum => "wrong checksum",
            ErrorKind::Frame => "broken frame",
            ErrorKind::ReceiveQueue => "receive queue",
            ErrorKind::NoHandler => "no handler",
            ErrorKind::OtherHost => "for another host",
            ErrorKind::Aborted => "aborted",
            ErrorKind::Carrier => "carrier lost",
            ErrorKind::SendQueue => "send queue",
            ErrorKind::Heartbeat => "no heartbeat",
            ErrorKind::Window => "late collision",
            ErrorKind::Collisions => "collisions",
        }
    }

    /// Whether it is about packets to be sent.
    pub const fn of_sent(self) -> bool {
        matches!(
            self,
            ErrorKind::Aborted
                | ErrorKind::Carrier
                | ErrorKind::SendQueue
                | ErrorKind::Heartbeat
                | ErrorKind::Window
                | ErrorKind::Collisions
        )
    }
}

/// The counters of one interface.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InterfaceCounters {
    /// The system's number for it.
    pub index: Fact<u32>,
    /// Its name, in bytes as the system keeps it. Chosen by others: escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Box<[u8]>,
    /// Its Ethernet address; unknown where it has none.
    pub mac: Fact<[u8; 6]>,
    /// Whether it only leads back to this computer.
    pub loopback: Fact<bool>,
    /// Its figures.
    pub traffic: Traffic,
    /// What stands behind its errors and discards: the kinds that the system counts.
    #[cfg_attr(feature = "serde", serde(default))]
    pub kinds: Vec<(ErrorKind, u64)>,
}

/// The counters of all interfaces, as read at one moment.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InterfaceStatistics {
    /// When they were read, on a clock that never goes back (its zero does not matter).
    pub at: Duration,
    /// Every interface, loopback included, in the order of their numbers.
    pub interfaces: Fact<Vec<InterfaceCounters>>,
}

impl InterfaceStatistics {
    /// The sum over all interfaces but loopback.
    ///
    /// A packet that passes through stacked interfaces (a bridge over its ports, a tunnel over its carrier) counts in
    /// each of them, as the system counts it. The sum over no interface is 0. While it is unknown whether an interface
    /// is a loopback, the sum is unknown.
    pub fn sum(&self) -> Traffic {
        let interfaces = match &self.interfaces {
            Fact::Known(interfaces) => interfaces,
            Fact::Unknown(why) => return Traffic::unknown(*why),
        };
        let mut sum = Traffic::NONE;
        for interface in interfaces {
            match interface.loopback {
                Fact::Known(true) => {}
                Fact::Known(false) => {
                    // A sum that does not fit cannot come from true counters.
                    sum = sum.zip(&interface.traffic, |a, b| {
                        Fact::from_option(a.checked_add(b), Why::Failed)
                    });
                }
                Fact::Unknown(why) => return Traffic::unknown(why),
            }
        }
        sum
    }
}

impl InterfaceStatistics {
    /// The kinds of errors and discards, summed over all interfaces but loopback; empty where none is counted.
    pub fn kinds(&self) -> Vec<(ErrorKind, u64)> {
        let interfaces = self.interfaces.as_ref().known().map_or(&[][..], Vec::as_slice);
        let others = || {
            interfaces
                .iter()
                .filter(|interface| interface.loopback != Fact::Known(true))
        };
        let of_kind = |kind: ErrorKind| {
            let mut counts = others()
                .flat_map(|interface| &interface.kinds)
                .filter(|(other, _)| *other == kind)
                .map(|(_, count)| *count)
                .peekable();
            counts.peek()?;
            Some((kind, counts.fold(0, u64::saturating_add)))
        };
        ErrorKind::ALL.into_iter().filter_map(of_kind).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, loopback: Fact<bool>, received: u64) -> InterfaceCounters {
        InterfaceCounters {
            index: Fact::Known(1),
            name: name.as_bytes().into(),
            mac: Fact::Unknown(Why::NotApplicable),
            loopback,
            traffic: Traffic::unknown(Why::NotKept).with(
                InterfaceMetric::Bytes,
                Fact::Known(received),
                Fact::Known(received * 2),
            ),
            kinds: Vec::new(),
        }
    }

    fn statistics(interfaces: Vec<InterfaceCounters>) -> InterfaceStatistics {
        InterfaceStatistics {
            at: Duration::ZERO,
            interfaces: Fact::Known(interfaces),
        }
    }

    #[test]
    fn the_sum_leaves_loopback_out_whatever_its_name() {
        let sum = statistics(vec![
            interface("loop", Fact::Known(true), 1000),
            interface("lo", Fact::Known(false), 1),
            interface("eth0", Fact::Known(false), 20),
        ])
        .sum();
        assert_eq!(
            sum.get(InterfaceMetric::Bytes),
            Pair {
                received: Fact::Known(21),
                sent: Fact::Known(42)
            }
        );
        assert_eq!(sum.get(InterfaceMetric::Unicast), Pair::unknown(Why::NotKept));
    }

    #[test]
    fn the_sum_over_nothing_is_zero_and_over_the_unknown_is_unknown() {
        assert_eq!(statistics(Vec::new()).sum(), Traffic::NONE);
        assert_eq!(
            statistics(vec![interface("a", Fact::Unknown(Why::NotPermitted), 1)]).sum(),
            Traffic::unknown(Why::NotPermitted)
        );
        let hidden = InterfaceStatistics {
            at: Duration::ZERO,
            interfaces: Fact::Unknown(Why::Failed),
        };
        assert_eq!(hidden.sum(), Traffic::unknown(Why::Failed));
        let big = interface("a", Fact::Known(false), u64::MAX / 2);
        assert_eq!(
            statistics(vec![big.clone(), big])
                .sum()
                .get(InterfaceMetric::Bytes)
                .sent,
            Fact::Unknown(Why::Failed)
        );
    }
}
