//! Bytes per second of each socket, from two looks: TCP from the kernel's counters, UDP from the tracepoints of sends and receives.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use netstat_model::columns::Rates;
use netstat_model::{Fact, Protocol, Socket, State, TcpMetric, Why};
use netstat_os::{EventSource, EventsAsk, System};

use crate::context::Diagnostics;

/// Bytes that a socket has sent and received so far.
type Totals = (u64, u64);

/// What is kept from print to print, and the rates of the present one.
#[derive(Default)]
pub(super) struct RateMeter {
    /// By the kernel's cookie.
    before: HashMap<NonZeroU64, Totals>,
    /// When that was.
    at: Option<Instant>,
    table: RateTable,
    /// How many events the watch had lost at the last look.
    lost: u64,
    /// The watch that counts the bytes of UDP; `Err` where there is none.
    watch: Option<Result<Box<dyn EventSource>, String>>,
}

/// The rates of one print.
#[derive(Debug, Default)]
pub(super) struct RateTable(HashMap<NonZeroU64, Fact<Rates>>);

impl RateTable {
    /// The rates of `socket` as of the last look.
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
    /// Takes note of a look at `sockets`, made now.
    pub(super) fn look(&mut self, sockets: &[Socket], system: &mut dyn System, diagnostics: &mut Diagnostics) {
        if sockets.iter().any(|socket| socket.protocol() == Protocol::Udp) {
            self.watch_udp(system, diagnostics);
        }
        // After the watch was opened, which takes a while.
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
                        // When the bytes of a socket went that the last look did not show, nobody knows.
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

    /// The rates as of the last look.
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

    /// Starts the watch with the first UDP socket, and takes in what has happened.
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
    fn rate_is_the_difference_per_second() {
        let rates = between((1_000, 10), (3_000, 10), 2.0);
        assert_eq!((rates.sent, rates.received), (1_000.0, 0.0));
        // A counter that went back belongs to another socket.
        assert_eq!(between((5, 5), (0, 0), 1.0), Rates::default());
    }
}
