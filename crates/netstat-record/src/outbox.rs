//! The data waiting to be sent to the store of a fleet.
//!
//! Each row that is written is also noted in `unsent`, in the same transaction. A cut then turns the noted rows into an
//! immutable, numbered segment, again in one transaction. Whenever a recorder is killed, each row is thus either noted
//! or in exactly one segment, which is kept until the fleet's store has acknowledged it. A segment is sent with its
//! number, so that it can be sent repeatedly and still counts once.

use rusqlite::{Connection, Row, params};

use crate::flow::{Flow, Millis};
use crate::names::{COLUMNS, Names};
use crate::reader::{FirstSeen, Gap, Reader, gap_of, novelty_of};
use crate::store::{StoreError, Writer, optional};

/// The kind of a segment's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// Flows.
    Flows,
    /// What programs did for the first time.
    Sightings,
    /// Times for which something is missing.
    Gaps,
    /// Totals of flows.
    Sums,
}

impl SegmentKind {
    const ALL: [SegmentKind; 4] = [
        SegmentKind::Flows,
        SegmentKind::Sightings,
        SegmentKind::Gaps,
        SegmentKind::Sums,
    ];

    /// Returns the number used in the store. Numbers are never changed, only added.
    const fn number(self) -> i64 {
        self as i64
    }

    fn from_number(number: i64) -> Result<SegmentKind, StoreError> {
        let kind = usize::try_from(number).ok().and_then(|at| Self::ALL.get(at));
        kind.copied().ok_or(StoreError::Damaged("a segment of an unknown kind"))
    }
}

/// Rows to be put into a segment.
#[derive(Clone, Copy, Debug)]
pub enum SegmentRows<'a> {
    /// Flows, ordered by their id in this record.
    Flows(&'a [Flow]),
    /// What programs did for the first time.
    Sightings(&'a [FirstSeen]),
    /// Times for which something is missing.
    Gaps(&'a [Gap]),
}

impl SegmentRows<'_> {
    fn len(&self) -> usize {
        match self {
            SegmentRows::Flows(rows) => rows.len(),
            SegmentRows::Sightings(rows) => rows.len(),
            SegmentRows::Gaps(rows) => rows.len(),
        }
    }

    /// Returns the time range of the rows.
    fn range(&self) -> (Millis, Millis) {
        let over = |moments: &mut dyn Iterator<Item = (Millis, Millis)>| {
            let all = moments.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
            all.unwrap_or((0, 0))
        };
        match self {
            SegmentRows::Flows(rows) => over(&mut rows.iter().map(|flow| (flow.first, flow.last))),
            SegmentRows::Sightings(rows) => over(&mut rows.iter().map(|seen| (seen.first, seen.first))),
            SegmentRows::Gaps(rows) => over(&mut rows.iter().map(|gap| (gap.since, gap.until))),
        }
    }
}

/// Encodes rows as the body of a segment with this number and returns the kind of its rows; `None` if none of them is
/// to be sent.
pub type Encode<'e> = dyn FnMut(SegmentRows<'_>, u64) -> Option<(SegmentKind, Vec<u8>)> + 'e;

/// A segment: rows that are sent unchanged, as often as necessary.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// The random id of this record, so that segment numbers of another one are never mistaken for its own.
    pub store: u64,
    /// The number of the segment in this record.
    pub number: u64,
    /// The kind of its rows.
    pub kind: SegmentKind,
    /// The number of rows.
    pub rows: u64,
    /// The data to be sent.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "segment {} of {:016x}, {} rows of {:?}",
            self.number, self.store, self.rows, self.kind
        )
    }
}

/// The amount of data waiting to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolState {
    /// The number of rows that are not in a segment yet.
    pub unsent: u64,
    /// The number of segments that have not been acknowledged.
    pub segments: u64,
    /// The number of rows in these segments.
    pub rows: u64,
    /// The size of these segments in bytes.
    pub bytes: u64,
    /// When the oldest row in these segments begins; `None` if there are none.
    pub oldest: Option<Millis>,
    /// The number of rows given up since shipping began.
    pub lost: u64,
}

