//! Computes digests of files: several files in parallel, each read once for all its algorithms.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use netstat_model::Why;
use netstat_os::files;

use super::cache::Cache;
use super::state::State;
use super::{Algorithm, Digest, FileId};
use crate::why;

/// The number of bytes read at a time, after which progress is reported.
const BLOCK: usize = 256 * 1024;

/// The maximum number of files read in parallel: more would wait for the disk, not for a processor.
const MOST_THREADS: usize = 8;

/// Where the content is read from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A path. Symbolic links are followed, so that `/proc/PID/exe` is the program that is really running, even if it
    /// was deleted.
    Path(PathBuf),
    /// A file that is open for reading. It is read from the beginning; its position does not change.
    Open(Arc<File>),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Source {
        Source::Path(path)
    }
}

impl From<File> for Source {
    fn from(file: File) -> Source {
        Source::Open(Arc::new(file))
    }
}

/// A file to digest.
#[derive(Clone, Debug)]
pub struct Job {
    /// The file.
    pub source: Source,
    /// The requested digests, which are all computed in a single pass.
    pub algorithms: Vec<Algorithm>,
}

/// The digests of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The identity of the file. Compare it with what else is known, since the process id in a path may have been
    /// reused.
    pub id: FileId,
    /// The digests, in the order of the job's algorithms.
    pub digests: Vec<Digest>,
    /// Whether the digests were taken from the cache, so that the file was not read.
    pub cached: bool,
}

/// Why a digest could not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unhashed {
    /// The file could not be opened or read.
    Read(Why),
    /// It is not a regular file.
    NotRegular,
    /// It is larger than the limit, which is this number of bytes.
    TooLarge(u64),
    /// It changed while it was read.
    Changed,
}

impl Unhashed {
    /// Returns a description of the reason, to follow "not compared: ".
    pub const fn words(self) -> &'static str {
        match self {
            Unhashed::Read(why) => why.words(),
            Unhashed::NotRegular => "it is no regular file",
            Unhashed::TooLarge(_) => "it is too large to read now",
            Unhashed::Changed => "it changed while it was read",
        }
    }
}

/// The progress of the computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of files finished.
    pub files: usize,
    /// The number of bytes read so far, of all files.
    pub bytes: u64,
}

/// Computes the digests of the files of `jobs` in parallel and returns them in the order of the jobs.
///
/// Files of more than `limit` bytes are not read. Digests are taken from `cache` if possible, and new ones are added to
/// it. `progress` is called after each block of 256 KiB and after each file, from several threads.
pub fn digests(
    jobs: &[Job],
    limit: u64,
    cache: &mut Cache,
    progress: &(dyn Fn(Progress) + Sync),
) -> Vec<Result<Hashed, Unhashed>> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST_THREADS)
        .min(jobs.len());
    let shared = Mutex::new(cache);
    let (next, files, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else {
                return done;
            };
            let told = |read: u64| {
                let bytes = bytes.fetch_add(read, Ordering::Relaxed) + read;
                progress(Progress {
                    files: files.load(Ordering::Relaxed),
                    bytes,
                });
            };
            done.push((index, digest(job, limit, &shared, &told)));
            let files = files.fetch_add(1, Ordering::Relaxed) + 1;
            progress(Progress {
                files,
                bytes: bytes.load(Ordering::Relaxed),
            });
        }
    };
    let mut all = if threads <= 1 {
        work()
    } else {
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads)
                .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut all = work();
            for helper in helpers {
                match helper.join() {
                    Ok(done) => all.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        })
    };
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, answer)| answer).collect()
}

