//! Which processes hold which sockets, and why an owner is missing.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::{Component, Fact, NoOwner, Protocol, Socket, State, Why};

/// A process, identified by its id and start time together because ids are reused.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Process {
    /// The process id (Linux: thread group id) as seen from the reader's PID namespace.
    pub pid: u32,
    /// The start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_ticks: Fact<u64>,
    /// The kernel's short name (Linux `comm`, at most 15 bytes). Chosen by the process: escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub comm: Fact<Vec<u8>>,
    /// The program file.
    pub image: Fact<ImageName>,
    /// How the process was started.
    pub invocation: Fact<Invocation>,
    /// The systemd units and containers the process runs in, outermost first. Empty if there are none.
    pub components: Fact<Vec<Component>>,
}

/// How a process was started, which tells programs of the same interpreter apart. The process chooses it: escape before
/// printing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Invocation {
    /// The arguments, beginning with the name it was invoked by (`/proc/PID/cmdline`). The process may have overwritten
    /// them.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::texts"))]
    pub arguments: Vec<Vec<u8>>,
    /// What an interpreter or virtual machine was told to run: the path of a script, a module or a main class; `None`
    /// if there is no such thing. The system does not report it; code that knows interpreters fills it in.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::option_text"))]
    pub script: Option<Vec<u8>>,
}

impl Invocation {
    /// Returns the name the program was invoked by: the last component of the first argument, without the dash of a
    /// login shell and without what server processes append to it (`nginx: worker process`). `None` if there is none.
    pub fn called(&self) -> Option<&[u8]> {
        let first = self.arguments.first()?;
        let first = first.strip_prefix(b"-").unwrap_or(first);
        let name = match crate::text::is_windows_path(first) {
            true => first,
            false => first.split(|&byte| byte == b':' || byte == b' ').next()?,
        };
        let name = crate::text::file_name(name);
        (!name.is_empty()).then_some(name)
    }
}

impl Process {
    /// Returns the name shown beside the program's name to tell what the process does: the script's name, or else the
    /// name it was invoked by if that differs (`redis-server`, whose file is `redis-check-rdb`). `python3` adds nothing
    /// to `python3.11`, so it is `None` there.
    pub fn label(&self) -> Option<&[u8]> {
        let invocation = self.invocation.as_ref().known()?;
        if let Some(script) = &invocation.script {
            return script.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty());
        }
        let file = self.image.as_ref().known().map(ImageName::file_name)?;
        invocation.called().filter(|called| !file.starts_with(called))
    }

    /// Returns every name that people may know the process by: the path of its program, its short name, the name it was
    /// invoked by and its script.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let invocation = self.invocation.as_ref().known();
        [
            self.image.as_ref().known().map(|image| image.path.as_slice()),
            self.comm.as_ref().known().map(Vec::as_slice),
            invocation.and_then(Invocation::called),
            invocation.and_then(|invocation| invocation.script.as_deref()),
        ]
        .into_iter()
        .flatten()
    }
}

/// The program file of a process. Escape before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ImageName {
    /// The absolute path as the kernel reports it (`/proc/PID/exe`), without its ` (deleted)` mark. On Windows, only
    /// the file name if the path may not be read.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub path: Vec<u8>,
    /// Whether the file was removed or replaced (`st_nlink` is 0).
    pub deleted: bool,
}

impl ImageName {
    /// Returns the last component of the path, as shown in `[name]`.
    pub fn file_name(&self) -> &[u8] {
        crate::text::file_name(&self.path)
    }
}

/// The owner of one socket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Owner<'a> {
    /// The processes that hold the socket, the longest-running first; never empty.
    Held(OwnerList<'a>),
    /// No owner is known, for this reason.
    None(NoOwner),
}

/// How the holders of a socket were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FoundBy {
    /// The process id that the system keeps with the socket (Windows).
    Row,
    /// The kernel's iterator over all descriptors.
    Iterator,
    /// A walk through the descriptors of all processes.
    Walk,
    /// An event that reported the socket when it was created or used.
    Event,
}

impl FoundBy {
    /// Returns the name used in output: `row`, `iterator`, `walk` or `event`.
    pub const fn name(self) -> &'static str {
        match self {
            FoundBy::Row => "row",
            FoundBy::Iterator => "iterator",
            FoundBy::Walk => "walk",
            FoundBy::Event => "event",
        }
    }
}

/// The processes that hold one socket, in the order in which they started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnerList<'a> {
    owners: &'a Owners,
    /// The index of the first process.
    first: u32,
    /// The other processes: the rest of a run of `Owners::holders` with the same inode.
    others: &'a [(u32, u32)],
}

