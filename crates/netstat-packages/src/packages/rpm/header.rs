//! The header of a package in the database of rpm.
//!
//! It consists of two big-endian numbers, the number of index entries and the number of data bytes, followed by the
//! entries (tag, type, offset into the data, count; 32 bits each) and the data (rpm, "Package format V4", "Header
//! structure"; `headerImport` of lib/header.c).

use crate::digest::{Algorithm, Digest};

/// The tags and types of rpm, from `include/rpm/rpmtag.h`.
mod tag {
    pub(super) const NAME: u32 = 1000;
    pub(super) const VERSION: u32 = 1001;
    pub(super) const RELEASE: u32 = 1002;
    pub(super) const EPOCH: u32 = 1003;
    pub(super) const INSTALLTIME: u32 = 1008;
    pub(super) const ARCH: u32 = 1022;
    pub(super) const FILESTATES: u32 = 1029;
    pub(super) const FILEDIGESTS: u32 = 1035;
    pub(super) const FILEFLAGS: u32 = 1037;
    pub(super) const DIRINDEXES: u32 = 1116;
    pub(super) const BASENAMES: u32 = 1117;
    pub(super) const DIRNAMES: u32 = 1118;
    pub(super) const FILEDIGESTALGO: u32 = 5011;

    pub(super) const CHAR: u32 = 1;
    pub(super) const INT32: u32 = 4;
    pub(super) const STRING: u32 = 6;
    pub(super) const STRING_ARRAY: u32 = 8;
}

/// `RPMFILE_CONFIG` and `RPMFILE_GHOST` of `include/rpm/rpmfiles.h`.
const CONFIG: u32 = 1;
const GHOST: u32 = 1 << 6;
/// `RPMFILE_STATE_REPLACED` (the path now holds the file of another package) and `RPMFILE_STATE_NOTINSTALLED`, from the
/// same header.
const REPLACED: u8 = 1;
const NOT_INSTALLED: u8 = 2;
/// The limits that rpm itself has for entries and bytes (`headerMaxbytes` of lib/header.c; 16-bit entry counts for V4
/// packages).
const MAX_ENTRIES: usize = 0xffff;
const MAX_DATA: usize = 256 << 20;

/// A header whose index and data are within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

/// A file in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// The directory, with `/` at both ends.
    pub directory: &'a [u8],
    /// The last component of the path.
    pub name: &'a [u8],
    /// Whether the file is configuration.
    pub configuration: bool,
    /// Whether the file is listed but not part of the package's content.
    pub ghost: bool,
    /// The digest in hexadecimal; empty unless the file is a regular file.
    pub digest: &'a [u8],
}

impl<'a> Header<'a> {
    /// Parses a header; `None` if the bytes are too few or exceed the limits.
    pub fn parse(bytes: &'a [u8]) -> Option<Header<'a>> {
        let entries = number(bytes, 0)? as usize;
        let length = number(bytes, 4)? as usize;
        if entries > MAX_ENTRIES || length > MAX_DATA {
            return None;
        }
        let index = bytes.get(8..8 + 16 * entries)?;
        let data = bytes.get(8 + 16 * entries..)?.get(..length)?;
        Some(Header { index, data })
    }

    /// Returns the data of a tag from its first value on, and the number of values.
    fn values(&self, tag: u32, kind: u32) -> Option<(&'a [u8], usize)> {
        let entry = self
            .index
            .chunks_exact(16)
            .find(|entry| number(entry, 0) == Some(tag))?;
        if number(entry, 4) != Some(kind) {
            return None;
        }
        Some((
            self.data.get(number(entry, 8)? as usize..)?,
            number(entry, 12)? as usize,
        ))
    }

    fn text(&self, tag: u32) -> Option<&'a [u8]> {
        self.values(tag, tag::STRING)?.0.split(|byte| *byte == 0).next()
    }

