//! File access beyond the standard library: directory handles that do not follow symbolic links, file identities,
//! private files, and locks.
//!
//! The files may be controlled by other users. Therefore, on Linux, no function that reads waits longer for a file
//! system than [`netstat_model::FILE_LIMIT_SECONDS`], after which it fails with [`io::ErrorKind::TimedOut`]. The
//! exceptions are [`open_without_waiting`] and [`open_in_place`], which are meant for the caller's own files.
//!
//! The same functions exist on every system. On systems that are not supported yet, they return
//! [`io::ErrorKind::Unsupported`].

#[cfg(all(unix, not(target_os = "linux")))]
mod direct;
mod named;
mod private;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;
#[cfg(not(unix))]
mod without_directories;
#[cfg(not(unix))]
use without_directories as native;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use netstat_model::Why;
use netstat_model::process::FileFacts;

#[cfg(target_os = "linux")]
pub use crate::linux::process::{file_beginning as beginning_in, file_names as names_in, file_status as status_in};
#[cfg(not(target_os = "linux"))]
pub use in_root::{beginning_in, names_in, status_in};
pub use named::{open_named, read_named, read_opened, text_named, text_opened};
pub use private::{
    Entry, EntryKind, OtherUsers, canonical, create_private_directory, effective_user, entry, entry_of, open_in_place,
    other_users, others_than_administrators, set_mode, shared_directory, try_lock,
};

/// An open directory. Names are resolved in this directory, whatever happens to its path in the meantime.
#[derive(Debug)]
pub struct Directory(native::Handle);

/// The result of opening a name in a directory.
#[derive(Debug)]
pub enum Opened<T> {
    /// The directory or file.
    Is(T),
    /// A symbolic link, or a file of another type than requested; with the error of the system.
    LinkOrOther(io::Error),
}

impl Directory {
    /// Opens the directory at `path`, following symbolic links.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn open(path: &Path) -> io::Result<Directory> {
        native::open_directory(path, true).map(Directory)
    }

    /// Opens the directory at `path`. Fails if its last component is a symbolic link.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn open_no_follow(path: &Path) -> io::Result<Directory> {
        native::open_directory(path, false).map(Directory)
    }

    /// Opens the directory called `name` in this one, without following a symbolic link.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn directory(&self, name: &[u8]) -> io::Result<Opened<Directory>> {
        native::directory_in(&self.0, name).map(|opened| match opened {
            Opened::Is(handle) => Opened::Is(Directory(handle)),
            Opened::LinkOrOther(error) => Opened::LinkOrOther(error),
        })
    }

    /// Opens the file called `name` in this directory for reading, without following a symbolic link, and without
    /// blocking on a FIFO. It may be of any type; see [`regular`].
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn file(&self, name: &[u8]) -> io::Result<Opened<File>> {
        native::file_in(&self.0, name)
    }

    /// Opens this directory once more.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn again(&self) -> io::Result<Directory> {
        native::again(&self.0).map(Directory)
    }

    /// Returns this directory as a file, for use with [`facts`].
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn as_file(&self) -> io::Result<File> {
        native::as_file(&self.0)
    }

    /// Returns the target of the symbolic link at `path`, relative to this directory.
    ///
    /// # Errors
    /// Returns the error of the system, also if it is not a symbolic link.
    pub fn link_target(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        native::link_target(&self.0, path)
    }

    /// Returns the names in the directory, sorted, without `.` and `..`.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = native::names(&self.0)?;
        names.sort_unstable();
        Ok(names)
    }

    /// Creates the new file `name` in the directory, which only its owner may read or write.
    ///
    /// # Errors
    /// Returns the error of the system; [`io::ErrorKind::AlreadyExists`] if the name exists.
    pub fn create_private(&self, name: &str) -> io::Result<File> {
        native::create_private_in(&self.0, name)
    }

    /// Renames the file `from` to `to`, replacing an existing file.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        native::rename(&self.0, from, to)
    }

    /// Removes the file `name`.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        native::remove(&self.0, name)
    }
}

/// Returns `file` if it is a regular file.
///
/// # Errors
/// Returns [`io::ErrorKind::InvalidInput`] if it is not, or the error of the system.
pub fn regular(file: File) -> io::Result<File> {
    if !native::facts_of(&file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Opens the file at `path` for reading, following symbolic links, and without blocking on a FIFO or terminal.
///
/// # Errors
/// Returns the error of the system.
pub fn open_without_waiting(path: &Path) -> io::Result<File> {
    native::open_without_waiting(path)
}

/// Like [`open_without_waiting`], for a path that others control: waits for its file system only as long as the other
/// functions here.
///
/// # Errors
/// Returns the error of the system.
pub fn open_foreign(path: &Path) -> io::Result<File> {
    native::open_foreign(path)
}

/// Reads from the byte offset `offset`, without moving the file offset, which may be shared with others.
///
/// # Errors
/// Returns the error of the system.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    native::read_at(file, buffer, offset)
}

/// Returns a reader of an open file from its beginning, which does not move the file offset, as that may be shared with
/// others.
pub fn content(file: &File) -> impl io::Read + '_ {
    Content { file, at: 0 }
}

