//! `netstat inspect` with real sockets and processes: every form of target, the facts of a card compared with `/proc`
//! and other programs, what is reported if something may not be seen, and bundles.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use netstat_testkit::actors::Actor;
use netstat_testkit::namespace::{eventually, have, real_root, tool};
use netstat_testkit::{Needs, Netstat, Outcome, own_namespace, skip};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Runs `netstat inspect` without a sampling interval.
fn inspect(words: &[&str]) -> Outcome {
    netstat().run([&["inspect", "--sample", "0"], words].concat())
}

#[track_caller]
fn json(words: &[&str]) -> Value {
    let outcome = inspect(&[&["--json"], words].concat());
    let document = serde_json::from_str(outcome.success()).unwrap();
    valid("inspect", &document);
    document
}

/// Validates `value` against a published schema.
#[track_caller]
fn valid(schema: &str, value: &Value) {
    let path = format!("{}/../../docs/schema/netstat.{schema}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{error} at {}", error.instance_path))
        .collect();
    assert_eq!(errors, [""; 0], "{value:#}");
}

/// Returns the only card for `word`.
#[track_caller]
fn card(word: &str) -> Value {
    let document = json(&[word]);
    let cards = document["cards"].as_array().unwrap();
    assert_eq!(cards.len(), 1, "{word}: {document:#}");
    cards[0].clone()
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `command`, and waits until it has executed another program and sleeps.
fn start(command: &mut Command) -> Running {
    let running = Running(command.spawn().unwrap());
    let pid = running.0.id();
    let own = fs::read_link("/proc/self/exe").unwrap();
    eventually(
        || {
            let exe = fs::read_link(format!("/proc/{pid}/exe"));
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            exe.is_ok_and(|exe| exe != own) && stat.contains(") S ")
        },
        || format!("{pid} did not come up"),
    );
    running
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn target_in_every_form_finds_the_holder() {
    own_namespace!(Needs::PROCESSES);
    let listener = TcpListener::bind("127.0.0.9:0").unwrap();
    let at = listener.local_addr().unwrap();
    let holder = Actor::named("waiter").hold(listener);
    let (pid, port) = (holder.pid(), at.port());
    let path = holder.program().to_str().unwrap().to_owned();
    for word in [
        format!("{port}"),
        format!(":{port}"),
        format!("tcp:{port}"),
        format!("TCP:{port}"),
        format!("port:{port}"),
        format!("pid:{pid}"),
        "127.0.0.9".to_owned(),
        "127.0.0.8/30".to_owned(),
        "::ffff:127.0.0.9".to_owned(),
        format!("127.0.0.9:{port}"),
        "waiter".to_owned(),
        "WAIT?r".to_owned(),
        "program:waiter".to_owned(),
        path,
    ] {
        let card = card(&word);
        assert_eq!(card["process"]["pid"], pid, "{word}");
        assert_eq!(card["sockets"][0]["local"]["port"], port, "{word}");
        assert_eq!(card["sockets"][0]["state"], "LISTENING", "{word}");
        assert_eq!(card["targets"][0], word.as_str());
    }
    let outcome = inspect(&[&format!("udp:{port}")]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:#?}");
}

#[test]
fn connection_target_is_found_from_either_end() {
    own_namespace!(Needs::PROCESSES);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, from) = listener.accept().unwrap();
    let to = listener.local_addr().unwrap();
    let near = Actor::named("near").hold(client);
    let far = Actor::named("far").hold(server);
    drop(listener);
    for word in [format!("{from}->{to}"), format!("{to} -> {from}")] {
        let document = json(&[&word]);
        let mut pids: Vec<u64> = document["cards"]
            .as_array()
            .unwrap()
            .iter()
            .map(|card| card["process"]["pid"].as_u64().unwrap())
            .collect();
        pids.sort_unstable();
        let mut expected = [u64::from(near.pid()), u64::from(far.pid())];
        expected.sort_unstable();
        assert_eq!(pids, expected, "{word}: both ends are on this computer");
    }
}

#[test]
fn number_that_is_port_and_process_shows_both_and_says_so() {
    own_namespace!(Needs::PROCESSES);
    let running = start(Command::new("sleep").arg("600"));
    let pid = u16::try_from(running.0.id()).unwrap();
    // A port below 1024 can be bound in a user namespace or as root.
    let Ok(socket) = UdpSocket::bind(("127.0.0.1", pid)) else {
        skip("a port by number", "it is taken");
        return;
    };
    let holder = Actor::named("holder").hold(socket);
    let outcome = inspect(&["--json", &pid.to_string()]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    let pids: Vec<&Value> = document["cards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| &card["process"]["pid"])
        .collect();
    assert_eq!(pids, [holder.pid(), u32::from(pid)]);
    let said = format!("netstat: \"{pid}\": both a port and a process: tcp:{pid} or pid:{pid} means one of them\n");
    assert!(outcome.stderr.contains(&said), "{outcome:#?}");
}

#[test]
fn host_name_target_is_looked_up_only_when_nothing_else_matches() {
    own_namespace!(Needs::PROCESSES);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let holder = Actor::named("waiter").hold(listener);
    let card = card("localhost");
    assert_eq!(card["process"]["pid"], holder.pid());
    let document = json(&["host:localhost"]);
    let remark = document["targets"][0]["remarks"][0].as_str().unwrap();
    assert!(
        remark.starts_with("the host has the address ") && remark.contains("127.0.0.1"),
        "{remark}"
    );
    let _named = Actor::named("localhost").hold(TcpListener::bind("127.0.0.1:0").unwrap());
    let outcome = inspect(&["localhost"]);
    assert!(outcome.success().starts_with("localhost ["), "{outcome:#?}");
}

#[test]
fn process_facts_agree_with_proc() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let directory = fs::canonicalize(directory.path()).unwrap();
    let running = start(
        Command::new("sleep")
            .args(["600", "0"])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let pid = running.0.id();
    let card = card(&format!("pid:{pid}"));
    let process = &card["process"];
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let words: Vec<String> = read("cmdline")
        .trim_end_matches('\0')
        .split('\0')
        .map(str::to_owned)
        .collect();
    assert_eq!(process["arguments"], Value::from(words));
    assert_eq!(process["name"], read("comm").trim_end());
    assert_eq!(process["directory"], directory.to_str().unwrap());
    assert_eq!(process["ancestors"][0]["pid"], std::process::id());
    assert_eq!(process["parent"], std::process::id());
    let status = read("status");
    let line = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    let uid: u32 = line("Uid:").split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(process["user_ids"]["real"], uid);
    let effective = u64::from_str_radix(&line("CapEff:"), 16).unwrap();
    assert_eq!(
        process["capabilities"].as_array().unwrap().len(),
        effective.count_ones() as usize
    );
    assert_eq!(process["tracer"], Value::Null);
    assert_eq!(process["unknown"].get("tracer"), None, "known to be none");
    assert_eq!(process["descriptors"]["standard_input"]["path"], "/dev/null");
    assert_eq!(process["descriptors"]["standard_output"]["kind"], "pipe");
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert_eq!(process["descriptors"]["count"], open);
    assert_eq!(card["usage"]["descriptors"], open);
    let network = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let inode = process["namespaces"]["network"]["inode"].as_u64().unwrap();
    assert_eq!(network.to_str().unwrap(), format!("net:[{inode}]"));
    assert_eq!(process["namespaces"]["network"]["ours"], true);

    // The text output has the same facts.
    let outcome = inspect(&[&format!("pid:{pid}")]);
    let text = outcome.success();
    assert!(text.starts_with(&format!("sleep [{pid}]")), "{text}");
    for piece in [
        "\ncommand    sleep 600 0\n",
        &format!("\ndirectory  {}", directory.display()),
        "no debugger attached",
        "socket     it holds no Internet socket\n",
    ] {
        assert!(text.contains(piece), "{piece:?} in {text}");
    }
}

#[test]
fn program_file_shown_is_the_running_one() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("worker");
    fs::copy(fs::canonicalize("/bin/sleep").unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o757)).unwrap();
    let content = fs::read(&copy).unwrap();
    let running = start(Command::new(&copy).arg("600"));
    let word = format!("pid:{}", running.0.id());
    let file = &card(&word)["file"];
    let meta = fs::metadata(&copy).unwrap();
    assert_eq!(file["path"], copy.to_str().unwrap());
    assert_eq!(file["place"], "there");
    assert_eq!((&file["size"], &file["mode"]), (&meta.size().into(), &"0757".into()));
    assert_eq!(file["sha256"], sha256(&content));
    let text = inspect(&[&word]).stdout;
    assert!(text.contains("rwxr-xrwx, WRITABLE BY ANYONE"), "{text}");

    fs::write(directory.path().join("other"), "another").unwrap();
    fs::rename(directory.path().join("other"), &copy).unwrap();
    let file = &card(&word)["file"];
    assert_eq!(
        (&file["place"], &file["sha256"]),
        (&"replaced".into(), &sha256(&content).into())
    );
    fs::remove_file(&copy).unwrap();
    let file = &card(&word)["file"];
    assert_eq!(
        (&file["place"], &file["sha256"]),
        (&"removed".into(), &sha256(&content).into())
    );
    let text = inspect(&[&word]).stdout;
    assert!(text.contains("REMOVED since it was started"), "{text}");
    assert!(text.contains(&format!("cp /proc/{}/exe ", running.0.id())), "{text}");
}

#[test]
fn package_shown_is_the_one_dpkg_names() {
    own_namespace!(Needs::PROCESSES);
    if !have("dpkg") {
        return;
    }
    let sleep = fs::canonicalize("/bin/sleep").unwrap();
    let search = |path: &Path| {
        let output = tool("dpkg").arg("-S").arg(path).output().unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    };
    // The database may have the path from before the directories were merged.
    let Some(line) = search(&sleep).or_else(|| search(Path::new("/bin/sleep"))) else {
        skip("packages", "dpkg does not know sleep");
        return;
    };
    let package = line.split(':').next().unwrap();
    let running = start(Command::new(&sleep).arg("600"));
    let card = card(&format!("pid:{}", running.0.id()));
    assert_eq!(card["file"]["package"]["name"], package);
    assert_eq!(card["file"]["matches_package"], true);
}

#[test]
fn interpreter_is_shown_with_its_script() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("app.sh");
    fs::write(&script, "read line\n").unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-e", "app.sh", "word"])
        .current_dir(directory.path())
        .stdin(Stdio::piped());
    let running = Running(command.spawn().unwrap());
    let pid = running.0.id();
    // When it waits for input, it has read the script.
    eventually(
        || {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .unwrap_or_default()
                .contains("app.sh")
        },
        || "no script".to_owned(),
    );
    let card = card("app.sh");
    assert_eq!(card["process"]["pid"], pid);
    assert_eq!(card["script"]["path"], "app.sh");
    assert_eq!(card["script"]["sha256"], sha256(b"read line\n"));
    let text = inspect(&[&format!("pid:{pid}")]).stdout;
    assert!(text.starts_with("app.sh run by "), "{text}");
    fs::remove_file(&script).unwrap();
    let text = inspect(&[&format!("pid:{pid}")]).stdout;
    assert!(text.contains("no file stands there now"), "{text}");
}

#[test]
fn connection_traffic_is_counted_with_its_rate() {
    own_namespace!(Needs::PROCESSES);
    const PIECE: usize = 100_000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, from) = listener.accept().unwrap();
    client.write_all(&[1; PIECE]).unwrap();
    server.read_exact(&mut [0; PIECE]).unwrap();
    let word = format!("{}->{from}", listener.local_addr().unwrap());
    let one = &json(&[&word])["cards"][0]["sockets"];
    let find = |sockets: &Value, port: u16| {
        let all = sockets.as_array().unwrap();
        all.iter()
            .find(|socket| socket["local"]["port"] == port)
            .unwrap()
            .clone()
    };
    let receiving = find(one, listener.local_addr().unwrap().port());
    assert_eq!(receiving["bytes_received"], PIECE);
    assert_eq!(receiving["bytes_received_per_second"], Value::Null);
    assert_eq!(receiving["unknown"]["bytes_received_per_second"], "not asked for");
    assert!(receiving["round_trip_microseconds"].as_u64().is_some());

    // There is traffic as long as the program samples.
    let writer = std::thread::spawn(move || {
        while client.write_all(&[2; PIECE]).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // However long the sampling takes.
    let looked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let until = std::sync::Arc::clone(&looked);
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while !until.load(std::sync::atomic::Ordering::Relaxed) && server.read(&mut buffer).is_ok() {}
    });
    let outcome = netstat().run(["inspect", "--json", "--sample", "1", &word]);
    looked.store(true, std::sync::atomic::Ordering::Relaxed);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    let card = &document["cards"][0];
    let receiving = find(&card["sockets"], listener.local_addr().unwrap().port());
    let rate = receiving["bytes_received_per_second"].as_f64().unwrap();
    assert!(rate >= PIECE as f64, "{rate}");
    assert!(card["usage"]["tcp_received_bytes_per_second"].as_f64().unwrap() >= rate);
    assert!(card["usage"]["seconds"].as_f64().unwrap() >= 1.0);
    assert!(card["usage"]["processors"].as_f64().is_some());
    reader.join().unwrap();
    writer.join().unwrap();
}

