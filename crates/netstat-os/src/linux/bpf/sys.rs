//! The `bpf(2)` commands that iterators and tracing programs need.
//!
//! For layouts and constants, see `union bpf_attr` and `enum bpf_cmd` in `include/uapi/linux/bpf.h`. The kernel treats
//! a structure shorter than its own as if it were padded with zeros. Every descriptor it returns is close-on-exec.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;

const BPF_PROG_TYPE_TRACEPOINT: u32 = 5;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_RAW_TP: u32 = 23;
const BPF_TRACE_FEXIT: u32 = 25;
const BPF_TRACE_ITER: u32 = 28;

/// The attach point of a tracing program (`enum bpf_attach_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The function of an iterator.
    Iterator,
    /// A tracepoint, with typed arguments (BTF).
    Tracepoint,
    /// The return of a kernel function.
    Return,
    /// A tracepoint, with the fields of its `format` file (Linux 4.7). The program is attached through a perf event.
    Classic,
}

impl Place {
    fn attach_type(self) -> u32 {
        match self {
            Place::Iterator => BPF_TRACE_ITER,
            Place::Tracepoint => BPF_TRACE_RAW_TP,
            Place::Return => BPF_TRACE_FEXIT,
            // Such programs have no attach type.
            Place::Classic => 0,
        }
    }

    fn program_type(self) -> u32 {
        match self {
            Place::Classic => BPF_PROG_TYPE_TRACEPOINT,
            _ => BPF_PROG_TYPE_TRACING,
        }
    }
}

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

/// `union bpf_attr` for `BPF_MAP_CREATE`, up to the flags.
#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// `union bpf_attr` for the commands that access one element of a map.
#[repr(C)]
#[derive(Default)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr` for `BPF_RAW_TRACEPOINT_OPEN`. The name is empty, because the BTF id of the program identifies the
/// tracepoint.
#[repr(C)]
#[derive(Default)]
struct RawTracepointOpen {
    name: u64,
    prog_fd: u32,
    padding: u32,
}

/// Calls `bpf(2)`.
///
/// # Safety
/// `T` must be the layout of `union bpf_attr` for `command`, every pointer in it valid for what the kernel does with it.
unsafe fn call<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: `attributes` is readable for its size; the caller guarantees the rest.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// Calls `bpf(2)` for a command that returns a descriptor.
///
/// # Safety
/// As for [`call`], and the command must be one that opens a descriptor.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: guaranteed by the caller.
    let result = unsafe { call(command, attributes)? };
    let descriptor = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just returned this new descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Creates a program or map. Before Linux 5.11, its memory counts towards the locked memory limit of the user
/// (RLIMIT_MEMLOCK, 64 KiB by default), and exceeding it results in `EPERM`. In that case, the limit is raised
/// temporarily, if that is permitted.
fn with_locked_memory(make: impl Fn() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let made = make();
    let refused = made
        .as_ref()
        .is_err_and(|error| error.raw_os_error() == Some(libc::EPERM));
    if !refused {
        return made;
    }
    let before = getrlimit(Resource::Memlock);
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if before == unlimited || setrlimit(Resource::Memlock, unlimited).is_err() {
        return made;
    }
    // The memory is charged once, at creation.
    let made = make();
    let _ = setrlimit(Resource::Memlock, before);
    made
}

/// Whether the kernel may refuse programs and maps because of the limit on locked memory, and this process may not
/// raise that limit.
pub(crate) fn is_locked_memory_limited() -> bool {
    let counts = crate::linux::release().is_some_and(|release| release < (5, 11));
    let may_raise = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE));
    counts && !may_raise && getrlimit(Resource::Memlock).current.is_some()
}

/// Loads a tracing program for `place`.
///
/// `instructions` are 8 bytes each, `license` ends with a zero byte, `name` has at most 15 bytes (letters, digits, `_`
/// and `.`), and `attach_to` is the BTF id of the function or tracepoint. The output of the verifier is written to
/// `log`, which must not be empty.
///
/// # Errors
/// Returns the error of the kernel: `EPERM` without CAP_BPF and CAP_PERFMON, `EINVAL` or `EACCES` if the verifier
/// rejects the program.
pub(crate) fn load(
    place: Place,
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
        prog_type: place.program_type(),
        insn_cnt: (instructions.len() / 8) as u32,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        expected_attach_type: place.attach_type(),
        attach_btf_id: attach_to,
        ..ProgramLoad::default()
    };
    attributes.prog_name[..name.len()].copy_from_slice(name.as_bytes());
    if let Some(log) = log {
        attributes.log_level = 1;
        attributes.log_size = u32::try_from(log.len()).map_err(io::Error::other)?;
        attributes.log_buf = log.as_mut_ptr() as u64;
    }
    // SAFETY: `insns` points to `insn_cnt` instructions, `license` to a zero-terminated string, and `log_buf` to
    // `log_size` writable bytes; all outlive the call.
    with_locked_memory(|| unsafe { bpf(BPF_PROG_LOAD, &attributes) })
}

