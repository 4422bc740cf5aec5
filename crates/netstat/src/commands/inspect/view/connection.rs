//! The sockets of a card.

use netstat_model::{Endpoint, Fact, Protocol, Socket, TcpMetric, Why, text};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use super::super::card::SocketView;
use super::super::usage::Rates;
use super::Screen;
use super::lines::Lines;
use crate::context::human::{bytes, bytes_per_second, moment, plural, span};
use crate::recall::Since;
use netstat_model::reach::waits;

/// The maximum number of sockets that are shown in full.
const IN_FULL: usize = 2;

/// The maximum number of further sockets that are named.
const NAMED: usize = 4;

/// Writes the sockets. `unseen` is the reason why the sockets of the process are unknown; `None` if they are known.
pub(super) fn write(lines: &mut Lines, sockets: &[SocketView], unseen: Option<Why>, screen: &Screen<'_>) {
    match unseen {
        _ if !sockets.is_empty() => {}
        None => lines.row("socket", "it holds no Internet socket"),
        Some(why) => lines.row("socket", &format!("which sockets it holds is unknown: {}", why.words())),
    }
    for view in sockets.iter().take(IN_FULL) {
        let label = if waits(&view.socket) { "listens" } else { "socket" };
        lines.row(label, &ends_with_names(view));
        let ports = ports(&view.socket, screen);
        if !ports.is_empty() {
            lines.row("", &ports);
        }
        let traffic = traffic(view, screen.now);
        if !traffic.is_empty() {
            lines.row("", &traffic);
        }
        for trouble in &view.trouble {
            lines.row("problem", trouble);
        }
    }
    // Problems are reported for the sockets that are only named, too.
    let rest: Vec<&SocketView> = sockets.iter().skip(IN_FULL).collect();
    for (place, view) in rest.iter().take(NAMED).enumerate() {
        lines.row(if place == 0 { "also" } else { "" }, &ends_with_names(view));
        for trouble in &view.trouble {
            lines.row("", &format!("problem: {trouble}"));
        }
    }
    if rest.len() > NAMED {
        lines.row(
            "",
            &format!("and {}", plural((rest.len() - NAMED) as u64, "more socket")),
        );
    }
}

/// Formats the endpoints: `TCP 192.168.1.114:2078 -> 203.0.113.7:80`; a socket without a peer has no arrow.
pub(super) fn ends(view: &SocketView) -> String {
    let socket = &view.socket;
    let protocol = socket.protocol();
    if !protocol.is_ip() {
        return protocol.name().to_owned();
    }
    let local = side(view, socket.local());
    match socket.is_connected() {
        true => format!("{} {local} -> {}", protocol.name(), side(view, socket.foreign())),
        false => format!("{} {local}", protocol.name()),
    }
}

fn ends_with_names(view: &SocketView) -> String {
    let mut line = ends(view);
    if let Some(host) = &view.host {
        line.push_str(&format!(" ({})", text::escape_str(host)));
    }
    if let Some(name) = &view.asked_name {
        line.push_str(&format!(" (asked for as {})", text::escape_str(name)));
    }
    if let Some(state) = view.socket.shown_state() {
        line.push_str("  ");
        line.push_str(state.name());
    }
    if waits(&view.socket) && view.socket.local().address == Ipv6Addr::UNSPECIFIED {
        line.push_str(match view.socket.fact(|extra| extra.v6_only) {
            Fact::Known(true) => "  IPv6 only",
            Fact::Known(false) => "  IPv4 and IPv6",
            Fact::Unknown(_) => "",
        });
    }
    if let Some(namespace) = &view.namespace {
        line.push_str(&format!("  in the network namespace {namespace}"));
    }
    line
}

/// Formats an endpoint: `192.0.2.1:80`, `[fe80::1%eth0]:80`, `0.0.0.0%eth0:80`. It includes the zone of a link-local
/// address, and the device that a wildcard socket is bound to.
fn side(view: &SocketView, end: Endpoint) -> String {
    let bound = end.address.is_unspecified() && view.socket.interface().is_some();
    let zone = match &view.interface {
        Some(name) if end.scope != 0 || bound => format!("%{name}"),
        _ => String::new(),
    };
    match (view.socket.protocol().has_ports(), end.address) {
        (true, IpAddr::V4(v4)) => format!("{v4}{zone}:{}", end.port),
        (true, IpAddr::V6(v6)) => format!("[{v6}{zone}]:{}", end.port),
        (false, address) => format!("{address}{zone}"),
    }
}

/// Describes the services that the ports of both endpoints are registered for.
fn ports(socket: &Socket, screen: &Screen<'_>) -> String {
    if !socket.protocol().has_ports() {
        return String::new();
    }
    let meaning = |end: Endpoint| {
        let name = screen.services.name(socket.protocol(), end.port)?;
        let description = screen.services.description(socket.protocol(), end.port);
        Some(match description {
            Some(description) => format!("{} is {name} ({description})", end.port),
            None => format!("{} is {name}", end.port),
        })
    };
    let mut ends = vec![socket.local()];
    if socket.is_connected() {
        ends.push(socket.foreign());
    }
    let known: Vec<String> = ends.iter().filter_map(|end| meaning(*end)).collect();
    match known.is_empty() {
        true => "no service is registered for its ports".to_owned(),
        false => format!("registered: port {}", known.join(", port ")),
    }
}

