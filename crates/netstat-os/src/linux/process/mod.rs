//! Reads detailed facts about one process from `/proc/PID`.
//!
//! Everything is read through one descriptor of the directory, which refers to the process it was opened for: after
//! that has ended, every read fails, even if its id is reused. If the process executes another program while it is read
//! (execve(2)), it is read again.

mod look;
mod open_files;
mod program;
mod status;
mod texts;

pub use program::{file_beginning, file_names, file_status};

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use netstat_model::process::ProcessFacts;
use netstat_model::{Fact, Why, text::plain_error};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::bounded;
use super::owners::process::{ProcessDir, why};
use super::owners::table::process_ids;
use super::owners::{hidden, parse_stat};
use super::privilege;
use crate::{NoProcess, ProcessAsk, Refused};

pub use status::{Status, parse_status};
pub use texts::{
    parse_arguments, parse_cgroup_path, parse_descriptor, parse_environment, parse_executable_mappings, parse_memory,
    parse_namespace,
};

use look::Look;

/// How many times a process is read again because it has executed another program in the meantime.
const ATTEMPTS: u32 = 3;

/// Reads facts about single processes.
#[derive(Debug)]
pub struct ProcessReader {
    root: PathBuf,
    proc: Option<OwnedFd>,
}

impl Default for ProcessReader {
    fn default() -> Self {
        ProcessReader::new("/proc")
    }
}

impl ProcessReader {
    /// Creates a reader that uses the procfs mounted at `root`, usually `/proc`. Opens nothing yet.
    pub fn new(root: impl AsRef<Path>) -> Self {
        ProcessReader {
            root: root.as_ref().to_owned(),
            proc: None,
        }
    }

    /// Returns the ids of all visible processes, in ascending order.
    ///
    /// # Errors
    /// Returns an error if the processes cannot be listed.
    pub fn list(&mut self) -> Result<Vec<u32>, Refused> {
        let ids = self.open().and_then(process_ids);
        ids.map_err(|error| {
            let what = format_args!("the process list {} cannot be read", self.root.display()).to_string();
            Refused::from_io(what, &error.into())
        })
    }

    /// Reads the facts about process `pid` that `ask` requests.
    ///
    /// # Errors
    /// See [`NoProcess`].
    pub fn read(&mut self, pid: u32, ask: &ProcessAsk) -> Result<ProcessFacts, NoProcess> {
        let bare = self.uncovered(pid);
        let proc = self.open().map_err(failed)?;
        let proc = bare.as_ref().map_or(proc, AsFd::as_fd);
        let dir = ProcessDir::open(proc, pid).map_err(failed)?;
        let mut look = Look::new(proc, &dir, ask);
        let mut facts = look.read(pid)?;
        for _ in 1..ATTEMPTS {
            if !look.changed(&facts) {
                break;
            }
            facts = look.read(pid)?;
        }
        Ok(facts)
    }

    /// Opens the executable file of process `pid`, started at `start_ticks`, even if it has been unlinked.
    ///
    /// # Errors
    /// Returns the reason why it cannot be opened; [`Why::Gone`] if that process has ended.
    pub fn program_file(&mut self, pid: u32, start_ticks: u64) -> Result<File, Why> {
        let _links = privilege::links_only();
        let dir = self.same(pid, start_ticks)?;
        let place = bounded::open_link(dir.as_fd(), c"exe", OFlags::empty()).map_err(why)?;
        bounded::open_place(place.as_fd(), OFlags::RDONLY)
            .map(File::from)
            .map_err(why)
    }

    /// Opens the regular file at `path` in the view of process `pid`, started at `start_ticks`; a relative path starts
    /// at its working directory. It was not opened by the process and may be any file, so its content is untrusted.
    ///
    /// # Errors
    /// Returns the reason why it cannot be opened; [`Why::Gone`] if the path does not exist, and [`Why::NotApplicable`]
    /// if it is not a regular file.
    pub fn file_in_view(&mut self, pid: u32, start_ticks: u64, path: &[u8]) -> Result<File, Why> {
        let dir = self.same(pid, start_ticks)?;
        program::open_in_view(&dir, path)
    }