/// Creates a map. It is destroyed when the last descriptor is closed and the last program that uses it is gone.
///
/// # Errors
/// Returns the error of the kernel.
pub(crate) fn create_map(shape: &MapShape) -> io::Result<OwnedFd> {
    let attributes = MapCreate {
        map_type: shape.kind,
        key_size: shape.key,
        value_size: shape.value,
        max_entries: shape.entries,
        map_flags: shape.flags,
    };
    // SAFETY: no pointers inside.
    with_locked_memory(|| unsafe { bpf(BPF_MAP_CREATE, &attributes) })
}

/// The attributes of a map: `struct map` in `bpf/events.bpf.c`, with sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapShape {
    pub(crate) kind: u32,
    pub(crate) key: u32,
    pub(crate) value: u32,
    pub(crate) entries: u32,
    pub(crate) flags: u32,
}

/// The map types (`enum bpf_map_type`) whose elements are a single value of the declared size. Element access is
/// refused for all others, above all for the per-CPU ones (5, 6, 10, 21), for which the kernel reads and writes one
/// value per possible CPU.
const ELEMENT_KINDS: [u32; 3] = [BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_LRU_HASH];
const BPF_MAP_TYPE_HASH: u32 = 1;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_LRU_HASH: u32 = 9;
const BPF_MAP_TYPE_PERF_EVENT_ARRAY: u32 = 4;

/// A map that was created here. Its elements can be accessed through [`Map::into_elements`] only.
#[derive(Debug)]
pub(crate) struct Map {
    descriptor: OwnedFd,
    shape: MapShape,
}

impl Map {
    /// Creates a map; see [`create_map`].
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub(crate) fn create(shape: MapShape) -> io::Result<Map> {
        let descriptor = create_map(&shape)?;
        Ok(Map { descriptor, shape })
    }

    /// Returns the descriptor, for programs and mmap(2).
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.descriptor)
    }

    /// Stores the descriptor of a perf event under `key` in a map of type `BPF_MAP_TYPE_PERF_EVENT_ARRAY`.
    ///
    /// # Errors
    /// Returns the error of the kernel, or `InvalidInput` for a map of another type.
    pub(super) fn put_descriptor(&self, key: u32, event: BorrowedFd<'_>) -> io::Result<()> {
        if (self.shape.kind, self.shape.key, self.shape.value) != (BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let value = event.as_raw_fd();
        let attributes = Element {
            map_fd: self.descriptor.as_raw_fd() as u32,
            key: &raw const key as u64,
            value: &raw const value as u64,
            ..Element::default()
        };
        // SAFETY: key and value have 4 bytes each, as the map was created with, and outlive the call.
        unsafe { call(BPF_MAP_UPDATE_ELEM, &attributes) }.map(|_| ())
    }

    /// Returns the attributes of the map.
    pub(crate) fn shape(&self) -> MapShape {
        self.shape
    }

    /// Converts to a map with access to its elements.
    ///
    /// # Errors
    /// Returns `InvalidInput` for a map type whose elements are not a single value of the declared size.
    pub(crate) fn into_elements(self) -> io::Result<ElementMap> {
        match ELEMENT_KINDS.contains(&self.shape.kind) {
            true => Ok(ElementMap(self)),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a map of kind {} has no plain elements", self.shape.kind),
            )),
        }
    }
}

/// A map whose elements are a single value of the declared size: the only type with element access.
#[derive(Debug)]
pub(crate) struct ElementMap(Map);

