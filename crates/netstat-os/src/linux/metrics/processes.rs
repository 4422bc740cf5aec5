//! The metrics of every process, cheap enough to be read every second.
//!
//! The descriptors of `stat` and `io` are kept open as far as the limit on open files allows. A descriptor of a file in
//! `/proc/PID` refers to the process that it was opened for, so a reused process id cannot result in the metrics of
//! another process, and looking up a file costs more than reading it. `statm` is read only if page faults or the
//! resident size changed, because otherwise the numbers of pages cannot have changed. Facts that rarely change (names,
//! units, user) are read for new processes, again when the short name changes (execve(2)), and otherwise at long
//! intervals.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use netstat_model::metrics::{ProcessIdentity, ProcessKey, ProcessMetrics, ProcessState};
use netstat_model::{Fact, Why};
use rustix::io::{Errno, pread};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::super::counters::now;
use super::super::owners::{OwnerAsk, ProcessDir, Stat, parse_stat, process_ids, why};
use super::parse;

/// The number of samples after which the rarely changing facts of a process are read again.
const IDENTITY_EVERY: u32 = 32;
/// The maximum length in bytes of a command line that is kept, which is enough for a screen.
const COMMAND: usize = 512;
/// The number of descriptors that are left for other purposes.
const SPARE_DESCRIPTORS: usize = 256;
/// The buffer size for `stat`: 52 numbers of at most 20 digits and a name of at most 64 bytes (of kernel threads).
const STAT_ROOM: usize = 1280;

/// Reads the metrics of processes, and caches what makes the next sample cheaper.
#[derive(Debug, Default)]
pub(super) struct ProcessReader {
    known: HashMap<u32, Known>,
    looks: u32,
    kept_descriptors: usize,
    /// The number of descriptors that may be kept; determined at the first sample.
    room: Option<usize>,
    text: Vec<u8>,
}

/// The cached data of a process.
#[derive(Debug)]
struct Known {
    key: ProcessKey,
    identity: Arc<ProcessIdentity>,
    stat: Option<OwnedFd>,
    /// The descriptor of `io`, or the reason why there is none.
    io: Result<OwnedFd, Why>,
    /// The page faults and resident pages when `statm` was last read, and the number of shared bytes that it contained.
    pages: Option<(Pages, u64)>,
    look: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pages {
    minor_faults: u64,
    major_faults: u64,
    resident: u64,
}

/// The data that is the same for all processes of a sample.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) proc: BorrowedFd<'a>,
    pub(super) page_size: u64,
    /// Whether any swap space is in use; if not, no process has swapped memory.
    pub(super) swap_in_use: bool,
}

impl ProcessReader {
    /// Reads the metrics of every process, ordered by id. A process that ends in the meantime is left out.
    ///
    /// # Errors
    /// Returns an error if the processes cannot be listed.
    pub(super) fn read(&mut self, look: &Look<'_>) -> Result<Vec<ProcessMetrics>, Errno> {
        let pids = process_ids(look.proc)?;
        self.looks = self.looks.wrapping_add(1);
        let mut all = Vec::with_capacity(pids.len());
        for pid in pids {
            if let Ok(figures) = self.process(look, pid) {
                all.push(figures);
            }
        }
        let looks = self.looks;
        let kept = &mut self.kept_descriptors;
        self.known.retain(|_, known| {
            let there = known.look == looks;
            if !there {
                *kept -= known.descriptors();
            }
            there
        });
        Ok(all)
    }

