//! Detects programs that may use DNS as a covert channel.

use netstat_model::Protocol;
use netstat_model::reach::is_loopback;

use crate::case::{Case, Exposure, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "dns-channel",
    title: "a program that is no resolver talks to a name server which this computer does not use",
    explanation: "Names are looked up by the name servers of /etc/resolv.conf. A program that holds a connection to port 53 of another server, or to several, may hide data in \
        questions and answers, which most packet filters let out. High when no package owns the program, or when it is an interpreter whose code no package owns; medium when it talks to a well-known public resolver; low for other \
        packaged programs. Programs that serve names themselves, on port 53, are left out, and so are tools that ask for names when a package owns them.",
    harmless: "a resolver or a tool for names that you installed yourself; an application with a resolver of its own",
    technique: "T1071.004",
    family: Family::Network,
    check: Check::Process(check),
};

/// The port of DNS (RFC 1035).
const DOMAIN: u16 = 53;

/// Public resolvers that many programs use deliberately: Google, Cloudflare, Quad9, OpenDNS, AdGuard (documentation of
/// each).
const PUBLIC: &[&str] = &[
    "8.8.8.8",
    "8.8.4.4",
    "1.1.1.1",
    "1.0.0.1",
    "9.9.9.9",
    "149.112.112.112",
    "208.67.222.222",
    "208.67.220.220",
    "94.140.14.14",
    "94.140.15.15",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "2620:fe::fe",
];

/// Programs whose purpose is to send DNS queries.
const TOOLS: &[&[u8]] = &[
    b"dig",
    b"host",
    b"nslookup",
    b"drill",
    b"kdig",
    b"delv",
    b"q",
    b"dog",
    b"named",
    b"unbound",
    b"dnsmasq",
    b"systemd-resolved",
    b"resolvectl",
    b"avahi-daemon",
    b"systemd-resolve",
    b"nscd",
    b"sssd_be",
    b"dnscrypt-proxy",
    b"stubby",
    b"kresd",
    b"pdns_recursor",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(resolvers) = case.host.resolvers.as_ref().known() else {
        return;
    };
    if case.is_elsewhere() || (TOOLS.contains(&case.name()) && case.is_packaged()) {
        return;
    }
    let serves = case.waiting().any(|socket| socket.local().port == DOMAIN);
    let odd: Vec<_> = case
        .sockets
        .iter()
        .filter(|socket| {
            let foreign = socket.foreign();
            socket.is_connected()
                && foreign.port == DOMAIN
                && matches!(socket.protocol(), Protocol::Udp | Protocol::Tcp)
                && !is_loopback(foreign.address)
                && !resolvers.contains(&foreign.address.to_canonical())
                && socket.local().port != DOMAIN
        })
        .collect();
    if odd.is_empty() || serves {
        return;
    }
    let is_public = |address: std::net::IpAddr| PUBLIC.iter().any(|known| known.parse() == Ok(address.to_canonical()));
    let public = odd.iter().all(|socket| is_public(socket.foreign().address));
    let untrusted = case.is_unowned() && !case.is_trusted() || case.runs_foreign_code();
    let severity = match (untrusted, public) {
        (true, false) if case.exposure >= Exposure::Local => Severity::High,
        (true, _) => Severity::Medium,
        (false, _) if case.is_unowned() => Severity::Medium,
        (false, _) => Severity::Low,
    };
    const MOST: usize = 3;
    let mut evidence: Vec<String> = odd.iter().take(MOST).map(|socket| describe(socket)).collect();
    if odd.len() > MOST {
        evidence.push(format!("and {} more to port {DOMAIN}", odd.len() - MOST));
    }
    let servers: Vec<String> = resolvers.iter().map(ToString::to_string).collect();
    evidence.push(match servers.is_empty() {
        true => "this computer uses no name server of a network (/etc/resolv.conf)".to_owned(),
        false => format!("this computer uses {} (/etc/resolv.conf)", servers.join(", ")),
    });
    notes.found(Note {
        severity,
        headline: "talks to a name server that this computer does not use".to_owned(),
        evidence,
        verify: case
            .host
            .own_command(&["-ano", "--pid", &case.facts.pid.to_string(), "--port", "53"]),
        would_change: "it is a resolver or a tool for names that you installed".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;
    use netstat_model::Fact;

    #[test]
    fn foreign_name_server_severity_follows_program_and_server() {
        let seen = |mut made: Made| {
            made.host.resolvers = Fact::Known(vec!["192.0.2.53".parse().unwrap()]);
            made.check(&RULE)
        };
        let agent = || Made::program("/srv/x/agent").unowned();
        assert_eq!(seen(agent().connected("203.0.113.7:53")), [Severity::High]);
        assert_eq!(seen(agent().connected("192.0.2.53:53")), []);
        assert_eq!(seen(agent().connected("9.9.9.9:53")), [Severity::Medium]);
        assert_eq!(seen(agent().rooted().connected("203.0.113.7:53")), [Severity::Medium]);
        assert_eq!(seen(agent().listening("0.0.0.0:53").connected("203.0.113.7:53")), []);
        assert_eq!(seen(agent().connected("203.0.113.7:443")), []);
        let dig = Made::program("/usr/bin/dig").packaged("dnsutils");
        assert_eq!(seen(dig.connected("203.0.113.7:53")), []);
        let python = || {
            Made::program("/usr/bin/python3.11")
                .packaged("python")
                .connected("203.0.113.7:53")
        };
        assert_eq!(seen(python().arguments("python3 -c x")), [Severity::High]);
        assert_eq!(
            seen(Made::program("/usr/bin/x").packaged("x").connected("203.0.113.7:53")),
            [Severity::Low]
        );
        assert_eq!(agent().connected("203.0.113.7:53").check(&RULE), []);
    }
}
