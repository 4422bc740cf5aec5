//! Reads detailed facts about one process.

use std::collections::BTreeMap;

use netstat_model::process::{
    Ancestor, FileStatus, IntegrityLevel, Mapped, Mapping, MemoryUse, ProcessFacts, Program, Protection, Signature,
    WindowsProcess,
};
use netstat_model::{Component, Fact, Why};

use super::processes::{ProcessEntry, SYSTEM};
use super::source::{self, Region, Source};
use super::text::{to_bytes, to_units};
use super::{arguments, host, owners, paths, services, time};
use crate::{NoProcess, ProcessAsk};

/// The maximum number of ancestors that are followed, because reused ids could form a cycle.
const GENERATIONS: usize = 64;

/// Reads the facts about process `pid` in `list` that `ask` requests.
pub(super) fn read(
    source: &mut impl Source,
    list: &[ProcessEntry],
    pid: u32,
    ask: &ProcessAsk,
) -> Result<ProcessFacts, NoProcess> {
    let entry = find(list, pid).filter(|_| pid != 0).ok_or(NoProcess::None)?;
    let mut facts = ProcessFacts::bare(pid, entry.created, Why::NotAsked);
    facts.comm.clone_from(&entry.name);
    facts.started = Fact::from_option(time::wall(entry.created), Why::NotKept);
    facts.parent = parent(list, entry).map_or(0, |parent| parent.pid);
    facts.session = entry.session;
    facts.threads = entry.threads;
    facts.kernel_thread = pid == SYSTEM;
    if ask.environment {
        facts.environment = Fact::Unknown(Why::NotSupported);
    }
    if ask.arguments {
        facts.arguments = command(source, pid);
    }
    let drives = source.drives();
    if ask.program {
        facts.program = program(source, entry, &drives);
    }
    if ask.components {
        facts.components = components(source, pid);
    }
    if ask.memory {
        facts.memory = Fact::Known(MemoryUse {
            resident: entry.working_set,
            private: entry.private_working_set,
            shared: entry.working_set.saturating_sub(entry.private_working_set),
            proportional: entry.working_set,
            swapped: 0,
        });
        if entry.private_working_set == 0 {
            facts.memory = Fact::Unknown(Why::NotKept);
        }
    }
    if ask.executable {
        facts.executable = match source.regions(pid) {
            Ok(regions) => Fact::Known(regions.iter().map(|region| mapping(region, &drives)).collect()),
            Err(why) => Fact::Unknown(why),
        };
    }
    if ask.ancestors {
        facts.ancestors = Fact::Known(ancestors(source, list, entry, &drives));
    }
    let mut windows = WindowsProcess::unknown(Why::NotAsked);
    if ask.standing {
        rights(source, pid, &mut windows);
    }
    facts.windows = Some(Box::new(windows));
    not_here(&mut facts, ask);
    Ok(facts)
}

/// Fills in the user and the privileges of the process.
fn rights(source: &mut impl Source, pid: u32, windows: &mut WindowsProcess) {
    match source.token(pid) {
        Ok(token) => {
            windows.sid = Fact::Known(token.sid.into_bytes());
            windows.user = Fact::from_option(token.user.as_deref().map(to_bytes), Why::NotKept);
            windows.elevated = Fact::Known(token.elevated);
            windows.integrity = Fact::from_option(token.integrity.map(IntegrityLevel), Why::NotKept);
            windows.app_container = Fact::Known(token.app_container);
        }
        Err(why) => {
            windows.sid = Fact::Unknown(why);
            windows.user = Fact::Unknown(why);
            windows.elevated = Fact::Unknown(why);
            windows.integrity = Fact::Unknown(why);
            windows.app_container = Fact::Unknown(why);
        }
    }
    windows.protection = match source.protection(pid) {
        Ok(byte) => Fact::Known(Protection(byte)),
        Err(why) => Fact::Unknown(why),
    };
}

