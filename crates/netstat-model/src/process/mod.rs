//! One process in depth: what it is, what it was started from, what it may do, what it holds.
//!
//! [`Process`](crate::Process) is the short form beside a socket; [`ProcessFacts`] the long one. Whatever the process itself or
//! another program chose is kept as bytes: escape before printing.

mod capability;
mod descriptor;
mod mapping;
mod program;
mod terminal;
mod windows;

use std::time::SystemTime;

pub use capability::{Capabilities, CapabilitySets};
pub use descriptor::{Descriptor, Descriptors, OpenKinds, OpenPipe, Pipe};
pub use mapping::{Mapped, Mapping};
pub use program::{Directory, FileFacts, FileStatus, FileTime, Program};
pub use terminal::Terminal;
pub use windows::{
    FileAccess, IntegrityLevel, Protection, ServiceProgram, Signature, WindowsProcess, is_administrative, sid_name,
};

use crate::{Component, Fact, Why};

/// Everything that was asked about one process. What was not asked for is unknown with [`Why::NotAsked`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessFacts {
    /// Process id (Linux: thread group id) as seen from the reader's PID namespace.
    pub pid: u32,
    /// Start in clock ticks after boot (proc_pid_stat(5), field 22). With the id it names one process for good.
    pub start_ticks: u64,
    /// Start by the clock of the computer as it goes now.
    pub started: Fact<SystemTime>,
    /// The short name (Linux `comm`, at most 15 bytes). Chosen by the process.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub comm: Vec<u8>,
    /// The state letter of proc_pid_stat(5): `R` running, `S` sleeping, `D` waiting for a device, `T` stopped, `t` stopped by a
    /// tracer, `Z` ended and not yet waited for, `I` idle kernel thread.
    pub state: u8,
    /// The parent's id; 0 when it has none in the reader's PID namespace.
    pub parent: u32,
    /// Process group.
    pub group: u32,
    /// Session.
    pub session: u32,
    /// The controlling terminal; `None` when it has none.
    pub terminal: Option<Terminal>,
    /// The number of threads.
    pub threads: u32,
    /// Whether it is a thread of the kernel itself, which has no program file.
    pub kernel_thread: bool,
    /// The arguments it was started with, the program's name first, unless the process has overwritten them. Empty for a kernel
    /// thread and an ended process.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub arguments: Fact<Vec<Vec<u8>>>,
    /// `NAME=value` strings as they were at the start, unless the process has overwritten them.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub environment: Fact<Vec<Vec<u8>>>,
    /// The program it runs.
    pub program: Fact<Program>,
    /// Its working directory, as a path in the view of its own root.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub directory: Fact<Vec<u8>>,
    /// Its root directory: `/` unless it was moved elsewhere.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub root: Fact<Vec<u8>>,
    /// The namespaces it runs in.
    pub namespaces: Namespaces,
    /// Its users.
    pub users: Fact<Ids>,
    /// Its groups.
    pub groups: Fact<Ids>,
    /// Further groups it is in.
    pub other_groups: Fact<Vec<u32>>,
    /// The user whose login it stems from; `None` when it stems from none, as services do.
    pub login_user: Fact<Option<u32>>,
    /// What it may do beyond its user's rights.
    pub capabilities: Fact<CapabilitySets>,
    /// The process that traces it, and so reads and changes what it does; `None` when none does.
    pub tracer: Fact<Option<u32>>,
    /// Whether it can gain no rights by starting another program (prctl(2), `PR_SET_NO_NEW_PRIVS`).
    pub no_new_privileges: Fact<bool>,
    /// Which system calls it may make (seccomp(2)).
    pub seccomp: Fact<Seccomp>,
    /// The label of a security module such as AppArmor or SELinux; empty when it has none.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub label: Fact<Vec<u8>>,
    /// Its ids in the PID namespaces it is in, the reader's first, its own last. One when it is in the reader's.
    pub inner_pids: Fact<Vec<u32>>,
    /// The path of its control group (cgroups(7)), version 2 before version 1.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub cgroup: Fact<Vec<u8>>,
    /// What it runs in, outermost first: units and containers. Empty when in none.
    pub components: Fact<Vec<Component>>,
    /// The memory it uses, counted page by page.
    pub memory: Fact<MemoryUse>,
    /// What it has open.
    pub descriptors: Fact<Descriptors>,
    /// The parts of its memory that it may execute.
    pub executable: Fact<Vec<Mapping>>,
    /// Its parents, the nearest first, up to the first process of the reader's PID namespace. Where the last one has a parent of its
    /// own, that could not be read.
    pub ancestors: Fact<Vec<Ancestor>>,
    /// What only Windows keeps; `None` for a process of another system.
    #[cfg_attr(feature = "serde", serde(default))]
    pub windows: Option<Box<WindowsProcess>>,
}

/// A parent, or a parent's parent.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ancestor {
    /// Process id.
    pub pid: u32,
    /// Start in clock ticks after boot.
    pub start_ticks: u64,
    /// Its own parent; 0 for the first process in the reader's PID namespace.
    pub parent: u32,
    /// The short name.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub comm: Vec<u8>,
    /// The path of its program as reported, without the mark of a deleted file.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub path: Fact<Vec<u8>>,
    /// The arguments it was started with.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub arguments: Fact<Vec<Vec<u8>>>,
}

