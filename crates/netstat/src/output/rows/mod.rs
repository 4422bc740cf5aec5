//! Rows and columns of any kind, as a table, CSV or JSON. A [`Grid`] says what a row is and which columns it has.

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
    /// Its heading in a table.
    pub heading: &'static str,
    /// What its values are.
    pub kind: ValueKind,
}

impl Head {
    /// Of a column of the model.
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
    /// The columns, none twice.
    fn heads(&self) -> Vec<Head>;
    /// How many rows there are.
    fn len(&self) -> usize;
    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Gives the values of row `at`, one for each column, in their order.
    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>));
    /// The least width of a column in a table, where later rows may be wider than those of the first print.
    fn least(&self, _column: usize) -> usize {
        0
    }
    /// How the cell of a row in a column is painted.
    fn look(&self, _at: usize, _column: usize) -> Look {
        Look::Plain
    }
}

/// From this many rows on, laying them out with several threads pays for starting them.
const MANY: usize = 20_000;
/// So many rows does a thread lay out at a time.
const PIECE: usize = 500;

/// Lays out `count` rows and writes them in order. `lay` gets a row's number, a text to add to, and what a thread gathers;
/// what the threads have gathered is given back.
///
/// # Errors
/// What `out` says.
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
