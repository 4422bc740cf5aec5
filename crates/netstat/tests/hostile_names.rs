//! Programs whose names contain separators, quotes, line breaks and formulas: no table is misaligned, and no
//! spreadsheet evaluates them.
#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::AsFd;

use netstat_testkit::actors::{Actor, Holder};
use netstat_testkit::{Needs, Netstat, own_namespace};

const NAMES: [&str; 12] = [
    "=1+1",
    "=cmd|' -C calc'!A0",
    "+1, \"quoted\" ,",
    "-2;3\t4",
    "@SUM(1)",
    "two\nlines\r\nmore",
    " blanks at both ends ",
    "%0a|x",
    "plain",
    "none",
    "-",
    "really called so (deleted)",
];

/// Parses the records of a text according to RFC 4180 alone.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut all, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                all.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    assert!(!quoted && record.is_empty() && field.is_empty(), "{text:?}");
    all
}

/// Calls `body` with a program of each name, the port of each, and the processes.
fn with_programs(body: impl FnOnce(&Netstat, &[(u16, &str)], &[Holder])) {
    let mut actors = Vec::new();
    let mut ports = Vec::new();
    for name in NAMES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        ports.push((listener.local_addr().unwrap().port(), name));
        let socket = listener.as_fd().try_clone_to_owned().unwrap();
        drop(listener);
        actors.push(Actor::named(OsString::from(name)).hold(socket));
    }
    body(&Netstat::new(env!("CARGO_BIN_EXE_netstat")), &ports, &actors);
}

#[test]
fn csv_safe_hostile_names_are_whole_fields_and_no_formulas() {
    own_namespace!(Needs::PROCESSES);
    with_programs(|netstat, ports, _| {
        let words = "-tln --columns local_port,program,pid";
        let run = |style: &str| {
            let outcome = netstat.run(words.split(' ').chain([style]));
            records(outcome.success())
        };
        let (exact, safe) = (run("--csv"), run("--csv=safe"));
        assert_eq!(exact.len(), safe.len());
        assert!(exact.iter().chain(&safe).all(|record| record.len() == 3), "{safe:#?}");
        for (port, name) in ports {
            let find = |records: &[Vec<String>]| {
                let found = records.iter().find(|record| record[0] == port.to_string());
                found.unwrap_or_else(|| panic!("{port} {name:?}: {records:#?}"))[1].clone()
            };
            let (exact, safe) = (find(&exact), find(&safe));
            // A text that a spreadsheet evaluates begins with one of these, apart from spaces; an apostrophe makes it
            // plain text.
            let calculated = exact.trim_start().starts_with(['=', '+', '-', '@', '|', '%']);
            assert_eq!(safe, if calculated { format!("'{exact}") } else { exact.clone() });
            assert!(!safe.trim_start().starts_with(['=', '+', '-', '@', '|', '%']));
            let own: String = name.chars().filter(|c| !c.is_control()).collect();
            let shown: String = exact.chars().filter(|c| !c.is_control()).collect();
            // Line breaks and tabs are escaped, so nothing else may be missing.
            assert!(shown.len() >= own.len(), "{exact:?} of {name:?}");
        }
    });
}

/// Returns the words of each line that `words` prints for one of `ports`, with the name of its program.
fn rows<'a>(netstat: &Netstat, words: &str, ports: &[(u16, &'a str)]) -> Vec<(&'a str, Vec<String>)> {
    let outcome = netstat.run(words.split(' '));
    let lines: Vec<Vec<String>> = outcome
        .success()
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    let find = |&(port, name): &(u16, &'a str)| {
        let is_of_port = |word: &String| word.rsplit(':').next() == Some(port.to_string().as_str());
        let line = lines.iter().find(|line| line.iter().take(2).any(is_of_port));
        (
            name,
            line.unwrap_or_else(|| panic!("{port} {name:?}: {lines:#?}")).clone(),
        )
    };
    ports.iter().map(find).collect()
}

#[test]
fn table_hostile_names_shift_no_column() {
    own_namespace!(Needs::PROCESSES);
    with_programs(|netstat, ports, _| {
        for words in ["-tln --columns local_port,program,pid", "-tln --wide"] {
            let listing = netstat.run(words.split(' '));
            let headings = listing.success().lines().next().unwrap().split("  ");
            let columns = headings.filter(|heading| !heading.trim().is_empty()).count();
            for (name, line) in rows(netstat, words, ports) {
                assert_eq!(line.len(), columns, "{name:?}: {line:?}");
                let program = if words.contains("wide") { &line[5] } else { &line[1] };
                assert!(!matches!(program.as_str(), "-" | "none"), "{name:?} looks unknown");
                assert!(!program.ends_with("(deleted)"), "{name:?} looks deleted");
            }
        }
    });
}

#[test]
fn table_deleted_programs_with_hostile_names_shift_no_column() {
    own_namespace!(Needs::PROCESSES);
    with_programs(|netstat, ports, actors| {
        actors.iter().for_each(Holder::delete_program);
        for (name, line) in rows(netstat, "-tln --columns local_port,program,pid", ports) {
            assert_eq!(line.len(), 3, "{name:?}: {line:?}");
            assert!(line[1].ends_with("(deleted)"), "{name:?}: {line:?}");
            assert!(line[2].parse::<u32>().is_ok(), "{name:?}: {line:?}");
        }
    });
}
