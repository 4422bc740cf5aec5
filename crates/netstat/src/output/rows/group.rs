//! Counts rows that have the same values.

use std::collections::HashMap;

use netstat_model::columns::{Value, ValueKind};

use super::sort::{self, Direction};
use super::{Grid, Head};

/// The column with the counts.
pub const COUNT: Head = Head {
    name: "count",
    heading: "Count",
    kind: ValueKind::Number,
};

/// Rows counted by their common values.
#[derive(Debug)]
pub struct Groups {
    heads: Vec<Head>,
    rows: Vec<(u64, Vec<Value<'static>>)>,
}

impl Groups {
    /// Counts the rows of `grid` by all of its columns. The most frequent come first; equal counts are sorted by value.
    pub fn of(grid: &dyn Grid) -> Groups {
        let mut counts: HashMap<Vec<Value<'static>>, u64> = HashMap::new();
        let mut key: Vec<Value<'static>> = Vec::new();
        for at in 0..grid.len() {
            key.clear();
            grid.row(at, &mut |value| key.push(value.into_owned()));
            match counts.get_mut(&key) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(key.clone(), 1);
                }
            }
        }
        let mut rows: Vec<(u64, Vec<Value<'static>>)> = counts.into_iter().map(|(key, count)| (count, key)).collect();
        rows.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let mut heads = vec![COUNT];
        heads.extend(grid.heads());
        Groups { heads, rows }
    }

    /// Sorts by columns, each given as its number (0 for the count) and whether the order is descending.
    pub fn sort(&mut self, columns: &[(usize, bool)]) {
        let directions: Vec<Direction> = columns.iter().map(|&(_, down)| Direction { down }).collect();
        let key = |row: &(u64, Vec<Value<'static>>)| -> Vec<Value<'static>> {
            columns
                .iter()
                .map(|&(column, _)| match column {
                    0 => Value::Number(row.0),
                    column => row.1[column - 1].clone(),
                })
                .collect()
        };
        self.rows.sort_by(|a, b| sort::compare(&key(a), &key(b), &directions));
    }

    /// Keeps the first `rows` groups.
    pub fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }
}

impl Grid for Groups {
    fn heads(&self) -> Vec<Head> {
        self.heads.clone()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        let (count, values) = &self.rows[at];
        each(Value::Number(*count));
        values.iter().cloned().for_each(each);
    }
}
