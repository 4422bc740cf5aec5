//! Rules about the memory of programs.

use std::fs;
use std::path::{Path, PathBuf};

use netstat_testkit::{Needs, own_namespace};

use crate::kit::{Running, dpkg, have, of_host, open, pair, program, quick, severities, sleep};

/// Returns a library of this system that most programs do not use: libm.
fn library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps
        .lines()
        .find_map(|line| line.split_once('/').filter(|(_, path)| path.contains("libc.so")))
        .unwrap()
        .1;
    let path = Path::new("/").join(libc).with_file_name("libm.so.6");
    assert!(path.exists(), "{path:?}");
    path
}

#[test]
fn library_preloaded_from_outside_packages_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if !dpkg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let spy = directory.path().join("libspy.so");
    fs::copy(library(), &spy).unwrap();
    let far = Running::with(sleep().env("LD_PRELOAD", &spy), open());
    let near = Running::with(sleep().env("LD_PRELOAD", &spy), pair("127.0.0.1").0);
    let packaged = Running::with(sleep().env("LD_PRELOAD", library()), open());
    let plain = Running::with(&mut sleep(), open());
    let document = quick();
    let of = |running: &Running, rule| severities(&document, running.pid(), rule);
    assert_eq!(of(&far, "preload"), ["high"]);
    assert_eq!(of(&near, "preload"), ["medium"]);
    assert_eq!(of(&packaged, "preload"), ["info"]);
    assert_eq!(of(&plain, "preload"), [] as [&str; 0]);
    // The same library, seen in memory: code from /tmp in a packaged program.
    assert_eq!(of(&far, "injected"), ["high"]);
    assert_eq!(of(&packaged, "injected"), [] as [&str; 0]);
    fs::remove_file(&spy).unwrap();
    let document = quick();
    let injected: Vec<_> = of_host(&document, "injected");
    assert!(
        injected
            .iter()
            .any(|found| found["pid"] == far.pid() && found["evidence"].to_string().contains("removed")),
        "{injected:#?}"
    );
}

#[test]
fn a_library_in_every_program() {
    own_namespace!(Needs::PROCESSES);
    if !dpkg() {
        return;
    }
    assert!(of_host(&quick(), "preload-everywhere").is_empty());
    let directory = tempfile::tempdir().unwrap();
    let spy = directory.path().join("libspy.so");
    fs::copy(library(), &spy).unwrap();
    let etc = directory.path().join("etc");
    fs::create_dir(&etc).unwrap();
    for name in ["passwd", "group", "nsswitch.conf", "ld.so.cache"] {
        let _ = fs::copy(Path::new("/etc").join(name), etc.join(name));
    }
    fs::write(etc.join("ld.so.preload"), format!("# look here\n{}\n", spy.display())).unwrap();
    let status = netstat_testkit::namespace::tool("mount")
        .arg("--bind")
        .arg(&etc)
        .arg("/etc")
        .status()
        .unwrap();
    assert!(status.success());
    let document = quick();
    let found = of_host(&document, "preload-everywhere");
    assert_eq!(found.len(), 1, "{document:#}");
    assert_eq!(found[0]["severity"], "critical");
}

#[test]
fn program_traced_by_another_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if !have("strace") {
        return;
    }
    let traced = Running::with(&mut sleep(), open());
    let pid = traced.pid().to_string();
    let _tracer = Running::start(
        std::process::Command::new(program("strace"))
            .args(["-o", "/dev/null", "-p", &pid])
            .stderr(std::process::Stdio::null()),
    );
    let status = format!("/proc/{pid}/status");
    let is_traced = || {
        fs::read_to_string(&status)
            .unwrap()
            .lines()
            .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    netstat_testkit::eventually(is_traced, || "strace does not trace".to_owned());
    let document = quick();
    let found = severities(&document, traced.pid(), "traced");
    assert!(found == ["medium"] || found == ["low"], "{found:?}");
}
