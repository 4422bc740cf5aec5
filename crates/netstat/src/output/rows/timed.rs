//! Rows with a leading column for the time of their sample.

use std::time::SystemTime;

use netstat_model::columns::{Value, ValueKind};

use super::{Grid, Head};

/// A grid whose rows begin with a time, unless they already have one.
pub struct Timed<'a> {
    grid: &'a dyn Grid,
    /// Milliseconds since the Unix epoch (UTC); `None` if the rows have a time of their own.
    time: Option<i64>,
}

impl<'a> Timed<'a> {
    /// Wraps the rows of `grid`, which were read at `time`.
    pub fn new(grid: &'a dyn Grid, time: SystemTime) -> Timed<'a> {
        let own = grid.heads().iter().any(|head| head.name == "time");
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let milliseconds = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timed {
            grid,
            time: (!own).then_some(milliseconds),
        }
    }
}

impl Grid for Timed<'_> {
    fn heads(&self) -> Vec<Head> {
        let time = self.time.map(|_| Head {
            name: "time",
            heading: "Time",
            kind: ValueKind::Time,
        });
        time.into_iter().chain(self.grid.heads()).collect()
    }

    fn len(&self) -> usize {
        self.grid.len()
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        if let Some(time) = self.time {
            each(Value::Time(time));
        }
        self.grid.row(at, each);
    }
}
