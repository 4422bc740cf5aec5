//! `--follow`, `--until` and `--timeout` with real sockets, as root and without privileges.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use netstat_testkit::{Netstat, own_namespace};
use serde_json::Value;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(words: &[&str]) -> Running {
    let child = Command::new(env!("CARGO_BIN_EXE_netstat"))
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Running(child)
}

/// Reads stderr until the program is ready to observe events.
fn wait_until_watching(running: &mut Running) -> BufReader<ChildStderr> {
    let mut err = BufReader::new(running.0.stderr.take().unwrap());
    let mut all = String::new();
    while !all.ends_with("netstat: watching\n") {
        assert!(err.read_line(&mut all).unwrap() > 0, "it has ended: {all}");
    }
    err
}

/// Opens and uses a connection, and returns both ends.
fn talk(listener: &TcpListener) -> [TcpStream; 2] {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    [client, server]
}

#[test]
fn follow_shows_program_duration_and_bytes_of_connections() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut running = start(&[
        "--follow",
        "--ndjson",
        "--foreign",
        &format!(":{port}"),
        "--timeout",
        "20",
        "--verbose",
    ]);
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let _err = wait_until_watching(&mut running);
    let mut connection = Some(talk(&listener));
    let mut seen = Vec::new();
    for line in lines {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(event["foreign_port"], port);
        let kind = event["event"].as_str().unwrap().to_owned();
        if event["learned"] != "netlink" {
            assert_eq!(event["pid"], std::process::id());
        }
        seen.push(kind.clone());
        // The connection remains open until it has been seen, whatever the source of events.
        drop(connection.take());
        if kind == "closed" {
            if event["learned"] != "poll" {
                assert_eq!(event["sent"], 5);
            }
            break;
        }
    }
    assert_eq!(seen.first().map(String::as_str), Some("opened"), "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("closed"), "{seen:?}");
}

/// Creates UDP sockets one after the other, each once the previous one was reported. Each must be reported as opened
/// exactly once.
fn udp_sockets_are_opened_once(mut command: Command) {
    let child = command
        .args(["--follow", "--ndjson", "--timeout", "60", "--verbose"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let _err = wait_until_watching(&mut running);
    let mut sockets = Vec::new();
    let mut opened: Vec<u64> = Vec::new();
    for _ in 0..3 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        // Unconnected, but used, because tracepoints see a socket at its first use.
        socket.send_to(b"x", at).unwrap();
        sockets.push(socket);
        loop {
            let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if event["event"] != "opened" {
                continue;
            }
            opened.push(event["local_port"].as_u64().unwrap());
            if event["local_port"] == at.port() {
                break;
            }
        }
    }
    let ports: Vec<u64> = sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap().port().into())
        .collect();
    assert_eq!(opened, ports);
}

#[test]
fn unconnected_udp_socket_is_reported_once() {
    own_namespace!();
    udp_sockets_are_opened_once(Command::new(env!("CARGO_BIN_EXE_netstat")));
}

#[test]
fn unconnected_udp_socket_is_reported_once_to_an_ordinary_user() {
    own_namespace!();
    let none: [&str; 0] = [];
    let netstat = Netstat::new(env!("CARGO_BIN_EXE_netstat")).unprivileged();
    udp_sockets_are_opened_once(netstat.command(none));
}

#[test]
fn until_ends_with_status_0_at_the_first_match() {
    own_namespace!();
    let mut running = start(&["--until", "--listening --port 5005", "--timeout", "20", "--verbose"]);
    let _err = wait_until_watching(&mut running);
    let _other = TcpListener::bind("127.0.0.1:5004").unwrap();
    assert!(running.0.try_wait().unwrap().is_none(), "another port ends nothing");
    let _listener = TcpListener::bind("127.0.0.1:5005").unwrap();
    let mut text = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(running.0.wait().unwrap().success());
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("127.0.0.1:5005"), "{text}");
    // The listener already exists.
    let mut running = start(&["--until", "--listening --port 5005"]);
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn until_with_timeout_passed_ends_with_status_1() {
    own_namespace!();
    let begun = Instant::now();
    let mut running = start(&["--until", "--port 9", "--timeout", "0.5"]);
    assert_eq!(running.0.wait().unwrap().code(), Some(1));
    assert!(begun.elapsed() >= Duration::from_millis(500));
    let mut running = start(&["--follow", "--timeout", "0.3"]);
    assert_eq!(
        running.0.wait().unwrap().code(),
        Some(0),
        "--follow alone has seen what there was"
    );
}

#[test]
fn follow_options_that_do_not_go_together_are_refused() {
    for (words, said) in [
        (&["--timeout", "3"][..], "--timeout needs --until"),
        (&["--follow", "5"], "leave out the interval"),
        (&["--follow", "-s"], "leave out -s"),
        (&["--until", "--prt 1"], "--prt"),
        (&["--until", ""], "is empty"),
        (&["--follow", "--json"], "use --ndjson"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_netstat"))
            .args(words)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said) && text.lines().count() == 1, "{words:?}: {text}");
    }
}