impl<'a> OwnerList<'a> {
    /// Returns the process that started first, which has presumably held the socket longest.
    pub fn first(&self) -> &'a Process {
        &self.owners.processes[self.first as usize]
    }

    /// Returns all processes, in the order in which they started.
    pub fn iter(&self) -> impl Iterator<Item = &'a Process> + use<'a> {
        let owners = self.owners;
        let others = self.others.iter().map(|&(_, process)| process);
        std::iter::once(self.first)
            .chain(others)
            .map(move |process| &owners.processes[process as usize])
    }
}

/// What the kernel created a socket for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KernelUser {
    /// The kernel subsystem: `VXLAN`, `WireGuard`, `NFS server`.
    pub part: std::borrow::Cow<'static, str>,
    /// The network interface that the socket serves; `None` if there is none. Users choose its name: escape before
    /// printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::option_text"))]
    pub interface: Option<Vec<u8>>,
}

impl KernelUser {
    /// Returns the subsystem and interface, escaped and ready to print: `VXLAN interface vx0`, `NFS server`.
    pub fn shown(&self) -> String {
        match &self.interface {
            Some(name) => format!("{} interface {}", self.part, crate::text::escape(name)),
            None => self.part.clone().into_owned(),
        }
    }
}

/// How a running process is hidden from the process list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Concealment {
    /// Something is mounted over its directory in the process list (Linux: `/proc/PID`).
    Mount,
    /// The process list omits it although the kernel knows its id.
    NotListed,
}

impl Concealment {
    /// Returns a description for process `pid`: `a mount covers /proc/42`.
    pub fn shown(self, pid: u32) -> String {
        match self {
            Concealment::Mount => format!("a mount covers /proc/{pid}"),
            Concealment::NotListed => format!("the process list leaves out process {pid}"),
        }
    }
}

/// Which process holds which socket: the result of one search through the processes.
#[derive(Clone, Debug, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "WrittenOwners", try_from = "WrittenOwners"))]
pub struct Owners {
    /// The processes, sorted by start time, then id.
    processes: Vec<Process>,
    /// Pairs of an inode and the index of a process, sorted and without duplicates.
    holders: Vec<(u32, u32)>,
    /// Finds an inode in `holders`.
    index: Index,
    /// Whether every requested socket that has an inode has a holder.
    all_held: bool,
    /// Reasons for individual sockets without an owner, by inode.
    reasons: BTreeMap<u32, NoOwner>,
    /// The reason for every other socket that has an inode but no holder.
    otherwise: Option<NoOwner>,
    /// How the holders were found, except those in `found_otherwise`.
    found_by: Option<FoundBy>,
    /// How the holders of individual sockets were found, by inode.
    found_otherwise: BTreeMap<u32, FoundBy>,
    /// What the kernel created its own sockets for, by inode.
    kernel_users: BTreeMap<u32, KernelUser>,
    /// The holders that are hidden from the process list, by process id.
    concealed: BTreeMap<u32, Concealment>,
}

/// The serialized form of [`Owners`], without the index. Its contents are not trusted when it is read.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct WrittenOwners {
    processes: Vec<Process>,
    /// Pairs of an inode and an index into `processes`.
    holders: Vec<(u32, u32)>,
    all_held: bool,
    reasons: BTreeMap<u32, NoOwner>,
    otherwise: Option<NoOwner>,
    found_by: Option<FoundBy>,
    found_otherwise: BTreeMap<u32, FoundBy>,
    kernel_users: BTreeMap<u32, KernelUser>,
    concealed: BTreeMap<u32, Concealment>,
}

