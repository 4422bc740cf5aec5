//! Collects the facts about the computer as a whole.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use netstat_model::Concealment;
use netstat_model::packet_filter::PacketFilter;
use netstat_model::{Fact, NamespaceLabel, NoOwner, Owner, Owners, Protocol, Socket, State};
use netstat_os::{OwnersAsk, ProcessAsk, SocketAsk, SocketList, System};
use netstat_record::Beacon;

use super::case::{Caller, Exposure, FileLook, Host, OneSided, Probe, Promiscuous, PublishedPort, TakenPort, waits};
use super::gather::preloads_everywhere;
use super::known;
use super::published;
use super::{Auditor, Clock, Options};

/// The number of times views are compared, and ports probed, before a difference counts.
const LOOKS: u32 = 3;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(60);

/// Returns the socket kinds that an audit requests: all except those that only communicate within the computer.
pub fn ask(all_namespaces: bool) -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        raw4: true,
        raw6: true,
        mptcp4: true,
        mptcp6: true,
        packet: true,
        further: SocketAsk::TRANSPORTS.to_vec(),
        further_where_present: true,
        tcp_states: State::ALL.to_vec(),
        all_namespaces,
        ..SocketAsk::default()
    }
}

/// Collects the facts about the computer. Without [`Options::host`], only those that the rules about processes need.
pub(super) fn look(auditor: &mut Auditor<'_>, list: &SocketList, owners: &Owners, options: &Options) -> Host {
    let mut host = Host::unknown(auditor.clock.now());
    host.program = options.program.clone();
    let progress = auditor.progress;
    let system = &mut *auditor.system;
    let own = ProcessAsk {
        program: true,
        ..ProcessAsk::default()
    };
    // In a replay, this process id belongs to another process.
    host.own_file = match system.has_files() {
        true => system.process(std::process::id(), &own).ok(),
        false => None,
    }
    .and_then(|own| own.program.known()?.running.known());
    host.superuser = system.is_superuser();
    host.kind = system.kind();
    host.unmapped_user = system.unmapped_user();
    host.has_units = system
        .process(1, &ProcessAsk::default())
        .is_ok_and(|first| first.comm == b"systemd");
    host.ports = list
        .sockets
        .iter()
        .filter(|socket| waits(socket))
        .map(|socket| (socket.protocol(), socket.local().port))
        .collect();
    host.named_networks = named_networks(list);
    host.block = options.block.clone();
    host.resolvers = resolvers(system);
    host.windows = system.windows_host();
    if !options.host {
        return host;
    }
    host.mounted_over = mounted_over(system);
    let filter = system.packet_filter();
    (host.published, host.published_incomplete) = published(system, &filter, list, owners);
    host.packet_filter = Some(filter);
    host.network = Some(system.local_network(0));
    let unheld = |socket: &&Socket| matches!(owners.of(socket), Owner::None(_));
    host.ownerless = list.sockets.iter().filter(unheld).cloned().collect();
    host.preloads = preloads_everywhere(system, auditor.files);
    host.promiscuous = match system.promiscuous() {
        Ok(interfaces) => Fact::Known(
            interfaces
                .into_iter()
                .map(|(name, count)| Promiscuous { name, count })
                .collect(),
        ),
        Err(_) => Fact::Unknown(netstat_model::Why::Failed),
    };
    host.hidden = hidden(system, auditor.clock, list, owners);
    host.concealed = concealed(list, owners);
    progress("comparing the kernel's views");
    host.one_sided = match list.fell_back {
        true => Err("netlink is refused, /proc/net is the only view".to_owned()),
        false => one_sided(system, auditor.clock),
    };
    if options.probe_ports {
        host.probe = Some(probe(system, auditor.clock, progress));
    }
    host
}

