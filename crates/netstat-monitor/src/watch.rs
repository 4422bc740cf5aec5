//! Events of connections between two readings of the sockets: the ends of short ones, and the traffic of those that
//! ended.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::metrics::ProcessKey;
use netstat_model::{Direction, Event, EventKind, EventOrigin, Fact, Limit, NoOwner, Protocol, State, Why};
use netstat_os::{EventSource, EventWay, EventsAsk, Lost, Refused, System};

use crate::sample::{Bytes, Ended, Holder, MOST_ENDS, Passing, Segments, SocketRow, find_socket};

/// A source that polls need not do so often, because the collector reads the sockets more often anyway.
const OWN_LOOKS: Duration = Duration::from_secs(24 * 3600);

/// A running watch.
pub(crate) struct Watch {
    source: Box<dyn EventSource>,
    limits: Vec<Limit>,
    lost: Lost,
    passing: Passing,
    /// The number of ends in `passing` of connections that a reading has shown, and of others.
    told: [usize; 2],
    traffic: HashMap<ProcessKey, Bytes>,
    /// The sockets that the last reading but one showed and the last one did not, by id; the end of some of them is
    /// reported only later.
    vanished: Vec<(u64, Bytes, Option<ProcessKey>)>,
}

impl Watch {
    /// Starts watching the events of `system`.
    ///
    /// # Errors
    /// Returns the reason why short connections cannot be observed, as one line.
    pub(crate) fn begin(system: &mut dyn System) -> Result<Watch, String> {
        let ask = EventsAsk {
            way: EventWay::Auto,
            interval: OWN_LOOKS,
            ..EventsAsk::default()
        };
        let source = system.events(&ask).map_err(|refused| refused.to_string())?;
        if source.origin() == EventOrigin::Poll {
            return Err(source.how().to_owned());
        }
        let mut limits = source.limits().to_vec();
        // If UDP bytes are counted, any cookie has an answer.
        let counted = source.udp_bytes(NonZeroU64::MAX);
        if let Fact::Unknown(_) = counted {
            limits.push(Limit {
                what: "bytes of UDP sockets are unknown".to_owned(),
                why: format!(
                    "only the kernel's tracepoints for sends and receives report them; now: {}",
                    source.how()
                ),
                remedy: Some("Linux 6.3 or later, as root or with CAP_BPF and CAP_PERFMON".to_owned()),
            });
        }
        Ok(Watch {
            source,
            limits,
            lost: Lost::default(),
            passing: Passing::default(),
            told: [0; 2],
            traffic: HashMap::new(),
            vanished: Vec::new(),
        })
    }

    /// Returns what the watch cannot see.
    pub(crate) fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Returns the payload bytes of the UDP socket with this cookie since its first observed use.
    pub(crate) fn udp_bytes(&self, cookie: u64) -> Fact<Bytes> {
        match NonZeroU64::new(cookie) {
            Some(cookie) => self.source.udp_bytes(cookie).map(|bytes| Bytes {
                sent: bytes.sent,
                received: bytes.received,
            }),
            None => Fact::Unknown(Why::NotKept),
        }
    }

    /// Processes the events so far; `rows` are the sockets of the last reading.
    ///
    /// # Errors
    /// Returns an error if the watch cannot continue.
    pub(crate) fn listen(&mut self, rows: &[SocketRow]) -> Result<(), Refused> {
        let Watch {
            source,
            lost,
            passing,
            told,
            traffic,
            vanished,
            ..
        } = self;
        source.next(Duration::ZERO, &mut |event| {
            if is_end(&event) {
                take(&event, rows, vanished, (passing, told, traffic));
            }
        })?;
        let now = source.lost();
        // A gap contains an unknown number of events, at least one.
        passing.lost += (now.events - lost.events) + (now.gaps - lost.gaps) + (now.untold - lost.untold);
        *lost = now;
        Ok(())
    }

    /// Remembers for one reading the sockets that it did not show any more, in ascending order of id.
    pub(crate) fn vanished(&mut self, rows: Vec<(u64, Bytes, Option<ProcessKey>)>) {
        self.vanished = rows;
    }

    /// Returns the events since the last call.
    pub(crate) fn take(&mut self) -> Passing {
        let mut passing = std::mem::take(&mut self.passing);
        self.told = [0; 2];
        passing.watched = true;
        passing.traffic = std::mem::take(&mut self.traffic).into_iter().collect();
        passing.traffic.sort_unstable_by_key(|(key, _)| *key);
        passing
    }
}

