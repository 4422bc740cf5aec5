//! `audit --watch` and `record --audit`: examines network activity as it appears.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use netstat_audit::baseline::Baseline;
use netstat_audit::{Auditor, Options, Past, Severity, Survey, host};
use netstat_model::text::{escape_str, plain_error};
use netstat_model::{Event, EventKind, Fact, Filter, Protocol, State};
use netstat_os::{Confinement, EventWay, EventsAsk, OwnersAsk, SocketList, System};
use netstat_packages::blocklist::BlockList;
use netstat_packages::digest::Cache;

use super::acknowledge;
use super::alert::{Alert, AlertArgs, Sinks};
use super::document;
use super::overview::Choice;
use crate::context::{Context, Diagnostics, Failure, Outcome, SystemClock, signals};
use crate::output::json;
use crate::recall::Recall;

/// Events within this time are examined together, because a shell is usually not attached to its connection
/// immediately.
const SETTLE: Duration = Duration::from_millis(300);

/// The minimum time between two examinations, which limits the cost of a flood of connections.
const PACE: Duration = Duration::from_secs(1);

/// The interval at which everything is examined again, because no event reports what happens to a running program.
const ANEW: Duration = Duration::from_secs(300);

/// A finding that was absent for this long is reported again.
const REPEAT: Duration = Duration::from_secs(3600);

/// The maximum number of findings and of processes to remember.
const REMEMBERED: usize = 20_000;

/// The maximum number of processes that wait for examination; the others are covered by the next examination of
/// everything.
const WAITING: usize = 1024;

/// The maximum number of findings that wait to be printed.
const FINDINGS: usize = 1024;

/// How long an event may wait in the kernel, and how often to check for findings.
const LATENCY: Duration = Duration::from_millis(100);

/// What to watch for.
#[derive(Clone, Debug)]
pub(crate) struct WatchAsk {
    pub(crate) min: Severity,
    pub(crate) compare: bool,
    pub(crate) all_namespaces: bool,
    pub(crate) block: Arc<BlockList>,
    /// The file with acknowledged findings, and whether it must exist.
    pub(crate) baseline: Option<(PathBuf, bool)>,
    /// The places where the record may be.
    pub(crate) places: Vec<PathBuf>,
    pub(crate) filter: Filter,
    /// The path of this program, for commands shown to the user.
    pub(crate) netstat: String,
}

/// A thread that examines processes on request.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The processes to examine; `None` requests everything that has not been examined yet.
    pids: SyncSender<Option<u32>>,
    found: Receiver<Result<Alert, String>>,
    /// Whether each process has connected and listened so far, by PID and start time.
    known: HashMap<(u32, u64), [bool; 2]>,
}

impl Watch {
    /// Starts the thread, which queries `system`. It begins by examining everything that exists.
    ///
    /// # Errors
    /// Returns an error of the system.
    pub(crate) fn start(ask: WatchAsk, system: Box<dyn System + Send>) -> io::Result<Watch> {
        let (pids, wanted) = sync_channel(WAITING);
        let (found, receiver) = sync_channel(FINDINGS);
        let work = move || Worker::new(ask, system, found).work(&wanted);
        thread::Builder::new().name("audit".to_owned()).spawn(work)?;
        Ok(Watch {
            pids,
            found: receiver,
            known: HashMap::new(),
        })
    }

    /// Processes an event: a process that listens or connects for the first time is examined.
    pub(crate) fn event(&mut self, event: &Event) {
        if matches!(event.kind, EventKind::Closed | EventKind::Present) {
            return;
        }
        let listens = event.kind == EventKind::Listening || event.state == State::Listening;
        let Fact::Known(owner) = &event.owner else {
            // The process is unknown, so everything new is examined.
            self.ask(None);
            return;
        };
        let key = (owner.pid, owner.start_ticks.known().unwrap_or(0));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let done = self.known.entry(key).or_default();
        if !std::mem::replace(&mut done[usize::from(listens)], true) {
            self.ask(Some(owner.pid));
        }
    }

    fn ask(&self, pid: Option<u32>) {
        // If the queue is full, everything is examined soon.
        let _: Result<(), TrySendError<_>> = self.pids.try_send(pid);
    }

    /// Returns the findings and errors since the last call.
    pub(crate) fn found(&self) -> impl Iterator<Item = Result<Alert, String>> + '_ {
        self.found.try_iter()
    }
}

/// The findings that have been reported, so that none is reported twice.
#[derive(Debug, Default)]
struct Told {
    last: HashMap<(String, Severity), Instant>,
}

impl Told {
    /// Whether a finding should be reported. It then counts as reported.
    fn is_new(&mut self, id: String, severity: Severity, now: Instant) -> bool {
        if self.last.len() >= REMEMBERED {
            self.last
                .retain(|_, then| now.saturating_duration_since(*then) < ANEW * 2);
        }
        let before = self.last.insert((id, severity), now);
        before.is_none_or(|before| now.saturating_duration_since(before) > REPEAT)
    }
}

