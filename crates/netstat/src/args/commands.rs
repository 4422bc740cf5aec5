//! The arguments after a command's name.

use std::ffi::OsString;

use clap::ArgMatches;

use super::UsageError;
use crate::context::Command;

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
