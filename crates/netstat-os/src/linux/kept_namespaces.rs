//! Finds network namespaces that contain the main thread of no process and have no name here. They are kept alive by a
//! descriptor, by a mount that exists only in other mount namespaces, by another thread, or only by a socket that was
//! created in them (namespaces(7), ioctl_nsfs(2)).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, open, openat, readlinkat_raw, statat};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::mountinfo::mounted;
use super::owners::{process_ids, socket_inode};

/// The maximum number of sockets whose namespace is queried; each query takes some microseconds.
const MOST: usize = 20_000;

/// How many sockets of each process are queried before further ones of any process.
const FIRST: usize = 64;

/// A way to enter a namespace.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Through a file that refers to it.
    Path(PathBuf),
    /// Through a socket that was created in it.
    Socket {
        /// The id of the process that holds it.
        pid: u32,
        /// The file descriptor in that process.
        fd: u32,
    },
}

/// A namespace that is kept alive, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) inode: u64,
    /// How it can be entered.
    pub(super) entry: Entry,
    /// A process that keeps it alive.
    pub(super) pid: u32,
    /// Its name, if it is mounted under one in another mount namespace.
    pub(super) name: Option<Vec<u8>>,
}

/// A socket that a process has open.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldSocket {
    pid: u32,
    fd: u32,
    inode: u32,
}

/// The result of a search through all processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Kepts {
    /// The namespaces, each once.
    pub(super) namespaces: Vec<Kept>,
    /// The sockets that are held by any process, each once.
    pub(super) sockets: Vec<HeldSocket>,
}

/// Searches the descriptors, threads and mounts of every process. Processes that may not be inspected are left out; the
/// list of namespaces already reports this.
pub(super) fn kept(proc: &Path) -> Kepts {
    let mut found = Kepts::default();
    let Ok(dir) = open(proc, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return found;
    };
    let mut known = BTreeSet::new();
    let mut sockets = HashSet::new();
    let mut mounts: BTreeMap<u64, u32> = BTreeMap::new();
    for pid in process_ids(dir.as_fd()).unwrap_or_default() {
        let mut keep = |inode, entry, name| {
            if known.insert(inode) {
                found.namespaces.push(Kept {
                    inode,
                    entry,
                    pid,
                    name,
                });
            }
        };
        let _ = descriptors(&dir, pid, |fd, target| match target {
            Target::Namespace(inode) => keep(inode, Entry::Path(proc.join(format!("{pid}/fd/{fd}"))), None),
            Target::Socket(inode) => {
                if sockets.insert(inode) {
                    found.sockets.push(HeldSocket { pid, fd, inode });
                }
            }
        });
        for (thread, inode) in threads(&dir, pid) {
            keep(
                inode,
                Entry::Path(proc.join(format!("{pid}/task/{thread}/ns/net"))),
                None,
            );
        }
        if let Ok(file) = statat(&dir, format!("{pid}/ns/mnt"), AtFlags::empty()) {
            mounts.entry(file.st_ino).or_insert(pid);
        }
    }
    let own = std::fs::metadata(proc.join("thread-self/ns/mnt"));
    let own = own.map(|file| std::os::unix::fs::MetadataExt::ino(&file)).ok();
    for (inode, pid) in mounts {
        if Some(inode) == own {
            continue;
        }
        let Ok(text) = std::fs::read(proc.join(format!("{pid}/mountinfo"))) else {
            continue;
        };
        for point in mounted(&text) {
            let inside = point.strip_prefix("/").unwrap_or(&point);
            let path = proc.join(format!("{pid}/root")).join(inside);
            let Ok(file) = crate::files::path_facts(&path) else {
                continue;
            };
            let inode = file.inode;
            if known.insert(inode) {
                let name = point
                    .file_name()
                    .map(|name| std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec());
                found.namespaces.push(Kept {
                    inode,
                    entry: Entry::Path(path),
                    pid,
                    name,
                });
            }
        }
    }
    found
}

enum Target {
    Namespace(u64),
    Socket(u32),
}

/// Passes the descriptors of a process that refer to network namespaces or sockets to `show`.
fn descriptors(proc: &OwnedFd, pid: u32, mut show: impl FnMut(u32, Target)) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let table = openat(proc, format!("{pid}/fd"), flags, Mode::empty())?;
    let mut buffer = Vec::with_capacity(8192);
    let mut entries = RawDir::new(&table, buffer.spare_capacity_mut());
    let mut target = [MaybeUninit::uninit(); 32];
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
        let Some(fd) = number else { continue };
        let Ok((target, _)) = readlinkat_raw(&table, entry.file_name(), &mut target) else {
            continue;
        };
        if let Some(inode) = socket_inode(target) {
            show(fd, Target::Socket(inode));
        } else if let Some(inode) = namespace_inode(target) {
            show(fd, Target::Namespace(inode));
        }
    }
    Ok(())
}

/// Parses `net:[4026531840]`.
fn namespace_inode(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns the threads of a process, except the main thread, with the namespace of each.
fn threads(proc: &OwnedFd, pid: u32) -> Vec<(u32, u64)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The link count of the directory is the number of threads plus two.
    let Ok(tasks) = openat(proc, format!("{pid}/task"), flags, Mode::empty()) else {
        return Vec::new();
    };
    if rustix::fs::fstat(&tasks).is_ok_and(|file| file.st_nlink <= 3) {
        return Vec::new();
    }
    let mut buffer = Vec::with_capacity(8192);
    let mut entries = RawDir::new(&tasks, buffer.spare_capacity_mut());
    let mut found = Vec::new();
    while let Some(Ok(entry)) = entries.next() {
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
        let Some(thread) = number.filter(|&thread: &u32| thread != pid) else {
            continue;
        };
        if let Ok(file) = statat(&tasks, format!("{thread}/ns/net"), AtFlags::empty()) {
            found.push((thread, file.st_ino));
        }
    }
    found
}

