//! Assembles the cards.

use std::collections::HashMap;
use std::path::PathBuf;

use netstat_model::metrics::ProcessKey;
use netstat_model::process::ProcessFacts;
use netstat_model::{Fact, NoOwner, Owner, Owners, Socket, TcpMetric, Why, text};
use netstat_os::{SocketList, System};
use netstat_packages::packages::Package;

use super::card::{Card, FileView, Held, Nobody, Opinion, Sharer, SocketView, Subject};
use super::files::Examined;
use super::past::Past;
use super::reach::Reach;
use super::stand_in::stands_for;
use super::steps::{About, steps};
use super::trouble::trouble;
use super::usage::Sample;
use crate::recall::{NoRecord, OpenFlows, Recall};
use netstat_audit::Judgement;
use netstat_model::reach::{LocalNetwork, waits};

/// What led to a card.
#[derive(Debug, Default)]
pub(super) struct Lead {
    /// The targets, as typed.
    pub(super) targets: Vec<String>,
    /// The indexes of the matching sockets in the list of sockets.
    pub(super) sockets: Vec<usize>,
}

/// The data from which cards are assembled.
pub(super) struct Sources<'a> {
    /// All visible sockets, as of the last sample.
    pub(super) list: &'a SocketList,
    /// What the record has about the open ones.
    pub(super) flows: &'a OpenFlows,
    /// The owners of the sockets.
    pub(super) owners: &'a Owners,
    /// The differences between the two samples.
    pub(super) sample: &'a Sample<'a>,
    /// The network of each namespace, starting with the caller's own.
    pub(super) networks: &'a [LocalNetwork],
    /// The published ports that lead to sockets, by the index of the socket.
    pub(super) published: &'a HashMap<usize, Vec<String>>,
    /// Returns the name of the remote host, if it was looked up and found.
    pub(super) host: &'a dyn Fn(&Socket) -> Option<String>,
}

/// Assembles the card of process `pid`.
pub(super) fn process_card(
    system: &mut dyn System,
    sources: &Sources<'_>,
    record: &mut Result<Recall, NoRecord>,
    lead: Lead,
    examined: Examined,
    mut opinion: Option<Opinion>,
) -> Card {
    let Examined { facts, file, script } = examined;
    let sockets = &sources.list.sockets;
    let held: Vec<&Socket> = sockets
        .iter()
        .filter(|socket| holds(sources.owners, socket, facts.pid))
        .collect();
    let shown = shown(&lead, sockets, &held);
    let key = ProcessKey {
        pid: facts.pid,
        start_ticks: facts.start_ticks,
    };
    let open = facts.descriptors.as_ref().known();
    let count = match &facts.descriptors {
        Fact::Known(open) => open.count,
        Fact::Unknown(why) => Fact::Unknown(*why),
    };
    let usage = sources.sample.usage(key, held.iter().copied(), count, facts.memory);
    let reach = reaches(sources, facts.pid);
    let users = facts.users.known();
    let steps = steps(&About {
        process: Some(&facts),
        hidden: facts.program.why() == Some(Why::NotPermitted),
        targets: &lead.targets,
        package: verifiable(&file),
        socket: lead.sockets.first().and_then(|_| shown.first().copied()),
        expected: opinion
            .as_ref()
            .is_some_and(|opinion| opinion.verdict.judgement == Judgement::Expected),
        system: system.kind(),
        superuser: system.is_superuser(),
        netstat: &crate::context::program_path_for(&*system),
    });
    let names = (
        users.and_then(|users| system.user_name(users.real)),
        users.and_then(|users| system.user_name(users.effective)),
    );
    let past = past(record, &facts, &held, opinion.as_mut());
    let subject = Subject {
        past,
        user_names: names,
        login_name: facts
            .login_user
            .known()
            .flatten()
            .and_then(|user| system.user_name(user)),
        sharers: sharers(sources.owners, &shown, facts.pid),
        held: count_held(&held, open.and_then(|open| open.sockets.as_ref().known())),
        open_sockets: views(sources, held),
        stands_for: stands_for(&facts, &reach),
        reach: once(reach),
        file,
        script,
        opinion,
        usage,
        facts,
    };
    Card {
        by_socket: !lead.sockets.is_empty(),
        targets: lead.targets,
        sockets: views(sources, shown),
        owner: Ok(Box::new(subject)),
        steps,
    }
}