/// The maximum size of a segment's body in bytes, below the longest value that the store may contain.
const LARGEST: usize = 900_000;

impl Writer {
    /// Begins to note what is written for a fleet. The first time, all first sightings of programs and all open flows
    /// are noted as well; later, everything recorded since [`Writer::pause_shipping`].
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn begin_shipping(&mut self) -> Result<(), StoreError> {
        let change = self.reading().unchecked_transaction()?;
        let paused = change.query_row("SELECT paused FROM ship", [], |row| row.get::<_, Option<i64>>(0));
        match optional(paused)? {
            None => {
                change.execute(
                    "INSERT INTO ship(id, store, next, gap, lost) VALUES(1, random(), 1, (SELECT coalesce(max(id), 0) FROM gap), 0)",
                    [],
                )?;
                change.execute_batch(
                    "INSERT OR IGNORE INTO unsent_sighting SELECT program, kind, value FROM sighting;
                     INSERT OR IGNORE INTO unsent SELECT flow FROM live WHERE flow IN (SELECT id FROM flow)",
                )?;
            }
            Some(Some(since)) => {
                change.execute(
                    "INSERT OR IGNORE INTO unsent SELECT f.id FROM stretch s CROSS JOIN flow f
                     WHERE s.until >= ?1 AND f.id BETWEEN s.number << 16 AND (s.number + 1 << 16) - 1 AND f.first + f.span >= ?1",
                    [since],
                )?;
                let text =
                    "INSERT OR IGNORE INTO unsent_sighting SELECT program, kind, value FROM sighting WHERE first >= ?1";
                change.execute(text, [since])?;
                change.execute("UPDATE ship SET paused = NULL", [])?;
            }
            Some(None) => {}
        }
        change.commit()?;
        self.shipping = true;
        Ok(())
    }

    /// Stops noting at `now`. If something was sent before, that time is remembered.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn pause_shipping(&mut self, now: Millis) -> Result<(), StoreError> {
        self.shipping = false;
        self.reading()
            .execute("UPDATE ship SET paused = ?1 WHERE paused IS NULL", [now])?;
        Ok(())
    }

    /// Whether what is written is noted for a fleet.
    pub fn is_shipping(&self) -> bool {
        self.shipping
    }

    /// Turns what has been noted into segments, at most `most` rows of each kind, and returns the number of rows taken.
    /// If that is `most` or more, there may be further ones.
    ///
    /// # Errors
    /// Returns an error if SQLite does; nothing has changed in that case.
    pub fn cut(&mut self, most: usize, encode: &mut Encode<'_>) -> Result<usize, StoreError> {
        let change = self.reading().unchecked_transaction()?;
        let mut names = Names::default();
        let flows = cut_flows(&change, &mut names, most, encode)?;
        let sightings = cut_sightings(&change, &mut names, most, encode)?;
        cut_gaps(&change, most, encode)?;
        change.commit()?;
        Ok(flows.max(sightings))
    }

    /// Returns the oldest segments with numbers greater than `after`, at most `most` of them.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn segments(&self, after: u64, most: usize) -> Result<Vec<Segment>, StoreError> {
        let store = self.ship_store()?;
        let text = "SELECT number, kind, rows, body FROM segment WHERE number > ?1 ORDER BY number LIMIT ?2";
        let mut statement = self.reading().prepare_cached(text)?;
        let mut rows = statement.query(params![after as i64, most as i64])?;
        let mut segments = Vec::new();
        while let Some(row) = rows.next()? {
            segments.push(Segment {
                store,
                number: row.get::<_, i64>(0)? as u64,
                kind: SegmentKind::from_number(row.get(1)?)?,
                rows: row.get::<_, i64>(2)? as u64,
                body: row.get(3)?,
            });
        }
        Ok(segments)
    }

    /// Returns the random id of this record as a sender; 0 as long as nothing is sent.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn ship_store(&self) -> Result<u64, StoreError> {
        let store = self
            .reading()
            .query_row("SELECT store FROM ship", [], |row| row.get::<_, i64>(0));
        Ok(optional(store)?.unwrap_or(0) as u64)
    }

    /// Records that the fleet's store has all rows of segment `number` of the record `store`.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn acknowledge(&mut self, store: u64, number: u64) -> Result<(), StoreError> {
        if self.ship_store()? == store {
            self.reading()
                .execute("DELETE FROM segment WHERE number = ?1", [number as i64])?;
        }
        Ok(())
    }

    /// Gives up segment `number` of the record `store`, which becomes a gap in the fleet's store. Returns the number of
    /// its rows.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn give_up_segment(&mut self, store: u64, number: u64, reason: &str) -> Result<u64, StoreError> {
        if self.ship_store()? != store {
            return Ok(0);
        }
        let change = self.reading().unchecked_transaction()?;
        let text = "SELECT number, rows, since, until FROM segment WHERE number = ?1";
        let lost = give_up(&change, change.query_row(text, [number as i64], Old::of), reason)?;
        change.commit()?;
        Ok(lost.map_or(0, |old| old.rows as u64))
    }

    /// Gives up the oldest segments while all together exceed `most` bytes. Returns the number of their rows.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn bound_spool(&mut self, most: u64) -> Result<u64, StoreError> {
        let mut lost = 0;
        let change = self.reading().unchecked_transaction()?;
        while bytes(&change)? > most {
            let text = "SELECT number, rows, since, until FROM segment ORDER BY number LIMIT 1";
            let reason = "the fleet's store could not be reached for so long that the spool was full";
            match give_up(&change, change.query_row(text, [], Old::of), reason)? {
                Some(old) => lost += old.rows as u64,
                None => break,
            }
        }
        change.commit()?;
        Ok(lost)
    }

    /// Returns the amount of data waiting to be sent.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn spool(&self) -> Result<SpoolState, StoreError> {
        spool(self.reading())
    }
}

