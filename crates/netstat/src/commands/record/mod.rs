//! `netstat record`: keeps every connection.

mod args;
mod asked;
mod service;
#[cfg(feature = "fleet")]
mod ship;
mod windows_service;

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use netstat_model::text::{escape_str, plain_error};
use netstat_model::{EventOrigin, EventOwner, Fact, Limit, SystemKind, Why};
use netstat_os::{Confinement, EventSource, EventsAsk, Lost, System};
use netstat_record::{Flushed, Recorder, Retention, StoreError, Writer, millis};

use crate::commands::audit;
use crate::commands::audit::watch::Reporter;
use crate::context::{Context, Diagnostics, Failure, Outcome, ProcessResolver, signals};

use args::RecordArgs;
use asked::LearnedNames;

/// The interval at which rows are written.
const FLUSH: Duration = Duration::from_secs(1);
/// The number of waiting rows at which they are written early.
const MANY: usize = 5_000;
/// How long an event may wait in the kernel.
const LATENCY: Duration = Duration::from_millis(100);
/// The interval at which old rows are looked for.
const RETAIN: Duration = Duration::from_secs(60);

pub(crate) fn definition() -> clap::Command {
    RecordArgs::command()
}

pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let args = RecordArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    if args.install_service {
        return match netstat_os::NATIVE_KIND {
            SystemKind::Windows => windows_service::service(&args, context),
            SystemKind::Linux | SystemKind::Other => service::service(&args, context),
        };
    }
    if args.alerts.is_any() && !args.audit {
        return Err(Failure::Usage(
            "--exec, --journald and --syslog need --audit".to_owned(),
        ));
    }
    match args.as_service {
        true => windows_service::run(&args, context),
        false => record(&args, context, &mut |_| {}),
    }
}

/// Records until asked to stop. `begun` is called once everything is ready, with what is recorded and how.
fn record(args: &RecordArgs, context: &mut Context<'_>, begun: &mut dyn FnMut(&str)) -> Result<Outcome, Failure> {
    let path = args.store.path(context.system.is_superuser())?;
    let (boot_id, unknown_boot) = boot_id(context.system);
    let (recorder, sender) = open(args, (&path, &boot_id), context)?;
    let ask = EventsAsk {
        way: args.events.into(),
        all_namespaces: !args.own_namespace,
        latency: LATENCY,
        ..EventsAsk::default()
    };
    let source = context
        .system
        .events(&ask)
        .map_err(|refused| Failure::Refused(refused.message))?;
    let names = LearnedNames::start(args, context.system);
    let stop = signals::end_requested(context.system);
    let stop = stop.map_err(|error| Failure::Refused(format!("signals: {}", plain_error(&error))))?;
    // Everything is open, and signals have their own thread. Access to files is kept, because the store may have to be
    // recreated.
    context.system.confine(&args.alerts.confinement(Confinement {
        network: sender.is_some(),
        ..Confinement::default()
    }));
    let mut diagnostics = Diagnostics::default();
    diagnostics.limits(unknown_boot);
    diagnostics.limits(source.limits().iter().cloned());
    if let (true, Some(why)) = (args.verbose, names.refused()) {
        diagnostics.line(format!("names that programs ask for are not recorded: {why}"));
    }
    let shown = escape_str(&path.display().to_string()).into_owned();
    let verbose = args.verbose || context.terminal;
    let doing = format!("recording into {shown}, {}", source.how());
    if verbose {
        let end = if args.period.is_some() { "" } else { "; Ctrl+C ends" };
        diagnostics.line(format!("{doing}{end}"));
    }
    diagnostics.say(context.err);
    let mut recording = Recording {
        recorder,
        source,
        names,
        path: &path,
        all_namespaces: ask.all_namespaces,
        resolver: ProcessResolver::default(),
        lost: Lost::default(),
        flushed_at: millis(context.system.now().wall),
        begun_at: millis(context.system.now().wall),
        paused: false,
        sender,
        diagnostics,
        audit: None,
    };
    if args.audit {
        let watch = audit::watch_for_record(args.audit_min, ask.all_namespaces, path.clone(), context);
        recording.audit = Some(Reporter::start(watch, context.system.another(), &args.alerts, false)?);
    }
    begun(&doing);
    recording.until(args, &stop, context)?;
    let last = recording.stop(context)?;
    if verbose {
        let line = format!("{} connections recorded", recording.recorder.flows());
        recording.diagnostics.line(line);
    }
    recording.diagnostics.say(context.err);
    if last.paused {
        return Err(Failure::Refused(format!(
            "{shown}: the last connections could not be written: no room, or the device failed"
        )));
    }
    Ok(Outcome::Printed)
}

