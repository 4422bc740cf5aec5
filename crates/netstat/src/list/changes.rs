//! The changes between two samples of the sockets.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::SystemTime;

use netstat_model::columns::{Column, SocketRow, Sockets, Value, ValueKind};
use netstat_model::{Endpoint, Owner, Owners, Protocol, Socket};

use super::books::{Gathered, Shelf};
use crate::output::rows::paint::Look;
use crate::output::rows::sockets::look;
use crate::output::rows::{Grid, Head};

/// One sample: the sockets with everything that is shown of them, so that a socket that is gone by the next sample can
/// still be shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) sockets: Vec<Socket>,
    pub(super) owners: Option<Owners>,
    pub(super) gathered: Gathered,
}

/// Identifies a socket across samples: by the kernel's cookie, which it keeps through all states up to TIME_WAIT, or,
/// without a cookie, by its endpoints and inode.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Cookie(u32, u64),
    Ends(Protocol, Endpoint, Endpoint, u32, u32),
}

impl Identity {
    fn of(socket: &Socket) -> Identity {
        match socket.cookie() {
            Some(cookie) => Identity::Cookie(socket.namespace(), cookie.get()),
            None => Identity::Ends(
                socket.protocol(),
                socket.local(),
                socket.foreign(),
                socket.inode().map_or(0, std::num::NonZeroU32::get),
                socket.namespace(),
            ),
        }
    }
}

/// What happened to a socket between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// It is new: its index in the new sample.
    Opened(usize),
    /// It is gone: its index in the old sample.
    Closed(usize),
    /// Its state changed: its indexes in the new and in the old sample.
    State(usize, usize),
}

/// The changes, as rows.
pub(super) struct Changes<'a> {
    form: ChangesForm<'a>,
    old: &'a Seen,
    new: &'a Seen,
    changes: Vec<Change>,
    /// The local time of day at which the new sample was taken.
    clock: String,
}

/// How changes are presented.
pub(super) struct ChangesForm<'a> {
    pub(super) columns: &'a [&'static Column<Sockets>],
    pub(super) names: Shelf<'a>,
    /// Whether the output is for people: signs instead of words, the local time of day, and both states in one cell.
    pub(super) people: bool,
    /// When the new sample was taken.
    pub(super) time: SystemTime,
}

impl<'a> Changes<'a> {
    /// Compares two sorted samples. A socket is included if `wanted` accepts it as it was or as it is now.
    pub(super) fn between(
        old: &'a Seen,
        new: &'a Seen,
        form: ChangesForm<'a>,
        wanted: impl Fn(&Seen, &Socket) -> bool,
    ) -> Changes<'a> {
        let mut before: HashMap<Identity, usize> = HashMap::with_capacity(old.sockets.len());
        for (at, socket) in old.sockets.iter().enumerate() {
            before.insert(Identity::of(socket), at);
        }
        let mut changes = Vec::new();
        for (at, socket) in new.sockets.iter().enumerate() {
            match before.remove(&Identity::of(socket)) {
                None if wanted(new, socket) => changes.push(Change::Opened(at)),
                Some(before) => {
                    let was = &old.sockets[before];
                    if was.shown_state() != socket.shown_state() && (wanted(new, socket) || wanted(old, was)) {
                        changes.push(Change::State(at, before));
                    }
                }
                None => {}
            }
        }
        let mut gone: Vec<usize> = before
            .into_values()
            .filter(|&at| wanted(old, &old.sockets[at]))
            .collect();
        gone.sort_unstable();
        changes.extend(gone.into_iter().map(Change::Closed));
        Changes {
            clock: clock(form.time),
            form,
            old,
            new,
            changes,
        }
    }

    fn row_of(&self, change: Change) -> SocketRow<'_> {
        let row = |look: &'a Seen, at: usize| SocketRow::new(&look.sockets[at], look.owners.as_ref(), &self.form.names);
        match change {
            Change::Opened(at) => row(self.new, at),
            Change::Closed(at) => row(self.old, at),
            Change::State(at, before) => {
                let (new, old) = (row(self.new, at), row(self.old, before));
                match (new.owner, old.owner) {
                    // When a connection ends, the process that held it is still of interest.
                    (Some(Owner::None(_)), Some(Owner::Held(_))) => SocketRow {
                        socket: new.socket,
                        ..old
                    },
                    _ => new,
                }
            }
        }
    }
}

/// Formats the local time of day: `22:30:00`.
fn clock(time: SystemTime) -> String {
    let zoned = jiff::Timestamp::try_from(time).map(|time| time.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or_else(|_| "-".to_owned(), |zoned| zoned.strftime("%H:%M:%S").to_string())
}

impl Grid for Changes<'_> {
    fn heads(&self) -> Vec<Head> {
        let head = |name, heading, kind| Head { name, heading, kind };
        let mut heads = match self.form.people {
            true => vec![
                head("time", "Time", ValueKind::Text),
                head("change", " ", ValueKind::Text),
            ],
            false => vec![
                head("time", "Time", ValueKind::Time),
                head("change", "Change", ValueKind::Text),
                head("was", "Was", ValueKind::Text),
            ],
        };
        heads.extend(self.form.columns.iter().map(|column| Head::of(column)));
        heads
    }

    fn len(&self) -> usize {
        self.changes.len()
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        let change = self.changes[at];
        let row = self.row_of(change);
        let (sign, word, was) = match change {
            Change::Opened(_) => ("+", "opened", None),
            Change::Closed(_) => ("-", "closed", None),
            Change::State(_, before) => ("~", "changed", Some(self.old.sockets[before].state())),
        };
        if self.form.people {
            each(Value::Word(&self.clock));
            each(Value::Word(sign));
        } else {
            let since = self
                .form
                .time
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            each(Value::Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
            each(Value::Word(word));
            each(was.map_or(Value::Nothing, |was| Value::Word(was.name())));
        }
        for column in self.form.columns {
            match was {
                Some(was) if self.form.people && column.name == "state" => {
                    let both = format!("{} > {}", was.name(), row.socket.state().name());
                    each(Value::Word(&both));
                }
                _ => each((column.get)(&row)),
            }
        }
    }

    fn least(&self, column: usize) -> usize {
        let shown = column.checked_sub(self.heads().len() - self.form.columns.len());
        match shown.map(|column| self.form.columns[column]) {
            // Room for "HH:MM:SS", and for the sign.
            None => [8, 1][column.min(1)],
            // Room for an IPv4 address with a port; IPv6 addresses are often longer.
            Some(column) if column.kind == ValueKind::Endpoint => 21,
            Some(column) if column.name == "state" => "ESTABLISHED > CLOSE_WAIT".len(),
            Some(column) if column.name == "protocol" => 5,
            Some(column) if column.name == "pid" => 7,
            Some(column) if column.name == "program" => 15,
            Some(_) => 0,
        }
    }

    fn look(&self, at: usize, column: usize) -> Look {
        let change = self.changes[at];
        match (column, change) {
            (1, Change::Opened(_)) if self.form.people => Look::New,
            (1, Change::Closed(_)) if self.form.people => Look::Gone,
            (1, Change::State(..)) if self.form.people => Look::Changed,
            _ => match column.checked_sub(self.heads().len() - self.form.columns.len()) {
                Some(column) => look(&self.row_of(change), self.form.columns[column]),
                None => Look::Plain,
            },
        }
    }
}
