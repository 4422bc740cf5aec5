//! The store's file: opening, locking, writing in batches.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::Hash;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State};
use rusqlite::{Connection, OpenFlags, params};
use rustix::fs::{FlockOperation, flock};

use crate::flow::{Millis, NewProcess};
use crate::schema;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// There is none at this place.
    #[error("{0}: there is no record yet; `netstat record` makes one")]
    Absent(PathBuf),
    /// Another recorder writes to it.
    #[error("{0}: another recorder is writing to it")]
    Locked(PathBuf),
    /// It is some other file.
    #[error("this is no record of netstat")]
    Foreign,
    /// A newer program made it.
    #[error("the record has version {0}, which is newer than this program's {ours}", ours = schema::VERSION)]
    Newer(i32),
    /// An older program made it, and only a recorder may change it.
    #[error("the record has the older version {0}: `netstat record --for 1s` brings it up to date")]
    Older(i32),
    /// What SQLite says.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// Whether there was no room, or the device failed: worth another try later.
    pub fn is_temporary(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
        match self {
            StoreError::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => matches!(
                error.code,
                DiskFull | SystemIoFailure | CannotOpen | DatabaseBusy | DatabaseLocked
            ),
            _ => false,
        }
    }
}

/// Where the record is kept when nothing else is said: below the state directory of the system for root, else of the user
/// (`$XDG_STATE_HOME`, XDG Base Directory Specification). `None` when a user has no home.
pub fn default_path(root: bool, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    const FILE: &str = "netstat/record.db";
    if root {
        return Some(Path::new("/var/lib").join(FILE));
    }
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join(FILE))
}

/// Numbers that are kept beside the database while it is written, so that a name is looked up once. Those not met for long go.
#[derive(Debug)]
struct Numbers<K> {
    /// What was met since the last change of generation.
    young: HashMap<K, i64>,
    /// What was met in the generation before.
    old: HashMap<K, i64>,
    /// How many are kept at most, of both generations.
    most: usize,
}

/// Addresses, and sightings, kept in memory at most: small ones, of which those that are missing cost a look at a random page. A
/// hash table doubles beyond 7/8 of a power of two.
const MANY_NAMES: usize = 2 * (32_768 / 8 * 7);
/// Programs, and words, kept in memory at most: those of running programs are few.
const NAMES: usize = 8_000;

impl<K: Hash + Eq> Numbers<K> {
    fn new(most: usize) -> Self {
        Numbers {
            most,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    fn get<Q>(&mut self, key: &Q) -> Option<i64>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(number) = self.young.get(key) {
            return Some(*number);
        }
        let number = self.old.remove(key)?;
        Some(self.put(key.to_owned(), number))
    }

    fn put(&mut self, key: K, number: i64) -> i64 {
        if self.young.len() >= self.most / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, number);
        number
    }
}

/// What a program can do for the first time, as `sighting` keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sight {
    Program,
    Port(u16),
    Network4([u8; 3]),
    Network6([u8; 6]),
    Listens(u16),
}

/// A flow to be written: as [`crate::Flow`], with names not yet numbered.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFlow {
    /// When it was first seen.
    pub first: Millis,
    /// How long it lasted so far, in milliseconds.
    pub span: u64,
    /// Whether it was seen to end.
    pub closed: bool,
    /// Whether its beginning was seen.
    pub begun: bool,
    /// Transport protocol: TCP or UDP.
    pub protocol: Protocol,
    /// Address family: IPv4 or IPv6.
    pub family: Family,
    /// The local side.
    pub local: (IpAddr, u16),
    /// The foreign side.
    pub foreign: (IpAddr, u16),
    /// Who began.
    pub direction: Direction,
    /// The last state before the end.
    pub state: State,
    /// How the last news was learned.
    pub origin: EventOrigin,
    /// The process, as `Writer::process` numbers it.
    pub process: Option<ProcessNumber>,
    /// User id.
    pub user: Fact<u32>,
    /// Number of the network namespace's inode.
    pub namespace: Fact<u32>,
    /// Payload bytes sent.
    pub sent: Fact<u64>,
    /// Payload bytes received.
    pub received: Fact<u64>,
    /// Segments sent again.
    pub retransmits: Fact<u32>,
    /// Smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
}

/// A process in the record, and its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessNumber {
    pub(crate) process: i64,
    pub(crate) program: i64,
}

/// The one who writes. Holds the lock; every batch is one transaction.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    path: PathBuf,
    boot: i64,
    addresses: Numbers<IpAddr>,
    words: Numbers<Vec<u8>>,
    programs: Numbers<(Option<Vec<u8>>, Vec<u8>)>,
    sightings: Numbers<(i64, Sight)>,
    /// From when until when the flows were that the running batch has written, by their stretch.
    stretches: HashMap<i64, (Millis, Millis)>,
    _lock: File,
}

