//! The files behind processes: who installed them, and whether they still are what was installed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use netstat_model::process::{FileFacts, FileStatus, ProcessFacts};
use netstat_model::{Fact, Why};
use netstat_os::{NoProcess, ProcessAsk, System};
use netstat_packages::digest::{self, Algorithm, Cache, FileId, Hashed, Job};
use netstat_packages::packages::{Match, Ownership, Packages, Recorded};

use super::card::{FileView, Script};
use crate::context::Progress;
use crate::script::{self, Runs};

/// Files above this size are not digested: it would take minutes.
const LARGEST_FILE: u64 = 4 << 30;

/// The facts of a process and what was found out about its files before the second look.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) facts: ProcessFacts,
    pub(super) file: FileView,
    pub(super) script: Option<Script>,
}

/// Reads the facts of `pids` and examines their files. A process that ended meanwhile is left out.
///
/// Everything is read anew, whatever `cache` has; what was read is put there for those who ask next.
pub(super) fn examine(
    system: &mut dyn System,
    pids: &[u32],
    cache: &mut Cache,
    progress: &Progress,
) -> BTreeMap<u32, Examined> {
    let mut all: Vec<Candidate> = Vec::new();
    for &pid in pids {
        let facts = match system.process(pid, &ProcessAsk::CARD) {
            Ok(facts) => facts,
            Err(NoProcess::None | NoProcess::ThreadOf(_) | NoProcess::Failed(_)) => continue,
        };
        let script = script_of(&facts).map(|path| {
            let file = system.file_in_view(facts.pid, facts.start_ticks, &path);
            let file = match file {
                Ok(file) => Fact::from_option(netstat_os::file_facts(&file).ok(), Why::Failed),
                Err(why) => Fact::Unknown(why),
            };
            ScriptFile { path, file }
        });
        all.push(Candidate { facts, script });
    }
    progress.stage(|| "looking for packages".to_owned());
    let owned = packages(&all);
    let views = verify(system, &all, owned, cache, progress);
    let mut examined = BTreeMap::new();
    for (Candidate { facts, script }, (file, script_view)) in all.into_iter().zip(views) {
        let script = script
            .zip(script_view)
            .map(|(ScriptFile { path, file }, view)| Script { path, file, view });
        examined.insert(facts.pid, Examined { facts, file, script });
    }
    examined
}

/// The script that the process runs, if its program is an interpreter.
fn script_of(facts: &ProcessFacts) -> Option<Vec<u8>> {
    let program = facts.program.as_ref().known()?;
    let words = facts.arguments.as_ref().known()?;
    match script::runs(program.file_name(), words)? {
        Runs::File(path) => Some(path.to_vec()),
        Runs::Module(_) | Runs::Text(_) | Runs::Input => None,
    }
}

/// A process and the script it runs.
#[derive(Debug)]
struct Candidate {
    facts: ProcessFacts,
    script: Option<ScriptFile>,
}

/// The file that an interpreter was given.
#[derive(Debug)]
struct ScriptFile {
    path: Vec<u8>,
    file: Fact<FileFacts>,
}

/// Who owns the files of one process.
#[derive(Debug, Default)]
struct Owned {
    program: Option<Ownership>,
    script: Option<Ownership>,
}

/// Who owns each program and each script: one pass over the databases of each root.
fn packages(all: &[Candidate]) -> Vec<Owned> {
    // By root: where the paths of which process, program or script, belong.
    let mut wanted: BTreeMap<PathBuf, Vec<(usize, bool, PathBuf)>> = BTreeMap::new();
    for (place, Candidate { facts, script }) in all.iter().enumerate() {
        // Without knowing whose root it is, a path means nothing.
        let root = match facts.namespaces.mount {
            Fact::Known(mount) if mount.ours => PathBuf::from("/"),
            Fact::Known(_) => PathBuf::from(format!("/proc/{}/root", facts.pid)),
            Fact::Unknown(_) => continue,
        };
        let paths = wanted.entry(root).or_default();
        if let Fact::Known(program) = &facts.program
            && program.place != FileStatus::Memory
        {
            paths.push((place, false, path_of(&program.path)));
        }
        // What is no file that can be seen, such as `/dev/fd/3`, belongs to nobody.
        if let Some(ScriptFile {
            path,
            file: Fact::Known(_),
        }) = script
        {
            paths.push((place, true, absolute(facts, path)));
        }
    }
    let mut owned: Vec<Owned> = all.iter().map(|_| Owned::default()).collect();
    for (root, paths) in wanted {
        let only: Vec<&PathBuf> = paths.iter().map(|(_, _, path)| path).collect();
        let answers = Packages::open(&root).owners(&only);
        for ((place, is_script, _), answer) in paths.iter().zip(answers) {
            match is_script {
                false => owned[*place].program = Some(answer),
                true => owned[*place].script = Some(answer),
            }
        }
    }
    owned
}

