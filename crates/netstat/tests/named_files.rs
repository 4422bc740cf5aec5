//! Files named by the user that are not usable: a FIFO without a writer, an endless device, a directory, a file that is
//! too large, no file at all. Each switch answers with one line, and the program ends.
#![cfg(target_os = "linux")]

mod switches;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State, Why};
use netstat_record::{NewFlow, Writer};
use netstat_testkit::{Netstat, Outcome};
use switches::{SWITCHES, Use};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Returns the help of a command, or of the program if the name is empty.
fn help(command: &str) -> String {
    let words = [command, "--help"];
    let words = words.iter().filter(|word| !word.is_empty());
    netstat().run(words).success().to_owned()
}

/// Returns the switches in a help text whose values are paths.
fn path_switches(help: &str) -> impl Iterator<Item = String> {
    help.lines().filter_map(|line| {
        let line = line.trim_start();
        let switch = &line[line.find("--").filter(|_| line.starts_with('-'))?..];
        let (switch, rest) = switch.split_once([' ', '='])?;
        let value = rest.split_whitespace().next()?.trim_matches(['<', '>', '[', ']']);
        // `history --follow PROGRAM|PID` is a pattern, not a path.
        let is_path = ["FILE", "PATH", "FOLDER"].iter().any(|name| value.starts_with(name)) || value == "PROGRAM";
        is_path.then(|| switch.to_owned())
    })
}

#[test]
fn every_switch_with_a_path_is_in_the_tested_list() {
    let all = help("");
    let (_, commands) = all.split_once("\nCommands").expect("a list of commands");
    let commands = commands
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let name = line.strip_prefix("  ")?;
            (!name.starts_with(' ')).then(|| name.split(' ').next().unwrap().to_owned())
        });
    let mut found = BTreeSet::new();
    for command in std::iter::once(String::new()).chain(commands) {
        found.extend(path_switches(&help(&command)).map(|switch| (command.clone(), switch)));
    }
    let mut known: BTreeSet<_> = SWITCHES
        .iter()
        .map(|(command, switch, ..)| ((*command).to_owned(), (*switch).to_owned()))
        .collect();
    assert!(found.len() > 30, "{found:?}");
    known.retain(|one| !found.remove(one));
    assert!(found.is_empty(), "not in the table of tests/switches/mod.rs: {found:?}");
    assert!(known.is_empty(), "in the table, but no switch: {known:?}");
}

fn run(words: &[&str], switch: &str, file: &Path) -> Outcome {
    let mut all: Vec<&str> = words.to_vec();
    all.extend([switch, file.to_str().unwrap()]);
    let outcome = netstat().run(&all);
    assert!(!outcome.stderr.contains("panicked"), "{all:?}: {outcome:?}");
    outcome
}

/// Every switch that reads refuses `file` in one line that names it; a command that continues without it says why.
fn refused(file: &Path) {
    refused_by(file, |_, _| true);
}

fn refused_by(file: &Path, wanted: impl Fn(&str, &str) -> bool) {
    let name = file.to_str().unwrap();
    for (command, switch, kind, words) in SWITCHES.iter().filter(|one| wanted(one.0, one.1)) {
        let outcome = match kind {
            Use::Read | Use::ReadIfPossible => run(words, switch, file),
            _ => continue,
        };
        let status = outcome.status.code();
        let context = format!("{command} {switch}: {outcome:?}");
        if *kind == Use::Read {
            assert!(matches!(status, Some(1 | 2)), "{context}");
            assert_eq!(outcome.stderr.lines().count(), 1, "{context}");
            assert!(outcome.stderr.contains(name), "{context}");
        } else {
            assert!(matches!(status, Some(0 | 1)), "{context}");
            // The text is wrapped.
            let text: String = outcome.stdout.split_whitespace().collect();
            assert!(text.contains(name), "{context}");
        }
    }
}

fn fifo(folder: &Path, name: &str) -> PathBuf {
    let fifo = folder.join(name);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fifo
}

#[test]
fn named_fifo_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(&fifo(folder.path(), "fifo"));
}

#[test]
fn named_endless_device_is_refused() {
    refused(Path::new("/dev/zero"));
}

#[test]
fn named_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path());
}

#[test]
fn named_sparse_file_of_eight_gibibytes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(8 << 30).unwrap();
    // A recording may be large and is read line by line, in a terminal; a record is read when its history is requested.
    let others = [("monitor", "--replay"), ("serve", "--store")];
    refused_by(&path, |command, switch| !others.contains(&(command, switch)));
}

