//! Rates between two readings: the only module that computes differences.
//!
//! A counter that went backwards was reset or has wrapped around (as those of a 32-bit kernel do): its rate is unknown,
//! never a huge number. A gauge has no rate, nor do two readings at the same time.

use std::time::Duration;

use super::{
    Block, ClassicRow, CounterGroup, InterfaceCounters, InterfaceStatistics, Pair, ProtocolStatistics, Traffic,
};
use crate::{Fact, Why};

/// Returns the rate of a counter, per second, between two readings that are `elapsed` apart.
///
/// The rate is unknown if either reading is, if no time has passed, or if the counter went backwards.
pub fn per_second(previous: Fact<u64>, current: Fact<u64>, elapsed: Duration) -> Fact<f64> {
    match (previous, current) {
        (Fact::Known(previous), Fact::Known(current)) => match current.checked_sub(previous) {
            Some(change) if !elapsed.is_zero() => Fact::Known(change as f64 / elapsed.as_secs_f64()),
            _ => Fact::Unknown(Why::Failed),
        },
        (_, Fact::Unknown(why)) | (Fact::Unknown(why), _) => Fact::Unknown(why),
    }
}

/// Returns the time between two readings; zero if the clock went backwards, as between two recordings.
fn elapsed(previous: Duration, current: Duration) -> Duration {
    current.checked_sub(previous).unwrap_or_default()
}

/// The rates of the counters of all protocols, in the order of the current reading.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolRates {
    blocks: [Vec<Pair<f64>>; 8],
    groups: Vec<Vec<Fact<f64>>>,
}

impl ProtocolRates {
    /// Computes the rates from `previous` to `current`. Without a previous reading (on the first display) all are
    /// unknown.
    pub fn between(previous: Option<&ProtocolStatistics>, current: &ProtocolStatistics) -> Self {
        let elapsed = previous.map_or(Duration::ZERO, |previous| elapsed(previous.at, current.at));
        let blocks = Block::ALL.map(|block| {
            let before = previous.map(|previous| previous.values(block));
            let rates = block.rows().iter().zip(current.values(block)).enumerate();
            rates
                .map(|(i, (row, now))| row_rate(row, before.map(|before| before[i]), now, elapsed))
                .collect()
        });
        let groups = current
            .groups
            .iter()
            .map(|group| {
                group_rates(
                    previous.and_then(|previous| previous.group(&group.name)),
                    group,
                    elapsed,
                )
            })
            .collect();
        ProtocolRates { blocks, groups }
    }

    /// Returns the rates of the classic rows of `block`, in order.
    pub fn rows(&self, block: Block) -> &[Pair<f64>] {
        &self.blocks[block.index()]
    }

    /// Returns the rates of the group at `index` in [`ProtocolStatistics::groups`], in the order of its counters.
    pub fn group(&self, index: usize) -> &[Fact<f64>] {
        self.groups.get(index).map_or(&[], Vec::as_slice)
    }
}

fn row_rate(row: &ClassicRow, before: Option<Pair<u64>>, now: &Pair<u64>, elapsed: Duration) -> Pair<f64> {
    match before {
        Some(before) if ProtocolStatistics::is_counter(row) => Pair {
            received: per_second(before.received, now.received, elapsed),
            sent: per_second(before.sent, now.sent, elapsed),
        },
        None if ProtocolStatistics::is_counter(row) => Pair::unknown(Why::NotYet),
        _ => Pair::unknown(Why::NotApplicable),
    }
}

fn group_rates(before: Option<&CounterGroup>, now: &CounterGroup, elapsed: Duration) -> Vec<Fact<f64>> {
    let count = |figure: super::Metric| Fact::from_option(figure.counter(), Why::NotApplicable);
    let rate = |(i, counter): (usize, &super::NamedCounter)| {
        let Some(before) = before else {
            return Fact::Unknown(Why::NotYet);
        };
        // The order rarely changes, so the same position is tried first.
        let previous = match before.counters.get(i) {
            Some(same) if same.name == counter.name => Some(same.value),
            _ => before.get(&counter.name),
        };
        match (previous, counter.value) {
            (Some(Fact::Known(previous)), Fact::Known(current)) => per_second(count(previous), count(current), elapsed),
            (_, Fact::Unknown(why)) | (Some(Fact::Unknown(why)), _) => Fact::Unknown(why),
            (None, _) => Fact::Unknown(Why::NotYet),
        }
    };
    now.counters.iter().enumerate().map(rate).collect()
}

