//! The Windows-specific parts of a card: user and rights, signature of the program, firewall rules for its ports.

use netstat_model::process::{FileAccess, Mapped, ProcessFacts, Signature, WindowsProcess, sid_name};
use netstat_model::windows_host::ProfileVerdict;
use netstat_model::{Component, Fact, text};

use super::super::reach::WindowsReach;
use super::lines::Lines;
use crate::context::human::{bytes, plural};

/// Formats the user: `user DESK\anna`.
pub(super) fn user(windows: &WindowsProcess) -> String {
    match (&windows.user, &windows.sid) {
        (Fact::Known(name), _) => format!("user {}", text::escape(name)),
        (_, Fact::Known(sid)) => {
            let sid = text::escape(sid);
            match sid_name(&sid) {
                known if known != sid => format!("user {sid} ({known})"),
                _ => format!("user {sid}"),
            }
        }
        (_, Fact::Unknown(why)) => format!("user unknown: {}", why.words()),
    }
}

/// Lists the services and packages of the process.
pub(super) fn runs_in(facts: &ProcessFacts) -> String {
    match &facts.components {
        Fact::Known(components) if components.is_empty() => {
            format!("no service or package, session {}", facts.session)
        }
        Fact::Known(components) => {
            let words = |component: &Component| match component {
                Component::Service { name } => Some(format!("service {}", text::escape(name))),
                Component::Package { name } => Some(format!("package {}", text::escape(name))),
                // Components of other systems.
                Component::Unit { .. } | Component::Container { .. } => None,
            };
            components.iter().filter_map(words).collect::<Vec<_>>().join(", ")
        }
        Fact::Unknown(why) => format!("unknown service ({})", why.words()),
    }
}

/// Describes integrity level, elevation and protection.
pub(super) fn rights(windows: &WindowsProcess) -> String {
    let mut parts = vec![match windows.integrity {
        Fact::Known(level) => format!("integrity {}", level.name()),
        Fact::Unknown(why) => format!("integrity unknown: {}", why.words()),
    }];
    match windows.elevated {
        Fact::Known(true) => parts.push("elevated".to_owned()),
        Fact::Known(false) => parts.push("not elevated".to_owned()),
        // The reason is the same as for the integrity level.
        Fact::Unknown(_) => {}
    }
    if windows.app_container == Fact::Known(true) {
        parts.push("in an app container".to_owned());
    }
    match windows.protection {
        Fact::Known(protection) => parts.push(protection.words()),
        Fact::Unknown(why) => parts.push(format!("protection unknown: {}", why.words())),
    }
    parts.join(", ")
}

/// Describes executable memory that does not belong to a file.
pub(super) fn memory(facts: &ProcessFacts) -> Option<String> {
    let mappings = match &facts.executable {
        Fact::Known(mappings) => mappings,
        Fact::Unknown(why) => return Some(format!("code in its memory unknown: {}", why.words())),
    };
    let private = || {
        let all = mappings.iter();
        all.filter(|mapping| matches!(mapping.what, Mapped::Anonymous) && !mapping.shared)
    };
    let files = mappings
        .iter()
        .filter(|mapping| matches!(mapping.what, Mapped::File { .. }));
    let mut names: Vec<&[u8]> = files
        .filter_map(|mapping| match &mapping.what {
            Mapped::File { path, .. } => Some(path.as_slice()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let modules = plural(names.len() as u64, "file");
    Some(match private().count() {
        0 => format!("code of {modules}, none without a file"),
        count => {
            let size: u64 = private().map(|mapping| mapping.end.saturating_sub(mapping.start)).sum();
            let writable = match private().filter(|mapping| mapping.writable).count() {
                0 => String::new(),
                count => format!(", {count} of them writable"),
            };
            format!(
                "code of {modules}, and {} of code without a file in {}{writable}",
                bytes(size),
                plural(count as u64, "part")
            )
        }
    })
}

/// Writes whether the program is signed, and who may modify it.
pub(super) fn file(lines: &mut Lines, windows: &WindowsProcess) {
    lines.row("signature", &signature(&windows.signature));
    lines.row(
        "",
        &format!(
            "the file can be changed by {}; files can be put beside it by {}",
            access(&windows.file_access),
            access(&windows.directory_access)
        ),
    );
}

fn signature(signature: &Fact<Signature>) -> String {
    match signature {
        Fact::Known(Signature::Valid { signer, catalogue }) => {
            let how = if *catalogue {
                "by a catalogue of the system"
            } else {
                "in the file"
            };
            let name = match signer.is_empty() {
                true => "a signer without a name".into(),
                false => text::escape(signer),
            };
            format!("valid, of {name}, {how}")
        }
        Fact::Known(Signature::None) => "NONE, neither in the file nor in a catalogue".to_owned(),
        Fact::Known(Signature::Invalid(code)) => format!("NOT VALID: {}", Signature::reason(*code)),
        Fact::Known(Signature::NotInFile) => {
            "unknown: none in the file, and the system's catalogues could not be asked".to_owned()
        }
        Fact::Unknown(why) => format!("unknown: {}", why.words()),
    }
}

fn access(access: &Fact<FileAccess>) -> String {
    match access {
        Fact::Known(access) if access.is_administrators_only() => "administrators and the system only".to_owned(),
        Fact::Known(access) if access.open => "everyone: it has no access list".to_owned(),
        Fact::Known(access) => {
            let mut names: Vec<&str> = access.writers.iter().map(|sid| sid_name(sid)).collect();
            if !netstat_model::process::is_administrative(&access.owner) && !access.writers.contains(&access.owner) {
                names.push(sid_name(&access.owner));
            }
            text::escape_str(&names.join(", ")).into_owned()
        }
        Fact::Unknown(why) => format!("unknown ({})", why.words()),
    }
}

/// Describes how the firewall treats a port, and where a port proxy leads; safe to print.
pub(super) fn reach(reach: &WindowsReach) -> Vec<String> {
    let mut lines = match &reach.firewall {
        Fact::Known(verdicts) => ProfileVerdict::lines(verdicts),
        Fact::Unknown(why) => vec![format!(
            "whether Windows Firewall lets anybody in is unknown: {}",
            why.words()
        )],
    };
    lines.extend(reach.proxies.iter().map(|proxy| format!("port proxy: {proxy}")));
    lines
}
