//! Recordings, which `--record` writes and `--replay` plays, for bug reports and for tests of whole screens.
//!
//! A recording is a text file with one JSON document per line. The first line identifies the format:
//!
//! ```json
//! {"schema":"netstat.monitor.recording","version":1,"computer":"host"}
//! ```
//!
//! Each further line is one sample. It has all metrics of the computer (`system`), but only those processes and sockets
//! that changed since the previous line (`changed`), and the keys of those that are gone (`gone`):
//!
//! | member | content |
//! |---|---|
//! | `wall` | milliseconds since 1970-01-01 00:00 UTC |
//! | `at`, `sockets_at` | when the metrics and the sockets were read, in microseconds on a monotonic clock |
//! | `ticks` | clock ticks per second |
//! | `processes` | see [`ProcessLine`]; a reason instead if there is no process list |
//! | `sockets` | see [`crate::sample::SocketRow`]; omitted if they were not read again |
//! | `passing` | see [`crate::sample::Passing`]; omitted if the sockets were not read again, and by early releases |
//! | `users` | names of users by id; omitted if there are no new ones |
//! | `limits` | what could not be seen |
//! | `spaces` | file systems on local disks; omitted if nothing changed, and by early releases |
//!
//! A fact is its value, or the reason why it is unknown (`"NotPermitted"`). A recording contains command lines,
//! addresses and user names: review it before passing it on.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use netstat_model::metrics::{Metrics, ProcessIdentity, ProcessKey, ProcessMetrics, ProcessState, SystemMetrics};
use netstat_model::{Fact, Limit, text::plain_error};
use serde::{Deserialize, Serialize};

use crate::sample::{Passing, Sample, SocketRow, Space};

const SCHEMA: &str = "netstat.monitor.recording";
const VERSION: u32 = 1;
/// The maximum length of a line, in bytes: more than a million changed sockets take.
const LONGEST: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Head {
    schema: String,
    version: u32,
    computer: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    wall: u64,
    at: u64,
    ticks: u64,
    system: SystemMetrics,
    processes: Fact<Changes<ProcessLine, ProcessKey>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sockets: Option<Changes<SocketRow, u64>>,
    sockets_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passing: Option<Passing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    users: Option<Arc<BTreeMap<u32, Arc<str>>>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    limits: Vec<Limit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spaces: Option<Vec<Space>>,
}

#[derive(Serialize, Deserialize)]
struct Changes<T, K> {
    changed: Vec<T>,
    gone: Vec<K>,
}

/// One process as a list, in this order: id, start time in clock ticks, time of the reading in microseconds, parent,
/// state, threads, whether it is a kernel thread, processor time in clock ticks, page faults without and with I/O,
/// bytes resident, shareable, private, swapped, read and written, and its names if they changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessLine(
    u32,
    u64,
    u64,
    u32,
    ProcessState,
    u32,
    bool,
    u64,
    u64,
    u64,
    [Fact<u64>; 6],
    Option<Arc<ProcessIdentity>>,
);

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl ProcessLine {
    fn of(figures: &ProcessMetrics, identity: bool) -> Self {
        ProcessLine(
            figures.key.pid,
            figures.key.start_ticks,
            micros(figures.at),
            figures.parent,
            figures.state,
            figures.threads,
            figures.kernel,
            figures.cpu_ticks,
            figures.minor_faults,
            figures.major_faults,
            [
                figures.resident,
                figures.shareable,
                figures.private,
                figures.swapped,
                figures.read_bytes,
                figures.written_bytes,
            ],
            identity.then(|| Arc::clone(&figures.identity)),
        )
    }

    /// Returns the metrics; `None` if the names of the process are neither in the line nor known.
    fn metrics(self, known: Option<&ProcessMetrics>) -> Option<ProcessMetrics> {
        let ProcessLine(pid, start_ticks, at, parent, state, threads, kernel, cpu_ticks, minor, major, facts, identity) =
            self;
        let [resident, shareable, private, swapped, read_bytes, written_bytes] = facts;
        Some(ProcessMetrics {
            key: ProcessKey { pid, start_ticks },
            at: Duration::from_micros(at),
            parent,
            state,
            threads,
            kernel,
            cpu_ticks,
            minor_faults: minor,
            major_faults: major,
            resident,
            shareable,
            private,
            swapped,
            read_bytes,
            written_bytes,
            identity: identity.or_else(|| known.map(|known| Arc::clone(&known.identity)))?,
        })
    }
}