/// Describes bytes, rates, delays and queues, as far as this kind of socket has them.
fn traffic(view: &SocketView, now: SystemTime) -> String {
    let socket = &view.socket;
    let queue = u64::from(socket.receive_queue());
    if waits(socket) {
        let mut parts = Vec::new();
        match (socket.protocol(), socket.send_queue()) {
            (Protocol::Udp, _) if queue == 0 => {}
            (Protocol::Udp, _) => parts.push(format!("{} received and not yet read", bytes(queue))),
            (_, Fact::Known(limit)) => {
                parts.push(format!("{queue} of at most {limit} connections wait to be accepted"))
            }
            _ if socket.known_receive_queue().why().is_some() => {}
            (_, Fact::Unknown(_)) => parts.push(format!("{} to be accepted", plural(queue, "connection"))),
        }
        parts.extend(view.since.map(|since| first_seen(since, "waiting", None, now)));
        return parts.join(", ");
    }
    let mut parts = Vec::new();
    if socket.protocol() == Protocol::Tcp {
        let received = socket.tcp(TcpMetric::BytesReceived);
        let sent = socket.tcp(TcpMetric::BytesSent);
        if let (Some(received), Some(sent)) = (amount("received", received), amount("sent", sent)) {
            parts.push(with_rate(received, view.rates.received));
            parts.push(with_rate(sent, view.rates.sent));
        } else if let Some(why) = received.why() {
            parts.push(format!("bytes: {}", why.words()));
        }
        if let Fact::Known(rtt) = socket.tcp(TcpMetric::Rtt) {
            let places = if rtt < 1_000 { 2 } else { 1 };
            parts.push(format!("round trip {:.places$} ms", rtt as f64 / 1000.0));
        }
        if let Fact::Known(again) = socket.tcp(TcpMetric::RetransmitsTotal) {
            parts.push(format!("{} sent again", plural(again, "segment")));
        }
    }
    let waiting = socket.send_queue().known().unwrap_or(0);
    if socket.known_receive_queue().why().is_none() {
        parts.push(format!("queues {} in, {} out", bytes(queue), bytes(waiting.into())));
    }
    match (view.since, socket.protocol()) {
        (Some(since), _) if socket.time_in_state().known().is_none() => {
            parts.push(first_seen(since, "open", least_age(socket), now));
        }
        (_, Protocol::Tcp) => parts.push(age(socket)),
        _ => {}
    }
    parts.join(", ")
}

fn amount(what: &str, number: Fact<u64>) -> Option<String> {
    Some(format!("{what} {}", bytes(number.known()?)))
}

fn with_rate(amount: String, rate: Fact<f64>) -> String {
    match rate {
        Fact::Known(rate) => format!("{amount} ({})", bytes_per_second(rate)),
        Fact::Unknown(_) => amount,
    }
}

/// Describes the age of a socket. Linux does not record when a connection began, but the time since the last events is
/// a lower bound.
fn age(socket: &Socket) -> String {
    if let Fact::Known(time) = socket.time_in_state() {
        return format!("in this state for {}", span(Duration::from_millis(time)));
    }
    match least_age(socket) {
        Some(least) if least >= WORTH_TELLING => format!("open for at least {}", span(least)),
        _ => format!("age: {}", Why::NotKept.words()),
    }
}

/// A smaller bound is not shown, because there is always activity on a busy connection, however old it is.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Returns a lower bound for the age of a connection: the time since some event on it, or the time during which it had
/// something to send.
fn least_age(socket: &Socket) -> Option<Duration> {
    let busy = socket.tcp(TcpMetric::BusyTime).known().map(Duration::from_micros);
    quiet(socket).max(busy)
}

/// Returns the longest time since some event on the connection.
fn quiet(socket: &Socket) -> Option<Duration> {
    [
        TcpMetric::LastDataSent,
        TcpMetric::LastDataReceived,
        TcpMetric::LastAckReceived,
    ]
    .into_iter()
    .filter_map(|figure| socket.tcp(figure).known())
    .max()
    .map(Duration::from_millis)
}

/// Describes when a socket was first seen, according to the record; `least` is the lower bound that is known without
/// it.
fn first_seen(since: Since, what: &str, least: Option<Duration>, now: SystemTime) -> String {
    let age = now.duration_since(since.at).unwrap_or_default();
    match since.exact {
        true => format!("{what} for {}, since {}", span(age), moment(since.at)),
        false => format!(
            "{what} for at least {}, first seen {}",
            span(age.max(least.unwrap_or_default())),
            moment(since.at)
        ),
    }
}

/// Describes both rates, or the reason why they are unknown.
pub(super) fn rates(rates: &Rates) -> String {
    match (rates.received, rates.sent) {
        (Fact::Known(received), Fact::Known(sent)) => {
            format!(
                "TCP {} in and {} out",
                bytes_per_second(received),
                bytes_per_second(sent)
            )
        }
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => format!("network: {}", why.words()),
    }
}
