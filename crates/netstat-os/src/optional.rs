//! What a system may be able to do beyond the core of [`System`](crate::System).
//!
//! Each trait has "not supported on this system yet" as its default, so that a new system begins with `impl Inspect for X {}` and
//! fills in what it can. `dyn System` has them all; no caller needs to import them.

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
    /// The number of the descriptor.
    pub number: u32,
    /// Its path in the view of the process, without the kernel's mark; chosen by others: to be escaped.
    pub path: Vec<u8>,
    /// Whether the file has been removed.
    pub deleted: bool,
    /// The position in it, in bytes. Reads and writes move it, but not those at a given offset (pread(2), mmap(2)).
    pub position: u64,
    /// Whether it is open for reading.
    pub reads: bool,
    /// Whether it is open for writing.
    pub writes: bool,
}

/// A file system on a local disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystemSpace {
    /// The block device: major and minor number.
    pub device: (u32, u32),
    /// Where it is mounted first; chosen by others: to be escaped.
    pub mount_point: Vec<u8>,
    /// Its size in bytes.
    pub total: u64,
    /// Bytes that an ordinary user may still use.
    pub available: u64,
}

/// Files and texts of single processes.
pub trait Inspect {
    /// Whether the paths that this system reports are those of the machine that the program runs on, so that its files may be read. Not
    /// so for a replay.
    fn has_files(&self) -> bool {
        false
    }

    /// The file of the program that process `pid`, started at `start_ticks`, is running, opened for reading: also one whose name
    /// has been removed.
    ///
    /// # Errors
    /// Why it cannot be opened; [`Why::Gone`] when that process has ended.
    fn program_file(&mut self, pid: u32, start_ticks: u64) -> Result<File, Why> {
        let _ = (pid, start_ticks);
        Err(Why::NotSupported)
    }

    /// The regular file at `path` as process `pid`, started at `start_ticks`, sees it, opened for reading; a relative path starts
    /// at its working directory. It may be any file: its content is untrusted.
    ///
    /// # Errors
    /// Why it cannot be opened; [`Why::Gone`] when nothing is there, [`Why::NotApplicable`] when it is no regular file.
    fn file_in_view(&mut self, pid: u32, start_ticks: u64, path: &[u8]) -> Result<File, Why> {
        let _ = (pid, start_ticks, path);
        Err(Why::NotSupported)
    }

    /// One of the texts that the system keeps about process `pid`, started at `start_ticks`, as it is.
    ///
    /// # Errors
    /// Why it cannot be read; [`Why::Gone`] when that process has ended.
    fn process_text(&mut self, pid: u32, start_ticks: u64, which: ProcessText) -> Result<Vec<u8>, Why> {
        let _ = (pid, start_ticks, which);
        Err(Why::NotSupported)
    }

    /// The files that process `pid`, started at `start_ticks`, has open, by rising descriptor: at most 4096. Sockets, pipes and the
    /// kernel's objects are no files.
    ///
    /// # Errors
    /// Why they cannot be read; [`Why::Gone`] when that process has ended.
    fn open_files(&mut self, pid: u32, start_ticks: u64) -> Result<Vec<OpenFile>, Why> {
        let _ = (pid, start_ticks);
        Err(Why::NotSupported)
    }

    /// The regular file behind descriptor `number` of process `pid`, started at `start_ticks`, opened for reading anew: also one whose
    /// name has been removed.
    ///
    /// # Errors
    /// Why it cannot be opened; [`Why::Gone`] when that process has ended or has no such descriptor, [`Why::NotApplicable`] when it is no
    /// regular file.
    fn open_file(&mut self, pid: u32, start_ticks: u64, number: u32) -> Result<File, Why> {
        let _ = (pid, start_ticks, number);
        Err(Why::NotSupported)
    }

    /// The file systems on local disks, with the room in them.
    ///
    /// # Errors
    /// Why they cannot be listed.
    fn file_systems(&mut self) -> Result<Vec<FileSystemSpace>, Why> {
        Err(Why::NotSupported)
    }

    /// The path of each control group below the root of its hierarchy, by its id as sockets have it; empty where it cannot be read.
    fn cgroup_paths(&mut self) -> HashMap<u64, Vec<u8>> {
        HashMap::new()
    }

    /// What the control group at `path`, below the root of version 2, stands for: units and containers, outermost first.
    fn components_of(&self, path: &[u8]) -> Vec<Component> {
        let _ = path;
        Vec::new()
    }

