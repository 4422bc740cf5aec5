//! Lists in columns: RFC 4180 with one record per line, as published by abuse.ch and others.

use super::network::Network;
use super::{Loader, Target, plain};

/// The maximum number of lines before the header, such as licences and descriptions.
const SAMPLE: usize = 100;

/// The names of columns that hold an address, most likely first. Also used as keys of JSON objects.
pub(super) const ADDRESS: &[&str] = &[
    "cidr",
    "dst_ip",
    "dstip",
    "dest_ip",
    "ip_address",
    "ipaddress",
    "ip_addr",
    "ip",
    "ipv4",
    "ipv6",
    "ioc_value",
    "ioc",
    "indicator",
    "indicator_value",
    "network",
    "prefix",
    "address",
    "addr",
    "remote_ip",
    "src_ip",
    "source_ip",
    "host",
    "hostname",
    "domain",
];

/// The names of columns that hold the port.
pub(super) const PORT: &[&str] = &["dst_port", "dstport", "dest_port", "port", "remote_port"];

/// The names of columns that tell why the address is listed.
pub(super) const LABEL: &[&str] = &[
    "sblid",
    "malware_printable",
    "malware",
    "malware_family",
    "threat",
    "threat_type",
    "signature",
    "listingreason",
    "reason",
    "category",
    "description",
    "comment",
    "tags",
    "type",
];

/// The meaning of the columns, from the header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of the header line.
    line: u32,
    separator: u8,
    address: usize,
    port: Option<usize>,
    label: Option<usize>,
}

/// Finds the header of a list in columns: a line, possibly after `#`, that names an address column and at least one
/// more, followed by a line with at least as many columns.
pub(super) fn header(content: &[u8]) -> Option<Header> {
    let mut found: Option<(Header, usize)> = None;
    for (line, number) in content.split(|&byte| byte == b'\n').zip(1u32..).take(SAMPLE) {
        let line = line.trim_ascii();
        let bare = line.strip_prefix(b"#").unwrap_or(line).trim_ascii();
        if bare.is_empty() {
            continue;
        }
        if let Some(header) = header_line(bare, number) {
            found = Some(header);
        } else if !line.starts_with(b"#") {
            let (header, columns) = found?;
            return (fields(line, header.separator).len() >= columns).then_some(header);
        }
    }
    // A header without data is an empty list.
    found
        .map(|(header, _)| header)
        .filter(|header| header.port.is_some() || header.label.is_some())
}

fn header_line(line: &[u8], number: u32) -> Option<(Header, usize)> {
    b",;\t".iter().find_map(|&separator| {
        let names: Vec<String> = fields(line, separator)
            .iter()
            .map(|name| {
                String::from_utf8_lossy(name)
                    .trim()
                    .to_ascii_lowercase()
                    .replace([' ', '-'], "_")
            })
            .collect();
        if names.len() < 2 {
            return None;
        }
        let column = |known: &[&str]| {
            known
                .iter()
                .find_map(|known| names.iter().position(|name| name == known))
        };
        let header = Header {
            line: number,
            separator,
            address: column(ADDRESS)?,
            port: column(PORT),
            label: column(LABEL),
        };
        Some((header, names.len()))
    })
}

pub(super) fn read(content: &[u8], header: &Header, loader: &mut Loader<'_>) {
    for (line, number) in content.split(|&byte| byte == b'\n').zip(1u32..) {
        let line = line.trim_ascii();
        if number <= header.line || matches!(line.first(), None | Some(b'#')) {
            continue;
        }
        let fields = fields(line, header.separator);
        let field = |column: Option<usize>| {
            column
                .and_then(|column| fields.get(column))
                .map_or(&b""[..], |field| field.trim_ascii())
        };
        let address = field(Some(header.address));
        if let Err(reason) = record(number, address, field(header.port), field(header.label), loader) {
            loader.bad(number, line, reason);
        }
    }
}

