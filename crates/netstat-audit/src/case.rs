//! What a rule is given: a process with its sockets and files, and the computer. Nothing in it changes.

mod host;

use std::time::SystemTime;

use netstat_model::process::{FileFacts, ProcessFacts};
use netstat_model::reach::{is_loopback, is_public};
use netstat_model::text::escape;

use netstat_model::{Component, Fact, Protocol, Socket, State};

use netstat_packages::packages::{FileOwner, Match, Origin, Ownership, Package};
use netstat_record::ProgramHistory;

use super::files::Authority;
use super::known;
use crate::passage::{self, Passages};
use crate::script::{Runs, runs};

pub use host::{Caller, Host, OneSided, Probe, Promiscuous, PublishedPort, Running, TakenPort};

/// How far a process can be reached, or reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exposure {
    /// Nobody on the network.
    None,
    /// This computer only.
    Loopback,
    /// Private and link-local networks.
    Local,
    /// The Internet: a public address on the other side, or open on every address.
    World,
}

impl Exposure {
    /// That of one socket.
    pub fn of(socket: &Socket) -> Exposure {
        if !socket.protocol().is_ip() {
            return match socket.protocol() {
                // What it gets comes from a network.
                Protocol::Packet => Exposure::Local,
                _ => Exposure::None,
            };
        }
        let foreign = socket.foreign();
        if socket.is_connected() {
            return Exposure::of_address(foreign.address);
        }
        match socket.state() {
            State::Bound => Exposure::None,
            _ if socket.local().port == 0 && socket.protocol().has_ports() => Exposure::None,
            _ if socket.local().address.is_unspecified() => {
                // A UDP socket that asks something has a port of this range and hears answers only.
                match socket.protocol() == Protocol::Udp && socket.local().port >= known::FIRST_PASSING_PORT {
                    true => Exposure::Local,
                    false => Exposure::World,
                }
            }
            _ => Exposure::of_address(socket.local().address),
        }
    }

    fn of_address(address: std::net::IpAddr) -> Exposure {
        match address {
            address if is_loopback(address) => Exposure::Loopback,
            address if is_public(address) => Exposure::World,
            _ => Exposure::Local,
        }
    }

    /// In words, to follow "reaches" or "open to".
    pub const fn words(self) -> &'static str {
        match self {
            Exposure::None => "nobody",
            Exposure::Loopback => "this computer only",
            Exposure::Local => "private networks",
            Exposure::World => "every network",
        }
    }
}

/// A file that a process runs or has mapped, and what is known of it.
#[derive(Clone, Debug)]
pub struct FileLook {
    /// Its path in the view of the process's own root.
    pub path: Vec<u8>,
    /// What the file system says of it.
    pub file: Fact<FileFacts>,
    /// Which package lists the path; `None` when it was not looked up.
    pub ownership: Option<Ownership>,
    /// Whether it has the content that its package records; `None` when it was not compared.
    pub verified: Option<Match>,
    /// Whose word that is.
    pub authority: Authority,
    /// Whether only the superuser can have put it there: the file and every directory above it belong to the superuser, nobody else may
    /// write to them, and the path is one of the caller's own root. `false` where that is not known.
    pub rooted: bool,
}

/// An ancestor of a process, as far as it can speak for what it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elder {
    /// Its id.
    pub pid: u32,
    /// The name of its program's file.
    pub name: Vec<u8>,
    /// Whether only the superuser can have put that program there; see [`FileLook::rooted`].
    pub rooted: bool,
    /// Whether it runs as the superuser of the computer.
    pub superuser: bool,
    /// Its effective user; `None` where that is not known, or it runs in another user namespace.
    pub user: Option<u32>,
    /// Whether its file gives the rights of its owner to whoever starts it.
    pub setuid: bool,
}

impl FileLook {
    /// A file of which only the path is known.
    pub fn at(path: &[u8], file: Fact<FileFacts>) -> FileLook {
        FileLook {
            path: path.to_vec(),
            file,
            ownership: None,
            verified: None,
            authority: Authority::Own,
            rooted: false,
        }
    }

    /// Whether more than its name speaks for it: a package that counts owns it, and it does not differ, or only the superuser can have put
    /// it there.
    pub fn is_trusted(&self) -> bool {
        self.rooted || (self.package().is_some() && self.is_vouched() && !self.differs())
    }

    /// Whether the word of the databases that list it counts.
    pub fn is_vouched(&self) -> bool {
        !matches!(self.authority, Authority::Nobody(_))
    }

