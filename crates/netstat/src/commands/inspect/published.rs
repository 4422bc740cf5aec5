//! Ports that lead elsewhere: forwarded by the packet filter (NAT) or by Docker's proxy.

use std::collections::HashMap;

use netstat_audit::passage;
use netstat_audit::published::{behind, conditions, destination, family, is_here, passage, ports, protocol};
use netstat_model::packet_filter::{FilterVerdict, PacketFilter, Published};
use netstat_model::reach::{LocalNetwork, waits};
use netstat_model::{Fact, Owner, Protocol, Why, text};
use netstat_os::ProcessAsk;

use super::answering::Ends;
use super::endpoint::LookedUp;
use super::search::{Found, World};
use super::stand_in::docker_proxy;
use super::target::Kind;
use crate::context::Context;

/// The published ports of this computer.
#[derive(Debug)]
pub(super) struct Known {
    ports: Vec<One>,
    /// Why there may be more, as a phrase.
    pub(super) incomplete: Option<&'static str>,
}

#[derive(Debug)]
struct One {
    published: Published,
    /// The indexes of the sockets behind it.
    sockets: Vec<usize>,
    /// How packet filters restrict it, as phrases.
    filters: Vec<String>,
}

impl Known {
    /// Returns what `rules` publish in the caller's own namespace.
    pub(super) fn of(rules: &PacketFilter, world: &World<'_>) -> Known {
        const UNREAD: &LocalNetwork = &LocalNetwork::unknown(Why::NotKept);
        let own = world.network(0).unwrap_or(UNREAD);
        let found = rules.published();
        let here = found.ports.into_iter().filter(|published| is_here(published, own));
        Known {
            ports: here
                .map(|published| One {
                    sockets: behind(&published, published.ports.0, world.sockets, world.networks),
                    filters: match passage(rules, &published) {
                        FilterVerdict::Everybody => Vec::new(),
                        verdict => {
                            let family = family(&published);
                            passage::words(&[(family, verdict)])
                        }
                    },
                    published,
                })
                .collect(),
            incomplete: found.incomplete,
        }
    }

    /// Returns the indexes of the published ports that match a target.
    pub(super) fn meant_by(&self, world: &World<'_>, kind: &Kind) -> Vec<usize> {
        let is_meant = |published: &Published| {
            let has = |asked: Option<Protocol>, port: u16| {
                (published.ports.0..=published.ports.1).contains(&port)
                    && asked.is_none_or(|asked| asked == protocol(published))
            };
            match kind {
                Kind::Number { port: Some(port), .. } => has(None, *port),
                Kind::Port { protocol, port } => has(*protocol, *port),
                Kind::Endpoint(protocol, end) => {
                    let ends = world.ends(end, &LookedUp::new());
                    has(*protocol, end.port)
                        && ends
                            .addresses()
                            .is_none_or(|all| all.iter().any(|one| is_published(published, *one, world)))
                }
                _ => false,
            }
        };
        let places = self
            .ports
            .iter()
            .enumerate()
            .filter(|(_, one)| is_meant(&one.published));
        places.map(|(place, _)| place).collect()
    }

    /// Returns the sockets behind some of the published ports.
    pub(super) fn sockets(&self, places: &[usize]) -> Vec<usize> {
        places
            .iter()
            .flat_map(|&place| &self.ports[place].sockets)
            .copied()
            .collect()
    }

    /// Returns the published ports that lead to each socket.
    pub(super) fn by_socket(&self) -> HashMap<usize, Vec<String>> {
        let mut found: HashMap<usize, Vec<String>> = HashMap::new();
        for one in &self.ports {
            for &socket in &one.sockets {
                let published = &one.published;
                let condition = conditions(published);
                let condition = if condition.is_empty() {
                    String::new()
                } else {
                    format!(", {condition}")
                };
                let line = format!("{} {}{condition}", protocol(published).name(), ports(published));
                found.entry(socket).or_default().push(line);
            }
        }
        found
    }

    /// Describes where some of the published ports lead.
    pub(super) fn words(&self, places: &[usize], world: &World<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for &place in places {
            let One {
                published,
                sockets,
                filters,
            } = &self.ports[place];
            let mut servers: Vec<String> = sockets.iter().map(|&place| server(world, place)).collect();
            servers.dedup();
            let served = match servers.is_empty() {
                false => format!("served by {}", servers.join(", ")),
                true if published.to.known => "where nothing of this computer listens".to_owned(),
                true => "who serves it is not known".to_owned(),
            };
            let condition = conditions(published);
            let condition = if condition.is_empty() {
                String::new()
            } else {
                format!(" {condition}")
            };
            lines.push(format!(
                "{} {} is handed on{condition} to {} (NAT), {served}",
                protocol(published).name(),
                ports(published),
                destination(published)
            ));
            lines.extend(filters.iter().cloned());
        }
        lines
    }
}

/// Whether packets to `address` are forwarded by a published port.
fn is_published(published: &Published, address: std::net::IpAddr, world: &World<'_>) -> bool {
    // Packets from this computer to itself do not pass the rules for incoming packets.
    !netstat_model::reach::is_loopback(address)
        && address.is_ipv6() == published.v6
        && (address.is_unspecified() || world.network(0).is_some_and(|network| network.owns(address)))
        && (address.is_unspecified() || published.address.is_none_or(|network| network.contains(address)))
}

fn server(world: &World<'_>, place: usize) -> String {
    let socket = &world.sockets[place];
    match world.owners.of(socket) {
        Owner::Held(holders) => {
            let process = holders.first();
            let name = match (&process.image, &process.comm) {
                (Fact::Known(image), _) => image.file_name(),
                (_, Fact::Known(comm)) => comm,
                _ => b"?",
            };
            format!("{} [{}]", text::escape(name), process.pid)
        }
        Owner::None(reason) => format!("an unknown process ({})", reason.words()),
    }
}

/// Returns the sockets in containers to which Docker's proxies among the holders of `found` forward connections.
pub(super) fn behind_proxies(context: &mut Context<'_>, world: &World<'_>, found: &Found) -> Vec<usize> {
    let mut behind = Vec::new();
    for &place in &found.sockets {
        let socket = &world.sockets[place];
        let Owner::Held(holders) = world.owners.of(socket) else {
            continue;
        };
        let is_proxy = |process: &&netstat_model::Process| {
            let image = process.image.as_ref().known();
            image.is_some_and(|image| image.file_name() == b"docker-proxy")
        };
        for process in holders.iter().filter(is_proxy).filter(|_| waits(socket)) {
            let ask = ProcessAsk {
                arguments: true,
                ..ProcessAsk::default()
            };
            let facts = context.system.process(process.pid, &ask).ok();
            if let Some(forwarding) = facts.as_ref().and_then(docker_proxy) {
                let ends = Ends::of(forwarding.to.ip(), forwarding.to.port());
                behind.extend(world.find_endpoint(Some(socket.protocol()), &ends));
            }
        }
    }
    behind
}
