//! `--all-namespaces`, compared with `ss` in each of three.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use netstat_testkit::actors::{Actor, Holder};
use netstat_testkit::{Needs, Netstat, have, namespace, own_namespace, skip};
use serde_json::Value;

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Runs one line of a shell.
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

/// `web`, `db` and `empty` in a `/run/netns` of the test's own; in the first two a program listens, at the same port. `None` where
/// that cannot be had.
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

/// Local ends of the TCP sockets that `ss` sees in a namespace.
fn ss(name: &str) -> Vec<String> {
    let output = text(namespace::tool("ip").args(["netns", "exec", name, "ss", "-tanH"]));
    let local = |line: &str| line.split_whitespace().nth(3).unwrap().to_owned();
    output.lines().map(local).collect()
}

#[test]
fn each_namespace_as_ss_sees_it() {
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
    // In the classic layout the name stands behind the state; owners are found whatever the namespace.
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
    // Without the switch there is the own one only.
    assert!(!netstat().run(["-an"]).success().contains(":7777"));
}

#[test]
fn without_privilege_it_says_what_it_could_not_enter() {
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
