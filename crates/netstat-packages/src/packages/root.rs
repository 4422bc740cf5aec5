//! The root directory below which package databases are read.
//!
//! The root may belong to a container, whose files are untrusted: a symbolic link must never lead out of the root, and
//! a FIFO in the place of a database must not block the reader. Paths are therefore opened component by component with
//! `O_NOFOLLOW`, links are resolved manually, and only regular files up to a size limit are read.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netstat_os::files::{self, Directory, Opened};

/// The maximum number of symbolic links in a path; equal to `MAXSYMLINKS` of linux/namei.h.
const MAX_LINKS: usize = 40;

/// The maximum size of a text file of a package database, so that a container cannot exhaust the memory. The largest in
/// use have some ten MB.
const MAX_TEXT: u64 = 256 << 20;

/// The maximum total size of the lists of one database. A system with 10,000 packages has some 100 MB of them.
pub(super) const MAX_LISTS: u64 = 1 << 30;

/// A directory that is treated as `/`.
#[derive(Debug)]
pub(super) struct Root {
    dir: Directory,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Root> {
        Ok(Root {
            dir: Directory::open(path)?,
        })
    }

    /// Opens the directory `path`, following links within the root.
    pub(super) fn dir(&self, path: &[u8]) -> io::Result<Directory> {
        self.walk(path, Directory::directory, Directory::again)
    }

    /// Opens the regular file `path` for reading, following links within the root. Never blocks on a FIFO.
    pub(super) fn file(&self, path: &[u8]) -> io::Result<File> {
        files::regular(self.walk(path, Directory::file, Directory::as_file)?)
    }

    /// Reads the whole content of the regular file `path`.
    pub(super) fn read(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        read_whole(self.file(path)?, &mut content)?;
        Ok(content)
    }

    /// Walks along `path` and opens its last component with `last`. If the walk ends in a directory without a name,
    /// `itself` reopens that directory.
    fn walk<T>(
        &self,
        path: &[u8],
        last: impl Fn(&Directory, &[u8]) -> io::Result<Opened<T>>,
        itself: impl Fn(&Directory) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut todo: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
        // The directories from the root to the current position.
        let mut stack: Vec<Directory> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                stack.pop();
                continue;
            }
            let here = stack.last().unwrap_or(&self.dir);
            let error = if todo.is_empty() {
                match last(here, &name)? {
                    Opened::Is(opened) => return Ok(opened),
                    Opened::LinkOrOther(error) => error,
                }
            } else {
                match here.directory(&name)? {
                    Opened::Is(directory) => {
                        stack.push(directory);
                        continue;
                    }
                    Opened::LinkOrOther(error) => error,
                }
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(error);
            }
            let Ok(target) = here.link_target(&name) else {
                return Err(error);
            };
            if target.first() == Some(&b'/') {
                stack.clear();
            }
            for name in components(&target).rev() {
                todo.push_front(name.to_vec());
            }
        }
        // The path ended in `..`, or is the root itself.
        itself(stack.last().unwrap_or(&self.dir))
    }

    /// Returns the directory `dir` with all symbolic links resolved within the root; `/` is the empty string.
    /// Components that do not exist or cannot be read are taken as they are.
    ///
    /// The result is a name to compare, not to open: another process may change a link in the meantime.
    pub(super) fn real_dir(&self, dir: &[u8]) -> Vec<u8> {
        let mut todo: VecDeque<Vec<u8>> = components(dir).map(<[u8]>::to_vec).collect();
        let mut real: Vec<u8> = Vec::with_capacity(dir.len());
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                real.truncate(memchr::memrchr(b'/', &real).unwrap_or(0));
                continue;
            }
            let stood = real.len();
            real.push(b'/');
            real.extend_from_slice(&name);
            if links == MAX_LINKS {
                continue;
            }
            if let Ok(target) = self.dir.link_target(&real[1..]) {
                links += 1;
                real.truncate(if target.first() == Some(&b'/') { 0 } else { stood });
                for name in components(&target).rev() {
                    todo.push_front(name.to_vec());
                }
            }
        }
        real
    }
}

