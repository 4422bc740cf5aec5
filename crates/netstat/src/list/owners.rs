//! Looking for owners, and what is said about it.

use netstat_model::{Filter, NoOwner, OwnerSummary, Owners, Process, Socket, Why};
use netstat_os::{OwnerSource, OwnersAsk, OwnersFound};

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
    found.map_err(|refused| Failure::Refused(refused.to_string()))
}

/// Says once how many owners are missing and why, and with `--verbose` how they were looked for.
pub(super) fn tell_owners(
    plan: &Plan,
    ask: &OwnersAsk,
    superuser: bool,
    sockets: &[Socket],
    found: OwnersFound,
    diagnostics: &mut Diagnostics,
) -> Owners {
    if plan.verbose {
        diagnostics.line(format!("owners: {}", found.how));
    }
    let summary = OwnerSummary::count(&found.owners, sockets);
    let nothing_read = summary.unknown() == summary.of(NoOwner::NoProcessList);
    if let Some(line) = summary.line(superuser)
        && (!nothing_read || found.limits.is_empty())
    {
        diagnostics.news(summary.reasons().map(str::to_owned), line);
    }
    let nameless = if ask.image { nameless(&found.owners) } else { 0 };
    if nameless > 0 {
        let hint = if superuser { "" } else { " (try sudo)" };
        let programs = if nameless == 1 { "program" } else { "programs" };
        diagnostics.line(format!(
            "{nameless} {programs} not shown although the PID is known: not permitted{hint}"
        ));
    }
    if !superuser && let Some(line) = summary.advice(&program_path()) {
        diagnostics.line(line);
    }
    diagnostics.limits(found.limits);
    found.owners
}

/// Says how many sockets a filter by process has left out without knowing whose they are.
pub(super) fn tell_unfiltered(
    filter: &Filter,
    owners: &Owners,
    sockets: &[Socket],
    superuser: bool,
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
        let hint = if superuser { "" } else { " (try sudo)" };
        diagnostics.line(format!(
            "{count} {sockets} left out because their owner may not be seen: {filter} asks for it{hint}"
        ));
    }
}

/// How many processes are known whose program file may not be read.
pub(super) fn nameless(owners: &Owners) -> usize {
    let forbidden = |process: &&Process| process.image.why() == Some(Why::NotPermitted);
    owners.processes().iter().filter(forbidden).count()
}
