//! Conversions for FILETIME: units of 100 ns since 1601-01-01 00:00 UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The FILETIME of 1970-01-01 (11,644,473,600 seconds after 1601-01-01).
const EPOCH: u64 = 116_444_736_000_000_000;

/// The number of FILETIME units in a second, which is the clock tick of all process times on Windows.
pub const TICKS_PER_SECOND: u64 = 10_000_000;

/// Converts a FILETIME to a system time; `None` before 1970.
pub fn wall(filetime: u64) -> Option<SystemTime> {
    let ticks = filetime.checked_sub(EPOCH)?;
    UNIX_EPOCH.checked_add(span(ticks))
}

/// Converts a system time to a FILETIME; 0 before 1970.
pub fn filetime(moment: SystemTime) -> u64 {
    let Ok(since) = moment.duration_since(UNIX_EPOCH) else {
        return 0;
    };
    u64::try_from(since.as_nanos() / 100).map_or(u64::MAX, |ticks| ticks.saturating_add(EPOCH))
}

/// Converts a number of ticks to a duration.
pub(super) fn span(ticks: u64) -> Duration {
    Duration::new(ticks / TICKS_PER_SECOND, (ticks % TICKS_PER_SECOND) as u32 * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filetimes_and_moments_convert_both_ways() {
        // 2024-01-01 00:00:00 UTC.
        let moment = UNIX_EPOCH + Duration::from_secs(1_704_067_200);
        assert_eq!(filetime(moment), 133_485_408_000_000_000);
        assert_eq!(wall(133_485_408_000_000_000), Some(moment));
        assert_eq!(wall(5), None);
        assert_eq!(span(15_000_001), Duration::from_nanos(1_500_000_100));
    }
}
