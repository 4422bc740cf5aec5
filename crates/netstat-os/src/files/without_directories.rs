//! File access on systems where a directory cannot be opened as a handle. What the standard library cannot do is not
//! supported.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;

use netstat_model::process::FileFacts;
#[cfg(windows)]
use netstat_model::process::FileTime;

use super::Opened;

/// The type of a directory handle. It has no values, because directories cannot be opened here.
pub(super) type Handle = Infallible;

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, crate::NOT_SUPPORTED))
}

pub(super) fn open_directory(_: &Path, _: bool) -> io::Result<Handle> {
    unsupported()
}

pub(super) fn directory_in(directory: &Handle, _: &[u8]) -> io::Result<Opened<Handle>> {
    match *directory {}
}

pub(super) fn file_in(directory: &Handle, _: &[u8]) -> io::Result<Opened<File>> {
    match *directory {}
}

pub(super) fn again(directory: &Handle) -> io::Result<Handle> {
    match *directory {}
}

pub(super) fn as_file(directory: &Handle) -> io::Result<File> {
    match *directory {}
}

pub(super) fn link_target(directory: &Handle, _: &[u8]) -> io::Result<Vec<u8>> {
    match *directory {}
}

pub(super) fn names(directory: &Handle) -> io::Result<Vec<Vec<u8>>> {
    match *directory {}
}

pub(super) fn create_private_in(directory: &Handle, _: &str) -> io::Result<File> {
    match *directory {}
}

pub(super) fn rename(directory: &Handle, _: &str, _: &str) -> io::Result<()> {
    match *directory {}
}

pub(super) fn remove(directory: &Handle, _: &str) -> io::Result<()> {
    match *directory {}
}

pub(super) fn is_unnamed_pipe(_: &File) -> bool {
    false
}

pub(super) fn wait_again(_: &File) -> io::Result<()> {
    Ok(())
}

pub(super) fn open_foreign(path: &Path) -> io::Result<File> {
    File::open(path)
}

pub(super) fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(not(windows))]
pub(super) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    unsupported()
}

#[cfg(windows)]
pub(super) fn facts_of(file: &File) -> io::Result<FileFacts> {
    use std::os::windows::fs::MetadataExt;
    let metadata = file.metadata()?;
    let (device, inode, links) = crate::windows::file_identity(file)?;
    // FILETIME counts from 1601, which is 11,644,473,600 seconds before the epoch of FileTime.
    let time = |filetime: u64| FileTime {
        seconds: (filetime / 10_000_000).cast_signed() - 11_644_473_600,
        nanoseconds: (filetime % 10_000_000) as u32 * 100,
    };
    Ok(FileFacts {
        device,
        inode,
        links,
        size: metadata.len(),
        // Only S_IFDIR or S_IFREG: Windows has no permission bits but access control lists.
        mode: if metadata.is_dir() { 0o040_000 } else { 0o100_000 },
        user: 0,
        group: 0,
        modified: time(metadata.last_write_time()),
        // The creation time, because the time of the last status change is not available through the calls used here.
        changed: time(metadata.creation_time().max(metadata.last_write_time())),
    })
}

#[cfg(not(windows))]
pub(super) fn facts_of(_: &File) -> io::Result<FileFacts> {
    unsupported()
}

pub(super) fn data_ranges(file: &File, _: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
    Ok(Some(vec![(0, file.metadata()?.len())]))
}

pub(super) fn path_facts(path: &Path) -> io::Result<FileFacts> {
    facts_of(&open_for_facts(path, true)?)
}

pub(super) fn link_facts(path: &Path) -> io::Result<FileFacts> {
    facts_of(&open_for_facts(path, false)?)
}

#[cfg(windows)]
fn open_for_facts(path: &Path, follow: bool) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    /// `FILE_READ_ATTRIBUTES`; `FILE_FLAG_BACKUP_SEMANTICS`, which opens directories; `FILE_FLAG_OPEN_REPARSE_POINT`.
    const READ_ATTRIBUTES: u32 = 0x80;
    const BACKUP_SEMANTICS: u32 = 0x0200_0000;
    const OPEN_LINK: u32 = 0x0020_0000;
    let flags = if follow {
        BACKUP_SEMANTICS
    } else {
        BACKUP_SEMANTICS | OPEN_LINK
    };
    File::options()
        .access_mode(READ_ATTRIBUTES)
        .custom_flags(flags)
        .open(path)
}

#[cfg(not(windows))]
fn open_for_facts(path: &Path, _: bool) -> io::Result<File> {
    File::open(path)
}

#[cfg(windows)]
pub(super) fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::windows::ffi::OsStringExt::from_wide(&crate::windows::parse::to_units(&bytes))
}

#[cfg(not(windows))]
pub(super) fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

pub(super) fn own_user() -> Option<u32> {
    None
}

pub(super) fn is_ended_process(_: &io::Error) -> bool {
    false
}
