//! The targets of an inspection, as typed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use netstat_model::{Detail, Globs, Network, Protocol, Socket};

use super::endpoint::{Endpoint, Host, Pasted, endpoint, pasted, url};

/// The largest process id that Linux assigns (`PID_MAX_LIMIT` in the kernel's `include/linux/threads.h`).
const LARGEST_PID: u32 = 1 << 22;

/// A target, with the word that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As typed.
    pub(crate) word: String,
    /// What the word means.
    pub(crate) kind: Kind,
}

/// The meaning of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bare number: a port, a process id, or both.
    Number {
        /// The port with that number; `None` above 65535.
        port: Option<u16>,
        /// The process id with that number; `None` if it is not a valid one.
        pid: Option<u32>,
    },
    /// `:443`, `tcp:443`: a port on either side.
    Port {
        /// The required protocol; `None` for any.
        protocol: Option<Protocol>,
        /// The port, on either side.
        port: u16,
    },
    /// `pid:5356`.
    Pid(u32),
    /// `203.0.113.7`, `203.0.113.0/24`: addresses on either side.
    Network(Network),
    /// `fe80::1%eth0`: an address with its zone, on either side.
    Zoned(IpAddr, String),
    /// `203.0.113.7:443`, `localhost:80`, `https://example.org/`: the sockets that answer there, and those connected
    /// there.
    Endpoint(Option<Protocol>, Endpoint),
    /// `192.168.1.114:2078->203.0.113.7:80`: a whole connection, seen from either end.
    Connection(Option<Protocol>, Endpoint, Endpoint),
    /// `program:nginx`, a path, or a pattern with `*` or `?`.
    Program(Globs),
    /// `unit:ssh.service`, `ssh.service`: a unit or container.
    Unit(Globs),
    /// `host:example.org`: a name to look up.
    Host(String),
    /// A plain word: a program, unit or container, or otherwise a host name.
    Word(String),
}

impl Target {
    /// Whether the target may turn out to be a host name, which is looked up over the network.
    pub(crate) fn may_be_looked_up(&self) -> bool {
        match &self.kind {
            Kind::Host(_) => true,
            Kind::Word(word) => word.contains('.'),
            _ => false,
        }
    }
}

/// Why a word is not a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoTarget(&'static str);

impl fmt::Display for NoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (a target is a port, pid:N, tcp:PORT, an address, a network, ADDRESS:PORT, a URL, a program, a unit, an interface, a host name, or \
             A:PORT->B:PORT)",
            self.0
        )
    }
}

impl std::error::Error for NoTarget {}

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(word: &str) -> Result<Self, NoTarget> {
        Ok(Target {
            kind: kind(word.trim())?,
            word: word.trim().to_owned(),
        })
    }
}

fn kind(word: &str) -> Result<Kind, NoTarget> {
    if word.is_empty() {
        return Err(NoTarget("is empty"));
    }
    if let Some(line) = pasted(word) {
        return Ok(line.into());
    }
    if let Some((local, remote)) = word.split_once("->") {
        let side =
            |text: &str| endpoint(text.trim()).ok_or(NoTarget("needs an address and a port on either side of ->"));
        return Ok(Kind::Connection(None, side(local)?, side(remote)?));
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: Option<u32> = word.parse().ok();
        let port = number
            .and_then(|number| u16::try_from(number).ok())
            .filter(|&port| port > 0);
        let pid = number.filter(|pid| (1..=LARGEST_PID).contains(pid));
        return match (port, pid) {
            (None, None) => Err(NoTarget("is neither a port (1 to 65535) nor a process id")),
            (port, pid) => Ok(Kind::Number { port, pid }),
        };
    }
    if let Some(port) = word.strip_prefix(':').filter(|rest| !rest.contains(':')) {
        return Ok(Kind::Port {
            protocol: None,
            port: port_number(port)?,
        });
    }
    if let Ok(network) = word.parse::<Network>() {
        return Ok(Kind::Network(network));
    }
    if let Some((address, zone)) = word.split_once('%')
        && let Ok(address) = address.trim_start_matches('[').parse::<IpAddr>()
        && let zone = zone.trim_end_matches(']')
        && !zone.is_empty()
        && !zone.contains([':', '/', '%', ']'])
    {
        return Ok(Kind::Zoned(address.to_canonical(), zone.to_owned()));
    }
    if word.contains("://") {
        let (protocol, end) = url(word).ok_or(NoTarget(
            "is a URL without a host, or of a scheme whose port is not known",
        ))?;
        return Ok(Kind::Endpoint(protocol, end));
    }
    let prefix = word
        .split_once(':')
        .map(|(prefix, rest)| (prefix.to_ascii_lowercase(), rest));
    if let Some((prefix, rest)) = &prefix
        && PREFIXES.contains(&prefix.as_str())
    {
        return prefixed(prefix, rest);
    }
    if let Some(end) = endpoint(word) {
        return Ok(Kind::Endpoint(None, end));
    }
    if prefix.is_some() && !word.contains(['/', '*', '?']) {
        return Err(NoTarget("is no target"));
    }
    if word.contains('/') || word.contains(['*', '?']) {
        return Ok(Kind::Program(globs(word)?));
    }
    const UNIT_KINDS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
    if UNIT_KINDS.iter().any(|kind| word.ends_with(kind)) {
        return Ok(Kind::Unit(globs(word)?));
    }
    if word.contains(char::is_control) {
        return Err(NoTarget("holds a character that no name has"));
    }
    Ok(Kind::Word(word.to_owned()))
}

