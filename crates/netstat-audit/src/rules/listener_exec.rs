//! Detects network tools that start a program for whoever connects.

use netstat_model::Fact;
use netstat_model::text::escape;

use crate::case::{Case, Exposure, base};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "relay-exec",
    title: "a network tool starts a shell or program for whoever connects",
    explanation: "nc -e, ncat --sh-exec, socat EXEC: or SYSTEM:, busybox tcpsvd and the like hand a program to the network. Critical when it is a shell or interpreter and other \
        computers can reach it or it is connected to one; high for other programs; one step less on this computer only. A tool that only listens, without a \
        terminal, is low: what it is for cannot be told.",
    harmless: "a deliberate socat ... EXEC of a service of your own",
    technique: "T1059.004",
    family: Family::Input,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let name = case.name();
    let Fact::Known(words) = &case.facts.arguments else {
        return;
    };
    let words = known::called_as(name, words);
    let tool = match words.first() {
        Some(first) if name == b"busybox" => known::claimed(first),
        _ => name,
    };
    if !(known::is_relay(name) || known::is_relay(tool) || matches!(tool, b"tcpsvd" | b"udpsvd" | b"tcpserver"))
        || case.sockets.is_empty()
    {
        return;
    }
    let far = case.exposure > Exposure::Loopback;
    let Some(target) = target(tool, words) else {
        let listens = case.waiting().any(|socket| Exposure::of(socket) > Exposure::Loopback);
        if listens && !case.has_session() {
            notes.found(note(
                case,
                Severity::Low,
                "is a network tool that listens".to_owned(),
                "it starts no program itself".to_owned(),
            ));
        }
        return;
    };
    let program = target
        .split(|byte| *byte == b' ' || *byte == b',')
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    let shell = known::is_shell(base(program)) || known::is_interpreter(base(program));
    let severity = if shell { Severity::Critical } else { Severity::High };
    let severity = if far { severity } else { severity.lower() };
    let what = format!("it starts {} for the other end", escape(&target));
    notes.found(note(
        case,
        severity,
        format!("hands {} to the network", escape(program)),
        what,
    ));
}

fn note(case: &Case<'_>, severity: Severity, headline: String, what: String) -> Note {
    let mut evidence = vec![what, format!("command line: {}", case.command_line())];
    evidence.extend(case.reach_evidence());
    Note {
        severity,
        headline,
        evidence,
        verify: format!("tr '\\0' ' ' </proc/{}/cmdline", case.facts.pid),
        would_change: "you set it up, and only those you trust can reach it".to_owned(),
        pid: None,
        program: None,
    }
}

/// Returns the command that the tool starts, if its command line names one.
fn target(tool: &[u8], words: &[Vec<u8>]) -> Option<Vec<u8>> {
    let rest = words.get(1..)?;
    if tool.starts_with(b"socat") {
        return rest.iter().find_map(|word| {
            let colon = word.iter().position(|byte| *byte == b':')?;
            let kind = word[..colon].to_ascii_uppercase();
            matches!(kind.as_slice(), b"EXEC" | b"SYSTEM" | b"SHELL").then(|| word[colon + 1..].to_vec())
        });
    }
    if matches!(tool, b"tcpsvd" | b"udpsvd" | b"tcpserver") {
        return rest.iter().find(|word| word.starts_with(b"/")).cloned();
    }
    if !(tool.starts_with(b"nc") || tool == b"netcat") {
        return None;
    }
    for (at, word) in rest.iter().enumerate() {
        let long = [&b"--exec"[..], b"--sh-exec", b"--lua-exec"];
        if let Some(value) = long
            .iter()
            .find_map(|long| word.strip_prefix(*long)?.strip_prefix(b"="))
        {
            return Some(value.to_vec());
        }
        let short = word.starts_with(b"-")
            && !word.starts_with(b"--")
            && word.last().is_some_and(|letter| matches!(letter, b'e' | b'c'));
        if long.contains(&word.as_slice()) || short {
            return rest.get(at + 1).cloned();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn listener_that_executes_commands_is_found() {
        let seen = |program: &str, line: &str| {
            Made::program(program)
                .packaged("x")
                .arguments(line)
                .listening("0.0.0.0:8888")
                .check(&RULE)
        };
        assert_eq!(
            seen("/usr/bin/ncat", "ncat -lk 8888 --sh-exec sh"),
            [Severity::Critical]
        );
        assert_eq!(seen("/usr/bin/ncat", "ncat -l 8888 -e /bin/sh"), [Severity::Critical]);
        assert_eq!(
            seen("/usr/bin/socat", "socat TCP-LISTEN:8888,fork EXEC:/bin/bash,pty"),
            [Severity::Critical]
        );
        assert_eq!(
            seen("/usr/bin/socat", "socat TCP-LISTEN:8888,fork system:rsync"),
            [Severity::High]
        );
        assert_eq!(
            seen("/usr/bin/socat", "socat TCP-LISTEN:8888 TCP:10.0.0.1:80"),
            [Severity::Low]
        );
        assert_eq!(
            seen("/usr/bin/busybox", "busybox tcpsvd 0 8888 /bin/sh"),
            [Severity::Critical]
        );
        assert_eq!(seen("/usr/sbin/sshd", "sshd -e"), []);
    }
}
