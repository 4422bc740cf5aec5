//! Who may change a file.

use std::io;

use netstat_model::Why;
use windows_sys::Win32::Foundation::ERROR_INSUFFICIENT_BUFFER;
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, GetFileSecurityW, OWNER_SECURITY_INFORMATION};

use super::handle::why;
use super::{bytes_of, room};

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
