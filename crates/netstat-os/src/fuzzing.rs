//! Entry points to private parsers, for the fuzz targets alone.

/// Type descriptions (BTF) and object files of BPF programs.
#[cfg(target_os = "linux")]
pub use crate::linux::bpf_fuzzing::{btf, object};
/// Records of the BPF programs that watch sockets, and netlink messages about closed sockets.
#[cfg(target_os = "linux")]
pub use crate::linux::events_fuzzing::{closed, record};
