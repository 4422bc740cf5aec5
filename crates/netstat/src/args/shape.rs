//! The shape of a listing: columns, order and format.

use std::ffi::OsStr;

use clap::ValueEnum;
use netstat_model::columns::{self, Column, Sockets, Table};

use super::error::quoted;
use super::similar;
use crate::output::rows::csv::CsvStyle;

/// The format of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document per print.
    Json,
    /// One JSON object per row.
    NdJson,
    /// Comma-separated values.
    Csv(CsvStyle),
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Also where nobody looks.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Whether output to `screen` is coloured.
    pub fn colored(self, screen: crate::context::Screen) -> bool {
        match self {
            ColorChoice::Auto => screen.terminal && !screen.no_color,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        }
    }
}

/// The columns of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// The columns of the classic layout; in CSV and JSON, the usual columns and those that switches ask for.
    #[default]
    Classic,
    /// `--wide`: the most useful columns.
    Wide,
    /// `--columns`: exactly these columns.
    Columns(Vec<&'static Column<Sockets>>),
}

/// The value of `--columns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnList<T: Table> {
    /// A request to list the available columns.
    Help,
    /// The columns to show.
    These(Vec<&'static Column<T>>),
}

/// A column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey<T: Table> {
    /// The column; `None` for the counts of `--group`.
    pub column: Option<&'static Column<T>>,
    /// Whether the order is descending.
    pub down: bool,
}

impl<T: Table> SortKey<T> {
    /// Parses one key, such as `rtt` or `-rtt`.
    fn read(word: &str, list: &str) -> Result<Self, String> {
        let (name, down) = match word.strip_prefix('-') {
            Some(name) => (name, true),
            None => (word, false),
        };
        if name.eq_ignore_ascii_case("count") {
            return Ok(SortKey { column: None, down });
        }
        Ok(SortKey {
            column: Some(column(name, list)?),
            down,
        })
    }
}

/// Returns the column called `name`, one of the names in `list`. The error is the end of a sentence about `list`.
fn column<T: Table>(name: &str, list: &str) -> Result<&'static Column<T>, String> {
    columns::find(name).ok_or_else(|| {
        let what = match name == list {
            true => "is no column".to_owned(),
            false => format!("holds {}, which is no column", quoted(OsStr::new(name))),
        };
        let known = T::columns().iter().map(|column| column.name);
        match similar::nearest(name, known) {
            Some(meant) => format!("{what}; did you mean {meant}? --columns help lists them"),
            None => format!("{what}; --columns help lists them"),
        }
    })
}

/// Parses the value of `--columns`: names separated by commas, or `help`.
pub fn columns_of<T: Table>(list: &str) -> Result<ColumnList<T>, String> {
    if list.eq_ignore_ascii_case("help") {
        return Ok(ColumnList::Help);
    }
    Ok(ColumnList::These(distinct(list)?))
}

/// Parses the value of `--group`: names separated by commas.
pub fn group_of<T: Table>(list: &str) -> Result<Vec<&'static Column<T>>, String> {
    distinct(list)
}

fn distinct<T: Table>(list: &str) -> Result<Vec<&'static Column<T>>, String> {
    let mut columns: Vec<&'static Column<T>> = Vec::new();
    for name in list.split(',') {
        let column = column(name, list)?;
        if columns.contains(&column) {
            return Err(format!("names {} twice", column.name));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// Parses the value of `--sort`: names separated by commas, each with a leading dash for descending order.
pub fn sort_of<T: Table>(list: &str) -> Result<Vec<SortKey<T>>, String> {
    list.split(',').map(|word| SortKey::read(word, list)).collect()
}

/// Parses the value of `--top`.
pub fn top(word: &str) -> Result<usize, String> {
    super::values::count(word).map(|count| usize::try_from(count.get()).unwrap_or(usize::MAX))
}

/// Returns the text of `--columns help`: name, unit and meaning of each column.
pub fn column_help<T: Table>() -> String {
    let columns = T::columns();
    let widest = |of: fn(&Column<T>) -> &'static str| columns.iter().map(|column| of(column).chars().count()).max();
    let name = widest(|column| column.name).unwrap_or(0).max(6);
    let unit = widest(|column| column.unit).unwrap_or(0).max(4);
    let mut out = format!("{:name$}  {:unit$}  Meaning\n", "Column", "Unit");
    for column in columns {
        let shown = if column.unit.is_empty() { "-" } else { column.unit };
        out.push_str(&format!("{:name$}  {shown:unit$}  {}\n", column.name, column.meaning));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(columns: &[&'static Column<Sockets>]) -> Vec<&'static str> {
        columns.iter().map(|column| column.name).collect()
    }

    #[test]
    fn column_list_is_read_and_wrong_names_are_refused() {
        match columns_of::<Sockets>("foreign,PID,foreign-port") {
            Ok(ColumnList::These(columns)) => assert_eq!(names(&columns), ["foreign", "pid", "foreign_port"]),
            other => panic!("{other:?}"),
        }
        assert_eq!(columns_of::<Sockets>("HELP"), Ok(ColumnList::Help));
        for (list, why) in [
            ("", "is no column; --columns help lists them"),
            ("pid,", "holds \"\", which is no column; --columns help lists them"),
            ("pid,pid", "names pid twice"),
            (
                "progam",
                "is no column; did you mean program? --columns help lists them",
            ),
        ] {
            assert_eq!(columns_of::<Sockets>(list), Err(why.to_owned()));
        }
    }

    #[test]
    fn sort_list_is_read_with_directions() {
        let keys = sort_of::<Sockets>("-rtt,foreign,-count").unwrap();
        let shown: Vec<_> = keys
            .iter()
            .map(|key| (key.column.map(|column| column.name), key.down))
            .collect();
        assert_eq!(shown, [(Some("rtt"), true), (Some("foreign"), false), (None, true)]);
        assert!(sort_of::<Sockets>("--rtt").is_err());
    }

    #[test]
    fn column_help_has_a_line_for_each_column() {
        let help = column_help::<Sockets>();
        for column in Sockets::columns() {
            assert!(help.contains(&format!("\n{} ", column.name)), "{}", column.name);
        }
        assert!(help.lines().all(|line| !line.ends_with(' ')));
    }
}
