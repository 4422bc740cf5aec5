//! A value that may be unknown, with the reason.

/// A fact about the system: known, or unknown for a reason.
///
/// A fact that could not be obtained is never 0, blank or left out: listings print `-` and can explain it with [`Why`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(untagged))]
pub enum Fact<T> {
    /// The value, as the system reported it.
    Known(T),
    /// The reason why the value is unknown.
    Unknown(Why),
}

/// How long to wait for a file system that may never answer (FUSE, NFS), in seconds. With a shorter limit, a busy
/// server or a disk that spins up would count as unresponsive.
pub const FILE_LIMIT_SECONDS: u64 = 2;

/// Why a fact is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Why {
    /// The query did not need it, so it was not read.
    NotAsked,
    /// This system does not keep it.
    NotKept,
    /// This system keeps it, but not for an object of this kind or in this state.
    NotApplicable,
    /// The running kernel is too old or was built without support for it.
    NotSupported,
    /// The caller lacks the privileges to read it.
    NotPermitted,
    /// There is nothing to report yet: no sample, no event.
    NotYet,
    /// There is no limit, so no number expresses it.
    Unlimited,
    /// The object ended before it could be read.
    Gone,
    /// Reading failed, or what was read made no sense.
    Failed,
    /// The file system did not answer within [`FILE_LIMIT_SECONDS`].
    NoAnswer,
    /// It was read, but the caller asked to leave it out of the output.
    LeftOut,
}

impl Why {
    /// Returns the reason in plain words, suitable to follow "unknown: ".
    pub const fn words(self) -> &'static str {
        match self {
            Why::NotAsked => "not asked for",
            Why::NotKept => "this system does not keep it",
            Why::NotApplicable => "does not apply here",
            Why::NotSupported => "the running kernel does not offer it",
            Why::NotPermitted => "not permitted",
            Why::NotYet => "nothing to tell yet",
            Why::Unlimited => "there is no limit",
            Why::Gone => "it ended meanwhile",
            Why::Failed => "it could not be read",
            Why::NoAnswer => "the file system did not answer within 2 s",
            Why::LeftOut => "left out (--redact)",
        }
    }
}

impl<T> Fact<T> {
    /// Returns the value, or `None` if it is unknown.
    pub fn known(self) -> Option<T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Unknown(_) => None,
        }
    }

    /// Returns the reason, or `None` if the value is known.
    pub const fn why(&self) -> Option<Why> {
        match self {
            Fact::Known(_) => None,
            Fact::Unknown(why) => Some(*why),
        }
    }

    /// Converts from `&Fact<T>` to `Fact<&T>`.
    pub const fn as_ref(&self) -> Fact<&T> {
        match self {
            Fact::Known(value) => Fact::Known(value),
            Fact::Unknown(why) => Fact::Unknown(*why),
        }
    }

    /// Applies `change` to a known value; an unknown fact keeps its reason.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Fact::Known(value) => Fact::Known(change(value)),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    /// Returns `Known` for `Some`, and `Unknown` with the reason `why` for `None`.
    pub fn from_option(value: Option<T>, why: Why) -> Self {
        match value {
            Some(value) => Fact::Known(value),
            None => Fact::Unknown(why),
        }
    }
}
