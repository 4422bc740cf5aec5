//! Which sockets are wanted: one filter for every command.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::{Protocol, Socket, State, text};

/// What a socket must be to be shown. Kinds are joined by AND, the values of one kind by OR; an empty kind lets all through, so
/// that the default is no filter at all.
///
/// Written and read as the words of a command line: `--state LISTENING,TIME_WAIT --port 443,8000-8010`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// `--state`: the states wanted. UDP has none (RFC 768), so with states named no UDP socket is shown.
    pub states: States,
    /// `--port`: the ports wanted, on either side.
    pub ports: Ports,
}

impl Filter {
    /// Whether everything is let through.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty() && self.ports.is_empty()
    }

    /// Whether `socket` is wanted.
    pub fn matches(&self, socket: &Socket) -> bool {
        let state =
            self.states.is_empty() || (socket.protocol() == Protocol::Tcp && self.states.contains(socket.state()));
        state && self.ports.matches(socket)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if !self.states.is_empty() {
            write!(f, "--state {}", self.states)?;
            between = " ";
        }
        if !self.ports.is_empty() {
            write!(f, "{between}--port {}", self.ports)?;
        }
        Ok(())
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// Reads words parted by blanks; a kind named twice adds up.
    fn from_str(words: &str) -> Result<Filter, FilterError> {
        let mut filter = Filter::default();
        let mut words = words.split_whitespace();
        while let Some(word) = words.next() {
            let (option, list) = match word.split_once('=') {
                Some((option, list)) => (option, list),
                None => (word, words.next().unwrap_or_default()),
            };
            match option.to_ascii_lowercase().as_str() {
                "--state" => filter.states.add(list.parse()?),
                "--port" => filter.ports.add(&list.parse()?),
                _ => return Err(FilterError::new(option, Mistake::Option)),
            }
        }
        Ok(filter)
    }
}

/// A set of TCP states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct States(u16);

impl States {
    /// Other spellings than [`State::name`], with underscores: of RFC 9293 (3.3.2), and as Linux programs print them.
    const ALSO: [(&'static str, State); 5] = [
        ("LISTEN", State::Listening),
        ("ESTAB", State::Established),
        ("SYN_RECV", State::SynReceived),
        ("FIN_WAIT1", State::FinWait1),
        ("FIN_WAIT2", State::FinWait2),
    ];

    /// Whether no state is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `state` is in it.
    pub const fn contains(self, state: State) -> bool {
        self.0 & 1 << state as u8 != 0
    }

    /// Adds every state of `other`.
    pub fn add(&mut self, other: States) {
        self.0 |= other.0;
    }

    /// The states in it, in the order of [`State::ALL`].
    pub fn iter(self) -> impl Iterator<Item = State> {
        State::ALL.into_iter().filter(move |state| self.contains(*state))
    }

    /// The state called `word`, in any case of letter, with hyphens (as in RFC 9293) or underscores.
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

    /// Reads names parted by commas, at least one.
    fn from_str(list: &str) -> Result<States, FilterError> {
        list.split(',')
            .map(|word| States::state(word).ok_or_else(|| FilterError::new(word, Mistake::State)))
            .collect()
    }
}

/// A set of ports, each from 1 to 65535: 0 stands for a side without a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    /// By rising port, with at least one port between two ranges.
    ranges: Vec<RangeInclusive<u16>>,
}

impl Ports {
    /// Whether no port is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `port` is in it.
    pub fn contains(&self, port: u16) -> bool {
        let next = self.ranges.partition_point(|range| *range.end() < port);
        self.ranges.get(next).is_some_and(|range| *range.start() <= port)
    }

    /// Whether a side of `socket` has one of these ports, or the set is empty.
    pub fn matches(&self, socket: &Socket) -> bool {
        self.is_empty() || self.contains(socket.local().port) || self.contains(socket.foreign().port)
    }

    /// The ports as the fewest ranges: by rising port, with at least one port between two.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    /// Adds every port of `other`.
    pub fn add(&mut self, other: &Ports) {
        let both = self.ranges.drain(..).chain(other.ranges.iter().cloned()).collect();
        *self = Ports::join(both);
    }

    fn join(mut ranges: Vec<RangeInclusive<u16>>) -> Ports {
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut joined: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => joined.push(range),
            }
        }
        Ports { ranges: joined }
    }

    /// `443` or `8000-8010`.
    fn range(word: &str) -> Result<RangeInclusive<u16>, FilterError> {
        let wrong = |mistake| FilterError::new(word, mistake);
        let port = |digits: &str| {
            // Rust's own parser would also take "+1".
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .parse()
                .ok()
                .filter(|port| is_number && *port != 0)
                .ok_or_else(|| wrong(if is_number { Mistake::PortNumber } else { Mistake::Port }))
        };
        let (first, last) = match word.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(word)?, port(word)?),
        };
        if first > last {
            return Err(wrong(Mistake::PortOrder));
        }
        Ok(first..=last)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(
            f,
            self.ranges.iter().map(|range| match (range.start(), range.end()) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first}-{last}"),
            }),
        )
    }
}

