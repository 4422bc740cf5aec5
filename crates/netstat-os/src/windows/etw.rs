//! Events of the provider Microsoft-Windows-Kernel-Network, decoded by id and version: connections of TCP that were established and closed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netstat_model::Family;

use super::bytes::{array, u32_at};

/// An event as the session hands it over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawEvent {
    /// `EVENT_DESCRIPTOR.Id`.
    pub id: u16,
    /// `EVENT_DESCRIPTOR.Version`.
    pub version: u8,
    /// When it happened, as a FILETIME.
    pub at: u64,
    /// The payload (`UserData`).
    pub payload: Vec<u8>,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A program of this computer connected.
    Connected,
    /// A program of this computer accepted.
    Accepted,
    /// It was closed.
    Closed,
}

/// A decoded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpEvent {
    /// What happened.
    pub what: Happening,
    /// When, as a FILETIME.
    pub at: u64,
    /// The process that the connection belongs to. The header of the event has another: that of the thread in whose time it was written.
    pub pid: u32,
    /// IPv4 or IPv6.
    pub family: Family,
    /// `saddr` and `sport`: the local side.
    pub local: (IpAddr, u16),
    /// `daddr` and `dport`: the foreign side.
    pub foreign: (IpAddr, u16),
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// One about a connection.
    Tcp(TcpEvent),
    /// One that is not asked for, such as data that was sent.
    Other,
    /// One that is asked for, in a version or with a length that is not known.
    Unknown,
}

/// The ids that are asked for: connected, closed and accepted, over IPv4 and IPv6 (the provider's manifest; as the event types of the classic
/// `TcpIp` class).
#[cfg_attr(not(any(test, windows)), expect(dead_code, reason = "the session filters by them"))]
pub(super) const IDS: [u16; 6] = [12, 13, 15, 28, 29, 31];

/// The payload begins alike in each of them (classes `TcpIp_TypeGroup1` to `4`): process, size, `daddr`, `saddr`, `dport`, `sport`; ports in network
/// order.
pub fn decode(event: &RawEvent) -> Decoded {
    let (what, family) = match event.id {
        12 => (Happening::Connected, Family::V4),
        13 => (Happening::Closed, Family::V4),
        15 => (Happening::Accepted, Family::V4),
        28 => (Happening::Connected, Family::V6),
        29 => (Happening::Closed, Family::V6),
        31 => (Happening::Accepted, Family::V6),
        _ => return Decoded::Other,
    };
    if event.version != 0 {
        return Decoded::Unknown;
    }
    match ends(&event.payload, family) {
        Some((pid, local, foreign)) => Decoded::Tcp(TcpEvent {
            what,
            at: event.at,
            pid,
            family,
            local,
            foreign,
        }),
        None => Decoded::Unknown,
    }
}

type Ends = (u32, (IpAddr, u16), (IpAddr, u16));

fn ends(payload: &[u8], family: Family) -> Option<Ends> {
    const ADDRESSES: usize = 8;
    let address = |at: usize| -> Option<IpAddr> {
        Some(match family {
            Family::V6 => Ipv6Addr::from(array::<16>(payload, at)?).into(),
            _ => Ipv4Addr::from(array::<4>(payload, at)?).into(),
        })
    };
    let size = if family == Family::V6 { 16 } else { 4 };
    let port = |at: usize| array(payload, at).map(u16::from_be_bytes);
    let ports = ADDRESSES + 2 * size;
    let foreign = (address(ADDRESSES)?, port(ports)?);
    let local = (address(ADDRESSES + size)?, port(ports + 2)?);
    Some((u32_at(payload, 0)?, local, foreign))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An event with the fields in front of those that only some ids have.
    pub(in super::super) fn written(id: u16, at: u64, pid: u32, local: &str, foreign: &str) -> RawEvent {
        let ends = [foreign, local].map(|end| end.parse::<std::net::SocketAddr>().unwrap());
        let mut payload = pid.to_le_bytes().to_vec();
        payload.extend(0u32.to_le_bytes());
        for end in &ends {
            match end.ip() {
                IpAddr::V4(v4) => payload.extend(v4.octets()),
                IpAddr::V6(v6) => payload.extend(v6.octets()),
            }
        }
        ends.iter().for_each(|end| payload.extend(end.port().to_be_bytes()));
        // seqnum and connid.
        payload.extend([0; 8]);
        RawEvent {
            id,
            version: 0,
            at,
            payload,
        }
    }

    #[test]
    fn decode_connect_over_ipv4_by_its_offsets() {
        // PID 3000, size 0, daddr 203.0.113.7, saddr 10.0.0.5, dport 443, sport 50000, mss 1460, three options, window, two scales, seqnum, connid.
        let payload = [
            0xb8, 0x0b, 0, 0, 0, 0, 0, 0, 203, 0, 113, 7, 10, 0, 0, 5, 0x01, 0xbb, 0xc3, 0x50, 0xb4, 0x05, 1, 0, 0, 0,
            1, 0, 0, 0, 1, 0, 8, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let event = RawEvent {
            id: 12,
            version: 0,
            at: 7,
            payload: payload.to_vec(),
        };
        let Decoded::Tcp(found) = decode(&event) else {
            panic!("{:?}", decode(&event))
        };
        assert_eq!((found.what, found.pid, found.at), (Happening::Connected, 3000, 7));
        assert_eq!(found.local, ("10.0.0.5".parse().unwrap(), 50000));
        assert_eq!(found.foreign, ("203.0.113.7".parse().unwrap(), 443));
        let later = RawEvent {
            version: 1,
            ..event.clone()
        };
        assert_eq!(
            decode(&later),
            Decoded::Unknown,
            "a layout that nobody knows is not guessed"
        );
        let short = RawEvent {
            payload: payload[..19].to_vec(),
            ..event
        };
        assert_eq!(decode(&short), Decoded::Unknown);
    }

    #[test]
    fn decode_every_id_both_families() {
        for (id, what, local, foreign) in [
            (13, Happening::Closed, "10.0.0.5:50000", "203.0.113.7:443"),
            (15, Happening::Accepted, "10.0.0.5:22", "203.0.113.7:41000"),
            (28, Happening::Connected, "[2001:db8::5]:50000", "[2001:db8::7]:443"),
            (29, Happening::Closed, "[2001:db8::5]:50000", "[2001:db8::7]:443"),
            (31, Happening::Accepted, "[2001:db8::5]:22", "[2001:db8::7]:41000"),
        ] {
            let Decoded::Tcp(found) = decode(&written(id, 5, 9, local, foreign)) else {
                panic!("{id}")
            };
            let end = |(address, port)| std::net::SocketAddr::new(address, port).to_string();
            assert_eq!((found.what, found.pid), (what, 9), "{id}");
            assert_eq!(
                (end(found.local).as_str(), end(found.foreign).as_str()),
                (local, foreign)
            );
        }
        for id in [10, 11, 14, 16, 17, 18, 26, 42, 58] {
            assert_eq!(
                decode(&RawEvent {
                    id,
                    ..RawEvent::default()
                }),
                Decoded::Other
            );
        }
    }

    proptest! {
        #[test]
        fn decode_takes_any_payload(id in 0u16..64, version in 0u8..3, payload in prop::collection::vec(any::<u8>(), 0..80)) {
            let decoded = decode(&RawEvent { id, version, at: 1, payload });
            if !IDS.contains(&id) {
                prop_assert_eq!(decoded, Decoded::Other);
            }
        }
    }
}
