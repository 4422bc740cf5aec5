//! What the tests of owners share: sockets, looks, and the test program run again in other circumstances.
#![allow(dead_code, reason = "each test program uses its part")]

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Output};

use netstat_model::{Family, Owner, Owners, Process, Protocol, Socket, SocketFacts, State};
use netstat_os::linux::owners::{Hooks, OwnerAsk, OwnerReader};

/// Everything.
pub(crate) const ALL: OwnerAsk = OwnerAsk {
    image: true,
    components: true,
    start: true,
    names: true,
};

/// Nothing but process ids.
pub(crate) const IDS: OwnerAsk = OwnerAsk {
    image: false,
    components: false,
    start: false,
    names: false,
};

/// Keeps the tests of one program apart: a process that one of them starts holds, for a moment, copies of every socket of the
/// others.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A listing's row with this inode, made by the user with this id.
pub(crate) fn socket(inode: u32, user: Option<u32>) -> Socket {
    Socket::new(&SocketFacts {
        protocol: Protocol::Tcp,
        family: Family::V4,
        state: State::Listening,
        local: IpAddr::V4(Ipv4Addr::LOCALHOST),
        local_port: 1,
        foreign: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        foreign_port: 0,
        interface: 0,
        inode,
        user,
        cookie: None,
        receive_queue: 0,
        send_queue: Some(0),
    })
}

/// A listening socket of this process.
pub(crate) fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// The inode of a socket.
pub(crate) fn inode(of: impl AsFd) -> u32 {
    u32::try_from(rustix::fs::fstat(of).unwrap().st_ino).unwrap()
}

/// The row of a socket of this process.
pub(crate) fn row(of: impl AsFd) -> Socket {
    socket(inode(of), Some(rustix::process::geteuid().as_raw()))
}

/// One look with a new reader.
pub(crate) fn look(rows: &[Socket], ask: &OwnerAsk) -> Owners {
    OwnerReader::default().read(rows, ask, Hooks::default()).0
}

/// The holders of a row, the first in front; empty when none is known.
pub(crate) fn holders<'a>(owners: &'a Owners, row: &Socket) -> Vec<&'a Process> {
    match owners.of(row) {
        Owner::Held(list) => list.iter().collect(),
        Owner::None(_) => Vec::new(),
    }
}

/// The ids of [`holders`].
pub(crate) fn pids(owners: &Owners, row: &Socket) -> Vec<u32> {
    holders(owners, row).iter().map(|process| process.pid).collect()
}

/// The file name of a holder's program.
pub(crate) fn name(process: &Process) -> String {
    let image = process.image.as_ref().known();
    image.map_or_else(
        || format!("{:?}", process.image),
        |image| String::from_utf8_lossy(image.file_name()).into_owned(),
    )
}

/// Whether this run of the program is one that a test started for itself with [`again`].
pub(crate) fn is_inner() -> bool {
    std::env::var_os("OWNERS_INNER").is_some()
}

/// A command that runs the test `test` of `program` (this one, or a copy of it) as the inner part, behind the words of
/// `wrapper`.
pub(crate) fn again(wrapper: &[&str], program: &Path, test: &str) -> Command {
    let mut words: Vec<&std::ffi::OsStr> = wrapper.iter().map(std::ffi::OsStr::new).collect();
    words.push(program.as_os_str());
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["--exact", "--nocapture", test])
        .env("OWNERS_INNER", "1");
    command
}

/// The words that put a program into a user and PID namespace of its own, where it is alone and may read everything.
pub(crate) const OWN_NAMESPACE: [&str; 7] = [
    "unshare",
    "--user",
    "--map-root-user",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
];

/// Runs the test `test` of this program again in namespaces of its own. Says so and does nothing where that is not allowed.
pub(crate) fn in_own_namespace(test: &str) {
    if !Command::new(OWN_NAMESPACE[0])
        .args(&OWN_NAMESPACE[1..])
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        return netstat_testkit::skip(test, "no user namespaces here");
    }
    assert_passed(
        &again(&OWN_NAMESPACE, &std::env::current_exe().unwrap(), test)
            .output()
            .unwrap(),
    );
}

/// Fails with the output of an inner run that failed.
pub(crate) fn assert_passed(output: &Output) {
    let text = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    netstat_testkit::pass_on_skips(&output.stderr);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}
