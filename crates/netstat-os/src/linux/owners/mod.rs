//! Finds the processes that hold sockets.
//!
//! A search has three steps. The first step finds holdings, which are pairs of a socket inode and a process, either by
//! the walk through `/proc/PID/fd` (`walk`) or from another source that reports bare pairs (`claims`). It also reads
//! the requested facts about the holders, through a directory handle that keeps referring to the process it was opened
//! for, so that a reused process id can never result in another process's name. The second step searches for the
//! remaining sockets in places that cost more (`elsewhere`). The third step finds the reasons why the rest has no
//! holder (`reason`).
//!
//! No search can see a descriptor that is in a message between processes and is received after the receiver was read,
//! or a socket that is passed on during the walk. Both are reported as what they then appear to be, "in flight" or
//! "nothing holds it", and never as owned by another process.

mod claims;
mod component;
mod digits;
mod elsewhere;
mod found;
pub(crate) mod hidden;
mod memory;
pub(crate) mod process;
mod reason;
mod spread;
pub(crate) mod table;
mod threads;
mod walk;
mod wanted;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use netstat_model::{Concealment, FoundBy, KernelUser, Limit, NoOwner, Owners, OwnersBuilder, Socket};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;

pub use component::components;
pub use process::{BadStat, Stat, parse_stat};
pub use wanted::WantedInodes;

pub(crate) use process::{ProcessDir, why};
pub(crate) use reason::hides_processes;
pub(crate) use table::{process_ids, socket_inode};

use found::{Found, Ring};
use memory::Memory;
use reason::Sight;
use table::PathBuffer;
use walk::Walk;

/// What to read about the processes that hold sockets, besides their ids. Anything that is not requested is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerAsk {
    /// The executable file, or the short name if the file may not be read.
    pub image: bool,
    /// Systemd units and containers.
    pub components: bool,
    /// The start time and short name. The start times of processes that share a socket are always read, to know which
    /// one has held it longest.
    pub start: bool,
    /// The short name and arguments.
    pub names: bool,
}

impl OwnerAsk {
    fn is_anything(&self) -> bool {
        self.image || self.components || self.start || self.names
    }
}

/// A query to the caller about some inodes; see [`Hooks`].
pub type Hook<'a> = &'a mut dyn FnMut(&[u32]) -> Option<Vec<u32>>;

/// A query to the caller about sockets of the kernel; see [`Hooks::kernel_made`].
pub type KernelHook<'a> = &'a mut dyn FnMut(&[u32]) -> KernelMade;

/// A query to the caller for holdings; see [`Hooks::second_source`].
pub type PairsHook<'a> = &'a mut dyn FnMut(&WantedInodes) -> Option<Vec<(u32, u32)>>;

/// The answer to which sockets the kernel created for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelMade {
    /// Their inodes, each with the purpose if it is known.
    pub made: Vec<(u32, Option<KernelUser>)>,
    /// Whether all other sockets are known to have been given to a process.
    pub others_are_given: bool,
}

/// Queries that only the caller can answer. Each is made only about sockets without a holder, and once per search
/// (`still_there` is made again before a socket is reported as hidden).
#[derive(Default)]
pub struct Hooks<'a> {
    /// Returns which of the inodes belong to sockets that still exist; `None` if that is unknown.
    pub still_there: Option<Hook<'a>>,
    /// Returns which of the inodes belong to sockets that the kernel created for itself. Without an answer, no socket
    /// is ever reported as hidden.
    pub kernel_made: Option<KernelHook<'a>>,
    /// Returns which of the inodes belong to sockets whose descriptor is in flight between processes; `None` if that
    /// cannot be determined.
    pub in_flight: Option<Hook<'a>>,
    /// Returns who holds the sockets, from a source that sees the descriptors of every process: pairs of inode and
    /// process id, in the form that [`OwnerReader::read_with`] accepts. Called after a walk; `None` if there is no such
    /// source.
    pub second_source: Option<PairsHook<'a>>,
}

/// Finds the holders of sockets. Keeps its buffers between searches.
#[derive(Debug)]
pub struct OwnerReader {
    root: PathBuf,
    proc: Option<OwnedFd>,
    wanted: WantedInodes,
    memory: Option<Memory>,
}