#[test]
fn reach_of_a_port_depends_on_its_bound_address() {
    own_namespace!(Needs::PROCESSES);
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let all = TcpListener::bind("0.0.0.0:0").unwrap();
    let reach = |listener: &TcpListener| {
        let port = listener.local_addr().unwrap().port();
        let document = json(&[&format!("tcp:{port}")]);
        let all = document["cards"][0]["reach"].as_array().unwrap().clone();
        all.into_iter().find(|reach| reach["port"] == port).unwrap()
    };
    assert_eq!(reach(&here)["from"], "here");
    let found = reach(&all);
    assert_eq!(
        (found["from"].as_str(), found["words"].as_str()),
        (
            Some("here"),
            Some("this computer only: it has no address beyond loopback now")
        )
    );
    if !have("ip") {
        return;
    }
    let ip = |words: &str| tool("ip").args(words.split(' ')).status().unwrap().success();
    if !ip("link add near type veth peer name far") {
        skip("reach through an interface", "no veth links here");
        return;
    }
    assert!(ip("link set near up") && ip("address add 192.168.77.5/24 dev near"));
    let found = reach(&all);
    assert_eq!(found["from"], "networks");
    assert!(
        found["words"].as_str().unwrap().starts_with("192.168.77.0/24 (near);"),
        "{found}"
    );
    assert!(ip("address add 203.0.113.7/28 dev near"));
    let found = reach(&all);
    assert_eq!(
        (found["from"].as_str(), found["words"].as_str()),
        (
            Some("anywhere"),
            Some("anywhere: near has the public address 203.0.113.7")
        )
    );
    assert_eq!(reach(&here)["from"], "here");
}

