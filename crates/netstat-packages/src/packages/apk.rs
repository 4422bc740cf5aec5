//! The database of apk: a single text file for all packages, `lib/apk/db/installed`.

use netstat_model::{Fact, Why};

use super::ownership::{Database, NoRecord, Package, Recorded};
use super::root::absolute;
use super::search::Search;
use crate::digest::{Algorithm, Digest};
use crate::why;

/// The locations of the text file: apk 2, and apk 3 with everything below `/usr`.
const PLACES: &[&str] = &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// Searches the database of apk. Returns whether there is one.
pub(super) fn search(search: &mut Search<'_>) -> bool {
    for place in PLACES {
        let text = match search.root.read(place.as_bytes()) {
            Ok(text) => text,
            Err(error) if why(&error) == Why::Gone => continue,
            Err(error) => {
                search.trouble(Database::Apk, *place, why(&error));
                return true;
            }
        };
        for file in files(&text) {
            if file.package.is_empty() || !search.wanted.name(file.name) {
                continue;
            }
            let path = [file.directory, b"/", file.name].concat();
            for index in search.wanted.matching(&path) {
                search.found(index, || describe(&file, &path));
            }
        }
        // One of the two locations is a link to the other.
        return true;
    }
    false
}

fn describe(file: &File<'_>, path: &[u8]) -> Package {
    let text = |value: &[u8]| match value {
        b"" => Fact::Unknown(Why::Failed),
        value => Fact::Known(String::from_utf8_lossy(value).into_owned()),
    };
    Package {
        database: Database::Apk,
        name: String::from_utf8_lossy(file.package).into_owned(),
        version: text(file.version),
        architecture: text(file.architecture),
        listed_as: absolute(path),
        // The configuration directories are listed in /etc/apk/protected_paths.d; the default is /etc.
        configuration: path.starts_with(b"etc/"),
        recorded: match file.checksum {
            None => Recorded::None(NoRecord::NotListed),
            Some(checksum) => digest(checksum).map_or(Recorded::None(NoRecord::Unreadable), Recorded::Digest),
        },
        installed: Fact::Unknown(Why::NotKept),
    }
}

/// A file of an installed package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct File<'a> {
    /// The name of the package (`P`).
    pub package: &'a [u8],
    /// The version (`V`); empty if there is none.
    pub version: &'a [u8],
    /// The architecture (`A`); empty if there is none.
    pub architecture: &'a [u8],
    /// The directory (`F`), without `/` at either end.
    pub directory: &'a [u8],
    /// The file name (`R`).
    pub name: &'a [u8],
    /// The checksum (`Z`); see [`digest`].
    pub checksum: Option<&'a [u8]>,
}

/// Returns the files of all packages in the text `installed`. Each line consists of a letter, a colon and a value;
/// packages are separated by empty lines. (Alpine Linux wiki, "Apk spec"; `apk_db_fdb_read` of apk-tools.)
pub fn files(text: &[u8]) -> impl Iterator<Item = File<'_>> {
    let mut lines = super::dpkg::parse::lines(text).peekable();
    let mut now = File::default();
    std::iter::from_fn(move || {
        while let Some(line) = lines.next() {
            let (Some(letter), value) = (line.first(), line.get(2..).unwrap_or_default()) else {
                now = File::default();
                continue;
            };
            if line.get(1) != Some(&b':') {
                continue;
            }
            match letter {
                b'P' => now.package = value,
                b'V' => now.version = value,
                b'A' => now.architecture = value,
                b'F' => now.directory = value,
                b'R' => {
                    let mut file = File { name: value, ..now };
                    // The attributes of a file follow it, in lower-case letters except for the checksum.
                    while let Some(line) = lines.next_if(|line| matches!(line.get(..2), Some(b"a:" | b"Z:"))) {
                        if let Some(checksum) = line.strip_prefix(b"Z:") {
                            file.checksum = Some(checksum);
                        }
                    }
                    return Some(file);
                }
                _ => {}
            }
        }
        None
    })
}

