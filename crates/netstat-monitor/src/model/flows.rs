//! What flows through each socket, which are new and which have ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::counters::diff::per_second;
use netstat_model::figures::ProcessKey;
use netstat_model::text::escape_str;
use netstat_model::{Fact, Why};

use super::loss::Losses;
use super::modeler::MOMENT;
use super::{ClosedRow, Flow, Presence, Sockets};
use crate::sample::{Bytes, Ended, Passing, Sample, Segments, SocketRow};

/// The time constant of recent averages in seconds.
const RECENT: f64 = 10.0;
/// A connection that was too short for a look is shown for so long.
const SHORT_MOMENT: Duration = Duration::from_secs(5);
/// So many closed rows are shown at once; the others are counted.
const MOST_CLOSED: usize = 600;

/// The flows of the last look, and what has ended a moment ago.
#[derive(Debug)]
pub(super) struct Flows {
    flows: Arc<Vec<Flow>>,
    /// When sockets appeared that have only just done so.
    appeared: HashMap<u64, Duration>,
    closed: Vec<Closed>,
    /// How many closed rows found no room, and when.
    untold: Vec<(u64, Duration)>,
    lost: Vec<(u64, Duration)>,
    losses: Losses,
    /// Bytes per second of connections that ended since the look before.
    ended: Vec<(ProcessKey, [f64; 2])>,
    turnover: [Fact<f64>; 2],
    watched: bool,
}

#[derive(Debug)]
struct Closed {
    row: Arc<ClosedRow>,
    flow: Flow,
    until: Duration,
}

impl Default for Flows {
    fn default() -> Self {
        Flows {
            flows: Arc::default(),
            appeared: HashMap::new(),
            closed: Vec::new(),
            untold: Vec::new(),
            lost: Vec::new(),
            losses: Losses::default(),
            ended: Vec::new(),
            turnover: [Fact::Unknown(Why::NotYet); 2],
            watched: false,
        }
    }
}

/// How much a new value counts in a recent average after `elapsed`.
pub(super) fn weight(elapsed: Duration) -> f32 {
    (1.0 - (-elapsed.as_secs_f64() / RECENT).exp()) as f32
}

impl Flows {
    /// What flows through the open sockets.
    pub(super) fn open(&self) -> &[Flow] {
        &self.flows
    }

    /// Bytes sent and received per second of connections that ended since the look before, by process.
    pub(super) fn ended(&self) -> &[(ProcessKey, [f64; 2])] {
        &self.ended
    }

    /// The sockets of the model.
    pub(super) fn sockets(&self, open: &Arc<Vec<SocketRow>>) -> Sockets {
        let sum = |counts: &[(u64, Duration)]| counts.iter().map(|(count, _)| count).sum();
        Sockets {
            open: Arc::clone(open),
            closed: self.closed.iter().map(|closed| Arc::clone(&closed.row)).collect(),
            open_flows: Arc::clone(&self.flows),
            closed_flows: self.closed.iter().map(|closed| closed.flow).collect(),
            untold: sum(&self.untold),
            turnover: self.turnover,
            watched: self.watched,
            lost: sum(&self.lost),
        }
    }

    /// Takes in a sample.
    pub(super) fn update(&mut self, previous: Option<&Sample>, sample: &Sample) {
        let now = sample.sockets_at;
        // A recording may begin anew.
        self.closed.retain(|closed| now < closed.until);
        self.untold.retain(|(_, until)| now < *until);
        self.lost.retain(|(_, until)| now < *until);
        self.appeared
            .retain(|_, appeared| now.saturating_sub(*appeared) < MOMENT);
        let Some(old) = previous else {
            let first = |row: &SocketRow| Flow {
                sent: unknown_yet(row.bytes),
                received: unknown_yet(row.bytes),
                recent: [0.0; 2],
                quiet: u16::MAX,
                loss: unknown_yet(row.segments),
                presence: Presence::Here,
            };
            self.flows = Arc::new(sample.sockets.iter().map(first).collect());
            self.turnover = [Fact::Unknown(Why::NotYet); 2];
            return;
        };
        if old.sockets_at == now {
            // They were not read anew.
            self.settle(&sample.sockets);
            return;
        }
        let elapsed = now.saturating_sub(old.sockets_at);
        let mut told: HashMap<u64, &Ended> = sample.passing.ended.iter().map(|end| (end.row.id, end)).collect();
        self.complete(&mut told);
        self.compare(old, sample, elapsed, &mut told);
        self.pass(&sample.passing, told, now, elapsed);
        self.settle(&sample.sockets);
    }

    /// Ends that are told only after the row had gone.
    fn complete(&mut self, told: &mut HashMap<u64, &Ended>) {
        if told.is_empty() {
            return;
        }
        for closed in &mut self.closed {
            if let Some(end) = told.remove(&closed.row.row.id) {
                closed.row = Arc::new(closed_row(end));
            }
        }
    }

