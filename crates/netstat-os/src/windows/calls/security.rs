//! Who may change a file, and directories that others may not change.

use std::io;
use std::mem::size_of;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;

use netstat_model::Why;
use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, ERROR_INSUFFICIENT_BUFFER, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetFileSecurityW, OWNER_SECURITY_INFORMATION, SECURITY_ATTRIBUTES,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;

use super::handle::why;
use super::{bytes_of, process, room, wide};
use crate::windows::security;

/// The owner and the access list of the file at `path`.
pub(super) fn of_file(path: &[u16]) -> Result<Vec<u8>, Why> {
    let path: Vec<u16> = path.iter().copied().chain([0]).collect();
    let wanted = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    let mut memory = room(4096);
    loop {
        let mut needed = 0;
        let size = (memory.len() * 8) as u32;
        // SAFETY: the path ends in zero; the room has the size that is passed.
        let done = unsafe { GetFileSecurityW(path.as_ptr(), wanted, memory.as_mut_ptr().cast(), size, &mut needed) };
        if done != 0 {
            return Ok(bytes_of(&memory, needed as usize));
        }
        let error = io::Error::last_os_error();
        // An access list has at most 64 KB.
        let grows = needed > size && needed <= 128 * 1024;
        if error.raw_os_error() != Some(ERROR_INSUFFICIENT_BUFFER.cast_signed()) || !grows {
            return Err(why(&error));
        }
        memory = room(needed as usize);
    }
}

/// Makes a directory that only the system, administrators and the caller may enter, and those above it that are missing.
///
/// # Errors
/// See [`crate::files::create_private_directory`].
pub(crate) fn create_private_directory(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent()
        && !parent.as_os_str().is_empty()
    {
        std::fs::create_dir_all(parent)?;
    }
    let own = process::token(std::process::id()).map_err(|why| io::Error::other(why.words()))?;
    // Protected from what the directory above would hand down; full rights, handed down to what is made within.
    let list = wide(&format!("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{})", own.sid));
    let mut descriptor = std::ptr::null_mut();
    // SAFETY: the text ends in zero; a place for the descriptor, which is freed below.
    let done = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            list.as_ptr(),
            SDDL_REVISION_1,
            &mut descriptor,
            std::ptr::null_mut(),
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let attributes = SECURITY_ATTRIBUTES {
        nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: descriptor,
        bInheritHandle: 0,
    };
    let name: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    // SAFETY: the name ends in zero; the descriptor is valid until it is freed, once.
    let made = unsafe { CreateDirectoryW(name.as_ptr(), &attributes) != 0 };
    let error = io::Error::last_os_error();
    // SAFETY: as above.
    unsafe { LocalFree(descriptor) };
    match made {
        true => Ok(()),
        false if error.raw_os_error() == Some(ERROR_ALREADY_EXISTS.cast_signed()) && path.is_dir() => {
            check_shared(path, own.elevated)
        }
        false => Err(error),
    }
}

/// Refuses a directory below `%ProgramData%` that others than administrators may change, when the caller is one: whoever made it there could put
/// files in it that the caller then uses.
fn check_shared(path: &Path, elevated: bool) -> io::Result<()> {
    let shared = std::env::var_os("ProgramData").is_some_and(|shared| path.starts_with(shared));
    if !elevated || !shared {
        return Ok(());
    }
    let name: Vec<u16> = path.as_os_str().encode_wide().collect();
    let descriptor = of_file(&name).map_err(|why| io::Error::other(why.words()))?;
    match security::access(&descriptor, true) {
        Ok(access) if is_own(&access) => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others than administrators may change this directory",
        )),
    }
}

/// Whether only administrators and the caller may change it.
fn is_own(access: &netstat_model::process::FileAccess) -> bool {
    let own = process::token(std::process::id())
        .map(|token| token.sid)
        .unwrap_or_default();
    let is_expected = |sid: &String| *sid == own || netstat_model::process::is_administrative(sid);
    !access.open && is_expected(&access.owner) && access.writers.iter().all(is_expected)
}
