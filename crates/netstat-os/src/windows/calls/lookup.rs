//! Functions that not every version of Windows has, or that its header files do not declare, looked up by name.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use windows_sys::Win32::System::LibraryLoader::{
    GetModuleHandleW, GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};

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
