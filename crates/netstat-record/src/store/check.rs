//! Checks of a store's files before SQLite opens them.
//!
//! SQLite opens whatever it is given: it would wait for the other end of a FIFO, follow a symbolic link in a parent
//! directory, and replay a journal that a stranger has put beside the file. Each file is therefore checked first, and
//! refused with an explanation.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use netstat_os::files::{self, Entry, EntryKind};

use super::StoreError;
use crate::schema::APPLICATION;

/// The suffixes of the files in which SQLite keeps what the database file does not have yet: `-wal` and `-shm` in the
/// mode that stores use, `-journal` in the other one.
const JOURNALS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The first bytes of every SQLite database (https://www.sqlite.org/fileformat.html, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The length of that header in bytes.
const HEADER: usize = 100;
/// The offset of the application id in the header.
const APPLICATION_AT: usize = 68;

/// What exists at the path of a store.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// An empty file.
    Empty(File),
    /// A record, or a database that is still empty.
    Record(File),
}

/// Returns the path of a file that accompanies the store at `path`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Resolves the directory of a path, so that what is checked is what is opened. The last component is not resolved.
pub(super) fn resolved(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(files::canonical(folder.unwrap_or(Path::new(".")))?.join(name))
}

/// Checks everything that a recorder would open at `path`, without changing anything.
///
/// # Errors
/// Returns an error that tells what is wrong.
pub(super) fn for_writing(path: &Path) -> Result<Found, StoreError> {
    if let Some(folder) = path.parent() {
        directory(folder)?;
    }
    let found = main_file(path, true)?;
    for suffix in JOURNALS.iter().chain(&[super::LOCK]) {
        own_file(&beside(path, suffix))?;
    }
    Ok(found)
}

/// Checks everything that a reader would open at `path`. For reading it does not matter who owns the files.
///
/// # Errors
/// Returns an error that tells what is wrong.
pub(super) fn for_reading(path: &Path) -> Result<(), StoreError> {
    match main_file(path, false)? {
        Found::Record(_) => {}
        Found::Nothing | Found::Empty(_) => return Err(StoreError::Absent(path.to_owned())),
    }
    for suffix in JOURNALS {
        let path = beside(path, suffix);
        match files::entry(&path) {
            Ok(entry) => usable(&path, &entry)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::File(path, error)),
        }
    }
    Ok(())
}

/// Checks the database file itself.
fn main_file(path: &Path, write: bool) -> Result<Found, StoreError> {
    let failed = |error: io::Error| StoreError::File(path.to_owned(), error);
    let before = match files::entry(path) {
        Ok(entry) => entry,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed(error)),
    };
    usable(path, &before)?;
    let mut file = files::open_in_place(path, write).map_err(failed)?;
    let entry = files::entry_of(&file).map_err(failed)?;
    if entry.identity != before.identity {
        return Err(unsafe_file(path, "it was replaced while it was looked at"));
    }
    let mut start = Vec::with_capacity(512);
    (&mut file).take(512).read_to_end(&mut start).map_err(failed)?;
    if start.is_empty() {
        if write {
            owned(path, &entry)?;
        }
        return Ok(Found::Empty(file));
    }
    if !is_record(path, &start, entry.size) {
        return Err(StoreError::Foreign(path.to_owned(), content(&start)));
    }
    if write {
        owned(path, &entry)?;
    }
    Ok(Found::Record(file))
}

/// Whether a file that begins with these bytes may be a record.
fn is_record(path: &Path, start: &[u8], size: u64) -> bool {
    if start.len() < HEADER || !start.starts_with(MAGIC) {
        return false;
    }
    match application(start) {
        Some(APPLICATION) => true,
        // An older program wrote the first page and lost power at once; the rest is in the journal.
        Some(0) => size <= 65_536 && files::entry(&beside(path, "-wal")).is_ok_and(|wal| wal.size > 0),
        _ => false,
    }
}

fn application(start: &[u8]) -> Option<i32> {
    let bytes = start.get(APPLICATION_AT..APPLICATION_AT + 4)?;
    Some(i32::from_be_bytes(bytes.try_into().ok()?))
}

