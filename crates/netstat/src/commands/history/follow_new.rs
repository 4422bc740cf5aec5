//! `--follow-new`: connections as they end, for other programs.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use netstat_record::{Flow, Flows, Millis};

use super::args::Export;
use super::rows::write_line;
use super::{Answer, export};
use crate::context::Failure;

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(1);
/// What ended longer ago than this, in milliseconds, is not printed any more: a recorder writes within seconds,
const LATE: Millis = 120_000;
/// and what comes from a fleet may have waited for its minute, and for the way.
const LATE_IN_FLEET: Millis = 900_000;

/// Prints connections that end from now on, and ports that are listened on from now on, until nobody reads them.
pub(super) fn follow_new(answer: &mut Answer<'_, '_, '_>) -> Result<(), Failure> {
    let late = if answer.reader.is_fleet() { LATE_IN_FLEET } else { LATE };
    let begin = netstat_record::millis(answer.now);
    let columns = answer.columns();
    let format = answer.args.export;
    if let Some(format) = format {
        export::head(format, answer.context.out)?;
    }
    // What has been printed, and when it ended.
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

/// Whether it is printed: it has ended, or begun to listen, since the command began.
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
