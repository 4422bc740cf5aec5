//! `netstat monitor` in a real terminal (tmux) and with real connections: keys, metrics, and the restored terminal.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netstat_monitor::collect::Collector;
use netstat_monitor::model::Modeler;
use netstat_monitor::sample::Holder;
use netstat_testkit::mmdb::{self, Field};
use netstat_testkit::{own_namespace, skip, tool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netstat");

/// Whether a program is installed.
fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok()
}

/// A terminal with a shell in it.
struct Tmux {
    socket: PathBuf,
    home: tempfile::TempDir,
}

impl Tmux {
    /// Starts a terminal; returns `None` and reports a skip if tmux is not installed.
    fn start(test: &str, width: u16, height: u16) -> Option<Tmux> {
        if !has("tmux") {
            skip(test, "tmux is not installed");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let tmux = Tmux {
            socket: home.path().join("tmux"),
            home,
        };
        let size = [width.to_string(), height.to_string()];
        tmux.run(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &size[0],
            "-y",
            &size[1],
            "env PS1='$ ' sh",
        ]);
        tmux.wait("the shell", |screen| screen.contains('$'));
        Some(tmux)
    }

    fn run(&self, words: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(words)
            .env("HOME", self.home.path())
            // The shell of users without a login refuses to run.
            .env("SHELL", "/bin/sh")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("NO_COLOR")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn type_line(&self, line: &str) {
        self.run(&["send-keys", "-l", line]);
        self.keys(&["Enter"]);
    }

    fn keys(&self, keys: &[&str]) {
        let words: Vec<&str> = ["send-keys", "--"].iter().chain(keys).copied().collect();
        self.run(&words);
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as wanted.
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(40),
                "{what} does not show:\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns whether the terminal reports mouse events, shows its alternate screen, and shows the cursor.
    fn modes(&self) -> String {
        let format = "#{mouse_any_flag} #{alternate_on} #{cursor_flag}";
        self.run(&["display-message", "-p", format]).trim().to_owned()
    }

    /// Returns the settings of the terminal as reported by stty.
    fn settings(&self) -> String {
        let file = self.home.path().join("stty");
        self.type_line(&format!("stty -a > {0}.new; mv {0}.new {0}", file.display()));
        let begun = Instant::now();
        while !file.exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        text
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .arg("kill-server")
            .status();
    }
}

/// Sends a number of bytes per second over a connection of this process, until it is dropped.
struct Transfer {
    stop: Arc<AtomicBool>,
    /// Set to pause sending and keep the connection open.
    pause: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    port: u16,
    _listener: TcpListener,
}

impl Transfer {
    fn start(rate: u64) -> Transfer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut near = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let pause = Arc::new(AtomicBool::new(false));
        let paused = Arc::clone(&pause);
        let sent = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        std::thread::spawn(move || {
            let piece = vec![7; usize::try_from(rate / 50).unwrap()];
            let begun = Instant::now();
            for number in 1u32.. {
                while paused.load(Ordering::Relaxed) && !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                if stopped.load(Ordering::Relaxed) || near.write_all(&piece).is_err() {
                    return;
                }
                count.fetch_add(piece.len() as u64, Ordering::Relaxed);
                let next = begun + Duration::from_millis(20) * number;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        std::thread::spawn(move || {
            let mut piece = [0; 65536];
            while let Ok(1..) = far.read(&mut piece) {}
        });
        Transfer {
            stop,
            pause,
            sent,
            port,
            _listener: listener,
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn known_transfer_shows_its_rate() {
    own_namespace!();
    let transfer = Transfer::start(1_000_000);
    let mut collector = Collector::new(Box::new(netstat_os::Native::default()));
    let mut modeler = Modeler::default();
    std::thread::sleep(Duration::from_millis(300));
    modeler.model(&Arc::new(collector.look()));
    let (begun, before) = (Instant::now(), transfer.sent.load(Ordering::Relaxed));
    std::thread::sleep(Duration::from_secs(2));
    let sample = Arc::new(collector.look());
    let true_rate = (transfer.sent.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    let model = modeler.model(&sample);

    let rows = || sample.sockets.iter().zip(model.sockets.flows());
    let (sender, flow) = rows().find(|(row, _)| row.foreign.port == transfer.port).unwrap();
    let sent = f64::from(flow.sent.known().unwrap());
    assert!((sent / true_rate - 1.0).abs() < 0.05, "{sent} instead of {true_rate}");
    let accepted = |row: &netstat_monitor::sample::SocketRow| row.local.port == transfer.port && row.foreign.port != 0;
    let (_, flow) = rows().find(|(row, _)| accepted(row)).unwrap();
    let received = f64::from(flow.received.known().unwrap());
    assert!(
        (received / true_rate - 1.0).abs() < 0.05,
        "{received} instead of {true_rate}"
    );

    // Both ends belong to this process, and so do their totals.
    let Holder::Process(key) = sender.holder else {
        panic!("{sender:?}")
    };
    assert_eq!(key.pid, std::process::id());
    let process = model.process(key).unwrap();
    let total = process.network.total().known().unwrap();
    assert!(
        (total / (2.0 * true_rate) - 1.0).abs() < 0.05,
        "{total} instead of twice {true_rate}"
    );
}

/// What connected and unconnected UDP sockets send and receive must appear in the rates of the sockets and the process.
#[test]
fn udp_traffic_known_shows_within_two_percent() {
    own_namespace!();
    let (count, size) = (3000usize, 1200usize);
    let total = (count * size) as f64;
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    let ports = [
        sender.local_addr().unwrap().port(),
        receiver.local_addr().unwrap().port(),
    ];
    let mut collector = Collector::new(Box::new(netstat_os::Native::default()));
    collector.watch();
    let mut modeler = Modeler::default();
    let mut last = Duration::ZERO;
    for _ in 0..2 {
        let sample = Arc::new(collector.look());
        last = sample.sockets_at;
        let counted = sample
            .sockets
            .iter()
            .any(|row| row.local.port == ports[0] && row.bytes.known().is_some());
        modeler.model(&sample);
        if last > Duration::ZERO && !counted && sample.limits.iter().any(|limit| limit.what.contains("UDP")) {
            return skip(
                "udp_traffic_known_shows_within_two_percent",
                "no tracepoints for sends and receives here",
            );
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let traffic = std::thread::spawn(move || {
        let mut buffer = vec![0; size];
        for _ in 0..count {
            sender.send(&buffer).unwrap();
            assert_eq!(receiver.recv(&mut buffer).unwrap(), size);
        }
        // Peeking receives nothing.
        sender.send(&buffer).unwrap();
        receiver.peek(&mut buffer).unwrap();
        (sender, receiver)
    });
    let (mut sent, mut received, mut of_process) = (0.0, 0.0, 0.0);
    let begun = Instant::now();
    while (sent < total || received < total * 0.99) && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(250));
        let sample = Arc::new(collector.look());
        let model = modeler.model(&sample);
        let elapsed = (sample.sockets_at - last).as_secs_f64();
        last = sample.sockets_at;
        for (row, flow) in sample.sockets.iter().zip(model.sockets.flows()) {
            if row.local.port == ports[0] {
                sent += f64::from(flow.sent.known().unwrap_or(0.0)) * elapsed;
            } else if row.local.port == ports[1] {
                received += f64::from(flow.received.known().unwrap_or(0.0)) * elapsed;
            }
        }
        let own = model
            .processes
            .iter()
            .find(|row| row.key.pid == std::process::id())
            .unwrap();
        of_process += own.network.total().known().unwrap_or(0.0) * elapsed;
    }
    drop(traffic.join().unwrap());
    for (what, bytes, expected) in [
        ("sent", sent, total),
        ("received", received, total),
        ("of the process", of_process, 2.0 * total),
    ] {
        assert!((bytes / expected - 1.0).abs() < 0.02, "{what}: {bytes} of {expected}");
    }
}

/// Makes `count` connections to a listener of this process, one after the other. Each sends `bytes` bytes and receives
/// none.
fn short_connections(count: usize, bytes: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let taker = std::thread::spawn(move || {
        for _ in 0..count {
            let (mut far, _) = listener.accept().unwrap();
            let mut all = Vec::new();
            far.read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), bytes);
        }
    });
    for _ in 0..count {
        let mut near = TcpStream::connect(address).unwrap();
        near.write_all(&vec![7; bytes]).unwrap();
        near.shutdown(std::net::Shutdown::Write).unwrap();
        // The other side has closed.
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
    }
    taker.join().unwrap();
    address.port()
}

#[test]
fn connections_shorter_than_an_interval_are_counted() {
    own_namespace!();
    let mut collector = Collector::new(Box::new(netstat_os::Native::default()));
    collector.watch();
    let mut modeler = Modeler::default();
    // The sockets of the first sample have no history.
    let mut last = Duration::ZERO;
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(300));
        let sample = Arc::new(collector.look());
        last = sample.sockets_at;
        modeler.model(&sample);
    }
    let (count, bytes) = (30, 20_000);
    let port = short_connections(count, bytes);
    // The ends of connections are reported slightly later.
    let (mut rows, mut ends, mut opened, mut sent) = (Vec::new(), 0, 0, 0.0);
    let begun = Instant::now();
    while ends < 2 * count && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(300));
        let sample = Arc::new(collector.look());
        if !sample.passing.watched {
            let why = sample.limits.last().map(|limit| limit.why.clone());
            return skip("events", &format!("none here: {why:?}"));
        }
        ends += sample.passing.ended.iter().filter(|end| end.short).count();
        opened += sample.passing.opened.known().unwrap_or(0);
        let model = modeler.model(&sample);
        let elapsed = (sample.sockets_at - last).as_secs_f64();
        last = sample.sockets_at;
        let own = model.processes.iter().find(|row| row.key.pid == std::process::id());
        sent += own.unwrap().network.outbound.known().unwrap_or(0.0) * elapsed;
        rows = model.sockets.closed.clone();
    }
    assert_eq!((ends, opened), (2 * count, 2 * count as u64));
    let of_port: Vec<_> = rows.iter().filter(|row| row.row.foreign.port == port).collect();
    assert!(!of_port.is_empty() && of_port.iter().all(|row| row.told), "{rows:?}");
    for row in &of_port {
        assert_eq!(row.row.bytes.known().unwrap().sent, bytes as u64);
    }
    let by_trace = of_port.iter().any(|row| row.lived.known().is_some());
    if !by_trace {
        return skip("owners and beginnings", "only tracepoints report them");
    }
    for row in &of_port {
        assert_eq!(row.row.process().map(|key| key.pid), Some(std::process::id()));
        assert!(row.lived.known().unwrap() < 10_000_000);
    }
    // All data is attributed to this process, although no sample has seen any of the connections.
    let total = (count * bytes) as f64;
    assert!((sent / total - 1.0).abs() < 0.05, "{sent} of {total}");
}

#[test]
fn bytes_after_the_last_sample_are_counted() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    near.write_all(&[1; 50_000]).unwrap();
    far.read_exact(&mut [0; 50_000]).unwrap();
    let mut collector = Collector::new(Box::new(netstat_os::Native::default()));
    collector.watch();
    let mut modeler = Modeler::default();
    let mut last = Duration::ZERO;
    // Only the bytes after these two samples count.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(300));
        let sample = Arc::new(collector.look());
        last = sample.sockets_at;
        modeler.model(&sample);
        if !sample.passing.watched {
            return skip("events", "none here");
        }
    }
    near.write_all(&[1; 30_000]).unwrap();
    far.read_exact(&mut [0; 30_000]).unwrap();
    drop((near, far));
    let mut sent = 0.0;
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(300));
        let sample = Arc::new(collector.look());
        let model = modeler.model(&sample);
        let own = model.processes.iter().find(|row| row.key.pid == std::process::id());
        sent += own.unwrap().network.outbound.known().unwrap_or(0.0) * (sample.sockets_at - last).as_secs_f64();
        last = sample.sockets_at;
        let closed: Vec<_> = model.sockets.closed.iter().filter(|row| row.told).collect();
        assert!(
            closed.iter().all(|row| row.row.bytes.known().unwrap().sent <= 80_001),
            "{closed:?}"
        );
    }
    assert!((sent / 30_000.0 - 1.0).abs() < 0.05, "{sent}");
}

