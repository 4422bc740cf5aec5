//! What is measured: this project's program, the floors, and the peers found on the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This project's.
    Ours,
    /// A floor: no program can be quicker on the same interface.
    Floor,
    /// Another project's.
    Peer,
}

/// Which question a command answers; only answers to the same question are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// All TCP and UDP sockets.
    List,
    /// The same, each with its process.
    Owners,
    /// A part of that, so compared with nothing but the floor.
    Part,
}

/// One command.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// How it is called in the tables: unique.
    pub label: &'static str,
    /// The command's words; the first is an absolute path.
    pub words: Vec<OsString>,
    pub whose: Whose,
    pub question: Question,
}

/// The label of the floor that every time is divided by.
pub(crate) const DUMP_FLOOR: &str = "dump floor";
/// The label of the owners' floor.
pub(crate) const ITERATOR_FLOOR: &str = "iterator floor";
/// The peer that a list is compared with, and the one that a list with owners is.
pub(crate) const SS_LIST: &str = "ss -tuan";
pub(crate) const SS_OWNERS: &str = "ss -tuanp";

/// What takes part, and what does not and why.
pub(crate) struct Field {
    pub contenders: Vec<Contender>,
    /// Name and version of each program.
    pub versions: Vec<String>,
    /// Floors and peers that are not there.
    pub missing: Vec<String>,
}

/// Gathers the field around our program at `ours`, with the owners' floor where it was built.
///
/// # Errors
/// Our program does not run.
pub(crate) fn field(ours: &Path, iterator_floor: Option<&Path>, with_peers: bool) -> Result<Field> {
    let mut field = Field {
        contenders: Vec::new(),
        versions: Vec::new(),
        missing: Vec::new(),
    };
    let floor = std::env::current_exe()?;
    field.add(DUMP_FLOOR, &floor, &["floor-dump"], Whose::Floor, Question::Part);
    match iterator_floor {
        Some(program) => field.add(ITERATOR_FLOOR, program, &[], Whose::Floor, Question::Part),
        None => field.missing.push(ITERATOR_FLOOR.into()),
    }

    let version = first_line(ours, "--version").with_context(|| format!("{} --version", ours.display()))?;
    ensure!(!version.is_empty(), "{} --version says nothing", ours.display());
    field.versions.push(version);
    field.add("netstat -an", ours, &["-an"], Whose::Ours, Question::List);
    field.add("netstat -ano", ours, &["-ano"], Whose::Ours, Question::Owners);
    // Where the ways to the owners can be chosen, each one is shown.
    if help(ours).contains("--owners") {
        field.add(
            "netstat -ano --owners ebpf",
            ours,
            &["-ano", "--owners", "ebpf"],
            Whose::Ours,
            Question::Owners,
        );
        field.add(
            "netstat -ano --owners proc",
            ours,
            &["-ano", "--owners", "proc"],
            Whose::Ours,
            Question::Owners,
        );
    }
    field.add(
        "netstat -anop tcp",
        ours,
        &["-anop", "tcp"],
        Whose::Ours,
        Question::Part,
    );
    // Formats and filters: of the same list, or of a part of it.
    for (label, words) in [
        ("netstat -an --json", &["-an", "--json"][..]),
        ("netstat -an --csv", &["-an", "--csv"]),
        ("netstat -an --state LISTENING", &["-an", "--state", "LISTENING"]),
        ("netstat -an --port 443", &["-an", "--port", "443"]),
    ] {
        field.add(label, ours, words, Whose::Ours, Question::Part);
    }
    if with_peers {
        field.add_peers();
    }
    Ok(field)
}

impl Field {
    fn add(&mut self, label: &'static str, program: &Path, words: &[&str], whose: Whose, question: Question) {
        let mut all = vec![program.as_os_str().to_owned()];
        all.extend(words.iter().map(OsString::from));
        self.contenders.push(Contender {
            label,
            words: all,
            whose,
            question,
        });
    }

    fn add_peers(&mut self) {
        match in_path("ss") {
            Some(ss) => {
                self.versions
                    .push(first_line(&ss, "-V").unwrap_or_else(|_| "ss".into()));
                self.add(SS_LIST, &ss, &["-tuan"], Whose::Peer, Question::List);
                self.add(SS_OWNERS, &ss, &["-tuanp"], Whose::Peer, Question::Owners);
            }
            None => self.missing.push("ss".into()),
        }
        // Our own program has the same name, so the words of its version decide.
        let net_tools = ["/usr/bin/netstat", "/bin/netstat"]
            .iter()
            .map(PathBuf::from)
            .find_map(|path| {
                Some((
                    first_line(&path, "--version")
                        .ok()
                        .filter(|v| v.contains("net-tools"))?,
                    path,
                ))
            });
        match net_tools {
            Some((version, path)) => {
                self.versions.push(version);
                self.add("net-tools -tuan", &path, &["-tuan"], Whose::Peer, Question::List);
                self.add("net-tools -tuanp", &path, &["-tuanp"], Whose::Peer, Question::Owners);
            }
            None => self.missing.push("net-tools netstat".into()),
        }
        match in_path("lsof") {
            Some(lsof) => {
                self.versions.push(lsof_version(&lsof));
                self.add("lsof -nP -i", &lsof, &["-nP", "-i"], Whose::Peer, Question::Owners);
            }
            None => self.missing.push("lsof".into()),
        }
    }
}

/// The program called `name` in the directories of `PATH` and those of the administrator.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

fn ask(program: &Path, word: &str) -> std::io::Result<Output> {
    Command::new(program).arg(word).stdin(Stdio::null()).output()
}

fn first_line(program: &Path, word: &str) -> std::io::Result<String> {
    let output = ask(program, word)?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned())
}

fn help(program: &Path) -> String {
    ask(program, "--help")
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// `lsof -v` tells its revision in the midst of a text on stderr.
fn lsof_version(lsof: &Path) -> String {
    let text = ask(lsof, "-v")
        .map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
        .unwrap_or_default();
    let revision = text.lines().find_map(|line| line.trim().strip_prefix("revision:"));
    format!("lsof {}", revision.map_or("of unknown version", str::trim))
}
