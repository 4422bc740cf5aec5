//! What classic words are made of.

use super::values::ProtocolName;

/// Every letter that is a switch, in lower case.
pub(super) const LETTERS: &str = "46abcdefghilnopqrstuwx";

/// One thing typed, whatever its spelling was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A switch letter without value, in lower case, one of [`LETTERS`] but `h` and `p`.
    Letter(char),
    /// The `p` of `-tulpn`: PID and program.
    Programs,
    /// `-p NAME`.
    Protocol(ProtocolName),
    /// A bare number: seconds.
    Interval(u32),
    /// A long option that exists, without its dashes, in lower case; with a value exactly if it takes one.
    Long { name: String, value: Option<String> },
}
