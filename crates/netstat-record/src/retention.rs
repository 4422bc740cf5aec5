//! Keeps the store within its bounds.

use rusqlite::params;

use crate::flow::Millis;
use crate::store::{StoreError, Writer};

/// What may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Flows that ended longer ago than this go; in milliseconds.
    pub keep: Option<u64>,
    /// When the store is larger than this, the oldest flows go; in bytes.
    pub max_size: Option<u64>,
}

/// Flows removed in one transaction, so that recording never waits long.
const ROUND: i64 = 20_000;

impl Writer {
    /// Removes what may not be kept at `now`, at most some 20,000 flows; returns how many. To be called again soon when it is not 0.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retain(&mut self, retention: Retention, now: Millis) -> Result<u64, StoreError> {
        let mut removed = 0;
        if let Some(keep) = retention.keep {
            let before = now.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX));
            let text = "DELETE FROM flow WHERE id IN (SELECT id FROM flow WHERE first < ?1 AND first + span < ?1
                        AND id NOT IN (SELECT flow FROM live) LIMIT ?2)";
            let connection = self.connection();
            removed += connection.execute(text, params![before, ROUND])?;
            connection.execute("DELETE FROM gap WHERE until < ?1", [before])?;
        }
        if let Some(most) = retention.max_size
            && self.bytes_used()? > most
        {
            let text = "DELETE FROM flow WHERE id IN (SELECT id FROM flow WHERE id NOT IN (SELECT flow FROM live)
                        ORDER BY id LIMIT ?1)";
            removed += self.connection().execute(text, [ROUND])?;
        }
        if removed > 0 {
            let connection = self.connection();
            // Processes are numbered as they come, so those below the first one in use are of no use any more.
            let text = "DELETE FROM process WHERE id < (SELECT min(process) FROM flow WHERE process IS NOT NULL)";
            connection.execute(text, [])?;
            connection.execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(PASSIVE);")?;
            self.forget();
        }
        Ok(removed as u64)
    }

    /// Bytes of the file that hold something.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn bytes_used(&self) -> Result<u64, StoreError> {
        let number = |name: &str| -> Result<i64, StoreError> {
            Ok(self
                .reading()
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)
        };
        let pages = number("page_count")? - number("freelist_count")?;
        Ok(u64::try_from(pages * number("page_size")?).unwrap_or(0))
    }
}
