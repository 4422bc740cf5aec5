//! Chooses how the owners of sockets are found: with the kernel's iterator over descriptors, or with the walk through
//! `/proc`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use netstat_model::{Detail, Limit, Owners, Protocol, Socket};

use super::kernel_sockets::KernelPorts;
use super::owners::{Hooks, KernelMade, OwnerAsk, OwnerReader, WantedInodes};
use super::owners_ebpf::{TaskFile, Unavailable};
use super::socket_origin::{OriginIterator, Origins, Pass};
use super::sockets::{SocketReader, unix};
use crate::{OwnerSource, OwnersAsk, OwnersFound, Refused};

/// The number of open descriptors from which the iterator is faster even though it must be loaded first. Loading takes
/// 4 to 5 ms, plus 0.6 µs for each descriptor; the walk takes 3 to 5 µs for each, and uses at least two threads.
const WORTH_LOADING: u64 = 2_500;

/// Finds owners with the method that fits, and keeps what it has loaded.
#[derive(Debug)]
pub(super) struct OwnerFinder {
    reader: OwnerReader,
    remembers: bool,
    iterator: Option<TaskFile>,
    /// Why the iterator could not be loaded; it is not tried again.
    unloadable: Option<String>,
    buffer: Vec<u8>,
    origins: OriginReader,
}

impl OwnerFinder {
    pub(super) fn new(proc: &Path) -> Self {
        OwnerFinder {
            reader: OwnerReader::new(proc),
            remembers: false,
            iterator: None,
            unloadable: None,
            buffer: Vec::new(),
            origins: OriginReader {
                proc: proc.to_owned(),
                loaded: Vec::new(),
            },
        }
    }

    /// Finds the holders of `sockets`. `reader` is asked which of the sockets still exist, where that matters.
    ///
    /// # Errors
    /// Returns an error if `ask` forces the iterator and it cannot be used.
    pub(super) fn find(
        &mut self,
        sockets: &[Socket],
        ask: &OwnersAsk,
        reader: &mut SocketReader,
    ) -> Result<OwnersFound, Refused> {
        if ask.repeated && !self.remembers {
            self.remembers = true;
            self.reader = std::mem::replace(&mut self.reader, OwnerReader::new("/")).remember();
        }
        let wanted = OwnerAsk {
            start: ask.start,
            image: ask.image,
            components: ask.components,
            names: ask.names,
        };
        let why_walk = match ask.source {
            OwnerSource::Walk => "as asked".to_owned(),
            OwnerSource::Iterator => match self.iterate(sockets, &wanted, reader) {
                Ok((owners, limits)) => return Ok(by_iterator(owners, limits, "as asked")),
                Err(unavailable) => return Err(Refused::failed(format!("--owners ebpf: {unavailable}"))),
            },
            OwnerSource::Auto => match self.worth_iterating() {
                Err(why) => why,
                Ok(why) => match self.iterate(sockets, &wanted, reader) {
                    Ok((owners, limits)) => return Ok(by_iterator(owners, limits, &why)),
                    Err(unavailable) => format!("eBPF not used: {unavailable}"),
                },
            },
        };
        let reader = RefCell::new(reader);
        let (iterator, buffer, origins) = (&mut self.iterator, &mut self.buffer, RefCell::new(&mut self.origins));
        let unloadable = &mut self.unloadable;
        let may_iterate = ask.source == OwnerSource::Auto;
        let mut second_source = |wanted: &WantedInodes| {
            if !may_iterate || unloadable.is_some() {
                return None;
            }
            match loaded(iterator) {
                Ok(iterator) => iterate_for(iterator, buffer, wanted),
                Err(unavailable) => {
                    *unloadable = Some(unavailable.to_string());
                    None
                }
            }
        };
        let mut still_there = |inodes: &[u32]| still_there(&mut reader.borrow_mut(), sockets, inodes);
        let mut kernel_made = |inodes: &[u32]| {
            origins
                .borrow_mut()
                .kernel_made(&mut reader.borrow_mut(), sockets, inodes)
        };
        let mut in_flight = |_: &[u32]| origins.borrow_mut().under_way(&mut reader.borrow_mut());
        let hooks = Hooks {
            still_there: Some(&mut still_there),
            kernel_made: Some(&mut kernel_made),
            in_flight: Some(&mut in_flight),
            second_source: Some(&mut second_source),
        };
        let (owners, limits) = self.reader.read(sockets, &wanted, hooks);
        Ok(OwnersFound {
            owners,
            limits,
            how: format!("found by the walk through /proc ({why_walk})"),
        })
    }

