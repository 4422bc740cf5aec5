//! `netstat inspect`: who is behind a port, an address or a process, what it is, what it does, and what to do about it.

mod answering;
mod bundle;
mod card;
mod endpoint;
mod files;
mod filter;
mod gather;
mod json;
mod leads;
mod past;
mod pieces;
mod published;
mod reach;
mod redact;
pub(crate) mod schema;
mod search;
mod stand_in;
mod steps;
mod target;
mod trouble;
mod usage;
mod view;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_model::process::ProcessFacts;
use netstat_model::reach::{LocalNetwork, waits};
use netstat_model::{Extras, Owner, Socket, State};
use netstat_names::{HostStyle, Names, ReverseDns, Services};
use netstat_os::{Confinement, MetricsAsk, OwnersAsk, ProcessAsk, SocketAsk, SocketList};

use crate::args::store::StoreArgs;
use crate::args::units;
use crate::context::{Context, ContextClock, Diagnostics, Failure, Outcome, Progress};
use crate::output::report::{Block, ReportFile};
use crate::recall::{NoRecord, OpenFlows};
use netstat_audit as audit;

use card::{Answered, Opinion, Report};
use gather::{Lead, Sources};
use leads::{find, leads, near, sharers};
use search::World;
use target::{Kind, Target};
use usage::{Sample, traffic};

/// Without `--all`, no more cards than this.
const MOST_CARDS: usize = 10;

/// The arguments.
#[derive(Debug, Parser)]
#[command(
    name = "inspect",
    about = "Who is behind a port, address, program or process, and what it does",
    after_long_help = AFTER_HELP,
    disable_version_flag = true
)]
struct InspectArgs {
    /// what to inspect: a port (2078, :2078, tcp:2078), a process (pid:5356; a bare number may be both), an address or
    /// network (203.0.113.0/24), what answers or is connected at an endpoint (127.0.0.1:8080, localhost:8080, [::1]:8080, a URL), a
    /// program (nginx, python*, /usr/sbin/sshd), a unit or container (ssh.service, unit:NAME), an interface (eth0), a host name, a
    /// whole connection (192.168.1.114:2078->203.0.113.7:80), or a line copied from a list of sockets
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,

    /// sampling time for per-second figures; 0 does not wait
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = wait)]
    sample: Duration,

    /// look up the names of remote addresses
    #[arg(short = 'f', long)]
    names: bool,

    /// time limit for name lookups
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = wait)]
    dns_timeout: Duration,

    #[command(flatten)]
    store: StoreArgs,

    /// show every card, not only the first 10
    #[arg(long)]
    all: bool,

    /// print the same facts as one JSON document
    #[arg(long)]
    json: bool,

    /// write evidence to this new file, readable only by you: a tar archive of the cards as JSON and, of each process, its
    /// running program, a script that it has open, memory map, environment, arguments and sockets, with a manifest of SHA-256 digests; at
    /// most 512 MiB of one file and 2 GiB of all
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    bundle: Option<PathBuf>,

    /// write the cards into this file as a report, HTML or Markdown by its name; with --bundle, with the digests of what was bundled
    #[arg(long, value_name = "FILE.html|FILE.md", value_hint = clap::ValueHint::FilePath, conflicts_with = "json")]
    report: Option<ReportFile>,

    /// leave out command lines, script names, working directories and environments everywhere; a bundle then has the cards and digests
    /// only, and no copies
    #[arg(long)]
    redact: bool,
}

const AFTER_HELP: &str = "\
Changes nothing except netstat's own cache of digests, and sends nothing over the network except lookups that you ask for: of a host name given as a target and, \
with --names, of remote addresses. A plain word without a dot is never looked up; host:NAME is.

What an ordinary user may not see is named; root sees most. nftables rules are evaluated for the first packet of an unknown sender, rules of the older iptables are not; eBPF filters \
(XDP, tc, control groups) are not examined. What a rootkit in the kernel hides is hidden from this program, too. Finding nothing does not prove that there is nothing.

