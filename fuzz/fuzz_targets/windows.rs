//! The parsers of what Windows answers: tables of sockets, processes, services, interfaces, routes, counters, command lines.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use netstat_model::Family;
use netstat_model::windows_host::{Door, FirewallRule, ProfilePolicy, WindowsFirewall};
use netstat_os::windows::parse;
use netstat_os::windows::{Buffer, DiskAnswer, Tables, Wide};

fuzz_target!(|data: &[u8]| {
    for family in [Family::V4, Family::V6] {
        let mut rows = Vec::new();
        let _ = parse::tcp(data, family, &mut |row| rows.push(row));
        let _ = parse::udp(data, family, &mut |row| rows.push(row));
        let _ = parse::bound(data, family, &mut |row| rows.push(row));
        let _ = parse::udp_peers(data, family, &rows);
        for row in rows {
            assert_eq!(row.socket(row.identity(0)).row_process(), Some(row.pid));
        }
    }
    let base = data.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let buffer = Buffer { bytes: data.to_vec(), base };
    let _ = parse::processes(&buffer);
    let _ = parse::services(&buffer, data.len() as u32);
    let _ = parse::processors(data);
    let answer = DiskAnswer { performance: data.to_vec(), ..DiskAnswer::default() };
    let _ = parse::disk(&answer);
    let _ = parse::connection_bytes(data);
    for directory in [false, true] {
        let _ = parse::file_access(data, directory);
    }
    let text = String::from_utf8_lossy(data);
    for text in [text.clone().into_owned(), format!("v2.31|Action=Allow|Active=TRUE|Dir=In|{text}")] {
        if let Some(rule) = FirewallRule::parse(&text) {
            let on = ProfilePolicy { enabled: true, allows_by_default: false, blocks_all: false };
            let firewall = WindowsFirewall { profiles: [on; 3], rules: vec![rule], unread: 0 };
            let door = Door { protocol: 6, port: 80, program: Some(data), services: Some(&[]) };
            assert!(firewall.lines(&door).iter().all(|line| !line.contains(char::is_control)));
        }
    }
    if let [id, version, payload @ ..] = data {
        let event = parse::RawEvent { id: u16::from(*id) % 64, version: version % 2, at: 1, payload: payload.to_vec() };
        let _ = parse::network_event(&event);
    }
    let _ = parse::other_users(data, "S-1-5-21-1-2-3-1001", false);
    let _ = parse::service_command_line(&buffer);
    let _ = parse::interfaces(data);
    let _ = parse::addresses(data);
    let _ = parse::interface_metrics(data);
    let _ = parse::routes(data, |_| 0);
    let _ = parse::persistent_route(&String::from_utf8_lossy(data));
    let tables = Tables {
        ip: Some(data.to_vec()),
        icmp: Some(data.to_vec()),
        tcp: Some(Wide::Wide(data.to_vec())),
        udp: Some(Wide::Narrow(data.to_vec())),
    };
    let _ = parse::statistics(Duration::ZERO, &[tables.clone(), tables], true);
    let units: Vec<u16> = data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(parse::to_units(&parse::to_bytes(&units)), units);
    let _ = parse::arguments(&units);
});
