//! `netstat record`: keeps every connection.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};
use netstat_model::text::escape_str;
use netstat_model::{Component, EventOwner, Fact};
use netstat_os::{Caught, EventWay, EventsAsk, Lost, ProcessAsk, System};
use netstat_record::{NewProcess, Recorder, Retention, StoreError, Writer, command_hash, millis};

use crate::past::{self, StoreArgs};
use crate::run::talk::Talk;
use crate::run::{Failure, Outcome, Surroundings};

/// How often rows are written.
const FLUSH: Duration = Duration::from_secs(1);
/// Rows are written earlier when so many wait.
const MANY: usize = 5_000;
/// How long an event may wait in the kernel.
const LATENCY: Duration = Duration::from_millis(100);
/// How often old rows are looked for.
const RETAIN: Duration = Duration::from_secs(60);
/// How often units are looked for by control group.
const GROUPS: Duration = Duration::from_secs(5);

/// Keep every connection in a file, short ones too, until Ctrl+C
#[derive(Parser, Debug)]
#[command(
    name = "record",
    after_help = "Ask with `netstat history`. As root every connection is seen, by the kernel's tracepoints; as another user what \
                  polling shows, and the ends of all. The unit file netstat-record.service runs it as a service."
)]
struct Words {
    #[command(flatten)]
    store: StoreArgs,
    /// forget connections that ended longer ago than this: 12h, 30d
    #[arg(long, value_name = "TIME", value_parser = past::duration, default_value = "30d")]
    keep: Duration,
    /// forget the oldest connections when the file grows beyond this: 500MB, 2GB
    #[arg(long, value_name = "SIZE", value_parser = past::size, default_value = "2GB")]
    max_size: u64,
    /// end after this time: 10s
    #[arg(long = "for", value_name = "TIME", value_parser = past::duration)]
    period: Option<Duration>,
    /// how connections are seen: auto, trace (tracepoints), netlink (messages about closed ones, and polling) or poll
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        default_value = "auto"
    )]
    events: Way,
    /// bring the rows of open connections up to date this often: 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = past::duration, default_value = "60s")]
    heartbeat: Duration,
    /// only this network namespace, not those of containers
    #[arg(long)]
    own_namespace: bool,
    /// say how connections are seen, and what was recorded
    #[arg(long)]
    verbose: bool,
}

/// `--events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// The best that is allowed.
    Auto,
    /// Tracepoints.
    Trace,
    /// Netlink and polling.
    Netlink,
    /// Polling.
    Poll,
}

impl From<Way> for EventWay {
    fn from(way: Way) -> EventWay {
        match way {
            Way::Auto => EventWay::Auto,
            Way::Trace => EventWay::Trace,
            Way::Netlink => EventWay::Netlink,
            Way::Poll => EventWay::Poll,
        }
    }
}

pub(crate) fn definition() -> clap::Command {
    Words::command()
}

/// The failure of a store, in one line.
pub(crate) fn refused(error: &StoreError) -> Failure {
    Failure::Refused(escape_str(&error.to_string()).into_owned())
}

