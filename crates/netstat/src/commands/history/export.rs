//! `--format`: connections in the formats of other tools.

use std::io::{self, Write};
use std::ops::ControlFlow;

use netstat_model::{Direction, Fact, Protocol, State};
use netstat_record::Flow;
use serde_json::{Map, Value, json};

use super::Answer;
use super::args::Export;
use crate::context::{Diagnostics, Failure};
use crate::output::json::{text, timestamp};

/// Runs `--format`.
pub(super) fn export(
    answer: &mut Answer<'_, '_, '_>,
    format: Export,
    diagnostics: &mut Diagnostics,
) -> Result<(), Failure> {
    head(format, answer.context.out)?;
    let mut left = answer.args.top.unwrap_or(usize::MAX);
    let mut listeners = 0u64;
    answer.each(&mut |_, out, flow| {
        match line(&flow, format) {
            Some(line) => writeln!(out, "{line}")?,
            None => {
                listeners += 1;
                return Ok(ControlFlow::Continue(()));
            }
        }
        left -= 1;
        Ok(if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    if listeners > 0 {
        let left_out = crate::context::human::plural(listeners, "listener");
        diagnostics.line(format!("{left_out} left out: conn.log has connections only"));
    }
    Ok(())
}

/// Formats one connection as a line of `--follow-new`; `None` if the format has no line for it.
pub(super) fn line(flow: &Flow, format: Export) -> Option<String> {
    match format {
        Export::Zeek => zeek(flow),
        Export::Ecs => Some(one_line(&ecs(flow))),
        Export::Ocsf => Some(one_line(&ocsf(flow))),
        Export::NetflowJson => Some(one_line(&netflow(flow))),
    }
}

/// Returns a document on one line, without anything that a terminal would interpret.
fn one_line(value: &Value) -> String {
    crate::output::json::to_text(value, false).trim_end().to_owned()
}

/// Writes the lines that precede the data.
pub(super) fn head(format: Export, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Export::Zeek => out.write_all(zeek_head().as_bytes()),
        _ => Ok(()),
    }
}

/// The columns of Zeek's conn.log that a record can fill, with their types.
const ZEEK: [(&str, &str); 17] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("community_id", "string"),
    ("process_path", "string"),
    ("process_pid", "count"),
    ("host", "string"),
];

fn zeek_head() -> String {
    let line = |name: &str, of: fn(&(&'static str, &'static str)) -> &'static str| {
        let fields: Vec<&str> = ZEEK.iter().map(of).collect();
        format!("#{name}\t{}\n", fields.join("\t"))
    };
    [
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n".to_owned(),
        line("fields", |field| field.0),
        line("types", |field| field.1),
    ]
    .concat()
}

/// Escapes text for a field of a Zeek log: separators of fields and lines are escaped as Zeek does, and so are values
/// such as `-`, which stands for an unset field.
fn zeek_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    if matches!(bytes, b"-" | b"(empty)") {
        return format!("\\x{:02x}{}", bytes[0], String::from_utf8_lossy(&bytes[1..]));
    }
    for part in bytes.utf8_chunks() {
        for letter in part.valid().chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                letter if letter.is_control() => {
                    let mut buffer = [0; 4];
                    for byte in letter.encode_utf8(&mut buffer).bytes() {
                        text.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                letter => text.push(letter),
            }
        }
        for byte in part.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Whether this computer initiated the connection. If that is unknown, it is assumed.
fn begun_here(flow: &Flow) -> bool {
    flow.direction != Direction::Incoming
}

/// Returns a stable identifier of a connection, the same each time it is printed, for Zeek's uid.
fn uid(flow: &Flow) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(&flow.boot.host);
    hash.update([0]);
    hash.update(flow.boot.boot_id.as_bytes());
    hash.update(flow.id.to_be_bytes());
    hash.update(flow.first.to_be_bytes());
    let digest = hash.finalize();
    let hex: String = digest[..9].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("C{hex}")
}

/// Returns Zeek's code for how a connection went, as far as the record knows.
fn conn_state(flow: &Flow) -> &'static str {
    match (flow.protocol, flow.closed, flow.state) {
        (Protocol::Tcp, _, State::SynSent) => "S0",
        (Protocol::Tcp, false, _) => "S1",
        (Protocol::Tcp, true, State::TimeWait | State::FinWait2 | State::LastAck | State::Closing) => "SF",
        (Protocol::Tcp, true, _) => "OTH",
        (_, _, _) => "SF",
    }
}

