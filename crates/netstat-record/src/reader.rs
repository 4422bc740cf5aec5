//! Queries on the record.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netstat_model::{Filter, Globs, Network};
use rusqlite::{Connection, params};

use crate::flow::{Flow, Millis, Program};
use crate::names::{COLUMNS, Names, from_octets};
use crate::schema::{self, LONG, SEGMENT_BITS};
use crate::store::{StoreError, Watchdog, octets, open_to_read};

/// A query for flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Only flows that still existed at this time or began later; `None` for no limit.
    pub since: Option<Millis>,
    /// Only flows that began at this time or earlier; `None` for no limit.
    pub until: Option<Millis>,
    /// Only flows that the filter accepts.
    pub filter: Filter,
    /// Only flows of processes that run a matching script; empty accepts any process.
    pub scripts: Globs,
    /// Only flows whose name, as asked for by a program, matches; empty accepts any flow, also one without a name.
    pub names: Globs,
    /// Only flows with one of these Community IDs; empty accepts any.
    pub community_ids: Vec<String>,
    /// Only flows of matching computers; empty accepts any.
    pub hosts: Globs,
    /// Whether the flows that began last come first.
    pub newest_first: bool,
    /// The number of flows that suffice, for stores that can stop by themselves; `None` for all.
    pub most: Option<usize>,
}

impl Question {
    /// Whether the filters accept `flow`.
    pub fn wants(&self, flow: &Flow) -> bool {
        let script = || flow.process.as_ref()?.script.clone();
        self.filter.wants(flow)
            && self.filter.wants_holders(flow)
            && (self.community_ids.is_empty() || flow.community_id().is_some_and(|id| self.community_ids.contains(&id)))
            && (self.names.is_empty() || flow.asked_name.as_ref().is_some_and(|name| self.names.matches(name)))
            && (self.hosts.is_empty() || self.hosts.matches(&flow.boot.host))
            && (self.scripts.is_empty() || script().is_some_and(|script| self.scripts.matches_path(&script)))
    }
}

/// A time for which the record may lack something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The beginning of the gap.
    pub since: Millis,
    /// The end of the gap.
    pub until: Millis,
    /// The reason, in plain words.
    pub reason: String,
    /// The number of flows or events lost; `None` if unknown.
    pub lost: Option<u64>,
    /// The computer, in the store of a fleet; `None` in the record of one computer.
    pub host: Option<Arc<[u8]>>,
}

/// Something that a program did for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Novelty {
    /// It used the network at all.
    Program,
    /// It connected to this foreign port.
    Port(u16),
    /// It connected to an address in this network (/24 for IPv4, /48 for IPv6).
    Network(Network),
    /// It listened on this port.
    Listens(u16),
}

/// The first time that a program did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSeen {
    /// The program.
    pub program: Arc<Program>,
    /// What it did.
    pub what: Novelty,
    /// The time.
    pub first: Millis,
}

impl FirstSeen {
    /// Compares by the order of results: by time, then by program and by what it did.
    pub fn order(&self, other: &FirstSeen) -> std::cmp::Ordering {
        fn key(seen: &FirstSeen) -> (Millis, Option<&[u8]>, &[u8], Novelty) {
            (seen.first, seen.program.path.as_deref(), &seen.program.name, seen.what)
        }
        key(self).cmp(&key(other))
    }
}

/// The maximum number of addresses or processes for which a query uses their index; beyond that the index by time is
/// better. Each costs one lookup per stretch, which is cheaper than reading the 65,536 flows of a stretch as long as
/// they are few.
const FEW: usize = 10_000;

/// Reads a store, also while a recorder is writing to it.
#[derive(Debug)]
pub struct Reader {
    pub(crate) connection: Connection,
    pub(crate) names: Names,
    pub(crate) watchdog: Watchdog,
    path: PathBuf,
    pub(crate) skipped: u64,
}

impl Reader {
    /// Opens the store at `path`.
    ///
    /// # Errors
    /// Returns an error if there is no store, if the file is not a record, or if its version is newer, or so old that
    /// only a recorder can upgrade it.
    pub fn open(path: &Path) -> Result<Reader, StoreError> {
        let (connection, watchdog) = open_to_read(path)?;
        watchdog.feed();
        match schema::kind(&connection, path).map_err(|error| error.in_file(path))? {
            schema::Content::Version(schema::VERSION) => {}
            schema::Content::Version(older) => return Err(StoreError::Older(path.to_owned(), older)),
            schema::Content::Empty => return Err(StoreError::Absent(path.to_owned())),
        }
        Ok(Reader {
            connection,
            names: Names::default(),
            watchdog,
            path: path.to_owned(),
            skipped: 0,
        })
    }