#[cfg(feature = "serde")]
impl From<Owners> for WrittenOwners {
    fn from(owners: Owners) -> Self {
        WrittenOwners {
            processes: owners.processes,
            holders: owners.holders,
            all_held: owners.all_held,
            reasons: owners.reasons,
            otherwise: owners.otherwise,
            found_by: owners.found_by,
            found_otherwise: owners.found_otherwise,
            kernel_users: owners.kernel_users,
            concealed: owners.concealed,
        }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<WrittenOwners> for Owners {
    type Error = &'static str;

    fn try_from(written: WrittenOwners) -> Result<Self, Self::Error> {
        let known = |&(_, process): &(u32, u32)| (process as usize) < written.processes.len();
        if !written.holders.iter().all(known) {
            return Err("a socket is held by a process that is not in the list of processes");
        }
        let builder = OwnersBuilder {
            processes: written.processes,
            holders: written.holders,
            reasons: written.reasons,
            all_held: written.all_held,
            found_by: written.found_by,
            found_otherwise: written.found_otherwise,
            kernel_users: written.kernel_users,
            concealed: written.concealed,
        };
        let mut owners = builder.finish(NoOwner::NoProcessList);
        owners.otherwise = written.otherwise;
        Ok(owners)
    }
}

impl Owners {
    /// Returns the owner of `socket`, or the reason why it is unknown.
    pub fn of(&self, socket: &Socket) -> Owner<'_> {
        let Some(inode) = socket.holder_key() else {
            return Owner::None(without_holder(socket));
        };
        if let Some((first, others)) = self.holders_of(inode) {
            return Owner::Held(OwnerList {
                owners: self,
                first,
                others,
            });
        }
        let reason = self
            .reasons
            .get(&inode.get())
            .copied()
            .or(self.otherwise)
            .unwrap_or(NoOwner::NoProcessList);
        Owner::None(match reason {
            NoOwner::NotPermitted { .. } => NoOwner::NotPermitted {
                user: socket.user().known(),
            },
            other => other,
        })
    }

    /// Returns how the holders of `socket` were found; [`Why::NotApplicable`] if it has no known holder.
    pub fn found_by(&self, socket: &Socket) -> Fact<FoundBy> {
        match (self.of(socket), socket.holder_key()) {
            (Owner::Held(_), Some(inode)) => {
                let how = self.found_otherwise.get(&inode.get()).copied().or(self.found_by);
                Fact::from_option(how, Why::NotKept)
            }
            _ => Fact::Unknown(Why::NotApplicable),
        }
    }

    /// Returns what the kernel created `socket` for; `None` if it is not one of the kernel's or its purpose is unknown.
    pub fn kernel_user(&self, socket: &Socket) -> Option<&KernelUser> {
        self.kernel_users.get(&socket.holder_key()?.get())
    }

    /// Returns how the holder `pid` is hidden from the process list; `None` if it is listed as it should be.
    pub fn concealment(&self, pid: u32) -> Option<Concealment> {
        self.concealed.get(&pid).copied()
    }

    /// Whether every socket that has an inode has a holder, so that individual sockets need no lookup.
    pub(crate) fn all_held(&self) -> bool {
        self.all_held
    }

    /// Returns every process that holds at least one of the requested sockets, in the order in which they started.
    pub fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    /// Returns every process that holds at least one of the requested sockets, in the order in which they started.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Returns the first holder of `inode` and the others.
    fn holders_of(&self, inode: NonZeroU32) -> Option<(u32, &[(u32, u32)])> {
        let inode = inode.get();
        let start = match self.index.look_up(inode) {
            LookUp::One(process) => return Some((process, &[])),
            LookUp::Several(place) => place,
            LookUp::None => return None,
            LookUp::Search => self.holders.partition_point(|&(held, _)| held < inode),
        };
        let length = self.holders[start..]
            .iter()
            .take_while(|&&(held, _)| held == inode)
            .count();
        let (&(_, first), others) = self.holders[start..start + length].split_first()?;
        Some((first, others))
    }
}

/// An index that finds the holders of an inode. The kernel assigns inodes in sequence, so those of a listing are mostly
/// close together and can be looked up directly; a binary search for each of a million rows costs more than everything
/// else in a listing.
#[derive(Clone, Debug, Default, PartialEq)]
struct Index {
    /// The inode of `direct[0]`.
    first: u32,
    /// Indexed by the distance from `first`: 0 for an inode without a holder; one more than the process index for an
    /// inode with a single holder; [`SEVERAL`] combined with the position in the holders otherwise. Empty if the inodes
    /// are too far apart.
    direct: Vec<u32>,
}

/// Marks an inode with several holders. There are fewer than 2^31 entries: Linux has at most 2^22 processes and 2^31
/// files.
const SEVERAL: u32 = 1 << 31;

enum LookUp {
    None,
    One(u32),
    Several(usize),
    Search,
}

impl Index {
    /// The inodes may span at most `SPREAD` numbers per holder plus `SLACK` to be looked up directly.
    const SPREAD: usize = 4;
    const SLACK: usize = 16 * 1024;

