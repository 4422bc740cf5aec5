//! A real ClickHouse, and recorders with made-up flows.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netstat_fleet::ddl::{self, Layout};
use netstat_fleet::{Address, Client, FleetConfig, host_id};

/// The command that runs an engine; `None` where there is none, which is said.
pub(crate) fn engine_command() -> Option<Vec<String>> {
    match std::env::var("NETSTAT_FLEET_ENGINE") {
        Ok(command) => Some(command.split_whitespace().map(str::to_owned).collect()),
        Err(_) => {
            netstat_testkit::skip("", "NETSTAT_FLEET_ENGINE names no ClickHouse; .ci/run fleet does");
            None
        }
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An engine that can be killed and started again.
pub(crate) struct Engine {
    command: Vec<String>,
    folder: PathBuf,
    pub(crate) port: u16,
    process: Option<Child>,
    more: Vec<String>,
}

impl Engine {
    pub(crate) fn start(folder: &Path) -> Option<Engine> {
        Engine::start_with(&[], &folder.join("engine"), Vec::new())
    }

    /// One whose command comes after the words `before`, with its data in `folder`, and further arguments.
    pub(crate) fn start_with(before: &[&str], folder: &Path, more: Vec<String>) -> Option<Engine> {
        let own = engine_command()?;
        let mut engine = Engine {
            command: before.iter().map(|word| (*word).to_owned()).chain(own).collect(),
            folder: folder.to_owned(),
            port: free_port(),
            process: None,
            more,
        };
        engine.run();
        Some(engine)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Child::id)
    }

    pub(crate) fn run(&mut self) {
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            .arg(&self.folder)
            .arg(self.port.to_string())
            .args(&self.more);
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

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn address(&self) -> Address {
        format!("clickhouse://127.0.0.1:{}/netstat", self.port).parse().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address(), &FleetConfig::default()).unwrap()
    }

    pub(crate) fn make_tables(&self) {
        let layout = Layout {
            roles: false,
            ..Layout::of(&self.address())
        };
        ddl::run(&self.client(), &layout.statements(0)).unwrap();
    }

    pub(crate) fn number(&self, text: &str) -> u64 {
        self.client().text(text).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn ping(port: u16) -> bool {
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
pub(crate) fn agent(store: &Path, address: &Address, host: &str, flows: u64, more: &[&str]) -> Command {
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
pub(crate) fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() % below
}

pub(crate) fn wait(mut child: Child, time: Duration) -> bool {
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
pub(crate) fn assert_whole(engine: &Engine, store: &Path, host: &str, flows: u64) {
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
