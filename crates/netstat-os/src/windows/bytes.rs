//! Reads integers from the tables that Windows returns.

use std::fmt;

/// The error for a table that is truncated or contains invalid values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Windows answered with a table that is cut off or makes no sense")
    }
}

impl std::error::Error for Malformed {}

/// Returns the `N` bytes at offset `at`; `None` if they are out of bounds.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// Reads the `u16` at offset `at`, in host byte order (little-endian on every Windows).
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// Reads the `u32` at offset `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// Reads the `u64` at offset `at`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Iterates over the rows of a table, which begins with their number (`dwNumEntries`) and contains rows of `size` bytes
/// from offset `first` on.
pub(super) fn rows(table: &[u8], first: usize, size: usize) -> Result<impl Iterator<Item = &[u8]>, Malformed> {
    let count = u32_at(table, 0).ok_or(Malformed)? as usize;
    let length = count.checked_mul(size).ok_or(Malformed)?;
    let rows = match count {
        0 => &[][..],
        _ => table
            .get(first..)
            .and_then(|rest| rest.get(..length))
            .ok_or(Malformed)?,
    };
    Ok(rows.chunks_exact(size))
}

/// A buffer that contains pointers into itself, and its address when the system filled it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// The content.
    pub bytes: Vec<u8>,
    /// The address of the first byte.
    pub base: u64,
}

impl Buffer {
    /// Returns the offset in `bytes` that the pointer at `at` refers to; `None` if it points outside.
    pub(super) fn pointer(&self, at: usize) -> Option<usize> {
        let place = u64_at(&self.bytes, at)?.checked_sub(self.base)?;
        usize::try_from(place).ok().filter(|place| *place < self.bytes.len())
    }

    /// Reads the UTF-16 text of `length` code units at offset `at`.
    pub(super) fn units(&self, at: usize, length: usize) -> Option<Vec<u16>> {
        let bytes = self.bytes.get(at..)?.get(..length.checked_mul(2)?)?;
        Some(
            bytes
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
        )
    }

    /// Reads the zero-terminated UTF-16 text at offset `at`.
    pub(super) fn terminated(&self, at: usize) -> Option<Vec<u16>> {
        let units = self.bytes.get(at..)?.chunks_exact(2);
        let text = units.map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        Some(text.take_while(|&unit| unit != 0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_cut_table_are_malformed() {
        let mut table = 2u32.to_le_bytes().to_vec();
        table.extend([0; 8]);
        assert_eq!(rows(&table, 4, 4).unwrap().count(), 2);
        assert!(rows(&table, 4, 5).is_err());
        assert!(rows(&table[..3], 4, 4).is_err());
        // An empty table need not contain the padding before its first row.
        assert_eq!(rows(&0u32.to_le_bytes(), 8, 4).unwrap().count(), 0);
        assert!(rows(&u32::MAX.to_le_bytes(), 8, usize::MAX).is_err());
    }

    #[test]
    fn pointer_outside_of_its_buffer_is_none() {
        let mut buffer = Buffer {
            bytes: 0x1008u64.to_le_bytes().to_vec(),
            base: 0x1000,
        };
        assert_eq!(buffer.pointer(0), None);
        buffer.bytes.extend([b'a', 0, b'b', 0, 0, 0]);
        assert_eq!(buffer.pointer(0), Some(8));
        assert_eq!(buffer.terminated(8), Some(vec![u16::from(b'a'), u16::from(b'b')]));
        assert_eq!(buffer.units(8, 4), None);
        buffer.base = 0x2000;
        assert_eq!(buffer.pointer(0), None);
    }
}