impl Default for OwnerReader {
    fn default() -> Self {
        OwnerReader::new("/proc")
    }
}

impl OwnerReader {
    /// Creates a reader that uses the procfs mounted at `root`, usually `/proc`. Opens nothing yet.
    pub fn new(root: impl AsRef<Path>) -> Self {
        OwnerReader {
            root: root.as_ref().to_owned(),
            proc: None,
            wanted: WantedInodes::default(),
            memory: None,
        }
    }

    /// Makes the reader cache its findings, for listings that repeat: known holdings are only verified, and the
    /// processes are walked only if there are sockets that were not seen before. Another holder of a known socket may
    /// then be noticed some listings late.
    pub fn remember(mut self) -> Self {
        self.memory = Some(Memory::default());
        self
    }

    /// Returns approximately how many descriptors the visible processes have open, as a measure of the cost of a walk.
    /// `None` if the kernel does not report it (before Linux 6.2) or procfs is not available.
    pub fn descriptor_count(&mut self) -> Option<u64> {
        let proc = self.open().ok()?;
        let count = count_descriptors(proc, &process_ids(proc).ok()?);
        // The caller has some open itself, so 0 means that the kernel does not report it.
        (count > 0).then_some(count)
    }

    /// Finds the holders of `sockets`.
    ///
    /// Never fails: what could not be seen is given as the reason of each affected socket and, once for all of them, as
    /// a [`Limit`].
    pub fn read(&mut self, sockets: &[Socket], ask: &OwnerAsk, hooks: Hooks<'_>) -> (Owners, Vec<Limit>) {
        self.want(sockets);
        let mut memory = self.memory.take();
        let answer = self.look(sockets, ask, hooks, First::Walk(memory.as_mut()));
        self.memory = memory;
        answer
    }

    /// Finds the holders of `sockets` like [`OwnerReader::read`], but with the holdings reported by `source` instead of
    /// a walk. `source` is given the wanted inodes and appends (inode, process id) pairs; surplus pairs and duplicates
    /// are allowed. It must see the descriptors of every process of the system.
    ///
    /// # Errors
    /// Returns the error of `source`; nothing has been read then.
    pub fn read_with<E>(
        &mut self,
        sockets: &[Socket],
        ask: &OwnerAsk,
        hooks: Hooks<'_>,
        source: impl FnOnce(&WantedInodes, &mut Vec<(u32, u32)>) -> Result<(), E>,
    ) -> Result<(Owners, Vec<Limit>), E> {
        let mut pairs = Vec::new();
        self.want(sockets);
        if !self.wanted.is_empty() {
            source(&self.wanted, &mut pairs)?;
        }
        Ok(self.look(sockets, ask, hooks, First::Pairs(&mut pairs)))
    }

    fn want(&mut self, sockets: &[Socket]) {
        self.wanted
            .refill(sockets.iter().filter_map(|socket| socket.inode().map(u32::from)));
    }

