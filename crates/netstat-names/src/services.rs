//! Names of services by protocol and port.
//!
//! The system's services file wins, an embedded table made of IANA's registry fills the rest. The table is text, sorted by port and
//! searched where it lies, so that having it costs nothing at start-up.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use netstat_model::Protocol;

/// The notice that the licence of the embedded table (BSD-2-Clause) wants to be shown with every copy.
pub const NOTICE: &str = include_str!("../data/NOTICE");

/// Lines of `port TAB protocols TAB name TAB description` by rising port; protocols is `tu`, `t` or `u`.
/// Made by `cargo xtask services`.
const TABLE: &str = include_str!("../data/services.tsv");

/// Where the computer's own names are: services(5), or on Windows the file below the system's directory, which `variable` names.
fn file_of(windows: bool, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if !windows {
        return "/etc/services".into();
    }
    let directory = variable("SystemRoot").map(PathBuf::from);
    directory
        .unwrap_or_else(|| r"C:\Windows".into())
        .join(r"System32\drivers\etc\services")
}

/// No services file is longer than this; more of a file is not read (Debian's has 13 kB, the whole registry 1.2 MB).
const FILE_LIMIT: u64 = 8 << 20;

/// The last of the system ports, whose services the system's administrator starts (RFC 6335, 6).
const SYSTEM_PORTS: u16 = 1023;

/// Gives the names of services. Cheap to make: the file is read when the first name is asked for.
#[derive(Debug)]
pub struct Services {
    path: Option<PathBuf>,
    file: OnceLock<Vec<FileEntry>>,
}

/// One name out of the services file, ordered by what it is looked up by.
#[derive(Debug, PartialEq, Eq)]
struct FileEntry {
    protocol: Protocol,
    port: u16,
    name: Box<str>,
}

impl Services {
    /// The system's services file (`/etc/services`, on Windows `%SystemRoot%\System32\drivers\etc\services`), then the embedded table.
    pub fn system() -> Self {
        Self::at(Self::system_file())
    }

    /// Where the system keeps its services file.
    pub fn system_file() -> PathBuf {
        file_of(std::env::consts::OS == "windows", |name| std::env::var_os(name))
    }

    /// The services file at `path`, then the embedded table. A file that cannot be read counts as empty.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Services {
            path: Some(path.into()),
            file: OnceLock::new(),
        }
    }

    /// A services file of this content, then the embedded table.
    pub fn with_file(content: &[u8]) -> Self {
        Services {
            path: None,
            file: OnceLock::from(parse(content)),
        }
    }

    /// The embedded table alone.
    pub fn embedded() -> Self {
        Self::with_file(b"")
    }

    /// The name of the service at `port`; printable ASCII without blanks, holding at least one letter.
    ///
    /// Above the system ports only the services file names a service: the registry has a name for nearly every port that a
    /// program may take by chance, and a reverse shell at port 4444 is not `nv-video`.
    pub fn name(&self, protocol: Protocol, port: u16) -> Option<&str> {
        let registered = || find(TABLE, protocol, port).map(|(name, _)| name);
        match port {
            0..=SYSTEM_PORTS => self.in_file(protocol, port).or_else(registered),
            _ => self.in_file(protocol, port),
        }
    }

    /// What the registry says about the service at `port` in short. `None` also where the services file gives the
    /// port to another service than the registry, and above the system ports where the file does not name the service.
    pub fn description(&self, protocol: Protocol, port: u16) -> Option<&'static str> {
        let (name, description) = find(TABLE, protocol, port)?;
        let same = match self.in_file(protocol, port) {
            Some(own) => own == name,
            None => port <= SYSTEM_PORTS,
        };
        (same && !description.is_empty()).then_some(description)
    }

    fn in_file(&self, protocol: Protocol, port: u16) -> Option<&str> {
        let entries = self.file.get_or_init(|| match &self.path {
            Some(path) => parse(&read(path)),
            None => Vec::new(),
        });
        let at = entries
            .binary_search_by_key(&(protocol, port), |entry| (entry.protocol, entry.port))
            .ok()?;
        entries.get(at).map(|entry| &*entry.name)
    }
}

/// What can be read of the file; nothing if it is not there, as for a container without one.
fn read(path: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    if let Ok(file) = File::open(path) {
        // What was read before a failure is still good.
        let _ = file.take(FILE_LIMIT).read_to_end(&mut content);
    }
    content
}