#[test]
fn figures_of_connections_are_those_of_ss() {
    own_namespace!();
    if !has("ss") {
        return skip("figures_of_connections_are_those_of_ss", "ss is not installed");
    }
    let transfer = Transfer::start(200_000);
    std::thread::sleep(Duration::from_millis(500));
    transfer.pause.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(300));
    // There is no more traffic, so both read the same values.
    let sample = Collector::new(Box::new(netstat_os::Native::default())).look();
    let filter = format!("dport = :{}", transfer.port);
    let output = Command::new("ss").args(["-tinH", &filter]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let word = text.split_ascii_whitespace().find_map(|word| word.strip_prefix(name));
        word.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
    };
    let row = sample
        .sockets
        .iter()
        .find(|row| row.foreign.port == transfer.port)
        .unwrap();
    let bytes = row.bytes.known().unwrap();
    let acked: u64 = value("bytes_acked:").parse().unwrap();
    assert_eq!(bytes.sent, acked);
    assert!(
        acked.abs_diff(transfer.sent.load(Ordering::Relaxed)) <= 1 && acked > 10_000,
        "{acked}"
    );
    let segments = row.segments.known().unwrap();
    assert_eq!(
        u64::from(segments.sent),
        value("data_segs_out:").parse::<u64>().unwrap()
    );
    let rtt = value("rtt:");
    let rtt: f64 = rtt.split('/').next().unwrap().parse().unwrap();
    assert!(
        (f64::from(row.rtt.known().unwrap()) / 1000.0 - rtt).abs() < 0.002,
        "{rtt}"
    );
}

