//! The files of processes: which package lists each, and whether its content is as recorded. Each root's databases are asked once for
//! all files, and each file is read once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netstat_model::process::{FileFacts, FileTime, ProcessFacts};
use netstat_model::{Fact, Why};
use netstat_packages::digest::{Cache, Source, Unhashed};
use netstat_packages::packages::{Check, Match, Ownership, Packages, verify};

use super::case::FileLook;

/// Files above this size are not read: it would take minutes.
const LARGEST: u64 = 512 << 20;

/// An upgrade replaces files and records within this time.
const UPGRADE: Duration = Duration::from_secs(2);

/// A mount namespace (0: the caller's) and a root directory within it.
type RootKey = (u64, Vec<u8>);

/// The root that a process's paths are to be looked up in, and how a path it tells reads there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// The root, as a path of the caller's.
    pub(super) root: PathBuf,
    /// What stands before the paths that the kernel tells, where the process was moved below a directory (chroot(2)).
    prefix: Vec<u8>,
    /// What makes it the same for several processes: the mount namespace (0: the caller's) and the prefix.
    key: RootKey,
}

impl View {
    /// The caller's own.
    pub(super) fn ours() -> View {
        View {
            root: "/".into(),
            prefix: Vec::new(),
            key: (0, Vec::new()),
        }
    }

    /// That of the process.
    pub(super) fn of(facts: &ProcessFacts) -> View {
        let ours = View::ours();
        let root = facts.root.as_ref().known().map_or(&b"/"[..], Vec::as_slice);
        let mount = facts.namespaces.mount.known();
        if mount.is_none_or(|mount| mount.ours) && root == b"/" {
            return ours;
        }
        let inner = || PathBuf::from(format!("/proc/{}/root", facts.pid));
        if mount.is_some_and(|mount| mount.ours) {
            return View {
                root: inner(),
                prefix: root.to_vec(),
                key: (0, root.to_vec()),
            };
        }
        if root != b"/" {
            let key = (mount.map_or(1, |mount| mount.inode), root.to_vec());
            return View {
                root: inner(),
                prefix: root.to_vec(),
                key,
            };
        }
        // Services with a private /tmp have a mount namespace of their own and all programs of the caller's: the same file at the
        // same path is the same program.
        if let Some(program) = facts.program.as_ref().known()
            && let Some(running) = program.running.known()
            && let Fact::Known(standing) = look(&path_of(&program.path))
            && standing.is_same_file(&running)
        {
            return ours;
        }
        View {
            root: inner(),
            prefix: Vec::new(),
            key: (mount.map_or(1, |mount| mount.inode), root.to_vec()),
        }
    }

    /// A path that the kernel tells of the process, as it reads below the root.
    pub(super) fn inside(&self, path: &[u8]) -> PathBuf {
        match path.strip_prefix(self.prefix.as_slice()) {
            Some(rest) if rest.starts_with(b"/") => path_of(rest),
            _ => path_of(path),
        }
    }

    /// The same path for the caller.
    fn outside(&self, path: &[u8]) -> PathBuf {
        let inside = self.inside(path);
        self.root.join(inside.strip_prefix("/").unwrap_or(&inside))
    }

    /// Whether it is the caller's own root.
    fn is_ours(&self) -> bool {
        self.root == Path::new("/")
    }
}

/// A path from its bytes.
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// What the file system says of the file at `path`; a link is followed.
fn look(path: &Path) -> Fact<FileFacts> {
    match std::fs::metadata(path) {
        Ok(meta) => Fact::Known(facts_of(&meta)),
        Err(error) => Fact::Unknown(match error.kind() {
            std::io::ErrorKind::NotFound => Why::Gone,
            std::io::ErrorKind::PermissionDenied => Why::NotPermitted,
            _ => Why::Failed,
        }),
    }
}

