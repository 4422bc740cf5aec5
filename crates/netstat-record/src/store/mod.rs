//! The store's file: opening, locking, writing in batches.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State};
use netstat_os::files;
use rusqlite::{Connection, OpenFlags, params};

use crate::clock::StoredClock;
pub(crate) use crate::error::StoreError;
use crate::flow::Millis;
use crate::schema;

mod batch;
mod check;
mod connection;
mod numbers;
mod pack;

pub use batch::Batch;
pub(crate) use batch::{octets, optional};
pub(crate) use connection::{Watchdog, open_to_read};
pub(crate) use pack::unpack;

use numbers::{MANY_NAMES, NAMES, Numbers};

/// The end of the lock file's name. The lock on the store itself is what counts; this one is for recorders of earlier versions, which
/// know no other, and for those who ask whether a recorder runs.
const LOCK: &str = ".lock";

/// Where the record is kept when nothing else is said: below the state directory of the system for root, else of the user
/// (`$XDG_STATE_HOME`, XDG Base Directory Specification). `None` when a user has no home.
pub fn default_path(root: bool, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    const FILE: &str = "netstat/record.db";
    if netstat_os::NATIVE_KIND == netstat_model::SystemKind::Windows {
        let base = match root {
            true => files::shared_directory()?,
            false => variable("LOCALAPPDATA")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())?,
        };
        return Some(base.join("netstat").join("record.db"));
    }
    if root {
        return Some(Path::new("/var/lib").join(FILE));
    }
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join(FILE))
}

/// What a program can do for the first time, as `sighting` keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NoveltyKey {
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
    /// The name that a program asked for before it connected.
    pub asked_name: Option<Arc<[u8]>>,
}

/// A process in the record, and its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessNumber {
    pub(crate) process: i64,
    pub(crate) program: i64,
}

/// Writes to a store. Holds its lock; every batch is one transaction.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    watchdog: Watchdog,
    path: PathBuf,
    host: Vec<u8>,
    boot_id: String,
    boot: i64,
    addresses: Numbers<IpAddr>,
    words: Numbers<Vec<u8>>,
    programs: Numbers<(Option<Vec<u8>>, Vec<u8>)>,
    first_times: Numbers<(i64, NoveltyKey)>,
    /// Since when and until when the flows were that the running batch has written, by their segment.
    segments: HashMap<i64, (Millis, Millis)>,
    /// Whether what is written is noted for a fleet.
    pub(crate) shipping: bool,
    /// The store itself, and the lock file: dropped after the connection, because closing any descriptor of a file ends SQLite's own
    /// locks on it.
    locks: Locks,
}

/// What a recorder holds as long as it writes.
#[derive(Debug)]
struct Locks {
    store: File,
    _beside: File,
    /// The journal that SQLite writes to, once there is one.
    journal: Option<(u64, u64)>,
}

/// The first inode that a namespace can have (`PROC_DYNAMIC_FIRST`, `fs/proc/generic.c`): numbers are kept as the distance from it.
pub(crate) const FIRST_NAMESPACE: i64 = 0xf000_0000;

/// Pages in the log before it is brought into the file: 16 MB.
const WAL_PAGES: i64 = 4_000;

impl Locks {
    /// Locks the store at `path`, which is made when there is none.
    fn take(path: &Path) -> Result<Locks, StoreError> {
        let found = check::for_writing(path)?;
        let store = match found {
            check::Found::Empty(file) | check::Found::Record(file) => file,
            check::Found::Nothing => {
                netstat_os::create_private(path).map_err(|error| StoreError::File(path.to_owned(), error))?;
                files::open_in_place(path, true).map_err(|error| StoreError::File(path.to_owned(), error))?
            }
        };
        let lock = |file: &File, path: &Path| match files::try_lock(file) {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Locked(path.to_owned())),
            Err(error) => Err(StoreError::File(path.to_owned(), error)),
        };
        lock(&store, path)?;
        let beside_path = check::beside(path, LOCK);
        let failed = |error: io::Error| StoreError::File(beside_path.clone(), error);
        let beside = match netstat_os::create_private(&beside_path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                files::open_in_place(&beside_path, true).map_err(failed)?
            }
            made => made.map_err(failed)?,
        };
        lock(&beside, path)?;
        if netstat_os::NATIVE_KIND == netstat_model::SystemKind::Windows {
            make_journals(path)?;
        }
        Ok(Locks {
            store,
            _beside: beside,
            journal: None,
        })
    }
}