#[test]
fn packet_filters_agree_with_nft() {
    own_namespace!(Needs::PROCESSES);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let word = format!("tcp:{}", listener.local_addr().unwrap().port());
    let filter = json(&[&word])["packet_filter"].clone();
    // The creator of the namespace may read its rules; what a kernel without nftables reports is another matter.
    if filter["nftables"].is_null() {
        skip("packet filters", filter["unknown"]["nftables"].as_str().unwrap());
        return;
    }
    assert_eq!(filter["nftables"], Value::Array(Vec::new()));
    if !have("nft") {
        return;
    }
    let rules = "table inet guard { chain in { type filter hook input priority -5; policy drop; tcp dport 1 accept; \
                 tcp dport 2 accept; } ; chain helper { accept; } ; chain out { type filter hook output priority 0; } ; }";
    if !tool("nft").arg(rules).status().unwrap().success() {
        skip("packet filters", "nft refuses rules here");
        return;
    }
    let filter = json(&[&word])["packet_filter"].clone();
    let expected = serde_json::json!([{
        "family": "inet", "table": "guard", "name": "in", "kind": "filter", "hook": "input", "priority": -5, "drops": true, "rules": 2
    }]);
    assert_eq!(filter["nftables"], expected);
    if have("ip") {
        let ip = |words: &str| tool("ip").args(words.split(' ')).status().unwrap().success();
        if ip("link add near type veth peer name far") {
            assert!(ip("link set near up") && ip("address add 192.168.77.5/24 dev near"));
            let text = inspect(&[&word]).stdout;
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                line.contains("nftables inet guard in (drops what its 2 rules do not let in)"),
                "{text}"
            );
        }
    }
}

