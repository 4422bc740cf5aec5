//! The columns of sockets.

use std::borrow::Cow;
use std::net::IpAddr;

use super::readers::*;
use super::socket_row::{Location, Rates, SocketRow};
use super::{Column, Missing, Needs, Table, Value, ValueKind};
use crate::component_name::component_name;
use crate::reach::{Extent, is_loopback, is_public, waits};
use crate::{Component, ContainerRuntime, Endpoint, Fact, Owner, Process, Socket, State, TcpMetric, Why};

/// The table of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {}

/// The columns that `--wide` shows.
pub const WIDE: &[&str] = &[
    "protocol", "local", "foreign", "state", "pid", "program", "user", "unit", "recv_q", "send_q", "script",
];

/// The columns of machine-readable formats if none are named.
pub const DEFAULT_MACHINE: &[&str] = &[
    "protocol",
    "family",
    "local_address",
    "local_port",
    "foreign_address",
    "foreign_port",
    "state",
    "recv_q",
    "send_q",
    "uid",
    "inode",
    "cookie",
];

/// Returns the columns about owners that are added to [`DEFAULT_MACHINE`] if `needs` includes owners.
pub fn owner_columns(needs: Needs) -> &'static [&'static str] {
    const ALL: [&str; 8] = [
        "pid",
        "pids",
        "owner_reason",
        "owner_how",
        "program",
        "path",
        "deleted",
        "unit",
    ];
    if !needs.contains(Needs::OWNERS) {
        &[]
    } else if needs.contains(Needs::COMPONENTS) {
        &ALL
    } else if needs.contains(Needs::IMAGE) {
        &ALL[..7]
    } else {
        &ALL[..4]
    }
}

