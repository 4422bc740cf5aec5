//! The parts that consist of sockets: the connection list, and the ports by process.

use std::time::Instant;

use netstat_model::columns::{Column, Needs, Sockets};
use netstat_model::{Filter, Limit, Owners, Protocol, Socket, SystemKind, classic_order, remove_repeats, sort_classic};
use netstat_names::{HostName, HostStyle, Names, ReverseDns, Services};
use netstat_os::{OwnersAsk, SocketList};
use rayon::slice::ParallelSliceMut;

use super::books::{Gathered, NameView, Shelf};
use super::changes::{Changes, ChangesForm, Seen};
use super::choice::{classic_columns, columns, cut, needs, order, shows};
use super::foreign_facts::ForeignFacts;
use super::output::{Beside, Series, write_grid};
use super::owners::{find_owners, say_elsewhere, say_no_match, source, tell_owners, tell_unfiltered};
use super::rates::RateMeter;
use super::state_times::StateTimes;
use super::tree::ProcessTree;
use crate::args::shape::{Format, Shape};
use crate::args::{ListPlan, Naming, Plan, Which};
use crate::context::Diagnostics;
use crate::context::Progress;
use crate::context::{Context, Failure};
use crate::output::classic;
use crate::output::classic::connections::{ForeignNames, View};
use crate::output::json;
use crate::output::json::front::Front;
use crate::output::rows::group::Groups;
use crate::output::rows::sockets::{Known, SocketGrid};
use crate::output::rows::table::Layout;

/// The state that is kept from print to print.
#[derive(Debug, Default)]
pub(super) struct Lister {
    names: Option<NameView>,
    services: Option<Services>,
    series: Series,
    /// The previous sample, if only changes are shown.
    before: Option<Seen>,
    /// The sockets of the previous print, if new ones are marked.
    known: Option<Known>,
    /// How long sockets have been in their states, if a column shows it.
    times: StateTimes,
    /// Bytes per second, if a column shows them.
    rates: RateMeter,
    /// Facts about foreign addresses other than their host names.
    facts: ForeignFacts,
    /// When reading the sockets of this print began.
    look_began: Option<Instant>,
    /// Whether `--wide` has a column for the devices that sockets are bound to.
    has_bound: bool,
    /// The number of published ports beside the rows of this print.
    pub(super) published: usize,
}

/// The inputs and outputs of one print.
pub(super) struct PrintJob<'a, 's> {
    pub(super) plan: &'a Plan,
    /// The filter of the plan, with its names resolved.
    pub(super) filter: &'a Filter,
    pub(super) context: &'a mut Context<'s>,
    /// The sockets that were read; finally sorted and reduced to the rows of the list.
    pub(super) sockets: &'a mut SocketList,
    /// The members of a JSON document that precede the rows. If there is no list, those of `-c` are added to it.
    pub(super) front: &'a mut Front,
    pub(super) diagnostics: &'a mut Diagnostics,
}

/// The data of the rows of a list, besides the sockets.
struct Rows<'a> {
    list: &'a ListPlan,
    columns: &'a [&'static Column<Sockets>],
    owners: Option<Owners>,
    gathered: Gathered,
    limits: &'a [Limit],
}

impl Lister {
    /// Notes that reading the sockets of the next print begins now.
    pub(super) fn look_begins(&mut self) {
        self.look_began = Some(Instant::now());
    }

    /// Prints the parts of the plan that consist of sockets.
    pub(super) fn print(&mut self, job: &mut PrintJob<'_, '_>) -> Result<(), Failure> {
        let plan = job.plan;
        if job.sockets.failed && job.sockets.sockets.is_empty() && plan.format == Format::Text {
            // A heading without rows would suggest that there are no connections.
            job.diagnostics.limits(std::mem::take(&mut job.sockets.limits));
            return Ok(());
        }
        let changes = plan.list.as_ref().is_some_and(|list| list.changes);
        if !job.filter.is_empty() && !changes {
            // More sockets than the filter selects may have been read, for the counts of -s.
            job.sockets.sockets.retain(|socket| job.filter.wants(socket));
        }
        if plan.processes {
            job.print_processes()?;
        }
        match &plan.list {
            Some(list) => self.print_list(job, list),
            None => {
                job.front.limits(&job.sockets.limits);
                job.diagnostics.limits(std::mem::take(&mut job.sockets.limits));
                Ok(())
            }
        }
    }

