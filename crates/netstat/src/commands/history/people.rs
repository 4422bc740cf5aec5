//! Formats values for people: local time, units, script names. CSV and JSON keep UTC and exact numbers.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use netstat_model::columns::{Column, Value, ValueKind};
use netstat_record::{Flow, FlowRow, Flows};

use crate::context::human;
use crate::output::rows::{Grid, Head};

/// The local time zone, and its current name.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    zone: TimeZone,
    name: String,
}

impl Zone {
    /// Returns the zone in `TZ`, or that of the computer. `now` is in milliseconds since the Unix epoch.
    pub(super) fn local(now: i64) -> Zone {
        Zone::of(TimeZone::system(), now)
    }

    pub(super) fn of(zone: TimeZone, now: i64) -> Zone {
        let name = abbreviation(&zone, now).unwrap_or_else(|| "UTC".to_owned());
        Zone { zone, name }
    }

    /// The current abbreviation of the zone: `CET`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The zone itself.
    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Formats a moment to the second, with the abbreviation of the zone if it differs from the current one:
    /// `2026-11-23 22:30:05`, `2026-07-01 22:30:05 CEST`.
    pub(super) fn moment(&self, millis: i64) -> String {
        let Ok(time) = Timestamp::from_millisecond(millis) else {
            return "out of range".to_owned();
        };
        let text = time
            .to_zoned(self.zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string();
        match abbreviation(&self.zone, millis) {
            Some(name) if name != self.name => format!("{text} {name}"),
            _ => text,
        }
    }
}

fn abbreviation(zone: &TimeZone, millis: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(millis).ok()?;
    Some(time.to_zoned(zone.clone()).strftime("%Z").to_string())
}

/// Formats a length of time in a few characters: `412 ms`, `2.1 s`, `8m 05s`, `3h 12m`, `2d 04h`.
pub(super) fn short_span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Returns the value of a column in a form for people.
fn readable<'v>(name: &str, value: Value<'v>, zone: &Zone) -> Value<'v> {
    let of = |number: u64| match name {
        "duration" => Some(short_span(number)),
        "sent" | "received" | "bytes" => Some(human::bytes(number)),
        "rtt" if number < 1_000 => Some(format!("{number} µs")),
        "rtt" => Some(format!("{}.{} ms", number / 1_000, number % 1_000 / 100)),
        _ => None,
    };
    let text = |text: String| Value::Text(Cow::Owned(text.into_bytes()));
    match value {
        Value::Time(millis) => text(zone.moment(millis)),
        Value::Number(number) => of(number).map_or(Value::Number(number), text),
        Value::AtLeast(number) => of(number).map_or(Value::AtLeast(number), |shown| text(format!(">={shown}"))),
        other => other,
    }
}

/// Formats a program with the script it runs: `python3.11 (srv.py)`.
pub(super) fn with_script(program: &[u8], script: Option<&[u8]>) -> Vec<u8> {
    match script {
        Some(script) => [program, b" (", file_name(script), b")"].concat(),
        None => program.to_vec(),
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Returns the heading of a column, with the time zone if the column has times.
fn heading(head: Head, zone: &Zone) -> String {
    match head.kind {
        ValueKind::Time => format!("{} ({})", head.heading, zone.name()),
        _ => head.heading.to_owned(),
    }
}

/// A grid for people: the same rows with readable values.
pub(super) struct Readable<'g> {
    pub(super) grid: &'g dyn Grid,
    pub(super) zone: &'g Zone,
    heads: Vec<Head>,
}

impl<'g> Readable<'g> {
    pub(super) fn new(grid: &'g dyn Grid, zone: &'g Zone) -> Readable<'g> {
        let heads = grid
            .heads()
            .into_iter()
            .map(|head| Head {
                heading: interned(heading(head, zone)),
                ..head
            })
            .collect();
        Readable { grid, zone, heads }
    }
}

/// Headings are static strings; the few that include the time zone are leaked, once each.
fn interned(text: String) -> &'static str {
    use std::sync::Mutex;
    static KNOWN: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let Ok(mut known) = KNOWN.lock() else { return "Time" };
    if let Some(found) = known.iter().find(|found| **found == text) {
        return found;
    }
    let text: &'static str = text.leak();
    known.push(text);
    text
}

impl Grid for Readable<'_> {
    fn heads(&self) -> Vec<Head> {
        self.heads.clone()
    }

    fn len(&self) -> usize {
        self.grid.len()
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        let mut column = 0;
        self.grid.row(at, &mut |value| {
            let name = self.heads.get(column).map_or("", |head| head.name);
            each(readable(name, value, self.zone));
            column += 1;
        });
    }

    fn least(&self, column: usize) -> usize {
        self.grid.least(column)
    }
}

