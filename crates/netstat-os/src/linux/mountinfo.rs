//! Finds mounted network namespaces in the text of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Returns the paths at which network namespaces are mounted, from the text of `/proc/PID/mountinfo`.
pub(super) fn mounted(mountinfo: &[u8]) -> impl Iterator<Item = PathBuf> {
    mounts(mountinfo)
        .filter(|mount| mount.kind == b"nsfs" && mount.root.starts_with(b"net:"))
        .map(|mount| mount.point())
}

/// A line of `/proc/PID/mountinfo`.
#[derive(Clone, Copy, Debug)]
struct Mount<'a> {
    /// The type of the file system.
    kind: &'a [u8],
    /// The root of the mount within the file system.
    root: &'a [u8],
    point: &'a [u8],
}

impl Mount<'_> {
    /// Returns the mount point.
    fn point(&self) -> PathBuf {
        PathBuf::from(unescaped(self.point))
    }
}

/// Parses the mounts in the text of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
fn mounts(mountinfo: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.split(|&byte| byte == b'\n').filter_map(|line| {
        // ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS OPTIONAL... - TYPE SOURCE OPTIONS
        let mut fields = line.split(|&byte| byte == b' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        let kind = fields.skip_while(|&field| field != b"-").nth(1)?;
        Some(Mount { kind, root, point })
    })
}

/// Decodes octal escapes: blanks, tabs, newlines and backslashes are written as `\` and three octal digits.
fn unescaped(path: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after
            .first_chunk::<3>()
            .filter(|digits| byte == b'\\' && is_octal(digits));
        match digits {
            Some(digits) => {
                // At most 0o377.
                let value = digits
                    .iter()
                    .fold(0u32, |sum, digit| sum << 3 | u32::from(digit - b'0'));
                bytes.push(value as u8);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

fn is_octal(digits: &[u8; 3]) -> bool {
    digits[0] <= b'3' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn mounts_of_network_namespaces_are_found() {
        let text = b"36 35 98:0 / /mnt1 rw,noatime master:1 - ext3 /dev/root rw\n\
            100 36 0:4 net:[4026532001] /run/netns/web rw shared:7 - nsfs nsfs rw\n\
            101 36 0:4 net:[4026532002] /run/docker/netns/a\\040b\\134 rw - nsfs nsfs rw\n\
            102 36 0:4 mnt:[4026532003] /run/mnt rw - nsfs nsfs rw\n";
        let paths: Vec<PathBuf> = mounted(text).collect();
        assert_eq!(
            paths,
            [Path::new("/run/netns/web"), Path::new("/run/docker/netns/a b\\")]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(bytes: Vec<u8>, text in "[0-7a-z/ \\\\\n-]{0,200}") {
            let _ = mounted(&bytes).count();
            let _ = mounted(text.as_bytes()).count();
            let _ = unescaped(text.as_bytes());
        }
    }
}
