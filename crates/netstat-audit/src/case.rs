//! The input of a rule: a process with its sockets and files, and the computer. All of it is read-only.

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

/// How far a socket or process reaches: the farthest network that it is connected to or can be reached from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exposure {
    /// Not on any network.
    None,
    /// This computer only.
    Loopback,
    /// Private and link-local networks.
    Local,
    /// The Internet: the remote address is public, or the socket accepts connections on every address.
    World,
}

impl Exposure {
    /// Returns the exposure of a single socket.
    pub fn of(socket: &Socket) -> Exposure {
        if !socket.protocol().is_ip() {
            return match socket.protocol() {
                // A packet socket receives what arrives from a network.
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
                // A UDP client socket has an ephemeral port and receives only replies.
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

    /// Returns a description that follows "reaches" or "open to".
    pub const fn words(self) -> &'static str {
        match self {
            Exposure::None => "nobody",
            Exposure::Loopback => "this computer only",
            Exposure::Local => "private networks",
            Exposure::World => "every network",
        }
    }
}

/// A file that a process runs or has mapped, and what is known about it.
#[derive(Clone, Debug)]
pub struct FileLook {
    /// The path as seen from the root directory of the process.
    pub path: Vec<u8>,
    /// The metadata that the file system reports.
    pub file: Fact<FileFacts>,
    /// The package that owns the path; `None` if it was not looked up.
    pub ownership: Option<Ownership>,
    /// Whether the content matches the digest that the package recorded; `None` if it was not compared.
    pub verified: Option<Match>,
    /// Whose package databases were consulted, and thus how far their answer can be trusted.
    pub authority: Authority,
    /// Whether only the superuser can have put the file there: the file and every directory above it belong to the
    /// superuser, nobody else may write to them, and the path is in the caller's own root. `false` if that is not
    /// known.
    pub rooted: bool,
}

/// An ancestor of a process, with the facts that tell whether it explains what it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elder {
    /// The process id.
    pub pid: u32,
    /// The file name of its program.
    pub name: Vec<u8>,
    /// Whether only the superuser can have put that program there; see [`FileLook::rooted`].
    pub rooted: bool,
    /// Whether it runs as the superuser of the computer.
    pub superuser: bool,
    /// The effective user id; `None` if it is not known or the process runs in another user namespace.
    pub user: Option<u32>,
    /// Whether its program is setuid.
    pub setuid: bool,
}

impl FileLook {
    /// Creates a record of a file of which only the path and the metadata are known.
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

    /// Whether more than the name speaks for the file: it belongs to a package of a trusted database and does not
    /// differ from it, or only the superuser can have put it there.
    pub fn is_trusted(&self) -> bool {
        self.rooted || (self.package().is_some() && self.is_vouched() && !self.differs())
    }

    /// Whether the package databases that were consulted count as evidence.
    pub fn is_vouched(&self) -> bool {
        !matches!(self.authority, Authority::Nobody(_))
    }

    /// Returns the package that owns the file, if any.
    pub fn package(&self) -> Option<&Package> {
        self.ownership.as_ref()?.owner.package()
    }

    /// Whether all package databases were read and no package owns the file.
    pub fn is_unowned(&self) -> bool {
        matches!(
            self.ownership,
            Some(Ownership {
                owner: FileOwner::Nobody,
                ..
            })
        )
    }

    /// Returns what the directory suggests about the origin of a file that no package owns.
    pub fn origin(&self) -> Option<&Origin> {
        self.ownership.as_ref()?.origin.as_ref()
    }

    /// Whether the content was compared with the package's record and differs.
    pub fn differs(&self) -> bool {
        matches!(self.verified, Some(Match::Differs { .. }))
    }

    /// Returns the file name, without the directory.
    pub fn name(&self) -> &[u8] {
        base(&self.path)
    }

    /// Returns the path, escaped for printing.
    pub fn shown(&self) -> String {
        escape(&self.path).into_owned()
    }
}

/// A script that an interpreter runs.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file of the script.
    pub look: FileLook,
}

/// A library named by `LD_PRELOAD` or `LD_AUDIT`, or in `/etc/ld.so.preload`.
#[derive(Clone, Debug)]
pub struct Preload {
    /// What names the library: the variable or the file.
    pub by: String,
    /// The file of the library.
    pub look: FileLook,
    /// Whether the library is mapped into the memory of the process; `None` if that is not known.
    pub mapped: Option<bool>,
}

