//! The data of the graphs: metrics of the last ten minutes, of the whole computer and of each active process.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use netstat_model::Fact;
use netstat_model::metrics::ProcessKey;

use crate::model::{Model, Presence};
use crate::selection::Selection;

/// How far back a graph can reach.
const KEPT: Duration = Duration::from_secs(600);
/// The time that the small graph of a process covers.
const TREND: Duration = Duration::from_secs(60);

/// The metrics of one moment. An unknown value is `NaN`, which is a gap in the graph.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// The time of the sample, on the collector's clock.
    pub(crate) at: Duration,
    /// The share of all processors that was busy, from 0 to 1.
    pub(crate) cpu: f32,
    /// The shares of memory in use without and with caches, from 0 to 1.
    pub(crate) memory: [f32; 2],
    /// The share of the time in which a task waited for memory, from 0 to 1.
    pub(crate) memory_pressure: f32,
    /// Bytes read and written per second.
    pub(crate) disk: [f32; 2],
    /// The share of the time in which the busiest disk was active, from 0 to 1.
    pub(crate) active: f32,
    /// Bytes received and sent per second.
    pub(crate) network: [f32; 2],
    /// The number of TCP connections.
    pub(crate) connections: f32,
    /// The share of each processor that was busy, from 0 to 1.
    pub(crate) cores: Vec<f32>,
    /// Bytes received and sent per second of each interface, in the order of the model.
    pub(crate) interfaces: Vec<(Arc<str>, [f32; 2])>,
}

/// The activity of one process at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Activity {
    at: Duration,
    cpu: f32,
    disk: [f32; 2],
    network: [f32; 2],
}

/// The activity of the selected processes and sockets at one moment, as far as it is not in [`Activity`].
#[derive(Clone, Copy, Debug)]
struct Selected {
    at: Duration,
    /// Bytes received and sent per second.
    network: [f32; 2],
    /// Bytes of resident memory.
    resident: f32,
    connections: f32,
}

/// The history of the screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    points: VecDeque<Point>,
    /// The activity of each process, only for moments at which it was active.
    activity: HashMap<ProcessKey, VecDeque<Activity>>,
    /// The activity since marks or filter were last changed.
    selected: VecDeque<Selected>,
}

/// The metric of a small graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trend {
    /// Processor time.
    Cpu,
    /// Bytes read and written.
    Disk,
    /// Bytes sent and received.
    Network,
}

/// The metric of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    /// Processors.
    Cpu,
    /// Memory in use, and caches on top.
    Memory,
    /// Pressure: waiting for memory.
    MemoryPressure,
    /// Bytes read and written.
    Disk,
    /// Activity of the busiest disk.
    DiskActive,
    /// Bytes received and sent.
    Network,
    /// TCP connections.
    Connections,
    /// One processor, by its index.
    Core(usize),
    /// One interface, by its index.
    Interface(usize),
}

impl Series {
    /// Whether the metric is known for single processes.
    pub(crate) fn is_of_processes(self) -> bool {
        matches!(
            self,
            Series::Cpu | Series::Disk | Series::Memory | Series::Network | Series::Connections
        )
    }
}

fn value(fact: Fact<f64>) -> f32 {
    fact.known().map_or(f32::NAN, |value| value as f32)
}

impl History {
    /// Adds a model.
    pub(crate) fn push(&mut self, model: &Model, selection: &Selection) {
        if self.points.back().is_some_and(|last| last.at >= model.at) {
            // A replay has started again.
            *self = History::default();
        }
        let whole = &model.whole;
        let total = whole.memory.total.known().map_or(f64::NAN, |bytes| bytes as f64);
        let used = whole.memory.in_use().map(|bytes| bytes as f64 / total);
        let cached = whole.memory.cached.map(|bytes| bytes as f64 / total);
        self.points.push_back(Point {
            at: model.at,
            cpu: value(whole.cpu.map(|cpu| cpu.busy)),
            memory: [value(used), value(cached)],
            memory_pressure: value(whole.pressure[1]),
            disk: [value(whole.disk.inbound), value(whole.disk.outbound)],
            active: whole
                .busiest
                .as_ref()
                .known()
                .map_or(f32::NAN, |(_, share)| *share as f32),
            network: [value(whole.network.inbound), value(whole.network.outbound)],
            connections: value(whole.connections.map(|count| count as f64)),
            cores: whole
                .cores
                .iter()
                .map(|(_, cpu)| value(cpu.map(|cpu| cpu.busy)))
                .collect(),
            interfaces: model
                .interfaces
                .iter()
                .map(|interface| {
                    let rate = [value(interface.rate.inbound), value(interface.rate.outbound)];
                    (Arc::clone(&interface.name), rate)
                })
                .collect(),
        });
        let oldest = model.at.saturating_sub(KEPT);
        while self.points.front().is_some_and(|point| point.at < oldest) {
            self.points.pop_front();
        }
        for row in model.processes.iter().filter(|row| row.presence != Presence::Gone) {
            let known = |fact: Fact<f64>| fact.known().unwrap_or(0.0) as f32;
            let activity = Activity {
                at: model.at,
                cpu: known(row.rates.cpu),
                disk: [known(row.rates.read), known(row.rates.written)],
                network: [known(row.network.inbound), known(row.network.outbound)],
            };
            let sum = activity.cpu + activity.disk[0] + activity.disk[1] + activity.network[0] + activity.network[1];
            if sum > 0.0 {
                self.activity.entry(row.key).or_default().push_back(activity);
            }
        }
        self.activity.retain(|_, past| {
            while past.front().is_some_and(|first| first.at < oldest) {
                past.pop_front();
            }
            !past.is_empty()
        });
        while self.selected.front().is_some_and(|first| first.at < oldest) {
            self.selected.pop_front();
        }
        self.select(model, selection);
    }

