//! Rules about program files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use netstat_testkit::{Needs, own_namespace};

use crate::kit::{self, Running, audit, dpkg, entry, open, pair, program, quick, severities, sleep, sleep_at};

#[test]
fn program_whose_file_was_removed_or_replaced_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if !dpkg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let gone = Running::with(&mut sleep_at(&path("gone")), open());
    let near = Running::with(&mut sleep_at(&path("near")), pair("127.0.0.1").0);
    let built = Running::with(&mut sleep_at(&path("built")), open());
    let kept = Running::with(&mut sleep_at(&path("kept")), open());
    fs::remove_file(path("gone")).unwrap();
    fs::remove_file(path("near")).unwrap();
    fs::copy(program("sleep"), path("new")).unwrap();
    fs::rename(path("new"), path("built")).unwrap();
    let document = quick();
    let of = |running: &Running| severities(&document, running.pid(), "deleted-program");
    assert_eq!(of(&gone), ["high"]);
    assert_eq!(of(&near), ["medium"]);
    assert_eq!(of(&built), ["low"]);
    assert_eq!(of(&kept), [] as [&str; 0]);
    assert_eq!(entry(&document, gone.pid())["verdict"], "suspicious");
}

#[test]
fn program_run_from_memory_is_reported() {
    own_namespace!(Needs::PROCESSES);
    let file = rustix::fs::memfd_create("update", rustix::fs::MemfdFlags::empty()).unwrap();
    let mut file = fs::File::from(file);
    file.write_all(&fs::read(program("sleep")).unwrap()).unwrap();
    let path = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        std::os::fd::AsRawFd::as_raw_fd(&file)
    );
    let running = Running::with(Command::new(path).arg("600"), open());
    let document = quick();
    assert_eq!(severities(&document, running.pid(), "memory-program"), ["critical"]);
    assert_eq!(entry(&document, running.pid())["program"], "update");
}

#[test]
fn program_in_an_odd_place_is_reported() {
    own_namespace!(Needs::PROCESSES);
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let hidden = tempfile::Builder::new().prefix(".x").tempdir_in("/var/tmp").unwrap();
    let far = Running::with(&mut sleep_at(&shared.path().join("x")), open());
    let near = Running::with(&mut sleep_at(&shared.path().join("y")), pair("127.0.0.1").0);
    let passing = Running::with(&mut sleep_at(&hidden.path().join("z")), pair("127.0.0.1").0);
    let usual = Running::with(&mut sleep(), open());
    let document = quick();
    let of = |running: &Running| severities(&document, running.pid(), "odd-place");
    assert_eq!(of(&far), ["high"]);
    assert_eq!(of(&near), ["medium"]);
    assert_eq!(of(&passing), ["medium"]);
    assert_eq!(of(&usual), [] as [&str; 0]);
}

#[test]
fn program_of_no_package_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if !dpkg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let far = Running::with(&mut sleep_at(&directory.path().join("server")), open());
    let near = Running::with(&mut sleep_at(&directory.path().join("other")), pair("127.0.0.1").0);
    let packaged = Running::with(&mut sleep(), open());
    let document = quick();
    assert_eq!(severities(&document, far.pid(), "unpackaged"), ["medium"]);
    assert_eq!(severities(&document, near.pid(), "unpackaged"), ["low"]);
    assert_eq!(severities(&document, packaged.pid(), "unpackaged"), [] as [&str; 0]);
    assert_eq!(entry(&document, packaged.pid())["verdict"], "expected");
}

/// Mounts a file over another, only in the mount namespace of this test.
fn cover(path: &Path, with: &Path) {
    let status = netstat_testkit::namespace::tool("mount")
        .arg("--bind")
        .args([with, path])
        .status()
        .unwrap();
    assert!(status.success(), "mount --bind {with:?} {path:?}");
}

#[test]
fn program_that_differs_from_its_package_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if !dpkg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let changed = directory.path().join("changed");
    let sleep_path = program("sleep");
    fs::copy(&sleep_path, &changed).unwrap();
    fs::File::options()
        .append(true)
        .open(&changed)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    let honest = Running::with(&mut sleep(), open());
    let document = audit(&[]);
    assert_eq!(severities(&document, honest.pid(), "differs"), [] as [&str; 0]);
    let reasons = entry(&document, honest.pid())["reasons"].to_string();
    assert!(reasons.contains("as the package recorded it"), "{reasons}");
    drop(honest);
    cover(&sleep_path, &changed);
    let forged = Running::with(&mut sleep(), open());
    let document = audit(&[]);
    assert_eq!(
        severities(&document, forged.pid(), "differs"),
        ["critical"],
        "{document:#}"
    );
    assert_eq!(severities(&quick(), forged.pid(), "differs"), [] as [&str; 0]);
}

