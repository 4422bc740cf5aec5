//! Detects programs whose file was removed or replaced.

use netstat_model::process::{FileStatus, Program};

use crate::case::{Case, Exposure, FileLook};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "deleted-program",
    title: "the file of the running program was removed or replaced",
    explanation: "Malware likes to remove its file once it runs, so that nothing is found on the disk. The kernel says whether the running \
        file still has a name. A file that a package owns and that was installed after the process started is an upgrade: the program wants a \
        restart (info). A file that was replaced by its owner's own is a new build (low). A program whose file is gone and that no package ever \
        listed is high where it is on the network, medium where it only talks to this computer.",
    harmless: "an upgrade whose program was not restarted; a program that was built anew; an installer or updater that cleans up; a \
        container whose image was removed",
    technique: "T1070.004",
    family: Family::FileStatus,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let (Some(program), Some(look)) = (case.facts.program.as_ref().known(), case.program) else {
        return;
    };
    let path = look.shown();
    let mut evidence = vec![format!(
        "/proc/{}/exe: {}",
        case.facts.pid,
        netstat_model::text::escape(&program.reported)
    )];
    if let Some(file) = program.running.known() {
        evidence.push(format!(
            "the running file has {} names and {} bytes",
            file.links, file.size
        ));
    }
    let Some((severity, headline)) = judge(case, program, look, &mut evidence) else {
        return;
    };
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline,
        evidence,
        verify: format!(
            "ls -l /proc/{0}/exe; stat -Lc '%h names, %s bytes' /proc/{0}/exe",
            case.facts.pid
        ),
        would_change: format!(
            "a copy is still there: cp /proc/{}/exe COPY; compare it with what you expect at {path}",
            case.facts.pid
        ),
        pid: None,
        program: None,
    });
}

/// Returns how suspicious it is that the program's file is no longer in its place, with the headline; adds the reasons
/// to `evidence`. `None` if the file is there or the program runs from memory.
fn judge(
    case: &Case<'_>,
    program: &Program,
    look: &FileLook,
    evidence: &mut Vec<String>,
) -> Option<(Severity, String)> {
    let package = look.package();
    let upgraded = package.map(|package| (package, case.was_upgraded(look)));
    let renewed = look.origin().is_some_and(|origin| origin.manager.renews_itself()) && !case.is_hidden_place();
    Some(match (program.place, upgraded) {
        (FileStatus::There | FileStatus::Memory, _) => return None,
        (_, Some((package, true))) => {
            evidence.push(format!(
                "package {} was installed after the process started",
                netstat_model::text::escape_str(&package.name)
            ));
            (
                Severity::Info,
                "runs an older file than its package has installed: restart it".to_owned(),
            )
        }
        (FileStatus::Removed, _) if renewed => (
            Severity::Low,
            "runs from a file that its updater has removed".to_owned(),
        ),
        (FileStatus::Removed, _) if is_release(case, &look.path) => {
            evidence.push("it lies in a directory of releases, which are replaced as a whole".to_owned());
            (Severity::Medium, "runs from a release that was removed".to_owned())
        }
        (FileStatus::Removed, _) if package.is_some() => (
            Severity::Medium,
            "runs from a file that was removed although a package lists it".to_owned(),
        ),
        (FileStatus::Removed, _) => {
            let severity = if case.exposure > Exposure::Loopback {
                Severity::High
            } else {
                Severity::Medium
            };
            (severity, "runs from a file that was removed".to_owned())
        }
        (FileStatus::Replaced, _) => {
            let same_owner = matches!(
                (program.running.known(), program.current.known()),
                (Some(running), Some(standing)) if running.user == standing.user
            );
            evidence.push(format!("another file is at {} now", look.shown()));
            match (package.is_some(), same_owner) {
                (false, true) => (Severity::Low, "runs from a file that its owner has replaced".to_owned()),
                (true, _) => (
                    Severity::Medium,
                    "runs from a file that was replaced, and not by an upgrade of its package".to_owned(),
                ),
                (false, false) => (
                    Severity::Medium,
                    "runs from a file that another user has replaced".to_owned(),
                ),
            }
        }
        (FileStatus::RemovedUnseen, _) => (
            Severity::Low,
            "runs from a file that was removed; what is in its place cannot be seen".to_owned(),
        ),
    })
}

/// Whether the path contains a directory of releases, below a directory where services or users keep their own
/// programs, and the process runs as the owner of the file.
fn is_release(case: &Case<'_>, path: &[u8]) -> bool {
    let place = [&b"/srv/"[..], b"/opt/", b"/home/", b"/var/www/", b"/usr/local/"]
        .iter()
        .any(|place| path.starts_with(place));
    let mut parts = path.split(|byte| *byte == b'/');
    let releases = parts.any(|part| matches!(part, b"releases" | b"versions" | b"deployments" | b"revisions"));
    let running = case
        .facts
        .program
        .as_ref()
        .known()
        .and_then(|program| program.running.known());
    let users = case.facts.users.known();
    let same = running
        .zip(users)
        .is_some_and(|(file, users)| file.user == users.effective || file.user == 0);
    place && releases && same && !case.is_hidden_place()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn deleted_program_severity_tells_removal_upgrade_and_rebuild() {
        let seen = |made: Made| made.check(&RULE);
        let gone = || Made::program("/opt/x/agent").place(FileStatus::Removed).unowned();
        assert_eq!(seen(gone().connected("203.0.113.7:443")), [Severity::High]);
        assert_eq!(seen(gone().connected("127.0.0.1:443")), [Severity::Medium]);
        assert_eq!(
            seen(Made::program("/opt/x/agent").unowned().connected("203.0.113.7:443")),
            []
        );
        let replaced = || Made::program("/usr/sbin/sshd").place(FileStatus::Replaced);
        assert_eq!(
            seen(replaced().packaged("openssh-server").installed_after_start()),
            [Severity::Info]
        );
        assert_eq!(seen(replaced().packaged("openssh-server")), [Severity::Medium]);
        assert_eq!(seen(replaced().unowned()), [Severity::Low]);
        assert_eq!(seen(replaced().unowned().standing_user(1000)), [Severity::Medium]);
        let listed = Made::program("/usr/sbin/sshd")
            .place(FileStatus::Removed)
            .packaged("openssh-server");
        assert_eq!(seen(listed), [Severity::Medium]);
    }
}
