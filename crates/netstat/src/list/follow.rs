//! `--follow` and `--until`: shows events of sockets as they happen.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netstat_model::text::escape;
use netstat_model::{
    Direction, Endpoint, Event, EventKind, EventOrigin, EventOwner, Fact, Family, Filter, Holders, Protocol, State,
};
use netstat_os::{EventSource, EventsAsk, Lost};
use netstat_record::NewProcess;

use crate::args::shape::Format;
use crate::args::{FollowPlan, ListPlan, Plan};
use crate::context::Diagnostics;
use crate::context::ProcessResolver;
use crate::context::human;
use crate::context::{Context, Failure, Outcome, names, signals};
use crate::output::events::{EventRow, One, program};
use crate::output::rows;

/// The longest wait before checking whether it is time to end.
const STEP: Duration = Duration::from_millis(200);
/// The maximum number of processes to remember.
const PROCESSES: usize = 10_000;

/// What is known about the process that caused an event.
struct Who(Option<(u32, NewProcess)>);

impl Holders for Who {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        self.0.as_ref().is_some_and(|(pid, _)| wanted(*pid))
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        let path = |facts: &NewProcess| wanted(facts.path.as_deref().unwrap_or(&facts.name));
        self.0.as_ref().is_some_and(|(_, facts)| path(facts))
    }

    fn any_unit(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        self.0.as_ref().is_some_and(|(_, facts)| {
            let id = |name: &[u8]| name.splitn(2, |&byte| byte == b' ').nth(1).is_some_and(wanted);
            facts.unit.as_deref().is_some_and(wanted)
                || facts.container.as_deref().is_some_and(|name| wanted(name) || id(name))
        })
    }
}

/// Shows events until it is time to end.
///
/// # Errors
/// See [`Failure`].
pub(super) fn follow(plan: &Plan, follow: &FollowPlan, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let filter = names::resolved(&plan.filter, context, plan.dns_timeout)?;
    let until = match &follow.until {
        Some(until) => Some(names::resolved(until, context, plan.dns_timeout)?),
        None => None,
    };
    let list = plan.list.clone().unwrap_or_default();
    let end = follow
        .timeout
        .map(|timeout| since_boot(context).saturating_add(timeout));
    let ask = EventsAsk {
        changes: !filter.states.is_empty() || until.as_ref().is_some_and(|until| !until.states.is_empty()),
        ..EventsAsk::default()
    };
    let mut source = context
        .system
        .events(&ask)
        .map_err(|refused| Failure::Refused(refused.message))?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.limits(source.limits().iter().cloned());
    if plan.verbose {
        diagnostics.line(source.how());
    }
    diagnostics.say(context.err);
    let stop = match plan.format == Format::Text || follow.every {
        // If signals cannot be caught, they end the program as usual.
        true => signals::end_requested(context.system).unwrap_or_default(),
        false => Arc::default(),
    };
    let mut printer = EventPrinter {
        plan,
        list: &list,
        filter: &filter,
        until: until.as_ref(),
        every: follow.every,
        color: plan.color.colored(context.screen),
        describer: ProcessResolver::default(),
        processes: HashMap::new(),
        users: HashMap::new(),
    };
    let mut before = Lost::default();
    let mut watching = false;
    loop {
        let now = since_boot(context);
        if stop.load(Ordering::Relaxed) {
            return Ok(Outcome::Printed);
        }
        if end.is_some_and(|end| now >= end) {
            return Ok(match follow.until {
                Some(_) => Outcome::Status(1),
                None => Outcome::Printed,
            });
        }
        // The first call reads the existing sockets and must return at once.
        let step = if watching { STEP } else { Duration::ZERO };
        let wait = end.map_or(step, |end| end.saturating_sub(now).min(step));
        if printer.print_next(source.as_mut(), wait, context)? {
            return Ok(Outcome::Printed);
        }
        if !std::mem::replace(&mut watching, true) && plan.verbose {
            let _ = writeln!(context.err, "netstat: watching");
        }
        let lost = source.lost();
        if lost != before {
            let _ = writeln!(context.err, "netstat: {}", lost_line(lost, before));
            before = lost;
        }
    }
}

