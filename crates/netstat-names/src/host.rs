//! Host names from untrusted sources.
//!
//! The owner of an address controls the name that reverse DNS returns for it and can choose anything: escape sequences,
//! another address, "localhost". A [`HostName`] has been validated and is safe to show in a table.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use netstat_model::text;

/// The maximum length of a name in text form, without a final dot (RFC 1035, 2.3.4: 255 octets in a message).
const NAME_LIMIT: usize = 253;
/// The maximum length of a label (RFC 1035, 2.3.4).
const LABEL_LIMIT: usize = 63;

/// A host name that is safe to print and cannot be mistaken for an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(Arc<str>);

impl HostName {
    /// Validates a name from a resolver; a final dot is removed.
    ///
    /// Returns `None` unless it has the form of a host name: labels of 1 to 63 letters, digits, `-` and `_` (RFC 1123,
    /// 2.1, and current practice), at most 253 bytes, at least one letter, and no number at the end as in addresses
    /// (RFC 1123, 2.1). Letters outside ASCII are accepted, since hosts(5) and multicast DNS may contain them, unless
    /// they are written from right to left or resemble punctuation.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(bytes).ok()?;
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.len() > NAME_LIMIT || text::escape_str(name) != name {
            return None;
        }
        let good = |label: &str| !label.is_empty() && label.len() <= LABEL_LIMIT && label.chars().all(belongs);
        if !name.split('.').all(good) || ends_in_number(name) || looks_numeric(name) || name.parse::<IpAddr>().is_ok() {
            return None;
        }
        Some(HostName(name.into()))
    }

    /// Returns the whole name, without a final dot.
    pub fn full(&self) -> &str {
        &self.0
    }

    /// Returns the first label, or the whole name if the label alone would look like a number or an address
    /// (`10.example.net`, `192-0-2-1.example.net`).
    pub fn first_label(&self) -> &str {
        match self.0.split_once('.') {
            Some((label, _)) if !looks_numeric(label) => label,
            _ => &self.0,
        }
    }

    /// Whether the name means the computer itself (RFC 6761, 6.3; hosts(5)).
    pub fn is_localhost(&self) -> bool {
        let first = self.0.split('.').next().unwrap_or_default();
        let last = self.0.rsplit('.').next().unwrap_or_default();
        last.eq_ignore_ascii_case("localhost")
            || last.eq_ignore_ascii_case("localdomain")
            || (first.eq_ignore_ascii_case("localhost") && first.len() == self.0.len())
    }
}

/// Whether a character is allowed in a label.
fn belongs(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => true,
        c if c.is_ascii() => false,
        // Right-to-left letters would reorder the port that follows (blocks of the Unicode character database from
        // Hebrew to Arabic Extended, their presentation forms, and the scripts of plane 1). Modifier letters and
        // full-width forms look like colons, dots and digits.
        c if matches!(c as u32,
            0x2B0..=0x2FF | 0x590..=0x8FF | 0xA700..=0xA721 | 0xA788..=0xA78A | 0xFB1D..=0xFDFF | 0xFE70..=0xFFEF
            | 0x10800..=0x10FFF | 0x1E800..=0x1EFFF) =>
        {
            false
        }
        c => c.is_alphabetic(),
    }
}

/// Whether the last label is a decimal or hexadecimal number, in which case older programs parse the name as an address
/// (inet_aton(3)).
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|byte| byte.is_ascii_digit()) || is_hex_number(last)
}

fn is_hex_number(label: &str) -> bool {
    let digits = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a label alone could be mistaken for a number or, with hyphens in place of colons and dots, for an address.
fn looks_numeric(label: &str) -> bool {
    !label.contains(char::is_alphabetic)
        || is_hex_number(label)
        || (label.matches('-').nth(1).is_some() && label.replace('-', ":").parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(name: &str) -> Option<HostName> {
        HostName::parse(name.as_bytes())
    }

    #[test]
    fn host_name_is_cut_to_first_label() {
        let name = parsed("www.example.net.").unwrap();
        assert_eq!((name.full(), name.first_label()), ("www.example.net", "www"));
        assert_eq!(parsed("printer").unwrap().first_label(), "printer");
        assert_eq!(parsed("_tcp-1.xn--bcher-kva.example").unwrap().first_label(), "_tcp-1");
        assert_eq!(parsed("b\u{fc}ro.local").unwrap().first_label(), "b\u{fc}ro");
    }

    #[test]
    fn host_name_with_number_like_first_label_is_not_cut() {
        for name in [
            "10.example.net",
            "192-0-2-1.example.net",
            "2001-db8--1.example.net",
            "0x7f000001.example.net",
        ] {
            assert_eq!(parsed(name).unwrap().first_label(), name);
        }
        for (name, label) in [
            ("db1.example.net", "db1"),
            ("a-1.example.net", "a-1"),
            ("ec2-192-0-2-1.example.net", "ec2-192-0-2-1"),
        ] {
            assert_eq!(parsed(name).unwrap().first_label(), label);
        }
    }

    #[test]
    fn host_name_that_is_address_or_number_is_refused() {
        for name in [
            "10.0.0.1",
            "10.0.0.1.",
            "::1",
            "fe80::1%2",
            "10",
            "10.1",
            "0x7f.1",
            "host.0x7F",
            "1-2-3-4",
            "2001-db8--1",
            "0x7f000001",
            "---",
        ] {
            assert_eq!(parsed(name), None, "{name}");
        }
    }

    #[test]
    fn host_name_malformed_is_refused() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
        for name in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a:80",
            "[a]",
            "a b",
            "a\tb",
            "a\x1b[2J",
            "a\\032b",
            "a/b",
            "a\u{202e}b",
            "a\u{2d0}443",
            "\u{5d0}\u{5d1}",
            "\u{ff10}.x",
            "a%b",
            "a@b",
            "a\0b",
            &long_label,
            &long_name,
        ] {
            assert_eq!(parsed(name), None, "{name:?}");
        }
        assert_eq!(HostName::parse(b"a\xff.example"), None);
        assert!(parsed(&long_name[..253]).is_some());
    }

    #[test]
    fn host_name_localhost_in_any_form_is_recognized() {
        for (name, local) in [
            ("localhost", true),
            ("LocalHost.", true),
            ("localhost.localdomain", true),
            ("a.localhost", true),
            ("localhost.example.net", false),
            ("mylocalhost", false),
        ] {
            assert_eq!(parsed(name).unwrap().is_localhost(), local, "{name}");
        }
    }

    proptest! {
        #[test]
        fn host_name_of_any_accepted_bytes_is_printable(bytes: Vec<u8>) {
            if let Some(name) = HostName::parse(&bytes) {
                prop_assert!(!name.full().contains([' ', ':', '[', ']', '%', '\\']));
                prop_assert_eq!(text::escape_str(name.full()), name.full());
                prop_assert!(name.full().starts_with(name.first_label()));
            }
        }

        #[test]
        fn host_name_accepted_never_reads_as_address(text in "[0-9a-fx.:-]{1,20}") {
            if let Some(name) = HostName::parse(text.as_bytes()) {
                prop_assert!(name.full().parse::<IpAddr>().is_err());
                prop_assert!(name.first_label().parse::<u64>().is_err());
            }
        }
    }
}
