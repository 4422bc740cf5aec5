//! Functions that not every version of Windows has, or that its header files do not declare, looked up by name.

use std::ffi::{CStr, OsString, c_void};
use std::os::windows::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use windows_sys::Win32::System::LibraryLoader::{
    GetModuleHandleW, GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::core::GUID;

use super::wide;

/// The address of a function; `None` where this version of Windows has none of that name. The library is taken from the system's
/// directory, wherever the program stands.
pub(super) fn function(library: &str, name: &CStr) -> Option<*const c_void> {
    let library = wide(library);
    // SAFETY: both texts end in zero; libraries loaded here stay.
    unsafe {
        let mut module = GetModuleHandleW(library.as_ptr());
        if module.is_null() {
            module = LoadLibraryExW(library.as_ptr(), std::ptr::null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32);
        }
        if module.is_null() {
            return None;
        }
        GetProcAddress(module, name.as_ptr().cast()).map(|address| address as *const c_void)
    }
}

/// Whether this is Wine, which exports some functions that end the program when called.
pub(super) fn is_wine() -> bool {
    static WINE: OnceLock<bool> = OnceLock::new();
    *WINE.get_or_init(|| function("ntdll.dll", c"wine_get_version").is_some())
}

/// `NtQuerySystemInformation` (winternl.h).
pub(super) type QuerySystem = unsafe extern "system" fn(u32, *mut c_void, u32, *mut u32) -> i32;
/// `NtQuerySystemInformationEx`.
pub(super) type QuerySystemEx = unsafe extern "system" fn(u32, *const c_void, u32, *mut c_void, u32, *mut u32) -> i32;
/// `NtQueryInformationProcess` (winternl.h).
pub(super) type QueryProcess = unsafe extern "system" fn(*mut c_void, u32, *mut c_void, u32, *mut u32) -> i32;
/// `NtSuspendProcess`, `NtResumeProcess`.
pub(super) type OfProcess = unsafe extern "system" fn(*mut c_void) -> i32;

/// Looks a function up as the type it is assigned to.
macro_rules! found {
    ($library:literal, $name:literal, $kind:ty) => {
        $crate::windows::calls::lookup::function($library, $name).map(|address| {
            // SAFETY: the function of this name has this type, on every version that has it.
            unsafe { std::mem::transmute::<*const std::ffi::c_void, $kind>(address) }
        })
    };
}
pub(super) use found;

/// `SHGetKnownFolderPath` (shlobj_core.h); the text is to be freed by `CoTaskMemFree`.
type KnownFolder = unsafe extern "system" fn(*const GUID, u32, *mut c_void, *mut *mut u16) -> i32;
type FreeText = unsafe extern "system" fn(*const c_void);

/// Where what belongs to the whole computer is kept, usually `C:\ProgramData`. The variable of that name would be easier to have, but each user can
/// set it for programs that an administrator starts.
pub(crate) fn shared_directory() -> Option<PathBuf> {
    /// `FOLDERID_ProgramData` (KnownFolders.h).
    const PROGRAM_DATA: GUID = GUID::from_u128(0x62ab5d82_fdc1_4dc3_a9dd_070d1d495d97);
    let known = found!("shell32.dll", c"SHGetKnownFolderPath", KnownFolder)?;
    let free = found!("ole32.dll", c"CoTaskMemFree", FreeText)?;
    let mut text = std::ptr::null_mut();
    // SAFETY: a place for the text, which ends in zero and is freed once, also after a failure.
    unsafe {
        let done = known(&PROGRAM_DATA, 0, std::ptr::null_mut(), &mut text);
        let path = (done >= 0 && !text.is_null()).then(|| {
            let length = (0..32 * 1024).take_while(|&at| *text.add(at) != 0).count();
            OsString::from_wide(std::slice::from_raw_parts(text, length))
        });
        free(text.cast());
        path.map(PathBuf::from).filter(|path| path.is_absolute())
    }
}
