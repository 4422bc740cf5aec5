//! Commands with arguments of their own, such as `netstat inspect ...`.

use clap::ArgMatches;

use super::{Context, Failure, Outcome};

/// A command, and the function that runs it.
#[derive(Clone, Copy)]
pub struct Command {
    /// The name of the command, in lower case.
    pub name: &'static str,
    /// Builds the definition of its arguments when needed, for parsing, help, completions and manual pages. The
    /// definition has the same name as [`Command::name`].
    pub definition: fn() -> clap::Command,
    /// Runs the command.
    ///
    /// # Errors
    /// See [`Failure`].
    pub run: fn(&ArgMatches, &mut Context<'_>) -> Result<Outcome, Failure>,
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

/// Returns the command called `word`, ignoring case; `None` if there is none.
pub fn find(commands: &'static [Command], word: &std::ffi::OsStr) -> Option<&'static Command> {
    let word = word.to_str()?;
    commands.iter().find(|command| command.name.eq_ignore_ascii_case(word))
}
