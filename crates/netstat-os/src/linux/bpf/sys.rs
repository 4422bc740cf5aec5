//! The three `bpf(2)` commands an iterator needs.
//!
//! Layouts and numbers: `union bpf_attr` and `enum bpf_cmd` in `include/uapi/linux/bpf.h`. The kernel takes a shorter structure than
//! its own for one that ends in zeros. Every descriptor it returns is close-on-exec.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;

const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_ITER: u32 = 28;

/// `union bpf_attr` for `BPF_PROG_LOAD`, up to the last field that is used.
#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// `union bpf_attr` for `BPF_ITER_CREATE`.
#[repr(C)]
#[derive(Default)]
struct IteratorCreate {
    link_fd: u32,
    flags: u32,
}

/// Calls `bpf(2)` for a command that returns a descriptor.
///
/// # Safety
/// `T` must be the layout of `union bpf_attr` for `command`, every pointer in it valid for what the kernel does with it.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attributes` is readable for its size; the rest is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened this descriptor for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Loads an iterator program: `instructions` of 8 bytes each, `license` with its terminating zero, `name` at most 15 bytes of letters,
/// digits, `_` and `.`, `attach_to` the BTF id of the iterator's function. What the verifier says goes into `log` (not empty).
///
/// # Errors
/// What the kernel answers: `EPERM` without CAP_BPF and CAP_PERFMON, `EINVAL` or `EACCES` when the verifier refuses.
pub(crate) fn load_iterator(
    instructions: &[u8],
    license: &[u8],
    name: &str,
    attach_to: u32,
    log: Option<&mut [u8]>,
) -> io::Result<OwnedFd> {
    if license.last() != Some(&0) || !instructions.len().is_multiple_of(8) || name.len() > 15 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut attributes = ProgramLoad {
        prog_type: BPF_PROG_TYPE_TRACING,
        insn_cnt: (instructions.len() / 8) as u32,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        expected_attach_type: BPF_TRACE_ITER,
        attach_btf_id: attach_to,
        ..ProgramLoad::default()
    };
    attributes.prog_name[..name.len()].copy_from_slice(name.as_bytes());
    if let Some(log) = log {
        attributes.log_level = 1;
        attributes.log_size = u32::try_from(log.len()).map_err(io::Error::other)?;
        attributes.log_buf = log.as_mut_ptr() as u64;
    }
    // SAFETY: `insns` points to `insn_cnt` instructions, `license` to a zero-terminated string, `log_buf` to `log_size` bytes that
    // may be written; all outlive the call.
    unsafe { bpf(BPF_PROG_LOAD, &attributes) }
}

/// Attaches an iterator program. The link keeps the program; both go when the descriptor is closed, nothing is pinned.
///
/// # Errors
/// What the kernel answers.
pub(crate) fn attach_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = LinkCreate {
        prog_fd: program.as_raw_fd() as u32,
        attach_type: BPF_TRACE_ITER,
        ..LinkCreate::default()
    };
    // SAFETY: no pointers inside.
    unsafe { bpf(BPF_LINK_CREATE, &attributes) }
}

/// Opens one pass over the iterator; reading the descriptor runs the program.
///
/// # Errors
/// What the kernel answers.
pub(crate) fn open_iterator(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = IteratorCreate {
        link_fd: link.as_raw_fd() as u32,
        flags: 0,
    };
    // SAFETY: no pointers inside.
    unsafe { bpf(BPF_ITER_CREATE, &attributes) }
}
