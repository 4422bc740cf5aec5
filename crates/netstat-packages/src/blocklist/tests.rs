//! Tests with lists as they are published, and with errors in them.

use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn load(content: &str) -> BlockList {
    let mut list = BlockList::default();
    list.add("list", content.as_bytes());
    list
}

/// Returns the line, network and label of the entry for an address.
fn at(list: &BlockList, address: &str) -> Option<(u32, String, String)> {
    list.find(address.parse().unwrap(), None).map(|hit| {
        (
            hit.line,
            hit.network.unwrap().to_string(),
            hit.label.unwrap_or_default().to_owned(),
        )
    })
}

fn hit(line: u32, network: &str, label: &str) -> Option<(u32, String, String)> {
    Some((line, network.to_owned(), label.to_owned()))
}

/// Returns the numbers of networks, names, repeated, special and bad entries.
fn counts(list: &BlockList) -> [usize; 5] {
    let report = &list.reports()[0];
    [
        report.networks,
        report.names,
        report.repeated,
        report.special,
        report.bad,
    ]
}

#[test]
fn blocklist_of_plain_addresses_and_networks_is_read() {
    let list = load(
        "\u{feff}# header, by us\r\n\r\n198.51.100.7\r\n  203.0.113.0/24 # scanner\n; more\n203.0.113.64/26\n\
         2001:db8:bad::/48\n198.51.100.7\n::ffff:192.0.2.9\n",
    );
    assert_eq!(list.reports()[0].format, Format::Plain);
    assert_eq!(counts(&list), [5, 0, 1, 0, 0]);
    assert_eq!(at(&list, "198.51.100.7"), hit(3, "198.51.100.7", ""));
    assert_eq!(at(&list, "203.0.113.1"), hit(4, "203.0.113.0/24", "scanner"));
    // The narrower network matches, although the wider one comes first.
    assert_eq!(at(&list, "203.0.113.65"), hit(6, "203.0.113.64/26", ""));
    assert_eq!(at(&list, "::ffff:203.0.113.65"), hit(6, "203.0.113.64/26", ""));
    assert_eq!(at(&list, "2001:db8:bad:1::1"), hit(7, "2001:db8:bad::/48", ""));
    assert_eq!(at(&list, "192.0.2.9"), hit(9, "192.0.2.9", ""));
    assert_eq!(at(&list, "198.51.100.8"), None);
    assert_eq!(at(&list, "2001:db8::1"), None);
}

#[test]
fn blocklist_of_spamhaus_text_is_read() {
    let list = load("; Spamhaus DROP List\n; Last-Modified: x\n198.51.100.0/24 ; SBL1\n203.0.113.0/25 ; SBL22\n");
    assert_eq!(counts(&list), [2, 0, 0, 0, 0]);
    assert_eq!(at(&list, "203.0.113.9"), hit(4, "203.0.113.0/25", "SBL22"));
}

#[test]
fn blocklist_of_spamhaus_json_lines_is_read() {
    let list = load(
        "{\"cidr\":\"198.51.100.0/24\",\"sblid\":\"SBL1\",\"rir\":\"x\"}\n{\"cidr\":\"2001:db8::/32\",\"sblid\":\"SBL2\"}\n\
         {\"cidr\":4}\n{\"type\":\"metadata\",\"records\":2}\n",
    );
    assert_eq!(list.reports()[0].format, Format::Json);
    assert_eq!(counts(&list), [2, 0, 0, 0, 1]);
    assert_eq!(at(&list, "2001:db8::1"), hit(2, "2001:db8::/32", "SBL2"));
    assert_eq!(list.reports()[0].first[0].line, 3);
}

#[test]
fn blocklist_of_json_documents_is_read() {
    let list = load(
        "[\n {\"ip_address\": \"198.51.100.1\", \"port\": 443, \"malware\": \"Bad\"},\n {\"ip_address\": \"x\"}\n]\n",
    );
    assert_eq!(counts(&list), [1, 0, 0, 0, 1]);
    let found = list.find("198.51.100.1".parse().unwrap(), Some(443)).unwrap();
    assert_eq!((found.port, found.label, found.line), (Some(443), Some("Bad"), 1));
    // Objects with numbers as keys, addresses with ports, and names.
    let list = load(
        "{\"1\": [{\"ioc_value\": \"198.51.100.2:80\", \"tags\": [\"a\", \"b\"]}], \"2\": [{\"ioc_value\": \"bad.example\"}]}",
    );
    assert_eq!(counts(&list), [1, 1, 0, 0, 0]);
    let found = list.find("198.51.100.2".parse().unwrap(), None).unwrap();
    assert_eq!((found.port, found.label), (Some(80), Some("a, b")));
    let list = load("[\"198.51.100.3\", \"203.0.113.0/24\", 7]");
    assert_eq!(counts(&list), [2, 0, 0, 0, 1]);
    // Not a list of addresses, and not valid JSON.
    assert_eq!(counts(&load("{\"asn\": 64496, \"cc\": \"ZZ\"}")), [0, 0, 0, 0, 1]);
    assert_eq!(counts(&load("[{\"ip\": \"198.51.100.3\"},\n")), [0, 0, 0, 0, 1]);
}