/// Returns the ports that NAT forwards, with the processes behind them, and why the list may be incomplete.
fn published(
    system: &mut dyn System,
    filter: &PacketFilter,
    list: &SocketList,
    owners: &Owners,
) -> (Vec<PublishedPort>, Option<&'static str>) {
    let found = filter.published();
    if found.ports.is_empty() {
        return (Vec::new(), found.incomplete);
    }
    let count = list.namespaces.len().max(1);
    // The conversion is lossless: there are fewer than 2^32 namespaces, since each has a 32-bit inode number.
    let networks: Vec<_> = (0..count as u32)
        .map(|namespace| system.local_network(namespace))
        .collect();
    let here = found
        .ports
        .into_iter()
        .filter(|port| published::is_here(port, &networks[0]));
    let ports = here.map(|port| {
        let behind = published::behind(&port, port.ports.0, &list.sockets, &networks);
        let mut servers = Vec::new();
        for place in behind {
            if let Owner::Held(holders) = owners.of(&list.sockets[place]) {
                let process = holders.first();
                let name = match (&process.image, &process.comm) {
                    (Fact::Known(image), _) => image.file_name().to_vec(),
                    (_, Fact::Known(comm)) => comm.clone(),
                    _ => Vec::new(),
                };
                servers.push((process.pid, name));
            }
        }
        servers.dedup();
        PublishedPort {
            verdict: published::passage(filter, &port),
            published: port,
            servers,
        }
    });
    (ports.collect(), found.incomplete)
}

/// How far back the record is searched for periodic connections.
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Returns the inodes of the network namespaces that are named by `ip netns`, a container or a unit; `None` if the list
/// covers a single namespace.
fn named_networks(list: &SocketList) -> Option<HashSet<u64>> {
    let is_named = |label: &NamespaceLabel| !matches!(label, NamespaceLabel::Process { .. });
    let named = list.namespaces.iter().filter(|one| one.own || is_named(&one.label));
    (!list.namespaces.is_empty()).then(|| named.map(|one| one.inode).collect())
}

/// Returns the directories of processes in `/proc` that something is mounted over, according to the mount table
/// (proc_pid_mountinfo(5)).
fn mounted_over(system: &mut dyn System) -> Vec<Vec<u8>> {
    let own = std::process::id();
    let Ok(facts) = system.process(own, &ProcessAsk::default()) else {
        return Vec::new();
    };
    let Ok(text) = system.process_text(own, facts.start_ticks, netstat_os::ProcessText::Mounts) else {
        return Vec::new();
    };
    let mut found: Vec<Vec<u8>> = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .filter(|place| {
            place
                .strip_prefix(b"/proc/")
                .and_then(|rest| rest.first())
                .is_some_and(u8::is_ascii_digit)
        })
        .map(<[u8]>::to_vec)
        .collect();
    found.dedup();
    found
}

/// Returns the name servers in `/etc/resolv.conf` (resolv.conf(5)), except loopback addresses: which servers a local
/// resolver uses is its own configuration.
fn resolvers(system: &mut dyn System) -> Fact<Vec<std::net::IpAddr>> {
    use std::io::Read;
    const PATH: &[u8] = b"/etc/resolv.conf";
    const LARGEST: u64 = 64 << 10;
    let own = std::process::id();
    let Ok(facts) = system.process(own, &ProcessAsk::default()) else {
        return Fact::Unknown(netstat_model::Why::Failed);
    };
    let file = match system.file_in_view(own, facts.start_ticks, PATH) {
        Ok(file) => file,
        Err(why) => return Fact::Unknown(why),
    };
    let mut text = String::new();
    let content = netstat_os::files::content(&file).take(LARGEST);
    if let Err(error) = std::io::BufReader::new(content).read_to_string(&mut text) {
        return Fact::Unknown(netstat_os::files::why(&error));
    }
    Fact::Known(name_servers(&text))
}

