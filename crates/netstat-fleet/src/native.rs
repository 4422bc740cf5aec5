//! Encodes blocks in ClickHouse's format Native, which contains the name, the type and all values of each column.
//!
//! Of the formats that contain column names, it is the smallest when compressed and the cheapest for the engine to
//! parse; see <https://clickhouse.com/docs/interfaces/formats/Native>.

/// Appends a number as unsigned LEB128, which ClickHouse uses for lengths.
pub(crate) fn push_length(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends bytes, preceded by their length.
pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A block under construction.
#[derive(Debug)]
pub(crate) struct Block {
    rows: usize,
    columns: u64,
    body: Vec<u8>,
}

impl Block {
    /// Creates a block for `rows` rows.
    pub(crate) fn new(rows: usize) -> Block {
        Block {
            rows,
            columns: 0,
            body: Vec::with_capacity(rows * 160 + 1024),
        }
    }

    fn head(&mut self, name: &str, kind: &str) {
        self.columns += 1;
        push_bytes(&mut self.body, name.as_bytes());
        push_bytes(&mut self.body, kind.as_bytes());
    }

    /// Adds a column of numbers or addresses of a fixed size.
    pub(crate) fn fixed<const N: usize>(&mut self, name: &str, kind: &str, values: impl Iterator<Item = [u8; N]>) {
        self.head(name, kind);
        for value in values.take(self.rows) {
            self.body.extend_from_slice(&value);
        }
    }

    /// Adds a column of numbers that may be unknown.
    pub(crate) fn nullable<const N: usize>(
        &mut self,
        name: &str,
        kind: &str,
        values: impl Iterator<Item = Option<[u8; N]>> + Clone,
    ) {
        self.head(name, &format!("Nullable({kind})"));
        for value in values.clone().take(self.rows) {
            self.body.push(u8::from(value.is_none()));
        }
        for value in values.take(self.rows) {
            self.body.extend_from_slice(&value.unwrap_or([0; N]));
        }
    }

    /// Adds a column of text.
    pub(crate) fn text<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a [u8]>) {
        self.head(name, "String");
        for value in values.take(self.rows) {
            push_bytes(&mut self.body, value);
        }
    }

    /// Returns the encoded block.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 16);
        push_length(&mut out, self.columns);
        push_length(&mut out, self.rows as u64);
        out.extend_from_slice(&self.body);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_bytes_are_those_of_the_format() {
        let mut block = Block::new(2);
        block.fixed("n", "UInt16", [1u16, 0x203].iter().map(|value| value.to_le_bytes()));
        block.text("s", [b"ab".as_slice(), b""].into_iter());
        let values = [Some(5u8), None];
        block.nullable("o", "UInt8", values.iter().map(|value| value.map(|value| [value])));
        let expected = [
            b"\x03\x02".as_slice(),
            b"\x01n\x06UInt16\x01\0\x03\x02",
            b"\x01s\x06String\x02ab\0",
            b"\x01o\x0fNullable(UInt8)\0\x01\x05\0",
        ];
        assert_eq!(block.finish(), expected.concat());
    }

    #[test]
    fn push_length_large_number_takes_seven_bits_a_byte() {
        let mut out = Vec::new();
        push_length(&mut out, 300);
        assert_eq!(out, [0xac, 2]);
    }
}
