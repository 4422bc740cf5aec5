//! A record with any bytes changed: every question is answered or refused, and none runs for ever.
#![no_main]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use netstat_model::{Direction, EventOrigin, Fact, Family, Filter, Protocol, State, Why};
use netstat_record::{NewFlow, NewProcess, Question, Reader, Writer};

/// A file of its own for each process.
fn path() -> PathBuf {
    std::env::temp_dir().join(format!("netstat-fuzz-store-{}.db", std::process::id()))
}

/// The bytes of a record with a few hundred flows.
static RECORD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = path();
    let mut writer = Writer::open(&path, b"mill", "boot").expect("a new record");
    let mut batch = writer.batch().expect("a batch");
    let facts = NewProcess {
        path: Some(b"/usr/bin/python3".to_vec()),
        name: b"python3".to_vec(),
        script: Some(b"/srv/x.py".to_vec()),
        ..NewProcess::default()
    };
    let process = batch.process(7, Some(1), &facts).expect("a process");
    for at in 0..300i64 {
        let flow = NewFlow {
            first: at * 60_000,
            span: 100,
            closed: true,
            begun: true,
            protocol: Protocol::Tcp,
            family: Family::V4,
            local: ([10, 0, 0, 1].into(), 40_000),
            foreign: ([203, 0, 113, (at % 3) as u8].into(), 443),
            direction: Direction::Outgoing,
            state: State::Established,
            origin: EventOrigin::Trace,
            process: Some(process),
            user: Fact::Known(0),
            namespace: Fact::Unknown(Why::NotKept),
            sent: Fact::Known(1),
            received: Fact::Known(2),
            retransmits: Fact::Unknown(Why::NotKept),
            rtt: Fact::Unknown(Why::NotKept),
            asked_name: None,
        };
        batch.insert(&flow, Some(at as u64)).expect("a flow");
    }
    batch.commit().expect("a commit");
    drop(writer);
    std::fs::read(path).expect("the file")
});

fuzz_target!(|changes: Vec<(u32, u8)>| {
    let mut bytes = RECORD.clone();
    for (at, byte) in changes {
        let at = at as usize % bytes.len();
        bytes[at] = byte;
    }
    let path = path();
    std::fs::write(&path, bytes).expect("a file to write to");
    let Ok(mut reader) = Reader::open(&path) else { return };
    let any = Question::default();
    let _ = reader.flows(&any, &mut |_| ControlFlow::Continue(()));
    let some = Question {
        filter: "--foreign 203.0.113.1".parse().expect("a filter"),
        newest_first: true,
        ..Question::default()
    };
    let _ = reader.flows(&some, &mut |_| ControlFlow::Continue(()));
    let _ = reader.open_flows("boot", &|_| true);
    let _ = (reader.gaps(None, None), reader.oldest(), reader.reach(0));
    let _ = reader.novelties(0);
    let _ = reader.beacon_candidates(0, &Filter::default());
});