    /// Prints the connection list, or what has changed in it.
    fn print_list(&mut self, job: &mut PrintJob<'_, '_>, list: &ListPlan) -> Result<(), Failure> {
        let (plan, filter) = (job.plan, job.filter);
        if !list.changes {
            cut(plan, filter, list, job.sockets);
        }
        let stateless = !has_states(list) && !filter.allows_stateless();
        if stateless {
            say_stateless(list, job.diagnostics);
        }
        sort(&mut job.sockets.sockets);
        let columns = self.columns(job, list);
        let needs = needs(list, &columns, filter).and(match plan.locations.filters() {
            true => Needs::LOCATIONS,
            false => Needs::NONE,
        });
        let ask = OwnersAsk {
            image: needs.contains(Needs::IMAGE),
            components: needs.contains(Needs::COMPONENTS),
            names: needs.contains(Needs::NAMES),
            repeated: plan.interval.is_some(),
            ..source(plan)
        };
        let found = match needs.contains(Needs::OWNERS) {
            true => Some(find_owners(job.context, &job.sockets.sockets, &ask)?),
            false => None,
        };
        if let Some(found) = found.as_ref().filter(|_| !list.changes) {
            job.keep_wanted_owners(&found.owners);
        }
        self.facts
            .gather(plan, needs, job.context, &job.sockets.sockets, job.diagnostics)?;
        if plan.locations.filters() {
            let known = self.facts.known();
            job.sockets
                .sockets
                .retain(|socket| known.wants(&plan.locations, socket));
        }
        if !list.changes && !stateless && self.published == 0 {
            job.say_no_match(list, found.as_ref().map(|found| &found.owners));
        }
        self.look_up(job, list, needs);
        let gathered = Gathered::of(job.context.system, needs, &job.sockets.sockets, &job.sockets.namespaces);
        let mut limits = std::mem::take(&mut job.sockets.limits);
        let connected = list.states == Which::Connected && !filter.names_states();
        if job.sockets.sockets.is_empty() && !filter.is_empty() && connected {
            job.diagnostics
                .line("no row matches; listening and UDP sockets are shown with -a");
        }
        let owners = found.map(|found| {
            limits.extend(found.limits.iter().cloned());
            let privileges = job.privileges();
            tell_owners(plan, &ask, privileges, &job.sockets.sockets, found, job.diagnostics)
        });
        let rows = Rows {
            list,
            columns: &columns,
            owners,
            gathered,
            limits: &limits,
        };
        match list.changes {
            true => self.write_changes(job, rows)?,
            false => self.write_rows(job, rows)?,
        }
        if needs.contains(Needs::STATE_TIMES) {
            self.times.tell(job.context.system.kind(), job.diagnostics);
        }
        job.diagnostics.limits(limits);
        self.series.prints += 1;
        Ok(())
    }