impl Table for Sockets {
    type Row<'a> = SocketRow<'a>;
    const ROW: &'static str = "socket";

    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

type Get = super::Getter<Sockets>;

const fn column(
    name: &'static str,
    heading: &'static str,
    kind: ValueKind,
    unit: &'static str,
    needs: Needs,
    meaning: &'static str,
    get: Get,
) -> Column<Sockets> {
    Column {
        name,
        heading,
        meaning,
        unit,
        kind,
        needs,
        get,
    }
}

/// Returns the column of metric number `AT` of [`TcpMetric::ALL`], with the metric's name, unit and meaning.
const fn figure<const AT: usize>() -> Column<Sockets> {
    let figure = TcpMetric::ALL[AT];
    column(
        figure.name(),
        figure.name(),
        ValueKind::Number,
        figure.unit().name(),
        Needs::TCP,
        figure.meaning(),
        tcp::<AT>,
    )
}

#[rustfmt::skip]
static COLUMNS: &[Column<Sockets>] = {
    use ValueKind::*;
    const NONE: Needs = Needs::NONE;
    &[
        column("protocol", "Proto", Text, "", NONE, "what the socket speaks: TCP, UDP, RAW and so on", |row| Value::Word(row.socket.protocol().name())),
        column("family", "Family", Text, "", NONE, "the address family the socket was made for: IPv4, IPv6", |row| Value::Word(row.socket.family().name())),
        column("local", "Local Address", Endpoint, "", NONE, "local address and port", local),
        column("local_address", "Local IP", Address, "", NONE, "local address", |row| address(row, row.socket.local())),
        column("local_port", "Local Port", Number, "", NONE, "local port", |row| port(row, row.socket.local())),
        column("local_service", "Local Service", Text, "", Needs::SERVICES, "what the local port is registered for", |row| service(row, row.socket.local().port)),
        column("foreign", "Foreign Address", Endpoint, "", NONE, "foreign address and port", foreign),
        column("foreign_address", "Foreign IP", Address, "", NONE, "foreign address", |row| address(row, row.socket.foreign())),
        column("foreign_port", "Foreign Port", Number, "", NONE, "foreign port", |row| port(row, row.socket.foreign())),
        column("foreign_host", "Foreign Host", Text, "", Needs::HOSTS, "name of the foreign host, asked of the name server", host),
        column("foreign_service", "Foreign Service", Text, "", Needs::SERVICES, "what the foreign port is registered for", |row| service(row, row.socket.foreign().port)),
        column("mapped", "Mapped", Flag, "", NONE, "whether an IPv6 socket speaks IPv4 (IPv4-mapped addresses)", |row| Value::Flag(is_mapped(row.socket))),
        column("public", "Public", Flag, "", NONE, "whether the foreign side is on the public Internet", |row| ip(row, || Value::Flag(is_public(row.socket.foreign().address)))),
        column("reach", "Bound To", Text, "", NONE, "loopback, one address, or any", reach),
        column("reachable_from", "Reachable From", Text, "", Needs::NETWORKS, "of what waits: from how far away it can be reached, by address, interface, VRF and local routes alone: here, networks, anywhere", reachable_from),
        column("kind", "ValueKind", Text, "", NONE, "of RAW, PACKET and UNIX: what kind of socket", kind),
        column("state", "State", Text, "", NONE, "state of the connection (RFC 9293)", state),
        column("recv_q", "Recv-Q", Number, "bytes", NONE, "received and not yet read; of a listener: connections not yet accepted", |row| Value::number(row.socket.known_receive_queue())),
        column("send_q", "Send-Q", Number, "bytes", NONE, "sent and not yet acknowledged; of a listener: the limit of its queue", |row| Value::number(row.socket.send_queue())),
        column("accept_queue", "Accept-Q", Number, "connections", NONE, "of a listener: connections not yet accepted", |row| listener(row, row.socket.known_receive_queue())),
        column("backlog", "Backlog", Number, "connections", NONE, "of a listener: how many may wait", |row| listener(row, row.socket.send_queue())),
        column("user", "User", Text, "", Needs::USERS, "name of the user who made the socket", user),
        column("uid", "UID", Number, "", NONE, "id of the user who made the socket", |row| Value::number(row.socket.user())),
        column("interface", "Interface", Text, "", Needs::INTERFACES, "interface the socket is bound to", interface),
        column("inode", "Inode", Number, "", NONE, "number of the socket's file", |row| number_or(row.socket.inode().map(|inode| inode.get().into()))),
        column("cookie", "Cookie", Number, "", NONE, "the kernel's number for the socket, unique since boot", |row| number_or(row.socket.cookie().map(u64::from))),
        column("pid", "PID", Number, "", Needs::OWNERS, "process that holds the socket, of several the one that started first", |row| holder(row, |process| Value::Number(process.pid.into()))),
        column("pids", "PIDs", Numbers, "", Needs::OWNERS, "all processes that hold the socket", pids),
        column("owner_reason", "Owner Unknown", Text, "", Needs::OWNERS, "why the owner is not known", owner_reason),
        column("owner_how", "Owner From", Text, "", Needs::OWNERS, "how the owner was found", owner_how),
        column("command", "Command", Text, "", Needs::NAMES, "the kernel's short name for the process, which the process may choose", |row| holder(row, |process| bytes(&process.comm))),
        column("program", "Program", Text, "", Needs::IMAGE, "name of the program file", program),
        column("script", "Script", Text, "", Needs::NAMES, "what an interpreter runs: a script, a module, a main class; empty: it is no interpreter", |row| holder(row, |process| invocation(process, |invocation| invocation.script.as_deref().map_or(Value::Nothing, Value::text)))),
        column("called", "Called", Text, "", Needs::NAMES, "the name the program was called by, which the process may change", |row| holder(row, |process| invocation(process, |invocation| invocation.called().map_or(Value::Nothing, Value::text)))),
        column("cmdline", "Command Line", Text, "", Needs::NAMES, "the arguments, quoted for a shell, which the process may change", |row| holder(row, |process| invocation(process, |invocation| cmdline(invocation)))),
        column("path", "Path", Text, "", Needs::IMAGE, "path of the program file", |row| holder(row, |process| image(process, |image| Value::text(image.path.as_slice())))),
        column("deleted", "Deleted", Flag, "", Needs::IMAGE, "whether the program file is gone or replaced", |row| holder(row, |process| image(process, |image| Value::Flag(image.deleted)))),
        column("unit", "Unit", Text, "", Needs::COMPONENTS, "systemd unit or container the process runs in", unit),
        column("container", "Container", Text, "", Needs::COMPONENTS, "container the process runs in", container),
        column("pod", "Pod", Text, "", Needs::COMPONENTS, "pod of Kubernetes the process runs in: NAMESPACE/NAME where this node keeps its logs, else its UID", pod),
        column("namespace", "Namespace", Text, "", Needs::NAMESPACES, "network namespace: its name, container, unit or first process", namespace),
        column("tos", "TOS", Number, "", Needs::BASIC, "type of service or traffic class of outgoing packets", |row| extra(row, |extra| extra.tos, |tos| Value::Number(tos.into()))),
        column("dscp", "DSCP", Number, "", Needs::BASIC, "differentiated services code point of outgoing packets (RFC 2474)", |row| Value::number(row.socket.dscp())),
        column("time_in_state", "Time in State", Number, "ms", Needs::STATE_TIMES, "since the connection came into its state; at least this where time_in_state_exact is no", |row| row.state_time(|time| if time.is_exact() { Value::Number(time.millis) } else { Value::AtLeast(time.millis) })),
        column("time_in_state_exact", "Exact", Flag, "", Needs::STATE_TIMES, "whether time_in_state is exact; else it may be longer", |row| row.state_time(|time| Value::Flag(time.is_exact()))),
        column("time_in_state_how", "Time From", Text, "", Needs::STATE_TIMES, "how time_in_state is known: kernel (its timer), record (of netstat record), looks (of this run)", |row| row.state_time(|time| Value::Word(time.from.name()))),
        column("timer", "Timer", Text, "", Needs::BASIC, "what the kernel waits for next: on (to repeat), keepalive, timewait, persist, off", |row| extra(row, |extra| extra.timer, |timer| Value::Word(timer.kind.name()))),
        column("timer_expires", "Timer (ms)", Number, "ms", Needs::BASIC, "until the timer runs out", |row| extra(row, |extra| extra.timer, |timer| Value::Number(timer.expires_ms.into()))),
        column("timer_count", "Timer Count", Number, "times", Needs::BASIC, "how often the timer ran out in a row", |row| extra(row, |extra| extra.timer, |timer| Value::Number(timer.count.into()))),
        column("mark", "Mark", Number, "", Needs::BASIC, "mark of the socket's packets (SO_MARK)", |row| extra(row, |extra| extra.mark, |mark| Value::Number(mark.into()))),
        column("cgroup", "Cgroup", Text, "", Needs::CGROUPS, "path of the control group the socket was made in", cgroup),
        column("cgroup_id", "Cgroup ID", Number, "", Needs::BASIC, "id of that control group", |row| extra(row, |extra| extra.cgroup, Value::Number)),
        column("v6_only", "V6 Only", Flag, "", Needs::BASIC, "whether an IPv6 socket takes no IPv4", |row| extra(row, |extra| extra.v6_only, Value::Flag)),
        column("sent_rate", "Sent/s", Decimal, "bytes/s", Needs::RATES, "bytes sent and acknowledged per second since the print before; of UDP: sent", |row| rate(row, |rates| rates.sent)),
        column("received_rate", "Received/s", Decimal, "bytes/s", Needs::RATES, "bytes received per second since the print before", |row| rate(row, |rates| rates.received)),
        column("asked_name", "Asked Name", Text, "", Needs::ASKED_NAMES, "the name that a program on this computer asked for, whose DNS answer had the foreign address", asked_name),
        column("country", "Country", Text, "", Needs::LOCATIONS, "country that the foreign address is registered in (--mmdb)", |row| location(row, |place| place.country.as_ref().map(|code| Value::text(code.as_bytes())))),
        column("as_number", "AS", Number, "", Needs::LOCATIONS, "autonomous system of the foreign address (--mmdb)", |row| location(row, |place| place.system.map(|number| Value::Number(number.into())))),
        column("as_name", "AS Name", Text, "", Needs::LOCATIONS, "whose autonomous system that is (--mmdb)", |row| location(row, |place| place.organization.as_ref().map(|name| Value::text(name.as_bytes())))),
        column("congestion", "Congestion", Text, "", Needs::CONGESTION, "congestion control", |row| extra(row, |extra| extra.congestion, |name| Value::text(name.as_bytes().to_vec()))),
        column("phase", "Phase", Text, "", Needs::TCP, "reaction to loss: open, disorder, cwr, recovery, loss", phase),
        column("timestamps", "Timestamps", Flag, "", Needs::TCP, "whether both sides send timestamps (RFC 7323)", |row| option(row, |options| options.timestamps)),
        column("sack", "SACK", Flag, "", Needs::TCP, "whether selective acknowledgements were agreed on (RFC 2018)", |row| option(row, |options| options.sack)),
        column("ecn", "ECN", Flag, "", Needs::TCP, "whether explicit congestion notification was agreed on (RFC 3168)", |row| option(row, |options| options.ecn)),
        column("ecn_seen", "ECN Seen", Flag, "", Needs::TCP, "whether a packet with a code point of ECN has come", |row| option(row, |options| options.ecn_seen)),
        column("fast_open", "Fast Open", Flag, "", Needs::TCP, "whether data in the SYN was accepted (TCP Fast Open, RFC 7413)", |row| option(row, |options| options.fast_open)),
        column("snd_wscale", "Send Scale", Number, "bits", Needs::TCP, "shift of the windows that the peer offers (RFC 7323)", |row| window_scale(row, |scales| scales.0)),
        column("rcv_wscale", "Recv Scale", Number, "bits", Needs::TCP, "shift of the windows offered to the peer (RFC 7323)", |row| window_scale(row, |scales| scales.1)),
        column("app_limited", "App Limited", Flag, "", Needs::TCP, "whether delivery_rate was measured while the program had too little to send", app_limited),
        column("ulp", "ULP", Text, "", Needs::TCP, "what works on top of TCP within the kernel: tls, mptcp", upper_layer),
        column("mptcp_token", "MPTCP Token", Number, "", Needs::TCP, "number that the paths of an MPTCP connection share", mptcp_token),
        column("mptcp_subflows", "Subflows", Number, "", Needs::TCP, "of MPTCP: TCP connections beside the first", |row| extra(row, |extra| extra.mptcp, |mptcp| Value::Number(mptcp.subflows.into()))),
        column("rmem", "Recv Mem", Number, "bytes", Needs::MEMORY, "memory of what was received and not read", |row| memory(row, |memory| memory.receive)),
        column("rcvbuf", "Recv Buf", Number, "bytes", Needs::MEMORY, "the most that may be (SO_RCVBUF)", |row| memory(row, |memory| memory.receive_limit)),
        column("wmem", "Send Mem", Number, "bytes", Needs::MEMORY, "memory of what waits to be sent or acknowledged", |row| memory(row, |memory| memory.queued)),
        column("sndbuf", "Send Buf", Number, "bytes", Needs::MEMORY, "the most that may wait (SO_SNDBUF)", |row| memory(row, |memory| memory.send_limit)),
        column("drops", "Drops", Number, "packets", Needs::MEMORY, "packets dropped for want of room", |row| extra(row, |extra| extra.memory, |memory| memory.drops.map_or(Value::unknown(Why::NotSupported), |drops| Value::Number(drops.into())))),
        figure::<0>(), figure::<1>(), figure::<2>(), figure::<3>(), figure::<4>(), figure::<5>(), figure::<6>(), figure::<7>(), figure::<8>(), figure::<9>(), figure::<10>(), figure::<11>(), figure::<12>(), figure::<13>(), figure::<14>(), figure::<15>(), figure::<16>(), figure::<17>(), figure::<18>(), figure::<19>(), figure::<20>(), figure::<21>(), figure::<22>(), figure::<23>(), figure::<24>(), figure::<25>(), figure::<26>(), figure::<27>(), figure::<28>(), figure::<29>(), figure::<30>(), figure::<31>(), figure::<32>(), figure::<33>(), figure::<34>(), figure::<35>(), figure::<36>(), figure::<37>(), figure::<38>(), figure::<39>(), figure::<40>(), figure::<41>(), figure::<42>(), figure::<43>(), figure::<44>(), figure::<45>(), figure::<46>(), figure::<47>(), figure::<48>(),
    ]
};

fn state<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    let state = row.socket.shown_state();
    state.map_or(Value::unknown(Why::NotApplicable), |state| Value::Word(state.name()))
}

