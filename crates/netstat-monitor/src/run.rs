//! Runs the monitor: threads that query, and a loop that receives their messages and draws.
//!
//! The loop waits only for messages, so keys respond immediately, however much is being read.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossterm::event::Event;
use netstat_model::Endpoint;
use netstat_model::metrics::ProcessKey;
use netstat_model::text::plain_error;
use netstat_names::{AskedNames, HostStyle, Locations, Names, ReverseDns, Services};
use netstat_os::{Caught, DnsAnswers, Signal, System, files};

use crate::alerts::Alerts;
use crate::app::{App, Effect};
use crate::cell::Tone;
use crate::collect::Collector;
use crate::companion::{self, Companion, Finding, Target};
use crate::config::{self, Settings};
use crate::handles::Handles;
use crate::model::{LabelOf, Model, Modeler};
use crate::places::Places;
use crate::recording::{BadRecording, Player, Recorder};
use crate::sample::SocketRow;
use crate::terminal::Screen;

/// The delay before the second sample, which gives the first rates.
const SECOND_SAMPLE: Duration = Duration::from_millis(400);
/// The interval at which events are read; events that wait longer could be lost.
const LISTEN_EVERY: Duration = Duration::from_millis(250);
/// The timeout of one name lookup.
const NAME_DEADLINE: Duration = Duration::from_secs(5);
/// The longest pause in a recording that is played in real time; a longer one, such as after a suspend, is shortened.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The delay before the first audit.
const FIRST_AUDIT: Duration = Duration::from_secs(3);
/// The duty cycle of the audit: 1/`AUDIT_SHARE` of wall time. New processes are examined every half minute, all
/// processes every five minutes.
const AUDIT_SHARE: u32 = 100;
const AUDIT_NEW_EVERY: Duration = Duration::from_secs(30);
const AUDIT_EVERY: Duration = Duration::from_secs(300);
/// The delay before the next attempt if there was nothing to examine.
const RETRY_AUDIT: Duration = Duration::from_millis(500);

/// The interval at which DNS answers are processed.
const ANSWERS_EVERY: Duration = Duration::from_millis(500);

/// The options of the monitor.
pub struct Options {
    /// The settings in the configuration, overridden by the command line.
    pub settings: Settings,
    /// The file in which the state of the screen is saved; `None` to save it nowhere.
    pub state: Option<PathBuf>,
    /// Whether ending processes and closing connections is disabled.
    pub read_only: bool,
    /// Whether the environment disables colours (`NO_COLOR`).
    pub no_color: bool,
    /// The file for a recording, which must not exist yet.
    pub record: Option<PathBuf>,
    /// A recording to play instead of querying the system.
    pub replay: Option<PathBuf>,
    /// Whether the terminal's bell rings for new listeners and findings.
    pub bell: bool,
    /// A program to run for new listeners and findings.
    pub exec: Option<PathBuf>,
    /// Whether the names that programs look up are learned from DNS answers.
    pub dns_names: bool,
    /// Returns what is shown beside the name of a program.
    pub label: Option<LabelOf>,
    /// The databases of countries and autonomous systems.
    pub locations: Locations,
    /// The system to query.
    pub system: Box<dyn System + Send>,
    /// The provider of cards and findings.
    pub companion: Option<Box<dyn Companion>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How the monitor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The user quit.
    Quit,
    /// The signal with this number ended it.
    Signal(i32),
}

/// A message from a thread to the loop.
enum Message {
    Event(Event),
    Caught(Caught),
    Model(Box<Model>),
    Names(Vec<(IpAddr, Option<Arc<str>>)>),
    Card(Result<(String, Vec<String>), String>),
    Handles(Box<Handles>),
    Findings(Result<Vec<Finding>, String>),
    Notice(String, Tone),
    Lost(io::Error),
}

/// A request from the loop to the collector.
enum Order {
    Interval(Duration),
    Handles(Option<ProcessKey>),
    Signal(ProcessKey, Signal),
    Close(Box<SocketRow>),
}

/// A request from the loop to the companion.
enum Ask {
    Inspect(Target),
}

