//! Files that the user names and that are none: a FIFO without a writer, a device without an end, a directory. Each gives one line.
#![cfg(unix)]

use std::path::Path;

use netstat_testkit::Netstat;

/// Options that read a file, with what else their line needs.
const OPTIONS: &[&[&str]] = &[
    &["audit", "--blocklist"],
    &["audit", "--baseline"],
    &["audit", "--replay"],
    &["audit", "--store"],
    &["inspect", "--store"],
    &["inspect", "--replay"],
    &["-an", "--replay"],
    &["-an", "--columns", "local,country", "--mmdb"],
    &["history", "--store"],
    &["record", "--store"],
    &["serve", "--config"],
    &["serve", "--token-file"],
    &["serve", "--web-config"],
    &["serve", "--otlp", "http://127.0.0.1:9", "--otlp-headers"],
];

fn refused(words: &[&str], file: &Path) {
    let netstat = Netstat::new(env!("CARGO_BIN_EXE_netstat"));
    let mut all: Vec<&str> = words.to_vec();
    all.push(file.to_str().unwrap());
    if words[0] == "inspect" {
        all.push("pid:1");
    }
    let outcome = netstat.run(&all);
    // Without its history an examination goes on, and says so.
    let goes_on = matches!(words, ["audit" | "inspect", "--store"]);
    let expected = if goes_on { 0..=1 } else { 1..=2 };
    assert!(
        outcome.status.code().is_some_and(|code| expected.contains(&code)),
        "{all:?}: {outcome:?}"
    );
    assert!(!outcome.stderr.contains("panicked"), "{all:?}: {outcome:?}");
    // A document is wrapped.
    let line: String = match goes_on {
        true => outcome.stdout.split_whitespace().collect(),
        false => outcome.stderr.lines().next().unwrap_or_default().to_owned(),
    };
    assert!(line.contains(file.to_str().unwrap()), "{all:?}: {outcome:?}");
}

#[test]
fn named_fifo_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    OPTIONS.iter().for_each(|words| refused(words, &fifo));
}

#[test]
fn named_endless_device_refused() {
    OPTIONS.iter().for_each(|words| refused(words, Path::new("/dev/zero")));
}

#[test]
fn named_directory_refused() {
    let folder = tempfile::tempdir().unwrap();
    OPTIONS.iter().for_each(|words| refused(words, folder.path()));
}

#[test]
fn monitor_named_files_refused_in_a_terminal_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for option in ["--config", "--replay"] {
        for file in [fifo.as_path(), Path::new("/dev/zero")] {
            // Without a terminal it ends either way; it must not wait or fill the memory before.
            let outcome = Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(["monitor", option, file.to_str().unwrap()]);
            assert!(matches!(outcome.status.code(), Some(1 | 2)), "{outcome:?}");
        }
    }
}
