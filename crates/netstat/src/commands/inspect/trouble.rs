//! Detects problems of a socket from its own metrics: a full accept queue, a listener that cannot be reached, a peer
//! that does not answer.

use std::time::Duration;

use netstat_model::human::{bytes, plural, span};
use netstat_model::reach::{LocalNetwork, is_loopback, waits};
use netstat_model::route::Interface;
use netstat_model::{Fact, Protocol, Socket, State, TcpMetric, TimerKind};

/// The number of unanswered attempts after which a peer is considered gone or cut off: three probes or retransmissions
/// cannot be explained by one or two lost packets.
const UNANSWERED: u64 = 3;

/// The time after which a program that has not closed a connection whose peer has closed it is considered to have
/// forgotten it.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Returns each problem as a sentence that is safe to print. `network` is that of the socket's namespace.
pub(super) fn trouble(socket: &Socket, network: Option<&LocalNetwork>) -> Vec<String> {
    let mut found = Vec::new();
    if waits(socket) {
        found.extend(full_queue(socket));
        found.extend(network.and_then(|network| unreachable(socket, network)));
    } else if socket.protocol() == Protocol::Tcp {
        found.extend(silent_peer(socket));
        found.extend(forgotten(socket));
    }
    found
}

/// Linux accepts connections until the queue exceeds the limit by one (`sk_acceptq_is_full`), and then drops those that
/// complete a handshake.
fn full_queue(socket: &Socket) -> Option<String> {
    if socket.protocol() != Protocol::Tcp {
        return None;
    }
    let (waiting, limit) = (socket.receive_queue(), socket.send_queue().known()?);
    (waiting > limit).then(|| {
        format!(
            "the accept queue is full: {} to be accepted, the limit is {limit}; the program accepts none or too slowly, and new connections are \
             being dropped",
            match waiting {
                1 => "1 connection waits".to_owned(),
                waiting => format!("{waiting} connections wait"),
            }
        )
    })
}

fn unreachable(socket: &Socket, network: &LocalNetwork) -> Option<String> {
    let address = socket.local().address.to_canonical();
    if let Some(bound) = socket.interface() {
        match network.interface(bound.get()) {
            None if network.interfaces.as_ref().known().is_some() => {
                return Some("nobody reaches it: the interface that it is bound to is gone".to_owned());
            }
            Some(interface) if !Interface::is_up(interface) => {
                return Some(format!(
                    "nobody reaches it: the interface {} that it is bound to is down",
                    network.name_of(bound.get())
                ));
            }
            _ => {}
        }
    }
    let known = network.addresses.as_ref().known().is_some() && network.local_routes.as_ref().known().is_some();
    let missing =
        !address.is_unspecified() && !address.is_multicast() && !is_loopback(address) && !is_broadcast(address);
    (missing && known && !network.owns(address))
        .then(|| format!("nobody reaches it: no interface has the address {address}"))
}

fn is_broadcast(address: std::net::IpAddr) -> bool {
    matches!(address, std::net::IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[3] == 255)
}

/// Detects a connection whose peer has stopped answering: data is retransmitted, or probes remain unanswered.
fn silent_peer(socket: &Socket) -> Option<String> {
    let timer = socket.fact(|extra| extra.timer).known()?;
    let count = u64::from(timer.count).max(socket.tcp(TcpMetric::Retransmits).known().unwrap_or(0));
    if count < UNANSWERED {
        return None;
    }
    let silence = socket
        .tcp(TcpMetric::LastAckReceived)
        .known()
        .map_or_else(String::new, |milliseconds| {
            format!(
                "; its last acknowledgement came {} ago",
                span(Duration::from_millis(milliseconds))
            )
        });
    match (timer.kind, socket.state()) {
        (TimerKind::Retransmit, State::SynSent) => Some(format!(
            "nobody answers: the request for a connection was sent {count} times again"
        )),
        (TimerKind::Retransmit, _) => {
            let unsent = match socket.send_queue() {
                Fact::Known(queue) if queue > 0 => format!(", {} not acknowledged", bytes(queue.into())),
                _ => String::new(),
            };
            Some(format!(
                "the peer does not answer: {} without an answer{unsent}{silence}",
                plural(count, "repetition")
            ))
        }
        (TimerKind::KeepAlive, State::Established | State::CloseWait) => Some(format!(
            "the peer does not answer: {} without an answer{silence}",
            plural(count, "keep-alive probe")
        )),
        (TimerKind::Persist, _) => Some(format!(
            "the peer takes no more data: its window has been closed for {}",
            plural(count, "probe")
        )),
        _ => None,
    }
}

/// Detects a connection that the peer has closed while the program has not.
fn forgotten(socket: &Socket) -> Option<String> {
    if socket.state() != State::CloseWait {
        return None;
    }
    let quiet = [
        TcpMetric::LastDataSent,
        TcpMetric::LastDataReceived,
        TcpMetric::LastAckReceived,
    ]
    .into_iter()
    .filter_map(|figure| socket.tcp(figure).known())
    .min()
    .map(Duration::from_millis)?;
    (quiet >= FORGOTTEN).then(|| {
        format!(
            "the peer has closed the connection, and the program has not for {} at least",
            span(quiet)
        )
    })
}