#[test]
fn blocklist_of_feodo_csv_is_read_with_ports() {
    let list = load(
        "################\r\n# Feodo, by abuse.ch #\r\n# \"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\"\r\n\
         \"2021-01-17\",\"198.51.100.5\",\"443\",\"online\",\"x\",\"Emotet\"\r\n\"2021-01-18\",\"198.51.100.5\",\"8080\",\"online\",\"x\",\"QakBot\"\r\n\
         \"2021\",\"198.51.100.6\",\"99999\",\"\",\"\",\"\"\r\n\"short\"\r\n# END\r\n",
    );
    assert_eq!(list.reports()[0].format, Format::Csv);
    assert_eq!(counts(&list), [2, 0, 0, 0, 2]);
    let find = |port| list.find("198.51.100.5".parse().unwrap(), port).unwrap();
    assert_eq!((find(Some(8080)).label, find(Some(8080)).line), (Some("QakBot"), 5));
    assert_eq!(find(Some(443)).label, Some("Emotet"));
    // Another port matches too, and the entry tells that it applies to 443.
    let other = find(Some(22));
    assert_eq!(
        (other.port, other.means_port(22), other.means_port(443)),
        (Some(443), false, true)
    );
    // A wider network without a port applies to every port.
    let list = load("198.51.100.5:443\n198.51.100.0/24\n");
    let find = |port| list.find("198.51.100.5".parse().unwrap(), Some(port)).unwrap().line;
    assert_eq!((find(443), find(22)), (1, 2));
}

#[test]
fn blocklist_of_hosts_file_matches_names_only() {
    let list = load(
        "127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n255.255.255.255 broadcasthost\n0.0.0.0 0.0.0.0\n\
         0.0.0.0 Bad.Example # ads\n127.0.0.1\tworse.example. tracker_1.example\n192.168.1.5 nas.example\n0.0.0.0 1.2.3.4x\n0.0.0.0\n",
    );
    assert_eq!(list.reports()[0].format, Format::Hosts);
    assert_eq!(counts(&list), [0, 3, 0, 0, 3]);
    assert_eq!(at(&list, "127.0.0.1"), None);
    assert_eq!(at(&list, "192.168.1.5"), None);
    let found = list.find_name("bad.EXAMPLE.").unwrap();
    assert_eq!((found.line, found.label, found.network), (5, Some("ads"), None));
    assert!(list.find_name("worse.example").is_some() && list.find_name("tracker_1.example").is_some());
    assert!(list.find_name("example").is_none() && list.find_name("sub.bad.example").is_none());
    assert!(list.has_names());
}

#[test]
fn blocklist_of_ranges_and_other_formats_is_read() {
    let list = load(
        "198.51.100.0-198.51.100.3\n198.51.101.0 - 198.51.101.255 x\nStart\tEnd\tNetblock\n198.51.102.0\t198.51.102.255\t24\t7\n\
         Some name:198.51.103.0-198.51.103.1\ncreate bad hash:net\nadd bad 198.51.104.0/24\nExitNode A1\nExitAddress 198.51.105.1 2024-01-01 00:00:00\n\
         198.51.106.1:4444\n[2001:db8::5]:80\n2001:db8::8-2001:db8::9\nbad.example\n198.51.107.1\t8\n",
    );
    assert_eq!(list.reports()[0].bad, 1, "{:?}", list.reports()[0].first);
    // A name with a space cannot be distinguished from an entry with text after it.
    assert_eq!(list.reports()[0].first[0].line, 5);
    assert_eq!(at(&list, "198.51.100.2"), hit(1, "198.51.100.0/30", ""));
    assert_eq!(at(&list, "198.51.101.77"), hit(2, "198.51.101.0/24", "x"));
    assert_eq!(at(&list, "198.51.102.9"), hit(4, "198.51.102.0/24", ""));
    assert_eq!(at(&list, "198.51.104.9"), hit(7, "198.51.104.0/24", ""));
    assert_eq!(at(&list, "198.51.105.1"), hit(9, "198.51.105.1", "Tor exit"));
    assert_eq!(
        list.find("198.51.106.1".parse().unwrap(), None).unwrap().port,
        Some(4444)
    );
    assert_eq!(list.find("2001:db8::5".parse().unwrap(), None).unwrap().port, Some(80));
    assert_eq!(at(&list, "2001:db8::9"), hit(12, "2001:db8::8/127", ""));
    assert!(list.find_name("bad.example").is_some());
    assert_eq!(at(&list, "198.51.107.1"), hit(14, "198.51.107.1", "8"));
}

