//! Rows as JSON objects (RFC 8259).

use std::collections::BTreeMap;
use std::io::{self, Write};

use netstat_model::columns::{Missing, Value, folded};
use netstat_model::digits::{push_decimal, push_endpoint};

use super::{Grid, csv, write_in_order};
use crate::output::json_string::push_string;

/// How often values were missing, by column and reason.
pub type Tally = BTreeMap<(usize, Missing), u64>;

/// Writes the rows as elements of an array, one per line, separated by commas. Returns how often values were missing.
///
/// # Errors
/// Returns an error of `out`.
pub fn write_elements(out: &mut dyn Write, grid: &dyn Grid) -> io::Result<Tally> {
    let names = quoted_names(grid);
    let gathered = write_in_order(out, grid.len(), |at, text, tally: &mut Tally| {
        text.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
        let mut column = 0;
        grid.row(at, &mut |value| {
            push_member(text, &names[column], column, &value);
            if let Some(missing) = value.missing() {
                *tally.entry((column, missing)).or_default() += 1;
            }
            column += 1;
        });
        text.push(b'}');
    })?;
    let mut all = Tally::new();
    for (key, count) in gathered.into_iter().flatten() {
        *all.entry(key).or_default() += count;
    }
    Ok(all)
}

/// Writes the rows as one object per line. If values are missing, the member `limits` after the columns says why.
///
/// # Errors
/// Returns an error of `out`.
pub fn write_lines(out: &mut dyn Write, grid: &dyn Grid) -> io::Result<()> {
    let names = quoted_names(grid);
    let heads = grid.heads();
    write_in_order(out, grid.len(), |at, text, missing: &mut Vec<(usize, Missing)>| {
        missing.clear();
        let mut column = 0;
        grid.row(at, &mut |value| {
            push_member(text, &names[column], column, &value);
            missing.extend(value.missing().map(|missing| (column, missing)));
            column += 1;
        });
        if !missing.is_empty() {
            text.extend_from_slice(b",\"limits\":{");
            for (number, (column, why)) in missing.iter().enumerate() {
                if number > 0 {
                    text.push(b',');
                }
                push_string(text, heads[*column].name.as_bytes());
                text.push(b':');
                push_string(text, why.words().as_bytes());
            }
            text.push(b'}');
        }
        text.extend_from_slice(b"}\n");
    })?;
    Ok(())
}

/// Returns the name of each column in quotes, followed by a colon.
fn quoted_names(grid: &dyn Grid) -> Vec<Vec<u8>> {
    grid.heads()
        .iter()
        .map(|head| format!("\"{}\":", head.name).into_bytes())
        .collect()
}

fn push_member(text: &mut Vec<u8>, name: &[u8], column: usize, value: &Value<'_>) {
    text.push(if column == 0 { b'{' } else { b',' });
    text.extend_from_slice(name);
    push_value(text, value);
}

/// Appends a value: numbers as numbers, unknown values as `null`, absent ones as an empty string, moments as in RFC
/// 3339, addresses as in RFC 5952, IPv4-mapped ones as the IPv4 address.
pub(crate) fn push_value(text: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Unknown(_) => text.extend_from_slice(b"null"),
        Value::Nothing => text.extend_from_slice(b"\"\""),
        Value::Number(number) | Value::AtLeast(number) => push_decimal(text, *number),
        Value::Decimal(number) | Value::Rate(number) => text.extend_from_slice(number.to_string().as_bytes()),
        Value::Flag(flag) => text.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Word(word) => push_string(text, word.as_bytes()),
        Value::Text(bytes) | Value::Remarked(bytes, _) => push_string(text, bytes),
        Value::Numbers(numbers) => {
            text.push(b'[');
            for (at, number) in numbers.iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                push_decimal(text, *number);
            }
            text.push(b']');
        }
        Value::Endpoint(end) => {
            text.push(b'"');
            push_endpoint(text, &folded(end).unwrap_or(*end));
            text.push(b'"');
        }
        // Only digits, letters, colons and points: nothing to escape.
        Value::Address(_) | Value::AnyEndpoint | Value::Time(_) => {
            text.push(b'"');
            csv::push_plain(text, value);
            text.push(b'"');
        }
    }
}