#[test]
fn verdict_agrees_with_the_audit_rules() {
    own_namespace!(Needs::PROCESSES);
    // A packaged program is expected; a nameless copy of it in a temporary directory is not.
    if have("dpkg") {
        let running = start(Command::new("sleep").arg("600"));
        let word = format!("pid:{}", running.0.id());
        assert_eq!(card(&word)["verdict"]["judgement"], "expected");
        let text = inspect(&[&word]).stdout;
        assert!(
            text.contains("\nverdict    expected: nothing unusual was found;"),
            "{text}"
        );
    }
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let copy = directory.path().join("worker");
    fs::copy(fs::canonicalize("/bin/sleep").unwrap(), &copy).unwrap();
    let running = start(Command::new(&copy).arg("600"));
    fs::remove_file(&copy).unwrap();
    let word = format!("pid:{}", running.0.id());
    let verdict = &card(&word)["verdict"];
    assert_ne!(verdict["judgement"], "expected");
    let rules: Vec<&str> = verdict["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect();
    assert!(
        rules.contains(&"deleted-program") && rules.contains(&"odd-place"),
        "{rules:?}"
    );
    assert!(!verdict["would_change"].as_array().unwrap().is_empty());
    let text = inspect(&[&word]).stdout;
    for piece in [
        "runs from a file that was removed",
        "ATT&CK T1070.004",
        "- see it: ",
        "- harmless if: ",
        "\nchanges it ",
    ] {
        assert!(text.contains(piece), "{piece:?} in {text}");
    }
}

#[test]
fn socket_without_a_process_says_why() {
    own_namespace!(Needs::PROCESSES);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let at = client.local_addr().unwrap();
    // The side that closes first remains in TIME_WAIT.
    drop(client);
    let (mut server, _) = listener.accept().unwrap();
    server.read_to_end(&mut Vec::new()).unwrap();
    drop(server);
    drop(listener);
    eventually(
        || {
            inspect(&["--json", &format!("tcp:{}", at.port())])
                .stdout
                .contains("TIME_WAIT")
        },
        || "no TIME_WAIT".to_owned(),
    );
    let card = card(&format!("tcp:{}", at.port()));
    assert_eq!(card["process"], Value::Null);
    assert_eq!(card["no_process"]["why"], "in TIME_WAIT");
    let text = inspect(&[&format!("tcp:{}", at.port())]).stdout;
    assert!(text.contains("process    not known: in TIME_WAIT\n"), "{text}");
}

#[test]
fn facts_not_permitted_are_named_with_their_reason() {
    own_namespace!(Needs::PROCESSES);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let holder = Actor::named("holder").hold(listener);
    let word = format!("pid:{}", holder.pid());
    let outcome = netstat()
        .unprivileged()
        .run(["inspect", "--sample", "0", "--json", &word]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    let card = &document["cards"][0];
    assert_eq!(card["process"]["pid"], holder.pid());
    assert_eq!(card["file"]["path"], Value::Null);
    assert_eq!(card["file"]["unknown"]["path"], "not permitted");
    assert_eq!(card["process"]["unknown"]["directory"], "not permitted");
    assert_eq!(card["process"]["unknown"]["descriptors"], "not permitted");
    let unseen = card["not_seen"].as_array().unwrap();
    assert!(
        unseen.iter().any(|entry| entry["what"] == "its program file"),
        "{unseen:?}"
    );
    // The text output says so, too.
    let text = netstat().unprivileged().run(["inspect", "--sample", "0", &word]).stdout;
    assert!(text.contains("file       unknown: not permitted\n"), "{text}");
    // Not being able to see sockets is different from having none.
    assert!(
        text.contains("\nsocket     which sockets it holds is unknown: not permitted\n"),
        "{text}"
    );
    // In a user namespace the program runs as root without capabilities, for whom sudo is of no use.
    if real_root() {
        assert!(text.contains("next       see more of it "), "{text}");
    }
    assert!(text.contains("\nunchecked  "), "{text}");
}

#[test]
fn process_in_another_network_namespace_is_shown_as_such() {
    own_namespace!(Needs::PROCESSES);
    if !real_root() || !have("unshare") {
        skip("another network namespace", "needs root");
        return;
    }
    let running = start(Command::new("unshare").args(["--net", "sleep", "600"]));
    let pid = running.0.id();
    let process = &card(&format!("pid:{pid}"))["process"];
    assert_eq!(process["namespaces"]["network"]["ours"], false);
    assert_eq!(process["namespaces"]["mount"]["ours"], true);
    let text = inspect(&[&format!("pid:{pid}")]).stdout;
    assert!(text.contains("namespaces of its own for network"), "{text}");
}

#[test]
fn target_not_found_is_said_with_similar_names() {
    own_namespace!(Needs::PROCESSES);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let holder = Actor::named("waiter").hold(listener);
    let other = if port % 10 == 9 { port - 1 } else { port + 1 };
    let outcome = inspect(&[&format!("tcp:{other}"), "waitre", "203.0.113.9"]);
    assert_eq!(outcome.status.code(), Some(1));
    // The only similar name is shown, along with what was asked for.
    assert!(outcome.stdout.starts_with("waiter ["), "{outcome:#?}");
    // Whether NAT rules can be read depends on the machine; if they cannot, a separate line says so.
    let lines: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| !line.contains("hands the port on may be unknown"))
        .collect();
    let expected = [
        format!(
            "netstat: \"tcp:{other}\": nothing found: no TCP port {other} in sight; near: port {port} of waiter [{}]",
            holder.pid()
        ),
        "netstat: \"waitre\": nothing found: no program, unit, container or host waitre in sight; near: waiter; the only \
         similar name is waiter: shown instead"
            .to_owned(),
        "netstat: \"203.0.113.9\": nothing found: no address 203.0.113.9 in sight".to_owned(),
    ];
    assert_eq!(lines.get(..3), Some(&expected.each_ref().map(String::as_str)[..]));
    // Matches are shown even if another target matches nothing.
    let outcome = inspect(&["waiter", "203.0.113.9"]);
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.stdout.starts_with("waiter ["), "{outcome:#?}");
}

