//! Decodes the answer to an rtnetlink link dump (rtnetlink(7)): the name, index, type, address and counters of each
//! interface.
//!
//! Only the attributes that are needed are decoded, so that an unknown attribute of a newer kernel does not prevent
//! reading the counters.

use netstat_model::counters::{ErrorKind, InterfaceCounters, InterfaceMetric, Traffic};
use netstat_model::{Fact, Why};

/// linux/netlink.h: nlmsghdr is length (4), type (2), flags (2), sequence (4), port (4).
const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// linux/rtnetlink.h.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// linux/rtnetlink.h: ifinfomsg is family (1), padding (1), type (2), index (4), flags (4), change (4).
const IFINFOMSG: usize = 16;
/// linux/if_link.h.
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_STATS64: u16 = 23;
/// linux/if.h.
const IFF_LOOPBACK: u32 = 0x8;
/// linux/if_arp.h.
pub(super) const ARPHRD_ETHER: u16 = 1;
pub(super) const ARPHRD_LOOPBACK: u16 = 772;

/// The progress of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More messages follow.
    More,
    /// This was the last message. If `interrupted`, interfaces were added or removed during the dump, so some may be
    /// missing or duplicated.
    Done {
        /// NLM_F_DUMP_INTR was set on a message.
        interrupted: bool,
    },
}

/// The error for an answer that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// The kernel returned this error number.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Refused(i32),
    /// A message extends past the received data, or is shorter than its header.
    #[error("the kernel's answer is cut short")]
    Cut,
}

/// Builds the request for all links, with the sequence number `sequence`.
pub fn request(sequence: u32) -> [u8; HEADER + IFINFOMSG] {
    let mut message = [0; HEADER + IFINFOMSG];
    message[0..4].copy_from_slice(&((HEADER + IFINFOMSG) as u32).to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    message
}

/// Decodes one datagram of the answer to the request numbered `sequence`, and appends its interfaces to `found`.
///
/// The caller keeps `interrupted` from one datagram to the next. Messages with another sequence number are ignored.
///
/// # Errors
/// Returns [`BadAnswer`]; the interfaces decoded before it remain in `found`.
pub fn decode(
    datagram: &[u8],
    sequence: u32,
    interrupted: &mut bool,
    found: &mut Vec<InterfaceCounters>,
) -> Result<Progress, BadAnswer> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = u32_at(rest, 0).ok_or(BadAnswer::Cut)? as usize;
        if length < HEADER {
            return Err(BadAnswer::Cut);
        }
        let message = rest.get(..length).ok_or(BadAnswer::Cut)?;
        rest = rest.get(align4(length)..).unwrap_or_default();
        // The header is complete: its length was checked above.
        let (Some(kind), Some(flags), Some(number)) = (u16_at(message, 4), u16_at(message, 6), u32_at(message, 8))
        else {
            return Err(BadAnswer::Cut);
        };
        if number != sequence {
            continue;
        }
        *interrupted |= flags & NLM_F_DUMP_INTR != 0;
        let body = &message[HEADER..];
        match kind {
            // Both begin with an error number, which is 0 or negative (struct nlmsgerr; the result of the dump after
            // NLMSG_DONE).
            NLMSG_DONE | NLMSG_ERROR => {
                let error = u32_at(body, 0).map_or(0, u32::cast_signed);
                if error < 0 {
                    return Err(BadAnswer::Refused(error.saturating_neg()));
                }
                return Ok(Progress::Done {
                    interrupted: *interrupted,
                });
            }
            RTM_NEWLINK => found.push(link(body).ok_or(BadAnswer::Cut)?),
            _ => {}
        }
    }
    Ok(Progress::More)
}