/// Adds the entry of one record or object.
pub(super) fn record(
    number: u32,
    address: &[u8],
    port: &[u8],
    label: &[u8],
    loader: &mut Loader<'_>,
) -> Result<(), &'static str> {
    let address = std::str::from_utf8(address).map_err(|_| "no text in UTF-8")?;
    let port = match std::str::from_utf8(port).map_err(|_| "no text in UTF-8")? {
        "" | "0" | "-" | "null" => None,
        port => Some(port.parse::<u16>().map_err(|_| "no port from 1 to 65535")?),
    };
    match (Network::parse(address), port) {
        (Ok(network), port) => loader.take(number, Target::Network(network), port, label),
        // It may be an address with a port, a range, or a name.
        _ => plain::read_entry(number, address, label, loader)?,
    }
    Ok(())
}

/// Splits a record into fields. Quotes are removed, and doubled quotes inside become single ones.
fn fields(line: &[u8], separator: u8) -> Vec<std::borrow::Cow<'_, [u8]>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        // The lists of abuse.ch have spaces before quotes, which are not part of the field.
        let trimmed = rest.trim_ascii_start();
        let (field, after) = match trimmed.strip_prefix(b"\"") {
            Some(quoted) if separator != b'\t' || rest.starts_with(b"\"") => quoted_field(quoted),
            _ => {
                let end = memchr::memchr(separator, rest).unwrap_or(rest.len());
                (rest[..end].into(), &rest[end..])
            }
        };
        fields.push(field);
        // Text between a closing quote and the separator is not a field of its own.
        match memchr::memchr(separator, after) {
            Some(at) => rest = &after[at + 1..],
            None => return fields,
        }
    }
}

/// Returns the field up to its closing quote, and what follows the quote.
fn quoted_field(text: &[u8]) -> (std::borrow::Cow<'_, [u8]>, &[u8]) {
    let mut field = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'"', rest) {
        let after = &rest[at + 1..];
        match after.strip_prefix(b"\"") {
            Some(more) => {
                field.extend_from_slice(&rest[..=at]);
                rest = more;
            }
            None if field.is_empty() => return (text[..at].into(), after),
            None => {
                field.extend_from_slice(&rest[..at]);
                return (field.into(), after);
            }
        }
    }
    // The quote is never closed: take everything.
    field.extend_from_slice(rest);
    (field.into(), b"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(line: &str) -> Vec<String> {
        fields(line.as_bytes(), b',')
            .iter()
            .map(|field| String::from_utf8_lossy(field).into_owned())
            .collect()
    }

    #[test]
    fn csv_fields_with_and_without_quotes_are_split() {
        assert_eq!(texts("a,b,,c"), ["a", "b", "", "c"]);
        assert_eq!(texts(r#""a, b", "c""d" x,e"#), ["a, b", "c\"d", "e"]);
        assert_eq!(texts(r#""open, end"#), ["open, end"]);
        assert_eq!(texts(""), [""]);
        assert_eq!(texts(r#""","#), ["", ""]);
    }

    #[test]
    fn headers() {
        let columns = |text: &str| header(text.as_bytes()).map(|header| (header.address, header.port, header.label));
        assert_eq!(
            columns(
                "# by abuse.ch\n# \"first_seen_utc\",\"dst_ip\",\"dst_port\",\"malware\"\n\"x\",\"192.0.2.1\",\"1\",\"M\"\n"
            ),
            Some((1, Some(2), Some(3)))
        );
        assert_eq!(columns("IP Address;Reason\n192.0.2.1;scan\n"), Some((0, None, Some(1))));
        // A comment that happens to name a column, followed by a plain list.
        assert_eq!(columns("# a list, ip, by us\n192.0.2.1\n"), None);
        assert_eq!(columns("192.0.2.1\n"), None);
        assert_eq!(columns(""), None);
    }

    proptest! {
        #[test]
        fn csv_any_line_has_a_field(line: Vec<u8>, separator: u8) {
            prop_assert!(!fields(&line, separator).is_empty());
            let _ = header(&line);
        }
    }
}