#[test]
fn wrong_words_are_refused() {
    for (words, named) in [
        (&["inspect"][..], "TARGET"),
        (&["inspect", "pid:x"], "pid:x"),
        (&["inspect", "0"], "\"0\""),
        (&["inspect", "1.2.3.4->5.6.7.8"], "->"),
        (&["inspect", "--sample", "-1", "22"], "-1"),
        (&["inspect", "--sample", "x", "22"], "x"),
        (&["inspect", "--sample", "1e9", "22"], "1e9"),
        (&["inspect", "--redact", "22"], "--redact"),
        (&["inspect", "--nonsense", "22"], "--nonsense"),
    ] {
        let outcome = netstat().run(words);
        assert!(outcome.refusal().contains(named), "{words:?}: {outcome:#?}");
    }
}

#[test]
fn card_lines_fit_the_screen_and_escape_hostile_names() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("evil\x1b[2J\u{202e}name");
    fs::copy(fs::canonicalize("/bin/sleep").unwrap(), &copy).unwrap();
    let running = start(Command::new(&copy).args(["600", "0"]).arg("0".repeat(3000)));
    let outcome = inspect(&[&format!("pid:{}", running.0.id())]);
    let text = outcome.success();
    assert!(text.contains("evil\\e[2J\\u{202e}name ["), "{text}");
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
    for line in text.lines().take_while(|line| !line.starts_with("next ")) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

