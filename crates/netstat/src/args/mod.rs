//! The command line, from its arguments to a plan.
//!
//! ```text
//! words -> classic: tokens -> raw: what was typed -> meaning: a plan
//! ```
//!
//! No argument parser supports the rules of the classic words (`-ano`, `/a`, `-p tcp`, `5`), so `classic` reads them.
//! The long options are defined once, with `clap`, in `raw`; the help, the completions and the manual page are
//! generated from that definition. A command line without long options never builds it, so that `netstat -ano` starts
//! quickly.

mod classic;
mod commands;
mod contradictions;
mod defaults;
#[cfg(fuzzing)]
pub use defaults::fuzz_defaults;
mod error;
pub mod filter;
mod help;
mod hints;
mod meaning;
mod plan;
mod raw;
pub mod shape;
pub(crate) mod similar;
pub(crate) mod store;
mod token;
pub(crate) mod units;
pub(crate) mod values;

use std::ffi::{OsStr, OsString};

use netstat_model::columns::Sockets;
use netstat_model::text::plain_error;

pub use defaults::{Defaults, VARIABLE as OPTIONS_VARIABLE};
pub use error::UsageError;
pub(crate) use help::EXAMPLES as HELP_EXAMPLES;
pub use help::markdown as switches_as_markdown;
pub use plan::{
    DEFAULT_DNS_TIMEOUT, EthernetPlan, Families, FollowPlan, ListPlan, LocationPlan, Naming, PacketPlan, Plan,
    RouteTable, RoutesPlan, StatisticsPlan, Which,
};
pub use raw::command;
pub use values::{INTERVAL_MAX, OwnerMethod, ProtocolName};

use classic::Ask;

use crate::context::{Command, find};
use commands::Typed;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// To query the system and print the result.
    Run(Box<Plan>),
    /// To run a command with the arguments that follow its name.
    Command(&'static Command, Box<clap::ArgMatches>),
    /// To print this text (help or version) to stdout unchanged, and to exit with status 0.
    Print(String),
}

/// Parses a command line, given as `words` without the name of the program.
///
/// A request for help or the version takes precedence over everything else, including mistakes.
///
/// # Errors
/// Returns the first wrong word, or the first pair of words that exclude each other, as one line.
pub fn parse(words: impl IntoIterator<Item = OsString>, commands: &'static [Command]) -> Result<Parsed, UsageError> {
    parse_with(words, commands, &Defaults::default())
}

/// Parses a command line like [`parse`], with default switches and aliases.
///
/// # Errors
/// Returns the errors of [`parse`], and an error for a wrong word among the default switches.
pub fn parse_with(
    words: impl IntoIterator<Item = OsString>,
    commands: &'static [Command],
    defaults: &Defaults,
) -> Result<Parsed, UsageError> {
    let is_command = |word: &OsStr| find(commands, word).is_some() || word.eq_ignore_ascii_case("help");
    let words = defaults.expanded(words.into_iter().collect(), is_command);
    let mut words = words.into_iter().peekable();
    if let Some(command) = words.peek().and_then(|word| find(commands, word)) {
        words.next();
        return Ok(match commands::read(command, words)? {
            Typed::Matches(matches) => Parsed::Command(command, Box::new(matches)),
            Typed::Help(text) => Parsed::Print(text),
        });
    }
    if words.peek().is_some_and(|word| word.eq_ignore_ascii_case("help")) {
        words.next();
        return help_of(words.next().as_deref(), commands);
    }
    let mut line = classic::read(words, commands);
    match line.ask {
        Some(Ask::ShortHelp) => return Ok(Parsed::Print(help::short(&command()))),
        Some(Ask::LongHelp) => return Ok(Parsed::Print(help::long(&command(), commands))),
        Some(Ask::Version) => return Ok(Parsed::Print(help::version())),
        None => {}
    }
    if let Some(error) = line.error.take() {
        return Err(error);
    }
    if !defaults.has_no_options() {
        let own = classic::read(defaults.options(), commands);
        let asks = own
            .ask
            .map(|_| UsageError::new("help and the version are no default switches"));
        if let Some(error) = own.error.or(asks) {
            return Err(UsageError::new(format!(
                "default switches (--no-defaults leaves them out): {}",
                plain_error(&error)
            )));
        }
        line.tokens = defaults::merged(own.tokens, line.tokens);
    }
    let raw = match raw::RawArgs::without_clap(&line.tokens) {
        Some(raw) => raw,
        None => raw::RawArgs::through_clap(&line.tokens, line.command.take().unwrap_or_else(command))?,
    };
    if raw.columns == Some(shape::ColumnList::Help) {
        return Ok(Parsed::Print(shape::column_help::<Sockets>()));
    }
    meaning::plan(&raw).map(|plan| Parsed::Run(Box::new(plan)))
}

/// Handles `netstat help [COMMAND]`.
fn help_of(name: Option<&OsStr>, commands: &'static [Command]) -> Result<Parsed, UsageError> {
    let Some(name) = name else {
        return Ok(Parsed::Print(help::long(&command(), commands)));
    };
    let Some(command) = find(commands, name) else {
        let near = name
            .to_str()
            .and_then(|word| similar::nearest(word, commands.iter().map(|command| command.name)));
        let hint = near.map_or_else(
            || " (netstat --help)".to_owned(),
            |name| format!("; did you mean netstat help {name}?"),
        );
        return Err(UsageError::new(format!(
            "unknown command {}{hint}",
            error::quoted(name)
        )));
    };
    match commands::read(command, std::iter::once(OsString::from("--help")))? {
        Typed::Help(text) => Ok(Parsed::Print(text)),
        Typed::Matches(matches) => Ok(Parsed::Command(command, Box::new(matches))),
    }
}

/// Returns the definition of the whole program: the switches, and `commands` as subcommands.
pub fn with_commands(commands: &[Command]) -> clap::Command {
    command().subcommands(commands.iter().map(|command| (command.definition)()))
}
