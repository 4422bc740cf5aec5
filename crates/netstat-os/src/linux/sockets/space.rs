//! Reads the sockets of one network namespace, that of the calling thread.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use netstat_model::{Extras, Family, Limit, Protocol, Sides, Socket, State, Subject, Transfer, text::plain_error};

use super::inet::{Question, Table};
use super::proc_net::{self, BadLine};
use super::{StateSet, bytecode, inet, packet, unix};
use crate::linux::netlink::{Connection, Dump};
use crate::system::MOVING;
use crate::{Refused, SocketAsk, SocketList};

/// The maximum number of connections that are looked up one by one, at about 5 µs each. This takes less time than
/// dumping a large table.
const FEW: usize = 5_000;

/// How many times an interrupted dump is attempted before its result is used.
const ATTEMPTS: usize = 3;

/// Receives each socket of a table.
pub(super) type Found<'a> = &'a mut dyn FnMut(Socket);
/// Parses a text table.
pub(super) type Parse<'a> = &'a mut dyn FnMut(&[u8], Found<'_>) -> Result<(), BadLine>;

/// Reads the tables of a namespace; keeps its netlink connection.
#[derive(Debug)]
pub(super) struct Space {
    diag: Option<Connection>,
    pub(super) proc: PathBuf,
}

impl Space {
    pub(super) fn new(proc: &Path) -> Self {
        Space {
            diag: None,
            proc: proc.to_owned(),
        }
    }

    /// Adds every socket that `ask` selects to `list`, in no particular order.
    pub(super) fn read(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        if ask.tcp4 || ask.tcp6 {
            self.read_tcp(ask, list);
        }
        for (wanted, table, name, family) in [
            (ask.udp4, Table::Udp4, "udp", Family::V4),
            (ask.udp6, Table::Udp6, "udp6", Family::V6),
        ] {
            if wanted && let Err(refusal) = self.dump(table, StateSet::ALL, ask, list) {
                self.read_table(name, Protocol::Udp, family, ask, &refusal, list);
            }
        }
        // None of these has ports.
        if ask.ports.is_empty() {
            for (wanted, table, name, ping, family) in [
                (ask.raw4, Table::Raw4, "raw", "icmp", Family::V4),
                (ask.raw6, Table::Raw6, "raw6", "icmp6", Family::V6),
            ] {
                if wanted {
                    self.read_raw(table, (name, ping), family, ask, list);
                }
            }
        }
        for (wanted, table) in [(ask.mptcp4, Table::Mptcp4), (ask.mptcp6, Table::Mptcp6)] {
            if wanted {
                self.read_mptcp(table, ask, list);
            }
        }
        if !ask.further.is_empty() {
            self.read_further(ask, list);
        }
        // None of these has addresses.
        if ask.ports.is_empty() && ask.local.is_empty() && ask.foreign.is_empty() {
            if ask.packet {
                self.read_packet(ask, list);
            }
            if ask.unix {
                self.read_unix(ask, list);
            }
        }
    }

    /// Passes every TCP socket that `ask` selects to `visit`. Returns `false` if the kernel did not list all of them in
    /// one dump; some may have been passed nevertheless.
    pub(super) fn each_tcp(&mut self, ask: &SocketAsk, visit: &mut dyn FnMut(Socket)) -> bool {
        // If the kernel cannot list bound ports, that must be reported.
        if !(ask.tcp4 && ask.tcp6) || ask.tcp_states.is_empty() || !lists_bound_ports() {
            return false;
        }
        let program = bytecode::for_ask(ask);
        let question = Question {
            table: Table::Tcp,
            states: StateSet::of(ask.tcp_states.iter().copied()),
            program: program.as_deref(),
            extras: ask.extra,
        };
        let wanted = chooser(ask);
        let Ok(diag) = self.connection() else { return false };
        let outcome = inet::dump(diag, &question, |socket| {
            if wanted(&socket) {
                visit(socket);
            }
        });
        if outcome.is_err() {
            // After an incomplete answer, the rest remains in the receive queue: use a new connection next time.
            self.diag = None;
        }
        matches!(outcome, Ok(Dump::Complete))
    }

    /// Adds the TCP and UDP sockets that `ask` selects to `list`, from the text tables only.
    pub(super) fn read_as_text(&self, ask: &SocketAsk, list: &mut SocketList) -> Result<(), Refused> {
        let refusal = io::Error::other("not asked for a second view");
        let (mut asked, mut read) = (false, false);
        for (wanted, name, protocol, family) in [
            (ask.tcp4, "tcp", Protocol::Tcp, Family::V4),
            (ask.tcp6, "tcp6", Protocol::Tcp, Family::V6),
            (ask.udp4, "udp", Protocol::Udp, Family::V4),
            (ask.udp6, "udp6", Protocol::Udp, Family::V6),
        ] {
            if wanted {
                asked = true;
                read |= self.text(name, ask, list, &refusal, &mut |text, found| {
                    proc_net::parse(text, protocol, family, ask.extra, found)
                });
            }
        }
        if read || !asked {
            return Ok(());
        }
        // Without IPv6, its tables do not exist, which is not an error.
        match list.limits.first() {
            Some(limit) => Err(Refused::failed(format!("{}: {}", limit.what, limit.why))),
            None => Ok(()),
        }
    }

    /// Returns which of `sockets` still exist, in the same order; `None` if that is unknown.
    ///
    /// Connections are looked up one by one if there are few of them; for the other sockets, the tables that contain
    /// them are read.
    pub(super) fn still_there(&mut self, sockets: &[&Socket]) -> Option<Vec<bool>> {
        let connections = sockets.iter().filter(|socket| is_connection(socket)).count();
        // A socket without a cookie comes from a text table, so sock_diag is not available.
        let one_by_one = connections <= FEW && sockets.iter().all(|socket| socket.cookie().is_some());
        let mut ask = SocketAsk::default();
        let mut tables = false;
        for socket in sockets.iter().filter(|socket| !(one_by_one && is_connection(socket))) {
            tables = true;
            match (socket.protocol(), socket.family()) {
                (Protocol::Tcp, _) => (ask.tcp4, ask.tcp6) = (true, true),
                (Protocol::Udp, Family::V6) => ask.udp6 = true,
                (Protocol::Udp, _) => ask.udp4 = true,
                (Protocol::Raw, Family::V6) => ask.raw6 = true,
                (Protocol::Raw, _) => ask.raw4 = true,
                (Protocol::Mptcp, _) => (ask.mptcp4, ask.mptcp6) = (true, true),
                (Protocol::Packet, _) => ask.packet = true,
                (Protocol::Unix, _) => ask.unix = true,
                (further, _) if ask.further.contains(&further) => {}
                (further, _) => ask.further.push(further),
            }
        }
        // For MPTCP, all states are requested.
        ask.tcp_states = match one_by_one && !ask.mptcp4 {
            true => vec![State::Listening, State::Bound],
            false => State::ALL.to_vec(),
        };
        let mut list = SocketList::default();
        if tables {
            self.read(&ask, &mut list);
        }
        if list.failed {
            return None;
        }
        let listed: HashSet<NonZeroU32> = list.sockets.iter().filter_map(Socket::inode).collect();
        let mut answer = Vec::with_capacity(sockets.len());
        for socket in sockets {
            answer.push(if one_by_one && is_connection(socket) {
                inet::exists(self.connection().ok()?, socket).ok()?
            } else {
                socket.inode().is_some_and(|inode| listed.contains(&inode))
            });
        }
        Some(answer)
    }

    /// Makes the kernel close exactly `socket`, which must have a cookie.
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub(super) fn destroy(&mut self, socket: &Socket) -> io::Result<()> {
        inet::destroy(self.connection()?, socket)
    }

    fn connection(&mut self) -> io::Result<&mut Connection> {
        Ok(match &mut self.diag {
            Some(diag) => diag,
            none => none.insert(Connection::sock_diag()?),
        })
    }

    /// Returns how many bytes the open TCP connections with these cookies have transferred so far, in no particular
    /// order. A connection that moves within the kernel's table in the meantime may be missing.
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub(super) fn progress(&mut self, cookies: &HashSet<u64>) -> io::Result<Vec<Transfer>> {
        let question = Question {
            table: Table::Tcp,
            states: StateSet::of(MOVING),
            program: None,
            extras: Extras::TCP,
        };
        let mut found = Vec::new();
        let outcome = inet::dump(self.connection()?, &question, |socket| {
            let asked = socket.cookie().is_some_and(|cookie| cookies.contains(&cookie.get()));
            if asked {
                found.extend(Transfer::of_socket(&socket));
            }
        });
        if outcome.is_err() {
            // After an incomplete answer, the rest remains in the receive queue: use a new connection next time.
            self.diag = None;
        }
        outcome.map(|_| found)
    }

    fn read_tcp(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        if ask.tcp_states.is_empty() {
            return;
        }
        let table = match (ask.tcp4, ask.tcp6) {
            (true, false) => Table::Tcp4,
            (false, true) => Table::Tcp6,
            _ => Table::Tcp,
        };
        let states = StateSet::of(ask.tcp_states.iter().copied());
        let Err(refusal) = self.dump(table, states, ask, list) else {
            if ask.tcp_states.contains(&State::Bound) && !lists_bound_ports() {
                list.limits.push(Limit {
                    what: "ports that are only bound are missing".into(),
                    why: "the running kernel is older than Linux 6.8".into(),
                    remedy: None,
                });
            }
            return;
        };
        let mut read = false;
        for (asked, name, family) in [(ask.tcp4, "tcp", Family::V4), (ask.tcp6, "tcp6", Family::V6)] {
            if asked {
                read |= self.read_table(name, Protocol::Tcp, family, ask, &refusal, list);
            }
        }
        if read && ask.tcp_states.contains(&State::Bound) {
            list.limits.push(Limit {
                what: "ports that are only bound are missing".into(),
                why: format!(
                    "netlink refused: {}; /proc/net does not list them",
                    plain_error(&refusal)
                ),
                remedy: None,
            });
        }
    }

    /// Reads raw sockets, and ping sockets, which only the text table `ping` contains.
    fn read_raw(
        &mut self,
        table: Table,
        (name, ping): (&str, &str),
        family: Family,
        ask: &SocketAsk,
        list: &mut SocketList,
    ) {
        if let Err(refusal) = self.dump(table, StateSet::ALL, ask, list) {
            let before = list.sockets.len();
            let read = self.text(name, ask, list, &refusal, &mut |text, found| {
                proc_net::parse(text, Protocol::Raw, family, ask.extra, found)
            });
            // Without any socket, nothing is missing.
            if read && list.sockets.len() > before {
                list.limits.push(Limit {
                    what: format!(
                        "interfaces and cookies of RAW sockets over {} are missing",
                        family.name()
                    ),
                    why: without_diag(&refusal, "raw_diag", name),
                    remedy: None,
                });
            }
        }
        let nothing = io::Error::other("netlink does not tell of sockets of ping");
        self.text(ping, ask, list, &nothing, &mut |text, found| {
            proc_net::parse_ping(text, family, ask.extra, found)
        });
    }

    fn read_mptcp(&mut self, table: Table, ask: &SocketAsk, list: &mut SocketList) {
        if ask.tcp_states.is_empty() {
            return;
        }
        let states = StateSet::of(ask.tcp_states.iter().copied());
        if let Err(refusal) = self.dump(table, states, ask, list) {
            // Reported once for both families, because the text is the same.
            let known = self.proc.join("sys/net/mptcp").is_dir();
            let limit = Limit {
                what: "MPTCP sockets are missing".into(),
                why: match (known, refusal.raw_os_error()) {
                    (false, _) => "the running kernel has no MPTCP".into(),
                    (true, Some(libc::ENOENT)) => "the running kernel has no mptcp_diag".into(),
                    _ => format!("netlink refused: {}", plain_error(&refusal)),
                },
                remedy: None,
            };
            list.failed |= known;
            if !list.limits.contains(&limit) {
                list.limits.push(limit);
            }
        }
    }

    fn read_packet(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        let dump = self.dump_whole(ask, list, &mut |diag, found| packet::dump(diag, ask.extra, found));
        let Err(refusal) = dump else { return };
        let read = self.text("packet", ask, list, &refusal, &mut |text, found| {
            packet::parse_table(text, ask.extra, found)
        });
        if read {
            list.limits.push(Limit {
                what: "queues and cookies of PACKET sockets are missing".into(),
                why: without_diag(&refusal, "packet_diag", "packet"),
                remedy: None,
            });
        }
    }

    fn read_unix(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        let before = list.sockets.len();
        let dump = self.dump_whole(ask, list, &mut |diag, found| unix::dump(diag, ask.extra, found));
        let Err(refusal) = dump else {
            unix::name_peers(&mut list.sockets[before..]);
            return;
        };
        let read = self.text("unix", ask, list, &refusal, &mut |text, found| {
            unix::parse_table(text, ask.extra, found)
        });
        if read {
            list.limits.push(Limit {
                what: "peers, queues, users and cookies of UNIX sockets are missing".into(),
                why: without_diag(&refusal, "unix_diag", "unix"),
                remedy: None,
            });
        }
    }

    /// Dumps a table through netlink; the kernel filters ports and addresses where it can.
    pub(super) fn dump(
        &mut self,
        table: Table,
        states: StateSet,
        ask: &SocketAsk,
        list: &mut SocketList,
    ) -> io::Result<()> {
        let program = bytecode::for_ask(ask);
        self.dump_chosen(table, states, program.as_deref(), ask, list)
    }

    /// Dumps what `program` selects, or everything if the kernel does not support the program (Linux before 4.16).
    fn dump_chosen(
        &mut self,
        table: Table,
        states: StateSet,
        program: Option<&[u8]>,
        ask: &SocketAsk,
        list: &mut SocketList,
    ) -> io::Result<()> {
        let question = Question {
            table,
            states,
            program,
            extras: ask.extra,
        };
        match self.dump_whole(ask, list, &mut |diag, found| inet::dump(diag, &question, found)) {
            Err(error) if program.is_some() && error.raw_os_error() == Some(libc::EINVAL) => {
                let everything = Question {
                    program: None,
                    ..question
                };
                self.dump_whole(ask, list, &mut |diag, found| inet::dump(diag, &everything, found))
            }
            outcome => outcome,
        }
    }

    /// Dumps a table, and repeats an interrupted dump. Sockets that the kernel lists but `ask` does not select are left
    /// out. After an error, the sockets in `list` are the same as before.
    pub(super) fn dump_whole(
        &mut self,
        ask: &SocketAsk,
        list: &mut SocketList,
        dump: &mut dyn FnMut(&mut Connection, Found<'_>) -> io::Result<Dump>,
    ) -> io::Result<()> {
        let before = list.sockets.len();
        for _ in 0..ATTEMPTS {
            list.sockets.truncate(before);
            let diag = self.connection()?;
            let (wanted, sockets) = (chooser(ask), &mut list.sockets);
            let outcome = dump(diag, &mut |socket| {
                if wanted(&socket) {
                    sockets.push(socket);
                }
            });
            match outcome {
                Ok(Dump::Complete) => return Ok(()),
                Ok(Dump::Interrupted) => {}
                Err(error) => {
                    // After an incomplete answer, the rest remains in the receive queue: use a new connection next
                    // time.
                    self.diag = None;
                    list.sockets.truncate(before);
                    return Err(error);
                }
            }
        }
        list.limits.push(Limit {
            what: "the list may miss or repeat sockets".into(),
            why: format!("the kernel's table changed during each of {ATTEMPTS} readings"),
            remedy: None,
        });
        Ok(())
    }

    /// Reads the text table `name` of TCP or UDP. Returns whether it was read.
    fn read_table(
        &self,
        name: &str,
        protocol: Protocol,
        family: Family,
        ask: &SocketAsk,
        refusal: &io::Error,
        list: &mut SocketList,
    ) -> bool {
        let read = self.text(name, ask, list, refusal, &mut |text, found| {
            proc_net::parse(text, protocol, family, ask.extra, found)
        });
        if read && !list.fell_back {
            list.limits.push(Limit {
                what: "scope ids, DSCP and the limits of accept queues are missing".into(),
                why: format!(
                    "netlink refused: {}; /proc/net does not tell them",
                    plain_error(&refusal)
                ),
                remedy: None,
            });
            list.fell_back = true;
        }
        read
    }

    /// Reads the text table `name`. If it cannot be read, adds a limit to `list`, which also mentions `refusal`, the
    /// error of the other source. Returns whether it was read.
    pub(super) fn text(
        &self,
        name: &str,
        ask: &SocketAsk,
        list: &mut SocketList,
        refusal: &io::Error,
        parse: Parse<'_>,
    ) -> bool {
        // `/proc/net` is the network namespace of the main thread of the process; this thread may be in another one.
        let path = self.proc.join("thread-self/net").join(name);
        let what = |missing: &str| format!("{} {missing}", words(name));
        let table = match std::fs::read(&path) {
            Ok(table) => table,
            // Without IPv6, packet sockets or AF_UNIX in the kernel, neither the file nor such sockets exist.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.has_net()
                    && (name.ends_with('6') || matches!(name, "packet" | "unix" | "icmp" | "udplite")) =>
            {
                return false;
            }
            Err(error) => {
                list.failed = true;
                list.limits.push(Limit {
                    what: what("are missing"),
                    why: format!(
                        "netlink: {refusal}; {}: {error}",
                        path.display(),
                        refusal = plain_error(&refusal),
                        error = plain_error(&error)
                    ),
                    remedy: None,
                });
                return false;
            }
        };
        let (wanted, sockets) = (chooser(ask), &mut list.sockets);
        let outcome = parse(&table, &mut |socket| {
            if wanted(&socket) {
                sockets.push(socket);
            }
        });
        if let Err(bad) = outcome {
            list.limits.push(Limit {
                what: what("are missing in part"),
                why: format!("{}: {bad}", path.display()),
                remedy: None,
            });
        }
        true
    }

    fn has_net(&self) -> bool {
        self.proc.join("thread-self/net").is_dir()
    }
}

/// Returns a description of what the text table `name` contains.
fn words(name: &str) -> &'static str {
    match name {
        "tcp" => "TCP sockets over IPv4",
        "tcp6" => "TCP sockets over IPv6",
        "udp" => "UDP sockets over IPv4",
        "udp6" => "UDP sockets over IPv6",
        "raw" => "RAW sockets over IPv4",
        "raw6" => "RAW sockets over IPv6",
        "icmp" => "sockets of ping over IPv4",
        "icmp6" => "sockets of ping over IPv6",
        "udplite" => "UDPLITE sockets over IPv4",
        "udplite6" => "UDPLITE sockets over IPv6",
        "packet" => "PACKET sockets",
        _ => "UNIX sockets",
    }
}

/// Returns why a text table is used instead of netlink.
fn without_diag(refusal: &io::Error, module: &str, table: &str) -> String {
    match refusal.raw_os_error() {
        Some(libc::ENOENT) => format!("the running kernel has no {module}; /proc/net/{table} does not tell them"),
        _ => format!(
            "netlink refused: {}; /proc/net/{table} does not tell them",
            plain_error(&refusal)
        ),
    }
}

/// Whether the kernel can look up exactly this socket by its addresses.
fn is_connection(socket: &Socket) -> bool {
    socket.protocol() == Protocol::Tcp && !matches!(socket.state(), State::Listening | State::Bound)
}

/// Returns whether `ask` selects a socket of a requested table. Created once per table, as it is called for each
/// socket.
fn chooser(ask: &SocketAsk) -> impl Fn(&Socket) -> bool + '_ {
    let states = ask.tcp_states.iter().fold(0u16, |set, &state| set | 1 << state as u8);
    let every_end = ask.ports.is_empty() && ask.local.is_empty() && ask.foreign.is_empty();
    move |socket| {
        let has_states = matches!(socket.protocol(), Protocol::Tcp | Protocol::Mptcp);
        let state = !has_states || states >> socket.state() as u8 & 1 == 1;
        state && (every_end || ends_wanted(ask, socket))
    }
}

fn ends_wanted(ask: &SocketAsk, socket: &Socket) -> bool {
    let side = |sides: &Sides, end| sides.is_empty() || (socket.protocol().is_ip() && sides.matches(&end));
    ask.ports.matches(socket)
        && side(&ask.local, Subject::local(socket))
        && side(&ask.foreign, Subject::foreign(socket))
}

/// Whether the kernel includes ports in dumps that are only bound: Linux 6.8 and later (`TCP_BOUND_INACTIVE`).
pub(in crate::linux) fn lists_bound_ports() -> bool {
    crate::linux::release().is_some_and(|release| release >= (6, 8))
}

#[cfg(test)]
mod tests;