struct Worker {
    ask: WatchAsk,
    found: SyncSender<Result<Alert, String>>,
    system: Box<dyn System + Send>,
    cache: Cache,
    told: Told,
    /// The processes that have been examined, with their start times.
    examined: HashMap<u32, u64>,
}

impl Worker {
    fn new(ask: WatchAsk, system: Box<dyn System + Send>, found: SyncSender<Result<Alert, String>>) -> Worker {
        Worker {
            ask,
            found,
            cache: crate::context::digests(&*system),
            system,
            told: Told::default(),
            examined: HashMap::new(),
        }
    }

    fn work(mut self, wanted: &Receiver<Option<u32>>) {
        let mut next = Instant::now();
        loop {
            let mut pids = BTreeSet::new();
            let mut unknown = false;
            match wanted.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(first) => {
                    thread::sleep(SETTLE);
                    for pid in std::iter::once(first).chain(wanted.try_iter()) {
                        match pid {
                            Some(pid) => drop(pids.insert(pid)),
                            None => unknown = true,
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => next = Instant::now() + ANEW,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let which = match (pids.is_empty(), unknown) {
                (true, false) => Which::All,
                _ => Which::Some(pids, unknown),
            };
            if let Err(why) = self.examine(&which) {
                // If the receiver is gone, there is nothing left to do.
                let _ = self.found.try_send(Err(why));
            }
            thread::sleep(PACE);
        }
    }

    fn examine(&mut self, which: &Which) -> Result<(), String> {
        let (survey, superuser) = self.survey(which)?;
        let mut diagnostics = Diagnostics::default();
        let baseline = match &self.ask.baseline {
            Some((path, must_exist)) => match acknowledge::read_baseline(path, *must_exist, &mut diagnostics) {
                Ok(baseline) => baseline,
                Err(Failure::Usage(why) | Failure::Refused(why)) => return Err(why),
                Err(Failure::Output(error)) => return Err(plain_error(&error)),
            },
            None => Baseline::default(),
        };
        let mut items = acknowledge::items(&survey);
        let now = SystemTime::now();
        if !baseline.entries().is_empty() {
            let today = acknowledge::day(now);
            acknowledge::apply(&baseline, &today, &mut items, &mut *self.system, &mut self.cache);
        }
        let choice = Choice {
            min: self.ask.min,
            details: self.ask.min,
            all: false,
            only_new: false,
        };
        let host = self.system.computer_name();
        for group in super::overview::every(&items, &choice) {
            for item in &group.items {
                if !self.told.is_new(item.mark.id(), item.finding.severity, Instant::now()) {
                    continue;
                }
                let alert = Alert {
                    severity: item.finding.severity,
                    line: line(item),
                    document: document::alert(item, &host, now, &self.ask.netstat, superuser),
                    time: now,
                };
                // Blocks until the finding is received: it must not be lost.
                if self.found.send(Ok(alert)).is_err() {
                    return Ok(());
                }
            }
        }
        // The cache only saves time, so failing to save it does no harm.
        let _ = self.cache.save();
        Ok(())
    }

    fn survey(&mut self, which: &Which) -> Result<(Survey, bool), String> {
        let mut list = SocketList::default();
        self.system.sockets(&host::ask(self.ask.all_namespaces), &mut list);
        let ask = OwnersAsk {
            image: true,
            components: true,
            start: true,
            ..OwnersAsk::default()
        };
        let found = self.system.owners(&list.sockets, &ask);
        let found = found.map_err(|refused| refused.to_string())?;
        let holders: HashMap<u32, u64> = found
            .owners
            .processes()
            .iter()
            .map(|process| (process.pid, process.start_ticks.known().unwrap_or(0)))
            .collect();
        self.examined.retain(|pid, start| holders.get(pid) == Some(start));
        let of_filter = super::wanted(&list, &found.owners, &self.ask.filter);
        let is_wanted = |pid: &u32| match which {
            Which::All => true,
            Which::Some(pids, unknown) => pids.contains(pid) || (*unknown && !self.examined.contains_key(pid)),
        };
        let pids: Vec<u32> = of_filter.into_iter().filter(is_wanted).collect();
        for pid in &pids {
            self.examined.insert(*pid, holders.get(pid).copied().unwrap_or(0));
        }
        let options = Options {
            block: Arc::clone(&self.ask.block),
            compare: self.ask.compare,
            host: matches!(which, Which::All) && self.ask.filter.is_empty(),
            probe_ports: false,
            program: self.ask.netstat.clone(),
        };
        let mut past = Recall::open(&self.ask.places, &*self.system, SystemTime::now());
        let mut files = netstat_audit::files_of(&*self.system);
        let mut auditor = Auditor {
            system: &mut *self.system,
            clock: &mut SystemClock,
            files: &mut *files,
            cache: &mut self.cache,
            past: Some(match &mut past {
                Ok(past) => Ok(past as &mut dyn Past),
                Err(why) => Err(why.words()),
            }),
            progress: &|_| {},
        };
        let survey = auditor.judge(&list, &found.owners, &pids, &options);
        Ok((survey, self.system.is_superuser()))
    }
}

/// The processes to examine.
enum Which {
    All,
    /// These processes, and if `true`, also those that have not been examined yet.
    Some(BTreeSet<u32>, bool),
}

/// Formats a finding as one line.
fn line(item: &acknowledge::Item<'_>) -> String {
    let finding = item.finding;
    let network = match item.judged.map(|judged| judged.contacts.brief()) {
        Some(brief) if !brief.is_empty() => format!(" [{brief}]"),
        _ => String::new(),
    };
    let who = match (&item.judged, &finding.program) {
        (Some(judged), _) => {
            let script = judged.script.as_ref();
            let script = script.map_or_else(String::new, |script| format!(" running {}", script.shown()));
            format!("{}{script} (PID {}){network}", judged.shown(), judged.facts.pid)
        }
        (None, Some(program)) => program.clone(),
        (None, None) => "this computer".to_owned(),
    };
    format!(
        "{}: {who} {} ({})",
        finding.severity, finding.headline, finding.rule.name
    )
}

/// Prints findings as they appear, and delivers them to other destinations.
pub(crate) struct Reporter {
    pub(crate) watch: Watch,
    pub(crate) sinks: Sinks,
    /// Whether each line is a JSON object.
    pub(crate) ndjson: bool,
}

impl Reporter {
    /// Starts the examining thread and the destinations.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) fn start(
        ask: WatchAsk,
        system: Box<dyn System + Send>,
        alerts: &AlertArgs,
        ndjson: bool,
    ) -> Result<Reporter, Failure> {
        let sinks = Sinks::start(alerts)?;
        let watch = Watch::start(ask, system);
        let watch =
            watch.map_err(|error| Failure::Refused(format!("no thread for the audit: {}", plain_error(&error))))?;
        Ok(Reporter { watch, sinks, ndjson })
    }

    /// Prints the findings since the last call.
    ///
    /// # Errors
    /// Returns an error of the writer.
    pub(crate) fn report(&mut self, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        let mut any = false;
        for found in self.watch.found() {
            match found {
                Ok(alert) => {
                    any = true;
                    if self.ndjson {
                        out.write_all(json::to_text(&alert.document, false).as_bytes())?;
                    } else {
                        writeln!(out, "{} {}", crate::context::human::moment(alert.time), alert.line)?;
                    }
                    self.sinks.send(&alert);
                }
                Err(why) => drop(writeln!(err, "netstat: audit: {}", escape_str(&why))),
            }
        }
        for line in self.sinks.troubles() {
            // If stderr is closed, there is nobody to tell.
            let _ = writeln!(err, "netstat: {line}");
        }
        if any { out.flush() } else { Ok(()) }
    }
}

/// Runs `audit --watch` until a signal arrives or the time is over.
pub(super) fn run(
    ask: WatchAsk,
    alerts: &AlertArgs,
    ndjson: bool,
    period: Option<Duration>,
    context: &mut Context<'_>,
) -> Result<Outcome, Failure> {
    if !context.system.has_files() {
        return Err(Failure::Usage(
            "--watch watches this computer, not a snapshot".to_owned(),
        ));
    }
    let events = EventsAsk {
        way: EventWay::Auto,
        all_namespaces: ask.all_namespaces,
        latency: LATENCY,
        ..EventsAsk::default()
    };
    let mut source = context
        .system
        .events(&events)
        .map_err(|refused| Failure::Refused(refused.message))?;
    let stop = signals::end_requested(context.system);
    let stop = stop.map_err(|error| Failure::Refused(format!("signals: {}", plain_error(&error))))?;
    context.system.confine(&alerts.confinement(Confinement::default()));
    let mut reporter = Reporter::start(ask, context.system.another(), alerts, ndjson)?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.limits(source.limits().iter().cloned());
    if context.terminal {
        diagnostics.line(format!("watching, {}; Ctrl+C ends", source.how()));
    }
    diagnostics.say(context.err);
    let end = period.map(|period| Instant::now() + period);
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
        let watch = &mut reporter.watch;
        source
            .next(LATENCY, &mut |event| {
                if matches!(event.protocol, Protocol::Tcp | Protocol::Udp) {
                    watch.event(&event);
                }
            })
            .map_err(|refused| Failure::Refused(refused.message))?;
        reporter.report(context.out, context.err)?;
    }
    Ok(Outcome::Printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_is_reported_once_and_again_after_a_long_absence() {
        let mut told = Told::default();
        let start = Instant::now();
        let id = || "12345678".to_owned();
        assert!(told.is_new(id(), Severity::High, start));
        assert!(!told.is_new(id(), Severity::High, start + ANEW));
        assert!(told.is_new(id(), Severity::Critical, start + ANEW));
        assert!(!told.is_new(id(), Severity::High, start + REPEAT));
        assert!(told.is_new(id(), Severity::High, start + REPEAT * 3));
    }
}