impl FromStr for Ports {
    type Err = FilterError;

    /// Reads ports and ranges parted by commas, at least one.
    fn from_str(list: &str) -> Result<Ports, FilterError> {
        list.split(',')
            .map(Ports::range)
            .collect::<Result<_, _>>()
            .map(Ports::join)
    }
}

/// Writes `words` with commas between them.
fn list<W: fmt::Display>(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = W>) -> fmt::Result {
    for (at, word) in words.enumerate() {
        write!(f, "{}{word}", if at == 0 { "" } else { "," })?;
    }
    Ok(())
}

/// A word that means nothing in a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    word: String,
    mistake: Mistake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    Option,
    State,
    Port,
    PortNumber,
    PortOrder,
}

impl FilterError {
    fn new(word: &str, mistake: Mistake) -> FilterError {
        FilterError {
            word: word.to_owned(),
            mistake,
        }
    }

    /// The wrong word as it was typed; one of the words of a list. To be escaped before it is printed.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// What is wrong with it, as the end of a sentence about it: `is no state`.
    pub fn why(&self) -> &'static str {
        match self.mistake {
            Mistake::Option => "is no filter",
            Mistake::State => "is no state",
            Mistake::Port => "is no port and no range of ports",
            Mistake::PortNumber => "is no port from 1 to 65535",
            Mistake::PortOrder => "ends before it begins",
        }
    }

    /// Right words in place of it.
    pub fn example(&self) -> &'static str {
        match self.mistake {
            Mistake::State => "--state LISTENING,TIME_WAIT",
            Mistake::Option | Mistake::Port | Mistake::PortNumber | Mistake::PortOrder => "--port 443,8000-8010",
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = text::escape_str(&self.word);
        write!(f, "\"{word}\" {}; for example: {}", self.why(), self.example())
    }
}

