//! The parts of a document that precede the connection list, or without it: `-e`, `-s`, `-r`, `-c`.

use std::io::{self, Write};
use std::time::SystemTime;

use netstat_model::Limit;
use serde_json::{Value, json};

use super::{head, limit, to_text};
use crate::output::json_string::push_string;
use crate::output::rows::json::{Tally, write_elements};
use crate::output::rows::{Grid, Head};

/// Members of a document, and what is missing in them.
#[derive(Debug, Default)]
pub(crate) struct Front {
    /// Each with a comma in front.
    members: Vec<u8>,
    /// The same, for what belongs to the connection list.
    beside_list: Vec<u8>,
    limits: Vec<Value>,
}

impl Front {
    /// Whether there is no part but the connection list.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a member.
    pub(crate) fn member(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.members
            .extend_from_slice(to_text(value, false).trim_end().as_bytes());
    }

    /// Adds the ports that the packet filter hands on, which belong to the connection list.
    pub(crate) fn published(&mut self, value: &Value) {
        self.beside_list.extend_from_slice(b",\"published\":");
        self.beside_list
            .extend_from_slice(to_text(value, false).trim_end().as_bytes());
    }

    /// Adds what could not be seen.
    pub(crate) fn limits(&mut self, limits: &[Limit]) {
        self.limits.extend(limits.iter().map(limit));
    }

    /// Adds that `what` is unknown.
    pub(crate) fn unknown(&mut self, what: impl Into<String>, why: &str) {
        self.limits
            .push(json!({"what": what.into(), "why": why, "remedy": null}));
    }

    /// Writes the members, and gives back what is missing in them.
    ///
    /// # Errors
    /// What `out` says.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<&[Value]> {
        out.write_all(&self.members)?;
        out.write_all(&self.beside_list)?;
        Ok(&self.limits)
    }

    /// The schema of a document with these parts, whose last is the connection list.
    pub(crate) fn schema(&self) -> &'static str {
        if self.is_empty() {
            "netstat.sockets"
        } else {
            "netstat.tables"
        }
    }

    /// The whole document, where no connection list is wanted; on one line.
    ///
    /// # Errors
    /// What `out` says.
    pub(crate) fn document(&self, out: &mut dyn Write, host: &[u8], time: SystemTime) -> io::Result<()> {
        write!(out, "{{{}", head(self.schema(), host, time))?;
        self.write(out)?;
        let limits = Value::Array(self.limits.clone());
        writeln!(out, ",\"limits\":{}}}", to_text(&limits, false).trim_end())
    }

    fn name(&mut self, name: &str) {
        self.members.push(b',');
        push_string(&mut self.members, name.as_bytes());
        self.members.push(b':');
    }
}

/// The rows of `grid` as values, and in `front` what is missing in them. `rows`: what they are called.
pub(crate) fn rows(front: &mut Front, grid: &dyn Grid, one: &str, many: &str) -> Value {
    let mut text = vec![b'['];
    // Into memory nothing can fail.
    let tally = write_elements(&mut text, grid).unwrap_or_default();
    text.push(b']');
    front.limits.extend(missing(&grid.heads(), &tally, one, many));
    serde_json::from_slice(&text).unwrap_or_default()
}

/// What is `null` in rows with the columns `heads`, which are called `one` or `many`, and why.
pub(crate) fn missing(heads: &[Head], tally: &Tally, one: &str, many: &str) -> Vec<Value> {
    tally
        .iter()
        .map(|(&(column, missing), &count)| {
            let name = heads[column].name;
            let rows = if count == 1 { one } else { many };
            json!({
                "what": format!("{name} of {count} {rows}"),
                "why": missing.words(),
                "remedy": null,
                "column": name,
                "rows": count,
            })
        })
        .collect()
}
