//! The state of a record, for monitoring it.

use rusqlite::params;

use crate::flow::Millis;
use crate::reader::Reader;
use crate::store::StoreError;

/// The state of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordStatus {
    /// The number of flows ever recorded, including those removed by retention.
    pub flows: u64,
    /// The number of programs seen on the network.
    pub programs: u64,
    /// When a recorder last wrote; `None` if none has.
    pub last_write: Option<Millis>,
    /// The sums of the requested gaps.
    pub gaps: GapSums,
    /// The id of the newest gap, with which only later ones can be requested next time; 0 if there is none.
    pub newest_gap: i64,
}

/// The sums of gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapSums {
    /// How long nothing was recorded, in milliseconds.
    pub nothing: u64,
    /// How long there were losses while recording, in milliseconds.
    pub with_losses: u64,
    /// The number of events and flows lost, as far as they could be counted.
    pub lost: u64,
}

impl Reader {
    /// Returns the state of the record, with the sums of the gaps whose id is greater than `after` (0 for all).
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn status(&self, after: i64) -> Result<RecordStatus, StoreError> {
        let connection = self.connection();
        let number = |text: &str| -> Result<u64, StoreError> {
            let value: i64 = connection.query_row(text, [], |row| row.get(0))?;
            Ok(u64::try_from(value).unwrap_or(0))
        };
        let moments =
            "SELECT max(moment) FROM (SELECT last AS moment FROM alive UNION ALL SELECT max(until) FROM stretch)";
        let mut status = RecordStatus {
            // Ids are assigned in sequence and never reused.
            flows: number("SELECT coalesce(max(id), 0) FROM flow")?,
            programs: number("SELECT count(DISTINCT program) FROM sighting WHERE kind = 0")?,
            last_write: connection.query_row(moments, [], |row| row.get(0))?,
            gaps: GapSums::default(),
            newest_gap: connection.query_row("SELECT coalesce(max(id), 0) FROM gap", [], |row| row.get(0))?,
        };
        let mut statement = connection.prepare(
            "SELECT lost IS NOT NULL, sum(max(until - since, 0)), sum(max(coalesce(lost, 0), 0)) FROM gap WHERE id > ?1 GROUP BY 1",
        )?;
        let sums = statement.query_map(params![after], |row| {
            Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        for sum in sums {
            let (lossy, millis, lost) = sum?;
            let millis = u64::try_from(millis).unwrap_or(0);
            match lossy {
                true => status.gaps.with_losses = millis,
                false => status.gaps.nothing = millis,
            }
            status.gaps.lost += u64::try_from(lost).unwrap_or(0);
        }
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Writer;

    #[test]
    fn status_counts_each_gap_once_and_separates_losses_from_silence() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.db");
        let mut writer = Writer::open(&path, b"host", "00000000-0000-0000-0000-000000000000").unwrap();
        let mut batch = writer.batch().unwrap();
        batch.gap(1_000, 4_000, "nobody recorded", None).unwrap();
        batch.gap(5_000, 6_500, "events were lost", Some(7)).unwrap();
        batch.commit().unwrap();
        let reader = Reader::open(&path).unwrap();
        let all = reader.status(0).unwrap();
        let sums = |nothing, with_losses, lost| GapSums {
            nothing,
            with_losses,
            lost,
        };
        assert_eq!((all.flows, all.programs, all.gaps), (0, 0, sums(3_000, 1_500, 7)));
        let mut batch = writer.batch().unwrap();
        batch.gap(7_000, 8_000, "events were lost", Some(2)).unwrap();
        batch.commit().unwrap();
        let later = reader.status(all.newest_gap).unwrap();
        assert_eq!(later.gaps, sums(0, 1_000, 2));
        assert!(later.newest_gap > all.newest_gap);
        assert_eq!(reader.status(later.newest_gap).unwrap().gaps, GapSums::default());
    }
}
