//! Block lists that the user provides: lists of addresses with a bad reputation.
//!
//! Lists are read in the forms in which they are published: plain addresses and networks with `#` or `;` comments
//! (FireHOL `.ipset` and `.netset`, Spamhaus DROP), ranges, `ipset save`, hosts files, JSON and JSON lines, CSV with a
//! header line. Nothing is downloaded, and no list is built in. Lines that cannot be read are counted, and the first of
//! them are reported.
//!
//! ```
//! use netstat_packages::blocklist::BlockList;
//!
//! let mut list = BlockList::default();
//! let report = list.add("drop.txt", b"; a comment\n192.0.2.0/24 ; SBL256894\n");
//! assert_eq!((report.networks, report.bad), (1, 0));
//! let hit = list.find("192.0.2.7".parse()?, None).expect("listed");
//! assert_eq!((hit.line, hit.label), (2, Some("SBL256894")));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod csv;
mod json;
mod network;
mod plain;
mod table;

use std::collections::HashMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use netstat_model::text;
use netstat_os::files;

pub use network::Network;

use self::network::Special;
use self::table::{Entry, NONE, Tables};

/// The maximum size of a list in bytes, which keeps an endless source from filling the memory.
const MAX_FILE: u64 = 1 << 30;
/// The maximum number of unused lines that are kept for the report.
const NAMED: usize = 5;
/// The maximum number of bytes kept of such a line, and of a label.
const MAX_TEXT: usize = 80;

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One address, network, range or name per line, with comments.
    Plain,
    /// hosts(5), with a sinkhole address before each name.
    Hosts,
    /// A JSON document, or one object per line.
    Json,
    /// Columns, named by a header line.
    Csv,
}

impl Format {
    /// Returns a description of the format.
    pub const fn words(self) -> &'static str {
        match self {
            Format::Plain => "addresses",
            Format::Hosts => "hosts file",
            Format::Json => "JSON",
            Format::Csv => "CSV",
        }
    }
}

/// The result of reading a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The name of the list, as given, or its file name. Untrusted.
    pub name: String,
    /// The modification time of the file, if the list is a file.
    pub modified: Option<SystemTime>,
    /// The format that was recognised.
    pub format: Format,
    /// The number of addresses and networks that were added.
    pub networks: usize,
    /// The number of host names that were added. Only a name that was looked up can match one.
    pub names: usize,
    /// The number of entries that this list, or one before it, already contains.
    pub repeated: usize,
    /// The number of networks that were left out because they cover a whole range of private, loopback, link-local,
    /// shared or multicast addresses, as lists of unroutable addresses do: every machine communicates with those.
    pub special: usize,
    /// The number of lines (for JSON: items) that could not be read.
    pub bad: usize,
    /// The first of the lines that could not be read or were left out.
    pub first: Vec<BadLine>,
}

impl Report {
    /// Whether nothing in the list can be used.
    pub fn is_empty(&self) -> bool {
        self.networks + self.names + self.repeated == 0
    }
}

/// A line that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line number, counted from 1; the number of the item in a JSON document.
    pub line: u32,
    /// The beginning of the line, escaped.
    pub text: String,
    /// Why the line is not used.
    pub reason: &'static str,
}

/// A matching entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The report of the list that contains the entry.
    pub list: &'a Report,
    /// The line number of the entry, counted from 1; the number of the item in a JSON document.
    pub line: u32,
    /// The listed network; a single address has the full prefix length. `None` if a name matched.
    pub network: Option<Network>,
    /// Why the address is listed, such as a listing number or the name of malware. Escaped.
    pub label: Option<&'a str>,
    /// The port that the entry names; `None` if it names none.
    pub port: Option<u16>,
}

impl Hit<'_> {
    /// Whether the entry applies to `port`: it names the same port, or none.
    pub fn means_port(&self, port: u16) -> bool {
        self.port.is_none_or(|listed| listed == port)
    }
}

/// Any number of lists, searched together.
#[derive(Debug, Default)]
pub struct BlockList {
    reports: Vec<Report>,
    tables: Tables,
    names: HashMap<Box<str>, u32>,
    entries: Vec<Entry>,
    labels: String,
}

impl BlockList {
    /// Adds a list with this name and content.
    pub fn add(&mut self, name: &str, content: &[u8]) -> &Report {
        self.add_list(name, content, None)
    }

