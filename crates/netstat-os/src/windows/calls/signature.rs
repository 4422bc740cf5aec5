//! Authenticode: whether a file is signed, in itself or through a catalog of the system, and by whom. No network
//! requests are made.

use std::mem::size_of;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::io::AsRawHandle;

use netstat_model::Why;
use windows_sys::Win32::Foundation::{
    HANDLE, TRUST_E_NOSIGNATURE, TRUST_E_PROVIDER_UNKNOWN, TRUST_E_SUBJECT_FORM_UNKNOWN,
};
use windows_sys::Win32::Security::Cryptography::Catalog::{
    CATALOG_INFO, CryptCATAdminCalcHashFromFileHandle2, CryptCATAdminEnumCatalogFromHash,
    CryptCATAdminReleaseCatalogContext, CryptCATAdminReleaseContext, CryptCATCatalogInfoFromContext,
};
use windows_sys::Win32::Security::Cryptography::{CERT_NAME_SIMPLE_DISPLAY_TYPE, CertGetNameStringW};
use windows_sys::Win32::Security::WinTrust::{
    WINTRUST_ACTION_GENERIC_VERIFY_V2, WINTRUST_CATALOG_INFO, WINTRUST_DATA, WINTRUST_DATA_0, WINTRUST_FILE_INFO,
    WTD_CACHE_ONLY_URL_RETRIEVAL, WTD_CHOICE_CATALOG, WTD_CHOICE_FILE, WTD_REVOKE_NONE, WTD_STATEACTION_CLOSE,
    WTD_STATEACTION_VERIFY, WTD_UI_NONE, WTHelperGetProvCertFromChain, WTHelperGetProvSignerFromChain,
    WTHelperProvDataFromStateData, WinVerifyTrust,
};

use super::lookup::found;
use super::{before_zero, wide};
use crate::windows::source::Signature;

pub(super) fn check(path: &[u16]) -> Result<Signature, Why> {
    let text: Vec<u16> = path.iter().copied().chain([0]).collect();
    let file = std::fs::File::open(std::ffi::OsString::from_wide(path)).map_err(|error| super::handle::why(&error))?;
    let mut subject = WINTRUST_FILE_INFO {
        cbStruct: size_of::<WINTRUST_FILE_INFO>() as u32,
        pcwszFilePath: text.as_ptr(),
        hFile: file.as_raw_handle().cast(),
        pgKnownSubject: std::ptr::null_mut(),
    };
    let choice = WINTRUST_DATA_0 { pFile: &mut subject };
    match verify(WTD_CHOICE_FILE, choice) {
        (0, signer) => Ok(Signature::Valid {
            signer,
            catalogue: false,
        }),
        (error, _) if is_unsigned(error) => from_catalogue(&text, file.as_raw_handle().cast()),
        (error, _) => Ok(Signature::Invalid(error.cast_unsigned())),
    }
}

fn is_unsigned(error: i32) -> bool {
    matches!(
        error,
        TRUST_E_NOSIGNATURE | TRUST_E_SUBJECT_FORM_UNKNOWN | TRUST_E_PROVIDER_UNKNOWN
    )
}

/// Verifies one subject, and returns its signer.
fn verify(kind: u32, subject: WINTRUST_DATA_0) -> (i32, Vec<u16>) {
    let mut action = WINTRUST_ACTION_GENERIC_VERIFY_V2;
    let mut data = WINTRUST_DATA {
        cbStruct: size_of::<WINTRUST_DATA>() as u32,
        dwUIChoice: WTD_UI_NONE,
        fdwRevocationChecks: WTD_REVOKE_NONE,
        dwUnionChoice: kind,
        Anonymous: subject,
        dwStateAction: WTD_STATEACTION_VERIFY,
        dwProvFlags: WTD_CACHE_ONLY_URL_RETRIEVAL,
        ..WINTRUST_DATA::default()
    };
    let nobody: HANDLE = usize::MAX as HANDLE;
    // SAFETY: the subject outlives both calls; the state is used only between them, and is closed in any case.
    unsafe {
        let place = std::ptr::from_mut(&mut data);
        let error = WinVerifyTrust(nobody, &mut action, place.cast());
        let signer = if error == 0 {
            signer((*place).hWVTStateData)
        } else {
            Vec::new()
        };
        (*place).dwStateAction = WTD_STATEACTION_CLOSE;
        WinVerifyTrust(nobody, &mut action, place.cast());
        (error, signer)
    }
}