    fn process(&mut self, look: &Look<'_>, pid: u32) -> Result<ProcessMetrics, Errno> {
        let mut line = [0u8; STAT_ROOM];
        if let Some(known) = self.known.get_mut(&pid) {
            let same = match &known.stat {
                Some(stat) => pread_some(stat, &mut line),
                None => {
                    let dir = ProcessDir::open(look.proc, pid)?;
                    dir.file(c"stat").and_then(|file| pread_some(&file, &mut line))
                }
            };
            if let Some(stat) = same.ok().and_then(|length| parse_stat(&line[..length]).ok())
                && stat.start_ticks == known.key.start_ticks
            {
                known.look = self.looks;
                let due = self.looks.wrapping_add(pid).is_multiple_of(IDENTITY_EVERY);
                if due || *stat.comm != *known.identity.comm {
                    known.look_closer(look, &mut self.text);
                }
                return Ok(known.metrics(look, &stat, &mut self.text));
            }
            // The process has ended; its id may already belong to another one.
            self.kept_descriptors -= known.descriptors();
            self.known.remove(&pid);
        }
        let dir = ProcessDir::open(look.proc, pid)?;
        let file = dir.file(c"stat")?;
        let length = pread_some(&file, &mut line)?;
        let stat = parse_stat(&line[..length]).map_err(|_| Errno::INVAL)?;
        let keep = self.kept_descriptors + 2 <= self.room();
        let io = if keep {
            dir.file(c"io").map_err(why)
        } else {
            Err(Why::NotAsked)
        };
        let mut known = Known {
            key: ProcessKey {
                pid,
                start_ticks: stat.start_ticks,
            },
            identity: Arc::new(identity(&dir, pid, &stat, &mut self.text)),
            stat: keep.then_some(file),
            io,
            pages: None,
            look: self.looks,
        };
        let figures = known.metrics(look, &stat, &mut self.text);
        self.kept_descriptors += known.descriptors();
        self.known.insert(pid, known);
        Ok(figures)
    }

    /// Returns how many descriptors may be kept. Raises the soft limit on open files to the hard limit; nothing here
    /// uses select(2), for which the lower default exists.
    fn room(&mut self) -> usize {
        *self.room.get_or_insert_with(|| {
            let limit = getrlimit(Resource::Nofile);
            let raised = Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            };
            let current = match setrlimit(Resource::Nofile, raised) {
                Ok(()) => limit.maximum,
                Err(_) => limit.current,
            };
            let current = current
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(usize::MAX);
            (current / 2).saturating_sub(SPARE_DESCRIPTORS)
        })
    }
}

impl Known {
    fn descriptors(&self) -> usize {
        usize::from(self.stat.is_some()) + usize::from(self.io.is_ok())
    }

    /// Reads the rarely changing facts again. Keeps the old ones if the process has ended.
    fn look_closer(&mut self, look: &Look<'_>, text: &mut Vec<u8>) {
        let Ok(dir) = ProcessDir::open(look.proc, self.key.pid) else {
            return;
        };
        // Read through the directory that was just opened, so that everything is about the same process.
        if dir.text(c"stat", text).is_err() {
            return;
        }
        let line = std::mem::take(text);
        if let Ok(stat) = parse_stat(&line)
            && stat.start_ticks == self.key.start_ticks
        {
            let identity = identity(&dir, self.key.pid, &stat, text);
            if identity != *self.identity {
                self.identity = Arc::new(identity);
            }
        }
        *text = line;
    }

    fn metrics(&mut self, look: &Look<'_>, stat: &Stat<'_>, text: &mut Vec<u8>) -> ProcessMetrics {
        let state = ProcessState::from_letter(stat.state);
        // Kernel threads and zombies have no memory of their own.
        let memory_less = stat.is_kernel_thread() || state == ProcessState::Zombie;
        let none = Fact::Unknown(Why::NotApplicable);
        let (resident, shareable, swapped) = if memory_less {
            (none, none, none)
        } else {
            let resident = Fact::Known(stat.resident_pages.saturating_mul(look.page_size));
            (resident, self.shareable(look, stat, text), self.swapped(look, text))
        };
        let private = match (resident, shareable) {
            (Fact::Known(resident), Fact::Known(shareable)) => Fact::Known(resident.saturating_sub(shareable)),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        };
        let (read_bytes, written_bytes) = match self.io(look, text) {
            Ok((read, written)) => (Fact::Known(read), Fact::Known(written)),
            Err(why) => (Fact::Unknown(why), Fact::Unknown(why)),
        };
        ProcessMetrics {
            key: self.key,
            at: now(),
            parent: stat.parent,
            state,
            threads: stat.threads,
            kernel: stat.is_kernel_thread(),
            cpu_ticks: stat.user_ticks.saturating_add(stat.system_ticks),
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            resident,
            shareable,
            private,
            swapped,
            read_bytes,
            written_bytes,
            identity: Arc::clone(&self.identity),
        }
    }

