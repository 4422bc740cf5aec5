//! Finds the owners of sockets with the kernel's iterator over all descriptors, `iter/task_file`.
//!
//! The program (`bpf/task_file.bpf.c`) runs in the kernel for each descriptor of each process, and writes a record for
//! each that is a socket, in any family and network namespace: inodes of sockets are unique on the whole computer.
//!
//! # Required privileges
//! CAP_BPF and CAP_PERFMON together, or CAP_SYS_ADMIN, in the initial user namespace (`setcap cap_bpf,cap_perfmon+ep`).
//! Nothing else is needed: `/sys/kernel/btf/vmlinux` is world-readable, and `kernel.unprivileged_bpf_disabled` does not
//! affect callers with CAP_BPF. With these two, every descriptor of every process is seen, which is more than the
//! `/proc` walk sees without CAP_SYS_PTRACE. Reading *about* another user's process (`/proc/PID/exe`) still requires
//! CAP_SYS_PTRACE.
//!
//! # What is seen
//! * Every process in the initial PID namespace, and thereby every process of the system, by its id there. The kernel
//!   starts from the PID namespace of the process that opens the iterator, and the record contains outermost ids, so
//!   the iterator is used only in the initial PID namespace.
//! * A thread that unshared its descriptor table (`unshare(CLONE_FILES)`), and the threads of a process whose main
//!   thread has ended: the `/proc/PID/fd` walk sees neither. The kernel leaves out threads that share the table of
//!   their process (since Linux 5.10).
//! * Not seen: descriptors in flight in a Unix-domain socket message (SCM_RIGHTS), and files registered with io_uring
//!   whose descriptor was closed. They are in no descriptor table, so the walk does not see them, either.
//!
//! A descriptor that stays open during the pass is seen; one that is opened or closed in the meantime may or may not
//! be.
//!
//! # Requirements
//! Linux 5.11 with BTF (`CONFIG_DEBUG_INFO_BTF`), little-endian. Memory for the program is not counted against
//! RLIMIT_MEMLOCK since 5.11. No lockdown mode forbids the kind of reading used here. If a security module or seccomp
//! filter forbids `bpf(2)`, [`Unavailable`] says so. Nothing is pinned: the program is unloaded when the last
//! descriptor is closed, at the latest when the process ends for whatever reason.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};

use netstat_model::text::plain_error;
use rustix::thread::CapabilitySet;

use crate::linux::bpf::btf::Btf;
use crate::linux::bpf::kernel_btf::{self, KernelBtf};
use crate::linux::bpf::object::{Object, ObjectError, Program};
use crate::linux::bpf::sys;

/// The compiled `bpf/task_file.bpf.c`; `cargo xtask bpf --check` verifies it.
const OBJECT: &[u8] = include_bytes!("../../bpf/task_file.bpf.o");
/// The section of the program in the object file.
const SECTION: &str = "iter/task_file";
/// The kernel function that represents the iterator.
const ITERATOR: &str = "bpf_iter_task_file";
/// The name that `bpftool prog` shows: at most 15 bytes.
const NAME: &str = "netstat_sockets";

/// The size of the program's `struct record` in bytes.
const RECORD_BYTES: usize = 24;
/// The kernel collects up to 8 pages before it returns anything. A whole number of records, so that none is split.
const BUFFER_BYTES: usize = 32 * 1024 / RECORD_BYTES * RECORD_BYTES;

/// A descriptor that refers to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holding {
    /// The inode of the socket in sockfs, as reported by sock_diag and `/proc/net/tcp`.
    pub inode: u32,
    /// The id of the process in the initial PID namespace.
    pub pid: u32,
    /// The thread that the descriptor table belongs to: `pid`, unless a thread has unshared its table or the main
    /// thread has ended.
    pub tid: u32,
    /// The number of the descriptor.
    pub fd: u32,
    /// The start time of the process in nanoseconds since boot, including suspended time (`start_boottime` of its main
    /// thread).
    pub start_ns: u64,
}

impl Holding {
    /// Returns the start time in clock ticks as in field 22 of `/proc/PID/stat`; the two are equal exactly while `pid`
    /// is still the same process. `ticks_per_second` is `sysconf(_SC_CLK_TCK)`, which is 100 on almost all machines.
    pub fn start_ticks(&self, ticks_per_second: u64) -> u64 {
        match 1_000_000_000u64.checked_div(ticks_per_second) {
            Some(nanoseconds) if nanoseconds > 0 => self.start_ns / nanoseconds,
            _ => self.start_ns,
        }
    }
}

