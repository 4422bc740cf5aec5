//! Rows that are complete before the first one is written.

use netstat_model::columns::Value;

use super::{Grid, Head};

/// Complete rows with their columns.
pub(crate) struct ReadyRows {
    pub(crate) heads: Vec<Head>,
    /// The cells of each row, one for each column.
    pub(crate) rows: Vec<Vec<Value<'static>>>,
}

impl Grid for ReadyRows {
    fn heads(&self) -> Vec<Head> {
        self.heads.clone()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        self.rows[at].iter().cloned().for_each(each);
    }
}