impl std::error::Error for FilterError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, SocketFacts};
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn socket(protocol: Protocol, state: State, local_port: u16, foreign_port: u16) -> Socket {
        Socket::new(&SocketFacts {
            protocol,
            family: Family::V4,
            state,
            local: Ipv4Addr::LOCALHOST.into(),
            local_port,
            foreign: Ipv4Addr::UNSPECIFIED.into(),
            foreign_port,
            interface: 0,
            inode: 0,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    fn states(list: &str) -> Vec<State> {
        list.parse::<States>().unwrap().iter().collect()
    }

    #[test]
    fn every_spelling_of_a_state() {
        for state in State::ALL {
            let name = state.name();
            for word in [
                name.to_owned(),
                name.to_lowercase(),
                name.replace('_', "-"),
                name.to_lowercase().replace('_', "-"),
            ] {
                assert_eq!(states(&word), [state], "{word}");
            }
        }
        // RFC 9293, 3.3.2.
        for word in [
            "LISTEN",
            "SYN-SENT",
            "SYN-RECEIVED",
            "ESTABLISHED",
            "FIN-WAIT-1",
            "FIN-WAIT-2",
            "CLOSE-WAIT",
            "CLOSING",
            "LAST-ACK",
            "TIME-WAIT",
            "CLOSED",
        ] {
            assert_eq!(states(word).len(), 1, "{word}");
        }
        assert_eq!(states("listen"), [State::Listening]);
        assert_eq!(states("syn-recv,Estab"), [State::Established, State::SynReceived]);
        assert_eq!(states("BOUND,LISTENING,bound"), [State::Listening, State::Bound]);
    }

    #[test]
    fn ports_become_the_fewest_ranges() {
        for (list, shown) in [
            ("443", "443"),
            ("0443", "443"),
            ("1-65535", "1-65535"),
            ("80,443,22", "22,80,443"),
            ("80-80", "80"),
            ("80,81,82", "80-82"),
            ("100-200,150-160,190-300", "100-300"),
            ("65535,65534", "65534-65535"),
        ] {
            assert_eq!(list.parse::<Ports>().unwrap().to_string(), shown, "{list}");
        }
    }

    #[test]
    fn wrong_words_are_named_with_an_example() {
        const STATES: &str = "; for example: --state LISTENING,TIME_WAIT";
        const PORTS: &str = "; for example: --port 443,8000-8010";
        for (words, message) in [
            ("--state", format!("\"\" is no state{STATES}")),
            ("--state x", format!("\"x\" is no state{STATES}")),
            ("--state LISTENING,", format!("\"\" is no state{STATES}")),
            ("--state=SYN.SENT", format!("\"SYN.SENT\" is no state{STATES}")),
            ("--state LISTENING-", format!("\"LISTENING-\" is no state{STATES}")),
            ("--port 80,x", format!("\"x\" is no port and no range of ports{PORTS}")),
            ("--port +80", format!("\"+80\" is no port and no range of ports{PORTS}")),
            ("--port 80-", format!("\"80-\" is no port and no range of ports{PORTS}")),
            ("--port 0", format!("\"0\" is no port from 1 to 65535{PORTS}")),
            (
                "--port 1-65536",
                format!("\"1-65536\" is no port from 1 to 65535{PORTS}"),
            ),
            ("--port 9-8", format!("\"9-8\" ends before it begins{PORTS}")),
            ("--bogus 9", format!("\"--bogus\" is no filter{PORTS}")),
            (
                "--port \x1b",
                format!("\"\\e\" is no port and no range of ports{PORTS}"),
            ),
        ] {
            assert_eq!(words.parse::<Filter>().unwrap_err().to_string(), message, "{words}");
        }
    }

    #[test]
    fn and_between_kinds_or_inside_one() {
        let filter: Filter = "--state LISTENING --port 443,8000-8010 --STATE=time-wait"
            .parse()
            .unwrap();
        for (state, local, foreign, wanted) in [
            (State::Listening, 443, 0, true),
            (State::TimeWait, 50_000, 8005, true),
            (State::TimeWait, 8010, 50_000, true),
            (State::TimeWait, 8011, 7999, false),
            (State::Established, 443, 50_000, false),
            (State::Listening, 80, 0, false),
        ] {
            let socket = socket(Protocol::Tcp, state, local, foreign);
            assert_eq!(filter.matches(&socket), wanted, "{socket:?}");
        }
    }

    #[test]
    fn udp_has_ports_but_no_states() {
        let udp = socket(Protocol::Udp, State::Closed, 53, 0);
        assert!("--port 53".parse::<Filter>().unwrap().matches(&udp));
        assert!(!"--port 54".parse::<Filter>().unwrap().matches(&udp));
        let every = Filter {
            states: State::ALL.into_iter().collect(),
            ..Filter::default()
        };
        assert!(!every.matches(&udp));
    }

    #[test]
    fn a_side_without_port_matches_none() {
        let every: Filter = "--port 1-65535".parse().unwrap();
        assert!(!every.matches(&socket(Protocol::Tcp, State::Bound, 0, 0)));
        let low: Filter = "--port 1-1023".parse().unwrap();
        assert!(!low.matches(&socket(Protocol::Tcp, State::Listening, 8080, 0)));
    }

    fn ports() -> impl Strategy<Value = Vec<(u16, u16)>> {
        let small = (1..40u16, 0..4u16).prop_map(|(first, more)| (first, first + more));
        let any = (1..=u16::MAX, 1..=u16::MAX).prop_map(|(a, b)| (a.min(b), a.max(b)));
        proptest::collection::vec(prop_oneof![small, any], 0..8)
    }

    fn filter(states: u16, ranges: &[(u16, u16)]) -> Filter {
        Filter {
            states: States(states),
            ports: Ports::join(ranges.iter().map(|&(first, last)| first..=last).collect()),
        }
    }

    proptest! {
        #[test]
        fn printed_and_read_it_is_the_same(bits in 0..1u16 << 12, ranges in ports()) {
            let filter = filter(bits, &ranges);
            let text = filter.to_string();
            prop_assert_eq!(text.parse::<Filter>(), Ok(filter.clone()), "{}", text);
            prop_assert_eq!(text.is_empty(), filter.is_empty());
        }

        #[test]
        fn means_what_its_parts_mean(
            bits in 0..1u16 << 12,
            ranges in ports(),
            tcp: bool,
            state in proptest::sample::select(State::ALL.to_vec()),
            local in prop_oneof![0..50u16, any::<u16>()],
            foreign in prop_oneof![0..50u16, any::<u16>()],
        ) {
            let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
            let port = |port: u16| ranges.iter().any(|&(first, last)| first <= port && port <= last);
            let state_wanted = bits == 0 || tcp && States(bits).iter().any(|wanted| wanted == state);
            let wanted = state_wanted && (ranges.is_empty() || port(local) || port(foreign));
            let filter = filter(bits, &ranges);
            prop_assert_eq!(filter.matches(&socket(protocol, state, local, foreign)), wanted, "{}", filter);
            for pair in filter.ports.ranges().windows(2) {
                prop_assert!(u32::from(*pair[0].end()) + 1 < u32::from(*pair[1].start()));
            }
        }

        #[test]
        fn adding_is_or(a in ports(), b in ports(), states in 0..1u16 << 12, more in 0..1u16 << 12) {
            let mut sum = filter(states, &a);
            let other = filter(more, &b);
            sum.ports.add(&other.ports);
            sum.states.add(other.states);
            prop_assert_eq!(sum, filter(states | more, &[a, b].concat()));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String, list in "[-,0-9A-Za-z_=]{0,30}") {
            let _ = text.parse::<Filter>();
            let _ = list.parse::<States>();
            let _ = list.parse::<Ports>();
            let _ = format!("--state {text} --port {list}").parse::<Filter>();
        }
    }
}
