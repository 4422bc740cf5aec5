//! Parses durations, times and sizes: one grammar for all switches and commands.

use std::time::{Duration, SystemTime};

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// The longest valid duration, a hundred years. A longer one is a typing error.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

/// The names of the units and their lengths in seconds. A year is missing because it has no fixed length.
const DURATIONS: [(&[&str], f64); 6] = [
    (&["ms", "millisecond", "milliseconds"], 0.001),
    (&["s", "sec", "second", "seconds"], 1.0),
    (&["m", "min", "minute", "minutes"], 60.0),
    (&["h", "hour", "hours"], 3_600.0),
    (&["d", "day", "days"], 86_400.0),
    (&["w", "week", "weeks"], 604_800.0),
];

/// Parses a duration: seconds (`5`, `0.5`) or numbers with units (`500ms`, `5s`, `1m30s`, `2 hours`). 0 is valid.
///
/// # Errors
/// Returns what is wrong, as the end of a sentence about `word`.
pub(crate) fn duration(word: &str) -> Result<Duration, String> {
    read_duration(word).ok_or_else(|| "is not a duration; for example: 5, 500ms, 1m30s, 12h or 30d".to_owned())
}

/// Parses a duration from `min` to `max`, both inclusive.
///
/// # Errors
/// Returns what is wrong, with the bounds, as the end of a sentence about `word`.
pub(crate) fn duration_within(word: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let bounded = read_duration(word).filter(|duration| (min..=max).contains(duration));
    bounded.ok_or_else(|| {
        format!(
            "is not a duration from {} to {}; for example: 5, 5s or 1m30s",
            short(min),
            short(max)
        )
    })
}

/// Parses a duration greater than 0.
///
/// # Errors
/// Returns what is wrong, as the end of a sentence about `word`.
pub(crate) fn positive_duration(word: &str) -> Result<Duration, String> {
    match duration(word)? {
        Duration::ZERO => Err("is not a duration longer than 0; for example: 5, 90s, 1m30s or 30d".to_owned()),
        duration => Ok(duration),
    }
}

/// Formats a duration in the form in which it is typed: `500ms`, `5s`.
fn short(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

fn read_duration(word: &str) -> Option<Duration> {
    let mut rest = word.trim();
    let mut seconds = 0.0;
    // Units must descend from left to right, each at most once.
    let mut last = f64::INFINITY;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let after = after.trim_start();
        let end = after
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let factor = match unit {
            // A number without a unit means seconds only if it stands alone.
            "" if last.is_infinite() && after.is_empty() => 1.0,
            unit => DURATIONS.iter().find(|(names, _)| names.contains(&unit))?.1,
        };
        if factor >= last {
            return None;
        }
        last = factor;
        seconds += number * factor;
        rest = after.trim_start();
    }
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|_| last.is_finite())?;
    (duration <= LONGEST).then_some(duration)
}

/// Splits `text` after the decimal number at its beginning. The parser of the standard library would also accept "inf",
/// "nan", "1e3" and "+1".
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let plain = number.starts_with(|letter: char| letter.is_ascii_digit()) && !number.ends_with('.');
    Some((number.parse().ok().filter(|_| plain)?, rest))
}

/// Parses a size in bytes of at least 1 MB: `500MB`, `2GB`, `1.5GiB`.
///
/// # Errors
/// Returns what is wrong, as the end of a sentence about `word`.
pub(crate) fn size(word: &str) -> Result<u64, String> {
    read_size(word)
        .filter(|bytes| *bytes >= 1_000_000)
        .ok_or_else(|| "is not a size of at least 1MB; for example: 500MB, 2GB or 1.5GiB".to_owned())
}

fn read_size(word: &str) -> Option<u64> {
    let (number, unit) = leading_number(word.trim())?;
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let bytes = number * factor as f64;
    // A float is exact up to 2^53 bytes (9 PB).
    (bytes <= (1_u64 << 53) as f64).then_some(bytes as u64)
}

/// A point in time as typed; its meaning may depend on the current time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The earliest time available.
    All,
    /// This long before the current time.
    Ago(Duration),
    /// A fixed time, in milliseconds since the Unix epoch (UTC).
    At(i64),
    /// A time on the day this many days before today, in the local time zone.
    DaysAgo(u8, Time),
    /// The most recent occurrence of this time of day, in the local time zone.
    Latest(Time),
}

