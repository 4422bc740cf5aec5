//! The store's file: opening, locking, and writing in batches.

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

/// The suffix of the lock file's name. The lock that matters is the one on the store itself; this one is for recorders
/// of earlier versions, which know no other, and for programs that check whether a recorder is running.
const LOCK: &str = ".lock";

/// Returns the default path of the record: in the system's state directory for root, otherwise in the user's
/// (`$XDG_STATE_HOME`, XDG Base Directory Specification). `None` if the user has no home directory.
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

/// What a program can do for the first time, as stored in `sighting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NoveltyKey {
    Program,
    Port(u16),
    Network4([u8; 3]),
    Network6([u8; 6]),
    Listens(u16),
}

/// A flow to be written. It is like [`crate::Flow`], but its names have no ids yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFlow {
    /// When the flow was first seen.
    pub first: Millis,
    /// How long it has lasted so far, in milliseconds.
    pub span: u64,
    /// Whether its end was observed.
    pub closed: bool,
    /// Whether its beginning was observed.
    pub begun: bool,
    /// The protocol: TCP or UDP.
    pub protocol: Protocol,
    /// The address family: IPv4 or IPv6.
    pub family: Family,
    /// The local address and port.
    pub local: (IpAddr, u16),
    /// The foreign address and port.
    pub foreign: (IpAddr, u16),
    /// The side that initiated the connection.
    pub direction: Direction,
    /// The last state before the end.
    pub state: State,
    /// How the last event was observed.
    pub origin: EventOrigin,
    /// The process, as returned by `Batch::process`; `None` if not known.
    pub process: Option<ProcessNumber>,
    /// The user id.
    pub user: Fact<u32>,
    /// The inode of the network namespace.
    pub namespace: Fact<u32>,
    /// Payload bytes sent.
    pub sent: Fact<u64>,
    /// Payload bytes received.
    pub received: Fact<u64>,
    /// Segments retransmitted.
    pub retransmits: Fact<u32>,
    /// The smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
    /// The name that a program asked for before it connected; `None` if there was none.
    pub asked_name: Option<Arc<[u8]>>,
}

/// The ids of a process and its program in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessNumber {
    pub(crate) process: i64,
    pub(crate) program: i64,
}

/// Writes to a store. It holds the store's lock, and every batch is one transaction.
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
    /// The time range of the flows that the current batch has written, by stretch.
    segments: HashMap<i64, (Millis, Millis)>,
    /// Whether what is written is noted for a fleet.
    pub(crate) shipping: bool,
    /// The store itself and the lock file. They are dropped after the connection, because closing any descriptor of a
    /// file releases SQLite's own locks on it.
    locks: Locks,
}

/// What a recorder holds while it writes.
#[derive(Debug)]
struct Locks {
    store: File,
    _beside: File,
    /// The identity of the journal that SQLite writes to, once there is one.
    journal: Option<(u64, u64)>,
}

/// The first inode that a namespace can have (`PROC_DYNAMIC_FIRST`, `fs/proc/generic.c`). Inodes are stored as the
/// distance from it.
pub(crate) const FIRST_NAMESPACE: i64 = 0xf000_0000;

/// The number of pages in the write-ahead log at which it is transferred into the file: 16 MB.
const WAL_PAGES: i64 = 4_000;

