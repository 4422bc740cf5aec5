//! Questions about the past.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use netstat_model::{Fact, Family, Filter, Network, Why};
use rusqlite::{Connection, Row, params};

use crate::flow::{Boot, Flow, Millis, Process, Program};
use crate::schema::{self, LONG};
use crate::store::{FIRST_NAMESPACE, StoreError, octets, open_to_read, optional, unpack};

/// Which flows are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Only flows that were still there at this moment or began later.
    pub since: Option<Millis>,
    /// Only flows that began until this moment.
    pub until: Option<Millis>,
    /// Only flows that it wants.
    pub filter: Filter,
}

/// Something that is missing in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From when.
    pub since: Millis,
    /// Until when.
    pub until: Millis,
    /// Why, in plain words.
    pub reason: String,
    /// How many flows or events, where it can be told.
    pub lost: Option<u64>,
}

/// What a program did for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Novelty {
    /// It was on the network at all.
    Program,
    /// It connected to this port.
    Port(u16),
    /// It connected to an address of this network (/24 of IPv4, /48 of IPv6).
    Network(Network),
    /// It listened on this port.
    Listens(u16),
}

/// When a program did something for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which program.
    pub program: Arc<Program>,
    /// What it did.
    pub what: Novelty,
    /// When.
    pub first: Millis,
}

/// Up to so many addresses or processes a question is answered by their index; beyond, the time is the better way.
const FEW: usize = 5_000;

/// Reads a store, also while a recorder writes to it.
#[derive(Debug)]
pub struct Reader {
    pub(crate) connection: Connection,
    addresses: HashMap<i64, IpAddr>,
    processes: HashMap<i64, Option<Arc<Process>>>,
    programs: HashMap<i64, Arc<Program>>,
    words: HashMap<i64, Arc<[u8]>>,
    boots: HashMap<i64, Arc<Boot>>,
}

pub(crate) const COLUMNS: &str =
    "id, first, span, process, boot, local, local_port, remote, remote_port, kind, sent, received, retransmits, rtt,
  user, netns";

/// Addresses and processes kept in memory at most.
const KEPT: usize = 200_000;

impl Reader {
    /// Opens the store at `path`.
    ///
    /// # Errors
    /// When there is none, it is no record, or of a version that only a recorder can bring up to date or a newer program read.
    pub fn open(path: &Path) -> Result<Reader, StoreError> {
        let connection = open_to_read(path)?;
        match schema::kind(&connection)? {
            schema::Kind::Version(schema::VERSION) => {}
            schema::Kind::Version(older) => return Err(StoreError::Older(older)),
            schema::Kind::Empty => return Err(StoreError::Absent(path.to_owned())),
        }
        Ok(Reader {
            connection,
            addresses: HashMap::new(),
            processes: HashMap::new(),
            programs: HashMap::new(),
            words: HashMap::new(),
            boots: HashMap::new(),
        })
    }

