//! The machine-readable output of `history` and `--follow`, validated against the published schemas.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use jsonschema::Validator;
use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State, Why};
use netstat_record::{NewFlow, NewProcess, Writer, millis};
use netstat_testkit::{Netstat, own_namespace};
use serde_json::Value;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn validator(name: &str) -> Validator {
    let path = format!("{}/../../docs/schema/netstat.{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

#[track_caller]
fn valid(validator: &Validator, value: &Value, what: &str) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .take(2)
        .map(|error| format!("{error} at {}", error.instance_path))
        .collect();
    assert_eq!(errors, [""; 0], "{what}: {value:#}");
}

/// Creates a record with connections at regular intervals, a listener without a known process, a datagram socket, and a
/// gap.
fn made_up(store: &Path) {
    let mut writer = Writer::open(store, b"mill", "00000000-0000-0000-0000-000000000001").unwrap();
    let mut batch = writer.batch().unwrap();
    let facts = NewProcess {
        path: None,
        name: b"a\"\xff".to_vec(),
        unit: Some(b"x.service".to_vec()),
        container: Some(b"docker 0123456789ab".to_vec()),
        command: Some(7),
        ..NewProcess::default()
    };
    let process = batch.process(7, None, &facts).unwrap();
    let now = millis(SystemTime::now());
    let unknown = Why::NotKept;
    let call = NewFlow {
        first: 0,
        span: 200,
        closed: true,
        begun: true,
        protocol: Protocol::Tcp,
        family: Family::V6,
        local: (std::net::Ipv6Addr::LOCALHOST.into(), 40_000),
        foreign: ("2001:db8::7".parse().unwrap(), 443),
        direction: Direction::Outgoing,
        state: State::Established,
        origin: EventOrigin::Trace,
        process: Some(process),
        user: Fact::Known(4_000_000_000),
        namespace: Fact::Known(4_026_531_840),
        sent: Fact::Known(100),
        received: Fact::Known(100),
        retransmits: Fact::Known(1),
        rtt: Fact::Known(20),
        asked_name: None,
    };
    for number in (1..40).rev() {
        let flow = NewFlow {
            first: now - number * 600_000,
            ..call.clone()
        };
        batch.insert(&flow, None).unwrap();
    }
    let any = (std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
    let listener = NewFlow {
        first: now - 900_000,
        family: Family::V4,
        local: (any.0, 80),
        foreign: any,
        direction: Direction::Listening,
        state: State::Listening,
        closed: false,
        process: None,
        user: Fact::Unknown(unknown),
        namespace: Fact::Unknown(unknown),
        sent: Fact::Unknown(unknown),
        received: Fact::Unknown(unknown),
        retransmits: Fact::Unknown(unknown),
        rtt: Fact::Unknown(unknown),
        asked_name: None,
        ..call.clone()
    };
    batch.insert(&listener, None).unwrap();
    let datagrams = NewFlow {
        protocol: Protocol::Udp,
        direction: Direction::Unknown,
        state: State::Closed,
        process: Some(process),
        ..listener.clone()
    };
    batch.insert(&datagrams, None).unwrap();
    batch
        .insert(
            &NewFlow {
                process: Some(process),
                ..listener
            },
            None,
        )
        .unwrap();
    batch.gap(now - 60_000, now - 50_000, "made up", None).unwrap();
    batch.gap(now - 40_000, now - 30_000, "made up too", Some(3)).unwrap();
    batch.commit().unwrap();
}

#[test]
fn history_answers_all_follow_their_schema() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("record.db");
    made_up(&store);
    let (document, line) = (validator("history"), validator("history-line"));
    let columns = Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(["history", "--columns", "help"]);
    let columns: Vec<&str> = columns
        .success()
        .lines()
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect();
    let columns = columns.join(",");
    let groups = "program,foreign,protocol";
    for (words, least) in [
        (&[][..], 42),
        (&["--columns", &columns][..], 42),
        (&["--sort", "-bytes", "--top", "3"][..], 3),
        (&["--group", groups, "--sort", "-count"][..], 3),
        (&["--new"][..], 4),
        (&["--beacons"][..], 1),
        (&["--gaps"][..], 2),
        (&["--follow", "7"][..], 40),
        (&["--program", "nobody"][..], 0),
    ] {
        let run = |format: &str| {
            let all = [&["history", "--store", store.to_str().unwrap(), format], words].concat();
            Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(all)
        };
        let whole: Value = serde_json::from_str(run("--json").success()).unwrap();
        valid(&document, &whole, &words.join(" "));
        let rows = whole["rows"].as_array().unwrap();
        assert!(
            rows.len() >= least && (least > 0 || rows.is_empty()),
            "{words:?}: {whole:#}"
        );
        assert_eq!(whole["gaps"].as_array().unwrap().len(), 2);
        // Unknown values have reasons, in the document as well as in its lines.
        let nulls: usize = rows
            .iter()
            .map(|row| {
                row.as_object()
                    .unwrap()
                    .values()
                    .filter(|value| value.is_null())
                    .count()
            })
            .sum();
        let told: u64 = whole["limits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|limit| limit["rows"].as_u64().unwrap())
            .sum();
        assert_eq!(nulls as u64, told, "{words:?}: {whole:#}");
        let lines = run("--ndjson");
        let lines: Vec<Value> = lines
            .success()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), rows.len(), "{words:?}");
        for one in &lines {
            valid(&line, one, &words.join(" "));
            let missing = one["limits"].as_object().map_or(0, serde_json::Map::len);
            let nulls = one.as_object().unwrap().values().filter(|value| value.is_null());
            assert_eq!(nulls.count(), missing, "{one:#}");
        }
    }
}

