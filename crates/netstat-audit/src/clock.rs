use std::time::{Duration, SystemTime};

/// The time of day, and waiting.
pub trait Clock {
    /// The time of day.
    fn now(&mut self) -> SystemTime;
    /// Returns after `time`.
    fn wait(&mut self, time: Duration);
}