#[test]
fn keys_in_a_real_terminal() {
    own_namespace!();
    let Some(tmux) = Tmux::start("keys_in_a_real_terminal", 120, 40) else {
        return;
    };
    let transfer = Transfer::start(300_000);
    let own = std::process::id();
    let before = tmux.settings();
    let shell = tmux.home.path().join("shell");
    tmux.type_line(&format!("echo $$ > {}", shell.display()));
    tmux.type_line(&format!("{PROGRAM} monitor network; echo status=$?"));
    let row = |screen: &str| {
        screen
            .lines()
            .any(|line| line.contains(&format!(" {own} ")) && line.contains("300k"))
    };
    // 300 kB per second, sent and received.
    tmux.wait("the transfer", |screen| {
        row(screen) && screen.contains("TCP Connections")
    });
    assert!(tmux.screen().contains(&transfer.port.to_string()));
    // Connections that no refresh can see: folded, then one by one with all their traffic.
    short_connections(3, 20_000);
    tmux.wait("short connections", |screen| {
        screen.lines().any(|line| line.contains("-> ") && line.contains("/s "))
    });
    tmux.keys(&["h"]);
    short_connections(3, 20_000);
    tmux.wait("each of them", |screen| {
        screen.contains("20.0kB") && (screen.contains("lived ") || screen.contains("closed "))
    });

    tmux.keys(&["/"]);
    tmux.run(&["send-keys", "-l", &format!("pid {own}")]);
    tmux.keys(&["Enter"]);
    tmux.wait("the filter", |screen| {
        screen.contains(&format!("Filter: pid {own}")) && row(screen)
    });
    tmux.keys(&["u"]);
    tmux.keys(&["e"]);
    tmux.wait("one pane", |screen| {
        !screen.contains("Listening Ports") && screen.contains("Processes with Network Activity")
    });
    tmux.keys(&["e", "?"]);
    tmux.wait("the help", |screen| screen.contains("clear all marks and the filter"));
    tmux.keys(&["Escape"]);
    // A key that immediately follows would be taken for one with Alt.
    tmux.wait("the processes again", |screen| !screen.contains("clear all marks"));
    tmux.keys(&["p"]);
    tmux.wait("frozen", |screen| screen.contains("FROZEN"));
    tmux.keys(&["p", "2"]);
    tmux.wait("the CPU tab", |screen| {
        screen.contains("Units") && screen.contains("CPU 0")
    });
    tmux.keys(&["t"]);
    tmux.wait("the tree", |screen| screen.contains("by parent"));
    tmux.keys(&["3"]);
    tmux.wait("the memory", |screen| screen.contains("Physical Memory"));
    tmux.keys(&["4"]);
    tmux.wait("the disks", |screen| screen.contains("Storage"));

    // Smaller, too small, larger.
    tmux.run(&["resize-window", "-x", "60", "-y", "15"]);
    tmux.wait("the small screen", |screen| screen.contains("Storage"));
    tmux.run(&["resize-window", "-x", "40", "-y", "10"]);
    tmux.wait("what is needed", |screen| screen.contains("needs 60 x 15"));
    tmux.run(&["resize-window", "-x", "120", "-y", "40"]);
    tmux.wait("the disks again", |screen| screen.contains("Storage"));

    tmux.keys(&["C-z"]);
    tmux.wait("the shell", |screen| {
        !screen.contains("Storage") && screen.contains("Stopped")
    });
    tmux.type_line("fg; echo status=$?");
    tmux.wait("the disks after fg", |screen| screen.contains("Storage"));

    // A stop that cannot be caught.
    let stop = format!("kill -STOP $(ps -o pid= --ppid $(cat {}))", shell.display());
    assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(300));
    // The terminal is still in the mode that the monitor set: typed text is not shown, and a carriage return does not
    // end a line.
    tmux.run(&["send-keys", "-l", "stty sane; echo; echo back in the shell"]);
    tmux.keys(&["C-j"]);
    tmux.wait("the shell after a stop", |screen| screen.contains("back in the shell"));
    tmux.type_line("fg; echo status=$?");
    // The output of the shell is drawn over, and single keys work.
    tmux.wait("the disks after a stop", |screen| {
        screen.starts_with(" 1 Overview") && screen.contains("Storage") && !screen.contains("back in the shell")
    });

    tmux.keys(&["q"]);
    tmux.wait("the end", |screen| screen.contains("status=0"));
    assert_eq!(tmux.settings(), before, "the terminal is as it was");
    // The state was saved.
    let kept = std::fs::read_to_string(tmux.home.path().join(".local/state/netstat/monitor.toml")).unwrap();
    assert!(
        kept.contains("tab = \"disk\"") && kept.contains("tree = \"parent\""),
        "{kept}"
    );
}

