//! Calls that change the state of the system.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, HWND, LPARAM, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{MIB_TCPROW_LH, SetTcpEntry};
use windows_sys::Win32::System::Threading::{
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SUSPEND_RESUME, PROCESS_TERMINATE, TerminateProcess,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{EnumWindows, GetWindowThreadProcessId, PostMessageW, WM_CLOSE};

use super::code;
use super::handle::{self, Owned};
use super::lookup::{OfProcess, found};

/// Opens process `pid` if it started at `created`, and not a later one with the same id.
fn exactly(pid: u32, created: u64, rights: u32) -> io::Result<Owned> {
    let process = handle::process(pid, rights | PROCESS_QUERY_LIMITED_INFORMATION)?;
    // While the handle is open, the id is not reused.
    if handle::created(&process)? != created {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "it has ended, and another process has its id",
        ));
    }
    Ok(process)
}

/// The windows of a process that are asked to close.
struct Windows {
    pid: u32,
    asked: usize,
}

unsafe extern "system" fn ask_to_close(window: HWND, wanted: LPARAM) -> i32 {
    // SAFETY: `wanted` is the pointer that `end` passes, which is valid during the enumeration.
    unsafe {
        let wanted = &mut *(wanted as *mut Windows);
        let mut pid = 0;
        GetWindowThreadProcessId(window, &mut pid);
        if pid == wanted.pid && PostMessageW(window, WM_CLOSE, 0, 0) != 0 {
            wanted.asked += 1;
        }
    }
    1
}

pub(super) fn end(pid: u32, created: u64, at_once: bool) -> io::Result<()> {
    if at_once {
        let process = exactly(pid, created, PROCESS_TERMINATE)?;
        // SAFETY: the handle is open and has the right to terminate the process.
        return match unsafe { TerminateProcess(process.0, 1) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        };
    }
    let _process = exactly(pid, created, 0)?;
    let mut windows = Windows { pid, asked: 0 };
    // SAFETY: the callback expects a pointer of exactly this type.
    unsafe { EnumWindows(Some(ask_to_close), std::ptr::from_mut(&mut windows) as LPARAM) };
    match windows.asked {
        0 => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it has no window that could be asked to close; it can only be ended at once",
        )),
        _ => Ok(()),
    }
}

pub(super) fn suspend(pid: u32, created: u64, stop: bool) -> io::Result<()> {
    let function = match stop {
        true => found!("ntdll.dll", c"NtSuspendProcess", OfProcess),
        false => found!("ntdll.dll", c"NtResumeProcess", OfProcess),
    };
    let Some(function) = function else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let process = exactly(pid, created, PROCESS_SUSPEND_RESUME)?;
    // SAFETY: the handle is open and has the right to suspend the process.
    match unsafe { function(process.0) } {
        0 => Ok(()),
        number => Err(io::Error::other(format!("status {number:#010x}"))),
    }
}

pub(super) fn close_connection(row: &[u8; 20]) -> io::Result<()> {
    // SAFETY: the structure consists of five 32-bit integers in this order.
    let error = unsafe { SetTcpEntry(&row.as_ptr().cast::<MIB_TCPROW_LH>().read_unaligned()) };
    match error {
        NO_ERROR => Ok(()),
        // Windows returns 317 (ERROR_MR_MID_NOT_FOUND) to callers that are not elevated, and ERROR_INVALID_PARAMETER if
        // there is no such connection.
        317 => Err(io::ErrorKind::PermissionDenied.into()),
        ERROR_INVALID_PARAMETER => Err(io::ErrorKind::NotFound.into()),
        error => Err(code(error)),
    }
}

pub(super) fn bind_alone(udp: bool, v6: bool, port: u16) -> io::Result<()> {
    let address = match v6 {
        true => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        false => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    };
    // On Windows, the standard library does not set SO_REUSEADDR, which would allow a second socket to bind.
    match udp {
        true => UdpSocket::bind(address).map(drop),
        false => TcpListener::bind(address).map(drop),
    }
}
