//! Streams a sparse file into a tar archive, in the GNU format for sparse files (tar(5), "GNU tar archives").

use std::fs::File;
use std::io::{self, Read};

use netstat_model::text::plain_error;
use sha2::{Digest as _, Sha256, digest::Output};
use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

/// The maximum number of pieces of a file to copy.
pub(super) const MOST: usize = 4096;

/// Reads the content of a file without its holes, while computing the digest of the file with its holes.
pub(super) struct Pieces<'f> {
    file: &'f File,
    ranges: std::slice::Iter<'f, (u64, u64)>,
    /// Where to read next, and how much of this piece is left.
    at: u64,
    left: u64,
    size: u64,
    digest: Sha256,
    failed: Option<String>,
}

impl<'f> Pieces<'f> {
    /// Creates a reader for a file of `size` bytes with content in `ranges`.
    pub(super) fn new(file: &'f File, ranges: &'f [(u64, u64)], size: u64) -> Self {
        Pieces {
            file,
            ranges: ranges.iter(),
            at: 0,
            left: 0,
            size,
            digest: Sha256::new(),
            failed: None,
        }
    }

    /// Returns the SHA-256 digest of the whole file, and the error that occurred while reading, if any.
    pub(super) fn finish(mut self) -> (Output<Sha256>, Option<String>) {
        self.skip_to(self.size);
        (self.digest.finalize(), self.failed)
    }

    fn skip_to(&mut self, offset: u64) {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut left = offset.saturating_sub(self.at);
        while left > 0 {
            let length = ZEROS.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.digest.update(&ZEROS[..length]);
            left -= length as u64;
        }
        self.at = self.at.max(offset);
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.left == 0 {
            let Some(&(offset, length)) = self.ranges.next() else {
                return Ok(0);
            };
            self.skip_to(offset);
            self.left = length;
        }
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let (length, failed) = match netstat_os::files::read_at(self.file, &mut buffer[..room], self.at) {
            Ok(0) => (room, Some("the file became shorter".to_owned())),
            Ok(length) => (length, None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => (room, Some(plain_error(&error))),
        };
        if let Some(why) = failed {
            buffer[..room].fill(0);
            self.failed.get_or_insert(why);
        }
        self.at += length as u64;
        self.left -= length as u64;
        self.digest.update(&buffer[..length]);
        Ok(length)
    }
}

/// Converts `header` to the GNU sparse format for a file of `size` bytes with content in `ranges`. Returns the blocks
/// that follow the header.
///
/// # Errors
/// Returns an error if `header` has an unexpected format.
pub(super) fn describe(header: &mut Header, ranges: &[(u64, u64)], size: u64) -> io::Result<Vec<u8>> {
    let data = header.size()?;
    let (mode, time) = (header.mode()?, header.mtime()?);
    *header = Header::new_gnu();
    header.set_size(data);
    header.set_mode(mode);
    header.set_mtime(time);
    let Some(gnu) = header.as_gnu_mut() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    octal(&mut gnu.realsize, size);
    // An empty piece at the end gives the length of the file.
    let mut pieces = ranges.iter().copied().chain([(size, 0)]);
    fill(&mut gnu.sparse, &mut pieces);
    let mut pieces = pieces.peekable();
    gnu.isextended = [u8::from(pieces.peek().is_some())];
    let mut blocks = Vec::new();
    while pieces.peek().is_some() {
        let mut block = GnuExtSparseHeader::new();
        fill(&mut block.sparse, &mut pieces);
        block.isextended = [u8::from(pieces.peek().is_some())];
        blocks.extend_from_slice(block.as_bytes());
    }
    Ok(blocks)
}

fn fill(places: &mut [GnuSparseHeader], pieces: &mut dyn Iterator<Item = (u64, u64)>) {
    for place in places {
        let Some((offset, length)) = pieces.next() else {
            return;
        };
        octal(&mut place.offset, offset);
        octal(&mut place.numbytes, length);
    }
}

/// Writes eleven octal digits and a NUL byte.
fn octal(field: &mut [u8; 12], number: u64) {
    let digits = format!("{number:011o}");
    field[..11].copy_from_slice(&digits.as_bytes()[..11]);
    field[11] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    /// Creates a file of `size` bytes with four bytes of content at each of `places`.
    fn sparse(places: &[u64], size: u64) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for &place in places {
            file.seek(SeekFrom::Start(place)).unwrap();
            file.write_all(b"data").unwrap();
        }
        file
    }

    #[test]
    fn sparse_file_comes_back_from_the_archive_with_its_holes() {
        // More pieces than fit in one header, a hole at the end, no content, and only content.
        let many: Vec<u64> = (0..40).map(|number| number << 20).collect();
        for (places, size) in [(&many[..], 50 << 20), (&[1 << 20], (1 << 20) + 4), (&[], 7 << 20)] {
            let file = sparse(places, size);
            let ranges = netstat_os::files::data_ranges(&file, MOST).unwrap().unwrap();
            let data: u64 = ranges.iter().map(|(_, length)| length).sum();
            let mut header = Header::new_ustar();
            header.set_size(data);
            header.set_mode(0o400);
            header.set_mtime(0);
            let blocks = describe(&mut header, &ranges, size).unwrap();
            header.set_entry_type(tar::EntryType::GNUSparse);
            header.set_path("file").unwrap();
            header.set_cksum();
            let mut archive = tar::Builder::new(Vec::new());
            let mut content = Pieces::new(&file, &ranges, size);
            archive.append(&header, blocks.as_slice().chain(&mut content)).unwrap();
            let (digest, failed) = content.finish();
            assert_eq!(failed, None);
            let archive = archive.into_inner().unwrap();
            assert!(archive.len() < 4 << 20 || data > 3 << 20, "{} bytes", archive.len());
            let mut whole = Vec::new();
            let mut archive = tar::Archive::new(archive.as_slice());
            let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
            entry.read_to_end(&mut whole).unwrap();
            assert_eq!(whole.len() as u64, size);
            assert_eq!(digest, Sha256::digest(&whole));
            for place in places {
                assert_eq!(&whole[usize::try_from(*place).unwrap()..][..4], b"data");
            }
        }
    }

    #[test]
    fn file_that_shrinks_while_read_is_filled_up_with_zeros() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let mut pieces = Pieces::new(&file, &[(0, 5)], 5);
        let mut read = Vec::new();
        pieces.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"abc\0\0");
        let (digest, failed) = pieces.finish();
        assert_eq!(failed.as_deref(), Some("the file became shorter"));
        assert_eq!(digest, Sha256::digest(b"abc\0\0"));
    }
}
