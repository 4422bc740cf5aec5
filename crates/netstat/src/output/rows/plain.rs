//! Rows of any kind that need no further data.

use netstat_model::columns::{Column, Table, Value};

use super::{Grid, Head};

/// Rows with selected columns.
pub struct PlainGrid<'a, T: Table> {
    columns: Vec<&'static Column<T>>,
    rows: Vec<T::Row<'a>>,
}

impl<'a, T: Table> PlainGrid<'a, T> {
    /// Creates a grid of `rows` with `columns`.
    pub fn new(columns: impl IntoIterator<Item = &'static Column<T>>, rows: Vec<T::Row<'a>>) -> Self {
        PlainGrid {
            columns: columns.into_iter().collect(),
            rows,
        }
    }
}

impl<T: Table> Grid for PlainGrid<'_, T>
where
    for<'a> T::Row<'a>: Sync,
{
    fn heads(&self) -> Vec<Head> {
        self.columns.iter().map(|column| Head::of(column)).collect()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        for column in &self.columns {
            each((column.get)(&self.rows[at]));
        }
    }
}