/// # Safety
/// `state` must be that of a verification that has not been closed.
unsafe fn signer(state: HANDLE) -> Vec<u16> {
    // SAFETY: what each call returns belongs to the state, and is null if it does not exist.
    unsafe {
        let provider = WTHelperProvDataFromStateData(state);
        if provider.is_null() {
            return Vec::new();
        }
        let signer = WTHelperGetProvSignerFromChain(provider, 0, 0, 0);
        if signer.is_null() {
            return Vec::new();
        }
        let certificate = WTHelperGetProvCertFromChain(signer, 0);
        if certificate.is_null() {
            return Vec::new();
        }
        let mut name = [0u16; 256];
        CertGetNameStringW(
            (*certificate).pCert,
            CERT_NAME_SIMPLE_DISPLAY_TYPE,
            0,
            std::ptr::null(),
            name.as_mut_ptr(),
            name.len() as u32,
        );
        before_zero(&name)
    }
}

/// The catalogs of the system. Most system files are signed through these and not in themselves.
struct Catalogues(isize);

impl Drop for Catalogues {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and is closed once.
        unsafe { CryptCATAdminReleaseContext(self.0, 0) };
    }
}

fn from_catalogue(path: &[u16], file: HANDLE) -> Result<Signature, Why> {
    type Acquire =
        unsafe extern "system" fn(*mut isize, *const windows_sys::core::GUID, *const u16, *const u8, u32) -> i32;
    let Some(acquire) = found!("wintrust.dll", c"CryptCATAdminAcquireContext2", Acquire) else {
        return Ok(Signature::NotInFile);
    };
    let algorithm = wide("SHA256");
    let mut context = 0;
    // SAFETY: the pointer refers to a place for the context; the name is zero-terminated.
    if unsafe { acquire(&mut context, std::ptr::null(), algorithm.as_ptr(), std::ptr::null(), 0) } == 0 {
        return Ok(Signature::NotInFile);
    }
    let catalogues = Catalogues(context);
    let mut hash = [0u8; 64];
    let mut length = hash.len() as u32;
    // SAFETY: the file is open; the buffer has the given length.
    let hashed = unsafe { CryptCATAdminCalcHashFromFileHandle2(catalogues.0, file, &mut length, hash.as_mut_ptr(), 0) };
    if hashed == 0 {
        return Ok(Signature::NotInFile);
    }
    // SAFETY: the hash has the given length; the catalog, if any, is released below.
    unsafe {
        let found = CryptCATAdminEnumCatalogFromHash(catalogues.0, hash.as_ptr(), length, 0, std::ptr::null_mut());
        if found == 0 {
            return Ok(Signature::None);
        }
        let mut facts = CATALOG_INFO {
            cbStruct: size_of::<CATALOG_INFO>() as u32,
            ..CATALOG_INFO::default()
        };
        let told = CryptCATCatalogInfoFromContext(found, &mut facts, 0) != 0;
        let result = match told {
            false => Ok(Signature::NotInFile),
            true => {
                // The tag of a catalog member is its hash in hexadecimal digits.
                let digits: String = hash[..length as usize]
                    .iter()
                    .map(|byte| format!("{byte:02X}"))
                    .collect();
                let tag = wide(&digits);
                let mut subject = WINTRUST_CATALOG_INFO {
                    cbStruct: size_of::<WINTRUST_CATALOG_INFO>() as u32,
                    pcwszCatalogFilePath: facts.wszCatalogFile.as_ptr(),
                    pcwszMemberTag: tag.as_ptr(),
                    pcwszMemberFilePath: path.as_ptr(),
                    hMemberFile: file,
                    pbCalculatedFileHash: hash.as_mut_ptr(),
                    cbCalculatedFileHash: length,
                    hCatAdmin: catalogues.0,
                    ..WINTRUST_CATALOG_INFO::default()
                };
                match verify(WTD_CHOICE_CATALOG, WINTRUST_DATA_0 { pCatalog: &mut subject }) {
                    (0, signer) => Ok(Signature::Valid {
                        signer,
                        catalogue: true,
                    }),
                    (error, _) => Ok(Signature::Invalid(error.cast_unsigned())),
                }
            }
        };
        CryptCATAdminReleaseCatalogContext(catalogues.0, found, 0);
        result
    }
}
