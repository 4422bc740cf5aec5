//! The store of a fleet on a real ClickHouse: the same results as from the record itself, and the commands for
//! administrators.
//!
//! `NETSTAT_FLEET_ENGINE` is the command that runs an engine, with a directory and a port as arguments (`.ci/fleet`
//! sets it).
#![cfg(target_os = "linux")]
#![cfg(all(target_os = "linux", feature = "fleet"))]

mod more;
#[cfg(feature = "serve")]
mod serve;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use netstat_fleet::ddl::{self, Layout};
use netstat_fleet::{Address, Client, Detail, Encoder, FleetConfig, Sender, Shipping, host_id};
use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State, Why};
use netstat_record::{NewFlow, NewProcess, Writer, millis};
use netstat_testkit::{Netstat, skip};
use serde_json::Value;

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// An engine with the tables of a fleet.
struct Engine {
    process: Child,
    address: Address,
    folder: tempfile::TempDir,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Engine {
    fn start(more: &[String]) -> Option<Engine> {
        let Ok(command) = std::env::var("NETSTAT_FLEET_ENGINE") else {
            skip("", "NETSTAT_FLEET_ENGINE names no ClickHouse; .ci/run fleet does");
            return None;
        };
        let words: Vec<&str> = command.split_whitespace().collect();
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(words[0])
            .args(&words[1..])
            .arg(folder.path().join("data"))
            .arg(port.to_string())
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let engine = Engine {
            process,
            address: format!("clickhouse://127.0.0.1:{port}/netstat").parse().unwrap(),
            folder,
        };
        within(Duration::from_secs(120), "the engine answers", || ping(port));
        Some(engine)
    }

    fn with_tables() -> Option<Engine> {
        let engine = Engine::start(&[])?;
        let layout = Layout {
            roles: false,
            ..Layout::of(&engine.address)
        };
        ddl::run(&engine.client(), &layout.statements(0)).unwrap();
        Some(engine)
    }

    fn client(&self) -> Client {
        Client::new(&self.address, &FleetConfig::default()).unwrap()
    }

    /// Returns the output of this command line, which must succeed.
    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let at = self.address.to_string();
        let words: Vec<&str> = words
            .iter()
            .map(|word| if *word == "AT" { at.as_str() } else { word })
            .collect();
        let outcome = netstat().run(&words);
        outcome.success().to_owned()
    }
}

