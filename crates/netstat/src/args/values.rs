//! The values of the options, and their parsers.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use clap::ValueEnum;
use netstat_model::{Filter, FilterError, Globs, Pids, Ports, Sides, State, States, Users};

use super::error::quoted;
use super::{similar, units};

/// The longest interval in seconds: 365 days. A longer one is a typing error.
pub const INTERVAL_MAX: u32 = 365 * 86_400;

/// The longest `--dns-timeout` and `--timeout`.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// The shortest `--dns-timeout` and `--timeout`; no name server answers faster.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// A name that `-p` takes. In the order in which `-s` prints the blocks.
///
/// The names are those of Windows: `TCP` and `UDP` are their IPv4 halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum ProtocolName {
    /// IPv4, statistics only.
    #[value(name = "IP")]
    Ip,
    /// IPv6, statistics only.
    #[value(name = "IPv6")]
    IpV6,
    /// ICMP for IPv4, statistics only.
    #[value(name = "ICMP")]
    Icmp,
    /// ICMP for IPv6, statistics only.
    #[value(name = "ICMPv6")]
    IcmpV6,
    /// TCP over IPv4.
    #[value(name = "TCP")]
    Tcp,
    /// TCP over IPv6.
    #[value(name = "TCPv6")]
    TcpV6,
    /// UDP over IPv4.
    #[value(name = "UDP")]
    Udp,
    /// UDP over IPv6.
    #[value(name = "UDPv6")]
    UdpV6,
    /// Raw sockets and those of `ping` over IPv4; list only.
    #[value(name = "RAW")]
    Raw,
    /// Raw sockets and those of `ping` over IPv6; list only.
    #[value(name = "RAW6", alias = "RAWv6")]
    Raw6,
    /// MPTCP of both families; list only.
    #[value(name = "MPTCP")]
    Mptcp,
    /// Sockets that see the frames of interfaces; list only.
    #[value(name = "PACKET")]
    Packet,
    /// Sockets within this computer; list only.
    #[value(name = "UNIX")]
    Unix,
    /// UDP-Lite of both families; list only.
    #[value(name = "UDPLITE", alias = "UDP-LITE")]
    UdpLite,
    /// SCTP of both families; list only.
    #[value(name = "SCTP")]
    Sctp,
    /// DCCP of both families; list only.
    #[value(name = "DCCP")]
    Dccp,
    /// Sockets between a virtual machine and its host; list only.
    #[value(name = "VSOCK")]
    Vsock,
    /// Sockets between programs and the kernel; list only.
    #[value(name = "NETLINK")]
    Netlink,
    /// Sockets that take frames past the kernel's network stack; list only.
    #[value(name = "XDP")]
    Xdp,
}

impl ProtocolName {
    /// All names: first those of `-s`, in the order in which it prints them.
    pub const ALL: [ProtocolName; 19] = {
        use ProtocolName::*;
        [
            Ip, IpV6, Icmp, IcmpV6, Tcp, TcpV6, Udp, UdpV6, Raw, Raw6, Mptcp, Packet, Unix, UdpLite, Sctp, Dccp, Vsock,
            Netlink, Xdp,
        ]
    };

    /// The protocols of which `-s` has a block, in the order in which it prints them.
    pub const BLOCKS: [ProtocolName; 8] = {
        use ProtocolName::*;
        [Ip, IpV6, Icmp, IcmpV6, Tcp, TcpV6, Udp, UdpV6]
    };

    /// Returns the name in the spelling of Windows: `TCP`, `TCPv6`, `ICMPv6`.
    pub const fn name(self) -> &'static str {
        match self {
            ProtocolName::Ip => "IP",
            ProtocolName::IpV6 => "IPv6",
            ProtocolName::Icmp => "ICMP",
            ProtocolName::IcmpV6 => "ICMPv6",
            ProtocolName::Tcp => "TCP",
            ProtocolName::TcpV6 => "TCPv6",
            ProtocolName::Udp => "UDP",
            ProtocolName::UdpV6 => "UDPv6",
            ProtocolName::Raw => "RAW",
            ProtocolName::Raw6 => "RAW6",
            ProtocolName::Mptcp => "MPTCP",
            ProtocolName::Packet => "PACKET",
            ProtocolName::Unix => "UNIX",
            ProtocolName::UdpLite => "UDPLITE",
            ProtocolName::Sctp => "SCTP",
            ProtocolName::Dccp => "DCCP",
            ProtocolName::Vsock => "VSOCK",
            ProtocolName::Netlink => "NETLINK",
            ProtocolName::Xdp => "XDP",
        }
    }

    /// Returns the protocol called `name`, ignoring case; `None` if there is none.
    pub fn from_name(name: &str) -> Option<ProtocolName> {
        // The spelling of /proc/net/protocols and RFC 3828.
        if name.eq_ignore_ascii_case("UDP-Lite") {
            return Some(ProtocolName::UdpLite);
        }
        ProtocolName::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// Whether sockets use this protocol directly, so that the connection list can have rows of it.
    pub const fn has_rows(self) -> bool {
        !matches!(
            self,
            ProtocolName::Ip | ProtocolName::IpV6 | ProtocolName::Icmp | ProtocolName::IcmpV6
        )
    }

    /// Whether `-s` has a block for this protocol.
    pub fn has_block(self) -> bool {
        ProtocolName::BLOCKS.contains(&self)
    }
}

