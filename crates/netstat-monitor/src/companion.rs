//! Help from the rest of the program: the card of a process or socket, and the findings of the audit. The monitor knows neither how they
//! are found nor how they look; both are asked for in a thread of their own, for they may take a while.

use std::collections::HashMap;

use netstat_model::figures::ProcessKey;

use crate::sample::{Holder, SocketRow};

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

    /// Everything suspicious about the processes that hold `sockets`. Those that were examined before are examined anew only with
    /// `anew`.
    ///
    /// # Errors
    /// Why it could not be looked for, in one line.
    fn audit(&mut self, sockets: Vec<SocketRow>, anew: bool) -> Result<Vec<Finding>, String>;
}

/// So many connections of one process are examined.
pub const MOST_CONNECTIONS: u16 = 16;

/// What is examined of many sockets: what listens or speaks UDP, and some connections of each process, so that an examination costs as
/// much as there are processes, however many connections they have. No rule looks at more of them than at one.
pub fn subjects(sockets: &[SocketRow]) -> Vec<SocketRow> {
    let mut connections: HashMap<ProcessKey, u16> = HashMap::new();
    let wanted = |row: &&SocketRow| match row.process() {
        Some(key) if row.is_live_connection() => {
            let count = connections.entry(key).or_default();
            *count = count.saturating_add(1);
            *count <= MOST_CONNECTIONS
        }
        // That nobody visible holds it may be just because it is new.
        Some(_) => true,
        None => row.holder == Holder::Pending && row.listens(),
    };
    sockets.iter().filter(wanted).cloned().collect()
}
