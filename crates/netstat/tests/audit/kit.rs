//! Programs that are odd on purpose, and what the audit says of them.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use netstat_testkit::{Netstat, eventually, skip};
use serde_json::Value;

pub(crate) fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// A process that is ended with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Starts `command` with `socket` as its standard input, and waits until it has become another program than this one.
    #[track_caller]
    pub(crate) fn with(command: &mut Command, socket: impl Into<OwnedFd>) -> Running {
        Running::start(
            command
                .stdin(Stdio::from(socket.into()))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    }

    /// Starts `command` and waits until it has become another program than this one.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Running {
        let running = Running(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
        let own = fs::read_link("/proc/self/exe").unwrap();
        let exe = format!("/proc/{}/exe", running.pid());
        eventually(
            || fs::read_link(&exe).is_ok_and(|path| path != own),
            || format!("{command:?} did not start"),
        );
        running
    }
}

/// The program called `name`, without links.
pub(crate) fn program(name: &str) -> PathBuf {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find_map(|path| fs::canonicalize(path).ok())
        .unwrap_or_else(|| panic!("no {name}"))
}

/// Whether a program is there; says so if not.
pub(crate) fn have(name: &str) -> bool {
    netstat_testkit::have(name)
}

/// Whether packages are those of dpkg, and own the usual programs; says so if not.
pub(crate) fn dpkg() -> bool {
    let there = fs::read_dir("/var/lib/dpkg/info").is_ok_and(|mut entries| entries.next().is_some());
    if !there {
        skip(
            &netstat_testkit::namespace::current_test(),
            "the packages here are not those of dpkg",
        );
    }
    there
}

/// A copy of `sleep` at `path`.
pub(crate) fn sleep_at(path: &Path) -> Command {
    fs::copy(program("sleep"), path).unwrap();
    let mut command = Command::new(path);
    command.arg("600");
    command
}

/// `sleep` itself.
pub(crate) fn sleep() -> Command {
    let mut command = Command::new(program("sleep"));
    command.arg("600");
    command
}

/// A listener that everyone can reach.
pub(crate) fn open() -> TcpListener {
    TcpListener::bind("0.0.0.0:0").unwrap()
}

/// Both ends of a connection over `address`, an address of this computer.
pub(crate) fn pair(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Gives the loopback interface a public address (of the block for documentation, RFC 5737), so that connections to it count as such.
pub(crate) fn public_address() -> &'static str {
    const ADDRESS: &str = "203.0.113.9";
    netstat_testkit::netlink::add_address(netstat_testkit::netlink::LOOPBACK, ADDRESS.parse().unwrap(), 32).unwrap();
    ADDRESS
}

/// The document of `netstat audit --json` with further words.
#[track_caller]
pub(crate) fn audit(words: &[&str]) -> Value {
    let outcome = netstat().run([&["audit", "--json", "--min", "info"], words].concat());
    serde_json::from_str(outcome.success()).unwrap()
}

/// The same without reading contents, which few tests need.
#[track_caller]
pub(crate) fn quick() -> Value {
    audit(&["--no-digests"])
}

/// The severities of the findings of `rule` about process `pid`.
pub(crate) fn severities<'a>(document: &'a Value, pid: u32, rule: &str) -> Vec<&'a str> {
    findings(document)
        .filter(|finding| finding["pid"] == pid && finding["rule"] == rule)
        .map(|finding| finding["severity"].as_str().unwrap())
        .collect()
}

/// The findings about the computer by `rule`.
pub(crate) fn of_host<'a>(document: &'a Value, rule: &str) -> Vec<&'a Value> {
    findings(document).filter(|finding| finding["rule"] == rule).collect()
}

pub(crate) fn findings(document: &Value) -> impl Iterator<Item = &Value> {
    document["findings"].as_array().unwrap().iter()
}

/// The program's entry.
#[track_caller]
pub(crate) fn entry(document: &Value, pid: u32) -> &Value {
    let mut programs = document["programs"].as_array().unwrap().iter();
    programs
        .find(|program| program["pid"] == pid)
        .unwrap_or_else(|| panic!("no {pid} in {document:#}"))
}
