//! Repeated prints.
#![cfg(target_os = "linux")]

use std::io::{BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use netstat_testkit::listing::{self, HEADING};
use netstat_testkit::{Netstat, actors, eventually, own_namespace, trouble};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

fn start(words: &[&str]) -> Child {
    let mut command = netstat().command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads byte by byte until `text` has been read.
fn read_until(from: &mut impl Read, text: &str) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(text.as_bytes()) {
        assert_eq!(
            from.read(&mut byte).unwrap(),
            1,
            "ended after {:?}",
            String::from_utf8_lossy(&seen)
        );
        seen.push(byte[0]);
    }
}

#[test]
fn interval_with_count_ends_after_that_many_prints() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    for words in [
        &["-an", "1", "--count", "3"][..],
        &["1", "-an", "--count", "3"],
        &["--count", "3", "-a", "1", "-n"],
    ] {
        let begin = Instant::now();
        let outcome = netstat().run(words);
        let took = begin.elapsed();
        let lists = listing::lists(outcome.success());
        assert_eq!(lists.len(), 3, "{words:?}");
        assert!(lists.iter().all(|list| list.len() == 1), "{words:?}");
        assert_eq!(outcome.stderr, "", "{words:?}");
        // The first print appears at once, and there is no wait after the last.
        assert!(
            took >= Duration::from_secs(2) && took < Duration::from_millis(2900),
            "{words:?}: {took:?}"
        );
    }
}

#[test]
fn interval_with_count_of_one_does_not_wait() {
    own_namespace!();
    let begin = Instant::now();
    let outcome = netstat().run(["-an", "30", "--count", "1"]);
    assert_eq!(listing::lists(outcome.success()).len(), 1);
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn interval_takes_a_new_sample_for_every_print() {
    own_namespace!();
    let mut child = start(&["-an", "1", "--count", "2"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut output, &format!("{HEADING}\n"));
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(listing::list(&rest).len(), 1, "{rest}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn interval_with_a_slow_reader_does_not_drift() {
    own_namespace!();
    // About 160 KB per print: more than the capacity of a pipe, so the program waits for its reader.
    let _load = actors::connections(1000).unwrap();
    let mut child = start(&["-an", "1", "--count", "3"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut output, HEADING);
    let first = Instant::now();
    for print in 1..=2 {
        std::thread::sleep(Duration::from_millis(600));
        read_until(&mut output, HEADING);
        let late = first
            .elapsed()
            .checked_sub(Duration::from_secs(print))
            .unwrap_or_default();
        assert!(late < Duration::from_millis(400), "print {print} came {late:?} late");
    }
    output.read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn interval_ends_silently_on_ctrl_c() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    for words in [
        &["-an", "1"][..],
        &["-e", "1"],
        &["-s", "1"],
        &["-r", "1"],
        &["-ano", "1"],
    ] {
        // If a shell runs the tests in the background, they and all their children ignore the signal.
        let netstat = netstat().behind(["env", "--default-signal=INT"]);
        let mut command = netstat.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        // The first print is complete if nothing more arrives before the next second.
        output.read_exact(&mut [0; 40]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        trouble::interrupt(&child);
        let begin = Instant::now();
        let mut status = None;
        eventually(
            || {
                status = child.try_wait().unwrap();
                status.is_some()
            },
            || format!("{words:?} goes on after Ctrl+C"),
        );
        assert!(begin.elapsed() < Duration::from_millis(800), "{words:?}");
        let status = status.unwrap();
        // Either the program ends itself, or the signal ends it; a shell reports 0 or 130.
        assert!(
            status.code() == Some(0) || status.signal() == Some(2),
            "{words:?}: {status}"
        );
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "", "{words:?}");
    }
}

#[test]
fn interval_repeats_every_kind_of_output() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    for words in [
        &["-e"][..],
        &["-s"],
        &["-r"],
        &["-c"],
        &["-anob"],
        &["-s", "-p", "tcp"],
        &["-es"],
    ] {
        let once = netstat().run(words);
        let twice = netstat().run([words, &["1", "--count", "2"]].concat());
        let lines = once.success().lines().count();
        assert!(lines > 0, "{words:?}");
        assert_eq!(
            twice.success().lines().count(),
            2 * lines,
            "{words:?}\n{}",
            twice.stdout
        );
    }
}
