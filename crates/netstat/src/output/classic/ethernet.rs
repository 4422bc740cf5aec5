//! `-e`: interface statistics.
//!
//! ```text
//! Interface Statistics
//!
//!                            Received            Sent
//!
//! Bytes                    1774347996       265623222
//! ```
//!
//! The label is 20 columns wide, the values are right-aligned in 14 and 15 columns. With rates, the change per second
//! of both directions follows the row in parentheses: `(+120.0/s, +33.5/s)`. If the system does not distinguish unicast
//! packets from the rest, a last row shows packets of all kinds.

use std::io::{self, Write};

use netstat_model::counters::{
    ErrorKind, InterfaceCounters, InterfaceMetric, InterfaceRates, InterfaceStatistics, Traffic,
};
use netstat_model::text::escape;
use netstat_model::{Fact, Why};

use super::statistics::{count, rate};

/// Writes the sum of all interfaces except loopback, or, with `per_interface`, one block for each interface, including
/// loopback.
///
/// With `kinds`, each block is followed by the kinds of its errors and discards.
///
/// `rates` must be computed from the same statistics ([`InterfaceRates::between`]).
///
/// # Errors
/// Returns an error of `out`.
pub fn write(
    out: &mut dyn Write,
    statistics: &InterfaceStatistics,
    per_interface: bool,
    kinds: bool,
    rates: Option<&InterfaceRates>,
) -> io::Result<()> {
    let push_kinds = |out: &mut dyn Write, counted: &[(ErrorKind, u64)]| match kinds {
        true => write_kinds(out, counted),
        false => Ok(()),
    };
    match &statistics.interfaces {
        Fact::Known(interfaces) if per_interface => {
            for (i, interface) in interfaces.iter().enumerate() {
                if i > 0 {
                    writeln!(out)?;
                }
                let rates = rates.map(|rates| rates.each.get(i).copied().unwrap_or(UNKNOWN));
                write_block(out, &title(interface), &interface.traffic, rates.as_ref())?;
                push_kinds(out, &interface.kinds)?;
            }
            Ok(())
        }
        // Unknown interfaces are shown as unknown in either form.
        _ => {
            let rates = rates.map(|rates| &rates.sum);
            write_block(out, "Interface Statistics", &statistics.sum(), rates)?;
            push_kinds(out, &statistics.kinds())
        }
    }
}

const UNKNOWN: Traffic<f64> = Traffic::unknown(Why::NotApplicable);

