//! Filters that select sockets, shared by all commands.

mod error;
mod glob;
mod ids;
mod network;
mod ports;
mod side;
mod states;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::str::FromStr;

pub use error::FilterError;
pub use glob::Globs;
pub use ids::{Pids, Users};
pub use network::Network;
pub use ports::Ports;
pub use side::{Side, Sides};
pub use states::States;

use crate::reach::{is_loopback, is_public};
use crate::{Component, Endpoint, Owner, Protocol, Socket, State};
use error::Mistake;

/// A condition on sockets. Different options are combined with AND, the values of one option with OR. An option without
/// values accepts everything, so the default filter accepts every socket.
///
/// A filter is written and parsed as command-line arguments: `--state LISTENING,TIME_WAIT --port 443,8000-8010`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// `--state`: accepts these states. UDP has none (RFC 768), so no UDP socket matches if states are given.
    pub states: States,
    /// `--port`: accepts these ports on either side.
    pub ports: Ports,
    /// `--local`: accepts these local addresses and ports.
    pub local: Sides,
    /// `--foreign`: accepts these foreign addresses and ports.
    pub foreign: Sides,
    /// `--pid`: accepts sockets held by one of these processes.
    pub pids: Pids,
    /// `--program`: accepts sockets held by a process whose program matches.
    pub programs: Globs,
    /// `--user`: accepts sockets created by one of these users.
    pub users: Users,
    /// `--unit`: accepts sockets held by a process in a matching unit or container.
    pub units: Globs,
    /// `--listening`: accepts TCP listeners, and sockets of other protocols that receive from anyone.
    pub listening: bool,
    /// `--established`: accepts TCP connections in ESTABLISHED.
    pub established: bool,
    /// `--public`: accepts foreign addresses that are not private, loopback or link-local; see
    /// [`crate::reach::is_public`].
    pub public: bool,
    /// `--exposed`: accepts sockets that listen on more than loopback.
    pub exposed: bool,
}

/// Something a filter can be applied to: a socket, or a past connection.
pub trait Subject {
    /// Returns the protocol.
    fn protocol(&self) -> Protocol;
    /// Returns the state; see [`State`] for its meaning if the protocol has none.
    fn state(&self) -> State;
    /// Returns the local side. Its scope is the interface that the socket is bound to, whatever the address.
    fn local(&self) -> Endpoint;
    /// Returns the foreign side, with the same scope; port 0 and an unspecified address if there is none.
    fn foreign(&self) -> Endpoint;
    /// Returns the id of the user who created it; `None` if unknown.
    fn user(&self) -> Option<u32>;
}

/// The holders of a [`Subject`], as far as filters need them.
pub trait Holders {
    /// Whether `wanted` is true for the process id of any holder.
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool;
    /// Whether `wanted` is true for any name of any holder's program: the path of its file, its short name, the name it
    /// was invoked by, its script.
    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool;
    /// Whether `wanted` is true for the name of any unit or container of any holder. Containers also have the name
    /// `RUNTIME ID`.
    fn any_unit(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool;
}

impl Subject for Socket {
    fn protocol(&self) -> Protocol {
        Socket::protocol(self)
    }

    fn state(&self) -> State {
        Socket::state(self)
    }

    fn local(&self) -> Endpoint {
        on_device(self, Socket::local(self))
    }

    fn foreign(&self) -> Endpoint {
        on_device(self, Socket::foreign(self))
    }

    fn user(&self) -> Option<u32> {
        Socket::user(self).known()
    }
}

/// Returns `end` scoped to the interface that the socket is bound to, over which its packets come and go.
fn on_device(socket: &Socket, end: Endpoint) -> Endpoint {
    let bound = socket.interface().map_or(0, u32::from);
    Endpoint { scope: bound, ..end }
}

impl Holders for Owner<'_> {
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool {
        match self {
            Owner::Held(holders) => holders.iter().any(|process| wanted(process.pid)),
            Owner::None(_) => false,
        }
    }

    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        let Owner::Held(holders) = self else { return false };
        holders.iter().any(|process| process.names().any(wanted))
    }

    fn any_unit(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
        let Owner::Held(holders) = self else { return false };
        let is_wanted = |component: &Component| match component {
            Component::Unit { name, .. } | Component::Service { name } | Component::Package { name } => wanted(name),
            Component::Container { runtime, id } => {
                wanted(id) || wanted(&[runtime.name().as_bytes(), b" ", id].concat())
            }
        };
        holders
            .iter()
            .filter_map(|process| process.components.as_ref().known())
            .any(|components| components.iter().any(is_wanted))
    }
}

