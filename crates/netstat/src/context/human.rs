//! Formats sizes, times and ages for people.

use std::time::SystemTime;

pub(crate) use netstat_model::human::{ago, bytes, bytes_per_second, plural, short_span, span};

/// Formats a moment in the local time zone, to the second: `2026-11-23 22:30:00`.
pub(crate) fn moment(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => time
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => "a moment out of all bounds".to_owned(),
    }
}
