//! The parts made of sockets: the connection list and the ports by process.

use std::time::Instant;

use netstat_model::columns::{Column, Needs, Sockets};
use netstat_model::{Filter, Owners, Protocol, Socket, classic_order, remove_repeats, sort_classic};
use netstat_names::{HostStyle, Names, ReverseDns, Services};
use netstat_os::{OwnersAsk, SocketList};
use rayon::slice::ParallelSliceMut;

use super::books::{Gathered, NameView, Shelf};
use super::changes::{Changes, Seen};
use super::choice::{classic_columns, columns, cut, needs, order, shows};
use super::foreign_facts::ForeignFacts;
use super::output::{Beside, write_grid};
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
use crate::output::rows::table::{Layout, Widths};

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
    /// How long sockets have been in their states, where a column shows that.
    times: StateTimes,
    /// Bytes per second, where a column shows them.
    rates: RateMeter,
    /// What is known of foreign addresses beside their names.
    facts: ForeignFacts,
    /// When the look at the sockets of this print began.
    look_began: Option<Instant>,
    /// How many prints there were.
    prints: u64,
    /// Whether `--wide` has a column for the devices that sockets are bound to.
    has_bound: bool,
    /// How many published ports stand beside the rows of this print.
    pub(super) published: usize,
}

impl Lister {
    /// The sockets of the next print are read from now on.
    pub(super) fn look_begins(&mut self) {
        self.look_began = Some(Instant::now());
    }