/// The first inode that a namespace can have (`PROC_DYNAMIC_FIRST`, `fs/proc/generic.c`): numbers are kept as the distance from it.
pub(crate) const FIRST_NAMESPACE: i64 = 0xf000_0000;

/// Pages in the log before it is brought into the file: 16 MB.
const WAL_PAGES: i64 = 4_000;

impl Writer {
    /// Opens the store at `path` for writing, makes it if there is none, and brings an older one up to date. `host` and `boot_id`
    /// say which computer and which start of it the flows belong to.
    ///
    /// # Errors
    /// When it cannot be made, is no record, or another recorder has it.
    pub fn open(path: &Path, host: &[u8], boot_id: &str) -> Result<Writer, StoreError> {
        let failed = |error: io::Error| StoreError::File(path.to_owned(), error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| StoreError::File(folder.to_owned(), error))?;
        }
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| StoreError::File(lock_path.into(), error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::Locked(path.to_owned())),
            Err(error) => return Err(failed(error.into())),
        }
        // SQLite gives its further files the mode of this one.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))
            .map_err(failed)?;
        drop(file);

        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let empty = schema::kind(&connection)? == schema::Kind::Empty;
        if empty {
            // A new row touches a few pages at random places, and each is written whole.
            connection.pragma_update(None, "page_size", 4096)?;
            // Lets the file shrink when old flows go.
            connection.pragma_update(None, "auto_vacuum", 2)?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // In this mode a batch that was written survives the end of the program; after a power cut the last ones may be missing,
        // and nothing is ever broken (https://www.sqlite.org/pragma.html#pragma_synchronous).
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        // The upper pages of the indexes, and what a batch changes: with less, every batch reads the same pages again and again.
        connection.pragma_update(None, "cache_size", -28 * 1024)?;
        // A page that several batches change is written to its place once.
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        schema::upgrade(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute(
            "INSERT OR IGNORE INTO boot(host, boot_id) VALUES(?1, ?2)",
            params![host, boot_id],
        )?;
        let boot = connection.query_row(
            "SELECT id FROM boot WHERE host = ?1 AND boot_id = ?2",
            params![host, boot_id],
            |row| row.get(0),
        )?;
        Ok(Writer {
            connection,
            path: path.to_owned(),
            boot,
            addresses: Numbers::new(MANY_NAMES),
            words: Numbers::new(NAMES),
            programs: Numbers::new(NAMES),
            sightings: Numbers::new(MANY_NAMES),
            stretches: HashMap::new(),
            _lock: lock,
        })
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection, for retention.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The flows that the last recorder of this boot left open: by the kernel's number of the socket, the flow's number and when
    /// it was first seen.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn left_open(&self) -> Result<HashMap<u64, (i64, Millis)>, StoreError> {
        let text = "SELECT l.cookie, l.flow, f.first FROM live l JOIN flow f ON f.id = l.flow WHERE f.boot = ?1";
        let mut statement = self.connection.prepare(text)?;
        let one = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, (row.get(1)?, row.get(2)?)));
        let rows = statement.query_map([self.boot], one)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The flow of the open socket `cookie`, if it stands in the store: its number and when it was first seen.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open_flow(&self, cookie: u64) -> Result<Option<(i64, Millis)>, StoreError> {
        let text =
            "SELECT l.flow, f.first FROM live l JOIN flow f ON f.id = l.flow WHERE l.cookie = ?1 AND f.boot = ?2";
        let mut statement = self.connection.prepare_cached(text)?;
        let found = statement.query_row(params![cookie as i64, self.boot], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(optional(found)?)
    }

    /// When a recorder last wrote, as far as the store tells; `None` for a store in which nothing stands.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_alive(&self) -> Result<Option<Millis>, StoreError> {
        let text =
            "SELECT max(moment) FROM (SELECT last AS moment FROM alive UNION ALL SELECT max(until) FROM stretch)";
        Ok(self.connection.query_row(text, [], |row| row.get(0))?)
    }

    /// Brings the log into the file and empties it, as far as nobody reads: where there is no room, this may make some.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn shorten_log(&mut self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?)
    }

    /// Begins a batch. Nothing of it is in the store until [`Batch::commit`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn batch(&mut self) -> Result<Batch<'_>, StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Batch {
            writer: self,
            open: true,
        })
    }

    /// The connection, for reading.
    pub(crate) fn reading(&self) -> &Connection {
        &self.connection
    }

    /// Remembers that a stretch has the flow `number`.
    fn note_time(&mut self, number: i64, flow: &NewFlow) {
        let last = flow.first.saturating_add(i64::try_from(flow.span).unwrap_or(i64::MAX));
        let of = self.stretches.entry(number >> schema::STRETCH_BITS);
        let (first, until) = of.or_insert((flow.first, last));
        *first = flow.first.min(*first);
        *until = last.max(*until);
    }

    /// Forgets the numbers of names: a batch that was given up may have made some of them.
    pub(crate) fn forget(&mut self) {
        self.addresses = Numbers::new(MANY_NAMES);
        self.words = Numbers::new(NAMES);
        self.programs = Numbers::new(NAMES);
        self.sightings = Numbers::new(MANY_NAMES);
    }
}

