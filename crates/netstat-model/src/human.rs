//! Formats sizes, durations and ages for users.

use std::time::{Duration, SystemTime};

/// Formats a number of bytes with about three digits, in powers of 1000: `0 B`, `999 B`, `1.2 kB`, `23 MB`.
pub fn bytes(number: u64) -> String {
    size(number as f64)
}

/// Formats a number of bytes per second: `1.2 kB/s`.
pub fn bytes_per_second(rate: f64) -> String {
    format!("{}/s", size(rate))
}

fn size(number: f64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = number.max(0.0);
    let mut unit = 0;
    // A value that would be rounded to 1000 belongs to the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 9.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Formats a duration in its largest unit, rounded down like an age: `1 second`, `3 minutes`, `2 days`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0 => (time.subsec_millis().into(), "millisecond"),
        1..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        172_800..63_072_000 => (seconds / 86_400, "day"),
        _ => (seconds / 31_557_600, "year"),
    };
    plural(number, unit)
}

/// Formats a duration in a few characters, rounded down: `<1 ms`, `250 ms`, `2.1 s`, `8 min`, `3 h`, `2 d`.
pub fn short_span(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.as_millis());
    match seconds {
        0 if millis == 0 => "<1 ms".to_owned(),
        0 => format!("{millis} ms"),
        1..120 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Formats a number with a noun: `1 thread`, `2 threads`.
pub fn plural(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Formats how long ago `then` was: `3 minutes ago`; `just now` within a second, and `in the future` if the clock was
/// set back since.
pub fn ago(then: SystemTime, now: SystemTime) -> String {
    match now.duration_since(then) {
        Ok(age) if age < Duration::from_secs(1) => "just now".to_owned(),
        Ok(age) => format!("{} ago", span(age)),
        // Readings of two clocks may differ by a tick.
        Err(error) if error.duration() < Duration::from_secs(1) => "just now".to_owned(),
        Err(_) => "in the future".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (number, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_249, "1.2 kB"),
            (9_949, "9.9 kB"),
            (9_951, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(bytes(number), shown);
        }
        assert_eq!(bytes_per_second(0.4), "0 B/s");
    }

    #[test]
    fn short_span_is_rounded_down() {
        for (seconds, text) in [
            (0.0, "<1 ms"),
            (0.000_9, "<1 ms"),
            (0.25, "250 ms"),
            (2.19, "2.1 s"),
            (600.0, "10 min"),
            (9_000.0, "2 h"),
            (400_000.0, "4 d"),
        ] {
            assert_eq!(short_span(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn spans() {
        for (seconds, shown) in [
            (0.0, "0 milliseconds"),
            (0.25, "250 milliseconds"),
            (1.9, "1 second"),
            (119.0, "119 seconds"),
            (120.0, "2 minutes"),
            (7_199.0, "119 minutes"),
            (7_200.0, "2 hours"),
            (172_800.0, "2 days"),
            (63_072_000.0, "1 year"),
        ] {
            assert_eq!(span(Duration::from_secs_f64(seconds)), shown);
        }
    }

    #[test]
    fn ages() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now - Duration::from_secs(180), now), "3 minutes ago");
        assert_eq!(ago(now + Duration::from_millis(10), now), "just now");
        assert_eq!(ago(now + Duration::from_secs(10), now), "in the future");
    }
}
