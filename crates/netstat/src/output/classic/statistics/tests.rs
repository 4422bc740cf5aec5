use std::time::Duration;

use netstat_model::Why;
use netstat_model::counters::{Metric, Pair};

use super::*;

/// Returns statistics in which every row has a different number, so that no two can be confused.
fn statistics(tcp: TcpFamilies) -> ProtocolStatistics {
    let mut next = 100;
    ProtocolStatistics::new(Duration::from_secs(50), tcp, Vec::new(), |_, row| {
        next += 1;
        let sent = match row.cells {
            Cells::Two { .. } => Fact::Known(next * 1000),
            Cells::One(_) => Fact::Unknown(Why::NotApplicable),
        };
        let received = if row.id == "routing_discards" {
            Fact::Unknown(Why::NotKept)
        } else {
            Fact::Known(next)
        };
        Pair { received, sent }
    })
}

fn text(statistics: &ProtocolStatistics, options: &StatisticsOptions<'_>) -> String {
    let mut out = Vec::new();
    write(&mut out, statistics, options).unwrap();
    String::from_utf8(out).unwrap()
}

fn only(block: Block) -> StatisticsOptions<'static> {
    StatisticsOptions {
        blocks: block.into(),
        ..StatisticsOptions::default()
    }
}

#[test]
fn statistics_of_all_blocks_have_classic_layout() {
    let mut statistics = statistics(TcpFamilies::Separate);
    statistics.set_current_connections(Fact::Known(12_345_678_901), Fact::Unknown(Why::NotPermitted));
    let expected = "
IPv4 Statistics

  Packets Received                   = 101
  Received Header Errors             = 102
  Received Address Errors            = 103
  Datagrams Forwarded                = 104
  Unknown Protocols Received         = 105
  Received Packets Discarded         = 106
  Received Packets Delivered         = 107
  Output Requests                    = 108
  Routing Discards                   = -
  Discarded Output Packets           = 110
  Output Packet No Route             = 111
  Reassembly Required                = 112
  Reassembly Successful              = 113
  Reassembly Failures                = 114
  Datagrams Successfully Fragmented  = 115
  Datagrams Failing Fragmentation    = 116
  Fragments Created                  = 117

IPv6 Statistics

  Packets Received                   = 118
  Received Header Errors             = 119
  Received Address Errors            = 120
  Datagrams Forwarded                = 121
  Unknown Protocols Received         = 122
  Received Packets Discarded         = 123
  Received Packets Delivered         = 124
  Output Requests                    = 125
  Routing Discards                   = -
  Discarded Output Packets           = 127
  Output Packet No Route             = 128
  Reassembly Required                = 129
  Reassembly Successful              = 130
  Reassembly Failures                = 131
  Datagrams Successfully Fragmented  = 132
  Datagrams Failing Fragmentation    = 133
  Fragments Created                  = 134

ICMPv4 Statistics

                            Received    Sent
  Messages                  135         135000
  Errors                    136         136000
  Destination Unreachable   137         137000
  Time Exceeded             138         138000
  Parameter Problems        139         139000
  Source Quenches           140         140000
  Redirects                 141         141000
  Echo Replies              142         142000
  Echos                     143         143000
  Timestamps                144         144000
  Timestamp Replies         145         145000
  Address Masks             146         146000
  Address Mask Replies      147         147000
  Router Solicitations      148         148000
  Router Advertisements     149         149000

ICMPv6 Statistics

                            Received    Sent
  Messages                  150         150000
  Errors                    151         151000
  Destination Unreachable   152         152000
  Packet Too Big            153         153000
  Time Exceeded             154         154000
  Parameter Problems        155         155000
  Echos                     156         156000
  Echo Replies              157         157000
  MLD Queries               158         158000
  MLD Reports               159         159000
  MLD Dones                 160         160000
  Router Solicitations      161         161000
  Router Advertisements     162         162000
  Neighbor Solicitations    163         163000
  Neighbor Advertisements   164         164000
  Redirects                 165         165000
  Router Renumberings       166         166000

TCP Statistics for IPv4

  Active Opens                        = 167
  Passive Opens                       = 168
  Failed Connection Attempts          = 169
  Reset Connections                   = 170
  Current Connections                 = 12345678901
  Segments Received                   = 172
  Segments Sent                       = 173
  Segments Retransmitted              = 174

TCP Statistics for IPv6

  Active Opens                        = 175
  Passive Opens                       = 176
  Failed Connection Attempts          = 177
  Reset Connections                   = 178
  Current Connections                 = -
  Segments Received                   = 180
  Segments Sent                       = 181
  Segments Retransmitted              = 182

UDP Statistics for IPv4

  Datagrams Received    = 183
  No Ports              = 184
  Receive Errors        = 185
  Datagrams Sent        = 186

UDP Statistics for IPv6

  Datagrams Received    = 187
  No Ports              = 188
  Receive Errors        = 189
  Datagrams Sent        = 190
";
    assert_eq!(text(&statistics, &StatisticsOptions::default()), expected);
}

