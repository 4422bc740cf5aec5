//! The packet loss of connections over the last minute: retransmitted segments as a share of all segments sent with
//! data.
//!
//! The kernel counts totals since a connection began. For each sending connection, four earlier readings are kept, at
//! least 20 seconds apart; the share covers what was sent since the oldest of them. It thus covers the last 60 to 80
//! seconds, or the time since the connection was first observed or began, whichever is shortest. If nothing was sent in
//! that time, the share is unknown. A segment that is retransmitted because its acknowledgement is missing counts as
//! lost, although it may have arrived.

use std::collections::HashMap;
use std::time::Duration;

use netstat_model::{Fact, Why};

use crate::sample::Segments;

/// The minimum time that a share covers, in milliseconds, if the connection has been observed for that long.
const SPAN: u32 = 60_000;
/// The time between two readings that are kept, in milliseconds.
const APART: u32 = 20_000;
/// The number of readings to keep for a connection.
const KEPT: usize = 4;

/// A reading: the time in milliseconds, and the counters.
#[derive(Clone, Copy, Debug, Default)]
struct Reading(u32, Segments);

/// The history of one connection, the oldest reading first.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    readings: [Reading; KEPT],
    length: u8,
}

impl Past {
    fn push(&mut self, reading: Reading) {
        if usize::from(self.length) == KEPT {
            self.drop_first();
        }
        self.readings[usize::from(self.length)] = reading;
        self.length += 1;
    }

    fn drop_first(&mut self) {
        self.readings.rotate_left(1);
        self.length -= 1;
    }
}

/// The histories of the connections that send.
#[derive(Debug, Default)]
pub(super) struct Losses(HashMap<u64, Past>);

fn milliseconds(at: Duration) -> u32 {
    // This wraps after 49 days, but only differences are used.
    at.as_millis() as u32
}

impl Losses {
    /// Returns the share for the connection `id`, read at `now`. `before` has the time of the previous reading, its
    /// counters, and whether the share was known then. A new connection had sent nothing before.
    pub(super) fn share(
        &mut self,
        id: u64,
        before: (Duration, Fact<Segments>, bool),
        now: (Duration, Fact<Segments>),
    ) -> Fact<f32> {
        let (then, before, was_known) = before;
        let (at, segments) = now;
        let (before, segments) = match (before, segments) {
            (Fact::Known(before), Fact::Known(segments)) => (before, segments),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => return Fact::Unknown(why),
        };
        // Most connections are idle.
        if before == segments && !was_known {
            return Fact::Unknown(Why::NotYet);
        }
        let now = milliseconds(at);
        let past = self.0.entry(id).or_default();
        if past.length == 0 {
            past.push(Reading(milliseconds(then), before));
        }
        while past.length > 1 && now.wrapping_sub(past.readings[1].0) >= SPAN {
            past.drop_first();
        }
        let Reading(_, oldest) = past.readings[0];
        if now.wrapping_sub(past.readings[usize::from(past.length) - 1].0) >= APART {
            past.push(Reading(now, segments));
        }
        let sent = segments.sent.wrapping_sub(oldest.sent);
        if sent == 0 {
            // When it sends again, the previous reading will do as well as these.
            self.0.remove(&id);
            return Fact::Unknown(Why::NotYet);
        }
        Fact::Known(segments.again.wrapping_sub(oldest.again) as f32 / sent as f32)
    }

    /// Discards the history of a connection.
    pub(super) fn forget(&mut self, id: u64) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(readings: &[(u64, u32, u32)]) -> Vec<Option<f32>> {
        let mut losses = Losses::default();
        let mut last = (Duration::ZERO, Fact::Known(Segments::default()), false);
        let mut shares = Vec::new();
        for &(second, sent, again) in readings {
            let now = (Duration::from_secs(second), Fact::Known(Segments { sent, again }));
            let share = losses.share(7, last, now);
            last = (now.0, now.1, share.known().is_some());
            shares.push(share.known());
        }
        shares
    }

    #[test]
    fn loss_is_share_of_last_minute() {
        // 10 of 100 are lost in the first second, none after that.
        let mut readings = vec![(1, 100, 10)];
        readings.extend((2..200).map(|second| (second, 100 + 10 * (second as u32 - 1), 10)));
        let shares = shares(&readings);
        assert_eq!(shares[0], Some(0.1));
        assert!(shares[30].is_some_and(|share| share > 0.02), "{:?}", shares[30]);
        let first_clean = shares.iter().position(|share| *share == Some(0.0)).unwrap();
        assert!((60..=81).contains(&first_clean), "{first_clean}");
        assert!(shares[first_clean..].iter().all(|share| *share == Some(0.0)));
    }

    #[test]
    fn loss_of_silent_connection_is_unknown_and_nothing_is_kept() {
        let silent: Vec<_> = (1..100).map(|second| (second, 0, 0)).collect();
        assert!(shares(&silent).iter().all(Option::is_none));
        let mut losses = Losses::default();
        let some = Fact::Known(Segments { sent: 50, again: 5 });
        let none = Fact::Known(Segments::default());
        let mut known = losses.share(1, (Duration::ZERO, none, false), (Duration::from_secs(1), some));
        assert_eq!(known, Fact::Known(0.1));
        for second in 2..100 {
            let before = (Duration::from_secs(second - 1), some, known.known().is_some());
            known = losses.share(1, before, (Duration::from_secs(second), some));
        }
        assert!(known.known().is_none() && losses.0.is_empty());
    }

    #[test]
    fn loss_ignores_segments_sent_before_watch() {
        let mut losses = Losses::default();
        let at = |second| Duration::from_secs(second);
        let reading = |sent, again| Fact::Known(Segments { sent, again });
        let share = losses.share(3, (at(10), reading(1000, 500), false), (at(11), reading(1010, 501)));
        assert_eq!(share, Fact::Known(0.1));
    }
}
