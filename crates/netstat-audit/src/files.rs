//! The files of processes: their metadata, the packages that own them, and whether their content matches what the
//! package recorded. The package databases of each root are queried once for all files, and each file is read once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netstat_model::process::{FileFacts, ProcessFacts};
use netstat_model::{Component, Fact, Why};
use netstat_os::System;
use netstat_packages::digest::{Cache, Progress, Source, Unhashed};
use netstat_packages::packages::{Check, FileOwner, Match, Ownership, Packages, Unsaid, verify};

use super::Clock;
use super::case::FileLook;

/// Larger files are not read, since that would take minutes.
pub(crate) const LARGEST: u64 = 512 << 20;

/// How long to wait before a difference is checked again: an upgrade replaces files and database records within this
/// time.
const UPGRADE: Duration = Duration::from_secs(2);

/// Access to files below a root directory, and to the packages that own them.
pub trait Files {
    /// Returns the metadata of the file at `path` below `root`. Symbolic links are followed, but never out of `root`.
    ///
    /// # Errors
    /// Returns the reason if the file cannot be examined.
    fn status(&mut self, root: &Path, path: &Path) -> Result<FileFacts, Why>;
    /// Looks up the owner of each of `paths` in the package databases below `root`.
    fn owners(&mut self, root: &Path, paths: &[PathBuf]) -> Vec<Ownership>;
    /// Reads at most `limit` bytes from the beginning of the regular file at `path` below `root`.
    ///
    /// # Errors
    /// Returns the reason if the file cannot be read.
    fn beginning(&mut self, root: &Path, path: &Path, limit: usize) -> Result<Vec<u8>, Why>;
    /// Returns at most `limit` names from the directory at `path` below `root`, sorted.
    ///
    /// # Errors
    /// Returns the reason if the directory cannot be read; [`Why::Gone`] if it does not exist.
    fn names(&mut self, root: &Path, path: &Path, limit: usize) -> Result<Vec<Vec<u8>>, Why>;
}

/// The files of the running system.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostFiles;

impl Files for HostFiles {
    fn status(&mut self, root: &Path, path: &Path) -> Result<FileFacts, Why> {
        netstat_os::files::status_in(root, path.as_os_str().as_encoded_bytes())
    }

    fn owners(&mut self, root: &Path, paths: &[PathBuf]) -> Vec<Ownership> {
        Packages::open(root).owners(paths)
    }

    fn beginning(&mut self, root: &Path, path: &Path, limit: usize) -> Result<Vec<u8>, Why> {
        netstat_os::files::beginning_in(root, path.as_os_str().as_encoded_bytes(), limit)
    }

    fn names(&mut self, root: &Path, path: &Path, limit: usize) -> Result<Vec<Vec<u8>>, Why> {
        netstat_os::files::names_in(root, path.as_os_str().as_encoded_bytes(), limit)
    }
}

/// An implementation without any files, for a system whose paths are not those of this machine
/// ([`netstat_os::Inspect::has_files`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn status(&mut self, _: &Path, _: &Path) -> Result<FileFacts, Why> {
        Err(Why::NotKept)
    }

    fn owners(&mut self, _: &Path, paths: &[PathBuf]) -> Vec<Ownership> {
        let unknown = |path: &PathBuf| Ownership {
            path: path.clone(),
            owner: FileOwner::Unknown(Unsaid::NoRoot(Why::NotKept)),
            origin: None,
        };
        paths.iter().map(unknown).collect()
    }

    fn beginning(&mut self, _: &Path, _: &Path, _: usize) -> Result<Vec<u8>, Why> {
        Err(Why::NotKept)
    }

    fn names(&mut self, _: &Path, _: &Path, _: usize) -> Result<Vec<Vec<u8>>, Why> {
        Err(Why::NotKept)
    }
}

/// Returns the file access that fits `system`.
pub fn files_of(system: &dyn System) -> Box<dyn Files> {
    match system.has_files() {
        true => Box::new(HostFiles),
        false => Box::new(NoFiles),
    }
}

/// A mount namespace (0 is the caller's) and a root directory within it.
type RootKey = (u64, Vec<u8>);

/// Whose package databases are consulted for a root, and thus how far they can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// The caller's own root.
    Own,
    /// Another root that only the superuser can have created. Its databases count, but speak for that root only. Holds
    /// a description of the root, escaped.
    Other(String),
    /// A root that an ordinary user can have created; its databases do not count. Holds a description of the root,
    /// escaped.
    Nobody(String),
}

/// The root in which the paths of a process are looked up, and how paths that the kernel reports translate to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RootView {
    /// The root directory, as a path of the caller.
    root: PathBuf,
    /// The prefix of the paths that the kernel reports, if the root of the process was changed to a directory
    /// (chroot(2)).
    prefix: Vec<u8>,
    /// The key by which processes share a root: the mount namespace (0 is the caller's) and the prefix.
    key: RootKey,
    /// Whose databases these are.
    authority: Authority,
}

