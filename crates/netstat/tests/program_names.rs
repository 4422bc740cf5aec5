//! The names by which people know a program, in lists and filters, with real processes.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

use netstat_testkit::own_namespace;

const SERVER: &str = "
import socket, sys, time
sock = socket.socket(); sock.bind(('127.0.0.1', int(sys.argv[1]))); sock.listen(5)
print('ready', flush=True); sys.stdin.read()
";

/// A process that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `command`, and waits until it reports that it listens.
fn started(command: &mut Command) -> Server {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut server = Server(child);
    let mut line = String::new();
    let out = server.0.stdout.as_mut().expect("stdout");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert_eq!(line.trim(), "ready");
    server
}

fn netstat(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netstat"))
        .args(arguments)
        .output()
        .expect("netstat")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn interpreter_is_listed_with_its_script() {
    own_namespace!();
    let Ok(python) = std::fs::canonicalize("/usr/bin/python3") else {
        return netstat_testkit::skip("interpreter_is_listed_with_its_script", "python3 is not installed");
    };
    let python_name = python.file_name().unwrap().to_str().unwrap().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("billing app.py");
    std::fs::write(&script, SERVER).unwrap();
    let _billing = started(Command::new(&python).arg(&script).arg("7301"));
    // A program called by a name other than its file's, like redis-server on Debian.
    let _redis = started(
        Command::new(&python)
            .arg0("redis-server")
            .arg("-c")
            .arg(SERVER)
            .arg("7302"),
    );

    let shown = text(&netstat(&["-anb"]));
    assert!(
        shown.contains(&format!(" [{python_name}] (billing app.py)\n")),
        "{shown}"
    );
    assert!(shown.contains(&format!(" [{python_name}] (redis-server)\n")), "{shown}");
    let shown = text(&netstat(&["-tulpn"]));
    assert!(shown.contains(&format!("/{python_name} (billing app.py)")), "{shown}");
    let shown = text(&netstat(&["-c"]));
    assert!(shown.contains(&format!("{python_name} (redis-server)")), "{shown}");

    let shown = text(&netstat(&[
        "-an",
        "--csv",
        "--columns",
        "local_port,command,script,called,cmdline",
    ]));
    let row = shown.lines().find(|line| line.starts_with("7301,")).expect("a row");
    assert!(row.contains(&python_name[..python_name.len().min(15)]), "{row}");
    assert!(row.contains("billing app.py") && row.contains("7301"), "{row}");
    let row = shown.lines().find(|line| line.starts_with("7302,")).expect("a row");
    assert!(row.contains(",redis-server,"), "{row}");

    for (program, port) in [("redis-server", "7302"), ("billing*", "7301"), ("redis*", "7302")] {
        let shown = text(&netstat(&["-an", "--program", program]));
        let ports: Vec<&str> = ["7301", "7302"]
            .into_iter()
            .filter(|port| shown.contains(&format!(":{port} ")))
            .collect();
        assert_eq!(ports, [port], "{program}: {shown}");
    }
    let missing = netstat(&["-an", "--program", "redis-servr"]);
    assert!(missing.status.success());
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(
        said.contains("no socket matches --program redis-servr; similar names: redis-server"),
        "{said}"
    );
}
