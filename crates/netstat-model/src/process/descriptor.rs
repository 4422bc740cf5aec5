//! What a process has open.

use crate::Fact;

/// What one descriptor is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Descriptor {
    /// A file, directory or device by its path, without the kernel's mark.
    Path {
        /// The path in the view of the process's own root.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        path: Vec<u8>,
        /// Whether the kernel says that it has been removed.
        deleted: bool,
    },
    /// A socket, by its inode.
    Socket(u64),
    /// One end of a pipe, by its inode: the other end has the same.
    Pipe(u64),
    /// A file in memory only, by the name it was given (memfd_create(2)).
    Memory(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Something of the kernel's without a file: `eventfd`, `[io_uring]`, `bpf-prog`.
    Anonymous(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Anything else, as reported.
    Other(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}

impl Descriptor {
    /// Whether it is a terminal, going by its path.
    pub fn is_terminal(&self) -> bool {
        match self {
            Descriptor::Path { path, .. } => {
                path.starts_with(b"/dev/pts/") || path.starts_with(b"/dev/tty") || path.as_slice() == b"/dev/console"
            }
            _ => false,
        }
    }
}

/// What a process has open.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Descriptors {
    /// How many there are.
    pub count: Fact<u64>,
    /// Standard input, output and error; `None` for one that is closed.
    pub standard: [Fact<Option<Descriptor>>; 3],
    /// How many there are of each kind; only when all were asked for.
    pub kinds: Fact<OpenKinds>,
    /// The inodes of the sockets, ascending, each once; only when all were asked for.
    pub sockets: Fact<Vec<u64>>,
    /// The names of the kernel's objects without a file, ascending, each once; only when all were asked for.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_texts"))]
    pub anonymous: Fact<Vec<Vec<u8>>>,
    /// Pipes and FIFOs, ascending, each once for each way it is open: what one process writes, another that reads the same one
    /// gets. Only when all were asked for.
    pub pipes: Fact<Vec<OpenPipe>>,
    /// The numbers of the terminals (`N` of `/dev/pts/N`) whose other end it has open, as a terminal emulator or `sshd`
    /// does, ascending; only when all were asked for.
    pub masters: Fact<Vec<u32>>,
}

/// A pipe, and what may be done with it through one descriptor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OpenPipe {
    /// Which one.
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
    /// Without a name, by its inode.
    Unnamed(u64),
    /// With a name.
    Named {
        /// The device it lies on.
        device: u64,
        /// Its number there.
        inode: u64,
        /// The path by which it is open, in the view of the process's own root, without the kernel's mark.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        path: Vec<u8>,
    },
}

impl Pipe {
    /// Whether both are the same pipe, by whatever path.
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

/// How many descriptors there are of each kind.
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
    /// Files in memory only.
    pub memory: u64,
    /// Objects of the kernel without a file, and whatever else there is.
    pub other: u64,
}

impl OpenKinds {
    /// Counts one more.
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
    fn each_kind_is_counted_once() {
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
