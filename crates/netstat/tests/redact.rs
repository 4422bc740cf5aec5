//! `inspect --redact`: a secret in a command line, an environment, or the name of a script or working directory does
//! not appear in any byte of the output.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use netstat_testkit::{Needs, Netstat, eventually, own_namespace};
use serde_json::Value;

/// Part of everything that must be removed.
const SECRET: &str = "S3cretKiwi";

/// A process that is ended with the test, and the other end of the connection that is its input and output.
struct Driven {
    child: Child,
    _far: TcpStream,
}

impl Drop for Driven {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `command` in `directory` with a connection as its input and output, and waits until its command line contains
/// the secret.
fn drive(command: &mut Command, directory: &Path) -> Driven {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    let end = || Stdio::from(OwnedFd::from(near.try_clone().unwrap()));
    command
        .current_dir(directory)
        .env("TOKEN", format!("{SECRET}-value"))
        .stdin(end())
        .stdout(end())
        .stderr(Stdio::null());
    let driven = Driven {
        child: command.spawn().unwrap(),
        _far: far,
    };
    let line = format!("/proc/{}/cmdline", driven.child.id());
    eventually(
        || fs::read(&line).is_ok_and(|line| has_secret(&line)),
        || format!("{command:?} did not start"),
    );
    driven
}

fn has_secret(text: &[u8]) -> bool {
    text.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// Creates a working directory and an executable script whose names contain the secret.
fn secret_places(parent: &Path) -> (PathBuf, PathBuf) {
    let directory = parent.join(format!("{SECRET}-directory"));
    fs::create_dir(&directory).unwrap();
    let script = directory.join(format!("{SECRET}.sh"));
    // The script is an ancestor of the child.
    fs::write(&script, "#!/bin/sh\nsleep 600 &\nread line\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    (directory, script)
}

/// Returns the output of `inspect --json` with `more` switches for a process.
#[track_caller]
fn inspect(pid: u32, more: &[&str]) -> String {
    let target = format!("pid:{pid}");
    let outcome = Netstat::new(env!("CARGO_BIN_EXE_netstat"))
        .run([&["inspect", "--sample", "0", "--json", &target], more].concat());
    outcome.success().to_owned()
}

/// Checks that the secret is in the unredacted document, and in no byte of the redacted document and bundle. Returns
/// the card of the redacted document.
#[track_caller]
fn check(pid: u32, folder: &Path) -> Value {
    assert!(has_secret(inspect(pid, &[]).as_bytes()), "the process has no secret");
    let bundle = folder.join(format!("{pid}.tar"));
    let text = inspect(pid, &["--redact", "--bundle", bundle.to_str().unwrap()]);
    assert!(!has_secret(text.as_bytes()), "{text}");
    let mut archive = tar::Archive::new(fs::File::open(&bundle).unwrap());
    let mut members = 0;
    for member in archive.entries().unwrap() {
        let mut member = member.unwrap();
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        let name = member.path().unwrap().into_owned();
        assert!(
            !has_secret(&content),
            "{}: {}",
            name.display(),
            String::from_utf8_lossy(&content)
        );
        members += 1;
    }
    assert_eq!(members, 2, "the cards and the manifest");
    assert!(!has_secret(&fs::read(&bundle).unwrap()), "a header of the archive");
    let document: Value = serde_json::from_str(&text).unwrap();
    document["cards"][0].clone()
}

#[test]
fn shell_driven_over_connection_redacted_keeps_finding_without_its_evidence() {
    own_namespace!(Needs::PROCESSES);
    let folder = tempfile::tempdir().unwrap();
    let (directory, _) = secret_places(folder.path());
    let argument = format!("{SECRET}-argument");
    let shell = drive(Command::new("/bin/sh").args(["-s", &argument]), &directory);
    let card = check(shell.child.id(), folder.path());
    let process = &card["process"];
    assert_eq!(process["arguments"], Value::Null);
    assert_eq!(process["unknown"]["arguments"], "left out (--redact)");
    assert_eq!(process["unknown"]["directory"], "left out (--redact)");
    let findings = card["verdict"]["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["rule"] == "shell-socket");
    let found = found.unwrap_or_else(|| panic!("{card:#}"));
    assert_eq!(found["evidence"][0], "left out (--redact)");
}

#[test]
fn script_started_by_its_own_path_redacted_has_no_name() {
    own_namespace!(Needs::PROCESSES);
    let folder = tempfile::tempdir().unwrap();
    let (directory, script) = secret_places(folder.path());
    let driven = drive(Command::new(&script).arg(format!("{SECRET}-argument")), &directory);
    let pid = driven.child.id();
    let card = check(pid, folder.path());
    assert_eq!(card["process"]["name"], "left out (--redact)");
    assert_eq!(card["script"]["path"], "left out (--redact)");

    // The child is not a script, but has one among its ancestors.
    let children = format!("/proc/{pid}/task/{pid}/children");
    let child = || -> Option<u32> {
        let child: u32 = fs::read_to_string(&children).ok()?.split(' ').next()?.parse().ok()?;
        let name = fs::read(format!("/proc/{child}/comm")).ok()?;
        (name == b"sleep\n").then_some(child)
    };
    eventually(|| child().is_some(), || "the script has no child".to_owned());
    let child = child().unwrap();
    let card = check(child, folder.path());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(child).unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(card["process"]["name"], "sleep");
    assert_eq!(card["process"]["ancestors"][0]["name"], "left out (--redact)");
}

#[test]
fn script_named_as_target_redacted_is_left_out_of_the_targets() {
    own_namespace!(Needs::PROCESSES);
    let folder = tempfile::tempdir().unwrap();
    let (directory, script) = secret_places(folder.path());
    let _driven = drive(Command::new(&script).arg("argument"), &directory);
    let name = script.file_name().unwrap().to_str().unwrap();
    let outcome =
        Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(["inspect", "--sample", "0", "--json", "--redact", name]);
    let text = outcome.success();
    assert!(
        text.contains("left out (--redact)") && !has_secret(text.as_bytes()),
        "{text}"
    );
}
