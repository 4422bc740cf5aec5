//! Detects shells that are driven over the network through another program.

use netstat_model::text::escape;

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "shell-relay",
    title: "a shell's input and output go through a program with a network connection",
    explanation: "A reverse shell need not hold the connection itself: a relay such as nc or a few lines of Python can, and pass everything on through \
        pipes, a FIFO, a pair of sockets or a terminal. Looked for are shells that read commands (no script, no -c) and whose input and output both lead to a \
        program with a connection. Through nc, socat and their like it is critical when the other end is another computer, else high; through an \
        interpreter high; through another program without a package high (medium when the other end is this computer), with one low; a notebook's or terminal's server medium where only the superuser can have installed it or nobody else can reach it. Programs whose work this is (sshd, tmux, container runtimes, \
        terminals) are left out when a package owns them.",
    harmless: "remote logins and terminals in the browser; an installer read from a pipe (curl ... | sh goes one way only and is no finding)",
    technique: "T1059.004",
    family: Family::Input,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    // A process that only listens cannot pass anything on.
    if !case
        .sockets
        .iter()
        .any(|socket| socket.is_connected() && socket.protocol().is_ip())
    {
        return;
    }
    let name = case.name();
    let away = case.exposure > Exposure::Loopback;
    for shell in case.shells {
        let severity = if known::is_relay(name) {
            if away { Severity::Critical } else { Severity::High }
        } else if known::is_interpreter(name) {
            let script = case.script.map(|script| &script.look);
            // Anyone can choose a name: a server that an ordinary user installed counts only if no other computer can
            // reach it.
            let server = script.is_some_and(|script| {
                known::is_terminal_server(script.name())
                    && !super::is_odd_place(&script.path)
                    && (script.is_trusted() || !away)
            });
            if server { Severity::Medium } else { Severity::High }
        } else if known::is_terminal_server(name) && case.is_packaged() {
            continue;
        } else if case.is_packaged() {
            Severity::Low
        } else if away && !(known::is_terminal_server(name) && case.is_trusted()) {
            Severity::High
        } else {
            Severity::Medium
        };
        let mut evidence = vec![format!(
            "{} (PID {}) reads and writes {}",
            escape(&shell.name),
            shell.pid,
            shell.how
        )];
        evidence.push(format!("command line of the relay: {}", case.command_line()));
        evidence.extend(case.reach_evidence());
        notes.found(Note {
            severity,
            headline: "connects a shell with the network".to_owned(),
            evidence,
            verify: shell.verify.clone(),
            would_change: "it is a remote login that you set up".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn shell_relay_severity_follows_relay_program() {
        let relay = |path: &str| {
            Made::program(path)
                .packaged("x")
                .connected("203.0.113.7:4444")
                .shell("sh")
        };
        assert_eq!(relay("/usr/bin/ncat").check(&RULE), [Severity::Critical]);
        assert_eq!(relay("/usr/bin/python3.11").check(&RULE), [Severity::High]);
        assert_eq!(relay("/usr/sbin/sshd").check(&RULE), []);
        assert_eq!(relay("/usr/bin/agent").check(&RULE), [Severity::Low]);
        assert_eq!(
            Made::program("/x/agent")
                .unowned()
                .connected("203.0.113.7:4444")
                .shell("sh")
                .check(&RULE),
            [Severity::High]
        );
        assert_eq!(
            Made::program("/x/sshd")
                .unowned()
                .rooted()
                .connected("203.0.113.7:4444")
                .shell("sh")
                .check(&RULE),
            [Severity::Medium]
        );
        let near = Made::program("/usr/bin/ncat")
            .packaged("x")
            .connected("127.0.0.1:4444")
            .shell("sh");
        assert_eq!(near.check(&RULE), [Severity::High]);
        let listens = Made::program("/usr/bin/ncat")
            .packaged("x")
            .listening("0.0.0.0:4444")
            .shell("sh");
        assert_eq!(listens.check(&RULE), []);
    }
}
