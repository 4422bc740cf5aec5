//! The parts made of sockets: the connection list and the ports by process.

use netstat_model::columns::{self, Column, Needs, Sockets, Value, owner_columns};
use netstat_model::{
    Extras, Filter, Limit, NoOwner, OwnerSummary, Owners, Process, Protocol, Socket, State, Why, classic_order,
    remove_repeats, sort_classic,
};
use netstat_names::{HostStyle, Names, ReverseDns, Services};
use netstat_os::{OwnerSource, OwnersAsk, OwnersFound, SocketList};
use rayon::slice::ParallelSliceMut;

use super::books::{Gathered, NameView, Shelf};
use super::changes::{Changes, Seen};
use super::talk::Talk;
use super::{Failure, Surroundings, listed_states};
use crate::args::shape::{Format, Shape};
use crate::args::{ListPlan, Naming, OwnerMethod, Plan, Which};
use crate::json;
use crate::json::front::{Front, missing};
use crate::progress::Progress;
use crate::render;
use crate::render::connections::{ForeignNames, View};
use crate::render::rows::group::Groups;
use crate::render::rows::sockets::{Known, SocketGrid};
use crate::render::rows::sort::{self, Direction};
use crate::render::rows::table::{self, Layout, Widths};
use crate::render::rows::{self, Grid};

/// What is kept from print to print.
#[derive(Debug, Default)]
pub(super) struct Lister {
    names: Option<NameView>,
    services: Option<Services>,
    widths: Widths,
    /// The look before, where changes are shown.
    before: Option<Seen>,
    /// The sockets of the print before, where new ones get a sign.
    known: Option<Known>,
    /// How many prints there were.
    prints: u64,
}

impl Lister {
    /// Prints what `plan` wants of `sockets`, which end up sorted and cut to the rows of the list. `front` holds the members of a
    /// JSON document that stand in front of the rows; without a list, those of `-c` are put into it.
    pub(super) fn print(
        &mut self,
        plan: &Plan,
        filter: &Filter,
        surroundings: &mut Surroundings<'_>,
        sockets: &mut SocketList,
        front: &mut Front,
        talk: &mut Talk,
    ) -> Result<(), Failure> {
        if sockets.failed && sockets.sockets.is_empty() && plan.format == Format::Text {
            // A heading without rows would say that there is no connection.
            talk.limits(std::mem::take(&mut sockets.limits));
            return Ok(());
        }
        let changes = plan.list.as_ref().is_some_and(|list| list.changes);
        if !filter.is_empty() && !changes {
            // The system may have been asked for more, for the counts of -s.
            sockets.sockets.retain(|socket| filter.wants(socket));
        }
        if plan.processes {
            self.processes(plan, filter, surroundings, sockets, front, talk)?;
        }
        let Some(list) = &plan.list else {
            front.limits(&sockets.limits);
            talk.limits(std::mem::take(&mut sockets.limits));
            return Ok(());
        };
        if !changes {
            cut(plan, filter, list, sockets);
        }
        let with_states = list.tcp4 || list.tcp6 || list.mptcp || list.unix;
        if !with_states && !filter.allows_stateless() {
            let stateless = [
                (list.udp4 || list.udp6, Protocol::Udp),
                (list.raw4 || list.raw6, Protocol::Raw),
                (list.packet, Protocol::Packet),
            ];
            for (_, protocol) in stateless.into_iter().filter(|(listed, _)| *listed) {
                let name = protocol.name();
                talk.line(format!(
                    "{name} has no states, so --state leaves out all of its sockets"
                ));
            }
        }
        sort(&mut sockets.sockets);
        let columns = columns(list, plan.format);
        let needs = needs(list, &columns, filter);
        let ask = OwnersAsk {
            image: needs.contains(Needs::IMAGE),
            components: needs.contains(Needs::COMPONENTS),
            repeated: plan.interval.is_some(),
            ..source(plan)
        };
        let found = match needs.contains(Needs::OWNERS) {
            true => Some(find_owners(surroundings, &sockets.sockets, &ask)?),
            false => None,
        };
        if filter.needs_owners()
            && !changes
            && let Some(found) = &found
        {
            let superuser = surroundings.system.is_superuser();
            tell_unfiltered(filter, &found.owners, &sockets.sockets, superuser, talk);
            sockets
                .sockets
                .retain(|socket| filter.wants_holders(&found.owners.of(socket)));
        }
        let by_habit = plan.format == Format::Text && list.shape == Shape::Classic && !changes;
        // Numbers win, so that a line with -n never sends a query.
        if list.names != Naming::Numeric && (by_habit || needs.contains(Needs::HOSTS)) {
            self.resolve(plan, list, surroundings, &sockets.sockets, talk);
        }
        if needs.contains(Needs::SERVICES) && self.services.is_none() {
            self.services = Some(Services::system());
        }
        let gathered = Gathered::of(surroundings.system, needs, &sockets.sockets, &sockets.namespaces);
        let mut limits = std::mem::take(&mut sockets.limits);
        if sockets.sockets.is_empty() && !filter.is_empty() && list.states == Which::Connected && !filter.names_states()
        {
            talk.line("no row matches; listening and UDP sockets are shown with -a");
        }
        if let Some(found) = found {
            limits.extend(found.limits.iter().cloned());
            let superuser = surroundings.system.is_superuser();
            let owners = tell_owners(plan, &ask, superuser, &sockets.sockets, found, talk);
            self.rows(
                plan,
                filter,
                list,
                &columns,
                surroundings,
                sockets,
                Some(owners),
                gathered,
                Beside { limits: &limits, front },
            )?;
        } else {
            self.rows(
                plan,
                filter,
                list,
                &columns,
                surroundings,
                sockets,
                None,
                gathered,
                Beside { limits: &limits, front },
            )?;
        }
        if list.time_in_state {
            talk.line("Linux tells the time in a state for TIME_WAIT only; elsewhere the column shows -");
        }
        talk.limits(limits);
        self.prints += 1;
        Ok(())
    }

