//! The collector, shared by all clients: a thread that samples at the configured interval while someone watches, and
//! rarely otherwise.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netstat_model::counters::BlockSet;
use netstat_model::metrics::ProcessKey;
use netstat_monitor::collect::Collector;
use netstat_monitor::model::{Model, Modeler};
use netstat_monitor::sample::{Sample, SocketRow};
use netstat_os::{Signal, System};
use tokio::sync::{oneshot, watch};

use crate::metrics::{Accumulator, Beside, Family, Findings};

/// The interval at which events are read; events that wait too long are lost.
const LISTEN_EVERY: Duration = Duration::from_millis(200);
/// The minimum interval between samples while no one watches. Samples are taken even then, so that counters miss
/// little.
const UNATTENDED: Duration = Duration::from_secs(15);
/// Samples that no one watches take at most this fraction (one part in this many) of the time.
const UNATTENDED_SHARE: u32 = 250;
/// The maximum interval between samples while no one watches.
const MOST_UNATTENDED: Duration = Duration::from_secs(60);
/// The maximum age of a sample that answers a scrape.
const FRESH: Duration = Duration::from_millis(900);
/// How long after the last viewer has left rates are still computed.
const KEEP_MODEL: Duration = Duration::from_secs(30);

/// A published sample.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The sample.
    pub(crate) sample: Arc<Sample>,
    /// Rates and totals; `None` while no one watches.
    pub(crate) model: Option<Arc<Model>>,
    /// When the sample was completed.
    pub(crate) at: Instant,
}

/// A request to the collector.
enum Order {
    /// Returns the metrics of a recent sample.
    Scrape(oneshot::Sender<Arc<Vec<Family>>>),
    /// Announces that someone begins to watch.
    Attend,
    /// Sends a signal to a process.
    End(ProcessKey, Signal, oneshot::Sender<Result<(), String>>),
    /// Closes a connection on behalf of its program.
    Close(Box<SocketRow>, oneshot::Sender<Result<(), String>>),
}

/// A handle to the collector thread.
#[derive(Clone)]
pub(crate) struct Handle {
    orders: mpsc::Sender<Order>,
    frames: watch::Receiver<Option<Arc<Frame>>>,
    findings: Arc<Mutex<Option<Findings>>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

/// The error for a collector that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended;

impl Handle {
    /// Returns the metrics of a recent sample.
    pub(crate) async fn scrape(&self) -> Result<Arc<Vec<Family>>, Ended> {
        let (answer, wait) = oneshot::channel();
        self.orders.send(Order::Scrape(answer)).map_err(|_| Ended)?;
        wait.await.map_err(|_| Ended)
    }

    /// Returns a receiver of frames. A frame is published at each interval for as long as the receiver exists.
    pub(crate) fn attend(&self) -> watch::Receiver<Option<Arc<Frame>>> {
        let _ = self.orders.send(Order::Attend);
        self.frames.clone()
    }

    /// Returns the last frame; `None` before the first sample.
    pub(crate) fn last(&self) -> Option<Arc<Frame>> {
        self.frames.borrow().clone()
    }

    /// Stores the result of an audit for the metrics.
    pub(crate) fn audited(&self, findings: Findings) {
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = Some(findings);
    }

    /// Sends a signal to a process, which is identified by its id and start time.
    pub(crate) async fn end(&self, process: ProcessKey, signal: Signal) -> Result<(), String> {
        let (answer, wait) = oneshot::channel();
        let ended = |_| "the collector has ended".to_owned();
        self.orders
            .send(Order::End(process, signal, answer))
            .map_err(|_| ended(()))?;
        wait.await.unwrap_or_else(|_| Err(ended(())))
    }

    /// Closes this very connection on behalf of its program.
    pub(crate) async fn close(&self, row: SocketRow) -> Result<(), String> {
        let (answer, wait) = oneshot::channel();
        let ended = |_| "the collector has ended".to_owned();
        self.orders
            .send(Order::Close(Box::new(row), answer))
            .map_err(|_| ended(()))?;
        wait.await.unwrap_or_else(|_| Err(ended(())))
    }
}

/// The settings of the collector.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The refresh interval while someone watches.
    pub(crate) interval: Duration,
    /// The maximum number of programs with series of their own.
    pub(crate) programs: usize,
    /// The version of this program.
    pub(crate) version: String,
}

/// Starts the collector thread, which ends when every handle has been dropped.
pub(crate) fn start(system: Box<dyn System + Send>, setup: Setup) -> std::io::Result<Handle> {
    let (orders, inbox) = mpsc::channel();
    let (publish, frames) = watch::channel(None);
    let findings = Arc::new(Mutex::new(None));
    let handle = Handle {
        orders,
        frames,
        findings: Arc::clone(&findings),
    };
    std::thread::Builder::new()
        .name("collector".to_owned())
        .spawn(move || {
            Thread {
                collector: Collector::new(system),
                accumulator: Accumulator::new(setup.programs),
                modeler: None,
                attended: None,
                last: None,
                took: Duration::ZERO,
                started: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0.0, |since| since.as_secs_f64()),
                publish,
                findings,
                setup,
            }
            .run(&inbox);
        })?;
    Ok(handle)
}

