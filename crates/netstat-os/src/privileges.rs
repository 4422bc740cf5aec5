//! What a program does about rights that its file gives to callers who do not have them.

use std::io;

/// Lowers capabilities that the program's file lends to the caller; they are raised only around reads of `/proc` and the kernel. A
/// set-user-ID program becomes what its caller is. To be called first, while there is one thread. Does nothing where there are no such rights.
///
/// # Errors
/// When the caller's identity cannot be taken on: the program must end then.
pub fn lower_lent_capabilities() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::privilege::lower();
    #[cfg(not(target_os = "linux"))]
    Ok(())
}

/// Gives up such capabilities for ever.
///
/// # Errors
/// The system's.
pub fn give_up_lent_capabilities() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::privilege::give_up();
    #[cfg(not(target_os = "linux"))]
    Ok(())
}
