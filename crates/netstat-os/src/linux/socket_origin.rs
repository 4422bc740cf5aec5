//! Determines whether sockets were ever given to a process, and which are in flight between processes, with the
//! kernel's iterators over sockets (`bpf/socket_origin.bpf.c`).
//!
//! A socket that the kernel creates for itself (WireGuard, VXLAN, NFS) has no file, so no process can have a descriptor
//! of it. This is certain regardless of which processes the caller may see; only the capabilities that [`check`]
//! requires are needed.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use super::bpf::btf::Btf;
use super::bpf::kernel_btf::KernelBtf;
use super::bpf::object::{Object, ObjectError};
use super::bpf::sys;
use super::owners_ebpf::{Unavailable, check_capabilities, load_fitted};

/// The compiled `bpf/socket_origin.bpf.c`; `cargo xtask bpf --check` verifies it.
const OBJECT: &[u8] = include_bytes!("../../bpf/socket_origin.bpf.o");
/// The name that `bpftool prog` shows: at most 15 bytes.
const NAME: &str = "netstat_origins";
/// The size of the program's `struct record` in bytes.
const RECORD_BYTES: usize = 16;
/// `KERNEL`, `GIVEN` and `UNDER_WAY` in the program.
const KERNEL: u32 = 0;
const GIVEN: u32 = 1;
const UNDER_WAY: u32 = 2;

/// A table of sockets that the kernel can iterate over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Tcp,
    Udp,
    /// The receive queues of Unix-domain sockets.
    Queues,
}

impl Pass {
    /// Returns the section of the program, and the kernel function that represents the iterator.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Pass::Tcp => ("iter/tcp", "bpf_iter_tcp"),
            Pass::Udp => ("iter/udp", "bpf_iter_udp"),
            Pass::Queues => ("iter/unix", "bpf_iter_unix"),
        }
    }
}

/// An attached iterator, which is detached on drop.
#[derive(Debug)]
pub(super) struct OriginIterator {
    link: OwnedFd,
    pass: Pass,
}

/// The results of one or more passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins {
    /// Whether the kernel created the socket for itself, by cookie.
    pub(super) made_by_kernel: HashMap<u64, bool>,
    /// The inodes of sockets that wait in a queue as descriptors.
    pub(super) under_way: Vec<u32>,
}

impl OriginIterator {
    /// Loads and attaches a program, which takes some milliseconds.
    ///
    /// # Errors
    /// Returns the reason why it cannot be used here.
    pub(super) fn load(pass: Pass) -> Result<Self, Unavailable> {
        check_capabilities()?;
        let types = KernelBtf::open().map_err(Unavailable::NoBtf)?;
        let described = Btf::parse(&types).map_err(|error| Unavailable::NoBtf(std::io::Error::other(error)))?;
        let (section, function) = pass.names();
        let program = Object::parse(OBJECT, section)
            .and_then(|object| object.fit(&described, function))
            .map_err(|error: ObjectError| Unavailable::Kernel(error.to_string()))?;
        let loaded = load_fitted(sys::Place::Iterator, &program, NAME)?;
        let link = sys::attach_iterator(loaded.as_fd()).map_err(Unavailable::Attach)?;
        Ok(OriginIterator { link, pass })
    }

    /// Makes one pass over the sockets in the network namespace of the calling thread, and adds the results to
    /// `origins`.
    ///
    /// # Errors
    /// Returns an error if the pass could not be started or was not completed.
    pub(super) fn read(&self, origins: &mut Origins) -> Result<(), Unavailable> {
        let pass = sys::open_iterator(self.link.as_fd()).map_err(Unavailable::Attach)?;
        // A whole number of records, so that none is split.
        let mut buffer = vec![0; 32 * 1024 / RECORD_BYTES * RECORD_BYTES];
        loop {
            let filled = match rustix::io::read(&pass, &mut buffer[..]) {
                Ok(0) => return Ok(()),
                Ok(filled) => filled,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Unavailable::Read(error.into())),
            };
            let (records, rest) = buffer[..filled].as_chunks::<RECORD_BYTES>();
            if !rest.is_empty() {
                return Err(Unavailable::Read(std::io::Error::other("a record is cut off")));
            }
            records.iter().for_each(|record| take(self.pass, record, origins));
        }
    }
}

/// Decodes a `struct record` of the program.
fn take(pass: Pass, record: &[u8; RECORD_BYTES], origins: &mut Origins) {
    let mut socket = [0; 8];
    socket.copy_from_slice(&record[..8]);
    let socket = u64::from_ne_bytes(socket);
    match (pass, u32::from_ne_bytes([record[8], record[9], record[10], record[11]])) {
        (Pass::Queues, UNDER_WAY) => origins.under_way.extend(u32::try_from(socket).ok()),
        (Pass::Tcp | Pass::Udp, KERNEL) => drop(origins.made_by_kernel.insert(socket, true)),
        (Pass::Tcp | Pass::Udp, GIVEN) => drop(origins.made_by_kernel.insert(socket, false)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixStream;

    fn loaded(test: &str, pass: Pass) -> Option<OriginIterator> {
        match OriginIterator::load(pass) {
            Ok(iterator) => Some(iterator),
            Err(error @ (Unavailable::Verifier { .. } | Unavailable::Read(_))) => panic!("{pass:?}: {error}"),
            Err(error) => {
                netstat_testkit::skip(test, &error.to_string());
                None
            }
        }
    }

    fn cookie(socket: impl AsFd) -> u64 {
        rustix::net::sockopt::socket_cookie(socket).unwrap()
    }

    #[test]
    fn sockets_of_a_process_are_given() {
        let (tcp, udp) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        for (pass, cookie) in [(Pass::Tcp, cookie(&tcp)), (Pass::Udp, cookie(&udp))] {
            let Some(iterator) = loaded("sockets_of_a_process_are_given", pass) else {
                return;
            };
            let mut origins = Origins::default();
            iterator.read(&mut origins).unwrap();
            assert_eq!(origins.made_by_kernel.get(&cookie), Some(&false), "{pass:?}");
        }
    }

    #[test]
    fn descriptor_in_a_queue_is_under_way() {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let Some(iterator) = loaded("descriptor_in_a_queue_is_under_way", Pass::Queues) else {
            return;
        };
        let (sent, kept) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let file = std::fs::File::open("/dev/null").unwrap();
        let inode = |socket: &UdpSocket| rustix::fs::fstat(socket).unwrap().st_ino as u32;
        let (one, other) = UnixStream::pair().unwrap();
        for bytes in [&b"a"[..], b"b"] {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptors = [file.as_fd(), sent.as_fd()];
            if bytes == b"b" {
                assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
            }
            let bytes = [std::io::IoSlice::new(bytes)];
            sendmsg(&one, &bytes, &mut control, SendFlags::empty()).unwrap();
        }
        let mut origins = Origins::default();
        iterator.read(&mut origins).unwrap();
        assert!(origins.under_way.contains(&inode(&sent)), "{origins:?}");
        assert!(!origins.under_way.contains(&inode(&kept)));
        drop(other);
    }

    #[test]
    fn record_of_another_kind_says_nothing() {
        let mut origins = Origins::default();
        for kind in [2u32, 3, u32::MAX] {
            let mut record = [1; RECORD_BYTES];
            record[8..12].copy_from_slice(&kind.to_ne_bytes());
            take(Pass::Tcp, &record, &mut origins);
        }
        assert_eq!(origins, Origins::default());
    }
}
