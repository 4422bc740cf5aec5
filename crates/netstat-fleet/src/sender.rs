//! Sends what a recorder keeps for a fleet, in a thread of its own, until the engine has it.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as Channel, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netstat_model::text::plain_error;
use netstat_record::{Millis, Segment, SegmentKind, StoreError, Writer};

use crate::client::{Client, Insert};
use crate::encode::{Encoder, host_row};
use crate::error::{EngineError, Retry};

/// The pause before the second try; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer. What has to be changed by somebody is tried as seldom from the beginning.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Segments that the sending thread has at most: each is below 1 MB.
const AT_ONCE: usize = 4;
/// Rows of a segment at most.
const ROWS: usize = 5_000;
/// How often the fleet hears from a computer that has nothing to send.
const PRESENCE: Duration = Duration::from_secs(300);
/// How often the spool is measured.
const MEASURE: Duration = Duration::from_secs(10);

/// Something about sending that people should know, in one line. May contain what the engine said: to be escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub String);

/// What became of something that was to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// The engine has it.
    Acknowledged {
        /// The record it is from.
        store: u64,
        /// Its number.
        number: u64,
    },
    /// The engine will never take it.
    Refused {
        /// The record it is from.
        store: u64,
        /// Its number.
        number: u64,
        /// Why.
        why: String,
    },
    /// It is tried again.
    Waits(String),
}

enum Job {
    Segment(Segment),
    Presence(Vec<u8>),
}

/// How a recorder sends.
#[derive(Clone, Debug)]
pub struct Shipping {
    /// Whose rows they are, and which.
    pub encoder: Encoder,
    /// The running boot.
    pub boot: String,
    /// Rows are sent once in this time, give or take a third.
    pub interval: Duration,
    /// The largest spool, in bytes.
    pub spool_bytes: u64,
}

/// Turns what a record has noted into segments and has them sent.
#[derive(Debug)]
pub struct Sender {
    shipping: Shipping,
    jobs: Option<Channel<Job>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// The record and number of the last segment that was handed to the thread.
    handed: (u64, u64),
    /// Handed and not yet reported.
    away: VecDeque<(u64, u64)>,
    next_cut: Instant,
    next_presence: Instant,
    next_measure: Instant,
    /// What was last reported to be wrong.
    trouble: Option<String>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Job::Segment(segment) => segment.fmt(f),
            Job::Presence(_) => f.write_str("presence"),
        }
    }
}

