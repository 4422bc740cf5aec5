//! The list of sockets, from the tables of each protocol and family.

use std::collections::HashSet;

use netstat_model::{Extra, Extras, Fact, Family, Limit, Protocol, Socket, State, Why, text::plain_error};

use super::bytes::Malformed;
use super::connections::{self, Row};
use super::estats::ByteCounters;
use super::source::{Offer, Source};
use crate::{SocketAsk, SocketList};

/// What rows know beyond the sockets of the model, by the sockets' number.
#[derive(Clone, Debug, Default)]
pub(super) struct RowFacts {
    /// Number, creation time, service tag; in the order of reading.
    rows: Vec<(u64, u64, u32)>,
    sorted: bool,
    counters: ByteCounters,
}

impl RowFacts {
    fn clear(&mut self) {
        self.rows.clear();
        self.sorted = false;
    }

    /// The creation time (0: not told) and the service tag (0: none) of a socket of the last list.
    pub(super) fn of(&mut self, socket: &Socket) -> Option<(u64, u32)> {
        if !self.sorted {
            self.rows.sort_unstable();
            self.sorted = true;
        }
        let number = socket.cookie()?.get();
        let place = self.rows.partition_point(|row| row.0 < number);
        let row = self.rows.get(place).filter(|row| row.0 == number)?;
        Some((row.1, row.2))
    }
}

/// Reads the sockets that `ask` wants; `facts` keeps what else their rows say.
pub(super) fn read(source: &mut impl Source, ask: &SocketAsk, list: &mut SocketList, facts: &mut RowFacts) {
    list.clear();
    facts.clear();
    if ask.count_bytes {
        facts.counters.begin(source);
    }
    let mut numbers = Numbers::default();
    let mut groups = 0;
    for (family, wanted) in [(Family::V4, ask.tcp4), (Family::V6, ask.tcp6)] {
        if wanted && !ask.tcp_states.is_empty() {
            groups += 1;
            let add = |row: Row, list: &mut SocketList, source: &mut _| {
                add(row, ask, list, facts, &mut numbers, source);
            };
            read_tcp(source, ask, family, list, add);
        }
    }
    for (family, wanted) in [(Family::V4, ask.udp4), (Family::V6, ask.udp6)] {
        if wanted {
            groups += 1;
            read_udp(source, family, list, |row, list, source| {
                add(row, ask, list, facts, &mut numbers, source);
            });
        }
    }
    // What Windows does not list is said only to those who ask for nothing else: `-a` asks for every kind.
    let others = [
        (ask.raw4 || ask.raw6, "RAW sockets"),
        (ask.unix, "Unix sockets"),
        (ask.packet, "packet sockets"),
        (
            !ask.further.is_empty() && !ask.further_where_present,
            "sockets of other protocols",
        ),
    ];
    if groups == 0 {
        for (_, what) in others.iter().filter(|(asked, _)| *asked) {
            list.failed = true;
            list.limits.push(Limit {
                what: format!("{what} are missing"),
                why: "Windows does not list them".to_owned(),
                remedy: None,
            });
        }
    }
}

fn read_tcp<S: Source>(
    source: &mut S,
    ask: &SocketAsk,
    family: Family,
    list: &mut SocketList,
    mut add: impl FnMut(Row, &mut SocketList, &mut S),
) {
    let read = match source.tcp_table(family) {
        Ok(table) => {
            connections::tcp(&table, family, &mut |row| add(row, list, source)).map_err(|error| plain_error(&error))
        }
        Err(error) => Err(plain_error(&error)),
    };
    if let Err(why) = read {
        failed(list, "TCP", family, why);
    }
    if !ask.tcp_states.contains(&State::Bound) {
        return;
    }
    let bound = match source.bound_table(family) {
        Ok(Offer::Has(table)) => {
            let mut rows = Vec::new();
            match connections::bound(&table, family, &mut |row| rows.push(row)) {
                Ok(()) => {
                    rows.into_iter().for_each(|row| add(row, list, source));
                    Ok(())
                }
                Err(Malformed) => Err(Malformed.to_string()),
            }
        }
        Ok(Offer::Lacks) => Err("this version of Windows does not list them".to_owned()),
        Err(error) => Err(plain_error(&error)),
    };
    if let Err(why) = bound {
        list.limits.push(Limit {
            what: format!(
                "bound TCP ports over {} that neither listen nor connect are missing",
                family.name()
            ),
            why,
            remedy: None,
        });
    }
}

