//! `netstat audit`.

mod document;
#[cfg(feature = "fleet")]
mod fleet;
mod text;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_model::text::escape_str;
use netstat_model::{Filter, Limit, Owner, OwnerSummary};
use netstat_os::{Confinement, OwnersAsk, SocketList};
use netstat_packages::blocklist::BlockList;
use serde_json::{Value, json};

pub(crate) use document::{finding as finding_value, schema};

use crate::args::filter::FilterArgs;
use crate::args::shape::ColorChoice;
use crate::args::similar::nearest;
use crate::args::store::StoreArgs;
use crate::context::{Command, Context, ContextClock, Diagnostics, Failure, Outcome, Progress, names};
use crate::output::json::{self, Document};
use netstat_audit::finding::{Finding, Rule, Severity};
use netstat_audit::rules::{self, RULES};
use netstat_audit::{Auditor, Judged, Options, Past, Survey, case, host};

/// The command, for the list of commands.
pub(crate) const COMMAND: Command = Command {
    name: "audit",
    definition: || AuditArgs::command().arg(super::snapshot::replay_argument()),
    run,
};

/// What is said at the end of the text and in the help.
pub(super) const LIMITS: &str = "A finding is a reason to look, not a proof; nothing found does not mean clean. A rootkit in the kernel can lie to every program on the \
    same computer, whoever is root can change package databases, and a packaged program can be made to do anything. This is a snapshot: what connects for moments is seen \
    by netstat record.";

const ABOUT: &str = "Look at every program that listens or is connected, most suspicious first";

const LONG_ABOUT: &str = "Look at every program that listens or is connected, most suspicious first.\n\n\
    Each finding has a severity, what was seen, a command to verify it, which harmless reasons there are, and the technique of MITRE ATT&CK. Everything is read-only: \
    nothing on the system is changed but netstat's own cache of digests, nothing is sent, nothing is uploaded. Root sees everything; for other users it names what it could not see.";

const AFTER: &str = "Exit status: 0 when nothing at or above --fail-on was found (or --fail-on is not given), 3 when something was, 1 when the sockets could not be read, \
    2 for a usage error.\n\n";

#[derive(Debug, Parser)]
#[command(name = "audit", about = ABOUT, long_about = LONG_ABOUT, after_long_help = format!("{AFTER}{LIMITS}"))]
struct AuditArgs {
    /// show only findings of this severity and above
    #[arg(long, value_name = "SEVERITY", default_value = "low", value_parser = severity)]
    min: Severity,
    /// exit with status 3 when there is a finding of this severity or above
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    fail_on: Option<Severity>,
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

fn severity(word: &str) -> Result<Severity, String> {
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

/// What is to be shown.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) survey: &'a Survey,
    pub(super) min: Severity,
    pub(super) all_namespaces: bool,
}

impl<'a> Shown<'a> {
    /// The findings about the computer, the gravest first.
    pub(super) fn host(&self) -> impl Iterator<Item = &'a Finding> {
        let min = self.min;
        self.survey.host.iter().filter(move |finding| finding.severity >= min)
    }

    /// The processes with findings to be shown, the most suspicious first.
    pub(super) fn grouped(&self) -> Vec<(&'a Judged, Vec<&'a Finding>)> {
        let min = self.min;
        let of = |judged: &'a Judged| {
            let findings: Vec<&Finding> = judged
                .findings
                .iter()
                .filter(|finding| finding.severity >= min)
                .collect();
            (!findings.is_empty()).then_some((judged, findings))
        };
        let mut all: Vec<_> = self.survey.judged.iter().filter_map(of).collect();
        all.sort_by_key(|(judged, findings)| {
            (
                std::cmp::Reverse(judged.verdict.severity),
                std::cmp::Reverse(judged.exposure),
                std::cmp::Reverse(findings.len()),
                judged.facts.pid,
            )
        });
        all
    }

    /// All findings to be shown, those about the computer first, then those of the most suspicious process.
    pub(super) fn findings(&self) -> impl Iterator<Item = &'a Finding> {
        let of_processes = self.grouped().into_iter().flat_map(|(_, findings)| findings);
        self.host().chain(of_processes)
    }

    /// All processes, the most suspicious first.
    pub(super) fn programs(&self) -> impl Iterator<Item = &'a Judged> {
        let mut all: Vec<&Judged> = self.survey.judged.iter().collect();
        all.sort_by_key(|judged| {
            (
                std::cmp::Reverse(judged.verdict.severity),
                std::cmp::Reverse(judged.exposure),
                judged.facts.pid,
            )
        });
        all.into_iter()
    }
}

fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let words = AuditArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(rule) = words.explain {
        explain(context.out, rule)?;
        return Ok(Outcome::Printed);
    }
    if words.rules {
        list_rules(context.out, words.json)?;
        return Ok(Outcome::Printed);
    }
    let mut diagnostics = Diagnostics::default();
    let filter = names::resolved(&words.filter.filter(), context, Duration::from_secs(5))?;
    context.system.confine(&Confinement {
        // Ports are tried by binding internet sockets.
        network: words.probe_ports || words.store.needs_network(),
        ..Confinement::default()
    });
    let block = block_lists(&words.blocklist, context, &mut diagnostics)?;
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
        // A filter asks about some programs, not about the computer.
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
    compare_with_fleet(&words, &mut survey, context, now)?;
    // The cache saves time only: where it cannot be kept, nothing is lost.
    let _ = cache.save();
    drop(progress);
    if let Some(line) = OwnerSummary::count(&found.owners, &list.sockets).line(context.system.is_superuser()) {
        survey.unexamined.push(line);
    }
    let shown = Shown {
        survey: &survey,
        min: words.min,
        all_namespaces: words.all_namespaces,
    };
    let limits: Vec<Limit> = list.limits.iter().chain(&found.limits).cloned().collect();
    if words.json {
        let document = Document {
            schema: "netstat.audit",
            host: &context.system.computer_name(),
            time: (context.now)(),
            limits: &limits,
            body: document::body(&shown),
        };
        context
            .out
            .write_all(json::to_text(&document.value(), context.screen.terminal).as_bytes())?;
    } else {
        let mut out = Vec::new();
        let colored = words.color.colored(context.screen);
        let now = (context.now)();
        text::write(&mut out, &shown, context.screen.width.map(usize::from), colored, now);
        context.out.write_all(&out)?;
    }
    context.out.flush()?;
    diagnostics.limits(limits);
    diagnostics.say(context.err);
    Ok(outcome(&words, &survey, &list))
}

/// Adds what other computers have of the same, where the store is a fleet's.
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
    fleet::compare(survey, &client, (host_id, &host), words.ship, now)
        .map_err(|error| Failure::Refused(escape_str(&format!("{}: {error}", client.address())).into_owned()))
}

fn outcome(words: &AuditArgs, survey: &Survey, list: &SocketList) -> Outcome {
    /// Something was found at or above `--fail-on`.
    const FOUND: u8 = 3;
    let worst = survey
        .judged
        .iter()
        .filter_map(|judged| judged.verdict.severity)
        .chain(survey.host.iter().map(|finding| finding.severity))
        .max();
    match words.fail_on {
        Some(least) if worst >= Some(least) => Outcome::Status(FOUND),
        _ if list.failed => Outcome::Incomplete,
        _ => Outcome::Printed,
    }
}

/// The processes that hold a socket that the filter lets through, and that listens, is connected, or takes packets.
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
            // Of several holders of one socket, those that a filter names.
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

/// Whether the filter names holders, so that any socket of theirs counts.
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
        let report = read.map_err(|error| Failure::Refused(format!("--blocklist {shown}: {error}")))?;
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

fn list_rules(out: &mut dyn Write, as_json: bool) -> std::io::Result<()> {
    if as_json {
        let rules: Value = RULES
            .iter()
            .map(|rule| json!({"name": rule.name, "title": rule.title, "explanation": rule.explanation, "harmless": rule.harmless, "technique": rule.technique}))
            .collect();
        return out.write_all(json::to_text(&rules, true).as_bytes());
    }
    let widest = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for rule in RULES {
        writeln!(out, "{:widest$}  {:10}  {}", rule.name, rule.technique, rule.title)?;
    }
    Ok(())
}

fn explain(out: &mut dyn Write, rule: &Rule) -> std::io::Result<()> {
    writeln!(out, "{}: {}\n\n{}\n", rule.name, rule.title, rule.explanation)?;
    let link = rule.technique.replace('.', "/");
    writeln!(
        out,
        "Harmless if: {}\nATT&CK: {} (https://attack.mitre.org/techniques/{link}/)",
        rule.harmless, rule.technique
    )
}
