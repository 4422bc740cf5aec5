//! Output for other programs, as connections end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use netstat_model::{Direction, Family, Protocol};
use netstat_record::{NewFlow, millis};
use serde_json::Value;

use super::{Engine, any_flow, any_process, random, record};

#[test]
fn history_follow_new_gives_what_hosts_send_from_then_on_once() {
    let Some(engine) = Engine::with_tables() else { return };
    let flows = |host: &str, port: u16| {
        record(&engine, host, |writer| {
            let now = millis(SystemTime::now());
            let mut random = random(u64::from(port));
            let mut batch = writer.batch().unwrap();
            let process = batch.process(7, Some(1), &any_process(1)).unwrap();
            for at in 0..3 {
                let flow = NewFlow {
                    first: now + at,
                    span: 10,
                    closed: true,
                    direction: Direction::Outgoing,
                    protocol: Protocol::Tcp,
                    family: Family::V4,
                    local: ("198.51.100.1".parse().unwrap(), 40_000),
                    foreign: ("203.0.113.9".parse().unwrap(), port),
                    process: Some(process),
                    ..any_flow(&mut random, now)
                };
                batch.insert(&flow, None).unwrap();
            }
            batch.commit().unwrap();
        });
    };
    flows("old", 1_001);
    let mut child = Command::new(env!("CARGO_BIN_EXE_netstat"))
        .args(["history", "--store", &engine.address.to_string(), "--follow-new"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The program polls about once a second, and ignores what arrived before it started.
    std::thread::sleep(std::time::Duration::from_secs(5));
    flows("mill", 1_002);
    flows("forge", 1_003);
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        seen.push((
            line["host"].as_str().unwrap().to_owned(),
            line["foreign_port"].as_u64().unwrap(),
        ));
    }
    seen.sort();
    let of = |host: &str, port| vec![(host.to_owned(), port); 3];
    assert_eq!(seen, [of("forge", 1_003), of("mill", 1_002)].concat());
    child.kill().unwrap();
    child.wait().unwrap();
}
