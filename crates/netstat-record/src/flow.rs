//! A past or present connection: one row of the record.

use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::{Direction, Endpoint, EventOrigin, Fact, Family, Protocol, ShortName, State};
use netstat_model::{Holders, Subject};

/// Milliseconds since 1970-01-01 00:00 UTC, the record's format of times.
pub type Millis = i64;

/// A program in the record. Names come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// The id in this record.
    pub id: i64,
    /// The path of the program file; `None` if the process had ended before it could be read.
    pub path: Option<Vec<u8>>,
    /// The kernel's short name (`comm`).
    pub name: Vec<u8>,
}

impl Program {
    /// Returns the name to show: the file name, or the kernel's short name if the path is not known.
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
    /// The id in this record.
    pub id: i64,
    /// The process id.
    pub pid: u32,
    /// The start time in clock ticks since boot; `None` if not known.
    pub start_ticks: Option<u64>,
    /// The program it ran.
    pub program: Arc<Program>,
    /// The systemd unit it ran in; `None` if there was none.
    pub unit: Option<Arc<[u8]>>,
    /// The container it ran in, such as `docker 0123456789ab`; `None` if there was none.
    pub container: Option<Arc<[u8]>>,
    /// The name that the container's manager had for it; `None` if not known.
    pub container_name: Option<Arc<[u8]>>,
    /// A hash of the command line, which is the same for the same arguments; `None` if not known.
    pub command: Option<u64>,
    /// The path of the script that its program, an interpreter, ran; `None` if there was none.
    pub script: Option<Arc<[u8]>>,
}

/// A flow: one row of the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The id in this record, which grows from flow to flow.
    pub id: i64,
    /// When the flow was first seen.
    pub first: Millis,
    /// When the flow was last seen, or closed.
    pub last: Millis,
    /// Whether its end was observed.
    pub closed: bool,
    /// Whether its beginning was observed; otherwise the flow is older than `first`.
    pub begun: bool,
    /// The protocol.
    pub protocol: Protocol,
    /// The address family.
    pub family: Family,
    /// The local address and port.
    pub local: (IpAddr, u16),
    /// The foreign address and port; unspecified address and port 0 for a listener.
    pub foreign: (IpAddr, u16),
    /// The side that initiated the connection.
    pub direction: Direction,
    /// The last state before the end, or the last one known so far.
    pub state: State,
    /// How its end, or the last event so far, was observed.
    pub origin: EventOrigin,
    /// The process; `None` if not known.
    pub process: Option<Arc<Process>>,
    /// The user id.
    pub user: Fact<u32>,
    /// The inode of the network namespace.
    pub namespace: Fact<u32>,
    /// Payload bytes sent.
    pub sent: Fact<u64>,
    /// Payload bytes received.
    pub received: Fact<u64>,
    /// Segments retransmitted.
    pub retransmits: Fact<u32>,
    /// The smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
    /// The name that a program on this computer asked for before it connected, according to observed DNS answers;
    /// `None` if there was none. It is a hint and no proof: whoever can send packets can forge an answer.
    pub asked_name: Option<Arc<[u8]>>,
    /// The computer and the boot that the flow belongs to.
    pub boot: Arc<Boot>,
}

/// A boot of a computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The id in this record.
    pub id: i64,
    /// The name of the computer. Escape before printing.
    pub host: Vec<u8>,
    /// The kernel's id of this boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
}

impl Flow {
    /// Whether the byte counts are those up to [`Flow::last`]. Those of a UDP socket are read when it is closed or gets
    /// another peer; until then they are a lower bound.
    pub fn bytes_are_final(&self) -> bool {
        self.closed || self.protocol == Protocol::Tcp
    }

    /// Returns the duration so far in milliseconds; a lower bound if the beginning was not observed.
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

/// The facts about a process that are recorded when it is first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NewProcess {
    /// The path of the program file; `None` if not known.
    pub path: Option<Vec<u8>>,
    /// The kernel's short name (`comm`).
    pub name: Vec<u8>,
    /// The systemd unit; `None` if there is none.
    pub unit: Option<Vec<u8>>,
    /// The container; `None` if there is none.
    pub container: Option<Vec<u8>>,
    /// The name of the container; `None` if not known.
    pub container_name: Option<Vec<u8>>,
    /// A hash of the command line; `None` if not known.
    pub command: Option<u64>,
    /// The path of the script that an interpreter runs; `None` if there is none.
    pub script: Option<Vec<u8>>,
}

/// Returns the bytes of a short name.
pub(crate) fn short_name(name: &ShortName) -> Vec<u8> {
    name.as_bytes().to_vec()
}

/// Returns a hash of command-line arguments that is the same in every version of this program (FNV-1a, 64 bits). It
/// tells whether two command lines are the same, but does not conceal them.
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
    fn command_hash_is_fnv_1a_of_null_terminated_words() {
        let hash = |words: &[&str]| command_hash(words.iter().map(|word| word.as_bytes()));
        // The FNV-1a hash of "a\0", computed by its definition.
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
