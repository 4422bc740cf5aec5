//! The list of processes, and access to the descriptor table of one: paths, links, sizes.

use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;

use super::digits::small_number;

/// The buffer size in bytes for a `getdents64` call. The entry of a descriptor takes 24 bytes (32 from number 10000
/// on).
pub(crate) const BUFFER: usize = 32 * 1024;

/// Returns the ids of all processes in `proc`, in ascending order.
///
/// # Errors
/// Returns the error of the system if the directory cannot be read.
pub(crate) fn process_ids(proc: BorrowedFd<'_>) -> Result<Vec<u32>, Errno> {
    let dir = openat(
        proc,
        c".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
    let mut pids = Vec::with_capacity(512);
    while let Some(entry) = entries.next() {
        if let Some(pid) = small_number(entry?.file_name().to_bytes()) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Opens the descriptor table of a process, or of one of its threads.
pub(crate) fn open_table(proc: BorrowedFd<'_>, pid: u32, thread: u32) -> Result<OwnedFd, Errno> {
    let mut path = PathBuffer::new();
    path.number(pid);
    if thread != pid {
        path.text(b"/task/");
        path.number(thread);
    }
    path.text(b"/fd");
    openat(
        proc,
        path.as_bytes(),
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// A short path that is built without allocating.
pub(crate) struct PathBuffer {
    bytes: [u8; 48],
    length: usize,
}

impl PathBuffer {
    pub(crate) const fn new() -> Self {
        PathBuffer {
            bytes: [0; 48],
            length: 0,
        }
    }

    /// Appends text. Everything that is ever appended fits (two numbers of at most 10 digits and some words).
    pub(crate) fn text(&mut self, text: &[u8]) {
        let end = (self.length + text.len()).min(self.bytes.len());
        self.bytes[self.length..end].copy_from_slice(&text[..end - self.length]);
        self.length = end;
    }

    /// Appends a number in decimal digits.
    pub(crate) fn number(&mut self, number: u32) {
        let mut digits = [0; 10];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.text(&digits[at..]);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Parses the inode in `socket:[123]`, the target of the link of a socket in `/proc/PID/fd`.
pub(crate) fn socket_inode(target: &[u8]) -> Option<u32> {
    target
        .strip_prefix(b"socket:[")?
        .strip_suffix(b"]")
        .and_then(small_number)
}

/// Whether descriptor `fd` of the table still refers to the socket `inode`.
pub(crate) fn still_holds(table: BorrowedFd<'_>, fd: u32, inode: u32) -> Result<bool, Errno> {
    let mut name = PathBuffer::new();
    name.number(fd);
    let mut target = [MaybeUninit::uninit(); 24];
    match readlinkat_raw(table, name.as_bytes(), &mut target) {
        Ok((target, _)) => Ok(socket_inode(target) == Some(inode)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Parses the size of the descriptor table (`FDSize`) in the text of `/proc/PID/status`: every descriptor number is
/// below it.
pub(crate) fn table_slots(status: &[u8]) -> Option<u32> {
    status
        .split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(b"FDSize:"))
        .and_then(|value| small_number(value.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn socket_inode_of_other_link_is_none() {
        assert_eq!(socket_inode(b"socket:[4294967295]"), Some(u32::MAX));
        assert_eq!(socket_inode(b"socket:[1]"), Some(1));
        for other in [
            "socket:[]",
            "socket:[1",
            "socket:[4294967296]",
            "pipe:[1]",
            "/socket:[1]",
            "socket:[-1]",
            "",
        ] {
            assert_eq!(socket_inode(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn table_slots_are_read_from_status() {
        assert_eq!(table_slots(b"Name:\tx\nFDSize:\t16384\nGroups:\n"), Some(16384));
        assert_eq!(table_slots(b"Name:\tFDSize:\n"), None);
    }

    proptest! {
        #[test]
        fn path_buffer_writes_numbers_as_std_does(number: u32, other: u32) {
            let mut path = PathBuffer::new();
            path.number(number);
            path.text(b"/task/");
            path.number(other);
            path.text(b"/fd");
            let expected = format!("{number}/task/{other}/fd");
            prop_assert_eq!(path.as_bytes(), expected.as_bytes());
        }

        #[test]
        fn links_and_status_of_any_bytes_never_panic(bytes: Vec<u8>) {
            socket_inode(&bytes);
            table_slots(&bytes);
        }
    }
}
