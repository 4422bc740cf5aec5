//! Reads the facts about the processes and their files.

use std::collections::HashMap;

use netstat_model::process::{FileStatus, Mapped, ProcessFacts};
use netstat_model::{Fact, Why};
use netstat_os::{ProcessAsk, System};

use super::case::{Elder, FileLook, Preload, Script, Tracer, base};
use super::files::{FileSet, Files, RootView, Ticket, is_rooted};
use super::{Auditor, Options};
use crate::script::{Runs, runs};

/// The set-user-ID mode bit (inode(7)).
const SETUID: u32 = 0o4000;

/// The number of bytes of a program that are read to find its loader: enough for the headers and, in practice, the name
/// that they point to.
const HEADERS: u64 = 16 << 10;

/// The facts that are requested about each process.
const ASK: ProcessAsk = ProcessAsk {
    environment: true,
    ..ProcessAsk::CARD
};

/// A process with its files.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) facts: ProcessFacts,
    pub(super) program: Option<FileLook>,
    pub(super) script: Option<Script>,
    pub(super) libraries: Vec<FileLook>,
    pub(super) preloads: Vec<Preload>,
    pub(super) tracer: Option<Tracer>,
    pub(super) elders: Vec<Elder>,
    pub(super) loader: Option<FileLook>,
}

/// All requested processes that still exist, and how many have ended.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) processes: Vec<Process>,
    pub(super) ended: usize,
}

/// A process whose files are registered but not looked up yet.
struct Noted {
    facts: ProcessFacts,
    program: Option<Ticket>,
    script: Option<Ticket>,
    libraries: Vec<Ticket>,
    preloads: Vec<(String, Ticket, Option<bool>)>,
    tracer: Option<(ProcessFacts, Option<Ticket>)>,
    elders: Vec<Elder>,
    loader: Option<Ticket>,
}

/// Reads the facts about `pids`. Package lookups and comparisons are done for the files of all processes together.
pub(super) fn gather(auditor: &mut Auditor<'_>, pids: &[u32], options: &Options) -> Gathered {
    let mut reading = Reading {
        system: &mut *auditor.system,
        files: &mut *auditor.files,
        set: FileSet::default(),
        compare: options.compare,
        elders: HashMap::new(),
    };
    let mut noted = Vec::with_capacity(pids.len());
    let mut ended = 0;
    for &pid in pids {
        match reading.system.process(pid, &ASK) {
            Ok(facts) => noted.push(reading.note(facts)),
            Err(_) => ended += 1,
        }
    }
    let mut set = reading.set;
    (auditor.progress)("asking the package databases");
    set.find_packages(auditor.files);
    if options.compare {
        (auditor.progress)("comparing programs with their packages");
        set.compare(auditor.files, auditor.clock, auditor.cache, &|_| {});
    }
    let processes = noted.into_iter().map(|one| finish(one, &set)).collect();
    Gathered { processes, ended }
}

/// Reads processes and registers their files.
struct Reading<'a> {
    system: &'a mut dyn System,
    files: &'a mut dyn Files,
    set: FileSet,
    compare: bool,
    /// The ancestors read so far, by process id and start time.
    elders: HashMap<(u32, u64), Option<Elder>>,
}

