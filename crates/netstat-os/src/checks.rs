//! What of the system can be seen, and what not: the questions behind `netstat doctor`.

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckArea {
    /// What the caller may do.
    Privileges,
    /// What the running kernel offers.
    Kernel,
    /// Namespaces, containers, mounts.
    Environment,
    /// What the questions to the system really answer.
    Answers,
    /// Files and services that this program uses beside the kernel.
    Installation,
}

impl CheckArea {
    /// All of them, in the order of the report.
    pub const ALL: [CheckArea; 5] = [
        CheckArea::Privileges,
        CheckArea::Kernel,
        CheckArea::Environment,
        CheckArea::Answers,
        CheckArea::Installation,
    ];

    /// A stable name for machines: `privileges`.
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

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckStatus {
    /// Everything is as it should be.
    Good,
    /// Worth knowing; nothing is missing because of it.
    Note,
    /// It could not be found out.
    Unknown,
    /// Something cannot be seen or done; the rest works.
    Limited,
    /// It does not work at all.
    Failed,
}

impl CheckStatus {
    /// All of them.
    pub const ALL: [CheckStatus; 5] = [
        CheckStatus::Good,
        CheckStatus::Note,
        CheckStatus::Unknown,
        CheckStatus::Limited,
        CheckStatus::Failed,
    ];

    /// A stable name for machines: `limited`.
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

/// One thing that was checked. Texts may hold what comes from outside: they are to be escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A stable name: `btf`.
    pub id: &'static str,
    /// What it is about.
    pub area: CheckArea,
    /// How it came out.
    pub status: CheckStatus,
    /// What was found, in a few words.
    pub found: String,
    /// Why it is so, where something is missing.
    pub reason: Option<String>,
    /// What cannot be seen or done because of it.
    pub effect: Option<String>,
    /// The one command that mends it, where there is one; `netstat` stands for this program.
    pub remedy: Option<String>,
}

impl Check {
    /// A check without a reason, an effect or a remedy.
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

    /// With why it is so.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// With what is missing because of it.
    #[must_use]
    pub fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = Some(effect.into());
        self
    }

    /// With the command that mends it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
