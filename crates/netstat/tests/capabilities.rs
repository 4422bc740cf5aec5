//! A program with file capabilities, run by an ordinary user: it shows the owners of sockets, but does not let the user
//! read or change anything beyond the user's own permissions.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use netstat_testkit::{Needs, Netstat, eventually, own_namespace};
use serde_json::Value;

const LENT: &str = "cap_sys_ptrace,cap_dac_read_search,cap_net_admin,cap_kill+ep";
const SECRET: &str = "S3cretKiwi";

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Creates a directory that everyone may enter, with a file that only root may read.
fn guarded(content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("guarded");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn lent_capabilities_open_no_file_that_the_user_names() {
    own_namespace!(Needs::PROCESSES);
    let Some(lent) = netstat().with_capabilities(LENT) else {
        return;
    };
    let (_folder, path) = guarded(&format!("203.0.113.7\n{SECRET}\n"));
    for words in [
        &["audit", "--blocklist", &path][..],
        &["history", "--store", &path],
        &["inspect", "1", "--store", &path],
        &["--replay", &path, "-an"],
        &["monitor", "--config", &path],
        &["record", "--store", &path, "--for", "1s"],
    ] {
        let outcome = lent.run(words);
        let all = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(
            !all.contains(SECRET) && !all.contains("203.0.113.7"),
            "{words:?}: {all}"
        );
        if words[0] != "inspect" {
            assert!(!outcome.status.success(), "{words:?}: {all}");
        }
    }
}

#[test]
fn lent_capabilities_name_owners_and_give_no_environment_and_no_bundle_of_others() {
    own_namespace!(Needs::PROCESSES);
    let Some(lent) = netstat().with_capabilities(LENT) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The file that a process of another user names as its script is not read.
    let (_folder, path) = guarded(SECRET);
    let mut claims = Command::new("python3");
    claims
        .args(["-c", "import time,ctypes,os; time.sleep(600)", &path])
        .env("TOKEN", SECRET)
        .stdin(Stdio::null());
    let mut claims = match claims.spawn() {
        Ok(child) => child,
        Err(error) => return netstat_testkit::skip("claims", &format!("python3: {error}")),
    };
    let pid = std::process::id();
    let document = lent.run(["inspect", "--sample", "0", "--json", &format!("tcp:{port}")]);
    let document: Value = serde_json::from_str(document.success()).unwrap();
    assert_eq!(document["cards"][0]["process"]["pid"], pid);
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let bundle = folder.path().join("evidence.tar");
    let target = format!("pid:{}", claims.id());
    let outcome = lent.run([
        "inspect",
        "--sample",
        "0",
        &target,
        "--bundle",
        bundle.to_str().unwrap(),
    ]);
    claims.kill().unwrap();
    claims.wait().unwrap();
    outcome.success();
    let mut names = Vec::new();
    let mut archive = tar::Archive::new(fs::File::open(&bundle).unwrap());
    for member in archive.entries().unwrap() {
        names.push(member.unwrap().path().unwrap().display().to_string());
    }
    for kept in ["environ", "maps", "exe", "script"] {
        assert!(!names.iter().any(|name| name.ends_with(kept)), "{names:?}");
    }
    assert!(names.iter().any(|name| name.ends_with("status")), "{names:?}");
    let content = fs::read(&bundle).unwrap();
    assert!(!content.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
}

#[test]
fn set_user_id_program_gives_no_rights() {
    own_namespace!(Needs::PROCESSES);
    let Some(copy) = netstat().with_capabilities("cap_sys_ptrace+ep") else {
        return;
    };
    // Changing the mode of the copy leaves the capabilities in place; without them, this is the common mistake.
    let removed = netstat_testkit::tool("setcap")
        .arg("-r")
        .arg(copy.path())
        .status()
        .unwrap();
    assert!(removed.success());
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o4755)).unwrap();
    let (_folder, path) = guarded(SECRET);
    let outcome = copy.run(["audit", "--blocklist", &path]);
    assert!(outcome.stderr.contains("ermission denied"), "{}", outcome.stderr);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let outcome = copy.run(["-anop", "tcp"]);
    let row = outcome
        .stdout
        .lines()
        .find(|line| line.contains(&format!(":{port} ")))
        .unwrap();
    assert!(row.trim_end().ends_with('-'), "{row}");
}

#[test]
fn recorder_at_work_is_confined_by_seccomp() {
    own_namespace!(Needs::PROCESSES);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let mut command = netstat().command(["record", "--events", "poll", "--store", store.to_str().unwrap()]);
    let mut recorder = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = || fs::read_to_string(format!("/proc/{}/status", recorder.id())).unwrap_or_default();
    let confined = || status().lines().any(|line| line == "Seccomp:\t2");
    let support = netstat_os::confinement_support();
    if support.system_calls {
        eventually(confined, || format!("the recorder is not confined: {}", status()));
    }
    assert!(support.system_calls || !confined());
    recorder.kill().unwrap();
    recorder.wait().unwrap();
}
