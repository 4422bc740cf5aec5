//! The result of a search for owners.

use netstat_model::Process;
use rustix::io::Errno;

/// Stands for an unknown descriptor, when the source does not report it.
pub(crate) const NO_DESCRIPTOR: u32 = u32::MAX;

/// A socket in a descriptor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holding {
    /// The inode of the socket.
    pub(crate) inode: u32,
    /// The index in [`Found::holders`].
    pub(crate) holder: u32,
    /// The number of the descriptor.
    pub(crate) fd: u32,
}

/// A descriptor table that contains a wanted socket.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// The process, with the requested facts.
    pub(crate) process: Process,
    /// The thread that the table belongs to: the process id, except for threads with a table of their own.
    pub(crate) thread: u32,
}

/// An io_uring instance, which may hold sockets without a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    pub(crate) pid: u32,
    pub(crate) thread: u32,
    pub(crate) fd: u32,
}

/// The findings of a search, in no particular order.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) holders: Vec<Holder>,
    pub(crate) holdings: Vec<Holding>,
    pub(crate) rings: Vec<Ring>,
    /// The number of descriptors that were read.
    pub(crate) descriptors: u64,
    /// The number of processes whose descriptors the caller may not read.
    pub(crate) denied: u32,
    /// Holdings that another source reported, as (inode, process id), of processes that `/proc` does not show.
    pub(crate) missing: Vec<(u32, u32)>,
    /// An error other than missing privileges or the end of a process, such as too many open files.
    pub(crate) failed: Option<Errno>,
}

impl Found {
    /// Adds the findings of another search.
    pub(crate) fn append(&mut self, mut other: Found) {
        let base = self.holders.len() as u32;
        for holding in &mut other.holdings {
            holding.holder += base;
        }
        self.append_raw(other);
    }

    /// Like [`Found::append`], for findings with the same numbering of holders.
    pub(crate) fn append_raw(&mut self, mut other: Found) {
        self.holders.append(&mut other.holders);
        if self.holdings.is_empty() {
            self.holdings = other.holdings;
        } else {
            self.holdings.append(&mut other.holdings);
        }
        self.rings.append(&mut other.rings);
        self.missing.append(&mut other.missing);
        self.descriptors += other.descriptors;
        self.denied += other.denied;
        self.failed = self.failed.or(other.failed);
    }

    /// Records why a process could not be read. One that has ended is not recorded: its sockets are closed or held by
    /// another process.
    pub(crate) fn note(&mut self, error: Errno) {
        match error {
            Errno::NOENT | Errno::SRCH => {}
            Errno::ACCESS | Errno::PERM => self.denied += 1,
            other => self.failed = Some(other),
        }
    }
}
