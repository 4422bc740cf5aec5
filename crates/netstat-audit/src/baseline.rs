//! Acknowledged findings, in a TOML file that can be kept under version control.
//!
//! An entry matches a finding if every field that it names is equal: the rule, the program, its digest, the script, the
//! peer. A field that is left out matches anything, so that entries can be broadened by hand; entries that
//! [`Baseline::acknowledge`] writes name everything that is known. A program or script with another digest counts as
//! another program, so that the entry no longer matches.

use std::fmt::Write as _;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use netstat_packages::digest::{Algorithm, digest_of};

use crate::finding::Finding;

/// The identity of a finding, which stays the same from run to run, whatever the process id. Every text is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The name of the rule.
    pub rule: String,
    /// The path of the program; `None` if the finding is about the computer.
    pub program: Option<String>,
    /// The path of the script that the program runs, if any.
    pub script: Option<String>,
    /// The SHA-256 digest, in hexadecimal, of the script, or of the program if there is no script; `None` if it was not
    /// read.
    pub sha256: Option<String>,
    /// The listening port or the remote endpoint, if there is exactly one.
    pub peer: Option<String>,
    /// The headline, for a finding about the computer.
    pub about: Option<String>,
}

impl Mark {
    /// Creates the mark of `finding`. `script`, `sha256` and `peer` describe its process.
    pub fn of(finding: &Finding, script: Option<&str>, sha256: Option<&str>, peer: Option<&str>) -> Mark {
        Mark {
            rule: finding.rule.name.to_owned(),
            program: finding.program.clone(),
            script: script.map(str::to_owned),
            sha256: sha256.map(str::to_owned),
            peer: peer.map(str::to_owned),
            about: finding.pid.is_none().then(|| finding.headline.clone()),
        }
    }

    /// Returns a short id: eight hexadecimal digits, the same in every run. It does not depend on the digest, which is
    /// not always read.
    pub fn id(&self) -> String {
        let fields = [
            Some(&self.rule),
            self.program.as_ref(),
            self.script.as_ref(),
            self.peer.as_ref(),
            self.about.as_ref(),
        ];
        let mut text = Vec::new();
        for field in fields {
            // Distinguish absent fields from empty ones. No field contains a NUL, since all are escaped.
            text.extend_from_slice(field.map_or("-", |_| "+").as_bytes());
            text.extend_from_slice(field.map_or("", String::as_str).as_bytes());
            text.push(0);
        }
        let digest = digest_of(Algorithm::Sha256, &text);
        digest.bytes().iter().take(4).fold(String::new(), |mut id, byte| {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
    }
}

/// A calendar day in the form `2027-01-31`. Days in this form compare correctly as strings.
pub type Day = String;

/// An acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The findings that it matches. The rule is required.
    pub mark: Mark,
    /// Why the finding is harmless.
    pub why: String,
    /// The last day on which the entry is valid; `None` if it does not expire.
    pub until: Option<Day>,
}

impl Entry {
    /// Whether the entry covers the finding `mark` on the day `today`.
    pub fn covers(&self, mark: &Mark, today: &str) -> bool {
        let same = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        self.mark.rule == mark.rule
            && same(&self.mark.program, &mark.program)
            && same(&self.mark.script, &mark.script)
            && same(&self.mark.sha256, &mark.sha256)
            && same(&self.mark.peer, &mark.peer)
            && same(&self.mark.about, &mark.about)
            && !self.is_over(today)
    }

    /// Whether the entry has expired.
    pub fn is_over(&self, today: &str) -> bool {
        self.until.as_deref().is_some_and(|until| until < today)
    }

    /// Whether the entry matches `mark` except for the digest, which means that the file has changed since.
    pub fn is_outdated_by(&self, mark: &Mark, today: &str) -> bool {
        let mut own = self.clone();
        let differs = own.mark.sha256.is_some() && own.mark.sha256 != mark.sha256;
        own.mark.sha256 = None;
        differs && own.covers(mark, today)
    }
}

/// The baseline file.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    document: DocumentMut,
    entries: Vec<Entry>,
}

/// The name of the array of tables in the file.
const ENTRIES: &str = "acknowledged";

/// The keys of an entry.
const KEYS: [&str; 9] = [
    "id", "rule", "program", "script", "sha256", "peer", "about", "why", "until",
];