/// Parses a checksum of apk: `Q` for base64 or `X` for hexadecimal, then `1` for SHA-1 or `2` for SHA-256, then the
/// value.
pub fn digest(text: &[u8]) -> Option<Digest> {
    let algorithm = match text.get(1)? {
        b'1' => Algorithm::Sha1,
        b'2' => Algorithm::Sha256,
        _ => return None,
    };
    let value = text.get(2..)?;
    match text[0] {
        b'Q' => Digest::new(algorithm, &base64(value)?),
        b'X' => Digest::from_hex(algorithm, value),
        _ => None,
    }
}

/// Decodes base64 (RFC 4648, 4), with or without padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
    if text.len() - end > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(end * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for byte in &text[..end] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xfff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    // The remaining bits must be zero.
    (bits & ((1 << count) - 1) == 0).then_some(bytes)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::packages::{FileOwner, Packages};
    use proptest::prelude::*;

    /// `Z:Q1qZk+...` is the SHA-1 digest of "abc".
    const TEXT: &[u8] = b"C:Q1aaaa=\nP:busybox\nV:1.36.1-r5\nA:x86_64\nS:1\nT:x\nF:bin\nR:busybox\na:0:0:755\n\
        Z:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\nF:etc\nM:0:0:755\nR:securetty\nF:etc/init.d\nR:odd\na:0:0:755\nZ:Q9abc\n\n\
        P:musl\nV:1.2\nF:lib\nR:ld-musl.so.1\nZ:Xzz\n\nF:lost\nR:file\n";

    #[test]
    fn apk_database_lists_all_files() {
        let all: Vec<_> = files(TEXT)
            .map(|file| (file.package, file.directory, file.name))
            .collect();
        assert_eq!(
            all,
            [
                (&b"busybox"[..], &b"bin"[..], &b"busybox"[..]),
                (b"busybox", b"etc", b"securetty"),
                (b"busybox", b"etc/init.d", b"odd"),
                (b"musl", b"lib", b"ld-musl.so.1"),
                (b"", b"lost", b"file"),
            ]
        );
    }

    #[test]
    fn checksums() {
        let text = |text: &[u8]| digest(text).map(|digest| digest.to_string());
        let abc = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(text(b"Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=").unwrap(), abc);
        assert_eq!(text(b"Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0").unwrap(), abc);
        assert_eq!(text(format!("X1{abc}").as_bytes()).unwrap(), abc);
        let empty = b"Q247DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(
            text(empty).unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for wrong in [
            &b""[..],
            b"Q",
            b"Q1",
            b"Q1qZk+",
            b"Q1qZk*NkcGgWq6PiVxeFDCbJzQ2J0=",
            b"Q9abc",
            b"Y1",
        ] {
            assert_eq!(text(wrong), None);
        }
    }

    #[test]
    fn apk_owners_are_found_below_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("lib/apk/db")).unwrap();
        std::fs::write(dir.path().join("lib/apk/db/installed"), TEXT).unwrap();
        let packages = Packages::open(dir.path());
        let answers = packages.owners(&[
            "/bin/busybox",
            "/etc/securetty",
            "/etc/init.d/odd",
            "/bin/other",
            "/lost/file",
        ]);
        let busybox = answers[0].owner.package().unwrap();
        assert_eq!((busybox.database, busybox.name.as_str()), (Database::Apk, "busybox"));
        assert_eq!(busybox.version, Fact::Known("1.36.1-r5".to_owned()));
        assert_eq!(busybox.architecture, Fact::Known("x86_64".to_owned()));
        assert_eq!(busybox.installed, Fact::Unknown(Why::NotKept));
        assert!(matches!(busybox.recorded, Recorded::Digest(digest) if digest.algorithm() == Algorithm::Sha1));
        let conf = answers[1].owner.package().unwrap();
        assert!(conf.configuration && conf.recorded == Recorded::None(NoRecord::NotListed));
        assert_eq!(
            answers[2].owner.package().unwrap().recorded,
            Recorded::None(NoRecord::Unreadable)
        );
        assert_eq!(answers[3].owner, FileOwner::Nobody);
        // A file without a package has no owner.
        assert_eq!(answers[4].owner, FileOwner::Nobody);
    }

    proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>) {
            prop_assert!(files(&text).count() <= text.len());
            let _ = digest(&text);
        }

        #[test]
        fn damaged(at in 0..TEXT.len(), byte: u8) {
            let mut text = TEXT.to_vec();
            text[at] = byte;
            for file in files(&text) {
                let _ = file.checksum.map(digest);
            }
        }
    }
}
