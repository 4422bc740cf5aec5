//! Capabilities of a process that watches the computer for as long as it runs.

use std::io;

/// Gives up, for ever, the capabilities (capabilities(7)) that watching sockets and processes does not need, so that a fault in a
/// long-running process is worth less. `acting` keeps those that end processes and close connections. A program that is started later
/// gains nothing back. Capabilities belong to threads: to be called while there is one. Does nothing where there are no such rights.
///
/// # Errors
/// The system's; whatever was given up until then stays so.
pub fn drop_capabilities(acting: bool) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::capabilities::drop_all_but_watching(acting);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = acting;
        Ok(())
    }
}