/// Unpacks a bundle below `into`, compares every member with the manifest, and returns the manifest.
fn unpack(bundle: &Path, into: &Path) -> Value {
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    archive.unpack(into).unwrap();
    let manifest: Value = serde_json::from_slice(&fs::read(into.join("manifest.json")).unwrap()).unwrap();
    valid("bundle", &manifest);
    let members = manifest["members"].as_array().unwrap();
    for member in members {
        let content = fs::read(into.join(member["name"].as_str().unwrap())).unwrap();
        assert_eq!(member["size"], content.len());
        assert_eq!(member["sha256"], sha256(&content), "{member}");
    }
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    let names: Vec<PathBuf> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().into_owned())
        .collect();
    assert_eq!(names.len(), members.len() + 1, "nothing stands outside the manifest");
    assert_eq!(names.last().unwrap(), Path::new("manifest.json"));
    manifest
}

#[test]
fn bundle_keeps_program_and_facts_that_would_be_lost() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("worker");
    fs::copy(fs::canonicalize("/bin/sleep").unwrap(), &copy).unwrap();
    let content = fs::read(&copy).unwrap();
    let running = start(
        Command::new(&copy)
            .args(["600", "0"])
            .env_clear()
            .env("TOKEN", "hush-hush"),
    );
    fs::remove_file(&copy).unwrap();
    let pid = running.0.id();
    let word = format!("pid:{pid}");
    let bundle = directory.path().join("evidence.tar");
    let outcome = inspect(&[&word, "--bundle", bundle.to_str().unwrap()]);
    assert!(outcome.success().starts_with("worker ["), "{outcome:#?}");
    assert_eq!(fs::metadata(&bundle).unwrap().mode() & 0o7777, 0o600);
    let into = directory.path().join("whole");
    let manifest = unpack(&bundle, &into);
    assert_eq!(manifest["redacted"], false);
    assert_eq!(manifest["missing"], Value::Array(Vec::new()));
    let member = |name: &str| fs::read(into.join(pid.to_string()).join(name)).unwrap();
    assert!(
        member("exe") == content,
        "the running program, although its file is gone"
    );
    assert_eq!(member("environ"), b"TOKEN=hush-hush\0");
    assert_eq!(member("cmdline"), fs::read(format!("/proc/{pid}/cmdline")).unwrap());
    assert_eq!(member("maps"), fs::read(format!("/proc/{pid}/maps")).unwrap());
    let cards: Value = serde_json::from_slice(&fs::read(into.join("cards.json")).unwrap()).unwrap();
    assert_eq!(cards["cards"][0]["process"]["arguments"][1], "600");

    // Evidence is never overwritten.
    let before = fs::read(&bundle).unwrap();
    let outcome = inspect(&[&word, "--bundle", bundle.to_str().unwrap()]);
    assert_eq!(outcome.status.code(), Some(1));
    assert_eq!(
        outcome.stderr,
        format!(
            "netstat: {} is there already, and evidence is never overwritten\n",
            bundle.display()
        )
    );
    assert!(fs::read(&bundle).unwrap() == before);

    // Without values and arguments.
    let bundle = directory.path().join("public.tar");
    let outcome = inspect(&["--redact", &word, "--bundle", bundle.to_str().unwrap()]);
    outcome.success();
    let into = directory.path().join("public");
    let manifest = unpack(&bundle, &into);
    assert_eq!(manifest["redacted"], true);
    assert!(!into.join(pid.to_string()).exists(), "nothing of the process is copied");
    let missing = manifest["missing"].as_array().unwrap();
    let program = missing
        .iter()
        .find(|entry| entry["name"] == format!("{pid}/exe"))
        .unwrap();
    assert_eq!(program["sha256"], sha256(&content));
    let all = fs::read(&bundle).unwrap();
    assert!(!all.windows(9).any(|bytes| bytes == b"hush-hush"));
    let cards: Value = serde_json::from_slice(&fs::read(into.join("cards.json")).unwrap()).unwrap();
    assert_eq!(cards["cards"][0]["process"]["arguments"], Value::Null);
}