fn is_mapped(socket: &Socket) -> bool {
    let mapped = |end: Endpoint| end.address.to_canonical() != end.address;
    mapped(socket.local()) || mapped(socket.foreign())
}

fn reach<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    let local = row.socket.local().address;
    if !row.socket.protocol().is_ip() {
        return Value::unknown(Why::NotApplicable);
    }
    Value::Word(match local {
        _ if local.to_canonical().is_unspecified() => "any",
        _ if is_loopback(local) => "loopback",
        _ => "address",
    })
}

fn reachable_from<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    if !waits(row.socket) {
        return Value::unknown(Why::NotApplicable);
    }
    match row.books.extent(row.socket) {
        Some(Extent::Unknown(why)) => Value::unknown(why),
        Some(extent) => Value::Word(extent.name()),
        None => Value::unknown(Why::NotAsked),
    }
}

fn listener<'r>(row: &'r SocketRow<'_>, figure: Fact<u32>) -> Value<'r> {
    match row.socket.shown_state() == Some(State::Listening) {
        true => Value::number(figure),
        false => Value::unknown(Why::NotApplicable),
    }
}

fn number_or<'r>(number: Option<u64>) -> Value<'r> {
    number.map_or(Value::unknown(Why::NotApplicable), Value::Number)
}

fn service<'r>(row: &'r SocketRow<'_>, port: u16) -> Value<'r> {
    match row.books.service(row.socket.protocol(), port) {
        Some(name) if port != 0 => Value::Word(name),
        _ => Value::Nothing,
    }
}

