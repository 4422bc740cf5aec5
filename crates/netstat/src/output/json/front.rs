//! The parts of a document that precede the connection list or stand without it: `-e`, `-s`, `-r`, `-c`.

use std::io::{self, Write};
use std::time::SystemTime;

use netstat_model::Limit;
use serde_json::{Value, json};

use super::{head, limit, to_text};
use crate::output::json_string::push_string;
use crate::output::rows::json::{Tally, write_elements};
use crate::output::rows::{Grid, Head};

/// Members of a document, and the limits that apply to them.
#[derive(Debug, Default)]
pub(crate) struct Front {
    /// The members as text, each preceded by a comma.
    members: Vec<u8>,
    /// The members that belong to the connection list, in the same form.
    beside_list: Vec<u8>,
    limits: Vec<Value>,
}

impl Front {
    /// Whether the connection list is the only part.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a member.
    pub(crate) fn member(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.members
            .extend_from_slice(to_text(value, false).trim_end().as_bytes());
    }

    /// Adds the ports that the packet filter forwards, which belong to the connection list.
    pub(crate) fn published(&mut self, value: &Value) {
        self.beside_list.extend_from_slice(b",\"published\":");
        self.beside_list
            .extend_from_slice(to_text(value, false).trim_end().as_bytes());
    }

    /// Adds limits.
    pub(crate) fn limits(&mut self, limits: &[Limit]) {
        self.limits.extend(limits.iter().map(limit));
    }

    /// Adds the limit that `what` is unknown.
    pub(crate) fn unknown(&mut self, what: impl Into<String>, why: &str) {
        self.limits
            .push(json!({"what": what.into(), "why": why, "remedy": null}));
    }

    /// Writes the members, and returns the limits that apply to them.
    ///
    /// # Errors
    /// Returns an error of `out`.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<&[Value]> {
        out.write_all(&self.members)?;
        out.write_all(&self.beside_list)?;
        Ok(&self.limits)
    }

    /// Returns the name of the schema of a document that consists of these parts and the connection list.
    pub(crate) fn schema(&self) -> &'static str {
        if self.is_empty() {
            "netstat.sockets"
        } else {
            "netstat.tables"
        }
    }

    /// Writes the whole document on one line, if no connection list is requested.
    ///
    /// # Errors
    /// Returns an error of `out`.
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

/// Returns the rows of `grid` as values, and adds to `front` which of them are missing. A row is called `one`, several
/// are called `many`.
pub(crate) fn rows(front: &mut Front, grid: &dyn Grid, one: &str, many: &str) -> Value {
    let mut text = vec![b'['];
    // Writing to memory cannot fail.
    let tally = write_elements(&mut text, grid).unwrap_or_default();
    text.push(b']');
    front.limits.extend(missing(&grid.heads(), &tally, one, many));
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Returns limits that say which values are `null` in rows with the columns `heads`, and why. A row is called `one`,
/// several are called `many`.
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