/// The words with a special meaning before a colon.
const PREFIXES: [&str; 13] = [
    "tcp",
    "udp",
    "mptcp",
    "udplite",
    "sctp",
    "dccp",
    "vsock",
    "port",
    "pid",
    "program",
    "unit",
    "container",
    "host",
];

fn prefixed(prefix: &str, rest: &str) -> Result<Kind, NoTarget> {
    let port = |protocol| match endpoint(rest) {
        Some(end) => Ok(Kind::Endpoint(Some(protocol), end)),
        None => Ok(Kind::Port {
            protocol: Some(protocol),
            port: port_number(rest)?,
        }),
    };
    match prefix {
        "tcp" => port(Protocol::Tcp),
        "udp" => port(Protocol::Udp),
        "mptcp" => port(Protocol::Mptcp),
        "udplite" => port(Protocol::UdpLite),
        "sctp" => port(Protocol::Sctp),
        "dccp" => port(Protocol::Dccp),
        "vsock" => port(Protocol::Vsock),
        "port" => Ok(Kind::Port {
            protocol: None,
            port: port_number(rest)?,
        }),
        "pid" => rest
            .parse()
            .ok()
            .filter(|pid| (1..=LARGEST_PID).contains(pid))
            .map(Kind::Pid)
            .ok_or(NoTarget("needs a process id behind pid:")),
        "program" => Ok(Kind::Program(globs(rest)?)),
        "unit" | "container" => Ok(Kind::Unit(globs(rest)?)),
        "host" if !rest.is_empty() => Ok(match endpoint(rest) {
            Some(end) => Kind::Endpoint(None, end),
            None => Kind::Host(rest.to_ascii_lowercase()),
        }),
        _ => Err(NoTarget("is no target")),
    }
}

fn port_number(digits: &str) -> Result<u16, NoTarget> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = plain.then(|| digits.parse().ok()).flatten();
    port.filter(|&port| port > 0)
        .ok_or(NoTarget("needs a port, 1 to 65535"))
}

fn globs(word: &str) -> Result<Globs, NoTarget> {
    // Elsewhere a comma separates patterns; here it would be part of the name.
    if word.contains(',') {
        return Err(NoTarget("holds a comma: give each target as a word of its own"));
    }
    word.parse().map_err(|_| NoTarget("needs a name"))
}

impl From<Pasted> for Kind {
    fn from(line: Pasted) -> Kind {
        match line.remote {
            Some(remote) => Kind::Connection(line.protocol, line.local, remote),
            None => Kind::Endpoint(line.protocol, line.local),
        }
    }
}

impl Kind {
    /// Whether the target names a port on which something may answer.
    pub(crate) fn has_port(&self) -> bool {
        matches!(
            self,
            Kind::Number { port: Some(_), .. } | Kind::Port { .. } | Kind::Endpoint(..)
        )
    }

    /// Whether the target is a single endpoint.
    pub(crate) fn is_endpoint(&self) -> bool {
        matches!(self, Kind::Endpoint(..))
    }

    /// Describes what is looked for.
    pub(crate) fn words(&self) -> String {
        match self {
            Kind::Number {
                port: Some(port),
                pid: Some(_),
            } => format!("port {port} or process {port}"),
            Kind::Number { port: Some(port), .. } => format!("port {port}"),
            Kind::Number { pid, .. } => format!("process {}", pid.unwrap_or_default()),
            Kind::Port {
                protocol: Some(protocol),
                port,
            } => format!("{} port {port}", protocol.name()),
            Kind::Port { protocol: None, port } => format!("port {port}"),
            Kind::Pid(pid) => format!("process {pid}"),
            Kind::Network(network) => format!("address {network}"),
            Kind::Zoned(address, zone) => format!("address {address}%{}", netstat_model::text::escape_str(zone)),
            Kind::Endpoint(protocol, end) => match protocol {
                Some(protocol) => format!("{} socket at {end}", protocol.name()),
                None => format!("socket at {end}"),
            },
            Kind::Connection(_, one, other) => format!("connection {one} -> {other}"),
            Kind::Program(globs) => format!("program {globs}"),
            Kind::Unit(globs) => format!("unit or container {globs}"),
            Kind::Host(name) => format!("host {name}"),
            Kind::Word(word) => format!("program, unit, container or host {word}"),
        }
    }

