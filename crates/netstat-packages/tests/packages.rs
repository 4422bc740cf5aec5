//! Compares owners and recorded digests with what the package managers themselves report, if they are installed.
#![cfg(target_os = "linux")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use netstat_packages::digest::{Algorithm, Cache, Source};
use netstat_packages::packages::{Check, Database, FileOwner, Match, Packages, Recorded, verify};
use netstat_testkit::{have, skip};

/// Returns programs of this system: each file in the usual directories once, by its real path.
fn programs(limit: usize) -> Vec<PathBuf> {
    let dirs = [
        "/usr/bin",
        "/usr/sbin",
        "/bin",
        "/sbin",
        "/usr/lib",
        "/usr/libexec",
        "/usr/local/bin",
    ];
    let mut files: Vec<PathBuf> = dirs
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
        .filter_map(|entry| fs::canonicalize(entry.ok()?.path()).ok())
        .filter(|path| {
            path.is_file()
                && path
                    .to_str()
                    .is_some_and(|text| !text.contains([' ', ':', '*', '?', '[', '\\']))
        })
        .collect();
    files.sort();
    files.dedup();
    files.truncate(limit);
    files
}

/// Returns the output of `dpkg -S` for the arguments: the names of the packages, without architecture, by path.
fn dpkg_search(paths: &[String]) -> HashMap<String, HashSet<String>> {
    let mut found: HashMap<String, HashSet<String>> = HashMap::new();
    for some in paths.chunks(500) {
        let output = Command::new("dpkg")
            .env("LC_ALL", "C")
            .arg("-S")
            .args(some)
            .output()
            .unwrap();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            // "diversion by dash from: /bin/sh" and "... to: ..." do not name an owner.
            let Some((packages, path)) = line.rsplit_once(": ").filter(|_| !line.contains("diversion by")) else {
                continue;
            };
            let names = packages
                .split(", ")
                .map(|name| name.split(':').next().unwrap().to_owned());
            found.entry(path.to_owned()).or_default().extend(names);
        }
    }
    found
}

#[test]
fn dpkg_names_the_same_packages() {
    if !have("dpkg") || !Path::new("/var/lib/dpkg/info").is_dir() {
        return skip("dpkg_names_the_same_packages", "this system has no dpkg");
    }
    let paths = programs(3000);
    let diverted = fs::read_to_string("/var/lib/dpkg/diversions").unwrap_or_default();
    // dpkg compares strings: a file on a system with merged /usr may be listed under either path.
    let both: Vec<String> = paths
        .iter()
        .map(|path| path.to_str().unwrap().to_owned())
        .flat_map(|path| {
            [
                path.strip_prefix("/usr")
                    .map(str::to_owned)
                    .unwrap_or_else(|| path.clone()),
                path,
            ]
        })
        .collect();
    let theirs = dpkg_search(&both);
    let ours = Packages::open("/").owners(&paths);
    let mut owned = 0;
    for (answer, names) in ours.iter().zip(both.chunks(2)) {
        if names.iter().any(|name| diverted.lines().any(|line| line == name)) {
            continue;
        }
        let theirs: HashSet<&String> = names.iter().filter_map(|name| theirs.get(name)).flatten().collect();
        match &answer.owner {
            FileOwner::Package(package) => {
                assert_eq!(package.database, Database::Dpkg);
                assert!(theirs.contains(&package.name), "{answer:?}: dpkg says {theirs:?}");
                owned += 1;
            }
            FileOwner::Nobody => assert!(theirs.is_empty(), "{answer:?}: dpkg says {theirs:?}"),
            FileOwner::Unknown(_) => panic!("{answer:?}"),
        }
    }
    assert!(owned > 50, "only {owned} of {} files have an owner", paths.len());
}

#[test]
fn dpkg_records_what_md5sum_finds() {
    if !have("md5sum") || !Path::new("/var/lib/dpkg/info").is_dir() {
        return skip("dpkg_records_what_md5sum_finds", "this system has no dpkg or no md5sum");
    }
    // Use small files only, to be quick.
    let mut paths = programs(usize::MAX);
    paths.retain(|path| fs::metadata(path).is_ok_and(|meta| meta.size() < 200_000));
    paths.truncate(400);
    let output = Command::new("md5sum").args(&paths).output().unwrap();
    let theirs: HashMap<PathBuf, String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, path)| (path.into(), digest.to_owned()))
        .collect();
    let (mut same, mut other) = (0, Vec::new());
    for answer in Packages::open("/").owners(&paths) {
        let Some(package) = answer.owner.package() else {
            continue;
        };
        if let (Recorded::Digest(digest), Some(theirs)) = (package.recorded, theirs.get(&answer.path)) {
            if digest.to_string() == *theirs {
                same += 1
            } else {
                other.push(answer.path.clone())
            }
        }
    }
    assert!(same > 20, "only {same} of {} files are recorded", paths.len());
    // A system may have modified files, but not many.
    assert!(other.len() * 20 < same, "{same} match, but not {other:?}");
}

