//! When connections began, as bars: by the hour of the day, or for each minute, hour or day.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use netstat_model::text::plain_error;

use super::Answer;
use super::args::{PlotBy, PlotOf};
use super::people::Zone;
use super::svg::{self, Bar};
use crate::context::{Diagnostics, Failure, human};

/// The length of a full bar in columns, if the terminal does not report its width.
const USUAL: usize = 60;
/// The maximum number of bars: more than one can reasonably scroll through, and than a picture has columns for.
const MOST: usize = 5_000;

/// Runs `--plot`.
pub(super) fn plot(answer: &mut Answer<'_, '_, '_>, by: PlotBy, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
    let of = answer.args.of;
    let zone = Zone::local(netstat_record::millis(answer.now));
    let mut counted = Counted::new(by, of, zone.zone().clone());
    answer.each(&mut |_, _, flow| {
        counted.add(flow.first, flow.sent.known(), flow.received.known());
        Ok(ControlFlow::Continue(()))
    })?;
    if counted.bars.is_empty() {
        diagnostics.line("no connection matches");
        return Ok(());
    }
    if counted.unknown > 0 {
        let many = human::plural(counted.unknown, "connection");
        diagnostics.line(format!("the bytes of {many} are not known and not counted"));
    }
    let bars = counted.into_bars().ok_or_else(|| {
        Failure::Usage(format!(
            "--plot {} needs more than {MOST} bars for this time: choose hour or day, or a shorter time with --since",
            name_of(by)
        ))
    })?;
    let shown = |value: u64| match of {
        PlotOf::Flows => value.to_string(),
        PlotOf::Bytes => human::bytes(value),
    };
    let title = match of {
        PlotOf::Flows => format!("Connections ({})", zone.name()),
        PlotOf::Bytes => format!("Bytes ({})", zone.name()),
    };
    if let Some(path) = &answer.args.svg {
        let picture = svg::picture(&title, &bars, &shown);
        return netstat_os::replace_private(path, picture.as_bytes()).map_err(|error| {
            let name = path.display().to_string();
            Failure::Refused(format!(
                "{}: {}",
                netstat_model::text::escape_str(&name),
                plain_error(&error)
            ))
        });
    }
    let width = answer.context.screen.width.map(usize::from);
    answer.context.out.write_all(text(&bars, width, &shown).as_bytes())?;
    Ok(())
}

const fn name_of(by: PlotBy) -> &'static str {
    match by {
        PlotBy::Clock => "clock",
        PlotBy::Minute => "minute",
        PlotBy::Hour => "hour",
        PlotBy::Day => "day",
    }
}

/// Counts by time.
#[derive(Debug)]
pub(super) struct Counted {
    by: PlotBy,
    of: PlotOf,
    zone: TimeZone,
    /// The counts, by the number of the minute, hour or day in local time, or by the hour of the day.
    bars: BTreeMap<i64, u64>,
    /// The number of connections whose bytes are unknown.
    unknown: u64,
    /// The last quarter of an hour that occurred, and by how many seconds local time was ahead of UTC in it. A quarter
    /// of an hour is the smallest step at which time zones change.
    offset: Option<(i64, i64)>,
}

/// A quarter of an hour, in milliseconds.
const QUARTER: i64 = 900_000;

impl Counted {
    pub(super) fn new(by: PlotBy, of: PlotOf, zone: TimeZone) -> Counted {
        Counted {
            by,
            of,
            zone,
            bars: BTreeMap::new(),
            unknown: 0,
            offset: None,
        }
    }

    pub(super) fn add(&mut self, moment: i64, sent: Option<u64>, received: Option<u64>) {
        let amount = match (self.of, sent, received) {
            (PlotOf::Flows, ..) => 1,
            (PlotOf::Bytes, None, None) => {
                self.unknown += 1;
                0
            }
            (PlotOf::Bytes, sent, received) => sent.unwrap_or(0).saturating_add(received.unwrap_or(0)),
        };
        let at = self.place(moment);
        let bar = self.bars.entry(at).or_default();
        *bar = bar.saturating_add(amount);
    }

    /// Ensures that there is a bar for `moment`.
    pub(super) fn note(&mut self, moment: i64) {
        let at = self.place(moment);
        self.bars.entry(at).or_default();
    }

    /// Returns the number of the bar to which `moment` belongs.
    fn place(&mut self, moment: i64) -> i64 {
        let local = moment.div_euclid(1000).saturating_add(self.ahead(moment));
        match self.by {
            PlotBy::Clock => local.rem_euclid(86_400) / 3_600,
            PlotBy::Minute => local.div_euclid(60),
            PlotBy::Hour => local.div_euclid(3_600),
            PlotBy::Day => local.div_euclid(86_400),
        }
    }

    /// Returns by how many seconds local time is ahead of UTC at `moment`.
    fn ahead(&mut self, moment: i64) -> i64 {
        let quarter = moment.div_euclid(QUARTER);
        match self.offset {
            Some((of, seconds)) if of == quarter => seconds,
            _ => {
                let seconds = Timestamp::from_millisecond(moment)
                    .map_or(0, |time| i64::from(self.zone.to_offset(time).seconds()));
                self.offset = Some((quarter, seconds));
                seconds
            }
        }
    }