/// Runs the monitor until it ends.
///
/// # Errors
/// Returns one line if files cannot be opened or the terminal cannot be used.
pub fn run(options: Options) -> Result<End, String> {
    let Options {
        settings,
        state,
        read_only,
        no_color,
        record,
        replay,
        bell,
        exec,
        dns_names,
        label,
        locations,
        mut system,
        companion,
    } = options;
    let player = replay.as_deref().map(open_player).transpose()?;
    let recorder = record
        .as_deref()
        .map(|path| open_recorder(path, &system.computer_name()))
        .transpose()?;
    let computer = match &player {
        Some(player) => player.computer().as_bytes().to_vec(),
        None => system.computer_name(),
    };
    let own = system.own_addresses().unwrap_or_default();
    // Without the privilege, no answers are observed, and names come only from name servers.
    let answers = (dns_names && player.is_none()).then(|| system.dns_answers().ok());
    let start_settings = settings.clone();
    let mut app = App::new(settings, &computer, no_color, Services::system());
    app.names.places = Places::new(locations);
    app.read_only = read_only;
    app.replay = player.is_some();

    let (tell, told) = channel();
    let (order, orders) = channel();
    let (ask_names, asked_names) = channel();
    let (ask_card, asked_cards) = channel();
    let interval = app.settings.interval;
    let tell_names = tell.clone();
    start("names", move || {
        names(&computer, own, answers.flatten(), &asked_names, &tell_names)
    })?;
    let newest = Newest::default();
    match (companion, app.replay) {
        (Some(companion), false) => {
            let tell = tell.clone();
            let newest = Arc::clone(&newest);
            start("companion", move || accompany(companion, &asked_cards, &newest, &tell))?;
        }
        _ => app.no_findings = Some("a recording cannot be examined".to_owned()).filter(|_| app.replay),
    }
    let alerts = start_alerts(exec, &tell)?;
    let mut screen = Screen::take().map_err(|error| format!("the terminal cannot be used: {}", plain_error(&error)))?;
    catch_signals(system.as_mut(), &tell)?;
    let tell_events = tell.clone();
    start("input", move || input(&tell_events))?;
    start("collector", move || match player {
        Some(player) => play(player, Modeler::with_label(label), &tell),
        None => {
            let modeler = Modeler::with_label(label);
            collect(Collector::new(system), modeler, (interval, recorder), &orders, &tell);
        }
    })?;

    let outside = Outside {
        order,
        names: ask_names,
        cards: ask_card,
        newest,
        bell,
        alerts,
    };
    let end = work(&mut app, &mut screen, &told, &outside);
    drop(screen);
    if let Some(path) = state.filter(|_| !app.replay) {
        save_settings(&path, &start_settings, &app.settings)?;
    }
    end.map_err(|error| format!("the terminal is gone: {}", plain_error(&error)))
}

/// Writes what the keys have changed into the state file at `path`.
fn save_settings(path: &Path, before: &Settings, now: &Settings) -> Result<(), String> {
    config::save(path, before, now).map_err(|error| format!("{}: {}", path.display(), plain_error(&error)))
}

/// For `--exec`: starts the thread that runs a program for each alert.
fn start_alerts(exec: Option<PathBuf>, tell: &Sender<Message>) -> Result<Option<Alerts>, String> {
    let tell = tell.clone();
    let report = move |text| {
        // The loop may already have ended.
        let _ = tell.send(Message::Notice(text, Tone::Bad));
    };
    exec.map(|program| Alerts::start(program, report))
        .transpose()
        .map_err(|error| format!("no thread can be started: {}", plain_error(&error)))
}

fn catch_signals(system: &mut dyn System, tell: &Sender<Message>) -> Result<(), String> {
    let tell = tell.clone();
    let notify = move |caught| {
        // The loop may already have ended.
        let _ = tell.send(Message::Caught(caught));
    };
    let caught = system.catch_signals(Box::new(notify));
    caught.map_err(|error| format!("signals cannot be caught: {}", plain_error(&error)))
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder
        .spawn(work)
        .map(drop)
        .map_err(|error| format!("no thread can be started: {}", plain_error(&error)))
}

type FilePlayer = Player<BufReader<File>>;
type FileRecorder = Recorder<BufWriter<File>>;