impl Reader {
    /// Returns the amount of data waiting to be sent to the store of a fleet; `None` if nothing is sent.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn spool(&self) -> Result<Option<SpoolState>, StoreError> {
        let sends = "SELECT count(*) FROM ship WHERE paused IS NULL";
        let sends: i64 = self.connection().query_row(sends, [], |row| row.get(0))?;
        (sends > 0).then(|| spool(self.connection())).transpose()
    }
}

fn spool(connection: &Connection) -> Result<SpoolState, StoreError> {
    let number = |text: &str| -> Result<u64, StoreError> {
        let value: i64 = connection.prepare_cached(text)?.query_row([], |row| row.get(0))?;
        Ok(value as u64)
    };
    let oldest = "SELECT min(since) FROM segment";
    Ok(SpoolState {
        unsent: number("SELECT (SELECT count(*) FROM unsent) + (SELECT count(*) FROM unsent_sighting)")?,
        segments: number("SELECT count(*) FROM segment")?,
        rows: number("SELECT coalesce(sum(rows), 0) FROM segment")?,
        bytes: bytes(connection)?,
        oldest: connection.query_row(oldest, [], |row| row.get(0))?,
        lost: number("SELECT coalesce(max(lost), 0) FROM ship")?,
    })
}

fn bytes(connection: &Connection) -> Result<u64, StoreError> {
    let text = "SELECT coalesce(sum(length(body)), 0) FROM segment";
    let bytes: i64 = connection.prepare_cached(text)?.query_row([], |row| row.get(0))?;
    Ok(bytes as u64)
}

/// A segment that is given up.
struct Old {
    number: i64,
    rows: i64,
    since: Millis,
    until: Millis,
}

impl Old {
    fn of(row: &Row<'_>) -> rusqlite::Result<Old> {
        Ok(Old {
            number: row.get(0)?,
            rows: row.get(1)?,
            since: row.get(2)?,
            until: row.get(3)?,
        })
    }
}

/// Deletes a segment and records that its rows are missing in the fleet's store.
fn give_up(change: &Connection, old: rusqlite::Result<Old>, reason: &str) -> Result<Option<Old>, StoreError> {
    let Some(old) = optional(old)? else { return Ok(None) };
    change.execute("DELETE FROM segment WHERE number = ?1", [old.number])?;
    note_loss(change, (old.since, old.until), reason, old.rows)?;
    Ok(Some(old))
}

