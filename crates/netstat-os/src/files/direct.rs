//! File access without a limit on the time that a file system may take.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use netstat_model::process::{FileFacts, FileTime};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

/// The flags to open a file only in order to examine it.
pub(super) const PLACE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

pub(super) fn open_path(path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

pub(super) fn open_below(directory: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

pub(super) fn link_target(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<u8>, Errno> {
    rustix::fs::readlinkat(directory, path, Vec::new()).map(std::ffi::CString::into_bytes)
}

pub(super) fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

pub(super) fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    rustix::io::pread(file, buffer, offset)
}

pub(super) fn facts(file: BorrowedFd<'_>) -> io::Result<FileFacts> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::File::from(file.try_clone_to_owned()?).metadata()?;
    let time = |seconds: i64, nanoseconds: i64| FileTime {
        seconds,
        // Always below 1,000,000,000 (stat(3type)).
        nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
    };
    Ok(FileFacts {
        device: metadata.dev(),
        inode: metadata.ino(),
        links: metadata.nlink(),
        size: metadata.size(),
        mode: metadata.mode(),
        user: metadata.uid(),
        group: metadata.gid(),
        modified: time(metadata.mtime(), metadata.mtime_nsec()),
        changed: time(metadata.ctime(), metadata.ctime_nsec()),
    })
}