    /// Shows every flow that `question` wants to `visit`, by the time of their beginning, until it breaks.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn flows(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(Flow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let since = question.since.unwrap_or(Millis::MIN / 2);
        let until = question.until.unwrap_or(Millis::MAX / 2);
        let text = match self.narrow(&question.filter)? {
            Some(narrow) if narrow.is_empty() => return Ok(()),
            // The + keeps SQLite from taking the index of the time instead.
            Some(narrow) => format!(
                "SELECT {COLUMNS} FROM flow WHERE {narrow} AND +first <= ?2 AND first + span >= ?1 ORDER BY +first, id"
            ),
            // Long flows that began long before come from an index of their own, and first.
            None => format!(
                "SELECT {COLUMNS} FROM (SELECT * FROM flow WHERE span > {LONG} AND first < ?1 - {LONG} AND first + span >= ?1
                   AND first <= ?2 ORDER BY first)
                 UNION ALL SELECT {COLUMNS} FROM (SELECT * FROM flow INDEXED BY flow_first WHERE first >= ?1 - {LONG} AND first <= ?2
                   AND first + span >= ?1 ORDER BY first)"
            ),
        };
        let scan = self.second_connection()?;
        let mut statement = scan.prepare(&text)?;
        let mut rows = statement.query(params![since, until])?;
        while let Some(row) = rows.next()? {
            let flow = self.flow(row)?;
            if question.filter.wants(&flow) && question.filter.wants_holders(&flow) && visit(flow).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Another connection to the same store: rows are decoded while names are looked up through the own one.
    pub(crate) fn second_connection(&self) -> Result<Connection, StoreError> {
        match self.connection.path().map(std::path::PathBuf::from) {
            Some(path) => open_to_read(&path),
            None => Err(StoreError::Foreign),
        }
    }

    /// A condition with an index that leaves few flows; `None` when there is none, empty when nothing can match.
    fn narrow(&self, filter: &Filter) -> Result<Option<String>, StoreError> {
        if !filter.foreign.is_empty() {
            let networks: Option<Vec<Vec<Network>>> = filter.foreign.iter().map(|side| side.networks()).collect();
            if let Some(networks) = networks {
                let mut ids = Vec::new();
                for network in networks.iter().flatten() {
                    let (low, high) = bounds(network);
                    let text =
                        "SELECT id FROM address WHERE bytes BETWEEN ?1 AND ?2 AND length(bytes) = length(?1) LIMIT ?3";
                    let mut statement = self.connection.prepare_cached(text)?;
                    let found = statement.query_map(params![low, high, FEW as i64 + 1], |row| row.get(0))?;
                    for id in found {
                        ids.push(id?);
                    }
                }
                if ids.len() <= FEW {
                    return Ok(Some(list("remote", &ids)));
                }
            }
        }
        if !(filter.programs.is_empty() && filter.pids.is_empty()) {
            let mut ids: Vec<i64> = Vec::new();
            if filter.programs.is_empty() {
                let mut statement = self.connection.prepare("SELECT DISTINCT pid FROM process")?;
                let pids = statement.query_map([], |row| row.get::<_, u32>(0))?;
                for pid in pids {
                    let pid = pid?;
                    if filter.pids.contains(pid) && ids.len() <= FEW {
                        let mut of_pid = self
                            .connection
                            .prepare_cached("SELECT id FROM process WHERE pid = ?1")?;
                        for id in of_pid.query_map([pid], |row| row.get(0))? {
                            ids.push(id?);
                        }
                    }
                }
            } else {
                let mut statement = self
                    .connection
                    .prepare("SELECT id, coalesce(path, name) FROM program")?;
                let mut programs = statement.query([])?;
                while let Some(row) = programs.next()? {
                    let name: Vec<u8> = row.get(1)?;
                    if filter.programs.matches_path(&name) && ids.len() <= FEW {
                        let text = "SELECT id FROM process WHERE program = ?1 LIMIT ?2";
                        let mut of_program = self.connection.prepare_cached(text)?;
                        let number: i64 = row.get(0)?;
                        for id in of_program.query_map(params![number, FEW as i64 + 1], |row| row.get(0))? {
                            ids.push(id?);
                        }
                    }
                }
            }
            if ids.len() <= FEW {
                return Ok(Some(list("process", &ids)));
            }
        }
        Ok(None)
    }

    pub(crate) fn flow(&mut self, row: &Row<'_>) -> Result<Flow, StoreError> {
        let kind = unpack(row.get(9)?);
        let first: Millis = row.get(1)?;
        let process = match row.get::<_, Option<i64>>(3)? {
            Some(id) => self.process(id)?,
            None => None,
        };
        let local = self.address(row.get(5)?, kind.family, kind.mapped.0)?;
        let remote = self.address(row.get(7)?, kind.family, kind.mapped.1)?;
        let long = |at: usize| -> Result<Fact<u64>, StoreError> {
            let value: Option<i64> = row.get(at)?;
            Ok(Fact::from_option(
                value.and_then(|value| u64::try_from(value).ok()),
                Why::NotKept,
            ))
        };
        let number = |at: usize| -> Result<Fact<u32>, StoreError> {
            let value: Option<i64> = row.get(at)?;
            Ok(Fact::from_option(
                value.and_then(|value| u32::try_from(value).ok()),
                Why::NotKept,
            ))
        };
        let namespace: Option<i64> = row.get(15)?;
        Ok(Flow {
            id: row.get(0)?,
            first,
            last: first.saturating_add(row.get(2)?),
            closed: kind.closed,
            begun: kind.begun,
            protocol: kind.protocol,
            family: kind.family,
            local: (local, row.get(6)?),
            foreign: (remote, row.get(8)?),
            direction: kind.direction,
            state: kind.state,
            learned: kind.learned,
            process,
            user: number(14)?,
            namespace: Fact::from_option(
                namespace.and_then(|distance| u32::try_from(distance.checked_add(FIRST_NAMESPACE)?).ok()),
                Why::NotKept,
            ),
            sent: long(10)?,
            received: long(11)?,
            retransmits: number(12)?,
            rtt: number(13)?,
            boot: self.boot(row.get(4)?)?,
        })
    }

    fn address(&mut self, id: i64, family: Family, mapped: bool) -> Result<IpAddr, StoreError> {
        let address = match self.addresses.get(&id) {
            Some(address) => *address,
            None => {
                let mut statement = self
                    .connection
                    .prepare_cached("SELECT bytes FROM address WHERE id = ?1")?;
                let bytes: Vec<u8> = statement.query_row([id], |row| row.get(0))?;
                let address = from_octets(&bytes).ok_or(StoreError::Foreign)?;
                if self.addresses.len() >= KEPT {
                    self.addresses.clear();
                }
                self.addresses.insert(id, address);
                address
            }
        };
        Ok(match (address, family) {
            (IpAddr::V4(v4), Family::V6) if mapped => v4.to_ipv6_mapped().into(),
            _ => address,
        })
    }

    fn word(&mut self, id: Option<i64>) -> Result<Option<Arc<[u8]>>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        if let Some(word) = self.words.get(&id) {
            return Ok(Some(Arc::clone(word)));
        }
        let mut statement = self.connection.prepare_cached("SELECT text FROM word WHERE id = ?1")?;
        let text = optional(statement.query_row([id], |row| row.get::<_, Vec<u8>>(0)))?;
        Ok(text.map(|text| {
            let text: Arc<[u8]> = text.into();
            self.words.insert(id, Arc::clone(&text));
            text
        }))
    }

    fn boot(&mut self, id: i64) -> Result<Arc<Boot>, StoreError> {
        if let Some(boot) = self.boots.get(&id) {
            return Ok(Arc::clone(boot));
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT host, boot_id FROM boot WHERE id = ?1")?;
        let boot = Arc::new(statement.query_row([id], |row| {
            Ok(Boot {
                id,
                host: row.get(0)?,
                boot_id: row.get(1)?,
            })
        })?);
        self.boots.insert(id, Arc::clone(&boot));
        Ok(boot)
    }

    fn program(&mut self, id: i64) -> Result<Arc<Program>, StoreError> {
        if let Some(program) = self.programs.get(&id) {
            return Ok(Arc::clone(program));
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT path, name FROM program WHERE id = ?1")?;
        let program = Arc::new(statement.query_row([id], |row| {
            Ok(Program {
                id,
                path: row.get(0)?,
                name: row.get(1)?,
            })
        })?);
        self.programs.insert(id, Arc::clone(&program));
        Ok(program)
    }

    fn process(&mut self, id: i64) -> Result<Option<Arc<Process>>, StoreError> {
        if let Some(process) = self.processes.get(&id) {
            return Ok(process.clone());
        }
        type Raw = (u32, Option<i64>, i64, Option<i64>, Option<i64>, Option<i64>);
        let text = "SELECT pid, start, program, unit, container, command FROM process WHERE id = ?1";
        let found: Option<Raw> = {
            let mut statement = self.connection.prepare_cached(text)?;
            optional(statement.query_row([id], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ))
            }))?
        };
        let process = match found {
            Some((pid, start, program, unit, container, command)) => Some(Arc::new(Process {
                id,
                pid,
                start_ticks: start.map(|ticks| ticks as u64),
                program: self.program(program)?,
                unit: self.word(unit)?,
                container: self.word(container)?,
                command: command.map(|hash| hash as u64),
            })),
            None => None,
        };
        if self.processes.len() >= KEPT {
            self.processes.clear();
        }
        self.processes.insert(id, process.clone());
        Ok(process)
    }

    /// What is missing in the record between `since` and `until`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn gaps(&self, since: Option<Millis>, until: Option<Millis>) -> Result<Vec<Gap>, StoreError> {
        let text = "SELECT since, until, reason, lost FROM gap WHERE until >= ?1 AND since <= ?2 ORDER BY since";
        let mut statement = self.connection.prepare(text)?;
        let range = params![since.unwrap_or(Millis::MIN), until.unwrap_or(Millis::MAX)];
        let gaps = statement.query_map(range, |row| {
            let lost: Option<i64> = row.get(3)?;
            Ok(Gap {
                since: row.get(0)?,
                until: row.get(1)?,
                reason: row.get(2)?,
                lost: lost.and_then(|lost| u64::try_from(lost).ok()),
            })
        })?;
        Ok(gaps.collect::<Result<_, _>>()?)
    }

    /// When the oldest flow of the record began; `None` when it is empty.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn oldest(&self) -> Result<Option<Millis>, StoreError> {
        Ok(self
            .connection
            .query_row("SELECT min(first) FROM flow", [], |row| row.get(0))?)
    }

    /// Everything that programs did for the first time since `since`, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn novelties(&mut self, since: Millis) -> Result<Vec<Sighting>, StoreError> {
        let text =
            "SELECT program, kind, value, first FROM sighting WHERE first >= ?1 ORDER BY first, program, kind, value";
        self.sightings(text, since)
    }

    /// Everything that the programs with this path, or this short name where no path is known, ever did for the first time, oldest
    /// first. Empty: never seen.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn first_seen(&mut self, path: Option<&[u8]>, name: &[u8]) -> Result<Vec<Sighting>, StoreError> {
        let ids: Vec<i64> = {
            let text = "SELECT id FROM program WHERE path = ?1 OR (?1 IS NULL AND name = ?2)";
            let mut statement = self.connection.prepare_cached(text)?;
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

    fn sightings(&mut self, text: &str, value: i64) -> Result<Vec<Sighting>, StoreError> {
        type Raw = (i64, u8, rusqlite::types::Value, Millis);
        let raw: Vec<Raw> = {
            let mut statement = self.connection.prepare_cached(text)?;
            let rows = statement.query_map([value], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        let mut found = Vec::with_capacity(raw.len());
        for (program, kind, value, first) in raw {
            use rusqlite::types::Value::{Blob, Integer};
            let port = |port: i64| u16::try_from(port).ok();
            let what = match (kind, value) {
                (0, _) => Some(Novelty::Program),
                (1, Integer(number)) => port(number).map(Novelty::Port),
                (2, Blob(bytes)) => network(&bytes).map(Novelty::Network),
                (3, Integer(number)) => port(number).map(Novelty::Listens),
                _ => None,
            };
            if let Some(what) = what {
                let program = self.program(program)?;
                found.push(Sighting { program, what, first });
            }
        }
        Ok(found)
    }
}

/// `column IN (...)`; empty for no numbers.
fn list(column: &str, ids: &[i64]) -> String {
    if ids.is_empty() {
        return String::new();
    }
    let numbers: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("{column} IN ({})", numbers.join(","))
}

/// The first and last address of a network, as the store keeps them.
fn bounds(network: &Network) -> (Vec<u8>, Vec<u8>) {
    let low = octets(network.address());
    let mut high = low.clone();
    for (at, byte) in high.iter_mut().enumerate() {
        let kept = (usize::from(network.length())).saturating_sub(8 * at).min(8);
        *byte |= 0xffu8.checked_shr(kept as u32).unwrap_or(0);
    }
    (low, high)
}

pub(crate) fn from_octets(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// The network of a sighting: 3 bytes of IPv4 or 6 of IPv6.
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
    fn the_bounds_of_networks() {
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

    #[test]
    fn networks_of_sightings() {
        assert_eq!(network(&[10, 1, 2]), Some("10.1.2.0/24".parse().unwrap()));
        assert_eq!(
            network(&[0x20, 1, 0xd, 0xb8, 0, 7]),
            Some("2001:db8:7::/48".parse().unwrap())
        );
        assert_eq!(network(&[1]), None);
    }
}
