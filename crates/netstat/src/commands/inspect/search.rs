//! Matches targets with sockets, and with processes with or without sockets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netstat_model::process::ProcessFacts;
use netstat_model::reach::{LocalNetwork, waits};
use netstat_model::{Component, Fact, Network, Owner, Owners, Socket, text};

use super::endpoint::{Host, LookedUp};
use super::target::{Kind, Target};
use netstat_audit::script::{self, Runs};

/// The data in which targets are looked up.
#[derive(Debug)]
pub(super) struct World<'a> {
    /// All visible sockets.
    pub(super) sockets: &'a [Socket],
    /// The owners of the sockets.
    pub(super) owners: &'a Owners,
    /// All visible processes, with arguments, program and components.
    pub(super) processes: &'a [ProcessFacts],
    /// The network of each namespace in which sockets were seen, starting with the caller's own.
    pub(super) networks: &'a [LocalNetwork],
    /// The host name of this computer.
    pub(super) computer: &'a [u8],
}

/// The matches of a target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Indexes into [`World::sockets`], ascending.
    pub(super) sockets: Vec<usize>,
    /// The processes that it names.
    pub(super) pids: BTreeSet<u32>,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.pids.is_empty()
    }

    /// Adds further sockets.
    pub(super) fn add(&mut self, sockets: Vec<usize>) {
        self.sockets.extend(sockets);
        self.sockets.sort_unstable();
        self.sockets.dedup();
    }
}