impl When {
    /// Returns the time in milliseconds since the Unix epoch (UTC); `None` for [`When::All`].
    pub(crate) fn millis(self, now: SystemTime) -> Option<i64> {
        self.millis_in(now, TimeZone::system())
    }

    fn millis_in(self, now: SystemTime, zone: TimeZone) -> Option<i64> {
        let here = || {
            let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
            now.to_zoned(zone)
        };
        match self {
            When::All => None,
            When::Ago(ago) => Some(netstat_record::millis(
                now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
            )),
            When::At(at) => Some(at),
            When::DaysAgo(days, time) => on_day(&here(), days, time),
            When::Latest(time) => {
                let here = here();
                let days = u8::from(here.time() < time);
                on_day(&here, days, time)
            }
        }
    }
}

/// Returns `time` on the day that is `days` before the day of `here`, in milliseconds since the Unix epoch.
fn on_day(here: &Zoned, days: u8, time: Time) -> Option<i64> {
    let date = here.date().checked_sub(i64::from(days).days()).ok()?;
    let moment = date.to_datetime(time).to_zoned(here.time_zone().clone()).ok()?;
    Some(moment.timestamp().as_millisecond())
}

/// Parses a time: `2026-11-28`, `2026-11-28 03:50` or `03:50` (in the local time zone), `2026-11-28T03:50:00Z`,
/// `today`, `yesterday`, `yesterday 18:00`, `2h`, `2 hours ago`, `now`, `all`.
///
/// # Errors
/// Returns what is wrong, as the end of a sentence about `word`.
pub(crate) fn when(word: &str) -> Result<When, String> {
    read_when(word).ok_or_else(|| {
        "is not a time; for example: 2026-11-28, \"2026-11-28 03:50\", 03:50, yesterday, 12h, \"2 hours ago\" or all".to_owned()
    })
}