/// Whether an event is the end of a TCP connection, or of a UDP socket whose bytes were counted. Ends found by polling
/// are excluded, because the collector has seen them itself.
fn is_end(event: &Event) -> bool {
    let counted =
        event.sent.known().is_some_and(|sent| sent > 0) || event.received.known().is_some_and(|bytes| bytes > 0);
    event.kind == EventKind::Closed
        && (event.protocol == Protocol::Tcp || (event.protocol == Protocol::Udp && counted))
        && event.origin != EventOrigin::Poll
        && event.direction != Direction::Listening
        // Excludes TCP sockets that were never connected.
        && (event.foreign.port != 0 || event.protocol == Protocol::Udp)
        && !matches!(event.before, Some(State::Listening | State::Bound | State::SynReceived))
}

/// Processes one end.
fn take(
    event: &Event,
    rows: &[SocketRow],
    vanished: &[(u64, Bytes, Option<ProcessKey>)],
    (passing, told, traffic): (&mut Passing, &mut [usize; 2], &mut HashMap<ProcessKey, Bytes>),
) {
    let Some(cookie) = event.cookie else { return };
    let id = cookie.get();
    let owner = event.owner.known().and_then(|owner| {
        let start_ticks = owner.start_ticks.known()?;
        Some((
            ProcessKey {
                pid: owner.pid,
                start_ticks,
            },
            owner.name,
        ))
    });
    let seen = find_socket(rows, id);
    let gone = || {
        let place = vanished.binary_search_by_key(&id, |(id, ..)| *id).ok()?;
        vanished.get(place)
    };
    let (before, holder, short) = match (seen, seen.is_none().then(gone).flatten()) {
        (Some(row), _) => (row.bytes.known().unwrap_or_default(), row.process(), false),
        (None, Some((_, bytes, holder))) => (*bytes, *holder, false),
        (None, None) => (Bytes::default(), None, true),
    };
    let bytes = match (event.sent, event.received) {
        (Fact::Known(sent), Fact::Known(received)) => Fact::Known(Bytes { sent, received }),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    };
    // The holder according to the readings takes precedence, so that all bytes are attributed to one process.
    let key = holder.or(owner.map(|(key, _)| key));
    if let (Some(key), Fact::Known(bytes)) = (key, bytes) {
        let sum = traffic.entry(key).or_default();
        sum.sent += bytes.sent.saturating_sub(before.sent);
        sum.received += bytes.received.saturating_sub(before.received);
    }
    let kept = &mut told[usize::from(short)];
    if *kept >= MOST_ENDS {
        passing.untold += u64::from(short);
        return;
    }
    *kept += 1;
    let name = owner.filter(|(known, _)| Some(*known) == key).map(|(_, name)| name);
    passing.ended.push(Ended {
        row: ended_row(event, id, (key, bytes), seen),
        short,
        name: name.map(|name| Arc::from(String::from_utf8_lossy(name.as_bytes()))),
        lived: event
            .duration()
            .map(|lived| u64::try_from(lived.as_micros()).unwrap_or(u64::MAX)),
        incoming: match event.direction {
            Direction::Incoming => Some(true),
            Direction::Outgoing => Some(false),
            Direction::Unknown | Direction::Listening => None,
        },
    });
}

/// Returns the row of a connection that ended; `seen` is its row in the last sample, if there is one.
fn ended_row(
    event: &Event,
    id: u64,
    (key, bytes): (Option<ProcessKey>, Fact<Bytes>),
    seen: Option<&SocketRow>,
) -> SocketRow {
    SocketRow {
        id,
        cookie: true,
        protocol: event.protocol,
        state: event.before.or(seen.map(|row| row.state)).unwrap_or(State::Closed),
        local: event.local,
        foreign: event.foreign,
        user: event.user,
        holder: match (key, seen) {
            (Some(key), _) => Holder::Process(key),
            (None, Some(row)) => row.holder,
            (None, None) => Holder::None(NoOwner::Ended),
        },
        others: seen.map_or(0, |row| row.others),
        receive_queue: 0,
        send_queue: Fact::Unknown(Why::Gone),
        bytes,
        rtt: event.rtt,
        segments: match seen.map(|row| row.segments) {
            Some(Fact::Known(Segments { sent, again })) => Fact::Known(Segments { sent, again }),
            _ => Fact::Unknown(Why::Gone),
        },
        inode: 0,
        by_process: false,
    }
}
