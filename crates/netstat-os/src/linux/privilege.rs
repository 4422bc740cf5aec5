//! Capabilities that the program's file lends to a caller who does not have them (capabilities(7), "File capabilities").
//!
//! They are lowered when the program starts and raised only around reads of `/proc` and the kernel, so that nothing else that the
//! program does - opening files that the user named, sending signals, closing connections - is done with them. Capabilities belong to
//! threads: a guard acts on the thread that holds it. For root, and for whoever has the capabilities by himself, nothing changes and
//! a guard costs one load.

use std::io;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// The capabilities that the file lends; 0 when there are none, so that nothing has to be raised.
static LENT: AtomicU64 = AtomicU64::new(0);

/// Lowers what the program's file lends to the caller. To be called first, while there is one thread.
///
/// A set-user-ID program becomes what its caller is: only file capabilities are supported.
///
/// # Errors
/// When the identity of the caller cannot be taken on, which leaves rights that the caller does not have.
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
        // A kernel without capabilities lends none.
        Err(rustix::io::Errno::NOSYS) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut lent = CapabilitySet::empty();
    for capability in sets.permitted.iter() {
        // What is in the ambient set was the caller's before this program was started.
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

/// Whether the program's file lends anything.
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

/// Gives up for ever what the program's file lends. Threads that run already cannot raise anything either from now on.
///
/// # Errors
/// The system's.
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

/// While it lives, the calling thread has other effective capabilities; afterwards, those from before.
#[must_use = "the capabilities change back when this is dropped"]
pub(crate) struct Effective {
    before: Option<CapabilitySets>,
    /// Not to be sent to another thread.
    here: PhantomData<*const ()>,
}

impl Drop for Effective {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // Meanwhile they may have been given up.
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

/// Everything that the file lends: for reads of `/proc` and the kernel that lead to no path chosen by others.
pub(crate) fn raised() -> Effective {
    with(CapabilitySet::all())
}

/// Only what passes the magic links of `/proc/PID`: for files whose paths others choose. What lies behind the link is opened with the
/// caller's own rights to files.
pub(crate) fn links_only() -> Effective {
    with(CapabilitySet::SYS_PTRACE)
}

/// Nothing of what the file lends: for what the caller may read by himself, or not at all.
pub(crate) fn callers_own() -> Effective {
    with(CapabilitySet::empty())
}
