//! Values of a row, which can be compared and written.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::digits::{push_bare_address, push_decimal, push_endpoint};
use crate::text::escape;
use crate::{Endpoint, Fact, NoOwner, Why};

/// A value of a row.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// The value is unknown, for this reason.
    Unknown(Missing),
    /// There is known to be no value: a process in no unit, a socket bound to no interface.
    Nothing,
    /// A keyword of this program, which is safe to print.
    Word(&'a str),
    /// Text from outside, which must be escaped before printing.
    Text(Cow<'a, [u8]>),
    /// An unsigned integer.
    Number(u64),
    /// An unsigned integer that is a lower bound. Machine-readable formats contain only the number; another column
    /// tells that it is a bound.
    AtLeast(u64),
    /// A number with a fraction; always finite.
    Decimal(f64),
    /// Bytes per second, 0 or more, which is shown to users with a unit.
    Rate(f64),
    /// Text from outside, followed by a remark for users in parentheses, such as `(deleted)`. Machine-readable formats
    /// contain only the text.
    Remarked(Cow<'a, [u8]>, &'static str),
    /// Yes or no.
    Flag(bool),
    /// An IP address; the port is not shown.
    Address(Endpoint),
    /// An address and a port.
    Endpoint(Endpoint),
    /// Any address and any port: `*:*`.
    AnyEndpoint,
    /// Milliseconds since 1970-01-01 00:00 UTC.
    Time(i64),
    /// Numbers, in ascending order.
    Numbers(Vec<u64>),
}

/// The reason why a value is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// A reason that is not specific to owners.
    Why(Why),
    /// The owner is unknown.
    Owner(NoOwner),
}

impl Missing {
    /// Returns the reason in plain words.
    pub const fn words(self) -> &'static str {
        match self {
            Missing::Why(why) => why.words(),
            Missing::Owner(reason) => reason.words(),
        }
    }
}

impl<'a> Value<'a> {
    /// Creates an unknown value with the reason `why`.
    pub const fn unknown(why: Why) -> Self {
        Value::Unknown(Missing::Why(why))
    }

    /// Creates a number, or an unknown value if the fact is unknown.
    pub fn number(fact: Fact<impl Into<u64>>) -> Self {
        match fact {
            Fact::Known(number) => Value::Number(number.into()),
            Fact::Unknown(why) => Value::unknown(why),
        }
    }

    /// Creates a text from outside; empty text becomes [`Value::Nothing`].
    pub fn text(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        let bytes = bytes.into();
        match bytes.is_empty() {
            true => Value::Nothing,
            false => Value::Text(bytes),
        }
    }

    /// Returns why the value is unknown; `None` if it is known.
    pub const fn missing(&self) -> Option<Missing> {
        match self {
            Value::Unknown(missing) => Some(*missing),
            _ => None,
        }
    }

    /// Writes the value as a table cell, which is never empty and contains no line break and nothing that a terminal
    /// would interpret. `-` means unknown, `none` known to be nothing. An IPv4-mapped address is written as the IPv4
    /// address followed by `(v6)`.
    pub fn push_cell(&self, out: &mut Vec<u8>) {
        match self {
            Value::Unknown(_) => out.push(b'-'),
            Value::Nothing => out.extend_from_slice(b"none"),
            Value::Word(word) => out.extend_from_slice(word.as_bytes()),
            Value::Text(text) => out.extend_from_slice(escape(text).as_bytes()),
            Value::Number(number) => push_decimal(out, *number),
            Value::AtLeast(number) => {
                out.extend_from_slice(b">=");
                push_decimal(out, *number);
            }
            Value::Decimal(number) => push_fraction(out, *number),
            Value::Rate(rate) => out.extend_from_slice(crate::human::bytes_per_second(*rate).as_bytes()),
            Value::Remarked(text, remark) => {
                out.extend_from_slice(escape(text).as_bytes());
                out.extend_from_slice(remark.as_bytes());
            }
            Value::Flag(flag) => out.extend_from_slice(if *flag { b"yes" } else { b"no" }),
            Value::Address(end) => {
                let mapped = folded(end);
                push_bare_address(out, mapped.as_ref().unwrap_or(end));
                push_mark(out, mapped.is_some());
            }
            Value::Endpoint(end) => {
                let mapped = folded(end);
                push_endpoint(out, mapped.as_ref().unwrap_or(end));
                push_mark(out, mapped.is_some());
            }
            Value::AnyEndpoint => out.extend_from_slice(b"*:*"),
            Value::Time(milliseconds) => push_time(out, *milliseconds),
            Value::Numbers(numbers) => {
                if numbers.is_empty() {
                    out.extend_from_slice(b"none");
                }
                for (at, number) in numbers.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    push_decimal(out, *number);
                }
            }
        }
    }

    /// Returns the rank for sorting values of different kinds; nothing sorts before something. Values of the same kind
    /// are compared in `cmp`: numbers as numbers, addresses as addresses with IPv4 before IPv6, text by its bytes, `no`
    /// before `yes`.
    fn rank(&self) -> u8 {
        match self {
            Value::Unknown(_) => 0,
            Value::Nothing | Value::AnyEndpoint => 1,
            Value::Word(_) | Value::Text(_) | Value::Remarked(..) => 2,
            Value::Number(_) | Value::AtLeast(_) | Value::Decimal(_) | Value::Rate(_) => 3,
            Value::Flag(_) => 4,
            Value::Address(_) | Value::Endpoint(_) => 5,
            Value::Time(_) => 6,
            Value::Numbers(_) => 7,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Value::Word(word) => word.as_bytes(),
            Value::Text(text) | Value::Remarked(text, _) => text,
            _ => &[],
        }
    }

    /// Returns the value with all its data owned.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Word(word) => Value::Text(Cow::Owned(word.as_bytes().to_vec())),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Unknown(missing) => Value::Unknown(missing),
            Value::Nothing => Value::Nothing,
            Value::Number(number) => Value::Number(number),
            Value::AtLeast(number) => Value::AtLeast(number),
            Value::Decimal(number) => Value::Decimal(number),
            Value::Rate(rate) => Value::Rate(rate),
            Value::Remarked(text, remark) => Value::Remarked(Cow::Owned(text.into_owned()), remark),
            Value::Flag(flag) => Value::Flag(flag),
            Value::Address(end) => Value::Address(end),
            Value::Endpoint(end) => Value::Endpoint(end),
            Value::AnyEndpoint => Value::AnyEndpoint,
            Value::Time(time) => Value::Time(time),
            Value::Numbers(numbers) => Value::Numbers(numbers),
        }
    }
}