    /// Builds the index; `holders` must be sorted by inode.
    fn new(holders: &[(u32, u32)]) -> Self {
        let (Some(&(first, _)), Some(&(last, _))) = (holders.first(), holders.last()) else {
            return Index::default();
        };
        let span = (last - first) as usize + 1;
        if span > holders.len().saturating_mul(Self::SPREAD).saturating_add(Self::SLACK) {
            return Index::default();
        }
        let mut direct = vec![0; span];
        let mut place = 0;
        for run in holders.chunk_by(|a, b| a.0 == b.0) {
            let (inode, process) = run[0];
            direct[(inode - first) as usize] = if run.len() == 1 {
                process + 1
            } else {
                SEVERAL | place as u32
            };
            place += run.len();
        }
        Index { first, direct }
    }

    fn look_up(&self, inode: u32) -> LookUp {
        if self.direct.is_empty() {
            return LookUp::Search;
        }
        let distance = inode
            .checked_sub(self.first)
            .map_or(usize::MAX, |distance| distance as usize);
        match self.direct.get(distance).copied().unwrap_or(0) {
            0 => LookUp::None,
            several if several & SEVERAL != 0 => LookUp::Several((several & !SEVERAL) as usize),
            one => LookUp::One(one - 1),
        }
    }
}

/// Returns why a socket without a holder key has no owner. On Linux a socket without an inode has no descriptor
/// (`sock_i_ino` is 0 without a `struct socket`), and its state tells why. On Windows the same applies to a row that
/// names process 0, but there are no connections that are not yet accepted, and the kernel's own sockets belong to
/// process 4.
fn without_holder(socket: &Socket) -> NoOwner {
    match socket.state() {
        State::Established | State::CloseWait | State::Listening | State::Closed | State::Bound | State::SynSent
            if socket.row_process().is_some() =>
        {
            NoOwner::Unheld
        }
        State::TimeWait => NoOwner::TimeWait,
        State::SynReceived => NoOwner::Handshake,
        State::Established | State::CloseWait if matches!(socket.protocol(), Protocol::Tcp | Protocol::Mptcp) => {
            NoOwner::NotAccepted
        }
        State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => NoOwner::ClosedByProgram,
        _ => NoOwner::Kernel,
    }
}

/// Builds an [`Owners`] from findings in any order.
#[derive(Debug, Default)]
pub struct OwnersBuilder {
    processes: Vec<Process>,
    holders: Vec<(u32, u32)>,
    reasons: BTreeMap<u32, NoOwner>,
    all_held: bool,
    found_by: Option<FoundBy>,
    found_otherwise: BTreeMap<u32, FoundBy>,
    kernel_users: BTreeMap<u32, KernelUser>,
    concealed: BTreeMap<u32, Concealment>,
}

impl OwnersBuilder {
    /// Adds a process and the inodes of the sockets it holds. Repeated inodes count once.
    pub fn add(&mut self, process: Process, inodes: impl IntoIterator<Item = u32>) {
        let index = self.process(process);
        self.holders.extend(inodes.into_iter().map(|inode| (inode, index)));
    }

    /// Adds a process and returns the number that identifies it in [`OwnersBuilder::hold`].
    pub fn process(&mut self, process: Process) -> u32 {
        self.processes.push(process);
        self.processes.len() as u32 - 1
    }

    /// Reserves room for `more` further pairs of a socket and a holder.
    pub fn reserve(&mut self, more: usize) {
        self.holders.reserve(more);
    }

    /// Adds a process as a holder of a socket; `process` is a number returned by [`OwnersBuilder::process`]. Repeated
    /// pairs count once.
    pub fn hold(&mut self, inode: u32, process: u32) {
        self.holders.push((inode, process));
    }

    /// Sets how this search finds holders.
    pub fn found_by(&mut self, how: FoundBy) {
        self.found_by = Some(how);
    }

    /// Sets how the holders of one socket were found, if it differs from the rest.
    pub fn found_otherwise(&mut self, inode: u32, how: FoundBy) {
        self.found_otherwise.insert(inode, how);
    }

    /// Records that every requested socket that has an inode has a holder.
    pub fn all_held(&mut self) {
        self.all_held = true;
    }

    /// Records that one socket is the kernel's own, and what it was created for if that is known.
    pub fn made_by_kernel(&mut self, inode: u32, user: Option<KernelUser>) {
        self.reason(inode, NoOwner::Kernel);
        if let Some(user) = user {
            self.kernel_users.insert(inode, user);
        }
    }

    /// Records that a holder is hidden from the process list.
    pub fn concealed(&mut self, pid: u32, how: Concealment) {
        self.concealed.insert(pid, how);
    }