/// Statistics of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The number of reported descriptors.
    pub holdings: u64,
    /// The number of calls of `read`.
    pub reads: u64,
}

/// The reason why the iterator cannot be used. [`fmt::Display`] writes it in plain words that fit after "eBPF not used:
/// ".
#[derive(Debug)]
pub enum Unavailable {
    /// The caller is not root and lacks at least one of the capabilities.
    Capabilities {
        /// Whether CAP_BPF is missing.
        bpf: bool,
        /// Whether CAP_PERFMON is missing.
        perfmon: bool,
    },
    /// The caller is in a separate user namespace, whose capabilities are not accepted by `bpf(2)`.
    UserNamespace,
    /// The caller is in a separate PID namespace, but the program reports ids of the outermost one.
    PidNamespace,
    /// The caller is in a separate time namespace, where start times are shifted.
    TimeNamespace,
    /// The caller's namespaces are unknown, because `/proc` is not available.
    NoProc(io::Error),
    /// The kernel does not publish its types, or they cannot be read.
    NoBtf(io::Error),
    /// The kernel lacks the iterator or a field that the program reads, mostly because it is older than 5.11.
    Kernel(String),
    /// The kernel was built without `bpf(2)`.
    NoSystemCall,
    /// `bpf(2)` is forbidden despite the capabilities: by a seccomp filter (containers), a security module, or
    /// lockdown.
    Forbidden {
        /// The lockdown mode in effect, if any.
        lockdown: Option<String>,
    },
    /// Programs and maps count as locked memory, whose limit may be too low for the caller (Linux before 5.11).
    LockedMemory,
    /// The kernel does not provide a helper function to programs of this type.
    Helper {
        /// The first version of Linux that does.
        since: &'static str,
    },
    /// The verifier rejected the program.
    Verifier {
        /// The error of the kernel.
        error: io::Error,
        /// The last meaningful line of the verifier's log.
        line: String,
    },
    /// The loaded program could not be attached or opened.
    Attach(io::Error),
    /// Reading failed halfway, so the result is incomplete.
    Read(io::Error),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Capabilities {
                bpf: true,
                perfmon: true,
            } => f.write_str("CAP_BPF and CAP_PERFMON are missing"),
            Unavailable::Capabilities { bpf: true, .. } => f.write_str("CAP_BPF is missing"),
            Unavailable::Capabilities { .. } => f.write_str("CAP_PERFMON is missing"),
            Unavailable::UserNamespace => f.write_str("not in the initial user namespace"),
            Unavailable::PidNamespace => f.write_str("not in the initial PID namespace"),
            Unavailable::TimeNamespace => f.write_str("not in the initial time namespace"),
            Unavailable::NoProc(error) => write!(f, "/proc/self/ns cannot be read: {}", plain_error(error)),
            Unavailable::NoBtf(error) if error.kind() == io::ErrorKind::NotFound => {
                write!(
                    f,
                    "the kernel does not publish its types (BTF): there is no {}",
                    kernel_btf::PATH
                )
            }
            Unavailable::NoBtf(error) => write!(f, "{} cannot be read: {}", kernel_btf::PATH, plain_error(error)),
            Unavailable::Kernel(what) => f.write_str(what),
            Unavailable::NoSystemCall => f.write_str("the kernel has no bpf(2)"),
            Unavailable::Forbidden { lockdown: Some(mode) } => {
                write!(
                    f,
                    "the kernel is locked down (lockdown={mode}), which forbids the eBPF program"
                )
            }
            Unavailable::Forbidden { lockdown: None } => {
                f.write_str("bpf(2) is forbidden, by a seccomp filter or a security module")
            }
            Unavailable::LockedMemory => f.write_str(
                "the limit on locked memory (ulimit -l) is too low for eBPF, which counts against it before Linux 5.11",
            ),
            Unavailable::Helper { since } => write!(f, "it needs Linux {since} or later"),
            Unavailable::Verifier { error, line } if line.is_empty() => {
                write!(f, "the kernel refused the program: {}", plain_error(error))
            }
            Unavailable::Verifier { error, line } => {
                write!(f, "the kernel refused the program: {}: {line}", plain_error(error))
            }
            Unavailable::Attach(error) => write!(f, "the program could not be attached: {}", plain_error(error)),
            Unavailable::Read(error) => write!(f, "reading what it found failed: {}", plain_error(error)),
        }
    }
}

impl std::error::Error for Unavailable {}