#[test]
fn a_process_and_a_connection_end_after_a_question() {
    own_namespace!();
    let test = "a_process_and_a_connection_end_after_a_question";
    let Some(tmux) = Tmux::start(test, 120, 40) else { return };
    let mut sleeper = Command::new("sleep").arg("300").spawn().unwrap();
    tmux.type_line(&format!("{PROGRAM} monitor cpu"));
    tmux.wait("processes", |screen| screen.contains("Processes"));
    tmux.keys(&["f"]);
    tmux.run(&["send-keys", "-l", &format!("{}", sleeper.id())]);
    tmux.wait("found", |screen| screen.contains("sleep"));
    tmux.keys(&["Enter", "k", "Enter"]);
    tmux.wait("the question", |screen| {
        screen.contains(&format!("Send SIGTERM to sleep (process {})?", sleeper.id()))
    });
    assert!(sleeper.try_wait().unwrap().is_none());
    tmux.keys(&["y"]);
    tmux.wait("the answer", |screen| screen.contains("SIGTERM was sent"));
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(sleeper.wait().unwrap().signal(), Some(15));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _far = listener.accept().unwrap();
    tmux.keys(&["5", "Right", "Right"]);
    let port = near.local_addr().unwrap().port();
    tmux.wait("the connection", |screen| screen.contains(&format!(" {port} ")));
    tmux.keys(&["f"]);
    tmux.run(&["send-keys", "-l", &port.to_string()]);
    tmux.keys(&["Enter", "c"]);
    tmux.wait("the question", |screen| screen.contains("Close this TCP connection?"));
    tmux.keys(&["y"]);
    let screen = tmux.wait("the answer", |screen| {
        ["was closed", "not permitted", "cannot close"]
            .iter()
            .any(|words| screen.contains(words))
    });
    if screen.contains("was closed") {
        near.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(near.read(&mut [0]).is_err(), "the connection broke off");
    }
    // A signal ends it, too, and the terminal is restored.
    tmux.run(&["send-keys", "q"]);
    tmux.wait("the end", |screen| !screen.contains("Listening Ports"));
}

