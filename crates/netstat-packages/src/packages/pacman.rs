//! The database of pacman: a directory for each package in `/var/lib/pacman/local`.

use std::fs::File;
use std::io::Read;
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use netstat_model::{Fact, Why};
use netstat_os::files::{self, Directory};

use super::dpkg::parse::lines;
use super::ownership::{Database, NoRecord, Package, Problem, Recorded};
use super::root::{MAX_LISTS, absolute, dir_in, epoch, file_in, read_whole, split};
use super::search::Search;
use crate::digest::{Algorithm, Digest};
use crate::why;

const LOCAL: &str = "/var/lib/pacman/local";
/// The version of the format, as in the file `ALPM_DB_VERSION` (libalpm, `be_local.c`).
const VERSION: &[u8] = b"9";
/// The maximum size of an unpacked list of digests. That of the largest package has some 20 MB.
const MAX_MTREE: u64 = 256 << 20;

/// Searches the database of pacman. Returns whether there is one.
pub(super) fn search(search: &mut Search<'_>) -> bool {
    let local = match search.root.dir(LOCAL.as_bytes()) {
        Ok(local) => local,
        Err(error) if why(&error) == Why::Gone => return false,
        Err(error) => {
            search.trouble(Database::Pacman, LOCAL, why(&error));
            return true;
        }
    };
    let mut text = Vec::new();
    let read =
        |dir: &Directory, name: &[u8], text: &mut Vec<u8>| file_in(dir, name).and_then(|file| read_whole(file, text));
    match read(&local, b"ALPM_DB_VERSION", &mut text) {
        Ok(_) if text.trim_ascii() != VERSION => {
            search.problem(Database::Pacman, LOCAL, Problem::Format("other than version 9"));
            return true;
        }
        // If the file is missing, as in images created without pacman, the directories show the format.
        _ => {}
    }
    let names = match local.names() {
        Ok(names) => names,
        Err(error) => {
            search.trouble(Database::Pacman, LOCAL, why(&error));
            return true;
        }
    };
    let mut total = 0;
    for name in names.iter().filter(|name| *name != b"ALPM_DB_VERSION") {
        total += text.len() as u64;
        if total > MAX_LISTS {
            search.trouble(Database::Pacman, LOCAL, Why::Failed);
            break;
        }
        text.clear();
        if search.is_done() {
            break;
        }
        let opened = dir_in(&local, name);
        let dir = match opened.and_then(|dir| read(&dir, b"files", &mut text).map(|_| dir)) {
            Ok(dir) => dir,
            // A package without files has no such list.
            Err(error) if why(&error) == Why::Gone => continue,
            Err(error) => {
                search.trouble(
                    Database::Pacman,
                    format!("{LOCAL}/{}", String::from_utf8_lossy(name)),
                    why(&error),
                );
                continue;
            }
        };
        let mut more: Option<Details> = None;
        for path in section(&text, b"%FILES%") {
            if !search.wanted.name(split(path).1) {
                continue;
            }
            for index in search.wanted.matching(path) {
                search.found(index, || {
                    let more = more.get_or_insert_with(|| Details::read(&dir, name));
                    describe(more, &text, path)
                });
            }
        }
    }
    true
}

fn describe(more: &Details, files: &[u8], path: &[u8]) -> Package {
    let text = |value: Option<&[u8]>| {
        Fact::from_option(
            value.map(|value| String::from_utf8_lossy(value).into_owned()),
            Why::Failed,
        )
    };
    let field = |name: &[u8]| more.desc.as_deref().and_then(|desc| section(desc, name).next());
    let recorded = match &more.mtree {
        Ok(mtree) => match recorded(mtree, path) {
            Some(Some(digest)) => Recorded::Digest(digest),
            Some(None) => Recorded::None(NoRecord::Unreadable),
            None => Recorded::None(NoRecord::NotListed),
        },
        Err(Why::Gone) => Recorded::None(NoRecord::NotKept),
        Err(why) => Recorded::None(NoRecord::NotRead(*why)),
    };
    let backup = |line: &[u8]| line.strip_prefix(path).is_some_and(|rest| rest.first() == Some(&b'\t'));
    Package {
        database: Database::Pacman,
        name: String::from_utf8_lossy(field(b"%NAME%").unwrap_or_else(|| without_version(&more.directory)))
            .into_owned(),
        version: text(field(b"%VERSION%")),
        architecture: text(field(b"%ARCH%")),
        listed_as: absolute(path),
        configuration: section(files, b"%BACKUP%").any(backup),
        recorded,
        installed: Fact::from_option(field(b"%INSTALLDATE%").and_then(moment), Why::Failed),
    }
}

