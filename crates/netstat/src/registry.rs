//! The list of commands, and the parser that knows them all.

use std::ffi::OsString;
use std::path::PathBuf;

use netstat_os::Replay;

use crate::args::{self, Defaults, Parsed, UsageError};
use crate::commands::{audit, completions, doctor, history, inspect, man, monitor, record, schema, snapshot};
use crate::context::Command;

/// Every command, in the order of the help.
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

/// Whether `parsed` asks the running system, so that capabilities of the program's file are of use. Else they are given up before any file is opened.
pub fn needs_privileges(parsed: &Parsed) -> bool {
    match parsed {
        Parsed::Print(_) => false,
        Parsed::Run(plan) => plan.replay.is_none(),
        Parsed::Command(command, _) => {
            replay_path(parsed).is_none() && !["history", "schema", "man", "completions"].contains(&command.name)
        }
    }
}

/// The file that `--replay` names.
fn replay_path(parsed: &Parsed) -> Option<&PathBuf> {
    match parsed {
        Parsed::Run(plan) => plan.replay.as_ref(),
        Parsed::Command(_, matches) => matches.try_get_one::<PathBuf>("snapshot").ok().flatten(),
        Parsed::Print(_) => None,
    }
}

/// The computer that `parsed` is to be answered from, where that is a snapshot: `--replay`.
///
/// # Errors
/// One sentence, when the file cannot be read or is no snapshot.
pub fn replay(parsed: &Parsed) -> Result<Option<Replay>, String> {
    replay_path(parsed).map(|path| snapshot::load(path)).transpose()
}

/// The whole program, all commands under the classic switches: what completions and manual pages are made from.
pub fn program() -> clap::Command {
    args::with_commands(COMMANDS)
}

/// Reads a command line, `words` without the program's own name; see [`args::parse`].
///
/// # Errors
/// The first wrong word, in one line.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, UsageError> {
    args::parse(words, COMMANDS)
}

/// The same for a person: with the default switches and aliases of the user where stdout is a `terminal`, or the line asks for them.
///
/// # Errors
/// As [`parse`], and what is wrong with the defaults.
pub fn parse_for_user(words: Vec<OsString>, terminal: bool) -> Result<Parsed, UsageError> {
    let defaults = Defaults::of_user(&words, terminal)?;
    args::parse_with(words, COMMANDS, &defaults)
}

#[cfg(test)]
mod tests {
    use super::*;

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
