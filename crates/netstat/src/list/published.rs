//! Ports that the packet filter forwards, listed beside the sockets of `--exposed`: they have no listener of their own,
//! and yet they are open.

use std::collections::BTreeSet;
use std::io::{self, Write};

use netstat_audit::passage;
use netstat_audit::published::{behind, conditions, destination, family, is_here, passage, ports, protocol};
use netstat_model::packet_filter::{FilterVerdict, Published};
use netstat_model::reach::LocalNetwork;
use netstat_model::{Endpoint, Extras, Fact, Filter, Owner, Owners, Ports, Protocol, Socket, State, text};
use netstat_os::{OwnersAsk, SocketAsk, SocketList};
use serde_json::{Value, json};

use super::owners::name_scripts;
use crate::args::ListPlan;
use crate::context::{Context, Failure};

/// The published ports that a list shows.
#[derive(Debug, Default)]
pub(super) struct PublishedList {
    rows: Vec<Row>,
    /// Why there may be more, as a phrase.
    pub(super) incomplete: Option<&'static str>,
}

#[derive(Debug)]
struct Row {
    published: Published,
    servers: Vec<Server>,
    /// How the packet filters restrict the port, as phrases; empty if they admit everyone.
    filters: Vec<String>,
    /// Whether the packet filters admit nobody.
    closed: bool,
}

/// A process behind a published port.
#[derive(Debug)]
struct Server {
    pid: Option<u32>,
    /// The program name, escaped.
    name: String,
    /// The network namespace, escaped; `None` for the caller's own.
    namespace: Option<String>,
}

/// Returns the published ports that `list` and `filter` select, with the processes behind them.
///
/// # Errors
/// Returns an error if the owners cannot be looked for by the requested method.
pub(super) fn gather(context: &mut Context<'_>, list: &ListPlan, filter: &Filter) -> Result<PublishedList, Failure> {
    let rules = context.system.packet_filter();
    let found = rules.published();
    let own = context.system.local_network(0);
    let mut wanted: Vec<Published> = found
        .ports
        .into_iter()
        .filter(|published| is_here(published, &own) && is_wanted(published, list, filter))
        .collect();
    wanted.sort_by_key(|published| (published.protocol, published.v6, published.ports));
    if wanted.is_empty() {
        return Ok(PublishedList {
            rows: Vec::new(),
            incomplete: found.incomplete,
        });
    }
    let mut sockets = SocketList::default();
    context.system.sockets(&ask(&wanted), &mut sockets);
    let count = sockets.namespaces.len().max(1);
    // There are fewer than 2^32 namespaces, because each is an inode with a 32-bit number.
    let networks: Vec<LocalNetwork> = (0..count as u32)
        .map(|namespace| context.system.local_network(namespace))
        .collect();
    let listeners: Vec<Vec<usize>> = wanted
        .iter()
        .map(|published| behind(published, published.ports.0, &sockets.sockets, &networks))
        .collect();
    let owners = owners_of(context, &sockets, &listeners)?;
    let mut rows = Vec::new();
    for (published, listeners) in wanted.into_iter().zip(listeners) {
        let Some(servers) = servers(&sockets, &listeners, &owners, filter) else {
            continue;
        };
        let verdict = passage(&rules, &published);
        let family = family(&published);
        rows.push(Row {
            closed: verdict == FilterVerdict::Nobody,
            filters: match verdict {
                FilterVerdict::Everybody => Vec::new(),
                verdict => passage::words(&[(family, verdict)]),
            },
            published,
            servers,
        });
    }
    Ok(PublishedList {
        rows,
        incomplete: found.incomplete,
    })
}

/// Resolves the owners of those of `sockets` whose indexes are in `listeners`.
fn owners_of(context: &mut Context<'_>, sockets: &SocketList, listeners: &[Vec<usize>]) -> Result<Owners, Failure> {
    let indexes: BTreeSet<usize> = listeners.iter().flatten().copied().collect();
    let only: Vec<Socket> = indexes.into_iter().map(|at| sockets.sockets[at].clone()).collect();
    let ask = OwnersAsk {
        image: true,
        names: true,
        components: true,
        ..OwnersAsk::default()
    };
    let found = context.system.owners(&only, &ask);
    let mut owners = found.map_err(|refused| Failure::Refused(refused.to_string()))?.owners;
    name_scripts(&mut owners);
    Ok(owners)
}

/// Returns the processes behind a published port without duplicates; `None` if the filter excludes all of them.
fn servers(sockets: &SocketList, listeners: &[usize], owners: &Owners, filter: &Filter) -> Option<Vec<Server>> {
    let mut servers: Vec<Server> = Vec::new();
    let mut asked_for = !filter.needs_owners();
    for &at in listeners {
        let socket = &sockets.sockets[at];
        let owner = owners.of(socket);
        asked_for |= filter.wants_holders(&owner);
        let namespace = sockets
            .namespaces
            .get(socket.namespace() as usize)
            .filter(|namespace| !namespace.own);
        let namespace = namespace.map(|namespace| text::escape(&namespace.shown()).into_owned());
        let server = server(&owner, namespace);
        if !servers
            .iter()
            .any(|known| known.pid == server.pid && known.name == server.name)
        {
            servers.push(server);
        }
    }
    asked_for.then_some(servers)
}