    /// Whether a process holds a lock on the file at `path`. `false` proves nothing: locks of processes out of sight are not seen.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Events of sockets as they happen.
pub trait Events {
    /// Starts to watch what happens to sockets.
    ///
    /// # Errors
    /// When `ask` forces a way that cannot be used.
    fn events(&mut self, ask: &EventsAsk) -> Result<Box<dyn EventSource>, Refused> {
        let _ = ask;
        Err(Refused::not_supported())
    }

    /// Starts to watch DNS answers in the caller's network namespace: only those that come from port 53, unencrypted.
    ///
    /// # Errors
    /// When the caller lacks the privilege (on Linux `CAP_NET_RAW`), or the system has no way to see them.
    fn dns_answers(&mut self) -> Result<Box<dyn DnsAnswers>, Refused> {
        Err(Refused::not_supported())
    }
}

/// What a packet filter lets in.
pub trait Firewall {
    /// The packet filters of the caller's network.
    fn packet_filter(&mut self) -> PacketFilter {
        PacketFilter {
            nftables: Fact::Unknown(Why::NotSupported),
            rules: Fact::Unknown(Why::NotSupported),
            iptables: Fact::Unknown(Why::NotSupported),
        }
    }
}

/// Second sources, by which something hidden from the first one is found.
pub trait Integrity {
    /// The TCP and UDP sockets of the caller's own network that `ask` wants, in no order, as another part of the kernel reports them than
    /// the one that [`System::sockets`](crate::System::sockets) asks first: on Linux the text tables of `/proc/net`. `list` is emptied
    /// first.
    ///
    /// # Errors
    /// When there is no second source, or none of it can be read.
    fn sockets_as_text(&mut self, ask: &SocketAsk, list: &mut SocketList) -> Result<(), Refused> {
        let _ = ask;
        list.clear();
        Err(Refused::not_supported())
    }

    /// Whether [`System::sockets`](crate::System::sockets) lists TCP ports that are bound and neither listen nor connect.
    fn lists_bound_ports(&self) -> bool {
        false
    }

    /// Tries whether each of `ports` can be bound on the unspecified address, over TCP or UDP: each is bound for a moment, nothing
    /// listens on it and nothing is sent. A program that starts in this moment may find its port taken.
    fn try_ports(&mut self, protocol: Protocol, v6: bool, ports: &[u16]) -> PortTries {
        let _ = (protocol, v6);
        PortTries {
            failed: u32::try_from(ports.len()).unwrap_or(u32::MAX),
            ..PortTries::default()
        }
    }

    /// The interfaces in promiscuous mode, and how many programs want that of each; without those where a bridge, a bond or an
    /// interface on top of them explains it.
    ///
    /// # Errors
    /// When the system does not say.
    fn promiscuous(&mut self) -> Result<Vec<(Vec<u8>, u32)>, Refused> {
        Err(Refused::not_supported())
    }
}

/// What of the system can be seen, and what not.
pub trait Checkup {
    /// Everything that decides what the other questions can answer, each with its reason and, where there is one, the command that
    /// mends it. Some of the questions are asked for it, and eBPF programs are loaded for a moment.
    fn checks(&mut self) -> Vec<Check> {
        vec![Check::new(
            CheckArea::Answers,
            "system",
            CheckStatus::Unknown,
            "what this system answers from cannot be checked",
        )]
    }
}

/// Changes to the running system: the only questions that are not read-only.
pub trait Control {
    /// Closes `socket`, of the last listing, on behalf of its program: exactly this one, never a later one at the same addresses.
    ///
    /// # Errors
    /// [`NotDestroyed`] says why not.
    fn destroy(&mut self, socket: &Socket) -> Result<(), NotDestroyed> {
        let _ = socket;
        Err(NotDestroyed::NotSupported)
    }

    /// Sends a signal to a process: to exactly this one, never to a later one with its id.
    ///
    /// # Errors
    /// One line that says why not.
    fn signal(&mut self, process: ProcessKey, signal: Signal) -> Result<(), Refused> {
        let _ = (process, signal);
        Err(Refused::not_supported())
    }

    /// Gives up what this process does not need, for the rest of its life. `None` where the system is not asked by a program of its
    /// own process, which others may not confine.
    fn confine(&mut self, how: &Confinement) -> Option<Confined> {
        let _ = how;
        None
    }

    /// Calls `notify` from a thread of its own for each signal that would end or stop this program, which the signal then no longer
    /// does by itself. Where there are no signals, `notify` is never called.
    ///
    /// # Errors
    /// When the signals cannot be caught, or no thread can be started.
    fn catch_signals(&mut self, notify: Box<dyn FnMut(Caught) + Send>) -> io::Result<()> {
        drop(notify);
        Ok(())
    }
}