/// Returns the components of a path, without empty ones and `.`.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

/// Opens the regular file `name` in `dir`; a symbolic link is rejected.
pub(super) fn file_in(dir: &Directory, name: &[u8]) -> io::Result<File> {
    match dir.file(name)? {
        Opened::Is(file) => files::regular(file),
        Opened::LinkOrOther(error) => Err(error),
    }
}

/// Opens the directory `name` in `dir`; a symbolic link is rejected.
pub(super) fn dir_in(dir: &Directory, name: &[u8]) -> io::Result<Directory> {
    match dir.directory(name)? {
        Opened::Is(directory) => Ok(directory),
        Opened::LinkOrOther(error) => Err(error),
    }
}

/// Replaces `content` with the content of the text file `file`, and returns the modification time of the file.
pub(super) fn read_whole(file: File, content: &mut Vec<u8>) -> io::Result<SystemTime> {
    let modified = files::facts(&file)?.modified;
    read_up_to(file, MAX_TEXT, content)?;
    Ok(epoch(modified.seconds, i64::from(modified.nanoseconds)))
}

/// Replaces `content` with the content of `file`; fails if the file has more than `most` bytes.
pub(super) fn read_up_to(file: File, most: u64, content: &mut Vec<u8>) -> io::Result<()> {
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "too large for a package database");
    content.clear();
    let length = files::facts(&file)?.size;
    if length > most {
        return Err(too_large());
    }
    content.reserve(usize::try_from(length).unwrap_or(0) + 1);
    // One byte more than allowed reveals a file that has grown in the meantime.
    if files::content(&file).take(most + 1).read_to_end(content)? as u64 > most {
        return Err(too_large());
    }
    Ok(())
}

/// Converts a time since 1970; a time that cannot be represented becomes 1970.
pub(super) fn epoch(seconds: i64, nanoseconds: i64) -> SystemTime {
    let rest = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    base.and_then(|base| base.checked_add(rest)).unwrap_or(UNIX_EPOCH)
}

/// Finds the requested paths that a line of a database refers to.
///
/// A database names files by the directories of the package, the kernel by those of the disk. If `/bin` and `/usr/bin`
/// are merged, the two differ. Both are therefore compared after the links in their directories are resolved, which is
/// done only for lines whose last component is requested.
pub(super) struct Wanted<'a> {
    root: &'a Root,
    /// For each last component, the real directory and the index of each requested path.
    names: HashMap<Vec<u8>, Vec<(Vec<u8>, usize)>>,
    real: HashMap<Vec<u8>, Vec<u8>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new<P: AsRef<Path>>(root: &'a Root, paths: &[P]) -> Wanted<'a> {
        let mut wanted = Wanted {
            root,
            names: HashMap::new(),
            real: HashMap::new(),
        };
        for (index, path) in paths.iter().enumerate() {
            wanted.add(path.as_ref().as_os_str().as_encoded_bytes(), index);
        }
        wanted
    }

    /// Adds the requested path `path` with the given index.
    pub(super) fn add(&mut self, path: &[u8], index: usize) {
        let (dir, name) = split(path);
        if name.is_empty() || name == b"." || name == b".." {
            return;
        }
        let dir = self.real_dir(dir);
        let entry = self.names.entry(name.to_vec()).or_default();
        if !entry.contains(&(dir.clone(), index)) {
            entry.push((dir, index));
        }
    }

    /// Makes lines that end in `name` relevant, whatever their directory.
    pub(super) fn also(&mut self, name: &[u8]) {
        self.names.entry(name.to_vec()).or_default();
    }

    /// Whether a file of this name, the last component of a path, is requested at all. Cheap.
    pub(super) fn name(&self, name: &[u8]) -> bool {
        self.names.contains_key(name)
    }

    /// Returns the requested last components.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.keys().map(Vec::as_slice)
    }

    /// Returns the indices of the requested paths that refer to the same file as `listed`, a path in a database with or
    /// without a leading `/`.
    pub(super) fn matching(&mut self, listed: &[u8]) -> Vec<usize> {
        let (dir, name) = split(listed);
        if !self.names.contains_key(name) {
            return Vec::new();
        }
        let dir = self.real_dir(dir);
        self.names[name]
            .iter()
            .filter(|(wanted, _)| *wanted == dir)
            .map(|(_, index)| *index)
            .collect()
    }

    /// Returns `path` with its directory resolved, for comparing two paths of databases.
    pub(super) fn real_path(&mut self, path: &[u8]) -> Vec<u8> {
        let (dir, name) = split(path);
        let mut real = self.real_dir(dir);
        real.push(b'/');
        real.extend_from_slice(name);
        real
    }

    fn real_dir(&mut self, dir: &[u8]) -> Vec<u8> {
        if let Some(real) = self.real.get(dir) {
            return real.clone();
        }
        let real = self.root.real_dir(dir);
        self.real.insert(dir.to_vec(), real.clone());
        real
    }
}

