//! What is said on stderr: limits and hints, each once in a run.

use std::collections::HashSet;
use std::io::Write;

use netstat_model::Limit;
use netstat_model::text::escape_str;

/// Gathers what is to be said after a print.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    said: HashSet<String>,
    waiting: Vec<String>,
}

impl Diagnostics {
    /// A line without its `netstat: `; said once in a run, also when only its numbers have changed.
    pub(crate) fn line(&mut self, line: impl Into<String>) {
        let line = line.into();
        let kind = line.split(|c: char| c.is_ascii_digit()).collect();
        self.news([kind], line);
    }

    /// A line about `matters`, said when one of them has not been spoken of before.
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

    /// Says what has been gathered. A stderr that cannot be written to does not stop the listing.
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
    fn each_matter_is_said_once() {
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
