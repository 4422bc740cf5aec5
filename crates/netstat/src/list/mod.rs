//! Runs a plan: queries the system, prints, waits, and prints again.

mod books;
mod changes;
mod choice;
mod follow;
mod foreign_facts;
mod output;
mod owners;
mod published;
mod rates;
mod redraw;
mod rows;
mod state_times;
mod tree;

use std::time::{Duration, Instant};

use netstat_model::counters::{
    Block, BlockSet, InterfaceRates, InterfaceStatistics, ProtocolRates, ProtocolStatistics,
};
use netstat_model::route::{RouteQuery, TableSelection};
use netstat_model::{Extras, Fact, Family, Filter, Limit, Ports, Protocol, Sides, Socket, State, SystemKind, Why};
use netstat_os::{NOT_SUPPORTED, SocketAsk, SocketList};

use crate::args::shape::Format;
use crate::args::{PacketPlan, Plan, ProtocolName, RouteTable, RoutesPlan, StatisticsPlan, Which};
use crate::context::{Context, Diagnostics, Failure, Outcome, Progress, names};
use crate::output::classic;
use crate::output::json::{self, front::Front};
use published::PublishedList;
use redraw::{Buffer, Frame, Redraw};
use rows::{Lister, PrintJob};

/// Runs `plan` until it ends.
///
/// # Errors
/// See [`Failure`].
pub fn run(plan: &Plan, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    if let Some(follow) = &plan.follow {
        return follow::follow(plan, follow, context);
    }
    if redraws(plan, context) {
        return redrawn(plan, context);
    }
    let mut job = Job::new(plan, context)?;
    let mut prints = plan
        .count
        .map_or(if plan.interval.is_some() { u64::MAX } else { 1 }, |count| count.get());
    let mut clock = Ticker::new(plan.interval);
    loop {
        job.print()?;
        prints -= 1;
        if prints == 0 {
            break;
        }
        let next = clock.next(Instant::now());
        (job.context.wait_until)(next);
    }
    Ok(if job.incomplete {
        Outcome::Incomplete
    } else {
        Outcome::Printed
    })
}

/// The number of seconds from which an interval was more likely meant as a port.
const PORT_LIKE: u64 = 70;

/// Suggests what to type for a port, if a number that may be a port was read as the interval.
fn port_hint(plan: &Plan) -> Option<String> {
    let seconds = plan.interval?.as_secs();
    let ports = PORT_LIKE..=u64::from(u16::MAX);
    let meant = plan.list.is_some() && plan.count.is_none() && ports.contains(&seconds);
    meant.then(|| format!("this repeats every {seconds} s; for port {seconds}: --port {seconds}"))
}

/// Whether each print replaces the previous one: at an interval, on a terminal, in text format.
fn redraws(plan: &Plan, context: &Context<'_>) -> bool {
    let changes = plan.list.as_ref().is_some_and(|list| list.changes);
    plan.interval.is_some() && !plan.scroll && !changes && plan.format == Format::Text && context.screen.terminal
}

/// Runs `plan`, with each print in place of the previous one.
fn redrawn(plan: &Plan, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let (text, notes) = (Buffer::default(), Buffer::default());
    let Context {
        system,
        out,
        err,
        screen,
        now,
        wait_until,
        terminal,
    } = context;
    let mut inner = Context {
        system: &mut **system,
        out: &mut text.clone(),
        // On a terminal, diagnostics would disturb the display; elsewhere, they are written to stderr directly.
        err: match *terminal {
            true => &mut notes.clone(),
            false => &mut **err,
        },
        terminal: false,
        screen: *screen,
        now: &mut **now,
        wait_until: &mut **wait_until,
    };
    let mut job = Job::new(plan, &mut inner)?;
    let mut clock = Ticker::new(plan.interval);
    let mut redraw = Redraw::default();
    let mut prints = plan.count.map_or(u64::MAX, |count| count.get());
    // Each note is reported only once, so it stays on the screen.
    let mut told = Vec::new();
    loop {
        job.print()?;
        told.extend(notes.take());
        let (columns, rows) = netstat_os::terminal_size().unwrap_or((80, 24));
        let frame = Frame {
            columns: columns.into(),
            rows: rows.into(),
            color: plan.color.colored(*screen),
            interval: plan.interval.unwrap_or_default(),
            now: (job.context.now)(),
        };
        redraw.draw(&mut **out, &text.take(), &told, frame)?;
        prints -= 1;
        if prints == 0 {
            break;
        }
        let next = clock.next(Instant::now());
        (job.context.wait_until)(next);
    }
    Ok(match job.incomplete {
        true => Outcome::Incomplete,
        false => Outcome::Printed,
    })
}