fn zeek(flow: &Flow) -> Option<String> {
    if flow.direction == Direction::Listening || flow.foreign.1 == 0 {
        return None;
    }
    let here = begun_here(flow);
    let (from, to) = if here {
        (flow.local, flow.foreign)
    } else {
        (flow.foreign, flow.local)
    };
    let (from_bytes, to_bytes) = if here {
        (flow.sent, flow.received)
    } else {
        (flow.received, flow.sent)
    };
    let seconds = |millis: i64| format!("{}.{:03}000", millis.div_euclid(1_000), millis.rem_euclid(1_000));
    let count = |fact: Fact<u64>| fact.known().map_or_else(|| "-".to_owned(), |value| value.to_string());
    let flag = |value: bool| if value { "T" } else { "F" }.to_owned();
    let process = flow.process.as_ref();
    let program = process.map_or(&b""[..], |process| {
        process.program.path.as_deref().unwrap_or(&process.program.name)
    });
    let fields = [
        seconds(flow.first),
        uid(flow),
        from.0.to_canonical().to_string(),
        from.1.to_string(),
        to.0.to_canonical().to_string(),
        to.1.to_string(),
        flow.protocol.name().to_ascii_lowercase(),
        seconds(i64::try_from(flow.duration()).unwrap_or(i64::MAX)),
        count(from_bytes),
        count(to_bytes),
        conn_state(flow).to_owned(),
        flag(here),
        flag(!here),
        flow.community_id().unwrap_or_else(|| "-".to_owned()),
        zeek_text(program),
        process.map_or_else(|| "-".to_owned(), |process| process.pid.to_string()),
        zeek_text(&flow.boot.host),
    ];
    Some(fields.join("\t"))
}

fn time(millis: i64) -> Value {
    let since = std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    timestamp(std::time::SystemTime::UNIX_EPOCH + since).into()
}

/// Inserts a value if it is known; both schemas want unknown values to be omitted.
fn put(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value);
    }
}

fn side(address: std::net::IpAddr, port: u16, bytes: Fact<u64>) -> Value {
    let mut side = Map::new();
    put(&mut side, "ip", Some(address.to_canonical().to_string().into()));
    put(&mut side, "port", Some(port.into()).filter(|_| port != 0));
    put(&mut side, "bytes", bytes.known().map(Value::from));
    side.into()
}

fn family(flow: &Flow) -> &'static str {
    if flow.local.0.to_canonical().is_ipv4() {
        "ipv4"
    } else {
        "ipv6"
    }
}

/// Converts a connection to Elastic Common Schema 8: a `network` event of type `connection`.
fn ecs(flow: &Flow) -> Value {
    let here = begun_here(flow);
    let local = side(flow.local.0, flow.local.1, flow.sent);
    let foreign = side(flow.foreign.0, flow.foreign.1, flow.received);
    let (source, destination) = if here { (local, foreign) } else { (foreign, local) };
    let direction = match flow.direction {
        Direction::Incoming | Direction::Listening => "ingress",
        Direction::Outgoing => "egress",
        Direction::Unknown => "unknown",
    };
    let kind = match (flow.direction, flow.closed) {
        (Direction::Listening, _) => json!(["info"]),
        (_, true) => json!(["connection", "end"]),
        (_, false) => json!(["connection", "start"]),
    };
    let mut network = json!({
        "transport": flow.protocol.name().to_ascii_lowercase(),
        "type": family(flow),
        "direction": direction,
    });
    if let Some(id) = flow.community_id() {
        network["community_id"] = id.into();
    }
    if let (Some(sent), Some(received)) = (flow.sent.known(), flow.received.known()) {
        network["bytes"] = sent.saturating_add(received).into();
    }
    let mut event = json!({
        "kind": "event",
        "category": ["network"],
        "type": kind,
        "start": time(flow.first),
        "duration": flow.duration().saturating_mul(1_000_000),
        "provider": "netstat",
    });
    if flow.closed {
        event["end"] = time(flow.last);
    }
    let mut document = json!({
        "@timestamp": time(flow.last),
        "ecs": {"version": "8.11.0"},
        "event": event,
        "network": network,
        "source": source,
        "destination": destination,
        "host": {"name": text(&flow.boot.host)},
    });
    if let Some(process) = &flow.process {
        let mut fields = Map::new();
        put(&mut fields, "pid", Some(process.pid.into()));
        put(&mut fields, "name", Some(text(process.program.shown())));
        put(&mut fields, "executable", process.program.path.as_deref().map(text));
        document["process"] = fields.into();
        if let Some(container) = process.container.as_deref() {
            let mut fields = Map::new();
            let mut parts = container.splitn(2, |byte| *byte == b' ');
            put(&mut fields, "runtime", parts.next().map(text));
            put(&mut fields, "id", parts.next().map(text));
            put(&mut fields, "name", process.container_name.as_deref().map(text));
            document["container"] = fields.into();
        }
        if let Some(unit) = process.unit.as_deref() {
            document["service"] = json!({"name": text(unit)});
        }
    }
    if let Some(user) = flow.user.known() {
        document["user"] = json!({"id": user.to_string()});
    }
    document
}

