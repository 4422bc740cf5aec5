//! A connection that has been, or still is: one row of the record.

use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::{Direction, Endpoint, EventOrigin, Fact, Family, Protocol, ShortName, State};
use netstat_model::{Holders, Subject};

/// Milliseconds since 1970-01-01 in UTC: how the record keeps moments.
pub type Millis = i64;

/// A program as the record knows it. Names come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Its number in this record.
    pub id: i64,
    /// The path of the program file; `None` when the process had ended before it could be read.
    pub path: Option<Vec<u8>>,
    /// The kernel's short name.
    pub name: Vec<u8>,
}

impl Program {
    /// The file name, or the kernel's short name where the file is not known.
    pub fn shown(&self) -> &[u8] {
        match &self.path {
            Some(path) => path.rsplit(|&byte| byte == b'/').next().unwrap_or(path),
            None => &self.name,
        }
    }
}

/// The process behind a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number in this record.
    pub id: i64,
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot; `None`: not known.
    pub start_ticks: Option<u64>,
    /// Its program.
    pub program: Arc<Program>,
    /// The systemd unit it ran in.
    pub unit: Option<Arc<[u8]>>,
    /// The container it ran in: `docker 0123456789ab`.
    pub container: Option<Arc<[u8]>>,
    /// The name of that container, as its manager had it.
    pub container_name: Option<Arc<[u8]>>,
    /// A hash of its command line, the same for the same arguments.
    pub command: Option<u64>,
    /// The path of the script that its program, an interpreter, runs.
    pub script: Option<Arc<[u8]>>,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Its number in this record: later ones are greater.
    pub id: i64,
    /// When it was first seen.
    pub first: Millis,
    /// When it was last seen, or closed.
    pub last: Millis,
    /// Whether it was seen to end.
    pub closed: bool,
    /// Whether its beginning was seen; else it is older than `first`.
    pub begun: bool,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Address family.
    pub family: Family,
    /// The local side.
    pub local: (IpAddr, u16),
    /// The foreign side; unspecified address and port 0 for a listener.
    pub foreign: (IpAddr, u16),
    /// Who began.
    pub direction: Direction,
    /// The last state before the end, or so far.
    pub state: State,
    /// How its end, or its last news, was learned.
    pub origin: EventOrigin,
    /// The process, where one is known.
    pub process: Option<Arc<Process>>,
    /// User id.
    pub user: Fact<u32>,
    /// Number of the network namespace's inode.
    pub namespace: Fact<u32>,
    /// Payload bytes sent.
    pub sent: Fact<u64>,
    /// Payload bytes received.
    pub received: Fact<u64>,
    /// Segments sent again.
    pub retransmits: Fact<u32>,
    /// Smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
    /// The name that a program of this computer asked for before it connected, by the DNS answers that were seen. A hint and no proof:
    /// whoever can send packets can forge an answer.
    pub asked_name: Option<Arc<[u8]>>,
    /// The host and boot it belongs to.
    pub boot: Arc<Boot>,
}

/// One start of one computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Its number in this record.
    pub id: i64,
    /// The computer's name. Escape before printing.
    pub host: Vec<u8>,
    /// The kernel's id of this boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
}

impl Flow {
    /// Whether its bytes are those up to [`Flow::last`]. Those of a UDP socket are read when it is closed or gets another peer; before,
    /// they are a lower bound.
    pub fn bytes_are_final(&self) -> bool {
        self.closed || self.protocol == Protocol::Tcp
    }

    /// How long it lasted, or has lasted so far, in milliseconds; at least this, where the beginning was not seen.
    pub fn duration(&self) -> u64 {
        u64::try_from(self.last - self.first).unwrap_or(0)
    }
}

fn endpoint((address, port): (IpAddr, u16)) -> Endpoint {
    Endpoint {
        address,
        port,
        scope: 0,
    }
}

impl Subject for Flow {
    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn state(&self) -> State {
        self.state
    }

    fn local(&self) -> Endpoint {
        endpoint(self.local)
    }

    fn foreign(&self) -> Endpoint {
        endpoint(self.foreign)
    }

    fn user(&self) -> Option<u32> {
        self.user.known()
    }
}

impl Holders for Flow {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        self.process.as_ref().is_some_and(|process| wanted(process.pid))
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let program = &process.program;
            wanted(program.path.as_deref().unwrap_or(&program.name)) || process.script.as_deref().is_some_and(wanted)
        })
    }

    fn any_unit(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| {
            let id = |container: &[u8]| container.splitn(2, |&byte| byte == b' ').nth(1).is_some_and(wanted);
            process.unit.as_deref().is_some_and(wanted)
                || process
                    .container
                    .as_deref()
                    .is_some_and(|name| wanted(name) || id(name))
        })
    }
}

/// What is kept of one process when it is first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NewProcess {
    /// The path of the program file.
    pub path: Option<Vec<u8>>,
    /// The kernel's short name.
    pub name: Vec<u8>,
    /// The systemd unit.
    pub unit: Option<Vec<u8>>,
    /// The container.
    pub container: Option<Vec<u8>>,
    /// The name of that container.
    pub container_name: Option<Vec<u8>>,
    /// A hash of the command line.
    pub command: Option<u64>,
    /// The path of the script that an interpreter runs.
    pub script: Option<Vec<u8>>,
}

/// The bytes of a short name.
pub(crate) fn short_name(name: &ShortName) -> Vec<u8> {
    name.as_bytes().to_vec()
}

/// A hash of the arguments of a command line that stays the same in every version of this program: FNV-1a, 64 bits. It tells
/// whether two are the same; it hides nothing.
pub fn command_hash<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for word in words {
        for &byte in word.iter().chain(&[0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_command_line_is_fixed() {
        let hash = |words: &[&str]| command_hash(words.iter().map(|word| word.as_bytes()));
        // FNV-1a of "a\0", worked out by its definition.
        let mut by_hand = 0xcbf2_9ce4_8422_2325u64;
        for byte in [b'a', 0] {
            by_hand ^= u64::from(byte);
            by_hand = by_hand.wrapping_mul(1_099_511_628_211);
        }
        assert_eq!(hash(&["a"]), by_hand);
        assert_ne!(hash(&["a", "b"]), hash(&["ab"]));
        assert_ne!(hash(&["a", ""]), hash(&["a"]));
    }
}