#[test]
fn blocklist_unreadable_lines_are_named_with_reason() {
    let list = load(
        "198.51.100.1\n198.51.100.300\nnonsense\n198.51.100.0/40\n\u{1b}[2J\n<html>\nmore words\nlast\n10.0.0.0/8\n",
    );
    assert_eq!(counts(&list), [1, 0, 0, 1, 7]);
    let first = &list.reports()[0].first;
    assert_eq!(first.len(), NAMED);
    assert_eq!(
        first[0],
        BadLine {
            line: 2,
            text: "198.51.100.300".into(),
            reason: "no address or network"
        }
    );
    assert_eq!(first[2].reason, "prefix longer than the address");
    assert_eq!(first[3].text, "\\e[2J");
    assert!(!list.reports()[0].is_empty() && load("nothing here").reports()[0].is_empty());
}

#[test]
fn blocklist_of_several_files_finds_in_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("two.netset");
    std::fs::write(&path, "203.0.113.9\n198.51.100.7\n").unwrap();
    let mut list = load("198.51.100.7 # first\n");
    let report = list.add_file(&path).unwrap();
    assert_eq!((report.networks, report.repeated), (1, 1));
    assert!(report.modified.is_some());
    assert_eq!(
        list.find("203.0.113.9".parse().unwrap(), None).unwrap().list.name,
        path.to_str().unwrap()
    );
    assert_eq!(
        list.find("198.51.100.7".parse().unwrap(), None).unwrap().list.name,
        "list"
    );
    assert!(list.add_file(dir.path().join("none")).is_err());
    assert_eq!(list.reports().len(), 2);
}

#[test]
fn blocklist_with_60000_ports_of_one_address_finds_port() {
    let mut text = String::new();
    for port in 1..=60_000 {
        text.push_str(&format!("198.51.100.1:{port}\n"));
    }
    let list = load(&text);
    assert_eq!(list.reports()[0].networks, 60_000);
    let found = list.find("198.51.100.1".parse().unwrap(), Some(59_999)).unwrap();
    assert_eq!(found.port, Some(59_999));
}

proptest! {
    #[test]
    fn any_bytes(content: Vec<u8>) {
        let mut list = BlockList::default();
        list.add("x", &content);
        for hit in [list.find(Ipv4Addr::from_bits(0x0102_0304).into(), Some(1)), list.find_name("a.b")].into_iter().flatten() {
            let label = hit.label.unwrap_or_default();
            prop_assert_eq!(text::escape_str(label), label);
        }
    }

    /// Fragments of real lists in any order do not cause a panic.
    #[test]
    fn blocklist_of_any_fragments_never_panics(pieces in prop::collection::vec(
        prop::sample::select(&["198.51.100.1", "/24", "-", "\n", "\r\n", "#", ";", ",", "\"", "{", "}", "[", "]", ":", "ip", "port",
            "cidr", "2001:db8::", " ", "\t", "0.0.0.0", "bad.example", "add x ", "ExitAddress ", "443", "\u{1b}"][..]), 0..60)) {
        let mut list = BlockList::default();
        let report = list.add("x", pieces.concat().as_bytes());
        prop_assert!(report.first.len() <= NAMED);
        prop_assert!(report.first.iter().all(|bad| text::escape_str(&bad.text) == bad.text));
    }

    /// The table agrees with a linear search.
    #[test]
    fn blocklist_match_is_longest_prefix(
        networks in prop::collection::vec((any::<u32>(), 0..=32u8, any::<bool>()), 1..60), probes: [u32; 8]) {
        // A small address space makes networks overlap.
        let address = |bits: u32, v6: bool| -> IpAddr {
            if v6 {
                Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(bits & 0xff) << 88).into()
            } else {
                Ipv4Addr::from_bits(0xc633_6400 | (bits & 0xff)).into()
            }
        };
        let networks: Vec<Network> = networks
            .into_iter()
            .filter_map(|(bits, length, v6)| Network::new(address(bits, v6), if v6 { 32 + length } else { 24 + length % 9 }))
            .collect();
        let text: String = networks.iter().map(|network| format!("{network}\n")).collect();
        let list = load(&text);
        prop_assert_eq!(list.reports()[0].bad + list.reports()[0].special, 0);
        for (bits, v6) in probes.into_iter().flat_map(|bits| [(bits, false), (bits, true)]) {
            let expected = networks.iter().filter(|network| network.contains(address(bits, v6))).max_by_key(|network| network.length());
            let found = list.find(address(bits, v6), None).map(|hit| hit.network.unwrap());
            prop_assert_eq!(found, expected.copied());
        }
    }
}