    /// Returns the columns of the list. `--wide` has one for the devices that sockets are bound to, if there are such
    /// sockets.
    fn columns(&mut self, job: &PrintJob<'_, '_>, list: &ListPlan) -> Vec<&'static Column<Sockets>> {
        let mut columns = columns(list, job.plan.format);
        if list.shape == Shape::Wide && list.group.is_empty() && job.plan.format == Format::Text {
            // Decided by the first print, so that later prints have the same columns.
            self.has_bound |= self.series.prints == 0 && job.sockets.sockets.iter().any(is_bound);
            let interface = netstat_model::columns::find::<Sockets>("interface");
            columns.extend(interface.filter(|interface| self.has_bound && !columns.contains(interface)));
        }
        columns
    }

    /// Looks up names, services, times and rates, as far as the columns need them.
    fn look_up(&mut self, job: &mut PrintJob<'_, '_>, list: &ListPlan, needs: Needs) {
        let plan = job.plan;
        let by_habit = plan.format == Format::Text && list.shape == Shape::Classic && !list.changes;
        // -n overrides -f, so that a command line with -n never sends a query.
        if list.names != Naming::Numeric && (by_habit || needs.contains(Needs::HOSTS)) {
            self.resolve(plan, list, job.context, &job.sockets.sockets, job.diagnostics);
        }
        if needs.contains(Needs::SERVICES) && self.services.is_none() {
            self.services = Some(Services::system());
        }
        if needs.contains(Needs::STATE_TIMES) {
            let began = self.look_began.unwrap_or_else(Instant::now);
            let now = (job.context.now)();
            let repeated = plan.interval.is_some();
            self.times
                .look(&job.sockets.sockets, began, now, job.context.system, repeated);
        }
        if needs.contains(Needs::RATES) && plan.interval.is_none() {
            job.diagnostics
                .line("bytes per second need an interval: netstat --columns local,foreign,sent_rate 2");
        } else if needs.contains(Needs::RATES) {
            self.rates
                .look(&job.sockets.sockets, job.context.system, job.diagnostics);
        }
    }

    /// Returns the names and facts that columns need besides the sockets.
    fn shelf<'a>(&'a self, gathered: &'a Gathered) -> Shelf<'a> {
        Shelf {
            gathered,
            names: self.names.as_ref().map(|names| names as &dyn ForeignNames),
            services: self.services.as_ref(),
            times: self.times.times(),
            rates: self.rates.table(),
            facts: self.facts.known(),
        }
    }

    /// Prints the changes since the last print.
    fn write_changes(&mut self, job: &mut PrintJob<'_, '_>, rows: Rows<'_>) -> Result<(), Failure> {
        let (list, filter) = (rows.list, job.filter);
        let seen = Seen {
            sockets: std::mem::take(&mut job.sockets.sockets),
            owners: rows.owners,
            gathered: rows.gathered,
        };
        let before = self.before.take();
        let wanted = |seen: &Seen, socket: &Socket| {
            filter.wants(socket)
                && shows(list, filter, socket)
                && seen
                    .owners
                    .as_ref()
                    .is_none_or(|owners| filter.wants_holders(&owners.of(socket)))
        };
        let mut series = std::mem::take(&mut self.series);
        let form = ChangesForm {
            columns: rows.columns,
            names: self.shelf(&seen.gathered),
            people: job.plan.format == Format::Text,
            time: (job.context.now)(),
        };
        // The first sample is the basis for later ones: nothing has changed in it.
        let grid = Changes::between(before.as_ref().unwrap_or(&seen), &seen, form, wanted);
        let layout = Layout {
            color: job.plan.color.colored(job.context.screen),
            width: None,
            bare: series.prints > 0,
            for_people: false,
            omits_empty: false,
        };
        let beside = Beside {
            limits: rows.limits,
            front: job.front,
        };
        let written = write_grid(job.plan, job.context, &grid, &layout, &mut series, beside);
        self.series = series;
        written?;
        self.before = Some(seen);
        Ok(())
    }

    /// Writes the rows in the requested format.
    fn write_rows(&mut self, job: &mut PrintJob<'_, '_>, rows: Rows<'_>) -> Result<(), Failure> {
        let (plan, list) = (job.plan, rows.list);
        let color = plan.color.colored(job.context.screen);
        // New rows are marked only on a display that someone watches.
        let watched = plan.interval.is_some() && color && plan.format == Format::Text && list.group.is_empty();
        let before = watched.then(|| {
            let now: Known = job.sockets.sockets.iter().filter_map(Socket::cookie).collect();
            // In the first print, nothing is new.
            self.known.replace(now.clone()).unwrap_or(now)
        });
        let mut series = std::mem::take(&mut self.series);
        let shelf = self.shelf(&rows.gathered);
        let classic = plan.format == Format::Text && list.shape == Shape::Classic && list.group.is_empty();
        let written = match (list.tree, &rows.owners) {
            (true, Some(owners)) => {
                let tree = ProcessTree::of(&job.sockets.sockets, owners, job.context.system);
                let written = tree.write(job.context.out, &job.sockets.sockets, &shelf, color);
                written.map_err(Failure::from)
            }
            _ if classic => job.write_classic(&rows, &shelf, before.as_ref(), color),
            _ => job.write_table(&rows, &shelf, before.as_ref(), &mut series),
        };
        self.series = series;
        written
    }

    /// Resolves the names of the foreign addresses, with the plan's timeout for all of them together.
    fn resolve(
        &mut self,
        plan: &Plan,
        list: &ListPlan,
        context: &mut Context<'_>,
        sockets: &[Socket],
        diagnostics: &mut Diagnostics,
    ) {
        let own = context.system.own_addresses().unwrap_or_else(|why| {
            diagnostics.line(format!("own addresses are shown as numbers: {why}"));
            Vec::new()
        });
        let names = match &mut self.names {
            Some(names) => {
                // The addresses of this computer may change while a list repeats.
                names.names.set_own(own);
                names
            }
            none => {
                let classic = plan.format == Format::Text && list.shape == Shape::Classic;
                let style = match list.names {
                    Naming::FirstLabel | Naming::Numeric if classic => HostStyle::FirstLabel,
                    // A separate column has room for full names.
                    _ => HostStyle::Full,
                };
                let computer = context.system.computer_name();
                none.insert(NameView {
                    names: Names::new(&computer, own, style, Services::system(), ReverseDns::system()),
                })
            }
        };
        if list.names == Naming::Full {
            self.facts.recall_names(context, sockets);
            let facts = self.facts.known();
            let asked = sockets.iter().filter_map(|socket| {
                let name = HostName::parse(facts.recorded_name(socket)?.as_bytes())?;
                Some((socket.foreign().address, name))
            });
            names.names.set_asked(asked);
        }
        let progress = Progress::start(context.terminal, "looking up names");
        let peers = sockets
            .iter()
            .filter(|socket| socket.is_connected())
            .map(Socket::foreign);
        // Missing names must not delay a print beyond the interval.
        let deadline = plan
            .interval
            .map_or(plan.dns_timeout, |interval| interval.min(plan.dns_timeout));
        let summary = names.names.resolve(peers, deadline, &mut |done, total| {
            progress.stage(|| format!("looking up names: {done} of {total} addresses"));
        });
        drop(progress);
        if summary.timed_out > 0 {
            let seconds = deadline.as_secs_f64();
            diagnostics.line(format!(
                "{} of {} foreign addresses had no name within {seconds} s and are shown as numbers (--dns-timeout)",
                summary.timed_out, summary.total
            ));
        }
    }
}

