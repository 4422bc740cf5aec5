//! The multicast groups that interfaces have joined, from `/proc/net/igmp` and `/proc/net/igmp6` (net/ipv4/igmp.c and
//! net/ipv6/mcast.c in the kernel).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use netstat_model::route::MulticastGroup;

use crate::Refused;

/// Returns the groups in the network namespace of the calling thread: IPv4 before IPv6, each in the kernel's order. A
/// kernel without multicast or IPv6 reports none.
///
/// # Errors
/// Returns an error if a table exists but cannot be read.
pub(super) fn groups(proc: &Path) -> Result<Vec<MulticastGroup>, Refused> {
    let mut found = Vec::new();
    for (name, parse) in [
        ("igmp", parse_igmp as fn(&[u8], &mut Vec<MulticastGroup>)),
        ("igmp6", parse_igmp6),
    ] {
        let path = proc.join("thread-self/net").join(name);
        match std::fs::read(&path) {
            Ok(text) => parse(&text, &mut found),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Refused::from_io(path.display().to_string(), &error)),
        }
    }
    Ok(found)
}

fn words(line: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    text.split_whitespace().collect()
}

/// Parses `/proc/net/igmp`: a line for each interface, followed by a line for each of its groups. Other lines are
/// ignored.
pub(super) fn parse_igmp(text: &[u8], found: &mut Vec<MulticastGroup>) {
    let mut interface: Option<(u32, Vec<u8>)> = None;
    for line in text.split(|&byte| byte == b'\n').skip(1) {
        if line.first().is_some_and(u8::is_ascii_digit) {
            // `4      eth0      :     1      V3`: a name may contain a colon, but no blank.
            let mut parts = line.splitn(2, |&byte| byte == b'\t');
            let index = parts
                .next()
                .and_then(|index| std::str::from_utf8(index).ok()?.trim().parse().ok());
            let name = parts
                .next()
                .map(|rest| rest.split(|&byte| byte == b' ').next().unwrap_or_default().to_vec());
            interface = index.zip(name);
            continue;
        }
        let words = words(line);
        let (Some((index, name)), [group, users, ..]) = (&interface, words.as_slice()) else {
            continue;
        };
        // The address is written as a hexadecimal number in host byte order.
        let group = u32::from_str_radix(group, 16)
            .ok()
            .map(|number| Ipv4Addr::from(number.to_ne_bytes()));
        if let (Some(group), Ok(users)) = (group, users.parse()) {
            found.push(MulticastGroup {
                index: *index,
                interface: name.clone(),
                group: IpAddr::V4(group),
                users,
            });
        }
    }
}

/// Parses `/proc/net/igmp6`: index, name, group, users, flags, timer. Other lines are ignored.
pub(super) fn parse_igmp6(text: &[u8], found: &mut Vec<MulticastGroup>) {
    for line in text.split(|&byte| byte == b'\n') {
        let words = words(line);
        let [index, name, group, users, ..] = words.as_slice() else {
            continue;
        };
        let group = u128::from_str_radix(group, 16).ok().filter(|_| group.len() == 32);
        if let (Ok(index), Some(group), Ok(users)) = (index.parse(), group, users.parse()) {
            found.push(MulticastGroup {
                index,
                interface: name.as_bytes().to_vec(),
                group: IpAddr::V6(Ipv6Addr::from_bits(group)),
                users,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parse: fn(&[u8], &mut Vec<MulticastGroup>), text: &str) -> Vec<(u32, String, String, u32)> {
        let mut found = Vec::new();
        parse(text.as_bytes(), &mut found);
        let row = |group: MulticastGroup| {
            let name = String::from_utf8(group.interface).unwrap();
            (group.index, name, group.group.to_string(), group.users)
        };
        found.into_iter().map(row).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn igmp_and_mld_tables_are_read() {
        let text = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
            1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
            4\teth0      :     2      V3\n\t\t\t\tFB0000E0     2 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n";
        let row = |index, name: &str, group: &str, users| (index, name.to_owned(), group.to_owned(), users);
        assert_eq!(
            read(parse_igmp, text),
            [
                row(1, "lo", "224.0.0.1", 1),
                row(4, "eth0", "224.0.0.251", 2),
                row(4, "eth0", "224.0.0.1", 1)
            ]
        );
        let text = "4    eth0            ff0200000000000000000000000000fb     1 00000004 0\n\
            4    eth0            short     1 00000004 0\n";
        assert_eq!(read(parse_igmp6, text), [row(4, "eth0", "ff02::fb", 1)]);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(bytes: Vec<u8>, text in "[0-9a-fA-F:\\t \\n]{0,200}") {
            for text in [&bytes[..], text.as_bytes()] {
                let mut found = Vec::new();
                parse_igmp(text, &mut found);
                parse_igmp6(text, &mut found);
            }
        }
    }
}