#[test]
fn schemas_refuse_wrong_documents() {
    let document = validator("history-line");
    for bad in [
        r#"{"first":"yesterday"}"#,
        r#"{"pid":-1}"#,
        r#"{"colour":"red"}"#,
        r#"{"since":"2026-11-27T00:00:00Z"}"#,
        "3",
    ] {
        let bad: Value = serde_json::from_str(bad).unwrap();
        assert!(!document.is_valid(&bad), "{bad}");
    }
    let event = validator("events-line");
    assert!(!event.is_valid(&serde_json::from_str(r#"{"event":"opened"}"#).unwrap()));
}

#[test]
fn follow_events_all_follow_their_schema() {
    own_namespace!();
    let event = validator("events-line");
    let child = Command::new(env!("CARGO_BIN_EXE_netstat"))
        .args(["--follow", "--ndjson", "--timeout", "30", "--verbose"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let mut err = BufReader::new(running.0.stderr.take().unwrap());
    while !said.ends_with("netstat: watching\n") {
        assert!(err.read_line(&mut said).unwrap() > 0, "it has ended: {said}");
    }
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.connect("127.0.0.1:9").unwrap();
    let _ = datagrams.send(b"x");
    let mut client = TcpStream::connect(("::1", port)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    // Kept open until it was seen, whatever the source of events.
    let mut open = Some((datagrams, client, server));
    let mut kinds = Vec::new();
    for line in lines {
        let one: Value = serde_json::from_str(&line.unwrap()).unwrap();
        valid(&event, &one, "--follow --ndjson");
        let missing = one["limits"].as_object().map_or(0, serde_json::Map::len);
        let nulls = one.as_object().unwrap().values().filter(|value| value.is_null());
        assert_eq!(nulls.count(), missing, "{one:#}");
        let kind = one["event"].as_str().unwrap().to_owned();
        kinds.push(format!("{} {kind}", one["protocol"].as_str().unwrap()));
        if one["protocol"] == "TCP" && kind == "opened" && one["direction"] != "listening" {
            drop(open.take());
        }
        if one["protocol"] == "TCP" && kind == "closed" {
            break;
        }
    }
    for kind in ["TCP opened", "TCP closed"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind} in {kinds:?}");
    }
}

/// Collects what a reader written for `old` would miss in `new`: missing properties, types, list members and
/// definitions, and values that differ. Descriptions may change.
fn missing(old: &Value, new: &Value, place: &str, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let place = format!("{place}/{key}");
                // A property may be called `description`; its value is then an object.
                if matches!(key.as_str(), "description" | "title") && value.is_string() {
                    continue;
                }
                match new.get(key) {
                    Some(new) => missing(value, new, &place, found),
                    None => found.push(place),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for value in old {
                // The members of `enum`, `type` and `required` may be in any order; of `oneOf` and the like, one must
                // lack nothing.
                let kept = new.iter().any(|new| {
                    let mut lacks = Vec::new();
                    missing(value, new, place, &mut lacks);
                    lacks.is_empty()
                });
                if !kept {
                    found.push(format!("{place}: {value}"));
                }
            }
        }
        _ if old != new => found.push(format!("{place}: {old}")),
        _ => {}
    }
}

#[test]
fn published_schemas_lose_nothing_since_version_0_1() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compared = 0;
    for entry in fs::read_dir(here.join("tests/fixtures/schema-0.1")).unwrap() {
        let published = entry.unwrap().path();
        let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let name = published
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_start_matches("netstat.");
        let outcome = Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(["schema", name]);
        let today: Value = serde_json::from_str(outcome.success()).unwrap();
        let mut found = Vec::new();
        missing(&read(&published), &today, name, &mut found);
        assert_eq!(found, [""; 0], "gone from {name} since 0.1");
        compared += 1;
    }
    assert_eq!(compared, 9);
}

#[test]
fn schema_that_lost_something_is_noticed() {
    let old = serde_json::json!({
        "description": "old", "type": ["string", "null"], "enum": ["a", "b"],
        "properties": {"x": {"type": "integer"}, "description": {"type": "string"}},
    });
    let lost = |new: Value| {
        let mut found = Vec::new();
        missing(&old, &new, "", &mut found);
        found.sort();
        found
    };
    let mut new = old.clone();
    new["description"] = "new".into();
    new["enum"] = serde_json::json!(["c", "b", "a"]);
    new["properties"]["y"] = serde_json::json!({"type": "string"});
    assert_eq!(lost(new.clone()), [""; 0]);
    new["enum"] = serde_json::json!(["b"]);
    new["type"] = serde_json::json!(["string"]);
    new["properties"] = serde_json::json!({"x": {"type": "string"}});
    assert_eq!(
        lost(new),
        [
            "/enum: \"a\"",
            "/properties/description",
            "/properties/x/type: \"integer\"",
            "/type: \"null\""
        ]
    );
}
