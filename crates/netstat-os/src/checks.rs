//! The checks behind `netstat doctor`: what of the system can be seen, and what cannot.

/// The subject of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckArea {
    /// The privileges of the caller.
    Privileges,
    /// The features of the running kernel.
    Kernel,
    /// The environment: namespaces, containers and mounts.
    Environment,
    /// What the queries to the system actually return.
    Answers,
    /// Files and services other than the kernel that this program uses.
    Installation,
}

impl CheckArea {
    /// All areas, in the order of the report.
    pub const ALL: [CheckArea; 5] = [
        CheckArea::Privileges,
        CheckArea::Kernel,
        CheckArea::Environment,
        CheckArea::Answers,
        CheckArea::Installation,
    ];

    /// Returns the stable name for machine-readable output, such as `privileges`.
    pub const fn name(self) -> &'static str {
        match self {
            CheckArea::Privileges => "privileges",
            CheckArea::Kernel => "kernel",
            CheckArea::Environment => "environment",
            CheckArea::Answers => "answers",
            CheckArea::Installation => "installation",
        }
    }
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckStatus {
    /// Everything is as it should be.
    Good,
    /// Worth knowing, but nothing is missing because of it.
    Note,
    /// The check could not be carried out.
    Unknown,
    /// Something cannot be seen or done, but the rest works.
    Limited,
    /// Nothing works.
    Failed,
}

impl CheckStatus {
    /// All results, from the best to the worst.
    pub const ALL: [CheckStatus; 5] = [
        CheckStatus::Good,
        CheckStatus::Note,
        CheckStatus::Unknown,
        CheckStatus::Limited,
        CheckStatus::Failed,
    ];

    /// Returns the stable name for machine-readable output, such as `limited`.
    pub const fn name(self) -> &'static str {
        match self {
            CheckStatus::Good => "ok",
            CheckStatus::Note => "note",
            CheckStatus::Unknown => "unknown",
            CheckStatus::Limited => "limited",
            CheckStatus::Failed => "failed",
        }
    }
}

/// One check and its result. The texts may contain untrusted input and must be escaped before they are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A stable identifier, such as `btf`.
    pub id: &'static str,
    /// The subject of the check.
    pub area: CheckArea,
    /// The result.
    pub status: CheckStatus,
    /// A short description of what was found.
    pub found: String,
    /// The cause, if something is missing.
    pub reason: Option<String>,
    /// What cannot be seen or done because of it.
    pub effect: Option<String>,
    /// The command that fixes it, if there is one; `netstat` in it stands for this program.
    pub remedy: Option<String>,
}

impl Check {
    /// Creates a check without a reason, an effect or a remedy.
    pub fn new(area: CheckArea, id: &'static str, status: CheckStatus, found: impl Into<String>) -> Self {
        Check {
            id,
            area,
            status,
            found: found.into(),
            reason: None,
            effect: None,
            remedy: None,
        }
    }

    /// Sets the reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets the effect.
    #[must_use]
    pub fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = Some(effect.into());
        self
    }

    /// Sets the command that fixes it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