    /// Records the activity of the selected processes and sockets at this moment.
    pub(crate) fn select(&mut self, model: &Model, selection: &Selection) {
        if let Some(totals) = selection.totals()
            && self.selected.back().is_none_or(|last| last.at < model.at)
        {
            self.selected.push_back(Selected {
                at: model.at,
                network: [value(totals.network.inbound), value(totals.network.outbound)],
                resident: totals.resident as f32,
                connections: totals.connections as f32,
            });
        }
    }

    /// Discards the history of the selection after marks or filter have changed.
    pub(crate) fn forget_selection(&mut self) {
        self.selected.clear();
    }

    /// Returns the last minute of a process, divided into `parts`, the newest last; 0 where it was not active. Empty if
    /// it was not active at all.
    pub(crate) fn trend(&self, process: ProcessKey, trend: Trend, parts: usize) -> Vec<f32> {
        let (Some(past), Some(last)) = (self.activity.get(&process), self.points.back()) else {
            return Vec::new();
        };
        let width = TREND.as_secs_f64() / parts.max(1) as f64;
        let newest = (last.at.as_secs_f64() / width).floor();
        let mut values = vec![0.0f32; parts];
        for activity in past.iter().rev() {
            let back = newest - (activity.at.as_secs_f64() / width).floor();
            if back >= parts as f64 {
                break;
            }
            let value = match trend {
                Trend::Cpu => activity.cpu,
                Trend::Disk => activity.disk[0] + activity.disk[1],
                Trend::Network => activity.network[0] + activity.network[1],
            };
            if let Some(part) = values.get_mut(parts - 1 - back.max(0.0) as usize) {
                *part = part.max(value);
            }
        }
        values
    }

    /// Returns one value (two for graphs of two metrics) for each of `columns` parts of the last `span`, the newest
    /// last. A part without a reading is `NaN`. With marks or a filter, the values are those of the selected processes
    /// and sockets, as far as they are known.
    pub(crate) fn columns(
        &self,
        series: Series,
        span: Duration,
        columns: usize,
        model: &Model,
        selection: &Selection,
    ) -> Vec<[f32; 2]> {
        let mut sums = vec![([0.0f32; 2], 0u32); columns];
        let Some(last) = self.points.back().map(|point| point.at) else {
            return vec![[f32::NAN; 2]; columns];
        };
        let processors = model.whole.cores.len().max(1) as f32;
        let total = model.whole.memory.total.known().map_or(f32::NAN, |bytes| bytes as f32);
        let begin = last.saturating_sub(span);
        let width = span.as_secs_f64() / columns.max(1) as f64;
        // Columns are aligned to multiples of their width, so that a value does not move back and forth between two of
        // them.
        let newest = (last.as_secs_f64() / width).floor();
        let place = |at: Duration| {
            let back = newest - (at.as_secs_f64() / width).floor();
            (back >= 0.0 && back < columns as f64).then(|| columns - 1 - back as usize)
        };
        let selected = self.of_selected(series, selection);
        for point in self.points.iter().filter(|point| point.at >= begin) {
            let Some(column) = place(point.at) else { continue };
            let values = match (&selected, series) {
                (Some(past), _) => match (past.get(&point.at), series) {
                    (Some(values), Series::Cpu) => [values[0] / processors, 0.0],
                    (Some(values), Series::Memory) => [values[0] / total, 0.0],
                    (Some(values), _) => *values,
                    // An inactive process leaves no entry; what was not observed is unknown.
                    (None, Series::Cpu | Series::Disk) => [0.0; 2],
                    (None, Series::Network) if !selection.chooses_sockets() => [0.0; 2],
                    (None, _) => [f32::NAN; 2],
                },
                (None, Series::Cpu) => [point.cpu, 0.0],
                (None, Series::Memory) => point.memory,
                (None, Series::MemoryPressure) => [point.memory_pressure, 0.0],
                (None, Series::Disk) => point.disk,
                (None, Series::DiskActive) => [point.active, 0.0],
                (None, Series::Network) => point.network,
                (None, Series::Connections) => [point.connections, 0.0],
                (None, Series::Core(at)) => [point.cores.get(at).copied().unwrap_or(f32::NAN), 0.0],
                (None, Series::Interface(at)) => {
                    let name = model.interfaces.get(at).map(|interface| &interface.name);
                    let same = point.interfaces.iter().find(|(known, _)| Some(known) == name);
                    same.map_or([f32::NAN; 2], |(_, rate)| *rate)
                }
            };
            if values.iter().all(|value| !value.is_nan()) {
                let (sum, count) = &mut sums[column];
                sum[0] += values[0];
                sum[1] += values[1];
                *count += 1;
            }
        }
        let mut columns: Vec<[f32; 2]> = sums
            .into_iter()
            .map(|(sum, count)| match count {
                0 => [f32::NAN; 2],
                count => [sum[0] / count as f32, sum[1] / count as f32],
            })
            .collect();
        bridge(&mut columns);
        columns
    }

