//! Maps control group ids to paths.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

/// Returns the path of each version 2 control group, relative to the root of the hierarchy, by its id, which is the
/// inode of its directory (`cgroups(7)`; also the value of `INET_DIAG_CGROUP_ID`). `/` is the root. Empty if the
/// hierarchy cannot be read.
pub(super) fn paths(proc: &Path) -> HashMap<u64, Vec<u8>> {
    let mut found = HashMap::new();
    let Some(root) = fs::read(proc.join("self/mountinfo"))
        .ok()
        .and_then(|text| mount_point(&text))
    else {
        return found;
    };
    if let Ok(meta) = fs::metadata(&root) {
        found.insert(std::os::unix::fs::MetadataExt::ino(&meta), b"/".to_vec());
    }
    let mut waiting: Vec<(PathBuf, Vec<u8>)> = vec![(root, Vec::new())];
    while let Some((directory, below)) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        {
            let path = [&below[..], b"/", entry.file_name().as_bytes()].concat();
            found.insert(entry.ino(), path.clone());
            waiting.push((entry.path(), path));
        }
    }
    found
}

/// Returns where the version 2 hierarchy is mounted (`proc_pid_mountinfo(5)`: the file system type follows ` - `).
fn mount_point(mountinfo: &[u8]) -> Option<PathBuf> {
    mountinfo.split(|&byte| byte == b'\n').find_map(|line| {
        let dash = line.windows(3).position(|three| three == b" - ")?;
        let kind = line[dash + 3..].split(|&byte| byte == b' ').next()?;
        let point = line.split(|&byte| byte == b' ').nth(4)?;
        (kind == b"cgroup2").then(|| std::ffi::OsString::from_vec(unescaped(point)).into())
    })
}

/// Decodes octal escapes: the kernel writes blanks and similar characters in its lists of mounts as `\040`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some(digits) => {
                let value = digits
                    .iter()
                    .fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push(value as u8);
                rest = &after[3..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_point_of_version_2_is_found() {
        let text = b"24 29 0:22 / /sys rw shared:7 - sysfs sysfs rw\n\
            33 24 0:28 / /sys/fs/cgroup/a\\040b rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(text), Some("/sys/fs/cgroup/a b".into()));
        assert_eq!(mount_point(b"24 29 0:22 / /sys rw - sysfs sysfs rw\n"), None);
        assert_eq!(mount_point(b"x"), None);
    }
}
