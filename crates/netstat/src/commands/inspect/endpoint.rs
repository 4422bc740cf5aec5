//! Parses endpoints in the forms that people write: `localhost:80`, `[::1]:80`, `*:80`, `[fe80::1%eth0]:80`, a URL, or
//! a line copied from a list of sockets.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use netstat_model::{Protocol, text};
use netstat_names::Services;

/// The addresses of the host names that have been looked up.
pub(super) type LookedUp = HashMap<String, Vec<IpAddr>>;

/// The host of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// `*`: any address.
    Any,
    /// An address; IPv4-mapped addresses are converted to IPv4.
    Address(IpAddr),
    /// `localhost`: the loopback addresses of both families (RFC 6761, 6.3).
    Loopback,
    /// An interface, this computer by its name, or a host to look up.
    Named(String),
}

/// A host and a port, with a zone or interface if one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The host, or any address.
    pub(crate) host: Host,
    /// The name or index of an interface: the zone of a link-local address (RFC 4007), or the device that a socket is
    /// bound to.
    pub(crate) zone: Option<String>,
    /// The port, from 1 to 65535.
    pub(crate) port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self
            .zone
            .as_ref()
            .map_or_else(String::new, |zone| format!("%{}", text::escape_str(zone)));
        let port = self.port;
        match &self.host {
            Host::Any => write!(f, "*{zone}:{port}"),
            Host::Address(IpAddr::V4(v4)) => write!(f, "{v4}{zone}:{port}"),
            Host::Address(IpAddr::V6(v6)) => write!(f, "[{v6}{zone}]:{port}"),
            Host::Loopback => write!(f, "localhost:{port}"),
            Host::Named(name) => write!(f, "{}:{port}", text::escape_str(name)),
        }
    }
}

/// Host, zone and port, as written.
struct Parts<'a> {
    host: Host,
    zone: Option<&'a str>,
    port: &'a str,
}

impl Parts<'_> {
    fn with_port(self, port: u16) -> Endpoint {
        Endpoint {
            host: self.host,
            zone: self.zone.map(str::to_owned),
            port,
        }
    }
}

/// Splits `HOST:PORT` in any of the usual forms: IPv6 with or without brackets, with the zone inside them or, as `ss`
/// writes it, after them.
fn split(word: &str) -> Option<Parts<'_>> {
    let (place, port) = word.rsplit_once(':')?;
    let (place, behind) = match place.strip_prefix('[') {
        Some(inner) => {
            let (inner, behind) = inner.split_once(']')?;
            let behind = match behind {
                "" => None,
                behind => Some(behind.strip_prefix('%')?),
            };
            (inner, behind)
        }
        None => (place, None),
    };
    let (place, zone) = match place.split_once('%') {
        Some((place, zone)) => (place, Some(zone)),
        None => (place, behind),
    };
    // The name of an interface contains no spaces or slashes (`dev_valid_name` in the kernel).
    if zone.is_some_and(|zone| zone.is_empty() || zone.contains(['/', '%', ' '])) {
        return None;
    }
    let host = match place {
        "*" => Host::Any,
        place if place.eq_ignore_ascii_case("localhost") => Host::Loopback,
        place => match place.parse::<IpAddr>() {
            Ok(address) => Host::Address(address.to_canonical()),
            Err(_) if is_name(place) => Host::Named(place.to_owned()),
            Err(_) => return None,
        },
    };
    Some(Parts { host, zone, port })
}

/// Whether `word` can be the name of a host or an interface. A word that begins with a digit or ends with a number is
/// meant as an address.
fn is_name(word: &str) -> bool {
    let last = word.rsplit('.').next().unwrap_or_default();
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && !last.is_empty()
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(digits: &str) -> Option<u16> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Parses `HOST:PORT` with a numeric port; `None` for anything else.
pub(super) fn endpoint(word: &str) -> Option<Endpoint> {
    let parts = split(word)?;
    let port = number(parts.port).filter(|&port| port > 0)?;
    Some(parts.with_port(port))
}

/// Parses `https://user@host:8443/path?query`: the host with its port, or with the default port of the scheme. The
/// protocol is set for schemes that name one.
pub(super) fn url(word: &str) -> Option<(Option<Protocol>, Endpoint)> {
    let (scheme, rest) = word.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let protocol = match scheme.as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    };
    if let Some(end) = endpoint(authority) {
        return Some((protocol, end));
    }
    let port = default_port(&scheme)?;
    // Without a port, an IPv6 address is in brackets (RFC 3986, 3.2.2).
    let with_port = format!("{}:{port}", authority.trim_end_matches(':'));
    Some((protocol, endpoint(&with_port)?))
}

