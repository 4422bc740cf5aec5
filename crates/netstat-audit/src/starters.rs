//! What started a program, and which files would start it again: the tables of cron(8) and at(1), systemd units, and
//! scripts that run at login or on network events.

use std::path::{Path, PathBuf};

use netstat_model::process::ProcessFacts;
use netstat_model::text::escape;
use netstat_model::{Component, Fact, UnitManager, Why};

use crate::case::base;
use crate::files::{Files, RootView, path_of};

/// Programs that start others at set times: cron and its successors, and at(1).
const TIMERS: &[&[u8]] = &[b"cron", b"crond", b"fcron", b"cronie", b"anacron", b"atd", b"dcron"];

/// Files that name programs to be started: crontab(5), rc.local(8), inittab(5), profile scripts of bash(1) and zsh(1).
const FILES: &[&str] = &[
    "/etc/crontab",
    "/etc/anacrontab",
    "/etc/rc.local",
    "/etc/inittab",
    "/etc/profile",
    "/etc/bash.bashrc",
    "/etc/bashrc",
    "/etc/zsh/zshrc",
    "/etc/zsh/zprofile",
];

/// Directories of such files: crontab(5), at(1), systemd.unit(5), the autostart specification of freedesktop.org,
/// udev(7), interfaces(5), NetworkManager-dispatcher(8), update-motd(5), apt.conf(5).
const DIRECTORIES: &[&str] = &[
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron",
    "/var/spool/cron/crontabs",
    "/var/spool/cron/atjobs",
    "/var/spool/at",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/etc/systemd/user",
    "/etc/init.d",
    "/etc/profile.d",
    "/etc/xdg/autostart",
    "/etc/udev/rules.d",
    "/etc/network/if-up.d",
    "/etc/NetworkManager/dispatcher.d",
    "/etc/update-motd.d",
    "/etc/apt/apt.conf.d",
];

/// Such files in the home directory of a user.
const HOME_FILES: &[&str] = &[
    ".profile",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".xprofile",
    ".xsession",
];

/// Directories of such files in the home directory of a user.
const HOME_DIRECTORIES: &[&str] = &[".config/systemd/user", ".config/autostart"];

/// The number of bytes read of each file. Tables and units are smaller; what comes later in a file is not found.
const LARGEST: usize = 64 << 10;

/// The maximum number of files read from a directory.
const MOST_FILES: usize = 500;

/// The maximum number of lines reported for a process.
const MOST_LINES: usize = 8;

/// What started a process, and what would start it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Starters {
    /// The timer, or the user's service manager, that it descends from; safe to print.
    pub by: Vec<String>,
    /// The files that name the program or script, each with the line number: `/etc/cron.d/update, line 3`. Safe to
    /// print.
    pub named_in: Vec<String>,
    /// The places that could not be searched; safe to print.
    pub unread: Vec<String>,
}

impl Starters {
    /// Returns everything as lines of text for display.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.by.clone();
        lines.extend(self.named_in.iter().map(|place| format!("{place} names it")));
        if !self.unread.is_empty() {
            const NAMED: usize = 3;
            let named = self.unread.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let more = match self.unread.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            lines.push(format!("not searched: {named}{more}"));
        }
        lines
    }
}

/// A file that can start programs, with its content.
struct Table {
    path: PathBuf,
    content: Vec<u8>,
}

/// The search, which reads the files once for all processes.
#[derive(Default)]
pub(super) struct Search {
    system: Option<(Vec<Table>, Vec<String>)>,
    homes: Vec<(u32, Vec<Table>)>,
}

impl Search {
    /// Finds what starts the process with these facts, whose script is at `script`. Many files start a packaged
    /// program, so that only its script is searched for then.
    pub(super) fn of(
        &mut self,
        files: &mut dyn Files,
        facts: &ProcessFacts,
        packaged: bool,
        script: Option<&[u8]>,
    ) -> Starters {
        let mut starters = Starters {
            by: started_by(facts),
            ..Starters::default()
        };
        // The files of another root belong to another system.
        if !RootView::of(facts).is_own() {
            return starters;
        }
        let program = facts.program.as_ref().known().map(|program| program.path.as_slice());
        let sought: Vec<&[u8]> = program.filter(|_| !packaged).into_iter().chain(script).collect();
        if sought.is_empty() {
            return starters;
        }
        let (tables, unread) = self.system.get_or_insert_with(|| system_tables(files));
        starters.unread.clone_from(unread);
        find(tables, &sought, &mut starters.named_in);
        if let Fact::Known(users) = facts.users {
            let user = users.real;
            if !self.homes.iter().any(|(known, _)| *known == user) {
                let tables = home(files, user).map(|home| home_tables(files, &home));
                self.homes.push((user, tables.unwrap_or_default()));
            }
            for (_, tables) in self.homes.iter().filter(|(known, _)| *known == user) {
                find(tables, &sought, &mut starters.named_in);
            }
        }
        starters.named_in.truncate(MOST_LINES);
        starters
    }
}

/// Returns the timer among the ancestors, and the user's service manager that runs the process.
fn started_by(facts: &ProcessFacts) -> Vec<String> {
    let mut lines = Vec::new();
    let chain = facts.ancestors.as_ref().known().map_or(&[][..], Vec::as_slice);
    let timer = chain.iter().find_map(|ancestor| {
        let path = ancestor.path.as_ref().known()?;
        TIMERS.contains(&base(path)).then_some((base(path), ancestor.pid))
    });
    if let Some((name, pid)) = timer {
        lines.push(format!("{} (PID {pid})", escape(name)));
    }
    let components = facts.components.as_ref().known().map_or(&[][..], Vec::as_slice);
    let unit = components.iter().rev().find_map(|component| match component {
        Component::Unit {
            name,
            manager: UnitManager::User(user),
        } if name.ends_with(b".service") => Some((name, user)),
        _ => None,
    });
    if let Some((name, user)) = unit {
        lines.push(format!("unit {} of the service manager of user {user}", escape(name)));
    }
    lines
}

