//! The values of `--port`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::error::{FilterError, Mistake};
use super::list;
use crate::Socket;

/// A set of ports from 1 to 65535. Port 0 stands for a side without a port and is never in the set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    /// In ascending order, with at least one port between two ranges.
    ranges: Vec<RangeInclusive<u16>>,
}

impl Ports {
    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether the set contains `port`.
    pub fn contains(&self, port: u16) -> bool {
        let next = self.ranges.partition_point(|range| *range.end() < port);
        self.ranges.get(next).is_some_and(|range| *range.start() <= port)
    }

    /// Whether a side of `socket` has one of these ports, or the set is empty.
    pub fn matches(&self, socket: &Socket) -> bool {
        let has = |port| socket.protocol().has_ports() && self.contains(port);
        self.is_empty() || has(socket.local().port) || has(socket.foreign().port)
    }

    /// Returns the ports as the smallest number of ranges, in ascending order, with at least one port between two.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    /// Adds every port of `other` to the set.
    pub fn add(&mut self, other: &Ports) {
        let both = self.ranges.drain(..).chain(other.ranges.iter().cloned()).collect();
        *self = Ports::join(both);
    }

    pub(super) fn join(mut ranges: Vec<RangeInclusive<u16>>) -> Ports {
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut joined: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => joined.push(range),
            }
        }
        Ports { ranges: joined }
    }

    /// Parses `443` or `8000-8010`.
    pub(super) fn range(word: &str) -> Result<RangeInclusive<u16>, FilterError> {
        let wrong = |mistake| FilterError::new(word, mistake);
        let port = |digits: &str| {
            // Rust's own parser would also accept "+1".
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .parse()
                .ok()
                .filter(|port| is_number && *port != 0)
                .ok_or_else(|| wrong(if is_number { Mistake::PortNumber } else { Mistake::Port }))
        };
        let (first, last) = match word.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(word)?, port(word)?),
        };
        if first > last {
            return Err(wrong(Mistake::PortOrder));
        }
        Ok(first..=last)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(
            f,
            self.ranges.iter().map(|range| match (range.start(), range.end()) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first}-{last}"),
            }),
        )
    }
}

impl FromStr for Ports {
    type Err = FilterError;

    /// Parses one or more ports and ranges separated by commas.
    fn from_str(list: &str) -> Result<Ports, FilterError> {
        list.split(',')
            // A leading colon is accepted as in addresses: `:80`.
            .map(|range| Ports::range(range.strip_prefix(':').unwrap_or(range)))
            .collect::<Result<_, _>>()
            .map(Ports::join)
    }
}