struct Thread {
    collector: Collector,
    accumulator: Accumulator,
    modeler: Option<Modeler>,
    /// When someone was last known to watch; `None` if no one watches.
    attended: Option<Instant>,
    last: Option<Arc<Frame>>,
    took: Duration,
    started: f64,
    publish: watch::Sender<Option<Arc<Frame>>>,
    findings: Arc<Mutex<Option<Findings>>>,
    setup: Setup,
}

impl Thread {
    fn run(mut self, inbox: &mpsc::Receiver<Order>) {
        self.sample();
        let mut watched = false;
        let mut next = Instant::now() + self.pause();
        loop {
            let left = next.saturating_duration_since(Instant::now());
            match inbox.recv_timeout(left.min(LISTEN_EVERY)) {
                Ok(Order::Scrape(answer)) => {
                    let old = self.last.as_ref().is_none_or(|frame| frame.at.elapsed() > FRESH);
                    if old {
                        self.sample();
                        next = Instant::now() + self.pause();
                    }
                    let _ = answer.send(Arc::new(self.families()));
                    continue;
                }
                Ok(Order::Attend) => {
                    let begins = self.attended.is_none();
                    self.attended = Some(Instant::now());
                    if begins {
                        self.show_last();
                        next = Instant::now();
                    }
                    continue;
                }
                Ok(Order::End(process, signal, answer)) => {
                    let result = self.collector.system().signal(process, signal);
                    let _ = answer.send(result.map_err(|refused| refused.to_string()));
                    next = Instant::now();
                    continue;
                }
                Ok(Order::Close(row, answer)) => {
                    let kind = self.collector.system().kind();
                    let result = self.collector.system().destroy(&row.socket());
                    let _ = answer.send(result.map_err(|refused| refused.reason(kind).to_owned()));
                    next = Instant::now();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) if left > LISTEN_EVERY => {
                    // Starting to watch takes a while. It is done here, since a client that waits for the first sample
                    // has received it by now.
                    match std::mem::replace(&mut watched, true) {
                        true => self.collector.listen(),
                        false => self.collector.watch(),
                    }
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.sample();
            next = Instant::now() + self.pause();
        }
    }

    /// Returns the time until the next sample.
    fn pause(&mut self) -> Duration {
        // The handle itself holds one receiver.
        if self.publish.receiver_count() > 1 && self.attended.is_some() {
            self.attended = Some(Instant::now());
        }
        match self.attended {
            Some(last) if last.elapsed() < KEEP_MODEL => self.setup.interval.max(self.took * 4),
            _ => {
                self.attended = None;
                self.modeler = None;
                (self.took * UNATTENDED_SHARE).clamp(UNATTENDED, MOST_UNATTENDED)
            }
        }
    }

    /// Publishes the last sample with a model right away: with many sockets, the next sample takes seconds.
    fn show_last(&mut self) {
        if let Some(last) = &self.last {
            let model = self.modeler.get_or_insert_default().model(&last.sample);
            let frame = Arc::new(Frame {
                sample: Arc::clone(&last.sample),
                model: Some(Arc::new(model)),
                at: last.at,
            });
            self.last = Some(Arc::clone(&frame));
            self.publish.send_replace(Some(frame));
        }
    }

    fn sample(&mut self) {
        let begun = Instant::now();
        let sample = Arc::new(self.collector.look());
        self.accumulator
            .take(self.last.as_ref().map(|frame| &*frame.sample), &sample);
        let model = self
            .attended
            .is_some()
            .then(|| Arc::new(self.modeler.get_or_insert_default().model(&sample)));
        self.took = begun.elapsed();
        let frame = Arc::new(Frame {
            sample,
            model,
            at: Instant::now(),
        });
        self.last = Some(Arc::clone(&frame));
        self.publish.send_replace(Some(frame));
    }

    fn families(&mut self) -> Vec<Family> {
        let Some(frame) = self.last.clone() else {
            return Vec::new();
        };
        let (statistics, _) = self.collector.system().protocol_statistics(BlockSet::ALL, true);
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.accumulator.families(
            &frame.sample,
            &Beside {
                version: &self.setup.version,
                started: self.started,
                statistics: &statistics,
                ephemeral: ephemeral_range(),
                findings: findings.as_ref(),
                took: self.took,
            },
        )
    }
}

/// Returns the first and last ephemeral port (ip(7), `ip_local_port_range`); `None` if the system does not report them.
fn ephemeral_range() -> Option<(u16, u16)> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (first <= last).then_some((first, last))
}
