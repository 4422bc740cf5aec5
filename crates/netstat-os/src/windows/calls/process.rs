//! Processes, services and the computer's figures.

use std::ffi::c_void;
use std::io;
use std::mem::size_of;

use netstat_model::Why;
use windows_sys::Win32::Foundation::{ERROR_MORE_DATA, HLOCAL, LocalFree, NO_ERROR, UNICODE_STRING};
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::{
    GetSidSubAuthority, GetSidSubAuthorityCount, GetTokenInformation, LookupAccountSidW, TOKEN_ELEVATION,
    TOKEN_INFORMATION_CLASS, TOKEN_MANDATORY_LABEL, TOKEN_QUERY, TOKEN_USER, TokenElevation, TokenIntegrityLevel,
    TokenIsAppContainer, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::{GetLogicalDrives, QueryDosDeviceW};
use windows_sys::Win32::System::Diagnostics::Debug::ReadProcessMemory;
use windows_sys::Win32::System::Memory::{MEM_COMMIT, MEMORY_BASIC_INFORMATION, VirtualQueryEx};
use windows_sys::Win32::System::ProcessStatus::{
    K32GetMappedFileNameW, K32GetPerformanceInfo, PERFORMANCE_INFORMATION,
};
use windows_sys::Win32::System::Services::{
    CloseServiceHandle, EnumServicesStatusExW, OpenSCManagerW, SC_ENUM_PROCESS_INFO, SC_MANAGER_CONNECT,
    SC_MANAGER_ENUMERATE_SERVICE, SERVICE_ACTIVE, SERVICE_WIN32,
};
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};
use windows_sys::Win32::System::Threading::{
    GetActiveProcessorGroupCount, OpenProcessToken, PROCESS_QUERY_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION,
    PROCESS_VM_READ, QueryFullProcessImageNameW,
};

use super::handle::{self, Owned, created, why};
use super::lookup::{QueryProcess, QuerySystem, QuerySystemEx, found, is_wine};
use super::{before_zero, bytes_of, code, room};
use crate::windows::bytes::Buffer;
use crate::windows::source::{MemoryStatus, Region, TokenFacts};

/// `STATUS_INFO_LENGTH_MISMATCH` and `STATUS_BUFFER_TOO_SMALL` (ntstatus.h): the room is too small.
const TOO_SMALL: [i32; 2] = [0xC000_0004_u32.cast_signed(), 0xC000_0023_u32.cast_signed()];

fn absent() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this version of Windows does not offer it")
}

fn status(number: i32) -> io::Error {
    /// `STATUS_ACCESS_DENIED`.
    const DENIED: i32 = 0xC000_0022_u32.cast_signed();
    /// `STATUS_INVALID_INFO_CLASS`, `STATUS_NOT_IMPLEMENTED`.
    const UNKNOWN: [i32; 2] = [0xC000_0003_u32.cast_signed(), 0xC000_0002_u32.cast_signed()];
    match number {
        DENIED => io::ErrorKind::PermissionDenied.into(),
        number if UNKNOWN.contains(&number) => absent(),
        number => io::Error::other(format!("status {number:#010x}")),
    }
}

/// `NtQuerySystemInformation(SystemProcessInformation)`.
pub(super) fn list() -> io::Result<Buffer> {
    const PROCESSES: u32 = 5;
    let query = found!("ntdll.dll", c"NtQuerySystemInformation", QuerySystem).ok_or_else(absent)?;
    let mut memory = room(512 * 1024);
    for _ in 0..8 {
        let mut needed = 0;
        let size = (memory.len() * 8) as u32;
        // SAFETY: the room has the size that is passed.
        match unsafe { query(PROCESSES, memory.as_mut_ptr().cast(), size, &mut needed) } {
            0 => {
                return Ok(Buffer {
                    base: memory.as_ptr() as u64,
                    bytes: bytes_of(&memory, needed as usize),
                });
            }
            number if TOO_SMALL.contains(&number) => {
                memory = room(needed.max(size) as usize * 5 / 4 + 64 * 1024);
            }
            number => return Err(status(number)),
        }
    }
    Err(io::Error::other("the list grew faster than it could be read"))
}

/// A handle of the service control manager.
struct Manager(*mut c_void);

impl Drop for Manager {
    fn drop(&mut self) {
        // SAFETY: it is open, and closed once.
        unsafe { CloseServiceHandle(self.0) };
    }
}