struct Content<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Returns where the data of a regular file is, as ascending (offset, length) pairs in bytes. The holes between them
/// read as zeros and occupy no space. Returns at most `most` ranges, or `None` if there are more. Returns a single
/// range if the file system does not support holes or does not report them.
///
/// # Errors
/// Returns the error of the system.
pub fn data_ranges(file: &File, most: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
    native::data_ranges(file, most)
}

/// Returns the facts about an open file.
///
/// # Errors
/// Returns the error of the system.
pub fn facts(file: &File) -> io::Result<FileFacts> {
    native::facts_of(file)
}

/// Returns the facts about the file at `path`, without following a symbolic link.
///
/// # Errors
/// Returns the error of the system.
pub fn link_facts(path: &Path) -> io::Result<FileFacts> {
    native::link_facts(path)
}

/// Returns the facts about the file at `path`, following symbolic links.
///
/// # Errors
/// Returns the error of the system.
pub fn path_facts(path: &Path) -> io::Result<FileFacts> {
    native::path_facts(path)
}

/// Converts bytes to a path. On systems where paths are text, invalid UTF-8 is replaced by U+FFFD, so that the path
/// refers to no file.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    native::os_string(bytes).into()
}

/// Returns the user id that this program runs as; `None` on systems without user ids.
pub fn own_user() -> Option<u32> {
    native::own_user()
}

/// Converts an error of the system to the reason that facts contain.
pub fn why(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Why::NotPermitted,
        io::ErrorKind::NotFound => Why::Gone,
        io::ErrorKind::Unsupported => Why::NotSupported,
        io::ErrorKind::TimedOut => Why::NoAnswer,
        // The root directory of a process that has ended.
        _ if native::is_ended_process(error) => Why::Gone,
        _ => Why::Failed,
    }
}

#[cfg(not(target_os = "linux"))]
mod in_root {
    use super::{FileFacts, Path, Why};

    /// Returns the facts about the file at `path` below the directory `root`. Symbolic links are followed within
    /// `root`, and never out of it.
    ///
    /// # Errors
    /// Always returns [`Why::NotSupported`].
    pub fn status_in(_: &Path, _: &[u8]) -> Result<FileFacts, Why> {
        Err(Why::NotSupported)
    }

    /// Reads the beginning of the regular file at `path` below the directory `root`, at most `limit` bytes.
    ///
    /// # Errors
    /// Always returns [`Why::NotSupported`].
    pub fn beginning_in(_: &Path, _: &[u8], _: usize) -> Result<Vec<u8>, Why> {
        Err(Why::NotSupported)
    }

    /// Returns the names in the directory at `path` below the directory `root`, sorted, at most `limit` of them.
    ///
    /// # Errors
    /// Always returns [`Why::NotSupported`].
    pub fn names_in(_: &Path, _: &[u8], _: usize) -> Result<Vec<Vec<u8>>, Why> {
        Err(Why::NotSupported)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn directory_link_is_not_followed() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("dir")).unwrap();
        std::fs::write(outer.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("dir", outer.path().join("to-dir")).unwrap();
        std::os::unix::fs::symlink("file", outer.path().join("to-file")).unwrap();
        let directory = Directory::open(outer.path()).unwrap();
        assert_eq!(
            directory.names().unwrap(),
            ["dir", "file", "to-dir", "to-file"].map(|name| name.as_bytes().to_vec())
        );
        assert!(matches!(directory.directory(b"dir").unwrap(), Opened::Is(_)));
        assert!(matches!(
            directory.directory(b"to-dir").unwrap(),
            Opened::LinkOrOther(_)
        ));
        assert!(matches!(directory.file(b"file").unwrap(), Opened::Is(_)));
        assert!(matches!(directory.file(b"to-file").unwrap(), Opened::LinkOrOther(_)));
        assert_eq!(directory.link_target(b"to-file").unwrap(), b"file");
        assert!(Directory::open(&outer.path().join("to-dir")).is_ok());
        assert!(Directory::open_no_follow(&outer.path().join("to-dir")).is_err());
    }
}
