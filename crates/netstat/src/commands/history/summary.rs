//! A summary on one screen: when, which programs, which remote addresses, what is new, what is missing.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::ops::ControlFlow;

use netstat_model::Direction;
use netstat_model::text::escape;
use netstat_record::{Flow, Novelty};

use super::args::{PlotBy, PlotOf};
use super::people::{self, Zone, short_span};
use super::plot::Counted;
use super::{Answer, novelty};
use crate::context::{Failure, human};
use crate::recall::refused;

/// The number of lines of each list.
const LINES: usize = 5;
/// The maximum number of foreign addresses that are counted individually, about 100 MB; further ones are counted
/// together.
const MOST_PEERS: usize = 1_000_000;
/// The maximum width of a name, in columns.
const NAME: usize = 32;

/// The totals of a program or a remote address.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    flows: u64,
    sent: u64,
    received: u64,
    /// Whether some bytes are missing from the totals.
    partial: bool,
}

impl Sum {
    fn add(&mut self, flow: &Flow) {
        self.flows += 1;
        self.sent = self.sent.saturating_add(flow.sent.known().unwrap_or(0));
        self.received = self.received.saturating_add(flow.received.known().unwrap_or(0));
        self.partial |= flow.sent.why().is_some() || flow.received.why().is_some() || !flow.closed;
    }

    fn bytes(&self) -> u64 {
        self.sent.saturating_add(self.received)
    }

    /// Formats a total of bytes; a lower bound if some are unknown.
    fn shown(&self, bytes: u64) -> String {
        let mark = if self.partial { ">=" } else { "" };
        format!("{mark}{}", human::bytes(bytes))
    }
}

/// The results of one pass over the record.
#[derive(Debug)]
struct Totals {
    all: Sum,
    outgoing: u64,
    incoming: u64,
    listeners: u64,
    programs: HashMap<Option<Vec<u8>>, Sum>,
    peers: HashMap<Option<IpAddr>, Sum>,
    hours: Counted,
}

impl Totals {
    fn add(&mut self, flow: &Flow) {
        match flow.direction {
            Direction::Listening => {
                self.listeners += 1;
                return;
            }
            Direction::Outgoing => self.outgoing += 1,
            Direction::Incoming => self.incoming += 1,
            Direction::Unknown => {}
        }
        self.all.add(flow);
        self.programs.entry(people::program_of(flow)).or_default().add(flow);
        let peer = flow.foreign.0.to_canonical();
        if !peer.is_unspecified() && !peer.is_loopback() {
            let full = self.peers.len() >= MOST_PEERS && !self.peers.contains_key(&Some(peer));
            self.peers.entry((!full).then_some(peer)).or_default().add(flow);
        }
        self.hours.add(flow.first, None, None);
    }
}

/// Runs `--summary`, and `history` without options.
pub(super) fn summary(answer: &mut Answer<'_, '_, '_>) -> Result<(), Failure> {
    let now = netstat_record::millis(answer.now);
    let zone = Zone::local(now);
    let mut totals = Totals {
        all: Sum::default(),
        outgoing: 0,
        incoming: 0,
        listeners: 0,
        programs: HashMap::new(),
        peers: HashMap::new(),
        hours: Counted::new(PlotBy::Hour, PlotOf::Flows, zone.zone().clone()),
    };
    answer.each(&mut |_, _, flow| {
        totals.add(&flow);
        Ok(ControlFlow::Continue(()))
    })?;
    let oldest = answer.reader.oldest().map_err(|error| refused(&error))?;
    let since = answer.question.since.max(oldest).unwrap_or(now);
    let until = answer.question.until.unwrap_or(now);
    let new = first_times(answer, &zone)?;
    let gaps: Vec<String> = answer.gaps.iter().rev().map(|gap| gap_line(gap, &zone)).collect();
    let width = answer.context.screen.width.map_or(100, usize::from).clamp(40, 160);
    let out = &mut *answer.context.out;
    writeln!(
        out,
        "From {} to {} ({})",
        zone.moment(since),
        zone.moment(until),
        zone.name()
    )?;
    overview(out, &totals)?;
    hours(out, totals.hours, (since, until), width)?;
    sums(
        out,
        "Top programs",
        totals.programs,
        |sum| sum.flows,
        |name| match name {
            Some(name) => escape(&name).into_owned(),
            None => "(unknown program)".to_owned(),
        },
    )?;
    sums(
        out,
        "Most talkative peers",
        totals.peers,
        Sum::bytes,
        |peer| match peer {
            Some(peer) => peer.to_string(),
            None => "(others)".to_owned(),
        },
    )?;
    list(out, "New in this time", &new, "--new lists all")?;
    list(
        out,
        "Gaps, in which connections may be missing",
        &gaps,
        "--gaps lists all",
    )?;
    writeln!(
        out,
        "\nEvery connection: netstat history --since 1d. More: --group, --new, --beacons, --plot; see --help"
    )?;
    Ok(())
}

fn overview(out: &mut dyn Write, totals: &Totals) -> io::Result<()> {
    let Totals {
        all,
        outgoing,
        incoming,
        ..
    } = totals;
    let others = all.flows.saturating_sub(outgoing + incoming);
    writeln!(
        out,
        "{}: {outgoing} outgoing, {incoming} incoming, {others} of unknown direction; {}",
        human::plural(all.flows, "connection"),
        human::plural(totals.listeners, "listener")
    )?;
    writeln!(
        out,
        "{} sent, {} received",
        all.shown(all.sent),
        all.shown(all.received)
    )
}

