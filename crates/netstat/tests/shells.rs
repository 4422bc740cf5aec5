//! The scripts of `netstat completions` in real shells, and the pages of `netstat man` in man.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use netstat_testkit::{Netstat, Outcome, have, outcome};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Runs `command` with the program under test in `PATH` as `netstat`.
fn in_reach(command: &mut Command) -> Outcome {
    let folder = Path::new(env!("CARGO_BIN_EXE_netstat"))
        .parent()
        .expect("a program is in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    outcome(command.env("PATH", format!("{}:{path}", folder.display())))
}

fn script(shell: &str) -> String {
    netstat()
        .run(["completions", shell, "--as", "netstat"])
        .success()
        .to_owned()
}

/// Returns the words that bash offers after `words`, with the cursor after the last one.
fn bash(words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let text = format!(
        "{}\nCOMP_WORDS=({}); COMP_CWORD={}\n_netstat netstat \"${{COMP_WORDS[COMP_CWORD]}}\" x\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        script("bash"),
        quoted.join(" "),
        words.len() - 1,
    );
    let outcome = in_reach(Command::new("bash").args(["--norc", "-c", &text]));
    assert_eq!(outcome.stderr, "", "{words:?}");
    outcome
        .success()
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_switches_values_and_commands() {
    if !have("bash") {
        return;
    }
    assert_eq!(bash(&["netstat", "--numer"]), ["--numeric"]);
    assert_eq!(bash(&["netstat", "-p", "t"]), ["tcp", "tcpv6"]);
    assert_eq!(bash(&["netstat", "-tulp", "tcpv"]), ["tcpv6"]);
    assert_eq!(
        bash(&["netstat", "--state", "=", "LISTENING,est"]),
        ["LISTENING,established"]
    );
    assert_eq!(bash(&["netstat", "compl"]), ["completions"]);
    assert_eq!(bash(&["netstat", "completions", "f"]), ["fish"]);
    // Classic words do not interfere, and nothing is printed about words that cannot be completed.
    assert_eq!(bash(&["netstat", "/a", "-N", "5", "--coun"]), ["--country", "--count"]);
    assert_eq!(bash(&["netstat", "/usr/b"]), [""; 0]);
    assert_eq!(bash(&["netstat", "--port", "44"]), [""; 0]);
}

#[test]
fn bash_reads_the_words_before_the_cursor_only() {
    if !have("bash") {
        return;
    }
    // The cursor is after `--nu` of `--nuts`.
    let text = format!(
        "{}\nCOMP_WORDS=(netstat --nuts); COMP_CWORD=1\n_netstat netstat --nu netstat\necho \"${{COMPREPLY[@]}}\"\n",
        script("bash")
    );
    let outcome = in_reach(Command::new("bash").args(["--norc", "-c", &text]));
    assert_eq!(outcome.success(), "--numeric\n");
}

#[test]
fn fish_completes_words_with_their_meanings() {
    if !have("fish") {
        return;
    }
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new("fish");
    command
        .env("HOME", home.path())
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_DATA_HOME");
    let text = format!(
        "{}\ncomplete -C 'netstat --state=listening,tim'\ncomplete -C 'netstat -an --nume'\n",
        script("fish")
    );
    let outcome = in_reach(command.args(["--no-config", "-c", &text]));
    assert_eq!(
        outcome.success(),
        "--state=listening,time_wait\n--numeric\tnumbers only, no lookups; wins over -f\n"
    );
}

#[test]
fn zsh_accepts_the_completion_script() {
    if !have("zsh") {
        return;
    }
    let text = script("zsh");
    assert!(text.starts_with("#compdef netstat\n"), "{text}");
    let outcome = in_reach(Command::new("zsh").args(["-f", "-n", "-c", &text]));
    assert_eq!((outcome.success(), &*outcome.stderr), ("", ""));
}

#[test]
fn man_pages_are_rendered_without_warnings() {
    if !have("man") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let made = netstat().run([
        Path::new("man"),
        Path::new("--as"),
        Path::new("netstat"),
        Path::new("--directory"),
        folder.path(),
    ]);
    let pages: Vec<&str> = made.success().lines().collect();
    assert!(pages.len() > 2, "{pages:?}");
    for page in pages {
        let mut command = Command::new("man");
        command
            .args(["--warnings", "-l", page])
            .env("MANWIDTH", "80")
            .env("LC_ALL", "C.UTF-8");
        let outcome = in_reach(&mut command);
        let text = outcome.success();
        assert_eq!(outcome.stderr, "", "{page}");
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"] {
            assert!(text.contains(&format!("\n{heading}\n")), "{heading} in {text}");
        }
    }
}

#[test]
fn completions_and_man_mistakes_give_one_line() {
    let refusal = |words: &str| netstat().run(words.split(' ')).refusal().to_owned();
    assert_eq!(
        refusal("completions tcsh"),
        "netstat: SHELL \"tcsh\" is not one of bash, zsh, fish, powershell, elvish (netstat completions --help)"
    );
    assert!(refusal("man nothing").starts_with("netstat: COMMAND \"nothing\" is not one of "));
    assert!(refusal("completions bash --as a/b").contains("--as \"a/b\" is not the name of a command"));
    let outcome = netstat().run(["man", "--directory", "/proc/none"]);
    assert_eq!(outcome.status.code(), Some(1));
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
}
