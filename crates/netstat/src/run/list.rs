//! The parts made of sockets: the connection list and the ports by process.

use netstat_model::{
    Endpoint, NoOwner, OwnerSummary, Owners, Process, Protocol, Socket, Why, classic_order, remove_repeats,
    sort_classic,
};
use netstat_names::{HostStyle, Names, ReverseDns, Services};
use netstat_os::{OwnerSource, OwnersAsk, OwnersFound, SocketList};

use rayon::slice::ParallelSliceMut;

use super::talk::Talk;
use super::{Failure, Surroundings, listed_states};
use crate::args::{ListPlan, Naming, OwnerMethod, Plan, Which};
use crate::progress::Progress;
use crate::render;
use crate::render::connections::{Column, ForeignNames, View};

/// What is kept from print to print.
#[derive(Debug, Default)]
pub(super) struct Lister {
    names: Option<NameView>,
}

impl Lister {
    /// Prints what `plan` wants of `sockets`, which end up sorted and cut to the rows of the list.
    pub(super) fn print(
        &mut self,
        plan: &Plan,
        surroundings: &mut Surroundings<'_>,
        sockets: &mut SocketList,
        talk: &mut Talk,
    ) -> Result<(), Failure> {
        if sockets.failed && sockets.sockets.is_empty() {
            // A heading without rows would say that there is no connection.
            return Ok(());
        }
        if !plan.filter.is_empty() {
            // The system may have been asked for more, for the counts of -s.
            sockets.sockets.retain(|socket| plan.filter.wants(socket));
        }
        if plan.processes {
            let ask = OwnersAsk {
                image: true,
                ..source(plan)
            };
            let found = find_owners(surroundings, &sockets.sockets, &ask)?;
            render::processes::write(surroundings.out, &sockets.sockets, &found.owners)?;
            tell_owners(
                plan,
                &ask,
                surroundings.system.is_superuser(),
                &sockets.sockets,
                found,
                talk,
            );
        }
        let Some(list) = &plan.list else { return Ok(()) };
        cut(plan, list, sockets);
        let tcp = list.tcp4 || list.tcp6;
        if !tcp && !plan.filter.states.is_empty() {
            talk.line("UDP has no states, so --state leaves out all of its sockets");
        }
        sort(&mut sockets.sockets);
        let columns = columns(list);
        let ask = OwnersAsk {
            image: list.program_lines || list.pid_program_column,
            components: list.program_lines,
            ..source(plan)
        };
        let owners = match list.pid || ask.image {
            true => Some(find_owners(surroundings, &sockets.sockets, &ask)?),
            false => None,
        };
        if list.names != Naming::Numeric {
            self.resolve(plan, list, surroundings, &sockets.sockets, talk);
        }
        let view = View {
            columns: &columns,
            owners: owners.as_ref().map(|found| &found.owners),
            program_lines: list.program_lines,
            names: self.names.as_ref().map(|names| names as &dyn ForeignNames),
        };
        render::connections::write(surroundings.out, &sockets.sockets, &view)?;
        if list.time_in_state {
            talk.line("Linux tells the time in a state for TIME_WAIT only; elsewhere the column shows -");
        }
        if let Some(found) = owners {
            tell_owners(
                plan,
                &ask,
                surroundings.system.is_superuser(),
                &sockets.sockets,
                found,
                talk,
            );
        }
        Ok(())
    }

    /// Asks for the names of the foreign sides, with the plan's deadline for all of them together.
    fn resolve(
        &mut self,
        plan: &Plan,
        list: &ListPlan,
        surroundings: &mut Surroundings<'_>,
        sockets: &[Socket],
        talk: &mut Talk,
    ) {
        let own = surroundings.system.own_addresses().unwrap_or_else(|why| {
            talk.line(format!("own addresses are shown as numbers: {why}"));
            Vec::new()
        });
        let names = match &mut self.names {
            Some(names) => {
                // Addresses come and go while a list repeats.
                names.names.set_own(own);
                names
            }
            none => {
                let style = match list.names {
                    Naming::Full => HostStyle::Full,
                    Naming::FirstLabel | Naming::Numeric => HostStyle::FirstLabel,
                };
                let computer = surroundings.system.computer_name();
                none.insert(NameView {
                    names: Names::new(&computer, own, style, Services::system(), ReverseDns::system()),
                })
            }
        };
        let progress = Progress::start(surroundings.terminal, "looking up names");
        let peers = sockets
            .iter()
            .filter(|socket| socket.is_connected())
            .map(Socket::foreign);
        // A print must not outlast the interval for want of a name.
        let deadline = plan
            .interval
            .map_or(plan.dns_timeout, |interval| interval.min(plan.dns_timeout));
        let summary = names.names.resolve(peers, deadline, &mut |done, total| {
            progress.stage(|| format!("looking up names: {done} of {total} addresses"));
        });
        drop(progress);
        if summary.timed_out > 0 {
            let seconds = deadline.as_secs_f64();
            talk.line(format!(
                "{} of {} foreign addresses had no name within {seconds} s and are shown as numbers (--dns-timeout)",
                summary.timed_out, summary.total
            ));
        }
    }
}

