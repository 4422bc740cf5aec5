//! `netstat audit`.

mod acknowledge;
pub(crate) mod alert;
mod document;
mod explain;
#[cfg(feature = "fleet")]
mod fleet;
mod overview;
mod report;
mod text;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_model::text::{escape_str, plain_error};
use netstat_model::{Filter, Limit, Owner, OwnerSummary, SystemKind};
use netstat_os::{Confinement, OwnersAsk, SocketList};
use netstat_packages::blocklist::BlockList;

pub(crate) use document::{alert_schema, finding as finding_value, schema};

use crate::args::filter::FilterArgs;
use crate::args::shape::ColorChoice;
use crate::args::similar::nearest;
use crate::args::store::StoreArgs;
use crate::args::units;
use crate::context::{Command, Context, ContextClock, Diagnostics, Failure, Outcome, Progress, names};
use crate::output::json::{self, Document};
use crate::output::report::{Report, ReportFile};
use acknowledge::Item;
use alert::AlertArgs;
use explain::{explain, list_rules};
use netstat_audit::baseline::{Baseline, Entry};
use netstat_audit::finding::{Rule, Severity};
use netstat_audit::rules::{self, RULES};
use netstat_audit::{Auditor, Judged, Options, Past, Survey, case, host};
use overview::Choice;

/// The entry in the list of commands.
pub(crate) const COMMAND: Command = Command {
    name: "audit",
    definition: || AuditArgs::command().arg(super::snapshot::replay_argument()),
    run,
};

/// The notice at the end of the text and of the help.
pub(super) const LIMITS: &str = "A finding is a reason to look, not a proof; nothing found does not mean clean. A rootkit in the kernel can lie to every program on the \
    same computer, an administrator can change package databases, and a packaged program can be made to do anything. This is a snapshot: what connects for moments is seen \
    by netstat record.";

const ABOUT: &str = "Look at every program that listens or is connected, most suspicious first";

const LONG_ABOUT: &str = "Look at every program that listens or is connected, most suspicious first.\n\n\
    Each finding has a severity, what was seen, a command to verify it, which harmless reasons there are, and the technique of MITRE ATT&CK. Everything is read-only: \
    nothing on the system is changed but netstat's own files (digests that were read, what you acknowledge, what --new remembers), nothing is sent, nothing is uploaded. Root \
    sees everything; for other users it names what it could not see.\n\n\
    The summary comes first; details follow for findings of severity high and critical, or for all of them with --details. A finding that you know to be harmless is \
    acknowledged by its id and is then only counted; another program at the same path, another peer or port, and the end of the date bring it back.";

const AFTER: &str = "Exit status: 0 when nothing at or above --fail-on was found (or --fail-on is not given), 3 when something was, 1 when the sockets could not be read, \
    2 for a usage error.\n\n";

