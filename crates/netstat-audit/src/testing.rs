//! Fixtures for the tests of rules.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use netstat_model::process::{
    Ancestor, Descriptor, Descriptors, Directory, FileFacts, FileStatus, FileTime, Ids, Mapped, Mapping, Namespaces,
    ProcessFacts, ProcessNamespace, Program, Signature, Terminal, WindowsProcess,
};
use netstat_model::windows_host::{ProfilePolicy, WindowsFirewall, WindowsHost};
use netstat_model::{
    Component, Detail, Fact, Family, PacketKind, Protocol, Socket, SocketFacts, State, SystemKind, UnitManager, Why,
};
use netstat_packages::digest::{Algorithm, Digest, FileId};
use netstat_packages::packages::{Database, FileOwner, Match, NoRecord, Ownership, Package, Recorded, origin};
use netstat_record::ProgramHistory;

use super::case::{Case, Elder, Exposure, FileLook, Host, Preload, Relayed, Script, Tracer, base};
use super::finding::{Check, Notes, Rule, Severity};

/// Returns the start time of the processes.
pub(super) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

/// Returns a computer on which everything could be read and nothing is suspicious.
pub(super) fn host() -> Host {
    Host {
        superuser: true,
        preloads: Fact::Known(Vec::new()),
        promiscuous: Fact::Known(Vec::new()),
        ..Host::unknown(start() + Duration::from_secs(3_600))
    }
}

/// Returns a Windows computer on which everything could be read and nothing is suspicious.
pub(super) fn windows_host() -> Host {
    let policy = ProfilePolicy {
        enabled: true,
        allows_by_default: false,
        blocks_all: false,
    };
    Host {
        kind: SystemKind::Windows,
        windows: Some(WindowsHost {
            services: Fact::Known(Vec::new()),
            administrators: Vec::new(),
            port_proxies: Fact::Known(Vec::new()),
            firewall: Fact::Known(WindowsFirewall {
                profiles: [policy; 3],
                rules: Vec::new(),
                unread: 0,
            }),
        }),
        ..host()
    }
}

/// Returns the severities of the findings of a rule about the computer.
pub(super) fn check_host(host: &Host, rule: &Rule) -> Vec<Severity> {
    let mut notes = Notes::default();
    match rule.check {
        Check::Host(check) => check(host, &mut notes),
        Check::Process(_) => panic!("{rule:?} is a rule of processes"),
    }
    severities(notes)
}

fn severities(notes: Notes) -> Vec<Severity> {
    for note in &notes.found {
        assert!(
            !note.evidence.is_empty() && !note.verify.is_empty() && !note.would_change.is_empty(),
            "{note:?}"
        );
        for line in note
            .evidence
            .iter()
            .chain([&note.headline, &note.verify, &note.would_change])
        {
            assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
        }
    }
    notes.found.into_iter().map(|note| note.severity).collect()
}

fn package(path: &str, name: &str, installed: SystemTime) -> FileLook {
    let package = Package {
        database: Database::Dpkg,
        name: name.to_owned(),
        version: Fact::Known("1".to_owned()),
        architecture: Fact::Known("amd64".to_owned()),
        listed_as: path.into(),
        configuration: false,
        recorded: Recorded::None(NoRecord::NotKept),
        installed: Fact::Known(installed),
    };
    owned(path, FileOwner::Package(Box::new(package)))
}

fn owned(path: &str, owner: FileOwner) -> FileLook {
    let mut look = FileLook::at(path.as_bytes(), Fact::Known(file(0o100_755, 0)));
    look.ownership = Some(Ownership {
        path: PathBuf::from(path),
        origin: match owner {
            FileOwner::Package(_) => None,
            _ => origin(std::path::Path::new(path)),
        },
        owner,
    });
    look
}

/// Returns a file of a package that was installed long ago.
pub(super) fn packaged(path: &str, name: &str) -> FileLook {
    package(path, name, start() - Duration::from_secs(86_400))
}

/// Returns a file of a package that was installed after the process was started.
pub(super) fn upgraded(path: &str, name: &str) -> FileLook {
    package(path, name, start() + Duration::from_secs(60))
}

/// Returns a file that no package owns.
pub(super) fn unowned(path: &str) -> FileLook {
    owned(path, FileOwner::Nobody)
}

fn file(mode: u32, user: u32) -> FileFacts {
    let time = FileTime {
        seconds: 1,
        nanoseconds: 0,
    };
    FileFacts {
        device: 1,
        inode: 2,
        links: 1,
        size: 100,
        mode,
        user,
        group: user,
        modified: time,
        changed: time,
    }
}

