//! Nothing that a record has is lost or counted twice on its way to a real ClickHouse, whatever is killed meanwhile.
//!
//! `NETSTAT_FLEET_ENGINE` is the command that runs an engine; it is given a folder and a port (`.ci/fleet` sets it).
#![cfg(target_os = "linux")]

mod kit;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kit::{Engine, agent, assert_whole, random, wait};
use netstat_fleet::Address;

#[test]
fn delivery_engine_and_agent_killed_nothing_is_lost_or_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut engine) = Engine::start(folder.path()) else {
        return;
    };
    engine.make_tables();
    let stores: Vec<(String, PathBuf)> = (0..2)
        .map(|at| (format!("host-{at}"), folder.path().join(format!("record-{at}.db"))))
        .collect();
    const FLOWS: u64 = 40_000;
    let (mut engine_kills, mut agent_kills) = (0, 0);
    let mut agents: Vec<Option<Child>> = vec![None, None];
    let end = Instant::now() + Duration::from_secs(400);
    while (engine_kills < 20 || agent_kills < 50) && Instant::now() < end {
        for (at, (host, store)) in stores.iter().enumerate() {
            if agents[at].is_none() {
                let more: &[&str] = if at == 1 { &["jumps"] } else { &[] };
                let mut command = agent(store, &engine.address(), host, FLOWS, more);
                agents[at] = Some(command.stderr(Stdio::null()).spawn().unwrap());
            }
        }
        std::thread::sleep(Duration::from_millis(100 + random(900)));
        if random(3) == 0 && engine_kills < 20 {
            engine.kill();
            engine_kills += 1;
            std::thread::sleep(Duration::from_millis(random(1_000)));
            engine.run();
        }
        for child in &mut agents {
            if random(2) == 0
                && agent_kills < 50
                && let Some(mut process) = child.take()
            {
                process.kill().unwrap();
                process.wait().unwrap();
                agent_kills += 1;
            }
        }
    }
    assert!(
        engine_kills >= 20 && agent_kills >= 50,
        "{engine_kills} and {agent_kills} kills"
    );
    for child in agents.iter_mut().filter_map(Option::take) {
        let mut child = child;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for (host, store) in &stores {
        let child = agent(store, &engine.address(), host, FLOWS, &[]).spawn().unwrap();
        assert!(wait(child, Duration::from_secs(200)), "{host} does not come to an end");
        assert_whole(&engine, store, host, FLOWS);
    }
    assert_eq!(
        engine.number("SELECT count() FROM netstat.gap FINAL WHERE lost > 0"),
        0,
        "losses that nobody had"
    );
}

/// Passes connections on to `port`, and ends each after so many bytes from the client.
fn cutting_proxy(port: u16, after: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                continue;
            };
            let limit = after.load(Ordering::Relaxed);
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut (&mut from).take(limit), &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
                let _ = from.shutdown(std::net::Shutdown::Both);
            });
            std::thread::spawn(move || {
                let (mut server, mut client) = (server, client);
                let _ = std::io::copy(&mut server, &mut client);
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    own
}

#[test]
fn delivery_requests_cut_in_the_middle_are_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::start(folder.path()) else {
        return;
    };
    engine.make_tables();
    let after = Arc::new(AtomicU64::new(20_000));
    let proxy = cutting_proxy(engine.port, Arc::clone(&after));
    let address: Address = format!("clickhouse://127.0.0.1:{proxy}/netstat").parse().unwrap();
    let store = folder.path().join("record.db");
    let child = agent(&store, &address, "cut", 8_000, &[]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(8));
    // Larger bodies never came through; now they do.
    after.store(u64::MAX, Ordering::Relaxed);
    assert!(wait(child, Duration::from_secs(120)));
    assert_whole(&engine, &store, "cut", 8_000);
}

#[test]
fn delivery_before_the_tables_are_made_waits_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::start(folder.path()) else {
        return;
    };
    let store = folder.path().join("record.db");
    let mut command = agent(&store, &engine.address(), "early", 1_000, &[]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = child.stderr.take().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    engine.make_tables();
    assert!(wait(child, Duration::from_secs(120)));
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert!(text.contains("there is no fleet there yet"), "{text}");
    assert_whole(&engine, &store, "early", 1_000);
}

#[test]
fn delivery_wrong_password_waits_for_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::start(folder.path()) else {
        return;
    };
    engine.make_tables();
    let store = folder.path().join("record.db");
    let config = folder.path().join("fleet.toml");
    let file = netstat_os::create_private(&config).unwrap();
    (&file)
        .write_all(b"user = \"nobody\"\npassword = \"wrong-secret\"\n")
        .unwrap();
    let mut command = agent(&store, &engine.address(), "locked-out", 1_000, &[]);
    let mut child = command
        .env("AGENT_CONFIG", &config)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = child.stderr.take().unwrap();
    std::thread::sleep(Duration::from_secs(4));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert!(text.contains("user name or password refused"), "{text}");
    assert!(!text.contains("wrong-secret"), "the password is never said: {text}");
    let child = agent(&store, &engine.address(), "locked-out", 1_000, &[])
        .spawn()
        .unwrap();
    assert!(wait(child, Duration::from_secs(120)));
    assert_whole(&engine, &store, "locked-out", 1_000);
}
