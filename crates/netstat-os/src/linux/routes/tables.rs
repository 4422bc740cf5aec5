//! The names of routing tables as iproute2 keeps them: rt_tables in `/etc/iproute2` or, if that does not exist, in
//! `/usr/share/iproute2`, and every `*.conf` in both `rt_tables.d` directories (ip-route(8), "FILES").

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use netstat_model::route::{TableNames, TableSelection};
use netstat_model::text::{escape, escape_str};

/// The error for an unknown table name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown routing table \"{word}\": use {allowed}, or a number from 1 to 4294967295")]
pub struct UnknownTable {
    word: String,
    allowed: String,
}

/// Returns the table names that are defined on this system.
pub fn table_names() -> TableNames {
    names_in(Path::new("/etc/iproute2"), Path::new("/usr/share/iproute2"))
}

/// Resolves a table by name (ignoring case if there is no exact match) or by number, in decimal or with `0x`.
///
/// # Errors
/// Returns an error if it is neither; the message contains the word and lists the names.
pub fn resolve_table(word: &str) -> Result<u32, UnknownTable> {
    resolve_among(&table_names(), word)
}

/// Like [`resolve_table`], but also accepts `all` for every table.
///
/// # Errors
/// Same as for [`resolve_table`].
pub fn select_tables(word: &str) -> Result<TableSelection, UnknownTable> {
    if word.eq_ignore_ascii_case("all") {
        return Ok(TableSelection::All);
    }
    resolve_table(word).map(TableSelection::One)
}

fn resolve_among(names: &TableNames, word: &str) -> Result<u32, UnknownTable> {
    // Table 0 (RT_TABLE_UNSPEC) contains no routes.
    if let Some(number) = names
        .number(word.as_bytes())
        .or_else(|| number(word))
        .filter(|&number| number != 0)
    {
        return Ok(number);
    }
    let mut allowed = "all".to_owned();
    for (number, name) in names.iter() {
        if number != 0 {
            allowed.push_str(", ");
            allowed.push_str(&escape(name));
        }
    }
    Err(UnknownTable {
        word: escape_str(word).into_owned(),
        allowed,
    })
}

/// Parses an unsigned number in decimal or in hexadecimal with `0x`.
fn number(word: &str) -> Option<u32> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

fn names_in(etc: &Path, share: &Path) -> TableNames {
    let mut names = TableNames::default();
    // If a file is missing or unreadable, tables are shown by number.
    if let Ok(text) = std::fs::read(etc.join("rt_tables")).or_else(|_| std::fs::read(share.join("rt_tables"))) {
        parse_names(&text, &mut names);
    }
    // A file in /etc replaces the distribution's file with the same name.
    let mut parts: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for folder in [share, etc] {
        let Ok(entries) = std::fs::read_dir(folder.join("rt_tables.d")) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if let (Some(name), Some("conf")) = (path.file_name(), path.extension().and_then(|end| end.to_str())) {
                parts.insert(name.to_owned(), path);
            }
        }
    }
    for text in parts.values().filter_map(|path| std::fs::read(path).ok()) {
        parse_names(&text, &mut names);
    }
    names
}

/// Parses lines with a number and a name; `#` starts a comment. Malformed lines are ignored, although iproute2 itself
/// would refuse them.
pub fn parse_names(text: &[u8], names: &mut TableNames) {
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or(line);
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        if let (Some(table), Some(name)) = (words.next(), words.next())
            && let Some(table) = std::str::from_utf8(table).ok().and_then(number)
        {
            names.insert(table, name.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> TableNames {
        let mut names = TableNames::default();
        parse_names(
            b"#\n0\tunspec\n 100 uplink # the new one\n0x65 hex\nnonsense here\n7\n9 bad\x1bname\n",
            &mut names,
        );
        names
    }

    #[test]
    fn table_is_resolved_from_name_or_number() {
        let names = names();
        for (word, table) in [
            ("main", 254),
            ("Local", 255),
            ("uplink", 100),
            ("hex", 101),
            ("7", 7),
            ("0xff", 255),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(resolve_among(&names, word), Ok(table), "{word}");
        }
        for word in ["", "0", "unspec", "4294967296", "-1", "+1", "0x+1", "uplinks", "1.5"] {
            assert!(resolve_among(&names, word).is_err(), "{word}");
        }
        assert_eq!(
            resolve_among(&names, "up\nlink").unwrap_err().to_string(),
            "unknown routing table \"up\\nlink\": use all, bad\\ename, uplink, hex, default, main, local, or a number from 1 to \
             4294967295"
        );
        assert_eq!(select_tables("ALL"), Ok(TableSelection::All));
        assert_eq!(select_tables("main"), Ok(TableSelection::One(254)));
    }

    #[test]
    fn table_names_of_etc_override_those_of_share() {
        let root = tempfile::tempdir().unwrap();
        let (etc, share) = (root.path().join("etc"), root.path().join("share"));
        for folder in [&etc, &share] {
            std::fs::create_dir_all(folder.join("rt_tables.d")).unwrap();
        }
        std::fs::write(share.join("rt_tables"), "50 fifty\n254 main\n").unwrap();
        std::fs::write(share.join("rt_tables.d/a.conf"), "10 ten\n").unwrap();
        std::fs::write(share.join("rt_tables.d/b.conf"), "11 eleven\n").unwrap();
        std::fs::write(etc.join("rt_tables.d/a.conf"), "10 zehn\n").unwrap();
        std::fs::write(etc.join("rt_tables.d/README"), "12 twelve\n").unwrap();
        let names = names_in(&etc, &share);
        assert_eq!(names.number(b"fifty"), Some(50));
        assert_eq!((names.number(b"ten"), names.number(b"zehn")), (None, Some(10)));
        assert_eq!((names.number(b"eleven"), names.number(b"twelve")), (Some(11), None));
        std::fs::write(etc.join("rt_tables"), "60 sixty\n").unwrap();
        let names = names_in(&etc, &share);
        assert_eq!(
            (names.number(b"fifty"), names.number(b"sixty"), names.number(b"local")),
            (None, Some(60), Some(255))
        );
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            parse_names(&bytes, &mut TableNames::default());
        }
    }
}