/// The users or groups a process acts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ids {
    /// Who started it.
    pub real: u32,
    /// Whose rights it has now.
    pub effective: u32,
    /// Whose rights it can take up again.
    pub saved: u32,
    /// Whose rights count for files (Linux only; else the effective one).
    pub file_system: u32,
}

/// One namespace (namespaces(7)) of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessNamespace {
    /// Its number, as in `net:[4026531840]`.
    pub inode: u64,
    /// Whether the reader is in the same one.
    pub ours: bool,
}

/// The namespaces of a process that decide what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Namespaces {
    /// Which files it sees: paths of a process in another one are not the reader's.
    pub mount: Fact<ProcessNamespace>,
    /// Which network it is on.
    pub network: Fact<ProcessNamespace>,
    /// Which processes it sees.
    pub pid: Fact<ProcessNamespace>,
    /// Which users it knows.
    pub user: Fact<ProcessNamespace>,
}

impl Namespaces {
    /// All unknown, for `why`.
    pub const fn unknown(why: Why) -> Self {
        Namespaces {
            mount: Fact::Unknown(why),
            network: Fact::Unknown(why),
            pid: Fact::Unknown(why),
            user: Fact::Unknown(why),
        }
    }
}

/// The memory of a process in bytes (Linux: proc_pid_smaps(5), all parts together).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemoryUse {
    /// In memory now.
    pub resident: u64,
    /// Of these, its own only.
    pub private: u64,
    /// Of these, used by others as well.
    pub shared: u64,
    /// Its fair part: what is shared by n counts an n-th.
    pub proportional: u64,
    /// Moved to swap space.
    pub swapped: u64,
}

/// How far a process is confined to certain system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Seccomp {
    /// Not at all.
    Off,
    /// To reading, writing and ending.
    Strict,
    /// By filters.
    Filter,
}

impl ProcessFacts {
    /// A process of which only the always readable facts are known yet: all others are unknown for `why`.
    pub fn bare(pid: u32, start_ticks: u64, why: Why) -> Self {
        ProcessFacts {
            pid,
            start_ticks,
            started: Fact::Unknown(why),
            comm: Vec::new(),
            state: b'?',
            parent: 0,
            group: 0,
            session: 0,
            terminal: None,
            threads: 0,
            kernel_thread: false,
            arguments: Fact::Unknown(why),
            environment: Fact::Unknown(why),
            program: Fact::Unknown(why),
            directory: Fact::Unknown(why),
            root: Fact::Unknown(why),
            namespaces: Namespaces::unknown(why),
            users: Fact::Unknown(why),
            groups: Fact::Unknown(why),
            other_groups: Fact::Unknown(why),
            login_user: Fact::Unknown(why),
            capabilities: Fact::Unknown(why),
            tracer: Fact::Unknown(why),
            no_new_privileges: Fact::Unknown(why),
            seccomp: Fact::Unknown(why),
            label: Fact::Unknown(why),
            inner_pids: Fact::Unknown(why),
            cgroup: Fact::Unknown(why),
            components: Fact::Unknown(why),
            memory: Fact::Unknown(why),
            descriptors: Fact::Unknown(why),
            executable: Fact::Unknown(why),
            ancestors: Fact::Unknown(why),
            windows: None,
        }
    }

    /// What could not be read for lack of permission or by a failure, in plain words, each with its reason. What was not asked
    /// for, or does not exist for such a process, is none of it.
    pub fn unread(&self) -> Vec<(&'static str, Why)> {
        [
            ("its arguments", self.arguments.why()),
            ("its environment", self.environment.why()),
            ("its program file", self.program.why()),
            ("its working directory", self.directory.why()),
            ("its namespaces", self.namespaces.mount.why()),
            ("its users and capabilities", self.users.why()),
            ("its control group", self.components.why()),
            ("what it has open", self.descriptors.why()),
            ("the code in its memory", self.executable.why()),
            ("its parents", self.ancestors.why()),
            (
                "its user and rights",
                self.windows.as_ref().and_then(|windows| windows.sid.why()),
            ),
            (
                "who may change its program",
                self.windows.as_ref().and_then(|windows| windows.file_access.why()),
            ),
        ]
        .into_iter()
        .filter_map(|(what, why)| match why? {
            why @ (Why::NotPermitted | Why::Failed | Why::Gone) => Some((what, why)),
            _ => None,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_by_nature_was_not_left_unread() {
        let mut facts = ProcessFacts::bare(1, 2, Why::NotAsked);
        assert_eq!(facts.unread(), []);
        facts.program = Fact::Unknown(Why::NotApplicable);
        facts.descriptors = Fact::Unknown(Why::NotPermitted);
        facts.namespaces = Namespaces::unknown(Why::Failed);
        assert_eq!(
            facts.unread(),
            [("its namespaces", Why::Failed), ("what it has open", Why::NotPermitted)]
        );
    }
}
