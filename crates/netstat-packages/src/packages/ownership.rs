//! What is known about the owner of a file.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use netstat_model::text::shell_command;
use netstat_model::{Fact, Why};

use super::origin::Origin;
use crate::digest::Digest;

/// The answer for one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The path as it was asked for.
    pub path: PathBuf,
    /// Who owns the file.
    pub owner: FileOwner,
    /// What the file's location says when no package is known to list it: another package manager, a tool, a habit.
    pub origin: Option<Origin>,
}

/// Who owns a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOwner {
    /// A package of the distribution lists it.
    Package(Box<Package>),
    /// Every package database there is was read, and none lists it.
    Nobody,
    /// It cannot be said.
    Unknown(Unsaid),
}

impl FileOwner {
    /// The package, if one lists the file.
    pub fn package(&self) -> Option<&Package> {
        match self {
            FileOwner::Package(package) => Some(package),
            _ => None,
        }
    }
}

/// A package that lists a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The kind of database that says so.
    pub database: Database,
    /// Name without architecture or version. From outside: escape it before it is printed.
    pub name: String,
    /// Version as the database writes it, with epoch and release. From outside.
    pub version: Fact<String>,
    /// Architecture as the database writes it: `amd64`, `all`, `x86_64`, `noarch`. From outside.
    pub architecture: Fact<String>,
    /// The path by which the package knows the file: another one than was asked for where directories were merged
    /// (`/bin/cat`) or the file was diverted.
    pub listed_as: PathBuf,
    /// Whether the file is configuration, which an administrator is expected to change.
    pub configuration: bool,
    /// The digest the database keeps of the file's content.
    pub recorded: Recorded,
    /// When the package was installed or upgraded last: dpkg the change of its list, rpm `INSTALLTIME`, pacman
    /// `%INSTALLDATE%`; apk keeps no such time.
    pub installed: Fact<SystemTime>,
}

impl Package {
    /// Whether the package was installed or upgraded after `moment`: of a process that started then, the program file
    /// may since have been replaced.
    pub fn installed_since(&self, moment: SystemTime) -> Fact<bool> {
        self.installed.map(|installed| installed > moment)
    }

    /// The command by which the package manager compares the package's files with its database: that of the caller's own root, or of
    /// the directory `root`. It runs nothing that the package brings.
    pub fn verify_command(&self, root: Option<&Path>) -> String {
        let (program, root_option, rest): (_, _, &[&[u8]]) = match self.database {
            Database::Dpkg => ("dpkg", "--root=", &[b"--verify"]),
            Database::Rpm => ("rpm", "--root=", &[b"-V", b"--noscripts", b"--"]),
            Database::Apk => ("apk", "--root=", &[b"audit", b"--packages", b"--"]),
            Database::Pacman => ("pacman", "--sysroot=", &[b"-Qkk", b"--"]),
        };
        let root = root.map(|root| [root_option.as_bytes(), root.as_os_str().as_encoded_bytes()].concat());
        let words: Vec<&[u8]> = root.iter().map(Vec::as_slice).chain(rest.iter().copied()).collect();
        // dpkg takes no "--" before names; names of its packages begin with a letter or digit (deb-control(5)).
        let name = self.name.as_bytes();
        match name.first() {
            Some(first) if *first != b'-' => shell_command(program, &[words.as_slice(), &[name]].concat()),
            _ => shell_command(program, &words),
        }
    }
}

/// A kind of package database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Database {
    /// Debian and its descendants, `/var/lib/dpkg`.
    Dpkg,
    /// Fedora, RHEL, SUSE and theirs, `/usr/lib/sysimage/rpm` or `/var/lib/rpm`.
    Rpm,
    /// Alpine, `/lib/apk/db`.
    Apk,
    /// Arch, `/var/lib/pacman`.
    Pacman,
}

impl Database {
    /// The name of the program that keeps it.
    pub const fn name(self) -> &'static str {
        match self {
            Database::Dpkg => "dpkg",
            Database::Rpm => "rpm",
            Database::Apk => "apk",
            Database::Pacman => "pacman",
        }
    }
}

/// The digest that a database keeps of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// This one.
    Digest(Digest),
    /// None, for this reason.
    None(NoRecord),
}

/// Why there is no recorded digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRecord {
    /// The package keeps no digests of its files.
    NotKept,
    /// The package keeps digests, but none of this file: a link, a directory, or made when the package was installed.
    NotListed,
    /// The record says that the file is not part of the package's content (rpm: ghost).
    Ghost,
    /// The record names an algorithm or has a form that this program does not know.
    Unreadable,
    /// The file that holds the digests could not be read, for this reason.
    NotRead(Why),
}

impl NoRecord {
    /// The reason in plain words, to follow "no digest recorded: ".
    pub const fn words(self) -> &'static str {
        match self {
            NoRecord::NotKept => "the package keeps no digests",
            NoRecord::NotListed => "the package keeps none of this file",
            NoRecord::Ghost => "the file is not part of the package's content",
            NoRecord::Unreadable => "the record has an unknown form",
            NoRecord::NotRead(why) => why.words(),
        }
    }
}

/// Why the owner of a file cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// The root directory itself could not be opened.
    NoRoot(Why),
    /// There is no package database under the root.
    NoDatabase,
    /// This database could not be read as a whole, and what was read does not list the file.
    Trouble(Trouble),
}

impl Unsaid {
    /// The reason in plain words, one line, to follow "owner unknown: ".
    pub fn words(&self) -> String {
        match self {
            Unsaid::NoRoot(why) => format!("the root directory of the process: {}", why.words()),
            Unsaid::NoDatabase => "no package database was found".to_owned(),
            Unsaid::Trouble(trouble) => trouble.words(),
        }
    }
}

/// A database, or a part of one, that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The kind of database.
    pub database: Database,
    /// The file or directory.
    pub path: PathBuf,
    /// What is the matter.
    pub problem: Problem,
}

impl Trouble {
    /// The trouble in plain words, one line.
    pub fn words(&self) -> String {
        let path = netstat_model::text::escape(self.path.as_os_str().as_encoded_bytes());
        match &self.problem {
            Problem::Read(why) => format!("{} database {path}: {}", self.database.name(), why.words()),
            Problem::Format(format) => {
                format!("unsupported {} database format {format} ({path})", self.database.name())
            }
            Problem::Damaged => format!("{} database {path} is damaged", self.database.name()),
        }
    }
}

/// What is the matter with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It could not be read.
    Read(Why),
    /// It has this format, which this program does not read.
    Format(&'static str),
    /// What was read makes no sense.
    Damaged,
}