/// What stat(2) said.
pub(super) fn facts_of(meta: &Metadata) -> FileFacts {
    let time = |seconds, nanoseconds: i64| FileTime {
        seconds,
        nanoseconds: nanoseconds as u32,
    };
    FileFacts {
        device: meta.dev(),
        inode: meta.ino(),
        links: meta.nlink(),
        size: meta.size(),
        mode: meta.mode(),
        user: meta.uid(),
        group: meta.gid(),
        modified: time(meta.mtime(), meta.mtime_nsec()),
        changed: time(meta.ctime(), meta.ctime_nsec()),
    }
}

/// Stands for a file in [`Files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(usize);

/// What is to be read of a file, where its content is to be compared.
enum Content {
    /// Nothing.
    None,
    /// The file as it was found, and a way to it.
    Source(FileFacts, Source),
}

/// All files of all processes, each once.
#[derive(Default)]
pub(super) struct Files {
    known: HashMap<(RootKey, Vec<u8>), Ticket>,
    views: Vec<View>,
    looks: Vec<FileLook>,
    contents: Vec<Content>,
}

impl Files {
    /// The program of a process, which is read through `/proc/PID/exe`: the file that really runs.
    pub(super) fn program(
        &mut self,
        view: &View,
        facts: &ProcessFacts,
        path: &[u8],
        running: Fact<FileFacts>,
        compare: bool,
    ) -> Ticket {
        let source = || Source::Path(PathBuf::from(format!("/proc/{}/exe", facts.pid)));
        let key = (view.key.clone(), path.to_vec());
        if let Some(ticket) = self.known.get(&key)
            && let (Fact::Known(known), Fact::Known(running)) = (self.looks[ticket.0].file, running)
            && known.is_same_file(&running)
        {
            let ticket = *ticket;
            if let (Content::None, true) = (&self.contents[ticket.0], compare) {
                self.contents[ticket.0] = Content::Source(running, source());
            }
            return ticket;
        }
        let content = match (compare, running) {
            (true, Fact::Known(running)) => Content::Source(running, source()),
            _ => Content::None,
        };
        let ticket = self.push(view, path, running, content);
        self.known.entry(key).or_insert(ticket);
        ticket
    }

    /// Any other file, by its path.
    pub(super) fn file(&mut self, view: &View, path: &[u8], compare: bool) -> Ticket {
        let key = (view.key.clone(), path.to_vec());
        if let Some(ticket) = self.known.get(&key) {
            return *ticket;
        }
        let outside = view.outside(path);
        // Below another's root a link could lead anywhere: only the caller's own paths are followed to be read.
        let file = match view.is_ours() {
            true => look(&outside),
            false => match std::fs::symlink_metadata(&outside) {
                Ok(meta) => Fact::Known(facts_of(&meta)),
                Err(_) => Fact::Unknown(Why::Failed),
            },
        };
        let content = match file {
            Fact::Known(file) if compare && view.is_ours() && file.is_file() => {
                Content::Source(file, Source::Path(outside))
            }
            _ => Content::None,
        };
        let ticket = self.push(view, path, file, content);
        self.known.insert(key, ticket);
        ticket
    }

    fn push(&mut self, view: &View, path: &[u8], file: Fact<FileFacts>, content: Content) -> Ticket {
        self.views.push(view.clone());
        self.looks.push(FileLook::at(path, file));
        self.contents.push(content);
        Ticket(self.looks.len() - 1)
    }

    /// What is known of a file.
    pub(super) fn look(&self, ticket: Ticket) -> FileLook {
        self.looks[ticket.0].clone()
    }