fn name_servers(text: &str) -> Vec<std::net::IpAddr> {
    let server = |line: &str| {
        let address = line.trim().strip_prefix("nameserver")?;
        let address = address.strip_prefix(char::is_whitespace)?.split_whitespace().next()?;
        // An address may carry a scope id, as in `fe80::1%eth0`.
        let address: std::net::IpAddr = address.split('%').next()?.parse().ok()?;
        Some(address.to_canonical())
    };
    let servers = text.lines().filter_map(server);
    servers
        .filter(|address| !netstat_model::reach::is_loopback(*address))
        .collect()
}

impl Host {
    /// Records the relations between processes: which sockets are shared, which pipes carry network data, and which
    /// ports lead to tunnels.
    pub(super) fn relate(&mut self, processes: &[super::gather::Process], held: &HashMap<u32, Vec<&Socket>>) {
        for (pid, sockets) in held {
            for inode in sockets.iter().filter_map(|socket| socket.inode()) {
                self.shared.entry(inode.get()).or_default().push(*pid);
            }
        }
        for process in processes {
            if let Some(program) = &process.program {
                let script = process.script.as_ref().map(|script| script.look.path.clone());
                let line = super::case::command_line(&process.facts.arguments);
                self.running
                    .entry((program.path.clone(), script))
                    .or_insert((process.facts.pid, line));
            }
            let sockets = held.get(&process.facts.pid).map_or(&[][..], Vec::as_slice);
            let far = sockets
                .iter()
                .any(|socket| socket.is_connected() && Exposure::of(socket) > Exposure::Loopback);
            let input = process.facts.descriptors.as_ref().known().map(|open| &open.standard[0]);
            if let (true, Some(Fact::Known(Some(netstat_model::process::Descriptor::Pipe(inode))))) = (far, input) {
                self.network_pipes.insert(*inode);
            }
            let name = process
                .program
                .as_ref()
                .map_or(process.facts.comm.as_slice(), FileLook::name);
            let words = process.facts.arguments.as_ref().known().map_or(&[][..], Vec::as_slice);
            let forwards = name == b"ssh"
                && words
                    .iter()
                    .any(|word| word.starts_with(b"-") && word.iter().any(|letter| matches!(letter, b'D' | b'L')));
            if !(known::is_tunnel(name) || known::is_tunnel(&process.facts.comm) || forwards) {
                continue;
            }
            for socket in sockets
                .iter()
                .filter(|socket| socket.state() == State::Listening && socket.protocol() == Protocol::Tcp)
            {
                self.tunnels
                    .insert(socket.local().port, netstat_model::text::escape(name).into_owned());
            }
        }
    }
}

impl Auditor<'_> {
    /// Adds what the record knows: how far back it reaches and, with `calls`, which programs connect at regular
    /// intervals. Does nothing if no record is to be consulted.
    pub(super) fn remember(&mut self, host: &mut Host, calls: bool) {
        match &mut self.past {
            None => {}
            Some(Err(why)) => {
                host.reach = Err(why.clone());
                host.calls = Err(why.clone());
            }
            Some(Ok(record)) => {
                host.reach = Ok(record.coverage().clone());
                host.store = record.store_option(host.superuser);
                if calls {
                    let since = host.now.checked_sub(WEEK).unwrap_or(SystemTime::UNIX_EPOCH);
                    host.calls = record.beacons(since).map(|beacons| self.programs(beacons));
                }
            }
        }
    }

    fn programs(&mut self, beacons: Vec<Beacon>) -> Vec<Caller> {
        let programs = beacons.iter().map(|beacon| beacon.program.path.clone());
        let scripts = beacons
            .iter()
            .map(|beacon| beacon.script.as_ref().map(|script| script.to_vec()));
        // A script that was not given by its absolute path cannot be looked up.
        let scripts = scripts.map(|script| script.filter(|path| path.starts_with(b"/")));
        let paths: Vec<Option<Vec<u8>>> = programs.chain(scripts).collect();
        let mut looks = super::gather::programs(self.files, &paths);
        let scripts = looks.split_off(beacons.len());
        let both = looks.into_iter().zip(scripts);
        beacons
            .into_iter()
            .zip(both)
            .map(|(beacon, (program, script))| Caller {
                beacon,
                program,
                script,
            })
            .collect()
    }
}