Examples:
  netstat inspect 2078                              who is behind port 2078
  netstat inspect tcp:443 --sample 5s               sample for five seconds
  netstat inspect localhost:8080                    what answers there
  netstat inspect '192.0.2.5:2078->203.0.113.7:80'  one connection
  netstat inspect nginx --json                      every nginx, as JSON
  netstat inspect pid:5356 --bundle evidence.tar    keep what would be lost with it

Exit status: 0 everything asked for was found, 1 a target matched nothing or the bundle could not be written, 2 usage error.";

/// `--sample` and `--dns-timeout`.
fn wait(text: &str) -> Result<Duration, String> {
    units::duration_within(text, Duration::ZERO, Duration::from_secs(3600))
}

/// The definition of the command for help, completions and the manual.
pub(crate) fn definition() -> clap::Command {
    InspectArgs::command().arg(super::snapshot::replay_argument())
}

/// Carries out the command.
///
/// # Errors
/// See [`Failure`].
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let words = InspectArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut diagnostics = Diagnostics::default();
    if words.redact && words.bundle.is_none() && !words.json && words.report.is_none() {
        return Err(Failure::Usage("--redact needs --bundle, --report or --json".to_owned()));
    }
    if let Some(path) = words.bundle.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        // Told before all the work; what appears meanwhile is not overwritten either.
        return Err(cannot_write(path, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let targets = targets(&words.targets)?;
    context.system.confine(&Confinement {
        foreign_sockets: true,
        network: words.names || words.store.needs_network() || targets.iter().any(Target::may_be_looked_up),
        ..Confinement::default()
    });
    let mut report = inspect(&words, &targets, context, &mut diagnostics)?;
    if words.redact {
        redact::redact(&mut report);
    }
    let now = (context.now)();
    let host = context.system.computer_name();
    let document = || json::document(&report, &host, now);
    let mut bundled = bundle::Written::default();
    if let Some(path) = words.bundle.as_ref().filter(|_| !report.cards.is_empty()) {
        let file = netstat_os::create_private(path).map_err(|error| cannot_write(path, &error))?;
        let progress = Progress::start(context.terminal, "writing the bundle");
        let contents = bundle::Contents {
            report: &report,
            document: &document(),
            host: &host,
            time: now,
            redacted: words.redact,
        };
        let written = bundle::write(file, &contents, context.system, &progress);
        bundled = written.map_err(|error| cannot_write(path, &error))?;
        bundle::missing(bundled.missing)
            .into_iter()
            .for_each(|line| diagnostics.line(line));
    }
    let services = Services::system();
    let mut screen = view::Screen {
        width: context.screen.width.map_or(100, usize::from),
        bold: context.screen.terminal && !context.screen.no_color,
        now,
        services: &services,
    };
    if let Some(file) = words.report.as_ref().filter(|_| !report.cards.is_empty()) {
        screen.bold = false;
        diagnostics.line(write_report(file, &report, &screen, &bundled, &host)?);
    } else if words.json {
        let document = document();
        context
            .out
            .write_all(crate::output::json::to_text(&document, false).as_bytes())?;
    } else {
        let most = if words.all { usize::MAX } else { MOST_CARDS };
        view::write(context.out, &report, &screen, most)?;
    }
    context.out.flush()?;
    let mut missed = false;
    for target in &report.targets {
        missed |= target.is_empty();
        if target.is_empty() {
            diagnostics.line(format!("{:?}: nothing found: {}", target.word, sought(target)));
        } else {
            for remark in &target.remarks {
                diagnostics.line(format!("{:?}: {remark}", target.word));
            }
        }
    }
    diagnostics.limits(report.limits);
    diagnostics.say(context.err);
    Ok(if missed { Outcome::Status(1) } else { Outcome::Printed })
}

/// The targets as typed. A line of a list of sockets that the shell has split into words is one target.
fn targets(typed: &[String]) -> Result<Vec<Target>, Failure> {
    let line = typed.join(" ");
    if typed.len() > 1
        && let Some(pasted) = endpoint::pasted(&line)
        && !typed
            .iter()
            .all(|word| word.parse::<Target>().is_ok_and(|target| target.kind.is_endpoint()))
    {
        let kind = target::Kind::from(pasted);
        return Ok(vec![Target { word: line, kind }]);
    }
    let read = |word: &String| {
        word.parse()
            .map_err(|error| Failure::Usage(format!("TARGET \"{}\" {error}", netstat_model::text::escape_str(word))))
    };
    typed.iter().map(read).collect()
}

/// `--report`: the cards, and the digests of what was bundled.
fn write_report(
    file: &ReportFile,
    report: &Report,
    screen: &view::Screen<'_>,
    bundled: &bundle::Written,
    host: &[u8],
) -> Result<String, Failure> {
    let mut blocks = view::blocks(report, screen);
    let members = bundled.digests();
    if !members.is_empty() {
        blocks.push(Block::heading(2, "Evidence bundle"));
        blocks.push(Block::Table {
            headings: ["Member", "Bytes", "SHA-256"].map(str::to_owned).to_vec(),
            rows: members,
        });
    }
    let limits = report
        .limits
        .iter()
        .map(|limit| format!("{}: {}", limit.what, limit.why));
    let limits: Vec<String> = limits.collect();
    if !limits.is_empty() {
        blocks.push(Block::heading(2, "Not seen"));
        blocks.push(Block::List(limits));
    }
    file.write(&crate::output::report::Report {
        title: "Inspection".to_owned(),
        host: host.to_vec(),
        time: screen.now,
        blocks,
    })
}

fn cannot_write(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let words = match error.kind() {
        std::io::ErrorKind::AlreadyExists => "is there already, and evidence is never overwritten".to_owned(),
        _ => format!("cannot be written: {error}"),
    };
    Failure::Refused(format!("{} {words}", path.display()))
}

/// What was looked for in vain, and what is near.
fn sought(target: &Answered) -> String {
    let mut line = format!("no {} in sight", target.sought);
    for remark in &target.remarks {
        line.push_str("; ");
        line.push_str(remark);
    }
    line
}

/// Every kind of socket, of every namespace that can be seen, with all that a card tells.
fn everything() -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        mptcp4: true,
        mptcp6: true,
        packet: true,
        unix: true,
        further: SocketAsk::TRANSPORTS.to_vec(),
        further_where_present: true,
        tcp_states: State::ALL.to_vec(),
        extra: Extras::BASIC | Extras::TCP,
        all_namespaces: true,
        ..SocketAsk::default()
    }
}

