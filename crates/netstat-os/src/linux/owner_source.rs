//! Which way the owners are looked for: the kernel's iterator over descriptors, or the walk through `/proc`.

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

/// From this many open descriptors on, the iterator is quicker although it has to be loaded first: loading takes 4 to 5 ms and a
/// descriptor then 0.6 µs, while the walk needs 3 to 5 µs for each and has two threads at least.
const WORTH_LOADING: u64 = 2_500;

/// Looks for owners in the way that fits; keeps what it loaded.
#[derive(Debug)]
pub(super) struct OwnerFinder {
    reader: OwnerReader,
    remembers: bool,
    iterator: Option<TaskFile>,
    /// Why the iterator could not be loaded: it is not tried again.
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

    /// Finds the holders of `sockets`; `reader` is asked which of them still exist, where that matters.
    ///
    /// # Errors
    /// When the iterator is insisted on and cannot be used.
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

    /// Why the iterator is the better way, or else why not.
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

/// Which of `inodes` still belong to one of `sockets`; `None` when that is unknown.
fn still_there(reader: &mut SocketReader, sockets: &[Socket], inodes: &[u32]) -> Option<Vec<u32>> {
    let sought = WantedInodes::new(inodes.iter().copied());
    let inode = |socket: &Socket| socket.inode().map_or(0, u32::from);
    let doubtful: Vec<&Socket> = sockets.iter().filter(|socket| sought.contains(inode(socket))).collect();
    let there = reader.still_there(&doubtful)?;
    let left = doubtful.iter().zip(there).filter(|&(_, there)| there);
    Some(left.map(|(socket, _)| inode(socket)).collect())
}

/// The iterator, loaded now unless it was before.
fn loaded(iterator: &mut Option<TaskFile>) -> Result<&TaskFile, Unavailable> {
    Ok(match iterator {
        Some(loaded) => loaded,
        none => none.insert(TaskFile::load()?),
    })
}

/// Who holds `wanted`, by the iterator; `None` when its pass failed.
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

/// Tells where sockets without a holder come from; keeps what it loaded.
#[derive(Debug)]
struct OriginReader {
    proc: PathBuf,
    loaded: Vec<(Pass, Option<OriginIterator>)>,
}

impl OriginReader {
    /// The iterator for `pass`; `None` where it cannot be used.
    fn iterator(&mut self, pass: Pass) -> Option<&OriginIterator> {
        if !self.loaded.iter().any(|(loaded, _)| *loaded == pass) {
            self.loaded.push((pass, OriginIterator::load(pass).ok()));
        }
        let (_, iterator) = self.loaded.iter().find(|(loaded, _)| *loaded == pass)?;
        iterator.as_ref()
    }

    /// Which of `inodes` belong to sockets that the kernel made for itself.
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
            // Where the ports explain all of them, nothing needs to be loaded.
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
                    // Programs' netlink sockets have another number as soon as they are listed.
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
                // What a pass that broke off did not reach stays undecided.
                let _ = reader.within(namespace, || iterator.read(&mut origins));
            }
        }
        origins
    }

    /// The sockets that wait as descriptors in a queue, in any namespace that was looked into.
    fn under_way(&mut self, reader: &mut SocketReader) -> Option<Vec<u32>> {
        // The verifier takes its time over this program, and there is seldom a message that waits.
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

/// Whether a part of the kernel is loaded that takes sockets from programs and keeps them without a descriptor.
fn keeps_given_sockets() -> bool {
    const PARTS: [&str; 6] = ["nbd", "vhci_hcd", "usbip_host", "iscsi_tcp", "nfsd", "l2tp_core"];
    PARTS.iter().any(|part| Path::new("/sys/module").join(part).is_dir())
}
