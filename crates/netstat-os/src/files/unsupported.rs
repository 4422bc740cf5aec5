//! Files on a system without code of its own yet: what the standard library cannot do is not supported.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use netstat_model::process::FileFacts;

use super::Opened;

/// There are no open directories, so what is done with one never happens.
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

pub(super) fn data_ranges(file: &File, _: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
    Ok(Some(vec![(0, file.metadata()?.len())]))
}

pub(super) fn facts(_: &Metadata) -> io::Result<FileFacts> {
    unsupported()
}

pub(super) fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

pub(super) fn own_user() -> Option<u32> {
    None
}

pub(super) fn is_ended_process(_: &io::Error) -> bool {
    false
}
