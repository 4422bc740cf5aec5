//! Implementations of the clock that an audit runs by.

use std::time::{Duration, Instant, SystemTime};

use netstat_audit::Clock;

/// A clock that uses the functions of a [`Context`](super::Context).
pub(crate) struct ContextClock<'a> {
    pub(crate) now: &'a mut dyn FnMut() -> SystemTime,
    pub(crate) wait_until: &'a mut dyn FnMut(Instant),
}

impl Clock for ContextClock<'_> {
    fn now(&mut self) -> SystemTime {
        (self.now)()
    }

    fn wait(&mut self, time: Duration) {
        (self.wait_until)(Instant::now() + time);
    }
}

/// The clock of the running system, for threads that have no context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&mut self) -> SystemTime {
        SystemTime::now()
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}
