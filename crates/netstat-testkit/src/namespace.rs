//! Runs a test in namespaces of its own, by running the test program again inside them.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::skip::{pass_on_skips, running_test, skip};

/// Set to the test's name in the run inside the namespaces.
pub(crate) const INSIDE: &str = "NETSTAT_TESTKIT_INSIDE";

/// The time after which a test body is considered to hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// The factor by which tests wait longer here than elsewhere: a number, for slow machines such as emulated ones.
const SLOWER: &str = "NETSTAT_TESTKIT_PATIENCE";

/// Returns how long to wait here for something that takes at most `time` on a current computer.
pub fn patience(time: Duration) -> Duration {
    let factor = std::env::var(SLOWER).ok().and_then(|text| text.parse::<u32>().ok());
    time.saturating_mul(factor.unwrap_or(1).clamp(1, 100))
}

/// The namespaces a test needs in addition to the network and mount namespaces, which it always gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A PID namespace with its own `/proc`, in which only the test's own processes are visible.
    pub processes: bool,
}

impl Needs {
    /// A PID namespace too.
    pub const PROCESSES: Needs = Needs { processes: true };
}

/// Runs the rest of the test function in namespaces of its own, with the loopback interface up.
///
/// The function must be a `#[test]` that takes and returns nothing. `own_namespace!()` creates a network and a mount
/// namespace; `own_namespace!(Needs::PROCESSES)` creates a PID namespace too. If the system refuses them, the test
/// reports that on stderr and ends.
#[macro_export]
macro_rules! own_namespace {
    () => {
        $crate::own_namespace!($crate::Needs::default())
    };
    ($needs:expr) => {
        let here = {
            fn here() {}
            ::std::any::type_name_of_val(&here)
        };
        if !$crate::namespace::inside(here, $needs) {
            return;
        }
    };
}

/// Implements [`own_namespace!`]: returns `true` inside the namespaces; outside, runs the test again inside and returns
/// `false`.
///
/// # Panics
/// Panics if the run inside fails or hangs.
pub fn inside(type_name: &str, needs: Needs) -> bool {
    let name = test_name(type_name);
    match std::env::var_os(INSIDE) {
        Some(inner) if inner == name.as_str() => {
            if let Some(role) = std::env::var_os(crate::actors::ROLE) {
                crate::actors::act(&role);
            }
            // Without a PID namespace, nothing else would end this process if the outer test were killed.
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            crate::netlink::link_up(crate::netlink::LOOPBACK, false).expect("loopback comes up");
            hide_named_namespaces();
            true
        }
        _ => {
            match entrance(needs) {
                Ok(entrance) => run_inside(entrance, &name),
                Err(reason) => skip(&name, &reason),
            }
            false
        }
    }
}

/// Covers the directory of named network namespaces with an empty one, because those of this computer do not belong to
/// a test.
fn hide_named_namespaces() {
    let named = |mut entries: std::fs::ReadDir| entries.next().is_some();
    if std::fs::read_dir("/run/netns").is_ok_and(named) {
        // If mounting is forbidden, they stay visible.
        let _ = tool("mount").args(["-t", "tmpfs", "none", "/run/netns"]).status();
    }
}

/// Returns `crate::module::test::here` without the crate and the helper's name, which is the test's name in the
/// harness.
fn test_name(type_name: &str) -> String {
    let path = type_name.strip_suffix("::here").unwrap_or(type_name);
    let path = path.split_once("::").map_or(path, |(_, rest)| rest);
    path.replace("::{{closure}}", "")
}

/// Returns the name of the test that runs inside namespaces; empty outside.
pub fn current_test() -> String {
    std::env::var_os(INSIDE).map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Whether the program `tool` can be found. If not, reports that the running test continues without it.
pub fn have(tool: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        // An ordinary user's PATH often lacks the directories that contain `ss` and `ip`.
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .any(|directory| directory.join(tool).is_file())
    });
    if !found {
        skip(&running_test(), &format!("{tool} is not installed"));
    }
    found
}

/// Whether the kernel has at least this version. If not, reports that the running test continues without `what`.
pub fn kernel_has(what: &str, major: u32, minor: u32) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse::<u32>().ok());
    let running = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let has = running >= (major, minor);
    if !has {
        skip(
            &current_test(),
            &format!("{what} needs Linux {major}.{minor}, this is {release}"),
        );
    }
    has
}

/// Returns a [`Command`] for `tool` that is also searched for in the directories of administrative programs and runs in
/// the C locale.
pub fn tool(tool: &str) -> Command {
    let mut command = Command::new(tool);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = path;
    all.push(":/usr/sbin:/sbin");
    command.env("PATH", all).env("LC_ALL", "C");
    command
}

/// Runs `act` in the network namespace that this file stands for, in a thread of its own.
///
/// # Panics
/// Panics if the namespace cannot be entered.
pub fn in_network<T: Send>(file: &std::path::Path, act: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;
    let file = std::fs::File::open(file).expect("the namespace has a file");
    std::thread::scope(|scope| {
        let work = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("it may be entered");
            act()
        };
        scope.spawn(work).join().expect("the work is done")
    })
}

/// Whether the test runs as the real root, not only as root of a user namespace.
pub fn real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    // user_namespaces(7): the initial namespace maps all ids to themselves.
    rustix::process::geteuid().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Returns how to enter new namespaces here: the arguments that precede the program. `Err` contains the reason why it