/// Describes a file that begins with these bytes, for a message.
fn content(start: &[u8]) -> String {
    let known: [(&[u8], &str); 8] = [
        (b"\x7fELF", "a program or library"),
        (b"\x1f\x8b", "data compressed by gzip"),
        (b"\x28\xb5\x2f\xfd", "data compressed by zstd"),
        (b"\xfd7zXZ\0", "data compressed by xz"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x89PNG", "a PNG picture"),
        (b"%PDF", "a PDF document"),
        (b"\x0a\x0d\x0d\x0a", "a packet capture"),
    ];
    if start.starts_with(MAGIC) {
        return match application(start) {
            Some(0) | None => "an SQLite database of another program".to_owned(),
            Some(number) => format!("an SQLite database of another program (application id {number:#010x})"),
        };
    }
    if let Some((_, what)) = known.iter().find(|(magic, _)| start.starts_with(magic)) {
        return (*what).to_owned();
    }
    let text = match std::str::from_utf8(start) {
        Ok(_) => true,
        // The last character may be truncated.
        Err(error) => error.error_len().is_none(),
    };
    let control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    match text && !start.iter().any(control) {
        true => "text".to_owned(),
        false => "data of another program".to_owned(),
    }
}

/// Checks a file that accompanies the store: it must be missing or belong to the recorder's user.
fn own_file(path: &Path) -> Result<(), StoreError> {
    match files::entry(path) {
        Ok(entry) => {
            usable(path, &entry)?;
            owned(path, &entry)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::File(path.to_owned(), error)),
    }
}

/// Checks that a file is a regular one that is not writable by everyone.
fn usable(path: &Path, entry: &Entry) -> Result<(), StoreError> {
    let why = match entry.kind {
        EntryKind::File if entry.mode & 0o002 != 0 => "every user may write to it",
        EntryKind::File if others(path, false)?.every_user_changes => "every user may write to it",
        EntryKind::File => return Ok(()),
        EntryKind::Directory => "it is a directory",
        EntryKind::Link => "it is a symbolic link; name the file it leads to",
        EntryKind::Fifo => "it is a FIFO",
        EntryKind::Other => "it is not a regular file",
    };
    Err(unsafe_file(path, why))
}

/// Checks that a file belongs to this user, has a single name and is not writable by others.
fn owned(path: &Path, entry: &Entry) -> Result<(), StoreError> {
    let why = match () {
        () if entry.user != files::effective_user() => format!("it belongs to the user with the id {}", entry.user),
        () if writable_by_group(entry) => "its group may write to it".to_owned(),
        () if entry.links > 1 => format!("the file has {} names", entry.links),
        () => match others(path, false)?.change {
            Some(why) => why,
            None => return Ok(()),
        },
    };
    Err(unsafe_file(path, &why))
}

/// Whether users other than the owner may write through the group. A group with the user's own number is private to
/// that user, because many systems create one for each user.
fn writable_by_group(entry: &Entry) -> bool {
    entry.mode & 0o020 != 0 && entry.group != entry.user
}

/// Checks that no other user can replace files in a directory: it belongs to this user or the superuser, and is not
/// writable by others unless it is sticky, as `/tmp` is.
fn directory(path: &Path) -> Result<(), StoreError> {
    let entry = match std::fs::metadata(path) {
        Ok(metadata) => Entry::from(&metadata),
        Err(error) => return Err(StoreError::File(path.to_owned(), error)),
    };
    let sticky = entry.mode & 0o1000 != 0;
    let why = match () {
        () if entry.kind != EntryKind::Directory => "it is no directory".to_owned(),
        () if entry.user != 0 && entry.user != files::effective_user() => {
            format!("the directory belongs to the user with the id {}", entry.user)
        }
        () if !sticky && entry.mode & 0o002 != 0 => "every user may change this directory".to_owned(),
        () if !sticky && writable_by_group(&entry) => "its group may change this directory".to_owned(),
        () => match others(path, true)?.change {
            Some(why) => format!("another user controls this directory: {why}"),
            None => return Ok(()),
        },
    };
    Err(unsafe_file(path, &why))
}

/// Returns what an access control list allows other users, on systems that have such lists.
fn others(path: &Path, directory: bool) -> Result<files::OtherUsers, StoreError> {
    files::other_users(path, directory).map_err(|error| StoreError::File(path.to_owned(), error))
}

fn unsafe_file(path: &Path, why: &str) -> StoreError {
    StoreError::Unsafe(path.to_owned(), why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_content_with_known_start_is_named() {
        for (start, what) in [
            (&b"# hosts\n127.0.0.1 localhost\n"[..], "text"),
            (b"\x7fELF\x02\x01", "a program or library"),
            (b"\x00\x01\x02", "data of another program"),
            (b"\x07\x07\x07", "data of another program"),
            ("gr\u{fc}n".as_bytes().split_last().unwrap().1, "text"),
        ] {
            assert_eq!(content(start), what);
        }
        let mut database = MAGIC.to_vec();
        database.resize(HEADER, 0);
        assert_eq!(content(&database), "an SQLite database of another program");
        database[APPLICATION_AT..APPLICATION_AT + 4].copy_from_slice(&0x0f05_5112u32.to_be_bytes());
        assert_eq!(
            content(&database),
            "an SQLite database of another program (application id 0x0f055112)"
        );
    }

    proptest! {
        #[test]
        fn file_content_of_any_bytes_is_described(start in proptest::collection::vec(any::<u8>(), 1..512)) {
            prop_assert!(!content(&start).is_empty());
            let _ = is_record(Path::new("/nonexistent/record.db"), &start, start.len() as u64);
        }
    }
}
