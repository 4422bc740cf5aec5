//! Parsers for the text files of dpkg's database: dpkg(1), deb-control(5), dpkg-divert(1), deb-md5sums(5).

use crate::digest::{Algorithm, Digest};

/// A package in `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    /// The value of `Package`.
    pub name: &'a [u8],
    /// The value of `Version`.
    pub version: Option<&'a [u8]>,
    /// The value of `Architecture`.
    pub architecture: Option<&'a [u8]>,
    /// Whether the files of the package are on the disk. They are not if it was removed, with or without its
    /// configuration. Without a `Status` field, as in `status.d` of distroless images, the package counts as installed.
    pub installed: bool,
    /// The lines of `Conffiles`, each with a leading space.
    conffiles: &'a [u8],
}

impl<'a> Stanza<'a> {
    /// Creates an installed package of which only the name is known.
    pub fn bare(name: &'a [u8], architecture: Option<&'a [u8]>) -> Self {
        Stanza {
            name,
            architecture,
            installed: true,
            ..Stanza::default()
        }
    }

    /// Returns the recorded digest of the configuration file `path`; `None` if it does not belong to this package.
    /// `Some(None)` if the record contains no digest, as is the case before the file is first configured.
    pub fn conffile(&self, path: &[u8]) -> Option<Option<Digest>> {
        for line in lines(self.conffiles) {
            let Some(rest) = line.strip_prefix(b" ").and_then(|line| line.strip_prefix(path)) else {
                continue;
            };
            let Some(rest) = rest.strip_prefix(b" ") else {
                continue;
            };
            let digits = rest.split(|&byte| byte == b' ').next().unwrap_or_default();
            return Some(Digest::from_hex(Algorithm::Md5, digits));
        }
        None
    }
}

/// Returns the packages in `status`. Stanzas without a name are skipped.
pub fn stanzas(text: &[u8]) -> impl Iterator<Item = Stanza<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b"\n\n").map_or(rest.len(), |at| at + 1);
            let (this, after) = rest.split_at(end);
            rest = after.strip_prefix(b"\n").unwrap_or(after);
            let stanza = stanza(this);
            if !stanza.name.is_empty() {
                return Some(stanza);
            }
        }
        None
    })
}

fn stanza(text: &[u8]) -> Stanza<'_> {
    let mut found = Stanza {
        installed: true,
        ..Stanza::default()
    };
    let mut at = 0;
    while at < text.len() {
        let end = at + memchr::memchr(b'\n', &text[at..]).unwrap_or(text.len() - at);
        let line = &text[at..end];
        at = end + 1;
        // Most lines are continuations or fields that are not needed.
        let Some((field, value)) = field(line) else {
            continue;
        };
        if field.eq_ignore_ascii_case(b"package") {
            found.name = value;
        } else if field.eq_ignore_ascii_case(b"version") {
            found.version = Some(value);
        } else if field.eq_ignore_ascii_case(b"architecture") {
            found.architecture = Some(value);
        } else if field.eq_ignore_ascii_case(b"status") {
            let state = value.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            found.installed = state != b"not-installed" && state != b"config-files";
        } else if field.eq_ignore_ascii_case(b"conffiles") {
            let begun = at.min(text.len());
            while text.get(at) == Some(&b' ') {
                at += memchr::memchr(b'\n', &text[at..]).map_or(text.len() - at, |end| end + 1);
            }
            found.conffiles = &text[begun..at.max(begun).min(text.len())];
        }
    }
    found
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // The fields that are needed begin with P, V, A, S or C.
    if !matches!(
        line.first(),
        Some(b'P' | b'V' | b'A' | b'S' | b'C' | b'p' | b'v' | b'a' | b's' | b'c')
    ) {
        return None;
    }
    let colon = memchr::memchr(b':', line)?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

/// A diversion: a file is installed under another name, so that the file of another package can take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diversion<'a> {
    /// The path that packages list.
    pub from: &'a [u8],
    /// The path of the file for every package except the diverting one.
    pub to: &'a [u8],
    /// The package whose own file remains at `from`; `None` if the administrator diverted the file for all packages.
    pub by: Option<&'a [u8]>,
}

