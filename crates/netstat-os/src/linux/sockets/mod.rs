//! Reads sockets through sock_diag or, if netlink is refused, from `/proc/net`; in the caller's network namespace or in
//! all of them.

mod bytecode;
mod extra;
mod further;
mod inet;
mod mptcp_info;
mod netlink;
pub mod packet;
pub mod proc_net;
mod space;
mod tcp_info;
pub mod unix;
mod vsock;
mod xdp;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use netstat_model::{Extras, Limit, Protocol, Socket, State, Transfer, text::plain_error};

use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::kept_namespaces::{self, Kepts};
use super::namespaces::{self, Found};
use super::netlink::Connection;
use crate::{NotDestroyed, Refused, SocketAsk, SocketList};
use space::Space;
pub(super) use space::lists_bound_ports;

/// A set of the kernel's state numbers, in the form of sock_diag's state mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StateSet(u32);

impl StateSet {
    /// All states, including unknown ones.
    const ALL: StateSet = StateSet(u32::MAX);

    fn of(states: impl IntoIterator<Item = State>) -> Self {
        let mut bits = 0;
        for state in states {
            bits |= 1 << number(state);
            if state == State::SynReceived {
                // The kernel keeps most half-open connections as TCP_NEW_SYN_RECV and reports them as TCP_SYN_RECV.
                bits |= 1 << 12;
            }
        }
        StateSet(bits)
    }

    fn bits(self) -> u32 {
        self.0
    }
}

/// Returns the kernel's number of a state: `include/net/tcp_states.h`.
fn number(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listening => 10,
        State::Closing => 11,
        State::Bound => 13,
    }
}

/// Returns the state with the kernel's number `number`; `None` for an unknown one.
fn state(protocol: Protocol, number: u8) -> Option<State> {
    Some(match number {
        1 => State::Established,
        2 => State::SynSent,
        3 | 12 => State::SynReceived,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        // A closed TCP socket is in no table except that of the bound ports (inet_diag's TCP_BOUND_INACTIVE pass).
        7 if protocol == Protocol::Tcp => State::Bound,
        7 => State::Closed,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listening,
        11 => State::Closing,
        13 => State::Bound,
        _ => return None,
    })
}

/// Reads the socket tables; keeps its netlink connection and buffers between reads.
#[derive(Debug)]
pub struct SocketReader {
    proc: PathBuf,
    own: Space,
    /// The namespaces of the last read, in the numbering of [`Socket::namespace`]; the first one is the caller's own.
    /// They are stored as paths and not as open files, which would keep a namespace alive.
    namespaces: Vec<Found>,
    /// The namespaces and sockets that processes keep alive outside of their own namespaces, and when these were
    /// searched for.
    kept: Option<(Instant, Kepts)>,
}

/// How long the result of a search through the descriptors of all processes is reused. It takes as long as a search for
/// owners.
const KEPT_FOR: Duration = Duration::from_secs(10);

impl SocketReader {
    /// Creates a reader that falls back to the tables below `proc` (usually `/proc`).
    pub fn new(proc: impl Into<PathBuf>) -> Self {
        let proc = proc.into();
        SocketReader {
            own: Space::new(&proc),
            proc,
            namespaces: Vec::new(),
            kept: None,
        }
    }

    /// Reads every socket that `ask` selects into `list`, which is cleared first, in no particular order.
    pub fn read(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        list.clear();
        self.namespaces.clear();
        self.own.read(ask, list);
        if ask.all_namespaces {
            self.read_others(ask, list);
        }
    }

    /// Passes every socket that `ask` selects to `visit`; TCP sockets, of which there may be very many, as soon as they
    /// are read. A socket may be passed twice if reading had to start over. `list` receives the rest of the answer.
    pub fn each(&mut self, ask: &SocketAsk, list: &mut SocketList, visit: &mut dyn FnMut(Socket)) {
        let mut rest = ask.clone();
        if !ask.all_namespaces && self.own.each_tcp(ask, visit) {
            (rest.tcp4, rest.tcp6) = (false, false);
        }
        self.read(&rest, list);
        list.sockets.drain(..).for_each(visit);
    }

    /// Reads the TCP and UDP sockets that `ask` selects from the text tables of the caller's own namespace into `list`,
    /// which is cleared first, even if netlink is available: a second view of the same sockets.
    ///
    /// The tables contain neither cookies nor ports that are only bound, and a table that changes in the meantime may
    /// lack or repeat rows.
    ///
    /// # Errors
    /// Returns an error if none of the tables can be read.
    pub fn read_as_text(&mut self, ask: &SocketAsk, list: &mut SocketList) -> Result<(), Refused> {
        list.clear();
        self.own.read_as_text(ask, list)
    }

    /// Returns how many bytes the open TCP connections with these cookies have transferred so far, in no particular
    /// order; see [`crate::System::progress`]. Other connections are not stored. Nothing is reported if netlink is
    /// refused, because the text tables have no such counters.
    pub fn progress(&mut self, cookies: &HashSet<u64>, all_namespaces: bool) -> Vec<Transfer> {
        let mut found = self.own.progress(cookies).unwrap_or_default();
        if all_namespaces && found.len() < cookies.len() {
            for place in self.find_namespaces().0.iter().skip(1) {
                let inside = namespaces::within(place, || Space::new(&self.proc).progress(cookies));
                // A namespace that may not be entered contributes nothing.
                found.extend(inside.and_then(|inside| inside).unwrap_or_default());
            }
        }
        found
    }

