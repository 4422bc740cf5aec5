//! Parsers for the other texts and links in `/proc/PID`: arguments, environment, control group, namespaces,
//! descriptors, memory.

use netstat_model::process::{Descriptor, Mapped, Mapping, MemoryUse};
use netstat_model::{Fact, Why};

use crate::linux::owners::process::small_number;

/// The mark that the kernel appends to the path of an unlinked file (`d_path` in the kernel's `fs/d_path.c`).
pub(super) const DELETED: &[u8] = b" (deleted)";

/// Parses the arguments in `/proc/PID/cmdline`, each of which ends in a NUL. A process that overwrites them with a
/// title leaves NULs behind, so several NULs at the end are removed, and empty arguments at the very end with them.
pub fn parse_arguments(text: &[u8]) -> Vec<Vec<u8>> {
    let body = text.strip_suffix(b"\0").unwrap_or(text);
    let body = if body.ends_with(b"\0\0") { trim_nul(body) } else { body };
    if body.is_empty() {
        return Vec::new();
    }
    body.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

fn trim_nul(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., 0] = text {
        text = rest;
    }
    text
}

/// Parses the strings in `/proc/PID/environ`, without empty ones.
pub fn parse_environment(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|&byte| byte == 0)
        .filter(|string| !string.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// Returns the path of the control group in the text of `/proc/PID/cgroup`: that of version 2, otherwise that of
/// systemd's own hierarchy, otherwise the first one. `None` if there is none.
pub fn parse_cgroup_path(text: &[u8]) -> Option<&[u8]> {
    let mut best: Option<(u8, &[u8])> = None;
    for line in text.split(|&byte| byte == b'\n') {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let rank = match (id, controllers) {
            (b"0", b"") => 2,
            (_, b"name=systemd") => 1,
            _ => 0,
        };
        if best.is_none_or(|(better, _)| rank > better) {
            best = Some((rank, path));
        }
    }
    best.map(|(_, path)| path)
}

/// Parses the inode in `net:[4026531840]`, the target of a link in `/proc/PID/ns`.
pub fn parse_namespace(target: &[u8]) -> Option<u64> {
    let open = target.iter().position(|&byte| byte == b'[')?;
    decimal(target[open + 1..].strip_suffix(b"]")?)
}

/// Parses the target of a link in `/proc/PID/fd`.
pub fn parse_descriptor(target: &[u8]) -> Descriptor {
    let bracketed = |prefix: &[u8]| decimal(target.strip_prefix(prefix)?.strip_suffix(b"]")?);
    if let Some(inode) = bracketed(b"socket:[") {
        return Descriptor::Socket(inode);
    }
    if let Some(inode) = bracketed(b"pipe:[") {
        return Descriptor::Pipe(inode);
    }
    if let Some(name) = target.strip_prefix(b"anon_inode:") {
        return Descriptor::Anonymous(name.to_vec());
    }
    if let Some(name) = memory_name(target) {
        return Descriptor::Memory(name.to_vec());
    }
    if target.starts_with(b"/") {
        let bare = target.strip_suffix(DELETED);
        return Descriptor::Path {
            path: bare.unwrap_or(target).to_vec(),
            deleted: bare.is_some(),
        };
    }
    Descriptor::Other(target.to_vec())
}

/// Returns the name in `/memfd:NAME (deleted)`.
pub(super) fn memory_name(target: &[u8]) -> Option<&[u8]> {
    target.strip_prefix(b"/memfd:")?.strip_suffix(DELETED)
}

/// Parses the executable mappings in `/proc/PID/maps`. Malformed lines are ignored.
pub fn parse_executable_mappings(text: &[u8]) -> Vec<Mapping> {
    text.split(|&byte| byte == b'\n').filter_map(mapping).collect()
}

/// Parses a line `start-end rwxp offset major:minor inode   name`; `None` if it is malformed, or the mapping is not
/// executable.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let range = fields.next()?;
    let flags = fields.next()?;
    if flags.get(2) != Some(&b'x') {
        return None;
    }
    let offset = hexadecimal(fields.next()?)?;
    let device = fields.next()?;
    let inode = decimal(fields.next()?)?;
    // The name is preceded by blanks and does not begin with one.
    let name = fields.next().unwrap_or_default();
    let name = &name[name.iter().take_while(|&&byte| byte == b' ').count()..];
    let dash = range.iter().position(|&byte| byte == b'-')?;
    let colon = device.iter().position(|&byte| byte == b':')?;
    let number = |digits| hexadecimal(digits).and_then(|value| u32::try_from(value).ok());
    Some(Mapping {
        start: hexadecimal(&range[..dash])?,
        end: hexadecimal(&range[dash + 1..])?,
        writable: flags.get(1) == Some(&b'w'),
        shared: flags.get(3) == Some(&b's'),
        offset,
        device: (number(&device[..colon])?, number(&device[colon + 1..])?),
        inode,
        what: mapped(name),
    })
}

