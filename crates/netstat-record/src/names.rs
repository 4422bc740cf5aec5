//! Resolves the ids in a row to what they stand for, which is read once and then kept in memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use netstat_model::{Fact, Family, Why};
use rusqlite::{Connection, Row};

use crate::flow::{Boot, Flow, Millis, Process, Program};
use crate::store::{FIRST_NAMESPACE, StoreError, optional, unpack};

/// The columns of `flow` that [`Names::flow`] reads, in this order.
pub(crate) const COLUMNS: &str =
    "id, first, span, process, boot, local, local_port, remote, remote_port, kind, sent, received, retransmits, rtt,
  user, netns, asked_name";

/// The maximum number of addresses, and of processes, kept in memory.
const KEPT: usize = 200_000;

/// A hash for the record's own ids, which are sequential and not chosen by strangers: a single multiplication (by the
/// golden ratio; Knuth, The Art of Computer Programming 3, 6.4).
#[derive(Clone, Copy, Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }
}

/// A map from ids in the record.
type ByNumber<T> = HashMap<i64, T, BuildHasherDefault<NumberHasher>>;

/// The names that have been read.
#[derive(Debug, Default)]
pub(crate) struct Names {
    addresses: ByNumber<IpAddr>,
    processes: ByNumber<Option<Arc<Process>>>,
    programs: ByNumber<Arc<Program>>,
    words: ByNumber<Arc<[u8]>>,
    boots: ByNumber<Arc<Boot>>,
}

impl Names {
    /// Returns the flow in a row with [`COLUMNS`].
    ///
    /// # Errors
    /// Returns an error if SQLite does, or if the row contains invalid values.
    pub(crate) fn flow(&mut self, connection: &Connection, row: &Row<'_>) -> Result<Flow, StoreError> {
        let kind = unpack(row.get(9)?).ok_or(StoreError::Damaged("a flow of an unknown kind"))?;
        let first: Millis = row.get(1)?;
        let span: i64 = row.get(2)?;
        if span < 0 {
            return Err(StoreError::Damaged("a flow that ends before it begins"));
        }
        let process = match row.get::<_, Option<i64>>(3)? {
            Some(id) => self.process(connection, id)?,
            None => None,
        };
        let local = self.address(connection, row.get(5)?, kind.family, kind.mapped.0)?;
        let remote = self.address(connection, row.get(7)?, kind.family, kind.mapped.1)?;
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
            last: first.saturating_add(span),
            closed: kind.closed,
            begun: kind.begun,
            protocol: kind.protocol,
            family: kind.family,
            local: (local, row.get(6)?),
            foreign: (remote, row.get(8)?),
            direction: kind.direction,
            state: kind.state,
            origin: kind.origin,
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
            asked_name: self.word(connection, row.get(16)?)?,
            boot: self.boot(connection, row.get(4)?)?,
        })
    }

    fn address(
        &mut self,
        connection: &Connection,
        id: i64,
        family: Family,
        mapped: bool,
    ) -> Result<IpAddr, StoreError> {
        let address = match self.addresses.get(&id) {
            Some(address) => *address,
            None => {
                let mut statement = connection.prepare_cached("SELECT bytes FROM address WHERE id = ?1")?;
                let bytes: Vec<u8> = statement.query_row([id], |row| row.get(0))?;
                let address = from_octets(&bytes).ok_or(StoreError::Damaged("an address of a wrong length"))?;
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

    /// Returns the text with this id; `None` if `id` is `None` or unknown.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub(crate) fn word(&mut self, connection: &Connection, id: Option<i64>) -> Result<Option<Arc<[u8]>>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        if let Some(word) = self.words.get(&id) {
            return Ok(Some(Arc::clone(word)));
        }
        let mut statement = connection.prepare_cached("SELECT text FROM word WHERE id = ?1")?;
        let text = optional(statement.query_row([id], |row| row.get::<_, Vec<u8>>(0)))?;
        Ok(text.map(|text| {
            let text: Arc<[u8]> = text.into();
            self.words.insert(id, Arc::clone(&text));
            text
        }))
    }

    fn boot(&mut self, connection: &Connection, id: i64) -> Result<Arc<Boot>, StoreError> {
        if let Some(boot) = self.boots.get(&id) {
            return Ok(Arc::clone(boot));
        }
        let mut statement = connection.prepare_cached("SELECT host, boot_id FROM boot WHERE id = ?1")?;
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

    /// Returns the program with this id.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub(crate) fn program(&mut self, connection: &Connection, id: i64) -> Result<Arc<Program>, StoreError> {
        if let Some(program) = self.programs.get(&id) {
            return Ok(Arc::clone(program));
        }
        let mut statement = connection.prepare_cached("SELECT path, name FROM program WHERE id = ?1")?;
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

    fn process(&mut self, connection: &Connection, id: i64) -> Result<Option<Arc<Process>>, StoreError> {
        if let Some(process) = self.processes.get(&id) {
            return Ok(process.clone());
        }
        type Raw = (u32, Option<i64>, i64, [Option<i64>; 5]);
        let text =
            "SELECT pid, start, program, command, unit, container, container_name, script FROM process WHERE id = ?1";
        let found: Option<Raw> = {
            let mut statement = connection.prepare_cached(text)?;
            optional(statement.query_row([id], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?],
                ))
            }))?
        };
        let process = match found {
            Some((pid, start, program, [command, unit, container, container_name, script])) => {
                Some(Arc::new(Process {
                    id,
                    pid,
                    start_ticks: start.map(|ticks| ticks as u64),
                    program: self.program(connection, program)?,
                    unit: self.word(connection, unit)?,
                    container: self.word(connection, container)?,
                    container_name: self.word(connection, container_name)?,
                    script: self.word(connection, script)?,
                    command: command.map(|hash| hash as u64),
                }))
            }
            None => None,
        };
        if self.processes.len() >= KEPT {
            self.processes.clear();
        }
        self.processes.insert(id, process.clone());
        Ok(process)
    }
}

/// Returns the address with these octets; `None` unless there are 4 or 16.
pub(crate) fn from_octets(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}
