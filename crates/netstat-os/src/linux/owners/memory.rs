//! A cache of the findings of the last search, so that the next one only needs to search for new sockets.

use std::collections::HashMap;

use super::found::{Found, NO_DESCRIPTOR, Ring};
use super::spread::spread;
use super::walk::{KnownTable, Walk, Worker};
use super::wanted::WantedInodes;

/// How many searches it takes until the cache is ignored once.
const FULL_LOOK: u32 = 16;

/// The findings of the last search.
///
/// A cached holding is never trusted: its descriptor is read again in each search, which immediately shows whether a
/// process has closed it, passed it on or ended. Two things may be noticed late, in the next full search
/// ([`FULL_LOOK`]): another holder of a socket that already has a known one, and a holder of a socket that had none.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    tables: Vec<KnownTable>,
    /// The sockets for which the last search found no holder.
    missed: WantedInodes,
    /// The processes at the last search, ascending.
    pids: Vec<u32>,
    rings: Vec<Ring>,
    denied: u32,
    /// The number of searches so far.
    looks: u32,
}

impl Memory {
    /// Performs the first step of a search among `pids`: verifies the known holdings, then walks through the processes
    /// if there is a socket that was not seen before or has lost its holder.
    pub(crate) fn look(&mut self, walk: &Walk<'_>, pids: &[u32]) -> Found {
        if self.looks.is_multiple_of(FULL_LOOK) {
            return walk.processes(pids);
        }
        let mut found = Found::default();
        for worker in spread(&self.tables, Worker::default, |worker, known| worker.known(walk, known)) {
            found.append(worker.found);
        }
        // What the last walk was denied or noted holds until the next walk.
        found.denied = self.denied;
        found.rings = self.rings.clone();
        let mut left = left(walk, &found);
        let is_new = |inode: &u32| !self.missed.contains(*inode);
        if !left.iter().any(is_new) {
            return found;
        }
        // A new socket is most likely held by a process that already holds one, or by a new process.
        let mut holders: Vec<u32> = self.tables.iter().map(|table| table.pid).collect();
        holders.sort_unstable();
        let is_likely = |pid: &u32| holders.binary_search(pid).is_ok() || self.pids.binary_search(pid).is_err();
        let (likely, others): (Vec<u32>, Vec<u32>) = pids.iter().partition(|pid| is_likely(pid));
        found.denied = 0;
        found.rings.clear();
        for (pids, last) in [(likely, false), (others, true)] {
            let wanted = WantedInodes::new(left.iter().copied());
            let part = Walk {
                wanted: &wanted,
                ..*walk
            };
            found.append(part.processes(&pids));
            left = self::left(walk, &found);
            if !last && !left.iter().any(is_new) {
                // The rest was not read, so the previous findings still hold.
                found.denied = self.denied;
                found.rings = self.rings.clone();
                break;
            }
        }
        found
    }

    /// Stores the findings of a whole search. io_uring instances are always searched again.
    pub(crate) fn keep(&mut self, walk: &Walk<'_>, found: &Found, pids: Vec<u32>) {
        self.looks = self.looks.wrapping_add(1);
        self.tables.clear();
        let mut places = HashMap::new();
        let mut place_of = vec![None; found.holders.len()];
        let mut marks = walk.wanted.marks();
        for holding in found.holdings.iter().filter(|holding| holding.fd != NO_DESCRIPTOR) {
            let index = holding.holder as usize;
            let place = *place_of[index].get_or_insert_with(|| {
                let (pid, thread) = (found.holders[index].process.pid, found.holders[index].thread);
                // A table may occur twice in the findings, with its known sockets and its new ones.
                *places.entry((pid, thread)).or_insert_with(|| {
                    let sockets = Vec::new();
                    self.tables.push(KnownTable { pid, thread, sockets });
                    self.tables.len() - 1
                })
            });
            self.tables[place].sockets.push((holding.inode, holding.fd));
            walk.wanted.mark(&mut marks, holding.inode);
        }
        self.missed.refill(walk.wanted.unmarked(&marks));
        self.pids = pids;
        self.rings.clone_from(&found.rings);
        self.denied = found.denied;
    }
}

/// Returns the wanted inodes for which no holder was found.
pub(crate) fn left(walk: &Walk<'_>, found: &Found) -> Vec<u32> {
    let mut marks = walk.wanted.marks();
    for holding in &found.holdings {
        walk.wanted.mark(&mut marks, holding.inode);
    }
    walk.wanted.unmarked(&marks).collect()
}