/// Makes the journals empty where there are none. SQLite would make them with the access list that their directory hands down, which may let
/// others read them; elsewhere it gives them the mode of the store.
fn make_journals(path: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-shm"] {
        let journal = check::beside(path, suffix);
        match netstat_os::create_private(&journal) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(StoreError::File(journal, error)),
            _ => {}
        }
    }
    Ok(())
}

impl Writer {
    /// Opens the store at `path` for writing, makes it if there is none, and brings an older one up to date. `host` and `boot_id`
    /// say which computer and which start of it the flows belong to.
    ///
    /// # Errors
    /// When it cannot be made, is no record, could be changed by another user, or another recorder has it. Then nothing was changed.
    pub fn open(path: &Path, host: &[u8], boot_id: &str) -> Result<Writer, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            files::create_private_directory(folder).map_err(|error| StoreError::File(folder.to_owned(), error))?;
        }
        let path = check::resolved(path).map_err(|error| StoreError::File(path.to_owned(), error))?;
        let locks = Locks::take(&path)?;
        // SQLite gives its further files the mode of this one.
        let (mut connection, watchdog) = connection::open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let boot = prepare(&mut connection, &path, host, boot_id).map_err(|error| error.in_file(&path))?;
        Ok(Writer {
            connection,
            watchdog,
            path,
            host: host.to_owned(),
            boot_id: boot_id.to_owned(),
            boot,
            addresses: Numbers::new(MANY_NAMES),
            words: Numbers::new(NAMES),
            programs: Numbers::new(NAMES),
            first_times: Numbers::new(MANY_NAMES),
            segments: HashMap::new(),
            shipping: false,
            locks,
        })
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what is written still goes to the file at [`Writer::path`]: it may have been deleted, moved or replaced.
    pub fn is_in_place(&mut self) -> bool {
        let identity = |path: &Path| files::entry(path).ok().map(|entry| entry.identity);
        let store = files::entry_of(&self.locks.store).ok().map(|entry| entry.identity);
        if store.is_none() || identity(&self.path) != store {
            return false;
        }
        let journal = identity(&check::beside(&self.path, "-wal"));
        match self.locks.journal {
            Some(known) => journal == Some(known),
            None => {
                self.locks.journal = journal;
                true
            }
        }
    }

    /// Opens the store at the same path anew, after [`Writer::is_in_place`] has become false.
    ///
    /// # Errors
    /// Those of [`Writer::open`].
    pub fn open_anew(self) -> Result<Writer, StoreError> {
        let Writer {
            connection,
            path,
            host,
            boot_id,
            locks,
            shipping,
            ..
        } = self;
        // What a file that was only moved has not yet got from its journal.
        let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        drop(connection);
        drop(locks);
        let mut writer = Writer::open(&path, &host, &boot_id)?;
        if shipping {
            writer.begin_shipping()?;
        }
        Ok(writer)
    }

    /// The connection, for retention.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        self.watchdog.feed();
        &mut self.connection
    }

    /// What the store knows of the clock: see [`crate::clock`].
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn clock(&self) -> Result<Option<StoredClock>, StoreError> {
        let text = "SELECT boot = ?1, since_boot, wall, sense FROM clock";
        let mut statement = self.reading().prepare(text)?;
        let clock = statement.query_row([self.boot], |row| {
            Ok(StoredClock {
                same_boot: row.get(0)?,
                since_boot: row.get(1)?,
                wall: row.get(2)?,
                sense: row.get(3)?,
            })
        });
        Ok(optional(clock)?)
    }

    /// The flows that the last recorder of this boot left open: by the kernel's number of the socket, the flow's number and when
    /// it was first seen.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn left_open(&self) -> Result<HashMap<u64, (i64, Millis)>, StoreError> {
        let text = "SELECT l.cookie, l.flow, f.first FROM live l JOIN flow f ON f.id = l.flow WHERE f.boot = ?1";
        let mut statement = self.reading().prepare(text)?;
        let one = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, (row.get(1)?, row.get(2)?)));
        let rows = statement.query_map([self.boot], one)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The flow of the open socket `cookie`, if it is in the store: its number and when it was first seen.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open_flow(&self, cookie: u64) -> Result<Option<(i64, Millis)>, StoreError> {
        let text =
            "SELECT l.flow, f.first FROM live l JOIN flow f ON f.id = l.flow WHERE l.cookie = ?1 AND f.boot = ?2";
        let mut statement = self.reading().prepare_cached(text)?;
        let found = statement.query_row(params![cookie as i64, self.boot], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(optional(found)?)
    }

    /// When a recorder last wrote, as far as the store says; `None` for an empty store.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_alive(&self) -> Result<Option<Millis>, StoreError> {
        let text =
            "SELECT max(moment) FROM (SELECT last AS moment FROM alive UNION ALL SELECT max(until) FROM stretch)";
        Ok(self.reading().query_row(text, [], |row| row.get(0))?)
    }

    /// Brings the log into the file and empties it, as far as nobody reads: where there is no room, this may make some.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn shorten_log(&mut self) -> Result<(), StoreError> {
        Ok(self.reading().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?)
    }

    /// Begins a batch. Nothing of it is in the store until [`Batch::commit`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn batch(&mut self) -> Result<Batch<'_>, StoreError> {
        self.reading().execute_batch("BEGIN IMMEDIATE")?;
        Ok(Batch {
            writer: self,
            open: true,
        })
    }

    /// The connection, for a statement that begins now.
    pub(crate) fn reading(&self) -> &Connection {
        self.watchdog.feed();
        &self.connection
    }

    /// Remembers that a segment has the flow `number`.
    fn note_time(&mut self, number: i64, flow: &NewFlow) {
        let last = flow.first.saturating_add(i64::try_from(flow.span).unwrap_or(i64::MAX));
        let of = self.segments.entry(number >> schema::SEGMENT_BITS);
        let (first, until) = of.or_insert((flow.first, last));
        *first = flow.first.min(*first);
        *until = last.max(*until);
    }

    /// Forgets the numbers of names: a batch that was given up may have made some of them.
    pub(crate) fn forget(&mut self) {
        self.addresses = Numbers::new(MANY_NAMES);
        self.words = Numbers::new(NAMES);
        self.programs = Numbers::new(NAMES);
        self.first_times = Numbers::new(MANY_NAMES);
    }
}

