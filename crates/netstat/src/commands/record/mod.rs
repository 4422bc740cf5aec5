//! `netstat record`: keeps every connection.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};
use netstat_model::text::escape_str;
use netstat_model::{EventOwner, Fact};
use netstat_os::{Caught, EventWay, EventsAsk, Lost, System};
use netstat_record::{Recorder, Retention, Writer, millis};

use crate::args::store::StoreArgs;
use crate::args::units;
use crate::context::Diagnostics;
use crate::context::{Context, Failure, Outcome, ProcessResolver};

/// How often rows are written.
const FLUSH: Duration = Duration::from_secs(1);
/// Rows are written earlier when so many wait.
const MANY: usize = 5_000;
/// How long an event may wait in the kernel.
const LATENCY: Duration = Duration::from_millis(100);
/// How often old rows are looked for.
const RETAIN: Duration = Duration::from_secs(60);

/// Keep every connection in a file, short ones too, until Ctrl+C
#[derive(Parser, Debug)]
#[command(
    name = "record",
    after_help = "Query the record with `netstat history`. As root every connection is seen, through the kernel's tracepoints; \
                  as another user those that polling shows, and the end of each. The unit file netstat-record.service runs \
                  it as a service: systemctl enable --now netstat-record."
)]
struct RecordArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// delete connections that ended longer ago than this: 12h, 30d
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration, default_value = "30d")]
    keep: Duration,
    /// delete the oldest connections when the file grows beyond this: 500MB, 2GB
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "2GB")]
    max_size: u64,
    /// exit after this time: 10, 10s, 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = units::positive_duration)]
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
    /// interval between updates of open connections: 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration, default_value = "60s")]
    heartbeat: Duration,
    /// only this network namespace, not those of containers
    #[arg(long)]
    own_namespace: bool,
    /// report how connections are seen and what was recorded
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
    RecordArgs::command()
}

pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let words = RecordArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let path = words.store.path(context.system.is_superuser())?;
    let failed = |what: &str, error: std::io::Error| Failure::Refused(format!("{what}: {error}"));
    let boot_id = context
        .system
        .boot_id()
        .map_err(|refused| Failure::Refused(refused.message))?;
    let host = context.system.computer_name();
    let writer = Writer::open(&path, &host, &boot_id).map_err(|error| crate::recall::refused(&error))?;
    let mut recorder = Recorder::new(writer)
        .map_err(|error| crate::recall::refused(&error))?
        .with_heartbeat(words.heartbeat);
    let ask = EventsAsk {
        way: words.events.into(),
        all_namespaces: !words.own_namespace,
        latency: LATENCY,
        ..EventsAsk::default()
    };
    let mut source = context
        .system
        .events(&ask)
        .map_err(|refused| Failure::Refused(refused.message))?;
    let asked_to_stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&asked_to_stop);
    let notify = move |signal| match signal {
        Caught::End(_) => asked.store(true, Ordering::Relaxed),
        Caught::Stop => drop(netstat_os::stop_self()),
        Caught::Continue => {}
    };
    let caught = context.system.catch_signals(Box::new(notify));
    caught.map_err(|error| failed("signals", error))?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.limits(source.limits().iter().cloned());
    if words.verbose || context.terminal {
        let place = path.display().to_string();
        let end = if words.period.is_some() { "" } else { "; Ctrl+C ends" };
        diagnostics.line(format!("recording into {place}, {}{end}", source.how()));
    }
    diagnostics.say(context.err);

    let retention = Retention {
        keep: u64::try_from(words.keep.as_millis()).ok(),
        max_size: Some(words.max_size),
    };
    let start = since_boot(context.system);
    let end = words.period.map(|period| start + period);
    let mut describer = ProcessResolver::default();
    let mut next_flush = start;
    let mut next_retain = start;
    let mut before = Lost::default();
    let mut flushed_at = millis(context.system.now().wall);
    let mut paused = false;
    let mut settled = false;
    while !asked_to_stop.load(Ordering::Relaxed) {
        let now = since_boot(context.system);
        if end.is_some_and(|end| now >= end) {
            break;
        }
        let until = end.map_or(next_flush, |end| end.min(next_flush));
        {
            let system = &mut *context.system;
            let mut describe = |owner: &EventOwner, cgroup: Fact<u64>| describer.describe(system, owner, cgroup);
            source
                .next(until.saturating_sub(now), &mut |event| {
                    recorder.observe(&event, &mut describe);
                })
                .map_err(|refused| Failure::Refused(refused.message))?;
        }
        if !settled {
            settled = true;
            recorder.settle().map_err(|error| crate::recall::refused(&error))?;
        }
        let now = since_boot(context.system);
        if now < next_flush && recorder.waiting() < MANY {
            continue;
        }
        next_flush = now + FLUSH;
        let lost = source.lost();
        let wall = context.system.now().wall;
        note_lost(
            &mut recorder,
            &mut before,
            lost,
            flushed_at,
            millis(wall),
            &mut diagnostics,
        );
        flushed_at = millis(wall);
        let asked = recorder.wants_progress(context.system.now().since_boot);
        refresh(&mut recorder, context.system, &asked, ask.all_namespaces);
        let flushed = recorder
            .flush(context.system.now().since_boot, wall)
            .map_err(|error| crate::recall::refused(&error))?;
        if flushed.paused && !paused {
            let _ = writeln!(
                context.err,
                "netstat: the record takes nothing more (no room, or the device failed): paused until it does"
            );
        }
        if let Some(lost) = flushed.resumed {
            let _ = writeln!(
                context.err,
                "netstat: recording again; connections lost meanwhile: {lost}"
            );
        }
        paused = flushed.paused;
        if !paused && now >= next_retain {
            let removed = recorder.retain(retention).unwrap_or(0);
            next_retain = if removed > 0 { now + FLUSH } else { now + RETAIN };
        }
        diagnostics.say(context.err);
    }
    let wall = context.system.now().wall;
    note_lost(
        &mut recorder,
        &mut before,
        source.lost(),
        flushed_at,
        millis(wall),
        &mut diagnostics,
    );
    let asked = recorder.open_connections();
    refresh(&mut recorder, context.system, &asked, ask.all_namespaces);
    let last = recorder
        .stop(context.system.now().since_boot, wall)
        .map_err(|error| crate::recall::refused(&error))?;
    if words.verbose || context.terminal {
        diagnostics.line(format!("{} connections recorded", recorder.flows()));
    }
    diagnostics.say(context.err);
    if last.paused {
        return Err(Failure::Refused(format!(
            "{}: the last connections could not be written: no room, or the device failed",
            escape_str(&path.display().to_string())
        )));
    }
    Ok(Outcome::Printed)
}

/// The time since boot, by which the loop keeps its appointments: it never jumps.
fn since_boot(system: &dyn System) -> Duration {
    Duration::from_nanos(system.now().since_boot)
}

/// Tells the recorder what the connections with these cookies have moved so far.
fn refresh(recorder: &mut Recorder, system: &mut dyn System, cookies: &HashSet<u64>, all_namespaces: bool) {
    if !cookies.is_empty() {
        recorder.refresh(&system.progress(cookies, all_namespaces));
    }
}

/// Puts what the watch has lost since the last time into the record.
fn note_lost(
    recorder: &mut Recorder,
    before: &mut Lost,
    lost: Lost,
    since: i64,
    until: i64,
    diagnostics: &mut Diagnostics,
) {
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
        diagnostics.line(
            "events were lost: the machine is too busy, or this program got no processor; see `netstat history --gaps`",
        );
    }
    *before = lost;
}
