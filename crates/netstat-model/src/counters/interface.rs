//! The counters of all interfaces at one point in time.

use std::time::Duration;

use super::{Kind, Pair};
use crate::{Fact, Why};

/// A counter that `-e` shows for an interface. The variants are in the order of display.
///
/// The meanings are those of RFC 2863. Linux keeps them as follows (struct rtnl_link_stats64 in linux/if_link.h):
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
/// Linux counts packets of all kinds together, and its `multicast` counter does not separate them: it excludes
/// broadcasts, many devices (veth, bridges) leave it at 0 although multicast arrives, on others the device counts more
/// than reached the host, and there is no such counter for sent packets. `rx_packets - multicast` would therefore not
/// be the number of unicast packets, and the two rows stay unknown instead of being approximately right. The true sum
/// is in [`InterfaceMetric::AllPackets`]. Packets of an unhandled protocol are included in `rx_dropped` without a
/// counter of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InterfaceMetric {
    /// Bytes, including link-layer headers.
    Bytes,
    /// Packets addressed to a single station.
    Unicast,
    /// Packets addressed to several stations: broadcast and multicast.
    NonUnicast,
    /// Packets without errors that were discarded, for example for lack of memory.
    Discards,
    /// Packets that had errors or could not be sent.
    Errors,
    /// Received packets of a protocol that this host does not handle.
    UnknownProtocols,
    /// Packets of all kinds. Shown only if unicast and other packets are not counted separately.
    AllPackets,
}

impl InterfaceMetric {
    /// Every counter, in the order of display.
    pub const ALL: [InterfaceMetric; 7] = [
        InterfaceMetric::Bytes,
        InterfaceMetric::Unicast,
        InterfaceMetric::NonUnicast,
        InterfaceMetric::Discards,
        InterfaceMetric::Errors,
        InterfaceMetric::UnknownProtocols,
        InterfaceMetric::AllPackets,
    ];

    /// Returns the label in the classic text, at most 20 characters.
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

    /// Returns a stable id for machine-readable formats.
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

    /// Whether there is a value for each direction.
    pub const fn both_ways(self) -> bool {
        !matches!(self, InterfaceMetric::UnknownProtocols)
    }

    /// Returns the kind of the value; these are all counters.
    pub const fn kind(self) -> Kind {
        Kind::Counter
    }
}

/// The values of one interface or of several together: totals (`u64`) or rates per second (`f64`).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Traffic<T = u64>([Pair<T>; 7]);

impl<T: Copy> Traffic<T> {
    /// Creates a value in which everything is unknown for the same reason.
    pub const fn unknown(why: Why) -> Self {
        Traffic([Pair::unknown(why); 7])
    }

    /// Returns `figure` in both directions.
    pub const fn get(&self, figure: InterfaceMetric) -> Pair<T> {
        self.0[figure as usize]
    }

    /// Returns the values with `figure` replaced in both directions.
    #[must_use]
    pub const fn with(mut self, figure: InterfaceMetric, received: Fact<T>, sent: Fact<T>) -> Self {
        self.0[figure as usize] = Pair { received, sent };
        self
    }

    /// Combines each value with that of `other`; the result is unknown if either of them is.
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
    /// No traffic: the sum over no interfaces.
    pub const NONE: Traffic = Traffic(
        [Pair {
            received: Fact::Known(0),
            sent: Fact::Known(0),
        }; 7],
    );
}

impl Traffic<f64> {
    /// No change: the rates of no interfaces.
    pub(super) const STILL: Traffic<f64> = Traffic(
        [Pair {
            received: Fact::Known(0.0),
            sent: Fact::Known(0.0),
        }; 7],
    );
}

/// The cause of errors and discards, as far as the system distinguishes it.
///
/// On Linux these are fields of struct rtnl_link_stats64 (linux/if_link.h). According to its documentation, drivers may
/// count some of them together, so their sums need not match [`InterfaceMetric::Errors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ErrorKind {
    /// Received packets that the device discarded for lack of buffer space (`rx_missed_errors`).
    Missed,
    /// Received packets with an invalid length (`rx_length_errors`).
    Length,
    /// Received packets that overflowed the device's buffer (`rx_over_errors`).
    Overflow,
    /// Received packets with a wrong checksum (`rx_crc_errors`).
    Checksum,
    /// Received packets with a framing error (`rx_frame_errors`).
    Frame,
    /// Received packets that overran the device's queue (`rx_fifo_errors`).
    ReceiveQueue,
    /// Received packets for a protocol or on a port without a handler (`rx_nohandler`).
    NoHandler,
    /// Received packets addressed to another station (`rx_otherhost_dropped`).
    OtherHost,
    /// Packets not sent because the device aborted (`tx_aborted_errors`).
    Aborted,
    /// Packets not sent because the carrier was lost (`tx_carrier_errors`).
    Carrier,
    /// Packets not sent because the device's queue underran (`tx_fifo_errors`).
    SendQueue,
    /// Packets not sent for lack of a heartbeat (`tx_heartbeat_errors`).
    Heartbeat,
    /// Packets not sent because of a late collision (`tx_window_errors`).
    Window,
    /// Collisions during sending (`collisions`).
    Collisions,
}

impl ErrorKind {
    /// Every kind, those of received packets first.
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

    /// Returns a label of at most 18 characters.
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

    /// Whether the kind concerns packets to be sent.
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
    /// The interface index.
    pub index: Fact<u32>,
    /// The name as the system's bytes. Others choose it: escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Box<[u8]>,
    /// The Ethernet address; unknown if there is none.
    pub mac: Fact<[u8; 6]>,
    /// Whether it is a loopback interface.
    pub loopback: Fact<bool>,
    /// The traffic counters.
    pub traffic: Traffic,
    /// The errors and discards by cause, as far as the system counts them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub kinds: Vec<(ErrorKind, u64)>,
}

/// The counters of all interfaces at one point in time.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InterfaceStatistics {
    /// The time of reading, on a monotonic clock with an arbitrary origin.
    pub at: Duration,
    /// Every interface including loopback, ordered by index.
    pub interfaces: Fact<Vec<InterfaceCounters>>,
}

impl InterfaceStatistics {
    /// Returns the sum over all interfaces except loopback.
    ///
    /// A packet that passes through stacked interfaces (a bridge and its ports, a tunnel and its carrier) counts for
    /// each of them, as the system counts it. The sum over no interfaces is 0. If it is unknown whether an interface is
    /// a loopback, the sum is unknown.
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
                    // A sum that overflows cannot come from correct counters.
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
    /// Returns the errors and discards by cause, summed over all interfaces except loopback. Causes that no interface
    /// counts are omitted.
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
    fn interface_sum_leaves_out_loopback_whatever_its_name() {
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
    fn interface_sum_of_none_is_zero_and_of_unknown_is_unknown() {
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