/// Returns the processes that hold sockets but are missing from the process list, each with its sockets.
fn concealed(list: &SocketList, owners: &Owners) -> Vec<(u32, Concealment, Vec<Socket>)> {
    let mut found: Vec<(u32, Concealment, Vec<Socket>)> = Vec::new();
    for process in owners.processes() {
        let Some(how) = owners.concealment(process.pid) else {
            continue;
        };
        let holds = |socket: &&Socket| match owners.of(socket) {
            Owner::Held(holders) => holders.iter().any(|holder| holder.pid == process.pid),
            Owner::None(_) => false,
        };
        found.push((process.pid, how, list.sockets.iter().filter(holds).cloned().collect()));
    }
    found
}

/// Returns the sockets that no visible process holds, in two consecutive checks.
fn hidden(system: &mut dyn System, clock: &mut dyn Clock, list: &SocketList, owners: &Owners) -> Vec<Socket> {
    let is_hidden = |owners: &Owners, socket: &Socket| owners.of(socket) == Owner::None(NoOwner::Hidden);
    let first: Vec<&Socket> = list.sockets.iter().filter(|socket| is_hidden(owners, socket)).collect();
    if first.is_empty() {
        return Vec::new();
    }
    clock.wait(PAUSE);
    let mut again = SocketList::default();
    system.sockets(&ask(!list.namespaces.is_empty()), &mut again);
    let Ok(found) = system.owners(&again.sockets, &OwnersAsk::default()) else {
        return Vec::new();
    };
    let same = |one: &Socket, other: &Socket| one.inode() == other.inode() && one.cookie() == other.cookie();
    first
        .into_iter()
        .filter(|socket| {
            again
                .sockets
                .iter()
                .any(|other| same(socket, other) && is_hidden(&found.owners, other))
        })
        .cloned()
        .collect()
}

/// The key that identifies a socket in both views. The text files contain no cookies.
type Key = (Protocol, u32, u16, u16);

/// Returns the sockets of a list that both views must contain: those with a descriptor and in a lasting state.
fn comparable(list: &SocketList) -> HashMap<Key, Socket> {
    let lasts = |socket: &&Socket| {
        let state = match socket.protocol() {
            Protocol::Tcp => matches!(socket.state(), State::Listening | State::Established | State::CloseWait),
            Protocol::Udp => true,
            _ => false,
        };
        state && socket.namespace() == 0
    };
    list.sockets
        .iter()
        .filter(lasts)
        .filter_map(|socket| {
            let inode = socket.inode()?.get();
            Some((
                (socket.protocol(), inode, socket.local().port, socket.foreign().port),
                socket.clone(),
            ))
        })
        .collect()
}

/// Returns the sockets that one view contains and the other does not, in every comparison.
fn one_sided(system: &mut dyn System, clock: &mut dyn Clock) -> Result<Vec<OneSided>, String> {
    let ask = SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        tcp_states: State::ALL.to_vec(),
        ..SocketAsk::default()
    };
    let mut suspects: Option<HashMap<(Key, bool), Socket>> = None;
    let (mut diag, mut text) = (SocketList::default(), SocketList::default());
    for turn in 0..LOOKS {
        // Alternate the order, so that sockets that open or close between the two reads do not stay in the result.
        if turn % 2 == 0 {
            system.sockets(&ask, &mut diag);
        }
        system
            .sockets_as_text(&ask, &mut text)
            .map_err(|refused| refused.to_string())?;
        if turn % 2 == 1 {
            system.sockets(&ask, &mut diag);
        }
        if diag.failed || diag.fell_back {
            return Err("netlink is refused, /proc/net is the only view".to_owned());
        }
        let (in_diag, in_text) = (comparable(&diag), comparable(&text));
        let only =
            |one: &HashMap<Key, Socket>, other: &HashMap<Key, Socket>, is_text: bool| -> Vec<((Key, bool), Socket)> {
                one.iter()
                    .filter(|(key, _)| !other.contains_key(key))
                    .map(|(key, socket)| ((*key, is_text), socket.clone()))
                    .collect()
            };
        let mut differing: HashMap<(Key, bool), Socket> = only(&in_diag, &in_text, false).into_iter().collect();
        differing.extend(only(&in_text, &in_diag, true));
        if let Some(before) = &suspects {
            differing.retain(|key, _| before.contains_key(key));
        }
        if differing.is_empty() {
            return Ok(Vec::new());
        }
        suspects = Some(differing);
        clock.wait(PAUSE);
    }
    let left = suspects.unwrap_or_default();
    let found = left.into_iter().map(|((_, in_text), socket)| OneSided {
        socket,
        in_text,
        looks: LOOKS,
    });
    Ok(found.collect())
}

