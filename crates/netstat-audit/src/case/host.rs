//! The facts about the computer as a whole that rules may consider.

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

/// An interface in promiscuous mode, which receives frames addressed to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promiscuous {
    /// The name of the interface.
    pub name: Vec<u8>,
    /// How many programs and parts of the kernel requested the mode (`IFLA_PROMISCUITY`).
    pub count: u32,
}

/// A socket that appears in only one of the two views of the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct OneSided {
    /// The socket.
    pub socket: Socket,
    /// Whether it is in `/proc/net` but not in sock_diag; otherwise the reverse.
    pub in_text: bool,
    /// The number of comparisons that confirmed it.
    pub looks: u32,
}

/// A port that cannot be bound although no list contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenPort {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Whether it was probed over IPv6.
    pub v6: bool,
    /// The port number.
    pub port: u16,
    /// The number of attempts.
    pub tries: u32,
}

/// The result of probing all ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The ports that are in use and not listed.
    pub taken: Vec<TakenPort>,
    /// The number of ports that could not be probed for lack of permission.
    pub forbidden: u32,
    /// Whether the kernel lists TCP sockets that are bound but neither listening nor connected (since Linux 6.8).
    pub bound_are_listed: bool,
}

/// A port that NAT forwards, with the processes behind it and the decision of the packet filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// The port and its destination.
    pub published: Published,
    /// The process ids and program names of those that serve it; empty if it is served by no process of this computer,
    /// or by one that is not known.
    pub servers: Vec<(u32, Vec<u8>)>,
    /// Whom the packet filters let through.
    pub verdict: FilterVerdict,
}

/// What a process runs: the program and, for an interpreter, the script.
pub type Running = (Vec<u8>, Option<Vec<u8>>);

/// The facts about the computer as a whole.
#[derive(Debug)]
pub struct Host {
    /// Whether the caller is the superuser.
    pub superuser: bool,
    /// The overflow user id, which stands for users that have no mapping in the caller's user namespace; see
    /// [`netstat_os::System::unmapped_user`].
    pub unmapped_user: Option<u32>,
    /// The operating system; commands that are shown are written for it.
    pub kind: SystemKind,
    /// What Windows is configured to start, forward and allow in; `None` on other systems.
    pub windows: Option<WindowsHost>,
    /// The name or path of this program, as used in the commands that are shown.
    pub program: String,
    /// The file of this program, whose own packet sockets receive only DNS answers (see SECURITY.md); `None` if it
    /// cannot be read.
    pub own_file: Option<FileFacts>,
    /// The time of the examination.
    pub now: SystemTime,
    /// Whether a service manager runs that assigns processes to units.
    pub has_units: bool,
    /// The libraries named in `/etc/ld.so.preload`.
    pub preloads: Fact<Vec<Preload>>,
    /// The interfaces in promiscuous mode.
    pub promiscuous: Fact<Vec<Promiscuous>>,
    /// The sockets that no process holds although everything could be read, in two consecutive checks.
    pub hidden: Vec<Socket>,
    /// The processes that hold sockets but are missing from the process list, each with its sockets.
    pub concealed: Vec<(u32, Concealment, Vec<Socket>)>,
    /// The sockets that appear in only one of the two views of the kernel; an error if there is only one view.
    pub one_sided: Result<Vec<OneSided>, String>,
    /// The result of probing all ports, if that was requested.
    pub probe: Option<Probe>,
    /// The sockets without a known owner.
    pub ownerless: Vec<Socket>,
    /// The directories of processes in `/proc` that something is mounted over.
    pub mounted_over: Vec<Vec<u8>>,
    /// The inodes of the network namespaces that have a name, or belong to a container or unit; `None` if only one was
    /// examined.
    pub named_networks: Option<HashSet<u64>>,
    /// The ids of the processes that hold each socket, by the inode of the socket.
    pub shared: HashMap<u32, Vec<u32>>,
    /// The inodes of the pipes that are the standard input of a process with a connection beyond this computer.
    pub network_pipes: HashSet<u64>,
    /// The local ports on which a tunnel or proxy listens, with its name: a connection to such a port reaches what lies
    /// behind it.
    pub tunnels: HashMap<u16, String>,
    /// The local ports with a listener: a connection at such a port was opened by the remote side.
    pub ports: HashSet<(Protocol, u16)>,
    /// The rules that filter incoming packets; `None` if they were not read.
    pub packet_filter: Option<PacketFilter>,
    /// What determines who can reach the sockets in this computer's own network namespace; `None` if it was not read.
    pub network: Option<netstat_model::reach::LocalNetwork>,
    /// The ports that NAT forwards.
    pub published: Vec<PublishedPort>,
    /// Why the list of forwarded ports may be incomplete; `None` if it is complete.
    pub published_incomplete: Option<&'static str>,
    /// The block list that foreign addresses are looked up in.
    pub block: Arc<BlockList>,
    /// The programs that have connected to the same address at regular intervals, with what is known about their files;
    /// an error message if there is no record.
    pub calls: Result<Vec<Caller>, String>,
    /// The process id and command line of running processes, by the program and script that they run.
    pub running: HashMap<Running, (u32, String)>,
    /// The name servers in `/etc/resolv.conf`, without loopback addresses.
    pub resolvers: Fact<Vec<std::net::IpAddr>>,
    /// The option that names the record for `netstat history`, to be placed after that word; empty for the default
    /// record.
    pub store: String,
    /// The time that the record covers; an error message if there is no record.
    pub reach: Result<Coverage, String>,
}

/// A program that has connected to the same address at regular intervals.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address and the intervals.
    pub beacon: Beacon,
    /// The program file; `None` if its path is not known.
    pub program: Option<FileLook>,
    /// The script file, if the program is an interpreter that runs one.
    pub script: Option<FileLook>,
}

impl Host {
    /// Returns a `netstat history` command for the record that was used, with `words` as arguments.
    pub fn history_command(&self, words: &[&str]) -> String {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        if self.kind == SystemKind::Windows {
            let own = powershell_command(&self.program, &[b"history"]);
            let words: Vec<String> = words.iter().map(|word| powershell_word(word)).collect();
            // The option that names the record is already quoted.
            return format!("{own}{} {}", self.store, words.join(" "));
        }
        let own = shell_command(&self.program, &[b"history"]);
        // The option that names the record is already quoted.
        format!("{own}{}{}", self.store, shell_words(&words))
    }

    /// Returns a command that runs this program with `words` as arguments, each quoted if the shell requires it.
    pub fn own_command(&self, words: &[&str]) -> String {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        match self.kind {
            SystemKind::Windows => powershell_command(&self.program, &words),
            _ => shell_command(&self.program, &words),
        }
    }

    /// Quotes `word` as a single argument for the shell that the commands are shown for.
    pub fn quoted(&self, word: &[u8]) -> String {
        match self.kind {
            SystemKind::Windows => powershell_word(word),
            _ => shell_quoted(word),
        }
    }

    /// Returns a command that runs this program, with `words` inserted as they are. The program is given by its own
    /// path, since another `netstat` may come first in `PATH`.
    pub fn own(&self, words: &str) -> String {
        match self.kind {
            SystemKind::Windows => format!("{} {words}", powershell_command(&self.program, &[])),
            _ => format!("{} {words}", shell_quoted(self.program.as_bytes())),
        }
    }

    /// Creates a record of a computer about which nothing is known.
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
