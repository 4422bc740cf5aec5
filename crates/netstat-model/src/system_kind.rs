//! The operating system that facts come from, for hints in its own terms.

/// An operating system, as far as hints for users differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum SystemKind {
    /// Linux.
    #[default]
    Linux,
    /// Windows.
    Windows,
    /// Another system.
    Other,
}

impl SystemKind {
    /// Returns the name, as the start of a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            SystemKind::Linux => "Linux",
            SystemKind::Windows => "Windows",
            SystemKind::Other => "This system",
        }
    }

    /// Returns a hint on how to get more privileges, suitable to follow a reason: ` (try sudo)`. Empty if the user has
    /// them already.
    pub const fn privilege_hint(self, superuser: bool) -> &'static str {
        match (superuser, self) {
            (true, _) => "",
            (false, SystemKind::Windows) => " (try an elevated prompt)",
            (false, _) => " (try sudo)",
        }
    }
}
