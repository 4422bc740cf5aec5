//! The walk through `/proc/PID/fd`, which finds the processes that hold the wanted sockets.
//!
//! Most of the cost is in the kernel: it creates a directory entry and an inode for each descriptor that is listed, and
//! resolves a path for each link that is read. What can be done here is to use all CPUs, to allocate nothing per
//! descriptor, and to open as little as possible per process.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netstat_model::{Fact, Why};
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, fstat, openat, readlinkat_raw, seek};
use rustix::io::Errno;

use super::OwnerAsk;
use super::found::{Found, Holder, Holding, Ring};
use super::process::{Depth, ProcessDir, small_number};
use super::spread::{processors, spread};
use super::table::{BUFFER, open_table, socket_inode, still_holds, table_slots};
use super::wanted::WantedInodes;

/// A table with more descriptors than this is read by several threads, [`PIECE`] descriptors at a time.
const LARGE_TABLE: u64 = 8192;

/// The number of descriptors that one thread reads at a time; see [`LARGE_TABLE`].
const PIECE: u32 = 4096;

/// The buffer size in bytes for the first read of a piece, which may turn out to be empty.
const PROBE: usize = 512;

/// How often the table of a process is read again because the process has executed another program in the meantime.
const ATTEMPTS: u32 = 3;

/// The link target of an io_uring instance.
const RING: &[u8] = b"anon_inode:[io_uring]";

/// The parameters of a walk.
#[derive(Clone, Copy)]
pub(crate) struct Walk<'a> {
    /// The directory with the processes (`/proc`).
    pub(crate) proc: BorrowedFd<'a>,
    /// The sockets whose holders are searched.
    pub(crate) wanted: &'a WantedInodes,
    /// What to read of each holder.
    pub(crate) ask: &'a OwnerAsk,
}

impl Walk<'_> {
    /// Walks through the descriptor tables of `pids`.
    ///
    /// Every table is read to its end, because a socket may have several holders and the one that started first is
    /// shown.
    pub(crate) fn processes(&self, pids: &[u32]) -> Found {
        if self.wanted.is_empty() {
            return Found::default();
        }
        let split = processors() > 1;
        let workers = spread(pids, Worker::default, |worker, &pid| {
            worker.process(self, pid, pid, split);
        });
        let mut found = Found::default();
        let mut large = Vec::new();
        for worker in workers {
            found.append(worker.found);
            large.extend(worker.large);
        }
        if !large.is_empty() {
            found.append(self.large_tables(large));
        }
        found
    }

    /// Reads tables with very many descriptors, each on several threads.
    fn large_tables(&self, large: Vec<LargeTable>) -> Found {
        let pieces: Vec<(usize, u32)> = large
            .iter()
            .enumerate()
            .flat_map(|(index, table)| (0..table.slots.div_ceil(PIECE)).map(move |piece| (index, piece * PIECE)))
            .collect();
        let workers = spread(&pieces, Worker::default, |worker, &(index, first)| {
            let base = worker.found.holdings.len();
            let last = first.saturating_add(PIECE - 1);
            if worker.piece(self, &large[index], first, last).is_err() {
                worker.broken.push(index);
            }
            for holding in &mut worker.found.holdings[base..] {
                holding.holder = index as u32;
            }
        });
        // Until here, `holder` is the index of the table in `large`.
        let mut parts = Found::default();
        let mut sound = vec![true; large.len()];
        for worker in workers {
            worker.broken.iter().for_each(|&index| sound[index] = false);
            parts.append_raw(worker.found);
        }
        let mut last = Worker::default();
        for (table, sound) in large.iter().zip(&mut sound) {
            *sound = *sound && table.unchanged(self, &mut last.text);
        }
        let mut place = vec![None; large.len()];
        let mut found = Found::default();
        for holding in std::mem::take(&mut parts.holdings) {
            let index = holding.holder as usize;
            if !sound[index] {
                continue;
            }
            let holder = *place[index].get_or_insert_with(|| {
                let table = &large[index];
                let process = table.dir.facts((table.pid, table.pid), self.ask, &mut last.text);
                let thread = table.pid;
                found.holders.push(Holder { process, thread });
                found.holders.len() as u32 - 1
            });
            found.holdings.push(Holding { holder, ..holding });
        }
        found.append(parts);
        // A table of which a piece could not be read, or whose process has executed another program in the meantime, is
        // read again by one thread.
        for (table, _) in large.iter().zip(&sound).filter(|(_, sound)| !**sound) {
            last.process(self, table.pid, table.pid, false);
        }
        found.append(last.found);
        found
    }
}

/// A table with very many descriptors, deferred until all threads can share the work.
struct LargeTable {
    pid: u32,
    dir: ProcessDir,
    table: OwnedFd,
    /// The target of `/proc/PID/exe` when the reading began, if the program was requested.
    exe: Option<Vec<u8>>,
    /// An exclusive upper bound of the descriptor numbers.
    slots: u32,
}

