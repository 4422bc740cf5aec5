//! The result of an inspection: one card for each process, and one for each socket without a known owner.

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

/// Everything that one inspection found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Each target with how many sockets and processes it matched.
    pub(crate) targets: Vec<Answered>,
    /// What Windows lets in and passes on; `None` on other systems, or where no port waits.
    pub(crate) windows_host: Option<netstat_model::windows_host::WindowsHost>,
    /// The packet filters, where some process waits at a port.
    pub(crate) filter: Option<PacketFilter>,
    /// The cards, in the order of the targets.
    pub(crate) cards: Vec<Card>,
    /// What could not be seen of the whole computer.
    pub(crate) limits: Vec<Limit>,
}

/// What a target led to.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The word as typed.
    pub(crate) word: String,
    /// What was looked for.
    pub(crate) sought: String,
    /// How many sockets matched.
    pub(crate) sockets: usize,
    /// How many processes matched.
    pub(crate) processes: usize,
    /// Published ports that it means, with where they lead; each safe to print.
    pub(crate) published: Vec<String>,
    /// What is there instead, when nothing matched; else remarks, such as what a host name led to.
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
    /// The targets that led here, as typed.
    pub(crate) targets: Vec<String>,
    /// The sockets it is about: those that matched, else those that the process holds; the most telling one in front.
    pub(crate) sockets: Vec<SocketView>,
    /// Whether sockets matched, and not the process.
    pub(crate) by_socket: bool,
    /// The process, or why there is none.
    pub(crate) owner: Result<Box<Subject>, Nobody>,
    /// What to do next, the safest first.
    pub(crate) steps: Vec<Step>,
}

/// Why no process is known to hold a socket.
#[derive(Debug)]
pub(crate) struct Nobody {
    /// The reason.
    pub(crate) reason: NoOwner,
    /// The name of the user who made the socket, where that is part of the reason.
    pub(crate) user_name: Option<Arc<str>>,
    /// What the kernel made the sockets for, where they are its own and that is known. Ready to print.
    pub(crate) kernel_user: Option<String>,
    /// Which operating system it is about.
    pub(crate) system: netstat_model::SystemKind,
    /// Whether the caller is the superuser, to whom `sudo` gives nothing more.
    pub(crate) superuser: bool,
}

/// One socket with what is known beside it.
#[derive(Debug)]
pub(crate) struct SocketView {
    /// As it was at the last look.
    pub(crate) socket: Socket,
    /// The name of the other side, where it was asked for and found.
    pub(crate) host: Option<String>,
    /// The name that a program asked for before it made this connection, by a record; a hint, for answers can be forged.
    pub(crate) asked_name: Option<String>,
    /// When it was first seen, by a record; `None` where there is none.
    pub(crate) since: Option<Since>,
    /// Bytes in and out per second.
    pub(crate) rates: Rates,
    /// Where it was seen, when it is another network namespace than the caller's. Escaped.
    pub(crate) namespace: Option<String>,
    /// The interface that it is bound to, or that its link-local address belongs to. Escaped.
    pub(crate) interface: Option<String>,
    /// What is wrong with it; each safe to print.
    pub(crate) trouble: Vec<String>,
}

/// A process with what is known beside its own facts.
#[derive(Debug)]
pub(crate) struct Subject {
    /// What the system says.
    pub(crate) facts: ProcessFacts,
    /// The names of its real and effective user.
    pub(crate) user_names: (Option<Arc<str>>, Option<Arc<str>>),
    /// The name of the user whose login it stems from.
    pub(crate) login_name: Option<Arc<str>>,
    /// Other processes that hold sockets of the card, too.
    pub(crate) sharers: Vec<Sharer>,
    /// All Internet sockets that it holds, and others by kind.
    pub(crate) held: Held,
    /// Each socket that it holds.
    pub(crate) open_sockets: Vec<SocketView>,
    /// The ports at which it waits, and who can reach them.
    pub(crate) reach: Vec<Reach>,
    /// What it listens for in the place of others.
    pub(crate) stands_for: Vec<StandsFor>,
    /// Its program file.
    pub(crate) file: FileView,
    /// The script that an interpreter runs.
    pub(crate) script: Option<Script>,
    /// What the audit's rules say about it; `None` when it ended before they could look.
    pub(crate) opinion: Option<Opinion>,
    /// When a record saw it first; else why that is not known.
    pub(crate) past: Result<Past, String>,
    /// What it uses now.
    pub(crate) usage: Usage,
}

/// Another process that holds sockets of a card.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sharer {
    /// Process id.
    pub(crate) pid: u32,
    /// The name of its program, else its short name; empty where neither is known. Not escaped.
    pub(crate) name: Vec<u8>,
    /// Whether `name` is that of the program file. A short name may be that of a script.
    pub(crate) is_program: bool,
}

/// What the rules of the audit say about a process.
#[derive(Debug)]
pub(crate) struct Opinion {
    /// The judgement with its reasons.
    pub(crate) verdict: Verdict,
    /// What was found, the gravest first.
    pub(crate) findings: Vec<Finding>,
    /// What could not be looked at; each one line.
    pub(crate) unexamined: Vec<String>,
    /// What started it, and would start it again.
    pub(crate) starters: netstat_audit::starters::Starters,
}

/// What a process holds a port for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StandsFor {
    /// A port that is handed on to a container.
    Container {
        /// The port on this computer.
        port: u16,
        /// The container's address and port.
        to: std::net::SocketAddr,
        /// The container's name, where it is known. Not escaped.
        name: Option<String>,
    },
    /// A port at which the first process waits until a unit is needed.
    Unit {
        /// The port.
        port: u16,
        /// The unit that lists it: `ssh.socket`. Not escaped.
        socket: String,
        /// The unit that will serve it: `ssh.service`. Not escaped.
        service: String,
    },
}

/// The sockets a process holds, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// How many in each state, as `LISTENING`, or by protocol for those without states, as `UDP`; in the order in which they are shown.
    pub(crate) counts: Vec<(&'static str, usize)>,
    /// Sockets that were in no list: of a kind that was not asked for, or in a namespace that was not looked into.
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

/// Another root directory than the caller's: its package database is that root's word only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignRoot {
    /// What names it, escaped: `container 0123`.
    pub(crate) name: String,
    /// Whether an ordinary user can have made it, so that its database counts for nothing.
    pub(crate) is_anybodys: bool,
    /// Where the caller finds it.
    pub(crate) path: std::path::PathBuf,
}

/// The file of a program or script.
#[derive(Debug)]
pub(crate) struct FileView {
    /// Who installed it.
    pub(crate) package: Option<Ownership>,
    /// The root whose package database says so, where that is not the caller's.
    pub(crate) root: Option<ForeignRoot>,
    /// Whether it still is as the package recorded it.
    pub(crate) verified: Option<Match>,
    /// SHA-256 of the running file; else the reason in words.
    pub(crate) sha256: Result<Digest, String>,
    /// The names of its user and group.
    pub(crate) owner_names: (Option<Arc<str>>, Option<Arc<str>>),
}

/// A script and the file behind it.
#[derive(Debug)]
pub(crate) struct Script {
    /// The path as the interpreter was given it.
    pub(crate) path: Vec<u8>,
    /// What is there now.
    pub(crate) file: Fact<FileFacts>,
    /// The same as for a program.
    pub(crate) view: FileView,
}