impl RootView {
    /// Returns the caller's own root.
    pub fn own() -> RootView {
        RootView {
            root: "/".into(),
            prefix: Vec::new(),
            key: (0, Vec::new()),
            authority: Authority::Own,
        }
    }

    /// Returns the root of a process.
    pub fn of(facts: &ProcessFacts) -> RootView {
        let root = facts.root.as_ref().known().map_or(&b"/"[..], Vec::as_slice);
        let mount = facts.namespaces.mount.known();
        if mount.is_none_or(|mount| mount.ours) && root == b"/" {
            return RootView::own();
        }
        let prefix = match root {
            b"/" => Vec::new(),
            root => root.to_vec(),
        };
        let namespace = match mount {
            Some(mount) if mount.ours => 0,
            Some(mount) => mount.inode,
            None => 1,
        };
        RootView {
            root: PathBuf::from(format!("/proc/{}/root", facts.pid)),
            key: (namespace, prefix.clone()),
            prefix,
            authority: authority(facts, root),
        }
    }

    /// Translates a path that the kernel reports for the process into a path below the root.
    pub fn inside(&self, path: &[u8]) -> PathBuf {
        match path.strip_prefix(self.prefix.as_slice()) {
            Some(rest) if rest.starts_with(b"/") => path_of(rest),
            _ => path_of(path),
        }
    }

    /// Returns the root as a path of the caller: `/` or `/proc/PID/root`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this is the caller's own root.
    pub fn is_own(&self) -> bool {
        self.authority == Authority::Own
    }

    /// Whether both are the same root, even if seen through different processes.
    pub fn is_same_root(&self, other: &RootView) -> bool {
        self.key == other.key
    }
}

/// Returns whose databases those of the process's root are.
///
/// In the caller's user namespace, only the superuser can change the root directory or the mounts of a process; in a
/// user namespace of its own, an ordinary user can do both.
fn authority(facts: &ProcessFacts, root: &[u8]) -> Authority {
    let container = facts.components.as_ref().known().and_then(|components| {
        components.iter().rev().find_map(|component| match component {
            Component::Container { id, .. } => Some(netstat_model::text::escape(id).into_owned()),
            _ => None,
        })
    });
    let name = match (&container, root) {
        (Some(id), _) => format!("container {id}"),
        (None, b"/") => format!("the mount namespace of PID {}", facts.pid),
        (None, root) => format!("the root directory {}", netstat_model::text::escape(root)),
    };
    match facts.namespaces.user {
        Fact::Known(space) if space.ours => Authority::Other(name),
        _ => Authority::Nobody(name),
    }
}

/// Converts bytes to a path.
pub fn path_of(bytes: &[u8]) -> PathBuf {
    netstat_os::files::path_of(bytes.to_vec())
}

/// The index of a file in a [`FileSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(usize);

/// What is to be read of a file whose content is to be compared.
enum Content {
    /// Nothing.
    None,
    /// The metadata of the file when it was found, and how to open it.
    Source(FileFacts, Source),
}

/// The files of all examined processes, each once.
#[derive(Default)]
pub(super) struct FileSet {
    known: HashMap<(RootKey, Vec<u8>), Ticket>,
    views: Vec<RootView>,
    looks: Vec<FileLook>,
    contents: Vec<Content>,
}

impl FileSet {
    /// Adds the program of a process. It is read through `/proc/PID/exe`, which is the file that is really running.
    pub(super) fn program(
        &mut self,
        files: &mut dyn Files,
        facts: &ProcessFacts,
        path: &[u8],
        running: Fact<FileFacts>,
        compare: bool,
    ) -> Ticket {
        let view = RootView::of(facts);
        let view = match running {
            Fact::Known(running) => own_if_same(files, view, path, &running),
            Fact::Unknown(_) => view,
        };
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

    /// Adds any other file, by its path.
    pub(super) fn file(&mut self, files: &mut dyn Files, view: &RootView, path: &[u8], compare: bool) -> Ticket {
        let key = (view.key.clone(), path.to_vec());
        if let Some(ticket) = self.known.get(&key) {
            return *ticket;
        }
        let file = match files.status(&view.root, &view.inside(path)) {
            Ok(file) => Fact::Known(file),
            Err(why) => Fact::Unknown(why),
        };
        let view = match file {
            Fact::Known(file) => own_if_same(files, view.clone(), path, &file),
            Fact::Unknown(_) => view.clone(),
        };
        let content = match file {
            Fact::Known(file) if compare && view.is_own() && file.is_file() => {
                Content::Source(file, Source::Path(path_of(path)))
            }
            _ => Content::None,
        };
        let ticket = self.push(view, path, file, content);
        self.known.insert(key, ticket);
        ticket
    }

    fn push(&mut self, view: RootView, path: &[u8], file: Fact<FileFacts>, content: Content) -> Ticket {
        let mut look = FileLook::at(path, file);
        look.authority = view.authority.clone();
        self.views.push(view);
        self.looks.push(look);
        self.contents.push(content);
        Ticket(self.looks.len() - 1)
    }

    /// Determines whether only the superuser can have put the file where it is.
    pub(super) fn find_rooted(&mut self, files: &mut dyn Files, ticket: Ticket) {
        let look = &mut self.looks[ticket.0];
        look.rooted = self.views[ticket.0].is_own() && is_rooted(files, &look.path);
    }

    /// Returns what is known about a file.
    pub(super) fn look(&self, ticket: Ticket) -> FileLook {
        self.looks[ticket.0].clone()
    }

    /// Queries the package databases of each root for its files.
    pub(super) fn find_packages(&mut self, files: &mut dyn Files) {
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
            let found = files.owners(&self.views[*first].root, &paths);
            answers.extend(indices.into_iter().zip(found));
        }
        for (index, answer) in answers {
            self.looks[index].ownership = Some(answer);
        }
    }