/// Records a gap that only the fleet's store has. Gaps with the same reason that wait to be sent are merged.
fn note_loss(change: &Connection, (since, until): (Millis, Millis), reason: &str, lost: i64) -> Result<(), StoreError> {
    let text =
        "UPDATE unsent_gap SET since = min(since, ?1), until = max(until, ?2), lost = lost + ?4 WHERE reason = ?3";
    if change.execute(text, params![since, until, reason, lost])? == 0 {
        let text = "INSERT INTO unsent_gap(since, until, reason, lost) VALUES(?1, ?2, ?3, ?4)";
        change.execute(text, params![since, until, reason, lost])?;
    }
    change.execute("UPDATE ship SET lost = lost + ?1", [lost])?;
    Ok(())
}

/// Puts rows into a segment, or into several if the body becomes too large.
fn keep(change: &Connection, rows: SegmentRows<'_>, encode: &mut Encode<'_>) -> Result<(), StoreError> {
    if rows.len() == 0 {
        return Ok(());
    }
    let number: i64 = change.query_row("SELECT next FROM ship", [], |row| row.get(0))?;
    let Some((kind, body)) = encode(rows, number as u64) else {
        return Ok(());
    };
    if body.len() > LARGEST && rows.len() > 1 {
        let half = rows.len() / 2;
        let (first, second) = match rows {
            SegmentRows::Flows(rows) => (SegmentRows::Flows(&rows[..half]), SegmentRows::Flows(&rows[half..])),
            SegmentRows::Sightings(rows) => (
                SegmentRows::Sightings(&rows[..half]),
                SegmentRows::Sightings(&rows[half..]),
            ),
            SegmentRows::Gaps(rows) => (SegmentRows::Gaps(&rows[..half]), SegmentRows::Gaps(&rows[half..])),
        };
        keep(change, first, encode)?;
        return keep(change, second, encode);
    }
    let (since, until) = rows.range();
    change
        .prepare_cached("INSERT INTO segment(number, kind, rows, since, until, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![number, kind.number(), rows.len() as i64, since, until, body])?;
    change.execute("UPDATE ship SET next = next + 1", [])?;
    Ok(())
}

fn cut_flows(
    change: &Connection,
    names: &mut Names,
    most: usize,
    encode: &mut Encode<'_>,
) -> Result<usize, StoreError> {
    let mut flows = Vec::new();
    let mut missing = 0;
    let (mut numbers, mut last) = (0, None);
    {
        let mut unsent = change.prepare_cached("SELECT flow FROM unsent ORDER BY flow LIMIT ?1")?;
        let mut one = change.prepare_cached(&format!("SELECT {COLUMNS} FROM flow WHERE id = ?1"))?;
        let mut rows = unsent.query([most as i64])?;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            (numbers, last) = (numbers + 1, Some(number));
            let mut found = one.query([number])?;
            match found.next()?.map(|row| names.flow(change, row)) {
                Some(Ok(flow)) => flows.push(flow),
                Some(Err(error)) if !error.is_of_row() => return Err(error),
                // Removed by the record's own limits, or damaged.
                Some(Err(_)) | None => missing += 1,
            }
        }
    }
    let Some(last) = last else { return Ok(0) };
    change.execute("DELETE FROM unsent WHERE flow <= ?1", [last])?;
    if missing > 0 {
        let range = SegmentRows::Flows(&flows).range();
        note_loss(
            change,
            range,
            "connections left the record before they were sent",
            missing,
        )?;
    }
    keep(change, SegmentRows::Flows(&flows), encode)?;
    Ok(numbers)
}