fn open_player(path: &Path) -> Result<FilePlayer, String> {
    let file = files::open_named(path).map_err(|error| format!("{}: {}", path.display(), plain_error(&error)))?;
    Player::new(BufReader::new(file)).map_err(|error| format!("{}: {}", path.display(), plain_error(&error)))
}

fn open_recorder(path: &Path, computer: &[u8]) -> Result<FileRecorder, String> {
    let file = File::create_new(path).map_err(|error| format!("{}: {}", path.display(), plain_error(&error)))?;
    Recorder::new(BufWriter::new(file), computer)
        .map_err(|error| format!("{}: {}", path.display(), plain_error(&error)))
}

/// The recipients of the loop's requests.
struct Outside {
    order: Sender<Order>,
    names: Sender<Vec<Endpoint>>,
    cards: Sender<Ask>,
    newest: Newest,
    bell: bool,
    alerts: Option<Alerts>,
}

impl Outside {
    /// Raises alerts for new entries, except in a replay, which shows the past.
    fn alert(&self, app: &mut App, screen: &mut Screen) -> io::Result<()> {
        let entries = app.attention.take_alerts();
        if entries.is_empty() || app.replay {
            return Ok(());
        }
        if self.bell {
            screen.bell()?;
        }
        if let Some(alerts) = &self.alerts {
            let dropped = entries.into_iter().filter(|entry| !alerts.send(entry.clone())).count();
            if dropped > 0 {
                app.say(
                    format!("{dropped} alerts were not passed on: too many at once"),
                    Tone::Warn,
                );
            }
        }
        Ok(())
    }
}

/// Runs the loop.
fn work(app: &mut App, screen: &mut Screen, told: &Receiver<Message>, outside: &Outside) -> io::Result<End> {
    screen.draw(app)?;
    while let Ok(first) = told.recv() {
        // Messages that arrive together are drawn together.
        for message in std::iter::once(first).chain(told.try_iter()) {
            let effects = match message {
                Message::Event(Event::Resize(..)) => {
                    screen.clear()?;
                    Vec::new()
                }
                Message::Event(event) => app.event(&event),
                Message::Caught(Caught::End(signal)) => return Ok(End::Signal(signal)),
                Message::Caught(Caught::Stop) => vec![Effect::Suspend],
                Message::Caught(Caught::Continue) => {
                    screen.enter()?;
                    Vec::new()
                }
                Message::Lost(error) => return Err(error),
                Message::Model(model) => {
                    if let Ok(mut newest) = outside.newest.lock() {
                        *newest = Arc::downgrade(&model.sockets.open);
                    }
                    app.take(Arc::from(model));
                    Vec::new()
                }
                Message::Names(found) => {
                    app.take_names(found);
                    Vec::new()
                }
                Message::Card(card) => {
                    app.take_card(card);
                    Vec::new()
                }
                Message::Handles(handles) => {
                    app.take_handles(*handles);
                    Vec::new()
                }
                Message::Findings(found) => {
                    app.take_findings(found);
                    Vec::new()
                }
                Message::Notice(words, tone) => {
                    app.say(words, tone);
                    Vec::new()
                }
            };
            for effect in effects {
                if let Some(end) = carry_out(effect, app, screen, outside)? {
                    return Ok(end);
                }
            }
        }
        outside.alert(app, screen)?;
        screen.draw(app)?;
        // Only what was drawn needs names.
        if let Some(Effect::Names(wanted)) = app.names_wanted() {
            let _ = outside.names.send(wanted);
        }
    }
    Ok(End::Quit)
}

