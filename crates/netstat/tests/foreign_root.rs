//! A package database that an ordinary user could have made never makes a program "expected", and commands for another
//! root refer to that root.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use netstat_testkit::namespace::{eventually, have};
use netstat_testkit::{Needs, Netstat, own_namespace};
use serde_json::Value;

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Creates a dpkg database below `admin` in which the package `package` owns `path`.
fn database(admin: &Path, package: &str, path: &str) {
    fs::create_dir_all(admin.join("info")).unwrap();
    fs::write(admin.join("info/format"), "1\n").unwrap();
    fs::write(
        admin.join("status"),
        format!("Package: {package}\nStatus: install ok installed\nVersion: 1.0\nArchitecture: all\n\n"),
    )
    .unwrap();
    fs::write(admin.join(format!("info/{package}.list")), format!("/.\n{path}\n")).unwrap();
}

/// Starts a copy of `sleep` in a mount namespace whose dpkg database says that a package owns it. `user` also creates a
/// user namespace, as an ordinary user would.
fn start(folder: &Path, user: bool, package: &str) -> Option<Running> {
    if !have("unshare") || !have("mount") {
        return None;
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let admin = folder.join("dpkg");
    let inner = folder.join("inner");
    fs::create_dir(&inner).unwrap();
    let program = inner.join("worker");
    database(&admin, package, program.to_str().unwrap());
    fs::create_dir_all("/var/lib/dpkg").ok()?;
    // The caller has no such file at that path.
    let script = format!(
        "mount --bind {} /var/lib/dpkg && mount -t tmpfs none {} && cp /bin/sleep {program} && exec {program} 600",
        admin.display(),
        inner.display(),
        program = program.display(),
    );
    let mut command = Command::new("unshare");
    command
        .arg(if user { "-Urm" } else { "-m" })
        .args(["sh", "-c", &script]);
    let running = Running(command.stdin(Stdio::null()).spawn().unwrap());
    let exe = format!("/proc/{}/exe", running.0.id());
    eventually(
        || fs::read_link(&exe).is_ok_and(|exe| exe == program),
        || "the program did not start".to_owned(),
    );
    Some(running)
}

fn card(pid: u32) -> Value {
    let outcome =
        Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(["inspect", "--sample", "0", "--json", &format!("pid:{pid}")]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    document["cards"][0].clone()
}

fn commands(card: &Value) -> Vec<String> {
    let steps = card["next_steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| step["command"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn package_database_of_a_user_namespace_is_not_believed() {
    own_namespace!(Needs::PROCESSES);
    let folder = tempfile::tempdir().unwrap();
    let Some(running) = start(folder.path(), true, "coreutils") else {
        return;
    };
    let card = card(running.0.id());
    assert_ne!(card["verdict"]["judgement"], "expected", "{card:#}");
    let package = &card["file"]["package"];
    assert_eq!(package["name"], Value::Null, "{card:#}");
    assert!(
        commands(&card).iter().all(|command| !command.contains("dpkg")),
        "{card:#}"
    );
}

#[test]
fn package_database_of_another_mount_namespace_is_named_with_its_command() {
    own_namespace!(Needs::PROCESSES);
    let folder = tempfile::tempdir().unwrap();
    let Some(running) = start(folder.path(), false, "x$(id)") else {
        return;
    };
    let pid = running.0.id();
    let card = card(pid);
    assert_ne!(card["verdict"]["judgement"], "expected", "{card:#}");
    let package = &card["file"]["package"];
    assert_eq!(package["root"], format!("the mount namespace of PID {pid}"), "{card:#}");
    let wanted = format!("dpkg --root=/proc/{pid}/root --verify 'x$(id)'");
    assert!(commands(&card).contains(&wanted), "{card:#}");
    assert!(
        commands(&card).iter().all(|command| !command.contains(" x$(id)")),
        "{card:#}"
    );
}
