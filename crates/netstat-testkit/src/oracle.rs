//! What other sources report about the sockets of this namespace: `/proc/net`, `ss` and `/proc/PID/fd`.
//!
//! The parsers here are written for tests: they share nothing with the program's own, and panic on anything unknown.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::namespace;

/// The state of a TCP socket (RFC 9293, 3.3.2), and `Bound`. UDP sockets have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcpState {
    /// ESTABLISHED
    Established,
    /// SYN-SENT
    SynSent,
    /// SYN-RECEIVED
    SynReceived,
    /// FIN-WAIT-1
    FinWait1,
    /// FIN-WAIT-2
    FinWait2,
    /// TIME-WAIT
    TimeWait,
    /// CLOSED; never in the kernel's tables, because such a socket has no port
    Closed,
    /// CLOSE-WAIT
    CloseWait,
    /// LAST-ACK
    LastAck,
    /// LISTEN
    Listening,
    /// CLOSING
    Closing,
    /// Bound to a port, but neither listening nor connecting
    Bound,
}

impl TcpState {
    /// The kernel's number (`include/net/tcp_states.h`), and the words of `ss` and `netstat`.
    const WORDS: [(TcpState, u8, &'static str, &'static str); 12] = [
        (TcpState::Established, 1, "ESTAB", "ESTABLISHED"),
        (TcpState::SynSent, 2, "SYN-SENT", "SYN_SENT"),
        (TcpState::SynReceived, 3, "SYN-RECV", "SYN_RECEIVED"),
        (TcpState::FinWait1, 4, "FIN-WAIT-1", "FIN_WAIT_1"),
        (TcpState::FinWait2, 5, "FIN-WAIT-2", "FIN_WAIT_2"),
        (TcpState::TimeWait, 6, "TIME-WAIT", "TIME_WAIT"),
        (TcpState::Closed, 7, "UNCONN", "CLOSED"),
        (TcpState::CloseWait, 8, "CLOSE-WAIT", "CLOSE_WAIT"),
        (TcpState::LastAck, 9, "LAST-ACK", "LAST_ACK"),
        (TcpState::Listening, 10, "LISTEN", "LISTENING"),
        (TcpState::Closing, 11, "CLOSING", "CLOSING"),
        (TcpState::Bound, 13, "BOUND-INACTIVE", "BOUND"),
    ];

    fn row(self) -> (TcpState, u8, &'static str, &'static str) {
        Self::WORDS
            .into_iter()
            .find(|row| row.0 == self)
            .expect("every state is in the table")
    }

    /// Returns the word that `netstat` prints.
    pub fn word(self) -> &'static str {
        self.row().3
    }

    /// Returns the state with this `netstat` word; `None` if there is none.
    pub fn from_word(word: &str) -> Option<TcpState> {
        Self::WORDS.iter().find(|row| row.3 == word).map(|row| row.0)
    }

    fn from_number(number: u8) -> TcpState {
        let row = Self::WORDS.iter().find(|row| row.1 == number);
        row.unwrap_or_else(|| panic!("TCP state {number}")).0
    }

    fn from_ss(word: &str) -> TcpState {
        let row = Self::WORDS.iter().find(|row| row.2 == word);
        row.unwrap_or_else(|| panic!("TCP state {word}")).0
    }
}

/// One side of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End {
    /// The address; unspecified if there is none.
    pub address: IpAddr,
    /// The port; 0 if there is none.
    pub port: u16,
    /// The interface index of a link-local address if the source reports it; otherwise 0.
    pub scope: u32,
}

impl End {
    /// Creates an end without a scope.
    pub fn new(address: impl Into<IpAddr>, port: u16) -> End {
        End {
            address: address.into(),
            port,
            scope: 0,
        }
    }

    /// Returns the end that means "no peer" in the family of `other`.
    pub fn none(other: IpAddr) -> End {
        match other {
            IpAddr::V4(_) => End::new(Ipv4Addr::UNSPECIFIED, 0),
            IpAddr::V6(_) => End::new(Ipv6Addr::UNSPECIFIED, 0),
        }
    }
}

impl From<std::net::SocketAddr> for End {
    fn from(address: std::net::SocketAddr) -> End {
        let scope = match address {
            std::net::SocketAddr::V4(_) => 0,
            std::net::SocketAddr::V6(v6) => v6.scope_id(),
        };
        End {
            address: address.ip(),
            port: address.port(),
            scope,
        }
    }
}

