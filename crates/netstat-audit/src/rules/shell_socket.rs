//! Detects shells that are driven directly over a network connection.

use netstat_model::process::Descriptor;
use netstat_model::text::escape;
use netstat_model::{Fact, Socket};

use crate::case::{Case, Exposure, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;
use crate::script::Runs;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "shell-socket",
    title: "a shell or interpreter has a network connection as its input or output",
    explanation: "A reverse shell is a shell whose standard input, output or error is a connection: whoever is at the other end types, and the commands \
        run here. Logins by ssh do not look like that: they go through a pipe or terminal of sshd. Critical for a shell, and for an interpreter that was \
        given its program on the command line, when the other end is another computer; high when it is this one. An interpreter that runs a script file is \
        medium, and one below inetd or a unit of systemd that is started for each connection (Accept=yes) is info. Any other program that no package owns \
        and whose input and output are one connection is high; low when it came in at a listening port and the parent is the same program.",
    harmless: "services of inetd, or of systemd with Accept=yes; a deliberate socat ... EXEC",
    technique: "T1059.004",
    family: Family::Input,
    check: Check::Process(check),
};

const NAMES: [&str; 3] = ["input", "output", "error"];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Fact::Known(open) = &case.facts.descriptors else {
        return;
    };
    let mut tied: Vec<(usize, &Socket)> = Vec::new();
    for (number, descriptor) in open.standard.iter().enumerate() {
        let Fact::Known(Some(Descriptor::Socket(inode))) = descriptor else {
            continue;
        };
        let found = case.sockets.iter().find(|socket| {
            socket.inode().is_some_and(|own| u64::from(own.get()) == *inode)
                && socket.protocol().is_ip()
                && socket.is_connected()
        });
        tied.extend(found.map(|socket| (number, *socket)));
    }
    let Some((_, socket)) = tied.first() else { return };
    let away = Exposure::of(socket) > Exposure::Loopback;
    let name = case.name();
    let shell = case.is_shell();
    let script = matches!(case.runs(), Some(Runs::File(_) | Runs::Module(_)));
    let served = served_by(case);
    let severity = match (shell, known::is_interpreter(name), &served) {
        (true, _, Some(_)) if script => Severity::Info,
        (true, _, Some(_)) => Severity::High,
        (_, true, Some(_)) => Severity::Info,
        (true, _, None) if !script => {
            if away {
                Severity::Critical
            } else {
                Severity::High
            }
        }
        (true, _, None) => Severity::Medium,
        (_, true, None) if !script => {
            if away {
                Severity::Critical
            } else {
                Severity::High
            }
        }
        (_, true, None) => Severity::Medium,
        _ if case.is_unowned() && tied.len() >= 2 && served.is_none() => match is_served_by_its_like(case, socket) {
            true => Severity::Low,
            false => Severity::High,
        },
        _ => return,
    };
    let pid = case.facts.pid;
    let mut evidence: Vec<String> = tied
        .iter()
        .map(|(number, socket)| {
            format!(
                "standard {} (descriptor {number}) is {}",
                NAMES[*number],
                describe(socket)
            )
        })
        .collect();
    evidence.push(format!("command line: {}", case.command_line()));
    evidence.extend(served);
    let kind = if shell { "a shell" } else { "a program" };
    notes.found(Note {
        severity,
        headline: format!("is {kind} driven over the network"),
        evidence,
        verify: format!(
            "ls -l /proc/{pid}/fd/0 /proc/{pid}/fd/1 /proc/{pid}/fd/2; {}",
            case.host.own(&format!("-ano --pid {pid}"))
        ),
        would_change: "it is started for each connection by a service that you set up".to_owned(),
        pid: None,
        program: None,
    });
}

/// Whether its parent has the same name and the connection arrived at a listening port: the process is a server that
/// starts another instance of itself for each client.
fn is_served_by_its_like(case: &Case<'_>, socket: &Socket) -> bool {
    let ancestors = case.facts.ancestors.as_ref().known();
    let parent = ancestors.and_then(|chain| chain.first());
    parent.is_some_and(|parent| parent.comm == case.facts.comm)
        && case.host.ports.contains(&(socket.protocol(), socket.local().port))
}

