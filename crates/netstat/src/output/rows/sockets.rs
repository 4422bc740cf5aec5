//! Sockets as rows.

use netstat_model::columns::{Books, Column, SocketRow, Sockets, Value};
use netstat_model::{Fact, Filter, NoOwner, Owner, Owners, Socket};

use super::paint::Look;
use super::{Grid, Head};

/// Sockets with selected columns.
#[derive(Clone, Copy)]
pub struct SocketGrid<'a> {
    /// The columns to show.
    pub columns: &'a [&'static Column<Sockets>],
    /// The sockets that rows are made from.
    pub sockets: &'a [Socket],
    /// The indexes of the sockets to show, in their order; `None` for all of them as they are.
    pub order: Option<&'a [u32]>,
    /// The owners; `None` if they were not looked for.
    pub owners: Option<&'a Owners>,
    /// The names that columns need.
    pub books: &'a dyn Books,
    /// The sockets of the previous print; rows that are not among them are marked as new in a leading column. `None` to
    /// mark none.
    pub before: Option<&'a Known>,
}

/// The sockets of a print, by the kernel's cookie.
pub type Known = std::collections::HashSet<std::num::NonZeroU64>;

/// Whether `socket` is not among those of the previous print. A socket without a cookie cannot be recognized and never
/// counts as new.
pub(crate) fn is_new(socket: &Socket, before: &Known) -> bool {
    socket.cookie().is_some_and(|cookie| !before.contains(&cookie))
}

impl<'a> SocketGrid<'a> {
    /// Returns the index of the socket in row `at`.
    fn place(&self, at: usize) -> usize {
        self.order.map_or(at, |order| order[at] as usize)
    }

    /// Returns row `at`.
    pub fn at(&self, at: usize) -> SocketRow<'a> {
        SocketRow::new(&self.sockets[self.place(at)], self.owners, self.books)
    }
}

/// Returns how a cell of a socket is highlighted.
pub(crate) fn look(row: &SocketRow<'_>, column: &Column<Sockets>) -> Look {
    match column.name {
        "state" => row.socket.shown_state().map_or(Look::Plain, Look::State),
        // The text shows it, too: (deleted).
        "program" | "path" | "deleted" if is_deleted(row) => Look::Alarming,
        // The address shows it, too: 0.0.0.0, or that of an interface.
        "local" | "local_address" if is_exposed(row.socket) => Look::Unusual,
        "pid" | "owner_reason" if is_unowned(row) => Look::Alarming,
        _ => Look::Plain,
    }
}

/// Whether the program file of the holder has been deleted or replaced.
fn is_deleted(row: &SocketRow<'_>) -> bool {
    let Some(Owner::Held(holders)) = row.owner else {
        return false;
    };
    matches!(&holders.first().image, Fact::Known(image) if image.deleted)
}

/// Whether the socket is a listener that is not limited to loopback.
pub(crate) fn is_exposed(socket: &Socket) -> bool {
    let filter = Filter {
        exposed: true,
        ..Filter::default()
    };
    socket.protocol().is_ip() && filter.wants(socket)
}

/// Whether no process holds the socket, although one should.
fn is_unowned(row: &SocketRow<'_>) -> bool {
    matches!(
        row.owner,
        Some(Owner::None(NoOwner::Hidden | NoOwner::Unheld | NoOwner::UnheldHere))
    )
}

impl Grid for SocketGrid<'_> {
    fn heads(&self) -> Vec<Head> {
        let sign = self.before.map(|_| Head {
            name: "new",
            heading: " ",
            kind: netstat_model::columns::ValueKind::Text,
        });
        sign.into_iter()
            .chain(self.columns.iter().map(|column| Head::of(column)))
            .collect()
    }

    fn len(&self) -> usize {
        self.order.map_or(self.sockets.len(), <[u32]>::len)
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        let row = self.at(at);
        if let Some(before) = self.before {
            each(Value::Word(if is_new(row.socket, before) { "+" } else { " " }));
        }
        for column in self.columns {
            each((column.get)(&row));
        }
    }

    fn look(&self, at: usize, column: usize) -> Look {
        match column.checked_sub(usize::from(self.before.is_some())) {
            Some(column) => look(&self.at(at), self.columns[column]),
            None if self.before.is_some_and(|before| is_new(self.at(at).socket, before)) => Look::New,
            None => Look::Plain,
        }
    }
}