fn read_udp<S: Source>(
    source: &mut S,
    family: Family,
    list: &mut SocketList,
    mut add: impl FnMut(Row, &mut SocketList, &mut S),
) {
    let mut rows = Vec::new();
    let read = match source.udp_table(family) {
        Ok(table) => connections::udp(&table, family, &mut |row| rows.push(row)).map_err(|error| plain_error(&error)),
        Err(error) => Err(plain_error(&error)),
    };
    if let Err(why) = read {
        return failed(list, "UDP", family, why);
    }
    let peers = match source.udp_peer_table(family) {
        Ok(Offer::Has(table)) => connections::udp_peers(&table, family, &rows),
        Ok(Offer::Lacks) | Err(_) => None,
    };
    for row in peers.unwrap_or(rows) {
        add(row, list, source);
    }
}

fn failed(list: &mut SocketList, protocol: &str, family: Family, why: String) {
    list.failed = true;
    list.limits.push(Limit {
        what: format!("{protocol} sockets over {} are missing", family.name()),
        why,
        remedy: None,
    });
}

/// Gives each socket a number of its own.
#[derive(Default)]
struct Numbers(HashSet<u64>);

impl Numbers {
    fn of(&mut self, row: &Row) -> u64 {
        let mut repeat = 0;
        loop {
            let number = row.identity(repeat);
            if self.0.insert(number) {
                return number;
            }
            repeat += 1;
        }
    }
}

fn add(
    row: Row,
    ask: &SocketAsk,
    list: &mut SocketList,
    facts: &mut RowFacts,
    numbers: &mut Numbers,
    source: &mut impl Source,
) {
    // Equal rows are numbered in their order, so also those that are not wanted count.
    let number = numbers.of(&row);
    if row.protocol == Protocol::Tcp && !ask.tcp_states.contains(&row.state) {
        return;
    }
    let mut socket = row.socket(number);
    let side = |wanted: &netstat_model::Sides, end| wanted.is_empty() || wanted.matches(&end);
    if !ask.ports.matches(&socket) || !side(&ask.local, socket.local()) || !side(&ask.foreign, socket.foreign()) {
        return;
    }
    if ask.extra != Extras::NONE {
        let mut known = extra();
        if ask.count_bytes && row.protocol == Protocol::Tcp {
            known.tcp = Fact::Known(Box::new(facts.counters.facts(source, &row, number)));
        }
        socket = socket.with_extra(known);
    }
    facts.rows.push((number, row.created, row.tag));
    list.sockets.push(socket);
}

/// Windows keeps none of these facts with a row.
fn extra() -> Extra {
    const NOT_KEPT: Why = Why::NotKept;
    Extra {
        time_in_state: Fact::Unknown(NOT_KEPT),
        tos: Fact::Unknown(NOT_KEPT),
        timer: Fact::Unknown(NOT_KEPT),
        mark: Fact::Unknown(NOT_KEPT),
        cgroup: Fact::Unknown(NOT_KEPT),
        v6_only: Fact::Unknown(NOT_KEPT),
        congestion: Fact::Unknown(NOT_KEPT),
        memory: Fact::Unknown(NOT_KEPT),
        upper_layer: Fact::Unknown(NOT_KEPT),
        tcp: Fact::Unknown(NOT_KEPT),
        mptcp: Fact::Unknown(NOT_KEPT),
    }
}