impl ElementMap {
    /// Returns the element under `key`; `None` if there is none.
    ///
    /// # Errors
    /// Returns the error of the kernel, or `InvalidInput` for a key of another length.
    pub(crate) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.0.shape.value as usize];
        let attributes = self.element(key, value.as_mut_ptr() as u64)?;
        // SAFETY: `key` and `value` have the sizes that the map was created with ([`Map::into_elements`] refuses
        // per-CPU maps), and outlive the call.
        match unsafe { call(BPF_MAP_LOOKUP_ELEM, &attributes) } {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    /// Returns the error of the kernel, or `InvalidInput` for a key or value of another length.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if value.len() != self.0.shape.value as usize {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let attributes = self.element(key, value.as_ptr() as u64)?;
        // SAFETY: as in `get`; the kernel only reads.
        unsafe { call(BPF_MAP_UPDATE_ELEM, &attributes) }.map(|_| ())
    }

    /// Removes the element under `key`, if there is one.
    ///
    /// # Errors
    /// Returns the error of the kernel, or `InvalidInput` for a key of another length.
    pub(crate) fn remove(&self, key: &[u8]) -> io::Result<()> {
        let attributes = self.element(key, 0)?;
        // SAFETY: as in `get`.
        match unsafe { call(BPF_MAP_DELETE_ELEM, &attributes) } {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn element(&self, key: &[u8], value: u64) -> io::Result<Element> {
        if key.len() != self.0.shape.key as usize {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Element {
            map_fd: self.0.descriptor.as_raw_fd() as u32,
            key: key.as_ptr() as u64,
            value,
            ..Element::default()
        })
    }
}

/// Attaches a program that was loaded for a tracepoint or for the return of a function. It runs until the descriptor is
/// closed.
///
/// # Errors
/// Returns the error of the kernel: `EBUSY`, `EINVAL` or `ENOTSUPP` (524) if it cannot trace functions.
pub(crate) fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = RawTracepointOpen {
        prog_fd: program.as_raw_fd() as u32,
        ..RawTracepointOpen::default()
    };
    // SAFETY: the only pointer is null, which the kernel accepts for these programs.
    unsafe { bpf(BPF_RAW_TRACEPOINT_OPEN, &attributes) }
}

/// `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct ObjectInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The offset of `recursion_misses` in `struct bpf_prog_info` (Linux 5.12).
const RECURSION_MISSES_AT: usize = 208;

/// Returns how many times the kernel skipped a program because it was already running on the same CPU
/// (`bpf_prog_inc_misses_counter`, `kernel/bpf/syscall.c`). 0 on older kernels, which do not count this.
///
/// # Errors
/// Returns the error of the kernel.
pub(crate) fn misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = [0u8; RECURSION_MISSES_AT + 8];
    let attributes = ObjectInfo {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: info.len() as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: `info` is writable for `info_len` bytes; the zeros in it request no further copies.
    unsafe { call(BPF_OBJ_GET_INFO_BY_FD, &attributes) }?;
    let mut count = [0; 8];
    count.copy_from_slice(&info[RECURSION_MISSES_AT..]);
    Ok(u64::from_ne_bytes(count))
}

/// Attaches an iterator program. The link keeps the program loaded; both are released when the descriptor is closed,
/// because nothing is pinned.
///
/// # Errors
/// Returns the error of the kernel.
pub(crate) fn attach_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = LinkCreate {
        prog_fd: program.as_raw_fd() as u32,
        attach_type: BPF_TRACE_ITER,
        ..LinkCreate::default()
    };
    // SAFETY: no pointers inside.
    unsafe { bpf(BPF_LINK_CREATE, &attributes) }
}

/// Starts a pass of the iterator. Reading the descriptor runs the program.
///
/// # Errors
/// Returns the error of the kernel.
pub(crate) fn open_iterator(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = IteratorCreate {
        link_fd: link.as_raw_fd() as u32,
        flags: 0,
    };
    // SAFETY: no pointers inside.
    unsafe { bpf(BPF_ITER_CREATE, &attributes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map whose descriptor is not a BPF map: enough to test which operations are allowed.
    fn map(kind: u32) -> Map {
        Map {
            descriptor: std::fs::File::open("/dev/null").unwrap().into(),
            shape: MapShape {
                kind,
                key: 4,
                value: 8,
                entries: 1,
                flags: 0,
            },
        }
    }

    #[test]
    fn map_elements_per_cpu_kind_is_refused() {
        for kind in [5, 6, 10, 21] {
            let error = map(kind).into_elements().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "kind {kind}");
        }
        assert!(map(27).into_elements().is_err(), "a ring buffer has no elements");
        for kind in ELEMENT_KINDS {
            assert!(map(kind).into_elements().is_ok(), "kind {kind}");
        }
    }
}
