//! Tests the system's own resolver with name servers that are slow, dead or malicious.
//!
//! Each test runs itself again in separate network and mount namespaces, where `/etc/resolv.conf` names the test's
//! server on 127.0.0.53. An ordinary user needs user namespaces for that; if they are disabled, a test reports it and
//! passes.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netstat_model::{Endpoint, Protocol};
use netstat_names::{
    Answer, HostName, HostStyle, Lookup, Names, Resolver as _, ReverseDns, Services, Summary, SystemResolver,
};
use netstat_testkit::dns::{Behaviour, NameServer, Reply, name_for};
use netstat_testkit::skip;

/// Set in a test that already runs in its own namespaces.
const INSIDE: &str = "NETSTAT_NAMES_TEST_INSIDE";

const SERVER: &str = "127.0.0.53:53";

/// The default deadline of a listing.
const DEADLINE: Duration = Duration::from_secs(2);

/// The extra time granted on a busy machine.
const SLACK: Duration = Duration::from_millis(800);

fn address(number: u32) -> IpAddr {
    // 198.18.0.0/15 is reserved for tests (RFC 2544).
    IpAddr::V4(Ipv4Addr::from_bits(0xc612_0000 + number))
}

fn parse(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn quiet(_: usize, _: usize) {}

fn host(text: &str) -> Lookup {
    Lookup::Resolved(HostName::parse(text.as_bytes()).unwrap())
}

fn serve(behaviour: Behaviour) -> NameServer {
    NameServer::start(SERVER.parse().unwrap(), behaviour).unwrap()
}

/// Runs `body` in separate namespaces and returns how long the whole process took; `None` inside that process and if
/// the test was skipped.
fn isolated(test: &str, body: impl FnOnce()) -> Option<Duration> {
    if std::env::var_os(INSIDE).is_some() {
        match prepare() {
            Ok(_files) => body(),
            Err(why) => skip(test, &why),
        }
        return None;
    }
    // Root needs no user namespace, unless it lacks the right to create the others.
    let flags = ["-mn", "-Urmn"].into_iter().find(|flags| {
        let probe = Command::new("unshare")
            .args([flags, "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    });
    let Some(flags) = flags else {
        skip(test, "no namespaces of one's own can be made here");
        return None;
    };
    let begin = Instant::now();
    let output = Command::new("unshare")
        .arg(flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        // Variables that would change the behaviour of the resolver (resolv.conf(5), hostname(7)).
        .env_remove("RES_OPTIONS")
        .env_remove("LOCALDOMAIN")
        .env_remove("HOSTALIASES")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let took = begin.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test} failed in its namespaces:\n{said}"
    );
    Some(took)
}

/// Prepares the namespaces: brings loopback up and replaces the resolver's files for as long as the returned directory
/// exists.
fn prepare() -> Result<tempfile::TempDir, String> {
    run("ip", &["link", "set", "lo", "up"])?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let files = [
        ("resolv.conf", "nameserver 127.0.0.53\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
        ("hosts", "127.0.0.1 localhost\n192.0.2.77 from-hosts.example\n"),
    ];
    for (name, content) in files {
        let own = directory.path().join(name);
        std::fs::write(&own, content).map_err(|error| error.to_string())?;
        run("mount", &["--bind", &own.to_string_lossy(), &format!("/etc/{name}")])?;
    }
    // A running cache daemon would answer instead of the resolver.
    if Path::new("/run/nscd").exists() {
        run("mount", &["-t", "tmpfs", "none", "/run/nscd"])?;
    }
    Ok(directory)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

#[test]
fn five_hundred_addresses_behind_a_slow_server() {
    isolated("five_hundred_addresses_behind_a_slow_server", || {
        let server = serve(Behaviour::slow(Duration::from_millis(100)));
        let mut dns = ReverseDns::system();
        let mut calls = Vec::new();
        let begin = Instant::now();
        let answers = dns.resolve((0..500).map(address), DEADLINE, &mut |done, total| {
            calls.push((done, total))
        });
        let took = begin.elapsed();
        eprintln!("500 addresses at 100 ms each: {took:?}");
        assert_eq!(
            answers.summary(),
            Summary {
                total: 500,
                resolved: 500,
                ..Summary::default()
            }
        );
        assert!(took < DEADLINE, "{took:?}");
        for number in [0, 77, 499] {
            assert_eq!(answers.get(address(number)), &host(&name_for(address(number))));
        }
        assert_eq!(server.queries(), 500, "each address once");
        assert!(
            calls.len() >= 3 && calls.is_sorted() && calls.iter().all(|&(done, total)| done < total),
            "{calls:?}"
        );

        let begin = Instant::now();
        dns.resolve((0..500).map(address), DEADLINE, &mut quiet);
        assert!(begin.elapsed() < Duration::from_millis(100), "from memory");
        assert_eq!(server.queries(), 500);
    });
}

#[test]
fn a_dead_server_costs_the_deadline_and_no_more() {
    let took = isolated("a_dead_server_costs_the_deadline_and_no_more", || {
        let server = serve(Behaviour::dead());
        let mut dns = ReverseDns::system();
        let begin = Instant::now();
        let answers = dns.resolve((0..500).map(address), DEADLINE, &mut quiet);
        let took = begin.elapsed();
        eprintln!("dead server: {took:?}");
        assert!(took >= DEADLINE && took < DEADLINE + SLACK, "{took:?}");
        assert_eq!(
            answers.summary(),
            Summary {
                total: 500,
                timed_out: 500,
                ..Summary::default()
            }
        );

        // The next listings have nothing to wait for, and the pool does not grow.
        let begin = Instant::now();
        for _ in 0..20 {
            dns.resolve((0..500).map(address), DEADLINE, &mut quiet);
        }
        assert!(begin.elapsed() < SLACK);
        let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
        // The others are the harness, this test and the server.
        assert!(threads <= 64 + 3, "{threads}");
        assert!(server.queries() <= 64, "{}", server.queries());
    });
    // The C library alone would keep its threads for 2 x 5 s (resolv.conf(5)).
    if let Some(took) = took {
        assert!(
            took < DEADLINE + Duration::from_secs(4),
            "hanging threads kept the process for {took:?}"
        );
    }
}

#[test]
fn no_server_at_all_fails_at_once() {
    isolated("no_server_at_all_fails_at_once", || {
        let mut dns = ReverseDns::system();
        let begin = Instant::now();
        let answers = dns.resolve((0..100).map(address), DEADLINE, &mut quiet);
        eprintln!("no server: {:?}", begin.elapsed());
        assert!(begin.elapsed() < DEADLINE);
        assert_eq!(
            answers.summary(),
            Summary {
                total: 100,
                failed: 100,
                ..Summary::default()
            }
        );
    });
}

#[test]
fn addresses_without_a_name_are_not_asked_for_again() {
    isolated("addresses_without_a_name_are_not_asked_for_again", || {
        let server = serve(Behaviour::nxdomain());
        let mut dns = ReverseDns::system();
        for _ in 0..2 {
            let begin = Instant::now();
            let answers = dns.resolve((0..200).map(address), DEADLINE, &mut quiet);
            eprintln!("200 addresses without a name: {:?}", begin.elapsed());
            assert_eq!(
                answers.summary(),
                Summary {
                    total: 200,
                    not_found: 200,
                    ..Summary::default()
                }
            );
        }
        assert_eq!(server.queries(), 200);
    });
}

#[test]
fn an_answer_after_the_deadline_is_used_by_the_next_listing() {
    isolated("an_answer_after_the_deadline_is_used_by_the_next_listing", || {
        let server = serve(Behaviour::slow(Duration::from_millis(700)));
        let mut dns = ReverseDns::system();
        let answers = dns.resolve((0..10).map(address), Duration::from_millis(200), &mut quiet);
        assert_eq!(
            answers.summary(),
            Summary {
                total: 10,
                timed_out: 10,
                ..Summary::default()
            }
        );
        let begin = Instant::now();
        let mut resolved = 0;
        while resolved < 10 && begin.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(50));
            resolved = dns
                .resolve((0..10).map(address), Duration::ZERO, &mut quiet)
                .summary()
                .resolved;
        }
        assert_eq!((resolved, server.queries()), (10, 10));
    });
}

#[test]
fn hosts_both_families_and_mapped_addresses() {
    isolated("hosts_both_families_and_mapped_addresses", || {
        let server = serve(Behaviour::slow(Duration::ZERO));
        let mut dns = ReverseDns::system();
        let texts = [
            "192.0.2.77",
            "::ffff:192.0.2.77",
            "2001:db8::7",
            "198.51.100.4",
            "::ffff:198.51.100.4",
            "fe80::7",
        ];
        let answers = dns.resolve(texts.map(parse), DEADLINE, &mut quiet);
        assert_eq!(answers.get(parse("::ffff:192.0.2.77")), &host("from-hosts.example"));
        assert_eq!(answers.get(parse("2001:db8::7")), &host("host-2001-db8--7.test"));
        assert_eq!(
            answers.get(parse("::ffff:198.51.100.4")),
            &host("host-198-51-100-4.test")
        );
        assert_eq!(answers.get(parse("fe80::7")), &Lookup::NotAsked);
        let mut asked = server.asked();
        asked.sort();
        assert_eq!(
            asked,
            [parse("198.51.100.4"), parse("2001:db8::7")],
            "the hosts file needs no server"
        );
    });
}

#[test]
fn hostile_answers_show_as_numbers() {
    isolated("hostile_answers_show_as_numbers", || {
        let labels = |parts: &[&[u8]]| Reply::Labels(parts.iter().map(|part| part.to_vec()).collect());
        let long = [b"a".repeat(63), b"b".repeat(63), b"c".repeat(63), b"d".repeat(61)];
        let replies = [
            labels(&[b"evil\x1b[2J", b"test"]),
            labels(&[b"back\\slash", b"test"]),
            labels(&[b"dot.in.label", b"test"]),
            labels(&[b"bank:443", b"test"]),
            labels(&[b"[::1]", b"test"]),
            labels(&[b"two words", b"test"]),
            labels(&[b"new\nline", b"test"]),
            labels(&[b"nul\0byte", b"test"]),
            labels(&[b"\xff\xfe", b"test"]),
            labels(&["\u{202e}moc.knab".as_bytes(), b"test"]),
            labels(&[]),
            Reply::Name("10.0.0.1".to_owned()),
            Reply::Name("2130706433".to_owned()),
            Reply::Name("localhost".to_owned()),
            Reply::Name("thisbox.example".to_owned()),
            Reply::PointerLoop,
            Reply::Cut,
            Reply::Garbage(vec![0x84, 0, 0xff]),
            Reply::NoData,
            Reply::ServerFailure,
        ];
        let bad = replies.len() as u32;
        let mut replies: HashMap<IpAddr, Reply> = (0..).map(address).zip(replies).collect();
        let good = [
            // 255 octets in the message, the maximum.
            (bad, Reply::Labels(long.to_vec())),
            (bad + 1, Reply::Name("fine.example.test".to_owned())),
            (bad + 2, Reply::Name("192-0-2-1.example.test".to_owned())),
        ];
        replies.extend(good.map(|(number, reply)| (address(number), reply)));
        let _server = serve(Behaviour::ptr(replies));

        let endpoint = |number| Endpoint {
            address: address(number),
            port: 443,
            scope: 0,
        };
        let services = Services::with_file(b"");
        let mut names = Names::new(
            b"thisbox.example",
            [],
            HostStyle::FirstLabel,
            services,
            ReverseDns::system(),
        );
        let begin = Instant::now();
        let summary = names.resolve((0..bad + 3).map(endpoint), DEADLINE, &mut quiet);
        eprintln!("hostile answers: {summary:?} {:?}", begin.elapsed());
        for number in 0..bad {
            assert_eq!(names.host(address(number), 0), None, "{number}");
        }
        assert_eq!(names.host(address(bad), 0), Some("a".repeat(63).as_str()));
        let fine = names.foreign(endpoint(bad + 1), Protocol::Tcp);
        assert_eq!((fine.host, fine.service), (Some("fine"), Some("https")));
        assert_eq!(names.host(address(bad + 2), 0), Some("192-0-2-1.example.test"));
        assert_eq!(names.host(parse("127.0.0.1"), 0), Some("thisbox"));
    });
}

#[test]
fn the_system_resolver_tells_no_name_from_failure() {
    isolated("the_system_resolver_tells_no_name_from_failure", || {
        let replies = [
            (1, Reply::NoName),
            (2, Reply::ServerFailure),
            (3, Reply::Name("a.test".to_owned())),
        ];
        let _server = serve(Behaviour::ptr(
            replies.map(|(number, reply)| (address(number), reply)).into(),
        ));
        assert_eq!(SystemResolver.name_of(address(1)), Answer::NotFound);
        assert_eq!(SystemResolver.name_of(address(2)), Answer::Failed);
        assert_eq!(SystemResolver.name_of(address(3)), Answer::Name(b"a.test".to_vec()));
    });
}