/// A running program, which is killed when dropped.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_modified_copy_differs_from_its_record() {
    let name = "a_modified_copy_differs_from_its_record";
    let Ok(sleep) = fs::canonicalize("/bin/sleep") else {
        return skip(name, "this system has no sleep");
    };
    let info = Path::new("/var/lib/dpkg/info");
    if sleep.file_name() != Some("sleep".as_ref()) || !info.join("coreutils.md5sums").is_file() {
        return skip(name, "sleep is not that of dpkg's coreutils");
    }
    // A private root with the real records of one package, the program, and a modified copy.
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let admin = root.join("var/lib/dpkg/info");
    fs::create_dir_all(&admin).unwrap();
    for file in ["coreutils.list", "coreutils.md5sums"] {
        fs::copy(info.join(file), admin.join(file)).unwrap();
    }
    fs::copy("/var/lib/dpkg/status", root.join("var/lib/dpkg/status")).unwrap();
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    let program = root.join("usr/bin/sleep");

    let compare = |pid: u32| {
        let answer = Packages::open(root).owners(&["/usr/bin/sleep"]).remove(0);
        let recorded = answer.owner.package().expect("coreutils").recorded;
        let check = Check {
            source: Source::Path(format!("/proc/{pid}/exe").into()),
            recorded,
        };
        verify(&[check], u64::MAX, &mut Cache::in_memory(), &|_| ()).remove(0)
    };
    let run = || Running(Command::new(&program).arg("60").spawn().unwrap());

    fs::copy(&sleep, &program).unwrap();
    let original = run();
    let answer = compare(original.0.id());
    assert!(matches!(answer, Match::Matches { .. }), "{answer:?}");
    assert_eq!(answer.words(), "matches its package record (MD5)");

    // Replace the program by one with an extra byte, which is ignored because it follows the last section.
    let mut bytes = fs::read(&program).unwrap();
    bytes.push(0);
    fs::remove_file(&program).unwrap();
    fs::write(&program, bytes).unwrap();
    fs::set_permissions(&program, fs::metadata(&sleep).unwrap().permissions()).unwrap();
    let changed = run();
    let answer = compare(changed.0.id());
    assert!(
        matches!(answer, Match::Differs { recorded, found, .. } if recorded != found),
        "{answer:?}"
    );
    // The program that was started before is still what the package recorded, although its file is gone.
    assert!(matches!(compare(original.0.id()), Match::Matches { .. }));
}

/// Runs a program in `dir`; returns its output, or why it failed.
fn output(dir: &Path, program: &str, words: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(words)
        .current_dir(dir)
        .env("HOME", dir)
        .env("LC_ALL", "C")
        .output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "{program} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

const SPEC: &str = "\
Name: hello
Epoch: 2
Version: 1.0
Release: 3
Summary: x
License: MIT
BuildArch: noarch
%description
x
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/bin %{buildroot}/etc %{buildroot}/var/log
echo program > %{buildroot}/usr/bin/hello
echo another > %{buildroot}/bin/other
ln -s hello %{buildroot}/usr/bin/hi
echo conf > %{buildroot}/etc/hello.conf
touch %{buildroot}/var/log/hello
%files
/usr/bin/hello
/usr/bin/hi
/bin/other
%config(noreplace) /etc/hello.conf
%ghost /var/log/hello
";

#[test]
fn rpm_records_the_same() {
    let name = "rpm_records_the_same";
    if !have("rpm") || !have("rpmbuild") {
        return;
    }
    // Test each kind of digest that rpmbuild creates, given by OpenPGP number as in its macros.
    for (number, algorithm) in [("1", Algorithm::Md5), ("2", Algorithm::Sha1), ("8", Algorithm::Sha256)] {
        let dir = tempfile::tempdir().unwrap();
        match rpm_database(dir.path(), number) {
            Ok(theirs) => compare_with_rpm(&dir.path().join("root"), &theirs, algorithm),
            Err(reason) => return skip(name, &reason),
        }
    }
}

/// Creates a package and a database below `dir/root` that contains it, and returns what rpm reports about its files.
fn rpm_database(dir: &Path, algorithm: &str) -> Result<String, String> {
    fs::write(dir.join("hello.spec"), SPEC).unwrap();
    let top = format!("_topdir {}/build", dir.display());
    let algorithm = format!("_binary_filedigest_algorithm {algorithm}");
    output(
        dir,
        "rpmbuild",
        &["-bb", "--quiet", "--define", &top, "--define", &algorithm, "hello.spec"],
    )?;
    let database = dir.join("root/usr/lib/sysimage/rpm");
    fs::create_dir_all(&database).unwrap();
    let database = database.to_str().unwrap();
    let package = "build/RPMS/noarch/hello-1.0-3.noarch.rpm";
    output(
        dir,
        "rpm",
        &["--dbpath", database, "-i", "--justdb", "--nodeps", package],
    )?;
    let format = "[%{FILENAMES} %{FILEDIGESTS} %{=EPOCH}:%{=VERSION}-%{=RELEASE} %{=INSTALLTIME}\n]";
    output(dir, "rpm", &["--dbpath", database, "-qa", "--qf", format])
}

fn compare_with_rpm(root: &Path, theirs: &str, algorithm: Algorithm) {
    let lines: Vec<Vec<&str>> = theirs.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines.len(), 5, "{theirs}");
    let paths: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    for (answer, line) in Packages::open(root).owners(&paths).iter().zip(&lines) {
        let package = answer.owner.package().unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!((package.database, package.name.as_str()), (Database::Rpm, "hello"));
        assert_eq!(package.version.as_ref().known().unwrap(), line[2]);
        let installed = package
            .installed
            .known()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(installed.as_secs().to_string(), line[3]);
        assert_eq!(package.configuration, line[0] == "/etc/hello.conf");
        match package.recorded {
            Recorded::Digest(digest) => assert_eq!((digest.algorithm(), &*digest.to_string()), (algorithm, line[1])),
            Recorded::None(_) => assert!(["/usr/bin/hi", "/var/log/hello"].contains(&line[0]), "{answer:?}"),
        }
    }
}