    /// Records why one socket has no owner.
    pub fn reason(&mut self, inode: u32, reason: NoOwner) {
        self.reasons.insert(inode, reason);
    }

    /// Sorts everything and builds the [`Owners`]. `otherwise` is the reason for sockets that have an inode but neither
    /// a holder nor a reason of their own.
    pub fn finish(self, otherwise: NoOwner) -> Owners {
        let OwnersBuilder {
            processes,
            mut holders,
            reasons,
            all_held,
            found_by,
            found_otherwise,
            kernel_users,
            concealed,
        } = self;
        let mut order: Vec<u32> = (0..processes.len() as u32).collect();
        // An unknown start time sorts last, so that the process does not appear as the longest holder.
        order.sort_by_key(|&i| {
            let process = &processes[i as usize];
            (process.start_ticks.known().unwrap_or(u64::MAX), process.pid)
        });
        let mut place = vec![0u32; processes.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old as usize] = new as u32;
        }
        for holder in &mut holders {
            holder.1 = place[holder.1 as usize];
        }
        holders.sort_unstable();
        holders.dedup();
        let mut slots: Vec<Option<Process>> = processes.into_iter().map(Some).collect();
        let processes = order.iter().filter_map(|&old| slots[old as usize].take()).collect();
        Owners {
            processes,
            index: Index::new(&holders),
            holders,
            all_held,
            reasons,
            otherwise: Some(otherwise),
            found_by,
            found_otherwise,
            kernel_users,
            concealed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, SocketFacts};
    use proptest::prelude::*;

    fn process(pid: u32, start: u64) -> Process {
        Process {
            pid,
            start_ticks: Fact::Known(start),
            comm: Fact::Unknown(Why::NotAsked),
            image: Fact::Unknown(Why::NotAsked),
            invocation: Fact::Unknown(Why::NotAsked),
            components: Fact::Unknown(Why::NotAsked),
        }
    }

    fn socket(inode: u32) -> Socket {
        Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state: State::Listening,
            local: [127, 0, 0, 1].into(),
            local_port: 80,
            foreign: [0, 0, 0, 0].into(),
            foreign_port: 0,
            interface: 0,
            inode,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    fn held_by(owners: &Owners, inode: u32) -> Vec<u32> {
        match owners.of(&socket(inode)) {
            Owner::Held(holders) => holders.iter().map(|process| process.pid).collect(),
            Owner::None(_) => Vec::new(),
        }
    }

    #[test]
    fn owners_of_shared_socket_are_sorted_by_start_time() {
        let mut builder = OwnersBuilder::default();
        builder.add(process(7, 900), [5, 5, 6]);
        builder.add(process(9000, 100), [5]);
        builder.add(
            Process {
                start_ticks: Fact::Unknown(Why::Gone),
                ..process(1, 0)
            },
            [5],
        );
        let owners = builder.finish(NoOwner::Unheld);
        assert_eq!(held_by(&owners, 5), [9000, 7, 1]);
        assert_eq!(held_by(&owners, 6), [7]);
        assert_eq!(owners.of(&socket(4)), Owner::None(NoOwner::Unheld));
        assert_eq!(owners.of(&socket(7)), Owner::None(NoOwner::Unheld));
    }

    proptest! {
        /// Whether the inodes are close together or far apart, each finds its own holders only.
        #[test]
        fn inodes_near_or_far_apart_find_only_their_own_holders(
            base in 1u32..,
            steps in prop::collection::vec((prop_oneof![Just(0u32), 1u32..3, 0u32..200_000_000], 1u32..5), 1..60),
        ) {
            let mut expected: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            let mut inode = base;
            for (step, pid) in steps {
                inode = inode.saturating_add(step);
                let pids = expected.entry(inode).or_default();
                if !pids.contains(&pid) {
                    pids.push(pid);
                }
            }
            let mut builder = OwnersBuilder::default();
            for pid in 1..5 {
                let held = expected.iter().filter(|(_, pids)| pids.contains(&pid)).map(|(&inode, _)| inode);
                builder.add(process(pid, pid.into()), held.collect::<Vec<_>>());
            }
            let owners = builder.finish(NoOwner::Unheld);
            for (&inode, pids) in &expected {
                let mut pids = pids.clone();
                pids.sort_unstable();
                prop_assert_eq!(held_by(&owners, inode), pids);
                for near in [inode.wrapping_sub(1), inode.wrapping_add(1)] {
                    if near != 0 && !expected.contains_key(&near) {
                        prop_assert!(held_by(&owners, near).is_empty());
                    }
                }
            }
        }
    }
}
