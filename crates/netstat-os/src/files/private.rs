//! Files that only their owner may change: functions to create, open, lock and compare them without following symbolic
//! links.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; never followed here.
    Link,
    /// A FIFO; opening it normally waits for the other end.
    Fifo,
    /// A socket, a device, or anything else.
    Other,
}

/// The attributes of a file (stat(2)). On systems without these concepts, users and groups are 0, and the mode is that
/// of a file only its owner may access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The type of the file.
    pub kind: EntryKind,
    /// The device and the inode, which identify the file regardless of its name.
    pub identity: (u64, u64),
    /// The number of links; 0 if the file has been removed.
    pub links: u64,
    /// The size in bytes.
    pub size: u64,
    /// The id of the owning user.
    pub user: u32,
    /// The id of the owning group.
    pub group: u32,
    /// The twelve permission bits; `0o1000` is the sticky bit.
    pub mode: u32,
}

#[cfg(unix)]
impl From<&std::fs::Metadata> for Entry {
    fn from(metadata: &std::fs::Metadata) -> Entry {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let kind = metadata.file_type();
        Entry {
            kind: match () {
                () if kind.is_file() => EntryKind::File,
                () if kind.is_dir() => EntryKind::Directory,
                () if kind.is_symlink() => EntryKind::Link,
                () if kind.is_fifo() => EntryKind::Fifo,
                () => EntryKind::Other,
            },
            identity: (metadata.dev(), metadata.ino()),
            links: metadata.nlink(),
            size: metadata.len(),
            user: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o7777,
        }
    }
}

#[cfg(not(unix))]
impl From<&std::fs::Metadata> for Entry {
    fn from(metadata: &std::fs::Metadata) -> Entry {
        let kind = metadata.file_type();
        Entry {
            kind: match () {
                () if kind.is_file() => EntryKind::File,
                () if kind.is_dir() => EntryKind::Directory,
                () if kind.is_symlink() => EntryKind::Link,
                () => EntryKind::Other,
            },
            identity: (0, 0),
            links: 1,
            size: metadata.len(),
            user: 0,
            group: 0,
            mode: 0o600,
        }
    }
}

/// Returns the attributes of the file at `path`, without following a symbolic link.
///
/// # Errors
/// Returns the error of the system; [`io::ErrorKind::NotFound`] if the path does not exist.
pub fn entry(path: &Path) -> io::Result<Entry> {
    let metadata = std::fs::symlink_metadata(path)?;
    #[cfg(windows)]
    if metadata.is_file() {
        return entry_of(&open_in_place(path, false)?);
    }
    Ok(Entry::from(&metadata))
}

/// Returns the attributes of an open file.
///
/// # Errors
/// Returns the error of the system.
pub fn entry_of(file: &File) -> io::Result<Entry> {
    let mut entry = Entry::from(&file.metadata()?);
    #[cfg(windows)]
    {
        let (volume, number, links) = crate::windows::file_identity(file)?;
        (entry.identity, entry.links) = ((volume, number), links);
    }
    #[cfg(not(windows))]
    let _ = &mut entry;
    Ok(entry)
}

/// Opens the existing file at `path` for reading and, with `write`, for writing. Never follows a symbolic link in the
/// last component of the path, never blocks on a FIFO, and never creates a file.
///
/// # Errors
/// Returns the error of the system.
pub fn open_in_place(path: &Path, write: bool) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(write);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    // FILE_FLAG_OPEN_REPARSE_POINT: opens a symbolic link itself, which is then not a regular file.
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, 0x0020_0000);
    options.open(path)
}

/// Returns the directory for state and configuration of the whole computer on Windows, usually `C:\ProgramData`; `None`
/// on other systems, where there are several such directories.
pub fn shared_directory() -> Option<PathBuf> {
    #[cfg(windows)]
    return crate::windows::shared_directory();
    #[cfg(not(windows))]
    None
}

/// Returns the canonical absolute path of the file at `path`, in the usual form.
///
/// # Errors
/// Returns the error of the system.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    let found = path.canonicalize()?;
    #[cfg(windows)]
    {
        /// Longer paths need the prefix (`MAX_PATH`, less a name of 8.3 and the names that go with a store).
        const SHORT: usize = 230;
        let plain = found.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
        if let Some(plain) = plain.filter(|plain| plain.len() < SHORT && plain.as_bytes().get(1) == Some(&b':')) {
            return Ok(plain.into());
        }
    }
    Ok(found)
}