/// Whether two readings of a process are equal apart from their time.
fn same(a: &ProcessMetrics, b: &ProcessMetrics) -> bool {
    ProcessMetrics { at: b.at, ..a.clone() } == *b
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    last: Option<Arc<Sample>>,
}

impl<W: Write> Recorder<W> {
    /// Starts a recording.
    ///
    /// # Errors
    /// Returns an error if the recording cannot be written.
    pub fn new(mut out: W, computer: &[u8]) -> io::Result<Self> {
        let head = Head {
            schema: SCHEMA.to_owned(),
            version: VERSION,
            computer: String::from_utf8_lossy(computer).into_owned(),
        };
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b"\n")?;
        Ok(Recorder { out, last: None })
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// Returns an error if the sample cannot be written.
    pub fn write(&mut self, sample: &Arc<Sample>) -> io::Result<()> {
        let last = self.last.as_deref();
        let line = Line {
            wall: sample.wall,
            at: micros(sample.figures.at),
            ticks: sample.figures.ticks_per_second,
            system: sample.figures.system.clone(),
            processes: sample.figures.processes.as_ref().map(|now| process_changes(now, last)),
            sockets: match last {
                Some(last) if last.sockets_at == sample.sockets_at && last.sockets == sample.sockets => None,
                last => Some(socket_changes(&sample.sockets, last)),
            },
            sockets_at: micros(sample.sockets_at),
            passing: Some(&sample.passing)
                .filter(|passing| **passing != Passing::default())
                .cloned(),
            users: last
                .is_none_or(|last| last.users != sample.users)
                .then(|| Arc::clone(&sample.users)),
            limits: sample.limits.clone(),
            spaces: last
                .map_or(!sample.spaces.is_empty(), |last| last.spaces != sample.spaces)
                .then(|| sample.spaces.clone()),
        };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        self.last = Some(Arc::clone(sample));
        Ok(())
    }
}

fn process_changes(now: &[ProcessMetrics], last: Option<&Sample>) -> Changes<ProcessLine, ProcessKey> {
    let old = last.and_then(|last| last.figures.processes.as_ref().known());
    let old: BTreeMap<ProcessKey, &ProcessMetrics> = old
        .into_iter()
        .flatten()
        .map(|figures| (figures.key, figures))
        .collect();
    let changed = now.iter().filter_map(|figures| match old.get(&figures.key) {
        Some(known) if same(known, figures) => None,
        Some(known) => Some(ProcessLine::of(figures, known.identity != figures.identity)),
        None => Some(ProcessLine::of(figures, true)),
    });
    let there: std::collections::HashSet<ProcessKey> = now.iter().map(|figures| figures.key).collect();
    Changes {
        changed: changed.collect(),
        gone: old.into_keys().filter(|key| !there.contains(key)).collect(),
    }
}

fn socket_changes(now: &[SocketRow], last: Option<&Sample>) -> Changes<SocketRow, u64> {
    let old = last.map_or(&[][..], |last| last.sockets.as_slice());
    let old: BTreeMap<u64, &SocketRow> = old.iter().map(|row| (row.id, row)).collect();
    let changed = now
        .iter()
        .filter(|row| old.get(&row.id) != Some(row))
        .cloned()
        .collect();
    let there: std::collections::HashSet<u64> = now.iter().map(|row| row.id).collect();
    Changes {
        changed,
        gone: old.into_keys().filter(|id| !there.contains(id)).collect(),
    }
}

/// Why a recording cannot be played, as one line.
#[derive(Debug, thiserror::Error)]
pub enum BadRecording {
    /// The file could not be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The file is not a recording, or has an unknown version.
    #[error("this is no recording of `netstat monitor --record`, or one of another version")]
    Head,
    /// A line is damaged.
    #[error("line {0}: no sample: {1}")]
    Line(usize, String),
}

