//! The id that identifies a computer in a fleet, because host names are not unique.

use sha2::{Digest, Sha256};

/// The id of a computer in a fleet.
pub type HostId = u64;

/// Returns the id of the computer with this machine id (`machine-id(5)`). It is a hash, because the machine id itself
/// must be kept confidential according to that manual page.
pub fn host_id(machine_id: &str) -> HostId {
    let mut hash = Sha256::new();
    hash.update(b"netstat fleet host 1\0");
    hash.update(machine_id.trim().as_bytes());
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_id_depends_on_the_machine_id_alone() {
        let id = host_id("0123456789abcdef0123456789abcdef\n");
        assert_eq!(id, host_id("0123456789abcdef0123456789abcdef"));
        assert_ne!(id, host_id("0123456789abcdef0123456789abcdee"));
    }
}
