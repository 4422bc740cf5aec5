//! The schema of the store, its version, and upgrades from older versions.
//!
//! What repeats is stored once: addresses, programs, processes and names. A flow is thus a row of small numbers, about
//! 50 bytes, with three indexes of about 14 bytes each.
//!
//! Flows are numbered in sequence, and every 65,536 numbers form a stretch. The pages that a flow touches must be close
//! to those that the previous flow touched: an index over all foreign addresses would put each row at another place of
//! a tree far larger than the memory a recorder may use, and every batch would rewrite thousands of pages. The index of
//! foreign addresses therefore begins with the stretch: rows go into the part for the current stretch, about 1 MB, and
//! a query does one lookup in the part for each stretch. The table `stretch` tells the time range of each, so that a
//! query for one day only looks into those of that day.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use crate::error::StoreError;
pub(crate) use crate::error::VERSION;

/// `PRAGMA application_id`: "NSTR". A file with another one is not a record.
pub(crate) const APPLICATION: i32 = 0x4e53_5452;

/// Flows longer than this, in milliseconds, have an index of their own, so that a query for an hour need not examine
/// all flows that began before it.
pub(crate) const LONG: i64 = 3_600_000;

/// The number of low bits of a flow's id that do not belong to the number of its stretch.
pub(crate) const SEGMENT_BITS: i64 = 16;

/// The tables of version 1, without its index of foreign addresses.
///
/// `flow.kind` packs, from the lowest bit: protocol (1), family (1), direction (2), state (4), origin of the last event
/// (2), closed (1), beginning observed (1), IPv4-mapped local and foreign address (2).
const TABLES: &str = "
CREATE TABLE boot(id INTEGER PRIMARY KEY, host BLOB NOT NULL, boot_id TEXT NOT NULL, UNIQUE(host, boot_id));
CREATE TABLE address(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL UNIQUE);
CREATE TABLE word(id INTEGER PRIMARY KEY, text BLOB NOT NULL UNIQUE);
CREATE TABLE program(id INTEGER PRIMARY KEY, path BLOB, name BLOB NOT NULL);
CREATE UNIQUE INDEX program_name ON program(name, coalesce(path, x''));
CREATE TABLE process(id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, pid INTEGER NOT NULL, start INTEGER, program INTEGER NOT NULL,
  unit INTEGER, container INTEGER, command INTEGER);
CREATE INDEX process_pid ON process(pid);
CREATE INDEX process_program ON process(program);
CREATE TABLE flow(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, span INTEGER NOT NULL, process INTEGER, boot INTEGER NOT NULL,
  local INTEGER NOT NULL, local_port INTEGER NOT NULL, remote INTEGER NOT NULL, remote_port INTEGER NOT NULL, kind INTEGER NOT NULL,
  sent INTEGER, received INTEGER, retransmits INTEGER, rtt INTEGER, user INTEGER, netns INTEGER);
CREATE INDEX flow_first ON flow(first);
CREATE INDEX flow_process ON flow(process);
CREATE INDEX flow_long ON flow(first) WHERE span > 3600000;
CREATE TABLE live(cookie INTEGER PRIMARY KEY, flow INTEGER NOT NULL);
CREATE TABLE gap(id INTEGER PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, reason TEXT NOT NULL, lost INTEGER);
";

/// Added by version 2: when a program was first seen at all (kind 0), with a foreign port (1, outgoing only), with a
/// foreign network (2: /24 for IPv4, /48 for IPv6, outgoing only) and listening on a port (3). These rows outlive the
/// flows.
const FIRST_TIMES: &str = "
CREATE TABLE sighting(program INTEGER NOT NULL, kind INTEGER NOT NULL, value BLOB NOT NULL, first INTEGER NOT NULL,
  PRIMARY KEY(program, kind, value)) WITHOUT ROWID;
";

/// Fills the sightings from the flows that an older version has stored.
const FILL_FIRST_TIMES: &str = "
INSERT OR IGNORE INTO sighting
  SELECT p.program, 0, x'', min(f.first) FROM flow f JOIN process p ON p.id = f.process GROUP BY p.program;