/// Decodes the body of an RTM_NEWLINK message; `None` if it is malformed.
fn link(body: &[u8]) -> Option<InterfaceCounters> {
    let kind = u16_at(body, 2)?;
    let index = u32_at(body, 4)?;
    let flags = u32_at(body, 8)?;
    let mut link = InterfaceCounters {
        index: Fact::Known(index),
        name: Box::default(),
        mac: Fact::Unknown(Why::NotApplicable),
        loopback: Fact::Known(flags & IFF_LOOPBACK != 0 || kind == ARPHRD_LOOPBACK),
        traffic: Traffic::unknown(Why::Failed),
        kinds: Vec::new(),
    };
    let mut rest = body.get(IFINFOMSG..)?;
    // struct rtattr: length including its own 4 bytes, type, value, padded to 4 bytes.
    while let (Some(length), Some(attribute)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let length = usize::from(length);
        let value = rest.get(4..length)?;
        match attribute {
            IFLA_IFNAME => link.name = value.split(|&byte| byte == 0).next().unwrap_or_default().into(),
            IFLA_ADDRESS if kind == ARPHRD_ETHER => {
                link.mac = Fact::from_option(value.try_into().ok(), Why::NotApplicable);
            }
            IFLA_STATS64 => {
                link.traffic = stats64(value);
                link.kinds = kinds64(value);
            }
            _ => {}
        }
        rest = rest.get(align4(length)..).unwrap_or_default();
    }
    Some(link)
}

/// Decodes struct rtnl_link_stats64 (linux/if_link.h), 64 bits each: rx_packets 0, tx_packets 1, rx_bytes 2, tx_bytes
/// 3, rx_errors 4, tx_errors 5, rx_dropped 6, tx_dropped 7, ..., rx_missed_errors 15. Newer kernels append fields.
fn stats64(value: &[u8]) -> Traffic {
    let at = |place: usize| {
        let bytes = value
            .get(place * 8..place * 8 + 8)
            .and_then(|bytes| bytes.try_into().ok());
        Fact::from_option(bytes.map(u64::from_ne_bytes), Why::Failed)
    };
    let received_discards = match (at(6), at(15)) {
        (Fact::Known(dropped), Fact::Known(missed)) => Fact::from_option(dropped.checked_add(missed), Why::Failed),
        _ => Fact::Unknown(Why::Failed),
    };
    Traffic::unknown(Why::NotKept)
        .with(InterfaceMetric::Bytes, at(2), at(3))
        .with(InterfaceMetric::Discards, received_discards, at(7))
        .with(InterfaceMetric::Errors, at(4), at(5))
        .with(InterfaceMetric::AllPackets, at(0), at(1))
}

/// The index of each counter in struct rtnl_link_stats64. On older kernels, the structure ends before the last ones.
const KINDS: [(ErrorKind, usize); 14] = [
    (ErrorKind::Missed, 15),
    (ErrorKind::Length, 10),
    (ErrorKind::Overflow, 11),
    (ErrorKind::Checksum, 12),
    (ErrorKind::Frame, 13),
    (ErrorKind::ReceiveQueue, 14),
    (ErrorKind::NoHandler, 23),
    (ErrorKind::OtherHost, 24),
    (ErrorKind::Aborted, 16),
    (ErrorKind::Carrier, 17),
    (ErrorKind::SendQueue, 18),
    (ErrorKind::Heartbeat, 19),
    (ErrorKind::Window, 20),
    (ErrorKind::Collisions, 9),
];

fn kinds64(value: &[u8]) -> Vec<(ErrorKind, u64)> {
    let count = |place: usize| {
        Some(u64::from_ne_bytes(
            value.get(place * 8..place * 8 + 8)?.try_into().ok()?,
        ))
    };
    KINDS
        .iter()
        .filter_map(|(kind, place)| Some((*kind, count(*place)?)))
        .collect()
}

fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    bytes.get(place..place + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..place + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

const fn align4(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::counters::Pair;
    use proptest::prelude::*;

    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        message.resize(align4(message.len()), 0);
        message
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut attribute = Vec::new();
        attribute.extend((4 + value.len() as u16).to_ne_bytes());
        attribute.extend(kind.to_ne_bytes());
        attribute.extend(value);
        attribute.resize(align4(attribute.len()), 0);
        attribute
    }

    fn link_body(kind: u16, index: u32, flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![0, 0];
        body.extend(kind.to_ne_bytes());
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend(0u32.to_ne_bytes());
        body.extend(attributes.concat());
        body
    }

    fn stats(count: u64) -> Vec<u8> {
        (1..=count).flat_map(|value| (value * 10).to_ne_bytes()).collect()
    }

    fn run(datagram: &[u8]) -> (Result<Progress, BadAnswer>, Vec<InterfaceCounters>) {
        let mut found = Vec::new();
        (decode(datagram, 7, &mut false, &mut found), found)
    }

    #[test]
    fn link_messages_are_read_until_end() {
        let eth = link_body(
            ARPHRD_ETHER,
            4,
            0x1003,
            &[
                attribute(IFLA_IFNAME, b"eth0\0"),
                attribute(0x1234, b"newer"),
                attribute(IFLA_ADDRESS, &[2, 0xfc, 0, 0, 0, 1]),
                attribute(IFLA_STATS64, &stats(25)),
            ],
        );
        let lo = link_body(
            ARPHRD_LOOPBACK,
            1,
            IFF_LOOPBACK,
            &[attribute(IFLA_ADDRESS, &[0; 6]), attribute(IFLA_IFNAME, b"renamed\0")],
        );
        let datagram = [
            message(RTM_NEWLINK, 2, 7, &eth),
            message(RTM_NEWLINK, 2, 6, &eth),
            message(RTM_NEWLINK, 2, 7, &lo),
            message(NLMSG_DONE, 2, 7, &0u32.to_ne_bytes()),
        ]
        .concat();
        let (progress, found) = run(&datagram);
        assert_eq!(progress, Ok(Progress::Done { interrupted: false }));
        assert_eq!(found.len(), 2);
        assert_eq!(&*found[0].name, b"eth0");
        assert_eq!(found[0].index, Fact::Known(4));
        assert_eq!(found[0].mac, Fact::Known([2, 0xfc, 0, 0, 0, 1]));
        assert_eq!(found[0].loopback, Fact::Known(false));
        let pair = |received, sent| Pair {
            received: Fact::Known(received),
            sent: Fact::Known(sent),
        };
        let traffic = &found[0].traffic;
        assert_eq!(traffic.get(InterfaceMetric::AllPackets), pair(10, 20));
        assert_eq!(traffic.get(InterfaceMetric::Bytes), pair(30, 40));
        assert_eq!(traffic.get(InterfaceMetric::Errors), pair(50, 60));
        assert_eq!(traffic.get(InterfaceMetric::Discards), pair(70 + 160, 80));
        assert_eq!(traffic.get(InterfaceMetric::NonUnicast), Pair::unknown(Why::NotKept));
        assert_eq!(found[1].loopback, Fact::Known(true));
        assert_eq!(found[1].mac, Fact::Unknown(Why::NotApplicable));
        assert_eq!(found[1].traffic, Traffic::unknown(Why::Failed));
    }

    #[test]
    fn link_with_short_statistics_has_unknown_rest() {
        let body = link_body(1, 1, 0, &[attribute(IFLA_STATS64, &stats(10))]);
        let (_, found) = run(&message(RTM_NEWLINK, 2, 7, &body));
        assert_eq!(found[0].traffic.get(InterfaceMetric::Bytes).received, Fact::Known(30));
        assert_eq!(
            found[0].traffic.get(InterfaceMetric::Discards).received,
            Fact::Unknown(Why::Failed)
        );
    }

    #[test]
    fn link_dump_refused_cut_or_interrupted_is_reported() {
        let refusal = message(NLMSG_ERROR, 0, 7, &(-1i32).to_ne_bytes());
        assert_eq!(run(&refusal).0, Err(BadAnswer::Refused(1)));
        let end = message(NLMSG_DONE, NLM_F_DUMP_INTR, 7, &0u32.to_ne_bytes());
        assert_eq!(run(&end).0, Ok(Progress::Done { interrupted: true }));
        assert_eq!(run(&end[..12]).0, Err(BadAnswer::Cut));
        assert_eq!(run(&[8, 0, 0, 0, 0, 0, 0, 0]).0, Err(BadAnswer::Cut));
        assert_eq!(run(&[]).0, Ok(Progress::More));
    }

    proptest! {
        #[test]
        fn link_messages_of_any_bytes_never_panic(bytes: Vec<u8>) {
            let _ = run(&bytes);
            let _ = run(&message(RTM_NEWLINK, 0, 7, &bytes));
            let _ = run(&message(RTM_NEWLINK, 0, 7, &link_body(1, 1, 0, std::slice::from_ref(&bytes))));
            let _ = run(&message(RTM_NEWLINK, 0, 7, &link_body(1, 1, 0, &[attribute(IFLA_STATS64, &bytes)])));
            let _ = run(&message(NLMSG_DONE, 0, 7, &bytes));
        }
    }
}