#[test]
fn tcp_counted_for_both_families_says_so() {
    let mut statistics = ProtocolStatistics::new(Duration::ZERO, TcpFamilies::Together, Vec::new(), |block, _| Pair {
        received: if block == Block::Tcpv6 {
            Fact::Unknown(Why::NotKept)
        } else {
            Fact::Known(7)
        },
        sent: Fact::Unknown(Why::NotApplicable),
    });
    statistics.set_current_connections(Fact::Known(3), Fact::Known(2));
    let both = StatisticsOptions {
        blocks: BlockSet::from(Block::Tcpv4).with(Block::Tcpv6),
        ..Default::default()
    };
    let expected = "
TCP Statistics

  Linux counts IPv4 and IPv6 together here; Current Connections are those over IPv4.
  Active Opens                        = 7
  Passive Opens                       = 7
  Failed Connection Attempts          = 7
  Reset Connections                   = 7
  Current Connections                 = 3
  Segments Received                   = 7
  Segments Sent                       = 7
  Segments Retransmitted              = 7

TCP Statistics for IPv6

  Linux counts IPv4 and IPv6 together, under TCP; only Current Connections are those over IPv6.
  Active Opens                        = -
  Passive Opens                       = -
  Failed Connection Attempts          = -
  Reset Connections                   = -
  Current Connections                 = 2
  Segments Received                   = -
  Segments Sent                       = -
  Segments Retransmitted              = -
";
    assert_eq!(text(&statistics, &both), expected);
}

#[test]
fn protocol_name_chooses_its_block_alone() {
    let statistics = statistics(TcpFamilies::Separate);
    for (name, title) in [
        ("IP", "IPv4 Statistics"),
        ("ipv6", "IPv6 Statistics"),
        ("icmp", "ICMPv4 Statistics"),
        ("ICMPv6", "ICMPv6 Statistics"),
        ("Tcp", "TCP Statistics for IPv4"),
        ("tcpv6", "TCP Statistics for IPv6"),
        ("UDP", "UDP Statistics for IPv4"),
        ("udpV6", "UDP Statistics for IPv6"),
    ] {
        let text = text(&statistics, &only(Block::from_name(name).unwrap()));
        assert_eq!(text.lines().nth(1), Some(title));
        assert_eq!(text.matches("Statistics").count(), 1, "{text}");
    }
}

#[test]
fn long_number_pushes_next_column_and_keeps_two_blanks() {
    let statistics = ProtocolStatistics::new(Duration::ZERO, TcpFamilies::Together, Vec::new(), |_, row| Pair {
        received: Fact::Known(if row.id == "messages" { u64::MAX } else { 1 }),
        sent: Fact::Known(2),
    });
    let text = text(&statistics, &only(Block::Icmpv4));
    assert_eq!(
        text.lines().nth(4),
        Some("  Messages                  18446744073709551615  2")
    );
    assert_eq!(text.lines().nth(5), Some("  Errors                    1           2"));
}