/// Describes what starts the process for each connection; `None` if nothing is known to.
fn served_by(case: &Case<'_>) -> Option<String> {
    // The name of a unit that is started per connection contains both endpoints:
    // `echo@3-127.0.0.1:7-127.0.0.1:40000.service` (systemd.socket(5), Accept=).
    if let Some(unit) = case.system_service()
        && unit.contains(&b'@')
        && case
            .facts
            .ancestors
            .as_ref()
            .known()
            .is_some_and(|chain| chain.first().is_some_and(|parent| parent.pid == 1))
    {
        return Some(format!("unit {} is started for each connection", escape(unit)));
    }
    let parent = case.facts.ancestors.as_ref().known()?.first()?;
    known::is_inetd(&parent.comm).then(|| {
        format!(
            "started by {} ({}), which starts programs for connections",
            escape(&parent.comm),
            parent.pid
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn shell_with_connection_as_input_is_found() {
        let shell = |foreign: &str| {
            Made::program("/usr/bin/bash")
                .packaged("bash")
                .arguments("bash -i")
                .connected(foreign)
                .standard_sockets()
        };
        assert_eq!(shell("203.0.113.7:4444").check(&RULE), [Severity::Critical]);
        assert_eq!(shell("192.168.1.7:4444").check(&RULE), [Severity::Critical]);
        assert_eq!(shell("127.0.0.1:4444").check(&RULE), [Severity::High]);
        assert_eq!(shell("203.0.113.7:80").parent("inetd").check(&RULE), [Severity::High]);
        assert_eq!(
            shell("203.0.113.7:80")
                .arguments("bash serve.sh")
                .parent("inetd")
                .check(&RULE),
            [Severity::Info]
        );
        let plain = Made::program("/usr/bin/bash")
            .packaged("bash")
            .connected("203.0.113.7:4444");
        assert_eq!(plain.check(&RULE), []);
        // A multi-call program is what it was called as.
        let busybox = |line: &str| {
            Made::program("/usr/bin/busybox")
                .packaged("busybox")
                .arguments(line)
                .connected("203.0.113.7:4444")
                .standard_sockets()
        };
        assert_eq!(busybox("busybox sh").check(&RULE), [Severity::Critical]);
        assert_eq!(busybox("/bin/ash -i").check(&RULE), [Severity::Critical]);
        assert_eq!(busybox("busybox sh serve.sh").check(&RULE), [Severity::Medium]);
        assert_eq!(busybox("/bin/httpd -f").check(&RULE), []);
    }

    #[test]
    fn interpreter_or_unknown_program_with_connection_as_input_is_found() {
        let python = |line: &str| {
            Made::program("/usr/bin/python3.11")
                .packaged("python")
                .arguments(line)
                .connected("203.0.113.7:4444")
                .standard_sockets()
        };
        assert_eq!(python("python3 -c import+socket").check(&RULE), [Severity::Critical]);
        assert_eq!(python("python3 serve.py").check(&RULE), [Severity::Medium]);
        let agent = || {
            Made::program("/opt/x/agent")
                .connected("203.0.113.7:4444")
                .standard_sockets()
        };
        assert_eq!(agent().unowned().check(&RULE), [Severity::High]);
        assert_eq!(agent().packaged("agent").check(&RULE), []);
        // A server that starts another instance of itself for each client.
        let served = |parent, port| {
            let mut made = agent().unowned().parent(parent);
            made.host.ports.insert((netstat_model::Protocol::Tcp, port));
            made.check(&RULE)
        };
        assert_eq!(served("agent", 50_000), [Severity::Low]);
        assert_eq!(served("agent", 80), [Severity::High]);
        assert_eq!(served("cron", 50_000), [Severity::High]);
    }
}
