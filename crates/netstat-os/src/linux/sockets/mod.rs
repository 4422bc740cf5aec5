//! Sockets through sock_diag, or `/proc/net` where netlink is refused.

mod bytecode;
mod diag;
pub mod proc_net;

use std::collections::HashSet;
use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;

use netstat_model::{Family, Limit, Protocol, Socket, State};

use crate::{SocketAsk, SocketList};
use diag::{Diag, Dump, Question, Table};

/// Up to so many connections are asked for one by one: some 5 µs each, less than a walk through a large table.
const FEW: usize = 5_000;

/// How often an interrupted dump is repeated before what was read is taken.
const ATTEMPTS: usize = 3;

/// A set of the kernel's state numbers, as sock_diag's state mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StateSet(u32);

impl StateSet {
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

/// The kernel's number of a state: `include/net/tcp_states.h`.
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

/// The state with the kernel's number `number`; `None` for one this program does not know.
fn state(protocol: Protocol, number: u8) -> Option<State> {
    Some(match number {
        1 => State::Established,
        2 => State::SynSent,
        3 | 12 => State::SynReceived,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        // A closed TCP socket stands in no table but that of the bound ports (inet_diag's TCP_BOUND_INACTIVE walk).
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
    diag: Option<Diag>,
    proc: PathBuf,
}

impl SocketReader {
    /// A reader that falls back to the tables below `proc` (usually `/proc`).
    pub fn new(proc: impl Into<PathBuf>) -> Self {
        SocketReader {
            diag: None,
            proc: proc.into(),
        }
    }

    /// Reads every socket that `ask` names into `list`, which is emptied first; in no order.
    pub fn read(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        list.clear();
        if ask.tcp4 || ask.tcp6 {
            self.read_tcp(ask, list);
        }
        for (wanted, table, family) in [(ask.udp4, Table::Udp4, Family::V4), (ask.udp6, Table::Udp6, Family::V6)] {
            if wanted {
                self.read_udp(ask, table, family, list);
            }
        }
    }

    /// Which of `sockets` still exist, in their order; `None` when it cannot be told.
    ///
    /// Connections are asked for one by one as long as there are few; of the rest the tables that they stand in are read.
    pub fn still_there(&mut self, sockets: &[&Socket]) -> Option<Vec<bool>> {
        let connections = sockets.iter().filter(|socket| is_connection(socket)).count();
        let one_by_one = connections <= FEW;
        let mut ask = SocketAsk::default();
        for socket in sockets.iter().filter(|socket| !(one_by_one && is_connection(socket))) {
            match (socket.protocol(), socket.family()) {
                (Protocol::Tcp, _) => (ask.tcp4, ask.tcp6) = (true, true),
                (Protocol::Udp, Family::V4) => ask.udp4 = true,
                (Protocol::Udp, Family::V6) => ask.udp6 = true,
                _ => {}
            }
        }
        ask.tcp_states = match one_by_one {
            true => vec![State::Listening, State::Bound],
            false => State::ALL.to_vec(),
        };
        let mut list = SocketList::default();
        if ask.tcp4 || ask.udp4 || ask.udp6 {
            self.read(&ask, &mut list);
        }
        if list.failed {
            return None;
        }
        let listed: HashSet<NonZeroU32> = list.sockets.iter().filter_map(Socket::inode).collect();
        let mut answer = Vec::with_capacity(sockets.len());
        for socket in sockets {
            answer.push(if one_by_one && is_connection(socket) {
                self.diag.as_mut()?.exists(socket).ok()?
            } else {
                socket.inode().is_some_and(|inode| listed.contains(&inode))
            });
        }
        Some(answer)
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
            if ask.tcp_states.contains(&State::Bound) && !kernel_lists_bound() {
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
                why: format!("netlink refused: {refusal}; /proc/net does not list them"),
                remedy: None,
            });
        }
    }

    fn read_udp(&mut self, ask: &SocketAsk, table: Table, family: Family, list: &mut SocketList) {
        let every = StateSet(u32::MAX);
        if let Err(refusal) = self.dump(table, every, ask, list) {
            let name = if family == Family::V4 { "udp" } else { "udp6" };
            self.read_table(name, Protocol::Udp, family, ask, &refusal, list);
        }
    }

    /// One dump through netlink, with the ports chosen by the kernel where it can.
    fn dump(&mut self, table: Table, states: StateSet, ask: &SocketAsk, list: &mut SocketList) -> io::Result<()> {
        let program = bytecode::for_ports(&ask.ports);
        self.dump_chosen(table, states, program.as_deref(), ask, list)
    }

    /// The dump of what `program` takes, without it where the kernel does not understand it (Linux before 4.16).
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
            extra: !ask.extra.is_empty(),
        };
        match self.dump_whole(&question, ask, list) {
            Err(error) if program.is_some() && error.raw_os_error() == Some(libc::EINVAL) => {
                let everything = Question {
                    program: None,
                    ..question
                };
                self.dump_whole(&everything, ask, list)
            }
            outcome => outcome,
        }
    }

    /// A dump, repeated when interrupted. What the kernel told but `ask` does not want is left out. After an error, `list` holds
    /// what it held before.
    fn dump_whole(&mut self, question: &Question<'_>, ask: &SocketAsk, list: &mut SocketList) -> io::Result<()> {
        let before = list.sockets.len();
        for _ in 0..ATTEMPTS {
            list.sockets.truncate(before);
            let diag = match &mut self.diag {
                Some(diag) => diag,
                none => none.insert(Diag::open()?),
            };
            let (wanted, sockets) = (chooser(ask), &mut list.sockets);
            let outcome = diag.dump(question, &mut |socket| {
                if wanted(&socket) {
                    sockets.push(socket);
                }
            });
            match outcome {
                Ok(Dump::Complete) => return Ok(()),
                Ok(Dump::Interrupted) => {}
                Err(error) => {
                    // An answer cut short leaves rest in the queue: start afresh next time.
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

    /// The text table `name`; says in `list` when it cannot be read either. True if it was read.
    fn read_table(
        &self,
        name: &str,
        protocol: Protocol,
        family: Family,
        ask: &SocketAsk,
        refusal: &io::Error,
        list: &mut SocketList,
    ) -> bool {
        // `/proc/net` is the network of the process's first thread; a thread may stand in another.
        let path = self.proc.join("thread-self/net").join(name);
        let what = |list: &str| format!("{} sockets over {} {list}", protocol.name(), family.name());
        let table = match std::fs::read(&path) {
            Ok(table) => table,
            // A kernel without IPv6 has neither the file nor such sockets.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_net() && family == Family::V6 => {
                return true;
            }
            Err(error) => {
                list.failed = true;
                list.limits.push(Limit {
                    what: what("are missing"),
                    why: format!("netlink: {refusal}; {}: {error}", path.display()),
                    remedy: None,
                });
                return false;
            }
        };
        let (wanted, sockets) = (chooser(ask), &mut list.sockets);
        let outcome = proc_net::parse(&table, protocol, family, !ask.extra.is_empty(), &mut |socket| {
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
        if !list.fell_back {
            list.limits.push(Limit {
                what: "scope ids, DSCP and the limits of accept queues are missing".into(),
                why: format!("netlink refused: {refusal}; /proc/net does not tell them"),
                remedy: None,
            });
        }
        list.fell_back = true;
        true
    }

    fn has_net(&self) -> bool {
        self.proc.join("thread-self/net").is_dir()
    }
}

/// Whether the kernel can look up this very socket by its addresses.
fn is_connection(socket: &Socket) -> bool {
    socket.protocol() == Protocol::Tcp && !matches!(socket.state(), State::Listening | State::Bound)
}

/// Whether `ask` wants a socket of a table that it asks for. Made once a table: it is asked for each socket.
fn chooser(ask: &SocketAsk) -> impl Fn(&Socket) -> bool + '_ {
    let states = ask.tcp_states.iter().fold(0u16, |set, &state| set | 1 << state as u8);
    let every_port = ask.ports.is_empty();
    move |socket| {
        let state = socket.protocol() == Protocol::Udp || states >> socket.state() as u8 & 1 == 1;
        state && (every_port || ask.ports.matches(socket))
    }
}

/// Whether the kernel dumps ports that are only bound: Linux 6.8 and newer (`TCP_BOUND_INACTIVE`).
fn kernel_lists_bound() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_bytes();
    let mut parts = release.split(|byte| !byte.is_ascii_digit()).map(|digits| {
        digits.iter().try_fold(0u32, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
        })
    });
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= (6, 8),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::Ports;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    /// A listener, the two ends of a connection to it, and further sockets beside them.
    fn sockets(address: &str) -> (TcpListener, [TcpStream; 2], Vec<TcpListener>) {
        let listener = TcpListener::bind(address).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let others = (0..8).map(|_| TcpListener::bind(address).unwrap()).collect();
        (listener, [near, far], others)
    }

    /// All that the kernel tells, before anything is left out here.
    fn told(table: Table, states: StateSet, ports: &str) -> Vec<Socket> {
        let program = bytecode::for_ports(&ports.parse().unwrap()).unwrap();
        let question = Question {
            table,
            states,
            program: Some(&program),
            extra: false,
        };
        let mut told = Vec::new();
        let end = Diag::open().unwrap().dump(&question, &mut |socket| told.push(socket));
        end.unwrap();
        told
    }

    #[test]
    fn the_kernel_tells_the_chosen_sockets_only() {
        for (address, own, other) in [
            ("127.0.0.1:0", Table::Tcp4, Table::Tcp6),
            ("[::1]:0", Table::Tcp6, Table::Tcp4),
        ] {
            let Ok(_) = TcpListener::bind(address) else {
                eprintln!("skipped for {address}: no such address here");
                continue;
            };
            let (listener, [near, _far], _others) = sockets(address);
            let server = listener.local_addr().unwrap().port();
            let client = near.local_addr().unwrap().port();
            let every = StateSet::of(State::ALL);
            let has = |found: &[Socket], port: u16, state: State, connected: bool| {
                let is = |socket: &&Socket| {
                    socket.local().port == port && socket.state() == state && socket.is_connected() == connected
                };
                found.iter().filter(is).count()
            };
            for table in [Table::Tcp, own] {
                let range = format!("{server}-{server},{}-65535", u16::MAX);
                for ports in [server.to_string(), range, format!("1,{server}")] {
                    let found = told(table, every, &ports);
                    assert_eq!(has(&found, server, State::Listening, false), 1, "{ports} {found:?}");
                    assert_eq!(has(&found, server, State::Established, true), 1, "{ports} {found:?}");
                    assert_eq!(has(&found, client, State::Established, true), 1, "{ports} {found:?}");
                    let ports: Ports = ports.parse().unwrap();
                    assert!(found.iter().all(|socket| ports.matches(socket)), "{found:?}");
                }
                let found = told(table, StateSet::of([State::Listening]), &server.to_string());
                assert_eq!(has(&found, server, State::Listening, false), found.len(), "{found:?}");
            }
            // The same port may be taken by others there, but not by these.
            let elsewhere = told(other, every, &server.to_string());
            assert!(elsewhere.iter().all(|socket| socket.family() != family_of(address)));
        }
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        let found = told(Table::Udp4, StateSet(u32::MAX), &port.to_string());
        assert!(
            !found.is_empty() && found.iter().all(|socket| socket.local().port == port),
            "{found:?}"
        );
    }

    fn family_of(address: &str) -> Family {
        if address.starts_with('[') {
            Family::V6
        } else {
            Family::V4
        }
    }

    /// A kernel that does not know an operation says EINVAL, as this one says to an operation that no kernel knows.
    #[test]
    fn a_program_that_the_kernel_refuses_is_done_without() {
        let (listener, [near, _far], _others) = sockets("127.0.0.1:0");
        let ask = SocketAsk {
            tcp4: true,
            tcp_states: vec![State::Listening, State::Established],
            ports: listener.local_addr().unwrap().port().to_string().parse().unwrap(),
            ..SocketAsk::default()
        };
        let unknown = [250, 8, 12, 0, 0, 0, 0, 0];
        let states = StateSet::of(ask.tcp_states.iter().copied());
        let mut reader = SocketReader::new("/nonexistent");
        let mut list = SocketList::default();
        let question = Question {
            table: Table::Tcp4,
            states,
            program: Some(&unknown),
            extra: false,
        };
        let refusal = reader.dump_whole(&question, &ask, &mut list).unwrap_err();
        assert_eq!(refusal.raw_os_error(), Some(libc::EINVAL));
        reader
            .dump_chosen(Table::Tcp4, states, Some(&unknown), &ask, &mut list)
            .unwrap();
        let mut expected = SocketList::default();
        reader.read(&ask, &mut expected);
        assert!(!expected.fell_back && !expected.failed, "{expected:?}");
        let key = |list: &SocketList| {
            let mut cookies: Vec<_> = list.sockets.iter().map(Socket::cookie).collect();
            cookies.sort_unstable();
            cookies
        };
        let client = near.local_addr().unwrap().port();
        assert!(expected.sockets.iter().any(|socket| socket.local().port == client));
        assert_eq!(key(&list), key(&expected));
    }
}
