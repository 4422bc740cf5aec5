//! What a command gets from outside, how it ends, and what it says on stderr.
//!
//! The bottom of the program: everything else may use it, and it uses nothing of the program.

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

/// Everything a run needs from outside, so that a whole command can be tested without a real system.
pub struct Context<'a> {
    /// Who is asked.
    pub system: &'a mut dyn System,
    /// Where data goes: stdout.
    pub out: &'a mut dyn Write,
    /// Where diagnostics goes: stderr.
    pub err: &'a mut dyn Write,
    /// Whether `err` is a terminal, so that progress may be shown on it.
    pub terminal: bool,
    /// What stdout is.
    pub screen: Screen,
    /// The time of day.
    pub now: &'a mut dyn FnMut() -> SystemTime,
    /// Waits until the given moment; called between two prints.
    pub wait_until: &'a mut dyn FnMut(Instant),
}

/// What stdout is, as far as the layout depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Whether it is a terminal that takes colours: no `TERM=dumb`.
    pub terminal: bool,
    /// Its width in columns; `None` where it is no terminal, or one that does not report it.
    pub width: Option<u16>,
    /// Whether the environment forbids colours: `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
}

impl Screen {
    /// This process's stdout and environment. `colours` is what the console itself says of them; without, the variable `TERM` does.
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
    /// All that was asked for has been printed, as far as the system reports it.
    Printed,
    /// A part that was asked for could not be read in any way; the rest has been printed.
    Incomplete,
    /// A command's own exit status, as its help explains it.
    Status(u8),
}

/// Why a run could not be carried out.
#[derive(Debug)]
pub enum Failure {
    /// The output could not be written.
    Output(io::Error),
    /// The command line names something that this system does not have; one line.
    Usage(String),
    /// The system refused what was insisted on; one line.
    Refused(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// The digests of files that were read before, where `system`'s files are those of this machine.
pub(crate) fn digests(system: &dyn System) -> Cache {
    match Cache::directory().filter(|_| system.has_files()) {
        Some(directory) => Cache::open(directory),
        None => Cache::in_memory(),
    }
}

/// The path of this program's file, for commands that are shown to the user; its plain name where `system` is not this machine.
pub(crate) fn program_path_for(system: &dyn System) -> String {
    match system.has_files() {
        true => program_path(),
        false => "netstat".to_owned(),
    }
}

/// The path of this program's file, for commands that are shown to the user: another `netstat` may come first in `PATH`.
pub(crate) fn program_path() -> String {
    match std::env::current_exe() {
        Ok(path) => path.display().to_string(),
        Err(_) => "netstat".to_owned(),
    }
}
