//! The executable file of a process, and the files around it.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netstat_model::process::{Descriptor, Directory, FileFacts, FileStatus, Mapped, Mapping, Program};
use netstat_model::{Fact, Why};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat};
use rustix::io::Errno;

use super::fact;
use super::texts::{DELETED, memory_name, parse_descriptor};
use crate::linux::bounded;
use crate::linux::owners::process::{ProcessDir, why};
use crate::linux::privilege;

/// Reads the program of the process from `/proc/PID/exe`, with `directories` also the directories above it.
pub(super) fn read(dir: &ProcessDir, directories: bool, text: &mut Vec<u8>) -> Fact<Program> {
    let reported = match dir.link(c"exe", text) {
        Ok(()) => text.clone(),
        Err(error) => return Fact::Unknown(why(error)),
    };
    // Opened with O_PATH, which neither blocks nor needs read permission.
    let file = bounded::open_link(dir.as_fd(), c"exe", OFlags::empty());
    let running = match &file {
        Ok(file) => fact(bounded::facts(file.as_fd())),
        Err(error) => Fact::Unknown(why(*error)),
    };
    let file_system = match &file {
        Ok(file) => fact(bounded::file_system(file.as_fd())),
        Err(error) => Fact::Unknown(why(*error)),
    };
    if let Some(name) = memory_name(&reported)
        && running.known().is_none_or(|file| file.links == 0)
    {
        return Fact::Known(Program {
            path: name.to_vec(),
            place: FileStatus::Memory,
            running,
            current: Fact::Unknown(Why::NotApplicable),
            file_system,
            directories: Fact::Unknown(Why::NotApplicable),
            reported,
        });
    }
    let views = Views::of(dir);
    // The process controls what is at its paths.
    let _links = privilege::links_only();
    let marked = reported.strip_suffix(DELETED);
    let (view, current) = views.find(&reported, running);
    let same = is_same(running, current);
    let (path, place, view, current) = match marked {
        // A file may really be called `x (deleted)`.
        Some(path) if !same => {
            let (view, current) = views.find(path, running);
            let place = match current {
                Fact::Known(_) if is_same(running, current) => FileStatus::There,
                Fact::Known(_) if running.known().is_some() => FileStatus::Replaced,
                Fact::Unknown(Why::Gone) => FileStatus::Removed,
                _ => FileStatus::RemovedUnseen,
            };
            (path.to_vec(), place, view, current)
        }
        _ => (reported.clone(), FileStatus::There, view, current),
    };
    let directories = match directories {
        true => Fact::Known(above(&path, view)),
        false => Fact::Unknown(Why::NotAsked),
    };
    Fact::Known(Program {
        reported,
        path,
        place,
        running,
        current,
        file_system,
        directories,
    })
}

fn is_same(running: Fact<FileFacts>, current: Fact<FileFacts>) -> bool {
    matches!((running, current), (Fact::Known(running), Fact::Known(current)) if running.is_same_file(&current))
}

/// A directory from which paths are resolved.
type View = Result<OwnedFd, Errno>;

/// The two ways to resolve a path that the kernel reports for a process: from its own root directory, and from the
/// caller's. The latter is right if the process was only moved below a directory of the same file systems (chroot(2)).
struct Views {
    process: View,
    caller: View,
}

impl Views {
    fn of(dir: &ProcessDir) -> Views {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Views {
            process: bounded::open_link(dir.as_fd(), c"root", OFlags::DIRECTORY),
            caller: openat(CWD, c"/", flags, Mode::empty()),
        }
    }

    /// Returns the file at `path` and the view it was resolved in: the one in which it is the `running` file or, if it is
    /// in neither, the process's own.
    fn find(&self, path: &[u8], running: Fact<FileFacts>) -> (&View, Fact<FileFacts>) {
        let own = look(&self.process, path);
        if !is_same(running, own) {
            let other = look(&self.caller, path);
            if is_same(running, other) {
                return (&self.caller, other);
            }
        }
        (&self.process, own)
    }
}

/// Whether the file with this device and inode is at the path that the kernel reports, including the mark: it may really
/// be called `x (deleted)`.
fn stands_at(view: &View, reported: &[u8], device: u64, inode: u64) -> bool {
    let Ok(view) = view else { return false };
    let place = in_root(view, reported, OFlags::PATH | OFlags::NOFOLLOW);
    let file = place.and_then(|place| bounded::remembered_of(place.as_fd()));
    file.is_ok_and(|file| (file.device, file.inode) == (device, inode))
}

/// Returns what the link `name` in the descriptor table of a process, whose target is `target`, refers to.
pub(super) fn descriptor(dir: &ProcessDir, table: BorrowedFd<'_>, name: &CStr, target: &[u8]) -> Descriptor {
    let parsed = parse_descriptor(target);
    if let Descriptor::Path { deleted: true, .. } = parsed {
        let _links = privilege::links_only();
        if let Ok(file) = bounded::remembered(table, name)
            && stands_at(&Views::of(dir).process, target, file.device, file.inode)
        {
            return Descriptor::Path {
                path: target.to_vec(),
                deleted: false,
            };
        }
    }
    parsed
}

/// Corrects the paths of mapped files that really are called `x (deleted)`.
pub(super) fn name_mapped_files(dir: &ProcessDir, mappings: &mut [Mapping]) {
    let _links = privilege::links_only();
    let mut root: Option<View> = None;
    for mapping in mappings {
        let Mapped::File {
            path,
            deleted: deleted @ true,
        } = &mut mapping.what
        else {
            continue;
        };
        let root = root.get_or_insert_with(|| Views::of(dir).process);
        let reported = [path.as_slice(), DELETED].concat();
        let device = rustix::fs::makedev(mapping.device.0, mapping.device.1);
        if stands_at(root, &reported, device, mapping.inode) {
            (*path, *deleted) = (reported, false);
        }
    }
}

