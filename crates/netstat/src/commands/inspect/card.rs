//! The result of an inspection: a card for each process, and for each group of sockets without a known owner.

use std::sync::Arc;

use netstat_model::packet_filter::PacketFilter;
use netstat_model::process::{FileFacts, ProcessFacts};
use netstat_model::{Fact, Limit, NoOwner, Socket};
use netstat_packages::digest::Digest;
use netstat_packages::packages::{Match, Ownership};

use super::past::Past;
use super::reach::Reach;
use super::steps::Step;
use super::usage::{Rates, Usage};
use crate::recall::Since;
use netstat_audit::{Finding, Verdict};

/// The results of one inspection.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Each target, with the number of sockets and processes that it matched.
    pub(crate) targets: Vec<Answered>,
    /// The packet filters; `None` if no process is listening.
    pub(crate) filter: Option<PacketFilter>,
    /// The cards, in the order of the targets.
    pub(crate) cards: Vec<Card>,
    /// What could not be seen of the computer as a whole.
    pub(crate) limits: Vec<Limit>,
}

/// The result of looking up a target.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The argument as typed.
    pub(crate) word: String,
    /// A description of what was looked for.
    pub(crate) sought: String,
    /// The number of sockets that matched.
    pub(crate) sockets: usize,
    /// The number of processes that matched.
    pub(crate) processes: usize,
    /// The matching published ports and where they lead; each is safe to print.
    pub(crate) published: Vec<String>,
    /// If nothing matched, what exists instead; otherwise remarks, such as what a host name resolved to.
    pub(crate) remarks: Vec<String>,
}

impl Answered {
    pub(crate) fn is_empty(&self) -> bool {
        self.sockets == 0 && self.processes == 0 && self.published.is_empty()
    }
}

/// One card.
#[derive(Debug)]
pub(crate) struct Card {
    /// The targets that led to this card, as typed.
    pub(crate) targets: Vec<String>,
    /// The sockets that matched, or, if none did, those that the process holds; the most informative one comes first.
    pub(crate) sockets: Vec<SocketView>,
    /// Whether sockets matched, rather than the process.
    pub(crate) by_socket: bool,
    /// The process, or why there is none.
    pub(crate) owner: Result<Box<Subject>, Nobody>,
    /// What to do next, the safest step first.
    pub(crate) steps: Vec<Step>,
}

/// Why no process is known to hold a socket.
#[derive(Debug)]
pub(crate) struct Nobody {
    /// Why no process is known to hold the sockets.
    pub(crate) reason: NoOwner,
    /// The name of the user who created the socket, if it is part of the reason.
    pub(crate) user_name: Option<Arc<str>>,
    /// The purpose of the kernel's own sockets, if known. Safe to print.
    pub(crate) kernel_user: Option<String>,
    /// The operating system of the snapshot or computer.
    pub(crate) system: netstat_model::SystemKind,
    /// Whether the caller is the superuser, for whom `sudo` is of no use.
    pub(crate) superuser: bool,
}

/// A socket with additional information.
#[derive(Debug)]
pub(crate) struct SocketView {
    /// The socket as of the last sample.
    pub(crate) socket: Socket,
    /// The name of the remote host, if it was looked up and found.
    pub(crate) host: Option<String>,
    /// The name that a program looked up before it made this connection, according to the record. Only a hint, because
    /// DNS answers can be forged.
    pub(crate) asked_name: Option<String>,
    /// When the socket was first seen, according to the record; `None` if it has no entry.
    pub(crate) since: Option<Since>,
    /// Bytes received and sent per second.
    pub(crate) rates: Rates,
    /// The network namespace of the socket, escaped; `None` for the caller's own.
    pub(crate) namespace: Option<String>,
    /// The interface that the socket is bound to, or the zone of its link-local address. Escaped.
    pub(crate) interface: Option<String>,
    /// Problems of the socket; each is safe to print.
    pub(crate) trouble: Vec<String>,
}