pub(super) fn services() -> io::Result<(Buffer, u32)> {
    let rights = SC_MANAGER_CONNECT | SC_MANAGER_ENUMERATE_SERVICE;
    // SAFETY: this computer, its usual database.
    let manager = Manager(unsafe { OpenSCManagerW(std::ptr::null(), std::ptr::null(), rights) });
    if manager.0.is_null() {
        return Err(io::Error::last_os_error());
    }
    // 256 KB is the most that the call fills (EnumServicesStatusExW).
    let mut memory = room(256 * 1024);
    let (mut needed, mut count, mut resume) = (0, 0, 0);
    // SAFETY: the room has the size that is passed.
    let done = unsafe {
        EnumServicesStatusExW(
            manager.0,
            SC_ENUM_PROCESS_INFO,
            SERVICE_WIN32,
            SERVICE_ACTIVE,
            memory.as_mut_ptr().cast(),
            (memory.len() * 8) as u32,
            &mut needed,
            &mut count,
            &mut resume,
            std::ptr::null(),
        )
    };
    let error = io::Error::last_os_error();
    if done == 0 && error.raw_os_error() != Some(ERROR_MORE_DATA.cast_signed()) {
        return Err(error);
    }
    let length = memory.len() * 8;
    Ok((
        Buffer {
            base: memory.as_ptr() as u64,
            bytes: bytes_of(&memory, length),
        },
        count,
    ))
}

/// What `I_QueryTagInformation` asks and answers; not documented by Microsoft.
#[repr(C)]
struct TagQuery {
    pid: u32,
    tag: u32,
    kind: u32,
    name: *mut u16,
}

pub(super) fn service_of_tag(pid: u32, tag: u32) -> Result<Vec<u16>, Why> {
    type Query = unsafe extern "system" fn(*const c_void, u32, *mut TagQuery) -> u32;
    // Wine exports it as a stub that ends the program.
    if is_wine() {
        return Err(Why::NotSupported);
    }
    let query = found!("advapi32.dll", c"I_QueryTagInformation", Query).ok_or(Why::NotSupported)?;
    let mut asked = TagQuery {
        pid,
        tag,
        kind: 0,
        name: std::ptr::null_mut(),
    };
    // SAFETY: 1 asks for the name of a tag; the name, if any, ends in zero and is to be freed by LocalFree.
    unsafe {
        let error = query(std::ptr::null(), 1, &mut asked);
        if asked.name.is_null() {
            return Err(if error == 0 { Why::NotKept } else { why(&code(error)) });
        }
        let length = (0..256).take_while(|&at| *asked.name.add(at) != 0).count();
        let name = std::slice::from_raw_parts(asked.name, length).to_vec();
        LocalFree(asked.name as HLOCAL);
        Ok(name)
    }
}

pub(super) fn image(pid: u32) -> Result<(Vec<u16>, u64), Why> {
    let process = handle::process(pid, PROCESS_QUERY_LIMITED_INFORMATION).map_err(|error| why(&error))?;
    let mut path = vec![0u16; 32 * 1024];
    let mut length = path.len() as u32;
    // SAFETY: the room has the length that is passed.
    if unsafe { QueryFullProcessImageNameW(process.0, 0, path.as_mut_ptr(), &mut length) } == 0 {
        return Err(why(&io::Error::last_os_error()));
    }
    path.truncate(length as usize);
    Ok((path, created(&process).map_err(|error| why(&error))?))
}

/// `SYSTEM_PROCESS_ID_INFORMATION`: the id, and room for the name.
#[repr(C)]
struct ProcessIdInformation {
    pid: *mut c_void,
    name: UNICODE_STRING,
}

pub(super) fn native_image(pid: u32) -> Result<Vec<u16>, Why> {
    const PROCESS_ID: u32 = 88;
    let query = found!("ntdll.dll", c"NtQuerySystemInformation", QuerySystem).ok_or(Why::NotSupported)?;
    let mut path = vec![0u16; 16 * 1024];
    let mut asked = ProcessIdInformation {
        pid: pid as usize as *mut c_void,
        name: UNICODE_STRING {
            Length: 0,
            MaximumLength: (path.len() * 2) as u16,
            Buffer: path.as_mut_ptr(),
        },
    };
    let size = size_of::<ProcessIdInformation>() as u32;
    let mut needed = 0;
    // SAFETY: the structure has the size that is passed, its buffer the length that it says.
    let number = unsafe { query(PROCESS_ID, std::ptr::from_mut(&mut asked).cast(), size, &mut needed) };
    if number != 0 {
        return Err(why(&status(number)));
    }
    path.truncate(usize::from(asked.name.Length) / 2);
    Ok(path)
}