    /// Compares file contents with the packages' records. Files that differ are looked up and read again a little
    /// later, in case an upgrade is in progress.
    pub(super) fn compare(
        &mut self,
        files: &mut dyn Files,
        clock: &mut dyn Clock,
        cache: &mut Cache,
        progress: &(dyn Fn(Progress) + Sync),
    ) {
        let all: Vec<usize> = (0..self.looks.len()).collect();
        self.compare_some(&all, cache, progress);
        let differing: Vec<usize> = all.into_iter().filter(|&index| self.looks[index].differs()).collect();
        if differing.is_empty() {
            return;
        }
        clock.wait(UPGRADE);
        for &index in &differing {
            let path = self.views[index].inside(&self.looks[index].path);
            self.looks[index].ownership = files.owners(&self.views[index].root, &[path]).pop();
        }
        self.compare_some(&differing, cache, progress);
    }

    fn compare_some(&mut self, indices: &[usize], cache: &mut Cache, progress: &(dyn Fn(Progress) + Sync)) {
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

    /// Returns `result` if it is about the file that was found: a process id may have been reused, or the path may lead
    /// elsewhere now.
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

/// Whether the file at `path` in the caller's own root and every directory above it belong to the superuser, and nobody
/// else may write to them.
pub(super) fn is_rooted(files: &mut dyn Files, path: &[u8]) -> bool {
    /// Write permission for group and others (inode(7)).
    const OTHERS_WRITE: u32 = 0o022;
    let path = path_of(path);
    path.is_absolute()
        && path.ancestors().all(|part| {
            files
                .status(Path::new("/"), part)
                .is_ok_and(|file| file.user == 0 && file.mode & OTHERS_WRITE == 0)
        })
}

/// Returns the caller's own root if the very same file has the same path there, otherwise `view`. Services with a
/// private `/tmp`, for example, have a mount namespace of their own but use the programs of the host.
fn own_if_same(files: &mut dyn Files, view: RootView, path: &[u8], file: &FileFacts) -> RootView {
    if view.is_own() || !view.prefix.is_empty() {
        return view;
    }
    match files.status(Path::new("/"), &path_of(path)) {
        Ok(own) if own.is_same_file(file) => RootView::own(),
        _ => view,
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
        facts.namespaces.user = Fact::Known(ProcessNamespace { inode: 6, ours: true });
        facts
    }

    #[test]
    fn root_view_resolves_paths_below_root_of_process() {
        let plain = RootView::of(&facts(b"/", true));
        assert!(plain.is_own());
        assert_eq!(plain.inside(b"/usr/bin/x"), Path::new("/usr/bin/x"));
        let moved = RootView::of(&facts(b"/srv/root", true));
        assert_eq!(moved.inside(b"/srv/root/usr/bin/x"), Path::new("/usr/bin/x"));
        assert_eq!(moved.root(), Path::new("/proc/9/root"));
        // A sibling directory whose name begins with the same letters is not inside the root.
        assert_eq!(moved.inside(b"/srv/root2/x"), Path::new("/srv/root2/x"));
        let container = RootView::of(&facts(b"/", false));
        assert!(!container.is_own());
        assert!(!moved.is_same_root(&container));
    }

    #[cfg(unix)]
    #[test]
    fn file_status_below_foreign_root_follows_links_within_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("opt")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("opt/app")).unwrap();
        let passwd = Path::new("/opt/app/passwd");
        assert_eq!(HostFiles.status(root.path(), passwd), Err(Why::Gone));
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "own").unwrap();
        assert_eq!(HostFiles.status(root.path(), passwd).map(|file| file.size), Ok(3));
        assert_eq!(HostFiles.beginning(root.path(), passwd, 2), Ok(b"ow".to_vec()));
    }

    #[test]
    fn root_view_in_user_namespace_has_no_authority() {
        let mut made = facts(b"/", false);
        assert!(matches!(RootView::of(&made).authority, Authority::Other(_)));
        made.namespaces.user = Fact::Known(ProcessNamespace { inode: 7, ours: false });
        assert!(matches!(RootView::of(&made).authority, Authority::Nobody(_)));
    }
}