/// Returns the sockets that the card is about: those that led to it, or, if there are none, all of the process that
/// have an IP address.
fn shown<'a>(lead: &Lead, sockets: &'a [Socket], held: &[&'a Socket]) -> Vec<&'a Socket> {
    let mut shown: Vec<&Socket> = match lead.sockets.is_empty() {
        false => lead.sockets.iter().map(|&index| &sockets[index]).collect(),
        true => held
            .iter()
            .copied()
            .filter(|socket| socket.protocol().is_ip())
            .collect(),
    };
    sort(&mut shown);
    shown
}

/// Returns from where each listener of the process can be reached.
fn reaches(sources: &Sources<'_>, pid: u32) -> Vec<Reach> {
    let sockets = sources.list.sockets.iter().enumerate();
    sockets
        .filter(|(_, socket)| waits(socket) && holds(sources.owners, socket, pid))
        .map(|(index, socket)| reach(sources, index, socket))
        .collect()
}

/// Returns what the record has about the program, or why it has nothing, which also limits the opinion.
fn past(
    record: &mut Result<Recall, NoRecord>,
    facts: &ProcessFacts,
    held: &[&Socket],
    opinion: Option<&mut Opinion>,
) -> Result<Past, String> {
    match record {
        Ok(record) => match &facts.program {
            Fact::Known(program) => {
                let seen = record.first_seen(&program.path, &facts.comm);
                Ok(Past::of(&seen, record.reach.begins, held))
            }
            Fact::Unknown(why) => Err(why.words().to_owned()),
        },
        Err(why) => {
            if let Some(opinion) = opinion {
                opinion
                    .unexamined
                    .push(format!("when it was first seen: {}", why.words()));
            }
            Err(why.words())
        }
    }
}

/// Returns the package of a program, and the root in which to verify it. `None` also if an ordinary user could have
/// created the package database, which root should not read.
fn verifiable(file: &FileView) -> Option<(&Package, Option<PathBuf>)> {
    if file.root.as_ref().is_some_and(|root| root.is_anybodys) {
        return None;
    }
    let package = file.package.as_ref()?.owner.package()?;
    Some((package, file.root.as_ref().map(|root| root.path.clone())))
}

/// Assembles the card of sockets that no process is known to hold, all for the same reason.
pub(super) fn ownerless_card(system: &mut dyn System, sources: &Sources<'_>, lead: Lead, reason: NoOwner) -> Card {
    let mut shown: Vec<&Socket> = lead.sockets.iter().map(|&place| &sources.list.sockets[place]).collect();
    sort(&mut shown);
    let steps = steps(&About {
        process: None,
        hidden: matches!(reason, NoOwner::NotPermitted { .. }),
        targets: &lead.targets,
        package: None,
        socket: shown.first().copied(),
        expected: false,
        system: system.kind(),
        superuser: system.is_superuser(),
        netstat: &crate::context::program_path_for(&*system),
    });
    let kernel_user = shown
        .first()
        .and_then(|socket| sources.owners.kernel_user(socket))
        .map(netstat_model::KernelUser::shown);
    let user_name = match reason {
        NoOwner::NotPermitted { user: Some(user) } => system.user_name(user),
        _ => None,
    };
    Card {
        by_socket: true,
        targets: lead.targets,
        sockets: views(sources, shown),
        owner: Err(Nobody {
            reason,
            user_name,
            kernel_user,
            system: system.kind(),
            superuser: system.is_superuser(),
        }),
        steps,
    }
}

fn holds(owners: &Owners, socket: &Socket, pid: u32) -> bool {
    match owners.of(socket) {
        Owner::Held(holders) => holders.iter().any(|process| process.pid == pid),
        Owner::None(_) => false,
    }
}

/// Sorts listeners first, then connections, then the rest; within these, public addresses first, then those with the
/// most traffic, then in the classic order.
fn sort(sockets: &mut [&Socket]) {
    let key = |socket: &Socket| (rank(socket), std::cmp::Reverse(weight(socket)));
    sockets.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| netstat_model::classic_order(a, b)));
}

/// Returns the number of bytes that a connection has transferred, plus those in its queues.
fn weight(socket: &Socket) -> u64 {
    let moved = [TcpMetric::BytesReceived, TcpMetric::BytesSent].map(|figure| socket.tcp(figure).known().unwrap_or(0));
    let queues = u64::from(socket.receive_queue()) + u64::from(socket.send_queue().known().unwrap_or(0));
    moved.iter().fold(queues, |sum, bytes| sum.saturating_add(*bytes))
}

