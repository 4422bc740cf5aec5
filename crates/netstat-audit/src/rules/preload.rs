//! Detects libraries that are loaded into a program from outside.

use netstat_model::Fact;
use netstat_model::text::shell_quoted;

use crate::case::{Case, Exposure, FileLook, Host, Preload};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "preload",
    title: "a library was loaded into the program by LD_PRELOAD or LD_AUDIT",
    explanation: "A library that is loaded before all others can change everything a program does. The environment at the start is read, and the library looked \
        up. Info when a package owns it; low when its place names another way of installing; high when no package owns it (low when a user keeps it in ~/.local/lib for own programs), medium where the program only talks \
        to this computer; low when it is named but is not in the program's memory.",
    harmless: "jemalloc, tcmalloc, faketime, fakeroot, proxychains, stderred, game overlays",
    technique: "T1574.006",
    family: Family::Memory,
    check: Check::Process(check),
};

/// The corresponding rule for libraries that are loaded into all programs.
pub(crate) static EVERYWHERE: Rule = Rule {
    name: "preload-everywhere",
    title: "/etc/ld.so.preload loads a library into every program",
    explanation: "The dynamic linker loads the libraries named in /etc/ld.so.preload into every program, which is how rootkits without a kernel part hide. On \
        most systems there is no such file. Low when a package owns the library, critical when none does, high where that cannot be told.",
    harmless: "a few appliances and security agents; older Raspberry Pi OS (libarmmem)",
    technique: "T1574.006",
    family: Family::Memory,
    check: Check::Host(check_host),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    for preload in case.preloads {
        let (mut severity, mut kind) = weigh(&preload.look);
        if severity == Severity::High && preload.by == "LD_PRELOAD" && is_own(case, &preload.look) {
            severity = Severity::Low;
            kind = "it belongs to the user who runs the program, or was unpacked by the program itself".to_owned();
        }
        if severity == Severity::High && case.exposure <= Exposure::Loopback {
            severity = Severity::Medium;
        }
        let mut evidence = vec![format!("{} names {}", preload.by, preload.look.shown()), kind];
        match preload.mapped {
            Some(true) => evidence.push("it is in the program's memory".to_owned()),
            Some(false) => {
                severity = severity.min(Severity::Low);
                evidence.push("it is not in the program's memory now".to_owned());
            }
            None => {}
        }
        evidence.extend(case.reach_evidence());
        notes.found(Note {
            severity,
            headline: "runs with a library loaded from outside".to_owned(),
            evidence,
            verify: format!(
                "tr '\\0' '\\n' </proc/{0}/environ | grep ^LD_; grep -F {1} /proc/{0}/maps",
                case.facts.pid,
                shell_quoted(&preload.look.path)
            ),
            would_change: "you know the library and who asked for it".to_owned(),
            pid: None,
            program: None,
        });
    }
}

/// Whether the library is in `~/.local/lib` and belongs to the user of the process, or was unpacked by a
/// self-extracting program for itself.
fn is_own(case: &Case<'_>, look: &FileLook) -> bool {
    let users = case.facts.users.known();
    let file = look.file.known();
    let same = users
        .zip(file)
        .is_some_and(|(users, file)| users.effective != 0 && file.user == users.effective);
    let parts: Vec<&[u8]> = look.path.split(|byte| *byte == b'/').collect();
    let library = matches!(parts.as_slice(), [b"", b"home", _, b".local", b"lib" | b"lib64", ..]);
    let packed = look.path.starts_with(b"/tmp/_MEI") && case.is_unowned() && !case.is_hidden_place();
    (same && library) || packed
}

fn weigh(look: &FileLook) -> (Severity, String) {
    match (look.package(), look.origin(), look.is_unowned()) {
        (Some(package), ..) => (
            Severity::Info,
            format!("package {} owns it", netstat_model::text::escape_str(&package.name)),
        ),
        (None, Some(origin), _) => (
            Severity::Low,
            format!("its place is that of {}", origin.manager.words()),
        ),
        (None, None, true) => (Severity::High, "no package owns it".to_owned()),
        (None, None, false) => (Severity::Medium, "which package owns it is not known".to_owned()),
    }
}

fn check_host(host: &Host, notes: &mut Notes) {
    let preloads: &[Preload] = match &host.preloads {
        Fact::Known(preloads) => preloads,
        Fact::Unknown(why) => {
            notes.unexamined(format!("/etc/ld.so.preload: {}", why.words()));
            return;
        }
    };
    for preload in preloads {
        let (severity, kind) = match weigh(&preload.look) {
            (Severity::Info, kind) => (Severity::Low, kind),
            (Severity::High, kind) => (Severity::Critical, kind),
            (_, kind) => (Severity::High, kind),
        };
        notes.found(Note {
            severity,
            headline: "a library is loaded into every program".to_owned(),
            evidence: vec![format!("{} names {}", preload.by, preload.look.shown()), kind],
            verify: format!("cat /etc/ld.so.preload; ls -l {}", shell_quoted(&preload.look.path)),
            would_change: "a package owns the library, or you know who wrote the file".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Made};

    #[test]
    fn preloaded_library_severity_follows_its_owner() {
        let with = |look: FileLook, foreign: &str| {
            Made::program("/usr/sbin/sshd")
                .packaged("openssh-server")
                .preload(look, true)
                .connected(foreign)
                .check(&RULE)
        };
        let path = "/usr/lib/x.so";
        assert_eq!(with(testing::packaged(path, "x"), "203.0.113.7:1"), [Severity::Info]);
        assert_eq!(with(testing::unowned(path), "203.0.113.7:1"), [Severity::High]);
        assert_eq!(with(testing::unowned(path), "127.0.0.1:1"), [Severity::Medium]);
        assert_eq!(
            with(testing::unowned("/usr/local/lib/x.so"), "203.0.113.7:1"),
            [Severity::Low]
        );
        let named = Made::program("/usr/bin/x")
            .preload(testing::unowned(path), false)
            .connected("203.0.113.7:1");
        assert_eq!(named.check(&RULE), [Severity::Low]);
    }

    #[test]
    fn a_library_in_every_program() {
        let with = |look: FileLook| {
            let mut host = testing::host();
            host.preloads = Fact::Known(vec![Preload {
                by: "/etc/ld.so.preload".into(),
                look,
                mapped: None,
            }]);
            testing::check_host(&host, &EVERYWHERE)
        };
        assert_eq!(with(testing::unowned("/lib/x.so")), [Severity::Critical]);
        assert_eq!(with(testing::packaged("/lib/x.so", "x")), [Severity::Low]);
        assert_eq!(testing::check_host(&testing::host(), &EVERYWHERE), []);
    }
}