    fn int(&self, tag: u32, at: usize) -> Option<u32> {
        let (data, count) = self.values(tag, tag::INT32)?;
        number(data, at.checked_mul(4).filter(|_| at < count)?)
    }

    /// Returns the string at index `at` of an array.
    fn item(&self, tag: u32, at: usize) -> Option<&'a [u8]> {
        let (mut data, count) = self.values(tag, tag::STRING_ARRAY)?;
        if at >= count {
            return None;
        }
        for _ in 0..at {
            data = &data[memchr::memchr(0, data)? + 1..];
        }
        Some(&data[..memchr::memchr(0, data)?])
    }

    /// Returns the name of the package.
    pub fn name(&self) -> Option<&'a [u8]> {
        self.text(tag::NAME)
    }

    /// Returns the version as `[EPOCH:]VERSION-RELEASE`.
    pub fn version(&self) -> Option<String> {
        let text = |tag| self.text(tag).map(String::from_utf8_lossy);
        let (version, release) = (text(tag::VERSION)?, text(tag::RELEASE)?);
        Some(match self.int(tag::EPOCH, 0) {
            Some(epoch) => format!("{epoch}:{version}-{release}"),
            None => format!("{version}-{release}"),
        })
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> Option<&'a [u8]> {
        self.text(tag::ARCH)
    }

    /// Returns when the package was installed, in seconds since 1970.
    pub fn installed(&self) -> Option<u32> {
        self.int(tag::INSTALLTIME, 0)
    }

    /// Returns the file at index `at`, unless it was not installed or was replaced by the file of another package.
    pub fn file(&self, at: usize) -> Option<File<'a>> {
        let (states, count) = self.values(tag::FILESTATES, tag::CHAR).unwrap_or_default();
        if at < count && matches!(states.get(at), Some(&(REPLACED | NOT_INSTALLED))) {
            return None;
        }
        let flags = self.int(tag::FILEFLAGS, at).unwrap_or(0);
        Some(File {
            directory: self.item(tag::DIRNAMES, self.int(tag::DIRINDEXES, at)? as usize)?,
            name: self.item(tag::BASENAMES, at)?,
            configuration: flags & CONFIG != 0,
            ghost: flags & GHOST != 0,
            digest: self.item(tag::FILEDIGESTS, at).unwrap_or_default(),
        })
    }

    /// Returns the algorithm of the file digests, which is recorded as an OpenPGP number (RFC 9580, 9.5); MD5 if none
    /// is recorded. `None` if the algorithm is not supported.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self.int(tag::FILEDIGESTALGO, 0) {
            None | Some(1) => Some(Algorithm::Md5),
            Some(2) => Some(Algorithm::Sha1),
            Some(8) => Some(Algorithm::Sha256),
            Some(9) => Some(Algorithm::Sha384),
            Some(10) => Some(Algorithm::Sha512),
            Some(11) => Some(Algorithm::Sha224),
            Some(_) => None,
        }
    }

    /// Returns the digest in [`File::digest`]; `None` if it is empty, malformed, or of an unsupported algorithm.
    pub fn digest(&self, file: &File<'_>) -> Option<Digest> {
        Digest::from_hex(self.algorithm()?, file.digest)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Builds a header from tuples of tag, type, count and data.
    pub(in super::super) fn build(tags: &[(u32, u32, u32, Vec<u8>)]) -> Vec<u8> {
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for (tag, kind, count, bytes) in tags {
            if *kind == tag::INT32 {
                data.resize(data.len().next_multiple_of(4), 0);
            }
            for number in [*tag, *kind, data.len() as u32, *count] {
                index.extend(number.to_be_bytes());
            }
            data.extend(bytes);
        }
        let mut all = (tags.len() as u32).to_be_bytes().to_vec();
        all.extend((data.len() as u32).to_be_bytes());
        [all, index, data].concat()
    }

    pub(in super::super) fn texts(texts: &[&str]) -> Vec<u8> {
        texts
            .iter()
            .flat_map(|text| [text.as_bytes(), b"\0"].concat())
            .collect()
    }

    pub(in super::super) fn ints(ints: &[u32]) -> Vec<u8> {
        ints.iter().flat_map(|int| int.to_be_bytes()).collect()
    }

    pub(in super::super) fn sample() -> Vec<u8> {
        build(&[
            (tag::NAME, tag::STRING, 1, texts(&["hello"])),
            (tag::VERSION, tag::STRING, 1, texts(&["1.0"])),
            (tag::RELEASE, tag::STRING, 1, texts(&["3.fc40"])),
            (tag::EPOCH, tag::INT32, 1, ints(&[2])),
            (tag::INSTALLTIME, tag::INT32, 1, ints(&[1_700_000_000])),
            (tag::ARCH, tag::STRING, 1, texts(&["x86_64"])),
            (tag::FILESTATES, tag::CHAR, 5, vec![0, 0, 0, 1, 0]),
            (
                tag::FILEDIGESTS,
                tag::STRING_ARRAY,
                5,
                texts(&[
                    "900150983cd24fb0d6963f7d28e17f72",
                    "",
                    "d41d8cd98f00b204e9800998ecf8427e",
                    "",
                    "zz",
                ]),
            ),
            (tag::FILEFLAGS, tag::INT32, 5, ints(&[0, GHOST, CONFIG, 0, 0])),
            (tag::DIRINDEXES, tag::INT32, 5, ints(&[0, 1, 1, 0, 0])),
            (
                tag::BASENAMES,
                tag::STRING_ARRAY,
                5,
                texts(&["hello", "log", "conf", "lost", "odd"]),
            ),
            (tag::DIRNAMES, tag::STRING_ARRAY, 2, texts(&["/bin/", "/etc/"])),
        ])
    }

    #[test]
    fn rpm_header_gives_package_and_files() {
        let bytes = sample();
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(header.name(), Some(&b"hello"[..]));
        assert_eq!(header.version().unwrap(), "2:1.0-3.fc40");
        assert_eq!(
            (header.architecture(), header.installed()),
            (Some(&b"x86_64"[..]), Some(1_700_000_000))
        );
        let hello = header.file(0).unwrap();
        assert_eq!((hello.directory, hello.name), (&b"/bin/"[..], &b"hello"[..]));
        assert_eq!(
            header.digest(&hello).unwrap().to_string(),
            "900150983cd24fb0d6963f7d28e17f72"
        );
        assert!(header.file(1).unwrap().ghost && !header.file(1).unwrap().configuration);
        assert!(header.file(2).unwrap().configuration);
        // A file that another package replaced, and an index out of bounds.
        assert_eq!(header.file(3), None);
        assert_eq!(header.digest(&header.file(4).unwrap()), None);
        assert_eq!(header.file(5), None);
    }

    #[test]
    fn algorithms() {
        let of = |number| {
            let bytes = build(&[(tag::FILEDIGESTALGO, tag::INT32, 1, ints(&[number]))]);
            Header::parse(&bytes).unwrap().algorithm()
        };
        assert_eq!(
            (of(8), of(10), of(12)),
            (Some(Algorithm::Sha256), Some(Algorithm::Sha512), None)
        );
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>, at in 0..9usize) {
            if let Some(header) = Header::parse(&bytes) {
                let _ = (header.name(), header.version(), header.installed(), header.algorithm());
                let _ = header.file(at).map(|file| header.digest(&file));
            }
        }

        #[test]
        fn damaged(cut in 0..700usize, place in 0..700usize, byte: u8, at in 0..9usize) {
            let mut bytes = sample();
            bytes.truncate(bytes.len() - cut.min(bytes.len()) / 8);
            if let Some(old) = bytes.get_mut(place) {
                *old = byte;
            }
            if let Some(header) = Header::parse(&bytes) {
                let _ = (header.name(), header.version(), header.architecture());
                let _ = header.file(at).map(|file| header.digest(&file));
            }
        }
    }
}