/// The details that are read only for a package that owns a file.
struct Details {
    directory: Vec<u8>,
    desc: Option<Vec<u8>>,
    mtree: Result<Vec<u8>, Why>,
}

impl Details {
    fn read(dir: &Directory, name: &[u8]) -> Details {
        let mut desc = Vec::new();
        let read = file_in(dir, b"desc").and_then(|file| read_whole(file, &mut desc));
        let mtree = file_in(dir, b"mtree").and_then(unpack);
        Details {
            directory: name.to_vec(),
            desc: read.ok().map(|_| desc),
            mtree: mtree.map_err(|error| why(&error)),
        }
    }
}

fn unpack(file: File) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if MultiGzDecoder::new(files::content(&file))
        .take(MAX_MTREE + 1)
        .read_to_end(&mut text)? as u64
        > MAX_MTREE
    {
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            "list of digests too long",
        ));
    }
    Ok(text)
}

/// Removes the version and release from `NAME-VERSION-RELEASE`.
fn without_version(directory: &[u8]) -> &[u8] {
    directory.rsplitn(3, |byte| *byte == b'-').nth(2).unwrap_or(directory)
}

/// Returns the lines of one section of `desc` or `files`: those after its name, up to an empty line.
pub fn section<'a>(text: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    lines(text)
        .skip_while(move |line| *line != name)
        .skip(1)
        .take_while(|line| !line.is_empty())
}

/// Parses a time in seconds since 1970.
fn moment(text: &[u8]) -> Option<SystemTime> {
    Some(epoch(std::str::from_utf8(text).ok()?.trim().parse().ok()?, 0))
}

/// Returns the digest that an mtree(5) text records for the regular file `path`, given without a leading `/`; `None` if
/// it has none, `Some(None)` if the line is malformed. SHA-256 is preferred to MD5.
pub fn recorded(mtree: &[u8], path: &[u8]) -> Option<Option<Digest>> {
    let mut default_type: &[u8] = b"file";
    for line in lines(mtree) {
        let (name, keywords) = match memchr::memchr(b' ', line) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        if name == b"/set" {
            default_type = keyword(keywords, b"type=").unwrap_or(default_type);
            continue;
        }
        let Some(listed) = name.strip_prefix(b"./") else {
            continue;
        };
        if !is_path(listed, path) {
            continue;
        }
        if keyword(keywords, b"type=").unwrap_or(default_type) != b"file" {
            return None;
        }
        let of = |key: &[u8], algorithm| keyword(keywords, key).map(|digits| Digest::from_hex(algorithm, digits));
        return of(b"sha256digest=", Algorithm::Sha256).or_else(|| of(b"md5digest=", Algorithm::Md5));
    }
    None
}

fn keyword<'a>(keywords: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    keywords
        .split(|byte| *byte == b' ')
        .find_map(|word| word.strip_prefix(key))
}

