//! Tests with a database that is created under a temporary root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use netstat_model::{Fact, Why};

use crate::packages::{Database, FileOwner, NoRecord, Package, Packages, Problem, Recorded, Trouble, Unsaid};

const ADMIN: &str = "var/lib/dpkg";

fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Creates a system with merged `/usr`: `coreutils` predates the merge, `dash` and `fake` have diversions, `left` was
/// removed.
fn usual() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    let info = |file: &str, content: &str| put(root, &format!("{ADMIN}/info/{file}"), content);
    info(
        "coreutils.list",
        "/.\n/bin\n/bin/cat\n/usr\n/usr/bin\n/usr/bin/env\n/etc/coreutils.conf\n",
    );
    info(
        "coreutils.md5sums",
        "d41d8cd98f00b204e9800998ecf8427e  bin/cat\n900150983cd24fb0d6963f7d28e17f72  usr/bin/envy\n",
    );
    info("dash.list", "/.\n/bin\n/bin/sh\n/bin/dash\n");
    info("bash.list", "/.\n/bin\n/bin/bash\n/bin/sh\n/bin/vi\n");
    info(
        "bash.md5sums",
        "f96b697d7cb7938d525a2f31aaf161d0  bin/sh\n900150983cd24fb0d6963f7d28e17f72  bin/vi\n",
    );
    info("libx:amd64.list", "/usr/lib/x.so\n");
    info("libx:i386.list", "/usr/lib32/x.so\n");
    info("left.list", "/usr/bin/left\n/etc/left\n");
    info("stray.list", "/usr/bin/stray\n");
    let installed = |name: &str, rest: &str| format!("Package: {name}\nStatus: install ok installed\n{rest}\n");
    let status = [
        installed(
            "coreutils",
            "Version: 9.1-1\nArchitecture: amd64\nConffiles:\n /etc/coreutils.conf 900150983cd24fb0d6963f7d28e17f72\n",
        ),
        installed("dash", "Version: 0.5\nArchitecture: amd64\n"),
        installed("bash", "Version: 5.2\nArchitecture: amd64\n"),
        installed("libx", "Version: 1\nArchitecture: amd64\n"),
        installed("libx", "Version: 2\nArchitecture: i386\n"),
        "Package: left\nStatus: deinstall ok config-files\nVersion: 1\n".to_owned(),
    ];
    put(root, &format!("{ADMIN}/status"), &status.join("\n"));
    put(
        root,
        &format!("{ADMIN}/diversions"),
        "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/vi\n/usr/bin/vi.real\n:\n",
    );
    dir
}

fn owner(root: &Path, path: &str) -> FileOwner {
    let mut answers = Packages::open(root).owners(&[path]);
    assert_eq!(answers.len(), 1);
    answers.remove(0).owner
}

fn package(root: &Path, path: &str) -> Package {
    match owner(root, path) {
        FileOwner::Package(package) => *package,
        other => panic!("{path}: {other:?}"),
    }
}

fn digest(package: &Package) -> String {
    match package.recorded {
        Recorded::Digest(digest) => digest.to_string(),
        Recorded::None(reason) => reason.words().to_owned(),
    }
}

#[test]
fn all_that_is_recorded() {
    let dir = usual();
    let list = dir.path().join(ADMIN).join("info/coreutils.list");
    let moment = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, 5_000);
    fs::File::options()
        .write(true)
        .open(list)
        .unwrap()
        .set_modified(moment)
        .unwrap();
    // Asked for by the kernel's path; the package lists the one from before the merge.
    let cat = package(dir.path(), "/usr/bin/cat");
    assert_eq!((cat.database, cat.name.as_str()), (Database::Dpkg, "coreutils"));
    assert_eq!(cat.version, Fact::Known("9.1-1".to_owned()));
    assert_eq!(cat.architecture, Fact::Known("amd64".to_owned()));
    assert_eq!(cat.listed_as, Path::new("/bin/cat"));
    assert_eq!(cat.installed, Fact::Known(moment));
    assert_eq!(cat.installed_since(moment), Fact::Known(false));
    assert_eq!(cat.installed_since(moment - Duration::from_nanos(1)), Fact::Known(true));
    assert!(!cat.configuration);
    assert_eq!(digest(&cat), "d41d8cd98f00b204e9800998ecf8427e");
    // The reverse case, and a path through the link.
    assert_eq!(package(dir.path(), "/bin/env").listed_as, Path::new("/usr/bin/env"));
    assert_eq!(package(dir.path(), "/bin/cat").listed_as, Path::new("/bin/cat"));
}

#[test]
fn dpkg_file_without_digest_has_reason() {
    let dir = usual();
    assert_eq!(
        package(dir.path(), "/usr/bin/env").recorded,
        Recorded::None(NoRecord::NotListed)
    );
    assert_eq!(
        package(dir.path(), "/usr/bin/dash").recorded,
        Recorded::None(NoRecord::NotKept)
    );
    let conf = package(dir.path(), "/etc/coreutils.conf");
    assert!(conf.configuration);
    assert_eq!(digest(&conf), "900150983cd24fb0d6963f7d28e17f72");
}

#[test]
fn dpkg_diverted_file_belongs_to_other_package() {
    let dir = usual();
    // dash replaced `sh`; that of bash is at `sh.distrib`, with the digest that bash records for `sh`.
    assert_eq!(package(dir.path(), "/usr/bin/sh").name, "dash");
    let moved = package(dir.path(), "/usr/bin/sh.distrib");
    assert_eq!(
        (moved.name.as_str(), moved.listed_as.as_path()),
        ("bash", Path::new("/bin/sh"))
    );
    assert_eq!(digest(&moved), "f96b697d7cb7938d525a2f31aaf161d0");
    // Diverted by the administrator: no package owns the file that is there now. The diversion was made after the
    // merge.
    assert_eq!(owner(dir.path(), "/usr/bin/vi"), FileOwner::Nobody);
    assert_eq!(package(dir.path(), "/usr/bin/vi.real").name, "bash");
}