/// The sender of flows to a fleet.
#[cfg(feature = "fleet")]
type Sender = netstat_fleet::Sender;
/// Without the `fleet` feature, there is never a sender.
#[cfg(not(feature = "fleet"))]
type Sender = std::convert::Infallible;

/// Opens the store at `path` for this boot, and with `--ship`, the connection to the fleet.
fn open(
    args: &RecordArgs,
    (path, boot_id): (&Path, &str),
    context: &mut Context<'_>,
) -> Result<(Recorder, Option<Sender>), Failure> {
    let host = context.system.computer_name();
    let writer = Writer::open(path, &host, boot_id).map_err(|error| refused(error, path))?;
    let mut recorder = Recorder::new(writer)
        .map_err(|error| refused(error, path))?
        .with_heartbeat(args.heartbeat);
    let store = recorder.store().map_err(|error| refused(error, path))?;
    #[cfg(feature = "fleet")]
    let sender = ship::start((&args.ship, &args.store), store, boot_id, &host, context)?;
    #[cfg(not(feature = "fleet"))]
    let sender = {
        let now = millis((context.now)());
        store.pause_shipping(now).map_err(|error| refused(error, path))?;
        None
    };
    Ok((recorder, sender))
}

/// Returns the id of this boot. If the system does not report it, returns an id that no other recorder has, and the
/// resulting limit.
fn boot_id(system: &dyn System) -> (String, Option<Limit>) {
    let refused = match system.boot_id() {
        Ok(id) => return (id, None),
        Err(refused) => refused,
    };
    let limit = Limit {
        what: "connections that outlive this recorder will be recorded twice".into(),
        why: refused.message,
        remedy: None,
    };
    let id = format!("unknown-{}-{}", millis(system.now().wall), std::process::id());
    (id, Some(limit))
}

/// Returns the time since boot.
fn since_boot(system: &dyn System) -> Duration {
    Duration::from_nanos(system.now().since_boot)
}

/// Converts an error of the store at `path` to a failure with one line.
fn refused(error: StoreError, path: &Path) -> Failure {
    crate::recall::refused(&error.in_file(path))
}

/// A running recorder.
struct Recording<'p> {
    recorder: Recorder,
    source: Box<dyn EventSource>,
    names: LearnedNames,
    path: &'p Path,
    all_namespaces: bool,
    resolver: ProcessResolver,
    /// What the source had lost at the last flush, and when that was.
    lost: Lost,
    flushed_at: i64,
    /// When the recording began.
    begun_at: i64,
    paused: bool,
    /// The sender to a fleet.
    #[cfg_attr(not(feature = "fleet"), expect(dead_code, reason = "there is never one"))]
    sender: Option<Sender>,
    diagnostics: Diagnostics,
    /// The audit, with `--audit`.
    audit: Option<Reporter>,
}