    fn shareable(&mut self, look: &Look<'_>, stat: &Stat<'_>, text: &mut Vec<u8>) -> Fact<u64> {
        let pages = Pages {
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            resident: stat.resident_pages,
        };
        if let Some((then, shareable)) = self.pages
            && then == pages
        {
            return Fact::Known(shareable);
        }
        let read = self.dir(look).and_then(|dir| dir.text(c"statm", text)).map_err(why);
        match read.and_then(|()| parse::statm(text).ok_or(Why::Failed)) {
            Ok((_, shareable)) => {
                let shareable = shareable.saturating_mul(look.page_size);
                self.pages = Some((pages, shareable));
                Fact::Known(shareable)
            }
            Err(why) => Fact::Unknown(why),
        }
    }

    fn swapped(&self, look: &Look<'_>, text: &mut Vec<u8>) -> Fact<u64> {
        if !look.swap_in_use {
            return Fact::Known(0);
        }
        let read = self.dir(look).and_then(|dir| dir.text(c"status", text)).map_err(why);
        match read {
            Ok(()) => Fact::from_option(parse::swapped(text), Why::NotApplicable),
            Err(why) => Fact::Unknown(why),
        }
    }

    fn io(&self, look: &Look<'_>, text: &mut Vec<u8>) -> Result<(u64, u64), Why> {
        let mut room = [0u8; 512];
        let length = match &self.io {
            Ok(file) => pread_some(file, &mut room).map_err(why)?,
            Err(Why::NotAsked) => {
                self.dir(look).and_then(|dir| dir.text(c"io", text)).map_err(why)?;
                return parse::io(text).ok_or(Why::Failed);
            }
            Err(why) => return Err(*why),
        };
        parse::io(&room[..length]).ok_or(Why::Failed)
    }

    /// Opens the directory of the process by its id, and verifies that the id still belongs to it.
    fn dir(&self, look: &Look<'_>) -> Result<ProcessDir, Errno> {
        let dir = ProcessDir::open(look.proc, self.key.pid)?;
        let mut line = [0u8; STAT_ROOM];
        let length = match &self.stat {
            // The directory was opened before this read. As the read succeeds, the process existed and the directory is
            // its own.
            Some(stat) => return pread_some(stat, &mut line).map(|_| dir),
            None => pread_some(&dir.file(c"stat")?, &mut line)?,
        };
        match parse_stat(&line[..length]) {
            Ok(stat) if stat.start_ticks == self.key.start_ticks => Ok(dir),
            _ => Err(Errno::SRCH),
        }
    }
}

/// Reads the names, units and user of the process whose directory is open.
fn identity(dir: &ProcessDir, pid: u32, stat: &Stat<'_>, text: &mut Vec<u8>) -> ProcessIdentity {
    let ask = OwnerAsk {
        image: true,
        components: true,
        ..OwnerAsk::default()
    };
    let facts = dir.facts((pid, pid), &ask, text);
    let command = match dir.text(c"cmdline", text) {
        // Kernel threads and zombies have no command line.
        Ok(()) if text.is_empty() => Fact::Unknown(Why::NotApplicable),
        Ok(()) => Fact::Known(text[..text.len().min(COMMAND)].into()),
        Err(error) => Fact::Unknown(why(error)),
    };
    let user = match dir.text(c"status", text) {
        Ok(()) => Fact::from_option(parse::effective_user(text), Why::Failed),
        Err(error) => Fact::Unknown(why(error)),
    };
    ProcessIdentity {
        comm: stat.comm.into(),
        image: if stat.is_kernel_thread() {
            Fact::Unknown(Why::NotApplicable)
        } else {
            facts.image
        },
        command,
        components: facts.components,
        user,
    }
}

/// Reads from the start of a file that returns its whole text at once. Returns the length.
fn pread_some(file: impl AsFd, room: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match pread(&file, &mut *room, 0) {
            Err(Errno::INTR) => {}
            read => return read,
        }
    }
}