/// Returns a title with name, index and hardware address: `Interface Statistics for eth0 (4, 02:fc:00:00:00:01)`.
fn title(interface: &InterfaceCounters) -> String {
    let mut title = format!("Interface Statistics for {} (", escape(&interface.name));
    match interface.index {
        Fact::Known(index) => title.push_str(&index.to_string()),
        Fact::Unknown(_) => title.push('-'),
    }
    if let Fact::Known([a, b, c, d, e, f]) = interface.mac {
        title.push_str(&format!(", {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
    }
    if interface.loopback == Fact::Known(true) {
        title.push_str(", loopback");
    }
    title.push(')');
    title
}

fn write_block(out: &mut dyn Write, title: &str, traffic: &Traffic, rates: Option<&Traffic<f64>>) -> io::Result<()> {
    writeln!(out, "{title}\n\n{:<20} {:>14} {:>15}\n", "", "Received", "Sent")?;
    for figure in InterfaceMetric::ALL {
        if figure == InterfaceMetric::AllPackets && told_apart(traffic) {
            continue;
        }
        let pair = traffic.get(figure);
        let both = figure.both_ways();
        let sent = if both { count(pair.sent) } else { String::new() };
        let row = format!("{:<20} {:>14} {sent:>15}", figure.label(), count(pair.received));
        match rates.map(|rates| rates.get(figure)) {
            None => writeln!(out, "{}", row.trim_end())?,
            Some(pair) if figure == InterfaceMetric::Bytes => {
                writeln!(out, "{row}  ({}, {})", byte_rate(pair.received), byte_rate(pair.sent))?;
            }
            Some(pair) if both => writeln!(out, "{row}  ({}, {})", rate(pair.received), rate(pair.sent))?,
            Some(pair) => writeln!(out, "{row}  ({})", rate(pair.received))?,
        }
    }
    Ok(())
}

/// Formats a rate in bytes: `+58.3 kB/s`. The unit is chosen for readability; JSON and CSV have the exact number.
fn byte_rate(rate: Fact<f64>) -> String {
    match rate {
        Fact::Known(rate) => format!("+{}", netstat_model::human::bytes_per_second(rate)),
        Fact::Unknown(_) => "-".to_owned(),
    }
}

/// Writes the kinds of errors and discards, each in the column of its direction.
fn write_kinds(out: &mut dyn Write, kinds: &[(ErrorKind, u64)]) -> io::Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nErrors and discards by kind")?;
    for (kind, count) in kinds {
        let (received, sent) = match kind.of_sent() {
            true => (String::new(), count.to_string()),
            false => (count.to_string(), String::new()),
        };
        let row = format!("  {:<18} {received:>14} {sent:>15}", kind.label());
        writeln!(out, "{}", row.trim_end())?;
    }
    Ok(())
}

/// Whether the system counts unicast packets separately, in at least one direction.
fn told_apart(traffic: &Traffic) -> bool {
    let unicast = traffic.get(InterfaceMetric::Unicast);
    unicast.received.why().is_none() || unicast.sent.why().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn text(statistics: &InterfaceStatistics, per_interface: bool, rates: Option<&InterfaceRates>) -> String {
        let mut out = Vec::new();
        write(&mut out, statistics, per_interface, false, rates).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn interface(index: u32, name: &[u8], bytes: u64, loopback: bool) -> InterfaceCounters {
        let known = |received, sent| (Fact::Known(received), Fact::Known(sent));
        let (received, sent) = known(bytes, bytes / 4);
        InterfaceCounters {
            index: Fact::Known(index),
            name: name.into(),
            mac: if loopback {
                Fact::Unknown(Why::NotApplicable)
            } else {
                Fact::Known([2, 0xfc, 0, 0, 0, 9])
            },
            loopback: Fact::Known(loopback),
            traffic: Traffic::unknown(Why::NotKept)
                .with(InterfaceMetric::Bytes, received, sent)
                .with(InterfaceMetric::Discards, Fact::Known(3), Fact::Known(0))
                .with(InterfaceMetric::Errors, Fact::Known(0), Fact::Known(1))
                .with(
                    InterfaceMetric::AllPackets,
                    Fact::Known(bytes / 100),
                    Fact::Known(bytes / 200),
                ),
            kinds: vec![(ErrorKind::Checksum, 2), (ErrorKind::Carrier, 1)],
        }
    }

    fn statistics(seconds: u64, interfaces: Vec<InterfaceCounters>) -> InterfaceStatistics {
        InterfaceStatistics {
            at: Duration::from_secs(seconds),
            interfaces: Fact::Known(interfaces),
        }
    }

    /// A system that keeps every counter prints exactly the classic rows.
    #[test]
    fn interface_statistics_with_all_counters_have_classic_layout() {
        let pair = |a, b| (Fact::Known(a), Fact::Known(b));
        let mut traffic = Traffic::unknown(Why::NotKept).with(
            InterfaceMetric::UnknownProtocols,
            Fact::Known(17),
            Fact::Unknown(Why::NotApplicable),
        );
        for (figure, (received, sent)) in [
            (InterfaceMetric::Bytes, pair(98_765_432_101, 4_321_098)),
            (InterfaceMetric::Unicast, pair(670_111, 572_222)),
            (InterfaceMetric::NonUnicast, pair(40_333, 9_444)),
            (InterfaceMetric::Discards, pair(5, 0)),
            (InterfaceMetric::Errors, pair(0, 6)),
            (InterfaceMetric::AllPackets, pair(1, 1)),
        ] {
            traffic = traffic.with(figure, received, sent);
        }
        let mut only = interface(2, b"eth0", 0, false);
        only.traffic = traffic;
        let expected = "\
Interface Statistics

                           Received            Sent

Bytes                   98765432101         4321098
Unicast packets              670111          572222
Non-unicast packets           40333            9444
Discards                          5               0
Errors                            0               6
Unknown protocols                17
";
        assert_eq!(text(&statistics(0, vec![only]), false, None), expected);
    }

    #[test]
    fn interface_counters_unknown_are_dashes_and_loopback_is_left_out() {
        let expected = "\
Interface Statistics

                           Received            Sent

Bytes                          3000             750
Unicast packets                   -               -
Non-unicast packets               -               -
Discards                          6               0
Errors                            0               2
Unknown protocols                 -
Packets of all kinds             30              15
";
        let statistics = statistics(
            0,
            vec![
                interface(1, b"lo", 100_000, true),
                interface(2, b"eth0", 1000, false),
                interface(3, b"wlan0", 2000, false),
            ],
        );
        assert_eq!(text(&statistics, false, None), expected);
    }

    #[test]
    fn interface_sum_is_zero_without_interfaces_and_dash_when_unread() {
        let nothing = text(&statistics(0, Vec::new()), false, None);
        assert!(
            nothing.contains("\nBytes                             0               0\n"),
            "{nothing}"
        );
        let unread = InterfaceStatistics {
            at: Duration::ZERO,
            interfaces: Fact::Unknown(Why::NotPermitted),
        };
        let dashes = text(&unread, true, None);
        assert!(
            dashes.contains("\nBytes                             -               -\n"),
            "{dashes}"
        );
    }

    #[test]
    fn errors_by_kind_stand_in_the_column_of_their_direction() {
        let statistics = statistics(
            0,
            vec![
                interface(2, b"a", 0, false),
                interface(3, b"b", 0, false),
                interface(1, b"lo", 0, true),
            ],
        );
        let mut out = Vec::new();
        write(&mut out, &statistics, false, true, None).unwrap();
        let text = String::from_utf8(out).unwrap();
        let kinds = "
Errors and discards by kind
  wrong checksum                  4
  carrier lost                                    2
";
        assert!(text.ends_with(kinds), "{text}");
    }

    #[test]
    fn per_interface_statistics_have_a_block_and_rates_for_each() {
        let before = statistics(
            10,
            vec![interface(1, b"lo", 400, true), interface(2, b"e\x1b[2J", 1000, false)],
        );
        let now = statistics(
            12,
            vec![interface(1, b"lo", 400, true), interface(2, b"e\x1b[2J", 1201, false)],
        );
        let rates = InterfaceRates::between(Some(&before), &now);
        let expected = "\
Interface Statistics for lo (1, loopback)

                           Received            Sent

Bytes                           400             100  (+0 B/s, +0 B/s)
Unicast packets                   -               -  (-, -)
Non-unicast packets               -               -  (-, -)
Discards                          3               0  (+0.0/s, +0.0/s)
Errors                            0               1  (+0.0/s, +0.0/s)
Unknown protocols                 -                  (-)
Packets of all kinds              4               2  (+0.0/s, +0.0/s)

Interface Statistics for e\\e[2J (2, 02:fc:00:00:00:09)

                           Received            Sent

Bytes                          1201             300  (+100 B/s, +25 B/s)
Unicast packets                   -               -  (-, -)
Non-unicast packets               -               -  (-, -)
Discards                          3               0  (+0.0/s, +0.0/s)
Errors                            0               1  (+0.0/s, +0.0/s)
Unknown protocols                 -                  (-)
Packets of all kinds             12               6  (+1.0/s, +0.5/s)
";
        assert_eq!(text(&now, true, Some(&rates)), expected);
        let first = text(&now, false, Some(&InterfaceRates::between(None, &now)));
        assert!(
            first.contains("\nBytes                          1201             300  (-, -)\n"),
            "{first}"
        );
    }
}
