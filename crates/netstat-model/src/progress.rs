//! How far an open connection has come.

use crate::{Fact, Protocol, Socket, State, TcpFigure, Why};

/// What a TCP connection has moved so far. Small: there may be very many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The kernel's number of the socket.
    pub cookie: u64,
    /// Its state.
    pub state: State,
    /// Payload bytes sent, without what was sent again.
    pub sent: Fact<u64>,
    /// Payload bytes received.
    pub received: Fact<u64>,
    /// Segments sent again.
    pub retransmits: Fact<u32>,
    /// Smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
}

impl Progress {
    /// That of a listed socket; `None` when it is no TCP connection, or has no cookie.
    pub fn of_socket(socket: &Socket) -> Option<Progress> {
        if socket.protocol() != Protocol::Tcp || socket.state() == State::Listening {
            return None;
        }
        let cookie = socket.cookie()?.get();
        let figure = |figure| match socket.extra().map(|extra| &extra.tcp) {
            Some(Fact::Known(tcp)) => tcp.get(figure),
            Some(Fact::Unknown(why)) => Fact::Unknown(*why),
            None => Fact::Unknown(Why::NotAsked),
        };
        let small = |fact: Fact<u64>| fact.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
        let sent = match (figure(TcpFigure::BytesSent), figure(TcpFigure::BytesRetransmitted)) {
            (Fact::Known(sent), Fact::Known(again)) => Fact::Known(sent.saturating_sub(again)),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        };
        // The peer's FIN counts as one byte (tcp_fin and tcp_rcv_nxt_update, net/ipv4/tcp_input.c); in these states it has come.
        let fin = matches!(
            socket.state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait
        );
        Some(Progress {
            cookie,
            state: socket.state(),
            sent,
            received: figure(TcpFigure::BytesReceived).map(|bytes| bytes.saturating_sub(u64::from(fin))),
            retransmits: small(figure(TcpFigure::RetransmitsTotal)),
            rtt: small(figure(TcpFigure::Rtt)),
        })
    }
}
