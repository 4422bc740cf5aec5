//! `netstat monitor`: the resource monitor in the terminal. The monitor itself is in `netstat-monitor`; this module has
//! its arguments and its connections to the rest of the program.

mod companion;
mod label;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_model::text::{escape_str, plain_error};
use netstat_monitor::config::{self, INTERVALS, Settings};
use netstat_monitor::pane::Tab;
use netstat_monitor::theme::ThemeName;
use netstat_monitor::{End, Options};
use netstat_names::Locations;
use netstat_os::Confinement;

use crate::args::units;
use crate::context::{Context, Failure, Outcome};
use companion::Cards;

/// The arguments of the command.
#[derive(Debug, Parser)]
#[command(
    name = "monitor",
    about = "Watch what every process does with CPU, disk, network and memory",
    after_help = AFTER_HELP,
    disable_version_flag = true
)]
struct MonitorArgs {
    /// the tab to open first
    #[arg(value_name = "TAB", value_parser = PossibleValuesParser::new(["overview", "cpu", "memory", "disk", "network"]))]
    tab: Option<String>,

    /// refresh interval (200ms to 60s)
    #[arg(short = 'i', long, value_name = "TIME", value_parser = interval)]
    interval: Option<Duration>,

    /// numbers instead of names of hosts and services
    #[arg(short = 'n', long)]
    numeric: bool,

    /// do not learn the names that programs ask for from DNS answers (as root, or with CAP_NET_RAW)
    #[arg(long)]
    no_dns_names: bool,

    /// database in the MaxMind DB format for countries and autonomous systems; may be repeated [default: those at the usual places]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    mmdb: Vec<PathBuf>,

    /// colours of the screen
    #[arg(long, value_name = "THEME", value_parser = PossibleValuesParser::new(ThemeName::ALL.map(|(name, _)| name)))]
    theme: Option<String>,

    /// draw graphs and trees with ASCII characters only
    #[arg(long)]
    ascii: bool,

    /// disable ending processes and closing connections
    #[arg(long)]
    read_only: bool,

    /// use this configuration file instead of ~/.config/netstat/monitor.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// ring the terminal's bell for new listeners and findings
    #[arg(long)]
    bell: bool,

    /// run PROGRAM for each new listener and finding, with what it is and one line about it as arguments
    ///
    /// No shell is involved. One run at a time, each at most ten seconds.
    #[arg(long, value_name = "PROGRAM")]
    exec: Option<PathBuf>,

    /// record everything to a new file, for --replay
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,

