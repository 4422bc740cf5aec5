//! The executable mappings of a process's memory.

/// An executable memory mapping (proc_pid_maps(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mapping {
    /// The first address.
    pub start: u64,
    /// The address after the last one.
    pub end: u64,
    /// Whether the mapping is also writable, which allows code that modifies itself or is generated at run time.
    pub writable: bool,
    /// Whether writes reach the file and other processes that have mapped it.
    pub shared: bool,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The major and minor device number of the file; both 0 if there is none.
    pub device: (u32, u32),
    /// The inode of the file; 0 if there is none.
    pub inode: u64,
    /// The source of the mapping.
    pub what: Mapped,
}

impl Mapping {
    /// Returns the size in bytes.
    pub const fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The source of a memory mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mapped {
    /// A file, by its path relative to the process's own root.
    File {
        /// The path without the kernel's ` (deleted)` mark. A newline in it is written `\012`.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        path: Vec<u8>,
        /// Whether the kernel reports that the file was removed.
        deleted: bool,
    },
    /// A file that exists in memory only, by the name it was given (memfd_create(2)).
    Memory(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Nothing: anonymous memory.
    Anonymous,
    /// A mapping named by the kernel or the process, such as `[vdso]`, `[stack]` or `[anon:name]`.
    Named(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}
