//! The traffic of each socket, and which sockets are new or closed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use netstat_model::counters::diff::per_second;
use netstat_model::metrics::ProcessKey;
use netstat_model::text::escape_str;
use netstat_model::{Fact, Protocol, State, Why};

use super::brief::Briefs;
use super::loss::Losses;
use super::rows::MOMENT;
use super::{ClosedRow, Flow, Presence, Sockets};
use crate::sample::{Bytes, Ended, Holder, Passing, Sample, Segments, SocketRow};

/// The time constant of recent averages, in seconds.
const RECENT: f64 = 10.0;
/// How long a connection that was too short for any sample is shown.
const SHORT_MOMENT: Duration = Duration::from_secs(5);
/// The maximum number of closed rows to show, separately for those that a sample had shown and for those that none had;
/// the others are counted.
const MOST_CLOSED: usize = 300;

/// The traffic at the last sample, and the sockets that closed recently.
#[derive(Debug)]
pub(super) struct Flows {
    flows: Arc<Vec<Flow>>,
    /// When recently opened sockets appeared.
    appeared: HashMap<u64, Duration>,
    closed: Vec<Closed>,
    /// The number of closed rows that a sample had shown, and of those that none had.
    kept: [usize; 2],
    /// The numbers of closed rows for which there was no room, and when.
    untold: Vec<(u64, Duration)>,
    lost: Vec<(u64, Duration)>,
    losses: Losses,
    briefs: Briefs,
    /// Bytes per second of connections that ended since the previous sample.
    ended: Vec<(ProcessKey, [f64; 2])>,
    turnover: [Fact<f64>; 2],
    watched: bool,
}

#[derive(Debug)]
struct Closed {
    row: Arc<ClosedRow>,
    flow: Flow,
    /// Whether no sample had shown it.
    short: bool,
    until: Duration,
}

impl Default for Flows {
    fn default() -> Self {
        Flows {
            flows: Arc::default(),
            appeared: HashMap::new(),
            closed: Vec::new(),
            kept: [0; 2],
            untold: Vec::new(),
            lost: Vec::new(),
            losses: Losses::default(),
            briefs: Briefs::default(),
            ended: Vec::new(),
            turnover: [Fact::Unknown(Why::NotYet); 2],
            watched: false,
        }
    }
}

/// Returns the weight of a new value in a recent average after `elapsed`.
pub(super) fn weight(elapsed: Duration) -> f32 {
    (1.0 - (-elapsed.as_secs_f64() / RECENT).exp()) as f32
}

impl Flows {
    /// Returns the traffic of the open sockets.
    pub(super) fn open(&self) -> &[Flow] {
        &self.flows
    }

    /// Returns the bytes sent and received per second by connections that ended since the previous sample, by process.
    pub(super) fn ended(&self) -> &[(ProcessKey, [f64; 2])] {
        &self.ended
    }

    /// Returns the sockets of the model.
    pub(super) fn sockets(&self, open: &Arc<Vec<SocketRow>>) -> Sockets {
        let sum = |counts: &[(u64, Duration)]| counts.iter().map(|(count, _)| count).sum();
        Sockets {
            open: Arc::clone(open),
            closed: self.closed.iter().map(|closed| Arc::clone(&closed.row)).collect(),
            open_flows: Arc::clone(&self.flows),
            closed_flows: self.closed.iter().map(|closed| closed.flow).collect(),
            brief: self.briefs.rows(),
            untold: sum(&self.untold),
            turnover: self.turnover,
            watched: self.watched,
            lost: sum(&self.lost),
        }
    }

