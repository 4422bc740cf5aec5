//! Capabilities: the individual privileges of root (capabilities(7)).

/// A set of capabilities: one bit for each, numbered as in the kernel's `include/uapi/linux/capability.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Capabilities(pub u64);

/// The capability names by number from `include/uapi/linux/capability.h` (Linux 6.18), in lower case and without
/// `CAP_`.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

impl Capabilities {
    /// `CAP_SYS_PTRACE`: may read and change other users' processes.
    pub const SYS_PTRACE: u32 = 19;
    /// `CAP_NET_ADMIN`: may change the network configuration.
    pub const NET_ADMIN: u32 = 12;
    /// `CAP_NET_RAW`: may create raw and packet sockets.
    pub const NET_RAW: u32 = 13;
    /// `CAP_SYS_ADMIN`: may do most of what root may do.
    pub const SYS_ADMIN: u32 = 21;
    /// `CAP_NET_BIND_SERVICE`: may bind to ports below 1024.
    pub const NET_BIND_SERVICE: u32 = 10;

    /// Whether the set contains capability `number`.
    pub const fn has(self, number: u32) -> bool {
        number < 64 && self.0 & (1 << number) != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the capabilities in this set that are not in `other`.
    pub const fn without(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & !other.0)
    }

    /// Returns the number of capabilities in the set.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Returns the name of capability `number`, such as `net_raw`; `None` for one that this program does not know.
    pub fn name(number: u32) -> Option<&'static str> {
        NAMES.get(usize::try_from(number).ok()?).copied()
    }

    /// Returns the names of the capabilities in the set, ordered by number; unknown ones as `cap_NN`.
    pub fn names(self) -> Vec<String> {
        (0..64)
            .filter(|&number| self.has(number))
            .map(|number| match Self::name(number) {
                Some(name) => name.to_owned(),
                None => format!("cap_{number}"),
            })
            .collect()
    }
}

/// The capability sets of a process (capabilities(7), "Thread capability sets").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CapabilitySets {
    /// The capabilities that are in force.
    pub effective: Capabilities,
    /// The capabilities that the process may make effective.
    pub permitted: Capabilities,
    /// The capabilities that are preserved for programs marked for them.
    pub inheritable: Capabilities,
    /// The limit of what the process can ever gain: all capabilities that the kernel knows, unless some were dropped.
    pub bounding: Capabilities,
    /// The capabilities that are passed on to every program (Linux 4.3 and later; empty before).
    pub ambient: Capabilities,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_number_has_name_of_kernel() {
        assert_eq!(Capabilities::name(Capabilities::NET_RAW), Some("net_raw"));
        assert_eq!(Capabilities::name(Capabilities::NET_ADMIN), Some("net_admin"));
        assert_eq!(Capabilities::name(Capabilities::SYS_PTRACE), Some("sys_ptrace"));
        assert_eq!(Capabilities::name(Capabilities::SYS_ADMIN), Some("sys_admin"));
        assert_eq!(
            Capabilities::name(Capabilities::NET_BIND_SERVICE),
            Some("net_bind_service")
        );
        assert_eq!(Capabilities::name(40), Some("checkpoint_restore"));
        assert_eq!(Capabilities::name(41), None);
    }

    #[test]
    fn capability_sets_are_listed_and_subtracted() {
        let set = Capabilities((1 << 13) | (1 << 63) | 1);
        assert_eq!(set.names(), ["chown", "net_raw", "cap_63"]);
        assert_eq!(set.count(), 3);
        assert!(set.has(63) && !set.has(64) && !set.has(1));
        assert_eq!(set.without(Capabilities(1)).names(), ["net_raw", "cap_63"]);
        assert!(set.without(set).is_empty());
    }
}