/// Returns the time since boot, which is not affected by changes of the clock.
fn since_boot(context: &Context<'_>) -> Duration {
    Duration::from_nanos(context.system.now().since_boot)
}

/// Describes the events that were lost since `before`.
fn lost_line(lost: Lost, before: Lost) -> String {
    let count = lost.events - before.events;
    let untold = lost.untold - before.untold;
    let what = if count > 0 {
        format!("{} lost", human::plural(count, "event"))
    } else if untold > 0 {
        format!("{} not reported by the kernel", human::plural(untold, "end"))
    } else {
        "events were lost, the kernel does not say how many".to_owned()
    };
    format!("{what}; all sockets have been read again")
}

struct EventPrinter<'a> {
    plan: &'a Plan,
    list: &'a ListPlan,
    filter: &'a Filter,
    until: Option<&'a Filter>,
    every: bool,
    color: bool,
    describer: ProcessResolver,
    processes: HashMap<(u32, Option<u64>), NewProcess>,
    users: HashMap<u32, Option<Arc<str>>>,
}

impl EventPrinter<'_> {
    /// Waits for events and prints the wanted ones. Returns whether one of them matches `--until`.
    fn print_next(
        &mut self,
        source: &mut dyn EventSource,
        wait: Duration,
        context: &mut Context<'_>,
    ) -> Result<bool, Failure> {
        let mut events = Vec::new();
        source
            .next(wait, &mut |event| events.push(event))
            .map_err(|refused| Failure::Refused(refused.message))?;
        let folded = match self.plan.format == Format::Text && !self.plan.verbose {
            true => folded(&events),
            false => HashSet::new(),
        };
        for (at, event) in events.iter().enumerate() {
            if self.print(event, !folded.contains(&at), context)? {
                context.out.flush()?;
                return Ok(true);
            }
        }
        if !events.is_empty() {
            context.out.flush()?;
        }
        Ok(false)
    }

    /// Prints one event if it is wanted and not already covered by a later line (`alone`). Returns whether it matches
    /// `--until`.
    fn print(&mut self, event: &Event, alone: bool, context: &mut Context<'_>) -> Result<bool, Failure> {
        let kind = match (event.protocol, event.family) {
            (Protocol::Tcp, Family::V4) => self.list.tcp4,
            (Protocol::Tcp, _) => self.list.tcp6,
            (Protocol::Udp, Family::V4) => self.list.udp4,
            (Protocol::Udp, _) => self.list.udp6,
            _ => false,
        };
        if !kind {
            return Ok(false);
        }
        // A filter applies to what the socket was before it closed.
        let mut subject = *event;
        if event.kind == EventKind::Closed {
            subject.state = event.before.unwrap_or(State::Closed);
        }
        let socket = subject.socket();
        if !self.filter.wants(&socket) && !self.until.is_some_and(|until| until.wants(&socket)) {
            return Ok(false);
        }
        let who = Who(event
            .owner
            .known()
            .map(|owner| (owner.pid, self.describe(&owner, event, context))));
        let wanted = self.filter.wants(&socket) && self.filter.wants_holders(&who);
        // A socket that was seen to open was already checked against the filter then.
        let news =
            event.kind != EventKind::Closed || (event.origin == EventOrigin::Destroyed && event.opened.why().is_some());
        let ends = wanted
            && news
            && self
                .until
                .is_some_and(|until| until.wants(&socket) && until.wants_holders(&who));
        let shown = (self.every && wanted && alone && event.kind != EventKind::Present) || ends;
        if shown {
            let user = match event.user {
                Fact::Known(id) => self
                    .users
                    .entry(id)
                    .or_insert_with(|| context.system.user_name(id))
                    .clone(),
                Fact::Unknown(_) => None,
            };
            match self.plan.format {
                Format::NdJson => write_object(context.out, event, &who, user.as_deref())?,
                _ => {
                    let line = line_of(event, &who, user.as_deref());
                    write_line(context.out, event, &line, self.color)?;
                }
            }
        }
        Ok(ends)
    }

    fn describe(&mut self, owner: &EventOwner, event: &Event, context: &mut Context<'_>) -> NewProcess {
        let key = (owner.pid, owner.start_ticks.known());
        if let Some(facts) = self
            .processes
            .get(&key)
            .filter(|facts| facts.name == owner.name.as_bytes())
        {
            return facts.clone();
        }
        let facts = self.describer.describe(context.system, owner, event.cgroup);
        if self.processes.len() >= PROCESSES {
            self.processes.clear();
        }
        self.processes.insert(key, facts.clone());
        facts
    }
}

