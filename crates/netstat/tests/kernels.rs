//! Results compared with `/proc`, `ss` and the actions of the test itself, on whatever kernel runs.
//! `cargo xtask kernels` runs these tests in virtual machines with old, new and unusual kernels; the environment then names the case
//! (docs/kernels.md).
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use netstat_testkit::actors::Actor;
use netstat_testkit::namespace::{Needs, patience, real_root};
use netstat_testkit::oracle::{self, End, TcpState};
use netstat_testkit::peer::Family;
use netstat_testkit::states::AllStates;
use netstat_testkit::{Netstat, Outcome, have, kernel_has, listing, own_namespace, skip, trouble};
use serde_json::Value;

/// The case that the virtual machine was prepared for.
fn case() -> String {
    std::env::var("NETSTAT_KERNELS_CASE").unwrap_or_default()
}

/// Returns the program as it runs in this case.
fn netstat() -> Netstat {
    let netstat = Netstat::new(env!("CARGO_BIN_EXE_netstat"));
    if case() == "noproc" {
        trouble::without_proc(&netstat)
    } else {
        netstat
    }
}

/// Fails if a diagnostic is not fit for users: a panic, or a message of the kernel instead of a sentence.
#[track_caller]
fn is_understandable(stderr: &str) {
    for bad in ["panicked", "unknown func", "invalid func", "os error"] {
        assert!(!stderr.contains(bad), "{stderr}");
    }
}

fn families() -> Vec<Family> {
    if Path::new("/proc/net/if_inet6").exists() {
        vec![Family::V4, Family::V6]
    } else {
        vec![Family::V4]
    }
}

#[test]
fn listing_agrees_with_proc_and_ss() {
    own_namespace!();
    let made: Vec<AllStates> = families()
        .into_iter()
        .map(|family| AllStates::make(family).unwrap())
        .collect();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let outcome = netstat().run(["-an"]);
    let shown = listing::rows(&listing::list(outcome.success()));
    let in_tables = |state: Option<TcpState>| state != Some(TcpState::Bound);
    let mut theirs = oracle::rows(&oracle::proc_net());
    let mut ours: Vec<_> = shown.iter().copied().filter(|row| in_tables(row.state)).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
    assert!(
        ours.iter()
            .any(|row| row.local == End::from(datagrams.local_addr().unwrap()))
    );
    if have("ss") {
        let mut ss = oracle::rows(&oracle::ss());
        ss.retain(|row| in_tables(row.state));
        ss.sort();
        assert_eq!(ours, ss);
    }
    // Sockets that are only bound: all of them if the kernel reports them (Linux 6.8, over netlink), otherwise none.
    assert!(shown.iter().all(|row| in_tables(row.state)), "only -q shows them");
    let outcome = netstat().run(["-qn", "-p", "TCP"]);
    let lines = listing::rows(&listing::list(outcome.success()));
    let shown_bound = lines.iter().filter(|row| !in_tables(row.state)).count();
    let bound = made[0]
        .sockets
        .iter()
        .filter(|held| held.state() == TcpState::Bound)
        .count();
    if shown_bound != bound {
        assert_eq!(shown_bound, 0);
        if kernel_has("the listing of ports that are only bound", 6, 8) {
            assert_eq!(case(), "nomodules", "{}", outcome.stderr);
        }
    }
    is_understandable(&outcome.stderr);
}

#[test]
fn owners_are_the_processes_that_hold_the_sockets() {
    own_namespace!();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let at: End = socket.local_addr().unwrap().into();
    let holder = Actor::named("holder").hold(socket);
    let expect = |outcome: &Outcome| {
        let lines = listing::list(outcome.success());
        let line = lines
            .iter()
            .find(|line| line.row.local == at)
            .unwrap_or_else(|| panic!("{outcome:#?}"));
        is_understandable(&outcome.stderr);
        line.extra.clone()
    };
    let walked = expect(&netstat().run(["-ano"]));
    if case() == "noproc" {
        // eBPF does not need /proc. If neither is available, no owner is named, and the reason is reported.
        assert!(
            walked == [holder.pid().to_string()] || walked.iter().all(|word| word == "-"),
            "{walked:?}"
        );
        return;
    }
    assert_eq!(walked, [holder.pid().to_string()]);
    let iterated = netstat().run(["-ano", "--owners", "ebpf"]);
    is_understandable(&iterated.stderr);
    if iterated.status.success() {
        assert_eq!(expect(&iterated), [holder.pid().to_string()]);
        return;
    }
    assert!(!iterated.stderr.is_empty());
    skip("owners by eBPF", iterated.stderr.trim());
    let usual = matches!(
        case().as_str(),
        "plain" | "hidepid" | "noipv6" | "integrity" | "cgroup1"
    );
    if usual && real_root() {
        // The iterator's helper exists since Linux 5.11.
        assert!(!kernel_has("the socket iterator", 5, 11), "{}", iterated.stderr);
    }
}