/// The times of the prints: multiples of the interval from the first one, so that the duration of a print causes no
/// drift.
struct Ticker {
    next: Instant,
    interval: Duration,
}

impl Ticker {
    fn new(interval: Option<Duration>) -> Self {
        Ticker {
            next: Instant::now(),
            interval: interval.unwrap_or_default(),
        }
    }

    /// Returns the first time of the series that is not in the past. Times that a long print has overrun are skipped.
    fn next(&mut self, now: Instant) -> Instant {
        self.next += self.interval;
        if self.next < now && !self.interval.is_zero() {
            let missed = now.duration_since(self.next).as_nanos() / self.interval.as_nanos() + 1;
            self.next += self.interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
        }
        self.next
    }
}

/// A plan being run, with the state that is kept from print to print.
struct Job<'a, 's> {
    plan: &'a Plan,
    /// The filter of the plan, with its names resolved.
    filter: Filter,
    context: &'a mut Context<'s>,
    diagnostics: Diagnostics,
    tables: TableSelection,
    sockets: SocketList,
    lister: Lister,
    interfaces: Option<InterfaceStatistics>,
    protocols: Option<ProtocolStatistics>,
    /// The parts of the JSON document that precede the connection list in this print.
    front: Front,
    /// The number of completed prints.
    prints: u64,
    incomplete: bool,
}

impl<'a, 's> Job<'a, 's> {
    fn new(plan: &'a Plan, context: &'a mut Context<'s>) -> Result<Self, Failure> {
        let tables = match plan.routes.as_ref().map(|routes| &routes.table) {
            None | Some(RouteTable::Default) => TableSelection::default(),
            Some(RouteTable::All) => TableSelection::All,
            Some(RouteTable::Named(name)) => context
                .system
                .table(name)
                .map_err(|refused| Failure::Usage(refused.message))?,
        };
        // Checked even if no column needs them, so that a wrong name is reported immediately.
        netstat_names::Locations::check(&plan.locations.databases).map_err(foreign_facts::unusable)?;
        let filter = names::resolved(&plan.filter, context, plan.dns_timeout)?;
        let mut diagnostics = Diagnostics::default();
        if context.screen.terminal
            && let Some(hint) = port_hint(plan)
        {
            diagnostics.line(hint);
        }
        Ok(Job {
            plan,
            filter,
            context,
            diagnostics,
            tables,
            sockets: SocketList::default(),
            lister: Lister::default(),
            interfaces: None,
            protocols: None,
            front: Front::default(),
            prints: 0,
            incomplete: false,
        })
    }

    /// Prints the path of a packet: `-r --to`.
    fn print_way(&mut self, packet: &PacketPlan) -> Result<(), Failure> {
        let query = RouteQuery {
            to: packet.to,
            from: packet.from,
            mark: packet.mark,
            uid: packet.uid,
        };
        let answer = self.context.system.route_to(&query);
        let answer = answer.map_err(|refused| Failure::Refused(refused.to_string()))?;
        // The full listing has the names of tables and interfaces, and the rules.
        let listing = self.context.system.routes(TableSelection::All);
        match self.plan.format {
            Format::Text | Format::Csv(_) => classic::routes::write_way(self.context.out, &query, &answer, &listing)?,
            Format::Json | Format::NdJson => {
                let value = json::routes::way(&query, &answer, &listing);
                self.front.member("route_to", &value);
            }
        }
        self.diagnostics.limits(listing.limits);
        Ok(())
    }

