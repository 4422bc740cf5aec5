use std::time::{Duration, SystemTime};

/// A source of the current time that can also wait.
pub trait Clock {
    /// Returns the current time.
    fn now(&mut self) -> SystemTime;
    /// Waits for `time`.
    fn wait(&mut self, time: Duration);
}