    /// Adds the list in a file.
    ///
    /// # Errors
    /// Fails if the file cannot be opened or read, or is larger than 1 GiB.
    pub fn add_file(&mut self, path: impl AsRef<Path>) -> std::io::Result<&Report> {
        let path = path.as_ref();
        let file = files::open_named(path)?;
        let meta = file.metadata()?;
        let modified = if meta.is_file() { meta.modified().ok() } else { None };
        let mut content = Vec::new();
        if file.take(MAX_FILE + 1).read_to_end(&mut content)? as u64 > MAX_FILE {
            return Err(std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                "larger than 1 GiB",
            ));
        }
        Ok(self.add_list(&path.to_string_lossy(), &content, modified))
    }

    fn add_list(&mut self, name: &str, content: &[u8], modified: Option<SystemTime>) -> &Report {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let csv = csv::header(content);
        let format = match &csv {
            _ if json::looks_like(content) => Format::Json,
            Some(_) => Format::Csv,
            None if plain::looks_like_hosts(content) => Format::Hosts,
            None => Format::Plain,
        };
        let report = Report {
            name: name.to_owned(),
            modified,
            format,
            networks: 0,
            names: 0,
            repeated: 0,
            special: 0,
            bad: 0,
            first: Vec::new(),
        };
        self.reports.push(report);
        let mut loader = Loader {
            source: self.reports.len() - 1,
            list: self,
            last_label: None,
        };
        match (format, csv) {
            (Format::Csv, Some(header)) => csv::read(content, &header, &mut loader),
            (Format::Json, _) => json::read(content, &mut loader),
            _ => plain::read(content, format == Format::Hosts, &mut loader),
        }
        &self.reports[self.reports.len() - 1]
    }

    /// Returns the reports of all lists, in the order in which they were added.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// Returns the best entry for a foreign `address` and, if known, its `port`: the narrowest network that contains
    /// the address and applies to the port, or else the narrowest one, whose entry names another port. An IPv4-mapped
    /// address counts as the IPv4 address.
    pub fn find(&self, address: IpAddr, port: Option<u16>) -> Option<Hit<'_>> {
        let hits = || {
            let containing = self.tables.containing(address);
            containing.flat_map(|(network, first)| self.chain(first, Some(network)))
        };
        let meant = |hit: &Hit<'_>| port.is_none_or(|port| hit.means_port(port));
        hits().find(meant).or_else(|| hits().next())
    }

    /// Returns the entry for a host name that was looked up. Case and a final dot are ignored.
    pub fn find_name(&self, name: &str) -> Option<Hit<'_>> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.chain(*self.names.get(name.as_str())?, None).next()
    }

    /// Whether any entry is a host name.
    pub fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    fn chain(&self, first: u32, network: Option<Network>) -> impl Iterator<Item = Hit<'_>> {
        let entry = |index: u32| self.entries.get(index as usize);
        std::iter::successors(entry(first), move |before| entry(before.next)).map(move |entry| Hit {
            list: &self.reports[usize::from(entry.source)],
            line: entry.line,
            network,
            label: self.labels.get(entry.label()).filter(|label| !label.is_empty()),
            port: entry.port,
        })
    }
}

/// What an entry of a list refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target<'a> {
    Network(Network),
    /// A valid host name, in any case.
    Name(&'a str),
}

/// Receives the entries that the parsers of the formats find.
struct Loader<'a> {
    list: &'a mut BlockList,
    source: usize,
    /// The position of the previous label, since many consecutive entries have the same one.
    last_label: Option<std::ops::Range<u32>>,
}

impl Loader<'_> {
    fn take(&mut self, line: u32, target: Target<'_>, port: Option<u16>, label: &[u8]) {
        if let Target::Network(network) = target
            && let Some(Special(reason)) = network.special()
        {
            self.report().special += 1;
            return self.name(line, network.to_string().as_bytes(), reason);
        }
        let index = self.list.entries.len();
        let (Ok(index), Ok(source)) = (u32::try_from(index), u16::try_from(self.source)) else {
            return self.bad(line, label, "too many entries or lists");
        };
        let first = match target {
            Target::Network(network) => self.list.tables.entry(network, index),
            Target::Name(name) => {
                let name = name.to_ascii_lowercase();
                *self.list.names.entry(name.into_boxed_str()).or_insert(index)
            }
        };
        // Append the entry to the chain of those for the same network, unless it adds nothing.
        let mut last = first;
        if first != index {
            let entries = &self.list.entries;
            // Chains are short, except in malicious lists.
            for _ in 0..64 {
                let entry = &entries[last as usize];
                if entry.port == port {
                    self.report().repeated += 1;
                    return;
                }
                if entry.next == NONE {
                    break;
                }
                last = entry.next;
            }
            let next = std::mem::replace(&mut self.list.entries[last as usize].next, index);
            let label = self.label(label);
            self.list.entries.push(Entry::new(source, line, port, label, next));
        } else {
            let label = self.label(label);
            self.list.entries.push(Entry::new(source, line, port, label, NONE));
        }
        match target {
            Target::Network(_) => self.report().networks += 1,
            Target::Name(_) => self.report().names += 1,
        }
    }

    fn bad(&mut self, line: u32, text: &[u8], reason: &'static str) {
        self.report().bad += 1;
        self.name(line, text, reason);
    }

    fn name(&mut self, line: u32, text: &[u8], reason: &'static str) {
        let report = self.report();
        if report.first.len() < NAMED {
            let text = shortened(text);
            report.first.push(BadLine { line, text, reason });
        }
    }

    fn report(&mut self) -> &mut Report {
        &mut self.list.reports[self.source]
    }

    /// Stores `label` and returns its position.
    fn label(&mut self, label: &[u8]) -> std::ops::Range<u32> {
        if label.is_empty() {
            return 0..0;
        }
        let text = shortened(label);
        let labels = &mut self.list.labels;
        if let Some(last) = &self.last_label
            && labels.get(last.start as usize..last.end as usize) == Some(&text)
        {
            return last.clone();
        }
        let begun = labels.len();
        let (Ok(start), Ok(end)) = (u32::try_from(begun), u32::try_from(begun + text.len())) else {
            return 0..0;
        };
        labels.push_str(&text);
        self.last_label = Some(start..end);
        start..end
    }
}

/// Returns the beginning of an untrusted text, escaped.
fn shortened(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(MAX_TEXT)];
    let mut text = text::escape(cut).into_owned();
    if cut.len() < bytes.len() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests;