    /// Prints everything in the plan once, in the classic order.
    fn print(&mut self) -> Result<(), Failure> {
        if self.plan.ethernet.is_some() {
            self.print_ethernet()?;
        }
        self.read_sockets();
        if let Some(statistics) = &self.plan.statistics {
            self.print_statistics(statistics)?;
        }
        if let Some(packet) = self.plan.routes.as_ref().and_then(|routes| routes.to) {
            self.print_way(&packet)?;
        } else if let Some(routes) = &self.plan.routes {
            self.print_routes(routes)?;
        }
        if self.plan.groups {
            self.print_groups()?;
        }
        self.print_sockets()?;
        // If there is a connection list, the document has already been written.
        if self.plan.list.is_none() && matches!(self.plan.format, Format::Json | Format::NdJson) {
            let host = self.context.system.computer_name();
            let time = (self.context.now)();
            self.front.document(self.context.out, &host, time)?;
        }
        self.front = Front::default();
        self.prints += 1;
        self.context.out.flush()?;
        let changes = self.plan.list.as_ref().is_some_and(|list| list.changes);
        if changes && self.plan.verbose && self.prints == 1 {
            self.diagnostics.line("watching");
        }
        self.diagnostics.say(self.context.err);
        Ok(())
    }

    /// Reads the sockets that all parts of the plan need.
    fn read_sockets(&mut self) {
        let ask = socket_ask(self.plan, &self.filter);
        if ask != SocketAsk::default() {
            let progress = Progress::start(self.context.terminal, "reading sockets");
            self.lister.look_begins();
            self.context.system.sockets(&ask, &mut self.sockets);
            drop(progress);
            self.incomplete |= self.sockets.failed;
        }
    }

    /// Prints `-r`.
    fn print_routes(&mut self, plan: &RoutesPlan) -> Result<(), Failure> {
        let progress = Progress::start(self.context.terminal, "reading routes");
        let mut listing = self.context.system.routes(self.tables);
        drop(progress);
        self.incomplete |= listing.ipv4.why().is_some() && listing.interfaces.why().is_some();
        let families = self.plan.families;
        if !families.v4 {
            listing.ipv4 = Fact::Unknown(Why::NotAsked);
        }
        if !families.v6 {
            listing.ipv6 = Fact::Unknown(Why::NotAsked);
        }
        match self.plan.format {
            Format::Text | Format::Csv(_) if not_supported(&listing.limits) => {}
            Format::Text => {
                let options = classic::routes::RoutesOptions {
                    table: self.tables,
                    v4: families.v4,
                    v6: families.v6,
                };
                classic::routes::write(self.context.out, &listing, &options)?;
            }
            Format::Csv(style) => {
                let grid = json::routes::grid(&listing);
                crate::output::rows::csv::write(self.context.out, &grid, self.prints == 0, style)?;
            }
            Format::Json | Format::NdJson => {
                let value = json::routes::value(&mut self.front, &listing);
                self.front.member("routes", &value);
                self.front.limits(&listing.limits);
            }
        }
        let no_route = |routes: &Fact<Vec<_>>| routes.as_ref().known().is_some_and(Vec::is_empty);
        if let RouteTable::Named(name) = &plan.table
            && no_route(&listing.ipv4)
            && no_route(&listing.ipv6)
        {
            self.diagnostics
                .line(format!("routing table \"{name}\" is empty or does not exist"));
        }
        self.diagnostics.limits(listing.limits);
        Ok(())
    }

    /// Prints the parts that consist of sockets, and the published ports.
    fn print_sockets(&mut self) -> Result<(), Failure> {
        if not_supported(&self.sockets.limits) && matches!(self.plan.format, Format::Text | Format::Csv(_)) {
            self.diagnostics.limits(self.sockets.limits.drain(..));
            return Ok(());
        }
        let published = self.published()?;
        self.lister.published = published.len();
        self.lister.print(&mut PrintJob {
            plan: self.plan,
            filter: &self.filter,
            context: self.context,
            sockets: &mut self.sockets,
            front: &mut self.front,
            diagnostics: &mut self.diagnostics,
        })?;
        if self.plan.format == Format::Text {
            published.write(self.context.out)?;
        }
        Ok(())
    }

