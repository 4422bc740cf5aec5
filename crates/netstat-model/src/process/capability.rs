//! Capabilities: the rights of root, one by one (capabilities(7)).

/// A set of capabilities, one bit each, numbered as in the kernel's `include/uapi/linux/capability.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Capabilities(pub u64);

/// The names, by number, of `include/uapi/linux/capability.h` (Linux 6.18), without `CAP_` and in lower case.
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
    /// May read and change other users' processes.
    pub const SYS_PTRACE: u32 = 19;
    /// May change the network's set-up.
    pub const NET_ADMIN: u32 = 12;
    /// May make raw and packet sockets.
    pub const NET_RAW: u32 = 13;
    /// May do most of what root does.
    pub const SYS_ADMIN: u32 = 21;
    /// May serve ports below 1024.
    pub const NET_BIND_SERVICE: u32 = 10;

    /// Whether capability `number` is in the set.
    pub const fn has(self, number: u32) -> bool {
        number < 64 && self.0 & (1 << number) != 0
    }

    /// Whether none is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in this set that are not in `other`.
    pub const fn without(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & !other.0)
    }

    /// How many are in the set.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The name of capability `number`, as `net_raw`; `None` for one that this program does not know.
    pub fn name(number: u32) -> Option<&'static str> {
        NAMES.get(usize::try_from(number).ok()?).copied()
    }

    /// The names of those in the set, in the order of their numbers; unknown ones as `cap_NN`.
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
    /// What it may do now.
    pub effective: Capabilities,
    /// What it may take up.
    pub permitted: Capabilities,
    /// What it may hand on to programs that are marked for it.
    pub inheritable: Capabilities,
    /// Beyond which it can never gain any. All that the kernel knows, unless something was taken away.
    pub bounding: Capabilities,
    /// What it hands on to every program (Linux 4.3 and later; empty before).
    pub ambient: Capabilities,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_the_kernel() {
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
    fn sets_are_listed_and_subtracted() {
        let set = Capabilities((1 << 13) | (1 << 63) | 1);
        assert_eq!(set.names(), ["chown", "net_raw", "cap_63"]);
        assert_eq!(set.count(), 3);
        assert!(set.has(63) && !set.has(64) && !set.has(1));
        assert_eq!(set.without(Capabilities(1)).names(), ["net_raw", "cap_63"]);
        assert!(set.without(set).is_empty());
    }
}
