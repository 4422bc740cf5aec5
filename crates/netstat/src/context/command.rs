//! A command that takes arguments of its own: `netstat inspect ...`.

use clap::ArgMatches;

use super::{Context, Failure, Outcome};

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

/// The command called `word`, in any case of letter.
pub fn find(commands: &'static [Command], word: &std::ffi::OsStr) -> Option<&'static Command> {
    let word = word.to_str()?;
    commands.iter().find(|command| command.name.eq_ignore_ascii_case(word))
}