    /// Returns the path of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the connection for a statement that begins now.
    pub(crate) fn connection(&self) -> &Connection {
        self.watchdog.feed();
        &self.connection
    }

    /// Returns the number of rows omitted from results so far because their contents are invalid, which means that the
    /// file is damaged.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Calls `visit` with every flow that `question` accepts, until it breaks. Flows are ordered by the time of their
    /// beginning, except that long ones that began before the requested time come first, or last if the newest come
    /// first.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn flows(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(Flow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let since = question.since.unwrap_or(Millis::MIN / 2);
        let until = question.until.unwrap_or(Millis::MAX / 2);
        let narrow = self.narrow(question)?;
        if narrow.as_ref().is_some_and(|narrow| narrow.numbers().is_empty()) {
            return Ok(());
        }
        let text = text_of(narrow.as_ref(), self.is_part(since, until)?, question.newest_first);
        let Reader {
            connection,
            names,
            watchdog,
            skipped,
            ..
        } = self;
        watchdog.feed();
        // While rows are read, names come from the same snapshot of the store, without a transaction for each.
        let mut statement = connection.prepare(&text)?;
        let mut rows = statement.query(params![since, until])?;
        let everything = question.filter == Filter::default()
            && question.scripts.is_empty()
            && question.names.is_empty()
            && question.hosts.is_empty()
            && question.community_ids.is_empty();
        while let Some(row) = rows.next()? {
            watchdog.feed();
            let flow = match names.flow(connection, row) {
                Ok(flow) => flow,
                Err(error) if error.is_of_row() => {
                    *skipped += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let wanted = everything || question.wants(&flow);
            if wanted && visit(flow).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Whether the time from `since` to `until` falls into fewer than half of the stretches.
    fn is_part(&self, since: Millis, until: Millis) -> Result<bool, StoreError> {
        let text = "SELECT count(*), coalesce(sum(since <= ?2 AND until >= ?1), 0) FROM stretch";
        let counts = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (all, within) = self.connection().query_row(text, params![since, until], counts)?;
        Ok(2 * within < all)
    }

    /// Returns the ids that narrow the query by an index, if that leaves few flows; `None` if there is no such index.
    fn narrow(&self, question: &Question) -> Result<Option<Narrow>, StoreError> {
        let filter = &question.filter;
        if !filter.foreign.is_empty() {
            let networks: Option<Vec<Vec<Network>>> = filter.foreign.iter().map(|side| side.networks()).collect();
            if let Some(networks) = networks
                && let Some(ids) = self.addresses(networks.iter().flatten())?
            {
                return Ok(Some(Narrow::Remote(ids)));
            }
        }
        if !question.names.is_empty()
            && let Some(ids) = self.words(&question.names)?
        {
            return Ok(Some(Narrow::AskedName(ids)));
        }
        let ids = match (filter.programs.is_empty(), filter.pids.is_empty()) {
            _ if !question.scripts.is_empty() => self.processes_by_script(&question.scripts)?,
            (true, true) => None,
            (true, false) => self.processes_by_pid(filter)?,
            (false, _) => self.processes_by_program(filter)?,
        };
        Ok(ids.map(Narrow::Process))
    }

    /// Returns the ids of the addresses in these networks; `None` if there are more than [`FEW`].
    fn addresses<'n>(&self, networks: impl Iterator<Item = &'n Network>) -> Result<Option<Vec<i64>>, StoreError> {
        let text = "SELECT id FROM address WHERE bytes BETWEEN ?1 AND ?2 AND length(bytes) = length(?1) LIMIT ?3";
        let mut statement = self.connection().prepare_cached(text)?;
        let mut ids: Vec<i64> = Vec::new();
        for network in networks {
            let (low, high) = bounds(network);
            for id in statement.query_map(params![low, high, FEW as i64 + 1], |row| row.get(0))? {
                ids.push(id?);
            }
            if ids.len() > FEW {
                return Ok(None);
            }
        }
        Ok(Some(ids))
    }

    /// Returns the ids of the texts that match `patterns`; `None` if there are more than [`FEW`].
    fn words(&self, patterns: &Globs) -> Result<Option<Vec<i64>>, StoreError> {
        let mut statement = self.connection().prepare("SELECT id, text FROM word")?;
        let mut rows = statement.query([])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            if patterns.matches(&row.get::<_, Vec<u8>>(1)?) {
                ids.push(row.get(0)?);
                if ids.len() > FEW {
                    return Ok(None);
                }
            }
        }
        Ok(Some(ids))
    }

    fn processes_by_pid(&self, filter: &Filter) -> Result<Option<Vec<i64>>, StoreError> {
        // A scan of the index: there may be very many processes, and few ids are requested.
        let text = "SELECT pid, id FROM process INDEXED BY process_pid WHERE pid >= ?1";
        let mut statement = self.connection().prepare(text)?;
        let mut rows = statement.query([0])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            if filter.pids.contains(row.get(0)?) {
                ids.push(row.get(1)?);
                if ids.len() > FEW {
                    return Ok(None);
                }
            }
        }
        Ok(Some(ids))
    }

