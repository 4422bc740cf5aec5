//! What a confined process cannot do any more, tried from inside: the test program runs itself once more, as the child that is confined.
#![cfg(target_os = "linux")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use netstat_os::{Confinement, confine, confinement_support};

/// Says to the child which confinement it is to try; its folder follows.
const CHILD: &str = "NETSTAT_TEST_CONFINED";

/// Runs this test program as the child and gives back the lines that it printed.
fn probe(how: &str, folder: &Path) -> Vec<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "confined_child", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{how} {}", folder.display()))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once("probe: "));
    lines.map(|(_, line)| line.to_owned()).collect()
}

/// What an attempt came to, in a word.
fn word<T>(outcome: io::Result<T>) -> &'static str {
    match outcome {
        Ok(_) => "done",
        Err(error) => match error.raw_os_error() {
            Some(libc::EPERM) => "EPERM",
            Some(libc::EACCES) => "EACCES",
            _ => "other",
        },
    }
}

/// Not a test by itself: what the child does.
#[test]
#[allow(clippy::zombie_processes, reason = "the parent ends what this process may not")]
fn confined_child() {
    let Ok(wanted) = std::env::var(CHILD) else { return };
    let (how, folder) = wanted.split_once(' ').unwrap();
    let folder = PathBuf::from(folder);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut victim = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
    let confinement = match how {
        "strict" => Confinement::default(),
        "network" => Confinement {
            network: true,
            signals: true,
            ..Confinement::default()
        },
        "files" => Confinement {
            writable: Some(vec![folder.join("store")]),
            ..Confinement::default()
        },
        other => panic!("{other}"),
    };
    // A thread that runs already is bound, too.
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let earlier = std::thread::spawn(move || {
        receive.recv().unwrap();
        word(Command::new("/bin/true").status())
    });
    let confined = confine(&confinement);
    println!("probe: system calls {}", confined.system_calls.is_ok());
    println!("probe: files {:?}", confined.files);
    println!("probe: exec {}", word(Command::new("/bin/true").status()));
    send.send(()).unwrap();
    println!("probe: exec of an earlier thread {}", earlier.join().unwrap());
    println!("probe: connect {}", word(TcpStream::connect(address)));
    println!("probe: kill {}", word(victim.kill()));
    let path = CString::new("/").unwrap();
    // SAFETY: a system call with a valid string.
    let outcome = match unsafe { libc::chroot(path.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    println!("probe: chroot {}", word(outcome));
    println!(
        "probe: write elsewhere {}",
        word(fs::write(folder.join("elsewhere"), "x"))
    );
    println!("probe: write store {}", word(fs::write(folder.join("store/file"), "x")));
    println!("probe: remove elsewhere {}", word(fs::remove_file(folder.join("old"))));
    println!("probe: read {}", word(fs::read("/proc/self/status")));
    println!("probe: own signal {}", word(rustix_own_signal()));
    if how != "network" {
        // The parent ends what this process may not.
        println!("probe: victim {}", victim.id());
    }
}

/// Signal 0 to itself, as a test for being there.
fn rustix_own_signal() -> io::Result<()> {
    Ok(rustix::process::test_kill_process(rustix::process::getpid())?)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    fs::write(folder.path().join("old"), "x").unwrap();
    folder
}

/// Ends the process that the child could not.
fn end_victim(lines: &[String]) {
    let victim = lines.iter().find_map(|line| line.strip_prefix("victim "));
    let victim = victim
        .and_then(|pid| pid.parse().ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(victim) = victim {
        rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
    }
}

#[track_caller]
fn has(lines: &[String], expected: &[&str]) {
    for line in expected {
        assert!(
            lines.iter().any(|have| have == line),
            "{line:?} is not among {lines:#?}"
        );
    }
}

#[test]
fn confine_without_network_refuses_programs_connections_and_signals() {
    if !confinement_support().system_calls {
        return netstat_testkit::skip("confine_without_network", "the kernel has no seccomp filters");
    }
    let folder = folder();
    let lines = probe("strict", folder.path());
    end_victim(&lines);
    has(
        &lines,
        &[
            "system calls true",
            "exec EPERM",
            "exec of an earlier thread EPERM",
            "connect EPERM",
            "kill EPERM",
            "chroot EPERM",
            "write elsewhere done",
            "read done",
            "own signal done",
        ],
    );
}

#[test]
fn confine_with_network_and_signals_leaves_them() {
    if !confinement_support().system_calls {
        return netstat_testkit::skip("confine_with_network", "the kernel has no seccomp filters");
    }
    let folder = folder();
    let lines = probe("network", folder.path());
    has(
        &lines,
        &["exec EPERM", "connect done", "kill done", "chroot EPERM", "read done"],
    );
}

#[test]
fn confine_files_leaves_only_the_store_to_be_written() {
    if confinement_support().landlock.is_none() {
        return netstat_testkit::skip("confine_files", "the kernel has no Landlock");
    }
    let folder = folder();
    let lines = probe("files", folder.path());
    end_victim(&lines);
    has(
        &lines,
        &[
            "files Some(Ok(()))",
            "write elsewhere EACCES",
            "remove elsewhere EACCES",
            "write store done",
            "read done",
        ],
    );
    assert!(folder.path().join("old").exists() && !folder.path().join("elsewhere").exists());
}