fn push_side(out: &mut Vec<u8>, side: &Endpoint) {
    match (side.address.is_unspecified(), side.port) {
        (true, 0) => out.extend_from_slice(b"*:*"),
        _ => netstat_model::digits::push_endpoint(out, side),
    }
}

/// Returns what happened as a word of at most nine letters.
fn word(event: &Event) -> &'static str {
    match (event.kind, event.state, event.before) {
        (EventKind::Changed, State::Established, _) if event.protocol == Protocol::Tcp => "connected",
        (EventKind::Closed, _, Some(State::SynSent)) => "failed",
        (kind, _, _) => kind.name(),
    }
}

/// Formats an event: `22:30:05.123 opened    TCP 10.0.0.1:40000 -> 203.0.113.7:443  curl[77] root`.
fn line_of(event: &Event, who: &Who, user: Option<&str>) -> Vec<u8> {
    let time = match jiff::Timestamp::try_from(event.at.wall) {
        Ok(time) => time
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%H:%M:%S%.3f")
            .to_string(),
        Err(_) => "-".to_owned(),
    };
    let mut line = format!("{time} {:9} {} ", word(event), event.protocol.name()).into_bytes();
    push_side(&mut line, &event.local);
    if event.direction != Direction::Listening {
        let arrow: &[u8] = match event.direction {
            Direction::Outgoing => b" -> ",
            Direction::Incoming => b" <- ",
            _ => b" -- ",
        };
        line.extend_from_slice(arrow);
        push_side(&mut line, &event.foreign);
    }
    if event.kind == EventKind::Changed && word(event) == "changed" {
        line.extend_from_slice(format!(" {}", event.state.name()).as_bytes());
    }
    match &who.0 {
        Some((pid, facts)) => {
            let script = facts.script.as_deref().map(netstat_model::text::file_name);
            let script = script.map_or_else(String::new, |script| format!(" ({})", escape(script)));
            line.extend_from_slice(format!("  {}{script}[{pid}]", escape(program(facts))).as_bytes());
        }
        None => line.extend_from_slice(b"  -"),
    }
    if let Some(user) = user {
        line.extend_from_slice(format!(" {}", escape(user.as_bytes())).as_bytes());
    }
    if event.kind == EventKind::Closed {
        if let Fact::Known(time) = event.duration() {
            line.extend_from_slice(format!("  {}", human::short_span(time)).as_bytes());
        }
        if let (Fact::Known(sent), Fact::Known(received)) = (event.sent, event.received) {
            let bytes = format!(", {} sent, {} received", human::bytes(sent), human::bytes(received));
            line.extend_from_slice(bytes.as_bytes());
        }
    }
    line
}

/// Writes a line in the colour of its event: openings green, ends dim, failures yellow.
fn write_line(out: &mut dyn Write, event: &Event, line: &[u8], color: bool) -> io::Result<()> {
    // SGR (ECMA-48, 8.3.117).
    let look = match word(event) {
        "opened" | "connected" | "accepted" | "listening" => "32",
        "failed" => "33",
        "closed" => "2",
        _ => "0",
    };
    match color {
        true => {
            write!(out, "\x1b[{look}m")?;
            out.write_all(line)?;
            out.write_all(b"\x1b[0m\n")
        }
        false => {
            out.write_all(line)?;
            out.write_all(b"\n")
        }
    }
}