/// Every socket in sight. Those of RAW are asked for apart: what cannot be seen of them matters only where there are some.
fn look(context: &mut Context<'_>) -> SocketList {
    let mut list = SocketList::default();
    context.system.sockets(&everything(), &mut list);
    let ask = SocketAsk {
        raw4: true,
        raw6: true,
        extra: Extras::BASIC,
        all_namespaces: true,
        ..SocketAsk::default()
    };
    let mut raw = SocketList::default();
    context.system.sockets(&ask, &mut raw);
    if !raw.sockets.is_empty() {
        list.limits.append(&mut raw.limits);
    }
    let place = |index: u32| {
        let inode = raw.namespaces.get(index as usize)?.inode;
        let place = list.namespaces.iter().position(|known| known.inode == inode)?;
        u32::try_from(place).ok()
    };
    // The namespaces of the second list may stand in another order; one that has come meanwhile is left out.
    let raw_sockets = raw.sockets.into_iter().filter_map(|socket| {
        let index = socket.namespace();
        match raw.namespaces.is_empty() {
            true => Some(socket),
            false => Some(socket.in_namespace(place(index)?)),
        }
    });
    let more: Vec<Socket> = raw_sockets.collect();
    list.sockets.extend(more);
    list
}

fn inspect(
    words: &InspectArgs,
    targets: &[Target],
    context: &mut Context<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<Report, Failure> {
    let progress = Progress::start(context.terminal, "reading sockets");
    let mut first = look(context);
    let first_read = Instant::now();
    progress.stage(|| "looking for owners".to_owned());
    let ask = OwnersAsk {
        image: true,
        components: true,
        ..OwnersAsk::default()
    };
    let found = context.system.owners(&first.sockets, &ask);
    let owners = found.map_err(|refused| Failure::Refused(refused.to_string()))?;
    progress.stage(|| "looking at processes".to_owned());
    let processes = shallow(targets, context)?;
    let networks = networks(context, &first);
    let computer = context.system.computer_name();
    let world = World {
        sockets: &first.sockets,
        owners: &owners.owners,
        processes: &processes,
        networks: &networks,
        computer: &computer,
    };
    let mut report = Report::default();
    let mut answers = Vec::new();
    let rules = context.system.packet_filter();
    let published = published::Known::of(&rules, &world);
    for target in targets {
        let (mut found, mut remarks) = find(&world, target, words.dns_timeout, &progress);
        let (sockets, processes) = (found.sockets.len(), found.pids.len());
        let handed_on = published.meant_by(&world, &target.kind);
        found.add(published.sockets(&handed_on));
        found.add(published::behind_proxies(context, &world, &found));
        if found.is_empty() && handed_on.is_empty() {
            remarks = near(context, &world, target, remarks);
            if let Some((only, what)) = world.only_near(&target.kind) {
                found = only;
                remarks.push(format!("{what}: shown instead"));
            }
        }
        report.targets.push(Answered {
            word: target.word.clone(),
            sought: target.kind.words(),
            sockets,
            processes,
            published: published.words(&handed_on, &world),
            remarks,
        });
        answers.push((target, found));
    }
    if let Some(why) = published.incomplete
        && targets.iter().any(|target| target.kind.has_port())
    {
        let hint = context.system.kind().privilege_hint(context.system.is_superuser());
        diagnostics.line(format!("whether NAT hands the port on may be unknown: {why}{hint}"));
    }
    let by_socket = published.by_socket();
    let (mut pids, nobody) = leads(&first.sockets, &owners.owners, answers);
    let mut sharers = sharers(&first.sockets, &owners.owners, &pids);
    if pids.is_empty() && nobody.is_empty() {
        return Ok(report);
    }
    let figures = |context: &mut Context<'_>| context.system.metrics(&MetricsAsk { processes: true });
    let sampling = !words.sample.is_zero();
    let early = sampling.then(|| figures(context));
    let sampled = Instant::now();
    // What is read of files is read once, for the card and for the rules.
    let mut cache = crate::context::digests(context.system);
    let mut files_read = audit::files_of(context.system);
    let judged: Vec<u32> = pids.iter().chain(&sharers).map(|(pid, _)| *pid).collect();

    let options = audit::Options {
        program: crate::context::program_path_for(context.system),
        ..audit::Options::default()
    };
    let now = (context.now)();
    let mut past = words.store.recall(context.system, now);
    let mut auditor = audit::Auditor {
        system: &mut *context.system,
        clock: &mut ContextClock {
            now: &mut *context.now,
            wait_until: &mut *context.wait_until,
        },
        files: &mut *files_read,
        cache: &mut cache,
        past: Some(match &mut past {
            Ok(past) => Ok(past as &mut dyn audit::Past),
            Err(why) => Err(why.words()),
        }),
        progress: &|stage| progress.stage(|| stage.to_owned()),
    };
    let survey = auditor.judge(&first, &owners.owners, &judged, &options);
    // Of those who share a socket, the one that holds it longest stands for all, and whoever is worth a look for himself.
    let worrying = |pid: u32| {
        let mut of_it = survey.judged.iter().filter(|judged| judged.facts.pid == pid);
        of_it.any(|judged| judged.verdict.severity.is_some_and(is_worrying))
    };
    sharers.retain(|(pid, _)| worrying(*pid));
    pids.append(&mut sharers);
    let order: Vec<u32> = pids.iter().map(|(pid, _)| *pid).collect();
    let mut examined = files::examine(context.system, &order, &survey.judged, &mut cache, &progress);
    // The cache saves time only: where it cannot be kept, nothing is lost.
    let _ = cache.save();
    let mut opinions: HashMap<(u32, u64), Opinion> = HashMap::new();
    for judged in survey.judged {
        let opinion = Opinion {
            verdict: judged.verdict,
            findings: judged.findings,
            unexamined: judged.unexamined,
            starters: judged.starters,
        };
        opinions.insert((judged.facts.pid, judged.facts.start_ticks), opinion);
    }

    // The second look: what changed meanwhile tells the rates.
    let mut second = SocketList::default();
    let mut over = Duration::ZERO;
    if sampling {
        progress.stage(|| "watching".to_owned());
        (context.wait_until)(sampled + words.sample);
        context.system.sockets(&everything(), &mut second);
        over = first_read.elapsed();
    }
    let late = figures(context);
    let before = first
        .sockets
        .iter()
        .filter_map(|socket| Some((socket.cookie()?, traffic(socket))));
    let sample = Sample {
        over,
        figures: (early.as_ref(), &late),
        before: before.collect(),
    };
    // The sockets that led here are shown as they are now, if they are still there.
    if sampling {
        refresh(&mut first, &second);
    }
    let names = words.names.then(|| {
        progress.stage(|| "looking up names".to_owned());
        resolve(context, words, &first, &pids, diagnostics)
    });
    let host = |socket: &Socket| -> Option<String> {
        let side = socket.foreign();
        let name = names.as_ref()?.host(side.address, side.scope)?;
        socket.is_connected().then(|| name.to_owned())
    };
    let mut record = past;
    if let Err(why) = &record
        && (words.store.is_named() || matches!(why, NoRecord::Unusable(_)))
    {
        let places = words.store.places(context.system);
        let named = places.first().filter(|_| !matches!(why, NoRecord::Unusable(_)));
        let named = named.map_or_else(String::new, |path| format!("{}: ", path.display()));
        diagnostics.line(format!("{named}{}", why.words()));
    }
    let flows = match &mut record {
        Ok(record) => {
            let of_cards = |socket: &&Socket| match owners.owners.of(socket) {
                Owner::Held(holders) => holders.iter().any(|process| order.contains(&process.pid)),
                Owner::None(_) => nobody.iter().any(|(_, lead)| !lead.sockets.is_empty()),
            };
            record.open_flows(first.sockets.iter().filter(of_cards), (context.now)())
        }
        Err(_) => OpenFlows::default(),
    };
    let sources = Sources {
        list: &first,
        flows: &flows,
        owners: &owners.owners,
        sample: &sample,
        networks: &networks,
        published: &by_socket,
        host: &host,
    };
    for (pid, lead) in pids {
        match examined.remove(&pid) {
            Some(examined) => {
                let opinion = opinions.remove(&(pid, examined.facts.start_ticks));
                let card = gather::process_card(context.system, &sources, &mut record, lead, examined, opinion);
                report.cards.push(card);
            }
            None => diagnostics.line(format!("process {pid} ended while it was looked at")),
        }
    }
    for (reason, lead) in nobody {
        report
            .cards
            .push(gather::ownerless_card(context.system, &sources, lead, reason));
    }
    let waits = report
        .cards
        .iter()
        .filter_map(|card| card.owner.as_ref().ok())
        .any(|subject| !subject.reach.is_empty());
    if waits {
        let filter = rules;
        let subjects = report.cards.iter_mut().filter_map(|card| card.owner.as_mut().ok());
        for reach in subjects.flat_map(|subject| &mut subject.reach) {
            reach.ask(&filter);
        }
        // Windows has no packet filter of the kind that these rules are of.
        report.windows_host = context.system.windows_host();
        report.filter = Some(filter).filter(|_| report.windows_host.is_none());
    }
    worst_first(&mut report.cards);
    report.limits = std::mem::take(&mut first.limits);
    report.limits.extend(owners.limits);
    Ok(report)
}

/// Whether findings this severe are worth a look before those of others.
fn is_worrying(severity: audit::Severity) -> bool {
    severity >= audit::Severity::Medium
}

/// The network of each namespace that sockets were seen in, the caller's own first.
fn networks(context: &mut Context<'_>, list: &SocketList) -> Vec<LocalNetwork> {
    let count = list.namespaces.len().max(1);
    // There are less than 2^32 of them: each is an inode, which the kernel numbers with 32 bits.
    (0..count as u32)
        .map(|namespace| context.system.local_network(namespace))
        .collect()
}

/// Of the cards for one target, the one whose process answers there comes first, that of this namespace before those of others; then
/// those that are most worth a look; else the order stays.
fn worst_first(cards: &mut [card::Card]) {
    let targets: Vec<String> = cards.iter().filter_map(|card| card.targets.first()).cloned().collect();
    let place = |card: &card::Card| targets.iter().position(|word| Some(word) == card.targets.first());
    let worry = |card: &card::Card| {
        let subject = card.owner.as_ref().ok()?;
        let severity = subject.opinion.as_ref()?.verdict.severity?;
        is_worrying(severity).then_some(severity)
    };
    let answers = |card: &card::Card| {
        let matched = card.by_socket.then_some(&card.sockets);
        let listeners = matched.into_iter().flatten().filter(|view| waits(&view.socket));
        listeners
            .map(|view| u8::from(view.namespace.is_none()))
            .max()
            .map_or(0, |own| own + 1)
    };
    cards.sort_by_key(|card| (place(card), std::cmp::Reverse((answers(card), worry(card)))));
}

/// Every process with what targets are compared with; only those named by number where no target needs more.
fn shallow(targets: &[Target], context: &mut Context<'_>) -> Result<Vec<ProcessFacts>, Failure> {
    let by_name = |target: &Target| matches!(target.kind, Kind::Program(_) | Kind::Unit(_) | Kind::Word(_));
    let pids = match targets.iter().any(by_name) {
        true => {
            let all = context.system.processes();
            all.map_err(|refused| Failure::Refused(refused.to_string()))?
        }
        false => targets.iter().filter_map(|target| target.kind.pid()).collect(),
    };
    let ask = ProcessAsk {
        arguments: true,
        program: true,
        components: true,
        ..ProcessAsk::default()
    };
    // Those that end meanwhile, or are threads, are told of where nothing is found.
    Ok(pids
        .into_iter()
        .filter_map(|pid| context.system.process(pid, &ask).ok())
        .collect())
}

/// Puts the state of the second look in the place of the first, for sockets that are in both.
fn refresh(first: &mut SocketList, second: &SocketList) {
    let mut now: HashMap<_, &Socket> = second
        .sockets
        .iter()
        .filter_map(|socket| Some((socket.cookie()?, socket)))
        .collect();
    for socket in &mut first.sockets {
        if let Some(cookie) = socket.cookie()
            && let Some(new) = now.remove(&cookie)
        {
            // The namespaces of the second look may stand in another order.
            *socket = new.clone().in_namespace(socket.namespace());
        }
    }
}

/// Looks up the names of the other sides of the sockets that cards will show.
fn resolve(
    context: &mut Context<'_>,
    words: &InspectArgs,
    list: &SocketList,
    pids: &[(u32, Lead)],
    diagnostics: &mut Diagnostics,
) -> Names {
    let own = context.system.own_addresses().unwrap_or_default();
    let computer = context.system.computer_name();
    let mut names = Names::new(
        &computer,
        own,
        HostStyle::Full,
        Services::system(),
        ReverseDns::system(),
    );
    let shown = pids
        .iter()
        .flat_map(|(_, lead)| &lead.sockets)
        .map(|&place| &list.sockets[place]);
    let sides = shown.filter(|socket| socket.is_connected()).map(Socket::foreign);
    let summary = names.resolve(sides, words.dns_timeout, &mut |_, _| {});
    if summary.timed_out > 0 {
        diagnostics.line(format!(
            "{} of {} addresses had no name within {} s (--dns-timeout)",
            summary.timed_out,
            summary.total,
            words.dns_timeout.as_secs_f64()
        ));
    }
    names
}
