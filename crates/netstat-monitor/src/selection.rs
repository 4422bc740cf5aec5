//! What is chosen to be seen: marked processes and a filter.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use netstat_model::metrics::ProcessKey;
use netstat_model::{Component, Filter, Globs, Holders, Pids, Protocol, State, Subject, Users};

use crate::model::{ClosedRow, Model, ProcessRow};
use crate::sample::SocketRow;

/// The marks and the filter.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Marked processes: the other panes and the graphs show only theirs.
    pub marks: BTreeMap<ProcessKey, Arc<str>>,
    /// The filter as it was typed, and what it means.
    pub filter: Option<(String, Filter)>,
    /// The processes that hold a socket that the filter wants; filled in for each model.
    holders: HashSet<ProcessKey>,
    /// Whether the filter asks something that only a socket can answer.
    about_sockets: bool,
}

/// The options of the filter language, without their dashes; those that take a value stand in front.
const WORDS: [&str; 12] = [
    "state",
    "port",
    "local",
    "foreign",
    "pid",
    "program",
    "user",
    "unit",
    "listening",
    "established",
    "public",
    "exposed",
];

/// So many of [`WORDS`] take a value.
const VALUED: usize = 8;

/// Reads what was typed: the options of the list's filter, with or without their dashes, or a part of a program's name.
///
/// # Errors
/// One line that names the wrong word and says what is allowed.
pub fn parse_filter(text: &str, users: &BTreeMap<u32, Arc<str>>) -> Result<Filter, String> {
    let first = text.split([' ', '=']).next().unwrap_or_default();
    let mut filter: Filter = if first.starts_with("--") {
        text.parse()
            .map_err(|error: netstat_model::FilterError| error.to_string())?
    } else if WORDS.contains(&first.to_ascii_lowercase().as_str()) {
        let mut is_value = false;
        let dashed: Vec<String> = text
            .split(' ')
            .map(|word| {
                let name = word.split('=').next().unwrap_or_default().to_ascii_lowercase();
                let option = WORDS.iter().position(|known| !is_value && *known == name);
                is_value = option.is_some_and(|at| at < VALUED && !word.contains('='));
                match option {
                    Some(_) => format!("--{word}"),
                    None => word.to_owned(),
                }
            })
            .collect();
        dashed
            .join(" ")
            .parse()
            .map_err(|error: netstat_model::FilterError| error.to_string())?
    } else {
        let mut filter = Filter::default();
        let part = format!("*{}*", text.trim());
        filter
            .add("--program", Some(&part))
            .map_err(|error| error.to_string())?;
        filter
    };
    if let Some(host) = filter.hosts().first() {
        return Err(format!(
            "\"{host}\": write an address or a network; names of hosts are not looked up for a filter here"
        ));
    }
    let names: Vec<String> = filter.users.names().map(str::to_owned).collect();
    for name in names {
        match users.iter().find(|(_, known)| ***known == *name) {
            Some((&id, _)) => filter.users.resolve(&name, id),
            None => {
                return Err(format!(
                    "no process here belongs to a user \"{name}\": write the number of the user"
                ));
            }
        }
    }
    Ok(filter)
}

impl Selection {
    /// Finds out what the filter means for the processes of `model`.
    pub fn look_at(&mut self, model: &Model) {
        self.holders.clear();
        self.about_sockets = false;
        if let Some((_, filter)) = &self.filter {
            let closed = model.sockets.closed.iter().map(|closed| &closed.row);
            let all = model.sockets.open.iter().chain(closed);
            let wanted = all.filter(|row| filter.wants(*row));
            self.holders = wanted.filter_map(SocketRow::process).collect();
            let mut rest = filter.clone();
            rest.pids = Pids::default();
            rest.programs = Globs::default();
            rest.units = Globs::default();
            rest.users = Users::default();
            self.about_sockets = !rest.is_empty();
        }
    }

    /// Whether everything is shown.
    pub fn is_all(&self) -> bool {
        self.marks.is_empty() && self.filter.is_none()
    }

    /// Whether the filter lets a process through.
    pub fn wants_process(&self, row: &ProcessRow) -> bool {
        let Some((_, filter)) = &self.filter else { return true };
        if self.about_sockets {
            return self.holders.contains(&row.key) && filter.wants_holders(row);
        }
        let user = filter.users.is_empty() || row.user.known().is_some_and(|user| filter.users.contains(user));
        user && filter.wants_holders(row)
    }

    /// Whether a process is among the marked ones, or none is marked.
    pub fn in_marks(&self, key: Option<ProcessKey>) -> bool {
        self.marks.is_empty() || key.is_some_and(|key| self.marks.contains_key(&key))
    }

    /// Whether the filter lets the socket at `index` of the model through.
    pub fn wants_socket(&self, index: usize, model: &Model) -> bool {
        let Some((_, filter)) = &self.filter else { return true };
        let row = model.sockets.row(index);
        if !filter.wants(row) {
            return false;
        }
        if !filter.needs_owners() {
            return true;
        }
        match row.process().and_then(|key| model.process(key)) {
            Some(process) => filter.wants_holders(process),
            // One that came and went between two looks.
            None => model
                .sockets
                .closed(index)
                .is_some_and(|closed| filter.wants_holders(closed)),
        }
    }
}

impl Holders for ClosedRow {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        self.row.process().is_some_and(|key| wanted(key.pid))
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        self.name.as_ref().is_some_and(|name| wanted(name.as_bytes()))
    }

    fn any_unit(&self, _: &dyn Fn(&[u8]) -> bool) -> bool {
        false
    }
}

impl Holders for ProcessRow {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        wanted(self.key.pid)
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        match &self.identity.image {
            netstat_model::Fact::Known(image) => wanted(&image.path),
            netstat_model::Fact::Unknown(_) => wanted(&self.identity.comm),
        }
    }

    fn any_unit(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        let components = self.identity.components.as_ref().known().map_or(&[][..], Vec::as_slice);
        components.iter().any(|component| match component {
            Component::Unit { name, .. } => wanted(name),
            Component::Container { runtime, id } => {
                wanted(id) || wanted(&[runtime.name().as_bytes(), b" ", id].concat())
            }
        })
    }
}

/// Whether the pane of connections shows a socket: TCP that has, or had, a peer.
pub fn is_connection(row: &SocketRow) -> bool {
    let none = match row.state {
        State::Listening | State::Bound => true,
        // Of some that ended only the end is known.
        State::Closed => row.foreign.port == 0,
        _ => false,
    };
    row.protocol() == Protocol::Tcp && !none
}
