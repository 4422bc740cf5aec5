//! Writes numbers and addresses as text without the formatting machinery: a listing writes four of these per row, a
//! million times.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Endpoint;

/// Appends `number` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends an IPv4 address in dotted decimal.
pub fn push_ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

/// Appends an IPv6 address in the format of RFC 5952: lower case, the longest run of zero groups (at least two) as
/// `::`, and the last 32 bits of IPv4-mapped addresses in dotted decimal.
pub fn push_ipv6(out: &mut Vec<u8>, address: Ipv6Addr) {
    if let Some(mapped) = address.to_ipv4_mapped() {
        out.extend_from_slice(b"::ffff:");
        return push_ipv4(out, mapped);
    }
    let groups = address.segments();
    let (mut best, mut best_length) = (0, 0);
    let mut start = 0;
    while start < groups.len() {
        let length = groups[start..].iter().take_while(|&&group| group == 0).count();
        if length > best_length {
            (best, best_length) = (start, length);
        }
        start += length.max(1);
    }
    if best_length < 2 {
        best = groups.len();
        best_length = 0;
    }
    let mut index = 0;
    while index < groups.len() {
        if index == best {
            out.extend_from_slice(b"::");
            index += best_length;
            continue;
        }
        if index > 0 && index != best + best_length {
            out.push(b':');
        }
        push_group(out, groups[index]);
        index += 1;
    }
}

/// Appends up to four hexadecimal digits without leading zeros.
fn push_group(out: &mut Vec<u8>, group: u16) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut started = false;
    for shift in [12, 8, 4, 0] {
        let digit = usize::from(group >> shift & 15);
        started |= digit != 0 || shift == 0;
        if started {
            out.push(DIGITS[digit]);
        }
    }
}

/// Appends the address of one side without brackets and with its scope: `192.0.2.1`, `fe80::1%3`.
pub fn push_bare_address(out: &mut Vec<u8>, endpoint: &Endpoint) {
    match endpoint.address {
        IpAddr::V4(address) => push_ipv4(out, address),
        IpAddr::V6(address) => {
            push_ipv6(out, address);
            if endpoint.scope != 0 {
                out.push(b'%');
                push_decimal(out, endpoint.scope.into());
            }
        }
    }
}

/// Appends the address of one side: IPv4 as it is, IPv6 in brackets and with its scope.
pub fn push_address(out: &mut Vec<u8>, endpoint: &Endpoint) {
    match endpoint.address {
        IpAddr::V4(address) => push_ipv4(out, address),
        IpAddr::V6(_) => {
            out.push(b'[');
            push_bare_address(out, endpoint);
            out.push(b']');
        }
    }
}

/// Appends one side as `address:port`.
pub fn push_endpoint(out: &mut Vec<u8>, endpoint: &Endpoint) {
    push_address(out, endpoint);
    out.push(b':');
    push_decimal(out, endpoint.port.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ipv6_address_is_written_by_rfc_5952() {
        for (address, expected) in [
            ("::", "::"),
            ("::1", "::1"),
            ("fe80::", "fe80::"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ] {
            assert_eq!(text(|out| push_ipv6(out, address.parse().unwrap())), expected);
        }
    }

    #[test]
    fn link_local_endpoint_is_written_with_its_scope() {
        let side = Endpoint {
            address: "fe80::5196:ca37".parse().unwrap(),
            port: 1900,
            scope: 2,
        };
        assert_eq!(text(|out| push_endpoint(out, &side)), "[fe80::5196:ca37%2]:1900");
    }

    proptest! {
        #[test]
        fn any_address_or_number_is_written_as_by_standard_library(bits: u128, mask: u8, v4: u32, number: u64) {
            // Random bits rarely contain zero groups, so some are blanked.
            let groups = Ipv6Addr::from_bits(bits).segments();
            let mut holes = groups;
            for (index, group) in holes.iter_mut().enumerate() {
                if mask >> index & 1 == 1 { *group = 0; }
            }
            for address in [Ipv6Addr::from(groups), Ipv6Addr::from(holes)] {
                prop_assert_eq!(text(|out| push_ipv6(out, address)), address.to_string());
            }
            let v4 = Ipv4Addr::from_bits(v4);
            prop_assert_eq!(text(|out| push_ipv4(out, v4)), v4.to_string());
            prop_assert_eq!(text(|out| push_decimal(out, number)), number.to_string());
        }
    }
}
