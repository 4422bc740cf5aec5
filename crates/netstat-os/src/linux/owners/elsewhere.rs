//! Finds sockets that are held outside of the descriptor tables of processes: in the table of a thread that unshared
//! it, in an io_uring instance, or in a message between two processes. Used only for sockets that no process's own
//! table contains.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{RawDir, readlinkat_raw};
use rustix::io::Errno;

use super::found::{Found, Holder, Holding, NO_DESCRIPTOR, Ring};
use super::process::{Depth, ProcessDir, read_text, small_number};
use super::spread::spread;
use super::table::{PathBuffer, open_table, socket_inode};
use super::threads::threads_with_tables;
use super::walk::{Walk, Worker};

impl Walk<'_> {
    /// Reads the tables of threads that do not share the table of their process (unshare(2), `CLONE_FILES`), and those
    /// of threads that continue to run after the main thread has ended.
    pub(crate) fn threads(&self, pids: &[u32]) -> Found {
        let workers = spread(pids, Worker::default, |worker, &pid| {
            if let Err(error) = own_tables(worker, self, pid) {
                // What the walk through the processes was denied has already been counted.
                if !matches!(error, Errno::ACCESS | Errno::PERM) {
                    worker.found.note(error);
                }
            }
        });
        let mut found = Found::default();
        for worker in workers {
            found.append(worker.found);
        }
        found
    }

    /// Finds the wanted sockets among the files registered with io_uring instances (io_uring_register(2)), which need
    /// no descriptor.
    pub(crate) fn rings(&self, rings: &[Ring]) -> Found {
        let mut found = Found::default();
        let mut text = Vec::new();
        for ring in rings {
            if let Err(error) = self.ring(ring, &mut found, &mut text)
                && !matches!(error, Errno::ACCESS | Errno::PERM)
            {
                found.note(error);
            }
        }
        found
    }

    fn ring(&self, ring: &Ring, found: &mut Found, text: &mut Vec<u8>) -> Result<(), Errno> {
        let table = open_table(self.proc, ring.pid, ring.thread)?;
        read_descriptor_info(table.as_fd(), ring.fd, text)?;
        let holder = found.holders.len() as u32;
        let base = found.holdings.len();
        for inode in ring_sockets(text).filter(|&inode| self.wanted.contains(inode)) {
            let fd = NO_DESCRIPTOR;
            found.holdings.push(Holding { inode, holder, fd });
        }
        if found.holdings.len() > base {
            let depth = if ring.thread == ring.pid {
                Depth::Descriptors
            } else {
                Depth::ThreadDescriptors
            };
            let dir = ProcessDir::above(table.as_fd(), depth)?;
            let mut process = dir.facts((ring.pid, ring.thread), self.ask, text);
            // The holding cannot be verified again through its descriptor, so read now what may be needed later.
            dir.read_start(&mut process, text);
            let thread = ring.thread;
            found.holders.push(Holder { process, thread });
        }
        Ok(())
    }

    /// Returns how many processes do not let the caller read their descriptors.
    pub(crate) fn denied(&self, pids: &[u32]) -> u32 {
        let workers = spread(
            pids,
            || 0,
            |denied, &pid| {
                if let Err(Errno::ACCESS | Errno::PERM) = look_at_one(self.proc, pid) {
                    *denied += 1;
                }
            },
        );
        workers.into_iter().sum()
    }

    /// Whether a Unix-domain socket of one of `pids` has descriptors waiting in its receive queue (unix(7),
    /// `SCM_RIGHTS`).
    pub(crate) fn descriptors_in_flight(&self, pids: &[u32]) -> bool {
        let workers = spread(
            pids,
            || (false, Vec::new(), Vec::new()),
            |(seen, entries, text), &pid| {
                *seen = *seen || in_flight(self.proc, pid, entries, text).unwrap_or(false);
            },
        );
        workers.into_iter().any(|(seen, _, _)| seen)
    }
}

