//! The files of processes: which package installed them, and whether they have changed since.

use std::collections::BTreeMap;

use netstat_audit::Judged;
use netstat_audit::case::FileLook;
use netstat_audit::files::Authority;
use netstat_model::process::{FileFacts, FileStatus, ProcessFacts};
use netstat_model::{Fact, Why};
use netstat_os::{NoProcess, ProcessAsk, System};
use netstat_packages::digest::{self, Algorithm, Cache, FileId, Hashed, Job};
use netstat_packages::packages::{Match, Ownership, Recorded};

use super::card::{FileView, ForeignRoot, Script};
use crate::context::Progress;
use netstat_audit::script::{self, Runs};

/// Larger files are not hashed, because it would take minutes.
const LARGEST_FILE: u64 = 4 << 30;

/// The facts of a process, and what was found out about its files before the second sample.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) facts: ProcessFacts,
    pub(super) file: FileView,
    pub(super) script: Option<Script>,
}

/// Reads the facts of `pids` and examines their files. A process that ended in the meantime is omitted.
///
/// All files are hashed again, regardless of `cache`; the results are stored there for later use.
pub(super) fn examine(
    system: &mut dyn System,
    pids: &[u32],
    judged: &[Judged],
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
                Ok(file) => Fact::from_option(netstat_os::files::facts(&file).ok(), Why::Failed),
                Err(why) => Fact::Unknown(why),
            };
            ScriptFile { path, file }
        });
        all.push(Candidate { facts, script });
    }
    let owned = owned(&all, judged);
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

/// Returns the script that the process runs, if its program is an interpreter.
fn script_of(facts: &ProcessFacts) -> Option<Vec<u8>> {
    let program = facts.program.as_ref().known()?;
    let words = facts.arguments.as_ref().known()?;
    match script::runs(program.file_name(), words)? {
        Runs::File(path) => Some(path.to_vec()),
        Runs::Module(_) | Runs::Text(_) | Runs::Input => None,
    }
}

/// Whether the program never was a file, so that its path is meaningless.
fn runs_from_memory(facts: &ProcessFacts) -> bool {
    let program = facts.program.as_ref().known();
    program.is_some_and(|program| program.place == FileStatus::Memory)
}

/// A process and the script it runs.
#[derive(Debug)]
struct Candidate {
    facts: ProcessFacts,
    script: Option<ScriptFile>,
}

/// The file that was passed to an interpreter.
#[derive(Debug)]
struct ScriptFile {
    path: Vec<u8>,
    file: Fact<FileFacts>,
}

/// The owners of the files of one process.
#[derive(Debug, Default)]
struct Owned {
    program: Option<Ownership>,
    script: Option<Ownership>,
    /// The roots whose package databases say so.
    program_root: Option<ForeignRoot>,
    script_root: Option<ForeignRoot>,
}

/// Returns the root of a file that was judged, if it is not the caller's.
fn foreign_root(look: &Option<FileLook>, pid: u32) -> Option<ForeignRoot> {
    let (name, is_anybodys) = match &look.as_ref()?.authority {
        Authority::Own => return None,
        Authority::Other(name) => (name, false),
        Authority::Nobody(name) => (name, true),
    };
    Some(ForeignRoot {
        name: name.clone(),
        is_anybodys,
        path: format!("/proc/{pid}/root").into(),
    })
}

/// Returns the owners of the program and the script of each process, as determined by the judgement.
fn owned(all: &[Candidate], judged: &[Judged]) -> Vec<Owned> {
    let of = |Candidate { facts, .. }: &Candidate| {
        let same = |judged: &&Judged| (judged.facts.pid, judged.facts.start_ticks) == (facts.pid, facts.start_ticks);
        let Some(judged) = judged.iter().find(same) else {
            return Owned::default();
        };
        let ownership = |look: &Option<FileLook>| look.as_ref().and_then(|look| look.ownership.clone());
        Owned {
            program: ownership(&judged.program).filter(|_| !runs_from_memory(facts)),
            script: ownership(&judged.script),
            program_root: foreign_root(&judged.program, facts.pid),
            script_root: foreign_root(&judged.script, facts.pid),
        }
    };
    all.iter().map(of).collect()
}

type Views = (FileView, Option<FileView>);

/// Hashes each program and script once, and compares them with the package databases.
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
            // The digest of a file that is being changed was not kept.
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
        let mut file = view(system, running, owned.program, of(program_job));
        file.root = owned.program_root;
        let script = script.as_ref().zip(script_job).map(|(script, job)| {
            let mut view = view(system, script.file, owned.script, of(job));
            view.root = owned.script_root;
            view
        });
        views.push((file, script));
    }
    views
}

/// Returns the information to show about one file.
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
        // The process executed another program, or the file was modified.
        (Ok(Ok(_)), Fact::Known(_)) => (Err(digest::Unhashed::Changed.words().to_owned()), None),
        (Ok(Err(reason)), _) => (Err(reason.words().to_owned()), Some(Match::NotRead(*reason))),
        (Err(reason), _) => (Err(why(*reason)), None),
        (_, Fact::Unknown(reason)) => (Err(why(reason)), None),
    };
    FileView {
        verified: recorded_digest.filter(|_| package.as_ref().is_some_and(|found| found.owner.package().is_some())),
        package,
        root: None,
        sha256,
        owner_names,
    }
}

/// Whether the digest belongs to this file in its current state.
fn is_same(id: &FileId, file: &FileFacts) -> bool {
    let nanoseconds = i128::from(file.changed.seconds) * 1_000_000_000 + i128::from(file.changed.nanoseconds);
    (id.device, id.inode, id.size, id.changed) == (file.device, file.inode, file.size, nanoseconds)
}
