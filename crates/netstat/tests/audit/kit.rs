//! Intentionally suspicious programs, and the results of the audit about them.

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

    /// Starts `command` with `socket` as its standard input, and waits until it has executed another program.
    #[track_caller]
    pub(crate) fn with(command: &mut Command, socket: impl Into<OwnedFd>) -> Running {
        Running::start(
            command
                .stdin(Stdio::from(socket.into()))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    }

    /// Starts `command`, and waits until it has executed another program.
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

/// Returns the path of the program called `name`, with links resolved.
pub(crate) fn program(name: &str) -> PathBuf {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find_map(|path| fs::canonicalize(path).ok())
        .unwrap_or_else(|| panic!("no {name}"))
}

/// Whether a program is installed; reports a skip if not.
pub(crate) fn have(name: &str) -> bool {
    netstat_testkit::have(name)
}

/// Whether dpkg manages the packages of this system and owns the usual programs; reports a skip if not.
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

/// Copies `sleep` to `path`, and returns a command that runs the copy.
pub(crate) fn sleep_at(path: &Path) -> Command {
    fs::copy(program("sleep"), path).unwrap();
    let mut command = Command::new(path);
    command.arg("600");
    command
}

/// Returns a command that runs the original `sleep`.
pub(crate) fn sleep() -> Command {
    let mut command = Command::new(program("sleep"));
    command.arg("600");
    command
}

/// Returns a listener that is reachable from everywhere.
pub(crate) fn open() -> TcpListener {
    TcpListener::bind("0.0.0.0:0").unwrap()
}

/// Returns both ends of a connection over `address`, a local address.
pub(crate) fn pair(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Assigns a public address from a documentation block (RFC 5737) to the loopback interface, so that connections to it
/// count as public.
pub(crate) fn public_address() -> &'static str {
    const ADDRESS: &str = "203.0.113.9";
    netstat_testkit::netlink::add_address(netstat_testkit::netlink::LOOPBACK, ADDRESS.parse().unwrap(), 32).unwrap();
    ADDRESS
}

/// Returns the document of `netstat audit --json` with further arguments.
#[track_caller]
pub(crate) fn audit(words: &[&str]) -> Value {
    let outcome = netstat().run([&["audit", "--json", "--min", "info"], words].concat());
    serde_json::from_str(outcome.success()).unwrap()
}

/// Returns the document without reading file contents, which few tests need.
#[track_caller]
pub(crate) fn quick() -> Value {
    audit(&["--no-digests"])
}

/// Returns the severities of the findings of `rule` about process `pid`.
pub(crate) fn severities<'a>(document: &'a Value, pid: u32, rule: &str) -> Vec<&'a str> {
    findings(document)
        .filter(|finding| finding["pid"] == pid && finding["rule"] == rule)
        .map(|finding| finding["severity"].as_str().unwrap())
        .collect()
}

/// Returns the findings of `rule` about the computer.
pub(crate) fn of_host<'a>(document: &'a Value, rule: &str) -> Vec<&'a Value> {
    findings(document).filter(|finding| finding["rule"] == rule).collect()
}

pub(crate) fn findings(document: &Value) -> impl Iterator<Item = &Value> {
    document["findings"].as_array().unwrap().iter()
}

/// Returns the entry of the program.
#[track_caller]
pub(crate) fn entry(document: &Value, pid: u32) -> &Value {
    let mut programs = document["programs"].as_array().unwrap().iter();
    programs
        .find(|program| program["pid"] == pid)
        .unwrap_or_else(|| panic!("no {pid} in {document:#}"))
}