    /// Returns the ids of the processes that run a script matching `scripts`; `None` if there are more than [`FEW`].
    fn processes_by_script(&self, scripts: &Globs) -> Result<Option<Vec<i64>>, StoreError> {
        let text = "SELECT p.id, w.text FROM process p JOIN word w ON w.id = p.script";
        let mut statement = self.connection().prepare(text)?;
        let mut rows = statement.query([])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            if scripts.matches_path(&row.get::<_, Vec<u8>>(1)?) {
                ids.push(row.get(0)?);
                if ids.len() > FEW {
                    return Ok(None);
                }
            }
        }
        Ok(Some(ids))
    }

    /// Returns the ids of the processes whose program or script the filter accepts; `None` if there are more than
    /// [`FEW`].
    fn processes_by_program(&self, filter: &Filter) -> Result<Option<Vec<i64>>, StoreError> {
        let mut statement = self
            .connection()
            .prepare("SELECT id, coalesce(path, name) FROM program")?;
        let mut programs = statement.query([])?;
        let mut ids = Vec::new();
        while let Some(row) = programs.next()? {
            let (number, name): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            if !filter.programs.matches_path(&name) {
                continue;
            }
            let text = "SELECT id FROM process WHERE program = ?1 LIMIT ?2";
            let mut of_program = self.connection().prepare_cached(text)?;
            for id in of_program.query_map(params![number, FEW as i64 + 1], |row| row.get(0))? {
                ids.push(id?);
            }
            if ids.len() > FEW {
                return Ok(None);
            }
        }
        let Some(of_scripts) = self.processes_by_script(&filter.programs)? else {
            return Ok(None);
        };
        ids.extend(of_scripts);
        ids.sort_unstable();
        ids.dedup();
        Ok((ids.len() <= FEW).then_some(ids))
    }

    /// Returns the gaps of the record between `since` and `until`.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn gaps(&self, since: Option<Millis>, until: Option<Millis>) -> Result<Vec<Gap>, StoreError> {
        let text = "SELECT since, until, reason, lost FROM gap WHERE until >= ?1 AND since <= ?2 ORDER BY since";
        let mut statement = self.connection().prepare(text)?;
        let range = params![since.unwrap_or(Millis::MIN), until.unwrap_or(Millis::MAX)];
        let gaps = statement.query_map(range, gap_of)?;
        Ok(gaps.collect::<Result<_, _>>()?)
    }

    /// Returns when the oldest flow of the record began; `None` if the record is empty.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn oldest(&self) -> Result<Option<Millis>, StoreError> {
        Ok(self
            .connection()
            .query_row("SELECT min(first) FROM flow", [], |row| row.get(0))?)
    }

    /// Returns the number of flows.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn count(&self) -> Result<u64, StoreError> {
        let count: i64 = self
            .connection()
            .query_row("SELECT count(*) FROM flow", [], |row| row.get(0))?;
        Ok(count as u64)
    }

    /// Returns everything that programs did for the first time since `since`, oldest first.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn novelties(&mut self, since: Millis) -> Result<Vec<FirstSeen>, StoreError> {
        let text = "SELECT program, kind, value, first FROM sighting WHERE first >= ?1";
        let mut seen = self.sightings(text, since)?;
        seen.sort_by(FirstSeen::order);
        Ok(seen)
    }

    /// Returns everything that the programs with this path, or with this short name if `path` is `None`, ever did for
    /// the first time, oldest first. Empty if they were never seen.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn first_seen(&mut self, path: Option<&[u8]>, name: &[u8]) -> Result<Vec<FirstSeen>, StoreError> {
        let ids: Vec<i64> = {
            let text = "SELECT id FROM program WHERE path = ?1 OR (?1 IS NULL AND name = ?2)";
            let mut statement = self.connection().prepare_cached(text)?;
            let ids = statement.query_map(params![path, name], |row| row.get(0))?;
            ids.collect::<Result<_, _>>()?
        };
        let mut all = Vec::new();
        for id in ids {
            let text = "SELECT program, kind, value, first FROM sighting WHERE program = ?1";
            all.extend(self.sightings(text, id)?);
        }
        all.sort_by_key(|sighting| (sighting.first, sighting.what));
        Ok(all)
    }

    fn sightings(&mut self, text: &str, value: i64) -> Result<Vec<FirstSeen>, StoreError> {
        type Raw = (i64, u8, rusqlite::types::Value, Millis);
        let raw: Vec<Raw> = {
            let mut statement = self.connection().prepare_cached(text)?;
            let rows = statement.query_map([value], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        let mut found = Vec::with_capacity(raw.len());
        for (program, kind, value, first) in raw {
            if let Some(what) = novelty_of(kind, &value) {
                let program = self.names.program(&self.connection, program)?;
                found.push(FirstSeen { program, what, first });
            }
        }
        Ok(found)
    }
}

/// Returns the gap in a row of since, until, reason and lost.
pub(crate) fn gap_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Gap> {
    let lost: Option<i64> = row.get(3)?;
    Ok(Gap {
        since: row.get(0)?,
        until: row.get(1)?,
        reason: row.get(2)?,
        lost: lost.and_then(|lost| u64::try_from(lost).ok()),
        host: None,
    })
}

/// Returns what a sighting of this kind and value is about; `None` if that is unknown.
pub(crate) fn novelty_of(kind: u8, value: &rusqlite::types::Value) -> Option<Novelty> {
    use rusqlite::types::Value::{Blob, Integer};
    let port = |port: i64| u16::try_from(port).ok();
    match (kind, value) {
        (0, _) => Some(Novelty::Program),
        (1, Integer(number)) => port(*number).map(Novelty::Port),
        (2, Blob(bytes)) => network(bytes).map(Novelty::Network),
        (3, Integer(number)) => port(*number).map(Novelty::Listens),
        _ => None,
    }
}

/// The ids by which an index finds few flows.
#[derive(Debug)]
enum Narrow {
    /// The ids of foreign addresses.
    Remote(Vec<i64>),
    /// The ids of names that programs asked for.
    AskedName(Vec<i64>),
    /// The ids of processes.
    Process(Vec<i64>),
}

impl Narrow {
    fn numbers(&self) -> &[i64] {
        match self {
            Narrow::Remote(numbers) | Narrow::AskedName(numbers) | Narrow::Process(numbers) => numbers,
        }
    }
}

/// Returns the SQL query for flows from ?1 to ?2, ordered by the time of their beginning. It names the index to use,
/// because SQLite does not know how many rows match. `part` tells whether few stretches can contain them.
fn text_of(narrow: Option<&Narrow>, part: bool, newest_first: bool) -> String {
    let down = if newest_first { " DESC" } else { "" };
    let Some(narrow) = narrow else {
        // Long flows that began much earlier come from an index of their own.
        let long = format!(
            "SELECT {COLUMNS} FROM (SELECT * FROM flow INDEXED BY flow_long WHERE span > {LONG} AND first < ?1 - {LONG}
               AND first + span >= ?1 AND first <= ?2 ORDER BY first{down})"
        );
        let others = format!(
            "SELECT {COLUMNS} FROM (SELECT * FROM flow INDEXED BY flow_first WHERE first >= ?1 - {LONG} AND first <= ?2
               AND first + span >= ?1 ORDER BY first{down})"
        );
        return match newest_first {
            true => format!("{others} UNION ALL {long}"),
            false => format!("{long} UNION ALL {others}"),
        };
    };
    let numbers: Vec<String> = narrow.numbers().iter().map(i64::to_string).collect();
    let numbers = numbers.join(",");
    let (index, within) = match narrow {
        // The + removes the column's affinity, which the index does not have.
        Narrow::Remote(_) => (
            "stretch CROSS JOIN flow INDEXED BY flow_remote",
            format!("id >> {SEGMENT_BITS} = +number AND remote IN ({numbers})"),
        ),
        Narrow::AskedName(_) => (
            "stretch CROSS JOIN flow INDEXED BY flow_asked_name",
            format!("id >> {SEGMENT_BITS} = +number AND asked_name IN ({numbers})"),
        ),
        // A process is usually in one stretch only, where one lookup finds its flows. Looking at stretches pays off
        // only if most of them can be skipped.
        Narrow::Process(_) if part => (
            "stretch CROSS JOIN flow INDEXED BY flow_process",
            format!(
                "id BETWEEN number << {SEGMENT_BITS} AND (number + 1 << {SEGMENT_BITS}) - 1 AND process IN ({numbers})"
            ),
        ),
        Narrow::Process(_) => ("flow INDEXED BY flow_process", format!("process IN ({numbers})")),
    };
    let within = match index.starts_with("stretch") {
        true => format!("since <= ?2 AND until >= ?1 AND {within}"),
        false => within,
    };
    format!(
        "SELECT {COLUMNS} FROM {index} WHERE {within} AND +first <= ?2 AND first + span >= ?1 ORDER BY +first{down}, id{down}"
    )
}

