//! Why the owner of a socket is not known, and what to say to the user about it.

/// Why a socket has no known owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NoOwner {
    /// Some processes' descriptors may not be read by the caller; the socket was made by this user (`None`: not reported).
    NotPermitted {
        /// The user id of the socket's maker.
        user: Option<u32>,
    },
    /// TIME_WAIT: the connection is over, no process holds it.
    TimeWait,
    /// SYN_RECEIVED: the handshake is not complete; the kernel holds it for the listener.
    Handshake,
    /// The handshake is complete, but no process has accepted the connection yet.
    NotAccepted,
    /// The program has closed it (or ended); the kernel finishes the connection alone.
    ClosedByProgram,
    /// A socket of the kernel itself (NFS, WireGuard, ...): no descriptor exists.
    Kernel,
    /// Everything in this PID namespace may be read, none of it holds the socket, and the kernel did not make it for itself: a process of
    /// an outer or sibling PID namespace holds it.
    OtherNamespace,
    /// The socket or its process ended between the two reads.
    Ended,
    /// The descriptor was seen on its way between processes (SCM_RIGHTS).
    InFlight,
    /// Everything may be read, in the initial PID namespace, and nothing holds the socket, which is none of the kernel's.
    Hidden,
    /// Everything may be read and nothing holds the socket, but whether it is the kernel's own could not be learned.
    Unheld,
    /// As [`NoOwner::Unheld`], in a PID namespace that does not show the processes outside it.
    UnheldHere,
    /// The process list, or part of it, could not be read, and not for lack of permission.
    NoProcessList,
}

impl NoOwner {
    /// The reason in short, to follow a number: `2 in TIME_WAIT`. The same for every user.
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

    /// The reason without its details, to count by.
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
    fn words_every_reason_has_its_own() {
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
