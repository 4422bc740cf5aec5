//! A file system whose server stops answering, implemented as FUSE (linux/fuse.h) by a thread of the test.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::skip::skip;

/// The operations of the protocol.
mod operation {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const STATFS: u32 = 17;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const READDIR: u32 = 28;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
}

/// The length of the header of each request.
const REQUEST: usize = 40;
/// The node number of the root directory (FUSE_ROOT_ID).
const ROOT: u64 = 1;

/// A mounted file system with some files in its root directory. It is unmounted on drop, and those that still wait for
/// an answer then get an error.
#[derive(Debug)]
pub struct FuseMount {
    place: TempDir,
    silent: Arc<AtomicBool>,
    unanswered: Arc<AtomicUsize>,
}

impl FuseMount {
    /// Mounts a file system with these files, all of which are executable. Call it in a mount namespace of the test's
    /// own. `None` if the system has no FUSE, which is reported as a skip.
    ///
    /// # Panics
    /// Panics if the file system cannot be mounted for another reason.
    pub fn new(files: &[(&str, Vec<u8>)]) -> Option<FuseMount> {
        let device = match File::options().read(true).write(true).open("/dev/fuse") {
            Ok(device) => device,
            Err(error) => {
                skip(&crate::namespace::current_test(), &format!("/dev/fuse: {error}"));
                return None;
            }
        };
        let place = tempfile::tempdir().expect("a temporary directory");
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let options = format!(
            "fd={},rootmode=40000,user_id={user},group_id={group},allow_other",
            device.as_raw_fd()
        );
        let options = std::ffi::CString::new(options).expect("no NUL");
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        match mount("test", place.path(), "fuse", flags, options.as_c_str()) {
            Ok(()) => {}
            Err(Errno::NODEV) => {
                skip(&crate::namespace::current_test(), "the kernel has no FUSE");
                return None;
            }
            Err(error) => panic!("a FUSE file system cannot be mounted: {error}"),
        }
        let (silent, unanswered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let server = Server {
            device,
            files: files
                .iter()
                .map(|(name, content)| ((*name).to_owned(), content.clone()))
                .collect(),
            silent: Arc::clone(&silent),
            unanswered: Arc::clone(&unanswered),
        };
        std::thread::spawn(move || server.run());
        Some(FuseMount {
            place,
            silent,
            unanswered,
        })
    }

    /// Returns the mount point.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Returns the path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Makes the server accept requests without answering, so that processes that make one cannot be killed either.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// Returns the number of requests made since then, not counting interrupts.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }
}

impl Drop for FuseMount {
    fn drop(&mut self) {
        // Releases those that still wait; unmounting the path itself does not ask the server.
        let _ = unmount(self.place.path(), UnmountFlags::FORCE | UnmountFlags::DETACH);
    }
}

struct Server {
    device: File,
    files: Vec<(String, Vec<u8>)>,
    silent: Arc<AtomicBool>,
    unanswered: Arc<AtomicUsize>,
}

/// Concatenated numbers, as in the structures of the protocol.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn long(mut self, numbers: &[u64]) -> Bytes {
        numbers
            .iter()
            .for_each(|number| self.0.extend_from_slice(&number.to_ne_bytes()));
        self
    }

    fn int(mut self, numbers: &[u32]) -> Bytes {
        numbers
            .iter()
            .for_each(|number| self.0.extend_from_slice(&number.to_ne_bytes()));
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Bytes {
        self.0.extend_from_slice(bytes);
        self
    }
}

impl Server {
    fn run(mut self) {
        // FUSE_MIN_READ_BUFFER is 8192; write requests would be larger, but nobody writes.
        let mut buffer = vec![0; 1 << 17];
        loop {
            let length = match self.device.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => continue,
                // A request that was withdrawn.
                Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => continue,
                // It is not mounted any more.
                Err(_) => return,
            };
            let request = &buffer[..length];
            let (operation, id) = (int(request, 4), long(request, 8));
            let told_only = [operation::FORGET, operation::BATCH_FORGET, operation::INTERRUPT];
            if told_only.contains(&operation) {
                continue;
            }
            if self.silent.load(Ordering::SeqCst) {
                self.unanswered.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let (error, body) = match self.answer(operation, long(request, 16), &request[REQUEST..]) {
                Ok(body) => (0, body.0),
                Err(error) => (-error.raw_os_error(), Vec::new()),
            };
            let reply = Bytes::default()
                .int(&[u32::try_from(16 + body.len()).expect("short"), error.cast_unsigned()])
                .long(&[id])
                .bytes(&body);
            let _ = self.device.write(&reply.0);
        }
    }