/// A path that a process was given, from its working directory.
fn absolute(facts: &ProcessFacts, path: &[u8]) -> PathBuf {
    match &facts.directory {
        Fact::Known(directory) if !path.starts_with(b"/") => path_of(directory).join(path_of(path)),
        _ => path_of(path),
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

type Views = (FileView, Option<FileView>);

/// Digests every program and script, each once, and compares them with the records of their packages.
fn verify(
    system: &mut dyn System,
    all: &[Candidate],
    owned: Vec<Owned>,
    cache: &mut Cache,
    progress: &Progress,
) -> Vec<Views> {
    let mut jobs = Vec::new();
    let mut job = |file: std::fs::File, ownership: Option<&Ownership>| {
        let recorded = match ownership
            .and_then(|ownership| ownership.owner.package())
            .map(|package| package.recorded)
        {
            Some(Recorded::Digest(digest)) => Some(digest.algorithm()),
            _ => None,
        };
        let also = recorded.filter(|algorithm| *algorithm != Algorithm::Sha256);
        jobs.push(Job {
            source: file.into(),
            algorithms: std::iter::once(Algorithm::Sha256).chain(also).collect(),
        });
        jobs.len() - 1
    };
    let mut places = Vec::new();
    for (Candidate { facts, script }, owned) in all.iter().zip(&owned) {
        let program = system.program_file(facts.pid, facts.start_ticks);
        let program = program.map(|file| job(file, owned.program.as_ref()));
        let script = script.as_ref().map(|ScriptFile { path, .. }| {
            let file = system.file_in_view(facts.pid, facts.start_ticks, path);
            file.map(|file| job(file, owned.script.as_ref()))
        });
        places.push((program, script));
    }
    let mut fresh = Cache::in_memory();
    progress.stage(|| "reading program files".to_owned());
    let told = |step: digest::Progress| {
        progress.stage(|| format!("reading program files: {}", crate::context::human::bytes(step.bytes)));
    };
    let results = digest::digests(&jobs, LARGEST_FILE, &mut fresh, &told);
    for hashed in results.iter().flatten() {
        for digest in &hashed.digests {
            // One of a file that changes just now was not kept.
            if let Some(digest) = fresh.get(&hashed.id, digest.algorithm()) {
                cache.put(hashed.id, digest);
            }
        }
    }
    let mut views = Vec::with_capacity(all.len());
    for ((Candidate { facts, script }, owned), (program_job, script_job)) in all.iter().zip(owned).zip(places) {
        let program = facts.program.as_ref().known();
        let running = match program {
            Some(program) => program.running,
            None => Fact::Unknown(facts.program.why().unwrap_or(Why::Failed)),
        };
        let of = |job: Result<usize, Why>| match job {
            Ok(job) => results.get(job).cloned().ok_or(Why::Failed),
            Err(why) => Err(why),
        };
        let file = view(system, running, owned.program, of(program_job));
        let script = script
            .as_ref()
            .zip(script_job)
            .map(|(script, job)| view(system, script.file, owned.script, of(job)));
        views.push((file, script));
    }
    views
}

/// What is to be told of one file.
fn view(
    system: &mut dyn System,
    file: Fact<FileFacts>,
    package: Option<Ownership>,
    hashed: Result<Result<Hashed, digest::Unhashed>, Why>,
) -> FileView {
    let owner_names = match file {
        Fact::Known(file) => (system.user_name(file.user), system.group_name(file.group)),
        Fact::Unknown(_) => (None, None),
    };
    let why = |why: Why| why.words().to_owned();
    let same = |hashed: &Hashed| match file {
        Fact::Known(file) => is_same(&hashed.id, &file),
        Fact::Unknown(_) => false,
    };
    let (sha256, recorded_digest) = match (&hashed, file) {
        (Ok(Ok(hashed)), _) if same(hashed) => {
            let find = |wanted| {
                hashed
                    .digests
                    .iter()
                    .find(|digest| digest.algorithm() == wanted)
                    .copied()
            };
            let recorded = package.as_ref().and_then(|ownership| ownership.owner.package());
            let compared = recorded.map(|package| match package.recorded {
                Recorded::None(reason) => Match::NoRecord(reason),
                Recorded::Digest(recorded) => match find(recorded.algorithm()) {
                    Some(found) if found == recorded => Match::Matches {
                        digest: recorded,
                        id: hashed.id,
                    },
                    Some(found) => Match::Differs {
                        recorded,
                        found,
                        id: hashed.id,
                    },
                    None => Match::NotRead(digest::Unhashed::Changed),
                },
            });
            (find(Algorithm::Sha256).ok_or_else(|| why(Why::Failed)), compared)
        }
        // The process became another, or the file was written to.
        (Ok(Ok(_)), Fact::Known(_)) => (Err(digest::Unhashed::Changed.words().to_owned()), None),
        (Ok(Err(reason)), _) => (Err(reason.words().to_owned()), Some(Match::NotRead(*reason))),
        (Err(reason), _) => (Err(why(*reason)), None),
        (_, Fact::Unknown(reason)) => (Err(why(reason)), None),
    };
    FileView {
        verified: recorded_digest.filter(|_| package.as_ref().is_some_and(|found| found.owner.package().is_some())),
        package,
        sha256,
        owner_names,
    }
}

/// Whether a digest was made of this very file, unchanged.
fn is_same(id: &FileId, file: &FileFacts) -> bool {
    let nanoseconds = i128::from(file.changed.seconds) * 1_000_000_000 + i128::from(file.changed.nanoseconds);
    (id.device, id.inode, id.size, id.changed) == (file.device, file.inode, file.size, nanoseconds)
}
