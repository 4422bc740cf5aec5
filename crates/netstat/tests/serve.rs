//! Starting `netstat serve`: manually with a configuration file, and by a service manager that passes its sockets.
#![cfg(target_os = "linux")]
#![cfg(all(target_os = "linux", feature = "serve"))]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use netstat_testkit::mmdb::{self, Field};
use netstat_testkit::own_namespace;

const TOKEN: &str = "token-of-the-tests";

struct Running {
    child: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Waits until the server reports its address.
    fn of(mut command: Command) -> Running {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        // Read the rest, so that the server never blocks.
        std::thread::spawn(move || lines.for_each(drop));
        let address = line
            .strip_prefix("netstat: serving at ")
            .unwrap_or_else(|| panic!("{line}"));
        let address = address.split([',', ';']).next().unwrap().to_owned();
        Running { child, address }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

fn netstat() -> Command {
    Command::new(env!("CARGO_BIN_EXE_netstat"))
}

fn with_token(directory: &Path) -> String {
    let file = directory.join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    file.display().to_string()
}

#[test]
fn serve_with_configuration_file_runs_until_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("serve.toml");
    let socket = directory.path().join("serve.sock");
    fs::write(
        &config,
        format!(
            "listen = [\"127.0.0.1:0\", \"unix:{}\"]\ntoken-file = \"{}\"\naudit-every = \"0s\"\n",
            socket.display(),
            with_token(directory.path())
        ),
    )
    .unwrap();
    let mut command = netstat();
    command.arg("serve").arg("--config").arg(&config);
    let mut running = Running::of(command);
    let (status, answer) = running.get("/api/v1/sockets?listening=true");
    assert!(status == 200 && answer.contains("\"netstat.sockets\""), "{answer}");
    // The server's own listener, with its own process as the owner: the data are those of this computer.
    let port = running.address.rsplit(':').next().unwrap();
    let (_, own) = running.get(&format!(
        "/api/v1/sockets?listening=true&port={port}&columns=local_port,pid"
    ));
    assert!(own.contains(&format!("\"pid\":{}", running.child.id())), "{own}");
    assert!(socket.exists());
    assert_eq!(running.stop(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn serve_configuration_with_a_mistake_is_a_usage_error_naming_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("serve.toml");
    for (text, word) in [("colour = 1\n", "colour"), ("listen = \"nowhere\"\n", "nowhere")] {
        fs::write(&config, text).unwrap();
        let ended = netstat().arg("serve").arg("--config").arg(&config).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(
            ended.status.code() == Some(2) && said.contains(word) && said.contains("serve.toml"),
            "{said}"
        );
    }
    let missing = netstat().args(["serve", "--config", "/nonexistent"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn serve_gives_up_unneeded_capabilities_in_every_thread() {
    let directory = tempfile::tempdir().unwrap();
    let token = with_token(directory.path());
    let mut command = netstat();
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--token-file",
        &token,
        "--audit-every",
        "0s",
    ]);
    let running = Running::of(command);
    assert_eq!(running.get("/api/v1/sockets").0, 200);
    // linux/capability.h: NET_ADMIN 12, SYS_PTRACE 19, DAC_READ_SEARCH 2, PERFMON 38, BPF 39; before 5.8 SYS_ADMIN 21,
    // SYS_RESOURCE 24.
    let kept: u64 = [2, 12, 19, 38, 39, 21, 24].iter().map(|bit| 1 << bit).sum();
    let mut threads = 0;
    for task in fs::read_dir(format!("/proc/{}/task", running.child.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        for name in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
            assert_eq!(u64::from_str_radix(field(name), 16).unwrap() & !kept, 0, "{status}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
        threads += 1;
    }
    assert!(threads > 1, "the collector is a thread");
}

#[test]
fn serve_uses_sockets_handed_over_by_a_service_manager() {
    let directory = tempfile::tempdir().unwrap();
    let token = with_token(directory.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // sd_listen_fds(3): the first descriptor is 3, and LISTEN_PID is the process that they are meant for.
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" serve --listen fd --audit-every 0s --token-file \"$1\"",
            env!("CARGO_BIN_EXE_netstat"),
            &token,
        ])
        .stdin(Stdio::from(OwnedFd::from(listener)));
    let mut running = Running::of(command);
    assert_eq!(running.address, address.to_string());
    assert_eq!(running.get("/api/v1/routes").0, 200);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn serve_without_the_inherited_sockets_is_an_error() {
    let ended = netstat()
        .args(["serve", "--listen", "fd"])
        .env_remove("LISTEN_FDS")
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && said.contains("LISTEN_FDS"), "{said}");
}

#[test]
fn serve_changes_have_country_and_system_of_the_named_database() {
    own_namespace!();
    let loopback = netstat_testkit::netlink::index_of("lo").unwrap();
    netstat_testkit::netlink::add_address(loopback, "198.51.100.7".parse().unwrap(), 32).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("test.mmdb");
    let text = |text: &str| Field::Text(text.to_owned());
    let record = Field::Map(vec![
        ("country", Field::Map(vec![("iso_code", text("DE"))])),
        ("autonomous_system_number", Field::Number(64_500)),
        ("autonomous_system_organization", text("Example \u{1b}[2J")),
    ]);
    let networks = [("198.51.100.0".parse().unwrap(), 24, record)];
    fs::write(&file, mmdb::database("Test", &networks)).unwrap();
    let mut command = netstat();
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--interval",
        "200ms",
        "--audit-every",
        "0s",
    ]);
    command.arg("--token-file").arg(with_token(directory.path()));
    command.arg("--mmdb").arg(&file);
    let running = Running::of(command);
    let mut stream = TcpStream::connect(&running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    write!(
        stream,
        "GET /api/v1/changes HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    )
    .unwrap();
    // Repeated until one of them opens after the stream has begun.
    let listener = TcpListener::bind("198.51.100.7:443").unwrap();
    let mut lines = BufReader::new(stream).lines();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let found = lines.find_map(|line| line.ok().filter(|line| line.contains("\"foreign_port\":443")));
        let _ = tell.send(found);
    });
    let mut kept = Vec::new();
    let line = loop {
        assert!(kept.len() < 1_000, "no connection is shown");
        kept.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        if let Ok(found) = told.recv_timeout(Duration::from_millis(300)) {
            break found.unwrap();
        }
    };
    assert!(
        line.contains("\"country\":\"DE\"") && line.contains("\"as\":\"AS64500 Example \\\\e[2J\""),
        "{line}"
    );
    let (status, answer) = running.get("/api/v1/sockets?country=DE&columns=foreign_port,country");
    assert!(status == 200 && answer.contains("\"DE\""), "{answer}");
    let refused = netstat().args(["serve", "--mmdb", "/nowhere.mmdb"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/nowhere.mmdb"));
}
