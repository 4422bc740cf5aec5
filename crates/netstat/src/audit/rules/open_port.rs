//! A port that should not be open to everyone.

use netstat_model::Protocol;
use netstat_model::State;

use crate::audit::case::{Case, Exposure, describe};
use crate::audit::finding::{Check, Family, Note, Notes, Rule, Severity, own};
use crate::audit::known;

/// See the module.
pub(super) static RULE: Rule = Rule {
    name: "open-port",
    title: "a database or control port is open to every network",
    explanation: "Some ports give whoever reaches them data, or the whole computer: databases, control interfaces of Docker, Kubernetes and the like, screens. Medium when such \
        a port listens on every address or on a public one; low when it listens on an address of a private network; info in a container's own network. This is \
        no sign of malware, but the door that it comes in by. Only programs known to serve such a port, and those that pass connections on, count. A packet filter may keep others out; it is not looked at.",
    harmless: "a packet filter in front of it; a network of its own behind it; a service meant to be public that asks for a password",
    technique: "T1133",
    family: Family::Network,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let mut told: Vec<u16> = Vec::new();
    for socket in case.waiting() {
        let (Protocol::Tcp | Protocol::Mptcp, State::Listening) = (socket.protocol(), socket.state()) else {
            continue;
        };
        let port = socket.local().port;
        let Some(what) = known::control_port(port, case.name()) else {
            continue;
        };
        let severity = match Exposure::of(socket) {
            Exposure::None | Exposure::Loopback => continue,
            _ if case.facts.namespaces.network.known().is_some_and(|space| !space.ours) => Severity::Info,
            Exposure::Local => Severity::Low,
            Exposure::World => Severity::Medium,
        };
        if told.contains(&port) {
            continue;
        }
        told.push(port);
        notes.found(Note {
            severity,
            headline: format!("port {port} is open: {what}"),
            evidence: vec![format!("{} ({})", describe(socket), Exposure::of(socket).words())],
            verify: own(&format!("-ano --exposed --port {port}")),
            would_change: "it listens on 127.0.0.1 only, or a packet filter keeps strangers out".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::Made;

    #[test]
    fn only_beyond_this_computer() {
        let seen = |local: &str| {
            Made::program("/usr/bin/redis-server")
                .packaged("redis")
                .listening(local)
                .check(&RULE)
        };
        assert_eq!(seen("0.0.0.0:6379"), [Severity::Medium]);
        assert_eq!(seen("[::]:6379"), [Severity::Medium]);
        assert_eq!(seen("192.168.0.1:6379"), [Severity::Low]);
        assert_eq!(seen("127.0.0.1:6379"), []);
        assert_eq!(seen("0.0.0.0:80"), []);
        assert_eq!(
            Made::program("/usr/bin/other")
                .packaged("x")
                .listening("0.0.0.0:6379")
                .check(&RULE),
            []
        );
        let inside = Made::program("/usr/bin/redis-server")
            .other_network()
            .listening("0.0.0.0:6379");
        assert_eq!(inside.check(&RULE), [Severity::Info]);
    }
}