/// Returns the port of a URL scheme: the one it is registered with, or that of the service of the same name.
fn default_port(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "postgres" | "postgresql" => 5432,
        "mysql" | "mariadb" => 3306,
        "redis" | "valkey" => 6379,
        "rediss" => 6380,
        "mongodb" => 27017,
        "amqp" => 5672,
        "amqps" => 5671,
        "mqtt" => 1883,
        "mqtts" => 8883,
        "sftp" => 22,
        name => service_port(name)?,
    })
}

/// Returns the port of a service by its name.
fn service_port(name: &str) -> Option<u16> {
    let services = Services::system();
    let named = |protocol| (1..=u16::MAX).find(|&port| services.name(protocol, port) == Some(name));
    named(Protocol::Tcp).or_else(|| named(Protocol::Udp))
}

/// The content of a line copied from a list of sockets: one of this program's own lists, or the output of `ss`, the
/// `netstat` of net-tools, or `lsof -i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pasted {
    /// The protocol, if the line names one.
    pub(super) protocol: Option<Protocol>,
    /// The local endpoint.
    pub(super) local: Endpoint,
    /// The remote endpoint, if it is a connection.
    pub(super) remote: Option<Endpoint>,
}

/// Parses such a line. It must contain a protocol or a socket state, or consist only of endpoints.
pub(super) fn pasted(line: &str) -> Option<Pasted> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.len() < 2 {
        return None;
    }
    let protocol = words.iter().find_map(|word| protocol(word));
    let is_state = |word: &&str| STATES.contains(&word.trim_matches(['(', ')']).to_ascii_uppercase().as_str());
    let is_listing = protocol.is_some() || words.iter().any(is_state);
    let mut ends = Vec::new();
    for word in &words {
        match word.split_once("->") {
            Some((local, remote)) => {
                ends.extend(end_of_line(local));
                ends.extend(end_of_line(remote));
            }
            None => ends.extend(end_of_line(word)),
        }
    }
    if !is_listing && ends.len() != words.len() {
        return None;
    }
    let mut ends = ends.into_iter();
    let (local, local_port) = ends.next()?;
    let local = local.with_port(local_port.filter(|&port| port > 0)?);
    let remote = ends.next().and_then(|(remote, port)| {
        let port = port.filter(|&port| port > 0)?;
        let somewhere = !matches!(&remote.host, Host::Any)
            && !matches!(&remote.host, Host::Address(address) if address.is_unspecified());
        somewhere.then(|| remote.with_port(port))
    });
    Some(Pasted {
        protocol,
        local,
        remote,
    })
}

/// The socket states in the spelling of the programs that list sockets.
const STATES: [&str; 22] = [
    "LISTEN",
    "LISTENING",
    "ESTAB",
    "ESTABLISHED",
    "UNCONN",
    "TIME-WAIT",
    "TIME_WAIT",
    "CLOSE-WAIT",
    "CLOSE_WAIT",
    "SYN-SENT",
    "SYN_SENT",
    "SYN-RECV",
    "SYN_RECV",
    "SYN_RECEIVED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "LAST-ACK",
    "LAST_ACK",
];

fn protocol(word: &str) -> Option<Protocol> {
    Some(match word.to_ascii_lowercase().as_str() {
        "tcp" | "tcp4" | "tcp6" => Protocol::Tcp,
        "udp" | "udp4" | "udp6" => Protocol::Udp,
        "mptcp" => Protocol::Mptcp,
        "udplite" | "udpl" | "udpl6" => Protocol::UdpLite,
        "sctp" => Protocol::Sctp,
        "dccp" => Protocol::Dccp,
        _ => return None,
    })
}