fn carry_out(effect: Effect, app: &mut App, screen: &mut Screen, outside: &Outside) -> io::Result<Option<End>> {
    match effect {
        Effect::Quit => return Ok(Some(End::Quit)),
        Effect::Suspend => {
            screen.leave();
            netstat_os::stop_self()?;
            screen.enter()?;
        }
        Effect::Redraw => screen.clear()?,
        // A thread that has ended receives nothing; a replay has no collector.
        Effect::Interval(interval) => drop(outside.order.send(Order::Interval(interval))),
        Effect::Handles(process) => drop(outside.order.send(Order::Handles(process))),
        Effect::Signal(process, signal) => drop(outside.order.send(Order::Signal(process, signal))),
        Effect::Close(row) => drop(outside.order.send(Order::Close(row))),
        Effect::Names(wanted) => drop(outside.names.send(wanted)),
        Effect::Inspect(target) => {
            if outside.cards.send(Ask::Inspect(target)).is_err() {
                app.take_card(Err("a recording has no details".to_owned()));
            }
        }
        Effect::Copy(text) => screen.copy(&text)?,
        Effect::Save(path, content) => {
            let written = File::create_new(&path).and_then(|mut file| file.write_all(content.as_bytes()));
            match written {
                Ok(()) => app.say(format!("saved as {}", path.display()), Tone::Plain),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    app.say(
                        format!("{} already exists: choose another name", path.display()),
                        Tone::Bad,
                    );
                }
                Err(error) => app.say(format!("{}: {}", path.display(), plain_error(&error)), Tone::Bad),
            }
        }
    }
    Ok(None)
}

/// Reads keyboard and mouse input until the loop has ended.
fn input(tell: &Sender<Message>) {
    loop {
        let message = match crossterm::event::read() {
            Ok(event) => Message::Event(event),
            Err(error) => Message::Lost(error),
        };
        let last = matches!(message, Message::Lost(_));
        if tell.send(message).is_err() || last {
            return;
        }
    }
}