/// The rates of all interfaces.
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceRates {
    /// The sum over the interfaces, except loopback, that are in both readings. The earlier traffic of an interface
    /// that has just appeared does not belong to this interval.
    pub sum: Traffic<f64>,
    /// The rates of each interface, in the order of the current reading; unknown for one that has just appeared.
    pub each: Vec<Traffic<f64>>,
}

impl InterfaceRates {
    /// Computes the rates from `previous` to `current`. Without a previous reading (on the first display) all are
    /// unknown.
    pub fn between(previous: Option<&InterfaceStatistics>, current: &InterfaceStatistics) -> Self {
        let unknown = Traffic::unknown(Why::NotYet);
        let Fact::Known(now) = &current.interfaces else {
            return InterfaceRates {
                sum: unknown,
                each: Vec::new(),
            };
        };
        let Some(previous) = previous else {
            return InterfaceRates {
                sum: unknown,
                each: vec![unknown; now.len()],
            };
        };
        let before = match &previous.interfaces {
            Fact::Known(before) => before.as_slice(),
            Fact::Unknown(_) => {
                return InterfaceRates {
                    sum: unknown,
                    each: vec![unknown; now.len()],
                };
            }
        };
        let elapsed = elapsed(previous.at, current.at);
        let mut sum = Traffic::STILL;
        let each = now
            .iter()
            .map(|interface| {
                let Some(old) = before.iter().find(|old| is_same(old, interface)) else {
                    return unknown;
                };
                let rates = old.traffic.zip(&interface.traffic, |a, b| {
                    per_second(Fact::Known(a), Fact::Known(b), elapsed)
                });
                if interface.loopback == Fact::Known(false) {
                    sum = sum.zip(&rates, |a, b| Fact::Known(a + b));
                }
                rates
            })
            .collect();
        // If it is unknown whether an interface is a loopback, no sum would be right.
        if now.iter().any(|interface| interface.loopback.why().is_some()) {
            sum = unknown;
        }
        InterfaceRates { sum, each }
    }
}

/// Whether both are the same interface. Indexes and names are reused after an interface is gone, so both must match.
fn is_same(old: &InterfaceCounters, new: &InterfaceCounters) -> bool {
    old.index == new.index && old.name == new.name
}

#[cfg(test)]
mod tests {
    use super::super::{InterfaceMetric, Metric, NamedCounter, TcpFamilies};
    use super::*;

    const TWO_SECONDS: Duration = Duration::from_secs(2);

    fn known(value: u64) -> Fact<u64> {
        Fact::Known(value)
    }

    #[test]
    fn counter_rate_is_change_per_second() {
        assert_eq!(per_second(known(10), known(34), TWO_SECONDS), Fact::Known(12.0));
        assert_eq!(per_second(known(7), known(7), TWO_SECONDS), Fact::Known(0.0));
        assert_eq!(
            per_second(known(0), known(1), Duration::from_millis(500)),
            Fact::Known(2.0)
        );
    }

    #[test]
    fn counter_rate_after_reset_or_without_elapsed_time_is_unknown() {
        // A 32-bit counter that has wrapped around.
        assert_eq!(
            per_second(known(u64::from(u32::MAX)), known(3), TWO_SECONDS),
            Fact::Unknown(Why::Failed)
        );
        assert_eq!(
            per_second(known(1), known(2), Duration::ZERO),
            Fact::Unknown(Why::Failed)
        );
        assert_eq!(
            per_second(Fact::Unknown(Why::NotKept), known(2), TWO_SECONDS),
            Fact::Unknown(Why::NotKept)
        );
        assert_eq!(elapsed(TWO_SECONDS, Duration::ZERO), Duration::ZERO);
    }