#[test]
fn named_absent_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent");
    for (command, switch, kind, words) in SWITCHES {
        // A record that does not exist yet is created, or looked for at each request, and so is its history.
        if *kind != Use::Read || *switch == "--store" {
            continue;
        }
        let outcome = run(words, switch, &path);
        let context = format!("{command} {switch}: {outcome:?}");
        assert!(matches!(outcome.status.code(), Some(1 | 2)), "{context}");
        assert!(outcome.stderr.contains(path.to_str().unwrap()), "{context}");
    }
}

/// Creates a record with one connection.
fn record(folder: &Path) -> PathBuf {
    let path = folder.join("record.db");
    let mut writer = Writer::open(&path, b"host", "boot").unwrap();
    let mut batch = writer.batch().unwrap();
    let flow = NewFlow {
        first: 1_700_000_000_000,
        span: 100,
        closed: true,
        begun: true,
        protocol: Protocol::Tcp,
        family: Family::V4,
        local: ([10, 0, 0, 1].into(), 40_000),
        foreign: ([203, 0, 113, 1].into(), 443),
        direction: Direction::Outgoing,
        state: State::Established,
        origin: EventOrigin::Trace,
        process: None,
        user: Fact::Known(0),
        namespace: Fact::Unknown(Why::NotKept),
        sent: Fact::Known(1),
        received: Fact::Known(2),
        retransmits: Fact::Unknown(Why::NotKept),
        rtt: Fact::Unknown(Why::NotKept),
        asked_name: None,
    };
    batch.insert(&flow, None).unwrap();
    batch.commit().unwrap();
    path
}

/// Writing never waits for a reader, and does not write into a FIFO or through a link.
#[test]
fn written_file_refuses_a_fifo_and_does_not_follow_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    let record = record(folder.path());
    for (command, switch, kind, words) in SWITCHES {
        if *kind != Use::Written {
            continue;
        }
        let (fifo, link) = match *switch {
            // A directory holds many files.
            "--directory" => continue,
            "--report" => (fifo(folder.path(), "fifo.html"), folder.path().join("link.html")),
            _ => (fifo(folder.path(), "fifo"), folder.path().join("link")),
        };
        let mut words = words.to_vec();
        if *command == "history" {
            words.extend(["--since", "all", "--store", record.to_str().unwrap()]);
        }
        let outcome = run(&words, switch, &fifo);
        assert!(
            matches!(outcome.status.code(), Some(1 | 2)),
            "{command} {switch}: {outcome:?}"
        );
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        run(&words, switch, &link);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept", "{command} {switch}");
        std::fs::remove_file(fifo).unwrap();
        std::fs::remove_file(link).unwrap();
    }
}

/// Files that a configuration names.
#[test]
fn special_files_named_in_configurations_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = fifo(folder.path(), "fifo");
    for file in [fifo.as_path(), Path::new("/dev/zero"), folder.path()] {
        let shown = file.display();
        let web = folder.path().join("web.yml");
        std::fs::write(
            &web,
            format!("tls_server_config:\n  cert_file: {shown}\n  key_file: {shown}\n"),
        )
        .unwrap();
        let outcome = run(&["serve", "--listen", "127.0.0.1:0"], "--web-config", &web);
        assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(file.to_str().unwrap()), "{outcome:?}");
        for keys in [
            format!("ca = \"{shown}\"\n"),
            format!("certificate = \"{shown}\"\nkey = \"{shown}\"\n"),
        ] {
            let config = folder.path().join("fleet.toml");
            std::fs::write(&config, format!("at = \"clickhouses://127.0.0.1:9/netstat\"\n{keys}")).unwrap();
            let outcome = run(&["fleet", "status"], "--fleet-config", &config);
            assert_eq!(outcome.status.code(), Some(1), "{keys}: {outcome:?}");
            assert!(outcome.stderr.contains(file.to_str().unwrap()), "{keys}: {outcome:?}");
        }
    }
}

/// Names of files reach the terminal escaped, whichever switch quotes them.
#[test]
fn names_of_absent_files_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("\u{1b}[31mx\u{202e}\ny");
    for (command, switch, kind, words) in SWITCHES {
        if matches!(kind, Use::Started | Use::WrittenByEngine) || (*command, *switch) == ("serve", "--store") {
            continue;
        }
        let outcome = run(words, switch, &path);
        let context = format!("{command} {switch}: {outcome:?}");
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{context}");
        }
    }
}
