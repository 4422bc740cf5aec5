//! What matters now, and a log of what appeared: listeners and findings of the audit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::Protocol;
use netstat_model::metrics::ProcessKey;
use netstat_model::text::escape_str;

use crate::companion::{Finding, Severity};
use crate::model::Model;
use crate::sample::{Holder, SocketRow};

/// The most entries kept in the log.
const LONGEST_LOG: usize = 1000;
/// A UDP socket with a port from here on is most likely a client's (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;
/// From this share of repeated segments on, a connection counts as retransmitting.
const LOSSY: f32 = 0.01;

/// What an entry of the log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogKind {
    /// A socket began to listen.
    Listener,
    /// A socket stopped listening.
    ListenerGone,
    /// The audit found something.
    Finding(Severity),
}

impl LogKind {
    /// The word for it, which `--exec` passes on.
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
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub(crate) wall: u64,
    /// What it is about.
    pub(crate) kind: LogKind,
    /// One line, safe for the terminal.
    pub(crate) text: String,
}

type ListenerKey = (Protocol, IpAddr, u16);

/// Watches for what matters.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    listeners: HashMap<ListenerKey, Arc<str>>,
    started: bool,
    findings: HashSet<(Option<ProcessKey>, String)>,
    examined: bool,
    log: VecDeque<LogEntry>,
    /// Entries to raise an alarm for.
    alerts: Vec<LogEntry>,
    /// Listeners that appeared since the log was last opened.
    new_listeners: usize,
    retransmitting: usize,
    wall: u64,
}

/// Whether a socket waits for others to speak to it.
fn serves(row: &SocketRow) -> bool {
    row.listens() && (row.protocol != Protocol::Udp || row.local.port < EPHEMERAL)
}

impl Attention {
    /// Takes in a model.
    pub(crate) fn model(&mut self, model: &Model) {
        self.wall = model.wall;
        let flows = model.sockets.open_flows.iter();
        self.retransmitting = flows
            .filter(|flow| flow.loss.known().is_some_and(|share| share >= LOSSY))
            .count();
        let mut now: HashMap<ListenerKey, Arc<str>> = HashMap::new();
        for row in model.sockets.open.iter().filter(|row| serves(row)) {
            let key = (row.protocol, row.local.address, row.local.port);
            // Who holds it is found with the next refresh.
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

    /// Takes in the findings of an audit; `name` gives the name and the id of a process.
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
                // What was there from the start is no news.
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

    /// The entries, the oldest first.
    pub(crate) fn log(&self) -> impl DoubleEndedIterator<Item = &LogEntry> {
        self.log.iter()
    }

    /// The entries that appeared since this was called last and deserve an alarm.
    pub(crate) fn take_alerts(&mut self) -> Vec<LogEntry> {
        std::mem::take(&mut self.alerts)
    }

    /// The log was opened: what is in it is no longer new.
    pub(crate) fn acknowledge(&mut self) {
        self.new_listeners = 0;
    }

    /// How many listeners appeared since the log was last opened.
    pub(crate) fn new_listeners(&self) -> usize {
        self.new_listeners
    }

    /// How many connections had to repeat one percent of their segments or more in the last minute.
    pub(crate) fn retransmitting(&self) -> usize {
        self.retransmitting
    }
}

fn address((protocol, address, port): &ListenerKey) -> String {
    let socket = std::net::SocketAddr::new(*address, *port);
    format!("{socket} ({})", protocol.name())
}