    /// Returns why the iterator is preferable, or as the error why it is not.
    fn worth_iterating(&mut self) -> Result<String, String> {
        if self.iterator.is_some() {
            return Ok("it is loaded".to_owned());
        }
        if let Some(why) = &self.unloadable {
            return Err(format!("eBPF not used: {why}"));
        }
        TaskFile::check().map_err(|unavailable| format!("eBPF not used: {unavailable}"))?;
        match self.reader.descriptor_count() {
            Some(count) if count < WORTH_LOADING => {
                Err(format!("eBPF not used: not worth loading for {count} descriptors"))
            }
            Some(count) => Ok(format!("{count} descriptors")),
            None => Ok("unknown number of descriptors".to_owned()),
        }
    }

    fn iterate(
        &mut self,
        sockets: &[Socket],
        ask: &OwnerAsk,
        reader: &mut SocketReader,
    ) -> Result<(Owners, Vec<Limit>), Unavailable> {
        let iterator = match loaded(&mut self.iterator) {
            Ok(iterator) => iterator,
            Err(unavailable) => {
                self.unloadable = Some(unavailable.to_string());
                return Err(unavailable);
            }
        };
        let buffer = &mut self.buffer;
        let source = |wanted: &WantedInodes, pairs: &mut Vec<(u32, u32)>| {
            iterator
                .holdings(buffer, |holding| {
                    if wanted.contains(holding.inode) {
                        pairs.push((holding.inode, holding.pid));
                    }
                    ControlFlow::Continue(())
                })
                .map(|_| ())
        };
        let reader = RefCell::new(reader);
        let origins = RefCell::new(&mut self.origins);
        let mut still_there = |inodes: &[u32]| still_there(&mut reader.borrow_mut(), sockets, inodes);
        let mut kernel_made = |inodes: &[u32]| {
            origins
                .borrow_mut()
                .kernel_made(&mut reader.borrow_mut(), sockets, inodes)
        };
        let mut in_flight = |_: &[u32]| origins.borrow_mut().under_way(&mut reader.borrow_mut());
        let hooks = Hooks {
            still_there: Some(&mut still_there),
            kernel_made: Some(&mut kernel_made),
            in_flight: Some(&mut in_flight),
            second_source: None,
        };
        self.reader.read_with(sockets, ask, hooks, source)
    }
}

fn by_iterator(owners: Owners, limits: Vec<Limit>, why: &str) -> OwnersFound {
    OwnersFound {
        owners,
        limits,
        how: format!("found by the kernel's iterator over descriptors, eBPF ({why})"),
    }
}

/// Returns which of `inodes` still belong to one of `sockets`; `None` if that is unknown.
fn still_there(reader: &mut SocketReader, sockets: &[Socket], inodes: &[u32]) -> Option<Vec<u32>> {
    let sought = WantedInodes::new(inodes.iter().copied());
    let inode = |socket: &Socket| socket.inode().map_or(0, u32::from);
    let doubtful: Vec<&Socket> = sockets.iter().filter(|socket| sought.contains(inode(socket))).collect();
    let there = reader.still_there(&doubtful)?;
    let left = doubtful.iter().zip(there).filter(|&(_, there)| there);
    Some(left.map(|(socket, _)| inode(socket)).collect())
}

/// Returns the iterator; loads it if necessary.
fn loaded(iterator: &mut Option<TaskFile>) -> Result<&TaskFile, Unavailable> {
    Ok(match iterator {
        Some(loaded) => loaded,
        none => none.insert(TaskFile::load()?),
    })
}

/// Finds the holders of `wanted` with the iterator; `None` if its pass failed.
fn iterate_for(iterator: &TaskFile, buffer: &mut Vec<u8>, wanted: &WantedInodes) -> Option<Vec<(u32, u32)>> {
    let mut pairs = Vec::new();
    let pass = iterator.holdings(buffer, |holding| {
        if wanted.contains(holding.inode) {
            pairs.push((holding.inode, holding.pid));
        }
        ControlFlow::Continue(())
    });
    pass.is_ok().then_some(pairs)
}

