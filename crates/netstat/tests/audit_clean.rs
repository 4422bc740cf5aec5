//! `netstat audit` on a clean computer: common servers, programs in a home directory, something like a container. False
//! alarms decide whether anyone uses it.
#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use netstat_testkit::command::{NOBODY, Netstat};
use netstat_testkit::namespace::{real_root, tool};
use netstat_testkit::{Needs, eventually, own_namespace, skip};
use serde_json::Value;

const TEST: &str = "nothing_wrong_gives_no_alarm";
/// The port on which a copy of this test program listens.
const PORT: &str = "AUDIT_CLEAN_PORT";

/// A server, ended when dropped.
struct Server {
    name: &'static str,
    port: u16,
    child: Child,
    // A client, so that there is a connection to judge, too.
    client: Option<TcpStream>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts `command` and waits until it listens on `port`; if it does not, reports why.
    fn start(name: &'static str, port: u16, command: &mut Command, log: &Path) -> Option<Server> {
        let output = fs::File::create(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                skip(TEST, &format!("{name} is left out: {error}"));
                return None;
            }
        };
        let mut server = Server {
            name,
            port,
            child,
            client: None,
        };
        eventually(
            || {
                server.client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
                server.client.is_some() || server.child.try_wait().is_ok_and(|ended| ended.is_some())
            },
            || {
                format!(
                    "{name} does not listen: {}",
                    fs::read_to_string(log).unwrap_or_default()
                )
            },
        );
        if server.client.is_none() {
            let said = fs::read_to_string(log).unwrap_or_default();
            skip(
                TEST,
                &format!("{name} is left out: it ended and said {:?}", said.trim()),
            );
            return None;
        }
        Some(server)
    }
}

/// Writes a file and creates its directories, readable by everyone.
fn put(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Returns `program` as a command of an unprivileged user, if this test may switch users.
fn as_user(program: impl AsRef<OsStr>) -> Command {
    if !real_root() {
        return Command::new(program);
    }
    let mut command = tool("setpriv");
    command
        .arg(format!("--reuid={NOBODY}"))
        .arg(format!("--regid={NOBODY}"))
        .args(["--clear-groups", "--"])
        .arg(program);
    command
}

/// Gives everything below `dir` to the user of [`as_user`].
fn give(dir: &Path) {
    if real_root() {
        chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                give(&path)
            } else {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap()
            }
        }
    }
}

/// Returns the local ports of connections that a program holds: only then the kernel shows an inode (proc_net_tcp.rst).
fn accepted() -> Vec<u16> {
    let text = ["tcp", "tcp6"]
        .map(|name| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default())
        .concat();
    let port = |line: &str| -> Option<u16> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        // State 01 is ESTABLISHED.
        let held = *fields.get(3)? == "01" && *fields.get(9)? != "0";
        u16::from_str_radix(port, 16).ok().filter(|_| held)
    };
    text.lines().filter_map(port).collect()
}

/// Returns the first of `places` that exists.
fn found(places: &[&str]) -> Option<PathBuf> {
    let place = places.iter().map(PathBuf::from).find(|place| place.is_file());
    if place.is_none() {
        skip(TEST, &format!("{} is not installed", places[0]));
    }
    place
}

/// The server that a copy of this test program in a home directory runs.
#[test]
#[ignore = "run by copies of this program only"]
fn serve() {
    let Some(port) = std::env::var(PORT).ok().and_then(|port| port.parse().ok()) else {
        return;
    };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    let mut clients = Vec::new();
    for client in listener.incoming() {
        clients.push(client);
    }
}