pub(super) fn drives() -> Vec<(Vec<u16>, Vec<u16>)> {
    // SAFETY: no arguments.
    let present = unsafe { GetLogicalDrives() };
    let mut found = Vec::new();
    for letter in (b'A'..=b'Z').filter(|letter| present & 1 << (letter - b'A') != 0) {
        let drive = [u16::from(letter), u16::from(b':'), 0];
        let mut device = [0u16; 512];
        // SAFETY: the name ends in zero; the room has the length that is passed.
        let length = unsafe { QueryDosDeviceW(drive.as_ptr(), device.as_mut_ptr(), device.len() as u32) };
        if length != 0 {
            found.push((drive[..2].to_vec(), before_zero(&device)));
        }
    }
    found
}

pub(super) fn package(pid: u32) -> Result<Option<Vec<u16>>, Why> {
    /// `APPMODEL_ERROR_NO_PACKAGE` (appmodel.h).
    const NONE: u32 = 15700;
    type FullName = unsafe extern "system" fn(*mut c_void, *mut u32, *mut u16) -> u32;
    let name_of = found!("kernel32.dll", c"GetPackageFullName", FullName).ok_or(Why::NotSupported)?;
    let process = handle::process(pid, PROCESS_QUERY_LIMITED_INFORMATION).map_err(|error| why(&error))?;
    // PACKAGE_FULL_NAME_MAX_LENGTH is 127.
    let mut name = [0u16; 256];
    let mut length = name.len() as u32;
    // SAFETY: the room has the length that is passed.
    match unsafe { name_of(process.0, &mut length, name.as_mut_ptr()) } {
        NO_ERROR => Ok(Some(before_zero(&name)).filter(|name| !name.is_empty())),
        NONE => Ok(None),
        error => Err(why(&code(error))),
    }
}

pub(super) fn command_line(pid: u32) -> Result<Vec<u16>, Why> {
    const COMMAND_LINE: u32 = 60;
    let query = found!("ntdll.dll", c"NtQueryInformationProcess", QueryProcess).ok_or(Why::NotSupported)?;
    let process = handle::process(pid, PROCESS_QUERY_LIMITED_INFORMATION).map_err(|error| why(&error))?;
    let mut memory = room(64 * 1024 + 64);
    let mut needed = 0;
    let size = (memory.len() * 8) as u32;
    // SAFETY: the room has the size that is passed.
    let number = unsafe { query(process.0, COMMAND_LINE, memory.as_mut_ptr().cast(), size, &mut needed) };
    if number == 0 {
        let buffer = Buffer {
            base: memory.as_ptr() as u64,
            bytes: bytes_of(&memory, size as usize),
        };
        // UNICODE_STRING: the length in bytes, and a pointer to the text behind it.
        let length = usize::from(u16::from_le_bytes([buffer.bytes[0], buffer.bytes[1]])) / 2;
        return match buffer.pointer(8) {
            Some(place) => buffer.units(place, length).ok_or(Why::Failed),
            None => Ok(Vec::new()),
        };
    }
    from_memory(query, pid)
}

pub(super) fn protection(pid: u32) -> Result<u8, Why> {
    const PROTECTION: u32 = 61;
    let query = found!("ntdll.dll", c"NtQueryInformationProcess", QueryProcess).ok_or(Why::NotSupported)?;
    let process = handle::process(pid, PROCESS_QUERY_LIMITED_INFORMATION).map_err(|error| why(&error))?;
    let (mut protection, mut needed) = (0u8, 0);
    // SAFETY: a place of one byte, PS_PROTECTION.
    let number = unsafe {
        query(
            process.0,
            PROTECTION,
            std::ptr::from_mut(&mut protection).cast(),
            1,
            &mut needed,
        )
    };
    match number {
        0 => Ok(protection),
        number => Err(why(&status(number))),
    }
}

/// The command line as it lies in the memory of the process: PEB, then its parameters (winternl.h). The process may have changed it.
fn from_memory(query: QueryProcess, pid: u32) -> Result<Vec<u16>, Why> {
    let rights = PROCESS_QUERY_INFORMATION | PROCESS_VM_READ;
    let process = handle::process(pid, rights).map_err(|error| why(&error))?;
    // PROCESS_BASIC_INFORMATION: the address of the PEB is its second word.
    let mut basic = [0u64; 6];
    let mut needed = 0;
    // SAFETY: the room has the size that is passed.
    let number = unsafe { query(process.0, 0, basic.as_mut_ptr().cast(), 48, &mut needed) };
    if number != 0 {
        return Err(why(&status(number)));
    }
    let word = |address: u64| read_memory(&process, address, 8).map(|bytes| u64::from_le_bytes(first(&bytes)));
    let parameters = word(basic[1] + 0x20)?;
    let text = read_memory(&process, parameters + 0x70, 16)?;
    let length = usize::from(u16::from_le_bytes([text[0], text[1]]));
    let units = read_memory(&process, u64::from_le_bytes(first(&text[8..])), length)?;
    Ok(units
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect())
}