impl Baseline {
    /// Parses the text of a baseline file.
    ///
    /// # Errors
    /// Returns a description of the problem, in one line that is safe to print.
    pub fn parse(text: &str) -> Result<Baseline, String> {
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| one_line(error.message()))?;
        if let Some((key, _)) = document.iter().find(|(key, _)| *key != ENTRIES) {
            return Err(format!(
                "unknown key {:?}; entries are [[{ENTRIES}]] tables",
                netstat_model::text::escape_str(key)
            ));
        }
        let mut entries = Vec::new();
        match document.get(ENTRIES) {
            None => {}
            Some(Item::ArrayOfTables(tables)) => {
                for (place, table) in tables.iter().enumerate() {
                    entries.push(entry(table).map_err(|why| format!("entry {}: {why}", place + 1))?);
                }
            }
            Some(_) => return Err(format!("{ENTRIES} is not an array of tables: write [[{ENTRIES}]]")),
        }
        Ok(Baseline { document, entries })
    }

    /// Returns the entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the first entry that covers `mark` on the day `today`.
    pub fn covering(&self, mark: &Mark, today: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.covers(mark, today))
    }

    /// Adds an entry, replacing one for the same finding. The rest of the file is kept, including comments.
    pub fn acknowledge(&mut self, new: Entry) {
        let mut table = Table::new();
        let mut set = |key: &str, text: Option<&String>| {
            if let Some(text) = text {
                table[key] = value(text.as_str());
            }
        };
        set("id", Some(&new.mark.id()));
        set("rule", Some(&new.mark.rule));
        set("program", new.mark.program.as_ref());
        set("script", new.mark.script.as_ref());
        set("sha256", new.mark.sha256.as_ref());
        set("peer", new.mark.peer.as_ref());
        set("about", new.mark.about.as_ref());
        set("why", Some(&new.why));
        set("until", new.until.as_ref());
        let known = self.entries.iter().position(|entry| entry.mark == new.mark);
        let item = self
            .document
            .entry(ENTRIES)
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let Item::ArrayOfTables(tables) = item else { return };
        match known {
            Some(place) => {
                if let Some(old) = tables.get_mut(place) {
                    let decor = old.decor().clone();
                    let position = old.position();
                    *old = table;
                    *old.decor_mut() = decor;
                    old.set_position(position);
                }
                self.entries[place] = new;
            }
            None => {
                tables.push(table);
                self.entries.push(new);
            }
        }
    }

    /// Returns the text of the file.
    pub fn text(&self) -> String {
        self.document.to_string()
    }
}

fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    netstat_model::text::escape_str(line).into_owned()
}

/// Parses one entry.
fn entry(table: &Table) -> Result<Entry, String> {
    if let Some((key, _)) = table.iter().find(|(key, _)| !KEYS.contains(key)) {
        return Err(format!(
            "unknown key {:?}; the keys are {}",
            netstat_model::text::escape_str(key),
            KEYS.join(", ")
        ));
    }
    let text = |key: &str| match table.get(key) {
        None => Ok(None),
        Some(item) => match item.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            // TOML has a date type of its own, written without quotes.
            None if key == "until" && item.is_datetime() => Ok(item.as_datetime().map(ToString::to_string)),
            None => Err(format!("{key} is not a text in quotes")),
        },
    };
    let rule = text("rule")?.ok_or("rule is missing")?;
    if crate::rules::find(&rule).is_none() {
        return Err(format!(
            "rule {:?} does not exist; netstat audit --rules lists them",
            netstat_model::text::escape_str(&rule)
        ));
    }
    let until = text("until")?;
    if let Some(day) = until.as_deref().filter(|day| !is_day(day)) {
        return Err(format!(
            "until {:?} is not a day such as 2027-01-31",
            netstat_model::text::escape_str(day)
        ));
    }
    Ok(Entry {
        mark: Mark {
            rule,
            program: text("program")?,
            script: text("script")?,
            sha256: text("sha256")?.map(|digest| digest.to_ascii_lowercase()),
            peer: text("peer")?,
            about: text("about")?,
        },
        why: text("why")?.ok_or("why is missing")?,
        until,
    })
}

