//! Resolving owners, and reporting how that went.

use netstat_audit::script::Runs;
use netstat_model::process::ProcessFacts;
use netstat_model::text::escape;
use netstat_model::{
    Component, Fact, Filter, Holders, NoOwner, OwnerSummary, Owners, Process, Socket, SystemKind, Why,
};
use netstat_os::{OwnerSource, OwnersAsk, OwnersFound, ProcessAsk};

use crate::args::{OwnerMethod, Plan};
use crate::context::Diagnostics;
use crate::context::Progress;
use crate::context::{Context, Failure, program_path};

pub(super) fn source(plan: &Plan) -> OwnersAsk {
    let source = match plan.owners {
        OwnerMethod::Auto => OwnerSource::Auto,
        OwnerMethod::Ebpf => OwnerSource::Iterator,
        OwnerMethod::Proc => OwnerSource::Walk,
    };
    OwnersAsk {
        source,
        ..OwnersAsk::default()
    }
}

pub(super) fn find_owners(
    context: &mut Context<'_>,
    sockets: &[Socket],
    ask: &OwnersAsk,
) -> Result<OwnersFound, Failure> {
    let progress = Progress::start(context.terminal, "looking for owners");
    let found = context.system.owners(sockets, ask);
    drop(progress);
    let found = found.map(|mut found| {
        if ask.names {
            name_scripts(&mut found.owners);
        }
        found
    });
    found.map_err(|refused| Failure::Refused(refused.to_string()))
}

/// Adds the script that each interpreter runs.
pub(super) fn name_scripts(owners: &mut Owners) {
    for process in owners.processes_mut() {
        let Fact::Known(image) = &process.image else { continue };
        let program = image.file_name().to_vec();
        if let Fact::Known(invocation) = &mut process.invocation {
            invocation.script = match netstat_audit::script::runs(&program, &invocation.arguments) {
                Some(Runs::File(name) | Runs::Module(name)) => Some(name.to_vec()),
                _ => None,
            };
        }
    }
}

/// Reports once how many owners are missing and why, and with `--verbose`, how they were looked for.
pub(super) fn tell_owners(
    plan: &Plan,
    ask: &OwnersAsk,
    (system, superuser): (SystemKind, bool),
    sockets: &[Socket],
    found: OwnersFound,
    diagnostics: &mut Diagnostics,
) -> Owners {
    if plan.verbose {
        diagnostics.line(format!("owners: {}", found.how));
    }
    let summary = OwnerSummary::count(&found.owners, sockets);
    let nothing_read = summary.unknown() == summary.of(NoOwner::NoProcessList);
    if let Some(line) = summary.line(system, superuser)
        && (!nothing_read || found.limits.is_empty())
    {
        diagnostics.news(summary.reasons().map(str::to_owned), line);
    }
    let nameless = if ask.image { nameless(&found.owners) } else { 0 };
    if nameless > 0 {
        let hint = system.privilege_hint(superuser);
        let programs = if nameless == 1 { "program" } else { "programs" };
        diagnostics.line(format!(
            "{nameless} {programs} not shown although the PID is known: not permitted{hint}"
        ));
    }
    if !superuser && let Some(line) = summary.advice(system, &program_path()) {
        diagnostics.line(line);
    }
    diagnostics.limits(found.limits);
    found.owners
}

/// Reports that a filter matches nothing, and which programs with sockets have a similar name.
pub(super) fn say_no_match(filter: &Filter, owners: Option<&Owners>, diagnostics: &mut Diagnostics) {
    let mut near: Vec<(f64, String)> = Vec::new();
    for process in owners.map_or(&[][..], Owners::processes) {
        for name in process.names() {
            let name = netstat_model::text::file_name(name);
            let name = escape(name).into_owned();
            let likeness = |pattern: &String| {
                let pattern = pattern.trim_matches('*').to_lowercase();
                let name = name.to_lowercase();
                if name.contains(&pattern) {
                    1.0
                } else {
                    strsim::jaro_winkler(&pattern, &name)
                }
            };
            let best = filter.programs.patterns().iter().map(likeness).fold(0.0, f64::max);
            if best >= 0.8 && near.iter().all(|(_, known)| *known != name) {
                near.push((best, name));
            }
        }
    }
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let names: Vec<&str> = near.iter().take(3).map(|(_, name)| name.as_str()).collect();
    let near = match names.is_empty() {
        true => String::new(),
        false => format!("; similar names: {}", names.join(", ")),
    };
    diagnostics.line(format!("no socket matches {filter}{near}"));
}

