//! Counting the bytes of a connection.

use std::mem::{offset_of, size_of};

use netstat_model::Why;
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_NOT_FOUND, ERROR_NOT_SUPPORTED, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    MIB_TCP6ROW, MIB_TCPROW_LH, TCP_ESTATS_DATA_ROD_v0, TCP_ESTATS_DATA_RW_v0, TcpConnectionEstatsData,
};

use super::lookup::found;
use super::{bytes_of, room};
use crate::windows::estats::{DATA, ROW4, ROW6};

// The row is written, and the answer read, by offsets.
const _: () = {
    assert!(size_of::<MIB_TCPROW_LH>() == ROW4);
    assert!(size_of::<MIB_TCP6ROW>() == ROW6);
    assert!(offset_of!(MIB_TCP6ROW, dwLocalScopeId) == 20 && offset_of!(MIB_TCP6ROW, RemoteAddr) == 28);
    assert!(size_of::<TCP_ESTATS_DATA_ROD_v0>() == DATA);
    assert!(offset_of!(TCP_ESTATS_DATA_ROD_v0, ThruBytesAcked) == 72);
    assert!(offset_of!(TCP_ESTATS_DATA_ROD_v0, ThruBytesReceived) == 88);
    assert!(size_of::<TCP_ESTATS_DATA_RW_v0>() == 1);
};

/// `SetPerTcpConnectionEStats`: row, type, RW, its version, its size, offset.
type Set = unsafe extern "system" fn(*const u8, i32, *const u8, u32, u32, u32) -> u32;
/// `GetPerTcpConnectionEStats`: row, type, then RW, ROS and ROD, each with version and size.
type Get = unsafe extern "system" fn(*const u8, i32, *mut u8, u32, u32, *mut u8, u32, u32, *mut u8, u32, u32) -> u32;

/// Both functions of a family: Wine has the one that sets alone.
fn functions(v6: bool) -> Result<(Set, Get), Why> {
    let (set, get) = match v6 {
        true => (
            found!("iphlpapi.dll", c"SetPerTcp6ConnectionEStats", Set),
            found!("iphlpapi.dll", c"GetPerTcp6ConnectionEStats", Get),
        ),
        false => (
            found!("iphlpapi.dll", c"SetPerTcpConnectionEStats", Set),
            found!("iphlpapi.dll", c"GetPerTcpConnectionEStats", Get),
        ),
    };
    set.zip(get).ok_or(Why::NotSupported)
}

fn reason(error: u32) -> Why {
    match error {
        ERROR_ACCESS_DENIED => Why::NotPermitted,
        ERROR_NOT_FOUND => Why::Gone,
        ERROR_NOT_SUPPORTED => Why::NotSupported,
        _ => Why::Failed,
    }
}

/// The row, aligned as the structure.
fn aligned(row: &[u8], v6: bool) -> Result<Vec<u64>, Why> {
    if row.len() != if v6 { ROW6 } else { ROW4 } {
        return Err(Why::Failed);
    }
    let mut memory = room(row.len());
    for (word, bytes) in memory.iter_mut().zip(row.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(whole);
    }
    Ok(memory)
}

pub(super) fn enable(v6: bool, row: &[u8]) -> Result<(), Why> {
    let (set, _) = functions(v6)?;
    let row = aligned(row, v6)?;
    // TCP_ESTATS_DATA_RW_v0: EnableCollection.
    let on = 1u8;
    // SAFETY: the row is that of the family; the switch is one byte of version 0.
    match unsafe { set(row.as_ptr().cast(), TcpConnectionEstatsData, &on, 0, 1, 0) } {
        NO_ERROR => Ok(()),
        error => Err(reason(error)),
    }
}

/// Whether the bytes are counted, and `TCP_ESTATS_DATA_ROD_v0`.
pub(super) fn read(v6: bool, row: &[u8]) -> Result<(bool, Vec<u8>), Why> {
    let (_, get) = functions(v6)?;
    let row = aligned(row, v6)?;
    let mut on = 0u8;
    let mut data = room(DATA);
    // SAFETY: the row is that of the family; the places have the sizes that are passed.
    let error = unsafe {
        get(
            row.as_ptr().cast(),
            TcpConnectionEstatsData,
            &mut on,
            0,
            1,
            std::ptr::null_mut(),
            0,
            0,
            data.as_mut_ptr().cast(),
            0,
            DATA as u32,
        )
    };
    match error {
        NO_ERROR => Ok((on != 0, bytes_of(&data, DATA))),
        error => Err(reason(error)),
    }
}
