//! The types that describe the owner of a file.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use netstat_model::text::shell_command;
use netstat_model::{Fact, Why};

use super::origin::Origin;
use crate::digest::Digest;

/// The answer for one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The path, as requested.
    pub path: PathBuf,
    /// The owner of the file.
    pub owner: FileOwner,
    /// What the location suggests, if no package is known to own the file.
    pub origin: Option<Origin>,
}

/// The owner of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOwner {
    /// A package of the distribution.
    Package(Box<Package>),
    /// No package: all package databases were read, and none lists the file.
    Nobody,
    /// The owner cannot be determined.
    Unknown(Unsaid),
}

impl FileOwner {
    /// Returns the package that owns the file, if any.
    pub fn package(&self) -> Option<&Package> {
        match self {
            FileOwner::Package(package) => Some(package),
            _ => None,
        }
    }
}

/// A package that owns a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The kind of database.
    pub database: Database,
    /// The name, without architecture and version. Untrusted; escape it before printing.
    pub name: String,
    /// The version as written in the database, with epoch and release. Untrusted.
    pub version: Fact<String>,
    /// The architecture as written in the database: `amd64`, `all`, `x86_64`, `noarch`. Untrusted.
    pub architecture: Fact<String>,
    /// The path that the package lists. It differs from the requested path if directories were merged (`/bin/cat`) or
    /// the file was diverted.
    pub listed_as: PathBuf,
    /// Whether the file is configuration, which administrators are expected to change.
    pub configuration: bool,
    /// The digest that the database records for the content of the file.
    pub recorded: Recorded,
    /// When the package was last installed or upgraded: for dpkg the modification time of its list, for rpm
    /// `INSTALLTIME`, for pacman `%INSTALLDATE%`. apk does not record it.
    pub installed: Fact<SystemTime>,
}

impl Package {
    /// Whether the package was installed or upgraded after `moment`. If so, the program file of a process that was
    /// started then may have been replaced.
    pub fn installed_since(&self, moment: SystemTime) -> Fact<bool> {
        self.installed.map(|installed| installed > moment)
    }

    /// Returns the command by which the package manager compares the files of the package with its database, in the
    /// caller's own root or in the directory `root`. The command runs no code of the package.
    pub fn verify_command(&self, root: Option<&Path>) -> String {
        let (program, root_option, rest): (_, _, &[&[u8]]) = match self.database {
            Database::Dpkg => ("dpkg", "--root=", &[b"--verify"]),
            Database::Rpm => ("rpm", "--root=", &[b"-V", b"--noscripts", b"--"]),
            Database::Apk => ("apk", "--root=", &[b"audit", b"--packages", b"--"]),
            Database::Pacman => ("pacman", "--sysroot=", &[b"-Qkk", b"--"]),
        };
        let root = root.map(|root| [root_option.as_bytes(), root.as_os_str().as_encoded_bytes()].concat());
        let words: Vec<&[u8]> = root.iter().map(Vec::as_slice).chain(rest.iter().copied()).collect();
        // dpkg does not accept "--" before names; names of its packages begin with a letter or digit (deb-control(5)).
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
    /// Debian and its derivatives, `/var/lib/dpkg`.
    Dpkg,
    /// Fedora, RHEL, SUSE and their derivatives, `/usr/lib/sysimage/rpm` or `/var/lib/rpm`.
    Rpm,
    /// Alpine, `/lib/apk/db`.
    Apk,
    /// Arch, `/var/lib/pacman`.
    Pacman,
}

impl Database {
    /// Returns the name of the package manager.
    pub const fn name(self) -> &'static str {
        match self {
            Database::Dpkg => "dpkg",
            Database::Rpm => "rpm",
            Database::Apk => "apk",
            Database::Pacman => "pacman",
        }
    }
}

/// The digest that a database records for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The digest.
    Digest(Digest),
    /// There is no digest, for this reason.
    None(NoRecord),
}

/// Why no digest is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRecord {
    /// The package records no digests of its files.
    NotKept,
    /// The package records digests, but none for this file: it is a link, a directory, or was created during
    /// installation.
    NotListed,
    /// The file is not part of the package's content (in rpm: a ghost file).
    Ghost,
    /// The record uses an unknown algorithm or format.
    Unreadable,
    /// The file that contains the digests could not be read, for this reason.
    NotRead(Why),
}

impl NoRecord {
    /// Returns a description of the reason, to follow "no digest recorded: ".
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

/// Why the owner of a file cannot be determined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// The root directory could not be opened.
    NoRoot(Why),
    /// There is no package database below the root.
    NoDatabase,
    /// This database could not be read completely, and the part that was read does not list the file.
    Trouble(Trouble),
}

impl Unsaid {
    /// Returns a description of the reason in one line, to follow "owner unknown: ".
    pub fn words(&self) -> String {
        match self {
            Unsaid::NoRoot(why) => format!("the root directory of the process: {}", why.words()),
            Unsaid::NoDatabase => "no package database was found".to_owned(),
            Unsaid::Trouble(trouble) => trouble.words(),
        }
    }
}

/// A problem with a database or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The kind of database.
    pub database: Database,
    /// The file or directory.
    pub path: PathBuf,
    /// The problem.
    pub problem: Problem,
}

impl Trouble {
    /// Returns a description of the problem, in one line.
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

/// The kind of problem with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It could not be read.
    Read(Why),
    /// It has this format, which is not supported.
    Format(&'static str),
    /// Its content is invalid.
    Damaged,
}
