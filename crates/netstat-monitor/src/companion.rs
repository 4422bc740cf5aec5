//! Help from the rest of the program: the card of a process or socket, and the findings of the audit. The monitor knows neither how they
//! are found nor how they look; both are asked for in a thread of their own, for they may take a while.

use netstat_model::figures::ProcessKey;

use crate::sample::SocketRow;

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A process.
    Process(ProcessKey),
    /// A socket.
    Socket(Box<SocketRow>),
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// To be looked at.
    Warning,
    /// Bad.
    Alarm,
}

/// Something suspicious.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The process it is about, where it is about one.
    pub process: Option<ProcessKey>,
    /// The kernel's cookie of the socket it is about, where it is about one.
    pub socket: Option<u64>,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// Further lines.
    pub text: Vec<String>,
}

/// Who answers. Lines may hold anything: they are made safe before they are shown.
pub trait Companion: Send {
    /// Everything about `target`: a title and lines.
    ///
    /// # Errors
    /// Why there is nothing to tell, in one line.
    fn inspect(&mut self, target: &Target) -> Result<(String, Vec<String>), String>;

    /// Everything suspicious.
    ///
    /// # Errors
    /// Why it could not be looked for, in one line.
    fn audit(&mut self) -> Result<Vec<Finding>, String>;
}