    /// Adds a sample. `name` returns the name of a process.
    pub(super) fn update(
        &mut self,
        previous: Option<&Sample>,
        sample: &Sample,
        name: &dyn Fn(&Holder) -> Option<Arc<str>>,
    ) {
        let now = sample.sockets_at;
        self.closed.retain(|closed| now < closed.until);
        self.kept = [false, true].map(|short| self.closed.iter().filter(|closed| closed.short == short).count());
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
            // The sockets were not read again.
            self.settle(&sample.sockets);
            return;
        }
        let elapsed = now.saturating_sub(old.sockets_at);
        let mut told: HashMap<u64, &Ended> = sample.passing.ended.iter().map(|end| (end.row.id, end)).collect();
        self.complete(&mut told);
        self.compare(old, sample, elapsed, &mut told);
        let listening: HashSet<u16> = match sample.passing.ended.is_empty() {
            true => HashSet::new(),
            false => {
                let listeners = sample.sockets.iter().filter(|row| row.state == State::Listening);
                listeners.map(|row| row.local.port).collect()
            }
        };
        let short = told.values().copied().filter(|end| end.short);
        let without_room = self.briefs.add(short, &listening, (now, elapsed), name);
        if without_room > 0 {
            self.untold.push((without_room, now + SHORT_MOMENT));
        }
        self.pass(&sample.passing, told, now, elapsed);
        self.settle(&sample.sockets);
    }

    /// Completes closed rows whose end is reported only after they had vanished.
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

    /// Computes the rates of the sockets, and determines which are new and which are gone.
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
                // All traffic of a new socket occurred since the last sample.
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

    /// Moves a socket that is no longer listed to the closed ones.
    fn close(&mut self, past: &SocketRow, flow: Flow, told: &mut HashMap<u64, &Ended>, now: Duration) {
        self.losses.forget(past.id);
        let told = told.remove(&past.id);
        // It is not worth reporting when the kernel discards the remains of a closed connection.
        let kept = past.protocol == Protocol::Tcp && past.process().is_none() && !past.is_live_connection();
        if kept && told.is_none() && !past.listens() {
            return;
        }
        let row = match told {
            Some(end) => ClosedRow {
                row: SocketRow {
                    // The row has more details than the event.
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
                short: false,
            },
        };
        let flow = Flow {
            sent: Fact::Unknown(Why::Gone),
            received: Fact::Unknown(Why::Gone),
            presence: Presence::Gone,
            ..flow
        };
        self.keep(row, flow, false, now + MOMENT);
    }

    fn keep(&mut self, row: ClosedRow, flow: Flow, short: bool, until: Duration) {
        let kept = &mut self.kept[usize::from(short)];
        *kept += 1;
        if *kept > MOST_CLOSED {
            self.untold.push((1, until));
            self.merge_untold();
            return;
        }
        let row = Arc::new(row);
        self.closed.push(Closed {
            row,
            flow,
            short,
            until,
        });
    }

    /// Combines counts of the same time.
    fn merge_untold(&mut self) {
        if let [.., (first, until), (second, same)] = self.untold.as_mut_slice()
            && *until == *same
        {
            *first += *second;
            self.untold.pop();
        }
    }

    /// Adds what only events show: short connections, and the traffic of those that ended.
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
            self.keep(closed_row(end), flow, true, now + SHORT_MOMENT);
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

    /// Marks new sockets.
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
        short: end.short,
    }
}

