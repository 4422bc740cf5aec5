//! Selects the sockets, the columns and the order of a list.

use netstat_model::columns::{self, Column, Needs, Sockets, Value, owner_columns};
use netstat_model::reach::waits;
use netstat_model::{Extras, Fact, Filter, Owners, Protocol, Socket, State};
use netstat_os::{SocketAsk, SocketList};

use super::books::Shelf;
use super::listed_states;
use crate::args::shape::{Format, Shape};
use crate::args::{Families, ListPlan, Naming, Plan, Which};
use crate::output::classic;
use crate::output::rows::sort::{self, Direction};

/// Reduces `sockets` to the rows of the list, since the other parts of the plan may have needed more.
pub(super) fn cut(plan: &Plan, filter: &Filter, list: &ListPlan, sockets: &mut SocketList) {
    let more_was_read = plan.processes || plan.statistics.is_some();
    let by_peer = list.states == Which::ListeningOnly;
    // The kernel filters TCP sockets by state; the others are filtered here.
    let others = list.unix || list.mptcp || !list.further.is_empty() || list.families != Families::default();
    if more_was_read || by_peer || others || only_v4(list) != [false; 2] {
        sockets.sockets.retain(|socket| shows(list, filter, socket));
    }
}

/// Whether `socket` is a row of the list.
pub(super) fn shows(list: &ListPlan, filter: &Filter, socket: &Socket) -> bool {
    use netstat_model::Family::{V4, V6};
    let asked = match (socket.protocol(), socket.family()) {
        (Protocol::Tcp, V4) => list.tcp4,
        (Protocol::Tcp, V6) => list.tcp6 || list.tcp4 && takes_v4(socket),
        (Protocol::Udp, V4) => list.udp4,
        (Protocol::Udp, V6) => list.udp6 || list.udp4 && takes_v4(socket),
        (Protocol::Raw, V4) => list.raw4,
        (Protocol::Raw, V6) => list.raw6,
        (Protocol::Mptcp, _) => list.mptcp,
        (Protocol::Packet, _) => list.packet,
        (Protocol::Unix, _) => list.unix,
        (further, _) if SocketAsk::FURTHER.contains(&further) => list.further.contains(&further),
        _ => false,
    };
    let state = match socket.protocol() {
        Protocol::Tcp | Protocol::Mptcp | Protocol::Sctp | Protocol::Dccp => {
            listed_states(list.states, filter).contains(&socket.state())
        }
        Protocol::Unix | Protocol::Vsock => match list.states {
            Which::ListeningOnly => socket.state() == State::Listening,
            Which::Connected => filter.names_states() || socket.state() != State::Listening,
            Which::All | Which::AllAndBound => true,
        },
        // A socket of these protocols that has no peer receives packets from anyone, so it counts as a listener.
        _ => list.states != Which::ListeningOnly || !socket.is_connected(),
    };
    let family = !socket.protocol().is_ip()
        || match socket.family() {
            V4 => list.families.v4,
            V6 => list.families.v6,
            _ => true,
        };
    asked && state && family
}

/// Whether an IPv6 listener also accepts IPv4.
fn takes_v4(socket: &Socket) -> bool {
    let v6_only = socket.fact(|extra| extra.v6_only);
    waits(socket) && socket.local().address.is_unspecified() && v6_only == Fact::Known(false)
}

/// Whether IPv4 is selected without IPv6, for TCP and for UDP, so that IPv6 sockets that accept IPv4 must be looked
/// for.
pub(super) fn only_v4(list: &ListPlan) -> [bool; 2] {
    [list.tcp4 && !list.tcp6, list.udp4 && !list.udp6]
}

/// The columns that follow those of the classic layout.
pub(super) fn classic_columns(list: &ListPlan) -> Vec<classic::connections::Column> {
    use classic::connections::Column;
    [
        (list.pid, Column::Pid),
        (list.dscp, Column::Dscp),
        (list.time_in_state, Column::TimeInState),
        (list.pid_program_column, Column::PidProgram),
        (list.all_namespaces, Column::Namespace),
    ]
    .into_iter()
    .filter_map(|(wanted, column)| wanted.then_some(column))
    .collect()
}

/// What must be known of owners for the switches about owners.
pub(super) fn owner_needs(list: &ListPlan) -> Needs {
    Needs::all(
        [
            (list.pid, Needs::OWNERS),
            (list.pid_program_column, Needs::IMAGE.and(Needs::NAMES)),
            (
                list.program_lines,
                Needs::IMAGE.and(Needs::COMPONENTS).and(Needs::NAMES),
            ),
        ]
        .into_iter()
        .filter_map(|(wanted, needs)| wanted.then_some(needs)),
    )
}

