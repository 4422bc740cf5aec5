//! The names that programs on this computer looked up, taken from the DNS answers that they received.
//!
//! Reverse DNS returns the name that the owner of an address chose; these are the names that a program here asked for.
//! An answer is a hint, not proof: anyone who can send packets to this computer can forge one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use crate::HostName;

/// The maximum number of addresses. When it is reached, the oldest quarter is discarded.
const MOST_ADDRESSES: usize = 16_384;
/// The maximum number of names per address: many sites share the addresses of a content delivery network.
const MOST_NAMES: usize = 4;
/// The maximum number of records read of an answer.
const MOST_RECORDS: usize = 256;

/// How late an answer may be read after it arrived; the connection that it was for may have been opened in the
/// meantime.
const DELAY: Duration = Duration::from_secs(2);

/// Record types and class: RFC 1035, 3.2.2 and 3.2.4; RFC 3596, 2.1.
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
/// The length of a message header (RFC 1035, 4.1.1).
const HEADER: usize = 12;

/// The content of a DNS answer: the addresses of the name that was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The name that was looked up, before any alias was followed.
    pub name: HostName,
    /// The addresses, in the order of the answer; at least one.
    pub addresses: Vec<IpAddr>,
}

/// Parses a DNS message. Returns `None` unless it is an answer without an error to a single question, contains
/// addresses, and the name is a valid host name.
pub fn dns_answer(message: &[u8]) -> Option<DnsAnswer> {
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let flags = number(2)?;
    // The message must be an answer to a standard query, without an error.
    if flags & 0xf80f != 0x8000 || number(4)? != 1 {
        return None;
    }
    let records = usize::from(number(6)?).min(MOST_RECORDS);
    let mut name = Vec::new();
    let mut at = HEADER;
    // The name in the question is the first in the message, so that it cannot refer to another.
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if length > 63 {
            return None;
        }
        if !name.is_empty() {
            name.push(b'.');
        }
        // A dot within a label would change the boundaries between labels.
        let label = message.get(at..at + length)?;
        if label.contains(&b'.') {
            return None;
        }
        name.extend(label.iter().map(u8::to_ascii_lowercase));
        at += length;
    }
    at += 4;
    let name = HostName::parse(&name)?;
    let mut addresses = Vec::new();
    for _ in 0..records {
        at = after_name(message, at)?;
        let (kind, class) = (number(at)?, number(at + 2)?);
        let length = usize::from(number(at + 8)?);
        let data = message.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        let address: Option<IpAddr> = match (kind, class) {
            (TYPE_A, CLASS_IN) => <[u8; 4]>::try_from(data).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
            (TYPE_AAAA, CLASS_IN) => <[u8; 16]>::try_from(data)
                .ok()
                .map(|bytes| Ipv6Addr::from(bytes).into()),
            _ => None,
        };
        addresses.extend(address);
    }
    (!addresses.is_empty()).then_some(DnsAnswer { name, addresses })
}

/// Returns the position after the name that begins at `at`.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            // A pointer to another name ends this one (RFC 1035, 4.1.4).
            first if first & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

/// A name that was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedName {
    /// The name.
    pub name: HostName,
    /// When an answer first returned the address for the name.
    pub first: SystemTime,
    /// When an answer last returned the address for the name.
    pub last: SystemTime,
}

/// The names of addresses for which answers were seen. Bounded, and kept in memory only.
#[derive(Clone, Debug, Default)]
pub struct AskedNames {
    names: HashMap<IpAddr, Vec<AskedName>>,
}

impl AskedNames {
    /// Records a DNS message that arrived at `now`. Returns its content if it is an answer with addresses.
    pub fn learn(&mut self, message: &[u8], now: SystemTime) -> Option<DnsAnswer> {
        let answer = dns_answer(message)?;
        for address in &answer.addresses {
            self.add(*address, answer.name.clone(), now, now);
        }
        Some(answer)
    }

    /// Records that answers returned `address` for `name` from `first` until `last`.
    pub fn add(&mut self, address: IpAddr, name: HostName, first: SystemTime, last: SystemTime) {
        let address = address.to_canonical();
        if self.names.len() >= MOST_ADDRESSES && !self.names.contains_key(&address) {
            self.forget_oldest();
        }
        let names = self.names.entry(address).or_default();
        match names.iter_mut().find(|asked| asked.name == name) {
            Some(asked) => {
                asked.first = asked.first.min(first);
                asked.last = asked.last.max(last);
            }
            None => names.push(AskedName { name, first, last }),
        }
        // Most recent first.
        names.sort_by_key(|asked| std::cmp::Reverse(asked.last));
        names.truncate(MOST_NAMES);
    }

    /// Returns the names of `address`, most recently looked up first.
    pub fn of(&self, address: IpAddr) -> &[AskedName] {
        self.names.get(&address.to_canonical()).map_or(&[], Vec::as_slice)
    }

    /// Returns the most recently looked up name of `address`.
    pub fn newest(&self, address: IpAddr) -> Option<&str> {
        self.of(address).first().map(|asked| asked.name.full())
    }

