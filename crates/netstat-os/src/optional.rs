//! Optional capabilities of a system, beyond the core in [`System`](crate::System).
//!
//! The default methods of each trait report "not supported on this system yet", so a port to a new system begins with
//! `impl Inspect for X {}` and adds what it can. All of them are supertraits of `System`, so callers with a `dyn
//! System` do not need to import them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use netstat_model::metrics::ProcessKey;
use netstat_model::packet_filter::PacketFilter;
use netstat_model::{Component, Fact, Protocol, Socket, Why};

use crate::{
    Caught, Check, CheckArea, CheckStatus, Confined, Confinement, DnsAnswers, EventSource, EventsAsk, NotDestroyed,
    PortTries, ProcessText, Refused, Signal, SocketAsk, SocketList,
};

/// A file that a process has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// The number of the file descriptor.
    pub number: u32,
    /// The path as the process sees it, without the kernel's ` (deleted)` mark. It is untrusted and must be escaped.
    pub path: Vec<u8>,
    /// Whether the file has been unlinked.
    pub deleted: bool,
    /// The file offset in bytes. Ordinary reads and writes move it; pread(2), pwrite(2) and access through mmap(2) do
    /// not.
    pub position: u64,
    /// Whether it is open for reading.
    pub reads: bool,
    /// Whether it is open for writing.
    pub writes: bool,
}

/// A file system on a local disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystemSpace {
    /// The major and minor number of the block device.
    pub device: (u32, u32),
    /// The first place where it is mounted. It is untrusted and must be escaped.
    pub mount_point: Vec<u8>,
    /// Its size in bytes.
    pub total: u64,
    /// The number of bytes that an unprivileged user can still use.
    pub available: u64,
}

/// Access to files and raw `/proc` texts of single processes.
pub trait Inspect {
    /// Whether the paths that this system reports are those of the machine that the program runs on, so that the files
    /// can be read. Not the case for a replay.
    fn has_files(&self) -> bool {
        false
    }

    /// Opens for reading the executable file that process `pid`, started at `start_ticks`, is running, even if it has
    /// been unlinked.
    ///
    /// # Errors
    /// Returns the reason why it cannot be opened; [`Why::Gone`] if that process has ended.
    fn program_file(&mut self, pid: u32, start_ticks: u64) -> Result<File, Why> {
        let _ = (pid, start_ticks);
        Err(Why::NotSupported)
    }

    /// Opens for reading the regular file at `path` as process `pid`, started at `start_ticks`, sees it. A relative
    /// path starts at the working directory of the process. The file may be anything: its content is untrusted.
    ///
    /// # Errors
    /// Returns the reason why it cannot be opened; [`Why::Gone`] if the path does not exist, and [`Why::NotApplicable`]
    /// if it is not a regular file.
    fn file_in_view(&mut self, pid: u32, start_ticks: u64, path: &[u8]) -> Result<File, Why> {
        let _ = (pid, start_ticks, path);
        Err(Why::NotSupported)
    }

    /// Reads one of the texts that the system keeps about process `pid`, started at `start_ticks`, unchanged.
    ///
    /// # Errors
    /// Returns the reason why it cannot be read; [`Why::Gone`] if that process has ended.
    fn process_text(&mut self, pid: u32, start_ticks: u64, which: ProcessText) -> Result<Vec<u8>, Why> {
        let _ = (pid, start_ticks, which);
        Err(Why::NotSupported)
    }

    /// Returns the files that process `pid`, started at `start_ticks`, has open, in ascending order of the descriptor,
    /// and at most 4096 of them. Sockets, pipes and anonymous kernel objects are not included.
    ///
    /// # Errors
    /// Returns the reason why they cannot be read; [`Why::Gone`] if that process has ended.
    fn open_files(&mut self, pid: u32, start_ticks: u64) -> Result<Vec<OpenFile>, Why> {
        let _ = (pid, start_ticks);
        Err(Why::NotSupported)
    }

    /// Reopens for reading the regular file behind descriptor `number` of process `pid`, started at `start_ticks`, even
    /// if it has been unlinked.
    ///
    /// # Errors
    /// Returns the reason why it cannot be opened; [`Why::Gone`] if that process has ended or has no such descriptor,
    /// and [`Why::NotApplicable`] if it is not a regular file.
    fn open_file(&mut self, pid: u32, start_ticks: u64, number: u32) -> Result<File, Why> {
        let _ = (pid, start_ticks, number);
        Err(Why::NotSupported)
    }

    /// Returns the file systems on local disks, with their size and free space.
    ///
    /// # Errors
    /// Returns the reason why they cannot be listed.
    fn file_systems(&mut self) -> Result<Vec<FileSystemSpace>, Why> {
        Err(Why::NotSupported)
    }

    /// Returns the path of each control group, relative to the root of its hierarchy, by the id that sockets carry;
    /// empty if they cannot be read.
    fn cgroup_paths(&mut self) -> HashMap<u64, Vec<u8>> {
        HashMap::new()
    }

    /// Returns the units and containers that the control group at `path` (relative to the root of the version 2
    /// hierarchy) stands for, outermost first.
    fn components_of(&self, path: &[u8]) -> Vec<Component> {
        let _ = path;
        Vec::new()
    }

