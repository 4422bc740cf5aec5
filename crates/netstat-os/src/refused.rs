//! Why a question has no answer at all.

use std::fmt;
use std::io;

use netstat_model::text::plain_error;

/// What every question gets as an answer where no code for this system exists yet.
pub const NOT_SUPPORTED: &str = "not supported on this system yet";

/// The kind of a [`Refused`], for programs that act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedKind {
    /// This system, or the running kernel, does not offer it.
    NotSupported,
    /// The caller lacks the privilege.
    NotPermitted,
    /// What was asked about does not exist, or not any more.
    NotFound,
    /// The question itself makes no sense, such as a routing table by an unknown name.
    Invalid,
    /// Anything else: reading failed, or the answer was malformed.
    Failed,
}

impl RefusedKind {
    /// A stable name for machines: `not-supported`.
    pub const fn name(self) -> &'static str {
        match self {
            RefusedKind::NotSupported => "not-supported",
            RefusedKind::NotPermitted => "not-permitted",
            RefusedKind::NotFound => "not-found",
            RefusedKind::Invalid => "invalid",
            RefusedKind::Failed => "failed",
        }
    }
}

/// A question that this system cannot answer, or not to this caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What kind of failure it is.
    pub kind: RefusedKind,
    /// One line for people, without a full stop.
    pub message: String,
}

impl Refused {
    /// A refusal of this kind.
    pub fn new(kind: RefusedKind, message: impl Into<String>) -> Self {
        Refused {
            kind,
            message: message.into(),
        }
    }

    /// There is no code for it on this system: [`NOT_SUPPORTED`].
    pub fn not_supported() -> Self {
        Refused::new(RefusedKind::NotSupported, NOT_SUPPORTED)
    }

    /// A failure without a better kind.
    pub fn failed(message: impl Into<String>) -> Self {
        Refused::new(RefusedKind::Failed, message)
    }

    /// An error of the system, after `what` was tried; the kind follows the error's.
    pub fn from_io(what: impl fmt::Display, error: &io::Error) -> Self {
        Refused::new(kind_of(error), format!("{what}: {}", plain_error(&error)))
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::new(kind_of(&error), plain_error(&error))
    }
}

fn kind_of(error: &io::Error) -> RefusedKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => RefusedKind::NotPermitted,
        io::ErrorKind::Unsupported => RefusedKind::NotSupported,
        io::ErrorKind::NotFound => RefusedKind::NotFound,
        _ => RefusedKind::Failed,
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_from_io_keeps_kind_and_message() {
        for (error, kind) in [
            (io::ErrorKind::PermissionDenied, RefusedKind::NotPermitted),
            (io::ErrorKind::Unsupported, RefusedKind::NotSupported),
            (io::ErrorKind::NotFound, RefusedKind::NotFound),
            (io::ErrorKind::InvalidData, RefusedKind::Failed),
        ] {
            let refused = Refused::from_io("netlink", &error.into());
            assert_eq!(refused.kind, kind);
            assert!(refused.to_string().starts_with("netlink: "), "{refused}");
        }
        assert_eq!(Refused::not_supported().to_string(), NOT_SUPPORTED);
    }
}
