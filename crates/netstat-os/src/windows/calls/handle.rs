//! Handles that are closed on drop.

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
        // SAFETY: the handle is open, and nothing else closes it.
        unsafe { CloseHandle(self.0) };
    }
}

/// Opens process `pid` with these access rights.
pub(super) fn process(pid: u32, rights: u32) -> io::Result<Owned> {
    // SAFETY: there are no pointer arguments.
    let handle = unsafe { OpenProcess(rights, 0, pid) };
    if handle.is_null() {
        let error = io::Error::last_os_error();
        // Windows returns this error for an id that no process has.
        if error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such process"));
        }
        return Err(error);
    }
    Ok(Owned(handle))
}

/// Returns when the process started, as a FILETIME.
pub(super) fn created(process: &Owned) -> io::Result<u64> {
    let mut times = [FILETIME::default(); 4];
    let [start, end, kernel, user] = &mut times;
    // SAFETY: the four pointers refer to four times.
    if unsafe { GetProcessTimes(process.0, start, end, kernel, user) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(start.dwHighDateTime) << 32 | u64::from(start.dwLowDateTime))
}

/// Converts an error to the reason that facts contain.
pub(super) fn why(error: &io::Error) -> Why {
    crate::files::why(error)
}

/// Returns what identifies a file: the serial number of its volume, its index there, and its number of links.
///
/// # Errors
/// Returns the error of the system.
pub(crate) fn file_identity(file: &File) -> io::Result<(u64, u64, u64)> {
    let mut facts = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the file is open; the pointer refers to a structure of the expected type.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle().cast(), &mut facts) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let number = u64::from(facts.nFileIndexHigh) << 32 | u64::from(facts.nFileIndexLow);
    Ok((facts.dwVolumeSerialNumber.into(), number, facts.nNumberOfLinks.into()))
}

/// Acquires an exclusive lock that is held until the handle is closed; returns `false` if another handle holds it. The
/// locked range lies far beyond the end of any file, because Windows does not let others read a locked range.
///
/// # Errors
/// Returns the error of the system.
pub(crate) fn lock_exclusively(file: &File) -> io::Result<bool> {
    let mut place = OVERLAPPED::default();
    place.Anonymous.Anonymous.Offset = 0;
    place.Anonymous.Anonymous.OffsetHigh = 0x4000_0000;
    let flags = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    // SAFETY: the file is open; the call returns immediately, so the structure outlives it.
    if unsafe { LockFileEx(file.as_raw_handle().cast(), flags, 0, 1, 0, &mut place) } != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(code) if code == ERROR_LOCK_VIOLATION.cast_signed() => Ok(false),
        _ => Err(error),
    }
}
