//! The identity of a file and its content.

use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netstat_model::process::FileTime;

/// The time that must have passed since the last change. A file changed more recently could change again without a new
/// timestamp: the clock of most file systems ticks every 4 to 10 ms (`CONFIG_HZ`), that of some every 2 s.
const SETTLED: Duration = Duration::from_secs(3);

/// The identity of a file and its content: a file with an equal identity is considered unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device that the file is on.
    pub device: u64,
    /// The inode number.
    pub inode: u64,
    /// The size in bytes.
    pub size: u64,
    /// The modification time of the content, in nanoseconds since 1970. Programs can set it.
    pub modified: i128,
    /// The change time of the content or attributes, in nanoseconds since 1970. Set only by the kernel.
    pub changed: i128,
}

impl FileId {
    /// Returns the identity of an open file; `None` if it is not a regular file.
    ///
    /// # Errors
    /// Fails if the metadata cannot be read.
    pub fn of(file: &File) -> std::io::Result<Option<FileId>> {
        let facts = netstat_os::files::facts(file)?;
        if !facts.is_file() {
            return Ok(None);
        }
        let nanos = |time: FileTime| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
        Ok(Some(FileId {
            device: facts.device,
            inode: facts.inode,
            size: facts.size,
            modified: nanos(facts.modified),
            changed: nanos(facts.changed),
        }))
    }

    /// Whether the last change is old enough for the identity to be reliable.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else {
            return false;
        };
        let limit = i128::try_from(now.saturating_sub(SETTLED).as_nanos()).unwrap_or(i128::MAX);
        self.changed < limit && self.modified < limit
    }
}
