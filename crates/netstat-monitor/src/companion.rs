//! The interface to the rest of the program for cards of processes and sockets, and findings of the audit. The monitor
//! does not know how they are produced. Both are requested in a separate thread, because they may take a while.

use std::collections::HashMap;

use netstat_model::metrics::ProcessKey;

use crate::sample::{Holder, SocketRow};

/// The subject of a card.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A process.
    Process(ProcessKey),
    /// A socket.
    Socket(Box<SocketRow>),
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Informative.
    Low,
    /// Deserves attention.
    Medium,
    /// Legitimate programs rarely do this.
    High,
    /// Almost always malicious.
    Critical,
}

impl Severity {
    /// All severities, in descending order.
    pub const ALL: [Severity; 4] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low];

    /// Returns the name of the severity, as the audit prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// A suspicious fact that the audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The process it is about; `None` if it is not about a process.
    pub process: Option<ProcessKey>,
    /// The kernel's cookie of the socket it is about; `None` if it is not about a socket.
    pub socket: Option<u64>,
    /// How severe the finding is.
    pub severity: Severity,
    /// The title: one line.
    pub title: String,
    /// The details: further lines.
    pub text: Vec<String>,
}

/// Provides cards and findings. Lines may contain anything; the monitor escapes them.
pub trait Companion: Send {
    /// Returns a title and lines with everything about `target`.
    ///
    /// # Errors
    /// Returns the reason why there is nothing to show, as one line.
    fn inspect(&mut self, target: &Target) -> Result<(String, Vec<String>), String>;

    /// Returns all findings about the processes that hold `sockets`. Processes that were examined before are examined
    /// again only if `anew`.
    ///
    /// # Errors
    /// Returns the reason why the audit failed, as one line.
    fn audit(&mut self, sockets: Vec<SocketRow>, anew: bool) -> Result<Vec<Finding>, String>;
}

/// The maximum number of connections of one process that are examined.
pub const MOST_CONNECTIONS: u16 = 16;

/// Selects the sockets to examine: listeners, UDP sockets, and some connections of each process. The cost of an
/// examination thus depends on the number of processes, regardless of how many connections they have. The rules that
/// run beside the monitor only ask whether a process has connections, and from which one a shell reads.
pub fn subjects(sockets: &[SocketRow]) -> Vec<SocketRow> {
    let mut connections: HashMap<ProcessKey, u16> = HashMap::new();
    let wanted = |row: &&SocketRow| match row.process() {
        Some(key) if row.is_live_connection() => {
            let count = connections.entry(key).or_default();
            *count = count.saturating_add(1);
            *count <= MOST_CONNECTIONS
        }
        // A socket without a visible holder may simply be new.
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
    fn subjects_grow_with_processes_and_not_with_connections() {
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