impl LargeTable {
    /// Whether the process is still running the same program.
    fn unchanged(&self, walk: &Walk<'_>, text: &mut Vec<u8>) -> bool {
        !walk.ask.image || self.dir.exe(text).ok() == self.exe.as_deref()
    }
}

/// The callback that a scan calls after the first wanted socket in a table.
pub(crate) type Begun<'a> = dyn FnMut() -> Result<(), Errno> + 'a;

/// Returns how deep the table of `thread` lies below the directory of process `pid`.
pub(crate) fn depth_of(pid: u32, thread: u32) -> Depth {
    if thread == pid {
        Depth::Descriptors
    } else {
        Depth::ThreadDescriptors
    }
}

/// The sockets that a table contained at an earlier search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownTable {
    pub(crate) pid: u32,
    pub(crate) thread: u32,
    /// Pairs of (inode, descriptor).
    pub(crate) sockets: Vec<(u32, u32)>,
}

/// The state of one thread in a walk.
#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) found: Found,
    large: Vec<LargeTable>,
    /// The indices of large tables of which a piece could not be read.
    broken: Vec<usize>,
    pub(crate) entries: Vec<u8>,
    text: Vec<u8>,
}

impl Worker {
    /// Reads the descriptor table of `thread` in process `pid`. With `split`, a very large one is deferred.
    pub(crate) fn process(&mut self, walk: &Walk<'_>, pid: u32, thread: u32, split: bool) {
        if let Err(error) = self.try_process(walk, pid, thread, split) {
            self.found.note(error);
        }
    }

    fn try_process(&mut self, walk: &Walk<'_>, pid: u32, thread: u32, split: bool) -> Result<(), Errno> {
        let table = open_table(walk.proc, pid, thread)?;
        if split && thread == pid && self.put_off(walk, pid, &table)? {
            return Ok(());
        }
        self.keep(walk, (pid, thread), &table, |worker, begun| {
            worker.table(walk, &table, None, (pid, thread), begun)
        })
    }

