//! The format of `/proc/net/dev` (dev_seq_show in net/core/net-procfs.c).

use netstat_model::Fact;
use netstat_model::Why;
use netstat_model::counters::{InterfaceMetric, Traffic};

use super::{BadLine, lines, words};

/// Parses the interfaces of `/proc/net/dev` with their counters, in the order of the file.
///
/// # Errors
/// Returns the first line after the two header lines that does not consist of a name, a colon and 16 numbers.
pub fn parse(text: &[u8]) -> Result<Vec<(&[u8], Traffic)>, BadLine> {
    lines(text)
        .filter(|(number, _)| *number > 2)
        .map(|(number, line)| interface(number, line))
        .collect()
}

fn interface(number: usize, line: &[u8]) -> Result<(&[u8], Traffic), BadLine> {
    let bad = |what| BadLine { line: number, what };
    // A name contains neither a colon nor white space (dev_valid_name).
    let colon = line
        .iter()
        .position(|&byte| byte == b':')
        .ok_or(bad("there is no colon after a name"))?;
    let name = line[..colon].trim_ascii();
    let mut columns = [0u64; 16];
    let mut values = words(&line[colon + 1..]);
    for column in &mut columns {
        let value = values
            .next()
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| value.parse().ok());
        *column = value.ok_or(bad("it has fewer than 16 numbers"))?;
    }
    // Received: bytes packets errs drop fifo frame compressed multicast; sent: bytes packets errs drop fifo colls
    // carrier compressed. The kernel has already added the missed packets to the received drops.
    let [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_drops,
        _,
        _,
        _,
        _,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_drops,
        ..,
    ] = columns;
    let traffic = Traffic::unknown(Why::NotKept)
        .with(InterfaceMetric::Bytes, Fact::Known(rx_bytes), Fact::Known(tx_bytes))
        .with(InterfaceMetric::Discards, Fact::Known(rx_drops), Fact::Known(tx_drops))
        .with(InterfaceMetric::Errors, Fact::Known(rx_errors), Fact::Known(tx_errors))
        .with(
            InterfaceMetric::AllPackets,
            Fact::Known(rx_packets),
            Fact::Known(tx_packets),
        );
    Ok((name, traffic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::counters::Pair;
    use proptest::prelude::*;

    const HEADING: &str = "Inter-|   Receive |  Transmit\n face |bytes    packets |bytes    packets\n";

    #[test]
    fn parse_puts_each_column_into_its_counter() {
        let text = format!(
            "{HEADING}  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nlo:18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        );
        let interfaces = parse(text.as_bytes()).unwrap();
        let (name, traffic) = interfaces[0];
        assert_eq!(name, b"eth0");
        let pair = |received, sent| Pair {
            received: Fact::Known(received),
            sent: Fact::Known(sent),
        };
        assert_eq!(traffic.get(InterfaceMetric::Bytes), pair(1, 9));
        assert_eq!(traffic.get(InterfaceMetric::AllPackets), pair(2, 10));
        assert_eq!(traffic.get(InterfaceMetric::Errors), pair(3, 11));
        assert_eq!(traffic.get(InterfaceMetric::Discards), pair(4, 12));
        assert_eq!(traffic.get(InterfaceMetric::Unicast), Pair::unknown(Why::NotKept));
        assert_eq!(interfaces[1].0, b"lo");
        assert_eq!(
            interfaces[1].1.get(InterfaceMetric::Bytes).received,
            Fact::Known(u64::MAX)
        );
    }

    #[test]
    fn parse_damaged_line_is_error_with_its_number() {
        assert_eq!(parse(HEADING.as_bytes()), Ok(Vec::new()));
        let line = |rest: &str| parse(format!("{HEADING}{rest}\n").as_bytes()).unwrap_err().line;
        assert_eq!(line("eth0 1 2"), 3);
        assert_eq!(line("eth0: 1 2"), 3);
        assert_eq!(line("eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 x"), 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(text: Vec<u8>) {
            let _ = parse(&[HEADING.as_bytes(), &text].concat());
        }
    }
}
