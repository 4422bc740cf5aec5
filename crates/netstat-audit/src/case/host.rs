//! What a rule is given of the computer as a whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use netstat_model::Concealment;
use netstat_model::packet_filter::{FilterVerdict, PacketFilter, Published};
use netstat_model::process::FileFacts;

use netstat_model::text::{powershell_command, powershell_word, shell_command, shell_quoted, shell_words};
use netstat_model::windows_host::WindowsHost;
use netstat_model::{Fact, Protocol, Socket, SystemKind};
use netstat_packages::blocklist::BlockList;

use netstat_record::{Beacon, Coverage};

use super::{FileLook, Preload};

/// An interface that takes frames for others too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promiscuous {
    /// Its name.
    pub name: Vec<u8>,
    /// How many programs and kernel parts want that.
    pub count: u32,
}

/// A socket that only one of the kernel's views shows.
#[derive(Clone, Debug, PartialEq)]
pub struct OneSided {
    /// The socket.
    pub socket: Socket,
    /// Whether it is in `/proc/net` and not in sock_diag; else the reverse.
    pub in_text: bool,
    /// How often it was looked for in both.
    pub looks: u32,
}

/// A port that cannot be taken although no list shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenPort {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Whether it was tried over IPv6.
    pub v6: bool,
    /// The port.
    pub port: u16,
    /// How often it was tried.
    pub tries: u32,
}

/// What came of trying all ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Ports that are taken and not listed.
    pub taken: Vec<TakenPort>,
    /// How many ports could not be tried, for lack of permission.
    pub forbidden: u32,
    /// Whether the kernel lists TCP ports that are bound and neither listen nor connect (Linux 6.8 on).
    pub bound_are_listed: bool,
}

/// A port that NAT hands on, with the processes behind it and what the packet filters make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// The port and where it leads.
    pub published: Published,
    /// Process ids and program names of those who serve it; empty where nobody of this computer does, or it is not known.
    pub servers: Vec<(u32, Vec<u8>)>,
    /// Who gets through.
    pub verdict: FilterVerdict,
}

/// What a process runs: its program and, of an interpreter, the script.
pub type Running = (Vec<u8>, Option<Vec<u8>>);

/// The computer, and what is asked about it as a whole.
#[derive(Debug)]
pub struct Host {
    /// Whether the caller is the superuser.
    pub superuser: bool,
    /// The number that stands for users without one; see [`netstat_os::System::unmapped_user`].
    pub unmapped_user: Option<u32>,
    /// Which operating system it is: commands that are shown are in its terms.
    pub kind: SystemKind,
    /// What Windows is configured to start, to pass on and to let in; `None` on another system.
    pub windows: Option<WindowsHost>,
    /// How this program is called in commands that are shown.
    pub program: String,
    /// The file of this program, which takes no packets but DNS answers (see SECURITY.md); `None` where that cannot be read.
    pub own_file: Option<FileFacts>,
    /// The time of the examination.
    pub now: SystemTime,
    /// Whether a service manager runs that says which unit a process belongs to.
    pub has_units: bool,
    /// The libraries of `/etc/ld.so.preload`, each with the root it is of.
    pub preloads: Fact<Vec<Preload>>,
    /// Interfaces that take frames for others.
    pub promiscuous: Fact<Vec<Promiscuous>>,
    /// Sockets that no process holds although everything may be read, each looked for twice.
    pub hidden: Vec<Socket>,
    /// Processes that hold sockets but are missing from the process list, each with its sockets.
    pub concealed: Vec<(u32, Concealment, Vec<Socket>)>,
    /// Sockets that one view shows and the other does not; unknown when there is one view only.
    pub one_sided: Result<Vec<OneSided>, String>,
    /// What came of trying all ports, if that was asked for.
    pub probe: Option<Probe>,
    /// Connections without a known owner.
    pub ownerless: Vec<Socket>,
    /// Directories of processes in `/proc` that something is mounted over.
    pub mounted_over: Vec<Vec<u8>>,
    /// The network namespaces that have a name, or belong to a container or unit, by their inodes; `None` where only one was examined.
    pub named_networks: Option<HashSet<u64>>,
    /// The processes that hold each socket, by its inode.
    pub shared: HashMap<u32, Vec<u32>>,
    /// Pipes that a process with a connection beyond this computer reads, by their inode.
    pub network_pipes: HashSet<u64>,
    /// Ports of this computer behind which a tunnel or proxy waits, with its name: what connects there reaches what lies behind.
    pub tunnels: HashMap<u16, String>,
    /// Local TCP and UDP ports that something waits on: what is connected there was called.
    pub ports: HashSet<(Protocol, u16)>,
    /// What filters packets on their way in; `None` where it was not asked.
    pub packet_filter: Option<PacketFilter>,
    /// What decides who reaches the sockets of this computer's own network; `None` where it was not asked.
    pub network: Option<netstat_model::reach::LocalNetwork>,
    /// Ports that NAT hands on.
    pub published: Vec<PublishedPort>,
    /// Why there may be more of them, in plain words.
    pub published_incomplete: Option<&'static str>,
    /// Addresses with a bad name.
    pub block: Arc<BlockList>,
    /// Programs that have called the same address at regular times, with what is known of their files; an error where there is no
    /// history, in words.
    pub calls: Result<Vec<Caller>, String>,
    /// Of processes that are there now, the id and the command line, by the program and the script that they run.
    pub running: HashMap<Running, (u32, String)>,
    /// The name servers that this computer uses, loopback aside, by `/etc/resolv.conf`.
    pub resolvers: Fact<Vec<std::net::IpAddr>>,
    /// What names the record to `netstat history`, to follow that word: nothing for the usual one.
    pub store: String,
    /// How far back a record of the past reaches; an error where there is none, in words.
    pub reach: Result<Coverage, String>,
}

