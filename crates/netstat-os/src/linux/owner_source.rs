//! Which way the owners are looked for: the kernel's iterator over descriptors, or the walk through `/proc`.

use std::ops::ControlFlow;
use std::path::Path;

use netstat_model::{Limit, Owners, Socket};

use super::owners::{Hooks, OwnerAsk, OwnerReader, WantedInodes};
use super::owners_ebpf::{TaskFile, Unavailable};
use super::sockets::SocketReader;
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
    buffer: Vec<u8>,
}

impl OwnerFinder {
    pub(super) fn new(proc: &Path) -> Self {
        OwnerFinder {
            reader: OwnerReader::new(proc),
            remembers: false,
            iterator: None,
            buffer: Vec::new(),
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
        let mut still_there = |inodes: &[u32]| still_there(reader, sockets, inodes);
        let hooks = Hooks {
            still_there: Some(&mut still_there),
            ..Hooks::default()
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
        let iterator = match &self.iterator {
            Some(loaded) => loaded,
            None => self.iterator.insert(TaskFile::load()?),
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
        let mut still_there = |inodes: &[u32]| still_there(reader, sockets, inodes);
        let hooks = Hooks {
            still_there: Some(&mut still_there),
            ..Hooks::default()
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

/// Which of `inodes` still belong to one of `sockets`; `None` when it cannot be told.
fn still_there(reader: &mut SocketReader, sockets: &[Socket], inodes: &[u32]) -> Option<Vec<u32>> {
    let sought = WantedInodes::new(inodes.iter().copied());
    let inode = |socket: &Socket| socket.inode().map_or(0, u32::from);
    let doubtful: Vec<&Socket> = sockets.iter().filter(|socket| sought.contains(inode(socket))).collect();
    let there = reader.still_there(&doubtful)?;
    let left = doubtful.iter().zip(there).filter(|&(_, there)| there);
    Some(left.map(|(socket, _)| inode(socket)).collect())
}