/// Splits a path into the directory, without its final `/`, and the last component.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Converts a path of a database to an absolute path.
pub(super) fn absolute(listed: &[u8]) -> std::path::PathBuf {
    let mut path = Vec::with_capacity(listed.len() + 1);
    if listed.first() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(listed);
    files::path_of(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn root_links_are_followed_within_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join("root").join(path);
        std::fs::create_dir_all(at("usr/bin")).unwrap();
        std::fs::create_dir_all(at("etc")).unwrap();
        std::fs::write(dir.path().join("secret"), "outside").unwrap();
        std::fs::write(at("etc/secret"), "inside").unwrap();
        std::fs::write(at("usr/bin/cat"), "cat").unwrap();
        symlink("usr/bin", at("bin")).unwrap();
        symlink("/usr/bin", at("sbin")).unwrap();
        symlink("../../../secret", at("etc/up")).unwrap();
        symlink("/etc/secret", at("etc/abs")).unwrap();
        symlink("loop", at("etc/loop")).unwrap();
        let root = Root::open(&dir.path().join("root")).unwrap();

        assert_eq!(root.read(b"/bin/cat").unwrap(), b"cat");
        assert_eq!(root.read(b"/sbin/../bin/./cat").unwrap(), b"cat");
        assert_eq!(root.read(b"/etc/abs").unwrap(), b"inside");
        // `..` of the root is the root, which contains no `secret`.
        assert_eq!(root.read(b"/etc/up").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(root.read(b"/etc/loop").is_err());
        assert!(root.read(b"/etc").is_err());

        assert_eq!(root.real_dir(b"/bin"), b"/usr/bin");
        assert_eq!(root.real_dir(b"sbin/x/.."), b"/usr/bin");
        assert_eq!(root.real_dir(b"/not/here"), b"/not/here");
        assert_eq!(root.real_dir(b"/.."), b"");
        assert_eq!(root.real_dir(b"/etc/loop/x").last(), Some(&b'x'));
    }

    #[test]
    fn root_read_of_fifo_fails_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("status");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(Root::open(dir.path()).unwrap().read(b"/status").is_err());
    }

    #[test]
    fn wanted_paths_match_database_lines_through_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        symlink("usr/bin", dir.path().join("bin")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let mut wanted = Wanted::new(&root, &["/usr/bin/cat", "/bin/sh", "/opt/gone/cat"]);
        assert_eq!(wanted.matching(b"/bin/cat"), [0]);
        assert_eq!(wanted.matching(b"usr/bin/cat"), [0]);
        assert_eq!(wanted.matching(b"usr/bin/sh"), [1]);
        assert_eq!(wanted.matching(b"/opt/gone/cat"), [2]);
        assert_eq!(wanted.matching(b"/usr/share/cat"), [0; 0]);
        assert!(wanted.name(b"cat") && !wanted.name(b"usr"));
    }
}
