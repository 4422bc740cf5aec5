//! Batches of changes, each of which is one transaction.

use std::net::IpAddr;

use netstat_model::Direction;
use rusqlite::{Connection, params};

use super::pack::{long, pack};
use super::{FIRST_NAMESPACE, NewFlow, NoveltyKey, ProcessNumber, StoreError, Writer};
use crate::clock::Reading;
use crate::flow::{Millis, NewProcess};

/// A batch of changes. If it is dropped without [`Batch::commit`], nothing is changed.
#[derive(Debug)]
pub struct Batch<'w> {
    pub(super) writer: &'w mut Writer,
    pub(super) open: bool,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.open {
            // SQLite may have rolled back already after a failure.
            let _ = self.writer.reading().execute_batch("ROLLBACK");
            self.writer.segments.clear();
            self.writer.forget();
        }
    }
}

impl Batch<'_> {
    /// Commits the batch to the store.
    ///
    /// # Errors
    /// Returns an error if SQLite does; nothing of the batch is in the store in that case.
    pub fn commit(mut self) -> Result<(), StoreError> {
        let text = "INSERT INTO stretch(number, since, until) VALUES(?1, ?2, ?3)
                    ON CONFLICT(number) DO UPDATE SET since = min(since, ?2), until = max(until, ?3)";
        for (number, (first, last)) in std::mem::take(&mut self.writer.segments) {
            let mut statement = self.writer.reading().prepare_cached(text)?;
            statement.execute(params![number, first, last])?;
        }
        self.writer.reading().execute_batch("COMMIT")?;
        self.open = false;
        Ok(())
    }

    fn address(&mut self, address: IpAddr) -> Result<i64, StoreError> {
        let address = address.to_canonical();
        if let Some(number) = self.writer.addresses.get(&address) {
            return Ok(number);
        }
        let octets = octets(address);
        let number = number_of(&self.writer.connection, "address", "bytes", &octets)?;
        Ok(self.writer.addresses.put(address, number))
    }

    fn word(&mut self, text: &[u8]) -> Result<i64, StoreError> {
        if let Some(number) = self.writer.words.get(text) {
            return Ok(number);
        }
        let number = number_of(&self.writer.connection, "word", "text", text)?;
        Ok(self.writer.words.put(text.to_vec(), number))
    }

    /// Returns the ids of a process: `pid` with its start time and the facts about it. The same facts give the same
    /// ids.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn process(
        &mut self,
        pid: u32,
        start_ticks: Option<u64>,
        facts: &NewProcess,
    ) -> Result<ProcessNumber, StoreError> {
        let program = self.program(facts)?;
        let unit = facts.unit.as_deref().map(|unit| self.word(unit)).transpose()?;
        let container = facts.container.as_deref().map(|name| self.word(name)).transpose()?;
        let script = facts.script.as_deref().map(|path| self.word(path)).transpose()?;
        let named = facts.container_name.as_deref();
        let container_name = named.map(|name| self.word(name)).transpose()?;
        let start = start_ticks.map(|ticks| ticks as i64);
        let command = facts.command.map(|hash| hash as i64);
        let connection = self.writer.reading();
        // SQLite would prefer to scan all processes of the program, of which there may be a hundred thousand.
        let find = "SELECT id FROM process INDEXED BY process_pid WHERE pid = ?1 AND boot = ?2 AND start IS ?3 AND program = ?4
                    AND unit IS ?5 AND container IS ?6 AND command IS ?7 AND script IS ?8 AND container_name IS ?9";
        let boot = self.writer.boot;
        let values = params![
            pid,
            boot,
            start,
            program,
            unit,
            container,
            command,
            script,
            container_name
        ];
        let found = optional(connection.prepare_cached(find)?.query_row(values, |row| row.get(0)))?;
        let process = match found {
            Some(number) => number,
            None => {
                let insert =
                    "INSERT INTO process(pid, boot, start, program, unit, container, command, script, container_name)
                              VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
                connection.prepare_cached(insert)?.execute(values)?;
                connection.last_insert_rowid()
            }
        };
        Ok(ProcessNumber { process, program })
    }

    /// Returns the id of the program with these facts.
    fn program(&mut self, facts: &NewProcess) -> Result<i64, StoreError> {
        let key = (facts.path.clone(), facts.name.clone());
        if let Some(number) = self.writer.programs.get(&key) {
            return Ok(number);
        }
        let connection = self.writer.reading();
        let find = "SELECT id FROM program WHERE name = ?2 AND coalesce(path, x'') = coalesce(?1, x'')";
        let values = params![key.0, key.1];
        let found = optional(connection.prepare_cached(find)?.query_row(values, |row| row.get(0)))?;
        let number = match found {
            Some(number) => number,
            None => {
                let insert = "INSERT INTO program(path, name) VALUES(?1, ?2)";
                connection.prepare_cached(insert)?.execute(params![key.0, key.1])?;
                connection.last_insert_rowid()
            }
        };
        Ok(self.writer.programs.put(key, number))
    }

    /// Writes a new flow and returns its id. `cookie` is the cookie of a socket that is still open.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn insert(&mut self, flow: &NewFlow, cookie: Option<u64>) -> Result<i64, StoreError> {
        let number = self.write(None, flow)?;
        if let Some(cookie) = cookie {
            let text = "INSERT OR REPLACE INTO live(cookie, flow) VALUES(?1, ?2)";
            let mut statement = self.writer.reading().prepare_cached(text)?;
            statement.execute(params![cookie as i64, number])?;
        }
        Ok(number)
    }

    /// Writes what has changed in the flow `number`.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn update(&mut self, number: i64, flow: &NewFlow, cookie: Option<u64>) -> Result<(), StoreError> {
        self.write(Some(number), flow)?;
        if let Some(cookie) = cookie.filter(|_| flow.closed) {
            self.give_up(cookie)?;
        }
        Ok(())
    }

    /// Writes the row of a flow and returns its id. Known values are kept if the new ones are unknown, and byte counts
    /// never decrease, because each recorder counts UDP anew.
    fn write(&mut self, number: Option<i64>, flow: &NewFlow) -> Result<i64, StoreError> {
        let local = self.address(flow.local.0)?;
        let remote = self.address(flow.foreign.0)?;
        let asked_name = flow.asked_name.as_deref().map(|name| self.word(name)).transpose()?;
        self.note_first_times(flow)?;
        let connection = self.writer.reading();
        let text = "INSERT INTO flow(id, first, span, process, boot, local, local_port, remote, remote_port, kind, sent, received,
                      retransmits, rtt, user, netns, asked_name)
                    VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
                    ON CONFLICT(id) DO UPDATE SET span = ?3, process = coalesce(?4, process), local = ?6, local_port = ?7,
                      remote = ?8, remote_port = ?9, kind = ?10,
                      sent = max(coalesce(?11, sent), coalesce(sent, ?11)), received = max(coalesce(?12, received), coalesce(received, ?12)),
                      retransmits = coalesce(?13, retransmits), rtt = coalesce(?14, rtt), user = coalesce(?15, user),
                      asked_name = coalesce(?17, asked_name)";
        connection.prepare_cached(text)?.execute(params![
            number,
            flow.first,
            flow.span as i64,
            flow.process.map(|process| process.process),
            self.writer.boot,
            local,
            flow.local.1,
            remote,
            flow.foreign.1,
            pack(flow),
            long(flow.sent),
            long(flow.received),
            flow.retransmits.known(),
            flow.rtt.known(),
            flow.user.known(),
            flow.namespace.known().map(|inode| i64::from(inode) - FIRST_NAMESPACE),
            asked_name,
        ])?;
        let number = number.unwrap_or_else(|| connection.last_insert_rowid());
        if self.writer.shipping {
            let text = "INSERT OR IGNORE INTO unsent(flow) VALUES(?1)";
            connection.prepare_cached(text)?.execute([number])?;
        }
        self.writer.note_time(number, flow);
        Ok(number)
    }

    /// Ends the flow of the socket `cookie`, whose end was not observed.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn give_up(&mut self, cookie: u64) -> Result<(), StoreError> {
        let text = "DELETE FROM live WHERE cookie = ?1";
        self.writer.reading().prepare_cached(text)?.execute([cookie as i64])?;
        Ok(())
    }

    /// Ends all flows of other boots.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn give_up_others(&mut self) -> Result<(), StoreError> {
        let text = "DELETE FROM live WHERE flow NOT IN (SELECT id FROM flow WHERE boot = ?1 AND id IN (SELECT flow FROM live))";
        self.writer.reading().execute(text, [self.writer.boot])?;
        Ok(())
    }

    /// Records that a recorder was running at this time, and its clock readings.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub(crate) fn alive(&mut self, clock: &Reading) -> Result<(), StoreError> {
        let connection = self.writer.reading();
        let text = "INSERT OR REPLACE INTO alive(id, last) VALUES(1, ?1)";
        connection.prepare_cached(text)?.execute([clock.wall])?;
        let text = "INSERT OR REPLACE INTO clock(id, boot, since_boot, wall, sense) VALUES(1, ?1, ?2, ?3, ?4)";
        let values = params![self.writer.boot, clock.since_boot, clock.wall, clock.sense];
        connection.prepare_cached(text)?.execute(values)?;
        Ok(())
    }

    /// Records that something is missing from `since` to `until`. `lost` is the number of events or flows, if known.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn gap(&mut self, since: Millis, until: Millis, reason: &str, lost: Option<u64>) -> Result<(), StoreError> {
        self.writer.reading().execute(
            "INSERT INTO gap(since, until, reason, lost) VALUES(?1, ?2, ?3, ?4)",
            params![since, until, reason, lost.map(|lost| lost as i64)],
        )?;
        Ok(())
    }

    /// Records what a program does for the first time.
    fn note_first_times(&mut self, flow: &NewFlow) -> Result<(), StoreError> {
        let Some(process) = flow.process else { return Ok(()) };
        self.note_first_time(process.program, NoveltyKey::Program, flow.first)?;
        match flow.direction {
            Direction::Outgoing if flow.foreign.1 != 0 => {
                self.note_first_time(process.program, NoveltyKey::Port(flow.foreign.1), flow.first)?;
                self.note_first_time(process.program, network(flow.foreign.0), flow.first)
            }
            Direction::Listening => {
                self.note_first_time(process.program, NoveltyKey::Listens(flow.local.1), flow.first)
            }
            _ => Ok(()),
        }
    }

    fn note_first_time(&mut self, program: i64, what: NoveltyKey, first: Millis) -> Result<(), StoreError> {
        let key = (program, what);
        if self.writer.first_times.get(&key).is_some() {
            return Ok(());
        }
        let text = "INSERT OR IGNORE INTO sighting(program, kind, value, first) VALUES(?1, ?2, ?3, ?4)";
        let mut statement = self.writer.reading().prepare_cached(text)?;
        let (kind, value): (u8, &dyn rusqlite::ToSql) = match &what {
            NoveltyKey::Program => (0, &b"".as_slice()),
            NoveltyKey::Port(port) => (1, port),
            NoveltyKey::Network4(bytes) => (2, &bytes.as_slice()),
            NoveltyKey::Network6(bytes) => (2, &bytes.as_slice()),
            NoveltyKey::Listens(port) => (3, port),
        };
        let new = statement.execute(params![program, kind, value, first])? > 0;
        drop(statement);
        if new && self.writer.shipping {
            let text = "INSERT OR IGNORE INTO unsent_sighting(program, kind, value) VALUES(?1, ?2, ?3)";
            let mut statement = self.writer.reading().prepare_cached(text)?;
            statement.execute(params![program, kind, value])?;
        }
        self.writer.first_times.put(key, 0);
        Ok(())
    }
}

/// Returns the network of an address, which is used to decide whether a program has connected there before: /24 or /48.
fn network(address: IpAddr) -> NoveltyKey {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            NoveltyKey::Network4([a, b, c])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, ..] = v6.octets();
            NoveltyKey::Network6([a, b, c, d, e, f])
        }
    }
}

/// Returns the octets of an address: 4 or 16.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn number_of(connection: &Connection, table: &str, column: &str, value: &[u8]) -> Result<i64, StoreError> {
    let find = format!("SELECT id FROM {table} WHERE {column} = ?1");
    if let Some(number) = optional(connection.prepare_cached(&find)?.query_row([value], |row| row.get(0)))? {
        return Ok(number);
    }
    let insert = format!("INSERT INTO {table}({column}) VALUES(?1)");
    connection.prepare_cached(&insert)?.execute([value])?;
    Ok(connection.last_insert_rowid())
}

pub(crate) fn optional<T>(result: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error),
    }
}
