//! Features for everyday use: families, trees, rates, looked-up names, countries, default switches, and prints in
//! place.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use netstat_testkit::dns;
use netstat_testkit::mmdb::{self, Field};
use netstat_testkit::{Netstat, have, own_namespace, skip};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

#[track_caller]
fn stdout(words: &str) -> String {
    netstat().run(words.split(' ')).success().to_owned()
}

#[test]
fn family_switches_choose_rows_counters_and_routes() {
    own_namespace!();
    let _four = TcpListener::bind("127.0.0.1:80").unwrap();
    let _six = TcpListener::bind("[::1]:81").unwrap();
    let has = |words: &str| {
        let out = stdout(words);
        (out.contains("127.0.0.1:80"), out.contains("[::1]:81"))
    };
    for (words, expected) in [
        ("-ln4", (true, false)),
        ("-4 -ln", (true, false)),
        ("-an6", (false, true)),
        ("-tlnp6", (false, true)),
        ("-ln46", (true, true)),
        ("-ln --ipv4", (true, false)),
        ("-ln -6 -p tcpv6", (false, true)),
    ] {
        assert_eq!(has(words), expected, "{words}");
    }
    let statistics = stdout("-s4");
    assert!(
        statistics.contains("IPv4 Statistics") && !statistics.contains("IPv6 Statistics"),
        "{statistics}"
    );
    let routes = stdout("-rn6");
    assert!(
        routes.contains("IPv6 Route Table") && !routes.contains("IPv4 Route Table"),
        "{routes}"
    );
    let refused = netstat().run(["-an", "-p", "tcp", "-6"]);
    assert_eq!(
        refused.refusal(),
        "netstat: -p tcp means IPv4 only and -6 IPv6 only; for both families: -t, -u or -w"
    );
}

#[test]
fn letters_w_and_x_choose_raw_and_unix_sockets() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let path = path.to_str().unwrap();
    assert!(stdout("-xan").contains(path));
    assert!(!stdout("-tan").contains(path));
    assert_eq!(stdout("-wan"), stdout("-an -p raw -p raw6"));
}

#[test]
fn tree_shows_sockets_under_their_process_and_its_parents() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let tree = stdout("-ln --tree");
    let lines: Vec<&str> = tree.lines().collect();
    let own = std::process::id();
    let process = lines.iter().position(|line| line.contains(&format!(" {own}")));
    let socket = lines.iter().position(|line| line.contains("TCP   127.0.0.1:80"));
    let (Some(process), Some(socket)) = (process, socket) else {
        panic!("{tree}");
    };
    assert!(process < socket, "{tree}");
    let indent = |line: &str| line.chars().take_while(|c| " │├└─".contains(*c)).count();
    assert!(indent(lines[process]) < indent(lines[socket]), "{tree}");
    assert!(
        netstat()
            .run(["-ln", "--tree", "--json"])
            .refusal()
            .contains("leave out --json")
    );
}

/// Starts a list that repeats every second, to be read line by line.
fn repeating(words: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = netstat()
        .command(words.split(' '))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(|line| line.unwrap()))
}

/// Returns the bytes that correspond to the rates of rows with `port`. Calls `send` after the first print with the socket,
/// and reads until the traffic has been seen and has stopped.
fn bytes_of(lines: &mut impl Iterator<Item = String>, port: u16, send: impl FnOnce()) -> f64 {
    let mut send = Some(send);
    let (mut sum, mut last, mut quiet) = (0.0, None, 0);
    for line in lines {
        let fields: Vec<&str> = line.trim_end().split(',').collect();
        let [time, local, sent] = fields[..] else { continue };
        if local != port.to_string() {
            continue;
        }
        let time = seconds(time);
        if let (Some(last), Ok(rate)) = (last, sent.parse::<f64>()) {
            sum += rate * (time - last);
            quiet = if rate == 0.0 { quiet + 1 } else { 0 };
        }
        last = Some(time);
        if let Some(send) = send.take() {
            send();
        } else if sum > 0.0 && quiet > 0 {
            break;
        }
    }
    sum
}