impl PrintJob<'_, '_> {
    /// Returns the kind of system, and whether this user may see everything on it; the notes about missing owners
    /// depend on both.
    fn privileges(&self) -> (SystemKind, bool) {
        (self.context.system.kind(), self.context.system.is_superuser())
    }

    /// Keeps only the sockets whose owners the filter selects, and reports how many could not be decided.
    fn keep_wanted_owners(&mut self, owners: &Owners) {
        let filter = self.filter;
        if filter.needs_owners() {
            let privileges = self.privileges();
            tell_unfiltered(filter, owners, &self.sockets.sockets, privileges, self.diagnostics);
            self.sockets
                .sockets
                .retain(|socket| filter.wants_holders(&owners.of(socket)));
        }
    }

    /// Reports why a filter has selected nothing, if that is the case.
    fn say_no_match(&mut self, list: &ListPlan, owners: Option<&Owners>) {
        if !self.sockets.sockets.is_empty() || self.filter.is_empty() {
            return;
        }
        say_no_match(self.filter, owners, self.diagnostics);
        if self.filter.needs_owners() && !list.all_namespaces {
            say_elsewhere(self.filter, self.context, self.diagnostics);
        }
    }

    /// Prints `-c`.
    fn print_processes(&mut self) -> Result<(), Failure> {
        let ask = OwnersAsk {
            image: true,
            names: true,
            components: !self.filter.units.is_empty(),
            ..source(self.plan)
        };
        let found = find_owners(self.context, &self.sockets.sockets, &ask)?;
        self.keep_wanted_owners(&found.owners);
        let sockets = &self.sockets.sockets;
        match self.plan.format {
            Format::Text => classic::processes::write(self.context.out, sockets, &found.owners)?,
            _ => {
                let value = json::processes::value(self.front, sockets, &found.owners);
                self.front.member("processes", &value);
                self.front.limits(&found.limits);
            }
        }
        let privileges = self.privileges();
        tell_owners(
            self.plan,
            &ask,
            privileges,
            &self.sockets.sockets,
            found,
            self.diagnostics,
        );
        Ok(())
    }

