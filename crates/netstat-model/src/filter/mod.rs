//! Which sockets are wanted: one filter for every command.

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

/// What a socket must be to be shown. Kinds are joined by AND, the values of one kind by OR; an empty kind lets all through, so
/// that the default filters nothing.
///
/// Written and read as the arguments of a command line: `--state LISTENING,TIME_WAIT --port 443,8000-8010`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// `--state`: the states wanted. UDP has none (RFC 768), so with states named no UDP socket is shown.
    pub states: States,
    /// `--port`: the ports wanted, on either side.
    pub ports: Ports,
    /// `--local`: what the local side may be.
    pub local: Sides,
    /// `--foreign`: what the foreign side may be.
    pub foreign: Sides,
    /// `--pid`: one of these processes holds it.
    pub pids: Pids,
    /// `--program`: a process with such a program file holds it.
    pub programs: Globs,
    /// `--user`: one of these users made it.
    pub users: Users,
    /// `--unit`: a process in such a unit or container holds it.
    pub units: Globs,
    /// `--listening`: TCP that listens, and what else takes packets from anyone.
    pub listening: bool,
    /// `--established`: TCP connections in ESTABLISHED.
    pub established: bool,
    /// `--public`: the foreign side is not private, loopback or link-local; see [`crate::reach::is_public`].
    pub public: bool,
    /// `--exposed`: listens on more than loopback.
    pub exposed: bool,
}

/// What a filter looks at: a socket, or a connection of the past.
pub trait Subject {
    /// The protocol.
    fn protocol(&self) -> Protocol;
    /// The state; see [`State`] for what it means where the protocol has none.
    fn state(&self) -> State;
    /// The local side; its scope is also that of the device that the socket is bound to.
    fn local(&self) -> Endpoint;
    /// The foreign side likewise; port 0 and no address where there is none.
    fn foreign(&self) -> Endpoint;
    /// The user who made it, where known.
    fn user(&self) -> Option<u32>;
}

/// The holders of a subject, as far as a filter asks.
pub trait Holders {
    /// Whether the id of one of them is `wanted`.
    fn any_pid(&self, wanted: &dyn Fn(u32) -> bool) -> bool;
    /// Whether one of the names that a program is known by is `wanted`: the path of its file, its short name, the name it was
    /// called by, its script.
    fn any_program(&self, wanted: &dyn Fn(&[u8]) -> bool) -> bool;
    /// Whether the name of one unit or container (also `RUNTIME ID`) is `wanted`.
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

/// `end` with the device that the socket is bound to, which says over which interface packets come and go.
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

/// Whether `subject` takes packets from anyone: TCP in LISTEN, or another protocol's socket that has no peer.
fn listens(subject: &impl Subject) -> bool {
    match subject.protocol() {
        protocol if protocol.has_states() => subject.state() == State::Listening,
        _ => subject.foreign().port == 0 && subject.foreign().address.is_unspecified(),
    }
}

impl Filter {
    /// Whether everything is let through.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether it asks for something that only the holders of a socket can answer.
    pub fn needs_owners(&self) -> bool {
        !(self.pids.is_empty() && self.programs.is_empty() && self.units.is_empty())
    }

    /// Whether it names the states wanted, in whatever way, so that no other choice of states is needed.
    pub fn names_states(&self) -> bool {
        !self.states.is_empty() || self.listening || self.established || self.exposed
    }

    /// Whether it may let a socket in this TCP state through.
    pub fn allows_state(&self, state: State) -> bool {
        (self.states.is_empty() || self.states.contains(state))
            && (!(self.listening || self.exposed) || state == State::Listening)
            && (!self.established || state == State::Established)
    }

    /// Whether it may let a socket of a protocol without states through.
    pub fn allows_stateless(&self) -> bool {
        self.states.is_empty() && !self.established
    }

    /// Whether `subject` is wanted, as far as its socket says; [`Filter::wants_holders`] is the rest.
    pub fn wants(&self, subject: &impl Subject) -> bool {
        let (local, foreign) = (subject.local(), subject.foreign());
        let protocol = subject.protocol();
        let state = match protocol.has_states() {
            true => self.allows_state(subject.state()),
            false => self.allows_stateless(),
        };
        // What has no ports matches none, whatever number is in its place.
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

    /// Whether the holders of a subject are wanted. True where the filter asks nothing about them.
    pub fn wants_holders(&self, holders: &impl Holders) -> bool {
        (self.pids.is_empty() || holders.any_pid(&|pid| self.pids.contains(pid)))
            && (self.programs.is_empty() || holders.any_program(&|path| self.programs.matches_path(path)))
            && (self.units.is_empty() || holders.any_unit(&|name| self.units.matches(name)))
    }

    /// The host names in it, each once, whose addresses [`Filter::resolve_host`] wants to know.
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

    /// Says which addresses a host has.
    pub fn resolve_host(&mut self, name: &str, addresses: &[std::net::IpAddr]) {
        self.local.resolve(name, addresses);
        self.foreign.resolve(name, addresses);
    }

    /// The names of interfaces in it, each once, whose numbers [`Filter::resolve_zone`] wants to know.
    pub fn zones(&self) -> Vec<String> {
        let zones = self.local.zones().chain(self.foreign.zones());
        let mut names: Vec<String> = zones.map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Says which number an interface has.
    pub fn resolve_zone(&mut self, name: &str, index: u32) {
        self.local.resolve_zone(name, index);
        self.foreign.resolve_zone(name, index);
    }

    /// Reads one option: `--port` with its list, or `--listening` without.
    ///
    /// # Errors
    /// When there is no such option, or its value means nothing.
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

    /// Adds what `other` asks for: more values of a kind let more through, another kind less.
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

/// Whether `option` takes no list after it.
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

    /// Reads arguments separated by blanks, with quotes around those that hold a blank; values of an option given twice add up.
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

/// Writes `words` with commas between them.
fn list<W: fmt::Display>(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = W>) -> fmt::Result {
    for (at, word) in words.enumerate() {
        write!(f, "{}{word}", if at == 0 { "" } else { "," })?;
    }
    Ok(())
}
