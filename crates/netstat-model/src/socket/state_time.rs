//! How long a socket has been in its state, and how that is known.

/// How long a socket has been in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTime {
    /// Milliseconds.
    pub millis: u64,
    /// How it is known.
    pub from: TimeFrom,
}

/// How the time in a state is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeFrom {
    /// From the kernel's timer of TIME_WAIT: exact.
    Kernel,
    /// From a record of events that has the moment at which it came into the state: exact.
    RecordedChange,
    /// From a record that has seen it in the state before: it may be longer.
    Record,
    /// From snapshots, the earliest of an unbroken series that shows it in the state: it may be longer.
    Looks,
}

impl StateTime {
    /// Whether it came into the state that long ago; else it may be longer.
    pub const fn is_exact(self) -> bool {
        matches!(self.from, TimeFrom::Kernel | TimeFrom::RecordedChange)
    }
}

impl TimeFrom {
    /// Its name, as in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            TimeFrom::Kernel => "kernel",
            TimeFrom::RecordedChange | TimeFrom::Record => "record",
            TimeFrom::Looks => "looks",
        }
    }
}
