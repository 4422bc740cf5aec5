//! Handling of capabilities that the executable file gives to a caller who does not have them (capabilities(7), "File
//! capabilities").
//!
//! They are lowered when the program starts and raised only around reads of `/proc` and queries to the kernel.
//! Everything else, such as opening files that the user named, sending signals and closing connections, is done without
//! them. Capabilities are per-thread, so a guard affects the thread that holds it. For root, and for callers who have
//! the capabilities themselves, nothing changes and a guard costs one load.

use std::io;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// The capabilities that the file gives to the caller; 0 if there are none, in which case nothing has to be raised.
static LENT: AtomicU64 = AtomicU64::new(0);

/// Lowers the capabilities that the executable file gives to the caller. Must be called first, while the process has
/// only one thread.
///
/// A set-user-ID program takes on the identity of its caller, because only file capabilities are supported.
///
/// # Errors
/// Returns an error if the identity of the caller cannot be taken on, which would leave privileges that the caller does
/// not have.
pub(crate) fn lower() -> io::Result<()> {
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    if user != rustix::process::geteuid() || group != rustix::process::getegid() {
        become_caller(user, group)?;
    }
    if user.is_root() {
        return Ok(());
    }
    let sets = match capabilities(None) {
        Ok(sets) => sets,
        // A kernel without capabilities gives none.
        Err(rustix::io::Errno::NOSYS) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut lent = CapabilitySet::empty();
    for capability in sets.permitted.iter() {
        // The capabilities in the ambient set belonged to the caller before this program was started.
        if !rustix::thread::capability_is_in_ambient_set(capability).unwrap_or(false) {
            lent |= capability;
        }
    }
    if lent.is_empty() {
        return Ok(());
    }
    set_effective(sets, sets.permitted.difference(lent))?;
    LENT.store(lent.bits(), Ordering::Relaxed);
    Ok(())
}

/// Whether the executable file gives any capabilities to the caller.
pub(crate) fn is_lent() -> bool {
    LENT.load(Ordering::Relaxed) != 0
}

fn become_caller(user: Uid, group: Gid) -> io::Result<()> {
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    Ok(())
}

fn set_effective(sets: CapabilitySets, effective: CapabilitySet) -> io::Result<()> {
    Ok(set_capabilities(None, CapabilitySets { effective, ..sets })?)
}

/// Permanently drops the capabilities from the executable file. Threads that are already running cannot raise them any
/// more, either.
///
/// # Errors
/// Returns the error of the system.
pub(crate) fn give_up() -> io::Result<()> {
    let lent = CapabilitySet::from_bits_retain(LENT.swap(0, Ordering::Relaxed));
    if lent.is_empty() {
        return Ok(());
    }
    let sets = capabilities(None)?;
    let kept = CapabilitySets {
        effective: sets.effective.difference(lent),
        permitted: sets.permitted.difference(lent),
        inheritable: sets.inheritable.difference(lent),
    };
    Ok(set_capabilities(None, kept)?)
}

/// A guard during whose lifetime the calling thread has other effective capabilities; the previous ones are restored on
/// drop.
#[must_use = "the capabilities change back when this is dropped"]
pub(crate) struct Effective {
    before: Option<CapabilitySets>,
    /// Prevents sending the guard to another thread.
    here: PhantomData<*const ()>,
}

impl Drop for Effective {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // The capabilities may have been dropped in the meantime.
            let permitted = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
            let _ = set_effective(CapabilitySets { permitted, ..before }, before.effective & permitted);
        }
    }
}

fn with(wanted: CapabilitySet) -> Effective {
    let lent = CapabilitySet::from_bits_retain(LENT.load(Ordering::Relaxed));
    let changed = (!lent.is_empty()).then(|| {
        let sets = capabilities(None).ok()?;
        let effective = sets.effective.difference(lent) | (sets.permitted & lent & wanted);
        set_effective(sets, effective).ok().map(|()| sets)
    });
    Effective {
        before: changed.flatten(),
        here: PhantomData,
    }
}

/// Raises all capabilities from the file: for reads of `/proc` and queries to the kernel that involve no path that
/// others control.
pub(crate) fn raised() -> Effective {
    with(CapabilitySet::all())
}

/// Raises only the capability to follow the magic links in `/proc/PID`: for files at paths that others control. The
/// target of the link is opened with the caller's own access rights.
pub(crate) fn links_only() -> Effective {
    with(CapabilitySet::SYS_PTRACE)
}

/// Lowers all capabilities from the file: for what the caller must be able to read with its own access rights.
pub(crate) fn callers_own() -> Effective {
    with(CapabilitySet::empty())
}
