//! What a search for owners finds.

use netstat_model::Process;
use rustix::io::Errno;

/// A number that is no descriptor: the source does not report it.
pub(crate) const NO_DESCRIPTOR: u32 = u32::MAX;

/// One socket in one descriptor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holding {
    /// The socket's inode.
    pub(crate) inode: u32,
    /// Index into [`Found::holders`].
    pub(crate) holder: u32,
    /// The descriptor's number.
    pub(crate) fd: u32,
}

/// A descriptor table in which something wanted was found.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// The process, with the facts that were asked for.
    pub(crate) process: Process,
    /// The thread whose table it is; the process id, save for threads with a table of their own.
    pub(crate) thread: u32,
}

/// An io_uring instance; it may hold sockets without a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    pub(crate) pid: u32,
    pub(crate) thread: u32,
    pub(crate) fd: u32,
}

/// What a look has found, in no order.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) holders: Vec<Holder>,
    pub(crate) holdings: Vec<Holding>,
    pub(crate) rings: Vec<Ring>,
    /// Descriptors that were looked at.
    pub(crate) descriptors: u64,
    /// Processes whose descriptors the caller may not read.
    pub(crate) denied: u32,
    /// Holdings reported by another source, (inode, process id), of processes that `/proc` does not show.
    pub(crate) missing: Vec<(u32, u32)>,
    /// An error that is neither a lack of permission nor the end of a process, such as too many open files.
    pub(crate) failed: Option<Errno>,
}

impl Found {
    /// Adds what another look has found.
    pub(crate) fn append(&mut self, mut other: Found) {
        let base = self.holders.len() as u32;
        for holding in &mut other.holdings {
            holding.holder += base;
        }
        self.append_raw(other);
    }

    /// [`Found::append`] for findings whose holders are numbered alike.
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

    /// Notes why a process could not be read. One that has ended needs no note: its sockets are gone or another's.
    pub(crate) fn note(&mut self, error: Errno) {
        match error {
            Errno::NOENT | Errno::SRCH => {}
            Errno::ACCESS | Errno::PERM => self.denied += 1,
            other => self.failed = Some(other),
        }
    }
}
