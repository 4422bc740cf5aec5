//! Carries out a plan: asks the system, prints, waits, prints again.

mod books;
mod changes;
mod choice;
pub(crate) mod event_columns;
mod follow;
mod list;
pub(crate) mod names;
mod output;
pub(crate) mod owners;
mod state_times;
pub(crate) mod talk;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use netstat_model::counters::{
    Block, BlockSet, InterfaceRates, InterfaceStatistics, ProtocolRates, ProtocolStatistics,
};
use netstat_model::route::TableSelection;
use netstat_model::{Fact, Family, Filter, Ports, Protocol, Sides, Socket, State, Why};
use netstat_os::{Refused, SocketAsk, SocketList, System};

use crate::args::shape::Format;
use crate::args::{Plan, ProtocolName, RouteTable, RoutesPlan, StatisticsPlan, Which};
use crate::json::{self, front::Front};
use crate::progress::Progress;
use crate::render;
use list::Lister;
use talk::Talk;

/// Everything a run needs from outside, so that a whole command can be tested without a real system.
pub struct Surroundings<'a> {
    /// Who is asked.
    pub system: &'a mut dyn System,
    /// Where data goes: stdout.
    pub out: &'a mut dyn Write,
    /// Where talk goes: stderr.
    pub err: &'a mut dyn Write,
    /// Whether `err` is a terminal, so that progress may be shown on it.
    pub terminal: bool,
    /// What stdout is.
    pub screen: Screen,
    /// The time of day.
    pub now: &'a mut dyn FnMut() -> SystemTime,
    /// Waits until the given moment; called between two prints.
    pub wait_until: &'a mut dyn FnMut(Instant),
}

/// What stdout is, as far as the layout depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Whether it is a terminal that takes colours: no `TERM=dumb`.
    pub terminal: bool,
    /// Its width in columns; `None` where it is no terminal, or one that does not tell.
    pub width: Option<u16>,
    /// Whether the environment forbids colours: `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
}

impl Screen {
    /// This process's stdout and environment.
    pub fn of_stdout() -> Screen {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_terminal = io::stdout().is_terminal();
        Screen {
            terminal: is_terminal && set("TERM").is_some_and(|term| term != "dumb"),
            width: netstat_os::terminal_width().filter(|_| is_terminal),
            no_color: set("NO_COLOR").is_some(),
        }
    }
}

/// How a run ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was asked for has been printed, as far as the system tells it.
    Printed,
    /// A part that was asked for could not be read in any way; the rest has been printed.
    Incomplete,
    /// A command's own exit status, as its help explains it.
    Status(u8),
}

/// Why a run could not be carried out.
#[derive(Debug)]
pub enum Failure {
    /// The output could not be written.
    Output(io::Error),
    /// The command line names something that this system does not have; one line.
    Usage(String),
    /// The system refused what was insisted on; one line.
    Refused(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Carries out `plan` until it ends.
///
/// # Errors
/// See [`Failure`].
pub fn run(plan: &Plan, surroundings: &mut Surroundings<'_>) -> Result<Outcome, Failure> {
    if let Some(follow) = &plan.follow {
        return follow::follow(plan, follow, surroundings);
    }
    let mut job = Job::new(plan, surroundings)?;
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
        (job.surroundings.wait_until)(next);
    }
    Ok(if job.incomplete {
        Outcome::Incomplete
    } else {
        Outcome::Printed
    })
}

/// The moments of the prints: multiples of the interval after the first, so that the time a print takes adds no drift.
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

    /// The first moment of the series that is still to come; moments that a long print has overrun are left out.
    fn next(&mut self, now: Instant) -> Instant {
        self.next += self.interval;
        if self.next < now && !self.interval.is_zero() {
            let missed = now.duration_since(self.next).as_nanos() / self.interval.as_nanos() + 1;
            self.next += self.interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
        }
        self.next
    }
}

/// A plan being carried out, with what is kept from print to print.
struct Job<'a, 's> {
    plan: &'a Plan,
    /// The plan's filter with its names resolved.
    filter: Filter,
    surroundings: &'a mut Surroundings<'s>,
    talk: Talk,
    tables: TableSelection,
    sockets: SocketList,
    lister: Lister,
    interfaces: Option<InterfaceStatistics>,
    protocols: Option<ProtocolStatistics>,
    /// The first parts of the JSON document of this print.
    front: Front,
    /// How many prints there were.
    prints: u64,
    incomplete: bool,
}