/// Leaves only the rows of the list: the other parts of the plan may have needed more.
fn cut(plan: &Plan, list: &ListPlan, sockets: &mut SocketList) {
    let states = listed_states(list.states, plan.filter.states);
    let more_was_read = plan.processes || plan.statistics.is_some();
    if !more_was_read && list.states != Which::ListeningOnly {
        return;
    }
    sockets.sockets.retain(|socket| {
        let family = match (socket.protocol(), socket.family()) {
            (Protocol::Tcp, netstat_model::Family::V4) => list.tcp4,
            (Protocol::Tcp, netstat_model::Family::V6) => list.tcp6,
            (Protocol::Udp, netstat_model::Family::V4) => list.udp4,
            (Protocol::Udp, netstat_model::Family::V6) => list.udp6,
            (Protocol::Raw | Protocol::Mptcp | Protocol::Packet | Protocol::Unix, _)
            | (_, netstat_model::Family::Packet | netstat_model::Family::Unix) => false,
        };
        let state = match socket.protocol() {
            Protocol::Tcp | Protocol::Mptcp => states.contains(&socket.state()),
            // A socket without a peer takes datagrams from anyone: UDP's way of listening.
            Protocol::Udp | Protocol::Raw | Protocol::Packet | Protocol::Unix => {
                list.states != Which::ListeningOnly || !socket.is_connected()
            }
        };
        family && state
    });
}

/// From this many rows on, sorting with several threads pays for starting them.
const MANY: usize = 50_000;

fn sort(sockets: &mut Vec<Socket>) {
    if sockets.len() < MANY {
        sort_classic(sockets);
    } else {
        sockets.par_sort_unstable_by(classic_order);
    }
    remove_repeats(sockets);
}

fn columns(list: &ListPlan) -> Vec<Column> {
    [
        (list.pid, Column::Pid),
        (list.dscp, Column::Dscp),
        (list.time_in_state, Column::TimeInState),
        (list.pid_program_column, Column::PidProgram),
    ]
    .into_iter()
    .filter_map(|(wanted, column)| wanted.then_some(column))
    .collect()
}

fn source(plan: &Plan) -> OwnersAsk {
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

fn find_owners(
    surroundings: &mut Surroundings<'_>,
    sockets: &[Socket],
    ask: &OwnersAsk,
) -> Result<OwnersFound, Failure> {
    let progress = Progress::start(surroundings.terminal, "looking for owners");
    let found = surroundings.system.owners(sockets, ask);
    drop(progress);
    found.map_err(|refused| Failure::Refused(refused.to_string()))
}

/// Says once how many owners are missing and why, and with `--verbose` how they were looked for.
fn tell_owners(plan: &Plan, ask: &OwnersAsk, superuser: bool, sockets: &[Socket], found: OwnersFound, talk: &mut Talk) {
    if plan.verbose {
        talk.line(format!("owners: {}", found.how));
    }
    let summary = OwnerSummary::count(&found.owners, sockets);
    let nothing_read = summary.unknown() == summary.of(NoOwner::NoProcessList);
    if let Some(line) = summary.line(superuser)
        && (!nothing_read || found.limits.is_empty())
    {
        talk.news(summary.reasons().map(str::to_owned), line);
    }
    let nameless = if ask.image { nameless(&found.owners) } else { 0 };
    if nameless > 0 {
        let hint = if superuser { "" } else { " (try sudo)" };
        let programs = if nameless == 1 { "program" } else { "programs" };
        talk.line(format!(
            "{nameless} {programs} not shown although the PID is known: not permitted{hint}"
        ));
    }
    if !superuser && let Some(line) = summary.advice(&program()) {
        talk.line(line);
    }
    talk.limits(found.limits);
}

/// How many processes are known whose program file may not be read.
fn nameless(owners: &Owners) -> usize {
    let forbidden = |process: &&Process| process.image.why() == Some(Why::NotPermitted);
    owners.processes().iter().filter(forbidden).count()
}

/// Where this program's file is, for advice about it.
fn program() -> String {
    match std::env::current_exe() {
        Ok(path) => path.display().to_string(),
        Err(_) => "netstat".to_owned(),
    }
}

/// The names of this run, as the list wants them.
#[derive(Debug)]
struct NameView {
    names: Names,
}

impl ForeignNames for NameView {
    fn host(&self, side: &Endpoint) -> Option<&str> {
        self.names.host(side.address, side.scope)
    }

    fn service(&self, protocol: Protocol, port: u16) -> Option<&str> {
        self.names.services().name(protocol, port)
    }
}