impl World<'_> {
    /// Returns what `kind` matches. `looked_up` has the addresses of the host names in it. A plain host name matches
    /// nothing until its addresses are known: [`World::find_addresses`].
    pub(super) fn find(&self, kind: &Kind, looked_up: &LookedUp) -> Found {
        let sockets = match kind {
            Kind::Endpoint(protocol, end) => self.find_endpoint(*protocol, &self.ends(end, looked_up)),
            Kind::Connection(protocol, one, other) => {
                self.find_connection(*protocol, &self.ends(one, looked_up), &self.ends(other, looked_up))
            }
            Kind::Zoned(address, zone) => self.find_zoned(*address, zone),
            kind => {
                let sockets = self.sockets.iter().enumerate();
                let matching = sockets.filter(|(_, socket)| kind.matches_socket(socket));
                matching.map(|(place, _)| place).collect()
            }
        };
        let pids = self.processes.iter().filter(|process| names(kind, process));
        let mut found = Found {
            sockets,
            pids: pids.map(|process| process.pid).collect(),
        };
        if found.is_empty()
            && let Kind::Word(word) = kind
        {
            found.sockets = self.find_interface(word);
        }
        found
    }

    /// Returns what is most likely meant if nothing matched, with a description that is safe to print: the listeners of
    /// the endpoint's port, or the processes of the only program or unit with a similar name.
    pub(super) fn only_near(&self, kind: &Kind) -> Option<(Found, String)> {
        match kind {
            Kind::Endpoint(protocol, end) => self.only_listener(*protocol, end.port),
            Kind::Program(globs) | Kind::Unit(globs) => match globs.patterns() {
                [pattern] => self.only_name(pattern),
                _ => None,
            },
            Kind::Word(word) => self.only_name(word),
            _ => None,
        }
    }

    /// Returns the listeners on a port in the caller's own namespace, if all of them belong to one process.
    fn only_listener(&self, protocol: Option<netstat_model::Protocol>, port: u16) -> Option<(Found, String)> {
        let listens = |socket: &Socket| {
            waits(socket)
                && socket.local().port == port
                && socket.namespace() == 0
                && protocol.is_none_or(|protocol| socket.protocol() == protocol)
        };
        let mut found = Found::default();
        let (mut holder, mut ends) = (None, Vec::new());
        for (place, socket) in self.sockets.iter().enumerate().filter(|(_, socket)| listens(socket)) {
            let pid = match self.owners.of(socket) {
                Owner::Held(holders) => Some(holders.first().pid),
                Owner::None(_) => None,
            };
            if *holder.get_or_insert(pid) != pid {
                return None;
            }
            found.sockets.push(place);
            ends.push(std::net::SocketAddr::new(socket.local().address, port).to_string());
        }
        ends.dedup();
        (!found.is_empty()).then(|| (found, format!("port {port} is served at {} only", ends.join(", "))))
    }

    /// Returns the processes with a name similar to `word`, if all of them run the same program.
    fn only_name(&self, word: &str) -> Option<(Found, String)> {
        /// A shorter word occurs in too many names.
        const SHORTEST: usize = 3;
        let word = word.trim_matches(['*', '?']).to_lowercase();
        if word.len() < SHORTEST {
            return None;
        }
        let mut found = Found::default();
        let mut program = None;
        let mut shown = None;
        for process in self.processes {
            let mut own = called(process).into_iter().chain(components(process));
            let Some(name) = own.find(|name| likeness(&word, &text::escape(name).to_lowercase()) > LIKE) else {
                continue;
            };
            let file = match &process.program {
                Fact::Known(program) => program.path.clone(),
                Fact::Unknown(_) => process.comm.clone(),
            };
            if *program.get_or_insert_with(|| file.clone()) != file {
                return None;
            }
            shown.get_or_insert_with(|| text::escape(&name).into_owned());
            found.pids.insert(process.pid);
        }
        Some((found, format!("the only similar name is {}", shown?)))
    }

    /// Returns the sockets with one of `addresses` on either side.
    pub(super) fn find_addresses(&self, addresses: &[IpAddr]) -> Found {
        let mut found = Found::default();
        for &address in addresses {
            let network = Kind::Network(Network::host(address));
            found.sockets.extend(self.find(&network, &LookedUp::new()).sockets);
        }
        found.sockets.sort_unstable();
        found.sockets.dedup();
        found
    }

    /// Returns suggestions for a target that matched nothing: at most three, safe to print.
    pub(super) fn near(&self, target: &Target) -> Vec<String> {
        const MOST: usize = 3;
        let mut near = match &target.kind {
            Kind::Number { port: Some(port), .. } | Kind::Port { port, .. } => self.near_ports(*port),
            Kind::Network(network) => self.near_addresses(network.address()),
            Kind::Zoned(address, _) => self.near_addresses(*address),
            Kind::Endpoint(_, end) => {
                let mut near: Vec<String> = self.exact_port(end.port).into_iter().collect();
                if let Host::Address(address) = end.host {
                    near.extend(self.near_addresses(address));
                }
                near
            }
            Kind::Connection(_, local, remote) => {
                let mut near = match remote.host {
                    Host::Address(address) => self.near_addresses(address),
                    _ => Vec::new(),
                };
                near.extend(self.exact_port(local.port));
                near
            }
            Kind::Program(globs) | Kind::Unit(globs) => globs
                .patterns()
                .iter()
                .flat_map(|pattern| self.near_names(pattern))
                .collect(),
            Kind::Word(word) => self.near_names(word),
            Kind::Host(_) | Kind::Pid(_) | Kind::Number { port: None, .. } => Vec::new(),
        };
        near.truncate(MOST);
        near
    }

    /// Describes a port and its owner, such as `port 443 of nginx [812]`.
    fn port_of(&self, port: u16, socket: &Socket) -> String {
        match self.owners.of(socket) {
            Owner::Held(holders) => {
                let process = holders.first();
                format!("port {port} of {} [{}]", name(process), process.pid)
            }
            Owner::None(_) => format!("port {port}"),
        }
    }

    fn exact_port(&self, port: u16) -> Option<String> {
        let socket = self.sockets.iter().find(|socket| {
            socket.protocol().has_ports() && (socket.local().port == port || socket.foreign().port == port)
        })?;
        Some(self.port_of(port, socket))
    }

    /// Returns ports in use that differ in one digit or by a small amount, starting with those of listeners.
    fn near_ports(&self, port: u16) -> Vec<String> {
        let typed = port.to_string();
        let mut ports: Vec<(bool, u16, u16, &Socket)> = Vec::new();
        for socket in self.sockets.iter().filter(|socket| socket.protocol().has_ports()) {
            for other in [socket.local().port, socket.foreign().port] {
                let close = strsim::osa_distance(&typed, &other.to_string()) == 1 || port.abs_diff(other) <= 5;
                if other != 0 && close && !ports.iter().any(|(_, _, known, _)| *known == other) {
                    ports.push((socket.is_connected(), port.abs_diff(other), other, socket));
                }
            }
        }
        ports.sort_by_key(|&(connected, distance, port, _)| (connected, distance, port));
        ports
            .iter()
            .map(|&(_, _, port, socket)| self.port_of(port, socket))
            .collect()
    }

    /// Returns addresses in use in the same /24 (IPv4) or /64 (IPv6) network.
    fn near_addresses(&self, address: IpAddr) -> Vec<String> {
        let length = if address.is_ipv4() { 24 } else { 64 };
        let Some(network) = Network::new(address, length) else {
            return Vec::new();
        };
        let ends = self
            .sockets
            .iter()
            .filter(|socket| socket.protocol().is_ip())
            .flat_map(|socket| [socket.foreign().address, socket.local().address]);
        let near: BTreeSet<IpAddr> = ends
            .map(|end| end.to_canonical())
            .filter(|end| !end.is_unspecified() && network.contains(*end))
            .collect();
        near.into_iter().map(|address| address.to_string()).collect()
    }

    /// Returns programs and units with a similar name.
    fn near_names(&self, word: &str) -> Vec<String> {
        let word = word.trim_matches(['*', '?']).to_lowercase();
        let mut names: Vec<(f64, String)> = Vec::new();
        for process in self.processes {
            let own = called(process).into_iter().chain(components(process));
            for name in own {
                let name = text::escape(&name).into_owned();
                let likeness = likeness(&word, &name.to_lowercase());
                if likeness > LIKE && !names.iter().any(|(_, known)| *known == name) {
                    names.push((likeness, name));
                }
            }
        }
        names.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        names.into_iter().map(|(_, name)| name).collect()
    }
}

