//! What happened for the first time, in a rhythm, or not at all.

use netstat_model::columns::{Value, ValueKind};
use netstat_model::{Endpoint, Holders};
use netstat_record::{Gap, Novelty, Program};
use serde_json::json;

use super::Answer;
use super::rows::Paper;
use super::schema::Told;
use crate::context::Failure;
use crate::output::json;
use crate::output::rows::{Grid, Head};
use crate::recall::refused;

/// Rows that are ready.
struct Ready {
    heads: Vec<Head>,
    rows: Vec<Vec<Value<'static>>>,
}

impl Grid for Ready {
    fn heads(&self) -> Vec<Head> {
        self.heads.clone()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        self.rows[at].iter().cloned().for_each(each);
    }
}

const fn head(name: &'static str, heading: &'static str, kind: ValueKind) -> Head {
    Head { name, heading, kind }
}

/// What `--new` tells.
pub(super) const NEW: [Told; 5] = [
    (head("first", "First", ValueKind::Time), "when"),
    (head("program", "Program", ValueKind::Text), "the program's file name"),
    (
        head("what", "What", ValueKind::Text),
        "what it did: first on the network, first to port, first to network, first listening on port",
    ),
    (
        head("value", "Value", ValueKind::Text),
        "the port or network; empty for a program",
    ),
    (head("path", "Path", ValueKind::Text), "the path of the program file"),
];

/// What `--beacons` tells.
pub(super) const BEACONS: [Told; 8] = [
    (head("program", "Program", ValueKind::Text), "the program's file name"),
    (head("protocol", "Proto", ValueKind::Text), "TCP or UDP"),
    (head("foreign", "Foreign Address", ValueKind::Endpoint), "whom it calls"),
    (head("calls", "Calls", ValueKind::Number), "how many calls"),
    (
        head("period_seconds", "Every (s)", ValueKind::Decimal),
        "the middle gap between two calls, in seconds",
    ),
    (
        head("jitter_percent", "Jitter (%)", ValueKind::Decimal),
        "how far half of the gaps are from it at most, in percent",
    ),
    (head("first", "First", ValueKind::Time), "the first call"),
    (head("last", "Last", ValueKind::Time), "the last call"),
];

/// What `--gaps` tells.
pub(super) const GAPS: [Told; 4] = [
    (head("since", "Since", ValueKind::Time), "from when"),
    (head("until", "Until", ValueKind::Time), "until when"),
    (
        head("lost", "Lost", ValueKind::Number),
        "how many events or flows, where that can be told",
    ),
    (head("reason", "Reason", ValueKind::Text), "why, in plain words"),
];

fn print(answer: &mut Answer<'_, '_, '_>, columns: &[Told], mut rows: Vec<Vec<Value<'static>>>) -> Result<(), Failure> {
    rows.truncate(answer.words.top.unwrap_or(usize::MAX));
    let ready = Ready {
        heads: columns.iter().map(|(head, _)| *head).collect(),
        rows,
    };
    let mut paper = Paper::new(answer);
    paper.write(answer.context.out, &ready)?;
    Ok(paper.finish(answer.context.out)?)
}

/// A program as the one who holds something, for filters by program.
struct Only<'a>(&'a Program);

impl Holders for Only<'_> {
    fn any_pid(&self, _: &dyn Fn(u32) -> bool) -> bool {
        false
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        wanted(self.0.path.as_deref().unwrap_or(&self.0.name))
    }

    fn any_unit(&self, _: &dyn Fn(&[u8]) -> bool) -> bool {
        false
    }
}

fn text(bytes: &[u8]) -> Value<'static> {
    Value::text(bytes.to_vec())
}

/// `--new`.
pub(super) fn novelties(answer: &mut Answer<'_, '_, '_>) -> Result<(), Failure> {
    let since = answer.question.since.unwrap_or(i64::MIN);
    let until = answer.question.until.unwrap_or(i64::MAX);
    let seen = answer.reader.novelties(since).map_err(|error| refused(&error))?;
    let filter = &answer.question.filter;
    let rows = seen
        .into_iter()
        .filter(|sighting| sighting.first <= until && filter.wants_holders(&Only(&sighting.program)))
        .filter(|sighting| match sighting.what {
            Novelty::Port(port) | Novelty::Listens(port) => filter.ports.is_empty() || filter.ports.contains(port),
            Novelty::Program | Novelty::Network(_) => filter.ports.is_empty(),
        })
        .map(|sighting| {
            let (what, value) = match sighting.what {
                Novelty::Program => ("first on the network", Value::Nothing),
                Novelty::Port(port) => ("first to port", Value::Number(port.into())),
                Novelty::Network(network) => ("first to network", text(network.to_string().as_bytes())),
                Novelty::Listens(port) => ("first listening on port", Value::Number(port.into())),
            };
            let path = match &sighting.program.path {
                Some(path) => text(path),
                None => Value::unknown(netstat_model::Why::Gone),
            };
            vec![
                Value::Time(sighting.first),
                text(sighting.program.shown()),
                Value::Word(what),
                value,
                path,
            ]
        })
        .collect();
    print(answer, &NEW, rows)
}

/// `--beacons`.
pub(super) fn beacons(answer: &mut Answer<'_, '_, '_>) -> Result<(), Failure> {
    let since = answer.question.since.unwrap_or(i64::MIN / 2);
    let filter = answer.question.filter.clone();
    let found = answer.reader.beacons(since, &filter).map_err(|error| refused(&error))?;
    let rows = found
        .into_iter()
        .map(|beacon| {
            let rhythm = beacon.rhythm;
            let (address, port) = beacon.foreign;
            vec![
                text(beacon.program.shown()),
                Value::Word(beacon.protocol.name()),
                Value::Endpoint(Endpoint {
                    address,
                    port,
                    scope: 0,
                }),
                Value::Number(rhythm.calls as u64),
                Value::Decimal(rhythm.period as f64 / 1000.0),
                Value::Decimal((rhythm.jitter * 1000.0).round() / 10.0),
                Value::Time(rhythm.first),
                Value::Time(rhythm.last),
            ]
        })
        .collect();
    print(answer, &BEACONS, rows)
}

/// A gap as JSON.
pub(super) fn gap_value(gap: &Gap) -> serde_json::Value {
    let time = |millis: i64| {
        let since = std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        json::timestamp(std::time::SystemTime::UNIX_EPOCH + since)
    };
    json!({"since": time(gap.since), "until": time(gap.until), "reason": gap.reason, "lost": gap.lost})
}

/// `--gaps`.
pub(super) fn gaps(answer: &mut Answer<'_, '_, '_>) -> Result<(), Failure> {
    let rows = answer
        .gaps
        .iter()
        .map(|gap| {
            let lost = gap
                .lost
                .map_or(Value::unknown(netstat_model::Why::NotKept), Value::Number);
            vec![
                Value::Time(gap.since),
                Value::Time(gap.until),
                lost,
                text(gap.reason.as_bytes()),
            ]
        })
        .collect();
    print(answer, &GAPS, rows)
}
