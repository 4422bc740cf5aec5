//! Descriptions of the system's counters in plain words.
//!
//! The descriptions are this project's own. Their facts come from the kernel's
//! Documentation/networking/snmp_counter.rst, the comments in include/uapi/linux/snmp.h and net/mptcp/mib.h, the commit
//! messages that introduced a counter, and from RFC 4293 (IP, ICMP), RFC 2466 (ICMPv6), RFC 4022 (TCP) and RFC 4113
//! (UDP). A counter that is not listed has no description rather than a guessed one.

mod icmp;
mod ip;
mod mptcp;
mod tcp;
mod udp;

use std::borrow::Cow;

/// Pairs of a counter's name and its description.
type Descriptions = &'static [(&'static str, &'static str)];

/// Returns what the counter `name` of `group` counts, in one line without a full stop; `None` if it is not documented.
///
/// The groups are those of Linux: `Ip`, `IpExt`, `Ip6`, `Icmp`, `IcmpMsg`, `Icmp6`, `Tcp`, `TcpExt`, `MPTcpExt`, `Udp`,
/// `UdpLite`, `Udp6`, `UdpLite6`.
pub fn meaning(group: &str, name: &str) -> Option<Cow<'static, str>> {
    let words: Descriptions = match group {
        // IPv6 has one group for what IPv4 splits into two.
        "Ip" | "IpExt" | "Ip6" => ip::DESCRIPTIONS,
        "Icmp" => icmp::DESCRIPTIONS,
        "Icmp6" => {
            return find(icmp::DESCRIPTIONS_6, name)
                .or_else(|| find(icmp::DESCRIPTIONS, name))
                .or_else(|| icmp::by_type(name, icmp::TYPES_6));
        }
        "IcmpMsg" => return icmp::by_type(name, icmp::TYPES_4),
        "Tcp" => tcp::DESCRIPTIONS,
        "TcpExt" => tcp::DESCRIPTIONS_EXT,
        "MPTcpExt" => mptcp::DESCRIPTIONS,
        "Udp" | "UdpLite" | "Udp6" | "UdpLite6" => udp::DESCRIPTIONS,
        _ => return None,
    };
    find(words, name)
}

fn find(words: Descriptions, name: &str) -> Option<Cow<'static, str>> {
    words
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, meaning)| Cow::Borrowed(*meaning))
}

/// Whether a value reported by Linux is a setting or a current state rather than a count of events.
pub fn is_gauge(group: &str, name: &str) -> bool {
    matches!(
        (group, name),
        ("Ip", "Forwarding" | "DefaultTTL")
            | ("Tcp", "RtoAlgorithm" | "RtoMin" | "RtoMax" | "MaxConn" | "CurrEstab")
            | ("MPTcpExt", "MPCurrEstab")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_meanings_are_one_plain_line_and_listed_once() {
        let tables = [
            ip::DESCRIPTIONS,
            icmp::DESCRIPTIONS,
            icmp::DESCRIPTIONS_6,
            tcp::DESCRIPTIONS,
            tcp::DESCRIPTIONS_EXT,
            mptcp::DESCRIPTIONS,
            udp::DESCRIPTIONS,
        ];
        for words in tables {
            for (i, (name, meaning)) in words.iter().enumerate() {
                assert!(words[..i].iter().all(|(other, _)| other != name), "{name} twice");
                assert!(
                    !meaning.is_empty() && meaning.len() <= 110,
                    "{name}: {} long",
                    meaning.len()
                );
                assert!(!meaning.ends_with('.') && meaning.trim() == *meaning, "{name}");
                assert!(meaning.chars().all(|c| !c.is_control()), "{name}");
            }
        }
    }

    #[test]
    fn counter_meaning_is_found_by_group_and_name() {
        assert!(meaning("Ip6", "InTooBigErrors").is_some());
        assert!(meaning("IpExt", "InCEPkts").is_some());
        assert_eq!(
            meaning("IcmpMsg", "InType3").as_deref(),
            Some("ICMP messages of type 3 received: destination unreachable")
        );
        assert_eq!(
            meaning("Icmp6", "OutType143").as_deref(),
            Some("ICMPv6 messages of type 143 sent: multicast listener report, version 2")
        );
        // The two families share descriptions except where they differ.
        assert_eq!(meaning("Icmp6", "InMsgs"), meaning("Icmp", "InMsgs"));
        assert_eq!(meaning("Tcp", "ListenDrops"), None);
        assert_eq!(meaning("XfrmStat", "InMsgs"), None);
        assert_eq!(meaning("IcmpMsg", "InType256"), None);
        assert_eq!(meaning("IcmpMsg", "InType"), None);
    }
}
