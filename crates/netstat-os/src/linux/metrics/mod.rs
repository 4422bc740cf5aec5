//! Metrics of the computer and its processes from `/proc`, and the kinds of disks from `/sys/block`.

pub mod parse;
mod processes;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netstat_model::counters::Metric;
use netstat_model::metrics::{Disk, DiskKind, Memory, Metrics, Pressure, Pressures, ProcessKey, SystemMetrics};
use netstat_model::{Fact, Limit, Why, text::plain_error};
use rustix::io::Errno;
use rustix::process::PidfdFlags;

use super::counters::{self, now, read_net, snmp};
use super::owners::{ProcessDir, parse_stat};
use crate::{MetricsAsk, Refused, RefusedKind, Signal};
use processes::{Look, ProcessReader};

/// The directory of the kernel's block devices (Documentation/ABI/stable/sysfs-block).
const BLOCK_DEVICES: &str = "/sys/block";

/// The device number and name of a disk.
type DiskPlace = ((u32, u32), Box<[u8]>);

/// Reads metrics; keeps files open and caches what makes the next sample cheaper.
#[derive(Debug)]
pub(super) struct FigureReader {
    root: PathBuf,
    proc: Option<File>,
    processes: ProcessReader,
    /// The kinds of disks by device number and name.
    kinds: HashMap<DiskPlace, Fact<DiskKind>>,
    /// The open system-wide files, by their name below `/proc`.
    files: HashMap<&'static str, File>,
    text: Vec<u8>,
}

impl FigureReader {
    pub(super) fn new(root: &Path) -> Self {
        FigureReader {
            root: root.to_owned(),
            proc: None,
            processes: ProcessReader::default(),
            kinds: HashMap::new(),
            files: HashMap::new(),
            text: Vec::new(),
        }
    }

    /// Takes one sample of what is requested.
    pub(super) fn read(&mut self, ask: &MetricsAsk) -> Metrics {
        let mut limits = Vec::new();
        let system = self.system(&mut limits);
        let processes = if ask.processes {
            self.read_processes(&system.memory, &mut limits)
        } else {
            Fact::Unknown(Why::NotAsked)
        };
        Metrics {
            system,
            processes,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            at: now(),
            limits,
        }
    }

