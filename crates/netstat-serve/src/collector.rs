//! The one collector that all who ask share: a thread that samples while somebody is interested, and rarely otherwise.

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

/// Events are taken in so often: what waits too long is lost.
const LISTEN_EVERY: Duration = Duration::from_millis(200);
/// So often a sample is made while nobody asks, so that counters miss little.
const UNATTENDED: Duration = Duration::from_secs(15);
/// Such samples take one part in this many of the time at most.
const UNATTENDED_SHARE: u32 = 250;
/// But they are made this often.
const MOST_UNATTENDED: Duration = Duration::from_secs(60);
/// A younger sample answers a scrape.
const FRESH: Duration = Duration::from_millis(900);
/// After so long without a viewer, rates are not worked out any more.
const KEEP_MODEL: Duration = Duration::from_secs(30);

/// One moment.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The sample.
    pub(crate) sample: Arc<Sample>,
    /// Rates and sums, while somebody watches.
    pub(crate) model: Option<Arc<Model>>,
    /// When it was finished.
    pub(crate) at: Instant,
}

/// What is wanted of the collector.
enum Order {
    /// A frame that is not old, with its metrics.
    Scrape(oneshot::Sender<Arc<Vec<Family>>>),
    /// Somebody begins to watch.
    Attend,
    /// Ends a process.
    End(ProcessKey, Signal, oneshot::Sender<Result<(), String>>),
    /// Closes a connection for its program.
    Close(Box<SocketRow>, oneshot::Sender<Result<(), String>>),
}

/// The way to the collector.
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

/// The collector has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended;

impl Handle {
    /// The metrics of a moment that is not long ago.
    pub(crate) async fn scrape(&self) -> Result<Arc<Vec<Family>>, Ended> {
        let (answer, wait) = oneshot::channel();
        self.orders.send(Order::Scrape(answer)).map_err(|_| Ended)?;
        wait.await.map_err(|_| Ended)
    }

    /// Frames from now on, one an interval as long as the receiver is kept.
    pub(crate) fn attend(&self) -> watch::Receiver<Option<Arc<Frame>>> {
        let _ = self.orders.send(Order::Attend);
        self.frames.clone()
    }

    /// The last frame, if there is one.
    pub(crate) fn last(&self) -> Option<Arc<Frame>> {
        self.frames.borrow().clone()
    }

    /// Tells what an audit found.
    pub(crate) fn audited(&self, findings: Findings) {
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = Some(findings);
    }

    /// Sends a signal to a process: to this very one.
    pub(crate) async fn end(&self, process: ProcessKey, signal: Signal) -> Result<(), String> {
        let (answer, wait) = oneshot::channel();
        let ended = |_| "the collector has ended".to_owned();
        self.orders
            .send(Order::End(process, signal, answer))
            .map_err(|_| ended(()))?;
        wait.await.unwrap_or_else(|_| Err(ended(())))
    }

    /// Closes a connection for its program: this very one.
    pub(crate) async fn close(&self, row: SocketRow) -> Result<(), String> {
        let (answer, wait) = oneshot::channel();
        let ended = |_| "the collector has ended".to_owned();
        self.orders
            .send(Order::Close(Box::new(row), answer))
            .map_err(|_| ended(()))?;
        wait.await.unwrap_or_else(|_| Err(ended(())))
    }
}

/// How it collects.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Between two samples while somebody watches.
    pub(crate) interval: Duration,
    /// Programs with series of their own.
    pub(crate) programs: usize,
    /// The program's version.
    pub(crate) version: String,
}

/// Starts the thread. It ends when every handle is dropped.
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
    /// When somebody was last known to watch.
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
                    // Beginning to watch takes a while: whoever waits for the first sample has it by now.
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

    /// Until the next sample.
    fn pause(&mut self) -> Duration {
        // One receiver is the handle's own.
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

    /// Publishes the last sample as one that can be watched: of many sockets, the next one takes seconds.
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

/// The ports that the system hands out by itself, first and last (ip(7), `ip_local_port_range`); `None` where it does not report them.
fn ephemeral_range() -> Option<(u16, u16)> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (first <= last).then_some((first, last))
}