/// Starts all servers that are installed. `home` is mounted at `/home`, so that it looks like a home directory.
fn servers(home: &Path) -> Vec<Server> {
    let log = |name: &str| home.join(format!("{name}.log"));
    let user = PathBuf::from("/home/dev");
    let mut all = Vec::new();

    if let Some(program) = found(&["/usr/sbin/nginx"]).filter(|_| real_root()) {
        let conf = "daemon off; user nobody; pid /home/nginx/pid; error_log stderr;\nevents {}\n\
            http { access_log off; client_body_temp_path /home/nginx/a; proxy_temp_path /home/nginx/b; fastcgi_temp_path /home/nginx/c;\n\
            uwsgi_temp_path /home/nginx/d; scgi_temp_path /home/nginx/e; server { listen 80; } }";
        put(
            Path::new("/home/nginx/nginx.conf"),
            &conf.replace("user nobody", "user nobody nogroup"),
        );
        let mut command = Command::new(program);
        command.args(["-c", "/home/nginx/nginx.conf", "-e", "stderr"]);
        all.extend(Server::start("nginx", 80, &mut command, &log("nginx")));
    }
    if let Some(program) = found(&["/usr/sbin/sshd"]).filter(|_| real_root()) {
        let key = "/home/ssh/key";
        fs::create_dir_all("/home/ssh").unwrap();
        let made = tool("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", key])
            .status();
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f", "/dev/null", "-o", "PidFile=none", "-h", key]);
        if made.is_ok_and(|status| status.success()) {
            let _ = fs::create_dir("/run/sshd");
            all.extend(Server::start("sshd", 22, &mut command, &log("sshd")));
        }
    }
    if let Some(program) = found(&["/usr/bin/redis-server"]) {
        fs::create_dir_all("/home/redis").unwrap();
        give(Path::new("/home/redis"));
        let mut command = as_user(program);
        command.args([
            "--port",
            "6379",
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            "/home/redis",
        ]);
        all.extend(Server::start("redis", 6379, &mut command, &log("redis")));
    }
    let postgres = [14, 15, 16, 17, 18].map(|version| format!("/usr/lib/postgresql/{version}/bin/postgres"));
    let postgres = postgres
        .iter()
        .map(String::as_str)
        .filter(|place| Path::new(place).is_file())
        .collect::<Vec<_>>();
    // PostgreSQL refuses to run as root, even in a user namespace.
    if let Some(program) =
        found(&[&postgres[..], &["/usr/lib/postgresql/15/bin/postgres"]].concat()).filter(|_| real_root())
    {
        fs::create_dir_all("/home/postgres").unwrap();
        give(Path::new("/home/postgres"));
        let made = as_user(program.with_file_name("initdb"))
            .args(["-D", "/home/postgres/data", "-A", "trust", "-N", "-U", "dev"])
            .output();
        if made.is_ok_and(|output| output.status.success()) {
            let mut command = as_user(program);
            command.args([
                "-D",
                "/home/postgres/data",
                "-k",
                "/home/postgres",
                "-h",
                "127.0.0.1",
                "-p",
                "5432",
            ]);
            all.extend(Server::start("postgres", 5432, &mut command, &log("postgres")));
        }
    }
    if let Some(program) = found(&["/usr/bin/python3"]) {
        put(
            &user.join("app.py"),
            "import http.server\nhttp.server.test(http.server.SimpleHTTPRequestHandler, port=8000, bind='0.0.0.0')\n",
        );
        give(&user);
        let mut command = as_user(program);
        command.arg(user.join("app.py")).current_dir(&user);
        all.extend(Server::start("python", 8000, &mut command, &log("python")));
    }
    if let Some(program) = found(&["/usr/bin/node", "/usr/bin/nodejs"]) {
        put(
            &user.join("app/server.js"),
            "require('http').createServer((q, a) => a.end('x')).listen(3000, '0.0.0.0')\n",
        );
        give(&user);
        let mut command = as_user(program);
        command.arg(user.join("app/server.js")).current_dir(&user);
        all.extend(Server::start("node", 3000, &mut command, &log("node")));
    }
    // Unpackaged programs in the directories in which cargo and go install them.
    for (name, place, port) in [
        ("a Rust program", ".cargo/bin/miniserve", 9001),
        ("a program of go's place", "go/bin/gotool", 9002),
    ] {
        let copy = user.join(place);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        give(&user);
        let mut command = as_user(&copy);
        command
            .args(["--ignored", "--exact", "serve"])
            .env(PORT, port.to_string());
        all.extend(Server::start(
            name,
            port,
            &mut command,
            &home.join(format!("{port}.log")),
        ));
    }
    if let Some(program) = found(&["/usr/bin/busybox", "/bin/busybox"]) {
        // With its own root directory and PID namespace, without a package database.
        let root = Path::new("/home/box");
        for dir in ["bin", "www", "proc"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::copy(program, root.join("bin/busybox")).unwrap();
        symlink("busybox", root.join("bin/httpd")).unwrap();
        let mut command = tool("unshare");
        command.args([
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--root=/home/box",
        ]);
        command.args(["/bin/httpd", "-f", "-p", "8081", "-h", "/www"]);
        all.extend(Server::start("a container", 8081, &mut command, &log("box")));
    }
    let browsers = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
        "/usr/lib/chromium/chromium",
    ];
    if let Some(program) = found(&browsers) {
        fs::create_dir_all(user.join("profile")).unwrap();
        give(&user);
        let mut command = as_user(program);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-port=9222",
        ]);
        command
            .args(["--user-data-dir=/home/dev/profile", "about:blank"])
            .env("HOME", &user);
        all.extend(Server::start("chromium", 9222, &mut command, &log("chromium")));
    }
    all
}

