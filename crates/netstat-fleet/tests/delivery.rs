//! Nothing that a record has is lost or counted twice on its way to a real ClickHouse, whatever is killed meanwhile.
//!
//! `NETSTAT_FLEET_ENGINE` is the command that runs an engine; it is given a folder and a port (`.ci/fleet` sets it).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netstat_fleet::ddl::{self, Layout};
use netstat_fleet::{Address, Client, FleetConfig, host_id};

/// The command that runs an engine; `None` where there is none, which is said.
fn engine_command() -> Option<Vec<String>> {
    match std::env::var("NETSTAT_FLEET_ENGINE") {
        Ok(command) => Some(command.split_whitespace().map(str::to_owned).collect()),
        Err(_) => {
            netstat_testkit::skip("", "NETSTAT_FLEET_ENGINE names no ClickHouse; .ci/run fleet does");
            None
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An engine that can be killed and started again.
struct Engine {
    command: Vec<String>,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Engine {
    fn start(folder: &Path) -> Option<Engine> {
        let mut engine = Engine {
            command: engine_command()?,
            folder: folder.join("engine"),
            port: free_port(),
            process: None,
        };
        engine.run();
        Some(engine)
    }

    fn run(&mut self) {
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            .arg(&self.folder)
            .arg(self.port.to_string());
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(child);
        let end = Instant::now() + Duration::from_secs(120);
        while Instant::now() < end {
            if ping(self.port) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the engine does not answer on port {}", self.port);
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn address(&self) -> Address {
        format!("clickhouse://127.0.0.1:{}/netstat", self.port).parse().unwrap()
    }

    fn client(&self) -> Client {
        Client::new(&self.address(), &FleetConfig::default()).unwrap()
    }

    fn make_tables(&self) {
        let layout = Layout {
            roles: false,
            ..Layout::of(&self.address())
        };
        ddl::run(&self.client(), &layout.statements(0)).unwrap();
    }

    fn number(&self, text: &str) -> u64 {
        self.client().text(text).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
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

/// The made-up recorder, which Cargo builds beside the tests.
fn agent(store: &Path, address: &Address, host: &str, flows: u64, more: &[&str]) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/agent");
    let mut command = Command::new(program);
    command
        .arg(store)
        .arg(address.to_string())
        .arg(host)
        .arg(flows.to_string())
        .args(more)
        .stdin(Stdio::null());
    command
}

/// Numbers without a pattern.
fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() % below
}

fn wait(mut child: Child, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

/// Everything of the record is in the engine, once, in its last revision.
fn assert_whole(engine: &Engine, store: &Path, host: &str, flows: u64) {
    let id = host_id(host);
    let count = |what: &str| engine.number(&format!("SELECT {what} FROM netstat.flow FINAL WHERE host_id = {id}"));
    let mut reader = netstat_record::Reader::open(store).unwrap();
    let (mut closed, mut sent, mut local) = (0, 0, 0);
    reader
        .flows(&netstat_record::Question::default(), &mut |flow| {
            local += 1;
            closed += u64::from(flow.closed);
            sent += flow.sent.known().unwrap_or(0);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(local, flows, "{host}: the record itself");
    assert_eq!(count("count()"), flows, "{host}: rows");
    assert_eq!(count("uniqExact(flow)"), flows, "{host}: numbers");
    assert_eq!(count("countIf(closed)"), closed, "{host}: the last revision of each");
    assert_eq!(count("sum(sent)"), sent, "{host}: bytes");
}

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
