//! Opens SQLite for a file that may be damaged or malicious.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::{StoreError, check};

/// How long a statement may take to reach its next row, in seconds. A query that scans 20 million flows takes about 30
/// seconds on a slow disk, whereas a damaged tree can be circular.
const PATIENCE: u64 = 300;
/// The number of SQLite virtual machine instructions between two checks of the time, about 0.1 ms.
const INSTRUCTIONS: i32 = 10_000;
/// The maximum length of a value in bytes. Command lines and paths are the longest values written.
const LONGEST: i32 = 1 << 20;
/// The maximum length of a statement. The longest list has 10,000 numbers of 20 digits.
const LONGEST_STATEMENT: i32 = 1 << 20;

/// Records when the running statement last made progress.
#[derive(Clone, Debug)]
pub(crate) struct Watchdog {
    start: Instant,
    /// The time of the last progress, in milliseconds after `start`.
    fed: Arc<AtomicU64>,
    /// The time that may pass without progress, in milliseconds.
    patience: u64,
}

impl Watchdog {
    fn new(patience: Duration) -> Watchdog {
        Watchdog {
            start: Instant::now(),
            fed: Arc::new(AtomicU64::new(0)),
            patience: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Records that a statement begins or has reached its next row.
    pub(crate) fn feed(&self) {
        self.fed.store(self.now(), Ordering::Relaxed);
    }

    fn has_waited_enough(&self) -> bool {
        self.now().saturating_sub(self.fed.load(Ordering::Relaxed)) > self.patience
    }
}

/// Opens the database at `path`, whose files must have been checked.
pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<(Connection, Watchdog), StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| StoreError::Sqlite(path.into(), error))?;
    let watchdog = harden(&connection).map_err(|error| StoreError::Sqlite(path.into(), error))?;
    Ok((connection, watchdog))
}

/// Opens the database for reading.
///
/// # Errors
/// Returns an error if there is none, or if it is not a record.
pub(crate) fn open_to_read(path: &Path) -> Result<(Connection, Watchdog), StoreError> {
    let path = match check::resolved(path) {
        Ok(path) => path,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::Absent(path.to_owned())),
        Err(error) => return Err(StoreError::File(path.to_owned(), error)),
    };
    check::for_reading(&path)?;
    let (connection, watchdog) = open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let failed = |error| StoreError::Sqlite(path.clone(), error);
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    connection
        .pragma_update(None, "cache_size", -16 * 1024)
        .map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok((connection, watchdog))
}

/// Enables all that SQLite offers to defend against untrusted databases (https://www.sqlite.org/security.html).
fn harden(connection: &Connection) -> rusqlite::Result<Watchdog> {
    for (switch, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        connection.set_db_config(switch, on)?;
    }
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, LONGEST),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, LONGEST_STATEMENT),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        (Limit::SQLITE_LIMIT_COLUMN, 64),
    ] {
        connection.set_limit(limit, most)?;
    }
    connection.pragma_update(None, "cell_size_check", true)?;
    // If another program truncates a mapped file, accessing the missing page ends this one with SIGBUS.
    connection.pragma_update(None, "mmap_size", 0)?;
    let watchdog = Watchdog::new(Duration::from_secs(PATIENCE));
    let watched = watchdog.clone();
    connection.progress_handler(INSTRUCTIONS, Some(move || watched.has_waited_enough()))?;
    Ok(watchdog)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_statement_without_end_is_interrupted() {
        let connection = Connection::open_in_memory().unwrap();
        harden(&connection).unwrap();
        let watchdog = Watchdog::new(Duration::from_millis(20));
        let watched = watchdog.clone();
        connection
            .progress_handler(INSTRUCTIONS, Some(move || watched.has_waited_enough()))
            .unwrap();
        let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
        watchdog.feed();
        let error = connection
            .query_row(endless, [], |row| row.get::<_, i64>(0))
            .unwrap_err();
        assert_eq!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::OperationInterrupted)
        );
    }

    #[test]
    fn hardened_database_ignores_views_and_triggers() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t(x); CREATE TABLE seen(x); CREATE VIEW v AS SELECT 1 AS x;
                 CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO seen VALUES(1); END;",
            )
            .unwrap();
        harden(&connection).unwrap();
        assert!(
            connection
                .query_row("SELECT x FROM v", [], |row| row.get::<_, i64>(0))
                .is_err()
        );
        connection.execute("INSERT INTO t VALUES(1)", []).unwrap();
        let seen: i64 = connection
            .query_row("SELECT count(*) FROM seen", [], |row| row.get(0))
            .unwrap();
        assert_eq!(seen, 0);
        assert!(
            connection.execute("PRAGMA writable_schema = 1; ", []).is_err()
                || connection.execute("UPDATE sqlite_schema SET sql = ''", []).is_err()
        );
    }
}
