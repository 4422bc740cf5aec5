//! Who may use a file; files and directories that nobody else may use.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::FromRawHandle;
use std::path::Path;

use netstat_model::Why;
use windows_sys::Win32::Foundation::{
    ERROR_ALREADY_EXISTS, ERROR_INSUFFICIENT_BUFFER, GENERIC_WRITE, INVALID_HANDLE_VALUE, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetFileSecurityW, OWNER_SECURITY_INFORMATION, SECURITY_ATTRIBUTES,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateDirectoryW, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE,
};

use super::handle::why;
use super::{bytes_of, lookup, process, room, wide};
use crate::files::OtherUsers;
use crate::windows::security;
use crate::windows::source::TokenFacts;

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

/// A security descriptor that the system made from a text; freed when this is dropped.
struct Descriptor(*mut c_void);

impl Descriptor {
    fn of(list: &str) -> io::Result<Descriptor> {
        let list = wide(list);
        let mut descriptor = std::ptr::null_mut();
        // SAFETY: the text ends in zero; a place for the descriptor.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                list.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                std::ptr::null_mut(),
            )
        };
        match done {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(Descriptor(descriptor)),
        }
    }

    fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it came from the call that says so, and nobody else frees it.
        unsafe { LocalFree(self.0) };
    }
}

/// The rights of this process.
fn own_token() -> io::Result<TokenFacts> {
    process::token(std::process::id()).map_err(|why| io::Error::other(why.words()))
}

fn with_zero(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Whether the path is where all administrators, and services, keep what they share.
fn is_shared(path: &Path, own: &TokenFacts) -> bool {
    // A canonical path may have a prefix.
    let plain = |path: &Path| path.to_string_lossy().trim_start_matches(r"\\?\").to_lowercase();
    let below = |shared: std::path::PathBuf| Path::new(&plain(path)).starts_with(plain(&shared));
    own.elevated && lookup::shared_directory().is_some_and(below)
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
    let own = own_token()?;
    let descriptor = Descriptor::of(&security::private_list(&own.sid, is_shared(path, &own), true))?;
    let name = with_zero(path);
    // SAFETY: the name ends in zero; the descriptor lives until the end of this function.
    if unsafe { CreateDirectoryW(name.as_ptr(), &descriptor.attributes()) } != 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(ERROR_ALREADY_EXISTS.cast_signed()) || !path.is_dir() {
        return Err(error);
    }
    // Whoever made it below a directory in which everybody may make some could put files in it that an administrator then uses.
    match is_shared(path, &own).then(|| others(path, true)).transpose()? {
        Some(OtherUsers { change: Some(why), .. }) => Err(io::Error::new(io::ErrorKind::PermissionDenied, why)),
        _ => Ok(()),
    }
}

/// Makes a file that only the system, administrators and the caller may read or write.
///
/// # Errors
/// See [`crate::create_private`].
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    let own = own_token()?;
    let descriptor = Descriptor::of(&security::private_list(&own.sid, is_shared(path, &own), false))?;
    let name = with_zero(path);
    let share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    // SAFETY: the name ends in zero; the descriptor lives until the end of this function.
    let file = unsafe {
        CreateFileW(
            name.as_ptr(),
            GENERIC_WRITE,
            share,
            &descriptor.attributes(),
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            std::ptr::null_mut(),
        )
    };
    if file == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody else has it.
    Ok(unsafe { File::from_raw_handle(file.cast()) })
}

/// What others than this user, the system and administrators may do with the file at `path`.
///
/// # Errors
/// The system's.
pub(crate) fn others(path: &Path, directory: bool) -> io::Result<OtherUsers> {
    judge(path, &own_token()?.sid, directory)
}

/// The same of others than the system and administrators.
///
/// # Errors
/// The system's.
pub(crate) fn others_than_administrators(path: &Path, directory: bool) -> io::Result<OtherUsers> {
    // Wine has one user, to whom everything belongs, and who always has the rights of an administrator.
    let administrator = match lookup::is_wine() {
        true => own_token()?.sid,
        false => String::new(),
    };
    judge(path, &administrator, directory)
}

fn judge(path: &Path, own: &str, directory: bool) -> io::Result<OtherUsers> {
    let name: Vec<u16> = path.as_os_str().encode_wide().collect();
    let descriptor = of_file(&name).map_err(|why| io::Error::other(format!("its access list: {}", why.words())))?;
    security::others(&descriptor, own, directory)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its access list cannot be read"))
}