    /// Prints what `plan` wants of `sockets`, which end up sorted and cut to the rows of the list. `front` holds the members of a
    /// JSON document that stand in front of the rows; without a list, those of `-c` are put into it.
    pub(super) fn print(
        &mut self,
        plan: &Plan,
        filter: &Filter,
        context: &mut Context<'_>,
        sockets: &mut SocketList,
        front: &mut Front,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Failure> {
        if sockets.failed && sockets.sockets.is_empty() && plan.format == Format::Text {
            // A heading without rows would say that there is no connection.
            diagnostics.limits(std::mem::take(&mut sockets.limits));
            return Ok(());
        }
        let changes = plan.list.as_ref().is_some_and(|list| list.changes);
        if !filter.is_empty() && !changes {
            // The system may have been asked for more, for the counts of -s.
            sockets.sockets.retain(|socket| filter.wants(socket));
        }
        if plan.processes {
            self.processes(plan, filter, context, sockets, front, diagnostics)?;
        }
        let Some(list) = &plan.list else {
            front.limits(&sockets.limits);
            diagnostics.limits(std::mem::take(&mut sockets.limits));
            return Ok(());
        };
        if !changes {
            cut(plan, filter, list, sockets);
        }
        let with_states = list.tcp4
            || list.tcp6
            || list.mptcp
            || list.unix
            || list.further.iter().any(|protocol| protocol.has_states());
        let stateless = !with_states && !filter.allows_stateless();
        if stateless {
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
        sort(&mut sockets.sockets);
        let mut columns = columns(list, plan.format);
        if list.shape == Shape::Wide && list.group.is_empty() && plan.format == Format::Text {
            // Kept once it is there, so that later prints at an interval have the same columns.
            self.has_bound |= self.prints == 0 && sockets.sockets.iter().any(is_bound);
            let interface = netstat_model::columns::find::<Sockets>("interface");
            columns.extend(interface.filter(|interface| self.has_bound && !columns.contains(interface)));
        }
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
            true => Some(find_owners(context, &sockets.sockets, &ask)?),
            false => None,
        };
        if filter.needs_owners()
            && !changes
            && let Some(found) = &found
        {
            let superuser = (context.system.kind(), context.system.is_superuser());
            tell_unfiltered(filter, &found.owners, &sockets.sockets, superuser, diagnostics);
            sockets
                .sockets
                .retain(|socket| filter.wants_holders(&found.owners.of(socket)));
        }
        self.facts.gather(plan, needs, context, &sockets.sockets, diagnostics)?;
        if plan.locations.filters() {
            sockets
                .sockets
                .retain(|socket| self.facts.known().wants(&plan.locations, socket));
        }
        if sockets.sockets.is_empty() && !filter.is_empty() && !changes && !stateless && self.published == 0 {
            say_no_match(filter, found.as_ref().map(|found| &found.owners), diagnostics);
            if filter.needs_owners() && !list.all_namespaces {
                say_elsewhere(filter, context, diagnostics);
            }
        }
        let by_habit = plan.format == Format::Text && list.shape == Shape::Classic && !changes;
        // Numbers win, so that a line with -n never sends a query.
        if list.names != Naming::Numeric && (by_habit || needs.contains(Needs::HOSTS)) {
            self.resolve(plan, list, context, &sockets.sockets, diagnostics);
        }
        if needs.contains(Needs::SERVICES) && self.services.is_none() {
            self.services = Some(Services::system());
        }
        if needs.contains(Needs::STATE_TIMES) {
            let began = self.look_began.unwrap_or_else(Instant::now);
            self.times.look(
                &sockets.sockets,
                began,
                (context.now)(),
                context.system,
                plan.interval.is_some(),
            );
        }
        if needs.contains(Needs::RATES) && plan.interval.is_none() {
            diagnostics.line("bytes per second need an interval: netstat --columns local,foreign,sent_rate 2");
        } else if needs.contains(Needs::RATES) {
            self.rates.look(&sockets.sockets, context.system, diagnostics);
        }
        let gathered = Gathered::of(context.system, needs, &sockets.sockets, &sockets.namespaces);
        let mut limits = std::mem::take(&mut sockets.limits);
        if sockets.sockets.is_empty() && !filter.is_empty() && list.states == Which::Connected && !filter.names_states()
        {
            diagnostics.line("no row matches; listening and UDP sockets are shown with -a");
        }
        if let Some(found) = found {
            limits.extend(found.limits.iter().cloned());
            let superuser = (context.system.kind(), context.system.is_superuser());
            let owners = tell_owners(plan, &ask, superuser, &sockets.sockets, found, diagnostics);
            self.rows(
                plan,
                filter,
                list,
                &columns,
                context,
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
                context,
                sockets,
                None,
                gathered,
                Beside { limits: &limits, front },
            )?;
        }
        if needs.contains(Needs::STATE_TIMES) {
            self.times.tell(context.system.kind(), diagnostics);
        }
        diagnostics.limits(limits);
        self.prints += 1;
        Ok(())
    }

    /// `-c`.
    fn processes(
        &mut self,
        plan: &Plan,
        filter: &Filter,
        context: &mut Context<'_>,
        sockets: &mut SocketList,
        front: &mut Front,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Failure> {
        let ask = OwnersAsk {
            image: true,
            names: true,
            components: !filter.units.is_empty(),
            ..source(plan)
        };
        let found = find_owners(context, &sockets.sockets, &ask)?;
        if filter.needs_owners() {
            let superuser = (context.system.kind(), context.system.is_superuser());
            tell_unfiltered(filter, &found.owners, &sockets.sockets, superuser, diagnostics);
            sockets
                .sockets
                .retain(|socket| filter.wants_holders(&found.owners.of(socket)));
        }
        match plan.format {
            Format::Text => classic::processes::write(context.out, &sockets.sockets, &found.owners)?,
            _ => {
                let value = json::processes::value(front, &sockets.sockets, &found.owners);
                front.member("processes", &value);
                front.limits(&found.limits);
            }
        }
        let superuser = (context.system.kind(), context.system.is_superuser());
        tell_owners(plan, &ask, superuser, &sockets.sockets, found, diagnostics);
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
        context: &mut Context<'_>,
        sockets: &mut SocketList,
        owners: Option<Owners>,
        gathered: Gathered,
        beside: Beside<'_>,
    ) -> Result<(), Failure> {
        let names = self.names.as_ref().map(|names| names as &dyn ForeignNames);
        let color = plan.color.colored(context.screen);
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
                times: self.times.times(),
                rates: self.rates.table(),
                facts: self.facts.known(),
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
            let grid = Changes::between(old, &seen, columns, shelf, people, (context.now)(), wanted);
            let layout = Layout {
                color,
                width: None,
                bare: self.prints > 0,
                for_people: false,
            };
            write_grid(plan, context, &grid, &layout, &mut self.widths, self.prints, beside)?;
            self.before = Some(seen);
            return Ok(());
        }
        let shelf = Shelf {
            gathered: &gathered,
            names,
            services: self.services.as_ref(),
            times: self.times.times(),
            rates: self.rates.table(),
            facts: self.facts.known(),
        };
        // A sign for new rows is for eyes that watch.
        let watched = plan.interval.is_some() && color && plan.format == Format::Text && list.group.is_empty();
        let before = watched.then(|| {
            let now: Known = sockets.sockets.iter().filter_map(Socket::cookie).collect();
            // In the first print nothing is new.
            self.known.replace(now.clone()).unwrap_or(now)
        });
        if let (true, Some(owners)) = (list.tree, &owners) {
            let tree = ProcessTree::of(&sockets.sockets, owners, context.system);
            return Ok(tree.write(context.out, &sockets.sockets, &shelf, color)?);
        }
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
            return Ok(classic::connections::write(context.out, &sockets.sockets, &view)?);
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
            width: context.screen.width.filter(|_| context.screen.terminal),
            bare: false,
            for_people: false,
        };
        if list.group.is_empty() {
            return write_grid(plan, context, &grid, &layout, &mut self.widths, self.prints, beside);
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
        write_grid(plan, context, &groups, &layout, &mut self.widths, self.prints, beside)
    }

    /// Asks for the names of the foreign sides, with the plan's deadline for all of them together.
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
                let computer = context.system.computer_name();
                none.insert(NameView {
                    names: Names::new(&computer, own, style, Services::system(), ReverseDns::system()),
                })
            }
        };
        let progress = Progress::start(context.terminal, "looking up names");
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
            diagnostics.line(format!(
                "{} of {} foreign addresses had no name within {seconds} s and are shown as numbers (--dns-timeout)",
                summary.timed_out, summary.total
            ));
        }
    }
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

/// Whether `socket` is bound to a device and its address does not show it, as link-local ones do.
fn is_bound(socket: &Socket) -> bool {
    socket.protocol().is_ip() && socket.interface().is_some() && socket.local().scope == 0 && !socket.is_connected()
}
