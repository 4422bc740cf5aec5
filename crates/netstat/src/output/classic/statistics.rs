//! `-s`: statistics per protocol.
//!
//! ```text
//!
//! UDP Statistics for IPv4
//!
//!   Datagrams Received    = 53860170
//! ```
//!
//! Each block follows a blank line. The label field is 34 columns wide for IP, 35 for TCP, 21 for UDP. ICMP is a table:
//! labels from column 2, received from column 28, sent from column 40. With rates, the change per second follows in
//! parentheses, `(+12.0/s)`, in a column of its own, so that everything before it is unchanged.
//!
//! With `verbose`, the further counters of the system follow, one block for each of its groups:
//!
//! ```text
//!
//! Further TCP Statistics (TcpExt)
//!
//!   DelayedACKs = 2      delayed acknowledgements that were sent because their timer ran out
//!   ListenDrops = 1200   connection requests dropped by listening sockets, overflows included
//! ```

use std::io::{self, Write};

use netstat_model::Fact;
use netstat_model::counters::{
    Block, BlockSet, Cells, CounterGroup, Kind, NamedCounter, ProtocolRates, ProtocolStatistics, TcpFamilies,
    group_blocks, meaning,
};
use netstat_model::text::escape_str;

/// How statistics are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatisticsOptions<'a> {
    /// The blocks to show, along with the further counters that belong to them; by default, all blocks.
    pub blocks: BlockSet,
    /// Whether counters other than the classic ones are shown.
    pub verbose: bool,
    /// Whether further counters that are 0 are shown.
    pub zeros: bool,
    /// The changes per second, computed from the same statistics ([`ProtocolRates::between`]).
    pub rates: Option<&'a ProtocolRates>,
}

/// Writes the blocks that `options` select.
///
/// # Errors
/// Returns an error of `out`.
pub fn write(out: &mut dyn Write, statistics: &ProtocolStatistics, options: &StatisticsOptions<'_>) -> io::Result<()> {
    for block in options.blocks.iter() {
        let rates = options.rates.map(|rates| rates.rows(block));
        writeln!(out, "\n{}\n", title(block, statistics.tcp_families))?;
        match block {
            Block::Icmpv4 | Block::Icmpv6 => write_table(out, statistics, block, rates)?,
            _ => write_list(out, statistics, block, rates)?,
        }
    }
    if options.verbose {
        for (i, group) in further_groups(statistics, options) {
            write_group(out, group, options, options.rates.map(|rates| rates.group(i)))?;
        }
    }
    Ok(())
}

/// Returns the number of counters that [`write()`] omits with `options` because they are 0.
pub fn zeros_left_out(statistics: &ProtocolStatistics, options: &StatisticsOptions<'_>) -> usize {
    if !options.verbose || options.zeros {
        return 0;
    }
    further_groups(statistics, options)
        .iter()
        .flat_map(|(_, group)| further(group))
        .filter(|(_, counter)| is_zero(counter))
        .count()
}

/// Formats a count; `-` if it is unknown.
pub(super) fn count(value: Fact<u64>) -> String {
    match value {
        Fact::Known(value) => value.to_string(),
        Fact::Unknown(_) => "-".to_owned(),
    }
}

/// Formats a change per second; `-` if it is unknown. A small change is never shown as 0.
pub(super) fn rate(value: Fact<f64>) -> String {
    match value {
        Fact::Known(rate) if rate > 0.0 && rate < 0.0001 => "+<0.0001/s".to_owned(),
        Fact::Known(rate) if rate > 0.0 && rate < 0.1 => format!("+{rate:.4}/s"),
        Fact::Known(rate) => format!("+{rate:.1}/s"),
        Fact::Unknown(_) => "-".to_owned(),
    }
}

