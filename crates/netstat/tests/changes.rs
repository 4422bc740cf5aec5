//! `--changes`: a scripted sequence of openings and closings, of which none that outlasts the interval is missed.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};

use netstat_testkit::{Netstat, own_namespace};
use serde_json::Value;

struct Watch {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start(words: &str) -> Watch {
        let netstat = Netstat::new(env!("CARGO_BIN_EXE_netstat"));
        let mut command = netstat.command(words.split_whitespace().chain(["--verbose"]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The first sample is the basis for later ones.
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(err.any(|line| line.unwrap() == "netstat: watching"), "it has ended");
        // Keep reading, so that the program never blocks.
        std::thread::spawn(move || err.for_each(drop));
        Watch { child, lines }
    }

    /// Returns the next change without its time.
    fn next(&mut self) -> Value {
        let line = self.lines.next().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn end(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn shown(change: &Value) -> String {
    let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
    format!(
        "{} {}>{} {}",
        text("change"),
        text("was"),
        text("state"),
        change["local_port"]
    )
}

#[test]
fn changes_report_each_change_of_a_socket_once() {
    own_namespace!();
    let mut watch = Watch::start("-an --port 80 --changes 1 --ndjson");
    let listener = TcpListener::bind("127.0.0.1:80").unwrap();
    assert_eq!(shown(&watch.next()), "opened >LISTENING 80");
    let near = TcpStream::connect("127.0.0.1:80").unwrap();
    let port = near.local_addr().unwrap().port();
    let (far, _) = listener.accept().unwrap();
    assert_eq!(shown(&watch.next()), "opened >ESTABLISHED 80");
    assert_eq!(shown(&watch.next()), format!("opened >ESTABLISHED {port}"));
    // One side closes the connection, and the other is notified.
    near.shutdown(std::net::Shutdown::Write).unwrap();
    let mut both = [shown(&watch.next()), shown(&watch.next())];
    both.sort_unstable();
    let near_side = format!("changed ESTABLISHED>FIN_WAIT_2 {port}");
    assert_eq!(both, ["changed ESTABLISHED>CLOSE_WAIT 80".to_owned(), near_side]);
    drop(far);
    let mut both = [shown(&watch.next()), shown(&watch.next())];
    both.sort_unstable();
    let near_side = format!("changed FIN_WAIT_2>TIME_WAIT {port}");
    assert_eq!(both, [near_side, "closed >CLOSE_WAIT 80".to_owned()]);
    drop(listener);
    let closed = watch.next();
    assert_eq!(shown(&closed), "closed >LISTENING 80");
    assert!(closed["time"].as_str().unwrap().ends_with('Z'));
    watch.end();
}

#[test]
fn changes_report_sockets_that_enter_or_leave_the_filter() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let near = TcpStream::connect("127.0.0.1:80").unwrap();
    let (far, _) = listener.accept().unwrap();
    let mut watch = Watch::start("-n --local :80 --state CLOSE_WAIT --changes 1 --ndjson");
    near.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(shown(&watch.next()), "changed ESTABLISHED>CLOSE_WAIT 80");
    drop(far);
    assert_eq!(shown(&watch.next()), "closed >CLOSE_WAIT 80");
    watch.end();
}

#[test]
fn changes_miss_no_socket_that_outlives_the_interval() {
    own_namespace!();
    let mut watch = Watch::start("-an --listening --changes 1 --ndjson");
    let mut expected = Vec::new();
    let mut held = std::collections::VecDeque::new();
    let mut seen = Vec::new();
    // Each listener lives until the change two after its own was seen, so that three exist at a time.
    for port in 1000..1006u16 {
        held.push_back(TcpListener::bind(("127.0.0.1", port)).unwrap());
        expected.push(format!("opened >LISTENING {port}"));
        seen.push(shown(&watch.next()));
        if held.len() == 3 {
            let gone = held.pop_front().unwrap().local_addr().unwrap().port();
            expected.push(format!("closed >LISTENING {gone}"));
            seen.push(shown(&watch.next()));
        }
    }
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    watch.end();
}

#[test]
fn changes_as_text_show_sign_time_and_both_states() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let near = TcpStream::connect("127.0.0.1:80").unwrap();
    let _far = listener.accept().unwrap();
    let mut watch = Watch::start("-an --local :80 --changes 1");
    let heading = watch.lines.next().unwrap().unwrap();
    assert_eq!(
        heading.split_whitespace().collect::<Vec<_>>(),
        ["Time", "Proto", "Local", "Address", "Foreign", "Address", "State"]
    );
    drop(near);
    let line = watch.lines.next().unwrap().unwrap();
    let (time, rest) = line.split_once("  ").unwrap();
    assert_eq!(time.len(), 8);
    assert!(
        rest.starts_with("~  TCP    127.0.0.1:80 ") && rest.contains("ESTABLISHED > CLOSE_WAIT"),
        "{line}"
    );
    watch.end();
}
