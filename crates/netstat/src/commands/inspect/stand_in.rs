//! Processes that hold a port on behalf of another: the proxies of containers, and the init process for units that are
//! started on demand.

use std::net::{IpAddr, SocketAddr};

use netstat_model::process::ProcessFacts;
use netstat_model::reach::waits;
use netstat_model::{Fact, Globs, Socket};
use netstat_packages::activation::{SocketUnit, socket_units};
use netstat_packages::containers::{DockerContainer, docker_containers};

use super::card::StandsFor;
use super::reach::Reach;

/// Returns on whose behalf `facts` holds the ports of `reach`.
pub(super) fn stands_for(facts: &ProcessFacts, reach: &[Reach]) -> Vec<StandsFor> {
    if let Some(forwarding) = docker_proxy(facts) {
        return vec![forwarding.named(&docker_containers("/"))];
    }
    // The init process of a system with systemd.
    if facts.pid == 1 && facts.comm == b"systemd" && !reach.is_empty() {
        return units(reach, &socket_units("/"));
    }
    Vec::new()
}

/// Returns the indexes in `sockets` of the listeners that the init process holds for a unit called one of `names`
/// (`ssh.socket`, `ssh.service` or `ssh`), and the unit itself, which is not started before the first connection.
pub(super) fn waits_for(names: &Globs, sockets: &[Socket]) -> (Vec<usize>, Option<SocketUnit>) {
    waits_for_one_of(names, sockets, socket_units("/"))
}

fn waits_for_one_of(names: &Globs, sockets: &[Socket], known: Vec<SocketUnit>) -> (Vec<usize>, Option<SocketUnit>) {
    let called = |name: &str| {
        let bare = name.rsplit_once('.').map_or(name, |(bare, _)| bare);
        names.matches(name.as_bytes()) || names.matches(bare.as_bytes())
    };
    for unit in known
        .into_iter()
        .filter(|unit| called(&unit.name) || called(&unit.service))
    {
        let places = sockets.iter().enumerate().filter(|(_, socket)| {
            waits(socket) && unit.serves(socket.protocol(), socket.local().address, socket.local().port)
        });
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        if !places.is_empty() {
            return (places, Some(unit));
        }
    }
    (Vec::new(), None)
}

fn units(reach: &[Reach], known: &[SocketUnit]) -> Vec<StandsFor> {
    let of = |reach: &Reach| {
        let unit = known
            .iter()
            .find(|unit| unit.serves(reach.protocol, reach.address, reach.port))?;
        Some(StandsFor::Unit {
            port: reach.port,
            socket: unit.name.clone(),
            service: unit.service.clone(),
        })
    };
    let mut found: Vec<StandsFor> = reach.iter().filter_map(of).collect();
    found.dedup();
    found
}

/// A port that is forwarded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forwarding {
    port: u16,
    /// The address and port of the container.
    pub(super) to: SocketAddr,
}

impl Forwarding {
    fn named(self, containers: &[DockerContainer]) -> StandsFor {
        let container = containers
            .iter()
            .find(|container| container.addresses.contains(&self.to.ip()));
        StandsFor::Container {
            port: self.port,
            to: self.to,
            name: container.map(|container| container.name.clone()),
        }
    }
}

/// Parses the command line of Docker's proxy: `-host-port 8080 -container-ip 172.17.0.2 -container-port 80`.
pub(super) fn docker_proxy(facts: &ProcessFacts) -> Option<Forwarding> {
    let Fact::Known(words) = &facts.arguments else {
        return None;
    };
    let name = words.first()?.rsplit(|&byte| byte == b'/').next()?;
    if name != b"docker-proxy" && facts.comm != b"docker-proxy" {
        return None;
    }
    let value = |option: &[u8]| {
        let at = words.iter().position(|word| word == option)?;
        std::str::from_utf8(words.get(at + 1)?).ok()
    };
    let address: IpAddr = value(b"-container-ip")?.parse().ok()?;
    Some(Forwarding {
        port: value(b"-host-port")?.parse().ok()?,
        to: SocketAddr::new(address, value(b"-container-port")?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::reach::Extent;
    use netstat_model::{Family, Protocol, SocketFacts, State, Why};
    use netstat_packages::activation::parse_socket_unit;

    fn proxy(line: &str) -> Option<Forwarding> {
        let mut facts = ProcessFacts::bare(9, 1, Why::NotAsked);
        facts.arguments = Fact::Known(line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
        docker_proxy(&facts)
    }

    #[test]
    fn docker_proxy_names_its_container() {
        let line = "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80";
        let found = proxy(line).unwrap();
        let containers = [DockerContainer {
            id: "00".into(),
            name: "web".into(),
            addresses: vec!["172.17.0.2".parse().unwrap()],
        }];
        assert_eq!(
            found.named(&containers),
            StandsFor::Container {
                port: 8080,
                to: "172.17.0.2:80".parse().unwrap(),
                name: Some("web".into()),
            }
        );
        assert_eq!(proxy("/usr/bin/docker-proxy -host-port"), None);
        assert_eq!(proxy(&line.replace("docker-proxy", "nginx")), None);
    }

    #[test]
    fn socket_unit_of_a_listener_is_found_by_its_names() {
        let listener = |port, state| {
            Socket::new(&SocketFacts {
                protocol: Protocol::Tcp,
                family: Family::V6,
                state,
                local: "::".parse().unwrap(),
                local_port: port,
                foreign: "::".parse().unwrap(),
                foreign_port: 0,
                interface: 0,
                inode: 1,
                user: None,
                cookie: None,
                receive_queue: 0,
                send_queue: None,
            })
        };
        let sockets = [
            listener(80, State::Listening),
            listener(22, State::Listening),
            listener(22, State::Closed),
        ];
        let unit = || parse_socket_unit("ssh.socket", b"[Socket]\nListenStream=22\nService=sshd.service\n");
        for (name, found) in [
            ("ssh.socket", &[1][..]),
            ("sshd.service", &[1]),
            ("sshd", &[1]),
            ("ssh*", &[1]),
            ("web", &[]),
        ] {
            let (places, named) = waits_for_one_of(&name.parse().unwrap(), &sockets, vec![unit()]);
            assert_eq!(places, found, "{name}");
            assert_eq!(named.is_some(), !found.is_empty());
        }
        let (places, named) = waits_for_one_of(&"ssh".parse().unwrap(), &sockets[..1], vec![unit()]);
        assert_eq!((places, named), (vec![], None), "listed, but nobody waits there");
    }

    #[test]
    fn port_held_by_first_process_names_its_socket_unit() {
        let unit = parse_socket_unit("ssh.socket", b"[Socket]\nListenStream=22\nAccept=yes\n");
        let at = |port| Reach {
            protocol: Protocol::Tcp,
            address: "::".parse().unwrap(),
            port,
            extent: Extent::Anywhere,
            zone: None,
            words: String::new(),
            takes: Vec::new(),
            published: Vec::new(),
            elsewhere: false,
            passages: Vec::new(),
            windows: None,
        };
        assert_eq!(
            units(&[at(22), at(23)], &[unit]),
            [StandsFor::Unit {
                port: 22,
                socket: "ssh.socket".into(),
                service: "ssh@.service".into(),
            }]
        );
    }
}