/// Returns the IPv4 form of an IPv4-mapped address (RFC 4291, 2.5.5.2); `None` for any other address.
pub fn folded(end: &Endpoint) -> Option<Endpoint> {
    match end.address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map(|v4| Endpoint {
            address: v4.into(),
            ..*end
        }),
        IpAddr::V4(_) => None,
    }
}

fn push_mark(out: &mut Vec<u8>, mapped: bool) {
    if mapped {
        out.extend_from_slice(b"(v6)");
    }
}

/// Writes a number with at most two decimal places, without trailing zeros.
fn push_fraction(out: &mut Vec<u8>, number: f64) {
    let text = format!("{number:.2}");
    out.extend_from_slice(text.trim_end_matches('0').trim_end_matches('.').as_bytes());
}

/// Writes a time, in milliseconds since 1970, in the format of RFC 3339 in UTC: `2026-11-23T22:30:00.123Z`.
pub fn push_time(out: &mut Vec<u8>, milliseconds: i64) {
    let (days, rest) = (
        milliseconds.div_euclid(86_400_000),
        milliseconds.rem_euclid(86_400_000) as u64,
    );
    let (year, month, day) = civil(days);
    push_padded(out, year.clamp(0, 9999) as u64, 4);
    for (sign, number, count) in [
        (b'-', u64::from(month), 2),
        (b'-', u64::from(day), 2),
        (b'T', rest / 3_600_000, 2),
        (b':', rest / 60_000 % 60, 2),
        (b':', rest / 1000 % 60, 2),
        (b'.', rest % 1000, 3),
    ] {
        out.push(sign);
        push_padded(out, number, count);
    }
    out.push(b'Z');
}

