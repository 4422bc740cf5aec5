//! One process in depth: its program, parents, privileges and open files.
//!
//! [`Process`](crate::Process) is the short form that accompanies a socket, [`ProcessFacts`] the long one. Whatever the
//! process or another program chose is kept as bytes: escape before printing.

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

/// Everything that was requested about one process. Facts that were not requested are unknown with [`Why::NotAsked`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessFacts {
    /// The process id (Linux: thread group id) as seen from the reader's PID namespace.
    pub pid: u32,
    /// The start time in clock ticks since boot (proc_pid_stat(5), field 22). Together with the id it identifies a
    /// process for good.
    pub start_ticks: u64,
    /// The start time by the computer's current wall clock.
    pub started: Fact<SystemTime>,
    /// The short name (Linux `comm`, at most 15 bytes). The process chooses it.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub comm: Vec<u8>,
    /// The state letter of proc_pid_stat(5): `R` running, `S` sleeping, `D` in uninterruptible sleep, `T` stopped, `t`
    /// stopped by a tracer, `Z` zombie, `I` idle kernel thread.
    pub state: u8,
    /// The parent's process id; 0 if it has none in the reader's PID namespace.
    pub parent: u32,
    /// The process group id.
    pub group: u32,
    /// The session id.
    pub session: u32,
    /// The controlling terminal; `None` if there is none.
    pub terminal: Option<Terminal>,
    /// The number of threads.
    pub threads: u32,
    /// Whether it is a kernel thread, which has no program file.
    pub kernel_thread: bool,
    /// The arguments it was started with, beginning with the program's name, unless the process has overwritten them.
    /// Empty for a kernel thread and a zombie.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub arguments: Fact<Vec<Vec<u8>>>,
    /// The environment as `NAME=value` strings as they were at the start, unless the process has overwritten them.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub environment: Fact<Vec<Vec<u8>>>,
    /// The program it runs.
    pub program: Fact<Program>,
    /// The working directory, as a path relative to the process's own root.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub directory: Fact<Vec<u8>>,
    /// The root directory: `/` unless it was changed.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub root: Fact<Vec<u8>>,
    /// The namespaces it runs in.
    pub namespaces: Namespaces,
    /// The user ids.
    pub users: Fact<Ids>,
    /// The group ids.
    pub groups: Fact<Ids>,
    /// The supplementary group ids.
    pub other_groups: Fact<Vec<u32>>,
    /// The id of the user whose login the process stems from; `None` if it does not stem from a login, as with
    /// services.
    pub login_user: Fact<Option<u32>>,
    /// Its capabilities, which grant more than its user's rights.
    pub capabilities: Fact<CapabilitySets>,
    /// The id of the process that traces it and can thus read and change what it does; `None` if it is not traced.
    pub tracer: Fact<Option<u32>>,
    /// Whether it can gain no privileges by executing another program (prctl(2), `PR_SET_NO_NEW_PRIVS`).
    pub no_new_privileges: Fact<bool>,
    /// The restrictions on its system calls (seccomp(2)).
    pub seccomp: Fact<Seccomp>,
    /// The label of a security module such as AppArmor or SELinux; empty if there is none.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub label: Fact<Vec<u8>>,
    /// Its process ids in the nested PID namespaces it belongs to, from the reader's to its own. A single id if it is
    /// in the reader's.
    pub inner_pids: Fact<Vec<u32>>,
    /// The path of its control group (cgroups(7)); version 2 is preferred to version 1.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub cgroup: Fact<Vec<u8>>,
    /// The units and containers it runs in, outermost first. Empty if there are none.
    pub components: Fact<Vec<Component>>,
    /// Its memory use, counted page by page.
    pub memory: Fact<MemoryUse>,
    /// Its open file descriptors.
    pub descriptors: Fact<Descriptors>,
    /// The executable mappings of its memory.
    pub executable: Fact<Vec<Mapping>>,
    /// Its ancestors, the parent first, up to the first process of the reader's PID namespace. If the last one has a
    /// parent of its own, that parent could not be read.
    pub ancestors: Fact<Vec<Ancestor>>,
    /// Facts that only Windows has; `None` for a process of another system.
    #[cfg_attr(feature = "serde", serde(default))]
    pub windows: Option<Box<WindowsProcess>>,
}

/// An ancestor of a process.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ancestor {
    /// The process id.
    pub pid: u32,
    /// The start time in clock ticks since boot.
    pub start_ticks: u64,
    /// The process id of its own parent; 0 for the first process in the reader's PID namespace.
    pub parent: u32,
    /// The short name (`comm`).
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub comm: Vec<u8>,
    /// The path of its program as reported, without the ` (deleted)` mark.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub path: Fact<Vec<u8>>,
    /// The arguments it was started with.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub arguments: Fact<Vec<Vec<u8>>>,
}

/// The user or group ids of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ids {
    /// The real id: who started it.
    pub real: u32,
    /// The effective id: whose rights it has now.
    pub effective: u32,
    /// The saved id: whose rights it can take up again.
    pub saved: u32,
    /// The id whose rights count for files (Linux only; elsewhere the effective id).
    pub file_system: u32,
}

/// A namespace (namespaces(7)) that a process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessNamespace {
    /// The inode of the namespace, as in `net:[4026531840]`.
    pub inode: u64,
    /// Whether the reader is in the same namespace.
    pub ours: bool,
}

/// The namespaces of a process that determine what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Namespaces {
    /// The mount namespace. Paths of a process in another one are not valid for the reader.
    pub mount: Fact<ProcessNamespace>,
    /// The network namespace.
    pub network: Fact<ProcessNamespace>,
    /// The PID namespace.
    pub pid: Fact<ProcessNamespace>,
    /// The user namespace.
    pub user: Fact<ProcessNamespace>,
}

impl Namespaces {
    /// Creates a value in which every namespace is unknown for the reason `why`.
    pub const fn unknown(why: Why) -> Self {
        Namespaces {
            mount: Fact::Unknown(why),
            network: Fact::Unknown(why),
            pid: Fact::Unknown(why),
            user: Fact::Unknown(why),
        }
    }
}

/// The memory use of a process in bytes (Linux: proc_pid_smaps(5), all mappings together).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemoryUse {
    /// Resident in memory.
    pub resident: u64,
    /// Part of `resident` that only this process uses.
    pub private: u64,
    /// Part of `resident` that other processes use as well.
    pub shared: u64,
    /// The proportional share: memory shared by n processes counts for an n-th.
    pub proportional: u64,
    /// Swapped out.
    pub swapped: u64,
}

/// The seccomp mode of a process: which system calls it may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Seccomp {
    /// No restriction.
    Off,
    /// Only reading, writing and exiting.
    Strict,
    /// Restricted by filters.
    Filter,
}

impl ProcessFacts {
    /// Creates the facts of a process of which nothing optional is known yet; all those facts are unknown for the
    /// reason `why`.
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

    /// Returns what could not be read for lack of permission or because of a failure, in plain words and each with its
    /// reason. Facts that were not requested or do not exist for such a process are not included.
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
    fn unread_facts_leave_out_those_not_applicable() {
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