/// Whether `subject` receives from anyone: a protocol with states in LISTEN, or a socket of another protocol without a
/// peer.
fn listens(subject: &impl Subject) -> bool {
    match subject.protocol() {
        protocol if protocol.has_states() => subject.state() == State::Listening,
        _ => subject.foreign().port == 0 && subject.foreign().address.is_unspecified(),
    }
}

impl Filter {
    /// Whether the filter accepts everything.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether the filter has conditions on the holders of a socket.
    pub fn needs_owners(&self) -> bool {
        !(self.pids.is_empty() && self.programs.is_empty() && self.units.is_empty())
    }

    /// Whether the filter restricts the states in any way, so that no other selection of states is needed.
    pub fn names_states(&self) -> bool {
        !self.states.is_empty() || self.listening || self.established || self.exposed
    }

    /// Whether the filter can accept a TCP socket in this state.
    pub fn allows_state(&self, state: State) -> bool {
        (self.states.is_empty() || self.states.contains(state))
            && (!(self.listening || self.exposed) || state == State::Listening)
            && (!self.established || state == State::Established)
    }

    /// Whether the filter can accept a socket of a protocol without states.
    pub fn allows_stateless(&self) -> bool {
        self.states.is_empty() && !self.established
    }

    /// Whether the filter accepts `subject`, apart from conditions on its holders; see [`Filter::wants_holders`] for
    /// those.
    pub fn wants(&self, subject: &impl Subject) -> bool {
        let (local, foreign) = (subject.local(), subject.foreign());
        let protocol = subject.protocol();
        let state = match protocol.has_states() {
            true => self.allows_state(subject.state()),
            false => self.allows_stateless(),
        };
        // A protocol without ports matches no port, whatever number is in its place.
        let port = |port| protocol.has_ports() && self.ports.contains(port);
        let ports = self.ports.is_empty() || port(local.port) || port(foreign.port);
        let side = |sides: &Sides, end| sides.is_empty() || (protocol.is_ip() && sides.matches(end));
        state
            && ports
            && side(&self.local, &local)
            && side(&self.foreign, &foreign)
            && (self.users.is_empty() || subject.user().is_some_and(|user| self.users.contains(user)))
            && (!self.listening || listens(subject))
            && (!self.public || (protocol.is_ip() && is_public(foreign.address)))
            && (!self.exposed || (listens(subject) && !is_loopback(local.address)))
    }

    /// Whether the filter accepts the holders of a subject; `true` if it has no conditions on them.
    pub fn wants_holders(&self, holders: &impl Holders) -> bool {
        (self.pids.is_empty() || holders.any_pid(&|pid| self.pids.contains(pid)))
            && (self.programs.is_empty() || holders.any_program(&|path| self.programs.matches_path(path)))
            && (self.units.is_empty() || holders.any_unit(&|name| self.units.matches(name)))
    }

