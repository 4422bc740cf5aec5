//! Ports that the system forwards (`netsh interface portproxy`).

use netstat_model::Fact;

use crate::case::Host;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// See the module.
pub(crate) static RULE: Rule = Rule {
    name: "port-proxy",
    title: "Windows passes a port on to another address (netsh portproxy)",
    explanation: "The IP Helper service can take connections and pass them on, to this computer or to another. The list then shows svchost.exe as the owner, and the target stays out of sight. Intruders reach other computers of a network \
        in this way. Medium when it listens for others, low when it listens on this computer only.",
    harmless: "a port of WSL or of a container that somebody made reachable",
    technique: "T1090.001",
    family: Family::Network,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    let Some(windows) = &host.windows else { return };
    let proxies = match &windows.port_proxies {
        Fact::Known(proxies) => proxies,
        Fact::Unknown(why) => {
            notes.unexamined(format!("ports that Windows passes on: {}", why.words()));
            return;
        }
    };
    for proxy in proxies {
        let address = proxy
            .listen
            .rsplit_once('/')
            .map_or(proxy.listen.as_str(), |(address, _)| address);
        let own =
            address.parse().is_ok_and(netstat_model::reach::is_loopback) || address.eq_ignore_ascii_case("localhost");
        let port = proxy
            .port()
            .map_or_else(|| "a port".to_owned(), |port| format!("port {port}"));
        notes.found(Note {
            severity: if own { Severity::Low } else { Severity::Medium },
            headline: format!("{port} is passed on to another address"),
            evidence: vec![proxy.to_string()],
            verify: "netsh interface portproxy show all".to_owned(),
            would_change: "you know who set it up".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_host, windows_host};
    use netstat_model::windows_host::PortProxy;

    #[test]
    fn port_proxy_counts_by_who_can_reach_it() {
        let mut host = windows_host();
        assert_eq!(check_host(&host, &RULE), []);
        let proxy = |listen: &str| PortProxy {
            kind: "v4tov4".to_owned(),
            listen: listen.to_owned(),
            to: "192.0.2.9/22".to_owned(),
        };
        if let Some(windows) = &mut host.windows {
            windows.port_proxies = Fact::Known(vec![proxy("*/8080"), proxy("127.0.0.1/9")]);
        }
        assert_eq!(check_host(&host, &RULE), [Severity::Medium, Severity::Low]);
    }
}