/// Returns the records in `diversions`, which have three lines each.
pub fn diversions(text: &[u8]) -> impl Iterator<Item = Diversion<'_>> {
    let mut lines = lines(text);
    std::iter::from_fn(move || {
        let (from, to, by) = (lines.next()?, lines.next()?, lines.next()?);
        Some(Diversion {
            from,
            to,
            by: (by != b":").then_some(by),
        })
    })
}

/// Parses a file name `PACKAGE[:ARCHITECTURE]SUFFIX` in `info`. Returns the package and, if present, the architecture.
pub fn info_name<'a>(file: &'a [u8], suffix: &[u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let stem = file.strip_suffix(suffix)?;
    let (name, architecture) = match memchr::memchr(b':', stem) {
        Some(at) => (&stem[..at], Some(&stem[at + 1..])),
        None => (stem, None),
    };
    (!name.is_empty()).then_some((name, architecture))
}

/// Returns the digest that `md5sums` records for `path`, a path in the package's list; `None` if there is no line for
/// it, `Some(None)` if the line is malformed.
pub fn md5_of(md5sums: &[u8], path: &[u8]) -> Option<Option<Digest>> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if path.is_empty() {
        return None;
    }
    // md5sum(1) escapes a name that contains a newline or backslash, and begins the line with a backslash.
    let escaped: Vec<u8>;
    let (needle, mark) = if path.iter().any(|byte| matches!(byte, b'\n' | b'\\')) {
        escaped = path.iter().flat_map(escape).copied().collect();
        (&escaped[..], 1)
    } else {
        (path, 0)
    };
    for at in memchr::memmem::find_iter(md5sums, needle) {
        let begun = memchr::memrchr(b'\n', &md5sums[..at]).map_or(0, |newline| newline + 1);
        let ended = at + needle.len();
        if md5sums.get(ended).is_some_and(|byte| *byte != b'\n') {
            continue;
        }
        // The format is 32 digits, a space, and a space (text) or an asterisk (binary).
        let before = &md5sums[begun..at];
        if before.len() == mark + 34 && before[mark + 32] == b' ' && matches!(before[mark + 33], b' ' | b'*') {
            return Some(Digest::from_hex(Algorithm::Md5, &before[mark..mark + 32]));
        }
    }
    None
}

fn escape(byte: &u8) -> &[u8] {
    match byte {
        b'\n' => b"\\n",
        b'\\' => b"\\\\",
        _ => std::slice::from_ref(byte),
    }
}

/// Parses a line of `md5sums`, for databases without lists; `None` if the line is malformed or its path is escaped.
pub fn md5_line(line: &[u8]) -> Option<(&[u8], Option<Digest>)> {
    let digits = line.get(..32)?;
    let path = line.get(34..)?;
    (line[32] == b' ' && matches!(line[33], b' ' | b'*') && !path.is_empty())
        .then(|| (path, Digest::from_hex(Algorithm::Md5, digits)))
}