/// A batch of changes. Dropped without [`Batch::commit`], it leaves no trace.
#[derive(Debug)]
pub struct Batch<'w> {
    writer: &'w mut Writer,
    open: bool,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.open {
            // After a failure SQLite may have rolled back already.
            let _ = self.writer.connection.execute_batch("ROLLBACK");
            self.writer.stretches.clear();
            self.writer.forget();
        }
    }
}

impl Batch<'_> {
    /// Puts the batch into the store.
    ///
    /// # Errors
    /// What SQLite says: then nothing of it is there.
    pub fn commit(mut self) -> Result<(), StoreError> {
        let text = "INSERT INTO stretch(number, since, until) VALUES(?1, ?2, ?3)
                    ON CONFLICT(number) DO UPDATE SET since = min(since, ?2), until = max(until, ?3)";
        for (number, (first, last)) in std::mem::take(&mut self.writer.stretches) {
            let mut statement = self.writer.connection.prepare_cached(text)?;
            statement.execute(params![number, first, last])?;
        }
        self.writer.connection.execute_batch("COMMIT")?;
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

    /// The number of a process: `pid` with its start time and what is known of it. The same facts give the same number.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn process(
        &mut self,
        pid: u32,
        start_ticks: Option<u64>,
        facts: &NewProcess,
    ) -> Result<ProcessNumber, StoreError> {
        let key = (facts.path.clone(), facts.name.clone());
        let program = match self.writer.programs.get(&key) {
            Some(number) => number,
            None => {
                let connection = &self.writer.connection;
                let find = "SELECT id FROM program WHERE name = ?2 AND coalesce(path, x'') = coalesce(?1, x'')";
                let found = optional(
                    connection
                        .prepare_cached(find)?
                        .query_row(params![key.0, key.1], |row| row.get(0)),
                )?;
                let number = match found {
                    Some(number) => number,
                    None => {
                        let insert = "INSERT INTO program(path, name) VALUES(?1, ?2)";
                        connection.prepare_cached(insert)?.execute(params![key.0, key.1])?;
                        connection.last_insert_rowid()
                    }
                };
                self.writer.programs.put(key, number)
            }
        };
        let unit = facts.unit.as_deref().map(|unit| self.word(unit)).transpose()?;
        let container = facts.container.as_deref().map(|name| self.word(name)).transpose()?;
        let start = start_ticks.map(|ticks| ticks as i64);
        let command = facts.command.map(|hash| hash as i64);
        let connection = &self.writer.connection;
        // SQLite would rather look through all processes of the program: there may be a hundred thousand.
        let find = "SELECT id FROM process INDEXED BY process_pid WHERE pid = ?1 AND boot = ?2 AND start IS ?3 AND program = ?4 AND unit IS ?5
                    AND container IS ?6 AND command IS ?7";
        let boot = self.writer.boot;
        let values = params![pid, boot, start, program, unit, container, command];
        let found = optional(connection.prepare_cached(find)?.query_row(values, |row| row.get(0)))?;
        let process = match found {
            Some(number) => number,
            None => {
                let insert = "INSERT INTO process(pid, boot, start, program, unit, container, command)
                              VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                connection.prepare_cached(insert)?.execute(values)?;
                connection.last_insert_rowid()
            }
        };
        Ok(ProcessNumber { process, program })
    }

    /// Writes a flow, and returns its number. `cookie`: the kernel's number of a socket that is still open.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn insert(&mut self, flow: &NewFlow, cookie: Option<u64>) -> Result<i64, StoreError> {
        let local = self.address(flow.local.0)?;
        let remote = self.address(flow.foreign.0)?;
        self.sight(flow)?;
        let connection = &self.writer.connection;
        let text = "INSERT INTO flow(first, span, process, boot, local, local_port, remote, remote_port, kind, sent, received,
                    retransmits, rtt, user, netns) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
        connection.prepare_cached(text)?.execute(params![
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
        ])?;
        let number = connection.last_insert_rowid();
        self.writer.note_time(number, flow);
        let connection = &self.writer.connection;
        if let Some(cookie) = cookie {
            let text = "INSERT OR REPLACE INTO live(cookie, flow) VALUES(?1, ?2)";
            connection
                .prepare_cached(text)?
                .execute(params![cookie as i64, number])?;
        }
        Ok(number)
    }

    /// Writes what has changed of the flow `number`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn update(&mut self, number: i64, flow: &NewFlow, cookie: Option<u64>) -> Result<(), StoreError> {
        let local = self.address(flow.local.0)?;
        let remote = self.address(flow.foreign.0)?;
        self.sight(flow)?;
        let connection = &self.writer.connection;
        let text = "UPDATE flow SET span = ?2, process = coalesce(?3, process), local = ?4, local_port = ?5, remote = ?6,
                    remote_port = ?7, kind = ?8, sent = coalesce(?9, sent), received = coalesce(?10, received),
                    retransmits = coalesce(?11, retransmits), rtt = coalesce(?12, rtt), user = coalesce(?13, user) WHERE id = ?1";
        connection.prepare_cached(text)?.execute(params![
            number,
            flow.span as i64,
            flow.process.map(|process| process.process),
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
        ])?;
        self.writer.note_time(number, flow);
        if let Some(cookie) = cookie.filter(|_| flow.closed) {
            self.writer
                .connection
                .prepare_cached("DELETE FROM live WHERE cookie = ?1")?
                .execute([cookie as i64])?;
        }
        Ok(())
    }

    /// Says that nothing more will be heard of the socket `cookie`: it ended unseen.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn give_up(&mut self, cookie: u64) -> Result<(), StoreError> {
        let text = "DELETE FROM live WHERE cookie = ?1";
        self.writer.connection.prepare_cached(text)?.execute([cookie as i64])?;
        Ok(())
    }

    /// Says that nothing more will be heard of any flow of another boot.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn give_up_others(&mut self) -> Result<(), StoreError> {
        let text = "DELETE FROM live WHERE flow NOT IN (SELECT id FROM flow WHERE boot = ?1 AND id IN (SELECT flow FROM live))";
        self.writer.connection.execute(text, [self.writer.boot])?;
        Ok(())
    }

    /// Writes that a recorder was at work at this moment.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn alive(&mut self, now: Millis) -> Result<(), StoreError> {
        let text = "INSERT OR REPLACE INTO alive(id, last) VALUES(1, ?1)";
        self.writer.connection.prepare_cached(text)?.execute([now])?;
        Ok(())
    }

    /// Writes that something is missing from `since` to `until`. `lost`: how many events or flows, where it can be told.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn gap(&mut self, since: Millis, until: Millis, reason: &str, lost: Option<u64>) -> Result<(), StoreError> {
        self.writer.connection.execute(
            "INSERT INTO gap(since, until, reason, lost) VALUES(?1, ?2, ?3, ?4)",
            params![since, until, reason, lost.map(|lost| lost as i64)],
        )?;
        Ok(())
    }

    /// Takes note of what a program does for the first time.
    fn sight(&mut self, flow: &NewFlow) -> Result<(), StoreError> {
        let Some(process) = flow.process else { return Ok(()) };
        self.sighting(process.program, Sight::Program, flow.first)?;
        match flow.direction {
            Direction::Outgoing if flow.foreign.1 != 0 => {
                self.sighting(process.program, Sight::Port(flow.foreign.1), flow.first)?;
                self.sighting(process.program, network(flow.foreign.0), flow.first)
            }
            Direction::Listening => self.sighting(process.program, Sight::Listens(flow.local.1), flow.first),
            _ => Ok(()),
        }
    }

    fn sighting(&mut self, program: i64, sight: Sight, first: Millis) -> Result<(), StoreError> {
        let key = (program, sight);
        if self.writer.sightings.get(&key).is_some() {
            return Ok(());
        }
        let text = "INSERT OR IGNORE INTO sighting(program, kind, value, first) VALUES(?1, ?2, ?3, ?4)";
        let mut statement = self.writer.connection.prepare_cached(text)?;
        match &sight {
            Sight::Program => statement.execute(params![program, 0, b"".as_slice(), first])?,
            Sight::Port(port) => statement.execute(params![program, 1, port, first])?,
            Sight::Network4(bytes) => statement.execute(params![program, 2, bytes.as_slice(), first])?,
            Sight::Network6(bytes) => statement.execute(params![program, 2, bytes.as_slice(), first])?,
            Sight::Listens(port) => statement.execute(params![program, 3, port, first])?,
        };
        drop(statement);
        self.writer.sightings.put(key, 0);
        Ok(())
    }
}

