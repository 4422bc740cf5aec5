//! Help from the rest of the program: the card of a process or socket, and the findings of the audit. The monitor knows neither how they
//! are found nor how they look; both are asked for in a thread of their own, for they may take a while.

use std::collections::HashMap;

use netstat_model::metrics::ProcessKey;

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
    Low,
    /// Deserves a look.
    Medium,
    /// Legitimate programs rarely do this.
    High,
    /// Almost always malicious.
    Critical,
}

impl Severity {
    /// Every severity, the worst first.
    pub const ALL: [Severity; 4] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low];

    /// The word for it, as the audit prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
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
    /// Why there is nothing to show, in one line.
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
/// much as there are processes, however many connections they have. The rules that are
/// run beside a screen ask whether a process has connections, and from which one a shell reads.
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

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Endpoint, Fact, NoOwner, Protocol, State, Why};

    fn row(id: u64, pid: u32, state: State) -> SocketRow {
        let end = Endpoint {
            address: [127, 0, 0, 1].into(),
            port: 80,
            scope: 0,
        };
        SocketRow {
            id,
            cookie: true,
            protocol: Protocol::Tcp,
            state,
            local: end,
            foreign: end,
            user: Fact::Known(0),
            holder: match pid {
                0 => Holder::None(NoOwner::TimeWait),
                pid => Holder::Process(ProcessKey { pid, start_ticks: 1 }),
            },
            others: 0,
            receive_queue: 0,
            send_queue: Fact::Known(0),
            bytes: Fact::Unknown(Why::NotAsked),
            rtt: Fact::Unknown(Why::NotAsked),
            segments: Fact::Unknown(Why::NotAsked),
            inode: 1,
            by_process: false,
        }
    }

    #[test]
    fn what_is_examined_grows_with_processes_and_not_with_connections() {
        let mut rows = Vec::new();
        for pid in 1..=10u32 {
            rows.extend((0..5000).map(|id| row(id, pid, State::Established)));
            rows.extend((0..30).map(|id| row(id, pid, State::Listening)));
        }
        rows.extend((0..5000).map(|id| row(id, 0, State::TimeWait)));
        let subjects = subjects(&rows);
        let of = |pid: u32, state: State| {
            let is = |row: &&SocketRow| row.state == state && row.process().map(|key| key.pid) == Some(pid);
            subjects.iter().filter(is).count()
        };
        for pid in 1..=10 {
            assert_eq!(of(pid, State::Established), usize::from(MOST_CONNECTIONS));
            assert_eq!(of(pid, State::Listening), 30);
        }
        assert_eq!(subjects.len(), 10 * (30 + usize::from(MOST_CONNECTIONS)));
    }
}
