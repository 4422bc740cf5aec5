//! The values of `--state`.

use std::fmt;
use std::str::FromStr;

use super::error::{FilterError, Mistake};
use super::list;
use crate::State;

/// A set of TCP states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct States(pub(super) u16);

impl States {
    /// Alternative names besides [`State::name`], with underscores: those of RFC 9293 (3.3.2), and as Linux programs
    /// print them.
    const ALSO: [(&'static str, State); 5] = [
        ("LISTEN", State::Listening),
        ("ESTAB", State::Established),
        ("SYN_RECV", State::SynReceived),
        ("FIN_WAIT1", State::FinWait1),
        ("FIN_WAIT2", State::FinWait2),
    ];

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set contains `state`.
    pub const fn contains(self, state: State) -> bool {
        self.0 & 1 << state as u8 != 0
    }

    /// Adds every state of `other` to the set.
    pub fn add(&mut self, other: States) {
        self.0 |= other.0;
    }

    /// Returns an iterator over the states in the set, in the order of [`State::ALL`].
    pub fn iter(self) -> impl Iterator<Item = State> {
        State::ALL.into_iter().filter(move |state| self.contains(*state))
    }

    /// Returns the state with the name `word`, in any letter case and with hyphens (as in RFC 9293) or underscores.
    fn state(word: &str) -> Option<State> {
        let is = |name: &str| {
            word.len() == name.len()
                && word.bytes().zip(name.bytes()).all(|(typed, letter)| match typed {
                    b'-' => letter == b'_',
                    typed => typed.eq_ignore_ascii_case(&letter),
                })
        };
        let names = State::ALL.into_iter().map(|state| (state.name(), state));
        names
            .chain(States::ALSO)
            .find_map(|(name, state)| is(name).then_some(state))
    }
}

impl FromIterator<State> for States {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> States {
        States(states.into_iter().fold(0, |bits, state| bits | 1 << state as u8))
    }
}

impl fmt::Display for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.iter().map(State::name))
    }
}

impl FromStr for States {
    type Err = FilterError;

    /// Parses one or more names separated by commas.
    fn from_str(list: &str) -> Result<States, FilterError> {
        list.split(',')
            .map(|word| States::state(word).ok_or_else(|| FilterError::new(word, Mistake::State)))
            .collect()
    }
}
