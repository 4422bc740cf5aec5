//! Finds out whether a lock on a file is held (`/proc/locks`, proc_locks(5)) without acquiring it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether a process holds an flock(2) lock on the file at `path`. `false` proves nothing: locks of processes in a PID
/// namespace that is not visible are not listed, and some file systems report another device or inode than the kernel's
/// list.
///
/// # Errors
/// Returns an error if the file does not exist, or the list cannot be read.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    let file = std::fs::metadata(path)?;
    let device = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    Ok(holds(&std::fs::read("/proc/locks")?, device, file.ino()))
}

/// Whether the list contains the file: `1: FLOCK  ADVISORY  WRITE 708 fe:01:1234 0 EOF`. Lines of waiting processes
/// have an arrow.
fn holds(list: &[u8], device: (u32, u32), inode: u64) -> bool {
    let of_file = |line: &[u8]| -> Option<bool> {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split_ascii_whitespace().skip(1);
        let kind = words.next()?;
        let mut file = words.nth(3)?.split(':');
        let major = u32::from_str_radix(file.next()?, 16).ok()?;
        let minor = u32::from_str_radix(file.next()?, 16).ok()?;
        let number: u64 = file.next()?.parse().ok()?;
        Some(kind == "FLOCK" && (major, minor) == device && number == inode)
    };
    list.split(|&byte| byte == b'\n')
        .any(|line| of_file(line) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lock_list_is_searched_by_device_and_inode() {
        let list = b"1: FLOCK  ADVISORY  WRITE 708 fe:0a:1234 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 709 fe:0a:77 0 EOF\n\
            2: POSIX  ADVISORY  READ 5433 08:01:7864448 128 128\n";
        assert!(holds(list, (0xfe, 0x0a), 1234));
        assert!(!holds(list, (0xfe, 0x0b), 1234));
        assert!(!holds(list, (0xfe, 0x0a), 77), "it waits only");
        assert!(!holds(list, (8, 1), 7_864_448), "another kind of lock");
    }

    #[test]
    fn a_lock_is_seen_and_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = std::fs::File::create(&path).unwrap();
        assert!(!is_locked(&path).unwrap());
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        if !is_locked(&path).unwrap() {
            return netstat_testkit::skip(
                "a_lock_is_seen_and_its_end",
                "this file system has other numbers in /proc/locks",
            );
        }
        drop(file);
        assert!(!is_locked(&path).unwrap());
        assert!(is_locked(&directory.path().join("none")).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(list: Vec<u8>, inode: u64) {
            let _ = holds(&list, (1, 2), inode);
        }
    }
}
