//! The amount of data that an open connection has transferred.

use crate::{Fact, Protocol, Socket, State, TcpMetric, Why};

/// What a TCP connection has transferred so far. The type is small because there may be very many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The socket's cookie.
    pub cookie: u64,
    /// The state of the connection.
    pub state: State,
    /// Payload bytes sent, without retransmissions.
    pub sent: Fact<u64>,
    /// Payload bytes received.
    pub received: Fact<u64>,
    /// Segments retransmitted.
    pub retransmits: Fact<u32>,
    /// The smoothed round-trip time in microseconds.
    pub rtt: Fact<u32>,
}

impl Transfer {
    /// Returns the transfer of a listed socket; `None` if it is not a TCP connection or has no cookie.
    pub fn of_socket(socket: &Socket) -> Option<Transfer> {
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
        let sent = match (figure(TcpMetric::BytesSent), figure(TcpMetric::BytesRetransmitted)) {
            (Fact::Known(sent), Fact::Known(again)) => Fact::Known(sent.saturating_sub(again)),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        };
        // The peer's FIN counts as one byte (tcp_fin and tcp_rcv_nxt_update, net/ipv4/tcp_input.c); it has been
        // received in these states.
        let fin = matches!(
            socket.state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait
        );
        Some(Transfer {
            cookie,
            state: socket.state(),
            sent,
            received: figure(TcpMetric::BytesReceived).map(|bytes| bytes.saturating_sub(u64::from(fin))),
            retransmits: small(figure(TcpMetric::RetransmitsTotal)),
            rtt: small(figure(TcpMetric::Rtt)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Extra, Family, SocketFacts, TcpInfo};

    fn connection(state: State, extra: bool) -> Socket {
        let socket = Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state,
            local: [10, 0, 0, 7].into(),
            local_port: 50_000,
            foreign: [203, 0, 113, 7].into(),
            foreign_port: 443,
            interface: 0,
            inode: 4711,
            user: Some(0),
            cookie: std::num::NonZeroU64::new(9),
            receive_queue: 0,
            send_queue: Some(0),
        });
        let mut tcp = TcpInfo::unknown(Why::NotSupported);
        tcp.set(TcpMetric::BytesSent, Fact::Known(1_500));
        tcp.set(TcpMetric::BytesRetransmitted, Fact::Known(500));
        tcp.set(TcpMetric::BytesReceived, Fact::Known(301));
        tcp.set(TcpMetric::Rtt, Fact::Known(20_000));
        match extra {
            true => socket.with_extra(Extra {
                tcp: Fact::Known(Box::new(tcp)),
                ..Extra::default()
            }),
            false => socket,
        }
    }

    #[test]
    fn transfer_after_peer_closed_counts_payload_without_fin() {
        let open = Transfer::of_socket(&connection(State::Established, true)).unwrap();
        assert_eq!(
            (open.cookie, open.sent, open.received),
            (9, Fact::Known(1_000), Fact::Known(301))
        );
        assert_eq!(
            (open.rtt, open.retransmits),
            (Fact::Known(20_000), Fact::Unknown(Why::NotSupported))
        );
        // The peer has closed its side, so its FIN is included in the metric.
        let half = Transfer::of_socket(&connection(State::CloseWait, true)).unwrap();
        assert_eq!(half.received, Fact::Known(300));
    }

    #[test]
    fn transfer_not_asked_for_is_unknown_and_of_listener_is_none() {
        let bare = Transfer::of_socket(&connection(State::Established, false)).unwrap();
        assert_eq!(
            (bare.sent, bare.rtt),
            (Fact::Unknown(Why::NotAsked), Fact::Unknown(Why::NotAsked))
        );
        assert_eq!(Transfer::of_socket(&connection(State::Listening, true)), None);
    }
}