    /// Returns the ports that `--exposed` shows in addition to the sockets. For a JSON document they are added to its
    /// front instead.
    fn published(&mut self) -> Result<PublishedList, Failure> {
        // On Linux, the ports that NAT forwards are known from the packet filter. On Windows port proxies do this,
        // which `audit` and `inspect` report.
        if self.context.system.kind() == SystemKind::Windows {
            return Ok(PublishedList::default());
        }
        let list = match &self.plan.list {
            Some(list) if self.filter.exposed && !list.changes && list.group.is_empty() => list,
            _ => return Ok(PublishedList::default()),
        };
        let found = published::gather(self.context, list, &self.filter)?;
        if let Some(why) = found.incomplete {
            let system = &self.context.system;
            let hint = system.kind().privilege_hint(system.is_superuser());
            self.diagnostics
                .line(format!("ports published by NAT may be missing: {why}{hint}"));
        }
        match self.plan.format {
            Format::Json => self.front.published(&found.value()),
            Format::Csv(_) | Format::NdJson if found.len() > 0 => self.diagnostics.line(format!(
                "{} published by NAT: this format has none of them (--json has)",
                netstat_model::human::plural(found.len() as u64, "port")
            )),
            _ => {}
        }
        Ok(found)
    }

    fn print_ethernet(&mut self) -> Result<(), Failure> {
        let Some(ethernet) = &self.plan.ethernet else {
            return Ok(());
        };
        let (interfaces, limits) = self.context.system.interface_statistics();
        self.incomplete |= interfaces.interfaces.why().is_some();
        let rates = self
            .plan
            .rates
            .then(|| InterfaceRates::between(self.interfaces.as_ref(), &interfaces));
        match self.plan.format {
            Format::Text | Format::Csv(_) if not_supported(&limits) => {}
            Format::Text => {
                let (each, kinds) = (ethernet.per_interface, self.plan.verbose);
                // The first print has no rates; they begin with the second.
                let rates = rates.as_ref().filter(|_| self.interfaces.is_some());
                classic::ethernet::write(self.context.out, &interfaces, each, kinds, rates)?;
            }
            Format::Csv(style) => {
                let grid = json::ethernet::grid(&interfaces, rates.as_ref());
                crate::output::rows::csv::write(self.context.out, &grid, self.prints == 0, style)?;
            }
            Format::Json | Format::NdJson => {
                let value = json::ethernet::value(&mut self.front, &interfaces, rates.as_ref());
                self.front.member("ethernet", &value);
                self.front.limits(&limits);
            }
        }
        self.diagnostics.limits(limits);
        self.interfaces = Some(interfaces);
        Ok(())
    }

    fn print_groups(&mut self) -> Result<(), Failure> {
        let groups = match self.context.system.multicast_groups() {
            Ok(groups) => groups,
            Err(refused) => {
                self.incomplete = true;
                let limit = Limit {
                    what: "multicast groups are missing".to_owned(),
                    why: refused.to_string(),
                    remedy: None,
                };
                if matches!(self.plan.format, Format::Json | Format::NdJson) {
                    self.front.member("groups", &serde_json::Value::Null);
                    self.front.limits(std::slice::from_ref(&limit));
                }
                self.diagnostics.limits([limit]);
                return Ok(());
            }
        };
        match self.plan.format {
            Format::Json | Format::NdJson => self.front.member("groups", &json::groups::value(&groups)),
            Format::Text | Format::Csv(_) => classic::groups::write(self.context.out, &groups)?,
        }
        Ok(())
    }

    fn print_statistics(&mut self, plan: &StatisticsPlan) -> Result<(), Failure> {
        let blocks: BlockSet = plan.blocks.iter().filter_map(|&name| block(name)).collect();
        let (mut protocols, limits) = self.context.system.protocol_statistics(blocks, plan.verbose);
        let connections = |family| count_connections(&self.sockets, family);
        protocols.set_current_connections(connections(Family::V4), connections(Family::V6));
        let rates = self
            .plan
            .rates
            .then(|| ProtocolRates::between(self.protocols.as_ref(), &protocols));
        if not_supported(&limits) && matches!(self.plan.format, Format::Text | Format::Csv(_)) {
            // Diagnostics report it.
        } else if self.plan.format == Format::Text {
            let options = classic::statistics::StatisticsOptions {
                blocks,
                verbose: plan.verbose,
                zeros: plan.zeros,
                rates: rates.as_ref(),
            };
            classic::statistics::write(self.context.out, &protocols, &options)?;
            let zeros = classic::statistics::zeros_left_out(&protocols, &options);
            if zeros > 0 {
                self.diagnostics.line(format!(
                    "counters that are 0 are left out, {zeros} now (--zeros shows them)"
                ));
            }
        } else {
            let value = json::statistics::value(&mut self.front, &protocols, blocks, plan.verbose, rates.as_ref());
            self.front.member("statistics", &value);
            self.front.limits(&limits);
        }
        self.incomplete |= not_supported(&limits) || blocks.iter().all(|block| unreadable(&protocols, block));
        self.diagnostics.limits(limits);
        self.protocols = Some(protocols);
        Ok(())
    }
}