fn first(bytes: &[u8]) -> [u8; 8] {
    bytes.first_chunk().copied().unwrap_or_default()
}

fn read_memory(process: &Owned, address: u64, length: usize) -> Result<Vec<u8>, Why> {
    let mut bytes = vec![0; length];
    let mut read = 0;
    // SAFETY: the room has the length that is passed; the address is of the other process, and refused when it is none.
    let done = unsafe {
        ReadProcessMemory(
            process.0,
            address as *const c_void,
            bytes.as_mut_ptr().cast(),
            length,
            &mut read,
        )
    };
    if done == 0 || read != length {
        return Err(why(&io::Error::last_os_error()));
    }
    Ok(bytes)
}

/// One piece of information about a token.
pub(super) fn token_information(token: &Owned, class: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<u64>> {
    let mut memory = room(1024);
    let mut needed = 0;
    // SAFETY: the room has the size that is passed.
    let done = unsafe {
        GetTokenInformation(
            token.0,
            class,
            memory.as_mut_ptr().cast(),
            (memory.len() * 8) as u32,
            &mut needed,
        )
    };
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(memory)
    }
}

pub(super) fn token(pid: u32) -> Result<TokenFacts, Why> {
    let process = handle::process(pid, PROCESS_QUERY_LIMITED_INFORMATION).map_err(|error| why(&error))?;
    let mut token = std::ptr::null_mut();
    // SAFETY: a place for the handle.
    if unsafe { OpenProcessToken(process.0, TOKEN_QUERY, &mut token) } == 0 {
        return Err(why(&io::Error::last_os_error()));
    }
    let token = Owned(token);
    let user = token_information(&token, TokenUser).map_err(|error| why(&error))?;
    // SAFETY: the answer begins with this structure, whose SID lies in the same memory, which outlives it.
    let (sid, name) = unsafe {
        let sid = (*user.as_ptr().cast::<TOKEN_USER>()).User.Sid;
        (sid_text(sid).ok_or(Why::Failed)?, account(sid))
    };
    let flag = |class| {
        let memory = token_information(&token, class).ok()?;
        memory.first().map(|word| *word as u32 != 0)
    };
    let elevated = match token_information(&token, TokenElevation) {
        // SAFETY: the answer is this structure.
        Ok(memory) => unsafe { (*memory.as_ptr().cast::<TOKEN_ELEVATION>()).TokenIsElevated != 0 },
        Err(error) => return Err(why(&error)),
    };
    let integrity = token_information(&token, TokenIntegrityLevel).ok().and_then(|memory| {
        // SAFETY: the answer begins with this structure, whose SID lies in the same memory; the level is its last part.
        unsafe {
            let sid = (*memory.as_ptr().cast::<TOKEN_MANDATORY_LABEL>()).Label.Sid;
            let count = *GetSidSubAuthorityCount(sid);
            count.checked_sub(1).map(|last| *GetSidSubAuthority(sid, last.into()))
        }
    });
    Ok(TokenFacts {
        sid,
        user: name,
        elevated,
        integrity,
        app_container: flag(TokenIsAppContainer).unwrap_or(false),
    })
}

/// # Safety
/// `sid` is a valid SID.
pub(super) unsafe fn sid_text(sid: *mut c_void) -> Option<String> {
    let mut text = std::ptr::null_mut();
    // SAFETY: the text, if any, ends in zero and is to be freed by LocalFree.
    unsafe {
        if ConvertSidToStringSidW(sid, &mut text) == 0 {
            return None;
        }
        let length = (0..256).take_while(|&at| *text.add(at) != 0).count();
        let found = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text as HLOCAL);
        Some(found)
    }
}