/// Returns a TCP socket: a listener at `local`, or a connection from `local` to `foreign`.
pub(super) fn socket(local: &str, foreign: Option<&str>) -> Socket {
    let local: SocketAddr = local.parse().unwrap();
    let any: SocketAddr = if local.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    let other = foreign.map_or(any, |foreign| foreign.parse().unwrap());
    Socket::new(&SocketFacts {
        protocol: Protocol::Tcp,
        family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
        state: if foreign.is_some() {
            State::Established
        } else {
            State::Listening
        },
        local: local.ip(),
        local_port: local.port(),
        foreign: other.ip(),
        foreign_port: other.port(),
        interface: 0,
        inode: INODE,
        user: Some(0),
        cookie: None,
        receive_queue: 0,
        send_queue: None,
    })
}

/// The inode of every socket.
const INODE: u32 = 77;

/// A process under test, with everything that a rule is given.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) facts: ProcessFacts,
    look: FileLook,
    sockets: Vec<Socket>,
    script: Option<Script>,
    libraries: Vec<FileLook>,
    preloads: Vec<Preload>,
    tracer: Option<Tracer>,
    shells: Vec<Relayed>,
    elders: Vec<Elder>,
    loader: Option<FileLook>,
    past: Option<ProgramHistory>,
    pub(super) host: Host,
}

impl Made {
    /// Creates a process of root that runs `path` and has no sockets. Nothing is known about a package.
    pub(super) fn program(path: &str) -> Made {
        let mut facts = ProcessFacts::bare(4242, 100, Why::NotAsked);
        facts.comm = base(path.as_bytes()).to_vec();
        facts.started = Fact::Known(start());
        facts.arguments = Fact::Known(vec![path.as_bytes().to_vec()]);
        facts.users = Fact::Known(Ids {
            real: 0,
            effective: 0,
            saved: 0,
            file_system: 0,
        });
        facts.tracer = Fact::Known(None);
        facts.login_user = Fact::Known(None);
        facts.components = Fact::Known(Vec::new());
        facts.ancestors = Fact::Known(Vec::new());
        facts.executable = Fact::Known(Vec::new());
        let ours = Fact::Known(ProcessNamespace { inode: 1, ours: true });
        facts.namespaces = Namespaces {
            mount: ours,
            network: ours,
            pid: ours,
            user: ours,
        };
        facts.program = Fact::Known(Program {
            reported: path.as_bytes().to_vec(),
            path: path.as_bytes().to_vec(),
            place: FileStatus::There,
            running: Fact::Known(file(0o100_755, 0)),
            current: Fact::Known(file(0o100_755, 0)),
            file_system: Fact::Unknown(Why::NotAsked),
            directories: Fact::Known(Vec::new()),
        });
        Made {
            look: FileLook::at(path.as_bytes(), Fact::Known(file(0o100_755, 0))),
            facts,
            sockets: Vec::new(),
            script: None,
            libraries: Vec::new(),
            preloads: Vec::new(),
            tracer: None,
            shells: Vec::new(),
            elders: Vec::new(),
            loader: None,
            past: None,
            host: host(),
        }
    }

    /// Creates a Windows process of an ordinary user that runs the unsigned program `path`.
    pub(super) fn windows(path: &str) -> Made {
        let mut made = Made::program(path);
        let mut windows = WindowsProcess::unknown(Why::NotAsked);
        windows.signature = Fact::Known(Signature::None);
        made.facts.windows = Some(Box::new(windows));
        made.facts.users = Fact::Unknown(Why::NotApplicable);
        made.facts.login_user = Fact::Unknown(Why::NotApplicable);
        made.host = windows_host();
        made
    }

    /// Sets the signature of the program.
    pub(super) fn signature(mut self, signature: Fact<Signature>) -> Made {
        if let Some(windows) = &mut self.facts.windows {
            windows.signature = signature;
        }
        self
    }

    /// Returns the severities of the findings of `rule`.
    pub(super) fn check(&self, rule: &Rule) -> Vec<Severity> {
        severities(self.notes(rule))
    }

    /// Returns what `rule` could not examine.
    pub(super) fn unexamined(&self, rule: &Rule) -> Vec<String> {
        self.notes(rule).unexamined
    }

    fn notes(&self, rule: &Rule) -> Notes {
        let sockets: Vec<&Socket> = self.sockets.iter().collect();
        let case = Case {
            facts: &self.facts,
            sockets: &sockets,
            exposure: sockets
                .iter()
                .map(|socket| Exposure::of(socket))
                .max()
                .unwrap_or(Exposure::None),
            program: Some(&self.look),
            script: self.script.as_ref(),
            libraries: &self.libraries,
            preloads: &self.preloads,
            tracer: self.tracer.as_ref(),
            shells: &self.shells,
            elders: &self.elders,
            loader: self.loader.as_ref(),
            past: self.past.as_ref(),
            host: &self.host,
        };
        let mut notes = Notes::default();
        match rule.check {
            Check::Process(check) => check(&case, &mut notes),
            Check::Host(_) => panic!("{rule:?} is a rule of the host"),
        }
        notes
    }