/// Samples the system repeatedly, and carries out requests.
fn collect(
    mut collector: Collector,
    mut modeler: Modeler,
    (mut interval, mut recorder): (Duration, Option<FileRecorder>),
    orders: &Receiver<Order>,
    tell: &Sender<Message>,
) {
    let mut wait = SECOND_SAMPLE;
    let mut watched = false;
    let mut opened: Option<ProcessKey> = None;
    let show = |collector: &mut Collector, process: Option<ProcessKey>| {
        if let Some(process) = process {
            let handles = Handles::read(collector.system(), process);
            // The loop may already have ended.
            let _ = tell.send(Message::Handles(Box::new(handles)));
        }
    };
    loop {
        let begun = Instant::now();
        let sample = Arc::new(collector.look());
        if let Some(open) = &mut recorder
            && let Err(error) = open.write(&sample)
        {
            recorder = None;
            let _ = tell.send(Message::Notice(
                format!("the recording ended: {}", plain_error(&error)),
                Tone::Bad,
            ));
        }
        if tell.send(Message::Model(Box::new(modeler.model(&sample)))).is_err() {
            return;
        }
        drop(sample);
        show(&mut collector, opened);
        // Starting the watch requires a full reading, so the first sample is shown before.
        if !std::mem::replace(&mut watched, true) {
            collector.watch();
        }
        loop {
            let next = begun + wait.min(interval);
            let left = next.saturating_duration_since(Instant::now());
            match orders.recv_timeout(left.min(LISTEN_EVERY)) {
                Err(RecvTimeoutError::Timeout) if left > LISTEN_EVERY => collector.listen(),
                Ok(Order::Interval(new)) => interval = new,
                Ok(Order::Handles(process)) => {
                    opened = process;
                    show(&mut collector, opened);
                }
                // The effect should be visible soon.
                Ok(Order::Signal(process, signal)) => {
                    let done = collector.system().signal(process, signal);
                    let done = done.map(|()| signal.notice(process.pid));
                    let _ = tell.send(outcome(done.map_err(|refused| refused.to_string())));
                    break;
                }
                Ok(Order::Close(row)) => {
                    let kind = collector.system().kind();
                    let done = collector.system().destroy(&row.socket());
                    let done = done.map(|()| "the connection was closed".to_owned());
                    let _ = tell.send(outcome(done.map_err(|refused| refused.reason(kind).to_owned())));
                    break;
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        wait = Duration::MAX;
    }
}

/// Returns the message about a request that succeeded or failed.
fn outcome(done: Result<String, String>) -> Message {
    match done {
        Ok(text) => Message::Notice(text, Tone::Plain),
        Err(why) => Message::Notice(why, Tone::Bad),
    }
}

/// Plays a recording in real time.
fn play(mut player: FilePlayer, mut modeler: Modeler, tell: &Sender<Message>) {
    let mut last: Option<(Duration, Instant)> = None;
    let (words, tone) = loop {
        match player.next_sample() {
            Ok(Some(sample)) => {
                if let Some((at, shown)) = last {
                    let pause = sample.figures.at.saturating_sub(at).min(LONGEST_PAUSE);
                    thread::sleep((shown + pause).saturating_duration_since(Instant::now()));
                }
                last = Some((sample.figures.at, Instant::now()));
                if tell.send(Message::Model(Box::new(modeler.model(&sample)))).is_err() {
                    return;
                }
            }
            Ok(None) => break ("the recording ends here".to_owned(), Tone::Plain),
            Err(error @ BadRecording::Line(..)) => {
                break (format!("the recording is damaged: {}", plain_error(&error)), Tone::Bad);
            }
            Err(error) => break (plain_error(&error), Tone::Bad),
        }
    };
    let _ = tell.send(Message::Notice(words, tone));
}

/// Looks up names and sends those that are found. A name that a program looked up, according to `answers`, is more
/// informative than the name chosen by the owner of the address.
fn names(
    computer: &[u8],
    own: Vec<(IpAddr, u32)>,
    mut answers: Option<Box<dyn DnsAnswers>>,
    asked: &Receiver<Vec<Endpoint>>,
    tell: &Sender<Message>,
) {
    let mut learned = AskedNames::default();
    let mut names = Names::new(
        computer,
        own,
        HostStyle::Full,
        Services::embedded(),
        ReverseDns::system(),
    );
    loop {
        let wait = if answers.is_some() {
            ANSWERS_EVERY
        } else {
            Duration::MAX
        };
        let wanted: Vec<Endpoint> = match asked.recv_timeout(wait) {
            Ok(first) => first.into_iter().chain(asked.try_iter().flatten()).collect(),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut found: Vec<(IpAddr, Option<Arc<str>>)> = Vec::new();
        let drained = answers.as_mut().map(|answers| {
            answers.drain(&mut |message| {
                if let Some(answer) = learned.learn(message, SystemTime::now()) {
                    let name: Arc<str> = Arc::from(answer.name.full());
                    found.extend(
                        answer
                            .addresses
                            .iter()
                            .map(|address| (address.to_canonical(), Some(Arc::clone(&name)))),
                    );
                }
            })
        });
        if let Some(Err(_)) = drained {
            answers = None;
        }
        if !wanted.is_empty() {
            names.resolve(wanted.iter().copied(), NAME_DEADLINE, &mut |_, _| {});
        }
        found.extend(wanted.iter().map(|end| {
            let known = learned
                .newest(end.address)
                .or_else(|| names.host(end.address, end.scope));
            (end.address.to_canonical(), known.map(Arc::from))
        }));
        if !found.is_empty() && tell.send(Message::Names(found)).is_err() {
            return;
        }
    }
}

/// The sockets of the newest model, without keeping them alive.
type Newest = Arc<Mutex<Weak<Vec<SocketRow>>>>;

/// Runs the companion: cards on request, audits at intervals.
fn accompany(mut companion: Box<dyn Companion>, asked: &Receiver<Ask>, newest: &Newest, tell: &Sender<Message>) {
    let mut next_audit = Instant::now() + FIRST_AUDIT;
    let mut next_anew = next_audit;
    loop {
        match asked.recv_timeout(next_audit.saturating_duration_since(Instant::now())) {
            Ok(Ask::Inspect(target)) => {
                if tell.send(Message::Card(companion.inspect(&target))).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let begun = Instant::now();
                let sockets = newest
                    .lock()
                    .map_or_else(|_| Weak::new(), |newest| newest.clone())
                    .upgrade();
                // Before the first model, or while it is being replaced.
                let Some(subjects) = sockets.map(|sockets| companion::subjects(&sockets)) else {
                    next_audit = begun + RETRY_AUDIT;
                    continue;
                };
                let anew = begun >= next_anew;
                if tell.send(Message::Findings(companion.audit(subjects, anew))).is_err() {
                    return;
                }
                let took = begun.elapsed();
                next_audit = Instant::now() + AUDIT_NEW_EVERY.max(took * AUDIT_SHARE);
                if anew {
                    next_anew = Instant::now() + AUDIT_EVERY.max(took * AUDIT_SHARE);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
