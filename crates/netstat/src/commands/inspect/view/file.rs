//! The files of a card: the program, and the script it runs.

use netstat_model::process::{FileFacts, FileStatus};
use netstat_model::{Fact, Why, text};
use netstat_packages::packages::{FileOwner, Match};

use super::super::card::{FileView, Subject};
use super::Screen;
use super::lines::Lines;
use crate::context::human::{ago, bytes};

pub(super) fn write(lines: &mut Lines, subject: &Subject, screen: &Screen<'_>) {
    let program = match &subject.facts.program {
        Fact::Known(program) => program,
        // A kernel thread has no file, which its own row already says.
        Fact::Unknown(Why::NotApplicable) => return,
        Fact::Unknown(why) => {
            lines.row("file", &format!("unknown: {}", why.words()));
            return;
        }
    };
    let path = text::escape(&program.path);
    let line = match program.place {
        FileStatus::There => path.into_owned(),
        FileStatus::Removed => format!("{path} REMOVED since it was started"),
        FileStatus::Replaced => format!("{path} REPLACED by another file since it was started"),
        FileStatus::RemovedUnseen => format!("{path} removed or replaced since it was started"),
        FileStatus::Memory => format!("IN MEMORY ONLY, called \"{path}\""),
    };
    lines.row("file", &line);
    if let Some(windows) = &subject.facts.windows {
        if let Some(file) = program.running.known() {
            lines.row("", &format!("{}, {}", bytes(file.size), changed(&file, screen)));
        }
        super::windows::file(lines, windows);
        write_digest(lines, &subject.file);
        return;
    }
    if let Some(facts) = what(program.running, &subject.file, screen) {
        lines.row("", &facts);
    }
    write_view(lines, &subject.file);
    if let Some(script) = &subject.script {
        lines.row("script", &text::escape(&script.path));
        match what(script.file, &script.view, screen) {
            Some(facts) => lines.row("", &facts),
            None => lines.row(
                "",
                &match script.file {
                    Fact::Unknown(Why::Gone) => "no file stands there now".to_owned(),
                    other => format!("unknown: {}", other.why().unwrap_or(Why::Failed).words()),
                },
            ),
        }
        if script.file.known().is_some() {
            write_view(lines, &script.view);
        }
    }
}

/// Describes size, owner, mode and age.
fn what(file: Fact<FileFacts>, view: &FileView, screen: &Screen<'_>) -> Option<String> {
    let file = file.known()?;
    let name = |id: u32, name: &Option<std::sync::Arc<str>>| match name {
        Some(name) => text::escape_str(name).into_owned(),
        None => id.to_string(),
    };
    let changed = changed(&file, screen);
    let writable = if file.writable_by_all() {
        ", WRITABLE BY ANYONE"
    } else {
        ""
    };
    Some(format!(
        "{}, {}:{} {}{writable}, {changed}",
        bytes(file.size),
        name(file.user, &view.owner_names.0),
        name(file.group, &view.owner_names.1),
        mode(file.mode)
    ))
}

fn changed(file: &FileFacts, screen: &Screen<'_>) -> String {
    match file.changed.time() {
        Some(time) => format!("changed {}", ago(time, screen.now)),
        None => "changed at a moment out of all bounds".to_owned(),
    }
}

/// Formats permissions as `ls -l` does, without the file type: `rwxr-xr-x`.
fn mode(mode: u32) -> String {
    let bit = |bit: u32, letter: char| if mode & bit != 0 { letter } else { '-' };
    let execute = |execute: u32, special: u32, both: char, alone: char| match (mode & execute != 0, mode & special != 0)
    {
        (true, true) => both,
        (false, true) => alone,
        (true, false) => 'x',
        (false, false) => '-',
    };
    [
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        execute(0o100, 0o4000, 's', 'S'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        execute(0o010, 0o2000, 's', 'S'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        execute(0o001, 0o1000, 't', 'T'),
    ]
    .into_iter()
    .collect()
}

fn write_view(lines: &mut Lines, view: &FileView) {
    lines.row("", &package(view));
    write_digest(lines, view);
}

fn write_digest(lines: &mut Lines, view: &FileView) {
    match &view.sha256 {
        Ok(digest) => lines.row("SHA-256", &digest.to_string()),
        Err(why) => lines.row("SHA-256", &format!("unknown: {why}")),
    }
}

/// Describes which package installed the file, and whether it has changed since.
fn package(view: &FileView) -> String {
    let Some(ownership) = &view.package else {
        return "package: not looked for".to_owned();
    };
    match &ownership.owner {
        FileOwner::Package(package) => {
            let version = package
                .version
                .as_ref()
                .known()
                .map_or_else(String::new, |version| format!(" {}", text::escape_str(version)));
            let verified = match &view.verified {
                Some(found @ Match::Differs { .. }) => found.words().replace("differs", "DIFFERS"),
                Some(found) => found.words(),
                None => "not compared".to_owned(),
            };
            let said = format!(
                "package {}{version} ({})",
                text::escape_str(&package.name),
                package.database.name()
            );
            match &view.root {
                None => format!("{said}: {verified}"),
                Some(root) if root.is_anybodys => format!(
                    "package unknown: {} claims {said}, but any user can have made that database",
                    root.name
                ),
                Some(root) => format!("{said} by the database of {}: {verified}", root.name),
            }
        }
        FileOwner::Nobody => match &ownership.origin {
            Some(origin) => {
                let name = origin
                    .name
                    .as_ref()
                    .map_or_else(String::new, |name| format!(" ({name})"));
                format!(
                    "no package owns it; it lies in the place of {}{name}",
                    origin.manager.words()
                )
            }
            None => "no package owns it".to_owned(),
        },
        FileOwner::Unknown(reason) => format!("package unknown: {}", reason.words()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_permissions_are_shown_as_by_ls() {
        for (bits, shown) in [
            (0o755, "rwxr-xr-x"),
            (0o4755, "rwsr-xr-x"),
            (0o2711, "rwx--s--x"),
            (0o4644, "rwSr--r--"),
            (0o1777, "rwxrwxrwt"),
            (0o1666, "rw-rw-rwT"),
            (0, "---------"),
        ] {
            assert_eq!(mode(bits), shown);
        }
    }
}
