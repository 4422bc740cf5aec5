//! The time that a socket has been in its state, and the source of that time.

/// How long a socket has been in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTime {
    /// The time in milliseconds.
    pub millis: u64,
    /// The source of the time.
    pub from: TimeFrom,
}

/// The source of the time a socket has been in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeFrom {
    /// The kernel's TIME_WAIT timer: exact.
    Kernel,
    /// A record that contains the event by which the socket entered the state: exact.
    RecordedChange,
    /// A record that has seen the socket in the state: a lower bound.
    Record,
    /// The earliest of an unbroken series of snapshots that show the socket in the state: a lower bound.
    Looks,
}

impl StateTime {
    /// Whether the time is exact; otherwise it is a lower bound.
    pub const fn is_exact(self) -> bool {
        matches!(self.from, TimeFrom::Kernel | TimeFrom::RecordedChange)
    }
}

impl TimeFrom {
    /// Returns the name used in JSON and CSV: `kernel`, `record` or `looks`.
    pub const fn name(self) -> &'static str {
        match self {
            TimeFrom::Kernel => "kernel",
            TimeFrom::RecordedChange | TimeFrom::Record => "record",
            TimeFrom::Looks => "looks",
        }
    }
}