    fn path(&self) -> String {
        String::from_utf8(self.look.path.clone()).unwrap()
    }

    fn told(mut self, change: impl FnOnce(&mut Program)) -> Made {
        if let Fact::Known(program) = &mut self.facts.program {
            change(program);
        }
        self
    }

    pub(super) fn place(self, place: FileStatus) -> Made {
        self.told(|program| program.place = place)
    }

    pub(super) fn standing_user(self, user: u32) -> Made {
        self.told(|program| program.current = Fact::Known(file(0o100_755, user)))
    }

    pub(super) fn file(self, mode: u32, user: u32) -> Made {
        self.told(|program| program.running = Fact::Known(file(mode, user)))
    }

    pub(super) fn directory(self, path: &str, mode: u32, user: u32) -> Made {
        let directory = Directory {
            path: path.into(),
            file: Fact::Known(file(mode, user)),
        };
        self.told(|program| program.directories = Fact::Known(vec![directory]))
    }

    pub(super) fn packaged(self, name: &str) -> Made {
        Made {
            look: packaged(&self.path(), name),
            ..self
        }
    }

    pub(super) fn installed_after_start(self) -> Made {
        let name = self.look.package().unwrap().name.clone();
        Made {
            look: upgraded(&self.path(), &name),
            ..self
        }
    }

    pub(super) fn unowned(self) -> Made {
        Made {
            look: unowned(&self.path()),
            ..self
        }
    }

    pub(super) fn differing(mut self) -> Made {
        let digest = |byte| Digest::new(Algorithm::Md5, &[byte; 16]).unwrap();
        let id = FileId {
            device: 1,
            inode: 2,
            size: 100,
            modified: 0,
            changed: 0,
        };
        self.look.verified = Some(Match::Differs {
            recorded: digest(1),
            found: digest(2),
            id,
        });
        self
    }

    pub(super) fn listening(mut self, local: &str) -> Made {
        self.sockets.push(socket(local, None));
        self
    }

    pub(super) fn connected(mut self, foreign: &str) -> Made {
        let local = if foreign.starts_with('[') {
            "[2001:db8::1]:50000"
        } else {
            "192.0.2.1:50000"
        };
        self.sockets.push(socket(local, Some(foreign)));
        self
    }

    fn special(mut self, protocol: Protocol, family: Family, port: u16, detail: Option<Detail>) -> Made {
        let any = std::net::Ipv4Addr::UNSPECIFIED.into();
        let socket = Socket::new(&SocketFacts {
            protocol,
            family,
            state: State::Closed,
            local: any,
            local_port: port,
            foreign: any,
            foreign_port: 0,
            interface: 2,
            inode: INODE,
            user: Some(0),
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        });
        self.sockets.push(match detail {
            Some(detail) => socket.with_detail(detail),
            None => socket,
        });
        self
    }

    /// Makes the program of the process the file of the examining program itself.
    pub(super) fn own_program(mut self) -> Made {
        if let Fact::Known(program) = &self.facts.program {
            self.host.own_file = program.running.known();
        }
        self
    }

    pub(super) fn packet(self, ethertype: u16) -> Made {
        let detail = Detail::Packet {
            kind: PacketKind::Raw,
            ethertype,
        };
        self.special(Protocol::Packet, Family::Packet, 0, Some(detail))
    }

    pub(super) fn raw(self, protocol: u16) -> Made {
        self.special(Protocol::Raw, Family::V4, protocol, None)
    }

    /// Sets the arguments, separated by spaces; `+` stands for a space within an argument.
    pub(super) fn arguments(mut self, line: &str) -> Made {
        self.facts.arguments = Fact::Known(
            line.split(' ')
                .map(|word| word.replace('+', " ").into_bytes())
                .collect(),
        );
        self
    }

    pub(super) fn comm(mut self, comm: &str) -> Made {
        self.facts.comm = comm.into();
        self
    }

    pub(super) fn kernel_thread(mut self) -> Made {
        self.facts.kernel_thread = true;
        self
    }

    pub(super) fn user(mut self, user: u32) -> Made {
        self.facts.users = Fact::Known(Ids {
            real: user,
            effective: user,
            saved: user,
            file_system: user,
        });
        self
    }

    /// Makes the program one that only the superuser can have put there.
    pub(super) fn rooted(mut self) -> Made {
        self.look.rooted = true;
        self
    }