#[derive(Debug, Parser)]
#[command(name = "audit", about = ABOUT, long_about = LONG_ABOUT, after_long_help = format!("{AFTER}{LIMITS}"))]
struct AuditArgs {
    /// show only findings of this severity and above, with details of all of them [default: low, with details of high and critical]
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    min: Option<Severity>,
    /// show the details of every finding, not only of high and critical ones
    #[arg(long)]
    details: bool,
    /// show acknowledged findings, too
    #[arg(long)]
    all: bool,
    /// show only what was not found at the last run with --new; the list is kept beside the record
    #[arg(long)]
    new: bool,
    /// exit with status 3 when there is a finding of this severity or above that is not acknowledged
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    fail_on: Option<Severity>,
    /// read acknowledged findings from this TOML file [default: $XDG_CONFIG_HOME/netstat/audit.toml or
    /// ~/.config/netstat/audit.toml; for root /etc/netstat/audit.toml]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    baseline: Option<PathBuf>,
    /// acknowledge the finding with this id and write that to the baseline; may be repeated
    #[arg(long, value_name = "ID", requires = "why", conflicts_with_all = ["json", "new"])]
    acknowledge: Vec<String>,
    /// why the acknowledged finding is harmless
    #[arg(long, value_name = "TEXT", requires = "acknowledge")]
    why: Option<String>,
    /// the last day on which the acknowledgement counts, such as 2027-01-31
    #[arg(long, value_name = "DATE", requires = "acknowledge", value_parser = a_day)]
    until: Option<String>,
    /// look up foreign addresses in this list: addresses, CIDR, netset, Spamhaus DROP, hosts, JSON, CSV with a header; may be repeated
    #[arg(long, value_name = "FILE")]
    blocklist: Vec<PathBuf>,
    /// do not compare programs and libraries with the digests of their packages
    #[arg(long)]
    no_digests: bool,
    /// briefly bind every port that no listing shows: finds hidden listeners; a service that starts meanwhile may fail
    #[arg(long)]
    probe_ports: bool,
    #[command(flatten)]
    store: StoreArgs,
    /// send the findings to the fleet's store that --store names, where other computers' audits compare with them
    #[cfg(feature = "fleet")]
    #[arg(long, requires = "store")]
    ship: bool,
    /// look into every network namespace
    #[arg(long)]
    all_namespaces: bool,
    /// print one JSON document
    #[arg(long)]
    json: bool,
    /// write a report into this file, HTML or Markdown by its name, with the details of all findings
    #[arg(long, value_name = "FILE.html|FILE.md", value_hint = clap::ValueHint::FilePath, conflicts_with = "watch")]
    report: Option<ReportFile>,
    /// keep watching: examine what listens or connects for the first time as it does, and print each new finding of severity high or above
    /// (or --min), with --json as one JSON object per line
    #[arg(long, conflicts_with_all = ["new", "acknowledge", "details", "all", "fail_on", "probe_ports"])]
    watch: bool,
    /// end --watch after this time: 30s, 1h
    #[arg(long = "for", value_name = "TIME", requires = "watch", value_parser = units::positive_duration)]
    period: Option<Duration>,
    #[command(flatten)]
    alerts: AlertArgs,
    /// list the rules
    #[arg(long, conflicts_with_all = ["explain"])]
    rules: bool,
    /// explain what a rule looks for, how it judges, and which harmless reasons there are
    #[arg(long, value_name = "RULE", value_parser = rule)]
    explain: Option<&'static Rule>,
    /// colours: auto (on a terminal), always or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    #[command(flatten)]
    filter: FilterArgs,
}

fn a_day(word: &str) -> Result<String, String> {
    match netstat_audit::baseline::is_day(word) {
        true => Ok(word.to_owned()),
        false => Err("is not a day such as 2027-01-31".to_owned()),
    }
}

pub(crate) fn severity(word: &str) -> Result<Severity, String> {
    let found = Severity::ALL
        .into_iter()
        .find(|severity| severity.name().eq_ignore_ascii_case(word));
    found.ok_or_else(|| "is not one of info, low, medium, high, critical".to_owned())
}

fn rule(word: &str) -> Result<&'static Rule, String> {
    rules::find(word).ok_or_else(|| match nearest(word, RULES.iter().map(|rule| rule.name)) {
        Some(name) => format!("is not a rule; did you mean {name}?"),
        None => "is not a rule; --rules lists them".to_owned(),
    })
}

/// The results to show, and how.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) survey: &'a Survey,
    pub(crate) items: &'a [Item<'a>],
    pub(crate) choice: Choice,
    pub(crate) all_namespaces: bool,
    /// With `--new`, a phrase that says since when.
    pub(crate) new_since: Option<String>,
    /// The path of this program, for commands shown to the user.
    pub(crate) netstat: String,
    pub(crate) superuser: bool,
}

impl<'a> Shown<'a> {
    /// Returns the number of acknowledged findings at or above the minimum severity.
    pub(crate) fn acknowledged(&self) -> usize {
        let counts =
            |item: &&Item<'_>| item.standing.acknowledged.is_some() && item.finding.severity >= self.choice.min;
        self.items.iter().filter(counts).count()
    }

