//! Physical disks.

use std::ffi::c_void;
use std::io;
use std::mem::{offset_of, size_of};

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_SHARE_READ, FILE_SHARE_WRITE, GetDiskFreeSpaceExW, GetDriveTypeW, GetLogicalDrives, OPEN_EXISTING,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::{
    DISK_PERFORMANCE, IOCTL_DISK_PERFORMANCE, IOCTL_STORAGE_GET_DEVICE_NUMBER, STORAGE_DEVICE_NUMBER,
};

use super::handle::Owned;
use super::{bytes_of, room, wide};
use crate::windows::disks::{DiskAnswer, PERFORMANCE, Volume};

// The parser reads by offsets.
const _: () = {
    assert!(size_of::<DISK_PERFORMANCE>() == PERFORMANCE);
    assert!(offset_of!(DISK_PERFORMANCE, IdleTime) == 32);
    assert!(offset_of!(DISK_PERFORMANCE, ReadCount) == 40);
    assert!(offset_of!(DISK_PERFORMANCE, QueryTime) == 56);
    assert!(offset_of!(STORAGE_DEVICE_NUMBER, DeviceNumber) == 4);
};

/// Numbers of disks are tried up to here: they need not follow each other.
const MOST: u32 = 64;
/// `DRIVE_FIXED` (winbase.h).
const FIXED: u32 = 3;
/// `FILE_DEVICE_DISK` (winioctl.h).
const DISK: u32 = 7;

/// A device, opened without any right: enough for these questions, and for everybody.
fn device(name: &str) -> io::Result<Owned> {
    let name = wide(name);
    // SAFETY: the name ends in zero.
    let handle = unsafe {
        CreateFileW(
            name.as_ptr(),
            0,
            FILE_SHARE_READ | FILE_SHARE_WRITE,
            std::ptr::null(),
            OPEN_EXISTING,
            0,
            std::ptr::null_mut(),
        )
    };
    match handle == INVALID_HANDLE_VALUE {
        true => Err(io::Error::last_os_error()),
        false => Ok(Owned(handle)),
    }
}

/// The answer to a question without input.
fn asked(device: &Owned, question: u32, size: usize) -> io::Result<Vec<u8>> {
    let mut memory = room(size);
    let mut length = 0;
    // SAFETY: the device is open, the room has at least the size that is passed, and nothing is overlapped.
    let done = unsafe {
        DeviceIoControl(
            device.0,
            question,
            std::ptr::null(),
            0,
            memory.as_mut_ptr().cast::<c_void>(),
            size as u32,
            &mut length,
            std::ptr::null_mut(),
        )
    };
    match done {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(bytes_of(&memory, length as usize)),
    }
}

/// The number of the disk that each fixed drive lies on. Removable and network drives are not opened: they may not answer.
fn letters() -> Vec<(char, u32)> {
    // SAFETY: no arguments.
    let present = unsafe { GetLogicalDrives() };
    let mut found = Vec::new();
    for letter in ('A'..='Z').filter(|&letter| present & 1 << (letter as u32 - 'A' as u32) != 0) {
        let root = wide(&format!(r"{letter}:\"));
        // SAFETY: the path ends in zero.
        if unsafe { GetDriveTypeW(root.as_ptr()) } != FIXED {
            continue;
        }
        let answer = device(&format!(r"\\.\{letter}:")).and_then(|device| {
            asked(
                &device,
                IOCTL_STORAGE_GET_DEVICE_NUMBER,
                size_of::<STORAGE_DEVICE_NUMBER>(),
            )
        });
        let number = |at: usize| {
            let bytes = answer.as_ref().ok()?.get(at..)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes))
        };
        if let (Some(DISK), Some(disk)) = (number(0), number(4)) {
            found.push((letter, disk));
        }
    }
    found
}

/// The volumes with a letter on fixed disks.
pub(super) fn volumes() -> Vec<Volume> {
    let mut found = Vec::new();
    for (letter, disk) in letters() {
        let root = wide(&format!(r"{letter}:\"));
        let (mut available, mut total) = (0, 0);
        // SAFETY: the path ends in zero; places for two numbers.
        let done = unsafe { GetDiskFreeSpaceExW(root.as_ptr(), &mut available, &mut total, std::ptr::null_mut()) };
        if done != 0 {
            found.push(Volume {
                letter,
                disk,
                total,
                available,
            });
        }
    }
    found
}

/// The disks that answer.
pub(super) fn disks() -> io::Result<Vec<DiskAnswer>> {
    let letters = letters();
    let mut found = Vec::new();
    let mut refused = None;
    for number in 0..MOST {
        let answer = device(&format!(r"\\.\PhysicalDrive{number}"))
            .and_then(|disk| asked(&disk, IOCTL_DISK_PERFORMANCE, PERFORMANCE));
        match answer {
            Ok(performance) => found.push(DiskAnswer {
                number,
                letters: letters.iter().filter(|one| one.1 == number).map(|one| one.0).collect(),
                performance,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => refused = Some(error),
        }
    }
    match (found.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        _ => Ok(found),
    }
}
