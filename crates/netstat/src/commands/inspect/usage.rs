//! The current resource usage of a process: the difference between two samples.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::Duration;

use netstat_model::metrics::rates::ProcessRates;
use netstat_model::metrics::{Metrics, ProcessKey, ProcessMetrics};
use netstat_model::process::MemoryUse;
use netstat_model::{Fact, Protocol, Socket, TcpMetric, Why};

/// The resource usage of one process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// The time between the two samples.
    pub(crate) over: Duration,
    /// The number of processors in use: 1 is one processor all the time.
    pub(crate) cpu: Fact<f64>,
    /// The processor time since the process started.
    pub(crate) cpu_time: Fact<Duration>,
    /// The bytes in memory.
    pub(crate) resident: Fact<u64>,
    /// The part of `resident` that is private to the process.
    pub(crate) private: Fact<u64>,
    /// The part of `resident` that is shared or could be shared with others.
    pub(crate) shared: Fact<u64>,
    /// Whether these three are the kernel's approximate totals, which may be off by a few hundred kB, rather than
    /// counted page by page.
    pub(crate) rough: bool,
    /// Bytes read from storage per second.
    pub(crate) read: Fact<f64>,
    /// Bytes written to storage per second.
    pub(crate) written: Fact<f64>,
    /// Bytes over TCP per second.
    pub(crate) network: Rates,
    /// Page faults per second that required I/O.
    pub(crate) major_faults: Fact<f64>,
    /// The number of threads.
    pub(crate) threads: Fact<u32>,
    /// The number of open descriptors.
    pub(crate) descriptors: Fact<u64>,
}

/// Bytes per second in both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Bytes received.
    pub(crate) received: Fact<f64>,
    /// Bytes sent, including retransmissions.
    pub(crate) sent: Fact<f64>,
}

impl PartialEq for Rates {
    fn eq(&self, other: &Self) -> bool {
        (self.received, self.sent) == (other.received, other.sent)
    }
}

impl Rates {
    /// Returns rates that are unknown for the same reason.
    pub(crate) const fn unknown(why: Why) -> Self {
        Rates {
            received: Fact::Unknown(why),
            sent: Fact::Unknown(why),
        }
    }
}

/// Two samples of the computer, some time apart.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    /// The time between the two samples of the sockets; 0 if there is only one.
    pub(super) over: Duration,
    /// The metrics of both samples.
    pub(super) figures: (Option<&'a Metrics>, &'a Metrics),
    /// The traffic of each socket at the first sample, by cookie.
    pub(super) before: &'a HashMap<NonZeroU64, (Fact<u64>, Fact<u64>)>,
}

/// Returns the bytes received and sent so far.
pub(super) fn traffic(socket: &Socket) -> (Fact<u64>, Fact<u64>) {
    (socket.tcp(TcpMetric::BytesReceived), socket.tcp(TcpMetric::BytesSent))
}

/// Returns the first value, or the second if the first is unknown.
fn exact(first: Fact<u64>, second: Fact<u64>) -> Fact<u64> {
    match first {
        Fact::Known(_) => first,
        Fact::Unknown(_) => second,
    }
}

