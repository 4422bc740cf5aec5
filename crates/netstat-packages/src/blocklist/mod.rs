//! Lists of addresses with a bad name, given by the user; is a foreign address on one?
//!
//! Read as they are published: plain addresses and networks with `#` or `;` comments (FireHOL `.ipset` and `.netset`, Spamhaus DROP),
//! ranges, `ipset save`, hosts files, JSON and JSON lines, CSV with a header line. Nothing is downloaded, no list is part
//! of the program. What cannot be read is counted and the first of it named.
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

/// No list in use is as large as this; it keeps an endless source from filling the memory.
const MAX_FILE: u64 = 1 << 30;
/// How many lines that could not be read are kept for the user.
const NAMED: usize = 5;
/// How many characters of such a line, and of a label, are kept.
const MAX_TEXT: usize = 80;

/// The form in which a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One address, network, range or name a line, with comments.
    Plain,
    /// hosts(5) with a sinkhole address before each name.
    Hosts,
    /// A document, or one object a line.
    Json,
    /// Columns, the first line names them.
    Csv,
}

impl Format {
    /// In plain words.
    pub const fn words(self) -> &'static str {
        match self {
            Format::Plain => "addresses",
            Format::Hosts => "hosts file",
            Format::Json => "JSON",
            Format::Csv => "CSV",
        }
    }
}

/// What came of reading one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The list's name, as given; a file name. From outside.
    pub name: String,
    /// When the list's file was changed last, if it is a file.
    pub modified: Option<SystemTime>,
    /// The form it has.
    pub format: Format,
    /// Addresses and networks that are matched from now on.
    pub networks: usize,
    /// Host names that are matched from now on; only a name that was looked up can match one.
    pub names: usize,
    /// Entries that the list, or one before it, has already.
    pub repeated: usize,
    /// Networks left out because they cover a whole range of private, loopback, link-local, shared or multicast
    /// addresses, as lists of unroutable addresses do: every machine talks to those.
    pub special: usize,
    /// Lines (JSON: items) that could not be read.
    pub bad: usize,
    /// The first of those, and of the special ones.
    pub first: Vec<BadLine>,
}

impl Report {
    /// Whether nothing of the list is of use.
    pub fn is_empty(&self) -> bool {
        self.networks + self.names + self.repeated == 0
    }
}

/// A line that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number from 1; of a JSON document the number of the item.
    pub line: u32,
    /// Its beginning, escaped.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// An entry that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The report of the list that has it.
    pub list: &'a Report,
    /// The line of the entry, from 1; of a JSON document the number of the item.
    pub line: u32,
    /// The network listed; a single address is one of full length. None when a name matched.
    pub network: Option<Network>,
    /// What the list says of it: a listing number, a malware's name. Escaped.
    pub label: Option<&'a str>,
    /// The port that the list gives.
    pub port: Option<u16>,
}

impl Hit<'_> {
    /// Whether the list means this port: it gives the same, or none.
    pub fn means_port(&self, port: u16) -> bool {
        self.port.is_none_or(|listed| listed == port)
    }
}

/// Any number of lists, to be asked as one.
#[derive(Debug, Default)]
pub struct BlockList {
    reports: Vec<Report>,
    tables: Tables,
    names: HashMap<Box<str>, u32>,
    entries: Vec<Entry>,
    labels: String,
}

impl BlockList {
    /// Adds a list of this name and content.
    pub fn add(&mut self, name: &str, content: &[u8]) -> &Report {
        self.add_list(name, content, None)
    }

    /// Adds the list in a file.
    ///
    /// # Errors
    /// The file cannot be opened or read, or is larger than 1 GiB.
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

    /// What came of reading each list, in the order in which they were added.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// The best entry for a foreign `address` and, where known, its `port`: the narrowest network that contains the
    /// address and means the port; failing that the narrowest, whose entry gives another port. An IPv4-mapped address is
    /// the IPv4 one.
    pub fn find(&self, address: IpAddr, port: Option<u16>) -> Option<Hit<'_>> {
        let hits = || {
            let containing = self.tables.containing(address);
            containing.flat_map(|(network, first)| self.chain(first, Some(network)))
        };
        let meant = |hit: &Hit<'_>| port.is_none_or(|port| hit.means_port(port));
        hits().find(meant).or_else(|| hits().next())
    }

    /// The entry for a host name, as a look-up gave it; case and a final dot do not count.
    pub fn find_name(&self, name: &str) -> Option<Hit<'_>> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.chain(*self.names.get(name.as_str())?, None).next()
    }

    /// Whether any entry is a name.
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

/// What a line of a list turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target<'a> {
    Network(Network),
    /// A host name, checked, in any case.
    Name(&'a str),
}

/// Takes what the readers of the formats find.
struct Loader<'a> {
    list: &'a mut BlockList,
    source: usize,
    /// Where the label of the previous entry is: many follow with the same.
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
        // The entry joins the chain of those for the same network, unless it says nothing new.
        let mut last = first;
        if first != index {
            let entries = &self.list.entries;
            // Chains are short but in lists made to hurt.
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

    /// Keeps `label` and says where.
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

/// The beginning of a text from outside, escaped.
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
