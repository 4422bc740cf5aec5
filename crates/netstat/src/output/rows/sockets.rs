//! Sockets as rows.

use netstat_model::columns::{Books, Column, SocketRow, Sockets, Value};
use netstat_model::{Fact, Filter, NoOwner, Owner, Owners, Socket};

use super::paint::Look;
use super::{Grid, Head};

/// Sockets under chosen columns.
#[derive(Clone, Copy)]
pub struct SocketGrid<'a> {
    /// What is shown of each.
    pub columns: &'a [&'static Column<Sockets>],
    /// The sockets.
    pub sockets: &'a [Socket],
    /// Which of them, in which order; `None`: all, as they are.
    pub order: Option<&'a [u32]>,
    /// Who holds them.
    pub owners: Option<&'a Owners>,
    /// Names.
    pub books: &'a dyn Books,
    /// What the print before showed; new rows get a sign in a column in front.
    pub before: Option<&'a Known>,
}

/// The sockets of a print, by the kernel's cookie.
pub type Known = std::collections::HashSet<std::num::NonZeroU64>;

/// Whether `socket` is none of those `before`. A socket without a cookie cannot be distinguished from others.
pub(crate) fn is_new(socket: &Socket, before: &Known) -> bool {
    socket.cookie().is_some_and(|cookie| !before.contains(&cookie))
}

impl<'a> SocketGrid<'a> {
    /// The number of the socket in row `at`.
    fn place(&self, at: usize) -> usize {
        self.order.map_or(at, |order| order[at] as usize)
    }

    /// Row `at`.
    pub fn at(&self, at: usize) -> SocketRow<'a> {
        SocketRow::new(&self.sockets[self.place(at)], self.owners, self.books)
    }
}

/// How a column of a socket looks.
pub(crate) fn look(row: &SocketRow<'_>, column: &Column<Sockets>) -> Look {
    match column.name {
        "state" => row.socket.shown_state().map_or(Look::Plain, Look::State),
        // The words beside it say it too: (deleted).
        "program" | "path" | "deleted" if is_deleted(row) => Look::Alarming,
        // The address says it: 0.0.0.0, or that of an interface.
        "local" | "local_address" if is_exposed(row.socket) => Look::Unusual,
        "pid" | "owner_reason" if is_unowned(row) => Look::Alarming,
        _ => Look::Plain,
    }
}

/// Whether the program file of the holder is gone or replaced.
fn is_deleted(row: &SocketRow<'_>) -> bool {
    let Some(Owner::Held(holders)) = row.owner else {
        return false;
    };
    matches!(&holders.first().image, Fact::Known(image) if image.deleted)
}

/// Whether it listens on more than loopback.
pub(crate) fn is_exposed(socket: &Socket) -> bool {
    let filter = Filter {
        exposed: true,
        ..Filter::default()
    };
    socket.protocol().is_ip() && filter.wants(socket)
}

/// Whether nothing holds the socket although something should.
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