    fn answer(&self, operation: u32, node: u64, body: &[u8]) -> Result<Bytes, Errno> {
        let empty = Bytes::default();
        match operation {
            // Version 7.31, with only the minimum of capabilities.
            operation::INIT => Ok(empty.int(&[7, 31, 1 << 16, 0, 0, 1 << 16, 1, 0]).int(&[0; 8])),
            operation::LOOKUP => {
                let name = body.split(|&byte| byte == 0).next().unwrap_or_default();
                let at = self.files.iter().position(|(known, _)| known.as_bytes() == name);
                let node = at.ok_or(Errno::NOENT)? as u64 + ROOT + 1;
                // Not to be cached: every use of a path sends a request.
                Ok(self.attributes(node, empty.long(&[node, 0, 0, 0]).int(&[0, 0])))
            }
            operation::GETATTR => Ok(self.attributes(node, empty.long(&[0, 0]))),
            operation::OPEN | operation::OPENDIR => Ok(empty.long(&[0, 0])),
            operation::READ => {
                let (offset, size) = (long(body, 8) as usize, int(body, 16) as usize);
                let content = self.content(node);
                let start = offset.min(content.len());
                Ok(empty.bytes(&content[start..(offset + size).min(content.len()).max(start)]))
            }
            operation::READDIR if long(body, 8) == 0 => Ok(self.directory()),
            operation::READDIR | operation::RELEASE | operation::RELEASEDIR | operation::FLUSH => Ok(empty),
            operation::STATFS => Ok(empty.long(&[0; 5]).int(&[4096, 255, 4096, 0]).int(&[0; 6])),
            _ => Err(Errno::NOSYS),
        }
    }

    fn content(&self, node: u64) -> &[u8] {
        let at = usize::try_from(node).ok().and_then(|node| node.checked_sub(2));
        at.and_then(|at| self.files.get(at)).map_or(&[], |(_, content)| content)
    }

    /// Appends `struct fuse_attr` to `before`.
    fn attributes(&self, node: u64, before: Bytes) -> Bytes {
        let mode = if node == ROOT { 0o040_755 } else { 0o100_755 };
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let size = self.content(node).len() as u64;
        before
            .long(&[node, size, size.div_ceil(512), 0, 0, 0])
            .int(&[0, 0, 0, mode, 1, user, group, 0, 4096, 0])
    }

    /// Returns the names in the format of `struct fuse_dirent`.
    fn directory(&self) -> Bytes {
        let mut bytes = Bytes::default();
        for (place, (name, _)) in (1u64..).zip(&self.files) {
            let length = u32::try_from(name.len()).expect("a short name");
            // 8: a regular file (DT_REG).
            bytes = bytes
                .long(&[place + ROOT, place])
                .int(&[length, 8])
                .bytes(name.as_bytes());
            let padded = bytes.0.len().next_multiple_of(8);
            bytes.0.resize(padded, 0);
        }
        bytes
    }
}

fn int(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuse_mount_serves_files_until_it_falls_silent() {
        crate::own_namespace!();
        let Some(mounted) = FuseMount::new(&[("one", b"first".to_vec()), ("two", vec![7; 300_000])]) else {
            return;
        };
        assert_eq!(std::fs::read(mounted.file("one")).unwrap(), b"first");
        assert_eq!(std::fs::read(mounted.file("two")).unwrap(), vec![7; 300_000]);
        assert_eq!(std::fs::read_dir(mounted.path()).unwrap().count(), 2);
        mounted.fall_silent();
        let path = mounted.file("one");
        let waiter = std::thread::spawn(move || std::fs::metadata(path).is_err());
        crate::eventually(|| mounted.unanswered() > 0, || "nobody asked".to_owned());
        assert!(!waiter.is_finished());
        drop(mounted);
        assert!(waiter.join().unwrap(), "it is let go with an error");
    }
}
