//! Handles that are closed in any case.

use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle;

use netstat_model::Why;
use windows_sys::Win32::Foundation::{CloseHandle, ERROR_INVALID_PARAMETER, ERROR_LOCK_VIOLATION, FILETIME, HANDLE};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, GetFileInformationByHandle, LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY,
    LockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::{GetProcessTimes, OpenProcess};

/// An open handle.
#[derive(Debug)]
pub(super) struct Owned(pub(super) HANDLE);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody else closes it.
        unsafe { CloseHandle(self.0) };
    }
}

/// Process `pid` with these rights.
pub(super) fn process(pid: u32, rights: u32) -> io::Result<Owned> {
    // SAFETY: no pointers.
    let handle = unsafe { OpenProcess(rights, 0, pid) };
    if handle.is_null() {
        let error = io::Error::last_os_error();
        // "The parameter is incorrect" is what Windows says of an id that nothing has.
        if error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such process"));
        }
        return Err(error);
    }
    Ok(Owned(handle))
}

/// When the process started, as a FILETIME.
pub(super) fn created(process: &Owned) -> io::Result<u64> {
    let mut times = [FILETIME::default(); 4];
    let [start, end, kernel, user] = &mut times;
    // SAFETY: four places for four times.
    if unsafe { GetProcessTimes(process.0, start, end, kernel, user) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(start.dwHighDateTime) << 32 | u64::from(start.dwLowDateTime))
}

/// The reason, as facts have it.
pub(super) fn why(error: &io::Error) -> Why {
    crate::files::why(error)
}

/// What names a file on its volume: the volume's serial number, the file's number there, and how many names it has.
///
/// # Errors
/// The system's.
pub(crate) fn file_identity(file: &File) -> io::Result<(u64, u64, u64)> {
    let mut facts = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the file is open; the place has the size of the structure.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle().cast(), &mut facts) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let number = u64::from(facts.nFileIndexHigh) << 32 | u64::from(facts.nFileIndexLow);
    Ok((facts.dwVolumeSerialNumber.into(), number, facts.nNumberOfLinks.into()))
}

/// Takes a lock that one handle alone can have, until it is closed; `false` when another has it. It lies far behind the end of any file, as
/// Windows lets nobody else read what is locked.
///
/// # Errors
/// The system's.
pub(crate) fn lock_exclusively(file: &File) -> io::Result<bool> {
    let mut place = OVERLAPPED::default();
    place.Anonymous.Anonymous.Offset = 0;
    place.Anonymous.Anonymous.OffsetHigh = 0x4000_0000;
    let flags = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    // SAFETY: the file is open; the call returns at once, so that the place outlives it.
    if unsafe { LockFileEx(file.as_raw_handle().cast(), flags, 0, 1, 0, &mut place) } != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(code) if code == ERROR_LOCK_VIOLATION.cast_signed() => Ok(false),
        _ => Err(error),
    }
}