    fn open(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        if self.proc.is_none() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            self.proc = Some(openat(CWD, &self.root, flags, Mode::empty())?);
        }
        self.proc.as_ref().map(AsFd::as_fd).ok_or(Errno::NOENT)
    }

    fn look(
        &mut self,
        sockets: &[Socket],
        ask: &OwnerAsk,
        hooks: Hooks<'_>,
        mut first: First<'_>,
    ) -> (Owners, Vec<Limit>) {
        if self.wanted.is_empty() {
            return (OwnersBuilder::default().finish(NoOwner::Ended), Vec::new());
        }
        let list = self.open().and_then(process_ids);
        let pids = match list {
            Ok(pids) if !pids.is_empty() => pids,
            other => {
                return (
                    OwnersBuilder::default().finish(NoOwner::NoProcessList),
                    vec![self.no_list(other.err())],
                );
            }
        };
        // `open` has just succeeded.
        let Some(proc) = self.proc.as_ref() else {
            return (
                OwnersBuilder::default().finish(NoOwner::NoProcessList),
                vec![self.no_list(None)],
            );
        };
        let walk = Walk {
            proc: proc.as_fd(),
            wanted: &self.wanted,
            ask,
        };
        let found = match &mut first {
            First::Walk(None) => walk.processes(&pids),
            First::Walk(Some(memory)) => memory.look(&walk, &pids),
            First::Pairs(pairs) => walk.claims(pairs),
        };
        let mut look = Look {
            root: &self.root,
            walk,
            by_second_source: Vec::new(),
            concealed: Vec::new(),
            told: found.holdings.len(),
            found,
            pids,
            sees_all: matches!(first, First::Pairs(_)),
            refused_to_root: false,
        };
        let mut builder = OwnersBuilder::default();
        let otherwise = look.explain(sockets, hooks, &mut builder);
        look.read_starts();
        let limits = look.limits();
        if let First::Walk(Some(memory)) = first {
            memory.keep(&look.walk, &look.found, std::mem::take(&mut look.pids));
        }
        look.hand_over(&mut builder);
        (builder.finish(otherwise), limits)
    }

    fn no_list(&self, error: Option<Errno>) -> Limit {
        let root = self.root.display();
        Limit {
            what: "the owners of all sockets are missing".to_owned(),
            why: match error {
                Some(error) => format!(
                    "the process list {root} cannot be read: {}",
                    std::io::Error::from(error)
                ),
                None => format!("there is no process list at {root}"),
            },
            remedy: Some(super::mount_proc(&self.root)),
        }
    }
}

/// If another source has seen every descriptor table, a socket without a holder can only be registered with an io_uring
/// instance. Finding these takes a walk, which is skipped if there are more descriptors than this: most such sockets
/// are the kernel's own (WireGuard, NFS), and the walk would take longer than everything else.
const RINGS_WITHIN: u64 = 50_000;

/// The maximum number of sockets for which the caller is asked whether they still exist, if missing privileges are the
/// likely reason.
const ASK_ABOUT: usize = 256;

/// Returns how many descriptors the processes have open; 0 if the kernel does not report it (before Linux 6.2).
fn count_descriptors(proc: BorrowedFd<'_>, pids: &[u32]) -> u64 {
    let count = |pid: &u32| {
        let mut path = PathBuffer::new();
        path.number(*pid);
        path.text(b"/fd");
        statat(proc, path.as_bytes(), AtFlags::empty()).ok()
    };
    pids.iter().filter_map(count).map(|stat| stat.st_size as u64).sum()
}

/// The source of the first step of a search.
enum First<'a> {
    /// The walk, with the cache from the last search.
    Walk(Option<&'a mut Memory>),
    /// Pairs of inode and process id, reported by a source that sees every process.
    Pairs(&'a mut Vec<(u32, u32)>),
}

/// The state of a search.
struct Look<'a> {
    /// Where procfs is mounted.
    root: &'a Path,
    walk: Walk<'a>,
    /// The sockets whose holder only the second source knew.
    by_second_source: Vec<u32>,
    /// The holders that `/proc` does not show, with how they are concealed.
    concealed: Vec<(u32, Concealment)>,
    found: Found,
    /// The number of holdings that the first step found; those of the second step follow.
    told: usize,
    /// The processes at the first step, ascending.
    pids: Vec<u32>,
    /// Whether the first step saw every process of the system, in all namespaces.
    sees_all: bool,
    /// Whether sockets have no known owner because the system denies root access to descriptors.
    refused_to_root: bool,
}

