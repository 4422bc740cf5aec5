//! Bytes per second of each socket, computed from two samples: for TCP from the kernel's counters, for UDP from the
//! tracepoints of sends and receives.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use netstat_model::columns::Rates;
use netstat_model::{Fact, Protocol, Socket, State, TcpMetric, Why};
use netstat_os::{EventSource, EventsAsk, System};

use crate::context::Diagnostics;

/// The bytes that a socket has sent and received so far.
type Totals = (u64, u64);

/// The state kept from print to print, and the rates of the current print.
#[derive(Default)]
pub(super) struct RateMeter {
    /// The totals of the last sample, by the kernel's cookie.
    before: HashMap<NonZeroU64, Totals>,
    /// When the last sample was taken.
    at: Option<Instant>,
    table: RateTable,
    /// The number of events that had been lost at the last sample.
    lost: u64,
    /// The source of events that counts the bytes of UDP; `Err` if it is not available.
    watch: Option<Result<Box<dyn EventSource>, String>>,
}

/// The rates of one print.
#[derive(Debug, Default)]
pub(super) struct RateTable(HashMap<NonZeroU64, Fact<Rates>>);

impl RateTable {
    /// Returns the rates of `socket` at the last sample.
    pub(super) fn of(&self, socket: &Socket) -> Fact<Rates> {
        let rates = socket.cookie().and_then(|cookie| self.0.get(&cookie));
        rates.copied().unwrap_or(Fact::Unknown(Why::NotKept))
    }
}

impl std::fmt::Debug for RateMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateMeter")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

impl RateMeter {
    /// Adds a sample of `sockets`, taken now.
    pub(super) fn look(&mut self, sockets: &[Socket], system: &mut dyn System, diagnostics: &mut Diagnostics) {
        if sockets.iter().any(|socket| socket.protocol() == Protocol::Udp) {
            self.watch_udp(system, diagnostics);
        }
        // Read the clock only after opening the event source, which takes a while.
        let now = Instant::now();
        let elapsed = self
            .at
            .map(|at| now.duration_since(at).as_secs_f64())
            .filter(|seconds| *seconds > 0.0);
        let mut totals = HashMap::with_capacity(sockets.len());
        self.table.0.clear();
        for socket in sockets {
            let Some(cookie) = socket.cookie() else { continue };
            let rate = match self.totals(socket, cookie) {
                Fact::Known(now) => {
                    totals.insert(cookie, now);
                    match (elapsed, self.before.get(&cookie)) {
                        (Some(seconds), Some(before)) => Fact::Known(between(*before, now, seconds)),
                        // If the last sample did not contain the socket, the time of its bytes is unknown.
                        _ => Fact::Unknown(Why::NotKept),
                    }
                }
                Fact::Unknown(why) => Fact::Unknown(why),
            };
            self.table.0.insert(cookie, rate);
        }
        self.before = totals;
        self.at = Some(now);
    }

    /// The rates at the last sample.
    pub(super) fn table(&self) -> &RateTable {
        &self.table
    }

    fn totals(&self, socket: &Socket, cookie: NonZeroU64) -> Fact<Totals> {
        match socket.protocol() {
            Protocol::Tcp if matches!(socket.state(), State::Listening | State::Bound | State::TimeWait) => {
                Fact::Unknown(Why::NotApplicable)
            }
            Protocol::Tcp => match (socket.tcp(TcpMetric::BytesAcked), socket.tcp(TcpMetric::BytesReceived)) {
                (Fact::Known(sent), Fact::Known(received)) => Fact::Known((sent, received)),
                (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
            },
            Protocol::Udp => match &self.watch {
                Some(Ok(watch)) => watch.udp_bytes(cookie).map(|bytes| (bytes.sent, bytes.received)),
                _ => Fact::Unknown(Why::NotKept),
            },
            _ => Fact::Unknown(Why::NotKept),
        }
    }

    /// Opens the event source when the first UDP socket appears, and processes the events that have occurred.
    fn watch_udp(&mut self, system: &mut dyn System, diagnostics: &mut Diagnostics) {
        let open = || {
            system
                .events(&EventsAsk::default())
                .map_err(|refused| refused.to_string())
        };
        let watch = self.watch.get_or_insert_with(open);
        let failed = match watch {
            Ok(source) => match source.next(Duration::ZERO, &mut |_| ()) {
                Err(refused) => Some(refused.to_string()),
                Ok(()) => source.udp_bytes(NonZeroU64::MAX).why().map(|_| source.how().to_owned()),
            },
            Err(why) => Some(why.clone()),
        };
        if let Ok(source) = watch
            && self.lost != source.lost().events
        {
            self.lost = source.lost().events;
            diagnostics
                .line("the kernel could not count everything on this busy computer: rates of UDP may be too low");
        }
        if let Some(why) = failed {
            diagnostics.line(format!(
                "rates of UDP are unknown: only the kernel's tracepoints for sends and receives report them (Linux 6.3, as root); now: {why}"
            ));
        }
    }
}

fn between(before: Totals, now: Totals, seconds: f64) -> Rates {
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
    Rates {
        sent: rate(before.0, now.0),
        received: rate(before.1, now.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_the_difference_of_bytes_per_second() {
        let rates = between((1_000, 10), (3_000, 10), 2.0);
        assert_eq!((rates.sent, rates.received), (1_000.0, 0.0));
        // A counter that decreased belongs to another socket.
        assert_eq!(between((5, 5), (0, 0), 1.0), Rates::default());
    }
}
