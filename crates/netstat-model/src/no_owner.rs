//! Why the owner of a socket is unknown, and how to tell the user.

/// The reason why a socket has no known owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NoOwner {
    /// The caller may not read the descriptors of some processes.
    NotPermitted {
        /// The id of the user who created the socket; `None` if not reported.
        user: Option<u32>,
    },
    /// The connection is in TIME_WAIT: it is over, and no process holds it.
    TimeWait,
    /// The connection is in SYN_RECEIVED: the handshake is not complete, and the kernel keeps it for the listener.
    Handshake,
    /// The handshake is complete, but no process has accepted the connection yet.
    NotAccepted,
    /// The program has closed the socket or ended; the kernel finishes the connection by itself.
    ClosedByProgram,
    /// The socket belongs to the kernel itself (NFS, WireGuard and others), so it has no descriptor.
    Kernel,
    /// A process of an outer or sibling PID namespace holds the socket: everything in this PID namespace is readable,
    /// nothing here holds the socket, and the kernel did not create it for itself.
    OtherNamespace,
    /// The socket or its process ended between reading the two.
    Ended,
    /// The descriptor is in transit between processes (SCM_RIGHTS).
    InFlight,
    /// Everything is readable, in the initial PID namespace, yet no process holds the socket and it is not one of the
    /// kernel's.
    Hidden,
    /// Everything is readable and no process holds the socket, but whether it is one of the kernel's could not be
    /// determined.
    Unheld,
    /// The same as [`NoOwner::Unheld`], in a PID namespace that does not show processes outside it.
    UnheldHere,
    /// The process list, or part of it, could not be read for another reason than lack of permission.
    NoProcessList,
}

impl NoOwner {
    /// Returns the reason in short, suitable to follow a number: `2 in TIME_WAIT`. It is the same for every user.
    pub const fn words(self) -> &'static str {
        match self {
            NoOwner::NotPermitted { .. } => "not permitted",
            NoOwner::TimeWait => "in TIME_WAIT",
            NoOwner::Handshake => "still in the handshake",
            NoOwner::NotAccepted => "not yet accepted",
            NoOwner::ClosedByProgram => "closed by the program",
            NoOwner::Kernel => "of the kernel itself",
            NoOwner::OtherNamespace => "held outside this PID namespace",
            NoOwner::Ended => "ended meanwhile",
            NoOwner::InFlight => "on the way between processes",
            NoOwner::UnheldHere => "held by no process of this PID namespace",
            NoOwner::Hidden => "held by nothing visible although everything may be read",
            NoOwner::Unheld => "held by no process",
            NoOwner::NoProcessList => "without a readable process list",
        }
    }

    /// Returns the reason without its details, used as a key for counting.
    pub(crate) const fn kind(self) -> NoOwner {
        match self {
            NoOwner::NotPermitted { .. } => NoOwner::NotPermitted { user: None },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_owner_reasons_each_have_words_of_their_own() {
        let all = [
            NoOwner::NotPermitted { user: None },
            NoOwner::TimeWait,
            NoOwner::Handshake,
            NoOwner::NotAccepted,
            NoOwner::ClosedByProgram,
            NoOwner::Kernel,
            NoOwner::OtherNamespace,
            NoOwner::Ended,
            NoOwner::InFlight,
            NoOwner::Hidden,
            NoOwner::Unheld,
            NoOwner::UnheldHere,
            NoOwner::NoProcessList,
        ];
        let words: std::collections::BTreeSet<_> = all.iter().map(|reason| reason.words()).collect();
        assert_eq!(words.len(), all.len());
    }
}