/// Draws a small graph with one column for each hour.
fn hours(out: &mut dyn Write, counted: Counted, (since, until): (i64, i64), width: usize) -> io::Result<()> {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut counted = counted;
    // The graph includes the hours without connections at both ends.
    for end in [since, until] {
        counted.note(end);
    }
    let Some(bars) = counted.into_bars() else { return Ok(()) };
    // A graph of a single hour shows nothing.
    if bars.len() < 2 {
        return Ok(());
    }
    let per = bars.len().div_ceil(width.saturating_sub(2).max(1));
    let columns: Vec<u64> = bars
        .chunks(per)
        .map(|bars| bars.iter().map(|bar| bar.value).sum())
        .collect();
    let most = columns.iter().copied().max().unwrap_or(0);
    let graph: String = columns
        .iter()
        .map(|&value| match (value, most) {
            (0, _) | (_, 0) => ' ',
            (value, most) => LEVELS[((value as f64 / most as f64 * 7.0).ceil() as usize).min(7)],
        })
        .collect();
    let step = if per == 1 {
        "hour".to_owned()
    } else {
        format!("{per} hours")
    };
    writeln!(out, "\nConnections each {step}, {most} at most")?;
    writeln!(out, "  {graph}")?;
    let (first, last) = (&bars[0].label, &bars[bars.len() - 1].label);
    let ends = format!("{first} .. {last}");
    let line = match columns.len() >= first.len() + last.len() + 2 {
        true => format!("{first}{}{last}", " ".repeat(columns.len() - first.len() - last.len())),
        false => ends,
    };
    writeln!(out, "  {line}")
}

/// Writes the largest of `sums`, by `rank`.
fn sums<K>(
    out: &mut dyn Write,
    title: &str,
    sums: HashMap<K, Sum>,
    rank: fn(&Sum) -> u64,
    name: fn(K) -> String,
) -> io::Result<()> {
    writeln!(out, "\n{title}")?;
    let mut rows: Vec<(String, Sum)> = sums.into_iter().map(|(key, sum)| (name(key), sum)).collect();
    rows.sort_by(|a, b| rank(&b.1).cmp(&rank(&a.1)).then_with(|| a.0.cmp(&b.0)));
    let count = rows.len();
    rows.truncate(LINES);
    if rows.is_empty() {
        return writeln!(out, "  none");
    }
    for (name, sum) in &rows {
        let (sent, received) = (sum.shown(sum.sent), sum.shown(sum.received));
        writeln!(
            out,
            "  {}  {:>9} connections  {sent:>9} sent  {received:>9} received",
            fitted(name),
            sum.flows
        )?;
    }
    more(out, count)
}

fn list(out: &mut dyn Write, title: &str, lines: &[String], more_by: &str) -> io::Result<()> {
    writeln!(out, "\n{title}")?;
    if lines.is_empty() {
        return writeln!(out, "  none");
    }
    for line in lines.iter().take(LINES) {
        writeln!(out, "  {line}")?;
    }
    match lines.len() > LINES {
        true => writeln!(out, "  and {} more: {more_by}", lines.len() - LINES),
        false => Ok(()),
    }
}

fn more(out: &mut dyn Write, count: usize) -> io::Result<()> {
    match count > LINES {
        true => writeln!(out, "  and {} more", count - LINES),
        false => Ok(()),
    }
}

/// Fits a name to exactly [`NAME`] columns.
fn fitted(name: &str) -> String {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    let mut text = name.to_owned();
    if text.width() > NAME {
        text.clear();
        let mut used = 1;
        for letter in name.chars() {
            used += letter.width().unwrap_or(0);
            if used > NAME {
                break;
            }
            text.push(letter);
        }
        text.push('…');
    }
    let blanks = NAME.saturating_sub(text.width());
    text + &" ".repeat(blanks)
}

/// Returns what programs did for the first time in the period, the newest first.
fn first_times(answer: &mut Answer<'_, '_, '_>, zone: &Zone) -> Result<Vec<String>, Failure> {
    let until = answer.question.until.unwrap_or(i64::MAX);
    let seen = answer.reader.novelties(&answer.question);
    let seen = seen.map_err(|error| refused(&error))?;
    let lines = seen
        .iter()
        .rev()
        .filter(|one| one.first <= until && !matches!(one.what, Novelty::Network(_)))
        .map(|one| {
            let program = escape(one.program.shown());
            let (what, value) = novelty::what(one.what);
            format!("{}  {program}: {what}{value}", zone.moment(one.first))
        });
    Ok(lines.collect())
}

fn gap_line(gap: &netstat_record::Gap, zone: &Zone) -> String {
    let span = short_span(u64::try_from(gap.until.saturating_sub(gap.since)).unwrap_or(0));
    let lost = gap.lost.map_or(String::new(), |lost| format!(", {lost} lost"));
    format!(
        "{}  {span}: {}{lost}",
        zone.moment(gap.since),
        escape(gap.reason.as_bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_are_fitted_to_the_column() {
        use unicode_width::UnicodeWidthStr;
        for name in [
            "nginx",
            "a-program-with-a-very-long-name-indeed",
            "网络监听程序网络监听程序网络监听程序",
        ] {
            assert_eq!(fitted(name).width(), NAME, "{name}");
        }
    }

    #[test]
    fn summary_without_sums_says_none() {
        let mut out = Vec::new();
        sums::<String>(&mut out, "Top programs", HashMap::new(), |sum| sum.flows, |name| name).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\nTop programs\n  none\n");
    }
}