    /// Returns all processes, the most suspicious first.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &'a Judged> {
        let mut all: Vec<&Judged> = self.survey.judged.iter().collect();
        all.sort_by_key(|judged| {
            (
                std::cmp::Reverse(judged.verdict.severity),
                std::cmp::Reverse(judged.weight()),
                std::cmp::Reverse(judged.exposure),
                judged.facts.pid,
            )
        });
        all.into_iter()
    }

    /// Returns what could not be examined, one line for each kind.
    pub(crate) fn missing(&self) -> Vec<String> {
        let of_host = self.survey.unexamined.iter();
        let mut missing: Vec<String> = of_host.map(|line| escape_str(line).into_owned()).collect();
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for line in self.survey.judged.iter().flat_map(|judged| &judged.unexamined) {
            match kinds.iter_mut().find(|(known, _)| known == line) {
                Some((_, count)) => *count += 1,
                None => kinds.push((line, 1)),
            }
        }
        let processes = |count| text::plural_of(count, "process", "processes");
        missing.extend(
            kinds
                .into_iter()
                .map(|(line, count)| format!("{line} ({})", processes(count))),
        );
        if self.survey.ended > 0 {
            missing.push(format!("{} ended meanwhile", processes(self.survey.ended)));
        }
        if !self.all_namespaces {
            missing.push("other network namespaces, such as those of containers (--all-namespaces)".to_owned());
        }
        missing
    }
}

fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let words = AuditArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(rule) = words.explain {
        let width = context.screen.width.map_or(100, usize::from).clamp(40, 120);
        explain(context.out, rule, width)?;
        return Ok(Outcome::Printed);
    }
    if words.rules {
        list_rules(context.out, words.json)?;
        return Ok(Outcome::Printed);
    }
    let mut diagnostics = Diagnostics::default();
    if words.alerts.is_any() && !words.watch {
        return Err(Failure::Usage(
            "--exec, --journald and --syslog need --watch".to_owned(),
        ));
    }
    if words.watch {
        return watched(&words, context, &mut diagnostics);
    }
    let baseline_path = words.baseline.clone().or_else(|| usual_baseline(context));
    let mut baseline = match &baseline_path {
        // A baseline that is about to be written need not exist yet.
        Some(path) => {
            let must_exist = words.baseline.is_some() && words.acknowledge.is_empty();
            acknowledge::read_baseline(path, must_exist, &mut diagnostics)?
        }
        None => Baseline::default(),
    };
    let looked = look(&words, context, &mut diagnostics)?;
    let mut items = acknowledge::items(&looked.survey);
    let mut cache = crate::context::digests(context.system);
    if !baseline.entries().is_empty() {
        let today = acknowledge::day((context.now)());
        acknowledge::apply(&baseline, &today, &mut items, context.system, &mut cache);
    }
    if !words.acknowledge.is_empty() {
        let Some(path) = baseline_path else {
            return Err(Failure::Usage(
                "HOME is not set; name the file with --baseline FILE".to_owned(),
            ));
        };
        let done = write_acknowledged(&words, &mut baseline, &path, &mut items, context, &mut cache);
        let _ = cache.save();
        return done;
    }
    let new_since = match words.new {
        true => Some(only_new(&words, &mut items, context, &mut cache)?),
        false => None,
    };
    if words.report.is_some() && !words.no_digests {
        for item in items.iter_mut().filter(|item| item.finding.severity >= Severity::High) {
            acknowledge::add_digest(item, context.system, &mut cache);
        }
    }
    // The cache only saves time, so failing to save it does no harm.
    let _ = cache.save();
    let shown = Shown {
        survey: &looked.survey,
        items: &items,
        choice: choice(&words),
        // Windows has only one namespace.
        all_namespaces: words.all_namespaces || context.system.kind() == SystemKind::Windows,
        new_since,
        netstat: crate::context::program_path_for(context.system),
        superuser: context.system.is_superuser(),
    };
    if let Some(file) = &words.report {
        diagnostics.line(write_report(file, &shown, context)?);
    }
    if words.json || words.report.is_none() {
        print(&words, &shown, &looked.limits, context)?;
    }
    diagnostics.limits(looked.limits);
    diagnostics.say(context.err);
    Ok(outcome(&words, &shown, looked.failed))
}

/// Writes the report of `--report`. Returns a line that says where it is.
fn write_report(file: &ReportFile, shown: &Shown<'_>, context: &mut Context<'_>) -> Result<String, Failure> {
    file.write(&Report {
        title: "Audit of programs on the network".to_owned(),
        host: context.system.computer_name(),
        time: (context.now)(),
        blocks: report::blocks(shown),
    })
}