INSERT OR IGNORE INTO sighting
  SELECT p.program, 1, f.remote_port, min(f.first) FROM flow f JOIN process p ON p.id = f.process
  WHERE (f.kind >> 2 & 3) = 1 GROUP BY p.program, f.remote_port;
INSERT OR IGNORE INTO sighting
  SELECT p.program, 2, CASE length(a.bytes) WHEN 4 THEN substr(a.bytes, 1, 3) ELSE substr(a.bytes, 1, 6) END AS net, min(f.first)
  FROM flow f JOIN process p ON p.id = f.process JOIN address a ON a.id = f.remote
  WHERE (f.kind >> 2 & 3) = 1 GROUP BY p.program, net;
INSERT OR IGNORE INTO sighting
  SELECT p.program, 3, f.local_port, min(f.first) FROM flow f JOIN process p ON p.id = f.process
  WHERE (f.kind >> 2 & 3) = 3 GROUP BY p.program, f.local_port;
";

/// Added by version 3: when a recorder last wrote (one row), the time range of the flows of each stretch (which
/// removing flows does not shorten), and the index of foreign addresses by stretch. Earlier versions had a single index
/// over all.
const SEGMENTS: &str = "
DROP INDEX IF EXISTS flow_remote;
CREATE INDEX flow_remote ON flow(id >> 16, remote);
CREATE TABLE alive(id INTEGER PRIMARY KEY CHECK(id = 1), last INTEGER NOT NULL);
CREATE TABLE stretch(number INTEGER PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL);
";

/// Fills the stretches from the flows that an older version has stored.
const FILL_SEGMENTS: &str = "
INSERT INTO stretch SELECT id >> 16, min(first), max(first + span) FROM flow GROUP BY id >> 16;
";

/// Added by version 4: the script that an interpreter runs, the name of a container, and the store's own sense of time
/// (one row; see [`crate::clock`]).
const SCRIPTS: &str = "
ALTER TABLE process ADD COLUMN script INTEGER;
ALTER TABLE process ADD COLUMN container_name INTEGER;
CREATE TABLE clock(id INTEGER PRIMARY KEY CHECK(id = 1), boot INTEGER NOT NULL, since_boot INTEGER NOT NULL, wall INTEGER NOT NULL,
  sense INTEGER NOT NULL);
";

/// Added by version 5: what is to be sent to the store of a fleet; see [`crate::outbox`]. `ship` has one row once
/// something is sent.
const OUTBOX: &str = "
CREATE TABLE ship(id INTEGER PRIMARY KEY CHECK(id = 1), store INTEGER NOT NULL, next INTEGER NOT NULL, gap INTEGER NOT NULL,
  lost INTEGER NOT NULL, paused INTEGER);
CREATE TABLE unsent(flow INTEGER PRIMARY KEY);
CREATE TABLE unsent_sighting(program INTEGER NOT NULL, kind INTEGER NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY(program, kind, value)) WITHOUT ROWID;
CREATE TABLE unsent_gap(id INTEGER PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, reason TEXT NOT NULL,
  lost INTEGER NOT NULL);
CREATE TABLE segment(number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, rows INTEGER NOT NULL, since INTEGER NOT NULL,
  until INTEGER NOT NULL, body BLOB NOT NULL);
";

/// Added by version 6: the name that a program asked for before it connected (an id of `word`), and an index by it for
/// the flows that have one.
const ASKED_NAMES: &str = "
ALTER TABLE flow ADD COLUMN asked_name INTEGER;
CREATE INDEX flow_asked_name ON flow(id >> 16, asked_name) WHERE asked_name IS NOT NULL;
";