fn host<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    if !row.socket.is_connected() {
        return Value::unknown(Why::NotApplicable);
    }
    match row.books.host(&row.socket.foreign()) {
        Some(name) => Value::Word(name),
        None if !row.books.hosts_asked() => Value::unknown(Why::NotAsked),
        // No name server knows the address, or none answered in time.
        None => Value::unknown(Why::Failed),
    }
}

fn user<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    match row.socket.user() {
        Fact::Known(id) => match row.books.user(id) {
            Some(name) => Value::text(name),
            // A user without a name is shown by id, as other programs do.
            None => Value::text(id.to_string().into_bytes()),
        },
        Fact::Unknown(why) => Value::unknown(why),
    }
}

fn interface<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    match row.socket.interface() {
        None => Value::Nothing,
        Some(index) => match row.books.interface(row.socket.namespace(), index.get()) {
            Some(name) => Value::text(name),
            None => Value::text(index.to_string().into_bytes()),
        },
    }
}

/// Returns what `read` finds about the process that has held the socket longest.
fn holder<'r>(row: &'r SocketRow<'_>, read: impl FnOnce(&'r Process) -> Value<'r>) -> Value<'r> {
    match row.owner {
        Some(Owner::Held(holders)) => read(holders.first()),
        Some(Owner::None(reason)) => Value::Unknown(Missing::Owner(reason)),
        None => Value::unknown(Why::NotAsked),
    }
}