fn read_when(word: &str) -> Option<When> {
    let lower = word.trim().to_ascii_lowercase();
    match lower.as_str() {
        "all" => return Some(When::All),
        "now" => return Some(When::Ago(Duration::ZERO)),
        _ => {}
    }
    for (name, days) in [("today", 0), ("yesterday", 1)] {
        if let Some(rest) = lower.strip_prefix(name) {
            let time = match rest.trim_start() {
                "" => Time::midnight(),
                time if rest.starts_with(' ') => clock_time(time)?,
                _ => return None,
            };
            return Some(When::DaysAgo(days, time));
        }
    }
    let ago = lower.strip_suffix("ago").map_or(lower.as_str(), str::trim_end);
    // A bare number would be seconds, which is not what `--since 2026` means.
    if ago.ends_with(|letter: char| letter.is_ascii_alphabetic())
        && let Some(ago) = read_duration(ago)
    {
        return (!ago.is_zero()).then_some(When::Ago(ago));
    }
    if let Some(time) = clock_time(&lower) {
        return Some(When::Latest(time));
    }
    if let Ok(moment) = word.trim().parse::<Timestamp>() {
        return Some(When::At(moment.as_millisecond()));
    }
    let local = word
        .trim()
        .parse::<DateTime>()
        .or_else(|_| word.trim().parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        .and_then(|moment| moment.to_zoned(TimeZone::system()))
        .ok()?;
    Some(When::At(local.timestamp().as_millisecond()))
}

/// Parses `3:50`, `03:50` or `03:50:10`.
fn clock_time(word: &str) -> Option<Time> {
    let parts: Vec<&str> = word.split(':').collect();
    let plain = |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(plain) {
        return None;
    }
    let number = |at: usize| parts.get(at).map_or(Some(0), |part| part.parse::<i8>().ok());
    Time::new(number(0)?, number(1)?, number(2)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn duration_every_spelling_is_read() {
        for (word, millis) in [
            ("5", 5_000),
            ("0", 0),
            ("0.5", 500),
            ("5s", 5_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("0.5s", 500),
            ("12h", 12 * 3_600_000),
            ("30d", 30 * 86_400_000),
            ("2w", 14 * 86_400_000),
            ("2 hours", 7_200_000),
            ("1h 30min", 5_400_000),
        ] {
            assert_eq!(duration(word), Ok(Duration::from_millis(millis)), "{word}");
        }
    }

    #[test]
    fn duration_unknown_form_is_refused_with_examples() {
        for word in [
            "",
            "s",
            "-1s",
            "+1",
            "1e9d",
            "1y",
            "99999999w",
            "inf",
            "nan",
            "5.",
            ".5",
            "1.5.0",
            "1,5",
            "30s1m",
            "5s5s",
            "5m5",
        ] {
            assert!(
                duration(word)
                    .unwrap_err()
                    .contains("is not a duration; for example: 5, "),
                "{word}"
            );
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn duration_within_names_its_bounds() {
        let (min, max) = (Duration::from_millis(1), Duration::from_secs(3600));
        assert_eq!(duration_within("1h", min, max), Ok(max));
        for word in ["0", "2h", "x"] {
            let why = duration_within(word, min, max).unwrap_err();
            assert!(why.starts_with("is not a duration from 1ms to 3600s"), "{why}");
        }
    }

    #[test]
    fn size_every_spelling_is_read() {
        for (word, bytes) in [
            ("2GB", 2_000_000_000),
            ("1gib", 1 << 30),
            ("1.5G", 1_500_000_000),
            ("2000000", 2_000_000),
            ("5000 KB", 5_000_000),
        ] {
            assert_eq!(size(word), Ok(bytes), "{word}");
        }
        for word in [
            "",
            "GB",
            "10",
            "1KB",
            "0MB",
            "99999999999999TB",
            "-2GB",
            "1e9GB",
            "2GBs",
        ] {
            assert!(size(word).unwrap_err().contains("is not a size"), "{word}");
        }
    }

    #[test]
    fn when_every_spelling_is_read() {
        let hour = Duration::from_secs(3600);
        for (word, meant) in [
            ("ALL", When::All),
            ("now", When::Ago(Duration::ZERO)),
            ("1d", When::Ago(24 * hour)),
            ("2h", When::Ago(2 * hour)),
            ("2 hours ago", When::Ago(2 * hour)),
            ("1h30m ago", When::Ago(hour * 3 / 2)),
            ("1970-01-02T00:00:00Z", When::At(86_400_000)),
            ("today", When::DaysAgo(0, Time::midnight())),
            ("Yesterday", When::DaysAgo(1, Time::midnight())),
            ("yesterday 18:00", When::DaysAgo(1, Time::constant(18, 0, 0, 0))),
            ("03:50", When::Latest(Time::constant(3, 50, 0, 0))),
        ] {
            assert_eq!(when(word), Ok(meant), "{word}");
        }
        for word in ["2026-11-22", "2026-11-22T03:00", "2026-11-22 03:00"] {
            assert!(matches!(when(word), Ok(When::At(_))), "{word}");
        }
    }

    #[test]
    fn when_unknown_form_is_refused_with_examples() {
        for word in [
            "",
            "tomorrow",
            "2026",
            "2026-13-01",
            "25:00",
            "12:60",
            "todays",
            "ago",
            "0s",
            "1:2:3:4",
        ] {
            assert!(
                when(word).unwrap_err().contains("is not a time; for example: "),
                "{word}"
            );
        }
    }

    #[test]
    fn millis_words_are_relative_to_now_in_the_time_zone() {
        // In this zone, 2026-11-28T02:00Z is 03:00.
        let now = SystemTime::from("2026-11-28T02:00:00Z".parse::<Timestamp>().unwrap());
        let zone = || TimeZone::fixed(jiff::tz::offset(1));
        for (word, moment) in [
            ("today", "2026-11-27T23:00:00Z"),
            ("yesterday", "2026-11-26T23:00:00Z"),
            ("yesterday 18:00", "2026-11-27T17:00:00Z"),
            // This time is still to come today, so yesterday's is meant.
            ("03:50", "2026-11-27T02:50:00Z"),
            ("02:50", "2026-11-28T01:50:00Z"),
            ("2 hours ago", "2026-11-28T00:00:00Z"),
        ] {
            let expected = moment.parse::<Timestamp>().unwrap().as_millisecond();
            assert_eq!(when(word).unwrap().millis_in(now, zone()), Some(expected), "{word}");
        }
        assert_eq!(When::All.millis(now), None);
    }

    proptest! {
        #[test]
        fn any_word_is_read_or_refused(word in ".{0,24}") {
            let _ = (duration(&word), size(&word), when(&word));
        }

        #[test]
        fn duration_of_several_units_is_their_sum(hours in 0_u64..1000, minutes in 0_u64..1000, seconds in 0_u64..1000) {
            let word = format!("{hours}h{minutes}m{seconds}s");
            prop_assert_eq!(duration(&word), Ok(Duration::from_secs(hours * 3600 + minutes * 60 + seconds)));
        }
    }
}