#[test]
fn a_signal_gives_the_terminal_back() {
    own_namespace!();
    let Some(tmux) = Tmux::start("a_signal_gives_the_terminal_back", 80, 24) else {
        return;
    };
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131)] {
        ends_by(&tmux, signal, status);
    }
}

/// The monitor is ended by a signal, reports it in its exit status, and leaves the terminal as it was.
fn ends_by(tmux: &Tmux, signal: &str, status: i32) {
    tmux.type_line("clear");
    let before = tmux.settings();
    let pid_file = tmux.home.path().join("pid");
    let program = format!("sh -c 'echo $$ > {}; exec {PROGRAM} monitor'", pid_file.display());
    tmux.type_line(&format!("{program}; echo status=$?"));
    tmux.wait("the monitor", |screen| screen.contains("Overview"));
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {pid}")])
        .status()
        .unwrap();
    assert!(sent.success());
    tmux.wait("the end", |screen| {
        screen.contains(&format!("status={status}")) && !screen.contains("Overview")
    });
    assert_eq!(tmux.settings(), before);
    assert_eq!(tmux.modes(), "0 0 1", "mouse, other screen, cursor");
}

/// A companion that panics when a card is requested.
struct Panics;

impl netstat_monitor::companion::Companion for Panics {
    fn inspect(&mut self, _: &netstat_monitor::companion::Target) -> Result<(String, Vec<String>), String> {
        panic!("made up for a test")
    }

