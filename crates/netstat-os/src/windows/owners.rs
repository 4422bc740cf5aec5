//! Finds the owners of sockets: the row of a socket contains the process id; the rest is queried once for each process.

use std::collections::{BTreeMap, BTreeSet};

use netstat_model::{
    Component, Fact, FoundBy, ImageName, Invocation, Limit, NoOwner, OwnersBuilder, Process, Socket, Why,
    text::plain_error,
};

use super::arguments;
use super::listing::RowFacts;
use super::paths::drive_path;
use super::processes::{self, ProcessEntry, SYSTEM};
use super::services;
use super::source::Source;
use super::text::to_bytes;
use crate::{OwnersAsk, OwnersFound, Refused};

/// Returns the owners of `sockets`, which are from the last list that `facts` belongs to.
pub(super) fn find(
    source: &mut impl Source,
    sockets: &[Socket],
    ask: &OwnersAsk,
    facts: &mut RowFacts,
) -> Result<OwnersFound, Refused> {
    let mut builder = OwnersBuilder::default();
    builder.found_by(FoundBy::Row);
    let mut limits = Vec::new();
    let mut wanted: BTreeMap<u32, Vec<&Socket>> = BTreeMap::new();
    for socket in sockets {
        if let Some(pid) = socket.row_process().filter(|&pid| pid != 0) {
            wanted.entry(pid).or_default().push(socket);
        }
    }
    // A listing with only process ids neither opens a process nor lists them.
    let deep = ask.start || ask.image || ask.names || ask.components;
    let listed = match deep && !wanted.is_empty() {
        true => match source.processes().map(|buffer| processes::processes(&buffer)) {
            Ok(Ok(list)) => Some(list),
            Ok(Err(error)) => limit(&mut limits, "the names of programs are missing", plain_error(&error)),
            Err(error) => limit(&mut limits, "the names of programs are missing", plain_error(&error)),
        },
        false => None,
    };
    let services = match ask.components && !wanted.is_empty() {
        true => running_services(source, &mut limits),
        false => None,
    };
    let drives = if ask.image { source.drives() } else { Vec::new() };
    for (pid, held) in wanted {
        let entry = listed.as_ref().and_then(|list| {
            list.binary_search_by_key(&pid, |entry| entry.pid)
                .ok()
                .map(|at| &list[at])
        });
        if let (Some(_), None) = (&listed, entry) {
            builder.reason(pid, NoOwner::Ended);
            continue;
        }
        // A process that started after its socket is a later one with the same id.
        let before = |socket: &&&Socket| {
            let created = facts.of(socket).map_or(0, |(created, _)| created);
            match entry {
                Some(entry) if created != 0 && entry.created != 0 => entry.created <= created,
                _ => true,
            }
        };
        if deep && !held.is_empty() && held.iter().filter(before).count() == 0 {
            builder.reason(pid, NoOwner::Ended);
            continue;
        }
        let tags: BTreeSet<u32> = held
            .iter()
            .filter_map(|socket| facts.of(socket))
            .map(|(_, tag)| tag)
            .collect();
        let asked = Asked {
            ask,
            drives: &drives,
            services: services.as_ref(),
            tags,
        };
        builder.add(process(source, pid, entry, &asked), [pid]);
    }
    Ok(OwnersFound {
        owners: builder.finish(NoOwner::Ended),
        limits,
        how: "by the process id in each row of the system's tables".to_owned(),
    })
}

fn limit<T>(limits: &mut Vec<Limit>, what: &str, why: String) -> Option<T> {
    limits.push(Limit {
        what: what.to_owned(),
        why,
        remedy: None,
    });
    None
}

fn running_services(source: &mut impl Source, limits: &mut Vec<Limit>) -> Option<BTreeMap<u32, Vec<Vec<u8>>>> {
    let read = source
        .services()
        .map_err(|error| plain_error(&error))
        .and_then(|(buffer, count)| services::by_process(&buffer, count).map_err(|error| plain_error(&error)));
    match read {
        Ok(found) => Some(found),
        Err(why) => limit(limits, "the names of services are missing", why),
    }
}

