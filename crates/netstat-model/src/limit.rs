//! What a listing as a whole could not see, and what would help.

/// Something that a listing could not see. It is printed once on stderr and included in machine-readable formats.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limit {
    /// What is missing or less complete than usual, in plain words and without a full stop: `UDP sockets over IPv6 are
    /// missing`.
    pub what: String,
    /// The reason: `netlink refused: Operation not permitted`.
    pub why: String,
    /// What the user can do about it, such as `sudo netstat -b`; `None` if nothing helps.
    pub remedy: Option<String>,
}