/// Waits until `done`; an engine needs a second on an idle computer, and a minute on a busy one.
#[track_caller]
fn within(time: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !done() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ping(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = stream.write_all(b"GET /ping HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.contains("Ok.")
}

/// Sends everything that `fill` writes to a record called `host`, and returns the path of the record.
fn record(engine: &Engine, host: &str, fill: impl FnOnce(&mut Writer)) -> PathBuf {
    let path = engine.folder.path().join(format!("{host}.db"));
    let boot = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    let mut writer = Writer::open(&path, host.as_bytes(), boot).unwrap();
    writer.begin_shipping().unwrap();
    fill(&mut writer);
    let shipping = Shipping {
        encoder: Encoder {
            host_id: host_id(host),
            host: host.as_bytes().to_vec(),
            detail: Detail::Flows,
        },
        boot: boot.to_owned(),
        interval: Duration::from_secs(1),
        spool_bytes: 1 << 30,
    };
    let mut sender = Sender::start(engine.client(), shipping).unwrap();
    sender.turn(&mut writer, millis(SystemTime::now())).unwrap();
    assert_eq!(
        sender.finish(&mut writer, Duration::from_secs(60)).unwrap(),
        0,
        "rows not sent"
    );
    path
}

/// Generates a reproducible sequence of pseudorandom numbers.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Returns a random flow of any kind that a record can contain.
fn any_flow(random: &mut dyn FnMut(u64) -> u64, now: i64) -> NewFlow {
    let family = if random(3) == 0 { Family::V6 } else { Family::V4 };
    let address = |low: u64| -> IpAddr {
        match (family, low % 4) {
            (Family::V6, 0) => format!("::ffff:192.0.2.{}", low % 200).parse().unwrap(),
            (Family::V6, _) => format!("2001:db8:{:x}::{:x}", low % 5, low).parse().unwrap(),
            _ => format!("198.51.{}.{}", low % 3, low % 250).parse().unwrap(),
        }
    };
    let (local, foreign) = (address(random(50)), address(random(400)));
    let direction = [
        Direction::Outgoing,
        Direction::Incoming,
        Direction::Listening,
        Direction::Unknown,
    ][random(4) as usize];
    let protocol = if random(4) == 0 { Protocol::Udp } else { Protocol::Tcp };
    let listening = direction == Direction::Listening;
    let unspecified: IpAddr = if family == Family::V6 { "::" } else { "0.0.0.0" }.parse().unwrap();
    let number = |random: &mut dyn FnMut(u64) -> u64, most| match random(5) {
        0 => Fact::Unknown(Why::NotAsked),
        _ => Fact::Known(random(most)),
    };
    let small = |random: &mut dyn FnMut(u64) -> u64, most| number(random, most).map(|value| value as u32);
    NewFlow {
        first: now - random(3 * DAY as u64) as i64,
        span: if random(20) == 0 {
            random(2 * DAY as u64)
        } else {
            random(60_000)
        },
        closed: random(4) != 0,
        begun: random(5) != 0,
        protocol,
        family,
        local: (local, 1 + random(60_000) as u16),
        foreign: if listening {
            (unspecified, 0)
        } else {
            (foreign, [443, 80, 53, 22][random(4) as usize])
        },
        direction,
        state: if listening {
            State::Listening
        } else {
            State::ALL[random(12) as usize]
        },
        origin: [EventOrigin::Trace, EventOrigin::Destroyed, EventOrigin::Poll][random(3) as usize],
        process: None,
        user: small(random, 3),
        namespace: small(random, 3).map(|value| 0xf000_0000 + value),
        sent: number(random, 1 << 40),
        received: number(random, 1 << 40),
        retransmits: small(random, 10),
        rtt: small(random, 1_000_000),
        asked_name: match random(3) {
            0 => Some(
                format!("host{}.example.{}", random(20), ["org", "net"][random(2) as usize])
                    .into_bytes()
                    .into(),
            ),
            _ => None,
        },
    }
}

/// Returns a process of any kind, some with names as an attacker would choose them.
fn any_process(number: u64) -> NewProcess {
    let name = [
        "nginx",
        "python3.11",
        "curl",
        "it's",
        "\\'; --",
        "a\u{1b}[31m",
        "naïve",
        "%_x",
    ][number as usize % 8];
    let bytes = |text: String| Some(text.into_bytes());
    NewProcess {
        path: if number % 5 == 4 {
            None
        } else {
            Some([b"/usr/bin/", name.as_bytes()].concat())
        },
        name: if number % 7 == 6 {
            b"\xff\xfe".to_vec()
        } else {
            name.as_bytes().to_vec()
        },
        unit: if number.is_multiple_of(3) {
            bytes(format!("{name}.service"))
        } else {
            None
        },
        container: if number.is_multiple_of(4) {
            bytes(format!("docker {number:012x}"))
        } else {
            None
        },
        container_name: if number.is_multiple_of(8) {
            bytes(format!("box-{number}"))
        } else {
            None
        },
        command: if number.is_multiple_of(2) {
            Some(u64::MAX - number)
        } else {
            None
        },
        script: if name == "python3.11" {
            bytes(format!("/srv/app-{number}.py"))
        } else {
            None
        },
    }
}

/// Replaces varying times, so that results can be compared.
fn without_time(text: &str) -> String {
    // A summary extends to the second in which it is requested.
    if let Some((since, rest)) = text.strip_prefix("From ").and_then(|rest| rest.split_once(" to ")) {
        let (_, rest) = rest.split_once(" (UTC)").unwrap_or(("", rest));
        return format!("From {since}{rest}");
    }
    let Some((before, rest)) = text.split_once("\"time\":\"") else {
        return text.to_owned();
    };
    let Some((_, after)) = rest.split_once("\",") else {
        return text.to_owned();
    };
    format!("{before}{after}")
}

#[test]
fn history_every_kind_of_question_has_the_same_answer_from_both_stores() {
    let Some(engine) = Engine::with_tables() else { return };
    // Nothing begins so late that the order in which the two stores are queried matters.
    let now = millis(SystemTime::now()) - 5 * MINUTE;
    let file = record(&engine, "mill", |writer| {
        let mut random = random(7);
        let mut batch = writer.batch().unwrap();
        for at in 0..3_000 {
            let mut flow = any_flow(&mut random, now);
            let kind = random(40);
            if kind < 32 {
                let start = if kind.is_multiple_of(9) { None } else { Some(kind * 100) };
                flow.process = Some(batch.process(100 + kind as u32, start, &any_process(kind)).unwrap());
            }
            let row = batch.insert(&flow, None).unwrap();
            if at % 7 == 0 && !flow.closed {
                (flow.closed, flow.span) = (true, flow.span + 1_000);
                batch.update(row, &flow, None).unwrap();
            }
        }
        // Connections at regular intervals.
        let caller = batch.process(99, Some(1), &any_process(2)).unwrap();
        for call in 0..40 {
            let flow = NewFlow {
                first: now - call * 5 * MINUTE,
                direction: Direction::Outgoing,
                protocol: Protocol::Tcp,
                begun: true,
                foreign: ("203.0.113.9".parse().unwrap(), 8_443),
                family: Family::V4,
                local: ("198.51.100.1".parse().unwrap(), 40_000),
                process: Some(caller),
                ..any_flow(&mut random, now)
            };
            batch.insert(&flow, None).unwrap();
        }
        batch
            .gap(now - DAY, now - DAY + MINUTE, "there was no room", Some(7))
            .unwrap();
        batch
            .gap(now - 2 * MINUTE, now - MINUTE, "it's \\ 'quoted'", None)
            .unwrap();
        batch.commit().unwrap();
    });
    // Another computer, of which nothing may appear in these results.
    record(&engine, "other", |writer| {
        let mut random = random(11);
        let mut batch = writer.batch().unwrap();
        for _ in 0..50 {
            batch.insert(&any_flow(&mut random, now), None).unwrap();
        }
        batch.commit().unwrap();
    });
    let every: String = {
        use netstat_model::columns::Table;
        let names: Vec<&str> = netstat_record::Flows::columns()
            .iter()
            .map(|column| column.name)
            .collect();
        names.join(",")
    };
    let everything = format!("--columns {every}");
    let mut questions: Vec<String> = [
        "--json",
        "--ndjson",
        "--csv",
        "--json --top 7",
        "--json --sort -bytes,first,foreign --top 20",
        "--json --foreign 198.51.1.0/24",
        "--json --foreign 203.0.113.9:8443",
        "--json --foreign 2001:db8::/32",
        "--json --foreign ::/0",
        "--json --foreign 0.0.0.0/0:50-500",
        "--json --local 198.51.2.0/24 --port 443,22",
        "--json --program curl,naï*",
        "--json --program /usr/bin/*",
        "--json --program n?inx",
        "--json --program app-*.py",
        "--json --program %_x",
        "--json --script app-*",
        "--json --name *.example.org",
        "--json --name host7.EXAMPLE.net,host1*",
        "--json --name *.example.org --foreign 198.51.1.0/24",
        "--json --unit *.service",
        "--json --unit docker*",
        "--json --unit 00000000000*",
        "--json --pid 100,101,105,99",
        "--json --user 0,2",
        "--json --state established,listening",
        "--json --listening",
        "--json --established",
        "--json --public",
        "--json --exposed",
        "--json --host nobody",
        "--json --host m*",
        "--json --since 12h --until 1h",
        "--json --follow curl",
        "--json --follow 104",
        "--json --new",
        "--json --new --program curl --port 443",
        "--json --beacons",
        "--json --beacons --program c*",
        "--json --gaps",
        "--json --gaps --since 1h",
        "--plot clock",
        "--plot hour --of bytes",
        "--summary",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    questions.push(format!("--json {everything}"));
    questions.push(format!("--csv {everything} --since 6h"));
    use netstat_model::columns::Table;
    for column in netstat_record::Flows::columns() {
        if !["first", "last", "sent", "received"].contains(&column.name) {
            questions.push(format!("--json --group {}", column.name));
        }
    }
    questions.push("--json --group program,foreign_address,direction --sort -sent".to_owned());
    questions.push("--json --group user,state,container_name --public".to_owned());
    questions.push("--csv --group host,program --top 3".to_owned());
    let until = format!("--until={}", "1s");
    for question in &questions {
        let mut words: Vec<&str> = question.split(' ').filter(|word| !word.is_empty()).collect();
        words.insert(0, "history");
        if !question.contains("--since") && !question.is_empty() {
            words.extend(["--since", "5d"]);
        }
        if !question.contains("--until") && !question.is_empty() {
            words.push(&until);
        }
        let file_words = [&words[..], &["--store", file.to_str().unwrap()]].concat();
        let mut fleet_words = [&words[..], &["--store", "AT"]].concat();
        if !question.contains("--host") {
            fleet_words.extend(["--host", "mill"]);
        }
        let from_file = without_time(&engine.run(&file_words));
        let from_fleet = without_time(&engine.run(&fleet_words));
        if question.contains("--host") {
            // A record of one computer does not say whose gaps it has; the store of several does so in each row.
            let rows = |text: &str| {
                serde_json::from_str::<Value>(text).unwrap()["rows"]
                    .as_array()
                    .unwrap()
                    .len()
            };
            assert_eq!(rows(&from_file), rows(&from_fleet));
            continue;
        }
        assert!(from_file.len() > 20, "{question}: {from_file}");
        if from_file != from_fleet {
            let differs = from_file
                .bytes()
                .zip(from_fleet.bytes())
                .position(|(a, b)| a != b)
                .unwrap_or(0);
            let around = |text: &str| {
                String::from_utf8_lossy(
                    &text.as_bytes()[differs.saturating_sub(300).min(text.len())..(differs + 200).min(text.len())],
                )
                .into_owned()
            };
            panic!(
                "{question}\nrecord: {}\nfleet:  {}",
                around(&from_file),
                around(&from_fleet)
            );
        }
    }
    let all = engine.run(&["history", "--store", "AT", "--since", "5d", "--group", "host", "--json"]);
    let all: Value = serde_json::from_str(&all).unwrap();
    let hosts: Vec<&str> = all["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["host"].as_str().unwrap())
        .collect();
    assert_eq!(hosts, ["mill", "other"]);
}

#[test]
fn fleet_commands_list_and_forget_hosts() {
    let Some(engine) = Engine::start(&[]) else { return };
    let printed = engine.run(&["fleet", "init", "--at", "AT", "--print"]);
    assert!(printed.contains("CREATE TABLE IF NOT EXISTS netstat.flow"), "{printed}");
    let refused = netstat().run(["fleet", "status", "--at", &engine.address.to_string()]);
    assert!(
        refused.stderr.contains("netstat fleet init"),
        "printing makes nothing: {refused:?}"
    );
    assert!(
        engine
            .run(&["fleet", "init", "--at", "AT", "--no-roles"])
            .contains("tables of version 2 made")
    );
    assert!(
        engine
            .run(&["fleet", "init", "--at", "AT", "--no-roles"])
            .contains("were there already")
    );
    assert!(
        engine
            .run(&["fleet", "upgrade", "--at", "AT", "--no-roles", "--keep", "7d"])
            .contains("the latest")
    );
    let kept = engine
        .client()
        .text("SELECT create_table_query FROM system.tables WHERE database = 'netstat' AND name = 'flow'")
        .unwrap();
    assert!(kept.contains("toIntervalDay(7)"), "{kept}");
    let now = millis(SystemTime::now());
    for host in 0..12 {
        record(&engine, &format!("host-{host}"), |writer| {
            let mut random = random(host);
            let mut batch = writer.batch().unwrap();
            // All hosts have the first program, one has the second.
            for number in 0..if host == 3 { 2 } else { 1 } {
                let process = batch.process(100, Some(1), &any_process(number)).unwrap();
                let flow = NewFlow {
                    first: now - 10 * MINUTE + host as i64,
                    direction: Direction::Outgoing,
                    protocol: Protocol::Tcp,
                    family: Family::V4,
                    local: ("198.51.100.1".parse().unwrap(), 40_000),
                    foreign: ("203.0.113.9".parse().unwrap(), 443),
                    process: Some(process),
                    ..any_flow(&mut random, now)
                };
                batch.insert(&flow, None).unwrap();
            }
            batch.commit().unwrap();
        });
    }
    let status: Value = serde_json::from_str(&engine.run(&["fleet", "status", "--at", "AT", "--json"])).unwrap();
    assert_eq!(
        (&status["hosts"], &status["late"], &status["flow_rows"]),
        (&12.into(), &0.into(), &13.into()),
        "{status}"
    );
    let hosts: Value = serde_json::from_str(&engine.run(&["fleet", "hosts", "--at", "AT", "--json"])).unwrap();
    assert_eq!(hosts["rows"].as_array().unwrap().len(), 12);
    let late: Value = serde_json::from_str(&engine.run(&["fleet", "hosts", "--at", "AT", "--json", "--late"])).unwrap();
    assert_eq!(late["rows"].as_array().unwrap().len(), 0);
    let found: Value = serde_json::from_str(&engine.run(&["fleet", "findings", "--at", "AT", "--json"])).unwrap();
    let of = |kind: &str| -> Vec<&Value> {
        let rows = found["rows"].as_array().unwrap().iter();
        rows.filter(|row| row["kind"] == kind).collect()
    };
    let rare = of("rare_program");
    assert_eq!(rare.len(), 1, "{found:#}");
    assert_eq!(
        (&rare[0]["subject"], &rare[0]["host"]),
        (&"/usr/bin/python3.11".into(), &"host-3".into())
    );
    let sudden = of("sudden_address");
    assert_eq!(
        (&sudden[0]["subject"], &sudden[0]["hosts"]),
        (&"203.0.113.9".into(), &12.into()),
        "{found:#}"
    );
    assert_eq!(of("new_address").len(), 1);
    assert_eq!(of("new_program").len(), 2);
    assert!(of("silent_host").is_empty());
    let rare: Value = serde_json::from_str(&engine.run(&["history", "--store", "AT", "--rare", "--json"])).unwrap();
    let rows = rare["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .all(|row| row["host"] == "host-3" && row["hosts"] == 1 && row["of"] == 12),
        "{rare:#}"
    );
    let number = format!("{:016x}", host_id("host-3"));
    assert!(
        engine
            .run(&["fleet", "forget", &number, "--at", "AT", "--yes"])
            .contains("host-3")
    );
    let left: Value =
        serde_json::from_str(&engine.run(&["history", "--store", "AT", "--group", "host", "--json"])).unwrap();
    let left = left["rows"].as_array().unwrap();
    assert!(left.len() == 11 && left.iter().all(|row| row["host"] != "host-3"));
}

#[test]
fn fleet_roles_let_agents_insert_and_readers_ask() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("config.xml");
    let inner = folder.path().join("users.xml");
    fs::write(
        &inner,
        "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/><networks><ip>::/0</ip></networks>\
         <profile>default</profile><quota>default</quota><access_management>1</access_management></default></users></clickhouse>",
    )
    .unwrap();
    let access = folder.path().join("access");
    fs::write(
        &users,
        format!(
            "<clickhouse><users_config>{}</users_config><user_directories><users_xml><path>{}</path></users_xml>\
             <local_directory><path>{}/</path></local_directory></user_directories></clickhouse>",
            inner.display(),
            inner.display(),
            access.display()
        ),
    )
    .unwrap();
    let Some(engine) = Engine::start(&[format!("--config-file={}", users.display())]) else {
        return;
    };
    let secret = folder.path().join("secret");
    fs::write(&secret, "correct horse\n").unwrap();
    let secret = secret.to_str().unwrap();
    let words = [
        "fleet",
        "init",
        "--at",
        "AT",
        "--agent",
        "shipper",
        "--agent-password",
        secret,
        "--reader",
        "asker",
        "--reader-password",
        secret,
    ];
    if let Err(error) = engine.client().execute("CREATE ROLE IF NOT EXISTS probe") {
        skip("roles", &format!("this engine keeps no roles: {error}"));
        return;
    }
    engine.run(&words);
    let client = |user: &str| {
        let address: Address = format!("clickhouse://{user}@127.0.0.1:{}/netstat", engine.address.port)
            .parse()
            .unwrap();
        let config = FleetConfig {
            password: Some("correct horse".to_owned()),
            ..FleetConfig::default()
        };
        Client::new(&address, &config).unwrap()
    };
    let (agent, reader) = (client("shipper"), client("asker"));
    let encoder = Encoder {
        host_id: 7,
        host: b"mill".to_vec(),
        detail: Detail::Flows,
    };
    let gap = netstat_record::Gap {
        since: 1,
        until: 2,
        reason: "x".to_owned(),
        lost: None,
        host: None,
    };
    let (_, body) = encoder.encode(netstat_record::SegmentRows::Gaps(&[gap]), 1).unwrap();
    let insert = netstat_fleet::Insert {
        table: "gap",
        body: &body,
        token: "t",
    };
    agent.insert(&insert).unwrap();
    agent.check_schema().unwrap();
    assert!(
        agent.text("SELECT count() FROM netstat.gap").is_err(),
        "an agent may not ask"
    );
    assert!(
        agent.execute("ALTER TABLE netstat.gap DELETE WHERE 1").is_err(),
        "an agent may not delete"
    );
    assert_eq!(reader.text("SELECT count() FROM netstat.gap").unwrap().trim(), "1");
    assert!(reader.insert(&insert).is_err(), "a reader may not insert");
}

#[test]
fn record_ship_sends_what_it_records() {
    let Some(engine) = Engine::with_tables() else { return };
    let store = engine.folder.path().join("own.db");
    let at = engine.address.to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_netstat"))
        .args([
            "record",
            "--own-namespace",
            "--events",
            "poll",
            "--ship",
            &at,
            "--ship-every",
            "1s",
            "--store",
        ])
        .arg(&store)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = || {
        let words = [
            "history",
            "--store",
            &at,
            "--json",
            "--local",
            &format!(":{port}"),
            "--columns",
            "local_port,direction,host",
        ];
        let outcome = netstat().run(words);
        outcome.success().contains("listen")
    };
    within(Duration::from_secs(90), "the listener is in the fleet", seen);
    child.kill().unwrap();
    child.wait().unwrap();
    let hosts = engine.run(&["fleet", "hosts", "--at", "AT", "--csv"]);
    assert_eq!(hosts.lines().count(), 2, "{hosts}");
}

#[test]
fn ship_address_with_a_password_is_refused() {
    for words in [
        &["record", "--ship", "clickhouse://ann:secret@ch/netstat"][..],
        &["fleet", "status", "--at", "clickhouse://ann:secret@ch"],
    ] {
        let outcome = netstat().run(words);
        assert_eq!(outcome.status.code(), Some(2));
        assert!(outcome.stderr.contains("holds a password"), "{}", outcome.stderr);
    }
    let absent = Path::new("/nonexistent/fleet.toml").display().to_string();
    let outcome = netstat().run([
        "fleet",
        "hosts",
        "--at",
        "clickhouse://127.0.0.1:1",
        "--fleet-config",
        &absent,
    ]);
    assert!(outcome.stderr.contains("there is no such file"), "{outcome:?}");
}

#[test]
fn grafana_dashboard_every_query_is_answered() {
    let Some(engine) = Engine::with_tables() else { return };
    let now = millis(SystemTime::now());
    record(&engine, "mill", |writer| {
        let mut random = random(3);
        let mut batch = writer.batch().unwrap();
        let process = batch.process(7, Some(1), &any_process(0)).unwrap();
        for _ in 0..20 {
            let flow = NewFlow {
                first: now - 10 * MINUTE,
                direction: Direction::Outgoing,
                closed: true,
                process: Some(process),
                ..any_flow(&mut random, now)
            };
            batch.insert(&flow, None).unwrap();
        }
        batch.gap(now - 2 * MINUTE, now - MINUTE, "no room", Some(1)).unwrap();
        batch.commit().unwrap();
    });
    let path = format!(
        "{}/../../packaging/grafana/netstat-fleet.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    for panel in panels {
        let query = panel["targets"][0]["rawSql"].as_str().unwrap();
        // What the data source substitutes.
        let mut text = query.replace("${database}", "netstat");
        for (macro_name, filled) in [
            ("$__timeFilter(", "({} >= now() - 21600 AND {} <= now())"),
            ("$__timeInterval(", "toStartOfInterval({}, INTERVAL 60 second)"),
        ] {
            while let Some((before, rest)) = text.split_once(macro_name) {
                let (column, after) = rest.split_once(')').unwrap();
                text = format!("{before}{}{after}", filled.replace("{}", column));
            }
        }
        assert!(!text.contains('$'), "{text}");
        let answer = engine.client().text(&format!("{text} FORMAT TSV"));
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}\n{text}", panel["title"]));
        assert!(!answer.trim().is_empty(), "{}: nothing\n{text}", panel["title"]);
    }
}

#[test]
fn exports_are_equal_from_both_stores_and_parquet_is_from_engine() {
    let Some(engine) = Engine::with_tables() else { return };
    let now = millis(SystemTime::now());
    let file = record(&engine, "mill", |writer| {
        let mut random = random(5);
        let mut batch = writer.batch().unwrap();
        for at in 0..300 {
            let mut flow = any_flow(&mut random, now);
            if at % 3 != 0 {
                flow.process = Some(
                    batch
                        .process(50 + at % 9, Some(1), &any_process(u64::from(at % 9)))
                        .unwrap(),
                );
            }
            batch.insert(&flow, None).unwrap();
        }
        batch.commit().unwrap();
    });
    let file = file.to_str().unwrap();
    let mut id = None;
    for format in ["zeek", "ecs", "ocsf", "netflow-json"] {
        let words = ["history", "--format", format, "--since", "5d", "--store"];
        let of = |store: &str| engine.run(&[&words[..], &[store]].concat());
        let (from_file, from_fleet) = (of(file), of("AT"));
        assert_eq!(from_file.lines().count(), from_fleet.lines().count(), "{format}");
        // Zeek's uid is derived from the number of the row, which both have.
        assert_eq!(from_file, from_fleet, "{format}");
        assert!(
            from_file
                .bytes()
                .all(|byte| byte == b'\n' || byte == b'\t' || byte >= 0x20),
            "{format}"
        );
        if format == "ecs" {
            for line in from_file.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let found = line["network"]["community_id"].as_str().map(str::to_owned);
                id = id.or(found);
            }
        }
    }
    let id = id.unwrap();
    let words = [
        "history",
        "--community-id",
        &id,
        "--since",
        "5d",
        "--csv",
        "--columns",
        "first,foreign,community_id",
        "--store",
    ];
    let (from_file, from_fleet) = (
        engine.run(&[&words[..], &[file]].concat()),
        engine.run(&[&words[..], &["AT"]].concat()),
    );
    assert_eq!(from_file, from_fleet);
    assert!(from_file.lines().count() >= 2 && from_file.contains(&id), "{from_file}");
    let out = engine.folder.path().join("flows.parquet");
    let out = out.to_str().unwrap();
    engine.run(&["history", "--store", "AT", "--since", "5d", "--parquet", out]);
    // The magic number is at both ends (https://parquet.apache.org/docs/file-format/).
    let bytes = fs::read(out).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    let again = netstat().run(["history", "--store", &engine.address.to_string(), "--parquet", out]);
    assert!(!again.status.success(), "a file that is there is not overwritten");
    let of_record = netstat().run(["history", "--store", file, "--parquet", "/nonexistent/x"]);
    assert!(
        of_record.stderr.contains("needs --store clickhouse://"),
        "{of_record:?}"
    );
}

#[test]
fn fleet_init_for_a_cluster_is_accepted_by_the_parser() {
    let Some(engine) = Engine::start(&[]) else { return };
    let secret = engine.folder.path().join("secret");
    fs::write(&secret, "correct horse\n").unwrap();
    let secret = secret.to_str().unwrap();
    let words = [
        "fleet",
        "init",
        "--at",
        "AT",
        "--print",
        "--cluster",
        "main",
        "--agent",
        "shipper",
        "--agent-password",
        secret,
    ];
    let printed = engine.run(&words);
    assert!(!printed.contains("correct horse"), "the password itself is never sent");
    let mut count = 0;
    for statement in printed.split(";\n") {
        let lines: Vec<&str> = statement.lines().filter(|line| !line.starts_with("--")).collect();
        let text = lines.join("\n");
        if text.trim().is_empty() {
            continue;
        }
        count += 1;
        let parsed = engine.client().execute(&format!("EXPLAIN AST {text}"));
        parsed.unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    assert!(count > 30, "{count} statements");
}