fn digest(job: &Job, limit: u64, cache: &Mutex<&mut Cache>, told: &dyn Fn(u64)) -> Result<Hashed, Unhashed> {
    let failed = |error: std::io::Error| Unhashed::Read(why(&error));
    let file = match &job.source {
        Source::Path(path) => Arc::new(open(path).map_err(failed)?),
        Source::Open(file) => Arc::clone(file),
    };
    let id = FileId::of(&file).map_err(failed)?.ok_or(Unhashed::NotRegular)?;
    let known = || -> Option<Vec<Digest>> {
        // If a thread panicked, the cache merely lacks some entries.
        let mut cache = cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        job.algorithms
            .iter()
            .map(|algorithm| cache.get(&id, *algorithm))
            .collect()
    };
    if let Some(digests) = known() {
        return Ok(Hashed {
            id,
            digests,
            cached: true,
        });
    }
    if id.size > limit {
        return Err(Unhashed::TooLarge(limit));
    }
    // Take the time before reading, so that a file that changes during the read counts as changed recently.
    let now = SystemTime::now();
    let digests = digests_of(&mut files::content(&file), &job.algorithms, id.size, told)?;
    if FileId::of(&file).map_err(failed)? != Some(id) {
        return Err(Unhashed::Changed);
    }
    if id.is_settled(now) {
        let mut cache = cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        digests.iter().for_each(|digest| cache.put(id, *digest));
    }
    Ok(Hashed {
        id,
        digests,
        cached: false,
    })
}

/// Opens a file without blocking if the path refers to a FIFO or a terminal.
fn open(path: &Path) -> std::io::Result<File> {
    files::open_foreign(path)
}

/// Computes the digests of the first `size` bytes of `source`.
fn digests_of(
    source: &mut impl Read,
    algorithms: &[Algorithm],
    size: u64,
    told: &dyn Fn(u64),
) -> Result<Vec<Digest>, Unhashed> {
    let mut states: Vec<State> = algorithms.iter().map(|algorithm| State::new(*algorithm)).collect();
    let mut block = vec![0; BLOCK.min(usize::try_from(size).unwrap_or(BLOCK)) + 1];
    let mut total = 0;
    loop {
        let read = match source.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Unhashed::Read(why(&error))),
        };
        total += read as u64;
        if total > size {
            return Err(Unhashed::Changed);
        }
        states.iter_mut().for_each(|state| state.update(&block[..read]));
        told(read as u64);
    }
    if total < size {
        return Err(Unhashed::Changed);
    }
    Ok(states.into_iter().map(State::finish).collect())
}

#[cfg(test)]
mod tests {
    use super::super::state::digest_of;
    use super::*;
    use std::fs;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    /// Digests of "abc": RFC 1321 A.5; FIPS 180-4 examples of NIST.
    const ABC: [(Algorithm, &str); 6] = [
        (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            Algorithm::Sha224,
            "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
        ),
        (
            Algorithm::Sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            Algorithm::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Algorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
             454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];

    fn jobs(paths: &[PathBuf], algorithms: &[Algorithm]) -> Vec<Job> {
        paths
            .iter()
            .map(|path| Job {
                source: path.clone().into(),
                algorithms: algorithms.to_vec(),
            })
            .collect()
    }

    #[cfg(unix)]
    fn age(path: &Path) {
        let old = SystemTime::now() - Duration::from_secs(3600);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(old)
            .unwrap();
    }

    #[test]
    fn digests_of_known_content_are_correct() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let algorithms = ABC.map(|(algorithm, _)| algorithm);
        let answers = digests(&jobs(&[path], &algorithms), u64::MAX, &mut Cache::in_memory(), &|_| ());
        let hashed = answers[0].as_ref().unwrap();
        assert_eq!(
            hashed.digests.iter().map(Digest::to_string).collect::<Vec<_>>(),
            ABC.map(|(_, digits)| digits)
        );
        assert_eq!(digest_of(Algorithm::Md5, b"abc"), hashed.digests[0]);
    }