/// Returns the indexes of events that are made redundant by a later event of the same socket in the same batch: an
/// opening before the socket is connected or accepted, and everything about a connection that has already ended, whose
/// end reports its duration and traffic.
fn folded(events: &[Event]) -> HashSet<usize> {
    let mut later: HashMap<u64, bool> = HashMap::new();
    let mut folded = HashSet::new();
    for (at, event) in events.iter().enumerate().rev() {
        let Some(cookie) = event.cookie else { continue };
        let cookie = cookie.get();
        let word = word(event);
        match later.get(&cookie) {
            Some(true) if matches!(word, "opened" | "connected" | "accepted") => drop(folded.insert(at)),
            Some(false) if word == "opened" => drop(folded.insert(at)),
            _ => {}
        }
        match word {
            // The final event covers the rest only if the opening was seen.
            "closed" | "failed" if event.duration().why().is_none() => drop(later.insert(cookie, true)),
            "connected" | "accepted" => drop(later.entry(cookie).or_insert(false)),
            _ => {}
        }
    }
    folded
}

/// Writes the same information as a JSON object.
fn write_object(out: &mut dyn Write, event: &Event, who: &Who, user: Option<&str>) -> io::Result<()> {
    let who = who.0.as_ref().map(|(pid, facts)| (*pid, facts));
    rows::json::write_lines(out, &One(EventRow { event, who, user }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Moment, ShortName, Why};
    use std::num::NonZeroU64;
    use std::time::SystemTime;

    fn event(kind: EventKind, cookie: u64, state: State) -> Event {
        let end = |port| Endpoint {
            address: [10, 0, 0, 1].into(),
            port,
            scope: 0,
        };
        Event {
            kind,
            at: Moment {
                wall: SystemTime::UNIX_EPOCH,
                since_boot: 5_000_000,
            },
            origin: EventOrigin::Trace,
            cookie: NonZeroU64::new(cookie),
            inode: None,
            protocol: Protocol::Tcp,
            family: Family::V4,
            local: end(40_000),
            foreign: end(80),
            state,
            before: None,
            direction: Direction::Outgoing,
            interface: 0,
            namespace: Fact::Unknown(Why::NotKept),
            owner: Fact::Known(EventOwner {
                pid: 7,
                start_ticks: Fact::Known(1),
                name: ShortName::new(b"python3"),
            }),
            user: Fact::Known(0),
            cgroup: Fact::Unknown(Why::NotKept),
            opened: Fact::Known(4_000_000),
            sent: Fact::Known(10),
            received: Fact::Known(20),
            retransmits: Fact::Known(0),
            rtt: Fact::Known(10),
        }
    }

    #[test]
    fn folded_events_of_one_batch_leave_the_line_that_says_most() {
        let opened = |cookie| event(EventKind::Opened, cookie, State::SynSent);
        let connected = |cookie| event(EventKind::Changed, cookie, State::Established);
        let closed = |cookie| event(EventKind::Closed, cookie, State::Closed);
        let events = [opened(1), opened(2), connected(1), connected(2), closed(2), opened(3)];
        let mut folded: Vec<usize> = folded(&events).into_iter().collect();
        folded.sort_unstable();
        assert_eq!(folded, [0, 1, 3]);
        assert!(
            super::folded(&[closed(4), opened(4)]).is_empty(),
            "the next socket of that number"
        );
    }

    #[test]
    fn followed_line_of_a_script_names_it_and_its_duration() {
        let facts = NewProcess {
            path: Some(b"/usr/bin/python3.11".to_vec()),
            script: Some(b"/srv/app/srv.py".to_vec()),
            ..NewProcess::default()
        };
        let line = line_of(
            &event(EventKind::Closed, 1, State::Closed),
            &Who(Some((7, facts))),
            Some("ann"),
        );
        let line = String::from_utf8(line).unwrap();
        assert!(
            line.ends_with(
                "TCP 10.0.0.1:40000 -> 10.0.0.1:80  python3.11 (srv.py)[7] ann  1 ms, 10 B sent, 20 B received"
            ),
            "{line}"
        );
        let mut out = Vec::new();
        write_line(&mut out, &event(EventKind::Closed, 1, State::Closed), b"x", true).unwrap();
        assert_eq!(out, b"\x1b[2mx\x1b[0m\n");
    }
}