/// Creates a directory that only its user may enter (on Windows also the system and administrators), including missing
/// parent directories. An existing directory is left unchanged.
///
/// # Errors
/// Returns the error of the system. On Windows, also returns an error for an administrator whose directory below
/// `%ProgramData%` was created by another user or can be changed by others, because every user may create directories
/// there.
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    #[cfg(windows)]
    return crate::windows::create_private_directory(path);
    #[cfg(not(windows))]
    create_directory_of_owner(path)
}

#[cfg(not(windows))]
fn create_directory_of_owner(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// What users other than this one, the system and administrators may do with a file, according to its access control
/// list (Windows). Nothing on systems with permission bits; [`Entry`] contains those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherUsers {
    /// Why another user may change it: `it belongs to ...`, `users may change it`.
    pub change: Option<String>,
    /// Whether every user may change it.
    pub every_user_changes: bool,
    /// Why another user may read it: `users may read it`.
    pub read: Option<String>,
}

/// Returns what other users may do with the file at `path`, or with `directory`, with the names in that directory.
///
/// # Errors
/// Returns the error of the system.
pub fn other_users(path: &Path, directory: bool) -> io::Result<OtherUsers> {
    #[cfg(windows)]
    return crate::windows::others(path, directory);
    #[cfg(not(windows))]
    {
        let _ = (path, directory);
        Ok(OtherUsers::default())
    }
}

/// Returns the same for everybody except the system and administrators: this user counts as another user.
///
/// # Errors
/// Returns the error of the system.
pub fn others_than_administrators(path: &Path, directory: bool) -> io::Result<OtherUsers> {
    #[cfg(windows)]
    return crate::windows::others_than_administrators(path, directory);
    #[cfg(not(windows))]
    {
        let _ = (path, directory);
        Ok(OtherUsers::default())
    }
}

/// Sets the permission bits of an open file, on systems that have them.
///
/// # Errors
/// Returns the error of the system.
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    return file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    {
        let _ = (file, mode);
        Ok(())
    }
}

/// Tries to acquire the exclusive lock on an open file (flock(2)), which is held until its last descriptor is closed.
/// Returns `false` if another holder has it. The lock belongs to the file, regardless of the name under which it was
/// opened.
///
/// # Errors
/// Returns the error of the system.
pub fn try_lock(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use rustix::fs::{FlockOperation, flock};
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(windows)]
    return crate::windows::lock_exclusively(file);
    #[cfg(not(any(unix, windows)))]
    {
        let _ = file;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Returns the effective user id of this process; 0 on systems without user ids.
pub fn effective_user() -> u32 {
    #[cfg(unix)]
    return rustix::process::geteuid().as_raw();
    #[cfg(not(unix))]
    0
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn open_in_place_link_refused_and_fifo_does_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "x").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("fifo"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let kinds: Vec<EntryKind> = ["file", "link", "fifo"]
            .iter()
            .map(|name| entry(&path(name)).unwrap().kind)
            .collect();
        assert_eq!(kinds, [EntryKind::File, EntryKind::Link, EntryKind::Fifo]);
        assert!(open_in_place(&path("link"), false).is_err());
        let file = open_in_place(&path("file"), true).unwrap();
        assert_eq!(
            entry_of(&file).unwrap().identity,
            entry(&path("file")).unwrap().identity
        );
        // Otherwise, this would block forever, as the FIFO has no writer.
        let fifo = open_in_place(&path("fifo"), false).unwrap();
        assert_eq!(entry_of(&fifo).unwrap().kind, EntryKind::Fifo);
    }

    #[test]
    fn try_lock_second_name_of_a_file_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "").unwrap();
        std::fs::hard_link(&one, &two).unwrap();
        let first = open_in_place(&one, true).unwrap();
        let second = open_in_place(&two, true).unwrap();
        assert!(try_lock(&first).unwrap() && !try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
        assert_eq!(entry_of(&second).unwrap().links, 2);
    }
}