/// Writes the last `count` digits of `number`, with leading zeros.
fn push_padded(out: &mut Vec<u8>, mut number: u64, count: usize) {
    let start = out.len();
    out.resize(start + count, b'0');
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Returns year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Uses eras of 400
/// years that begin on 1 March, as in Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

impl Ord for Value<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) | (Value::AtLeast(a), Value::AtLeast(b)) => a.cmp(b),
            // The same number as a lower bound is greater.
            (Value::Number(a), Value::AtLeast(b)) => a.cmp(b).then(Ordering::Less),
            (Value::AtLeast(a), Value::Number(b)) => a.cmp(b).then(Ordering::Greater),
            (Value::Number(a) | Value::AtLeast(a), Value::Decimal(b) | Value::Rate(b)) => (*a as f64).total_cmp(b),
            (Value::Decimal(a) | Value::Rate(a), Value::Number(b) | Value::AtLeast(b)) => a.total_cmp(&(*b as f64)),
            (Value::Decimal(a) | Value::Rate(a), Value::Decimal(b) | Value::Rate(b)) => a.total_cmp(b),
            (Value::Flag(a), Value::Flag(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Numbers(a), Value::Numbers(b)) => a.cmp(b),
            (Value::Address(a), Value::Address(b)) => {
                (a.address.to_canonical(), a.scope).cmp(&(b.address.to_canonical(), b.scope))
            }
            (Value::Endpoint(a) | Value::Address(a), Value::Endpoint(b) | Value::Address(b)) => {
                let key = |end: &Endpoint| (end.address.to_canonical(), end.port, end.scope);
                key(a).cmp(&key(b))
            }
            (
                Value::Word(_) | Value::Text(_) | Value::Remarked(..),
                Value::Word(_) | Value::Text(_) | Value::Remarked(..),
            ) => self.bytes().cmp(other.bytes()),
            (Value::Unknown(_), Value::Unknown(_)) => Ordering::Equal,
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value<'_> {}

impl Hash for Value<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Value::Word(_) | Value::Text(_) | Value::Remarked(..) => (2u8, self.bytes()).hash(state),
            // An integer and a number with a fraction may be equal.
            Value::Number(number) | Value::AtLeast(number) => (3u8, (*number as f64).to_bits()).hash(state),
            Value::Decimal(number) | Value::Rate(number) => (3u8, number.to_bits()).hash(state),
            Value::Flag(flag) => (4u8, flag).hash(state),
            Value::Address(end) => (5u8, end.address.to_canonical()).hash(state),
            Value::Endpoint(end) => (5u8, end.address.to_canonical()).hash(state),
            Value::Time(time) => (6u8, time).hash(state),
            Value::Numbers(numbers) => (7u8, numbers).hash(state),
            Value::Unknown(_) | Value::Nothing | Value::AnyEndpoint => self.rank().hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(value: &Value<'_>) -> String {
        let mut out = Vec::new();
        value.push_cell(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn end(text: &str) -> Endpoint {
        let end: std::net::SocketAddr = text.parse().unwrap();
        Endpoint {
            address: end.ip(),
            port: end.port(),
            scope: 0,
        }
    }

    #[test]
    fn cells() {
        for (value, shown) in [
            (Value::unknown(Why::NotPermitted), "-"),
            (Value::Nothing, "none"),
            (Value::Word("LISTENING"), "LISTENING"),
            (Value::text(b"a\x1b[2Jb\n".as_slice()), "a\\e[2Jb\\n"),
            (Value::Number(1 << 63), "9223372036854775808"),
            (Value::Rate(58_256.9), "58 kB/s"),
            (Value::Remarked(Cow::Borrowed(b"a\x1b"), "(deleted)"), "a\\e(deleted)"),
            (Value::Decimal(1.5), "1.5"),
            (Value::Decimal(20.0), "20"),
            (Value::Flag(true), "yes"),
            (Value::Endpoint(end("192.0.2.1:80")), "192.0.2.1:80"),
            (Value::Endpoint(end("[2001:db8::1]:80")), "[2001:db8::1]:80"),
            (Value::Endpoint(end("[::ffff:192.0.2.1]:80")), "192.0.2.1:80(v6)"),
            (Value::Address(end("[::ffff:192.0.2.1]:80")), "192.0.2.1(v6)"),
            (Value::AnyEndpoint, "*:*"),
            (Value::Time(1_795_473_000_123), "2026-11-23T22:30:00.123Z"),
            (Value::Time(-1), "1969-12-31T23:59:59.999Z"),
            (Value::Time(951_782_400_000), "2000-02-29T00:00:00.000Z"),
            (Value::Numbers(vec![7, 8]), "7,8"),
        ] {
            assert_eq!(cell(&value), shown);
        }
    }

    #[test]
    fn values_of_different_kinds_are_sorted_in_fixed_order() {
        let rising = [
            Value::unknown(Why::Gone),
            Value::Nothing,
            Value::Word("a"),
            Value::text(b"b".as_slice()),
            Value::Number(9),
            Value::Decimal(9.5),
            Value::Number(10),
            Value::Endpoint(end("9.0.0.1:80")),
            Value::Endpoint(end("[::ffff:10.0.0.1]:70")),
            Value::Endpoint(end("10.0.0.1:80")),
            Value::Endpoint(end("[::1]:1")),
        ];
        for pair in rising.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn cell_of_any_text_is_not_empty_and_has_no_control_characters(bytes: Vec<u8>) {
            let cell = cell(&Value::text(bytes));
            prop_assert!(!cell.is_empty() && !cell.chars().any(char::is_control));
        }

        #[test]
        fn civil_date_of_next_day_is_one_day_later(days in -700_000i64..2_900_000) {
            let (year, month, day) = civil(days);
            let (next_year, next_month, next_day) = civil(days + 1);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
            prop_assert!((year, month, day) < (next_year, next_month, next_day));
            prop_assert!(next_day == day + 1 || next_day == 1);
        }
    }
}
