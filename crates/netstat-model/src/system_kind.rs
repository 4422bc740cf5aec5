//! Which operating system the facts come from, for hints in its own terms.

/// An operating system, as far as hints for people differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum SystemKind {
    /// Linux.
    #[default]
    Linux,
    /// Windows.
    Windows,
    /// Another one.
    Other,
}

impl SystemKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            SystemKind::Linux => "Linux",
            SystemKind::Windows => "Windows",
            SystemKind::Other => "This system",
        }
    }

    /// What to try for more privileges, to follow a reason: ` (try sudo)`. Empty for someone who has them already.
    pub const fn privilege_hint(self, superuser: bool) -> &'static str {
        match (superuser, self) {
            (true, _) => "",
            (false, SystemKind::Windows) => " (try an elevated prompt)",
            (false, _) => " (try sudo)",
        }
    }
}