    #[test]
    fn digest_of_open_file_is_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let mut file = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        file.read_exact(&mut [0; 2]).unwrap();
        let job = Job {
            source: file.into(),
            algorithms: vec![Algorithm::Md5],
        };
        // Twice, since reading must not move the position.
        for answer in digests(&[job.clone(), job], 3, &mut Cache::in_memory(), &|_| ()) {
            assert_eq!(answer.unwrap().digests[0].to_string(), ABC[0].1);
        }
    }

    #[test]
    fn digests_of_many_files_keep_order_and_report_progress() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..50).map(|number| dir.path().join(number.to_string())).collect();
        let mut sum = 0;
        for (number, path) in paths.iter().enumerate() {
            let content = vec![number as u8; number * 20_000];
            sum += content.len() as u64;
            fs::write(path, content).unwrap();
        }
        let (most, finished) = (AtomicU64::new(0), AtomicBool::new(false));
        let answers = digests(
            &jobs(&paths, &[Algorithm::Sha256]),
            u64::MAX,
            &mut Cache::in_memory(),
            &|progress| {
                most.fetch_max(progress.bytes, Ordering::Relaxed);
                finished.fetch_or(progress == Progress { files: 50, bytes: sum }, Ordering::Relaxed);
            },
        );
        for (number, answer) in answers.iter().enumerate() {
            let expected = digest_of(Algorithm::Sha256, &vec![number as u8; number * 20_000]);
            assert_eq!(answer.as_ref().unwrap().digests, [expected]);
        }
        assert_eq!(most.into_inner(), sum);
        assert!(finished.into_inner());
    }

    #[cfg(unix)]
    #[test]
    fn digest_of_unreadable_file_has_reason() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let large = dir.path().join("large");
        fs::write(&large, "12345").unwrap();
        let paths = [dir.path().join("none"), fifo, dir.path().into(), large];
        let answers = digests(&jobs(&paths, &[Algorithm::Md5]), 4, &mut Cache::in_memory(), &|_| ());
        let reasons: Vec<_> = answers.into_iter().map(Result::unwrap_err).collect();
        assert_eq!(
            reasons,
            [
                Unhashed::Read(Why::Gone),
                Unhashed::NotRegular,
                Unhashed::NotRegular,
                Unhashed::TooLarge(4)
            ]
        );
    }

    #[test]
    fn digest_of_file_that_grows_or_shrinks_is_refused() {
        for size in [4, 6] {
            let read = digests_of(&mut &b"12345"[..], &[Algorithm::Md5], size, &|_| ());
            assert_eq!(read, Err(Unhashed::Changed), "{size}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn digest_of_recently_changed_file_is_not_cached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        age(&path);
        let jobs = jobs(std::slice::from_ref(&path), &[Algorithm::Md5, Algorithm::Sha256]);
        let mut cache = Cache::in_memory();
        let mut ask = || digests(&jobs, u64::MAX, &mut cache, &|_| ()).remove(0).unwrap();
        // The content is old, but the attributes were changed a moment ago.
        assert!(!ask().cached);
        assert!(!ask().cached);
        let id = FileId::of(&File::open(&path).unwrap()).unwrap().unwrap();
        let at = |seconds: i128| {
            let nanos = id.changed + seconds * 1_000_000_000;
            std::time::UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos).unwrap())
        };
        assert!(!id.is_settled(at(2)) && id.is_settled(at(4)));
    }

    #[test]
    fn digest_cached_is_used_only_for_same_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let id = FileId::of(&File::open(&path).unwrap()).unwrap().unwrap();
        let mut cache = Cache::in_memory();
        let wrong = digest_of(Algorithm::Md5, b"not one");
        cache.put(id, wrong);
        let one = jobs(std::slice::from_ref(&path), &[Algorithm::Md5]);
        let hashed = digests(&one, 0, &mut cache, &|_| ()).remove(0).unwrap();
        assert_eq!((hashed.cached, &hashed.digests[..]), (true, &[wrong][..]));
        // Another algorithm and another content of the same length are not in the cache.
        let both = jobs(std::slice::from_ref(&path), &[Algorithm::Md5, Algorithm::Sha1]);
        let hashed = digests(&both, 9, &mut cache, &|_| ()).remove(0).unwrap();
        assert_eq!(
            (hashed.cached, hashed.digests[0]),
            (false, digest_of(Algorithm::Md5, b"one"))
        );
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&path, "two").unwrap();
        let hashed = digests(&one, 9, &mut cache, &|_| ()).remove(0).unwrap();
        assert_eq!(
            (hashed.cached, hashed.digests[0]),
            (false, digest_of(Algorithm::Md5, b"two"))
        );
    }
}
