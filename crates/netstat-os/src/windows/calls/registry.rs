//! The registry: keys and values below `HKEY_LOCAL_MACHINE`.

use std::io;

use windows_sys::Win32::Foundation::{ERROR_MORE_DATA, ERROR_NO_MORE_ITEMS, NO_ERROR};
use windows_sys::Win32::System::Environment::ExpandEnvironmentStringsW;
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_READ, KEY_WOW64_64KEY, RegCloseKey, RegEnumKeyExW, RegEnumValueW, RegOpenKeyExW,
};

use super::{code, wide};
use crate::windows::source::RegistryValue;

/// No key is longer (Registry Element Size Limits).
const LONGEST_KEY: usize = 256;

/// Longer names and data of values are left out: none that is asked for has them.
const LONGEST_NAME: usize = 1024;
const LONGEST_DATA: usize = 64 * 1024;

/// A key that is open for reading.
struct Key(HKEY);

impl Key {
    fn open(path: &str) -> io::Result<Key> {
        let path = wide(path);
        let mut key: HKEY = std::ptr::null_mut();
        let rights = KEY_READ | KEY_WOW64_64KEY;
        // SAFETY: the path ends in zero; a place for the key.
        match unsafe { RegOpenKeyExW(HKEY_LOCAL_MACHINE, path.as_ptr(), 0, rights, &mut key) } {
            NO_ERROR => Ok(Key(key)),
            error => Err(code(error)),
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: open, and closed once.
        unsafe { RegCloseKey(self.0) };
    }
}

pub(super) fn values(path: &str) -> io::Result<Vec<RegistryValue>> {
    let key = Key::open(path)?;
    let mut found = Vec::new();
    let mut name = vec![0u16; LONGEST_NAME];
    let mut data = vec![0u8; LONGEST_DATA];
    for number in 0.. {
        let (mut name_length, mut length, mut kind) = (name.len() as u32, data.len() as u32, 0);
        // SAFETY: the rooms have the lengths that are passed.
        let error = unsafe {
            RegEnumValueW(
                key.0,
                number,
                name.as_mut_ptr(),
                &mut name_length,
                std::ptr::null_mut(),
                &mut kind,
                data.as_mut_ptr(),
                &mut length,
            )
        };
        match error {
            NO_ERROR => found.push(RegistryValue {
                name: name[..name_length as usize].to_vec(),
                kind,
                data: data[..length as usize].to_vec(),
            }),
            ERROR_MORE_DATA => {}
            ERROR_NO_MORE_ITEMS => break,
            error => return Err(code(error)),
        }
    }
    Ok(found)
}

pub(super) fn keys(path: &str) -> io::Result<Vec<Vec<u16>>> {
    let key = Key::open(path)?;
    let mut found = Vec::new();
    for number in 0.. {
        let mut name = [0u16; LONGEST_KEY];
        let mut length = name.len() as u32;
        // SAFETY: the room has the length that is passed; no class or time is asked for.
        let error = unsafe {
            RegEnumKeyExW(
                key.0,
                number,
                name.as_mut_ptr(),
                &mut length,
                std::ptr::null(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        match error {
            NO_ERROR => found.push(name[..length as usize].to_vec()),
            ERROR_NO_MORE_ITEMS => break,
            error => return Err(code(error)),
        }
    }
    Ok(found)
}

/// `text` with the variables in it replaced; as it is where that fails.
pub(super) fn expand(text: &[u16]) -> Vec<u16> {
    let with_zero: Vec<u16> = text.iter().copied().chain([0]).collect();
    // ExpandEnvironmentStringsW takes and gives at most 32 K units.
    let mut room = vec![0u16; 32 * 1024];
    // SAFETY: the text ends in zero; the room has the length that is passed.
    let length =
        unsafe { ExpandEnvironmentStringsW(with_zero.as_ptr(), room.as_mut_ptr(), room.len() as u32) } as usize;
    match length {
        // With the zero.
        1.. if length <= room.len() => room[..length - 1].to_vec(),
        _ => text.to_vec(),
    }
}