    /// Reads one of the texts in `/proc/PID` unchanged, to be stored as evidence.
    ///
    /// # Errors
    /// Returns the reason why it cannot be read; [`Why::Gone`] if that process has ended.
    pub fn text(&mut self, pid: u32, start_ticks: u64, which: crate::ProcessText) -> Result<Vec<u8>, Why> {
        use crate::ProcessText as Text;
        let dir = self.same(pid, start_ticks)?;
        let name = match which {
            Text::Maps => c"maps",
            Text::Status => c"status",
            Text::Environment => c"environ",
            Text::Arguments => c"cmdline",
            Text::ControlGroup => c"cgroup",
            Text::Mounts => c"mountinfo",
            Text::Limits => c"limits",
        };
        let mut text = Vec::new();
        dir.text(name, &mut text).map_err(why)?;
        Ok(text)
    }

    /// Returns the files that process `pid`, started at `start_ticks`, has open.
    ///
    /// # Errors
    /// Returns the reason why they cannot be read; [`Why::Gone`] if that process has ended.
    pub fn open_files(&mut self, pid: u32, start_ticks: u64) -> Result<Vec<crate::OpenFile>, Why> {
        let dir = self.same(pid, start_ticks)?;
        open_files::read(&dir).map_err(why)
    }

    /// Opens the regular file behind a descriptor of process `pid`, started at `start_ticks`.
    ///
    /// # Errors
    /// Returns the reason why it cannot be opened; [`Why::NotApplicable`] if it is not a regular file.
    pub fn open_file(&mut self, pid: u32, start_ticks: u64, number: u32) -> Result<File, Why> {
        let _links = privilege::links_only();
        let dir = self.same(pid, start_ticks)?;
        let name = format!("fd/{number}");
        // Examined before it is opened for reading, because opening a device may have side effects.
        let name = std::ffi::CString::new(name).map_err(|_| Why::Failed)?;
        let place = bounded::open_link(dir.as_fd(), &name, OFlags::empty()).map_err(why)?;
        program::open_if_plain(&place)
    }

    /// Opens the directory of process `pid` if it is the one that started at `start_ticks`.
    fn same(&mut self, pid: u32, start_ticks: u64) -> Result<ProcessDir, Why> {
        let bare = self.uncovered(pid);
        let proc = self.open().map_err(why)?;
        let proc = bare.as_ref().map_or(proc, AsFd::as_fd);
        let dir = ProcessDir::open(proc, pid).map_err(why)?;
        let mut text = Vec::new();
        dir.text(c"stat", &mut text).map_err(why)?;
        match parse_stat(&text) {
            // What its main thread no longer has is read through a thread that continues to run.
            Ok(stat) if stat.start_ticks == start_ticks => match stat.first_has_ended() {
                true => Ok(dir.living_thread(pid).unwrap_or(dir)),
                false => Ok(dir),
            },
            Ok(_) => Err(Why::Gone),
            Err(_) => Err(Why::Failed),
        }
    }

    /// Opens `/proc` without the mounts on top of it, if one of them covers process `pid` and the caller has the
    /// privileges for it.
    fn uncovered(&mut self, pid: u32) -> Option<OwnedFd> {
        let root = self.root.clone();
        let proc = self.open().ok()?;
        let mut text = Vec::new();
        let told = ProcessDir::open(proc, pid).and_then(|dir| dir.text(c"stat", &mut text));
        match told {
            Ok(()) if parse_stat(&text).is_ok_and(|stat| stat.pid == pid) => None,
            _ => hidden::sight_of(proc, &root, pid),
        }
    }

    fn open(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        if self.proc.is_none() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            self.proc = Some(openat(CWD, &self.root, flags, Mode::empty())?);
        }
        self.proc.as_ref().map(AsFd::as_fd).ok_or(Errno::NOENT)
    }
}

/// Returns the facts that the system reports about an open file.
///
/// # Errors
/// Returns the error of the system.
pub fn file_facts(file: &File) -> std::io::Result<netstat_model::process::FileFacts> {
    Ok(bounded::facts(file.as_fd())?)
}

fn failed(error: Errno) -> NoProcess {
    match why(error) {
        Why::Gone => NoProcess::None,
        _ => NoProcess::Failed(plain_error(&error)),
    }
}

/// Returns the reason why a file in `/proc/PID` could not be read that not every kernel has.
fn why_optional(error: Errno) -> Why {
    match error {
        Errno::NOENT | Errno::INVAL | Errno::OPNOTSUPP => Why::NotSupported,
        other => why(other),
    }
}

/// Converts the result of a system call to a fact.
fn fact<T>(result: Result<T, Errno>) -> Fact<T> {
    match result {
        Ok(value) => Fact::Known(value),
        Err(error) => Fact::Unknown(why(error)),
    }
}
