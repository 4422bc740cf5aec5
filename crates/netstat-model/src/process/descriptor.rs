//! The open file descriptors of a process.

use crate::Fact;

/// What a file descriptor refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Descriptor {
    /// A file, directory or device, by its path without the kernel's ` (deleted)` mark.
    Path {
        /// The path relative to the process's own root.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        path: Vec<u8>,
        /// Whether the kernel reports that it was removed.
        deleted: bool,
    },
    /// A socket, by its inode.
    Socket(u64),
    /// One end of a pipe, by its inode; both ends have the same inode.
    Pipe(u64),
    /// A file that exists in memory only, by the name it was given (memfd_create(2)).
    Memory(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// A kernel object without a file: `eventfd`, `[io_uring]`, `bpf-prog`.
    Anonymous(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Anything else, as reported.
    Other(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}

impl Descriptor {
    /// Whether it is a terminal, judging by its path.
    pub fn is_terminal(&self) -> bool {
        match self {
            Descriptor::Path { path, .. } => {
                path.starts_with(b"/dev/pts/") || path.starts_with(b"/dev/tty") || path.as_slice() == b"/dev/console"
            }
            _ => false,
        }
    }
}

/// The open file descriptors of a process.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Descriptors {
    /// The number of descriptors.
    pub count: Fact<u64>,
    /// Standard input, output and error; `None` for a closed one.
    pub standard: [Fact<Option<Descriptor>>; 3],
    /// The number of descriptors of each kind; known only if all were requested.
    pub kinds: Fact<OpenKinds>,
    /// The inodes of the sockets, ascending and without duplicates; known only if all were requested.
    pub sockets: Fact<Vec<u64>>,
    /// The names of the kernel objects without a file, ascending and without duplicates; known only if all were
    /// requested.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub anonymous: Fact<Vec<Vec<u8>>>,
    /// Pipes and FIFOs, ascending and once for each access mode: a process that reads from the same pipe receives what
    /// another one writes to it. Known only if all were requested.
    pub pipes: Fact<Vec<OpenPipe>>,
    /// The numbers of the pseudoterminals (`N` of `/dev/pts/N`) whose master side is open, as in a terminal emulator or
    /// `sshd`, ascending; known only if all were requested.
    pub masters: Fact<Vec<u32>>,
}

/// A pipe and the access that one descriptor gives to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OpenPipe {
    /// The pipe.
    pub pipe: Pipe,
    /// Whether it can be read from.
    pub reads: bool,
    /// Whether it can be written to.
    pub writes: bool,
}

/// A pipe or FIFO (pipe(7), fifo(7)).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Pipe {
    /// A pipe without a name, by its inode.
    Unnamed(u64),
    /// A FIFO, which has a name.
    Named {
        /// The device of its file system.
        device: u64,
        /// Its inode on that device.
        inode: u64,
        /// The path it was opened by, relative to the process's own root and without the kernel's ` (deleted)` mark.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        path: Vec<u8>,
    },
}

impl Pipe {
    /// Whether both are the same pipe, regardless of the path.
    pub fn is_same(&self, other: &Pipe) -> bool {
        match (self, other) {
            (Pipe::Unnamed(one), Pipe::Unnamed(two)) => one == two,
            (
                Pipe::Named { device, inode, .. },
                Pipe::Named {
                    device: other_device,
                    inode: other_inode,
                    ..
                },
            ) => (device, inode) == (other_device, other_inode),
            _ => false,
        }
    }
}

/// The number of descriptors of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OpenKinds {
    /// Files, directories and devices.
    pub files: u64,
    /// Terminals.
    pub terminals: u64,
    /// Sockets.
    pub sockets: u64,
    /// Pipes.
    pub pipes: u64,
    /// Files that exist in memory only.
    pub memory: u64,
    /// Kernel objects without a file, and everything else.
    pub other: u64,
}

impl OpenKinds {
    /// Adds a descriptor to the count of its kind.
    pub fn add(&mut self, descriptor: &Descriptor) {
        let kind = match descriptor {
            terminal if terminal.is_terminal() => &mut self.terminals,
            Descriptor::Path { .. } => &mut self.files,
            Descriptor::Socket(_) => &mut self.sockets,
            Descriptor::Pipe(_) => &mut self.pipes,
            Descriptor::Memory(_) => &mut self.memory,
            Descriptor::Anonymous(_) | Descriptor::Other(_) => &mut self.other,
        };
        *kind += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_descriptors_are_each_counted_under_one_kind() {
        let path = |path: &str| Descriptor::Path {
            path: path.into(),
            deleted: false,
        };
        let mut kinds = OpenKinds::default();
        for descriptor in [
            path("/dev/pts/3"),
            path("/dev/null"),
            path("/tmp/x"),
            Descriptor::Socket(1),
            Descriptor::Pipe(1),
            Descriptor::Memory(b"m".into()),
            Descriptor::Anonymous(b"eventfd".into()),
            Descriptor::Other(b"?".into()),
        ] {
            kinds.add(&descriptor);
        }
        let expected = OpenKinds {
            files: 2,
            terminals: 1,
            sockets: 1,
            pipes: 1,
            memory: 1,
            other: 2,
        };
        assert_eq!(kinds, expected);
    }
}