    /// Reads the sockets of all namespaces except the caller's own.
    fn read_others(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        let (found, limits) = self.find_namespaces();
        list.limits.extend(limits);
        self.namespaces = found;
        let mut closed = Vec::new();
        self.read_namespaces(1, ask, list, &mut closed);
        let before = self.namespaces.len();
        self.add_namespaces_of_sockets(list);
        self.read_namespaces(before, ask, list, &mut closed);
        if !closed.is_empty() {
            list.limits.push(not_entered(&closed));
        }
        list.namespaces
            .extend(self.namespaces.iter().map(|place| place.namespace.clone()));
    }

    /// Finds all namespaces that processes are in, that have a name, or that a process keeps alive through a
    /// descriptor, a thread or a mount.
    fn find_namespaces(&mut self) -> (Vec<Found>, Vec<Limit>) {
        let (mut found, limits) = namespaces::find(&self.proc);
        let fresh = self.kept.as_ref().is_some_and(|(then, _)| then.elapsed() < KEPT_FOR);
        if !fresh {
            self.kept = Some((Instant::now(), kept_namespaces::kept(&self.proc)));
        }
        let kept = self.kept.iter().flat_map(|(_, kept)| &kept.namespaces);
        for kept in kept {
            if found.iter().all(|known| known.namespace.inode != kept.inode) {
                found.push(Found::kept(&self.proc, kept));
            }
        }
        (found, limits)
    }

    /// Adds the namespaces that can be reached only through sockets, considering those sockets that have not been
    /// listed yet.
    fn add_namespaces_of_sockets(&mut self, list: &mut SocketList) {
        let Some((_, kept)) = &self.kept else { return };
        let inodes = list.sockets.iter().filter_map(|socket| socket.inode());
        let listed: HashSet<u32> = inodes.map(u32::from).collect();
        let known: BTreeSet<u64> = self.namespaces.iter().map(|place| place.namespace.inode).collect();
        let (found, left) = kept_namespaces::of_sockets(&self.proc, &kept.sockets, &listed, &known);
        if left > 0 {
            list.limits.push(Limit {
                what: "network namespaces that nothing but a socket keeps may be missing".into(),
                why: format!("{left} sockets were not asked which one they belong to, since there are very many"),
                remedy: None,
            });
        }
        self.namespaces
            .extend(found.iter().map(|kept| Found::kept(&self.proc, kept)));
    }

    /// Reads the sockets of the namespaces from index `first` on.
    fn read_namespaces(&self, first: usize, ask: &SocketAsk, list: &mut SocketList, closed: &mut Vec<String>) {
        for (index, place) in self.namespaces.iter().enumerate().skip(first) {
            // There are fewer than 2^32 of them: each has an inode, and the kernel's inode numbers here have 32 bits.
            let index = index as u32;
            let read = namespaces::within(place, || {
                let mut inside = SocketList::default();
                Space::new(&self.proc).read(ask, &mut inside);
                inside
            });
            match read {
                Ok(inside) => {
                    list.sockets
                        .extend(inside.sockets.into_iter().map(|socket| socket.in_namespace(index)));
                    list.limits.extend(inside.limits.into_iter().map(|limit| Limit {
                        what: format!("{} (network namespace {})", limit.what, shown(place)),
                        ..limit
                    }));
                    list.failed |= inside.failed;
                    list.fell_back |= inside.fell_back;
                }
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => closed.push(shown(place)),
                // It was removed in the meantime.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => list.limits.push(Limit {
                    what: format!("sockets of the network namespace {} are missing", shown(place)),
                    why: format!("it could not be entered: {}", plain_error(&error)),
                    remedy: None,
                }),
            }
        }
    }

    /// Returns which of `sockets`, all from the last read, still exist, in the same order; `None` if that is unknown.
    pub fn still_there(&mut self, sockets: &[&Socket]) -> Option<Vec<bool>> {
        if self.namespaces.is_empty() {
            return self.own.still_there(sockets);
        }
        let mut places: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (place, socket) in sockets.iter().enumerate() {
            places.entry(socket.namespace()).or_default().push(place);
        }
        let mut answer = vec![false; sockets.len()];
        for (namespace, asked) in places {
            let these: Vec<&Socket> = asked.iter().map(|&place| sockets[place]).collect();
            let there = self.in_namespace(namespace, |space| space.still_there(&these)).ok()??;
            for (place, there) in asked.into_iter().zip(there) {
                answer[place] = there;
            }
        }
        Some(answer)
    }

    /// Closes a connection on behalf of its program (`SOCK_DESTROY`): exactly `socket`, identified by its addresses and
    /// cookie, in its namespace of the last read. Its program gets the error `ECONNABORTED`; a reset is sent to the
    /// peer of a TCP connection.
    ///
    /// # Errors
    /// Returns the reason why it was not closed.
    pub fn destroy(&mut self, socket: &Socket) -> Result<(), NotDestroyed> {
        if socket.cookie().is_none() {
            return Err(NotDestroyed::NoCookie);
        }
        if !matches!(socket.protocol(), Protocol::Tcp | Protocol::Udp | Protocol::Raw) {
            return Err(NotDestroyed::Kind);
        }
        let outcome = self.in_namespace(socket.namespace(), |space| space.destroy(socket));
        outcome
            .and_then(|outcome| outcome)
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ENOENT | libc::ESTALE) => NotDestroyed::Gone,
                Some(libc::EPERM | libc::EACCES) => NotDestroyed::NotPermitted,
                Some(libc::EOPNOTSUPP) => NotDestroyed::NotSupported,
                _ => NotDestroyed::Failed(plain_error(&error)),
            })
    }

    /// Returns the name of the interface with this index in a namespace of the last read; `None` if there is none.
    pub fn interface_name(&mut self, namespace: u32, index: u32) -> Option<Vec<u8>> {
        let named = self.in_namespace(namespace, |_| {
            // The request works with any socket (netdevice(7)), and refers to the namespace in which it was created.
            let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
            index_to_name(socket, index)
        });
        Some(named.ok()?.ok()?.into_bytes())
    }

    /// Returns how many namespaces the last read covered.
    pub(super) fn namespace_count(&self) -> u32 {
        self.namespaces.len().max(1) as u32
    }

    /// Runs `act` in a namespace of the last read.
    pub(super) fn within<T: Send>(&mut self, namespace: u32, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.in_namespace(namespace, |_| act())
    }

    /// Runs `act` in a namespace of the last read, with its tables.
    fn in_namespace<T: Send>(&mut self, index: u32, act: impl FnOnce(&mut Space) -> T + Send) -> io::Result<T> {
        if index == 0 {
            return Ok(act(&mut self.own));
        }
        let place = self.namespaces.get(index as usize).ok_or(io::ErrorKind::NotFound)?;
        namespaces::within(place, || act(&mut Space::new(&self.proc)))
    }
}

