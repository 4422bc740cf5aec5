//! The records that the eBPF program writes: `struct record` in `bpf/events.bpf.c`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use netstat_model::{
    Direction, Endpoint, Event, EventKind, EventOrigin, EventOwner, Fact, Family, Moment, Protocol, ShortName, State,
    Why,
};

/// The size of a record in bytes.
pub(super) const RECORD_BYTES: usize = 144;

/// The kinds of records (an `enum` in the eBPF program).
const OPENED: u8 = 1;
const CHANGED: u8 = 2;
const CLOSED: u8 = 3;
const TAKEN: u8 = 4;
const PEER: u8 = 5;

/// The constants for converting kernel times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The wall-clock time of the boot: `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`.
    pub(super) boot: SystemTime,
    /// The length of a clock tick in nanoseconds; process start times are in ticks.
    pub(super) tick: u64,
}

impl Clock {
    /// Converts nanoseconds since boot to a moment.
    pub(super) fn moment(&self, since_boot: u64) -> Moment {
        Moment {
            wall: self.boot + Duration::from_nanos(since_boot),
            since_boot,
        }
    }
}

fn bytes<const N: usize>(record: &[u8; RECORD_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&record[at..at + N]);
    out
}

/// Reads the address at offset `at` and combines it with the port. A link-local address gets the interface as its
/// scope.
fn endpoint(record: &[u8; RECORD_BYTES], at: usize, (family, port, interface): (Family, u16, u32)) -> Endpoint {
    let address = match family {
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bytes::<16>(record, at))),
        _ => IpAddr::V4(Ipv4Addr::from(bytes::<4>(record, at))),
    };
    // fe80::/10 (RFC 4291, 2.5.6).
    let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    Endpoint {
        address,
        port,
        scope: if local { interface } else { 0 },
    }
}

/// Decodes one record; `None` if its size or kind is unknown.
pub(super) fn event(record: &[u8], clock: &Clock) -> Option<Event> {
    let record = <&[u8; RECORD_BYTES]>::try_from(record).ok()?;
    let long = |at| u64::from_ne_bytes(bytes(record, at));
    let word = |at| u32::from_ne_bytes(bytes(record, at));
    let port = |at| u16::from_be_bytes(bytes(record, at));
    let family = match record[133] {
        2 => Family::V4,
        10 => Family::V6,
        _ => return None,
    };
    let protocol = match record[134] {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return None,
    };
    let state = state(record[136])?;
    let interface = word(92);
    let endpoint = |at, port| endpoint(record, at, (family, port, interface));
    let kind = match record[132] {
        OPENED if state == State::Listening => EventKind::Listening,
        OPENED => EventKind::Opened,
        CHANGED | PEER => EventKind::Changed,
        CLOSED => EventKind::Closed,
        TAKEN => EventKind::Accepted,
        _ => return None,
    };
    let before = self::state(record[135])?;
    let direction = match record[137] {
        1 => Direction::Outgoing,
        2 => Direction::Incoming,
        _ if state == State::Listening || before == State::Listening => Direction::Listening,
        _ => Direction::Unknown,
    };
    let pid = word(40);
    let owned = pid != 0;
    let owner = EventOwner {
        pid,
        start_ticks: Fact::Known(long(24) / clock.tick.max(1)),
        name: ShortName::new(&record[48..64]),
    };
    let opened = long(16);
    Some(Event {
        kind,
        at: clock.moment(long(0)),
        origin: EventOrigin::Trace,
        cookie: NonZeroU64::new(long(8)),
        inode: None,
        protocol,
        family,
        local: endpoint(96, port(128)),
        foreign: endpoint(112, port(130)),
        state,
        before: (before != state).then_some(before),
        direction,
        interface,
        namespace: Fact::Known(word(80)),
        owner: if_known(owned, owner),
        user: if_known(owned, word(44)),
        cgroup: if_known(owned, long(32)),
        opened: match opened {
            0 => Fact::Unknown(Why::NotKept),
            opened => Fact::Known(opened),
        },
        sent: Fact::Known(long(64)),
        received: Fact::Known(long(72)),
        retransmits: tcp_only(protocol, word(84)),
        // 0 means that there is no RTT sample yet.
        rtt: match tcp_only(protocol, word(88)) {
            Fact::Known(0) => Fact::Unknown(Why::NotYet),
            rtt => rtt,
        },
    })
}

fn if_known<T>(known: bool, value: T) -> Fact<T> {
    if known {
        Fact::Known(value)
    } else {
        Fact::Unknown(Why::NotYet)
    }
}

fn tcp_only(protocol: Protocol, value: u32) -> Fact<u32> {
    match protocol {
        Protocol::Tcp => Fact::Known(value),
        _ => Fact::Unknown(Why::NotApplicable),
    }
}

