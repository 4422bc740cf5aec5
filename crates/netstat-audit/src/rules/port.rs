//! Detects well-known ports that are served by an unexpected program.

use netstat_model::text::escape;
use netstat_model::{Protocol, Socket};

use crate::case::{Case, Exposure, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known::{self, PortUse};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "odd-port",
    title: "a well-known port is served by a program of another kind",
    explanation: "What listens on port 22 should be an ssh server: traffic on well-known ports passes firewalls and looks harmless. Medium when a program that no package \
        owns serves such a port, or an interpreter, shell or network tool one that has servers of its own (ssh, DNS, mail, databases); low when another packaged program \
        does, when only this computer reaches it, and for HTTP, which everything speaks. Proxies, port forwarding and the first process (socket activation) are left out.",
    harmless: "proxies and balancers, port forwarding, a development server, another server for the same protocol",
    technique: "T1571",
    family: Family::Network,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let name = case.name();
    let proxy = known::is_proxy(name) && !case.is_unowned();
    if case.facts.pid == 1 || proxy || case.program.is_none() {
        return;
    }
    let mut told: Vec<u16> = Vec::new();
    for socket in case.waiting() {
        let Some(known) = use_of(socket) else { continue };
        let port = socket.local().port;
        if serves(case, known) || told.contains(&port) {
            continue;
        }
        told.push(port);
        // Any user can listen on ports above 1023, for example for a hobby project.
        let tool = known::is_interpreter(name) || known::is_shell(name) || known::is_relay(name);
        let severity = match (case.is_unowned(), known.common, tool) {
            (true, true, _) if case.program.and_then(|program| program.origin()).is_some() => Severity::Low,
            (true, ..) => Severity::Medium,
            (false, false, true) => Severity::Medium,
            (false, ..) => Severity::Low,
        };
        let severity = match Exposure::of(socket) {
            Exposure::None | Exposure::Loopback => severity.min(Severity::Low),
            _ => severity,
        };
        let transport = if known.udp { "UDP" } else { "TCP" };
        notes.found(Note {
            severity,
            headline: format!("serves {transport} port {port}, which is known for {}", known.service),
            evidence: vec![
                format!("{} is held by {}", describe(socket), escape(name)),
                format!(
                    "programs that usually serve {}: {}",
                    known.service,
                    known.programs.join(", ")
                ),
            ],
            verify: format!(
                "{}; ls -l /proc/{}/exe",
                case.host.own(&format!("-ano --listening --port {port}")),
                case.facts.pid
            ),
            would_change: format!("it does speak {} and you set it up so", known.service),
            pid: None,
            program: None,
        });
    }
}

fn use_of(socket: &Socket) -> Option<&'static PortUse> {
    match socket.protocol() {
        Protocol::Tcp | Protocol::Mptcp => known::port_use(socket.local().port, false),
        Protocol::Udp => known::port_use(socket.local().port, true),
        _ => None,
    }
}

/// Whether the program is one of those that usually serve the port.
fn serves(case: &Case<'_>, known: &PortUse) -> bool {
    let names = [case.name(), case.facts.comm.as_slice()];
    let script = case.script.map(|script| script.look.name());
    known.programs.iter().any(|program| {
        let program = program.as_bytes();
        // Another rule covers disguises; here, the short name may be a title that the program gave itself.
        names
            .into_iter()
            .chain(script)
            .any(|name| name == program || name.starts_with(&[program, b"-"].concat()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn known_port_served_by_other_program_is_found() {
        let seen = |made: Made, local: &str| made.listening(local).check(&RULE);
        let python = || Made::program("/usr/bin/python3.11").packaged("python");
        assert_eq!(seen(python(), "0.0.0.0:22"), [Severity::Medium]);
        assert_eq!(seen(python(), "127.0.0.1:22"), [Severity::Low]);
        assert_eq!(seen(python(), "0.0.0.0:80"), [Severity::Low]);
        assert_eq!(seen(python(), "0.0.0.0:8000"), []);
        assert_eq!(
            seen(Made::program("/srv/x/y").unowned(), "0.0.0.0:443"),
            [Severity::Medium]
        );
        assert_eq!(
            seen(Made::program("/home/u/.cargo/bin/y").unowned(), "0.0.0.0:443"),
            [Severity::Low]
        );
        assert_eq!(
            seen(Made::program("/usr/sbin/sshd").packaged("openssh-server"), "0.0.0.0:22"),
            []
        );
        assert_eq!(
            seen(Made::program("/usr/sbin/haproxy").packaged("haproxy"), "0.0.0.0:5432"),
            []
        );
        assert_eq!(
            seen(
                Made::program("/usr/bin/redis-check-rdb").packaged("redis"),
                "0.0.0.0:6379"
            ),
            []
        );
    }
}