fn title(block: Block, tcp: TcpFamilies) -> &'static str {
    match (block, tcp) {
        (Block::Ipv4, _) => "IPv4 Statistics",
        (Block::Ipv6, _) => "IPv6 Statistics",
        (Block::Icmpv4, _) => "ICMPv4 Statistics",
        (Block::Icmpv6, _) => "ICMPv6 Statistics",
        (Block::Tcpv4, TcpFamilies::Separate) => "TCP Statistics for IPv4",
        (Block::Tcpv4, TcpFamilies::Together) => "TCP Statistics",
        (Block::Tcpv6, _) => "TCP Statistics for IPv6",
        (Block::Udpv4, _) => "UDP Statistics for IPv4",
        (Block::Udpv6, _) => "UDP Statistics for IPv6",
    }
}

/// Returns the line below a title that explains whose counters these are, if the title alone would be misleading.
fn note(block: Block, tcp: TcpFamilies) -> Option<&'static str> {
    match (block, tcp) {
        (Block::Tcpv4, TcpFamilies::Together) => {
            Some("Linux counts IPv4 and IPv6 together here; Current Connections are those over IPv4.")
        }
        (Block::Tcpv6, TcpFamilies::Together) => {
            Some("Linux counts IPv4 and IPv6 together, under TCP; only Current Connections are those over IPv6.")
        }
        _ => None,
    }
}

const fn label_width(block: Block) -> usize {
    match block {
        Block::Ipv4 | Block::Ipv6 => 34,
        Block::Tcpv4 | Block::Tcpv6 => 35,
        Block::Udpv4 | Block::Udpv6 => 21,
        // For the tables: the width of the first column, including the gap.
        Block::Icmpv4 | Block::Icmpv6 => 26,
    }
}

type Rates<'a> = Option<&'a [netstat_model::counters::Pair<f64>]>;

fn write_list(out: &mut dyn Write, statistics: &ProtocolStatistics, block: Block, rates: Rates<'_>) -> io::Result<()> {
    if let Some(note) = note(block, statistics.tcp_families) {
        writeln!(out, "  {note}")?;
    }
    let width = label_width(block);
    // Rates are aligned.
    let value_width = match rates {
        Some(_) => statistics
            .rows(block)
            .map(|(_, value)| count(value.received).len())
            .max()
            .unwrap_or(0),
        None => 0,
    };
    for (i, (row, value)) in statistics.rows(block).enumerate() {
        let value = count(value.received);
        match rates.and_then(|rates| rates.get(i)) {
            Some(pair) if row.kind == Kind::Counter => {
                writeln!(
                    out,
                    "  {:<width$} = {value:<value_width$}  ({})",
                    row.label,
                    rate(pair.received)
                )?;
            }
            _ => writeln!(out, "  {:<width$} = {value}", row.label)?,
        }
    }
    Ok(())
}

fn write_table(out: &mut dyn Write, statistics: &ProtocolStatistics, block: Block, rates: Rates<'_>) -> io::Result<()> {
    let width = label_width(block);
    writeln!(out, "  {:<width$}Received    Sent", "")?;
    // A longer number shifts the rest, and is still followed by two spaces.
    let sent_width = match rates {
        Some(_) => statistics
            .rows(block)
            .map(|(_, value)| count(value.sent).len())
            .max()
            .unwrap_or(0)
            .max(10),
        None => 0,
    };
    for (i, (row, value)) in statistics.rows(block).enumerate() {
        let received = count(value.received);
        let sent = match row.cells {
            Cells::Two { .. } => count(value.sent),
            Cells::One(_) => String::new(),
        };
        match rates.and_then(|rates| rates.get(i)) {
            Some(pair) => {
                let (in_rate, out_rate) = (rate(pair.received), rate(pair.sent));
                writeln!(
                    out,
                    "  {:<width$}{received:<10}  {sent:<sent_width$}  ({in_rate}, {out_rate})",
                    row.label
                )?;
            }
            None => {
                let row = format!("  {:<width$}{received:<10}  {sent}", row.label);
                writeln!(out, "{}", row.trim_end())?;
            }
        }
    }
    Ok(())
}