/// The trustworthiness of an executable file: its signature, and who may change it and add files next to it.
#[derive(Clone, Debug)]
pub(super) struct Worth {
    signature: Fact<Signature>,
    file_access: Fact<netstat_model::process::FileAccess>,
    directory_access: Fact<netstat_model::process::FileAccess>,
}

impl Worth {
    /// Examines the file at `path`, which is read as a whole.
    pub(super) fn of(source: &mut impl Source, path: &[u8]) -> Worth {
        if !path.contains(&b'\\') {
            // A bare file name cannot be located.
            return Worth::unknown(Why::NotPermitted);
        }
        let signature = match source.signature(&to_units(path)) {
            Ok(source::Signature::Valid { signer, catalogue }) => Fact::Known(Signature::Valid {
                signer: to_bytes(&signer),
                catalogue,
            }),
            Ok(source::Signature::None) => Fact::Known(Signature::None),
            Ok(source::Signature::NotInFile) => Fact::Known(Signature::NotInFile),
            Ok(source::Signature::Invalid(code)) => Fact::Known(Signature::Invalid(code)),
            Err(why) => Fact::Unknown(why),
        };
        let directory = path.iter().rposition(|&byte| byte == b'\\');
        // The root directory of a drive keeps its backslash.
        let directory = directory.map_or(path, |last| &path[..last.max(3).min(path.len())]);
        Worth {
            signature,
            file_access: host::access(source, path, false),
            directory_access: host::access(source, directory, true),
        }
    }

    pub(super) fn unknown(why: Why) -> Worth {
        Worth {
            signature: Fact::Unknown(why),
            file_access: Fact::Unknown(why),
            directory_access: Fact::Unknown(why),
        }
    }

    /// Stores the results in `facts`.
    pub(super) fn tell(self, facts: &mut ProcessFacts) {
        if let Some(windows) = &mut facts.windows {
            windows.signature = self.signature;
            windows.file_access = self.file_access;
            windows.directory_access = self.directory_access;
        }
    }
}

/// Marks facts that do not exist on Windows as not applicable, and not as unrequested.
fn not_here(facts: &mut ProcessFacts, ask: &ProcessAsk) {
    const WHY: Why = Why::NotApplicable;
    if ask.places {
        (facts.directory, facts.root) = (Fact::Unknown(WHY), Fact::Unknown(WHY));
    }
    if ask.namespaces {
        facts.namespaces = netstat_model::process::Namespaces::unknown(WHY);
    }
    if ask.standing {
        facts.users = Fact::Unknown(WHY);
        facts.groups = Fact::Unknown(WHY);
        facts.other_groups = Fact::Unknown(WHY);
        facts.login_user = Fact::Unknown(WHY);
        facts.capabilities = Fact::Unknown(WHY);
        facts.tracer = Fact::Unknown(WHY);
        facts.no_new_privileges = Fact::Unknown(WHY);
        facts.seccomp = Fact::Unknown(WHY);
        facts.label = Fact::Unknown(WHY);
        facts.inner_pids = Fact::Unknown(WHY);
    }
    if ask.components {
        facts.cgroup = Fact::Unknown(WHY);
    }
    if ask.descriptors != crate::DescriptorsAsk::Nothing {
        facts.descriptors = Fact::Unknown(Why::NotSupported);
    }
}

fn find(list: &[ProcessEntry], pid: u32) -> Option<&ProcessEntry> {
    let place = list.binary_search_by_key(&pid, |entry| entry.pid).ok()?;
    list.get(place)
}

/// Returns the process that started `entry`, if it still runs. A process that started later merely has the same id.
fn parent<'l>(list: &'l [ProcessEntry], entry: &ProcessEntry) -> Option<&'l ProcessEntry> {
    let parent = find(list, entry.parent).filter(|parent| parent.pid != 0)?;
    (parent.created <= entry.created).then_some(parent)
}

