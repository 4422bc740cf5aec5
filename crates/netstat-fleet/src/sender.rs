//! Sends the queued rows of a recorder to a fleet, in a separate thread, until the engine has stored them.

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

/// The pause before the first retry; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The maximum pause. If somebody must change something first, retries have this interval from the beginning.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// The maximum number of segments that are handed to the sending thread at a time; each is smaller than 1 MB.
const AT_ONCE: usize = 4;
/// The maximum number of rows in a segment.
const ROWS: usize = 5_000;
/// How often a computer reports to the fleet when it has nothing to send.
const PRESENCE: Duration = Duration::from_secs(300);
/// How often the size of the spool is measured.
const MEASURE: Duration = Duration::from_secs(10);

/// A message about sending for the user, in one line. May contain text from the engine, so it must be escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub String);

/// The outcome for a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// The engine has stored it.
    Acknowledged {
        /// The id of the record it is from.
        store: u64,
        /// The number of the segment.
        number: u64,
    },
    /// The engine will never accept it.
    Refused {
        /// The id of the record it is from.
        store: u64,
        /// The number of the segment.
        number: u64,
        /// The reason.
        why: String,
    },
    /// It will be retried, for this reason.
    Waits(String),
}

enum Job {
    Segment(Segment),
    Presence(Vec<u8>),
}

/// The settings of a sender.
#[derive(Clone, Debug)]
pub struct Shipping {
    /// The encoder, which knows the computer and the level of detail.
    pub encoder: Encoder,
    /// The id of the running boot.
    pub boot: String,
    /// The interval at which rows are sent, randomized by up to a third.
    pub interval: Duration,
    /// The maximum size of the spool in bytes.
    pub spool_bytes: u64,
}

/// Turns the rows of a record into segments and has them sent.
#[derive(Debug)]
pub struct Sender {
    shipping: Shipping,
    jobs: Option<Channel<Job>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// The record and number of the last segment that was handed to the thread.
    handed: (u64, u64),
    /// The segments that were handed over and whose outcome is not known yet.
    away: VecDeque<(u64, u64)>,
    next_cut: Instant,
    next_presence: Instant,
    next_measure: Instant,
    /// The last problem that was reported.
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
    /// Starts to send to the engine of `client`. All requests are made in a separate thread.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
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
            // Computers of a fleet that start at the same time should not send at the same time.
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

    /// Does what is due. Must be called about once a second by the writer of the record. Returns messages for the user.
    ///
    /// # Errors
    /// Returns the error of the record's store; the next call tries again.
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

    /// Cuts all queued rows into segments.
    fn cut(&mut self, writer: &mut Writer) -> Result<(), StoreError> {
        let encoder = &self.shipping.encoder;
        while writer.cut(ROWS, &mut |rows, number| encoder.encode(rows, number))? >= ROWS {}
        Ok(())
    }

    /// Measures how much is waiting to be sent.
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
            // Sending fails only after the thread has ended, which does not happen before `self` is dropped.
            let _ = jobs.send(job);
        }
    }

    /// Hands the next segments to the thread, in order.
    fn hand(&mut self, writer: &mut Writer) -> Result<(), StoreError> {
        let room = AT_ONCE.saturating_sub(self.away.len());
        if room == 0 {
            return Ok(());
        }
        let store = writer.ship_store()?;
        if store != self.handed.0 {
            // The record was created anew, so its numbers start again.
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

    /// Sends what is left, for at most `patience`. Rows that the engine has not acknowledged by then stay in the
    /// record, and the next recorder sends them. Returns how many rows these are.
    ///
    /// # Errors
    /// Returns the error of the record's store.
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

    /// Whether all segments that were handed over have been acknowledged.
    pub fn is_idle(&self) -> bool {
        self.away.is_empty()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        // Do not wait for the thread: a request may take minutes, and the next recorder sends its rows again.
        drop(self.thread.take());
    }
}

/// The state of the sending thread.
struct Worker {
    client: Client,
    host: u64,
    done: Channel<Outcome>,
    stop: Arc<AtomicBool>,
    /// Whether the engine and its tables have been checked.
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
                // Failures are ignored, because the next report contains more recent data.
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

    /// Sends a segment until the engine has stored it, or will never accept it; `None` if the thread must stop.
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

/// Returns a random number from 0 to 1.
fn random() -> f64 {
    (random_bits() >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a random duration between two thirds and four thirds of `time`.
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