    fn statistics(at: Duration, value: u64, counters: &[(&str, Metric)]) -> ProtocolStatistics {
        let counters = counters
            .iter()
            .map(|&(name, figure)| NamedCounter {
                name: name.into(),
                value: Fact::Known(figure),
            })
            .collect();
        let group = CounterGroup {
            name: "Tcp".into(),
            counters,
        };
        let mut statistics = ProtocolStatistics::new(at, TcpFamilies::Together, vec![group], |_, _| Pair {
            received: known(value),
            sent: known(value * 2),
        });
        statistics.set_current_connections(known(value), known(value));
        statistics
    }

    #[test]
    fn protocol_rates_cover_rows_and_groups_but_no_gauges() {
        let before = statistics(
            TWO_SECONDS,
            10,
            &[("CurrEstab", Metric::Gauge(9)), ("InErrs", Metric::Counter(2))],
        );
        let now = statistics(
            TWO_SECONDS * 2,
            20,
            &[
                ("New", Metric::Counter(5)),
                ("CurrEstab", Metric::Gauge(99)),
                ("InErrs", Metric::Counter(8)),
            ],
        );
        let rates = ProtocolRates::between(Some(&before), &now);
        assert_eq!(
            rates.rows(Block::Icmpv6)[0],
            Pair {
                received: Fact::Known(5.0),
                sent: Fact::Known(10.0)
            }
        );
        let place = Block::Tcpv4
            .rows()
            .iter()
            .position(|row| row.id == "current_connections")
            .unwrap();
        assert_eq!(rates.rows(Block::Tcpv4)[place], Pair::unknown(Why::NotApplicable));
        let none = Fact::Unknown(Why::NotApplicable);
        let new = Fact::Unknown(Why::NotYet);
        assert_eq!(rates.group(0), [new, none, Fact::Known(3.0)]);

        let first = ProtocolRates::between(None, &now);
        assert_eq!(first.rows(Block::Ipv4)[0], Pair::unknown(Why::NotYet));
        assert_eq!(first.group(0), [new; 3]);
        assert_eq!(first.group(7), []);
    }

    fn interface(index: u32, name: &str, loopback: bool, bytes: u64) -> InterfaceCounters {
        InterfaceCounters {
            index: Fact::Known(index),
            name: name.as_bytes().into(),
            mac: Fact::Unknown(Why::NotApplicable),
            loopback: Fact::Known(loopback),
            traffic: Traffic::unknown(Why::NotKept).with(InterfaceMetric::Bytes, known(bytes), known(bytes * 2)),
            kinds: Vec::new(),
        }
    }

    #[test]
    fn interface_rate_sum_leaves_out_new_and_replaced_interfaces() {
        let before = InterfaceStatistics {
            at: Duration::ZERO,
            interfaces: Fact::Known(vec![
                interface(1, "lo", true, 0),
                interface(2, "eth0", false, 100),
                interface(3, "gone", false, 9_000),
                interface(5, "wlan0", false, 0),
            ]),
        };
        let now = InterfaceStatistics {
            at: TWO_SECONDS,
            interfaces: Fact::Known(vec![
                interface(1, "lo", true, 5_000),
                interface(2, "eth0", false, 140),
                interface(3, "came", false, 1_000_000),
                interface(5, "wlan0", false, 6),
            ]),
        };
        let rates = InterfaceRates::between(Some(&before), &now);
        let bytes = |traffic: &Traffic<f64>| traffic.get(InterfaceMetric::Bytes);
        assert_eq!(
            bytes(&rates.sum),
            Pair {
                received: Fact::Known(23.0),
                sent: Fact::Known(46.0)
            }
        );
        assert_eq!(bytes(&rates.each[0]).received, Fact::Known(2500.0));
        assert_eq!(bytes(&rates.each[2]), Pair::unknown(Why::NotYet));
        assert_eq!(rates.sum.get(InterfaceMetric::Errors), Pair::unknown(Why::NotKept));

        // eth0 was reset, so its rate and the sum are unknown.
        let reset = InterfaceRates::between(
            Some(&now),
            &InterfaceStatistics {
                at: TWO_SECONDS * 2,
                ..before
            },
        );
        assert_eq!(bytes(&reset.sum), Pair::unknown(Why::Failed));
        assert_eq!(
            bytes(&InterfaceRates::between(None, &now).sum),
            Pair::unknown(Why::NotYet)
        );
    }
}
