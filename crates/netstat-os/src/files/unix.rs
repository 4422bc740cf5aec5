//! Files on Unix.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use netstat_model::process::{FileFacts, FileTime};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::Opened;

pub(super) type Handle = OwnedFd;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// For reading; a FIFO without a writer does not hold the caller, and a terminal does not become its controlling one.
const READING: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

pub(super) fn open_directory(path: &Path, follow: bool) -> io::Result<Handle> {
    let flags = match follow {
        true => DIRECTORY,
        false => DIRECTORY.union(OFlags::NOFOLLOW),
    };
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn open_in(directory: &Handle, name: &[u8], flags: OFlags) -> io::Result<Opened<OwnedFd>> {
    match rustix::fs::openat(directory, name, flags.union(OFlags::NOFOLLOW), Mode::empty()) {
        Ok(opened) => Ok(Opened::Is(opened)),
        // A link gives ELOOP, or with O_DIRECTORY ENOTDIR (open(2)).
        Err(error @ (Errno::LOOP | Errno::NOTDIR)) => Ok(Opened::LinkOrOther(error.into())),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn directory_in(directory: &Handle, name: &[u8]) -> io::Result<Opened<Handle>> {
    open_in(directory, name, DIRECTORY)
}

pub(super) fn file_in(directory: &Handle, name: &[u8]) -> io::Result<Opened<File>> {
    Ok(match open_in(directory, name, READING)? {
        Opened::Is(opened) => Opened::Is(File::from(opened)),
        Opened::LinkOrOther(error) => Opened::LinkOrOther(error),
    })
}

pub(super) fn again(directory: &Handle) -> io::Result<Handle> {
    Ok(rustix::fs::openat(directory, ".", DIRECTORY, Mode::empty())?)
}

pub(super) fn as_file(directory: &Handle) -> io::Result<File> {
    Ok(File::from(directory.as_fd().try_clone_to_owned()?))
}

pub(super) fn link_target(directory: &Handle, path: &[u8]) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlinkat(directory, path, Vec::new())?.into_bytes())
}

pub(super) fn names(directory: &Handle) -> io::Result<Vec<Vec<u8>>> {
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

pub(super) fn create_private_in(directory: &Handle, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::from(0o600))?.into())
}

pub(super) fn rename(directory: &Handle, from: &str, to: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat(directory, from, directory, to)?)
}

pub(super) fn remove(directory: &Handle, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)
}

pub(super) fn open_without_waiting(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(path, READING, Mode::empty())?.into())
}

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

#[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "illumos"))]
pub(super) fn data_ranges(file: &File, most: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
    use rustix::fs::{SeekFrom, seek};
    let size = file.metadata()?.len();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole follows.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(vec![(0, size)])),
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        if end <= start {
            // It became shorter meanwhile.
            break;
        }
        if ranges.len() == most {
            return Ok(None);
        }
        ranges.push((start, end - start));
        at = end;
    }
    Ok(Some(ranges))
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "illumos")))]
pub(super) fn data_ranges(file: &File, _: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
    Ok(Some(vec![(0, file.metadata()?.len())]))
}

pub(super) fn facts_of(file: &File) -> io::Result<FileFacts> {
    facts(&file.metadata()?)
}

pub(super) fn path_facts(path: &Path) -> io::Result<FileFacts> {
    facts(&std::fs::metadata(path)?)
}

pub(super) fn link_facts(path: &Path) -> io::Result<FileFacts> {
    facts(&std::fs::symlink_metadata(path)?)
}

fn facts(metadata: &Metadata) -> io::Result<FileFacts> {
    let time = |seconds: i64, nanoseconds: i64| FileTime {
        seconds,
        // Below a thousand million (stat(3type)).
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

pub(super) fn os_string(bytes: Vec<u8>) -> OsString {
    OsString::from_vec(bytes)
}

pub(super) fn own_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

pub(super) fn is_ended_process(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}
