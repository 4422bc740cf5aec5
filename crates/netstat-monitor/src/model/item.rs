//! A row of a pane: which process, socket, unit or disk it shows.

use std::sync::Arc;

use netstat_model::metrics::ProcessKey;

use super::{Model, Presence};

/// Names a row, whatever its position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowId {
    /// A process.
    Process(ProcessKey),
    /// A socket.
    Socket(u64),
    /// Short connections of a program with a peer.
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
    /// In [`Model::processes`].
    Process(u32),
    /// In [`Model::sockets`].
    Socket(u32),
    /// In [`super::Sockets::brief`].
    Brief(u32),
    /// In the groups of the pane.
    Group(u32),
    /// In [`Model::units`].
    Unit(u32),
    /// In [`Model::disks`].
    Disk(u32),
}

impl Item {
    /// What names the row; `None` for a group, which the model does not know.
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

    /// The process it is, or the one that holds it.
    pub fn process(self, model: &Model) -> Option<ProcessKey> {
        match self {
            Item::Process(at) => Some(model.processes[at as usize].key),
            Item::Socket(at) => model.sockets.row(at as usize).process(),
            Item::Brief(at) => model.sockets.brief[at as usize].row.process(),
            Item::Group(_) | Item::Unit(_) | Item::Disk(_) => None,
        }
    }

    /// Whether it is new, here or gone.
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
    /// What it shows.
    pub item: Item,
    /// Its depth in a tree.
    pub depth: u16,
}