/// A process can name any file in its arguments.
#[test]
fn bundle_leaves_out_a_file_that_only_arguments_name() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "root:hush-hush").unwrap();
    let mut command = Command::new("python3");
    if !have("python3") {
        return;
    }
    let script = directory.path().join("script.py");
    let ready = directory.path().join("ready");
    fs::write(&script, "import sys, time\nopen(sys.argv[1], 'w')\ntime.sleep(600)\n").unwrap();
    let running = start(command.arg(&script).arg(&ready));
    let pid = running.0.id();
    eventually(|| ready.exists(), || "the script does not run".to_owned());
    // Python has read its script and closed it; now another file is at its path.
    fs::rename(&secret, &script).unwrap();
    let bundle = directory.path().join("evidence.tar");
    inspect(&[&format!("pid:{pid}"), "--bundle", bundle.to_str().unwrap()]).success();
    let into = directory.path().join("whole");
    let manifest = unpack(&bundle, &into);
    assert!(!fs::read(&bundle).unwrap().windows(9).any(|bytes| bytes == b"hush-hush"));
    let missing = manifest["missing"].as_array().unwrap();
    assert_eq!(missing[0]["name"], format!("{pid}/script"), "{manifest}");
    assert_eq!(
        missing[0]["why"],
        "the process does not have it open: only its arguments name it"
    );
}