    /// Whether the target matches `socket`, judging by its endpoints alone.
    pub(crate) fn matches_socket(&self, socket: &Socket) -> bool {
        if let Some(Detail::Vsock { local, peer, .. }) = socket.detail() {
            let has =
                |port: u16| local.port == u32::from(port) || peer.is_some_and(|peer| peer.port == u32::from(port));
            return match self {
                Kind::Number { port: Some(port), .. } | Kind::Port { protocol: None, port } => has(*port),
                Kind::Port {
                    protocol: Some(Protocol::Vsock),
                    port,
                } => has(*port),
                _ => false,
            };
        }
        if !socket.protocol().is_ip() {
            return false;
        }
        let (local, foreign) = (socket.local(), socket.foreign());
        let has_port = |port: u16| socket.protocol().has_ports() && (local.port == port || foreign.port == port);
        match self {
            Kind::Number { port: Some(port), .. } | Kind::Port { protocol: None, port } => has_port(*port),
            Kind::Port {
                protocol: Some(protocol),
                port,
            } => socket.protocol() == *protocol && has_port(*port),
            Kind::Network(network) => {
                let foreign_matches = socket.is_connected() && network.contains(foreign.address);
                network.contains(local.address) || foreign_matches
            }
            Kind::Number { port: None, .. } | Kind::Pid(_) => false,
            Kind::Program(_) | Kind::Unit(_) | Kind::Host(_) | Kind::Word(_) => false,
            // These depend on the addresses and interfaces of this computer: see `search`.
            Kind::Zoned(..) | Kind::Endpoint(..) | Kind::Connection(..) => false,
        }
    }

    /// Returns the names in the target that may have to be looked up.
    pub(crate) fn names(&self) -> Vec<&str> {
        let ends: Vec<&Endpoint> = match self {
            Kind::Endpoint(_, end) => vec![end],
            Kind::Connection(_, one, other) => vec![one, other],
            _ => Vec::new(),
        };
        ends.into_iter()
            .filter_map(|end| match &end.host {
                Host::Named(name) if is_domain(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Returns the process that the target names by number.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Kind::Pid(pid) => Some(*pid),
            Kind::Number { pid, .. } => *pid,
            _ => None,
        }
    }

    /// Returns the names of units that the target may mean.
    pub(crate) fn unit(&self) -> Option<Globs> {
        match self {
            Kind::Unit(globs) => Some(globs.clone()),
            Kind::Word(word) => word.parse().ok(),
            _ => None,
        }
    }

    /// Returns the name to look up if nothing else matches: an explicit host, or a word that can only be a host name. A
    /// bare word without a dot is never sent to a name server.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Kind::Host(name) => Some(name),
            Kind::Word(word) if word.eq_ignore_ascii_case("localhost") || is_domain(word) => Some(word),
            _ => None,
        }
    }
}