    /// The package that lists it.
    pub fn package(&self) -> Option<&Package> {
        self.ownership.as_ref()?.owner.package()
    }

    /// Whether all package databases were read and none lists it.
    pub fn is_unowned(&self) -> bool {
        matches!(
            self.ownership,
            Some(Ownership {
                owner: FileOwner::Nobody,
                ..
            })
        )
    }

    /// What its directory suggests, where no package lists it.
    pub fn origin(&self) -> Option<&Origin> {
        self.ownership.as_ref()?.origin.as_ref()
    }

    /// Whether it was compared with its package's record and differs.
    pub fn differs(&self) -> bool {
        matches!(self.verified, Some(Match::Differs { .. }))
    }

    /// The name of the file alone.
    pub fn name(&self) -> &[u8] {
        base(&self.path)
    }

    /// The path, safe to print.
    pub fn shown(&self) -> String {
        escape(&self.path).into_owned()
    }
}

/// A script that an interpreter runs.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file.
    pub look: FileLook,
}

/// A library named by `LD_PRELOAD` or `LD_AUDIT`, or in `/etc/ld.so.preload`.
#[derive(Clone, Debug)]
pub struct Preload {
    /// What names it: the variable, or the file.
    pub by: String,
    /// The library.
    pub look: FileLook,
    /// Whether it is in the process's memory; `None` where that is not known.
    pub mapped: Option<bool>,
}

/// The process that traces another.
#[derive(Clone, Debug)]
pub struct Tracer {
    /// Its id.
    pub pid: u32,
    /// Its short name.
    pub comm: Vec<u8>,
    /// Its program; `None` where it may not be read.
    pub program: Option<FileLook>,
    /// Whether it has a terminal.
    pub terminal: bool,
}

/// A shell whose input and output go through this process.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// The shell's id.
    pub pid: u32,
    /// Its program's name.
    pub name: Vec<u8>,
    /// How its input and output get here, in words.
    pub how: String,
    /// A command that shows the connection.
    pub verify: String,
}

/// A process, and all that rules may look at.
#[derive(Debug)]
pub struct Case<'a> {
    /// What is known of the process.
    pub facts: &'a ProcessFacts,
    /// The sockets that it holds.
    pub sockets: &'a [&'a Socket],
    /// The farthest that one of them reaches.
    pub exposure: Exposure,
    /// Its program; `None` where it may not be read.
    pub program: Option<&'a FileLook>,
    /// The script, if it is an interpreter that runs one.
    pub script: Option<&'a Script>,
    /// The files in its memory that it may execute, but for the program.
    pub libraries: &'a [FileLook],
    /// The libraries that its environment has loaded.
    pub preloads: &'a [Preload],
    /// Who traces it.
    pub tracer: Option<&'a Tracer>,
    /// Shells that it connects with the network.
    pub shells: &'a [Relayed],
    /// Its ancestors, the nearest first.
    pub elders: &'a [Elder],
    /// The loader that its program's file names; `None` where it names none or that cannot be read.
    pub loader: Option<&'a FileLook>,
    /// What its program did first, and when, by the record; `None` without a record or a known program.
    pub past: Option<&'a ProgramHistory>,
    /// The computer.
    pub host: &'a Host,
}