fn cut_sightings(
    change: &Connection,
    names: &mut Names,
    most: usize,
    encode: &mut Encode<'_>,
) -> Result<usize, StoreError> {
    type Raw = (i64, u8, rusqlite::types::Value, Option<Millis>);
    let raw: Vec<Raw> = {
        let text = "SELECT u.program, u.kind, u.value, s.first FROM unsent_sighting u
                    LEFT JOIN sighting s ON s.program = u.program AND s.kind = u.kind AND s.value = u.value LIMIT ?1";
        let mut statement = change.prepare_cached(text)?;
        let rows = statement.query_map([most as i64], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let mut seen = Vec::with_capacity(raw.len());
    let mut done =
        change.prepare_cached("DELETE FROM unsent_sighting WHERE program = ?1 AND kind = ?2 AND value = ?3")?;
    for (program, kind, value, first) in &raw {
        done.execute(params![program, kind, value])?;
        if let (Some(first), Some(what)) = (first, novelty_of(*kind, value)) {
            let program = names.program(change, *program)?;
            seen.push(FirstSeen {
                program,
                what,
                first: *first,
            });
        }
    }
    keep(change, SegmentRows::Sightings(&seen), encode)?;
    Ok(raw.len())
}

fn cut_gaps(change: &Connection, most: usize, encode: &mut Encode<'_>) -> Result<(), StoreError> {
    let mut gaps: Vec<Gap> = Vec::new();
    let mut last = None;
    {
        let text =
            "SELECT since, until, reason, lost, id FROM gap WHERE id > (SELECT gap FROM ship) ORDER BY id LIMIT ?1";
        let mut statement = change.prepare_cached(text)?;
        let mut rows = statement.query([most as i64])?;
        while let Some(row) = rows.next()? {
            last = Some(row.get::<_, i64>(4)?);
            gaps.push(gap_of(row)?);
        }
        let mut statement = change.prepare_cached("SELECT since, until, reason, lost FROM unsent_gap ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            gaps.push(gap_of(row)?);
        }
    }
    if gaps.is_empty() {
        return Ok(());
    }
    if let Some(last) = last {
        change.execute("UPDATE ship SET gap = ?1", [last])?;
    }
    change.execute("DELETE FROM unsent_gap", [])?;
    keep(change, SegmentRows::Gaps(&gaps), encode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewFlow, NewProcess};
    use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State, Why};

    fn flow(first: Millis) -> NewFlow {
        NewFlow {
            first,
            span: 10,
            closed: false,
            begun: true,
            protocol: Protocol::Tcp,
            family: Family::V4,
            local: ([192, 0, 2, 1].into(), 40_000),
            foreign: ([203, 0, 113, 7].into(), 443),
            direction: Direction::Outgoing,
            state: State::Established,
            origin: EventOrigin::Trace,
            process: None,
            user: Fact::Known(0),
            namespace: Fact::Unknown(Why::NotAsked),
            sent: Fact::Known(1),
            received: Fact::Unknown(Why::NotAsked),
            retransmits: Fact::Unknown(Why::NotAsked),
            rtt: Fact::Unknown(Why::NotAsked),
            asked_name: None,
        }
    }

    fn writer() -> (tempfile::TempDir, Writer) {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(&folder.path().join("record.db"), b"mill", "boot").unwrap();
        (folder, writer)
    }

    fn write(writer: &mut Writer, flows: impl IntoIterator<Item = Millis>) -> Vec<i64> {
        let mut batch = writer.batch().unwrap();
        let process = batch
            .process(
                7,
                Some(1),
                &NewProcess {
                    name: b"x".to_vec(),
                    ..NewProcess::default()
                },
            )
            .unwrap();
        let insert = |first| {
            let flow = NewFlow {
                process: Some(process),
                ..flow(first)
            };
            batch.insert(&flow, None).unwrap()
        };
        let numbers = flows.into_iter().map(insert).collect();
        batch.commit().unwrap();
        numbers
    }

    /// Cuts segments whose body is the number of rows.
    fn cut(writer: &mut Writer, most: usize) -> usize {
        writer
            .cut(most, &mut |rows, _| {
                let kind = match rows {
                    SegmentRows::Flows(_) => SegmentKind::Flows,
                    SegmentRows::Sightings(_) => SegmentKind::Sightings,
                    SegmentRows::Gaps(_) => SegmentKind::Gaps,
                };
                Some((kind, vec![rows.len() as u8; rows.len()]))
            })
            .unwrap()
    }

    fn kinds(writer: &Writer) -> Vec<(u64, SegmentKind, u64)> {
        let segments = writer.segments(0, 100).unwrap();
        segments.iter().map(|one| (one.number, one.kind, one.rows)).collect()
    }

    #[test]
    fn outbox_row_stays_in_one_segment_until_acknowledged() {
        let (_folder, mut writer) = writer();
        write(&mut writer, [1]);
        writer.begin_shipping().unwrap();
        assert_eq!(
            writer.spool().unwrap().unsent,
            3,
            "what was seen first, and no flow that was there before"
        );
        let numbers = write(&mut writer, 2..5);
        assert_eq!(cut(&mut writer, 100), 3);
        assert_eq!(
            kinds(&writer),
            [(1, SegmentKind::Flows, 3), (2, SegmentKind::Sightings, 3)]
        );
        assert_eq!(cut(&mut writer, 100), 0, "nothing is cut twice");
        // A later revision of a row is sent again.
        let mut batch = writer.batch().unwrap();
        batch
            .update(
                numbers[0],
                &NewFlow {
                    closed: true,
                    ..flow(2)
                },
                None,
            )
            .unwrap();
        batch.commit().unwrap();
        assert_eq!(cut(&mut writer, 100), 1);
        let store = writer.ship_store().unwrap();
        writer.acknowledge(store, 1).unwrap();
        writer.acknowledge(store ^ 1, 2).unwrap();
        assert_eq!(
            kinds(&writer),
            [(2, SegmentKind::Sightings, 3), (3, SegmentKind::Flows, 1)]
        );
    }

    #[test]
    fn outbox_more_rows_than_fit_make_several_segments() {
        let (_folder, mut writer) = writer();
        writer.begin_shipping().unwrap();
        write(&mut writer, 0..25);
        while cut(&mut writer, 10) >= 10 {}
        let flows: Vec<u64> = kinds(&writer)
            .iter()
            .filter(|one| one.1 == SegmentKind::Flows)
            .map(|one| one.2)
            .collect();
        assert_eq!(flows, [10, 10, 5]);
    }

    #[test]
    fn outbox_rows_dropped_from_full_spool_become_counted_gap() {
        let (_folder, mut writer) = writer();
        writer.begin_shipping().unwrap();
        write(&mut writer, [1_000, 2_000]);
        cut(&mut writer, 100);
        assert_eq!(writer.bound_spool(3).unwrap(), 2, "the oldest first");
        let spool = writer.spool().unwrap();
        assert_eq!((spool.segments, spool.rows, spool.lost), (1, 3, 2));
        let mut told = Vec::new();
        writer
            .cut(100, &mut |rows, _| {
                if let SegmentRows::Gaps(gaps) = rows {
                    told = gaps.to_vec();
                }
                Some((SegmentKind::Gaps, vec![0]))
            })
            .unwrap();
        assert_eq!((told[0].since, told[0].until, told[0].lost), (1_000, 2_010, Some(2)));
    }

    #[test]
    fn outbox_after_pause_catches_up() {
        let (_folder, mut writer) = writer();
        writer.begin_shipping().unwrap();
        write(&mut writer, [1_000]);
        cut(&mut writer, 100);
        writer.pause_shipping(5_000).unwrap();
        write(&mut writer, [6_000, 7_000]);
        assert_eq!(cut(&mut writer, 100), 0);
        writer.begin_shipping().unwrap();
        assert_eq!(cut(&mut writer, 100), 2, "those of the pause");
    }

    #[test]
    fn outbox_rows_deleted_before_cut_are_counted_as_lost() {
        let (_folder, mut writer) = writer();
        writer.begin_shipping().unwrap();
        let numbers = write(&mut writer, [1_000]);
        let text = "DELETE FROM flow WHERE id = ?1";
        writer.reading().execute(text, [numbers[0]]).unwrap();
        cut(&mut writer, 100);
        assert_eq!(writer.spool().unwrap().lost, 1);
    }
}
