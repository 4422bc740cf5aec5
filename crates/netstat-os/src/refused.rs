//! The error for queries that have no answer at all.

use std::fmt;
use std::io;

use netstat_model::text::plain_error;

/// The message for every query on systems that are not supported yet.
pub const NOT_SUPPORTED: &str = "not supported on this system yet";

/// The kind of a [`Refused`] error, for programs that handle kinds differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedKind {
    /// This system, or the running kernel, does not support it.
    NotSupported,
    /// The caller lacks the privileges.
    NotPermitted,
    /// The subject of the query does not exist, or no longer exists.
    NotFound,
    /// The query is invalid, such as one for an unknown routing table.
    Invalid,
    /// Any other error: reading failed, or the answer was malformed.
    Failed,
}

impl RefusedKind {
    /// Returns the stable name for machine-readable output, such as `not-supported`.
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

/// The error of a query that this system cannot answer, or not for this caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The kind of the error.
    pub kind: RefusedKind,
    /// A message of one line, without a period at its end.
    pub message: String,
}

impl Refused {
    /// Creates an error of this kind.
    pub fn new(kind: RefusedKind, message: impl Into<String>) -> Self {
        Refused {
            kind,
            message: message.into(),
        }
    }

    /// Creates the error for something that is not implemented on this system: [`NOT_SUPPORTED`].
    pub fn not_supported() -> Self {
        Refused::new(RefusedKind::NotSupported, NOT_SUPPORTED)
    }

    /// Creates an error of kind [`RefusedKind::Failed`].
    pub fn failed(message: impl Into<String>) -> Self {
        Refused::new(RefusedKind::Failed, message)
    }

    /// Creates an error from an error of the system that occurred in `what`; its kind follows from the error.
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