#[test]
fn rates_are_printed_beside_totals() {
    let make = |seconds, add: u64| {
        ProtocolStatistics::new(
            Duration::from_secs(seconds),
            TcpFamilies::Separate,
            Vec::new(),
            |_, row| Pair {
                received: Fact::Known(if row.id == "no_ports" { 5 } else { 98 + add }),
                sent: Fact::Known(1000 + 2 * add),
            },
        )
    };
    let (before, mut now) = (make(10, 0), make(14, 6));
    now.set_current_connections(Fact::Known(3), Fact::Known(2));
    let rates = ProtocolRates::between(Some(&before), &now);
    let show = |block: Block, rates| {
        text(
            &now,
            &StatisticsOptions {
                rates: Some(rates),
                ..only(block)
            },
        )
    };
    let expected = "
UDP Statistics for IPv4

  Datagrams Received    = 104  (+1.5/s)
  No Ports              = 5    (+0.0/s)
  Receive Errors        = 104  (+1.5/s)
  Datagrams Sent        = 104  (+1.5/s)
";
    assert_eq!(show(Block::Udpv4, &rates), expected);
    let icmp = show(Block::Icmpv6, &rates);
    assert_eq!(
        icmp.lines().nth(4),
        Some("  Messages                  104         1012        (+1.5/s, +3.0/s)")
    );
    // The first print has nothing to compare with; a gauge has no rate.
    let first = show(Block::Tcpv4, &ProtocolRates::between(None, &now));
    assert_eq!(
        first.lines().nth(3),
        Some("  Active Opens                        = 104  (-)")
    );
    assert_eq!(first.lines().nth(7), Some("  Current Connections                 = 3"));
}

#[test]
fn small_rate_is_not_shown_as_zero() {
    for (value, expected) in [
        (0.0, "+0.0/s"),
        (0.00001, "+<0.0001/s"),
        (0.0166, "+0.0166/s"),
        (0.1, "+0.1/s"),
        (12.0, "+12.0/s"),
        (1e9, "+1000000000.0/s"),
    ] {
        assert_eq!(rate(Fact::Known(value)), expected);
    }
    assert_eq!(rate(Fact::Unknown(Why::Failed)), "-");
}

fn group(name: &str, counters: &[(&str, Fact<Metric>)]) -> CounterGroup {
    let counters = counters
        .iter()
        .map(|&(name, value)| NamedCounter {
            name: name.into(),
            value,
        })
        .collect();
    CounterGroup {
        name: name.into(),
        counters,
    }
}

fn with_groups(seconds: u64, more: u64) -> ProtocolStatistics {
    let counter = |value| Fact::Known(Metric::Counter(value));
    let gauge = |value| Fact::Known(Metric::Gauge(value));
    let groups = vec![
        group(
            "Ip",
            &[
                ("Forwarding", gauge(2)),
                ("InReceives", counter(9)),
                ("ReasmTimeout", counter(0)),
            ],
        ),
        group(
            "Tcp",
            &[("MaxConn", gauge(-1)), ("InErrs", counter(0)), ("InSegs", counter(4))],
        ),
        group(
            "TcpExt",
            &[
                ("ListenDrops", counter(1200 + more)),
                ("TCPTimeouts", counter(0)),
                ("TheKernelDoesNotSay", counter(77)),
                ("TCPAutoCorking", Fact::Unknown(Why::Failed)),
            ],
        ),
        group("N\x1bew", &[("Thing", counter(1))]),
        group("IpExt", &[("InNoRoutes", counter(0))]),
        group("Icmp6", &[("InMLDv2Reports", counter(2)), ("InType143", counter(2))]),
    ];
    ProtocolStatistics::new(Duration::from_secs(seconds), TcpFamilies::Together, groups, |_, _| {
        Pair::unknown(Why::NotKept)
    })
}