impl Look<'_> {
    /// Returns the wanted inodes for which no holder has been found yet.
    fn left(&self) -> Vec<u32> {
        memory::left(&self.walk, &self.found)
    }

    /// Handles the sockets for which the first step found no holder: finds it elsewhere, or records the reason. Returns
    /// the reason for all sockets without a reason of their own.
    fn explain(&mut self, sockets: &[Socket], mut hooks: Hooks<'_>, builder: &mut OwnersBuilder) -> NoOwner {
        let mut left = self.left();
        if left.is_empty() {
            builder.all_held();
            return NoOwner::Ended;
        }
        if self.found.denied == 0 || self.sees_all || left.len() <= ASK_ABOUT {
            // Otherwise the answer is "not permitted" for most of them, and asking about each would take longer than
            // the listing.
            note_others(&mut left, &mut hooks.still_there, NoOwner::Ended, builder);
        }
        let mut kernel_told = None;
        if let Some(hook) = hooks.kernel_made.as_mut().filter(|_| left.len() <= ASK_ABOUT) {
            let answer = hook(&left);
            let made = WantedInodes::new(answer.made.iter().map(|&(inode, _)| inode));
            left.retain(|&inode| !made.contains(inode));
            for (inode, user) in answer.made {
                builder.made_by_kernel(inode, user);
            }
            kernel_told = answer.others_are_given.then_some(false);
        }
        if left.is_empty() {
            return NoOwner::Ended;
        }
        self.search_elsewhere(sockets, &mut left);
        self.ask_second_source(&mut hooks, &mut left);
        self.search_concealed(&mut left);
        if left.is_empty() {
            return NoOwner::Ended;
        }
        if self.found.denied == 0 || left.len() <= ASK_ABOUT {
            note_named(&mut left, &mut hooks.in_flight, NoOwner::InFlight, builder);
        }
        if left.is_empty() {
            return NoOwner::Ended;
        }
        self.refused_to_root = self.found.denied > 0 && rustix::process::geteuid().is_root();

        let sight = self.sight();
        let verdict = sight.reason(kernel_told);
        if verdict != NoOwner::Hidden {
            return verdict;
        }
        // About to report a hidden socket. It may have been passed on or closed during the search, so everything is
        // searched once more, including processes that are not listed.
        let listed = process_ids(self.walk.proc).unwrap_or_default();
        self.again(&mut left, |walk, _, _| walk.processes(&listed));
        let unlisted = hidden::unlisted(self.walk.proc, &listed);
        self.take_concealed(&mut left, |walk| walk.processes(&unlisted));
        note_named(&mut left, &mut hooks.in_flight, NoOwner::InFlight, builder);
        note_others(&mut left, &mut hooks.still_there, NoOwner::Ended, builder);
        match self.walk.descriptors_in_flight(&listed) {
            // The socket may be one of these.
            true => NoOwner::Unheld,
            false => self.sight().reason(kernel_told),
        }
    }

    /// Adds the holders that the second source knows for those sockets in `left` that the walk did not find.
    fn ask_second_source(&mut self, hooks: &mut Hooks<'_>, left: &mut Vec<u32>) {
        if self.sees_all || left.is_empty() {
            return;
        }
        let wanted = WantedInodes::new(left.iter().copied());
        let Some(mut pairs) = hooks.second_source.as_mut().and_then(|hook| hook(&wanted)) else {
            return;
        };
        self.again(left, |walk, _, _| walk.claims(&mut pairs));
        let unfound = WantedInodes::new(left.iter().copied());
        let found = wanted.iter().filter(|&inode| !unfound.contains(inode));
        self.by_second_source.extend(found);
    }

    /// Searches for the sockets `left` in concealed processes, and adds what was reported about such processes.
    fn search_concealed(&mut self, left: &mut Vec<u32>) {
        let missing = std::mem::take(&mut self.found.missing);
        if left.is_empty() && missing.is_empty() {
            return;
        }
        let covered = hidden::covered(self.walk.proc, self.root);
        if !covered.is_empty()
            && let Some(bare) = hidden::uncovered(self.root)
        {
            let walk = |walk: &Walk<'_>| {
                let below = Walk {
                    proc: bare.as_fd(),
                    ..*walk
                };
                let mut found = below.processes(&covered);
                found.append(below.threads(&covered));
                // Processes that may not be read have already been counted by the walk.
                found.denied = 0;
                found
            };
            self.take_concealed(left, walk);
        }
        // The reports about the other processes are valid as long as they run.
        let left_still = WantedInodes::new(left.iter().copied());
        for pairs in missing.chunk_by(|a, b| a.1 == b.1) {
            let pid = pairs[0].1;
            let pairs: Vec<(u32, u32)> = pairs
                .iter()
                .copied()
                .filter(|&(inode, _)| left_still.contains(inode))
                .collect();
            if pairs.is_empty() {
                continue;
            }
            if let Some(how) = hidden::concealment(self.walk.proc, &covered, pid) {
                self.found.add_unread(pid, &pairs);
                self.concealed.push((pid, how));
                left.retain(|inode| !pairs.iter().any(|(found, _)| found == inode));
                if !self.sees_all {
                    self.by_second_source.extend(pairs.iter().map(|&(inode, _)| inode));
                }
            }
        }
    }

    /// Performs a search among processes that `/proc` does not list.
    fn take_concealed(&mut self, left: &mut Vec<u32>, search: impl FnOnce(&Walk<'_>) -> Found) {
        let covered = hidden::covered(self.walk.proc, self.root);
        let before = self.found.holders.len();
        self.again(left, |walk, _, _| search(walk));
        for holder in &self.found.holders[before..] {
            let pid = holder.process.pid;
            let how = match covered.binary_search(&pid) {
                Ok(_) => Concealment::Mount,
                Err(_) => Concealment::NotListed,
            };
            self.concealed.push((pid, how));
        }
    }

    fn sight(&self) -> Sight {
        let proc = self.walk.proc;
        if self.sees_all {
            return Sight {
                // The source sees every process that the kernel lets it see. Something that hides its descriptors even
                // from a walk may be hidden from the source as well, and may hold the sockets without a known holder.
                denied: self.found.denied,
                hides: false,
                failed: self.found.failed.is_some(),
                initial_pid_namespace: (self.found.denied == 0).then_some(true),
            };
        }
        Sight {
            denied: self.found.denied,
            hides: reason::hides_processes(proc),
            failed: self.found.failed.is_some(),
            initial_pid_namespace: reason::in_initial_pid_namespace(proc),
        }
    }

    /// Searches for the sockets `left` in the tables of threads, in io_uring instances and in processes that were
    /// started in the meantime. Removes those it finds from `left`.
    fn search_elsewhere(&mut self, sockets: &[Socket], left: &mut Vec<u32>) {
        let mut sought = left.clone();
        if self.found.denied > 0 {
            // The sockets of other users are most likely held by the processes that may not be read: only the caller's
            // own are worth further work.
            let own = rustix::process::geteuid().as_raw();
            let set = WantedInodes::new(sought.iter().copied());
            sought = sockets
                .iter()
                .filter(|socket| socket.user().known() == Some(own))
                .filter_map(|socket| socket.inode().map(u32::from))
                .filter(|&inode| set.contains(inode))
                .collect();
        }
        if sought.is_empty() {
            return;
        }
        let sees_all = self.sees_all;
        if sees_all && count_descriptors(self.walk.proc, &self.pids) > RINGS_WITHIN {
            self.found.denied += self.walk.denied(&self.pids);
            return;
        }
        self.again(&mut sought, |walk, pids, rings| {
            if sees_all {
                // Every table was seen, but the io_uring instances were not collected: a walk does that.
                let found = walk.processes(pids);
                let mut more = walk.rings(&found.rings);
                more.append(found);
                return more;
            }
            let mut found = walk.threads(pids);
            found.append(walk.rings(rings));
            let list = process_ids(walk.proc).unwrap_or_default();
            let new: Vec<u32> = list
                .into_iter()
                .filter(|pid| pids.binary_search(pid).is_err())
                .collect();
            found.append(walk.processes(&new));
            found
        });
        let unfound = WantedInodes::new(self.left());
        left.retain(|&inode| unfound.contains(inode));
    }

    /// Searches once more, for the sockets `left` only. Removes those it finds from `left`.
    fn again(&mut self, left: &mut Vec<u32>, search: impl FnOnce(&Walk<'_>, &[u32], &[Ring]) -> Found) {
        let wanted = WantedInodes::new(left.iter().copied());
        let walk = Walk {
            wanted: &wanted,
            ..self.walk
        };
        let more = search(&walk, &self.pids, &self.found.rings);
        let found = WantedInodes::new(more.holdings.iter().map(|holding| holding.inode));
        left.retain(|&inode| !found.contains(inode));
        self.found.append(more);
    }

    /// Reads the start times of processes that share a socket, unless they were requested anyway.
    fn read_starts(&mut self) {
        if self.walk.ask.start {
            return;
        }
        // Most sockets have one holder; only for those with several is more stored than a mark.
        let mut marks = self.walk.wanted.marks();
        let mut again = Vec::new();
        for holding in &self.found.holdings {
            if !self.walk.wanted.mark(&mut marks, holding.inode) {
                again.push(holding.inode);
            }
        }
        if again.is_empty() {
            return;
        }
        let again = WantedInodes::new(again);
        let mut first = HashMap::new();
        let mut shared = vec![None; self.found.holders.len()];
        for holding in self
            .found
            .holdings
            .iter()
            .filter(|holding| again.contains(holding.inode))
        {
            let other = *first.entry(holding.inode).or_insert(*holding);
            // One process may have several descriptors of the same socket.
            if other.holder != holding.holder {
                shared[other.holder as usize] = Some(other);
                shared[holding.holder as usize] = Some(*holding);
            }
        }
        let mut text = Vec::new();
        for holding in shared.into_iter().flatten() {
            let holder = &mut self.found.holders[holding.holder as usize];
            if holder.process.start_ticks.known().is_some() {
                continue;
            }
            self.walk.read_start(holder, &holding, &mut text);
        }
    }

    fn limits(&self) -> Vec<Limit> {
        let limit = self.found.failed.map(|error| Limit {
            what: "the owners of some sockets may be missing".to_owned(),
            why: format!("not every process could be read: {}", std::io::Error::from(error)),
            remedy: None,
        });
        let refused = self.refused_to_root.then(|| {
            let processes = if self.found.denied == 1 { "process" } else { "processes" };
            Limit {
                what: "some owners are missing".to_owned(),
                why: format!(
                    "{} {processes} may not be looked into: {}",
                    self.found.denied,
                    reason::refusal_to_root(self.walk.proc)
                ),
                remedy: None,
            }
        });
        let concealed = self.concealed.iter().map(|&(pid, how)| Limit {
            what: format!("process {pid} is hidden from the process list"),
            why: how.shown(pid),
            remedy: None,
        });
        limit.into_iter().chain(refused).chain(concealed).collect()
    }

    /// Passes all findings to the builder, each process once.
    fn hand_over(self, builder: &mut OwnersBuilder) {
        let mut known: HashMap<u32, u32> = HashMap::with_capacity(self.found.holders.len());
        let places: Vec<u32> = self
            .found
            .holders
            .into_iter()
            .map(|holder| {
                // A process may have been found several times, through the tables of its threads.
                *known
                    .entry(holder.process.pid)
                    .or_insert_with(|| builder.process(holder.process))
            })
            .collect();
        if self.sees_all {
            builder.found_by(FoundBy::Iterator);
            // What the source did not report was found by a walk.
            for holding in &self.found.holdings[self.told..] {
                builder.found_otherwise(holding.inode, FoundBy::Walk);
            }
        } else {
            builder.found_by(FoundBy::Walk);
        }
        for &inode in &self.by_second_source {
            builder.found_otherwise(inode, FoundBy::Iterator);
        }
        for &(pid, how) in &self.concealed {
            builder.concealed(pid, how);
        }
        builder.reserve(self.found.holdings.len());
        for holding in &self.found.holdings {
            builder.hold(holding.inode, places[holding.holder as usize]);
        }
    }
}

/// Calls the hook for `left`; `None` if there is no hook or it has no answer.
fn ask(hook: &mut Option<Hook<'_>>, left: &[u32]) -> Option<WantedInodes> {
    if left.is_empty() {
        return None;
    }
    hook.as_mut().and_then(|hook| hook(left)).map(WantedInodes::new)
}

/// Removes the inodes that the hook returns from `left`, and records `reason` for them.
fn note_named(left: &mut Vec<u32>, hook: &mut Option<Hook<'_>>, reason: NoOwner, builder: &mut OwnersBuilder) {
    if let Some(named) = ask(hook, left) {
        left.retain(|&inode| {
            if named.contains(inode) {
                builder.reason(inode, reason);
            }
            !named.contains(inode)
        });
    }
}

/// Removes the inodes that the hook does not return from `left`, and records `reason` for them.
fn note_others(left: &mut Vec<u32>, hook: &mut Option<Hook<'_>>, reason: NoOwner, builder: &mut OwnersBuilder) {
    if let Some(named) = ask(hook, left) {
        left.retain(|&inode| {
            if !named.contains(inode) {
                builder.reason(inode, reason);
            }
            named.contains(inode)
        });
    }
}