fn pids<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    match row.owner {
        Some(Owner::Held(holders)) => {
            let mut pids: Vec<u64> = holders.iter().map(|process| process.pid.into()).collect();
            pids.sort_unstable();
            Value::Numbers(pids)
        }
        _ => holder(row, |_| Value::Nothing),
    }
}

fn owner_reason<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    match row.owner {
        Some(Owner::Held(_)) => Value::Nothing,
        Some(Owner::None(reason)) => Value::Word(reason.words()),
        None => Value::unknown(Why::NotAsked),
    }
}

fn owner_how<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    holder(row, |_| match row.owners.map(|owners| owners.found_by(row.socket)) {
        Some(Fact::Known(how)) => Value::Word(how.name()),
        Some(Fact::Unknown(why)) => Value::unknown(why),
        None => Value::unknown(Why::NotAsked),
    })
}

fn bytes(fact: &Fact<Vec<u8>>) -> Value<'_> {
    match fact {
        Fact::Known(bytes) => Value::text(bytes.as_slice()),
        Fact::Unknown(why) => Value::unknown(*why),
    }
}

fn image<'r>(process: &'r Process, read: impl FnOnce(&'r crate::ImageName) -> Value<'r>) -> Value<'r> {
    match &process.image {
        Fact::Known(image) => read(image),
        Fact::Unknown(why) => Value::unknown(*why),
    }
}