/// Returns the state with the kernel's number `number` (`include/net/tcp_states.h`), in the sense that it has for a
/// live socket: unlike in a dump, CLOSE means that the socket has ended.
pub(super) fn state(number: u8) -> Option<State> {
    Some(match number {
        1 => State::Established,
        2 => State::SynSent,
        3 | 12 => State::SynReceived,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        7 => State::Closed,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listening,
        11 => State::Closing,
        13 => State::Bound,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLOCK: Clock = Clock {
        boot: SystemTime::UNIX_EPOCH,
        tick: 10_000_000,
    };

    /// A closed connection of process 77, as the eBPF program would write it.
    fn closed() -> Vec<u8> {
        let mut record = Vec::new();
        for number in [9_000_000_000u64, 0x1234, 8_000_000_000, 5_000_000_000, 42] {
            record.extend(number.to_ne_bytes());
        }
        record.extend(77u32.to_ne_bytes());
        record.extend(33u32.to_ne_bytes());
        record.extend(b"curl\0\0\0\0\0\0\0\0\0\0\0\0");
        record.extend(100u64.to_ne_bytes());
        record.extend(200u64.to_ne_bytes());
        for number in [4_026_531_840u32, 3, 250, 0] {
            record.extend(number.to_ne_bytes());
        }
        record.extend([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        record.extend([10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        record.extend(40_000u16.to_be_bytes());
        record.extend(443u16.to_be_bytes());
        record.extend([CLOSED, 2, 6, 5, 7, 1, 0, 0, 0, 0, 0, 0]);
        record
    }

    #[test]
    fn a_record_is_read_field_by_field() {
        let read = event(&closed(), &CLOCK).unwrap();
        assert_eq!((read.kind, read.origin), (EventKind::Closed, EventOrigin::Trace));
        assert_eq!(read.at.wall, SystemTime::UNIX_EPOCH + Duration::from_secs(9));
        assert_eq!(read.duration(), Fact::Known(Duration::from_secs(1)));
        assert_eq!(read.cookie.unwrap().get(), 0x1234);
        assert_eq!((read.protocol, read.family), (Protocol::Tcp, Family::V4));
        assert_eq!((read.local.address, read.local.port), ([10, 0, 0, 1].into(), 40_000));
        assert_eq!((read.foreign.address, read.foreign.port), ([10, 0, 0, 2].into(), 443));
        assert_eq!((read.before, read.state), (Some(State::FinWait2), State::Closed));
        assert_eq!(read.direction, Direction::Outgoing);
        assert_eq!(read.namespace, Fact::Known(4_026_531_840));
        let owner = read.owner.known().unwrap();
        assert_eq!((owner.pid, owner.name.as_bytes()), (77, &b"curl"[..]));
        assert_eq!(owner.start_ticks, Fact::Known(500));
        assert_eq!((read.user, read.cgroup), (Fact::Known(33), Fact::Known(42)));
        assert_eq!((read.sent, read.received), (Fact::Known(100), Fact::Known(200)));
        assert_eq!((read.retransmits, read.rtt), (Fact::Known(3), Fact::Known(250)));
    }

    #[test]
    fn record_without_process_has_unknown_owner_and_not_root() {
        let mut record = closed();
        record[40..48].fill(0);
        let read = event(&record, &CLOCK).unwrap();
        assert_eq!(read.owner, Fact::Unknown(Why::NotYet));
        assert_eq!(read.user, Fact::Unknown(Why::NotYet));
    }

    #[test]
    fn record_of_listener_and_of_udp_have_own_kind_and_direction() {
        let mut record = closed();
        (record[132], record[135], record[136], record[137]) = (OPENED, 7, 10, 0);
        let read = event(&record, &CLOCK).unwrap();
        assert_eq!(
            (read.kind, read.direction),
            (EventKind::Listening, Direction::Listening)
        );
        (record[134], record[136]) = (17, 7);
        let read = event(&record, &CLOCK).unwrap();
        assert_eq!(read.retransmits, Fact::Unknown(Why::NotApplicable));
        assert_eq!((read.kind, read.direction), (EventKind::Opened, Direction::Unknown));
    }

    #[test]
    fn record_with_unknown_value_is_skipped() {
        for (at, value) in [(132, 0), (132, 9), (133, 1), (134, 1), (135, 0), (136, 99)] {
            let mut record = closed();
            record[at] = value;
            assert_eq!(event(&record, &CLOCK), None, "{at}");
        }
        assert_eq!(event(&closed()[1..], &CLOCK), None);
    }

    proptest! {
        #[test]
        fn record_of_any_bytes_never_panics(mut record in proptest::collection::vec(any::<u8>(), RECORD_BYTES)) {
            let _ = event(&record, &CLOCK);
            record[132..137].copy_from_slice(&[CHANGED, 10, 6, 1, 4]);
            record[..8].fill(0);
            prop_assert!(event(&record, &CLOCK).is_some());
        }
    }
}
