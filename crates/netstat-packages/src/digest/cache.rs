//! A cache of file digests, stored in a file of the user who computed them.
//!
//! An entry is valid for a file with the same device, inode, size and times; the change time is set only by the kernel.
//! Root can set the clock or write to the disk below the file system, so the cache merely saves time: it proves no more
//! than reading the file would.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use netstat_model::text::plain_error;
use netstat_os::files::{self, Directory, Opened};

use super::state::digest_of;
use super::{Algorithm, Digest, FileId};

/// The file name within the cache directory.
const NAME: &str = "digests";
/// The first line of the file; the number is the version of the format.
const HEAD: &str = "netstat digests 1";
/// The maximum number of digests kept, some 2 MB: more than any system has programs with sockets.
const MOST: usize = 10_000;
/// The maximum size of a valid cache file in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Digests of files, by file identity and algorithm.
#[derive(Debug, Default)]
pub struct Cache {
    known: HashMap<(FileId, Algorithm), Known>,
    /// Counts uses, to tell which digests were used last.
    clock: u64,
    changed: bool,
    dir: Option<PathBuf>,
    trouble: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    digest: Digest,
    used: u64,
}

impl Cache {
    /// Creates a cache that is never saved.
    pub fn in_memory() -> Cache {
        Cache::default()
    }

    /// Returns the cache directory of the calling user: `/var/cache/netstat` for root, otherwise the directory `netstat`
    /// in `$XDG_CACHE_HOME`, `~/.cache` (XDG Base Directory Specification 0.8) or `%LOCALAPPDATA%`, the first of these
    /// that is an absolute path. `None` if none is.
    pub fn directory() -> Option<PathBuf> {
        if files::own_user() == Some(0) {
            return Some("/var/cache/netstat".into());
        }
        let absolute = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .or_else(|| absolute("LOCALAPPDATA"))?;
        Some(base.join("netstat"))
    }

    /// Opens the cache stored in `dir`. The cache is empty if it does not exist yet, is damaged, or may have been
    /// written by another user; see [`trouble`](Self::trouble).
    pub fn open(dir: impl Into<PathBuf>) -> Cache {
        let dir = dir.into();
        let mut cache = Cache::default();
        match read(&dir) {
            Ok(content) => match parse(&content) {
                Some(lines) => {
                    for (id, digest) in lines {
                        cache.clock += 1;
                        cache.known.insert(
                            (id, digest.algorithm()),
                            Known {
                                digest,
                                used: cache.clock,
                            },
                        );
                    }
                }
                // The file will be replaced.
                None => cache.trouble = Some("the cache of digests is damaged and was left aside".to_owned()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                cache.trouble = Some(format!("the cache of digests is not used: {}", plain_error(&error)));
                // The file may belong to another user, so it must not be replaced.
                return cache;
            }
        }
        cache.dir = Some(dir);
        cache
    }

    /// Returns why the cache file could not be used, in one line without the path; `None` if there was no problem.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Returns the number of digests in the cache.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns the digest of a file, if it is in the cache.
    pub fn get(&mut self, id: &FileId, algorithm: Algorithm) -> Option<Digest> {
        let known = self.known.get_mut(&(*id, algorithm))?;
        self.clock += 1;
        known.used = self.clock;
        Some(known.digest)
    }

    /// Adds a digest.
    pub fn put(&mut self, id: FileId, digest: Digest) {
        self.clock += 1;
        self.known.insert(
            (id, digest.algorithm()),
            Known {
                digest,
                used: self.clock,
            },
        );
        self.changed = true;
    }

    /// Saves the cache if it has changed. The file is replaced atomically and readable only by its user; the most
    /// recently used digests are kept.
    ///
    /// # Errors
    /// Fails if the directory or the file cannot be created or belongs to another user. The only consequence is that
    /// files are read again.
    pub fn save(&mut self) -> io::Result<()> {
        let Some(dir) = self.dir.clone().filter(|_| self.changed) else {
            return Ok(());
        };
        write(&dir, &self.print())?;
        self.changed = false;
        Ok(())
    }

    fn print(&self) -> Vec<u8> {
        let mut all: Vec<_> = self.known.iter().collect();
        // The most recently used come last, in the order in which `open` counts them.
        all.sort_unstable_by_key(|(_, known)| known.used);
        let mut out = format!("{HEAD}\n").into_bytes();
        for ((id, algorithm), known) in &all[all.len().saturating_sub(MOST)..] {
            let FileId {
                device,
                inode,
                size,
                modified,
                changed,
            } = id;
            let name = algorithm.name();
            // Writing to memory cannot fail.
            let _ = writeln!(
                out,
                "{name} {device} {inode} {size} {modified} {changed} {}",
                known.digest
            );
        }
        let _ = writeln!(out, "end {}", digest_of(Algorithm::Sha256, &out));
        out
    }
}

/// Parses a cache file; `None` unless it is complete and its checksum is correct.
pub fn parse(content: &[u8]) -> Option<Vec<(FileId, Digest)>> {
    let content = content.strip_suffix(b"\n")?;
    let (body, end) = content.split_at(memchr::memrchr(b'\n', content)? + 1);
    let sum = Digest::from_hex(Algorithm::Sha256, end.strip_prefix(b"end ")?)?;
    if sum != digest_of(Algorithm::Sha256, body) {
        return None;
    }
    let mut lines = std::str::from_utf8(body).ok()?.lines();
    if lines.next() != Some(HEAD) {
        return None;
    }
    lines.map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(FileId, Digest)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)?;
    let id = FileId {
        device: words.next()?.parse().ok()?,
        inode: words.next()?.parse().ok()?,
        size: words.next()?.parse().ok()?,
        modified: words.next()?.parse().ok()?,
        changed: words.next()?.parse().ok()?,
    };
    let digest = Digest::from_hex(algorithm, words.next()?.as_bytes())?;
    words.next().is_none().then_some((id, digest))
}