impl<'a> Case<'a> {
    /// The name of its program's file, or else the short name.
    pub fn name(&self) -> &'a [u8] {
        match self.program {
            Some(program) => program.name(),
            None => &self.facts.comm,
        }
    }

    /// Whether a package owns its program, which has not been seen to differ from it. The databases of a root that an ordinary user can
    /// have made count for nothing.
    pub fn is_packaged(&self) -> bool {
        self.program.is_some_and(|program| {
            program.package().is_some() && !program.differs() && !matches!(program.authority, Authority::Nobody(_))
        })
    }

    /// Whether more than its name speaks for its program, and for the script that it runs: names alone lower no suspicion, since anyone can
    /// choose them.
    pub fn is_trusted(&self) -> bool {
        self.program.is_some_and(FileLook::is_trusted) && self.script.is_none_or(|script| script.look.is_trusted())
    }

    /// Whether somebody works at its terminal: it has one, and stems from a login, or from a process of the superuser that is no service.
    /// A terminal alone proves nothing: any program can make one.
    pub fn has_session(&self) -> bool {
        let logged_in = matches!(self.facts.login_user, Fact::Known(Some(_)));
        let from_superuser =
            |elder: &Elder| elder.superuser && elder.rooted && elder.pid != 1 && !known::is_service(&elder.name);
        self.facts.terminal.is_some() && (logged_in || self.elders.iter().any(from_superuser))
    }

    /// Whether it lies in a hidden directory or a place for short-lived files.
    pub fn is_hidden_place(&self) -> bool {
        self.program
            .is_some_and(|program| super::rules::is_odd_place(&program.path))
    }

    /// When the first of its ancestors that run the same program was started: children that a server forks have its files.
    pub fn first_started(&self) -> Option<SystemTime> {
        /// Clock ticks per second (proc_pid_stat(5), `USER_HZ` on every architecture that Linux has today).
        const TICKS: u64 = 100;
        let started = *self.facts.started.as_ref().known()?;
        let own = self.facts.program.as_ref().known()?.path.as_slice();
        let chain = self.facts.ancestors.as_ref().known().map_or(&[][..], Vec::as_slice);
        let first = chain
            .iter()
            .take_while(|ancestor| ancestor.path.as_ref().known().is_some_and(|path| path == own))
            .last();
        let earlier = first.map_or(0, |first| self.facts.start_ticks.saturating_sub(first.start_ticks));
        started.checked_sub(std::time::Duration::from_millis(earlier * 1000 / TICKS))
    }

    /// Whether the package of the file was installed since its program was first started.
    pub fn was_upgraded(&self, look: &FileLook) -> bool {
        look.package()
            .zip(self.first_started())
            .is_some_and(|(package, started)| package.installed_since(started).known() == Some(true))
    }

    /// Whether no package owns its program.
    pub fn is_unowned(&self) -> bool {
        self.program.is_some_and(FileLook::is_unowned)
    }

    /// Whether its effective user is the superuser of the computer.
    pub fn is_root(&self) -> bool {
        // In a user namespace of its own, the superuser is somebody else outside.
        self.facts.users.known().is_some_and(|users| users.effective == 0)
            && self.facts.namespaces.user.known().is_none_or(|space| space.ours)
    }

    /// Whether it is a shell by its program or by its short name; of a program of many names, the name it was called by counts.
    pub fn is_shell(&self) -> bool {
        let name = self.name();
        if name != b"busybox" {
            return known::is_shell(name) || known::is_shell(&self.facts.comm);
        }
        match &self.facts.arguments {
            Fact::Known(words) => known::called_as(name, words)
                .first()
                .is_some_and(|word| known::is_shell(known::claimed(word))),
            // It might be.
            Fact::Unknown(_) => true,
        }
    }

    /// What the interpreter runs, if it is one.
    pub fn runs(&self) -> Option<Runs<'a>> {
        match &self.facts.arguments {
            Fact::Known(words) => {
                let words = known::called_as(self.name(), words);
                let name = match words.first() {
                    Some(first) if self.name() == b"busybox" => known::claimed(first),
                    _ => self.name(),
                };
                runs(name, words)
            }
            Fact::Unknown(_) => None,
        }
    }

    /// Whether it is an interpreter with code that neither a package nor the superuser alone put there, or that is in no file.
    pub fn runs_foreign_code(&self) -> bool {
        match self.runs() {
            Some(Runs::File(_)) => self.script.is_none_or(|script| !script.look.is_trusted()),
            Some(Runs::Text(_) | Runs::Input) => true,
            Some(Runs::Module(_)) | None => false,
        }
    }

    /// Its words, safe to print and cut to some 80 letters; empty where they are unknown.
    pub fn command_line(&self) -> String {
        command_line(&self.facts.arguments)
    }

    /// The name of the innermost unit that is a service, socket or the like; a scope or slice is none.
    pub fn service(&self) -> Option<&'a [u8]> {
        self.facts
            .components
            .as_ref()
            .known()?
            .iter()
            .rev()
            .find_map(|component| match component {
                Component::Unit { name, .. } if name.ends_with(b".service") && !name.starts_with(b"user@") => {
                    Some(name.as_slice())
                }
                _ => None,
            })
    }

    /// The name of the innermost service of the system's own manager, outside containers: only the superuser names those.
    pub fn system_service(&self) -> Option<&'a [u8]> {
        let components = self.facts.components.as_ref().known()?;
        let own = |component: &Component| match component {
            Component::Unit { manager, .. } => *manager == netstat_model::UnitManager::System,
            _ => false,
        };
        self.service()
            .filter(|name| components.iter().all(own) && !name.contains(&b'/'))
    }

    /// Whether it runs in a container that its control group names.
    pub fn in_container(&self) -> bool {
        let components = self.facts.components.as_ref().known();
        components.is_some_and(|components| {
            components
                .iter()
                .any(|component| matches!(component, Component::Container { .. }))
        })
    }

    /// Whether it is on another network, or in another tree of processes, than the reader.
    pub fn is_elsewhere(&self) -> bool {
        let spaces = &self.facts.namespaces;
        [spaces.network, spaces.pid]
            .into_iter()
            .any(|space| space.known().is_some_and(|space| !space.ours))
    }

    /// Its sockets that wait for others: TCP and MPTCP that listen, UDP without a peer.
    pub fn waiting(&self) -> impl Iterator<Item = &'a Socket> + use<'a> {
        let sockets: &'a [&'a Socket] = self.sockets;
        sockets.iter().copied().filter(|socket| waits(socket))
    }

    /// What packet filters make of those who come to `socket` from outside; nothing where they were not asked, or it is in a network
    /// namespace with filters of its own.
    pub fn passages(&self, socket: &Socket) -> Passages {
        let elsewhere = self.facts.namespaces.network.known().is_some_and(|space| !space.ours);
        match &self.host.packet_filter {
            Some(filter) if !elsewhere => {
                let local = socket.local();
                let to = (local.address, local.port);
                passage::ask(filter, socket.protocol(), to, &passage::takes(socket))
            }
            _ => Passages::new(),
        }
    }

    /// The socket that reaches farthest, in words; to be in evidence.
    pub fn farthest(&self) -> Option<String> {
        let socket = self
            .sockets
            .iter()
            .filter(|socket| socket.protocol() != Protocol::Unix)
            .max_by_key(|socket| Exposure::of(socket))?;
        Some(describe(socket))
    }

    /// Lines of evidence about what it can reach: none where it has no sockets.
    pub fn reach_evidence(&self) -> Vec<String> {
        let behind = self.sockets.iter().find_map(|socket| {
            let port = socket.foreign().port;
            let name = self
                .host
                .tunnels
                .get(&port)
                .filter(|_| socket.is_connected() && is_loopback(socket.foreign().address))?;
            Some(format!(
                "port {port} of this computer is that of {name}: what lies behind it counts"
            ))
        });
        self.farthest()
            .map(|socket| format!("on the network: {socket} ({})", Exposure::words(self.exposure)))
            .into_iter()
            .chain(behind)
            .collect()
    }
}

