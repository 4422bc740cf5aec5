//! Which file, and which content of it.

use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netstat_model::process::FileTime;

/// A file changed less than this before it was read could change again without a new time: the clock of most file systems
/// ticks every 4 to 10 ms (`CONFIG_HZ`), that of some every 2 s.
const SETTLED: Duration = Duration::from_secs(3);

/// Which file, and which content of it: a file with the same is taken for unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device that holds it.
    pub device: u64,
    /// Its number on the device.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its content changed last, in nanoseconds since 1970. Programs can set it.
    pub modified: i128,
    /// When its content or attributes changed last, in nanoseconds since 1970. Only the clock sets it.
    pub changed: i128,
}

impl FileId {
    /// That of an open file; `None` for what is not a regular file.
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

    /// Whether the file has not been changed just now.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else {
            return false;
        };
        let limit = i128::try_from(now.saturating_sub(SETTLED).as_nanos()).unwrap_or(i128::MAX);
        self.changed < limit && self.modified < limit
    }
}
