//! Counts over all samples and builds the metric families.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use netstat_model::counters::ProtocolStatistics;
use netstat_model::metrics::ProcessKey;
use netstat_model::reach::{is_loopback, is_public};
use netstat_model::{Fact, Protocol, State};
use netstat_monitor::sample::{Ended, Sample, SocketRow};

use super::programs::{OTHER, Programs};
use super::{Family, Histogram, Kind, Value, kernel};

/// The bucket bounds of round-trip times in seconds: from within a data centre to a satellite link and beyond.
const ROUND_TRIPS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];
/// The bucket bounds of connection lifetimes in seconds: from a single request to a day.
const LIVES: &[f64] = &[
    0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0,
];
/// The maximum number of listeners with series of their own.
const MOST_LISTENERS: usize = 100;

/// Which side opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Incoming,
    Outgoing,
}

impl Direction {
    const ALL: [Direction; 2] = [Direction::Incoming, Direction::Outgoing];

    fn name(self) -> &'static str {
        match self {
            Direction::Incoming => "incoming",
            Direction::Outgoing => "outgoing",
        }
    }
}

/// The counts of a program.
#[derive(Debug, Default)]
struct Figures {
    connections: [u64; 2],
    flows: [u64; 2],
    sent: u64,
    received: u64,
    retransmitted: u64,
}

/// The result of the last audit, for the metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// The number of findings by severity.
    pub(crate) by_severity: BTreeMap<String, u64>,
}

/// The severities in an audit document.
const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];

impl Findings {
    /// Counts the findings in an audit document; `None` if the document has another form.
    pub(crate) fn read(document: &str) -> Option<Findings> {
        let document: serde_json::Value = serde_json::from_str(document).ok()?;
        let mut by_severity: BTreeMap<String, u64> = SEVERITIES.map(|name| (name.to_owned(), 0)).into();
        let acknowledged = |finding: &serde_json::Value| finding.get("acknowledged").is_some_and(|why| !why.is_null());
        for finding in document.get("findings")?.as_array()? {
            if acknowledged(finding) {
                continue;
            }
            if let Some(count) = by_severity.get_mut(finding.get("severity")?.as_str()?) {
                *count += 1;
            }
        }
        Some(Findings { by_severity })
    }
}

/// The data of a scrape that does not come from samples.
#[derive(Debug)]
pub(crate) struct Beside<'a> {
    /// The version of this program.
    pub(crate) version: &'a str,
    /// When this program started, in seconds since 1970.
    pub(crate) started: f64,
    /// The counters of the kernel.
    pub(crate) statistics: &'a ProtocolStatistics,
    /// The first and last ephemeral port; `None` if the system does not report them.
    pub(crate) ephemeral: Option<(u16, u16)>,
    /// The result of the last audit; `None` before the first audit has ended.
    pub(crate) findings: Option<&'a Findings>,
    /// How long the last sample took.
    pub(crate) took: Duration,
}

/// Counts over all samples, which must be passed in order.
#[derive(Debug)]
pub(crate) struct Accumulator {
    programs: Programs<Figures>,
    round_trips: [Histogram; 2],
    lives: [Histogram; 2],
    listener_overflow: u64,
    lost: u64,
}

/// The program names of the processes in a sample.
struct Names<'a> {
    sample: &'a Sample,
    labels: HashMap<ProcessKey, Arc<str>>,
    unknown: Option<Arc<str>>,
}

impl<'a> Names<'a> {
    fn of(sample: &'a Sample) -> Self {
        Names {
            sample,
            labels: HashMap::new(),
            unknown: None,
        }
    }

