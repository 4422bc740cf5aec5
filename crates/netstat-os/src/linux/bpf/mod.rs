//! Loads BPF programs, iterators and tracepoints: the least that this needs, so that a listing pays milliseconds for it, not tens.
//!
//! The general loader `aya` 0.14 needs 50 ms of start-up here (measured on a 2-core virtual machine with Linux 6.18): it copies the 5.5 MB of
//! kernel BTF, parses all of it into owned values twice, and probes features that an iterator has no use for. This module maps
//! the kernel's BTF, walks over it once and looks only at the names that the program mentions.
//!
//! * [`btf`]: reads BTF, the type descriptions of the kernel and of our object file;
//! * [`object`]: reads the object file and puts the running kernel's field offsets into its instructions (CO-RE);
//! * [`kernel_btf`]: `/sys/kernel/btf/vmlinux` in memory;
//! * [`maps`]: the maps of an object file;
//! * [`perf`]: attaches programs to classic tracepoints, and reads perf buffers;
//! * [`ring`]: reads a ring buffer that programs write;
//! * [`sys`]: the `bpf(2)` commands.

pub(crate) mod btf;
pub(crate) mod kernel_btf;
pub(crate) mod maps;
pub(crate) mod object;
pub(crate) mod perf;
pub(crate) mod ring;
pub(crate) mod sys;