/// Returns the value of a flow's column for a table, including details that only the whole flow has.
pub(super) fn of_flow<'r>(column: &Column<Flows>, row: &'r FlowRow<'_>) -> Value<'r> {
    let value = (column.get)(row);
    match (column.name, value, &row.flow.process) {
        ("program", Value::Text(program), Some(process)) if process.script.is_some() => {
            Value::text(with_script(&program, process.script.as_deref()))
        }
        ("duration", Value::Number(millis), _) if !row.flow.begun => Value::AtLeast(millis),
        (_, value, _) => value,
    }
}

/// Returns those columns of a listing for people that fit into `width`, by usefulness, in their usual order.
pub(super) fn columns_that_fit(all: Vec<&'static Column<Flows>>, width: Option<u16>) -> Vec<&'static Column<Flows>> {
    /// By usefulness, with the width of most values.
    const BY_USE: [(&str, usize); 10] = [
        ("first", 19),
        ("program", 16),
        ("foreign", 21),
        ("sent", 8),
        ("received", 8),
        ("direction", 6),
        ("duration", 8),
        ("pid", 7),
        ("protocol", 5),
        ("local", 21),
    ];
    let Some(width) = width else { return all };
    let mut left = usize::from(width);
    let mut chosen: Vec<&str> = Vec::new();
    for (name, needed) in BY_USE {
        let needed = needed + if chosen.is_empty() { 0 } else { 2 };
        if chosen.len() > 2 && needed > left {
            break;
        }
        left = left.saturating_sub(needed);
        chosen.push(name);
    }
    all.into_iter().filter(|column| chosen.contains(&column.name)).collect()
}

/// Returns the name of a flow's program for a summary, with its script; `None` if the process is unknown.
pub(super) fn program_of(flow: &Flow) -> Option<Vec<u8>> {
    let process = flow.process.as_ref()?;
    Some(with_script(process.program.shown(), process.script.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_span_is_short_in_every_unit() {
        for (millis, shown) in [
            (0, "0 ms"),
            (412, "412 ms"),
            (2_190, "2.1 s"),
            (485_000, "8m 05s"),
            (11_520_000, "3h 12m"),
            (187_200_000, "2d 04h"),
            (u64::MAX, "213503982334d 14h"),
        ] {
            assert_eq!(short_span(millis), shown);
        }
    }

    #[test]
    fn moment_summer_time_is_marked_in_winter() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let winter = 1_795_834_200_000;
        let zone = Zone::of(berlin, winter);
        assert_eq!(zone.name(), "CET");
        assert_eq!(zone.moment(winter), "2026-11-28 03:50:00");
        assert_eq!(zone.moment(winter - 150 * 86_400_000), "2026-07-01 04:50:00 CEST");
        assert_eq!(zone.moment(i64::MAX), "out of range");
    }

    #[test]
    fn readable_numbers_have_units() {
        let zone = Zone::of(TimeZone::UTC, 0);
        let cell = |name: &str, value: Value<'static>| {
            let mut out = Vec::new();
            readable(name, value, &zone).push_cell(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(cell("sent", Value::Number(973_474_036)), "973 MB");
        assert_eq!(cell("sent", Value::AtLeast(1_000)), ">=1.0 kB");
        assert_eq!(cell("duration", Value::AtLeast(422_396)), ">=7m 02s");
        assert_eq!(cell("rtt", Value::Number(20_100)), "20.1 ms");
        assert_eq!(cell("pid", Value::Number(4_711)), "4711");
        assert_eq!(cell("first", Value::Time(0)), "1970-01-01 00:00:00");
    }

    #[test]
    fn columns_that_fit_narrow_terminal_keeps_the_useful_ones() {
        let names = |width| -> Vec<&str> {
            let all = netstat_model::columns::named::<Flows>(netstat_record::DEFAULT_TEXT);
            columns_that_fit(all, width).iter().map(|column| column.name).collect()
        };
        assert_eq!(names(Some(80)), ["first", "program", "foreign", "sent", "received"]);
        assert_eq!(names(None).len(), netstat_record::DEFAULT_TEXT.len());
        assert_eq!(names(Some(200)).len(), netstat_record::DEFAULT_TEXT.len());
        assert_eq!(names(Some(10)), ["first", "program", "foreign"]);
    }
}