/// A process with additional information.
#[derive(Debug)]
pub(crate) struct Subject {
    /// What the system reports about the process.
    pub(crate) facts: ProcessFacts,
    /// The names of its real and effective user.
    pub(crate) user_names: (Option<Arc<str>>, Option<Arc<str>>),
    /// The name of the user in whose login session it was started.
    pub(crate) login_name: Option<Arc<str>>,
    /// Other processes that also hold sockets of the card.
    pub(crate) sharers: Vec<Sharer>,
    /// The number of sockets that it holds: Internet sockets by state, others by kind.
    pub(crate) held: Held,
    /// All sockets that it holds.
    pub(crate) open_sockets: Vec<SocketView>,
    /// The ports on which it listens, and who can reach them.
    pub(crate) reach: Vec<Reach>,
    /// The containers or units on whose behalf it listens.
    pub(crate) stands_for: Vec<StandsFor>,
    /// Its program file.
    pub(crate) file: FileView,
    /// The script that it runs, if its program is an interpreter.
    pub(crate) script: Option<Script>,
    /// What the rules of the audit say about it; `None` if it ended before it could be examined.
    pub(crate) opinion: Option<Opinion>,
    /// When the record first saw it, or why that is unknown.
    pub(crate) past: Result<Past, String>,
    /// Its current resource usage.
    pub(crate) usage: Usage,
}

/// Another process that holds sockets of a card.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sharer {
    /// The process id.
    pub(crate) pid: u32,
    /// The name of its program file, or its short name; empty if neither is known. Not escaped.
    pub(crate) name: Vec<u8>,
    /// Whether `name` is that of the program file. A short name may be the name of a script.
    pub(crate) is_program: bool,
}

/// What the rules of the audit say about a process.
#[derive(Debug)]
pub(crate) struct Opinion {
    /// The judgement and its reasons.
    pub(crate) verdict: Verdict,
    /// The findings, in descending order of severity.
    pub(crate) findings: Vec<Finding>,
    /// What could not be examined, one line each.
    pub(crate) unexamined: Vec<String>,
    /// What started the process and would start it again.
    pub(crate) starters: netstat_audit::starters::Starters,
}

/// On whose behalf a process holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StandsFor {
    /// A port that is forwarded to a container.
    Container {
        /// The port on this computer.
        port: u16,
        /// The address and port of the container.
        to: std::net::SocketAddr,
        /// The name of the container, if known. Not escaped.
        name: Option<String>,
    },
    /// A port on which the init process listens until a unit is needed.
    Unit {
        /// The port on which the init process listens.
        port: u16,
        /// The socket unit: `ssh.socket`. Not escaped.
        socket: String,
        /// The unit that will be started for it: `ssh.service`. Not escaped.
        service: String,
    },
}

/// The number of sockets that a process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The number of sockets in each state, such as `LISTENING`, or of each protocol without states, such as `UDP`, in
    /// display order.
    pub(crate) counts: Vec<(&'static str, usize)>,
    /// The number of sockets that were not listed, because their kind was not asked for or their namespace was not
    /// read.
    pub(crate) unlisted: Fact<usize>,
}

impl Default for Held {
    fn default() -> Self {
        Held {
            counts: Vec::new(),
            unlisted: Fact::Unknown(netstat_model::Why::NotAsked),
        }
    }
}

/// A root directory other than the caller's. What its package database says holds only for that root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignRoot {
    /// A description of the root, escaped: `container 0123`.
    pub(crate) name: String,
    /// Whether an ordinary user could have created it, so that its database is not trusted.
    pub(crate) is_anybodys: bool,
    /// Its path as seen by the caller.
    pub(crate) path: std::path::PathBuf,
}

/// The file of a program or script.
#[derive(Debug)]
pub(crate) struct FileView {
    /// The package that installed it.
    pub(crate) package: Option<Ownership>,
    /// The root whose package database says so; `None` for the caller's own.
    pub(crate) root: Option<ForeignRoot>,
    /// Whether it is still as the package installed it.
    pub(crate) verified: Option<Match>,
    /// The SHA-256 digest of the running file, or the reason why it is unknown.
    pub(crate) sha256: Result<Digest, String>,
    /// The names of its owner and group.
    pub(crate) owner_names: (Option<Arc<str>>, Option<Arc<str>>),
}

/// A script and its file.
#[derive(Debug)]
pub(crate) struct Script {
    /// The path as it was passed to the interpreter.
    pub(crate) path: Vec<u8>,
    /// The file that is there now.
    pub(crate) file: Fact<FileFacts>,
    /// The same information as for a program.
    pub(crate) view: FileView,
}