/// Whether the kernel module that answers sock_diag requests about TCP or UDP is available. The request loads it, if
/// that is permitted and possible.
pub(super) fn has_diag(protocol: Protocol) -> bool {
    let question = inet::Question {
        table: match protocol {
            Protocol::Udp => inet::Table::Udp4,
            _ => inet::Table::Tcp4,
        },
        // An empty set of states, which selects no socket.
        states: StateSet(0),
        program: None,
        extras: Extras::NONE,
    };
    let answer = Connection::sock_diag().and_then(|mut diag| inet::dump(&mut diag, &question, |_| {}));
    // EPERM, with which a security policy refuses the request, says nothing about the module.
    !answer.is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT))
}

/// Decodes the payload of an answer about a socket of `protocol`. `None` for a type or state that is not shown.
///
/// # Errors
/// Returns an error if the answer is truncated or contains an invalid length.
pub fn parse_answer(answer: &[u8], protocol: Protocol, extras: Extras) -> io::Result<Option<Socket>> {
    match protocol {
        Protocol::Vsock => vsock::parse(answer, extras).map(Some),
        Protocol::Netlink => netlink::parse(answer, extras).map(Some),
        Protocol::Xdp => xdp::parse(answer, extras).map(Some),
        Protocol::Packet => packet::parse(answer, extras).map(Some),
        Protocol::Unix => unix::parse(answer, extras),
        _ => inet::parse(answer, protocol, extras),
    }
}

/// Creates the limit that says that these namespaces may not be entered.
fn not_entered(names: &[String]) -> Limit {
    /// The maximum number of namespaces that are named.
    const NAMED: usize = 5;
    let named = names[..names.len().min(NAMED)].join(", ");
    let more = match names.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!(" and {more} more"),
        _ => String::new(),
    };
    let (namespaces, they) = match names.len() {
        1 => ("namespace", "it"),
        _ => ("namespaces", "they"),
    };
    Limit {
        what: format!("sockets of the network {namespaces} {named}{more} are missing"),
        why: format!("{they} may not be entered without CAP_SYS_ADMIN"),
        remedy: (!rustix::process::geteuid().is_root()).then(|| namespaces::REMEDY.into()),
    }
}

/// Formats a namespace for a message to the user.
fn shown(place: &Found) -> String {
    netstat_model::text::escape(&place.namespace.shown()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_may_not_be_entered_are_named() {
        let names: Vec<String> = (1..=7).map(|number| format!("n{number}")).collect();
        for (count, what) in [
            (1, "sockets of the network namespace n1 are missing"),
            (2, "sockets of the network namespaces n1, n2 are missing"),
            (5, "sockets of the network namespaces n1, n2, n3, n4, n5 are missing"),
            (
                7,
                "sockets of the network namespaces n1, n2, n3, n4, n5 and 2 more are missing",
            ),
        ] {
            assert_eq!(not_entered(&names[..count]).what, what);
        }
    }
}
