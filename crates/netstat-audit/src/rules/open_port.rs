//! Detects database and control ports that are open to every network.

use netstat_model::packet_filter::FilterVerdict;
use netstat_model::{Protocol, State};

use crate::case::{Case, Exposure, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;
use crate::passage;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "open-port",
    title: "a database or control port is open to every network",
    explanation: "Some ports give whoever reaches them data, or the whole computer: databases, control interfaces of Docker, Kubernetes and the like, screens. Medium when such \
        a port listens on every address or on a public one; low when it listens on an address of a private network; info in a container's own network. This is \
        no sign of malware, but the door that it comes in by. Only programs known to serve such a port, and those that pass connections on, count. Where the packet filter's rules can be worked \
        out, a port that it lets only some senders to counts as one of a private network, and one that it lets nobody to is no more than an info.",
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
        let passages = case.passages(socket);
        let all =
            |is: fn(&FilterVerdict) -> bool| !passages.is_empty() && passages.iter().all(|(_, passage)| is(passage));
        let severity = match severity {
            _ if all(|passage| *passage == FilterVerdict::Nobody) => Severity::Info,
            Severity::Medium if all(|passage| matches!(passage, FilterVerdict::Nobody | FilterVerdict::Only(_))) => {
                Severity::Low
            }
            severity => severity,
        };
        if told.contains(&port) {
            continue;
        }
        told.push(port);
        // Other namespaces have interfaces of their own.
        let own = case.host.network.as_ref().filter(|_| socket.namespace() == 0);
        let reach = match own {
            Some(network) => format!("reachable from {}", network.extent(socket, None).1),
            None => Exposure::of(socket).words().to_owned(),
        };
        let mut evidence = vec![format!("{} ({reach})", describe(socket))];
        if passages.iter().any(|(_, passage)| *passage != FilterVerdict::Everybody) {
            evidence.extend(passage::words(&passages));
        }
        notes.found(Note {
            severity,
            headline: format!("leaves port {port} open to others: {what}"),
            evidence,
            verify: case.host.own(&format!("-ano --exposed --port {port}")),
            would_change: "it listens on 127.0.0.1 only, or a packet filter keeps strangers out".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Host;
    use crate::testing::Made;
    use netstat_model::Fact;
    use netstat_model::packet_filter::rules::Ruleset;
    use netstat_model::packet_filter::{Chain, ChainFamily, Hook, PacketFilter};

    /// Returns a filter without rules that lets everything or nothing in.
    fn filter(drops: bool) -> PacketFilter {
        let chain = Chain {
            family: ChainFamily::Inet,
            table: b"t".to_vec(),
            name: b"in".to_vec(),
            kind: b"filter".to_vec(),
            hook: Hook::Input,
            priority: 0,
            drops,
            rules: 0,
        };
        PacketFilter {
            nftables: Fact::Known(vec![chain]),
            rules: Fact::Known(Ruleset::default()),
            iptables: Fact::Known(Vec::new()),
        }
    }

    #[test]
    fn open_control_port_is_found_only_beyond_this_computer() {
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
        let filtered = |drops| {
            let host = Host {
                packet_filter: Some(filter(drops)),
                ..Host::unknown(std::time::SystemTime::UNIX_EPOCH)
            };
            let made = Made::program("/usr/bin/redis-server").packaged("redis").host(host);
            made.listening("0.0.0.0:6379").check(&RULE)
        };
        assert_eq!(filtered(true), [Severity::Info]);
        assert_eq!(filtered(false), [Severity::Medium]);
        let inside = Made::program("/usr/bin/redis-server")
            .other_network()
            .listening("0.0.0.0:6379");
        assert_eq!(inside.check(&RULE), [Severity::Info]);
    }
}