/// The network that an address counts to when it is asked whether a program has been there before: /24 or /48.
fn network(address: IpAddr) -> Sight {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Sight::Network4([a, b, c])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, ..] = v6.octets();
            Sight::Network6([a, b, c, d, e, f])
        }
    }
}

/// The bytes of an address: 4 or 16.
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

fn long(fact: Fact<u64>) -> Option<i64> {
    fact.known().map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}

/// `flow.kind`; see [`schema`].
fn pack(flow: &NewFlow) -> i64 {
    let mapped = |address: IpAddr| i64::from(flow.family == Family::V6 && address.to_canonical().is_ipv4());
    i64::from(flow.protocol == Protocol::Udp)
        | i64::from(flow.family == Family::V6) << 1
        | (flow.direction as i64) << 2
        | state_number(flow.state) << 4
        | (flow.origin as i64) << 8
        | i64::from(flow.closed) << 10
        | i64::from(flow.begun) << 11
        | mapped(flow.local.0) << 12
        | mapped(flow.foreign.0) << 13
}

/// What [`pack`] has packed.
pub(crate) struct Kind {
    pub(crate) protocol: Protocol,
    pub(crate) family: Family,
    pub(crate) direction: Direction,
    pub(crate) state: State,
    pub(crate) origin: EventOrigin,
    pub(crate) closed: bool,
    pub(crate) begun: bool,
    pub(crate) mapped: (bool, bool),
}

