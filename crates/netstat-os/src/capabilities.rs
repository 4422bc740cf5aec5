//! Drops the capabilities that a long-running process does not need.

use std::io;

/// Permanently drops the capabilities (capabilities(7)) that are not needed to watch sockets and processes, which
/// limits the damage that a compromised long-running process can do. If `acting` is set, the capabilities to signal
/// processes and to close connections are kept. Programs that are started later do not regain any.
///
/// Capabilities are per-thread attributes, so this must be called while the process has only one thread. Does nothing
/// on systems without capabilities.
///
/// # Errors
/// Returns the error of the system; capabilities that were dropped before it stay dropped.
pub fn drop_capabilities(acting: bool) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::linux::capabilities::drop_all_but_watching(acting);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = acting;
        Ok(())
    }
}
