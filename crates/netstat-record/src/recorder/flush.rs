//! Writes what a recorder holds into its store.

use std::time::{Duration, SystemTime};

use super::{Flushed, IN_PLACE, LATE, NO_STORE, Open, RETRY, ROUND, Recorder, millis};
use crate::clock::{CLOCK_JUMP, Reading, StoreClock};
use crate::flow::Millis;
use crate::past::CLOCK_WAS_SET;
use crate::store::{Batch, StoreError};

impl Recorder {
    /// Writes everything that is due at `since_boot` (nanoseconds since boot) and `wall` (the time of day), in one
    /// transaction. If the store has no room or its device fails, the recorder pauses, and what ends meanwhile waits in
    /// memory as far as there is room.
    ///
    /// # Errors
    /// Returns an error for a failure that is not temporary.
    pub fn flush(&mut self, since_boot: u64, wall: SystemTime) -> Result<Flushed, StoreError> {
        let now = millis(wall);
        let begun_anew = self.stay_in_place(since_boot, now)?;
        self.see_clock(since_boot, now)?;
        if let Some((_, again)) = self.paused
            && since_boot < again
        {
            return Ok(Flushed {
                paused: true,
                begun_anew,
                ..Flushed::default()
            });
        }
        self.finish_late(since_boot);
        let was_paused = self.paused;
        if was_paused.is_none() && self.lost_flows > 0 {
            let lost = std::mem::take(&mut self.lost_flows);
            let reason = "more connections at once than there was memory for";
            self.lost(self.flushed.unwrap_or(now), now, reason, Some(lost));
        }
        match self.write(since_boot, now) {
            Ok(rows) => {
                self.paused = None;
                self.flushed = Some(now);
                self.make_room();
                Ok(Flushed {
                    rows,
                    paused: false,
                    resumed: was_paused.map(|_| std::mem::take(&mut self.lost_flows)),
                    begun_anew,
                })
            }
            Err(error) if error.is_temporary() => {
                self.run += 1;
                // The write-ahead log may be what fills the device.
                let _ = self.writer()?.shorten_log();
                let since = was_paused.map_or(now, |(since, _)| since);
                self.paused = Some((since, since_boot + RETRY));
                Ok(Flushed {
                    paused: true,
                    begun_anew,
                    ..Flushed::default()
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Finishes the ended flows that have waited long enough for their owner.
    fn finish_late(&mut self, since_boot: u64) {
        let waited: Vec<u64> = self
            .late
            .iter()
            .filter(|(_, open)| {
                let ended = open.since.saturating_add(open.flow.span.saturating_mul(1_000_000));
                since_boot.saturating_sub(ended) > LATE
            })
            .map(|(key, _)| *key)
            .collect();
        for key in waited {
            if let Some(open) = self.late.remove(&key) {
                self.finish(open);
            }
        }
    }

    /// Creates the store anew if it was deleted, moved or replaced, and returns whether it did. What was written since
    /// the last check may be lost, which is recorded as a gap in the new store; open flows are written to it.
    fn stay_in_place(&mut self, since_boot: u64, now: Millis) -> Result<bool, StoreError> {
        if since_boot.saturating_sub(self.looked) < IN_PLACE && self.writer.is_some() {
            return Ok(false);
        }
        let last_look = self.looked;
        self.looked = since_boot;
        if self.writer()?.is_in_place() {
            return Ok(false);
        }
        let Some(old) = self.writer.take() else {
            return Ok(false);
        };
        self.writer = Some(old.open_anew()?);
        self.run += 1;
        self.spilled = false;
        self.alive = None;
        self.left_open = self.writer()?.left_open()?;
        self.beat.clear();
        let flows = self
            .open
            .values_mut()
            .chain(self.late.values_mut())
            .chain(self.done.iter_mut());
        for open in flows {
            (open.row, open.written) = (None, 0);
        }
        self.fresh = self.open.keys().copied().collect();
        let unseen = i64::try_from(since_boot.saturating_sub(last_look) / 1_000_000).unwrap_or(0);
        let reason = "the store was deleted, moved or replaced, and begun anew";
        self.lost(now.saturating_sub(unseen), now, reason, None);
        Ok(true)
    }

    /// Reads the clocks. A jump of the time of day is recorded as a gap, because times before and after it are not
    /// comparable. So is, at the first flush, the time since another recorder last wrote.
    fn see_clock(&mut self, since_boot: u64, now: Millis) -> Result<(), StoreError> {
        let since_boot = i64::try_from(since_boot / 1_000_000).unwrap_or(i64::MAX);
        if let Some(clock) = &mut self.clock {
            let jump = clock.advance(since_boot, now);
            self.note_jump(jump, now);
            return Ok(());
        }
        let writer = self.writer()?;
        let (stored, earlier) = (writer.clock()?, writer.last_alive()?);
        self.clock = Some(StoreClock::start(stored, earlier, since_boot, now));
        if let Some(stored) = stored {
            let passed = match stored.same_boot {
                true => since_boot.saturating_sub(stored.since_boot).max(0),
                // How long the computer was off is unknown, but it cannot be negative.
                false => now.saturating_sub(stored.wall).max(0),
            };
            let jump = now.saturating_sub(stored.wall).saturating_sub(passed);
            self.note_jump(if jump.saturating_abs() > CLOCK_JUMP { jump } else { 0 }, now);
        }
        if let Some(earlier) = earlier
            && earlier < now
        {
            self.gaps
                .push((earlier, now, "no recorder was at work".to_owned(), None));
        }
        Ok(())
    }

    fn note_jump(&mut self, jump: i64, now: Millis) {
        if jump == 0 {
            return;
        }
        let seconds = Duration::from_millis(jump.unsigned_abs()).as_secs_f64();
        let way = if jump > 0 { "forward" } else { "back" };
        let before = now.saturating_sub(jump);
        self.gaps.push((
            now.min(before),
            now.max(before),
            format!("{CLOCK_WAS_SET} {way} by {seconds:.1} s"),
            None,
        ));
    }

    /// Returns the last reading of the clock; before the first one there is only the time of day.
    fn reading(&self, now: Millis) -> Reading {
        let unread = Reading {
            since_boot: 0,
            wall: now,
            sense: now,
        };
        self.clock.map_or(unread, |clock| clock.reading())
    }

    fn write(&mut self, since_boot: u64, now: Millis) -> Result<u64, StoreError> {
        if self.beats(since_boot) {
            self.begin_beat(since_boot, self.every / 2);
        }
        let nothing = self.done.is_empty() && self.fresh.is_empty() && self.gaps.is_empty();
        let told = self
            .alive
            .is_some_and(|told| since_boot.saturating_sub(told) < self.every);
        if nothing && told && self.beat.is_empty() && self.paused.is_none() {
            return Ok(0);
        }
        let clock = self.reading(now);
        let Recorder {
            writer,
            open,
            fresh,
            done,
            gaps,
            paused,
            run,
            beat,
            lost_flows,
            ..
        } = self;
        let writer = writer.as_mut().ok_or(StoreError::Damaged(NO_STORE))?;
        let mut batch = writer.batch()?;
        batch.alive(&clock)?;
        let mut rows = 0;
        for one in done.iter() {
            put(&mut batch, one, *run)?;
            rows += 1;
        }
        let mut numbered = Vec::new();
        for key in fresh.iter() {
            if let Some(one) = open.get(key).filter(|one| one.row.is_none()) {
                numbered.push((*key, put(&mut batch, one, *run)?));
                rows += 1;
            }
        }
        let later = beat.len().saturating_sub(ROUND);
        for key in beat[later..].iter().rev() {
            if let Some(one) = open.get(key).filter(|one| one.row.is_some()) {
                let mut still = one.clone();
                still.flow.span = since_boot.saturating_sub(one.since) / 1_000_000;
                put(&mut batch, &still, *run)?;
                rows += 1;
            }
        }
        for (since, until, reason, count) in gaps.iter() {
            batch.gap(*since, *until, reason, *count)?;
        }
        if let Some((since, _)) = paused {
            batch.gap(
                *since,
                now,
                "the store took nothing: no room, or the device failed",
                Some(*lost_flows),
            )?;
        }
        batch.commit()?;
        self.alive = Some(since_boot);
        done.clear();
        fresh.clear();
        gaps.clear();
        for (key, row) in numbered {
            if let Some(one) = open.get_mut(&key) {
                one.row = Some(row);
                one.written = since_boot;
            }
        }
        for key in beat.drain(later..) {
            if let Some(one) = open.get_mut(&key) {
                one.written = since_boot;
            }
        }
        Ok(rows)
    }

    /// Brings every open flow up to date and writes everything, for a clean stop.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn stop(&mut self, since_boot: u64, wall: SystemTime) -> Result<Flushed, StoreError> {
        let late: Vec<Box<Open>> = self.late.drain().map(|(_, open)| open).collect();
        for open in late {
            self.finish(open);
        }
        self.paused = self.paused.map(|(since, _)| (since, 0));
        // Flows without a row get one before that.
        self.begin_beat(since_boot, 0);
        self.alive = None;
        let mut last = self.flush(since_boot, wall)?;
        while !last.paused && !self.beat.is_empty() {
            let next = self.flush(since_boot, wall)?;
            last = Flushed {
                rows: last.rows + next.rows,
                ..next
            };
        }
        Ok(last)
    }
}

/// Writes one flow and returns its row number.
fn put(batch: &mut Batch<'_>, one: &Open, run: u32) -> Result<i64, StoreError> {
    let mut flow = one.flow.clone();
    if let Some(described) = &one.process {
        let number = match described.number.get() {
            Some((given, number)) if given == run => number,
            _ => {
                let number = batch.process(described.pid, described.start_ticks, &described.facts)?;
                described.number.set(Some((run, number)));
                number
            }
        };
        flow.process = Some(number);
    }
    match one.row {
        Some(row) => {
            batch.update(row, &flow, one.cookie)?;
            Ok(row)
        }
        None => batch.insert(&flow, one.cookie.filter(|_| !flow.closed)),
    }
}
