//! A file system whose server never responds (FUSE), with a program running from it, a working directory on it and a
//! library from it: everything on it is unknown, and the program continues and ends normally.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use netstat_testkit::fuse::FuseMount;
use netstat_testkit::{Needs, Netstat, eventually, own_namespace};
use serde_json::Value;

const REASON: &str = "did not answer within 2 s";

/// A listening program whose files are all on a file system that no longer responds.
struct Scene {
    mounted: Option<FuseMount>,
    child: Child,
    port: u16,
}

impl Scene {
    /// Sets up the scene; `None` if FUSE is not available.
    fn set() -> Option<Scene> {
        let library = library()?;
        let files = [
            ("worker", std::fs::read("/bin/sleep").unwrap()),
            ("libextra.so", std::fs::read(&library).unwrap()),
            ("open-file", b"text".to_vec()),
        ];
        let mounted = FuseMount::new(&files)?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = std::fs::File::open(mounted.file("open-file")).unwrap();
        // Both are inherited.
        rustix::io::fcntl_setfd(listener.as_fd(), rustix::io::FdFlags::empty()).unwrap();
        rustix::io::fcntl_setfd(open.as_fd(), rustix::io::FdFlags::empty()).unwrap();
        let child = Command::new(mounted.file("worker"))
            .arg("600")
            .env("LD_PRELOAD", mounted.file("libextra.so"))
            .current_dir(mounted.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        // Asleep in nanosleep(2), it needs no further page of its files.
        let wchan = format!("/proc/{}/syscall", child.id());
        eventually(
            || {
                let sleeps = std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "));
                let call = std::fs::read_to_string(&wchan).unwrap_or_default();
                let number = call.split(' ').next().and_then(|number| number.parse::<i64>().ok());
                sleeps && number.is_some_and(|number| [35, 230, 101, 115].contains(&number))
            },
            || "the program does not sleep".to_owned(),
        );
        // Closing the file would send a request to the server.
        drop(open);
        mounted.fall_silent();
        Some(Scene {
            mounted: Some(mounted),
            child,
            port,
        })
    }

    fn program(&self) -> String {
        let mounted = self.mounted.as_ref().unwrap();
        mounted.file("worker").to_str().unwrap().to_owned()
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // The exit of the process would wait for the file server, so unmount first.
        self.mounted = None;
        let _ = self.child.wait();
    }
}

/// Returns a library of the system that can be loaded into any program: one that this test itself has loaded.
fn library() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let found = maps.lines().find_map(|line| {
        let path = line.split_whitespace().nth(5)?;
        path.contains("/libgcc_s.so").then(|| path.to_owned())
    });
    if found.is_none() {
        netstat_testkit::skip(
            &netstat_testkit::namespace::current_test(),
            "this test has not loaded libgcc_s",
        );
    }
    found
}

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

#[test]
fn list_program_on_a_silent_file_system_is_listed() {
    own_namespace!(Needs::PROCESSES);
    let Some(scene) = Scene::set() else { return };
    let port = format!("127.0.0.1:{}", scene.port);
    for words in [
        &["-tlnp"][..],
        &["-tlnpb"],
        &["-tlnpbee"],
        &["-tln", "--wide"],
        &["-tlnp", "--json"],
    ] {
        let outcome = netstat().run(words);
        let line = outcome.success();
        assert!(
            line.contains(&port) || line.contains(&scene.port.to_string()),
            "{words:?}: {line}"
        );
    }
    let line = netstat().run(["-tlnpb"]);
    assert!(line.success().contains("worker"), "{line:?}");
}

