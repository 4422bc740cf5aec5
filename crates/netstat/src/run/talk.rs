//! What is said on stderr: limits and hints, each once in a run.

use std::collections::HashSet;
use std::io::Write;

use netstat_model::Limit;
use netstat_model::text::escape_str;

/// Gathers what is to be said after a print.
#[derive(Debug, Default)]
pub(super) struct Talk {
    said: HashSet<String>,
    waiting: Vec<String>,
}

impl Talk {
    /// A line without its `netstat: `; said once in a run.
    pub(super) fn line(&mut self, line: impl Into<String>) {
        let line = line.into();
        if !self.said.contains(&line) {
            self.said.insert(line.clone());
            self.waiting.push(line);
        }
    }

    pub(super) fn limits(&mut self, limits: impl IntoIterator<Item = Limit>) {
        for Limit { what, why, remedy } in limits {
            self.line(match remedy {
                Some(remedy) => format!("{what}: {why} (try {remedy})"),
                None => format!("{what}: {why}"),
            });
        }
    }

    /// Says what has been gathered. A stderr that cannot be written to does not stop the listing.
    pub(super) fn say(&mut self, err: &mut dyn Write) {
        for line in self.waiting.drain(..) {
            let _ = writeln!(err, "netstat: {}", escape_str(&line));
        }
    }
}
