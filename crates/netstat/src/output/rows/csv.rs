//! Comma-separated values (RFC 4180), with the names of the columns in the first line.
//!
//! A field that contains a common separator, or begins or ends with a space, is quoted. An unknown value is an empty
//! field. Text from outside is escaped as everywhere else, because CSV is viewed in terminals, too.

use std::io::{self, Write};

use clap::ValueEnum;
use netstat_model::columns::{Value, folded};

use super::{Grid, write_in_order};

/// How comma-separated values treat text that a spreadsheet would calculate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum CsvStyle {
    /// As it is.
    #[default]
    Plain,
    /// With an apostrophe before it, so that a spreadsheet takes it for text.
    Safe,
}

/// Writes `grid`, with a line of column names if `heading`.
///
/// # Errors
/// Returns an error of `out`.
pub fn write(out: &mut dyn Write, grid: &dyn Grid, heading: bool, style: CsvStyle) -> io::Result<()> {
    if heading {
        let names: Vec<&str> = grid.heads().iter().map(|head| head.name).collect();
        out.write_all(names.join(",").as_bytes())?;
        out.write_all(b"\r\n")?;
    }
    write_in_order(out, grid.len(), |at, text, cell: &mut Vec<u8>| {
        let mut first = true;
        grid.row(at, &mut |value| {
            if !first {
                text.push(b',');
            }
            first = false;
            cell.clear();
            if style == CsvStyle::Safe && matches!(&value, Value::Text(text) if is_calculated(text)) {
                cell.push(b'\'');
            }
            push_plain(cell, &value);
            push_field(text, cell);
        });
        text.extend_from_slice(b"\r\n");
    })?;
    Ok(())
}

/// Appends the value without marks that are meant for people: unknown and absent values are empty, flags are `true` and
/// `false`.
pub(super) fn push_plain(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Unknown(_) | Value::Nothing => {}
        Value::AtLeast(number) => Value::Number(*number).push_cell(out),
        Value::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Address(end) if folded(end).is_some() => Value::Address(folded(end).unwrap_or(*end)).push_cell(out),
        Value::Endpoint(end) if folded(end).is_some() => Value::Endpoint(folded(end).unwrap_or(*end)).push_cell(out),
        Value::Rate(rate) => Value::Decimal(*rate).push_cell(out),
        Value::Remarked(text, _) => Value::text(text.as_ref()).push_cell(out),
        Value::Numbers(numbers) if numbers.is_empty() => {}
        value => value.push_cell(out),
    }
}

/// Whether a spreadsheet may take a text for a formula, judging by its first character other than white space.
fn is_calculated(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    // Some spreadsheets accept the full-width forms, too.
    const WIDE: [&str; 4] = ["\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}"];
    first.is_some_and(|byte| b"=+-@|%".contains(byte)) || WIDE.iter().any(|wide| text.starts_with(wide.as_bytes()))
}

fn push_field(out: &mut Vec<u8>, field: &[u8]) {
    let at_ends = [field.first(), field.last()].contains(&Some(&b' '));
    let needs_quotes = at_ends
        || field
            .iter()
            .any(|byte| matches!(byte, b',' | b';' | b'"' | b'\r' | b'\n' | b'\t'));
    if !needs_quotes {
        return out.extend_from_slice(field);
    }
    out.push(b'"');
    for &byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (field, written) in [
            ("a", "a"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("", ""),
            ("a;b", "\"a;b\""),
            (" a", "\" a\""),
            ("a b", "a b"),
        ] {
            let mut out = Vec::new();
            push_field(&mut out, field.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }
}