    fn name(&self, key: ProcessKey) -> Option<&'a [u8]> {
        let processes = self.sample.figures.processes.as_ref().known()?;
        let place = processes.binary_search_by_key(&key, |process| process.key).ok()?;
        processes.get(place).map(|process| process.identity.name())
    }

    fn label(&mut self, key: Option<ProcessKey>, programs: &mut Programs<Figures>, now: Duration) -> Arc<str> {
        match key {
            Some(key) => {
                if let Some(label) = self.labels.get(&key) {
                    return Arc::clone(label);
                }
                let label = programs.label(self.name(key), now);
                self.labels.insert(key, Arc::clone(&label));
                label
            }
            None => Arc::clone(self.unknown.get_or_insert_with(|| programs.label(None, now))),
        }
    }
}

impl Accumulator {
    /// Creates an accumulator in which at most `programs` programs have series of their own.
    pub(crate) fn new(programs: usize) -> Self {
        Accumulator {
            programs: Programs::new(programs),
            round_trips: Direction::ALL.map(|_| Histogram::new(ROUND_TRIPS)),
            lives: Direction::ALL.map(|_| Histogram::new(LIVES)),
            listener_overflow: 0,
            lost: 0,
        }
    }

    /// Counts what happened between the samples `old` and `new`.
    pub(crate) fn take(&mut self, old: Option<&Sample>, new: &Sample) {
        let now = new.figures.at;
        let mut names = Names::of(new);
        let listening = listening(new);
        self.programs.all().for_each(|figures| figures.connections = [0; 2]);
        for row in new.sockets.iter().filter(|row| row.is_live_connection()) {
            let label = names.label(row.process(), &mut self.programs, now);
            if let Some(figures) = self.programs.figures(&label) {
                figures.connections[direction(row, &listening) as usize] += 1;
            }
        }
        if let Some(old) = old.filter(|old| old.sockets_at != new.sockets_at) {
            self.compare(old, new, &mut names, &listening);
            self.pass(old, new, &mut names, &listening);
        }
        self.lost += new.passing.lost;
        self.programs.expire(now);
    }

    /// Counts the bytes and segments of open connections, and new connections.
    fn compare(&mut self, old: &Sample, new: &Sample, names: &mut Names<'_>, listening: &HashSet<u16>) {
        let now = new.figures.at;
        let told: HashSet<u64> = new.passing.ended.iter().map(|end| end.row.id).collect();
        let mut before = old.sockets.iter().peekable();
        for row in new.sockets.iter() {
            while let Some(gone) = before.next_if(|past| past.id < row.id) {
                self.closed(gone, &told, listening);
            }
            let past = before.next_if(|past| past.id == row.id);
            if past.is_none_or(|past| past.bytes != row.bytes || past.segments != row.segments) {
                let label = names.label(row.process(), &mut self.programs, now);
                if let Some(figures) = self.programs.figures(&label) {
                    figures.moved(past, row);
                }
            }
            if past.is_none() && row.is_live_connection() {
                let label = names.label(row.process(), &mut self.programs, now);
                if let Some(figures) = self.programs.figures(&label) {
                    figures.flows[direction(row, listening) as usize] += 1;
                }
            }
        }
        before.for_each(|gone| self.closed(gone, &told, listening));
    }

    fn closed(&mut self, row: &SocketRow, told: &HashSet<u64>, listening: &HashSet<u16>) {
        if row.is_live_connection() && !told.contains(&row.id) {
            self.round_trip(row, listening);
        }
    }

    fn round_trip(&mut self, row: &SocketRow, listening: &HashSet<u16>) {
        if let Fact::Known(micros) = row.rtt {
            self.round_trips[direction(row, listening) as usize].observe(f64::from(micros) / 1e6);
        }
    }