    /// Returns the host names in the filter, without duplicates. [`Filter::resolve_host`] must be told their addresses.
    pub fn hosts(&self) -> Vec<String> {
        let mut names: Vec<String> = [self.local.hosts(), self.foreign.hosts()]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Sets the addresses of a host name. Until then the name matches nothing.
    pub fn resolve_host(&mut self, name: &str, addresses: &[std::net::IpAddr]) {
        self.local.resolve(name, addresses);
        self.foreign.resolve(name, addresses);
    }

    /// Returns the interface names in the filter, without duplicates. [`Filter::resolve_zone`] must be told their
    /// indexes.
    pub fn zones(&self) -> Vec<String> {
        let zones = self.local.zones().chain(self.foreign.zones());
        let mut names: Vec<String> = zones.map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Sets the index of an interface name. Until then the name matches nothing.
    pub fn resolve_zone(&mut self, name: &str, index: u32) {
        self.local.resolve_zone(name, index);
        self.foreign.resolve_zone(name, index);
    }

    /// Adds one option: `--port` with its list of values, or `--listening` without one.
    ///
    /// # Errors
    /// Returns an error if there is no such option or its value is invalid.
    pub fn add(&mut self, option: &str, value: Option<&str>) -> Result<(), FilterError> {
        let flag = match option {
            "--listening" => Some(&mut self.listening),
            "--established" => Some(&mut self.established),
            "--public" => Some(&mut self.public),
            "--exposed" => Some(&mut self.exposed),
            _ => None,
        };
        if let Some(flag) = flag {
            if let Some(value) = value {
                return Err(FilterError::new(value, Mistake::Value));
            }
            *flag = true;
            return Ok(());
        }
        let list = value.unwrap_or_default();
        match option {
            "--state" => self.states.add(list.parse()?),
            "--port" => self.ports.add(&list.parse()?),
            "--local" => self.local.add(list.parse()?),
            "--foreign" => self.foreign.add(list.parse()?),
            "--pid" => self.pids.add(&list.parse()?),
            "--program" => self.programs.add(list.parse()?),
            "--user" => self.users.add(list.parse()?),
            "--unit" => self.units.add(list.parse()?),
            _ => return Err(FilterError::new(option, Mistake::Option)),
        }
        Ok(())
    }

    /// Adds the conditions of `other`. More values of the same option accept more, further options accept less.
    pub fn join(&mut self, other: Filter) {
        self.states.add(other.states);
        self.ports.add(&other.ports);
        self.local.add(other.local);
        self.foreign.add(other.foreign);
        self.pids.add(&other.pids);
        self.programs.add(other.programs);
        self.users.add(other.users);
        self.units.add(other.units);
        self.listening |= other.listening;
        self.established |= other.established;
        self.public |= other.public;
        self.exposed |= other.exposed;
    }
}

/// Whether `option` takes no value.
fn is_flag(option: &str) -> bool {
    matches!(option, "--listening" | "--established" | "--public" | "--exposed")
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: [(&str, bool, &dyn fmt::Display); 8] = [
            ("--state", self.states.is_empty(), &self.states),
            ("--port", self.ports.is_empty(), &self.ports),
            ("--local", self.local.is_empty(), &self.local),
            ("--foreign", self.foreign.is_empty(), &self.foreign),
            ("--pid", self.pids.is_empty(), &self.pids),
            ("--program", self.programs.is_empty(), &self.programs),
            ("--user", self.users.is_empty(), &self.users),
            ("--unit", self.units.is_empty(), &self.units),
        ];
        let flags = [
            ("--listening", self.listening),
            ("--established", self.established),
            ("--public", self.public),
            ("--exposed", self.exposed),
        ];
        let mut between = "";
        for (option, empty, value) in kinds {
            if !empty {
                write!(f, "{between}{option} {}", words::quoted(&value.to_string()))?;
                between = " ";
            }
        }
        for (option, _) in flags.into_iter().filter(|(_, set)| *set) {
            write!(f, "{between}{option}")?;
            between = " ";
        }
        Ok(())
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// Parses arguments separated by spaces; those that contain a space are quoted. Values of a repeated option add up.
    fn from_str(text: &str) -> Result<Filter, FilterError> {
        let mut filter = Filter::default();
        let mut words = words::split(text)?.into_iter();
        while let Some(word) = words.next() {
            let (option, list) = match word.split_once('=') {
                Some((option, list)) => (option, Some(list.to_owned())),
                None => (word.as_str(), None),
            };
            let option = option.to_ascii_lowercase();
            let list = match list {
                None if !is_flag(&option) => Some(words.next().unwrap_or_default()),
                list => list,
            };
            filter.add(&option, list.as_deref())?;
        }
        Ok(filter)
    }
}

/// Writes `words` separated by commas.
fn list<W: fmt::Display>(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = W>) -> fmt::Result {
    for (at, word) in words.enumerate() {
        write!(f, "{}{word}", if at == 0 { "" } else { "," })?;
    }
    Ok(())
}