    /// Returns the activity of the selected processes and sockets at each moment; `None` if the selection does not
    /// affect this metric.
    fn of_selected(&self, series: Series, selection: &Selection) -> Option<HashMap<Duration, [f32; 2]>> {
        if selection.is_all() || !series.is_of_processes() {
            return None;
        }
        let since = |value: fn(&Selected) -> [f32; 2]| self.selected.iter().map(|one| (one.at, value(one))).collect();
        match series {
            Series::Memory => return Some(since(|one| [one.resident, 0.0])),
            Series::Connections => return Some(since(|one| [one.connections, 0.0])),
            Series::Network if selection.chooses_sockets() => return Some(since(|one| one.network)),
            _ => {}
        }
        let mut sums: HashMap<Duration, [f32; 2]> = HashMap::new();
        let keys = selection.processes().iter();
        for activity in keys.filter_map(|key| self.activity.get(key)).flatten() {
            let sum = sums.entry(activity.at).or_default();
            let values = match series {
                Series::Cpu => [activity.cpu, 0.0],
                Series::Disk => activity.disk,
                _ => activity.network,
            };
            sum[0] += values[0];
            sum[1] += values[1];
        }
        Some(sums)
    }
}

/// Fills columns between two readings with the earlier reading, because with a long refresh interval some columns have
/// none.
fn bridge(columns: &mut [[f32; 2]]) {
    let mut last: Option<(usize, [f32; 2])> = None;
    for at in 0..columns.len() {
        if columns[at][0].is_nan() {
            continue;
        }
        if let Some((before, value)) = last {
            columns[before + 1..at].fill(value);
        }
        last = Some((at, columns[at]));
    }
}

/// The maximum of a scale that changes rarely: it grows immediately to the next of 1, 2, 5, 10, ..., and shrinks only
/// when half of it suffices for everything that is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(f32);

impl Scale {
    /// Creates a scale whose maximum is never below `least`.
    pub(crate) fn new(least: f32) -> Self {
        Scale(round_up(least))
    }

    /// Updates and returns the maximum for values up to `most`.
    pub(crate) fn fit(&mut self, most: f32, least: f32) -> f32 {
        let needed = round_up(most.max(least));
        if needed > self.0 || needed < self.0 / 2.5 {
            self.0 = needed;
        }
        self.0
    }
}

/// Rounds up to the next of 1, 2, 5, 10, 20, ...
fn round_up(value: f32) -> f32 {
    if !value.is_finite() || value <= 1.0 {
        return 1.0;
    }
    let power = 10f32.powf(value.log10().floor());
    for step in [1.0, 2.0, 5.0, 10.0] {
        if value <= step * power * 1.0001 {
            return step * power;
        }
    }
    10.0 * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_grows_at_once_and_shrinks_late() {
        let mut scale = Scale::new(1000.0);
        assert_eq!(scale.fit(10.0, 1000.0), 1000.0);
        assert_eq!(scale.fit(1200.0, 1000.0), 2000.0);
        assert_eq!(scale.fit(4900.0, 1000.0), 5000.0);
        // Half of it would suffice, but not less: it does not shrink yet.
        assert_eq!(scale.fit(2100.0, 1000.0), 5000.0);
        assert_eq!(scale.fit(1900.0, 1000.0), 5000.0);
        assert_eq!(scale.fit(900.0, 1000.0), 1000.0);
    }

    #[test]
    fn gaps_between_readings_are_bridged_but_not_before_the_first() {
        let nan = f32::NAN;
        let mut columns = [[nan; 2], [1.0, 0.0], [nan; 2], [nan; 2], [3.0, 0.0], [nan; 2]];
        bridge(&mut columns);
        assert!(columns[0][0].is_nan() && columns[5][0].is_nan());
        assert_eq!((columns[2][0], columns[3][0]), (1.0, 1.0));
    }
}