/// Returns the lines of a text, without their terminators.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let end = at + memchr::memchr(b'\n', &text[at..]).unwrap_or(text.len() - at);
        let line = &text[at..end];
        at = end + 1;
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATUS: &[u8] = b"Package: hello\nStatus: install ok installed\nVersion: 2:1.0-1\nArchitecture: amd64\n\
        Conffiles:\n /etc/hello d41d8cd98f00b204e9800998ecf8427e\n /etc/hello.d/x 900150983cd24fb0d6963f7d28e17f72 obsolete\n \
        /etc/new newconffile\nDescription: a\n Package: trap\n .\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Status: install ok installed\nVersion: 3\n\nPackage: last\nVersion: 4";

    #[test]
    fn dpkg_status_packages_are_read() {
        let all: Vec<_> = stanzas(STATUS).collect();
        assert_eq!(
            all.iter().map(|s| s.name).collect::<Vec<_>>(),
            [&b"hello"[..], b"gone", b"last"]
        );
        assert_eq!(all.iter().map(|s| s.installed).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(all[0].version, Some(&b"2:1.0-1"[..]));
        assert_eq!(all[0].architecture, Some(&b"amd64"[..]));
        assert_eq!(all[2].version, Some(&b"4"[..]));
    }

    #[test]
    fn dpkg_status_digests_of_configuration_files_are_read() {
        let hello = stanzas(STATUS).next().unwrap();
        let text = |path: &[u8]| {
            hello
                .conffile(path)
                .map(|digest| digest.map(|digest| digest.to_string()))
        };
        assert_eq!(
            text(b"/etc/hello").unwrap().unwrap(),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
        assert_eq!(
            text(b"/etc/hello.d/x").unwrap().unwrap(),
            "900150983cd24fb0d6963f7d28e17f72"
        );
        assert_eq!(text(b"/etc/new"), Some(None));
        assert_eq!(text(b"/etc/hel"), None);
        assert_eq!(text(b"etc/hello"), None);
    }

    #[test]
    fn dpkg_diversions_of_three_lines_each_are_read() {
        let text = b"/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/x\n/usr/bin/x.real\n:\n/half\n";
        let all: Vec<_> = diversions(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(
            all[0],
            Diversion {
                from: b"/bin/sh",
                to: b"/bin/sh.distrib",
                by: Some(b"dash")
            }
        );
        assert_eq!(all[1].by, None);
    }

    #[test]
    fn dpkg_info_file_name_gives_package_and_architecture() {
        assert_eq!(info_name(b"bash.list", b".list"), Some((&b"bash"[..], None)));
        assert_eq!(
            info_name(b"libc6:amd64.list", b".list"),
            Some((&b"libc6"[..], Some(&b"amd64"[..])))
        );
        assert_eq!(info_name(b"bash.md5sums", b".list"), None);
        assert_eq!(info_name(b".list", b".list"), None);
    }

    #[test]
    fn dpkg_md5sums_digest_is_found_by_path() {
        let sums =
            b"d41d8cd98f00b204e9800998ecf8427e  usr/bin/cat.real\n900150983cd24fb0d6963f7d28e17f72  usr/bin/cat\n\
            \\f96b697d7cb7938d525a2f31aaf161d0  odd\\nname\nzz0150983cd24fb0d6963f7d28e17f72  bad\n";
        let text = |path: &[u8]| md5_of(sums, path).map(|digest| digest.map(|digest| digest.to_string()));
        assert_eq!(
            text(b"/usr/bin/cat").unwrap().unwrap(),
            "900150983cd24fb0d6963f7d28e17f72"
        );
        assert_eq!(
            text(b"usr/bin/cat.real").unwrap().unwrap(),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
        assert_eq!(
            text(b"/odd\nname").unwrap().unwrap(),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
        assert_eq!(text(b"/bad"), Some(None));
        assert_eq!(text(b"/cat"), None);
        assert_eq!(text(b"/"), None);
        assert_eq!(
            md5_line(b"900150983cd24fb0d6963f7d28e17f72  usr/bin/cat").unwrap().0,
            b"usr/bin/cat"
        );
        assert_eq!(md5_line(b"900150983cd24fb0d6963f7d28e17f72  "), None);
    }

    proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>, path: Vec<u8>) {
            for stanza in stanzas(&text) {
                prop_assert!(!stanza.name.is_empty());
                let _ = stanza.conffile(&path);
            }
            prop_assert!(diversions(&text).count() <= text.len());
            let _ = md5_of(&text, &path);
            let _ = md5_line(&text);
            let _ = info_name(&text, b".list");
        }

        #[test]
        fn dpkg_status_damaged_never_panics(cut in 0..STATUS.len(), at in 0..STATUS.len(), byte: u8) {
            let mut text = STATUS[..cut].to_vec();
            if let Some(place) = text.get_mut(at) {
                *place = byte;
            }
            prop_assert!(stanzas(&text).count() <= 4 + usize::from(byte == b'\n'));
        }

        #[test]
        fn dpkg_md5sums_every_line_is_found(names in prop::collection::vec("[a-z/\\\\\n]{1,12}", 1..20)) {
            let mut sums = Vec::new();
            for (index, name) in names.iter().enumerate() {
                let path: Vec<u8> = name.bytes().flat_map(|byte| escape(&byte).to_vec()).collect();
                if path != name.as_bytes() {
                    sums.push(b'\\');
                }
                sums.extend_from_slice(format!("{index:032x}  ").as_bytes());
                sums.extend_from_slice(&path);
                sums.push(b'\n');
            }
            for name in &names {
                // One leading `/` is removed, as that of the root.
                let path = format!("/{name}");
                let first = names.iter().position(|other| other == name).unwrap();
                prop_assert_eq!(md5_of(&sums, path.as_bytes()).unwrap().unwrap().to_string(), format!("{first:032x}"));
            }
        }
    }
}
