//! `netstat serve` with the store of a fleet.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use netstat_model::{Direction, Family, Protocol};
use netstat_record::{NewFlow, millis};
use serde_json::Value;

use super::{Engine, MINUTE, any_flow, any_process, netstat, random, record, within};

const TOKEN: &str = "token-of-the-tests";

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(engine: &Engine) -> Server {
        let token = engine.folder.path().join("token");
        std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_netstat"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--audit-every", "0s", "--store"])
            .arg(engine.address.to_string())
            .arg("--token-file")
            .arg(&token);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.strip_prefix("netstat: serving at ").unwrap();
        let address = address.split([',', ';']).next().unwrap().to_owned();
        Server { child, address }
    }

    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let head = "Host: localhost\r\nConnection: close\r\nAuthorization: Bearer";
        write!(stream, "GET {path} HTTP/1.1\r\n{head} {TOKEN}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// Returns the document at `path`, without the parts that vary.
    fn document(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert!(status.contains("200"), "{path}: {status} {body}");
        steady(&body)
    }
}

fn steady(text: &str) -> Value {
    let mut document: Value = serde_json::from_str(text).unwrap();
    document["time"] = Value::Null;
    for name in ["bytes", "parts", "free_bytes"] {
        if document.get(name).is_some() {
            document[name] = Value::Null;
        }
    }
    for row in document["rows"].as_array_mut().into_iter().flatten() {
        if row.get("silent_seconds").is_some() {
            row["silent_seconds"] = Value::Null;
        }
    }
    document
}

#[test]
fn serve_about_a_fleet_gives_documents_of_commands_for_all_hosts() {
    let Some(engine) = Engine::with_tables() else { return };
    let now = millis(SystemTime::now());
    for host in ["mill", "forge", "kiln"] {
        record(&engine, host, |writer| {
            let mut random = random(host.len() as u64);
            let mut batch = writer.batch().unwrap();
            let process = batch.process(7, Some(1), &any_process(1)).unwrap();
            for at in 0..5 {
                let flow = NewFlow {
                    first: now - 10 * MINUTE + at,
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
    let server = Server::start(&engine);
    let at = engine.address.to_string();
    for (path, words) in [
        ("/api/v1/fleet-status", &["fleet", "status", "--at", &at, "--json"][..]),
        ("/api/v1/fleet-hosts", &["fleet", "hosts", "--at", &at, "--json"]),
        (
            "/api/v1/fleet-findings?kind=sudden_address",
            &["fleet", "findings", "--at", &at, "--kind", "sudden_address", "--json"],
        ),
        (
            "/api/v1/history?foreign=203.0.113.9&group=host",
            &[
                "history",
                "--store",
                &at,
                "--foreign",
                "203.0.113.9",
                "--group",
                "host",
                "--json",
            ],
        ),
        (
            "/api/v1/history?host=forge",
            &["history", "--store", &at, "--host", "forge", "--json"],
        ),
    ] {
        let expected = steady(netstat().run(words).success());
        assert_eq!(server.document(path), expected, "{path}");
    }
    let hosts = server.document("/api/v1/fleet-hosts");
    assert_eq!(hosts["rows"].as_array().map(Vec::len), Some(3));
    let own = server.document("/api/v1/history?host=forge");
    assert_eq!(own["rows"].as_array().map(Vec::len), Some(5));
    // Administrative actions are only available on the command line.
    for path in [
        "/api/v1/fleet-forget",
        "/api/v1/fleet-init",
        "/api/v1/fleet-hosts?fleet-config=/etc/passwd",
    ] {
        let (status, body) = server.get(path);
        assert!(status.contains(" 40"), "{path}: {status} {body}");
    }
    let port = engine.address.port;
    drop(engine);
    within(Duration::from_secs(60), "the engine ends", || !super::ping(port));
    // The response is a reason, rather than an unknown part of the rows.
    let (status, body) = server.get("/api/v1/history?host=mill");
    assert!(status.contains("503"), "{status} {body}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains("cannot be reached"),
        "{problem}"
    );
}
