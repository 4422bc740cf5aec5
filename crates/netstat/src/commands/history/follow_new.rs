//! `--follow-new`: connections as they end, for other programs.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use netstat_record::{Flow, Flows, Millis};

use super::args::Export;
use super::rows::write_line;
use super::{Answer, export};
use crate::context::Failure;

/// The interval at which the store is queried.
const EVERY: Duration = Duration::from_secs(1);
/// Connections that ended longer ago than this, in milliseconds, are not printed: a recorder writes within seconds.
const LATE: Millis = 120_000;
/// The same limit for a fleet, whose data may have waited for up to a minute before being sent, and been delayed on the
/// way.
const LATE_IN_FLEET: Millis = 900_000;

/// Prints connections that end and ports that begin to be listened on from now on, until nobody reads the output.
pub(super) fn follow_new(answer: &mut Answer<'_, '_, '_>) -> Result<(), Failure> {
    let late = if answer.reader.is_fleet() { LATE_IN_FLEET } else { LATE };
    let begin = netstat_record::millis(answer.now);
    let columns = answer.columns();
    let format = answer.args.export;
    if let Some(format) = format {
        export::head(format, answer.context.out)?;
    }
    // The connections that have been printed, and when they ended.
    let mut printed: HashMap<(i64, i64, Millis), Millis> = HashMap::new();
    answer.question.newest_first = false;
    loop {
        let now = netstat_record::millis((answer.context.now)());
        let since = begin.max(now.saturating_sub(late));
        answer.question.since = Some(since);
        printed.retain(|_, last| *last >= since);
        answer.each(&mut |system, out, flow| {
            let key = (flow.boot.id, flow.id, flow.first);
            if is_new(&flow, begin) && printed.insert(key, flow.last.max(now)).is_none() {
                print(system, out, &flow, format, &columns)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        answer.context.out.flush()?;
        (answer.context.wait_until)(Instant::now() + EVERY);
    }
}

/// Whether the connection is printed: it ended, or began to listen, after the command was started.
fn is_new(flow: &Flow, begin: Millis) -> bool {
    match flow.direction {
        netstat_model::Direction::Listening => flow.first >= begin,
        _ => flow.closed && flow.last >= begin,
    }
}

fn print(
    system: &mut dyn netstat_os::System,
    out: &mut dyn std::io::Write,
    flow: &Flow,
    format: Option<Export>,
    columns: &[&'static netstat_model::columns::Column<Flows>],
) -> std::io::Result<()> {
    match format {
        Some(format) => match export::line(flow, format) {
            Some(line) => writeln!(out, "{line}"),
            None => Ok(()),
        },
        None => write_line(system, out, flow, columns),
    }
}