#[test]
fn process_hidden_by_a_mount_is_found_and_named() {
    own_namespace!(Needs::PROCESSES);
    if !real_root() {
        return skip("a mount over /proc/PID", "it needs the real root");
    }
    if case() == "noproc" {
        return skip("a mount over /proc/PID", "there is no /proc");
    }
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let at: End = socket.local_addr().unwrap().into();
    let holder = Actor::named("covered").hold(socket);
    let script = "mount -t tmpfs none \"/proc/$1\" && shift && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", &holder.pid().to_string()])
        .args([env!("CARGO_BIN_EXE_netstat"), "-ano"])
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    is_understandable(&stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines = listing::list(&stdout);
    let line = lines.iter().find(|line| line.row.local == at).unwrap();
    assert_eq!(line.extra, [holder.pid().to_string()], "{stderr}");
    let named = format!("process {} is hidden from the process list", holder.pid());
    assert!(stderr.contains(&named), "{stderr}");
}

#[test]
fn wireguard_sockets_belong_to_their_interface() {
    own_namespace!();
    if case() == "noproc" {
        return skip("WireGuard", "there is no /proc to look for owners");
    }
    let ip = |words: &str| {
        let words = words.split(' ');
        let status = Command::new("ip").args(words).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !ip("link add wg-test type wireguard") {
        return skip("WireGuard", "this kernel makes no such interface here");
    }
    // Now the kernel opens its sockets, on a port that it chooses.
    assert!(ip("link set wg-test up"));
    let outcome = netstat().run(["-ano", "-p", "UDP"]);
    let lines = listing::list(outcome.success());
    assert!(
        !lines.is_empty() && lines.iter().all(|line| line.extra == ["-"]),
        "{outcome:#?}"
    );
    is_understandable(&outcome.stderr);
    if real_root() {
        assert!(
            outcome.stderr.contains("WireGuard interface wg-test"),
            "{}",
            outcome.stderr
        );
    }
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads stderr into `all` up to the line with this text. Returns false if the program ends before.
fn read_to(stderr: &mut BufReader<ChildStderr>, text: &str, all: &mut String) -> bool {
    while !all.contains(text) {
        if stderr.read_line(all).unwrap() == 0 {
            return false;
        }
    }
    true
}

/// Whether root learns the owners of short connections in this case, regardless of the kernel.
fn expects_owners() -> bool {
    real_root()
        && !matches!(
            case().as_str(),
            "noproc" | "notracefs" | "nobtf" | "confidentiality" | "nomodules"
        )
}

/// Makes this many connections to a listener of this process, each with 5 bytes of data; both ends are in this process.
fn churn(listener: &TcpListener, count: usize) {
    for _ in 0..count {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
    }
}

fn history(store: &Path, words: &[&str]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netstat"));
    command.args(["history", "--ndjson", "--store"]).arg(store).args(words);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Records connections that this test makes, and compares the record with their number.
fn record(way: &str) {
    const COUNT: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let earlier = TcpListener::bind("127.0.0.1:0").unwrap();
    let earlier_port = earlier.local_addr().unwrap().port();
    let open = TcpStream::connect(earlier.local_addr().unwrap()).unwrap();
    let (_accepted, _) = earlier.accept().unwrap();
    let mut command = netstat().command(["record", "--own-namespace", "--verbose", "--events", way, "--store"]);
    command.arg(&store).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut stderr = BufReader::new(running.0.stderr.take().unwrap());
    let mut said = String::new();
    if !read_to(&mut stderr, "recording into", &mut said) {
        let status = running.0.wait().unwrap();
        assert!(way != "auto", "the recorder ended with {status}: {said}");
        assert_eq!(status.code(), Some(1));
        is_understandable(&said);
        return skip(way, &format!("the recorder cannot use it here: {}", said.trim()));
    }
    churn(&listener, COUNT);
    let port = port.to_string();
    // Both ends of each connection, closed.
    let rows = || history(&store, &["--port", &port]);
    let mut found = Vec::new();
    let (begun, mut grown) = (Instant::now(), Instant::now());
    while begun.elapsed() < patience(Duration::from_secs(10)) {
        let before = found.len();
        found = rows()
            .into_iter()
            .filter(|row| row["foreign_port"] != 0 && row["closed"] == true)
            .collect::<Vec<_>>();
        if found.len() > before {
            grown = Instant::now();
        }
        // With polling, the record reports gaps, and the missing rows never appear.
        let stays = || grown.elapsed() > patience(Duration::from_secs(2)) && !history(&store, &["--gaps"]).is_empty();
        if found.len() >= 2 * COUNT || stays() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut rest = String::new();
    let pid = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0), "{rest}");
    is_understandable(&said);
    is_understandable(&rest);
    // Connections that were open before are recorded, too: both ends, once each.
    let before: Vec<_> = history(&store, &["--port", &earlier_port.to_string()])
        .into_iter()
        .filter(|row| row["direction"] != "listen")
        .collect();
    assert_eq!(before.len(), 2, "{before:#?}");
    drop(open);
    let gaps = history(&store, &["--gaps"]);
    let own = std::process::id();
    for row in &found {
        // A wrong owner is worse than none.
        let owner = row["pid"].as_u64();
        assert!(owner.is_none_or(|pid| pid == u64::from(own)), "{row:#}");
    }
    if found.len() != 2 * COUNT {
        assert!(found.len() < 2 * COUNT, "{} of {}", found.len(), 2 * COUNT);
        assert!(
            !gaps.is_empty(),
            "{} of {} and no gap: {said}{rest}",
            found.len(),
            2 * COUNT
        );
        return;
    }
    // If the kernel has tracepoints, the owner of a client is known when it connects, that of a server at the latest
    // when it closes.
    if way == "trace" || (way == "auto" && expects_owners()) {
        let unowned: Vec<_> = found
            .iter()
            .filter(|row| row["pid"].as_u64() != Some(own.into()))
            .collect();
        assert!(
            unowned.is_empty(),
            "{} of {}: {:#}\n{said}{rest}",
            unowned.len(),
            found.len(),
            unowned[0]
        );
    }
}

#[test]
fn every_connection_is_recorded_by_the_automatic_choice() {
    own_namespace!();
    record("auto");
}

#[test]
fn every_connection_is_recorded_by_tracepoints() {
    own_namespace!();
    record("trace");
}

#[test]
fn every_connection_is_recorded_by_netlink() {
    own_namespace!();
    record("netlink");
}

#[test]
fn statistics_count_known_connections() {
    own_namespace!();
    let statistics = || -> Value {
        let outcome = netstat().run(["-s", "-p", "tcp", "--json"]);
        is_understandable(&outcome.stderr);
        serde_json::from_str(outcome.success()).unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    if case() == "noproc" {
        return skip("statistics", "the kernel has them in /proc only");
    }
    let before = statistics();
    churn(&listener, 7);
    let after = statistics();
    let opens = |document: &Value| {
        document["statistics"]["blocks"]["tcpv4"]["active_opens"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(opens(&after) - opens(&before), 7);
}

#[test]
fn every_command_ends_with_a_status_and_understandable_errors() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for words in [
        &["-abno"][..],
        &["-qano"],
        &["-ano", "--json"],
        &["-an", "--wide"],
        &["-ano", "--all-namespaces", "--verbose"],
        &["-e", "--per-interface"],
        &["-rn", "--table", "all"],
        &["-s"],
        &["inspect", &port, "--sample", "0"],
        &["audit"],
    ] {
        let outcome = netstat().run(words);
        let status = outcome.status.code();
        assert!(matches!(status, Some(0 | 1)), "{words:?}: {outcome:#?}");
        assert!(
            status == Some(0) || !outcome.stderr.is_empty() || words[0] == "audit",
            "{words:?}: {outcome:#?}"
        );
        is_understandable(&outcome.stderr);
    }
}
