//! Signals that end a command in an orderly way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netstat_os::{Caught, System};

/// Returns a flag that becomes `true` when a signal asks the program to end: SIGINT (Ctrl+C), SIGTERM or SIGHUP. Ctrl+Z
/// stops the program as usual.
///
/// # Errors
/// Returns an error if the signals cannot be caught; they then end the program at once.
pub(crate) fn end_requested(system: &mut dyn System) -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    system.catch_signals(Box::new(move |signal| match signal {
        Caught::End(_) => set.store(true, Ordering::Relaxed),
        // If the program cannot stop itself, it continues.
        Caught::Stop => drop(netstat_os::stop_self()),
        Caught::Continue => {}
    }))?;
    Ok(flag)
}
