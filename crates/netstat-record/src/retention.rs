//! Keeps the store within its limits.

use std::collections::HashSet;

use rusqlite::{Connection, Params, params};

use crate::flow::Millis;
use crate::schema::SEGMENT_BITS;
use crate::store::{StoreError, Writer};

/// The limits of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The time after which ended flows are removed, in milliseconds; `None` for no limit.
    pub keep: Option<u64>,
    /// The size above which the oldest flows are removed, in bytes; `None` for no limit.
    pub max_size: Option<u64>,
}

/// The maximum number of flows removed in one transaction, so that recording never waits long.
const ROUND: i64 = 20_000;

/// Removes the flows that the statement `text` selects, adds their processes to `processes`, and returns the number of
/// flows.
fn remove(
    connection: &Connection,
    text: &str,
    values: impl Params,
    processes: &mut HashSet<i64>,
) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(text)?;
    let mut rows = statement.query(values)?;
    let mut removed = 0;
    while let Some(row) = rows.next()? {
        processes.extend(row.get::<_, Option<i64>>(0)?);
        removed += 1;
    }
    Ok(removed)
}

/// The maximum number of pages returned to the file system afterwards, which is several times those of the flows
/// removed.
const GIVEN_BACK: u32 = 4_000;

impl Writer {
    /// Removes what may not be kept at `now`, about 20,000 flows at most, and returns their number. Call it again soon
    /// if that is not 0.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn retain(&mut self, retention: Retention, now: Millis) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut processes = HashSet::new();
        let too_large = match retention.max_size {
            Some(most) => self.bytes_used()? > most,
            None => false,
        };
        let change = self.connection().transaction()?;
        if let Some(keep) = retention.keep {
            let before = now.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX));
            let text = "DELETE FROM flow WHERE id IN (SELECT id FROM flow WHERE first < ?1 AND first + span < ?1
                        AND id NOT IN (SELECT flow FROM live) LIMIT ?2) RETURNING process";
            removed += remove(&change, text, params![before, ROUND], &mut processes)?;
            change
                .prepare_cached("DELETE FROM gap WHERE until < ?1")?
                .execute([before])?;
        }
        if too_large {
            let text = "DELETE FROM flow WHERE id IN (SELECT id FROM flow WHERE id NOT IN (SELECT flow FROM live)
                        ORDER BY id LIMIT ?1) RETURNING process";
            removed += remove(&change, text, params![ROUND], &mut processes)?;
        }
        if removed > 0 {
            // Processes that have no flows any more. A long-running one does not keep all that came after it.
            let mut unused = change.prepare_cached(
                "DELETE FROM process WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM flow WHERE process = ?1)",
            )?;
            for process in processes {
                unused.execute([process])?;
            }
            let text = "DELETE FROM stretch WHERE NOT EXISTS
                        (SELECT 1 FROM flow WHERE id BETWEEN number << ?1 AND (number + 1 << ?1) - 1)";
            change.execute(text, [SEGMENT_BITS])?;
        }
        change.commit()?;
        if removed > 0 {
            self.forget();
            let connection = self.connection();
            // Each step returns one page.
            let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({GIVEN_BACK})"))?;
            let mut pages = vacuum.query([])?;
            while pages.next()?.is_some() {}
            drop(pages);
            drop(vacuum);
            connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        Ok(removed)
    }

    /// Returns the number of bytes of the file that are in use.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
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