/// Reports which of the filter's processes have their sockets in another network namespace, when the list of this
/// namespace is empty.
pub(super) fn say_elsewhere(filter: &Filter, context: &mut Context<'_>, diagnostics: &mut Diagnostics) {
    /// The maximum number of processes to name.
    const MOST: usize = 3;
    let Ok(pids) = context.system.processes() else { return };
    let ask = ProcessAsk {
        namespaces: true,
        arguments: true,
        program: true,
        components: true,
        ..ProcessAsk::default()
    };
    let mut elsewhere = Vec::new();
    for pid in pids {
        let chosen = filter.pids.is_empty() || filter.pids.contains(pid);
        let Some(facts) = chosen.then(|| context.system.process(pid, &ask).ok()).flatten() else {
            continue;
        };
        let foreign = facts.namespaces.network.known().is_some_and(|space| !space.ours);
        if foreign && filter.wants_holders(&Asked(&facts)) {
            elsewhere.push(format!("{} [{pid}]", escape(&facts.comm)));
        }
    }
    if elsewhere.is_empty() {
        return;
    }
    let more = elsewhere.len().saturating_sub(MOST);
    elsewhere.truncate(MOST);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    diagnostics.line(format!(
        "{}{more}: in another network namespace, where the sockets of this list are not (--all-namespaces lists them all)",
        elsewhere.join(", ")
    ));
}

/// A process, for matching against a filter.
struct Asked<'a>(&'a ProcessFacts);

impl Holders for Asked<'_> {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        wanted(self.0.pid)
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        let facts = self.0;
        let path = facts.program.as_ref().known().map(|program| &program.path);
        let words = facts.arguments.as_ref().known();
        let first = words.and_then(|words| words.first());
        let script = path.zip(words).and_then(|(path, words)| {
            let name = netstat_model::text::file_name(path);
            match netstat_audit::script::runs(name, words) {
                Some(Runs::File(name) | Runs::Module(name)) => Some(name.to_vec()),
                _ => None,
            }
        });
        [path, Some(&facts.comm), first, script.as_ref()]
            .into_iter()
            .flatten()
            .any(|name| wanted(name))
    }

    fn any_unit(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        let components = self.0.components.as_ref().known().map_or(&[][..], Vec::as_slice);
        components.iter().any(|component| match component {
            Component::Unit { name, .. } | Component::Service { name } | Component::Package { name } => wanted(name),
            Component::Container { runtime, id } => {
                wanted(id) || wanted(&[runtime.name().as_bytes(), b" ", id].concat())
            }
        })
    }
}

/// Reports how many sockets a filter by process has left out because their owners are unknown.
pub(super) fn tell_unfiltered(
    filter: &Filter,
    owners: &Owners,
    sockets: &[Socket],
    (system, superuser): (SystemKind, bool),
    diagnostics: &mut Diagnostics,
) {
    let forbidden = |socket: &&Socket| {
        matches!(
            owners.of(socket),
            netstat_model::Owner::None(NoOwner::NotPermitted { .. })
        )
    };
    let count = sockets.iter().filter(forbidden).count();
    if count > 0 {
        let sockets = if count == 1 { "socket is" } else { "sockets are" };
        let hint = system.privilege_hint(superuser);
        diagnostics.line(format!(
            "{count} {sockets} left out because their owner may not be seen: {filter} asks for it{hint}"
        ));
    }
}

/// Returns the number of known processes whose program file may not be read.
pub(super) fn nameless(owners: &Owners) -> usize {
    let forbidden = |process: &&Process| process.image.why() == Some(Why::NotPermitted);
    owners.processes().iter().filter(forbidden).count()
}