/// Tries to bind every port that no list contains.
fn probe(system: &mut dyn System, clock: &mut dyn Clock, progress: &dyn Fn(&str)) -> Probe {
    let mut probe = Probe {
        taken: Vec::new(),
        forbidden: 0,
        bound_are_listed: system.lists_bound_ports(),
    };
    for (protocol, v6) in [
        (Protocol::Tcp, false),
        (Protocol::Tcp, true),
        (Protocol::Udp, false),
        (Protocol::Udp, true),
    ] {
        progress(&format!(
            "trying {} ports over {}",
            protocol.name(),
            if v6 { "IPv6" } else { "IPv4" }
        ));
        let mut left: Vec<u16> = (1..=u16::MAX).collect();
        for turn in 1..=LOOKS {
            // List both before and after, so that a port that is bound or released in the meantime appears in one of
            // the lists.
            let listed_before = listed(system, protocol);
            let tried: Vec<u16> = left
                .iter()
                .copied()
                .filter(|port| !listed_before.contains(port))
                .collect();
            let result = system.try_ports(protocol, v6, &tried);
            if turn == 1 {
                probe.forbidden += result.forbidden;
            }
            let listed_after = listed(system, protocol);
            left = result
                .taken
                .into_iter()
                .filter(|port| !listed_after.contains(port))
                .collect();
            if left.is_empty() {
                break;
            }
            clock.wait(PAUSE);
        }
        probe.taken.extend(left.into_iter().map(|port| TakenPort {
            protocol,
            v6,
            port,
            tries: LOOKS,
        }));
    }
    probe
}

/// Returns the local ports that appear in any view.
fn listed(system: &mut dyn System, protocol: Protocol) -> HashSet<u16> {
    let ask = SocketAsk {
        tcp4: protocol == Protocol::Tcp,
        tcp6: protocol == Protocol::Tcp,
        udp4: protocol == Protocol::Udp,
        udp6: protocol == Protocol::Udp,
        mptcp4: protocol == Protocol::Tcp,
        mptcp6: protocol == Protocol::Tcp,
        tcp_states: State::ALL.to_vec(),
        ..SocketAsk::default()
    };
    let mut list = SocketList::default();
    system.sockets(&ask, &mut list);
    let mut ports: HashSet<u16> = list.sockets.iter().map(|socket| socket.local().port).collect();
    if system.sockets_as_text(&ask, &mut list).is_ok() {
        ports.extend(list.sockets.iter().map(|socket| socket.local().port));
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_name_servers_are_read_without_loopback() {
        let text = "# comment\nnameserver 127.0.0.53\nnameserver\t192.0.2.1 # x\nnameservers 192.0.2.9\nnameserver fe80::1%eth0\nsearch a\n";
        let expected: Vec<std::net::IpAddr> = ["192.0.2.1", "fe80::1"]
            .iter()
            .map(|one| one.parse().unwrap())
            .collect();
        assert_eq!(name_servers(text), expected);
    }
}