    /// Returns the bars, including empty ones in between; `None` if there are too many.
    pub(super) fn into_bars(self) -> Option<Vec<Bar>> {
        let (first, last) = match self.by {
            PlotBy::Clock => (0, 23),
            _ => (*self.bars.keys().next()?, *self.bars.keys().next_back()?),
        };
        if last.checked_sub(first)? >= MOST as i64 {
            return None;
        }
        let label = |at: i64| match self.by {
            PlotBy::Clock => format!("{at:02}:00"),
            PlotBy::Minute => local_label(at.saturating_mul(60), "%Y-%m-%d %H:%M"),
            PlotBy::Hour => local_label(at.saturating_mul(3_600), "%Y-%m-%d %H:00"),
            PlotBy::Day => local_label(at.saturating_mul(86_400), "%Y-%m-%d"),
        };
        let bars = (first..=last).map(|at| Bar {
            label: label(at),
            value: self.bars.get(&at).copied().unwrap_or(0),
        });
        Some(bars.collect())
    }
}

/// Formats a moment that is already in local time.
fn local_label(seconds: i64, format: &str) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.to_zoned(TimeZone::UTC).strftime(format).to_string(),
        Err(_) => "out of range".to_owned(),
    }
}

/// Draws a bar on a scale of `width` columns for `most`. A value other than 0 always has a visible bar.
pub(super) fn bar(value: u64, most: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (value as f64 / most.max(1) as f64 * (width * 8) as f64).round() as usize;
    let eighths = if value > 0 { eighths.max(1) } else { 0 };
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Draws one line for each bar; the longest fills `width` columns of the terminal.
fn text(bars: &[Bar], width: Option<usize>, shown: &dyn Fn(u64) -> String) -> String {
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or(0);
    let longest = |of: &dyn Fn(&Bar) -> usize| bars.iter().map(of).max().unwrap_or(0);
    let (label, value) = (
        longest(&|bar| bar.label.len()),
        longest(&|bar| shown(bar.value).len()).max(6),
    );
    let room = width.map_or(USUAL, |width| width.saturating_sub(label + value + 3));
    let mut text = String::new();
    for one in bars {
        let line = format!(
            "{:label$} {:>value$}  {}",
            one.label,
            shown(one.value),
            bar(one.value, most, room.clamp(10, 200))
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bars(by: PlotBy, of: PlotOf, zone: &str, flows: &[(i64, Option<u64>)]) -> Vec<(String, u64)> {
        let mut counted = Counted::new(by, of, TimeZone::posix(zone).unwrap());
        for (moment, bytes) in flows {
            counted.add(*moment, *bytes, *bytes);
        }
        let bars = counted.into_bars().unwrap();
        bars.into_iter().map(|bar| (bar.label, bar.value)).collect()
    }

    #[test]
    fn plot_bars_are_hours_and_days_of_the_time_zone() {
        let winter = 1_795_834_200_000;
        let found = bars(
            PlotBy::Hour,
            PlotOf::Flows,
            "CET-1",
            &[(winter, None), (winter + 7_200_000, None)],
        );
        assert_eq!(
            found,
            [
                ("2026-11-28 03:00".to_owned(), 1),
                ("2026-11-28 04:00".to_owned(), 0),
                ("2026-11-28 05:00".to_owned(), 1)
            ]
        );
        let day = bars(
            PlotBy::Day,
            PlotOf::Bytes,
            "EST5",
            &[(winter, Some(500)), (winter, None)],
        );
        assert_eq!(day, [("2026-11-27".to_owned(), 1_000)]);
        let minute = bars(PlotBy::Minute, PlotOf::Flows, "<+0530>-5:30", &[(winter, None)]);
        assert_eq!(minute, [("2026-11-28 08:20".to_owned(), 1)]);
        let clock = bars(PlotBy::Clock, PlotOf::Flows, "UTC0", &[(-1, None), (0, None)]);
        assert_eq!((clock.len(), clock[23].1, clock[0].1), (24, 1, 1));
    }

    #[test]
    fn plot_bars_of_too_many_minutes_are_refused() {
        let mut counted = Counted::new(PlotBy::Minute, PlotOf::Flows, TimeZone::UTC);
        counted.add(0, None, None);
        counted.add(i64::from(u32::MAX) * 1_000, None, None);
        assert_eq!(counted.into_bars(), None);
    }

    #[test]
    fn plot_longest_bar_fills_the_width_and_none_vanishes() {
        let bar = |label: &str, value| Bar {
            label: label.to_owned(),
            value,
        };
        let bars = [bar("03:00", 1000), bar("04:00", 500), bar("05:00", 1), bar("06:00", 0)];
        let text = text(&bars, Some(24), &|value| value.to_string());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "03:00   1000  ██████████");
        assert_eq!(lines[1], "04:00    500  █████");
        assert_eq!(lines[2], "05:00      1  ▏");
        assert_eq!(lines[3], "06:00      0");
    }

    proptest! {
        #[test]
        fn plot_counts_any_moment_once(moments in proptest::collection::vec(any::<i64>(), 1..20)) {
            let mut counted = Counted::new(PlotBy::Clock, PlotOf::Flows, TimeZone::UTC);
            for moment in &moments {
                counted.add(*moment, None, None);
            }
            let bars = counted.into_bars().unwrap();
            prop_assert_eq!(bars.iter().map(|bar| bar.value).sum::<u64>(), moments.len() as u64);
        }
    }
}
