//! The figures of every process, read anew each second at little cost.
//!
//! The descriptors of `stat` and `io` stay open as far as the limit on open files allows: a descriptor of `/proc/PID` stays with the
//! process it was opened for, so a reused id cannot give another's figures, and finding the file anew costs more than reading it.
//! `statm` is read only when page faults or the resident size changed, for without either no page can have changed hands. What changes
//! seldom (names, units, user) is read for new processes, again when the short name changes (execve(2)), and in any case now and then.

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

/// After so many looks at the latest, the seldom changing facts of a process are read again.
const IDENTITY_EVERY: u32 = 32;
/// So much of a command line is kept: what fits on a screen.
const COMMAND: usize = 512;
/// Descriptors that stay free for everything else.
const SPARE_DESCRIPTORS: usize = 256;
/// A line of `stat` has 52 numbers of at most 20 digits and a name of at most 64 bytes (of kernel threads).
const STAT_ROOM: usize = 1280;

/// Reads the figures of processes; keeps what saves work at the next look.
#[derive(Debug, Default)]
pub(super) struct ProcessReader {
    known: HashMap<u32, Known>,
    looks: u32,
    kept_descriptors: usize,
    /// Room for descriptors; found at the first look.
    room: Option<usize>,
    text: Vec<u8>,
}

/// What is remembered of a process.
#[derive(Debug)]
struct Known {
    key: ProcessKey,
    identity: Arc<ProcessIdentity>,
    stat: Option<OwnedFd>,
    /// The descriptor of `io`, or why there is none.
    io: Result<OwnedFd, Why>,
    /// Page faults and resident pages when `statm` was read, and what it said: bytes that are shareable.
    pages: Option<(Pages, u64)>,
    look: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pages {
    minor_faults: u64,
    major_faults: u64,
    resident: u64,
}

/// What is the same for every process of a look.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) proc: BorrowedFd<'a>,
    pub(super) page_size: u64,
    /// Whether any swap space is in use: if none is, no process has memory there.
    pub(super) swap_in_use: bool,
}

impl ProcessReader {
    /// The figures of every process, by rising id. A process that ends meanwhile is left out.
    ///
    /// # Errors
    /// When there is no list of processes.
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
            // It ended; another may have its id now.
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

    /// How many descriptors may be kept. The limit is raised to what is allowed without a privilege: nothing here waits with
    /// select(2), for which the lower default exists.
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

    /// Reads the seldom changing facts again. Keeps the old ones when the process is gone.
    fn look_closer(&mut self, look: &Look<'_>, text: &mut Vec<u8>) {
        let Ok(dir) = ProcessDir::open(look.proc, self.key.pid) else {
            return;
        };
        // Read through the directory just opened, so that what follows is about the same process.
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
        // Neither has memory of its own.
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

    /// The process's directory, opened by its id. Whoever has the id now is made sure of first.
    fn dir(&self, look: &Look<'_>) -> Result<ProcessDir, Errno> {
        let dir = ProcessDir::open(look.proc, self.key.pid)?;
        let mut line = [0u8; STAT_ROOM];
        let length = match &self.stat {
            // The directory was opened before this read: as it still answers, the directory is its.
            Some(stat) => return pread_some(stat, &mut line).map(|_| dir),
            None => pread_some(&dir.file(c"stat")?, &mut line)?,
        };
        match parse_stat(&line[..length]) {
            Ok(stat) if stat.start_ticks == self.key.start_ticks => Ok(dir),
            _ => Err(Errno::SRCH),
        }
    }
}

/// Names, units and user of the process whose directory is open.
fn identity(dir: &ProcessDir, pid: u32, stat: &Stat<'_>, text: &mut Vec<u8>) -> ProcessIdentity {
    let ask = OwnerAsk {
        image: true,
        components: true,
        ..OwnerAsk::default()
    };
    let facts = dir.facts((pid, pid), &ask, text);
    let command = match dir.text(c"cmdline", text) {
        // Kernel threads and zombies have none.
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

/// Reads from the start of a file that gives all its text at once; gives back the length.
fn pread_some(file: impl AsFd, room: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match pread(&file, &mut *room, 0) {
            Err(Errno::INTR) => {}
            read => return read,
        }
    }
}