    /// Returns the name of `address` that a connection opened at `time` was most likely for: the one most recently
    /// looked up by then. `None` if no name had been looked up by then.
    pub fn at(&self, address: IpAddr, time: SystemTime) -> Option<&AskedName> {
        let limit = time + DELAY;
        let by_then = || self.of(address).iter().filter(|asked| asked.first <= limit);
        let before = by_then().filter(|asked| asked.last <= limit);
        before
            .max_by_key(|asked| asked.last)
            .or_else(|| by_then().max_by_key(|asked| asked.first))
    }

    /// Returns the number of addresses with names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no address has a name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn forget_oldest(&mut self) {
        let newest = |names: &[AskedName]| names.first().map(|asked| asked.last);
        let mut times: Vec<Option<SystemTime>> = self.names.values().map(|names| newest(names)).collect();
        let quarter = times.len() / 4;
        let (_, limit, _) = times.select_nth_unstable(quarter);
        let limit = *limit;
        self.names.retain(|_, names| newest(names) > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Builds an answer to a question for `name`: an alias, followed by these addresses.
    fn message(name: &str, addresses: &[IpAddr]) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, (1 + addresses.len()) as u8, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, 1, 0, 1]);
        // A CNAME record (5) that points to a name of one label.
        message.extend([0xc0, 0x0c, 0, 5, 0, 1, 0, 0, 0, 60, 0, 5, 3, b'c', b'd', b'n', 0]);
        for address in addresses {
            let (kind, bytes) = match address {
                IpAddr::V4(v4) => (1, v4.octets().to_vec()),
                IpAddr::V6(v6) => (28, v6.octets().to_vec()),
            };
            message.extend([3, b'c', b'd', b'n', 0, 0, kind, 0, 1, 0, 0, 0, 60, 0, bytes.len() as u8]);
            message.extend(bytes);
        }
        message
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dns_answer_gives_addresses_to_name_asked_for() {
        let addresses: Vec<IpAddr> = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let answer = dns_answer(&message("WWW.Example.org", &addresses)).unwrap();
        assert_eq!((answer.name.full(), &answer.addresses), ("www.example.org", &addresses));
    }

    #[test]
    fn dns_question_error_or_odd_name_is_ignored() {
        let addresses = ["192.0.2.7".parse().unwrap()];
        let good = message("a.example", &addresses);
        let with = |at: usize, byte: u8| {
            let mut message = good.clone();
            message[at] = byte;
            dns_answer(&message)
        };
        assert!(dns_answer(&good).is_some());
        assert_eq!(with(2, 0x01), None, "a question");
        assert_eq!(with(3, 0x83), None, "NXDOMAIN");
        assert_eq!(with(5, 2), None, "two questions");
        assert_eq!(dns_answer(&message("a\u{1b}[2J.example", &addresses)), None);
        assert_eq!(
            dns_answer(&message("10.0.0.1", &addresses)),
            None,
            "a name like an address"
        );
        assert_eq!(dns_answer(&message("a.example", &[])), None);
    }

    #[test]
    fn asked_names_of_address_are_newest_first_and_at_most_four() {
        let mut names = AskedNames::default();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        for number in 0..9u64 {
            let name = format!("site{number}.example");
            names.learn(&message(&name, &[address]), at(number)).unwrap();
        }
        names.learn(&message("site7.example", &[address]), at(20)).unwrap();
        let known: Vec<&str> = names.of(address).iter().map(|asked| asked.name.full()).collect();
        assert_eq!(
            known,
            ["site7.example", "site8.example", "site6.example", "site5.example"]
        );
        assert_eq!((names.of(address)[0].first, names.of(address)[0].last), (at(7), at(20)));
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(names.newest(mapped), Some("site7.example"));
    }

    #[test]
    fn asked_name_at_a_time_is_last_asked_before_it() {
        let mut names = AskedNames::default();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        for (name, when) in [("a.example", 100), ("b.example", 200), ("a.example", 300)] {
            names.learn(&message(name, &[address]), at(when)).unwrap();
        }
        let chosen = |when| names.at(address, at(when)).map(|asked| asked.name.full());
        assert_eq!(chosen(50), None, "nobody had asked yet");
        assert_eq!(chosen(99), Some("a.example"), "the answer was read a second later");
        assert_eq!(chosen(250), Some("b.example"));
        assert_eq!(chosen(400), Some("a.example"));
    }

    #[test]
    fn asked_names_when_full_forget_oldest_address() {
        let mut names = AskedNames::default();
        for number in 0..MOST_ADDRESSES as u32 + 10 {
            let address = Ipv4Addr::from(0x0a00_0000 + number).into();
            names.add(
                address,
                HostName::parse(b"a.example").unwrap(),
                at(number.into()),
                at(number.into()),
            );
        }
        assert!(names.len() <= MOST_ADDRESSES, "{}", names.len());
        assert!(names.of(Ipv4Addr::from(0x0a00_0000).into()).is_empty());
        let last = 0x0a00_0000 + MOST_ADDRESSES as u32 + 9;
        assert!(!names.of(Ipv4Addr::from(last).into()).is_empty());
    }

    proptest! {
        #[test]
        fn dns_answer_of_arbitrary_message_never_panics(bytes: Vec<u8>, cut in 0usize..80) {
            let _ = dns_answer(&bytes);
            let whole = message("www.example.org", &["192.0.2.7".parse().unwrap()]);
            let _ = dns_answer(&whole[..cut.min(whole.len())]);
            let mut answer = vec![0, 0, 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
            answer.extend(bytes);
            let _ = dns_answer(&answer);
        }
    }
}