/// Definitions of earlier versions that have changed since.
const EARLIER: [(&str, &str); 3] = [
    (
        "flow",
        "CREATE TABLE flow(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, span INTEGER NOT NULL, process INTEGER, boot INTEGER NOT NULL,
         local INTEGER NOT NULL, local_port INTEGER NOT NULL, remote INTEGER NOT NULL, remote_port INTEGER NOT NULL, kind INTEGER NOT NULL,
         sent INTEGER, received INTEGER, retransmits INTEGER, rtt INTEGER, user INTEGER, netns INTEGER)",
    ),
    ("flow_remote", "CREATE INDEX flow_remote ON flow(remote)"),
    (
        "process",
        "CREATE TABLE process(id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, pid INTEGER NOT NULL, start INTEGER, program INTEGER NOT
         NULL, unit INTEGER, container INTEGER, command INTEGER)",
    ),
];

/// The contents of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing yet.
    Empty,
    /// A store of this version, at most [`VERSION`].
    Version(i32),
}

/// Returns what the open file at `path` contains.
///
/// # Errors
/// Returns an error if it is something else, is from a newer program, or contains an object that no version of this
/// program creates.
pub(crate) fn kind(connection: &Connection, path: &Path) -> Result<Content, StoreError> {
    let number = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let foreign = || StoreError::Foreign(path.to_owned(), "an SQLite database of another program".to_owned());
    match (application, version) {
        (0 | APPLICATION, 0) => {
            let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if objects == 0 {
                Ok(Content::Empty)
            } else {
                Err(foreign())
            }
        }
        (APPLICATION, 1..=VERSION) => {
            only_ours(connection, path)?;
            Ok(Content::Version(version))
        }
        (APPLICATION, newer) => Err(StoreError::Newer(path.to_owned(), newer)),
        _ => Err(foreign()),
    }
}

/// Returns the text of a definition with all white space reduced to single spaces.
fn normal(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Refuses a store with tables, indexes, views or triggers that are not exactly those of this program, because they
/// determine what statements do.
fn only_ours(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut ours: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut model = Connection::open_in_memory()?;
    make(&mut model, 0)?;
    let objects = |connection: &Connection| -> Result<Vec<(String, String, Option<String>)>, StoreError> {
        let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    for (_, name, text) in objects(&model)? {
        ours.entry(name).or_default().push(normal(&text.unwrap_or_default()));
    }
    for (name, text) in EARLIER {
        ours.entry(name.to_owned()).or_default().push(normal(text));
    }
    for (kind, name, text) in objects(connection)? {
        let text = normal(&text.unwrap_or_default());
        let known = ours.get(&name).is_some_and(|texts| texts.contains(&text));
        // Created by `ANALYZE`; the definitions are SQLite's own.
        let statistics = kind == "table"
            && text.starts_with(&format!("CREATE TABLE {name}(tbl,idx,"))
            && name.starts_with("sqlite_stat");
        if !known && !statistics {
            return Err(StoreError::ForeignObject(
                path.to_owned(),
                format!("the {kind} \"{name}\""),
            ));
        }
    }
    Ok(())
}

/// Creates the tables, or upgrades those of an older version, in one transaction.
///
/// # Errors
/// Returns the errors of [`kind`], and an error if SQLite does.
pub(crate) fn upgrade(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    match kind(connection, path)? {
        Content::Version(VERSION) => Ok(()),
        Content::Version(older) => make(connection, older),
        Content::Empty => make(connection, 0),
    }
}

/// Creates what was added since version `from`; 0 means that there is nothing yet.
fn make(connection: &mut Connection, from: i32) -> Result<(), StoreError> {
    let change = connection.transaction()?;
    if from == 0 {
        change.execute_batch(TABLES)?;
    }
    if from < 2 {
        change.execute_batch(FIRST_TIMES)?;
        if from == 1 {
            change.execute_batch(FILL_FIRST_TIMES)?;
        }
    }
    if from < 3 {
        change.execute_batch(SEGMENTS)?;
        if from > 0 {
            change.execute_batch(FILL_SEGMENTS)?;
        }
    }
    if from < 4 {
        change.execute_batch(SCRIPTS)?;
    }
    if from < 5 {
        change.execute_batch(OUTBOX)?;
    }
    if from < 6 {
        change.execute_batch(ASKED_NAMES)?;
    }
    change.pragma_update(None, "application_id", APPLICATION)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()?;
    Ok(())
}
