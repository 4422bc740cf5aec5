//! Readers of socket columns that take more than one call: sides without IP addresses, and facts read on demand.

use std::borrow::Cow;

use super::{SocketRow, Value};
use crate::{
    Detail, Endpoint, Extra, Fact, Memory, Protocol, TcpInfo, TcpMetric, TcpOptions, UnixPeer, UpperLayer, Why,
    netlink_name,
};

/// Returns the local side: an address and a port, or what is shown instead.
pub(super) fn local<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    match row.socket.detail() {
        Some(Detail::Packet { ethertype, .. }) => {
            Value::text([&frames(*ethertype), b":".as_slice(), &device(row)].concat())
        }
        Some(Detail::Unix { name, .. }) => name.shown().map_or(Value::Nothing, Value::text),
        Some(Detail::Vsock { local, .. }) => Value::text(local.shown().into_bytes()),
        Some(Detail::Netlink { protocol, port }) => {
            let part = netlink_name(*protocol).map_or_else(|| protocol.to_string(), str::to_owned);
            let port = if *port == 0 {
                "kernel".to_owned()
            } else {
                port.to_string()
            };
            Value::text(format!("{part}:{port}").into_bytes())
        }
        Some(Detail::Xdp { queue }) => {
            let queue = queue.map_or_else(|| "*".to_owned(), |queue| format!("q{queue}"));
            Value::text([&device(row)[..], b":", queue.as_bytes()].concat())
        }
        _ if !row.socket.protocol().is_ip() => Value::unknown(Why::NotKept),
        _ => Value::Endpoint(row.socket.local()),
    }
}

/// Returns the foreign side: an address and a port, or what is shown instead.
pub(super) fn foreign<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    match row.socket.detail() {
        Some(Detail::Unix { peer, .. }) => match peer {
            Some(UnixPeer { inode, name }) => {
                Value::text(name.shown().unwrap_or_else(|| inode.to_string().into_bytes()))
            }
            None => Value::Nothing,
        },
        Some(Detail::Vsock { peer, .. }) => peer.map_or(Value::Nothing, |peer| Value::text(peer.shown().into_bytes())),
        _ if !row.socket.protocol().is_ip() => Value::Nothing,
        _ if matches!(
            row.socket.protocol(),
            Protocol::Tcp | Protocol::Mptcp | Protocol::Sctp | Protocol::Dccp
        ) || row.socket.is_connected() =>
        {
            Value::Endpoint(row.socket.foreign())
        }
        _ => Value::AnyEndpoint,
    }
}

/// Returns the frames that a packet socket receives, by the usual name or the number of their EtherType (`if_ether.h`).
fn frames(ethertype: u16) -> Cow<'static, [u8]> {
    Cow::Borrowed(match ethertype {
        0 => b"none",
        3 => b"all",
        0x0800 => b"ip",
        0x0806 => b"arp",
        0x86dd => b"ipv6",
        0x888e => b"eapol",
        0x88cc => b"lldp",
        other => return Cow::Owned(format!("0x{other:04x}").into_bytes()),
    })
}

/// Returns the name of the interface, or `*` for any.
fn device(row: &SocketRow<'_>) -> Vec<u8> {
    match row.socket.interface() {
        None => b"*".to_vec(),
        Some(index) => match row.books.interface(row.socket.namespace(), index.get()) {
            Some(name) => name.to_vec(),
            None => index.to_string().into_bytes(),
        },
    }
}

/// Returns `value` if the socket has IP addresses, and otherwise that it does not apply.
pub(super) fn ip<'r>(row: &SocketRow<'_>, value: impl FnOnce() -> Value<'r>) -> Value<'r> {
    match row.socket.protocol().is_ip() {
        true => value(),
        false => Value::unknown(Why::NotApplicable),
    }
}

pub(super) fn address<'r>(row: &SocketRow<'_>, end: Endpoint) -> Value<'r> {
    ip(row, || Value::Address(end))
}

pub(super) fn port<'r>(row: &SocketRow<'_>, end: Endpoint) -> Value<'r> {
    ip(row, || Value::Number(end.port.into()))
}