fn command(source: &mut impl Source, pid: u32) -> Fact<Vec<Vec<u8>>> {
    if pid == SYSTEM {
        return Fact::Known(Vec::new());
    }
    match source.command_line(pid) {
        Ok(line) => Fact::Known(arguments::split(&line)),
        Err(why) => Fact::Unknown(why),
    }
}

fn program(source: &mut impl Source, entry: &ProcessEntry, drives: &[(Vec<u16>, Vec<u16>)]) -> Fact<Program> {
    let image = match owners::image(source, entry.pid, Some(entry), drives) {
        Fact::Known(image) => image,
        Fact::Unknown(why) => return Fact::Unknown(why),
    };
    let file = |path: &[u8]| match std::str::from_utf8(path) {
        // A bare file name cannot be located.
        Ok(text) if path.contains(&b'\\') => match crate::files::path_facts(std::path::Path::new(text)) {
            Ok(facts) => Fact::Known(facts),
            Err(error) => Fact::Unknown(crate::files::why(&error)),
        },
        _ => Fact::Unknown(Why::NotPermitted),
    };
    let current = file(&image.path);
    Fact::Known(Program {
        reported: image.path.clone(),
        place: match &current {
            Fact::Unknown(Why::Gone) => FileStatus::Removed,
            _ => FileStatus::There,
        },
        path: image.path,
        running: match current {
            Fact::Known(facts) => Fact::Known(facts),
            Fact::Unknown(Why::Gone) => Fact::Unknown(Why::NotKept),
            Fact::Unknown(why) => Fact::Unknown(why),
        },
        current,
        file_system: Fact::Unknown(Why::NotApplicable),
        directories: Fact::Unknown(Why::NotSupported),
    })
}

fn components(source: &mut impl Source, pid: u32) -> Fact<Vec<Component>> {
    let services: BTreeMap<u32, Vec<Vec<u8>>> = match source.services() {
        Ok((buffer, count)) => match services::by_process(&buffer, count) {
            Ok(services) => services,
            Err(_) => return Fact::Unknown(Why::Failed),
        },
        Err(error) => return Fact::Unknown(crate::files::why(&error)),
    };
    let mut found: Vec<Component> = services
        .get(&pid)
        .into_iter()
        .flatten()
        .map(|name| Component::Service { name: name.clone() })
        .collect();
    if let Ok(Some(name)) = source.package(pid) {
        found.push(Component::Package { name: to_bytes(&name) });
    }
    Fact::Known(found)
}

fn mapping(region: &Region, drives: &[(Vec<u16>, Vec<u16>)]) -> Mapping {
    /// `PAGE_EXECUTE_READWRITE` and `PAGE_EXECUTE_WRITECOPY` (winnt.h).
    const WRITABLE: u32 = 0x40 | 0x80;
    /// `MEM_MAPPED`.
    const MAPPED: u32 = 0x40000;
    Mapping {
        start: region.start,
        end: region.start.saturating_add(region.size),
        writable: region.protection & WRITABLE != 0,
        shared: region.kind == MAPPED,
        offset: 0,
        device: (0, 0),
        inode: 0,
        what: match &region.file {
            Some(path) => Mapped::File {
                path: paths::drive_path(path, drives),
                deleted: false,
            },
            None => Mapped::Anonymous,
        },
    }
}

fn ancestors(
    source: &mut impl Source,
    list: &[ProcessEntry],
    entry: &ProcessEntry,
    drives: &[(Vec<u16>, Vec<u16>)],
) -> Vec<Ancestor> {
    let mut found = Vec::new();
    let mut at = entry;
    while let Some(parent) = parent(list, at) {
        if found.len() == GENERATIONS || found.iter().any(|known: &Ancestor| known.pid == parent.pid) {
            break;
        }
        found.push(Ancestor {
            pid: parent.pid,
            start_ticks: parent.created,
            parent: self::parent(list, parent).map_or(0, |next| next.pid),
            comm: parent.name.clone(),
            path: owners::image(source, parent.pid, Some(parent), drives).map(|image| image.path),
            arguments: command(source, parent.pid),
        });
        at = parent;
    }
    found
}