impl Reading<'_> {
    fn note(&mut self, facts: ProcessFacts) -> Noted {
        let view = RootView::of(&facts);
        let program = self.program(&facts, self.compare);
        let script = self.script(&view, &facts);
        let loader = self.loader(&view, &facts);
        for ticket in [program, script, loader].into_iter().flatten() {
            self.set.find_rooted(self.files, ticket);
        }
        let elders = self.elders(&facts);
        let mut libraries = Vec::new();
        let mut seen: Vec<&[u8]> = Vec::new();
        let own = facts.program.as_ref().known().map(|program| program.path.as_slice());
        for mapping in facts.executable.as_ref().known().into_iter().flatten() {
            if let Mapped::File { path, deleted } = &mapping.what
                && Some(path.as_slice()) != own
                && !seen.contains(&path.as_slice())
            {
                seen.push(path);
                libraries.push(self.set.file(self.files, &view, path, self.compare && !deleted));
            }
        }
        let preloads = self.preloads(&view, &facts);
        let tracer = facts.tracer.known().flatten().and_then(|pid| self.tracer(pid));
        Noted {
            program,
            script,
            libraries,
            preloads,
            tracer,
            elders,
            loader,
            facts,
        }
    }

    /// Registers the loader that the program file names (not the interpreter of a script).
    fn loader(&mut self, view: &RootView, facts: &ProcessFacts) -> Option<Ticket> {
        use std::io::Read;
        let program = facts.program.as_ref().known()?;
        if program.place != FileStatus::There {
            return None;
        }
        let file = self
            .system
            .file_in_view(facts.pid, facts.start_ticks, &program.path)
            .ok()?;
        let mut head = Vec::new();
        netstat_os::files::content(&file)
            .take(HEADERS)
            .read_to_end(&mut head)
            .ok()?;
        let name = crate::rules::loader::named(&head)?;
        Some(self.set.file(self.files, view, name, false))
    }

    /// Returns the ancestors of a process that can be read.
    fn elders(&mut self, facts: &ProcessFacts) -> Vec<Elder> {
        let chain = facts.ancestors.as_ref().known().map_or(&[][..], Vec::as_slice);
        let mut found = Vec::with_capacity(chain.len());
        for ancestor in chain {
            let key = (ancestor.pid, ancestor.start_ticks);
            if !self.elders.contains_key(&key) {
                let elder = self.elder(ancestor.pid, ancestor.start_ticks);
                self.elders.insert(key, elder);
            }
            found.extend(self.elders.get(&key).cloned().flatten());
        }
        found
    }

    fn elder(&mut self, pid: u32, start_ticks: u64) -> Option<Elder> {
        let ask = ProcessAsk {
            program: true,
            places: true,
            namespaces: true,
            standing: true,
            ..ProcessAsk::default()
        };
        let facts = self.system.process(pid, &ask).ok()?;
        if facts.start_ticks != start_ticks {
            return None;
        }
        let own = facts.namespaces.user.known().is_some_and(|space| space.ours);
        let user = facts.users.known().filter(|_| own).map(|users| users.effective);
        let superuser = own
            && facts
                .users
                .known()
                .is_some_and(|users| users.effective == 0 && users.real == 0);
        let program = facts.program.as_ref().known()?;
        let there = program.place == FileStatus::There && RootView::of(&facts).is_own();
        Some(Elder {
            pid,
            name: program.file_name().to_vec(),
            rooted: there && is_rooted(self.files, &program.path),
            superuser,
            user,
            setuid: program.running.known().is_some_and(|file| file.mode & SETUID != 0),
        })
    }

    fn tracer(&mut self, pid: u32) -> Option<(ProcessFacts, Option<Ticket>)> {
        let ask = ProcessAsk {
            program: true,
            places: true,
            namespaces: true,
            ..ProcessAsk::default()
        };
        let tracer = self.system.process(pid, &ask).ok()?;
        let ticket = self.program(&tracer, false);
        Some((tracer, ticket))
    }

    fn program(&mut self, facts: &ProcessFacts, compare: bool) -> Option<Ticket> {
        let program = facts.program.as_ref().known()?;
        // A file that was removed or replaced belongs to another release than the one that is recorded now.
        let compare = compare && program.place == FileStatus::There;
        Some(
            self.set
                .program(self.files, facts, &program.path, program.running, compare),
        )
    }

    /// Registers the script of an interpreter.
    fn script(&mut self, view: &RootView, facts: &ProcessFacts) -> Option<Ticket> {
        let program = facts.program.as_ref().known()?;
        let words = facts.arguments.as_ref().known()?;
        let Some(Runs::File(path)) = runs(program.file_name(), words) else {
            return None;
        };
        // `bash /dev/fd/3` reads from a descriptor.
        if path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/self/fd/") {
            return None;
        }
        let whole = match &facts.directory {
            Fact::Known(directory) if !path.starts_with(b"/") => {
                let path = path.strip_prefix(b"./").unwrap_or(path);
                [directory.strip_suffix(b"/").unwrap_or(directory), b"/", path].concat()
            }
            _ => path.to_vec(),
        };
        // Register it only if it exists: the title that a program gives itself may look like a path.
        self.system.file_in_view(facts.pid, facts.start_ticks, &whole).ok()?;
        Some(self.set.file(self.files, view, &whole, self.compare))
    }

    /// Registers the libraries that the environment named when the process was started.
    fn preloads(&mut self, view: &RootView, facts: &ProcessFacts) -> Vec<(String, Ticket, Option<bool>)> {
        let Fact::Known(environment) = &facts.environment else {
            return Vec::new();
        };
        let mapped: Option<Vec<&[u8]>> = facts.executable.as_ref().known().map(|mappings| {
            mappings
                .iter()
                .filter_map(|mapping| match &mapping.what {
                    Mapped::File { path, .. } => Some(path.as_slice()),
                    _ => None,
                })
                .collect()
        });
        let mut found = Vec::new();
        for variable in environment {
            for name in [&b"LD_PRELOAD"[..], b"LD_AUDIT"] {
                let Some(value) = variable.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) else {
                    continue;
                };
                // ld.so(8): names are separated by colons, those in LD_PRELOAD also by spaces.
                for library in value
                    .split(|byte| *byte == b':' || *byte == b' ')
                    .filter(|part| !part.is_empty())
                {
                    // The dynamic linker searches for names, follows links and expands $LIB; what it found is in the
                    // memory map.
                    let there = mapped.as_ref().map(|mapped| {
                        mapped
                            .iter()
                            .find(|path| **path == library || base(path) == base(library))
                    });
                    let path = match there.flatten() {
                        Some(path) => path,
                        None => library,
                    };
                    let by = String::from_utf8_lossy(name).into_owned();
                    found.push((
                        by,
                        self.set.file(self.files, view, path, false),
                        there.map(|there| there.is_some()),
                    ));
                }
            }
        }
        found
    }
}