/// Returns what follows the classic blocks.
fn further_text(statistics: &ProtocolStatistics, options: &StatisticsOptions<'_>) -> String {
    let classic = StatisticsOptions {
        verbose: false,
        ..*options
    };
    let all = text(statistics, options);
    all.strip_prefix(&text(statistics, &classic))
        .expect("the classic blocks come first")
        .to_owned()
}

#[test]
fn further_counters_are_grouped_and_explained_without_zeros() {
    let statistics = with_groups(10, 0);
    let options = StatisticsOptions {
        verbose: true,
        ..Default::default()
    };
    let expected = "
Further IPv4 Statistics (Ip)

  Forwarding = 2  1 when this computer forwards packets for others, 2 when it does not

Further ICMPv6 Statistics (Icmp6)

  InMLDv2Reports = 2  multicast listener reports received, version 2
  InType143      = 2  ICMPv6 messages of type 143 received: multicast listener report, version 2

Further TCP Statistics (Tcp)

  MaxConn = -1  most connections allowed; -1: no fixed number

Further TCP Statistics (TcpExt)

  ListenDrops         = 1200  connection requests dropped by listening sockets, overflows included
  TheKernelDoesNotSay = 77
  TCPAutoCorking      = -     small pieces of data held back to be sent together

Further Statistics (N\\eew)

  Thing = 1
";
    assert_eq!(further_text(&statistics, &options), expected);
    assert_eq!(zeros_left_out(&statistics, &options), 4);
}

#[test]
fn further_counters_with_zeros_option_show_zeros() {
    let statistics = with_groups(10, 0);
    let options = StatisticsOptions {
        verbose: true,
        zeros: true,
        ..Default::default()
    };
    let text = further_text(&statistics, &options);
    assert!(
        text.contains("\nFurther IPv4 Statistics (IpExt)\n\n  InNoRoutes = 0  packets received that no route"),
        "{text}"
    );
    assert!(
        text.contains("\n  TCPTimeouts         = 0     times the retransmission timer ran out\n"),
        "{text}"
    );
    assert_eq!(zeros_left_out(&statistics, &options), 0);
}

#[test]
fn further_counters_follow_the_chosen_blocks() {
    let statistics = with_groups(10, 0);
    for block in [Block::Tcpv4, Block::Tcpv6] {
        let text = further_text(
            &statistics,
            &StatisticsOptions {
                verbose: true,
                ..only(block)
            },
        );
        assert_eq!(text.matches("Further").count(), 2, "{text}");
        assert!(text.contains("(Tcp)") && text.contains("(TcpExt)"), "{text}");
    }
    assert_eq!(
        further_text(
            &statistics,
            &StatisticsOptions {
                verbose: true,
                ..only(Block::Udpv4)
            }
        ),
        ""
    );
    assert_eq!(
        zeros_left_out(
            &statistics,
            &StatisticsOptions {
                verbose: true,
                ..only(Block::Ipv4)
            }
        ),
        2
    );
}

#[test]
fn further_counters_with_rates_show_rates() {
    let (before, now) = (with_groups(10, 0), with_groups(12, 5));
    let rates = ProtocolRates::between(Some(&before), &now);
    let options = StatisticsOptions {
        verbose: true,
        rates: Some(&rates),
        ..only(Block::Tcpv4)
    };
    let expected = "
Further TCP Statistics (Tcp)

  MaxConn = -1  most connections allowed; -1: no fixed number

Further TCP Statistics (TcpExt)

  ListenDrops         = 1205  (+2.5/s)  connection requests dropped by listening sockets, overflows included
  TheKernelDoesNotSay = 77    (+0.0/s)
  TCPAutoCorking      = -     (-)       small pieces of data held back to be sent together
";
    assert_eq!(further_text(&now, &options), expected);
}

#[test]
fn statistics_to_a_full_disk_return_the_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = write(&mut Full, &with_groups(1, 0), &StatisticsOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
