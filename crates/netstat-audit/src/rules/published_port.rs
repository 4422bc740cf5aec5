//! Detects ports that the packet filter forwards.

use netstat_model::packet_filter::FilterVerdict;
use netstat_model::text::escape;

use crate::case::{Host, PublishedPort};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;
use crate::passage;
use crate::published::{conditions, destination, family, ports, protocol};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "published-port",
    title: "a port is handed on by NAT, so that it is open although no socket has it",
    explanation: "Rules of the packet filter (DNAT, REDIRECT) hand connections to a port of this computer on to a container, to another port or to another computer: container runtimes \
        publish ports so. No listener shows them. Info, to complete the list of what is open; medium when a database or control port is behind it and the packet filter lets everybody \
        through, low when it lets only some through. Rules of nftables are followed, those of iptables on nftables too; those of the older iptables are not read.",
    harmless: "a port that a container is meant to publish",
    technique: "T1133",
    family: Family::Network,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    if let Some(why) = host.published_incomplete {
        notes.unexamined(format!("ports that NAT hands on: {why}"));
    }
    for port in &host.published {
        let PublishedPort {
            published,
            servers,
            verdict,
        } = port;
        let behind = published.to.port.unwrap_or(published.ports.0);
        let control = servers.iter().find_map(|(_, name)| known::control_port(behind, name));
        let severity = match (control, verdict) {
            (None, _) | (_, FilterVerdict::Nobody) => Severity::Info,
            (Some(_), FilterVerdict::Only(_)) => Severity::Low,
            (Some(_), _) => Severity::Medium,
        };
        let what = control.map_or_else(String::new, |what| format!(": {what}"));
        let mut evidence = vec![match servers.is_empty() {
            true => "nothing of this computer listens there".to_owned(),
            false => {
                let names: Vec<String> = servers
                    .iter()
                    .map(|(pid, name)| format!("{} [{pid}]", escape(name)))
                    .collect();
                format!("served by {}", names.join(", "))
            }
        }];
        let condition = conditions(published);
        if !condition.is_empty() {
            evidence.push(format!("only {condition}"));
        }
        if *verdict != FilterVerdict::Everybody {
            evidence.extend(passage::words(&[(family(published), verdict.clone())]));
        }
        notes.found(Note {
            severity,
            headline: format!(
                "hands {} {} on to {} by NAT{what}",
                protocol(published).name(),
                ports(published),
                destination(published)
            ),
            evidence,
            verify: host.own(&format!("-n --exposed --port {}", published.ports.0)),
            would_change: "nobody is meant to reach it from outside".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use netstat_model::packet_filter::{Published, Translated};

    fn port(to: u16, server: &str, verdict: FilterVerdict) -> PublishedPort {
        PublishedPort {
            published: Published {
                protocol: 6,
                v6: false,
                ports: (18089, 18089),
                address: None,
                to: Translated {
                    here: false,
                    address: Some([172, 31, 0, 2].into()),
                    port: Some(to),
                    known: true,
                },
                conditions: Vec::new(),
            },
            servers: vec![(7, server.into())],
            verdict,
        }
    }

    #[test]
    fn published_port_severity_follows_server_and_packet_filter() {
        let mut host = testing::host();
        assert_eq!(testing::check_host(&host, &RULE), []);
        for (to, server, verdict, severity) in [
            (80, "nginx", FilterVerdict::Everybody, Severity::Info),
            (6379, "redis-server", FilterVerdict::Everybody, Severity::Medium),
            (6379, "redis-server", FilterVerdict::Only(Vec::new()), Severity::Low),
            (6379, "redis-server", FilterVerdict::Nobody, Severity::Info),
        ] {
            host.published = vec![port(to, server, verdict)];
            assert_eq!(testing::check_host(&host, &RULE), [severity], "{to} {server}");
        }
    }
}