/// The process that traces another.
#[derive(Clone, Debug)]
pub struct Tracer {
    /// The process id.
    pub pid: u32,
    /// The short name (`comm`).
    pub comm: Vec<u8>,
    /// The program file; `None` if it cannot be determined.
    pub program: Option<FileLook>,
    /// Whether it has a controlling terminal.
    pub terminal: bool,
}

/// A shell whose input and output pass through the examined process.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// The process id of the shell.
    pub pid: u32,
    /// The short name (`comm`) of the shell.
    pub name: Vec<u8>,
    /// A description of how its input and output lead to the examined process.
    pub how: String,
    /// A command that shows how the two processes are connected.
    pub verify: String,
}

/// A process, and everything that rules may consider about it.
#[derive(Debug)]
pub struct Case<'a> {
    /// The facts that were read about the process.
    pub facts: &'a ProcessFacts,
    /// The sockets that the process holds.
    pub sockets: &'a [&'a Socket],
    /// The farthest network that any of the sockets reaches.
    pub exposure: Exposure,
    /// The program file; `None` if it cannot be determined.
    pub program: Option<&'a FileLook>,
    /// The script, if the program is an interpreter that runs one.
    pub script: Option<&'a Script>,
    /// The executable files mapped into its memory, except the program itself.
    pub libraries: &'a [FileLook],
    /// The libraries that its environment preloads.
    pub preloads: &'a [Preload],
    /// The process that traces it, if any.
    pub tracer: Option<&'a Tracer>,
    /// The shells that it connects to the network.
    pub shells: &'a [Relayed],
    /// The ancestors, nearest first.
    pub elders: &'a [Elder],
    /// The loader that the program file names; `None` if it names none or cannot be read.
    pub loader: Option<&'a FileLook>,
    /// What the program did for the first time, and when, according to the record; `None` without a record or a known
    /// program.
    pub past: Option<&'a ProgramHistory>,
    /// The facts about the computer.
    pub host: &'a Host,
}