/// Sets an open store up and brings its tables up to date. Returns the number of this boot.
fn prepare(connection: &mut Connection, path: &Path, host: &[u8], boot_id: &str) -> Result<i64, StoreError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    if schema::kind(connection, path)? == schema::Content::Empty {
        // A new row touches a few pages at random places, and each is written whole.
        connection.pragma_update(None, "page_size", 4096)?;
        // Lets the file shrink when old flows go.
        connection.pragma_update(None, "auto_vacuum", 2)?;
        // In the file itself before there is a journal, so that the file says what it is from the start.
        connection.pragma_update(None, "application_id", schema::APPLICATION)?;
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
    schema::upgrade(connection, path)?;
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
    Ok(boot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn default_path_is_in_a_state_directory() {
        let place = |root, variables: &[(&str, &str)]| {
            default_path(root, |name| {
                let found = variables.iter().find(|(one, _)| *one == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        if netstat_os::NATIVE_KIND == netstat_model::SystemKind::Windows {
            let variables = [
                ("LOCALAPPDATA", r"C:\Users\Ann\AppData\Local"),
                ("ProgramData", r"C:\ProgramData"),
            ];
            let own = PathBuf::from(r"C:\Users\Ann\AppData\Local\netstat\record.db");
            assert_eq!(place(false, &variables), Some(own));
            assert_eq!(
                place(true, &variables),
                Some(PathBuf::from(r"C:\ProgramData\netstat\record.db"))
            );
            assert_eq!(place(true, &[]), None);
            return;
        }
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
}