/// Converts a connection to OCSF 1.x, class 4001 (Network Activity).
fn ocsf(flow: &Flow) -> Value {
    let here = begun_here(flow);
    let end = |(address, port): (std::net::IpAddr, u16)| {
        let mut end = Map::new();
        put(&mut end, "ip", Some(address.to_canonical().to_string().into()));
        put(&mut end, "port", Some(port.into()).filter(|_| port != 0));
        Value::from(end)
    };
    let (source, destination) = if here {
        (flow.local, flow.foreign)
    } else {
        (flow.foreign, flow.local)
    };
    let (activity, activity_name) = match (flow.direction, flow.closed) {
        (Direction::Listening, _) => (7, "Listen"),
        (_, true) => (2, "Close"),
        (_, false) => (6, "Traffic"),
    };
    let (direction, direction_name) = match flow.direction {
        Direction::Incoming | Direction::Listening => (1, "Inbound"),
        Direction::Outgoing => (2, "Outbound"),
        Direction::Unknown => (0, "Unknown"),
    };
    let mut connection = json!({
        "protocol_name": flow.protocol.name().to_ascii_lowercase(),
        "protocol_num": if flow.protocol == Protocol::Udp { 17 } else { 6 },
        "protocol_ver_id": if family(flow) == "ipv4" { 4 } else { 6 },
        "direction_id": direction,
        "direction": direction_name,
    });
    if let Some(id) = flow.community_id() {
        connection["community_uid"] = id.into();
    }
    let mut traffic = Map::new();
    let (out, into) = if here {
        (flow.sent, flow.received)
    } else {
        (flow.received, flow.sent)
    };
    put(&mut traffic, "bytes_out", out.known().map(Value::from));
    put(&mut traffic, "bytes_in", into.known().map(Value::from));
    let mut document = json!({
        "class_uid": 4001,
        "class_name": "Network Activity",
        "category_uid": 4,
        "category_name": "Network Activity",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": 4001 * 100 + activity,
        "severity_id": 1,
        "severity": "Informational",
        "time": flow.last,
        "start_time": flow.first,
        "duration": flow.duration(),
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "netstat", "version": env!("CARGO_PKG_VERSION")},
        },
        "connection_info": connection,
        "src_endpoint": end(source),
        "dst_endpoint": end(destination),
        "traffic": traffic,
        "device": {"hostname": text(&flow.boot.host), "type_id": 0},
    });
    if flow.closed {
        document["end_time"] = flow.last.into();
    }
    if let Some(process) = &flow.process {
        let mut fields = json!({"pid": process.pid, "name": text(process.program.shown())});
        if let Some(path) = process.program.path.as_deref() {
            fields["file"] = json!({"path": text(path), "name": text(process.program.shown()), "type_id": 1});
        }
        if let Some(user) = flow.user.known() {
            fields["user"] = json!({"uid": user.to_string()});
        }
        document["actor"] = json!({"process": fields});
    }
    document
}

/// Converts a connection to JSON with the names of IPFIX information elements, in the spelling of goflow2, nfdump and
/// Logstash's netflow codec.
fn netflow(flow: &Flow) -> Value {
    let here = begun_here(flow);
    let (source, destination) = if here {
        (flow.local, flow.foreign)
    } else {
        (flow.foreign, flow.local)
    };
    let (out, back) = if here {
        (flow.sent, flow.received)
    } else {
        (flow.received, flow.sent)
    };
    let mut record = Map::new();
    let version = if family(flow) == "ipv4" { "IPv4" } else { "IPv6" };
    put(&mut record, "flowStartMilliseconds", Some(flow.first.into()));
    put(&mut record, "flowEndMilliseconds", Some(flow.last.into()));
    put(
        &mut record,
        &format!("source{version}Address"),
        Some(source.0.to_canonical().to_string().into()),
    );
    put(
        &mut record,
        &format!("destination{version}Address"),
        Some(destination.0.to_canonical().to_string().into()),
    );
    put(&mut record, "sourceTransportPort", Some(source.1.into()));
    put(&mut record, "destinationTransportPort", Some(destination.1.into()));
    put(
        &mut record,
        "protocolIdentifier",
        Some(if flow.protocol == Protocol::Udp { 17 } else { 6 }.into()),
    );
    put(&mut record, "octetDeltaCount", out.known().map(Value::from));
    put(&mut record, "reverseOctetDeltaCount", back.known().map(Value::from));
    // RFC 5102: 0 for ingress, 1 for egress.
    let direction = match flow.direction {
        Direction::Incoming | Direction::Listening => Some(0.into()),
        Direction::Outgoing => Some(1.into()),
        Direction::Unknown => None,
    };
    put(&mut record, "flowDirection", direction);
    put(&mut record, "exporterHost", Some(text(&flow.boot.host)));
    if let Some(process) = &flow.process {
        put(&mut record, "applicationName", Some(text(process.program.shown())));
    }
    record.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeek_text_separators_and_controls_are_escaped() {
        for (bytes, shown) in [
            (&b"nginx"[..], "nginx"),
            (b"a\tb\nc", "a\\x09b\\x0ac"),
            (b"-", "\\x2d"),
            (b"", "-"),
            (b"a\\b", "a\\\\b"),
            (b"\xff", "\\xff"),
            ("\u{9b}31m".as_bytes(), "\\xc2\\x9b31m"),
        ] {
            assert_eq!(zeek_text(bytes), shown);
        }
    }

    #[test]
    fn zeek_head_names_as_many_types_as_fields() {
        let head = zeek_head();
        let count = |name: &str| {
            let line = head.lines().find(|line| line.starts_with(name)).unwrap();
            line.split('\t').count()
        };
        assert_eq!(count("#fields"), count("#types"));
    }
}