/// Whether the query is not implemented on this system. A table would consist of headings only, so only the diagnostics
/// are printed.
fn not_supported(limits: &[Limit]) -> bool {
    limits.iter().any(|limit| limit.why == NOT_SUPPORTED)
}

/// Whether no counter of `block` is known, for another reason than that the system does not keep it.
fn unreadable(protocols: &ProtocolStatistics, block: Block) -> bool {
    let mut figures = protocols.rows(block).flat_map(|(_, pair)| [pair.received, pair.sent]);
    let mut failed = false;
    figures.all(|figure| {
        failed |= matches!(figure.why(), Some(Why::Failed | Why::NotPermitted | Why::Gone));
        figure.why().is_some()
    }) && failed
}

/// Returns the block of `-s` for a protocol; `None` if it has none.
fn block(name: ProtocolName) -> Option<Block> {
    Some(match name {
        ProtocolName::Ip => Block::Ipv4,
        ProtocolName::IpV6 => Block::Ipv6,
        ProtocolName::Icmp => Block::Icmpv4,
        ProtocolName::IcmpV6 => Block::Icmpv6,
        ProtocolName::Tcp => Block::Tcpv4,
        ProtocolName::TcpV6 => Block::Tcpv6,
        ProtocolName::Udp => Block::Udpv4,
        ProtocolName::UdpV6 => Block::Udpv6,
        _ => return None,
    })
}

/// `tcpCurrEstab` of RFC 4022: connections in ESTABLISHED or CLOSE-WAIT.
fn count_connections(list: &SocketList, family: Family) -> Fact<u64> {
    if list.failed {
        return Fact::Unknown(Why::Failed);
    }
    let counts = |socket: &&Socket| {
        socket.protocol() == Protocol::Tcp
            && socket.family() == family
            && matches!(socket.state(), State::Established | State::CloseWait)
    };
    Fact::Known(list.sockets.iter().filter(counts).count() as u64)
}

/// Returns the query for the sockets that all parts of the plan need. The names in `filter` must be resolved. The
/// default query asks for nothing.
fn socket_ask(plan: &Plan, filter: &Filter) -> SocketAsk {
    let mut ask = SocketAsk::default();
    let stateless = filter.allows_stateless();
    if let Some(list) = &plan.list {
        let (extra, count_bytes) = choice::extras(list);
        ask = SocketAsk {
            tcp4: list.tcp4,
            tcp6: list.tcp6,
            udp4: list.udp4 && stateless,
            udp6: list.udp6 && stateless,
            raw4: list.raw4 && stateless,
            raw6: list.raw6 && stateless,
            mptcp4: list.mptcp && list.families.v4,
            mptcp6: list.mptcp && list.families.v6,
            packet: list.packet && stateless,
            unix: list.unix,
            further: list
                .further
                .iter()
                .copied()
                .filter(|protocol| stateless || protocol.has_states())
                .collect(),
            further_where_present: list.further_where_present,
            extra,
            count_bytes: count_bytes && plan.interval.is_some(),
            all_namespaces: list.all_namespaces,
            ..ask
        };
        // IPv6 listeners that accept IPv4 are listed with the IPv4 listeners.
        let [tcp, udp] = choice::only_v4(list);
        let listeners = listed_states(list.states, filter).contains(&State::Listening);
        ask.tcp6 |= tcp && listeners;
        ask.udp6 |= udp && ask.udp4;
        if tcp && ask.tcp6 || udp && ask.udp6 {
            ask.extra = ask.extra | Extras::BASIC;
        }
        if list.tcp4 || list.tcp6 || list.mptcp {
            ask.tcp_states = match list.changes {
                // A changed state may make a socket match the filter, or no longer match it.
                true => State::ALL.to_vec(),
                false => listed_states(list.states, filter),
            };
        }
    }
    if plan.processes {
        ask = SocketAsk {
            tcp4: plan.families.v4,
            tcp6: plan.families.v6,
            udp4: stateless && plan.families.v4,
            udp6: stateless && plan.families.v6,
            tcp_states: listed_states(Which::AllAndBound, filter),
            ..ask
        };
    }
    if plan.list.is_some() || plan.processes {
        ask.ports = filter.ports.clone();
        ask.local = filter.local.clone();
        ask.foreign = filter.foreign.clone();
    }
    if let Some(statistics) = &plan.statistics {
        for (name, wanted) in [(ProtocolName::Tcp, &mut ask.tcp4), (ProtocolName::TcpV6, &mut ask.tcp6)] {
            if statistics.blocks.contains(&name) {
                *wanted = true;
                // The block counts all connections, regardless of what the list shows.
                ask.ports = Ports::default();
                ask.local = Sides::default();
                ask.foreign = Sides::default();
                for state in [State::Established, State::CloseWait] {
                    if !ask.tcp_states.contains(&state) {
                        ask.tcp_states.push(state);
                    }
                }
            }
        }
    }
    ask
}

