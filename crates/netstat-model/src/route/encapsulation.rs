//! The encapsulation of packets by a next hop (lightweight tunnels).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The encapsulation of a next hop (`LWTUNNEL_ENCAP_*`, linux/lwtunnel.h).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Encapsulation {
    /// MPLS labels, the outermost first; 0 to 1048575 each.
    Mpls(Vec<u32>),
    /// A tunnel with an IP header of its own.
    Ip {
        /// Whether the outer header is IPv6.
        ipv6: bool,
        /// The tunnel's key.
        key: u64,
        /// The remote end of the tunnel; `None` if it is not set.
        to: Option<IpAddr>,
    },
    /// Segment routing over IPv6 (RFC 8754).
    Seg6 {
        /// How the header is added: `SEG6_IPTUN_MODE_*` (linux/seg6_iptunnel.h).
        mode: u32,
        /// The segments, in the order of the path.
        segments: Vec<Ipv6Addr>,
    },
    /// A local SRv6 segment with the number of its action (`SEG6_LOCAL_ACTION_*`, linux/seg6_local.h).
    Seg6Local(u32),
    /// Another kind, with its number. 3 (ILA), 6 (BPF), 8 (RPL), 9 (IOAM6) and 10 (XFRM) have names.
    Other(u16),
}

impl fmt::Display for Encapsulation {
    /// Writes the encapsulation in the format of ip-route(8): `seg6 mode encap segs 2001:db8::1,2001:db8::2`, `mpls
    /// 100/200`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Encapsulation::Mpls(labels) => {
                f.write_str("mpls ")?;
                joined(f, labels, "/")
            }
            Encapsulation::Ip { ipv6, key, to } => {
                write!(f, "{} id {key}", if *ipv6 { "ip6" } else { "ip" })?;
                to.map_or(Ok(()), |to| write!(f, " dst {to}"))
            }
            Encapsulation::Seg6 { mode, segments } => {
                match mode {
                    0 => f.write_str("seg6 mode inline segs ")?,
                    1 => f.write_str("seg6 mode encap segs ")?,
                    2 => f.write_str("seg6 mode l2encap segs ")?,
                    3 => f.write_str("seg6 mode encap.red segs ")?,
                    4 => f.write_str("seg6 mode l2encap.red segs ")?,
                    other => write!(f, "seg6 mode {other} segs ")?,
                }
                joined(f, segments, ",")
            }
            Encapsulation::Seg6Local(action) => match seg6_action(*action) {
                Some(name) => write!(f, "seg6local action {name}"),
                None => write!(f, "seg6local action {action}"),
            },
            Encapsulation::Other(3) => f.write_str("ila"),
            Encapsulation::Other(6) => f.write_str("bpf"),
            Encapsulation::Other(8) => f.write_str("rpl"),
            Encapsulation::Other(9) => f.write_str("ioam6"),
            Encapsulation::Other(10) => f.write_str("xfrm"),
            Encapsulation::Other(kind) => write!(f, "encapsulation {kind}"),
        }
    }
}

/// Returns the name of `SEG6_LOCAL_ACTION_*` (linux/seg6_local.h) according to RFC 8986; `None` for an unknown number.
fn seg6_action(action: u32) -> Option<&'static str> {
    const NAMES: [&str; 16] = [
        "End",
        "End.X",
        "End.T",
        "End.DX2",
        "End.DX6",
        "End.DX4",
        "End.DT6",
        "End.DT4",
        "End.B6",
        "End.B6.Encaps",
        "End.BM",
        "End.S",
        "End.AS",
        "End.AM",
        "End.BPF",
        "End.DT46",
    ];
    let at = usize::try_from(action.checked_sub(1)?).ok()?;
    NAMES.get(at).copied()
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[impl fmt::Display], separator: &str) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}