/// Reads lines of `name port/protocol aliases... # comment` (services(5)). Lines that are not of this form, or whose name
/// would break a table, are skipped; of several names for one port the first counts, as for getservbyport(3).
fn parse(content: &[u8]) -> Vec<FileEntry> {
    let mut entries: Vec<FileEntry> = content.split(|&byte| byte == b'\n').filter_map(parse_line).collect();
    // Stable, so the first of equals stays the first.
    entries.sort_by_key(|entry| (entry.protocol, entry.port));
    entries.dedup_by(|later, first| (later.protocol, later.port) == (first.protocol, first.port));
    entries
}

fn parse_line(line: &[u8]) -> Option<FileEntry> {
    let line = line.split(|&byte| byte == b'#').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (name, place) = (words.next()?, words.next()?);
    // A name of digits alone could be taken for a port (RFC 6335, 5.1 asks for a letter).
    if !name.iter().all(u8::is_ascii_graphic) || !name.iter().any(u8::is_ascii_alphabetic) {
        return None;
    }
    let (port, protocol) = std::str::from_utf8(place).ok()?.split_once('/')?;
    let protocol = if protocol.eq_ignore_ascii_case("tcp") {
        Protocol::Tcp
    } else if protocol.eq_ignore_ascii_case("udp") {
        Protocol::Udp
    } else {
        return None;
    };
    // `parse` alone would take a plus sign.
    let port = if port.starts_with(|c: char| c.is_ascii_digit()) {
        port.parse().ok()?
    } else {
        return None;
    };
    let name = std::str::from_utf8(name).ok()?.into();
    Some(FileEntry { protocol, port, name })
}

/// Name and description in a table of the embedded form.
fn find(table: &str, protocol: Protocol, port: u16) -> Option<(&str, &str)> {
    let bytes = table.as_bytes();
    // Binary search over bytes: `low` is the start of a line, and no line before it has a port of `port` or above;
    // `high` is the start of a line with a port of `port` or above, or the end.
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = bytes
            .get(low..middle)?
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(low, |at| low + at + 1);
        if row_port(bytes.get(start..)?)? < u32::from(port) {
            low = next_line(bytes, middle).min(high);
        } else {
            high = start;
        }
    }
    let letter = match protocol {
        Protocol::Tcp => 't',
        Protocol::Udp => 'u',
        // Programs speak MPTCP in place of TCP, at the same ports (RFC 8684, 1).
        Protocol::Mptcp => 't',
        // The services database has no entries of these, or knows them by other names.
        _ => return None,
    };
    while row_port(bytes.get(low..)?)? == u32::from(port) {
        let end = next_line(bytes, low);
        let mut cells = table.get(low..end)?.trim_end_matches('\n').split('\t').skip(1);
        let (protocols, name) = (cells.next()?, cells.next()?);
        if protocols.contains(letter) {
            return Some((name, cells.next().unwrap_or_default()));
        }
        low = end;
    }
    None
}

/// The first byte after the line that byte `at` is in.
fn next_line(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter()
        .position(|&byte| byte == b'\n')
        .map_or(bytes.len(), |end| at + end + 1)
}

