//! Finds the network namespaces of the computer: namespaces(7), network_namespaces(7).
//!
//! A namespace exists as long as a process is in it, it is mounted on a file (`ip netns add`, container runtimes), or
//! something else keeps it open. Those of the first two kinds are found here, the others in `kept_namespaces`.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netstat_model::{Fact, Limit, Namespace, NamespaceLabel, text::plain_error};
use rustix::fs::{AtFlags, Mode, OFlags, open, statat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::kept_namespaces::{Entry, Kept, namespace_of};
use super::mountinfo::mounted;
use super::owners::{OwnerAsk, ProcessDir, hides_processes, parse_stat, process_ids};

/// The command that helps in most cases of missing privileges.
pub(super) const REMEDY: &str = "sudo netstat --all-namespaces";

/// A network namespace, and how it can be entered.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) namespace: Namespace,
    entry: Entry,
}

impl Found {
    /// Creates the entry for a namespace that something keeps alive although it contains no process's main thread.
    pub(super) fn kept(proc: &Path, kept: &Kept) -> Found {
        Found {
            namespace: Namespace {
                inode: kept.inode,
                own: false,
                label: match &kept.name {
                    Some(name) => NamespaceLabel::Name(name.clone()),
                    None => label(proc, kept.pid),
                },
            },
            entry: kept.entry.clone(),
        }
    }

    fn open(&self) -> io::Result<OwnedFd> {
        match &self.entry {
            Entry::Path(path) => open_namespace(path),
            Entry::Socket { pid, fd } => namespace_of(*pid, *fd),
        }
    }
}

/// The file system of namespaces (linux/magic.h).
const NSFS_MAGIC: u64 = 0x6E73_6673;

