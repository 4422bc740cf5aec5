//! Columns: the facts of a row that can be shown, with their names and units. Text tables, CSV, JSON, sorting, grouping
//! and the documentation all use these lists, so that a fact has the same name everywhere.

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

/// A kind of row and its columns.
pub trait Table: Copy + Eq + std::fmt::Debug + 'static {
    /// A row.
    type Row<'a>;

    /// What a row is, in one word: `socket`.
    const ROW: &'static str;

    /// Returns all columns in the order in which they are listed. No name occurs twice.
    fn columns() -> &'static [Column<Self>];
}

/// A function that reads a column's value from a row.
pub type Getter<T> = for<'r, 'a> fn(&'r <T as Table>::Row<'a>) -> Value<'r>;

/// A fact of a row.
pub struct Column<T: Table> {
    /// The name in options, CSV and JSON: lower case with underscores.
    pub name: &'static str,
    /// The heading in a table.
    pub heading: &'static str,
    /// A short description.
    pub meaning: &'static str,
    /// The unit of the values, such as `bytes` or `µs`; empty if there is none.
    pub unit: &'static str,
    /// The kind of the values.
    pub kind: ValueKind,
    /// What must be read from the system for this column.
    pub needs: Needs,
    /// Reads the value from a row.
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

/// The kind of a column's values. Any column can also have unknown values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Text from a fixed vocabulary or from outside, possibly empty.
    Text,
    /// An unsigned integer.
    Number,
    /// A number with a fraction.
    Decimal,
    /// Yes or no.
    Flag,
    /// An IP address without a port.
    Address,
    /// An address and a port, or the name of a socket that has none.
    Endpoint,
    /// A point in time, with millisecond precision.
    Time,
    /// A list of numbers, possibly empty.
    Numbers,
}

impl ValueKind {
    /// Whether a table aligns it to the right.
    pub const fn is_number(self) -> bool {
        matches!(self, ValueKind::Number | ValueKind::Decimal)
    }
}

/// A set of facts that must be read from the system before a column can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u32);

impl Needs {
    /// Nothing but the row itself.
    pub const NONE: Needs = Needs(0);
    /// The processes that hold sockets.
    pub const OWNERS: Needs = Needs(1);
    /// The program files of the holders.
    pub const IMAGE: Needs = Needs(1 << 1 | 1);
    /// The short names of the holders, and how they were started.
    pub const NAMES: Needs = Needs(1 << 14 | 1);
    /// The units and containers the holders run in.
    pub const COMPONENTS: Needs = Needs(1 << 2 | 1);
    /// User names.
    pub const USERS: Needs = Needs(1 << 3);
    /// Names of foreign hosts; may send queries to a name server.
    pub const HOSTS: Needs = Needs(1 << 4);
    /// Service names.
    pub const SERVICES: Needs = Needs(1 << 5);
    /// Interface names.
    pub const INTERFACES: Needs = Needs(1 << 6);
    /// Facts about a socket that are cheap for the kernel to report, in addition to its addresses.
    pub const BASIC: Needs = Needs(1 << 7);
    /// The internals of TCP connections.
    pub const TCP: Needs = Needs(1 << 8);
    /// The name of the congestion control algorithm.
    pub const CONGESTION: Needs = Needs(1 << 9);
    /// The memory that sockets use.
    pub const MEMORY: Needs = Needs(1 << 10);
    /// Paths of control groups.
    pub const CGROUPS: Needs = Needs(1 << 11 | 1 << 7);
    /// Other network namespaces.
    pub const NAMESPACES: Needs = Needs(1 << 12);
    /// How long sockets have been in their states, from any source.
    pub const STATE_TIMES: Needs = Needs(1 << 13 | 1 << 7);
    /// The interfaces and addresses of the network namespaces, and whether IPv6 sockets accept IPv4.
    pub const NETWORKS: Needs = Needs(1 << 15 | 1 << 7);
    /// Bytes per second, which requires two snapshots.
    pub const RATES: Needs = Needs(1 << 16 | 1 << 8);
    /// The names that programs asked for, from observed DNS answers.
    pub const ASKED_NAMES: Needs = Needs(1 << 17);
    /// The countries and autonomous systems of foreign addresses.
    pub const LOCATIONS: Needs = Needs(1 << 18);

    /// Whether the set contains everything in `other`.
    pub const fn contains(self, other: Needs) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the union of both sets.
    pub const fn and(self, other: Needs) -> Needs {
        Needs(self.0 | other.0)
    }

    /// Returns the union of all sets.
    pub fn all(all: impl IntoIterator<Item = Needs>) -> Needs {
        all.into_iter().fold(Needs::NONE, Needs::and)
    }
}

/// Returns the column of `T` with the name `name`, ignoring letter case and accepting hyphens for underscores; `None`
/// if there is none.
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

/// Returns the columns of `T` with the given names, in that order. It is meant for lists in the source code, whose
/// names are tested: an unknown name is left out.
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
    fn column_lists_of_all_tables_are_sound() {
        is_sound::<Sockets>();
        is_sound::<Interfaces>();
        is_sound::<Routes>();
    }

    #[test]
    fn default_column_lists_name_only_existing_columns() {
        for list in [
            WIDE,
            DEFAULT_MACHINE,
            owner_columns(Needs::IMAGE.and(Needs::COMPONENTS)),
        ] {
            assert_eq!(named::<Sockets>(list).len(), list.len());
        }
    }

    #[test]
    fn needs_of_program_file_include_those_of_owners() {
        assert!(Needs::IMAGE.contains(Needs::OWNERS) && !Needs::OWNERS.contains(Needs::IMAGE));
        assert_eq!(Needs::all([Needs::IMAGE, Needs::OWNERS]), Needs::IMAGE);
    }
}
