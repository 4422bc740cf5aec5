//! Calls that read the socket tables.

use std::ffi::c_void;
use std::io;
use std::mem::{offset_of, size_of};

use netstat_model::Family;
use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, GetExtendedUdpTable, MIB_TCP6ROW_OWNER_MODULE, MIB_TCPROW_OWNER_MODULE,
    MIB_UDP6ROW_OWNER_MODULE, MIB_UDPROW_OWNER_MODULE, TCP_TABLE_OWNER_MODULE_ALL, UDP_TABLE_OWNER_MODULE,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};
use windows_sys::Win32::System::Memory::{GetProcessHeap, HeapFree, HeapSize};

use super::lookup::found;
use super::{bytes_of, code, room};
use crate::windows::connections;
use crate::windows::source::Offer;

// The parser depends on these sizes and offsets.
const _: () = {
    assert!(size_of::<MIB_TCPROW_OWNER_MODULE>() == connections::TCP4_ROW);
    assert!(size_of::<MIB_TCP6ROW_OWNER_MODULE>() == connections::TCP6_ROW);
    assert!(size_of::<MIB_UDPROW_OWNER_MODULE>() == connections::UDP4_ROW);
    assert!(size_of::<MIB_UDP6ROW_OWNER_MODULE>() == connections::UDP6_ROW);
    assert!(offset_of!(MIB_TCPROW_OWNER_MODULE, dwOwningPid) == 20);
    assert!(offset_of!(MIB_TCPROW_OWNER_MODULE, liCreateTimestamp) == 24);
    assert!(offset_of!(MIB_TCP6ROW_OWNER_MODULE, dwState) == 48);
    assert!(offset_of!(MIB_TCP6ROW_OWNER_MODULE, OwningModuleInfo) == 64);
    assert!(offset_of!(MIB_UDPROW_OWNER_MODULE, liCreateTimestamp) == 16);
    assert!(offset_of!(MIB_UDP6ROW_OWNER_MODULE, dwOwningPid) == 24);
    assert!(offset_of!(MIB_UDP6ROW_OWNER_MODULE, OwningModuleInfo) == 48);
};

/// The initial buffer size in bytes: enough for about 350 rows, so that one call usually suffices.
const FIRST_SIZE: usize = 64 * 1024;
/// The maximum number of attempts. The table may grow between the error about the size and the next call.
const TRIES: usize = 8;

fn number(family: Family) -> u32 {
    u32::from(if family == Family::V6 { AF_INET6 } else { AF_INET })
}

/// Repeats a call with a larger buffer until the result fits. `call` receives the buffer and its size in bytes, which
/// it replaces by the required size.
pub(super) fn grown(call: impl Fn(*mut c_void, &mut u32) -> u32) -> io::Result<Vec<u8>> {
    let mut memory = room(FIRST_SIZE);
    for _ in 0..TRIES {
        let mut size = (memory.len() * 8) as u32;
        match call(memory.as_mut_ptr().cast(), &mut size) {
            NO_ERROR => {
                let length = memory.len() * 8;
                return Ok(bytes_of(&memory, length));
            }
            ERROR_INSUFFICIENT_BUFFER => memory = room(size as usize + size as usize / 4 + 4096),
            error => return Err(code(error)),
        }
    }
    Err(io::Error::other("the table grew faster than it could be read"))
}

pub(super) fn tcp(family: Family) -> io::Result<Vec<u8>> {
    // SAFETY: the buffer has the given size.
    grown(|room, size| unsafe { GetExtendedTcpTable(room, size, 0, number(family), TCP_TABLE_OWNER_MODULE_ALL, 0) })
}

pub(super) fn udp(family: Family) -> io::Result<Vec<u8>> {
    // SAFETY: the buffer has the given size.
    grown(|room, size| unsafe { GetExtendedUdpTable(room, size, 0, number(family), UDP_TABLE_OWNER_MODULE, 0) })
}

/// `InternalGet...(PVOID *table, HANDLE heap, DWORD flags)`: the result is allocated on the given heap.
type InternalTable = unsafe extern "system" fn(*mut *mut c_void, *mut c_void, u32) -> u32;

fn internal(function: Option<InternalTable>) -> io::Result<Offer<Vec<u8>>> {
    let Some(function) = function else {
        return Ok(Offer::Lacks);
    };
    let mut table: *mut c_void = std::ptr::null_mut();
    // SAFETY: the heap belongs to this process; the table is allocated on it, measured, copied, and freed.
    unsafe {
        let heap = GetProcessHeap();
        let error = function(&mut table, heap, 0);
        if error != NO_ERROR {
            return Err(code(error));
        }
        if table.is_null() {
            return Ok(Offer::Has(0u32.to_le_bytes().to_vec()));
        }
        let size = HeapSize(heap, 0, table);
        let bytes = match size {
            usize::MAX => Vec::new(),
            size => std::slice::from_raw_parts(table.cast::<u8>(), size).to_vec(),
        };
        HeapFree(heap, 0, table);
        Ok(Offer::Has(bytes))
    }
}

pub(super) fn bound(family: Family) -> io::Result<Offer<Vec<u8>>> {
    internal(match family {
        Family::V6 => found!("iphlpapi.dll", c"InternalGetBoundTcp6EndpointTable", InternalTable),
        _ => found!("iphlpapi.dll", c"InternalGetBoundTcpEndpointTable", InternalTable),
    })
}

pub(super) fn udp_peers(family: Family) -> io::Result<Offer<Vec<u8>>> {
    internal(match family {
        Family::V6 => found!("iphlpapi.dll", c"InternalGetUdp6Table2", InternalTable),
        _ => found!("iphlpapi.dll", c"InternalGetUdpTable2", InternalTable),
    })
}
