//! The tokens of the classic syntax.

use super::values::ProtocolName;

/// All switch letters, in lower case.
pub(super) const LETTERS: &str = "46abcdefghilnopqrstuwx";

/// One typed element, independent of its spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A switch letter without a value, in lower case: one of [`LETTERS`] except `h` and `p`.
    Letter(char),
    /// The `p` of `-tulpn`: PID and program name.
    Programs,
    /// `-p NAME`.
    Protocol(ProtocolName),
    /// A bare number: the interval in seconds.
    Interval(u32),
    /// A known long option without its dashes, in lower case, with a value if and only if it takes one.
    Long { name: String, value: Option<String> },
}