    /// Adds a parent called `name`; with `rooted`, only the superuser can have put its program where it is.
    pub(super) fn below(mut self, name: &str, rooted: bool) -> Made {
        self.elders.push(Elder {
            pid: 100,
            name: name.into(),
            rooted,
            superuser: false,
            user: Some(0),
            setuid: false,
        });
        self
    }

    /// Adds an ancestor that the superuser installed and that `user` runs; the nearest is added first.
    pub(super) fn elder(mut self, name: &str, user: u32) -> Made {
        self.elders.push(Elder {
            pid: 100,
            name: name.into(),
            rooted: true,
            superuser: user == 0,
            user: Some(user),
            setuid: false,
        });
        self
    }

    /// Sets the loader that the program names.
    pub(super) fn loader(mut self, look: FileLook) -> Made {
        self.loader = Some(look);
        self
    }

    /// Sets whose package database lists the program.
    pub(super) fn authority(mut self, authority: super::files::Authority) -> Made {
        self.look.authority = authority;
        self
    }

    /// Gives the process the terminal of a login.
    pub(super) fn terminal(mut self) -> Made {
        self.facts.login_user = Fact::Known(Some(0));
        self.facts.terminal = Some(Terminal { major: 136, minor: 0 });
        self
    }

    pub(super) fn parent(mut self, comm: &str) -> Made {
        self.facts.ancestors = Fact::Known(vec![Ancestor {
            pid: 100,
            start_ticks: 1,
            parent: 1,
            comm: comm.into(),
            path: Fact::Unknown(Why::NotAsked),
            arguments: Fact::Unknown(Why::NotAsked),
        }]);
        self
    }

    pub(super) fn units(mut self) -> Made {
        self.host.has_units = true;
        self
    }

    pub(super) fn unit(mut self, name: &str) -> Made {
        let unit = Component::Unit {
            name: name.into(),
            manager: UnitManager::System,
        };
        self.facts.components = Fact::Known(vec![unit]);
        self
    }

    pub(super) fn other_network(mut self) -> Made {
        self.facts.namespaces.network = Fact::Known(ProcessNamespace { inode: 2, ours: false });
        self
    }

    /// Makes its socket its standard input, output and error.
    pub(super) fn standard_sockets(mut self) -> Made {
        let socket = || Fact::Known(Some(Descriptor::Socket(u64::from(INODE))));
        let unknown = Why::NotAsked;
        self.facts.descriptors = Fact::Known(Descriptors {
            count: Fact::Known(3),
            standard: [socket(), socket(), socket()],
            kinds: Fact::Unknown(unknown),
            sockets: Fact::Unknown(unknown),
            anonymous: Fact::Unknown(unknown),
            pipes: Fact::Unknown(unknown),
            masters: Fact::Unknown(unknown),
        });
        self
    }

    pub(super) fn script(mut self, path: &str) -> Made {
        self.script = Some(Script { look: unowned(path) });
        self
    }

    pub(super) fn shell(mut self, name: &str) -> Made {
        self.shells.push(Relayed {
            pid: 7,
            name: name.into(),
            how: "through a pipe".into(),
            verify: "ls".into(),
        });
        self
    }

    pub(super) fn preload(mut self, look: FileLook, mapped: bool) -> Made {
        self.preloads.push(Preload {
            by: "LD_PRELOAD".into(),
            look,
            mapped: Some(mapped),
        });
        self
    }

    fn code(mut self, writable: bool, what: Mapped) -> Made {
        let mapping = Mapping {
            start: 0x1000,
            end: 0x3000,
            writable,
            shared: false,
            offset: 0,
            device: (0, 0),
            inode: 0,
            what,
        };
        if let Fact::Known(mappings) = &mut self.facts.executable {
            mappings.push(mapping);
        }
        self
    }

    pub(super) fn mapped(mut self, look: FileLook, deleted: bool) -> Made {
        let path = look.path.clone();
        self.libraries.push(look);
        self.code(false, Mapped::File { path, deleted })
    }

    pub(super) fn bare_memory(self) -> Made {
        self.code(true, Mapped::Anonymous)
    }

    pub(super) fn memory_code(self, label: &str) -> Made {
        self.code(false, Mapped::Memory(label.into()))
    }

    pub(super) fn traced(mut self, program: FileLook, terminal: bool) -> Made {
        let comm = program.name().to_vec();
        self.tracer = Some(Tracer {
            pid: 9,
            comm,
            program: Some(program),
            terminal,
        });
        self
    }

    /// Sets what the record knows about the program.
    pub(super) fn past(self, past: ProgramHistory) -> Made {
        Made {
            past: Some(past),
            ..self
        }
    }

    pub(super) fn host(self, host: Host) -> Made {
        Made { host, ..self }
    }
}