/// A program that has called the same address at regular times.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whom it called, and how.
    pub beacon: Beacon,
    /// The file of its program, where its path is known.
    pub program: Option<FileLook>,
    /// The file of the script that it runs.
    pub script: Option<FileLook>,
}

impl Host {
    /// A command that asks the record which was asked here.
    pub fn history_command(&self, words: &[&str]) -> String {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        if self.kind == SystemKind::Windows {
            let own = powershell_command(&self.program, &[b"history"]);
            let words: Vec<String> = words.iter().map(|word| powershell_word(word)).collect();
            // The option that names the record is quoted already.
            return format!("{own}{} {}", self.store, words.join(" "));
        }
        let own = shell_command(&self.program, &[b"history"]);
        // The option that names the record is quoted already.
        format!("{own}{}{}", self.store, shell_words(&words))
    }

    /// A command of this very program with these words, each quoted where a shell needs it.
    pub fn own_command(&self, words: &[&str]) -> String {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        match self.kind {
            SystemKind::Windows => powershell_command(&self.program, &words),
            _ => shell_command(&self.program, &words),
        }
    }

    /// `word` as one argument of the shell that commands are shown for.
    pub fn quoted(&self, word: &[u8]) -> String {
        match self.kind {
            SystemKind::Windows => powershell_word(word),
            _ => shell_quoted(word),
        }
    }

    /// A command of this very program, as it is to be typed: another `netstat` may come first on the path.
    pub fn own(&self, words: &str) -> String {
        match self.kind {
            SystemKind::Windows => format!("{} {words}", powershell_command(&self.program, &[])),
            _ => format!("{} {words}", shell_quoted(self.program.as_bytes())),
        }
    }

    /// A computer of which nothing is known.
    pub fn unknown(now: SystemTime) -> Host {
        Host {
            superuser: false,
            kind: SystemKind::default(),
            windows: None,
            program: "netstat".to_owned(),
            own_file: None,
            unmapped_user: None,
            now,
            has_units: false,
            preloads: Fact::Unknown(netstat_model::Why::NotAsked),
            promiscuous: Fact::Unknown(netstat_model::Why::NotAsked),
            hidden: Vec::new(),
            concealed: Vec::new(),
            one_sided: Ok(Vec::new()),
            probe: None,
            ownerless: Vec::new(),
            mounted_over: Vec::new(),
            named_networks: None,
            shared: HashMap::new(),
            network_pipes: HashSet::new(),
            tunnels: HashMap::new(),
            ports: HashSet::new(),
            packet_filter: None,
            network: None,
            published: Vec::new(),
            published_incomplete: None,
            block: Arc::default(),
            calls: Ok(Vec::new()),
            running: HashMap::new(),
            resolvers: Fact::Unknown(netstat_model::Why::NotAsked),
            store: String::new(),
            reach: Err("no history was asked".to_owned()),
        }
    }
}
