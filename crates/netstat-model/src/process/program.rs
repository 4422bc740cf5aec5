//! The program a process runs, and the files behind it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Fact;

/// The program of a process: the file that is running, and the file that is at its path now.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Program {
    /// The path exactly as the kernel reports it: `/usr/bin/x`, `/usr/bin/x (deleted)`, `/memfd:x (deleted)`.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub reported: Vec<u8>,
    /// The path relative to the process's own root, without the kernel's mark; the name if the program exists in memory
    /// only.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub path: Vec<u8>,
    /// Whether the running file is still at its path.
    pub place: FileStatus,
    /// The file that is running, even if it was moved or no longer has a name.
    pub running: Fact<FileFacts>,
    /// The file that is at `path` now, in the process's own root; [`Why::Gone`](crate::Why::Gone) if there is none.
    pub current: Fact<FileFacts>,
    /// The type of the file system that holds the running file (statfs(2), `f_type`).
    pub file_system: Fact<u64>,
    /// The directories above `path`, the nearest first, as they are in the process's own root.
    pub directories: Fact<Vec<Directory>>,
}

impl Program {
    /// Returns the last component of the path.
    pub fn file_name(&self) -> &[u8] {
        crate::text::file_name(&self.path)
    }
}

/// The whereabouts of a program's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FileStatus {
    /// The file is at its path.
    There,
    /// The file was removed, and there is nothing at its path.
    Removed,
    /// The file was removed or renamed, and another one is at its path: an update, or a disguise.
    Replaced,
    /// The file was never in a directory (memfd_create(2)).
    Memory,
    /// The kernel reports that the file was removed, but what is at its path now cannot be seen.
    RemovedUnseen,
}

/// A directory on the path to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Directory {
    /// The absolute path.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub path: Vec<u8>,
    /// The directory's metadata; unknown if it may not be read.
    pub file: Fact<FileFacts>,
}

/// The metadata of a file (stat(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FileFacts {
    /// The device of its file system.
    pub device: u64,
    /// The inode on that device.
    pub inode: u64,
    /// The number of hard links; 0 if the file was removed.
    pub links: u64,
    /// The size in bytes.
    pub size: u64,
    /// The file type and permissions (`st_mode`).
    pub mode: u32,
    /// The id of the owning user.
    pub user: u32,
    /// The id of the owning group.
    pub group: u32,
    /// The time of the last modification of its content. Whoever may write the file may set it.
    pub modified: FileTime,
    /// The time of the last change of its content or metadata (mode, owner, names). It can only be set by changing the
    /// clock.
    pub changed: FileTime,
}

impl FileFacts {
    /// Whether every user may write to it. A directory with the sticky bit does not count, because users cannot replace
    /// others' files there.
    pub const fn writable_by_all(&self) -> bool {
        let sticky_directory = self.is_directory() && self.mode & 0o1000 != 0;
        self.mode & 0o002 != 0 && !sticky_directory
    }

    /// Whether it is a directory (`S_IFDIR`).
    pub const fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Whether it is a regular file (`S_IFREG`).
    pub const fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Whether both are the same file, by device and inode.
    pub const fn is_same_file(&self, other: &FileFacts) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// A timestamp of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FileTime {
    /// Seconds since 1970-01-01 00:00 UTC; negative before.
    pub seconds: i64,
    /// Nanoseconds after that second, 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl FileTime {
    /// Converts the timestamp to [`SystemTime`]; `None` if it is outside its range.
    pub fn time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second = if self.seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        second?.checked_add(Duration::from_nanos(self.nanoseconds.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileFacts = FileFacts {
        device: 1,
        inode: 2,
        links: 1,
        size: 0,
        mode: 0o100_755,
        user: 0,
        group: 0,
        modified: FileTime {
            seconds: 0,
            nanoseconds: 0,
        },
        changed: FileTime {
            seconds: 0,
            nanoseconds: 0,
        },
    };

    #[test]
    fn writable_by_all_sticky_bit_protects_directory_only() {
        let with = |mode| FileFacts { mode, ..FILE };
        assert!(!FILE.writable_by_all());
        assert!(with(0o100_777).writable_by_all());
        assert!(with(0o101_777).writable_by_all());
        assert!(with(0o040_777).writable_by_all());
        assert!(!with(0o041_777).writable_by_all());
    }

    #[test]
    fn file_time_before_epoch_or_out_of_range_is_safe() {
        let time = |seconds, nanoseconds| FileTime { seconds, nanoseconds }.time().unwrap();
        assert_eq!(time(1, 5), UNIX_EPOCH + Duration::new(1, 5));
        assert_eq!(time(-1, 500_000_000), UNIX_EPOCH - Duration::from_millis(500));
        // The earliest and the latest timestamps may be out of the system clock's range but must not panic.
        for seconds in [i64::MIN, i64::MAX] {
            let time = FileTime {
                seconds,
                nanoseconds: 999_999_999,
            };
            assert!(time.time().is_none_or(|time| (time > UNIX_EPOCH) == (seconds > 0)));
        }
    }
}