/// Whether a socket takes what comes from anyone.
pub fn waits(socket: &Socket) -> bool {
    match socket.protocol() {
        Protocol::Tcp | Protocol::Mptcp | Protocol::Sctp | Protocol::Dccp => socket.state() == State::Listening,
        Protocol::Udp | Protocol::UdpLite => !socket.is_connected() && socket.local().port != 0,
        _ => false,
    }
}

/// A socket in a few words: `TCP 192.0.2.1:5000 -> 203.0.113.7:443 ESTABLISHED`.
pub fn describe(socket: &Socket) -> String {
    let side = |end: netstat_model::Endpoint| match end.address {
        std::net::IpAddr::V4(address) => format!("{address}:{}", end.port),
        std::net::IpAddr::V6(address) => format!("[{address}]:{}", end.port),
    };
    let name = socket.protocol().name();
    match socket.protocol() {
        protocol if !protocol.is_ip() => name.to_owned(),
        Protocol::Raw => format!("{name} protocol {} on {}", socket.local().port, socket.local().address),
        _ if socket.is_connected() => format!(
            "{name} {} -> {}{}",
            side(socket.local()),
            side(socket.foreign()),
            state(socket)
        ),
        _ => format!("{name} {}{}", side(socket.local()), state(socket)),
    }
}

fn state(socket: &Socket) -> String {
    socket
        .shown_state()
        .map_or_else(String::new, |state| format!(" {}", state.name()))
}

/// The words of a command line, safe to print and cut to some 80 letters.
pub fn command_line(words: &Fact<Vec<Vec<u8>>>) -> String {
    const MOST: usize = 80;
    let Fact::Known(words) = words else {
        return String::new();
    };
    let whole = escape(&words.join(&b' ')).into_owned();
    match whole.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}...", &whole[..cut]),
        None => whole,
    }
}

/// The last part of a path.
pub fn base(path: &[u8]) -> &[u8] {
    netstat_model::text::file_name(path)
}