pub(crate) fn unpack(kind: i64) -> Kind {
    let bit = |at: u32| kind >> at & 1 == 1;
    Kind {
        protocol: if bit(0) { Protocol::Udp } else { Protocol::Tcp },
        family: if bit(1) { Family::V6 } else { Family::V4 },
        direction: Direction::from_number((kind >> 2 & 3) as u8).unwrap_or(Direction::Unknown),
        state: STATES[(kind >> 4 & 15) as usize % STATES.len()],
        origin: EventOrigin::from_number((kind >> 8 & 3) as u8).unwrap_or(EventOrigin::Poll),
        closed: bit(10),
        begun: bit(11),
        mapped: (bit(12), bit(13)),
    }
}

/// States by the number that the store keeps: never changed, only added to.
const STATES: [State; 12] = [
    State::Closed,
    State::Established,
    State::SynSent,
    State::SynReceived,
    State::FinWait1,
    State::FinWait2,
    State::TimeWait,
    State::CloseWait,
    State::LastAck,
    State::Listening,
    State::Closing,
    State::Bound,
];

fn state_number(state: State) -> i64 {
    STATES.iter().position(|one| *one == state).unwrap_or(0) as i64
}

/// Bytes of the file that a reader has mapped into memory at most.
pub(crate) const MAPPED: i64 = 1 << 30;

/// Opens a store for reading.
///
/// # Errors
/// When there is none, or it is no record.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(match error.kind() {
            io::ErrorKind::NotFound => StoreError::Absent(path.to_owned()),
            _ => StoreError::File(path.to_owned(), error),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -16 * 1024)?;
    connection.pragma_update(None, "mmap_size", MAPPED)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn the_store_stands_in_a_state_directory() {
        let place = |root, variables: &[(&str, &str)]| {
            default_path(root, |name| {
                let found = variables.iter().find(|(one, _)| *one == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        let path = |text: &str| Some(PathBuf::from(text));
        let home = ("HOME", "/home/ann");
        assert_eq!(place(true, &[home]), path("/var/lib/netstat/record.db"));
        assert_eq!(place(false, &[home]), path("/home/ann/.local/state/netstat/record.db"));
        let state = ("XDG_STATE_HOME", "/data");
        assert_eq!(place(false, &[home, state]), path("/data/netstat/record.db"));
        // The specification has relative paths ignored.
        let relative = ("XDG_STATE_HOME", "data");
        assert_eq!(
            place(false, &[home, relative]),
            path("/home/ann/.local/state/netstat/record.db")
        );
        assert_eq!(place(false, &[]), None);
    }

    #[test]
    fn names_not_met_for_long_are_forgotten_first() {
        let mut numbers: Numbers<u64> = Numbers::new(NAMES);
        for key in 0..10 * NAMES as u64 {
            numbers.put(key, key as i64);
            assert_eq!(numbers.get(&0), Some(0), "met again and again");
            assert!(numbers.young.len() + numbers.old.len() <= NAMES + 1);
        }
        assert_eq!(numbers.get(&1), None);
    }
}
