//! The request for facts about one process, and the reasons why there may be none.

use std::fmt;

/// What to read about a process. Anything that is not requested is not read, except for the fields of `/proc/PID/stat`,
/// which are always included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessAsk {
    /// Its command-line arguments.
    pub arguments: bool,
    /// Its environment.
    pub environment: bool,
    /// Its program: the path, the running file, and the file that is at that path now.
    pub program: bool,
    /// The directories above the program as well. Requires `program`.
    pub directories: bool,
    /// Its working directory and root directory.
    pub places: bool,
    /// Its namespaces.
    pub namespaces: bool,
    /// Its users, groups, capabilities, tracer, confinement, login user and security label.
    pub standing: bool,
    /// Its control group, units and containers.
    pub components: bool,
    /// Its memory, counted page by page, which takes some milliseconds for a large process.
    pub memory: bool,
    /// Its open descriptors.
    pub descriptors: DescriptorsAsk,
    /// The executable mappings in its memory.
    pub executable: bool,
    /// Its ancestors.
    pub ancestors: bool,
    /// On Windows: whether its program is signed, and who may change it. The whole file is read for it. Requires
    /// `program`.
    pub signature: bool,
}

impl ProcessAsk {
    /// Everything except the environment.
    pub const CARD: ProcessAsk = ProcessAsk {
        arguments: true,
        environment: false,
        program: true,
        directories: true,
        places: true,
        namespaces: true,
        standing: true,
        components: true,
        memory: true,
        descriptors: DescriptorsAsk::All,
        executable: true,
        ancestors: true,
        signature: true,
    };
}

/// How much to read about the open descriptors of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DescriptorsAsk {
    /// Nothing.
    #[default]
    Nothing,
    /// Their number, and what standard input, standard output and standard error refer to.
    Standard,
    /// Every descriptor.
    All,
}

/// One of the raw texts that the system keeps about a process (on Linux: proc_pid_maps(5) and similar).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessText {
    /// The memory mappings.
    Maps,
    /// The status: users, groups, capabilities and so on.
    Status,
    /// The initial environment; the strings are terminated by NUL.
    Environment,
    /// The arguments; the strings are terminated by NUL.
    Arguments,
    /// The control group.
    ControlGroup,
    /// The mounted file systems that it sees.
    Mounts,
    /// The resource limits.
    Limits,
}

/// The reason why nothing can be read about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProcess {
    /// There is no process with this id, or none that the caller may see.
    None,
    /// The id belongs to a thread of this process.
    ThreadOf(u32),
    /// It could not be read; the text says why.
    Failed(String),
}

impl fmt::Display for NoProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoProcess::None => f.write_str("there is no such process"),
            NoProcess::ThreadOf(pid) => write!(f, "it is a thread of process {pid}"),
            NoProcess::Failed(why) => write!(f, "it could not be read: {why}"),
        }
    }
}

impl std::error::Error for NoProcess {}