#[test]
fn bundle_copies_a_script_that_the_shell_has_open() {
    own_namespace!(Needs::PROCESSES);
    if !have("bash") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script.sh");
    fs::write(&script, "read line\n").unwrap();
    let running = start(Command::new("bash").arg(&script).stdin(Stdio::piped()));
    let pid = running.0.id();
    eventually(
        || fs::read_link(format!("/proc/{pid}/fd/255")).is_ok_and(|path| path == script),
        || "bash did not open its script".to_owned(),
    );
    let bundle = directory.path().join("evidence.tar");
    inspect(&[&format!("pid:{pid}"), "--bundle", bundle.to_str().unwrap()]).success();
    let into = directory.path().join("whole");
    unpack(&bundle, &into);
    assert_eq!(fs::read(into.join(format!("{pid}/script"))).unwrap(), b"read line\n");
}

/// A program of a few kilobytes with an apparent size of three gigabytes.
#[test]
fn bundle_keeps_holes_of_a_sparse_program_and_limits_size() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("sparse");
    fs::copy(fs::canonicalize("/bin/sleep").unwrap(), &program).unwrap();
    let size = fs::metadata(&program).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&program)
        .unwrap()
        .set_len(300 << 20)
        .unwrap();
    let running = start(Command::new(&program).arg("600"));
    let pid = running.0.id();
    let bundle = directory.path().join("evidence.tar");
    inspect(&[&format!("pid:{pid}"), "--bundle", bundle.to_str().unwrap()]).success();
    let length = fs::metadata(&bundle).unwrap().len();
    assert!(length < size + (4 << 20), "{length} bytes");
    let mut archive = tar::Archive::new(fs::File::open(&bundle).unwrap());
    let name = format!("{pid}/exe");
    let entry = archive.entries().unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        (entry.path().unwrap() == Path::new(&name)).then_some(entry)
    });
    assert_eq!(entry.unwrap().size(), 300 << 20);
    drop(running);

    // Longer than anything that is copied.
    fs::OpenOptions::new()
        .write(true)
        .open(&program)
        .unwrap()
        .set_len(20 << 30)
        .unwrap();
    let running = start(Command::new(&program).arg("600"));
    let pid = running.0.id();
    let bundle = directory.path().join("limited.tar");
    inspect(&[&format!("pid:{pid}"), "--bundle", bundle.to_str().unwrap()]).success();
    assert!(fs::metadata(&bundle).unwrap().len() < 4 << 20);
    let manifest = unpack(&bundle, &directory.path().join("limited"));
    let missing = manifest["missing"].as_array().unwrap();
    let program = missing.iter().find(|entry| entry["name"] == format!("{pid}/exe"));
    assert_eq!(program.unwrap()["why"], "it is too large", "{manifest}");
}

#[test]
fn bundle_without_a_found_target_is_not_made() {
    own_namespace!();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("evidence.tar");
    let outcome = inspect(&["203.0.113.9", "--bundle", bundle.to_str().unwrap()]);
    assert_eq!(outcome.status.code(), Some(1));
    assert!(!bundle.exists());
    let outcome = inspect(&["pid:1", "--bundle", "/nonexistent/evidence.tar"]);
    assert_eq!(outcome.status.code(), Some(1));
    assert!(
        outcome.stderr.contains("/nonexistent/evidence.tar cannot be written"),
        "{outcome:#?}"
    );
}

/// A shell that is controlled over a connection is often not the process that opened it.
#[test]
fn holders_of_a_shared_socket_show_the_suspicious_one_first() {
    own_namespace!(Needs::PROCESSES);
    if !have("bash") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Opens the connection, passes it to a shell, and keeps a descriptor of it.
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo $$ >&3; sh -c 'echo $$; read x' <&3 >&3 2>&3; true");
    let mut opener = Command::new("bash");
    opener.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null());
    let _opener = Running(opener.spawn().unwrap());
    let (end, _) = listener.accept().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(&end));
    let mut pid = || lines.next().unwrap().unwrap().trim().parse::<u64>().unwrap();
    let (opener, shell) = (pid(), pid());
    let document = json(&[&format!("127.0.0.1:{}", end.peer_addr().unwrap().port())]);
    let cards = document["cards"].as_array().unwrap();
    let place = |pid: u64| cards.iter().position(|card| card["process"]["pid"] == pid);
    assert_eq!(place(shell), Some(0), "{document:#}");
    assert_eq!(cards[0]["verdict"]["judgement"], "suspicious");
    assert_eq!(cards[0]["sockets"][0]["foreign"]["port"], port);
    assert!(place(opener).is_some(), "{document:#}");
}