/// is impossible.
fn entrance(needs: Needs) -> Result<Vec<&'static str>, String> {
    static PLAIN: OnceLock<Result<Vec<&'static str>, String>> = OnceLock::new();
    static PROCESSES: OnceLock<Result<Vec<&'static str>, String>> = OnceLock::new();
    let known = if needs.processes { &PROCESSES } else { &PLAIN };
    known
        .get_or_init(|| {
            let mut reason = String::new();
            for user in [&[][..], &["-U", "-r"]] {
                let mut words = vec!["setpriv", "--pdeathsig", "KILL", "unshare"];
                words.extend(user);
                words.extend(["-n", "-m"]);
                if needs.processes {
                    words.extend(["-p", "-f", "--kill-child", "--mount-proc"]);
                }
                words.push("--");
                match tool(words[0]).args(&words[1..]).arg("true").output() {
                    Ok(output) if output.status.success() => return Ok(words),
                    Ok(output) => reason = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "),
                    Err(error) => reason = format!("{}: {error}", words[0]),
                }
            }
            Err(format!("no namespaces here: {reason}"))
        })
        .clone()
}

fn run_inside(entrance: Vec<&'static str>, name: &str) {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut command = tool(entrance[0]);
    command
        .args(&entrance[1..])
        .arg(program)
        .args(harness_words(name))
        // Cargo sets it for test programs. Processes started by a test would inherit it, and the audit rules would
        // judge it.
        .env_remove("LD_LIBRARY_PATH")
        .env(INSIDE, name);
    let (output, in_time) = finish(&mut command, patience(PATIENCE)).expect("unshare can be started");
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    pass_on_skips(&output.stderr);
    // A wrong name would run no test at all, successfully.
    if !(in_time && output.status.success() && out.contains("test result: ok. 1 passed")) {
        let ending = if in_time {
            output.status.to_string()
        } else {
            format!("still running after {:?}", patience(PATIENCE))
        };
        panic!("{name} inside its namespaces: {ending}\n{out}{err}");
    }
}

/// Returns the test harness's arguments that run a single test.
pub(crate) fn harness_words(name: &str) -> Vec<OsString> {
    [name, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]
        .map(OsString::from)
        .to_vec()
}

/// Runs a command in a process group of its own and collects its output. After `patience`, or when the command has
/// ended and left processes behind, the whole group is killed. The second value tells whether the command ended by
/// itself.
pub(crate) fn finish(command: &mut Command, patience: Duration) -> std::io::Result<(Output, bool)> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    collect(child, patience)
}

fn collect(mut child: Child, patience: Duration) -> std::io::Result<(Output, bool)> {
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let group = Pid::from_child(&child);
    let (status, in_time) = wait(&mut child, patience)?;
    // Usually there is no process left to kill, which is not an error.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    let output = Output {
        status,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    };
    Ok((output, in_time))
}

/// Reads a pipe to its end in a thread, so that neither of two pipes can fill up unread.
fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut all);
        }
        all
    })
}

/// Waits for the child, and kills its process group after `patience`. The second value tells whether it ended by
/// itself.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> std::io::Result<(ExitStatus, bool)> {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, true));
        }
        if Instant::now() >= end {
            let _ = rustix::process::kill_process_group(Pid::from_child(child), Signal::KILL);
            return Ok((child.wait()?, false));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Polls `done` until it returns `true`.
///
/// # Panics
/// Panics with `story()` if that does not happen within 10 seconds (see [`patience`]).
pub fn eventually(mut done: impl FnMut() -> bool, story: impl FnOnce() -> String) {
    let end = Instant::now() + patience(Duration::from_secs(10));
    while !done() {
        if Instant::now() >= end {
            panic!("waited 10 s in vain: {}", story());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespace_has_loopback_up_and_no_other_interface() {
        own_namespace!();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
        let devices = std::fs::read_to_string("/proc/self/net/dev").unwrap();
        // Two lines of headings. There may be tunnel devices of loaded modules (sit0 and so on), but no real interface.
        assert!(
            devices
                .lines()
                .skip(2)
                .all(|line| !line.contains("eth") && !line.contains("en")),
            "{devices}"
        );
    }

    #[test]
    fn own_namespace_hides_processes_of_others() {
        own_namespace!(Needs::PROCESSES);
        assert!(std::process::id() < 10);
        let link = std::fs::read_link("/proc/self").unwrap();
        assert_eq!(link.to_str().unwrap(), std::process::id().to_string());
    }

    #[test]
    fn hanging_program_is_killed_with_its_children() {
        let start = Instant::now();
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 100 & sleep 100"]);
        let (output, in_time) = finish(&mut command, Duration::from_millis(300)).unwrap();
        assert!(!in_time && start.elapsed() < Duration::from_secs(20));
        assert_eq!(output.stdout, b"begun\n");
    }

    #[test]
    fn test_name_is_that_of_harness() {
        assert_eq!(test_name("netstat_testkit::peer::tests::one::here"), "peer::tests::one");
        assert_eq!(test_name("connections::order::here"), "order");
    }

    #[test]
    fn test_body_that_fails_in_own_namespace_fails_outside() {
        let outer = std::panic::catch_unwind(|| {
            own_namespace!();
        });
        assert!(std::env::var_os(INSIDE).is_none(), "as planned");
        assert!(outer.is_err() || entrance(Needs::default()).is_err());
    }
}