/// The similarity from which a name is suggested.
const LIKE: f64 = 0.84;

/// Returns the similarity of two names in lower case, from 0 to 1. A name that contains the word has the similarity 1.
fn likeness(word: &str, name: &str) -> f64 {
    match name.contains(word) && !word.is_empty() {
        true => 1.0,
        false => strsim::jaro_winkler(word, name),
    }
}

/// Returns the name by which a process is shown; safe to print.
fn name(process: &netstat_model::Process) -> String {
    let bytes = match (&process.image, &process.comm) {
        (Fact::Known(image), _) => image.file_name(),
        (_, Fact::Known(comm)) => comm,
        _ => b"?",
    };
    text::escape(bytes).into_owned()
}

/// Returns all names of a process: its program file, its short name, the first of its arguments and its script.
fn called(process: &ProcessFacts) -> Vec<Vec<u8>> {
    let mut names = vec![process.comm.clone()];
    let words = process.arguments.as_ref().known();
    if let Fact::Known(program) = &process.program {
        names.push(program.file_name().to_vec());
        if let Some(Runs::File(path)) = words.and_then(|words| script::runs(program.file_name(), words)) {
            names.push(last_part(path).to_vec());
        }
    }
    if let Some(first) = words.and_then(|words| words.first()) {
        names.push(last_part(first).to_vec());
    }
    names
}

fn last_part(path: &[u8]) -> &[u8] {
    netstat_model::text::file_name(path)
}

/// Returns the names of the units and containers of a process, units also without their suffix.
fn components(process: &ProcessFacts) -> Vec<Vec<u8>> {
    let Fact::Known(components) = &process.components else {
        return Vec::new();
    };
    let names = |component: &Component| match component {
        Component::Unit { name, .. } => {
            let bare = name
                .iter()
                .rposition(|&byte| byte == b'.')
                .map(|dot| name[..dot].to_vec());
            vec![Some(name.clone()), bare]
        }
        Component::Service { name } | Component::Package { name } => vec![Some(name.clone()), None],
        Component::Container { id, .. } => vec![Some(id.clone()), None],
    };
    components.iter().flat_map(names).flatten().collect()
}

