//! The small programs by which sock_diag chooses sockets in the kernel: `INET_DIAG_REQ_BYTECODE` of
//! `include/uapi/linux/inet_diag.h`.
//!
//! A program is a row of operations of four bytes, `code`, `yes`, `no` (16 bits). Each is a jump forward, by `yes` bytes where it
//! holds and by `no` bytes where it does not. To arrive just behind the last operation is to take the socket; to arrive four
//! bytes farther is to pass it over. The kernel takes a program only if `yes` leads from each operation to the one after it, and
//! `no` to one of these, to the end or to four bytes behind it (`inet_diag_bc_audit`).

use netstat_model::Ports;

/// Goes on by `no` always.
const JMP: u8 = 1;
/// Local port at least, at most, and equal to the `no` of the operation that follows; that one is a value, not a jump.
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const S_EQ: u8 = 11;
/// The same of the foreign port.
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const D_EQ: u8 = 12;

/// The size of an operation, and of one with its value.
const OP: usize = 4;
const COMPARISON: usize = 2 * OP;

/// With more ranges than this the kernel would spend more time on a socket than telling of it takes.
const MOST_RANGES: usize = 64;

/// The program that takes the sockets with one of `ports` on either side. `None` where all are to be told: without ports, or
/// with too many ranges of them.
pub(super) fn for_ports(ports: &Ports) -> Option<Vec<u8>> {
    let ranges = ports.ranges();
    if ranges.is_empty() || ranges.len() > MOST_RANGES {
        return None;
    }
    let mut terms = Vec::with_capacity(2 * ranges.len());
    for (at_least, at_most, equal) in [(S_GE, S_LE, S_EQ), (D_GE, D_LE, D_EQ)] {
        terms.extend(ranges.iter().map(|range| match (*range.start(), *range.end()) {
            (only, last) if only == last => vec![(equal, only)],
            (first, u16::MAX) => vec![(at_least, first)],
            (first, last) => vec![(at_least, first), (at_most, last)],
        }));
    }
    Some(any_of(&terms))
}

/// The program that takes what meets all comparisons of at least one term.
fn any_of(terms: &[Vec<(u8, u16)>]) -> Vec<u8> {
    // A term that holds jumps to the end; the last one stands there already.
    let size = |term: &Vec<(u8, u16)>| term.len() * COMPARISON + OP;
    let end = terms.iter().map(size).sum::<usize>() - OP;
    let mut program = Vec::with_capacity(end);
    for (at, term) in terms.iter().enumerate() {
        let is_last = at + 1 == terms.len();
        // The end of the last term's jump, were it there, is where a socket is passed over.
        let next = program.len() + size(term);
        for (code, port) in term {
            let no = next - program.len();
            operation(&mut program, *code, COMPARISON, no);
            operation(&mut program, 0, 0, usize::from(*port));
        }
        if !is_last {
            let no = end - program.len();
            operation(&mut program, JMP, OP, no);
        }
    }
    program
}

/// Appends a `struct inet_diag_bc_op`. At most `2 * MOST_RANGES` terms of 20 bytes keep every jump within 16 bits.
fn operation(program: &mut Vec<u8>, code: u8, yes: usize, no: usize) {
    program.extend([code, yes as u8]);
    program.extend((no as u16).to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn op(program: &[u8], at: usize) -> (u8, usize, u16) {
        let no = u16::from_ne_bytes([program[at + 2], program[at + 3]]);
        (program[at], usize::from(program[at + 1]), no)
    }

    /// Whether the kernel would take a socket with these ports, by the rules at the top of this file.
    fn run(program: &[u8], local: u16, foreign: u16) -> bool {
        let mut at = 0;
        while at < program.len() {
            let (code, yes, no) = op(program, at);
            let value = || op(program, at + OP).2;
            let holds = match code {
                JMP => false,
                S_GE => local >= value(),
                S_LE => local <= value(),
                S_EQ => local == value(),
                D_GE => foreign >= value(),
                D_LE => foreign <= value(),
                D_EQ => foreign == value(),
                other => panic!("operation {other}"),
            };
            at += if holds { yes } else { usize::from(no) };
        }
        assert!(at == program.len() || at == program.len() + OP, "{at} in {program:?}");
        at == program.len()
    }

    /// What the kernel checks before it takes a program.
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
            let least = if code == JMP { OP } else { COMPARISON };
            let no = usize::from(no);
            assert!(yes >= least && no >= least && yes % 4 == 0 && no % 4 == 0);
            assert!(starts.contains(&(at + no)), "{no} at {at} in {program:?}");
        }
    }

    #[test]
    fn one_port_is_two_comparisons() {
        let program = for_ports(&"443".parse().unwrap()).unwrap();
        let mut expected = Vec::new();
        for (code, yes, no) in [(S_EQ, 8, 12), (0, 0, 443), (JMP, 4, 12), (D_EQ, 8, 12), (0, 0, 443)] {
            operation(&mut expected, code, yes, no);
        }
        assert_eq!(program, expected);
    }

    #[test]
    fn nothing_to_choose_is_no_program() {
        assert_eq!(for_ports(&Ports::default()), None);
        let odd = |count: u16| (1..=count).map(|n| (2 * n).to_string()).collect::<Vec<_>>().join(",");
        assert!(for_ports(&odd(64).parse().unwrap()).is_some());
        assert_eq!(for_ports(&odd(65).parse().unwrap()), None);
    }

    fn ports() -> impl Strategy<Value = Ports> {
        let port = || prop_oneof![1..60u16, 65_500..=u16::MAX, 1..=u16::MAX];
        proptest::collection::vec((port(), port()), 1..=MOST_RANGES).prop_map(|ranges| {
            let words: Vec<String> = ranges
                .iter()
                .map(|(a, b)| {
                    if a % 3 == 0 {
                        a.to_string()
                    } else {
                        format!("{}-{}", a.min(b), a.max(b))
                    }
                })
                .collect();
            words.join(",").parse().unwrap()
        })
    }

    proptest! {
        #[test]
        fn takes_what_the_ports_take(
            ports in ports(),
            sockets in proptest::collection::vec((any::<u16>(), any::<u16>()), 50),
        ) {
            let program = for_ports(&ports).unwrap();
            audit(&program);
            let edges = ports.ranges().iter().flat_map(|range| [*range.start(), *range.end()]);
            let near = edges.flat_map(|port| [port.saturating_sub(1), port, port.saturating_add(1)]);
            let near = near.flat_map(|port| [(port, 0), (0, port)]);
            for (local, foreign) in sockets.iter().copied().chain(near).chain([(0, 0)]) {
                let wanted = ports.contains(local) || ports.contains(foreign);
                prop_assert_eq!(run(&program, local, foreign), wanted, "{} of {}:{}", ports, local, foreign);
            }
        }
    }
}
