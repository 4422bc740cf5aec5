//! `--all-namespaces`, compared with `ss` in each of three namespaces.
#![cfg(target_os = "linux")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use netstat_testkit::actors::{Actor, Holder};
use netstat_testkit::{Needs, Netstat, have, namespace, own_namespace, skip};
use serde_json::Value;

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Runs one line of shell script.
fn works(line: &str) -> bool {
    let mut shell = namespace::tool("sh");
    shell.args(["-ec", line]).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}

fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Creates `web`, `db` and `empty` in a `/run/netns` of the test's own; in each of the first two, a program listens on
/// the same port. `None` if that is not possible.
fn three() -> Option<[Holder; 2]> {
    if !(have("ip") && have("ss")) {
        return None;
    }
    let made = "mount -t tmpfs none /run && mkdir /run/netns
        for name in web db empty; do ip netns add $name; ip netns exec $name ip link set lo up; done";
    if !works(made) {
        skip("three namespaces", "ip netns does not work here");
        return None;
    }
    Some(["web", "db"].map(|name| {
        let bind = || TcpListener::bind("127.0.0.1:7777").unwrap();
        Actor::named(name).hold(namespace::in_network(&Path::new("/run/netns").join(name), bind))
    }))
}

/// Returns the local endpoints of the TCP sockets that `ss` sees in a namespace.
fn ss(name: &str) -> Vec<String> {
    let output = text(namespace::tool("ip").args(["netns", "exec", name, "ss", "-tanH"]));
    let local = |line: &str| line.split_whitespace().nth(3).unwrap().to_owned();
    output.lines().map(local).collect()
}

#[test]
fn all_namespaces_lists_each_as_ss_does() {
    own_namespace!(Needs::PROCESSES);
    let Some(programs) = three() else { return };
    let _own = TcpListener::bind("127.0.0.1:7778").unwrap();
    let words = [
        "-an",
        "--all-namespaces",
        "--json",
        "--columns",
        "namespace,local,state,program,inode",
    ];
    let outcome = netstat().run(words);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    let rows = document["rows"].as_array().unwrap();
    let of = |name: &str| {
        let own = rows.iter().filter(|row| row["namespace"] == name);
        own.map(|row| row["local"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for name in ["web", "db", "empty"] {
        assert_eq!(of(name), ss(name), "{name}: {rows:?}");
    }
    assert_eq!(of("this"), ["127.0.0.1:7778"]);
    assert_eq!(rows.len(), 3);
    // In the classic layout, the name follows the state. Owners are found in any namespace.
    let pid = programs[0].pid();
    let outcome = netstat().run(["-ano", "--all-namespaces"]);
    let row = outcome
        .success()
        .lines()
        .find(|row| row.ends_with(" web"))
        .unwrap()
        .to_owned();
    assert!(
        row.starts_with("  TCP    127.0.0.1:7777         0.0.0.0:0              LISTENING"),
        "{row}"
    );
    assert!(
        row.split_whitespace().any(|word| word == pid.to_string()),
        "{pid} in {row}"
    );
    // Without the switch, only the own namespace is shown.
    assert!(!netstat().run(["-an"]).success().contains(":7777"));
}

#[test]
fn all_namespaces_without_privilege_names_those_not_entered() {
    own_namespace!(Needs::PROCESSES);
    let Some(_programs) = three() else { return };
    let outcome = netstat().unprivileged().run(["-an", "--all-namespaces"]);
    assert!(!outcome.success().contains(":7777"));
    let said = |words: &str| outcome.stderr.lines().any(|line| line.contains(words));
    assert!(said("they may not be entered without CAP_SYS_ADMIN"), "{outcome:#?}");
    for name in ["web", "db", "empty"] {
        assert!(outcome.stderr.contains(name), "{outcome:#?}");
    }
}

/// A network namespace without a name, kept alive only by a process.
struct Nameless(std::process::Child);

impl Nameless {
    fn new() -> Option<Nameless> {
        if !have("unshare") {
            return None;
        }
        let child = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let space = Nameless(child);
        let exe = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        namespace::eventually(
            || exe(space.0.id()).ends_with("sleep"),
            || "unshare did not come up".to_owned(),
        );
        Some(space)
    }

    fn file(&self) -> std::path::PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the process ids of the rows of `--all-namespaces` for a port.
fn pids_at(port: u16) -> Vec<u64> {
    let outcome = netstat().run([
        "-an",
        "--all-namespaces",
        "--json",
        "--columns",
        "local,pid,namespace",
        "--port",
        &port.to_string(),
    ]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    let rows = document["rows"].as_array().unwrap();
    rows.iter().map(|row| row["pid"].as_u64().unwrap_or(0)).collect()
}

#[test]
fn namespace_kept_only_by_a_socket_is_found() {
    own_namespace!(Needs::PROCESSES);
    let Some(space) = Nameless::new() else { return };
    let listener = namespace::in_network(&space.file(), || TcpListener::bind("0.0.0.0:7500").unwrap());
    let holder = Actor::named("keeper").hold(listener);
    let pid = holder.pid();
    assert_eq!(pids_at(7500), [u64::from(pid)], "while a process is in it");
    drop(space);
    assert_eq!(pids_at(7500), [u64::from(pid)], "when only the socket keeps it");
    let text = netstat()
        .run(["inspect", "--sample", "0", &format!("pid:{pid}")])
        .stdout;
    assert!(text.contains("listens    TCP 0.0.0.0:7500  LISTENING"), "{text}");
    assert!(!text.contains("it holds no Internet socket"), "{text}");
    let text = netstat().run(["inspect", "--sample", "0", "7500"]).stdout;
    assert!(text.starts_with(&format!("keeper [{pid}]")), "{text}");
    // An ordinary user is told that there may be more.
    let outcome = netstat().unprivileged().run(["-an", "--all-namespaces"]);
    assert!(outcome.stderr.contains("may be missing"), "{outcome:#?}");
}

#[test]
fn namespace_entered_only_by_a_thread_is_found() {
    own_namespace!(Needs::PROCESSES);
    let Some(space) = Nameless::new() else { return };
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let file = space.file();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            namespace::in_network(&file, move || {
                let listener = TcpListener::bind("0.0.0.0:7501").unwrap();
                ready.send(()).unwrap();
                let _ = is_done.recv();
                drop(listener);
            });
        });
        is_ready.recv().unwrap();
        drop(space);
        assert_eq!(pids_at(7501), [u64::from(std::process::id())]);
        drop(done);
    });
}

#[test]
fn filter_for_a_process_in_another_namespace_says_so() {
    own_namespace!(Needs::PROCESSES);
    let Some(space) = Nameless::new() else { return };
    let pid = space.0.id();
    for filter in [
        ["--pid".to_owned(), pid.to_string()],
        ["--program".into(), "sleep".into()],
    ] {
        let outcome = netstat().run([&["-an".to_owned()], &filter[..]].concat());
        let said = format!(
            "sleep [{pid}]: in another network namespace, where the sockets of this list are not (--all-namespaces lists them all)"
        );
        assert!(outcome.stderr.contains(&said), "{outcome:#?}");
    }
    let outcome = netstat().run(["-an", "--pid", &std::process::id().to_string()]);
    assert!(!outcome.stderr.contains("another network namespace"), "{outcome:#?}");
}
