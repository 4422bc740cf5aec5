//! Reads the facts about the processes, and about their files.

use netstat_model::process::{FileStatus, Mapped, ProcessFacts};
use netstat_model::{Fact, Why};
use netstat_os::{ProcessAsk, System};
use netstat_packages::digest::Cache;

use super::Options;
use super::case::{FileLook, Preload, Script, Tracer, base};
use super::files::{Files, Ticket, View};
use crate::script::{Runs, runs};

/// What is asked of each process.
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
}

/// All processes that were asked for and are still there.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) processes: Vec<Process>,
    pub(super) ended: usize,
}

/// A process whose files have been noted and are not yet looked up.
struct Noted {
    facts: ProcessFacts,
    program: Option<Ticket>,
    script: Option<Ticket>,
    libraries: Vec<Ticket>,
    preloads: Vec<(String, Ticket, Option<bool>)>,
    tracer: Option<(ProcessFacts, Option<Ticket>)>,
}

/// Reads the facts of `pids`; packages are looked up, and contents compared, for all files together.
pub(super) fn gather(
    system: &mut dyn System,
    pids: &[u32],
    options: &Options,
    cache: &mut Cache,
    progress: &dyn Fn(&str),
) -> Gathered {
    let mut files = Files::default();
    let mut noted = Vec::with_capacity(pids.len());
    let mut ended = 0;
    for &pid in pids {
        match system.process(pid, &ASK) {
            Ok(facts) => noted.push(note(system, facts, options.compare, &mut files)),
            Err(_) => ended += 1,
        }
    }
    progress("asking the package databases");
    files.find_packages();
    if options.compare {
        progress("comparing programs with their packages");
        files.compare(cache, &|_| {});
    }
    let processes = noted.into_iter().map(|one| finish(one, &files)).collect();
    Gathered { processes, ended }
}

fn note(system: &mut dyn System, facts: ProcessFacts, compare: bool, files: &mut Files) -> Noted {
    let view = View::of(&facts);
    let program = program(&view, &facts, compare, files);
    let script = script(system, &view, &facts, compare, files);
    let mut libraries = Vec::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    let own = facts.program.as_ref().known().map(|program| program.path.as_slice());
    for mapping in facts.executable.as_ref().known().into_iter().flatten() {
        if let Mapped::File { path, deleted } = &mapping.what
            && Some(path.as_slice()) != own
            && !seen.contains(&path.as_slice())
        {
            seen.push(path);
            libraries.push(files.file(&view, path, compare && !deleted));
        }
    }
    let preloads = preloads(&view, &facts, files);
    let tracer = facts.tracer.known().flatten().and_then(|pid| {
        let ask = ProcessAsk {
            program: true,
            places: true,
            namespaces: true,
            ..ProcessAsk::default()
        };
        let tracer = system.process(pid, &ask).ok()?;
        let ticket = self::program(&View::of(&tracer), &tracer, false, files);
        Some((tracer, ticket))
    });
    Noted {
        program,
        script,
        libraries,
        preloads,
        tracer,
        facts,
    }
}

fn program(view: &View, facts: &ProcessFacts, compare: bool, files: &mut Files) -> Option<Ticket> {
    let program = facts.program.as_ref().known()?;
    // What was removed or replaced is another release than the one recorded now.
    let compare = compare && program.place == FileStatus::There;
    Some(files.program(view, facts, &program.path, program.running, compare))
}

/// The script of an interpreter.
fn script(
    system: &mut dyn System,
    view: &View,
    facts: &ProcessFacts,
    compare: bool,
    files: &mut Files,
) -> Option<Ticket> {
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
    // Only what is there: a program's title may look like a path.
    system.file_in_view(facts.pid, facts.start_ticks, &whole).ok()?;
    Some(files.file(view, &whole, compare))
}

/// The libraries that the environment names, as they were at the start.
fn preloads(view: &View, facts: &ProcessFacts, files: &mut Files) -> Vec<(String, Ticket, Option<bool>)> {
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
            // ld.so(8): parted by colons, those of LD_PRELOAD by blanks, too.
            for library in value
                .split(|byte| *byte == b':' || *byte == b' ')
                .filter(|part| !part.is_empty())
            {
                // The dynamic linker looks names up, follows links and replaces $LIB: what it found is in the memory.
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
                found.push((by, files.file(view, path, false), there.map(|there| there.is_some())));
            }
        }
    }
    found
}

fn finish(noted: Noted, files: &Files) -> Process {
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
    Process {
        program: noted.program.map(look),
        script: noted.script.map(|ticket| Script { look: look(ticket) }),
        libraries: noted.libraries.into_iter().map(look).collect(),
        preloads: noted.preloads.into_iter().map(preload).collect(),
        tracer: noted.tracer.map(tracer),
        facts: noted.facts,
    }
}

/// The libraries that `/etc/ld.so.preload` names: ld.so(8), parted by white space or colons, with comments behind `#`.
pub(super) fn preloads_everywhere(system: &mut dyn System) -> Fact<Vec<Preload>> {
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
            if file.take(1 << 20).read_to_end(&mut content).is_err() {
                return Fact::Unknown(Why::Failed);
            }
        }
    }
    let view = View::of(&own);
    let mut files = Files::default();
    let tickets: Vec<Ticket> = named(&content)
        .map(|library| files.file(&view, library, false))
        .collect();
    files.find_packages();
    let preload = |ticket| Preload {
        by: "/etc/ld.so.preload".to_owned(),
        look: files.look(ticket),
        mapped: None,
    };
    Fact::Known(tickets.into_iter().map(preload).collect())
}

/// What is known of the program files at `paths`, in the caller's own root.
pub(super) fn programs(paths: &[Option<Vec<u8>>]) -> Vec<Option<FileLook>> {
    let view = View::ours();
    let mut files = Files::default();
    let tickets: Vec<Option<Ticket>> = paths
        .iter()
        .map(|path| path.as_ref().map(|path| files.file(&view, path, false)))
        .collect();
    files.find_packages();
    tickets.into_iter().map(|ticket| Some(files.look(ticket?))).collect()
}

/// The names in the text of `/etc/ld.so.preload`.
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
    fn names_in_the_file_of_preloads() {
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
