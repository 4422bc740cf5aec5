//! Connections shorter than a refresh, folded into one row for each program and remote address.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::text::escape_str;
use netstat_model::{Fact, State, Why};

use crate::sample::{Ended, Holder, SocketRow};

/// The time over which counts and bytes are averaged.
const WINDOW: Duration = Duration::from_secs(5);
/// The maximum number of rows to keep. Further connections are only counted.
const MOST_ROWS: usize = 2000;

/// The short connections between one program and one remote address.
#[derive(Clone, Debug)]
pub struct BriefRow {
    /// Identifies the row as long as it is shown.
    pub id: u64,
    /// The newest of the connections.
    pub row: SocketRow,
    /// The name of the program, safe to print; `None` if it is unknown.
    pub name: Option<Arc<str>>,
    /// Whether the peer opened the connections.
    pub incoming: bool,
    /// The number of connections per second.
    pub per_second: f64,
    /// Bytes per second sent, averaged over five seconds.
    pub sent: Fact<f64>,
    /// Bytes per second received, averaged over five seconds.
    pub received: Fact<f64>,
    /// The average lifetime, in microseconds.
    pub lived: Fact<u64>,
    /// The number of connections per second that were never established.
    pub failed: f64,
}

impl BriefRow {
    /// Returns the sum of both directions.
    pub fn total(&self) -> Fact<f64> {
        match (self.sent, self.received) {
            (Fact::Known(sent), Fact::Known(received)) => Fact::Known(sent + received),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        }
    }
}

/// What the connections of one row have in common: the program, the remote address, and the port of the service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: Option<Arc<str>>,
    peer: IpAddr,
    port: u16,
    incoming: bool,
}

/// The connections of one row that ended between two readings.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    at: Duration,
    count: u32,
    failed: u32,
    sent: u64,
    received: u64,
    /// The number of connections whose bytes are unknown.
    uncounted: u32,
    lived: u64,
    timed: u32,
}

#[derive(Debug)]
struct Brief {
    buckets: VecDeque<Bucket>,
    newest: SocketRow,
}

/// The short connections of the last few seconds.
#[derive(Debug, Default)]
pub(super) struct Briefs {
    rows: HashMap<Key, Brief>,
    /// The readings within the window, with the time that each covers.
    spans: VecDeque<(Duration, Duration)>,
}

impl Briefs {
    /// Adds the short connections among `ended`. They were read at `now`, which is `elapsed` after the previous
    /// reading. `name` returns the name of a process. Returns the number of connections for which there was no room.
    pub(super) fn add<'a>(
        &mut self,
        ended: impl Iterator<Item = &'a Ended>,
        listening: &HashSet<u16>,
        (now, elapsed): (Duration, Duration),
        name: &dyn Fn(&Holder) -> Option<Arc<str>>,
    ) -> u64 {
        self.spans.push_back((now, elapsed));
        self.forget(now);
        let mut without_room = 0;
        for end in ended {
            let row = &end.row;
            let incoming = end
                .incoming
                .unwrap_or_else(|| listening.contains(&row.local.port) || row.local.port < row.foreign.port)
                && row.foreign.port != 0;
            let key = Key {
                name: name(&row.holder).or_else(|| end.name.as_deref().map(|name| escape_str(name).into())),
                peer: row.foreign.address.to_canonical(),
                port: if incoming { row.local.port } else { row.foreign.port },
                incoming,
            };
            if self.rows.len() >= MOST_ROWS && !self.rows.contains_key(&key) {
                without_room += 1;
                continue;
            }
            let brief = self.rows.entry(key).or_insert_with(|| Brief {
                buckets: VecDeque::new(),
                newest: row.clone(),
            });
            if brief.buckets.back().is_none_or(|last| last.at != now) {
                brief.buckets.push_back(Bucket {
                    at: now,
                    ..Bucket::default()
                });
            }
            brief.newest.clone_from(row);
            let Some(bucket) = brief.buckets.back_mut() else {
                continue;
            };
            bucket.count += 1;
            bucket.failed += u32::from(row.state == State::SynSent);
            match row.bytes {
                Fact::Known(bytes) => {
                    bucket.sent = bucket.sent.saturating_add(bytes.sent);
                    bucket.received = bucket.received.saturating_add(bytes.received);
                }
                Fact::Unknown(_) => bucket.uncounted += 1,
            }
            if let Fact::Known(lived) = end.lived {
                bucket.lived = bucket.lived.saturating_add(lived);
                bucket.timed += 1;
            }
        }
        without_room
    }

    /// Discards what is older than the window.
    fn forget(&mut self, now: Duration) {
        let old = |at: Duration| now.saturating_sub(at) >= WINDOW;
        self.spans.retain(|(at, _)| !old(*at));
        self.rows.retain(|_, brief| {
            while brief.buckets.front().is_some_and(|first| old(first.at)) {
                brief.buckets.pop_front();
            }
            !brief.buckets.is_empty()
        });
    }

    /// Returns the rows as of the last reading.
    pub(super) fn rows(&self) -> Vec<BriefRow> {
        let covered: f64 = self.spans.iter().map(|(_, span)| span.as_secs_f64()).sum();
        let covered = covered.max(1e-3);
        let mut rows: Vec<BriefRow> = self.rows.iter().map(|(key, brief)| brief.row(key, covered)).collect();
        rows.sort_unstable_by_key(|row| row.id);
        rows
    }
}

impl Brief {
    /// Returns the row; `covered` is the time that its buckets cover, in seconds.
    fn row(&self, key: &Key, covered: f64) -> BriefRow {
        let sum = |part: fn(&Bucket) -> u64| self.buckets.iter().map(part).sum::<u64>();
        let per_second = |part: fn(&Bucket) -> u64| sum(part) as f64 / covered;
        let counted = sum(|bucket| bucket.uncounted.into()) == 0;
        let bytes = |part: fn(&Bucket) -> u64| match counted {
            true => Fact::Known(per_second(part)),
            false => Fact::Unknown(Why::NotKept),
        };
        let timed = sum(|bucket| bucket.timed.into());
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        BriefRow {
            id: hasher.finish(),
            row: self.newest.clone(),
            name: key.name.clone(),
            incoming: key.incoming,
            per_second: per_second(|bucket| bucket.count.into()),
            sent: bytes(|bucket| bucket.sent),
            received: bytes(|bucket| bucket.received),
            lived: match timed {
                0 => Fact::Unknown(Why::NotKept),
                timed => Fact::Known(sum(|bucket| bucket.lived) / timed),
            },
            failed: per_second(|bucket| bucket.failed.into()),
        }
    }
}
