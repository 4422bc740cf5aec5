//! First occurrences, regular connections, and gaps.

use std::time::Duration;

use netstat_model::columns::Value;
use netstat_model::{Endpoint, Holders};
use netstat_record::{
    BEACON_CALLS, BEACON_SPREAD, CANDIDATE_CALLS, Novelty, Program, Question, Rhythm, collect_rhythms,
};

use super::Answer;
use super::headings::{BEACONS, GAP_HOST, GAPS, NEW, NamedColumn};
use super::people::with_script;
use super::rows::Paper;
use crate::args::shape::Format;
use crate::context::{Diagnostics, Failure, human};
use crate::output::rows::ReadyRows;
use crate::recall::refused;

/// The age, in milliseconds, below which a record does not yet cover what programs do in a week.
const LEARNING: i64 = 7 * 86_400_000;

/// Prints the rows; if there are none, a table is replaced by a message.
pub(super) fn print(
    answer: &mut Answer<'_, '_, '_>,
    columns: &[NamedColumn],
    mut rows: Vec<Vec<Value<'static>>>,
    (none, diagnostics): (&str, &mut Diagnostics),
) -> Result<(), Failure> {
    if rows.is_empty() && answer.args.format() == Format::Text {
        diagnostics.line(none);
        return Ok(());
    }
    rows.truncate(answer.args.top.unwrap_or(usize::MAX));
    let ready = ReadyRows {
        heads: columns.iter().map(|(head, _)| *head).collect(),
        rows,
    };
    let mut paper = Paper::new(answer);
    paper.write(answer.context.out, &ready)?;
    Ok(paper.finish(answer.context.out)?)
}

/// A program as the holder of a socket, for filters by program.
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

/// Runs `--new`.
pub(super) fn novelties(answer: &mut Answer<'_, '_, '_>, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
    let oldest = answer.reader.oldest().map_err(|error| refused(&error))?;
    let age = oldest.map_or(0, |oldest| netstat_record::millis(answer.now).saturating_sub(oldest));
    if (0..LEARNING).contains(&age) {
        let age = human::span(Duration::from_millis(age.unsigned_abs()));
        diagnostics.line(format!(
            "the record is {age} old: what programs do less often than that is new to it, too"
        ));
    }
    let until = answer.question.until.unwrap_or(i64::MAX);
    let seen = answer.reader.novelties(&answer.question);
    let seen = seen.map_err(|error| refused(&error))?;
    let filter = &answer.question.filter;
    let rows = seen
        .into_iter()
        .rev()
        .filter(|sighting| sighting.first <= until && filter.wants_holders(&Only(&sighting.program)))
        .filter(|sighting| match sighting.what {
            Novelty::Port(port) | Novelty::Listens(port) => filter.ports.is_empty() || filter.ports.contains(port),
            Novelty::Program | Novelty::Network(_) => filter.ports.is_empty(),
        })
        .map(|sighting| {
            let value = match sighting.what {
                Novelty::Program => Value::Nothing,
                Novelty::Network(network) => text(network.to_string().as_bytes()),
                Novelty::Port(port) | Novelty::Listens(port) => Value::Number(port.into()),
            };
            let (what, _) = what(sighting.what);
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
    print(answer, &NEW, rows, ("nothing new in this time", diagnostics))
}

/// Describes what a program did for the first time, and with what; the second text begins with a space unless it is
/// empty.
pub(super) fn what(novelty: Novelty) -> (&'static str, String) {
    match novelty {
        Novelty::Program => ("first on the network", String::new()),
        Novelty::Port(port) => ("first to port", format!(" {port}")),
        Novelty::Network(network) => ("first to network", format!(" {network}")),
        Novelty::Listens(port) => ("first listening on port", format!(" {port}")),
    }
}

/// Runs `--beacons`.
pub(super) fn beacons(answer: &mut Answer<'_, '_, '_>, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
    let since = answer.question.since.unwrap_or(i64::MIN / 2);
    let filter = answer.question.filter.clone();
    let scripts = answer.question.scripts.clone();
    let found = match answer.question.hosts.is_empty() {
        true => answer.reader.rhythms(since, &filter, true),
        // Only the connections of these computers count.
        false => {
            let question = Question {
                since: Some(since),
                filter,
                hosts: answer.question.hosts.clone(),
                ..Question::default()
            };
            let reader = &mut answer.reader;
            collect_rhythms(since, true, |visit| reader.flows(&question, visit))
        }
    };
    let mut found = found.map_err(|error| refused(&error))?;
    found.retain(|beacon| {
        let script = beacon.script.as_deref();
        scripts.is_empty() || script.is_some_and(|script| scripts.matches_path(script))
    });
    // The certain ones come first.
    found.sort_by_key(|beacon| !beacon.rhythm.is_beacon());
    let text_format = answer.args.format() == Format::Text;
    let rows = found
        .into_iter()
        .map(|beacon| {
            let rhythm = beacon.rhythm;
            let (address, port) = beacon.foreign;
            let program = match text_format {
                true => with_script(beacon.program.shown(), beacon.script.as_deref()),
                false => beacon.program.shown().to_vec(),
            };
            vec![
                text(&program),
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
                text(certainty(&rhythm).as_bytes()),
                beacon.script.as_deref().map_or(Value::Nothing, text),
            ]
        })
        .collect();
    let oldest = answer.reader.oldest().map_err(|error| refused(&error))?;
    let begun = oldest.max(answer.question.since).unwrap_or(i64::MAX);
    let covered = netstat_record::millis(answer.now).saturating_sub(begun).max(0);
    let spread = human::span(Duration::from_millis(BEACON_SPREAD.unsigned_abs()));
    let none = format!(
        "none; a beacon needs {BEACON_CALLS} calls over {spread}, a candidate {CANDIDATE_CALLS} calls; this time covers {} of record",
        human::span(Duration::from_millis(covered.unsigned_abs()))
    );
    print(answer, &BEACONS, rows, (&none, diagnostics))
}

/// Describes how certain it is that this is a beacon.
fn certainty(rhythm: &Rhythm) -> String {
    if rhythm.is_beacon() {
        return "beacon".to_owned();
    }
    let span = |millis: i64| human::span(Duration::from_millis(millis.unsigned_abs()));
    let seen = rhythm.last.saturating_sub(rhythm.first);
    match seen < BEACON_SPREAD {
        true => format!("candidate: {} of {}", span(seen), span(BEACON_SPREAD)),
        false => format!("candidate: {} of {BEACON_CALLS} calls", rhythm.calls),
    }
}

/// Runs `--gaps`.
pub(super) fn gaps(answer: &mut Answer<'_, '_, '_>, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
    let names_hosts = answer.names_hosts();
    let mut columns = GAPS.to_vec();
    if names_hosts {
        columns.push(GAP_HOST);
    }
    let rows = answer
        .gaps
        .iter()
        .rev()
        .map(|gap| {
            let lost = gap
                .lost
                .map_or(Value::unknown(netstat_model::Why::NotKept), Value::Number);
            let mut row = vec![
                Value::Time(gap.since),
                Value::Time(gap.until),
                lost,
                text(gap.reason.as_bytes()),
            ];
            if names_hosts {
                row.push(text(gap.host.as_deref().unwrap_or_default()));
            }
            row
        })
        .collect();
    print(answer, &columns, rows, ("no gaps in this time", diagnostics))
}
