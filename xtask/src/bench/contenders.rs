//! The commands that are measured: this project's program, the floors, and comparable programs on the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

/// The origin of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This project's.
    Ours,
    /// A floor: no program can be faster with the same kernel interface.
    Floor,
    /// Another project's.
    Peer,
}

/// The question that a command answers. Only commands that answer the same question are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// All TCP and UDP sockets.
    List,
    /// The same, with the process of each.
    Owners,
    /// A part of the list, which is compared only with the floor.
    Part,
}

/// A command to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// The unique label in the tables.
    pub label: &'static str,
    /// The command line; the first element is an absolute path.
    pub words: Vec<OsString>,
    pub whose: Whose,
    pub question: Question,
}

/// The label of the floor that all times are divided by.
pub(crate) const DUMP_FLOOR: &str = "dump floor";
/// The label of the floor for lists with owners.
pub(crate) const ITERATOR_FLOOR: &str = "iterator floor";
/// The programs that a list and a list with owners are compared with.
pub(crate) const SS_LIST: &str = "ss -tuan";
pub(crate) const SS_OWNERS: &str = "ss -tuanp";

/// The commands that take part, and those that do not, with the reason.
pub(crate) struct Field {
    pub contenders: Vec<Contender>,
    /// The name and version of each program.
    pub versions: Vec<String>,
    /// The floors and other programs that are not available.
    pub missing: Vec<String>,
}

/// Collects the commands to compare with the program at `ours`, including the floor for owners if it was built.
///
/// # Errors
/// Returns an error if the program cannot be run.
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
    // If the method of finding owners can be chosen, each one is measured.
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
    // Formats and filters, for the same list or a part of it.
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
        // Our own program has the same name, so look at the output of `--version`.
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

/// Returns the program called `name` in the directories in `PATH` and those for administrators.
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

/// Returns the revision of lsof, which `lsof -v` prints within a text on stderr.
fn lsof_version(lsof: &Path) -> String {
    let text = ask(lsof, "-v")
        .map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
        .unwrap_or_default();
    let revision = text.lines().find_map(|line| line.trim().strip_prefix("revision:"));
    format!("lsof {}", revision.map_or("of unknown version", str::trim))
}
