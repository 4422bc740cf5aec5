//! Words about time and size, and where the record is: what `record` and `history` share.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::context::Failure;

/// Which store.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreArgs {
    /// the file of the record [default: $XDG_STATE_HOME/netstat/record.db or ~/.local/state/netstat/record.db; of root
    /// /var/lib/netstat/record.db]
    #[arg(long, value_name = "PATH", alias = "history")]
    store: Option<PathBuf>,
}

impl StoreArgs {
    /// Where a record may be that is of use and need not be there.
    pub(crate) fn places(&self, root: bool) -> Vec<PathBuf> {
        crate::recall::places(self.store.as_deref(), root)
    }

    /// Whether a file was named.
    pub(crate) fn is_named(&self) -> bool {
        self.store.is_some()
    }

    /// The file's path.
    ///
    /// # Errors
    /// When none is named and there is no usual place.
    pub(crate) fn path(&self, root: bool) -> Result<PathBuf, Failure> {
        self.store
            .clone()
            .or_else(|| netstat_record::default_path(root, |name| std::env::var_os(name)))
            .ok_or_else(|| {
                Failure::Usage("there is no HOME to keep a record in: name a file with --store PATH".to_owned())
            })
    }
}

/// A length of time: `90s`, `15m`, `12h`, `30d`, `2w`.
pub(crate) fn duration(word: &str) -> Result<Duration, String> {
    let help = || "is no length of time: use 90s, 15m, 12h, 30d or 2w".to_owned();
    let unit = word.chars().last().ok_or_else(help)?;
    let seconds = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3_600.0,
        'd' => 86_400.0,
        'w' => 604_800.0,
        _ => return Err(help()),
    };
    let number = &word[..word.len() - unit.len_utf8()];
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| plain).ok_or_else(help)?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|duration| !duration.is_zero() && duration.as_secs() <= 100 * 366 * 86_400)
        .ok_or_else(help)
}

/// A size in bytes: `500MB`, `2GB`, `1GiB`; at least 1 MB.
pub(crate) fn size(word: &str) -> Result<u64, String> {
    let help = || "is no size: use 500MB, 2GB or 1GiB, at least 1MB".to_owned();
    let at = word.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(help)?;
    let (number, unit) = word.split_at(at);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(help()),
    };
    let number: u64 = number.parse().map_err(|_| help())?;
    number
        .checked_mul(factor)
        .filter(|bytes| *bytes >= 1_000_000)
        .ok_or_else(help)
}

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// As far back as there is anything.
    All,
    /// So long before now.
    Ago(Duration),
    /// At this moment, in milliseconds since 1970 in UTC.
    At(i64),
}

impl When {
    /// In milliseconds since 1970 in UTC; `None` for all.
    pub(crate) fn millis(self, now: SystemTime) -> Option<i64> {
        match self {
            When::All => None,
            When::Ago(ago) => Some(netstat_record::millis(
                now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
            )),
            When::At(at) => Some(at),
        }
    }
}

/// `1d`, `all`, `2026-11-22`, `2026-11-22T03:00` (in the local time zone) or with an offset: `2026-11-22T03:00:00Z`.
pub(crate) fn when(word: &str) -> Result<When, String> {
    if word.eq_ignore_ascii_case("all") {
        return Ok(When::All);
    }
    if let Ok(ago) = duration(word) {
        return Ok(When::Ago(ago));
    }
    if let Ok(moment) = word.parse::<jiff::Timestamp>() {
        return Ok(When::At(moment.as_millisecond()));
    }
    let local = word
        .parse::<DateTime>()
        .or_else(|_| word.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        .and_then(|moment| moment.to_zoned(TimeZone::system()));
    match local {
        Ok(moment) => Ok(When::At(moment.timestamp().as_millisecond())),
        Err(_) => Err("is no moment: use 12h, 30d, all, 2026-11-22 or 2026-11-22T03:00".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for bad in ["", "s", "10", "-1s", "0s", "1e9d", "1y", "99999999w", "infs", "1 s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("2GB"), Ok(2_000_000_000));
        assert_eq!(size("1gib"), Ok(1 << 30));
        for bad in ["", "GB", "10", "1KB", "0MB", "99999999999999TB", "1.5GB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!(when("ALL"), Ok(When::All));
        assert_eq!(when("1d"), Ok(When::Ago(Duration::from_secs(86_400))));
        assert_eq!(when("1970-01-02T00:00:00Z"), Ok(When::At(86_400_000)));
        assert!(matches!(when("2026-11-22"), Ok(When::At(_))));
        assert!(matches!(when("2026-11-22T03:00"), Ok(When::At(_))));
        for bad in ["", "yesterday", "2026-13-01", "25:00"] {
            assert!(when(bad).unwrap_err().contains("is no moment"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_word_is_read_or_refused(word in ".{0,24}") {
            let _ = (duration(&word), size(&word), when(&word));
        }
    }
}