/// Parses an endpoint within a line; its port may be `*`, 0 or the name of a service.
fn end_of_line(word: &str) -> Option<(Parts<'_>, Option<u16>)> {
    let parts = split(word)?;
    let port = match parts.port {
        "*" => None,
        port => match number(port) {
            Some(port) => Some(port),
            // `rto:204` of `ss -i` has a number; a service name follows only an address or a dotted name.
            None if is_name(port) => Some(service_port(port)?),
            None => return None,
        },
    };
    Some((parts, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(word: &str) -> Option<String> {
        endpoint(word).map(|end| end.to_string())
    }

    #[test]
    fn endpoint_is_read_in_every_usual_form() {
        for (word, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ("*:80", "*:80"),
            ("localhost:80", "localhost:80"),
            ("LOCALHOST:80", "localhost:80"),
            ("[fe80::1%eth0]:80", "[fe80::1%eth0]:80"),
            ("[fe80::1]%eth0:80", "[fe80::1%eth0]:80"),
            ("[fe80::1%3]:80", "[fe80::1%3]:80"),
            ("0.0.0.0%t0:8090", "0.0.0.0%t0:8090"),
            ("*%t0:8090", "*%t0:8090"),
            (":::22", "[::]:22"),
            ("example.org:443", "example.org:443"),
            ("eth0:443", "eth0:443"),
        ] {
            assert_eq!(shown(word).as_deref(), Some(expected), "{word}");
        }
        for word in [
            "",
            ":",
            "80",
            "a:b",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:+1",
            "[::1:80",
            "[::1]80",
            "[fe80::1%]:80",
            "1.2.3:80",
            "a b:80",
            "a/b:80",
        ] {
            assert_eq!(shown(word), None, "{word}");
        }
    }

    #[test]
    fn url_without_port_has_the_port_of_its_scheme() {
        for (word, expected) in [
            ("http://localhost:3000", "localhost:3000"),
            ("https://example.org", "example.org:443"),
            ("http://user:secret@[::1]/x:1", "[::1]:80"),
            ("https://example.org:8443/path?x=a@b:1#c", "example.org:8443"),
            ("postgresql://db@127.0.0.1/app", "127.0.0.1:5432"),
            ("udp://127.0.0.1:53", "127.0.0.1:53"),
        ] {
            assert_eq!(
                url(word).map(|(_, end)| end.to_string()).as_deref(),
                Some(expected),
                "{word}"
            );
        }
        assert_eq!(url("udp://127.0.0.1:53").unwrap().0, Some(Protocol::Udp));
        assert_eq!(url("nosuchscheme://example.org"), None);
        assert_eq!(url("http://"), None);
    }

    #[test]
    fn pasted_lines_of_other_programs_are_read() {
        let local = |line: &str| {
            let pasted = pasted(line).unwrap_or_else(|| panic!("{line}"));
            let remote = pasted.remote.map(|end| end.to_string());
            (pasted.protocol, pasted.local.to_string(), remote)
        };
        let tcp = Some(Protocol::Tcp);
        for (line, protocol, ends) in [
            (
                "  TCP    127.0.0.1:7400         0.0.0.0:0              LISTENING       812",
                tcp,
                ("127.0.0.1:7400", None),
            ),
            (
                "  TCP    [fe80::1%3]:9090       [::]:0                 LISTENING",
                tcp,
                ("[fe80::1%3]:9090", None),
            ),
            (
                "  TCP    192.0.2.1:50000        203.0.113.7:443        ESTABLISHED",
                tcp,
                ("192.0.2.1:50000", Some("203.0.113.7:443")),
            ),
            (
                "  UDP    0.0.0.0:5353           *:*",
                Some(Protocol::Udp),
                ("0.0.0.0:5353", None),
            ),
            (
                "LISTEN 0      5      0.0.0.0%t0:8090 0.0.0.0:*",
                None,
                ("0.0.0.0%t0:8090", None),
            ),
            (
                "tcp   LISTEN 0      128        *:8081         *:*    users:((\"sshd\",pid=812,fd=3))",
                tcp,
                ("*:8081", None),
            ),
            (
                "ESTAB 0 0 [::1]:22 [::1]:50022 timer:(keepalive,110min,0) cubic rto:204",
                None,
                ("[::1]:22", Some("[::1]:50022")),
            ),
            (
                "tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN      812/sshd: /usr/sbin",
                tcp,
                ("0.0.0.0:22", None),
            ),
            (
                "tcp6       0      0 :::22                   :::*                    LISTEN      812/sshd",
                tcp,
                ("[::]:22", None),
            ),
            ("sshd 812 root 3u IPv4 12345 0t0 TCP *:22 (LISTEN)", tcp, ("*:22", None)),
            (
                "ssh 813 me 3u IPv4 12346 0t0 TCP 192.0.2.1:50000->203.0.113.7:22 (ESTABLISHED)",
                tcp,
                ("192.0.2.1:50000", Some("203.0.113.7:22")),
            ),
            (
                "192.0.2.1:50000 203.0.113.7:22",
                None,
                ("192.0.2.1:50000", Some("203.0.113.7:22")),
            ),
            (
                "TCP 192.0.2.1:50000 example.org:ssh ESTABLISHED",
                tcp,
                ("192.0.2.1:50000", Some("example.org:22")),
            ),
        ] {
            assert_eq!(
                local(line),
                (protocol, ends.0.to_owned(), ends.1.map(str::to_owned)),
                "{line}"
            );
        }
        for line in [
            "nginx: master process",
            "a b",
            "LISTENING",
            "tcp udp",
            "nginx 127.0.0.1:80",
        ] {
            assert_eq!(pasted(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn endpoint_parsers_never_panic_on_arbitrary_words(word in "\\PC{0,60}") {
            let _ = endpoint(&word);
            let _ = url(&word);
            let _ = pasted(&word);
        }

        #[test]
        fn printed_endpoint_is_read_back_as_the_same(address: IpAddr, zone in proptest::option::of("[a-z][a-z0-9]{0,8}"), port in 1u16..) {
            let end = Endpoint { host: Host::Address(address.to_canonical()), zone, port };
            prop_assert_eq!(endpoint(&end.to_string()), Some(end));
        }
    }
}