/// Whether `kind` names this process, regardless of its sockets.
fn names(kind: &Kind, process: &ProcessFacts) -> bool {
    let program = |globs: &netstat_model::Globs| {
        let path = match &process.program {
            Fact::Known(program) => globs.matches_path(&program.path),
            Fact::Unknown(_) => false,
        };
        path || called(process).iter().any(|name| globs.matches(name))
    };
    let unit = |globs: &netstat_model::Globs| components(process).iter().any(|name| globs.matches(name));
    match kind {
        Kind::Program(globs) => program(globs),
        Kind::Unit(globs) => unit(globs),
        Kind::Word(word) => word.parse().is_ok_and(|globs| program(&globs) || unit(&globs)),
        other => other.pid() == Some(process.pid),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use netstat_model::process::{FileStatus, Program};
    use netstat_model::{Family, NoOwner, OwnersBuilder, Process, Protocol, SocketFacts, State, UnitManager, Why};

    fn process(pid: u32, path: &str, words: &[&str], unit: &str) -> ProcessFacts {
        let mut facts = ProcessFacts::bare(pid, 1, Why::NotAsked);
        facts.comm = path.rsplit('/').next().unwrap().bytes().take(15).collect();
        facts.arguments = Fact::Known(words.iter().map(|word| word.as_bytes().to_vec()).collect());
        facts.program = Fact::Known(Program {
            reported: path.into(),
            path: path.into(),
            place: FileStatus::There,
            running: Fact::Unknown(Why::NotAsked),
            current: Fact::Unknown(Why::NotAsked),
            file_system: Fact::Unknown(Why::NotAsked),
            directories: Fact::Unknown(Why::NotAsked),
        });
        facts.components = Fact::Known(vec![Component::Unit {
            name: unit.into(),
            manager: UnitManager::System,
        }]);
        facts
    }

    /// Returns a TCP socket in `state`, bound to the interface with this index.
    pub(in super::super) fn socket_of(
        state: State,
        local: (&str, u16),
        foreign: (&str, u16),
        interface: u32,
    ) -> Socket {
        let address: IpAddr = local.0.parse().unwrap();
        let foreign_address: IpAddr = foreign.0.parse().unwrap();
        let foreign_address = match (address, foreign_address.is_unspecified()) {
            (IpAddr::V6(_), true) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            _ => foreign_address,
        };
        Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: if address.is_ipv4() { Family::V4 } else { Family::V6 },
            state,
            local: address,
            local_port: local.1,
            foreign: foreign_address,
            foreign_port: foreign.1,
            interface,
            inode: 1,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    fn socket(port: u16, foreign: (&str, u16), inode: u32) -> Socket {
        Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state: State::Established,
            local: [192, 0, 2, 1].into(),
            local_port: port,
            foreign: foreign.0.parse().unwrap(),
            foreign_port: foreign.1,
            interface: 0,
            inode,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    /// Calls `check` with a world in which nginx listens on port 8080 (inode 1) and a Python script is connected to
    /// 203.0.113.7 (inode 2).
    fn with_world(check: impl Fn(&World<'_>)) {
        let sockets = [socket(8080, ("0.0.0.0", 0), 1), socket(40000, ("203.0.113.7", 443), 2)];
        let mut owners = OwnersBuilder::default();
        for (pid, comm, inode) in [(8080, "nginx", 1), (12, "python3", 2)] {
            let process = Process {
                pid,
                start_ticks: Fact::Known(1),
                comm: Fact::Known(comm.into()),
                invocation: Fact::Unknown(netstat_model::Why::NotAsked),
                image: Fact::Unknown(Why::NotPermitted),
                components: Fact::Unknown(Why::NotAsked),
            };
            owners.add(process, [inode]);
        }
        let processes = [
            process(8080, "/usr/sbin/nginx", &["nginx: master"], "nginx.service"),
            process(12, "/usr/bin/python3.11", &["python3", "/srv/app.py"], "app.service"),
        ];
        check(&World {
            sockets: &sockets,
            owners: &owners.finish(NoOwner::Unheld),
            processes: &processes,
            networks: &[],
            computer: b"",
        });
    }

    pub(in super::super) fn read(word: &str) -> Target {
        word.parse().unwrap()
    }

    #[test]
    fn every_form_of_target_finds_its_sockets_and_processes() {
        with_world(|world| {
            for (word, sockets, pids) in [
                ("8080", &[0][..], &[8080][..]),
                (":8080", &[0], &[]),
                ("pid:12", &[], &[12]),
                ("443", &[1], &[]),
                ("203.0.113.0/24", &[1], &[]),
                ("192.0.2.1:40000->203.0.113.7:443", &[1], &[]),
                ("nginx", &[], &[8080]),
                ("NGINX", &[], &[8080]),
                ("python3.11", &[], &[12]),
                ("python3", &[], &[12]),
                ("python*", &[], &[12]),
                ("/usr/bin/py*", &[], &[12]),
                ("app.py", &[], &[12]),
                ("app.service", &[], &[12]),
                ("app", &[], &[12]),
                ("unit:app*", &[], &[12]),
                ("ginx", &[], &[]),
                ("9", &[], &[]),
            ] {
                let found = world.find(&read(word).kind, &LookedUp::new());
                assert_eq!(
                    (&found.sockets[..], found.pids),
                    (sockets, pids.iter().copied().collect()),
                    "{word}"
                );
            }
            let addresses = world.find_addresses(&["203.0.113.7".parse().unwrap(), "192.0.2.1".parse().unwrap()]);
            assert_eq!(addresses.sockets, [0, 1]);
        });
    }

    #[test]
    fn target_without_match_gets_similar_names_suggested() {
        with_world(|world| {
            assert_eq!(world.near(&read("808")), ["port 8080 of nginx [8080]"]);
            assert_eq!(world.near(&read("445")), ["port 443 of python3 [12]"]);
            assert_eq!(world.near(&read("203.0.113.9")), ["203.0.113.7"]);
            assert_eq!(world.near(&read("ngnix")), ["nginx"]);
            assert_eq!(world.near(&read("ginx")), ["nginx", "nginx.service", "nginx: master"]);
            assert_eq!(world.near(&read("firefox")), [""; 0]);
            let only = |word: &str| world.only_near(&read(word).kind);
            let (found, what) = only("ngnix").unwrap();
            assert_eq!(found.pids, [8080].into());
            assert_eq!(what, "the only similar name is nginx");
            assert_eq!(only("firefox"), None);
            assert_eq!(only("n"), None, "nginx and python both have the letter");
            assert_eq!(world.near(&read("pid:3")), [""; 0]);
        });
    }
}