#[test]
fn dpkg_packages_of_several_architectures_are_told_apart() {
    let dir = usual();
    assert_eq!(
        package(dir.path(), "/usr/lib/x.so").version,
        Fact::Known("1".to_owned())
    );
    assert_eq!(
        package(dir.path(), "/usr/lib32/x.so").version,
        Fact::Known("2".to_owned())
    );
}

#[test]
fn dpkg_leftovers_of_removed_packages_own_nothing() {
    let dir = usual();
    for path in [
        "/usr/bin/left",
        "/etc/left",
        "/usr/bin/stray",
        "/usr/bin/none",
        "/usr/share/cat",
        "/",
    ] {
        assert_eq!(owner(dir.path(), path), FileOwner::Nobody, "{path}");
    }
}

#[test]
fn dpkg_owners_of_many_paths_keep_their_order() {
    let dir = usual();
    let paths = [
        "/usr/bin/none",
        "/usr/bin/cat",
        "/opt/x/y",
        "/usr/bin/cat",
        "/usr/bin/bash",
    ];
    let answers = Packages::open(dir.path()).owners(&paths);
    let names: Vec<_> = answers
        .iter()
        .map(|answer| answer.owner.package().map(|package| package.name.as_str()))
        .collect();
    assert_eq!(names, [None, Some("coreutils"), None, Some("coreutils"), Some("bash")]);
    assert!(
        answers
            .iter()
            .zip(paths)
            .all(|(answer, path)| answer.path == Path::new(path))
    );
    assert!(answers[0].origin.is_none() && answers[2].origin.is_some());
}

#[test]
fn dpkg_unreadable_list_leaves_owner_unknown() {
    let dir = usual();
    // A directory in the place of a list cannot be read, not even by root.
    let list = dir.path().join(ADMIN).join("info/bash.list");
    fs::remove_file(&list).unwrap();
    fs::create_dir(&list).unwrap();
    let trouble = Trouble {
        database: Database::Dpkg,
        path: "/var/lib/dpkg/info/bash.list".into(),
        problem: Problem::Read(Why::Failed),
    };
    assert_eq!(
        owner(dir.path(), "/usr/bin/none"),
        FileOwner::Unknown(Unsaid::Trouble(trouble))
    );
    assert_eq!(package(dir.path(), "/usr/bin/cat").name, "coreutils");
}

#[test]
fn dpkg_without_status_file_version_is_unknown() {
    let dir = usual();
    fs::remove_file(dir.path().join(ADMIN).join("status")).unwrap();
    assert_eq!(package(dir.path(), "/usr/bin/cat").version, Fact::Unknown(Why::Failed));
}

#[test]
fn dpkg_status_directory_of_image_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let status = "Package: openssl\nVersion: 3.0\nArchitecture: arm64\nDescription: x\n";
    put(dir.path(), &format!("{ADMIN}/status.d/openssl"), status);
    let sums = "d41d8cd98f00b204e9800998ecf8427e  usr/bin/openssl\n";
    put(dir.path(), &format!("{ADMIN}/status.d/openssl.md5sums"), sums);
    let found = package(dir.path(), "/usr/bin/openssl");
    assert_eq!(
        (found.name.as_str(), found.listed_as.as_path()),
        ("openssl", Path::new("/usr/bin/openssl"))
    );
    assert_eq!(found.version, Fact::Known("3.0".to_owned()));
    assert_eq!(found.installed, Fact::Unknown(Why::NotKept));
    assert_eq!(digest(&found), "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(owner(dir.path(), "/usr/bin/other"), FileOwner::Nobody);
}

#[test]
fn owner_without_package_database_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        owner(dir.path(), "/usr/bin/cat"),
        FileOwner::Unknown(Unsaid::NoDatabase)
    );
    let gone = owner(&dir.path().join("no"), "/usr/bin/cat");
    assert_eq!(gone, FileOwner::Unknown(Unsaid::NoRoot(Why::Gone)));
}

#[test]
fn dpkg_database_linked_out_of_root_is_not_read() {
    let outside = usual();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("var/lib")).unwrap();
    symlink(outside.path().join(ADMIN), dir.path().join(ADMIN)).unwrap();
    assert_eq!(
        owner(dir.path(), "/usr/bin/cat"),
        FileOwner::Unknown(Unsaid::NoDatabase)
    );
}

#[test]
fn dpkg_lists_longer_than_limit_are_refused() {
    let dir = usual();
    let root = crate::packages::root::Root::open(dir.path()).unwrap();
    let find = |limit| {
        let mut search = crate::packages::search::Search::new(&root, &["/usr/bin/nowhere"]);
        let info = root.dir(b"/var/lib/dpkg/info").unwrap();
        super::lists(&mut search, &info, limit);
        search.finish().1
    };
    assert_eq!(find(1 << 20), []);
    assert!(
        matches!(&find(10)[..], [trouble] if trouble.path.ends_with("info")),
        "{:?}",
        find(10)
    );
}

#[test]
fn dpkg_list_of_300_megabytes_leaves_owner_unknown() {
    let dir = usual();
    let list = dir.path().join(ADMIN).join("info/bash.list");
    fs::File::options()
        .write(true)
        .open(list)
        .unwrap()
        .set_len(300 << 20)
        .unwrap();
    let answers = Packages::open(dir.path()).owners(&["/bin/vi"]);
    assert!(
        matches!(answers[0].owner, FileOwner::Unknown(Unsaid::Trouble(_))),
        "{answers:?}"
    );
}