/// Finds the namespaces that can be reached only through `sockets`: those of sockets that are in no listing so far
/// (`listed`, by inode) and in none of the namespaces `known`. The second value is the number of sockets that were not
/// queried because there are too many.
pub(super) fn of_sockets(
    proc: &Path,
    sockets: &[HeldSocket],
    listed: &HashSet<u32>,
    known: &BTreeSet<u64>,
) -> (Vec<Kept>, usize) {
    let mut found: Vec<Kept> = Vec::new();
    let unlisted = sockets.iter().filter(|socket| !listed.contains(&socket.inode));
    // The sockets of a process mostly belong to one namespace, so the first ones of each process are queried first.
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let internet = unlisted.filter(|socket| is_internet(proc, socket));
    let mut waiting: Vec<(bool, &HeldSocket)> = internet
        .map(|socket| {
            let place = places.entry(socket.pid).or_default();
            *place += 1;
            (*place > FIRST, socket)
        })
        .collect();
    waiting.sort_by_key(|(later, _)| *later);
    let left = waiting.len().saturating_sub(MOST);
    for (_, socket) in waiting.into_iter().take(MOST) {
        let entry = Entry::Socket {
            pid: socket.pid,
            fd: socket.fd,
        };
        let Ok(inode) = namespace_of(socket.pid, socket.fd).and_then(|file| Ok(rustix::fs::fstat(&file)?.st_ino))
        else {
            continue;
        };
        if !known.contains(&inode) && found.iter().all(|kept| kept.inode != inode) {
            found.push(Kept {
                inode,
                entry,
                pid: socket.pid,
                name: None,
            });
        }
    }
    (found, left)
}

/// Whether a socket uses an Internet protocol, according to the protocol name in an extended attribute of its file
/// (`system.sockprotoname`, `net/socket.c` in the kernel).
fn is_internet(proc: &Path, socket: &HeldSocket) -> bool {
    let path: PathBuf = proc.join(format!("{}/fd/{}", socket.pid, socket.fd));
    let mut name = [0u8; 32];
    let Ok(length) = rustix::fs::getxattr(&path, "system.sockprotoname", &mut name[..]) else {
        return false;
    };
    let name = name[..length].split(|&byte| byte == 0).next().unwrap_or_default();
    let local: [&[u8]; 4] = [b"UNIX", b"UNIX-STREAM", b"NETLINK", b"PACKET"];
    !name.is_empty() && !local.contains(&name)
}

/// Opens the namespace in which a socket of a process was created, through a duplicate of its descriptor.
///
/// # Errors
/// Returns an error if the process or the descriptor no longer exists, or the descriptor may not be duplicated
/// (`PTRACE_MODE_ATTACH_REALCREDS`).
pub(super) fn namespace_of(pid: u32, fd: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::NotFound)?;
    let fd = i32::try_from(fd).map_err(|_| io::ErrorKind::NotFound)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let socket = pidfd_getfd(process, fd, PidfdGetfdFlags::empty())?;
    // SAFETY: the request takes no argument, and its result is a new descriptor (see `SocketNamespace`).
    Ok(unsafe { rustix::ioctl::ioctl(&socket, SocketNamespace) }?)
}

/// `SIOCGSKNS` (linux/sockios.h): returns a descriptor of the namespace that a socket belongs to. Requires
/// `CAP_NET_ADMIN` in the user namespace that owns it.
struct SocketNamespace;

// SAFETY: the kernel reads and writes nothing through the pointer (`sock_ioctl` in net/socket.c), and it returns a
// descriptor that belongs to the caller alone.
unsafe impl Ioctl for SocketNamespace {
    type Output = OwnedFd;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        0x894C
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
        // SAFETY: rustix has turned negative values into errors, so this is the new descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(output) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_of_socket_is_the_one_it_was_made_in() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        let own = std::fs::metadata("/proc/thread-self/ns/net").unwrap();
        match namespace_of(std::process::id(), fd as u32) {
            Ok(file) => assert_eq!(
                rustix::fs::fstat(&file).unwrap().st_ino,
                std::os::unix::fs::MetadataExt::ino(&own)
            ),
            // Without CAP_NET_ADMIN in the user namespace that owns the network namespace.
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}"),
        }
        assert!(namespace_of(u32::MAX, 0).is_err());
    }

    #[test]
    fn descriptors_of_namespaces_are_found() {
        let file = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
        let found = kept(Path::new("/proc"));
        let path = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            std::os::fd::AsRawFd::as_raw_fd(&file)
        );
        let kept = found.namespaces.iter().find(|kept| kept.inode == inode).unwrap();
        // Another process or thread may keep it alive as well.
        match &kept.entry {
            Entry::Path(entry) => {
                assert!(kept.pid != std::process::id() || entry == Path::new(&path) || entry.ends_with("ns/net"))
            }
            Entry::Socket { .. } => panic!("{kept:?}"),
        }
    }

    #[test]
    fn namespace_inode_of_other_link_is_none() {
        assert_eq!(namespace_inode(b"net:[4026531840]"), Some(4_026_531_840));
        for other in ["net:[]", "net:[x]", "mnt:[1]", "socket:[1]", ""] {
            assert_eq!(namespace_inode(other.as_bytes()), None, "{other}");
        }
    }
}