/// Returns the kind of the socket if its protocol has several.
pub(super) fn kind<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    Value::Word(match row.socket.detail() {
        Some(Detail::Ping { .. }) => "ping",
        Some(Detail::Packet { kind, .. }) => kind.name(),
        Some(Detail::Unix { kind, .. }) => kind.name(),
        Some(Detail::Vsock { kind, .. }) => kind.name(),
        Some(Detail::Netlink { protocol, .. }) => netlink_name(*protocol).unwrap_or("netlink"),
        Some(Detail::Xdp { .. }) => "xdp",
        None => return Value::unknown(Why::NotApplicable),
    })
}

/// Returns a fact that is read on demand.
pub(super) fn extra<'r, T>(
    row: &SocketRow<'_>,
    read: impl FnOnce(&Extra) -> Fact<T>,
    show: impl FnOnce(T) -> Value<'r>,
) -> Value<'r> {
    match row.socket.fact(read) {
        Fact::Known(value) => show(value),
        Fact::Unknown(why) => Value::unknown(why),
    }
}

pub(super) fn memory<'r>(row: &SocketRow<'_>, read: impl FnOnce(&Memory) -> u32) -> Value<'r> {
    extra(
        row,
        |extra| extra.memory.as_ref().map(read),
        |bytes| Value::Number(bytes.into()),
    )
}

/// Returns metric number `AT` of [`TcpMetric::ALL`].
pub(super) fn tcp<'r, const AT: usize>(row: &'r SocketRow<'_>) -> Value<'r> {
    Value::number(row.socket.tcp(TcpMetric::ALL[AT]))
}

pub(super) fn cgroup<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    extra(
        row,
        |extra| extra.cgroup,
        |id| row.books.cgroup(id).map_or(Value::unknown(Why::Failed), Value::text),
    )
}

pub(super) fn upper_layer<'r>(row: &SocketRow<'_>) -> Value<'r> {
    extra(
        row,
        |extra| extra.upper_layer,
        |layer| match layer {
            UpperLayer::None => Value::Nothing,
            UpperLayer::Mptcp { .. } => Value::Word("mptcp"),
            UpperLayer::Other(name) => Value::text(name.as_bytes().to_vec()),
        },
    )
}

/// Returns the token that the subflows of an MPTCP connection share.
pub(super) fn mptcp_token<'r>(row: &SocketRow<'_>) -> Value<'r> {
    let layer = row.socket.fact(|extra| extra.upper_layer);
    match (row.socket.fact(|extra| extra.mptcp), layer) {
        (Fact::Known(mptcp), _) => Value::Number(mptcp.token.into()),
        (_, Fact::Known(UpperLayer::Mptcp { token })) => Value::Number(token.into()),
        (Fact::Unknown(why), _) => Value::unknown(why),
    }
}

pub(super) fn phase<'r>(row: &SocketRow<'_>) -> Value<'r> {
    of_tcp(row, |info| info.phase, |phase| Value::Word(phase.name()))
}

/// Returns a fact about the internals of a TCP connection.
fn of_tcp<'r, T>(
    row: &SocketRow<'_>,
    read: impl FnOnce(&TcpInfo) -> Fact<T>,
    show: impl FnOnce(T) -> Value<'r>,
) -> Value<'r> {
    let fact = |extra: &Extra| match &extra.tcp {
        Fact::Known(info) => read(info),
        Fact::Unknown(why) => Fact::Unknown(*why),
    };
    extra(row, fact, show)
}

/// Returns one of the options that both sides agreed on.
pub(super) fn option<'r>(row: &SocketRow<'_>, read: impl FnOnce(TcpOptions) -> bool) -> Value<'r> {
    of_tcp(row, |info| info.options, |options| Value::Flag(read(options)))
}

/// Returns one of the window scales.
pub(super) fn window_scale<'r>(row: &SocketRow<'_>, read: impl FnOnce((u8, u8)) -> u8) -> Value<'r> {
    of_tcp(
        row,
        |info| info.window_scales,
        |scales| Value::Number(read(scales).into()),
    )
}

pub(super) fn app_limited<'r>(row: &SocketRow<'_>) -> Value<'r> {
    of_tcp(row, |info| info.app_limited, Value::Flag)
}

pub(super) fn namespace<'r>(row: &'r SocketRow<'_>) -> Value<'r> {
    let name = row.books.namespace(row.socket.namespace());
    name.map_or(Value::unknown(Why::NotAsked), Value::text)
}
