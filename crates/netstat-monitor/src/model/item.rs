//! A row of a pane: the process, socket, unit or disk that it shows.

use std::sync::Arc;

use netstat_model::metrics::ProcessKey;

use super::{Model, Presence};

/// Identifies a row, regardless of its position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowId {
    /// A process.
    Process(ProcessKey),
    /// A socket.
    Socket(u64),
    /// Short connections between a program and a remote address.
    Brief(u64),
    /// A group of sockets, by its label.
    Group(Arc<str>),
    /// A unit.
    Unit(Arc<str>),
    /// A disk.
    Disk(Arc<str>),
}

/// The index of what a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// An index into [`Model::processes`].
    Process(u32),
    /// An index into [`Model::sockets`].
    Socket(u32),
    /// An index into [`super::Sockets::brief`].
    Brief(u32),
    /// An index into the groups of the pane.
    Group(u32),
    /// An index into [`Model::units`].
    Unit(u32),
    /// An index into [`Model::disks`].
    Disk(u32),
}

impl Item {
    /// Returns the identity of the row; `None` for a group, which is not part of the model.
    pub fn id(self, model: &Model) -> Option<RowId> {
        Some(match self {
            Item::Process(at) => RowId::Process(model.processes[at as usize].key),
            Item::Socket(at) => RowId::Socket(model.sockets.row(at as usize).id),
            Item::Brief(at) => RowId::Brief(model.sockets.brief[at as usize].id),
            Item::Group(_) => return None,
            Item::Unit(at) => RowId::Unit(Arc::clone(&model.units[at as usize].name)),
            Item::Disk(at) => RowId::Disk(Arc::clone(&model.disks[at as usize].name)),
        })
    }

    /// Returns the process that the row shows, or that holds what it shows.
    pub fn process(self, model: &Model) -> Option<ProcessKey> {
        match self {
            Item::Process(at) => Some(model.processes[at as usize].key),
            Item::Socket(at) => model.sockets.row(at as usize).process(),
            Item::Brief(at) => model.sockets.brief[at as usize].row.process(),
            Item::Group(_) | Item::Unit(_) | Item::Disk(_) => None,
        }
    }

    /// Whether the item is new, present or gone.
    pub fn presence(self, model: &Model) -> Presence {
        match self {
            Item::Process(at) => model.processes[at as usize].presence,
            Item::Socket(at) => model.sockets.flow(at as usize).presence,
            Item::Brief(_) | Item::Group(_) | Item::Unit(_) | Item::Disk(_) => Presence::Here,
        }
    }
}

/// A row of a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneRow {
    /// The item that it shows.
    pub item: Item,
    /// Its depth in a tree.
    pub depth: u16,
}