impl Sender {
    /// Begins to send to the engine that `client` asks. Nothing of it is done in the calling thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(client: Client, shipping: Shipping) -> std::io::Result<Sender> {
        let (jobs, to_do) = channel();
        let (done, outcomes) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let host = shipping.encoder.host_id;
        let thread = std::thread::Builder::new().name("ship".to_owned()).spawn(move || {
            let worker = Worker {
                client,
                host,
                done,
                stop: stopped,
                checked: false,
            };
            worker.work(&to_do);
        })?;
        let now = Instant::now();
        Ok(Sender {
            // The computers of a fleet that start together do not send together.
            next_cut: now + jittered(shipping.interval).mul_f64(random()),
            next_presence: now,
            next_measure: now,
            shipping,
            jobs: Some(jobs),
            outcomes,
            thread: Some(thread),
            stop,
            handed: (0, 0),
            away: VecDeque::new(),
            trouble: None,
        })
    }

    /// Does what is due: to be called about once a second, by whoever writes to the record. Returns what people should know.
    ///
    /// # Errors
    /// What the record's store says; the next call tries again.
    pub fn turn(&mut self, writer: &mut Writer, now: Millis) -> Result<Vec<Report>, StoreError> {
        let mut reports = self.take_outcomes(writer)?;
        let time = Instant::now();
        if time >= self.next_measure {
            self.next_measure = time + MEASURE;
            self.measure(writer, time, now, &mut reports)?;
        }
        if time >= self.next_cut {
            self.next_cut = time + jittered(self.shipping.interval);
            self.cut(writer)?;
        }
        self.hand(writer)?;
        Ok(reports)
    }

    /// Cuts everything that is noted.
    fn cut(&mut self, writer: &mut Writer) -> Result<(), StoreError> {
        let encoder = &self.shipping.encoder;
        while writer.cut(ROWS, &mut |rows, number| encoder.encode(rows, number))? >= ROWS {}
        Ok(())
    }

    /// Looks how much waits.
    fn measure(
        &mut self,
        writer: &mut Writer,
        time: Instant,
        now: Millis,
        reports: &mut Vec<Report>,
    ) -> Result<(), StoreError> {
        let spool = writer.spool()?;
        if spool.bytes > self.shipping.spool_bytes {
            let lost = writer.bound_spool(self.shipping.spool_bytes)?;
            if lost > 0 {
                reports.push(Report(format!("the spool is full: {lost} unsent rows were dropped")));
            }
        }
        if spool.unsent >= ROWS as u64 {
            self.next_cut = time;
        }
        if time >= self.next_presence {
            self.next_presence = time + jittered(PRESENCE);
            let waiting = spool.rows + spool.unsent;
            let row = host_row(&self.shipping.encoder, &self.shipping.boot, now, (waiting, spool.lost));
            self.send(Job::Presence(row));
        }
        Ok(())
    }

    fn send(&mut self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // Only a thread that has ended takes nothing, and it ends last.
            let _ = jobs.send(job);
        }
    }

    /// Gives the thread the next segments, in their order.
    fn hand(&mut self, writer: &mut Writer) -> Result<(), StoreError> {
        let room = AT_ONCE.saturating_sub(self.away.len());
        if room == 0 {
            return Ok(());
        }
        let store = writer.ship_store()?;
        if store != self.handed.0 {
            // The record was begun anew, and its numbers with it.
            self.handed = (store, 0);
        }
        let segments = writer.segments(self.handed.1, room)?;
        for segment in segments {
            self.handed.1 = segment.number;
            self.away.push_back((segment.store, segment.number));
            self.send(Job::Segment(segment));
        }
        Ok(())
    }

    fn take_outcomes(&mut self, writer: &mut Writer) -> Result<Vec<Report>, StoreError> {
        let mut reports = Vec::new();
        while let Ok(outcome) = self.outcomes.try_recv() {
            self.take(outcome, writer, &mut reports)?;
        }
        Ok(reports)
    }

    fn take(&mut self, outcome: Outcome, writer: &mut Writer, reports: &mut Vec<Report>) -> Result<(), StoreError> {
        match outcome {
            Outcome::Acknowledged { store, number } => {
                self.away.retain(|away| *away != (store, number));
                writer.acknowledge(store, number)?;
                if self.trouble.take().is_some() {
                    reports.push(Report("sending again".to_owned()));
                }
            }
            Outcome::Refused { store, number, why } => {
                self.away.retain(|away| *away != (store, number));
                let reason = "the engine could not read the rows";
                let lost = writer.give_up_segment(store, number, reason)?;
                reports.push(Report(format!("{lost} rows were refused and are lost: {why}")));
            }
            Outcome::Waits(why) => {
                if self.trouble.as_ref() != Some(&why) {
                    reports.push(Report(format!("cannot send, and will try again: {why}")));
                    self.trouble = Some(why);
                }
            }
        }
        Ok(())
    }

    /// Sends what is left, for at most `patience`. What the engine has not acknowledged then stays in the record and is sent by the next
    /// recorder. Returns how many rows that are.
    ///
    /// # Errors
    /// What the record's store says.
    pub fn finish(mut self, writer: &mut Writer, patience: Duration) -> Result<u64, StoreError> {
        let end = Instant::now() + patience;
        self.cut(writer)?;
        let mut reports = Vec::new();
        loop {
            self.hand(writer)?;
            let left = end.saturating_duration_since(Instant::now());
            if self.away.is_empty() || left.is_zero() {
                break;
            }
            match self.outcomes.recv_timeout(left) {
                Ok(outcome) => self.take(outcome, writer, &mut reports)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        let spool = writer.spool()?;
        Ok(spool.rows + spool.unsent)
    }

    /// Whether everything that was cut has been acknowledged.
    pub fn is_idle(&self) -> bool {
        self.away.is_empty()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        // A request may take minutes; what it was about is sent again by the next recorder.
        drop(self.thread.take());
    }
}

/// The thread that sends.
struct Worker {
    client: Client,
    host: u64,
    done: Channel<Outcome>,
    stop: Arc<AtomicBool>,
    /// Whether the engine and its tables are known to fit.
    checked: bool,
}

impl Worker {
    fn work(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let outcome = match &job {
                Job::Segment(segment) => self.deliver(segment),
                // The next one says more.
                Job::Presence(body) => self.presence(body),
            };
            if let Some(outcome) = outcome
                && self.done.send(outcome).is_err()
            {
                return;
            }
        }
    }

    fn check(&mut self) -> Result<(), EngineError> {
        if !self.checked {
            self.client.version()?;
            self.client.check_tables()?;
            self.checked = true;
        }
        Ok(())
    }

    fn presence(&mut self, body: &[u8]) -> Option<Outcome> {
        let token = format!("{:016x}-{:016x}", self.host, random_bits());
        let insert = Insert {
            table: "host",
            body,
            token: &token,
        };
        let sent = self.check().and_then(|()| self.client.insert(&insert));
        sent.err().map(|error| Outcome::Waits(plain_error(&error)))
    }

    /// Sends a segment until the engine has it, or will never take it; `None` when it is to stop.
    fn deliver(&mut self, segment: &Segment) -> Option<Outcome> {
        let (store, number) = (segment.store, segment.number);
        let token = format!("{:016x}-{store:016x}-{number}", self.host);
        let insert = Insert {
            table: match segment.kind {
                SegmentKind::Flows => "flow",
                SegmentKind::Sightings => "sighting",
                SegmentKind::Gaps => "gap",
                SegmentKind::Sums => "sum",
            },
            body: &segment.body,
            token: &token,
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.check().and_then(|()| self.client.insert(&insert)) {
                Ok(()) => return Some(Outcome::Acknowledged { store, number }),
                Err(error) => error,
            };
            match error.retry() {
                Retry::Never => {
                    let why = plain_error(&error);
                    return Some(Outcome::Refused { store, number, why });
                }
                Retry::AfterChange => {
                    self.checked = false;
                    pause = pause.max(LONGEST_PAUSE / 8);
                }
                Retry::Soon => {}
            }
            self.done.send(Outcome::Waits(plain_error(&error))).ok()?;
            let until = Instant::now() + jittered(pause);
            while Instant::now() < until {
                if self.stop.load(Ordering::Relaxed) {
                    return None;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn random_bits() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// A number from 0 to 1 that differs between computers and calls.
fn random() -> f64 {
    (random_bits() >> 11) as f64 / (1u64 << 53) as f64
}

/// Two thirds to four thirds of `time`.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(2.0 / 3.0 + random() * 2.0 / 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jittered_stays_within_a_third() {
        for _ in 0..100 {
            let time = jittered(Duration::from_secs(45)).as_secs_f64();
            assert!((30.0..=60.0).contains(&time), "{time}");
        }
    }
}