impl<'a> Case<'a> {
    /// Returns the file name of the program, or the short name of the process if the program is not known.
    pub fn name(&self) -> &'a [u8] {
        match self.program {
            Some(program) => program.name(),
            None => &self.facts.comm,
        }
    }

    /// Whether a package owns the program and no difference from the package was found. Databases of a root that an
    /// ordinary user can have created do not count.
    pub fn is_packaged(&self) -> bool {
        self.program.is_some_and(|program| {
            program.package().is_some() && !program.differs() && !matches!(program.authority, Authority::Nobody(_))
        })
    }

    /// Whether more than a name speaks for the program and for the script that it runs. Names alone never lower the
    /// suspicion, since anyone can choose them.
    pub fn is_trusted(&self) -> bool {
        self.program.is_some_and(FileLook::is_trusted) && self.script.is_none_or(|script| script.look.is_trusted())
    }

    /// Whether someone works at its terminal: the process has a terminal, and descends from a login or from a process
    /// of the superuser that is not a service.
    ///
    /// A terminal alone proves nothing: any program can create one.
    pub fn has_session(&self) -> bool {
        let logged_in = matches!(self.facts.login_user, Fact::Known(Some(_)));
        let from_superuser =
            |elder: &Elder| elder.superuser && elder.rooted && elder.pid != 1 && !known::is_service(&elder.name);
        self.facts.terminal.is_some() && (logged_in || self.elders.iter().any(from_superuser))
    }

    /// Whether the program lies in a hidden directory or in a place for short-lived files.
    pub fn is_hidden_place(&self) -> bool {
        self.program
            .is_some_and(|program| super::rules::is_odd_place(&program.path))
    }

    /// Returns when the topmost of the nearest ancestors that run the same program was started; forked workers of a
    /// server use the files that were current at that time.
    pub fn first_started(&self) -> Option<SystemTime> {
        /// Clock ticks per second (proc_pid_stat(5); `USER_HZ` on every architecture that Linux supports today).
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

    /// Whether the package that owns the file was installed after the program was first started.
    pub fn was_upgraded(&self, look: &FileLook) -> bool {
        look.package()
            .zip(self.first_started())
            .is_some_and(|(package, started)| package.installed_since(started).known() == Some(true))
    }

    /// Whether all package databases were read and no package owns the program.
    pub fn is_unowned(&self) -> bool {
        self.program.is_some_and(FileLook::is_unowned)
    }

    /// Whether the effective user is the superuser of the computer.
    pub fn is_root(&self) -> bool {
        // In another user namespace, user id 0 may be an ordinary user outside.
        self.facts.users.known().is_some_and(|users| users.effective == 0)
            && self.facts.namespaces.user.known().is_none_or(|space| space.ours)
    }

    /// Whether it is a shell, judging by its program or short name. For a multi-call program, the name that it was
    /// called by counts.
    pub fn is_shell(&self) -> bool {
        let name = self.name();
        if name != b"busybox" {
            return known::is_shell(name) || known::is_shell(&self.facts.comm);
        }
        match &self.facts.arguments {
            Fact::Known(words) => known::called_as(name, words)
                .first()
                .is_some_and(|word| known::is_shell(known::claimed(word))),
            // Without the arguments it may be a shell.
            Fact::Unknown(_) => true,
        }
    }

    /// Returns what the interpreter runs; `None` if the program is not an interpreter.
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

    /// Whether it is an interpreter that runs code which is in no file, or in a file that is neither packaged nor under
    /// the control of the superuser alone.
    pub fn runs_foreign_code(&self) -> bool {
        match self.runs() {
            Some(Runs::File(_)) => self.script.is_none_or(|script| !script.look.is_trusted()),
            Some(Runs::Text(_) | Runs::Input) => true,
            Some(Runs::Module(_)) | None => false,
        }
    }

    /// Returns the command line, escaped for printing and truncated to about 80 characters; empty if the arguments are
    /// not known.
    pub fn command_line(&self) -> String {
        command_line(&self.facts.arguments)
    }

    /// Returns the name of the innermost unit that is a service, a socket or similar; scopes and slices do not count.
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

    /// Returns the name of the innermost service of the system's service manager, outside containers. Only the
    /// superuser can create those.
    pub fn system_service(&self) -> Option<&'a [u8]> {
        let components = self.facts.components.as_ref().known()?;
        let own = |component: &Component| match component {
            Component::Unit { manager, .. } => *manager == netstat_model::UnitManager::System,
            _ => false,
        };
        self.service()
            .filter(|name| components.iter().all(own) && !name.contains(&b'/'))
    }

    /// Whether it runs in a container, according to its control group.
    pub fn in_container(&self) -> bool {
        let components = self.facts.components.as_ref().known();
        components.is_some_and(|components| {
            components
                .iter()
                .any(|component| matches!(component, Component::Container { .. }))
        })
    }

    /// Whether it is in another network or PID namespace than the caller.
    pub fn is_elsewhere(&self) -> bool {
        let spaces = &self.facts.namespaces;
        [spaces.network, spaces.pid]
            .into_iter()
            .any(|space| space.known().is_some_and(|space| !space.ours))
    }

    /// Returns the sockets that others can contact first: TCP and MPTCP listeners, and UDP sockets without a peer.
    pub fn waiting(&self) -> impl Iterator<Item = &'a Socket> + use<'a> {
        let sockets: &'a [&'a Socket] = self.sockets;
        sockets.iter().copied().filter(|socket| waits(socket))
    }

    /// Returns how the packet filters treat traffic from outside to `socket`; empty if the filters were not read, or
    /// the process is in a network namespace with filters of its own.
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

    /// Describes the socket with the farthest exposure, for use as evidence.
    pub fn farthest(&self) -> Option<String> {
        let socket = self
            .sockets
            .iter()
            .filter(|socket| socket.protocol() != Protocol::Unix)
            .max_by_key(|socket| Exposure::of(socket))?;
        Some(describe(socket))
    }

    /// Returns lines of evidence about what the process can reach; empty if it has no sockets.
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

/// Whether a socket accepts connections or datagrams from anyone.
pub fn waits(socket: &Socket) -> bool {
    match socket.protocol() {
        Protocol::Tcp | Protocol::Mptcp | Protocol::Sctp | Protocol::Dccp => socket.state() == State::Listening,
        Protocol::Udp | Protocol::UdpLite => !socket.is_connected() && socket.local().port != 0,
        _ => false,
    }
}

/// Describes a socket in a few words: `TCP 192.0.2.1:5000 -> 203.0.113.7:443 ESTABLISHED`.
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

/// Returns a command line, escaped for printing and truncated to about 80 characters; empty if the arguments are not
/// known.
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

/// Returns the last component of a path.
pub fn base(path: &[u8]) -> &[u8] {
    netstat_model::text::file_name(path)
}
