//! Detects connections to or from addresses on a block list.

use std::time::Duration;

use netstat_model::text::{escape_str, powershell_quoted};
use netstat_model::{Socket, SystemKind};
use netstat_packages::blocklist::Hit;

use crate::case::{Case, Host, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "block-list",
    title: "a foreign address is on a list given with --blocklist",
    explanation: "The foreign side of each connection is looked up in the lists that you give. High when this computer called it; medium when it called a port that waits \
        here (servers are scanned by everyone), when the list means another port, or names a whole network wider than /16 (IPv6: /32). One step less when the list is \
        older than 30 days. The program ships and downloads no list.",
    harmless: "an old list; an address that many share, as at hosters and content networks; a scan from outside",
    technique: "T1071",
    family: Family::Network,
    check: Check::Process(check),
};

/// The corresponding rule for connections without a known owner.
pub(crate) static OWNERLESS: Rule = Rule {
    name: "block-list-ownerless",
    title: "a connection without a known owner leads to an address on a list given with --blocklist",
    explanation: "As block-list, for connections that no process is known to hold: such as have just ended (TIME_WAIT), or belong to users whom the caller may not look at.",
    harmless: "an old list; an address that many share; a scan from outside",
    technique: "T1071",
    family: Family::Network,
    check: Check::Host(check_host),
};

/// The age from which a list is considered old: lists change daily.
const OLD: Duration = Duration::from_secs(30 * 86_400);

fn check(case: &Case<'_>, notes: &mut Notes) {
    let mut told = Vec::new();
    for socket in case.sockets {
        if let Some(note) = look_up(socket, case.host)
            && !told.contains(&socket.foreign().address)
        {
            told.push(socket.foreign().address);
            notes.found(note);
        }
    }
}

fn check_host(host: &Host, notes: &mut Notes) {
    for socket in &host.ownerless {
        if let Some(note) = look_up(socket, host) {
            notes.found(note);
        }
    }
}

fn look_up(socket: &Socket, host: &Host) -> Option<Note> {
    let foreign = socket.foreign();
    if !socket.protocol().is_ip() || !socket.is_connected() {
        return None;
    }
    let hit = host.block.find(foreign.address, Some(foreign.port))?;
    let inbound = host.ports.contains(&(socket.protocol(), socket.local().port));
    let wide = hit.network.is_some_and(|network| {
        let narrow = if foreign.address.to_canonical().is_ipv4() {
            16
        } else {
            32
        };
        network.length() < narrow
    });
    let mut severity = if inbound || wide || !hit.means_port(foreign.port) {
        Severity::Medium
    } else {
        Severity::High
    };
    let age = hit.list.modified.and_then(|then| host.now.duration_since(then).ok());
    let old = age.is_some_and(|age| age > OLD);
    if old {
        severity = severity.lower();
    }
    let mut evidence = vec![describe(socket), entry(&hit)];
    if inbound {
        evidence.push("the other side called this computer".to_owned());
    }
    if let (true, Some(age)) = (old, age) {
        evidence.push(format!(
            "the list was changed {} ago last",
            netstat_model::human::span(age)
        ));
    }
    let list = escape_str(&hit.list.name).into_owned();
    Some(Note {
        severity,
        headline: format!("talks to {}, which is on {list}", foreign.address),
        evidence,
        verify: match host.kind {
            SystemKind::Windows => format!(
                "Get-Content {} | Select-Object -Index {}; netstat -ano | Select-String {}",
                powershell_quoted(list.as_bytes()),
                hit.line.saturating_sub(1),
                foreign.address
            ),
            _ => format!(
                "sed -n {}p {list}; netstat -ano --foreign {}",
                hit.line, foreign.address
            ),
        },
        would_change: "a newer list no longer has the address, or it is known to serve many".to_owned(),
        pid: None,
        program: None,
    })
}

fn entry(hit: &Hit<'_>) -> String {
    let list = escape_str(&hit.list.name);
    let network = hit.network.map_or_else(String::new, |network| network.to_string());
    let label = hit.label.map_or_else(String::new, |label| format!(" ({label})"));
    let port = hit.port.map_or_else(String::new, |port| format!(", port {port}"));
    format!("{list}, line {}: {network}{port}{label}", hit.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Made};
    use netstat_model::Protocol;
    use netstat_packages::blocklist::BlockList;
    use std::sync::Arc;

    fn block(list: &str) -> Arc<BlockList> {
        let mut block = BlockList::default();
        block.add("list", list.as_bytes());
        Arc::new(block)
    }

    fn seen(list: &str, foreign: &str, ports: &[u16]) -> Vec<Severity> {
        let mut host = testing::host();
        host.block = block(list);
        host.ports = ports.iter().map(|port| (Protocol::Tcp, *port)).collect();
        Made::program("/usr/bin/x")
            .packaged("x")
            .connected(foreign)
            .host(host)
            .check(&RULE)
    }

    #[test]
    fn blocked_peer_severity_follows_direction_and_list_entry() {
        assert_eq!(seen("203.0.113.7\n", "203.0.113.7:443", &[]), [Severity::High]);
        assert_eq!(
            seen("203.0.113.0/24 ; SBL1\n", "203.0.113.7:443", &[]),
            [Severity::High]
        );
        assert_eq!(seen("203.0.112.0/12\n", "203.0.113.7:443", &[]), [Severity::Medium]);
        assert_eq!(seen("203.0.113.7\n", "203.0.113.8:443", &[]), []);
        // The local port of the connection is 50000.
        assert_eq!(seen("203.0.113.7\n", "203.0.113.7:443", &[50_000]), [Severity::Medium]);
        let csv = "dst_ip,dst_port,malware\n203.0.113.7,8080,Bad\n";
        assert_eq!(seen(csv, "203.0.113.7:8080", &[]), [Severity::High]);
        assert_eq!(seen(csv, "203.0.113.7:443", &[]), [Severity::Medium]);
    }

    #[test]
    fn blocked_peer_of_ownerless_connection_is_high() {
        let mut host = testing::host();
        host.block = block("203.0.113.7\n");
        host.ownerless = vec![testing::socket("192.0.2.1:50000", Some("203.0.113.7:443"))];
        assert_eq!(testing::check_host(&host, &OWNERLESS), [Severity::High]);
    }
}