/// Whether `word` has the form of a domain name with at least two labels (RFC 1123, 2.1).
fn is_domain(word: &str) -> bool {
    let labels: Vec<&str> = word.trim_end_matches('.').split('.').collect();
    labels.len() > 1
        && labels.iter().all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
        && labels
            .last()
            .is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Family, SocketFacts, State};
    use proptest::prelude::*;

    fn read(word: &str) -> Kind {
        word.parse::<Target>().unwrap().kind
    }

    #[test]
    fn target_words_are_parsed_into_their_kinds() {
        let address: IpAddr = "203.0.113.7".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        let at = |address, port| Endpoint {
            host: Host::Address(address),
            zone: None,
            port,
        };
        for (word, kind) in [
            (
                "2078",
                Kind::Number {
                    port: Some(2078),
                    pid: Some(2078),
                },
            ),
            (
                "70000",
                Kind::Number {
                    port: None,
                    pid: Some(70000),
                },
            ),
            (
                ":2078",
                Kind::Port {
                    protocol: None,
                    port: 2078,
                },
            ),
            (
                "TCP:2078",
                Kind::Port {
                    protocol: Some(Protocol::Tcp),
                    port: 2078,
                },
            ),
            ("pid:5356", Kind::Pid(5356)),
            ("203.0.113.7", Kind::Network(Network::host(address))),
            ("203.0.113.9/24", Kind::Network(Network::new(address, 24).unwrap())),
            ("::1", Kind::Network(Network::host("::1".parse().unwrap()))),
            ("::ffff:203.0.113.7", Kind::Network(Network::host(address))),
            ("203.0.113.7:443", Kind::Endpoint(None, at(address, 443))),
            ("[2001:db8::1]:443", Kind::Endpoint(None, at(v6, 443))),
            (
                "tcp:203.0.113.7:443",
                Kind::Endpoint(Some(Protocol::Tcp), at(address, 443)),
            ),
            ("https://203.0.113.7/x", Kind::Endpoint(None, at(address, 443))),
            ("fe80::1%eth0", Kind::Zoned("fe80::1".parse().unwrap(), "eth0".into())),
            ("[fe80::1%3]", Kind::Zoned("fe80::1".parse().unwrap(), "3".into())),
            (
                "203.0.113.7:80 -> [2001:db8::1]:9",
                Kind::Connection(None, at(address, 80), at(v6, 9)),
            ),
            (
                "TCP    203.0.113.7:80    [2001:db8::1]:9    ESTABLISHED",
                Kind::Connection(Some(Protocol::Tcp), at(address, 80), at(v6, 9)),
            ),
            ("nginx*", Kind::Program("nginx*".parse().unwrap())),
            ("/usr/sbin/sshd", Kind::Program("/usr/sbin/sshd".parse().unwrap())),
            ("ssh.service", Kind::Unit("ssh.service".parse().unwrap())),
            ("unit:ssh*", Kind::Unit("ssh*".parse().unwrap())),
            ("container:web", Kind::Unit("web".parse().unwrap())),
            ("host:Example", Kind::Host("example".into())),
            ("firefox", Kind::Word("firefox".into())),
            ("example.org", Kind::Word("example.org".into())),
        ] {
            assert_eq!(read(word), kind, "{word}");
        }
    }

    #[test]
    fn wrong_words_are_refused() {
        for word in [
            "",
            " ",
            "0",
            ":0",
            ":65536",
            ":x",
            "tcp:",
            "tcp:+1",
            "pid:0",
            "pid:x",
            "pid:9999999",
            "99999999999",
            "foo:bar",
            "program:",
            "host:",
            "1.2.3.4->5.6.7.8:1",
            "1.2.3.4:0->5.6.7.8:1",
            "a->b",
            "a,b*",
        ] {
            assert!(word.parse::<Target>().is_err(), "{word:?}");
        }
    }

    #[test]
    fn target_is_looked_up_only_if_dotted_or_given_as_host() {
        assert_eq!(read("example.org").host(), Some("example.org"));
        assert_eq!(read("localhost").host(), Some("localhost"));
        assert_eq!(read("host:printer").host(), Some("printer"));
        for word in ["firefox", "python3.11", "a..b", "203.0.113.7", "ssh.service", "x.1"] {
            assert_eq!(read(word).host(), None, "{word}");
        }
    }

    fn socket(protocol: Protocol, local: (&str, u16), foreign: (&str, u16)) -> Socket {
        let local_address: IpAddr = local.0.parse().unwrap();
        Socket::new(&SocketFacts {
            protocol,
            family: if local_address.is_ipv4() {
                Family::V4
            } else {
                Family::V6
            },
            state: State::Established,
            local: local_address,
            local_port: local.1,
            foreign: foreign.0.parse().unwrap(),
            foreign_port: foreign.1,
            interface: 0,
            inode: 1,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    #[test]
    fn target_port_or_address_finds_sockets_by_either_side() {
        let connection = socket(Protocol::Tcp, ("192.0.2.1", 2078), ("203.0.113.7", 80));
        let mapped = socket(Protocol::Tcp, ("::ffff:192.0.2.1", 2078), ("::ffff:203.0.113.7", 80));
        let listener = socket(Protocol::Udp, ("0.0.0.0", 80), ("0.0.0.0", 0));
        for (word, found) in [
            ("2078", [true, true, false]),
            ("80", [true, true, true]),
            ("tcp:80", [true, true, false]),
            ("udp:80", [false, false, true]),
            ("203.0.113.0/24", [true, true, false]),
            ("192.0.2.1", [true, true, false]),
            ("0.0.0.0", [false, false, true]),
            ("pid:80", [false, false, false]),
        ] {
            let kind = read(word);
            let matches = [&connection, &mapped, &listener].map(|socket| kind.matches_socket(socket));
            assert_eq!(matches, found, "{word}");
        }
    }

    proptest! {
        #[test]
        fn any_word_is_read_or_refused(word: String) {
            if let Ok(target) = word.parse::<Target>() {
                prop_assert!(!target.kind.words().is_empty());
            }
        }

        #[test]
        fn target_parser_never_panics_on_likely_words(word in r"((tcp|udp|pid|unit|host|program)?:?)?[0-9a-f.:/\[\]*>,-]{0,20}") {
            let _ = word.parse::<Target>();
        }
    }
}