/// `DOMAIN\name`.
///
/// # Safety
/// `sid` is a valid SID.
unsafe fn account(sid: *mut c_void) -> Option<Vec<u16>> {
    let (mut name, mut domain) = ([0u16; 257], [0u16; 257]);
    let (mut name_length, mut domain_length, mut kind) = (name.len() as u32, domain.len() as u32, 0);
    // SAFETY: the rooms have the lengths that are passed.
    let done = unsafe {
        LookupAccountSidW(
            std::ptr::null(),
            sid,
            name.as_mut_ptr(),
            &mut name_length,
            domain.as_mut_ptr(),
            &mut domain_length,
            &mut kind,
        )
    };
    if done == 0 {
        return None;
    }
    let (name, mut full) = (before_zero(&name), before_zero(&domain));
    if !full.is_empty() {
        full.push(u16::from(b'\\'));
    }
    full.extend(name);
    Some(full)
}

pub(super) fn regions(pid: u32) -> Result<Vec<Region>, Why> {
    /// `PAGE_EXECUTE`, `_READ`, `_READWRITE`, `_WRITECOPY` (winnt.h).
    const EXECUTABLE: u32 = 0xf0;
    const MOST: usize = 65_536;
    let rights = PROCESS_QUERY_INFORMATION | PROCESS_VM_READ;
    let process = handle::process(pid, rights).map_err(|error| why(&error))?;
    let mut found = Vec::new();
    let mut address = 0usize;
    while found.len() < MOST {
        let mut part = MEMORY_BASIC_INFORMATION::default();
        let size = size_of::<MEMORY_BASIC_INFORMATION>();
        // SAFETY: the place has the size that is passed.
        if unsafe { VirtualQueryEx(process.0, address as *const c_void, &mut part, size) } == 0 {
            break;
        }
        let start = part.BaseAddress as usize;
        if part.State == MEM_COMMIT && part.Protect & EXECUTABLE != 0 {
            let mut path = [0u16; 1024];
            // SAFETY: the room has the length that is passed.
            let length =
                unsafe { K32GetMappedFileNameW(process.0, part.BaseAddress, path.as_mut_ptr(), path.len() as u32) };
            found.push(Region {
                start: start as u64,
                size: part.RegionSize as u64,
                protection: part.Protect,
                kind: part.Type,
                file: (length != 0).then(|| path[..(length as usize).min(path.len())].to_vec()),
            });
        }
        let Some(next) = start.checked_add(part.RegionSize).filter(|&next| next > address) else {
            break;
        };
        address = next;
    }
    Ok(found)
}

pub(super) fn processors() -> io::Result<Vec<Vec<u8>>> {
    const TIMES: u32 = 8;
    let query = found!("ntdll.dll", c"NtQuerySystemInformation", QuerySystem).ok_or_else(absent)?;
    let by_group = found!("ntdll.dll", c"NtQuerySystemInformationEx", QuerySystemEx);
    // SAFETY: no arguments.
    let groups = unsafe { GetActiveProcessorGroupCount() }.max(1);
    let mut found = Vec::new();
    for group in 0..groups {
        // At most 64 processors in a group, 48 bytes each.
        let mut memory = room(64 * 48);
        let size = (memory.len() * 8) as u32;
        let mut needed = 0;
        let place = memory.as_mut_ptr().cast();
        // SAFETY: the room has the size that is passed; the group's number is two bytes.
        let number = unsafe {
            match (by_group, groups) {
                (Some(query), 2..) => query(TIMES, std::ptr::from_ref(&group).cast(), 2, place, size, &mut needed),
                _ => query(TIMES, place, size, &mut needed),
            }
        };
        if number != 0 {
            return Err(status(number));
        }
        found.push(bytes_of(&memory, needed as usize));
    }
    Ok(found)
}

pub(super) fn memory() -> io::Result<MemoryStatus> {
    let mut status = MEMORYSTATUSEX {
        dwLength: size_of::<MEMORYSTATUSEX>() as u32,
        ..MEMORYSTATUSEX::default()
    };
    // SAFETY: the structure says its size.
    if unsafe { GlobalMemoryStatusEx(&mut status) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut performance = PERFORMANCE_INFORMATION::default();
    let size = size_of::<PERFORMANCE_INFORMATION>() as u32;
    // SAFETY: the structure has the size that is passed.
    let told = unsafe { K32GetPerformanceInfo(&mut performance, size) } != 0;
    let cache = performance.SystemCache as u64 * performance.PageSize as u64;
    Ok(MemoryStatus {
        total: status.ullTotalPhys,
        available: status.ullAvailPhys,
        commit_limit: status.ullTotalPageFile,
        committed: status.ullTotalPageFile.saturating_sub(status.ullAvailPageFile),
        cache: (told && cache != 0).then_some(cache),
    })
}