/// Writes the end as `netstat` does: `192.0.2.1:80`, `[fe80::1%2]:80`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.scope) {
            (IpAddr::V4(v4), _) => write!(f, "{v4}:{}", self.port),
            (IpAddr::V6(v6), 0) => write!(f, "[{v6}]:{}", self.port),
            (IpAddr::V6(v6), scope) => write!(f, "[{v6}%{scope}]:{}", self.port),
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A socket, without what only some sources report. Ordered as `netstat` must order its rows: TCP before UDP, IPv4
/// before IPv6, then local address, local port, foreign address and foreign port as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// Whether it is UDP; otherwise it is TCP.
    pub udp: bool,
    /// Whether it is an IPv6 socket; its addresses may be IPv4-mapped.
    pub v6: bool,
    /// The local side.
    pub local: End,
    /// The foreign side; unspecified address and port 0 if not connected.
    pub foreign: End,
    /// The state; `None` for UDP.
    pub state: Option<TcpState>,
}

/// A socket with its inode and creator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// The socket.
    pub row: Row,
    /// The inode; 0 if the socket has no descriptor.
    pub inode: u64,
    /// The id of the user who created the socket, as seen in this user namespace.
    pub uid: u32,
}

/// Returns the rows alone, sorted.
pub fn rows(witnessed: &[Witnessed]) -> Vec<Row> {
    let mut rows: Vec<Row> = witnessed.iter().map(|socket| socket.row).collect();
    rows.sort();
    rows
}

/// Returns all TCP and UDP sockets in `/proc/net/{tcp,tcp6,udp,udp6}`. TCP sockets that are only bound, and scopes, are
/// not listed there.
pub fn proc_net() -> Vec<Witnessed> {
    let mut all = Vec::new();
    for (table, udp, v6) in [
        ("tcp", false, false),
        ("tcp6", false, true),
        ("udp", true, false),
        ("udp6", true, true),
    ] {
        // If the kernel has no IPv6, two of the tables do not exist.
        if let Ok(text) = std::fs::read_to_string(format!("/proc/self/net/{table}")) {
            all.extend(proc_table(&text, udp, v6));
        }
    }
    all
}

/// Parses the rows of one such table (proc_pid_net(5)).
pub fn proc_table(text: &str, udp: bool, v6: bool) -> Vec<Witnessed> {
    let socket = |line: &str| {
        let field: Vec<&str> = line.split_whitespace().collect();
        let number = u8::from_str_radix(field[3], 16).expect("a state in hexadecimal");
        Witnessed {
            row: Row {
                udp,
                v6,
                local: proc_end(field[1], v6),
                foreign: proc_end(field[2], v6),
                state: (!udp).then(|| TcpState::from_number(number)),
            },
            uid: field[7].parse().expect("a user id"),
            inode: field[9].parse().expect("an inode"),
        }
    };
    text.lines().skip(1).map(socket).collect()
}

/// Parses an end. The kernel prints each 32-bit word of an address as a number in host byte order, and the port as a
/// plain number.
fn proc_end(text: &str, v6: bool) -> End {
    let (address, port) = text.split_once(':').expect("address:port");
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = std::str::from_utf8(word).expect("ASCII");
        bytes.extend(u32::from_str_radix(word, 16).expect("hexadecimal").to_ne_bytes());
    }
    let address = if v6 {
        IpAddr::from(<[u8; 16]>::try_from(bytes).expect("16 bytes"))
    } else {
        IpAddr::from(<[u8; 4]>::try_from(bytes).expect("4 bytes"))
    };
    End::new(address, u16::from_str_radix(port, 16).expect("a port"))
}

/// Returns all TCP and UDP sockets that `ss` lists. The scope is listed with the local address only, and older versions
/// omit sockets that are only bound.
///
/// # Panics
/// Panics if `ss` fails.
pub fn ss() -> Vec<Witnessed> {
    ss_filtered(&[])
}

/// Returns the word for `state` in a filter of `ss`.
pub fn ss_state(state: TcpState) -> String {
    match state {
        TcpState::Established => "established".to_owned(),
        TcpState::Listening => "listening".to_owned(),
        other => other.row().2.to_ascii_lowercase(),
    }
}