/// Tries to read what one descriptor of a process refers to, if it has one.
fn look_at_one(proc: BorrowedFd<'_>, pid: u32) -> Result<(), Errno> {
    let table = open_table(proc, pid, pid)?;
    let mut buffer = [MaybeUninit::uninit(); 512];
    let mut entries = RawDir::new(&table, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if small_number(entry.file_name().to_bytes()).is_some() {
            let mut target = [MaybeUninit::uninit(); 64];
            return readlinkat_raw(&table, entry.file_name(), &mut target).map(|_| ());
        }
    }
    Ok(())
}

/// Reads the text of `/proc/PID/fdinfo/FD`, given the directory `/proc/PID/fd`.
fn read_descriptor_info(table: BorrowedFd<'_>, fd: u32, text: &mut Vec<u8>) -> Result<(), Errno> {
    let mut path = PathBuffer::new();
    path.text(b"../fdinfo/");
    path.number(fd);
    path.text(b"\0");
    let path = std::ffi::CStr::from_bytes_until_nul(path.as_bytes()).map_err(|_| Errno::INVAL)?;
    read_text(table, path, text)
}

/// Reads the tables of those threads of a process that have one of their own.
fn own_tables(worker: &mut Worker, walk: &Walk<'_>, pid: u32) -> Result<(), Errno> {
    for thread in threads_with_tables(walk.proc, pid)? {
        worker.process(walk, pid, thread, false);
    }
    Ok(())
}

/// Parses the sockets among the registered files in the `fdinfo` text of an io_uring instance: after `UserFiles:` one
/// line each, such as `    0: socket:[123]` (`io_uring_show_fdinfo` in the kernel's io_uring/fdinfo.c).
fn ring_sockets(text: &[u8]) -> impl Iterator<Item = u32> {
    text.split(|&b| b == b'\n')
        .skip_while(|line| !line.starts_with(b"UserFiles:"))
        .skip(1)
        .map_while(|line| {
            let (index, target) = line.split_at(line.iter().position(|&b| b == b':')?);
            small_number(index.trim_ascii())?;
            Some(target[1..].trim_ascii())
        })
        .filter_map(socket_inode)
}

/// Whether a Unix-domain socket of process `pid` has descriptors in its receive queue.
fn in_flight(proc: BorrowedFd<'_>, pid: u32, entries: &mut Vec<u8>, text: &mut Vec<u8>) -> Result<bool, Errno> {
    let table = open_table(proc, pid, pid)?;
    entries.reserve(16 * 1024);
    let mut entries = RawDir::new(&table, entries.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let mut target = [MaybeUninit::uninit(); 24];
        let Some(fd) = small_number(entry.file_name().to_bytes()) else {
            continue;
        };
        let is_socket = readlinkat_raw(&table, entry.file_name(), &mut target)
            .is_ok_and(|(target, _)| socket_inode(target).is_some());
        if is_socket && read_descriptor_info(table.as_fd(), fd, text).is_ok() && waiting_descriptors(text) > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Parses how many descriptors wait in the queue of a Unix-domain socket from the text of its `fdinfo` (`scm_fds:`,
/// Linux 5.6).
fn waiting_descriptors(text: &[u8]) -> u32 {
    text.split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(b"scm_fds:"))
        .and_then(|value| small_number(value.trim_ascii()))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sockets_registered_with_io_uring_are_found() {
        let text = b"pos:\t0\nSqMask:\t0x3\nUserFiles:\t4\n    0: socket:[933735]\n    1: /dev/null\n    2: /a/socket:[7]\n   12: socket:[8]\nUserBufs:\t0\n    0: socket:[9]\n";
        assert_eq!(ring_sockets(text).collect::<Vec<_>>(), [933735, 8]);
        assert_eq!(ring_sockets(b"").count(), 0);
        assert_eq!(ring_sockets(b"UserFiles:\t0\nUserBufs:\t0\n").count(), 0);
    }

    #[test]
    fn descriptors_waiting_in_queue_are_counted() {
        assert_eq!(waiting_descriptors(b"pos:\t0\nscm_fds: 3\n"), 3);
        assert_eq!(waiting_descriptors(b"pos:\t0\nscm_fds: 0\n"), 0);
        assert_eq!(waiting_descriptors(b"pos:\t0\nino:\t5\n"), 0);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            ring_sockets(&bytes).count();
            waiting_descriptors(&bytes);
        }
    }
}
