//! File access on Unix.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use netstat_model::process::FileFacts;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::Opened;
#[cfg(not(target_os = "linux"))]
use super::direct as way;
#[cfg(target_os = "linux")]
use crate::linux::bounded::files as way;

pub(super) type Handle = OwnedFd;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// The flags to open a file for reading: opening a FIFO without a writer does not block, and a terminal does not become
/// the controlling terminal.
const READING: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

pub(super) fn open_directory(path: &Path, follow: bool) -> io::Result<Handle> {
    let flags = match follow {
        true => DIRECTORY,
        false => DIRECTORY.union(OFlags::NOFOLLOW),
    };
    Ok(way::open_path(path.as_os_str().as_bytes(), flags)?)
}

fn open_in(directory: &Handle, name: &[u8], flags: OFlags) -> io::Result<Opened<OwnedFd>> {
    match way::open_below(directory.as_fd(), name, flags.union(OFlags::NOFOLLOW)) {
        Ok(opened) => Ok(Opened::Is(opened)),
        // A symbolic link results in ELOOP, or in ENOTDIR with O_DIRECTORY (open(2)).
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
    Ok(way::open_below(directory.as_fd(), b".", DIRECTORY)?)
}

pub(super) fn as_file(directory: &Handle) -> io::Result<File> {
    Ok(File::from(directory.as_fd().try_clone_to_owned()?))
}

pub(super) fn link_target(directory: &Handle, path: &[u8]) -> io::Result<Vec<u8>> {
    Ok(way::link_target(directory.as_fd(), path)?)
}

pub(super) fn names(directory: &Handle) -> io::Result<Vec<Vec<u8>>> {
    Ok(way::names(directory.as_fd())?)
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

pub(super) fn open_foreign(path: &Path) -> io::Result<File> {
    Ok(way::open_path(path.as_os_str().as_bytes(), READING)?.into())
}

/// Whether a FIFO is an unnamed pipe (pipe(2)).
pub(super) fn is_unnamed_pipe(file: &File) -> bool {
    // PIPEFS_MAGIC in linux/magic.h: the file system of unnamed pipes.
    #[cfg(target_os = "linux")]
    return way::type_of(file.as_fd()) == Some(0x5049_5045);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// Makes reads block again until there is data.
pub(super) fn wait_again(file: &File) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    Ok(rustix::fs::fcntl_setfl(file, flags - OFlags::NONBLOCK)?)
}

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    Ok(way::read_at(file.as_fd(), buffer, offset)?)
}

#[cfg(target_os = "linux")]
pub(super) fn data_ranges(file: &File, most: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
    let size = facts_of(file)?.size;
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match way::seek_content(file.as_fd(), at, false) {
            Ok(start) => start,
            // Only a hole follows.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(vec![(0, size)])),
            Err(error) => return Err(error.into()),
        };
        let end = way::seek_content(file.as_fd(), start, true)?.min(size);
        if end <= start {
            // The file was truncated in the meantime.
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

#[cfg(not(target_os = "linux"))]
pub(super) fn data_ranges(file: &File, _: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
    Ok(Some(vec![(0, facts_of(file)?.size)]))
}

pub(super) fn facts_of(file: &File) -> io::Result<FileFacts> {
    Ok(way::facts(file.as_fd())?)
}

pub(super) fn path_facts(path: &Path) -> io::Result<FileFacts> {
    let place = way::open_path(path.as_os_str().as_bytes(), way::PLACE)?;
    Ok(way::facts(place.as_fd())?)
}

pub(super) fn link_facts(path: &Path) -> io::Result<FileFacts> {
    let flags = way::PLACE.union(OFlags::NOFOLLOW);
    let place = way::open_path(path.as_os_str().as_bytes(), flags)?;
    Ok(way::facts(place.as_fd())?)
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