/// For `--new`: marks the findings that the last such run did not have. Returns a line that says since when.
fn only_new(
    words: &AuditArgs,
    items: &mut [Item<'_>],
    context: &mut Context<'_>,
    cache: &mut netstat_packages::digest::Cache,
) -> Result<String, Failure> {
    for item in items.iter_mut().filter(|_| !words.no_digests) {
        acknowledge::add_digest(item, context.system, cache);
    }
    let path = acknowledge::seen_beside(&words.store.path(context.system.is_superuser())?);
    let then = acknowledge::compare(&path, items)?;
    Ok(match then {
        Some(then) => format!("new since {}", crate::context::human::moment(then)),
        None => "this is the first run with --new: everything is new".to_owned(),
    })
}

/// Returns which findings are shown, and in how much detail.
fn choice(words: &AuditArgs) -> Choice {
    let min = words.min.unwrap_or(Severity::Low);
    Choice {
        min,
        details: match (words.details, words.min) {
            (true, _) | (false, Some(_)) => min,
            (false, None) => Severity::High,
        },
        all: words.all,
        only_new: words.new,
    }
}

/// Runs `--watch`.
fn watched(words: &AuditArgs, context: &mut Context<'_>, diagnostics: &mut Diagnostics) -> Result<Outcome, Failure> {
    let filter = names::resolved(&words.filter.filter(), context, Duration::from_secs(5))?;
    let block = block_lists(&words.blocklist, context, diagnostics)?;
    diagnostics.say(context.err);
    let named = words.baseline.clone().map(|path| (path, true));
    let ask = watch::WatchAsk {
        min: words.min.unwrap_or(Severity::High),
        compare: !words.no_digests,
        all_namespaces: words.all_namespaces,
        block: Arc::new(block),
        baseline: named.or_else(|| usual_baseline(context).map(|path| (path, false))),
        places: words.store.places(context.system),
        filter,
        netstat: crate::context::program_path_for(context.system),
    };
    if let Some((path, true)) = &ask.baseline {
        // Report an error in the baseline immediately.
        acknowledge::read_baseline(path, true, diagnostics)?;
    }
    watch::run(ask, &words.alerts, words.json, words.period, context)
}

/// Returns what `netstat record --audit` watches for, with findings of severity `min` and above.
pub(crate) fn watch_for_record(
    min: Severity,
    all_namespaces: bool,
    store: PathBuf,
    context: &Context<'_>,
) -> watch::WatchAsk {
    watch::WatchAsk {
        min,
        compare: true,
        all_namespaces,
        block: Arc::default(),
        baseline: usual_baseline(context).map(|path| (path, false)),
        places: vec![store],
        filter: Filter::default(),
        netstat: crate::context::program_path_for(context.system),
    }
}

/// Returns the default path of the baseline, if the system is this computer.
fn usual_baseline(context: &Context<'_>) -> Option<PathBuf> {
    match context.system.has_files() {
        true => acknowledge::usual_baseline(context.system.is_superuser()),
        false => None,
    }
}

fn print(words: &AuditArgs, shown: &Shown<'_>, limits: &[Limit], context: &mut Context<'_>) -> Result<(), Failure> {
    if words.json {
        let document = Document {
            schema: "netstat.audit",
            host: &context.system.computer_name(),
            time: (context.now)(),
            limits,
            body: document::body(shown),
        };
        context
            .out
            .write_all(json::to_text(&document.value(), context.screen.terminal).as_bytes())?;
    } else {
        let mut out = Vec::new();
        let colored = words.color.colored(context.screen);
        let now = (context.now)();
        text::write(&mut out, shown, context.screen.width.map(usize::from), colored, now);
        context.out.write_all(&out)?;
    }
    context.out.flush()?;
    Ok(())
}

/// For `--acknowledge`: adds the findings with these ids to the baseline.
fn write_acknowledged(
    words: &AuditArgs,
    baseline: &mut Baseline,
    path: &std::path::Path,
    items: &mut [Item<'_>],
    context: &mut Context<'_>,
    cache: &mut netstat_packages::digest::Cache,
) -> Result<Outcome, Failure> {
    let mut lines = Vec::new();
    for id in &words.acknowledge {
        let mut known = false;
        for item in items.iter_mut().filter(|item| item.mark.id().eq_ignore_ascii_case(id)) {
            acknowledge::add_digest(item, context.system, cache);
            baseline.acknowledge(Entry {
                mark: item.mark.clone(),
                why: words.why.clone().unwrap_or_default(),
                until: words.until.clone(),
            });
            let program = item.finding.program.as_deref().unwrap_or("this computer");
            let line = format!(
                "acknowledged: {program}: {} ({})",
                item.finding.headline, item.mark.rule
            );
            if !std::mem::replace(&mut known, true) {
                lines.push(line);
            }
        }
        if !known {
            return Err(Failure::Refused(format!(
                "no finding has the id {:?} now; netstat audit --details shows the ids",
                escape_str(id)
            )));
        }
    }
    let shown = escape_str(&path.display().to_string()).into_owned();
    acknowledge::write_whole(path, &baseline.text(), 0o644)
        .map_err(|error| Failure::Refused(format!("{shown}: {}", plain_error(&error))))?;
    for line in lines {
        writeln!(context.out, "{line}")?;
    }
    writeln!(context.out, "written to {shown}")?;
    context.out.flush()?;
    Ok(Outcome::Printed)
}

/// The results of the examination.
struct Looked {
    survey: Survey,
    limits: Vec<Limit>,
    /// Whether some kind of socket could not be read at all.
    failed: bool,
}

/// Examines the processes that the filter selects, and, without a filter, the computer.
fn look(words: &AuditArgs, context: &mut Context<'_>, diagnostics: &mut Diagnostics) -> Result<Looked, Failure> {
    let filter = names::resolved(&words.filter.filter(), context, Duration::from_secs(5))?;
    context.system.confine(&Confinement {
        foreign_sockets: true,
        // Ports are probed by binding internet sockets.
        network: words.probe_ports || words.store.needs_network(),
        ..Confinement::default()
    });
    let block = block_lists(&words.blocklist, context, diagnostics)?;
    let progress = Progress::start(context.terminal, "reading sockets");
    let mut list = SocketList::default();
    context.system.sockets(&host::ask(words.all_namespaces), &mut list);
    let ask = OwnersAsk {
        image: true,
        components: true,
        ..OwnersAsk::default()
    };
    let found = context
        .system
        .owners(&list.sockets, &ask)
        .map_err(|refused| Failure::Refused(refused.to_string()))?;
    let pids = wanted(&list, &found.owners, &filter);
    let options = Options {
        block: Arc::new(block),
        compare: !words.no_digests,
        // A filter asks about certain programs, not about the computer.
        host: filter.is_empty() || words.probe_ports,
        probe_ports: words.probe_ports,
        program: crate::context::program_path_for(context.system),
    };
    let now = (context.now)();
    let mut past = words.store.recall(context.system, now);
    let mut cache = crate::context::digests(context.system);
    let mut files = netstat_audit::files_of(context.system);
    let mut auditor = Auditor {
        system: &mut *context.system,
        clock: &mut ContextClock {
            now: &mut *context.now,
            wait_until: &mut *context.wait_until,
        },
        files: &mut *files,
        cache: &mut cache,
        past: Some(match &mut past {
            Ok(past) => Ok(past as &mut dyn Past),
            Err(why) => Err(why.words()),
        }),
        progress: &|stage| progress.stage(|| stage.to_owned()),
    };
    let mut survey = auditor.judge(&list, &found.owners, &pids, &options);
    #[cfg(feature = "fleet")]
    compare_with_fleet(words, &mut survey, context, now)?;
    // The cache only saves time, so failing to save it does no harm.
    let _ = cache.save();
    if let Some(line) =
        OwnerSummary::count(&found.owners, &list.sockets).line(context.system.kind(), context.system.is_superuser())
    {
        survey.unexamined.push(line);
    }
    Ok(Looked {
        survey,
        limits: list.limits.iter().chain(&found.limits).cloned().collect(),
        failed: list.failed,
    })
}

/// Adds how many other computers have the same findings, if the store is that of a fleet.
#[cfg(feature = "fleet")]
fn compare_with_fleet(
    words: &AuditArgs,
    survey: &mut Survey,
    context: &mut Context<'_>,
    now: std::time::SystemTime,
) -> Result<(), Failure> {
    let root = context.system.is_superuser();
    let Some(client) = words.store.fleet(root)? else {
        return match words.ship {
            true => Err(Failure::Usage(
                "--ship needs a fleet's store: --store clickhouse://HOST/DATABASE".to_owned(),
            )),
            false => Ok(()),
        };
    };
    let config = words.store.fleet_args().config(root)?;
    let host_id = crate::args::store::identity(config.ship.machine_id.as_deref())?.ok_or_else(|| {
        Failure::Refused("this computer has no machine id to be known by in a fleet (machine-id(5))".to_owned())
    })?;
    let host = context.system.computer_name();
    fleet::compare(survey, &client, (host_id, &host), words.ship, now).map_err(|error| {
        Failure::Refused(escape_str(&format!("{}: {}", client.address(), plain_error(&error))).into_owned())
    })
}

fn outcome(words: &AuditArgs, shown: &Shown<'_>, failed: bool) -> Outcome {
    /// The exit status if there are findings at or above `--fail-on`.
    const FOUND: u8 = 3;
    let counted = shown
        .items
        .iter()
        .filter(|item| item.standing.acknowledged.is_none() && shown.choice.counts(item));
    let worst = counted.map(|item| item.finding.severity).max();
    match words.fail_on {
        Some(least) if worst >= Some(least) => Outcome::Status(FOUND),
        _ if failed => Outcome::Incomplete,
        _ => Outcome::Printed,
    }
}

/// Returns the processes that hold a socket that the filter selects and that listens, is connected, or receives
/// packets.
fn wanted(list: &SocketList, owners: &netstat_model::Owners, filter: &Filter) -> Vec<u32> {
    let mut pids = BTreeSet::new();
    for socket in &list.sockets {
        if case::Exposure::of(socket) == case::Exposure::None && !filter_names(filter) {
            continue;
        }
        if !filter.wants(socket) {
            continue;
        }
        let owner = owners.of(socket);
        if !filter.wants_holders(&owner) {
            continue;
        }
        if let Owner::Held(holders) = owner {
            // Of several holders of a socket, only those that the filter selects.
            pids.extend(
                holders
                    .iter()
                    .map(|process| process.pid)
                    .filter(|pid| filter.pids.is_empty() || filter.pids.contains(*pid)),
            );
        }
    }
    pids.into_iter().collect()
}

/// Whether the filter selects by holder, so that any socket of a selected process counts.
fn filter_names(filter: &Filter) -> bool {
    filter.needs_owners()
}

fn block_lists(
    files: &[PathBuf],
    context: &mut Context<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<BlockList, Failure> {
    let mut block = BlockList::default();
    for file in files {
        let name = file.to_string_lossy().into_owned();
        let shown = escape_str(&name).into_owned();
        let progress = Progress::start(context.terminal, &format!("reading {shown}"));
        let read = block.add_file(file);
        drop(progress);
        let report = read.map_err(|error| Failure::Refused(format!("--blocklist {shown}: {}", plain_error(&error))))?;
        let first = report.first.first().map_or_else(String::new, |line| {
            format!("; line {}: {} ({})", line.line, line.text, line.reason)
        });
        if report.is_empty() {
            return Err(Failure::Refused(format!(
                "--blocklist {shown}: no address in it{first}"
            )));
        }
        if report.bad > 0 {
            diagnostics.line(format!("{shown}: {} of its lines could not be read{first}", report.bad));
        }
        if report.special > 0 {
            diagnostics.line(format!(
                "{shown}: {} networks that every computer talks to were left out",
                report.special
            ));
        }
        if report.names > 0 && report.networks == 0 {
            diagnostics.line(format!(
                "{shown}: it holds names only, and sockets have addresses: nothing will match"
            ));
        }
    }
    Ok(block)
}