/// Returns the seconds of the day of `2026-11-23T22:30:00.123Z`.
fn seconds(time: &str) -> f64 {
    let clock = time.trim_end_matches('Z').split_once('T').unwrap().1;
    clock
        .split(':')
        .fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

#[test]
fn rates_of_tcp_add_up_to_what_was_sent() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let drain = std::thread::spawn(move || std::io::copy(&mut server, &mut std::io::sink()).unwrap());
    let port = client.local_addr().unwrap().port();
    let (mut child, mut lines) = repeating("-n --columns local_port,sent_rate --csv 1");
    const SENT: usize = 3_000_000;
    let sum = bytes_of(&mut lines, port, || client.write_all(&vec![1; SENT]).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    let error = (sum - SENT as f64).abs() / SENT as f64;
    assert!(error < 0.02, "{sum} of {SENT}");
    drop(client);
    assert_eq!(drain.join().unwrap(), SENT as u64);
}

#[test]
fn rates_of_udp_add_up_to_what_was_sent() {
    own_namespace!();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    // The socket is used before, so that the watch knows it.
    client.send(b"x").unwrap();
    let port = client.local_addr().unwrap().port();
    let first = netstat().run(["-un", "--columns", "local_port,sent_rate", "--csv", "1", "--count", "1"]);
    if first.stderr.contains("rates of UDP are unknown") {
        return skip("rates_of_udp_add_up_to_what_was_sent", first.stderr.trim());
    }
    const PACKETS: usize = 2_000;
    const SIZE: usize = 1_000;
    for _ in 0..8 {
        let words = "-un --columns local_port,sent_rate --csv 1";
        let mut command = netstat().command(words.split(' '));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(|line| line.unwrap());
        let sum = bytes_of(&mut lines, port, || {
            for _ in 0..PACKETS {
                client.send(&[1; SIZE]).unwrap();
            }
        });
        child.kill().unwrap();
        let notes = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        let sent = (PACKETS * SIZE) as f64;
        if (sum - sent).abs() / sent < 0.02 {
            return;
        }
        // A smaller sum is only acceptable with the corresponding note.
        assert!(
            sum < sent && notes.contains("may be too low"),
            "{sum} of {sent}: {notes}"
        );
    }
    skip(
        "rates_of_udp_add_up_to_what_was_sent",
        "this computer is too busy to count every packet",
    );
}

#[test]
fn rates_without_an_interval_are_unknown_and_explained() {
    own_namespace!();
    let listed = netstat().run(["-n", "--columns", "sent_rate"]);
    listed.success();
    assert!(listed.stderr.contains("need an interval"), "{listed:?}");
}

#[test]
fn asked_name_is_shown_with_the_address() {
    own_namespace!();
    dns::serve_address(Ipv4Addr::new(127, 0, 0, 77)).unwrap();
    let listener = TcpListener::bind("127.0.0.77:80").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut child, mut lines) = repeating("-n --columns foreign,asked_name --csv 1");
    let mut row = || {
        let found = lines.find(|line| line.contains("127.0.0.77:80"));
        found.expect("a row").trim_end().to_owned()
    };
    // The name has not been seen yet.
    assert!(row().ends_with("127.0.0.77:80,"));
    dns::ask_for("Files.example.org").unwrap();
    let named = (0..20).map(|_| row()).find(|row| row.ends_with(",files.example.org"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(named.is_some());
}

#[test]
fn country_and_autonomous_system_come_from_the_named_database() {
    own_namespace!();
    let loopback = netstat_testkit::netlink::index_of("lo").unwrap();
    netstat_testkit::netlink::add_address(loopback, "198.51.100.7".parse().unwrap(), 32).unwrap();
    let listener = TcpListener::bind("198.51.100.7:443").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.mmdb");
    let text = |text: &str| Field::Text(text.to_owned());
    let record = Field::Map(vec![
        ("country", Field::Map(vec![("iso_code", text("DE"))])),
        ("autonomous_system_number", Field::Number(64_500)),
        ("autonomous_system_organization", text("Example \u{1b}[2J")),
    ]);
    let networks = [(Ipv4Addr::new(198, 51, 100, 0), 24, record)];
    std::fs::write(&file, mmdb::database("Test", &networks)).unwrap();
    let file = file.to_str().unwrap();
    let columns = "--columns foreign_port,country,as_number,as_name --csv";
    let out = stdout(&format!("-n --mmdb {file} {columns}"));
    let row = "\r\n443,DE,64500,Example \\e[2J\r\n";
    assert!(out.contains(row), "{out:?}");
    assert!(stdout(&format!("-n --mmdb {file} --country de --as AS64500 {columns}")).contains(row));
    for filter in ["--country FR", "--as 64501"] {
        assert!(
            !stdout(&format!("-n --mmdb {file} {filter} {columns}")).contains("443,"),
            "{filter}"
        );
    }
    let refused = netstat().run(["-n", "--mmdb", "/nowhere.mmdb", "--columns", "country"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("/nowhere.mmdb"), "{}", refused.stderr);
    let wrong = netstat().run(["-n", "--country", "Germany"]);
    assert!(wrong.refusal().contains("no code of a country"), "{wrong:?}");
}

#[test]
fn default_switches_and_aliases_apply_only_where_requested() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("netstat");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(
        folder.join("config.toml"),
        "options = \"-l\"\n[alias]\nweb = \"-an --port 80\"\n",
    )
    .unwrap();
    let run = |words: &[&str], options: &str| {
        let mut command = netstat().command(words);
        command
            .env("XDG_CONFIG_HOME", home.path())
            .env("NETSTAT_OPTIONS", options);
        let out = command.output().unwrap();
        (
            String::from_utf8(out.stdout).unwrap(),
            String::from_utf8(out.stderr).unwrap(),
        )
    };
    // Standard output is a pipe, so a script gets only what it asks for.
    assert!(!run(&["-n"], "--csv").0.contains("127.0.0.1:80"));
    assert!(run(&["web"], "").1.contains("unknown word \"web\""));
    assert!(run(&["-n", "--defaults"], "").0.contains("127.0.0.1:80"));
    assert!(run(&["web", "--defaults"], "").0.contains("LISTENING"));
    assert!(run(&["-n", "--defaults"], "--csv").0.starts_with("protocol,"));
    let (_, error) = run(&["-n", "--defaults"], "--nonsense");
    assert!(
        error.contains("default switches") && error.contains("--nonsense"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn interval_on_a_terminal_prints_in_place() {
    own_namespace!();
    if !have("script") {
        return;
    }
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let on_terminal = |words: &str| {
        let line = format!("{} {words}", env!("CARGO_BIN_EXE_netstat"));
        let mut command = Command::new("script");
        command
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env_remove("NO_COLOR");
        let out = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let in_place = on_terminal("-ln 1 --count 2");
    assert_eq!(in_place.matches("\u{1b}[H").count(), 2, "{in_place:?}");
    assert_eq!(in_place.matches("\u{1b}[2J").count(), 1, "{in_place:?}");
    assert!(!on_terminal("-ln 1 --count 2 --scroll").contains("\u{1b}[H"));
}

#[test]
fn interval_to_a_pipe_appends_prints_without_escapes() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let mut text = String::new();
    let mut child = netstat()
        .command(["-ln", "1", "--count", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(text.matches("127.0.0.1:80").count(), 2, "{text}");
}