/// The columns of a table or a machine-readable format: those that the command line names, or the usual ones and those
/// that switches ask for.
pub(super) fn columns(list: &ListPlan, format: Format) -> Vec<&'static Column<Sockets>> {
    if !list.group.is_empty() {
        return list.group.clone();
    }
    let mut names: Vec<&'static str> = match &list.shape {
        Shape::Columns(columns) => return columns.clone(),
        Shape::Wide => columns::WIDE.to_vec(),
        Shape::Classic if format == Format::Text => vec!["protocol", "local", "foreign", "state"],
        Shape::Classic => columns::DEFAULT_MACHINE.to_vec(),
    };
    let needs = owner_needs(list);
    let more = [
        (list.pid, &["pid"][..]),
        (list.program_lines, &["program", "unit"]),
        (list.pid_program_column, &["program"]),
        (list.dscp, &["dscp"]),
        (list.time_in_state && format == Format::Text, &["time_in_state"]),
        (
            list.time_in_state && format != Format::Text,
            &["time_in_state", "time_in_state_exact", "time_in_state_how"],
        ),
        // Rows of a single protocol need no protocol column; rows of these kinds do.
        (
            list.raw4
                || list.raw6
                || list.packet
                || list.unix
                || !list.further.is_empty() && !list.further_where_present,
            &["kind"],
        ),
        (list.rates, &["sent_rate", "received_rate"]),
        (list.all_namespaces, &["namespace"]),
        (list.names == Naming::Full, &["foreign_host"]),
    ];
    let machine = format != Format::Text && list.shape == Shape::Classic;
    let owners = if machine { owner_columns(needs) } else { &[] };
    let no_ip = |protocol: &Protocol| !protocol.is_ip() && !list.further_where_present;
    let ends: &[&str] = match machine && (list.packet || list.unix || list.further.iter().any(no_ip)) {
        true => &["local", "foreign"],
        false => &[],
    };
    let more = more
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .flat_map(|(_, names)| names);
    for name in ends.iter().chain(owners).chain(more) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    columns::named(&names)
}

/// What must be read for the columns, the order and the filter.
pub(super) fn needs(list: &ListPlan, columns: &[&'static Column<Sockets>], filter: &Filter) -> Needs {
    let classic = owner_needs(list).and(match (list.time_in_state, list.dscp) {
        (true, _) => Needs::STATE_TIMES,
        (false, true) => Needs::BASIC,
        (false, false) => Needs::NONE,
    });
    let tree = if list.tree {
        Needs::IMAGE.and(Needs::COMPONENTS).and(Needs::NAMES)
    } else {
        Needs::NONE
    };
    let classic = classic.and(tree);
    let shown = columns.iter().map(|column| column.needs);
    let sorted = list.sort.iter().filter_map(|key| key.column).map(|column| column.needs);
    let filtered = [
        (!filter.pids.is_empty(), Needs::OWNERS),
        (!filter.programs.is_empty(), Needs::IMAGE.and(Needs::NAMES)),
        (!filter.units.is_empty(), Needs::COMPONENTS),
    ];
    let filtered = filtered.into_iter().filter_map(|(is, needs)| is.then_some(needs));
    classic.and(Needs::all(shown.chain(sorted).chain(filtered)))
}

/// The groups of details that must be read with the sockets, and whether bytes must be counted for their rates.
pub(super) fn extras(list: &ListPlan) -> (Extras, bool) {
    let needs = needs(list, &columns(list, Format::Text), &Filter::default());
    let extras = [
        (Needs::BASIC, Extras::BASIC),
        (Needs::TCP, Extras::TCP),
        (Needs::CONGESTION, Extras::CONGESTION),
        (Needs::MEMORY, Extras::MEMORY),
    ]
    .into_iter()
    .filter_map(|(need, extra)| needs.contains(need).then_some(extra))
    .collect();
    (extras, needs.contains(Needs::RATES))
}

/// Returns the indexes of the rows to show, in their order; `None` if all of them are shown as they are.
pub(super) fn order(
    list: &ListPlan,
    sockets: &[Socket],
    owners: Option<&Owners>,
    shelf: &Shelf<'_>,
) -> Option<Vec<u32>> {
    let top = list.top.filter(|_| list.group.is_empty()).unwrap_or(usize::MAX);
    if list.sort.is_empty() || !list.group.is_empty() {
        let all = 0..sockets.len() as u32;
        return (top < sockets.len()).then(|| all.take(top).collect());
    }
    let keys: Vec<(&'static Column<Sockets>, Direction)> = list
        .sort
        .iter()
        .filter_map(|key| Some((key.column?, Direction { down: key.down })))
        .collect();
    let directions: Vec<Direction> = keys.iter().map(|(_, direction)| *direction).collect();
    let mut order = sort::order(sockets.len(), &directions, |at, values: &mut Vec<Value<'static>>| {
        let row = columns::SocketRow::new(&sockets[at], owners, shelf);
        values.extend(keys.iter().map(|(column, _)| (column.get)(&row).into_owned()));
    });
    order.truncate(top);
    Some(order)
}