pub(crate) fn run(matches: &ArgMatches, surroundings: &mut Surroundings<'_>) -> Result<Outcome, Failure> {
    let words = Words::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let path = words.store.path(surroundings.system.is_superuser())?;
    let failed = |what: &str, error: std::io::Error| Failure::Refused(format!("{what}: {error}"));
    let boot_id = netstat_os::boot_id().map_err(|error| failed("the id of this boot", error))?;
    let host = surroundings.system.computer_name();
    let writer = Writer::open(&path, &host, &boot_id).map_err(|error| refused(&error))?;
    let mut recorder = Recorder::new(writer)
        .map_err(|error| refused(&error))?
        .with_heartbeat(words.heartbeat);
    let ask = EventsAsk {
        way: words.events.into(),
        all_namespaces: !words.own_namespace,
        latency: LATENCY,
        ..EventsAsk::default()
    };
    let mut source = surroundings
        .system
        .events(&ask)
        .map_err(|refused| Failure::Refused(refused.0))?;
    let asked_to_stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&asked_to_stop);
    netstat_os::catch_signals(move |signal| match signal {
        Caught::End(_) => asked.store(true, Ordering::Relaxed),
        Caught::Stop => drop(netstat_os::stop_self()),
        Caught::Continue => {}
    })
    .map_err(|error| failed("signals", error))?;
    let mut talk = Talk::default();
    talk.limits(source.limits().iter().cloned());
    if words.verbose || surroundings.terminal {
        let place = path.display().to_string();
        let end = if words.period.is_some() { "" } else { "; Ctrl+C ends" };
        talk.line(format!("recording into {place}, {}{end}", source.how()));
    }
    talk.say(surroundings.err);

    let retention = Retention {
        keep: u64::try_from(words.keep.as_millis()).ok(),
        max_size: Some(words.max_size),
    };
    let start = Instant::now();
    let end = words.period.map(|period| start + period);
    let mut describer = ProcessResolver::default();
    let mut next_flush = start;
    let mut next_retain = start;
    let mut before = Lost::default();
    let mut flushed_at = millis((surroundings.now)());
    let mut paused = false;
    let mut settled = false;
    while !asked_to_stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if end.is_some_and(|end| now >= end) {
            break;
        }
        let until = end.map_or(next_flush, |end| end.min(next_flush));
        {
            let system = &mut *surroundings.system;
            let mut describe = |owner: &EventOwner, cgroup: Fact<u64>| describer.describe(system, owner, cgroup);
            source
                .next(until.saturating_duration_since(now), &mut |event| {
                    recorder.observe(&event, &mut describe);
                })
                .map_err(|refused| Failure::Refused(refused.0))?;
        }
        if !settled {
            settled = true;
            recorder.settle().map_err(|error| refused(&error))?;
        }
        let now = Instant::now();
        if now < next_flush && recorder.waiting() < MANY {
            continue;
        }
        next_flush = now + FLUSH;
        let lost = source.lost();
        let wall = (surroundings.now)();
        note_lost(&mut recorder, &mut before, lost, flushed_at, millis(wall), &mut talk);
        flushed_at = millis(wall);
        let asked = recorder.wants_progress(netstat_os::now().since_boot);
        refresh(&mut recorder, surroundings.system, &asked, ask.all_namespaces);
        let flushed = recorder
            .flush(netstat_os::now().since_boot, wall)
            .map_err(|error| refused(&error))?;
        if flushed.paused && !paused {
            let _ = writeln!(
                surroundings.err,
                "netstat: the record takes nothing more (no room, or the device failed): paused until it does"
            );
        }
        if let Some(lost) = flushed.resumed {
            let _ = writeln!(
                surroundings.err,
                "netstat: recording again; connections lost meanwhile: {lost}"
            );
        }
        paused = flushed.paused;
        if !paused && now >= next_retain {
            let removed = recorder.retain(retention, millis(wall)).unwrap_or(0);
            next_retain = if removed > 0 { now + FLUSH } else { now + RETAIN };
        }
        talk.say(surroundings.err);
    }
    let wall = (surroundings.now)();
    note_lost(
        &mut recorder,
        &mut before,
        source.lost(),
        flushed_at,
        millis(wall),
        &mut talk,
    );
    let asked = recorder.open_connections();
    refresh(&mut recorder, surroundings.system, &asked, ask.all_namespaces);
    let last = recorder
        .stop(netstat_os::now().since_boot, wall)
        .map_err(|error| refused(&error))?;
    if words.verbose || surroundings.terminal {
        talk.line(format!("{} connections recorded", recorder.flows()));
    }
    talk.say(surroundings.err);
    if last.paused {
        return Err(Failure::Refused(format!(
            "{}: the last connections could not be written: no room, or the device failed",
            escape_str(&path.display().to_string())
        )));
    }
    Ok(Outcome::Printed)
}

