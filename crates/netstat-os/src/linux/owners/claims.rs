//! Holdings that another source has told as bare pairs of inode and process id, made sure of before facts are read.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use netstat_model::{Fact, Why};
use rustix::fs::{RawDir, readlinkat_raw};
use rustix::io::Errno;

use super::process::{Depth, ProcessDir, bare, small_number};
use super::spread::spread;
use super::table::{open_table, socket_inode};
use super::walk::{Found, Holder, Holding, Walk};

/// A number that is no descriptor: the source has not told it.
pub(crate) const NO_DESCRIPTOR: u32 = u32::MAX;

/// Of a process with more claimed sockets than this only one is looked for again: it is enough to know that it is still the
/// same process. With fewer, each is, so that one which became another program meanwhile keeps no socket that was closed then.
const LOOK_FOR_EACH: usize = 64;

/// The pairs of one process.
struct Claim<'a> {
    pid: u32,
    pairs: &'a [(u32, u32)],
}

impl Walk<'_> {
    /// Turns pairs of (inode, process id) into holdings, with the facts that were asked for.
    ///
    /// Between the telling and the reading a process may have ended and its id be in use again. So facts are read only
    /// through a directory of which it is known, after it was opened, that the process still holds one of the sockets.
    /// Where no fact is asked for, nothing is read and the pairs stand as told. A process that has meanwhile ended or closed
    /// all its sockets is left out.
    pub(crate) fn claims(&self, pairs: &mut Vec<(u32, u32)>) -> Found {
        pairs.retain(|&(inode, _)| self.wanted.contains(inode));
        pairs.sort_unstable_by_key(|&(inode, pid)| (pid, inode));
        pairs.dedup();
        let claims: Vec<Claim<'_>> = pairs
            .chunk_by(|a, b| a.1 == b.1)
            .map(|pairs| Claim { pid: pairs[0].1, pairs })
            .collect();
        let workers = spread(
            &claims,
            || (Found::default(), Vec::new(), Vec::new()),
            |(found, entries, text), claim| {
                if let Err(error) = self.claim(claim, found, entries, text) {
                    if !matches!(error, Errno::NOENT | Errno::SRCH) {
                        found.failed = Some(error);
                    }
                }
            },
        );
        let mut found = Found::default();
        for (part, _, _) in workers {
            found.append(part);
        }
        found
    }

    fn claim(
        &self,
        claim: &Claim<'_>,
        found: &mut Found,
        entries: &mut Vec<u8>,
        text: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let mut process = bare(claim.pid);
        let mut kept = Vec::new();
        let mut all = true;
        if self.ask.is_anything() {
            match open_table(self.proc, claim.pid, claim.pid) {
                Ok(table) => {
                    let enough = if claim.pairs.len() > LOOK_FOR_EACH {
                        1
                    } else {
                        claim.pairs.len()
                    };
                    still_held(&table, claim, enough, &mut kept, entries)?;
                    if kept.len() < enough {
                        self.still_held_by_threads(claim, enough, &mut kept, entries)?;
                    }
                    if kept.is_empty() {
                        return Ok(());
                    }
                    all = enough == 1;
                    process = ProcessDir::above(table.as_fd(), Depth::Descriptors)?.facts(claim.pid, self.ask, text);
                }
                // The source saw more than this caller may: the holding stands, its facts stay unknown.
                Err(Errno::ACCESS | Errno::PERM) => {
                    process.start_ticks = Fact::Unknown(Why::NotPermitted);
                    process.comm = Fact::Unknown(Why::NotPermitted);
                    process.image = Fact::Unknown(Why::NotPermitted);
                    process.components = Fact::Unknown(Why::NotPermitted);
                }
                Err(error) => return Err(error),
            }
        }
        let holder = found.holders.len() as u32;
        found.holders.push(Holder {
            process,
            thread: claim.pid,
        });
        let claimed = claim.pairs.iter().map(|&(inode, _)| inode);
        let fd = NO_DESCRIPTOR;
        found.holdings.extend(
            claimed
                .filter(|inode| all || kept.contains(inode))
                .map(|inode| Holding { inode, holder, fd }),
        );
        Ok(())
    }

    /// The table of process `pid`, when it holds `inode`.
    ///
    /// # Errors
    /// The system's; `ESRCH` when it does not hold it.
    pub(crate) fn table_with(&self, pid: u32, inode: u32) -> Result<OwnedFd, Errno> {
        let table = open_table(self.proc, pid, pid)?;
        let pairs = &[(inode, pid)][..];
        let claim = Claim { pid, pairs };
        let (mut kept, mut entries) = (Vec::new(), Vec::new());
        still_held(&table, &claim, 1, &mut kept, &mut entries)?;
        if kept.is_empty() {
            self.still_held_by_threads(&claim, 1, &mut kept, &mut entries)?;
        }
        if kept.is_empty() { Err(Errno::SRCH) } else { Ok(table) }
    }

    /// [`still_held`] for the threads with tables of their own.
    fn still_held_by_threads(
        &self,
        claim: &Claim<'_>,
        enough: usize,
        kept: &mut Vec<u32>,
        entries: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        for thread in super::elsewhere::threads_with_tables(self.proc, claim.pid)? {
            match open_table(self.proc, claim.pid, thread) {
                Ok(table) => still_held(&table, claim, enough, kept, entries)?,
                Err(Errno::NOENT | Errno::SRCH) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Adds the claimed sockets that the table holds to `kept`, each once; reads no further than until there are `enough`.
fn still_held(
    table: &OwnedFd,
    claim: &Claim<'_>,
    enough: usize,
    kept: &mut Vec<u32>,
    entries: &mut Vec<u8>,
) -> Result<(), Errno> {
    entries.reserve(16 * 1024);
    let mut entries = RawDir::new(table, entries.spare_capacity_mut());
    while kept.len() < enough {
        let Some(entry) = entries.next() else {
            return Ok(());
        };
        let entry = entry?;
        if small_number(entry.file_name().to_bytes()).is_none() {
            continue;
        }
        let mut target = [MaybeUninit::uninit(); 24];
        match readlinkat_raw(table, entry.file_name(), &mut target) {
            Ok((target, _)) => {
                let claimed = |inode: &u32| claim.pairs.binary_search_by_key(inode, |&(inode, _)| inode).is_ok();
                if let Some(inode) = socket_inode(target).filter(claimed) {
                    if !kept.contains(&inode) {
                        kept.push(inode);
                    }
                }
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