/// How the owners of sockets are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum OwnerMethod {
    /// The quickest way that the kernel and the privileges allow.
    #[default]
    Auto,
    /// The kernel's iterator over the descriptors of all processes (eBPF).
    Ebpf,
    /// A walk over `/proc/PID/fd`.
    Proc,
}

/// Parses a bare word as an interval in whole seconds: `5`, `5s`, `1m30s`.
pub(super) fn interval(word: &str) -> Result<u32, String> {
    let whole = |duration: &Duration| duration.subsec_nanos() == 0;
    let seconds = units::duration(word)
        .ok()
        .filter(whole)
        .and_then(|duration| u32::try_from(duration.as_secs()).ok());
    match seconds {
        Some(seconds @ 1..=INTERVAL_MAX) => Ok(seconds),
        _ => Err(format!("is not a whole number of seconds from 1 to {INTERVAL_MAX}")),
    }
}

/// Parses the value of `--count`.
pub(super) fn count(word: &str) -> Result<NonZeroU64, String> {
    digits(word)
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| "is not a whole number of 1 or more".to_owned())
}

/// Parses the value of `--dns-timeout` or `--timeout`.
pub(super) fn timeout(word: &str) -> Result<Duration, String> {
    units::duration_within(word, TIMEOUT_MIN, TIMEOUT_MAX)
}

/// Parses the value of `--until`: a filter, written like the filter options of the command line.
pub(super) fn filter(words: &str) -> Result<Filter, String> {
    let filter: Filter = words
        .parse()
        .map_err(|error: netstat_model::FilterError| format!("is not a filter: {error}"))?;
    match filter.is_empty() {
        true => Err("is empty; for example: \"--listening --port 8080\"".to_owned()),
        false => Ok(filter),
    }
}

/// Parses the value of `--to` or `--from`: an address without a name or port.
pub(super) fn address(word: &str) -> Result<IpAddr, String> {
    word.parse()
        .map_err(|_| "is not an IPv4 or IPv6 address; for example: --to 203.0.113.5".to_owned())
}

/// Parses the value of `--mark`: 32 bits in decimal, or in hexadecimal after `0x`.
pub(super) fn mark(word: &str) -> Result<u32, String> {
    let number = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.parse(),
    };
    number.map_err(|_| "is not a packet mark from 0 to 4294967295; for example: --mark 0xca6c".to_owned())
}

/// Parses the value of `--uid`: a user id. 4294967295 is not valid, because it stands for no user (setresuid(2)).
pub(super) fn uid(word: &str) -> Result<u32, String> {
    word.parse()
        .ok()
        .filter(|&uid| uid != u32::MAX)
        .ok_or_else(|| "is not a user number from 0 to 4294967294; for example: --uid 1000".to_owned())
}

/// Parses the value of `--table`: any word except an empty one, because administrators name tables as they like.
pub(super) fn table(word: &str) -> Result<String, String> {
    if word.is_empty() {
        return Err("is not the name or number of a routing table, nor \"all\"".to_owned());
    }
    Ok(word.to_owned())
}

/// Parses the value of `--state`.
pub(super) fn states(list: &str) -> Result<States, String> {
    let names = || State::ALL.into_iter().map(State::name);
    list.parse()
        .map_err(|error: FilterError| wrong(list, &error, similar::nearest(error.word(), names())))
}

/// Parses the value of `--local` or `--foreign`.
pub(super) fn sides(list: &str) -> Result<Sides, String> {
    list.parse().map_err(|error| wrong(list, &error, None))
}

/// Parses the value of `--pid`.
pub(super) fn pids(list: &str) -> Result<Pids, String> {
    list.parse().map_err(|error| wrong(list, &error, None))
}

/// Parses the value of `--program` or `--unit`.
pub(crate) fn globs(list: &str) -> Result<Globs, String> {
    list.parse().map_err(|error| wrong(list, &error, None))
}

/// Parses the value of `--user`.
pub(super) fn users(list: &str) -> Result<Users, String> {
    list.parse().map_err(|error| wrong(list, &error, None))
}

/// Parses the value of `--port`.
pub(super) fn ports(list: &str) -> Result<Ports, String> {
    list.parse().map_err(|error| wrong(list, &error, None))
}