fn system_tables(files: &mut dyn Files) -> (Vec<Table>, Vec<String>) {
    let mut tables = Vec::new();
    let mut unread = Vec::new();
    for path in FILES {
        read(files, Path::new(path), &mut tables, &mut unread);
    }
    for directory in DIRECTORIES {
        read_directory(files, Path::new(directory), &mut tables, &mut unread);
    }
    (tables, unread)
}

fn home_tables(files: &mut dyn Files, home: &Path) -> Vec<Table> {
    let mut tables = Vec::new();
    // That a user's files are private is expected and not reported.
    let mut unread = Vec::new();
    for name in HOME_FILES {
        read(files, &home.join(name), &mut tables, &mut unread);
    }
    for name in HOME_DIRECTORIES {
        read_directory(files, &home.join(name), &mut tables, &mut unread);
    }
    tables
}

fn read_directory(files: &mut dyn Files, directory: &Path, tables: &mut Vec<Table>, unread: &mut Vec<String>) {
    match files.names(Path::new("/"), directory, MOST_FILES) {
        Ok(names) => {
            for name in names {
                read(files, &directory.join(path_of(&name)), tables, unread);
            }
        }
        Err(Why::Gone) => {}
        Err(_) => unread.push(escape(directory.as_os_str().as_encoded_bytes()).into_owned()),
    }
}

fn read(files: &mut dyn Files, path: &Path, tables: &mut Vec<Table>, unread: &mut Vec<String>) {
    match files.beginning(Path::new("/"), path, LARGEST) {
        Ok(content) => tables.push(Table {
            path: path.to_owned(),
            content,
        }),
        // A directory, or a dangling link.
        Err(Why::Gone | Why::NotApplicable) => {}
        Err(_) => unread.push(escape(path.as_os_str().as_encoded_bytes()).into_owned()),
    }
}

/// Returns the home directory of a user listed in passwd(5). Users of other name services are not found.
fn home(files: &mut dyn Files, user: u32) -> Option<PathBuf> {
    const LARGEST: usize = 1 << 20;
    let text = files
        .beginning(Path::new("/"), Path::new("/etc/passwd"), LARGEST)
        .ok()?;
    let number = user.to_string();
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let home = (fields.nth(2)? == number.as_bytes()).then(|| fields.nth(2)).flatten()?;
        home.starts_with(b"/").then(|| path_of(home))
    })
}

/// Adds the lines of `tables` that name one of the paths, except comments.
fn find(tables: &[Table], sought: &[&[u8]], found: &mut Vec<String>) {
    for table in tables {
        for (number, line) in table.content.split(|byte| *byte == b'\n').enumerate() {
            let is_comment = line.trim_ascii_start().starts_with(b"#") && !line.starts_with(b"#!");
            if found.len() < MOST_LINES && !is_comment && sought.iter().any(|path| names(line, path)) {
                let path = table.path.as_os_str().as_encoded_bytes();
                found.push(format!("{}, line {}", escape(path), number + 1));
            }
        }
    }
}

/// Whether a line names the path as a whole, not as part of a longer one.
fn names(line: &[u8], path: &[u8]) -> bool {
    // "/" and the empty path would match almost every line.
    if path.len() < 2 {
        return false;
    }
    let is_of_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@%~".contains(byte) || !byte.is_ascii();
    line.windows(path.len()).enumerate().any(|(at, window)| {
        let before = at.checked_sub(1).map(|at| &line[at]);
        // systemd.service(5) allows flags directly before the path of the command.
        let free_before = before.is_none_or(|byte| !is_of_path(byte) || b"-@+".contains(byte));
        window == path && free_before && line.get(at + path.len()).is_none_or(|byte| !is_of_path(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starter_line_names_path_only_as_a_whole() {
        for line in [
            "* * * * * root /tmp/x",
            "ExecStart=/tmp/x --serve",
            "ExecStart=-/tmp/x",
            "(\"/tmp/x\")",
            "nohup /tmp/x&",
        ] {
            assert!(names(line.as_bytes(), b"/tmp/x"), "{line}");
        }
        for line in ["/tmp/xy", "/var/tmp/x", "/tmp/x/y", "/tmp/x.sh", "/tmp", ""] {
            assert!(!names(line.as_bytes(), b"/tmp/x"), "{line}");
        }
        assert!(!names(b"/ // /", b"/"));
        assert!(!names(b"anything", b""));
    }

    #[test]
    fn starter_comment_is_ignored_but_interpreter_line_counts() {
        let table = |content: &str| Table {
            path: "/etc/cron.d/a".into(),
            content: content.into(),
        };
        let mut found = Vec::new();
        let text = "# /tmp/x was here\n  # /tmp/x\n\n@reboot root /tmp/x\n";
        find(&[table(text)], &[b"/tmp/x"], &mut found);
        assert_eq!(found, ["/etc/cron.d/a, line 4"]);
        find(&[table("#!/tmp/x\n")], &[b"/tmp/x"], &mut found);
        assert_eq!(found.len(), 2, "an interpreter is named by its script");
    }

    #[test]
    fn starter_lines_found_are_limited_and_escaped() {
        let table = Table {
            path: "/etc/a\u{1b}b".into(),
            content: "/tmp/x\n".repeat(100).into(),
        };
        let mut found = Vec::new();
        find(&[table], &[b"/tmp/x"], &mut found);
        assert_eq!(found.len(), MOST_LINES);
        assert!(found.iter().all(|line| !line.contains('\u{1b}')), "{found:?}");
    }
}
