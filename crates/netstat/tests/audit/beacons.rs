//! Connections at regular intervals, from a history.

use std::time::{Duration, SystemTime};

use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State, Why};
use netstat_record::{NewFlow, NewProcess, Writer, millis};
use netstat_testkit::{Needs, own_namespace};

use crate::kit::{audit, of_host};

/// Creates a history in which `path` calls 203.0.113.7 on `port` with these gaps, the last time a moment ago.
fn calls(file: &std::path::Path, path: &str, (protocol, port): (Protocol, u16), gaps: &[Duration]) {
    let mut writer = Writer::open(file, b"mill", "00000000-0000-0000-0000-000000000001").unwrap();
    let mut batch = writer.batch().unwrap();
    let facts = NewProcess {
        path: Some(path.into()),
        name: b"agent".to_vec(),
        unit: None,
        container: None,
        command: None,
        ..NewProcess::default()
    };
    let process = batch.process(7, Some(1), &facts).unwrap();
    let unknown = Why::NotAsked;
    let mut then = SystemTime::now() - gaps.iter().sum::<Duration>();
    for (call, gap) in gaps.iter().enumerate() {
        then += *gap;
        let flow = NewFlow {
            first: millis(then),
            span: 200,
            closed: true,
            begun: true,
            protocol,
            family: Family::V4,
            local: ([192, 0, 2, 1].into(), 40_000 + call as u16),
            foreign: ([203, 0, 113, 7].into(), port),
            direction: Direction::Outgoing,
            state: State::Established,
            origin: EventOrigin::Trace,
            process: Some(process),
            user: Fact::Known(0),
            namespace: Fact::Unknown(unknown),
            sent: Fact::Known(100),
            received: Fact::Known(100),
            retransmits: Fact::Unknown(unknown),
            rtt: Fact::Unknown(unknown),
            asked_name: None,
        };
        batch.insert(&flow, None).unwrap();
    }
    batch.commit().unwrap();
}

/// Creates a history with thirty calls over TLS.
fn history(file: &std::path::Path, path: &str, gap: impl Fn(u64) -> Duration) {
    let gaps: Vec<Duration> = (0..30).map(gap).collect();
    calls(file, path, (Protocol::Tcp, 443), &gaps);
}

/// Generates a reproducible sequence of pseudorandom numbers between 0 and 1.
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn beacon_is_judged_by_rhythm_and_kind() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let found = |name: &str, path: &str, kind: (Protocol, u16), gaps: &[Duration]| -> Vec<String> {
        let store = directory.path().join(name);
        calls(&store, path, kind, gaps);
        let document = audit(&["--no-digests", "--store", store.to_str().unwrap()]);
        let found = of_host(&document, "beacon");
        found
            .iter()
            .map(|finding| {
                // The command for verification reads the same record.
                let verify = finding["verify"].as_str().unwrap();
                assert!(verify.contains(store.to_str().unwrap()), "{verify}");
                finding["severity"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    const TLS: (Protocol, u16) = (Protocol::Tcp, 443);
    let seconds = |seconds: f64| Duration::from_millis((seconds * 1000.0) as u64);
    let regular = vec![seconds(60.0); 6 * 60];
    assert_eq!(found("regular", "/srv/x/agent", TLS, &regular), ["medium"]);
    let mut number = random(5);
    let jittered: Vec<Duration> = (0..6 * 60).map(|_| seconds(60.0 * (0.7 + 0.6 * number()))).collect();
    assert_eq!(found("jittered", "/srv/x/agent", TLS, &jittered), ["medium"]);
    // A time service polls regularly: chrony and ntpd every 64 s to 1,024 s (RFC 5905, 7.3).
    let asks = vec![seconds(64.0); 6 * 56];
    assert_eq!(found("time", "/usr/sbin/chronyd", (Protocol::Udp, 123), &asks), [""; 0]);
    // A page that polls over connections which each last for several requests, and pauses while nobody looks at it.
    let page: Vec<Duration> = (0..200)
        .map(|_| {
            let questions = 1.0 + (number() * 20.0).floor();
            let rest = if number() < 0.3 { number() * 1800.0 } else { 0.0 };
            seconds(questions * 30.0 + rest)
        })
        .collect();
    assert_eq!(found("page", "/srv/x/browser", TLS, &page), [""; 0]);
    // A program that opens a connection for each request is as regular as a beacon; then it matters who owns the
    // program.
    if crate::kit::dpkg() {
        let program = crate::kit::program("sleep");
        let polls = vec![seconds(30.0); 6 * 120];
        assert_eq!(found("polls", program.to_str().unwrap(), TLS, &polls), ["low"]);
    }
}

#[test]
fn program_calling_at_regular_times_is_reported_as_beacon() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let store = |name: &str| directory.path().join(name);
    history(&store("clock.db"), "/srv/x/agent", |_| Duration::from_secs(600));
    history(&store("whim.db"), "/srv/x/agent", |call| {
        Duration::from_secs(30 + call * call * 97 % 3_000)
    });
    let of = |name: &str| audit(&["--no-digests", "--history", store(name).to_str().unwrap()]);
    let document = of("clock.db");
    let found = of_host(&document, "beacon");
    assert_eq!(found.len(), 1, "{document:#}");
    assert_eq!(found[0]["severity"], "medium");
    assert_eq!(found[0]["program"], "/srv/x/agent");
    assert!(
        found[0]["headline"]
            .as_str()
            .unwrap()
            .contains("about every 10 minutes"),
        "{found:#?}"
    );
    assert!(of_host(&of("whim.db"), "beacon").is_empty());
    let without = of("none.db");
    assert!(
        without["unexamined"].to_string().contains("there is no history"),
        "{without:#}"
    );
}
