//! What a caller sees of other users' processes, and what the advice to get more is worth. Needs root; says so elsewhere.
#![cfg(target_os = "linux")]

mod owners_kit;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use netstat_model::{NoOwner, Owner, OwnerSummary};
use netstat_os::linux::owners::{Hooks, KernelMade, OwnerReader};
use netstat_testkit::skip;
use owners_kit::*;

/// Becomes the user `nobody`, giving up every privilege but those of the program file.
const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// Whether this runs as root; says what is skipped otherwise.
fn root_for(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root() && in_first_user_namespace();
    if !root {
        skip(test, "needs root");
    }
    root
}

fn in_first_user_namespace() -> bool {
    std::fs::read_link("/proc/self/ns/user").is_ok_and(|link| link == Path::new("user:[4026531837]"))
}

/// A copy of this program in a place where every user may run it.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("copy");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (dir, program)
}

/// Runs [`report`] in `program` behind `wrapper` for the socket `inode`; the lines that it printed.
fn report_of(wrapper: &[&str], program: &Path, inode: u32) -> Vec<String> {
    let mut command: Command = again(wrapper, program, "report");
    let output: Output = command.env("OWNERS_INODE", inode.to_string()).output().unwrap();
    assert_passed(&output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.split_once("report: "));
    lines.map(|(_, line)| line.to_owned()).collect()
}

/// Says who holds the socket that the environment names.
#[test]
fn report() {
    let Ok(inode) = std::env::var("OWNERS_INODE") else {
        return;
    };
    let row = socket(inode.parse().unwrap(), Some(0));
    let (owners, limits) = OwnerReader::default().read(std::slice::from_ref(&row), &ALL, Hooks::default());
    assert!(limits.is_empty());
    match owners.of(&row) {
        Owner::Held(list) => {
            for process in list.iter() {
                let components = process.components.as_ref().known().map(Vec::len);
                println!("report: {} {} components {components:?}", process.pid, name(process));
            }
        }
        Owner::None(reason) => println!("report: {reason:?}"),
    }
}

#[test]
fn the_advice_is_true() {
    let _alone = alone();
    if !root_for("the_advice_is_true") {
        return;
    }
    let held = listener();
    let (_dir, program) = copy();
    let mut summary = OwnerSummary::default();
    summary.add(Some(NoOwner::NotPermitted { user: Some(0) }));
    let advice = summary
        .advice(netstat_model::SystemKind::Linux, program.to_str().unwrap())
        .unwrap();
    let command = advice.split('`').nth(1).unwrap();
    assert!(command.starts_with("sudo setcap "), "{command}");

    let refused = [format!("{:?}", NoOwner::NotPermitted { user: Some(0) })];
    assert_eq!(report_of(&AS_NOBODY, &program, inode(&held)), refused);
    let mut words = command.split(' ').skip(1);
    let status = Command::new(words.next().unwrap()).args(words).status();
    if !status.is_ok_and(|status| status.success()) {
        return skip(
            "the_advice_is_true",
            "no setcap(8), or a file system without file capabilities",
        );
    }
    let exe = std::env::current_exe().unwrap();
    let exe = exe.file_name().unwrap().to_string_lossy();
    let own = components_here();
    let expected = [format!("{} {exe} components {own:?}", std::process::id())];
    assert_eq!(report_of(&AS_NOBODY, &program, inode(&held)), expected);

    // Neither capability alone is enough, so the advice asks for no more than is needed.
    for one in ["cap_sys_ptrace+ep", "cap_dac_read_search+ep"] {
        assert!(
            Command::new("setcap")
                .arg(one)
                .arg(&program)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(report_of(&AS_NOBODY, &program, inode(&held)), refused, "{one}");
    }
}

fn components_here() -> Option<usize> {
    let text = std::fs::read("/proc/self/cgroup").unwrap();
    Some(netstat_os::linux::owners::components(&text).len())
}

#[test]
fn processes_that_proc_hides() {
    let _alone = alone();
    if !root_for("processes_that_proc_hides") {
        return;
    }
    let held = listener();
    let (_dir, program) = copy();
    let hiding = |options: &str, user: &[&str]| {
        let script = format!(
            "mount -t proc -o {options} proc /proc && exec {} \"$@\"",
            user.join(" ")
        );
        let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        report_of(&wrapper, &program, inode(&held))
    };
    let refused = [format!("{:?}", NoOwner::NotPermitted { user: Some(0) })];
    assert_eq!(hiding("hidepid=2", &AS_NOBODY), refused);
    assert_eq!(hiding("hidepid=4", &AS_NOBODY), refused);
    // Root is not hindered.
    assert_eq!(hiding("hidepid=2", &["env"]).len(), 1);
    assert_ne!(hiding("hidepid=2", &["env"]), refused);
}

#[test]
fn nothing_is_called_hidden_without_proof() {
    let _alone = alone();
    let missing = socket(u32::MAX, Some(0));
    let rows = std::slice::from_ref(&missing);
    let reason = |hooks: Hooks<'_>| match OwnerReader::default().read(rows, &IDS, hooks).0.of(&missing) {
        Owner::Held(_) => panic!("nobody holds it"),
        Owner::None(reason) => reason,
    };
    let not_permitted = NoOwner::NotPermitted { user: Some(0) };
    if something_is_denied() {
        // So it is for every ordinary user, and for a confined root.
        skip(
            "nothing_is_called_hidden_without_proof",
            "not every process may be read here",
        );
        assert_eq!(reason(Hooks::default()), not_permitted);
        return;
    }
    if std::fs::read_link("/proc/self/ns/pid").unwrap() != Path::new("pid:[4026531836]") {
        assert_eq!(reason(Hooks::default()), NoOwner::UnheldHere);
        return;
    }
    assert_eq!(reason(Hooks::default()), NoOwner::Unheld);
    let (mut there, mut kernel) = (
        |inodes: &[u32]| Some(inodes.to_vec()),
        |_: &[u32]| KernelMade {
            made: Vec::new(),
            others_are_given: true,
        },
    );
    let proven = reason(Hooks {
        still_there: Some(&mut there),
        kernel_made: Some(&mut kernel),
        ..Hooks::default()
    });
    // A descriptor of any other program may be on its way at this moment.
    assert!(matches!(proven, NoOwner::Hidden | NoOwner::Unheld), "{proven:?}");
}

/// Whether the descriptors of some process may not be read by this one.
fn something_is_denied() -> bool {
    let denied = |error: std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let is_process = entry.file_name().to_string_lossy().parse::<u32>().is_ok();
        is_process
            && match std::fs::read_dir(entry.path().join("fd")) {
                Ok(links) => links
                    .flatten()
                    .any(|link| std::fs::read_link(link.path()).is_err_and(denied)),
                Err(error) => denied(error),
            }
    })
}

#[test]
fn own_processes_are_seen_without_privilege() {
    let _alone = alone();
    if !root_for("own_processes_are_seen_without_privilege") {
        // The other tests of owners run as this user.
        return;
    }
    let (_dir, program) = copy();
    let output = again(&AS_NOBODY, &program, "own_socket").output().unwrap();
    assert_passed(&output);
}

/// Holds a socket and looks for it.
#[test]
fn own_socket() {
    let held = listener();
    let owners = look(&[row(&held)], &ALL);
    let found = holders(&owners, &row(&held));
    assert_eq!(found.first().map(|process| process.pid), Some(std::process::id()));
    assert!(found[0].image.why().is_none());
}
