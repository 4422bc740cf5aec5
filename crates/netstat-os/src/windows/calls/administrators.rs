//! Which accounts are administrators.

use std::ffi::c_void;

use windows_sys::Win32::Foundation::NO_ERROR;
use windows_sys::Win32::Security::{
    CreateWellKnownSid, LookupAccountSidW, SID_AND_ATTRIBUTES, TOKEN_GROUPS, TOKEN_QUERY, TokenGroups,
    WinBuiltinAdministratorsSid,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::handle::Owned;
use super::lookup::found;
use super::process;

/// The Administrators group.
const ADMINISTRATORS: &str = "S-1-5-32-544";

/// See [`Source::administrators`](crate::windows::Source::administrators).
pub(super) fn all() -> Vec<String> {
    let mut found = members();
    if let Some(own) = own_account()
        && !found.contains(&own)
    {
        found.push(own);
    }
    found
}

/// The SID of this program's account, when its token has the group, be it only to deny (before elevation).
fn own_account() -> Option<String> {
    let mut token = std::ptr::null_mut();
    // SAFETY: the handle of this process needs no closing; a place for that of the token.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) } == 0 {
        return None;
    }
    let token = Owned(token);
    let groups = process::token_information(&token, TokenGroups).ok()?;
    // SAFETY: the answer is this structure with as many entries as it says, whose SIDs lie in the same memory.
    let is_member = unsafe {
        let list = groups.as_ptr().cast::<TOKEN_GROUPS>();
        let first = (&raw const (*list).Groups).cast::<SID_AND_ATTRIBUTES>();
        (0..(*list).GroupCount as usize)
            .any(|at| process::sid_text((*first.add(at)).Sid).is_some_and(|sid| sid == ADMINISTRATORS))
    };
    if !is_member {
        return None;
    }
    Some(process::token(std::process::id()).ok()?.sid)
}

/// The members of the group (`NetLocalGroupGetMembers`, level 0: an array of pointers to SIDs).
fn members() -> Vec<String> {
    type Members = unsafe extern "system" fn(
        *const u16,
        *const u16,
        u32,
        *mut *mut *mut c_void,
        u32,
        *mut u32,
        *mut u32,
        *mut usize,
    ) -> u32;
    type Free = unsafe extern "system" fn(*const c_void) -> u32;
    /// `MAX_PREFERRED_LENGTH`.
    const ALL: u32 = u32::MAX;
    let functions = found!("netapi32.dll", c"NetLocalGroupGetMembers", Members).zip(found!(
        "netapi32.dll",
        c"NetApiBufferFree",
        Free
    ));
    let (Some((members, free)), Some(name)) = (functions, group_name()) else {
        return Vec::new();
    };
    let mut list: *mut *mut c_void = std::ptr::null_mut();
    let (mut count, mut total) = (0, 0);
    // SAFETY: the name ends in zero; places for the answers; the list, if any, has `count` SIDs and is freed once.
    unsafe {
        let error = members(
            std::ptr::null(),
            name.as_ptr(),
            0,
            &mut list,
            ALL,
            &mut count,
            &mut total,
            std::ptr::null_mut(),
        );
        if list.is_null() {
            return Vec::new();
        }
        let read = if error == NO_ERROR { count as usize } else { 0 };
        let sids = (0..read).filter_map(|at| process::sid_text(*list.add(at))).collect();
        free(list.cast());
        sids
    }
}

/// The name of the group in the language of the system, with the zero at its end.
fn group_name() -> Option<Vec<u16>> {
    let mut sid = [0u64; 16];
    let mut size = size_of_val(&sid) as u32;
    let (mut name, mut domain) = ([0u16; 257], [0u16; 257]);
    let (mut name_length, mut domain_length, mut kind) = (name.len() as u32, domain.len() as u32, 0);
    // SAFETY: the rooms have the sizes that are passed, and that of the SID is enough for any (SECURITY_MAX_SID_SIZE is 68).
    let done = unsafe {
        CreateWellKnownSid(
            WinBuiltinAdministratorsSid,
            std::ptr::null_mut(),
            sid.as_mut_ptr().cast(),
            &mut size,
        ) != 0
            && LookupAccountSidW(
                std::ptr::null(),
                sid.as_mut_ptr().cast(),
                name.as_mut_ptr(),
                &mut name_length,
                domain.as_mut_ptr(),
                &mut domain_length,
                &mut kind,
            ) != 0
    };
    done.then(|| super::before_zero(&name).into_iter().chain([0]).collect())
}
