//! What may be asked about one process, and why there may be no answer at all.

use std::fmt;

/// What to read of a process. What is not asked for is not read; the facts of `/proc/PID/stat` always come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessAsk {
    /// The words it was started with.
    pub arguments: bool,
    /// Its environment.
    pub environment: bool,
    /// Its program: path, running file and the file that is at the path.
    pub program: bool,
    /// The directories above the program as well. Needs `program`.
    pub directories: bool,
    /// Working directory and root directory.
    pub places: bool,
    /// Its namespaces.
    pub namespaces: bool,
    /// Users, groups, capabilities, tracer and confinement, the user of its login, its security label.
    pub standing: bool,
    /// Control group, units and containers.
    pub components: bool,
    /// Its memory, counted page by page: some milliseconds for a large process.
    pub memory: bool,
    /// What it has open.
    pub descriptors: DescriptorsAsk,
    /// The code in its memory.
    pub executable: bool,
    /// Its parents.
    pub ancestors: bool,
    /// On Windows: whether its program is signed, and who may change it; the file is read as a whole. Needs `program`.
    pub signature: bool,
}

impl ProcessAsk {
    /// Everything but the environment.
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

/// How much of what a process has open is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DescriptorsAsk {
    /// Nothing.
    #[default]
    Nothing,
    /// How many there are, and what standard input, output and error are.
    Standard,
    /// Each of them.
    All,
}

/// One of the texts that the system keeps about a process, as it is (Linux: proc_pid_maps(5) and the like).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessText {
    /// What lies in its memory.
    Maps,
    /// Its standing.
    Status,
    /// Its environment at the start; strings end in NUL.
    Environment,
    /// Its arguments; strings end in NUL.
    Arguments,
    /// Its control group.
    ControlGroup,
    /// The file systems it sees.
    Mounts,
    /// Its resource limits.
    Limits,
}

/// Why nothing can be learned about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProcess {
    /// There is none with this id, or none that the caller may see.
    None,
    /// The id is that of a thread of this process.
    ThreadOf(u32),
    /// It could not be read, for this reason.
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