/// Plays a recording, sample by sample.
#[derive(Debug)]
pub struct Player<R> {
    input: R,
    computer: String,
    line: usize,
    text: Vec<u8>,
    last: Option<Arc<Sample>>,
    processes: BTreeMap<ProcessKey, ProcessMetrics>,
    sockets: BTreeMap<u64, SocketRow>,
}

impl<R: BufRead> Player<R> {
    /// Opens a recording.
    ///
    /// # Errors
    /// Returns an error if the input is not a recording.
    pub fn new(input: R) -> Result<Self, BadRecording> {
        let mut player = Player {
            input,
            computer: String::new(),
            line: 0,
            text: Vec::new(),
            last: None,
            processes: BTreeMap::new(),
            sockets: BTreeMap::new(),
        };
        player.read_line()?;
        let head: Head = serde_json::from_slice(&player.text).map_err(|_| BadRecording::Head)?;
        if head.schema != SCHEMA || head.version != VERSION {
            return Err(BadRecording::Head);
        }
        player.computer = head.computer;
        Ok(player)
    }

    /// Returns the name of the recorded computer.
    pub fn computer(&self) -> &str {
        &self.computer
    }

    fn read_line(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.line += 1;
        let input: &mut dyn BufRead = &mut self.input;
        let mut limited = io::Read::take(input, LONGEST);
        limited.read_until(b'\n', &mut self.text)?;
        Ok(!self.text.is_empty())
    }

    /// Returns the next sample; `None` at the end.
    ///
    /// # Errors
    /// Returns an error if a line is damaged.
    pub fn next_sample(&mut self) -> Result<Option<Arc<Sample>>, BadRecording> {
        if !self.read_line()? {
            return Ok(None);
        }
        let number = self.line;
        let bad = |what: String| BadRecording::Line(number, netstat_model::text::escape_str(&what).into_owned());
        let line: Line = serde_json::from_slice(&self.text).map_err(|error| bad(plain_error(&error)))?;
        let at = Duration::from_micros(line.at);
        let processes = match line.processes {
            Fact::Known(changes) => {
                // An unchanged process was read as long before the end of this sample as before the end of the previous
                // one.
                let before = self.last.as_ref().map_or(at, |last| last.figures.at);
                for figures in self.processes.values_mut() {
                    figures.at = at.saturating_sub(before.saturating_sub(figures.at));
                }
                for key in changes.gone {
                    self.processes.remove(&key);
                }
                for changed in changes.changed {
                    let key = ProcessKey {
                        pid: changed.0,
                        start_ticks: changed.1,
                    };
                    let figures = changed.metrics(self.processes.get(&key));
                    let figures = figures.ok_or_else(|| bad(format!("process {} has no names", key.pid)))?;
                    self.processes.insert(key, figures);
                }
                Fact::Known(self.processes.values().cloned().collect())
            }
            Fact::Unknown(why) => {
                self.processes.clear();
                Fact::Unknown(why)
            }
        };
        let sockets = match (line.sockets, &self.last) {
            (None, Some(last)) => Arc::clone(&last.sockets),
            (None, None) => Arc::default(),
            (Some(changes), _) => {
                for id in changes.gone {
                    self.sockets.remove(&id);
                }
                for row in changes.changed {
                    self.sockets.insert(row.id, row);
                }
                Arc::new(self.sockets.values().cloned().collect())
            }
        };
        let users = line
            .users
            .or_else(|| self.last.as_ref().map(|last| Arc::clone(&last.users)));
        let sample = Arc::new(Sample {
            wall: line.wall,
            figures: Metrics {
                system: line.system,
                processes,
                ticks_per_second: line.ticks,
                at,
                limits: Vec::new(),
            },
            sockets,
            sockets_at: Duration::from_micros(line.sockets_at),
            passing: line.passing.unwrap_or_default(),
            users: users.unwrap_or_default(),
            limits: line.limits,
            spaces: match (line.spaces, &self.last) {
                (Some(spaces), _) => spaces,
                (None, Some(last)) => last.spaces.clone(),
                (None, None) => Vec::new(),
            },
        });
        self.last = Some(Arc::clone(&sample));
        Ok(Some(sample))
    }
}
