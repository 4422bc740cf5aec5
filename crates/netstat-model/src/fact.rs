//! A value that may not be had, with the reason why.

/// A fact about the system: known, or unknown for a reason.
///
/// A fact that could not be had is never 0, blank or left out: the view prints `-` and can say [`Why`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(untagged))]
pub enum Fact<T> {
    /// The system said so.
    Known(T),
    /// The system did not say, for this reason.
    Unknown(Why),
}

/// How long a file system that may never answer (FUSE, NFS) is waited for, in seconds. Shorter, and a busy server or a disk that spins up would count
/// as silent.
pub const FILE_LIMIT_SECONDS: u64 = 2;

/// Why a fact is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Why {
    /// The question did not need it, so it was not read.
    NotAsked,
    /// This system keeps no such figure.
    NotKept,
    /// This system keeps it for others, but not for an object in this state or of this kind.
    NotApplicable,
    /// The running kernel is too old, or built without it.
    NotSupported,
    /// The caller lacks the privilege to read it.
    NotPermitted,
    /// There is nothing to report yet: no sample, no event.
    NotYet,
    /// There is no limit, so no number says it.
    Unlimited,
    /// The object ended before it could be read.
    Gone,
    /// Reading failed, or what was read made no sense.
    Failed,
    /// The file system did not answer within [`FILE_LIMIT_SECONDS`].
    NoAnswer,
    /// It was read, but the caller wants it left out of what is written.
    LeftOut,
}

impl Why {
    /// The reason in plain words, to follow "unknown: ".
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
    /// The value, if known.
    pub fn known(self) -> Option<T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Unknown(_) => None,
        }
    }

    /// The reason, if unknown.
    pub const fn why(&self) -> Option<Why> {
        match self {
            Fact::Known(_) => None,
            Fact::Unknown(why) => Some(*why),
        }
    }

    /// The same fact about a reference to the value.
    pub const fn as_ref(&self) -> Fact<&T> {
        match self {
            Fact::Known(value) => Fact::Known(value),
            Fact::Unknown(why) => Fact::Unknown(*why),
        }
    }

    /// Applies `change` to a known value; an unknown one keeps its reason.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Fact::Known(value) => Fact::Known(change(value)),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    /// `Known` when there is a value, else unknown for `why`.
    pub fn from_option(value: Option<T>, why: Why) -> Self {
        match value {
            Some(value) => Fact::Known(value),
            None => Fact::Unknown(why),
        }
    }
}
