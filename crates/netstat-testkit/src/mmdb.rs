//! Creates small databases in the MaxMind DB format (version 2.0 of its specification) for tests: IPv4 networks and
//! their records.

use std::net::Ipv4Addr;

/// A value of a record.
#[derive(Clone, Debug)]
pub enum Field {
    /// UTF-8 text.
    Text(String),
    /// A 16-bit number.
    Short(u16),
    /// A 32-bit number.
    Number(u32),
    /// A 64-bit number.
    Long(u64),
    /// A map of further fields.
    Map(Vec<(&'static str, Field)>),
}

/// Returns the bytes of a database with a record for each of `networks`, given by address and prefix length.
///
/// # Panics
/// Panics if a network lies within another.
pub fn database(kind: &str, networks: &[(Ipv4Addr, u8, Field)]) -> Vec<u8> {
    // Each node has two records: another node, or `Data` with an offset.
    #[derive(Clone, Copy)]
    enum Record {
        Empty,
        Node(usize),
        Data(usize),
    }
    let mut nodes = vec![[Record::Empty; 2]];
    let mut data = Vec::new();
    for (address, length, field) in networks {
        let offset = data.len();
        push(&mut data, field);
        let bits = u32::from(*address);
        let mut node = 0;
        for place in 0..*length {
            let side = (bits >> (31 - place) & 1) as usize;
            if place + 1 == *length {
                nodes[node][side] = Record::Data(offset);
                break;
            }
            node = match nodes[node][side] {
                Record::Node(next) => next,
                Record::Empty => {
                    nodes.push([Record::Empty; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][side] = Record::Node(next);
                    next
                }
                Record::Data(_) => panic!("{address}/{length} lies within another network"),
            };
        }
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for record in nodes.iter().flatten() {
        // Records have 24 bits; the data begins 16 bytes after the tree.
        let number = match record {
            Record::Empty => count,
            Record::Node(next) => *next,
            Record::Data(offset) => count + 16 + offset,
        };
        out.extend(&(number as u32).to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let text = |text: &str| Field::Text(text.to_owned());
    let metadata = Field::Map(vec![
        ("node_count", Field::Number(count as u32)),
        ("record_size", Field::Short(24)),
        ("ip_version", Field::Short(4)),
        ("database_type", text(kind)),
        ("binary_format_major_version", Field::Short(2)),
        ("binary_format_minor_version", Field::Short(0)),
        ("build_epoch", Field::Long(1)),
    ]);
    // `languages` and `description` are required: an empty array (type 11) and an empty map.
    let mut all = Vec::new();
    push(&mut all, &metadata);
    all[0] += 2;
    push(&mut all, &text("languages"));
    all.extend([0x00, 0x04]);
    push(&mut all, &text("description"));
    all.push(0xe0);
    out.extend(all);
    out
}

/// Appends a field. The types are 7 for maps, 2 for text, and 5, 6 and 9 for numbers of 16, 32 and 64 bits. The type is
/// in the upper three bits, the length in the others.
fn push(out: &mut Vec<u8>, field: &Field) {
    match field {
        Field::Text(text) => {
            // From 29 bytes on, the length minus 29 is in a byte of its own.
            match text.len() {
                short @ 0..29 => out.push(2 << 5 | short as u8),
                long => out.extend([
                    2 << 5 | 29,
                    u8::try_from(long - 29).expect("a text of less than 285 bytes"),
                ]),
            }
            out.extend(text.as_bytes());
        }
        Field::Short(number) => {
            out.push(5 << 5 | 2);
            out.extend(number.to_be_bytes());
        }
        // A type greater than 7 is in the next byte, minus 7.
        Field::Long(number) => {
            out.extend([8, 9 - 7]);
            out.extend(number.to_be_bytes());
        }
        Field::Number(number) => {
            out.push(6 << 5 | 4);
            out.extend(number.to_be_bytes());
        }
        Field::Map(fields) => {
            out.push(7 << 5 | fields.len() as u8);
            for (name, value) in fields {
                push(out, &Field::Text((*name).to_owned()));
                push(out, value);
            }
        }
    }
}