    /// Counts what only events show: short connections, lifetimes, and the last bytes of connections that closed.
    fn pass<'a>(&mut self, old: &'a Sample, new: &'a Sample, names: &mut Names<'a>, listening: &HashSet<u16>) {
        let now = new.figures.at;
        let mut past_names = Names::of(old);
        for end in &new.passing.ended {
            let row = &end.row;
            let way = direction(row, listening) as usize;
            let seen = find_row(old, row.id);
            if row.rtt.known().is_some() {
                self.round_trip(row, listening);
            } else if let Some(seen) = seen {
                self.round_trip(seen, listening);
            }
            if let Fact::Known(micros) = end.lived {
                self.lives[way].observe(micros as f64 / 1e6);
            }
            if end.short {
                let label = self.ended_label(end, names, &mut past_names, now);
                if let Some(figures) = self.programs.figures(&label) {
                    figures.flows[way] += 1;
                }
            }
        }
        for (key, bytes) in &new.passing.traffic {
            let names = if names.name(*key).is_some() {
                &mut *names
            } else {
                &mut past_names
            };
            let label = names.label(Some(*key), &mut self.programs, now);
            if let Some(figures) = self.programs.figures(&label) {
                figures.sent += bytes.sent;
                figures.received += bytes.received;
            }
        }
    }

    fn ended_label(&mut self, end: &Ended, new: &mut Names<'_>, old: &mut Names<'_>, now: Duration) -> Arc<str> {
        match (end.row.process(), &end.name) {
            (Some(key), _) if new.name(key).is_some() => new.label(Some(key), &mut self.programs, now),
            (Some(key), _) if old.name(key).is_some() => old.label(Some(key), &mut self.programs, now),
            (_, Some(name)) => self.programs.label(Some(name.as_bytes()), now),
            (_, None) => self.programs.label(None, now),
        }
    }

    /// Returns the families for `sample`, which must be the last sample counted.
    pub(crate) fn families(&mut self, sample: &Sample, beside: &Beside<'_>) -> Vec<Family> {
        let mut build = Family::new("netstat_build_info", Kind::Info, "The version that runs");
        build.push(&[("version", beside.version)], Value::Whole(1));
        let mut families = vec![
            build,
            Family::new(
                "netstat_up_since_timestamp_seconds",
                Kind::Gauge,
                "When this process started, in seconds since 1970",
            )
            .single(Value::Real(beside.started)),
        ];
        families.push(sockets(sample));
        families.push(listeners(sample));
        families.extend(self.queues(sample));
        families.extend(self.by_program());
        for (name, help, histograms) in [
            (
                "netstat_round_trip_seconds",
                "Smoothed round-trip time of TCP connections, as last measured before they ended",
                &self.round_trips,
            ),
            (
                "netstat_flow_duration_seconds",
                "How long TCP connections lived, where events tell it",
                &self.lives,
            ),
        ] {
            let mut family = Family::new(name, Kind::Histogram, help);
            for (direction, histogram) in Direction::ALL.iter().zip(histograms) {
                family.push(&[("direction", direction.name())], Value::Buckets(histogram.clone()));
            }
            families.push(family);
        }
        if let Some(range) = beside.ephemeral {
            families.push(ephemeral(sample, range));
        }
        if let Some(findings) = beside.findings {
            let mut family = Family::new(
                "netstat_audit_findings",
                Kind::Gauge,
                "Findings of the last audit by severity, without those that are acknowledged",
            );
            for (severity, count) in &findings.by_severity {
                family.push(&[("severity", severity)], Value::Whole(*count));
            }
            families.push(family);
        }
        families.push(
            Family::new(
                "netstat_lost_events",
                Kind::Counter,
                "Events of connections that the system lost, as far as they could be counted",
            )
            .single(Value::Whole(self.lost)),
        );
        families.extend(kernel::families(beside.statistics));
        families.push(
            Family::new(
                "netstat_sample_duration_seconds",
                Kind::Gauge,
                "How long the last sample of sockets and processes took",
            )
            .single(Value::Real(beside.took.as_secs_f64())),
        );
        let mut overflow = Family::new(
            "netstat_series_overflow",
            Kind::Counter,
            "How many times a program or listener found no series of its own and was counted as \"other\"",
        );
        overflow.push(&[("metric", "program")], Value::Whole(self.programs.overflow()));
        overflow.push(&[("metric", "listener")], Value::Whole(self.listener_overflow));
        families.push(overflow);
        let lines: usize = families.iter().map(Family::lines).sum();
        families.push(
            Family::new("netstat_series", Kind::Gauge, "How many series this process publishes")
                .single(Value::Whole(lines as u64 + 1)),
        );
        families
    }

    fn by_program(&self) -> Vec<Family> {
        let programs = self.programs.sorted();
        let mut connections = Family::new(
            "netstat_connections",
            Kind::Gauge,
            "TCP connections of each program, as the process that has held them longest",
        );
        let mut flows = Family::new("netstat_flows", Kind::Counter, "TCP connections that opened");
        for (name, figures) in &programs {
            for direction in Direction::ALL {
                let way = direction as usize;
                connections.push(
                    &[("program", name), ("direction", direction.name())],
                    Value::Whole(figures.connections[way]),
                );
                flows.push(
                    &[("program", name), ("protocol", "tcp"), ("direction", direction.name())],
                    Value::Whole(figures.flows[way]),
                );
            }
        }
        let counter = |name, help: &'static str, value: fn(&Figures) -> u64| {
            let mut family = Family::new(name, Kind::Counter, help);
            for (program, figures) in &programs {
                family.push(&[("program", program)], Value::Whole(value(figures)));
            }
            family
        };
        vec![
            connections,
            flows,
            counter(
                "netstat_sent_bytes",
                "Bytes that the peers of TCP connections acknowledged",
                |figures| figures.sent,
            ),
            counter("netstat_received_bytes", "Bytes received over TCP", |figures| {
                figures.received
            }),
            counter(
                "netstat_retransmitted_segments",
                "TCP segments with data that were sent again",
                |figures| figures.retransmitted,
            ),
        ]
    }

    /// Returns the queues of listeners by port and program.
    fn queues(&mut self, sample: &Sample) -> [Family; 2] {
        let now = sample.figures.at;
        let mut names = Names::of(sample);
        let mut queues: BTreeMap<(Arc<str>, String), [u64; 2]> = BTreeMap::new();
        for row in sample.sockets.iter().filter(|row| row.state == State::Listening) {
            let program = names.label(row.process(), &mut self.programs, now);
            let mut key = (program, row.local.port.to_string());
            if queues.len() >= MOST_LISTENERS && !queues.contains_key(&key) {
                self.listener_overflow += 1;
                key = (Arc::from(OTHER), OTHER.to_owned());
            }
            // Of several listeners on a port, the longest queue and the highest limit count.
            let queue = queues.entry(key).or_default();
            queue[0] = queue[0].max(u64::from(row.receive_queue));
            if let Fact::Known(limit) = row.send_queue {
                queue[1] = queue[1].max(u64::from(limit));
            }
        }
        let family = |name, help: &'static str, at: usize| {
            let mut family = Family::new(name, Kind::Gauge, help);
            for ((program, port), queue) in &queues {
                let labels = [("protocol", "tcp"), ("port", port.as_str()), ("program", program)];
                family.push(&labels, Value::Whole(queue[at]));
            }
            family
        };
        [
            family(
                "netstat_listener_queue_length",
                "Connections that wait to be accepted; of several listeners at one port, the most",
                0,
            ),
            family(
                "netstat_listener_queue_limit",
                "How many connections may wait to be accepted",
                1,
            ),
        ]
    }
}

