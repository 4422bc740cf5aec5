//! Detects shells and tools on the network that were started by a service which answers strangers.

use netstat_model::State;
use netstat_model::text::escape;

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;
use crate::script::Runs;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "service-child",
    title: "a shell, downloader or relay on the network was started by a service that answers strangers",
    explanation: "A web shell or an exploited database starts programs. High when a shell, a downloader or a relay below a web server, database, mail or file server has a \
        connection of its own beyond this computer, or a shell that reads commands holds the listening socket of a service; low for interpreters, which such services start as \
        part of their work. Connections within the computer, as health checks make them, are nothing.",
    harmless: "a hook or backup command of the service that copies files elsewhere",
    technique: "T1505.003",
    family: Family::Input,
    check: Check::Process(check),
};

/// Programs that never use the network themselves: if one holds a connection, it inherited it from the shell that
/// executed it.
const LOCAL: &[&str] = &[
    "sleep", "cat", "tee", "dd", "tail", "head", "sed", "grep", "tr", "cut", "xargs", "env", "timeout", "nohup",
    "setsid", "true", "yes", "od", "xxd", "base64",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let name = case.name();
    let shell = case.is_shell();
    let tool = shell || known::is_relay(name) || known::is_downloader(name);
    let local = LOCAL.iter().any(|known| known.as_bytes() == name) && case.is_packaged();
    if !(tool || local || known::is_interpreter(name)) || case.holds_only_inherited() {
        return;
    }
    let Some(chain) = case.facts.ancestors.as_ref().known() else {
        return;
    };
    let service = chain.iter().find(|ancestor| {
        let path = ancestor
            .path
            .as_ref()
            .known()
            .map_or(&b""[..], |path| crate::case::base(path));
        known::is_service(&ancestor.comm) || known::is_service(path)
    });
    let listens = case
        .sockets
        .iter()
        .any(|socket| socket.state() == State::Listening && socket.protocol().has_ports());
    let connected = case
        .sockets
        .iter()
        .any(|socket| socket.is_connected() && Exposure::of(socket) > Exposure::Loopback);
    let (severity, headline, line) = match service {
        Some(service) if connected => (
            if tool || local { Severity::High } else { Severity::Low },
            format!(
                "was started below {} and has a connection of its own",
                escape(&service.comm)
            ),
            format!("ancestor: {} (PID {})", escape(&service.comm), service.pid),
        ),
        None if local && connected => (
            Severity::Medium,
            "has a connection although it has no use for the network".to_owned(),
            format!(
                "{} reads and writes files; a shell gave it the connection",
                escape(name)
            ),
        ),
        _ if shell && listens && matches!(case.runs(), Some(Runs::Input)) => (
            Severity::High,
            "is a shell that holds a listening socket".to_owned(),
            "a shell that reads commands has no use for a listening socket: it belongs to the service that started it"
                .to_owned(),
        ),
        _ => return,
    };
    let mut evidence = vec![line, format!("command line: {}", case.command_line())];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline,
        evidence,
        verify: format!(
            "ps -o pid,ppid,user,lstart,args -p {},{}",
            case.facts.pid, case.facts.parent
        ),
        would_change: "the service is configured to start it".to_owned(),
        pid: None,
        program: None,
    });
}
