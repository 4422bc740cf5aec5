//! Calls at regular times, from a history.

use std::time::{Duration, SystemTime};

use netstat_model::{Direction, Fact, Family, Learned, Protocol, State, Why};
use netstat_record::{NewFlow, ProcessFacts, Writer, millis};
use netstat_testkit::{Needs, own_namespace};

use crate::kit::{audit, of_host};

/// A history in which `path` calls 203.0.113.7 thirty times, at these gaps.
fn history(file: &std::path::Path, path: &str, gap: impl Fn(u64) -> Duration) {
    let mut writer = Writer::open(file, b"mill", "00000000-0000-0000-0000-000000000001").unwrap();
    let mut batch = writer.batch().unwrap();
    let facts = ProcessFacts {
        path: Some(path.into()),
        name: b"agent".to_vec(),
        unit: None,
        container: None,
        command: None,
    };
    let process = batch.process(7, Some(1), &facts).unwrap();
    let unknown = Why::NotAsked;
    let mut then = SystemTime::now() - Duration::from_secs(86_400);
    for call in 0..30 {
        then += gap(call);
        let flow = NewFlow {
            first: millis(then),
            span: 200,
            closed: true,
            begun: true,
            protocol: Protocol::Tcp,
            family: Family::V4,
            local: ([192, 0, 2, 1].into(), 40_000 + call as u16),
            foreign: ([203, 0, 113, 7].into(), 443),
            direction: Direction::Outgoing,
            state: State::Established,
            learned: Learned::Trace,
            process: Some(process),
            user: Fact::Known(0),
            namespace: Fact::Unknown(unknown),
            sent: Fact::Known(100),
            received: Fact::Known(100),
            retransmits: Fact::Unknown(unknown),
            rtt: Fact::Unknown(unknown),
        };
        batch.insert(&flow, None).unwrap();
    }
    batch.commit().unwrap();
}

#[test]
fn calls_by_the_clock_stand_out() {
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