/// Describes what is wrong with the list of a filter, as the end of a sentence about it. `meant` is a suggestion for
/// the wrong word.
fn wrong(list: &str, error: &FilterError, meant: Option<&str>) -> String {
    let (word, why, example) = (error.word(), error.why(), error.example());
    let what = match word == list {
        true => why.to_owned(),
        false => format!("holds {}, which {why}", quoted(OsStr::new(word))),
    };
    match meant {
        Some(meant) => format!("{what}; did you mean {meant}? For example: {example}"),
        None => format!("{what}; for example: {example}"),
    }
}

fn digits(word: &str) -> Option<&str> {
    (!word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())).then_some(word)
}

/// The value of `--as`: a single value to `clap`, although it is a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NumberList(pub(super) Vec<u32>);

/// The value of `--country`: a single value to `clap`, although it is a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WordList(pub(super) Vec<String>);

/// Parses the value of `--as`: numbers of autonomous systems, with or without the prefix `AS`.
pub(super) fn systems(list: &str) -> Result<NumberList, String> {
    let number = |word: &str| {
        let digits = word
            .strip_prefix("AS")
            .or_else(|| word.strip_prefix("as"))
            .unwrap_or(word);
        digits.parse::<u32>().map_err(|_| {
            format!("holds \"{word}\", which is no number of an autonomous system; for example: --as 13335,AS64500")
        })
    };
    list.split(',').map(number).collect::<Result<_, _>>().map(NumberList)
}

/// Parses the value of `--country`: two-letter codes (ISO 3166).
pub(super) fn countries(list: &str) -> Result<WordList, String> {
    let code = |word: &str| match word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        true => Ok(word.to_ascii_uppercase()),
        false => Err(format!(
            "holds \"{word}\", which is no code of a country (ISO 3166: two letters); for example: --country DE,US"
        )),
    };
    list.split(',').map(code).collect::<Result<_, _>>().map(WordList)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        for (word, seconds) in [
            ("1", 1),
            ("5", 5),
            ("007", 7),
            ("5s", 5),
            ("1m30s", 90),
            ("86400", 86_400),
            ("31536000", 31_536_000),
        ] {
            assert_eq!(interval(word), Ok(seconds), "{word}");
        }
        for word in [
            "",
            "0",
            "00",
            "-5",
            "+5",
            "1.5",
            "500ms",
            "1.5s",
            "31536001",
            "99999999999",
            "4294967297",
            "\u{665}",
        ] {
            let why = interval(word).unwrap_err();
            assert_eq!(why, "is not a whole number of seconds from 1 to 31536000", "{word:?}");
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count("1").unwrap().get(), 1);
        assert_eq!(count("18446744073709551615").unwrap().get(), u64::MAX);
        for word in ["", "0", "-1", "+1", "1.0", "x", "18446744073709551616"] {
            assert_eq!(
                count(word).unwrap_err(),
                "is not a whole number of 1 or more",
                "{word:?}"
            );
        }
    }

    #[test]
    fn timeouts() {
        for (word, millis) in [
            ("2", 2000),
            ("0.5", 500),
            ("0.001", 1),
            ("1.250", 1250),
            ("2s", 2000),
            ("500ms", 500),
            ("3600", 3_600_000),
        ] {
            assert_eq!(timeout(word), Ok(Duration::from_millis(millis)), "{word}");
        }
        for word in [
            "", "0", "0.0", "0.0001", "3600.1", "-1", "+1", ".5", "5.", "1.5.0", "1e3", "inf", "nan", "2h", "1,5",
        ] {
            assert!(timeout(word).unwrap_err().contains("from 1ms to 3600s"), "{word:?}");
        }
    }

    #[test]
    fn protocol_name_is_read_in_any_case() {
        for (word, protocol) in [
            ("tcp", ProtocolName::Tcp),
            ("UDP", ProtocolName::Udp),
            ("TcPV6", ProtocolName::TcpV6),
            ("udpv6", ProtocolName::UdpV6),
            ("ip", ProtocolName::Ip),
            ("IPV6", ProtocolName::IpV6),
            ("icmp", ProtocolName::Icmp),
            ("icmpv6", ProtocolName::IcmpV6),
        ] {
            assert_eq!(ProtocolName::from_name(word), Some(protocol), "{word}");
        }
        for word in ["", "tcp6", "tcp4", "unixx", "tcp ", "tcpv66"] {
            assert_eq!(ProtocolName::from_name(word), None, "{word:?}");
        }
    }

    #[test]
    fn protocol_names_agree_with_the_option_definition() {
        assert_eq!(ProtocolName::value_variants(), ProtocolName::ALL);
        for protocol in ProtocolName::ALL {
            assert_eq!(protocol.to_possible_value().unwrap().get_name(), protocol.name());
        }
    }
}