/// Like [`ss`], with a filter such as `["state", "time-wait", "( sport = :80 )"]`. A filter that names no state
/// includes all; one that names a single state is not supported, because `ss` then omits the column with it.
///
/// # Panics
/// Panics if `ss` fails.
pub fn ss_filtered(filter: &[&str]) -> Vec<Witnessed> {
    let output = namespace::tool("ss")
        .args(["-H", "-O", "-tuane"])
        .args(filter)
        .output()
        .expect("ss runs");
    let text = String::from_utf8(output.stdout).expect("ss prints UTF-8");
    assert!(
        output.status.success(),
        "ss: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines().map(ss_line).collect()
}

/// Parses a line of `ss -H -O -tuane` (ss(8)).
pub fn ss_line(line: &str) -> Witnessed {
    let field: Vec<&str> = line.split_whitespace().collect();
    let udp = match field[0] {
        "tcp" => false,
        "udp" => true,
        other => panic!("{other} in {line}"),
    };
    let value = |key: &str| {
        field[6..]
            .iter()
            .find_map(|word| word.strip_prefix(key))
            .map(|text| text.parse::<u64>())
    };
    let (local, v6) = ss_end(field[4]);
    let (foreign, _) = ss_end(field[5]);
    let foreign = if foreign.port == 0 {
        End::none(local.address)
    } else {
        foreign
    };
    Witnessed {
        row: Row {
            udp,
            v6,
            local,
            foreign,
            state: (!udp).then(|| TcpState::from_ss(field[1])),
        },
        inode: value("ino:").map_or(0, |inode| inode.expect("an inode")),
        // `ss` omits the user id for root.
        uid: value("uid:").map_or(0, |uid| uid.expect("a user id") as u32),
    }
}

/// Parses `127.0.0.1%lo:53`, `[fe80::1]%veth0:80`, `[::]:*`, and `*:80` for both families at once. The second value
/// tells whether it is IPv6.
fn ss_end(text: &str) -> (End, bool) {
    let (address, port) = text.rsplit_once(':').expect("address:port");
    let port = if port == "*" { 0 } else { port.parse().expect("a port") };
    let (address, device) = address.split_once('%').unwrap_or((address, ""));
    let address: IpAddr = match address {
        "*" => Ipv6Addr::UNSPECIFIED.into(),
        address => address.trim_matches(['[', ']']).parse().expect("an address"),
    };
    let scope = match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() && !device.is_empty() => {
            crate::netlink::index_of(device).expect("ss names a device that exists")
        }
        _ => 0,
    };
    (End { address, port, scope }, address.is_ipv6())
}

/// Returns the ids of all processes that hold the socket with this inode, in ascending order, by examining all
/// descriptors.
pub fn holders(inode: u64) -> Vec<u32> {
    let wanted = format!("socket:[{inode}]");
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        if descriptors
            .flatten()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == &*wanted))
        {
            found.push(pid);
        }
    }
    found.sort_unstable();
    found
}

/// Returns the inode of an open socket of this process.
pub fn inode(socket: &impl std::os::fd::AsFd) -> u64 {
    rustix::fs::fstat(socket).expect("an open descriptor").st_ino
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn ss_lines_are_read() {
        let line =
            "tcp   ESTAB 0      0      [::ffff:127.0.0.1]:8080  [::ffff:127.0.0.1]:40000 uid:1000 ino:77 sk:9 <->";
        let socket = ss_line(line);
        assert!(socket.row.v6 && !socket.row.udp);
        assert_eq!((socket.inode, socket.uid), (77, 1000));
        assert_eq!(socket.row.local.to_string(), "[::ffff:127.0.0.1]:8080");
        let listener = ss_line("tcp   LISTEN 0 128 *:22 *:* ino:5 sk:2 v6only:0 <->");
        assert_eq!(listener.row.local.to_string(), "[::]:22");
        assert_eq!(listener.row.foreign.to_string(), "[::]:0");
        let udp = ss_line("udp   UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:* uid:101 ino:9 sk:4 <->");
        assert_eq!(
            (udp.row.local.to_string().as_str(), udp.row.state),
            ("127.0.0.53:53", None)
        );
    }

    #[test]
    fn proc_net_and_ss_list_sockets_as_made() {
        own_namespace!();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        udp.connect("[::1]:9").unwrap();
        let expected = [
            Row {
                udp: false,
                v6: false,
                local: listener.local_addr().unwrap().into(),
                foreign: End::new(Ipv4Addr::UNSPECIFIED, 0),
                state: Some(TcpState::Listening),
            },
            Row {
                udp: true,
                v6: true,
                local: udp.local_addr().unwrap().into(),
                foreign: End::new(Ipv6Addr::LOCALHOST, 9),
                state: None,
            },
        ];
        let seen = proc_net();
        assert_eq!(rows(&seen), expected);
        assert_eq!(seen[0].inode, inode(&listener));
        assert_eq!(holders(inode(&listener)), [std::process::id()]);
        if have("ss") {
            assert_eq!(rows(&ss()), expected);
        }
    }

    use crate::{have, own_namespace};
}
