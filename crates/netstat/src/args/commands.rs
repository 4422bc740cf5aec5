//! Parses the arguments that follow the name of a command.

use std::ffi::OsString;

use clap::ArgMatches;

use super::UsageError;
use crate::context::Command;

/// What the arguments of a command ask for.
pub(crate) enum Typed {
    /// To run the command with these arguments.
    Matches(ArgMatches),
    /// To print this help text.
    Help(String),
}

/// Parses the arguments that follow the name of `command`.
///
/// # Errors
/// Returns the first wrong argument, as one line.
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
