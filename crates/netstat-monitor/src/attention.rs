//! What needs attention now, and a log of new listeners and findings of the audit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::Protocol;
use netstat_model::metrics::ProcessKey;
use netstat_model::text::escape_str;

use crate::companion::{Finding, Severity};
use crate::model::Model;
use crate::sample::{Holder, SocketRow};

/// The maximum number of entries in the log.
const LONGEST_LOG: usize = 1000;
/// A UDP socket with a port from this one on most likely belongs to a client (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;
/// The share of retransmitted segments from which a connection counts as retransmitting.
const LOSSY: f32 = 0.01;

/// The kind of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogKind {
    /// A socket began to listen.
    Listener,
    /// A socket stopped listening.
    ListenerGone,
    /// A finding of the audit, with its severity.
    Finding(Severity),
}

impl LogKind {
    /// Returns the name of the kind, which is passed to `--exec`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            LogKind::Listener => "listener",
            LogKind::ListenerGone => "listener-gone",
            LogKind::Finding(_) => "finding",
        }
    }
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogEntry {
    /// Milliseconds since the Unix epoch (UTC).
    pub(crate) wall: u64,
    /// The kind of the entry.
    pub(crate) kind: LogKind,
    /// One line, safe to print.
    pub(crate) text: String,
}

type ListenerKey = (Protocol, IpAddr, u16);

/// Detects what needs attention.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    listeners: HashMap<ListenerKey, Arc<str>>,
    started: bool,
    findings: HashSet<(Option<ProcessKey>, String)>,
    examined: bool,
    log: VecDeque<LogEntry>,
    /// Entries that need an alert.
    alerts: Vec<LogEntry>,
    /// The number of listeners that appeared since the log was last opened.
    new_listeners: usize,
    retransmitting: usize,
    wall: u64,
}

/// Whether a socket is most likely that of a server.
fn serves(row: &SocketRow) -> bool {
    row.listens() && (row.protocol != Protocol::Udp || row.local.port < EPHEMERAL)
}

impl Attention {
    /// Receives a model.
    pub(crate) fn model(&mut self, model: &Model) {
        self.wall = model.wall;
        let flows = model.sockets.open_flows.iter();
        self.retransmitting = flows
            .filter(|flow| flow.loss.known().is_some_and(|share| share >= LOSSY))
            .count();
        let mut now: HashMap<ListenerKey, Arc<str>> = HashMap::new();
        for row in model.sockets.open.iter().filter(|row| serves(row)) {
            let key = (row.protocol, row.local.address, row.local.port);
            // The holder will be known at the next refresh.
            if row.holder == Holder::Pending && !self.listeners.contains_key(&key) {
                continue;
            }
            let name = || {
                let process = row.process().and_then(|key| model.process(key));
                process.map_or_else(
                    || "unknown program".into(),
                    |process| format!("{} ({})", process.text.name, process.key.pid).into(),
                )
            };
            let name = self.listeners.get(&key).cloned().unwrap_or_else(name);
            now.insert(key, name);
        }
        if std::mem::replace(&mut self.started, true) {
            let mut appeared: Vec<_> = now
                .iter()
                .filter(|(key, _)| !self.listeners.contains_key(key))
                .collect();
            appeared.sort();
            let mut gone: Vec<_> = self
                .listeners
                .iter()
                .filter(|(key, _)| !now.contains_key(key))
                .collect();
            gone.sort();
            let entries: Vec<(LogKind, String)> = appeared
                .into_iter()
                .map(|(key, name)| (LogKind::Listener, format!("{name} listens on {}", address(key))))
                .chain(gone.into_iter().map(|(key, name)| {
                    (
                        LogKind::ListenerGone,
                        format!("{name} no longer listens on {}", address(key)),
                    )
                }))
                .collect();
            for (kind, text) in entries {
                self.new_listeners += usize::from(kind == LogKind::Listener);
                self.push(kind, text, kind == LogKind::Listener);
            }
        }
        self.listeners = now;
    }

    /// Receives the findings of an audit; `name` returns the name and id of a process.
    pub(crate) fn findings(&mut self, findings: &[Finding], name: &dyn Fn(ProcessKey) -> String) {
        let first = !std::mem::replace(&mut self.examined, true);
        let mut now = HashSet::new();
        for finding in findings {
            let key = (finding.process, finding.title.clone());
            if !self.findings.contains(&key) && !now.contains(&key) {
                let who = finding
                    .process
                    .map_or_else(String::new, |key| format!("{}: ", name(key)));
                let text = format!("{}: {who}{}", finding.severity.name(), escape_str(&finding.title));
                // Findings that existed from the start are not new.
                self.push(
                    LogKind::Finding(finding.severity),
                    text,
                    !first && finding.severity >= Severity::Medium,
                );
            }
            now.insert(key);
        }
        self.findings = now;
    }

    fn push(&mut self, kind: LogKind, text: String, alert: bool) {
        let entry = LogEntry {
            wall: self.wall,
            kind,
            text,
        };
        if alert {
            self.alerts.push(entry.clone());
        }
        if self.log.len() >= LONGEST_LOG {
            self.log.pop_front();
        }
        self.log.push_back(entry);
    }

    /// Returns the entries, the oldest first.
    pub(crate) fn log(&self) -> impl DoubleEndedIterator<Item = &LogEntry> {
        self.log.iter()
    }

    /// Returns the entries that need an alert and were added since the last call.
    pub(crate) fn take_alerts(&mut self) -> Vec<LogEntry> {
        std::mem::take(&mut self.alerts)
    }

    /// Marks the content of the log as seen, because it was opened.
    pub(crate) fn acknowledge(&mut self) {
        self.new_listeners = 0;
    }

    /// Returns the number of listeners that appeared since the log was last opened.
    pub(crate) fn new_listeners(&self) -> usize {
        self.new_listeners
    }

    /// Returns the number of connections that retransmitted at least one percent of their segments in the last minute.
    pub(crate) fn retransmitting(&self) -> usize {
        self.retransmitting
    }
}

fn address((protocol, address, port): &ListenerKey) -> String {
    let socket = std::net::SocketAddr::new(*address, *port);
    format!("{socket} ({})", protocol.name())
}