    fn audit(
        &mut self,
        _: Vec<netstat_monitor::sample::SocketRow>,
        _: bool,
    ) -> Result<Vec<netstat_monitor::companion::Finding>, String> {
        Ok(Vec::new())
    }
}

/// Not a test by itself: the monitor with a thread that panics, run by [`a_panic_gives_the_terminal_back`] in a
/// terminal.
#[test]
#[ignore = "a part of another test"]
fn monitor_that_panics() {
    let end = netstat_monitor::run(netstat_monitor::Options {
        settings: netstat_monitor::config::Settings::default(),
        state: None,
        bell: false,
        exec: None,
        read_only: true,
        no_color: false,
        record: None,
        replay: None,
        dns_names: false,
        label: None,
        locations: netstat_names::Locations::default(),
        system: Box::new(netstat_os::Native::default()),
        companion: Some(Box::new(Panics)),
    });
    panic!("it ended without a panic: {end:?}");
}

#[test]
fn a_panic_gives_the_terminal_back() {
    own_namespace!();
    let Some(tmux) = Tmux::start("a_panic_gives_the_terminal_back", 100, 30) else {
        return;
    };
    let before = tmux.settings();
    let own = std::env::current_exe().unwrap();
    tmux.type_line(&format!(
        "{} --ignored --exact monitor_that_panics --nocapture; echo status=$?",
        own.display()
    ));
    tmux.wait("processes", |screen| {
        screen.contains("CPU %") && screen.contains("sleeping")
    });
    tmux.keys(&["Down", "Enter"]);
    let screen = tmux.wait("the panic", |screen| screen.contains("status=101"));
    assert!(
        screen.contains("made up for a test") && !screen.contains("Overview"),
        "{screen}"
    );
    assert_eq!(tmux.settings(), before);
    assert_eq!(tmux.modes(), "0 0 1", "mouse, other screen, cursor");
}