    /// replay a recorded file instead of live data
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
The tabs are those of the Resource Monitor of Windows: Overview, CPU, Memory, Disk, Network. Press ? for the keys. Space marks a process: \
everything else then shows only what belongs to it.

Bytes per second of TCP connections are those that the kernel counts; those of UDP sockets, QUIC among them, come from tracepoints (Linux \
6.3 or later, as root or with CAP_BPF and CAP_PERFMON) and are unknown without them. What an ordinary user may not see of other users' processes (their \
disk traffic, their sockets) shows as -; root sees it.

Connections shorter than the refresh interval are folded into one row per program and peer; h lists or hides them. Their bytes always count. \
As root the monitor also knows their program and how long they lived.

Changes made with keys are kept in $XDG_STATE_HOME/netstat/monitor.toml, else ~/.local/state/netstat/monitor.toml. The configuration \
file is only read; of the two, the one written last wins.

A recording holds command lines, addresses and user names: look at it before giving it to others.

Exit status: 0 when ended by a key, 1 on failure, 2 on a usage error, 128 + N when ended by signal N.";

/// Parses the value of `--interval`.
fn interval(text: &str) -> Result<Duration, String> {
    let [min, max] = [INTERVALS.0, INTERVALS.1].map(Duration::from_secs_f64);
    units::duration_within(text, min, max)
}

/// Returns the definition of the command, for the help, completions and manual page.
pub(crate) fn definition() -> clap::Command {
    MonitorArgs::command()
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let args = MonitorArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let state = config::state_path(|name| std::env::var_os(name));
    let mut settings = read_settings(args.config, state.as_deref())?;
    if let Some(tab) = &args.tab {
        let found = Tab::ALL
            .into_iter()
            .find(|known| known.title().eq_ignore_ascii_case(tab));
        settings.tab = found.unwrap_or(settings.tab);
    }
    if let Some(interval) = args.interval {
        settings.interval = interval;
    }
    if let Some(theme) = &args.theme {
        settings.theme = ThemeName::ALL
            .iter()
            .find(|(name, _)| name == theme)
            .map(|(_, theme)| *theme);
    }
    settings.names &= !args.numeric;
    settings.ascii |= args.ascii;
    let locations = locations(&args.mmdb, context)?;
    if let Some(path) = &args.replay {
        let shown = escape_str(&path.display().to_string()).into_owned();
        netstat_os::files::open_named(path)
            .map_err(|error| Failure::Refused(format!("--replay {shown}: {}", plain_error(&error))))?;
    }
    check_terminal(&|name| std::env::var_os(name))?;
    context.system.confine(&Confinement {
        foreign_sockets: true,
        network: true,
        programs: args.exec.is_some(),
        signals: !args.read_only,
        writable: None,
    });
    let end = netstat_monitor::run(Options {
        settings,
        state,
        read_only: args.read_only,
        no_color: context.screen.no_color && args.theme.is_none(),
        record: args.record,
        replay: args.replay,
        bell: args.bell,
        exec: args.exec,
        dns_names: !args.no_dns_names,
        label: Some(label::label),
        locations,
        system: context.system.another(),
        companion: Some(Box::new(Cards::new(context.system.another()))),
    });
    match end {
        Ok(End::Quit) => Ok(Outcome::Printed),
        // As a shell reports it (128 + number); signal numbers are small.
        Ok(End::Signal(number)) => Ok(Outcome::Status(u8::try_from(128 + number).unwrap_or(1))),
        Err(why) => Err(Failure::Refused(why)),
    }
}

/// Reads the configuration and the saved state of the screen. Of the two, the one written last takes precedence. A
/// state that cannot be read is ignored, because the user did not write it.
fn read_settings(named: Option<PathBuf>, state: Option<&Path>) -> Result<Settings, Failure> {
    let insisted = named.is_some();
    let path = named.or_else(|| config::path(|name| std::env::var_os(name)));
    let written = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let text = match &path {
        None => String::new(),
        Some(path) => match config::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !insisted => String::new(),
            Err(error) => return Err(Failure::Usage(format!("{}: {}", path.display(), plain_error(&error)))),
        },
    };
    let bad = |bad: config::BadConfig| {
        let path = path.as_deref().unwrap_or(Path::new(""));
        Failure::Usage(format!("{}: {bad}", path.display()))
    };
    let configured = config::parse(&text).map_err(bad)?;
    let Some(kept) = state.and_then(|state| config::read(state).ok()) else {
        return Ok(configured);
    };
    match path.as_deref().and_then(written) > state.and_then(written) {
        true => match config::parse(&kept) {
            Ok(kept) => config::parse_onto(&text, kept).map_err(bad),
            Err(_) => Ok(configured),
        },
        false => Ok(config::parse_onto(&kept, configured.clone()).unwrap_or(configured)),
    }
}

/// Opens the databases named on the command line, or those in the usual places that can be used.
fn locations(named: &[PathBuf], context: &Context<'_>) -> Result<Locations, Failure> {
    if !named.is_empty() {
        let opened = Locations::open(named);
        return opened.map_err(|error| Failure::Refused(format!("--mmdb {}", escape_str(&plain_error(&error)))));
    }
    let usual = match context.system.has_files() {
        true => Locations::usual(Path::new("/")),
        false => Vec::new(),
    };
    Ok(Locations::open(&usual).unwrap_or_default())
}

/// Checks that the terminal supports a full-screen display.
fn check_terminal(environment: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<(), Failure> {
    let instead = "use an interval instead: netstat -ano 1";
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::Refused(format!("monitor needs a terminal; {instead}")));
    }
    let term = environment("TERM").unwrap_or_default();
    if term.is_empty() || term == "dumb" {
        let term = if term.is_empty() { "not set" } else { "dumb" };
        return Err(Failure::Refused(format!(
            "monitor needs a terminal that can move its cursor (TERM is {term}); {instead}"
        )));
    }
    Ok(())
}
