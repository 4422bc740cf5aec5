//! Diagnostics on stderr: limits and hints, each reported once per run.

use std::collections::HashSet;
use std::io::Write;

use netstat_model::Limit;
use netstat_model::text::escape_str;

/// Collects diagnostics, to be reported after a print.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    said: HashSet<String>,
    waiting: Vec<String>,
}

impl Diagnostics {
    /// Adds a line, without its `netstat: ` prefix. It is reported once per run; a line that differs only in its
    /// numbers counts as the same.
    pub(crate) fn line(&mut self, line: impl Into<String>) {
        let line = line.into();
        let kind = line.split(|c: char| c.is_ascii_digit()).collect();
        self.news([kind], line);
    }

    /// Adds a line about `matters`, unless all of them have been reported before.
    pub(crate) fn news(&mut self, matters: impl IntoIterator<Item = String>, line: String) {
        let mut new = false;
        for matter in matters {
            new |= self.said.insert(matter);
        }
        if new {
            self.waiting.push(line);
        }
    }

    pub(crate) fn limits(&mut self, limits: impl IntoIterator<Item = Limit>) {
        for Limit { what, why, remedy } in limits {
            self.line(match remedy {
                Some(remedy) => format!("{what}: {why} (try {remedy})"),
                None => format!("{what}: {why}"),
            });
        }
    }

    /// Writes the collected lines. If stderr cannot be written to, the listing continues.
    pub(crate) fn say(&mut self, err: &mut dyn Write) {
        for line in self.waiting.drain(..) {
            let _ = writeln!(err, "netstat: {}", escape_str(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_repeated_matter_is_said_once() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.line("3 of 9 names are missing");
        diagnostics.line("4 of 10 names are missing");
        let mut out = Vec::new();
        diagnostics.say(&mut out);
        diagnostics.line("5 of 9 names are missing");
        diagnostics.news(["a".into(), "b".into()], "one".into());
        diagnostics.news(["b".into()], "two".into());
        diagnostics.news(["b".into(), "c".into()], "three".into());
        diagnostics.say(&mut out);
        let said = "netstat: 3 of 9 names are missing\nnetstat: one\nnetstat: three\n";
        assert_eq!(String::from_utf8(out).unwrap(), said);
    }
}
