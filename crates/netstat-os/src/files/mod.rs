//! Files as the rest of the workspace needs them beyond the standard library: directories whose links are not followed, identities,
//! files that only their owner may read, locks.
//!
//! The files may be those of others: on Linux no function that reads waits longer for a file system than [`netstat_model::FILE_LIMIT_SECONDS`], but for
//! [`open_without_waiting`] and [`open_in_place`], which are for the caller's own; the error is [`io::ErrorKind::TimedOut`] then.
//!
//! The same functions exist on every system. Where there is no code for a system yet, they return [`io::ErrorKind::Unsupported`].

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

/// An open directory. What is opened in it is found there whatever happens to the directory's path meanwhile.
#[derive(Debug)]
pub struct Directory(native::Handle);

/// What opening a name in a directory gave.
#[derive(Debug)]
pub enum Opened<T> {
    /// The directory or file.
    Is(T),
    /// A symbolic link, or something else than was asked for. The error is the system's.
    LinkOrOther(io::Error),
}

impl Directory {
    /// Opens the directory at `path`; links are followed.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Directory> {
        native::open_directory(path, true).map(Directory)
    }

    /// Opens the directory at `path`; an error when its last component is a symbolic link.
    ///
    /// # Errors
    /// The system's.
    pub fn open_no_follow(path: &Path) -> io::Result<Directory> {
        native::open_directory(path, false).map(Directory)
    }

    /// Opens the directory called `name` in this one; a symbolic link is not followed.
    ///
    /// # Errors
    /// The system's.
    pub fn directory(&self, name: &[u8]) -> io::Result<Opened<Directory>> {
        native::directory_in(&self.0, name).map(|opened| match opened {
            Opened::Is(handle) => Opened::Is(Directory(handle)),
            Opened::LinkOrOther(error) => Opened::LinkOrOther(error),
        })
    }

    /// Opens what is called `name` in this directory for reading, without waiting for the other end of a FIFO; a symbolic link is not
    /// followed. It may be of any kind: see [`regular`].
    ///
    /// # Errors
    /// The system's.
    pub fn file(&self, name: &[u8]) -> io::Result<Opened<File>> {
        native::file_in(&self.0, name)
    }

    /// This directory, opened once more.
    ///
    /// # Errors
    /// The system's.
    pub fn again(&self) -> io::Result<Directory> {
        native::again(&self.0).map(Directory)
    }

    /// This directory as a file, for its [`facts`].
    ///
    /// # Errors
    /// The system's.
    pub fn as_file(&self) -> io::Result<File> {
        native::as_file(&self.0)
    }

    /// Where the symbolic link at `path`, relative to this directory, leads.
    ///
    /// # Errors
    /// The system's, also when it is no link.
    pub fn link_target(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        native::link_target(&self.0, path)
    }

    /// The names in it, sorted, without `.` and `..`.
    ///
    /// # Errors
    /// The system's.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = native::names(&self.0)?;
        names.sort_unstable();
        Ok(names)
    }

    /// Makes the new file `name` in it, which only its owner may read or write.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] when there is something of that name.
    pub fn create_private(&self, name: &str) -> io::Result<File> {
        native::create_private_in(&self.0, name)
    }

    /// Gives the file `from` the name `to`, which is replaced.
    ///
    /// # Errors
    /// The system's.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        native::rename(&self.0, from, to)
    }

    /// Removes the file `name`.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        native::remove(&self.0, name)
    }
}

/// `file` if it is a regular one.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if not; the system's.
pub fn regular(file: File) -> io::Result<File> {
    if !native::facts_of(&file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Opens the file at `path` for reading, without waiting should it be a FIFO or a terminal; links are followed.
///
/// # Errors
/// The system's.
pub fn open_without_waiting(path: &Path) -> io::Result<File> {
    native::open_without_waiting(path)
}

/// As [`open_without_waiting`], for a path that others choose: its file system is waited for only as long as those of other functions here.
///
/// # Errors
/// The system's.
pub fn open_foreign(path: &Path) -> io::Result<File> {
    native::open_foreign(path)
}

/// Reads from `offset`, counted in bytes from the beginning, without moving the position that others may share.
///
/// # Errors
/// The system's.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    native::read_at(file, buffer, offset)
}

/// The content of an open file, from its beginning, without moving the position that others may share.
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

/// Where the content of a regular file is, as ascending (offset, length) in bytes: what lies between reads as zeros and takes no room. At
/// most `most` ranges; `None` when there are more. One range where the file system keeps no holes, or does not say.
///
/// # Errors
/// The system's.
pub fn data_ranges(file: &File, most: usize) -> io::Result<Option<Vec<(u64, u64)>>> {
    native::data_ranges(file, most)
}

/// What the system says about an open file.
///
/// # Errors
/// The system's.
pub fn facts(file: &File) -> io::Result<FileFacts> {
    native::facts_of(file)
}

/// What the system says about the file at `path`; of a symbolic link, about the link itself.
///
/// # Errors
/// The system's.
pub fn link_facts(path: &Path) -> io::Result<FileFacts> {
    native::link_facts(path)
}

/// What the system says about the file at `path`; links are followed.
///
/// # Errors
/// The system's.
pub fn path_facts(path: &Path) -> io::Result<FileFacts> {
    native::path_facts(path)
}

/// The path that these bytes are. Where paths are text, bytes that are none become U+FFFD, so that the path names nothing.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    native::os_string(bytes).into()
}

/// The number of the user that this program acts as; `None` where users have no numbers.
pub fn own_user() -> Option<u32> {
    native::own_user()
}

/// The reason, as facts have it, for an error of the system.
pub fn why(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Why::NotPermitted,
        io::ErrorKind::NotFound => Why::Gone,
        io::ErrorKind::Unsupported => Why::NotSupported,
        io::ErrorKind::TimedOut => Why::NoAnswer,
        // The root directory of a process that ended.
        _ if native::is_ended_process(error) => Why::Gone,
        _ => Why::Failed,
    }
}

#[cfg(not(target_os = "linux"))]
mod in_root {
    use super::{FileFacts, Path, Why};

    /// What the system says about the file at `path` below the directory `root`. Links are followed within `root`, never out of it.
    ///
    /// # Errors
    /// [`Why::NotSupported`] always.
    pub fn status_in(_: &Path, _: &[u8]) -> Result<FileFacts, Why> {
        Err(Why::NotSupported)
    }

    /// The beginning of the regular file at `path` below the directory `root`, at most `limit` bytes.
    ///
    /// # Errors
    /// [`Why::NotSupported`] always.
    pub fn beginning_in(_: &Path, _: &[u8], _: usize) -> Result<Vec<u8>, Why> {
        Err(Why::NotSupported)
    }

    /// The names in the directory at `path` below the directory `root`, sorted; at most `limit` of them.
    ///
    /// # Errors
    /// [`Why::NotSupported`] always.
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
