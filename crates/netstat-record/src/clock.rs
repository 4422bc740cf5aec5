//! The store's own sense of time, which decides when old flows are removed.
//!
//! The time of day may be wrong: a computer without a battery starts in 1970, a typing error sets the year 2036.
//! Removing old flows by it could lose the whole record within an hour. The store therefore has a clock of its own,
//! which advances with the time since boot. It follows the time of day slowly, by at most a day per hour, and not at
//! all during the first hour after a jump. A wrong clock can thus cost at most a day's worth of the oldest flows for
//! each hour that it stays wrong, beginning with the second.

use crate::flow::Millis;

/// The difference that is followed at once, in milliseconds: it allows for the gradual corrections of a time service.
pub(crate) const CLOCK_JUMP: i64 = 2_000;
/// One hour in milliseconds: how long a jump is only watched.
const HOUR: i64 = 3_600_000;
/// How much faster than time itself the store's clock may run; together they make a day per hour.
const CATCHING_UP: i64 = 23;

/// The clock readings that a store has saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredClock {
    /// Whether they were saved during this boot, so that the time since boot has continued from there.
    pub(crate) same_boot: bool,
    /// The time since boot, in milliseconds.
    pub(crate) since_boot: i64,
    /// The time of day.
    pub(crate) wall: Millis,
    /// The store's own time.
    pub(crate) sense: Millis,
}

/// The readings of all clocks at one point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The time since boot, in milliseconds.
    pub(crate) since_boot: i64,
    /// The time of day.
    pub(crate) wall: Millis,
    /// The store's own time.
    pub(crate) sense: Millis,
}

/// The store's clock while a recorder is running.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreClock {
    last: Reading,
    /// When the time of day was last seen to jump, in milliseconds since boot; `None` if it has not, or is followed
    /// again.
    jumped: Option<i64>,
}

impl StoreClock {
    /// Starts the clock for a recorder. `last_alive` is the time when an earlier version last wrote.
    pub(crate) fn start(
        stored: Option<StoredClock>,
        last_alive: Option<Millis>,
        since_boot: i64,
        wall: Millis,
    ) -> StoreClock {
        let sense = match stored {
            Some(stored) if stored.same_boot && since_boot >= stored.since_boot => {
                stored.sense.saturating_add(since_boot - stored.since_boot)
            }
            Some(stored) => stored.sense,
            None => last_alive.unwrap_or(wall).min(wall),
        };
        let far = wall.saturating_sub(sense).saturating_abs() > HOUR;
        StoreClock {
            last: Reading {
                since_boot,
                wall,
                sense,
            },
            jumped: far.then_some(since_boot),
        }
    }

    /// Advances to the current time. Returns by how much the time of day has jumped since the last call, in
    /// milliseconds; 0 if it has not.
    pub(crate) fn advance(&mut self, since_boot: i64, wall: Millis) -> i64 {
        let passed = since_boot.saturating_sub(self.last.since_boot).max(0);
        let jump = wall.saturating_sub(self.last.wall).saturating_sub(passed);
        let jump = if jump.saturating_abs() > CLOCK_JUMP { jump } else { 0 };
        if jump != 0 {
            self.jumped = Some(since_boot);
        }
        let mut sense = self.last.sense.saturating_add(passed);
        let off = wall.saturating_sub(sense);
        let watching = self
            .jumped
            .is_some_and(|jumped| since_boot.saturating_sub(jumped) < HOUR);
        if off.saturating_abs() <= CLOCK_JUMP {
            sense = wall;
            self.jumped = None;
        } else if !watching {
            let most = passed.saturating_mul(CATCHING_UP);
            sense = sense.saturating_add(off.clamp(-most, most));
        }
        self.last = Reading {
            since_boot: since_boot.max(self.last.since_boot),
            wall,
            sense,
        };
        jump
    }

    /// Returns the last readings of the clocks.
    pub(crate) fn reading(&self) -> Reading {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = 1_700_000_000_000;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn store_clock_with_time_set_ahead_moves_at_most_a_day_an_hour() {
        let mut clock = StoreClock::start(None, None, 0, NOW);
        assert_eq!(clock.advance(1_000, NOW + 1_000), 0);
        let ahead = 3_650 * DAY;
        assert_eq!(clock.advance(2_000, NOW + 2_000 + ahead), ahead);
        for second in 3..=3_600 {
            clock.advance(second * 1_000, NOW + second * 1_000 + ahead);
        }
        assert_eq!(
            clock.reading().sense,
            NOW + HOUR,
            "an hour after the jump nothing has moved"
        );
        for second in 3_601..=7_202 {
            clock.advance(second * 1_000, NOW + second * 1_000 + ahead);
        }
        let moved = clock.reading().sense - NOW - 7_202_000;
        assert!((22 * HOUR..=24 * HOUR).contains(&moved), "{moved}");
        // After the clock is corrected, the store's time returns as slowly and then follows the time of day.
        for second in 7_203..=3 * 3_600 + 7_203 {
            clock.advance(second * 1_000, NOW + second * 1_000);
        }
        assert_eq!(clock.reading().sense, clock.reading().wall);
    }

    #[test]
    fn store_clock_in_same_boot_continues_by_time_since_boot() {
        let stored = StoredClock {
            same_boot: true,
            since_boot: 10_000,
            wall: NOW,
            sense: NOW,
        };
        // The time of day was set back by a year between two recorders.
        let clock = StoreClock::start(Some(stored), None, 15_000, NOW - 365 * DAY);
        assert_eq!(clock.reading().sense, NOW + 5_000);
        let other = StoredClock {
            same_boot: false,
            ..stored
        };
        let clock = StoreClock::start(Some(other), None, 15_000, NOW + 365 * DAY);
        assert_eq!(clock.reading().sense, NOW, "how long it was off nobody knows");
        let older = StoreClock::start(None, Some(NOW), 15_000, NOW + 365 * DAY);
        assert_eq!(older.reading().sense, NOW);
    }

    proptest! {
        #[test]
        fn store_clock_with_any_time_of_day_moves_at_most_a_day_an_hour(steps in proptest::collection::vec((0i64..100_000, any::<i64>()), 1..50)) {
            let mut clock = StoreClock::start(None, None, 0, NOW);
            let mut since_boot = 0;
            for (passed, wall) in steps {
                since_boot += passed;
                let before = clock.reading().sense;
                clock.advance(since_boot, wall / 4);
                let moved = i128::from(clock.reading().sense) - i128::from(before);
                prop_assert!(moved.abs() <= i128::from(passed) * 24 + i128::from(CLOCK_JUMP), "{}", moved);
            }
        }
    }
}
