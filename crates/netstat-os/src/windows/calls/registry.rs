//! The registry: keys and values below `HKEY_LOCAL_MACHINE`.

use std::io;

use windows_sys::Win32::Foundation::{ERROR_MORE_DATA, ERROR_NO_MORE_ITEMS, NO_ERROR};
use windows_sys::Win32::System::Environment::ExpandEnvironmentStringsW;
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_READ, KEY_WOW64_64KEY, KEY_WRITE, REG_DWORD, REG_EXPAND_SZ, REG_OPTION_NON_VOLATILE,
    RegCloseKey, RegCreateKeyExW, RegDeleteKeyExW, RegEnumKeyExW, RegEnumValueW, RegOpenKeyExW, RegSetValueExW,
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

/// Makes a key with these texts, whose variables are replaced by whoever reads them, and these numbers.
pub(super) fn set(path: &str, texts: &[(&str, &str)], numbers: &[(&str, u32)]) -> io::Result<()> {
    let path = wide(path);
    let mut key: HKEY = std::ptr::null_mut();
    // SAFETY: the path ends in zero; a place for the key.
    let error = unsafe {
        RegCreateKeyExW(
            HKEY_LOCAL_MACHINE,
            path.as_ptr(),
            0,
            std::ptr::null(),
            REG_OPTION_NON_VOLATILE,
            KEY_WRITE | KEY_WOW64_64KEY,
            std::ptr::null(),
            &mut key,
            std::ptr::null_mut(),
        )
    };
    if error != NO_ERROR {
        return Err(code(error));
    }
    let key = Key(key);
    let texts = texts.iter().map(|(name, text)| {
        let data: Vec<u8> = wide(text).iter().flat_map(|unit| unit.to_le_bytes()).collect();
        (name, REG_EXPAND_SZ, data)
    });
    let numbers = numbers
        .iter()
        .map(|(name, number)| (name, REG_DWORD, number.to_le_bytes().to_vec()));
    for (name, kind, data) in texts.chain(numbers) {
        let name = wide(name);
        // SAFETY: the name ends in zero; the data has the length that is passed.
        let error = unsafe { RegSetValueExW(key.0, name.as_ptr(), 0, kind, data.as_ptr(), data.len() as u32) };
        if error != NO_ERROR {
            return Err(code(error));
        }
    }
    Ok(())
}

/// Removes a key that has none below it.
pub(super) fn remove(path: &str) -> io::Result<()> {
    let path = wide(path);
    // SAFETY: the path ends in zero.
    match unsafe { RegDeleteKeyExW(HKEY_LOCAL_MACHINE, path.as_ptr(), KEY_WOW64_64KEY, 0) } {
        NO_ERROR => Ok(()),
        error => Err(code(error)),
    }
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
