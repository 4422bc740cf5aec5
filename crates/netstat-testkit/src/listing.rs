//! Parses what `netstat` printed, strictly by column.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::oracle::{End, Row, TcpState};

/// A row of a connection list, with the lines below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The socket.
    pub row: Row,
    /// The words in the columns after State.
    pub extra: Vec<String>,
    /// The same as unparsed text.
    pub tail: String,
    /// The unparsed lines of `-b` below the row.
    pub below: Vec<String>,
}

/// The headings of a connection list, from its first byte.
pub const HEADING: &str = "\nActive Connections\n\n  Proto  Local Address          Foreign Address        State";

/// Parses the only list in `stdout`.
///
/// # Panics
/// Panics if it is not exactly one list in the specified layout.
#[track_caller]
pub fn list(stdout: &str) -> Vec<Line> {
    let mut lists = lists(stdout);
    assert_eq!(lists.len(), 1, "{stdout}");
    lists.remove(0)
}

/// Parses the lists in `stdout`, one after another, as printed with an interval.
///
/// # Panics
/// Panics if anything deviates from the specified layout.
#[track_caller]
pub fn lists(stdout: &str) -> Vec<Vec<Line>> {
    let mut pieces = stdout.split(HEADING);
    assert_eq!(
        pieces.next(),
        Some(""),
        "what comes before the first list in {stdout:?}"
    );
    pieces
        .map(|piece| {
            let (rest_of_heading, body) = piece.split_once('\n').expect("the heading ends");
            assert!(
                rest_of_heading.is_empty() || rest_of_heading.starts_with("           "),
                "{rest_of_heading:?}"
            );
            let mut lines: Vec<Line> = Vec::new();
            for text in body.lines() {
                if text.starts_with("  TCP ") || text.starts_with("  UDP ") {
                    lines.push(line(text));
                } else {
                    let above = lines.last_mut().unwrap_or_else(|| panic!("no row above {text:?}"));
                    above.below.push(text.to_owned());
                }
            }
            lines
        })
        .collect()
}

/// Returns the rows alone.
pub fn rows(lines: &[Line]) -> Vec<Row> {
    lines.iter().map(|line| line.row).collect()
}

#[track_caller]
fn line(text: &str) -> Line {
    let words: Vec<&str> = text.split_whitespace().collect();
    let udp = words[0] == "UDP";
    let local = end(words[1]).unwrap_or_else(|| panic!("local address in {text:?}"));
    let foreign = if udp && words[2] == "*:*" {
        End::none(local.address)
    } else {
        end(words[2]).unwrap_or_else(|| panic!("foreign address in {text:?}"))
    };
    let state = (!udp).then(|| TcpState::from_word(words[3]).unwrap_or_else(|| panic!("state in {text:?}")));
    let row = Row {
        udp,
        v6: local.address.is_ipv6(),
        local,
        foreign,
        state,
    };
    // The text after the protocol, two addresses and, for TCP, the state is not split, because program names may
    // contain spaces.
    let skip = |rest: &'_ str| {
        rest.trim_start()
            .split_once(' ')
            .map_or("", |(_, rest)| rest)
            .to_owned()
    };
    let tail = (0..if udp { 3 } else { 4 })
        .fold(text.to_owned(), |rest, _| skip(&rest))
        .trim()
        .to_owned();
    let extra = tail.split_whitespace().map(str::to_owned).collect();
    let line = Line {
        row,
        extra,
        tail,
        below: Vec::new(),
    };
    // Trailing spaces are invisible; everything before must match to the column.
    assert_eq!(text.trim_end(), layout(&line).trim_end(), "the layout of a row");
    line
}

/// Returns the specified layout of a row, with at most one column after State: 2 spaces, the protocol in 5 columns, 2
/// spaces, each address in 21 columns and 2 spaces, and the state in 12 columns and 4 spaces.
fn layout(line: &Line) -> String {
    let row = &line.row;
    let protocol = if row.udp { "UDP" } else { "TCP" };
    let foreign = if row.udp && row.foreign == End::none(row.local.address) {
        "*:*".to_owned()
    } else {
        row.foreign.to_string()
    };
    let state = row.state.map_or("", TcpState::word);
    format!(
        "  {protocol:<5}  {:<21}  {foreign:<21}  {state:<12}    {}",
        row.local.to_string(),
        line.tail
    )
}

/// Parses `192.0.2.1:80` or `[2001:db8::1%3]:80`.
fn end(text: &str) -> Option<End> {
    let (address, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let Some(inner) = address.strip_prefix('[') else {
        return Some(End {
            address: IpAddr::V4(address.parse::<Ipv4Addr>().ok()?),
            port,
            scope: 0,
        });
    };
    let inner = inner.strip_suffix(']')?;
    let (address, scope) = match inner.split_once('%') {
        Some((address, scope)) => (address, scope.parse().ok()?),
        None => (inner, 0),
    };
    Some(End {
        address: IpAddr::V6(address.parse::<Ipv6Addr>().ok()?),
        port,
        scope,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_with_owners_is_read() {
        let text = format!(
            "{HEADING}           PID\n{}\n{}\n{}\n{}\n",
            "  TCP    192.0.2.1:22           0.0.0.0:0              LISTENING       812",
            "  ssh.service",
            " [sshd]",
            "  UDP    [fe80::1%2]:1900       *:*                                    7",
        );
        let lines = list(&text);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].extra, ["812"]);
        assert_eq!(lines[0].below, ["  ssh.service", " [sshd]"]);
        assert_eq!((lines[1].row.local.scope, lines[1].row.local.port), (2, 1900));
        assert_eq!(lines[1].row.state, None);
    }

    #[test]
    fn listing_with_shifted_column_is_refused() {
        let shifted = "  TCP    192.0.2.1:22          0.0.0.0:0              LISTENING";
        let text = format!("{HEADING}\n{shifted}\n");
        assert!(std::panic::catch_unwind(|| list(&text)).is_err());
    }

    #[test]
    fn listing_heading_has_columns_of_specification() {
        let heading = HEADING.lines().last().unwrap();
        for (offset, word) in [
            (2, "Proto"),
            (9, "Local Address"),
            (32, "Foreign Address"),
            (55, "State"),
        ] {
            assert_eq!(&heading[offset..offset + word.len()], word);
        }
    }
}
