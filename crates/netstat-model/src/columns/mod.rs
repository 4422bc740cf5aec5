//! Columns: what can be shown of a row, by which name, in which unit. A table of text, CSV, JSON, sorting, grouping and the
//! documentation all read these lists, so that a fact has one name everywhere.

mod interfaces;
mod readers;
mod routes;
mod socket_row;
mod sockets;
mod value;

pub use interfaces::{InterfaceRow, Interfaces, is_rate, traffic_columns};
pub use routes::{RouteRow, Routes};
pub use socket_row::{Books, Location, Rates, SocketRow};
pub use sockets::{DEFAULT_MACHINE, Sockets, WIDE, owner_columns};
pub use value::{Missing, Value, folded, push_time};

/// A kind of rows and the columns they have.
pub trait Table: Copy + Eq + std::fmt::Debug + 'static {
    /// One row.
    type Row<'a>;

    /// What a row is, in one word: `socket`.
    const ROW: &'static str;

    /// All columns, in the order in which they are listed. No name occurs twice.
    fn columns() -> &'static [Column<Self>];
}

/// How a column reads its value from a row.
pub type Getter<T> = for<'r, 'a> fn(&'r <T as Table>::Row<'a>) -> Value<'r>;

/// One fact of a row.
pub struct Column<T: Table> {
    /// What it is called in options, CSV and JSON: lower case, with underscores.
    pub name: &'static str,
    /// Its heading in a table.
    pub heading: &'static str,
    /// What it means, in short.
    pub meaning: &'static str,
    /// What its numbers count: `bytes`, `µs`; empty where there is none.
    pub unit: &'static str,
    /// What kind of value it has.
    pub kind: ValueKind,
    /// What must be asked of the system for it.
    pub needs: Needs,
    /// Reads it.
    pub get: Getter<T>,
}

impl<T: Table> std::fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl<T: Table> PartialEq for Column<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<T: Table> Eq for Column<T> {}

/// The kind of a column's values, unknown ones aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Text from a small vocabulary, or from outside. May be known to be empty.
    Text,
    /// A whole number, 0 or more.
    Number,
    /// A number with a fraction.
    Decimal,
    /// Yes or no.
    Flag,
    /// An IP address, without port.
    Address,
    /// Address and port; the name of a socket that has none.
    Endpoint,
    /// A moment, to the millisecond.
    Time,
    /// Numbers, none to many.
    Numbers,
}

impl ValueKind {
    /// Whether a table puts it against the right edge.
    pub const fn is_number(self) -> bool {
        matches!(self, ValueKind::Number | ValueKind::Decimal)
    }
}

/// What must be asked of the system before a column can be read. A set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u32);

impl Needs {
    /// Nothing but the row itself.
    pub const NONE: Needs = Needs(0);
    /// The processes that hold a socket.
    pub const OWNERS: Needs = Needs(1);
    /// Their program files.
    pub const IMAGE: Needs = Needs(1 << 1 | 1);
    /// Their short names, and how they were started.
    pub const NAMES: Needs = Needs(1 << 14 | 1);
    /// The units and containers they run in.
    pub const COMPONENTS: Needs = Needs(1 << 2 | 1);
    /// Names of users.
    pub const USERS: Needs = Needs(1 << 3);
    /// Names of foreign hosts: may send queries to a name server.
    pub const HOSTS: Needs = Needs(1 << 4);
    /// Names of services.
    pub const SERVICES: Needs = Needs(1 << 5);
    /// Names of interfaces.
    pub const INTERFACES: Needs = Needs(1 << 6);
    /// What the kernel keeps at hand of a socket beside its addresses.
    pub const BASIC: Needs = Needs(1 << 7);
    /// The internals of TCP.
    pub const TCP: Needs = Needs(1 << 8);
    /// The congestion control's name.
    pub const CONGESTION: Needs = Needs(1 << 9);
    /// The memory of a socket.
    pub const MEMORY: Needs = Needs(1 << 10);
    /// Paths of control groups.
    pub const CGROUPS: Needs = Needs(1 << 11 | 1 << 7);
    /// Other network namespaces.
    pub const NAMESPACES: Needs = Needs(1 << 12);
    /// How long sockets have been in their states, from wherever that can be had.
    pub const STATE_TIMES: Needs = Needs(1 << 13 | 1 << 7);
    /// The interfaces and addresses of the namespaces, and whether sockets of IPv6 take IPv4.
    pub const NETWORKS: Needs = Needs(1 << 15 | 1 << 7);
    /// Bytes per second: takes two looks.
    pub const RATES: Needs = Needs(1 << 16 | 1 << 8);
    /// The names that programs asked for, from DNS answers seen.
    pub const ASKED_NAMES: Needs = Needs(1 << 17);
    /// Countries and autonomous systems of foreign addresses.
    pub const LOCATIONS: Needs = Needs(1 << 18);

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Needs) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in either.
    pub const fn and(self, other: Needs) -> Needs {
        Needs(self.0 | other.0)
    }

    /// What is in any of `all`.
    pub fn all(all: impl IntoIterator<Item = Needs>) -> Needs {
        all.into_iter().fold(Needs::NONE, Needs::and)
    }
}

/// The column of `T` called `name`, in any case of letter and with hyphens or underscores.
pub fn find<T: Table>(name: &str) -> Option<&'static Column<T>> {
    let same = |own: &str| {
        own.len() == name.len()
            && own.bytes().zip(name.bytes()).all(|(own, typed)| match typed {
                b'-' => own == b'_',
                typed => own == typed.to_ascii_lowercase(),
            })
    };
    T::columns().iter().find(|column| same(column.name))
}

/// The columns of `T` called `names`, in that order. For lists in the source code, whose names are tested: a name that no column
/// has is left out.
pub fn named<T: Table>(names: &[&str]) -> Vec<&'static Column<T>> {
    names.iter().filter_map(|name| find(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_sound<T: Table>() {
        let columns = T::columns();
        for (at, column) in columns.iter().enumerate() {
            let name = column.name;
            assert!(
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
            assert!(columns[..at].iter().all(|other| other.name != name), "{name} twice");
            assert!(!column.heading.is_empty() && !column.meaning.is_empty(), "{name}");
            assert!(!column.meaning.ends_with('.'), "{name}");
            assert_eq!(find::<T>(&name.to_uppercase().replace('_', "-")), Some(column));
        }
    }

    #[test]
    fn the_list_of_columns_is_sound() {
        is_sound::<Sockets>();
        is_sound::<Interfaces>();
        is_sound::<Routes>();
    }

    #[test]
    fn lists_in_the_program_name_columns_that_exist() {
        for list in [
            WIDE,
            DEFAULT_MACHINE,
            owner_columns(Needs::IMAGE.and(Needs::COMPONENTS)),
        ] {
            assert_eq!(named::<Sockets>(list).len(), list.len());
        }
    }

    #[test]
    fn a_program_file_needs_its_process() {
        assert!(Needs::IMAGE.contains(Needs::OWNERS) && !Needs::OWNERS.contains(Needs::IMAGE));
        assert_eq!(Needs::all([Needs::IMAGE, Needs::OWNERS]), Needs::IMAGE);
    }
}
