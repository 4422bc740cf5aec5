//! Arguments on the command line: all ways to write them, and the one-line errors for wrong ones.
#![cfg(target_os = "linux")]

use netstat_testkit::{Netstat, Outcome, listing, own_namespace};
use std::net::{TcpListener, UdpSocket};

fn run(words: &[&str]) -> Outcome {
    Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(words)
}

/// Runs the program with `words`, and checks that the one line of its error contains all `names`.
#[track_caller]
fn refused(words: &[&str], names: &[&str]) {
    let outcome = run(words);
    let line = outcome.refusal();
    for name in names {
        assert!(line.contains(name), "{words:?} should name {name}: {line}");
    }
    // A word from outside must not be able to control the terminal.
    assert!(!line.chars().any(char::is_control), "{words:?}: {line:?}");
    assert!(line.len() < 200, "{words:?}: {line}");
}

#[test]
fn unknown_switch_is_named() {
    refused(&["--bogus"], &["--bogus"]);
    refused(&["-z"], &["z"]);
    refused(&["-anz"], &["z"]);
    refused(&["/z"], &["z"]);
    refused(&["word"], &["word"]);
    refused(&["-an", "\x1b[2J\n"], &["\\e[2J\\n"]);
}

#[test]
fn misspelt_word_suggests_nearest() {
    refused(&["--hlep"], &["--hlep", "--help"]);
    refused(&["--versoin"], &["--version"]);
    refused(&["--cuont", "3"], &["--count"]);
    refused(&["-p", "tpc"], &["tpc", "TCP"]);
    refused(&["-p", "udp6"], &["udp6", "UDPv6"]);
}

#[test]
fn missing_or_unknown_protocol_lists_known_ones() {
    let all = ["TCP", "UDP", "TCPv6", "UDPv6", "IP", "IPv6", "ICMP", "ICMPv6"];
    for words in [
        &["-p"][..],
        &["-anp"],
        &["-an", "-p"],
        &["-p", "bogus"],
        &["-p=bogus"],
        &["-p="],
    ] {
        refused(words, &all);
    }
}

#[test]
fn protocol_without_connections_requires_statistics() {
    refused(&["-p", "icmp"], &["-s"]);
    refused(&["-anp", "ICMPv6"], &["-s"]);
    refused(&["-an", "-p", "ip"], &["-s"]);
    refused(&["-p=ipv6"], &["-s"]);
}

#[test]
fn interval_not_whole_seconds_above_zero_is_usage_error() {
    for word in ["0", "-5", "1.5", "99999999999", "0s", "500ms", "+1", "0x10", "1e3"] {
        refused(&["-an", word], &[word]);
        refused(&[word, "-an"], &[word]);
    }
    refused(&["-an", "1", "2"], &["2"]);
}

#[test]
fn count_not_above_zero_is_usage_error() {
    for word in ["0", "-1", "1.5", "x", ""] {
        refused(&["-an", "1", "--count", word], &[]);
    }
    refused(&["-an", "--count"], &["--count"]);
}

#[test]
fn invalid_utf8_is_shown_escaped() {
    use std::os::unix::ffi::OsStringExt;
    let word = std::ffi::OsString::from_vec(b"--b\xff".to_vec());
    let outcome = Netstat::new(env!("CARGO_BIN_EXE_netstat")).run([word]);
    assert!(outcome.refusal().contains("\\xff"), "{outcome:?}");
}

#[test]
fn switches_in_every_spelling_give_the_same_answer() {
    own_namespace!();
    let _tcp = (
        TcpListener::bind("127.0.0.1:80").unwrap(),
        TcpListener::bind("[::1]:80").unwrap(),
    );
    let _udp = UdpSocket::bind("127.0.0.1:53").unwrap();
    let same = |ways: &[&[&str]]| {
        let first = run(ways[0]);
        assert!(!listing::list(first.success()).is_empty(), "{:?}", ways[0]);
        for way in &ways[1..] {
            let outcome = run(way);
            assert_eq!(outcome.success(), first.stdout, "{way:?} and {:?}", ways[0]);
        }
    };
    same(&[
        &["-ano"],
        &["-oan"],
        &["-noa"],
        &["-a", "-n", "-o"],
        &["/a", "/n", "/o"],
        &["-ANO"],
        &["/ANO"],
        &["/a", "-On"],
    ]);
    same(&[&["-anob"], &["-nabo"], &["-b", "-ano"], &["/B", "/ANO"]]);
    same(&[
        &["-an", "-p", "tcp"],
        &["-anp", "tcp"],
        &["-anp", "TCP"],
        &["-p", "tcp", "-an"],
        &["-p=tcp", "-an"],
        &["/p", "Tcp", "/an"],
        &["-an", "-P", "tcp"],
    ]);
    same(&[&["-anp", "udp"], &["-np", "UDP"], &["-n", "-p", "udp"]]);
    same(&[&["-tulpn"], &["-tlupn"], &["-nptul"], &["-t", "-u", "-l", "-n", "-tp"]]);
}

#[test]
fn protocol_tcp_means_ipv4_only() {
    own_namespace!();
    let _tcp = (
        TcpListener::bind("127.0.0.1:80").unwrap(),
        TcpListener::bind("[::1]:80").unwrap(),
    );
    let count = |protocol: &str| listing::list(run(&["-anp", protocol]).success()).len();
    assert_eq!((count("tcp"), count("tcpv6")), (1, 1));
    let help = run(&["--help"]);
    assert!(help.success().contains("IPv4 only"), "{}", help.stdout);
}

#[test]
fn help_and_version_are_printed_to_stdout() {
    for words in [&["--help"][..], &["-h"], &["-?"], &["/?"], &["-an", "--help"]] {
        let outcome = run(words);
        let text = outcome.success();
        assert_eq!(outcome.stderr, "", "{words:?}");
        for letter in "abcdefinopqrstul".chars() {
            assert!(
                text.contains(&format!("\n  -{letter}")) || text.contains(&format!(", -{letter} ")),
                "{words:?} should tell of -{letter}:\n{text}"
            );
        }
        assert!(
            text.contains("INTERVAL") && text.contains("--help"),
            "{words:?}:\n{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
    assert!(run(&["--help"]).stdout.contains("--count"));
    let version = run(&["--version"]);
    assert_eq!(version.success(), format!("netstat {}\n", env!("CARGO_PKG_VERSION")));
}