impl Recording<'_> {
    /// Records until asked to stop, or until the time is over.
    fn until(&mut self, args: &RecordArgs, stop: &AtomicBool, context: &mut Context<'_>) -> Result<(), Failure> {
        let retention = Retention {
            keep: u64::try_from(args.keep.as_millis()).ok(),
            max_size: Some(args.max_size),
        };
        let start = since_boot(context.system);
        let end = args.period.map(|period| start + period);
        let (mut next_flush, mut next_retain) = (start, start);
        let mut settled = false;
        while !stop.load(Ordering::Relaxed) {
            let now = since_boot(context.system);
            if end.is_some_and(|end| now >= end) {
                break;
            }
            let until = end.map_or(next_flush, |end| end.min(next_flush));
            self.observe(until.saturating_sub(now), context)?;
            if !settled {
                settled = true;
                self.recorder.settle().map_err(|error| refused(error, self.path))?;
            }
            let now = since_boot(context.system);
            if now < next_flush && self.recorder.waiting() < MANY {
                continue;
            }
            next_flush = now + FLUSH;
            self.flush(context)?;
            self.ship(context)?;
            if !self.paused && now >= next_retain {
                let removed = self.recorder.retain(retention).unwrap_or(0);
                next_retain = if removed > 0 { now + FLUSH } else { now + RETAIN };
            }
            self.diagnostics.say(context.err);
        }
        Ok(())
    }

    /// Processes the events that arrive within `time`.
    fn observe(&mut self, time: Duration, context: &mut Context<'_>) -> Result<(), Failure> {
        let Recording {
            recorder,
            source,
            resolver,
            audit,
            ..
        } = self;
        let system = &mut *context.system;
        let mut describe = |owner: &EventOwner, cgroup: Fact<u64>| resolver.describe(system, owner, cgroup);
        source
            .next(time, &mut |event| {
                if let Some(audit) = audit.as_mut() {
                    audit.watch.event(&event);
                }
                recorder.observe(&event, &mut describe);
            })
            .map_err(|refused| Failure::Refused(refused.message))?;
        if let Some(audit) = audit {
            audit.report(context.out, context.err)?;
        }
        Ok(())
    }

    /// Writes what is waiting, and reports changes in the state of the store.
    fn flush(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let now = context.system.now();
        self.note_lost(millis(now.wall));
        let wanted = self.recorder.wants_progress(now.since_boot);
        self.refresh(&wanted, context.system);
        if self.recorder.is_due(now.since_boot) {
            self.refresh_datagrams();
        }
        self.names.give(&mut self.recorder, context.system);
        let now = context.system.now();
        let flushed = self
            .recorder
            .flush(now.since_boot, now.wall)
            .map_err(|error| refused(error, self.path))?;
        if flushed.begun_anew {
            let shown = escape_str(&self.path.display().to_string()).into_owned();
            let line = format!("netstat: {shown} was deleted, moved or replaced; recording into a new one");
            let _ = writeln!(context.err, "{line}");
        }
        if flushed.paused && !self.paused {
            let _ = writeln!(
                context.err,
                "netstat: cannot write the record (disk full or I/O error); paused, will retry"
            );
        }
        if let Some(lost) = flushed.resumed {
            let _ = writeln!(
                context.err,
                "netstat: recording again; connections lost meanwhile: {lost}"
            );
        }
        self.paused = flushed.paused;
        Ok(())
    }

    /// Sends to a fleet what is due.
    #[cfg(feature = "fleet")]
    fn ship(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let now = millis(context.system.now().wall);
        let store = self.recorder.store().map_err(|error| refused(error, self.path))?;
        ship::turn(sender, store, now, context.err).map_err(|error| refused(error, self.path))
    }

    #[cfg(not(feature = "fleet"))]
    fn ship(&mut self, _: &mut Context<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// Updates everything and writes it.
    fn stop(&mut self, context: &mut Context<'_>) -> Result<Flushed, Failure> {
        let until = millis(context.system.now().wall);
        self.note_lost(until);
        if self.source.origin() == EventOrigin::Poll {
            let reason = "watched by polling, which does not see short connections";
            self.recorder.lost(self.begun_at, until, reason, None);
        }
        let open = self.recorder.open_connections();
        self.refresh(&open, context.system);
        self.refresh_datagrams();
        self.names.give(&mut self.recorder, context.system);
        let now = context.system.now();
        let last = self
            .recorder
            .stop(now.since_boot, now.wall)
            .map_err(|error| refused(error, self.path))?;
        #[cfg(feature = "fleet")]
        if let Some(sender) = self.sender.take() {
            let store = self.recorder.store().map_err(|error| refused(error, self.path))?;
            ship::finish(sender, store, context.err);
        }
        Ok(last)
    }

    /// Updates the traffic of the connections with these cookies.
    fn refresh(&mut self, cookies: &HashSet<u64>, system: &mut dyn System) {
        if !cookies.is_empty() {
            self.recorder.refresh(&system.progress(cookies, self.all_namespaces));
        }
    }

    /// Updates the traffic of the open UDP sockets, if tracepoints count it.
    fn refresh_datagrams(&mut self) {
        let source = &self.source;
        self.recorder
            .refresh_datagrams(&|cookie| match NonZeroU64::new(cookie) {
                Some(cookie) => source.udp_bytes(cookie).map(|bytes| (bytes.sent, bytes.received)),
                None => Fact::Unknown(Why::NotKept),
            });
    }

    /// Adds to the record what the source has lost since the last flush.
    fn note_lost(&mut self, until: i64) {
        let since = std::mem::replace(&mut self.flushed_at, until);
        let lost = self.source.lost();
        let before = std::mem::replace(&mut self.lost, lost);
        if lost == before {
            return;
        }
        let recorder = &mut self.recorder;
        let events = lost.events.saturating_sub(before.events);
        if events > 0 {
            recorder.lost(since, until, "there was no room for events in the kernel", Some(events));
        }
        if lost.gaps > before.gaps {
            recorder.lost(since, until, "the kernel dropped messages about closed sockets", None);
        }
        let owners = lost.owners.saturating_sub(before.owners);
        if owners > 0 {
            recorder.lost(since, until, "there was no room for owners in the kernel", Some(owners));
        }
        let unreported = lost.untold.saturating_sub(before.untold);
        if unreported > 0 {
            let reason = "the kernel did not report ends of connections, which were found some seconds later";
            recorder.lost(since, until, reason, Some(unreported));
        }
        let only_unreported = Lost {
            untold: lost.untold,
            ..before
        };
        if lost != only_unreported {
            self.diagnostics.line(
                "events were lost: the machine is too busy, or this program was starved of CPU time; see `netstat history --gaps`",
            );
        }
    }
}
