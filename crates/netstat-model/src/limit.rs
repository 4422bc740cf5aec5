//! What could not be seen in a whole listing, and what would help.

/// One thing a listing could not see. Printed once on stderr, kept in machine formats.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limit {
    /// What is missing or weaker than usual, in plain words, without a full stop: `UDP sockets over IPv6 are missing`.
    pub what: String,
    /// Why: `netlink refused: Operation not permitted`.
    pub why: String,
    /// What the user can do about it, where something can be done: `sudo netstat -b`.
    pub remedy: Option<String>,
}
