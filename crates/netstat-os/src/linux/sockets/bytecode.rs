//! Builds the filter programs with which sock_diag selects sockets in the kernel: `INET_DIAG_REQ_BYTECODE` in
//! `include/uapi/linux/inet_diag.h`.
//!
//! A program is a sequence of operations of four bytes: `code`, `yes`, `no` (16 bits). Each is a forward jump: by `yes`
//! bytes if its condition holds, and by `no` bytes if it does not. A jump to the end of the program selects the socket;
//! a jump four bytes beyond the end rejects it. The kernel accepts a program only if `yes` leads from each operation to
//! the next one, and `no` to one of these, to the end or four bytes beyond it (`inet_diag_bc_audit`).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use netstat_model::{Network, Ports, Side, Sides};

use crate::SocketAsk;
use crate::linux::netlink::attributes::{AF_INET, AF_INET6};

/// Always jumps by `no`.
const JMP: u8 = 1;

/// The operations for one side: port at least, port at most, and port equal to the `no` field of the following
/// operation, which is a value and not a jump; and address matches the `struct inet_diag_hostcond` that follows.
#[derive(Clone, Copy)]
struct End {
    at_least: u8,
    at_most: u8,
    equal: u8,
    host: u8,
}

const LOCAL: End = End {
    at_least: 2,
    at_most: 3,
    equal: 11,
    host: 7,
};
const FOREIGN: End = End {
    at_least: 4,
    at_most: 5,
    equal: 12,
    host: 8,
};

/// The size of an operation in bytes, and that of one with its value.
const OP: usize = 4;
const COMPARISON: usize = 2 * OP;
/// The size of `struct inet_diag_hostcond` without the address.
const HOST: usize = 8;

/// The maximum number of alternatives. With more, evaluating the program would cost the kernel more per socket than
/// reporting it.
const MOST_TERMS: usize = 128;

/// An operation with its operand.
enum Operation {
    /// Compares a port.
    Port(u8, u16),
    /// Compares an address.
    Host(u8, Network),
}

/// A conjunction of operations.
type Term = Vec<Operation>;

/// Builds the program that selects the sockets whose ports and addresses match `ask`, as far as the kernel can tell; it
/// may select more. `None` if all are to be listed, because there is no condition on them or too many.
pub(super) fn for_ask(ask: &SocketAsk) -> Option<Vec<u8>> {
    let either = ports(&ask.ports, LOCAL).into_iter().chain(ports(&ask.ports, FOREIGN));
    let choices = [either.collect(), sides(&ask.local, LOCAL), sides(&ask.foreign, FOREIGN)];
    let asked = [ask.ports.is_empty(), ask.local.is_empty(), ask.foreign.is_empty()];
    let choices: Vec<Vec<Term>> = choices
        .into_iter()
        .zip(asked)
        // A term without operations matches everything.
        .filter(|(terms, nothing)| !nothing && terms.iter().all(|term| !term.is_empty()))
        .map(|(terms, _)| terms)
        .collect();
    let terms: usize = choices.iter().map(Vec::len).sum();
    // A choice without terms matches nothing (hosts without addresses), which cannot be expressed as a program.
    if choices.is_empty() || choices.iter().any(Vec::is_empty) || terms > MOST_TERMS {
        return None;
    }
    Some(all_of(&choices))
}

/// Returns a term for each range of ports.
fn ports(ports: &Ports, end: End) -> Vec<Term> {
    ports.ranges().iter().map(|range| port(range, end)).collect()
}

fn port(range: &RangeInclusive<u16>, end: End) -> Term {
    match (*range.start(), *range.end()) {
        (only, last) if only == last => vec![Operation::Port(end.equal, only)],
        (first, u16::MAX) => vec![Operation::Port(end.at_least, first)],
        (first, last) => vec![Operation::Port(end.at_least, first), Operation::Port(end.at_most, last)],
    }
}

/// Returns a term for each combination of address and port range that one side may have.
fn sides(sides: &Sides, end: End) -> Vec<Term> {
    sides.iter().flat_map(|side| terms(side, end)).collect()
}

