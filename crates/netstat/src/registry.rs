//! The list of all commands, and the parser that knows them.

use std::ffi::OsString;
use std::path::PathBuf;

use netstat_os::Replay;

use crate::args::{self, Defaults, Parsed, UsageError};
use crate::commands::{audit, completions, doctor, history, inspect, man, monitor, record, schema, snapshot};
use crate::context::{Command, Context, Failure, Outcome};

/// All commands, in the order of the help.
pub static COMMANDS: &[Command] = &[
    Command {
        name: "inspect",
        definition: inspect::definition,
        run: inspect::run,
    },
    audit::COMMAND,
    Command {
        name: "monitor",
        definition: monitor::definition,
        run: monitor::run,
    },
    Command {
        name: "record",
        definition: record::definition,
        run: record::run,
    },
    Command {
        name: "history",
        definition: history::definition,
        run: history::run,
    },
    #[cfg(feature = "fleet")]
    Command {
        name: "fleet",
        definition: crate::commands::fleet::definition,
        run: crate::commands::fleet::run,
    },
    #[cfg(feature = "serve")]
    Command {
        name: "serve",
        definition: crate::commands::serve::definition,
        run: crate::commands::serve::run,
    },
    Command {
        name: "doctor",
        definition: doctor::definition,
        run: doctor::run,
    },
    Command {
        name: "snapshot",
        definition: snapshot::definition,
        run: snapshot::run,
    },
    Command {
        name: "schema",
        definition: schema::definition,
        run: schema::run,
    },
    Command {
        name: "man",
        definition: || man::definition(COMMANDS),
        run: |matches, context| man::run(matches, context, COMMANDS),
    },
    Command {
        name: "completions",
        definition: completions::definition,
        run: |matches, context| completions::run(matches, context, COMMANDS),
    },
];

/// Whether `parsed` queries the running system, so that the capabilities of the program's file are useful. Otherwise
/// they are dropped before any file is opened.
pub fn needs_privileges(parsed: &Parsed) -> bool {
    match parsed {
        Parsed::Print(_) => false,
        Parsed::Run(plan) => plan.replay.is_none(),
        Parsed::Command(command, _) => {
            replay_path(parsed).is_none() && !["history", "schema", "man", "completions"].contains(&command.name)
        }
    }
}

/// Returns the file that `--replay` names.
fn replay_path(parsed: &Parsed) -> Option<&PathBuf> {
    match parsed {
        Parsed::Run(plan) => plan.replay.as_ref(),
        Parsed::Command(_, matches) => matches.try_get_one::<PathBuf>("snapshot").ok().flatten(),
        Parsed::Print(_) => None,
    }
}

/// Loads the snapshot that answers in place of this computer; `None` without `--replay`.
///
/// # Errors
/// Returns one sentence if the file cannot be read or is not a snapshot.
pub fn replay(parsed: &Parsed) -> Result<Option<Replay>, String> {
    replay_path(parsed).map(|path| snapshot::load(path)).transpose()
}

/// Runs a command.
///
/// # Errors
/// Returns the error of the command, or an error if a configuration named on the command line cannot be used, even if
/// the answer does not need it.
pub fn carry_out(command: &Command, matches: &clap::ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    #[cfg(feature = "fleet")]
    if let Ok(Some(path)) = matches.try_get_one::<PathBuf>("fleet_config") {
        args::store::named_config(path)?;
    }
    (command.run)(matches, context)
}

/// Returns the definition of the whole program, with all commands, from which completions and manual pages are
/// generated.
pub fn program() -> clap::Command {
    args::with_commands(COMMANDS)
}

/// Parses a command line, given as `words` without the name of the program; see [`args::parse`].
///
/// # Errors
/// Returns the first wrong word, as one line.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, UsageError> {
    args::parse(words, COMMANDS)
}

/// Parses a command line with the user's default switches and aliases, if stdout is a `terminal` or the command line
/// asks for them.
///
/// # Errors
/// Returns the errors of [`parse`], and what is wrong with the defaults.
pub fn parse_for_user(words: Vec<OsString>, terminal: bool) -> Result<Parsed, UsageError> {
    let defaults = Defaults::of_user(&words, terminal)?;
    args::parse_with(words, COMMANDS, &defaults)
}

/// Answers one of the shells, for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) fn fuzz_completions(shell: u8, words: Vec<OsString>, place: usize) -> String {
    crate::commands::completions::fuzz(shell, words, place, COMMANDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Completion and the tests of named files recognize paths by these names.
    #[test]
    fn definitions_values_that_are_paths_are_called_so() {
        let path = clap::value_parser!(PathBuf).type_id();
        let listing = args::with_commands(&[]);
        for command in COMMANDS.iter().map(|command| (command.definition)()).chain([listing]) {
            for arg in command
                .get_arguments()
                .filter(|arg| arg.get_value_parser().type_id() == path)
            {
                let name = arg.get_value_names().and_then(|names| names.first()).unwrap();
                let known = ["FILE", "PATH", "FOLDER", "PROGRAM"]
                    .iter()
                    .any(|known| name.starts_with(known));
                assert!(known, "{} --{}: {name}", command.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn every_command_is_defined_under_its_name_and_soundly() {
        for command in COMMANDS {
            let definition = (command.definition)();
            assert_eq!(definition.get_name(), command.name);
            assert!(definition.get_about().is_some(), "{command:?}");
            definition.debug_assert();
        }
    }
}