impl Locks {
    /// Locks the store at `path`, and creates it if there is none.
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

/// Creates empty journals if there are none. On Windows, SQLite would create them with the access control list
/// inherited from their directory, which may let other users read them; elsewhere it gives them the mode of the store.
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
    /// Opens the store at `path` for writing, creates it if there is none, and upgrades an older one. `host` and
    /// `boot_id` tell which computer and boot the flows belong to.
    ///
    /// # Errors
    /// Returns an error if the store cannot be created, is not a record, could be changed by another user, or is in use
    /// by another recorder. Nothing was changed in that case.
    pub fn open(path: &Path, host: &[u8], boot_id: &str) -> Result<Writer, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            files::create_private_directory(folder).map_err(|error| StoreError::File(folder.to_owned(), error))?;
        }
        let path = check::resolved(path).map_err(|error| StoreError::File(path.to_owned(), error))?;
        let locks = Locks::take(&path)?;
        // SQLite creates its further files with the mode of this one.
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

    /// Returns the path of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether writes still reach the file at [`Writer::path`], which may have been deleted, moved or replaced.
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

    /// Opens the store at the same path anew, after [`Writer::is_in_place`] has returned `false`.
    ///
    /// # Errors
    /// Returns the errors of [`Writer::open`].
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
        // For a file that was only moved: transfers what it has not yet received from its journal.
        let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        drop(connection);
        drop(locks);
        let mut writer = Writer::open(&path, &host, &boot_id)?;
        if shipping {
            writer.begin_shipping()?;
        }
        Ok(writer)
    }

    /// Returns the connection, for retention.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        self.watchdog.feed();
        &mut self.connection
    }

    /// Returns the clock readings saved in the store; see [`crate::clock`].
    ///
    /// # Errors
    /// Returns an error if SQLite does.
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

    /// Returns the flows that the last recorder of this boot left open: by cookie, the id of the flow and when it was
    /// first seen.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn left_open(&self) -> Result<HashMap<u64, (i64, Millis)>, StoreError> {
        let text = "SELECT l.cookie, l.flow, f.first FROM live l JOIN flow f ON f.id = l.flow WHERE f.boot = ?1";
        let mut statement = self.reading().prepare(text)?;
        let one = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, (row.get(1)?, row.get(2)?)));
        let rows = statement.query_map([self.boot], one)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the flow of the open socket `cookie`, if it is in the store: its id and when it was first seen.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn open_flow(&self, cookie: u64) -> Result<Option<(i64, Millis)>, StoreError> {
        let text =
            "SELECT l.flow, f.first FROM live l JOIN flow f ON f.id = l.flow WHERE l.cookie = ?1 AND f.boot = ?2";
        let mut statement = self.reading().prepare_cached(text)?;
        let found = statement.query_row(params![cookie as i64, self.boot], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(optional(found)?)
    }

    /// Returns when a recorder last wrote, as far as the store tells; `None` if the store is empty.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn last_alive(&self) -> Result<Option<Millis>, StoreError> {
        let text =
            "SELECT max(moment) FROM (SELECT last AS moment FROM alive UNION ALL SELECT max(until) FROM stretch)";
        Ok(self.reading().query_row(text, [], |row| row.get(0))?)
    }

    /// Transfers the write-ahead log into the file and empties it, as far as there are no readers. This may make room
    /// if there is none.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn shorten_log(&mut self) -> Result<(), StoreError> {
        Ok(self.reading().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?)
    }

    /// Begins a batch. Nothing of it is in the store until [`Batch::commit`].
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn batch(&mut self) -> Result<Batch<'_>, StoreError> {
        self.reading().execute_batch("BEGIN IMMEDIATE")?;
        Ok(Batch {
            writer: self,
            open: true,
        })
    }

    /// Returns the connection for a statement that begins now.
    pub(crate) fn reading(&self) -> &Connection {
        self.watchdog.feed();
        &self.connection
    }

    /// Extends the time range of the stretch that contains the flow `number`.
    fn note_time(&mut self, number: i64, flow: &NewFlow) {
        let last = flow.first.saturating_add(i64::try_from(flow.span).unwrap_or(i64::MAX));
        let of = self.segments.entry(number >> schema::SEGMENT_BITS);
        let (first, until) = of.or_insert((flow.first, last));
        *first = flow.first.min(*first);
        *until = last.max(*until);
    }

    /// Forgets the ids of names, because a batch that was rolled back may have created some of them.
    pub(crate) fn forget(&mut self) {
        self.addresses = Numbers::new(MANY_NAMES);
        self.words = Numbers::new(NAMES);
        self.programs = Numbers::new(NAMES);
        self.first_times = Numbers::new(MANY_NAMES);
    }
}

/// Configures an open store and upgrades its tables. Returns the id of this boot.
fn prepare(connection: &mut Connection, path: &Path, host: &[u8], boot_id: &str) -> Result<i64, StoreError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    if schema::kind(connection, path)? == schema::Content::Empty {
        // A new row touches a few pages at random places, each of which is written as a whole.
        connection.pragma_update(None, "page_size", 4096)?;
        // Allows the file to shrink when old flows are removed.
        connection.pragma_update(None, "auto_vacuum", 2)?;
        // Set before there is a journal, so that it is in the file itself, which then identifies it from the start.
        connection.pragma_update(None, "application_id", schema::APPLICATION)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In this mode, a batch that was written survives the end of the program. After a power failure the last batches
    // may be missing, but nothing is corrupted (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // Room for the upper pages of the indexes and for what a batch changes; with less, every batch reads the same pages
    // again.
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
    fn default_store_path_is_in_state_directory_of_system_or_user() {
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
            // Without the variable the system names the directory.
            let unset = place(true, &[]);
            assert!(
                unset.as_ref().is_some_and(|path| path.ends_with(r"netstat\record.db")),
                "{unset:?}"
            );
            return;
        }
        let path = |text: &str| Some(PathBuf::from(text));
        let home = ("HOME", "/home/ann");
        assert_eq!(place(true, &[home]), path("/var/lib/netstat/record.db"));
        assert_eq!(place(false, &[home]), path("/home/ann/.local/state/netstat/record.db"));
        let state = ("XDG_STATE_HOME", "/data");
        assert_eq!(place(false, &[home, state]), path("/data/netstat/record.db"));
        // The specification requires relative paths to be ignored.
        let relative = ("XDG_STATE_HOME", "data");
        assert_eq!(
            place(false, &[home, relative]),
            path("/home/ann/.local/state/netstat/record.db")
        );
        assert_eq!(place(false, &[]), None);
    }
}