fn invocation<'r>(process: &'r Process, read: impl FnOnce(&'r crate::Invocation) -> Value<'r>) -> Value<'r> {
    match &process.invocation {
        Fact::Known(invocation) => read(invocation),
        Fact::Unknown(why) => Value::unknown(*why),
    }
}

fn cmdline(invocation: &crate::Invocation) -> Value<'_> {
    if invocation.arguments.is_empty() {
        return Value::Nothing;
    }
    let words: Vec<String> = invocation
        .arguments
        .iter()
        .map(|word| crate::text::shell_quoted(word))
        .collect();
    Value::text(words.join(" ").into_bytes())
}

fn program<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    holder(row, |process| {
        image(process, |image| match image.deleted {
            true => Value::Remarked(Cow::Borrowed(image.file_name()), crate::text::DELETED),
            false => Value::text(image.file_name()),
        })
    })
}

fn rate<'r>(row: &'r SocketRow<'_>, read: impl FnOnce(Rates) -> f64) -> Value<'r> {
    match row.books.rates(row.socket) {
        Fact::Known(rates) => Value::Rate(read(rates)),
        Fact::Unknown(why) => Value::unknown(why),
    }
}

/// Returns a fact about the foreign address.
fn foreign_fact<'r, T>(
    row: &'r SocketRow<'_>,
    read: impl FnOnce(IpAddr) -> Fact<T>,
    show: impl FnOnce(T) -> Value<'r>,
) -> Value<'r> {
    let foreign = row.socket.foreign().address.to_canonical();
    if !row.socket.protocol().is_ip() || foreign.is_unspecified() {
        return Value::unknown(Why::NotApplicable);
    }
    match read(foreign) {
        Fact::Known(value) => show(value),
        Fact::Unknown(why) => Value::unknown(why),
    }
}

fn asked_name<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    let books = row.books;
    foreign_fact(
        row,
        |_| books.asked_name(row.socket),
        |name| name.map_or(Value::Nothing, Value::Word),
    )
}

fn location<'r>(row: &'r SocketRow<'_>, read: impl FnOnce(&'r Location) -> Option<Value<'r>>) -> Value<'r> {
    let books = row.books;
    let show = |place| read(place).unwrap_or(Value::Nothing);
    foreign_fact(row, |address| books.location(address), show)
}

/// Returns the innermost component that `wanted` accepts.
fn component<'r>(row: &'r SocketRow<'_>, wanted: impl Fn(&Component) -> bool) -> Value<'r> {
    holder(row, |process| match &process.components {
        Fact::Known(components) => {
            let innermost = components.iter().rposition(wanted);
            innermost.map_or(Value::Nothing, |at| Value::text(component_name(components, at)))
        }
        Fact::Unknown(why) => Value::unknown(*why),
    })
}

fn unit<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    component(row, |_| true)
}

fn container<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    component(
        row,
        |component| matches!(component, Component::Container { runtime, .. } if *runtime != ContainerRuntime::Pod),
    )
}

fn pod<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    holder(row, |process| match &process.components {
        Fact::Known(components) => {
            let uid = components.iter().rev().find_map(|component| match component {
                Component::Container {
                    runtime: ContainerRuntime::Pod,
                    id,
                } => Some(id.as_slice()),
                _ => None,
            });
            uid.map_or(Value::Nothing, |uid| Value::text(row.books.pod(uid).unwrap_or(uid)))
        }
        Fact::Unknown(why) => Value::unknown(*why),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_columns_include_every_tcp_metric() {
        for figure in TcpMetric::ALL {
            let column = super::super::find::<Sockets>(figure.name()).unwrap();
            assert_eq!((column.unit, column.meaning), (figure.unit().name(), figure.meaning()));
        }
    }
}
