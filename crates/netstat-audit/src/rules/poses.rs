//! Detects programs that bear the name of a well-known program without being it.

use netstat_model::Fact;
use netstat_model::text::escape;
use netstat_packages::packages::Manager;

use crate::case::{Case, FileLook, base};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;
use crate::script::Runs;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "poses-as",
    title: "bears the name of a well-known program that it is not",
    explanation: "A name in a list proves nothing: a program chooses its file name, the first word of its command line and its short name itself. High when a \
        program that no package owns bears the name of a well-known daemon (where its place names another way of installing, low if only the superuser can have put it there, \
        else medium; low for servers that people often build \
        themselves; high wherever it lies when only its command line or short name claims to be the daemon), or when a shell, interpreter \
        or network tool calls itself by a daemon's name; medium when the name of an unowned program is all but that of a daemon. Multi-call programs, scripts \
        that are called like a daemon and owned by a package, and daemons that change their own title are left out.",
    harmless: "a daemon that was built here and runs from a directory of its own; a daemon that is a script",
    technique: "T1036.005",
    family: Family::Hiding,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(program) = case.program else { return };
    // PID 1 may be called init or systemd, whatever program it is.
    if case.facts.pid == 1 || case.facts.kernel_thread {
        return;
    }
    let file = program.name();
    let first: &[u8] = match &case.facts.arguments {
        Fact::Known(words) => words.first().map_or(&[], |word| known::claimed(word)),
        Fact::Unknown(_) => &[],
    };
    let names = [
        ("its file name", file),
        ("the first word of its command line", first),
        ("its short name", case.facts.comm.as_slice()),
    ];
    let claimed = names
        .iter()
        .find_map(|(what, name)| Some((*what, known::daemon(name)?)));
    let tool = known::is_shell(file) || known::is_interpreter(file) || known::is_relay(file);
    let found = match claimed {
        Some((what, daemon)) if case.is_unowned() => Some((unowned(case, program, daemon), what, daemon)),
        // A multi-call program may legitimately be several daemons.
        Some((what, daemon)) if tool && case.is_packaged() && file != b"busybox" && !is_script(case, daemon) => {
            Some((Severity::High, what, daemon))
        }
        Some(_) => None,
        None if case.is_unowned() && program.origin().is_none() => {
            let near = names
                .iter()
                .find_map(|(what, name)| Some((*what, known::nearly_daemon(name)?)));
            near.map(|(what, daemon)| (Severity::Medium, what, daemon))
        }
        None => None,
    };
    let Some((severity, what, daemon)) = found else { return };
    let pid = case.facts.pid;
    let mut evidence = vec![
        format!(
            "{what} is that of {daemon}{}",
            if severity == Severity::Medium {
                ", but for one letter"
            } else {
                ""
            }
        ),
        format!("its program is {}", program.shown()),
        format!(
            "short name {}, command line: {}",
            escape(&case.facts.comm),
            case.command_line()
        ),
    ];
    if case.is_unowned() {
        evidence.push("no package owns the program".to_owned());
    }
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: format!("bears the name of {daemon}"),
        evidence,
        verify: format!("ls -l /proc/{pid}/exe; cat /proc/{pid}/comm; tr '\\0' ' ' </proc/{pid}/cmdline"),
        would_change: format!("you built or installed this {daemon} yourself"),
        pid: None,
        program: None,
    });
}

/// Returns the severity for a program that no package owns and that bears the name of `daemon`.
fn unowned(case: &Case<'_>, program: &FileLook, daemon: &str) -> Severity {
    // A program whose file is called differently poses as the daemon, wherever it lies.
    if program.name() != daemon.as_bytes() || case.is_hidden_place() {
        let renamed = program.name().starts_with(daemon.as_bytes()) || daemon.as_bytes().starts_with(program.name());
        return if renamed && !case.is_hidden_place() {
            Severity::Medium
        } else {
            Severity::High
        };
    }
    match program.origin().map(|origin| origin.manager) {
        Some(Manager::CargoBuild | Manager::GoBuild) | None if known::is_server(daemon) => Severity::Low,
        Some(Manager::CargoBuild | Manager::GoBuild) | None => Severity::High,
        Some(_) if program.rooted => Severity::Low,
        Some(_) => Severity::Medium,
    }
}

/// Whether the interpreter runs a packaged script whose file name begins with `daemon`.
fn is_script(case: &Case<'_>, daemon: &str) -> bool {
    match (case.script, case.runs()) {
        (Some(script), Some(Runs::File(path))) => {
            let name = base(path);
            script.look.package().is_some() && name.starts_with(daemon.as_bytes())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn a_daemons_name_on_another_program() {
        let named = |made: Made| made.listening("0.0.0.0:9000").check(&RULE);
        assert_eq!(named(Made::program("/opt/x/sshd").unowned().rooted()), [Severity::Low]);
        assert_eq!(named(Made::program("/opt/x/sshd").unowned()), [Severity::Medium]);
        assert_eq!(named(Made::program("/srv/x/sshd").unowned()), [Severity::High]);
        assert_eq!(named(Made::program("/usr/sbin/sshd").packaged("openssh-server")), []);
        assert_eq!(
            named(Made::program("/usr/local/sbin/nginx").unowned().rooted()),
            [Severity::Low]
        );
        let bash = |line: &str| Made::program("/usr/bin/bash").packaged("bash").arguments(line);
        assert_eq!(named(bash("sshd")), [Severity::High]);
        assert_eq!(named(bash("-bash")), []);
        assert_eq!(named(bash("bash").comm("crond")), [Severity::High]);
        assert_eq!(named(Made::program("/srv/x/rsyslgod").unowned()), [Severity::Medium]);
        assert_eq!(named(Made::program("/srv/x/server").unowned()), []);
        assert_eq!(
            named(Made::program("/usr/bin/busybox").packaged("busybox").arguments("crond")),
            []
        );
        let title = Made::program("/usr/sbin/nginx")
            .packaged("nginx")
            .arguments("nginx:+worker+process");
        assert_eq!(named(title), []);
    }
}
