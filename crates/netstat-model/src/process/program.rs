//! The program a process runs, and the files behind it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Fact;

/// The program of a process: the file that is really running, and what is in its place now.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Program {
    /// What the kernel says, letter for letter: `/usr/bin/x`, `/usr/bin/x (deleted)`, `/memfd:x (deleted)`.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub reported: Vec<u8>,
    /// The path in the view of the process's own root, without the kernel's mark. Of a program in memory only, its name.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub path: Vec<u8>,
    /// Where the file is now.
    pub place: FileStatus,
    /// The file that is really running, wherever it is and also when it has no name any more.
    pub running: Fact<FileFacts>,
    /// The file that is at `path` now, in the process's own root. [`Why::Gone`](crate::Why::Gone) when none does.
    pub current: Fact<FileFacts>,
    /// The number of the kind of file system the running file lies on (statfs(2), `f_type`).
    pub file_system: Fact<u64>,
    /// The directories above `path`, the nearest first, each as it is in the process's own root.
    pub directories: Fact<Vec<Directory>>,
}

impl Program {
    /// The file name alone.
    pub fn file_name(&self) -> &[u8] {
        crate::text::file_name(&self.path)
    }
}

/// Where the file of a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FileStatus {
    /// At its path.
    There,
    /// It has been removed, and there is nothing at its path.
    Removed,
    /// It has been removed or renamed, and another file is at its path: an update, or a disguise.
    Replaced,
    /// It was never in a directory: memfd_create(2).
    Memory,
    /// The kernel says that it was removed, and what is at its path now cannot be seen.
    RemovedUnseen,
}

/// A directory on the way to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Directory {
    /// Absolute path.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub path: Vec<u8>,
    /// What is there; unknown when it may not be read.
    pub file: Fact<FileFacts>,
}

/// What the file system says about a file (stat(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FileFacts {
    /// The device it lies on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// How many names it has; 0 when it has been removed.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
    /// Kind and permissions (`st_mode`).
    pub mode: u32,
    /// Its user.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// When its content was changed last. Whoever may write the file may set it.
    pub modified: FileTime,
    /// When its content or its standing (mode, owner, names) was changed last. Cannot be set but by turning the clock.
    pub changed: FileTime,
}

impl FileFacts {
    /// Whether any user may write to it (for a directory: without the sticky bit, so that anyone may replace what is in it).
    pub const fn writable_by_all(&self) -> bool {
        let sticky_directory = self.is_directory() && self.mode & 0o1000 != 0;
        self.mode & 0o002 != 0 && !sticky_directory
    }

    /// Whether it is a directory (`S_IFDIR`).
    pub const fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Whether it is a plain file (`S_IFREG`).
    pub const fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Whether both are the same file.
    pub const fn is_same_file(&self, other: &FileFacts) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// A moment in the life of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FileTime {
    /// Seconds after 1970-01-01 00:00 UTC; negative before.
    pub seconds: i64,
    /// Nanoseconds after that second, 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl FileTime {
    /// The moment as the standard library has it; `None` when it lies beyond what that can hold.
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
    fn the_sticky_bit_protects_a_directory_only() {
        let with = |mode| FileFacts { mode, ..FILE };
        assert!(!FILE.writable_by_all());
        assert!(with(0o100_777).writable_by_all());
        assert!(with(0o101_777).writable_by_all());
        assert!(with(0o040_777).writable_by_all());
        assert!(!with(0o041_777).writable_by_all());
    }

    #[test]
    fn moments_before_the_epoch_count_backwards() {
        let time = |seconds, nanoseconds| FileTime { seconds, nanoseconds }.time().unwrap();
        assert_eq!(time(1, 5), UNIX_EPOCH + Duration::new(1, 5));
        assert_eq!(time(-1, 500_000_000), UNIX_EPOCH - Duration::from_millis(500));
        // The earliest and the latest moment: known or not, as the system's clock can give them, but never a panic.
        for seconds in [i64::MIN, i64::MAX] {
            let time = FileTime {
                seconds,
                nanoseconds: 999_999_999,
            };
            assert!(time.time().is_none_or(|time| (time > UNIX_EPOCH) == (seconds > 0)));
        }
    }
}