fn server(owner: &Owner<'_>, namespace: Option<String>) -> Server {
    match owner {
        Owner::Held(holders) => {
            let process = holders.first();
            let name = match (&process.image, &process.comm) {
                (Fact::Known(image), _) => image.file_name(),
                (_, Fact::Known(comm)) => comm,
                _ => b"?",
            };
            let label = process.label().map(|label| format!(" ({})", text::escape(label)));
            Server {
                pid: Some(process.pid),
                name: format!("{}{}", text::escape(name), label.unwrap_or_default()),
                namespace,
            }
        }
        Owner::None(reason) => Server {
            pid: None,
            name: format!("unknown ({})", reason.words()),
            namespace,
        },
    }
}

/// Queries the listeners of every namespace on the ports to which published ports lead.
fn ask(wanted: &[Published]) -> SocketAsk {
    let ports: BTreeSet<u16> = wanted
        .iter()
        .map(|published| published.to.port.unwrap_or(published.ports.0))
        .collect();
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        mptcp4: true,
        mptcp6: true,
        tcp_states: vec![State::Listening],
        // A list of numbers always parses.
        ports: ports.join(",").parse::<Ports>().unwrap_or_default(),
        extra: Extras::BASIC,
        all_namespaces: true,
        ..SocketAsk::default()
    }
}

/// Whether the switches and filters of the list select a published port; filters by owner are applied later.
fn is_wanted(published: &Published, list: &ListPlan, filter: &Filter) -> bool {
    let kind = match (protocol(published), published.v6) {
        (Protocol::Udp, false) => list.udp4,
        (Protocol::Udp, true) => list.udp6,
        (_, false) => list.tcp4,
        (_, true) => list.tcp6,
    };
    let (low, high) = published.ports;
    let asked = filter.ports.ranges();
    let port = asked.is_empty() || asked.iter().any(|range| *range.start() <= high && *range.end() >= low);
    let unspecified = match published.v6 {
        true => std::net::Ipv6Addr::UNSPECIFIED.into(),
        false => std::net::Ipv4Addr::UNSPECIFIED.into(),
    };
    let end = Endpoint {
        address: published.address.map_or(unspecified, |network| network.address()),
        port: low,
        scope: 0,
    };
    kind && port && filter.local.matches(&end) && filter.foreign.is_empty() && filter.users.is_empty()
}

impl PublishedList {
    /// The number of published ports.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Writes a separate table after the list; nothing if there are no published ports.
    ///
    /// # Errors
    /// Returns an error of the writer.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nPublished Ports (NAT)\n")?;
        writeln!(out, "  Proto  Local Address          Leads To               Served By")?;
        for row in &self.rows {
            let published = &row.published;
            writeln!(
                out,
                "  {:<5}  {:<21}  {:<21}  {}",
                protocol(published).name(),
                ports(published),
                destination(published),
                row.served_by()
            )?;
            let condition = conditions(published);
            for line in row.filters.iter().chain((!condition.is_empty()).then_some(&condition)) {
                writeln!(out, "         {line}")?;
            }
        }
        Ok(())
    }

    /// Returns the published ports as a member of a JSON document.
    pub(super) fn value(&self) -> Value {
        self.rows.iter().map(Row::value).collect()
    }
}

impl Row {
    fn served_by(&self) -> String {
        let elsewhere = match self.published.to.known {
            true => "nobody here: another computer, or nothing listens there",
            false => "-",
        };
        let mut by_name: Vec<String> = Vec::new();
        for server in &self.servers {
            let pid = server.pid.map_or_else(String::new, |pid| format!(" [{pid}]"));
            let space = server
                .namespace
                .as_ref()
                .map_or_else(String::new, |name| format!(" in {name}"));
            by_name.push(format!("{}{pid}{space}", server.name));
        }
        match by_name.is_empty() {
            true => elsewhere.to_owned(),
            false => by_name.join(", "),
        }
    }

    fn value(&self) -> Value {
        let published = &self.published;
        let servers: Vec<Value> = self
            .servers
            .iter()
            .map(|server| json!({"pid": server.pid, "program": server.name, "namespace": server.namespace}))
            .collect();
        json!({
            "protocol": protocol(published).name(),
            "family": if published.v6 { "IPv6" } else { "IPv4" },
            "first_port": published.ports.0,
            "last_port": published.ports.1,
            "address": published.address.map(|network| network.to_string()),
            "to_address": published.to.address.map(|address| address.to_string()),
            "to_port": published.to.port,
            "to_here": published.to.here,
            "to_known": published.to.known,
            "conditions": published.conditions.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "filters": self.filters,
            "closed_by_filters": self.closed,
            "served_by": servers,
        })
    }
}