fn reach(sources: &Sources<'_>, place: usize, socket: &Socket) -> Reach {
    const UNREAD: &LocalNetwork = &LocalNetwork::unknown(Why::NotKept);
    let network = sources.networks.get(socket.namespace() as usize).unwrap_or(UNREAD);
    Reach {
        published: sources.published.get(&place).cloned().unwrap_or_default(),
        ..Reach::of(socket, network, elsewhere(sources.list, socket).as_deref())
    }
}

fn rank(socket: &Socket) -> u8 {
    use netstat_model::State;
    let over =
        matches!(socket.state(), State::TimeWait | State::Closed) && socket.protocol() == netstat_model::Protocol::Tcp;
    match (socket.is_connected(), over, waits(socket)) {
        (_, _, true) => 0,
        (true, false, _) if netstat_model::reach::is_public(socket.foreign().address) => 1,
        (true, false, _) => 2,
        _ => 3,
    }
}

fn views(sources: &Sources<'_>, sockets: Vec<&Socket>) -> Vec<SocketView> {
    let view = |socket: &Socket| SocketView {
        host: (sources.host)(socket),
        asked_name: sources.flows.asked_name(socket).map(str::to_owned),
        since: sources.flows.since(socket),
        rates: sources.sample.rates(socket),
        namespace: elsewhere(sources.list, socket),
        interface: interface(sources, socket),
        trouble: trouble(socket, sources.networks.get(socket.namespace() as usize)),
        socket: socket.clone(),
    };
    sockets.into_iter().map(view).collect()
}

/// Returns the interface that a socket is bound to, or the zone of one of its link-local addresses.
fn interface(sources: &Sources<'_>, socket: &Socket) -> Option<String> {
    let scopes = [socket.local().scope, socket.foreign().scope];
    let scope = scopes.into_iter().find(|&scope| scope != 0);
    let index = socket.interface().map(u32::from).or(scope)?;
    let network = sources.networks.get(socket.namespace() as usize);
    Some(network.map_or_else(|| index.to_string(), |network| network.name_of(index)))
}

/// Returns the network namespace in which a socket was seen, safe to print; `None` for the caller's own.
fn elsewhere(list: &SocketList, socket: &Socket) -> Option<String> {
    let namespace = list.namespaces.get(socket.namespace() as usize)?;
    (!namespace.own).then(|| text::escape(&namespace.shown()).into_owned())
}

/// Returns the processes other than `pid` that hold one of `sockets`, without duplicates, in the order in which they
/// started.
fn sharers(owners: &Owners, sockets: &[&Socket], pid: u32) -> Vec<Sharer> {
    let mut found: Vec<Sharer> = Vec::new();
    for socket in sockets {
        let Owner::Held(holders) = owners.of(socket) else {
            continue;
        };
        for process in holders.iter().filter(|process| process.pid != pid) {
            if !found.iter().any(|known| known.pid == process.pid) {
                let (name, is_program) = match (&process.image, &process.comm) {
                    (Fact::Known(image), _) => (image.file_name().to_vec(), true),
                    (_, Fact::Known(comm)) => (comm.clone(), false),
                    _ => (Vec::new(), false),
                };
                found.push(Sharer {
                    pid: process.pid,
                    name,
                    is_program,
                });
            }
        }
    }
    found
}

/// Counts sockets by state; `open` lists all sockets of which the process has descriptors.
fn count_held(held: &[&Socket], open: Option<&Vec<u64>>) -> Held {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    let mut inodes = std::collections::HashSet::new();
    for socket in held {
        inodes.extend(socket.inode().map(|inode| u64::from(inode.get())));
        // For TCP, the state is more informative than the protocol; for the others, the protocol is.
        let word = match socket.protocol() {
            netstat_model::Protocol::Tcp => socket.state().name(),
            other => other.name(),
        };
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    counts.sort_by_key(|&(word, count)| (std::cmp::Reverse(count), word));
    let unlisted = match open {
        Some(open) => Fact::Known(open.iter().filter(|inode| !inodes.contains(inode)).count()),
        None => Fact::Unknown(Why::NotPermitted),
    };
    Held { counts, unlisted }
}

/// Removes duplicates: a preforking server may have several sockets for one port.
fn once(mut reach: Vec<super::reach::Reach>) -> Vec<super::reach::Reach> {
    let mut seen = Vec::new();
    reach.sort_by_key(|reach| (std::cmp::Reverse(reach.extent), reach.port, reach.address));
    for one in reach {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}