/// The number before the first tab of a row. `None` if it is not a port.
fn row_port(row: &[u8]) -> Option<u32> {
    let mut port = 0;
    for (digits, byte) in row.iter().take(6).enumerate() {
        match byte {
            b'0'..=b'9' => port = port * 10 + u32::from(byte - b'0'),
            b'\t' if digits > 0 => return Some(port),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Tcp, Udp};
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn services_file_lies_where_the_system_has_it() {
        assert_eq!(file_of(false, |_| None), Path::new("/etc/services"));
        let file = file_of(true, |name| (name == "SystemRoot").then(|| "D:".into()));
        assert!(file.starts_with("D:"), "{file:?}");
        let file = file.to_string_lossy().into_owned();
        assert!(file.ends_with(r"System32\drivers\etc\services"), "{file}");
    }

    #[test]
    fn the_table_is_sorted_well_formed_and_modest() {
        let mut last = (0, String::new());
        for line in TABLE.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            let [port, protocols, name, description] = cells[..] else {
                panic!("not four cells: {line}")
            };
            let key = (port.parse::<u16>().unwrap(), protocols.to_owned());
            assert!(key > last, "{line} after {last:?}");
            assert!(matches!(protocols, "t" | "u" | "tu"), "{line}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{line}");
            assert_eq!(netstat_model::text::escape_str(description), description);
            last = key;
        }
        assert!(TABLE.ends_with('\n'));
        assert!(TABLE.lines().count() > 6000 && TABLE.len() < 700_000);
        assert!(NOTICE.contains("Redistributions in binary form"));
    }

    #[test]
    fn every_row_of_the_table_is_found_and_nothing_else() {
        let mut expected: HashMap<(Protocol, u16), (&str, &str)> = HashMap::new();
        for line in TABLE.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            for (letter, protocol) in [('t', Tcp), ('u', Udp)] {
                if cells[1].contains(letter) {
                    expected.insert((protocol, cells[0].parse().unwrap()), (cells[2], cells[3]));
                }
            }
        }
        for port in 0..=u16::MAX {
            for protocol in [Tcp, Udp] {
                assert_eq!(
                    find(TABLE, protocol, port),
                    expected.get(&(protocol, port)).copied(),
                    "{protocol:?} {port}"
                );
            }
        }
    }

    #[test]
    fn names_everybody_knows() {
        let services = Services::embedded();
        for (protocol, port, name) in [
            (Tcp, 22, "ssh"),
            (Udp, 53, "domain"),
            (Tcp, 80, "http"),
            (Tcp, 443, "https"),
            (Udp, 514, "syslog"),
            (Tcp, 631, "ipp"),
        ] {
            assert_eq!(services.name(protocol, port), Some(name));
        }
        assert_eq!(services.name(Tcp, 0), None);
        assert_eq!(services.name(Tcp, 65535), None);
        // The registry calls it nv-video, and 31337 eldim.
        assert_eq!(services.name(Tcp, 4444), None);
        assert_eq!(services.name(Tcp, 31337), None);
        assert_eq!(services.description(Tcp, 31337), None);
        let named = Services::with_file(b"postgresql 5432/tcp");
        assert_eq!(named.name(Tcp, 5432), Some("postgresql"));
        assert_eq!(services.description(Udp, 53), Some("Domain Name Server"));
    }

    #[test]
    fn the_file_wins_over_the_table() {
        let file = b"# comment\n\nweb 80/tcp www http # the web\nmine\t50000/udp\n80 443/tcp\nbad\nno/port 1\n\
                     half 99999/tcp\nplus +22/tcp\nother 22/sctp\nfirst 2000/TCP\nsecond 2000/tcp\n#gone 2001/tcp\nlast 25/tcp";
        let services = Services::with_file(file);
        assert_eq!(services.name(Tcp, 80), Some("web"));
        assert_eq!(services.name(Udp, 80), Some("http"), "another protocol");
        assert_eq!(services.name(Udp, 50000), Some("mine"));
        assert_eq!(services.name(Tcp, 443), Some("https"), "a number is no name");
        assert_eq!(services.name(Tcp, 22), Some("ssh"));
        assert_eq!(services.name(Tcp, 2000), Some("first"));
        assert_ne!(services.name(Tcp, 2001), Some("gone"));
        assert_eq!(services.name(Tcp, 25), Some("last"), "no newline at the end");
        assert_eq!(
            services.description(Tcp, 80),
            None,
            "the registry speaks of another service"
        );
        assert!(services.description(Tcp, 443).is_some());
    }

    #[test]
    fn names_that_could_forge_a_row_are_skipped() {
        let services = Services::with_file(b"a\x1b[2J 80/tcp\n\xff\xfe 443/tcp\ncaf\xc3\xa9 22/tcp\n");
        assert_eq!(services.name(Tcp, 80), Some("http"));
        assert_eq!(services.name(Tcp, 443), Some("https"));
        assert_eq!(services.name(Tcp, 22), Some("ssh"));
    }

    #[test]
    fn a_file_on_disk_is_read_when_the_first_name_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("services");
        let services = Services::at(&path);
        std::fs::write(&path, "early 80/tcp\n").unwrap();
        assert_eq!(services.name(Tcp, 80), Some("early"));
        std::fs::write(&path, "late 80/tcp\n").unwrap();
        assert_eq!(services.name(Tcp, 80), Some("early"), "read once");
        assert_eq!(Services::at(directory.path().join("none")).name(Tcp, 80), Some("http"));
        assert_eq!(
            Services::at(directory.path()).name(Tcp, 80),
            Some("http"),
            "a directory"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, port: u16) {
            let services = Services::with_file(&bytes);
            let _ = services.name(Tcp, port);
        }

        #[test]
        fn likely_lines_are_taken(text in "([ -~]{0,12}[ \t#]{0,2}[0-9]{0,6}/(tcp|udp|x)[ \t]?\n?){0,8}", port: u16) {
            let services = Services::with_file(text.as_bytes());
            for entry in services.file.get().unwrap() {
                prop_assert!(entry.name.chars().all(|c| c.is_ascii_graphic()));
            }
            let _ = services.description(Udp, port);
        }

        #[test]
        fn any_table_is_searched_without_panic(table: String, port: u16) {
            let _ = find(&table, Tcp, port);
        }
    }
}