fn terms(side: &Side, end: End) -> Vec<Term> {
    let hosts: Vec<Option<Network>> = match side.networks() {
        Some(networks) => networks.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let ranges: Vec<Option<&RangeInclusive<u16>>> = match side.ports().is_empty() {
        true => vec![None],
        false => side.ports().ranges().iter().map(Some).collect(),
    };
    let term = |host: Option<Network>, range: Option<&RangeInclusive<u16>>| {
        let mut term: Term = host
            .map(|network| Operation::Host(end.host, network))
            .into_iter()
            .collect();
        term.extend(range.into_iter().flat_map(|range| port(range, end)));
        term
    };
    hosts
        .into_iter()
        .flat_map(|host| ranges.iter().map(move |range| (host, *range)))
        .map(|(host, range)| term(host, range))
        .collect()
}

impl Operation {
    fn size(&self) -> usize {
        match self {
            Operation::Port(..) => COMPARISON,
            Operation::Host(_, network) => OP + HOST + if network.address().is_ipv4() { 4 } else { 16 },
        }
    }

    /// Appends the operation; if it does not hold, the kernel continues after `no` bytes.
    fn push(&self, program: &mut Vec<u8>, no: usize) {
        match self {
            Operation::Port(code, port) => {
                jump(program, *code, COMPARISON, no);
                jump(program, 0, 0, usize::from(*port));
            }
            Operation::Host(code, network) => {
                jump(program, *code, self.size(), no);
                let family = if network.address().is_ipv4() { AF_INET } else { AF_INET6 };
                // struct inet_diag_hostcond: family, prefix_len, padding, port (-1 is any), address.
                program.extend([family, network.length(), 0, 0]);
                program.extend((-1i32).to_ne_bytes());
                match network.address() {
                    IpAddr::V4(address) => program.extend(address.octets()),
                    IpAddr::V6(address) => program.extend(address.octets()),
                }
            }
        }
    }
}

/// Builds the program that selects a socket if, for each of `choices`, all operations of at least one term hold.
fn all_of(choices: &[Vec<Term>]) -> Vec<u8> {
    let operations = |term: &Term| term.iter().map(Operation::size).sum::<usize>();
    // Each term except the last one of a choice is followed by a jump to the end of the choice.
    let size = |terms: &Vec<Term>| terms.iter().map(|term| operations(term) + OP).sum::<usize>() - OP;
    let whole: usize = choices.iter().map(size).sum();
    let mut program = Vec::with_capacity(whole);
    for terms in choices {
        let end = program.len() + size(terms);
        for (at, term) in terms.iter().enumerate() {
            let is_last = at + 1 == terms.len();
            // If the last term does not hold, the socket is rejected: four bytes beyond the end of the program.
            let next = if is_last {
                whole + OP
            } else {
                program.len() + operations(term) + OP
            };
            for operation in term {
                let no = next - program.len();
                operation.push(&mut program, no);
            }
            if !is_last {
                let no = end - program.len();
                jump(&mut program, JMP, OP, no);
            }
        }
    }
    program
}

/// Appends a `struct inet_diag_bc_op`. As there are at most [`MOST_TERMS`] terms of 48 bytes, every jump fits in 16
/// bits.
fn jump(program: &mut Vec<u8>, code: u8, yes: usize, no: usize) {
    program.extend([code, yes as u8]);
    program.extend((no as u16).to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Family, Protocol, Socket, SocketFacts, State};
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn op(program: &[u8], at: usize) -> (u8, usize, u16) {
        let no = u16::from_ne_bytes([program[at + 2], program[at + 3]]);
        (program[at], usize::from(program[at + 1]), no)
    }

    /// Whether `address` matches the `struct inet_diag_hostcond` at the start of `condition`, in the way the kernel
    /// compares (inet_diag_bc_run).
    fn host_holds(condition: &[u8], address: IpAddr) -> bool {
        assert_eq!(condition[4..8], [0xff; 4]);
        let bits = usize::from(condition[1]);
        let starts = |address: &[u8]| {
            let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
            (0..bits).all(|at| bit(address, at) == bit(&condition[8..], at))
        };
        match (condition[0], address) {
            (AF_INET, IpAddr::V4(address)) => starts(&address.octets()),
            (AF_INET6, IpAddr::V6(address)) => starts(&address.octets()),
            (AF_INET, IpAddr::V6(address)) => address.to_ipv4_mapped().is_some_and(|v4| starts(&v4.octets())),
            (AF_INET6, IpAddr::V4(_)) => false,
            other => panic!("{other:?}"),
        }
    }

    /// Whether the kernel would select a socket, according to the rules at the top of this file.
    fn run(program: &[u8], socket: &Socket) -> bool {
        let (local, foreign) = (socket.local(), socket.foreign());
        let mut at = 0;
        while at < program.len() {
            let (code, yes, no) = op(program, at);
            let value = || op(program, at + OP).2;
            let holds = match code {
                JMP => false,
                2 => local.port >= value(),
                3 => local.port <= value(),
                11 => local.port == value(),
                4 => foreign.port >= value(),
                5 => foreign.port <= value(),
                12 => foreign.port == value(),
                7 => host_holds(&program[at + OP..], local.address),
                8 => host_holds(&program[at + OP..], foreign.address),
                other => panic!("operation {other}"),
            };
            at += if holds { yes } else { usize::from(no) };
        }
        assert!(at == program.len() || at == program.len() + OP, "{at} in {program:?}");
        at == program.len()
    }

    /// The checks that the kernel makes before it accepts a program.
    fn audit(program: &[u8]) {
        let mut starts = vec![];
        let mut at = 0;
        while at < program.len() {
            starts.push(at);
            at += op(program, at).1;
        }
        assert_eq!(at, program.len());
        starts.extend([at, at + OP]);
        for &at in &starts[..starts.len() - 2] {
            let (code, yes, no) = op(program, at);
            let least = match code {
                JMP => OP,
                7 | 8 => OP + HOST + if program[at + OP] == AF_INET { 4 } else { 16 },
                _ => COMPARISON,
            };
            let no = usize::from(no);
            assert!(yes >= least && no >= least && yes % 4 == 0 && no % 4 == 0);
            assert!(starts.contains(&(at + no)), "{no} at {at} in {program:?}");
        }
    }

    fn with_ports(ports: &str) -> SocketAsk {
        SocketAsk {
            ports: ports.parse().unwrap(),
            ..SocketAsk::default()
        }
    }

    fn socket(local: (IpAddr, u16), foreign: (IpAddr, u16)) -> Socket {
        Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: if local.0.is_ipv4() { Family::V4 } else { Family::V6 },
            state: State::Established,
            local: local.0,
            local_port: local.1,
            foreign: foreign.0,
            foreign_port: foreign.1,
            interface: 0,
            inode: 0,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    #[test]
    fn program_for_one_port_has_two_comparisons() {
        let program = for_ask(&with_ports("443")).unwrap();
        let mut expected = Vec::new();
        for (code, yes, no) in [(11, 8, 12), (0, 0, 443), (JMP, 4, 12), (12, 8, 12), (0, 0, 443)] {
            jump(&mut expected, code, yes, no);
        }
        assert_eq!(program, expected);
    }

    #[test]
    fn program_for_address_and_port_compares_both() {
        let ask = SocketAsk {
            foreign: "10.1.2.3/8:22".parse().unwrap(),
            ..SocketAsk::default()
        };
        let mut expected = Vec::new();
        jump(&mut expected, 8, 16, 28);
        expected.extend([AF_INET, 8, 0, 0, 0xff, 0xff, 0xff, 0xff, 10, 0, 0, 0]);
        jump(&mut expected, 12, 8, 12);
        jump(&mut expected, 0, 0, 22);
        assert_eq!(for_ask(&ask), Some(expected));
    }

    #[test]
    fn program_without_choice_or_too_long_is_none() {
        assert_eq!(for_ask(&SocketAsk::default()), None);
        let odd = |count: u16| (1..=count).map(|n| (2 * n).to_string()).collect::<Vec<_>>().join(",");
        assert!(for_ask(&with_ports(&odd(64))).is_some());
        assert_eq!(for_ask(&with_ports(&odd(65))), None);
        // A host whose addresses are unknown matches nothing, which cannot be expressed as a program.
        let ask = SocketAsk {
            local: "www.example.org".parse().unwrap(),
            ..with_ports("80")
        };
        assert_eq!(for_ask(&ask), None);
    }

    fn ports() -> impl Strategy<Value = String> {
        let port = || prop_oneof![1..60u16, 65_500..=u16::MAX, 1..=u16::MAX];
        proptest::collection::vec((port(), port()), 1..=30).prop_map(|ranges| {
            let word = |(a, b): &(u16, u16)| match a % 3 {
                0 => a.to_string(),
                _ => format!("{}-{}", a.min(b), a.max(b)),
            };
            ranges.iter().map(word).collect::<Vec<_>>().join(",")
        })
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        // Few addresses, so that they collide.
        let v4 = prop_oneof![Just(0x0a00_0001u32), Just(0x0a01_0001), Just(0xc000_0201), any::<u32>()];
        let v6 = prop_oneof![
            Just(1u128),
            Just(0x2001_0db8 << 96 | 1),
            Just(0x2001_0db8 << 96 | 1 << 64),
            any::<u128>()
        ];
        prop_oneof![
            v4.clone().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            v4.prop_map(|bits| Ipv4Addr::from_bits(bits).to_ipv6_mapped().into()),
            v6.prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        ]
    }

    fn side() -> impl Strategy<Value = String> {
        let network = || {
            (address(), 0..=128u8).prop_map(|(address, length)| match address.to_canonical() {
                IpAddr::V4(address) => format!("{address}/{}", length % 33),
                IpAddr::V6(address) => format!("[{address}/{length}]"),
            })
        };
        let port = prop_oneof![(1..50u16).prop_map(|port| port.to_string()), Just("20-40".to_owned())];
        prop_oneof![
            network(),
            port.clone().prop_map(|port| format!(":{port}")),
            (network(), port).prop_map(|(network, port)| format!("{network}:{port}")),
        ]
        .prop_map(|word| match word.contains("]:") {
            // Without a port, an IPv6 network is written without brackets.
            false => word.replace(['[', ']'], ""),
            true => word,
        })
    }

    fn some_sides() -> impl Strategy<Value = Sides> {
        proptest::collection::vec(side(), 0..6).prop_map(|words| match words.is_empty() {
            true => Sides::default(),
            false => words.join(",").parse().unwrap(),
        })
    }

    proptest! {
        #[test]
        fn program_accepts_what_ports_accept(
            list in ports(),
            sockets in proptest::collection::vec((any::<u16>(), any::<u16>()), 50),
        ) {
            let ask = with_ports(&list);
            let program = for_ask(&ask).unwrap();
            audit(&program);
            let edges = ask.ports.ranges().iter().flat_map(|range| [*range.start(), *range.end()]);
            let near = edges.flat_map(|port| [port.saturating_sub(1), port, port.saturating_add(1)]);
            let near = near.flat_map(|port| [(port, 0), (0, port)]);
            let nowhere = IpAddr::from([0, 0, 0, 0]);
            for (local, foreign) in sockets.iter().copied().chain(near).chain([(0, 0)]) {
                let wanted = ask.ports.contains(local) || ask.ports.contains(foreign);
                let socket = socket((nowhere, local), (nowhere, foreign));
                prop_assert_eq!(run(&program, &socket), wanted, "{} of {}:{}", ask.ports, local, foreign);
            }
        }

        /// A program never rejects a wanted socket, and selects others only if an IPv4-mapped address meets an IPv6
        /// network.
        #[test]
        fn program_accepts_what_sides_accept(
            local in some_sides(),
            foreign in some_sides(),
            port in prop_oneof![Just(String::new()), Just("22,30-35".to_owned())],
            ends in proptest::collection::vec((address(), 0..50u16), 2..20),
        ) {
            let ask = SocketAsk {
                local,
                foreign,
                ports: if port.is_empty() { Ports::default() } else { port.parse().unwrap() },
                ..SocketAsk::default()
            };
            let Some(program) = for_ask(&ask) else {
                prop_assert!(ask.local.is_empty() && ask.foreign.is_empty() && ask.ports.is_empty());
                return Ok(());
            };
            audit(&program);
            for pair in ends.windows(2) {
                let [local, foreign] = [pair[0], pair[1]];
                let foreign = if foreign.0.is_ipv4() == local.0.is_ipv4() { foreign } else { local };
                let socket = socket(local, foreign);
                let wanted = ask.ports.matches(&socket)
                    && ask.local.matches(&socket.local())
                    && ask.foreign.matches(&socket.foreign());
                let mapped = [local.0, foreign.0].iter().any(|address| address.to_canonical() != *address);
                let taken = run(&program, &socket);
                prop_assert!(taken == wanted || (taken && mapped), "{socket:?} {} {}", ask.local, ask.foreign);
            }
        }
    }
}
