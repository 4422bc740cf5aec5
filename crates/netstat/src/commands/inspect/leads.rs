//! Determines from the targets the processes and sockets that cards are about.

use std::time::Duration;

use netstat_model::{NoOwner, Owner, Owners, Socket, text::plain_error};
use netstat_names::addresses;
use netstat_os::{NoProcess, ProcessAsk};

use super::endpoint::LookedUp;
use super::gather::Lead;
use super::search::{Found, World};
use super::stand_in;
use super::target::{Kind, Target};
use crate::context::{Context, Progress};

/// Returns what a target matches. A host name is looked up only if nothing else has that name.
pub(super) fn find(
    world: &World<'_>,
    target: &Target,
    deadline: Duration,
    progress: &Progress,
) -> (Found, Vec<String>) {
    let mut remarks = Vec::new();
    let mut looked_up = LookedUp::new();
    for name in target.kind.names() {
        progress.stage(|| "looking up a host name".to_owned());
        match addresses(name, deadline) {
            Ok(addresses) => {
                looked_up.insert(name.to_owned(), addresses);
            }
            Err(error) => remarks.push(format!(
                "no host of the name {}: {}",
                netstat_model::text::escape_str(name),
                plain_error(&error)
            )),
        }
    }
    let mut found = world.find(&target.kind, &looked_up);
    if let Kind::Number {
        port: Some(port),
        pid: Some(_),
    } = &target.kind
        && !found.sockets.is_empty()
        && !found.pids.is_empty()
    {
        remarks.push(format!(
            "both a port and a process: tcp:{port} or pid:{port} means one of them"
        ));
    }
    if found.is_empty()
        && let Some(names) = target.kind.unit()
    {
        let (places, unit) = stand_in::waits_for(&names, world.sockets);
        found.sockets = places;
        if let Some(unit) = unit {
            remarks.push(format!(
                "{} waits for {}, which runs once somebody comes",
                unit.name, unit.service
            ));
        }
    }
    if found.is_empty()
        && let Some(name) = target.kind.host()
    {
        progress.stage(|| "looking up a host name".to_owned());
        match addresses(name, deadline) {
            Ok(addresses) => {
                found = world.find_addresses(&addresses);
                let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                remarks.push(format!("the host has the address {}", shown.join(", ")));
            }
            Err(error) => remarks.push(format!("no host of that name: {}", plain_error(&error))),
        }
    }
    (found, remarks)
}

/// Returns what exists instead of a target that matched nothing.
pub(super) fn near(
    context: &mut Context<'_>,
    world: &World<'_>,
    target: &Target,
    mut remarks: Vec<String>,
) -> Vec<String> {
    if let Some(pid) = target.kind.pid() {
        match context.system.process(pid, &ProcessAsk::default()) {
            Err(NoProcess::ThreadOf(process)) => {
                remarks.push(format!("{pid} is a thread of process {process}: try pid:{process}"));
            }
            Err(NoProcess::Failed(why)) => remarks.push(format!("process {pid} could not be read: {why}")),
            Err(NoProcess::None) | Ok(_) => {}
        }
    }
    // A program is known by its actual file, not by a link to it.
    if target.word.starts_with('/')
        && let Ok(file) = std::fs::canonicalize(&target.word)
        && file.as_os_str() != target.word.as_str()
    {
        remarks.push(format!("it leads to {}", file.display()));
    }
    let near = world.near(target);
    if !near.is_empty() {
        remarks.push(format!("near: {}", near.join(", ")));
    }
    remarks
}

/// Keys and what led to each of them, in order of discovery.
pub(super) type Leads<K> = Vec<(K, Lead)>;

/// Returns the leads by process in order of discovery, and those without an owner by reason.
pub(super) fn leads(
    sockets: &[Socket],
    owners: &Owners,
    answers: Vec<(&Target, Found)>,
) -> (Leads<u32>, Leads<NoOwner>) {
    let (mut pids, mut nobody) = (Leads::<u32>::new(), Leads::<NoOwner>::new());
    fn add<K: PartialEq>(leads: &mut Leads<K>, key: K, word: &str, socket: Option<usize>) {
        let place = leads.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            leads.push((key, Lead::default()));
            leads.len() - 1
        });
        let lead = &mut leads[place].1;
        if !lead.targets.iter().any(|known| known == word) {
            lead.targets.push(word.to_owned());
        }
        if let Some(socket) = socket.filter(|socket| !lead.sockets.contains(socket)) {
            lead.sockets.push(socket);
        }
    }
    for (target, found) in answers {
        for place in found.sockets {
            let socket = &sockets[place];
            match owners.of(socket) {
                Owner::Held(holders) => add(&mut pids, holders.first().pid, &target.word, Some(place)),
                Owner::None(reason) => add(&mut nobody, reason, &target.word, Some(place)),
            }
        }
        for pid in found.pids {
            add(&mut pids, pid, &target.word, None);
        }
    }
    (pids, nobody)
}

/// Returns the other holders of the sockets that led to a process, with the same leads, up to a limit.
pub(super) fn sharers(sockets: &[Socket], owners: &Owners, pids: &Leads<u32>) -> Leads<u32> {
    /// Judging a process takes about a millisecond.
    const MOST: usize = 200;
    let mut sharers = Leads::<u32>::new();
    for (_, lead) in pids {
        for &place in &lead.sockets {
            let Owner::Held(holders) = owners.of(&sockets[place]) else {
                continue;
            };
            for process in holders
                .iter()
                .filter(|process| pids.iter().all(|(pid, _)| *pid != process.pid))
            {
                let known = sharers.iter().position(|(pid, _)| *pid == process.pid);
                if known.is_none() && sharers.len() == MOST {
                    return sharers;
                }
                let at = known.unwrap_or_else(|| {
                    let targets = lead.targets.clone();
                    sharers.push((
                        process.pid,
                        Lead {
                            targets,
                            sockets: Vec::new(),
                        },
                    ));
                    sharers.len() - 1
                });
                if !sharers[at].1.sockets.contains(&place) {
                    sharers[at].1.sockets.push(place);
                }
            }
        }
    }
    sharers
}
