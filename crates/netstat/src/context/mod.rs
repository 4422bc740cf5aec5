//! The environment of a command, its results, and its diagnostics.
//!
//! This is the lowest layer of the program: every other module may use it, and it uses none of them.

mod clock;
mod command;
mod diagnostics;
pub(crate) mod human;
pub(crate) mod names;
mod process_resolver;
mod progress;
pub(crate) mod signals;

use std::io::{self, IsTerminal, Write};
use std::time::{Instant, SystemTime};

use netstat_os::System;
use netstat_packages::digest::Cache;

pub(crate) use clock::{ContextClock, SystemClock};
pub use command::{Command, find};
pub(crate) use diagnostics::Diagnostics;
pub(crate) use process_resolver::ProcessResolver;
pub(crate) use progress::Progress;

/// Everything that a run needs from outside, so that tests can run a whole command without a real system.
pub struct Context<'a> {
    /// The system that is queried.
    pub system: &'a mut dyn System,
    /// The output: stdout.
    pub out: &'a mut dyn Write,
    /// The diagnostics: stderr.
    pub err: &'a mut dyn Write,
    /// Whether `err` is a terminal, so that progress can be shown on it.
    pub terminal: bool,
    /// The properties of stdout.
    pub screen: Screen,
    /// Returns the current time.
    pub now: &'a mut dyn FnMut() -> SystemTime,
    /// Waits until the given moment, between two prints.
    pub wait_until: &'a mut dyn FnMut(Instant),
}

/// The properties of stdout that affect the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Whether stdout is a terminal that supports colours, that is, `TERM` is not `dumb`.
    pub terminal: bool,
    /// The width in columns; `None` if stdout is not a terminal, or the terminal does not report its width.
    pub width: Option<u16>,
    /// Whether the environment disables colours: `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
}

impl Screen {
    /// Returns the properties of this process's stdout and environment. `colours` is what the console itself reports
    /// about colours; if it is `None`, `TERM` decides.
    pub fn of_stdout(colours: Option<bool>) -> Screen {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_terminal = io::stdout().is_terminal();
        Screen {
            terminal: is_terminal
                && match (colours, set("TERM")) {
                    (_, Some(term)) if term == "dumb" => false,
                    (Some(colours), _) => colours,
                    (None, term) => term.is_some(),
                },
            width: netstat_os::terminal_width().filter(|_| is_terminal),
            no_color: set("NO_COLOR").is_some(),
        }
    }
}

/// How a run ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was asked for has been printed, as far as the system reports it.
    Printed,
    /// A requested part could not be read at all; the rest has been printed.
    Incomplete,
    /// An exit status specific to the command, as documented in its help.
    Status(u8),
}

/// Why a run could not be carried out.
#[derive(Debug)]
pub enum Failure {
    /// The output could not be written.
    Output(io::Error),
    /// The command line names something that does not exist on this system; one line.
    Usage(String),
    /// The system refused something that was required; one line.
    Refused(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Opens the cache of file digests; it is kept in memory only if the files of `system` are not those of this computer.
pub(crate) fn digests(system: &dyn System) -> Cache {
    match Cache::directory().filter(|_| system.has_files()) {
        Some(directory) => Cache::open(directory),
        None => Cache::in_memory(),
    }
}

/// Returns the path of this program, for commands that are shown to the user; just its name if `system` is not this
/// computer.
pub(crate) fn program_path_for(system: &dyn System) -> String {
    match system.has_files() {
        true => program_path(),
        false => "netstat".to_owned(),
    }
}

/// Returns the path of this program, for commands that are shown to the user, because `PATH` may lead to another
/// `netstat`.
pub(crate) fn program_path() -> String {
    match std::env::current_exe() {
        Ok(path) => path.display().to_string(),
        Err(_) => "netstat".to_owned(),
    }
}
