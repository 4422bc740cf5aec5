//! Converts the result of stat(2).

use netstat_model::process::{FileFacts, FileTime};
use rustix::fs::Stat;

/// Returns the facts that stat(2) reports about a file.
#[allow(clippy::unnecessary_cast, reason = "the types differ from processor to processor")]
pub(crate) fn stat_facts(stat: &Stat) -> FileFacts {
    let time = |seconds: i64, nanoseconds: u64| FileTime {
        seconds,
        nanoseconds: nanoseconds as u32,
    };
    FileFacts {
        device: stat.st_dev,
        inode: stat.st_ino,
        links: stat.st_nlink as u64,
        size: stat.st_size as u64,
        mode: stat.st_mode,
        user: stat.st_uid,
        group: stat.st_gid,
        modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
    }
}
