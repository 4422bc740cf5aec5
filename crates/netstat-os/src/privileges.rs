//! Handling of privileges that the executable file gives to callers who do not have them (file capabilities,
//! set-user-ID).

use std::io;

/// Lowers the capabilities that the executable file gives to the caller; they are raised only around reads of `/proc`
/// and queries to the kernel. A set-user-ID program takes on the identity of its caller. Must be called first, while
/// the process has only one thread. Does nothing on systems without such privileges.
///
/// # Errors
/// Returns an error if the identity of the caller cannot be taken on; the program must exit then.
pub fn lower_lent_capabilities() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::privilege::lower();
    #[cfg(not(target_os = "linux"))]
    Ok(())
}

/// Permanently drops these capabilities.
///
/// # Errors
/// Returns the error of the system.
pub fn give_up_lent_capabilities() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::privilege::give_up();
    #[cfg(not(target_os = "linux"))]
    Ok(())
}