impl Figures {
    /// Adds the traffic of a connection since `past`, or since the connection was opened.
    fn moved(&mut self, past: Option<&SocketRow>, row: &SocketRow) {
        let bytes = past.map_or(row.bytes.map(|_| Default::default()), |past| past.bytes);
        if let (Fact::Known(before), Fact::Known(now)) = (bytes, row.bytes) {
            self.sent += now.sent.saturating_sub(before.sent);
            self.received += now.received.saturating_sub(before.received);
        }
        let segments = past.map_or(row.segments.map(|_| Default::default()), |past| past.segments);
        if let (Fact::Known(before), Fact::Known(now)) = (segments, row.segments) {
            self.retransmitted += u64::from(now.again.saturating_sub(before.again));
        }
    }
}

fn find_row(sample: &Sample, id: u64) -> Option<&SocketRow> {
    let place = sample.sockets.binary_search_by_key(&id, |row| row.id).ok()?;
    sample.sockets.get(place)
}

/// Returns the TCP ports with listeners.
fn listening(sample: &Sample) -> HashSet<u16> {
    let rows = sample.sockets.iter().filter(|row| row.state == State::Listening);
    rows.map(|row| row.local.port).collect()
}

/// Returns the direction of a connection: incoming if its local port has a listener.
fn direction(row: &SocketRow, listening: &HashSet<u16>) -> Direction {
    match listening.contains(&row.local.port) {
        true => Direction::Incoming,
        false => Direction::Outgoing,
    }
}