struct Asked<'a> {
    ask: &'a OwnersAsk,
    drives: &'a [(Vec<u16>, Vec<u16>)],
    services: Option<&'a BTreeMap<u32, Vec<Vec<u8>>>>,
    /// The service tags of its sockets.
    tags: BTreeSet<u32>,
}

fn process(source: &mut impl Source, pid: u32, entry: Option<&ProcessEntry>, asked: &Asked<'_>) -> Process {
    let ask = asked.ask;
    Process {
        pid,
        start_ticks: Fact::from_option(entry.map(|entry| entry.created), Why::NotAsked),
        comm: Fact::from_option(entry.map(|entry| entry.name.clone()), Why::NotAsked),
        image: match ask.image {
            true => image(source, pid, entry, asked.drives),
            false => Fact::Unknown(Why::NotAsked),
        },
        invocation: match ask.names {
            true => invocation(source, pid),
            false => Fact::Unknown(Why::NotAsked),
        },
        components: match ask.components {
            true => components(source, pid, asked),
            false => Fact::Unknown(Why::NotAsked),
        },
    }
}

/// Returns the path of a program: through a process handle, or from the kernel's name for it, which requires no access
/// rights; otherwise at least the file name, which the process list shows to every user.
pub(super) fn image(
    source: &mut impl Source,
    pid: u32,
    entry: Option<&ProcessEntry>,
    drives: &[(Vec<u16>, Vec<u16>)],
) -> Fact<ImageName> {
    if pid == SYSTEM {
        return Fact::Unknown(Why::NotApplicable);
    }
    let created = entry.map_or(0, |entry| entry.created);
    let path = match source.image(pid) {
        Ok((path, started)) if created == 0 || started == created => Ok(to_bytes(&path)),
        // The id belongs to another process now.
        Ok(_) => Err(Why::Gone),
        Err(why) => match source.native_image(pid) {
            Ok(native) if !native.is_empty() => Ok(drive_path(&native, drives)),
            _ => Err(why),
        },
    };
    match (path, entry) {
        (Ok(path), _) => Fact::Known(ImageName { path, deleted: false }),
        (Err(Why::NotPermitted | Why::NotSupported | Why::Failed), Some(entry)) if !entry.name.is_empty() => {
            Fact::Known(ImageName {
                path: entry.name.clone(),
                deleted: false,
            })
        }
        (Err(why), _) => Fact::Unknown(why),
    }
}

fn invocation(source: &mut impl Source, pid: u32) -> Fact<Invocation> {
    match source.command_line(pid) {
        Ok(line) => Fact::Known(Invocation {
            arguments: arguments::split(&line),
            script: None,
        }),
        Err(why) => Fact::Unknown(why),
    }
}

/// Returns what a process runs for: the service that its sockets are tagged with, or all services in it; otherwise its
/// package.
fn components(source: &mut impl Source, pid: u32, asked: &Asked<'_>) -> Fact<Vec<Component>> {
    let Some(services) = asked.services else {
        return Fact::Unknown(Why::Failed);
    };
    if let Some(names) = services.get(&pid) {
        let mut exact = Vec::new();
        if names.len() > 1 && !asked.tags.is_empty() && !asked.tags.contains(&0) && source.is_elevated() {
            for &tag in &asked.tags {
                match source.service_of_tag(pid, tag) {
                    Ok(name) => exact.push(to_bytes(&name)),
                    // If one tag cannot be resolved, the others do not describe the whole process.
                    Err(_) => {
                        exact.clear();
                        break;
                    }
                }
            }
        }
        let chosen = if exact.is_empty() { names.clone() } else { exact };
        return Fact::Known(chosen.into_iter().map(|name| Component::Service { name }).collect());
    }
    Fact::Known(match source.package(pid) {
        Ok(Some(name)) => vec![Component::Package { name: to_bytes(&name) }],
        _ => Vec::new(),
    })
}