impl Unavailable {
    /// Returns what the user can do about it; `None` if there is no known remedy.
    pub(crate) fn remedy(&self) -> Option<String> {
        match self {
            Unavailable::Capabilities { .. } if !rustix::process::geteuid().is_root() => {
                Some("run it as root, or with CAP_BPF and CAP_PERFMON".to_owned())
            }
            Unavailable::LockedMemory => Some("run it with CAP_SYS_RESOURCE, or raise the limit".to_owned()),
            _ => None,
        }
    }

    /// Returns why the kernel did not load a program, from its error and the last line of the verifier's log.
    /// `lockdown` is the lockdown mode in effect.
    fn of_load(error: io::Error, line: String, lockdown: Option<String>) -> Unavailable {
        match (error.raw_os_error(), refused_helper(&line)) {
            (Some(libc::ENOSYS), _) => Unavailable::NoSystemCall,
            (_, Some(PROBE_READ_KERNEL)) if lockdown.as_deref() == Some("confidentiality") => {
                Unavailable::Forbidden { lockdown }
            }
            (_, Some(helper)) if let Some((_, since)) = HELPERS.iter().find(|(number, _)| *number == helper) => {
                Unavailable::Helper { since }
            }
            (Some(libc::EPERM), _) if line.is_empty() && sys::is_locked_memory_limited() => Unavailable::LockedMemory,
            (Some(libc::EPERM), _) if line.is_empty() => Unavailable::Forbidden { lockdown },
            _ => Unavailable::Verifier { error, line },
        }
    }

    /// Returns why the kernel did not create a map.
    pub(crate) fn of_map(error: io::Error) -> Unavailable {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Unavailable::NoSystemCall,
            Some(libc::EPERM) if sys::is_locked_memory_limited() => Unavailable::LockedMemory,
            Some(libc::EPERM) => Unavailable::Forbidden { lockdown: lockdown() },
            _ => Unavailable::Kernel(format!("the kernel makes no such map: {}", plain_error(&error))),
        }
    }
}

/// `bpf_probe_read_kernel`.
const PROBE_READ_KERNEL: u32 = 113;

/// The helper functions that the tracing programs call, by their numbers in `enum bpf_func_id`, each with the version
/// of Linux that provides it: `bpf_get_socket_cookie`, `bpf_probe_read_kernel`, `bpf_ktime_get_boot_ns`,
/// `bpf_seq_write`, the three for ring buffers, `bpf_skc_to_tcp_sock`, `bpf_get_current_task_btf`,
/// `bpf_sock_from_file`.
const HELPERS: [(u32, &str); 10] = [
    (46, "5.12"),
    (PROBE_READ_KERNEL, "5.5"),
    (125, "5.8"),
    (127, "5.8"),
    (131, "5.8"),
    (132, "5.8"),
    (134, "5.8"),
    (137, "5.9"),
    (158, "5.11"),
    (162, "5.11"),
];

/// Returns the number of the helper function that the verifier refused: `unknown func bpf_sock_from_file#162`, `invalid
/// func unknown#162`, `program of this type cannot use helper bpf_x#46` (`check_helper_call` in
/// `kernel/bpf/verifier.c`).
fn refused_helper(line: &str) -> Option<u32> {
    let refused = line.contains("func ") || line.contains("cannot use helper ");
    let digits = line.rsplit_once('#').filter(|_| refused)?.1;
    digits.trim_end().parse().ok()
}

/// The loaded program, which can make any number of passes and is unloaded on drop.
#[derive(Debug)]
pub struct TaskFile {
    /// The link keeps the program loaded; the program's own descriptor is closed.
    link: OwnedFd,
}

