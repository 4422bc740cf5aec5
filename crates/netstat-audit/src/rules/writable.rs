//! Detects programs whose file other users can modify.

use netstat_model::process::FileStatus;
use netstat_model::text::escape;

use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "writable",
    title: "the program's file can be changed by others",
    explanation: "Whoever may write to a program's file, or to a directory above it, decides what runs there next. Medium when anyone may (mode o+w; \
        a sticky directory such as /tmp protects what is in it), or when the program of a root process, or a directory above it, belongs to another user; \
        low when a file that belongs to a third user runs under one who is not root. A user's own program is none of this.",
    harmless: "a shared directory on purpose; a service whose program belongs to the user who deploys it",
    technique: "T1574.010",
    family: Family::FileStatus,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(program) = case.facts.program.as_ref().known() else {
        return;
    };
    if program.place != FileStatus::There {
        return;
    }
    if case.facts.namespaces.user.known().is_some_and(|space| !space.ours) {
        notes.unexamined("who may write to the program: it runs in a user namespace of its own");
        return;
    }
    let Some(users) = case.facts.users.known() else { return };
    let Some(file) = program.running.known() else { return };
    let directories = program.directories.as_ref().known().map_or(&[][..], Vec::as_slice);
    let all = std::iter::once((program.path.as_slice(), file)).chain(
        directories
            .iter()
            .filter_map(|directory| Some((directory.path.as_slice(), directory.file.known()?))),
    );
    let mut evidence = Vec::new();
    let mut unmapped = false;
    let mut severity = None;
    for (path, file) in all {
        let shown = escape(path);
        let (weight, line) = if file.writable_by_all() {
            (
                Severity::Medium,
                format!("{shown} has mode {:04o}: anyone may write to it", file.mode & 0o7777),
            )
        } else if file.user == 0 || file.user == users.effective || file.user == users.real {
            continue;
        } else if Some(file.user) == case.host.unmapped_user {
            unmapped = true;
            continue;
        } else if users.effective == 0 {
            (
                Severity::Medium,
                format!("{shown} belongs to user {}, the process runs as root", file.user),
            )
        } else {
            (
                Severity::Low,
                format!(
                    "{shown} belongs to user {}, the process runs as user {}",
                    file.user, users.effective
                ),
            )
        };
        severity = severity.max(Some(weight));
        evidence.push(line);
    }
    if unmapped {
        notes.unexamined("who may write to the program: its owner has no number in this user namespace");
    }
    let Some(severity) = severity else { return };
    notes.found(Note {
        severity,
        headline: match severity {
            Severity::Medium => "runs from a file that others may change".to_owned(),
            _ => "runs from a file of another user".to_owned(),
        },
        evidence,
        verify: format!("namei -l \"$(readlink /proc/{}/exe)\"", case.facts.pid),
        would_change: "the owner and the mode are corrected, or those who may write are trusted as much as the process"
            .to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn program_file_that_others_may_change_is_found() {
        let made = |user, mode| {
            Made::program("/opt/x/y")
                .unowned()
                .user(user)
                .file(mode, 0)
                .listening("0.0.0.0:80")
        };
        assert_eq!(made(0, 0o100_755).check(&RULE), []);
        assert_eq!(made(0, 0o100_777).check(&RULE), [Severity::Medium]);
        assert_eq!(made(1000, 0o100_757).check(&RULE), [Severity::Medium]);
        let owned = |user, owner| Made::program("/opt/x/y").user(user).file(0o100_755, owner).check(&RULE);
        assert_eq!(owned(0, 1000), [Severity::Medium]);
        assert_eq!(owned(1000, 1000), []);
        assert_eq!(owned(33, 1000), [Severity::Low]);
        let unmapped = |host_has| {
            let mut made = Made::program("/opt/x/y").user(0).file(0o100_755, 65_534);
            made.host.unmapped_user = host_has;
            made.check(&RULE)
        };
        assert_eq!(unmapped(None), [Severity::Medium]);
        assert_eq!(unmapped(Some(65_534)), []);
        let below = |mode| Made::program("/opt/x/y").directory("/opt/x", mode, 0).check(&RULE);
        assert_eq!(below(0o040_777), [Severity::Medium]);
        assert_eq!(below(0o041_777), []);
    }
}