/// Whether `text` has the form `2027-01-31`, with a month from 1 to 12 and a day from 1 to 31.
pub fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok());
    let form = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| {
            if matches!(at, 4 | 7) {
                *byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        });
    form && number(5..7).is_some_and(|month| (1..=12).contains(&month))
        && number(8..10).is_some_and(|day| (1..=31).contains(&day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark() -> Mark {
        Mark {
            rule: "odd-place".into(),
            program: Some("/opt/x/agent".into()),
            script: None,
            sha256: Some("ab".repeat(32)),
            peer: Some("203.0.113.7:443".into()),
            about: None,
        }
    }

    fn entry(mark: Mark) -> Entry {
        Entry {
            mark,
            why: "our own agent".into(),
            until: None,
        }
    }

    #[test]
    fn acknowledgement_covers_only_finding_it_was_made_for() {
        let mut baseline = Baseline::default();
        baseline.acknowledge(entry(mark()));
        let read = Baseline::parse(&baseline.text()).unwrap();
        assert_eq!(read.entries(), baseline.entries());
        let today = "2026-11-28";
        assert!(read.covering(&mark(), today).is_some());
        let mut other = mark();
        other.rule = "sniffer".into();
        assert!(read.covering(&other, today).is_none());
        for change in [
            |mark: &mut Mark| mark.program = Some("/opt/y/agent".into()),
            |mark: &mut Mark| mark.peer = Some("203.0.113.8:443".into()),
            |mark: &mut Mark| mark.peer = None,
            |mark: &mut Mark| mark.sha256 = Some("cd".repeat(32)),
        ] {
            let mut other = mark();
            change(&mut other);
            assert!(read.covering(&other, today).is_none(), "{other:?}");
            assert_eq!(other.id() == mark().id(), other.sha256 != mark().sha256, "{other:?}");
        }
        let mut changed = mark();
        changed.sha256 = Some("cd".repeat(32));
        assert!(read.entries()[0].is_outdated_by(&changed, today));
        assert!(!read.entries()[0].is_outdated_by(&mark(), today));
    }

    #[test]
    fn baseline_entry_without_a_field_matches_any_value_of_it() {
        let text =
            "[[acknowledged]]\nrule = \"odd-place\"\nprogram = \"/opt/x/agent\"\nwhy = \"ours\"\nuntil = 2026-12-01\n";
        let read = Baseline::parse(text).unwrap();
        assert!(read.covering(&mark(), "2026-12-01").is_some());
        assert!(read.covering(&mark(), "2026-12-02").is_none());
    }

    #[test]
    fn baseline_acknowledged_again_keeps_comments_and_replaces_entry() {
        let mut baseline = Baseline::parse("# Kept by the web team.\n").unwrap();
        baseline.acknowledge(entry(mark()));
        baseline.acknowledge(Entry {
            why: "reviewed again".into(),
            ..entry(mark())
        });
        let text = baseline.text();
        assert!(
            text.contains("# Kept by the web team.") && text.contains("reviewed again"),
            "{text}"
        );
        assert!(!text.contains("our own agent"), "{text}");
        assert_eq!(Baseline::parse(&text).unwrap().entries().len(), 1);
    }

    #[test]
    fn baseline_malformed_returns_error_naming_fault() {
        for (text, part) in [
            ("x = 1", "unknown key"),
            ("acknowledged = 1", "not an array"),
            ("[[acknowledged]]\nwhy = \"x\"", "rule is missing"),
            ("[[acknowledged]]\nrule = \"sniffer\"", "why is missing"),
            ("[[acknowledged]]\nrule = \"nope\"\nwhy = \"x\"", "does not exist"),
            ("[[acknowledged]]\nrule = 3\nwhy = \"x\"", "rule is not a text"),
            (
                "[[acknowledged]]\nrule = \"sniffer\"\nwhy = \"x\"\nuntil = \"soon\"",
                "not a day",
            ),
            ("[[acknowledged]]\nrul = \"x\"", "unknown key"),
            ("[[", "entry"),
        ] {
            let error = Baseline::parse(text).unwrap_err();
            assert!(error.contains(part) || part == "entry", "{text}: {error}");
            assert!(!error.contains('\n'));
        }
    }

    proptest! {
        #[test]
        fn baseline_of_any_text_never_panics(text in "\\PC{0,80}") {
            let _ = Baseline::parse(&text);
        }

        #[test]
        fn baseline_with_any_names_reads_back_unchanged(program in "\\PC{0,40}", why in "\\PC{0,40}") {
            let mut mark = mark();
            mark.program = Some(program);
            let mut baseline = Baseline::default();
            baseline.acknowledge(Entry { mark: mark.clone(), why, until: None });
            let read = Baseline::parse(&baseline.text()).unwrap();
            prop_assert_eq!(read.entries(), baseline.entries());
        }
    }
}