/// Converts a known fact to one without a rate yet; an unknown one keeps its reason.
fn unknown_yet<T, U>(fact: Fact<T>) -> Fact<U> {
    match fact {
        Fact::Known(_) => Fact::Unknown(Why::NotApplicable),
        Fact::Unknown(why) => Fact::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::Endpoint;
    use netstat_model::metrics::Metrics;

    const KEY: ProcessKey = ProcessKey {
        pid: 7,
        start_ticks: 70,
    };

    fn row(id: u64, sent: u64) -> SocketRow {
        let end = |port| Endpoint {
            address: [127, 0, 0, 1].into(),
            port,
            scope: 0,
        };
        SocketRow {
            id,
            cookie: true,
            protocol: Protocol::Tcp,
            state: State::Established,
            local: end(40_000),
            foreign: end(80),
            user: Fact::Known(0),
            holder: Holder::Process(KEY),
            others: 0,
            receive_queue: 0,
            send_queue: Fact::Known(0),
            bytes: Fact::Known(Bytes { sent, received: 0 }),
            rtt: Fact::Known(50),
            segments: Fact::Known(Segments::default()),
            inode: 1,
            by_process: false,
        }
    }

    fn end(id: u64, sent: u64, short: bool) -> Ended {
        Ended {
            row: row(id, sent),
            short,
            name: Some("cur\u{1b}l".into()),
            lived: Fact::Known(12_000),
            incoming: Some(false),
        }
    }

    /// Adds samples two seconds apart, and returns the sockets of each.
    fn play(samples: Vec<(Vec<SocketRow>, Passing)>) -> (Flows, Vec<Sockets>) {
        let mut flows = Flows::default();
        let mut previous: Option<Sample> = None;
        let mut all = Vec::new();
        for (second, (rows, passing)) in (1..).zip(samples) {
            let sample = Sample {
                wall: 0,
                figures: Metrics::unknown(Why::NotAsked),
                sockets: Arc::new(rows),
                sockets_at: Duration::from_secs(2 * second),
                users: Arc::default(),
                limits: Vec::new(),
                spaces: Vec::new(),
                passing,
            };
            flows.update(previous.as_ref(), &sample, &|_| None);
            all.push(flows.sockets(&sample.sockets));
            previous = Some(sample);
        }
        (flows, all)
    }

    fn ended(ended: Vec<Ended>, untold: u64) -> Passing {
        Passing {
            opened: Fact::Known(ended.len() as u64),
            closed: Fact::Known(ended.len() as u64),
            watched: true,
            ended,
            untold,
            lost: 0,
            traffic: vec![(KEY, Bytes { sent: 500, received: 0 })],
        }
    }

    #[test]
    fn short_connection_is_shown_for_seconds_and_its_bytes_count() {
        let none = || (Vec::new(), Passing::default());
        let samples = vec![
            none(),
            (Vec::new(), ended(vec![end(3, 500, true)], 0)),
            none(),
            none(),
            none(),
        ];
        let (flows, seen) = play(samples);
        let shown: Vec<usize> = seen.iter().map(|sockets| sockets.closed.len()).collect();
        assert_eq!(shown, [0, 1, 1, 1, 0]);
        let sockets = &seen[1];
        assert_eq!(sockets.closed[0].name.as_deref(), Some("cur\\el"));
        assert_eq!(
            (sockets.closed[0].lived, sockets.closed[0].told),
            (Fact::Known(12_000), true)
        );
        assert!(sockets.flow(0).was_used() && sockets.flow(0).presence == Presence::Gone);
        assert_eq!(sockets.turnover, [Fact::Known(0.5), Fact::Known(0.5)]);
        assert!(
            flows.ended().is_empty(),
            "only in the rates of the time in which it was"
        );
        let (flows, _) = play(vec![none(), (Vec::new(), ended(vec![end(3, 500, true)], 0))]);
        assert_eq!(flows.ended(), [(KEY, [250.0, 0.0])]);
    }

    #[test]
    fn end_reported_late_completes_row() {
        let open = || (vec![row(3, 100)], Passing::default());
        for late in [false, true] {
            let told = ended(vec![end(3, 600, false)], 0);
            let gone = |passing| (Vec::new(), passing);
            let samples = match late {
                false => vec![open(), open(), gone(told)],
                true => vec![open(), open(), gone(Passing::default()), gone(told)],
            };
            let (_, seen) = play(samples);
            let last = &seen[seen.len() - 1];
            assert_eq!(last.closed.len(), 1);
            assert!(last.closed[0].told && last.closed[0].row.bytes == Fact::Known(Bytes { sent: 600, received: 0 }));
        }
    }

    #[test]
    fn closed_connections_over_limit_are_counted_and_soon_forgotten() {
        let many: Vec<Ended> = (1..=350).map(|id| end(id, 1, true)).collect();
        let none = || (Vec::new(), Passing::default());
        let (_, seen) = play(vec![
            none(),
            (Vec::new(), ended(many, 1000)),
            none(),
            none(),
            none(),
            none(),
        ]);
        assert_eq!((seen[1].closed.len(), seen[1].untold), (MOST_CLOSED, 1050));
        let last = &seen[5];
        assert_eq!((last.closed.len(), last.untold), (0, 0));
        // The same number of open sockets vanishes; the short ones take no room from them.
        let open: Vec<SocketRow> = (1000..1400).map(|id| row(id, 5)).collect();
        let short = ended((1..=350).map(|id| end(id, 1, true)).collect(), 0);
        let (_, seen) = play(vec![none(), (open, Passing::default()), (Vec::new(), short)]);
        assert_eq!((seen[2].closed.len(), seen[2].untold), (2 * MOST_CLOSED, 50 + 100));
    }

    #[test]
    fn short_connections_of_program_with_same_peer_make_one_row() {
        let none = || (Vec::new(), Passing::default());
        let ten = |first: u64| ended((first..first + 20).map(|id| end(id, 400, true)).collect(), 0);
        let (_, seen) = play(vec![
            none(),
            (Vec::new(), ten(1)),
            (Vec::new(), ten(50)),
            none(),
            none(),
            none(),
        ]);
        let [row] = seen[2].brief.as_slice() else {
            panic!("{:?}", seen[2].brief)
        };
        // 40 connections in four seconds, 400 bytes each.
        assert_eq!(
            (row.per_second, row.sent, row.incoming),
            (10.0, Fact::Known(4000.0), false)
        );
        assert_eq!((row.name.as_deref(), row.lived), (Some("cur\\el"), Fact::Known(12_000)));
        assert_eq!(seen[1].brief[0].id, row.id, "it stays the same row");
        assert!(seen[5].brief.is_empty());
    }

    #[test]
    fn end_of_time_wait_socket_is_not_reported() {
        let kept = SocketRow {
            state: State::TimeWait,
            holder: Holder::None(netstat_model::NoOwner::TimeWait),
            ..row(3, 0)
        };
        let (_, seen) = play(vec![
            (vec![kept.clone()], Passing::default()),
            (vec![kept], Passing::default()),
            (Vec::new(), Passing::default()),
        ]);
        assert!(seen[2].closed.is_empty());
    }
}