/// Returns the TCP states that a list shows: those that `filter` names, or else those of `which`.
fn listed_states(which: Which, filter: &Filter) -> Vec<State> {
    let shown = |state: &State| match which {
        _ if !filter.allows_state(*state) => false,
        Which::ListeningOnly => *state == State::Listening,
        _ if filter.names_states() => true,
        Which::Connected => !matches!(state, State::Listening | State::Bound),
        Which::All => *state != State::Bound,
        Which::AllAndBound => true,
    };
    State::ALL.into_iter().filter(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(words: &str) -> SocketAsk {
        match crate::registry::parse(words.split_whitespace().map(std::ffi::OsString::from)) {
            Ok(crate::args::Parsed::Run(plan)) => socket_ask(&plan, &plan.filter),
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn filter_narrows_the_query_to_the_system() {
        for (words, kinds, states, ports) in [
            ("-an --port 443", "t4 t6 u4 u6", 11, "443"),
            ("-n --port 443", "t4 t6", 10, "443"),
            ("-an --state LISTENING", "t4 t6", 1, ""),
            ("-n --state LISTENING,BOUND", "t4 t6", 2, ""),
            ("-anp tcp --state BOUND --port 22", "t4", 1, "22"),
            ("-q --state SYN_SENT", "t4 t6", 1, ""),
            ("-l --state ESTABLISHED", "t4 t6", 0, ""),
            ("-l --state ESTABLISHED,LISTENING", "t4 t6", 1, ""),
            ("-p udp --state ESTABLISHED", "", 0, ""),
            ("-c --state LISTENING --port 1-9", "t4 t6", 1, "1-9"),
            ("-c --port 1-9", "t4 t6 u4 u6", 12, "1-9"),
            // Counting all connections requires reading all of them.
            ("-s --port 443", "t4 t6", 10, ""),
            // IPv6 listeners may accept IPv4.
            ("-s -p tcp --state LISTENING --port 443", "t4 t6", 3, ""),
            ("-s -p udp --port 53", "u4 u6", 0, "53"),
        ] {
            let ask = ask(words);
            let asked = [(ask.tcp4, "t4"), (ask.tcp6, "t6"), (ask.udp4, "u4"), (ask.udp6, "u6")];
            let asked: Vec<&str> = asked.into_iter().filter_map(|(is, kind)| is.then_some(kind)).collect();
            assert_eq!(asked.join(" "), kinds, "{words}");
            assert_eq!(
                (ask.tcp_states.len(), ask.ports.to_string().as_str()),
                (states, ports),
                "{words}"
            );
        }
    }

    #[test]
    fn ticker_does_not_drift_and_skips_overrun_prints() {
        let mut ticker = Ticker::new(Some(Duration::from_secs(2)));
        let start = ticker.next;
        let at = |tenths: u64| start + Duration::from_millis(tenths * 100);
        assert_eq!(ticker.next(at(3)), at(20));
        assert_eq!(ticker.next(at(29)), at(40));
        assert_eq!(ticker.next(at(95)), at(100), "the moments at 6 and 8 s are past");
        assert_eq!(ticker.next(at(101)), at(120));
    }
}