    /// Sends a signal to exactly the process that `key` identifies: through a pidfd (pidfd_open(2)), whose start time
    /// is compared after opening it.
    pub(super) fn signal(&self, key: ProcessKey, signal: Signal) -> Result<(), Refused> {
        let pid = i32::try_from(key.pid).ok().and_then(rustix::process::Pid::from_raw);
        let told = |error: Errno| {
            let (kind, message) = match error {
                Errno::SRCH => (RefusedKind::NotFound, "has ended already".to_owned()),
                Errno::PERM => {
                    let message = format!("not permitted: process {} belongs to another user (try sudo)", key.pid);
                    return Refused::new(RefusedKind::NotPermitted, message);
                }
                Errno::NOSYS => (
                    RefusedKind::NotSupported,
                    format!("cannot be signalled: {}", plain_error(&error)),
                ),
                error => (
                    RefusedKind::Failed,
                    format!("cannot be signalled: {}", plain_error(&error)),
                ),
            };
            Refused::new(kind, format!("process {} {message}", key.pid))
        };
        let process =
            rustix::process::pidfd_open(pid.ok_or_else(|| told(Errno::SRCH))?, PidfdFlags::empty()).map_err(told)?;
        let proc = File::open(&self.root).map_err(|error| Refused::from_io(self.root.display(), &error))?;
        let mut text = Vec::new();
        let start = ProcessDir::open(proc.as_fd(), key.pid)
            .and_then(|dir| dir.text(c"stat", &mut text))
            .map(|()| parse_stat(&text).map(|stat| stat.start_ticks));
        match start {
            Ok(Ok(start)) if start == key.start_ticks => {}
            _ => return Err(told(Errno::SRCH)),
        }
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::HangUp => rustix::process::Signal::HUP,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Continue => rustix::process::Signal::CONT,
        };
        rustix::process::pidfd_send_signal(&process, signal).map_err(told)
    }

    fn system(&mut self, limits: &mut Vec<Limit>) -> SystemMetrics {
        let (interfaces, interface_limits) = counters::interface_statistics(&self.root);
        limits.extend(interface_limits);
        let at = now();
        let cpu = self.parsed("stat", parse::cpu);
        let memory = match self.whole("meminfo") {
            Ok(()) => parse::memory(&self.text),
            Err(error) => Memory::unknown(counters::why(&error)),
        };
        SystemMetrics {
            at,
            cpu,
            memory,
            pressure: Pressures {
                cpu: self.pressure("pressure/cpu"),
                memory: self.pressure("pressure/memory"),
                io: self.pressure("pressure/io"),
            },
            disks: self.disks(),
            interfaces,
            tcp_connections: self.tcp_connections(),
            uptime: self
                .parsed("uptime", parse::uptime)
                .map(|hundredths| Duration::from_millis(hundredths.saturating_mul(10))),
        }
    }

    fn read_processes(
        &mut self,
        memory: &Memory,
        limits: &mut Vec<Limit>,
    ) -> Fact<Vec<netstat_model::metrics::ProcessMetrics>> {
        let read = match &self.proc {
            Some(proc) => Ok(proc),
            None => File::open(&self.root).map(|proc| &*self.proc.insert(proc)),
        };
        let read = read.and_then(|proc| {
            let look = Look {
                proc: proc.as_fd(),
                // The page size is a power of two that fits.
                page_size: rustix::param::page_size() as u64,
                swap_in_use: memory.swap_used() != Fact::Known(0),
            };
            Ok(self.processes.read(&look)?)
        });
        match read {
            Ok(all) => Fact::Known(all),
            Err(error) => {
                limits.push(Limit {
                    what: "processes are missing".to_owned(),
                    why: format!("{}: {}", self.root.display(), plain_error(&error)),
                    remedy: None,
                });
                Fact::Unknown(counters::why(&error))
            }
        }
    }

    /// Reads a file below `/proc` into `text`, keeping it open.
    fn whole(&mut self, name: &'static str) -> io::Result<()> {
        let file = match self.files.get(name) {
            Some(file) => file,
            None => {
                let file = File::open(self.root.join(name))?;
                self.files.entry(name).or_insert(file)
            }
        };
        if self.text.capacity() == 0 {
            self.text.reserve(16 * 1024);
        }
        self.text.clear();
        self.text.resize(self.text.capacity(), 0);
        let mut length = 0;
        loop {
            if length == self.text.len() {
                self.text.resize(2 * length, 0);
            }
            match file.read_at(&mut self.text[length..], length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.text.truncate(length);
        Ok(())
    }

    fn parsed<T>(&mut self, name: &'static str, parse: fn(&[u8]) -> Option<T>) -> Fact<T> {
        match self.whole(name) {
            Ok(()) => Fact::from_option(parse(&self.text), Why::Failed),
            Err(error) => Fact::Unknown(counters::why(&error)),
        }
    }

    /// Reads pressure stall information. Kernels before 4.20, and those built or booted without it, have no such file,
    /// or one that cannot be read.
    fn pressure(&mut self, name: &'static str) -> Fact<Pressure> {
        match self.whole(name) {
            Ok(()) => Fact::from_option(parse::pressure(&self.text), Why::Failed),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::Unsupported => Fact::Unknown(Why::NotSupported),
                _ => Fact::Unknown(counters::why(&error)),
            },
        }
    }

    fn disks(&mut self) -> Fact<Vec<Disk>> {
        if let Err(error) = self.whole("diskstats") {
            return Fact::Unknown(counters::why(&error));
        }
        let mut disks = parse::disks(&self.text);
        for disk in &mut disks {
            let place = (disk.number, disk.name.clone());
            disk.kind = *self.kinds.entry(place).or_insert_with(|| kind(&disk.name));
        }
        if self.kinds.len() > 2 * disks.len() {
            self.kinds.clear();
        }
        Fact::Known(disks)
    }

    /// Reads `tcpCurrEstab` from `/proc/net/snmp`.
    fn tcp_connections(&self) -> Fact<u64> {
        match read_net(&self.root, "snmp") {
            Ok(text) => {
                let parsed = snmp::pairs(&text);
                let tcp = parsed.groups.iter().find(|group| &*group.name == "Tcp");
                match tcp.and_then(|group| group.get("CurrEstab")) {
                    // The kernel sums up signed per-CPU values that are read one after the other, so the sum may be
                    // negative.
                    Some(Fact::Known(Metric::Gauge(count))) => Fact::Known(u64::try_from(count).unwrap_or(0)),
                    Some(Fact::Unknown(why)) => Fact::Unknown(why),
                    _ => Fact::Unknown(Why::Failed),
                }
            }
            Err(error) => Fact::Unknown(counters::why(&error)),
        }
    }
}

/// Returns the kind of a disk: a device has a directory in `/sys/block`, and one that is stacked on others lists these
/// as its slaves.
fn kind(name: &[u8]) -> Fact<DiskKind> {
    use std::os::unix::ffi::OsStrExt;
    // The kernel replaces the slash in a name by `!` (`cciss/c0d0`).
    let name: Vec<u8> = name
        .iter()
        .map(|&byte| if byte == b'/' { b'!' } else { byte })
        .collect();
    let name = std::ffi::OsStr::from_bytes(&name);
    let all = Path::new(BLOCK_DEVICES);
    match std::fs::read_dir(all.join(name).join("slaves")) {
        Ok(mut slaves) => Fact::Known(if slaves.next().is_some() {
            DiskKind::Stacked
        } else {
            DiskKind::Whole
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match std::fs::metadata(all.join(name)) {
            Ok(_) => Fact::Known(DiskKind::Whole),
            Err(error) if error.kind() == io::ErrorKind::NotFound && all.is_dir() => Fact::Known(DiskKind::Partition),
            Err(error) => Fact::Unknown(counters::why(&error)),
        },
        Err(error) => Fact::Unknown(counters::why(&error)),
    }
}
