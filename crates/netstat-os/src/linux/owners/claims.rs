//! Verifies the holdings that another source reported as bare pairs of inode and process id, before facts about the
//! processes are read.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use netstat_model::{Fact, Process, Why};
use rustix::fs::{RawDir, fstat, readlinkat_raw};
use rustix::io::Errno;

use super::found::{Found, Holder, Holding, NO_DESCRIPTOR};
use super::process::{ProcessDir, bare, small_number};
use super::spread::spread;
use super::table::{BUFFER, open_table, socket_inode, still_holds};
use super::threads::threads_with_tables;
use super::walk::{Begun, Walk, Worker, depth_of};

/// The maximum number of reported sockets of a process that are all verified. With more, only one is verified, which is
/// enough to know that it is still the same process. Verifying each one makes sure that a process which has executed
/// another program in the meantime is not credited with a socket that was closed by that.
const LOOK_FOR_EACH: usize = 64;

/// The reported pairs of one process.
struct Claim<'a> {
    pid: u32,
    pairs: &'a [(u32, u32)],
}

impl Walk<'_> {
    /// Turns pairs of (inode, process id) into holdings, with the requested facts.
    ///
    /// Between the report and the reading, a process may have ended and its id may be in use again. Therefore, facts
    /// are read only through a directory of which it is known, after it was opened, that the process still holds one of
    /// the sockets. If no facts are requested, nothing is read and the pairs are taken as reported. A process that has
    /// ended or closed all its sockets in the meantime is left out.
    pub(crate) fn claims(&self, pairs: &mut Vec<(u32, u32)>) -> Found {
        pairs.retain(|&(inode, _)| self.wanted.contains(inode));
        pairs.sort_unstable_by_key(|&(inode, pid)| (pid, inode));
        pairs.dedup();
        let claims: Vec<Claim<'_>> = pairs
            .chunk_by(|a, b| a.1 == b.1)
            .map(|pairs| Claim { pid: pairs[0].1, pairs })
            .collect();
        let workers = spread(&claims, Worker::default, |worker, claim| {
            match self.claim(claim, worker) {
                Ok(()) => {}
                // It has ended in the meantime, or is not visible in `/proc`.
                Err(Errno::NOENT | Errno::SRCH) => worker.found.missing.extend_from_slice(claim.pairs),
                Err(error) => worker.found.failed = Some(error),
            }
        });
        let mut found = Found::default();
        for worker in workers {
            found.append(worker.found);
        }
        found
    }

    /// Verifies that process `claim.pid` still holds the reported sockets, and adds its holdings if so.
    fn claim(&self, claim: &Claim<'_>, worker: &mut Worker) -> Result<(), Errno> {
        let pid = claim.pid;
        if !self.ask.is_anything() {
            worker.take(bare(pid), claim.pairs);
            return Ok(());
        }
        let table = match open_table(self.proc, pid, pid) {
            Ok(table) => table,
            // The source has more privileges than the caller: the holding is valid, but its facts stay unknown.
            Err(Errno::ACCESS | Errno::PERM) => {
                let mut process = bare(pid);
                process.start_ticks = Fact::Unknown(Why::NotPermitted);
                process.comm = Fact::Unknown(Why::NotPermitted);
                process.image = Fact::Unknown(Why::NotPermitted);
                process.components = Fact::Unknown(Why::NotPermitted);
                worker.take(process, claim.pairs);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // With fewer descriptors than reported sockets, it must have closed some (the size is 0 before Linux 6.2).
        let size = fstat(&table)?.st_size as usize;
        let one_is_enough = claim.pairs.len() > LOOK_FOR_EACH && (size == 0 || size >= claim.pairs.len());
        let enough = if one_is_enough { 1 } else { claim.pairs.len() };
        worker.keep(self, (pid, pid), &table, |worker, begun| {
            let holder = worker.found.holders.len() as u32;
            let base = worker.found.holdings.len();
            still_held(&table, claim, enough, worker, holder, begun)?;
            if worker.found.holdings.len() - base < enough {
                for thread in threads_with_tables(self.proc, pid)? {
                    match open_table(self.proc, pid, thread) {
                        Ok(table) => still_held(&table, claim, enough, worker, holder, begun)?,
                        Err(Errno::NOENT | Errno::SRCH) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            if one_is_enough && worker.found.holdings.len() > base {
                let first = worker.found.holdings[base].inode;
                let others = claim
                    .pairs
                    .iter()
                    .map(|&(inode, _)| inode)
                    .filter(|&inode| inode != first);
                let fd = NO_DESCRIPTOR;
                worker
                    .found
                    .holdings
                    .extend(others.map(|inode| Holding { inode, holder, fd }));
            }
            Ok(())
        })
    }

    /// Opens the descriptor table of process `pid` if it holds `inode`.
    ///
    /// # Errors
    /// Returns the error of the system, or `ESRCH` if the process does not hold it.
    fn table_with(&self, pid: u32, inode: u32) -> Result<OwnedFd, Errno> {
        let table = open_table(self.proc, pid, pid)?;
        let pairs = &[(inode, pid)][..];
        let claim = Claim { pid, pairs };
        let mut worker = Worker::default();
        still_held(&table, &claim, 1, &mut worker, 0, &mut || Ok(()))?;
        if worker.found.holdings.is_empty() {
            for thread in threads_with_tables(self.proc, pid)? {
                let other = open_table(self.proc, pid, thread)?;
                still_held(&other, &claim, 1, &mut worker, 0, &mut || Ok(()))?;
            }
        }
        if worker.found.holdings.is_empty() {
            return Err(Errno::SRCH);
        }
        Ok(table)
    }

    /// Reads the start time of a holder, after verifying that the process id still belongs to the same process: the
    /// descriptor must still refer to the socket.
    pub(crate) fn read_start(&self, holder: &mut Holder, holding: &Holding, text: &mut Vec<u8>) {
        let (pid, thread) = (holder.process.pid, holder.thread);
        let table = match holding.fd {
            NO_DESCRIPTOR => self.table_with(pid, holding.inode),
            fd => open_table(self.proc, pid, thread).and_then(|table| {
                match still_holds(table.as_fd(), fd, holding.inode)? {
                    true => Ok(table),
                    false => Err(Errno::SRCH),
                }
            }),
        };
        let dir = table.and_then(|table| ProcessDir::above(table.as_fd(), depth_of(pid, thread)));
        match dir {
            Ok(dir) => dir.read_start(&mut holder.process, text),
            Err(error) => holder.process.start_ticks = Fact::Unknown(super::process::why(error)),
        }
    }
}

impl Found {
    /// Adds the holdings of a process about which nothing more can be read.
    pub(crate) fn add_unread(&mut self, pid: u32, pairs: &[(u32, u32)]) {
        let holder = self.holders.len() as u32;
        let mut process = bare(pid);
        process.start_ticks = Fact::Unknown(Why::Failed);
        process.comm = Fact::Unknown(Why::Failed);
        process.image = Fact::Unknown(Why::Failed);
        process.components = Fact::Unknown(Why::Failed);
        self.holders.push(Holder { process, thread: pid });
        let fd = NO_DESCRIPTOR;
        let holdings = pairs.iter().map(|&(inode, _)| Holding { inode, holder, fd });
        self.holdings.extend(holdings);
    }
}

impl Worker {
    /// Adds a process and its pairs as reported.
    fn take(&mut self, process: Process, pairs: &[(u32, u32)]) {
        let (holder, thread) = (self.found.holders.len() as u32, process.pid);
        self.found.holders.push(Holder { process, thread });
        let fd = NO_DESCRIPTOR;
        let holdings = pairs.iter().map(|&(inode, _)| Holding { inode, holder, fd });
        self.found.holdings.extend(holdings);
    }
}

/// Adds those of the reported sockets that are in the table to the worker's findings, each once. Stops when `enough`
/// were found. Calls `begun` after the first one.
fn still_held(
    table: &OwnedFd,
    claim: &Claim<'_>,
    enough: usize,
    worker: &mut Worker,
    holder: u32,
    begun: &mut Begun<'_>,
) -> Result<(), Errno> {
    let holdings = &mut worker.found.holdings;
    let own = |holding: &&Holding| holding.holder == holder;
    let mut seen: Vec<u32> = holdings
        .iter()
        .rev()
        .take_while(own)
        .map(|holding| holding.inode)
        .collect();
    worker.entries.reserve(BUFFER);
    let mut entries = RawDir::new(table, worker.entries.spare_capacity_mut());
    while seen.len() < enough {
        let Some(entry) = entries.next() else {
            return Ok(());
        };
        let entry = entry?;
        let Some(fd) = small_number(entry.file_name().to_bytes()) else {
            continue;
        };
        let mut target = [MaybeUninit::uninit(); 24];
        let inode = match readlinkat_raw(table, entry.file_name(), &mut target) {
            Ok((target, _)) => socket_inode(target),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        let claimed = |inode: &u32| claim.pairs.binary_search_by_key(inode, |&(inode, _)| inode).is_ok();
        if let Some(inode) = inode.filter(claimed).filter(|inode| !seen.contains(inode)) {
            seen.push(inode);
            holdings.push(Holding { inode, holder, fd });
            if seen.len() == 1 {
                begun()?;
            }
        }
    }
    Ok(())
}