    /// Rates of the sockets; sorts out which are new and which are gone.
    fn compare(&mut self, old: &Sample, sample: &Sample, elapsed: Duration, told: &mut HashMap<u64, &Ended>) {
        let now = sample.sockets_at;
        let weight = weight(elapsed);
        let tenths = u16::try_from(elapsed.as_millis() / 100).unwrap_or(u16::MAX);
        let mut flows = Vec::with_capacity(sample.sockets.len());
        let old_flows = std::mem::take(&mut self.flows);
        let mut before = old.sockets.iter().zip(old_flows.iter()).peekable();
        for row in sample.sockets.iter() {
            let mut known = None;
            while let Some((past, flow)) = before.next_if(|(past, _)| past.id <= row.id) {
                if past.id == row.id {
                    known = Some((past, *flow));
                } else {
                    self.close(past, *flow, told, now);
                }
            }
            let (bytes, segments, recent, quiet, lossy) = match known {
                Some((past, flow)) => (
                    past.bytes,
                    past.segments,
                    flow.recent,
                    flow.quiet,
                    flow.loss.known().is_some(),
                ),
                // All that went through a new one did so since the last look.
                None => {
                    self.appeared.insert(row.id, now);
                    let nothing = row.segments.map(|_| Segments::default());
                    (row.bytes.map(|_| Bytes::default()), nothing, [0.0; 2], u16::MAX, false)
                }
            };
            let rate = |part: fn(&Bytes) -> u64| {
                per_second(bytes.as_ref().map(part), row.bytes.as_ref().map(part), elapsed).map(|rate| rate as f32)
            };
            let mut flow = Flow {
                sent: rate(|bytes| bytes.sent),
                received: rate(|bytes| bytes.received),
                recent,
                quiet: quiet.saturating_add(tenths),
                loss: self
                    .losses
                    .share(row.id, (old.sockets_at, segments, lossy), (now, row.segments)),
                presence: Presence::Here,
            };
            if flow.total().known().is_some_and(|total| total > 0.0) {
                flow.quiet = 0;
            }
            for (average, rate) in flow.recent.iter_mut().zip([flow.sent, flow.received]) {
                if let Fact::Known(rate) = rate {
                    *average += (rate - *average) * weight;
                }
            }
            flows.push(flow);
        }
        for (past, flow) in before {
            self.close(past, *flow, told, now);
        }
        self.flows = Arc::new(flows);
    }

    /// Puts a socket that is no longer listed among the closed ones.
    fn close(&mut self, past: &SocketRow, flow: Flow, told: &mut HashMap<u64, &Ended>, now: Duration) {
        self.losses.forget(past.id);
        let row = match told.remove(&past.id) {
            Some(end) => ClosedRow {
                row: SocketRow {
                    // More than the event tells.
                    rtt: past.rtt,
                    others: past.others,
                    ..end.row.clone()
                },
                ..closed_row(end)
            },
            None => ClosedRow {
                row: past.clone(),
                name: None,
                lived: Fact::Unknown(Why::NotKept),
                told: false,
            },
        };
        let flow = Flow {
            sent: Fact::Unknown(Why::Gone),
            received: Fact::Unknown(Why::Gone),
            presence: Presence::Gone,
            ..flow
        };
        self.keep(row, flow, now + MOMENT);
    }

    fn keep(&mut self, row: ClosedRow, flow: Flow, until: Duration) {
        if self.closed.len() >= MOST_CLOSED {
            self.untold.push((1, until));
            self.merge_untold();
            return;
        }
        let row = Arc::new(row);
        self.closed.push(Closed { row, flow, until });
    }

    /// What found no room at one time is counted together.
    fn merge_untold(&mut self) {
        if let [.., (first, until), (second, same)] = self.untold.as_mut_slice()
            && *until == *same
        {
            *first += *second;
            self.untold.pop();
        }
    }

    /// Takes in what only events tell: the short ones, and what went through those that ended.
    fn pass(&mut self, passing: &Passing, told: HashMap<u64, &Ended>, now: Duration, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let mut short: Vec<&Ended> = told.into_values().filter(|end| end.short).collect();
        short.sort_unstable_by_key(|end| end.row.id);
        let weight = weight(elapsed);
        for end in short {
            let rate = end.row.bytes.known().unwrap_or_default();
            let recent = [rate.sent, rate.received].map(|bytes| (bytes as f64 / seconds) as f32 * weight);
            let flow = Flow {
                sent: Fact::Unknown(Why::Gone),
                received: Fact::Unknown(Why::Gone),
                recent,
                quiet: if rate.sent + rate.received > 0 { 0 } else { u16::MAX },
                loss: Fact::Unknown(Why::Gone),
                presence: Presence::Gone,
            };
            self.keep(closed_row(end), flow, now + SHORT_MOMENT);
        }
        for (counts, count) in [(&mut self.untold, passing.untold), (&mut self.lost, passing.lost)] {
            if count > 0 {
                counts.push((count, now + SHORT_MOMENT));
            }
        }
        self.turnover = [passing.opened, passing.closed].map(|count| count.map(|count| count as f64 / seconds));
        self.watched = passing.watched;
        let rates = passing.traffic.iter().map(|(key, bytes)| {
            let rate = [bytes.sent, bytes.received].map(|bytes| bytes as f64 / seconds);
            (*key, rate)
        });
        self.ended = rates.collect();
    }

    /// Marks the sockets that are new.
    fn settle(&mut self, sockets: &[SocketRow]) {
        if self.appeared.is_empty() && self.flows.iter().all(|flow| flow.presence == Presence::Here) {
            return;
        }
        for (row, flow) in sockets.iter().zip(Arc::make_mut(&mut self.flows)) {
            flow.presence = match self.appeared.contains_key(&row.id) {
                true => Presence::New,
                false => Presence::Here,
            };
        }
    }
}

fn closed_row(end: &Ended) -> ClosedRow {
    ClosedRow {
        row: end.row.clone(),
        name: end.name.as_deref().map(|name| escape_str(name).into()),
        lived: end.lived,
        told: true,
    }
}

/// A known fact has no rate yet; an unknown one keeps its reason.
fn unknown_yet<T, U>(fact: Fact<T>) -> Fact<U> {
    match fact {
        Fact::Known(_) => Fact::Unknown(Why::NotApplicable),
        Fact::Unknown(why) => Fact::Unknown(why),
    }
}