fn mapped(name: &[u8]) -> Mapped {
    if name.is_empty() {
        Mapped::Anonymous
    } else if let Some(name) = memory_name(name) {
        Mapped::Memory(name.to_vec())
    } else if name.starts_with(b"/") {
        let bare = name.strip_suffix(DELETED);
        Mapped::File {
            path: bare.unwrap_or(name).to_vec(),
            deleted: bare.is_some(),
        }
    } else {
        Mapped::Named(name.to_vec())
    }
}

/// Parses the totals in `/proc/PID/smaps_rollup`; unknown if the resident memory is missing.
pub fn parse_memory(text: &[u8]) -> Fact<MemoryUse> {
    let mut memory = MemoryUse::default();
    let mut complete = false;
    for line in text.split(|&byte| byte == b'\n') {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(name), Some(number), Some(b"kB")) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Some(bytes) = decimal(number).and_then(|number| number.checked_mul(1024)) else {
            return Fact::Unknown(Why::Failed);
        };
        let sum = match name {
            b"Rss:" => {
                complete = true;
                &mut memory.resident
            }
            b"Pss:" => &mut memory.proportional,
            b"Private_Clean:" | b"Private_Dirty:" => &mut memory.private,
            b"Shared_Clean:" | b"Shared_Dirty:" => &mut memory.shared,
            b"Swap:" => &mut memory.swapped,
            _ => continue,
        };
        *sum = sum.saturating_add(bytes);
    }
    match complete {
        true => Fact::Known(memory),
        false => Fact::Unknown(Why::Failed),
    }
}

