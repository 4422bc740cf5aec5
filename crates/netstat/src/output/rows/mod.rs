//! Prints rows and columns of any kind as a table, CSV or JSON. A [`Grid`] supplies the rows and their columns.

pub mod csv;
pub mod group;
pub mod json;
pub mod paint;
pub mod plain;
mod ready;
pub mod sockets;
pub mod sort;
pub mod table;
pub mod timed;

use std::io::{self, Write};

use netstat_model::columns::{Column, Table, Value, ValueKind};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};

use paint::Look;

pub(crate) use ready::ReadyRows;

/// The names of a column, and the kind of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The name in CSV and JSON.
    pub name: &'static str,
    /// The heading in a table.
    pub heading: &'static str,
    /// The kind of its values.
    pub kind: ValueKind,
}

impl Head {
    /// Returns the head of a column of the model.
    pub fn of<T: Table>(column: &Column<T>) -> Head {
        Head {
            name: column.name,
            heading: column.heading,
            kind: column.kind,
        }
    }
}

/// Rows of values under the same columns.
pub trait Grid: Sync {
    /// Returns the columns, without duplicates.
    fn heads(&self) -> Vec<Head>;
    /// Returns the number of rows.
    fn len(&self) -> usize;
    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Passes the values of row `at` to `each`, one for each column, in their order.
    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>));
    /// Returns the minimum width of a column in a table, if rows of later prints may be wider than those of the first
    /// one.
    fn least(&self, _column: usize) -> usize {
        0
    }
    /// Returns how the cell of a row in a column is highlighted.
    fn look(&self, _at: usize, _column: usize) -> Look {
        Look::Plain
    }
}

/// The number of rows from which formatting with several threads is worth starting them.
const MANY: usize = 20_000;
/// The number of rows that a thread formats at a time.
const PIECE: usize = 500;

/// Formats `count` rows and writes them in order. `lay` receives the index of a row, a buffer to append to, and the
/// state of its thread. Returns the states of all threads.
///
/// # Errors
/// Returns an error of `out`.
pub(crate) fn write_in_order<S: Send + Default>(
    out: &mut dyn Write,
    count: usize,
    lay: impl Fn(usize, &mut Vec<u8>, &mut S) + Sync,
) -> io::Result<Vec<S>> {
    if count < MANY {
        let (mut text, mut gathered) = (Vec::with_capacity(64 * 1024), S::default());
        for at in 0..count {
            lay(at, &mut text, &mut gathered);
            if text.len() >= 48 * 1024 {
                out.write_all(&text)?;
                text.clear();
            }
        }
        out.write_all(&text)?;
        return Ok(vec![gathered]);
    }
    let threads = rayon::current_num_threads();
    let mut pieces: Vec<(Vec<u8>, S)> = (0..4 * threads).map(|_| (Vec::new(), S::default())).collect();
    let mut start = 0;
    while start < count {
        pieces
            .par_iter_mut()
            .enumerate()
            .for_each(|(number, (text, gathered))| {
                text.clear();
                let first = start + number * PIECE;
                for at in first..(first + PIECE).min(count) {
                    lay(at, text, gathered);
                }
            });
        for (text, _) in &pieces {
            out.write_all(text)?;
        }
        start += pieces.len() * PIECE;
    }
    Ok(pieces.into_iter().map(|(_, gathered)| gathered).collect())
}
