//! `netstat inspect`: which process is behind a port, address or program, what it does, and what to do about it.

mod answering;
mod bundle;
mod card;
mod endpoint;
mod files;
mod filter;
mod gather;
mod inspection;
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

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_model::text::plain_error;
use netstat_names::Services;
use netstat_os::Confinement;

use crate::args::store::StoreArgs;
use crate::args::units;
use crate::context::{Context, Diagnostics, Failure, Outcome, Progress};
use crate::output::report::{Block, ReportFile};

use card::{Answered, Report};
use inspection::inspect;
use target::Target;

/// The maximum number of cards without `--all`.
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

/// Parses the value of `--sample` or `--dns-timeout`.
fn wait(text: &str) -> Result<Duration, String> {
    units::duration_within(text, Duration::ZERO, Duration::from_secs(3600))
}

/// Returns the definition of the command, for the help, completions and manual page.
pub(crate) fn definition() -> clap::Command {
    InspectArgs::command().arg(super::snapshot::replay_argument())
}

/// Runs the command.
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
        // Checked before any work is done; a file that appears in the meantime is not overwritten either.
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
    let (now, host) = ((context.now)(), context.system.computer_name());
    let document = || json::document(&report, &host, now);
    let bundled = match words.bundle.as_ref().filter(|_| !report.cards.is_empty()) {
        Some(path) => {
            let contents = bundle::Contents {
                report: &report,
                document: &document(),
                host: &host,
                time: now,
                redacted: words.redact,
            };
            write_bundle(path, &contents, context, &mut diagnostics)?
        }
        None => bundle::Written::default(),
    };
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
    let found_all = say_not_found(&report, &mut diagnostics);
    diagnostics.limits(report.limits);
    diagnostics.say(context.err);
    Ok(match found_all {
        true => Outcome::Printed,
        false => Outcome::Status(1),
    })
}

/// For `--bundle`: writes the evidence to a new file at `path`.
fn write_bundle(
    path: &std::path::Path,
    contents: &bundle::Contents<'_>,
    context: &mut Context<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<bundle::Written, Failure> {
    let file = netstat_os::create_private(path).map_err(|error| cannot_write(path, &error))?;
    let progress = Progress::start(context.terminal, "writing the bundle");
    let written = bundle::write(file, contents, context.system, &progress);
    let written = written.map_err(|error| cannot_write(path, &error))?;
    if let Some(line) = bundle::missing(written.missing) {
        diagnostics.line(line);
    }
    Ok(written)
}

/// Reports which targets matched nothing, and other remarks about targets. Returns whether all of them matched
/// something.
fn say_not_found(report: &Report, diagnostics: &mut Diagnostics) -> bool {
    let mut found_all = true;
    for target in &report.targets {
        if target.is_empty() {
            found_all = false;
            diagnostics.line(format!("{:?}: nothing found: {}", target.word, sought(target)));
        } else {
            for remark in &target.remarks {
                diagnostics.line(format!("{:?}: {remark}", target.word));
            }
        }
    }
    found_all
}

/// Parses the targets as typed. A line of a list of sockets that the shell has split into words is one target.
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
        word.parse().map_err(|error| {
            Failure::Usage(format!(
                "TARGET \"{}\" {}",
                netstat_model::text::escape_str(word),
                plain_error(&error)
            ))
        })
    };
    typed.iter().map(read).collect()
}

/// For `--report`: writes the cards, and the digests of what was bundled.
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
        _ => format!("cannot be written: {}", plain_error(&error)),
    };
    Failure::Refused(format!("{} {words}", path.display()))
}

/// Describes what was looked for without success, and what is similar.
fn sought(target: &Answered) -> String {
    let mut line = format!("no {} in sight", target.sought);
    for remark in &target.remarks {
        line.push_str("; ");
        line.push_str(remark);
    }
    line
}