/// Creates a root directory with `busybox` in it, and a package database that lists it with this MD5 digest.
fn private_root(root: &Path, md5: &str) {
    let info = root.join("var/lib/dpkg/info");
    fs::create_dir_all(&info).unwrap();
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy(program("busybox"), root.join("bin/busybox")).unwrap();
    let status = "Package: busybox-static\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n";
    fs::write(root.join("var/lib/dpkg/status"), status).unwrap();
    fs::write(info.join("format"), "1\n").unwrap();
    fs::write(info.join("busybox-static.list"), "/.\n/bin\n/bin/busybox\n").unwrap();
    fs::write(info.join("busybox-static.md5sums"), format!("{md5}  bin/busybox\n")).unwrap();
}

#[test]
fn program_in_a_private_root_is_compared_with_packages_of_that_root() {
    own_namespace!(Needs::PROCESSES);
    if !kit::have("busybox") || !kit::have("md5sum") || !is_static(&program("busybox")) {
        return;
    }
    let sum = Command::new("md5sum").arg(program("busybox")).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap()[..32].to_owned();
    let wrong = "0123456789abcdef0123456789abcdef";
    for inner in [false, true] {
        let (good, bad) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        private_root(good.path(), &sum);
        private_root(bad.path(), wrong);
        let start = |root: &Path| {
            let mut command = netstat_testkit::namespace::tool(if inner { "unshare" } else { "chroot" });
            if inner {
                command.args(["-m", "chroot"]);
            }
            command.arg(root).args(["/bin/busybox", "sleep", "600"]);
            let running = Running::with(&mut command, open());
            let exe = format!("/proc/{}/exe", running.pid());
            netstat_testkit::eventually(
                || fs::read_link(&exe).is_ok_and(|path| path.ends_with("busybox")),
                || "busybox did not start".to_owned(),
            );
            running
        };
        let (honest, forged) = (start(good.path()), start(bad.path()));
        let document = audit(&[]);
        assert_eq!(
            severities(&document, honest.pid(), "differs"),
            [] as [&str; 0],
            "{document:#}"
        );
        assert_eq!(
            severities(&document, honest.pid(), "unpackaged"),
            [] as [&str; 0],
            "{document:#}"
        );
        assert_eq!(
            severities(&document, forged.pid(), "differs"),
            ["critical"],
            "{document:#}"
        );
    }
}

fn is_static(path: &Path) -> bool {
    // A dynamically linked program names its dynamic linker near its beginning (elf(5), PT_INTERP).
    let file = fs::read(path).unwrap();
    let found = file[..file.len().min(4096)].windows(7).any(|part| part == b"ld-linu");
    if found {
        netstat_testkit::skip(
            &netstat_testkit::namespace::current_test(),
            "busybox needs libraries here",
        );
    }
    !found
}

#[test]
fn program_that_others_may_change_is_reported() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server");
    let mut command = sleep_at(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let running = Running::with(&mut command, open());
    let plain = Running::with(&mut sleep_at(&directory.path().join("plain")), open());
    let document = quick();
    assert_eq!(severities(&document, running.pid(), "writable"), ["medium"]);
    assert_eq!(severities(&document, plain.pid(), "writable"), [] as [&str; 0]);
}

#[test]
fn program_in_a_crontab_is_reported_with_its_line() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let server = directory.path().join("server");
    let etc = directory.path().join("etc");
    fs::create_dir_all(etc.join("cron.d")).unwrap();
    for name in ["passwd", "group", "nsswitch.conf", "ld.so.cache"] {
        let _ = fs::copy(Path::new("/etc").join(name), etc.join(name));
    }
    let table = format!(
        "# {0}\n@reboot root {0} --quiet\n@daily root {0}-other\n",
        server.display()
    );
    fs::write(etc.join("cron.d/update"), table).unwrap();
    cover(Path::new("/etc"), &etc);
    let started_again = Running::with(&mut sleep_at(&server), open());
    let not_named = Running::with(&mut sleep_at(&directory.path().join("another")), open());
    let document = quick();
    let named_in = |running: &Running| entry(&document, running.pid())["named_in"].clone();
    assert_eq!(
        named_in(&started_again),
        serde_json::json!(["/etc/cron.d/update, line 2"])
    );
    assert_eq!(named_in(&not_named), serde_json::json!([]));
    let text = kit::netstat().run(["audit", "--no-digests", "--details"]).stdout;
    assert!(text.contains("/etc/cron.d/update, line 2 names it"), "{text}");
    let target = format!("pid:{}", started_again.pid());
    let text = kit::netstat().run(["inspect", "--sample", "0", &target]).stdout;
    assert!(
        text.contains("started by /etc/cron.d/update, line 2 names it"),
        "{text}"
    );
}