/// Returns the directories above `path`, from the nearest one up to the root.
fn above(path: &[u8], view: &View) -> Vec<Directory> {
    let mut directories = Vec::new();
    let mut rest = path;
    while let Some(slash) = rest.iter().rposition(|&byte| byte == b'/') {
        rest = &rest[..slash];
        let directory: &[u8] = if rest.is_empty() { b"/" } else { rest };
        directories.push(Directory {
            path: directory.to_vec(),
            file: look(view, directory),
        });
    }
    directories
}

/// Examines the file at `path` below `view`. Symbolic links and `..` do not lead out of it.
fn look(view: &View, path: &[u8]) -> Fact<FileFacts> {
    let view = match view {
        Ok(view) => view,
        Err(error) => return Fact::Unknown(why(*error)),
    };
    let file = in_root(view, path, OFlags::PATH);
    fact(file.and_then(|file| bounded::facts(file.as_fd())))
}

fn in_root(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match bounded::open_below(root.as_fd(), path, flags, resolve) {
        // A component of the path is not a directory, so the path does not exist.
        Err(Errno::NOTDIR) => Err(Errno::NOENT),
        other => other,
    }
}

/// Returns the facts of stat(2) about the file at `path` below the directory `root`. Symbolic links are followed within
/// `root` and never out of it. Nothing is opened for reading.
///
/// # Errors
/// Returns the reason why they are unknown; [`Why::Gone`] if the path does not exist.
pub fn file_status(root: &std::path::Path, path: &[u8]) -> Result<FileFacts, Why> {
    let root = open_root(root).map_err(why)?;
    let place = in_root(&root, path, OFlags::PATH).map_err(why)?;
    bounded::facts(place.as_fd()).map_err(why)
}

/// Reads the beginning of the regular file at `path` below the directory `root`, at most `limit` bytes. Symbolic links
/// are followed within `root` and never out of it.
///
/// # Errors
/// Returns the reason why it cannot be read; [`Why::NotApplicable`] if it is not a regular file.
pub fn file_beginning(root: &std::path::Path, path: &[u8], limit: usize) -> Result<Vec<u8>, Why> {
    let root = open_root(root).map_err(why)?;
    let file = open_plain(&root, path)?;
    let mut content = Vec::new();
    let read = crate::files::content(&file)
        .take(limit as u64)
        .read_to_end(&mut content);
    read.map_err(|error| crate::files::why(&error))?;
    Ok(content)
}

/// Returns the names in the directory at `path` below the directory `root`, sorted, without `.` and `..`, at most
/// `limit` of them. Symbolic links are followed within `root` and never out of it.
///
/// # Errors
/// Returns the reason why it cannot be read; [`Why::Gone`] if there is no such directory.
pub fn file_names(root: &std::path::Path, path: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Why> {
    let root = open_root(root).map_err(why)?;
    let directory = in_root(&root, path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(why)?;
    let mut names = bounded::names(directory.as_fd()).map_err(why)?;
    names.truncate(limit);
    names.sort_unstable();
    Ok(names)
}

/// Opens the root directory of a process, or another directory. What is below it is opened with the caller's own access
/// rights.
fn open_root(root: &std::path::Path) -> Result<OwnedFd, Errno> {
    let _links = privilege::links_only();
    // `/proc/PID/root` is a magic link, which is not resolved through a path.
    if let (Some(directory), Some(name)) = (root.parent(), root.file_name())
        && directory.starts_with("/proc")
        && name == "root"
    {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = openat(CWD, directory, flags, Mode::empty())?;
        return bounded::open_link(process.as_fd(), c"root", OFlags::DIRECTORY);
    }
    bounded::open_path(root.as_os_str().as_encoded_bytes(), OFlags::PATH | OFlags::DIRECTORY)
}

/// Opens the regular file at `path` in the view of a process; a relative path starts at its working directory. As a
/// process can name any file, it is opened with the caller's own access rights, without capabilities from the
/// executable file.
pub(super) fn open_in_view(dir: &ProcessDir, path: &[u8]) -> Result<File, Why> {
    let links = privilege::links_only();
    let mut whole = Vec::new();
    if !path.starts_with(b"/") {
        dir.link(c"cwd", &mut whole).map_err(why)?;
        whole.push(b'/');
    }
    whole.extend_from_slice(path);
    let views = Views::of(dir);
    let root = views.process.as_ref().map_err(|error| why(*error))?;
    drop(links);
    open_plain(root, &whole)
}

fn open_plain(root: &OwnedFd, path: &[u8]) -> Result<File, Why> {
    // Examined before it is opened for reading, because opening a device may have side effects.
    let place = in_root(root, path, OFlags::PATH).map_err(why)?;
    open_if_plain(&place)
}

/// Opens for reading the regular file that `place` refers to.
pub(super) fn open_if_plain(place: &OwnedFd) -> Result<File, Why> {
    if !bounded::facts(place.as_fd()).map_err(why)?.is_file() {
        return Err(Why::NotApplicable);
    }
    let file = bounded::open_place(place.as_fd(), OFlags::RDONLY).map_err(why)?;
    Ok(File::from(file))
}

/// Returns the path that the kernel reports, without its ` (deleted)` mark.
pub(super) fn unmarked(reported: &[u8]) -> &[u8] {
    reported.strip_suffix(DELETED).unwrap_or(reported)
}

/// Returns a text without trailing newlines and NULs.
pub(super) fn trimmed(text: &[u8]) -> Vec<u8> {
    let end = text
        .iter()
        .rposition(|&byte| byte != b'\n' && byte != 0)
        .map_or(0, |last| last + 1);
    text[..end].to_vec()
}