fn read(dir: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let dir = open_dir(dir)?;
    let mut file = match dir.file(NAME.as_bytes())? {
        Opened::Is(file) => file,
        Opened::LinkOrOther(error) => return Err(error),
    };
    check(&file, "file")?;
    let mut content = Vec::new();
    Read::by_ref(&mut file).take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    files::create_private_directory(path)?;
    let dir = open_dir(path)?;
    // Concurrent runs write separate files, and the last one wins.
    let temporary = format!(".{NAME}.{}", std::process::id());
    let mut file = dir.create_private(&temporary).or_else(|error| {
        // A killed run with the same process id may have left the file.
        dir.remove(&temporary).map_err(|_| error)?;
        dir.create_private(&temporary)
    })?;
    let written = file.write_all(content).and_then(|()| dir.rename(&temporary, NAME));
    if written.is_err() {
        let _ = dir.remove(&temporary);
    }
    written
}

fn open_dir(path: &Path) -> io::Result<Directory> {
    let dir = Directory::open_no_follow(path)?;
    check(&dir.as_file()?, "directory")?;
    Ok(dir)
}

/// Rejects files that belong to another user or that others can modify.
fn check(file: &File, what: &str) -> io::Result<()> {
    let facts = files::facts(file)?;
    let refuse = |reason: &str| {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("its {what} {reason}"),
        ))
    };
    if Some(facts.user) != files::own_user() {
        return refuse("belongs to another user");
    }
    if facts.mode & 0o022 != 0 {
        return refuse("is writable by others");
    }
    if what == "file" && !file.metadata()?.is_file() {
        return refuse("is no regular file");
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn id(inode: u64) -> FileId {
        FileId {
            device: 7,
            inode,
            size: 3,
            modified: -1_500_000_000,
            changed: 1_700_000_000_123_456_789,
        }
    }

    fn md5(byte: u8) -> Digest {
        Digest::new(Algorithm::Md5, &[byte; 16]).unwrap()
    }

    fn home() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/netstat");
        (dir, path)
    }

    #[test]
    fn digest_cache_saved_reads_back_unchanged() {
        let (_home, dir) = home();
        let mut cache = Cache::open(&dir);
        assert!(cache.is_empty() && cache.trouble().is_none());
        cache.put(id(1), md5(1));
        cache.put(id(2), md5(2));
        cache.put(id(1), digest_of(Algorithm::Sha512, b"x"));
        cache.save().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(NAME))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);

        let mut again = Cache::open(&dir);
        assert_eq!((again.len(), again.trouble()), (3, None));
        assert_eq!(again.get(&id(1), Algorithm::Md5), Some(md5(1)));
        assert_eq!(
            again.get(&id(1), Algorithm::Sha512),
            Some(digest_of(Algorithm::Sha512, b"x"))
        );
        assert_eq!(again.get(&id(1), Algorithm::Sha1), None);
        assert_eq!(again.get(&FileId { changed: 0, ..id(1) }, Algorithm::Md5), None);
    }

    #[test]
    fn digest_cache_when_full_keeps_latest_used() {
        let mut cache = Cache::default();
        (0..MOST as u64 + 10).for_each(|inode| cache.put(id(inode), md5(0)));
        assert!(cache.get(&id(3), Algorithm::Md5).is_some());
        let kept = parse(&cache.print()).unwrap();
        assert_eq!(kept.len(), MOST);
        assert!(kept.iter().any(|(kept, _)| *kept == id(3)) && !kept.iter().any(|(kept, _)| *kept == id(4)));
    }

    #[test]
    fn digest_cache_damaged_is_ignored_and_replaced() {
        let (_home, dir) = home();
        let mut cache = Cache::open(&dir);
        cache.put(id(1), md5(1));
        cache.save().unwrap();
        let whole = fs::read(dir.join(NAME)).unwrap();
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_none());
        }
        fs::write(dir.join(NAME), &whole[..whole.len() - 5]).unwrap();
        let mut damaged = Cache::open(&dir);
        assert!(damaged.is_empty() && damaged.trouble().unwrap().contains("damaged"));
        // A damaged cache is replaced.
        damaged.put(id(2), md5(2));
        damaged.save().unwrap();
        assert_eq!(Cache::open(&dir).len(), 1);
    }

    #[test]
    fn digest_cache_writable_by_others_is_refused() {
        let (home, dir) = home();
        let mut cache = Cache::open(&dir);
        cache.put(id(1), md5(1));
        cache.save().unwrap();
        let refused = |dir: &Path| {
            let mut cache = Cache::open(dir);
            assert!(cache.is_empty() && cache.trouble().is_some());
            cache.put(id(2), md5(2));
            cache.save().unwrap();
        };
        let file = dir.join(NAME);
        let before = fs::read(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
        refused(&dir);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o770)).unwrap();
        refused(&dir);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        let link = home.path().join("link");
        symlink(&dir, &link).unwrap();
        refused(&link);
        fs::rename(&file, dir.join("real")).unwrap();
        symlink("real", &file).unwrap();
        refused(&dir);
        // A file of another user, which only root can create.
        fs::remove_file(&file).unwrap();
        fs::rename(dir.join("real"), &file).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
            refused(&dir);
            std::os::unix::fs::chown(&file, Some(0), None).unwrap();
        }
        assert_eq!(fs::read(&file).unwrap(), before);
        assert_eq!(Cache::open(&dir).len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes(content: Vec<u8>) {
            prop_assert!(parse(&content).is_none());
        }

        #[test]
        fn digest_cache_of_any_well_ended_text_never_panics(body in "(netstat digests 1\n)?((MD5|SHA-1|x) ?[0-9a-f -]{0,60}\n){0,4}") {
            let end = digest_of(Algorithm::Sha256, body.as_bytes());
            let _ = parse(format!("{body}end {end}\n").as_bytes());
        }

        #[test]
        fn digest_cache_entry_printed_reads_back_unchanged(numbers: (u64, u64, u64, i64, i64), bytes: [u8; 16]) {
            let (device, inode, size, modified, changed) = numbers;
            let id = FileId { device, inode, size, modified: modified.into(), changed: changed.into() };
            let mut cache = Cache::default();
            let digest = Digest::new(Algorithm::Md5, &bytes).unwrap();
            cache.put(id, digest);
            prop_assert_eq!(parse(&cache.print()), Some(vec![(id, digest)]));
        }
    }
}