impl Sample<'_> {
    /// Returns the rates of one socket. A connection that is new since the first sample began with 0 bytes.
    pub(super) fn rates(&self, socket: &Socket) -> Rates {
        if !matches!(socket.protocol(), Protocol::Tcp | Protocol::Mptcp) {
            return Rates::unknown(Why::NotKept);
        }
        let Some(cookie) = socket.cookie() else {
            return Rates::unknown(Why::NotSupported);
        };
        if self.over.is_zero() {
            return Rates::unknown(Why::NotAsked);
        }
        let (received, sent) = traffic(socket);
        let (old_received, old_sent) = self
            .before
            .get(&cookie)
            .copied()
            .unwrap_or((Fact::Known(0), Fact::Known(0)));
        let rate = |old: Fact<u64>, new: Fact<u64>| match (old, new) {
            (Fact::Known(old), Fact::Known(new)) => match new.checked_sub(old) {
                Some(change) => Fact::Known(change as f64 / self.over.as_secs_f64()),
                None => Fact::Unknown(Why::Failed),
            },
            (_, Fact::Unknown(why)) | (Fact::Unknown(why), _) => Fact::Unknown(why),
        };
        Rates {
            received: rate(old_received, received),
            sent: rate(old_sent, sent),
        }
    }

    /// Returns the resource usage of the process `key`, which holds these sockets. `descriptors` is the number of its
    /// open descriptors, `memory` its memory usage.
    pub(super) fn usage<'s>(
        &self,
        key: ProcessKey,
        sockets: impl Iterator<Item = &'s Socket>,
        descriptors: Fact<u64>,
        memory: Fact<MemoryUse>,
    ) -> Usage {
        let find = |figures: &Metrics| -> Fact<ProcessMetrics> {
            match &figures.processes {
                Fact::Known(all) => {
                    Fact::from_option(all.iter().find(|figures| figures.key == key).cloned(), Why::Gone)
                }
                Fact::Unknown(why) => Fact::Unknown(*why),
            }
        };
        let (first, last) = self.figures;
        let now = find(last);
        let before = first.map(find).and_then(Fact::known);
        let ticks = last.ticks_per_second;
        let rates = match &now {
            Fact::Known(now) if before.is_some() => ProcessRates::between(before.as_ref(), now, ticks),
            Fact::Known(_) => ProcessRates::unknown(Why::NotAsked),
            Fact::Unknown(why) => ProcessRates::unknown(*why),
        };
        let of = |part: fn(&ProcessMetrics) -> Fact<u64>| match &now {
            Fact::Known(now) => part(now),
            Fact::Unknown(why) => Fact::Unknown(*why),
        };
        Usage {
            over: self.over,
            cpu: rates.cpu,
            cpu_time: match (&now, ticks) {
                (Fact::Unknown(why), _) => Fact::Unknown(*why),
                (_, 0) => Fact::Unknown(Why::Failed),
                (Fact::Known(now), ticks) => Fact::Known(Duration::from_secs_f64(now.cpu_ticks as f64 / ticks as f64)),
            },
            // Counted page by page if permitted, otherwise the kernel's approximate totals.
            resident: exact(memory.map(|memory| memory.resident), of(|figures| figures.resident)),
            private: exact(memory.map(|memory| memory.private), of(|figures| figures.private)),
            shared: exact(memory.map(|memory| memory.shared), of(|figures| figures.shareable)),
            rough: memory.why().is_some(),
            read: rates.read,
            written: rates.written,
            network: self.sum(sockets),
            major_faults: rates.major_faults,
            threads: now.as_ref().map(|now| now.threads),
            descriptors,
        }
    }

    /// Returns the total of all TCP sockets. MPTCP sockets are left out, because they count the same bytes as their
    /// subflows.
    fn sum<'s>(&self, sockets: impl Iterator<Item = &'s Socket>) -> Rates {
        let mut sum = Rates {
            received: Fact::Known(0.0),
            sent: Fact::Known(0.0),
        };
        let add = |sum: &mut Fact<f64>, more: Fact<f64>| {
            *sum = match (*sum, more) {
                (Fact::Known(sum), Fact::Known(more)) => Fact::Known(sum + more),
                // A listener carries no data of its own.
                (sum, Fact::Unknown(Why::NotApplicable)) => sum,
                (_, Fact::Unknown(why)) | (Fact::Unknown(why), _) => Fact::Unknown(why),
            };
        };
        for socket in sockets.filter(|socket| socket.protocol() == Protocol::Tcp) {
            if netstat_model::reach::waits(socket) {
                continue;
            }
            let rates = self.rates(socket);
            add(&mut sum.received, rates.received);
            add(&mut sum.sent, rates.sent);
        }
        if self.over.is_zero() {
            return Rates::unknown(Why::NotAsked);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Extra, Family, SocketFacts, State, TcpInfo};

    fn connection(cookie: u64, received: Fact<u64>, sent: Fact<u64>) -> Socket {
        let mut info = TcpInfo::unknown(Why::NotSupported);
        info.set(TcpMetric::BytesReceived, received);
        info.set(TcpMetric::BytesSent, sent);
        Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state: State::Established,
            local: [192, 0, 2, 1].into(),
            local_port: 1,
            foreign: [192, 0, 2, 2].into(),
            foreign_port: 2,
            interface: 0,
            inode: 1,
            user: None,
            cookie: NonZeroU64::new(cookie),
            receive_queue: 0,
            send_queue: None,
        })
        .with_extra(Extra {
            tcp: Fact::Known(Box::new(info)),
            ..Extra::default()
        })
    }

    type Before = HashMap<NonZeroU64, (Fact<u64>, Fact<u64>)>;

    fn before() -> Before {
        let old = connection(1, Fact::Known(100), Fact::Known(1000));
        HashMap::from([(old.cookie().unwrap(), traffic(&old))])
    }

    fn sample<'a>(figures: &'a Metrics, before: &'a Before, milliseconds: u64) -> Sample<'a> {
        Sample {
            over: Duration::from_millis(milliseconds),
            figures: (None, figures),
            before,
        }
    }

    #[test]
    fn rates_are_byte_differences_divided_by_time() {
        let figures = Metrics::unknown(Why::NotAsked);
        let before = before();
        let sample = sample(&figures, &before, 500);
        let rates = |socket: &Socket| {
            let rates = sample.rates(socket);
            (rates.received, rates.sent)
        };
        let known = connection(1, Fact::Known(150), Fact::Known(1000));
        assert_eq!(rates(&known), (Fact::Known(100.0), Fact::Known(0.0)));
        let new = connection(2, Fact::Known(50), Fact::Known(10));
        assert_eq!(rates(&new), (Fact::Known(100.0), Fact::Known(20.0)));
        let fallen = connection(1, Fact::Known(99), Fact::Unknown(Why::NotSupported));
        assert_eq!(
            rates(&fallen),
            (Fact::Unknown(Why::Failed), Fact::Unknown(Why::NotSupported))
        );
        let both = [known, new];
        let key = ProcessKey { pid: 1, start_ticks: 1 };
        let usage = sample.usage(key, both.iter(), Fact::Known(3), Fact::Unknown(Why::NotAsked));
        assert_eq!(usage.network.received, Fact::Known(200.0));
        assert_eq!(usage.network.sent, Fact::Known(20.0));
        assert_eq!(usage.cpu, Fact::Unknown(Why::NotAsked));
    }

    #[test]
    fn single_sample_has_no_rates() {
        let figures = Metrics::unknown(Why::NotAsked);
        let socket = connection(1, Fact::Known(150), Fact::Known(1000));
        assert_eq!(
            sample(&figures, &before(), 0).rates(&socket),
            Rates::unknown(Why::NotAsked)
        );
    }
}