/// Determines where sockets without a holder come from, and keeps what it has loaded.
#[derive(Debug)]
struct OriginReader {
    proc: PathBuf,
    loaded: Vec<(Pass, Option<OriginIterator>)>,
}

impl OriginReader {
    /// Returns the iterator for `pass`; `None` if it cannot be used.
    fn iterator(&mut self, pass: Pass) -> Option<&OriginIterator> {
        if !self.loaded.iter().any(|(loaded, _)| *loaded == pass) {
            self.loaded.push((pass, OriginIterator::load(pass).ok()));
        }
        let (_, iterator) = self.loaded.iter().find(|(loaded, _)| *loaded == pass)?;
        iterator.as_ref()
    }

    /// Returns which of `inodes` belong to sockets that the kernel created for itself.
    fn kernel_made(&mut self, reader: &mut SocketReader, sockets: &[Socket], inodes: &[u32]) -> KernelMade {
        let sought = WantedInodes::new(inodes.iter().copied());
        let mut places: BTreeMap<u32, Vec<(u32, &Socket)>> = BTreeMap::new();
        for socket in sockets {
            if let Some(inode) = socket.inode().map(u32::from).filter(|&inode| sought.contains(inode)) {
                places.entry(socket.namespace()).or_default().push((inode, socket));
            }
        }
        let mut answer = KernelMade {
            others_are_given: true,
            ..KernelMade::default()
        };
        for (namespace, asked) in places {
            let proc = &self.proc;
            let ports = reader.within(namespace, || KernelPorts::read(proc)).unwrap_or_default();
            // If the ports explain all of them, no program needs to be loaded.
            let explained = asked.iter().all(|(_, socket)| ports.user(socket).is_some());
            let origins = match explained {
                true => Origins::default(),
                false => self.origins(reader, namespace, &asked),
            };
            for (inode, socket) in asked {
                let origin = socket
                    .cookie()
                    .and_then(|cookie| origins.made_by_kernel.get(&cookie.get()));
                let user = ports.user(socket);
                let is_kernels_netlink = matches!(socket.detail(), Some(Detail::Netlink { port: 0, .. }));
                let made = match (origin, user) {
                    // Netlink sockets of programs have another port id once they are listed.
                    _ if is_kernels_netlink => true,
                    (Some(&made), user) => made || user.is_some_and(KernelPorts::takes_over),
                    (None, user) => user.is_some(),
                };
                if made {
                    answer.made.push((inode, user.cloned()));
                } else if origin.is_none() || keeps_given_sockets() {
                    answer.others_are_given = false;
                }
            }
        }
        answer
    }

    fn origins(&mut self, reader: &mut SocketReader, namespace: u32, asked: &[(u32, &Socket)]) -> Origins {
        let mut origins = Origins::default();
        for (pass, protocol) in [(Pass::Tcp, Protocol::Tcp), (Pass::Udp, Protocol::Udp)] {
            if asked.iter().any(|(_, socket)| socket.protocol() == protocol)
                && let Some(iterator) = self.iterator(pass)
            {
                // Sockets that an aborted pass did not reach stay undecided.
                let _ = reader.within(namespace, || iterator.read(&mut origins));
            }
        }
        origins
    }

    /// Returns the sockets that wait as descriptors in a queue, in any namespace that was searched.
    fn under_way(&mut self, reader: &mut SocketReader) -> Option<Vec<u32>> {
        // Loading this program takes the verifier a while, and waiting messages are rare.
        let all = 0..reader.namespace_count();
        let may_wait = |&namespace: &u32| !matches!(reader.within(namespace, unix::messages_wait), Ok(Ok(false)));
        let namespaces: Vec<u32> = all.filter(may_wait).collect();
        if namespaces.is_empty() {
            return Some(Vec::new());
        }
        let iterator = self.iterator(Pass::Queues)?;
        let mut origins = Origins::default();
        for namespace in namespaces {
            let _ = reader.within(namespace, || iterator.read(&mut origins));
        }
        Some(origins.under_way)
    }
}

/// Whether a kernel module is loaded that takes sockets from programs and keeps them without a descriptor.
fn keeps_given_sockets() -> bool {
    const PARTS: [&str; 6] = ["nbd", "vhci_hcd", "usbip_host", "iscsi_tcp", "nfsd", "l2tp_core"];
    PARTS.iter().any(|part| Path::new("/sys/module").join(part).is_dir())
}
