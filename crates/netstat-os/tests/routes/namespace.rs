//! Runs a test again in a network namespace of its own.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use netstat_testkit::skip;

/// Set in the inner run.
const INSIDE: &str = "NETSTAT_ROUTES_TEST_INSIDE";

/// Runs `body` in a new network namespace: as root with `unshare -n`, else with a user namespace around it. `test` is the full name
/// of the calling test. Where the system forbids namespaces, or has no `ip`, says so on stderr and runs nothing.
pub(crate) fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some_and(|name| name == OsStr::new(test)) {
        return body();
    }
    let root = rustix::process::geteuid().is_root();
    let flags: &[&str] = if root { &["-n"] } else { &["-Urn"] };
    for probe in [&["true"][..], &["ip", "-j", "link"]] {
        let works = Command::new("unshare")
            .args(flags)
            .args(probe)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !works.is_ok_and(|status| status.success()) {
            let command = format!("unshare {} {}", flags.join(" "), probe.join(" "));
            return skip(test, &format!("`{command}` does not work here"));
        }
    }
    let program = std::env::current_exe().expect("the test knows its own file");
    let output = Command::new("unshare")
        .args(flags)
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, test)
        .output()
        .expect("unshare was found before");
    netstat_testkit::pass_on_skips(&output.stderr);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let talk = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "inside the namespace: {talk}");
    assert!(
        talk.contains("1 passed"),
        "the inner run found no test called {test}: {talk}"
    );
}

/// Runs one line of a shell; panics with what it said if it fails.
pub(crate) fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().expect("a shell");
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("plain text")
}

/// Whether one line of a shell works.
pub(crate) fn works(line: &str) -> bool {
    Command::new("sh")
        .args(["-ec", line])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}