/// Returns the address family as a label.
pub(crate) fn family_name(row: &SocketRow) -> &'static str {
    match row.local.address.is_ipv4() {
        true => "ipv4",
        false => "ipv6",
    }
}

fn sockets(sample: &Sample) -> Family {
    let mut counts: BTreeMap<(String, &'static str, String), u64> = BTreeMap::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        // Series that alerts may refer to exist from the beginning.
        let states = State::ALL.iter().filter(|state| **state != State::Bound);
        for state in states.filter(|_| protocol == Protocol::Tcp) {
            for family in ["ipv4", "ipv6"] {
                counts.insert((label(protocol.name()), family, label(state.name())), 0);
            }
        }
    }
    for row in sample.sockets.iter() {
        let state = match row.protocol {
            Protocol::Udp if row.foreign.port == 0 => "unconnected".to_owned(),
            Protocol::Udp => "connected".to_owned(),
            _ => label(row.state.name()),
        };
        *counts
            .entry((label(row.protocol.name()), family_name(row), state))
            .or_default() += 1;
    }
    let mut family = Family::new("netstat_sockets", Kind::Gauge, "Sockets by protocol, family and state");
    for ((protocol, ip, state), count) in counts {
        family.push(
            &[("protocol", &protocol), ("family", ip), ("state", &state)],
            Value::Whole(count),
        );
    }
    family
}

fn label(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn listeners(sample: &Sample) -> Family {
    let mut counts: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    for protocol in ["tcp", "udp"] {
        for reach in ["any", "loopback", "private", "public"] {
            counts.insert((protocol.to_owned(), reach), 0);
        }
    }
    for row in sample.sockets.iter().filter(|row| row.listens()) {
        let reach = match row.local.address {
            address if address.is_unspecified() => "any",
            address if is_loopback(address) => "loopback",
            address if is_public(address) => "public",
            _ => "private",
        };
        *counts.entry((label(row.protocol.name()), reach)).or_default() += 1;
    }
    let mut family = Family::new(
        "netstat_listeners",
        Kind::Gauge,
        "Listening sockets by the address they are bound to: any, loopback, private or public",
    );
    for ((protocol, reach), count) in counts {
        family.push(&[("protocol", &protocol), ("reach", reach)], Value::Whole(count));
    }
    family
}

fn ephemeral(sample: &Sample, (first, last): (u16, u16)) -> Family {
    let mut used = [HashSet::new(), HashSet::new()];
    for row in sample.sockets.iter() {
        let port = row.local.port;
        if row.protocol == Protocol::Tcp && !row.listens() && (first..=last).contains(&port) {
            used[usize::from(!row.local.address.is_ipv4())].insert(port);
        }
    }
    let size = f64::from(last.saturating_sub(first)) + 1.0;
    let mut family = Family::new(
        "netstat_ephemeral_ports_used_ratio",
        Kind::Gauge,
        "Share of the ports of net.ipv4.ip_local_port_range that TCP connections use, 0 to 1",
    );
    for (name, used) in ["ipv4", "ipv6"].into_iter().zip(used) {
        family.push(&[("family", name)], Value::Real(used.len() as f64 / size));
    }
    family
}