    /// Asks each root's package databases for its files.
    pub(super) fn find_packages(&mut self) {
        let mut roots: HashMap<&RootKey, Vec<usize>> = HashMap::new();
        for (index, view) in self.views.iter().enumerate() {
            roots.entry(&view.key).or_default().push(index);
        }
        let mut answers: Vec<(usize, Ownership)> = Vec::with_capacity(self.looks.len());
        for indices in roots.into_values() {
            let Some(first) = indices.first() else { continue };
            let paths: Vec<PathBuf> = indices
                .iter()
                .map(|&index| self.views[index].inside(&self.looks[index].path))
                .collect();
            let found = Packages::open(&self.views[*first].root).owners(&paths);
            answers.extend(indices.into_iter().zip(found));
        }
        for (index, answer) in answers {
            self.looks[index].ownership = Some(answer);
        }
    }

    /// Compares contents with what packages recorded. What differs is looked up and read again a little later: an upgrade may be
    /// going on.
    pub(super) fn compare(
        &mut self,
        cache: &mut Cache,
        progress: &(dyn Fn(netstat_packages::digest::Progress) + Sync),
    ) {
        let all: Vec<usize> = (0..self.looks.len()).collect();
        self.compare_some(&all, cache, progress);
        let differing: Vec<usize> = all.into_iter().filter(|&index| self.looks[index].differs()).collect();
        if differing.is_empty() {
            return;
        }
        std::thread::sleep(UPGRADE);
        for &index in &differing {
            let path = self.views[index].inside(&self.looks[index].path);
            self.looks[index].ownership = Packages::open(&self.views[index].root).owners(&[path]).pop();
        }
        self.compare_some(&differing, cache, progress);
    }

    fn compare_some(
        &mut self,
        indices: &[usize],
        cache: &mut Cache,
        progress: &(dyn Fn(netstat_packages::digest::Progress) + Sync),
    ) {
        let mut checks = Vec::new();
        let mut places = Vec::new();
        for &index in indices {
            let Content::Source(_, source) = &self.contents[index] else {
                continue;
            };
            if let Some(package) = self.looks[index].package()
                && !package.configuration
            {
                checks.push(Check {
                    source: source.clone(),
                    recorded: package.recorded,
                });
                places.push(index);
            }
        }
        for (index, result) in places.into_iter().zip(verify(&checks, LARGEST, cache, progress)) {
            self.looks[index].verified = Some(self.same_file(index, result));
        }
    }

    /// The result, if it is about the file that was found: a process id may be used again, a path lead elsewhere.
    fn same_file(&self, index: usize, result: Match) -> Match {
        let (Match::Matches { id, .. } | Match::Differs { id, .. }) = &result else {
            return result;
        };
        match &self.contents[index] {
            Content::Source(file, _) if (file.device, file.inode) == (id.device, id.inode) => result,
            _ => Match::NotRead(Unhashed::Changed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::process::ProcessNamespace;

    fn facts(root: &[u8], ours: bool) -> ProcessFacts {
        let mut facts = ProcessFacts::bare(9, 1, Why::NotAsked);
        facts.root = Fact::Known(root.to_vec());
        facts.namespaces.mount = Fact::Known(ProcessNamespace { inode: 5, ours });
        facts
    }

    #[test]
    fn each_process_is_looked_up_in_its_own_root() {
        let plain = View::of(&facts(b"/", true));
        assert!(plain.is_ours());
        assert_eq!(plain.outside(b"/usr/bin/x"), Path::new("/usr/bin/x"));
        let moved = View::of(&facts(b"/srv/root", true));
        assert_eq!(moved.inside(b"/srv/root/usr/bin/x"), Path::new("/usr/bin/x"));
        assert_eq!(
            moved.outside(b"/srv/root/usr/bin/x"),
            Path::new("/proc/9/root/usr/bin/x")
        );
        // A neighbour whose name begins alike is not below it.
        assert_eq!(moved.inside(b"/srv/root2/x"), Path::new("/srv/root2/x"));
        let container = View::of(&facts(b"/", false));
        assert_eq!(container.outside(b"/usr/bin/x"), Path::new("/proc/9/root/usr/bin/x"));
        assert!(!container.is_ours());
        assert_ne!(moved.key, container.key);
    }
}