/// Opens the namespace that a file refers to. Another process may have replaced the file meanwhile: by a FIFO, which
/// would block, or, in its own view of the file systems, by one on a file system that does not answer.
fn open_namespace(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let in_other_view = path.components().any(|part| part.as_os_str() == "root");
    let place: OwnedFd = match in_other_view {
        true => crate::files::open_foreign(path)?.into(),
        false => open(path, flags, Mode::empty())?,
    };
    if super::bounded::files::type_of(place.as_fd()) != Some(NSFS_MAGIC) {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    Ok(open(again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The processes in a namespace.
#[derive(Clone, Copy, Debug)]
struct Inhabited {
    /// The start time and id of the process that started first; an unknown start time sorts last.
    first: (u64, u32),
    /// Whether kernel threads are in it, which never leave the initial namespace.
    by_kernel: bool,
}

/// Returns all network namespaces that can be found, the caller's own first, then by inode; and what could not be
/// examined.
pub(super) fn find(proc: &Path) -> (Vec<Found>, Vec<Limit>) {
    let own_path = proc.join("thread-self/ns/net");
    let own = std::fs::metadata(&own_path).map(|file| file.ino()).ok();
    let mut limits = Vec::new();
    // The path where each is mounted, by inode.
    let mounted: BTreeMap<u64, PathBuf> = match std::fs::read(proc.join("thread-self/mountinfo")) {
        Ok(mounts) => mounted(&mounts)
            .filter_map(|path| Some((crate::files::path_facts(&path).ok()?.inode, path)))
            .collect(),
        Err(error) => {
            limits.push(Limit {
                what: "network namespaces without a process may be missing".into(),
                why: format!("{}/thread-self/mountinfo: {}", proc.display(), plain_error(&error)),
                remedy: None,
            });
            BTreeMap::new()
        }
    };
    let proc_dir = open(proc, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let inhabited = match proc_dir.and_then(|dir| inhabited(dir.as_fd(), own, &mut limits)) {
        Ok(inhabited) => inhabited,
        Err(error) => {
            limits.push(Limit {
                what: "network namespaces of processes may be missing".into(),
                why: format!("{}: {}", proc.display(), plain_error(&error)),
                remedy: None,
            });
            BTreeMap::new()
        }
    };
    let mut inodes: Vec<u64> = mounted.keys().chain(inhabited.keys()).copied().collect();
    inodes.sort_unstable();
    inodes.dedup();
    inodes.retain(|&inode| Some(inode) != own);
    let name = |inode| mounted.get(&inode).and_then(|path: &PathBuf| path.file_name());
    let mut found = vec![Found {
        namespace: Namespace {
            // 0 is not a valid inode; without /proc, no other namespaces are found, either.
            inode: own.unwrap_or(0),
            own: true,
            label: match own.and_then(name) {
                Some(name) => NamespaceLabel::Name(name.as_bytes().to_vec()),
                None => NamespaceLabel::Own,
            },
        },
        entry: Entry::Path(own_path),
    }];
    for inode in inodes {
        let inhabited = inhabited.get(&inode);
        let label = match (name(inode), inhabited) {
            (Some(name), _) => NamespaceLabel::Name(name.as_bytes().to_vec()),
            (None, Some(inhabited)) if inhabited.by_kernel => NamespaceLabel::Initial,
            (None, Some(inhabited)) => label(proc, inhabited.first.1),
            (None, None) => NamespaceLabel::Unnamed,
        };
        let path = match (mounted.get(&inode), inhabited) {
            (Some(path), _) => path.clone(),
            (None, Some(inhabited)) => proc.join(format!("{}/ns/net", inhabited.first.1)),
            (None, None) => continue,
        };
        let namespace = Namespace {
            inode,
            own: false,
            label,
        };
        found.push(Found {
            namespace,
            entry: Entry::Path(path),
        });
    }
    (found, limits)
}

/// Returns the label for a namespace without a name in the file system.
fn label(proc: &Path, pid: u32) -> NamespaceLabel {
    let ask = OwnerAsk {
        components: true,
        start: true,
        ..OwnerAsk::default()
    };
    let read = || {
        let proc = open(proc, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let process = ProcessDir::open(proc.as_fd(), pid)?;
        Ok::<_, Errno>(process.facts((pid, pid), &ask, &mut Vec::new()))
    };
    let Ok(process) = read() else {
        return NamespaceLabel::Unnamed;
    };
    if let Fact::Known(mut components) = process.components
        && let Some(innermost) = components.pop()
    {
        return NamespaceLabel::Component(innermost);
    }
    NamespaceLabel::Process {
        pid,
        comm: process.comm.known().unwrap_or_default(),
    }
}

/// Returns the namespaces that processes are in, except `own`.
fn inhabited(
    proc: BorrowedFd<'_>,
    own: Option<u64>,
    limits: &mut Vec<Limit>,
) -> Result<BTreeMap<u64, Inhabited>, Errno> {
    let mut found: BTreeMap<u64, Inhabited> = BTreeMap::new();
    let mut refused = 0usize;
    let mut text = Vec::new();
    for pid in process_ids(proc)? {
        let inode = match statat(proc, format!("{pid}/ns/net"), AtFlags::empty()) {
            Ok(file) => file.st_ino,
            Err(Errno::ACCESS | Errno::PERM) => {
                refused += 1;
                continue;
            }
            // It has ended in the meantime, or is a zombie.
            Err(_) => continue,
        };
        if Some(inode) == own {
            continue;
        }
        let read = ProcessDir::open(proc, pid).and_then(|process| process.text(c"stat", &mut text));
        let stat = read.ok().and_then(|()| parse_stat(&text).ok());
        let process = (stat.map_or(u64::MAX, |stat| stat.start_ticks), pid);
        let known = found.entry(inode).or_insert(Inhabited {
            first: process,
            by_kernel: false,
        });
        known.first = known.first.min(process);
        known.by_kernel |= stat.is_some_and(|stat| stat.is_kernel_thread());
    }
    if hides_processes(proc) {
        limits.push(Limit {
            what: "network namespaces of other users' processes may be missing".into(),
            why: "/proc is mounted with hidepid, which hides them".into(),
            remedy: Some(REMEDY.into()),
        });
    }
    if refused > 0 {
        let processes = if refused == 1 { "process" } else { "processes" };
        let root = rustix::process::geteuid().is_root();
        limits.push(Limit {
            what: format!("network namespaces of {refused} {processes} may be missing"),
            why: match root {
                true => {
                    "not even root may look into them in this session (more capabilities than it has, another user \
                         namespace, or a security module)"
                        .into()
                }
                false => "other users' processes may not be looked into".into(),
            },
            remedy: (!root).then(|| REMEDY.into()),
        });
    }
    Ok(found)
}

/// Runs `act` in a network namespace, in a separate thread, because the calling thread must stay where it is.
///
/// # Errors
/// Returns an error if the namespace no longer exists or may not be entered (`EPERM` without `CAP_SYS_ADMIN` in the
/// user namespace that owns it and in the caller's), or if the thread cannot be started.
pub(super) fn within<T: Send>(place: &Found, act: impl FnOnce() -> T + Send) -> io::Result<T> {
    let file = place.open().map_err(|error| match error.raw_os_error() {
        // The error for the files of another user's process.
        Some(libc::EACCES) => io::Error::from_raw_os_error(libc::EPERM),
        _ => error,
    })?;
    // The process through which it is entered may have ended, and its id may be in use again.
    if rustix::fs::fstat(&file)?.st_ino != place.namespace.inode {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    std::thread::scope(|scope| {
        let inside = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(act())
        };
        let thread = std::thread::Builder::new()
            .name("namespace".into())
            .spawn_scoped(scope, inside)?;
        match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_namespace_file_replaced_by_a_fifo_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        // Both in the own view and in that of another process.
        let pid = std::process::id();
        let other = format!("/proc/{pid}/root{}", fifo.display());
        for path in [fifo.as_path(), Path::new(&other)] {
            assert_eq!(open_namespace(path).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        for path in [
            "/proc/self/ns/net".to_owned(),
            format!("/proc/{pid}/root/proc/{pid}/ns/net"),
        ] {
            assert!(open_namespace(Path::new(&path)).is_ok(), "{path}");
        }
    }

    #[test]
    fn within_namespace_leaves_calling_thread_where_it_is() {
        let inode = || std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
        let (found, _) = find(Path::new("/proc"));
        assert!(found[0].namespace.own);
        assert_eq!(found[0].namespace.inode, inode());
        let before = inode();
        match within(&found[0], inode) {
            Ok(inside) => assert_eq!(inside, before),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        }
        assert_eq!(inode(), before);
        let mut gone = found[0].clone();
        gone.namespace.inode += 1;
        assert_eq!(within(&gone, || ()).unwrap_err().raw_os_error(), Some(libc::ENOENT));
    }
}
