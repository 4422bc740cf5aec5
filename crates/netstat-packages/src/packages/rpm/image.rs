//! Reads an SQLite database file, with the pages of its write-ahead log, into an image in memory.
//!
//! The file is read directly and not opened by SQLite. Links are thus followed only within the root, no lock is taken,
//! and nothing is written. (SQLite, "Database File Format", sections 1.3 and 4.)

use std::io;

use netstat_os::files;

use crate::packages::root::{Root, read_up_to};

/// The maximum size of the database in bytes. The largest in use have some hundred MB.
const MAX_FILE: u64 = 1 << 30;
/// The number of attempts if a transaction is committed during the read.
const TRIES: usize = 3;
/// "SQLite format 3" and a zero byte.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Returns the image of the database `path` as of the last transaction, ready to be passed to SQLite.
pub(super) fn read(root: &Root, path: &str) -> io::Result<Vec<u8>> {
    let (mut image, mut log) = (Vec::new(), Vec::new());
    let stamp = || -> io::Result<_> {
        let of = |path: &str| {
            root.file(path.as_bytes())
                .and_then(|file| files::facts(&file))
                .map(|facts| (facts.size, facts.modified))
        };
        let log = match of(&format!("{path}-wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        Ok((of(path)?, log))
    };
    for _ in 0..TRIES {
        let before = stamp()?;
        log.clear();
        if before.1.is_some_and(|(length, _)| length > 0) {
            read_up_to(root.file(format!("{path}-wal").as_bytes())?, MAX_FILE, &mut log)?;
        }
        read_up_to(root.file(path.as_bytes())?, MAX_FILE, &mut image)?;
        // If a transaction was committed or the log was checkpointed in the meantime, the stamps differ.
        if stamp()? == before {
            if image.get(..16) != Some(MAGIC) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no SQLite database"));
            }
            apply(&mut image, &log);
            // Set the write and read version to that without a log, which an in-memory database cannot have.
            image[18..20].copy_from_slice(&[1, 1]);
            return Ok(image);
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is being written"))
}

/// Applies the pages of all committed transactions of a write-ahead log to `image`. Like SQLite, ignores what is
/// damaged or uncommitted.
pub fn apply(image: &mut Vec<u8>, log: &[u8]) {
    let Some(frames) = frames(log) else {
        return;
    };
    let Some(last) = frames.pages.iter().rposition(|page| page.size_after > 0) else {
        return;
    };
    let size = frames.page_size;
    for page in &frames.pages[..=last] {
        let end = page.number as usize * size;
        if end as u64 > MAX_FILE {
            return;
        }
        if image.len() < end {
            image.resize(end, 0);
        }
        image[end - size..end].copy_from_slice(page.content);
    }
    let whole = frames.pages[last].size_after as usize * size;
    if whole as u64 <= MAX_FILE && whole >= 512 {
        image.resize(whole, 0);
    }
}

struct Frames<'a> {
    page_size: usize,
    pages: Vec<Page<'a>>,
}

struct Page<'a> {
    /// The page number, counted from 1.
    number: u32,
    /// The number of pages of the database after the transaction that this frame commits; 0 if it commits none.
    size_after: u32,
    content: &'a [u8],
}

/// Returns the valid frames of a log, up to the first invalid one.
fn frames(log: &[u8]) -> Option<Frames<'_>> {
    let word = |at: usize| -> Option<u32> { Some(u32::from_be_bytes(log.get(at..at + 4)?.try_into().ok()?)) };
    let big_endian = match word(0)? {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return None,
    };
    let page_size = word(8)? as usize;
    if !(512..=65536).contains(&page_size) || !page_size.is_power_of_two() {
        return None;
    }
    let (salt, mut sum) = (log.get(16..24)?, (0, 0));
    add(&mut sum, &log[..24], big_endian);
    if (word(24)?, word(28)?) != sum {
        return None;
    }
    let mut pages = Vec::new();
    for frame in log[32..].chunks_exact(24 + page_size) {
        let word = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        let (head, content) = frame.split_at(24);
        add(&mut sum, &head[..8], big_endian);
        add(&mut sum, content, big_endian);
        if &head[8..16] != salt || (word(16), word(20)) != sum || word(0) == 0 {
            break;
        }
        pages.push(Page {
            number: word(0),
            size_after: word(4),
            content,
        });
    }
    Some(Frames { page_size, pages })
}

/// Updates the checksum of section 4.2.
fn add(sum: &mut (u32, u32), bytes: &[u8], big_endian: bool) {
    for eight in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let four = [eight[at], eight[at + 1], eight[at + 2], eight[at + 3]];
            if big_endian {
                u32::from_be_bytes(four)
            } else {
                u32::from_le_bytes(four)
            }
        };
        sum.0 = sum.0.wrapping_add(word(0)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(word(4)).wrapping_add(sum.0);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;

    /// Returns the contents of a table, read through the image.
    fn rows(dir: &std::path::Path) -> Vec<i64> {
        let image = read(&Root::open(dir).unwrap(), "/db").unwrap();
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .deserialize_read_exact("main", &image[..], image.len(), true)
            .unwrap();
        let mut query = connection.prepare("SELECT x FROM t ORDER BY x").unwrap();
        query
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn rpm_database_write_ahead_log_is_read_up_to_damage() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Connection::open(dir.path().join("db")).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        writer
            .execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
            .unwrap();
        assert!(std::fs::metadata(dir.path().join("db-wal")).unwrap().len() > 0);
        assert_eq!(rows(dir.path()), [1]);
        // More pages than the file has, and an uncommitted transaction.
        writer.execute_batch("WITH RECURSIVE c(x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM c WHERE x < 5000) INSERT INTO t SELECT x FROM c").unwrap();
        writer.execute_batch("BEGIN; INSERT INTO t VALUES (9999)").unwrap();
        assert_eq!(rows(dir.path()), (1..=5000).collect::<Vec<_>>());
        // A log with a damaged end counts up to the damage.
        let mut log = std::fs::read(dir.path().join("db-wal")).unwrap();
        let last = log.len() - 100;
        log[last] ^= 1;
        std::fs::write(dir.path().join("db-wal"), log).unwrap();
        assert_eq!(rows(dir.path()), [1]);
        std::fs::write(dir.path().join("db-wal"), "no log").unwrap();
        std::fs::write(dir.path().join("db"), "no database").unwrap();
        assert!(read(&Root::open(dir.path()).unwrap(), "/db").is_err());
    }

    proptest! {
        #[test]
        fn rpm_database_with_any_log_never_panics(mut image in prop::collection::vec(any::<u8>(), 0..600), log: Vec<u8>, magic: bool) {
            let mut log = log;
            if magic {
                log.splice(0..0, 0x377f_0682u32.to_be_bytes());
            }
            apply(&mut image, &log);
        }
    }
}