impl TaskFile {
    /// Checks whether loading can succeed. Takes microseconds, and reads no file except three links in `/proc/self/ns`.
    ///
    /// # Errors
    /// Returns the reason why it cannot.
    pub fn check() -> Result<(), Unavailable> {
        check_capabilities()?;
        if !in_namespace("pid", 0xeffffffc)? {
            return Err(Unavailable::PidNamespace);
        }
        match in_namespace("time", 0xeffffffa) {
            Ok(true) => Ok(()),
            // Before Linux 5.6, or if the kernel was built without time namespaces, start times are not shifted.
            Err(Unavailable::NoProc(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Ok(false) => Err(Unavailable::TimeNamespace),
            Err(other) => Err(other),
        }
    }

    /// Loads and attaches the program. Takes some milliseconds, most of them for the kernel's verifier and the walk
    /// over its types.
    ///
    /// # Errors
    /// Returns the reason why the iterator cannot be used. [`TaskFile::check`] is called first, so that an unprivileged
    /// caller loses no time.
    pub fn load() -> Result<Self, Unavailable> {
        Self::check()?;
        Self::load_object(OBJECT)
    }

    fn load_object(data: &[u8]) -> Result<Self, Unavailable> {
        let types = KernelBtf::open().map_err(Unavailable::NoBtf)?;
        let described = Btf::parse(&types).map_err(|error| Unavailable::NoBtf(io::Error::other(error)))?;
        let program = Object::parse(data, SECTION)
            .and_then(|object| object.fit(&described, ITERATOR))
            .map_err(|error: ObjectError| Unavailable::Kernel(error.to_string()))?;
        let loaded = load_fitted(sys::Place::Iterator, &program, NAME)?;
        let link = sys::attach_iterator(loaded.as_fd()).map_err(Unavailable::Attach)?;
        Ok(TaskFile { link })
    }

    /// Makes one pass over all descriptors: passes each that is a socket to `visit`, ordered by process and descriptor,
    /// until it breaks. A socket that is held through several descriptors or by several processes is reported for each
    /// of them. `buffer` is scratch space that the caller keeps, so that the next pass allocates nothing.
    ///
    /// # Errors
    /// Returns [`Unavailable::Attach`] or [`Unavailable::Read`]; what was reported so far is then incomplete.
    pub fn holdings(
        &self,
        buffer: &mut Vec<u8>,
        mut visit: impl FnMut(Holding) -> ControlFlow<()>,
    ) -> Result<Stats, Unavailable> {
        let pass = sys::open_iterator(self.link.as_fd()).map_err(Unavailable::Attach)?;
        buffer.resize(BUFFER_BYTES, 0);
        let mut stats = Stats::default();
        loop {
            stats.reads += 1;
            let filled = match rustix::io::read(&pass, &mut buffer[..]) {
                Ok(0) => return Ok(stats),
                Ok(filled) => filled,
                // The kernel ends a read after 1,000,000 descriptors without a socket, and continues with the next one.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Unavailable::Read(error.into())),
            };
            let (records, rest) = buffer[..filled].as_chunks::<RECORD_BYTES>();
            if !rest.is_empty() {
                return Err(Unavailable::Read(io::Error::other("a record is cut off")));
            }
            for record in records {
                stats.holdings += 1;
                if visit(holding(record)).is_break() {
                    return Ok(stats);
                }
            }
        }
    }
}

/// Checks whether the caller may load tracing programs: it needs the capabilities, in the initial user namespace.
///
/// # Errors
/// Returns the reason why not.
pub(crate) fn check_capabilities() -> Result<(), Unavailable> {
    let capabilities = rustix::thread::capabilities(None)
        .map(|sets| sets.effective)
        .unwrap_or(CapabilitySet::empty());
    if !capabilities.contains(CapabilitySet::SYS_ADMIN) {
        let bpf = !capabilities.contains(CapabilitySet::BPF);
        let perfmon = !capabilities.contains(CapabilitySet::PERFMON);
        if bpf || perfmon {
            return Err(Unavailable::Capabilities { bpf, perfmon });
        }
    }
    // The initial namespaces have fixed inodes: PROC_*_INIT_INO in include/linux/proc_ns.h.
    match in_namespace("user", 0xeffffffd)? {
        true => Ok(()),
        false => Err(Unavailable::UserNamespace),
    }
}

/// Loads a relocated program under `name`.
///
/// # Errors
/// Returns why the kernel did not load it.
pub(crate) fn load_fitted(place: sys::Place, program: &Program<'_>, name: &str) -> Result<OwnedFd, Unavailable> {
    let load = |log: Option<&mut [u8]>| {
        let instructions = &program.instructions;
        sys::load(place, instructions, program.license, name, program.attach_to, log)
    };
    load(None).map_err(|error| {
        // The verifier also returns EPERM; its log then contains the reason.
        let mut log = vec![0; 64 * 1024];
        let _ = load(Some(&mut log));
        Unavailable::of_load(error, last_line(&log), lockdown())
    })
}

/// Decodes a `struct record` of the program.
fn holding(record: &[u8; RECORD_BYTES]) -> Holding {
    let number = |at: usize| u32::from_ne_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    let mut start = [0; 8];
    start.copy_from_slice(&record[..8]);
    Holding {
        start_ns: u64::from_ne_bytes(start),
        inode: number(8),
        pid: number(12),
        tid: number(16),
        fd: number(20),
    }
}

/// Whether the caller's namespace of this type has this inode: the link target is `pid:[4026531836]`.
fn in_namespace(kind: &str, inode: u32) -> Result<bool, Unavailable> {
    let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).map_err(Unavailable::NoProc)?;
    Ok(link.as_os_str().as_encoded_bytes() == format!("{kind}:[{inode}]").as_bytes())
}

/// Returns the lockdown mode in effect, if any.
fn lockdown() -> Option<String> {
    let modes = std::fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    chosen(&modes).filter(|&mode| mode != "none").map(str::to_owned)
}

/// Returns the word in brackets: `none [integrity] confidentiality`.
pub(crate) fn chosen(modes: &str) -> Option<&str> {
    Some(modes.split_once('[')?.1.split_once(']')?.0)
}

/// Returns the last line of a verifier log before the closing statistics.
fn last_line(log: &[u8]) -> String {
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..end])
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty() && !line.starts_with("processed "))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_read_field_by_field() {
        let mut record = [0; RECORD_BYTES];
        record[..8].copy_from_slice(&12_345_678_901_234u64.to_ne_bytes());
        for (index, value) in [4_026_531_840u32, 77, 78, 5].into_iter().enumerate() {
            record[8 + 4 * index..12 + 4 * index].copy_from_slice(&value.to_ne_bytes());
        }
        let expected = Holding {
            inode: 4_026_531_840,
            pid: 77,
            tid: 78,
            fd: 5,
            start_ns: 12_345_678_901_234,
        };
        assert_eq!(holding(&record), expected);
        assert_eq!(expected.start_ticks(100), 1_234_567);
        assert_eq!(expected.start_ticks(1000), 12_345_678);
        assert_eq!(expected.start_ticks(0), expected.start_ns);
    }

    #[test]
    fn lockdown_mode_in_brackets_is_chosen() {
        assert_eq!(chosen("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(chosen("[none] integrity confidentiality"), Some("none"));
        assert_eq!(chosen("none ]integrity["), None);
    }

    #[test]
    fn last_line_of_verifier_log_skips_statistics() {
        let log = b"0: R1=ctx\ninvalid func unknown#162\nprocessed 6 insns (limit 1000000)\n\0\0";
        assert_eq!(last_line(log), "invalid func unknown#162");
        assert_eq!(last_line(b"processed 0 insns\n"), "");
        assert_eq!(last_line(&[0; 9]), "");
    }

    #[test]
    fn refused_load_gives_the_reason_in_plain_words() {
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let why = |line: &str, lockdown: Option<&str>| {
            Unavailable::of_load(invalid(), line.to_owned(), lockdown.map(str::to_owned)).to_string()
        };
        assert_eq!(why("invalid func unknown#162", None), "it needs Linux 5.11 or later");
        assert_eq!(
            why("unknown func bpf_get_socket_cookie#46", None),
            "it needs Linux 5.12 or later"
        );
        assert_eq!(
            why("program of this type cannot use helper bpf_get_socket_cookie#46", None),
            "it needs Linux 5.12 or later"
        );
        let locked = why("unknown func bpf_probe_read_kernel#113", Some("confidentiality"));
        assert_eq!(
            locked,
            "the kernel is locked down (lockdown=confidentiality), which forbids the eBPF program"
        );
        assert!(why("R1 type=inv expected=ctx", None).contains("R1 type=inv"));
        let refused = io::Error::from_raw_os_error(libc::EPERM);
        let refused = Unavailable::of_load(refused, String::new(), Some("integrity".to_owned()));
        assert!(
            matches!(refused, Unavailable::Forbidden { .. } | Unavailable::LockedMemory),
            "{refused}"
        );
    }

    #[test]
    fn verifier_message_is_reported() {
        if let Err(error) = TaskFile::load() {
            return netstat_testkit::skip("verifier_message_is_reported", &error.to_string());
        }
        // Helpers that require a GPL-compatible license are not available to a proprietary program.
        let closed = b"Proprietary \0";
        let mut object = OBJECT.to_vec();
        let at = object
            .windows(closed.len())
            .position(|bytes| bytes == b"Dual MIT/GPL\0")
            .unwrap();
        object[at..at + closed.len()].copy_from_slice(closed);
        let error = TaskFile::load_object(&object).unwrap_err();
        assert!(
            matches!(&error, Unavailable::Verifier { line, .. } if line.contains("GPL")),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn last_line_of_any_log_is_single_line(log in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!last_line(&log).contains('\n'));
        }
    }
}