/// Tells the recorder what the connections with these cookies have moved so far.
fn refresh(recorder: &mut Recorder, system: &mut dyn System, cookies: &HashSet<u64>, all_namespaces: bool) {
    if !cookies.is_empty() {
        recorder.refresh(&system.progress(cookies, all_namespaces));
    }
}

/// Puts what the watch has lost since the last time into the record.
fn note_lost(recorder: &mut Recorder, before: &mut Lost, lost: Lost, since: i64, until: i64, talk: &mut Talk) {
    if lost == *before {
        return;
    }
    let events = lost.events - before.events;
    if events > 0 {
        recorder.lost(since, until, "there was no room for events in the kernel", Some(events));
    }
    if lost.gaps > before.gaps {
        recorder.lost(since, until, "the kernel dropped messages about closed sockets", None);
    }
    let owners = lost.owners - before.owners;
    if owners > 0 {
        recorder.lost(since, until, "there was no room for owners in the kernel", Some(owners));
    }
    let untold = lost.untold - before.untold;
    if untold > 0 {
        let reason = "ends of connections were not told by the kernel, and were found out some seconds later";
        recorder.lost(since, until, reason, Some(untold));
    }
    if lost
        != (Lost {
            untold: lost.untold,
            ..*before
        })
    {
        talk.line(
            "events were lost: the machine is too busy, or this program got no processor; see `netstat history --gaps`",
        );
    }
    *before = lost;
}

/// Finds out what a process is while it lives.
#[derive(Default)]
pub(crate) struct ProcessResolver {
    /// Paths of control groups, and when they were read.
    groups: Option<(Instant, std::collections::HashMap<u64, Vec<u8>>)>,
}

impl ProcessResolver {
    pub(crate) fn describe(&mut self, system: &mut dyn System, owner: &EventOwner, cgroup: Fact<u64>) -> NewProcess {
        let mut facts = NewProcess {
            path: None,
            name: owner.name.as_bytes().to_vec(),
            unit: None,
            container: None,
            command: None,
        };
        let ask = ProcessAsk {
            arguments: true,
            program: true,
            components: true,
            ..ProcessAsk::default()
        };
        let found = system.process(owner.pid, &ask).ok();
        // An id may have been used again, and a process may have become another program meanwhile.
        let same = |started: u64| owner.start_ticks.known().is_none_or(|ticks| ticks == started);
        if let Some(found) = found.filter(|found| same(found.start_ticks)) {
            if found.comm == facts.name || facts.name.is_empty() {
                facts.path = found.program.known().map(|program| program.path);
                let words = found.arguments.known().filter(|words| !words.is_empty());
                facts.command = words.map(|words| command_hash(words.iter().map(Vec::as_slice)));
                facts.name = found.comm;
            }
            if let Fact::Known(components) = &found.components {
                split(components, &mut facts);
                return facts;
            }
        }
        if let Fact::Known(id) = cgroup {
            split(&self.components(system, id), &mut facts);
        }
        facts
    }

    /// What the control group `id` stands for: it outlives its processes.
    fn components(&mut self, system: &mut dyn System, id: u64) -> Vec<Component> {
        let now = Instant::now();
        let stale = |at: Instant| now.duration_since(at) > GROUPS;
        if self
            .groups
            .as_ref()
            .is_none_or(|(at, groups)| !groups.contains_key(&id) && stale(*at))
        {
            self.groups = Some((now, system.cgroup_paths()));
        }
        let path = self.groups.as_ref().and_then(|(_, groups)| groups.get(&id));
        path.map_or(Vec::new(), |path| netstat_os::components_of(path))
    }
}

/// The innermost unit and container.
fn split(components: &[Component], facts: &mut NewProcess) {
    for component in components {
        match component {
            Component::Unit { name, .. } => facts.unit = Some(name.clone()),
            Component::Container { runtime, id } => {
                facts.container = Some([runtime.name().as_bytes(), b" ", id].concat());
            }
        }
    }
}