#[test]
fn inspect_program_on_a_silent_file_system_says_why_facts_are_unknown() {
    own_namespace!(Needs::PROCESSES);
    let Some(scene) = Scene::set() else { return };
    let pid = format!("pid:{}", scene.pid());
    let outcome = netstat().run(["inspect", "--sample", "0", &pid]);
    let text = outcome.success();
    assert!(text.contains(REASON), "{text}");
    assert!(text.contains(&scene.program()), "{text}");
    let outcome = netstat().run(["inspect", "--sample", "0", "--json", &pid]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    assert!(document.to_string().contains(REASON), "{document:#}");
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("evidence.tar");
    let words = ["inspect", "--sample", "0", "--bundle", bundle.to_str().unwrap(), &pid];
    netstat().run(words).success();
    assert!(bundle.metadata().unwrap().len() > 0);
}

#[test]
fn audit_program_on_a_silent_file_system_goes_on() {
    own_namespace!(Needs::PROCESSES);
    let Some(scene) = Scene::set() else { return };
    let outcome = netstat().run(["audit", "--json"]);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
    assert!(document.to_string().contains(&scene.pid()), "{document:#}");
}

#[test]
fn record_and_watch_on_a_silent_file_system_end_on_a_signal() {
    own_namespace!(Needs::PROCESSES);
    let Some(_scene) = Scene::set() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let store = store.to_str().unwrap();
    for (words, signal) in [
        (&["record", "--store", store][..], rustix::process::Signal::TERM),
        (&["record", "--store", store], rustix::process::Signal::INT),
        (&["audit", "--watch"], rustix::process::Signal::TERM),
    ] {
        let mut child = netstat()
            .command(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A handler for the signal shows that the program is running.
        let status = format!("/proc/{}/status", child.id());
        let bit = 1u64 << (signal.as_raw() - 1);
        eventually(
            || {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
                caught.is_some_and(|set| u64::from_str_radix(set.trim(), 16).unwrap_or(0) & bit != 0)
            },
            || format!("{words:?} does not catch {signal:?}"),
        );
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        eventually(
            || child.try_wait().unwrap().is_some(),
            || format!("{words:?} does not end"),
        );
    }
}

/// The monitor goes on drawing, and ends at `q` and at SIGTERM, where a program and its open files lie on a silent file system.
#[test]
fn monitor_on_a_silent_file_system_draws_and_ends() {
    own_namespace!(Needs::PROCESSES);
    if !netstat_testkit::have("script") {
        return;
    }
    let Some(scene) = Scene::set() else { return };
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frames");
    let status = folder.path().join("status");
    for (signal, expected) in [(false, "0"), (true, "143")] {
        // Those of the run before.
        let _ = (std::fs::remove_file(&status), std::fs::remove_file(&frames));
        let pid_file = folder.path().join("pid");
        let line = format!(
            "stty rows 40 cols 140; sh -c 'echo $$ > {}; exec {} monitor --interval 1s network'; echo $? > {}",
            pid_file.display(),
            env!("CARGO_BIN_EXE_netstat"),
            status.display()
        );
        let mut child = netstat_testkit::tool("script")
            .args(["--quiet", "--flush", "--command", &line])
            .arg(&frames)
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .env("HOME", folder.path())
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut keys = child.stdin.take().unwrap();
        let drawn = || std::fs::read(&frames).unwrap_or_default();
        let wait_for = |what: &str| {
            eventually(
                || drawn().windows(what.len()).any(|window| window == what.as_bytes()),
                || format!("{what} is not drawn: {}", String::from_utf8_lossy(&drawn())),
            );
        };
        wait_for(&scene.port.to_string());
        // Everything of the process, whose facts the file system would have to answer: marked, and its card.
        for key in [" ", "\r"] {
            let before = drawn().len();
            keys.write_all(key.as_bytes()).unwrap();
            eventually(|| drawn().len() > before, || format!("nothing is drawn after {key:?}"));
        }
        // Several refreshes later it still draws.
        for _ in 0..3 {
            let before = drawn().len();
            eventually(|| drawn().len() > before, || "nothing is drawn any more".to_owned());
        }
        if signal {
            let pid = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        } else {
            // The first closes the card. Sent together they would be one key.
            let before = drawn().len();
            keys.write_all(b"\x1b").unwrap();
            eventually(|| drawn().len() > before, || "nothing is drawn after Escape".to_owned());
            keys.write_all(b"q").unwrap();
        }
        eventually(
            || std::fs::read_to_string(&status).is_ok_and(|text| text.trim() == expected),
            || format!("{expected} expected: {:?}", std::fs::read_to_string(&status)),
        );
        drop(keys);
        child.wait().unwrap();
    }
}
