//! The parts of a process's memory that it may execute.

/// A part of memory with code (proc_pid_maps(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// The address after the last.
    pub end: u64,
    /// Whether the process may also write there: code that changes itself, or is made at run time.
    pub writable: bool,
    /// Whether what is written there goes to the file and to others that have mapped it.
    pub shared: bool,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// The device of the file, major and minor number; 0 and 0 without one.
    pub device: (u32, u32),
    /// The file's number on that device; 0 without one.
    pub inode: u64,
    /// What lies there.
    pub what: Mapped,
}

impl Mapping {
    /// Size in bytes.
    pub const fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// What a part of memory was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mapped {
    /// A file, by its path in the view of the process's own root.
    File {
        /// The path without the kernel's mark; a newline in it is written `\012`.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        path: Vec<u8>,
        /// Whether the kernel says that it has been removed.
        deleted: bool,
    },
    /// A file in memory only, by the name it was given (memfd_create(2)).
    Memory(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Nothing: bare memory.
    Anonymous,
    /// A part that the kernel or the process has named, as `[vdso]`, `[stack]`, `[anon:name]`.
    Named(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}