    /// `-c`.
    fn processes(
        &mut self,
        plan: &Plan,
        filter: &Filter,
        surroundings: &mut Surroundings<'_>,
        sockets: &mut SocketList,
        front: &mut Front,
        talk: &mut Talk,
    ) -> Result<(), Failure> {
        let ask = OwnersAsk {
            image: true,
            components: !filter.units.is_empty(),
            ..source(plan)
        };
        let found = find_owners(surroundings, &sockets.sockets, &ask)?;
        if filter.needs_owners() {
            let superuser = surroundings.system.is_superuser();
            tell_unfiltered(filter, &found.owners, &sockets.sockets, superuser, talk);
            sockets
                .sockets
                .retain(|socket| filter.wants_holders(&found.owners.of(socket)));
        }
        match plan.format {
            Format::Text => render::processes::write(surroundings.out, &sockets.sockets, &found.owners)?,
            _ => {
                let value = json::processes::value(front, &sockets.sockets, &found.owners);
                front.member("processes", &value);
                front.limits(&found.limits);
            }
        }
        let superuser = surroundings.system.is_superuser();
        tell_owners(plan, &ask, superuser, &sockets.sockets, found, talk);
        Ok(())
    }

    /// Writes the rows in the form that is asked for.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that a print has gathered, used once"
    )]
    fn rows(
        &mut self,
        plan: &Plan,
        filter: &Filter,
        list: &ListPlan,
        columns: &[&'static Column<Sockets>],
        surroundings: &mut Surroundings<'_>,
        sockets: &mut SocketList,
        owners: Option<Owners>,
        gathered: Gathered,
        beside: Beside<'_>,
    ) -> Result<(), Failure> {
        let names = self.names.as_ref().map(|names| names as &dyn ForeignNames);
        let color = color(plan, surroundings);
        if list.changes {
            let seen = Seen {
                sockets: std::mem::take(&mut sockets.sockets),
                owners,
                gathered,
            };
            let empty = Seen::default();
            let first = self.before.is_none();
            let before = self.before.take().unwrap_or(empty);
            let shelf = Shelf {
                gathered: &seen.gathered,
                names,
                services: self.services.as_ref(),
            };
            let wanted = |seen: &Seen, socket: &Socket| {
                filter.wants(socket)
                    && shows(list, filter, socket)
                    && seen
                        .owners
                        .as_ref()
                        .is_none_or(|owners| filter.wants_holders(&owners.of(socket)))
            };
            let people = plan.format == Format::Text;
            // The first look is what later ones are compared with: nothing has changed in it.
            let old = if first { &seen } else { &before };
            let grid = Changes::between(old, &seen, columns, shelf, people, (surroundings.now)(), wanted);
            let layout = Layout {
                color,
                width: None,
                bare: self.prints > 0,
            };
            write_grid(
                plan,
                surroundings,
                &grid,
                &layout,
                &mut self.widths,
                self.prints,
                beside,
            )?;
            self.before = Some(seen);
            return Ok(());
        }
        let shelf = Shelf {
            gathered: &gathered,
            names,
            services: self.services.as_ref(),
        };
        // A sign for new rows is for eyes that watch.
        let watched = plan.interval.is_some() && color && plan.format == Format::Text && list.group.is_empty();
        let before = watched.then(|| {
            let now: Known = sockets.sockets.iter().filter_map(Socket::cookie).collect();
            // In the first print nothing is new.
            self.known.replace(now.clone()).unwrap_or(now)
        });
        let order = order(list, &sockets.sockets, owners.as_ref(), &shelf);
        let classic = plan.format == Format::Text && list.shape == Shape::Classic && list.group.is_empty();
        if classic {
            if let Some(order) = &order {
                sockets.sockets = order.iter().map(|&at| sockets.sockets[at as usize].clone()).collect();
            }
            let columns = classic_columns(list);
            let view = View {
                columns: &columns,
                owners: owners.as_ref(),
                program_lines: list.program_lines,
                names: names.filter(|_| list.names != Naming::Numeric),
                books: Some(&shelf),
                color,
                before: before.as_ref(),
            };
            return Ok(render::connections::write(surroundings.out, &sockets.sockets, &view)?);
        }
        let grid = SocketGrid {
            columns,
            sockets: &sockets.sockets,
            order: order.as_deref(),
            owners: owners.as_ref(),
            books: &shelf,
            before: before.as_ref(),
        };
        let layout = Layout {
            color,
            width: surroundings.screen.width.filter(|_| surroundings.screen.terminal),
            bare: false,
        };
        if list.group.is_empty() {
            return write_grid(
                plan,
                surroundings,
                &grid,
                &layout,
                &mut self.widths,
                self.prints,
                beside,
            );
        }
        let mut groups = Groups::of(&grid);
        if !list.sort.is_empty() {
            let place = |column: &&'static Column<Sockets>| list.group.iter().position(|other| other == column);
            let keys: Vec<(usize, bool)> = list
                .sort
                .iter()
                .map(|key| (key.column.as_ref().and_then(place).map_or(0, |at| at + 1), key.down))
                .collect();
            groups.sort(&keys);
        }
        groups.truncate(list.top.unwrap_or(usize::MAX));
        write_grid(
            plan,
            surroundings,
            &groups,
            &layout,
            &mut self.widths,
            self.prints,
            beside,
        )
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
                let classic = plan.format == Format::Text && list.shape == Shape::Classic;
                let style = match list.names {
                    Naming::FirstLabel | Naming::Numeric if classic => HostStyle::FirstLabel,
                    // A column of names has room for whole ones.
                    _ => HostStyle::Full,
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
fn cut(plan: &Plan, filter: &Filter, list: &ListPlan, sockets: &mut SocketList) {
    let more_was_read = plan.processes || plan.statistics.is_some();
    let by_peer = list.states == Which::ListeningOnly;
    // The kernel chooses among TCP states; those of the others are chosen here.
    let others = list.unix || list.mptcp;
    if more_was_read || by_peer || others {
        sockets.sockets.retain(|socket| shows(list, filter, socket));
    }
}

/// Whether `socket` is a row of the list.
fn shows(list: &ListPlan, filter: &Filter, socket: &Socket) -> bool {
    use netstat_model::Family::{V4, V6};
    let asked = match (socket.protocol(), socket.family()) {
        (Protocol::Tcp, V4) => list.tcp4,
        (Protocol::Tcp, V6) => list.tcp6,
        (Protocol::Udp, V4) => list.udp4,
        (Protocol::Udp, V6) => list.udp6,
        (Protocol::Raw, V4) => list.raw4,
        (Protocol::Raw, V6) => list.raw6,
        (Protocol::Mptcp, _) => list.mptcp,
        (Protocol::Packet, _) => list.packet,
        (Protocol::Unix, _) => list.unix,
        _ => false,
    };
    let state = match socket.protocol() {
        Protocol::Tcp | Protocol::Mptcp => listed_states(list.states, filter).contains(&socket.state()),
        Protocol::Unix => match list.states {
            Which::ListeningOnly => socket.state() == State::Listening,
            Which::Connected => filter.names_states() || socket.state() != State::Listening,
            Which::All | Which::AllAndBound => true,
        },
        // A socket without a peer takes packets from anyone: these protocols' way of listening.
        Protocol::Udp | Protocol::Raw | Protocol::Packet => {
            list.states != Which::ListeningOnly || !socket.is_connected()
        }
    };
    asked && state
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

/// The columns behind those of the classic layout.
fn classic_columns(list: &ListPlan) -> Vec<render::connections::Column> {
    use render::connections::Column;
    [
        (list.pid, Column::Pid),
        (list.dscp, Column::Dscp),
        (list.time_in_state, Column::TimeInState),
        (list.pid_program_column, Column::PidProgram),
        (list.all_namespaces, Column::Namespace),
    ]
    .into_iter()
    .filter_map(|(wanted, column)| wanted.then_some(column))
    .collect()
}

/// What the owner switches ask for.
fn owner_needs(list: &ListPlan) -> Needs {
    Needs::all(
        [
            (list.pid, Needs::OWNERS),
            (list.pid_program_column, Needs::IMAGE),
            (list.program_lines, Needs::IMAGE.and(Needs::COMPONENTS)),
        ]
        .into_iter()
        .filter_map(|(wanted, needs)| wanted.then_some(needs)),
    )
}

/// The columns of a table or a machine format: those named, or the usual ones and what the switches ask for.
fn columns(list: &ListPlan, format: Format) -> Vec<&'static Column<Sockets>> {
    if !list.group.is_empty() {
        return list.group.clone();
    }
    let mut names: Vec<&'static str> = match &list.shape {
        Shape::Columns(columns) => return columns.clone(),
        Shape::Wide => columns::WIDE.to_vec(),
        Shape::Classic if format == Format::Text => vec!["protocol", "local", "foreign", "state"],
        Shape::Classic => columns::DEFAULT_MACHINE.to_vec(),
    };
    let needs = owner_needs(list);
    let more = [
        (list.pid, &["pid"][..]),
        (list.program_lines, &["program", "unit"]),
        (list.pid_program_column, &["program"]),
        (list.dscp, &["dscp"]),
        (list.time_in_state, &["time_in_state"]),
        // Rows of one protocol look alike, those of these do not.
        (list.raw4 || list.raw6 || list.packet || list.unix, &["kind"]),
        (list.all_namespaces, &["namespace"]),
        (list.names == Naming::Full, &["foreign_host"]),
    ];
    let machine = format != Format::Text && list.shape == Shape::Classic;
    let owners = if machine { owner_columns(needs) } else { &[] };
    let ends: &[&str] = match machine && (list.packet || list.unix) {
        true => &["local", "foreign"],
        false => &[],
    };
    let more = more
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .flat_map(|(_, names)| names);
    for name in ends.iter().chain(owners).chain(more) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    columns::named(&names)
}

/// What must be asked of the system for the columns, the order, and the filter.
fn needs(list: &ListPlan, columns: &[&'static Column<Sockets>], filter: &Filter) -> Needs {
    let classic = owner_needs(list).and(if list.dscp || list.time_in_state {
        Needs::BASIC
    } else {
        Needs::NONE
    });
    let shown = columns.iter().map(|column| column.needs);
    let sorted = list.sort.iter().filter_map(|key| key.column).map(|column| column.needs);
    let filtered = [
        (!filter.pids.is_empty(), Needs::OWNERS),
        (!filter.programs.is_empty(), Needs::IMAGE),
        (!filter.units.is_empty(), Needs::COMPONENTS),
    ];
    let filtered = filtered.into_iter().filter_map(|(is, needs)| is.then_some(needs));
    classic.and(Needs::all(shown.chain(sorted).chain(filtered)))
}

/// The groups of facts that must be read with the sockets.
pub(super) fn extras(list: &ListPlan) -> Extras {
    let needs = needs(list, &columns(list, Format::Text), &Filter::default());
    [
        (Needs::BASIC, Extras::BASIC),
        (Needs::TCP, Extras::TCP),
        (Needs::CONGESTION, Extras::CONGESTION),
        (Needs::MEMORY, Extras::MEMORY),
    ]
    .into_iter()
    .filter_map(|(need, extra)| needs.contains(need).then_some(extra))
    .collect()
}

/// Which rows, in which order, where that is not all of them as they stand.
fn order(list: &ListPlan, sockets: &[Socket], owners: Option<&Owners>, shelf: &Shelf<'_>) -> Option<Vec<u32>> {
    let top = list.top.filter(|_| list.group.is_empty()).unwrap_or(usize::MAX);
    if list.sort.is_empty() || !list.group.is_empty() {
        let all = 0..sockets.len() as u32;
        return (top < sockets.len()).then(|| all.take(top).collect());
    }
    let keys: Vec<(&'static Column<Sockets>, Direction)> = list
        .sort
        .iter()
        .filter_map(|key| Some((key.column?, Direction { down: key.down })))
        .collect();
    let directions: Vec<Direction> = keys.iter().map(|(_, direction)| *direction).collect();
    let mut order = sort::order(sockets.len(), &directions, |at, values: &mut Vec<Value<'static>>| {
        let row = columns::SocketRow::new(&sockets[at], owners, shelf);
        values.extend(keys.iter().map(|(column, _)| (column.get)(&row).into_owned()));
    });
    order.truncate(top);
    Some(order)
}

fn color(plan: &Plan, surroundings: &Surroundings<'_>) -> bool {
    plan.color.colored(surroundings.screen)
}

/// What a JSON document has beside the rows.
#[derive(Clone, Copy)]
struct Beside<'a> {
    /// What could not be seen of the sockets.
    limits: &'a [Limit],
    /// Its other parts.
    front: &'a Front,
}

/// Writes rows as a table or for a machine.
fn write_grid(
    plan: &Plan,
    surroundings: &mut Surroundings<'_>,
    grid: &dyn Grid,
    layout: &Layout,
    widths: &mut Widths,
    prints: u64,
    beside: Beside<'_>,
) -> Result<(), Failure> {
    let time = (surroundings.now)();
    match plan.format {
        Format::Text => {
            if prints > 0 && !layout.bare {
                surroundings.out.write_all(b"\n")?;
            }
            table::write(surroundings.out, grid, layout, widths)?;
        }
        Format::Csv => rows::csv::write(surroundings.out, grid, prints == 0)?,
        Format::NdJson => {
            let has_time = grid.heads().iter().any(|head| head.name == "time");
            let common = if has_time {
                String::new()
            } else {
                format!("\"time\":\"{}\"", json::timestamp(time))
            };
            rows::json::write_lines(surroundings.out, grid, &common)?;
        }
        Format::Json => write_document(surroundings, grid, beside, time)?,
    }
    Ok(())
}

/// One JSON document: head, rows, what could not be seen.
fn write_document(
    surroundings: &mut Surroundings<'_>,
    grid: &dyn Grid,
    beside: Beside<'_>,
    time: std::time::SystemTime,
) -> Result<(), Failure> {
    let host = surroundings.system.computer_name();
    let head = json::head(beside.front.schema(), &host, time);
    let out = &mut *surroundings.out;
    out.write_all(b"{")?;
    out.write_all(head.as_bytes())?;
    let mut all = beside.front.write(out)?.to_vec();
    out.write_all(b",\"rows\":[")?;
    let tally = rows::json::write_elements(out, grid)?;
    out.write_all(b"\n],\"limits\":[")?;
    all.extend(beside.limits.iter().map(json::limit));
    all.extend(missing(grid, &tally, "row", "rows"));
    for (at, limit) in all.iter().enumerate() {
        out.write_all(if at == 0 { b"\n" } else { b",\n" })?;
        out.write_all(json::to_text(limit, false).trim_end().as_bytes())?;
    }
    out.write_all(if all.is_empty() { b"]}\n" } else { b"\n]}\n" })?;
    Ok(())
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
fn tell_owners(
    plan: &Plan,
    ask: &OwnersAsk,
    superuser: bool,
    sockets: &[Socket],
    found: OwnersFound,
    talk: &mut Talk,
) -> Owners {
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
    found.owners
}

/// Says how many sockets a filter by process has left out without knowing whose they are.
fn tell_unfiltered(filter: &Filter, owners: &Owners, sockets: &[Socket], superuser: bool, talk: &mut Talk) {
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
        talk.line(format!(
            "{count} {sockets} left out because their owner may not be seen: {filter} asks for it{hint}"
        ));
    }
}

/// How many processes are known whose program file may not be read.
fn nameless(owners: &Owners) -> usize {
    let forbidden = |process: &&Process| process.image.why() == Some(Why::NotPermitted);
    owners.processes().iter().filter(forbidden).count()
}

/// Where this program's file is, for advice about it.
pub(crate) fn program() -> String {
    match std::env::current_exe() {
        Ok(path) => path.display().to_string(),
        Err(_) => "netstat".to_owned(),
    }
}