/// Returns the first and last address of a network, in the store's format.
fn bounds(network: &Network) -> (Vec<u8>, Vec<u8>) {
    let low = octets(network.address());
    let mut high = low.clone();
    for (at, byte) in high.iter_mut().enumerate() {
        let kept = (usize::from(network.length())).saturating_sub(8 * at).min(8);
        *byte |= 0xffu8.checked_shr(kept as u32).unwrap_or(0);
    }
    (low, high)
}

/// Returns the network of a sighting from 3 bytes for IPv4 or 6 bytes for IPv6; `None` for any other length.
fn network(bytes: &[u8]) -> Option<Network> {
    let (whole, length) = match bytes.len() {
        3 => (4, 24),
        6 => (16, 48),
        _ => return None,
    };
    let mut address = bytes.to_vec();
    address.resize(whole, 0);
    Network::new(from_octets(&address)?, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_bounds_are_first_and_last_address() {
        for (words, low, high) in [
            ("10.1.2.0/24", vec![10, 1, 2, 0], vec![10, 1, 2, 255]),
            ("10.1.2.3", vec![10, 1, 2, 3], vec![10, 1, 2, 3]),
            ("10.128.0.0/9", vec![10, 128, 0, 0], vec![10, 255, 255, 255]),
            ("0.0.0.0/0", vec![0; 4], vec![255; 4]),
        ] {
            assert_eq!(bounds(&words.parse().unwrap()), (low, high), "{words}");
        }
        let (low, high) = bounds(&"2001:db8::/47".parse().unwrap());
        assert_eq!((low[5], high[5], high[6]), (0, 1, 255));
    }

    /// Returns SQLite's query plan for `text`, one step per line.
    fn plan(connection: &Connection, text: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        let count = statement.parameter_count();
        let values = rusqlite::params_from_iter(vec![1i64; count]);
        let steps = statement.query_map(values, |row| row.get(3)).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn flow_queries_use_their_index_without_table_scan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.db");
        drop(crate::Writer::open(&path, b"mill", "b").unwrap());
        let (connection, _) = open_to_read(&path).unwrap();
        let remote = Narrow::Remote(vec![3, 9]);
        let process = Narrow::Process(vec![3, 9]);
        let name = Narrow::AskedName(vec![3, 9]);
        for (narrow, part, search) in [
            (
                &remote,
                false,
                "SEARCH flow USING INDEX flow_remote (<expr>=? AND remote=?)",
            ),
            (
                &remote,
                true,
                "SEARCH flow USING INDEX flow_remote (<expr>=? AND remote=?)",
            ),
            (
                &name,
                false,
                "SEARCH flow USING INDEX flow_asked_name (<expr>=? AND asked_name=?)",
            ),
            (&process, false, "SEARCH flow USING INDEX flow_process (process=?)"),
            (
                &process,
                true,
                "SEARCH flow USING INDEX flow_process (process=? AND rowid>? AND rowid<?)",
            ),
        ] {
            let steps = plan(&connection, &text_of(Some(narrow), part, false));
            assert!(steps.iter().any(|step| step == search), "{steps:?}");
            assert!(!steps.iter().any(|step| step == "SCAN flow"), "{steps:?}");
        }
        let steps = plan(&connection, &text_of(None, false, false));
        let searches: Vec<&String> = steps.iter().filter(|step| step.contains("flow")).collect();
        assert_eq!(
            searches,
            [
                "SEARCH flow USING INDEX flow_long (first<?)",
                "SEARCH flow USING INDEX flow_first (first>? AND first<?)"
            ]
        );
    }

    #[test]
    fn stored_network_bytes_become_ipv4_24_or_ipv6_48() {
        assert_eq!(network(&[10, 1, 2]), Some("10.1.2.0/24".parse().unwrap()));
        assert_eq!(
            network(&[0x20, 1, 0xd, 0xb8, 0, 7]),
            Some("2001:db8:7::/48".parse().unwrap())
        );
        assert_eq!(network(&[1]), None);
    }
}
