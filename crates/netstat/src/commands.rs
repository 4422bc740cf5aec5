//! The commands that take words of their own: `netstat inspect ...`. Everything else on a command line is the classic list.

use std::ffi::{OsStr, OsString};

use clap::ArgMatches;

use crate::args::UsageError;
use crate::run::{Failure, Outcome, Surroundings};
use crate::{completions, inspect, man, monitor};

/// A command and how it is carried out.
#[derive(Clone, Copy)]
pub struct Command {
    /// The word it is called by, in lower case.
    pub name: &'static str,
    /// Its words, made when needed: completions, manual pages and the help come from it. Its name is [`Command::name`].
    pub definition: fn() -> clap::Command,
    /// Carries it out.
    ///
    /// # Errors
    /// See [`Failure`].
    pub run: fn(&ArgMatches, &mut Surroundings<'_>) -> Result<Outcome, Failure>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Every command, in the order of the help.
pub static COMMANDS: &[Command] = &[
    Command {
        name: "inspect",
        definition: inspect::definition,
        run: inspect::run,
    },
    crate::audit::COMMAND,
    Command {
        name: "monitor",
        definition: monitor::definition,
        run: monitor::run,
    },
    Command {
        name: "record",
        definition: crate::record::definition,
        run: crate::record::run,
    },
    Command {
        name: "history",
        definition: crate::history::definition,
        run: crate::history::run,
    },
    Command {
        name: "schema",
        definition: crate::json::schema::definition,
        run: crate::json::schema::run,
    },
    Command {
        name: "man",
        definition: man::definition,
        run: man::run,
    },
    Command {
        name: "completions",
        definition: completions::definition,
        run: completions::run,
    },
];

/// The command called `word`, in any case of letter.
pub fn find(word: &OsStr) -> Option<&'static Command> {
    let word = word.to_str()?;
    COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(word))
}

/// The whole program, all commands under the classic switches: what completions and manual pages are made from.
pub fn program() -> clap::Command {
    crate::args::command().subcommands(COMMANDS.iter().map(|command| (command.definition)()))
}

/// What the words after a command ask for.
pub(crate) enum Typed {
    /// To carry it out.
    Matches(ArgMatches),
    /// To print this, its help.
    Help(String),
}

/// Reads the words after `command`'s name.
///
/// # Errors
/// The first wrong word, in one line.
pub(crate) fn read(command: &Command, words: impl Iterator<Item = OsString>) -> Result<Typed, UsageError> {
    let definition = (command.definition)()
        .bin_name(format!("netstat {}", command.name))
        .no_binary_name(true)
        .max_term_width(100);
    match definition.try_get_matches_from(words) {
        Ok(matches) => Ok(Typed::Matches(matches)),
        Err(error) if error.exit_code() == 0 => Ok(Typed::Help(error.render().to_string())),
        Err(error) => Err(UsageError::of_command(command.name, &error)),
    }
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
