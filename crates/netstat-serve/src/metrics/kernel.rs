//! The counters of the kernel that indicate problems or load, with self-explanatory names.

use netstat_model::counters::{Metric, ProtocolStatistics, meaning};

use super::{Family, Kind, Value};

/// A family: its name without `_total`, and for each of its counters the kernel's group, the kernel's name and the
/// protocol label.
type Source = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

/// The counters. Groups and names are those of /proc/net/snmp, /proc/net/snmp6 and /proc/net/netstat.
const SOURCES: &[Source] = &[
    (
        "netstat_kernel_listen_overflows",
        &[("TcpExt", "ListenOverflows", "tcp")],
    ),
    ("netstat_kernel_listen_drops", &[("TcpExt", "ListenDrops", "tcp")]),
    (
        "netstat_kernel_request_queue_drops",
        &[("TcpExt", "TCPReqQFullDrop", "tcp")],
    ),
    (
        "netstat_kernel_syn_cookies_sent",
        &[("TcpExt", "SyncookiesSent", "tcp")],
    ),
    ("netstat_kernel_active_opens", &[("Tcp", "ActiveOpens", "tcp")]),
    ("netstat_kernel_passive_opens", &[("Tcp", "PassiveOpens", "tcp")]),
    ("netstat_kernel_attempt_failures", &[("Tcp", "AttemptFails", "tcp")]),
    ("netstat_kernel_established_resets", &[("Tcp", "EstabResets", "tcp")]),
    ("netstat_kernel_resets_sent", &[("Tcp", "OutRsts", "tcp")]),
    ("netstat_kernel_segments_received", &[("Tcp", "InSegs", "tcp")]),
    ("netstat_kernel_segments_sent", &[("Tcp", "OutSegs", "tcp")]),
    (
        "netstat_kernel_segments_retransmitted",
        &[("Tcp", "RetransSegs", "tcp")],
    ),
    ("netstat_kernel_syn_retransmits", &[("TcpExt", "TCPSynRetrans", "tcp")]),
    ("netstat_kernel_timeouts", &[("TcpExt", "TCPTimeouts", "tcp")]),
    ("netstat_kernel_backlog_drops", &[("TcpExt", "TCPBacklogDrop", "tcp")]),
    (
        "netstat_kernel_aborts_on_memory",
        &[("TcpExt", "TCPAbortOnMemory", "tcp")],
    ),
    (
        "netstat_kernel_memory_pressures",
        &[("TcpExt", "TCPMemoryPressures", "tcp")],
    ),
    (
        "netstat_kernel_receive_queue_pruned",
        &[("TcpExt", "PruneCalled", "tcp")],
    ),
    (
        "netstat_kernel_datagrams_received",
        &[("Udp", "InDatagrams", "udp"), ("Udp6", "InDatagrams", "udp6")],
    ),
    (
        "netstat_kernel_datagrams_sent",
        &[("Udp", "OutDatagrams", "udp"), ("Udp6", "OutDatagrams", "udp6")],
    ),
    (
        "netstat_kernel_no_ports",
        &[("Udp", "NoPorts", "udp"), ("Udp6", "NoPorts", "udp6")],
    ),
    (
        "netstat_kernel_receive_buffer_errors",
        &[("Udp", "RcvbufErrors", "udp"), ("Udp6", "RcvbufErrors", "udp6")],
    ),
    (
        "netstat_kernel_send_buffer_errors",
        &[("Udp", "SndbufErrors", "udp"), ("Udp6", "SndbufErrors", "udp6")],
    ),
    (
        "netstat_kernel_checksum_errors",
        &[
            ("Tcp", "InCsumErrors", "tcp"),
            ("Udp", "InCsumErrors", "udp"),
            ("Udp6", "InCsumErrors", "udp6"),
        ],
    ),
];

/// Returns the families of the counters that this kernel has.
pub(super) fn families(statistics: &ProtocolStatistics) -> Vec<Family> {
    let value = |group: &str, name: &str| {
        let group = statistics.groups.iter().find(|known| &*known.name == group)?;
        group.get(name)?.known().and_then(Metric::counter)
    };
    let mut families = Vec::new();
    for (name, counters) in SOURCES {
        let Some((group, counter, _)) = counters.first() else {
            continue;
        };
        let Some(help) = meaning(group, counter) else { continue };
        let mut family = Family::new(name, Kind::Counter, help);
        for (group, counter, protocol) in *counters {
            if let Some(count) = value(group, counter) {
                family.push(&[("protocol", protocol)], Value::Whole(count));
            }
        }
        if !family.series.is_empty() {
            families.push(family);
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_metrics_have_unique_names_and_documented_meaning() {
        for (at, (name, counters)) in SOURCES.iter().enumerate() {
            assert!(SOURCES[..at].iter().all(|(other, _)| other != name), "{name} twice");
            for (group, counter, _) in *counters {
                assert!(meaning(group, counter).is_some(), "{group} {counter}");
            }
        }
    }
}
