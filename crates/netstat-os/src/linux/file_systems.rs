//! The free space of file systems on local disks.

use std::path::Path;

use rustix::fs::statvfs;

use crate::FileSystemSpace;

/// Returns the file systems on block devices, one for each device. Others are not queried, because a server that does
/// not respond would block the caller.
pub(super) fn read() -> std::io::Result<Vec<FileSystemSpace>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let mut found: Vec<FileSystemSpace> = Vec::new();
    for (device, mount_point) in text.split(|&byte| byte == b'\n').filter_map(parse) {
        if found.iter().any(|known| known.device == device) {
            continue;
        }
        let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(mount_point.as_slice());
        // A file system that the caller may not access is left out.
        if let Ok(space) = statvfs(Path::new(path)) {
            found.push(FileSystemSpace {
                device,
                mount_point,
                total: space.f_blocks.saturating_mul(space.f_frsize),
                available: space.f_bavail.saturating_mul(space.f_frsize),
            });
        }
    }
    Ok(found)
}

/// Parses the device and mount point from a line of `/proc/self/mountinfo` (proc_pid_mountinfo(5), fields 3 and 5).
/// `None` for file systems without a block device (major number 0) and for malformed lines.
fn parse(line: &[u8]) -> Option<((u32, u32), Vec<u8>)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let escaped = fields.nth(1)?;
    (device.0 != 0).then(|| (device, unescape(escaped)))
}

/// Decodes octal escapes: blanks, tabs, newlines and backslashes are written as a backslash and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                out.push(byte);
                rest = &tail[3..];
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_gives_block_devices_only() {
        let line = b"36 35 254:1 /mnt1 /mnt/a\\040b rw,noatime master:1 - ext4 /dev/vda1 rw";
        assert_eq!(parse(line), Some(((254, 1), b"/mnt/a b".to_vec())));
        assert_eq!(parse(b"22 1 0:21 / /proc rw - proc proc rw"), None);
        for damaged in [&b""[..], b"36", b"36 35 x:1 / /", b"36 35 254 / /"] {
            assert_eq!(parse(damaged), None);
        }
    }

    #[test]
    fn space_available_is_not_more_than_total() {
        for one in read().unwrap() {
            assert!(one.available <= one.total, "{one:?}");
        }
    }
}
