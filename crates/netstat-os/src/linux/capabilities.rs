//! The capabilities that a process which watches sockets and processes keeps.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// The capabilities needed for watching: eBPF programs and tracepoints (BPF, PERFMON), the details and files of other
/// users' processes (SYS_PTRACE, DAC_READ_SEARCH), and the rules of the packet filter, which require NET_ADMIN to read.
const WATCHING: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::NET_ADMIN);
/// Needed in addition before Linux 5.8, which has no CAP_BPF: eBPF requires SYS_ADMIN, and its maps may exceed the
/// limit on locked memory (SYS_RESOURCE).
const BEFORE_BPF: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::SYS_RESOURCE);
/// Needed in addition to signal processes of other users. Closing connections needs NET_ADMIN.
const ACTING: CapabilitySet = CapabilitySet::KILL;

/// Implements [`crate::drop_capabilities`].
pub(crate) fn drop_all_but_watching(acting: bool) -> io::Result<()> {
    let held = match capabilities(None) {
        Ok(held) => held,
        // The kernel was built without capabilities.
        Err(rustix::io::Errno::NOSYS) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    set_no_new_privs(true)?;
    let mut kept = WATCHING;
    if acting {
        kept |= ACTING;
    }
    // An unknown capability is an error (prctl(2), PR_CAPBSET_READ).
    if capability_is_in_bounding_set(CapabilitySet::BPF).is_err() {
        kept |= BEFORE_BPF;
    }
    let _ = clear_ambient_capability_set();
    // Without SETPCAP the bounding set cannot be reduced; because of no_new_privs, no program gains anything from it.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all().difference(kept).iter() {
            match remove_capability_from_bounding_set(capability) {
                // An older kernel does not know this capability.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(set_capabilities(
        None,
        CapabilitySets {
            effective: held.effective & kept,
            permitted: held.permitted & kept,
            inheritable: CapabilitySet::empty(),
        },
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_capabilities_are_gone_in_this_thread_and_in_what_it_starts() {
        // Capabilities are per-thread: use a thread that ends with this test, because the test's own thread may be
        // shared.
        std::thread::spawn(dropped).join().unwrap();
    }

    fn dropped() {
        let of = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
        };
        let before = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        drop_all_but_watching(true).unwrap();
        let after = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let kept = (WATCHING | ACTING | BEFORE_BPF).bits();
        for name in ["CapPrm:", "CapEff:"] {
            assert_eq!(of(&after, name) & !kept, 0, "{after}");
            let wanted = (WATCHING | ACTING).bits();
            assert_eq!(of(&after, name) & wanted, of(&before, name) & wanted, "{after}");
        }
        assert_eq!(of(&after, "CapInh:") | of(&after, "CapAmb:"), 0, "{after}");
        assert!(after.contains("NoNewPrivs:\t1"), "{after}");
        let child = std::process::Command::new("cat")
            .arg("/proc/self/status")
            .output()
            .unwrap();
        let child = String::from_utf8(child.stdout).unwrap();
        assert_eq!(of(&child, "CapEff:") & !kept, 0, "{child}");
    }
}