impl<'a, 's> Job<'a, 's> {
    fn new(plan: &'a Plan, surroundings: &'a mut Surroundings<'s>) -> Result<Self, Failure> {
        let tables = match plan.routes.as_ref().map(|routes| &routes.table) {
            None | Some(RouteTable::Default) => TableSelection::default(),
            Some(RouteTable::All) => TableSelection::All,
            Some(RouteTable::Named(name)) => surroundings
                .system
                .table(name)
                .map_err(|Refused(words)| Failure::Usage(words))?,
        };
        let filter = names::resolved(&plan.filter, surroundings, plan.dns_timeout)?;
        Ok(Job {
            plan,
            filter,
            surroundings,
            talk: Talk::default(),
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

    /// One print of everything the plan asks for, in the classic order.
    fn print(&mut self) -> Result<(), Failure> {
        if self.plan.ethernet.is_some() {
            self.print_ethernet()?;
        }
        let ask = socket_ask(self.plan, &self.filter);
        if ask != SocketAsk::default() {
            let progress = Progress::start(self.surroundings.terminal, "reading sockets");
            self.lister.look_begins();
            self.surroundings.system.sockets(&ask, &mut self.sockets);
            drop(progress);
            self.incomplete |= self.sockets.failed;
        }
        if let Some(statistics) = &self.plan.statistics {
            self.print_statistics(statistics)?;
        }
        if self.plan.routes.is_some() {
            let progress = Progress::start(self.surroundings.terminal, "reading routes");
            let listing = self.surroundings.system.routes(self.tables);
            drop(progress);
            self.incomplete |= listing.ipv4.why().is_some() && listing.interfaces.why().is_some();
            match self.plan.format {
                Format::Text => {
                    let options = render::routes::RoutesOptions { table: self.tables };
                    render::routes::write(self.surroundings.out, &listing, &options)?;
                }
                Format::Csv => {
                    let grid = json::routes::grid(&listing);
                    render::rows::csv::write(self.surroundings.out, &grid, self.prints == 0)?;
                }
                Format::Json | Format::NdJson => {
                    let value = json::routes::value(&mut self.front, &listing);
                    self.front.member("routes", &value);
                    self.front.limits(&listing.limits);
                }
            }
            let no_route = |routes: &Fact<Vec<_>>| routes.as_ref().known().is_some_and(Vec::is_empty);
            if let Some(RoutesPlan {
                table: RouteTable::Named(name),
            }) = &self.plan.routes
                && no_route(&listing.ipv4)
                && no_route(&listing.ipv6)
            {
                self.talk
                    .line(format!("routing table \"{name}\" is empty or does not exist"));
            }
            self.talk.limits(listing.limits);
        }
        self.lister.print(
            self.plan,
            &self.filter,
            self.surroundings,
            &mut self.sockets,
            &mut self.front,
            &mut self.talk,
        )?;
        // With the connection list the document has been written already.
        if self.plan.list.is_none() && matches!(self.plan.format, Format::Json | Format::NdJson) {
            let host = self.surroundings.system.computer_name();
            let time = (self.surroundings.now)();
            self.front.document(self.surroundings.out, &host, time)?;
        }
        self.front = Front::default();
        self.prints += 1;
        self.surroundings.out.flush()?;
        self.talk.say(self.surroundings.err);
        Ok(())
    }

    fn print_ethernet(&mut self) -> Result<(), Failure> {
        let Some(ethernet) = &self.plan.ethernet else {
            return Ok(());
        };
        let (interfaces, limits) = self.surroundings.system.interface_statistics();
        self.incomplete |= interfaces.interfaces.why().is_some();
        let rates = self
            .plan
            .rates
            .then(|| InterfaceRates::between(self.interfaces.as_ref(), &interfaces));
        match self.plan.format {
            Format::Text => render::ethernet::write(
                self.surroundings.out,
                &interfaces,
                ethernet.per_interface,
                rates.as_ref(),
            )?,
            Format::Csv => {
                let grid = json::ethernet::grid(&interfaces, rates.as_ref());
                render::rows::csv::write(self.surroundings.out, &grid, self.prints == 0)?;
            }
            Format::Json | Format::NdJson => {
                let value = json::ethernet::value(&mut self.front, &interfaces, rates.as_ref());
                self.front.member("ethernet", &value);
                self.front.limits(&limits);
            }
        }
        self.talk.limits(limits);
        self.interfaces = Some(interfaces);
        Ok(())
    }

    fn print_statistics(&mut self, plan: &StatisticsPlan) -> Result<(), Failure> {
        let blocks: BlockSet = plan.blocks.iter().filter_map(|&name| block(name)).collect();
        let (mut protocols, limits) = self.surroundings.system.protocol_statistics(blocks, plan.verbose);
        let connections = |family| count_connections(&self.sockets, family);
        protocols.set_current_connections(connections(Family::V4), connections(Family::V6));
        let rates = self
            .plan
            .rates
            .then(|| ProtocolRates::between(self.protocols.as_ref(), &protocols));
        if self.plan.format == Format::Text {
            let options = render::statistics::StatisticsOptions {
                blocks,
                verbose: plan.verbose,
                zeros: plan.zeros,
                rates: rates.as_ref(),
            };
            render::statistics::write(self.surroundings.out, &protocols, &options)?;
            let zeros = render::statistics::zeros_left_out(&protocols, &options);
            if zeros > 0 {
                self.talk.line(format!(
                    "counters that are 0 are left out, {zeros} now (--zeros shows them)"
                ));
            }
        } else {
            let value = json::statistics::value(&mut self.front, &protocols, blocks, plan.verbose, rates.as_ref());
            self.front.member("statistics", &value);
            self.front.limits(&limits);
        }
        self.incomplete |= blocks.iter().all(|block| unreadable(&protocols, block));
        self.talk.limits(limits);
        self.protocols = Some(protocols);
        Ok(())
    }
}

/// Whether no figure of `block` is known, and not because the system keeps none.
fn unreadable(protocols: &ProtocolStatistics, block: Block) -> bool {
    let mut figures = protocols.rows(block).flat_map(|(_, pair)| [pair.received, pair.sent]);
    let mut failed = false;
    figures.all(|figure| {
        failed |= matches!(figure.why(), Some(Why::Failed | Why::NotPermitted | Why::Gone));
        figure.why().is_some()
    }) && failed
}

/// The block of `-s`, where there is one of that name.
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
        ProtocolName::Raw | ProtocolName::Raw6 | ProtocolName::Mptcp | ProtocolName::Packet | ProtocolName::Unix => {
            return None;
        }
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

/// The sockets that all parts of the plan need together, with `filter`'s names resolved; the default asks for none.
fn socket_ask(plan: &Plan, filter: &Filter) -> SocketAsk {
    let mut ask = SocketAsk::default();
    let stateless = filter.allows_stateless();
    if let Some(list) = &plan.list {
        ask = SocketAsk {
            tcp4: list.tcp4,
            tcp6: list.tcp6,
            udp4: list.udp4 && stateless,
            udp6: list.udp6 && stateless,
            raw4: list.raw4 && stateless,
            raw6: list.raw6 && stateless,
            mptcp4: list.mptcp,
            mptcp6: list.mptcp,
            packet: list.packet && stateless,
            unix: list.unix,
            extra: choice::extras(list),
            all_namespaces: list.all_namespaces,
            ..ask
        };
        if list.tcp4 || list.tcp6 || list.mptcp {
            ask.tcp_states = match list.changes {
                // A change of state may lead out of the filter, or into it.
                true => State::ALL.to_vec(),
                false => listed_states(list.states, filter),
            };
        }
    }
    if plan.processes {
        ask = SocketAsk {
            tcp4: true,
            tcp6: true,
            udp4: stateless,
            udp6: stateless,
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
                // The block counts all connections, whatever the list shows of them.
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

/// The TCP states a list shows: those that `filter` names, or else those of `which`.
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
        match crate::args::parse(words.split_whitespace().map(std::ffi::OsString::from)) {
            Ok(crate::args::Parsed::Run(plan)) => socket_ask(&plan, &plan.filter),
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn a_filter_narrows_what_is_asked_of_the_system() {
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
            // The count of all connections needs all of them.
            ("-s --port 443", "t4 t6", 10, ""),
            ("-s -p tcp --state LISTENING --port 443", "t4", 3, ""),
            ("-s -p udp --port 53", "u4", 0, "53"),
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
    fn prints_do_not_drift_and_leave_out_what_was_overrun() {
        let mut ticker = Ticker::new(Some(Duration::from_secs(2)));
        let start = ticker.next;
        let at = |tenths: u64| start + Duration::from_millis(tenths * 100);
        assert_eq!(ticker.next(at(3)), at(20));
        assert_eq!(ticker.next(at(29)), at(40));
        assert_eq!(ticker.next(at(95)), at(100), "the moments at 6 and 8 s are past");
        assert_eq!(ticker.next(at(101)), at(120));
    }
}