    /// Whether a process holds a lock on the file at `path`. `false` proves nothing, because locks of processes that
    /// the caller cannot see are not visible.
    ///
    /// # Errors
    /// Returns an error if it cannot be determined.
    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Watching sockets as events happen.
pub trait Events {
    /// Starts to watch sockets.
    ///
    /// # Errors
    /// Returns an error if `ask` forces a mechanism that cannot be used.
    fn events(&mut self, ask: &EventsAsk) -> Result<Box<dyn EventSource>, Refused> {
        let _ = ask;
        Err(Refused::not_supported())
    }

    /// Starts to watch DNS answers in the caller's network namespace. Only unencrypted answers from port 53 are seen.
    ///
    /// # Errors
    /// Returns an error if the caller lacks the privilege (`CAP_NET_RAW` on Linux), or the system cannot capture them.
    fn dns_answers(&mut self) -> Result<Box<dyn DnsAnswers>, Refused> {
        Err(Refused::not_supported())
    }
}

/// The packet filters of the system.
pub trait Firewall {
    /// Returns the packet filters of the caller's network namespace.
    fn packet_filter(&mut self) -> PacketFilter {
        PacketFilter {
            nftables: Fact::Unknown(Why::NotSupported),
            rules: Fact::Unknown(Why::NotSupported),
            iptables: Fact::Unknown(Why::NotSupported),
        }
    }
}

/// Independent second sources, with which something that was hidden from the first one can be found.
pub trait Integrity {
    /// Lists the TCP and UDP sockets of the caller's own network namespace that `ask` selects, in no particular order,
    /// from another part of the kernel than the one that [`System::sockets`](crate::System::sockets) uses: on Linux the
    /// text tables in `/proc/net`. `list` is cleared first.
    ///
    /// # Errors
    /// Returns an error if there is no second source, or none of it can be read.
    fn sockets_as_text(&mut self, ask: &SocketAsk, list: &mut SocketList) -> Result<(), Refused> {
        let _ = ask;
        list.clear();
        Err(Refused::not_supported())
    }

    /// Whether [`System::sockets`](crate::System::sockets) includes TCP sockets that are bound but neither listen nor
    /// connect.
    fn lists_bound_ports(&self) -> bool {
        false
    }

    /// Tries for each of `ports` whether it can be bound on the unspecified address, over TCP or UDP. The port is bound
    /// only for a moment; nothing listens on it and nothing is sent. A program that starts in this moment may find its
    /// port in use.
    fn try_ports(&mut self, protocol: Protocol, v6: bool, ports: &[u16]) -> PortTries {
        let _ = (protocol, v6);
        PortTries {
            failed: u32::try_from(ports.len()).unwrap_or(u32::MAX),
            ..PortTries::default()
        }
    }

    /// Returns the interfaces in promiscuous mode, each with the number of programs that requested it. Interfaces whose
    /// promiscuous mode is explained by a bridge, a bond or an interface on top of them are left out.
    ///
    /// # Errors
    /// Returns an error if the system does not report it.
    fn promiscuous(&mut self) -> Result<Vec<(Vec<u8>, u32)>, Refused> {
        Err(Refused::not_supported())
    }
}

/// The self-check behind `netstat doctor`.
pub trait Checkup {
    /// Runs all checks of what the other queries can return, each with its reason and, if there is one, the command
    /// that fixes it. This makes some of these queries and loads eBPF programs for a moment.
    fn checks(&mut self) -> Vec<Check> {
        vec![Check::new(
            CheckArea::Answers,
            "system",
            CheckStatus::Unknown,
            "what this system answers from cannot be checked",
        )]
    }
}

/// Changes to the running system: the only methods that are not read-only.
pub trait Control {
    /// Closes `socket`, from the last listing, on behalf of its program. It affects exactly this socket, never a later
    /// one with the same addresses.
    ///
    /// # Errors
    /// Returns the reason why it was not closed.
    fn destroy(&mut self, socket: &Socket) -> Result<(), NotDestroyed> {
        let _ = socket;
        Err(NotDestroyed::NotSupported)
    }

    /// Sends a signal to exactly this process, never to a later one with the same id.
    ///
    /// # Errors
    /// Returns the reason in one line.
    fn signal(&mut self, process: ProcessKey, signal: Signal) -> Result<(), Refused> {
        let _ = (process, signal);
        Err(Refused::not_supported())
    }

    /// Permanently gives up what this process does not need. Returns `None` if this handle is not used by a program
    /// that has the process to itself: other programs in the process must not be confined.
    fn confine(&mut self, how: &Confinement) -> Option<Confined> {
        let _ = how;
        None
    }

    /// Calls `notify` from a thread of its own for each signal that would terminate or stop this program; the signal no
    /// longer has that effect by itself. On platforms without signals, `notify` is never called.
    ///
    /// # Errors
    /// Returns an error if the signals cannot be caught, or the thread cannot be started.
    fn catch_signals(&mut self, notify: Box<dyn FnMut(Caught) + Send>) -> io::Result<()> {
        drop(notify);
        Ok(())
    }
}