    /// Checks again for the sockets that a table contained at the last search.
    pub(crate) fn known(&mut self, walk: &Walk<'_>, known: &KnownTable) {
        let scan = |worker: &mut Self, table: &OwnedFd, begun: &mut Begun<'_>| {
            let holder = worker.found.holders.len() as u32;
            let base = worker.found.holdings.len();
            for &(inode, fd) in &known.sockets {
                if !walk.wanted.contains(inode) {
                    continue;
                }
                worker.found.descriptors += 1;
                if still_holds(table.as_fd(), fd, inode)? {
                    worker.found.holdings.push(Holding { inode, holder, fd });
                    if worker.found.holdings.len() == base + 1 {
                        begun()?;
                    }
                }
            }
            Ok(())
        };
        let result = open_table(walk.proc, known.pid, known.thread).and_then(|table| {
            self.keep(walk, (known.pid, known.thread), &table, |worker, begun| {
                scan(worker, &table, begun)
            })
        });
        if let Err(error) = result {
            self.found.note(error);
        }
    }

    /// Reads a table with `scan`, which adds holdings and calls its callback after the first one. If there was any,
    /// adds the holder with its facts.
    pub(crate) fn keep(
        &mut self,
        walk: &Walk<'_>,
        (pid, thread): (u32, u32),
        table: &OwnedFd,
        scan: impl Fn(&mut Self, &mut Begun<'_>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        for attempt in 1..=ATTEMPTS {
            let base = self.found.holdings.len();
            let rings = self.found.rings.len();
            let mut dir = None;
            let mut exe = None;
            let mut text = std::mem::take(&mut self.text);
            let result = scan(self, &mut || {
                if walk.ask.is_anything() {
                    let opened = ProcessDir::above(table.as_fd(), depth_of(pid, thread))?;
                    if walk.ask.image {
                        exe = opened.exe(&mut text).ok().map(<[u8]>::to_vec);
                    }
                    dir = Some(opened);
                }
                Ok(())
            });
            self.text = text;
            if let Err(error) = result {
                // Discard the holdings of a process that ended while it was read.
                self.found.holdings.truncate(base);
                return Err(error);
            }
            let Some(&first) = self.found.holdings.get(base) else {
                return Ok(());
            };
            let mut process = match &dir {
                Some(dir) => dir.facts((pid, thread), walk.ask, &mut self.text),
                None => super::process::bare(pid),
            };
            // A process that executed another program has lost the sockets that were marked close-on-exec, which must
            // not be shown with the new program's name. The program was read after the first socket and is read again
            // now; the first socket itself is checked again as well.
            let sound = match &dir {
                Some(dir) if walk.ask.image => {
                    dir.exe(&mut self.text).ok() == exe.as_deref() && still_holds(table.as_fd(), first.fd, first.inode)?
                }
                _ => true,
            };
            if sound || attempt == ATTEMPTS {
                if !sound {
                    process.image = Fact::Unknown(Why::Failed);
                }
                self.found.holders.push(Holder { process, thread });
                return Ok(());
            }
            self.found.holdings.truncate(base);
            self.found.rings.truncate(rings);
            seek(table, SeekFrom::Start(0))?;
        }
        Ok(())
    }

    /// Defers a table with very many descriptors; returns `false` if it is not that large.
    fn put_off(&mut self, walk: &Walk<'_>, pid: u32, table: &OwnedFd) -> Result<bool, Errno> {
        // The number of open descriptors since Linux 6.2; 0 before.
        if fstat(table)?.st_size as u64 <= LARGE_TABLE {
            return Ok(false);
        }
        let dir = ProcessDir::above(table.as_fd(), Depth::Descriptors)?;
        dir.text(c"status", &mut self.text)?;
        let Some(slots) = table_slots(&self.text) else {
            return Ok(false);
        };
        let exe = match walk.ask.image {
            true => dir.exe(&mut self.text).ok().map(<[u8]>::to_vec),
            false => None,
        };
        let table = table.try_clone().map_err(|_| Errno::MFILE)?;
        self.large.push(LargeTable {
            pid,
            dir,
            table,
            exe,
            slots,
        });
        Ok(true)
    }

    /// Reads descriptors `first` to `last` of a very large table.
    fn piece(&mut self, walk: &Walk<'_>, large: &LargeTable, first: u32, last: u32) -> Result<(), Errno> {
        // A separate open file description, so that the threads do not move each other's position.
        let table = openat(
            &large.table,
            c".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let range = Some((first, last));
        self.table(walk, &table, range, (large.pid, large.pid), &mut || Ok(()))
    }

    /// Reads the links of `table`, or only those of the descriptors in `range`, and keeps the wanted sockets. `begun`
    /// is called after the first one.
    fn table(
        &mut self,
        walk: &Walk<'_>,
        table: &OwnedFd,
        range: Option<(u32, u32)>,
        (pid, thread): (u32, u32),
        begun: &mut Begun<'_>,
    ) -> Result<(), Errno> {
        let holder = self.found.holders.len() as u32;
        let base = self.found.holdings.len();
        let mut room = BUFFER;
        if let Some((first, _)) = range {
            // The position of descriptor N in the directory is N + 2, after `.` and `..` (`proc_readfd_common` in
            // fs/proc/fd.c).
            seek(table, SeekFrom::Start(u64::from(first) + 2))?;
            room = PROBE;
        }
        self.entries.reserve(BUFFER);
        // The position of the next entry according to the previous one.
        let mut next = 0;
        loop {
            let spare = self.entries.spare_capacity_mut();
            let room_now = room.min(spare.len());
            let mut entries = RawDir::new(table, &mut spare[..room_now]);
            loop {
                let Some(entry) = entries.next() else {
                    return Ok(());
                };
                let entry = entry?;
                let name = entry.file_name();
                if name.to_bytes().first() != Some(&b'.') {
                    if let Some((first, last)) = range {
                        let fd = small_number(name.to_bytes()).ok_or(Errno::INVAL)?;
                        if fd > last {
                            return Ok(());
                        }
                        // If positions do not have the expected meaning, a gap is possible; the table is then read as a
                        // whole.
                        let position = u64::from(fd) + 2;
                        if fd < first || next > position || entry.next_entry_cookie() <= position {
                            return Err(Errno::SPIPE);
                        }
                        next = entry.next_entry_cookie();
                    }
                    self.found.descriptors += 1;
                    let mut target = [MaybeUninit::uninit(); 24];
                    match readlinkat_raw(table, name, &mut target) {
                        Ok((target, _)) => {
                            let target: &[u8] = target;
                            if let Some(inode) = socket_inode(target).filter(|&inode| walk.wanted.contains(inode)) {
                                if let Some(fd) = small_number(name.to_bytes()) {
                                    self.found.holdings.push(Holding { inode, holder, fd });
                                    if self.found.holdings.len() == base + 1 {
                                        begun()?;
                                    }
                                }
                            } else if target == RING
                                && let Some(fd) = small_number(name.to_bytes())
                            {
                                self.found.rings.push(Ring { pid, thread, fd });
                            }
                        }
                        // Closed in the meantime.
                        Err(Errno::NOENT) => {}
                        Err(error) => return Err(error),
                    }
                }
                if room < BUFFER && entries.is_buffer_empty() {
                    break;
                }
            }
            room = BUFFER;
        }
    }
}