/// Returns the groups to show with their indexes in the statistics, in the order of the blocks to which they belong.
/// Groups of no known block come last, and only if all blocks are selected.
fn further_groups<'a>(
    statistics: &'a ProtocolStatistics,
    options: &StatisticsOptions<'_>,
) -> Vec<(usize, &'a CounterGroup)> {
    let first_block = |group: &CounterGroup| group_blocks(&group.name).iter().next();
    let mut groups: Vec<_> = statistics
        .groups
        .iter()
        .enumerate()
        .filter(|(_, group)| match group_blocks(&group.name) {
            BlockSet::NONE => options.blocks == BlockSet::ALL,
            blocks => blocks.iter().any(|block| options.blocks.has(block)),
        })
        .collect();
    // A stable sort keeps the order of the system within a block. Groups of no block come last.
    groups.sort_by_key(|(_, group)| (first_block(group).is_none(), first_block(group)));
    groups
}

/// Returns the counters of a group that are not already in a classic block, with their indexes.
fn further(group: &CounterGroup) -> impl Iterator<Item = (usize, &NamedCounter)> {
    let counters = group.counters.iter().enumerate();
    counters.filter(|(_, counter)| !ProtocolStatistics::is_classic(&group.name, &counter.name))
}

fn is_zero(counter: &NamedCounter) -> bool {
    matches!(counter.value, Fact::Known(figure) if figure.is_zero())
}

fn group_title(group: &str) -> String {
    let words = match group {
        "Ip" | "IpExt" => "IPv4 Statistics",
        "Ip6" => "IPv6 Statistics",
        "Icmp" => "ICMPv4 Statistics",
        "IcmpMsg" => "ICMPv4 Statistics by Message Type",
        "Icmp6" => "ICMPv6 Statistics",
        "Tcp" | "TcpExt" => "TCP Statistics",
        "MPTcpExt" => "Multipath TCP Statistics",
        "Udp" => "UDP Statistics for IPv4",
        "UdpLite" => "UDP-Lite Statistics for IPv4",
        "Udp6" => "UDP Statistics for IPv6",
        "UdpLite6" => "UDP-Lite Statistics for IPv6",
        _ => "Statistics",
    };
    format!("Further {words} ({})", escape_str(group))
}

fn write_group(
    out: &mut dyn Write,
    group: &CounterGroup,
    options: &StatisticsOptions<'_>,
    rates: Option<&[Fact<f64>]>,
) -> io::Result<()> {
    let rows: Vec<_> = further(group)
        .filter(|(_, counter)| options.zeros || !is_zero(counter))
        .map(|(i, counter)| {
            let name = escape_str(&counter.name);
            let value = match counter.value {
                Fact::Known(figure) => figure.to_string(),
                Fact::Unknown(_) => "-".to_owned(),
            };
            let is_gauge = matches!(counter.value, Fact::Known(figure) if figure.counter().is_none());
            let change = match rates {
                Some(rates) if !is_gauge => {
                    let unknown = Fact::Unknown(netstat_model::Why::NotApplicable);
                    format!("({})", rate(rates.get(i).copied().unwrap_or(unknown)))
                }
                _ => String::new(),
            };
            (
                name,
                value,
                change,
                meaning(&group.name, &counter.name).unwrap_or_default(),
            )
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let name_width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
    let value_width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let change_width = rows.iter().map(|row| row.2.len()).max().unwrap_or(0);
    writeln!(out, "\n{}\n", group_title(&group.name))?;
    for (name, value, change, meaning) in rows {
        let mut row = format!("  {name:<name_width$} = {value:<value_width$}");
        if change_width > 0 {
            row.push_str(&format!("  {change:<change_width$}"));
        }
        row.push_str("  ");
        row.push_str(&meaning);
        writeln!(out, "{}", row.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