/// Whether `listed` is `path`. In `listed`, bytes may be written as `\` and three octal digits.
fn is_path(listed: &[u8], path: &[u8]) -> bool {
    if !listed.contains(&b'\\') {
        return listed == path;
    }
    let mut rest = listed;
    let mut expected = path.iter();
    while let Some((first, after)) = rest.split_first() {
        let octal = |digit: &u8| matches!(digit, b'0'..=b'7').then(|| u32::from(digit - b'0'));
        let byte = match (first, after) {
            (b'\\', [a, b, c, ..]) => match (octal(a), octal(b), octal(c)) {
                (Some(a), Some(b), Some(c)) => {
                    rest = &after[3..];
                    (a << 6 | b << 3 | c) as u8
                }
                _ => return false,
            },
            _ => {
                rest = after;
                *first
            }
        };
        if expected.next() != Some(&byte) {
            return false;
        }
    }
    expected.next().is_none()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::packages::{FileOwner, Packages, Trouble, Unsaid};
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;
    use std::path::Path;
    use std::time::Duration;

    const DESC: &str = "%NAME%\nopen-ssh\n\n%VERSION%\n1:9.8p1-1\n\n%ARCH%\nx86_64\n\n%INSTALLDATE%\n1700000000\n";
    const FILES: &str = "%FILES%\netc/\netc/ssh/sshd_config\nusr/\nusr/bin/\nusr/bin/ssh\nusr/bin/slogin\nusr/bin/a b\n\n\
        %BACKUP%\netc/ssh/sshd_config\t900150983cd24fb0d6963f7d28e17f72\n";
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn mtree() -> String {
        format!(
            "#mtree\n/set type=file uid=0 gid=0 mode=644\n./.BUILDINFO time=1.0 size=1 sha256digest={ABC}\n\
             ./usr/bin/ssh mode=755 size=3 md5digest=900150983cd24fb0d6963f7d28e17f72 sha256digest={ABC}\n\
             ./usr/bin/slogin type=link link=ssh\n./usr/bin/a\\040b md5digest=900150983cd24fb0d6963f7d28e17f72\n\
             /set type=dir\n./etc mode=755\n./etc/ssh/sshd_config type=file sha256digest=zz\n"
        )
    }

    fn database() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let local = dir.path().join(&LOCAL[1..]);
        let package = local.join("open-ssh-9.8p1-1");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::create_dir_all(local.join("empty-1-1")).unwrap();
        std::fs::write(local.join("ALPM_DB_VERSION"), "9\n").unwrap();
        std::fs::write(package.join("desc"), DESC).unwrap();
        std::fs::write(package.join("files"), FILES).unwrap();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(mtree().as_bytes()).unwrap();
        std::fs::write(package.join("mtree"), packed.finish().unwrap()).unwrap();
        dir
    }

    fn package(root: &Path, path: &str) -> Package {
        match Packages::open(root).owners(&[path]).remove(0).owner {
            FileOwner::Package(package) => *package,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn all_that_is_recorded() {
        let dir = database();
        let ssh = package(dir.path(), "/usr/bin/ssh");
        assert_eq!((ssh.database, ssh.name.as_str()), (Database::Pacman, "open-ssh"));
        assert_eq!(ssh.version, Fact::Known("1:9.8p1-1".to_owned()));
        assert_eq!(
            ssh.installed,
            Fact::Known(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        );
        assert!(matches!(ssh.recorded, Recorded::Digest(digest) if digest.to_string() == ABC));
        assert!(!ssh.configuration);
        let conf = package(dir.path(), "/etc/ssh/sshd_config");
        assert!(conf.configuration && conf.recorded == Recorded::None(NoRecord::Unreadable));
        assert_eq!(
            package(dir.path(), "/usr/bin/slogin").recorded,
            Recorded::None(NoRecord::NotListed)
        );
        let blank = package(dir.path(), "/usr/bin/a b").recorded;
        assert!(matches!(blank, Recorded::Digest(digest) if digest.algorithm() == Algorithm::Md5));
        let none = Packages::open(dir.path()).owners(&["/usr/bin/none"]).remove(0).owner;
        assert_eq!(none, FileOwner::Nobody);
    }

    #[test]
    fn pacman_package_with_missing_parts_says_what_is_unknown() {
        let dir = database();
        let place = dir.path().join(&LOCAL[1..]).join("open-ssh-9.8p1-1");
        std::fs::write(place.join("mtree"), "no gzip").unwrap();
        std::fs::remove_file(place.join("desc")).unwrap();
        let ssh = package(dir.path(), "/usr/bin/ssh");
        assert_eq!(
            (ssh.name.as_str(), ssh.version),
            ("open-ssh", Fact::Unknown(Why::Failed))
        );
        assert_eq!(ssh.recorded, Recorded::None(NoRecord::NotRead(Why::Failed)));
        std::fs::remove_file(place.join("mtree")).unwrap();
        assert_eq!(
            package(dir.path(), "/usr/bin/ssh").recorded,
            Recorded::None(NoRecord::NotKept)
        );
    }

    #[test]
    fn pacman_database_of_other_version_is_refused() {
        let dir = database();
        std::fs::write(dir.path().join(&LOCAL[1..]).join("ALPM_DB_VERSION"), "10").unwrap();
        let owner = Packages::open(dir.path()).owners(&["/usr/bin/ssh"]).remove(0).owner;
        let problem = Problem::Format("other than version 9");
        let trouble = Trouble {
            database: Database::Pacman,
            path: LOCAL.into(),
            problem,
        };
        assert_eq!(owner, FileOwner::Unknown(Unsaid::Trouble(trouble)));
    }

    proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>, path: Vec<u8>) {
            let _ = recorded(&text, &path);
            let _ = section(&text, &path).count();
            let _ = is_path(&text, &path);
        }

        #[test]
        fn pacman_mtree_escaped_path_is_found(path in prop::collection::vec(1..=255u8, 1..20)) {
            prop_assume!(!path.contains(&b'\n') && !path.contains(&b' '));
            let escaped: String = path.iter().map(|byte| format!("\\{byte:03o}")).collect();
            prop_assert!(is_path(escaped.as_bytes(), &path));
            let text = format!("#mtree\n./{escaped} sha256digest={ABC}\n");
            prop_assert_eq!(recorded(text.as_bytes(), &path).unwrap().unwrap().to_string(), ABC);
        }
    }
}
