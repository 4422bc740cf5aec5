//! From words to a plan.
//!
//! ```text
//! words -> classic: tokens -> low: what was typed -> meaning: a plan
//! ```
//!
//! The classic words (`-ano`, `/a`, `-p tcp`, `5`) have rules that no argument parser knows, so `classic` reads them. The
//! long options are defined once, with `clap`, in `low`; help, completions and the manual page come from that definition.
//! A line without a long option never builds it: that keeps `netstat -ano` quick to start.

mod classic;
mod commands;
mod error;
pub mod filter;
mod help;
mod hints;
mod low;
mod meaning;
pub(crate) mod past;
mod plan;
pub mod shape;
mod values;

use std::ffi::OsString;

use netstat_model::columns::Sockets;

pub use error::UsageError;
pub(crate) use help::EXAMPLES as HELP_EXAMPLES;
pub use help::markdown as switches_as_markdown;
pub use low::command;
pub use plan::{
    DEFAULT_DNS_TIMEOUT, EthernetPlan, FollowPlan, ListPlan, Naming, PacketPlan, Plan, RouteTable, RoutesPlan,
    StatisticsPlan, Which,
};
pub use values::{INTERVAL_MAX, OwnerMethod, ProtocolName};

use classic::Ask;

use crate::context::{Command, find};
use commands::Typed;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// Ask the system and print.
    Run(Box<Plan>),
    /// Carry out a command with what was typed after its name.
    Command(&'static Command, Box<clap::ArgMatches>),
    /// Print this text on stdout, as it is, and end with status 0: help or the version.
    Print(String),
}

/// Reads a command line, `words` without the program's own name.
///
/// A word that asks for help or the version wins over everything else, mistakes included.
///
/// # Errors
/// The first wrong word, or the first pair of words that do not go together, in one line.
pub fn parse(words: impl IntoIterator<Item = OsString>, commands: &'static [Command]) -> Result<Parsed, UsageError> {
    let mut words = words.into_iter().peekable();
    if let Some(command) = words.peek().and_then(|word| find(commands, word)) {
        words.next();
        return Ok(match commands::read(command, words)? {
            Typed::Matches(matches) => Parsed::Command(command, Box::new(matches)),
            Typed::Help(text) => Parsed::Print(text),
        });
    }
    let mut line = classic::read(words);
    match line.ask {
        Some(Ask::ShortHelp) => return Ok(Parsed::Print(help::short(&command()))),
        Some(Ask::LongHelp) => return Ok(Parsed::Print(help::long(&command(), commands))),
        Some(Ask::Version) => return Ok(Parsed::Print(help::version())),
        None => {}
    }
    if let Some(error) = line.error.take() {
        return Err(error);
    }
    let low = match low::Low::without_clap(&line.tokens) {
        Some(low) => low,
        None => low::Low::through_clap(&line.tokens, line.command.take().unwrap_or_else(command))?,
    };
    if low.columns == Some(shape::ColumnList::Help) {
        return Ok(Parsed::Print(shape::column_help::<Sockets>()));
    }
    meaning::plan(&low).map(|plan| Parsed::Run(Box::new(plan)))
}

/// The definition of the whole program: the switches, and `commands` below them.
pub fn with_commands(commands: &[Command]) -> clap::Command {
    command().subcommands(commands.iter().map(|command| (command.definition)()))
}
