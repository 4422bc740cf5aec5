//! What happened for the first time, in a rhythm, or not at all.

use netstat_model::columns::Value;
use netstat_model::{Endpoint, Holders};
use netstat_record::{Novelty, Program};

use super::Answer;
use super::headings::{BEACONS, GAPS, NEW, NamedColumn};
use super::rows::Paper;
use crate::context::Failure;
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

fn print(
    answer: &mut Answer<'_, '_, '_>,
    columns: &[NamedColumn],
    mut rows: Vec<Vec<Value<'static>>>,
) -> Result<(), Failure> {
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