    /// Writes the classic table.
    fn write_classic(
        &mut self,
        rows: &Rows<'_>,
        shelf: &Shelf<'_>,
        before: Option<&Known>,
        color: bool,
    ) -> Result<(), Failure> {
        let sockets = &mut self.sockets.sockets;
        if let Some(order) = order(rows.list, sockets, rows.owners.as_ref(), shelf) {
            *sockets = order.iter().map(|&at| sockets[at as usize].clone()).collect();
        }
        let columns = classic_columns(rows.list);
        let view = View {
            columns: &columns,
            owners: rows.owners.as_ref(),
            program_lines: rows.list.program_lines,
            names: shelf.names.filter(|_| rows.list.names != Naming::Numeric),
            books: Some(shelf),
            color,
            before,
        };
        Ok(classic::connections::write(self.context.out, sockets, &view)?)
    }

    /// Writes a table of selected columns, rows in a machine-readable format, or groups of rows.
    fn write_table(
        &mut self,
        rows: &Rows<'_>,
        shelf: &Shelf<'_>,
        before: Option<&Known>,
        series: &mut Series,
    ) -> Result<(), Failure> {
        let list = rows.list;
        let order = order(list, &self.sockets.sockets, rows.owners.as_ref(), shelf);
        let grid = SocketGrid {
            columns: rows.columns,
            sockets: &self.sockets.sockets,
            order: order.as_deref(),
            owners: rows.owners.as_ref(),
            books: shelf,
            before,
        };
        let screen = self.context.screen;
        let layout = Layout {
            color: self.plan.color.colored(screen),
            width: screen.width.filter(|_| screen.terminal),
            bare: false,
            for_people: false,
            omits_empty: list.shape == Shape::Wide,
        };
        let beside = Beside {
            limits: rows.limits,
            front: self.front,
        };
        if list.group.is_empty() {
            return write_grid(self.plan, self.context, &grid, &layout, series, beside);
        }
        let groups = sorted_groups(&grid, list);
        write_grid(self.plan, self.context, &groups, &layout, series, beside)
    }
}

/// Returns the rows of `grid` counted by the columns of `--group`, in the order of `--sort`, limited by `--top`.
fn sorted_groups(grid: &SocketGrid<'_>, list: &ListPlan) -> Groups {
    let mut groups = Groups::of(grid);
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
    groups
}

/// Whether the list includes a protocol with states.
fn has_states(list: &ListPlan) -> bool {
    let further = list.further.iter().any(|protocol| protocol.has_states());
    list.tcp4 || list.tcp6 || list.mptcp || list.unix || further
}

/// Reports which protocols of the list have no states, if a filter selects by state.
fn say_stateless(list: &ListPlan, diagnostics: &mut Diagnostics) {
    let stateless = [
        (list.udp4 || list.udp6, Protocol::Udp),
        (list.raw4 || list.raw6, Protocol::Raw),
        (list.packet, Protocol::Packet),
    ];
    let further = list.further.iter().map(|&protocol| (true, protocol));
    for (_, protocol) in stateless.into_iter().chain(further).filter(|(listed, _)| *listed) {
        let name = protocol.name();
        diagnostics.line(format!(
            "{name} has no states, so --state leaves out all of its sockets"
        ));
    }
}

/// The number of rows from which sorting with several threads is worth starting them.
const MANY: usize = 50_000;

fn sort(sockets: &mut Vec<Socket>) {
    if sockets.len() < MANY {
        sort_classic(sockets);
    } else {
        sockets.par_sort_unstable_by(classic_order);
    }
    remove_repeats(sockets);
}

/// Whether `socket` is bound to a device that its address does not show; a link-local address does.
fn is_bound(socket: &Socket) -> bool {
    socket.protocol().is_ip() && socket.interface().is_some() && socket.local().scope == 0 && !socket.is_connected()
}