#[test]
fn nothing_wrong_gives_no_alarm() {
    own_namespace!(Needs::PROCESSES);
    // Not below /tmp, where a program would be a finding.
    let home = tempfile::Builder::new()
        .prefix("netstat-clean")
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let bound = tool("mount").arg("--bind").arg(home.path()).arg("/home").status();
    if !bound.is_ok_and(|status| status.success()) {
        return skip(TEST, "no directory can be bound over /home");
    }
    let servers = servers(Path::new("/home"));
    assert!(!servers.is_empty(), "none of the servers runs");
    // Each server has accepted its client, so that a process that it starts for the client can be judged, too.
    let taken = |server: &Server| accepted().contains(&server.port);
    eventually(|| servers.iter().all(taken), || format!("accepted: {:?}", accepted()));

    let netstat = Netstat::new(env!("CARGO_BIN_EXE_netstat"));
    let outcome = netstat.run(["audit", "--json"]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    let findings = document["findings"].as_array().expect("findings");
    // This test itself does not count, because it runs from wherever it was built.
    let own = |finding: &&Value| finding["pid"].as_u64() == Some(std::process::id().into());
    let alarms: Vec<&Value> = findings
        .iter()
        .filter(|finding| is_alarm(finding) && !own(finding))
        .collect();
    assert!(alarms.is_empty(), "{}", serde_json::to_string_pretty(&alarms).unwrap());
    // All servers were examined: each port belongs to a judged program.
    let judged = document["programs"].as_array().expect("programs");
    let pids: Vec<u64> = judged.iter().filter_map(|program| program["pid"].as_u64()).collect();
    for server in &servers {
        let pid = u64::from(server.child.id());
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let own = |pid: u64| pids.contains(&pid);
        let child = children.split_whitespace().any(|child| child.parse().is_ok_and(own));
        assert!(
            own(pid) || child,
            "{} on port {} was not judged: {pids:?}",
            server.name,
            server.port
        );
    }
    // The exit status for scripts: nothing at or above high.
    assert!(netstat.run(["audit", "--fail-on", "high"]).status.success());
}

/// Whether a finding is a false alarm: critical, high, or medium without being correct.
fn is_alarm(finding: &Value) -> bool {
    match finding["severity"].as_str() {
        Some("low" | "info") => false,
        Some("medium") => !is_right(finding),
        _ => true,
    }
}

/// Whether a medium finding is correct here.
fn is_right(finding: &Value) -> bool {
    let program = finding["program"].as_str().unwrap_or_default();
    match finding["rule"].as_str().unwrap_or_default() {
        // Reachable from every network, and not part of any package.
        "unpackaged" => ["/home/dev/.cargo/bin/miniserve", "/home/dev/go/bin/gotool"].contains(&program),
        // Started by a test, not by a service manager.
        "no-unit" => ["/usr/sbin/nginx", "/usr/sbin/sshd"].contains(&program),
        _ => false,
    }
}