fn finish(noted: Noted, files: &FileSet) -> Process {
    let look = |ticket: Ticket| files.look(ticket);
    let preload = |(by, ticket, mapped): (String, Ticket, Option<bool>)| Preload {
        by,
        look: look(ticket),
        mapped,
    };
    let tracer = |(facts, ticket): (ProcessFacts, Option<Ticket>)| Tracer {
        pid: facts.pid,
        comm: facts.comm,
        program: ticket.map(look),
        terminal: facts.terminal.is_some(),
    };
    let mut program = noted.program.map(look);
    if let (Some(program), Some(windows)) = (&mut program, &noted.facts.windows) {
        program.rooted = windows.is_protected_place();
    }
    Process {
        program,
        script: noted.script.map(|ticket| Script { look: look(ticket) }),
        libraries: noted.libraries.into_iter().map(look).collect(),
        preloads: noted.preloads.into_iter().map(preload).collect(),
        tracer: noted.tracer.map(tracer),
        elders: noted.elders,
        loader: noted.loader.map(look),
        facts: noted.facts,
    }
}

/// Returns the libraries that `/etc/ld.so.preload` names. By ld.so(8) they are separated by white space or colons; `#`
/// starts a comment.
pub(super) fn preloads_everywhere(system: &mut dyn System, files: &mut dyn Files) -> Fact<Vec<Preload>> {
    const PATH: &[u8] = b"/etc/ld.so.preload";
    let Ok(own) = system.process(
        std::process::id(),
        &ProcessAsk {
            places: true,
            namespaces: true,
            ..ProcessAsk::default()
        },
    ) else {
        return Fact::Unknown(Why::Failed);
    };
    let mut content = Vec::new();
    match system.file_in_view(own.pid, own.start_ticks, PATH) {
        Err(Why::Gone) => return Fact::Known(Vec::new()),
        Err(why) => return Fact::Unknown(why),
        Ok(file) => {
            use std::io::Read;
            let read = netstat_os::files::content(&file)
                .take(1 << 20)
                .read_to_end(&mut content);
            if let Err(error) = read {
                return Fact::Unknown(netstat_os::files::why(&error));
            }
        }
    }
    let view = RootView::own();
    let mut set = FileSet::default();
    let tickets: Vec<Ticket> = named(&content)
        .map(|library| set.file(files, &view, library, false))
        .collect();
    set.find_packages(files);
    let preload = |ticket| Preload {
        by: "/etc/ld.so.preload".to_owned(),
        look: set.look(ticket),
        mapped: None,
    };
    Fact::Known(tickets.into_iter().map(preload).collect())
}

/// Returns what is known about the program files at `paths`, in the caller's own root.
pub(super) fn programs(files: &mut dyn Files, paths: &[Option<Vec<u8>>]) -> Vec<Option<FileLook>> {
    let view = RootView::own();
    let mut set = FileSet::default();
    let tickets: Vec<Option<Ticket>> = paths
        .iter()
        .map(|path| path.as_ref().map(|path| set.file(files, &view, path, false)))
        .collect();
    set.find_packages(files);
    tickets
        .iter()
        .flatten()
        .for_each(|ticket| set.find_rooted(files, *ticket));
    tickets.into_iter().map(|ticket| Some(set.look(ticket?))).collect()
}

/// Returns the names in the text of `/etc/ld.so.preload`.
fn named(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split(|&byte| byte == b'\n')
        .map(|line| line.split(|&byte| byte == b'#').next().unwrap_or_default())
        .flat_map(|line| line.split(|byte| byte.is_ascii_whitespace() || *byte == b':'))
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn preload_file_names_are_read_without_comments() {
        let names: Vec<&[u8]> = named(b"# a comment\n/lib/a.so:/lib/b.so c.so # more\n\n").collect();
        assert_eq!(names, [&b"/lib/a.so"[..], b"/lib/b.so", b"c.so"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            prop_assert!(named(&bytes).all(|name| !name.is_empty() && !name.contains(&b'\n')));
        }
    }
}
