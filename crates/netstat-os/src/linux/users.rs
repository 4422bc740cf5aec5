//! User ids in the caller's user namespace: user_namespaces(7).

use std::path::Path;

/// `DEFAULT_OVERFLOWUID` of linux/highuid.h.
const DEFAULT_OVERFLOW: u32 = 65534;

/// Returns the id that stands for users without a mapping in the caller's user namespace; `None` if all are mapped.
/// `proc` is where procfs is mounted.
pub(super) fn unmapped(proc: &Path) -> Option<u32> {
    let map = std::fs::read_to_string(proc.join("self/uid_map")).ok()?;
    if maps_all(&map) {
        return None;
    }
    let overflow = std::fs::read_to_string(proc.join("sys/kernel/overflowuid"));
    let number = overflow.ok().and_then(|text| text.trim().parse().ok());
    Some(number.unwrap_or(DEFAULT_OVERFLOW))
}

/// Whether the text of a `uid_map` maps every user. Its lines contain the first id inside, the first id outside and the
/// number of ids. The highest 32-bit number is not a valid id.
fn maps_all(map: &str) -> bool {
    let length = |line: &str| line.split_whitespace().nth(2)?.parse::<u64>().ok();
    map.lines().filter_map(length).sum::<u64>() >= u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmapped_user_is_overflow_id_only_where_map_is_partial() {
        let proc = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = proc.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(unmapped(proc.path()), None, "a system without user namespaces");
        put("self/uid_map", "         0          0 4294967295\n");
        assert_eq!(unmapped(proc.path()), None);
        put(
            "self/uid_map",
            "         0       1000          1\n         1     100000      65536\n",
        );
        assert_eq!(unmapped(proc.path()), Some(65534));
        put("sys/kernel/overflowuid", "60001\n");
        assert_eq!(unmapped(proc.path()), Some(60001));
        assert!(maps_all("0 1 1000\n1000 0 1\n1001 1001 4294966294\n"));
    }
}
