//! `netstat monitor`: the resource monitor in the terminal. What it shows and does is in `netstat-monitor`; here are its words, and what it
//! asks of the rest of the program.

mod companion;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_monitor::config::{self, INTERVALS, Settings};
use netstat_monitor::pane::Tab;
use netstat_monitor::theme::ThemeName;
use netstat_monitor::{End, Options};

use crate::context::{Context, Failure, Outcome};
use companion::Cards;

/// The words of the command.
#[derive(Debug, Parser)]
#[command(
    name = "monitor",
    about = "Watch what every process does with CPU, disk, network and memory",
    after_help = AFTER_HELP,
    disable_version_flag = true
)]
struct Words {
    /// The tab to begin with
    #[arg(value_name = "TAB", value_parser = PossibleValuesParser::new(["overview", "cpu", "memory", "disk", "network"]))]
    tab: Option<String>,

    /// Look so often: 0.2 to 60
    #[arg(short = 'i', long, value_name = "SECONDS", value_parser = interval)]
    interval: Option<Duration>,

    /// Numbers instead of names of hosts and services
    #[arg(short = 'n', long)]
    numeric: bool,

    /// Colours: dark, light, monochrome, color-blind
    #[arg(long, value_name = "THEME", value_parser = PossibleValuesParser::new(ThemeName::ALL.map(|(name, _)| name)))]
    theme: Option<String>,

    /// Graphs and trees of plain ASCII characters
    #[arg(long)]
    ascii: bool,

    /// End no process and close no connection, whatever is pressed
    #[arg(long)]
    read_only: bool,

    /// Use this configuration file instead of ~/.config/netstat/monitor.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Write everything that is seen to a new file, for --replay
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,

    /// Play such a file instead of looking at this computer
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
The tabs are those of the Resource Monitor of Windows: Overview, CPU, Memory, Disk, Network. Press ? for the keys. Space marks a process:
everything else then shows only what belongs to it.

Bytes per second of connections are those of TCP, as the kernel counts them; it counts none for UDP, which shows as -. What an ordinary
user may not see of other users' processes (their disk traffic, their sockets) shows as - too; root sees it.

A connection that opened and closed between two looks is shown for some seconds with all bytes that went through it; for root also with its
program and how long it lived.

A recording holds command lines, addresses and names of users: look at it before giving it to others.

Exit status: 0 when it was ended by a key, 1 when it failed, 2 for wrong words, 128 + N when signal N ended it.";

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    match seconds.filter(|seconds| (INTERVALS.0..=INTERVALS.1).contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
        None => Err(format!(
            "is no number of seconds from {} to {}",
            INTERVALS.0, INTERVALS.1
        )),
    }
}

/// The definition of the command for help, completions and the manual.
pub(crate) fn definition() -> clap::Command {
    Words::command()
}

/// Carries out the command.
///
/// # Errors
/// See [`Failure`].
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let words = Words::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let (path, mut settings) = read_settings(words.config)?;
    if let Some(tab) = &words.tab {
        let found = Tab::ALL
            .into_iter()
            .find(|known| known.title().eq_ignore_ascii_case(tab));
        settings.tab = found.unwrap_or(settings.tab);
    }
    if let Some(interval) = words.interval {
        settings.interval = interval;
    }
    if let Some(theme) = &words.theme {
        settings.theme = ThemeName::ALL
            .iter()
            .find(|(name, _)| name == theme)
            .map(|(_, theme)| *theme);
    }
    settings.names &= !words.numeric;
    settings.ascii |= words.ascii;
    check_terminal(&|name| std::env::var_os(name))?;
    let end = netstat_monitor::run(Options {
        settings,
        config: path,
        read_only: words.read_only,
        no_color: context.screen.no_color && words.theme.is_none(),
        record: words.record,
        replay: words.replay,
        system: Box::new(netstat_os::Native::default()),
        companion: Some(Box::new(Cards::default())),
    });
    match end {
        Ok(End::Quit) => Ok(Outcome::Printed),
        // As a shell tells it (128 + number); signals have small numbers.
        Ok(End::Signal(number)) => Ok(Outcome::Status(u8::try_from(128 + number).unwrap_or(1))),
        Err(words) => Err(Failure::Refused(words)),
    }
}

/// The configuration and where it is kept.
fn read_settings(named: Option<PathBuf>) -> Result<(Option<PathBuf>, Settings), Failure> {
    let insisted = named.is_some();
    let Some(path) = named.or_else(|| config::path(|name| std::env::var_os(name))) else {
        return Ok((None, Settings::default()));
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => match config::parse(&text) {
            Ok(settings) => Ok((Some(path), settings)),
            Err(bad) => Err(Failure::Usage(format!("{}: {bad}", path.display()))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !insisted => {
            Ok((Some(path), Settings::default()))
        }
        Err(error) => Err(Failure::Usage(format!("{}: {error}", path.display()))),
    }
}

/// Whether a whole screen can be drawn.
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