/// Parses an unsigned decimal number; `None` if it is malformed or too large.
fn decimal(digits: &[u8]) -> Option<u64> {
    if let Some(small) = small_number(digits) {
        return Some(small.into());
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &[u8]) -> Vec<String> {
        parse_arguments(text)
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    #[test]
    fn arguments_are_split_at_nul() {
        assert_eq!(words(b"sleep\x0060\0"), ["sleep", "60"]);
        assert_eq!(words(b"x\0\0y\0"), ["x", "", "y"]);
        assert_eq!(words(b"x\0\0"), ["x", ""]);
        // A title that replaces the arguments, with the rest cleared.
        assert_eq!(words(b"nginx: worker process\0\0\0\0\0\0"), ["nginx: worker process"]);
        assert_eq!(words(b"no end"), ["no end"]);
        assert_eq!(words(b""), [""; 0]);
        assert_eq!(words(b"\0"), [""; 0]);
    }

    #[test]
    fn environment_is_split_at_nul() {
        assert_eq!(parse_environment(b"A=1\0\0B=\0"), [b"A=1".to_vec(), b"B=".to_vec()]);
    }

    #[test]
    fn cgroup_path_of_version_2_comes_first() {
        assert_eq!(
            parse_cgroup_path(b"4:memory:/a\n1:name=systemd:/b\n0::/c:d\n"),
            Some(&b"/c:d"[..])
        );
        assert_eq!(parse_cgroup_path(b"4:memory:/a\n1:name=systemd:/b\n"), Some(&b"/b"[..]));
        assert_eq!(parse_cgroup_path(b"4:memory:/a\n3:cpu:/b\n"), Some(&b"/a"[..]));
        assert_eq!(parse_cgroup_path(b"nonsense"), None);
    }

    #[test]
    fn namespace_link_is_read_or_none() {
        assert_eq!(parse_namespace(b"net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(parse_namespace(b"net:[]"), None);
        assert_eq!(parse_namespace(b"net:[1"), None);
    }

    #[test]
    fn descriptor_link_gives_its_kind() {
        let path = |path: &str, deleted| Descriptor::Path {
            path: path.into(),
            deleted,
        };
        for (target, expected) in [
            ("socket:[123]", Descriptor::Socket(123)),
            ("pipe:[4294967297]", Descriptor::Pipe(4_294_967_297)),
            ("anon_inode:[eventfd]", Descriptor::Anonymous(b"[eventfd]".into())),
            ("anon_inode:bpf-prog", Descriptor::Anonymous(b"bpf-prog".into())),
            ("/memfd:x y (deleted)", Descriptor::Memory(b"x y".into())),
            ("/dev/pts/0", path("/dev/pts/0", false)),
            ("/tmp/x (deleted)", path("/tmp/x", true)),
            ("socket:[x]", Descriptor::Other(b"socket:[x]".into())),
            ("net:[4026531840]", Descriptor::Other(b"net:[4026531840]".into())),
        ] {
            assert_eq!(parse_descriptor(target.as_bytes()), expected, "{target}");
        }
    }

    const MAPS: &str = "\
55fb47be2000-55fb47be4000 r--p 00000000 fe:00 247282                     /usr/bin/head
55fb47be4000-55fb47bea000 r-xp 00002000 fe:00 247282                     /usr/bin/head
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7f0000001000-7f0000002000 r-xs 00000000 00:01 99                         /memfd:jit (deleted)
7f0000002000-7f0000003000 r-xp 00000000 fe:00 5                          /tmp/a b.so (deleted)
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn executable_mappings_are_found() {
        let parts = parse_executable_mappings(MAPS.as_bytes());
        let whats: Vec<&Mapped> = parts.iter().map(|part| &part.what).collect();
        let file = |path: &str, deleted| Mapped::File {
            path: path.into(),
            deleted,
        };
        assert_eq!(
            whats,
            [
                &file("/usr/bin/head", false),
                &Mapped::Anonymous,
                &Mapped::Memory(b"jit".into()),
                &file("/tmp/a b.so", true),
                &Mapped::Named(b"[vdso]".into()),
                &Mapped::Named(b"[vsyscall]".into()),
            ]
        );
        assert_eq!((parts[0].size(), parts[0].offset), (0x6000, 0x2000));
        assert_eq!((parts[0].device, parts[0].inode), ((0xfe, 0), 247_282));
        assert_eq!((parts[0].writable, parts[1].writable), (false, true));
        assert_eq!((parts[0].shared, parts[2].shared), (false, true));
    }

    #[test]
    fn memory_figures_are_read_and_summed_up() {
        let text = "55-7f ---p 00000000 00:00 0 [rollup]\nRss:    1760 kB\nPss:  390 kB\nPss_Dirty: 112 kB\n\
            Shared_Clean: 1572 kB\nShared_Dirty: 1 kB\nPrivate_Clean: 76 kB\nPrivate_Dirty: 111 kB\nSwap: 4 kB\nSwapPss: 2 kB\n";
        let memory = parse_memory(text.as_bytes()).known().unwrap();
        let all = [
            memory.resident,
            memory.proportional,
            memory.shared,
            memory.private,
            memory.swapped,
        ];
        assert_eq!(all.map(|bytes| bytes / 1024), [1760, 390, 1573, 187, 4]);
        assert_eq!(parse_memory(b""), Fact::Unknown(Why::Failed));
        assert_eq!(
            parse_memory(b"Rss: 99999999999999999999 kB"),
            Fact::Unknown(Why::Failed)
        );
    }

    proptest! {
        #[test]
        fn never_panic(bytes: Vec<u8>) {
            parse_arguments(&bytes);
            parse_environment(&bytes);
            parse_cgroup_path(&bytes);
            parse_namespace(&bytes);
            parse_descriptor(&bytes);
            parse_executable_mappings(&bytes);
            parse_memory(&bytes);
        }

        #[test]
        fn executable_mappings_damaged_never_panic(at in 0..MAPS.len(), byte: u8) {
            let mut text = MAPS.as_bytes().to_vec();
            text[at] = byte;
            prop_assert!(parse_executable_mappings(&text).len() <= 8);
        }

        #[test]
        fn arguments_joined_by_nul_are_read_back(words in prop::collection::vec("[^\0]{1,8}", 1..6)) {
            let mut text = words.join("\0").into_bytes();
            text.push(0);
            let read: Vec<String> = parse_arguments(&text).into_iter().map(|word| String::from_utf8(word).unwrap()).collect();
            prop_assert_eq!(read, words);
        }
    }
}
