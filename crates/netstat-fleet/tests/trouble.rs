//! An engine in trouble, and one that does not answer whole: nothing that a record has is lost, and the reason is said in one sentence.
//!
//! `NETSTAT_FLEET_ENGINE` is the command that runs an engine; it is given a folder and a port (`.ci/fleet` sets it).
#![cfg(target_os = "linux")]

mod kit;

use std::fs;
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kit::{Engine, agent, assert_whole, free_port, wait};
use netstat_fleet::ddl::{self, Layout};
use netstat_fleet::{Address, FleetStore, host_id};
use netstat_record::{FlowStore, Question};

/// Starts an agent whose reports are kept.
fn heard(mut command: Command) -> (Child, ChildStderr) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let said = child.stderr.take().unwrap();
    (child, said)
}

/// Reads what the agent reports until these words are in it.
#[track_caller]
fn hears(said: &mut ChildStderr, words: &str) {
    let (mut text, mut byte) = (Vec::new(), [0; 1]);
    while !String::from_utf8_lossy(&text).contains(words) {
        let count = said.read(&mut byte).unwrap();
        assert_ne!(count, 0, "{words}: {}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
}

/// Lets the agent come to its end, with nobody listening any more.
#[track_caller]
fn ends(child: Child, mut said: ChildStderr) {
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    assert!(wait(child, Duration::from_secs(200)));
}

#[test]
fn engine_with_a_full_disk_gets_everything_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A small file system, in a mount namespace of the engine's own.
    let mount = "mount -t tmpfs -o size=48m tmpfs \"$0\" && exec \"$@\"";
    let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
    let mut trial = Command::new(unshare[0]);
    trial
        .args(&unshare[1..])
        .args(["sh", "-c", mount])
        .arg(&disk)
        .arg("true");
    let tried = trial.stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        netstat_testkit::skip("", "no mount namespace may be made here");
        return;
    }
    let disk_text = disk.display().to_string();
    let before: Vec<&str> = unshare.iter().copied().chain(["sh", "-c", mount, &disk_text]).collect();
    let Some(engine) = Engine::start_with(&before, &disk.join("engine"), Vec::new()) else {
        return;
    };
    engine.make_tables();
    let within = Path::new("/proc").join(engine.pid().to_string()).join("root");
    let ballast = within.join(disk.strip_prefix("/").unwrap()).join("ballast");
    fill(&ballast);
    let store = folder.path().join("record.db");
    let (child, mut said) = heard(agent(&store, &engine.address(), "full", 20_000, &[]));
    hears(&mut said, "no room on the engine's disk");
    fs::remove_file(&ballast).unwrap();
    ends(child, said);
    assert_whole(&engine, &store, "full", 20_000);
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Passes requests on to `port`. While `holds`, an answer is held back for a moment and then the connection is closed: the engine has the
/// rows, and whoever sent them does not know.
fn holding_proxy(port: u16, holds: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                continue;
            };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let holds = Arc::clone(&holds);
            std::thread::spawn(move || {
                let (mut server, mut client) = (server, client);
                let mut buffer = [0; 4096];
                while let Ok(count) = server.read(&mut buffer) {
                    if holds.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(500));
                        break;
                    }
                    let sent = std::io::Write::write_all(&mut client, &buffer[..count]);
                    if count == 0 || sent.is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    own
}

#[test]
fn engine_that_is_slow_and_whose_answers_are_lost_has_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::start(folder.path()) else {
        return;
    };
    engine.make_tables();
    let holds = Arc::new(AtomicBool::new(false));
    let proxy = holding_proxy(engine.port, Arc::clone(&holds));
    let address: Address = format!("clickhouse://127.0.0.1:{proxy}/netstat").parse().unwrap();
    let store = folder.path().join("record.db");
    let (child, mut said) = heard(agent(&store, &address, "slow", 10_000, &[]));
    // The engine has rows, and from now on the agent does not hear of it.
    let end = Instant::now() + Duration::from_secs(120);
    while engine.number("SELECT count() FROM netstat.flow") == 0 {
        assert!(Instant::now() < end, "nothing is sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    holds.store(true, Ordering::Relaxed);
    hears(&mut said, "the engine cannot be reached");
    std::thread::sleep(Duration::from_secs(3));
    holds.store(false, Ordering::Relaxed);
    ends(child, said);
    assert_whole(&engine, &store, "slow", 10_000);
    // Not even before the merges: the engine knew the segments that it had.
    assert_eq!(
        engine.number("SELECT count() - uniqExact(flow, revision) FROM netstat.flow"),
        0
    );
}

/// Two engines that are the shards of a cluster; the first also has the tables over both.
fn two_shards(folder: &Path) -> Option<[Engine; 2]> {
    let ports = [free_port(), free_port()];
    let shard = |port| format!("<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>");
    let config = folder.join("cluster.xml");
    fs::write(
        &config,
        format!(
            "<clickhouse><remote_servers><two>{}{}</two></remote_servers></clickhouse>",
            shard(ports[0]),
            shard(ports[1])
        ),
    )
    .unwrap();
    let start = |at: usize| {
        let more = vec![
            format!("--tcp_port={}", ports[at]),
            format!("--config-file={}", config.display()),
        ];
        Engine::start_with(&[], &folder.join(format!("shard-{at}")), more)
    };
    let engines = [start(0)?, start(1)?];
    for engine in &engines {
        let layout = Layout {
            roles: false,
            cluster: Some("two".to_owned()),
            ..Layout::of(&engine.address())
        };
        // Replication needs a coordinator, which is not there: each shard is one server.
        let statements: Vec<String> = layout.statements(0).iter().map(|text| unreplicated(text)).collect();
        ddl::run(&engine.client(), &statements).unwrap();
    }
    Some(engines)
}

/// A statement for a cluster as one server runs it.
fn unreplicated(statement: &str) -> String {
    let mut text = statement.replace(" ON CLUSTER 'two'", "");
    while let Some((before, rest)) = text.split_once("Replicated") {
        let (engine, rest) = rest.split_once('(').unwrap();
        let (arguments, after) = rest.split_once(')').unwrap();
        let own: Vec<&str> = arguments.split(", ").skip(2).collect();
        text = format!("{before}{engine}({}){after}", own.join(", "));
    }
    text
}

#[test]
fn shard_that_is_away_fails_every_question_and_gets_its_rows_later() {
    let folder = tempfile::tempdir().unwrap();
    let Some([first, mut second]) = two_shards(folder.path()) else {
        return;
    };
    // By the hash of their number, hosts are in either shard.
    let shard = |host: &str| first.number(&format!("SELECT cityHash64(toUInt64({})) % 2", host_id(host)));
    let names: Vec<String> = (0..40).map(|at| format!("host-{at}")).collect();
    let of = |shard_number| names.iter().find(|host| shard(host) == shard_number).unwrap().as_str();
    let (near, far) = (of(0), of(1));
    let store = |host: &str| folder.path().join(format!("{host}.db"));
    let sent = agent(&store(near), &first.address(), near, 2_000, &[]).spawn().unwrap();
    assert!(wait(sent, Duration::from_secs(200)));
    assert_eq!(second.number("SELECT count() FROM netstat.flow_local"), 0);
    second.kill();
    // Rows of the shard that is there would be fewer than there are: nothing is shown.
    let ask = || {
        let mut count = 0;
        FleetStore::open(first.client())
            .map_err(|error| error.to_string())
            .and_then(|mut store| {
                let counted = store.flows(&Question::default(), &mut |_| {
                    count += 1;
                    std::ops::ControlFlow::Continue(())
                });
                counted.map_err(|error| error.to_string())
            })
            .map(|()| count)
    };
    let refused = ask().unwrap_err();
    assert!(
        refused.contains("a shard did not answer") && refused.lines().count() == 1,
        "{refused}"
    );
    let (child, mut said) = heard(agent(&store(far), &first.address(), far, 2_000, &[]));
    hears(&mut said, "a shard did not answer");
    second.run();
    ends(child, said);
    assert_whole(&first, &store(near), near, 2_000);
    assert_whole(&first, &store(far), far, 2_000);
    assert_eq!(ask(), Ok(4_000));
    assert_ne!(second.number("SELECT count() FROM netstat.flow_local"), 0);
}