#[test]
fn a_row_is_copied_to_the_clipboard_of_the_terminal() {
    own_namespace!();
    let Some(tmux) = Tmux::start("a_row_is_copied_to_the_clipboard_of_the_terminal", 120, 40) else {
        return;
    };
    // Programs in the terminal may set its paste buffers.
    tmux.run(&["set-option", "-s", "set-clipboard", "on"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    tmux.type_line(&format!("{PROGRAM} monitor network"));
    tmux.wait("the port", |screen| screen.contains(&port));
    tmux.keys(&["Left"]);
    tmux.keys(&["f"]);
    tmux.run(&["send-keys", "-l", &port]);
    tmux.keys(&["Enter", "y"]);
    tmux.wait("that it was copied", |screen| screen.contains("copied"));
    let buffer = tmux.run(&["show-buffer"]);
    assert!(buffer.contains(&port) && buffer.contains("127.0.0.1"), "{buffer}");
    tmux.keys(&["q"]);
}

#[test]
fn a_recording_is_played() {
    own_namespace!();
    let Some(tmux) = Tmux::start("a_recording_is_played", 120, 40) else {
        return;
    };
    let _listener = TcpListener::bind("127.0.0.1:2078").unwrap();
    let file = tmux.home.path().join("recording");
    tmux.type_line(&format!(
        "{PROGRAM} monitor network --record {}; echo status=$?",
        file.display()
    ));
    tmux.wait("the port", |screen| screen.contains(" 2078 "));
    std::thread::sleep(Duration::from_millis(1200));
    tmux.keys(&["q"]);
    tmux.wait("the end", |screen| screen.contains("status=0"));
    tmux.type_line("clear");
    tmux.type_line(&format!(
        "{PROGRAM} monitor network --replay {}; echo played=$?",
        file.display()
    ));
    tmux.wait("the recording", |screen| {
        screen.contains(" 2078 ") && screen.contains("the recording ends here")
    });
    tmux.keys(&["k"]);
    tmux.wait("what cannot be done", |screen| screen.contains("cannot be ended"));
    tmux.keys(&["q"]);
    tmux.wait("the end of it", |screen| screen.contains("played=0"));
    // An existing file is not overwritten.
    tmux.type_line(&format!(
        "clear; {PROGRAM} monitor --record {}; echo status=$?",
        file.display()
    ));
    tmux.wait("the refusal", |screen| {
        screen.contains("File exists") && screen.contains("status=1")
    });
}

#[test]
fn countries_and_systems_of_a_database_are_columns_and_groups() {
    own_namespace!();
    let test = "countries_and_systems_of_a_database_are_columns_and_groups";
    let Some(tmux) = Tmux::start(test, 200, 50) else { return };
    let loopback = netstat_testkit::netlink::index_of("lo").unwrap();
    netstat_testkit::netlink::add_address(loopback, "203.0.113.7".parse().unwrap(), 32).unwrap();
    let listener = TcpListener::bind("203.0.113.7:2078").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let text = |text: &str| Field::Text(text.to_owned());
    let record = Field::Map(vec![
        ("country", Field::Map(vec![("iso_code", text("DE"))])),
        ("autonomous_system_number", Field::Number(64_500)),
        ("autonomous_system_organization", text("Example")),
    ]);
    let networks = [("203.0.113.0".parse().unwrap(), 24, record)];
    let file = tmux.home.path().join("test.mmdb");
    std::fs::write(&file, mmdb::database("Test", &networks)).unwrap();
    tmux.type_line(&format!("{PROGRAM} monitor network -n --mmdb {}", file.display()));
    tmux.wait("the columns", |screen| {
        screen.contains(" Country ") && screen.contains(" DE ") && screen.contains("AS64500 Exam")
    });
    // By program, unit, container, peer, network, country.
    tmux.keys(&["G", "G", "G", "G", "G", "G"]);
    tmux.wait("the group", |screen| {
        screen.contains("▸ DE (") && screen.contains("grouped by country")
    });
    tmux.keys(&["G"]);
    tmux.wait("the other group", |screen| screen.contains("▸ AS64500 Example ("));
    tmux.keys(&["q"]);
}

#[test]
fn where_no_screen_can_be_drawn_it_says_so() {
    let monitor = |words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.arg("monitor").args(words).stdin(Stdio::null());
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (status, words) = monitor(&[]);
    assert_eq!(status, Some(1));
    assert!(
        words.contains("needs a terminal") && words.contains("netstat -ano 1"),
        "{words}"
    );
    let (status, words) = monitor(&["--interval", "0.01"]);
    assert_eq!(status, Some(2));
    assert!(words.contains("200ms to 60s") && words.lines().count() == 1, "{words}");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("monitor.toml");
    std::fs::write(&config, "theme = \"dark\"\n\nnmaes = true\n").unwrap();
    let (status, words) = monitor(&["--config", config.to_str().unwrap()]);
    assert_eq!(status, Some(2));
    assert!(
        words.contains("monitor.toml: line 3: unknown key \"nmaes\": use theme"),
        "{words}"
    );
    if let Some(tmux) = Tmux::start("where_no_screen_can_be_drawn_it_says_so", 80, 24) {
        tmux.type_line(&format!("TERM=dumb {PROGRAM} monitor; echo status=$?"));
        tmux.wait("the words", |screen| {
            screen.contains("TERM is dumb") && screen.contains("status=1")
        });
    }
}

/// Not a test by itself: the whole command on a computer in memory, run by
/// [`monitor_replay_shows_the_computer_in_memory_only`].
#[test]
#[ignore = "a part of another test"]
fn monitor_of_memory() {
    use netstat_model::metrics::{Metrics, ProcessIdentity, ProcessKey, ProcessMetrics, ProcessState};
    use netstat_model::{Fact, Why};
    let unknown = Fact::Unknown(Why::NotKept);
    let process = ProcessMetrics {
        // A process of the real computer has this PID, too.
        key: ProcessKey {
            pid: 1,
            start_ticks: 5000,
        },
        at: Duration::from_secs(1),
        parent: 0,
        state: ProcessState::Sleeping,
        threads: 1,
        kernel: false,
        cpu_ticks: 10,
        minor_faults: 0,
        major_faults: 0,
        resident: Fact::Known(4096),
        shareable: unknown,
        private: unknown,
        swapped: unknown,
        read_bytes: unknown,
        written_bytes: unknown,
        identity: Arc::new(ProcessIdentity {
            comm: Box::from(*b"remembered"),
            image: Fact::Unknown(Why::NotKept),
            command: Fact::Unknown(Why::NotKept),
            components: Fact::Known(Vec::new()),
            user: Fact::Known(1000),
        }),
    };
    let mut computer = netstat_os::Replay {
        computer_name: b"mill".to_vec(),
        figures: vec![Metrics {
            processes: Fact::Known(vec![process]),
            ticks_per_second: 100,
            ..Metrics::unknown(Why::NotAsked)
        }],
        ..netstat_os::Replay::default()
    };
    let words = ["monitor", "cpu"].map(std::ffi::OsString::from);
    let Ok(netstat::args::Parsed::Command(command, matches)) = netstat::registry::parse(words) else {
        panic!("the command line is wrong");
    };
    let outcome = (command.run)(
        &matches,
        &mut netstat::context::Context {
            system: &mut computer,
            out: &mut std::io::sink(),
            err: &mut std::io::sink(),
            terminal: true,
            screen: netstat::context::Screen::default(),
            now: &mut || std::time::UNIX_EPOCH,
            wait_until: &mut |_| {},
        },
    );
    assert!(matches!(outcome, Ok(netstat::context::Outcome::Printed)));
}

#[test]
fn monitor_replay_shows_the_computer_in_memory_only() {
    own_namespace!();
    let test = "monitor_replay_shows_the_computer_in_memory_only";
    let own = std::env::current_exe().unwrap();
    // Without a process list, nothing of the real computer can appear on the screen.
    let covered = tool("mount").args(["-t", "tmpfs", "none", "/proc"]).status();
    if !covered.is_ok_and(|status| status.success()) {
        skip(test, "/proc cannot be covered here");
        return;
    }
    let Some(tmux) = Tmux::start(test, 120, 30) else { return };
    tmux.type_line(&format!(
        "{} --ignored --exact monitor_of_memory --nocapture; echo status=$?",
        own.display()
    ));
    let screen = tmux.wait("the process in memory", |screen| screen.contains("remembered"));
    assert!(screen.contains("mill"), "{screen}");
    tmux.keys(&["q"]);
    tmux.wait("the end", |screen| screen.contains("status=0"));
}

#[test]
fn terminal_of_65535_columns_and_rows_takes_bounded_memory() {
    own_namespace!();
    let Some(tmux) = Tmux::start("terminal_of_65535_columns_and_rows_takes_bounded_memory", 100, 30) else {
        return;
    };
    // Several times what the largest screen that is drawn on needs, and far less than all these cells would need.
    let limit = "ulimit -v 4000000";
    tmux.type_line(&format!(
        "{limit}; stty cols 65535 rows 65535; {PROGRAM} monitor; echo ended=$?; stty cols 100 rows 30"
    ));
    let begun = Instant::now();
    while !tmux.modes().starts_with("1 1") {
        assert!(begun.elapsed() < Duration::from_secs(40), "{}", tmux.screen());
        std::thread::sleep(Duration::from_millis(50));
    }
    tmux.keys(&["q"]);
    tmux.wait("the end", |screen| screen.contains("ended=0"));
}
